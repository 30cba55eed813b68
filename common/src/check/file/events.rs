//! Calls and answers as separate lines, which is how Jepsen and its kin log them: put together into operations.
//!
//! These logs have no clock that could be compared; the number of a line stands for the time.

use std::collections::BTreeMap;

use super::error::LineError;
use crate::check::history::{ClientId, History, HistoryError, MAX_OPERATIONS, Operation, Outcome};

/// The operations so far. Each process does one thing at a time.
#[derive(Debug)]
pub(super) struct Events<I, O> {
    operations: Vec<Operation<I, O>>,
    running: BTreeMap<u64, Operation<I, O>>,
}

impl<I, O> Events<I, O> {
    pub(super) fn new() -> Self {
        Self { operations: Vec::new(), running: BTreeMap::new() }
    }

    /// A process calls an operation.
    pub(super) fn call(&mut self, process: u64, line: u64, input: I) -> Result<(), LineError> {
        if self.operations.len() + self.running.len() >= MAX_OPERATIONS {
            return Err(LineError::TooMany);
        }
        let operation = Operation { client: ClientId(process), called: line, input, outcome: Outcome::Unknown };
        match self.running.insert(process, operation) {
            None => Ok(()),
            Some(before) => Err(LineError::Busy { process, since: before.called }),
        }
    }

    /// What the process has called.
    pub(super) fn called(&self, process: u64) -> Result<&I, LineError> {
        self.running.get(&process).map(|operation| &operation.input).ok_or(LineError::NotCalled { process })
    }

    /// The operation of a process is over; with `None` it failed, and is left out.
    pub(super) fn end(&mut self, process: u64, outcome: Option<Outcome<O>>) -> Result<(), LineError> {
        let mut operation = self.running.remove(&process).ok_or(LineError::NotCalled { process })?;
        if let Some(outcome) = outcome {
            operation.outcome = outcome;
            self.operations.push(operation);
        }
        Ok(())
    }

    /// The history. What still runs at the end of the log has an unknown outcome.
    pub(super) fn finish(mut self) -> Result<History<I, O>, HistoryError> {
        self.operations.extend(self.running.into_values());
        History::new(self.operations)
    }
}
