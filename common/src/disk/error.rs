//! What a failed call on a disk says: which call, which file, where, and what the system answered.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The payload of every `io::Error` that a [`Disk`](super::Disk) returns: reach it by `error.get_ref()` and
/// `downcast_ref`. The outer error has the kind of [`cause`](Self::cause), so that `error.kind()` is all that most
/// callers need; its message has all of this, so that it can be shown as it is.
#[derive(Debug)]
pub struct DiskError {
    /// What was tried: "write", "sync", "rename"…
    pub action: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// Where in the file, in bytes, for a read or a write.
    pub offset: Option<u64>,
    /// What the system answered, with its error number where there is one.
    pub cause: io::Error,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}", self.action, self.path.display())?;
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        write!(f, ": {}", self.cause)
    }
}

/// The cause is part of the message and therefore no `source()`: a report that prints the chain would say it twice.
impl std::error::Error for DiskError {}

impl DiskError {
    /// Wraps `cause`, keeping its kind.
    pub(super) fn wrap(action: &'static str, path: &Path, offset: Option<u64>, cause: io::Error) -> io::Error {
        let kind = cause.kind();
        io::Error::new(kind, Self { action, path: path.to_owned(), offset, cause })
    }
}
