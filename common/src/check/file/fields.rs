//! The operations of each model as the fields of a line, and back: the tables in `lines`, in code.

use serde_json::Value;

use super::ModelName;
use super::error::LineError;
use super::lines::{Fields, Recorded};
use crate::check::models::{
    Kv, KvInput, KvOp, KvOutput, Lock, LockInput, LockOp, LockOutput, Queue, QueueInput, QueueOp, QueueOutput,
    Register, RegisterInput, RegisterOp, RegisterOutput, Text,
};

const A_STRING: &str = "a string";
const A_STRING_OR_NULL: &str = "a string or null";
const A_BOOLEAN: &str = "true or false";
const A_TOKEN: &str = "the token, or true where there are none, or false";

impl Fields {
    fn new(op: &str, key: &Text) -> Self {
        Self { op: op.to_owned(), key: Some(key.to_string()), ..Self::default() }
    }

    fn take_key(&mut self) -> Text {
        self.key.take().unwrap_or_default().into()
    }

    fn missing(&self, field: &'static str, form: &'static str) -> LineError {
        LineError::Missing { op: self.op.clone(), field, form }
    }

    fn take_value(&mut self) -> Result<Text, LineError> {
        self.value.take().map(Text::from).ok_or_else(|| self.missing("value", A_STRING))
    }

    fn take_owner(&mut self) -> Result<Text, LineError> {
        self.owner.take().map(Text::from).ok_or_else(|| self.missing("owner", A_STRING))
    }

    fn take_expected(&mut self) -> Result<Option<Text>, LineError> {
        let expected = self.expected.take().ok_or_else(|| self.missing("expected", A_STRING_OR_NULL))?;
        Ok(expected.map(Text::from))
    }

    /// The output as a value that may be absent.
    fn found(&self) -> Result<Option<Text>, LineError> {
        match &self.output {
            Some(Value::Null) => Ok(None),
            Some(Value::String(value)) => Ok(Some(value.as_str().into())),
            _ => Err(self.missing("output", A_STRING_OR_NULL)),
        }
    }

    fn yes_or_no(&self) -> Result<bool, LineError> {
        self.output.as_ref().and_then(Value::as_bool).ok_or_else(|| self.missing("output", A_BOOLEAN))
    }

    fn no_such_op(self, model: ModelName, known: &'static str) -> LineError {
        LineError::Op { op: self.op, model, known }
    }
}

fn string(value: &Text) -> Value {
    Value::String(value.to_string())
}

fn string_or_null(value: Option<&Text>) -> Value {
    value.map_or(Value::Null, string)
}

impl Recorded for Register {
    const NAME: ModelName = ModelName::Register;

    fn encode(input: &RegisterInput, output: Option<&RegisterOutput>) -> Fields {
        let op = match &input.op {
            RegisterOp::Read => "read",
            RegisterOp::Write(_) => "write",
            RegisterOp::CompareAndSet { .. } => "cas",
        };
        let mut fields = Fields::new(op, &input.key);
        match &input.op {
            RegisterOp::Read => {}
            RegisterOp::Write(value) => fields.value = Some(value.to_string()),
            RegisterOp::CompareAndSet { expected, new } => {
                fields.expected = Some(expected.as_ref().map(ToString::to_string));
                fields.value = Some(new.to_string());
            }
        }
        fields.output = match output {
            None | Some(RegisterOutput::Written) => None,
            Some(RegisterOutput::Value(value)) => Some(string_or_null(value.as_ref())),
            Some(RegisterOutput::Swapped(swapped)) => Some(Value::Bool(*swapped)),
        };
        fields
    }

    fn decode(mut fields: Fields, returned: bool) -> Result<(RegisterInput, Option<RegisterOutput>), LineError> {
        let op = match fields.op.as_str() {
            "read" => RegisterOp::Read,
            "write" => RegisterOp::Write(fields.take_value()?),
            "cas" => RegisterOp::CompareAndSet { expected: fields.take_expected()?, new: fields.take_value()? },
            _ => return Err(fields.no_such_op(Self::NAME, "read, write, cas")),
        };
        let output = |fields: &Fields| {
            Ok(match op {
                RegisterOp::Read => RegisterOutput::Value(fields.found()?),
                RegisterOp::Write(_) => RegisterOutput::Written,
                RegisterOp::CompareAndSet { .. } => RegisterOutput::Swapped(fields.yes_or_no()?),
            })
        };
        let output = returned.then(|| output(&fields)).transpose()?;
        Ok((RegisterInput { key: fields.take_key(), op }, output))
    }
}

impl Recorded for Kv {
    const NAME: ModelName = ModelName::Kv;

    fn encode(input: &KvInput, output: Option<&KvOutput>) -> Fields {
        let op = match &input.op {
            KvOp::Get => "get",
            KvOp::Put(_) => "put",
            KvOp::Append(_) => "append",
            KvOp::Delete => "delete",
            KvOp::CompareAndPut { .. } => "compare-and-put",
        };
        let mut fields = Fields::new(op, &input.key);
        match &input.op {
            KvOp::Get | KvOp::Delete => {}
            KvOp::Put(value) | KvOp::Append(value) => fields.value = Some(value.to_string()),
            KvOp::CompareAndPut { expected, new } => {
                fields.expected = Some(expected.as_ref().map(ToString::to_string));
                fields.value = Some(new.to_string());
            }
        }
        fields.output = match output {
            None | Some(KvOutput::Done) => None,
            Some(KvOutput::Value(value)) => Some(string_or_null(value.as_ref())),
            Some(KvOutput::Deleted(yes) | KvOutput::Swapped(yes)) => Some(Value::Bool(*yes)),
        };
        fields
    }

    fn decode(mut fields: Fields, returned: bool) -> Result<(KvInput, Option<KvOutput>), LineError> {
        let op = match fields.op.as_str() {
            "get" => KvOp::Get,
            "put" => KvOp::Put(fields.take_value()?),
            "append" => KvOp::Append(fields.take_value()?),
            "delete" => KvOp::Delete,
            "compare-and-put" => KvOp::CompareAndPut { expected: fields.take_expected()?, new: fields.take_value()? },
            _ => return Err(fields.no_such_op(Self::NAME, "get, put, append, delete, compare-and-put")),
        };
        let output = |fields: &Fields| {
            Ok(match op {
                KvOp::Get => KvOutput::Value(fields.found()?),
                KvOp::Put(_) | KvOp::Append(_) => KvOutput::Done,
                KvOp::Delete if fields.output.is_none() => KvOutput::Done,
                KvOp::Delete => KvOutput::Deleted(fields.yes_or_no()?),
                KvOp::CompareAndPut { .. } => KvOutput::Swapped(fields.yes_or_no()?),
            })
        };
        let output = returned.then(|| output(&fields)).transpose()?;
        Ok((KvInput { key: fields.take_key(), op }, output))
    }
}

impl Recorded for Lock {
    const NAME: ModelName = ModelName::Lock;

    fn encode(input: &LockInput, output: Option<&LockOutput>) -> Fields {
        let op = match input.op {
            LockOp::Acquire => "acquire",
            LockOp::Release => "release",
        };
        let mut fields = Fields::new(op, &input.key);
        fields.owner = Some(input.owner.to_string());
        fields.output = output.map(|output| match output {
            LockOutput::Granted { token: Some(token) } => Value::from(*token),
            LockOutput::Granted { token: None } | LockOutput::Released => Value::Bool(true),
            LockOutput::Held | LockOutput::NotHeld => Value::Bool(false),
        });
        fields
    }

    fn decode(mut fields: Fields, returned: bool) -> Result<(LockInput, Option<LockOutput>), LineError> {
        let op = match fields.op.as_str() {
            "acquire" => LockOp::Acquire,
            "release" => LockOp::Release,
            _ => return Err(fields.no_such_op(Self::NAME, "acquire, release")),
        };
        let output = |fields: &Fields| {
            Ok(match (op, &fields.output) {
                (LockOp::Acquire, Some(Value::Bool(true))) => LockOutput::Granted { token: None },
                (LockOp::Acquire, Some(Value::Bool(false))) => LockOutput::Held,
                (LockOp::Acquire, output) => {
                    let token =
                        output.as_ref().and_then(Value::as_u64).ok_or_else(|| fields.missing("output", A_TOKEN))?;
                    LockOutput::Granted { token: Some(token) }
                }
                (LockOp::Release, _) if fields.yes_or_no()? => LockOutput::Released,
                (LockOp::Release, _) => LockOutput::NotHeld,
            })
        };
        let output = returned.then(|| output(&fields)).transpose()?;
        Ok((LockInput { owner: fields.take_owner()?, key: fields.take_key(), op }, output))
    }
}

impl Recorded for Queue {
    const NAME: ModelName = ModelName::Queue;

    fn encode(input: &QueueInput, output: Option<&QueueOutput>) -> Fields {
        let mut fields = match &input.op {
            QueueOp::Enqueue(value) => Fields { value: Some(value.to_string()), ..Fields::new("enqueue", &input.key) },
            QueueOp::Dequeue => Fields::new("dequeue", &input.key),
        };
        if let Some(QueueOutput::Dequeued(value)) = output {
            fields.output = Some(string_or_null(value.as_ref()));
        }
        fields
    }

    fn decode(mut fields: Fields, returned: bool) -> Result<(QueueInput, Option<QueueOutput>), LineError> {
        let op = match fields.op.as_str() {
            "enqueue" => QueueOp::Enqueue(fields.take_value()?),
            "dequeue" => QueueOp::Dequeue,
            _ => return Err(fields.no_such_op(Self::NAME, "enqueue, dequeue")),
        };
        let output = |fields: &Fields| {
            Ok(match op {
                QueueOp::Enqueue(_) => QueueOutput::Enqueued,
                QueueOp::Dequeue => QueueOutput::Dequeued(fields.found()?),
            })
        };
        let output = returned.then(|| output(&fields)).transpose()?;
        Ok((QueueInput { key: fields.take_key(), op }, output))
    }
}
