//! Levels: which tables there are, and what is known of each without opening it.
//!
//! A memtable becomes a table of **level 0**, where each may hold any key, and the newest is asked first. A compaction
//! merges tables into the next level, where tables do not overlap: at most one has to be asked there (DDIA ch. 3,
//! "Performance optimizations", size-tiered and leveled compaction).

use std::fmt;
use std::sync::Arc;

use super::key::{InternalKeyBuf, Seq};

/// How many levels there are at most: with each ten times the one before, more than any disk holds.
pub const LEVELS: usize = 7;

/// The number of a table, and of its file. Never used twice: the later, the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u64);

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

/// What is known of a table without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMeta {
    /// Its number.
    pub id: TableId,
    /// The length of its file, in bytes.
    pub len_bytes: u64,
    /// How many entries it has.
    pub entries: u64,
    /// How many of them are tombstones.
    pub tombstones: u64,
    /// How many range tombstones it has beside them.
    pub range_tombstones: u64,
    /// Its first key, or where the first of its range tombstones begins.
    pub smallest: InternalKeyBuf,
    /// Its last key, or where the last of its range tombstones ends.
    pub largest: InternalKeyBuf,
    /// Its newest write.
    pub newest: Seq,
}

impl TableMeta {
    /// Whether it may hold a user's key from `first` to `last`, both included.
    pub fn overlaps(&self, first: &[u8], last: &[u8]) -> bool {
        self.smallest.as_key().user() <= last && first <= self.largest.as_key().user()
    }
}

/// The tables of a tree.
///
/// **Invariants**: in level 0, the newest first; in the others, in the order of their keys, and no user's key is in two
/// of a level.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Levels {
    levels: [Vec<Arc<TableMeta>>; LEVELS],
}

/// A change of the tables: what a flush or a compaction did, and what the manifest records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edit {
    /// Tables that there are no more, with their levels.
    pub removed: Vec<(usize, TableId)>,
    /// New ones, with their levels.
    pub added: Vec<(usize, TableMeta)>,
}

/// Why an edit does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// There is no such level.
    #[error("there is no level {0}")]
    Level(usize),
    /// It removes what is not there.
    #[error("table {1} is not in level {0}")]
    Missing(usize, TableId),
    /// It adds what overlaps a table of the level.
    #[error("table {1} overlaps another of level {0}")]
    Overlap(usize, TableId),
}

impl Levels {
    /// No tables.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tables of a level.
    pub fn level(&self, level: usize) -> &[Arc<TableMeta>] {
        &self.levels[level]
    }

    /// All levels, from 0.
    pub fn iter(&self) -> impl Iterator<Item = &[Arc<TableMeta>]> {
        self.levels.iter().map(Vec::as_slice)
    }

    /// The bytes of a level's tables.
    pub fn level_bytes(&self, level: usize) -> u64 {
        self.levels[level].iter().map(|table| table.len_bytes).sum()
    }

    /// The bytes of all tables.
    pub fn total_bytes(&self) -> u64 {
        (0..LEVELS).map(|level| self.level_bytes(level)).sum()
    }

    /// The deepest level that has tables; 0 when none has.
    pub fn deepest(&self) -> usize {
        (0..LEVELS).rev().find(|level| !self.levels[*level].is_empty()).unwrap_or(0)
    }

    /// The tables of a level that may hold a user's key from `first` to `last`, both included.
    pub fn overlapping(&self, level: usize, first: &[u8], last: &[u8]) -> &[Arc<TableMeta>] {
        let tables = &self.levels[level];
        assert!(level > 0, "tables of level 0 are in the order of their age");
        let from = tables.partition_point(|table| table.largest.as_key().user() < first);
        let to = tables.partition_point(|table| table.smallest.as_key().user() <= last);
        &tables[from..to.max(from)]
    }

    /// The table of a level below 0 that may hold `user`.
    pub fn find(&self, level: usize, user: &[u8]) -> Option<&Arc<TableMeta>> {
        let tables = &self.levels[level];
        let at = tables.partition_point(|table| table.largest.as_key().user() < user);
        tables.get(at).filter(|table| table.smallest.as_key().user() <= user)
    }

    /// The tables after `edit`.
    ///
    /// # Errors
    ///
    /// [`EditError`] when it was made for other tables than these.
    pub fn apply(&self, edit: &Edit) -> Result<Self, EditError> {
        let mut levels = self.clone();
        for &(level, id) in &edit.removed {
            let tables = levels.levels.get_mut(level).ok_or(EditError::Level(level))?;
            let at = tables.iter().position(|table| table.id == id).ok_or(EditError::Missing(level, id))?;
            tables.remove(at);
        }
        for (level, table) in &edit.added {
            let tables = levels.levels.get_mut(*level).ok_or(EditError::Level(*level))?;
            let at = if *level == 0 {
                tables.partition_point(|other| other.newest > table.newest)
            } else {
                tables.partition_point(|other| other.smallest < table.smallest)
            };
            tables.insert(at, Arc::new(table.clone()));
            let apart =
                |left: &TableMeta, right: &TableMeta| left.largest.as_key().user() < right.smallest.as_key().user();
            if *level > 0
                && !tables[at.saturating_sub(1)..]
                    .iter()
                    .zip(&tables[at.saturating_sub(1) + 1..])
                    .take(2)
                    .all(|(left, right)| apart(left, right))
            {
                return Err(EditError::Overlap(*level, table.id));
            }
        }
        Ok(levels)
    }
}
