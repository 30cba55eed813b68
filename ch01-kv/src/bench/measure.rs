//! The measurement: one workload on one or two systems, in turns, with what the processes and the disk cost beside it.
//!
//! Every workload has servers of its own, so that no log or heap of an earlier one weighs on it. While one system is
//! measured the other stays up without a load. The rounds are A B B A ([`common::load::abba`]): a drift of the machine hits
//! both.

use std::time::Duration;

use common::cli::{Progress, Shutdown};
use common::load::process::fdatasync_probe;
use common::load::{Round, abba};
use tokio::runtime::Runtime;

use super::driver::{Driver, fill};
use super::load::Load;
use super::systems::{Durability, Server, Setup, System};
use super::workloads::{Kind, MEMORY_VALUE_BYTES, Workload};
use crate::error::Error;

/// How many small appends are synced before a round: enough for a median, and over in a tenth of a second as a rule.
const PROBES: usize = 15;

/// How long the run is that tells how many requests a measured run needs: it is the warm-up as well.
const CALIBRATION: Duration = Duration::from_millis(200);

/// How many pipelines each client sends in the very first run, whose only purpose is to size the calibration.
const FIRST_PIPELINES: u64 = 20;

/// By how much a measured run is made longer than asked: the speed varies.
const MARGIN: f64 = 1.05;

/// How long memory must stay the same to count as settled: a server moves its keys to a greater table bit by bit.
const SETTLE_POLL: Duration = Duration::from_millis(100);

/// How often at most that is waited for.
const SETTLE_POLLS: usize = 50;

/// What one run measured; what it did not is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sample {
    /// Requests a second.
    pub throughput: Option<f64>,
    /// Percentiles of the response time in nanoseconds: 50, 95, 99 and 99.9.
    pub percentiles_ns: Option<[f64; 4]>,
    /// The server's processor time for a million requests, in seconds.
    pub cpu_s_per_million: Option<f64>,
    /// The server's resident memory for a key, in bytes.
    pub rss_bytes_per_key: Option<f64>,
}

/// What the runs of a workload measured.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Measured {
    /// Ours, in the order of the runs.
    pub ours: Vec<Sample>,
    /// The peer's; none without a peer.
    pub peer: Vec<Sample>,
    /// Both in rounds; none without a peer.
    pub rounds: Vec<Round<Sample, Sample>>,
    /// How many requests each run sent, or how many keys it filled in.
    pub requests: u64,
    /// What an fdatasync took before each round; none where nothing durable was measured.
    pub fdatasync: Vec<Duration>,
    /// The peer's version.
    pub peer_version: Option<String>,
}

/// The parameters that all workloads share.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How servers are started.
    pub setup: Setup,
    /// The system to compare with.
    pub peer: Option<System>,
    /// What sends the load.
    pub driver: Driver,
    /// The load, whose operation, pipeline and requests are the workload's.
    pub load: Load,
    /// Under which durability.
    pub durability: Durability,
    /// How many rounds.
    pub rounds: usize,
    /// How long a run lasts at least.
    pub seconds: f64,
    /// How many requests a run sends; `None`: as many as it takes.
    pub requests: Option<u64>,
    /// With how many keys the memory of one is measured.
    pub memory_keys: u64,
}

/// The shell of a measurement: what runs it, what stops it, and who watches.
#[derive(Debug)]
pub struct Shell {
    /// What the drivers run on.
    pub runtime: Runtime,
    /// The wish to stop.
    pub shutdown: Shutdown,
    /// How far it is, in runs.
    pub progress: Progress,
}

/// A workload under way, shared by the turns of both systems.
struct Turns<'a> {
    shell: &'a mut Shell,
    plan: &'a Plan,
    load: Load,
    fdatasync: Option<Vec<Duration>>,
    /// Ours and the peer's.
    servers: Vec<(System, Server)>,
    runs: usize,
}

/// The measurement of memory under way, shared by the turns of both systems.
struct Fills<'a> {
    shell: &'a mut Shell,
    plan: &'a Plan,
    peer_version: Option<String>,
}

impl Plan {
    /// How many runs a workload takes.
    pub fn runs(&self) -> u64 {
        self.rounds as u64 * if self.peer.is_some() { 4 } else { 1 }
    }

    fn systems(&self) -> impl Iterator<Item = System> {
        std::iter::once(System::Ours).chain(self.peer)
    }
}

/// Measures a workload.
///
/// # Errors
///
/// A server does not start, a request fails, or a shutdown was requested.
pub fn measure(workload: &Workload, plan: &Plan, shell: &mut Shell) -> Result<Measured, Error> {
    match workload.kind {
        Kind::Requests { operation, pipeline, .. } => {
            let durability = workload.durability(plan.durability);
            measure_requests(Load { operation, pipeline, ..plan.load }, durability, plan, shell)
        }
        Kind::Memory => measure_memory(plan, shell),
    }
}

fn measure_requests(load: Load, durability: Durability, plan: &Plan, shell: &mut Shell) -> Result<Measured, Error> {
    let mut servers = Vec::new();
    for system in plan.systems() {
        let server = shell.wait(Server::start(system, durability, &plan.setup))?;
        shell.wait(fill(server.address(), load.keys, load.value_bytes))?;
        servers.push((system, server));
    }
    let requests = match plan.requests {
        Some(requests) => requests,
        None => requests_for(plan, load, &servers, shell)?,
    };
    let peer_version = servers.get(1).map(|(_, server)| server.version().to_owned());
    let logs = matches!(durability, Durability::Everysec | Durability::Always);
    let fdatasync = logs.then(Vec::new);
    let mut turns = Turns { shell, plan, load: Load { requests, ..load }, fdatasync, servers, runs: 0 };
    let measured = in_turns(&mut turns, plan, Turns::run)?;
    Ok(Measured { requests, fdatasync: turns.fdatasync.unwrap_or_default(), peer_version, ..measured })
}

fn measure_memory(plan: &Plan, shell: &mut Shell) -> Result<Measured, Error> {
    let mut fills = Fills { shell, plan, peer_version: None };
    let measured = in_turns(&mut fills, plan, Fills::run)?;
    Ok(Measured { requests: plan.memory_keys, peer_version: fills.peer_version, ..measured })
}

/// Runs the rounds: A B B A with a peer, A alone without.
fn in_turns<C>(
    context: &mut C,
    plan: &Plan,
    run: impl Fn(&mut C, System) -> Result<Sample, Error>,
) -> Result<Measured, Error> {
    let ours = |context: &mut C| run(context, System::Ours);
    let Some(peer) = plan.peer else {
        let samples: Result<Vec<Sample>, Error> = (0..plan.rounds).map(|_| ours(context)).collect();
        return Ok(Measured { ours: samples?, ..Measured::default() });
    };
    let rounds = abba(plan.rounds, context, ours, |context| run(context, peer))?;
    let ours = rounds.iter().flat_map(|round| round.a).collect();
    let peer = rounds.iter().flat_map(|round| round.b).collect();
    Ok(Measured { ours, peer, rounds, ..Measured::default() })
}

impl Turns<'_> {
    /// A measured run on one of the servers.
    fn run(&mut self, system: System) -> Result<Sample, Error> {
        let (_, server) = self.servers.iter().find(|(of, _)| *of == system).expect("every system has a server");
        let runs_per_round = if self.servers.len() > 1 { 4 } else { 1 };
        if let Some(times) = &mut self.fdatasync
            && self.runs.is_multiple_of(runs_per_round)
        {
            times.push(fdatasync_probe(server.directory(), PROBES).map_err(Error::system("sync a small file"))?);
        }
        self.runs += 1;
        let before = server.usage();
        let seen = self.shell.wait(self.plan.driver.drive(self.load, server.address()))?;
        let after = server.usage();
        self.shell.progress.inc(1);
        let cpu = before.zip(after).map(|(before, after)| after.cpu.saturating_sub(before.cpu).as_secs_f64());
        Ok(Sample {
            throughput: Some(seen.throughput),
            percentiles_ns: Some([seen.p50_ns, seen.p95_ns, seen.p99_ns, seen.p999_ns]),
            cpu_s_per_million: cpu.map(|secs| secs * 1e6 / self.load.requests as f64),
            rss_bytes_per_key: None,
        })
    }
}

impl Fills<'_> {
    /// Fills a fresh server with keys: memory that was freed does not all go back to the system.
    fn run(&mut self, system: System) -> Result<Sample, Error> {
        let Self { shell, plan, peer_version } = self;
        let server = shell.wait(Server::start(system, Durability::Off, &plan.setup))?;
        let before = shell.wait(settled_rss(&server))?;
        shell.wait(fill(server.address(), plan.memory_keys, MEMORY_VALUE_BYTES))?;
        let after = shell.wait(settled_rss(&server))?;
        shell.progress.inc(1);
        if system != System::Ours {
            *peer_version = Some(server.version().to_owned());
        }
        let per_key = |(before, after): (f64, f64)| (after - before) / plan.memory_keys as f64;
        Ok(Sample { rss_bytes_per_key: before.zip(after).map(per_key), ..Sample::default() })
    }
}

impl Shell {
    /// Runs a future to its end, or drops it, and with it all that it has started, when a shutdown is requested.
    ///
    /// # Errors
    ///
    /// The future's, or that the shutdown came first.
    pub fn wait<T>(&self, future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let interrupted =
            || Error::Cannot("interrupted: a measurement that is not complete says nothing, and none is shown".into());
        let result = self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.shutdown.requested() => Err(interrupted()),
                result = future => result,
            }
        });
        // Ctrl-C ends the servers as well: that a connection broke then is not the news.
        if result.is_err() && self.shutdown.is_requested() { Err(interrupted()) } else { result }
    }
}

/// How many requests make a run last as long as it should on the faster of the servers; a multiple of what all clients have
/// under way at once, so that all of them end together.
fn requests_for(plan: &Plan, load: Load, servers: &[(System, Server)], shell: &Shell) -> Result<u64, Error> {
    let wave = load.clients.get() as u64 * load.pipeline;
    let round_up = |requests: f64| (requests as u64).div_ceil(wave).max(1) * wave;
    let mut most = wave;
    for (_, server) in servers {
        let mut requests = wave * FIRST_PIPELINES;
        for length in [CALIBRATION, Duration::from_secs_f64(plan.seconds * MARGIN)] {
            let seen = shell.wait(plan.driver.drive(Load { requests, ..load }, server.address()))?;
            requests = round_up(seen.throughput * length.as_secs_f64());
        }
        most = most.max(requests);
    }
    Ok(most)
}

/// The resident memory once it has stopped changing, in bytes.
async fn settled_rss(server: &Server) -> Result<Option<f64>, Error> {
    let rss = || server.usage().map(|usage| usage.rss_bytes as f64);
    let mut last = rss();
    for _ in 0..SETTLE_POLLS {
        tokio::time::sleep(SETTLE_POLL).await;
        let now = rss();
        if now == last {
            break;
        }
        last = now;
    }
    Ok(last)
}
