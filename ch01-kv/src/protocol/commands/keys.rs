//! Commands on keys, whatever they hold.

use common::resp::Request;
use common::resp::table::{Flags, Keys, Subcommand};

use crate::engine::entry::Entry;
use crate::engine::eviction::CLOCK_UNIT_MS;
use crate::engine::expiry;
use crate::protocol::context::{Command, Context, DataHandler};
use crate::protocol::error::CommandError;
use crate::protocol::glob;
use crate::values::ValueRef;

/// How often a random key is drawn anew because its deadline has passed.
const DRAWS: usize = 100;

/// How many integers Redis, by default, keeps as such in a set, and how long a string it keeps with its object, in bytes: clients
/// look at `OBJECT ENCODING` to learn of them.
const PACKED_INTEGERS: usize = 512;
const EMBEDDED_BYTES: usize = 44;

/// The integers that Redis keeps one object of, however many keys hold them.
const SHARED_INTEGERS: std::ops::Range<i64> = 0..10_000;

fn del(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let removed = request.args(1).filter(|key| cx.db.remove(key)).count();
    cx.changed(removed);
    cx.replies.integer(removed as i64);
    Ok(())
}

fn exists(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let found = request.args(1).filter(|key| cx.db.contains(key)).count();
    cx.replies.integer(found as i64);
    Ok(())
}

fn touch(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let found = request.args(1).filter(|key| cx.db.get(key).is_some()).count();
    cx.replies.integer(found as i64);
    Ok(())
}

fn type_(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    cx.replies.simple(cx.db.kind(request.arg(1)).map_or("none", crate::values::Kind::name));
    Ok(())
}

fn rename(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    move_value(cx, request.arg(1), request.arg(2))?;
    cx.replies.simple("OK");
    Ok(())
}

fn renamenx(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    if !cx.db.contains(request.arg(1)) {
        return Err(CommandError::NoSuchKey);
    }
    let free = !cx.db.contains(request.arg(2));
    if free {
        move_value(cx, request.arg(1), request.arg(2))?;
    }
    cx.replies.integer(i64::from(free));
    Ok(())
}

fn move_value(cx: &mut Context<'_>, from: &[u8], to: &[u8]) -> Result<(), CommandError> {
    if from == to && cx.db.contains(from) {
        // Nothing changes, and nobody who watches the key is told so.
        return Ok(());
    }
    let (value, deadline) = cx.db.take(from).ok_or(CommandError::NoSuchKey)?;
    cx.db.put(to, value, deadline);
    cx.changed(1);
    Ok(())
}

fn keys(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let (pattern, now) = (request.arg(1), cx.now);
    let mut found: Vec<Box<[u8]>> = Vec::new();
    cx.db.scan(0, usize::MAX, &mut |entry| {
        if expiry::visible(entry.deadline(), now) && glob::matches(pattern, entry.key(), false) {
            found.push(entry.key().into());
        }
    });
    cx.replies.array(found.len());
    found.iter().for_each(|key| cx.replies.bulk(key));
    Ok(())
}

fn randomkey(cx: &mut Context<'_>, _request: &Request<'_>) -> Result<(), CommandError> {
    for _ in 0..DRAWS {
        let random = &mut *cx.random;
        let Some(key) = cx.db.random_key(|limit| random.below(limit)) else { break };
        if expiry::visible(cx.db.deadline(key).flatten(), cx.now) {
            cx.replies.bulk(key);
            return Ok(());
        }
    }
    cx.replies.null();
    Ok(())
}

fn object(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let chosen = super::chosen(COMMANDS, request)?;
    if chosen == "help" {
        super::reply_help(
            cx.replies,
            "OBJECT",
            &[
                (
                    "ENCODING <key>",
                    "Return the kind of internal representation used in order to store the value associated with a <key>.",
                ),
                (
                    "FREQ <key>",
                    "Return the access frequency index of the <key>. The returned integer is proportional to the logarithm of the recent access frequency of the key.",
                ),
                (
                    "IDLETIME <key>",
                    "Return the idle time of the <key>, that is the approximated number of seconds elapsed since the last access to the key.",
                ),
                ("REFCOUNT <key>", "Return the number of references of the value associated with the specified <key>."),
            ],
        );
        return Ok(());
    }
    let Some(entry) = cx.db.peek(request.arg(2)) else {
        cx.replies.null();
        return Ok(());
    };
    match chosen {
        "encoding" => cx.replies.bulk(encoding(entry).as_bytes()),
        "refcount" => cx.replies.integer(refcount(entry)),
        "idletime" => {
            let idle_ms = u64::from(cx.db.idle(request.arg(2)).unwrap_or_default()) * CLOCK_UNIT_MS;
            cx.replies.integer((idle_ms / 1000) as i64);
        }
        _ => {
            return Err(CommandError::text(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
                 between policies at runtime LRU and LFU data will take some time to adjust.",
            ));
        }
    }
    Ok(())
}

/// How many references a value has, as Redis would count: small integers are one object for all keys, which is never freed.
fn refcount(entry: &Entry) -> i64 {
    let number = match entry.value() {
        ValueRef::Str(value) if encoding(entry) == "int" => common::resp::parse_integer(value),
        _ => None,
    };
    if number.is_some_and(|number| SHARED_INTEGERS.contains(&number)) { i64::from(i32::MAX) } else { 1 }
}

fn encoding(entry: &Entry) -> &'static str {
    // What was changed in place has an object of its own, and stays as it is.
    let as_set = matches!(entry, Entry::Packed(_));
    let integer = |bytes: &[u8]| common::resp::parse_integer(bytes).is_some();
    match entry.value() {
        ValueRef::Str(value) if as_set && value.len() <= 20 && integer(value) => "int",
        ValueRef::Str(value) if as_set && value.len() <= EMBEDDED_BYTES => "embstr",
        ValueRef::Str(_) => "raw",
        ValueRef::List(_) => "quicklist",
        ValueRef::Hash(hash) if hash.is_packed() => "listpack",
        ValueRef::Hash(_) | ValueRef::Set(_) if !is_intset(entry.value()) => "hashtable",
        ValueRef::ZSet(zset) if zset.is_packed() => "listpack",
        ValueRef::ZSet(_) => "skiplist",
        ValueRef::Hash(_) | ValueRef::Set(_) => "intset",
    }
}

fn is_intset(value: ValueRef<'_>) -> bool {
    let ValueRef::Set(set) = value else { return false };
    set.len() <= PACKED_INTEGERS && set.iter().all(|member| common::resp::parse_integer(member).is_some())
}

fn memory(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    match super::chosen(COMMANDS, request)? {
        "usage" => {
            let sampled = request.len() == 5 && request.is(3, "samples");
            if request.len() != 3 && !sampled {
                return Err(CommandError::Syntax);
            }
            match cx.db.peek(request.arg(2)).map(Entry::bytes) {
                Some(bytes) => cx.replies.integer(bytes as i64),
                None => cx.replies.null(),
            }
        }
        // The allocator gives back what is free by itself.
        "purge" => cx.replies.simple("OK"),
        _ => super::reply_help(
            cx.replies,
            "MEMORY",
            &[
                ("PURGE", "Do nothing: free memory is given back without being asked for."),
                ("USAGE <key> [SAMPLES <count>]", "Return memory in bytes used by <key> and its value."),
            ],
        ),
    }
    Ok(())
}

const fn row(name: &'static str, arity: i32, flags: Flags, keys: Keys, handler: DataHandler) -> Command {
    super::on_data("generic", name, arity, flags, keys, handler)
}

const READ: Flags = Flags::READONLY.and(Flags::FAST);
const ONE: Keys = Keys::FIRST;
const SECOND: Keys = Keys::Range { first: 2, last: 2, step: 1 };

/// The family's rows.
pub static COMMANDS: &[Command] = &[
    row("del", -2, Flags::WRITE, Keys::ALL, del),
    row("exists", -2, READ, Keys::ALL, exists),
    row("keys", 2, Flags::READONLY, Keys::None, keys),
    Command {
        group: "server",
        subcommands: &[
            Subcommand { name: "help", arity: 2, flags: Flags::LOADING.and(Flags::STALE) },
            Subcommand { name: "purge", arity: 2, flags: Flags::NONE },
            Subcommand { name: "usage", arity: -3, flags: Flags::READONLY },
        ],
        ..row("memory", -2, Flags::NONE, SECOND, memory)
    },
    Command {
        subcommands: &[
            Subcommand { name: "encoding", arity: 3, flags: Flags::READONLY },
            Subcommand { name: "freq", arity: 3, flags: Flags::READONLY },
            Subcommand { name: "help", arity: 2, flags: Flags::LOADING.and(Flags::STALE) },
            Subcommand { name: "idletime", arity: 3, flags: Flags::READONLY },
            Subcommand { name: "refcount", arity: 3, flags: Flags::READONLY },
        ],
        ..row("object", -2, Flags::NONE, SECOND, object)
    },
    row("randomkey", 1, Flags::READONLY, Keys::None, randomkey),
    row("rename", 3, Flags::WRITE, Keys::FIRST_TWO, rename),
    row("renamenx", 3, Flags::WRITE.and(Flags::FAST), Keys::FIRST_TWO, renamenx),
    row("touch", -2, READ, Keys::ALL, touch),
    row("type", 2, READ, ONE, type_),
    row("unlink", -2, Flags::WRITE.and(Flags::FAST), Keys::ALL, del),
];
