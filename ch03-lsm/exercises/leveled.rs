#![allow(unused)]
// Exercise ch03/leveled: The compaction decision
// DDIA ch. 3, "Performance optimizations"
//
// Write how leveled compaction decides: how much each level is to hold, which level is compacted next, and which of its
// tables. The decision is data, so nothing here touches a disk: the judge does what you choose on tables of its own and
// counts how often each byte is written. The engine then compacts by your choice.
//
// Write what says todo!(). `cargo grade ch03/leveled` judges it, `cargo grade hint ch03/leveled` helps.

//! Leveled compaction: each level holds about ten times the one above, and no key twice.
//!
//! A level that has grown beyond its target gives a table to the next, which is merged with the tables there that it
//! overlaps: about ten. So a byte is written about ten times for each level that it goes down, a read asks one table a
//! level, and what is old takes a tenth of the space at most (DDIA ch. 3, "Performance optimizations"; O'Neil et al., "The
//! Log-Structured Merge-Tree", 1996; LevelDB's doc/impl.md).
//!
//! The targets are counted from the **last** level upwards: its target is what it holds, and the one above has a tenth of
//! that. Counted from the first, a last level that is hardly fuller than the one above it would leave twice the space in use
//! (Dong et al., "Optimizing Space Amplification in RocksDB", CIDR 2017).
//!
//! ```text
//!     level 0   newest tables, any keys        4 of them are merged into the base level
//!     level 4   ████                           base level: the first with a target of base_bytes / 10 or more
//!     level 5   ████████████████
//!     level 6   ████████████████████████████████████████████████████████   the target is what it holds
//! ```
//!
//! **Left out**: splitting one compaction over several threads, and compacting for the sake of reads alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::compaction::{Choice, Merge, Strategy};
use super::levels::{LEVELS, Levels, TableId, TableMeta};

/// Leveled compaction.
#[derive(Debug, Clone, Copy)]
pub struct Leveled {
    /// How many tables of level 0 call for a compaction.
    pub level0_tables: usize,
    /// The most that the base level may hold, in bytes.
    pub base_bytes: u64,
    /// How many times larger each level is than the one above.
    pub growth: u64,
    /// How large a table of the deeper levels becomes, in bytes.
    pub table_bytes: u64,
}

impl Default for Leveled {
    fn default() -> Self {
        Self { level0_tables: 4, base_bytes: 256 << 20, growth: 10, table_bytes: 64 << 20 }
    }
}

/// How much the levels are to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Targets {
    /// The level that level 0 is merged into.
    pub base: usize,
    /// The target of each level from there on, in bytes; of the others, 0.
    pub bytes: [u64; LEVELS],
}

impl Leveled {
    /// The base level and the targets, for what the levels hold.
    pub fn targets(&self, levels: &Levels) -> Targets {
        todo!("leveled: from the last level upwards, a part of the one below each, until it is small enough for level 0 to be merged into; you have self, levels")
    }

    /// How much each level exceeds its target: 1.0 is full. Level 0 counts tables.
    pub fn scores(&self, levels: &Levels) -> [f64; LEVELS] {
        let targets = self.targets(levels);
        let mut scores = [0.0; LEVELS];
        scores[0] = levels.level(0).len() as f64 / self.level0_tables as f64;
        for (level, score) in scores.iter_mut().enumerate().take(LEVELS - 1).skip(targets.base) {
            *score = levels.level_bytes(level) as f64 / targets.bytes[level].max(1) as f64;
        }
        scores
    }

    fn of_level0(&self, levels: &Levels, busy: &BTreeSet<TableId>) -> Choice {
        todo!("leveled: all of it into the base level, unless its oldest table can be moved there as it is; you have self, levels, busy")
    }

    fn of_level(&self, levels: &Levels, level: usize, busy: &BTreeSet<TableId>) -> Choice {
        todo!("leveled: the table that brings the least of the next level with it, for what it is itself; you have self, levels, level, busy")
    }

    /// Merges tables of level `from` with those that they overlap in level `to`; or moves one that overlaps none.
    fn merge(
        &self,
        levels: &Levels,
        from: usize,
        tables: &[Arc<TableMeta>],
        to: usize,
        busy: &BTreeSet<TableId>,
    ) -> Choice {
        let first = tables.iter().map(|table| table.smallest.as_key().user()).min();
        let last = tables.iter().map(|table| table.largest.as_key().user()).max();
        let (Some(first), Some(last)) = (first, last) else { return Choice::Nothing };
        let below = levels.overlapping(to, first, last);
        if below.iter().any(|table| busy.contains(&table.id)) {
            return Choice::Nothing;
        }
        if let ([table], []) = (tables, below) {
            return Choice::Move { table: table.id, from, to };
        }
        let (mut first, mut last) = (first, last);
        if let ([begin, ..], [.., end]) = (below, below) {
            first = first.min(begin.smallest.as_key().user());
            last = last.max(end.largest.as_key().user());
        }
        let is_bottom = (to + 1..LEVELS).all(|level| levels.overlapping(level, first, last).is_empty());
        let inputs = tables.iter().map(|table| (from, table.id)).chain(below.iter().map(|table| (to, table.id)));
        Choice::Merge(Merge { inputs: inputs.collect(), to, table_bytes: self.table_bytes, is_bottom })
    }
}

impl Strategy for Leveled {
    fn choose(&self, levels: &Levels, busy: &BTreeSet<TableId>) -> Choice {
        todo!("leveled: of the levels that are full, the fullest first; you have self, levels, busy")
    }

    fn debt_bytes(&self, levels: &Levels) -> u64 {
        let targets = self.targets(levels);
        let level0 = if levels.level(0).len() >= self.level0_tables { levels.level_bytes(0) } else { 0 };
        let mut debt = level0;
        let mut comes_down = level0;
        for level in targets.base..LEVELS - 1 {
            let excess = (levels.level_bytes(level) + comes_down).saturating_sub(targets.bytes[level]);
            debt += excess.saturating_mul(self.growth + 1);
            comes_down = excess;
        }
        debt
    }

    fn level_scores(&self, levels: &Levels) -> [f64; LEVELS] {
        self.scores(levels)
    }
}
