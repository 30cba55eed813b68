//! How a tree is opened, written and read.

use std::sync::Arc;

use super::Snapshot;
use crate::engine::compaction::Strategy;
use crate::engine::leveled::Leveled;
use crate::storage::table::{BlockCache, NoCache, TableOptions};
use crate::storage::wal_recovery::RecoveryMode;

/// How a tree is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The size at which a memtable is written out, in bytes.
    pub memtable_bytes: usize,
    /// How many memtables may wait to be written out before writers wait.
    pub immutable_memtables: usize,
    /// How many tables of level 0 slow writers down: each write then waits a millisecond.
    pub level0_slowdown: usize,
    /// How many tables of level 0 make writers wait.
    pub level0_stop: usize,
    /// How tables are written.
    pub table: TableOptions,
    /// What is compacted when.
    pub strategy: Arc<dyn Strategy>,
    /// Where blocks are kept.
    pub cache: Arc<dyn BlockCache>,
    /// How much of the write-ahead log must be whole.
    pub recovery: RecoveryMode,
    /// How many threads flush and compact. None: who writes does it, when there is no way around it.
    pub threads: usize,
    /// Random bits, other ones each time.
    pub salt: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memtable_bytes: 64 << 20,
            immutable_memtables: 2,
            level0_slowdown: 20,
            level0_stop: 36,
            table: TableOptions::default(),
            strategy: Arc::new(Leveled::default()),
            cache: Arc::new(NoCache),
            recovery: RecoveryMode::default(),
            threads: 2,
            salt: 0,
        }
    }
}

/// How something is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteOptions {
    /// Whether it is durable when the call returns. Without, it outlives the process, and not the power.
    pub sync: bool,
}

/// What is read, of what there is.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadOptions<'a> {
    /// As it was at a snapshot; `None`: as it is now.
    pub snapshot: Option<&'a Snapshot>,
    /// Only keys from this one on.
    pub lower: Option<&'a [u8]>,
    /// Only keys below this one: it is not included.
    pub upper: Option<&'a [u8]>,
}
