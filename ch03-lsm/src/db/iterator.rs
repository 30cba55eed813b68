//! Iterators: the keys and values that a reader at a snapshot sees, in order, both ways, and between bounds.
//!
//! What a range tombstone hides is passed over, entry by entry at first: newer puts may lie among what is hidden. After a run of
//! it the tables are asked whether there are any, and if not, all of the range is passed over with one seek.

use std::sync::{Arc, Weak};

use super::Inner;
use super::cursors::{LevelCursor, MemtableCursor, Source};
use super::view::View;
use crate::engine::bloom;
use crate::engine::cursor::Cursor;
use crate::engine::key::{InternalKeyBuf, Kind, Seq, Stamp};
use crate::engine::levels::{LEVELS, TableMeta};
use crate::engine::merge_iterator::MergeIterator;
use crate::engine::range_tombstones::{Covers, successor};
use crate::engine::read_triggered;
use crate::error::Error;

/// After how many hidden keys in a row it is worth some seeks to find out whether the rest of the range can be passed over.
const HIDDEN_RUN: u32 = 32;

/// A place among the keys that a reader sees, or beyond either end.
///
/// **Invariants**: at an entry, `key` is its key. Forward, the merge is at that entry; backward, it is at the last entry of the
/// user's key before it, and `value` is a copy of its value.
#[derive(Debug)]
pub struct DbIterator {
    merge: MergeIterator<Source>,
    view: Arc<View>,
    seq: Seq,
    covers: Covers,
    /// Whether `covers` are known: the tables that hold them are opened by the first seek, which can fail.
    is_prepared: bool,
    lower: Option<Vec<u8>>,
    upper: Option<Vec<u8>>,
    /// Told of tables that seeks ask in vain.
    tree: Weak<Inner>,
    is_at_entry: bool,
    key: Vec<u8>,
    value: Vec<u8>,
    is_forward: bool,
}

impl DbIterator {
    pub(super) fn new(
        view: Arc<View>,
        seq: Seq,
        lower: Option<&[u8]>,
        upper: Option<&[u8]>,
        tree: Weak<Inner>,
    ) -> Self {
        let version = &view.version;
        let mut sources = Vec::with_capacity(1 + view.immutables.len() + version.levels.level(0).len() + LEVELS);
        // The reader has its number already: to what is empty now nothing comes that it sees.
        for mem in std::iter::once(&view.memtable).chain(&view.immutables).filter(|mem| !mem.table.is_empty()) {
            sources.push(Source::Memtable(MemtableCursor::new(Arc::clone(mem))));
        }
        let is_before = |meta: &TableMeta| lower.is_some_and(|lower| meta.largest.as_key().user() < lower);
        let is_after = |meta: &TableMeta| upper.is_some_and(|upper| upper <= meta.smallest.as_key().user());
        for (at, meta) in version.levels.level(0).iter().enumerate() {
            if !is_before(meta) && !is_after(meta) {
                sources.push(Source::Level(LevelCursor::new(version, 0, at..at + 1)));
            }
        }
        for level in 1..LEVELS {
            let tables = version.levels.level(level);
            let from = tables.partition_point(|meta| is_before(meta));
            let to = tables.partition_point(|meta| !is_after(meta));
            if from < to {
                sources.push(Source::Level(LevelCursor::new(version, level, from..to)));
            }
        }
        Self {
            merge: MergeIterator::new(sources),
            seq,
            covers: Covers::new(seq, []),
            is_prepared: false,
            lower: lower.map(<[u8]>::to_vec),
            upper: upper.map(<[u8]>::to_vec),
            view,
            tree,
            is_at_entry: false,
            key: Vec::new(),
            value: Vec::new(),
            is_forward: true,
        }
    }

    /// The key that it is at; `None` beyond the ends.
    pub fn key(&self) -> Option<&[u8]> {
        self.is_at_entry.then_some(&self.key)
    }

    /// The value that it is at; empty beyond the ends.
    pub fn value(&self) -> &[u8] {
        match (self.is_at_entry, self.is_forward) {
            (false, _) => &[],
            (true, true) => self.merge.value(),
            (true, false) => &self.value,
        }
    }

    /// To the first key.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn seek_to_first(&mut self) -> Result<(), Error> {
        self.leave();
        self.prepare()?;
        if let Some(lower) = self.lower.clone() {
            return self.seek(&lower);
        }
        self.is_forward = true;
        self.merge.seek_to_first()?;
        self.find_next(false)
    }

    /// To the last key.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn seek_to_last(&mut self) -> Result<(), Error> {
        self.leave();
        self.prepare()?;
        self.is_forward = false;
        match self.upper.clone() {
            Some(upper) => self.seek_before(&upper)?,
            None => self.merge.seek_to_last()?,
        }
        self.find_prev()
    }

    /// To the first key that is not below `key`, nor below the lower bound.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn seek(&mut self, key: &[u8]) -> Result<(), Error> {
        self.leave();
        self.prepare()?;
        self.is_forward = true;
        let key = self.lower.as_deref().map_or(key, |lower| lower.max(key));
        if !self.is_below_upper(key) {
            self.leave();
            return Ok(());
        }
        let (sought, hash) = (InternalKeyBuf::seek(key, self.seq), bloom::hash(key));
        let (mut older, mut is_found) = (self.merge.sources().len(), false);
        self.merge.seek_each(|source| {
            older -= 1;
            source.seek_near(sought.as_key(), (is_found || older > 0).then_some(hash))?;
            is_found = is_found || source.key().is_some_and(|at| at.user() == key);
            Ok(())
        })?;
        self.find_next(false)?;
        if read_triggered::is_counted(hash) {
            self.pay();
        }
        Ok(())
    }

    /// Pays for what the last seek has asked in vain: of all sources but the oldest, which alone would have been asked without them.
    fn pay(&self) {
        let Some((_, newer)) = self.merge.sources().split_last() else { return };
        for table in newer.iter().filter_map(|source| source.asked_in_vain(self.key())) {
            if let Some(tree) = self.tree.upgrade() {
                tree.mark_if_too_dear(table);
            }
        }
    }

    /// To the last key that is not above `key`, and below the upper bound.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn seek_for_prev(&mut self, key: &[u8]) -> Result<(), Error> {
        self.leave();
        self.prepare()?;
        if !self.is_below_upper(key) {
            return self.seek_to_last();
        }
        self.is_forward = false;
        if !self.is_from_lower(key) {
            self.leave();
            return Ok(());
        }
        self.merge.seek_for_prev(InternalKeyBuf::new(key, Stamp::new(Seq(0), Kind::Delete)).as_key())?;
        self.find_prev()
    }

    /// To the next key. It must be at one.
    ///
    /// # Errors
    ///
    /// [`Error`].
    #[expect(clippy::should_implement_trait, reason = "a cursor goes both ways, and its entries are its own")]
    pub fn next(&mut self) -> Result<(), Error> {
        assert!(self.is_at_entry, "next() from an entry");
        self.leave();
        if !self.is_forward {
            // The merge stands before the key: to the first of its versions, and past all of them below.
            self.is_forward = true;
            self.merge.seek(InternalKeyBuf::seek(&self.key, Seq::MAX).as_key())?;
        }
        self.find_next(true)
    }

    /// To the key before. It must be at one.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn prev(&mut self) -> Result<(), Error> {
        assert!(self.is_at_entry, "prev() from an entry");
        self.leave();
        if self.is_forward {
            self.is_forward = false;
            let key = std::mem::take(&mut self.key);
            self.seek_before(&key)?;
            self.key = key;
        }
        self.find_prev()
    }

    fn prepare(&mut self) -> Result<(), Error> {
        if !self.is_prepared {
            self.covers = self.view.covers(self.seq, self.lower.as_deref(), self.upper.as_deref())?;
            self.is_prepared = true;
        }
        Ok(())
    }

    fn is_below_upper(&self, user: &[u8]) -> bool {
        self.upper.as_deref().is_none_or(|upper| user < upper)
    }

    fn is_from_lower(&self, user: &[u8]) -> bool {
        self.lower.as_deref().is_none_or(|lower| lower <= user)
    }

    /// To beyond the ends.
    fn leave(&mut self) {
        self.is_at_entry = false;
    }

    /// The merge to the last entry of a key below `user`.
    fn seek_before(&mut self, user: &[u8]) -> Result<(), Error> {
        self.merge.seek_for_prev(InternalKeyBuf::seek(user, Seq::MAX).as_key())?;
        // Of two writes with one number there is none: this can only be the key itself.
        while self.merge.key().is_some_and(|at| at.user() == user) {
            self.merge.prev()?;
        }
        Ok(())
    }

    /// Forward, to the first version that the reader sees of a key, from where the merge is; of one other than `key` if that
    /// `is_passed`.
    fn find_next(&mut self, is_passed: bool) -> Result<(), Error> {
        let found = self.try_find_next(is_passed);
        if found.is_err() {
            self.leave();
        }
        found
    }

    fn try_find_next(&mut self, mut is_passed: bool) -> Result<(), Error> {
        let mut hidden = 0;
        loop {
            while self.merge.source().is_some_and(Source::is_before) {
                self.merge.move_source(Source::arrive)?;
            }
            let at = self.merge.key().filter(|at| self.upper.as_deref().is_none_or(|upper| at.user() < upper));
            let Some(at) = at else {
                self.leave();
                return Ok(());
            };
            let (user, stamp) = (at.user(), at.stamp());
            if stamp.seq() <= self.seq && !(is_passed && self.key == user) {
                self.key.clear();
                self.key.extend_from_slice(user);
                let is_hidden = hides(&mut self.covers, &self.key, stamp.seq());
                if stamp.kind() == Some(Kind::Put) && !is_hidden {
                    self.is_at_entry = true;
                    return Ok(());
                }
                is_passed = true;
                hidden += u32::from(is_hidden);
                if is_hidden && hidden.is_multiple_of(HIDDEN_RUN) && self.pass_forward()? {
                    continue;
                }
            }
            self.merge.next()?;
        }
    }

    /// Backward, to the newest version that the reader sees of the key that the merge is at, or of one before it.
    fn find_prev(&mut self) -> Result<(), Error> {
        let found = self.try_find_prev();
        if found.is_err() {
            self.leave();
        }
        found
    }

    fn try_find_prev(&mut self) -> Result<(), Error> {
        let mut is_found = false;
        let (mut is_deleted, mut is_hidden, mut hidden) = (false, false, 0);
        while let Some(at) = self.merge.key().filter(|at| self.lower.as_deref().is_none_or(|lower| lower <= at.user()))
        {
            if is_found && self.key != at.user() {
                if !is_deleted {
                    break;
                }
                is_found = false;
                hidden += u32::from(is_hidden);
                if is_hidden && hidden.is_multiple_of(HIDDEN_RUN) && self.pass_backward()? {
                    continue;
                }
            }
            let at = self.merge.key().expect("it has not moved");
            let stamp = at.stamp();
            if stamp.seq() <= self.seq {
                is_hidden = hides(&mut self.covers, at.user(), stamp.seq());
                is_deleted = is_hidden || stamp.kind() != Some(Kind::Put);
                is_found = true;
                self.key.clear();
                self.key.extend_from_slice(at.user());
                self.value.clear();
                self.value.extend_from_slice(self.merge.value());
            }
            self.merge.prev()?;
        }
        self.is_at_entry = is_found && !is_deleted;
        Ok(())
    }

    /// From the hidden key `key`, with the merge beyond all that is hidden by the same, if that is all there is.
    fn pass_forward(&mut self) -> Result<bool, Error> {
        let Some(covering) = self.covers.covering(&self.key) else { return Ok(false) };
        let (_, to) = self.covers.extent();
        if !self.view.is_older(&self.key, to, covering)? {
            return Ok(false);
        }
        // There is an end to every range tombstone.
        let Some(to) = to else { return Ok(false) };
        self.merge.seek(InternalKeyBuf::seek(to, Seq::MAX).as_key())?;
        Ok(true)
    }

    /// The same backward, if what the merge is at is hidden.
    fn pass_backward(&mut self) -> Result<bool, Error> {
        let Some(user) = self.merge.key().map(|at| at.user().to_vec()) else { return Ok(false) };
        let Some(covering) = self.covers.covering(&user) else { return Ok(false) };
        let from = self.covers.extent().0.to_vec();
        if !self.view.is_older(&from, Some(&successor(&user)), covering)? {
            return Ok(false);
        }
        self.seek_before(&from)?;
        Ok(true)
    }
}

/// Whether a write to `user` is hidden by a newer range tombstone.
fn hides(covers: &mut Covers, user: &[u8], seq: Seq) -> bool {
    !covers.is_empty() && covers.covering(user).is_some_and(|covering| covering > seq)
}
