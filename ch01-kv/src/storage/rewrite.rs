//! Rewriting: a log that holds what is in memory takes the place of the one that holds how it came about.
//!
//! A log of changes grows without bound while what it describes does not (DDIA ch. 3, "Hash Indexes", meets the same and calls the
//! remedy compaction). The new log is written beside the live one, by a thread of its own:
//!
//! ```text
//! live      ──groups──▶ p ──groups since──▶ q ──▶          p: the live log's position at the moment of the snapshot
//! rewrite   base groups of the snapshot at p               1. add_group, many times
//!                        ▏ groups p..q, framed anew        2. copy_tail, as often as it takes until q is close
//!                                                          3. Log::replace_with: the rest, a sync, rename, a directory sync
//! ```
//!
//! Until the rename the new file has no meaning, and from then on it is whole and durable: a crash at any point leaves one
//! log or the other. Groups are verified as they are copied, so that damage in the live log is found and not carried over.
//!
//! **Left out**: Redis 7's several files (base, increments, manifest), which save copying the tail.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::disk::{Disk, DiskFile, Open};

use super::appender::Appender;
use super::error::StorageError;
use super::format::{LOG_NAME, Position, REWRITE_NAME};
use super::outcome::{Flaw, ReplayError, Tail};
use super::recovery::{Extent, replay};

/// The live log as the rewriting thread sees it: to read, below a position that is written.
#[derive(Debug, Clone)]
pub struct LiveLog {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) salt: u64,
    pub(super) path: PathBuf,
}

/// A log that is being written, to take the place of the live one. Dropped before that, it takes its file with it.
///
/// **Invariant**: as long as there is an `appender`, the file has a name of its own, and nobody reads it.
#[derive(Debug)]
pub struct Rewrite {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    path: PathBuf,
    /// `None` when it has been installed.
    appender: Option<Appender>,
}

/// Why a rewritten log did not take the live one's place.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// It did not; the live log goes on as before.
    #[error("the rewritten log was not installed; the old one goes on")]
    NotInstalled(#[source] StorageError),
    /// It did, but which of the two has the name after a power cut is unknown. The same as a failed sync: nothing that
    /// comes after can be promised.
    #[error("the rewritten log is installed, and it is unknown whether durably")]
    NotDurable(#[source] StorageError),
}

impl Rewrite {
    /// Begins a log in `dir`, with a salt that no other log has: a random one.
    pub fn begin(disk: Arc<dyn Disk>, dir: &Path, salt: u64) -> Result<Self, StorageError> {
        let path = dir.join(REWRITE_NAME);
        let file = disk.open(&path, Open::Truncate).map_err(StorageError::io("create", &path))?;
        let mut rewrite = Self { disk, dir: dir.to_owned(), path, appender: None };
        let appender = Appender::create(file, salt).map_err(StorageError::io("write", &rewrite.path));
        // Set after the struct is whole, so that a failure to write the header removes the file.
        match appender {
            Ok(appender) => rewrite.appender = Some(appender),
            Err(error) => {
                rewrite.remove();
                return Err(error);
            }
        }
        Ok(rewrite)
    }

    /// Appends a group. A command that must not be seen without another belongs into the same group.
    pub fn add_group(&mut self, commands: &[u8]) -> Result<(), StorageError> {
        let path = &self.path;
        self.appender.as_mut().expect("not installed yet").append(commands).map_err(StorageError::io("write", path))
    }

    /// Copies the live log's groups between two of its positions, in groups of the same extent.
    ///
    /// # Errors
    ///
    /// [`StorageError::Damaged`] when one of them does not verify: it is the live log that is damaged then.
    pub fn copy_tail(&mut self, live: &LiveLog, from: Position, to: Position) -> Result<(), StorageError> {
        let mut failed = None;
        let extent = Extent { salt: live.salt, from, to: to.offset };
        let replayed = replay(&*live.file, extent, &mut |commands| {
            self.add_group(commands).map_err(|error| {
                failed = Some(error);
                String::new()
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let recovered = replayed.map_err(|error| StorageError::replay(&live.path, error))?;
        if recovered.end != to {
            let why = match recovered.tail {
                Tail::Torn { why, .. } => why,
                Tail::Clean | Tail::Padding => Flaw::NoAnnotation,
            };
            let offset = recovered.end.offset;
            let source = ReplayError::Damaged { offset, why, evidence: to.offset };
            return Err(StorageError::Damaged { path: live.path.clone(), offset, source });
        }
        Ok(())
    }

    /// The log's length, in bytes.
    pub fn len_bytes(&self) -> u64 {
        self.appender.as_ref().expect("not installed yet").end.offset
    }

    /// Makes what it holds durable: worth its time before [`Log::replace_with`](super::Log::replace_with), which then has
    /// little left to sync.
    pub fn sync(&self) -> Result<(), StorageError> {
        let appender = self.appender.as_ref().expect("not installed yet");
        appender.file.sync_data().map_err(StorageError::io("sync", &self.path))
    }

    /// Seals the log, makes it durable, and gives it the live one's name. Whether the name is durable is a result of its own.
    pub(super) fn install(mut self) -> Result<(Appender, Result<(), StorageError>), StorageError> {
        let appender = self.appender.as_mut().expect("not installed yet");
        // The seal claims what the sync makes true; nobody sees it before, since the name comes after.
        appender.seal().map_err(StorageError::io("write", &self.path))?;
        self.sync()?;
        self.disk.rename(&self.path, &self.dir.join(LOG_NAME)).map_err(StorageError::io("rename", &self.path))?;
        let mut appender = self.appender.take().expect("not installed yet");
        appender.synced = appender.end.seq;
        Ok((appender, self.disk.sync_dir(&self.dir).map_err(StorageError::io("sync", &self.dir))))
    }

    fn remove(&self) {
        // A file that stays is removed when the directory is opened next; it has no meaning.
        let _: io::Result<()> = self.disk.remove(&self.path);
    }
}

impl Drop for Rewrite {
    fn drop(&mut self) {
        if self.appender.is_some() {
            self.remove();
        }
    }
}
