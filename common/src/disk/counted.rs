//! The counting disk: passes every call on to another disk, and counts what was asked for and how many bytes it took.
//!
//! How often a byte is written again, and how much is read to find one value, is what storage engines are compared by (DDIA
//! ch. 3, "Comparing B-Trees and LSM-Trees", on write amplification). This counts it at the one place where every
//! engine has to pass, the same way for each.
//!
//! What it counts is what reaches the disk's door: the page cache behind it may spare the device some of it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile, Lock, Open};

/// A disk that counts; clones count together.
#[derive(Debug, Clone)]
pub struct CountedDisk {
    disk: Arc<dyn Disk>,
    counts: Arc<Mutex<BTreeMap<PathBuf, Counts>>>,
}

/// What was done. A call that failed counts as a call, and with no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Calls of `open`, whatever for.
    pub opens: u64,
    /// Calls of `read_at`.
    pub reads: u64,
    /// Bytes that they read.
    pub read_bytes: u64,
    /// Calls of `write_at`.
    pub writes: u64,
    /// Bytes that they wrote.
    pub written_bytes: u64,
    /// Calls of `sync_data`, and of `sync_dir` under the directory's path.
    pub syncs: u64,
}

#[derive(Debug)]
struct CountedFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    disk: CountedDisk,
}

impl CountedDisk {
    /// Counts what is done on `disk` from here on.
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, counts: Arc::default() }
    }

    /// What was done in all.
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        self.counts().values().for_each(|counts| total.add(counts));
        total
    }

    /// What was done on each file and directory, under the name by which it was opened: of a file that was renamed, under the
    /// first.
    pub fn by_path(&self) -> BTreeMap<PathBuf, Counts> {
        self.counts().clone()
    }

    /// Begins again at zero.
    pub fn reset(&self) {
        self.counts().clear();
    }

    fn count(&self, path: &Path, add: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts();
        match counts.get_mut(path) {
            Some(known) => add(known),
            None => add(counts.entry(path.to_owned()).or_default()),
        }
    }

    /// Numbers are whole whatever a thread that has panicked was about to do.
    fn counts(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Counts>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.opens += other.opens;
        self.reads += other.reads;
        self.read_bytes += other.read_bytes;
        self.writes += other.writes;
        self.written_bytes += other.written_bytes;
        self.syncs += other.syncs;
    }
}

impl Disk for CountedDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        self.count(path, |counts| counts.opens += 1);
        let file = self.disk.open(path, how)?;
        Ok(Arc::new(CountedFile { file, path: path.to_owned(), disk: self.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.count(path, |counts| counts.syncs += 1);
        self.disk.sync_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.disk.list(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }

    fn hard_link(&self, original: &Path, link: &Path) -> io::Result<()> {
        self.disk.hard_link(original, link)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.disk.lock(path)
    }
}

impl DiskFile for CountedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.file.read_at(buf, offset);
        self.disk.count(&self.path, |counts| {
            counts.reads += 1;
            counts.read_bytes += *read.as_ref().unwrap_or(&0) as u64;
        });
        read
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let written = self.file.write_at(data, offset);
        self.disk.count(&self.path, |counts| {
            counts.writes += 1;
            counts.written_bytes += if written.is_ok() { data.len() as u64 } else { 0 };
        });
        written
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.count(&self.path, |counts| counts.syncs += 1);
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
