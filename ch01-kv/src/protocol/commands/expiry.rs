//! Deadlines as clients see them: `EXPIRE` and its kin set one, `TTL` and its kin read it, `PERSIST` takes it away.
//!
//! The log is told points in time alone. "In ten seconds", replayed an hour later, would bring a dead key back to life.

use common::resp::Request;
use common::resp::table::{Flags, Keys};

use crate::engine::types::UnixMillis;
use crate::protocol::args::{self, ExpiryForm};
use crate::protocol::context::{Command, Context, DataHandler};
use crate::protocol::error::CommandError;

/// Under which conditions `EXPIRE` sets the deadline.
#[derive(Debug, Default)]
struct Conditions {
    /// There is none yet (`NX`).
    none_yet: bool,
    /// There is one (`XX`).
    replaces: bool,
    /// It is later than the present one (`GT`). A key without a deadline lives for ever, and nothing is later.
    later: bool,
    /// It is earlier than the present one (`LT`).
    earlier: bool,
}

fn expire(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    set_deadline(cx, request, ExpiryForm::Seconds, "expire")
}

fn pexpire(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    set_deadline(cx, request, ExpiryForm::Millis, "pexpire")
}

fn expireat(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    set_deadline(cx, request, ExpiryForm::AtSeconds, "expireat")
}

fn pexpireat(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    set_deadline(cx, request, ExpiryForm::AtMillis, "pexpireat")
}

fn ttl(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let now = cx.now;
    show_deadline(cx, request, |deadline| seconds(left(deadline, now)))
}

fn pttl(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let now = cx.now;
    show_deadline(cx, request, |deadline| left(deadline, now))
}

fn expiretime(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    show_deadline(cx, request, |deadline| seconds(deadline.0))
}

fn pexpiretime(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    show_deadline(cx, request, |deadline| deadline.0)
}

fn persist(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let key = request.arg(1);
    let had_one = cx.db.deadline(key).flatten().is_some();
    if had_one {
        cx.db.set_deadline(key, None);
        cx.changed(1);
    }
    cx.replies.integer(i64::from(had_one));
    Ok(())
}

fn set_deadline(
    cx: &mut Context<'_>,
    request: &Request<'_>,
    form: ExpiryForm,
    command: &str,
) -> Result<(), CommandError> {
    let key = request.arg(1);
    let conditions = Conditions::of(request)?;
    let amount = args::integer(request.arg(2))?;
    let deadline = form.deadline(amount, cx.now).ok_or_else(|| CommandError::invalid_expire(command))?;
    let allowed = cx.db.deadline(key).is_some_and(|present| conditions.allow(deadline, present));
    if allowed && deadline <= cx.now {
        cx.db.remove(key);
        cx.log_as(&[b"DEL", key]);
    } else if allowed {
        cx.db.set_deadline(key, Some(deadline));
        cx.log_as(&[b"PEXPIREAT", key, itoa::Buffer::new().format(deadline.0).as_bytes()]);
    }
    cx.replies.integer(i64::from(allowed));
    Ok(())
}

/// Answers what `shown` makes of the key's deadline; -1 when it has none, -2 when there is no key. To ask for a deadline
/// is no use of the key.
fn show_deadline(
    cx: &mut Context<'_>,
    request: &Request<'_>,
    shown: impl FnOnce(UnixMillis) -> u64,
) -> Result<(), CommandError> {
    let answer = match cx.db.deadline(request.arg(1)) {
        None => -2,
        Some(None) => -1,
        Some(Some(deadline)) => shown(deadline) as i64,
    };
    cx.replies.integer(answer);
    Ok(())
}

/// How many milliseconds are left; none when the deadline has passed.
fn left(deadline: UnixMillis, now: UnixMillis) -> u64 {
    deadline.0.saturating_sub(now.0)
}

/// Milliseconds in seconds, rounded to the nearest: a key that was just given ten seconds has ten.
fn seconds(millis: u64) -> u64 {
    (millis + 500) / 1000
}

impl Conditions {
    fn of(request: &Request<'_>) -> Result<Self, CommandError> {
        let mut conditions = Self::default();
        for option in request.args(3) {
            let conditions = match option.to_ascii_uppercase().as_slice() {
                b"NX" => &mut conditions.none_yet,
                b"XX" => &mut conditions.replaces,
                b"GT" => &mut conditions.later,
                b"LT" => &mut conditions.earlier,
                _ => return Err(CommandError::quoting("ERR Unsupported option ", option, "")),
            };
            *conditions = true;
        }
        let Self { none_yet, replaces, later, earlier } = conditions;
        if none_yet && (replaces || later || earlier) {
            let text = "ERR NX and XX, GT or LT options at the same time are not compatible";
            return Err(CommandError::text(text));
        }
        if later && earlier {
            return Err(CommandError::text("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    fn allow(&self, deadline: UnixMillis, present: Option<UnixMillis>) -> bool {
        !(self.none_yet && present.is_some()
            || self.replaces && present.is_none()
            || self.later && present.is_none_or(|present| deadline <= present)
            || self.earlier && present.is_some_and(|present| deadline >= present))
    }
}

const fn row(name: &'static str, arity: i32, flags: Flags, keys: Keys, handler: DataHandler) -> Command {
    super::on_data("generic", name, arity, flags, keys, handler)
}

const READ_FAST: Flags = Flags::READONLY.and(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.and(Flags::FAST);
const ONE: Keys = Keys::FIRST;

/// The family's rows.
pub static COMMANDS: &[Command] = &[
    row("expire", -3, WRITE_FAST, ONE, expire),
    row("pexpire", -3, WRITE_FAST, ONE, pexpire),
    row("expireat", -3, WRITE_FAST, ONE, expireat),
    row("pexpireat", -3, WRITE_FAST, ONE, pexpireat),
    row("ttl", 2, READ_FAST, ONE, ttl),
    row("pttl", 2, READ_FAST, ONE, pttl),
    row("expiretime", 2, READ_FAST, ONE, expiretime),
    row("pexpiretime", 2, READ_FAST, ONE, pexpiretime),
    row("persist", 2, WRITE_FAST, ONE, persist),
];
