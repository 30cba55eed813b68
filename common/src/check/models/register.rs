//! A register: one value that is read, written, and compared and set (DDIA ch. 9, "Compare-and-set").

use super::{Text, show, show_option, text};
use crate::check::model::Model;

/// Registers, each with a name of its own, that hold nothing at first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Register;

/// What is asked of a register.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RegisterInput {
    /// Which register.
    pub key: Text,
    /// What is to be done.
    pub op: RegisterOp,
}

/// What can be done with a register.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RegisterOp {
    /// Say what it holds.
    Read,
    /// Let it hold this.
    Write(Text),
    /// Let it hold `new` if it holds `expected`.
    CompareAndSet {
        /// What it must hold; `None`: nothing.
        expected: Option<Text>,
        /// What it then holds.
        new: Text,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegisterOutput {
    /// Of a read: what it holds.
    Value(Option<Text>),
    /// Of a write.
    Written,
    /// Of a compare-and-set: whether it held what was expected.
    Swapped(bool),
}

impl RegisterInput {
    /// Read `key`.
    pub fn read(key: impl ToString) -> Self {
        Self { key: text(key), op: RegisterOp::Read }
    }

    /// Write `value` to `key`.
    pub fn write(key: impl ToString, value: impl ToString) -> Self {
        Self { key: text(key), op: RegisterOp::Write(text(value)) }
    }

    /// Write `new` to `key` if it holds `expected`.
    pub fn compare_and_set(key: impl ToString, expected: impl ToString, new: impl ToString) -> Self {
        Self { key: text(key), op: RegisterOp::CompareAndSet { expected: Some(text(expected)), new: text(new) } }
    }
}

impl RegisterOutput {
    /// A read that found `value`.
    pub fn value(value: impl ToString) -> Self {
        Self::Value(Some(text(value)))
    }
}

impl Model for Register {
    type Input = RegisterInput;
    type Output = RegisterOutput;
    type State = Option<Text>;
    type Key = Text;

    fn key(&self, input: &RegisterInput) -> Text {
        input.key.clone()
    }

    fn init(&self, _key: &Text) -> Option<Text> {
        None
    }

    fn step(
        &self,
        state: &Option<Text>,
        input: &RegisterInput,
        output: Option<&RegisterOutput>,
    ) -> Option<Option<Text>> {
        use {RegisterOp as Op, RegisterOutput as Out};
        match (&input.op, output) {
            (Op::Read, None) => Some(state.clone()),
            (Op::Read, Some(Out::Value(seen))) => (seen == state).then(|| state.clone()),
            (Op::Write(value), None | Some(Out::Written)) => Some(Some(value.clone())),
            (Op::CompareAndSet { expected, new }, answer @ (None | Some(Out::Swapped(_)))) => {
                let swaps = expected == state;
                let possible = answer.is_none_or(|answer| *answer == Out::Swapped(swaps));
                possible.then(|| if swaps { Some(new.clone()) } else { state.clone() })
            }
            _ => None,
        }
    }

    fn reads_only(&self, input: &RegisterInput, output: Option<&RegisterOutput>) -> bool {
        input.op == RegisterOp::Read || output == Some(&RegisterOutput::Swapped(false))
    }

    fn describe(&self, input: &RegisterInput, output: Option<&RegisterOutput>) -> String {
        let asked = match &input.op {
            RegisterOp::Read => "read()".to_owned(),
            RegisterOp::Write(value) => format!("write({})", show(value)),
            RegisterOp::CompareAndSet { expected, new } => {
                format!("cas({}, {})", show_option(expected.as_ref()), show(new))
            }
        };
        match output {
            None => format!("{asked} → ?"),
            Some(RegisterOutput::Written) => asked,
            Some(RegisterOutput::Value(value)) => format!("{asked} → {}", show_option(value.as_ref())),
            Some(RegisterOutput::Swapped(swapped)) => format!("{asked} → {}", if *swapped { "ok" } else { "no" }),
        }
    }

    fn describe_state(&self, state: &Option<Text>) -> String {
        show_option(state.as_ref())
    }

    fn describe_key(&self, key: &Text) -> String {
        show(key)
    }
}
