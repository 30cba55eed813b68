//! Leaves: a sorted map for many threads, of which a memtable is made.
//!
//! A skip list with a node for each entry visits a node for each comparison, and each is somewhere else in memory: with
//! half a million entries an insert waits a dozen times for memory, and that is most of what a put costs. So entries are kept by the dozen in
//! **leaves**, which are short sorted arrays, and the skip list holds the leaves: fifty times fewer nodes, which the
//! processor's cache has room for, and then one array.
//!
//! ```text
//! skip list       first ──────────────▶ k ──────────────▶ t               first key of each leaf -> leaf
//!                   │                   │                 │
//!                   ▼                   ▼                 ▼
//! leaves          [a b f h] ──k──▶ [k l m p q] ──t──▶ [t v]               each knows where it ends, and the one after it
//! ```
//!
//! A leaf that is full gives its upper half to a new one on its right. Who was on the way to it meanwhile sees by its end
//! that the key has moved, and follows the link: nobody has to hold two locks, and the skip list may learn of the new leaf a
//! little later (Lehman and Yao, "Efficient Locking for Concurrent Operations on B-Trees", TODS 1981).
//!
//! Neighbours are read by the [`Run`], a copy of a few entries: who walks over the map holds no lock from one step to
//! the next.
//!
//! **Left out**: removing.

#![expect(
    clippy::disallowed_types,
    reason = "readers and a writer share a memtable, and a leaf's lock is held for a search"
)]

use std::ops::{Bound, Range};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crossbeam_skiplist::SkipMap;

use common::codec::varint;

use super::key::{InternalKey, InternalKeyBuf, Seq};

/// How many entries a leaf has at most: an insert moves half of their slots on the average.
const LEAF_ENTRIES: usize = 64;

/// How many bytes of keys and values it has at most, unless it is one entry: a split copies half of them.
const LEAF_BYTES: usize = 8 << 10;

/// By how much a leaf's bytes grow when they are full, and by how many its entries: what is kept free counts as used, and to
/// grow by little is to copy often. Allocators have sizes like these.
const GROWTH_BYTES: usize = 1 << 10;

/// See [`GROWTH_BYTES`].
const GROWTH_ENTRIES: usize = 16;

/// How many entries a run has at most.
const RUN_ENTRIES: usize = 16;

/// A sorted map of entries that stay. Any number of threads may insert and read.
///
/// **Invariants**: `index` has a leaf whose first key is below all others; each entry is in the leaf with the last first key
/// that is not above it.
#[derive(Debug)]
pub struct Leaves {
    index: SkipMap<InternalKeyBuf, Arc<Leaf>>,
}

/// Some of the entries.
#[derive(Debug)]
struct Leaf {
    /// No entry is below it.
    first: InternalKeyBuf,
    sorted: RwLock<Sorted>,
}

/// The entries of a leaf.
///
/// **Invariants**: `numbers` and `slots` are as many, in the order of the keys; all keys are below that of `next`, and begin
/// with the `shared` bytes that it shares with the leaf's first key.
#[derive(Debug, Default)]
struct Sorted {
    shared: usize,
    /// What comes after that in each user's key, as a number: most comparisons end with it.
    numbers: Vec<u64>,
    /// Where each entry begins in `bytes`.
    slots: Vec<u32>,
    bytes: Vec<u8>,
    next: Option<(InternalKeyBuf, Arc<Leaf>)>,
}

/// Neighbours, copied, in order.
#[derive(Debug, Clone, Default)]
pub struct Run {
    slots: Vec<u32>,
    bytes: Vec<u8>,
}

/// Where the key and the value of the entry at `slot` are: both lengths come first, as varints, then the key, then the value.
fn places(bytes: &[u8], slot: u32) -> (Range<usize>, Range<usize>) {
    let at = slot as usize;
    let (key_len, value_len, taken) = match bytes[at..] {
        [key, value, ..] if (key | value) < 0x80 => (usize::from(key), usize::from(value), 2),
        _ => {
            let length = |at: usize| varint::decode(&bytes[at..]).expect("it was encoded when it came");
            let (key_len, first) = length(at);
            let (value_len, second) = length(at + first);
            (key_len as usize, value_len as usize, first + second)
        }
    };
    let value_at = at + taken + key_len;
    (at + taken..value_at, value_at..value_at + value_len)
}

/// The entry at `slot`.
fn entry(bytes: &[u8], slot: u32) -> (&InternalKey, &[u8]) {
    let (key, value) = places(bytes, slot);
    (InternalKey::new(&bytes[key]).expect("it was a key when it came"), &bytes[value])
}

/// Appends an entry. Returns where it begins.
fn append(key: &InternalKey, value: &[u8], bytes: &mut Vec<u8>) -> u32 {
    let slot = u32::try_from(bytes.len()).expect("a leaf of more than one entry is small");
    let lengths = [key.as_bytes().len(), value.len()];
    reserve(bytes, lengths.iter().map(|len| len + varint::encoded_len(*len as u64)).sum());
    varint::encode(key.as_bytes().len() as u64, bytes);
    varint::encode(value.len() as u64, bytes);
    bytes.extend_from_slice(key.as_bytes());
    bytes.extend_from_slice(value);
    slot
}

impl Run {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The key of an entry.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn key(&self, index: usize) -> &InternalKey {
        entry(&self.bytes, self.slots[index]).0
    }

    /// The value of an entry.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn value(&self, index: usize) -> &[u8] {
        entry(&self.bytes, self.slots[index]).1
    }

    fn copy(&mut self, from: &Sorted, range: Range<usize>) {
        for slot in &from.slots[range] {
            let (key, value) = entry(&from.bytes, *slot);
            self.slots.push(append(key, value, &mut self.bytes));
        }
    }

    fn clear(&mut self) {
        self.slots.clear();
        self.bytes.clear();
    }
}

impl Sorted {
    /// How many entries are below `key`, itself among them or not. It is none beyond the leaf's ends.
    fn below(&self, key: &InternalKey, and_itself: bool) -> usize {
        let is_below = |slot: &u32| {
            let (other, _) = entry(&self.bytes, *slot);
            other < key || and_itself && other == key
        };
        let number = number(key, self.shared);
        // What comes in order comes behind all others.
        let is_behind = |last: &u64| *last < number || *last == number && self.slots.last().is_none_or(is_below);
        if self.numbers.last().is_none_or(is_behind) {
            return self.slots.len();
        }
        let low = self.numbers.partition_point(|other| *other < number);
        let high = low + self.numbers[low..].partition_point(|other| *other == number);
        low + self.slots[low..high].partition_point(is_below)
    }

    fn is_full(&self, more_bytes: usize) -> bool {
        self.slots.len() >= LEAF_ENTRIES || !self.slots.is_empty() && self.bytes.len() + more_bytes > LEAF_BYTES
    }

    fn insert(&mut self, place: usize, key: &InternalKey, value: &[u8]) {
        let slot = append(key, value, &mut self.bytes);
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact(GROWTH_ENTRIES);
            self.numbers.reserve_exact(GROWTH_ENTRIES);
        }
        self.slots.insert(place, slot);
        self.numbers.insert(place, number(key, self.shared));
    }

    /// Gives the entries from `place` on to a new leaf, which follows and begins with `upper`. This one begins with `first`.
    fn split(&mut self, first: &InternalKey, place: usize, upper: InternalKeyBuf) -> Arc<Leaf> {
        let next = self.next.take();
        let end = next.as_ref().map(|(end, _)| end.as_key());
        let mut above = self.copied(place..self.slots.len(), shared(upper.as_key(), end));
        above.next = next;
        *self = self.copied(0..place, shared(first, Some(upper.as_key())));
        let leaf = Arc::new(Leaf { first: upper.clone(), sorted: RwLock::new(above) });
        self.next = Some((upper, Arc::clone(&leaf)));
        leaf
    }

    /// Some of the entries, in a leaf whose keys share so many bytes.
    fn copied(&self, range: Range<usize>, shared: usize) -> Self {
        let mut copy = Self { shared, ..Self::default() };
        let len = |slot: &u32| places(&self.bytes, *slot).1.end - *slot as usize;
        reserve(&mut copy.bytes, self.slots[range.clone()].iter().map(len).sum());
        copy.numbers.reserve_exact(range.len());
        copy.slots.reserve_exact(range.len());
        for slot in &self.slots[range] {
            let (key, value) = entry(&self.bytes, *slot);
            copy.numbers.push(number(key, shared));
            copy.slots.push(append(key, value, &mut copy.bytes));
        }
        copy
    }
}

/// How many bytes begin every user's key from `first` up to `end`; none where there is no end.
fn shared(first: &InternalKey, end: Option<&InternalKey>) -> usize {
    end.map_or(0, |end| first.user().iter().zip(end.user()).take_while(|(one, other)| one == other).count())
}

/// The eight bytes of a user's key from `from` on as a number; what is missing counts as zeros.
fn number(key: &InternalKey, from: usize) -> u64 {
    let rest = key.user().get(from..).unwrap_or_default();
    let mut bytes = [0; 8];
    match rest.first_chunk() {
        Some(first) => bytes = *first,
        None => bytes[..rest.len()].copy_from_slice(rest),
    }
    u64::from_be_bytes(bytes)
}

/// Makes room for `more` bytes, and not much more: to double would leave a quarter of a memtable free.
fn reserve(bytes: &mut Vec<u8>, more: usize) {
    let needed = bytes.len() + more;
    if needed > bytes.capacity() {
        bytes.reserve_exact(needed.next_multiple_of(GROWTH_BYTES) - bytes.len());
    }
}

impl Leaf {
    fn read(&self) -> RwLockReadGuard<'_, Sorted> {
        self.sorted.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Sorted> {
        self.sorted.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Leaves {
    fn default() -> Self {
        let first = InternalKeyBuf::seek(&[], Seq::MAX);
        let leaf = Leaf { first: first.clone(), sorted: RwLock::default() };
        let index = SkipMap::new();
        index.insert(first, Arc::new(leaf));
        Self { index }
    }
}

impl Drop for Leaves {
    /// One leaf after the other: that each would drop the next one takes as much stack as there are leaves.
    fn drop(&mut self) {
        let mut next = self.index.front().and_then(|first| first.value().write().next.take());
        while let Some((_, leaf)) = next {
            next = leaf.write().next.take();
        }
    }
}

impl Leaves {
    /// Inserts an entry. Its key is not there yet.
    pub fn insert(&self, key: &InternalKey, value: &[u8]) {
        let mut leaf = self.leaf_of(key);
        loop {
            let mut sorted = leaf.write();
            if let Some(right) = right_of(&sorted, |end| end <= key) {
                drop(sorted);
                leaf = right;
                continue;
            }
            let place = sorted.below(key, false);
            if !sorted.is_full(key.as_bytes().len() + value.len()) {
                return sorted.insert(place, key, value);
            }
            // What comes in order leaves full leaves behind.
            let (place, upper) = if place == sorted.slots.len() {
                (place, InternalKeyBuf::from(key))
            } else {
                let middle = sorted.slots.len() / 2;
                (middle, entry(&sorted.bytes, sorted.slots[middle]).0.into())
            };
            let above = sorted.split(leaf.first.as_key(), place, upper.clone());
            drop(sorted);
            self.index.insert(upper, above);
        }
    }

    /// The first entry at or after a key, given to `read`, which must not insert: it has the leaf's lock.
    pub fn lower_bound<T>(&self, bound: Bound<&InternalKey>, read: impl FnOnce(&InternalKey, &[u8]) -> T) -> Option<T> {
        self.upwards(bound, |sorted, place| {
            let (key, value) = entry(&sorted.bytes, sorted.slots[place]);
            read(key, value)
        })
    }

    /// Copies the first entries at or after a key; none if there are none.
    pub fn run_up(&self, bound: Bound<&InternalKey>, run: &mut Run) {
        run.clear();
        self.upwards(bound, |sorted, place| run.copy(sorted, place..sorted.slots.len().min(place + RUN_ENTRIES)));
    }

    /// Copies the last entries at or before a key; none if there are none.
    pub fn run_down(&self, bound: Bound<&InternalKey>, run: &mut Run) {
        run.clear();
        let (mut below, mut first);
        let mut bound = bound;
        loop {
            let leaf = match bound {
                Bound::Unbounded => self.index.back(),
                bounded => self.index.upper_bound(bounded),
            };
            let Some(leaf) = leaf else { return };
            let mut leaf = Arc::clone(leaf.value());
            loop {
                let sorted = leaf.read();
                let right = right_of(&sorted, |end| match bound {
                    Bound::Included(key) => end <= key,
                    Bound::Excluded(key) => end < key,
                    Bound::Unbounded => true,
                });
                if let Some(right) = right {
                    drop(sorted);
                    leaf = right;
                    continue;
                }
                let end = match bound {
                    Bound::Included(key) => sorted.below(key, true),
                    Bound::Excluded(key) => sorted.below(key, false),
                    Bound::Unbounded => sorted.slots.len(),
                };
                run.copy(&sorted, end.saturating_sub(RUN_ENTRIES)..end);
                break;
            }
            if !run.is_empty() {
                return;
            }
            // All of it is above: what is below is in the leaves before.
            below = leaf;
            first = below.first.clone();
            bound = Bound::Excluded(first.as_key());
        }
    }

    /// Gives every entry to `visit`, in order, until one fails. `visit` must not insert.
    ///
    /// # Errors
    ///
    /// Those of `visit`.
    pub fn try_for_each<E>(&self, mut visit: impl FnMut(&InternalKey, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut next = self.index.front().map(|first| Arc::clone(first.value()));
        while let Some(leaf) = next {
            let sorted = leaf.read();
            for slot in &sorted.slots {
                let (key, value) = entry(&sorted.bytes, *slot);
                visit(key, value)?;
            }
            next = sorted.next.as_ref().map(|(_, next)| Arc::clone(next));
        }
        Ok(())
    }

    /// The leaf in which a key is, or one on its left.
    fn leaf_of(&self, key: &InternalKey) -> Arc<Leaf> {
        let leaf = self.index.upper_bound(Bound::Included(key)).expect("the first key is below all others");
        Arc::clone(leaf.value())
    }

    /// Gives `read` the place of the first entry at or after a key.
    fn upwards<T>(&self, bound: Bound<&InternalKey>, read: impl FnOnce(&Sorted, usize) -> T) -> Option<T> {
        let mut leaf = match bound {
            Bound::Included(key) | Bound::Excluded(key) => self.leaf_of(key),
            Bound::Unbounded => Arc::clone(self.index.front()?.value()),
        };
        loop {
            let sorted = leaf.read();
            let mut right = right_of(&sorted, |end| match bound {
                Bound::Included(key) | Bound::Excluded(key) => end <= key,
                Bound::Unbounded => false,
            });
            if right.is_none() {
                // In a leaf that is wholly above, all of it is meant.
                let is_above = |key: &InternalKey| key < leaf.first.as_key();
                let place = match bound {
                    Bound::Included(key) | Bound::Excluded(key) if is_above(key) => 0,
                    Bound::Included(key) => sorted.below(key, false),
                    Bound::Excluded(key) => sorted.below(key, true),
                    Bound::Unbounded => 0,
                };
                if place < sorted.slots.len() {
                    return Some(read(&sorted, place));
                }
                right = right_of(&sorted, |_| true);
            }
            drop(sorted);
            leaf = right?;
        }
    }
}

/// The leaf that follows, if its first key, where this one ends, is as `is_passed` says.
fn right_of(sorted: &Sorted, is_passed: impl FnOnce(&InternalKey) -> bool) -> Option<Arc<Leaf>> {
    sorted.next.as_ref().filter(|(end, _)| is_passed(end.as_key())).map(|(_, right)| Arc::clone(right))
}
