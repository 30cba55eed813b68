//! How a tree is opened, written and read.
//!
//! **What holds writers up.** Whoever writes faster than tables can be merged makes reads slow and space large, for as long as
//! memory lasts. So writers are slowed down first, and stopped when that has not helped:
//!
//! | what there is too much of | each write waits a millisecond | writers wait |
//! |---|---|---|
//! | memtables that are not written out | | `immutable_memtables` (2) |
//! | tables of level 0, each of which a read may have to ask | `level0_slowdown` (20) | `level0_stop` (36) |
//! | bytes that are to be compacted | `debt_slowdown_bytes` (64 GiB) | `debt_stop_bytes` (256 GiB) |
//!
//! The two of a full level 0 and of debt are looked at again each time a memtable is full; slowing down needs threads that work
//! meanwhile. A tree in which nothing can be done about it takes the write.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use super::Snapshot;
use super::clock::{Clock, SystemClock};
use crate::engine::compaction::Strategy;
use crate::engine::filter::CompactionFilter;
use crate::engine::leveled::Leveled;
use crate::error::Error;
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
    /// How many bytes to be compacted slow writers down: as RocksDB's soft limit, an hour of work or so.
    pub debt_slowdown_bytes: u64,
    /// How many bytes to be compacted make writers wait: as RocksDB's hard limit.
    pub debt_stop_bytes: u64,
    /// How many bytes a second flushes and compactions may write together. None: as many as the disk takes.
    pub rate_limit_bytes_per_s: Option<u64>,
    /// How tables are written.
    pub table: TableOptions,
    /// What is compacted when.
    pub strategy: Arc<dyn Strategy>,
    /// Whether tables that reads ask in vain are merged when nothing else is to be done
    /// ([`read_triggered`](crate::engine::read_triggered)).
    pub compacts_for_reads: bool,
    /// Where blocks are kept.
    pub cache: Arc<dyn BlockCache>,
    /// How much memory the indexes and filters of open tables may take, in bytes. By default enough for a tree of a hundred
    /// million small entries.
    pub table_cache_bytes: u64,
    /// How many tables may be open at once, each of which is an open file: half of what a process commonly may have.
    pub open_tables: usize,
    /// What compactions leave out beside what nobody can see.
    pub filter: Option<Arc<dyn CompactionFilter>>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
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
            debt_slowdown_bytes: 64 << 30,
            debt_stop_bytes: 256 << 30,
            rate_limit_bytes_per_s: None,
            table: TableOptions::default(),
            strategy: Arc::new(Leveled::default()),
            compacts_for_reads: true,
            cache: Arc::new(NoCache),
            table_cache_bytes: 256 << 20,
            open_tables: 512,
            filter: None,
            clock: Arc::new(SystemClock::default()),
            recovery: RecoveryMode::default(),
            threads: 2,
            salt: RandomState::new().build_hasher().finish(),
        }
    }
}

/// How something is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteOptions {
    /// Whether it is durable when the call returns. Without, it outlives the process, and not the power.
    pub sync: bool,
}

impl Options {
    /// Whether a tree can be opened so.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.table.restart_interval == 0 {
            return Err(Error::Cannot(
                "a restart interval of at least 1 is meant: the first key is always whole".to_owned(),
            ));
        }
        Ok(())
    }
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
