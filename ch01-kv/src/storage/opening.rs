//! Opening: from whatever a directory holds to a log that is ready to append to what is then durable.
//!
//! What a crash has left is decided in [`recovery`](super::recovery); here it is acted upon: a torn tail is cut, what no sync is
//! known to cover is written back, a rewritten log that never got its name is removed. Before all that a lock is taken, so that no
//! two processes do it at once (DDIA ch. 1, "Reliability").

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::disk::{Disk, DiskFile, Lock, Open};
use common::resp::{Request, RequestDecoder};

use super::appender::Appender;
use super::error::StorageError;
use super::format::{LOG_NAME, Position, REWRITE_NAME, command_limits};
use super::import::{Found, import, recognise};
use super::log::Log;
use super::outcome::Tail;
use super::recovery::{Extent, replay};
use super::rewrite::Rewrite;

/// The name of the file whose lock says that a process is using the directory.
const LOCK_NAME: &str = "lock";

/// How much is copied at a time, in bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// How a log is opened.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    /// Random bits, other ones each time: they become the salt of a file that has to be made.
    pub salt: u64,
    /// How much padding is kept ahead of the end, in bytes. 0: none. Whole units of
    /// [`UNIT_BYTES`](super::format::UNIT_BYTES); the rest is not used.
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
        remove_if_exists(&**disk, &dir.join(REWRITE_NAME))?;
        let path = dir.join(LOG_NAME);
        let (mut log, mut report) = match recognise(&**disk, dir, &path)? {
            Found::Ours { salt } => Self::replayed(&**disk, dir, path, lock, salt, apply)?,
            Found::Redis => Self::imported(disk, dir, path, lock, options.salt, apply)?,
            Found::Nothing => Self::installed(Rewrite::begin(Arc::clone(disk), dir, options.salt)?, path, lock)?,
        };
        log.set_preallocate(options.preallocate_bytes);
        report.len_bytes = log.len_bytes();
        Ok((log, report))
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
        let mut kept = None;
        if let Tail::Torn { at, later, .. } = recovered.tail {
            if later > 0 {
                kept = Some(keep(disk, dir, &*file, at..to)?);
            }
            file.set_len(at).map_err(StorageError::io("cut", &path))?;
        }
        // What was replayed may have come from the page cache of a process that was killed, and so may the file's name. Both
        // are about to be built upon, and groups that are written from now on say that they are durable. Pages that a failed sync
        // has dropped pass for clean, so that a sync alone would not write them: what nobody attests to is written to where it is.
        let unattested = recovered.attested.offset..recovered.end.offset;
        copy(&*file, unattested.clone(), &*file, unattested.start).map_err(StorageError::io("write back", &path))?;
        file.sync_data().map_err(StorageError::io("sync", &path))?;
        disk.sync_dir(dir).map_err(StorageError::io("sync", dir))?;
        let padded_to = if recovered.tail == Tail::Padding { to } else { recovered.end.offset };
        let appender = Appender::resume(file, salt, recovered.end, recovered.end.seq);
        let report =
            Report { groups: recovered.groups, commands, len_bytes: 0, tail: recovered.tail, kept, imported: false };
        Ok((Self::new(path, appender, padded_to, lock), report))
    }

    /// Takes over a log of Redis's.
    fn imported(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        path: PathBuf,
        lock: Box<dyn Lock>,
        salt: u64,
        apply: &mut dyn FnMut(&Request<'_>) -> Result<(), String>,
    ) -> Result<(Self, Report), StorageError> {
        let mut rewrite = Rewrite::begin(Arc::clone(disk), dir, salt)?;
        let commands = import(&**disk, &path, &mut rewrite, apply)?;
        if commands > 0 {
            // It is the user's own file: it stays, under another name.
            let kept = dir.join(format!("{LOG_NAME}.redis-{salt:016x}"));
            disk.hard_link(&path, &kept).map_err(StorageError::io("link", &kept))?;
        }
        let (log, report) = Self::installed(rewrite, path, lock)?;
        Ok((log, Report { commands, imported: true, ..report }))
    }

    /// The log that a rewrite leaves, which nothing stood in the way of.
    fn installed(rewrite: Rewrite, path: PathBuf, lock: Box<dyn Lock>) -> Result<(Self, Report), StorageError> {
        let (appender, named) = rewrite.install()?;
        named?;
        let end = appender.end;
        let groups = end.seq.saturating_sub(1);
        let report = Report { groups, commands: 0, len_bytes: 0, tail: Tail::Clean, kept: None, imported: false };
        Ok((Self::new(path, appender, end.offset, lock), report))
    }
}

/// Decodes a group's commands.
fn apply_group(group: &[u8], apply: &mut dyn FnMut(&Request<'_>) -> Result<(), String>) -> Result<(), String> {
    let mut decoder = RequestDecoder::new(command_limits());
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

/// Copies a part of a file beside the log: whole groups that nobody may need, but that nobody else has.
fn keep(disk: &dyn Disk, dir: &Path, file: &dyn DiskFile, part: Range<u64>) -> Result<PathBuf, StorageError> {
    let path = dir.join(format!("{LOG_NAME}.cut-{}", part.start));
    let written = || -> io::Result<()> {
        let beside = disk.open(&path, Open::Truncate)?;
        copy(file, part, &*beside, 0)?;
        beside.sync_data()?;
        disk.sync_dir(dir)
    };
    written().map_err(StorageError::io("write", &path))?;
    Ok(path)
}

/// Copies a part of a file to an offset of another, or to where it is, so that the next sync has to make it durable.
fn copy(from: &dyn DiskFile, part: Range<u64>, to: &dyn DiskFile, mut at: u64) -> io::Result<()> {
    let mut buf = vec![0; CHUNK_BYTES];
    let mut left = part;
    while !left.is_empty() {
        let wanted = usize::try_from(left.end - left.start).map_or(buf.len(), |left| left.min(buf.len()));
        let read = from.read_at(&mut buf[..wanted], left.start)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        to.write_at(&buf[..read], at)?;
        left.start += read as u64;
        at += read as u64;
    }
    Ok(())
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
