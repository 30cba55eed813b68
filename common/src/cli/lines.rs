//! Lines that somebody types, or that a script feeds: what every shell does with them.
//!
//! A person is asked again after a mistake; a script is not, since what follows was written for when it succeeds.

use std::io::{self, BufRead, IsTerminal, Read};
use std::ops::ControlFlow;
use std::path::Path;

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::{Error, explain, print};

/// The longest line that is read from a pipe, in bytes: a value of some size fits, a file that was fed by mistake does not.
pub const LINE_MAX_BYTES: u64 = 64 << 20;

/// Whom the lines are for.
pub trait Session {
    /// Why a line could not be executed.
    type Error: std::error::Error + From<Error> + 'static;

    /// What a person is asked with.
    fn prompt(&self) -> String;

    /// Executes a line. [`ControlFlow::Break`] when it ends the session.
    ///
    /// # Errors
    ///
    /// On a terminal it is shown, and the next line is asked for; from a pipe it ends the session.
    fn execute(&mut self, line: &[u8]) -> Result<ControlFlow<()>, Self::Error>;
}

/// Executes what comes from standard input, until a line or its end ends the session: on a terminal with a history, which
/// the file keeps for the next time.
///
/// # Errors
///
/// Of a line from a pipe; the terminal, the history or standard input fail.
pub fn converse<S: Session>(session: &mut S, history: Option<&Path>) -> Result<(), S::Error> {
    if io::stdin().is_terminal() { interactive(session, history) } else { execute_all(session, io::stdin().lock()) }
}

/// Executes line after line of `input`, of at most [`LINE_MAX_BYTES`].
///
/// # Errors
///
/// Of the first line that fails; `input` cannot be read.
pub fn execute_all<S: Session>(session: &mut S, mut input: impl BufRead) -> Result<(), S::Error> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut input).take(LINE_MAX_BYTES).read_until(b'\n', &mut line).map_err(Error::Input)? == 0 {
            return Ok(());
        }
        if line.len() as u64 == LINE_MAX_BYTES && line.last() != Some(&b'\n') {
            return Err(Error::LongLine.into());
        }
        if session.execute(&line)?.is_break() {
            return Ok(());
        }
    }
}

fn interactive<S: Session>(session: &mut S, history: Option<&Path>) -> Result<(), S::Error> {
    let mut editor = DefaultEditor::new().map_err(terminal)?;
    if let Some(file) = history.filter(|file| file.exists()) {
        editor.load_history(file).map_err(terminal)?;
    }
    loop {
        match editor.readline(&session.prompt()) {
            Ok(line) => {
                // A line that cannot be remembered is executed nevertheless.
                let _ = editor.add_history_entry(&line);
                match session.execute(line.as_bytes()) {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => break,
                    Err(error) => print(explain(&error, |_| None).1)?,
                }
            }
            // Ctrl-C gives up the line, as in other shells; Ctrl-D ends.
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(terminal(error).into()),
        }
    }
    if let Some(file) = history {
        editor.save_history(file).map_err(terminal)?;
    }
    Ok(())
}

fn terminal(error: ReadlineError) -> Error {
    Error::Terminal(io::Error::other(error))
}
