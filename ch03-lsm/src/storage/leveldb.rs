//! Moving out: a directory that an unmodified LevelDB opens.
//!
//! LevelDB's blocks and internal keys are those of [`block`](crate::engine::block) and [`key`](crate::engine::key); around
//! them it has checksums of its own (CRC-32C, masked), a footer and a manifest (LevelDB's doc/table_format.md and
//! doc/log_format.md). What is written here is what its own compaction would have left: tables of 2 MiB in the last level, which
//! do not overlap, a manifest that names them, and no log.
//!
//! ```text
//! table      block, index     +---------+------+-----+         type: 0, not compressed; crc: of payload and type
//!                             | payload | type | crc |
//!                             +---------+------+-----+
//! footer     handles of the metaindex and the index as varints, zeros up to 40 bytes, 57 fb 80 8b 24 75 47 db
//!
//! manifest   +-----+-----+------+---------+                    records in blocks of 32 KiB; type: 1 full, 2 first, 3 middle,
//!            | crc | len | type | payload |                    4 last; crc: of type and payload
//!            +-----+-----+------+---------+
//! ```

use std::io;
use std::path::{Path, PathBuf};

use common::codec::varint;
use common::disk::{Disk, Open};

use super::table::BlockHandle;
use crate::engine::block::{BlockBuilder, RESTART_INTERVAL};
use crate::engine::key::{InternalKey, InternalKeyBuf, Kind, Seq, Stamp};
use crate::error::Error;

const MAGIC: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();

/// The bytes of a footer without the magic.
const HANDLES_BYTES: usize = 40;

/// How a log is cut, in bytes.
const LOG_BLOCK_BYTES: usize = 32 << 10;

/// The size at which a table ends, in bytes: LevelDB's own.
const TABLE_BYTES: usize = 2 << 20;

/// The size at which a block ends, in bytes: LevelDB's own.
const BLOCK_BYTES: usize = 4 << 10;

/// The level of the tables: the last.
const LEVEL: u64 = 6;

/// The number that every entry gets: no reader knows an older one.
const SEQ: Seq = Seq(1);

/// Writes entries, which come in order, as a LevelDB database.
#[derive(Debug)]
pub struct Exporter<'a> {
    disk: &'a dyn Disk,
    dir: PathBuf,
    table: Table,
    files: Vec<File>,
    next_file: u64,
}

/// A table that is being written.
#[derive(Debug)]
struct Table {
    bytes: Vec<u8>,
    block: BlockBuilder,
    index: BlockBuilder,
    smallest: Option<InternalKeyBuf>,
}

/// A table as the manifest names it.
#[derive(Debug)]
struct File {
    number: u64,
    len_bytes: u64,
    smallest: InternalKeyBuf,
    largest: InternalKeyBuf,
}

impl<'a> Exporter<'a> {
    /// A database in `dir`, which must not hold one.
    ///
    /// # Errors
    ///
    /// There is one, or the disk refuses.
    pub fn create(disk: &'a dyn Disk, dir: &Path) -> Result<Self, Error> {
        disk.create_dir_all(dir).map_err(Error::io("create", dir))?;
        let current = dir.join("CURRENT");
        if disk.exists(&current).map_err(Error::io("look for", &current))? {
            return Err(Error::Cannot(format!("{} holds a database already: name another directory", dir.display())));
        }
        Ok(Self { disk, dir: dir.to_owned(), table: Table::new(), files: Vec::new(), next_file: 3 })
    }

    /// Appends an entry.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.table.add(InternalKeyBuf::new(key, Stamp::new(SEQ, Kind::Put)).as_key(), value);
        if self.table.bytes.len() >= TABLE_BYTES { self.end_table() } else { Ok(()) }
    }

    /// Ends the database, and makes it durable.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub fn finish(mut self) -> Result<(), Error> {
        self.end_table()?;
        let mut log = Vec::new();
        append_record(&self.edit(), &mut log);
        self.write("MANIFEST-000002", &log)?;
        self.disk.sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))?;
        self.write("CURRENT", b"MANIFEST-000002\n")?;
        self.disk.sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))
    }

    fn end_table(&mut self) -> Result<(), Error> {
        let table = std::mem::replace(&mut self.table, Table::new());
        let Some((bytes, smallest, largest)) = table.finish() else { return Ok(()) };
        let number = self.next_file;
        self.next_file += 1;
        self.write(&format!("{number:06}.ldb"), &bytes)?;
        self.files.push(File { number, len_bytes: bytes.len() as u64, smallest, largest });
        Ok(())
    }

    /// What the manifest says: LevelDB's VersionEdit.
    fn edit(&self) -> Vec<u8> {
        let mut edit = vec![1];
        append_bytes(b"leveldb.BytewiseComparator", &mut edit);
        for (tag, number) in [(2, 0), (3, self.next_file), (4, SEQ.0)] {
            edit.push(tag);
            varint::encode(number, &mut edit);
        }
        for File { number, len_bytes, smallest, largest } in &self.files {
            edit.push(7);
            for number in [LEVEL, *number, *len_bytes] {
                varint::encode(number, &mut edit);
            }
            append_bytes(smallest.as_key().as_bytes(), &mut edit);
            append_bytes(largest.as_key().as_bytes(), &mut edit);
        }
        edit
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.dir.join(name);
        let write = || -> io::Result<()> {
            let file = self.disk.open(&path, Open::Truncate)?;
            file.write_at(bytes, 0)?;
            file.sync_data()
        };
        write().map_err(Error::io("write", &path))
    }
}

impl Table {
    fn new() -> Self {
        let (block, index) = (BlockBuilder::new(RESTART_INTERVAL), BlockBuilder::new(1));
        Self { bytes: Vec::new(), block, index, smallest: None }
    }

    fn add(&mut self, key: &InternalKey, value: &[u8]) {
        self.smallest.get_or_insert_with(|| key.into());
        self.block.add(key, value);
        if self.block.len_bytes() >= BLOCK_BYTES {
            self.end_block();
        }
    }

    fn end_block(&mut self) {
        let Some(last) = self.block.last_key().filter(|_| !self.block.is_empty()).map(InternalKeyBuf::from) else {
            return;
        };
        let handle = put_block(&mut self.bytes, self.block.finish());
        self.block.clear();
        let mut value = Vec::new();
        handle.encode(&mut value);
        self.index.add(last.as_key(), &value);
    }

    /// Its bytes, and its first and last key; `None` when it has no entries.
    fn finish(mut self) -> Option<(Vec<u8>, InternalKeyBuf, InternalKeyBuf)> {
        self.end_block();
        let smallest = self.smallest?;
        let largest = self.index.last_key().map(InternalKeyBuf::from)?;
        let metaindex = put_block(&mut self.bytes, BlockBuilder::new(1).finish());
        let index = put_block(&mut self.bytes, self.index.finish());
        let mut footer = Vec::new();
        metaindex.encode(&mut footer);
        index.encode(&mut footer);
        footer.resize(HANDLES_BYTES, 0);
        footer.extend_from_slice(&MAGIC);
        self.bytes.extend_from_slice(&footer);
        Some((self.bytes, smallest, largest))
    }
}

fn put_block(bytes: &mut Vec<u8>, payload: &[u8]) -> BlockHandle {
    let handle = BlockHandle { offset: bytes.len() as u64, len_bytes: payload.len() as u64 };
    bytes.extend_from_slice(payload);
    bytes.push(0);
    let crc = masked(crc32c::crc32c_append(crc32c::crc32c(payload), &[0]));
    bytes.extend_from_slice(&crc.to_le_bytes());
    handle
}

/// Appends a record to a log, cut where its blocks end.
fn append_record(record: &[u8], log: &mut Vec<u8>) {
    const HEADER_BYTES: usize = 7;
    let mut rest = record;
    let mut is_first = true;
    loop {
        let left = LOG_BLOCK_BYTES - log.len() % LOG_BLOCK_BYTES;
        if left < HEADER_BYTES {
            log.resize(log.len() + left, 0);
            continue;
        }
        let (payload, next) = rest.split_at(rest.len().min(left - HEADER_BYTES));
        rest = next;
        let kind: u8 = match (is_first, rest.is_empty()) {
            (true, true) => 1,
            (true, false) => 2,
            (false, false) => 3,
            (false, true) => 4,
        };
        let crc = masked(crc32c::crc32c_append(crc32c::crc32c(&[kind]), payload));
        log.extend_from_slice(&crc.to_le_bytes());
        log.extend_from_slice(&(payload.len() as u16).to_le_bytes());
        log.push(kind);
        log.extend_from_slice(payload);
        is_first = false;
        if rest.is_empty() {
            return;
        }
    }
}

fn append_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    varint::encode(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// A checksum as LevelDB stores it: so that the checksum of what holds checksums is not degenerate.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}
