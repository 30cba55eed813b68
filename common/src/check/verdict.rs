//! What a checker says of a history.

use super::history::OpId;

/// A verdict, and what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked<K> {
    /// Whether the history is linearizable.
    pub verdict: Verdict<K>,
    /// How many steps it took: a step is one operation tried on one state. The same history takes the same, everywhere.
    pub steps: u64,
}

/// Whether a history is linearizable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<K> {
    /// It is.
    Linearizable {
        /// An order in which the operations could have been executed one after another: all that returned, and of those with
        /// an unknown outcome the ones that must have taken effect.
        order: Vec<OpId>,
    },
    /// It is not: there is no such order.
    Violation(Violation<K>),
    /// It is not known: the budget is spent, and neither an order nor its absence was found.
    OutOfBudget {
        /// The keys that are undecided. All others are linearizable.
        undecided: Vec<K>,
    },
}

/// That the operations on a key cannot be put in any order, and how far it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation<K> {
    /// The key.
    pub key: K,
    /// The longest order that was found for a part of its operations.
    pub placed: Vec<OpId>,
    /// The first operation to return of those that were then left: it has no place after `placed`.
    pub stuck: OpId,
}

/// The longest order that a search has found for a part of the operations, kept at a cost of what changes in it.
///
/// **Invariants**: `placed` and what the search has placed begin with the same `agreeing` operations.
#[derive(Debug, Clone, Default)]
pub struct Longest {
    /// The operations.
    pub placed: Vec<OpId>,
    /// The first operation to return of those that were left.
    pub stuck: Option<OpId>,
    completed: usize,
    agreeing: usize,
}

impl Longest {
    /// The search is at a dead end: `placed`, of which so many returned, and after which `stuck` is the first to return.
    pub fn dead_end(&mut self, completed: usize, placed: &[OpId], stuck: OpId) {
        if self.stuck.is_none() || completed > self.completed {
            self.placed.truncate(self.agreeing);
            self.placed.extend_from_slice(&placed[self.agreeing..]);
            (self.agreeing, self.completed, self.stuck) = (placed.len(), completed, Some(stuck));
        }
    }

    /// The search has gone back to where so many operations are placed.
    pub fn went_back_to(&mut self, placed: usize) {
        self.agreeing = self.agreeing.min(placed);
    }
}

impl<K> Verdict<K> {
    /// Whether it says that the history is linearizable.
    pub fn is_linearizable(&self) -> bool {
        matches!(self, Self::Linearizable { .. })
    }

    /// Whether it says that the history is not linearizable.
    pub fn is_violation(&self) -> bool {
        matches!(self, Self::Violation(_))
    }
}
