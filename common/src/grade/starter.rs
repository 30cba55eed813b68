//! Starters: the reference with what the reader writes taken out.
//!
//! A starter is generated, so that it can never differ from the reference in a signature, a type or a word of the docs. In
//! the reference, what the reader writes stands between two lines inside a function's body:
//!
//! ```text
//!     // >>> exercise: one line saying what to write
//!     …
//!     // <<<
//! ```
//!
//! Each such region becomes one `todo!()` that names the organ, the task and the parameters at hand. The same reference
//! gives the same starter, to the byte, and `cargo grade selfcheck` holds the committed one to it.

use thiserror::Error;

use super::manifest::Exercise;
use super::scan::{self, Function};

/// The width that the workspace's rustfmt keeps to: a generated line is broken where rustfmt would break it.
const WIDTH: usize = 120;

const OPEN: &str = "// >>> exercise:";
const OPEN_PREFIX: &str = "// >>>";
const CLOSE: &str = "// <<<";

/// What is wrong with the markers of a reference; lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MarkerError {
    /// There is nothing for the reader to write.
    #[error("no region is marked: expected `{OPEN} what to write` … `{CLOSE}`")]
    None,
    /// A line that looks like an opening marker, and is none.
    #[error("line {line}: an opening marker reads `{OPEN} what to write`")]
    Malformed {
        /// Where it stands.
        line: usize,
    },
    /// A region inside a region.
    #[error("line {line}: a region opens inside the one of line {opened}")]
    Nested {
        /// The inner one.
        line: usize,
        /// The outer one.
        opened: usize,
    },
    /// The file ends inside a region.
    #[error("line {line}: the region is never closed by `{CLOSE}`")]
    Unclosed {
        /// Where it opens.
        line: usize,
    },
    /// A closing marker that closes nothing.
    #[error("line {line}: `{CLOSE}` closes nothing")]
    Stray {
        /// Where it stands.
        line: usize,
    },
    /// A region that is not inside one function's body, or cuts through a block.
    #[error("line {line}: the region is not a whole piece of one function's body")]
    NotInOneBody {
        /// Where it opens.
        line: usize,
    },
}

/// A marked region: what stands there, in lines counted from 0, the markers included.
struct Region {
    first: usize,
    last: usize,
    task: String,
}

/// The starter of `exercise`, made from the text of its reference.
pub fn starter(exercise: &Exercise, reference: &str) -> Result<String, MarkerError> {
    let lines: Vec<&str> = reference.lines().collect();
    let regions = regions(&lines)?;
    let code = scan::code_only(reference);
    let functions = scan::functions(&code);
    let starts = line_starts(reference);

    let mut text = header(exercise);
    let mut next = 0;
    for region in &regions {
        for line in &lines[next..region.first] {
            text.push_str(line);
            text.push('\n');
        }
        let span = starts[region.first]..starts.get(region.last + 1).copied().unwrap_or(reference.len());
        let function =
            whole_piece_of(&functions, &code, &span).ok_or(MarkerError::NotInOneBody { line: region.first + 1 })?;
        let indent = lines[region.first].len() - lines[region.first].trim_start().len();
        let is_tail = code[span.end..].trim_start().starts_with('}');
        text.push_str(&todo_line(&exercise.organ, &region.task, function, indent, is_tail));
        next = region.last + 1;
    }
    for line in &lines[next..] {
        text.push_str(line);
        text.push('\n');
    }
    Ok(text)
}

/// The reference as a finished starter: under the same heading and without the markers, for a reader to compare with.
pub fn finished(exercise: &Exercise, reference: &str) -> String {
    let is_marker = |line: &&str| line.trim() == CLOSE || opens(line);
    let body: String = reference.lines().filter(|line| !is_marker(line)).map(|line| format!("{line}\n")).collect();
    header(exercise) + &body
}

fn header(exercise: &Exercise) -> String {
    let id = exercise.id();
    let mut text = format!("#![allow(unused)]\n// Exercise {id}: {}\n// {}\n//\n", exercise.title, exercise.section);
    let task = exercise.task.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in textwrap::wrap(&task, WIDTH - 3) {
        text.push_str(format!("// {line}").trim_end());
        text.push('\n');
    }
    text.push_str("//\n// Write what says todo!(). ");
    text.push_str(&format!("`cargo grade {id}` judges it, `cargo grade hint {id}` helps.\n\n"));
    text
}

/// Whether a line opens a region.
pub(super) fn opens(line: &str) -> bool {
    line.trim().starts_with(OPEN)
}

fn regions(lines: &[&str]) -> Result<Vec<Region>, MarkerError> {
    let mut regions = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (at, line) in lines.iter().map(|line| line.trim()).enumerate() {
        if line.starts_with(OPEN_PREFIX) {
            if let Some((opened, _)) = open {
                return Err(MarkerError::Nested { line: at + 1, opened: opened + 1 });
            }
            match line.strip_prefix(OPEN).map(str::trim) {
                Some(task) if !task.is_empty() => open = Some((at, task.to_owned())),
                _ => return Err(MarkerError::Malformed { line: at + 1 }),
            }
        } else if line == CLOSE {
            let (first, task) = open.take().ok_or(MarkerError::Stray { line: at + 1 })?;
            regions.push(Region { first, last: at, task });
        }
    }
    match open {
        Some((opened, _)) => Err(MarkerError::Unclosed { line: opened + 1 }),
        None if regions.is_empty() => Err(MarkerError::None),
        None => Ok(regions),
    }
}

/// The function that `span` is a piece of, if it is a piece that can be taken out whole.
fn whole_piece_of<'f>(functions: &'f [Function], code: &str, span: &std::ops::Range<usize>) -> Option<&'f Function> {
    let function = scan::enclosing(functions, span.start)?;
    let same = scan::enclosing(functions, span.end.saturating_sub(1)).is_some_and(|end| end.body == function.body);
    let mut depth = 0_isize;
    let balanced = code[span.clone()].bytes().all(|byte| {
        depth += match byte {
            b'{' | b'(' | b'[' => 1,
            b'}' | b')' | b']' => -1,
            _ => 0,
        };
        depth >= 0
    });
    (same && balanced && depth == 0).then_some(function)
}

fn todo_line(organ: &str, task: &str, function: &Function, indent: usize, is_tail: bool) -> String {
    let mut message = format!("{organ}: {task}");
    if !function.parameters.is_empty() {
        message.push_str("; you have ");
        message.push_str(&function.parameters.join(", "));
    }
    let escaped = message.replace('\\', "\\\\").replace('"', "\\\"").replace('{', "{{").replace('}', "}}");
    let end = if is_tail { "" } else { ";" };
    let pad = " ".repeat(indent);
    let line = format!("{pad}todo!(\"{escaped}\"){end}\n");
    let broken = format!("{pad}    \"{escaped}\"\n");
    // rustfmt moves a literal that is too long for its line to one of its own, and leaves it where even that is too short.
    if line.chars().count() - 1 > WIDTH && broken.chars().count() - 1 <= WIDTH {
        return format!("{pad}todo!(\n{broken}{pad}){end}\n");
    }
    line
}

/// The byte at which each line starts.
fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}
