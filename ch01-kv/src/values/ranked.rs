//! A sorted sequence that knows each element's rank: the order of a sorted set.
//!
//! Redis keeps it as a skip list whose links count what they skip. This is the flat relative of it: sorted blocks of at
//! most `BLOCK` elements in one vector. To find a rank, the blocks before are counted, to find an element, the blocks
//! are bisected; both touch a few cache lines where a linked structure would touch one for each level. The count costs a
//! step a block: a million elements have about eight thousand blocks, whose lengths the processor adds in microseconds.

use super::footprint;

/// The largest block. Inserting moves half a block on average: 2 KiB for elements of 24 bytes, a cheap `memmove`.
const BLOCK: usize = 192;

/// By how many elements a block's room grows: a block is seldom full, and room that waits for elements is lost meanwhile.
const ROOM: usize = 24;

/// Elements in ascending order, without duplicates.
///
/// **Invariants**: no block is empty; within and across blocks, elements strictly ascend; no block is longer than `BLOCK`;
/// `block_bytes` is what the blocks' allocations take.
#[derive(Debug, Clone)]
pub struct Ranked<T> {
    blocks: Vec<Vec<T>>,
    len: usize,
    block_bytes: usize,
}

impl<T: Ord> Ranked<T> {
    /// The empty sequence.
    pub fn new() -> Self {
        Self { blocks: Vec::new(), len: 0, block_bytes: 0 }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What it takes beside itself and what its elements lead to, in bytes.
    pub fn bytes(&self) -> usize {
        footprint::block(self.blocks.capacity() * size_of::<Vec<T>>()) + self.block_bytes
    }

    /// Adds an element; false when an equal one is there already, which stays.
    pub fn insert(&mut self, element: T) -> bool {
        if self.blocks.is_empty() {
            self.blocks.push(vec![element]);
            self.len = 1;
            self.block_bytes = taken_by(&self.blocks[0]);
            return true;
        }
        let at = self.block_for(|other| *other < element).min(self.blocks.len() - 1);
        let block = &mut self.blocks[at];
        let Err(place) = block.binary_search(&element) else { return false };
        self.block_bytes -= taken_by(block);
        if block.len() == block.capacity() {
            block.reserve_exact(ROOM.min(block.len()));
        }
        block.insert(place, element);
        self.block_bytes += taken_by(block);
        if block.len() > BLOCK {
            let upper = block.split_off(BLOCK / 2);
            self.block_bytes -= taken_by(block);
            block.shrink_to_fit();
            self.block_bytes += taken_by(block) + taken_by(&upper);
            self.blocks.insert(at + 1, upper);
        }
        self.len += 1;
        true
    }

    /// Removes the element that equals `element`; false when there is none.
    pub fn remove(&mut self, element: &T) -> bool {
        let at = self.block_for(|other| other < element);
        let Some(block) = self.blocks.get_mut(at) else { return false };
        let Ok(place) = block.binary_search(element) else { return false };
        block.remove(place);
        if block.is_empty() {
            self.block_bytes -= taken_by(block);
            self.blocks.remove(at);
        }
        self.len -= 1;
        true
    }

    /// How many elements come before the first for which `before` is false. `before` must be true for a prefix of the
    /// sequence and false for the rest.
    pub fn rank_where(&self, mut before: impl FnMut(&T) -> bool) -> usize {
        let at = self.block_for(&mut before);
        let earlier: usize = self.blocks[..at].iter().map(Vec::len).sum();
        earlier + self.blocks.get(at).map_or(0, |block| block.partition_point(before))
    }

    /// The elements from the one of rank `from` on, in order.
    pub fn iter_from(&self, from: usize) -> impl Iterator<Item = &T> {
        let (at, within) = self.locate(from);
        let first = self.blocks.get(at).map_or(&[][..], |block| &block[within..]);
        let rest = self.blocks.get(at + 1..).unwrap_or_default();
        first.iter().chain(rest.iter().flatten())
    }

    /// The elements from the one of rank `from` down to the first, in descending order.
    pub fn iter_back_from(&self, from: usize) -> impl Iterator<Item = &T> {
        let (at, within) = self.locate(from.min(self.len.wrapping_sub(1)));
        let first = self.blocks.get(at).map_or(&[][..], |block| &block[..=within]);
        first.iter().rev().chain(self.blocks[..at].iter().rev().flat_map(|block| block.iter().rev()))
    }

    /// The block in which the first element lies for which `before` is false; the number of blocks when there is none.
    fn block_for(&self, mut before: impl FnMut(&T) -> bool) -> usize {
        self.blocks.partition_point(|block| block.last().is_some_and(&mut before))
    }

    /// The block and the place in it of the element of this rank.
    fn locate(&self, mut rank: usize) -> (usize, usize) {
        for (at, block) in self.blocks.iter().enumerate() {
            if rank < block.len() {
                return (at, rank);
            }
            rank -= block.len();
        }
        (self.blocks.len(), 0)
    }
}

impl<T: Ord> Default for Ranked<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// What a block's allocation takes.
fn taken_by<T>(block: &Vec<T>) -> usize {
    footprint::block(block.capacity() * size_of::<T>())
}
