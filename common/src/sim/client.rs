//! Clients: state machines as well, so that a workload is as repeatable as what it loads.
//!
//! A client is outside of the system: it has no disk and never crashes, partitions do not concern it (so that it reaches the
//! leader of a minority, too), and it knows the true time, since a history is about what was before what. Its requests and
//! their replies can be late and can get lost. It keeps its own history; checkers read it.

use std::fmt;
use std::time::Duration;

use crate::engine::{Engine, Moment, NodeId, RequestId};

/// A client of a simulated world.
pub trait Client<E: Engine> {
    /// Takes notice of `event`, and says in `effects` what it does.
    fn handle(&mut self, now: Moment, event: ClientEvent<E>, effects: &mut ClientEffects<E>);
}

/// What a client is told.
pub enum ClientEvent<E: Engine> {
    /// The world begins.
    Start,
    /// A node has answered.
    Reply {
        /// Which request.
        id: RequestId,
        /// Who.
        from: NodeId,
        /// What.
        reply: E::Reply,
    },
    /// The time has passed that it wanted to wait. The number is its own.
    Timer(u64),
}

/// What a client does.
pub struct ClientEffects<E: Engine> {
    pub(super) requests: Vec<(NodeId, RequestId, E::Request)>,
    pub(super) timers: Vec<(u64, Duration)>,
    pub(super) next_request: u64,
}

impl<E: Engine> ClientEffects<E> {
    pub(super) fn new() -> Self {
        Self { requests: Vec::new(), timers: Vec::new(), next_request: 0 }
    }

    /// Asks a node for something. The number is in the answer; no two requests of a world have the same.
    pub fn request(&mut self, to: NodeId, request: E::Request) -> RequestId {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.requests.push((to, id, request));
        id
    }

    /// Wants to be told `timer` after `wait`. It cannot be taken back: who does not want it any more passes it over.
    pub fn timer(&mut self, timer: u64, wait: Duration) {
        self.timers.push((timer, wait));
    }
}

impl<E: Engine> fmt::Debug for ClientEvent<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Reply { id, from, reply } => write!(f, "{id} is answered by {from}: {reply:?}"),
            Self::Timer(timer) => write!(f, "timer {timer}"),
        }
    }
}
