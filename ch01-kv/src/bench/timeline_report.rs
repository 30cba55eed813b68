//! What `bench timeline` says: a table of the strategies, and how their costs move with the hybrid's threshold.
//!
//! The JSON of `bench timeline --json` is one object:
//!
//! ```text
//! {
//!   "users": 1000, "mean_followers": 19.3, "most_followers": 760, "posts": 500, "reads": 32500, "page": 50,
//!   "appendfsync": "everysec", "debug_build": false,
//!   "runs": [{
//!     "server": "ch01-kv" or "redis-server", "version": "0.1.0",
//!     "strategy": "on read", "on write" or "hybrid", "celebrity_followers": null or the hybrid's threshold,
//!     "posts": SUMMARY, "reads": SUMMARY, "commands_per_post": 2.0, "commands_per_read": 19.1,
//!     "cpu_s": 0.71 or null,     the server's processor time for all posts and reads
//!     "elapsed_s": 0.9
//!   }]
//! }
//! SUMMARY: {"count", "throughput", "mean_ns", "p50_ns", "p95_ns", "p99_ns", "p999_ns", "max_ns"}
//! ```
//!
//! Each strategy runs once on each system, so that no ratio is given here.

use std::num::NonZeroUsize;
use std::rc::Rc;

use clap::Args;
use common::cli::chart::{Axis, Lines, Scale, Series, lines};
use common::cli::{self, Look, Table, human};
use common::load::Summary;
use serde::Serialize;

use super::SystemsArgs;
use super::report::nanos;
use super::systems::{Durability, Server, System};
use super::timeline::{Cost, PAGE, Scenario, run as run_strategy};
use crate::engine::timeline::Strategy;
use crate::error::Error;

/// Reads for each post, as DDIA ch. 1 has them of Twitter: 300 thousand to 4.6 thousand.
const READS_PER_POST: u64 = 65;

/// Rows of a chart.
const CHART_HEIGHT: usize = 12;

/// What `bench timeline` is told.
#[derive(Debug, Args)]
pub struct TimelineArgs {
    #[command(flatten)]
    systems: SystemsArgs,
    /// How many users there are
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    users: u32,
    /// How many others a user follows on average
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    mean_follows: u32,
    /// How many posts are written
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    posts: u64,
    /// How many home timelines are read [default: 65 for each post, as at Twitter]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    reads: Option<u64>,
    /// How many users do so at once
    #[arg(long, value_name = "N", default_value = "10")]
    clients: NonZeroUsize,
    /// How many thresholds of the hybrid are tried
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=50))]
    thresholds: u32,
    /// What the graph and the posts are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Serialize)]
struct Report {
    users: u32,
    mean_followers: f64,
    most_followers: usize,
    posts: u64,
    reads: u64,
    page: usize,
    appendfsync: Durability,
    debug_build: bool,
    runs: Vec<Run>,
}

#[derive(Debug, Serialize)]
struct Run {
    server: &'static str,
    version: String,
    #[serde(rename = "strategy")]
    name: &'static str,
    celebrity_followers: Option<usize>,
    #[serde(skip)]
    label: String,
    posts: Summary,
    reads: Summary,
    commands_per_post: f64,
    commands_per_read: f64,
    cpu_s: Option<f64>,
    elapsed_s: f64,
}

/// Measures the strategies and prints the result.
///
/// # Errors
///
/// A server does not start or refuses, or it was interrupted.
pub(super) fn run(args: &TimelineArgs) -> Result<(), Error> {
    let TimelineArgs { systems, users, mean_follows, posts, clients, thresholds, seed, .. } = args;
    let reads = args.reads.unwrap_or(posts * READS_PER_POST);
    let scenario = Rc::new(Scenario::draw(*users, *mean_follows, *posts, reads, *clients, *seed));
    let hybrids = scenario.thresholds(*thresholds).into_iter();
    let hybrids = hybrids.map(|celebrity_followers| Strategy::Hybrid { celebrity_followers });
    let strategies: Vec<Strategy> = [Strategy::OnRead, Strategy::OnWrite].into_iter().chain(hybrids).collect();
    let all: Vec<System> = std::iter::once(System::Ours).chain(systems.peer()).collect();
    let setup = systems.setup();

    let mut shell = super::shell((strategies.len() * all.len()) as u64)?;
    let mut runs = Vec::new();
    for strategy in strategies {
        for system in &all {
            let measured = shell.wait(async {
                let server = Server::start(*system, systems.appendfsync, &setup).await?;
                let cost = run_strategy(&scenario, strategy, &server).await?;
                Ok(Run::new(*system, server.version(), strategy, &cost))
            })?;
            runs.push(measured);
            shell.progress.inc(1);
        }
    }
    drop(shell);
    let report = Report {
        users: *users,
        mean_followers: scenario.mean_followers(),
        most_followers: scenario.most_followers(),
        posts: *posts,
        reads,
        page: PAGE,
        appendfsync: systems.appendfsync,
        debug_build: cfg!(debug_assertions),
        runs,
    };
    cli::print(if systems.json { super::json(&report) } else { report.text() })?;
    Ok(())
}

impl Report {
    fn text(&self) -> String {
        let mut text = format!(
            "{} users with {:.0} followers on average, and {} at most; {} posts, {} reads of {} posts each; appendfsync {}\n",
            human::grouped(u64::from(self.users)),
            self.mean_followers,
            human::grouped(self.most_followers as u64),
            human::grouped(self.posts),
            human::grouped(self.reads),
            self.page,
            self.appendfsync.name(),
        );
        for server in self.servers() {
            text.push_str(&format!(
                "\n{server}: response times, commands per post and per read, processor time in all\n{}\n",
                self.table(server)
            ));
        }
        let look = Look::stdout();
        let ours = System::Ours.name();
        let posts = self.points(ours, |run| Some(run.posts.p99.as_secs_f64() * 1e9));
        let reads = self.points(ours, |run| Some(run.reads.p99.as_secs_f64() * 1e9));
        let series = [Series { name: "a post", points: &posts }, Series { name: "a read", points: &reads }];
        text.push_str(&format!(
            "\n{}\n",
            chart(&series, look, "99th percentile of the response time", Scale::Log, nanos)
        ));
        let cpu: Vec<(&str, Vec<(f64, f64)>)> =
            self.servers().into_iter().map(|server| (server, self.points(server, |run| run.cpu_s))).collect();
        let series: Vec<Series<'_>> = cpu.iter().map(|(name, points)| Series { name, points }).collect();
        let label = "processor time of the server, all posts and reads";
        text.push_str(&format!("\n{}", chart(&series, look, label, Scale::Linear, secs)));
        if self.debug_build {
            text.push_str("\nThis is a debug build: its figures say nothing. Use cargo run --release.");
        }
        text
    }

    /// The servers, in the order in which they first ran.
    fn servers(&self) -> Vec<&'static str> {
        let mut servers: Vec<&'static str> = Vec::new();
        for run in &self.runs {
            if !servers.contains(&run.server) {
                servers.push(run.server);
            }
        }
        servers
    }

    fn table(&self, server: &str) -> Table {
        let mut table = Table::new(["fan-out", "post: p50", "p99", "read: p50", "p99", "per post", "per read", "CPU"]);
        for run in self.runs.iter().filter(|run| run.server == server) {
            let times = [run.posts.p50, run.posts.p99, run.reads.p50, run.reads.p99];
            let mut cells = vec![run.label.clone()];
            cells.extend(times.map(human::duration));
            cells.extend([run.commands_per_post, run.commands_per_read].map(|commands| format!("{commands:.1}")));
            cells.push(run.cpu_s.map_or_else(|| "n/a".to_owned(), secs));
            table.row(cells);
        }
        table
    }

    /// A figure over the hybrid's thresholds.
    fn points(&self, server: &str, figure: impl Fn(&Run) -> Option<f64>) -> Vec<(f64, f64)> {
        let runs = self.runs.iter().filter(|run| run.server == server);
        runs.filter_map(|run| Some((run.celebrity_followers? as f64, figure(run)?))).collect()
    }
}

impl Run {
    fn new(system: System, version: &str, strategy: Strategy, cost: &Cost) -> Self {
        let (name, celebrity_followers) = match strategy {
            Strategy::OnRead => ("on read", None),
            Strategy::OnWrite => ("on write", None),
            Strategy::Hybrid { celebrity_followers } => ("hybrid", Some(celebrity_followers)),
        };
        Self {
            server: system.name(),
            version: version.to_owned(),
            name,
            celebrity_followers,
            label: strategy.to_string(),
            posts: cost.posts,
            reads: cost.reads,
            commands_per_post: cost.commands_per_post,
            commands_per_read: cost.commands_per_read,
            cpu_s: cost.cpu.map(|cpu| cpu.as_secs_f64()),
            elapsed_s: cost.elapsed.as_secs_f64(),
        }
    }
}

fn chart(series: &[Series<'_>], look: Look, label: &str, scale: Scale, format: fn(f64) -> String) -> String {
    let x = Axis { label: "followers make a celebrity", scale: Scale::Log, format: human::count };
    lines(&Lines { series, width: look.width, height: CHART_HEIGHT, x, y: Axis { label, scale, format } })
}

fn secs(value: f64) -> String {
    nanos(value * 1e9)
}
