//! Reading a table.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::disk::{Disk, DiskFile, Open};

use super::format::{
    BLOCK_MAX_BYTES, BlockHandle, Damage, FOOTER_BYTES, Footer, Properties, TRAILER_BYTES, TableError, unpack,
};
use super::writer::io;
use crate::engine::block::{Block, BlockCursor, BlockError};
use crate::engine::bloom;
use crate::engine::cursor::Cursor;
use crate::engine::key::{InternalKey, Kind};
use crate::engine::levels::TableId;
use crate::engine::memtable::Found;

/// Keeps blocks that were read, so that they need not be read again.
pub trait BlockCache: std::fmt::Debug + Send + Sync {
    /// The block at `offset` of `table`, if it was kept.
    fn get(&self, table: TableId, offset: u64) -> Option<Block>;

    /// Keeps a block, for as long as there is room.
    fn put(&self, table: TableId, offset: u64, block: &Block);
}

/// Keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCache;

impl BlockCache for NoCache {
    fn get(&self, _: TableId, _: u64) -> Option<Block> {
        None
    }

    fn put(&self, _: TableId, _: u64, _: &Block) {}
}

/// A table that is open: its index and its filter are in memory.
#[derive(Debug)]
pub struct Table {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    id: TableId,
    len: u64,
    index: Block,
    filter: Vec<u8>,
    properties: Properties,
    cache: Arc<dyn BlockCache>,
}

impl Table {
    /// Opens the table at `path`.
    ///
    /// # Errors
    ///
    /// [`TableError`].
    pub fn open(disk: &dyn Disk, path: &Path, id: TableId, cache: Arc<dyn BlockCache>) -> Result<Self, TableError> {
        let file = disk.open(path, Open::ReadOnly).map_err(io("open", path))?;
        let len = file.len().map_err(io("measure", path))?;
        let damaged = |offset, what| TableError::Damaged { path: path.to_owned(), offset, what };
        let footer_at = len.checked_sub(FOOTER_BYTES as u64).ok_or_else(|| damaged(0, Damage::Footer))?;
        let mut footer = [0; FOOTER_BYTES];
        let read = file.read_at(&mut footer, footer_at).map_err(io("read", path))?;
        let footer = (read == FOOTER_BYTES).then(|| Footer::decode(&footer)).flatten();
        let footer = footer.ok_or_else(|| damaged(footer_at, Damage::Footer))?;
        let read = |handle| read_payload(&*file, path, footer_at, handle);
        let index =
            Block::new(read(footer.index)?.into()).map_err(|error| damaged(footer.index.offset, error.into()))?;
        let properties = Properties::decode(&read(footer.properties)?)
            .ok_or_else(|| damaged(footer.properties.offset, Damage::Properties))?;
        let filter = read(footer.filter)?;
        Ok(Self { path: path.to_owned(), id, len: footer_at, index, filter, properties, cache, file })
    }

    /// Its number.
    pub fn id(&self) -> TableId {
        self.id
    }

    /// What it says of itself.
    pub fn properties(&self) -> Properties {
        self.properties
    }

    /// The memory that its index takes, in bytes.
    pub fn index_bytes(&self) -> usize {
        self.index.len_bytes()
    }

    /// The memory that its filter takes, in bytes.
    pub fn filter_bytes(&self) -> usize {
        self.filter.len()
    }

    /// Whether it may hold a key of that [`bloom::hash`].
    pub fn may_contain(&self, hash: u64) -> bool {
        bloom::may_contain(&self.filter, hash)
    }

    /// The newest write to the user's key of `seek` that is not newer than it; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`TableError`].
    pub fn get(&self, seek: &InternalKey) -> Result<Option<Found<Vec<u8>>>, TableError> {
        let mut index = self.index.cursor();
        index.seek(seek).map_err(|error| self.damaged(0, error))?;
        if index.key().is_none() {
            return Ok(None);
        }
        let (block, offset) = self.block_at(&index)?;
        let mut cursor = block.cursor();
        cursor.seek(seek).map_err(|error| self.damaged(offset, error))?;
        let Some(key) = cursor.key() else { return Ok(None) };
        if key.user() != seek.user() {
            return Ok(None);
        }
        let found = match key.stamp().kind() {
            Some(Kind::Put) => Found::Value(cursor.value().to_vec()),
            Some(Kind::Delete) | None => Found::Deleted,
        };
        Ok(Some(found))
    }

    /// A cursor over its entries.
    pub fn cursor(self: &Arc<Self>) -> TableCursor {
        TableCursor { index: self.index.cursor(), block: None, offset: 0, table: Arc::clone(self) }
    }

    /// The block that the index is at, and where it is.
    fn block_at(&self, index: &BlockCursor) -> Result<(Block, u64), TableError> {
        let Some((handle, _)) = BlockHandle::decode(index.value()) else {
            return Err(self.damaged(0, BlockError::Entry(0)));
        };
        if let Some(block) = self.cache.get(self.id, handle.offset) {
            return Ok((block, handle.offset));
        }
        let payload = read_payload(&*self.file, &self.path, self.len, handle)?;
        let block = Block::new(payload.into()).map_err(|error| self.damaged(handle.offset, error))?;
        self.cache.put(self.id, handle.offset, &block);
        Ok((block, handle.offset))
    }

    fn damaged(&self, offset: u64, error: BlockError) -> TableError {
        TableError::Damaged { path: self.path.clone(), offset, what: error.into() }
    }
}

fn read_payload(file: &dyn DiskFile, path: &Path, end: u64, handle: BlockHandle) -> Result<Vec<u8>, TableError> {
    let damaged = |what| TableError::Damaged { path: path.to_owned(), offset: handle.offset, what };
    let stored = handle.len_bytes.saturating_add(TRAILER_BYTES as u64);
    let fits = handle.offset.checked_add(stored).is_some_and(|after| after <= end);
    if !fits || stored > BLOCK_MAX_BYTES as u64 {
        return Err(damaged(Damage::Handle(handle.len_bytes)));
    }
    let mut bytes = vec![0; stored as usize];
    let read = file.read_at(&mut bytes, handle.offset).map_err(io("read", path))?;
    if read < bytes.len() {
        return Err(damaged(Damage::Handle(handle.len_bytes)));
    }
    unpack(bytes).map_err(damaged)
}

/// A place in a table.
///
/// **Invariants**: at an entry, `block` is at it, and `index` is at the block's handle.
#[derive(Debug)]
pub struct TableCursor {
    table: Arc<Table>,
    index: BlockCursor,
    block: Option<BlockCursor>,
    offset: u64,
}

impl TableCursor {
    /// Where the block begins that it is in, in bytes.
    pub fn block_offset(&self) -> u64 {
        self.offset
    }

    fn load(&mut self) -> Result<Option<&mut BlockCursor>, TableError> {
        self.block = None;
        if self.index.key().is_none() {
            return Ok(None);
        }
        let (block, offset) = self.table.block_at(&self.index)?;
        self.offset = offset;
        Ok(Some(self.block.insert(block.cursor())))
    }

    fn forward(&mut self) -> Result<(), TableError> {
        while self.block.as_ref().is_some_and(|block| block.key().is_none()) {
            self.index.next().map_err(|error| self.table.damaged(0, error))?;
            let table = Arc::clone(&self.table);
            if let Some(block) = self.load()? {
                block.seek_to_first().map_err(|error| table.damaged(0, error))?;
            }
        }
        Ok(())
    }
}

impl Cursor for TableCursor {
    type Error = TableError;

    fn seek_to_first(&mut self) -> Result<(), TableError> {
        self.index.seek_to_first().map_err(|error| self.table.damaged(0, error))?;
        let table = Arc::clone(&self.table);
        if let Some(block) = self.load()? {
            block.seek_to_first().map_err(|error| table.damaged(0, error))?;
        }
        self.forward()
    }

    fn seek_to_last(&mut self) -> Result<(), TableError> {
        self.index.seek_to_last().map_err(|error| self.table.damaged(0, error))?;
        let table = Arc::clone(&self.table);
        if let Some(block) = self.load()? {
            block.seek_to_last().map_err(|error| table.damaged(0, error))?;
        }
        Ok(())
    }

    fn seek(&mut self, key: &InternalKey) -> Result<(), TableError> {
        self.index.seek(key).map_err(|error| self.table.damaged(0, error))?;
        let table = Arc::clone(&self.table);
        if let Some(block) = self.load()? {
            block.seek(key).map_err(|error| table.damaged(0, error))?;
        }
        self.forward()
    }

    fn seek_for_prev(&mut self, key: &InternalKey) -> Result<(), TableError> {
        self.seek(key)?;
        match self.key() {
            None => self.seek_to_last(),
            Some(at) if at == key => Ok(()),
            Some(_) => self.prev(),
        }
    }

    fn next(&mut self) -> Result<(), TableError> {
        let block = self.block.as_mut().expect("next() from an entry");
        block.next().map_err(|error| self.table.damaged(self.offset, error))?;
        self.forward()
    }

    fn prev(&mut self) -> Result<(), TableError> {
        let block = self.block.as_mut().expect("prev() from an entry");
        block.prev().map_err(|error| self.table.damaged(self.offset, error))?;
        while self.block.as_ref().is_some_and(|block| block.key().is_none()) {
            self.index.prev().map_err(|error| self.table.damaged(0, error))?;
            let table = Arc::clone(&self.table);
            if let Some(block) = self.load()? {
                block.seek_to_last().map_err(|error| table.damaged(0, error))?;
            }
        }
        Ok(())
    }

    fn key(&self) -> Option<&InternalKey> {
        self.block.as_ref().and_then(Cursor::key)
    }

    fn value(&self) -> &[u8] {
        self.block.as_ref().map_or(&[], Cursor::value)
    }
}
