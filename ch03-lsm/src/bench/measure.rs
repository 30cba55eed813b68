//! One engine, measured: the same code for each, in a process of its own, so that processor, memory and I/O are its own.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use common::load::Latencies;
use serde::{Deserialize, Serialize};

use super::engine::{Engine, Settings};
use super::live::LiveKeys;
use super::meter::{Memory, Reading, directory_bytes, forget_peak};
use super::stopwatch::Stopwatch;
use super::workloads::{Context, KEY_BYTES, Workload};
use super::{memory_group, workloads};
use crate::error::Error;

/// Begins the random numbers: db_bench's.
const SEED: u64 = 301;

/// How often the directory is looked at until files that nobody needs any more are gone, and how long it is waited for them.
const GONE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(5));

/// What an engine is to do: the same words for each.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
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
    /// Where the data are made, in a folder of that name that a fill begins anew; a temporary directory when it is not told, on
    /// which nothing is left
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// How many workloads another process has run on the same data: each draws other keys
    #[arg(long, value_name = "N", default_value_t = 0, hide = true)]
    pub after: u64,
    /// The memory cgroup to join, before which what the page cache has of the data is given up
    #[arg(long, value_name = "DIR", hide = true)]
    pub memory_group: Option<PathBuf>,
}

/// What a workload came to. Times are in nanoseconds; what a machine does not tell is missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// On which engine.
    pub engine: String,
    /// Which.
    pub workload: String,
    /// How many operations.
    pub operations: u64,
    /// Until the last one had returned.
    pub elapsed_ns: u64,
    /// Until everything was compacted, where something was written.
    pub settled_ns: Option<u64>,
    /// Reads that found something.
    pub found: u64,
    /// What operations took.
    pub latencies: Percentiles,
    /// Processor time of all threads until the last operation had returned.
    pub cpu_ns: u64,
    /// And until everything was compacted.
    pub cpu_settled_ns: Option<u64>,
    /// The bytes of the keys and values that were put, and of the keys that were deleted.
    pub user_bytes: u64,
    /// The bytes given to the system to write, until the last operation had returned.
    pub written_bytes: Option<u64>,
    /// And until everything was compacted.
    pub written_settled_bytes: Option<u64>,
    /// The bytes that the disk had to write for all of that.
    pub stored_bytes: Option<u64>,
    /// The bytes that the system was asked to read, until the last operation had returned; not those of memory maps.
    pub read_bytes: Option<u64>,
    /// The bytes that the disk had to read for that.
    pub fetched_bytes: Option<u64>,
    /// What the directory takes after that.
    pub directory_bytes: u64,
    /// The bytes of the keys that are there after that, and of a value for each; missing where nothing is known of what was there.
    pub live_bytes: Option<u64>,
    /// The most memory that was resident meanwhile.
    pub peak_rss_bytes: Option<u64>,
    /// The memory that is resident after that and no file's.
    pub anonymous_bytes: Option<u64>,
}

/// What operations took, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half of them took at most this.
    pub p50_ns: u64,
    /// 99 of 100.
    pub p99_ns: u64,
    /// 999 of 1000.
    pub p999_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

impl RunArgs {
    /// What the engine is told.
    pub fn settings(&self) -> Settings {
        Settings::new(self.memtable << 20, self.cache << 20)
    }

    /// These words again, for another process.
    pub fn words(&self) -> Vec<String> {
        let names: Vec<&str> = self.workloads.iter().map(|workload| workload.name()).collect();
        let mut words = vec!["--workloads".to_owned(), names.join(",")];
        let mut number = |name: &str, value: u64| words.extend([name.to_owned(), value.to_string()]);
        number("--num", self.num);
        number("--value-size", self.value_size as u64);
        number("--memtable", self.memtable as u64);
        number("--cache", self.cache as u64);
        number("--after", self.after);
        if let Some(reads) = self.reads {
            number("--reads", reads);
        }
        for (name, path) in [("--data", &self.data), ("--memory-group", &self.memory_group)] {
            words.extend(path.iter().flat_map(|path| [name.to_owned(), path.display().to_string()]));
        }
        words
    }

    fn check(&self) -> Result<(), Error> {
        let longest = workloads::VALUES_BYTES;
        if self.num == 0 {
            return Err(Error::Usage("at least one key is meant: --num 1".to_owned()));
        }
        if self.reads == Some(0) {
            return Err(Error::Usage("at least one read is meant: --reads 1".to_owned()));
        }
        if self.value_size > longest {
            return Err(Error::Usage(format!("values of at most {longest} bytes are meant: --value-size {longest}")));
        }
        Ok(())
    }
}

impl Percentiles {
    fn of(latencies: &Latencies) -> Self {
        let nanos = |quantile| latencies.quantile(quantile).as_nanos() as u64;
        Self { p50_ns: nanos(0.5), p99_ns: nanos(0.99), p999_ns: nanos(0.999), max_ns: nanos(1.0) }
    }
}

/// Runs the workloads on an engine, and ends it. Returns what they came to, and the engine's picture after the last.
///
/// # Errors
///
/// The engine fails, or what it is told makes no sense.
pub fn run<E: Engine>(args: &RunArgs) -> Result<(Vec<Measured>, Option<String>), Error> {
    args.check()?;
    let temporary;
    let base = match &args.data {
        Some(dir) => dir,
        None => {
            temporary = tempfile::tempdir().map_err(Error::system("make a temporary directory"))?;
            temporary.path()
        }
    };
    std::fs::create_dir_all(base).map_err(Error::io("create", base))?;
    let dir = base.join("bench");
    if let Some(group) = &args.memory_group {
        memory_group::evict(&dir).map_err(Error::io("give up the page cache of", &dir))?;
        memory_group::join(group)?;
    }
    let known = base.join("bench.keys");
    let live =
        if dir.exists() { LiveKeys::load(&known).map_err(Error::io("read", &known))? } else { LiveKeys::default() };
    let mut bench = Bench::<E> { dir, args, settings: args.settings(), engine: None, live, runs: args.after };
    let measured = args.workloads.iter().map(|workload| bench.measure(*workload)).collect::<Result<Vec<_>, _>>()?;
    bench.live.store(&known).map_err(Error::io("write", &known))?;
    let Some(engine) = bench.engine else { return Ok((measured, None)) };
    let picture = engine.picture();
    engine.close()?;
    Ok((measured, picture))
}

struct Bench<'a, E> {
    dir: PathBuf,
    args: &'a RunArgs,
    settings: Settings,
    engine: Option<E>,
    live: LiveKeys,
    runs: u64,
}

impl<E: Engine> Bench<'_, E> {
    fn engine(&mut self, workload: Workload) -> Result<E, Error> {
        let engine = self.engine.take();
        if !workload.begins_empty() {
            return engine.map_or_else(|| E::open(&self.dir, &self.settings), Ok);
        }
        if let Some(engine) = engine {
            engine.close()?;
        }
        if self.dir.exists() {
            std::fs::remove_dir_all(&self.dir).map_err(Error::io("remove", &self.dir))?;
        }
        self.live = LiveKeys::default();
        E::open(&self.dir, &self.settings)
    }

    fn measure(&mut self, workload: Workload) -> Result<Measured, Error> {
        let engine = self.engine(workload)?;
        let RunArgs { num, value_size, reads, .. } = *self.args;
        let operations = workload.operations(num, reads.unwrap_or(num));
        self.runs += 1;
        let mut context = Context::new(&engine, num, value_size, SEED + self.runs, std::mem::take(&mut self.live))?;
        let mut watch = Stopwatch::new(operations, workload.timed_every(), workload.name());
        forget_peak();
        let before = Reading::now();
        let began = watch.start();
        let found = workload.run(&mut context, operations, &mut watch)?;
        let elapsed = began.elapsed();
        let acknowledged = Reading::now();
        let settled = if workload.changes() { Some((engine.settle()?, Reading::now())) } else { None };
        let memory = Memory::now();
        let (live, user_bytes) = (context.live, context.user_bytes);
        let live_bytes = live.count() * (KEY_BYTES + value_size) as u64;
        self.live = live;
        self.engine = Some(engine);
        let nanos = |duration: Duration| duration.as_nanos() as u64;
        let since = |before: Option<u64>, after: Option<u64>| Some(after?.saturating_sub(before?));
        let last = settled.map_or(acknowledged, |(_, reading)| reading);
        Ok(Measured {
            engine: E::NAME.to_owned(),
            workload: workload.name().to_owned(),
            operations,
            elapsed_ns: nanos(elapsed),
            settled_ns: settled.map(|(at, _)| nanos(at.saturating_duration_since(began)).max(nanos(elapsed))),
            found,
            latencies: Percentiles::of(&watch.into_latencies()),
            cpu_ns: nanos(acknowledged.cpu.saturating_sub(before.cpu)),
            cpu_settled_ns: settled.map(|(_, reading)| nanos(reading.cpu.saturating_sub(before.cpu))),
            user_bytes,
            written_bytes: since(before.written_bytes, acknowledged.written_bytes),
            written_settled_bytes: settled.and(since(before.written_bytes, last.written_bytes)),
            stored_bytes: since(before.stored_bytes, last.stored_bytes),
            read_bytes: since(before.read_bytes, acknowledged.read_bytes),
            fetched_bytes: since(before.fetched_bytes, acknowledged.fetched_bytes),
            directory_bytes: settled_directory_bytes(&self.dir)?,
            live_bytes: (live_bytes > 0).then_some(live_bytes),
            peak_rss_bytes: memory.peak_bytes,
            anonymous_bytes: memory.anonymous_bytes,
        })
    }
}

/// What the directory takes once it takes the same twice: engines delete what they need no more a little later.
fn settled_directory_bytes(dir: &Path) -> Result<u64, Error> {
    let began = Instant::now();
    let look = || directory_bytes(dir).map_err(Error::io("list", dir));
    let (between, longest) = GONE;
    let mut before = look()?;
    loop {
        std::thread::sleep(between);
        let now = look()?;
        if now == before || began.elapsed() > longest {
            return Ok(now);
        }
        before = now;
    }
}
