//! Values that expire: a tree through which expired values are not seen, from the second on in which they expire.
//!
//! The filter [`Ttl`](crate::engine::ttl::Ttl), given to the tree as an option, leaves expired values out of what compactions write.
//! That may take long, and reads of the tree itself show them until then; reads through [`TtlDb`] do not. All values
//! of the tree must have been put through it, since each carries its time behind it.

use std::time::Duration;

use super::{Db, DbIterator, WriteOptions};
use crate::engine::ttl::{self, NEVER};
use crate::error::Error;

/// A tree whose values expire.
#[derive(Debug, Clone, Copy)]
pub struct TtlDb<'a> {
    db: &'a Db,
}

/// A place among the keys whose values have not expired. When the iterator was made decides what has.
///
/// **Invariants**: at an entry, its value has not expired at `now_s`.
#[derive(Debug)]
pub struct TtlIterator {
    iterator: DbIterator,
    now_s: u64,
}

impl Db {
    /// The tree, seen as one whose values expire: open it with [`Ttl`](crate::engine::ttl::Ttl) as its filter.
    pub fn with_ttl(&self) -> TtlDb<'_> {
        TtlDb { db: self }
    }
}

impl TtlDb<'_> {
    /// Puts a value that lives for `ttl`, in whole seconds and at least one; without, for ever.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn put(&self, key: &[u8], value: &[u8], ttl: Option<Duration>, options: WriteOptions) -> Result<(), Error> {
        let expires_s = ttl.map_or(NEVER, |ttl| self.now_s().saturating_add(ttl.as_secs().max(1)));
        self.db.put(key, &ttl::value(value, expires_s), options)
    }

    /// Deletes a key, whether it is there or not.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn delete(&self, key: &[u8], options: WriteOptions) -> Result<(), Error> {
        self.db.delete(key, options)
    }

    /// The value of a key, unless it has expired.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let Some(mut stored) = self.db.get(key)? else { return Ok(None) };
        let len = ttl::read(&stored, self.now_s()).map(<[u8]>::len);
        Ok(len.map(|len| {
            stored.truncate(len);
            stored
        }))
    }

    /// An iterator over what there is now.
    pub fn iter(&self) -> TtlIterator {
        TtlIterator { iterator: self.db.iter(), now_s: self.now_s() }
    }

    fn now_s(&self) -> u64 {
        self.db.inner.options.clock.unix_s()
    }
}

impl TtlIterator {
    /// The key that it is at; `None` beyond the ends.
    pub fn key(&self) -> Option<&[u8]> {
        self.iterator.key()
    }

    /// The value that it is at; empty beyond the ends.
    pub fn value(&self) -> &[u8] {
        ttl::read(self.iterator.value(), self.now_s).unwrap_or_default()
    }

    /// To the first key.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn seek_to_first(&mut self) -> Result<(), Error> {
        self.iterator.seek_to_first()?;
        self.forward()
    }

    /// To the last key.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn seek_to_last(&mut self) -> Result<(), Error> {
        self.iterator.seek_to_last()?;
        self.backward()
    }

    /// To the first key that is not below `key`.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn seek(&mut self, key: &[u8]) -> Result<(), Error> {
        self.iterator.seek(key)?;
        self.forward()
    }

    /// To the last key that is not above `key`.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn seek_for_prev(&mut self, key: &[u8]) -> Result<(), Error> {
        self.iterator.seek_for_prev(key)?;
        self.backward()
    }

    /// To the next key. It must be at one.
    ///
    /// # Errors
    ///
    /// [`Error`].
    #[expect(clippy::should_implement_trait, reason = "a cursor goes both ways, and its entries are its own")]
    pub fn next(&mut self) -> Result<(), Error> {
        self.iterator.next()?;
        self.forward()
    }

    /// To the key before. It must be at one.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn prev(&mut self) -> Result<(), Error> {
        self.iterator.prev()?;
        self.backward()
    }

    fn is_expired(&self) -> bool {
        self.iterator.key().is_some() && ttl::read(self.iterator.value(), self.now_s).is_none()
    }

    fn forward(&mut self) -> Result<(), Error> {
        while self.is_expired() {
            self.iterator.next()?;
        }
        Ok(())
    }

    fn backward(&mut self) -> Result<(), Error> {
        while self.is_expired() {
            self.iterator.prev()?;
        }
        Ok(())
    }
}
