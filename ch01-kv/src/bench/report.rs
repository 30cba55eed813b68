//! What the bench says: a table for people, and the same as JSON for programs.
//!
//! The JSON of `bench --json` is one object:
//!
//! ```text
//! {
//!   "ours": {"name": "ch01-kv", "version": "0.1.0"},
//!   "peer": {"name": "redis-server", "version": "7.0.15"} or null,
//!   "driver": "redis-benchmark" or "own",
//!   "debug_build": false,        of ours; figures of a debug build say nothing
//!   "data_in_memory": false,     whether the logs were on tmpfs, where an fdatasync costs nothing
//!   "cores": 2, "clients": 50, "keys": 100000, "value_bytes": 64, "rounds": 7,
//!   "workloads": [{
//!     "name": "set",             the name that --workloads takes
//!     "pipeline": 1,             null for memory
//!     "appendfsync": "everysec", or always, no, off (no log)
//!     "requests": 110000,        of one run; for memory, how many keys were filled in
//!     "fdatasync_ns": SPREAD or null,
//!     "figures": {
//!       "throughput_per_s": FIGURE, "p50_ns": FIGURE, "p95_ns": FIGURE, "p99_ns": FIGURE, "p999_ns": FIGURE,
//!       "cpu_s_per_million": FIGURE, "rss_bytes_per_key": FIGURE
//!     }
//!   }]
//! }
//! SPREAD: {"median": 1.0, "low": 0.9, "high": 1.2}           of all runs
//! FIGURE: {"ours": SPREAD, "peer": SPREAD or null, "ratio": SPREAD or null}, or null where it was not measured
//! ```
//!
//! A ratio is ours divided by the peer's, the median of the A-B-B-A rounds with their range. It is null without a peer, with
//! fewer than seven rounds, of which a range says too little, and where a figure was zero (processor time comes in steps
//! of 10 ms).

use std::collections::BTreeMap;
use std::time::Duration;

use common::cli::{Table, human};
use common::load::{MIN_ROUNDS, Ratio};
use serde::Serialize;

use super::driver::Driver;
use super::measure::{Measured, Plan, Sample};
use super::process;
use super::systems::{Durability, System};
use super::workloads::{Kind, Workload};

/// The whole of it.
#[derive(Debug, Serialize)]
pub struct Report {
    ours: Named,
    peer: Option<Named>,
    driver: Driver,
    debug_build: bool,
    data_in_memory: bool,
    cores: usize,
    clients: usize,
    keys: u64,
    value_bytes: usize,
    rounds: usize,
    workloads: Vec<Part>,
}

/// The median of some runs, and their range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub low: f64,
    /// The greatest.
    pub high: f64,
}

#[derive(Debug, Serialize)]
struct Named {
    name: &'static str,
    version: String,
}

#[derive(Debug, Serialize)]
struct Part {
    name: &'static str,
    #[serde(skip)]
    title: &'static str,
    pipeline: Option<u64>,
    appendfsync: Durability,
    requests: u64,
    fdatasync_ns: Option<Spread>,
    figures: BTreeMap<&'static str, Option<Compared>>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Compared {
    ours: Spread,
    peer: Option<Spread>,
    ratio: Option<Ratio>,
}

/// A figure of a run: its name in the JSON and in the table, where it is found, and how it is written.
struct Figure {
    key: &'static str,
    label: &'static str,
    of: fn(&Sample) -> Option<f64>,
    format: fn(f64) -> String,
}

const FIGURES: [Figure; 7] = [
    Figure { key: "throughput_per_s", label: "throughput", of: |run| run.throughput, format: human::rate },
    Figure { key: "p50_ns", label: "p50", of: |run| run.percentiles_ns.map(|p| p[0]), format: nanos },
    Figure { key: "p95_ns", label: "p95", of: |run| run.percentiles_ns.map(|p| p[1]), format: nanos },
    Figure { key: "p99_ns", label: "p99", of: |run| run.percentiles_ns.map(|p| p[2]), format: nanos },
    Figure { key: "p999_ns", label: "p99.9", of: |run| run.percentiles_ns.map(|p| p[3]), format: nanos },
    Figure { key: "cpu_s_per_million", label: "CPU per million", of: |run| run.cpu_s_per_million, format: secs },
    Figure { key: "rss_bytes_per_key", label: "RSS per key", of: |run| run.rss_bytes_per_key, format: bytes },
];

impl Report {
    /// The report of what was measured.
    pub fn new(plan: &Plan, measured: &[(Workload, Measured)]) -> Self {
        let version = measured.iter().find_map(|(_, measured)| measured.peer_version.clone());
        let named = |system: System| Named { name: system.name(), version: version.clone().unwrap_or_default() };
        Self {
            ours: Named { name: System::Ours.name(), version: env!("CARGO_PKG_VERSION").to_owned() },
            peer: plan.peer.map(named),
            driver: plan.driver,
            debug_build: cfg!(debug_assertions),
            data_in_memory: process::is_in_memory(&plan.setup.parent),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            clients: plan.load.clients.get(),
            keys: plan.load.keys,
            value_bytes: plan.load.value_bytes,
            rounds: plan.rounds,
            workloads: measured.iter().map(|(workload, measured)| Part::new(plan, workload, measured)).collect(),
        }
    }

    /// The table, with what must be known to read it.
    pub fn text(&self) -> String {
        let mut text = self.heading();
        let mut table = match &self.peer {
            Some(peer) => Table::new(["load", "figure", self.ours.name, peer.name, "ours / peer"]),
            None => Table::new(["load", "figure", self.ours.name, "lowest", "highest"]),
        };
        for part in &self.workloads {
            self.add(part, &mut table);
        }
        text.push_str(&format!("\n{table}"));
        if self.peer.is_some() && self.rounds < MIN_ROUNDS {
            text.push_str(&format!("\nA ratio takes at least {MIN_ROUNDS} rounds."));
        }
        if self.data_in_memory {
            text.push_str(
                "\nThe logs are in memory (tmpfs): a sync costs nothing there. --data DIR names a real disk.",
            );
        }
        if self.debug_build {
            text.push_str("\nThis is a debug build: its figures say nothing. Use cargo run --release.");
        }
        text
    }

    fn heading(&self) -> String {
        let Self { ours, peer, clients, keys, value_bytes, rounds, cores, .. } = self;
        let mut text = format!("{} {}", ours.name, ours.version);
        let turns = match peer {
            Some(peer) => {
                text.push_str(&format!(" beside {} {}", peer.name, peer.version));
                if *rounds == 1 { "round of A B B A" } else { "rounds of A B B A" }
            }
            None if *rounds == 1 => "run",
            None => "runs",
        };
        let keys = human::grouped(*keys);
        text.push_str(&format!(
            ": {clients} clients of {}, {keys} keys, {value_bytes}-byte values, {rounds} {turns}, {cores} cores",
            self.driver.name()
        ));
        text
    }

    fn add(&self, part: &Part, table: &mut Table) {
        let log = match part.appendfsync {
            Durability::Off => "no log".to_owned(),
            other => format!("appendfsync {}", other.name()),
        };
        // A long name in one cell would be wrapped: it takes the first two rows.
        let mut names = match part.pipeline {
            Some(_) => vec![log, part.title.to_owned()],
            None => vec![format!("{} of {} keys", part.title, human::grouped(part.requests))],
        };
        for figure in &FIGURES {
            let Some(Some(Compared { ours, peer, ratio })) = part.figures.get(figure.key) else { continue };
            let show = |value: f64| (figure.format)(value);
            let missing = || "n/a".to_owned();
            let [fourth, fifth] = match self.peer {
                Some(_) => {
                    [peer.map_or_else(missing, |peer| show(peer.median)), ratio.map_or_else(missing, |r| r.to_string())]
                }
                None => [show(ours.low), show(ours.high)],
            };
            table.row([names.pop().unwrap_or_default(), figure.label.to_owned(), show(ours.median), fourth, fifth]);
        }
        if let Some(Spread { median, low, high }) = part.fdatasync_ns {
            let range = format!("{} to {}", nanos(low), nanos(high));
            let cells = match self.peer {
                Some(_) => [String::new(), "fdatasync of the disk".to_owned(), nanos(median), nanos(median), range],
                None => [String::new(), "fdatasync of the disk".to_owned(), nanos(median), nanos(low), nanos(high)],
            };
            table.row(cells);
        }
    }
}

impl Part {
    fn new(plan: &Plan, workload: &Workload, measured: &Measured) -> Self {
        let fdatasync: Vec<f64> = measured.fdatasync.iter().map(|time| time.as_nanos() as f64).collect();
        Self {
            name: workload.name,
            title: workload.title,
            pipeline: match workload.kind {
                Kind::Requests { pipeline, .. } => Some(pipeline),
                Kind::Memory => None,
            },
            appendfsync: workload.durability(plan.durability),
            requests: measured.requests,
            fdatasync_ns: Spread::of(fdatasync),
            figures: FIGURES.iter().map(|figure| (figure.key, figure.compare(measured))).collect(),
        }
    }
}

impl Figure {
    fn compare(&self, measured: &Measured) -> Option<Compared> {
        let spread = |runs: &[Sample]| Spread::of(runs.iter().filter_map(|run| (self.of)(run)).collect());
        let of = |run: &Sample| (self.of)(run).unwrap_or(f64::NAN);
        Some(Compared {
            ours: spread(&measured.ours)?,
            peer: spread(&measured.peer),
            ratio: Ratio::of(&measured.rounds, of, of).ok(),
        })
    }
}

impl Spread {
    /// Of some values; `None` of none.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self { median, low, high })
    }
}

/// A time in nanoseconds, as people read it.
pub fn nanos(value: f64) -> String {
    human::duration(Duration::from_nanos(value.max(0.0) as u64))
}

fn secs(value: f64) -> String {
    nanos(value * 1e9)
}

fn bytes(value: f64) -> String {
    format!("{value:.1} B")
}

#[cfg(test)]
mod tests {
    use common::load::Round;

    use super::*;

    #[test]
    fn the_ratio_is_ours_divided_by_the_peers_and_takes_seven_rounds_of_figures_above_zero() {
        let sample = |throughput: f64| Sample { throughput: Some(throughput), ..Sample::default() };
        let compare = |count: usize, peer: f64| {
            let round = Round { a: [sample(30.0), sample(50.0)], b: [sample(peer), sample(peer)] };
            let (ours, theirs) = (round.a.to_vec(), round.b.to_vec());
            let measured = Measured { ours, peer: theirs, rounds: vec![round; count], ..Measured::default() };
            FIGURES[0].compare(&measured).expect("it was measured")
        };
        let two = Ratio { median: 2.0, low: 2.0, high: 2.0 };
        assert_eq!(compare(MIN_ROUNDS, 20.0).ratio, Some(two));
        assert_eq!(compare(MIN_ROUNDS - 1, 20.0).ratio, None, "too few rounds");
        assert_eq!(compare(MIN_ROUNDS, 0.0).ratio, None, "nothing can be divided by zero");
        assert_eq!(compare(1, 20.0).ours, Spread { median: 40.0, low: 30.0, high: 50.0 });
        assert!(FIGURES[6].compare(&Measured { ours: vec![sample(1.0)], ..Measured::default() }).is_none());
    }

    #[test]
    fn the_median_of_an_even_number_of_runs_lies_between_the_two_in_the_middle() {
        let spread = Spread::of(vec![4.0, 1.0, 3.0, 10.0]).expect("there are values");
        assert_eq!(spread, Spread { median: 3.5, low: 1.0, high: 10.0 });
        assert_eq!(Spread::of(vec![2.0]), Some(Spread { median: 2.0, low: 2.0, high: 2.0 }));
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
