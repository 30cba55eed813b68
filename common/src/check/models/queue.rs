//! A queue: first in, first out, each element handed to one consumer.

use std::collections::VecDeque;

use super::{Text, show, text};
use crate::check::model::Model;

/// Queues, each with a name of its own, that are empty at first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queue;

/// What is asked of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QueueInput {
    /// Which queue.
    pub key: Text,
    /// What is to be done.
    pub op: QueueOp,
}

/// What can be done with a queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum QueueOp {
    /// Put this at the end.
    Enqueue(Text),
    /// Take what is at the front.
    Dequeue,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueOutput {
    /// Of an enqueue.
    Enqueued,
    /// Of a dequeue: the element; `None`: the queue was empty.
    Dequeued(Option<Text>),
}

impl QueueInput {
    /// Put `value` at the end of `key`.
    pub fn enqueue(key: impl ToString, value: impl ToString) -> Self {
        Self { key: text(key), op: QueueOp::Enqueue(text(value)) }
    }

    /// Take the first element of `key`.
    pub fn dequeue(key: impl ToString) -> Self {
        Self { key: text(key), op: QueueOp::Dequeue }
    }
}

impl QueueOutput {
    /// A dequeue that got `value`.
    pub fn dequeued(value: impl ToString) -> Self {
        Self::Dequeued(Some(text(value)))
    }
}

impl Model for Queue {
    type Input = QueueInput;
    type Output = QueueOutput;
    type State = VecDeque<Text>;
    type Key = Text;

    fn key(&self, input: &QueueInput) -> Text {
        input.key.clone()
    }

    fn init(&self, _key: &Text) -> VecDeque<Text> {
        VecDeque::new()
    }

    fn step(&self, state: &VecDeque<Text>, input: &QueueInput, output: Option<&QueueOutput>) -> Option<VecDeque<Text>> {
        match (&input.op, output) {
            (QueueOp::Enqueue(value), None | Some(QueueOutput::Enqueued)) => {
                let mut after = state.clone();
                after.push_back(value.clone());
                Some(after)
            }
            (QueueOp::Dequeue, None) => Some(state.iter().skip(1).cloned().collect()),
            (QueueOp::Dequeue, Some(QueueOutput::Dequeued(got))) => {
                (got.as_ref() == state.front()).then(|| state.iter().skip(1).cloned().collect())
            }
            _ => None,
        }
    }

    fn reads_only(&self, _input: &QueueInput, output: Option<&QueueOutput>) -> bool {
        output == Some(&QueueOutput::Dequeued(None))
    }

    fn describe(&self, input: &QueueInput, output: Option<&QueueOutput>) -> String {
        let asked = match &input.op {
            QueueOp::Enqueue(value) => format!("enqueue({})", show(value)),
            QueueOp::Dequeue => "dequeue()".to_owned(),
        };
        match output {
            None => format!("{asked} → ?"),
            Some(QueueOutput::Enqueued) => asked,
            Some(QueueOutput::Dequeued(None)) => format!("{asked} → empty"),
            Some(QueueOutput::Dequeued(Some(value))) => format!("{asked} → {}", show(value)),
        }
    }

    fn describe_state(&self, state: &VecDeque<Text>) -> String {
        const SHOWN: usize = 5;
        let mut shown: Vec<String> = state.iter().take(SHOWN).map(|value| show(value)).collect();
        if state.len() > SHOWN {
            shown.push(format!("… {} more", state.len() - SHOWN));
        }
        format!("[{}]", shown.join(", "))
    }

    fn describe_key(&self, key: &Text) -> String {
        show(key)
    }
}
