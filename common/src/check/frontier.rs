//! The frontier of a history: event by event, every configuration that the object can be in.
//!
//! Where the checker asks whether there is a way through the whole history, this asks how far there is one, and through which
//! configurations each way must go. It is the just-in-time linearization of Lowe ("Testing for linearizability", 2017): an
//! operation is placed before another's return only where that return needs it. It takes more memory than the search and is
//! used on violations alone, to find
//!
//! - the first return after which no configuration is left: linearizability is a safety property (Herlihy and Wing 1990), so
//!   that what comes later is no part of the violation;
//! - the **narrows**: points in time at which there is one configuration alone. What came before a narrow matters to what
//!   comes after by that configuration and nothing else.

use foldhash::fast::FixedState;
use indexmap::{IndexMap, IndexSet};

use super::history::{History, OpId, Stamp};
use super::model::{HistoryOf, Model};

/// What the frontier of a violation shows.
#[derive(Debug)]
pub(crate) struct Frontier<S> {
    /// The operation whose return leaves no configuration.
    pub(crate) fatal: OpId,
    /// The points with one configuration, in the order of time.
    pub(crate) narrows: Vec<Narrow<S>>,
}

/// A point in time, right after a return, with one configuration.
#[derive(Debug, Clone)]
pub(crate) struct Narrow<S> {
    /// The return.
    pub(crate) after: OpId,
    /// The state.
    pub(crate) state: S,
    /// What has taken effect and has not returned.
    pub(crate) placed: Vec<OpId>,
}

/// A configuration: what has been placed and not returned (first what will, then what never does), and the state.
///
/// **Invariants**: both lists are sorted; `state` is an index into the states.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Configuration {
    ahead: Vec<OpId>,
    unknown: Vec<OpId>,
    state: usize,
}

/// Configurations of which none can do all that another one can.
type Least = IndexMap<(Vec<OpId>, usize), Vec<Vec<OpId>>, FixedState>;

struct Walk<'a, M: Model> {
    model: &'a M,
    history: &'a HistoryOf<M>,
    states: IndexSet<M::State, FixedState>,
    /// Called, and not returned yet.
    open: Vec<OpId>,
    steps_left: u64,
}

/// The frontier of the operations `ops` of `history`, which are on `key` alone; `None` when the history is linearizable, or
/// the budget of steps is spent.
pub(crate) fn frontier<M: Model>(
    model: &M,
    history: &HistoryOf<M>,
    key: &M::Key,
    ops: &[OpId],
    budget: u64,
) -> Option<Frontier<M::State>> {
    let mut states = IndexSet::default();
    states.insert(model.init(key));
    let mut walk = Walk { model, history, states, open: Vec::new(), steps_left: budget };
    let mut configurations = vec![Configuration { ahead: Vec::new(), unknown: Vec::new(), state: 0 }];
    let mut narrows = Vec::new();
    for (_, is_return, op) in events(history, ops) {
        if !is_return {
            walk.open.push(op);
            continue;
        }
        configurations = walk.place_before_return(op, configurations)?;
        walk.open.retain(|&open| open != op);
        match &configurations[..] {
            [] => return Some(Frontier { fatal: op, narrows }),
            [only] => {
                let state = walk.states[only.state].clone();
                let placed = only.ahead.iter().chain(&only.unknown).copied().collect();
                narrows.push(Narrow { after: op, state, placed });
            }
            _ => {}
        }
    }
    None
}

/// The calls and returns of `ops`, in the order of time: the stamp, whether it is a return, and whose.
pub(crate) fn events<I, O>(history: &History<I, O>, ops: &[OpId]) -> Vec<(Stamp, bool, OpId)> {
    let calls = ops.iter().map(|&op| (history[op].called, false, op));
    let returns = ops.iter().filter_map(|&op| history[op].returned().map(|at| (at, true, op)));
    let mut events: Vec<_> = calls.chain(returns).collect();
    events.sort_unstable();
    events
}

impl<M: Model> Walk<'_, M> {
    /// From each of `from`, all ways to place `target` before it returns, with as few others before it as it needs.
    fn place_before_return(&mut self, target: OpId, from: Vec<Configuration>) -> Option<Vec<Configuration>> {
        let (mut seen, mut arrived) = (Least::default(), Least::default());
        let mut to_visit = from;
        while let Some(mut here) = to_visit.pop() {
            if let Ok(at) = here.ahead.binary_search(&target) {
                here.ahead.remove(at);
                add(&mut arrived, &here, &mut self.steps_left)?;
                continue;
            }
            let mut onward = Vec::new();
            for &op in &self.open {
                let operation = &self.history[op];
                let (input, output) = (&operation.input, operation.output());
                let placed = if output.is_some() { &here.ahead } else { &here.unknown };
                let Err(at) = placed.binary_search(&op) else { continue };
                self.steps_left = self.steps_left.checked_sub(1)?;
                let Some(after) = self.model.step(&self.states[here.state], input, output) else { continue };
                let mut there = here.clone();
                there.state = self.states.insert_full(after).0;
                if output.is_some() { &mut there.ahead } else { &mut there.unknown }.insert(at, op);
                if self.model.reads_only(input, output) && output.is_some() {
                    // It fits now and changes nothing: whatever comes with it later comes with it here.
                    onward = vec![there];
                    break;
                }
                if output.is_some() || there.state != here.state {
                    onward.push(there);
                }
            }
            for there in onward {
                if add(&mut seen, &there, &mut self.steps_left)? {
                    to_visit.push(there);
                }
            }
        }
        let configurations = arrived.into_iter().flat_map(|((ahead, state), unknown)| {
            unknown.into_iter().map(move |unknown| Configuration { ahead: ahead.clone(), unknown, state })
        });
        Some(configurations.collect())
    }
}

/// Adds a configuration, unless one is there that can do all that it can: whether it was added. `None`: to compare it with
/// those that are there would take more steps than are left.
fn add(to: &mut Least, new: &Configuration, steps_left: &mut u64) -> Option<bool> {
    let is_within = |few: &[OpId], many: &[OpId]| few.iter().all(|op| many.binary_search(op).is_ok());
    let least = to.entry((new.ahead.clone(), new.state)).or_default();
    *steps_left = steps_left.checked_sub(least.len() as u64)?;
    if least.iter().any(|there| is_within(there, &new.unknown)) {
        return Some(false);
    }
    least.retain(|there| !is_within(&new.unknown, there));
    least.push(new.unknown.clone());
    Some(true)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;
    use crate::check::models::{Register, RegisterInput, RegisterOutput, text};
    use crate::check::{ClientId, Operation, OperationOf, Outcome, check};

    fn operation(
        called: Stamp,
        returned: Option<Stamp>,
        input: RegisterInput,
        output: RegisterOutput,
    ) -> OperationOf<Register> {
        let outcome = returned.map_or(Outcome::Unknown, |at| Outcome::Returned { at, output });
        Operation { client: ClientId(1), called, input, outcome }
    }

    fn random_operation(rng: &mut Xoshiro256PlusPlus) -> OperationOf<Register> {
        let (from, to) = (rng.random_range(0..3), rng.random_range(0..3));
        let called = rng.random_range(2..20);
        let returned = rng.random_bool(0.7).then(|| called + rng.random_range(0..6));
        match rng.random_range(0..3) {
            0 => operation(called, returned, RegisterInput::read("x"), RegisterOutput::value(to)),
            1 => operation(called, returned, RegisterInput::write("x", to), RegisterOutput::Written),
            _ => {
                let swapped = RegisterOutput::Swapped(rng.random_bool(0.5));
                operation(called, returned, RegisterInput::compare_and_set("x", from, to), swapped)
            }
        }
    }

    fn read_at_the_end(value: u64) -> OperationOf<Register> {
        operation(100, Some(101), RegisterInput::read("x"), RegisterOutput::value(value))
    }

    /// Whatever may be read after all else: the history from a narrow on says the same as the whole.
    #[test]
    fn what_came_before_a_narrow_matters_by_its_state_alone() {
        let mut narrows = 0;
        for seed in 0..3_000 {
            let rng = &mut Xoshiro256PlusPlus::seed_from_u64(seed);
            let count = rng.random_range(1..7);
            let operations: Vec<_> = (0..count).map(|_| random_operation(rng)).collect();
            let with = |before: &[OperationOf<Register>], last| {
                History::new(before.iter().cloned().chain([read_at_the_end(last)]).collect()).expect("a history")
            };
            let is_linearizable = |history| check(&Register, &history, 1_000_000).verdict.is_linearizable();

            let impossible = with(&operations, 99);
            let ops: Vec<OpId> = impossible.iter().map(|(op, _)| op).collect();
            let found = frontier(&Register, &impossible, &text("x"), &ops, 1_000_000).expect("nobody writes 99");
            for narrow in found.narrows {
                narrows += 1;
                let events = events(&impossible, &ops);
                let place = events.iter().position(|&event| event.1 && event.2 == narrow.after).expect("it returns");
                let returned: Vec<OpId> =
                    events[..=place].iter().filter(|event| event.1).map(|event| event.2).collect();
                let is_left =
                    |op: &OpId| !returned.contains(op) && !narrow.placed.contains(op) && *op != ops[ops.len() - 1];
                let first = narrow
                    .state
                    .map(|value| operation(0, Some(1), RegisterInput::write("x", value), RegisterOutput::Written));
                let rest: Vec<_> = first
                    .into_iter()
                    .chain(ops.iter().filter(|op| is_left(op)).map(|&op| impossible[op].clone()))
                    .collect();
                for last in 0..3 {
                    let (cut, whole) = (is_linearizable(with(&rest, last)), is_linearizable(with(&operations, last)));
                    assert_eq!(cut, whole, "seed {seed}: {last} read after {operations:#?}, cut to {rest:#?}");
                }
            }
        }
        assert!(narrows > 1_000, "only {narrows} narrows were compared");
    }
}
