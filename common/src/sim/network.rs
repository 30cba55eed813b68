//! The network between nodes, and between clients and nodes: who reaches whom, how long it takes, and what gets lost.
//!
//! Numbers are whole and chances are in millionths, so that a seed means the same on every machine.

use std::ops::RangeInclusive;
use std::time::Duration;

use rand::RngExt;

use crate::engine::Random;

/// How many nodes a world can have: sets of them are the bits of a word.
pub const MAX_NODES: u64 = 64;

/// How long a message takes.
#[derive(Debug, Clone)]
pub struct Latency {
    /// What most take: anything in between is as likely as anything else.
    pub usual: RangeInclusive<Duration>,
    /// What the others take at most.
    pub tail: Duration,
    /// How many in a million are others.
    pub tail_ppm: u32,
}

/// How a network treats messages when nothing in particular is wrong with it.
#[derive(Debug, Clone)]
pub struct Network {
    /// How long they take.
    pub latency: Latency,
    /// How many in a million are lost.
    pub loss_ppm: u32,
    /// How many in a million arrive twice. Requests and replies of clients, who are connected to one node, never do.
    pub duplicate_ppm: u32,
    /// Whether one that was sent later may arrive earlier. If not, it waits, as on one connection.
    pub reorders: bool,
}

/// A [`Latency`] that is drawn from, in nanoseconds.
#[derive(Debug)]
pub(super) struct Delays {
    usual_ns: RangeInclusive<u64>,
    tail_ns: u64,
    tail_ppm: u32,
}

/// The network of a world as it is at the moment.
#[derive(Debug)]
pub(super) struct Links {
    network: Network,
    /// What is wrong on top: in millionths, and added to each latency, in nanoseconds.
    pub(super) extra_loss_ppm: u32,
    pub(super) extra_duplicate_ppm: u32,
    pub(super) extra_latency_ns: u64,
    /// For each pair, sender first, how many cuts are between them.
    cuts: Vec<u16>,
    /// For each pair, when the last message arrives.
    last: Vec<u64>,
    delays: Delays,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Cut,
    Lost,
    /// It arrives then, and then again.
    Arrives(u64, Option<u64>),
}

impl Delays {
    pub(super) fn new(latency: &Latency) -> Self {
        let usual_ns = nanos(*latency.usual.start())..=nanos(*latency.usual.end());
        Self { usual_ns, tail_ns: nanos(latency.tail), tail_ppm: latency.tail_ppm }
    }

    /// Draws one, in nanoseconds, and up to `extra_ns` on top.
    pub(super) fn draw(&self, extra_ns: u64, random: &mut Random) -> u64 {
        let mut delay = random.random_range(self.usual_ns.clone());
        if chance(self.tail_ppm, random) {
            delay += random.random_range(0..=self.tail_ns.saturating_sub(delay));
        }
        if extra_ns > 0 {
            delay += random.random_range(0..=extra_ns);
        }
        delay
    }
}

impl Default for Network {
    /// A local network with a hiccup now and then.
    fn default() -> Self {
        let latency = Latency {
            usual: Duration::from_micros(100)..=Duration::from_millis(2),
            tail: Duration::from_millis(50),
            tail_ppm: 2_000,
        };
        Self { latency, loss_ppm: 0, duplicate_ppm: 0, reorders: true }
    }
}

impl Links {
    pub(super) fn new(network: Network) -> Self {
        let pairs = (MAX_NODES * MAX_NODES) as usize;
        let delays = Delays::new(&network.latency);
        let last = if network.reorders { Vec::new() } else { vec![0; pairs] };
        Self {
            network,
            extra_loss_ppm: 0,
            extra_duplicate_ppm: 0,
            extra_latency_ns: 0,
            cuts: vec![0; pairs],
            last,
            delays,
        }
    }

    /// What becomes of a message from one node to another that is sent at `now`.
    pub(super) fn fate(&mut self, from: usize, to: usize, now: u64, random: &mut Random) -> Fate {
        if self.is_cut(from, to) {
            return Fate::Cut;
        }
        if chance(self.network.loss_ppm.saturating_add(self.extra_loss_ppm), random) {
            return Fate::Lost;
        }
        let mut first = now + self.latency(random);
        if !self.network.reorders {
            let last = &mut self.last[from * MAX_NODES as usize + to];
            first = first.max(*last + 1);
            *last = first;
        }
        let is_duplicated = chance(self.network.duplicate_ppm.saturating_add(self.extra_duplicate_ppm), random);
        let second = is_duplicated.then(|| first + 1 + self.latency(random));
        Fate::Arrives(first, second)
    }

    /// The same for what goes between a client and a node.
    pub(super) fn client_fate(&mut self, now: u64, random: &mut Random) -> Fate {
        if chance(self.network.loss_ppm.saturating_add(self.extra_loss_ppm), random) {
            return Fate::Lost;
        }
        Fate::Arrives(now + self.latency(random), None)
    }

    pub(super) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts[from * MAX_NODES as usize + to] > 0
    }

    /// Cuts all ways from `from` to `to` (sets of nodes), or heals one such cut.
    pub(super) fn cut(&mut self, from: u64, to: u64, is_cut: bool) {
        for a in bits(from) {
            for b in bits(to).filter(|b| *b != a) {
                let cuts = &mut self.cuts[a * MAX_NODES as usize + b];
                *cuts = if is_cut { *cuts + 1 } else { *cuts - 1 };
            }
        }
    }

    /// All that was wrong is over.
    pub(super) fn heal(&mut self) {
        self.cuts.fill(0);
        self.extra_loss_ppm = 0;
        self.extra_duplicate_ppm = 0;
        self.extra_latency_ns = 0;
    }

    fn latency(&self, random: &mut Random) -> u64 {
        self.delays.draw(self.extra_latency_ns, random)
    }
}

/// Whether something happens that does so `ppm` times in a million.
pub(super) fn chance(ppm: u32, random: &mut Random) -> bool {
    ppm > 0 && random.random_range(0..1_000_000) < ppm
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a simulated time is shorter than five hundred years")
}

fn bits(set: u64) -> impl Iterator<Item = usize> {
    (0..MAX_NODES as usize).filter(move |bit| set & (1 << bit) != 0)
}
