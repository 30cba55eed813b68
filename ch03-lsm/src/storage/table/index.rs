//! The index of an open table: which block a key is in.
//!
//! As stored it is a block whose entries are the last key of each block and its handle. A search there goes from restart to
//! restart, each somewhere else in memory. So an open table has its keys as [`Fences`], and its handles in an array.

use super::format::BlockHandle;
use crate::engine::block::{Block, BlockError};
use crate::engine::cursor::Cursor;
use crate::engine::fences::Fences;
use crate::engine::key::InternalKey;

/// Which block a key is in.
///
/// **Invariants**: `handles` and `fences` are as many, one for each block, in order.
#[derive(Debug)]
pub(super) struct Index {
    fences: Fences,
    handles: Vec<BlockHandle>,
}

impl Index {
    /// The index that `block` is.
    pub(super) fn new(block: &Block) -> Result<Self, BlockError> {
        let mut index = Self { fences: Fences::default(), handles: Vec::new() };
        let mut cursor = block.cursor();
        cursor.seek_to_first()?;
        while let Some(key) = cursor.key() {
            let damaged = BlockError::Entry(index.handles.len());
            let (handle, _) = BlockHandle::decode(cursor.value()).ok_or(damaged)?;
            index.handles.push(handle);
            index.fences.push(key).ok_or(damaged)?;
            cursor.next()?;
        }
        index.fences.seal();
        index.handles.shrink_to_fit();
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
        self.fences.len_bytes() + self.handles.len() * size_of::<BlockHandle>()
    }

    /// The first block whose last key is not below `key`; as many as there are when there is none.
    pub(super) fn find(&self, key: &InternalKey) -> usize {
        self.fences.find(key)
    }
}
