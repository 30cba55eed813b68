//! What can be wrong with a file that should be a history.

use std::io;
use std::path::PathBuf;

use super::ModelName;
use crate::check::history::HistoryError;

/// Why a file cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The picture cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no history.
    #[error("{} is no history", path.display())]
    NoHistory {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ParseError,
    },
}

/// Why a text is no history.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// A line is not what it should be.
    #[error("line {line}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: LineError,
    },
    /// The text ends, or cannot be read on.
    #[error("cannot read on after line {line}")]
    Read {
        /// The last line that was read, from 1.
        line: usize,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nothing says which object the operations are of.
    #[error(
        "its first line does not name a model; begin it with {{\"history\":\"kv\",\"version\":1}}, or name one of: {}",
        ModelName::all()
    )]
    NoModel,
    /// The file says one model and the caller another.
    #[error("it is a history of the model {found}, not of {asked}")]
    OtherModel {
        /// The file's.
        found: ModelName,
        /// The caller's.
        asked: ModelName,
    },
    /// It is of a version to come.
    #[error("it is of version {found}; this program reads version {}", super::lines::VERSION)]
    Version {
        /// The file's.
        found: u32,
    },
    /// Its operations are no history.
    #[error(transparent)]
    History(#[from] HistoryError),
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It is longer than any operation.
    #[error("it is longer than {} bytes", super::MAX_LINE_BYTES)]
    TooLong,
    /// It is not text.
    #[error("it is not UTF-8")]
    NotText,
    /// It is not JSON, or not of this form.
    #[error("it is not an operation as one JSON object")]
    Json(#[source] serde_json::Error),
    /// It is not of the form that the lines before it had.
    #[error("expected {expected}")]
    Form {
        /// What it should be.
        expected: &'static str,
    },
    /// The model has no such operation.
    #[error("there is no operation {op:?}; the model {model} has: {known}")]
    Op {
        /// What was asked.
        op: String,
        /// Of which model.
        model: ModelName,
        /// What it has.
        known: &'static str,
    },
    /// The operation needs this.
    #[error("{op} needs {field:?}: {form}")]
    Missing {
        /// The operation.
        op: String,
        /// What it needs.
        field: &'static str,
        /// In which form.
        form: &'static str,
    },
    /// It returns before it is called.
    #[error("it returns at {returned}, before it is called, at {called}")]
    ReturnBeforeCall {
        /// When it is called.
        called: u64,
        /// When it returns.
        returned: u64,
    },
    /// A process that does nothing is answered.
    #[error("process {process} is answered and has called nothing")]
    NotCalled {
        /// Which.
        process: u64,
    },
    /// The answer is to another operation than the process has called.
    #[error("process {process} has called {called}, and is answered about {answered}")]
    OtherOp {
        /// Which.
        process: u64,
        /// What it called.
        called: String,
        /// What the answer is about.
        answered: String,
    },
    /// A process calls while its last operation runs.
    #[error("process {process} calls while its operation of line {since} has not returned")]
    Busy {
        /// Which.
        process: u64,
        /// The line of the call.
        since: u64,
    },
    /// There are too many.
    #[error("there are more than {} operations", crate::check::history::MAX_OPERATIONS)]
    TooMany,
}
