//! One key's part of a history, laid out for the search: what returned, as a list of calls and returns; what did not; and
//! which of both has been placed.
//!
//! A history is linearizable exactly when each key's part of it is (Herlihy and Wing 1990; for checkers, Horn and Kroening,
//! "Faster linearizability checking via P-compositionality", 2015). The parts are short where the whole is long, and the
//! search is exponential in what overlaps: nothing else saves as much.

use std::collections::{BTreeMap, HashMap};

use super::configurations::Bits;
use super::history::{History, OpId, Stamp};
use super::model::{HistoryOf, Model};

/// The operations on one key, and which of them have been placed.
///
/// **Invariants**
/// - An operation that returned is either in `entries` or in `completed`.
/// - What is placed is taken out again in the reverse order.
#[derive(Debug, Clone)]
pub struct Partition {
    /// The calls and returns of the operations that returned and have not been placed.
    pub entries: Entries,
    /// The operations of unknown outcome, by call. Those that change nothing in any case are left out.
    pub unknown: Vec<OpId>,
    /// Of the operations that returned, those that have been placed.
    pub completed_placed: Bits,
    /// Of those of unknown outcome, the ones that have been placed.
    pub unknown_placed: Bits,
    called: Vec<Stamp>,
    twins: Vec<Option<usize>>,
}

/// An operation of the partition: of those that returned, or of those of unknown outcome, by its index among these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Candidate {
    /// It returned.
    Completed(usize),
    /// It did not.
    Unknown(usize),
}

/// The parts of `history` by key.
pub fn partition<M: Model>(model: &M, history: &HistoryOf<M>) -> BTreeMap<M::Key, Partition> {
    let mut by_key: BTreeMap<M::Key, (Vec<OpId>, Vec<OpId>)> = BTreeMap::new();
    for (op, operation) in history.iter() {
        let (returned, unknown) = by_key.entry(model.key(&operation.input)).or_default();
        if operation.returned().is_some() {
            returned.push(op);
        } else if !model.reads_only(&operation.input, None) {
            unknown.push(op);
        }
    }
    let build = |(returned, unknown): (Vec<OpId>, Vec<OpId>)| {
        let mut last_that_asks: HashMap<&M::Input, usize, foldhash::fast::FixedState> = HashMap::default();
        let twins = (0..).zip(&unknown).map(|(at, &op)| last_that_asks.insert(&history[op].input, at)).collect();
        let called = unknown.iter().map(|&op| history[op].called).collect();
        let (completed_placed, unknown_placed) = (Bits::default(), Bits::default());
        Partition { entries: Entries::new(history, returned), unknown, completed_placed, unknown_placed, called, twins }
    };
    by_key.into_iter().map(|(key, parts)| (key, build(parts))).collect()
}

impl Partition {
    /// Places an operation: it is no longer left.
    pub fn place(&mut self, candidate: Candidate) {
        match candidate {
            Candidate::Completed(index) => {
                self.completed_placed.insert(index);
                self.entries.lift(index);
            }
            Candidate::Unknown(index) => self.unknown_placed.insert(index),
        }
    }

    /// Undoes the last [`place`](Self::place) that is not undone, which was of `candidate`.
    pub fn take_out(&mut self, candidate: Candidate) {
        match candidate {
            Candidate::Completed(index) => {
                self.completed_placed.remove(index);
                self.entries.put_back(index);
            }
            Candidate::Unknown(index) => self.unknown_placed.remove(index),
        }
    }

    /// Which operation of the history it is.
    pub fn op(&self, candidate: Candidate) -> OpId {
        match candidate {
            Candidate::Completed(index) => self.entries.ops[index],
            Candidate::Unknown(index) => self.unknown[index],
        }
    }

    /// How many of the operations of unknown outcome were called by then: the first ones.
    pub fn unknown_called_by(&self, stamp: Stamp) -> usize {
        self.called.partition_point(|&called| called <= stamp)
    }

    /// Whether an earlier operation of unknown outcome asks the same as this one, and has not been placed. Of two that ask
    /// the same, to use the earlier one is enough: it can do whatever the later one can.
    pub fn twin_is_left(&self, index: usize) -> bool {
        self.twins[index].is_some_and(|twin| !self.unknown_placed.contains(twin))
    }
}

/// The calls and returns of operations in the order of time, as a doubly linked list from which an operation can be lifted
/// and into which it can be put back, each in constant time (as in Lowe 2017).
///
/// ```text
/// call a   call b   return a   call c   return b   return c        before the first return: what may come first
///   ╰────────────────╯            ╰───────────────────╯
/// ```
///
/// **Invariants**
/// - Entry 0 is both ends of the ring; operation `i` has its call at entry `2i + 1` and its return at `2i + 2`.
/// - Operations are put back in the reverse of the order in which they were lifted.
#[derive(Debug, Clone)]
pub struct Entries {
    ops: Vec<OpId>,
    returned: Vec<Stamp>,
    next: Vec<u32>,
    previous: Vec<u32>,
}

/// A call or a return; its operation is an index from 0, in the order of the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The operation is called.
    Call(usize),
    /// The operation returns.
    Return(usize),
}

impl Entries {
    fn new<I, O>(history: &History<I, O>, ops: Vec<OpId>) -> Self {
        let returned: Vec<Stamp> = ops.iter().map(|&op| history[op].returned().expect("it returned")).collect();
        let mut order: Vec<(Stamp, bool, u32)> = Vec::with_capacity(2 * ops.len());
        for ((index, &op), &at) in (0..).zip(&ops).zip(&returned) {
            order.push((history[op].called, false, 2 * index + 1));
            order.push((at, true, 2 * index + 2));
        }
        order.sort_unstable();
        let (mut next, mut previous) = (vec![0; order.len() + 1], vec![0; order.len() + 1]);
        let mut last = 0;
        for (_, _, entry) in order {
            next[last as usize] = entry;
            previous[entry as usize] = last;
            last = entry;
        }
        previous[0] = last;
        Self { ops, returned, next, previous }
    }

    /// The first entry that is left, to begin a scan with.
    pub fn first(&self) -> usize {
        self.next[0] as usize
    }

    /// The entry behind `entry`.
    pub fn after(&self, entry: usize) -> usize {
        self.next[entry] as usize
    }

    /// Whether no operation is left.
    pub fn is_empty(&self) -> bool {
        self.next[0] == 0
    }

    /// What `entry` is.
    pub fn get(&self, entry: usize) -> Entry {
        let index = entry.checked_sub(1).expect("a scan ends before the end of the list: at a return") / 2;
        if entry % 2 == 1 { Entry::Call(index) } else { Entry::Return(index) }
    }

    /// When the operation of an index returned.
    pub fn returned(&self, index: usize) -> Stamp {
        self.returned[index]
    }

    /// The first operation to return, of those that are left.
    pub fn first_to_return(&self) -> Option<OpId> {
        let mut entry = self.first();
        while entry != 0 {
            match self.get(entry) {
                Entry::Call(_) => entry = self.after(entry),
                Entry::Return(index) => return Some(self.ops[index]),
            }
        }
        None
    }

    /// Takes an operation's call and return out of the list.
    pub fn lift(&mut self, index: usize) {
        for entry in [2 * index + 1, 2 * index + 2] {
            let (before, after) = (self.previous[entry], self.next[entry]);
            self.next[before as usize] = after;
            self.previous[after as usize] = before;
        }
    }

    /// Puts them back where they were.
    pub fn put_back(&mut self, index: usize) {
        for entry in [2 * index + 2, 2 * index + 1] {
            let (before, after) = (self.previous[entry], self.next[entry]);
            self.next[before as usize] = entry as u32;
            self.previous[after as usize] = entry as u32;
        }
    }
}
