//! Operations of unknown outcome that nobody can have noticed.
//!
//! A write whose answer never came, of a value that nobody read before it was overwritten, can be struck from each order that
//! it is in. That is so of any object, and can be seen from its states alone: an operation is **unnoticed** among others if,
//! in each state that these can lead to, whatever fits after it fits without it and either leads to the same state or changes
//! neither of the two. Whatever comes next in an order is one of the others, and if nothing does, its effect is on nobody. So
//! a history is linearizable exactly if it is so without the operation.

use foldhash::fast::FixedState;
use indexmap::IndexSet;

use super::history::{OpId, Operation};
use super::model::{Model, OperationOf};

/// The most states that are looked at: a register has one for each value, a list that is appended to far too many.
const MAX_STATES: usize = 1_024;

/// The most steps that the tables take.
const MAX_STEPS: usize = 500_000;

/// No state: the operation does not fit.
const NOWHERE: u32 = u32::MAX;

/// What each of some operations does in each of the states that they can lead to.
#[derive(Debug)]
pub(crate) struct Effects {
    ops: Vec<OpId>,
    /// For each operation: the state that each state becomes, when it is answered as it was, and when nobody hears of it.
    answered: Vec<Row>,
    unanswered: Vec<Row>,
}

/// What one operation does: for each state, the one that it becomes.
#[derive(Debug, Clone, Default)]
struct Row {
    after: Vec<u32>,
    /// Whether that is one and the same for all: such an operation tells nothing of what was before it.
    is_constant: bool,
}

/// An operation of a history, and what it does.
#[derive(Debug, Clone, Copy)]
struct Table<'a> {
    is_unknown: bool,
    row: &'a Row,
}

impl Effects {
    /// The effects of `operations`, sorted by their ids, begun in `start`; `None` when there are too many to look at.
    pub(crate) fn of<M: Model>(model: &M, start: &M::State, operations: &[(OpId, OperationOf<M>)]) -> Option<Self> {
        let mut states: IndexSet<M::State, FixedState> = IndexSet::default();
        states.insert(start.clone());
        let ops = operations.iter().map(|(op, _)| *op).collect();
        let (mut answered, mut unanswered) =
            (vec![Row::default(); operations.len()], vec![Row::default(); operations.len()]);
        let mut next = 0;
        while next < states.len() {
            if states.len() > MAX_STATES || (next + 1) * operations.len() > MAX_STEPS {
                return None;
            }
            for (index, (_, operation)) in operations.iter().enumerate() {
                let mut go = |output| match model.step(&states[next], &operation.input, output) {
                    Some(state) => states.insert_full(state).0 as u32,
                    None => NOWHERE,
                };
                answered[index].after.push(go(operation.output()));
                unanswered[index].after.push(go(None));
            }
            next += 1;
        }
        for row in answered.iter_mut().chain(&mut unanswered) {
            row.is_constant = row.after.iter().all(|&after| after == row.after[0] && after != NOWHERE);
        }
        Some(Self { ops, answered, unanswered })
    }

    /// Takes those of unknown outcome that are unnoticed out of `operations`, which are among those of the table.
    pub(crate) fn remove_unnoticed<I, O>(&self, operations: &mut Vec<(OpId, Operation<I, O>)>) {
        let mut tables: Vec<Table<'_>> = operations.iter().map(|(op, operation)| self.table(*op, operation)).collect();
        // One that is gone can no longer notice another: from the last to the first, until none goes.
        loop {
            let before = operations.len();
            for index in (0..operations.len()).rev() {
                if tables[index].is_unknown && is_unnoticed(&tables, index) {
                    operations.remove(index);
                    tables.remove(index);
                }
            }
            if operations.len() == before {
                return;
            }
        }
    }

    fn table<I, O>(&self, op: OpId, operation: &Operation<I, O>) -> Table<'_> {
        let index = self.ops.binary_search(&op).expect("it is among those of the table");
        let is_unknown = operation.returned().is_none();
        Table { is_unknown, row: if is_unknown { &self.unanswered[index] } else { &self.answered[index] } }
    }
}

/// Whether no other operation can tell that the one at `index` has taken effect.
fn is_unnoticed(tables: &[Table<'_>], index: usize) -> bool {
    let changes: Vec<(u32, u32)> =
        (0..).zip(&tables[index].row.after).map(|(before, &after)| (before, after)).collect();
    let tells = |other: &Table<'_>| {
        changes.iter().any(|&(before, after)| {
            let (with, without) = (other.row.after[after as usize], other.row.after[before as usize]);
            let leaves_both = with == after && without == before;
            // What has an unknown outcome and no effect can be struck from an order itself.
            after != before
                && with != NOWHERE
                && with != without
                && !leaves_both
                && !(other.is_unknown && with == after)
        })
    };
    !tables.iter().enumerate().any(|(place, other)| place != index && !other.row.is_constant && tells(other))
}
