//! Stores: one trait for every engine on the chapter's road, so that the same tests, the same tour and the same bench run on each.
//!
//! | store | a write | a read | what it cannot do |
//! |---|---|---|---|
//! | [`TwoFunction`] | appends | reads everything | be read once it has grown |
//! | [`HashIndex`] | appends, and changes a map | one read | hold more keys than memory does; find a range |
//! | [`Db`] | appends, and changes a sorted map | a few reads | |
//!
//! What a store costs is not counted by itself: give it a [`CountedDisk`](common::disk::CountedDisk), which counts the same way
//! for all (DDIA ch. 3, "Data Structures That Power Your Database").

use std::fmt::Debug;
use std::sync::{PoisonError, RwLock};

use crate::db::{Db, WriteOptions};
use crate::error::Error;
use crate::storage::batch::Batch;
use crate::storage::hash_index::HashIndex;
use crate::storage::two_function::TwoFunction;

/// Keys and values, in the order of the keys.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// A store of keys and values. Any thread may use it.
pub trait Store: Debug + Send + Sync {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// Puts a value. It outlives the process, and the power after a [`sync`](Self::sync).
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), Error>;

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// Deletes a key, whether it is there or not.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn delete(&self, key: &[u8]) -> Result<(), Error>;

    /// The first `limit` keys that are not below `from`, with their values; `None` from a store that does not know the order of
    /// its keys.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn scan(&self, from: &[u8], limit: usize) -> Result<Option<Entries>, Error>;

    /// Makes everything durable that was written before.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn sync(&self) -> Result<(), Error>;

    /// Does what is due in the background, and waits for it: merging, compacting.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn settle(&self) -> Result<(), Error>;
}

impl Store for RwLock<TwoFunction> {
    fn name(&self) -> &'static str {
        "two functions"
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.write().unwrap_or_else(PoisonError::into_inner).put(key, value)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.read().unwrap_or_else(PoisonError::into_inner).get(key)
    }

    fn delete(&self, key: &[u8]) -> Result<(), Error> {
        self.write().unwrap_or_else(PoisonError::into_inner).delete(key)
    }

    fn scan(&self, _from: &[u8], _limit: usize) -> Result<Option<Entries>, Error> {
        Ok(None)
    }

    fn sync(&self) -> Result<(), Error> {
        self.write().unwrap_or_else(PoisonError::into_inner).sync()
    }

    fn settle(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl Store for RwLock<HashIndex> {
    fn name(&self) -> &'static str {
        "hash index"
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.write().unwrap_or_else(PoisonError::into_inner).put(key, value)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.read().unwrap_or_else(PoisonError::into_inner).get(key)
    }

    fn delete(&self, key: &[u8]) -> Result<(), Error> {
        self.write().unwrap_or_else(PoisonError::into_inner).delete(key)
    }

    fn scan(&self, _from: &[u8], _limit: usize) -> Result<Option<Entries>, Error> {
        Ok(None)
    }

    fn sync(&self) -> Result<(), Error> {
        self.write().unwrap_or_else(PoisonError::into_inner).sync()
    }

    fn settle(&self) -> Result<(), Error> {
        self.write().unwrap_or_else(PoisonError::into_inner).merge()
    }
}

impl Store for Db {
    fn name(&self) -> &'static str {
        "LSM tree"
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        Self::put(self, key, value, WriteOptions { sync: false })
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Self::get(self, key)
    }

    fn delete(&self, key: &[u8]) -> Result<(), Error> {
        Self::delete(self, key, WriteOptions { sync: false })
    }

    fn scan(&self, from: &[u8], limit: usize) -> Result<Option<Entries>, Error> {
        let mut iterator = self.iter();
        let mut found = Entries::new();
        iterator.seek(from)?;
        while found.len() < limit
            && let Some(key) = iterator.key()
        {
            found.push((key.to_vec(), iterator.value().to_vec()));
            iterator.next()?;
        }
        Ok(Some(found))
    }

    fn sync(&self) -> Result<(), Error> {
        // A sync covers all of the log: a batch of nothing takes all batches before it along.
        self.write(Batch::new(), WriteOptions { sync: true })
    }

    fn settle(&self) -> Result<(), Error> {
        self.flush()?;
        Self::settle(self)
    }
}
