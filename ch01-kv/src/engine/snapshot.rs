//! Snapshots: the database as it was at one moment, saved while it goes on changing.
//!
//! Redis forks: the kernel keeps the child's pages as they were, and copies each page that the parent changes. Here the
//! same idea works on shards of the table: a snapshot saves shard after shard, and before a command changes a key whose
//! shard has not been saved, that shard is saved first. So what is saved is the state at the beginning, exactly, and the
//! commands since then can be appended behind it (DDIA ch. 3, "Hash Indexes", on compacting a log of changes; ch. 7,
//! "Snapshot Isolation and Repeatable Read", on why the moment must be one).
//!
//! **Left out**: shards hold whole values, so that a list of a million elements is saved in one go.

use hashbrown::HashTable;

use super::entry::Entry;
use super::shards::SHARDS;
use super::types::UnixMillis;
use crate::values::ValueRef;

/// An entry counts as one for each so many bytes: what is saved at a time has to fit into memory, whatever the values are.
const ENTRY_BYTES: usize = 4096;

/// Where a snapshot goes.
pub trait Sink: std::fmt::Debug + std::any::Any {
    /// Saves one entry.
    fn save(&mut self, key: &[u8], value: ValueRef<'_>, deadline: Option<UnixMillis>);

    /// The saved bytes that have gathered, handed over.
    fn take_saved(&mut self) -> Vec<u8>;
}

/// A snapshot that is being taken.
///
/// **Invariants**: the shards before `next`, and those marked in `saved`, have been given to the sink, each once.
#[derive(Debug)]
pub struct Snapshot {
    sink: Box<dyn Sink>,
    next: usize,
    saved: Vec<bool>,
    /// The table as it was when the database was emptied meanwhile: what is not saved yet is saved from here.
    kept: Option<Vec<HashTable<Entry>>>,
    entries: usize,
}

impl Snapshot {
    /// A snapshot of a table of `entries` entries that goes to `sink`.
    pub fn new(sink: Box<dyn Sink>, entries: usize) -> Self {
        Self { sink, next: 0, saved: vec![false; SHARDS], kept: None, entries }
    }

    /// How many entries there were at the beginning.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// The sink.
    pub fn sink(&mut self) -> &mut dyn Sink {
        &mut *self.sink
    }

    /// The sink, for good.
    pub fn into_sink(self) -> Box<dyn Sink> {
        self.sink
    }

    /// Saves the shard before something in it changes.
    #[inline]
    pub fn before_change(&mut self, shards: &[HashTable<Entry>], shard: usize) {
        if self.kept.is_none() && !self.saved[shard] {
            self.save_shard(shards, shard);
        }
    }

    /// Keeps the table that the database gives up.
    pub fn keep(&mut self, shards: Vec<HashTable<Entry>>) {
        if self.kept.is_none() {
            self.kept = Some(shards);
        }
    }

    /// Saves shards until at least `entries` entries have been saved, a large one counting for several; true when all are.
    pub fn advance(&mut self, shards: &[HashTable<Entry>], entries: usize) -> bool {
        let kept = self.kept.take();
        let shards = kept.as_deref().unwrap_or(shards);
        let mut count = 0;
        while self.next < SHARDS && count < entries {
            if !self.saved[self.next] {
                count += self.save_shard(shards, self.next);
            }
            self.next += 1;
        }
        self.kept = kept;
        self.next == SHARDS
    }

    /// Saves all that is left, at once.
    pub fn finish(&mut self, shards: &[HashTable<Entry>]) {
        self.advance(shards, usize::MAX);
    }

    fn save_shard(&mut self, shards: &[HashTable<Entry>], shard: usize) -> usize {
        self.saved[shard] = true;
        let Some(table) = shards.get(shard) else { return 0 };
        let mut work = 0;
        for entry in table {
            self.sink.save(entry.key(), entry.value(), entry.deadline());
            work += 1 + entry.bytes() / ENTRY_BYTES;
        }
        work
    }
}
