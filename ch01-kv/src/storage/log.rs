//! The log that is open: takes groups at its end, hands out what is to be synced, and ends so that nothing is in doubt.
//!
//! The log is the durable form of the store: what is in memory is what a replay of it gives (DDIA ch. 3, "Hash Indexes"; ch. 1,
//! "Reliability"). It decides nothing: [`group_commit`](crate::engine::group_commit) says when to write and when to sync, and a
//! sync runs in a thread of its own, on a [`SyncPoint`]. How it comes to be open is told in [`opening`](super::opening).
//!
//! **Ahead of the end** the log keeps padding, when it is told to: blocks that are allocated and sized, so that
//! under `always` a sync has data to write and no metadata. That padding is a reserve as well. When it cannot be replenished,
//! the disk is full while there still is room for what is being executed: so that writes can be refused before
//! memory gets ahead of the log ([`Room::Reserve`]).
//!
//! **Left out**: several files, and the time stamps that Redis can put between commands.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::disk::{DiskFile, Lock};

use super::appender::Appender;
use super::error::{StorageError, is_disk_full};
use super::format::{PADDING, Position, UNIT_BYTES};
use super::rewrite::{LiveLog, ReplaceError, Rewrite};

/// Which part of the padding is the reserve: when less than one in this many bytes is left, it is replenished.
const RESERVE_PART: u64 = 4;

/// How much padding is written at a time, in bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// How much room there is for what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// As far as is known, enough.
    Ample,
    /// The disk is full: only what is left of the reserve.
    Reserve,
}

/// What a sync has to cover: handed to the thread that runs it, and given back when it has succeeded.
#[derive(Debug, Clone)]
pub struct SyncPoint {
    file: Arc<dyn DiskFile>,
    salt: u64,
    seq: u64,
}

/// The open log of a directory, and the directory's lock.
///
/// **Invariants**: up to `appender.end` the file holds whole groups; from there to `padded_to`, units of padding, unless
/// `untidy`.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    appender: Appender,
    padded_to: u64,
    preallocate_bytes: u64,
    /// Whether a failed write may have left bytes after the end that are not padding.
    untidy: bool,
    _lock: Box<dyn Lock>,
}

impl SyncPoint {
    /// Makes everything durable that was appended before this point was made.
    pub fn run(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl Log {
    /// Writes `commands` as the next group: applied whole or not at all by a replay. Durable when a [`SyncPoint`] made after
    /// this has run. No commands: tries to replenish the reserve alone.
    ///
    /// # Errors
    ///
    /// When the disk refuses. The log is as it was then: a later call writes to the same place.
    pub fn append_group(&mut self, commands: &[u8]) -> io::Result<Room> {
        if self.untidy {
            self.tidy()?;
        }
        if !commands.is_empty() {
            if let Err(error) = self.appender.append(commands) {
                self.untidy = true;
                // Tried here so that the file is whole if the process ends now, and before the next group if it fails.
                let _: io::Result<()> = self.tidy();
                return Err(error);
            }
            self.padded_to = self.padded_to.max(self.appender.end.offset);
        }
        Ok(self.replenish())
    }

    /// What a sync that is started now covers.
    pub fn sync_point(&self) -> SyncPoint {
        SyncPoint { file: self.file(), salt: self.appender.salt, seq: self.appender.end.seq }
    }

    /// Takes note that `point` has run with success: groups written from now on testify to it.
    pub fn synced(&mut self, point: &SyncPoint) {
        // A rewrite may have put another file in the place of the one that was synced.
        if point.salt == self.appender.salt {
            self.appender.synced = self.appender.synced.max(point.seq);
        }
    }

    /// The file, for whoever syncs it in a way of their own.
    pub fn file(&self) -> Arc<dyn DiskFile> {
        Arc::clone(&self.appender.file)
    }

    /// Where the next group goes.
    pub fn position(&self) -> Position {
        self.appender.end
    }

    /// The log's length without padding, in bytes.
    pub fn len_bytes(&self) -> u64 {
        self.appender.end.offset
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The log, for a [`Rewrite`] to copy from.
    pub fn live(&self) -> LiveLog {
        LiveLog { file: self.file(), salt: self.appender.salt, path: self.path.clone() }
    }

    /// Sets how much padding is kept ahead of the end, in bytes: 0 when no reply waits for a sync.
    pub fn set_preallocate(&mut self, bytes: u64) -> Room {
        self.preallocate_bytes = bytes - bytes % UNIT_BYTES as u64;
        self.replenish()
    }

    /// Lets `rewrite`, which holds everything up to the position `copied` of this log, take its place: copies the groups
    /// since then, and renames. Everything that was appended is durable then. The old file is given back, because the disk may
    /// take its time to free it: drop it where nobody waits.
    ///
    /// # Errors
    ///
    /// [`ReplaceError`], which says which log goes on.
    pub fn replace_with(&mut self, mut rewrite: Rewrite, copied: Position) -> Result<Arc<dyn DiskFile>, ReplaceError> {
        rewrite.copy_tail(&self.live(), copied, self.position()).map_err(ReplaceError::NotInstalled)?;
        let (appender, named) = rewrite.install().map_err(ReplaceError::NotInstalled)?;
        let old = std::mem::replace(&mut self.appender, appender);
        self.padded_to = self.appender.end.offset;
        self.untidy = false;
        named.map_err(ReplaceError::NotDurable)?;
        self.replenish();
        Ok(old.file)
    }

    /// Ends the log: everything durable, the padding cut, and a seal at its end, so that damage to any group is found later.
    pub fn close(mut self) -> Result<(), StorageError> {
        let path = self.path.clone();
        let point = self.sync_point();
        point.run().map_err(StorageError::io("sync", &path))?;
        self.synced(&point);
        self.appender.seal().map_err(StorageError::io("write", &path))?;
        self.tidy().map_err(StorageError::io("cut", &path))?;
        self.appender.file.sync_data().map_err(StorageError::io("sync", &path))
    }

    /// A log whose file holds what `appender` has written, and padding from there to `padded_to`.
    pub(super) fn new(path: PathBuf, appender: Appender, padded_to: u64, lock: Box<dyn Lock>) -> Self {
        Self { path, appender, padded_to, preallocate_bytes: 0, untidy: false, _lock: lock }
    }

    /// Cuts the file at the log's end.
    fn tidy(&mut self) -> io::Result<()> {
        let end = self.appender.end.offset;
        self.appender.file.set_len(end)?;
        self.padded_to = end;
        self.untidy = false;
        Ok(())
    }

    /// Writes padding when the reserve is short.
    fn replenish(&mut self) -> Room {
        let (end, wanted) = (self.appender.end.offset, self.preallocate_bytes);
        if self.padded_to - end >= wanted / RESERVE_PART {
            return Room::Ample;
        }
        let target = end + wanted;
        match write_padding(&*self.appender.file, self.padded_to, target) {
            Ok(()) => {
                self.padded_to = target;
                Room::Ample
            }
            Err(error) => {
                self.untidy = self.appender.file.set_len(self.padded_to).is_err();
                // Padding is a matter of speed: what else is wrong with the disk is for the next group to find out.
                if is_disk_full(&error) { Room::Reserve } else { Room::Ample }
            }
        }
    }
}

fn write_padding(file: &dyn DiskFile, mut from: u64, to: u64) -> io::Result<()> {
    let chunk = PADDING.repeat(CHUNK_BYTES / UNIT_BYTES);
    while from < to {
        let len = usize::try_from(to - from).map_or(chunk.len(), |left| left.min(chunk.len()));
        file.write_at(&chunk[..len], from)?;
        from += len as u64;
    }
    Ok(())
}
