//! What an engine wants done.

use std::fmt::{self, Debug};

use super::{Engine, Lsn, Moment, NodeId, RequestId};

/// One thing to be done.
pub enum Effect<E: Engine> {
    /// Append to the log.
    Persist {
        /// What.
        record: E::Record,
        /// Its position: one more than that of the record before.
        lsn: Lsn,
    },
    /// Say something to a node.
    Send {
        /// To whom: never to itself.
        to: NodeId,
        /// What.
        message: E::Message,
        /// What must be durable before.
        after: Lsn,
    },
    /// Answer a client.
    Reply {
        /// Which request.
        to: RequestId,
        /// What.
        reply: E::Reply,
        /// What must be durable before.
        after: Lsn,
    },
    /// Let the storage do something that takes a while.
    Job {
        /// What.
        job: E::Job,
        /// What must be durable before it begins.
        after: Lsn,
    },
    /// Tell the engine when a moment has come, instead of the moment that this timer was set to, if any.
    SetTimer {
        /// Which.
        timer: E::Timer,
        /// When, by the node's own clock.
        at: Moment,
    },
    /// Do not fire this timer, if it is set.
    CancelTimer {
        /// Which.
        timer: E::Timer,
    },
    /// Count that something rare has happened: tests ask whether each such mark was ever reached.
    Mark(&'static str),
}

/// Where an engine puts its effects.
///
/// **Invariants**: `persisted` is the position of the last record that this engine has persisted since its start.
pub struct Effects<E: Engine> {
    list: Vec<Effect<E>>,
    persisted: Lsn,
}

impl<E: Engine> Effects<E> {
    /// For an engine that has persisted everything up to `persisted`.
    pub fn new(persisted: Lsn) -> Self {
        Self { list: Vec::new(), persisted }
    }

    /// The same, over an empty list that was used before: so that an event need not allocate one.
    ///
    /// # Panics
    ///
    /// When the list is not empty.
    pub fn reuse(list: Vec<Effect<E>>, persisted: Lsn) -> Self {
        assert!(list.is_empty(), "the effects of the last event have been carried out");
        Self { list, persisted }
    }

    /// Appends `record` to the log. Returns its position.
    pub fn persist(&mut self, record: E::Record) -> Lsn {
        self.persisted.0 += 1;
        self.list.push(Effect::Persist { record, lsn: self.persisted });
        self.persisted
    }

    /// The position of the last record: what waits for it waits for everything that the engine has persisted so far.
    pub fn persisted(&self) -> Lsn {
        self.persisted
    }

    /// Sends `message` to another node, once the log is durable up to `after`.
    ///
    /// # Panics
    ///
    /// When nothing has been persisted at `after`: so do [`reply`](Self::reply) and [`job`](Self::job).
    pub fn send(&mut self, to: NodeId, message: E::Message, after: Lsn) {
        self.check(after);
        self.list.push(Effect::Send { to, message, after });
    }

    /// Answers a request, once the log is durable up to `after`.
    pub fn reply(&mut self, to: RequestId, reply: E::Reply, after: Lsn) {
        self.check(after);
        self.list.push(Effect::Reply { to, reply, after });
    }

    /// Begins a job, once the log is durable up to `after`.
    pub fn job(&mut self, job: E::Job, after: Lsn) {
        self.check(after);
        self.list.push(Effect::Job { job, after });
    }

    /// Sets `timer` to `at`.
    pub fn set_timer(&mut self, timer: E::Timer, at: Moment) {
        self.list.push(Effect::SetTimer { timer, at });
    }

    /// Takes back the setting of `timer`.
    pub fn cancel_timer(&mut self, timer: E::Timer) {
        self.list.push(Effect::CancelTimer { timer });
    }

    /// Counts that `mark` was reached.
    pub fn mark(&mut self, mark: &'static str) {
        self.list.push(Effect::Mark(mark));
    }

    /// What has been named so far, in that order.
    pub fn list(&self) -> &[Effect<E>] {
        &self.list
    }

    /// What has been named, for the interpreter that carries it out.
    pub fn into_list(self) -> Vec<Effect<E>> {
        self.list
    }

    /// What waits for a position that no record has would wait for ever.
    fn check(&self, after: Lsn) {
        assert!(after <= self.persisted, "an effect waits for what has been persisted, and not for {}", after.0);
    }
}

impl<E: Engine> Debug for Effect<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits = |f: &mut fmt::Formatter<'_>, after: &Lsn| match *after {
            Lsn::NOTHING => Ok(()),
            Lsn(position) => write!(f, " after {position}"),
        };
        match self {
            Self::Persist { record, lsn } => write!(f, "persist {} {record:?}", lsn.0),
            Self::Send { to, message, after } => write!(f, "send to {to} {message:?}").and_then(|()| waits(f, after)),
            Self::Reply { to, reply, after } => write!(f, "reply to {to} {reply:?}").and_then(|()| waits(f, after)),
            Self::Job { job, after } => write!(f, "job {job:?}").and_then(|()| waits(f, after)),
            Self::SetTimer { timer, at } => write!(f, "set {timer:?} to {at}"),
            Self::CancelTimer { timer } => write!(f, "cancel {timer:?}"),
            Self::Mark(mark) => write!(f, "mark {mark:?}"),
        }
    }
}

impl<E: Engine> Debug for Effects<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.list).finish()
    }
}
