//! The files of a tree's directory.
//!
//! | name | what it is |
//! |---|---|
//! | `lock` | held by the process that has the directory |
//! | `manifest-NNNNNNNNNN.log` | which tables there are; of two, the later one counts if its first record is whole |
//! | `wal-NNNNNNNNNN.log` | the write-ahead log of a memtable |
//! | `NNNNNN.sst` | a table |

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
/// [`Error::Locked`] when another process has it.
pub fn lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn Lock>, Error> {
    let path = dir.join(LOCK_NAME);
    disk.lock(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => Error::Locked { path },
        _ => Error::io("lock", &path)(error),
    })
}
