#![allow(unused)]
// Exercise ch03/block: Blocks: prefix compression and restart points
// DDIA ch. 3, "SSTables and LSM-Trees"
//
// Write the block of a sorted table: how an entry is packed by leaving out what its key shares with the one before, how
// a key is put together again, the binary search over the restarts, where keys are whole, and from these the seek and
// the step back. The picture at the top of the file shows the bytes, which are LevelDB's. Every table's data and index
// are made of your blocks.
//
// Write what says todo!(). `cargo grade ch03/block` judges it, `cargo grade hint ch03/block` helps.

//! Blocks: sorted entries, packed by leaving out what a key has in common with the one before it.
//!
//! Neighbours in a sorted file share most of their keys, and a file is read a block at a time: so a block stores each key
//! as a difference, and every sixteenth one whole, as a place where a search can begin (DDIA ch. 3, "SSTables and LSM-Trees";
//! the layout is LevelDB's, doc/table_format.md).
//!
//! ```text
//! entry      +--------+----------+-----------+----------------+---------+
//!            | shared | unshared | value_len | key's new part | value   |      the three lengths: varints
//!            +--------+----------+-----------+----------------+---------+
//!            key = first `shared` bytes of the key before it + new part
//!
//! block      +---------+---------+-- --+-----------+-- --+-------+
//!            | entry 0 | entry 1 | ... | restart 0 | ... | count |              restarts, count: u32, little-endian
//!            +---------+---------+-- --+-----------+-- --+-------+
//!            restart i: the offset of an entry whose key is whole (shared = 0); the first is 0
//! ```
//!
//! **Left out**: a hash index from keys to restarts (RocksDB has one), and delta-coded values in index blocks.

use std::sync::Arc;

use common::codec::varint;
use thiserror::Error;

use super::cursor::Cursor;
use super::key::{InternalKey, STAMP_BYTES};

/// How many entries there are from one whole key to the next, unless the builder is told otherwise.
pub const RESTART_INTERVAL: usize = 16;

/// The bytes of a restart, and of their count.
const U32_BYTES: usize = 4;

/// Why bytes are not a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BlockError {
    /// The end does not say where entries begin.
    #[error("its restarts do not fit its {0} bytes")]
    Restarts(usize),
    /// An entry does not fit, or its key is none.
    #[error("the entry at byte {0} of the block is damaged")]
    Entry(usize),
}

/// Packs entries, which come in order.
///
/// **Invariants**: `last_key` is the key of the last entry in `bytes`, and empty when there is none; from the last of
/// `restarts` on there are `since_restart` entries.
#[derive(Debug)]
pub struct BlockBuilder {
    interval: usize,
    bytes: Vec<u8>,
    restarts: Vec<u32>,
    since_restart: usize,
    last_key: Vec<u8>,
}

impl BlockBuilder {
    /// An empty block with a whole key every `interval` entries.
    pub fn new(interval: usize) -> Self {
        assert!(interval > 0, "the first key is always whole");
        Self { interval, bytes: Vec::new(), restarts: vec![0], since_restart: 0, last_key: Vec::new() }
    }

    /// Appends an entry.
    ///
    /// # Panics
    ///
    /// In a debug build, when its key is not above the last one.
    pub fn add(&mut self, key: &InternalKey, value: &[u8]) {
        debug_assert!(self.last_key().is_none_or(|last| last < key), "entries come in order: {key:?}");
        todo!("block: store what the key does not share with the last one; every `interval` entries a restart, with a whole key; you have self, key, value")
    }

    /// How many bytes it takes so far.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len() + (self.restarts.len() + 1) * U32_BYTES
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.last_key.is_empty()
    }

    /// The last key that was added.
    pub fn last_key(&self) -> Option<&InternalKey> {
        InternalKey::new(&self.last_key)
    }

    /// Ends the block, and gives its bytes. What comes next is [`clear`](Self::clear), and nothing before it.
    pub fn finish(&mut self) -> &[u8] {
        for restart in &self.restarts {
            self.bytes.extend_from_slice(&restart.to_le_bytes());
        }
        self.bytes.extend_from_slice(&(self.restarts.len() as u32).to_le_bytes());
        &self.bytes
    }

    /// Empties it, to begin another block in the same memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.restarts.truncate(1);
        self.since_restart = 0;
        self.last_key.clear();
    }
}

fn shared_prefix(one: &[u8], other: &[u8]) -> usize {
    let words = |bytes| <[u8]>::chunks_exact(bytes, 8);
    let same = words(one).zip(words(other)).take_while(|(a, b)| a == b).count() * 8;
    same + one[same..].iter().zip(&other[same..]).take_while(|(a, b)| a == b).count()
}

/// A block that can be searched.
///
/// **Invariants**: `entries_end + restarts * 4 + 4 == bytes.len()`; the first restart is 0, and each is above the one before
/// it; none lies behind the entries.
#[derive(Debug, Clone)]
pub struct Block {
    bytes: Arc<[u8]>,
    entries_end: usize,
    restarts: usize,
}

impl Block {
    /// The block that `bytes` are. Whoever read them has verified their checksum; a block that was written wrong is found
    /// here or when a cursor comes to it.
    ///
    /// # Errors
    ///
    /// [`BlockError::Restarts`].
    pub fn new(bytes: Arc<[u8]>) -> Result<Self, BlockError> {
        let error = BlockError::Restarts(bytes.len());
        let (rest, count) = bytes.split_last_chunk().ok_or(error)?;
        let restarts = u32::from_le_bytes(*count) as usize;
        let entries_end = restarts.checked_mul(U32_BYTES).and_then(|taken| rest.len().checked_sub(taken));
        let entries_end = entries_end.ok_or(error)?;
        let block = Self { bytes, entries_end, restarts };
        let ascends = |at: usize| block.restart(at - 1) < block.restart(at) && block.restart(at) < entries_end;
        if restarts == 0 || block.restart(0) != 0 || !(1..restarts).all(ascends) {
            return Err(error);
        }
        Ok(block)
    }

    /// How much memory it takes, in bytes.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// A cursor over its entries.
    pub fn cursor(&self) -> BlockCursor {
        let end = self.entries_end;
        BlockCursor { block: self.clone(), at: end, end, key: Vec::new(), value_at: end }
    }

    fn restart(&self, index: usize) -> usize {
        let bytes = self.bytes[self.entries_end + index * U32_BYTES..].first_chunk().expect("a restart has four bytes");
        u32::from_le_bytes(*bytes) as usize
    }

    /// The whole key at a restart.
    fn key_at_restart(&self, index: usize) -> Result<&InternalKey, BlockError> {
        let at = self.restart(index);
        let entry = Entry::decode(&self.bytes[..self.entries_end], at).filter(|entry| entry.shared == 0);
        let key = entry.and_then(|entry| InternalKey::new(&self.bytes[entry.key_at..entry.value_at]));
        key.ok_or(BlockError::Entry(at))
    }
}

/// Where the parts of an entry are.
#[derive(Debug, Clone, Copy)]
struct Entry {
    shared: usize,
    key_at: usize,
    value_at: usize,
    end: usize,
}

impl Entry {
    fn decode(bytes: &[u8], at: usize) -> Option<Self> {
        let rest = bytes.get(at..)?;
        let ([shared, unshared, value], taken) = match *rest {
            // Almost every length fits a byte.
            [a, b, c, ..] if (a | b | c) < 0x80 => ([a, b, c].map(usize::from), 3),
            _ => {
                let (mut lengths, mut taken) = ([0; 3], 0);
                for length in &mut lengths {
                    let (value, bytes) = varint::decode(&rest[taken..]).ok()?;
                    *length = usize::try_from(value).ok()?;
                    taken += bytes;
                }
                (lengths, taken)
            }
        };
        let key_at = at + taken;
        let value_at = key_at.checked_add(unshared)?;
        let end = value_at.checked_add(value)?;
        (end <= bytes.len()).then_some(Self { shared, key_at, value_at, end })
    }
}

/// A place in a block. After an error it is beyond the ends.
///
/// **Invariants**: at an entry, `at` is its offset, `key` its key, `value_at..end` its value, and `end` the next one's
/// offset; beyond the ends, `at` is the end of the entries.
#[derive(Debug, Clone)]
pub struct BlockCursor {
    block: Block,
    at: usize,
    end: usize,
    key: Vec<u8>,
    value_at: usize,
}

impl BlockCursor {
    /// To beyond the ends, with that outcome.
    fn leave(&mut self, outcome: Result<(), BlockError>) -> Result<(), BlockError> {
        self.at = self.block.entries_end;
        self.end = self.at;
        self.key.clear();
        self.value_at = self.at;
        outcome
    }

    fn is_at_entry(&self) -> bool {
        self.at < self.block.entries_end
    }

    /// To the entry at offset `at`, whose key builds on the one that `key` holds; beyond the end if there is none.
    fn read(&mut self, at: usize) -> Result<(), BlockError> {
        if at >= self.block.entries_end {
            return self.leave(Ok(()));
        }
        let entry = Entry::decode(&self.block.bytes[..self.block.entries_end], at).filter(|entry| {
            let own = entry.value_at - entry.key_at;
            entry.shared <= self.key.len() && entry.shared + own >= STAMP_BYTES
        });
        let Some(entry) = entry else {
            return self.leave(Err(BlockError::Entry(at)));
        };
        todo!("block: make its key of the one before and its new part, and note where it is, its value and its end; you have self, at")
    }

    /// To the entry of a restart, whose key builds on none.
    fn read_restart(&mut self, index: usize) -> Result<(), BlockError> {
        self.key.clear();
        self.read(self.block.restart(index))
    }

    /// The last restart of which `before` holds, or the first one. Once it does not hold, it holds of none after.
    fn last_restart(&self, mut before: impl FnMut(usize) -> Result<bool, BlockError>) -> Result<usize, BlockError> {
        todo!("block: binary search over the restarts, `self.block.restarts` of them; you have self, before")
    }
}

impl Cursor for BlockCursor {
    type Error = BlockError;

    fn seek_to_first(&mut self) -> Result<(), BlockError> {
        self.read_restart(0)
    }

    fn seek_to_last(&mut self) -> Result<(), BlockError> {
        self.read_restart(self.block.restarts - 1)?;
        while self.end < self.block.entries_end {
            self.read(self.end)?;
        }
        Ok(())
    }

    fn seek(&mut self, key: &InternalKey) -> Result<(), BlockError> {
        self.leave(Ok(()))?;
        todo!("block: from the last restart whose whole key is below `key`, forward to the first entry that is not below; you have self, key")
    }

    fn seek_for_prev(&mut self, key: &InternalKey) -> Result<(), BlockError> {
        self.seek(key)?;
        match self.key() {
            None => self.seek_to_last(),
            Some(at) if at == key => Ok(()),
            Some(_) => self.prev(),
        }
    }

    fn next(&mut self) -> Result<(), BlockError> {
        assert!(self.is_at_entry(), "next() from an entry");
        self.read(self.end)
    }

    fn prev(&mut self) -> Result<(), BlockError> {
        assert!(self.is_at_entry(), "prev() from an entry");
        let target = self.at;
        if target == 0 {
            return self.leave(Ok(()));
        }
        todo!("block: an entry knows only where the next one is: go forward from the last restart that is before `target`; you have self");
        if self.end > target {
            return self.leave(Err(BlockError::Entry(target)));
        }
        Ok(())
    }

    fn key(&self) -> Option<&InternalKey> {
        if self.is_at_entry() { InternalKey::new(&self.key) } else { None }
    }

    fn value(&self) -> &[u8] {
        &self.block.bytes[self.value_at..self.end]
    }
}
