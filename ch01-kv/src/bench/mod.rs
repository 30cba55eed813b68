//! The bench: the same load on this server and on a real one, in turns, with what each costs.
//!
//! Scalability is not a label but a question: how does performance change when a load parameter does (DDIA ch. 1,
//! "Describing Load", "Describing Performance")? A number alone does not answer it, since it belongs to the machine and the
//! hour as much as to the server. So `bench --peer redis` runs a real redis-server beside this one, with the same promise
//! of durability, under the same driver, alternately ([`measure`]), and reports the ratio ([`report`], which documents the
//! JSON). `bench timeline` measures the chapter's own load, fan-out on write against fan-out on read ([`timeline`]).
//!
//! The servers' directories are made in `--data DIR`; without it in `target/` of the current directory, or, where there is
//! none, in the directory for temporary files. It should be on a real disk: the table says when it is in memory, and prints
//! what an fdatasync takes beside every figure that depends on it. A run of SETs at pipeline 16 writes logs of about a
//! gigabyte, which are removed at the end of the workload.

pub mod driver;
pub mod load;
pub mod measure;
pub mod process;
pub mod redis_benchmark;
pub mod report;
pub mod systems;
pub mod timeline;
pub mod timeline_report;
pub mod workloads;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use common::cli::{self, Progress, Shutdown};
use common::load::MIN_ROUNDS;
use tokio::runtime::{Builder, Runtime};

use self::driver::Driver;
use self::load::{Load, Operation};
use self::measure::{Plan, Shell};
use self::report::Report;
use self::systems::{Durability, Peer, Setup, System};
use self::timeline_report::TimelineArgs;
use self::workloads::{ALL, MEMORY_KEYS, Workload};
use crate::error::Error;

const EXAMPLES: &str = "Examples:
  cargo run --release -p ch01-kv -- bench                              ours alone, a minute
  cargo run --release -p ch01-kv -- bench --peer redis                 beside a real redis-server, three and a half minutes
  cargo run --release -p ch01-kv -- bench --peer redis --workloads set-always --data /mnt/disk
  cargo run --release -p ch01-kv -- bench timeline                     fan-out on write against fan-out on read";

const TIMELINE_EXAMPLES: &str = "Examples:
  cargo run --release -p ch01-kv -- bench timeline
  cargo run --release -p ch01-kv -- bench timeline --thresholds 12 --seed 2";

/// What `bench` is told.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct BenchArgs {
    #[command(subcommand)]
    verb: Option<BenchVerb>,
    #[command(flatten)]
    requests: RequestsArgs,
}

/// A bench of its own.
#[derive(Debug, Subcommand)]
enum BenchVerb {
    /// The chapter's home timelines: fan-out on write, on read, and the hybrid
    #[command(after_help = TIMELINE_EXAMPLES)]
    Timeline(TimelineArgs),
}

/// Which systems, where, and how the result is printed.
#[derive(Debug, Args)]
pub struct SystemsArgs {
    /// Measure a real one beside it
    #[arg(long, value_name = "NAME")]
    peer: Option<Peer>,
    /// The program of the peer
    #[arg(long, value_name = "PATH", default_value = "redis-server")]
    redis_server: PathBuf,
    /// Where the servers' directories are made: on a real disk [default: target/, or the directory for temporary files]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// When the logs are synced: always, everysec, no, or off for no log at all
    #[arg(long, value_name = "WHEN", default_value = "everysec")]
    appendfsync: Durability,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The load of `bench` itself.
#[derive(Debug, Args)]
struct RequestsArgs {
    #[command(flatten)]
    systems: SystemsArgs,
    /// What to measure, of set, get, set-p16, get-p16, set-always, memory [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    workloads: Vec<Workload>,
    /// What sends the load [default: redis-benchmark where it is installed]
    #[arg(long, value_name = "WHICH")]
    driver: Option<Driver>,
    /// How often A B B A; a ratio takes at least 7
    #[arg(long, value_name = "N", default_value_t = MIN_ROUNDS, value_parser = positive)]
    rounds: usize,
    /// How long each run lasts, about
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    seconds: f64,
    /// How many requests each run sends, instead
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "seconds")]
    requests: Option<u64>,
    /// How many connections send them
    #[arg(long, value_name = "N", default_value = "50")]
    clients: NonZeroUsize,
    /// How many keys there are
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    keys: u64,
    /// How long a value is
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    value_bytes: u32,
    /// With how many keys the memory of one is measured
    #[arg(long, value_name = "N", default_value_t = MEMORY_KEYS, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    memory_keys: u64,
}

/// Runs the bench.
///
/// # Errors
///
/// A server or the driver does not start, a request fails, or it was interrupted.
pub fn run(args: BenchArgs) -> Result<(), Error> {
    match args.verb {
        Some(BenchVerb::Timeline(args)) => timeline_report::run(&args),
        None => run_requests(args.requests),
    }
}

impl SystemsArgs {
    fn setup(&self) -> Setup {
        let parent = self.data.clone().unwrap_or_else(process::default_parent);
        // A server's working directory is its own affair: what it is told must not depend on it.
        Setup { redis_server: self.redis_server.clone(), parent: std::path::absolute(&parent).unwrap_or(parent) }
    }

    fn peer(&self) -> Option<System> {
        self.peer.map(|Peer::Redis| System::Redis)
    }
}

fn run_requests(args: RequestsArgs) -> Result<(), Error> {
    let RequestsArgs { systems, workloads, driver, rounds, seconds, requests, clients, keys, value_bytes, memory_keys } =
        args;
    let workloads = if workloads.is_empty() { ALL.to_vec() } else { workloads };
    let value_bytes = value_bytes as usize;
    let plan = Plan {
        setup: systems.setup(),
        peer: systems.peer(),
        driver: driver.unwrap_or_else(Driver::installed),
        load: Load { operation: Operation::Set, pipeline: 1, clients, keys, value_bytes, requests: 0 },
        durability: systems.appendfsync,
        rounds,
        seconds,
        requests,
        memory_keys,
    };
    let mut shell = shell(plan.runs() * workloads.len() as u64)?;
    let mut measured = Vec::new();
    for workload in workloads {
        measured.push((workload, measure::measure(&workload, &plan, &mut shell)?));
    }
    drop(shell);
    let report = Report::new(&plan, &measured);
    cli::print(if systems.json { json(&report) } else { report.text() })?;
    Ok(())
}

fn shell(runs: u64) -> Result<Shell, Error> {
    let shutdown = Shutdown::on_signals()?;
    Ok(Shell { runtime: runtime()?, shutdown, progress: Progress::new(Some(runs), "measuring") })
}

fn runtime() -> Result<Runtime, Error> {
    Builder::new_current_thread().enable_all().build().map_err(Error::system("start a runtime"))
}

fn json(report: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(report).expect("the report has text keys only")
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse::<NonZeroUsize>().map(usize::from).map_err(|_| "a whole number is meant, 1 or more".into())
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number is meant, for example 1.5")?;
    if (0.01..=600.0).contains(&seconds) { Ok(seconds) } else { Err("between 0.01 and 600 is meant".into()) }
}
