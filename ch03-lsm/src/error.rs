//! What can go wrong.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use common::cli::Exit;
use common::disk::log::LogError;

use crate::storage::batch::BatchError;
use crate::storage::manifest::RecordError;
use crate::storage::table::TableError;

/// Why the engine refuses or fails.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The disk refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: Arc<io::Error>,
    },
    /// Another process has the directory, or another handle of this one.
    #[error("{} is held by another process or another handle of this one: a directory is open once; close it there, or name another directory", path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// A log could not be read or written.
    #[error(transparent)]
    Log(Arc<LogError>),
    /// A table could not be read or written.
    #[error(transparent)]
    Table(Arc<TableError>),
    /// A write that the engine does not take.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A record verifies, and is none of this version's.
    #[error("{} holds a record at offset {offset} that this version cannot read: {what}", path.display())]
    Record {
        /// The log.
        path: PathBuf,
        /// Where the record ends, in bytes.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The last write-ahead log ends in something that does not verify, and that is not tolerated.
    #[error("{} ends at offset {offset} in something that is not whole ({what}); nothing attests that it was ever durable. To open the rest, allow a torn tail", path.display())]
    TornTail {
        /// The log.
        path: PathBuf,
        /// Where, in bytes.
        offset: u64,
        /// What is there.
        what: String,
    },
    /// There are files, and no manifest that says what they are.
    #[error("{} is there, and no manifest in {} is whole that says whether it counts", path.display(), dir.display())]
    NoManifest {
        /// The directory.
        dir: PathBuf,
        /// One of the files.
        path: PathBuf,
    },
    /// What had been durable does not verify.
    #[error("{} is damaged at offset {offset}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, in bytes.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// A table that the manifest names is not there.
    #[error("{} is missing: the manifest names it", path.display())]
    MissingTable {
        /// The table.
        path: PathBuf,
    },
    /// The machine refuses something that is needed.
    #[error("cannot {action}")]
    System {
        /// What was tried: a verb.
        action: &'static str,
        /// Why not.
        source: Arc<io::Error>,
    },
    /// The command line or the terminal.
    #[error(transparent)]
    Cli(Arc<common::cli::Error>),
    /// The tour did not reach its end.
    #[error(transparent)]
    Tour(Arc<common::tour::TourError>),
    /// What was asked for makes no sense, for a reason in words.
    #[error("{0}")]
    Cannot(String),
    /// The command line asks for what makes no sense, whatever there is.
    #[error("{0}")]
    Usage(String),
    /// What a checkpoint would be made in is there.
    #[error("{} is there, and is not empty: a checkpoint needs a directory of its own", dir.display())]
    CheckpointExists {
        /// The directory.
        dir: PathBuf,
    },
    /// A file cannot have a second name there.
    #[error("{} is on another file system than {}: a checkpoint shares the tree's files, so make it on the same one", dir.display(), tree.display())]
    OtherFileSystem {
        /// The directory of the checkpoint.
        dir: PathBuf,
        /// The tree's.
        tree: PathBuf,
    },
    /// The disk was full, and nothing that was acknowledged is lost.
    #[error("nothing can be written since the disk was full; make room, then resume")]
    DiskFull(#[source] Arc<Error>),
    /// A job in the background has panicked: a filter's or a strategy's fault, or our own.
    #[error("a flush or a compaction has panicked: {0}")]
    Panicked(String),
    /// An earlier failure has made it unsafe to go on writing.
    #[error("nothing can be written since an earlier failure; open the directory again")]
    ReadOnly(#[source] Arc<Error>),
}

impl Error {
    /// Whether data are damaged, rather than the disk or the caller at fault.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Log(error) => matches!(**error, LogError::Damaged { .. } | LogError::Header { .. }),
            Self::Table(error) => matches!(**error, TableError::Damaged { .. }),
            Self::Record { .. }
            | Self::Damaged { .. }
            | Self::TornTail { .. }
            | Self::MissingTable { .. }
            | Self::NoManifest { .. } => true,
            _ => false,
        }
    }

    /// Whether the disk was full, and nothing was lost by it: something could not be created or written. After a sync that
    /// failed, even for this reason, nothing is known of what had been written before.
    pub fn is_out_of_space(&self) -> bool {
        let is_full = |action: &str, source: &io::Error| {
            action != "sync" && matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        };
        match self {
            Self::Io { action, source, .. } => is_full(action, source),
            Self::Log(error) => matches!(&**error, LogError::Io { action, source, .. } if is_full(action, source)),
            Self::Table(error) => matches!(&**error, TableError::Io { action, source, .. } if is_full(action, source)),
            Self::DiskFull(_) => true,
            _ => false,
        }
    }

    /// The exit status that it ends the program with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Cli(error) => error.exit(),
            Self::Tour(error) => error.exit(),
            Self::Usage(_) => Exit::Usage,
            _ if self.is_damage() => Exit::Damaged,
            _ => Exit::Failed,
        }
    }

    /// For `map_err`: what was tried.
    pub fn system(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { action, source: Arc::new(source) }
    }

    /// For `map_err`: an I/O error, with what was tried on what.
    pub(crate) fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source: Arc::new(source) }
    }

    pub(crate) fn damaged(path: &std::path::Path, offset: u64, what: &'static str) -> Self {
        Self::Damaged { path: path.to_owned(), offset, what }
    }

    pub(crate) fn record(path: &std::path::Path, offset: u64) -> impl FnOnce(RecordError) -> Self {
        move |error| Self::Record { path: path.to_owned(), offset, what: error.to_string() }
    }
}

impl From<LogError> for Error {
    fn from(error: LogError) -> Self {
        Self::Log(Arc::new(error))
    }
}

impl From<TableError> for Error {
    fn from(error: TableError) -> Self {
        Self::Table(Arc::new(error))
    }
}

impl From<common::cli::Error> for Error {
    fn from(error: common::cli::Error) -> Self {
        Self::Cli(Arc::new(error))
    }
}

impl From<common::tour::TourError> for Error {
    fn from(error: common::tour::TourError) -> Self {
        Self::Tour(Arc::new(error))
    }
}
