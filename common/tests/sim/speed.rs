//! How many seeds a minute: three nodes for ten simulated seconds under a load like that of Raft. A leader that is elected,
//! heartbeats every fifty milliseconds that put elections off, and a few clients each of whose writes is persisted by all
//! before it is answered.
//!
//! `cargo test --release -p common --test sim -- --ignored --nocapture speed`

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::disk::Disk;
use common::engine::{Boot, Effects, Engine, Event, Lsn, Moment, NodeId, Now, Random, RequestId};
use common::sim::{
    Account, Checker, Client, ClientEffects, ClientEvent, Kind, Marks, Options, Profile, Scenario, Schedule, Setup,
    Violation, World, run,
};
use rand::{RngExt, SeedableRng};

use crate::register::{Bug, Tag, Versioned};
use crate::storage::{Flaw, Store};
use crate::workload::Scene;

const HEARTBEAT: Duration = Duration::from_millis(50);

/// How many seeds are timed, and over how many the figure is taken.
const SEEDS: u64 = 2_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Message {
    Vote { term: u64 },
    Voted { term: u64 },
    Append { term: u64, at: u64, entries: Vec<u64>, commit: u64 },
    Appended { term: u64, upto: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    Election,
    Heartbeat,
}

/// What a leader does on good days, and no more: no log is ever in conflict with another.
struct Leaderlike {
    id: NodeId,
    random: Random,
    term: u64,
    votes: u64,
    leader: Option<NodeId>,
    log: Vec<u64>,
    commit: u64,
    /// What each of the three has, durably.
    matched: [u64; 3],
    waiting: Vec<(u64, RequestId)>,
    own: Vec<(Lsn, u64)>,
}

impl Leaderlike {
    fn peers(&self) -> impl Iterator<Item = NodeId> + use<> {
        let id = self.id;
        (1..=3).map(NodeId).filter(move |node| *node != id)
    }

    fn put_election_off(&mut self, now: Now, effects: &mut Effects<Self>) {
        let timeout = Duration::from_millis(self.random.random_range(150..300));
        effects.set_timer(Timer::Election, now.monotonic + timeout);
    }

    fn replicate(&self, effects: &mut Effects<Self>) {
        for peer in self.peers() {
            let at = self.matched[peer.0 as usize - 1];
            let entries = self.log[at as usize..].to_vec();
            effects.send(peer, Message::Append { term: self.term, at, entries, commit: self.commit }, Lsn::NOTHING);
        }
    }

    fn advance(&mut self, effects: &mut Effects<Self>) {
        let mut matched = self.matched;
        matched.sort_unstable();
        if matched[1] > self.commit {
            self.commit = matched[1];
            let commit = self.commit;
            for (_, id) in self.waiting.extract_if(.., |(index, _)| *index <= commit) {
                effects.reply(id, commit, Lsn::NOTHING);
            }
        }
    }

    fn persist(&self, value: u64, effects: &mut Effects<Self>) -> Lsn {
        effects.persist(Versioned { tag: Tag(self.term, self.log.len() as u64), value })
    }
}

impl Engine for Leaderlike {
    type Message = Message;
    type Request = u64;
    type Reply = u64;
    type Record = Versioned;
    type Timer = Timer;
    type Job = Versioned;
    type Done = ();

    fn handle(&mut self, now: Now, event: Event<Self>, effects: &mut Effects<Self>) {
        match event {
            Event::Start => self.put_election_off(now, effects),
            Event::Timer(Timer::Election) => {
                self.term += 1;
                self.votes = 1;
                self.leader = None;
                let lsn = self.persist(self.id.0, effects);
                self.peers().for_each(|peer| effects.send(peer, Message::Vote { term: self.term }, lsn));
                self.put_election_off(now, effects);
            }
            Event::Timer(Timer::Heartbeat) => {
                effects.set_timer(Timer::Heartbeat, now.monotonic + HEARTBEAT);
                self.replicate(effects);
            }
            Event::Message { from, message: Message::Vote { term } } if term > self.term => {
                self.term = term;
                let lsn = self.persist(from.0, effects);
                effects.send(from, Message::Voted { term }, lsn);
                self.put_election_off(now, effects);
            }
            Event::Message { message: Message::Voted { term }, .. } if term == self.term => {
                self.votes += 1;
                if self.votes == 2 {
                    self.leader = Some(self.id);
                    self.matched = [0; 3];
                    effects.cancel_timer(Timer::Election);
                    effects.set_timer(Timer::Heartbeat, now.monotonic);
                }
            }
            Event::Message { from, message: Message::Append { term, at, entries, commit } } if term >= self.term => {
                self.term = term;
                self.leader = Some(from);
                self.put_election_off(now, effects);
                if at <= self.log.len() as u64 {
                    for entry in entries.into_iter().skip(self.log.len() - at as usize) {
                        self.log.push(entry);
                        self.persist(entry, effects);
                    }
                }
                self.commit = self.commit.max(commit.min(self.log.len() as u64));
                let appended = Message::Appended { term, upto: self.log.len() as u64 };
                effects.send(from, appended, effects.persisted());
            }
            Event::Message { from, message: Message::Appended { term, upto } } if term == self.term => {
                let matched = &mut self.matched[from.0 as usize - 1];
                *matched = (*matched).max(upto);
                self.advance(effects);
            }
            Event::Message { .. } => {}
            Event::Request { id, request } => {
                if self.leader == Some(self.id) {
                    self.log.push(request);
                    let lsn = self.persist(request, effects);
                    self.own.push((lsn, self.log.len() as u64));
                    self.waiting.push((self.log.len() as u64, id));
                    self.replicate(effects);
                } else {
                    effects.reply(id, 0, Lsn::NOTHING);
                }
            }
            Event::Durable(lsn) => {
                let upto = self.own.extract_if(.., |(own, _)| *own <= lsn).map(|(_, index)| index).max();
                if let Some(upto) = upto {
                    self.matched[self.id.0 as usize - 1] = upto;
                    self.advance(effects);
                }
            }
            Event::Done(()) | Event::DiskFull | Event::DiskFree => {}
        }
    }
}

struct Leaderlikes;

impl Boot for Leaderlikes {
    type Engine = Leaderlike;
    type Storage = Store;

    fn boot(&self, id: NodeId, disk: Arc<dyn Disk>, random: Random) -> io::Result<(Leaderlike, Store)> {
        let (store, _, _) = Store::open(disk, Flaw::None)?;
        let engine = Leaderlike {
            id,
            random,
            term: 0,
            votes: 0,
            leader: None,
            log: Vec::new(),
            commit: 0,
            matched: [0; 3],
            waiting: Vec::new(),
            own: Vec::new(),
        };
        Ok((engine, store))
    }
}

struct Writer {
    random: Random,
    to: NodeId,
    generation: u64,
    answered: u64,
}

impl Client<Leaderlike> for Writer {
    fn handle(&mut self, _: Moment, event: ClientEvent<Leaderlike>, effects: &mut ClientEffects<Leaderlike>) {
        match event {
            ClientEvent::Reply { reply, .. } => {
                self.answered += u64::from(reply > 0);
                if reply == 0 {
                    self.to = NodeId(self.random.random_range(1..=3));
                }
                self.generation += 1;
                effects.timer(self.generation, Duration::from_millis(self.random.random_range(10..40)));
            }
            ClientEvent::Timer(generation) if generation != self.generation => {}
            ClientEvent::Start | ClientEvent::Timer(_) => {
                effects.request(self.to, self.random.random());
                self.generation += 1;
                effects.timer(self.generation, Duration::from_millis(500));
            }
        }
    }
}

/// Looks at each event, as checkers do.
struct CommitIsInTheLog;

impl Checker<Leaderlikes, Writer> for CommitIsInTheLog {
    fn after_event(&mut self, world: &World<Leaderlikes, Writer>, _: &mut Marks) -> Result<(), Violation> {
        let Some(engine) = world.acted().and_then(|node| world.engine(node)) else { return Ok(()) };
        if engine.commit <= engine.log.len() as u64 {
            return Ok(());
        }
        Err(Violation::new("what is committed is in the log", "it is not"))
    }

    fn at_end(&mut self, world: &World<Leaderlikes, Writer>, _: &mut Marks) -> Result<(), Violation> {
        let answered: u64 = world.clients().iter().map(|client| client.answered).sum();
        if answered > 200 { Ok(()) } else { Err(Violation::new("writes are answered", answered.to_string())) }
    }
}

struct RaftLike;

impl Scenario for RaftLike {
    type Boot = Leaderlikes;
    type Client = Writer;

    fn set_up(&self, random: &mut Random) -> Setup<Leaderlikes, Writer> {
        let writer = |seed| Writer { random: Random::seed_from_u64(seed), to: NodeId(1), generation: 0, answered: 0 };
        Setup {
            boot: Leaderlikes,
            clients: (0..3).map(|_| writer(random.random())).collect(),
            checkers: vec![Box::new(CommitIsInTheLog)],
            options: Options::default(),
            profile: Profile::of(&[(Kind::DiskSlow, 1), (Kind::Duplicates, 1)]),
            besides: Schedule::default(),
            duration: Duration::from_secs(10),
            settle: Duration::ZERO,
        }
    }
}

fn measure<S: Scenario>(name: &str, scenario: &S) -> f64 {
    let mut account = Account::default();
    let begin = Instant::now();
    for seed in 0..SEEDS {
        account += &run(scenario, seed, None, 0).unwrap_or_else(|failure| panic!("{failure}")).account;
    }
    let each = begin.elapsed().as_secs_f64() / SEEDS as f64;
    println!("{name}: {:.3} ms a seed, {:.0} seeds a minute, {:.0} ns an event", each * 1e3, 60.0 / each, {
        each * 1e9 * SEEDS as f64 / account.events as f64
    });
    println!("of {SEEDS} seeds:\n{account}");
    60.0 / each
}

#[test]
#[ignore = "a measurement: in a release build, alone on the machine"]
fn speed() {
    let per_minute = measure("ten seconds of three nodes, like Raft", &RaftLike);
    measure("fourteen seconds of a register under everything", &Scene::of(Bug::None, Profile::everything()));
    assert!(per_minute >= 10_000.0, "{per_minute} seeds a minute");
}

#[test]
fn the_load_that_is_measured_is_one() {
    let run = run(&RaftLike, 0, None, 0).unwrap_or_else(|failure| panic!("{failure}"));
    let account = run.account;
    assert!(account.records > 900 && account.syncs > 500 && account.messages > 2_000, "{account}");
}
