//! Size-tiered compaction: tables of about the same size become one, four times as large.
//!
//! A table is merged when there are enough others of its size, and its like are then four times larger: so a byte is written
//! again once for each time its table grows fourfold, which is seldom. In return a read asks every table that there is, and
//! old values stay until the tables that hold them meet (DDIA ch. 3, "Performance optimizations"; Cassandra's default, and
//! RocksDB's "universal").
//!
//! All tables stay in level 0, from the newest to the oldest, and only neighbours are merged: what is between two
//! tables in age must not end up behind either.
//!
//! **Left out**: limits on the space that old values take, which RocksDB adds, and splitting what has become large.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::compaction::{Choice, Merge, Strategy};
use super::levels::{Levels, TableId, TableMeta};

/// The most that is merged into one table, in bytes: with keys of up to two hundred bytes its index is then far below what
/// can be read. What has become so large stays as it is.
const RUN_MAX_BYTES: u64 = 8 << 30;

/// Size-tiered compaction.
#[derive(Debug, Clone, Copy)]
pub struct SizeTiered {
    /// How many tables of about the same size are merged.
    pub tables: usize,
    /// How many times as large as the smallest of them the largest may be.
    pub spread: u64,
}

impl Default for SizeTiered {
    fn default() -> Self {
        Self { tables: 4, spread: 2 }
    }
}

impl Strategy for SizeTiered {
    fn choose(&self, levels: &Levels, busy: &BTreeSet<TableId>) -> Choice {
        let runs = levels.level(0);
        // The newest first: small ones, merged often.
        let mut from = 0;
        while from + self.tables <= runs.len() {
            let (mut least, mut most, mut to, mut sum) = (u64::MAX, 0, from, 0);
            while let Some(run) = runs.get(to).filter(|run| !busy.contains(&run.id)) {
                let (smaller, larger) = (least.min(run.len_bytes.max(1)), most.max(run.len_bytes));
                sum += run.len_bytes;
                if larger > smaller.saturating_mul(self.spread) || sum > RUN_MAX_BYTES {
                    break;
                }
                (least, most, to) = (smaller, larger, to + 1);
            }
            if to - from >= self.tables {
                return merge(levels, from..to);
            }
            from += 1;
        }
        Choice::Nothing
    }

    /// The first neighbours that are marked, all of them. One alone stays as it is: to merge it with all that is older, whenever
    /// it is asked in vain, would be the end of writing seldom.
    fn choose_marked(&self, levels: &Levels, marked: &BTreeSet<TableId>, busy: &BTreeSet<TableId>) -> Choice {
        let runs = levels.level(0);
        let mut from = 0;
        while from < runs.len() {
            let mut sum = 0;
            let fits = |run: &&Arc<TableMeta>| {
                sum += run.len_bytes;
                marked.contains(&run.id) && !busy.contains(&run.id) && sum <= RUN_MAX_BYTES
            };
            let to = from + runs[from..].iter().take_while(fits).count();
            if to - from > 1 {
                return merge(levels, from..to);
            }
            from = to.max(from + 1);
        }
        Choice::Nothing
    }

    fn debt_bytes(&self, levels: &Levels) -> u64 {
        match self.choose(levels, &BTreeSet::new()) {
            Choice::Merge(merge) => {
                let is_input = |id| merge.inputs.iter().any(|(_, input)| *input == id);
                levels.level(0).iter().filter(|run| is_input(run.id)).map(|run| run.len_bytes).sum()
            }
            Choice::Move { .. } | Choice::Nothing => 0,
        }
    }
}

/// Makes these runs one.
fn merge(levels: &Levels, range: Range<usize>) -> Choice {
    let runs = levels.level(0);
    let is_bottom = range.end == runs.len() && levels.deepest() == 0;
    let inputs = runs[range].iter().map(|run| (0, run.id)).collect();
    Choice::Merge(Merge { inputs, to: 0, table_bytes: u64::MAX, is_bottom })
}
