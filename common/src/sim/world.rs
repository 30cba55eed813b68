//! The world: nodes, clients, a network and disks, and the one queue of what is going to happen.

use rand::{RngExt, SeedableRng};

use super::account::{Account, Marks};
use super::checker::Violation;
use super::client::{Client, ClientEffects, ClientEvent};
use super::clock::Clock;
use super::faults::{Fault, index, place};
use super::network::{Delays, Links, MAX_NODES, nanos};
use super::node::Machine;
use super::options::Options;
use super::queue::Queue;
use super::schedule::Schedule;
use super::timers::Look;
use super::trace::{Digest, Trace};
use crate::disk::SimDisk;
use crate::engine::{Boot, Effect, Effects, Engine, Event, Moment, NodeId, Random, RequestId};

mod clients;
mod disks;
mod effects;
mod nemesis;

use clients::Asked;

/// A world of nodes that are started by `B`, and of clients `C`.
///
/// **Invariants**: all that happens depends on the seed, the options and the schedule alone. Of what is in `queue` nothing
/// is earlier than `time`.
pub struct World<B: Boot, C> {
    boot: B,
    options: Options,
    time: u64,
    queue: Queue<Happening<B::Engine>>,
    machines: Vec<Machine<B>>,
    clients: Vec<C>,
    /// The requests, by their numbers.
    requests: Vec<Asked>,
    links: Links,
    /// None that are over, or never will be.
    faults: Vec<Option<Fault>>,
    random: Random,
    acted: Option<NodeId>,
    /// How much has happened in this nanosecond.
    at_once: u64,
    jobs: u64,
    account: Account,
    marks: Marks,
    digest: Digest,
    trace: Trace,
    broken: Option<Violation>,
    list: Vec<Effect<B::Engine>>,
    client_effects: ClientEffects<B::Engine>,
    syncs: Delays,
    job_works: Delays,
    lag_ns: u64,
}

/// How much may happen in one nanosecond: an engine that sets a timer to now again and again would else be a test that hangs.
const MAX_AT_ONCE: u64 = 100_000;

/// How much may be going to happen: engines that answer a message with two would else take all memory.
const MAX_QUEUED: usize = 1_000_000;

/// A millisecond in the world's unit of time, the nanosecond.
const MILLI: u64 = 1_000_000;

/// What is going to happen.
pub(super) enum Happening<E: Engine> {
    Deliver { to: usize, from: NodeId, message: E::Message },
    Request { to: usize, id: RequestId, request: E::Request },
    Reply { id: RequestId, from: NodeId, reply: E::Reply },
    Timer { node: usize, incarnation: u32, timer: E::Timer },
    Synced { node: usize, incarnation: u32 },
    RetryFlush { node: usize, incarnation: u32 },
    JobRuns { node: usize, incarnation: u32, job: u64 },
    JobEnds { node: usize, incarnation: u32, job: u64 },
    ClientStarts { client: usize },
    ClientTimer { client: usize, timer: u64 },
    Restart { node: usize },
    Resume { node: usize },
    Told { node: usize, incarnation: u32, event: Event<E> },
    FaultBegins(usize),
    FaultEnds(usize),
}

impl<B: Boot, C: Client<B::Engine>> World<B, C> {
    /// A world before its beginning: the first thing that happens is that its nodes start, and then its clients. The last
    /// `trace` lines of what happens are kept.
    ///
    /// # Panics
    ///
    /// When it is to have no nodes, or more than [`MAX_NODES`].
    pub fn new(boot: B, clients: Vec<C>, options: Options, seed: u64, trace: usize) -> Self {
        assert!((1..=MAX_NODES).contains(&options.nodes), "a world has 1 to {MAX_NODES} nodes");
        let mut world = Self {
            boot,
            time: 0,
            queue: Queue::new(),
            machines: Vec::new(),
            clients,
            requests: Vec::new(),
            links: Links::new(options.network.clone()),
            faults: Vec::new(),
            // What is set up is drawn from the seed itself.
            random: Random::seed_from_u64(!seed),
            acted: None,
            at_once: 0,
            jobs: 0,
            account: Account::default(),
            marks: Marks::default(),
            digest: Digest::default(),
            trace: Trace::new(trace),
            broken: None,
            list: Vec::new(),
            client_effects: ClientEffects::new(),
            syncs: Delays::new(&options.sync),
            job_works: Delays::new(&options.job),
            lag_ns: nanos(options.timer_lag),
            options,
        };
        for node in 0..world.options.nodes as usize {
            world.add_machine();
            world.machines[node].restart_at = Some(0);
            world.queue.push(0, Happening::Restart { node });
        }
        for client in 0..world.clients.len() {
            world.queue.push(0, Happening::ClientStarts { client });
        }
        world
    }

    /// Lets the faults of a schedule happen, each at its time.
    pub fn schedule(&mut self, schedule: &Schedule) {
        for timed in schedule.faults() {
            let at = timed.at_ms.saturating_mul(MILLI).max(self.time);
            self.queue.push(at, Happening::FaultBegins(self.faults.len()));
            self.faults.push(Some(timed.fault.clone()));
        }
    }

    /// Lets `fault` happen now.
    pub fn inflict(&mut self, fault: Fault) {
        self.faults.push(Some(fault));
        self.begin_fault(self.faults.len() - 1);
    }

    /// Lets the next thing happen, if it is due by `until`. If not, it is `until` now, and the answer is `false`.
    pub fn step(&mut self, until: Moment) -> bool {
        self.acted = None;
        let Some((at, happening)) = self.queue.pop(until.as_nanos()) else {
            self.time = self.time.max(until.as_nanos());
            return false;
        };
        self.at_once = if at == self.time { self.at_once + 1 } else { 0 };
        self.time = at;
        self.digest.add(at);
        self.happen(happening);
        if self.at_once > MAX_AT_ONCE {
            self.broken = Some(Violation::new("time goes on", format!("more than {MAX_AT_ONCE} events at once")));
        }
        if self.queue.len() > MAX_QUEUED {
            let seen = format!("more than {MAX_QUEUED} things are going to happen");
            self.broken = Some(Violation::new("messages do not multiply", seen));
        }
        true
    }

    /// The true time since the beginning.
    pub fn now(&self) -> Moment {
        Moment::from_nanos(self.time)
    }

    /// The node that has handled something in the last step; in the step of a crash, none.
    pub fn acted(&self) -> Option<NodeId> {
        self.acted
    }

    /// The engine of a node, if it is up.
    pub fn engine(&self, node: NodeId) -> Option<&B::Engine> {
        Some(&self.machines.get(place(node)?)?.process.as_ref()?.engine)
    }

    /// The nodes that are up.
    pub fn engines(&self) -> impl Iterator<Item = (NodeId, &B::Engine)> {
        self.machines.iter().filter_map(|machine| Some((machine.id, &machine.process.as_ref()?.engine)))
    }

    /// The storage of a node, if it is up.
    pub fn storage(&self, node: NodeId) -> Option<&B::Storage> {
        Some(&self.machines.get(place(node)?)?.process.as_ref()?.storage)
    }

    /// The disk of a node.
    pub fn disk(&self, node: NodeId) -> Option<&SimDisk> {
        Some(&self.machines.get(place(node)?)?.disk)
    }

    /// The clients.
    pub fn clients(&self) -> &[C] {
        &self.clients
    }

    /// What has happened so far, in numbers.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// What has been reached so far.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// For checkers, who mark as well.
    pub(super) fn marks_mut(&mut self) -> &mut Marks {
        &mut self.marks
    }

    /// The digest of all that has happened so far: what was handled, by whom and when, what was wanted of it, and how much each
    /// disk was asked to do.
    pub fn digest(&self) -> Digest {
        let mut digest = self.digest;
        self.machines.iter().for_each(|machine| digest.add(machine.disk.operations()));
        digest
    }

    /// The last of what has happened, as lines.
    pub fn trace(&self) -> impl Iterator<Item = &str> {
        self.trace.lines()
    }

    /// Keeps the lines before `at`, whatever happens after it.
    pub fn end_trace_at(&mut self, at: Moment) {
        self.trace.end_at(at.as_nanos());
    }

    /// What the world itself has found wrong: a node that does not start from a whole disk, or too much that happens.
    pub fn broken(&self) -> Option<&Violation> {
        self.broken.as_ref()
    }

    fn happen(&mut self, happening: Happening<B::Engine>) {
        match happening {
            Happening::Deliver { to, from, message } => {
                if self.links.is_cut(index(from), to) {
                    self.account.messages_cut += 1;
                } else if self.is_up(to) {
                    self.account.messages_delivered += 1;
                    self.tell(to, Event::Message { from, message });
                }
            }
            Happening::Request { to, id, request } => {
                if self.is_up(to) {
                    self.requests[id.0 as usize].by = Some((to, self.machines[to].incarnation));
                    self.tell(to, Event::Request { id, request });
                }
            }
            Happening::Reply { id, from, reply } => {
                let client = self.requests[id.0 as usize].client as usize;
                self.tell_client(client, ClientEvent::Reply { id, from, reply });
            }
            Happening::Timer { node, incarnation, timer } => self.timer_is_due(node, incarnation, timer),
            Happening::Synced { node, incarnation } => {
                if self.is_running(node, incarnation, || Happening::Synced { node, incarnation }) {
                    self.sync_ends(node);
                }
            }
            Happening::RetryFlush { node, incarnation } => {
                if self.is_running(node, incarnation, || Happening::RetryFlush { node, incarnation }) {
                    self.flush(node, true);
                }
            }
            Happening::JobRuns { node, incarnation, job } => {
                if self.is_running(node, incarnation, || Happening::JobRuns { node, incarnation, job }) {
                    self.job_runs(node, job);
                }
            }
            Happening::JobEnds { node, incarnation, job } => {
                if self.is_running(node, incarnation, || Happening::JobEnds { node, incarnation, job }) {
                    self.job_ends(node, job);
                }
            }
            Happening::ClientStarts { client } => self.tell_client(client, ClientEvent::Start),
            Happening::ClientTimer { client, timer } => self.tell_client(client, ClientEvent::Timer(timer)),
            Happening::Restart { node } => {
                if self.machines[node].restart_at == Some(self.time) {
                    self.start(node);
                }
            }
            Happening::Resume { node } => self.resume(node),
            Happening::Told { node, incarnation, event } => {
                if self.machines[node].incarnation == incarnation {
                    self.tell(node, event);
                }
            }
            Happening::FaultBegins(fault) => self.begin_fault(fault),
            Happening::FaultEnds(fault) => self.end_fault(fault),
        }
    }

    /// Whether a node is up to receive something.
    fn is_up(&mut self, node: usize) -> bool {
        let is_up = self.machines.get(node).is_some_and(|machine| machine.process.is_some());
        self.account.sent_to_the_dead += u64::from(!is_up);
        is_up
    }

    /// Whether a process still is, and runs. If it is paused, `happening` is kept for the end of the pause.
    fn is_running(&mut self, node: usize, incarnation: u32, happening: impl FnOnce() -> Happening<B::Engine>) -> bool {
        let machine = &mut self.machines[node];
        let is_alive = machine.incarnation == incarnation && machine.process.is_some();
        if is_alive && machine.paused_until > self.time {
            self.account.events_paused += 1;
            machine.backlog.push(happening());
            return false;
        }
        is_alive
    }

    fn timer_is_due(&mut self, node: usize, incarnation: u32, timer: <B::Engine as Engine>::Timer) {
        let machine = &mut self.machines[node];
        let Some(process) = machine.process.as_mut().filter(|_| machine.incarnation == incarnation) else { return };
        if machine.paused_until > self.time {
            // Whether it fires is seen at the end of the pause: until then, something else may have put it off.
            if process.timers.is_awaited(timer, self.time) {
                self.account.events_paused += 1;
                machine.backlog.push(Happening::Timer { node, incarnation, timer });
            }
            return;
        }
        let now = machine.clock.now(self.time).monotonic;
        let lag_ns = || self.random.random_range(0..=self.lag_ns);
        match process.timers.look_at(timer, self.time, now, &machine.clock, lag_ns) {
            Look::Nothing => {}
            Look::Again(due) => self.queue.push(due, Happening::Timer { node, incarnation, timer }),
            Look::Fires => {
                self.account.timers += 1;
                self.handle(node, Event::Timer(timer));
            }
        }
    }

    /// Tells a node that is up something, or keeps it for the end of its pause.
    fn tell(&mut self, node: usize, event: Event<B::Engine>) {
        let machine = &mut self.machines[node];
        if machine.paused_until > self.time {
            self.account.events_paused += 1;
            machine.backlog.push(Happening::Told { node, incarnation: machine.incarnation, event });
        } else {
            self.handle(node, event);
        }
    }

    fn handle(&mut self, node: usize, event: Event<B::Engine>) {
        let machine = &mut self.machines[node];
        let Some(process) = &mut machine.process else { return };
        self.acted = Some(machine.id);
        self.account.events += 1;
        digest_event(&mut self.digest, machine.id, &event);
        if self.trace.is_on() {
            self.trace.add(self.time, format_args!("{} {event:?}", machine.id));
        }
        let mut effects = Effects::reuse(std::mem::take(&mut self.list), process.persisted);
        process.engine.handle(machine.clock.now(self.time), event, &mut effects);
        self.list = self.carry_out(node, effects.into_list());
        self.flush(node, false);
    }

    fn add_machine(&mut self) {
        let id = NodeId(self.machines.len() as u64 + 1);
        let skew = nanos(self.options.skew) as i64;
        let drift = self.options.drift_ppm;
        let (skew, drift) = (self.random.random_range(-skew..=skew), self.random.random_range(-drift..=drift));
        let disk = SimDisk::new(self.random.random());
        let clock = Clock::new(self.time, 0, skew, drift);
        self.machines.push(Machine::new(id, disk, clock, drift));
    }
}

fn digest_event<E: Engine>(digest: &mut Digest, node: NodeId, event: &Event<E>) {
    digest.add(node.0);
    match event {
        Event::Start => digest.add(1),
        Event::Message { from, message } => digest.add_all(&(2_u8, from, message)),
        Event::Request { id, request } => digest.add_all(&(3_u8, id, request)),
        Event::Timer(_) => digest.add(4),
        Event::Durable(lsn) => digest.add_all(&(5_u8, lsn)),
        Event::Done(_) => digest.add(6),
        Event::DiskFull => digest.add(7),
        Event::DiskFree => digest.add(8),
    }
}
