//! A lock with fencing tokens: at most one holder, and each holder's token is greater than all before it
//! (DDIA ch. 8, "Fencing tokens").
//!
//! A lease that runs out is a release that nobody called. Record it as a [`LockOp::Release`] by the owner, started when the
//! lease could first run out, and complete it when the service says that it has; left unknown, it may have happened at any
//! time from then on.

use super::{Text, show, text};
use crate::check::model::Model;

/// Locks, each with a name of its own, that are free at first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lock;

/// What is asked of a lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LockInput {
    /// Which lock.
    pub key: Text,
    /// For whom.
    pub owner: Text,
    /// What is to be done.
    pub op: LockOp,
}

/// What can be done with a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockOp {
    /// Take it, if it is free. Nobody holds it twice: an owner that asks again is refused.
    Acquire,
    /// Give it back.
    Release,
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockOutput {
    /// Of an acquire: it is the owner's now.
    Granted {
        /// The fencing token; `None` where a service has none, and its order is then not checked.
        token: Option<u64>,
    },
    /// Of an acquire: someone holds it.
    Held,
    /// Of a release: it was the owner's, and is free now.
    Released,
    /// Of a release: the owner does not hold it.
    NotHeld,
}

/// Who holds a lock, and what the next token must exceed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LockState {
    /// The holder.
    pub holder: Option<Text>,
    /// The least that the greatest token handed out so far can be. A grant that nobody heard of had a greater one than those
    /// before it, and by how much is unknown.
    pub token: Option<u64>,
}

impl LockInput {
    /// Acquire `key` for `owner`.
    pub fn acquire(key: impl ToString, owner: impl ToString) -> Self {
        Self { key: text(key), owner: text(owner), op: LockOp::Acquire }
    }

    /// Release `key`, which `owner` holds.
    pub fn release(key: impl ToString, owner: impl ToString) -> Self {
        Self { key: text(key), owner: text(owner), op: LockOp::Release }
    }
}

impl Model for Lock {
    type Input = LockInput;
    type Output = LockOutput;
    type State = LockState;
    type Key = Text;

    fn key(&self, input: &LockInput) -> Text {
        input.key.clone()
    }

    fn init(&self, _key: &Text) -> LockState {
        LockState { holder: None, token: None }
    }

    fn step(&self, state: &LockState, input: &LockInput, output: Option<&LockOutput>) -> Option<LockState> {
        let is_holder = state.holder.as_ref() == Some(&input.owner);
        let taken = |token| LockState { holder: Some(input.owner.clone()), token };
        let freed = || LockState { holder: None, token: state.token };
        match (input.op, output) {
            (LockOp::Acquire, None) if state.holder.is_none() => {
                Some(taken(state.token.map(|token| token.saturating_add(1))))
            }
            (LockOp::Acquire, Some(LockOutput::Granted { token: None })) => {
                state.holder.is_none().then(|| taken(state.token))
            }
            (LockOp::Acquire, Some(&LockOutput::Granted { token })) => {
                (state.holder.is_none() && token > state.token).then(|| taken(token))
            }
            (LockOp::Acquire, Some(LockOutput::Held)) => state.holder.is_some().then(|| state.clone()),
            (LockOp::Release, None | Some(LockOutput::Released)) if is_holder => Some(freed()),
            (LockOp::Release, Some(LockOutput::NotHeld)) => (!is_holder).then(|| state.clone()),
            (_, None) => Some(state.clone()),
            _ => None,
        }
    }

    fn reads_only(&self, _input: &LockInput, output: Option<&LockOutput>) -> bool {
        matches!(output, Some(LockOutput::Held | LockOutput::NotHeld))
    }

    fn describe(&self, input: &LockInput, output: Option<&LockOutput>) -> String {
        let owner = show(&input.owner);
        let asked = match input.op {
            LockOp::Acquire => format!("acquire({owner})"),
            LockOp::Release => format!("release({owner})"),
        };
        match output {
            None => format!("{asked} → ?"),
            Some(LockOutput::Granted { token: Some(token) }) => format!("{asked} → token {token}"),
            Some(LockOutput::Granted { token: None }) => format!("{asked} → ok"),
            Some(LockOutput::Held) => format!("{asked} → held"),
            Some(LockOutput::Released) => asked,
            Some(LockOutput::NotHeld) => format!("{asked} → not held"),
        }
    }

    fn describe_state(&self, state: &LockState) -> String {
        match (&state.holder, state.token) {
            (None, _) => "free".to_owned(),
            (Some(holder), None) => format!("held by {}", show(holder)),
            (Some(holder), Some(token)) => format!("held by {} (token {token})", show(holder)),
        }
    }

    fn describe_key(&self, key: &Text) -> String {
        show(key)
    }
}
