//! The engines that the chapter's tree is compared with, under the very workloads of its own bench: RocksDB (as the crate `rocksdb`
//! bundles it), fjall, and LevelDB (as the system has it, over its C interface).
//!
//! It is no part of the workspace: it builds C++, which takes a quarter of an hour on two cores, and needs what Debian has in the
//! packages `g++`, `libclang-dev` (for the crate's bindings) and `libleveldb-dev`. Build it in its own folder, where
//! `.cargo/config.toml` has it built for this machine's processor, as RocksDB's own Makefile does:
//!
//! ```text
//! (cd ch03-lsm/peers && cargo build --release)
//! cargo run --release -p ch03-lsm -- bench --peer all
//! ```
//!
//! `--no-default-features --features fjall` leaves the C++ out. The second command starts this program once for each engine;
//! started by hand, it runs one engine and prints what it measured, as `bench --json` does.
//!
//! **What is equal for all**: keys, values and random numbers; the sizes of the cache and of memtables, and how many of those may
//! wait; two background threads; ten bits of bloom filter a key; what begins a compaction and what slows writers down, where that
//! can be told; the allocator (mimalloc, C++ included: with glibc's, RocksDB would be the slower for it).
//!
//! **What is not**: LevelDB has one background thread, snappy instead of LZ4, fixed limits for its levels, and reads through memory
//! maps. It does not verify the checksums of blocks that it reads, unless it is told; the others always do.

use std::process::ExitCode;

use ch03_lsm::bench::engine::Engine;
use ch03_lsm::bench::measure::{self, RunArgs};
use ch03_lsm::bench::print_json;
use ch03_lsm::error::Error;
use clap::{Parser, ValueEnum};

#[cfg(feature = "fjall")]
mod over_fjall;
#[cfg(feature = "leveldb")]
mod over_leveldb;
#[cfg(feature = "rocksdb")]
mod over_rocksdb;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Run the workloads of ch03-lsm's bench on another engine, and print what they came to as JSON.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Which
    #[arg(long)]
    engine: Name,
    #[command(flatten)]
    run: RunArgs,
}

/// The engines that this program was built with.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Name {
    #[cfg(feature = "rocksdb")]
    Rocksdb,
    #[cfg(feature = "fjall")]
    Fjall,
    #[cfg(feature = "leveldb")]
    Leveldb,
}

fn run<E: Engine>(args: &RunArgs) -> Result<(), Error> {
    print_json(&measure::run::<E>(args)?.0)
}

fn main() -> ExitCode {
    let main = || {
        let Cli { engine, run: args } = Cli::parse();
        match engine {
            #[cfg(feature = "rocksdb")]
            Name::Rocksdb => run::<over_rocksdb::RocksDb>(&args)?,
            #[cfg(feature = "fjall")]
            Name::Fjall => run::<over_fjall::Fjall>(&args)?,
            #[cfg(feature = "leveldb")]
            Name::Leveldb => run::<over_leveldb::LevelDb>(&args)?,
        }
        Ok::<(), anyhow::Error>(())
    };
    common::cli::run(main, |error| error.downcast_ref::<Error>().map(Error::exit))
}
