#![allow(unused)]
// Exercise ch03/merge_iterator: The merge: many sorted sequences, read as one
// DDIA ch. 3, "SSTables and LSM-Trees"
//
// Write the heap that merges the memtables, tables and levels of a tree into one sequence, forward and backward, and
// what has to be done when a reader turns round. Compaction, scans and snapshots all read through your merge.
//
// Write what says todo!(). `cargo grade ch03/merge_iterator` judges it, `cargo grade hint ch03/merge_iterator` helps.

//! The merge: many sorted sequences, read as one.
//!
//! A tree is a memtable or two, some tables, and a level or more, each sorted. To read them in order takes no sorting: the next
//! entry of all is the least of their next entries, as in the merge step of mergesort (DDIA ch. 3, "SSTables and LSM-Trees").
//! A heap of the sequences finds it in log k comparisons, and compaction, scans and snapshots are all this merge with
//! something on top that leaves out what is not to be seen.
//!
//! Backwards it is the greatest of their previous entries. Turning round costs a seek in each sequence: the others stand on
//! the far side of the entry that the merge is at.
//!
//! **Left out**: a tree of losers, which takes half the comparisons of a heap for many sequences.

use std::cmp::Ordering;

use super::cursor::Cursor;
use super::key::{InternalKey, InternalKeyBuf};

/// Which way the merge was moved last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// A cursor over the entries of all its sources. No key may be in two of them. After an error of a source it is beyond the
/// ends: some of the sources have moved and some have not, and what they are at is no merge.
///
/// **Invariants**: `heap` holds the sources that are at an entry, the one that is next in `direction` at its top, and each
/// before those below it; forward, every source is at its first entry that is not before the top, backward at its last
/// that is not after it.
#[derive(Debug)]
pub struct MergeIterator<C> {
    sources: Vec<C>,
    heap: Vec<usize>,
    direction: Direction,
}

impl<C: Cursor> MergeIterator<C> {
    /// A cursor over these, beyond their ends.
    pub fn new(sources: Vec<C>) -> Self {
        Self { sources, heap: Vec::new(), direction: Direction::Forward }
    }

    /// To the first of the entries to which `to` has moved the sources.
    ///
    /// # Errors
    ///
    /// That of a source.
    pub fn seek_each(&mut self, to: impl FnMut(&mut C) -> Result<(), C::Error>) -> Result<(), C::Error> {
        self.move_all(Direction::Forward, to)
    }

    /// Moves the source of the entry that it is at on by itself, forward: `to` leaves it at an entry that does not come before
    /// the one that it was at.
    ///
    /// # Errors
    ///
    /// That of the source.
    pub fn move_source(&mut self, to: impl FnOnce(&mut C) -> Result<(), C::Error>) -> Result<(), C::Error> {
        let moved = to(&mut self.sources[self.heap[0]]);
        match &moved {
            Ok(()) => self.top_has_moved(),
            Err(_) => self.heap.clear(),
        }
        moved
    }

    /// What is merged, as it was given.
    pub fn sources(&self) -> &[C] {
        &self.sources
    }

    /// The source of the entry that it is at.
    pub fn source(&self) -> Option<&C> {
        self.heap.first().map(|source| &self.sources[*source])
    }

    /// Whether source `a` comes before `b`.
    fn is_before(&self, a: usize, b: usize) -> bool {
        todo!("merge_iterator: by their keys, in the direction of the merge; you have self, a, b")
    }

    /// Makes the heap anew, of all sources that are at an entry.
    fn build(&mut self, direction: Direction) {
        todo!("merge_iterator: collect them, and let each find its place, from the lowest that has any below it to the top; you have self, direction")
    }

    /// Lets the source at place `at` of the heap sink below those that come before it.
    fn sift_down(&mut self, mut at: usize) {
        todo!("merge_iterator: change places with the earlier of the two below, while that comes before it; you have self, at")
    }

    /// Puts the heap in order after its top has moved.
    fn top_has_moved(&mut self) {
        todo!("merge_iterator: a source at its end leaves the heap; another finds its place; you have self")
    }

    /// Brings every source to the other side of the entry that the merge is at.
    fn turn(&mut self, direction: Direction) -> Result<(), C::Error> {
        todo!("merge_iterator: seek in every source but the one that has the entry, the ended ones too, and build the heap; you have self, direction")
    }

    /// Moves every source, and builds the heap of where they have come to.
    fn move_all(
        &mut self,
        direction: Direction,
        mut to: impl FnMut(&mut C) -> Result<(), C::Error>,
    ) -> Result<(), C::Error> {
        self.heap.clear();
        self.sources.iter_mut().try_for_each(&mut to)?;
        self.build(direction);
        Ok(())
    }

    /// Moves on by one entry.
    fn step(&mut self, direction: Direction) -> Result<(), C::Error> {
        assert!(!self.heap.is_empty(), "next() and prev() from an entry");
        let turned = if self.direction == direction { Ok(()) } else { self.turn(direction) };
        let moved = turned.and_then(|()| match direction {
            Direction::Forward => self.sources[self.heap[0]].next(),
            Direction::Backward => self.sources[self.heap[0]].prev(),
        });
        match &moved {
            Ok(()) => self.top_has_moved(),
            Err(_) => self.heap.clear(),
        }
        moved
    }
}

impl<C: Cursor> Cursor for MergeIterator<C> {
    type Error = C::Error;

    fn seek_to_first(&mut self) -> Result<(), C::Error> {
        self.move_all(Direction::Forward, C::seek_to_first)
    }

    fn seek_to_last(&mut self) -> Result<(), C::Error> {
        self.move_all(Direction::Backward, C::seek_to_last)
    }

    fn seek(&mut self, key: &InternalKey) -> Result<(), C::Error> {
        self.move_all(Direction::Forward, |source| source.seek(key))
    }

    fn seek_for_prev(&mut self, key: &InternalKey) -> Result<(), C::Error> {
        self.move_all(Direction::Backward, |source| source.seek_for_prev(key))
    }

    fn next(&mut self) -> Result<(), C::Error> {
        self.step(Direction::Forward)
    }

    fn prev(&mut self) -> Result<(), C::Error> {
        self.step(Direction::Backward)
    }

    fn key(&self) -> Option<&InternalKey> {
        self.source().and_then(C::key)
    }

    fn value(&self) -> &[u8] {
        self.source().map_or(&[], C::value)
    }
}
