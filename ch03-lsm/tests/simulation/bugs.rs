//! Bugs that can be planted without touching the tree: disks that lie, strategies that choose wrongly, caches that mix up their
//! blocks, a caller who cuts batches in two.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ch03_lsm::engine::block::Block;
use ch03_lsm::engine::compaction::{Choice, Strategy};
use ch03_lsm::engine::levels::{Levels, TableId};
use ch03_lsm::storage::files::{MANIFEST, WAL, table_id};
use ch03_lsm::storage::table::{BlockCache, BlockKey};
use common::disk::log::{HEADER_BYTES, segments};
use common::disk::{Disk, DiskFile, Lock, Open, SimDisk};

/// A bug, by what goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A write is acknowledged before the log is durable.
    LogNotSynced,
    /// A table counts before it is durable.
    TableNotSynced,
    /// Inputs go before the record that replaces them is durable.
    ManifestNotSynced,
    /// Names are never made durable.
    NamesNotSynced,
    /// A sync that failed passes for one that did not.
    FailedSyncCalledGood,
    /// A sync that failed is tried again, and what that says is believed.
    FailedSyncTriedAgain,
    /// Now and then the last byte of what goes to a log is not written.
    LogWriteLosesItsEnd,
    /// Now and then the last byte of what goes to a table is not written.
    TableWriteLosesItsEnd,
    /// Now and then a write to a log is dropped, and what was reserved is still there.
    LogWriteDropped,
    /// A log keeps what was reserved for it when it is ended.
    LogNotCut,
    /// A log goes when its memtable is a table, and before the manifest says so.
    LogRemovedTooEarly,
    /// The old manifest goes when the new one is begun, and not when it is whole.
    ManifestRemovedTooEarly,
    /// Tombstones are dropped while older tables hold what they hide.
    EverythingIsBottom,
    /// A merge of level 0 leaves its oldest table where it is.
    OldestStaysAbove,
    /// A merge leaves out a table of the level below that it overlaps.
    OverlappingLeftOut,
    /// A merge leaves out a run between two others.
    RunInBetweenLeftOut,
    /// The newest table of level 0 is moved past older ones.
    NewestMovedPastOthers,
    /// The cache looks for blocks by their offset alone.
    CacheForgetsTheTable,
    /// The cache looks for blocks by their table alone.
    CacheForgetsTheOffset,
    /// A batch becomes two.
    BatchInTwo,
}

/// What the checkers say of a tree that has not come back as it must.
const LOST: &[&str] = &["it does not open", "it cannot be read", "was durable", "it was never like this"];

/// What they say of an answer that is not the map's.
const WRONG: &[&str] = &["left == right", "it was never like this"];

/// What they say when the tree itself refuses, and no fault was the reason.
const REFUSED: &[&str] = &["an error without a fault", "it does not open", "it cannot be read"];

/// Each bug, with what whoever finds it may say.
pub(crate) const ALL: [(Bug, &[&str]); 20] = [
    (Bug::LogNotSynced, LOST),
    (Bug::TableNotSynced, LOST),
    (Bug::ManifestNotSynced, LOST),
    (Bug::NamesNotSynced, LOST),
    (Bug::FailedSyncCalledGood, LOST),
    (Bug::FailedSyncTriedAgain, LOST),
    (Bug::LogWriteLosesItsEnd, LOST),
    (Bug::TableWriteLosesItsEnd, REFUSED),
    (Bug::LogWriteDropped, LOST),
    (Bug::LogNotCut, REFUSED),
    (Bug::LogRemovedTooEarly, LOST),
    (Bug::ManifestRemovedTooEarly, LOST),
    (Bug::EverythingIsBottom, WRONG),
    (Bug::OldestStaysAbove, WRONG),
    (Bug::OverlappingLeftOut, REFUSED),
    (Bug::RunInBetweenLeftOut, WRONG),
    (Bug::NewestMovedPastOthers, WRONG),
    (Bug::CacheForgetsTheTable, WRONG),
    (Bug::CacheForgetsTheOffset, WRONG),
    (Bug::BatchInTwo, LOST),
];

/// A disk with one of the bugs that a disk, or whoever asks it, can have.
#[derive(Debug)]
pub(crate) struct BuggyDisk {
    pub(crate) inner: SimDisk,
    pub(crate) bug: Bug,
}

#[derive(Debug)]
struct BuggyFile {
    inner: Arc<dyn DiskFile>,
    path: PathBuf,
    bug: Bug,
    disk: SimDisk,
}

fn is_log(path: &Path) -> bool {
    WAL.number(path).is_some()
}

fn is_table(path: &Path) -> bool {
    table_id(path).is_some()
}

fn is_manifest(path: &Path) -> bool {
    MANIFEST.number(path).is_some()
}

impl Disk for BuggyDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let dir = path.parent().unwrap_or(path);
        if self.bug == Bug::ManifestRemovedTooEarly && is_manifest(path) && how == Open::New {
            for (_, older) in segments(&self.inner, dir, MANIFEST)? {
                self.inner.remove(&older)?;
            }
            self.inner.sync_dir(dir)?;
        }
        let inner = self.inner.open(path, how)?;
        Ok(Arc::new(BuggyFile { inner, path: path.to_owned(), bug: self.bug, disk: self.inner.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match self.inner.remove(path) {
            // It is gone already.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if self.bug == Bug::NamesNotSynced { Ok(()) } else { self.inner.sync_dir(path) }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.inner.list(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.inner.exists(path)
    }

    fn hard_link(&self, original: &Path, link: &Path) -> io::Result<()> {
        self.inner.hard_link(original, link)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.inner.lock(path)
    }
}

impl DiskFile for BuggyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let is_victim = match self.bug {
            Bug::LogWriteLosesItsEnd => is_log(&self.path),
            Bug::TableWriteLosesItsEnd => is_table(&self.path),
            _ => false,
        };
        // Once in a while: a disk that never writes properly is found by anybody.
        let loses = is_victim && data.len() % 31 == 7;
        if self.bug == Bug::LogWriteDropped
            && is_log(&self.path)
            && data.len() % 31 == 7
            && offset > HEADER_BYTES as u64
        {
            return Ok(());
        }
        self.inner.write_at(if loses { &data[..data.len() - 1] } else { data }, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        let is_skipped = match self.bug {
            Bug::LogNotSynced => is_log(&self.path),
            Bug::TableNotSynced => is_table(&self.path),
            Bug::ManifestNotSynced => is_manifest(&self.path),
            _ => false,
        };
        if is_skipped {
            return Ok(());
        }
        let synced = self.inner.sync_data();
        match self.bug {
            Bug::FailedSyncCalledGood => Ok(()),
            Bug::FailedSyncTriedAgain if synced.is_err() => self.inner.sync_data(),
            Bug::LogRemovedTooEarly if is_table(&self.path) => {
                let dir = self.path.parent().unwrap_or(&self.path);
                if let [(_, oldest), _, ..] = &*segments(&self.disk, dir, WAL)? {
                    self.disk.remove(oldest)?;
                }
                synced
            }
            _ => synced,
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.bug == Bug::LogNotCut && is_log(&self.path) { Ok(()) } else { self.inner.set_len(len) }
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
}

/// A strategy whose choices are changed.
#[derive(Debug)]
pub(crate) struct BuggyStrategy {
    pub(crate) inner: Arc<dyn Strategy>,
    pub(crate) bug: Bug,
}

impl Strategy for BuggyStrategy {
    fn choose(&self, levels: &Levels, busy: &BTreeSet<TableId>) -> Choice {
        match self.inner.choose(levels, busy) {
            Choice::Merge(mut merge) => {
                let above = merge.inputs.iter().filter(|(level, _)| *level == 0).count();
                match self.bug {
                    Bug::EverythingIsBottom => merge.is_bottom = true,
                    Bug::OldestStaysAbove if merge.to > 0 && above > 1 => _ = merge.inputs.remove(above - 1),
                    Bug::RunInBetweenLeftOut if merge.to == 0 && above > 2 => _ = merge.inputs.remove(1),
                    Bug::OverlappingLeftOut if merge.to > 0 && above < merge.inputs.len() => _ = merge.inputs.pop(),
                    _ => {}
                }
                Choice::Merge(merge)
            }
            Choice::Move { from: 0, to, .. } if self.bug == Bug::NewestMovedPastOthers => {
                let newest = &levels.level(0)[0];
                let (first, last) = (newest.smallest.as_key().user(), newest.largest.as_key().user());
                if !levels.overlapping(to, first, last).is_empty() {
                    return Choice::Nothing;
                }
                Choice::Move { table: newest.id, from: 0, to }
            }
            other => other,
        }
    }

    fn debt_bytes(&self, levels: &Levels) -> u64 {
        self.inner.debt_bytes(levels)
    }
}

/// A cache that takes one block for another.
#[derive(Debug)]
pub(crate) struct BuggyCache {
    pub(crate) blocks: Mutex<HashMap<BlockKey, Block>>,
    pub(crate) bug: Bug,
}

impl BuggyCache {
    fn place(&self, key: BlockKey) -> BlockKey {
        match self.bug {
            Bug::CacheForgetsTheTable => BlockKey { table: TableId(0), ..key },
            Bug::CacheForgetsTheOffset => BlockKey { offset: 0, ..key },
            _ => key,
        }
    }
}

impl BlockCache for BuggyCache {
    fn get(&self, key: BlockKey) -> Option<Block> {
        self.blocks.lock().expect("nobody panics with it").get(&self.place(key)).cloned()
    }

    fn put(&self, key: BlockKey, block: &Block) {
        self.blocks.lock().expect("nobody panics with it").insert(self.place(key), block.clone());
    }
}
