//! What can go wrong while grading, apart from a wrong answer: that is a verdict, not an error.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::starter::MarkerError;

/// Why grading could not be done.
#[derive(Debug, Error)]
pub enum Error {
    /// Not run inside a workspace that cargo can read.
    #[error("cargo does not find a workspace here: {0}")]
    NoWorkspace(String),
    /// No such chapter or exercise.
    #[error("no exercise or chapter `{asked}`: {advice}")]
    Unknown {
        /// What was asked for.
        asked: String,
        /// What there is.
        advice: String,
    },
    /// An argument that cannot be used as it is meant.
    #[error("{0}")]
    Usage(String),
    /// What was asked for would lose or needs the reader's file.
    #[error("{0}")]
    Refused(String),
    /// A definition file of a chapter is wrong.
    #[error("{}: {what}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The judge's tests are not the checks that the chapter lists.
    #[error("{id}: the judge and exercises.toml differ: {what}")]
    Judge {
        /// The exercise.
        id: String,
        /// How they differ.
        what: String,
    },
    /// The markers of a reference cannot be made into a starter.
    #[error("{}: {source}", path.display())]
    Markers {
        /// The reference.
        path: PathBuf,
        /// What is wrong.
        source: MarkerError,
    },
    /// Cargo failed for a reason that is not in the code.
    #[error("cargo failed:\n{0}")]
    Cargo(String),
    /// A file or a process could not be used.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with the path.
        what: String,
        /// What the system says.
        source: io::Error,
    },
}

impl Error {
    /// Whether the command line was at fault (exit status 2), not what it led to (1).
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Unknown { .. } | Self::Usage(_))
    }
}

/// Names what was being done when the system refused.
pub(super) trait Doing<T> {
    /// `reading mine/x.rs`, as in "reading mine/x.rs: no such file".
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Io { what: what(), source })
    }
}
