//! A replicated register, as small as a correct one gets: any node takes a request, asks a majority for the newest value,
//! and has a majority keep what it answers (Attiya, Bar-Noy and Dolev, "Sharing Memory Robustly in Message-Passing Systems",
//! 1995). It has a few faults that can be planted.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use common::disk::Disk;
use common::engine::{Boot, Effects, Engine, Event, Lsn, NodeId, Now, Random, RequestId};
use rand::RngExt;

use crate::storage::{Flaw, Store};

/// How often a coordinator says again what it has got no answer to.
const RETRY: Duration = Duration::from_millis(40);

/// How many records a log has before a snapshot takes their place.
const SNAPSHOT_RECORDS: u64 = 20;

/// Which write is newer: a count, and random bits that no other write has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Tag(pub u64, pub u64);

/// A value with its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Versioned {
    pub(crate) tag: Tag,
    pub(crate) value: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Message {
    Query { op: u64 },
    Have { op: u64, newest: Versioned },
    Store { op: u64, newest: Versioned },
    Stored { op: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Request {
    Read,
    Write(u64),
}

/// What was planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    /// Says "stored" before it is durable.
    AcksBeforeDurable,
    /// Takes what an old coordinator says for news.
    AcceptsOldMessages,
    /// Starts with nothing.
    ForgetsAfterRestart,
    /// Believes the first answer.
    ReadsFromOne,
    /// Its storage says "synced" and has not.
    SyncsNothing,
    /// Its storage lets a snapshot count before it is durable.
    SnapshotsTooEarly,
    /// The same, before its name is.
    SnapshotsWithoutAName,
    /// Its storage goes on after a sync has failed.
    IgnoresFailedSyncs,
    /// Its storage takes what it finds in the page cache for durable.
    TrustsThePageCache,
    /// Counts an answer that comes twice as two.
    CountsCopies,
    /// Gives its operations numbers that come again, so that late answers to earlier ones count.
    ReusesNumbers,
    /// Takes the time on the wall for what decides which write is newer.
    TagsByTheWall,
    /// Answers a request that another node was asked.
    AnswersForAnother,
}

#[derive(Debug, Clone)]
enum Phase {
    Asking { answers: Vec<NodeId>, newest: Versioned },
    Keeping { kept: Vec<NodeId>, newest: Versioned, own: Lsn },
}

#[derive(Debug, Clone)]
struct Operation {
    request: RequestId,
    asked: Request,
    phase: Phase,
}

/// **Invariants**: `operations` are those of this start; their numbers are random, so that no answer to an earlier one is
/// taken for an answer to them.
pub(crate) struct Register {
    id: NodeId,
    nodes: u64,
    bug: Bug,
    random: Random,
    pub(crate) newest: Versioned,
    durable: Lsn,
    begun: u64,
    wall: u64,
    records: u64,
    is_snapshotting: bool,
    operations: BTreeMap<u64, Operation>,
    pub(crate) is_disk_full: bool,
}

impl Register {
    fn peers(&self) -> impl Iterator<Item = NodeId> + use<> {
        let id = self.id;
        (1..=self.nodes).map(NodeId).filter(move |node| *node != id)
    }

    fn is_majority(&self, count: usize) -> bool {
        count as u64 * 2 > self.nodes
    }

    /// Keeps `newer` if it is. What the answer has to wait for.
    fn keep(&mut self, newer: Versioned, effects: &mut Effects<Self>) -> Lsn {
        if newer.tag > self.newest.tag || (self.bug == Bug::AcceptsOldMessages && newer.tag != self.newest.tag) {
            self.newest = newer;
            self.records += 1;
            effects.persist(newer);
        }
        if self.records >= SNAPSHOT_RECORDS && !self.is_snapshotting {
            self.is_snapshotting = true;
            self.records = 0;
            effects.mark("a snapshot was begun");
            effects.job(self.newest, effects.persisted());
        }
        // What is kept already may not be durable yet.
        if self.bug == Bug::AcksBeforeDurable { Lsn::NOTHING } else { effects.persisted() }
    }

    fn begin(&mut self, request: RequestId, asked: Request, effects: &mut Effects<Self>) {
        self.begun += 1;
        let op = match self.bug {
            Bug::ReusesNumbers => self.begun % 2,
            Bug::AnswersForAnother => request.0,
            _ => self.random.random(),
        };
        let phase = Phase::Asking { answers: vec![self.id], newest: self.newest };
        self.operations.insert(op, Operation { request, asked, phase });
        self.say(op, effects);
        self.go_on(op, effects);
    }

    /// Says what an operation waits for the others to answer.
    fn say(&self, op: u64, effects: &mut Effects<Self>) {
        let (message, answered) = match &self.operations[&op].phase {
            Phase::Asking { answers, .. } => (Message::Query { op }, answers),
            Phase::Keeping { kept, newest, .. } => (Message::Store { op, newest: *newest }, kept),
        };
        for peer in self.peers().filter(|peer| !answered.contains(peer)) {
            effects.send(peer, message.clone(), Lsn::NOTHING);
        }
    }

    /// Goes on with an operation that may have got enough answers.
    fn go_on(&mut self, op: u64, effects: &mut Effects<Self>) {
        let Some(operation) = self.operations.get(&op).cloned() else { return };
        match operation.phase {
            Phase::Asking { answers, newest } => {
                if self.is_majority(answers.len())
                    || (self.bug == Bug::ReadsFromOne && operation.asked == Request::Read)
                {
                    let newest = match operation.asked {
                        Request::Read => newest,
                        Request::Write(value) => {
                            let count = if self.bug == Bug::TagsByTheWall { self.wall } else { newest.tag.0 + 1 };
                            Versioned { tag: Tag(count, self.random.random()), value }
                        }
                    };
                    let own = self.keep(newest, effects);
                    if self.bug == Bug::ReadsFromOne && operation.asked == Request::Read {
                        self.operations.remove(&op);
                        effects.reply(operation.request, newest, own);
                        return;
                    }
                    let operation = self.operations.get_mut(&op).expect("it is going on");
                    operation.phase = Phase::Keeping { kept: Vec::new(), newest, own };
                    self.say(op, effects);
                    self.go_on(op, effects);
                }
            }
            Phase::Keeping { kept, newest, own } => {
                if self.is_majority(kept.len() + usize::from(own <= self.durable)) {
                    self.operations.remove(&op);
                    effects.reply(operation.request, newest, Lsn::NOTHING);
                }
            }
        }
    }
}

impl Engine for Register {
    type Message = Message;
    type Request = Request;
    type Reply = Versioned;
    type Record = Versioned;
    type Timer = ();
    type Job = Versioned;
    type Done = ();

    fn handle(&mut self, now: Now, event: Event<Self>, effects: &mut Effects<Self>) {
        self.wall = now.wall.as_nanos();
        match event {
            Event::Start => {
                if self.newest.tag > Tag::default() {
                    effects.mark("a node started with a value");
                }
                effects.set_timer((), now.monotonic + RETRY);
            }
            Event::Timer(()) => {
                effects.set_timer((), now.monotonic + RETRY);
                let going_on: Vec<u64> = self.operations.keys().copied().collect();
                going_on.into_iter().for_each(|op| self.say(op, effects));
            }
            Event::Request { id, request } => self.begin(id, request, effects),
            Event::Message { from, message: Message::Query { op } } => {
                if self.bug == Bug::AnswersForAnother {
                    effects.reply(RequestId(op), self.newest, effects.persisted());
                }
                // An answer shows what must not be forgotten.
                effects.send(from, Message::Have { op, newest: self.newest }, effects.persisted());
            }
            Event::Message { from, message: Message::Have { op, newest: theirs } } => {
                if let Some(Operation { phase: Phase::Asking { answers, newest }, .. }) = self.operations.get_mut(&op)
                    && (!answers.contains(&from) || self.bug == Bug::CountsCopies)
                {
                    answers.push(from);
                    if theirs.tag > newest.tag {
                        *newest = theirs;
                    }
                    self.go_on(op, effects);
                }
            }
            Event::Message { from, message: Message::Store { op, newest } } => {
                let own = self.keep(newest, effects);
                effects.send(from, Message::Stored { op }, own);
            }
            Event::Message { from, message: Message::Stored { op } } => {
                if let Some(Operation { phase: Phase::Keeping { kept, .. }, .. }) = self.operations.get_mut(&op)
                    && (!kept.contains(&from) || self.bug == Bug::CountsCopies)
                {
                    kept.push(from);
                    self.go_on(op, effects);
                }
            }
            Event::Durable(lsn) => {
                self.durable = lsn;
                let going_on: Vec<u64> = self.operations.keys().copied().collect();
                going_on.into_iter().for_each(|op| self.go_on(op, effects));
            }
            Event::Done(()) => {
                effects.mark("a snapshot was done");
                self.is_snapshotting = false;
            }
            Event::DiskFull => {
                effects.mark("a disk was full");
                self.is_disk_full = true;
            }
            Event::DiskFree => self.is_disk_full = false,
        }
    }
}

/// How a register starts.
pub(crate) struct Registers {
    pub(crate) nodes: u64,
    pub(crate) bug: Bug,
}

impl Boot for Registers {
    type Engine = Register;
    type Storage = Store;

    fn boot(&self, id: NodeId, disk: Arc<dyn Disk>, random: Random) -> io::Result<(Register, Store)> {
        let flaw = match self.bug {
            Bug::SyncsNothing => Flaw::SyncsNothing,
            Bug::SnapshotsTooEarly => Flaw::SnapshotsTooEarly,
            Bug::SnapshotsWithoutAName => Flaw::SnapshotsWithoutAName,
            Bug::IgnoresFailedSyncs => Flaw::IgnoresFailedSyncs,
            Bug::TrustsThePageCache => Flaw::TrustsThePageCache,
            _ => Flaw::None,
        };
        let (store, newest, records) = Store::open(disk, flaw)?;
        let newest = if self.bug == Bug::ForgetsAfterRestart { Versioned::default() } else { newest };
        let engine = Register {
            id,
            nodes: self.nodes,
            bug: self.bug,
            random,
            newest,
            durable: Lsn::NOTHING,
            begun: 0,
            wall: 0,
            records,
            is_snapshotting: false,
            operations: BTreeMap::new(),
            is_disk_full: false,
        };
        Ok((engine, store))
    }
}
