//! Counters: strings that are numbers in decimal, and are read, changed and written back as one step.
//!
//! That step is why they exist: two clients that read a counter, add one and write it back lose one of the two increments
//! (DDIA ch. 7, "Preventing Lost Updates", on atomic write operations). A counter keeps its deadline.

use common::resp::Request;
use common::resp::table::{Flags, Keys};

use crate::engine::keyspace::Ttl;
use crate::protocol::args;
use crate::protocol::context::{Command, Context, DataHandler};
use crate::protocol::error::CommandError;
use crate::protocol::long_double;

fn incr(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    add(cx, request.arg(1), 1)
}

fn decr(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    add(cx, request.arg(1), -1)
}

fn incrby(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    add(cx, request.arg(1), args::integer(request.arg(2))?)
}

fn decrby(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let decrement = args::integer(request.arg(2))?;
    let increment = decrement.checked_neg().ok_or(CommandError::text("ERR decrement would overflow"))?;
    add(cx, request.arg(1), increment)
}

fn incrbyfloat(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let (key, increment) = (request.arg(1), request.arg(2));
    let sum = long_double::add(cx.db.get_str(key)?.unwrap_or(b"0"), increment)?;
    let sum = sum.as_bytes();
    cx.db.set_str(key, sum, Ttl::Keep);
    // The log holds the sum: how a fraction is rounded must not matter to a replay by another build.
    cx.log_as(&[b"SET", key, sum, b"KEEPTTL"]);
    cx.replies.bulk(sum);
    Ok(())
}

fn add(cx: &mut Context<'_>, key: &[u8], increment: i64) -> Result<(), CommandError> {
    let value = cx.db.get_str(key)?.map_or(Ok(0), args::integer)?;
    let sum = value.checked_add(increment).ok_or(CommandError::Overflow)?;
    cx.db.set_str(key, itoa::Buffer::new().format(sum).as_bytes(), Ttl::Keep);
    cx.changed(1);
    cx.replies.integer(sum);
    Ok(())
}

const fn row(name: &'static str, arity: i32, flags: Flags, keys: Keys, handler: DataHandler) -> Command {
    super::on_data("string", name, arity, flags, keys, handler)
}

const GROW_FAST: Flags = Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST);
const ONE: Keys = Keys::FIRST;

/// The family's rows.
pub static COMMANDS: &[Command] = &[
    row("incr", 2, GROW_FAST, ONE, incr),
    row("decr", 2, GROW_FAST, ONE, decr),
    row("incrby", 3, GROW_FAST, ONE, incrby),
    row("decrby", 3, GROW_FAST, ONE, decrby),
    row("incrbyfloat", 3, GROW_FAST, ONE, incrbyfloat),
];
