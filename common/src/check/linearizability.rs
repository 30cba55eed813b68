//! The linearizability checker: it looks for an order in which the operations of a history could have been executed one
//! after another, each between its call and its return (DDIA ch. 9, "Linearizability").
//!
//! To decide this is NP-complete, and yet histories of thousands of operations are decided in milliseconds. The search is
//! that of Wing and Gong ("Testing and verifying concurrent objects", 1993): whatever is called before the first return may
//! come first; try each, execute it on the state, and go on with the rest; where nothing fits, go back and try another.
//!
//! ```text
//! call w1   call w2   return w1   call r   return r   return w2        w1 and w2 may come first, r may not
//! ```
//!
//! Four things keep it short, and none changes an answer:
//!
//! - **Memory** (Lowe, "Testing for linearizability", 2017): the same operations placed in another order, with the same
//!   state reached, are a dead end already known. The operations alone are not enough to tell.
//! - **Keys** are independent (Herlihy and Wing 1990; Horn and Kroening 2015), so each has a search of its own. They take
//!   turns, in rounds of twice as many steps each: a violation that shows at once in one key is not behind the long search
//!   of another.
//! - **Reads need no alternative.** What fits now and changes nothing can as well come now: whatever order exists with it
//!   later exists with it here.
//! - **Unknown outcomes** never return: they may be placed at any time after the call, and need not be placed at all. They
//!   are tried when all else has been. One that leaves the state as it is helps nobody; nor does one whose effect the next
//!   operation wipes out; of two that ask the same, the earlier is taken first.
//!
//! The budget is in steps and not in seconds, so that a verdict is the same on each machine.
//!
//! **Left out**: keys could be searched in parallel; and nothing is known of an object but its model. For registers whose
//! writes all differ there are polynomial algorithms (Gibbons and Korach, "Testing Shared Memories", 1997).

use super::configurations::{Configurations, StateId};
use super::history::OpId;
use super::model::{HistoryOf, Model};
use super::partition::{Candidate, Entry, Partition, partition};
use super::verdict::{Checked, Longest, Verdict, Violation};

/// How many steps each key gets in the first round: enough for most keys of most histories.
pub const FIRST_ROUND_STEPS: u64 = 1_000;

/// Checks `history` against `model`, in at most `budget` steps.
pub fn check<M: Model>(model: &M, history: &HistoryOf<M>, budget: u64) -> Checked<M::Key> {
    let mut searches: Vec<(M::Key, Search<'_, M>)> = partition(model, history)
        .into_iter()
        .map(|(key, partition)| (key.clone(), Search::new(model, history, &key, partition)))
        .collect();
    let mut orders: Vec<Vec<OpId>> = Vec::new();
    let mut steps = 0;
    // >>> exercise: run the searches in rounds until each has an order, or one has none, or the steps are spent
    let mut round_steps = FIRST_ROUND_STEPS;
    loop {
        let mut undecided = Vec::new();
        for (key, mut search) in searches {
            let before = search.steps;
            let progress = search.run(round_steps.min(budget - steps));
            steps += search.steps - before;
            match progress {
                Progress::Linearizable => orders.push(search.order),
                Progress::Violation { stuck } => {
                    let verdict = Verdict::Violation(Violation { key, placed: search.longest.placed, stuck });
                    return Checked { verdict, steps };
                }
                Progress::Paused => undecided.push((key, search)),
            }
        }
        searches = undecided;
        round_steps = round_steps.saturating_mul(2);
        if searches.is_empty() || steps == budget {
            break;
        }
    }
    // <<<
    let undecided: Vec<M::Key> = searches.into_iter().map(|(key, _)| key).collect();
    let verdict = if undecided.is_empty() {
        Verdict::Linearizable { order: history.interleave(&orders) }
    } else {
        Verdict::OutOfBudget { undecided }
    };
    Checked { verdict, steps }
}

/// The search for an order of one key's operations, which can be interrupted between two steps.
///
/// **Invariants**: `order`, `undo` and what the partition says is placed are the same operations; `state` is what comes of
/// executing them in their order.
struct Search<'a, M: Model> {
    model: &'a M,
    history: &'a HistoryOf<M>,
    partition: Partition,
    configurations: Configurations<M::State>,
    state: StateId,
    /// What is to be tried next in the present configuration.
    cursor: Cursor,
    /// What is placed.
    order: Vec<OpId>,
    /// How to take each of it out again.
    undo: Vec<Undo>,
    longest: Longest,
    /// How many operations have been tried on a state.
    steps: u64,
}

/// In each configuration, the calls before the first return are tried first, and then what never returned.
#[derive(Debug, Clone, Copy)]
enum Cursor {
    /// The entry of the list to look at.
    Entry(usize),
    /// Those of unknown outcome from `next` to `end`, which were called before the first return.
    Unknown { next: usize, end: usize },
    /// Nothing: whoever comes back to this configuration goes back further.
    Exhausted,
}

#[derive(Debug, Clone, Copy)]
struct Undo {
    candidate: Candidate,
    state: StateId,
    cursor: Cursor,
}

enum Progress {
    Linearizable,
    Violation { stuck: OpId },
    Paused,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, history: &'a HistoryOf<M>, key: &M::Key, partition: Partition) -> Self {
        let mut configurations = Configurations::new();
        let state = configurations.intern(model.init(key));
        let cursor = Cursor::Entry(partition.entries.first());
        let (order, undo, longest) = (Vec::new(), Vec::new(), Longest::default());
        Self { model, history, partition, configurations, state, cursor, order, undo, longest, steps: 0 }
    }

    /// Goes on for at most `steps` steps.
    fn run(&mut self, steps: u64) -> Progress {
        let end = self.steps + steps;
        // >>> exercise: until all that returned is placed: try the candidate; without one, note the dead end and go back
        while !self.partition.entries.is_empty() {
            match self.candidate() {
                Some(_) if self.steps == end => return Progress::Paused,
                Some(candidate) => self.try_to_place(candidate),
                None => {
                    let stuck = self.partition.entries.first_to_return().expect("something is left");
                    self.longest.dead_end(self.partition.completed_placed.len(), &self.order, stuck);
                    if !self.go_back() {
                        return Progress::Violation { stuck: self.longest.stuck.unwrap_or(stuck) };
                    }
                }
            }
        }
        Progress::Linearizable
        // <<<
    }

    /// What is to be tried in this configuration, at the cursor or behind it; the cursor is then at it.
    fn candidate(&mut self) -> Option<Candidate> {
        loop {
            // >>> exercise: a call before the first return, then what is unknown and not placed, but no twin before the first
            match self.cursor {
                Cursor::Entry(entry) => match self.partition.entries.get(entry) {
                    Entry::Call(index) => return Some(Candidate::Completed(index)),
                    Entry::Return(index) => {
                        let end = self.partition.unknown_called_by(self.partition.entries.returned(index));
                        self.cursor = Cursor::Unknown { next: 0, end };
                    }
                },
                Cursor::Unknown { next, end } if next < end => {
                    if !self.partition.unknown_placed.contains(next) && !self.partition.twin_is_left(next) {
                        return Some(Candidate::Unknown(next));
                    }
                    self.cursor = Cursor::Unknown { next: next + 1, end };
                }
                Cursor::Unknown { .. } | Cursor::Exhausted => return None,
            }
            // <<<
        }
    }

    /// Tries `candidate`, at which the cursor is: where it fits and leads to somewhere new, it takes its place.
    fn try_to_place(&mut self, candidate: Candidate) {
        self.steps += 1;
        self.cursor = match self.cursor {
            Cursor::Entry(entry) => Cursor::Entry(self.partition.entries.after(entry)),
            Cursor::Unknown { next, end } => Cursor::Unknown { next: next + 1, end },
            Cursor::Exhausted => Cursor::Exhausted,
        };
        let op = self.partition.op(candidate);
        let (input, output) = (&self.history[op].input, self.history[op].output());
        // >>> exercise: step the model; a read excludes its alternatives, what is useless takes no place; enter what is new
        let Some(after) = self.model.step(self.configurations.state(self.state), input, output) else { return };
        if let Some(&Undo { candidate: Candidate::Unknown(_), state, .. }) = self.undo.last()
            && self.model.step(self.configurations.state(state), input, output).as_ref() == Some(&after)
        {
            return;
        }
        let after = self.configurations.intern(after);
        match candidate {
            Candidate::Unknown(_) if after == self.state => return,
            Candidate::Completed(_) if self.model.reads_only(input, output) => self.cursor = Cursor::Exhausted,
            _ => {}
        }
        self.partition.place(candidate);
        if !self.configurations.enter(&self.partition.completed_placed, after, &self.partition.unknown_placed) {
            self.partition.take_out(candidate);
            return;
        }
        self.order.push(op);
        self.undo.push(Undo { candidate, state: self.state, cursor: self.cursor });
        self.state = after;
        self.cursor = Cursor::Entry(self.partition.entries.first());
        // <<<
    }

    /// Takes the last operation out of its place, to try what comes after it; `false` when none is placed.
    fn go_back(&mut self) -> bool {
        // >>> exercise: undo all that placing it did, and resume where it was tried
        let Some(Undo { candidate, state, cursor }) = self.undo.pop() else { return false };
        self.order.pop();
        self.partition.take_out(candidate);
        (self.state, self.cursor) = (state, cursor);
        self.longest.went_back_to(self.order.len());
        true
        // <<<
    }
}
