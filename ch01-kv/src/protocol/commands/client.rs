//! `CLIENT`: what a connection may learn and change about itself and the others.

use std::time::Duration;

use common::resp::server::{ConnId, Effect, Flow, Now};
use common::resp::table::{Flags, Subcommand};
use common::resp::{OwnedRequest, Protocol, Replies, Request};

use crate::protocol::args;
use crate::protocol::context::Command;
use crate::protocol::error::CommandError;
use crate::protocol::service::Kv;
use crate::protocol::session::{ReplyMode, Session, Transaction};

type Outcome = Result<Flow, CommandError>;

/// Whether a connection is meant.
type Filter = Box<dyn Fn(&Session) -> bool>;

/// A name as `CLIENT SETNAME` takes it.
pub fn checked_name(name: &[u8]) -> Result<String, CommandError> {
    if !name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Err(CommandError::text("ERR Client names cannot contain spaces, newlines or special characters."));
    }
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// Keeps a request that `CLIENT PAUSE` holds back.
pub fn hold_back(kv: &mut Kv, conn: ConnId, request: &Request<'_>) -> Flow {
    kv.held_back.push((conn, OwnedRequest::new(request.args(0))));
    Flow::Block
}

fn client(kv: &mut Kv, now: Now, conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    match super::chosen(COMMANDS, request)? {
        "id" => replies.integer(conn.serial as i64),
        "getname" => match kv.session(conn).name.as_str() {
            "" => replies.null(),
            name => replies.bulk(name.as_bytes()),
        },
        "setname" => {
            kv.session(conn).name = checked_name(request.arg(2))?;
            replies.simple("OK");
        }
        "info" => {
            let line = describe(kv.session(conn), now);
            replies.verbatim("txt", format!("{line}\n").as_bytes());
        }
        "list" => list(kv, now, request, replies)?,
        "kill" => return kill(kv, conn, request, replies),
        "reply" => {
            let mode = match () {
                () if request.is(2, "on") => ReplyMode::On,
                () if request.is(2, "off") => ReplyMode::Off,
                () if request.is(2, "skip") => ReplyMode::SkipNext,
                () => return Err(CommandError::Syntax),
            };
            let session = kv.session(conn);
            let silent = session.reply_mode == ReplyMode::Off && mode == ReplyMode::SkipNext;
            if !silent {
                session.reply_mode = mode;
            }
            if mode == ReplyMode::On {
                replies.simple("OK");
            }
        }
        "pause" => pause(kv, now, request, replies)?,
        "unpause" => {
            kv.unpause(now);
            replies.simple("OK");
        }
        "unblock" => {
            let error = match () {
                () if request.len() == 3 || request.is(3, "timeout") => None,
                () if request.is(3, "error") => Some("UNBLOCKED client unblocked via CLIENT UNBLOCK"),
                () => return Err(CommandError::text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
            };
            let serial = args::integer(request.arg(2))?;
            let target = find(kv, serial);
            let unblocked = target.is_some_and(|target| kv.unblock(target, error));
            replies.integer(i64::from(unblocked));
        }
        "no-evict" => {
            kv.session(conn).no_evict = on_or_off(request)?;
            replies.simple("OK");
        }
        "getredir" => replies.integer(-1),
        // There is no client-side caching here, so it is off.
        "trackinginfo" => {
            replies.map(3);
            replies.bulk(b"flags");
            replies.set(1);
            replies.bulk(b"off");
            replies.bulk(b"redirect");
            replies.integer(-1);
            replies.bulk(b"prefixes");
            replies.array(0);
        }
        "help" => super::reply_help(
            replies,
            "CLIENT",
            &[
                ("GETNAME", "Return the name of the current connection."),
                ("ID", "Return the ID of the current connection."),
                ("INFO", "Return information about the current client connection."),
                ("KILL <ip:port> | <option> <value> [...]", "Kill connections."),
                ("LIST [options ...]", "Return information about client connections."),
                ("PAUSE <timeout> [WRITE|ALL]", "Suspend all, or just write, clients for <timeout> milliseconds."),
                ("REPLY (ON|OFF|SKIP)", "Control the replies sent to the current connection."),
                ("SETNAME <name>", "Assign the name <name> to the current connection."),
                ("UNBLOCK <clientid> [TIMEOUT|ERROR]", "Unblock the specified blocked client."),
            ],
        ),
        name => unreachable!("{name} is in the table and not here"),
    }
    Ok(Flow::Continue)
}

fn on_or_off(request: &Request<'_>) -> Result<bool, CommandError> {
    match () {
        () if request.is(2, "on") => Ok(true),
        () if request.is(2, "off") => Ok(false),
        () => Err(CommandError::Syntax),
    }
}

fn find(kv: &Kv, serial: i64) -> Option<ConnId> {
    kv.sessions.iter().map(|(_, session)| session.conn).find(|conn| conn.serial as i64 == serial)
}

fn pause(kv: &mut Kv, now: Now, request: &Request<'_>, replies: &mut Replies) -> Result<(), CommandError> {
    let writes_only = match () {
        () if request.len() == 3 || request.is(3, "all") => false,
        () if request.is(3, "write") => true,
        () => return Err(CommandError::text("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let millis = args::integer(request.arg(2))
        .map_err(|_| CommandError::text("ERR timeout is not an integer or out of range"))?;
    let millis = u64::try_from(millis).map_err(|_| CommandError::text("ERR timeout is negative"))?;
    kv.paused = Some((now.uptime.saturating_add(Duration::from_millis(millis)), writes_only));
    replies.simple("OK");
    Ok(())
}

fn list(kv: &mut Kv, now: Now, request: &Request<'_>, replies: &mut Replies) -> Result<(), CommandError> {
    let shows: Filter = match () {
        () if request.len() == 2 => Box::new(|_| true),
        () if request.is(2, "type") && request.len() == 4 => {
            let kind = request.arg(3).to_ascii_lowercase();
            match kind.as_slice() {
                b"normal" => Box::new(|session: &Session| session.subscriptions() == 0),
                b"pubsub" => Box::new(|session: &Session| session.subscriptions() > 0),
                b"master" | b"replica" | b"slave" => Box::new(|_: &Session| false),
                _ => {
                    return Err(CommandError::quoting("ERR Unknown client type '", request.arg(3), "'"));
                }
            }
        }
        () if request.is(2, "id") && request.len() > 3 => {
            let ids: Result<Vec<i64>, _> = request
                .args(3)
                .map(|id| {
                    args::integer(id).ok().filter(|id| *id > 0).ok_or(CommandError::text("ERR Invalid client ID"))
                })
                .collect();
            let ids = ids?;
            Box::new(move |session: &Session| ids.contains(&(session.conn.serial as i64)))
        }
        () => return Err(CommandError::Syntax),
    };
    let text: String = kv
        .sessions
        .iter()
        .filter(|(_, session)| shows(session))
        .map(|(_, session)| describe(session, now) + "\n")
        .collect();
    replies.verbatim("txt", text.as_bytes());
    Ok(())
}

fn kill(kv: &mut Kv, conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    if request.len() == 3 {
        let address = request.arg(2);
        let target = kv
            .sessions
            .iter()
            .map(|(_, session)| session)
            .find(|session| session.peer.remote.to_string().as_bytes() == address);
        let Some(target) = target.map(|session| session.conn) else {
            return Err(CommandError::text("ERR No such client"));
        };
        replies.simple("OK");
        return Ok(end(kv, conn, target));
    }
    if !request.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    let mut skip_me = true;
    let mut filters: Vec<Filter> = Vec::new();
    for option in (2..request.len()).step_by(2) {
        let value = request.arg(option + 1).to_vec();
        match () {
            () if request.is(option, "id") => {
                let id = args::integer(&value).ok().filter(|id| *id > 0);
                let id = id.ok_or(CommandError::text("ERR client-id should be greater than 0"))?;
                filters.push(Box::new(move |session| session.conn.serial as i64 == id));
            }
            () if request.is(option, "type") => {
                let subscriber = match value.to_ascii_lowercase().as_slice() {
                    b"normal" => Some(false),
                    b"pubsub" => Some(true),
                    b"master" | b"replica" | b"slave" => None,
                    _ => return Err(CommandError::quoting("ERR Unknown client type '", &value, "'")),
                };
                filters.push(Box::new(move |session| subscriber == Some(session.subscriptions() > 0)));
            }
            () if request.is(option, "addr") => {
                filters.push(Box::new(move |session| session.peer.remote.to_string().as_bytes() == value));
            }
            () if request.is(option, "laddr") => {
                filters.push(Box::new(move |session| session.peer.local.to_string().as_bytes() == value));
            }
            () if request.is(option, "user") => {
                if value != b"default" {
                    return Err(CommandError::quoting("ERR No such user '", &value, "'"));
                }
                filters.push(Box::new(|session| session.authenticated));
            }
            () if request.is(option, "skipme") => match value.to_ascii_lowercase().as_slice() {
                b"yes" => skip_me = true,
                b"no" => skip_me = false,
                _ => return Err(CommandError::Syntax),
            },
            () => return Err(CommandError::Syntax),
        }
    }
    let targets: Vec<ConnId> = kv
        .sessions
        .iter()
        .map(|(_, session)| session)
        .filter(|session| !(skip_me && session.conn == conn) && filters.iter().all(|filter| filter(session)))
        .map(|session| session.conn)
        .collect();
    replies.integer(targets.len() as i64);
    let mut flow = Flow::Continue;
    for target in targets {
        if end(kv, conn, target) == Flow::Close {
            flow = Flow::Close;
        }
    }
    Ok(flow)
}

/// Ends a connection: another's at once, one's own after the reply.
fn end(kv: &mut Kv, conn: ConnId, target: ConnId) -> Flow {
    if target == conn {
        return Flow::Close;
    }
    kv.effects.push_back(Effect::Kill(target));
    Flow::Continue
}

/// A client's line. There is one output buffer and no list of them, so that `oll` is 0; what the others say is as of the moment
/// when its socket was last offered something.
fn describe(session: &Session, now: Now) -> String {
    let transaction = session.transaction.as_ref().map_or(-1, |transaction| transaction.queued.len() as i64);
    format!(
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub=0 multi={} qbuf={} qbuf-free=0 \
         argv-mem=0 multi-mem={} rbs=0 rbp=0 obl={} oll=0 omem={} tot-mem={} events=r cmd={}{} user=default redir=-1 resp={}",
        session.conn.serial,
        session.peer.remote,
        session.peer.local,
        session.conn.slot,
        session.name,
        now.uptime.saturating_sub(session.since).as_secs(),
        now.uptime.saturating_sub(session.last_request).as_secs(),
        session.flags(),
        session.db,
        session.channels.len(),
        session.patterns.len(),
        transaction,
        session.holding.kept_bytes,
        session.transaction.as_ref().map_or(0, Transaction::bytes),
        session.holding.unsent_bytes,
        session.holding.buffer_bytes,
        session.memory_bytes(),
        session.last_command,
        session.last_subcommand.map(|name| format!("|{name}")).unwrap_or_default(),
        if session.protocol == Protocol::Resp3 { 3 } else { 2 },
    )
}

const OWN: Flags = Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE);
const OTHERS: Flags = OWN.and(Flags::ADMIN);

/// The family: one command, and what may be asked of it.
pub static COMMANDS: &[Command] = &[Command {
    subcommands: &[
        Subcommand { name: "getname", arity: 2, flags: OWN },
        Subcommand { name: "getredir", arity: 2, flags: OWN },
        Subcommand { name: "help", arity: 2, flags: Flags::LOADING.and(Flags::STALE) },
        Subcommand { name: "id", arity: 2, flags: OWN },
        Subcommand { name: "info", arity: 2, flags: OWN },
        Subcommand { name: "kill", arity: -3, flags: OTHERS },
        Subcommand { name: "list", arity: -2, flags: OTHERS },
        Subcommand { name: "no-evict", arity: 3, flags: OTHERS },
        Subcommand { name: "pause", arity: -3, flags: OTHERS },
        Subcommand { name: "reply", arity: 3, flags: OWN },
        Subcommand { name: "setname", arity: 3, flags: OWN },
        Subcommand { name: "trackinginfo", arity: 2, flags: OWN },
        Subcommand { name: "unblock", arity: -3, flags: OTHERS },
        Subcommand { name: "unpause", arity: 2, flags: OTHERS },
    ],
    ..super::on_server("connection", "client", -2, Flags::NONE, client)
}];
