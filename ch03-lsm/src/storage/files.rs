//! The files of a tree's directory.
//!
//! | name | what it is |
//! |---|---|
//! | `lock` | held by who has the directory |
//! | `manifest-NNNNNNNNNN.log` | which tables there are; of two, the later one counts if its first record is whole |
//! | `wal-NNNNNNNNNN.log` | the write-ahead log of a memtable |
//! | `NNNNNN.sst` | a table |

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use common::disk::log::SegmentName;
use common::disk::{Disk, Lock};

use crate::engine::levels::TableId;
use crate::error::Error;

/// The name of the lock.
pub const LOCK_NAME: &str = "lock";

/// How write-ahead logs are named.
pub const WAL: SegmentName = SegmentName { prefix: "wal" };

/// How manifests are named.
pub const MANIFEST: SegmentName = SegmentName { prefix: "manifest" };

/// The path of a table.
pub fn table_path(dir: &Path, id: TableId) -> PathBuf {
    dir.join(format!("{id}.sst"))
}

/// The table whose path that is; `None` when it is the path of something else.
pub fn table_id(path: &Path) -> Option<TableId> {
    let digits = path.file_name()?.to_str()?.strip_suffix(".sst")?;
    (digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok().map(TableId))?
}

/// Takes the lock of a directory.
///
/// # Errors
///
/// [`Error::Locked`] when it is held.
pub fn lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn Lock>, Error> {
    let path = dir.join(LOCK_NAME);
    disk.lock(&path).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => Error::Locked { path },
        _ => Error::io("lock", &path)(error),
    })
}

/// Takes the lock of a directory that will only be read. `None` where it cannot be taken since nothing can be written: on a
/// read-only file system nobody else does either, and elsewhere it is the caller's word that nobody does.
///
/// # Errors
///
/// [`Error::Locked`] when it is held.
pub fn lock_to_read(disk: &dyn Disk, dir: &Path) -> Result<Option<Box<dyn Lock>>, Error> {
    match lock(disk, dir) {
        Err(Error::Io { source, .. })
            if matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) =>
        {
            Ok(None)
        }
        taken => taken.map(Some),
    }
}
