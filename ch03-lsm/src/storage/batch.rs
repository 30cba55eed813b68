//! Batches: writes that happen all or not at all, and the record of the write-ahead log that makes them so.
//!
//! ```text
//!  0        8        12
//!  +--------+--------+-----------------------------------------------+-- --
//!  | seq    | count  | kind | key_len | key | value_len | value       | ...      seq: u64, count: u32, little-endian
//!  +--------+--------+-----------------------------------------------+-- --     kind: 1 byte; lengths: varints; a delete has
//!                                                                              neither value_len nor value; a delete of a
//!                                                                              range has its end in place of a value
//! ```
//!
//! The first write has the number `seq`, the next one the next, and so on (DDIA ch. 7, "Single-object writes", on what a
//! log gives; here it gives it to several keys).

use common::codec::varint;
use thiserror::Error;

use crate::engine::key::{KEY_MAX_BYTES, Kind, Seq};

/// The bytes before the first write.
const HEADER_BYTES: usize = 12;

/// The longest value, in bytes.
pub const VALUE_MAX_BYTES: usize = 512 << 20;

/// Writes that happen together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    bytes: Vec<u8>,
    count: u32,
}

/// A write of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write<'a> {
    /// What it does.
    pub kind: Kind,
    /// To which key.
    pub key: &'a [u8],
    /// The value that it puts; of a delete, empty; of a delete of a range, the key that it ends before.
    pub value: &'a [u8],
}

/// Why a write cannot be in a batch, or bytes are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BatchError {
    /// The key is too long.
    #[error("a key of {0} bytes is longer than {KEY_MAX_BYTES}")]
    Key(usize),
    /// The value is too long.
    #[error("a value of {0} bytes is longer than {VALUE_MAX_BYTES}")]
    Value(usize),
    /// The range ends before it begins.
    #[error("a range that ends before it begins cannot be deleted: name the lower key first")]
    Range,
    /// All of them together are more than a record of the log takes.
    #[error("a batch of {0} bytes is longer than a record of the log")]
    TooLong(usize),
    /// The record is no batch.
    #[error("the record is no batch: byte {0}")]
    Record(usize),
}

impl Default for Batch {
    fn default() -> Self {
        Self { bytes: vec![0; HEADER_BYTES], count: 0 }
    }
}

impl Batch {
    /// No writes.
    pub fn new() -> Self {
        Self::default()
    }

    /// No writes, and room for one of these.
    pub(crate) fn for_one(key: &[u8], value: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + 1 + 2 * varint::MAX_BYTES + key.len() + value.len());
        bytes.resize(HEADER_BYTES, 0);
        Self { bytes, count: 0 }
    }

    /// Adds a put.
    ///
    /// # Errors
    ///
    /// [`BatchError::Key`], [`BatchError::Value`].
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), BatchError> {
        if value.len() > VALUE_MAX_BYTES {
            return Err(BatchError::Value(value.len()));
        }
        self.begin(Kind::Put, key)?;
        varint::encode(value.len() as u64, &mut self.bytes);
        self.bytes.extend_from_slice(value);
        Ok(())
    }

    /// Adds a delete.
    ///
    /// # Errors
    ///
    /// [`BatchError::Key`].
    pub fn delete(&mut self, key: &[u8]) -> Result<(), BatchError> {
        self.begin(Kind::Delete, key)
    }

    /// Adds a delete of all keys from `from` up to `to`, that one not included; nothing if they are the same. It is one write,
    /// whatever it deletes.
    ///
    /// # Errors
    ///
    /// [`BatchError::Key`]; [`BatchError::Range`] when `to` is below `from`.
    pub fn delete_range(&mut self, from: &[u8], to: &[u8]) -> Result<(), BatchError> {
        if to < from {
            return Err(BatchError::Range);
        }
        if to.len() > KEY_MAX_BYTES {
            return Err(BatchError::Key(to.len()));
        }
        if from == to {
            return Ok(());
        }
        self.begin(Kind::DeleteRange, from)?;
        varint::encode(to.len() as u64, &mut self.bytes);
        self.bytes.extend_from_slice(to);
        Ok(())
    }

    /// Adds all of another's writes.
    pub fn append(&mut self, other: &Self) {
        self.bytes.extend_from_slice(&other.bytes[HEADER_BYTES..]);
        self.count += other.count;
    }

    /// How many writes there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many bytes its record takes.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Takes all writes out.
    pub fn clear(&mut self) {
        self.bytes.truncate(HEADER_BYTES);
        self.count = 0;
    }

    /// The record, with the number of the first write.
    pub fn record(&mut self, first: Seq) -> &[u8] {
        self.bytes[..8].copy_from_slice(&first.0.to_le_bytes());
        self.bytes[8..HEADER_BYTES].copy_from_slice(&self.count.to_le_bytes());
        &self.bytes
    }

    /// The writes.
    pub fn writes(&self) -> Writes<'_> {
        Writes { bytes: &self.bytes, at: HEADER_BYTES }
    }

    fn begin(&mut self, kind: Kind, key: &[u8]) -> Result<(), BatchError> {
        if key.len() > KEY_MAX_BYTES {
            return Err(BatchError::Key(key.len()));
        }
        self.bytes.push(kind as u8);
        varint::encode(key.len() as u64, &mut self.bytes);
        self.bytes.extend_from_slice(key);
        self.count += 1;
        Ok(())
    }
}

/// A batch as a log has it.
#[derive(Debug, Clone, Copy)]
pub struct BatchRecord<'a> {
    /// The number of the first write.
    pub first: Seq,
    /// How many writes there are.
    pub count: u32,
    bytes: &'a [u8],
}

impl<'a> BatchRecord<'a> {
    /// The batch that `bytes` are: all its writes can be read.
    ///
    /// # Errors
    ///
    /// [`BatchError::Record`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let (first, rest) = bytes.split_first_chunk().ok_or(BatchError::Record(0))?;
        let (count, _) = rest.split_first_chunk().ok_or(BatchError::Record(8))?;
        let record = Self { first: Seq(u64::from_le_bytes(*first)), count: u32::from_le_bytes(*count), bytes };
        let mut found = 0;
        for write in record.writes() {
            write?;
            found += 1;
        }
        let last = record.first.0.checked_add(u64::from(record.count));
        if found != record.count || last.is_none_or(|last| last > Seq::MAX.0) {
            return Err(BatchError::Record(0));
        }
        Ok(record)
    }

    /// The number of its last write.
    pub fn last(&self) -> Seq {
        Seq((self.first.0 + u64::from(self.count)).saturating_sub(1))
    }

    /// The writes.
    pub fn writes(&self) -> Writes<'a> {
        Writes { bytes: self.bytes, at: HEADER_BYTES }
    }
}

/// The writes of a batch, in order.
#[derive(Debug, Clone)]
pub struct Writes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Writes<'a> {
    fn read(&mut self) -> Option<Write<'a>> {
        let kind = match self.bytes.get(self.at)? {
            0 => Kind::Delete,
            1 => Kind::Put,
            2 => Kind::DeleteRange,
            _ => return None,
        };
        let mut at = self.at + 1;
        let mut part = |longest: usize| {
            let (len, taken) = varint::decode(&self.bytes[at..]).ok()?;
            let len = usize::try_from(len).ok().filter(|len| *len <= longest)?;
            at += taken;
            let part = self.bytes.get(at..at + len)?;
            at += len;
            Some(part)
        };
        let key = part(KEY_MAX_BYTES)?;
        let value = match kind {
            Kind::Put => part(VALUE_MAX_BYTES)?,
            Kind::Delete => &[],
            Kind::DeleteRange => part(KEY_MAX_BYTES).filter(|to| key < *to)?,
        };
        self.at = at;
        Some(Write { kind, key, value })
    }
}

impl<'a> Iterator for Writes<'a> {
    type Item = Result<Write<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let at = self.at;
        let write = self.read().ok_or(BatchError::Record(at));
        if write.is_err() {
            self.at = self.bytes.len();
        }
        Some(write)
    }
}
