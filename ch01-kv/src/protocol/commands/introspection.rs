//! `COMMAND`: what the command table says of itself, for clients that want to know where a command's keys are.

use common::resp::server::{ConnId, Flow, Now};
use common::resp::table::{Flags, Keys, Subcommand};
use common::resp::{OwnedRequest, Replies, Request};

use super::glob;
use crate::protocol::context::Command;
use crate::protocol::error::CommandError;
use crate::protocol::service::Kv;

type Outcome = Result<Flow, CommandError>;

fn command(kv: &mut Kv, _now: Now, _conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Outcome {
    if request.len() == 1 {
        replies.array(kv.table.len());
        for command in kv.table.iter() {
            describe(command, replies);
        }
        return Ok(Flow::Continue);
    }
    match super::chosen(COMMANDS, request)? {
        "count" => replies.integer(kv.table.len() as i64),
        "docs" => replies.map(0),
        "list" => {
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
        "info" if request.len() == 2 => {
            replies.array(kv.table.len());
            kv.table.iter().for_each(|command| describe(command, replies));
        }
        "info" => {
            replies.array(request.len() - 2);
            for name in request.args(2) {
                match kv.table.find(name) {
                    Some(command) => describe(command, replies),
                    None => replies.null(),
                }
            }
        }
        "getkeys" => get_keys(kv, request, replies)?,
        "help" => super::reply_help(
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
        name => unreachable!("{name} is in the table and not here"),
    }
    Ok(Flow::Continue)
}

fn get_keys(kv: &Kv, request: &Request<'_>, replies: &mut Replies) -> Result<(), CommandError> {
    let inner = OwnedRequest::new(request.args(2));
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

const ASKING: Flags = Flags::LOADING.and(Flags::STALE);

/// The family: one command, and what may be asked of it.
pub static COMMANDS: &[Command] = &[Command {
    subcommands: &[
        Subcommand { name: "count", arity: 2, flags: ASKING },
        Subcommand { name: "docs", arity: -2, flags: ASKING },
        Subcommand { name: "getkeys", arity: -4, flags: ASKING },
        Subcommand { name: "help", arity: 2, flags: ASKING },
        Subcommand { name: "info", arity: -2, flags: ASKING },
        Subcommand { name: "list", arity: -2, flags: ASKING },
    ],
    ..super::on_server("server", "command", -1, ASKING, command)
}];
