//! Leaves: a sorted map for many threads, of which a memtable is made.
//!
//! A skip list with a node for each entry visits a node for each comparison, and each is somewhere else in memory: with
//! half a million entries an insert waits a dozen times for memory, and that is most of what a put costs. So entries are kept by the dozen in
//! **leaves**, which are short sorted arrays of where they are, and the skip list holds the leaves: fifty times fewer nodes, which the
//! processor's cache has room for, and then one array. The entries themselves are in an arena, in the order in which they came.
//!
//! ```text
//! skip list       first ──────────────▶ k ──────────────▶ t               first key of each leaf -> leaf
//!                   │                   │                 │
//!                   ▼                   ▼                 ▼
//! leaves          [a b f h] ──k──▶ [k l m p q] ──t──▶ [t v]               each knows where it ends, and the one after it
//!                    ╲    ╲            ╱
//! arena           | f=1 | p=7 | a=2 | m=3 | ...                           entries, in the order in which they came
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
#![allow(unsafe_code, reason = "an arena cannot tell whose entries it is asked for: see `entry`")]

use std::ops::{Bound, Range};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crossbeam_skiplist::SkipMap;

use super::arena::{Arena, Stored};
use super::key::{InternalKey, InternalKeyBuf, Seq};

/// How many entries a leaf has at most: an insert moves half of their slots on the average.
const LEAF_ENTRIES: usize = 96;

/// By how many entries a leaf grows when it is full: what is kept free counts as used, and to grow by little is to copy often.
const GROWTH_ENTRIES: usize = 8;

/// How many more bytes the keys of a leaf must be known to share before the numbers are taken anew, which reads each key. Until then
/// four bytes or more of a number still tell its key from others.
const MORE_SHARED_BYTES: usize = 4;

/// How many entries a run has at most.
const RUN_ENTRIES: usize = 16;

/// A sorted map of entries that stay. Any number of threads may insert and read.
///
/// **Invariants**: `index` has a leaf whose first key is below all others; each entry is in the leaf with the last first key
/// that is not above it; what is in the leaves was stored by `arena`.
#[derive(Debug)]
pub struct Leaves {
    index: SkipMap<InternalKeyBuf, Arc<Leaf>>,
    arena: Arena,
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
/// with the `shared` bytes of the leaf's first key.
#[derive(Debug, Default)]
struct Sorted {
    shared: usize,
    /// What comes after that in each user's key, as a number: most comparisons end with it.
    numbers: Vec<u64>,
    /// Where each entry is.
    slots: Vec<Stored>,
    next: Option<(InternalKeyBuf, Arc<Leaf>)>,
}

/// Neighbours, copied, in order.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// Where each begins, and where its value does.
    entries: Vec<(usize, usize)>,
    bytes: Vec<u8>,
}

/// An entry of a leaf.
fn entry(arena: &Arena, slot: Stored) -> (&InternalKey, &[u8]) {
    // SAFETY: a leaf keeps only what its own arena has stored.
    let (key, value) = unsafe { arena.get(slot) };
    (InternalKey::new(key).expect("it was a key when it came"), value)
}

impl Run {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The key of an entry.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn key(&self, index: usize) -> &InternalKey {
        let (begin, value_at) = self.entries[index];
        InternalKey::new(&self.bytes[begin..value_at]).expect("it was a key when it was copied")
    }

    /// The value of an entry.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn value(&self, index: usize) -> &[u8] {
        let end = self.entries.get(index + 1).map_or(self.bytes.len(), |(begin, _)| *begin);
        &self.bytes[self.entries[index].1..end]
    }

    fn copy(&mut self, arena: &Arena, slots: &[Stored]) {
        for slot in slots {
            let (key, value) = entry(arena, *slot);
            let begin = self.bytes.len();
            self.bytes.extend_from_slice(key.as_bytes());
            self.bytes.extend_from_slice(value);
            self.entries.push((begin, begin + key.as_bytes().len()));
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
    }
}

impl Sorted {
    /// How many entries are below `key`, itself among them or not. It is none beyond the leaf's ends.
    fn below(&self, arena: &Arena, key: &InternalKey, and_itself: bool) -> usize {
        let is_below = |slot: &Stored| {
            let (other, _) = entry(arena, *slot);
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

    fn insert(&mut self, place: usize, key: &InternalKey, slot: Stored) {
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact(GROWTH_ENTRIES);
            self.numbers.reserve_exact(GROWTH_ENTRIES);
        }
        self.slots.insert(place, slot);
        self.numbers.insert(place, number(key, self.shared));
    }

    /// Gives the entries from `place` on to a new leaf, which follows and begins with `upper`. This one begins with `first`.
    fn split(&mut self, arena: &Arena, first: &InternalKey, place: usize, upper: InternalKeyBuf) -> Arc<Leaf> {
        let next = self.next.take();
        let end = next.as_ref().map(|(end, _)| end.as_key());
        let mut above = self.copied(arena, place..self.slots.len(), shared(upper.as_key(), end));
        above.next = next;
        *self = self.copied(arena, 0..place, shared(first, Some(upper.as_key())));
        let leaf = Arc::new(Leaf { first: upper.clone(), sorted: RwLock::new(above) });
        self.next = Some((upper, Arc::clone(&leaf)));
        leaf
    }

    /// Some of the entries, in a leaf whose keys share so many bytes.
    fn copied(&self, arena: &Arena, range: Range<usize>, shared: usize) -> Self {
        let slots = self.slots[range.clone()].to_vec();
        if shared < self.shared + MORE_SHARED_BYTES {
            return Self { shared: self.shared, numbers: self.numbers[range].to_vec(), slots, next: None };
        }
        let numbers = slots.iter().map(|slot| number(entry(arena, *slot).0, shared)).collect();
        Self { shared, numbers, slots, next: None }
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
        Self { index, arena: Arena::default() }
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
        let slot = self.arena.store(key.as_bytes(), value);
        let mut leaf = self.leaf_of(key);
        loop {
            let mut sorted = leaf.write();
            if let Some(right) = right_of(&sorted, |end| end <= key) {
                drop(sorted);
                leaf = right;
                continue;
            }
            let place = sorted.below(&self.arena, key, false);
            if sorted.slots.len() < LEAF_ENTRIES {
                return sorted.insert(place, key, slot);
            }
            // What comes in order leaves full leaves behind.
            let (place, upper) = if place == sorted.slots.len() {
                (place, InternalKeyBuf::from(key))
            } else {
                let middle = sorted.slots.len() / 2;
                (middle, entry(&self.arena, sorted.slots[middle]).0.into())
            };
            let above = sorted.split(&self.arena, leaf.first.as_key(), place, upper.clone());
            drop(sorted);
            self.index.insert(upper, above);
        }
    }

    /// The first entry at or after a key, given to `read`, which must not insert: it has the leaf's lock.
    pub fn lower_bound<T>(&self, bound: Bound<&InternalKey>, read: impl FnOnce(&InternalKey, &[u8]) -> T) -> Option<T> {
        self.upwards(bound, |sorted, place| {
            let (key, value) = entry(&self.arena, sorted.slots[place]);
            read(key, value)
        })
    }

    /// Copies the first entries at or after a key; none if there are none.
    pub fn run_up(&self, bound: Bound<&InternalKey>, run: &mut Run) {
        run.clear();
        self.upwards(bound, |sorted, place| {
            run.copy(&self.arena, &sorted.slots[place..sorted.slots.len().min(place + RUN_ENTRIES)]);
        });
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
                    Bound::Included(key) => sorted.below(&self.arena, key, true),
                    Bound::Excluded(key) => sorted.below(&self.arena, key, false),
                    Bound::Unbounded => sorted.slots.len(),
                };
                run.copy(&self.arena, &sorted.slots[end.saturating_sub(RUN_ENTRIES)..end]);
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
                let (key, value) = entry(&self.arena, *slot);
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
                    Bound::Included(key) => sorted.below(&self.arena, key, false),
                    Bound::Excluded(key) => sorted.below(&self.arena, key, true),
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
