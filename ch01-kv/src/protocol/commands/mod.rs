//! The commands, one family a file. Each file ends in the rows of its family; together they are the command table.
//!
//! A row is all that the server knows of a command: its arity has been checked and its due keys have been removed before
//! the handler runs, and what the handler changed is logged after it, so that a handler holds nothing but its meaning.

use common::resp::table::{Flags, Keys, Subcommand};
use common::resp::{Replies, Request};

use super::context::{Command, DataHandler, Handler, ServerHandler};
use super::error::CommandError;

pub mod blocking;
pub mod client;
pub mod connection;
pub mod counters;
pub mod databases;
pub mod expiry;
pub mod hashes;
pub mod introspection;
pub mod keys;
pub mod lists;
pub mod pubsub;
pub mod scan;
pub mod server;
pub mod set_algebra;
pub mod sets;
mod shared;
pub mod strings;
pub mod transactions;
pub mod zset_algebra;
pub mod zset_pops;
pub mod zset_ranges;
pub mod zsets;

/// All families.
pub static FAMILIES: &[&[Command]] = &[
    strings::COMMANDS,
    counters::COMMANDS,
    keys::COMMANDS,
    scan::COMMANDS,
    expiry::COMMANDS,
    hashes::COMMANDS,
    lists::COMMANDS,
    blocking::COMMANDS,
    sets::COMMANDS,
    set_algebra::COMMANDS,
    zsets::COMMANDS,
    zset_ranges::COMMANDS,
    zset_pops::COMMANDS,
    zset_algebra::COMMANDS,
    transactions::COMMANDS,
    pubsub::COMMANDS,
    databases::COMMANDS,
    connection::COMMANDS,
    client::COMMANDS,
    server::COMMANDS,
    introspection::COMMANDS,
];

/// The row of a command on data.
pub const fn on_data(
    group: &'static str,
    name: &'static str,
    arity: i32,
    flags: Flags,
    keys: Keys,
    handler: DataHandler,
) -> Command {
    Command { name, arity, flags, keys, group, handler: Handler::Data(handler), subcommands: &[] }
}

/// The row of a command on the server or the connection that takes no keys.
pub const fn on_server(
    group: &'static str,
    name: &'static str,
    arity: i32,
    flags: Flags,
    handler: ServerHandler,
) -> Command {
    Command { name, arity, flags, keys: Keys::None, group, handler: Handler::Server(handler), subcommands: &[] }
}

/// The row of the subcommand that a request to a container names, if there is one and it takes so many arguments.
pub fn subcommand<'a>(container: &'a Command, request: &Request<'_>) -> Option<&'a Subcommand> {
    container.subcommands.iter().find(|known| request.is(1, known.name) && known.takes(request.len()))
}

/// The name of the subcommand that a request to a container of `family` names, or what it is answered when that is none.
pub fn chosen(family: &'static [Command], request: &Request<'_>) -> Result<&'static str, CommandError> {
    let container = family.iter().find(|known| request.is(0, known.name)).expect("the family has the command");
    match subcommand(container, request) {
        Some(known) => Ok(known.name),
        None => Err(subcommand_error(container, request)),
    }
}

/// The error for a container's subcommand that is unknown, or has another number of arguments.
pub fn subcommand_error(container: &Command, request: &Request<'_>) -> CommandError {
    let given = request.get(1).unwrap_or_default();
    match container.subcommands.iter().find(|known| given.eq_ignore_ascii_case(known.name.as_bytes())) {
        Some(known) => CommandError::arity(&format!("{}|{}", container.name, known.name)),
        None => CommandError::unknown_subcommand(&container.name.to_ascii_uppercase(), given),
    }
}

/// What `HELP` answers for a container.
pub fn reply_help(replies: &mut Replies, container: &str, subcommands: &[(&str, &str)]) {
    replies.array(1 + 2 * subcommands.len() + 2);
    replies.simple(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for (form, meaning) in subcommands.iter().chain(&[("HELP", "Prints this help.")]) {
        replies.simple(form);
        replies.simple(&format!("    {meaning}"));
    }
}
