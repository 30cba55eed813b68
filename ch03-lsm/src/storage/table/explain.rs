//! A table piece by piece, for whoever explains it: what [`Table`](super::Table) reads at once, whole or not at all.
//!
//! A damaged table is no table to the engine. Whoever has to find out what became of it wants to see what is still there: so
//! each part is read by itself here, and says for itself whether it verifies.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::codec::varint;
use common::disk::{Disk, DiskFile, Open};

use super::format::{
    BLOCK_MAX_BYTES, BlockHandle, Damage, FOOTER_BYTES, Footer, Place, Properties, TRAILER_BYTES, TableError, unpack,
};
use super::writer::io;
use crate::engine::block::{Block, BlockError};
use crate::engine::levels::TableId;

/// The bytes of a restart, and of their count.
const U32_BYTES: usize = 4;

/// A table's file, and the bytes at its end.
#[derive(Debug)]
pub(crate) struct Explained {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    id: TableId,
    footer: Vec<u8>,
    footer_at: u64,
}

/// A part of a table as it stands in the file.
#[derive(Debug)]
pub(crate) struct Part {
    /// The compression as stored; none where there is not even that.
    pub(crate) compression: Option<u8>,
    /// The checksum as stored.
    pub(crate) crc: Option<u32>,
    /// What it holds, unpacked; or why it cannot be read.
    pub(crate) payload: Result<Arc<[u8]>, Damage>,
}

/// An entry of a block, with its lengths as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredEntry {
    /// Where it begins in the block, in bytes.
    pub(crate) at: usize,
    /// How many bytes its key shares with the one before.
    pub(crate) shared: usize,
    /// How many it has of its own.
    pub(crate) unshared: usize,
    /// The whole key, with its stamp.
    pub(crate) key: Vec<u8>,
    /// Its value.
    pub(crate) value: Vec<u8>,
}

/// A block taken apart: its entries up to the first that cannot be read, and where searches begin.
#[derive(Debug)]
pub(crate) struct StoredBlock {
    /// The entries.
    pub(crate) entries: Vec<StoredEntry>,
    /// The offsets of the entries whose keys are whole.
    pub(crate) restarts: Vec<u32>,
    /// Where the restarts begin, in bytes.
    pub(crate) entries_end: usize,
    /// Why there are no more entries, where that is not the end of them.
    pub(crate) flaw: Option<BlockError>,
}

impl Explained {
    /// Reads the end of the file at `path`.
    ///
    /// # Errors
    ///
    /// [`TableError::Io`]. That the footer does not verify is none here.
    pub(crate) fn open(disk: &dyn Disk, path: &Path, id: TableId) -> Result<Self, TableError> {
        let file = disk.open(path, Open::ReadOnly).map_err(io("open", path))?;
        let len = file.len().map_err(io("measure", path))?;
        let footer_at = len.saturating_sub(FOOTER_BYTES as u64);
        let mut footer = vec![0; (len - footer_at) as usize];
        let read = file.read_at(&mut footer, footer_at).map_err(io("read", path))?;
        footer.truncate(read);
        Ok(Self { file, path: path.to_owned(), id, footer, footer_at })
    }

    /// The length of the file, in bytes.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.footer_at + self.footer.len() as u64
    }

    /// Where the footer begins, and its bytes: fewer than [`FOOTER_BYTES`] where the file is too short.
    pub(crate) fn footer(&self) -> (u64, &[u8]) {
        (self.footer_at, &self.footer)
    }

    /// Where the range tombstones, the filter, the properties and the index are.
    ///
    /// # Errors
    ///
    /// [`TableError::Damaged`] when the footer does not verify.
    pub(crate) fn handles(&self) -> Result<[BlockHandle; 4], TableError> {
        let footer = <&[u8; FOOTER_BYTES]>::try_from(&*self.footer).ok().and_then(Footer::decode);
        let footer = footer.ok_or_else(|| self.damaged(self.footer_at, Damage::Footer))?;
        Ok([footer.range_tombstones, footer.filter, footer.properties, footer.index])
    }

    /// The part at `handle`.
    ///
    /// # Errors
    ///
    /// [`TableError::Io`]. Damage is in the part.
    pub(crate) fn part(&self, handle: BlockHandle) -> Result<Part, TableError> {
        let stored = handle.len_bytes.saturating_add(TRAILER_BYTES as u64);
        let fits = handle.offset.checked_add(stored).is_some_and(|after| after <= self.footer_at);
        let nowhere = Part { compression: None, crc: None, payload: Err(Damage::Handle(handle.len_bytes)) };
        if !fits || stored > BLOCK_MAX_BYTES as u64 {
            return Ok(nowhere);
        }
        let mut bytes = vec![0; stored as usize];
        if self.file.read_at(&mut bytes, handle.offset).map_err(io("read", &self.path))? < bytes.len() {
            return Ok(nowhere);
        }
        let trailer = &bytes[handle.len_bytes as usize..];
        let crc = trailer.last_chunk().map(|crc| u32::from_le_bytes(*crc));
        let payload = unpack(&bytes, Place { table: self.id, offset: handle.offset });
        Ok(Part { compression: trailer.first().copied(), crc, payload })
    }

    /// The error for damage in the part at `offset`.
    pub(crate) fn damaged(&self, offset: u64, what: Damage) -> TableError {
        TableError::Damaged { path: self.path.clone(), offset, what }
    }
}

/// The properties that a payload is.
pub(crate) fn properties(payload: &[u8]) -> Result<Properties, Damage> {
    Properties::decode(payload).ok_or(Damage::Properties)
}

/// Takes apart the block that a payload is.
///
/// # Errors
///
/// [`BlockError::Restarts`]; an entry that cannot be read is no error here.
pub(crate) fn block(payload: &Arc<[u8]>) -> Result<StoredBlock, BlockError> {
    Block::new(Arc::clone(payload))?;
    let restarts_error = BlockError::Restarts(payload.len());
    let (rest, count) = payload.split_last_chunk::<U32_BYTES>().ok_or(restarts_error)?;
    let entries_end = (u32::from_le_bytes(*count) as usize).checked_mul(U32_BYTES);
    let entries_end = entries_end.and_then(|taken| rest.len().checked_sub(taken)).ok_or(restarts_error)?;
    let restarts = rest[entries_end..].chunks_exact(U32_BYTES);
    let restarts = restarts.map(|bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes"))).collect();
    let mut found = StoredBlock { entries: Vec::new(), restarts, entries_end, flaw: None };
    let (mut at, mut key) = (0, Vec::new());
    while at < entries_end {
        let Some((entry, end)) = entry(&rest[..entries_end], at, &key) else {
            found.flaw = Some(BlockError::Entry(at));
            break;
        };
        key.clone_from(&entry.key);
        found.entries.push(entry);
        at = end;
    }
    Ok(found)
}

/// The entry at `at`, whose key builds on `before`, and where it ends.
fn entry(bytes: &[u8], at: usize, before: &[u8]) -> Option<(StoredEntry, usize)> {
    let mut lengths = [0; 3];
    let mut own_at = at;
    for length in &mut lengths {
        let (value, taken) = varint::decode(bytes.get(own_at..)?).ok()?;
        *length = usize::try_from(value).ok()?;
        own_at += taken;
    }
    let [shared, unshared, value_len] = lengths;
    let value_at = own_at.checked_add(unshared)?;
    let end = value_at.checked_add(value_len)?;
    let (own, value) = (bytes.get(own_at..value_at)?, bytes.get(value_at..end)?);
    let key = [before.get(..shared)?, own].concat();
    Some((StoredEntry { at, shared, unshared, key, value: value.to_vec() }, end))
}
