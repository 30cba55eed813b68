//! Transactions: `MULTI` gathers commands, `EXEC` executes them with nothing in between, `WATCH` makes that conditional.
//!
//! They isolate, because one command runs at a time and a transaction is one command. They do not roll back: a command that
//! fails leaves those before and after it done (DDIA ch. 7, "The Slippery Concept of a Transaction"). What is in the log
//! of one is in one commit group, so that a crash leaves all of it or nothing.

use common::resp::server::{ConnId, Flow, Now};
use common::resp::table::{Flags, Keys};
use common::resp::{Replies, Request};

use crate::protocol::context::{Command, ServerHandler};
use crate::protocol::error::CommandError;
use crate::protocol::service::Kv;
use crate::protocol::session::Transaction;

type Outcome = Result<Flow, CommandError>;

/// Drops the transaction and the watches of a connection.
pub fn discard_all(kv: &mut Kv, conn: ConnId) {
    kv.session(conn).transaction = None;
    kv.unwatch_all(conn);
}

fn multi(kv: &mut Kv, _now: Now, conn: ConnId, _request: &Request<'_>, replies: &mut Replies) -> Outcome {
    let session = kv.session(conn);
    if session.transaction.is_some() {
        return Err(CommandError::text("ERR MULTI calls can not be nested"));
    }
    session.transaction = Some(Transaction::default());
    replies.simple("OK");
    Ok(Flow::Continue)
}

fn exec(kv: &mut Kv, now: Now, conn: ConnId, _request: &Request<'_>, replies: &mut Replies) -> Outcome {
    kv.expire_watched(conn, now);
    let session = kv.session(conn);
    let watch_broken = session.watch_broken;
    let Some(transaction) = session.transaction.take() else {
        return Err(CommandError::text("ERR EXEC without MULTI"));
    };
    kv.unwatch_all(conn);
    if transaction.broken {
        return Err(CommandError::text("EXECABORT Transaction discarded because of previous errors."));
    }
    if watch_broken {
        replies.null_array();
    } else {
        kv.session(conn).executes = true;
        kv.execute_transaction(now, conn, &transaction, replies);
        kv.session(conn).executes = false;
    }
    Ok(Flow::Continue)
}

fn discard(kv: &mut Kv, _now: Now, conn: ConnId, _request: &Request<'_>, replies: &mut Replies) -> Outcome {
    if kv.session(conn).transaction.is_none() {
        return Err(CommandError::text("ERR DISCARD without MULTI"));
    }
    discard_all(kv, conn);
    replies.simple("OK");
    Ok(Flow::Continue)
}

fn watch(kv: &mut Kv, now: Now, conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    if kv.session(conn).transaction.is_some() {
        return Err(CommandError::text("ERR WATCH inside MULTI is not allowed"));
    }
    let db = kv.session(conn).db;
    for key in request.args(1) {
        // A key whose deadline has passed already does not change when it goes.
        kv.expire_if_due(db, key, crate::engine::types::UnixMillis(now.unix_ms));
        kv.watch(conn, key);
    }
    replies.simple("OK");
    Ok(Flow::Continue)
}

fn unwatch(kv: &mut Kv, _now: Now, conn: ConnId, _request: &Request<'_>, replies: &mut Replies) -> Outcome {
    kv.unwatch_all(conn);
    replies.simple("OK");
    Ok(Flow::Continue)
}

const fn row(name: &'static str, arity: i32, flags: Flags, handler: ServerHandler) -> Command {
    super::on_server("transactions", name, arity, flags, handler)
}

const CONTROL: Flags = Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::FAST).and(Flags::ALLOW_BUSY);

/// The family's rows.
pub static COMMANDS: &[Command] = &[
    row("discard", 1, CONTROL, discard),
    row("exec", 1, Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::SKIP_SLOWLOG), exec),
    row("multi", 1, CONTROL, multi),
    row("unwatch", 1, CONTROL, unwatch),
    Command { keys: Keys::ALL, ..row("watch", -2, CONTROL, watch) },
];
