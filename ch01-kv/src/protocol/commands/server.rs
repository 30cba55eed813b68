//! Commands about the server: what it knows of itself, its parameters, its slow log, its log, its end.

use std::time::Duration;

use common::resp::server::{ConnId, Effect, Flow, Now};
use common::resp::table::{Flags, Subcommand};
use common::resp::{Replies, Request};

use indexmap::IndexMap;

use crate::protocol::args;
use crate::protocol::config::{Config, SetError};
use crate::protocol::context::{Command, ServerHandler};
use crate::protocol::error::CommandError;
use crate::protocol::glob;
use crate::protocol::info;
use crate::protocol::service::Kv;

/// The longest sleep of `DEBUG SLEEP`, in seconds: it stops everybody.
const MAX_SLEEP_SECS: f64 = 3600.0;

type Outcome = Result<Flow, CommandError>;

fn info(kv: &mut Kv, now: Now, _conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    let wanted: Vec<String> = request.args(1).map(|arg| String::from_utf8_lossy(arg).to_ascii_lowercase()).collect();
    replies.verbatim("txt", info::text(kv, now, &wanted).as_bytes());
    Ok(Flow::Continue)
}

fn config(kv: &mut Kv, now: Now, _conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    match super::chosen(COMMANDS, request)? {
        "get" => {
            let all = kv.config.all();
            // A name that is no pattern is shown as the client wrote it.
            let mut shown: IndexMap<&[u8], &str> = IndexMap::new();
            for asked in request.args(2) {
                let is_pattern = asked.iter().any(|byte| b"[*?".contains(byte));
                for (name, value) in &all {
                    if glob::matches(asked, name.as_bytes(), true) {
                        shown.insert(if is_pattern { name.as_bytes() } else { asked }, value);
                    }
                }
            }
            replies.map(shown.len());
            for (name, value) in shown {
                replies.bulk(name);
                replies.bulk(value.as_bytes());
            }
        }
        "set" => {
            if !request.len().is_multiple_of(2) {
                return Err(CommandError::Syntax);
            }
            kv.config = changed_config(&kv.config, request)?;
            kv.apply_config(now);
            replies.simple("OK");
        }
        "resetstat" => {
            kv.stats.reset();
            replies.simple("OK");
        }
        "rewrite" => {
            return Err(CommandError::text("ERR The server is running without a config file"));
        }
        "help" => super::reply_help(
            replies,
            "CONFIG",
            &[
                ("GET <pattern>", "Return parameters matching the glob-like <pattern> and their values."),
                ("SET <directive> <value>", "Set the configuration <directive> to <value>."),
                ("RESETSTAT", "Reset statistics reported by the INFO command."),
                ("REWRITE", "Rewrite the configuration file."),
            ],
        ),
        name => unreachable!("{name} is in the table and not here"),
    }
    Ok(Flow::Continue)
}

/// The parameters as `CONFIG SET` wants them: all that it names are set, or none.
fn changed_config(config: &Config, request: &Request<'_>) -> Result<Config, CommandError> {
    let failed = |at: usize, error: &SetError| match error {
        SetError::Unknown => {
            CommandError::quoting("ERR Unknown option or number of arguments for CONFIG SET - '", request.arg(at), "'")
        }
        SetError::Refused(why) => CommandError::quoting(
            "ERR CONFIG SET failed (possibly related to argument '",
            &request.arg(at).to_ascii_lowercase(),
            &format!("') - {why}"),
        ),
    };
    let mut names = Vec::new();
    for at in (2..request.len()).step_by(2) {
        let name = String::from_utf8_lossy(request.arg(at)).to_ascii_lowercase();
        Config::check_settable(&name).map_err(|error| failed(at, &error))?;
        if names.contains(&name) {
            return Err(failed(at, &SetError::Refused("duplicate parameter".into())));
        }
        names.push(name);
    }
    let mut changed = config.clone();
    for (at, name) in (2..).step_by(2).zip(&names) {
        let set = match std::str::from_utf8(request.arg(at + 1)) {
            Ok(value) => changed.set(name, value),
            Err(_) => Err(SetError::Refused("argument must be text in UTF-8".into())),
        };
        set.map_err(|error| failed(at, &error))?;
    }
    Ok(changed)
}

fn slowlog(kv: &mut Kv, _now: Now, _conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    match super::chosen(COMMANDS, request)? {
        "get" => {
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
        "len" => replies.integer(kv.slowlog.entries().len() as i64),
        "reset" => {
            kv.slowlog.reset();
            replies.simple("OK");
        }
        "help" => super::reply_help(
            replies,
            "SLOWLOG",
            &[
                ("GET [<count>]", "Return top <count> entries from the slowlog (default: 10, -1 mean all)."),
                ("LEN", "Return the length of the slowlog."),
                ("RESET", "Reset the slowlog."),
            ],
        ),
        name => unreachable!("{name} is in the table and not here"),
    }
    Ok(Flow::Continue)
}

fn debug(_kv: &mut Kv, _now: Now, _conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    if request.is(1, "help") && request.len() == 2 {
        super::reply_help(replies, "DEBUG", &[("SLEEP <seconds>", "Stop the server for <seconds>. Decimals allowed.")]);
        return Ok(Flow::Continue);
    }
    if !request.is(1, "sleep") || request.len() != 3 {
        let given = &request.arg(1)[..request.arg(1).len().min(128)];
        let before = "ERR unknown subcommand or wrong number of arguments for '";
        return Err(CommandError::quoting(before, given, "'. Try DEBUG HELP."));
    }
    // What is no number is no time at all, as in Redis.
    let seconds = args::float(request.arg(2)).unwrap_or(0.0).clamp(0.0, MAX_SLEEP_SECS);
    // Stopping everybody is what it is for: it shows what one slow command does to the percentiles of all others.
    std::thread::sleep(Duration::from_secs_f64(seconds));
    replies.simple("OK");
    Ok(Flow::Continue)
}

fn shutdown(kv: &mut Kv, _now: Now, _conn: ConnId, request: &Request<'_>, _replies: &mut Replies) -> Outcome {
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

fn time(_kv: &mut Kv, now: Now, _conn: ConnId, _request: &Request<'_>, replies: &mut Replies) -> Outcome {
    replies.array(2);
    replies.bulk((now.unix_ms / 1000).to_string().as_bytes());
    replies.bulk((now.unix_ms % 1000 * 1000).to_string().as_bytes());
    Ok(Flow::Continue)
}

fn bgrewriteaof(kv: &mut Kv, _now: Now, _conn: ConnId, _request: &Request<'_>, replies: &mut Replies) -> Outcome {
    if kv.journal.is_none() {
        return Err(CommandError::text("ERR this server keeps no log: it was started with --appendonly no"));
    }
    if !kv.rewrite_log() {
        return Err(CommandError::text("ERR Background append only file rewriting already in progress"));
    }
    replies.simple("Background append only file rewriting started");
    Ok(Flow::Continue)
}

fn role(_kv: &mut Kv, _now: Now, _conn: ConnId, _request: &Request<'_>, replies: &mut Replies) -> Outcome {
    replies.array(3);
    replies.bulk(b"master");
    replies.integer(0);
    replies.array(0);
    Ok(Flow::Continue)
}

/// There are no functions here; clients that clean up before a test want to hear so.
fn function(_kv: &mut Kv, _now: Now, _conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    match super::chosen(COMMANDS, request)? {
        "flush" => {
            if request.len() > 3 || request.len() == 3 && !request.is(2, "sync") && !request.is(2, "async") {
                return Err(CommandError::text("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
            }
            replies.simple("OK");
        }
        "list" => {
            check_list_options(request)?;
            replies.array(0);
        }
        "help" => super::reply_help(
            replies,
            "FUNCTION",
            &[
                ("FLUSH [ASYNC|SYNC]", "Delete all the libraries."),
                ("LIST [LIBRARYNAME PATTERN] [WITHCODE]", "Return general information on all the libraries."),
            ],
        ),
        name => unreachable!("{name} is in the table and not here"),
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
                return Err(CommandError::quoting("ERR Unknown argument ", request.arg(at), ""));
            }
        }
        at += 1;
    }
    Ok(())
}

fn monitor(kv: &mut Kv, _now: Now, conn: ConnId, _request: &Request<'_>, replies: &mut Replies) -> Outcome {
    let already = std::mem::replace(&mut kv.session(conn).monitors, true);
    kv.stats.monitors += usize::from(!already);
    replies.simple("OK");
    Ok(Flow::Continue)
}

const ASKING: Flags = Flags::LOADING.and(Flags::STALE);
const ADMIN: Flags = Flags::ADMIN.and(Flags::NOSCRIPT).and(ASKING);

const fn row(name: &'static str, arity: i32, flags: Flags, handler: ServerHandler) -> Command {
    super::on_server("server", name, arity, flags, handler)
}

/// The family.
pub static COMMANDS: &[Command] = &[
    row("bgrewriteaof", 1, Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_ASYNC_LOADING), bgrewriteaof),
    Command {
        subcommands: &[
            Subcommand { name: "get", arity: -3, flags: ADMIN },
            Subcommand { name: "help", arity: 2, flags: ASKING },
            Subcommand { name: "resetstat", arity: 2, flags: ADMIN },
            Subcommand { name: "rewrite", arity: 2, flags: ADMIN },
            Subcommand { name: "set", arity: -4, flags: ADMIN },
        ],
        ..row("config", -2, Flags::NONE, config)
    },
    row("debug", -2, ADMIN, debug),
    Command {
        group: "scripting",
        subcommands: &[
            Subcommand { name: "flush", arity: -2, flags: Flags::WRITE.and(Flags::NOSCRIPT) },
            Subcommand { name: "help", arity: 2, flags: ASKING },
            Subcommand { name: "list", arity: -2, flags: Flags::NOSCRIPT },
        ],
        ..row("function", -2, Flags::NONE, function)
    },
    row("info", -1, ASKING, info),
    row("monitor", 1, ADMIN, monitor),
    row("role", 1, Flags::NOSCRIPT.and(ASKING).and(Flags::FAST), role),
    row("shutdown", -1, ADMIN.and(Flags::NO_MULTI).and(Flags::ALLOW_BUSY), shutdown),
    Command {
        subcommands: &[
            Subcommand { name: "get", arity: -2, flags: Flags::ADMIN.and(ASKING) },
            Subcommand { name: "help", arity: 2, flags: ASKING },
            Subcommand { name: "len", arity: 2, flags: Flags::ADMIN.and(ASKING) },
            Subcommand { name: "reset", arity: 2, flags: Flags::ADMIN.and(ASKING) },
        ],
        ..row("slowlog", -2, Flags::NONE, slowlog)
    },
    row("time", 1, ASKING.and(Flags::FAST), time),
];
