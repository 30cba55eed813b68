//! Our own form of a history: one JSON object a line, which a person can write and any language can print.
//!
//! ```text
//! {"history":"kv","version":1}
//! {"client":1,"call":1000,"return":5000,"op":"put","key":"x","value":"1"}
//! {"client":2,"call":2000,"return":3000,"op":"get","key":"x","output":null}
//! {"client":3,"call":2500,"op":"append","key":"x","value":"2"}
//! ```
//!
//! The first line names the model. Then there is a line for each operation, in any order:
//!
//! | field | what it is |
//! |---|---|
//! | `client` | who called it, a whole number |
//! | `call`, `return` | when, in whole numbers that rise with time, such as nanoseconds since the start. Without a `return` the outcome is unknown: it may take effect at any time after the call, or never |
//! | `failed` | `true`: it certainly took no effect. Such a line is checked for its form and left out |
//! | `op` | what was asked |
//! | `key` | of which object; may be left out where there is one alone |
//! | `value`, `expected`, `owner` | the operation's arguments, each a string (`expected` may be `null`: absent) |
//! | `output` | what was answered; needed where an operation has returned that answers something |
//!
//! | model | operations |
//! |---|---|
//! | `register` | `read` → a string or `null`; `write` value; `cas` expected value → `true` or `false` |
//! | `kv` | `get` → a string or `null`; `put` value; `append` value; `delete` (→ `true` or `false`: whether it was there); `compare-and-put` expected value → `true` or `false` |
//! | `lock` | `acquire` owner → the fencing token, or `true` where there are none, or `false`: held; `release` owner → `true`, or `false`: not held |
//! | `queue` | `enqueue` value; `dequeue` → a string, or `null`: empty |
//!
//! Blank lines are skipped. A field that is not listed is an error: a misspelt `return` would make an outcome unknown, and a
//! violation pass.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::error::{LineError, ParseError};
use super::{Lines, ModelName};
use crate::check::history::{ClientId, History, MAX_OPERATIONS, Operation, Outcome};
use crate::check::model::{HistoryOf, Model, OperationOf};

/// The version of the form.
pub const VERSION: u32 = 1;

/// A model whose operations can be written to a file and read again.
pub trait Recorded: Model {
    /// What the file calls it.
    const NAME: ModelName;

    /// An operation as the fields of a line.
    fn encode(input: &Self::Input, output: Option<&Self::Output>) -> Fields;

    /// The operation of a line; its output only where it has `returned`.
    ///
    /// # Errors
    ///
    /// [`LineError`], where the fields are of no operation.
    fn decode(fields: Fields, returned: bool) -> Result<(Self::Input, Option<Self::Output>), LineError>;
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) history: ModelName,
    pub(super) version: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    client: u64,
    call: u64,
    #[serde(rename = "return", default, skip_serializing_if = "Option::is_none")]
    returned: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    failed: bool,
    op: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    expected: Option<Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    output: Option<Value>,
}

/// What a line says of the operation itself.
#[derive(Debug, Default)]
pub struct Fields {
    /// What was asked.
    pub op: String,
    /// Of which object.
    pub key: Option<String>,
    /// The argument.
    pub value: Option<String>,
    /// What is compared with; `Some(None)`: absent.
    pub expected: Option<Option<String>>,
    /// For whom.
    pub owner: Option<String>,
    /// The answer.
    pub output: Option<Value>,
}

/// Writes a history in this form.
///
/// # Errors
///
/// It cannot be written.
pub fn write<M: Recorded>(history: &HistoryOf<M>, mut to: impl Write) -> io::Result<()> {
    let header = Header { history: M::NAME, version: VERSION };
    writeln!(to, "{}", serde_json::to_string(&header)?)?;
    for (_, operation) in history.iter() {
        let fields = M::encode(&operation.input, operation.output());
        let line = Line {
            client: operation.client.0,
            call: operation.called,
            returned: operation.returned(),
            failed: false,
            op: fields.op,
            key: fields.key,
            value: fields.value,
            expected: fields.expected,
            owner: fields.owner,
            output: fields.output,
        };
        writeln!(to, "{}", serde_json::to_string(&line)?)?;
    }
    to.flush()
}

/// The operations of the lines that are left, the header being read already.
pub(super) fn read<M: Recorded>(lines: &mut Lines<impl BufRead>) -> Result<HistoryOf<M>, ParseError> {
    let mut operations = Vec::new();
    while let Some(text) = lines.next()? {
        if text.trim().is_empty() {
            continue;
        }
        let operation = operation::<M>(text).map_err(|source| lines.error(source))?;
        if operations.len() == MAX_OPERATIONS {
            return Err(lines.error(LineError::TooMany));
        }
        operations.extend(operation);
    }
    Ok(History::new(operations)?)
}

/// The operation of a line, unless it failed.
fn operation<M: Recorded>(text: &str) -> Result<Option<OperationOf<M>>, LineError> {
    let line: Line = serde_json::from_str(text).map_err(LineError::Json)?;
    if let Some(returned) = line.returned.filter(|&returned| returned < line.call) {
        return Err(LineError::ReturnBeforeCall { called: line.call, returned });
    }
    let Line { op, key, value, expected, owner, output, .. } = line;
    let returned = line.returned.filter(|_| !line.failed);
    let (input, output) = M::decode(Fields { op, key, value, expected, owner, output }, returned.is_some())?;
    let outcome = match (returned, output) {
        (Some(at), Some(output)) => Outcome::Returned { at, output },
        _ => Outcome::Unknown,
    };
    Ok((!line.failed).then_some(Operation { client: ClientId(line.client), called: line.call, input, outcome }))
}

/// A field that is there, be it `null`.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
