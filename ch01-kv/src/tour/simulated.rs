//! A server without a machine: the state machine that ships, on a simulated disk and a clock that a scene moves by hand.
//!
//! It is the shell's work, done by hand: a request is executed, the batch is committed, and the replies that may leave are
//! counted. The log's syncs are [jobs](crate::storage::jobs) that run when the next batch asks what is done: a sync takes as
//! long as the pause between two requests.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::disk::SimDisk;
use common::net::Peer;
use common::resp::server::{ConnId, Now, Service};
use common::resp::{OwnedRequest, Protocol, Replies};

use super::stage::ANY_PORT;
use crate::engine::durability::Policy;
use crate::protocol::config::Config;
use crate::protocol::service::Kv;
use crate::storage::jobs::{Done, Job, Jobs};
use crate::storage::journal::Journal;
use crate::storage::{LOG_NAME, Report, StorageError};

/// The simulated time between two requests.
pub(super) const STEP: Duration = Duration::from_millis(1);

/// How often the shell calls `tick`, in steps.
const TICK_STEPS: u64 = 100;

/// The wall clock when a machine starts, in milliseconds since 1970: any, but not 0.
const EPOCH_MS: u64 = 1_500_000_000_000;

/// The only connection.
const CONN: ConnId = ConnId { slot: 0, serial: 1 };

/// Where the log is on the simulated disk.
const DIR: &str = "/kv";

/// A server on a simulated disk.
///
/// **Invariants**: `waiting` holds positions in ascending order, each above what is durable.
#[derive(Debug)]
pub(super) struct Machine {
    /// The disk.
    pub(super) disk: SimDisk,
    kv: Kv,
    steps: u64,
    /// What the replies that have not left wait for.
    waiting: VecDeque<u64>,
    /// How many replies have left.
    pub(super) acknowledged: u64,
}

/// The log's jobs, each of which is run when it is asked whether it is done.
#[derive(Debug, Default)]
struct Queue(VecDeque<Job>);

/// The log's path on the simulated disk.
pub(super) fn log_path() -> PathBuf {
    PathBuf::from(DIR).join(LOG_NAME)
}

impl Machine {
    /// A server on what `disk` holds; what recovery found there.
    pub(super) fn start(disk: SimDisk, policy: Policy) -> Result<(Self, Report), StorageError> {
        let config = Config { appendfsync: policy, ..Config::new(ANY_PORT, PathBuf::from(DIR)) };
        let mut kv = Kv::new(config, 1);
        let mut selected = 0;
        let jobs = Box::<Queue>::default();
        let on = Arc::new(disk.clone());
        let (journal, report) =
            Journal::open(on, PathBuf::from(DIR), policy, 1, jobs, &mut |request| kv.replay(&mut selected, request))?;
        kv.journal = Some(journal);
        let mut machine = Self { disk, kv, steps: 0, waiting: VecDeque::new(), acknowledged: 0 };
        let now = machine.now();
        machine.kv.connected(now, CONN, Peer { remote: ANY_PORT, local: ANY_PORT });
        Ok((machine, report))
    }

    /// Executes a request, commits, and lets a step of time pass. The reply's bytes, whether or not it may leave.
    pub(super) fn request(&mut self, args: &[&str]) -> Vec<u8> {
        let now = self.now();
        let request = OwnedRequest::new(args);
        let mut replies = Replies::new(Protocol::Resp2);
        self.kv.batch_began();
        self.kv.call(now, CONN, &request.as_request(), &mut replies);
        self.waiting.push_back(self.kv.position());
        self.kv.batch_done(now);
        if self.steps.is_multiple_of(TICK_STEPS) {
            self.kv.tick(now);
        }
        let durable = self.kv.durable();
        while self.waiting.front().is_some_and(|position| *position <= durable) {
            self.waiting.pop_front();
            self.acknowledged += 1;
        }
        self.steps += 1;
        replies.take()
    }

    /// Whether the key has a value.
    pub(super) fn has(&mut self, key: &str) -> bool {
        self.request(&["GET", key]) != b"$-1\r\n"
    }

    /// How many keys there are.
    pub(super) fn keys(&self) -> usize {
        self.kv.dbs.iter().map(crate::engine::keyspace::Db::len).sum()
    }

    /// How many syncs of the log have returned.
    pub(super) fn syncs(&self) -> u64 {
        self.kv.journal.as_ref().map_or(0, |journal| journal.counters().syncs)
    }

    /// The log's length without padding.
    pub(super) fn log_len(&self) -> u64 {
        self.kv.journal.as_ref().map_or(0, |journal| journal.sizes().0)
    }

    fn now(&self) -> Now {
        let uptime = STEP * u32::try_from(self.steps).unwrap_or(u32::MAX);
        Now { unix_ms: EPOCH_MS + uptime.as_millis() as u64, uptime }
    }
}

impl Jobs for Queue {
    fn submit(&mut self, job: Job) {
        self.0.push_back(job);
    }

    fn done(&mut self) -> Option<Done> {
        self.0.pop_front().map(Job::run)
    }

    fn wait(&mut self) -> Done {
        self.done().expect("there is something to wait for")
    }
}
