//! What the server knows of a connection.

use std::collections::BTreeSet;
use std::time::Duration;

use common::net::Peer;
use common::resp::server::{ConnId, Holding};
use common::resp::{OwnedRequest, Protocol, Request};

use super::context::{Block, Command};
use super::error::CommandError;
use super::pubsub::Subject;

/// A connection's state.
#[derive(Debug)]
pub struct Session {
    /// Which connection it is; its serial number is the client's ID.
    pub conn: ConnId,
    /// Both ends' addresses.
    pub peer: Peer,
    /// When it came.
    pub since: Duration,
    /// When it last sent a request.
    pub last_request: Duration,
    /// The last command's name.
    pub last_command: &'static str,
    /// That of its subcommand, if it has one.
    pub last_subcommand: Option<&'static str>,
    /// What `CLIENT SETNAME` said.
    pub name: String,
    /// The selected database.
    pub db: usize,
    /// The version of the protocol that it speaks.
    pub protocol: Protocol,
    /// Whether it has given the password, or none is asked for.
    pub authenticated: bool,
    /// The transaction that it is putting together.
    pub transaction: Option<Transaction>,
    /// Whether its transaction is being executed.
    pub executes: bool,
    /// The keys that it watches, with their databases.
    pub watched: BTreeSet<(usize, Box<[u8]>)>,
    /// A watched key has changed: the transaction will not be executed.
    pub watch_broken: bool,
    /// The channels that it subscribes to.
    pub channels: BTreeSet<Box<[u8]>>,
    /// The patterns that it subscribes to.
    pub patterns: BTreeSet<Box<[u8]>>,
    /// What it waits for.
    pub waiting: Option<Waiting>,
    /// What it takes of memory beside this.
    pub holding: Holding,
    /// Which of its requests are answered.
    pub reply_mode: ReplyMode,
    /// Whether it is shown every command (`MONITOR`).
    pub monitors: bool,
    /// Whether it is never closed to make room (`CLIENT NO-EVICT`).
    pub no_evict: bool,
}

/// A transaction between `MULTI` and `EXEC`.
#[derive(Debug, Default)]
pub struct Transaction {
    /// What was queued.
    pub queued: Vec<(&'static Command, OwnedRequest)>,
    /// A request was refused while it was put together: `EXEC` will be, too.
    pub broken: bool,
    /// What the queued requests take, in bytes.
    bytes: usize,
}

/// What a queued request takes beside its arguments, in bytes, and what each of these takes beside its text.
const QUEUED_BYTES: usize = 64;

impl Transaction {
    /// What the queued requests take, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Queues a request.
    ///
    /// # Errors
    ///
    /// The queue would take more than `max_bytes`.
    pub fn queue(
        &mut self,
        command: &'static Command,
        request: &Request<'_>,
        max_bytes: usize,
    ) -> Result<(), CommandError> {
        let bytes: usize = request.args(0).map(|arg| arg.len() + QUEUED_BYTES).sum();
        if self.bytes + QUEUED_BYTES + bytes > max_bytes {
            return Err(CommandError::text("ERR the transaction is larger than client-query-buffer-limit"));
        }
        self.bytes += QUEUED_BYTES + bytes;
        self.queued.push((command, request.to_owned()));
        Ok(())
    }
}

/// A request that waits for keys.
#[derive(Debug)]
pub struct Waiting {
    /// The command.
    pub command: &'static Command,
    /// The request, which is run again when a key changes.
    pub request: OwnedRequest,
    /// In which database.
    pub db: usize,
    /// What for.
    pub block: Block,
    /// When it has waited long enough, in uptime.
    pub deadline: Option<Duration>,
}

/// Which requests are answered (`CLIENT REPLY`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyMode {
    /// All of them.
    On,
    /// None of them.
    Off,
    /// All but the next one.
    SkipNext,
    /// All but this one.
    Skip,
}

impl Session {
    /// A new connection's.
    pub fn new(conn: ConnId, peer: Peer, now: Duration, authenticated: bool) -> Self {
        Self {
            conn,
            peer,
            since: now,
            last_request: now,
            last_command: "NULL",
            last_subcommand: None,
            name: String::new(),
            db: 0,
            protocol: Protocol::Resp2,
            authenticated,
            transaction: None,
            executes: false,
            watched: BTreeSet::new(),
            watch_broken: false,
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
            waiting: None,
            holding: Holding::default(),
            reply_mode: ReplyMode::On,
            monitors: false,
            no_evict: false,
        }
    }

    /// The channels that it subscribes to, or the patterns.
    pub fn subscribed(&mut self, subject: Subject) -> &mut BTreeSet<Box<[u8]>> {
        match subject {
            Subject::Channel => &mut self.channels,
            Subject::Pattern => &mut self.patterns,
        }
    }

    /// How many channels and patterns it subscribes to.
    pub fn subscriptions(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    /// What the client takes of memory, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let transaction = self.transaction.as_ref().map_or(0, Transaction::bytes);
        size_of::<Self>() + self.name.len() + transaction + self.holding.buffer_bytes + self.holding.kept_bytes
    }

    /// The letters that `CLIENT LIST` shows.
    pub fn flags(&self) -> String {
        let letters = [
            (self.subscriptions() > 0, 'P'),
            (self.transaction.is_some(), 'x'),
            (self.waiting.is_some(), 'b'),
            (self.watch_broken, 'd'),
            (self.monitors, 'O'),
            (self.no_evict, 'e'),
        ];
        let shown: String = letters.iter().filter(|(set, _)| *set).map(|(_, letter)| *letter).collect();
        if shown.is_empty() { "N".to_owned() } else { shown }
    }
}
