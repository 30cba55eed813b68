//! The memtable: the newest writes, sorted, in memory.
//!
//! A file can be kept sorted only by writing it anew, and memory can be kept sorted as writes come (DDIA ch. 3, "Constructing
//! and maintaining SSTables"). So writes go to a sorted map which many threads read and write at once: a skip list (Pugh, "Skip
//! Lists: A Probabilistic Alternative to Balanced Trees", CACM 1990) of short sorted arrays, [`Leaves`]. It is written out as a
//! table when it has grown to its limit. Nothing in it is ever replaced or removed: a newer write has a newer number.
//!
//! ```text
//!            a@9     a@4 deleted    a@2     ab@7     b@8          upwards by user key, downwards by number
//! get(a, 5)           ^ lands here: the first entry at or after (a, 5), which is a's newest that is not newer than 5
//! get(aa, 9)                                 ^ lands here: another user's key, so that nothing is known of aa
//! ```
//!
//! **Left out**: hints from one insert to the next, for keys that come almost in order.

use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::key::{InternalKey, InternalKeyBuf, Kind, Seq, Stamp};
use super::leaves::{Leaves, Run};

/// What an entry takes beside its key's and value's bytes: its stamp, its lengths, its place in a leaf, and its part of what
/// leaves keep free. Measured with 300,000 to a million keys of 16 bytes that come at random: with values of 0, 100 and 1,000 bytes
/// they took up to 55, 153 and 1,076 bytes each in all, where 47, 147 and 1,047 are counted. What comes in order takes less.
const ENTRY_BYTES: usize = 31;

/// Sorted writes in memory.
///
/// **Invariants**: an entry never changes and never goes; `len` and `used_bytes` are of all entries that are in it, once no
/// insert is under way.
#[derive(Debug, Default)]
pub struct Memtable {
    entries: Leaves,
    len: AtomicUsize,
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
        self.entries.insert(key.as_key(), value);
        self.len.fetch_add(1, Ordering::Relaxed);
        self.used_bytes.fetch_add(user.len() + value.len() + ENTRY_BYTES, Ordering::Relaxed);
        // <<<
    }

    /// The newest write to `user` that a reader at `seq` may see, given to `read`, which must not insert; `None` when there is none.
    pub fn get<T>(&self, user: &[u8], seq: Seq, read: impl FnOnce(&[u8]) -> T) -> Option<Found<T>> {
        // >>> exercise: look at the first entry from (user, seq) on: it is the one, or there is none
        let seek = InternalKeyBuf::seek(user, seq);
        let found = self.entries.lower_bound(Bound::Included(seek.as_key()), |found, value| {
            if found.user() != user {
                return None;
            }
            Some(match found.stamp().kind() {
                Some(Kind::Put) => Found::Value(read(value)),
                Some(Kind::Delete | Kind::DeleteRange) | None => Found::Deleted,
            })
        });
        found.flatten()
        // <<<
    }

    /// About how much memory it takes, in bytes.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// How many writes it holds.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first entry at or after `key`, given to `read`, which must not insert.
    pub fn first_from<T>(&self, key: &InternalKey, read: impl FnOnce(&InternalKey, &[u8]) -> T) -> Option<T> {
        self.entries.lower_bound(Bound::Included(key), read)
    }

    /// Copies the first entries at or after `key` to `run`.
    pub fn run_from(&self, key: &InternalKey, run: &mut Run) {
        // >>> exercise: the nearest entries from `key` on, upwards
        self.entries.run_up(Bound::Included(key), run);
        // <<<
    }

    /// Copies the first entries after `key` to `run`.
    pub fn run_after(&self, key: &InternalKey, run: &mut Run) {
        // >>> exercise: the nearest entries above `key`
        self.entries.run_up(Bound::Excluded(key), run);
        // <<<
    }

    /// Copies the last entries at or before `key` to `run`.
    pub fn run_to(&self, key: &InternalKey, run: &mut Run) {
        // >>> exercise: the nearest entries from `key` on, downwards
        self.entries.run_down(Bound::Included(key), run);
        // <<<
    }

    /// Copies the last entries before `key` to `run`.
    pub fn run_before(&self, key: &InternalKey, run: &mut Run) {
        // >>> exercise: the nearest entries below `key`
        self.entries.run_down(Bound::Excluded(key), run);
        // <<<
    }

    /// Copies the last entries of all to `run`.
    pub fn run_to_end(&self, run: &mut Run) {
        self.entries.run_down(Bound::Unbounded, run);
    }

    /// Gives every entry to `visit`, in order, until one fails.
    ///
    /// # Errors
    ///
    /// Those of `visit`.
    pub fn try_for_each<E>(&self, visit: impl FnMut(&InternalKey, &[u8]) -> Result<(), E>) -> Result<(), E> {
        self.entries.try_for_each(visit)
    }
}
