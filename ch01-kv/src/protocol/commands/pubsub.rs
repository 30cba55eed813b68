//! Publishing and subscribing.

use common::resp::server::{ConnId, Effect, Flow, Now};
use common::resp::table::{Flags, Subcommand};
use common::resp::{Replies, Request};

use crate::protocol::context::{Command, ServerHandler};
use crate::protocol::error::CommandError;
use crate::protocol::glob;
use crate::protocol::pubsub::Subject;
use crate::protocol::service::Kv;
use crate::protocol::session::ReplyMode;

type Outcome = Result<Flow, CommandError>;

/// Takes back all subscriptions of a connection.
pub fn leave_all(kv: &mut Kv, conn: ConnId) {
    for subject in [Subject::Channel, Subject::Pattern] {
        for name in std::mem::take(kv.session(conn).subscribed(subject)) {
            kv.pubsub.unsubscribe(conn, subject, &name);
        }
    }
}

/// Tells a connection what it has begun or ceased to subscribe to, and how many subscriptions that makes.
fn notice(kv: &mut Kv, conn: ConnId, replies: &mut Replies, kind: &str, name: Option<&[u8]>) {
    replies.push(3);
    replies.bulk(kind.as_bytes());
    match name {
        Some(name) => replies.bulk(name),
        None => replies.null(),
    }
    replies.integer(kv.session(conn).subscriptions() as i64);
}

fn subscribe(kv: &mut Kv, conn: ConnId, request: &Request<'_>, replies: &mut Replies, subject: Subject) -> Outcome {
    let kind = match subject {
        Subject::Channel => "subscribe",
        Subject::Pattern => "psubscribe",
    };
    for name in request.args(1) {
        if kv.session(conn).subscribed(subject).insert(name.into()) {
            kv.pubsub.subscribe(conn, subject, name);
        }
        notice(kv, conn, replies, kind, Some(name));
    }
    Ok(Flow::Continue)
}

fn unsubscribe(kv: &mut Kv, conn: ConnId, request: &Request<'_>, replies: &mut Replies, subject: Subject) -> Outcome {
    let kind = match subject {
        Subject::Channel => "unsubscribe",
        Subject::Pattern => "punsubscribe",
    };
    let subscribed = kv.session(conn).subscribed(subject);
    let names: Vec<Box<[u8]>> = match request.len() {
        1 => subscribed.iter().cloned().collect(),
        _ => request.args(1).map(Into::into).collect(),
    };
    if names.is_empty() {
        notice(kv, conn, replies, kind, None);
    }
    for name in names {
        kv.session(conn).subscribed(subject).remove(&name);
        kv.pubsub.unsubscribe(conn, subject, &name);
        notice(kv, conn, replies, kind, Some(&name));
    }
    Ok(Flow::Continue)
}

fn publish(kv: &mut Kv, _now: Now, conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    let (channel, message) = (request.arg(1), request.arg(2));
    let mut receivers = 0;
    // What a client sends to itself comes before the count, unless that would put it into the middle of a transaction's reply.
    let session = kv.session(conn);
    let own_first = !session.executes && session.reply_mode == ReplyMode::On;
    for delivery in kv.pubsub.deliveries(channel) {
        let protocol = kv.sessions[delivery.to.slot].protocol;
        let mut bytes = Replies::new(protocol);
        match delivery.pattern {
            None => {
                bytes.push(3);
                bytes.bulk(b"message");
            }
            Some(pattern) => {
                bytes.push(4);
                bytes.bulk(b"pmessage");
                bytes.bulk(pattern);
            }
        }
        bytes.bulk(channel);
        bytes.bulk(message);
        if own_first && delivery.to == conn {
            replies.raw(bytes.bytes());
        } else {
            kv.effects.push_back(Effect::Send(delivery.to, bytes.take()));
        }
        receivers += 1;
    }
    replies.integer(receivers);
    Ok(Flow::Continue)
}

fn pubsub(kv: &mut Kv, _now: Now, _conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    match super::chosen(COMMANDS, request)? {
        "channels" | "shardchannels" if request.len() > 3 => {
            // The table has no row for two numbers of arguments.
            let before = "ERR unknown subcommand or wrong number of arguments for '";
            return Err(CommandError::quoting(before, request.arg(1), "'. Try PUBSUB HELP."));
        }
        "channels" => {
            let pattern = request.get(2);
            let matches = |channel: &&[u8]| pattern.is_none_or(|pattern| glob::matches(pattern, channel, false));
            let shown: Vec<&[u8]> = kv.pubsub.channels().filter(matches).collect();
            replies.array(shown.len());
            shown.into_iter().for_each(|channel| replies.bulk(channel));
        }
        // There are no shards here, and so nobody subscribes to a channel of one.
        "shardchannels" => replies.array(0),
        "shardnumsub" => {
            replies.array(2 * (request.len() - 2));
            for channel in request.args(2) {
                replies.bulk(channel);
                replies.integer(0);
            }
        }
        "numsub" => {
            replies.array(2 * (request.len() - 2));
            for channel in request.args(2) {
                replies.bulk(channel);
                replies.integer(kv.pubsub.subscribers(channel) as i64);
            }
        }
        "numpat" => replies.integer(kv.pubsub.pattern_count() as i64),
        "help" => super::reply_help(
            replies,
            "PUBSUB",
            &[
                ("CHANNELS [<pattern>]", "Return the currently active channels matching a <pattern> (default: '*')."),
                ("NUMPAT", "Return number of subscriptions to patterns."),
                ("NUMSUB [<channel> ...]", "Return the number of subscribers for the specified channels."),
                ("SHARDCHANNELS [<pattern>]", "Return nothing: there are no shards here."),
                ("SHARDNUMSUB [<shardchannel> ...]", "Return zero for each of the specified channels."),
            ],
        ),
        name => unreachable!("{name} is in the table and not here"),
    }
    Ok(Flow::Continue)
}

const SUBSCRIBING: Flags = Flags::PUBSUB.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE);
const ASKING: Flags = Flags::PUBSUB.and(Flags::LOADING).and(Flags::STALE);

const fn row(name: &'static str, arity: i32, flags: Flags, handler: ServerHandler) -> Command {
    super::on_server("pubsub", name, arity, flags, handler)
}

/// The family.
pub static COMMANDS: &[Command] = &[
    row("psubscribe", -2, SUBSCRIBING, |kv, _, conn, request, replies| {
        subscribe(kv, conn, request, replies, Subject::Pattern)
    }),
    row("publish", 3, ASKING.and(Flags::FAST), publish),
    Command {
        subcommands: &[
            Subcommand { name: "channels", arity: -2, flags: ASKING },
            Subcommand { name: "help", arity: 2, flags: Flags::LOADING.and(Flags::STALE) },
            Subcommand { name: "numpat", arity: 2, flags: ASKING },
            Subcommand { name: "numsub", arity: -2, flags: ASKING },
            Subcommand { name: "shardchannels", arity: -2, flags: ASKING },
            Subcommand { name: "shardnumsub", arity: -2, flags: ASKING },
        ],
        ..row("pubsub", -2, Flags::NONE, pubsub)
    },
    row("punsubscribe", -1, SUBSCRIBING, |kv, _, conn, request, replies| {
        unsubscribe(kv, conn, request, replies, Subject::Pattern)
    }),
    row("subscribe", -2, SUBSCRIBING, |kv, _, conn, request, replies| {
        subscribe(kv, conn, request, replies, Subject::Channel)
    }),
    row("unsubscribe", -1, SUBSCRIBING, |kv, _, conn, request, replies| {
        unsubscribe(kv, conn, request, replies, Subject::Channel)
    }),
];
