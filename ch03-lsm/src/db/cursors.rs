//! Cursors over the parts of a view: a memtable, a table, a level.

use std::ops::Range;
use std::sync::Arc;

use super::view::{Mem, Version};
use crate::engine::cursor::Cursor;
use crate::engine::key::{InternalKey, InternalKeyBuf, Seq, Stamp};
use crate::engine::leaves::Run;
use crate::engine::levels::TableId;
use crate::engine::range_tombstones::successor;
use crate::engine::read_triggered::Vain;
use crate::error::Error;
use crate::storage::table::TableCursor;

/// A sorted part of a tree.
#[derive(Debug)]
pub(super) enum Source {
    Memtable(MemtableCursor),
    Level(LevelCursor),
}

/// A place in a memtable, which goes on growing.
///
/// **Invariants**: it is at entry `at` of `run`, or beyond the ends if that has not so many. What was inserted between two
/// entries since they were copied is newer than whatever this reader may see.
#[derive(Debug)]
pub(super) struct MemtableCursor {
    mem: Arc<Mem>,
    run: Run,
    at: usize,
}

/// A place in tables of a level that follow one another.
///
/// A seek need not read a block to know what a table has not got. If its filter denies the key, its next entry is above that: the
/// cursor then is at a key that nobody has, below that entry and above the one that was sought, and reads the block when
/// the merge comes to it. Often it does not: another source has the very key, and nobody asks for the next. So the oldest
/// source, which has the most entries, asks its filter only if a newer one has the key: what comes first is else most likely
/// its own.
///
/// **Invariants**: `cursor` is in the table `at`, which is in `range`; where it is at no entry, there is none in that direction.
/// While there is a key `before`, there is no `cursor`, and all that comes next is not below it.
#[derive(Debug)]
pub(super) struct LevelCursor {
    version: Arc<Version>,
    level: usize,
    range: Range<usize>,
    /// Whether all of it is read, once.
    is_scan: bool,
    at: usize,
    cursor: Option<TableCursor>,
    before: Option<InternalKeyBuf>,
}

impl Source {
    /// To the first entry of user's keys that are not below `key`'s, or to before it; `hash` is what a filter knows the key by,
    /// if one is to be asked.
    pub(super) fn seek_near(&mut self, key: &InternalKey, hash: Option<u64>) -> Result<(), Error> {
        match self {
            Self::Memtable(cursor) => cursor.seek(key),
            Self::Level(cursor) => cursor.seek_near(key, hash),
        }
    }

    /// The table that the last seek asked, if it was in vain, which is when it has not got `found`, and may have been so too
    /// often now.
    pub(super) fn asked_in_vain(&self, found: Option<&[u8]>) -> Option<TableId> {
        let Self::Level(LevelCursor { version, level, at, before, cursor, .. }) = self else { return None };
        let (meta, table) = (version.levels.level(*level).get(*at)?, version.tables[*level].get(*at)?);
        let vain = match (before, cursor) {
            // All of it comes after what was sought: nothing was asked.
            (Some(before), _) if *before == meta.smallest => return None,
            (Some(_), _) => Vain::Filter,
            (None, Some(cursor)) if found.is_some() && cursor.key().map(InternalKey::user) == found => return None,
            (None, Some(_)) => Vain::Block,
            (None, None) => return None,
        };
        table.rent.pay(vain).then_some(table.id)
    }

    /// Whether it is at no entry, but before one.
    pub(super) fn is_before(&self) -> bool {
        matches!(self, Self::Level(LevelCursor { before: Some(_), .. }))
    }

    /// To the entry that it is before.
    pub(super) fn arrive(&mut self) -> Result<(), Error> {
        match self {
            Self::Level(LevelCursor { before: before @ Some(_), .. }) => {
                let before = before.take().expect("it is there");
                self.seek(before.as_key())
            }
            _ => Ok(()),
        }
    }
}

impl MemtableCursor {
    pub(super) fn new(mem: Arc<Mem>) -> Self {
        Self { mem, run: Run::default(), at: 0 }
    }
}

impl LevelCursor {
    /// Over tables of a level that do not overlap: in level 0 it is one.
    pub(super) fn new(version: &Arc<Version>, level: usize, range: Range<usize>) -> Self {
        Self { version: Arc::clone(version), level, at: range.start, range, is_scan: false, cursor: None, before: None }
    }

    /// The same for who reads all of it, once.
    pub(super) fn scan(version: &Arc<Version>, level: usize, range: Range<usize>) -> Self {
        Self { is_scan: true, ..Self::new(version, level, range) }
    }

    fn open(&mut self, at: usize) -> Result<Option<&mut TableCursor>, Error> {
        (self.at, self.cursor, self.before) = (at, None, None);
        if self.range.contains(&at) {
            let table = self.version.tables[self.level][at].load()?;
            self.cursor = Some(if self.is_scan { table.scan() } else { table.cursor() });
        }
        Ok(self.cursor.as_mut())
    }

    fn seek_near(&mut self, key: &InternalKey, hash: Option<u64>) -> Result<(), Error> {
        let at = self.place(key);
        if self.range.contains(&at) {
            let smallest = self.version.levels.level(self.level)[at].smallest.as_key();
            let before = if smallest > key {
                Some(smallest.into())
            } else if let Some(hash) = hash
                && !self.version.tables[self.level][at].ask(|table| Ok(table.may_contain(hash)))?
            {
                Some(InternalKeyBuf::seek(&successor(key.user()), Seq::MAX))
            } else {
                None
            };
            if before.is_some() {
                (self.at, self.cursor, self.before) = (at, None, before);
                return Ok(());
            }
        }
        self.seek_in(at, key)
    }

    /// The first table of the range whose last key is not below `key`; `range.end` when there is none.
    fn place(&self, key: &InternalKey) -> usize {
        if self.level == 0 {
            let is_below = self.version.levels.level(0)[self.range.start].largest.as_key() < key;
            return self.range.start + usize::from(is_below);
        }
        self.version.find(self.level, key).clamp(self.range.start, self.range.end)
    }

    /// To the first entry that is not below `key`, which is not in a table before `at`.
    fn seek_in(&mut self, at: usize, key: &InternalKey) -> Result<(), Error> {
        if let Some(cursor) = self.open(at)? {
            cursor.seek(key)?;
        }
        self.forward()
    }

    fn is_between(&self) -> bool {
        self.cursor.as_ref().is_some_and(|cursor| cursor.key().is_none())
    }

    fn forward(&mut self) -> Result<(), Error> {
        while self.is_between() {
            if let Some(cursor) = self.open(self.at + 1)? {
                cursor.seek_to_first()?;
            }
        }
        Ok(())
    }

    fn backward(&mut self) -> Result<(), Error> {
        while self.is_between() {
            if self.at == self.range.start {
                self.cursor = None;
            } else {
                self.open(self.at - 1)?.expect("there are tables before").seek_to_last()?;
            }
        }
        Ok(())
    }
}

impl Cursor for MemtableCursor {
    type Error = Error;

    fn seek_to_first(&mut self) -> Result<(), Error> {
        let first = InternalKeyBuf::new(&[], Stamp::newest(Seq::MAX));
        self.seek(first.as_key())
    }

    fn seek_to_last(&mut self) -> Result<(), Error> {
        self.mem.table.run_to_end(&mut self.run);
        self.at = self.run.len().saturating_sub(1);
        Ok(())
    }

    fn seek(&mut self, key: &InternalKey) -> Result<(), Error> {
        self.mem.table.run_from(key, &mut self.run);
        self.at = 0;
        Ok(())
    }

    fn seek_for_prev(&mut self, key: &InternalKey) -> Result<(), Error> {
        self.mem.table.run_to(key, &mut self.run);
        self.at = self.run.len().saturating_sub(1);
        Ok(())
    }

    fn next(&mut self) -> Result<(), Error> {
        if self.at + 1 < self.run.len() {
            self.at += 1;
            return Ok(());
        }
        let key = InternalKeyBuf::from(self.key().expect("next() from an entry"));
        self.mem.table.run_after(key.as_key(), &mut self.run);
        self.at = 0;
        Ok(())
    }

    fn prev(&mut self) -> Result<(), Error> {
        if self.at > 0 {
            self.at -= 1;
            return Ok(());
        }
        let key = InternalKeyBuf::from(self.key().expect("prev() from an entry"));
        self.mem.table.run_before(key.as_key(), &mut self.run);
        self.at = self.run.len().saturating_sub(1);
        Ok(())
    }

    fn key(&self) -> Option<&InternalKey> {
        (self.at < self.run.len()).then(|| self.run.key(self.at))
    }

    fn value(&self) -> &[u8] {
        if self.at < self.run.len() { self.run.value(self.at) } else { &[] }
    }
}

impl Cursor for LevelCursor {
    type Error = Error;

    fn seek_to_first(&mut self) -> Result<(), Error> {
        if let Some(cursor) = self.open(self.range.start)? {
            cursor.seek_to_first()?;
        }
        self.forward()
    }

    fn seek_to_last(&mut self) -> Result<(), Error> {
        if let Some(cursor) = self.open(self.range.end.wrapping_sub(1))? {
            cursor.seek_to_last()?;
        }
        self.backward()
    }

    fn seek(&mut self, key: &InternalKey) -> Result<(), Error> {
        self.seek_in(self.place(key), key)
    }

    fn seek_for_prev(&mut self, key: &InternalKey) -> Result<(), Error> {
        let tables = &self.version.levels.level(self.level)[self.range.clone()];
        let after = self.range.start + tables.partition_point(|meta| meta.smallest.as_key() <= key);
        (self.cursor, self.before) = (None, None);
        if after > self.range.start {
            self.open(after - 1)?.expect("it is there").seek_for_prev(key)?;
        }
        self.backward()
    }

    fn next(&mut self) -> Result<(), Error> {
        self.cursor.as_mut().expect("next() from an entry").next()?;
        self.forward()
    }

    fn prev(&mut self) -> Result<(), Error> {
        self.cursor.as_mut().expect("prev() from an entry").prev()?;
        self.backward()
    }

    fn key(&self) -> Option<&InternalKey> {
        match &self.before {
            None => self.cursor.as_ref().and_then(Cursor::key),
            Some(before) => Some(before.as_key()),
        }
    }

    fn value(&self) -> &[u8] {
        self.cursor.as_ref().map_or(&[], Cursor::value)
    }
}

/// Calls the same of whichever it is.
macro_rules! each {
    ($self:expr, $cursor:ident => $call:expr) => {
        match $self {
            Source::Memtable($cursor) => $call,
            Source::Level($cursor) => $call,
        }
    };
}

impl Cursor for Source {
    type Error = Error;

    fn seek_to_first(&mut self) -> Result<(), Error> {
        each!(self, cursor => cursor.seek_to_first())
    }

    fn seek_to_last(&mut self) -> Result<(), Error> {
        each!(self, cursor => cursor.seek_to_last())
    }

    fn seek(&mut self, key: &InternalKey) -> Result<(), Error> {
        each!(self, cursor => cursor.seek(key))
    }

    fn seek_for_prev(&mut self, key: &InternalKey) -> Result<(), Error> {
        each!(self, cursor => cursor.seek_for_prev(key))
    }

    fn next(&mut self) -> Result<(), Error> {
        each!(self, cursor => cursor.next())
    }

    fn prev(&mut self) -> Result<(), Error> {
        each!(self, cursor => cursor.prev())
    }

    fn key(&self) -> Option<&InternalKey> {
        each!(self, cursor => cursor.key())
    }

    fn value(&self) -> &[u8] {
        each!(self, cursor => cursor.value())
    }
}
