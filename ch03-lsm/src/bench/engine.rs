//! What a workload asks of an engine: the least that all of them can do, so that one piece of code drives each.

use std::path::Path;
use std::time::Instant;

use super::workloads::Key;
use crate::error::Error;

/// What every engine is told alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How large a memtable grows, in bytes.
    pub memtable_bytes: usize,
    /// How many memtables may wait to be written out, besides the one that is written to.
    pub immutable_memtables: usize,
    /// How many blocks are kept, in bytes.
    pub cache_bytes: usize,
    /// The bits of a bloom filter for each key.
    pub bloom_bits: usize,
    /// How many threads flush and compact.
    pub threads: usize,
    /// How many tables of level 0 begin a compaction, slow writers down, and make them wait.
    pub level0: [usize; 3],
    /// How large a table grows, in bytes.
    pub table_bytes: u64,
    /// How much level 1 holds, in bytes.
    pub level1_bytes: u64,
}

/// An engine with a directory open. Any thread may use it.
pub trait Engine: Sync + Sized {
    /// A place among its keys.
    type Cursor<'a>: Cursor
    where
        Self: 'a;

    /// What it is called.
    const NAME: &'static str;

    /// Opens what is in `dir`, or begins it.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn open(dir: &Path, settings: &Settings) -> Result<Self, Error>;

    /// Puts a value; it is durable when it returns, if `sync` is set.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn put(&self, key: &[u8], value: &[u8], sync: bool) -> Result<(), Error>;

    /// Deletes a key, whether it is there or not.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn delete(&self, key: &[u8]) -> Result<(), Error>;

    /// Puts all of these, or none.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn write(&self, entries: &[(Key, &[u8])]) -> Result<(), Error>;

    /// Whether a key has a value. The value has to be at hand when it returns: an engine that lends values looks at it, one
    /// that copies them may do so into `value`, whatever that held.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool, Error>;

    /// A cursor over what there is now, at no key yet.
    fn cursor(&self) -> Self::Cursor<'_>;

    /// Writes out what is in memory and waits until nothing is left to compact. Returns when that was, which for an engine
    /// that can only be watched is before it returns.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn settle(&self) -> Result<Instant, Error>;

    /// Ends it cleanly.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn close(self) -> Result<(), Error>;

    /// A picture of it for people, if it has one.
    fn picture(&self) -> Option<String> {
        None
    }
}

/// A place among the keys of an engine.
pub trait Cursor {
    /// The key that it is at; `None` beyond the ends.
    fn key(&self) -> Option<&[u8]>;

    /// The value that it is at; it must be at one.
    fn value(&self) -> &[u8];

    /// To the first key.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn seek_to_first(&mut self) -> Result<(), Error>;

    /// To the last key.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn seek_to_last(&mut self) -> Result<(), Error>;

    /// To the first key that is not below `key`.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn seek(&mut self, key: &[u8]) -> Result<(), Error>;

    /// To the next key, from one that was not reached backwards.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn next(&mut self) -> Result<(), Error>;

    /// To the key before, from one that was reached backwards: [`seek_to_last`](Self::seek_to_last) or this.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn prev(&mut self) -> Result<(), Error>;
}

impl Settings {
    /// What db_bench's users and RocksDB's tuning guide would begin with, with memtables and a cache of this size.
    pub fn new(memtable_bytes: usize, cache_bytes: usize) -> Self {
        Self {
            memtable_bytes,
            immutable_memtables: 2,
            cache_bytes,
            bloom_bits: 10,
            threads: 2,
            level0: [4, 20, 36],
            table_bytes: 64 << 20,
            level1_bytes: 256 << 20,
        }
    }
}
