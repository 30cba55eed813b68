//! The log of a Jepsen test of a register, as Jepsen's `util` logger wrote it.
//!
//! ```text
//! INFO  jepsen.util - 3⇥:invoke⇥:write⇥4           ⇥ is a tab
//! INFO  jepsen.util - 3⇥:ok⇥:write⇥4
//! INFO  jepsen.util - 1⇥:invoke⇥:cas⇥[4 2]
//! INFO  jepsen.util - 1⇥:info⇥:cas⇥:timed-out      unknown
//! INFO  jepsen.util - 0⇥:invoke⇥:read⇥nil
//! ```
//!
//! Lines of other loggers are skipped, and so are processes that are no numbers, such as `:nemesis`. What ends in `:fail` did
//! nothing. A `:cas` that does so with its own value has been told that the register holds another one, and that is an
//! observation to be checked; with a reason in place of the value (`:timed-out`) it has been told nothing.

use std::io::BufRead;

use super::Lines;
use super::error::{LineError, ParseError};
use super::events::Events;
use crate::check::history::{History, Outcome};
use crate::check::models::{RegisterInput, RegisterOp, RegisterOutput, Text};

/// What each line of the log has before its event.
pub(super) const LOGGER: &str = "jepsen.util - ";

const EVENT: &str = "a process, a type, a function and a value, separated by tabs";

pub(super) fn read(lines: &mut Lines<impl BufRead>) -> Result<History<RegisterInput, RegisterOutput>, ParseError> {
    let mut events = Events::new();
    while let Some(text) = lines.next()? {
        if let Some((_, event)) = text.split_once(LOGGER) {
            let event = event.to_owned();
            take(&mut events, &event, lines.number() as u64).map_err(|source| lines.error(source))?;
        }
    }
    Ok(events.finish()?)
}

fn take(events: &mut Events<RegisterInput, RegisterOutput>, event: &str, line: u64) -> Result<(), LineError> {
    let mut fields = event.split('\t').map(str::trim);
    let (Some(process), Some(kind), Some(function)) = (fields.next(), fields.next(), fields.next()) else {
        return Err(LineError::Form { expected: EVENT });
    };
    let value = fields.next().unwrap_or("nil");
    let Ok(process) = process.parse::<u64>() else {
        return if process.starts_with(':') { Ok(()) } else { Err(LineError::Form { expected: EVENT }) };
    };
    if kind == ":invoke" {
        let op = match function {
            ":read" => RegisterOp::Read,
            ":write" => RegisterOp::Write(number(value)?),
            ":cas" => {
                let (expected, new) = pair(value)?;
                RegisterOp::CompareAndSet { expected: Some(expected), new }
            }
            _ => return Err(LineError::Form { expected: "the function :read, :write or :cas" }),
        };
        return events.call(process, line, RegisterInput { key: Text::from("register"), op });
    }
    let called = match events.called(process)?.op {
        RegisterOp::Read => ":read",
        RegisterOp::Write(_) => ":write",
        RegisterOp::CompareAndSet { .. } => ":cas",
    };
    if called != function {
        let (called, answered) = (called.to_owned(), function.to_owned());
        return Err(LineError::OtherOp { process, called, answered });
    }
    let outcome = match (kind, function) {
        (":ok", ":read") if value == "nil" => Some(RegisterOutput::Value(None)),
        (":ok", ":read") => Some(RegisterOutput::Value(Some(number(value)?))),
        (":ok", ":write") => Some(RegisterOutput::Written),
        (":ok", ":cas") => Some(RegisterOutput::Swapped(true)),
        (":fail", ":cas") if pair(value).is_ok() => Some(RegisterOutput::Swapped(false)),
        (":fail", _) => None,
        (":info", _) => return events.end(process, Some(Outcome::Unknown)),
        _ => return Err(LineError::Form { expected: "the type :invoke, :ok, :fail or :info" }),
    };
    events.end(process, outcome.map(|output| Outcome::Returned { at: line, output }))
}

fn number(value: &str) -> Result<Text, LineError> {
    let number: i64 = value.parse().map_err(|_| LineError::Form { expected: "a whole number" })?;
    Ok(number.to_string().into())
}

/// `[4 2]`
fn pair(value: &str) -> Result<(Text, Text), LineError> {
    let inner = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let (first, second) = inner
        .and_then(|inner| inner.trim().split_once(' '))
        .ok_or(LineError::Form { expected: "two whole numbers in brackets" })?;
    Ok((number(first.trim())?, number(second.trim())?))
}
