//! The memtable: the newest writes, sorted, in memory.
//!
//! A file can be kept sorted only by writing it anew, and memory can be kept sorted as writes come (DDIA ch. 3, "Constructing
//! and maintaining SSTables"). So writes go to a skip list (Pugh, "Skip Lists: A Probabilistic Alternative to Balanced
//! Trees", CACM 1990), which many threads read and write at once without a lock, and which is written out as a table
//! when it has grown to its limit. Nothing in it is ever replaced or removed: a newer write has a newer number.
//!
//! ```text
//!            a@9     a@4 deleted    a@2     ab@7     b@8          upwards by user key, downwards by number
//! get(a, 5)           ^ lands here: the first entry at or after (a, 5), which is a's newest that is not newer than 5
//! get(aa, 9)                                 ^ lands here: another user's key, so that nothing is known of aa
//! ```
//!
//! **Left out**: an arena, from which nodes are cut, in place of an allocation for each.

use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_skiplist::SkipMap;

use super::key::{InternalKey, InternalKeyBuf, Kind, Seq, Stamp};

/// What a node takes beside its key's and value's bytes: links, the key's inline form, the value's pointer, the allocator's
/// rounding. Measured with keys of 16 to 100 bytes and values of 100 to 1,000: what is counted is then within a tenth of what
/// is taken, and above it for the shortest.
const NODE_BYTES: usize = 112;

/// Sorted writes in memory.
///
/// **Invariants**: an entry never changes and never goes; `used_bytes` is what all entries that are in it take, once no
/// insert is under way.
#[derive(Debug, Default)]
pub struct Memtable {
    entries: SkipMap<InternalKeyBuf, Box<[u8]>>,
    used_bytes: AtomicUsize,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<V> {
    /// This is its value.
    Value(V),
    /// It was deleted: what is older must not be looked at.
    Deleted,
}

impl Memtable {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a write. Two of the same key have different numbers. Any number of threads may insert and read at once.
    pub fn insert(&self, user: &[u8], seq: Seq, kind: Kind, value: &[u8]) {
        // >>> exercise: insert it under its internal key, and count what it takes
        let key = InternalKeyBuf::new(user, Stamp::new(seq, kind));
        self.entries.insert(key, value.into());
        self.used_bytes.fetch_add(user.len() + value.len() + NODE_BYTES, Ordering::Relaxed);
        // <<<
    }

    /// The newest write to `user` that a reader at `seq` may see, given to `read`; `None` when there is none.
    pub fn get<T>(&self, user: &[u8], seq: Seq, read: impl FnOnce(&[u8]) -> T) -> Option<Found<T>> {
        // >>> exercise: look at the first entry from (user, seq) on: it is the one, or there is none
        let seek = InternalKeyBuf::seek(user, seq);
        let entry = self.entries.lower_bound(Bound::Included(seek.as_key()))?;
        let found = entry.key().as_key();
        if found.user() != user {
            return None;
        }
        Some(match found.stamp().kind() {
            Some(Kind::Put) => Found::Value(read(entry.value())),
            Some(Kind::Delete) | None => Found::Deleted,
        })
        // <<<
    }

    /// About how much memory it takes, in bytes.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// How many writes it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first entry at or after `key`, given to `read`.
    pub fn first_from<T>(&self, key: &InternalKey, read: impl FnOnce(&InternalKey, &[u8]) -> T) -> Option<T> {
        // >>> exercise: the nearest entry from `key` on, upwards
        self.entries.lower_bound(Bound::Included(key)).map(|entry| read(entry.key().as_key(), entry.value()))
        // <<<
    }

    /// The first entry after `key`, given to `read`.
    pub fn first_after<T>(&self, key: &InternalKey, read: impl FnOnce(&InternalKey, &[u8]) -> T) -> Option<T> {
        // >>> exercise: the nearest entry above `key`
        self.entries.lower_bound(Bound::Excluded(key)).map(|entry| read(entry.key().as_key(), entry.value()))
        // <<<
    }

    /// The last entry at or before `key`, given to `read`.
    pub fn last_to<T>(&self, key: &InternalKey, read: impl FnOnce(&InternalKey, &[u8]) -> T) -> Option<T> {
        // >>> exercise: the nearest entry from `key` on, downwards
        self.entries.upper_bound(Bound::Included(key)).map(|entry| read(entry.key().as_key(), entry.value()))
        // <<<
    }

    /// The last entry before `key`, given to `read`.
    pub fn last_before<T>(&self, key: &InternalKey, read: impl FnOnce(&InternalKey, &[u8]) -> T) -> Option<T> {
        // >>> exercise: the nearest entry below `key`
        self.entries.upper_bound(Bound::Excluded(key)).map(|entry| read(entry.key().as_key(), entry.value()))
        // <<<
    }

    /// The last entry, given to `read`.
    pub fn last<T>(&self, read: impl FnOnce(&InternalKey, &[u8]) -> T) -> Option<T> {
        self.entries.back().map(|entry| read(entry.key().as_key(), entry.value()))
    }

    /// Gives every entry to `visit`, in order, until one fails.
    ///
    /// # Errors
    ///
    /// Those of `visit`.
    pub fn try_for_each<E>(&self, mut visit: impl FnMut(&InternalKey, &[u8]) -> Result<(), E>) -> Result<(), E> {
        self.entries.iter().try_for_each(|entry| visit(entry.key().as_key(), entry.value()))
    }
}
