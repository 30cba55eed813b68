//! Lists, sets, sorted sets and the pops that wait: the replies of the real server, command by command, and what must
//! hold whatever the command.
//!
//! The tables in `replies/` hold what Redis 7.0.15 answered, in both versions of the protocol. A line is a command, and
//! below it stands the reply: `>` for both versions, `2>` and `3>` where they differ. `?` marks a command that waits.

mod blocking;
mod chance;
mod logged;
mod random;
mod replies;

use ch01_kv::engine::entry::Entry;
use ch01_kv::engine::keyspace::{Db, Ttl};
use ch01_kv::engine::types::UnixMillis;
use ch01_kv::protocol::commands::{self, lists, set_algebra, sets, zset_algebra, zset_pops, zset_ranges, zsets};
use ch01_kv::protocol::context::{Attempt, Block, Changes, Command, Context, Handler, Random};
use ch01_kv::values::ValueRef;
use common::resp::table::Table;
use common::resp::{OwnedRequest, Protocol, Replies};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

static FAMILIES: &[&[Command]] = &[
    lists::COMMANDS,
    commands::blocking::COMMANDS,
    sets::COMMANDS,
    set_algebra::COMMANDS,
    zsets::COMMANDS,
    zset_ranges::COMMANDS,
    zset_pops::COMMANDS,
    zset_algebra::COMMANDS,
];

/// A database and what it takes to run commands on it.
struct Bench {
    table: Table<Handler>,
    db: Db,
    protocol: Protocol,
    random: Random,
    changes: Changes,
    attempt: Attempt<'static>,
    block: Option<Block>,
}

impl Bench {
    fn new(protocol: Protocol, seed: u64) -> Self {
        Self {
            table: Table::new(FAMILIES),
            db: Db::new(seed),
            protocol,
            random: Random(Xoshiro256PlusPlus::seed_from_u64(seed)),
            changes: Changes::default(),
            attempt: Attempt::First,
            block: None,
        }
    }

    /// Runs a command; returns the raw reply.
    fn run<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Vec<u8> {
        let request = OwnedRequest::new(args);
        let request = request.as_request();
        let mut replies = Replies::new(self.protocol);
        self.changes.clear();
        let key = request.get(1).unwrap_or_default();
        if request.is(0, "SET") {
            self.db.set_str(key, request.arg(2), Ttl::Clear);
            replies.simple("OK");
        } else if request.is(0, "EXISTS") {
            replies.integer(self.db.contains(key).into());
        } else if request.is(0, "TYPE") {
            replies.simple(self.db.kind(key).map_or("none", |kind| kind.name()));
        } else if request.is(0, "DEL") {
            replies.integer(self.db.remove(key).into());
        } else {
            let command = self.table.find(request.name()).expect("the command is in the table");
            let Handler::Data(handler) = command.handler else { panic!("{} is on data", command.name) };
            if !command.takes(request.len()) {
                return format!("-ERR wrong number of arguments for '{}' command\r\n", command.name).into_bytes();
            }
            let mut context = Context {
                now: UnixMillis(0),
                db: &mut self.db,
                replies: &mut replies,
                changes: &mut self.changes,
                random: &mut self.random,
                attempt: self.attempt,
                block: None,
            };
            let result = handler(&mut context, &request);
            self.block = context.block.take();
            if let Err(error) = result {
                assert!(replies.is_empty(), "{}: an error comes before any reply", command.name);
                assert!(!self.changes.any(), "{}: an error comes before any change", command.name);
                replies.error_bytes(&error.bytes());
            }
        }
        replies.take()
    }

    fn line(&mut self, line: &str) -> Vec<u8> {
        self.run(&words(line))
    }

    /// What all keys hold, in an order of its own.
    fn dump(&self) -> Vec<(Vec<u8>, Vec<Vec<u8>>)> {
        let mut all = Vec::new();
        self.db.scan(0, usize::MAX, &mut |entry: &Entry| all.push((entry.key().to_vec(), elements(entry.value()))));
        all.sort();
        all
    }
}

fn elements(value: ValueRef<'_>) -> Vec<Vec<u8>> {
    let mut elements: Vec<Vec<u8>> = match value {
        ValueRef::Str(bytes) => vec![bytes.to_vec()],
        ValueRef::List(list) => return list.iter().map(<[u8]>::to_vec).collect(),
        ValueRef::Hash(hash) => hash.iter().map(|(field, value)| [field, b"=", value].concat()).collect(),
        ValueRef::Set(set) => set.iter().map(<[u8]>::to_vec).collect(),
        ValueRef::ZSet(zset) => {
            return zset
                .iter_from(0)
                .map(|(member, score)| [member, format!("={score:?}").as_bytes()].concat())
                .collect();
        }
    };
    elements.sort();
    elements
}

/// A command line's words: blanks separate them, double quotes keep blanks.
fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut parts = line.split('"');
    while let Some(plain) = parts.next() {
        words.extend(plain.split_whitespace().map(|word| word.as_bytes().to_vec()));
        words.extend(parts.next().map(|quoted| quoted.as_bytes().to_vec()));
    }
    words
}
