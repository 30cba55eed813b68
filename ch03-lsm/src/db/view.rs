//! Views: all that a reader looks at, as it was at one moment.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::disk::Disk;

use crate::engine::key::{InternalKey, Seq};
use crate::engine::levels::{Edit, LEVELS, Levels, TableId};
use crate::engine::memtable::{Found, Memtable};
use crate::engine::{bloom, key::InternalKeyBuf};
use crate::error::Error;
use crate::storage::files::table_path;
use crate::storage::table::{BlockCache, Table};

/// A memtable with the log that holds the same.
#[derive(Debug)]
pub(super) struct Mem {
    pub(super) table: Memtable,
    /// The number of the log.
    pub(super) wal: u64,
}

/// Where a reader looks, the newest first.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) memtable: Arc<Mem>,
    /// Full ones that are not written out yet, the newest first.
    pub(super) immutables: Vec<Arc<Mem>>,
    pub(super) version: Arc<Version>,
}

/// The tables of a moment, open.
///
/// **Invariants**: `tables` has the same tables as `levels`, in the same places.
#[derive(Debug, Default)]
pub(super) struct Version {
    pub(super) levels: Levels,
    pub(super) tables: [Vec<Arc<OpenTable>>; LEVELS],
}

/// An open table. Once it is obsolete, its file goes with the last who reads it.
#[derive(Debug)]
pub(super) struct OpenTable {
    pub(super) table: Arc<Table>,
    disk: Arc<dyn Disk>,
    path: std::path::PathBuf,
    is_obsolete: AtomicBool,
}

impl Drop for OpenTable {
    fn drop(&mut self) {
        if self.is_obsolete.load(Ordering::Acquire) {
            // A file that stays is removed when the directory is opened next; no manifest names it.
            let _: std::io::Result<()> = self.disk.remove(&self.path);
        }
    }
}

impl OpenTable {
    pub(super) fn open(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        id: TableId,
        cache: &Arc<dyn BlockCache>,
    ) -> Result<Arc<Self>, Error> {
        let path = table_path(dir, id);
        let table = Table::open(&**disk, &path, id, Arc::clone(cache))?;
        let is_obsolete = AtomicBool::new(false);
        Ok(Arc::new(Self { table: Arc::new(table), disk: Arc::clone(disk), path, is_obsolete }))
    }

    pub(super) fn becomes_obsolete(&self) {
        self.is_obsolete.store(true, Ordering::Release);
    }
}

impl Version {
    /// The tables after `edit`, with those that it adds.
    pub(super) fn apply(&self, edit: &Edit, levels: Levels, opened: &[Arc<OpenTable>]) -> Self {
        let mut tables: [Vec<Arc<OpenTable>>; LEVELS] = Default::default();
        let known = || self.tables.iter().flatten().chain(opened);
        debug_assert!(edit.added.len() == opened.len());
        for (level, metas) in levels.iter().enumerate() {
            for meta in metas {
                let table = known().find(|table| table.table.id() == meta.id).expect("a table is known or added");
                tables[level].push(Arc::clone(table));
            }
        }
        Self { levels, tables }
    }

    /// The newest write to `user` that a reader at `seq` may see.
    pub(super) fn get(&self, user: &[u8], seq: Seq) -> Result<Option<Found<Vec<u8>>>, Error> {
        let hash = bloom::hash(user);
        let seek = InternalKeyBuf::seek(user, seq);
        for (meta, table) in self.levels.level(0).iter().zip(&self.tables[0]) {
            if meta.overlaps(user, user)
                && let Some(found) = self.ask(table, hash, seek.as_key())?
            {
                return Ok(Some(found));
            }
        }
        for level in 1..LEVELS {
            let metas = self.levels.level(level);
            let at = metas.partition_point(|table| table.largest.as_key().user() < user);
            if metas.get(at).is_some_and(|meta| meta.smallest.as_key().user() <= user)
                && let Some(found) = self.ask(&self.tables[level][at], hash, seek.as_key())?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn ask(&self, table: &OpenTable, hash: u64, seek: &InternalKey) -> Result<Option<Found<Vec<u8>>>, Error> {
        if !table.table.may_contain(hash) {
            return Ok(None);
        }
        Ok(table.table.get(seek)?)
    }
}

impl View {
    /// The newest write to `user` that a reader at `seq` may see.
    pub(super) fn get(&self, user: &[u8], seq: Seq) -> Result<Option<Vec<u8>>, Error> {
        let in_memory = std::iter::once(&self.memtable).chain(&self.immutables);
        for mem in in_memory {
            if let Some(found) = mem.table.get(user, seq, <[u8]>::to_vec) {
                return Ok(value_of(found));
            }
        }
        Ok(self.version.get(user, seq)?.and_then(value_of))
    }
}

fn value_of(found: Found<Vec<u8>>) -> Option<Vec<u8>> {
    match found {
        Found::Value(value) => Some(value),
        Found::Deleted => None,
    }
}
