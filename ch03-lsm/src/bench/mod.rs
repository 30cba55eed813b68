//! The bench: LevelDB's and RocksDB's own workloads, by their names, over this tree and over its peers.
//!
//! `fill...` begins an empty tree; the others use what is there. What writes is reported twice: as acknowledged, when the
//! last write has returned, and as settled, when everything has been compacted: a tree that answers fast by leaving the work for
//! later has not done it (DDIA ch. 3, "Performance optimizations"; ch. 1, "Describing Performance").
//!
//! Peers run the very same workloads, from `ch03-lsm/peers`, a crate outside of the workspace: whoever builds the chapter needs
//! no C++ compiler. Each engine has a process of its own in its turn, so that processor, memory and I/O are its own.

pub mod compare;
pub mod engine;
pub mod live;
pub mod measure;
pub mod memory_group;
pub mod meter;
mod ours;
mod report;
mod road;
pub mod stopwatch;
pub mod workloads;

use std::path::PathBuf;

use clap::Args;
use common::cli::{self, Look};
use common::load::process::fdatasync_probe;

use self::compare::Peer;
use self::measure::RunArgs;
use crate::db::Db;
use crate::error::Error;

/// What `bench` is told.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    /// What each engine is to do.
    #[command(flatten)]
    pub run: RunArgs,
    /// Which of the chapter's stores; those before the tree know no order, and take no workload that seeks
    #[arg(long, value_name = "STORE", value_enum, default_value_t = Of::Lsm, conflicts_with = "peer")]
    pub store: Of,
    /// Compare with this engine too; may be given several times
    #[arg(long, value_name = "ENGINE")]
    pub peer: Vec<Peer>,
    /// How often engines are compared: each time they run in order and then in the reverse order
    #[arg(long, value_name = "N", default_value_t = 1, requires = "peer")]
    pub rounds: usize,
    /// The program of the peers; the one that `cargo build --release` makes in ch03-lsm/peers when it is not told
    #[arg(long, value_name = "PATH", env = "LSM_PEERS")]
    pub peers_bin: Option<PathBuf>,
    /// Let workloads that read have at most this much memory, page cache included, in MiB (needs memory cgroups)
    #[arg(long, value_name = "MIB", requires = "peer")]
    pub memory_limit: Option<u64>,
    /// Print JSON: an array of objects, times in nanoseconds
    #[arg(long)]
    pub json: bool,
}

/// The chapter's stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Of {
    /// Two functions over a log.
    TwoFunction,
    /// A hash index over a log.
    HashIndex,
    /// The tree.
    Lsm,
}

const EXAMPLES: &str = "Examples:
  cargo run --release -p ch03-lsm -- bench --num 1000000
  cargo run --release -p ch03-lsm -- bench --workloads fillrandom,readrandom,ycsb-a --num 5000000 --data /mnt/disk
  cargo run --release -p ch03-lsm -- bench --store hash-index --workloads fillrandom,readrandom,readmissing,overwrite
  cargo run --release -p ch03-lsm -- bench --peer rocksdb --peer fjall --rounds 3 --data /mnt/disk
  cargo run --release -p ch03-lsm -- bench --peer all --workloads fillrandom,readrandom --memory-limit 128";

/// How many times an fdatasync is tried, to say what one takes.
const PROBES: usize = 50;

/// Runs the workloads, and prints what they took.
///
/// # Errors
///
/// An engine fails, or what it is told makes no sense.
pub fn run(args: &BenchArgs) -> Result<(), Error> {
    if !args.peer.is_empty() {
        return compare::run(args);
    }
    let (measured, picture) = match args.store {
        Of::TwoFunction => measure::run::<road::TwoFunctions>(&args.run)?,
        Of::HashIndex => measure::run::<road::Hashed>(&args.run)?,
        Of::Lsm => measure::run::<Db>(&args.run)?,
    };
    if args.json {
        return print_json(&measured);
    }
    cli::print(report::alone(&measured).render(Look::stdout()))?;
    if let Some(picture) = picture {
        cli::print(picture)?;
    }
    let dir = args.run.data.clone().unwrap_or_else(std::env::temp_dir);
    let probe = fdatasync_probe(&dir, PROBES).map_err(Error::system("measure an fdatasync"))?;
    Ok(cli::print(format!("an fdatasync takes {} here", cli::human::duration(probe)))?)
}

/// Prints what it is given as JSON.
///
/// # Errors
///
/// It cannot be printed.
pub fn print_json(what: &impl serde::Serialize) -> Result<(), Error> {
    let text = serde_json::to_string(what).map_err(|error| Error::Cannot(format!("cannot write JSON: {error}")))?;
    Ok(cli::print(text)?)
}
