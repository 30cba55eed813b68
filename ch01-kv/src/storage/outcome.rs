//! What a replay of the log can find: how far it got, what lies after that, and why it had to stop.

use std::fmt;
use std::io;

use super::format::Position;

/// What a replay found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// How many groups were applied, seals included.
    pub groups: u64,
    /// Where the next group goes.
    pub end: Position,
    /// Up to where some annotation says that everything was durable: a place between two groups, not always the furthest such.
    /// What lies between here and `end` is whole, and may have been read from the page cache alone.
    pub attested: Position,
    /// What lies after `end`.
    pub tail: Tail,
}

/// What lies after the last whole group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Nothing.
    Clean,
    /// Padding that was written ahead.
    Padding,
    /// A group that no sync had covered, and that is not whole.
    Torn {
        /// Where it begins, in bytes from the beginning of the file.
        at: u64,
        /// From there to the end of the file.
        bytes: u64,
        /// What is wrong with it.
        why: Flaw,
        /// How many groups after it left an annotation: given up with it.
        later: u64,
    },
}

/// What is wrong with a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// No annotation closes it.
    NoAnnotation,
    /// Its annotation counts another number of bytes.
    Length,
    /// Its commands do not have the checksum that its annotation gives.
    Checksum,
}

/// Why a replay ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A group that a sync had covered does not verify.
    #[error("the group at offset {offset} {why}, and the annotation at offset {evidence} says that it was durable")]
    Damaged {
        /// Where the group begins, in bytes from the beginning of the file: everything before it is whole.
        offset: u64,
        /// What is wrong with it.
        why: Flaw,
        /// Where the annotation lies that says so.
        evidence: u64,
    },
    /// The commands of a whole group could not be applied.
    #[error("the group at offset {offset} cannot be applied: {message}")]
    Refused {
        /// Where the group begins.
        offset: u64,
        /// What `apply` said.
        message: String,
    },
    /// The file cannot be read.
    #[error("cannot be read at offset {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAnnotation => "is not closed by an annotation",
            Self::Length => "is longer or shorter than its annotation says",
            Self::Checksum => "does not have its checksum",
        })
    }
}
