//! Commands on the connection itself: greeting, password, selecting a protocol, saying goodbye.

use common::resp::server::{ConnId, Flow, Now};
use common::resp::table::Flags;
use common::resp::{Protocol, Replies, Request};

use crate::protocol::args;
use crate::protocol::context::{Command, ServerHandler};
use crate::protocol::error::CommandError;
use crate::protocol::service::Kv;
use crate::protocol::session::ReplyMode;

type Outcome = Result<Flow, CommandError>;

/// The version whose answers these are: clients choose what they send by it.
pub const REDIS_VERSION: &str = "7.0.15";

fn ping(kv: &mut Kv, _now: Now, conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    if request.len() > 2 {
        return Err(CommandError::arity("ping"));
    }
    let session = kv.session(conn);
    if session.subscriptions() > 0 && session.protocol == Protocol::Resp2 {
        replies.array(2);
        replies.bulk(b"pong");
        replies.bulk(request.get(1).unwrap_or_default());
    } else {
        match request.get(1) {
            Some(message) => replies.bulk(message),
            None => replies.simple("PONG"),
        }
    }
    Ok(Flow::Continue)
}

fn echo(_kv: &mut Kv, _now: Now, _conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    replies.bulk(request.arg(1));
    Ok(Flow::Continue)
}

fn quit(_kv: &mut Kv, _now: Now, _conn: ConnId, _request: &Request<'_>, replies: &mut Replies) -> Outcome {
    replies.simple("OK");
    Ok(Flow::Close)
}

fn reset(kv: &mut Kv, now: Now, conn: ConnId, _request: &Request<'_>, replies: &mut Replies) -> Outcome {
    super::transactions::discard_all(kv, conn);
    super::pubsub::leave_all(kv, conn);
    let authenticated = kv.config.requirepass.is_empty();
    let session = kv.session(conn);
    let monitored = std::mem::take(&mut session.monitors);
    session.db = 0;
    session.name.clear();
    session.protocol = Protocol::Resp2;
    session.reply_mode = ReplyMode::On;
    session.authenticated = authenticated;
    session.no_evict = false;
    session.last_request = now.uptime;
    kv.stats.monitors -= usize::from(monitored);
    replies.set_protocol(Protocol::Resp2);
    replies.simple("RESET");
    Ok(Flow::Continue)
}

fn auth(kv: &mut Kv, _now: Now, conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    if request.len() > 3 {
        return Err(CommandError::Syntax);
    }
    if request.len() == 2 && kv.config.requirepass.is_empty() {
        return Err(CommandError::text(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        ));
    }
    let user = if request.len() == 3 { request.arg(1) } else { b"default" };
    authenticate(kv, conn, user, request.arg(request.len() - 1))?;
    replies.simple("OK");
    Ok(Flow::Continue)
}

fn authenticate(kv: &mut Kv, conn: ConnId, user: &[u8], password: &[u8]) -> Result<(), CommandError> {
    let expected = kv.config.requirepass.as_bytes();
    // Without a password, the default user may come with any.
    if user == b"default" && (expected.is_empty() || equal_in_constant_time(expected, password)) {
        kv.session(conn).authenticated = true;
        return Ok(());
    }
    Err(CommandError::text("WRONGPASS invalid username-password pair or user is disabled."))
}

/// Compares without telling by its duration how much was right.
fn equal_in_constant_time(expected: &[u8], given: &[u8]) -> bool {
    let mut difference = expected.len() ^ given.len();
    for (index, byte) in given.iter().enumerate() {
        difference |= usize::from(expected[index % expected.len().max(1)] ^ byte);
    }
    difference == 0
}

fn hello(kv: &mut Kv, _now: Now, conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    let mut protocol = kv.session(conn).protocol;
    let mut next = 1;
    if let Some(version) = request.get(1) {
        protocol = match args::integer(version) {
            Ok(2) => Protocol::Resp2,
            Ok(3) => Protocol::Resp3,
            Ok(_) => return Err(CommandError::text("NOPROTO unsupported protocol version")),
            Err(_) => return Err(CommandError::text("ERR Protocol version is not an integer or out of range")),
        };
        next = 2;
    }
    let mut name = None;
    while next < request.len() {
        if request.is(next, "auth") && next + 2 < request.len() {
            authenticate(kv, conn, request.arg(next + 1), request.arg(next + 2))?;
            next += 3;
        } else if request.is(next, "setname") && next + 1 < request.len() {
            name = Some(super::client::checked_name(request.arg(next + 1))?);
            next += 2;
        } else {
            return Err(CommandError::quoting("ERR Syntax error in HELLO option '", request.arg(next), "'"));
        }
    }
    let session = kv.session(conn);
    if !session.authenticated {
        return Err(CommandError::text(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> \
             option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    session.protocol = protocol;
    if let Some(name) = name {
        session.name = name;
    }
    replies.set_protocol(protocol);
    replies.map(7);
    for (field, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        replies.bulk(field.as_bytes());
        replies.bulk(value.as_bytes());
    }
    replies.bulk(b"proto");
    replies.integer(if protocol == Protocol::Resp3 { 3 } else { 2 });
    replies.bulk(b"id");
    replies.integer(conn.serial as i64);
    for (field, value) in [("mode", "standalone"), ("role", "master")] {
        replies.bulk(field.as_bytes());
        replies.bulk(value.as_bytes());
    }
    replies.bulk(b"modules");
    replies.array(0);
    Ok(Flow::Continue)
}

const fn row(name: &'static str, arity: i32, flags: Flags, handler: ServerHandler) -> Command {
    super::on_server("connection", name, arity, flags, handler)
}

const ANYTIME: Flags =
    Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::FAST).and(Flags::NO_AUTH).and(Flags::ALLOW_BUSY);

/// The family's rows.
pub static COMMANDS: &[Command] = &[
    row("auth", -2, ANYTIME, auth),
    row("echo", 2, Flags::LOADING.and(Flags::STALE).and(Flags::FAST), echo),
    row("hello", -1, ANYTIME, hello),
    row("ping", -1, Flags::FAST, ping),
    row("quit", -1, ANYTIME, quit),
    row("reset", 1, ANYTIME, reset),
];
