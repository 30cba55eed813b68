//! The recorder: what a workload tells of its operations while it runs them, so that a history comes of it.
//!
//! It is told the time, in simulated nanoseconds or in real ones, and draws nothing of its own: the same workload under the
//! same seed gives the same history. Clients in several threads share one behind a mutex.
//!
//! What the clocks may not tell, the order of the recorder's own calls does. A simulator handles many events in one
//! nanosecond, and of two threads that read a clock the later reader may come first; yet whatever is told to the recorder
//! later did not happen earlier. So stamps strictly rise: an event whose time has not moved on gets the next nanosecond.
//! That makes no operation seem shorter than it was, as long as [`Recorder::start`] is called before the request leaves and
//! [`Recorder::complete`] after the answer has come.

use super::history::{ClientId, History, HistoryError, Operation, Outcome, Stamp};

/// Records the operations of one run.
///
/// **Invariants**: stamps strictly rise in the order of the calls; an operation that was started and not ended is one of
/// unknown outcome.
#[derive(Debug, Clone)]
pub struct Recorder<I, O> {
    /// `None` once an operation is known to have failed: it is no part of the history.
    operations: Vec<Option<Operation<I, O>>>,
    last: Stamp,
}

/// An operation that has been started. It is ended once, by handing this back; dropped, its outcome stays unknown.
#[derive(Debug)]
#[must_use = "an operation that is never ended counts as one of unknown outcome"]
pub struct Started(usize);

impl<I, O> Recorder<I, O> {
    /// A recorder of nothing yet.
    pub fn new() -> Self {
        Self { operations: Vec::new(), last: 0 }
    }

    /// `client` is about to ask for `input`.
    pub fn start(&mut self, client: ClientId, now: Stamp, input: I) -> Started {
        let called = self.stamp(now);
        self.operations.push(Some(Operation { client, called, input, outcome: Outcome::Unknown }));
        Started(self.operations.len() - 1)
    }

    /// The answer has come.
    ///
    /// # Panics
    ///
    /// When `started` is of another recorder.
    pub fn complete(&mut self, Started(index): Started, now: Stamp, output: O) {
        let at = self.stamp(now);
        self.running(index).outcome = Outcome::Returned { at, output };
    }

    /// The operation certainly did not take effect and never will: it is left out. A timeout, a broken connection or an
    /// error of a proxy is no such certainty: see [`unknown`](Self::unknown).
    ///
    /// # Panics
    ///
    /// When `started` is of another recorder.
    pub fn fail(&mut self, Started(index): Started) {
        self.running(index);
        self.operations[index] = None;
    }

    /// Nobody knows whether it took, or will take, effect. The client may go on; in the logs of Jepsen it then does so under
    /// another name, here it keeps its own.
    ///
    /// # Panics
    ///
    /// When `started` is of another recorder.
    pub fn unknown(&mut self, Started(index): Started) {
        self.running(index);
    }

    /// How many operations are recorded, those left out included.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether nothing was started.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The history. What is not ended by now has an unknown outcome.
    ///
    /// # Errors
    ///
    /// [`HistoryError::TooMany`].
    pub fn finish(self) -> Result<History<I, O>, HistoryError> {
        History::new(self.operations.into_iter().flatten().collect())
    }

    fn stamp(&mut self, now: Stamp) -> Stamp {
        self.last = now.max(self.last.saturating_add(1));
        self.last
    }

    fn running(&mut self, index: usize) -> &mut Operation<I, O> {
        let operation = self.operations.get_mut(index).and_then(Option::as_mut);
        let operation = operation.expect("an operation is ended by the recorder that started it");
        assert!(operation.returned().is_none(), "an operation is ended by the recorder that started it, and once");
        operation
    }
}

impl<I, O> Default for Recorder<I, O> {
    fn default() -> Self {
        Self::new()
    }
}
