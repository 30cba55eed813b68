//! Commands about the server: what it knows of itself, its parameters, its slow log, its log, its end.

use std::time::Duration;

use common::resp::server::{ConnId, Effect, Flow, Now};
use common::resp::table::{Flags, Keys, Subcommand};
use common::resp::{Replies, Request};

use super::glob;
use crate::protocol::args;
use crate::protocol::context::{Command, Handler};
use crate::protocol::error::CommandError;
use crate::protocol::info;
use crate::protocol::service::Kv;

/// The longest sleep of `DEBUG SLEEP`, in seconds: it stops everybody.
const MAX_SLEEP_SECS: f64 = 3600.0;

fn info(
    kv: &mut Kv,
    now: Now,
    _conn: ConnId,
    request: &Request<'_>,
    replies: &mut Replies,
) -> Result<Flow, CommandError> {
    let wanted: Vec<String> = request.args(1).map(|arg| String::from_utf8_lossy(arg).to_ascii_lowercase()).collect();
    replies.verbatim("txt", info::text(kv, now, &wanted).as_bytes());
    Ok(Flow::Continue)
}

fn config(
    kv: &mut Kv,
    now: Now,
    _conn: ConnId,
    request: &Request<'_>,
    replies: &mut Replies,
) -> Result<Flow, CommandError> {
    let row = row("config");
    let known = super::subcommand(row, request);
    match known.map(|known| known.name) {
        Some("get") => {
            let patterns: Vec<Vec<u8>> = request.args(2).map(<[u8]>::to_ascii_lowercase).collect();
            let all = kv.config.all();
            let shown: Vec<_> = all
                .iter()
                .filter(|(name, _)| patterns.iter().any(|pattern| glob::matches(pattern, name.as_bytes(), true)))
                .collect();
            replies.map(shown.len());
            for (name, value) in shown {
                replies.bulk(name.as_bytes());
                replies.bulk(value.as_bytes());
            }
        }
        Some("set") => {
            if !request.len().is_multiple_of(2) {
                return Err(CommandError::Syntax);
            }
            // All of them or none.
            let mut changed = kv.config.clone();
            for at in (2..request.len()).step_by(2) {
                let name = String::from_utf8_lossy(request.arg(at));
                let value = String::from_utf8_lossy(request.arg(at + 1));
                if (2..at).step_by(2).any(|earlier| request.arg(earlier).eq_ignore_ascii_case(name.as_bytes())) {
                    return Err(CommandError::Other(
                        format!("ERR CONFIG SET failed (possibly related to argument '{name}') - duplicate parameter")
                            .into(),
                    ));
                }
                changed.set(&name, &value).map_err(|error| CommandError::Other(error.to_string().into()))?;
            }
            kv.config = changed;
            kv.apply_config(now);
            replies.simple("OK");
        }
        Some("resetstat") => {
            kv.stats.reset();
            replies.simple("OK");
        }
        Some("rewrite") => {
            return Err(CommandError::text("ERR The server is running without a config file"));
        }
        Some("help") => super::reply_help(
            replies,
            "CONFIG",
            &[
                ("GET <pattern>", "Return parameters matching the glob-like <pattern> and their values."),
                ("SET <directive> <value>", "Set the configuration <directive> to <value>."),
                ("RESETSTAT", "Reset statistics reported by the INFO command."),
            ],
        ),
        _ => return Err(super::subcommand_error(row, request)),
    }
    Ok(Flow::Continue)
}

fn slowlog(
    kv: &mut Kv,
    _now: Now,
    _conn: ConnId,
    request: &Request<'_>,
    replies: &mut Replies,
) -> Result<Flow, CommandError> {
    let row = row("slowlog");
    let known = super::subcommand(row, request);
    match known.map(|known| known.name) {
        Some("get") => {
            let count = match request.get(2) {
                None => 10,
                Some(arg) => match args::integer(arg) {
                    Ok(-1) => usize::MAX,
                    count => count
                        .ok()
                        .and_then(|count| usize::try_from(count).ok())
                        .ok_or(CommandError::text("ERR count should be greater than or equal to -1"))?,
                },
            };
            let entries = kv.slowlog.entries();
            replies.array(entries.len().min(count));
            for entry in entries.take(count) {
                replies.array(6);
                replies.integer(entry.id as i64);
                replies.integer(entry.unix_secs as i64);
                replies.integer(entry.took.as_micros() as i64);
                replies.array(entry.args.len());
                entry.args.iter().for_each(|arg| replies.bulk(arg));
                replies.bulk(entry.client.as_bytes());
                replies.bulk(entry.client_name.as_bytes());
            }
        }
        Some("len") => replies.integer(kv.slowlog.entries().len() as i64),
        Some("reset") => {
            kv.slowlog.reset();
            replies.simple("OK");
        }
        Some("help") => super::reply_help(
            replies,
            "SLOWLOG",
            &[
                ("GET [<count>]", "Return top <count> entries from the slowlog (default: 10, -1 mean all)."),
                ("LEN", "Return the length of the slowlog."),
                ("RESET", "Reset the slowlog."),
            ],
        ),
        _ => return Err(super::subcommand_error(row, request)),
    }
    Ok(Flow::Continue)
}

fn debug(
    _kv: &mut Kv,
    _now: Now,
    _conn: ConnId,
    request: &Request<'_>,
    replies: &mut Replies,
) -> Result<Flow, CommandError> {
    if !request.is(1, "sleep") || request.len() != 3 {
        let given = String::from_utf8_lossy(&request.arg(1)[..request.arg(1).len().min(128)]);
        let error = format!("ERR unknown subcommand or wrong number of arguments for '{given}'. Try DEBUG HELP.");
        return Err(CommandError::Other(error.into()));
    }
    let seconds = args::float(request.arg(2))?.clamp(0.0, MAX_SLEEP_SECS);
    // Stopping everybody is what it is for: it shows what one slow command does to the percentiles of all others.
    std::thread::sleep(Duration::from_secs_f64(seconds));
    replies.simple("OK");
    Ok(Flow::Continue)
}

fn shutdown(
    kv: &mut Kv,
    _now: Now,
    _conn: ConnId,
    request: &Request<'_>,
    _replies: &mut Replies,
) -> Result<Flow, CommandError> {
    let known = ["nosave", "save", "now", "force"];
    if request.is(1, "abort") && request.len() == 2 {
        return Err(CommandError::text("ERR No shutdown in progress."));
    }
    let says = |word: &str| (1..request.len()).any(|at| request.is(at, word));
    let all_known = (1..request.len()).all(|at| known.iter().any(|word| request.is(at, word)));
    if !all_known || says("save") && says("nosave") {
        return Err(CommandError::Syntax);
    }
    kv.effects.push_back(Effect::Shutdown);
    Ok(Flow::Close)
}

fn time(
    _kv: &mut Kv,
    now: Now,
    _conn: ConnId,
    _request: &Request<'_>,
    replies: &mut Replies,
) -> Result<Flow, CommandError> {
    replies.array(2);
    replies.bulk((now.unix_ms / 1000).to_string().as_bytes());
    replies.bulk((now.unix_ms % 1000 * 1000).to_string().as_bytes());
    Ok(Flow::Continue)
}

fn bgrewriteaof(
    kv: &mut Kv,
    _now: Now,
    _conn: ConnId,
    _request: &Request<'_>,
    replies: &mut Replies,
) -> Result<Flow, CommandError> {
    if kv.journal.is_none() {
        return Err(CommandError::text("ERR this server keeps no log: it was started with --appendonly no"));
    }
    if !kv.rewrite_log() {
        return Err(CommandError::text("ERR Background append only file rewriting already in progress"));
    }
    replies.simple("Background append only file rewriting started");
    Ok(Flow::Continue)
}

fn role(
    _kv: &mut Kv,
    _now: Now,
    _conn: ConnId,
    _request: &Request<'_>,
    replies: &mut Replies,
) -> Result<Flow, CommandError> {
    replies.array(3);
    replies.bulk(b"master");
    replies.integer(0);
    replies.array(0);
    Ok(Flow::Continue)
}

/// There are no functions here; clients that clean up before a test want to hear so.
fn function(
    _kv: &mut Kv,
    _now: Now,
    _conn: ConnId,
    request: &Request<'_>,
    replies: &mut Replies,
) -> Result<Flow, CommandError> {
    match () {
        () if request.is(1, "flush") && request.len() == 2 => replies.simple("OK"),
        () if request.is(1, "flush") => {
            if request.len() > 3 || !(request.is(2, "sync") || request.is(2, "async")) {
                return Err(CommandError::text("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
            }
            replies.simple("OK");
        }
        () if request.is(1, "list") => {
            check_list_options(request)?;
            replies.array(0);
        }
        () if request.is(1, "help") && request.len() == 2 => super::reply_help(
            replies,
            "FUNCTION",
            &[
                ("FLUSH [ASYNC|SYNC]", "Delete all the libraries."),
                ("LIST [LIBRARYNAME PATTERN] [WITHCODE]", "Return general information on all the libraries."),
            ],
        ),
        () => return Err(super::subcommand_error(row("function"), request)),
    }
    Ok(Flow::Continue)
}

fn check_list_options(request: &Request<'_>) -> Result<(), CommandError> {
    let (mut with_code, mut named) = (false, false);
    let mut at = 2;
    while at < request.len() {
        match () {
            () if !with_code && request.is(at, "withcode") => with_code = true,
            () if !named && request.is(at, "libraryname") => {
                at += 1;
                if at >= request.len() {
                    return Err(CommandError::text("ERR library name argument was not given"));
                }
                named = true;
            }
            () => {
                let given = String::from_utf8_lossy(request.arg(at)).into_owned();
                return Err(CommandError::Other(format!("ERR Unknown argument {given}").into()));
            }
        }
        at += 1;
    }
    Ok(())
}

fn monitor(
    kv: &mut Kv,
    _now: Now,
    conn: ConnId,
    _request: &Request<'_>,
    replies: &mut Replies,
) -> Result<Flow, CommandError> {
    let already = std::mem::replace(&mut kv.session(conn).monitors, true);
    kv.stats.monitors += usize::from(!already);
    replies.simple("OK");
    Ok(Flow::Continue)
}

fn command(
    kv: &mut Kv,
    _now: Now,
    _conn: ConnId,
    request: &Request<'_>,
    replies: &mut Replies,
) -> Result<Flow, CommandError> {
    let row = row("command");
    if request.len() == 1 {
        replies.array(kv.table.len());
        for command in kv.table.iter() {
            describe(command, replies);
        }
        return Ok(Flow::Continue);
    }
    let known = super::subcommand(row, request);
    match known.map(|known| known.name) {
        Some("count") => replies.integer(kv.table.len() as i64),
        Some("docs") => replies.map(0),
        Some("list") => {
            let filter: Option<&[u8]> = match request.len() {
                2 => None,
                5 if request.is(2, "filterby") && request.is(3, "pattern") => Some(request.arg(4)),
                // No command belongs to a module; categories of ACL are not kept here.
                5 if request.is(2, "filterby") && (request.is(3, "module") || request.is(3, "aclcat")) => Some(b""),
                _ => return Err(CommandError::Syntax),
            };
            let shown: Vec<_> = kv
                .table
                .iter()
                .filter(|command| filter.is_none_or(|pattern| glob::matches(pattern, command.name.as_bytes(), true)))
                .collect();
            replies.array(shown.len());
            shown.iter().for_each(|command| replies.bulk(command.name.as_bytes()));
        }
        Some("info") if request.len() == 2 => {
            replies.array(kv.table.len());
            kv.table.iter().for_each(|command| describe(command, replies));
        }
        Some("info") => {
            replies.array(request.len() - 2);
            for name in request.args(2) {
                match kv.table.find(name) {
                    Some(command) => describe(command, replies),
                    None => replies.null(),
                }
            }
        }
        Some("getkeys") => get_keys(kv, request, replies)?,
        Some("help") => super::reply_help(
            replies,
            "COMMAND",
            &[
                ("(no subcommand)", "Return details about all Redis commands."),
                ("COUNT", "Return the total number of commands in this Redis server."),
                ("LIST", "Return a list of all commands in this Redis server."),
                ("INFO [<command-name> ...]", "Return details about multiple Redis commands."),
                ("GETKEYS <full-command>", "Return the keys from a full Redis command."),
            ],
        ),
        _ => return Err(super::subcommand_error(row, request)),
    }
    Ok(Flow::Continue)
}

fn get_keys(kv: &Kv, request: &Request<'_>, replies: &mut Replies) -> Result<(), CommandError> {
    let inner = common::resp::OwnedRequest::new(request.args(2));
    let inner = inner.as_request();
    let Some(command) = kv.table.find(inner.name()) else {
        return Err(CommandError::text("ERR Invalid command specified"));
    };
    if !command.takes(inner.len()) {
        return Err(CommandError::text("ERR Invalid number of arguments specified for command"));
    }
    let positions: Vec<usize> = command.keys.positions(&inner).collect();
    if positions.is_empty() {
        return Err(CommandError::text("ERR The command has no key arguments"));
    }
    replies.array(positions.len());
    positions.into_iter().for_each(|position| replies.bulk(inner.arg(position)));
    Ok(())
}

fn describe(command: &Command, replies: &mut Replies) {
    replies.array(10);
    replies.bulk(command.name.as_bytes());
    // A container has no keys of its own: its row tells where those of its subcommands stand.
    let is_container = !command.subcommands.is_empty();
    describe_row(command.arity, command.flags, if is_container { Keys::None } else { command.keys }, replies);
    if is_container {
        replies.array(command.subcommands.len());
    } else {
        replies.set(0);
    }
    for subcommand in command.subcommands {
        replies.array(10);
        replies.bulk(format!("{}|{}", command.name, subcommand.name).as_bytes());
        let on_data = subcommand.flags.has(Flags::READONLY) || subcommand.flags.has(Flags::WRITE);
        let keys = if on_data { command.keys } else { Keys::None };
        describe_row(subcommand.arity, subcommand.flags, keys, replies);
        replies.set(0);
    }
}

fn describe_row(arity: i32, flags: Flags, keys: Keys, replies: &mut Replies) {
    replies.integer(i64::from(arity));
    write_flags(flags, replies);
    let (first, last, step) = keys.shown();
    for position in [first, last, step] {
        replies.integer(position);
    }
    // Categories of ACL, tips and key specifications.
    for _ in 0..3 {
        replies.set(0);
    }
}

fn write_flags(flags: Flags, replies: &mut Replies) {
    let names: Vec<&str> = flags.names().collect();
    replies.set(names.len());
    names.into_iter().for_each(|name| replies.simple(name));
}

fn row(name: &str) -> &'static Command {
    COMMANDS.iter().find(|command| command.name == name).expect("the family has the command")
}

const ASKING: Flags = Flags::LOADING.and(Flags::STALE);
const ADMIN: Flags = Flags::ADMIN.and(Flags::NOSCRIPT).and(ASKING);

/// The family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "bgrewriteaof", arity: 1, flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_ASYNC_LOADING), keys: Keys::None, group: "server", handler: Handler::Server(bgrewriteaof), subcommands: &[] },
    Command { name: "command", arity: -1, flags: ASKING, keys: Keys::None, group: "server", handler: Handler::Server(command), subcommands: &[
        Subcommand { name: "count", arity: 2, flags: ASKING },
        Subcommand { name: "docs", arity: -2, flags: ASKING },
        Subcommand { name: "getkeys", arity: -4, flags: ASKING },
        Subcommand { name: "help", arity: 2, flags: ASKING },
        Subcommand { name: "info", arity: -2, flags: ASKING },
        Subcommand { name: "list", arity: -2, flags: ASKING },
    ] },
    Command { name: "config", arity: -2, flags: Flags::NONE, keys: Keys::None, group: "server", handler: Handler::Server(config), subcommands: &[
        Subcommand { name: "get", arity: -3, flags: ADMIN },
        Subcommand { name: "help", arity: 2, flags: ASKING },
        Subcommand { name: "resetstat", arity: 2, flags: ADMIN },
        Subcommand { name: "rewrite", arity: 2, flags: ADMIN },
        Subcommand { name: "set", arity: -4, flags: ADMIN },
    ] },
    Command { name: "debug", arity: -2, flags: ADMIN, keys: Keys::None, group: "server", handler: Handler::Server(debug), subcommands: &[] },
    Command { name: "function", arity: -2, flags: Flags::NONE, keys: Keys::None, group: "scripting", handler: Handler::Server(function), subcommands: &[
        Subcommand { name: "flush", arity: -2, flags: Flags::WRITE.and(Flags::NOSCRIPT) },
        Subcommand { name: "help", arity: 2, flags: ASKING },
        Subcommand { name: "list", arity: -2, flags: Flags::NOSCRIPT },
    ] },
    Command { name: "info", arity: -1, flags: ASKING, keys: Keys::None, group: "server", handler: Handler::Server(info), subcommands: &[] },
    Command { name: "monitor", arity: 1, flags: ADMIN, keys: Keys::None, group: "server", handler: Handler::Server(monitor), subcommands: &[] },
    Command { name: "role", arity: 1, flags: Flags::NOSCRIPT.and(ASKING).and(Flags::FAST), keys: Keys::None, group: "server", handler: Handler::Server(role), subcommands: &[] },
    Command { name: "shutdown", arity: -1, flags: ADMIN.and(Flags::NO_MULTI).and(Flags::ALLOW_BUSY), keys: Keys::None, group: "server", handler: Handler::Server(shutdown), subcommands: &[] },
    Command { name: "slowlog", arity: -2, flags: Flags::NONE, keys: Keys::None, group: "server", handler: Handler::Server(slowlog), subcommands: &[
        Subcommand { name: "get", arity: -2, flags: Flags::ADMIN.and(ASKING) },
        Subcommand { name: "help", arity: 2, flags: ASKING },
        Subcommand { name: "len", arity: 2, flags: Flags::ADMIN.and(ASKING) },
        Subcommand { name: "reset", arity: 2, flags: Flags::ADMIN.and(ASKING) },
    ] },
    Command { name: "time", arity: 1, flags: ASKING.and(Flags::FAST), keys: Keys::None, group: "server", handler: Handler::Server(time), subcommands: &[] },
];
