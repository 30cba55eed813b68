//! Publishing and subscribing.

use common::resp::server::{ConnId, Effect, Flow, Now};
use common::resp::table::{Flags, Keys, Subcommand};
use common::resp::{Replies, Request};

use super::glob;
use crate::protocol::context::{Command, Handler};
use crate::protocol::error::CommandError;
use crate::protocol::service::Kv;

/// Takes back all subscriptions of a connection.
pub fn leave_all(kv: &mut Kv, conn: ConnId) {
    let session = kv.session(conn);
    let (channels, patterns) = (std::mem::take(&mut session.channels), std::mem::take(&mut session.patterns));
    for channel in channels {
        kv.pubsub.unsubscribe(conn, &channel);
    }
    for pattern in patterns {
        kv.pubsub.unsubscribe_pattern(conn, &pattern);
    }
}

fn notice(replies: &mut Replies, kind: &str, name: Option<&[u8]>, subscriptions: usize) {
    replies.push(3);
    replies.bulk(kind.as_bytes());
    match name {
        Some(name) => replies.bulk(name),
        None => replies.null(),
    }
    replies.integer(subscriptions as i64);
}

fn subscribe(
    kv: &mut Kv,
    _now: Now,
    conn: ConnId,
    request: &Request<'_>,
    replies: &mut Replies,
) -> Result<Flow, CommandError> {
    for channel in request.args(1) {
        if kv.session(conn).channels.insert(channel.into()) {
            kv.pubsub.subscribe(conn, channel);
        }
        notice(replies, "subscribe", Some(channel), kv.session(conn).subscriptions());
    }
    Ok(Flow::Continue)
}

fn psubscribe(
    kv: &mut Kv,
    _now: Now,
    conn: ConnId,
    request: &Request<'_>,
    replies: &mut Replies,
) -> Result<Flow, CommandError> {
    for pattern in request.args(1) {
        if kv.session(conn).patterns.insert(pattern.into()) {
            kv.pubsub.subscribe_pattern(conn, pattern);
        }
        notice(replies, "psubscribe", Some(pattern), kv.session(conn).subscriptions());
    }
    Ok(Flow::Continue)
}

fn unsubscribe(
    kv: &mut Kv,
    _now: Now,
    conn: ConnId,
    request: &Request<'_>,
    replies: &mut Replies,
) -> Result<Flow, CommandError> {
    let channels: Vec<Box<[u8]>> = if request.len() > 1 {
        request.args(1).map(Into::into).collect()
    } else {
        kv.session(conn).channels.iter().cloned().collect()
    };
    if channels.is_empty() {
        notice(replies, "unsubscribe", None, kv.session(conn).subscriptions());
    }
    for channel in channels {
        kv.session(conn).channels.remove(&channel);
        kv.pubsub.unsubscribe(conn, &channel);
        notice(replies, "unsubscribe", Some(&channel), kv.session(conn).subscriptions());
    }
    Ok(Flow::Continue)
}

fn punsubscribe(
    kv: &mut Kv,
    _now: Now,
    conn: ConnId,
    request: &Request<'_>,
    replies: &mut Replies,
) -> Result<Flow, CommandError> {
    let patterns: Vec<Box<[u8]>> = if request.len() > 1 {
        request.args(1).map(Into::into).collect()
    } else {
        kv.session(conn).patterns.iter().cloned().collect()
    };
    if patterns.is_empty() {
        notice(replies, "punsubscribe", None, kv.session(conn).subscriptions());
    }
    for pattern in patterns {
        kv.session(conn).patterns.remove(&pattern);
        kv.pubsub.unsubscribe_pattern(conn, &pattern);
        notice(replies, "punsubscribe", Some(&pattern), kv.session(conn).subscriptions());
    }
    Ok(Flow::Continue)
}

fn publish(
    kv: &mut Kv,
    _now: Now,
    _conn: ConnId,
    request: &Request<'_>,
    replies: &mut Replies,
) -> Result<Flow, CommandError> {
    let (channel, message) = (request.arg(1), request.arg(2));
    let mut receivers = 0;
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
        kv.effects.push_back(Effect::Send(delivery.to, bytes.take()));
        receivers += 1;
    }
    replies.integer(receivers);
    Ok(Flow::Continue)
}

fn pubsub(
    kv: &mut Kv,
    _now: Now,
    _conn: ConnId,
    request: &Request<'_>,
    replies: &mut Replies,
) -> Result<Flow, CommandError> {
    if request.is(1, "channels") && request.len() <= 3 {
        let pattern = request.get(2);
        let shown: Vec<&[u8]> = kv
            .pubsub
            .channels()
            .filter(|channel| pattern.is_none_or(|pattern| glob::matches(pattern, channel, false)))
            .collect();
        replies.array(shown.len());
        shown.into_iter().for_each(|channel| replies.bulk(channel));
    } else if request.is(1, "numsub") {
        replies.array(2 * (request.len() - 2));
        for channel in request.args(2) {
            replies.bulk(channel);
            replies.integer(kv.pubsub.subscribers(channel) as i64);
        }
    } else if request.is(1, "numpat") && request.len() == 2 {
        replies.integer(kv.pubsub.pattern_count() as i64);
    } else if request.is(1, "help") && request.len() == 2 {
        super::reply_help(
            replies,
            "PUBSUB",
            &[
                ("CHANNELS [<pattern>]", "Return the currently active channels matching a <pattern> (default: '*')."),
                ("NUMPAT", "Return number of subscriptions to patterns."),
                ("NUMSUB [<channel> ...]", "Return the number of subscribers for the specified channels."),
            ],
        );
    } else {
        // The table has let it pass, so that the subcommand is known: it has too many arguments.
        let given = String::from_utf8_lossy(request.arg(1)).into_owned();
        let error = format!("ERR unknown subcommand or wrong number of arguments for '{given}'. Try PUBSUB HELP.");
        return Err(CommandError::Other(error.into()));
    }
    Ok(Flow::Continue)
}

const SUBSCRIBING: Flags = Flags::PUBSUB.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE);
const ASKING: Flags = Flags::PUBSUB.and(Flags::LOADING).and(Flags::STALE);

/// The family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "psubscribe", arity: -2, flags: SUBSCRIBING, keys: Keys::None, group: "pubsub", handler: Handler::Server(psubscribe), subcommands: &[] },
    Command { name: "publish", arity: 3, flags: ASKING.and(Flags::FAST), keys: Keys::None, group: "pubsub", handler: Handler::Server(publish), subcommands: &[] },
    Command { name: "pubsub", arity: -2, flags: Flags::NONE, keys: Keys::None, group: "pubsub", handler: Handler::Server(pubsub), subcommands: &[
        Subcommand { name: "channels", arity: -2, flags: ASKING },
        Subcommand { name: "help", arity: 2, flags: Flags::LOADING.and(Flags::STALE) },
        Subcommand { name: "numpat", arity: 2, flags: ASKING },
        Subcommand { name: "numsub", arity: -2, flags: ASKING },
    ] },
    Command { name: "punsubscribe", arity: -1, flags: SUBSCRIBING, keys: Keys::None, group: "pubsub", handler: Handler::Server(punsubscribe), subcommands: &[] },
    Command { name: "subscribe", arity: -2, flags: SUBSCRIBING, keys: Keys::None, group: "pubsub", handler: Handler::Server(subscribe), subcommands: &[] },
    Command { name: "unsubscribe", arity: -1, flags: SUBSCRIBING, keys: Keys::None, group: "pubsub", handler: Handler::Server(unsubscribe), subcommands: &[] },
];
