//! Statistics: how full a tree is, and what it has cost so far.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Inner;
use crate::engine::key::Seq;
use crate::engine::levels::LEVELS;
use crate::storage::table::CacheStats;

/// How full the tree is, and what it has done since it was opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// The levels, from 0.
    pub levels: [LevelStats; LEVELS],
    /// The bytes of all memtables.
    pub memtable_bytes: usize,
    /// How many memtables wait to be written out.
    pub immutable_memtables: usize,
    /// Range tombstones, in memtables and tables.
    pub range_tombstones: u64,
    /// The newest write.
    pub seq: Seq,
    /// The block cache.
    pub blocks: CacheStats,
    /// The table cache.
    pub tables: TableCacheStats,
    /// What was written.
    pub work: WorkStats,
    /// How writers were held up.
    pub stalls: StallStats,
    /// How many flushes and compactions are under way.
    pub running: usize,
    /// About how many bytes have to be compacted before there is nothing to do.
    pub debt_bytes: u64,
}

/// How full a level is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LevelStats {
    /// Tables.
    pub tables: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Their entries.
    pub entries: u64,
    /// How many of these are tombstones.
    pub tombstones: u64,
    /// How far it is to a compaction: 1.0 is full. 0.0 where the strategy has no target.
    pub score: f64,
}

/// How full the table cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableCacheStats {
    /// Tables that are open.
    pub open: usize,
    /// The memory that their indexes and filters take, in bytes.
    pub used_bytes: u64,
    /// How often a table was opened.
    pub opened: u64,
    /// How often one was closed because others needed its room.
    pub closed: u64,
}

/// What was written, in bytes and in jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkStats {
    /// What users wrote: their batches.
    pub user_bytes: u64,
    /// What went to write-ahead logs.
    pub wal_bytes: u64,
    /// Memtables that were written out.
    pub flushes: u64,
    /// The bytes of the tables that they became.
    pub flushed_bytes: u64,
    /// Compactions that merged tables.
    pub compactions: u64,
    /// Tables that went down a level without being read.
    pub moves: u64,
    /// What compactions read.
    pub compaction_read_bytes: u64,
    /// What they wrote.
    pub compaction_written_bytes: u64,
    /// Values that a compaction filter left out.
    pub filtered: u64,
}

/// How writers were held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StallStats {
    /// How often one was slowed down.
    pub slowdowns: u64,
    /// For how long in all.
    pub slowed_down: Duration,
    /// How often one was stopped.
    pub stops: u64,
    /// For how long in all.
    pub stopped: Duration,
}

impl WorkStats {
    /// The bytes that were written for each byte that a user wrote, the log included.
    pub fn write_amplification(&self) -> f64 {
        let written = self.wal_bytes + self.flushed_bytes + self.compaction_written_bytes;
        written as f64 / self.user_bytes.max(1) as f64
    }
}

/// What is counted as it happens. Nothing depends on the order of two counts.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) user_bytes: Counter,
    pub(super) wal_bytes: Counter,
    pub(super) flushes: Counter,
    pub(super) flushed_bytes: Counter,
    pub(super) compactions: Counter,
    pub(super) moves: Counter,
    pub(super) compaction_read_bytes: Counter,
    pub(super) compaction_written_bytes: Counter,
    pub(super) filtered: Counter,
    pub(super) slowdowns: Counter,
    pub(super) slowed_down_ns: Counter,
    pub(super) stops: Counter,
    pub(super) stopped_ns: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    fn work(&self) -> WorkStats {
        WorkStats {
            user_bytes: self.user_bytes.get(),
            wal_bytes: self.wal_bytes.get(),
            flushes: self.flushes.get(),
            flushed_bytes: self.flushed_bytes.get(),
            compactions: self.compactions.get(),
            moves: self.moves.get(),
            compaction_read_bytes: self.compaction_read_bytes.get(),
            compaction_written_bytes: self.compaction_written_bytes.get(),
            filtered: self.filtered.get(),
        }
    }

    fn stalls(&self) -> StallStats {
        StallStats {
            slowdowns: self.slowdowns.get(),
            slowed_down: Duration::from_nanos(self.slowed_down_ns.get()),
            stops: self.stops.get(),
            stopped: Duration::from_nanos(self.stopped_ns.get()),
        }
    }
}

impl Inner {
    pub(super) fn stats(&self) -> Stats {
        let view = self.view();
        let tree = &view.version.levels;
        let scores = self.options.strategy.level_scores(tree);
        let mut levels = [LevelStats::default(); LEVELS];
        for (level, stats) in levels.iter_mut().enumerate() {
            let tables = tree.level(level);
            *stats = LevelStats {
                tables: tables.len(),
                bytes: tree.level_bytes(level),
                entries: tables.iter().map(|table| table.entries).sum(),
                tombstones: tables.iter().map(|table| table.tombstones).sum(),
                score: scores[level],
            };
        }
        let memtables = || std::iter::once(&view.memtable).chain(&view.immutables);
        let in_memory: usize = memtables().filter_map(|mem| mem.ranges()).map(|ranges| ranges.len()).sum();
        let in_tables: u64 = tree.iter().flatten().map(|table| table.range_tombstones).sum();
        Stats {
            levels,
            memtable_bytes: memtables().map(|mem| mem.used_bytes()).sum(),
            immutable_memtables: view.immutables.len(),
            range_tombstones: in_tables + in_memory as u64,
            seq: self.seq(),
            blocks: self.options.cache.stats(),
            tables: self.tables.stats(),
            work: self.counters.work(),
            stalls: self.counters.stalls(),
            running: self.work().running,
            debt_bytes: self.debt_bytes.load(Ordering::Relaxed),
        }
    }
}
