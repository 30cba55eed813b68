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

use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crossbeam_skiplist::SkipMap;

use super::key::{InternalKey, InternalKeyBuf, Seq};

/// How many entries a leaf has at most: an insert moves half of their slots on the average.
const LEAF_ENTRIES: usize = 64;

/// How many bytes of keys and values it has at most, unless it is one entry: a split copies half of them.
const LEAF_BYTES: usize = 16 << 10;

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
/// **Invariants**: `prefixes` and `slots` are as many, in the order of the keys; all keys are below that of `next`.
#[derive(Debug, Default)]
struct Sorted {
    /// The beginning of each key, as a number: most comparisons end with it.
    prefixes: Vec<u128>,
    slots: Vec<Slot>,
    bytes: Vec<u8>,
    next: Option<(InternalKeyBuf, Arc<Leaf>)>,
}

/// Where an entry's key and its value are: one after the other.
#[derive(Debug, Clone, Copy)]
struct Slot {
    at: u32,
    key_len: u32,
    value_len: u32,
}

/// Neighbours, copied, in order.
#[derive(Debug, Clone, Default)]
pub struct Run {
    slots: Vec<Slot>,
    bytes: Vec<u8>,
}

impl Slot {
    fn key(self, bytes: &[u8]) -> &InternalKey {
        let at = self.at as usize;
        InternalKey::new(&bytes[at..at + self.key_len as usize]).expect("it was a key when it came")
    }

    fn value(self, bytes: &[u8]) -> &[u8] {
        let at = (self.at + self.key_len) as usize;
        &bytes[at..at + self.value_len as usize]
    }
}

/// Appends an entry's bytes.
fn append(key: &InternalKey, value: &[u8], slots: &mut Vec<Slot>, bytes: &mut Vec<u8>, place: usize) {
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).expect("keys, values and leaves are shorter than 4 GiB");
    let slot = Slot { at: len(bytes), key_len: len(key.as_bytes()), value_len: len(value) };
    bytes.extend_from_slice(key.as_bytes());
    bytes.extend_from_slice(value);
    slots.insert(place, slot);
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
        self.slots[index].key(&self.bytes)
    }

    /// The value of an entry.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn value(&self, index: usize) -> &[u8] {
        self.slots[index].value(&self.bytes)
    }

    fn copy(&mut self, from: &Sorted, range: std::ops::Range<usize>) {
        for slot in &from.slots[range] {
            let place = self.slots.len();
            append(slot.key(&from.bytes), slot.value(&from.bytes), &mut self.slots, &mut self.bytes, place);
        }
    }

    fn clear(&mut self) {
        self.slots.clear();
        self.bytes.clear();
    }
}

impl Sorted {
    /// How many entries are below `key`, itself among them or not.
    fn below(&self, key: &InternalKey, and_itself: bool) -> usize {
        let prefix = key.prefix();
        let low = self.prefixes.partition_point(|other| *other < prefix);
        let high = low + self.prefixes[low..].partition_point(|other| *other == prefix);
        let is_below = |slot: &Slot| {
            let other = slot.key(&self.bytes);
            other < key || and_itself && other == key
        };
        low + self.slots[low..high].partition_point(is_below)
    }

    fn is_full(&self, more_bytes: usize) -> bool {
        self.slots.len() >= LEAF_ENTRIES || !self.slots.is_empty() && self.bytes.len() + more_bytes > LEAF_BYTES
    }

    fn insert(&mut self, key: &InternalKey, value: &[u8]) {
        let place = self.below(key, false);
        self.prefixes.insert(place, key.prefix());
        append(key, value, &mut self.slots, &mut self.bytes, place);
    }

    /// Gives the entries from `place` on to a new leaf, which follows.
    fn split(&mut self, place: usize, first: InternalKeyBuf) -> Arc<Leaf> {
        let mut upper = self.copied(place..self.slots.len());
        if place < self.slots.len() {
            let next = self.next.take();
            *self = Self { next, ..self.copied(0..place) };
        }
        upper.next = self.next.take();
        let upper = Arc::new(Leaf { first: first.clone(), sorted: RwLock::new(upper) });
        self.next = Some((first, Arc::clone(&upper)));
        upper
    }
}

impl Sorted {
    /// Some of the entries, with room for as many as there are now, which is what a leaf comes to hold.
    fn copied(&self, range: std::ops::Range<usize>) -> Self {
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let mut slots = Vec::with_capacity(LEAF_ENTRIES);
        let mut prefixes = Vec::with_capacity(LEAF_ENTRIES);
        prefixes.extend_from_slice(&self.prefixes[range.clone()]);
        for (place, slot) in self.slots[range].iter().enumerate() {
            append(slot.key(&self.bytes), slot.value(&self.bytes), &mut slots, &mut bytes, place);
        }
        Self { prefixes, slots, bytes, next: None }
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
            if let Some((end, right)) = &sorted.next
                && end.as_key() <= key
            {
                let right = Arc::clone(right);
                drop(sorted);
                leaf = right;
            } else if sorted.is_full(key.as_bytes().len() + value.len()) {
                // What comes in order leaves full leaves behind.
                let is_above_all = sorted.below(key, false) == sorted.slots.len();
                let middle = sorted.slots.len() / 2;
                let (place, first) = if is_above_all {
                    (sorted.slots.len(), InternalKeyBuf::from(key))
                } else {
                    (middle, sorted.slots[middle].key(&sorted.bytes).into())
                };
                let upper = sorted.split(place, first.clone());
                drop(sorted);
                self.index.insert(first, upper);
            } else {
                return sorted.insert(key, value);
            }
        }
    }

    /// The first entry at or after a key, given to `read`, which must not insert: it has the leaf's lock.
    pub fn lower_bound<T>(&self, bound: Bound<&InternalKey>, read: impl FnOnce(&InternalKey, &[u8]) -> T) -> Option<T> {
        self.upwards(bound, |sorted, place| {
            let slot = sorted.slots[place];
            read(slot.key(&sorted.bytes), slot.value(&sorted.bytes))
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
                let right = sorted.next.as_ref().filter(|(end, _)| match bound {
                    Bound::Included(key) => end.as_key() <= key,
                    Bound::Excluded(key) => end.as_key() < key,
                    Bound::Unbounded => true,
                });
                if let Some((_, right)) = right {
                    let right = Arc::clone(right);
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
            sorted.slots.iter().try_for_each(|slot| visit(slot.key(&sorted.bytes), slot.value(&sorted.bytes)))?;
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
            let place = match bound {
                Bound::Included(key) => sorted.below(key, false),
                Bound::Excluded(key) => sorted.below(key, true),
                Bound::Unbounded => 0,
            };
            if place < sorted.slots.len() {
                return Some(read(&sorted, place));
            }
            let (_, right) = sorted.next.as_ref()?;
            let right = Arc::clone(right);
            drop(sorted);
            leaf = right;
        }
    }
}
