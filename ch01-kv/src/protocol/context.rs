//! What a command works with: the selected database, the reply, and the books on what it changed.

use std::time::Duration;

use common::resp::server::{ConnId, Flow, Now};
use common::resp::{OwnedRequest, Replies, Request};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;

use super::error::CommandError;
use super::service::Kv;
use crate::engine::keyspace::Db;
use crate::engine::types::UnixMillis;

/// A row of the command table.
pub type Command = common::resp::table::Command<Handler>;

/// What a command on data is.
pub type DataHandler = fn(&mut Context<'_>, &Request<'_>) -> Result<(), CommandError>;

/// What a command on the server or the connection is.
pub type ServerHandler = fn(&mut Kv, Now, ConnId, &Request<'_>, &mut Replies) -> Result<Flow, CommandError>;

/// What runs a command.
#[derive(Debug, Clone, Copy)]
pub enum Handler {
    /// It works on the selected database alone.
    Data(DataHandler),
    /// It sees the whole server.
    Server(ServerHandler),
}

/// What a command on data works with.
#[derive(Debug)]
pub struct Context<'a> {
    /// The time at which the whole command happens.
    pub now: UnixMillis,
    /// The selected database.
    pub db: &'a mut Db,
    /// Where the reply goes, in the connection's protocol. A handler that returns an error has written nothing.
    pub replies: &'a mut Replies,
    /// What the command changed.
    pub changes: &'a mut Changes,
    /// Where random numbers come from.
    pub random: &'a mut Random,
    /// Which attempt of the command this is.
    pub attempt: Attempt<'a>,
    /// Set by a command that waits.
    pub block: Option<Block>,
}

/// Which attempt of a command this is: what it does where there is nothing to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt<'a> {
    /// Its client has sent it, and may wait.
    First,
    /// It can only answer at once: in a transaction, and when a log is replayed.
    Only,
    /// It has waited, and this key has come. It looks at no other of its keys: they may hold anything by now, and a client
    /// gets what it waited for from the key that came first, not from the one that it named first.
    Woken(&'a [u8]),
}

/// What a command changed, and how the log is to tell it.
#[derive(Debug, Default)]
pub struct Changes {
    count: u64,
    instead: Vec<OwnedRequest>,
}

/// What a blocking command waits for. It is run again when one of the keys is given something to take. When the time is up
/// it answers with a null array, `BLMOVE` too, whose answer is no array otherwise.
#[derive(Debug, Clone)]
pub struct Block {
    /// The keys, in the order of the client's preference.
    pub keys: Vec<Box<[u8]>>,
    /// How long at most; `None` for ever.
    pub timeout: Option<Duration>,
}

/// Random numbers for commands: seeded by the shell.
#[derive(Debug)]
pub struct Random(pub Xoshiro256PlusPlus);

impl Context<'_> {
    /// Notes `count` changes: the log gets the request as it came, unless [`Context::log_as`] says otherwise.
    pub fn changed(&mut self, count: usize) {
        self.changes.count += count as u64;
    }

    /// Has the log tell this request instead of the one that came: for what depends on the time or on chance. May be called
    /// several times, for several requests. Counts as a change.
    pub fn log_as<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        self.changes.log_as(args);
    }

    /// Waits for one of the keys, if the command may; false when it is to answer at once.
    pub fn wait_for(&mut self, block: Block) -> bool {
        let waits = self.attempt != Attempt::Only;
        if waits {
            self.block = Some(block);
        }
        waits
    }
}

impl Changes {
    /// Whether there are any.
    pub fn any(&self) -> bool {
        self.count > 0
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// As [`Context::changed`].
    pub fn changed(&mut self, count: usize) {
        self.count += count as u64;
    }

    /// As [`Context::log_as`].
    pub fn log_as<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        self.count += 1;
        self.instead.push(OwnedRequest::new(args));
    }

    /// What the log is told instead of the request; empty when it is told the request.
    pub fn instead(&self) -> &[OwnedRequest] {
        &self.instead
    }

    /// Forgets everything, for the next command.
    pub fn clear(&mut self) {
        self.count = 0;
        self.instead.clear();
    }
}

impl Attempt<'_> {
    /// Whether the command looks at this one of its keys.
    pub fn looks_at(self, key: &[u8]) -> bool {
        match self {
            Self::First | Self::Only => true,
            Self::Woken(woken) => key == woken,
        }
    }
}

impl Random {
    /// A number below `limit`.
    ///
    /// # Panics
    ///
    /// When `limit` is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        assert!(limit > 0, "there is nothing to choose from");
        // Lemire's reduction; its bias is below 2^-32 for any collection that fits in memory.
        ((u128::from(self.0.next_u64()) * limit as u128) >> 64) as usize
    }
}
