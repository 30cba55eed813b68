//! The storage room: one file, `DIR/appendonly.aof`, from which everything in memory can be made again.
//!
//! | file | what it holds |
//! |---|---|
//! | [`mod@format`] | the bytes: header, groups, annotations, padding |
//! | `appender` | the pen that writes groups |
//! | [`log`] | the log that is open: appending, syncing, ending |
//! | [`opening`] | from what a directory holds to a log that is open |
//! | [`recovery`] | replaying it, torn or damaged as it may be |
//! | [`outcome`] | what a replay can find |
//! | [`rewrite`] | a shorter log that takes the place of the one that has grown |
//! | [`journal`] | the hands that do what group commit decides |
//! | [`jobs`] | what takes as long as the disk does, to be done elsewhere |
//! | `import` | moving in with a Redis file |
//! | [`error`] | what can go wrong, and what to do about it |
//!
//! It reaches the disk through [`common::disk`] alone, so that the code that ships is the one that the simulated disk
//! takes through every crash (DDIA ch. 1, "Reliability"). When to write and to sync is not decided here: see
//! [`group_commit`](crate::engine::group_commit).

mod appender;
pub mod error;
pub mod format;
mod import;
pub mod jobs;
pub mod journal;
pub mod log;
pub mod opening;
pub mod outcome;
#[cfg_attr(mine_recovery, path = "../../mine/recovery.rs")]
pub mod recovery;
pub mod rewrite;

pub use error::{StorageError, is_disk_full};
pub use format::{LOG_NAME, REWRITE_NAME};
pub use log::{Log, Room, SyncPoint};
pub use opening::{LogOptions, Report};
pub use outcome::{Recovered, ReplayError, Tail};
pub use rewrite::{ReplaceError, Rewrite};
