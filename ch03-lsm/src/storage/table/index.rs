//! The index of an open table: which block a key is in.
//!
//! As stored it is a block whose entries are the last key of each block and its handle. A search there goes from restart to
//! restart, each somewhere else in memory. So what the keys differ by is taken out of them once, as numbers in one array:
//!
//! ```text
//! keys          user:1041@7   user:1099@3   user:1400@9   user:1400@2   user:1777@5
//! all share     user:1
//! numbers       "041"         "099"         "400"         "400"         "777"            eight bytes each
//! ```
//!
//! A binary search over the numbers leaves one block, or the few whose numbers are the same, and only for those whole
//! keys are compared.

use std::ops::Range;

use super::format::BlockHandle;
use crate::engine::block::{Block, BlockError};
use crate::engine::cursor::Cursor;
use crate::engine::key::InternalKey;

/// The bytes of a number.
const NUMBER_BYTES: usize = 8;

/// Which block a key is in.
///
/// **Invariants**: `handles`, `keys` and `numbers` are as many, one for each block, in order; `shared` bytes begin every key.
#[derive(Debug)]
pub(super) struct Index {
    shared: Vec<u8>,
    numbers: Vec<u64>,
    handles: Vec<BlockHandle>,
    /// The last key of each block, one behind the other, and where each ends.
    keys: Vec<u8>,
    key_ends: Vec<u32>,
}

impl Index {
    /// The index that `block` is.
    pub(super) fn new(block: &Block) -> Result<Self, BlockError> {
        let mut index = Self {
            shared: Vec::new(),
            numbers: Vec::new(),
            handles: Vec::new(),
            keys: Vec::new(),
            key_ends: Vec::new(),
        };
        let mut cursor = block.cursor();
        cursor.seek_to_first()?;
        while let Some(key) = cursor.key() {
            let (handle, _) = BlockHandle::decode(cursor.value()).ok_or(BlockError::Entry(index.keys.len()))?;
            index.handles.push(handle);
            index.keys.extend_from_slice(key.as_bytes());
            index.key_ends.push(u32::try_from(index.keys.len()).map_err(|_| BlockError::Entry(index.keys.len()))?);
            cursor.next()?;
        }
        if let Some(last) = index.len().checked_sub(1) {
            let (first, last) = (index.key(0).user(), index.key(last).user());
            let shared = first.iter().zip(last).take_while(|(one, other)| one == other).count();
            index.shared = first[..shared].to_vec();
            index.numbers = (0..index.len()).map(|at| number(&index.key(at).user()[shared..])).collect();
        }
        Ok(index)
    }

    /// How many blocks there are.
    pub(super) fn len(&self) -> usize {
        self.handles.len()
    }

    /// Where a block is.
    pub(super) fn handle(&self, block: usize) -> Option<BlockHandle> {
        self.handles.get(block).copied()
    }

    /// The memory that it takes, in bytes.
    pub(super) fn len_bytes(&self) -> usize {
        let for_each = NUMBER_BYTES + size_of::<BlockHandle>() + size_of::<u32>();
        self.shared.len() + self.keys.len() + self.len() * for_each
    }

    /// The first block whose last key is not below `key`; as many as there are when there is none.
    pub(super) fn find(&self, key: &InternalKey) -> usize {
        let candidates = match key.user().get(..self.shared.len()) {
            Some(begin) if begin == self.shared => {
                let number = number(&key.user()[self.shared.len()..]);
                let low = self.numbers.partition_point(|other| *other < number);
                low..low + self.numbers[low..].partition_point(|other| *other == number)
            }
            _ => 0..self.len(),
        };
        self.find_among(candidates, key)
    }

    fn find_among(&self, blocks: Range<usize>, key: &InternalKey) -> usize {
        let (mut low, mut high) = (blocks.start, blocks.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.key(middle) < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn key(&self, block: usize) -> &InternalKey {
        let begin = block.checked_sub(1).map_or(0, |before| self.key_ends[before] as usize);
        InternalKey::new(&self.keys[begin..self.key_ends[block] as usize]).expect("it was a key in the block")
    }
}

/// The beginning of a key as a number, in the same order: what is missing counts as zeros.
fn number(key: &[u8]) -> u64 {
    let mut bytes = [0; NUMBER_BYTES];
    match key.first_chunk() {
        Some(first) => bytes = *first,
        None => bytes[..key.len()].copy_from_slice(key),
    }
    u64::from_be_bytes(bytes)
}
