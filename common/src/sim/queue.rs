//! What is going to happen, in the order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use slab::Slab;

/// A priority queue of happenings.
///
/// The heap holds small keys and not what happens, which is moved in once and out once. Of two that are due in the same
/// nanosecond, the one that was pushed first comes first.
#[derive(Debug)]
pub(super) struct Queue<T> {
    heap: BinaryHeap<Reverse<Key>>,
    happenings: Slab<T>,
    pushed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    at: u64,
    order: u64,
    slot: usize,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self { heap: BinaryHeap::with_capacity(256), happenings: Slab::with_capacity(256), pushed: 0 }
    }

    /// Lets `happening` happen at `at` (nanoseconds of true time).
    pub(super) fn push(&mut self, at: u64, happening: T) {
        let slot = self.happenings.insert(happening);
        self.pushed += 1;
        self.heap.push(Reverse(Key { at, order: self.pushed, slot }));
    }

    /// How much is going to happen.
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The next one, if it is due by `until`.
    pub(super) fn pop(&mut self, until: u64) -> Option<(u64, T)> {
        let Reverse(key) = *self.heap.peek()?;
        if key.at > until {
            return None;
        }
        self.heap.pop();
        Some((key.at, self.happenings.remove(key.slot)))
    }
}
