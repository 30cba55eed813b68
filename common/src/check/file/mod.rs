//! Histories in files: read in any of three forms, checked, and reported on.
//!
//! [`file()`] is all that a program's `check HISTORY` needs. [`report`] does the same with a history in memory: what a
//! simulation prints when its clients have seen something impossible.

mod edn;
mod error;
mod events;
mod fields;
mod jepsen;
mod lines;

pub use error::{FileError, LineError, ParseError};
pub use lines::{Fields, Recorded, VERSION, write};

use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::draw::Picture;
use super::linearizability::check;
use super::model::{HistoryOf, Model};
use super::models::{Kv, Lock, Queue, Register};
use super::shrink::shrink;
use super::verdict::Verdict;
use crate::cli::Exit;

/// How many steps a check takes at most where nobody says otherwise: a few seconds, and at some 150 bytes for what each step
/// remembers, less than a GiB.
pub const DEFAULT_BUDGET_STEPS: u64 = 5_000_000;

/// The longest line in bytes: an operation with a value of any size that these stores take.
pub const MAX_LINE_BYTES: usize = 4 * 1024 * 1024;

/// The models that a file can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelName {
    /// [`Register`].
    Register,
    /// [`Kv`].
    Kv,
    /// [`Lock`].
    Lock,
    /// [`Queue`].
    Queue,
}

/// The forms that a file can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object for each operation: see [`write()`].
    Lines,
    /// The log of a Jepsen test of a register.
    Jepsen,
    /// One EDN map for each call and each answer of a key-value service.
    Edn,
}

/// How a file is to be checked.
#[derive(Debug, Clone)]
pub struct Options {
    /// The model; `None`: the one that the file names.
    pub model: Option<ModelName>,
    /// The form; `None`: as the first line looks.
    pub format: Option<Format>,
    /// How many steps it may take.
    pub budget: u64,
    /// Where a picture of a violation goes, as an HTML page.
    pub html: Option<PathBuf>,
}

/// The history of a file, with the model that it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the history of the model that it is named for")]
pub enum AnyHistory {
    Register(HistoryOf<Register>),
    Kv(HistoryOf<Kv>),
    Lock(HistoryOf<Lock>),
    Queue(HistoryOf<Queue>),
}

/// What was found, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// There is an order.
    Linearizable,
    /// There is none.
    Violation,
    /// The budget was not enough to know.
    Undecided,
}

/// What was found, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was found.
    pub finding: Finding,
    /// How many steps the check took, without those that made the violation small.
    pub steps: u64,
    /// The verdict, and the picture of a violation, in lines of at most 100 columns. Ends without a line break.
    pub text: String,
    /// The same as an HTML page, for a violation.
    pub html: Option<String>,
}

/// Checks the history in the file at `path`, and writes the picture of a violation to where the options say.
///
/// # Errors
///
/// [`FileError`], when the file cannot be read or is no history, or the picture cannot be written.
pub fn file(path: &Path, options: &Options) -> Result<Report, FileError> {
    let cannot_read = |source| FileError::Read { path: path.to_owned(), source };
    let opened = File::open(path).map_err(cannot_read)?;
    let history = parse(BufReader::new(opened), options.model, options.format)
        .map_err(|source| FileError::NoHistory { path: path.to_owned(), source })?;
    let mut report = history.report(options.budget);
    if let (Some(to), Some(html)) = (&options.html, &report.html) {
        fs::write(to, html).map_err(|source| FileError::Write { path: to.clone(), source })?;
        report.text.push_str(&format!("\n\nThe picture is in {}.", to.display()));
    }
    Ok(report)
}

/// Checks a history, and shows the smallest violation that is found.
pub fn report<M: Model>(model: &M, history: &HistoryOf<M>, budget: u64) -> Report {
    let checked = check(model, history, budget);
    let (count, steps) = (history.len(), checked.steps);
    let size = format!("{count} operation{}, {steps} step{}", plural(count as u64), plural(steps));
    let (finding, text, html) = match checked.verdict {
        Verdict::Linearizable { .. } => (Finding::Linearizable, format!("linearizable ({size})"), None),
        Verdict::OutOfBudget { undecided } => {
            let keys = undecided.len();
            let text = format!(
                "undecided ({size}): the budget is spent, with {keys} key{} left, the first of them {}",
                plural(keys as u64),
                undecided.first().map(|key| model.describe_key(key)).unwrap_or_default(),
            );
            (Finding::Undecided, text, None)
        }
        Verdict::Violation(violation) => {
            let picture = Picture::of_violation(model, &shrink(model, history, &violation, budget));
            let text = format!("not linearizable ({size})\n\n{}", picture.text());
            (Finding::Violation, text, Some(picture.html()))
        }
    };
    Report { finding, steps, text, html }
}

/// Reads a history.
///
/// # Errors
///
/// [`ParseError`], with the number of the line.
pub fn parse(from: impl BufRead, model: Option<ModelName>, format: Option<Format>) -> Result<AnyHistory, ParseError> {
    let mut lines = Lines::new(from);
    let first = lines.first()?.to_owned();
    let format = format.unwrap_or_else(|| Format::of(&first));
    let only = |found: ModelName| match model {
        Some(asked) if asked != found => Err(ParseError::OtherModel { found, asked }),
        _ => Ok(()),
    };
    match format {
        Format::Jepsen => {
            only(ModelName::Register)?;
            Ok(AnyHistory::Register(jepsen::read(&mut lines)?))
        }
        Format::Edn => {
            only(ModelName::Kv)?;
            Ok(AnyHistory::Kv(edn::read(&mut lines)?))
        }
        Format::Lines => {
            let header: Option<lines::Header> = serde_json::from_str(&first).ok();
            let model = match header {
                Some(header) if header.version != VERSION => {
                    return Err(ParseError::Version { found: header.version });
                }
                Some(header) => {
                    only(header.history)?;
                    lines.next()?;
                    header.history
                }
                None => model.ok_or(ParseError::NoModel)?,
            };
            Ok(match model {
                ModelName::Register => AnyHistory::Register(lines::read::<Register>(&mut lines)?),
                ModelName::Kv => AnyHistory::Kv(lines::read::<Kv>(&mut lines)?),
                ModelName::Lock => AnyHistory::Lock(lines::read::<Lock>(&mut lines)?),
                ModelName::Queue => AnyHistory::Queue(lines::read::<Queue>(&mut lines)?),
            })
        }
    }
}

impl AnyHistory {
    /// Checks it, and shows the smallest violation that is found.
    pub fn report(&self, budget: u64) -> Report {
        match self {
            Self::Register(history) => report(&Register, history, budget),
            Self::Kv(history) => report(&Kv, history, budget),
            Self::Lock(history) => report(&Lock, history, budget),
            Self::Queue(history) => report(&Queue, history, budget),
        }
    }
}

impl Finding {
    /// How a program ends that was asked whether a history is linearizable: [`Exit::Done`] only where it is.
    pub fn exit(self) -> Exit {
        match self {
            Self::Linearizable => Exit::Done,
            Self::Violation | Self::Undecided => Exit::Failed,
        }
    }
}

impl FileError {
    /// The exit code that belongs to this error: a file that is no history is the caller's mistake.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoHistory { .. } => Exit::Usage,
            Self::Read { .. } | Self::Write { .. } => Exit::Failed,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { model: None, format: None, budget: DEFAULT_BUDGET_STEPS, html: None }
    }
}

impl Format {
    /// The form of a file that begins with this line.
    fn of(first: &str) -> Self {
        let first = first.trim_start();
        if first.starts_with("{:") {
            Self::Edn
        } else if first.contains(jepsen::LOGGER) || first.starts_with("INFO") || first.starts_with("WARN") {
            Self::Jepsen
        } else {
            Self::Lines
        }
    }
}

impl ModelName {
    const NAMES: [(&'static str, Self); 4] =
        [("register", Self::Register), ("kv", Self::Kv), ("lock", Self::Lock), ("queue", Self::Queue)];

    /// The names of all models.
    pub fn all() -> String {
        Self::NAMES.map(|(name, _)| name).join(", ")
    }
}

impl FromStr for ModelName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|&(_, model)| model).ok_or_else(|| format!("no model is called {text:?}; there are: {}", Self::all()))
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, _) = Self::NAMES.iter().find(|(_, model)| model == self).expect("all are listed");
        f.write_str(name)
    }
}

/// The lines of a text, numbered from 1 and none of them too long.
struct Lines<R> {
    from: R,
    line: Vec<u8>,
    number: usize,
    /// Whether the line in hand has been looked at and not taken.
    is_waiting: bool,
}

impl<R: BufRead> Lines<R> {
    fn new(from: R) -> Self {
        Self { from, line: Vec::new(), number: 0, is_waiting: false }
    }

    /// The first line that is not blank, which stays the next; empty at the end.
    fn first(&mut self) -> Result<&str, ParseError> {
        while self.next()?.is_some_and(|line| line.trim().is_empty()) {}
        self.is_waiting = true;
        self.text()
    }

    /// The next line, without its end.
    fn next(&mut self) -> Result<Option<&str>, ParseError> {
        if !std::mem::take(&mut self.is_waiting) {
            self.line.clear();
            let limit = MAX_LINE_BYTES as u64 + 1;
            let read = self.from.by_ref().take(limit).read_until(b'\n', &mut self.line);
            let read = read.map_err(|source| ParseError::Read { line: self.number, source })?;
            self.number += usize::from(read > 0);
        }
        if self.line.is_empty() {
            return Ok(None);
        }
        if self.line.len() > MAX_LINE_BYTES {
            return Err(self.error(LineError::TooLong));
        }
        self.text().map(Some)
    }

    fn text(&self) -> Result<&str, ParseError> {
        let text = std::str::from_utf8(&self.line).map_err(|_| self.error(LineError::NotText))?;
        Ok(text.trim_end_matches(['\n', '\r']))
    }

    fn number(&self) -> usize {
        self.number
    }

    fn error(&self, source: LineError) -> ParseError {
        ParseError::Line { line: self.number, source }
    }
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}
