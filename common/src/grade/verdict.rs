//! What a check came to, read from what its process did.
//!
//! The harness alone is not believed. A panic in **any** thread fails the check, though the harness says `ok` when the test's
//! own thread came through; a process that ends with status 0 and without the harness's last line has been ended by the code
//! under test. A judge therefore never provokes a panic on purpose.

use std::time::Duration;

use super::build::plain_location;
use super::process::{Ending, Outcome};

/// Lines of a panic message that are kept: a simulator's trace fits, a dump does not.
const PANIC_LINES: usize = 60;

/// Lines of output that are shown where there is no panic message.
const OUTPUT_LINES: usize = 15;

/// What `todo!()` says first.
const TODO: &str = "not yet implemented";

/// What one check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not.
    Failed(Panic),
    /// A part that is still to be written was reached.
    Todo(Panic),
    /// It was stopped at the limit.
    TimedOut {
        /// The limit.
        limit: Duration,
        /// The end of what it printed.
        output: String,
    },
    /// The process ended before the harness had a result.
    Crashed {
        /// How it ended.
        how: String,
        /// The end of what it printed.
        output: String,
    },
}

/// Where and why a thread panicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic {
    /// `file:line:column`.
    pub location: String,
    /// The message.
    pub message: String,
}

impl Verdict {
    /// One word or two, as the report and the JSON have it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "FAILED",
            Self::Todo(_) => "todo!()",
            Self::TimedOut { .. } => "TIMED OUT",
            Self::Crashed { .. } => "CRASHED",
        }
    }

    /// Whether the check gives its points.
    pub fn is_passed(&self) -> bool {
        matches!(self, Self::Passed)
    }
}

/// Reads the verdict from what the process of one check did; nothing if the harness ran no test.
pub fn classify(outcome: &Outcome, limit: Duration) -> Option<Verdict> {
    let panics = panics(&outcome.stderr);
    // A part not yet written explains whatever followed from it: a client that waits for ever, a lock that is poisoned.
    if let Some(todo) = panics.iter().find(|panic| panic.message.starts_with(TODO)) {
        return Some(Verdict::Todo(todo.clone()));
    }
    let output = || last_lines(outcome);
    Some(match outcome.ending {
        Ending::TimedOut => Verdict::TimedOut { limit, output: output() },
        Ending::Signalled(_) if outcome.stderr.contains("has overflowed its stack") => {
            Verdict::Crashed { how: "stack overflow".to_owned(), output: output() }
        }
        Ending::Signalled(signal) => Verdict::Crashed { how: signal_name(signal), output: output() },
        Ending::Exited(0) => match harness_counts(&outcome.stdout) {
            Some((1, 0)) => main_panic(&panics).map_or(Verdict::Passed, Verdict::Failed),
            Some(_) => return None,
            None => Verdict::Crashed { how: "the code ended the process, with status 0".to_owned(), output: output() },
        },
        Ending::Exited(status) => match (main_panic(&panics), harness_counts(&outcome.stdout)) {
            (Some(panic), _) => Verdict::Failed(panic),
            (None, Some(_)) => Verdict::Failed(Panic { location: String::new(), message: output() }),
            (None, None) => {
                Verdict::Crashed { how: format!("the code ended the process, with status {status}"), output: output() }
            }
        },
    })
}

/// Every panic that standard error tells of.
pub fn panics(stderr: &str) -> Vec<Panic> {
    let mut panics: Vec<Panic> = Vec::new();
    let mut lines_left = 0;
    for line in stderr.lines() {
        if let Some(location) = panic_location(line) {
            panics.push(Panic { location: plain_location(location), message: String::new() });
            lines_left = PANIC_LINES;
        } else if line.starts_with("note: run with `RUST_BACKTRACE") || line.starts_with("stack backtrace:") {
            lines_left = 0;
        } else if lines_left > 0
            && let Some(panic) = panics.last_mut()
        {
            lines_left -= 1;
            if !panic.message.is_empty() {
                panic.message.push('\n');
            }
            panic.message.push_str(line);
        }
    }
    for panic in &mut panics {
        panic.message.truncate(panic.message.trim_end().len());
    }
    panics
}

/// `thread 'name' (4711) panicked at src/lib.rs:3:5:` has the location last.
fn panic_location(line: &str) -> Option<&str> {
    let (thread, location) = line.split_once(" panicked at ")?;
    thread.contains("thread '").then(|| location.trim_end_matches(':'))
}

/// The panic that explains a failure: a property test's last word, which has the smallest input, or else the first panic,
/// which caused the others.
fn main_panic(panics: &[Panic]) -> Option<Panic> {
    let shrunk = panics.iter().rev().find(|panic| panic.message.contains("minimal failing input"));
    shrunk.or(panics.first()).cloned()
}

/// How many tests passed and failed, by the harness's last line.
fn harness_counts(stdout: &str) -> Option<(u32, u32)> {
    let line = stdout.lines().rev().find(|line| !line.trim().is_empty())?;
    let counts = line.trim().strip_prefix("test result: ")?;
    let count = |word: &str| {
        let before = &counts[..counts.find(&format!(" {word};"))?];
        before.rsplit(' ').next()?.parse().ok()
    };
    Some((count("passed")?, count("failed")?))
}

fn last_lines(outcome: &Outcome) -> String {
    let is_harness = |line: &&str| {
        let line = line.trim();
        line.is_empty() || line.starts_with("running ") || line.starts_with("test ") || line.starts_with("failures:")
    };
    let lines: Vec<&str> =
        outcome.stdout.lines().chain(outcome.stderr.lines()).filter(|line| !is_harness(line)).collect();
    lines[lines.len().saturating_sub(OUTPUT_LINES)..].join("\n")
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        4 => "SIGILL",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        24 => "SIGXCPU",
        _ => return format!("signal {signal}"),
    };
    format!("signal {signal}, {name}")
}
