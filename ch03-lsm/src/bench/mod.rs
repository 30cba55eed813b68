//! The bench: LevelDB's and RocksDB's own workloads, by their names.
//!
//! `fill...` begins an empty tree; the others use what the last one filled. A fill is reported twice: as acknowledged, when the
//! last write has returned, and as settled, when everything has been compacted: a tree that answers fast by leaving the work for
//! later has not done it (DDIA ch. 3, "Performance optimizations"; ch. 1, "Describing Performance").

pub mod workloads;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use common::cli::{self, Look, Progress, Table, human};
use common::disk::{Disk, RealDisk};
use common::load::process::fdatasync_probe;
use common::load::{Latencies, Recorder};

use self::workloads::{Context, Workload};
use crate::db::{Db, Options};
use crate::error::Error;
use crate::storage::table::BlockCache;

/// What `bench` is told.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    /// Which, in order, with commas between them
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "fillseq,readseq,fillrandom,overwrite,readrandom,readmissing,seekrandom,readseq,readreverse"
    )]
    pub workloads: Vec<Workload>,
    /// How many keys
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub num: u64,
    /// How many reads; as many as keys when it is not told
    #[arg(long, value_name = "N")]
    pub reads: Option<u64>,
    /// How long values are, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    pub value_size: usize,
    /// How large a memtable grows, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    pub memtable: usize,
    /// How many blocks are kept, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 32)]
    pub cache: usize,
    /// Where the tree is made; a temporary directory when it is not told, on which nothing is left
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Print JSON: an array of objects, times in nanoseconds
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "Examples:
  cargo run --release -p ch03-lsm -- bench --num 1000000
  cargo run --release -p ch03-lsm -- bench --workloads fillrandom,readrandom,ycsb-a --num 5000000 --data /mnt/disk";

/// Begins the random numbers: db_bench's.
const SEED: u64 = 301;

/// What a workload came to.
#[derive(Debug)]
pub struct Measured {
    /// Which.
    pub workload: Workload,
    /// How many operations.
    pub operations: u64,
    /// Until the last one had returned.
    pub elapsed: Duration,
    /// Until everything was compacted, where something was written.
    pub settled: Option<Duration>,
    /// What each of them took.
    pub latencies: Latencies,
    /// Reads that found something.
    pub found: u64,
}

/// Runs the workloads, and prints what they took.
///
/// # Errors
///
/// The tree fails, or a workload has nothing to read.
pub fn run(args: &BenchArgs) -> Result<(), Error> {
    if args.num == 0 {
        return Err(Error::Cannot("at least one key is meant: --num 1".to_owned()));
    }
    let temporary;
    let dir = match &args.data {
        Some(dir) => dir.join("bench"),
        None => {
            temporary = tempfile::tempdir().map_err(Error::system("make a temporary directory"))?;
            temporary.path().join("bench")
        }
    };
    let mut bench = Bench { disk: Arc::new(RealDisk::new()), dir, args: args.clone(), db: None, runs: 0 };
    let mut measured = Vec::new();
    for &workload in &args.workloads {
        measured.push(bench.measure(workload)?);
    }
    let kept = bench.db.take();
    let stats = kept.as_ref().map(|db| crate::shell::stats(db, Look::stdout()));
    if let Some(db) = kept {
        db.close()?;
    }
    if args.json {
        return Ok(cli::print(json(&measured))?);
    }
    let mut table =
        Table::new(["workload", "operations", "µs each", "settled", "a second", "p50", "p99", "p99.9", "found"]);
    for one in &measured {
        let micros = |elapsed: Duration| format!("{:.3}", elapsed.as_secs_f64() * 1e6 / one.operations.max(1) as f64);
        table.row([
            one.workload.to_string(),
            human::grouped(one.operations),
            micros(one.elapsed),
            one.settled.map_or_else(String::new, micros),
            human::count(one.operations as f64 / one.elapsed.as_secs_f64()),
            human::duration(one.latencies.quantile(0.5)),
            human::duration(one.latencies.quantile(0.99)),
            human::duration(one.latencies.quantile(0.999)),
            if one.workload.reads() { human::grouped(one.found) } else { String::new() },
        ]);
    }
    cli::print(table.render(Look::stdout()))?;
    if let Some(stats) = stats {
        cli::print(stats)?;
    }
    let probe = fdatasync_probe(bench.dir.parent().expect("it is in a directory"), 50);
    let probe = probe.map_err(Error::system("measure an fdatasync"))?;
    Ok(cli::print(format!("an fdatasync takes {} here", human::duration(probe)))?)
}

struct Bench {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    args: BenchArgs,
    db: Option<Db>,
    /// How many workloads were run: each draws other keys.
    runs: u64,
}

impl Bench {
    fn measure(&mut self, workload: Workload) -> Result<Measured, Error> {
        if workload.begins_empty() || self.db.is_none() {
            if let Some(db) = self.db.take() {
                db.close()?;
            }
            if self.dir.exists() {
                std::fs::remove_dir_all(&self.dir).map_err(Error::io("remove", &self.dir))?;
            }
            let cache: Arc<dyn BlockCache> = Arc::new(crate::db::Blocks::new(self.args.cache << 20));
            let options =
                Options { memtable_bytes: self.args.memtable << 20, cache, salt: rand::random(), ..Options::default() };
            self.db = Some(Db::open(&self.disk, &self.dir, options)?.0);
        }
        let db = self.db.as_ref().expect("it was opened");
        let operations = workload.operations(self.args.num, self.args.reads.unwrap_or(self.args.num));
        let mut progress = Progress::new(Some(operations), workload.name());
        let mut latencies = Latencies::new();
        self.runs += 1;
        let mut context = Context::new(db, self.args.num, self.args.value_size, SEED + self.runs)?;
        let began = Instant::now();
        let mut before = began;
        let found = workload.run(&mut context, operations, &mut |done| {
            let now = Instant::now();
            latencies.record((now - before).as_nanos() as u64);
            before = now;
            if done % 1024 == 0 {
                progress.set(done);
            }
        })?;
        let elapsed = began.elapsed();
        let settled = if workload.writes() {
            db.flush()?;
            db.settle()?;
            Some(began.elapsed())
        } else {
            None
        };
        Ok(Measured { workload, operations, elapsed, settled, latencies, found })
    }
}

fn json(measured: &[Measured]) -> String {
    let rows: Vec<_> = measured
        .iter()
        .map(|one| {
            serde_json::json!({
                "workload": one.workload.name(),
                "operations": one.operations,
                "elapsed_ns": one.elapsed.as_nanos() as u64,
                "settled_ns": one.settled.map(|settled| settled.as_nanos() as u64),
                "found": one.found,
                "latencies": one.latencies.summary(one.elapsed),
            })
        })
        .collect();
    serde_json::Value::from(rows).to_string()
}
