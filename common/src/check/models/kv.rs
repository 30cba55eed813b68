//! A map of keys to values, each key an object of its own: get, put, append, delete, and put if the value is what it was.

use super::{Text, show, show_option, text};
use crate::check::model::Model;

/// A key-value map that is empty at first.
///
/// Keys are checked apart, so it says nothing of operations on several keys: those are transactions, and their property is
/// (strict) serializability.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kv;

/// What is asked of the map.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KvInput {
    /// About which key.
    pub key: Text,
    /// What is to be done.
    pub op: KvOp,
}

/// What can be done with a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KvOp {
    /// Say what its value is.
    Get,
    /// Give it this value.
    Put(Text),
    /// Add this to the end of its value; an absent one counts as empty. Shows each lost and each repeated write to whoever
    /// reads next.
    Append(Text),
    /// Take the key away.
    Delete,
    /// Give it `new` if its value is `expected`.
    CompareAndPut {
        /// What it must be; `None`: absent.
        expected: Option<Text>,
        /// What it then is.
        new: Text,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvOutput {
    /// Of a get: the value; `None`: absent.
    Value(Option<Text>),
    /// Of a put, an append, or a delete that does not say whether there was something.
    Done,
    /// Of a delete: whether the key was there.
    Deleted(bool),
    /// Of a compare-and-put: whether the value was the expected one.
    Swapped(bool),
}

impl KvInput {
    /// Get `key`.
    pub fn get(key: impl ToString) -> Self {
        Self { key: text(key), op: KvOp::Get }
    }

    /// Put `value` at `key`.
    pub fn put(key: impl ToString, value: impl ToString) -> Self {
        Self { key: text(key), op: KvOp::Put(text(value)) }
    }

    /// Append `value` to what is at `key`.
    pub fn append(key: impl ToString, value: impl ToString) -> Self {
        Self { key: text(key), op: KvOp::Append(text(value)) }
    }

    /// Delete `key`.
    pub fn delete(key: impl ToString) -> Self {
        Self { key: text(key), op: KvOp::Delete }
    }

    /// Put `new` at `key` if `expected` is there.
    pub fn compare_and_put(key: impl ToString, expected: Option<&str>, new: impl ToString) -> Self {
        Self { key: text(key), op: KvOp::CompareAndPut { expected: expected.map(text), new: text(new) } }
    }
}

impl KvOutput {
    /// A get that found `value`.
    pub fn value(value: impl ToString) -> Self {
        Self::Value(Some(text(value)))
    }
}

impl Model for Kv {
    type Input = KvInput;
    type Output = KvOutput;
    type State = Option<Text>;
    type Key = Text;

    fn key(&self, input: &KvInput) -> Text {
        input.key.clone()
    }

    fn init(&self, _key: &Text) -> Option<Text> {
        None
    }

    fn step(&self, state: &Option<Text>, input: &KvInput, output: Option<&KvOutput>) -> Option<Option<Text>> {
        use {KvOp as Op, KvOutput as Out};
        let (answer, after) = match &input.op {
            Op::Get => (Out::Value(state.clone()), state.clone()),
            Op::Put(value) => (Out::Done, Some(value.clone())),
            Op::Append(value) => match state {
                None => (Out::Done, Some(value.clone())),
                Some(old) => (Out::Done, Some([&**old, value].concat().into())),
            },
            Op::Delete if output == Some(&Out::Done) => (Out::Done, None),
            Op::Delete => (Out::Deleted(state.is_some()), None),
            Op::CompareAndPut { expected, new } if expected == state => (Out::Swapped(true), Some(new.clone())),
            Op::CompareAndPut { .. } => (Out::Swapped(false), state.clone()),
        };
        output.is_none_or(|output| *output == answer).then_some(after)
    }

    fn reads_only(&self, input: &KvInput, output: Option<&KvOutput>) -> bool {
        input.op == KvOp::Get || matches!(output, Some(KvOutput::Swapped(false) | KvOutput::Deleted(false)))
    }

    fn describe(&self, input: &KvInput, output: Option<&KvOutput>) -> String {
        let asked = match &input.op {
            KvOp::Get => "get()".to_owned(),
            KvOp::Put(value) => format!("put({})", show(value)),
            KvOp::Append(value) => format!("append({})", show(value)),
            KvOp::Delete => "delete()".to_owned(),
            KvOp::CompareAndPut { expected, new } => {
                format!("compare-and-put({}, {})", show_option(expected.as_ref()), show(new))
            }
        };
        match output {
            None => format!("{asked} → ?"),
            Some(KvOutput::Done) => asked,
            Some(KvOutput::Value(value)) => format!("{asked} → {}", show_option(value.as_ref())),
            Some(KvOutput::Deleted(yes) | KvOutput::Swapped(yes)) => {
                format!("{asked} → {}", if *yes { "ok" } else { "no" })
            }
        }
    }

    fn describe_state(&self, state: &Option<Text>) -> String {
        show_option(state.as_ref())
    }

    fn describe_key(&self, key: &Text) -> String {
        show(key)
    }
}
