//! Cursors: a place in something sorted, that can be moved both ways.
//!
//! Memtables, blocks, tables, levels and the tree itself are all read through this, so that one merge serves them all
//! (DDIA ch. 3, "Constructing and maintaining SSTables").

use super::key::InternalKey;

/// A place in a sorted sequence of entries, or beyond either end of it. New ones are beyond the end.
pub trait Cursor {
    /// Why it could not be moved: a damaged block, a disk that does not answer. Nothing in memory fails.
    type Error;

    /// To the first entry.
    fn seek_to_first(&mut self) -> Result<(), Self::Error>;

    /// To the last entry.
    fn seek_to_last(&mut self) -> Result<(), Self::Error>;

    /// To the first entry whose key is not below `key`.
    fn seek(&mut self, key: &InternalKey) -> Result<(), Self::Error>;

    /// To the last entry whose key is not above `key`.
    fn seek_for_prev(&mut self, key: &InternalKey) -> Result<(), Self::Error>;

    /// To the next entry. It must be at one.
    fn next(&mut self) -> Result<(), Self::Error>;

    /// To the one before. It must be at one.
    fn prev(&mut self) -> Result<(), Self::Error>;

    /// The key of the entry that it is at; `None` beyond the ends.
    fn key(&self) -> Option<&InternalKey>;

    /// The value of the entry that it is at; empty beyond the ends.
    fn value(&self) -> &[u8];
}
