//! Bugs that can be planted without touching the server: a shell that does not wait, writes that are recorded wrongly or not
//! at all, threads that report what they have not done, disks that lie, and recoveries that skip.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::disk::{Disk, DiskFile, Lock, Open, SimDisk};
use common::resp::Request;

/// A bug, by what goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    RepliesDoNotWait,
    ReadsDoNotWait,
    AbandonedRepliesLeave,
    SyncReportedBeforeItRan,
    FailedSyncCalledGood,
    FailedSyncTriedAgain,
    SyncClaimsMoreThanItCovered,
    SnapshotPartLost,
    TailNotCopied,
    SyncDoesNothing,
    SyncDirDoesNothing,
    RenameInTwoSteps,
    WriteLosesItsEnd,
    WhatIsThereIsNotWritten,
    SelectIgnored,
    DeadlinesIgnored,
    RemovalsIgnored,
    LastCommandIgnored,
    ChangeNotRecorded,
    WriteRecordedAsExpiry,
}

pub(crate) const ALL: [Bug; 20] = [
    Bug::RepliesDoNotWait,
    Bug::ReadsDoNotWait,
    Bug::AbandonedRepliesLeave,
    Bug::SyncReportedBeforeItRan,
    Bug::FailedSyncCalledGood,
    Bug::FailedSyncTriedAgain,
    Bug::SyncClaimsMoreThanItCovered,
    Bug::SnapshotPartLost,
    Bug::TailNotCopied,
    Bug::SyncDoesNothing,
    Bug::SyncDirDoesNothing,
    Bug::RenameInTwoSteps,
    Bug::WriteLosesItsEnd,
    Bug::WhatIsThereIsNotWritten,
    Bug::SelectIgnored,
    Bug::DeadlinesIgnored,
    Bug::RemovalsIgnored,
    Bug::LastCommandIgnored,
    Bug::ChangeNotRecorded,
    Bug::WriteRecordedAsExpiry,
];

impl Bug {
    /// Whether recovery passes over this command.
    pub(crate) fn skips(self, request: &Request<'_>) -> bool {
        match self {
            Self::SelectIgnored => request.is(0, "SELECT"),
            Self::DeadlinesIgnored => request.is(0, "PEXPIREAT"),
            Self::RemovalsIgnored => request.is(0, "DEL"),
            _ => false,
        }
    }
}

/// A disk with one of the bugs that a disk can have.
pub(crate) struct BuggyDisk {
    pub(crate) inner: SimDisk,
    pub(crate) bug: Option<Bug>,
}

struct BuggyFile {
    inner: Arc<dyn DiskFile>,
    bug: Option<Bug>,
}

impl fmt::Debug for BuggyDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a disk with {:?}", self.bug)
    }
}

impl fmt::Debug for BuggyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a file on a disk with {:?}", self.bug)
    }
}

impl Disk for BuggyDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let inner = self.inner.open(path, how)?;
        Ok(Arc::new(BuggyFile { inner, bug: self.bug }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.bug == Some(Bug::RenameInTwoSteps) && self.inner.exists(to)? {
            self.inner.remove(to)?;
        }
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if self.bug == Some(Bug::SyncDirDoesNothing) { Ok(()) } else { self.inner.sync_dir(path) }
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
        if self.bug == Some(Bug::WhatIsThereIsNotWritten) {
            let mut there = vec![0; data.len()];
            if self.inner.read_at(&mut there, offset)? == data.len() && there == data {
                return Ok(());
            }
        }
        // Once in a while: a disk that never writes properly is found by anybody.
        let loses = self.bug == Some(Bug::WriteLosesItsEnd) && data.len() % 31 == 7;
        self.inner.write_at(if loses { &data[..data.len() - 1] } else { data }, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.bug == Some(Bug::SyncDoesNothing) { Ok(()) } else { self.inner.sync_data() }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
}
