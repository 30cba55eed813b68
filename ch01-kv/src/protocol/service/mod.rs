//! The server as a state machine: requests, time and finished disk work in; replies, and what else is to be done, out.
//!
//! It opens no socket and reads no clock. The shell ([`crate::server`]) runs it on real ones; the tests run the very same
//! machine on a simulated disk and a clock of their own, and cut its power between any two operations.
//!
//! A request comes in at [`call`](Service::call) and passes through the modules of this folder: it is admitted (`admission`:
//! does the command exist, may this client, is there a disk; `memory`: is there room), executed on the selected database
//! (`execution`), recorded as it is to be replayed (`journal`), and followed up (`waits`): whoever watches or waits for what
//! it changed is served. What others are shown of it is `monitor`'s.

mod admission;
mod execution;
mod journal;
mod memory;
mod monitor;
mod waits;

use std::collections::VecDeque;
use std::time::Duration;

use common::net::{Limits, Peer};
use common::resp::server::{ConnId, Effect, Flow, Holding, Now, Service};
use common::resp::table::{Flags, Table};
use common::resp::{Limits as RequestLimits, OwnedRequest, Replies, Request};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use slab::Slab;

use super::commands;
use super::config::Config;
use super::context::{Changes, Handler, Random};
use super::pubsub::PubSub;
use super::session::{ReplyMode, Session};
use super::slowlog::SlowLog;
use super::stats::Stats;
use super::waiting::ByKey;
use crate::engine::eviction::{LruClock, Pool};
use crate::engine::keyspace::Db;
use crate::engine::types::UnixMillis;
use crate::storage::journal::Journal;

/// The server's state.
#[derive(Debug)]
pub struct Kv {
    /// The command table.
    pub table: Table<Handler>,
    /// The parameters.
    pub config: Config,
    /// The databases.
    pub dbs: Vec<Db>,
    /// The log; `None` when the server keeps none.
    pub journal: Option<Journal>,
    /// The connections' states.
    pub sessions: Slab<Session>,
    /// The subscriptions.
    pub pubsub: PubSub,
    /// The slow log.
    pub slowlog: SlowLog,
    /// What has been counted.
    pub stats: Stats,
    /// Where random numbers come from.
    pub random: Random,
    /// What the shell is to do.
    pub effects: VecDeque<Effect>,
    /// Until when clients' commands wait (`CLIENT PAUSE`), and whether only those that write do.
    pub paused: Option<(Duration, bool)>,
    /// Those whose requests wait for that.
    pub(super) held_back: Vec<(ConnId, OwnedRequest)>,
    watchers: ByKey,
    waiters: ByKey,
    pools: Vec<Pool>,
    changes: Changes,
    /// Whether a transaction is being executed, and whether the log has been told that it begins.
    executing: Executing,
    /// What the replies since the last batch wait for.
    waits_for: u64,
    rewrite_scheduled_at_bytes: u64,
}

/// Whether a transaction is being executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Executing {
    Single,
    /// The log has not been told.
    Transaction,
    /// It has.
    RecordedTransaction,
}

impl Kv {
    /// A server with empty databases. `seed` is random in life and chosen in tests.
    pub fn new(config: Config, seed: u64) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let dbs: Vec<Db> = (0..config.databases).map(|_| Db::new(random.next_u64())).collect();
        Self {
            table: Table::new(commands::FAMILIES),
            pools: dbs.iter().map(|_| Pool::new()).collect(),
            dbs,
            config,
            journal: None,
            sessions: Slab::new(),
            pubsub: PubSub::default(),
            slowlog: SlowLog::default(),
            stats: Stats::default(),
            random: Random(random),
            effects: VecDeque::new(),
            paused: None,
            held_back: Vec::new(),
            watchers: ByKey::default(),
            waiters: ByKey::default(),
            changes: Changes::default(),
            executing: Executing::Single,
            waits_for: 0,
            rewrite_scheduled_at_bytes: 0,
        }
    }

    /// The connection's state.
    ///
    /// # Panics
    ///
    /// When it has gone: the shell says so before anything else.
    pub fn session(&mut self, conn: ConnId) -> &mut Session {
        let session = self.sessions.get_mut(conn.slot).filter(|session| session.conn == conn);
        session.expect("a connection has a session as long as it lasts")
    }

    /// The state of a connection that may have gone.
    pub fn find_session(&mut self, conn: ConnId) -> Option<&mut Session> {
        self.sessions.get_mut(conn.slot).filter(|session| session.conn == conn)
    }

    /// Puts parameters into effect that something else depends on.
    pub(super) fn apply_config(&mut self, now: Now) {
        if let Some(journal) = &mut self.journal {
            journal.set_policy(now.uptime, self.config.appendfsync);
        }
    }

    /// Everything that is due at any time, in bounded portions: deadlines, timeouts, snapshots, rewrites.
    fn housekeeping(&mut self, now: Now) {
        let unix = UnixMillis(now.unix_ms);
        for index in 0..self.dbs.len() {
            if self.dbs[index].has_due(unix) {
                self.dbs[index].set_clock(LruClock::at(unix));
                for key in self.dbs[index].expire_cycle(unix) {
                    self.record_expiry(index, &key);
                }
            }
        }
        self.follow_up(now);
        self.end_waits(now);
        if self.paused.is_some_and(|(until, _)| until <= now.uptime) {
            self.unpause(now);
        }
        self.stats.sample(now.uptime);
        if self.config.maxmemory > 0 && self.check_disk(Flags::WRITE).is_ok() {
            let made = self.make_room(now, Flags::NONE);
            debug_assert!(made.is_ok(), "only a command can be refused");
        }
        self.stats.peak_bytes = self.stats.peak_bytes.max(self.used_bytes());
        self.schedule_rewrite();
    }
}

impl Service for Kv {
    fn connected(&mut self, now: Now, conn: ConnId, peer: Peer) {
        let authenticated = self.config.requirepass.is_empty();
        // Slots are the shell's; its table and this one give and take them together.
        let slot = self.sessions.insert(Session::new(conn, peer, now.uptime, authenticated));
        assert_eq!(slot, conn.slot, "the shell numbers connections as a slab does");
        self.stats.connections += 1;
    }

    fn disconnected(&mut self, _now: Now, conn: ConnId) {
        self.unwatch_all(conn);
        commands::pubsub::leave_all(self, conn);
        if let Some(waiting) = self.session(conn).waiting.take() {
            self.forget_wait(conn, &waiting);
        }
        let session = self.sessions.remove(conn.slot);
        self.held_back.retain(|(other, _)| *other != conn);
        self.stats.monitors -= usize::from(session.monitors);
    }

    fn refused(&mut self) {
        self.stats.refused_connections += 1;
    }

    fn received(&mut self, bytes: usize) {
        self.stats.received_bytes += bytes as u64;
    }

    fn sent(&mut self, bytes: usize) {
        self.stats.sent_bytes += bytes as u64;
    }

    fn call(&mut self, now: Now, conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Flow {
        self.stats.commands += 1;
        let before = replies.len();
        let admitted = self.admit(conn, request).and_then(|command| self.check_durability(command));
        let flow = match admitted {
            Ok(command) if self.paused.is_some() && self.is_paused(now, conn, command) => {
                // The shell keeps what follows; this one request is kept here.
                return commands::client::hold_back(self, conn, request);
            }
            Ok(command) => self.call_admitted(now, conn, command, request, replies),
            Err(error) => self.refuse(conn, request, replies, error),
        };
        let session = &mut self.sessions[conn.slot];
        if session.reply_mode != ReplyMode::On {
            replies.truncate(before);
            session.reply_mode = match session.reply_mode {
                ReplyMode::SkipNext => ReplyMode::Skip,
                ReplyMode::Skip => ReplyMode::On,
                mode => mode,
            };
        }
        flow
    }

    fn took(&mut self, now: Now, conn: ConnId, request: &Request<'_>, duration: Duration) {
        self.log_if_slow(now, conn, request, duration);
    }

    fn batch_done(&mut self, now: Now) {
        if let Some(journal) = &mut self.journal {
            journal.advance(now.uptime);
            self.heed_journal();
        }
    }

    fn tick(&mut self, now: Now) {
        self.housekeeping(now);
        if let Some(journal) = &mut self.journal {
            // A wait that ends says that there was nothing to be had: also that is a reply to a read.
            self.waits_for = self.waits_for.max(journal.read_waits_for().0);
            journal.tick(now.uptime);
            self.heed_journal();
            self.abandon_the_hopeless();
        }
    }

    fn batch_began(&mut self) {
        self.waits_for = 0;
    }

    fn position(&self) -> u64 {
        self.waits_for
    }

    fn durable(&self) -> u64 {
        self.journal.as_ref().map_or(u64::MAX, |journal| journal.releasable().0)
    }

    fn effects(&mut self) -> &mut VecDeque<Effect> {
        &mut self.effects
    }

    fn limits(&self) -> Limits {
        Limits {
            max_connections: self.config.maxclients,
            idle_timeout: (!self.config.timeout.is_zero()).then_some(self.config.timeout),
            max_request_bytes: self.config.max_request_bytes,
            max_unsent_bytes: self.config.max_unsent_bytes,
            max_stall: self.config.max_stall,
            ..Limits::default()
        }
    }

    fn request_limits(&self, conn: ConnId) -> RequestLimits {
        let authenticated = self.sessions.get(conn.slot).is_some_and(|session| session.authenticated);
        if !authenticated {
            return RequestLimits::unauthenticated();
        }
        RequestLimits {
            max_bulk_bytes: self.config.max_bulk_bytes,
            max_request_bytes: self.config.max_request_bytes,
            ..RequestLimits::default()
        }
    }

    fn max_unsent_bytes(&self, conn: ConnId) -> usize {
        let subscribes = self.sessions.get(conn.slot).is_some_and(|session| session.subscriptions() > 0);
        if subscribes { self.config.max_unsent_pubsub_bytes } else { self.config.max_unsent_bytes }
    }

    fn listens(&self, conn: ConnId) -> bool {
        self.sessions.get(conn.slot).is_some_and(|session| session.subscriptions() > 0 || session.monitors)
    }

    fn holds(&mut self, conn: ConnId, holding: Holding) {
        self.session(conn).holding = holding;
    }

    fn stopping(&mut self, now: Now) {
        self.end_snapshot();
        if let Some(journal) = &mut self.journal {
            journal.stop(now.uptime);
            self.heed_journal();
        }
    }
}
