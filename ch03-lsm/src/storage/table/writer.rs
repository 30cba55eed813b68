//! Writing a table.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::disk::{Disk, DiskFile, Open};

use super::format::{
    BLOCK_MAX_BYTES, BlockHandle, Compression, Footer, Place, Properties, TRAILER_BYTES, TableError, pack,
};
use crate::engine::block::{BlockBuilder, RESTART_INTERVAL};
use crate::engine::bloom::{self, BloomBuilder};
use crate::engine::key::{InternalKey, InternalKeyBuf, Kind, Seq, Stamp};
use crate::engine::levels::{TableId, TableMeta};
use crate::engine::range_tombstones::RangeTombstones;

/// How much is collected before it is written, in bytes: few system calls, and the disk is kept busy meanwhile.
const WRITE_BYTES: usize = 1 << 20;

/// How tables are written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TableOptions {
    /// The size at which a block ends, before compression, in bytes.
    pub block_bytes: usize,
    /// How many entries share prefixes before a whole key.
    pub restart_interval: usize,
    /// Bits of the filter for each key; 0: no filter.
    pub bits_per_key: f64,
    /// How blocks are compressed.
    pub compression: Compression,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self {
            block_bytes: 4 << 10,
            restart_interval: RESTART_INTERVAL,
            bits_per_key: 10.0,
            compression: Compression::default(),
        }
    }
}

/// A table that is being written: it is given entries in order.
#[derive(Debug)]
pub struct TableWriter {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    id: TableId,
    options: TableOptions,
    block: BlockBuilder,
    index: BlockBuilder,
    filter: BloomBuilder,
    properties: Properties,
    ranges: RangeTombstones,
    smallest: Option<InternalKeyBuf>,
    newest: Seq,
    buffer: Vec<u8>,
    written: u64,
}

impl TableWriter {
    /// Creates the table at `path`.
    ///
    /// # Errors
    ///
    /// [`TableError::Io`].
    pub fn create(disk: &dyn Disk, path: &Path, id: TableId, options: TableOptions) -> Result<Self, TableError> {
        let file = disk.open(path, Open::Truncate).map_err(io("create", path))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            id,
            options,
            block: BlockBuilder::new(options.restart_interval),
            index: BlockBuilder::new(1),
            filter: BloomBuilder::new(),
            properties: Properties::default(),
            ranges: RangeTombstones::new(),
            smallest: None,
            newest: Seq::default(),
            buffer: Vec::with_capacity(WRITE_BYTES + 2 * options.block_bytes),
            written: 0,
        })
    }

    /// Appends an entry, above all that came before.
    ///
    /// # Errors
    ///
    /// [`TableError::Io`].
    pub fn add(&mut self, key: &InternalKey, value: &[u8]) -> Result<(), TableError> {
        if self.smallest.is_none() {
            self.smallest = Some(key.into());
        }
        self.block.add(key, value);
        if self.options.bits_per_key > 0.0 {
            self.filter.add(bloom::hash(key.user()));
        }
        let stamp = key.stamp();
        self.newest = self.newest.max(stamp.seq());
        self.properties.entries += 1;
        self.properties.tombstones += u64::from(stamp.kind() == Some(Kind::Delete));
        self.properties.key_bytes += key.as_bytes().len() as u64;
        self.properties.value_bytes += value.len() as u64;
        if self.block.len_bytes() >= self.options.block_bytes {
            self.end_block()?;
        }
        Ok(())
    }

    /// A write that it holds had this number, whatever it is kept with: the table is as new as that.
    pub fn covers(&mut self, seq: Seq) {
        self.newest = self.newest.max(seq);
    }

    /// Adds range tombstones. Where they begin and end is not bound to the entries.
    pub fn add_ranges(&mut self, ranges: &RangeTombstones) {
        self.ranges.extend(ranges);
    }

    /// About how long the file will be, in bytes.
    pub fn len_bytes(&self) -> u64 {
        self.written + (self.buffer.len() + self.block.len_bytes()) as u64
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.smallest.is_none() && self.ranges.is_empty()
    }

    /// Ends the table, and makes it durable; its name is after a sync of its directory.
    ///
    /// # Errors
    ///
    /// [`TableError::Io`].
    ///
    /// # Panics
    ///
    /// When nothing was added.
    pub fn finish(mut self) -> Result<TableMeta, TableError> {
        self.end_block()?;
        let entries = self.smallest.take().zip(self.index.last_key().map(InternalKeyBuf::from));
        let span = entries.into_iter().chain(self.ranges.span());
        let span =
            span.reduce(|(first, last), (other_first, other_last)| (first.min(other_first), last.max(other_last)));
        let (smallest, largest) = span.expect("a table has entries or range tombstones");
        let compression = self.options.compression;
        let range_tombstones = self.put_ranges()?;
        let filter = self.filter.finish(self.options.bits_per_key);
        let filter = self.put(&filter, Compression::None)?;
        let mut properties = Vec::new();
        self.properties.encode(&mut properties);
        let properties = self.put(&properties, Compression::None)?;
        let index = self.index.finish().to_vec();
        let index = self.put(&index, compression)?;
        self.buffer.extend_from_slice(&Footer { range_tombstones, filter, properties, index }.encode());
        self.write()?;
        self.file.sync_data().map_err(io("sync", &self.path))?;
        Ok(TableMeta {
            id: self.id,
            len_bytes: self.written,
            entries: self.properties.entries,
            tombstones: self.properties.tombstones,
            range_tombstones: self.properties.range_tombstones,
            smallest,
            largest,
            newest: self.newest.max(self.ranges.newest().unwrap_or_default()),
        })
    }

    fn end_block(&mut self) -> Result<(), TableError> {
        if self.block.is_empty() {
            return Ok(());
        }
        let last = InternalKeyBuf::from(self.block.last_key().expect("it has entries"));
        let offset = self.written + self.buffer.len() as u64;
        let place = Place { table: self.id, offset };
        pack(self.block.finish(), self.options.compression, place, &mut self.buffer);
        let end = self.written + self.buffer.len() as u64;
        let handle = BlockHandle { offset, len_bytes: end - offset - TRAILER_BYTES as u64 };
        self.block.clear();
        self.properties.blocks += 1;
        let mut value = Vec::with_capacity(20);
        handle.encode(&mut value);
        self.index.add(last.as_key(), &value);
        if self.buffer.len() >= WRITE_BYTES {
            self.write()?;
        }
        Ok(())
    }

    /// Writes the range tombstones as a block, if there are any.
    fn put_ranges(&mut self) -> Result<BlockHandle, TableError> {
        if self.ranges.is_empty() {
            return Ok(BlockHandle::default());
        }
        let mut block = BlockBuilder::new(self.options.restart_interval);
        for (from, to, seq) in self.ranges.iter() {
            block.add(InternalKeyBuf::new(from, Stamp::new(seq, Kind::DeleteRange)).as_key(), to);
        }
        self.properties.range_tombstones = self.ranges.len() as u64;
        self.put(block.finish(), self.options.compression)
    }

    fn put(&mut self, payload: &[u8], compression: Compression) -> Result<BlockHandle, TableError> {
        if payload.len() > BLOCK_MAX_BYTES {
            return Err(TableError::TooLarge { path: self.path.clone(), len_bytes: payload.len() });
        }
        let offset = self.written + self.buffer.len() as u64;
        pack(payload, compression, Place { table: self.id, offset }, &mut self.buffer);
        let end = self.written + self.buffer.len() as u64;
        Ok(BlockHandle { offset, len_bytes: end - offset - TRAILER_BYTES as u64 })
    }

    fn write(&mut self) -> Result<(), TableError> {
        self.file.write_at(&self.buffer, self.written).map_err(io("write", &self.path))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> TableError {
    move |source| TableError::Io { action, path: path.to_owned(), source }
}
