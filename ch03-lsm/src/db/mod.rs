//! The tree: what puts memtables, logs, tables and the manifest together.
//!
//! A write goes to the write-ahead log and to the memtable; a full memtable becomes a table of level 0; tables are merged
//! into deeper levels. A read asks the memtable, then those that are being written out, then level 0 from the newest, then
//! one table of each level (DDIA ch. 3, "Making an LSM-tree out of SSTables").
//!
//! One thread or sixteen may use a [`Db`] at once: writers are committed in groups by the first of them, readers
//! take a view and wait for nobody, and threads of its own flush and compact.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use common::disk::log::SegmentWriter;
use common::disk::{Disk, Lock};

use crate::engine::key::Seq;
use crate::engine::levels::{Levels, TableId};
use crate::error::Error;
use crate::storage::batch::Batch;
use crate::storage::manifest::State;
use crate::storage::wal_recovery::Recovered;
use crate::sync::{AtomicBool, AtomicU64, Builder, Condvar, JoinHandle, Mutex, MutexGuard, RwLock};

mod blocks;
mod checkpoint;
mod clock;
mod commit;
mod cursors;
mod iterator;
mod open;
mod options;
mod pace;
mod resume;
mod stats;
mod tables;
mod ttl;
mod verify;
mod view;
mod work;

pub use blocks::Blocks;
pub use clock::{Clock, Gate, SystemClock};
pub use iterator::DbIterator;
pub use options::{Options, ReadOptions, WriteOptions};
pub use stats::{LevelStats, StallStats, Stats, TableCacheStats, WorkStats};
pub use ttl::{TtlDb, TtlIterator};
pub(crate) use verify::assert_tree;
pub use verify::{Verified, verify};

use commit::Commits;
use pace::Pace;
use stats::Counters;
use tables::TableCache;
use view::View;

/// An open tree. Dropped, it ends its threads; what was written stays in the log.
#[derive(Debug)]
pub struct Db {
    inner: Arc<Inner>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Inner {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: Options,
    view: RwLock<Arc<View>>,
    /// The newest write that readers may see.
    seq: AtomicU64,
    next_file: AtomicU64,
    snapshots: Mutex<BTreeMap<Seq, usize>>,
    commits: Commits,
    tables: Arc<TableCache>,
    pace: Arc<Pace>,
    counters: Counters,
    /// What the strategy says of the newest version.
    debt_bytes: AtomicU64,
    work: Mutex<Work>,
    /// Whether `work.failed` is set, for who has not got its lock.
    has_failed: AtomicBool,
    /// Told whenever there may be something to do, or something has been done.
    progress: Condvar,
    _lock: Box<dyn Lock>,
}

/// What flushes and compactions share.
#[derive(Debug)]
struct Work {
    manifest: SegmentWriter,
    state: State,
    is_flushing: bool,
    busy: BTreeSet<TableId>,
    /// Tables to merge when there is nothing else to do.
    marked: BTreeSet<TableId>,
    /// Tables that somebody waits to see merged, before anything else.
    wanted: BTreeSet<TableId>,
    /// Flushes and compactions under way.
    running: usize,
    /// After a failure: nothing is written any more.
    failed: Option<Arc<Error>>,
    /// Tables that a record which failed may have named: no others than these are removed by [`Db::resume`].
    debris: Vec<TableId>,
    is_ending: bool,
}

/// What a reader sees who comes back: everything as it was at one moment.
#[derive(Debug)]
pub struct Snapshot {
    inner: Arc<Inner>,
    seq: Seq,
}

impl Db {
    /// Opens the tree in `dir`, or makes one.
    ///
    /// # Errors
    ///
    /// [`Error`]; damage names the file and the offset.
    pub fn open(disk: &Arc<dyn Disk>, dir: &Path, options: Options) -> Result<(Self, Recovered), Error> {
        let (inner, recovered) = Inner::open(disk, dir, options)?;
        let inner = Arc::new(inner);
        // Dropped, it ends those that have begun.
        let mut db = Self { inner, threads: Vec::new() };
        for index in 0..db.inner.options.threads {
            let inner = Arc::clone(&db.inner);
            let thread = Builder::new().name(format!("lsm-{index}")).spawn(move || inner.work_until_ended());
            db.threads.push(thread.map_err(Error::io("start a thread for", dir))?);
        }
        Ok((db, recovered))
    }

    /// Puts a value.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn put(&self, key: &[u8], value: &[u8], options: WriteOptions) -> Result<(), Error> {
        let mut batch = Batch::for_one(key, value);
        batch.put(key, value)?;
        self.write(batch, options)
    }

    /// Deletes a key, whether it is there or not.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn delete(&self, key: &[u8], options: WriteOptions) -> Result<(), Error> {
        let mut batch = Batch::for_one(key, &[]);
        batch.delete(key)?;
        self.write(batch, options)
    }

    /// Deletes all keys from `from` up to `to`, that one not included: one write, whatever it deletes.
    ///
    /// # Errors
    ///
    /// [`Error`]; of the range, when `to` is below `from`.
    pub fn delete_range(&self, from: &[u8], to: &[u8], options: WriteOptions) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.delete_range(from, to)?;
        self.write(batch, options)
    }

    /// Does all writes of a batch, or none.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn write(&self, batch: Batch, options: WriteOptions) -> Result<(), Error> {
        self.inner.commit(batch, options.sync)
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        // The view first: what it lacks of versions, everybody who comes later sees a newer one of.
        let view = self.inner.view();
        view.get(key, self.inner.seq(), |table| self.inner.mark_if_too_dear(table))
    }

    /// The value of a key at a snapshot.
    ///
    /// # Errors
    ///
    /// [`Error`].
    ///
    /// # Panics
    ///
    /// When the snapshot is of another tree: its number means nothing here.
    pub fn get_at(&self, snapshot: &Snapshot, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.assert_own(snapshot);
        self.inner.view().get(key, snapshot.seq, |table| self.inner.mark_if_too_dear(table))
    }

    /// An iterator over what there is now.
    pub fn iter(&self) -> DbIterator {
        self.iter_with(ReadOptions::default())
    }

    /// An iterator over what there was at a snapshot.
    pub fn iter_at(&self, snapshot: &Snapshot) -> DbIterator {
        self.iter_with(ReadOptions { snapshot: Some(snapshot), ..ReadOptions::default() })
    }

    /// An iterator over a part of what there is, or was: between the bounds it goes both ways, and ends at them. What lies
    /// beyond them it does not touch: a table that has nothing between them is never read.
    ///
    /// # Panics
    ///
    /// When the snapshot is of another tree.
    pub fn iter_with(&self, options: ReadOptions<'_>) -> DbIterator {
        if let Some(snapshot) = options.snapshot {
            self.assert_own(snapshot);
        }
        // The view before the number, as in a get.
        let view = self.inner.view();
        let seq = options.snapshot.map_or_else(|| self.inner.seq(), |snapshot| snapshot.seq);
        DbIterator::new(view, seq, options.lower, options.upper, Arc::downgrade(&self.inner))
    }

    /// What there is now, to come back to.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshots = self.inner.snapshots.lock().expect("no thread panics with it");
        let seq = self.inner.seq();
        *snapshots.entry(seq).or_default() += 1;
        drop(snapshots);
        Snapshot { inner: Arc::clone(&self.inner), seq }
    }

    /// Writes out what is in memory, and waits for it.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn flush(&self) -> Result<(), Error> {
        self.inner.flush()
    }

    /// Does one thing that is to be done, a flush or a compaction, in this thread; false when there is nothing. For whoever
    /// opened it without threads.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn work(&self) -> Result<bool, Error> {
        self.inner.work_once()
    }

    /// Waits until there is nothing to flush or to compact.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn settle(&self) -> Result<(), Error> {
        self.inner.settle()
    }

    /// Compacts all that there is from `from` up to `to` (`None`: from the first, to the last), and waits for it. What is superseded
    /// or deleted, and no snapshot sees, goes with what hides it. Leveled, each level is merged into the next, so that a read there
    /// asks one table: level 0 whole, with what it overlaps; of the others, the tables that have keys of the range. A table that
    /// overlaps no other is moved as it is. Of what is written meanwhile some is compacted and some not, and a merge that
    /// it causes may leave some of the range a level higher. Size-tiered, the tables that have keys of the range become one.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn compact_range(&self, from: Option<&[u8]>, to: Option<&[u8]>) -> Result<(), Error> {
        self.inner.compact_range(from, to)
    }

    /// How full it is, and what it has cost so far.
    pub fn stats(&self) -> Stats {
        self.inner.stats()
    }

    /// The tables of the levels, as they are now.
    pub fn levels(&self) -> Levels {
        self.inner.view().version.levels.clone()
    }

    /// Makes a copy in `dir`, which may be opened as a tree of its own: of all that was acknowledged before this call. Tables
    /// are not copied but get a second name, so that it takes no time and, until they are compacted away here, no space.
    ///
    /// # Errors
    ///
    /// [`Error::CheckpointExists`], [`Error::OtherFileSystem`], and whatever the disk refuses: what was made until then is removed.
    pub fn checkpoint(&self, dir: &Path) -> Result<(), Error> {
        self.inner.checkpoint(dir)
    }

    /// Goes on after the disk was full, once there is room: writes what is in memory to tables, and begins a new log.
    /// Without such a failure it does nothing.
    ///
    /// # Errors
    ///
    /// [`Error::DiskFull`] when there still is no room, and [`Error::ReadOnly`] when something else has failed: a sync, for
    /// one, after which nothing is known of what had been written.
    pub fn resume(&self) -> Result<(), Error> {
        self.inner.resume()
    }

    /// Ends it cleanly: the log is durable, and attests to all of itself. A merge that is under way is given up, and done when the
    /// tree is open again.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn close(mut self) -> Result<(), Error> {
        self.end_threads();
        self.inner.close()
    }

    fn assert_own(&self, snapshot: &Snapshot) {
        assert!(Arc::ptr_eq(&self.inner, &snapshot.inner), "a snapshot is of the tree that is asked");
    }

    fn end_threads(&mut self) {
        self.inner.work().is_ending = true;
        self.inner.pace.end();
        self.inner.progress.notify_all();
        for thread in self.threads.drain(..) {
            // Whatever it panicked with has been printed.
            let _: std::thread::Result<()> = thread.join();
        }
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        self.end_threads();
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let mut snapshots = self.inner.snapshots.lock().expect("no thread panics with it");
        if let Some(count) = snapshots.get_mut(&self.seq) {
            *count -= 1;
            if *count == 0 {
                snapshots.remove(&self.seq);
            }
        }
    }
}

impl Inner {
    fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().expect("no thread panics with it"))
    }

    fn seq(&self) -> Seq {
        Seq(self.seq.load(Ordering::Acquire))
    }

    /// A strategy of somebody else's is asked under this lock, and may panic; it changes nothing.
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_file(&self) -> u64 {
        self.next_file.fetch_add(1, Ordering::Relaxed)
    }

    fn set_view(&self, change: impl FnOnce(&View) -> View) {
        let mut view = self.view.write().expect("no thread panics with it");
        *view = Arc::new(change(&view));
    }

    fn fails(&self, error: &Error) {
        let mut work = self.work();
        self.set_failed(&mut work, error);
        self.progress.notify_all();
    }

    /// Takes note of a failure: of the first, or of one that is worse than a full disk.
    fn set_failed(&self, work: &mut Work, error: &Error) {
        let is_echo = matches!(error, Error::ReadOnly(_) | Error::DiskFull(_));
        let is_worse = work.failed.as_ref().is_none_or(|failed| failed.is_out_of_space() && !error.is_out_of_space());
        if is_worse && !is_echo {
            work.failed = Some(Arc::new(error.clone()));
            self.has_failed.store(true, Ordering::Release);
        }
    }

    /// What has failed, if anything has.
    fn check(work: &Work) -> Result<(), Error> {
        match &work.failed {
            Some(failed) if failed.is_out_of_space() => Err(Error::DiskFull(Arc::clone(failed))),
            Some(failed) => Err(Error::ReadOnly(Arc::clone(failed))),
            None => Ok(()),
        }
    }
}
