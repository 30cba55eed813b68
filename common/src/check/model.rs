//! What a checker must know of an object: where it starts, and what each operation does to it when nothing else goes on.
//!
//! That is the sequential specification of Herlihy and Wing ("Linearizability: A Correctness Condition for Concurrent
//! Objects", 1990): a history is right when its operations could have been executed one after another, each at an instant
//! between its call and its return, with these answers.

use std::fmt::Debug;
use std::hash::Hash;

use super::history::{History, Operation};

/// A history of the operations of a model.
pub type HistoryOf<M> = History<<M as Model>::Input, <M as Model>::Output>;

/// An operation of a model.
pub type OperationOf<M> = Operation<<M as Model>::Input, <M as Model>::Output>;

/// An object, as it behaves for one client at a time.
///
/// **Invariants** that an implementation keeps, and on which the checker's shortcuts rest:
/// - Operations with different [`key`](Self::key)s have no effect on each other.
/// - [`step`](Self::step) is a function: of the same arguments it makes the same state.
/// - An operation that [`reads_only`](Self::reads_only) leaves every state as it is.
/// - What `step` allows with an output, it allows without one, and the state is then one in which no less is possible.
pub trait Model {
    /// What is asked.
    type Input: Clone + Eq + Hash + Debug;
    /// What is answered.
    type Output: Clone + Eq + Debug;
    /// What is remembered. Equal states must be equal by `Eq`: the search takes them for one.
    type State: Clone + Eq + Hash + Debug;
    /// What parts the operations into independent ones.
    type Key: Clone + Ord + Debug;

    /// The object that an operation is about. Each is checked for itself.
    fn key(&self, input: &Self::Input) -> Self::Key;

    /// The state before the first operation on `key`.
    fn init(&self, key: &Self::Key) -> Self::State;

    /// The state after `input`, executed on `state`: `None` when it could not have been answered with `output` there.
    ///
    /// Without an `output` (the outcome is unknown) it is executed and nobody learns of the answer, which is possible in
    /// every state: a compare-and-set that finds another value then leaves the state as it is.
    fn step(&self, state: &Self::State, input: &Self::Input, output: Option<&Self::Output>) -> Option<Self::State>;

    /// Whether the operation, with this output, changes no state at all: a read, a compare-and-set that was refused. When in
    /// doubt it is `false`, which costs time and nothing else.
    fn reads_only(&self, input: &Self::Input, output: Option<&Self::Output>) -> bool {
        let _ = (input, output);
        false
    }

    /// The operation in a few words: `write(2)`, `read() → 1`.
    fn describe(&self, input: &Self::Input, output: Option<&Self::Output>) -> String {
        match output {
            Some(output) => format!("{input:?} → {output:?}"),
            None => format!("{input:?} → ?"),
        }
    }

    /// The state in a few words.
    fn describe_state(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }

    /// The key in a few words.
    fn describe_key(&self, key: &Self::Key) -> String {
        format!("{key:?}")
    }
}
