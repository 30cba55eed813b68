//! The comparison: this tree and its peers in turns, a process for each, and the same words for all.
//!
//! A machine changes speed while one measures. A round runs the engines in order and then in the reverse order, so that a steady
//! drift hits all of them alike; a ratio is taken within a pass through all of them, and the median over passes is reported with
//! its range.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;
use common::cli::{self, Look};
use serde::Serialize;

use super::engine::Engine;
use super::measure::{Measured, RunArgs};
use super::memory_group::MemoryGroup;
use super::workloads::Workload;
use super::{BenchArgs, print_json, report};
use crate::db::Db;
use crate::error::Error;

/// How the peers are built.
const BUILD: &str = "(cd ch03-lsm/peers && cargo build --release)";

/// The packages that building them takes, as Debian calls them.
const PACKAGES: &str = "g++ libclang-dev libleveldb-dev";

/// Whom to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// RocksDB, as the crate `rocksdb` bundles it
    Rocksdb,
    /// fjall
    Fjall,
    /// LevelDB, as Debian has it: it compresses with snappy alone
    Leveldb,
    /// All of them
    All,
}

/// One run of all workloads on one engine.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Which pass through all engines, from zero.
    pub pass: usize,
    /// What the workloads came to, in their order.
    pub workloads: Vec<Measured>,
}

/// What a comparison has measured.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The engines: ours first.
    pub engines: Vec<String>,
    /// The workloads, in their order.
    pub workloads: Vec<String>,
    /// Of each engine its runs, one for each pass.
    pub runs: Vec<Vec<Run>>,
    /// What should be equal and is not.
    pub differences: Vec<String>,
}

/// An engine, and what starts it.
#[derive(Debug)]
struct Contender {
    name: &'static str,
    program: PathBuf,
    words: Vec<&'static str>,
}

/// Workloads that one process runs.
#[derive(Debug, PartialEq, Eq)]
struct Segment {
    workloads: Vec<Workload>,
    after: u64,
    is_limited: bool,
}

impl Peer {
    /// What its process calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rocksdb => "rocksdb",
            Self::Fjall => "fjall",
            Self::Leveldb => "leveldb",
            Self::All => "all",
        }
    }
}

/// Runs the comparison, and prints it.
///
/// # Errors
///
/// The peers are not built, one of the engines fails, or engines differ in what they found.
pub fn run(args: &BenchArgs) -> Result<(), Error> {
    let contenders = contenders(args)?;
    let temporary;
    let base = match &args.run.data {
        Some(dir) => dir.clone(),
        None => {
            temporary = tempfile::tempdir().map_err(Error::system("make a temporary directory"))?;
            temporary.path().to_owned()
        }
    };
    let segments = segments(&args.run.workloads, args.memory_limit.is_some());
    let passes = args.rounds.max(1) * 2;
    let mut runs: Vec<Vec<Run>> = contenders.iter().map(|_| Vec::new()).collect();
    for pass in 0..passes {
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        if pass % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let contender = &contenders[index];
            eprintln!("pass {} of {passes}: {}", pass + 1, contender.name);
            let workloads = one_run(contender, &segments, args, &base.join(contender.name))?;
            runs[index].push(Run { pass, workloads });
        }
    }
    let comparison = Comparison {
        engines: contenders.iter().map(|contender| contender.name.to_owned()).collect(),
        workloads: args.run.workloads.iter().map(|workload| workload.name().to_owned()).collect(),
        differences: differences(&args.run.workloads, &contenders, &runs),
        runs,
    };
    if args.json {
        print_json(&comparison)?;
    } else {
        cli::print(report::compared(&comparison, args, Look::stdout()))?;
    }
    if comparison.differences.is_empty() {
        return Ok(());
    }
    Err(Error::Cannot(format!("engines differ in what they found: {}", comparison.differences.join("; "))))
}

fn contenders(args: &BenchArgs) -> Result<Vec<Contender>, Error> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/target/release/lsm-peers");
    let program = args.peers_bin.clone().unwrap_or(built);
    if !program.is_file() {
        return Err(Error::Cannot(format!(
            "the peers are not built: {} is not there. Build them with {BUILD}, which takes some minutes and needs what Debian has \
             in the packages {PACKAGES}; or name their program with --peers-bin",
            program.display()
        )));
    }
    let own = std::env::current_exe().map_err(Error::system("find this program"))?;
    let mut contenders = vec![Contender { name: Db::NAME, program: own, words: vec!["bench", "--json"] }];
    for peer in [Peer::Rocksdb, Peer::Fjall, Peer::Leveldb] {
        if args.peer.contains(&peer) || args.peer.contains(&Peer::All) {
            contenders.push(Contender {
                name: peer.name(),
                program: program.clone(),
                words: vec!["--engine", peer.name()],
            });
        }
    }
    Ok(contenders)
}

/// One process for all; or, if reads are limited, one for those that follow each other and are limited alike.
fn segments(workloads: &[Workload], are_reads_limited: bool) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for (after, &workload) in workloads.iter().enumerate() {
        let is_limited = are_reads_limited && workload.reads();
        match segments.last_mut() {
            Some(last) if last.is_limited == is_limited => last.workloads.push(workload),
            _ => segments.push(Segment { workloads: vec![workload], after: after as u64, is_limited }),
        }
    }
    segments
}

/// Runs all workloads on one engine, from an empty directory, which is gone afterwards.
fn one_run(contender: &Contender, segments: &[Segment], args: &BenchArgs, dir: &Path) -> Result<Vec<Measured>, Error> {
    remove(dir)?;
    std::fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
    let mut measured = Vec::new();
    for segment in segments {
        let group = match args.memory_limit.filter(|_| segment.is_limited) {
            Some(mib) => Some(MemoryGroup::new(mib << 20)?),
            None => None,
        };
        let words = RunArgs {
            workloads: segment.workloads.clone(),
            after: segment.after,
            data: Some(dir.to_owned()),
            memory_group: group.as_ref().map(|group| group.dir().to_owned()),
            ..args.run.clone()
        };
        measured.extend(one_process(contender, &words)?);
        // What one engine has left to be written must not be written in another one's time.
        let synced = std::fs::File::open(dir).and_then(|dir| sync(&dir));
        synced.map_err(Error::io("sync", dir))?;
    }
    remove(dir)?;
    Ok(measured)
}

fn one_process(contender: &Contender, args: &RunArgs) -> Result<Vec<Measured>, Error> {
    let mut command = Command::new(&contender.program);
    command.args(&contender.words).args(args.words()).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().map_err(Error::io("run", &contender.program))?;
    let name = contender.name;
    if !output.status.success() {
        return Err(Error::Cannot(format!(
            "the process of {name} ended with {}; what it said is above",
            output.status
        )));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| Error::Cannot(format!("the process of {name} printed what is no measurement: {error}")))
}

/// In what engines, or two runs of one, differ that should find the same. From where two threads have raced to the next fill, they
/// need not.
fn differences(workloads: &[Workload], contenders: &[Contender], runs: &[Vec<Run>]) -> Vec<String> {
    let mut differences = Vec::new();
    let mut is_determined = true;
    for (index, workload) in workloads.iter().enumerate() {
        is_determined = (is_determined || workload.begins_empty()) && workload.is_deterministic();
        let found = runs.iter().zip(contenders).flat_map(|(runs, contender)| {
            runs.iter().map(move |run| (contender.name, run.workloads[index].found, run.workloads[index].live_bytes))
        });
        let mut found: Vec<_> = found.collect();
        found.sort_unstable();
        found.dedup();
        let is_same = found.iter().all(|(_, count, live)| (count, live) == (&found[0].1, &found[0].2));
        if is_determined && !is_same {
            let list: Vec<String> = found.iter().map(|(name, count, _)| format!("{name} {count}")).collect();
            differences.push(format!("{workload}: {}", list.join(", ")));
        }
    }
    differences
}

fn remove(dir: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", dir)(error)),
        _ => Ok(()),
    }
}

#[cfg(target_os = "linux")]
fn sync(dir: &std::fs::File) -> std::io::Result<()> {
    Ok(rustix::fs::syncfs(dir)?)
}

#[cfg(not(target_os = "linux"))]
fn sync(dir: &std::fs::File) -> std::io::Result<()> {
    dir.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_that_read_have_processes_of_their_own_only_if_they_are_limited() {
        let workloads = [Workload::FillRandom, Workload::Overwrite, Workload::ReadRandom, Workload::FillSeq];
        assert_eq!(segments(&workloads, false).len(), 1);
        let limited = segments(&workloads, true);
        let seen: Vec<_> = limited.iter().map(|one| (one.workloads.len(), one.after, one.is_limited)).collect();
        assert_eq!(seen, [(2, 0, false), (1, 2, true), (1, 3, false)]);
    }
}
