//! Running commands: one, a transaction's, the log's; each on its database, and with its due keys removed before.

use common::resp::server::{ConnId, Flow, Now};
use common::resp::table::Flags;
use common::resp::{Protocol, Replies, Request};

use super::admission::is_about_data;
use super::{Executing, Kv};
use crate::engine::eviction::LruClock;
use crate::engine::keyspace::Db;
use crate::engine::types::UnixMillis;
use crate::protocol::commands;
use crate::protocol::context::{Attempt, Block, Command, Context, DataHandler, Handler};
use crate::protocol::error::CommandError;
use crate::protocol::session::{Transaction, Waiting};

impl Kv {
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
                    attempt: Attempt::Only,
                    block: None,
                };
                let result = handler(&mut context, request);
                self.changes.clear();
                result.map_err(|error| format!("'{name}' failed: {error}"))
            }
            Handler::Server(_) => commands::databases::replay(self, selected, command.name, request),
        }
    }

    /// Executes one command for a connection; what goes wrong is its reply.
    pub(super) fn execute(
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
                let attempt = if self.executing == Executing::Single { Attempt::First } else { Attempt::Only };
                self.execute_data(now, db, command, handler, request, replies, attempt).map(|block| match block {
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
        if is_about_data(command) {
            self.wait_for_what_was_seen();
        }
        result.unwrap_or_else(|error| {
            replies.truncate(before);
            self.reply_error(replies, &error);
            Flow::Continue
        })
    }

    /// Executes a command on a database, and records what it changed.
    #[allow(clippy::too_many_arguments, reason = "the parts of one request, which nothing else bundles")]
    pub(super) fn execute_data(
        &mut self,
        now: Now,
        db: usize,
        command: &'static Command,
        handler: DataHandler,
        request: &Request<'_>,
        replies: &mut Replies,
        attempt: Attempt<'_>,
    ) -> Result<Option<Block>, CommandError> {
        let unix = UnixMillis(now.unix_ms);
        self.dbs[db].set_clock(LruClock::at(unix));
        if self.dbs[db].has_due(unix) {
            for position in command.keys.positions(request) {
                let key = request.arg(position);
                if self.dbs[db].expire_if_due(key, unix) {
                    self.record_expiry(db, key);
                }
            }
        }
        if command.flags.has(Flags::READONLY) {
            for position in command.keys.positions(request) {
                let found = self.dbs[db].contains(request.arg(position));
                *if found { &mut self.stats.hits } else { &mut self.stats.misses } += 1;
            }
        }
        let mut context = Context {
            now: unix,
            db: &mut self.dbs[db],
            replies,
            changes: &mut self.changes,
            random: &mut self.random,
            attempt,
            block: None,
        };
        let result = handler(&mut context, request);
        let block = context.block.take();
        if self.changes.any() {
            self.record(db, request);
        }
        result.map(|()| block)
    }

    /// Executes what a transaction has queued. Whether there is memory and a disk for it was asked before.
    pub(in crate::protocol) fn execute_transaction(
        &mut self,
        now: Now,
        conn: ConnId,
        transaction: &Transaction,
        replies: &mut Replies,
    ) {
        replies.array(transaction.queued.len());
        self.executing = Executing::Transaction;
        for (command, request) in &transaction.queued {
            self.execute(now, conn, command, &request.as_request(), replies);
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

    /// Lazy expiry: removes a key whose deadline has passed, and records that.
    pub(in crate::protocol) fn expire_if_due(&mut self, db: usize, key: &[u8], now: UnixMillis) {
        if self.dbs[db].has_due(now) && self.dbs[db].expire_if_due(key, now) {
            self.record_expiry(db, key);
        }
    }

    /// Lets a connection's watched keys expire whose deadlines have passed: its transaction must learn of it.
    pub(in crate::protocol) fn expire_watched(&mut self, conn: ConnId, now: Now) {
        let watched: Vec<_> = self.session(conn).watched.iter().cloned().collect();
        for (db, key) in watched {
            self.expire_if_due(db, &key, UnixMillis(now.unix_ms));
        }
        self.follow_up(now);
    }

    /// Exchanges two databases. Who watches or waits for a key stays with the database's number.
    pub(in crate::protocol) fn swap_databases(&mut self, one: usize, other: usize) {
        let (first, second) = (one.min(other), one.max(other));
        let (low, high) = self.dbs.split_at_mut(second);
        Db::swap_contents(&mut low[first], &mut high[0]);
    }

    /// Counts and writes an error.
    pub(in crate::protocol) fn reply_error(&mut self, replies: &mut Replies, error: &CommandError) {
        let text = error.bytes();
        self.stats.count_error(&text);
        replies.error_bytes(&text);
    }
}
