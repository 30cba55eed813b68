//! The table cache: which tables are open, with their index and filter in memory, within a limit.
//!
//! A tree may have more tables than memory has room for their indexes and filters, or than a process may have files open.
//! So a table is opened when it is first asked, and closed again when others need its room: the one that was not asked for the
//! longest, about, by the clock algorithm (each asked table has a second chance).
//!
//! Every table is its own shard: a version holds its [`OpenTable`]s, and asking one that is open takes that table's lock for
//! reading and nothing else. Opening and closing alone go to a list that all share.
//!
//! What was opened for somebody stays open for that one, whatever the limit: a cursor in a table of which the cache has
//! let go reads on.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use common::disk::Disk;

use super::stats::TableCacheStats;
use crate::engine::levels::TableId;
use crate::engine::levels::TableMeta;
use crate::engine::read_triggered::Rent;
use crate::error::Error;
use crate::storage::files::table_path;
use crate::storage::table::{BlockCache, Table, TableError};
use crate::sync::{AtomicBool, Mutex, RwLock};

/// What an open table takes beside its index and its filter, in bytes: names, handles, the kernel's part.
const TABLE_BYTES: u64 = 1 << 10;

/// How many entries the list may have beside those of open tables before the others are thrown out of it.
const DEAD_MAX: usize = 64;

/// The number of the next tree that is opened: its blocks are known by it in a cache that others share.
static TREES: AtomicU64 = AtomicU64::new(1);

/// The open tables of a tree.
///
/// **Invariants**: `used_bytes` and `open` are those of the tables whose slots are full; each of these is in `ring` once.
#[derive(Debug)]
pub(super) struct TableCache {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    blocks: Arc<dyn BlockCache>,
    /// The tree's number in `blocks`.
    tree: u64,
    limit_bytes: u64,
    limit_open: usize,
    used_bytes: AtomicU64,
    open: AtomicUsize,
    opened: AtomicU64,
    closed: AtomicU64,
    /// The one that is looked at next is in front.
    ring: Mutex<VecDeque<Weak<OpenTable>>>,
}

/// A table of the tree, open or not. Once it is obsolete, its file goes with the last who reads it.
#[derive(Debug)]
pub(super) struct OpenTable {
    pub(super) id: TableId,
    cache: Arc<TableCache>,
    slot: RwLock<Option<Arc<Table>>>,
    /// Asked since the clock's hand came by.
    is_recent: AtomicBool,
    is_obsolete: AtomicBool,
    /// Paid by who asks it in vain.
    pub(super) rent: Rent,
}

impl TableCache {
    pub(super) fn new(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        blocks: &Arc<dyn BlockCache>,
        limit_bytes: u64,
        limit_open: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            disk: Arc::clone(disk),
            dir: dir.to_owned(),
            blocks: Arc::clone(blocks),
            tree: TREES.fetch_add(1, Ordering::Relaxed),
            limit_bytes,
            limit_open: limit_open.max(1),
            used_bytes: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            ring: Mutex::default(),
        })
    }

    /// Whether it is so full that what is opened next may close something else.
    pub(super) fn is_full(&self) -> bool {
        self.used_bytes.load(Ordering::Relaxed) >= self.limit_bytes
            || self.open.load(Ordering::Relaxed) >= self.limit_open
    }

    /// How many tables are open, how often one was opened, and how often one was closed for want of room.
    pub(super) fn stats(&self) -> TableCacheStats {
        TableCacheStats {
            open: self.open.load(Ordering::Relaxed),
            used_bytes: self.used_bytes.load(Ordering::Relaxed),
            opened: self.opened.load(Ordering::Relaxed),
            closed: self.closed.load(Ordering::Relaxed),
        }
    }

    /// Takes a table whose slot has been filled, and closes others while there is too much.
    fn admit(&self, table: &Arc<OpenTable>, bytes: u64) {
        self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.opened.fetch_add(1, Ordering::Relaxed);
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        // Dropped without the lock: with the last who holds a table its file may go.
        let mut released = Vec::new();
        let mut ring = self.ring.lock().expect("no thread panics with it");
        ring.push_back(Arc::downgrade(table));
        if ring.len() > 2 * open + DEAD_MAX {
            ring.retain(|table| table.strong_count() > 0);
        }
        // Twice round: the first takes the second chances away.
        for _ in 0..2 * ring.len() {
            let is_over = self.used_bytes.load(Ordering::Relaxed) > self.limit_bytes
                || self.open.load(Ordering::Relaxed) > self.limit_open;
            if !is_over {
                break;
            }
            let Some(next) = ring.pop_front() else { break };
            let Some(other) = next.upgrade() else { continue };
            let is_spared = Arc::ptr_eq(&other, table) || other.is_recent.swap(false, Ordering::Relaxed);
            // Who reads it this moment holds its lock: the next one, then.
            let taken = if is_spared { None } else { other.slot.try_write().ok().and_then(|mut slot| slot.take()) };
            match &taken {
                Some(taken) => {
                    self.leaves(taken);
                    self.closed.fetch_add(1, Ordering::Relaxed);
                }
                None => ring.push_back(next),
            }
            released.push((taken, other));
        }
        drop(ring);
    }

    fn leaves(&self, table: &Table) {
        self.used_bytes.fetch_sub(bytes_of(table), Ordering::Relaxed);
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for OpenTable {
    fn drop(&mut self) {
        if let Some(table) = self.slot.get_mut().ok().and_then(Option::take) {
            self.cache.leaves(&table);
        }
        if self.is_obsolete.load(Ordering::Acquire) {
            // A file that stays is removed when the directory is opened next; no manifest names it.
            let _: std::io::Result<()> = self.cache.disk.remove(&self.path());
        }
    }
}

impl OpenTable {
    /// A table of the directory, to be opened when it is asked.
    pub(super) fn new(cache: &Arc<TableCache>, meta: &TableMeta) -> Arc<Self> {
        Arc::new(Self {
            id: meta.id,
            cache: Arc::clone(cache),
            slot: RwLock::default(),
            is_recent: AtomicBool::new(false),
            is_obsolete: AtomicBool::new(false),
            rent: Rent::new(meta.len_bytes),
        })
    }

    pub(super) fn path(&self) -> PathBuf {
        table_path(&self.cache.dir, self.id)
    }

    /// Asks it something: with two atomic operations beside the question when it is open.
    pub(super) fn ask<T>(self: &Arc<Self>, ask: impl FnOnce(&Table) -> Result<T, TableError>) -> Result<T, Error> {
        {
            let slot = self.slot.read().expect("no thread panics with it");
            if let Some(table) = &*slot {
                self.touch();
                return Ok(ask(table)?);
            }
        }
        Ok(ask(&*self.load()?)?)
    }

    /// The table, open for as long as the caller keeps it.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    pub(super) fn load(self: &Arc<Self>) -> Result<Arc<Table>, Error> {
        if let Some(table) = &*self.slot.read().expect("no thread panics with it") {
            self.touch();
            return Ok(Arc::clone(table));
        }
        let mut slot = self.slot.write().expect("no thread panics with it");
        // Another thread may have opened it meanwhile.
        if let Some(table) = &*slot {
            return Ok(Arc::clone(table));
        }
        let TableCache { disk, blocks, tree, .. } = &*self.cache;
        let table = Table::open(&**disk, &self.path(), self.id, Arc::clone(blocks))?;
        let table = Arc::new(table.of_tree(*tree));
        *slot = Some(Arc::clone(&table));
        self.cache.admit(self, bytes_of(&table));
        Ok(table)
    }

    pub(super) fn becomes_obsolete(&self) {
        self.is_obsolete.store(true, Ordering::Release);
    }

    /// Looks before it writes: a table that all threads ask should not go from core to core for this.
    fn touch(&self) {
        if !self.is_recent.load(Ordering::Relaxed) {
            self.is_recent.store(true, Ordering::Relaxed);
        }
    }
}

fn bytes_of(table: &Table) -> u64 {
    (table.index_bytes() + table.filter_bytes() + table.ranges().used_bytes()) as u64 + TABLE_BYTES
}
