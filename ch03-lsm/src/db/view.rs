//! Views: all that a reader looks at, as it was at one moment.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::tables::OpenTable;
use crate::engine::cursor::Cursor;
use crate::engine::fences::Fences;
use crate::engine::key::{InternalKey, Kind, Seq};
use crate::engine::levels::{Edit, LEVELS, Levels, TableId, TableMeta};
use crate::engine::memtable::{Found, Memtable};
use crate::engine::range_tombstones::{Covers, RangeTombstones};
use crate::engine::read_triggered::{self, Vain};
use crate::engine::{bloom, key::InternalKeyBuf};
use crate::error::Error;
use crate::storage::batch::Write;
use crate::sync::{AtomicBool, RwLock};

/// A memtable and the range tombstones beside it, with the log that holds the same.
///
/// **Invariants**: `has_ranges` is set before a reader may see the first of `ranges`.
#[derive(Debug)]
pub(super) struct Mem {
    pub(super) table: Memtable,
    /// The number of the log.
    pub(super) wal: u64,
    /// Where nobody deletes ranges, a read asks no more than this.
    has_ranges: AtomicBool,
    /// Changed in place, unless an iterator holds them: then a copy is.
    ranges: RwLock<Arc<RangeTombstones>>,
}

/// Where a reader looks, the newest first.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) memtable: Arc<Mem>,
    /// Full ones that are not written out yet, the newest first.
    pub(super) immutables: Vec<Arc<Mem>>,
    pub(super) version: Arc<Version>,
}

/// The tables of a moment.
///
/// **Invariants**: `tables` has the same tables as `levels`, in the same places, and `fences` the last key of each but in level
/// 0, where they are in no order; `has_ranges` if any of them has range tombstones.
#[derive(Debug, Default)]
pub(super) struct Version {
    pub(super) levels: Levels,
    pub(super) tables: [Vec<Arc<OpenTable>>; LEVELS],
    fences: [Fences; LEVELS],
    has_ranges: bool,
}

/// A get on its way down the levels.
struct Asking<'a, K, M> {
    hash: u64,
    /// The table that was asked last and did not know, if the get is counted.
    vain: Option<(&'a OpenTable, Vain)>,
    /// Made when the first filter does not say no.
    seek: LazyCell<InternalKeyBuf, K>,
    mark: M,
}

impl Mem {
    pub(super) fn new(wal: u64) -> Self {
        Self { table: Memtable::new(), wal, has_ranges: AtomicBool::new(false), ranges: RwLock::default() }
    }

    /// Adds the write `seq`. `seen` is the newest write that readers may see so far: they will not see a part of what is written
    /// after it and before they see all of that.
    pub(super) fn insert(&self, write: Write<'_>, seq: Seq, seen: Seq) {
        if write.kind == Kind::DeleteRange {
            let mut ranges = self.ranges.write().unwrap_or_else(PoisonError::into_inner);
            Arc::make_mut(&mut ranges).insert(write.key, write.value, seq, seen);
            self.has_ranges.store(true, Ordering::Release);
        } else {
            self.table.insert(write.key, seq, write.kind, write.value);
        }
    }

    /// The newest write to `user`, or to a range that it lies in, that a reader at `seq` may see.
    pub(super) fn get(&self, user: &[u8], seq: Seq) -> Option<Found<Vec<u8>>> {
        let covering = if self.has_ranges.load(Ordering::Acquire) {
            self.ranges.read().unwrap_or_else(PoisonError::into_inner).covering(user, seq)
        } else {
            None
        };
        let Some(covering) = covering else {
            // What is empty is not even searched: after a flush, that is what it is.
            return if self.table.is_empty() { None } else { self.table.get(user, seq, <[u8]>::to_vec) };
        };
        let is_newer = |key: &InternalKey, _: &[u8]| key.user() == user && key.stamp().seq() > covering;
        match self.table.first_from(InternalKeyBuf::seek(user, seq).as_key(), is_newer) {
            Some(true) => self.table.get(user, seq, <[u8]>::to_vec),
            _ => Some(Found::Deleted),
        }
    }

    /// Its range tombstones so far; `None` when there are none.
    pub(super) fn ranges(&self) -> Option<Arc<RangeTombstones>> {
        let has_ranges = self.has_ranges.load(Ordering::Acquire);
        has_ranges.then(|| Arc::clone(&self.ranges.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// About how much memory it takes, in bytes.
    pub(super) fn used_bytes(&self) -> usize {
        let mut bytes = self.table.used_bytes();
        if self.has_ranges.load(Ordering::Acquire) {
            bytes += self.ranges.read().unwrap_or_else(PoisonError::into_inner).used_bytes();
        }
        bytes
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty() && !self.has_ranges.load(Ordering::Acquire)
    }
}

impl Version {
    /// These tables, which are the same.
    pub(super) fn new(levels: Levels, tables: [Vec<Arc<OpenTable>>; LEVELS]) -> Self {
        let has_ranges = levels.iter().flatten().any(|meta| meta.range_tombstones > 0);
        let fences = std::array::from_fn(|level| {
            let metas = if level == 0 { &[] } else { levels.level(level) };
            let fences = Fences::new(metas.iter().map(|meta| meta.largest.as_key()));
            fences.expect("the manifest names all of them, and is far below 4 GiB")
        });
        Self { levels, tables, fences, has_ranges }
    }

    /// The first table of a level whose last key is not below `key`; as many as there are when there is none.
    pub(super) fn find(&self, level: usize, key: &InternalKey) -> usize {
        assert!(level > 0, "tables of level 0 are in no order");
        self.fences[level].find(key)
    }

    /// The tables after `edit`, with those that it adds.
    pub(super) fn apply(&self, edit: &Edit, levels: Levels, opened: &[Arc<OpenTable>]) -> Self {
        let mut tables: [Vec<Arc<OpenTable>>; LEVELS] = Default::default();
        let known: BTreeMap<_, _> = self.tables.iter().flatten().chain(opened).map(|table| (table.id, table)).collect();
        debug_assert!(edit.added.len() == opened.len());
        for (level, metas) in levels.iter().enumerate() {
            for meta in metas {
                let table = known.get(&meta.id).expect("a table is known or added");
                tables[level].push(Arc::clone(table));
            }
        }
        Self::new(levels, tables)
    }

    /// The newest write to `user`, or to a range that it lies in, that a reader at `seq` may see. The first table that knows of
    /// either decides: of whatever lies in the span of both, the one that is asked first is newer. A table that may have been asked
    /// in vain too often is given to `mark`.
    pub(super) fn get(&self, user: &[u8], seq: Seq, mark: impl Fn(TableId)) -> Result<Option<Found<Vec<u8>>>, Error> {
        let hash = bloom::hash(user);
        let mut asking = Asking { hash, vain: None, seek: LazyCell::new(|| InternalKeyBuf::seek(user, seq)), mark };
        for (meta, table) in self.levels.level(0).iter().zip(&self.tables[0]) {
            if meta.overlaps(user, user)
                && let Some(found) = asking.ask(table)?
            {
                return Ok(Some(found));
            }
        }
        for level in 1..LEVELS {
            let metas = self.levels.level(level);
            if metas.is_empty() {
                continue;
            }
            let at = self.fences[level].find_user(user);
            if metas.get(at).is_some_and(|meta| meta.smallest.as_key().user() <= user)
                && let Some(found) = asking.ask(&self.tables[level][at])?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl<'a, K: FnOnce() -> InternalKeyBuf, M: Fn(TableId)> Asking<'a, K, M> {
    fn ask(&mut self, table: &'a Arc<OpenTable>) -> Result<Option<Found<Vec<u8>>>, Error> {
        // The one before did not know: without it, this one would have been asked at once.
        if let Some((before, vain)) = self.vain
            && before.rent.pay(vain)
        {
            (self.mark)(before.id);
        }
        let mut vain = Vain::Filter;
        let found = table.ask(|table| match table.may_contain(self.hash) {
            true => {
                vain = Vain::Block;
                table.get(self.seek.as_key())
            }
            false if table.ranges().is_empty() => Ok(None),
            false => Ok(table.covering(self.seek.as_key()).map(|_| Found::Deleted)),
        })?;
        self.vain = read_triggered::is_counted(self.hash).then_some((table, vain));
        Ok(found)
    }
}

impl View {
    /// What hides keys from a reader at `seq`. The reader has that number already: the tombstones that it sees are there.
    ///
    /// # Errors
    ///
    /// A table cannot be opened.
    pub(super) fn covers(&self, seq: Seq, lower: Option<&[u8]>, upper: Option<&[u8]>) -> Result<Covers, Error> {
        let is_within = |meta: &TableMeta| {
            lower.is_none_or(|lower| lower <= meta.largest.as_key().user())
                && upper.is_none_or(|upper| meta.smallest.as_key().user() < upper)
        };
        let in_memory = std::iter::once(&self.memtable).chain(&self.immutables);
        let in_memory = in_memory.filter_map(|mem| mem.ranges()).map(|ranges| vec![ranges]);
        let mut runs: Vec<_> = in_memory.collect();
        if self.version.has_ranges {
            for (level, (metas, tables)) in self.version.levels.iter().zip(&self.version.tables).enumerate() {
                let with_ranges =
                    metas.iter().zip(tables).filter(|(meta, _)| meta.range_tombstones > 0 && is_within(meta));
                let ranges = with_ranges.map(|(_, table)| Ok(Arc::clone(table.load()?.ranges())));
                let ranges: Vec<_> = ranges.collect::<Result<_, Error>>()?;
                if level == 0 {
                    runs.extend(ranges.into_iter().map(|ranges| vec![ranges]));
                } else {
                    runs.push(ranges);
                }
            }
        }
        Ok(Covers::new(seq, runs))
    }

    /// Whether all that there is from `from` up to `to` (to the end without one) is older than `seq`, as far as can be told without
    /// reading it.
    pub(super) fn is_older(&self, from: &[u8], to: Option<&[u8]>, seq: Seq) -> Result<bool, Error> {
        let is_below = |user: &[u8]| to.is_none_or(|to| user < to);
        let seek = InternalKeyBuf::seek(from, Seq::MAX);
        for mem in std::iter::once(&self.memtable).chain(&self.immutables) {
            if mem.table.first_from(seek.as_key(), |key, _| is_below(key.user())) == Some(true) {
                return Ok(false);
            }
        }
        for (meta, table) in self.version.levels.iter().flatten().zip(self.version.tables.iter().flatten()) {
            let (first, last) = (meta.smallest.as_key().user(), meta.largest.as_key().user());
            if meta.newest > seq && from <= last && is_below(first) {
                let mut cursor = table.load()?.cursor();
                cursor.seek(seek.as_key())?;
                if cursor.key().is_some_and(|key| is_below(key.user())) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The newest write to `user` that a reader at `seq` may see. A table that may have been asked in vain too often is given to `mark`.
    pub(super) fn get(&self, user: &[u8], seq: Seq, mark: impl Fn(TableId)) -> Result<Option<Vec<u8>>, Error> {
        let in_memory = std::iter::once(&self.memtable).chain(&self.immutables);
        for mem in in_memory {
            if let Some(found) = mem.get(user, seq) {
                return Ok(value_of(found));
            }
        }
        Ok(self.version.get(user, seq, mark)?.and_then(value_of))
    }
}

fn value_of(found: Found<Vec<u8>>) -> Option<Vec<u8>> {
    match found {
        Found::Value(value) => Some(value),
        Found::Deleted => None,
    }
}
