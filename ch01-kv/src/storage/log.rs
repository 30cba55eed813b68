//! The log that is open: takes groups at its end, hands out what is to be synced, and ends so that nothing is in doubt.
//!
//! The log is the durable form of the store: what is in memory is what a replay of it gives (DDIA ch. 3, "Hash Indexes"; ch. 1,
//! "Reliability"). It decides nothing: [`group_commit`](crate::engine::group_commit) says when to write and when to sync, and a
//! sync runs in a thread of its own, on a [`SyncPoint`].
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

use common::disk::{Disk, DiskFile, Lock, Open};
use common::resp::{Limits, Request, RequestDecoder};

use super::appender::Appender;
use super::format::{self, GROUP_MAX_BYTES, HEADER_BYTES, PADDING, Position, UNIT_BYTES};
use super::import::{Opening, import, recognise};
use super::recovery::{Extent, replay};
use super::rewrite::{LiveLog, ReplaceError, Rewrite};
use super::{LOCK_NAME, LOG_NAME, REDIS_PARTS_NAME, REWRITE_NAME, StorageError, Tail, is_disk_full};

/// Which part of the padding is the reserve: when less than one in this many bytes is left, it is replenished.
const RESERVE_PART: u64 = 4;

/// How much is written at a time where it can be any amount: padding, and what is copied. Bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// How a log is opened.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    /// Random bits, other ones each time: they become the salt of a file that has to be made.
    pub salt: u64,
    /// How much padding is kept ahead of the end, in bytes. 0: none. Whole units of [`UNIT_BYTES`]; the rest is not used.
    pub preallocate_bytes: u64,
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Groups that were applied.
    pub groups: u64,
    /// Commands that were applied.
    pub commands: u64,
    /// The log's length, in bytes.
    pub len_bytes: u64,
    /// What lay after the last whole group. A torn tail has been cut.
    pub tail: Tail,
    /// Where the cut part was kept, when it held groups after the torn one.
    pub kept: Option<PathBuf>,
    /// Whether the file came from Redis and has been taken over.
    pub imported: bool,
}

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
    /// Opens `DIR/appendonly.aof`, or creates it, calls `apply` with each of its commands in order, cuts a torn tail, and is
    /// ready to append to what is then durable. A log that a Redis wrote as commands is taken over.
    ///
    /// # Errors
    ///
    /// [`StorageError`], each of which says what to do about it. `apply` refuses a command with the reason in words.
    pub fn open(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        options: LogOptions,
        apply: &mut dyn FnMut(&Request<'_>) -> Result<(), String>,
    ) -> Result<(Self, Report), StorageError> {
        create_dir(&**disk, dir)?;
        let lock = lock(&**disk, dir)?;
        let path = dir.join(LOG_NAME);
        remove_if_exists(&**disk, &dir.join(REWRITE_NAME))?;
        let exists = disk.exists(&path).map_err(StorageError::io("look for", &path))?;
        let opening = if exists {
            let file = disk.open(&path, Open::Existing).map_err(StorageError::io("open", &path))?;
            recognise(&*file, &path)?
        } else {
            refuse_redis_parts(&**disk, dir, &path)?;
            Opening::Redis
        };
        let (mut log, mut report) = match opening {
            Opening::Ours { salt } => Self::replayed(&**disk, dir, path, lock, salt, apply)?,
            Opening::Redis => Self::imported(disk, dir, path, lock, exists, options.salt, apply)?,
        };
        log.set_preallocate(options.preallocate_bytes);
        report.len_bytes = log.len_bytes();
        Ok((log, report))
    }

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

    /// Opens a log of ours.
    fn replayed(
        disk: &dyn Disk,
        dir: &Path,
        path: PathBuf,
        lock: Box<dyn Lock>,
        salt: u64,
        apply: &mut dyn FnMut(&Request<'_>) -> Result<(), String>,
    ) -> Result<(Self, Report), StorageError> {
        let file = disk.open(&path, Open::Existing).map_err(StorageError::io("open", &path))?;
        let to = file.len().map_err(StorageError::io("measure", &path))?;
        let mut commands = 0;
        let extent = Extent { salt, from: Position::FIRST, to };
        let recovered = replay(&*file, extent, &mut |group| {
            apply_group(group, &mut |request| {
                commands += 1;
                apply(request)
            })
        })
        .map_err(|error| StorageError::replay(&path, error))?;
        let kept = match recovered.tail {
            Tail::Torn { at, later, .. } => {
                let kept = if later > 0 { Some(keep(disk, dir, &*file, at)?) } else { None };
                file.set_len(at).map_err(StorageError::io("cut", &path))?;
                kept
            }
            Tail::Clean | Tail::Padding => None,
        };
        // What was replayed may have come from the page cache of a process that was killed, and so may the file's name. Both
        // are about to be built upon, and groups that are written from now on say that they are durable. Pages that a failed sync
        // has dropped pass for clean, so that a sync alone would not write them.
        write_back(&*file, recovered.attested.offset, recovered.end.offset)
            .map_err(StorageError::io("write back", &path))?;
        file.sync_data().map_err(StorageError::io("sync", &path))?;
        disk.sync_dir(dir).map_err(StorageError::io("sync", dir))?;
        let padded_to = if recovered.tail == Tail::Padding { to } else { recovered.end.offset };
        let appender = Appender::resume(file, salt, recovered.end, recovered.end.seq);
        let report =
            Report { groups: recovered.groups, commands, len_bytes: 0, tail: recovered.tail, kept, imported: false };
        Ok((Self::new(path, appender, padded_to, lock), report))
    }

    /// Takes over a log of Redis's, or makes the first one: for a reader, a log without commands.
    fn imported(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        path: PathBuf,
        lock: Box<dyn Lock>,
        exists: bool,
        salt: u64,
        apply: &mut dyn FnMut(&Request<'_>) -> Result<(), String>,
    ) -> Result<(Self, Report), StorageError> {
        let mut rewrite = Rewrite::begin(Arc::clone(disk), dir, salt)?;
        let commands = if exists { import(&**disk, &path, &mut rewrite, apply)? } else { 0 };
        if commands > 0 {
            // It is the user's own file: it stays, under another name.
            let kept = dir.join(format!("{LOG_NAME}.redis-{salt:016x}"));
            disk.hard_link(&path, &kept).map_err(StorageError::io("link", &kept))?;
        }
        let (appender, named) = rewrite.install()?;
        named?;
        let end = appender.end;
        let groups = end.seq.saturating_sub(1);
        let report = Report { groups, commands, len_bytes: 0, tail: Tail::Clean, kept: None, imported: exists };
        Ok((Self::new(path, appender, end.offset, lock), report))
    }

    fn new(path: PathBuf, appender: Appender, padded_to: u64, lock: Box<dyn Lock>) -> Self {
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

/// Decodes a group's commands.
fn apply_group(group: &[u8], apply: &mut dyn FnMut(&Request<'_>) -> Result<(), String>) -> Result<(), String> {
    let mut decoder = RequestDecoder::new(log_limits());
    let mut at = 0;
    while at < group.len() {
        let rest = &group[at..];
        let len = decoder.decode(rest).map_err(|error| format!("byte {at} of the group: {error}"))?;
        let len = len.ok_or_else(|| format!("byte {at} of the group: a command that does not end"))?;
        if let Some(request) = decoder.request(rest) {
            apply(&request).map_err(|message| format!("byte {at} of the group: {message}"))?;
        }
        at += len;
    }
    Ok(())
}

/// What a command in a log may claim: what a group can hold, since it got there past the limits of whoever wrote it.
pub(super) fn log_limits() -> Limits {
    Limits {
        max_args: GROUP_MAX_BYTES,
        max_bulk_bytes: GROUP_MAX_BYTES,
        max_request_bytes: GROUP_MAX_BYTES,
        ..Limits::default()
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

/// Writes what the file holds between two offsets to where it is, so that the next sync has to make it durable.
fn write_back(file: &dyn DiskFile, mut from: u64, to: u64) -> io::Result<()> {
    let mut buf = vec![0; CHUNK_BYTES];
    while from < to {
        let wanted = usize::try_from(to - from).map_or(buf.len(), |left| left.min(buf.len()));
        let read = file.read_at(&mut buf[..wanted], from)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_at(&buf[..read], from)?;
        from += read as u64;
    }
    Ok(())
}

/// Copies what follows `at` to a file beside the log: whole groups that nobody may need, but that nobody else has.
fn keep(disk: &dyn Disk, dir: &Path, file: &dyn DiskFile, at: u64) -> Result<PathBuf, StorageError> {
    let path = dir.join(format!("{LOG_NAME}.cut-{at}"));
    let copy = || -> io::Result<()> {
        let copy = disk.open(&path, Open::Truncate)?;
        let mut buf = vec![0; CHUNK_BYTES];
        let mut offset = at;
        loop {
            let read = file.read_at(&mut buf, offset)?;
            if read == 0 {
                break;
            }
            copy.write_at(&buf[..read], offset - at)?;
            offset += read as u64;
        }
        copy.sync_data()?;
        disk.sync_dir(dir)
    };
    copy().map_err(StorageError::io("write", &path))?;
    Ok(path)
}

/// Creates `dir`, and makes its name and those of its parents durable: also when they are there already, since the process
/// that has created them may have been killed before it could.
fn create_dir(disk: &dyn Disk, dir: &Path) -> Result<(), StorageError> {
    disk.create_dir_all(dir).map_err(StorageError::io("create", dir))?;
    for parent in dir.ancestors().skip(1) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        match disk.sync_dir(parent) {
            // Whoever may not look into a directory has not created anything in it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => break,
            synced => synced.map_err(StorageError::io("sync", parent))?,
        }
    }
    Ok(())
}

fn lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn Lock>, StorageError> {
    let path = dir.join(LOCK_NAME);
    disk.lock(&path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => StorageError::Locked { path },
        _ => StorageError::io("lock", &path)(error),
    })
}

fn remove_if_exists(disk: &dyn Disk, path: &Path) -> Result<(), StorageError> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StorageError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

fn refuse_redis_parts(disk: &dyn Disk, dir: &Path, log: &Path) -> Result<(), StorageError> {
    let path = dir.join(REDIS_PARTS_NAME);
    match disk.exists(&path).map_err(StorageError::io("look for", &path))? {
        true => Err(StorageError::RedisParts { path, log: log.to_owned() }),
        false => Ok(()),
    }
}

/// The first bytes of the file.
pub(super) fn read_opening(file: &dyn DiskFile, path: &Path) -> Result<Vec<u8>, StorageError> {
    let mut bytes = vec![0; HEADER_BYTES];
    let read = file.read_at(&mut bytes, 0).map_err(StorageError::io("read", path))?;
    bytes.truncate(read);
    Ok(bytes)
}

/// The salt of a header.
pub(super) fn salt_of(bytes: &[u8], path: &Path) -> Result<u64, StorageError> {
    format::parse_header(bytes).ok_or_else(|| StorageError::Header { path: path.to_owned() })
}
