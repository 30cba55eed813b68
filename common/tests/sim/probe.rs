//! A node that does nothing but look around: every ten milliseconds it persists a record, and tells all others so, once at
//! once and once when the record is durable. What each one sees is kept for the test to look at.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use common::disk::{Disk, DiskFile, Open, write_back};
use common::engine::{
    Boot, Effects, Engine, Event, Failure, Lsn, NodeId, Now, Random, RequestId, Storage, WallTime, Work,
};
use common::sim::{Client, ClientEffects, ClientEvent, Fault, Latency, Network, Options, World};

/// How often a node speaks.
pub(crate) const TICK: Duration = Duration::from_millis(10);

pub(crate) const LOG: &str = "/log";

/// What the last job has left.
pub(crate) const JOBS: &str = "/jobs";

/// The bytes of a record: its number.
pub(crate) const RECORD_BYTES: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Message {
    /// Sent at once with the record of this number.
    Free(u64),
    /// Sent once it was durable.
    Waits(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Starts { records: u64 },
    Ticks,
    Hears { from: NodeId, message: Message },
    IsAsked,
    IsDurable,
    IsFull,
    IsFree,
    Done,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight {
    pub(crate) node: NodeId,
    pub(crate) now: Now,
    pub(crate) what: What,
}

pub(crate) type Sights = Rc<RefCell<Vec<Sight>>>;

pub(crate) struct Probe {
    id: NodeId,
    nodes: u64,
    records: u64,
    sights: Sights,
}

impl Engine for Probe {
    type Message = Message;
    type Request = ();
    type Reply = ();
    type Record = u64;
    type Timer = ();
    type Job = ();
    type Done = ();

    fn handle(&mut self, now: Now, event: Event<Self>, effects: &mut Effects<Self>) {
        let what = match event {
            Event::Start => {
                effects.set_timer((), now.monotonic + TICK);
                What::Starts { records: self.records }
            }
            Event::Timer(()) => {
                effects.set_timer((), now.monotonic + TICK);
                self.records += 1;
                let lsn = effects.persist(self.records);
                for to in (1..=self.nodes).map(NodeId).filter(|node| *node != self.id) {
                    effects.send(to, Message::Free(self.records), Lsn::NOTHING);
                    effects.send(to, Message::Waits(self.records), lsn);
                }
                if self.records.is_multiple_of(10) {
                    effects.job((), Lsn::NOTHING);
                }
                What::Ticks
            }
            Event::Message { from, message } => What::Hears { from, message },
            Event::Request { id, .. } => {
                effects.reply(id, (), Lsn::NOTHING);
                What::IsAsked
            }
            Event::Durable(_) => What::IsDurable,
            Event::DiskFull => What::IsFull,
            Event::DiskFree => What::IsFree,
            Event::Done(()) => What::Done,
        };
        self.sights.borrow_mut().push(Sight { node: self.id, now, what });
    }
}

pub(crate) struct Probes {
    pub(crate) nodes: u64,
    pub(crate) sights: Sights,
}

/// **Invariants**: `buffer` stands in the log from `written` on, once it is written.
pub(crate) struct ProbeStore {
    disk: Arc<dyn Disk>,
    log: Arc<dyn DiskFile>,
    written: u64,
    buffer: Vec<u8>,
    appended: u64,
    /// How many records had been appended when each job was begun.
    pub(crate) begun_at: Vec<u64>,
    /// Whether its jobs go on after an error as if there were none.
    pub(crate) passes_over_errors: bool,
}

impl Boot for Probes {
    type Engine = Probe;
    type Storage = ProbeStore;

    fn boot(&self, id: NodeId, disk: Arc<dyn Disk>, _: Random) -> io::Result<(Probe, ProbeStore)> {
        let log = disk.open(Path::new(LOG), Open::Create)?;
        disk.sync_dir(Path::new("/"))?;
        let mut bytes = vec![0; log.len()? as usize];
        log.read_at(&mut bytes, 0)?;
        let number = |record: &[u8]| u64::from_le_bytes(record.try_into().expect("eight bytes"));
        let numbers = bytes.chunks_exact(RECORD_BYTES).map(number);
        let records = numbers.zip(1..).take_while(|(number, expected)| number == expected).count() as u64;
        let written = records * RECORD_BYTES as u64;
        if log.len()? > written {
            if bytes.iter().any(|byte| *byte != 0) && bytes.len() as u64 > written + 100 * RECORD_BYTES as u64 {
                return Err(io::Error::other("a damaged record before a hundred others"));
            }
            log.set_len(written)?;
        }
        write_back(&*log, 0..written)?;
        let engine = Probe { id, nodes: self.nodes, records, sights: Rc::clone(&self.sights) };
        Ok((engine, ProbeStore::new(disk, log, written)))
    }
}

impl ProbeStore {
    pub(crate) fn new(disk: Arc<dyn Disk>, log: Arc<dyn DiskFile>, written: u64) -> Self {
        Self { disk, log, written, buffer: Vec::new(), appended: 0, begun_at: Vec::new(), passes_over_errors: false }
    }
}

impl Storage for ProbeStore {
    type Record = u64;
    type Job = ();
    type Done = ();
    type Sync = ProbeSync;
    type JobWork = ProbeJob;

    fn append(&mut self, record: &u64) {
        self.appended += 1;
        self.buffer.extend_from_slice(&record.to_le_bytes());
    }

    fn flush(&mut self) -> Result<ProbeSync, Failure> {
        self.log.write_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(ProbeSync(Arc::clone(&self.log)))
    }

    fn synced(&mut self) {}

    fn begin(&mut self, (): ()) -> ProbeJob {
        self.begun_at.push(self.appended);
        let number = self.begun_at.len() as u64;
        ProbeJob { disk: Arc::clone(&self.disk), number, passes_over_errors: self.passes_over_errors }
    }

    fn finish(&mut self, (): ()) {}
}

pub(crate) struct ProbeSync(Arc<dyn DiskFile>);

impl Work for ProbeSync {
    type Output = ();

    fn run(self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Leaves its number on the disk.
pub(crate) struct ProbeJob {
    disk: Arc<dyn Disk>,
    number: u64,
    passes_over_errors: bool,
}

impl Work for ProbeJob {
    type Output = ();

    fn run(self) -> io::Result<()> {
        let file = self.disk.open(Path::new(JOBS), Open::Create);
        let left = file.and_then(|file| file.write_at(&self.number.to_le_bytes(), 0));
        if self.passes_over_errors { Ok(()) } else { left }
    }
}

/// Asks the first node every ten milliseconds, and counts the answers.
#[derive(Default)]
pub(crate) struct Asker {
    pub(crate) asked: u64,
    pub(crate) answered: u64,
}

impl Client<Probe> for Asker {
    fn handle(&mut self, _: common::engine::Moment, event: ClientEvent<Probe>, effects: &mut ClientEffects<Probe>) {
        match event {
            ClientEvent::Start | ClientEvent::Timer(_) => {
                self.asked += 1;
                let _: RequestId = effects.request(NodeId(1), ());
                effects.timer(0, TICK);
            }
            ClientEvent::Reply { .. } => self.answered += 1,
        }
    }
}

pub(crate) type ProbeWorld = World<Probes, Asker>;

/// A world in which nothing goes wrong by itself: what it draws is nothing but latencies of one to two milliseconds.
pub(crate) fn calm() -> Options {
    let latency = |low, high| Latency {
        usual: Duration::from_millis(low)..=Duration::from_millis(high),
        tail: Duration::from_millis(high),
        tail_ppm: 0,
    };
    Options {
        network: Network { latency: latency(1, 2), loss_ppm: 0, duplicate_ppm: 0, reorders: true },
        sync: latency(3, 3),
        job: latency(3, 3),
        skew: Duration::ZERO,
        drift_ppm: 0,
        timer_lag: Duration::ZERO,
        ..Options::default()
    }
}

pub(crate) fn world(options: Options, seed: u64) -> (ProbeWorld, Sights) {
    let sights = Sights::default();
    let probes = Probes { nodes: options.nodes + 1, sights: Rc::clone(&sights) };
    (World::new(probes, vec![Asker::default()], options, seed, 0), sights)
}

/// Lets a world go on for so many milliseconds.
pub(crate) fn go(world: &mut ProbeWorld, millis: u64) {
    let end = world.now() + Duration::from_millis(millis);
    while world.step(end) {}
}

/// A calm world of three and `seed` 1, in which `fault` happens after half a second and which goes on for another two.
pub(crate) fn after(fault: &str) -> (ProbeWorld, Sights) {
    let (mut world, sights) = world(calm(), 1);
    go(&mut world, 500);
    sights.borrow_mut().clear();
    let fault: Fault = fault.parse().expect("a fault");
    world.inflict(fault);
    go(&mut world, 2_000);
    (world, sights)
}

/// The milliseconds of true time at which `node` has seen what `is` says; only where no wall clock was changed.
pub(crate) fn when(sights: &Sights, node: u64, is: impl Fn(What) -> bool) -> Vec<u64> {
    let start = WallTime::from_nanos(1_000_000_000_000_000_000);
    let sights = sights.borrow();
    let seen = sights.iter().filter(|sight| sight.node == NodeId(node) && is(sight.what));
    seen.map(|sight| sight.now.wall.since(start).as_millis() as u64).collect()
}

/// Whether something was seen between two points in time, in milliseconds.
pub(crate) fn any_within(times: &[u64], from: u64, to: u64) -> bool {
    times.iter().any(|time| (from..to).contains(time))
}
