//! What standard output is: a terminal of some width with or without colour, or a pipe.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};

use super::Error;

/// The width in columns that is written for when nobody knows the width: in a pipe or a file. Fits a review tool and half
/// of a wide screen.
pub const PIPE_WIDTH: usize = 100;

/// The narrowest width in columns that is laid out for; a narrower terminal wraps by itself.
const MIN_WIDTH: usize = 40;

/// The widest: prose in longer lines is hard to follow.
const MAX_WIDTH: usize = 140;

/// How output should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The width in columns.
    pub width: usize,
    /// Whether a person watches: boxes and bars are drawn for them alone.
    pub terminal: bool,
    /// Whether escape sequences for colour are written.
    pub colour: bool,
}

impl Look {
    /// How standard output looks now. `NO_COLOR` and `TERM=dumb` are honoured.
    pub fn stdout() -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        let width = terminal_size::terminal_size_of(&stdout).map(|(width, _)| usize::from(width.0));
        let width = width.filter(|_| terminal).map_or(PIPE_WIDTH, |width| width.clamp(MIN_WIDTH, MAX_WIDTH));
        let colour = terminal && anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
        Self { width, terminal, colour }
    }

    /// How a pipe looks.
    pub fn pipe() -> Self {
        Self { width: PIPE_WIDTH, terminal: false, colour: false }
    }

    /// The text in the style, where there is colour.
    pub fn paint(&self, style: anstyle::Style, text: &str) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// Writes a text and a line break to standard output.
///
/// # Errors
///
/// It cannot be written. `println!` panics then, also when all that happened is that `| head` has seen enough.
pub fn print(text: impl std::fmt::Display) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(Error::Output)
}

/// The text with its control characters (all but the line break) made visible: what came from a key, a client or a file
/// must not move a terminal's cursor or set its title.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            let _ = write!(safe, "{}", c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}
