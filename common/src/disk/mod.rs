//! Disks: the only door through which an engine's storage reaches files, in the manner of SQLite's VFS.
//!
//! A storage room that opens files by itself can be tested on the happy path alone. One that is handed a [`Disk`] runs
//! unchanged on [`RealDisk`] and on [`SimDisk`], where power fails between any two operations, unsynced writes are
//! lost or torn, directory entries vanish and an fsync fails: so that the recovery that is tested is the one that
//! ships (DDIA ch. 1, "Hardware Faults"; ch. 7, "Atomicity", on what a single-object write needs).
//!
//! What the trait promises is what POSIX promises, which is little:
//!
//! - data written with [`DiskFile::write_at`] is durable after [`DiskFile::sync_data`] has returned `Ok` on that file,
//!   and at no time before;
//! - a created, renamed or removed name is durable after [`Disk::sync_dir`] of its parent directory has returned `Ok`;
//! - after a sync has failed, nothing is known about what was written since the last one that succeeded, and trying
//!   again may report a success that means nothing (the page cache has dropped the pages; Rebello et al., "Can
//!   Applications Recover from fsync Failures?", USENIX ATC 2020).
//!
//! A relative path starts from the working directory, and an empty one is that directory, so that `path.parent()` can
//! be synced whatever `path` is. Names are taken and given to files: what `rename` and `remove` do to a directory is
//! left to the implementation.
//!
//! Errors keep the kind that the system gave them (`StorageFull`, `NotFound`, …) and carry a [`DiskError`], which names
//! the call, the file and the offset.

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod counted;
mod error;
pub mod log;
mod real;
mod sim;

pub use counted::{CountedDisk, Counts};
pub use error::DiskError;
pub use real::RealDisk;
pub use sim::{Crash, Fault, Operation, SimDisk};

/// A file system: names to files. Shared by reference; every method may be called from any thread.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Opens the file at `path` for reading and writing.
    ///
    /// # Errors
    ///
    /// `NotFound` under [`Open::Existing`] and [`Open::ReadOnly`] when there is none, `AlreadyExists` under
    /// [`Open::New`] when there is one.
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives the file at `from` the name `to`, replacing atomically what had that name. Durable after `sync_dir`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes the name away. Durable after `sync_dir`.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Creates the directory and its missing parents. No error when it is there already.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Makes the directory's entries durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// The paths of the directory's entries, sorted by name.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;

    /// Whether the name exists.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Gives the file at `original` a second name (a hard link). Durable after `sync_dir`.
    fn hard_link(&self, original: &Path, link: &Path) -> io::Result<()>;

    /// Takes the exclusive lock on `path` (created if absent) for as long as the guard lives, against other processes
    /// too.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when another holder has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;
}

/// An open file. Reads and writes name their offset: there is no cursor to share or to lose.
pub trait DiskFile: Debug + Send + Sync + 'static {
    /// Reads into `buf` from `offset` (bytes). Returns how many bytes were read; fewer than asked only at the end of
    /// file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `data` at `offset` (bytes), extending the file when it ends beyond its end. Not durable yet.
    ///
    /// # Errors
    ///
    /// A failed write may have written any part of `data`.
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()>;

    /// Makes what was written durable, with as much metadata as is needed to read it back (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts or extends (with zeros) the file to `len` bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// The file's length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A held lock; dropping it lets go.
pub trait Lock: Debug + Send + Sync {}

/// How [`Disk::open`] treats the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// The file must exist; it cannot be written.
    ReadOnly,
    /// The file must exist.
    Existing,
    /// Open it, or create it empty.
    Create,
    /// Create it; it must not exist.
    New,
    /// Create it, or empty the one that exists.
    Truncate,
}

/// How much of a file is written back at a time, in bytes.
const WRITE_BACK_BYTES: usize = 64 << 10;

/// Writes a part of a file to where it is, and makes the file durable. For what an earlier process wrote and no sync is known
/// to cover: pages that a failed sync has dropped pass for clean, so that a sync alone would report a success and write
/// nothing.
///
/// # Errors
///
/// Those of [`DiskFile`]; `UnexpectedEof` when the file ends within the part.
pub fn write_back(file: &dyn DiskFile, mut part: Range<u64>) -> io::Result<()> {
    let mut buf = vec![0; WRITE_BACK_BYTES];
    while !part.is_empty() {
        let wanted = usize::try_from(part.end - part.start).map_or(buf.len(), |left| left.min(buf.len()));
        let read = file.read_at(&mut buf[..wanted], part.start)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_at(&buf[..read], part.start)?;
        part.start += read as u64;
    }
    file.sync_data()
}

/// Creates the directory and its missing parents so that they survive a power failure: the name of each is synced in
/// its parent before the next is created. The deepest one that is there already is synced too, since who created it
/// may have been killed before the sync.
///
/// # Errors
///
/// Those of [`Disk::create_dir_all`] and [`Disk::sync_dir`].
pub fn create_dir_durably(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let mut existing = path;
    let mut missing = Vec::new();
    while !disk.exists(existing)? {
        missing.push(existing);
        match existing.parent() {
            Some(parent) => existing = parent,
            None => break,
        }
    }
    if let Some(parent) = existing.parent() {
        match disk.sync_dir(parent) {
            // Who may not read a directory did not create its entries, and could not have synced them either.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    for level in missing.into_iter().rev() {
        disk.create_dir_all(level)?;
        if let Some(parent) = level.parent() {
            disk.sync_dir(parent)?;
        }
    }
    Ok(())
}
