//! What can go wrong with the log: the world's faults, each with what it was found in and what to do about it
//! (DDIA ch. 1, "Operability: Making Life Easy for Operations").

use std::io;
use std::path::{Path, PathBuf};

use super::outcome::ReplayError;

/// Why the log could not be opened, rewritten or ended.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The disk refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process has the directory.
    #[error("{} is held by another process: one directory serves one server; stop that one, or name another directory", path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// The file's first bytes are not what this server, or any Redis, writes.
    #[error(
        "{} is damaged at offset 0: its header does not verify, so that nothing in it can be checked; restore the file from a \
         copy or start from a replica. To load it unchecked, give a redis-server a copy of it", path.display()
    )]
    Header {
        /// The log.
        path: PathBuf,
    },
    /// A group that had been durable does not verify.
    #[error(
        "{0} is damaged at offset {offset}: {source}. Acknowledged writes may be missing: restore the file from a copy or start \
         from a replica. To give up everything from there on, keep a copy of the file and cut it: \
         head -c {offset} {0} > {0}.cut && mv {0}.cut {0}", path.display()
    )]
    Damaged {
        /// The log.
        path: PathBuf,
        /// Where the damaged group begins, in bytes: everything before it is whole.
        offset: u64,
        /// What was found.
        source: ReplayError,
    },
    /// The file is whole, and holds something that this server cannot execute.
    #[error("{} cannot be loaded: at offset {offset}, {message}", path.display())]
    Command {
        /// The log.
        path: PathBuf,
        /// Where, in bytes: the command, or the group it is in.
        offset: u64,
        /// What was wrong with it.
        message: String,
    },
    /// The file begins as an RDB snapshot.
    #[error(
        "{} begins with an RDB snapshot, which this server does not read; have Redis write it as commands first: \
         CONFIG SET aof-use-rdb-preamble no, then BGREWRITEAOF", path.display()
    )]
    RdbPreamble {
        /// The log.
        path: PathBuf,
    },
    /// The directory holds the log of a Redis 7, which is in parts.
    #[error(
        "{0} holds the log of a Redis 7 in parts; have Redis write it as commands (CONFIG SET aof-use-rdb-preamble no, then \
         BGREWRITEAOF), stop it, join the parts: cat {0}/*.base.aof {0}/*.incr.aof > {1}, and move the directory away",
        path.display(), log.display()
    )]
    RedisParts {
        /// The directory with the parts.
        path: PathBuf,
        /// The file to join them into.
        log: PathBuf,
    },
}

impl StorageError {
    /// Whether the data are damaged, rather than the disk or the caller at fault.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Header { .. } | Self::Damaged { .. })
    }

    /// For `map_err`: an I/O error, with what was tried on what.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// What a replay of the file at `path` ended with.
    pub(crate) fn replay(path: &Path, error: ReplayError) -> Self {
        let path = path.to_owned();
        match error {
            ReplayError::Damaged { offset, .. } => Self::Damaged { path, offset, source: error },
            ReplayError::Refused { offset, message } => Self::Command { path, offset, message },
            ReplayError::Read { source, .. } => Self::Io { action: "read", path, source },
        }
    }
}

/// Whether `error` says that there is no space left: on the disk, in the quota, or below the file size limit.
pub fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
