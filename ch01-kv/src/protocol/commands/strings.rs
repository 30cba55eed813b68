//! Strings: values that are read and written whole, or in part by position.
//!
//! `SET` is what most clients send most of the time, so that its plain form is taken before anything is looked at. Its
//! options, and `SETEX` and its kin, which are older spellings of them, meet in one function.

use common::resp::Request;
use common::resp::table::{Flags, Keys};

use crate::engine::keyspace::Ttl;
use crate::engine::types::UnixMillis;
use crate::protocol::args::{self, ExpiryForm};
use crate::protocol::context::{Command, Context, DataHandler};
use crate::protocol::error::CommandError;

/// The longest string, in bytes: Redis' default for `proto-max-bulk-len`, which is also what one argument may have.
pub const MAX_STRING_BYTES: usize = 512 << 20;

/// What a write asks of the key that it is to replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Existence {
    /// It must not be there (`NX`).
    Absent,
    /// It must be there (`XX`).
    Present,
}

/// What the options say of the key's deadline.
#[derive(Debug, Clone, Copy)]
enum Lifetime<'a> {
    /// Nothing.
    Unsaid,
    /// It stays (`KEEPTTL`).
    Keep,
    /// It goes (`PERSIST`).
    Persist,
    /// It is this one, as the client wrote it.
    Until(ExpiryForm, &'a [u8]),
}

/// The options of `SET`.
#[derive(Debug)]
struct SetOptions<'a> {
    existence: Option<Existence>,
    get: bool,
    lifetime: Lifetime<'a>,
}

fn get(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    match cx.db.get_str(request.arg(1))? {
        Some(value) => cx.replies.bulk(value),
        None => cx.replies.null(),
    }
    Ok(())
}

fn set(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let (key, value) = (request.arg(1), request.arg(2));
    if request.len() == 3 {
        cx.db.set_str(key, value, Ttl::Clear);
        cx.changed(1);
        cx.replies.simple("OK");
        return Ok(());
    }
    let options = SetOptions::of(request)?;
    let ttl = match options.lifetime {
        Lifetime::Until(form, amount) => Ttl::At(deadline(form, amount, cx.now, "set")?),
        Lifetime::Keep => Ttl::Keep,
        Lifetime::Unsaid | Lifetime::Persist => Ttl::Clear,
    };
    if options.get {
        get(cx, request)?;
    }
    let fits = match options.existence {
        None => true,
        Some(Existence::Absent) => !cx.db.contains(key),
        Some(Existence::Present) => cx.db.contains(key),
    };
    if fits {
        cx.db.set_str(key, value, ttl);
        match ttl {
            Ttl::At(deadline) => log_set_until(cx, key, value, deadline),
            Ttl::Keep | Ttl::Clear => cx.changed(1),
        }
    }
    match (options.get, fits) {
        (true, _) => {}
        (false, true) => cx.replies.simple("OK"),
        (false, false) => cx.replies.null(),
    }
    Ok(())
}

fn setnx(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let key = request.arg(1);
    let absent = !cx.db.contains(key);
    if absent {
        cx.db.set_str(key, request.arg(2), Ttl::Clear);
        cx.changed(1);
    }
    cx.replies.integer(i64::from(absent));
    Ok(())
}

fn setex(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    set_until(cx, request, ExpiryForm::Seconds, "setex")
}

fn psetex(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    set_until(cx, request, ExpiryForm::Millis, "psetex")
}

fn set_until(cx: &mut Context<'_>, request: &Request<'_>, form: ExpiryForm, command: &str) -> Result<(), CommandError> {
    let (key, value) = (request.arg(1), request.arg(3));
    let deadline = deadline(form, request.arg(2), cx.now, command)?;
    cx.db.set_str(key, value, Ttl::At(deadline));
    log_set_until(cx, key, value, deadline);
    cx.replies.simple("OK");
    Ok(())
}

fn getset(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let (key, value) = (request.arg(1), request.arg(2));
    get(cx, request)?;
    cx.db.set_str(key, value, Ttl::Clear);
    cx.log_as(&[b"SET", key, value]);
    Ok(())
}

fn getdel(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let key = request.arg(1);
    get(cx, request)?;
    if cx.db.remove(key) {
        cx.log_as(&[b"DEL", key]);
    }
    Ok(())
}

fn getex(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let key = request.arg(1);
    let lifetime = lifetime_of_getex(request)?;
    // A key that is not there is no reason to look at the deadline: whatever it says, the answer is that there is none.
    if cx.db.get_str(key)?.is_none() {
        cx.replies.null();
        return Ok(());
    }
    let until = match lifetime {
        Lifetime::Until(form, amount) => Some((form, deadline(form, amount, cx.now, "getex")?)),
        _ => None,
    };
    get(cx, request)?;
    match (lifetime, until) {
        (_, Some((ExpiryForm::AtSeconds | ExpiryForm::AtMillis, deadline))) if deadline <= cx.now => {
            cx.db.remove(key);
            cx.log_as(&[b"DEL", key]);
        }
        (_, Some((_, deadline))) => {
            cx.db.set_deadline(key, Some(deadline));
            cx.log_as(&[b"PEXPIREAT", key, itoa::Buffer::new().format(deadline.0).as_bytes()]);
        }
        (Lifetime::Persist, None) if cx.db.deadline(key).flatten().is_some() => {
            cx.db.set_deadline(key, None);
            cx.log_as(&[b"PERSIST", key]);
        }
        _ => {}
    }
    Ok(())
}

fn mget(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    cx.replies.array(request.len() - 1);
    for key in request.args(1) {
        match cx.db.get_str(key) {
            Ok(Some(value)) => cx.replies.bulk(value),
            // A key of another kind is no error here: one of them must not hide the others.
            Ok(None) | Err(_) => cx.replies.null(),
        }
    }
    Ok(())
}

fn mset(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let pairs = pairs(request, "mset")?;
    set_all(cx, request, pairs);
    cx.replies.simple("OK");
    Ok(())
}

fn msetnx(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let pairs = pairs(request, "msetnx")?;
    let none_there = request.args(1).step_by(2).all(|key| !cx.db.contains(key));
    if none_there {
        set_all(cx, request, pairs);
    }
    cx.replies.integer(i64::from(none_there));
    Ok(())
}

fn append(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let (key, tail) = (request.arg(1), request.arg(2));
    let old_len = cx.db.get_str(key)?.map(<[u8]>::len);
    let len = checked_len(old_len.unwrap_or(0), tail.len())?;
    if old_len.is_some() {
        cx.db.edit_str(key, |value| value.extend_from_slice(tail))?;
    } else {
        cx.db.set_str(key, tail, Ttl::Clear);
    }
    cx.changed(1);
    cx.replies.integer(len as i64);
    Ok(())
}

fn strlen(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let len = cx.db.get_str(request.arg(1))?.map_or(0, <[u8]>::len);
    cx.replies.integer(len as i64);
    Ok(())
}

fn setrange(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let (key, part) = (request.arg(1), request.arg(3));
    let offset = usize::try_from(args::integer(request.arg(2))?)
        .map_err(|_| CommandError::text("ERR offset is out of range"))?;
    let old_len = cx.db.get_str(key)?.map_or(0, <[u8]>::len);
    // Nothing to write pads nothing either, and does not create the key.
    if part.is_empty() {
        cx.replies.integer(old_len as i64);
        return Ok(());
    }
    let end = checked_len(offset, part.len())?;
    if !cx.db.contains(key) {
        // Made to be changed in place from the beginning.
        cx.db.set_str(key, b"", Ttl::Clear);
    }
    cx.db.edit_str(key, |value| {
        if value.len() < end {
            value.resize(end, 0);
        }
        value[offset..end].copy_from_slice(part);
    })?;
    cx.changed(1);
    cx.replies.integer(old_len.max(end) as i64);
    Ok(())
}

fn getrange(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let (start, end) = (args::integer(request.arg(2))?, args::integer(request.arg(3))?);
    let value = cx.db.get_str(request.arg(1))?.unwrap_or_default();
    cx.replies.bulk(&value[slice_of(value.len(), start, end)]);
    Ok(())
}

/// The bytes from `start` to `end` inclusive of a string of `len`; negative positions count from the end, and what lies
/// outside is cut off.
fn slice_of(len: usize, start: i64, end: i64) -> std::ops::Range<usize> {
    let crossed_from_the_end = start < 0 && end < 0 && start > end;
    if len == 0 || crossed_from_the_end {
        return 0..0;
    }
    let from_front = |at: i64| {
        let back = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
        if at < 0 { len.saturating_sub(back) } else { back }
    };
    let (start, last) = (from_front(start), from_front(end).min(len - 1));
    if start > last { 0..0 } else { start..last + 1 }
}

/// The length of a string that is `start` and then `more` bytes long, when that is allowed.
fn checked_len(start: usize, more: usize) -> Result<usize, CommandError> {
    start.checked_add(more).filter(|&len| len <= MAX_STRING_BYTES).ok_or(CommandError::StringTooLong)
}

/// How many pairs of keys and values follow the name.
fn pairs(request: &Request<'_>, command: &str) -> Result<usize, CommandError> {
    if request.len().is_multiple_of(2) { Err(CommandError::arity(command)) } else { Ok(request.len() / 2) }
}

fn set_all(cx: &mut Context<'_>, request: &Request<'_>, pairs: usize) {
    for pair in 0..pairs {
        cx.db.set_str(request.arg(2 * pair + 1), request.arg(2 * pair + 2), Ttl::Clear);
    }
    cx.changed(pairs);
}

/// The deadline that a string is given. Unlike that of `EXPIRE`, its amount must be positive.
fn deadline(form: ExpiryForm, amount: &[u8], now: UnixMillis, command: &str) -> Result<UnixMillis, CommandError> {
    let amount = args::integer(amount)?;
    let deadline = if amount > 0 { form.deadline(amount, now) } else { None };
    deadline.ok_or_else(|| CommandError::invalid_expire(command))
}

/// Logs a `SET` with the point in time at which the value ends: a time to live would begin anew with each replay.
fn log_set_until(cx: &mut Context<'_>, key: &[u8], value: &[u8], deadline: UnixMillis) {
    cx.log_as(&[b"SET", key, value, b"PXAT", itoa::Buffer::new().format(deadline.0).as_bytes()]);
}

fn lifetime_of_getex<'a>(request: &Request<'a>) -> Result<Lifetime<'a>, CommandError> {
    let mut lifetime = Lifetime::Unsaid;
    let mut at = 2;
    while at < request.len() {
        at += match lifetime {
            Lifetime::Unsaid | Lifetime::Persist if request.is(at, "PERSIST") => {
                lifetime = Lifetime::Persist;
                1
            }
            _ => lifetime.take_until(request, at)?,
        };
    }
    Ok(lifetime)
}

impl<'a> Lifetime<'a> {
    /// Reads a deadline's option with its amount; returns how many arguments that were. One option may be repeated, and
    /// the last one counts; two different ones contradict each other.
    fn take_until(&mut self, request: &Request<'a>, at: usize) -> Result<usize, CommandError> {
        const FORMS: [(&str, ExpiryForm); 4] = [
            ("EX", ExpiryForm::Seconds),
            ("PX", ExpiryForm::Millis),
            ("EXAT", ExpiryForm::AtSeconds),
            ("PXAT", ExpiryForm::AtMillis),
        ];
        let form = FORMS.iter().find(|(word, _)| request.is(at, word)).map(|&(_, form)| form);
        let (Some(form), Some(amount)) = (form, request.get(at + 1)) else { return Err(CommandError::Syntax) };
        match *self {
            Self::Unsaid => {}
            Self::Until(before, _) if before == form => {}
            _ => return Err(CommandError::Syntax),
        }
        *self = Self::Until(form, amount);
        Ok(2)
    }
}

impl<'a> SetOptions<'a> {
    fn of(request: &Request<'a>) -> Result<Self, CommandError> {
        let mut options = Self { existence: None, get: false, lifetime: Lifetime::Unsaid };
        let mut at = 3;
        while at < request.len() {
            if request.is(at, "NX") && options.existence != Some(Existence::Present) {
                options.existence = Some(Existence::Absent);
            } else if request.is(at, "XX") && options.existence != Some(Existence::Absent) {
                options.existence = Some(Existence::Present);
            } else if request.is(at, "GET") {
                options.get = true;
            } else if request.is(at, "KEEPTTL") && matches!(options.lifetime, Lifetime::Unsaid | Lifetime::Keep) {
                options.lifetime = Lifetime::Keep;
            } else {
                at += options.lifetime.take_until(request, at)?;
                continue;
            }
            at += 1;
        }
        Ok(options)
    }
}

const fn row(name: &'static str, arity: i32, flags: Flags, keys: Keys, handler: DataHandler) -> Command {
    super::on_data("string", name, arity, flags, keys, handler)
}

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = READ.and(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.and(Flags::FAST);
const GROW: Flags = Flags::WRITE.and(Flags::DENYOOM);
const GROW_FAST: Flags = GROW.and(Flags::FAST);
const ONE: Keys = Keys::FIRST;

/// Keys and values in turn.
const PAIRS: Keys = Keys::Range { first: 1, last: -1, step: 2 };

/// The family's rows.
pub static COMMANDS: &[Command] = &[
    row("get", 2, READ_FAST, ONE, get),
    row("set", -3, GROW, ONE, set),
    row("setnx", 3, GROW_FAST, ONE, setnx),
    row("setex", 4, GROW, ONE, setex),
    row("psetex", 4, GROW, ONE, psetex),
    row("getset", 3, GROW_FAST, ONE, getset),
    row("getdel", 2, WRITE_FAST, ONE, getdel),
    row("getex", -2, WRITE_FAST, ONE, getex),
    row("mget", -2, READ_FAST, Keys::ALL, mget),
    row("mset", -3, GROW, PAIRS, mset),
    row("msetnx", -3, GROW, PAIRS, msetnx),
    row("append", 3, GROW_FAST, ONE, append),
    row("strlen", 2, READ_FAST, ONE, strlen),
    row("setrange", 4, GROW, ONE, setrange),
    row("getrange", 4, READ, ONE, getrange),
    row("substr", 4, READ, ONE, getrange),
];
