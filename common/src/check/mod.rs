//! Checkers: whether what the clients of a system saw can have happened.
//!
//! A replicated system is right when its clients cannot tell it from one copy of the data that does one thing at a time. That
//! is linearizability (Herlihy and Wing, "Linearizability: A Correctness Condition for Concurrent Objects", 1990; DDIA ch. 9,
//! "Linearizability"), and it can be judged from the outside: a workload records what it asked, when, and what it was told;
//! the checker looks for an order that explains it; and where there is none, the smallest contradiction is drawn.
//!
//! ```text
//!   workload ──▶ Recorder ──▶ History ──▶ check ──▶ Linearizable { order }
//!                                ▲          │       OutOfBudget
//!                 a file ────────╯          ╰─────▶ Violation ──▶ shrink ──▶ Picture: text, HTML
//! ```
//!
//! - [`History`], [`Recorder`]: operations as intervals, some without an end.
//! - [`Model`], [`models`]: what an object does when it does one thing at a time.
//! - [`linearizability`]: the search (an organ).
//! - [`shrink()`]: the smallest violation, by removals of which each is known to be sound.
//! - [`Picture`]: a timeline for people.
//! - [`mod@file`], [`report`]: histories in files, and the report on one.
//!
//! Everything here is deterministic: the same history has the same verdict, smallest violation and picture on each machine.
//!
//! **Left out**: transactions over several keys (strict serializability) and weaker guarantees (sequential and causal
//! consistency, session guarantees), for which other checkers can stand beside this one on the same histories.

mod configurations;
mod draw;
pub mod file;
mod frontier;
mod history;
#[cfg_attr(mine_linearizability, path = "../../mine/linearizability.rs")]
pub mod linearizability;
mod model;
pub mod models;
mod partition;
mod recorder;
mod shrink;
mod unnoticed;
mod verdict;

pub use configurations::{Bits, Configurations, StateId};
pub use draw::{MAX_BARS, Picture};
pub use file::{Finding, Options, Report, file, report};
pub use history::{ClientId, History, HistoryError, MAX_OPERATIONS, OpId, Operation, Outcome, Stamp};
pub use linearizability::check;
pub use model::{HistoryOf, Model, OperationOf};
pub use partition::{Candidate, Entries, Entry, Partition, partition};
pub use recorder::{Recorder, Started};
pub use shrink::{Shrunk, shrink};
pub use verdict::{Checked, Longest, Verdict, Violation};
