//! The families of strings, counters and deadlines, held against what Redis 7.0.15 answers: each table is a dialogue, a
//! command line and the raw bytes of its reply, taken down from a real server that held one list beside.

mod counters;
mod deadlines;
mod logged;
mod rows;
mod strings;

use ch01_kv::engine::keyspace::Db;
use ch01_kv::engine::types::UnixMillis;
use ch01_kv::protocol::commands;
use ch01_kv::protocol::context::{Attempt, Changes, Command, Context, Handler, Random};
use ch01_kv::protocol::error::CommandError;
use ch01_kv::values::{List, ValueRef};
use common::resp::table::Table;
use common::resp::{OwnedRequest, Protocol, Replies, Request, split_words};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

/// The families under test.
static FAMILIES: &[&[Command]] =
    &[commands::strings::COMMANDS, commands::counters::COMMANDS, commands::expiry::COMMANDS];

/// When the dialogues take place. Where a reply depends on the time, it is the same at any time.
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

/// A database with a client, and what a server would log.
struct Server {
    table: Table<Handler>,
    db: Db,
    now: UnixMillis,
    protocol: Protocol,
    random: Random,
}

/// What one command did.
struct Outcome {
    reply: Vec<u8>,
    changes: u64,
    log: Vec<OwnedRequest>,
}

impl Server {
    fn new(protocol: Protocol) -> Self {
        let random = Random(Xoshiro256PlusPlus::seed_from_u64(1));
        Self { table: Table::new(FAMILIES), db: Db::new(1), now: NOW, protocol, random }
    }

    /// A server with the one key that the dialogues find: a list, where a string is wanted.
    fn with_a_list(protocol: Protocol) -> Self {
        let mut server = Self::new(protocol);
        server.db.edit_or_create(b"list", |list: &mut List| list.push_back(b"element")).expect("the key is free");
        server
    }

    fn run(&mut self, line: &str) -> Outcome {
        let words = split_words(line.as_bytes()).expect("the line is well formed");
        self.execute(OwnedRequest::new(words).as_request())
    }

    /// Runs one request as a server does: its arity, its due keys, its handler, its log.
    fn execute(&mut self, request: Request<'_>) -> Outcome {
        let mut replies = Replies::new(self.protocol);
        let mut changes = Changes::default();
        let mut log = Vec::new();
        let command = self.table.find(request.name()).expect("the command is in the table");
        if !command.takes(request.len()) {
            replies.error(&CommandError::arity(command.name).to_string());
            return Outcome { reply: replies.take(), changes: 0, log };
        }
        for key in command.keys.positions(&request).map(|at| request.arg(at)) {
            if self.db.expire_if_due(key, self.now) {
                log.push(OwnedRequest::new([b"DEL", key]));
            }
        }
        let Handler::Data(handler) = command.handler else { panic!("{} is no command on data", command.name) };
        let mut context = Context {
            now: self.now,
            db: &mut self.db,
            replies: &mut replies,
            changes: &mut changes,
            random: &mut self.random,
            attempt: Attempt::Only,
            block: None,
        };
        if let Err(error) = handler(&mut context, &request) {
            assert!(replies.is_empty() && !changes.any(), "a handler that fails has done nothing: {error}");
            replies.error_bytes(&error.bytes());
        }
        if changes.any() && changes.instead().is_empty() {
            log.push(request.to_owned());
        }
        log.extend(changes.instead().iter().cloned());
        Outcome { reply: replies.take(), changes: changes.count(), log }
    }

    /// What an entry of the log does to this database. Nothing is due while a log is replayed.
    fn replay(&mut self, request: &OwnedRequest) {
        let request = request.as_request();
        if request.is(0, "DEL") {
            self.db.remove(request.arg(1));
        } else {
            self.now = UnixMillis(0);
            self.execute(request);
        }
    }

    /// All strings with their deadlines, in order.
    fn dump(&self) -> Vec<(Vec<u8>, Vec<u8>, Option<UnixMillis>)> {
        let mut dump = Vec::new();
        self.db.scan(0, usize::MAX, &mut |entry| {
            let ValueRef::Str(value) = entry.value() else { return };
            dump.push((entry.key().to_vec(), value.to_vec(), entry.deadline()));
        });
        dump.sort();
        dump
    }
}

fn check(protocol: Protocol, dialogue: &[(&str, &str)]) {
    let mut server = Server::with_a_list(protocol);
    for (index, (line, expected)) in dialogue.iter().enumerate() {
        let reply = server.run(line).reply;
        let reply = String::from_utf8_lossy(&reply);
        assert_eq!(reply, *expected, "to line {index}: {line}");
    }
}
