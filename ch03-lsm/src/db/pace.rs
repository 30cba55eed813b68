//! Pacing: a disk that lets flushes and compactions write no faster than they may.
//!
//! Tables are written a mebibyte at a time. Before each, the writer takes as many tokens from the tree's bucket, and
//! sleeps while there are none. Closing the tree wakes whoever sleeps: a flush that is under way then ends at full speed, and a
//! merge is given up.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::disk::{Disk, DiskFile, Lock, Open};

use super::clock::{Clock, Gate};
use crate::engine::token_bucket::{TokenBucket, Urgency};
use crate::sync::Mutex;

/// How fast a tree's tables may be written.
#[derive(Debug)]
pub(super) struct Pace {
    /// None: as fast as the disk takes it.
    bucket: Option<Mutex<TokenBucket>>,
    clock: Arc<dyn Clock>,
    ends: Gate,
}

/// A disk for the tables of one flush or compaction.
#[derive(Debug, Clone)]
pub(super) struct PacedDisk {
    disk: Arc<dyn Disk>,
    pace: Arc<Pace>,
    urgency: Urgency,
}

#[derive(Debug)]
struct PacedFile {
    file: Arc<dyn DiskFile>,
    disk: PacedDisk,
}

impl Pace {
    pub(super) fn new(bytes_per_s: Option<u64>, clock: &Arc<dyn Clock>) -> Arc<Self> {
        let bucket = bytes_per_s.map(|rate| Mutex::new(TokenBucket::new(rate, clock.now())));
        Arc::new(Self { bucket, clock: Arc::clone(clock), ends: Gate::default() })
    }

    pub(super) fn disk(self: &Arc<Self>, disk: &Arc<dyn Disk>, urgency: Urgency) -> PacedDisk {
        PacedDisk { disk: Arc::clone(disk), pace: Arc::clone(self), urgency }
    }

    /// Waits, unless the tree is being closed.
    pub(super) fn pause(&self, time: Duration) {
        self.clock.wait(&self.ends, time);
    }

    /// Nobody waits any more.
    pub(super) fn end(&self) {
        self.ends.open();
    }

    /// Whether that was said.
    pub(super) fn has_ended(&self) -> bool {
        self.ends.is_open()
    }

    fn take(&self, bytes: u64, urgency: Urgency) {
        let Some(bucket) = &self.bucket else { return };
        while !self.ends.is_open() {
            let now = self.clock.now();
            let taken = bucket.lock().expect("no thread panics with it").take(now, bytes, urgency);
            match taken {
                Ok(()) => return,
                Err(wait) => self.clock.wait(&self.ends, wait),
            }
        }
    }
}

impl Disk for PacedDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(PacedFile { file: self.disk.open(path, how)?, disk: self.clone() }))
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

impl DiskFile for PacedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.disk.pace.take(data.len() as u64, self.disk.urgency);
        self.file.write_at(data, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
