//! A client history: which operations were called, when, and what the clients were told.
//!
//! Whether a system is linearizable is a question about what its clients saw and about nothing else: not about its log, its
//! replicas or its leader (DDIA ch. 9, "What Makes a System Linearizable?"). So this is all that a checker is given. An
//! operation is not a point but an interval, from the call to the return: the client cannot know when, in between, the system
//! made it take effect.
//!
//! ```text
//! client 1   ├── write(1) ──┤                                   returned: took effect within the bar
//! client 2            ├── read() → 1 ──┤
//! client 3      ├── write(2) ─────────────────────────────⋯     unknown: the answer never came; it may take effect
//! time    ─────────────────────────────────────────────▶       at any time from its call on, or never
//! ```
//!
//! A client that times out has not been told "no". To count such an operation as failed is the mistake that lets a checker
//! accuse a correct system (or, the other way, to count it as done). What certainly did not take effect (a request that was
//! refused, or never sent) is no part of a history at all.

use std::fmt;
use std::ops::Index;

/// A point in real time: nanoseconds since any one start, or the number of an event in a log that has no clock.
///
/// At the same stamp, calls come before returns: two operations that meet in one stamp overlap.
pub type Stamp = u64;

/// Who called an operation. In the logs of Jepsen: a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// An operation's place in its [`History`], in the order of the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u32);

/// How an operation ended, as its client knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<O> {
    /// The answer came.
    Returned {
        /// When it came.
        at: Stamp,
        /// What it said.
        output: O,
    },
    /// No answer came, or one that does not say. It may have taken effect, may yet do so, or never will.
    Unknown,
}

/// One operation of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation<I, O> {
    /// Who called it.
    pub client: ClientId,
    /// When it was called.
    pub called: Stamp,
    /// What was asked.
    pub input: I,
    /// What became of it.
    pub outcome: Outcome<O>,
}

/// The operations of all clients, in the order of their calls.
///
/// **Invariants**
/// - `called` never falls from one operation to the next, so that [`OpId`]s are ordered like calls.
/// - No operation returns before it is called.
/// - There are at most [`MAX_OPERATIONS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History<I, O> {
    operations: Vec<Operation<I, O>>,
}

/// The most operations in a history: with a million of them, a checker's tables take some hundred MiB.
pub const MAX_OPERATIONS: usize = 1_000_000;

/// What is no history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// An answer before the question.
    #[error("an operation of {client} is called at {called} and returns before that, at {returned}")]
    ReturnBeforeCall {
        /// Whose it is.
        client: ClientId,
        /// When it was called.
        called: Stamp,
        /// When it returned.
        returned: Stamp,
    },
    /// More operations than are taken.
    #[error("a history of {count} operations; at most {MAX_OPERATIONS} are taken")]
    TooMany {
        /// How many there are.
        count: usize,
    },
}

impl<I, O> History<I, O> {
    /// The history of these operations, in any order; of those called at the same stamp, in the order given.
    ///
    /// # Errors
    ///
    /// [`HistoryError`], when one returns before its call or there are too many.
    pub fn new(mut operations: Vec<Operation<I, O>>) -> Result<Self, HistoryError> {
        if operations.len() > MAX_OPERATIONS {
            return Err(HistoryError::TooMany { count: operations.len() });
        }
        for operation in &operations {
            if let Outcome::Returned { at, .. } = operation.outcome
                && at < operation.called
            {
                let (client, called) = (operation.client, operation.called);
                return Err(HistoryError::ReturnBeforeCall { client, called, returned: at });
            }
        }
        operations.sort_by_key(|operation| operation.called);
        Ok(Self { operations })
    }

    /// How many operations it has.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether nothing was called.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The operations with their ids, in the order of their calls.
    pub fn iter(&self) -> impl Iterator<Item = (OpId, &Operation<I, O>)> {
        (0..).map(OpId).zip(&self.operations)
    }

    /// A total order of all operations, from orders of parts of them that have no object in common.
    ///
    /// Linearizability is local (Herlihy and Wing 1990, Theorem 1): when each object's operations can be put in order, so can
    /// all of them. Each operation gets the earliest instant that its own order allows, which is within its bar whenever
    /// that order respects real time, and the instants are sorted.
    pub fn interleave(&self, orders: &[Vec<OpId>]) -> Vec<OpId> {
        let mut instants: Vec<(Stamp, OpId)> = Vec::new();
        for order in orders {
            let mut instant = 0;
            for &op in order {
                instant = self[op].called.max(instant);
                instants.push((instant, op));
            }
        }
        instants.sort_by_key(|&(instant, _)| instant);
        instants.into_iter().map(|(_, op)| op).collect()
    }
}

impl<I, O> Operation<I, O> {
    /// When the answer came; `None` when none did.
    pub fn returned(&self) -> Option<Stamp> {
        match self.outcome {
            Outcome::Returned { at, .. } => Some(at),
            Outcome::Unknown => None,
        }
    }

    /// What the answer said; `None` when none came.
    pub fn output(&self) -> Option<&O> {
        match &self.outcome {
            Outcome::Returned { output, .. } => Some(output),
            Outcome::Unknown => None,
        }
    }
}

impl<I, O> Index<OpId> for History<I, O> {
    type Output = Operation<I, O>;

    fn index(&self, op: OpId) -> &Operation<I, O> {
        &self.operations[op.0 as usize]
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}", self.0)
    }
}
