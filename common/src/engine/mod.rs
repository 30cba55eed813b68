//! The contract between an engine, which decides, and the world that runs it, which does.
//!
//! Everything that this workspace teaches about several machines (elections, quorums, replication, commits over partitions,
//! gossip, groups) is an [`Engine`]: a state machine that is handed one [`Event`] at a time with the time ([`Now`]), changes
//! its own state, and says in [`Effects`] what is to be done. It opens no file and no socket, reads no clock and draws no
//! randomness of its own. Two interpreters run the very same engine: [`sim`](crate::sim), where everything that can go wrong
//! does, from a seed; and the real world, with sockets, timers and a disk. What the one finds is a bug in what the other
//! ships (DDIA ch. 8, "Faults and Partial Failures").
//!
//! ```text
//!                    Start   Message   Request   Timer   Durable   Done   DiskFull   DiskFree
//!                      │        │         │        │        │        │       │          │
//!                      ▼        ▼         ▼        ▼        ▼        ▼       ▼          ▼
//!                 ┌──────────────────────────────────────────────────────────────────────────┐
//!      Now ──────▶│                       engine.handle(now, event, effects)                 │
//!                 └──┬───────────────┬───────────────────────────────┬───────────────────┬───┘
//!                    │ persist       │ send, reply, job              │ set_timer         │ mark
//!                    ▼               ▼                               ▼                   ▼
//!             ┌────────────┐   after <= durable? ── yes ──▶ go   at its moment,     counted
//!    Storage: │ log        │         │ no                       or later
//!             │ …│7│8│9│   │         ▼
//!             └──▲──────▲──┘   ┌────────────┐
//!                │      └ persisted: 9      │ held until the log is durable up to `after`
//!                └ durable: 7 ─▶└───────────┘ lost in a crash
//! ```
//!
//! # The durability contract
//!
//! A node that says "yes, I have it" and forgets has lied, and no protocol survives a liar (DDIA ch. 8, "Byzantine Faults").
//! A node that waits for its disk before it says anything at all is honest and slow. The contract lets an engine be both honest
//! and fast: **each effect names what must be durable before it may happen, and nothing waits for anything else.**
//!
//! - [`Effects::persist`] appends a record to the node's log and returns its position, an [`Lsn`]: the number of records
//!   persisted since this start. An engine can hold on to it and compare it; it needs no answer from the disk to know it.
//! - Everything that others can see (a message, a reply, a job of the storage) takes `after`, the position that it
//!   relies on. It happens when the log is durable up to there, and at no time before. [`Lsn::NOTHING`] relies on nothing, and
//!   goes at once.
//!
//! ```text
//! a follower votes              let lsn = effects.persist(Record::Vote(term, candidate));
//!                               effects.send(candidate, Message::Granted(term), lsn);        // never before the disk has it
//!
//! a leader appends              let lsn = effects.persist(Record::Entry(entry));             // its own fsync, and
//!                               effects.send(follower, Message::Append(entry), NOTHING);     // the network: at the same time
//!                               // Event::Durable(lsn) tells it when its own copy counts
//!
//! a client is answered          effects.reply(request, Reply::Done, lsn);                    // also a read of what lsn wrote
//! ```
//!
//! What an interpreter promises, and an engine may rely on:
//!
//! 1. Records become durable in the order of their positions: if one is, so are all before it. [`Event::Durable`] tells how far.
//! 2. No effect happens before what it names is durable.
//! 3. Events are handled one at a time, each to its end. A timer fires at its moment or later, never before; setting it
//!    again replaces it. A timer that was cancelled, or set to later, does not fire.
//! 4. After a start, everything that [`Boot::boot`] recovered is durable.
//!
//! What it does not promise, and the simulator takes away:
//!
//! 1. That effects happen in the order in which they were named, but for records among themselves, and the settings of timers.
//!    Also a job begins before or after a record that was named with it is appended.
//! 2. That a message arrives, once, in order, soon, or from a node that is still alive. (That it arrives as it was sent, or
//!    not at all, is promised: connections carry checksums. That it comes from where it says, too.)
//! 3. That a reply arrives; that two clients' clocks, or two nodes', agree; that time passes evenly.
//! 4. That what was not durable is gone after a crash: any number of the records after the durable ones may have survived,
//!    without a gap. A vote that nobody was told of may have been cast.
//! 5. That a crash waits for the end of a list of effects: it comes between any two of them, or in the middle of a write.
//! 6. That jobs end in the order in which they were begun. What a job has written counts only once a record says so.
//!
//! A failed sync is no event: nothing is known of the disk after it, so that the interpreter stops the node, and whatever
//! waited is never released. A full disk is one ([`Event::DiskFull`]): nothing is lost, positions stay where they are, and
//! the engine may refuse to take on more.
//!
//! # What is whose
//!
//! An engine has no fixed set of peers: a [`NodeId`] is a name, and whoever is sent to can be reached or not. Membership is
//! the engine's own matter, kept in records like the rest. A [`RequestId`] names a request for as long as its node is up,
//! and to that node alone: an answer that comes from another one goes through messages. It may be answered more than once (a
//! watch), or never. [`Storage`] is the chapter's own code over [`Disk`](crate::disk::Disk), and the same in both worlds: so
//! that the recovery that is tested is the one that ships.
//!
//! **Left out**: several logs in one node (shards share one, their records say whose they are); taking back what was said;
//! ordered streams between nodes (an engine that needs order numbers its messages); ending a node from within (whoever runs
//! it looks at the engine, and stops it).

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt::{self, Debug};
use std::hash::Hash;

mod effects;
mod storage;
mod time;

pub use effects::{Effect, Effects};
pub use storage::{Boot, Failure, Storage, Work};
pub use time::{Moment, Now, WallTime};

/// The generator that an engine is handed when it starts, seeded by whoever runs it: the same seed draws the same numbers on
/// every machine. Fast, and for no secrets.
pub type Random = rand_xoshiro::Xoshiro256PlusPlus;

/// The name of a node: unique among all that ever were part of the system, and kept by the node for life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// A client's request, as one node knows it: what a reply is addressed to. Unique for as long as the node is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A position in a node's log (a log sequence number): how many records the node has persisted since it started.
///
/// What it recovered at its start is durable and has no position. So positions of two starts cannot be compared, and none is
/// ever written down or sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

/// A synchronous state machine.
///
/// **Invariants** that whoever implements it keeps: [`handle`](Self::handle) depends on the state, the time, the event and the
/// generator that it was handed at its start, and on nothing else; it ends soon, since the node does nothing else meanwhile.
pub trait Engine: Sized {
    /// What nodes say to one another.
    type Message: Clone + Debug + Hash;
    /// What clients ask.
    type Request: Clone + Debug + Hash;
    /// What they are told.
    type Reply: Clone + Debug + Hash;
    /// What the log holds.
    type Record: Debug;
    /// The names of its timers. There should be a handful at a time: who waits for a thousand things sets one for the next.
    type Timer: Copy + Eq + Debug;
    /// What takes the storage longer than an event may take: writing a snapshot, reading a piece of one, dropping old log.
    type Job: Debug;
    /// What comes of it.
    type Done: Debug;

    /// Takes notice of `event`, and says in `effects` what is to be done.
    fn handle(&mut self, now: Now, event: Event<Self>, effects: &mut Effects<Self>);

    /// How many bytes `message` has on the wire, more or less: for accounts of what a protocol costs.
    fn message_bytes(_message: &Self::Message) -> usize {
        size_of::<Self::Message>()
    }
}

/// What an engine is told.
pub enum Event<E: Engine> {
    /// The node is up; nothing has been handled before. Here timers are set for the first time.
    Start,
    /// A node has sent something.
    Message {
        /// Who. It need not be one that this engine knows.
        from: NodeId,
        /// What.
        message: E::Message,
    },
    /// A client asks for something.
    Request {
        /// What to reply to.
        id: RequestId,
        /// What is asked.
        request: E::Request,
    },
    /// The moment has come that this timer was set to. It is not set any more.
    Timer(E::Timer),
    /// The log is durable up to here. It may be told for many records at once; it never goes back.
    Durable(Lsn),
    /// A job is done.
    Done(E::Done),
    /// The disk has no room for what was persisted last: it waits, and so does what waits for it. Told once.
    DiskFull,
    /// There is room again, and what waited is written. Told once after each [`DiskFull`](Self::DiskFull).
    DiskFree,
}

impl Lsn {
    /// The position before the first record: what waits for it waits for nothing.
    pub const NOTHING: Self = Self(0);
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl<E: Engine> Debug for Event<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Message { from, message } => write!(f, "{from} says {message:?}"),
            Self::Request { id, request } => write!(f, "{id} asks {request:?}"),
            Self::Timer(timer) => write!(f, "timer {timer:?}"),
            Self::Durable(lsn) => write!(f, "durable to {}", lsn.0),
            Self::Done(done) => write!(f, "done {done:?}"),
            Self::DiskFull => f.write_str("disk full"),
            Self::DiskFree => f.write_str("disk free again"),
        }
    }
}
