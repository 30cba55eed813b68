//! `COMMAND`: what the command table says of itself, for clients that want to know where a command's keys are.

use common::resp::server::{ConnId, Flow, Now};
use common::resp::table::{Flags, Keys, Subcommand};
use common::resp::{OwnedRequest, Replies, Request};

use crate::protocol::context::Command;
use crate::protocol::error::CommandError;
use crate::protocol::glob;
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
            let by = |what| request.len() == 5 && request.is(2, "filterby") && request.is(3, what);
            let wanted = request.get(4).unwrap_or_default();
            let shown: Vec<Described> = match () {
                () if request.len() == 2 => kv.table.iter().map(Described::of).collect(),
                () if by("pattern") => {
                    all(kv).filter(|row| glob::matches(wanted, row.full_name().as_bytes(), true)).collect()
                }
                () if by("aclcat") => {
                    let is_wanted = |category: &str| wanted.eq_ignore_ascii_case(category.as_bytes());
                    all(kv).filter(|row| row.categories().into_iter().any(is_wanted)).collect()
                }
                // No command belongs to a module.
                () if by("module") => Vec::new(),
                () => return Err(CommandError::Syntax),
            };
            replies.array(shown.len());
            shown.iter().for_each(|row| replies.bulk(row.full_name().as_bytes()));
        }
        "info" if request.len() == 2 => {
            replies.array(kv.table.len());
            kv.table.iter().for_each(|command| describe(command, replies));
        }
        "info" => {
            replies.array(request.len() - 2);
            for name in request.args(2) {
                match find(kv, name) {
                    Some(Described { command, subcommand: None }) => describe(command, replies),
                    Some(row) => row.write(replies),
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
    let mut row = Described::of(command);
    if !command.subcommands.is_empty() {
        row.subcommand = command.subcommands.iter().find(|known| inner.is(1, known.name));
        if row.subcommand.is_none() {
            return Err(CommandError::text("ERR Invalid command specified"));
        }
    }
    let keys = row.keys();
    if keys == Keys::None {
        return Err(CommandError::text("ERR The command has no key arguments"));
    }
    if !row.takes(inner.len()) {
        return Err(CommandError::text("ERR Invalid number of arguments specified for command"));
    }
    let positions: Vec<usize> = match keys {
        Keys::Counted { destination, .. } => {
            let counted = keys.counted_keys(&inner);
            let counted = counted.ok_or(CommandError::text("ERR Invalid arguments specified for command"))?;
            destination.into_iter().chain(counted).collect()
        }
        keys => keys.positions(&inner).collect(),
    };
    if positions.is_empty() {
        return Err(CommandError::text("ERR The command has no key arguments"));
    }
    replies.array(positions.len());
    positions.into_iter().for_each(|position| replies.bulk(inner.arg(position)));
    Ok(())
}

/// What `COMMAND` tells of: a command, or a container's subcommand.
#[derive(Clone, Copy)]
struct Described {
    command: &'static Command,
    subcommand: Option<&'static Subcommand>,
}

/// The categories that a command's group is one of, by the group's name.
const GROUPS: [(&str, &str); 9] = [
    ("generic", "keyspace"),
    ("set", "set"),
    ("sorted-set", "sortedset"),
    ("list", "list"),
    ("hash", "hash"),
    ("string", "string"),
    ("connection", "connection"),
    ("transactions", "transaction"),
    ("scripting", "scripting"),
];

/// Commands on the server that are about keys as well.
const KEYSPACE: [&str; 4] = ["dbsize", "flushall", "flushdb", "swapdb"];

/// Commands that can hurt others, though they are no administrator's.
const DANGEROUS: [&str; 6] = ["flushall", "flushdb", "info", "keys", "role", "swapdb"];

/// All categories, in the order in which they are shown.
const CATEGORIES: [&str; 17] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

impl Described {
    fn of(command: &'static Command) -> Self {
        Self { command, subcommand: None }
    }

    fn full_name(&self) -> String {
        match self.subcommand {
            None => self.command.name.to_owned(),
            Some(subcommand) => format!("{}|{}", self.command.name, subcommand.name),
        }
    }

    fn arity(&self) -> i32 {
        self.subcommand.map_or(self.command.arity, |subcommand| subcommand.arity)
    }

    fn flags(&self) -> Flags {
        self.subcommand.map_or(self.command.flags, |subcommand| subcommand.flags)
    }

    fn takes(&self, len: usize) -> bool {
        self.subcommand.map_or(self.command.takes(len), |subcommand| subcommand.takes(len))
    }

    /// Where its keys stand. A container has none of its own: its row tells where those of its subcommands do.
    fn keys(&self) -> Keys {
        let flags = self.flags();
        let on_data = flags.has(Flags::READONLY) || flags.has(Flags::WRITE);
        let has_keys = if self.subcommand.is_some() { on_data } else { self.command.subcommands.is_empty() };
        if has_keys { self.command.keys } else { Keys::None }
    }

    /// The categories of access control that it belongs to.
    fn categories(&self) -> Vec<&'static str> {
        let (name, flags) = (self.command.name, self.flags());
        // A container that is no command itself says nothing of its group.
        let says_nothing = self.subcommand.is_none() && !self.command.subcommands.is_empty() && flags == Flags::NONE;
        let group = if name == "command" { "connection" } else { self.command.group };
        let group = GROUPS.iter().find(|(known, _)| *known == group && !says_nothing);
        let belongs = |category: &str| match category {
            "read" => flags.has(Flags::READONLY),
            "write" => flags.has(Flags::WRITE),
            "pubsub" => flags.has(Flags::PUBSUB),
            "admin" => flags.has(Flags::ADMIN) || name == "role",
            "fast" => flags.has(Flags::FAST),
            "slow" => !flags.has(Flags::FAST),
            "blocking" => flags.has(Flags::BLOCKING),
            "dangerous" => flags.has(Flags::ADMIN) || DANGEROUS.contains(&name),
            category => {
                group.is_some_and(|(_, of_group)| *of_group == category)
                    || category == "keyspace" && KEYSPACE.contains(&name)
            }
        };
        CATEGORIES.into_iter().filter(|category| belongs(category)).collect()
    }

    /// Everything about it, as of one that contains nothing.
    fn write(&self, replies: &mut Replies) {
        self.write_but_subcommands(replies);
        replies.set(0);
    }

    fn write_but_subcommands(&self, replies: &mut Replies) {
        replies.array(10);
        replies.bulk(self.full_name().as_bytes());
        replies.integer(i64::from(self.arity()));
        write_words(self.flags().names(), "", replies);
        let (first, last, step) = self.keys().shown();
        for position in [first, last, step] {
            replies.integer(position);
        }
        write_words(self.categories().into_iter(), "@", replies);
        // Tips and key specifications.
        for _ in 0..2 {
            replies.set(0);
        }
    }
}

/// All commands, each with its subcommands behind it.
fn all(kv: &Kv) -> impl Iterator<Item = Described> {
    kv.table.iter().flat_map(|command| {
        let subcommands = command.subcommands.iter();
        let subcommands = subcommands.map(move |subcommand| Described { command, subcommand: Some(subcommand) });
        std::iter::once(Described::of(command)).chain(subcommands)
    })
}

/// The command of this name, which for a subcommand is its container's with its own behind a bar.
fn find(kv: &Kv, name: &[u8]) -> Option<Described> {
    let mut parts = name.splitn(2, |byte| *byte == b'|');
    let command = kv.table.find(parts.next()?)?;
    let Some(inner) = parts.next() else { return Some(Described::of(command)) };
    let subcommand = command.subcommands.iter().find(|known| inner.eq_ignore_ascii_case(known.name.as_bytes()))?;
    Some(Described { command, subcommand: Some(subcommand) })
}

/// Everything about a command, and about its subcommands.
fn describe(command: &'static Command, replies: &mut Replies) {
    let row = Described::of(command);
    if command.subcommands.is_empty() {
        return row.write(replies);
    }
    row.write_but_subcommands(replies);
    replies.array(command.subcommands.len());
    for subcommand in command.subcommands {
        Described { command, subcommand: Some(subcommand) }.write(replies);
    }
}

fn write_words<'w>(words: impl Iterator<Item = &'w str>, before: &str, replies: &mut Replies) {
    let words: Vec<&str> = words.collect();
    replies.set(words.len());
    words.into_iter().for_each(|word| replies.simple(&format!("{before}{word}")));
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
