//! The server as a state machine: requests, time and finished disk work in; replies, and what else is to be done, out.
//!
//! It opens no socket and reads no clock. The shell ([`crate::server`]) runs it on real ones; the tests run the very same
//! machine on a simulated disk and a clock of their own, and cut its power between any two operations.
//!
//! A request passes through here in the order of the functions below: it is **admitted** (does the command exist, may this
//! client, is there memory, is there a disk), **executed** on the selected database, **recorded** in the journal as it
//! is to be replayed, and **followed up**: whoever watches or waits for what it changed is served.

use std::collections::VecDeque;
use std::time::Duration;

use common::net::{Limits, Peer};
use common::resp::server::{ConnId, Effect, Flow, Now, Service};
use common::resp::table::{Flags, Table};
use common::resp::{Limits as RequestLimits, OwnedRequest, Protocol, Replies, Request};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use slab::Slab;

use super::commands;
use super::config::Config;
use super::context::{Changes, Command, Context, Handler, Random};
use super::error::CommandError;
use super::pubsub::PubSub;
use super::session::{ReplyMode, Session, Transaction, Waiting};
use super::slowlog::SlowLog;
use super::stats::Stats;
use super::waiting::ByKey;
use crate::engine::durability::{Fate, Reason};
use crate::engine::eviction::{self, Decision, LruClock, Policy, Pool};
use crate::engine::keyspace::Db;
use crate::engine::types::UnixMillis;
use crate::storage::dump::Dump;
use crate::storage::journal::{Journal, Notice, why_refused};

/// How many keys at most are evicted for one command: it is refused when that did not make room. A limit that was lowered
/// by much is reached over many commands, none of which stops the server for long.
const MAX_EVICTIONS: usize = 256;

/// How many entries a step of a snapshot saves: some milliseconds' work, between two batches of requests.
const SNAPSHOT_STEP: usize = 2_000;

/// A connection that says this is a browser that was sent here by a page, and no client.
const HTTP_WORDS: [&str; 2] = ["post", "host:"];

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

    /// Executes a command of the log again. Nothing is recorded, and no reply is kept.
    ///
    /// # Errors
    ///
    /// When it is no command that a log can hold, or it fails, which it did not when it was recorded.
    pub fn replay(&mut self, selected: &mut usize, request: &Request<'_>) -> Result<(), String> {
        let name = String::from_utf8_lossy(request.name()).into_owned();
        let command =
            self.table.find(request.name()).ok_or_else(|| format!("'{name}' is no command of this server"))?;
        if !command.takes(request.len()) {
            return Err(CommandError::arity(command.name).to_string());
        }
        match command.handler {
            Handler::Data(handler) => {
                let mut replies = Replies::new(Protocol::Resp2);
                let mut context = Context {
                    // A deadline that has passed since is none while the log is loaded: what follows may take it back.
                    now: UnixMillis(0),
                    db: &mut self.dbs[*selected],
                    replies: &mut replies,
                    changes: &mut self.changes,
                    random: &mut self.random,
                    may_block: false,
                    block: None,
                };
                let result = handler(&mut context, request);
                self.changes.clear();
                result.map_err(|error| format!("'{name}' failed: {error}"))
            }
            Handler::Server(_) => commands::databases::replay(self, selected, command.name, request),
        }
    }

    /// Everything that is due at any time, in bounded portions: deadlines, timeouts, snapshots, rewrites.
    fn housekeeping(&mut self, now: Now) {
        let unix = UnixMillis(now.unix_ms);
        for index in 0..self.dbs.len() {
            if self.dbs[index].has_due(unix) {
                self.dbs[index].set_clock(LruClock::at(unix));
                for key in self.dbs[index].expire_cycle(unix) {
                    self.stats.expired_keys += 1;
                    self.record_removal(index, &key);
                }
            }
        }
        self.follow_up(now);
        self.end_waits(now);
        if self.paused.is_some_and(|(until, _)| until <= now.uptime) {
            self.unpause(now);
        }
        self.stats.sample(now.uptime);
        self.schedule_rewrite();
    }

    /// Executes one command for a connection; what goes wrong is its reply.
    fn execute(
        &mut self,
        now: Now,
        conn: ConnId,
        command: &'static Command,
        request: &Request<'_>,
        replies: &mut Replies,
    ) -> Flow {
        let before = replies.len();
        let result = match command.handler {
            Handler::Data(handler) => {
                let db = self.session(conn).db;
                let may_block = self.executing == Executing::Single;
                self.execute_data(now, db, command, handler, request, replies, may_block).map(|block| match block {
                    None => Flow::Continue,
                    Some(block) => {
                        self.begin_wait(
                            now,
                            conn,
                            Waiting {
                                command,
                                request: request.to_owned(),
                                db,
                                deadline: block.timeout.map(|timeout| now.uptime + timeout),
                                block,
                            },
                        );
                        Flow::Block
                    }
                })
            }
            Handler::Server(handler) => handler(self, now, conn, request, replies),
        };
        self.follow_up(now);
        result.unwrap_or_else(|error| {
            replies.truncate(before);
            self.reply_error(replies, &error);
            Flow::Continue
        })
    }

    /// Executes a command on a database, and records what it changed.
    #[allow(clippy::too_many_arguments, reason = "the parts of one request, which nothing else bundles")]
    fn execute_data(
        &mut self,
        now: Now,
        db: usize,
        command: &'static Command,
        handler: super::context::DataHandler,
        request: &Request<'_>,
        replies: &mut Replies,
        may_block: bool,
    ) -> Result<Option<super::context::Block>, CommandError> {
        let unix = UnixMillis(now.unix_ms);
        self.dbs[db].set_clock(LruClock::at(unix));
        if self.dbs[db].has_due(unix) {
            for position in command.keys.positions(request) {
                let key = request.arg(position);
                if self.dbs[db].expire_if_due(key, unix) {
                    self.stats.expired_keys += 1;
                    self.record_removal(db, key);
                }
            }
        }
        let mut context = Context {
            now: unix,
            db: &mut self.dbs[db],
            replies,
            changes: &mut self.changes,
            random: &mut self.random,
            may_block,
            block: None,
        };
        let result = handler(&mut context, request);
        let block = context.block.take();
        if self.changes.any() {
            self.record(db, request);
        }
        result.map(|()| block)
    }

    /// Records what the last command changed.
    pub(super) fn record(&mut self, db: usize, request: &Request<'_>) {
        self.stats.changes += self.changes.count();
        if let Some(journal) = &mut self.journal {
            let begins = self.executing == Executing::Transaction;
            if begins {
                self.executing = Executing::RecordedTransaction;
            }
            let changes = &self.changes;
            journal.record(db, |log| {
                if begins {
                    common::resp::encode_args(log, [&b"MULTI"[..]]);
                }
                if changes.instead().is_empty() {
                    request.encode_into(log);
                }
                for instead in changes.instead() {
                    instead.as_request().encode_into(log);
                }
            });
            self.waits_for = journal.position().0;
        }
        self.changes.clear();
    }

    /// Records a change by a command that is no data command.
    pub(super) fn record_server_change(&mut self, db: usize, request: &Request<'_>) {
        self.changes.changed(1);
        self.record(db, request);
    }

    /// Records that the server itself has removed a key.
    fn record_removal(&mut self, db: usize, key: &[u8]) {
        if let Some(journal) = &mut self.journal {
            journal.record(db, |log| common::resp::encode_args(log, [&b"DEL"[..], key]));
            self.waits_for = journal.position().0;
        }
    }

    /// Executes what a transaction has queued.
    pub(super) fn execute_transaction(
        &mut self,
        now: Now,
        conn: ConnId,
        transaction: &Transaction,
        replies: &mut Replies,
    ) {
        replies.array(transaction.queued.len());
        self.executing = Executing::Transaction;
        for (command, request) in &transaction.queued {
            let request = request.as_request();
            let fit = self.make_room(now, command).and_then(|()| self.check_disk(command));
            if let Err(refusal) = fit.and_then(|()| self.check_durability(command)) {
                self.reply_error(replies, &refusal);
                continue;
            }
            self.execute(now, conn, command, &request, replies);
        }
        if self.executing == Executing::RecordedTransaction
            && let Some(journal) = &mut self.journal
        {
            let db = self.sessions[conn.slot].db;
            journal.record(db, |log| common::resp::encode_args(log, [&b"EXEC"[..]]));
            self.waits_for = journal.position().0;
        }
        self.executing = Executing::Single;
        self.follow_up(now);
    }

    /// Serves whoever watches or waits for what has changed.
    fn follow_up(&mut self, now: Now) {
        // Within a transaction nobody may see the middle of it.
        if self.executing != Executing::Single {
            return;
        }
        while let Some(db) = self.dbs.iter().position(Db::has_changed) {
            for key in self.dbs[db].take_changed() {
                let key = (db, key);
                for conn in self.watchers.of(&key) {
                    self.session(conn).watch_broken = true;
                }
                for conn in self.waiters.of(&key) {
                    self.retry(now, conn);
                }
            }
        }
    }

    /// Runs a waiting request again.
    fn retry(&mut self, now: Now, conn: ConnId) {
        let session = self.session(conn);
        let Some(waiting) = session.waiting.take() else { return };
        let mut replies = Replies::new(session.protocol);
        let Handler::Data(handler) = waiting.command.handler else { unreachable!("only commands on data wait") };
        let request = waiting.request.as_request();
        let result = self.execute_data(now, waiting.db, waiting.command, handler, &request, &mut replies, true);
        match result {
            Ok(Some(_)) | Err(CommandError::WrongType(_)) => self.session(conn).waiting = Some(waiting),
            Ok(None) => self.end_wait(conn, &waiting, replies.take()),
            Err(error) => {
                self.reply_error(&mut replies, &error);
                self.end_wait(conn, &waiting, replies.take());
            }
        }
    }

    fn begin_wait(&mut self, now: Now, conn: ConnId, waiting: Waiting) {
        // A client that waits for data has changed nothing: what it waited for, it did not see.
        for key in &waiting.block.keys {
            if self.waiters.add((waiting.db, key.clone()), conn) {
                self.dbs[waiting.db].watch(key);
            }
        }
        self.stats.blocked_clients += 1;
        let session = self.session(conn);
        session.last_request = now.uptime;
        session.waiting = Some(waiting);
    }

    fn end_wait(&mut self, conn: ConnId, waiting: &Waiting, reply: Vec<u8>) {
        self.forget_wait(conn, waiting);
        if self.session(conn).reply_mode == ReplyMode::On {
            self.effects.push_back(Effect::Send(conn, reply));
        }
        self.effects.push_back(Effect::Resume(conn));
    }

    fn forget_wait(&mut self, conn: ConnId, waiting: &Waiting) {
        for key in &waiting.block.keys {
            if self.waiters.remove(&(waiting.db, key.clone()), conn) {
                self.dbs[waiting.db].unwatch(key);
            }
        }
        self.stats.blocked_clients -= 1;
    }

    /// Answers the requests whose time is up.
    fn end_waits(&mut self, now: Now) {
        let over: Vec<ConnId> = self
            .sessions
            .iter()
            .filter(|(_, session)| {
                session.waiting.as_ref().and_then(|waiting| waiting.deadline).is_some_and(|at| at <= now.uptime)
            })
            .map(|(_, session)| session.conn)
            .collect();
        for conn in over {
            self.unblock(conn, None);
        }
    }

    /// Ends a wait with what the timeout answers, or with an error; false when the connection does not wait.
    pub(super) fn unblock(&mut self, conn: ConnId, error: Option<&str>) -> bool {
        let Some(session) = self.find_session(conn) else { return false };
        let Some(waiting) = session.waiting.take() else { return false };
        let mut replies = Replies::new(session.protocol);
        match error {
            Some(error) => replies.error(error),
            None => waiting.block.reply_timed_out(&mut replies),
        }
        self.end_wait(conn, &waiting, replies.take());
        true
    }

    /// Watches a key for a connection's transaction.
    pub(super) fn watch(&mut self, conn: ConnId, key: &[u8]) {
        let session = self.session(conn);
        let key = (session.db, key.into());
        if session.watched.insert(key.clone()) {
            self.dbs[key.0].watch(&key.1);
            self.watchers.add(key, conn);
        }
    }

    /// Watches nothing any more.
    pub(super) fn unwatch_all(&mut self, conn: ConnId) {
        let session = self.session(conn);
        session.watch_broken = false;
        for key in std::mem::take(&mut session.watched) {
            self.dbs[key.0].unwatch(&key.1);
            self.watchers.remove(&key, conn);
        }
    }

    /// Executes the requests that were held back, and reads their connections on.
    pub(super) fn unpause(&mut self, now: Now) {
        self.paused = None;
        for (conn, request) in std::mem::take(&mut self.held_back) {
            let Some(session) = self.find_session(conn) else { continue };
            let mut replies = Replies::new(session.protocol);
            let flow = self.call(now, conn, &request.as_request(), &mut replies);
            self.effects.push_back(Effect::Send(conn, replies.take()));
            match flow {
                Flow::Continue => self.effects.push_back(Effect::Resume(conn)),
                Flow::Block => {}
                Flow::Close => self.effects.push_back(Effect::Close(conn)),
            }
        }
    }

    /// Lazy expiry: removes a key whose deadline has passed, and records that.
    pub(super) fn expire_if_due(&mut self, db: usize, key: &[u8], now: UnixMillis) {
        if self.dbs[db].has_due(now) && self.dbs[db].expire_if_due(key, now) {
            self.stats.expired_keys += 1;
            self.record_removal(db, key);
        }
    }

    /// Lets a connection's watched keys expire whose deadlines have passed: its transaction must learn of it.
    pub(super) fn expire_watched(&mut self, conn: ConnId, now: Now) {
        let watched: Vec<_> = self.session(conn).watched.iter().cloned().collect();
        for (db, key) in watched {
            self.expire_if_due(db, &key, UnixMillis(now.unix_ms));
        }
        self.follow_up(now);
    }

    /// Exchanges two databases. Who watches or waits for a key stays with the database's number.
    pub(super) fn swap_databases(&mut self, one: usize, other: usize) {
        let (first, second) = (one.min(other), one.max(other));
        let (low, high) = self.dbs.split_at_mut(second);
        Db::swap_contents(&mut low[first], &mut high[0]);
    }

    /// Puts parameters into effect that something else depends on.
    pub(super) fn apply_config(&mut self, now: Now) {
        if let Some(journal) = &mut self.journal {
            journal.set_policy(now.uptime, self.config.appendfsync);
        }
    }

    /// Whether this client may have this request executed, now.
    fn admit(&mut self, conn: ConnId, request: &Request<'_>) -> Result<&'static Command, CommandError> {
        let Some(command) = self.table.find(request.name()) else { return Err(unknown_command(request)) };
        if !command.takes(request.len()) {
            return Err(CommandError::arity(command.name));
        }
        if !command.subcommands.is_empty() && request.len() > 1 && commands::subcommand(command, request).is_none() {
            return Err(commands::subcommand_error(command, request));
        }
        let session = &mut self.sessions[conn.slot];
        if !session.authenticated && !command.flags.has(Flags::NO_AUTH) {
            return Err(CommandError::text("NOAUTH Authentication required."));
        }
        if session.transaction.is_some() && command.flags.has(Flags::NO_MULTI) {
            return Err(CommandError::text("ERR Command not allowed inside a transaction"));
        }
        if session.subscriptions() > 0 && session.protocol == Protocol::Resp2 {
            let allowed = ["ping", "subscribe", "unsubscribe", "psubscribe", "punsubscribe", "quit", "reset"];
            if !allowed.contains(&command.name) {
                let name = command.name;
                return Err(CommandError::Other(
                    format!(
                        "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
                         allowed in this context"
                    )
                    .into(),
                ));
            }
        }
        Ok(command)
    }

    /// Whether the disk is fit for a command that writes.
    fn check_disk(&self, command: &Command) -> Result<(), CommandError> {
        if !command.flags.has(Flags::WRITE) {
            return Ok(());
        }
        match self.journal.as_ref().and_then(Journal::refused) {
            None => Ok(()),
            Some(reason) => Err(CommandError::Other(
                format!("MISCONF Errors writing to the AOF file: {}", why_refused(reason)).into(),
            )),
        }
    }

    /// Whether what a command on data would show can still become durable: after a failed sync nothing can, and what had been
    /// executed by then and was not durable must not be seen.
    fn check_durability(&self, command: &'static Command) -> Result<&'static Command, CommandError> {
        let Some(journal) = &self.journal else { return Ok(command) };
        let is_data = matches!(command.handler, Handler::Data(_))
            || command.flags.has(Flags::READONLY)
            || command.flags.has(Flags::WRITE)
            || command.name == "exec";
        if is_data && journal.fate(journal.read_waits_for()) == Fate::Never {
            let reason = why_refused(Reason::SyncFailed);
            return Err(CommandError::Other(format!("MISCONF Errors writing to the AOF file: {reason}").into()));
        }
        Ok(command)
    }

    /// Evicts keys until there is room for a command that takes memory; refuses it when there is none to be had.
    fn make_room(&mut self, now: Now, command: &Command) -> Result<(), CommandError> {
        if self.config.maxmemory == 0 {
            return Ok(());
        }
        for _ in 0..MAX_EVICTIONS {
            match eviction::decide(self.config.maxmemory_policy, self.used_bytes(), self.config.maxmemory) {
                Decision::Fine => return Ok(()),
                Decision::Refuse => break,
                Decision::Evict => {
                    if !self.evict_one(now) {
                        break;
                    }
                }
            }
        }
        if command.flags.has(Flags::DENYOOM)
            && eviction::decide(self.config.maxmemory_policy, self.used_bytes(), self.config.maxmemory)
                != Decision::Fine
        {
            return Err(CommandError::text("OOM command not allowed when used memory > 'maxmemory'."));
        }
        Ok(())
    }

    /// Evicts a key; false when there is none.
    fn evict_one(&mut self, now: Now) -> bool {
        let clock = LruClock::at(UnixMillis(now.unix_ms));
        // The database is drawn by its share of the keys.
        let all: usize = self.dbs.iter().map(Db::len).sum();
        if all == 0 {
            return false;
        }
        let mut nth = self.random.below(all);
        let start = self.dbs.iter().position(|db| {
            let here = nth < db.len();
            nth = nth.saturating_sub(db.len());
            here
        });
        let start = start.unwrap_or(0);
        let count = self.dbs.len();
        for index in (0..count).map(|step| (start + step) % count) {
            let db = &mut self.dbs[index];
            db.set_clock(clock);
            let evicted = match self.config.maxmemory_policy {
                Policy::NoEviction => None,
                Policy::VolatileTtl => db.evict_soonest(),
                Policy::AllKeysLru => {
                    let random = &mut self.random;
                    let sampled = &*db;
                    eviction::choose(
                        &mut self.pools[index],
                        &mut || sampled.random_candidate(|limit| random.below(limit)),
                        &|key| sampled.idle_of(key),
                    )
                    .and_then(|key| db.evict(key))
                }
            };
            if let Some(key) = evicted {
                self.stats.evicted_keys += 1;
                self.record_removal(index, &key);
                return true;
            }
        }
        false
    }

    /// What data takes, in bytes, about: what `maxmemory` is compared with.
    pub fn used_bytes(&self) -> u64 {
        self.dbs.iter().map(|db| db.used_bytes() as u64).sum()
    }

    /// Counts and writes an error.
    pub(super) fn reply_error(&mut self, replies: &mut Replies, error: &CommandError) {
        let text = error.to_string();
        self.stats.count_error(&text);
        replies.error(&text);
    }

    /// Begins to rewrite the log; false when that is under way.
    pub(super) fn rewrite_log(&mut self) -> bool {
        let salt = self.random.0.next_u64();
        self.journal.as_mut().is_some_and(|journal| journal.rewrite(salt))
    }

    /// Rewrites the log when it has grown by as much as the parameters say.
    fn schedule_rewrite(&mut self) {
        let Some(journal) = &self.journal else { return };
        let (len, base) = journal.sizes();
        let percentage = self.config.rewrite_percentage;
        let grown = percentage > 0 && len >= base.saturating_add(base.saturating_mul(percentage) / 100);
        // After a rewrite that failed, the log has to grow further before the next attempt.
        let due = grown && len >= self.config.rewrite_min_bytes && len >= self.rewrite_scheduled_at_bytes;
        if due && !journal.is_rewriting() {
            self.rewrite_scheduled_at_bytes = len.saturating_add(len / 10);
            self.rewrite_log();
        }
    }

    /// Does what the journal asks for.
    fn heed_journal(&mut self) {
        while let Some(notice) = self.journal.as_mut().and_then(Journal::notice) {
            match notice {
                Notice::Abandon(position) => self.effects.push_back(Effect::Abandon(position.0)),
                Notice::BeginSnapshot => {
                    for (index, db) in self.dbs.iter_mut().enumerate() {
                        db.begin_snapshot(Box::new(Dump::new(index)));
                    }
                }
                Notice::ContinueSnapshot => self.continue_snapshot(),
                Notice::RewriteFailed => self.end_snapshot(),
                Notice::RewriteDone => tracing::info!("the log has been rewritten"),
            }
        }
    }

    /// Saves the next part of the snapshot.
    fn continue_snapshot(&mut self) {
        let mut saved = Vec::new();
        let mut complete = true;
        for db in &mut self.dbs {
            complete &= db.continue_snapshot(SNAPSHOT_STEP);
            if let Some(sink) = db.snapshot_sink() {
                saved.append(&mut sink.take_saved());
            }
        }
        if complete {
            self.end_snapshot();
        }
        if let Some(journal) = &mut self.journal {
            journal.add_snapshot(saved, complete);
        }
    }

    /// What is said now may have seen everything that has been recorded. After a failed sync it has not: commands on data are
    /// refused then, and to say so waits for nothing.
    fn wait_for_what_was_seen(&mut self) {
        let Some(journal) = &self.journal else { return };
        let seen = journal.read_waits_for();
        if journal.fate(seen) != Fate::Never {
            self.waits_for = self.waits_for.max(seen.0);
        }
    }

    /// After a failed sync, closes the connections with replies that can never leave: also those that have got one since.
    fn abandon_the_hopeless(&mut self) {
        let Some(journal) = &self.journal else { return };
        if journal.refused() == Some(Reason::SyncFailed) {
            self.effects.push_back(Effect::Abandon(journal.releasable().0));
        }
    }

    fn end_snapshot(&mut self) {
        for db in &mut self.dbs {
            db.end_snapshot();
        }
    }

    /// Shows a request to those who monitor.
    fn show_to_monitors(&mut self, now: Now, conn: ConnId, request: &Request<'_>) {
        let session = &self.sessions[conn.slot];
        let mut line =
            format!("{}.{:03}000 [{} {}]", now.unix_ms / 1000, now.unix_ms % 1000, session.db, session.peer.remote);
        for arg in request.args(0) {
            line.push_str(" \"");
            for byte in arg {
                line.push_str(&match byte {
                    b'\\' | b'"' => format!("\\{}", char::from(*byte)),
                    b'\n' => "\\n".to_owned(),
                    b'\r' => "\\r".to_owned(),
                    b'\t' => "\\t".to_owned(),
                    0x20..=0x7e => char::from(*byte).to_string(),
                    _ => format!("\\x{byte:02x}"),
                });
            }
            line.push('"');
        }
        for (_, session) in self.sessions.iter().filter(|(_, session)| session.monitors) {
            self.effects.push_back(Effect::Send(session.conn, format!("+{line}\r\n").into_bytes()));
        }
    }

    /// Whether `CLIENT PAUSE` holds this command back.
    fn is_paused(&self, now: Now, command: &Command) -> bool {
        self.paused.is_some_and(|(until, writes_only)| {
            now.uptime < until
                && !matches!(command.name, "client" | "hello")
                && (!writes_only || command.flags.has(Flags::WRITE) || matches!(command.name, "exec" | "publish"))
        })
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
        if let Some(waiting) = self.session(conn).waiting.take() {
            self.forget_wait(conn, &waiting);
        }
        let session = self.sessions.remove(conn.slot);
        for channel in &session.channels {
            self.pubsub.unsubscribe(conn, channel);
        }
        for pattern in &session.patterns {
            self.pubsub.unsubscribe_pattern(conn, pattern);
        }
        self.held_back.retain(|(other, _)| *other != conn);
        self.stats.monitors -= usize::from(session.monitors);
    }

    fn call(&mut self, now: Now, conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Flow {
        self.stats.commands += 1;
        let before = replies.len();
        let admitted = self.admit(conn, request).and_then(|command| self.check_durability(command));
        let flow = match admitted {
            Ok(command) if self.paused.is_some() && self.is_paused(now, command) => {
                // The shell keeps what follows; this one request is kept here.
                return commands::client::hold_back(self, conn, request);
            }
            Ok(command) => self.call_admitted(now, conn, command, request, replies),
            Err(error) => {
                if let Some(transaction) = &mut self.session(conn).transaction {
                    transaction.broken = true;
                }
                if HTTP_WORDS.iter().any(|word| request.is(0, word)) {
                    tracing::warn!("closed: a request of HTTP came to the port of RESP");
                    self.effects.push_back(Effect::Kill(conn));
                    return Flow::Close;
                }
                let error = if request.is(0, "exec") && self.session(conn).transaction.is_some() {
                    commands::transactions::discard_all(self, conn);
                    let text = error.to_string();
                    CommandError::Other(format!("EXECABORT Transaction discarded because of: {text}").into())
                } else {
                    error
                };
                self.reply_error(replies, &error);
                Flow::Continue
            }
        };
        self.wait_for_what_was_seen();
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
        let Some(threshold) = self.config.slowlog_threshold else { return };
        if duration < threshold {
            return;
        }
        let Some(session) = self.sessions.get(conn.slot) else { return };
        let command = self.table.find(request.name()).filter(|command| command.takes(request.len()));
        if command.is_some_and(|command| !command.flags.has(Flags::SKIP_SLOWLOG)) {
            let (client, name) = (session.peer.remote.to_string(), session.name.clone());
            let unix_secs = now.unix_ms / 1000;
            let shown = without_secrets(request);
            self.slowlog.add(&shown.as_request(), unix_secs, duration, client, name, self.config.slowlog_max_len);
        }
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

    fn stopping(&mut self, now: Now) {
        self.end_snapshot();
        if let Some(journal) = &mut self.journal {
            journal.stop(now.uptime);
            self.heed_journal();
        }
    }
}

impl Kv {
    fn call_admitted(
        &mut self,
        now: Now,
        conn: ConnId,
        command: &'static Command,
        request: &Request<'_>,
        replies: &mut Replies,
    ) -> Flow {
        let session = &mut self.sessions[conn.slot];
        session.last_command = command.name;
        session.last_request = now.uptime;
        if self.stats.monitors > 0 {
            let subcommand = commands::subcommand(command, request);
            let is_admin = subcommand.map_or(command.flags, |subcommand| subcommand.flags).has(Flags::ADMIN);
            if !is_admin {
                self.show_to_monitors(now, conn, &without_secrets(request).as_request());
            }
        }
        let refused = self.make_room(now, command).and_then(|()| self.check_disk(command));
        let session = &mut self.sessions[conn.slot];
        let refused = match (&mut session.transaction, refused) {
            (Some(transaction), Err(error)) => {
                transaction.broken = true;
                Err(error)
            }
            (_, other) => other,
        };
        if let Err(error) = refused {
            self.reply_error(replies, &error);
            return Flow::Continue;
        }
        if let Some(transaction) = &mut session.transaction
            && !matches!(command.name, "exec" | "discard" | "multi" | "watch" | "quit" | "reset")
        {
            transaction.queued.push((command, request.to_owned()));
            replies.simple("QUEUED");
            return Flow::Continue;
        }
        self.execute(now, conn, command, request, replies)
    }
}

/// The request as others may see it: without the passwords.
fn without_secrets(request: &Request<'_>) -> OwnedRequest {
    let secret = |at: usize| match () {
        () if request.is(0, "auth") => at > 0,
        () if request.is(0, "hello") => at > 2 && (request.is(at - 1, "auth") || request.is(at - 2, "auth")),
        () if request.is(0, "config") && request.is(1, "set") => at % 2 == 1 && request.is(at - 1, "requirepass"),
        () => false,
    };
    let args: Vec<&[u8]> =
        request.args(0).enumerate().map(|(at, arg)| if secret(at) { b"(redacted)" } else { arg }).collect();
    OwnedRequest::new(args)
}

/// The error for a command that is not in the table, with the beginning of its arguments, as Redis words it.
fn unknown_command(request: &Request<'_>) -> CommandError {
    let mut args = String::new();
    for arg in request.args(1) {
        if args.len() >= 128 {
            break;
        }
        let room = 128 - args.len();
        args.push_str(&format!("'{}' ", String::from_utf8_lossy(&arg[..arg.len().min(room)])));
    }
    let name = request.name();
    let name = String::from_utf8_lossy(&name[..name.len().min(128)]);
    CommandError::Other(format!("ERR unknown command '{name}', with args beginning with: {args}").into())
}
