//! The command line: the verbs, and what each of them is told.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use common::cli::{self, Shutdown, Verbosity};

use crate::bench::{self, BenchArgs};
use crate::engine::durability::Policy as SyncPolicy;
use crate::engine::eviction::Policy as EvictionPolicy;
use crate::error::Error;
use crate::protocol::config::{Config, parse_memory};
use crate::server::{self, Options};
use crate::shell::{self, ShellArgs};
use crate::tour::{self, TourVerb};

/// A Redis-compatible key-value store: chapter 1 of Designing Data-Intensive Applications, running.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    tour: TourVerb,
    #[command(flatten)]
    verbosity: Verbosity,
}

const EXAMPLES: &str = "Examples:
  cargo run -p ch01-kv                                     the tour of the chapter, on free ports, in a temporary directory
  cargo run -p ch01-kv -- --list                           its scenes
  cargo run -p ch01-kv -- --quiz                           the tour, asking what you expect first
  cargo run -p ch01-kv -- shell                            a small client
  cargo run --release -p ch01-kv -- serve --data /tmp/kv   the server, on 127.0.0.1:6379; talk to it with redis-cli
  cargo run --release -p ch01-kv -- bench --peer redis     beside a real redis-server";

const TOUR_EXAMPLES: &str = "Examples:
  cargo run -p ch01-kv -- tour --scene power   one scene, by its name
  cargo run -p ch01-kv -- tour --step --quiz   Enter for the next scene; guess before it is measured";

const SERVE_EXAMPLES: &str = "Examples:
  cargo run --release -p ch01-kv -- serve --data /tmp/kv
  cargo run --release -p ch01-kv -- serve --data /tmp/kv --appendfsync always --admin 127.0.0.1:6380
  cargo run --release -p ch01-kv -- serve --data /tmp/kv --maxmemory 100mb --maxmemory-policy allkeys-lru
  KV_REQUIREPASS=secret cargo run --release -p ch01-kv -- serve --data /tmp/kv --listen 0.0.0.0:6379";

/// What to do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the chapter: what happens when no verb is given
    #[command(after_help = TOUR_EXAMPLES)]
    Tour(TourVerb),
    /// Serve Redis clients
    Serve(ServeArgs),
    /// Measure this server, alone or beside a real one
    Bench(BenchArgs),
    /// Talk to a server, as redis-cli does
    Shell(ShellArgs),
}

/// How the server is started. The rest is set with CONFIG SET.
#[derive(Debug, Args)]
#[command(after_help = SERVE_EXAMPLES)]
struct ServeArgs {
    /// The directory of the log; created if it is not there
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where clients are served; port 0 picks a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6379", value_parser = cli::listen_addr)]
    listen: SocketAddr,
    /// Where /metrics, /health and /state are served: on loopback alone, for they ask for no password
    #[arg(long, value_name = "HOST:PORT", value_parser = cli::listen_addr)]
    admin: Option<SocketAddr>,
    /// When the log is synced: always, everysec or no
    #[arg(long, value_name = "WHEN", default_value = "everysec")]
    appendfsync: SyncPolicy,
    /// Whether to keep a log at all: yes or no
    #[arg(long, value_name = "YES|NO", default_value = "yes", value_parser = yes_or_no, action = clap::ArgAction::Set)]
    appendonly: bool,
    /// How much data at most, for example 100mb; 0 is no limit
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = memory)]
    maxmemory: u64,
    /// What to do about reaching that: noeviction, allkeys-lru or volatile-ttl
    #[arg(long, value_name = "POLICY", default_value = "noeviction")]
    maxmemory_policy: EvictionPolicy,
    /// The password that clients have to give; needed to listen on anything but loopback
    #[arg(long, value_name = "PASSWORD", env = "KV_REQUIREPASS", hide_env_values = true, default_value = "")]
    requirepass: String,
    /// How many clients at once
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    maxclients: usize,
}

/// Runs the program.
///
/// # Errors
///
/// Whatever the verb could not do.
pub fn main() -> Result<(), anyhow::Error> {
    let Cli { verb, tour, verbosity } = Cli::parse();
    // Not clap's own rule, which would refuse `-v serve` as well.
    if verb.is_some() && tour != TourVerb::default() {
        let message = "the flags of the tour stand behind `tour`, and no other verb has them";
        Cli::command().error(ErrorKind::ArgumentConflict, message).exit();
    }
    cli::init_logs(verbosity)?;
    match verb {
        Some(Verb::Serve(args)) => Ok(serve(args)?),
        Some(Verb::Bench(args)) => Ok(bench::run(args)?),
        Some(Verb::Shell(args)) => Ok(shell::run(args)?),
        Some(Verb::Tour(args)) => Ok(tour::run(&args)?),
        None => Ok(tour::run(&tour)?),
    }
}

fn serve(args: ServeArgs) -> Result<(), Error> {
    let ServeArgs {
        data,
        listen,
        admin,
        appendfsync,
        appendonly,
        maxmemory,
        maxmemory_policy,
        requirepass,
        maxclients,
    } = args;
    cli::check_bind(listen, !requirepass.is_empty())?;
    if let Some(admin) = admin {
        cli::check_bind_open(admin)?;
    }
    let config = Config {
        appendfsync,
        appendonly,
        maxmemory,
        maxmemory_policy,
        requirepass,
        maxclients,
        ..Config::new(listen, data)
    };
    let shutdown = Shutdown::on_signals()?;
    server::run(Options { admin, ..Options::new(config) }, shutdown, |ready, _| {
        Ok(cli::ready_line(ready.listen, ready.admin)?)
    })
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("yes or no is meant".into()),
    }
}

fn memory(text: &str) -> Result<u64, String> {
    parse_memory(text).ok_or_else(|| "a number of bytes is meant, for example 1048576, 1mb or 2gb".into())
}
