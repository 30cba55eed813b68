//! A history of a key-value service as one EDN map a line, the form in which Porcupine keeps its own.
//!
//! ```text
//! {:process 0, :type :invoke, :f :append, :key "0", :value "x 0 0 y"}
//! {:process 0, :type :ok, :f :append, :key "0", :value "x 0 0 y"}
//! {:process 0, :type :invoke, :f :get, :key "7", :value nil}
//! {:process 0, :type :ok, :f :get, :key "7", :value ""}
//! ```
//!
//! An absent key reads as the empty string there.

use std::io::BufRead;

use super::Lines;
use super::error::{LineError, ParseError};
use super::events::Events;
use crate::check::history::{History, Outcome};
use crate::check::models::{KvInput, KvOp, KvOutput, Text};

const A_MAP: &str = "a map such as {:process 0, :type :invoke, :f :get, :key \"7\", :value nil}";

/// One line.
#[derive(Debug, Default)]
struct Event<'a> {
    process: Option<u64>,
    kind: &'a str,
    function: &'a str,
    key: Option<String>,
    value: Option<String>,
}

pub(super) fn read(lines: &mut Lines<impl BufRead>) -> Result<History<KvInput, KvOutput>, ParseError> {
    let mut events = Events::new();
    while let Some(text) = lines.next()? {
        let text = text.trim().to_owned();
        if !text.is_empty() {
            let line = lines.number() as u64;
            parse(&text).and_then(|event| take(&mut events, &event, line)).map_err(|source| lines.error(source))?;
        }
    }
    Ok(events.finish()?)
}

fn take(events: &mut Events<KvInput, KvOutput>, event: &Event<'_>, line: u64) -> Result<(), LineError> {
    let missing = |field, form| LineError::Missing { op: event.function.to_owned(), field, form };
    let process = event.process.ok_or_else(|| missing(":process", "a whole number"))?;
    let key: Text = event.key.as_deref().ok_or_else(|| missing(":key", "a string"))?.into();
    if event.kind == ":invoke" {
        let value = || event.value.as_deref().map(Text::from).ok_or_else(|| missing(":value", "a string"));
        let op = match event.function {
            ":get" => KvOp::Get,
            ":put" => KvOp::Put(value()?),
            ":append" => KvOp::Append(value()?),
            _ => return Err(LineError::Form { expected: "the function :get, :put or :append" }),
        };
        return events.call(process, line, KvInput { key, op });
    }
    let input = events.called(process)?;
    let called = match input.op {
        KvOp::Get => ":get",
        KvOp::Append(_) => ":append",
        _ => ":put",
    };
    if called != event.function || input.key != key {
        let (called, answered) = (format!("{called} {:?}", input.key), format!("{} {key:?}", event.function));
        return Err(LineError::OtherOp { process, called, answered });
    }
    let outcome = match (event.kind, event.function) {
        (":ok", ":get") => {
            let value = event.value.as_deref().filter(|value| !value.is_empty());
            Some(Outcome::Returned { at: line, output: KvOutput::Value(value.map(Text::from)) })
        }
        (":ok", _) => Some(Outcome::Returned { at: line, output: KvOutput::Done }),
        (":fail", _) => None,
        (":info", _) => Some(Outcome::Unknown),
        _ => return Err(LineError::Form { expected: "the type :invoke, :ok, :fail or :info" }),
    };
    events.end(process, outcome)
}

fn parse(text: &str) -> Result<Event<'_>, LineError> {
    let malformed = || LineError::Form { expected: A_MAP };
    let mut rest = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).ok_or_else(malformed)?.trim();
    let mut event = Event::default();
    while !rest.is_empty() {
        let (field, after) = rest.split_once(' ').ok_or_else(malformed)?;
        rest = after.trim_start();
        let mut text_value = None;
        let mut word = "";
        if let Some(quoted) = rest.strip_prefix('"') {
            let (value, after) = string(quoted).ok_or_else(malformed)?;
            (text_value, rest) = (Some(value), after);
        } else {
            let end = rest.find([',', ' ']).unwrap_or(rest.len());
            (word, rest) = rest.split_at(end);
        }
        match field {
            ":process" => event.process = Some(word.parse().map_err(|_| malformed())?),
            ":type" => event.kind = word,
            ":f" => event.function = word,
            ":key" => event.key = text_value,
            ":value" if text_value.is_some() || word == "nil" => event.value = text_value,
            _ => return Err(malformed()),
        }
        rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() => {}
            None => return Err(malformed()),
        }
    }
    Ok(event)
}

/// A string, whose opening quote has been read, and what follows its closing quote.
fn string(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                c @ ('"' | '\\') => c,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}
