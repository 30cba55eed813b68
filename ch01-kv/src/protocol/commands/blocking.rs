//! The pops that wait: of lists and of sorted sets.
//!
//! A handler never waits itself. It takes what is there; when nothing is, it leaves word which keys it waits for
//! ([`Context::wait_for`]) and changes nothing, and runs again once one of them has something to take, to look at that one
//! alone ([`Attempt::Woken`](super::super::context::Attempt)). What goes to the log is the pop that does not wait: a log
//! is replayed by nobody who could be waited for.

use std::time::Duration;

use common::resp::Request;
use common::resp::table::{Flags, Keys};

use super::lists::{self, End};
use super::shared;
use super::zset_pops::{self, Extreme};
use super::zsets;
use crate::protocol::args::timeout;
use crate::protocol::context::{Block, Command, Context};
use crate::protocol::error::CommandError;

type Outcome = Result<(), CommandError>;

/// Waits for one of the keys, or answers that there was nothing to take.
fn wait(cx: &mut Context<'_>, keys: &[&[u8]], timeout: Option<Duration>) {
    let keys = keys.iter().copied().map(Box::from).collect();
    if !cx.wait_for(Block { keys, timeout }) {
        cx.replies.null_array();
    }
}

/// The keys of `BLPOP key [key ...] timeout` that are to be looked at, and the timeout.
fn keys_and_timeout<'a>(
    cx: &Context<'_>,
    request: &Request<'a>,
) -> Result<(Vec<&'a [u8]>, Option<Duration>), CommandError> {
    let last = request.len() - 1;
    let timeout = timeout(request.arg(last))?;
    Ok((request.args(1).take(last - 1).filter(|key| cx.attempt.looks_at(key)).collect(), timeout))
}

fn pop_list(cx: &mut Context<'_>, request: &Request<'_>, end: End) -> Outcome {
    let (keys, timeout) = keys_and_timeout(cx, request)?;
    for &key in &keys {
        let Some(element) = lists::pop_one(cx.db, key, end)? else { continue };
        cx.replies.array(2);
        cx.replies.bulk(key);
        cx.replies.bulk(&element);
        cx.log_as(&[end.pop_command().as_bytes(), key]);
        return Ok(());
    }
    wait(cx, &keys, timeout);
    Ok(())
}

fn blmove(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let from = End::parse(request.arg(3)).ok_or(CommandError::Syntax)?;
    let to = End::parse(request.arg(4)).ok_or(CommandError::Syntax)?;
    let timeout = timeout(request.arg(5))?;
    let (source, destination) = (request.arg(1), request.arg(2));
    if shift(cx, (source, from), (destination, to), timeout)? {
        cx.log_as(&[b"LMOVE", source, destination, from.word().as_bytes(), to.word().as_bytes()]);
    }
    Ok(())
}

fn brpoplpush(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let timeout = timeout(request.arg(3))?;
    let (source, destination) = (request.arg(1), request.arg(2));
    if shift(cx, (source, End::Right), (destination, End::Left), timeout)? {
        cx.log_as(&[b"RPOPLPUSH", source, destination]);
    }
    Ok(())
}

/// Takes an element from list to list, and answers with it; false when it waits for one.
fn shift(
    cx: &mut Context<'_>,
    from: (&[u8], End),
    to: (&[u8], End),
    timeout: Option<Duration>,
) -> Result<bool, CommandError> {
    if let Some(element) = lists::shift(cx.db, from, to)? {
        cx.replies.bulk(&element);
        return Ok(true);
    }
    if !cx.wait_for(Block { keys: vec![from.0.into()], timeout }) {
        // Not what it answers after a timeout, which is a null array.
        cx.replies.null();
    }
    Ok(false)
}

fn blmpop(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let mut wanted = shared::pop_request(request, 2, End::parse)?;
    let timeout = timeout(request.arg(1))?;
    wanted.keys.retain(|key| cx.attempt.looks_at(key));
    if !lists::pop_from_first(cx, &wanted)? {
        wait(cx, &wanted.keys, timeout);
    }
    Ok(())
}

fn pop_zset(cx: &mut Context<'_>, request: &Request<'_>, extreme: Extreme) -> Outcome {
    let (keys, timeout) = keys_and_timeout(cx, request)?;
    for &key in &keys {
        let popped = zset_pops::pop(cx.db, key, extreme, 1)?;
        let Some((member, score)) = popped.first() else { continue };
        cx.replies.array(3);
        cx.replies.bulk(key);
        cx.replies.bulk(member);
        cx.replies.double(*score);
        cx.log_as(&[extreme.pop_command().as_bytes(), key]);
        return Ok(());
    }
    wait(cx, &keys, timeout);
    Ok(())
}

fn bzmpop(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let mut wanted = shared::pop_request(request, 2, Extreme::parse)?;
    let timeout = timeout(request.arg(1))?;
    wanted.keys.retain(|key| cx.attempt.looks_at(key));
    if !zset_pops::pop_from_first(cx, &wanted)? {
        wait(cx, &wanted.keys, timeout);
    }
    Ok(())
}

const WAIT: Flags = Flags::WRITE.and(Flags::BLOCKING);
const SINGLE: Flags = WAIT.and(Flags::NOSCRIPT);
const SHIFT: Flags = SINGLE.and(Flags::DENYOOM);
const FAST: Flags = SINGLE.and(Flags::FAST);
const MULTI: Flags = WAIT.and(Flags::MOVABLE_KEYS);
const ALL_BUT_LAST: Keys = Keys::Range { first: 1, last: -2, step: 1 };
const COUNTED: Keys = Keys::Counted { destination: None, count_at: 2 };

/// The rows of both families.
pub static COMMANDS: &[Command] = &[
    lists::row("blpop", -3, SINGLE, ALL_BUT_LAST, |cx, request| pop_list(cx, request, End::Left)),
    lists::row("brpop", -3, SINGLE, ALL_BUT_LAST, |cx, request| pop_list(cx, request, End::Right)),
    lists::row("blmove", 6, SHIFT, Keys::FIRST_TWO, blmove),
    lists::row("brpoplpush", 4, SHIFT, Keys::FIRST_TWO, brpoplpush),
    lists::row("blmpop", -5, MULTI, COUNTED, blmpop),
    zsets::row("bzpopmin", -3, FAST, ALL_BUT_LAST, |cx, request| pop_zset(cx, request, Extreme::Lowest)),
    zsets::row("bzpopmax", -3, FAST, ALL_BUT_LAST, |cx, request| pop_zset(cx, request, Extreme::Highest)),
    zsets::row("bzmpop", -5, MULTI, COUNTED, bzmpop),
];
