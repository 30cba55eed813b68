//! The families of strings, counters and deadlines, held against what Redis 7.0.15 answers: each table is a dialogue, a
//! command line and the raw bytes of its reply, taken down from a real server that held one list beside.

use ch01_kv::engine::keyspace::Db;
use ch01_kv::engine::types::UnixMillis;
use ch01_kv::engine::value::{List, ValueRef};
use ch01_kv::protocol::commands::{counters, decimal, expiry, strings};
use ch01_kv::protocol::context::{Changes, Command, Context, Handler, Random};
use ch01_kv::protocol::error::CommandError;
use common::resp::table::Table;
use common::resp::{OwnedRequest, Protocol, Replies, Request, split_words};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

/// The families under test.
static FAMILIES: &[&[Command]] = &[strings::COMMANDS, counters::COMMANDS, expiry::COMMANDS];

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
            may_block: false,
            block: None,
        };
        if let Err(error) = handler(&mut context, &request) {
            assert!(replies.is_empty() && !changes.any(), "a handler that fails has done nothing: {error}");
            replies.error(&error.to_string());
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

/// The requests of a log, in words.
fn lines(log: &[OwnedRequest]) -> Vec<String> {
    let line = |request: &OwnedRequest| {
        let words: Vec<_> =
            request.as_request().args(0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        words.join(" ")
    };
    log.iter().map(line).collect()
}

fn check(protocol: Protocol, dialogue: &[(&str, &str)]) {
    let mut server = Server::with_a_list(protocol);
    for (index, (line, expected)) in dialogue.iter().enumerate() {
        let reply = server.run(line).reply;
        let reply = String::from_utf8_lossy(&reply);
        assert_eq!(reply, *expected, "to line {index}: {line}");
    }
}

#[test]
fn set_answers_as_redis_does() {
    check(Protocol::Resp2, SET);
}

#[test]
fn the_older_spellings_of_set_answer_as_redis_does() {
    check(Protocol::Resp2, OLDER_SETS);
}

#[test]
fn getdel_and_getex_answer_as_redis_does() {
    check(Protocol::Resp2, GETDEL_AND_GETEX);
}

#[test]
fn commands_on_many_keys_answer_as_redis_does() {
    check(Protocol::Resp2, MANY);
}

#[test]
fn commands_on_parts_of_strings_answer_as_redis_does() {
    check(Protocol::Resp2, PARTS);
}

#[test]
fn counters_answer_as_redis_does() {
    check(Protocol::Resp2, COUNTERS);
}

#[test]
fn sums_of_fractions_have_the_digits_that_redis_gives_them() {
    check(Protocol::Resp2, FRACTIONS);
}

#[test]
fn commands_on_deadlines_answer_as_redis_does() {
    check(Protocol::Resp2, EXPIRIES);
}

#[test]
fn nulls_are_those_of_resp3_where_the_client_speaks_it() {
    check(Protocol::Resp3, IN_RESP3);
}

#[test]
fn the_rows_are_those_that_redis_shows() {
    let table = Table::new(FAMILIES);
    assert_eq!(table.len(), ROWS.len());
    for &(name, arity, flags, keys) in ROWS {
        let row = table.find(name.as_bytes()).expect(name);
        let names: Vec<_> = row.flags.names().collect();
        assert_eq!((row.arity, names.join(" ").as_str(), row.keys.shown()), (arity, flags, keys), "{name}");
    }
}

#[test]
fn what_depends_on_the_time_is_logged_as_a_point_in_time() {
    let dialogue: &[(&str, &[&str])] = &[
        ("SET k v EX 10", &["SET k v PXAT 1700000010000"]),
        ("SET k v PX 10", &["SET k v PXAT 1700000000010"]),
        ("SET k v EXAT 1800000000 GET", &["SET k v PXAT 1800000000000"]),
        ("SET k v PXAT 1800000000000 XX", &["SET k v PXAT 1800000000000"]),
        ("SET k v KEEPTTL", &["SET k v KEEPTTL"]),
        ("SETEX k 10 v", &["SET k v PXAT 1700000010000"]),
        ("PSETEX k 10 v", &["SET k v PXAT 1700000000010"]),
        ("EXPIRE k 10", &["PEXPIREAT k 1700000010000"]),
        ("PEXPIRE k 10 LT", &["PEXPIREAT k 1700000000010"]),
        ("EXPIREAT k 1800000000", &["PEXPIREAT k 1800000000000"]),
        ("GETEX k EX 10", &["PEXPIREAT k 1700000010000"]),
        ("GETEX k PERSIST", &["PERSIST k"]),
        ("EXPIRE k 10", &["PEXPIREAT k 1700000010000"]),
        ("PERSIST k", &["PERSIST k"]),
        ("GETSET k 1.5", &["SET k 1.5"]),
        ("INCRBYFLOAT k 0.1", &["SET k 1.6 KEEPTTL"]),
        ("GETDEL k", &["DEL k"]),
        ("INCRBY n 5", &["INCRBY n 5"]),
        ("EXPIRE n -1", &["DEL n"]),
        ("SET n 1", &["SET n 1"]),
        ("GETEX n PXAT 1", &["DEL n"]),
    ];
    let mut server = Server::new(Protocol::Resp2);
    for (line, expected) in dialogue {
        assert_eq!(lines(&server.run(line).log), *expected, "{line}");
    }
}

#[test]
fn what_changes_nothing_is_not_logged() {
    let mut server = Server::with_a_list(Protocol::Resp2);
    assert_eq!(server.run("MSET k v n 1").changes, 2);
    let idle = [
        "GET k",
        "SET k w NX",
        "SET k w NX GET",
        "SET absent w XX",
        "SET k w EX 0",
        "SETNX k w",
        "SETEX k 0 w",
        "GETDEL absent",
        "GETEX absent EX 10",
        "GETEX k",
        "GETEX k PERSIST",
        "MGET k n",
        "MSETNX k w fresh w",
        "MSET k w n",
        "APPEND list x",
        "STRLEN k",
        "SETRANGE k 0 \"\"",
        "SETRANGE absent 10 \"\"",
        "SETRANGE k -1 x",
        "SETRANGE absent 536870912 x",
        "GETRANGE k 0 -1",
        "INCR k",
        "INCRBY n x",
        "INCRBYFLOAT k 1",
        "INCRBYFLOAT n inf",
        "EXPIRE absent 10",
        "EXPIRE k 10 XX",
        "EXPIRE k 10 GT",
        "TTL k",
        "PERSIST k",
        "PERSIST absent",
    ];
    let before = server.dump();
    for line in idle {
        let outcome = server.run(line);
        assert!(outcome.log.is_empty() && outcome.changes == 0, "{line} was logged");
        assert_eq!(server.dump(), before, "{line} changed something");
    }
}

#[test]
fn time_to_live_is_rounded_to_the_nearest_second_and_ends_at_its_deadline() {
    let mut server = Server::new(Protocol::Resp2);
    server.run("SET k v PX 1500");
    for (later, line, expected) in [
        (0, "TTL k", ":2\r\n"),
        (1, "TTL k", ":1\r\n"),
        (1001, "TTL k", ":0\r\n"),
        (1001, "PTTL k", ":499\r\n"),
        (1500, "PTTL k", ":0\r\n"),
        (1501, "PTTL k", ":-2\r\n"),
    ] {
        server.now = UnixMillis(NOW.0 + later);
        assert_eq!(String::from_utf8_lossy(&server.run(line).reply), expected, "{later} ms later");
    }
}

#[test]
#[ignore = "takes more than half a gigabyte of memory"]
fn a_string_can_be_as_long_as_allowed_and_no_longer() {
    let mut server = Server::new(Protocol::Resp2);
    let last = strings::MAX_STRING_BYTES - 1;
    assert_eq!(server.run(&format!("SETRANGE k {last} x")).reply, b":536870912\r\n");
    let too_long = b"-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n";
    assert_eq!(server.run("APPEND k x").reply, too_long);
    assert_eq!(server.run("APPEND k \"\"").reply, b":536870912\r\n");
    assert_eq!(server.run("STRLEN k").reply, b":536870912\r\n");
}

/// Writes a thousand random commands at times that go on, and reads the log at another time: it must lead to the same strings
/// with the same deadlines.
#[test]
fn the_log_replayed_at_another_time_gives_the_same_database() {
    let commands = [
        "SET {k} {n}",
        "SET {k} {n} EX 2",
        "SET {k} {n} PX 900 NX",
        "SET {k} {n} KEEPTTL",
        "SET {k} {n} XX GET EX 5",
        "SETNX {k} {n}",
        "SETEX {k} 3 {n}",
        "PSETEX {k} 700 {n}",
        "GETSET {k} {n}",
        "GETDEL {k}",
        "GETEX {k} EX 4",
        "GETEX {k} PERSIST",
        "GETEX {k} PXAT 1700000000100",
        "MSET {k} {n} {l} {n}",
        "MSETNX {k} {n} {l} {n}",
        "APPEND {k} {n}",
        "SETRANGE {k} {n} ab",
        "INCR {k}",
        "DECRBY {k} {n}",
        "INCRBYFLOAT {k} 0.{n}",
        "EXPIRE {k} {n}",
        "PEXPIRE {k} -1",
        "PEXPIRE {k} 500 GT",
        "EXPIRE {k} 1 NX",
        "PERSIST {k}",
        "GET {k}",
    ];
    for seed in 0..20 {
        let mut random = Random(Xoshiro256PlusPlus::seed_from_u64(seed));
        let mut live = Server::new(Protocol::Resp2);
        let mut replica = Server::new(Protocol::Resp2);
        for step in 0..1000 {
            live.now.0 += random.below(400) as u64;
            let keys = ["a", "b", "c", "d"];
            let line = commands[random.below(commands.len())]
                .replace("{k}", keys[random.below(keys.len())])
                .replace("{l}", keys[random.below(keys.len())])
                .replace("{n}", &random.below(10).to_string());
            let outcome = live.run(&line);
            outcome.log.iter().for_each(|request| replica.replay(request));
            assert_eq!(replica.dump(), live.dump(), "seed {seed}, step {step}: {line}");
        }
    }
}

#[test]
fn no_text_makes_a_sum_panic_or_take_long() {
    let mut random = Random(Xoshiro256PlusPlus::seed_from_u64(7));
    let alphabet = b"0123456789012345678900000000..+-eEinf";
    for _ in 0..20_000 {
        let mut text = || (0..random.below(24)).map(|_| alphabet[random.below(alphabet.len())]).collect::<Vec<u8>>();
        let (a, b) = (text(), text());
        if let Ok(sum) = decimal::add(&a, &b) {
            assert_eq!(decimal::add(b.as_slice(), &a), Ok(sum.clone()), "a sum does not depend on its order");
            assert!(decimal::add(sum.as_bytes(), b"0").is_ok(), "{sum} can be read again");
        }
    }
    let long = [b"0.".to_vec(), vec![b'0'; 5000], vec![b'9'; 117]].concat();
    assert_eq!(decimal::add(&long, b"0"), Err(CommandError::NotAFloat));
    assert_eq!(decimal::add(&[&long[..5115], b"e99"].concat(), b"1").as_deref(), Ok("1"));
    assert_eq!(decimal::add(b"1e99999999999999999999", b"1"), Err(CommandError::NotAFloat));
    assert_eq!(decimal::add(&vec![b'9'; 5120], b"0"), Err(CommandError::NotAFloat));
    assert_eq!(decimal::add(&vec![b'9'; 4932], b"0").map(|sum| sum.len()), Ok(4933));
}

const SET: &[(&str, &str)] = &[
    ("GET k", "$-1\r\n"),
    ("SET k v", "+OK\r\n"),
    ("GET k", "$1\r\nv\r\n"),
    ("set k w", "+OK\r\n"),
    ("GET k", "$1\r\nw\r\n"),
    ("SET k 1 NX", "$-1\r\n"),
    ("SET other 1 NX", "+OK\r\n"),
    ("GET k", "$1\r\nw\r\n"),
    ("SET k 2 XX", "+OK\r\n"),
    ("GET k", "$1\r\n2\r\n"),
    ("SET missing 2 XX", "$-1\r\n"),
    ("GET missing", "$-1\r\n"),
    ("SET k 3 NX XX", "-ERR syntax error\r\n"),
    ("SET k 3 XX NX", "-ERR syntax error\r\n"),
    ("SET k 3 NX NX", "$-1\r\n"),
    ("SET k 3 nx get", "$1\r\n2\r\n"),
    ("SET k 4 GET", "$1\r\n2\r\n"),
    ("GET k", "$1\r\n4\r\n"),
    ("SET fresh 1 GET", "$-1\r\n"),
    ("SET fresh 2 XX GET", "$1\r\n1\r\n"),
    ("SET absent 2 XX GET", "$-1\r\n"),
    ("GET absent", "$-1\r\n"),
    ("SET k 5 EX 100", "+OK\r\n"),
    ("TTL k", ":100\r\n"),
    ("SET k 6 KEEPTTL", "+OK\r\n"),
    ("TTL k", ":100\r\n"),
    ("SET k 7", "+OK\r\n"),
    ("TTL k", ":-1\r\n"),
    ("SET k 8 PX 100000", "+OK\r\n"),
    ("TTL k", ":100\r\n"),
    ("SET k 9 EXAT 4102444800", "+OK\r\n"),
    ("EXPIRETIME k", ":4102444800\r\n"),
    ("SET k 9 PXAT 4102444800123", "+OK\r\n"),
    ("PEXPIRETIME k", ":4102444800123\r\n"),
    ("SET k 9 EX 10 EX 200", "+OK\r\n"),
    ("TTL k", ":200\r\n"),
    ("SET k 9 EX 10 PX 10", "-ERR syntax error\r\n"),
    ("SET k 9 EX 10 KEEPTTL", "-ERR syntax error\r\n"),
    ("SET k 9 KEEPTTL EX 10", "-ERR syntax error\r\n"),
    ("SET k 9 KEEPTTL keepttl", "+OK\r\n"),
    ("SET k 9 PERSIST", "-ERR syntax error\r\n"),
    ("SET k 9 EX", "-ERR syntax error\r\n"),
    ("SET k 9 EX 0", "-ERR invalid expire time in 'set' command\r\n"),
    ("SET k 9 EX -1", "-ERR invalid expire time in 'set' command\r\n"),
    ("SET k 9 PX 0", "-ERR invalid expire time in 'set' command\r\n"),
    ("SET k 9 EXAT 0", "-ERR invalid expire time in 'set' command\r\n"),
    ("SET k 9 PXAT -5", "-ERR invalid expire time in 'set' command\r\n"),
    ("SET k 9 EX ten", "-ERR value is not an integer or out of range\r\n"),
    ("SET k 9 EX 1.5", "-ERR value is not an integer or out of range\r\n"),
    ("SET k 9 EX 9223372036854775807", "-ERR invalid expire time in 'set' command\r\n"),
    ("SET k 9 EX 9223372036854775", "-ERR invalid expire time in 'set' command\r\n"),
    ("SET k 9 PX 9223372036854775807", "-ERR invalid expire time in 'set' command\r\n"),
    ("SET k 9 PXAT 9223372036854775808", "-ERR value is not an integer or out of range\r\n"),
    ("SET k 9 what", "-ERR syntax error\r\n"),
    ("SET k 9 EX 10 NX GET XX", "-ERR syntax error\r\n"),
    ("GET k", "$1\r\n9\r\n"),
    ("SET list 9 GET", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("SET list x NX", "$-1\r\n"),
    ("SET list x NX GET", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("SET list x XX", "+OK\r\n"),
    ("GET list", "$1\r\nx\r\n"),
    ("SET past v PXAT 1", "+OK\r\n"),
    ("GET past", "$-1\r\n"),
    ("SET past v EXAT 1", "+OK\r\n"),
    ("SET k", "-ERR wrong number of arguments for 'set' command\r\n"),
    ("SET \"\" empty", "+OK\r\n"),
    ("GET \"\"", "$5\r\nempty\r\n"),
    ("SET k \"two words\"", "+OK\r\n"),
    ("GET k", "$9\r\ntwo words\r\n"),
    ("SET k \"\"", "+OK\r\n"),
    ("GET k", "$0\r\n\r\n"),
];

const OLDER_SETS: &[(&str, &str)] = &[
    ("SETNX k v", ":1\r\n"),
    ("SETNX k w", ":0\r\n"),
    ("SETNX list w", ":0\r\n"),
    ("GET k", "$1\r\nv\r\n"),
    ("SETEX k 100 v", "+OK\r\n"),
    ("TTL k", ":100\r\n"),
    ("SETEX k 0 v", "-ERR invalid expire time in 'setex' command\r\n"),
    ("SETEX k -1 v", "-ERR invalid expire time in 'setex' command\r\n"),
    ("SETEX k x v", "-ERR value is not an integer or out of range\r\n"),
    ("SETEX k 9223372036854775807 v", "-ERR invalid expire time in 'setex' command\r\n"),
    ("PSETEX k 100000 w", "+OK\r\n"),
    ("TTL k", ":100\r\n"),
    ("PSETEX k 0 v", "-ERR invalid expire time in 'psetex' command\r\n"),
    ("PSETEX k 9223372036854775807 v", "-ERR invalid expire time in 'psetex' command\r\n"),
    ("GET k", "$1\r\nw\r\n"),
    ("SETEX list 100 v", "+OK\r\n"),
    ("GET list", "$1\r\nv\r\n"),
    ("SETEX k 1", "-ERR wrong number of arguments for 'setex' command\r\n"),
    ("GETSET k a", "$1\r\nw\r\n"),
    ("TTL k", ":-1\r\n"),
    ("GETSET k b", "$1\r\na\r\n"),
    ("GETSET fresh a", "$-1\r\n"),
    ("SET list2 x", "+OK\r\n"),
    ("GETSET k", "-ERR wrong number of arguments for 'getset' command\r\n"),
];

const GETDEL_AND_GETEX: &[(&str, &str)] = &[
    ("GETDEL k", "$-1\r\n"),
    ("SET k v", "+OK\r\n"),
    ("GETDEL k", "$1\r\nv\r\n"),
    ("GET k", "$-1\r\n"),
    ("GETDEL list", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("GETEX k", "$-1\r\n"),
    ("GETEX k EX 0", "$-1\r\n"),
    ("GETEX k EX 10 PX 10", "-ERR syntax error\r\n"),
    ("SET k v", "+OK\r\n"),
    ("GETEX k", "$1\r\nv\r\n"),
    ("TTL k", ":-1\r\n"),
    ("GETEX k EX 100", "$1\r\nv\r\n"),
    ("TTL k", ":100\r\n"),
    ("GETEX k PERSIST", "$1\r\nv\r\n"),
    ("TTL k", ":-1\r\n"),
    ("GETEX k PX 100000", "$1\r\nv\r\n"),
    ("TTL k", ":100\r\n"),
    ("GETEX k EXAT 4102444800", "$1\r\nv\r\n"),
    ("EXPIRETIME k", ":4102444800\r\n"),
    ("GETEX k PXAT 4102444800001", "$1\r\nv\r\n"),
    ("PEXPIRETIME k", ":4102444800001\r\n"),
    ("GETEX k EX 0", "-ERR invalid expire time in 'getex' command\r\n"),
    ("GETEX k PX -1", "-ERR invalid expire time in 'getex' command\r\n"),
    ("GETEX k EXAT 0", "-ERR invalid expire time in 'getex' command\r\n"),
    ("GETEX k EX ten", "-ERR value is not an integer or out of range\r\n"),
    ("GETEX k EX 9223372036854775807", "-ERR invalid expire time in 'getex' command\r\n"),
    ("GETEX k EX", "-ERR syntax error\r\n"),
    ("GETEX k PERSIST EX 10", "-ERR syntax error\r\n"),
    ("GETEX k EX 10 PERSIST", "-ERR syntax error\r\n"),
    ("GETEX k PERSIST PERSIST", "$1\r\nv\r\n"),
    ("GETEX k KEEPTTL", "-ERR syntax error\r\n"),
    ("GETEX k NX", "-ERR syntax error\r\n"),
    ("GETEX k GET", "-ERR syntax error\r\n"),
    ("GETEX k EX 10 PX 10", "-ERR syntax error\r\n"),
    ("GETEX k EX 10 EX 300", "$1\r\nv\r\n"),
    ("TTL k", ":300\r\n"),
    ("GETEX k PXAT 1", "$1\r\nv\r\n"),
    ("GET k", "$-1\r\n"),
    ("GETEX list", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("GETEX list EX 0", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
];

const MANY: &[(&str, &str)] = &[
    ("MGET a b", "*2\r\n$-1\r\n$-1\r\n"),
    ("MSET a 1 b 2", "+OK\r\n"),
    ("MGET a b c list a", "*5\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n$-1\r\n$1\r\n1\r\n"),
    ("MSET a", "-ERR wrong number of arguments for 'mset' command\r\n"),
    ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command\r\n"),
    ("MSET a 3 a 4", "+OK\r\n"),
    ("GET a", "$1\r\n4\r\n"),
    ("MSETNX a 1 c 2", ":0\r\n"),
    ("GET c", "$-1\r\n"),
    ("MSETNX c 1 d 2 c 3", ":1\r\n"),
    ("MGET c d", "*2\r\n$1\r\n3\r\n$1\r\n2\r\n"),
    ("MSETNX c", "-ERR wrong number of arguments for 'msetnx' command\r\n"),
    ("MSETNX e 1 f", "-ERR wrong number of arguments for 'msetnx' command\r\n"),
    ("SET a 1 EX 100", "+OK\r\n"),
    ("MSET a 2 list 1", "+OK\r\n"),
    ("TTL a", ":-1\r\n"),
    ("GET list", "$1\r\n1\r\n"),
    ("MGET", "-ERR wrong number of arguments for 'mget' command\r\n"),
];

const PARTS: &[(&str, &str)] = &[
    ("STRLEN k", ":0\r\n"),
    ("APPEND k Hello", ":5\r\n"),
    ("APPEND k \" World\"", ":11\r\n"),
    ("GET k", "$11\r\nHello World\r\n"),
    ("STRLEN k", ":11\r\n"),
    ("APPEND empty \"\"", ":0\r\n"),
    ("GET empty", "$0\r\n\r\n"),
    ("APPEND list x", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("STRLEN list", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("GETRANGE k 0 4", "$5\r\nHello\r\n"),
    ("GETRANGE k -5 -1", "$5\r\nWorld\r\n"),
    ("GETRANGE k 0 -1", "$11\r\nHello World\r\n"),
    ("GETRANGE k 3 2", "$0\r\n\r\n"),
    ("GETRANGE k -1 -5", "$0\r\n\r\n"),
    ("GETRANGE k -100 2", "$3\r\nHel\r\n"),
    ("GETRANGE k -100 -50", "$1\r\nH\r\n"),
    ("GETRANGE k -50 -100", "$0\r\n\r\n"),
    ("GETRANGE k 5 100", "$6\r\n World\r\n"),
    ("GETRANGE k 100 200", "$0\r\n\r\n"),
    ("GETRANGE k 0 0", "$1\r\nH\r\n"),
    ("GETRANGE k 10 10", "$1\r\nd\r\n"),
    ("GETRANGE k 11 11", "$0\r\n\r\n"),
    ("GETRANGE k 0 9223372036854775807", "$11\r\nHello World\r\n"),
    ("GETRANGE k -9223372036854775808 9223372036854775807", "$11\r\nHello World\r\n"),
    ("GETRANGE k 9223372036854775807 -1", "$0\r\n\r\n"),
    ("GETRANGE k 1 -9223372036854775808", "$0\r\n\r\n"),
    ("GETRANGE k a 1", "-ERR value is not an integer or out of range\r\n"),
    ("GETRANGE k 1 b", "-ERR value is not an integer or out of range\r\n"),
    ("GETRANGE missing 0 -1", "$0\r\n\r\n"),
    ("GETRANGE missing a b", "-ERR value is not an integer or out of range\r\n"),
    ("GETRANGE empty 0 -1", "$0\r\n\r\n"),
    ("GETRANGE list 0 -1", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("SUBSTR k 0 4", "$5\r\nHello\r\n"),
    ("SUBSTR k -5 -1", "$5\r\nWorld\r\n"),
    ("SUBSTR k 1", "-ERR wrong number of arguments for 'substr' command\r\n"),
    ("SETRANGE k 6 Redis", ":11\r\n"),
    ("GET k", "$11\r\nHello Redis\r\n"),
    ("SETRANGE k 13 !", ":14\r\n"),
    ("GET k", "$14\r\nHello Redis\x00\x00!\r\n"),
    ("SETRANGE new 2 x", ":3\r\n"),
    ("GET new", "$3\r\n\x00\x00x\r\n"),
    ("SETRANGE absent 5 \"\"", ":0\r\n"),
    ("GET absent", "$-1\r\n"),
    ("SETRANGE k 2 \"\"", ":14\r\n"),
    ("SETRANGE k -1 x", "-ERR offset is out of range\r\n"),
    ("SETRANGE k a x", "-ERR value is not an integer or out of range\r\n"),
    ("SETRANGE k 536870912 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"),
    ("SETRANGE k 536870911 xy", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"),
    ("SETRANGE absent 9223372036854775807 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"),
    ("SETRANGE k 9223372036854775807 \"\"", ":14\r\n"),
    ("SETRANGE list 0 x", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("SETRANGE list -1 x", "-ERR offset is out of range\r\n"),
    ("SETRANGE list 0 \"\"", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("SETRANGE list 536870912 x", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("SET ttl v EX 100", "+OK\r\n"),
    ("APPEND ttl w", ":2\r\n"),
    ("SETRANGE ttl 0 x", ":2\r\n"),
    ("TTL ttl", ":100\r\n"),
    ("GET ttl", "$2\r\nxw\r\n"),
    ("SET bin \"\\x00\\x7f\\r\\n\"", "+OK\r\n"),
    ("GET bin", "$4\r\n\x00\x7f\r\n\r\n"),
    ("STRLEN bin", ":4\r\n"),
];

const COUNTERS: &[(&str, &str)] = &[
    ("INCR k", ":1\r\n"),
    ("INCR k", ":2\r\n"),
    ("INCRBY k 10", ":12\r\n"),
    ("DECR k", ":11\r\n"),
    ("DECRBY k 20", ":-9\r\n"),
    ("GET k", "$2\r\n-9\r\n"),
    ("INCRBY k -5", ":-14\r\n"),
    ("DECRBY k -5", ":-9\r\n"),
    ("INCRBY k x", "-ERR value is not an integer or out of range\r\n"),
    ("INCRBY k 1.5", "-ERR value is not an integer or out of range\r\n"),
    ("INCRBY k \" 1\"", "-ERR value is not an integer or out of range\r\n"),
    ("INCRBY k +1", "-ERR value is not an integer or out of range\r\n"),
    ("INCRBY k 9223372036854775808", "-ERR value is not an integer or out of range\r\n"),
    ("DECRBY k -9223372036854775808", "-ERR decrement would overflow\r\n"),
    ("SET k 9223372036854775807", "+OK\r\n"),
    ("INCR k", "-ERR increment or decrement would overflow\r\n"),
    ("INCRBY k 1", "-ERR increment or decrement would overflow\r\n"),
    ("DECRBY k -1", "-ERR increment or decrement would overflow\r\n"),
    ("DECR k", ":9223372036854775806\r\n"),
    ("SET k -9223372036854775808", "+OK\r\n"),
    ("DECR k", "-ERR increment or decrement would overflow\r\n"),
    ("INCRBY k -1", "-ERR increment or decrement would overflow\r\n"),
    ("INCR k", ":-9223372036854775807\r\n"),
    ("SET k abc", "+OK\r\n"),
    ("INCR k", "-ERR value is not an integer or out of range\r\n"),
    ("SET k \"\"", "+OK\r\n"),
    ("INCR k", "-ERR value is not an integer or out of range\r\n"),
    ("SET k \" 1\"", "+OK\r\n"),
    ("INCR k", "-ERR value is not an integer or out of range\r\n"),
    ("SET k 1.0", "+OK\r\n"),
    ("INCR k", "-ERR value is not an integer or out of range\r\n"),
    ("SET k 007", "+OK\r\n"),
    ("INCR k", "-ERR value is not an integer or out of range\r\n"),
    ("INCR list", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("INCRBY list x", "-ERR value is not an integer or out of range\r\n"),
    ("DECR k2", ":-1\r\n"),
    ("DECRBY k3 9223372036854775807", ":-9223372036854775807\r\n"),
    ("SET t 9 EX 100", "+OK\r\n"),
    ("INCR t", ":10\r\n"),
    ("TTL t", ":100\r\n"),
    ("INCRBYFLOAT t 1.5", "$4\r\n11.5\r\n"),
    ("TTL t", ":100\r\n"),
    ("INCR", "-ERR wrong number of arguments for 'incr' command\r\n"),
    ("INCRBY k", "-ERR wrong number of arguments for 'incrby' command\r\n"),
];

const FRACTIONS: &[(&str, &str)] = &[
    ("INCRBYFLOAT k 1", "$1\r\n1\r\n"),
    ("INCRBYFLOAT k 0.1", "$3\r\n1.1\r\n"),
    ("SET k 10.50", "+OK\r\n"),
    ("INCRBYFLOAT k 0.1", "$4\r\n10.6\r\n"),
    ("INCRBYFLOAT k -5", "$3\r\n5.6\r\n"),
    ("SET k 3.0e3", "+OK\r\n"),
    ("INCRBYFLOAT k 200", "$4\r\n3200\r\n"),
    ("INCRBYFLOAT k 1e2", "$4\r\n3300\r\n"),
    ("INCRBYFLOAT k -3.3e3", "$1\r\n0\r\n"),
    ("INCRBYFLOAT k -0", "$1\r\n0\r\n"),
    ("INCRBYFLOAT k -1.5", "$4\r\n-1.5\r\n"),
    ("INCRBYFLOAT k 1.5", "$1\r\n0\r\n"),
    ("INCRBYFLOAT k x", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k \"\"", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k \" 1\"", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k 1x", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k .5", "$3\r\n0.5\r\n"),
    ("INCRBYFLOAT k 5.", "$3\r\n5.5\r\n"),
    ("INCRBYFLOAT k .", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k 1e", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k +1", "$3\r\n6.5\r\n"),
    ("INCRBYFLOAT k --1", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k nan", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k inf", "-ERR increment would produce NaN or Infinity\r\n"),
    ("INCRBYFLOAT k -Infinity", "-ERR increment would produce NaN or Infinity\r\n"),
    ("INCRBYFLOAT k 1e5000", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k 1e-5000", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k 1e-4940", "$3\r\n6.5\r\n"),
    ("INCRBYFLOAT k 1e-17", "$19\r\n6.50000000000000001\r\n"),
    ("INCRBYFLOAT k 4e-18", "$19\r\n6.50000000000000001\r\n"),
    ("SET k abc", "+OK\r\n"),
    ("INCRBYFLOAT k 1", "-ERR value is not a valid float\r\n"),
    ("SET k \"\"", "+OK\r\n"),
    ("INCRBYFLOAT k 1", "-ERR value is not a valid float\r\n"),
    ("SET k inf", "+OK\r\n"),
    ("INCRBYFLOAT k 1", "-ERR increment would produce NaN or Infinity\r\n"),
    ("SET k 17179869184", "+OK\r\n"),
    ("INCRBYFLOAT k 1.5", "$13\r\n17179869185.5\r\n"),
    ("SET k 200", "+OK\r\n"),
    ("INCRBYFLOAT k 0.1", "$21\r\n200.10000000000000001\r\n"),
    ("SET k 1000000000", "+OK\r\n"),
    ("INCRBYFLOAT k 0.1", "$28\r\n1000000000.09999999997671694\r\n"),
    ("SET k 123456789012345678", "+OK\r\n"),
    ("INCRBYFLOAT k 0.1", "$26\r\n123456789012345678.1015625\r\n"),
    ("SET k 9223372036854775807", "+OK\r\n"),
    ("INCRBYFLOAT k 1", "$19\r\n9223372036854775808\r\n"),
    ("SET k 18446744073709551615", "+OK\r\n"),
    ("INCRBYFLOAT k 1", "$20\r\n18446744073709551616\r\n"),
    ("INCRBYFLOAT k 1", "$20\r\n18446744073709551616\r\n"),
    ("SET k 1e20", "+OK\r\n"),
    ("INCRBYFLOAT k 1", "$21\r\n100000000000000000000\r\n"),
    ("SET k 1e30", "+OK\r\n"),
    ("INCRBYFLOAT k -1e29", "$30\r\n900000000000000000001610612736\r\n"),
    ("SET k 0.1", "+OK\r\n"),
    ("INCRBYFLOAT k 0.2", "$3\r\n0.3\r\n"),
    ("SET k 0.99999999999999999", "+OK\r\n"),
    ("INCRBYFLOAT k 0.000000000000000005", "$1\r\n1\r\n"),
    ("SET k 1.00000000000000000005", "+OK\r\n"),
    ("INCRBYFLOAT k 0", "$1\r\n1\r\n"),
    ("SET k 3.14159265358979323846264338327950288", "+OK\r\n"),
    ("INCRBYFLOAT k 2.71828182845904523536028747135266250", "$19\r\n5.85987448204883847\r\n"),
    ("SET k -1e-18", "+OK\r\n"),
    ("INCRBYFLOAT k 0", "$1\r\n0\r\n"),
    ("SET k 1e4932", "+OK\r\n"),
    ("INCRBYFLOAT k 1e4932", "-ERR increment would produce NaN or Infinity\r\n"),
    ("INCRBYFLOAT list 1", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("INCRBYFLOAT list x", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("INCRBYFLOAT k", "-ERR wrong number of arguments for 'incrbyfloat' command\r\n"),
];

const EXPIRIES: &[(&str, &str)] = &[
    ("EXPIRE k 100", ":0\r\n"),
    ("TTL k", ":-2\r\n"),
    ("PTTL k", ":-2\r\n"),
    ("EXPIRETIME k", ":-2\r\n"),
    ("PEXPIRETIME k", ":-2\r\n"),
    ("PERSIST k", ":0\r\n"),
    ("SET k v", "+OK\r\n"),
    ("TTL k", ":-1\r\n"),
    ("PTTL k", ":-1\r\n"),
    ("EXPIRETIME k", ":-1\r\n"),
    ("PEXPIRETIME k", ":-1\r\n"),
    ("PERSIST k", ":0\r\n"),
    ("EXPIRE k 100", ":1\r\n"),
    ("TTL k", ":100\r\n"),
    ("PEXPIRE k 200000", ":1\r\n"),
    ("TTL k", ":200\r\n"),
    ("EXPIREAT k 4102444800", ":1\r\n"),
    ("EXPIRETIME k", ":4102444800\r\n"),
    ("PEXPIRETIME k", ":4102444800000\r\n"),
    ("PEXPIREAT k 4102444800499", ":1\r\n"),
    ("EXPIRETIME k", ":4102444800\r\n"),
    ("PEXPIREAT k 4102444800500", ":1\r\n"),
    ("EXPIRETIME k", ":4102444801\r\n"),
    ("PEXPIRETIME k", ":4102444800500\r\n"),
    ("PERSIST k", ":1\r\n"),
    ("TTL k", ":-1\r\n"),
    ("EXPIRE k 100 XX", ":0\r\n"),
    ("EXPIRE k 100 GT", ":0\r\n"),
    ("EXPIRE k 100 LT", ":1\r\n"),
    ("TTL k", ":100\r\n"),
    ("EXPIRE k 50 NX", ":0\r\n"),
    ("EXPIRE k 200 XX", ":1\r\n"),
    ("TTL k", ":200\r\n"),
    ("EXPIRE k 100 GT", ":0\r\n"),
    ("EXPIRE k 300 gt", ":1\r\n"),
    ("TTL k", ":300\r\n"),
    ("EXPIRE k 400 LT", ":0\r\n"),
    ("EXPIRE k 50 lt", ":1\r\n"),
    ("TTL k", ":50\r\n"),
    ("EXPIRE k 500 XX GT", ":1\r\n"),
    ("TTL k", ":500\r\n"),
    ("PERSIST k", ":1\r\n"),
    ("EXPIRE k 100 XX LT", ":0\r\n"),
    ("EXPIRE k 100 NX NX", ":1\r\n"),
    ("EXPIRE k 100 NX XX", "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"),
    ("EXPIRE k 100 NX GT", "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"),
    ("EXPIRE k 100 LT NX", "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"),
    ("EXPIRE k 100 GT LT", "-ERR GT and LT options at the same time are not compatible\r\n"),
    ("EXPIRE k 100 XX GT LT", "-ERR GT and LT options at the same time are not compatible\r\n"),
    ("EXPIRE k 100 NX XX AB", "-ERR Unsupported option AB\r\n"),
    ("EXPIRE k 100 AB", "-ERR Unsupported option AB\r\n"),
    ("EXPIRE k x AB", "-ERR Unsupported option AB\r\n"),
    ("EXPIRE k x", "-ERR value is not an integer or out of range\r\n"),
    ("EXPIRE k 1.5", "-ERR value is not an integer or out of range\r\n"),
    ("EXPIRE missing x", "-ERR value is not an integer or out of range\r\n"),
    ("EXPIRE k 9223372036854775807", "-ERR invalid expire time in 'expire' command\r\n"),
    ("EXPIRE k -9223372036854775808", "-ERR invalid expire time in 'expire' command\r\n"),
    ("EXPIRE k 9223372036854775", "-ERR invalid expire time in 'expire' command\r\n"),
    ("PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command\r\n"),
    ("EXPIREAT k 9223372036854775807", "-ERR invalid expire time in 'expireat' command\r\n"),
    ("PEXPIREAT k 9223372036854775808", "-ERR value is not an integer or out of range\r\n"),
    ("EXPIRE missing 9223372036854775807", "-ERR invalid expire time in 'expire' command\r\n"),
    ("PEXPIREAT k 9223372036854775807", ":1\r\n"),
    ("PEXPIRETIME k", ":9223372036854775807\r\n"),
    ("EXPIRE list 100", ":1\r\n"),
    ("TTL list", ":100\r\n"),
    ("PERSIST list", ":1\r\n"),
    ("EXPIRE k 0", ":1\r\n"),
    ("GET k", "$-1\r\n"),
    ("SET k v", "+OK\r\n"),
    ("EXPIRE k -1", ":1\r\n"),
    ("GET k", "$-1\r\n"),
    ("SET k v", "+OK\r\n"),
    ("PEXPIRE k -9223372036854775808", ":1\r\n"),
    ("GET k", "$-1\r\n"),
    ("SET k v", "+OK\r\n"),
    ("EXPIREAT k 1", ":1\r\n"),
    ("GET k", "$-1\r\n"),
    ("SET k v EX 100", "+OK\r\n"),
    ("PEXPIREAT k 1 GT", ":0\r\n"),
    ("PEXPIREAT k 1 NX", ":0\r\n"),
    ("TTL k", ":100\r\n"),
    ("PEXPIREAT k 1 LT", ":1\r\n"),
    ("TTL k", ":-2\r\n"),
    ("EXPIRE k", "-ERR wrong number of arguments for 'expire' command\r\n"),
    ("TTL", "-ERR wrong number of arguments for 'ttl' command\r\n"),
    ("PERSIST k k", "-ERR wrong number of arguments for 'persist' command\r\n"),
];

const IN_RESP3: &[(&str, &str)] = &[
    ("GET k", "_\r\n"),
    ("SET k v XX", "_\r\n"),
    ("SET k v NX GET", "_\r\n"),
    ("SET k w NX", "_\r\n"),
    ("GET k", "$1\r\nv\r\n"),
    ("GETDEL missing", "_\r\n"),
    ("GETEX missing", "_\r\n"),
    ("GETSET fresh v", "_\r\n"),
    ("MGET k missing list", "*3\r\n$1\r\nv\r\n_\r\n_\r\n"),
    ("STRLEN k", ":1\r\n"),
    ("GETRANGE missing 0 -1", "$0\r\n\r\n"),
    ("TTL missing", ":-2\r\n"),
    ("INCRBYFLOAT f 1.5", "$3\r\n1.5\r\n"),
    ("INCR n", ":1\r\n"),
    ("SETNX n 1", ":0\r\n"),
    ("GET list", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
];

/// Name, arity, flags, and first key, last key and step.
type Row = (&'static str, i32, &'static str, (i64, i64, i64));

/// What `COMMAND INFO` shows.
const ROWS: &[Row] = &[
    ("get", 2, "readonly fast", (1, 1, 1)),
    ("set", -3, "write denyoom", (1, 1, 1)),
    ("setnx", 3, "write denyoom fast", (1, 1, 1)),
    ("setex", 4, "write denyoom", (1, 1, 1)),
    ("psetex", 4, "write denyoom", (1, 1, 1)),
    ("getset", 3, "write denyoom fast", (1, 1, 1)),
    ("getdel", 2, "write fast", (1, 1, 1)),
    ("getex", -2, "write fast", (1, 1, 1)),
    ("mget", -2, "readonly fast", (1, -1, 1)),
    ("mset", -3, "write denyoom", (1, -1, 2)),
    ("msetnx", -3, "write denyoom", (1, -1, 2)),
    ("append", 3, "write denyoom fast", (1, 1, 1)),
    ("strlen", 2, "readonly fast", (1, 1, 1)),
    ("setrange", 4, "write denyoom", (1, 1, 1)),
    ("getrange", 4, "readonly", (1, 1, 1)),
    ("substr", 4, "readonly", (1, 1, 1)),
    ("incr", 2, "write denyoom fast", (1, 1, 1)),
    ("decr", 2, "write denyoom fast", (1, 1, 1)),
    ("incrby", 3, "write denyoom fast", (1, 1, 1)),
    ("decrby", 3, "write denyoom fast", (1, 1, 1)),
    ("incrbyfloat", 3, "write denyoom fast", (1, 1, 1)),
    ("expire", -3, "write fast", (1, 1, 1)),
    ("pexpire", -3, "write fast", (1, 1, 1)),
    ("expireat", -3, "write fast", (1, 1, 1)),
    ("pexpireat", -3, "write fast", (1, 1, 1)),
    ("ttl", 2, "readonly fast", (1, 1, 1)),
    ("pttl", 2, "readonly fast", (1, 1, 1)),
    ("expiretime", 2, "readonly fast", (1, 1, 1)),
    ("pexpiretime", 2, "readonly fast", (1, 1, 1)),
    ("persist", 2, "write fast", (1, 1, 1)),
];
