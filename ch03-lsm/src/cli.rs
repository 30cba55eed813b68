//! The command line: the verbs, and what each of them is told.

use clap::{Parser, Subcommand};
use common::cli::{self, Verbosity};

use crate::bench::{self, BenchArgs};
use crate::compaction_sim::{self, CompactionSimArgs};
use crate::dump::{self, DumpArgs};
use crate::export::{self, ExportArgs};
use crate::shell::{self, ShellArgs};
use crate::tour::{self, TourVerb};
use crate::verify::{self, VerifyArgs};

/// An LSM storage engine, and every step that led to it: chapter 3 of Designing Data-Intensive Applications, running.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    tour: TourVerb,
    #[command(flatten)]
    verbosity: Verbosity,
}

const EXAMPLES: &str = "Examples:
  cargo run -p ch03-lsm                                        the tour of the chapter, in a temporary directory
  cargo run -p ch03-lsm -- --list                              its scenes
  cargo run -p ch03-lsm -- shell --data /tmp/lsm               put, get, scan, compact, and look at the levels
  cargo run -p ch03-lsm -- dump /tmp/lsm/000004.sst            a file, field by field
  cargo run -p ch03-lsm -- verify /tmp/lsm                     reads everything, and checks it
  cargo run -p ch03-lsm -- compaction-sim                      levels over time, without a disk
  cargo run --release -p ch03-lsm -- bench --workloads fillrandom,readrandom --num 1000000";

/// What to do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the chapter: what happens when no verb is given
    Tour(TourVerb),
    /// Read and write a tree by hand, or by a script
    Shell(ShellArgs),
    /// Measure, with the names and meanings of db_bench
    Bench(BenchArgs),
    /// Explain a file, field by field
    Dump(DumpArgs),
    /// Read everything in a directory, and check it
    Verify(VerifyArgs),
    /// Write a tree as a database of another engine
    Export(ExportArgs),
    /// Show what a compaction strategy does to the levels over time, without a disk
    CompactionSim(CompactionSimArgs),
}

/// Runs the program.
///
/// # Errors
///
/// Whatever the verb could not do.
pub fn main() -> Result<(), anyhow::Error> {
    let Cli { verb, tour, verbosity } = Cli::parse();
    cli::init_logs(verbosity)?;
    match verb {
        Some(Verb::Shell(args)) => Ok(shell::run(&args)?),
        Some(Verb::Bench(args)) => Ok(bench::run(&args)?),
        Some(Verb::Dump(args)) => Ok(dump::run(&args)?),
        Some(Verb::Verify(args)) => Ok(verify::run(&args)?),
        Some(Verb::Export(args)) => Ok(export::run(&args)?),
        Some(Verb::CompactionSim(args)) => Ok(compaction_sim::run(&args)?),
        Some(Verb::Tour(args)) => Ok(tour::run(&args)?),
        None => Ok(tour::run(&tour)?),
    }
}
