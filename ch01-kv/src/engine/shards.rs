//! A database's table of entries, cut into [`SHARDS`] small ones by the key's hash.
//!
//! One large table would stop the world when it doubles, and its percentiles would show it (DDIA ch. 1, "Describing
//! Performance"); a small one doubles in microseconds. Shards are also what a scan counts through and what a snapshot saves
//! at a time.
//!
//! **Left out**: moving a large table little by little, with each command (Redis' incremental rehashing), and making a table
//! smaller that has lost most of its keys: it keeps its size until it is empty.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;

use super::entry::Entry;
use super::types::KeyHash;
use crate::values::footprint;

/// How many tables a database is cut into; a power of two. At a million keys each has 244.
pub const SHARDS: usize = 4096;

/// The hash's bits that choose the shard: not those that the shard's own table uses (its lowest, and its highest seven).
const SHARD_SHIFT: u32 = 40;

/// What tables leave behind when they double is one part in so many of what they take: measured between nothing and a half. An
/// allocator keeps blocks of a size together, and can use what one leaves for something else only when its neighbours have
/// left, too. The tables double one by one, and the last of them keep those places from everything else.
const LEFT_BEHIND_PART: usize = 4;

/// The table.
///
/// **Invariants**: there are [`SHARDS`] tables, or none as long as nothing has been put in; an entry is in the table that its
/// key's hash chooses; a table that is empty holds no memory; `bytes` is what the tables' allocations take.
#[derive(Debug)]
pub struct Shards {
    tables: Vec<HashTable<Entry>>,
    hasher: FixedState,
    bytes: usize,
}

impl Shards {
    /// An empty table. `seed` makes its hashes unpredictable, so that nobody can choose keys that collide.
    pub fn new(seed: u64) -> Self {
        Self { tables: Vec::new(), hasher: FixedState::with_seed(seed), bytes: 0 }
    }

    /// What the tables take beside the entries' own allocations, in bytes, with what they left behind when they grew. What
    /// [`SHARDS`] empty ones take is left out: it does not grow.
    pub fn bytes(&self) -> usize {
        self.bytes + self.bytes / LEFT_BEHIND_PART
    }

    /// A key's hash in this table.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        KeyHash(self.hasher.hash_one(key))
    }

    /// The shard that a hash chooses.
    #[inline]
    pub fn shard_of(hash: KeyHash) -> usize {
        (hash.0 >> SHARD_SHIFT) as usize % SHARDS
    }

    /// The key's entry.
    #[inline]
    pub fn find(&self, hash: KeyHash, key: &[u8]) -> Option<&Entry> {
        self.tables.get(Self::shard_of(hash))?.find(hash.0, |entry| entry.key() == key)
    }

    /// The key's entry, to change it.
    #[inline]
    pub fn find_mut(&mut self, hash: KeyHash, key: &[u8]) -> Option<&mut Entry> {
        self.tables.get_mut(Self::shard_of(hash))?.find_mut(hash.0, |entry| entry.key() == key)
    }

    /// The entry of a key of which only the hash is known, if it is also `which`.
    pub fn find_hashed(&self, hash: KeyHash, mut which: impl FnMut(&Entry) -> bool) -> Option<&Entry> {
        let table = self.tables.get(Self::shard_of(hash))?;
        table.find(hash.0, |entry| self.hash(entry.key()) == hash && which(entry))
    }

    /// Where the key's entry is, or would be.
    #[inline]
    pub fn place(&mut self, hash: KeyHash, key: &[u8]) -> Place<'_, Entry> {
        if self.tables.is_empty() {
            self.tables.resize_with(SHARDS, HashTable::new);
        }
        let hasher = &self.hasher;
        let table = &mut self.tables[Self::shard_of(hash)];
        if table.len() == table.capacity() {
            self.bytes -= taken_by(table);
            table.reserve(1, |entry| hasher.hash_one(entry.key()));
            self.bytes += taken_by(table);
        }
        table.entry(hash.0, |entry| entry.key() == key, |entry| hasher.hash_one(entry.key()))
    }

    /// Takes an entry out. A shard that is left empty gives its memory back.
    pub fn remove(&mut self, hash: KeyHash, key: &[u8]) -> Option<Entry> {
        let table = self.tables.get_mut(Self::shard_of(hash))?;
        let (entry, _) = table.find_entry(hash.0, |entry| entry.key() == key).ok()?.remove();
        if table.is_empty() {
            self.bytes -= taken_by(table);
            *table = HashTable::new();
        }
        Some(entry)
    }

    /// Shows entries from shard `cursor` on, shard by shard, until about `count` have been shown. Returns the cursor to go
    /// on with, 0 when all have been seen.
    pub fn scan(&self, cursor: usize, count: usize, show: &mut dyn FnMut(&Entry)) -> usize {
        let mut shown = 0;
        for (index, table) in self.tables.iter().enumerate().skip(cursor) {
            if shown >= count {
                return index;
            }
            shown += table.len();
            table.iter().for_each(&mut *show);
        }
        0
    }

    /// An entry drawn at random, by two random numbers; `None` when there is none.
    pub fn draw(&self, random: &mut dyn FnMut(usize) -> usize) -> Option<&Entry> {
        if self.tables.is_empty() {
            return None;
        }
        // From a random shard on, the first that has a key; from a random place in it on, the first that is taken.
        let start = random(SHARDS);
        let table = (0..SHARDS).map(|step| &self.tables[(start + step) % SHARDS]).find(|table| !table.is_empty())?;
        let places = table.num_buckets();
        let start = random(places);
        (0..places).find_map(|step| table.get_bucket((start + step) % places))
    }

    /// The tables, by the numbers of the shards.
    pub fn tables(&self) -> &[HashTable<Entry>] {
        &self.tables
    }

    /// Empties the table; what was in it, handed over.
    pub fn take_tables(&mut self) -> Vec<HashTable<Entry>> {
        self.bytes = 0;
        std::mem::take(&mut self.tables)
    }
}

/// What a table's allocation takes.
fn taken_by(table: &HashTable<Entry>) -> usize {
    footprint::block(table.allocation_size())
}
