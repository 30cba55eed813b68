//! Reading a table.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::disk::{Disk, DiskFile, Open};

use super::format::{
    BLOCK_MAX_BYTES, BlockHandle, Damage, FOOTER_BYTES, Footer, Place, Properties, TRAILER_BYTES, TableError, unpack,
};
use super::index::Index;
use super::writer::io;
use crate::engine::block::{Block, BlockCursor, BlockError};
use crate::engine::bloom;
use crate::engine::cursor::Cursor;
use crate::engine::key::{InternalKey, Kind, Seq};
use crate::engine::levels::TableId;
use crate::engine::memtable::Found;
use crate::engine::range_tombstones::RangeTombstones;

/// How much is read at once by who reads a whole table, in bytes: a system call for some hundred blocks.
const AHEAD_BYTES: usize = 256 << 10;

/// How much room a thread keeps to read a block to, in bytes: almost every block fits.
const STORED_BYTES: usize = 64 << 10;

/// Which block: several trees may share a cache, and number their tables alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockKey {
    /// The tree, by a number that no other one of this process has.
    pub tree: u64,
    /// Its table.
    pub table: TableId,
    /// Where the block begins, in bytes.
    pub offset: u64,
}

/// Keeps blocks that were read, so that they need not be read again.
pub trait BlockCache: std::fmt::Debug + Send + Sync {
    /// The block of that key, if it was kept.
    fn get(&self, key: BlockKey) -> Option<Block>;

    /// Keeps a block, for as long as there is room.
    fn put(&self, key: BlockKey, block: &Block);

    /// How it serves.
    fn stats(&self) -> CacheStats {
        CacheStats::default()
    }
}

/// How a cache serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStats {
    /// The bytes that it holds.
    pub used_bytes: u64,
    /// How often it had what was asked for.
    pub hits: u64,
    /// How often not.
    pub misses: u64,
}

/// Keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCache;

impl BlockCache for NoCache {
    fn get(&self, _: BlockKey) -> Option<Block> {
        None
    }

    fn put(&self, _: BlockKey, _: &Block) {}
}

/// A table that is open: its index, its filter and its range tombstones are in memory.
#[derive(Debug)]
pub struct Table {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    id: TableId,
    tree: u64,
    len: u64,
    index: Index,
    filter: Vec<u8>,
    ranges: Arc<RangeTombstones>,
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
        let read = |handle| read_payload(&*file, path, id, footer_at, handle);
        let index = Block::new(read(footer.index)?).and_then(|block| Index::new(&block));
        let index = index.map_err(|error| damaged(footer.index.offset, error.into()))?;
        let properties = Properties::decode(&read(footer.properties)?)
            .ok_or_else(|| damaged(footer.properties.offset, Damage::Properties))?;
        let filter = read(footer.filter)?.to_vec();
        let ranges = match footer.range_tombstones {
            handle if handle.len_bytes == 0 => RangeTombstones::new(),
            handle => read_ranges(read(handle)?).map_err(|what| damaged(handle.offset, what))?,
        };
        if ranges.len() as u64 != properties.range_tombstones {
            return Err(damaged(footer.range_tombstones.offset, Damage::RangeTombstones));
        }
        let ranges = Arc::new(ranges);
        Ok(Self { path: path.to_owned(), id, tree: 0, len: footer_at, index, filter, ranges, properties, cache, file })
    }

    /// The same, as a table of the tree of that number: see [`BlockKey`].
    #[must_use]
    pub fn of_tree(self, tree: u64) -> Self {
        Self { tree, ..self }
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

    /// Its range tombstones.
    pub fn ranges(&self) -> &Arc<RangeTombstones> {
        &self.ranges
    }

    /// The newest of its range tombstones that covers the user's key of `seek` and is not newer than it.
    pub fn covering(&self, seek: &InternalKey) -> Option<Seq> {
        // Of most tables this is all of it: the set itself, which is elsewhere in memory, is not looked at.
        if self.properties.range_tombstones == 0 {
            return None;
        }
        self.ranges.covering(seek.user(), seek.stamp().seq())
    }

    /// The newest write to the user's key of `seek` that is not newer than it, be it to the key or to a range that it lies in;
    /// `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`TableError`].
    pub fn get(&self, seek: &InternalKey) -> Result<Option<Found<Vec<u8>>>, TableError> {
        let covering = self.covering(seek);
        let otherwise = covering.map(|_| Found::Deleted);
        let Some(handle) = self.index.handle(self.index.find(seek)) else { return Ok(otherwise) };
        let block = self.block(handle)?;
        let offset = handle.offset;
        let mut cursor = block.cursor();
        cursor.seek(seek).map_err(|error| self.damaged(offset, error))?;
        let Some(key) = cursor.key() else { return Ok(otherwise) };
        if key.user() != seek.user() || covering.is_some_and(|covering| covering > key.stamp().seq()) {
            return Ok(otherwise);
        }
        let found = match key.stamp().kind() {
            Some(Kind::Put) => Found::Value(cursor.value().to_vec()),
            Some(Kind::Delete | Kind::DeleteRange) | None => Found::Deleted,
        };
        Ok(Some(found))
    }

    /// A cursor over its entries.
    pub fn cursor(self: &Arc<Self>) -> TableCursor {
        TableCursor { table: Arc::clone(self), at: 0, block: None, ahead: None }
    }

    /// A cursor for who reads all of it, once: it reads far ahead, and leaves the cache to others.
    pub fn scan(self: &Arc<Self>) -> TableCursor {
        TableCursor { ahead: Some(Ahead::default()), ..self.cursor() }
    }

    fn block(&self, handle: BlockHandle) -> Result<Block, TableError> {
        let key = BlockKey { tree: self.tree, table: self.id, offset: handle.offset };
        if let Some(block) = self.cache.get(key) {
            return Ok(block);
        }
        let payload = read_payload(&*self.file, &self.path, self.id, self.len, handle)?;
        let block = Block::new(payload).map_err(|error| self.damaged(handle.offset, error))?;
        self.cache.put(key, &block);
        Ok(block)
    }

    fn block_ahead(&self, handle: BlockHandle, ahead: &mut Ahead) -> Result<Block, TableError> {
        let stored = ahead.stored(&*self.file, &self.path, self.len, handle)?;
        let damaged = |what| TableError::Damaged { path: self.path.clone(), offset: handle.offset, what };
        let place = Place { table: self.id, offset: handle.offset };
        Block::new(unpack(stored, place).map_err(damaged)?).map_err(|error| self.damaged(handle.offset, error))
    }

    fn damaged(&self, offset: u64, error: BlockError) -> TableError {
        TableError::Damaged { path: self.path.clone(), offset, what: error.into() }
    }
}

thread_local! {
    /// Where blocks are read to before they are unpacked.
    static STORED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn read_payload(
    file: &dyn DiskFile,
    path: &Path,
    table: TableId,
    end: u64,
    handle: BlockHandle,
) -> Result<Arc<[u8]>, TableError> {
    let damaged = |what| TableError::Damaged { path: path.to_owned(), offset: handle.offset, what };
    let stored_bytes = stored_bytes(path, end, handle)?;
    STORED.with_borrow_mut(|stored| {
        stored.resize(stored_bytes, 0);
        let read = file.read_at(stored, handle.offset).map_err(io("read", path))?;
        if read < stored_bytes {
            return Err(damaged(Damage::Handle(handle.len_bytes)));
        }
        let payload = unpack(stored, Place { table, offset: handle.offset }).map_err(damaged);
        stored.truncate(STORED_BYTES);
        stored.shrink_to(STORED_BYTES);
        payload
    })
}

/// How many bytes a block takes in the file, which ends at `end`.
fn stored_bytes(path: &Path, end: u64, handle: BlockHandle) -> Result<usize, TableError> {
    let stored = handle.len_bytes.saturating_add(TRAILER_BYTES as u64);
    let fits = handle.offset.checked_add(stored).is_some_and(|after| after <= end);
    if !fits || stored > BLOCK_MAX_BYTES as u64 {
        let what = Damage::Handle(handle.len_bytes);
        return Err(TableError::Damaged { path: path.to_owned(), offset: handle.offset, what });
    }
    Ok(stored as usize)
}

/// A piece of the file, read ahead of who reads on.
#[derive(Debug, Default)]
struct Ahead {
    bytes: Vec<u8>,
    offset: u64,
}

impl Ahead {
    /// A block as stored, from what was read, or read with what follows it.
    fn stored(&mut self, file: &dyn DiskFile, path: &Path, end: u64, handle: BlockHandle) -> Result<&[u8], TableError> {
        let stored = stored_bytes(path, end, handle)?;
        let is_here =
            self.offset <= handle.offset && handle.offset + stored as u64 <= self.offset + self.bytes.len() as u64;
        if !is_here {
            let wanted = (AHEAD_BYTES.max(stored) as u64).min(end - handle.offset) as usize;
            self.bytes.resize(wanted, 0);
            self.offset = handle.offset;
            let read = file.read_at(&mut self.bytes, handle.offset).map_err(io("read", path))?;
            self.bytes.truncate(read);
            if read < stored {
                let what = Damage::Handle(handle.len_bytes);
                return Err(TableError::Damaged { path: path.to_owned(), offset: handle.offset, what });
            }
        }
        let at = (handle.offset - self.offset) as usize;
        Ok(&self.bytes[at..at + stored])
    }
}

/// The range tombstones that a block holds.
fn read_ranges(payload: Arc<[u8]>) -> Result<RangeTombstones, Damage> {
    let mut cursor = Block::new(payload)?.cursor();
    let mut ranges = RangeTombstones::new();
    cursor.seek_to_first()?;
    while let Some(key) = cursor.key() {
        let is_range = key.stamp().kind() == Some(Kind::DeleteRange);
        if !is_range || !ranges.push(key.user(), cursor.value(), key.stamp().seq()) {
            return Err(Damage::RangeTombstones);
        }
        cursor.next()?;
    }
    Ok(ranges)
}

/// A place in a table.
///
/// **Invariants**: at an entry, `block` is at it, and is block `at` of the index.
#[derive(Debug)]
pub struct TableCursor {
    table: Arc<Table>,
    at: usize,
    block: Option<BlockCursor>,
    ahead: Option<Ahead>,
}

impl TableCursor {
    /// Where the block begins that it is in, in bytes.
    pub fn block_offset(&self) -> u64 {
        self.table.index.handle(self.at).unwrap_or_default().offset
    }

    /// To block `at`, and there as `to` says; beyond the ends if there is none.
    fn enter(
        &mut self,
        at: usize,
        to: impl FnOnce(&mut BlockCursor) -> Result<(), BlockError>,
    ) -> Result<(), TableError> {
        self.block = None;
        self.at = at;
        let Some(handle) = self.table.index.handle(at) else { return Ok(()) };
        let block = match &mut self.ahead {
            Some(ahead) => self.table.block_ahead(handle, ahead)?,
            None => self.table.block(handle)?,
        };
        let cursor = self.block.insert(block.cursor());
        to(cursor).map_err(|error| self.table.damaged(handle.offset, error))
    }

    fn is_between(&self) -> bool {
        self.block.as_ref().is_some_and(|block| block.key().is_none())
    }

    fn forward(&mut self) -> Result<(), TableError> {
        while self.is_between() {
            self.enter(self.at + 1, BlockCursor::seek_to_first)?;
        }
        Ok(())
    }

    fn backward(&mut self) -> Result<(), TableError> {
        while self.is_between() {
            match self.at.checked_sub(1) {
                Some(before) => self.enter(before, BlockCursor::seek_to_last)?,
                None => self.block = None,
            }
        }
        Ok(())
    }
}

impl Cursor for TableCursor {
    type Error = TableError;

    fn seek_to_first(&mut self) -> Result<(), TableError> {
        self.enter(0, BlockCursor::seek_to_first)?;
        self.forward()
    }

    fn seek_to_last(&mut self) -> Result<(), TableError> {
        let Some(last) = self.table.index.len().checked_sub(1) else { return Ok(()) };
        self.enter(last, BlockCursor::seek_to_last)?;
        self.backward()
    }

    fn seek(&mut self, key: &InternalKey) -> Result<(), TableError> {
        self.enter(self.table.index.find(key), |block| block.seek(key))?;
        self.forward()
    }

    fn seek_for_prev(&mut self, key: &InternalKey) -> Result<(), TableError> {
        let at = self.table.index.find(key);
        if at == self.table.index.len() {
            return self.seek_to_last();
        }
        self.enter(at, |block| block.seek_for_prev(key))?;
        self.backward()
    }

    fn next(&mut self) -> Result<(), TableError> {
        let block = self.block.as_mut().expect("next() from an entry");
        if let Err(error) = block.next() {
            return Err(self.table.damaged(self.block_offset(), error));
        }
        self.forward()
    }

    fn prev(&mut self) -> Result<(), TableError> {
        let block = self.block.as_mut().expect("prev() from an entry");
        if let Err(error) = block.prev() {
            return Err(self.table.damaged(self.block_offset(), error));
        }
        self.backward()
    }

    fn key(&self) -> Option<&InternalKey> {
        self.block.as_ref().and_then(Cursor::key)
    }

    fn value(&self) -> &[u8] {
        self.block.as_ref().map_or(&[], Cursor::value)
    }
}
