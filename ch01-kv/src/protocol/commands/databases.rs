//! Commands on whole databases: selecting, counting, emptying, moving between them.

use std::ops::Range;

use common::resp::server::{ConnId, Flow, Now};
use common::resp::table::{Flags, Keys};
use common::resp::{Replies, Request};

use super::on_server;
use crate::engine::eviction::LruClock;
use crate::engine::keyspace::Db;
use crate::engine::types::UnixMillis;
use crate::protocol::args;
use crate::protocol::context::Command;
use crate::protocol::error::CommandError;
use crate::protocol::service::Kv;

type Outcome = Result<Flow, CommandError>;

/// Executes again what the log says about databases; `selected` is the one that its commands are about.
pub fn replay(kv: &mut Kv, selected: &mut usize, name: &str, request: &Request<'_>) -> Result<(), String> {
    let db = |kv: &Kv, at: usize| index(kv, request.arg(at)).map_err(|error| error.to_string());
    match name {
        "select" => *selected = db(kv, 1)?,
        "flushdb" => kv.dbs[*selected].clear(),
        "flushall" => kv.dbs.iter_mut().for_each(Db::clear),
        "swapdb" => {
            let (one, other) = (db(kv, 1)?, db(kv, 2)?);
            swap(kv, one, other);
        }
        "move" => {
            let to = db(kv, 2)?;
            if to == *selected {
                return Err(CommandError::SAME_OBJECTS.to_string());
            }
            move_between(kv, *selected, to, request.arg(1));
        }
        "copy" => {
            let copy = Copy::parse(kv, *selected, request).map_err(|error| error.to_string())?;
            copy_between(kv, *selected, &copy, request);
        }
        // A group of the log is applied whole or not at all: what a transaction needs of it.
        "multi" | "exec" => {}
        _ => return Err(format!("'{name}' does not belong in a log")),
    }
    Ok(())
}

fn index(kv: &Kv, arg: &[u8]) -> Result<usize, CommandError> {
    checked_index(kv, args::int(arg)?)
}

fn checked_index(kv: &Kv, number: i32) -> Result<usize, CommandError> {
    let index = usize::try_from(number).ok().filter(|index| *index < kv.dbs.len());
    index.ok_or(CommandError::text("ERR DB index is out of range"))
}

/// Exchanges two databases; false when they are one.
fn swap(kv: &mut Kv, one: usize, other: usize) -> bool {
    if one != other {
        kv.swap_databases(one, other);
    }
    one != other
}

fn select(kv: &mut Kv, _now: Now, conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    kv.session(conn).db = index(kv, request.arg(1))?;
    replies.simple("OK");
    Ok(Flow::Continue)
}

fn dbsize(kv: &mut Kv, _now: Now, conn: ConnId, _request: &Request<'_>, replies: &mut Replies) -> Outcome {
    let db = kv.session(conn).db;
    replies.integer(kv.dbs[db].len() as i64);
    Ok(Flow::Continue)
}

fn flushdb(kv: &mut Kv, _now: Now, conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    let db = kv.session(conn).db;
    flush(kv, conn, request, replies, db..db + 1)
}

fn flushall(kv: &mut Kv, _now: Now, conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    let all = 0..kv.dbs.len();
    flush(kv, conn, request, replies, all)
}

fn flush(kv: &mut Kv, conn: ConnId, request: &Request<'_>, replies: &mut Replies, which: Range<usize>) -> Outcome {
    // Both options are the same here.
    if request.len() > 2 || request.len() == 2 && !request.is(1, "async") && !request.is(1, "sync") {
        return Err(CommandError::Syntax);
    }
    kv.dbs[which].iter_mut().for_each(Db::clear);
    let db = kv.session(conn).db;
    kv.record_server_change(db, request);
    replies.simple("OK");
    Ok(Flow::Continue)
}

fn swapdb(kv: &mut Kv, _now: Now, conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    // Both must be numbers before either must be a database's.
    let one = args::int(request.arg(1)).map_err(|_| CommandError::text("ERR invalid first DB index"))?;
    let other = args::int(request.arg(2)).map_err(|_| CommandError::text("ERR invalid second DB index"))?;
    let (one, other) = (checked_index(kv, one)?, checked_index(kv, other)?);
    if swap(kv, one, other) {
        let db = kv.session(conn).db;
        kv.record_server_change(db, request);
    }
    replies.simple("OK");
    Ok(Flow::Continue)
}

/// Removes keys that are due: what is done for commands on data before they run.
fn expire(kv: &mut Kv, now: Now, keys: [(usize, &[u8]); 2]) {
    let unix = UnixMillis(now.unix_ms);
    for (db, key) in keys {
        kv.dbs[db].set_clock(LruClock::at(unix));
        kv.expire_if_due(db, key, unix);
    }
}

/// `MOVE` is a command on two databases, and so on the server; its key may be due in either.
fn move_key(kv: &mut Kv, now: Now, conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    let from = kv.session(conn).db;
    let to = index(kv, request.arg(2))?;
    if from == to {
        return Err(CommandError::SAME_OBJECTS);
    }
    expire(kv, now, [(from, request.arg(1)), (to, request.arg(1))]);
    let moved = move_between(kv, from, to, request.arg(1));
    if moved {
        kv.record_server_change(from, request);
    }
    replies.integer(i64::from(moved));
    Ok(Flow::Continue)
}

fn move_between(kv: &mut Kv, from: usize, to: usize, key: &[u8]) -> bool {
    if kv.dbs[to].contains(key) {
        return false;
    }
    let Some((value, deadline)) = kv.dbs[from].take(key) else { return false };
    kv.dbs[to].put(key, value, deadline);
    true
}

/// What `COPY` is asked for.
struct Copy {
    to_db: usize,
    replace: bool,
}

impl Copy {
    fn parse(kv: &Kv, from_db: usize, request: &Request<'_>) -> Result<Self, CommandError> {
        let mut copy = Self { to_db: from_db, replace: false };
        let mut at = 3;
        while at < request.len() {
            if request.is(at, "replace") {
                copy.replace = true;
            } else if request.is(at, "db") && at + 1 < request.len() {
                at += 1;
                copy.to_db = index(kv, request.arg(at))?;
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        if copy.to_db == from_db && request.arg(1) == request.arg(2) {
            return Err(CommandError::SAME_OBJECTS);
        }
        Ok(copy)
    }
}

/// `COPY` may name another database, and so is a command on the server, as [`move_key`] is.
fn copy_key(kv: &mut Kv, now: Now, conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    let from = kv.session(conn).db;
    let copy = Copy::parse(kv, from, request)?;
    expire(kv, now, [(from, request.arg(1)), (copy.to_db, request.arg(2))]);
    let copied = copy_between(kv, from, &copy, request);
    if copied {
        kv.record_server_change(from, request);
    }
    replies.integer(i64::from(copied));
    Ok(Flow::Continue)
}

fn copy_between(kv: &mut Kv, from: usize, copy: &Copy, request: &Request<'_>) -> bool {
    let (source, destination) = (request.arg(1), request.arg(2));
    if !copy.replace && kv.dbs[copy.to_db].contains(destination) {
        return false;
    }
    let Some(entry) = kv.dbs[from].peek(source) else { return false };
    let (value, deadline) = (entry.value().to_value(), entry.deadline());
    kv.dbs[copy.to_db].put(destination, value, deadline);
    true
}

/// The family.
pub static COMMANDS: &[Command] = &[
    Command { keys: Keys::FIRST_TWO, ..on_server("generic", "copy", -3, Flags::WRITE.and(Flags::DENYOOM), copy_key) },
    on_server("server", "dbsize", 1, Flags::READONLY.and(Flags::FAST), dbsize),
    on_server("server", "flushall", -1, Flags::WRITE, flushall),
    on_server("server", "flushdb", -1, Flags::WRITE, flushdb),
    Command { keys: Keys::FIRST, ..on_server("generic", "move", 3, Flags::WRITE.and(Flags::FAST), move_key) },
    on_server("connection", "select", 2, Flags::LOADING.and(Flags::STALE).and(Flags::FAST), select),
    on_server("server", "swapdb", 3, Flags::WRITE.and(Flags::FAST), swapdb),
];
