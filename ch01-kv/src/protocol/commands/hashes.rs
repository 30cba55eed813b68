//! Commands on hashes.

use common::resp::table::{Flags, Keys};
use common::resp::{Replies, Request};

use super::shared;
use crate::protocol::args;
use crate::protocol::context::{Command, Context, DataHandler};
use crate::protocol::error::CommandError;
use crate::protocol::long_double::LongDouble;
use crate::values::Hash;

fn set_fields(cx: &mut Context<'_>, request: &Request<'_>) -> Result<usize, CommandError> {
    if !request.len().is_multiple_of(2) {
        return Err(CommandError::arity(&String::from_utf8_lossy(request.name()).to_ascii_lowercase()));
    }
    let created = cx.db.edit_or_create(request.arg(1), |hash: &mut Hash| {
        (2..request.len()).step_by(2).filter(|at| hash.set(request.arg(*at), request.arg(at + 1))).count()
    })?;
    cx.changed((request.len() - 2) / 2);
    Ok(created)
}

fn hset(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let created = set_fields(cx, request)?;
    cx.replies.integer(created as i64);
    Ok(())
}

fn hmset(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    set_fields(cx, request)?;
    cx.replies.simple("OK");
    Ok(())
}

fn hsetnx(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let (key, field) = (request.arg(1), request.arg(2));
    let free = cx.db.read::<Hash>(key)?.is_none_or(|hash| hash.get(field).is_none());
    if free {
        cx.db.edit_or_create(key, |hash: &mut Hash| hash.set(field, request.arg(3)))?;
        cx.changed(1);
    }
    cx.replies.integer(i64::from(free));
    Ok(())
}

fn hget(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    match cx.db.read::<Hash>(request.arg(1))?.and_then(|hash| hash.get(request.arg(2))) {
        Some(value) => cx.replies.bulk(value),
        None => cx.replies.null(),
    }
    Ok(())
}

fn hmget(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let hash = cx.db.read::<Hash>(request.arg(1))?;
    cx.replies.array(request.len() - 2);
    for field in request.args(2) {
        match hash.and_then(|hash| hash.get(field)) {
            Some(value) => cx.replies.bulk(value),
            None => cx.replies.null(),
        }
    }
    Ok(())
}

fn hgetall(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let hash = cx.db.read::<Hash>(request.arg(1))?;
    cx.replies.map(hash.map_or(0, Hash::len));
    for (field, value) in hash.into_iter().flat_map(Hash::iter) {
        cx.replies.bulk(field);
        cx.replies.bulk(value);
    }
    Ok(())
}

fn hkeys(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let hash = cx.db.read::<Hash>(request.arg(1))?;
    cx.replies.array(hash.map_or(0, Hash::len));
    hash.into_iter().flat_map(Hash::iter).for_each(|(field, _)| cx.replies.bulk(field));
    Ok(())
}

fn hvals(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let hash = cx.db.read::<Hash>(request.arg(1))?;
    cx.replies.array(hash.map_or(0, Hash::len));
    hash.into_iter().flat_map(Hash::iter).for_each(|(_, value)| cx.replies.bulk(value));
    Ok(())
}

fn hdel(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let (key, fields) = (request.arg(1), request.args(2));
    let mut removed = 0;
    // Whoever watches the hash must not be told of a change that is none.
    if cx.db.read::<Hash>(key)?.is_some_and(|hash| fields.clone().any(|field| hash.get(field).is_some())) {
        let count = cx.db.edit(key, |hash: &mut Hash| fields.filter(|field| hash.remove(field)).count())?;
        removed = count.expect("it is there");
    }
    cx.changed(removed);
    cx.replies.integer(removed as i64);
    Ok(())
}

fn hlen(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let len = cx.db.read::<Hash>(request.arg(1))?.map_or(0, Hash::len);
    cx.replies.integer(len as i64);
    Ok(())
}

fn hstrlen(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let len = cx.db.read::<Hash>(request.arg(1))?.and_then(|hash| hash.get(request.arg(2))).map_or(0, <[u8]>::len);
    cx.replies.integer(len as i64);
    Ok(())
}

fn hexists(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let found = cx.db.read::<Hash>(request.arg(1))?.is_some_and(|hash| hash.get(request.arg(2)).is_some());
    cx.replies.integer(i64::from(found));
    Ok(())
}

fn hincrby(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let (key, field) = (request.arg(1), request.arg(2));
    let increment = args::integer(request.arg(3))?;
    let old = match cx.db.read::<Hash>(key)?.and_then(|hash| hash.get(field)) {
        Some(value) => {
            common::resp::parse_integer(value).ok_or(CommandError::text("ERR hash value is not an integer"))?
        }
        None => 0,
    };
    let new = old.checked_add(increment).ok_or(CommandError::Overflow)?;
    cx.db.edit_or_create(key, |hash: &mut Hash| hash.set(field, new.to_string().as_bytes()))?;
    cx.changed(1);
    cx.replies.integer(new);
    Ok(())
}

fn hincrbyfloat(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let (key, field) = (request.arg(1), request.arg(2));
    let increment = LongDouble::parse(request.arg(3)).ok_or(CommandError::NotAFloat)?;
    if !increment.is_finite() {
        return Err(CommandError::text("ERR value is NaN or Infinity"));
    }
    let old = cx.db.read::<Hash>(key)?.and_then(|hash| hash.get(field)).unwrap_or(b"0");
    let old = LongDouble::parse(old).ok_or(CommandError::text("ERR hash value is not a float"))?;
    let new = old.plus(increment).ok_or(CommandError::text("ERR increment would produce NaN or Infinity"))?.to_string();
    cx.db.edit_or_create(key, |hash: &mut Hash| hash.set(field, new.as_bytes()))?;
    cx.log_as(&[b"HSET", key, field, new.as_bytes()]);
    cx.replies.bulk(new.as_bytes());
    Ok(())
}

fn hrandfield(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let count = request.get(2).map(shared::draw_count).transpose()?;
    let with_values = match request.len() {
        2 | 3 => false,
        4 if request.is(3, "withvalues") => true,
        _ => return Err(CommandError::Syntax),
    };
    if let Some(count) = count.filter(|_| with_values) {
        shared::check_pair_count(count)?;
    }
    let hash = cx.db.read::<Hash>(request.arg(1))?;
    let Some(count) = count else {
        match hash.and_then(|hash| hash.at(cx.random.below(hash.len()))) {
            Some((field, _)) => cx.replies.bulk(field),
            None => cx.replies.null(),
        }
        return Ok(());
    };
    let Some(hash) = hash else {
        cx.replies.array(0);
        return Ok(());
    };
    let at = |place| hash.at(place).expect("the place is below the length");
    let bytes_at = |place| at(place).0.len() + at(place).1.len();
    let places = shared::draw(cx.random, hash.len(), count, bytes_at)?;
    shared::reply_pairs(cx.replies, places.into_iter().map(at), with_values, Replies::bulk);
    Ok(())
}

const fn row(name: &'static str, arity: i32, flags: Flags, keys: Keys, handler: DataHandler) -> Command {
    super::on_data("hash", name, arity, flags, keys, handler)
}

const WRITE: Flags = Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST);
const READ: Flags = Flags::READONLY.and(Flags::FAST);
const ONE: Keys = Keys::FIRST;

/// The family's rows.
pub static COMMANDS: &[Command] = &[
    row("hdel", -3, Flags::WRITE.and(Flags::FAST), ONE, hdel),
    row("hexists", 3, READ, ONE, hexists),
    row("hget", 3, READ, ONE, hget),
    row("hgetall", 2, Flags::READONLY, ONE, hgetall),
    row("hincrby", 4, WRITE, ONE, hincrby),
    row("hincrbyfloat", 4, WRITE, ONE, hincrbyfloat),
    row("hkeys", 2, Flags::READONLY, ONE, hkeys),
    row("hlen", 2, READ, ONE, hlen),
    row("hmget", -3, READ, ONE, hmget),
    row("hmset", -4, WRITE, ONE, hmset),
    row("hrandfield", -2, Flags::READONLY, ONE, hrandfield),
    row("hset", -4, WRITE, ONE, hset),
    row("hsetnx", 4, WRITE, ONE, hsetnx),
    row("hstrlen", 3, READ, ONE, hstrlen),
    row("hvals", 2, Flags::READONLY, ONE, hvals),
];
