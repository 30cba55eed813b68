//! Iterators: the keys and values that a reader at a snapshot sees, in order, both ways.

use std::sync::Arc;

use super::cursors::{LevelCursor, MemtableCursor, Source};
use super::view::View;
use crate::engine::cursor::Cursor;
use crate::engine::key::{InternalKeyBuf, Kind, Seq, Stamp};
use crate::engine::levels::LEVELS;
use crate::engine::merge_iterator::MergeIterator;
use crate::error::Error;

/// A place among the keys that a reader sees, or beyond either end.
///
/// **Invariants**: at an entry, `key` and `value` are it. Forward, the merge is at that entry; backward, it is at the last
/// entry of the user's key before it.
#[derive(Debug)]
pub struct DbIterator {
    merge: MergeIterator<Source>,
    seq: Seq,
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    is_forward: bool,
}

impl DbIterator {
    pub(super) fn new(view: &View, seq: Seq) -> Self {
        let mut sources = Vec::new();
        for mem in std::iter::once(&view.memtable).chain(&view.immutables) {
            sources.push(Source::Memtable(MemtableCursor::new(Arc::clone(mem))));
        }
        let version = &view.version;
        let of_level =
            |level: usize| version.levels.level(level).iter().cloned().zip(version.tables[level].iter().cloned());
        for table in of_level(0) {
            sources.push(Source::Level(LevelCursor::new(vec![table])));
        }
        for level in 1..LEVELS {
            if !version.tables[level].is_empty() {
                sources.push(Source::Level(LevelCursor::new(of_level(level).collect())));
            }
        }
        Self { merge: MergeIterator::new(sources), seq, key: None, value: Vec::new(), is_forward: true }
    }

    /// The key that it is at; `None` beyond the ends.
    pub fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    /// The value that it is at; empty beyond the ends.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// To the first key.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn seek_to_first(&mut self) -> Result<(), Error> {
        self.is_forward = true;
        self.merge.seek_to_first()?;
        self.find_next(None)
    }

    /// To the last key.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn seek_to_last(&mut self) -> Result<(), Error> {
        self.is_forward = false;
        self.merge.seek_to_last()?;
        self.find_prev()
    }

    /// To the first key that is not below `key`.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn seek(&mut self, key: &[u8]) -> Result<(), Error> {
        self.is_forward = true;
        self.merge.seek(InternalKeyBuf::seek(key, self.seq).as_key())?;
        self.find_next(None)
    }

    /// To the last key that is not above `key`.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn seek_for_prev(&mut self, key: &[u8]) -> Result<(), Error> {
        self.is_forward = false;
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
        let key = self.key.take().expect("next() from an entry");
        if !self.is_forward {
            // The merge stands before the key: to the first of its versions, and past all of them below.
            self.is_forward = true;
            self.merge.seek(InternalKeyBuf::seek(&key, Seq::MAX).as_key())?;
        }
        self.find_next(Some(key))
    }

    /// To the key before. It must be at one.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn prev(&mut self) -> Result<(), Error> {
        let key = self.key.take().expect("prev() from an entry");
        if self.is_forward {
            self.is_forward = false;
            self.merge.seek_for_prev(InternalKeyBuf::seek(&key, Seq::MAX).as_key())?;
            // Of two writes with one number there is none: this can only be the key itself.
            while self.merge.key().is_some_and(|at| at.user() == key) {
                self.merge.prev()?;
            }
        }
        self.find_prev()
    }

    /// Forward, to the first version that the reader sees of a key other than `passed`, from where the merge is.
    fn find_next(&mut self, mut passed: Option<Vec<u8>>) -> Result<(), Error> {
        loop {
            let Some(at) = self.merge.key() else {
                self.key = None;
                self.value.clear();
                return Ok(());
            };
            let stamp = at.stamp();
            if stamp.seq() <= self.seq && passed.as_deref() != Some(at.user()) {
                let mut user = passed.take().unwrap_or_default();
                user.clear();
                user.extend_from_slice(at.user());
                if stamp.kind() == Some(Kind::Put) {
                    self.value.clear();
                    self.value.extend_from_slice(self.merge.value());
                    self.key = Some(user);
                    return Ok(());
                }
                passed = Some(user);
            }
            self.merge.next()?;
        }
    }

    /// Backward, to the newest version that the reader sees of the key that the merge is at, or of one before it.
    fn find_prev(&mut self) -> Result<(), Error> {
        let mut found: Option<Vec<u8>> = None;
        let mut is_deleted = false;
        while let Some(at) = self.merge.key() {
            if found.as_deref().is_some_and(|found| found != at.user()) {
                if !is_deleted {
                    break;
                }
                found = None;
            }
            let stamp = at.stamp();
            if stamp.seq() <= self.seq {
                is_deleted = stamp.kind() != Some(Kind::Put);
                let user = found.get_or_insert_default();
                user.clear();
                user.extend_from_slice(at.user());
                self.value.clear();
                self.value.extend_from_slice(self.merge.value());
            }
            self.merge.prev()?;
        }
        self.key = found.filter(|_| !is_deleted);
        if self.key.is_none() {
            self.value.clear();
        }
        Ok(())
    }
}
