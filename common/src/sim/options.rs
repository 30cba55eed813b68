//! How a world is made: its machines and its network on good days, and whether it keeps its word.

use std::time::Duration;

use rand::RngExt;

use super::network::{Latency, Network};
use crate::engine::Random;

/// How a world is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many nodes it has at the beginning: 1, 2, 3 and so on.
    pub nodes: u64,
    /// The network, when nothing is wrong with it.
    pub network: Network,
    /// How long a sync takes.
    pub sync: Latency,
    /// How long a job takes.
    pub job: Latency,
    /// By how much a wall clock is off at the beginning, at most.
    pub skew: Duration,
    /// By how many millionths clocks go wrong, at most.
    pub drift_ppm: i64,
    /// How late a timer fires, at most.
    pub timer_lag: Duration,
    /// Whether effects wait for what they name.
    pub contract: Contract,
}

/// Whether a world keeps the contract of [`engine`](crate::engine).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Contract {
    /// It does.
    #[default]
    Kept,
    /// Effects that wait for the disk do not: for tests that show that their checkers would notice.
    Ignored,
}

impl Default for Options {
    /// Three nodes on good machines.
    fn default() -> Self {
        let latency = |usual, tail| Latency { usual, tail: Duration::from_millis(tail), tail_ppm: 5_000 };
        Self {
            nodes: 3,
            network: Network::default(),
            sync: latency(Duration::from_micros(200)..=Duration::from_millis(4), 100),
            job: latency(Duration::from_millis(1)..=Duration::from_millis(60), 1_000),
            skew: Duration::from_secs(1),
            drift_ppm: 50,
            timer_lag: Duration::from_millis(1),
            contract: Contract::Kept,
        }
    }
}

impl Options {
    /// The same for one seed: the network and the disks are faster or slower, and the network loses, doubles and holds up more
    /// or less. A race that one side always wins is one that was never run.
    #[must_use]
    pub fn vary(&self, random: &mut Random) -> Self {
        let mut speed = |latency: &Latency| {
            let quarters = [1, 4, 4, 16][random.random_range(0..4)];
            let usual = *latency.usual.start() * quarters / 4..=*latency.usual.end() * quarters / 4;
            Latency { usual, tail_ppm: [0, latency.tail_ppm, 50_000][random.random_range(0..3)], ..*latency }
        };
        let (latency, sync, job) = (speed(&self.network.latency), speed(&self.sync), speed(&self.job));
        let mut or_some = |ppm: u32| if random.random() { ppm } else { ppm.max(random.random_range(0..50_000)) };
        let (loss_ppm, duplicate_ppm) = (or_some(self.network.loss_ppm), or_some(self.network.duplicate_ppm));
        Self { network: Network { latency, loss_ppm, duplicate_ppm, ..self.network }, sync, job, ..*self }
    }
}
