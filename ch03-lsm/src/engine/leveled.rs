//! Leveled compaction: each level holds about ten times the one above, and no key twice.
//!
//! A level that has grown beyond its target gives a table to the next, which is merged with the tables there that it
//! overlaps: about ten. So a byte is written about ten times for each level that it goes down, a read asks one table a
//! level, and what is old takes a tenth of the space at most (DDIA ch. 3, "Performance optimizations"; O'Neil et al., "The
//! Log-Structured Merge-Tree", 1996; LevelDB's doc/impl.md).
//!
//! The targets are counted from the **last** level upwards: its target is what the largest level holds, commonly itself, and
//! the one above has a tenth of that. Counted from the first, a last level that is hardly fuller than the one above it would
//! leave twice the space in use (Dong et al., "Optimizing Space Amplification in RocksDB", CIDR 2017).
//!
//! ```text
//!     level 0   newest tables, any keys        once there are 4, all are merged into the base level
//!     level 4   ████                           base level: small enough for level 0 to be merged into; may hold base_bytes
//!     level 5   ████████████████
//!     level 6   ████████████████████████████████████████████████████████   the target is what it holds
//! ```
//!
//! The base level alone may hold more than its part, up to `base_bytes`: with every merge of level 0 most of it is written
//! again, and what it hands down at once, and not table by table, meets the level below once. That is paid for in space.
//!
//! A tombstone takes a few bytes and keeps an entry further down from going, whose space is not free until the two have met.
//! So tombstones weigh more than their bytes: a level is the fuller for them, and a table with many of them goes sooner. Level 0
//! is merged by the number of its tables all the same: merged sooner, it would bring the same base level with it more often.
//!
//! **Left out**: splitting one compaction over several threads.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::compaction::{Choice, Merge, Strategy};
use super::levels::{LEVELS, Levels, TableId, TableMeta};

/// Leveled compaction.
#[derive(Debug, Clone, Copy)]
pub struct Leveled {
    /// How many tables of level 0 call for a compaction.
    pub level0_tables: usize,
    /// How much the base level is to hold, in bytes.
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

/// How often a tombstone counts as the entry that it hides: once for the space, and once because who walks over the keys
/// passes both.
const TOMBSTONE_WEIGHT: u64 = 2;

/// What tombstones keep from going, as far as it can be told: each hides an entry of the mean size.
#[derive(Debug, Clone, Copy)]
struct Hidden {
    entry_bytes: u64,
}

impl Hidden {
    /// The mean is that of the level that holds the most.
    fn new(levels: &Levels) -> Self {
        let largest = (1..LEVELS).max_by_key(|level| levels.level_bytes(*level)).unwrap_or(0);
        let entries: u64 = levels.level(largest).iter().map(|table| table.entries).sum();
        Self { entry_bytes: levels.level_bytes(largest) / entries.max(1) }
    }

    /// A table with what its tombstones hide, counted as often as they weigh.
    fn weight(self, table: &TableMeta) -> u64 {
        let hidden = table.tombstones.saturating_mul(self.entry_bytes).saturating_mul(TOMBSTONE_WEIGHT);
        table.len_bytes.saturating_add(hidden)
    }
}

impl Leveled {
    /// The base level and the targets, for what the levels hold.
    pub fn targets(&self, levels: &Levels) -> Targets {
        // >>> exercise: from the last level upwards, a part of the one below each, until it is small enough for level 0 to be merged into
        let mut bytes = [0; LEVELS];
        let last = LEVELS - 1;
        // While there are tables above the level that would be the base, they have to come down first.
        let first_used = (1..LEVELS).find(|level| !levels.level(*level).is_empty()).unwrap_or(last);
        bytes[last] = (1..LEVELS).map(|level| levels.level_bytes(level)).max().unwrap_or(0).max(self.base_bytes);
        let mut base = last;
        while base > 1 && (bytes[base] > self.base_bytes || base > first_used) {
            bytes[base - 1] = (bytes[base] / self.growth.max(1)).max(1);
            base -= 1;
        }
        bytes[base] = bytes[base].max(self.base_bytes);
        Targets { base, bytes }
        // <<<
    }

    /// How much each level exceeds its target: 1.0 is full. Level 0 counts tables.
    pub fn scores(&self, levels: &Levels) -> [f64; LEVELS] {
        let targets = self.targets(levels);
        let hidden = Hidden::new(levels);
        let mut scores = [0.0; LEVELS];
        scores[0] = levels.level(0).len() as f64 / self.level0_tables as f64;
        for (level, score) in scores.iter_mut().enumerate().take(LEVELS - 1).skip(targets.base) {
            let weight: u64 = levels.level(level).iter().map(|table| hidden.weight(table)).sum();
            *score = weight as f64 / targets.bytes[level].max(1) as f64;
        }
        scores
    }

    fn of_level0(&self, levels: &Levels, busy: &BTreeSet<TableId>) -> Choice {
        // >>> exercise: all of it into the base level, unless its oldest table can be moved there as it is
        let tables = levels.level(0);
        // Two merges of level 0 would bring their keys into the next in the wrong order.
        if tables.iter().any(|table| busy.contains(&table.id)) {
            return Choice::Nothing;
        }
        let base = self.targets(levels).base;
        // What is written in the order of its keys goes down without being written again.
        if let Some(oldest) = tables.last()
            && let sunk @ Choice::Move { .. } = self.merge(levels, 0, std::slice::from_ref(oldest), base, busy)
        {
            return sunk;
        }
        self.merge(levels, 0, tables, base, busy)
        // <<<
    }

    fn of_level(&self, levels: &Levels, level: usize, busy: &BTreeSet<TableId>) -> Choice {
        // >>> exercise: the table that brings the least of the next level with it, for what it weighs itself
        let hidden = Hidden::new(levels);
        let cost = |table: &TableMeta| {
            let (first, last) = (table.smallest.as_key().user(), table.largest.as_key().user());
            let below: u64 = levels.overlapping(level + 1, first, last).iter().map(|other| other.len_bytes).sum();
            below.saturating_mul(1024) / hidden.weight(table).max(1)
        };
        let mut tables: Vec<_> = levels.level(level).iter().filter(|table| !busy.contains(&table.id)).collect();
        tables.sort_by_key(|table| (cost(table), table.id));
        tables
            .into_iter()
            .map(|table| self.merge(levels, level, std::slice::from_ref(table), level + 1, busy))
            .find(|choice| *choice != Choice::Nothing)
            .unwrap_or(Choice::Nothing)
        // <<<
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
        // >>> exercise: of the levels that are full, the fullest first
        let scores = self.scores(levels);
        let mut full: Vec<usize> = (0..LEVELS - 1).filter(|level| scores[*level] >= 1.0).collect();
        full.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        full.into_iter()
            .map(|level| if level == 0 { self.of_level0(levels, busy) } else { self.of_level(levels, level, busy) })
            .find(|choice| *choice != Choice::Nothing)
            .unwrap_or(Choice::Nothing)
        // <<<
    }

    fn choose_marked(&self, levels: &Levels, marked: &BTreeSet<TableId>, busy: &BTreeSet<TableId>) -> Choice {
        let is_free = |table: &&Arc<TableMeta>| marked.contains(&table.id) && !busy.contains(&table.id);
        if levels.level(0).iter().any(|table| is_free(&table)) {
            let choice = self.of_level0(levels, busy);
            if choice != Choice::Nothing {
                return choice;
            }
        }
        let below = (1..LEVELS - 1).flat_map(|level| levels.level(level).iter().map(move |table| (level, table)));
        below
            .filter(|(_, table)| is_free(table))
            .map(|(level, table)| self.merge(levels, level, std::slice::from_ref(table), level + 1, busy))
            .find(|choice| *choice != Choice::Nothing)
            .unwrap_or(Choice::Nothing)
    }

    /// Of bytes alone: what tombstones hide is left out.
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
