//! Lists, sets, sorted sets and the pops that wait: the replies of the real server, command by command, and what must
//! hold whatever the command.
//!
//! The tables in `replies/` hold what Redis 7.0.15 answered, in both versions of the protocol. A line is a command, and
//! below it stands the reply: `>` for both versions, `2>` and `3>` where they differ. `?` marks a command that waits.

use std::time::Duration;

use ch01_kv::engine::entry::Entry;
use ch01_kv::engine::keyspace::{Db, Ttl};
use ch01_kv::engine::types::UnixMillis;
use ch01_kv::engine::value::{Value, ValueRef};
use ch01_kv::protocol::commands::{blocking, lists, set_algebra, sets, zset_algebra, zset_pops, zset_ranges, zsets};
use ch01_kv::protocol::context::{Block, Changes, Command, Context, Handler, Random};
use common::resp::table::Table;
use common::resp::{OwnedRequest, Protocol, Replies};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

static FAMILIES: &[&[Command]] = &[
    lists::COMMANDS,
    blocking::COMMANDS,
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
    may_block: bool,
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
            may_block: true,
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
                may_block: self.may_block,
                block: None,
            };
            let result = handler(&mut context, &request);
            self.block = context.block.take();
            if let Err(error) = result {
                assert!(replies.is_empty(), "{}: an error comes before any reply", command.name);
                assert!(!self.changes.any(), "{}: an error comes before any change", command.name);
                replies.error(&error.to_string());
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

fn unescape(text: &str) -> Vec<u8> {
    text.replace("\\r", "\r").replace("\\n", "\n").into_bytes()
}

fn check_table(name: &str, table: &str) {
    for (protocol, own) in [(Protocol::Resp2, "2> "), (Protocol::Resp3, "3> ")] {
        let mut bench = Bench::new(protocol, 1);
        let mut checked = 0;
        let mut lines = table.lines().enumerate().peekable();
        while let Some((number, line)) = lines.next() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(waiting) = line.strip_prefix("? ") {
                let before = bench.dump();
                let reply = bench.line(waiting);
                let block = bench.block.take().unwrap_or_else(|| panic!("{name}:{}: {waiting} waits", number + 1));
                assert!(reply.is_empty() && !block.keys.is_empty(), "{name}:{}: {waiting} says nothing", number + 1);
                assert_eq!(bench.dump(), before, "{name}:{}: {waiting} changes nothing", number + 1);
                continue;
            }
            let mut expected = None;
            while let Some((_, reply)) = lines.next_if(|(_, line)| line.starts_with("  ")) {
                let reply = reply.trim_start();
                if let Some(reply) = reply.strip_prefix(own).or_else(|| reply.strip_prefix("> ")) {
                    expected = Some(unescape(reply));
                }
            }
            let expected = expected.unwrap_or_else(|| panic!("{name}:{}: {line} has a reply", number + 1));
            let reply = bench.line(line);
            assert!(
                reply == expected,
                "{name}:{}: {line} in {protocol:?}\n  ours  {}\n  Redis {}",
                number + 1,
                reply.escape_ascii(),
                expected.escape_ascii()
            );
            checked += 1;
        }
        assert!(checked > 30, "{name} has commands");
    }
}

#[test]
fn lists_answer_as_redis_does() {
    check_table("lists", include_str!("replies/lists.txt"));
}

#[test]
fn pops_that_wait_answer_as_redis_does() {
    check_table("blocking", include_str!("replies/blocking.txt"));
}

#[test]
fn sets_answer_as_redis_does() {
    check_table("sets", include_str!("replies/sets.txt"));
}

#[test]
fn sorted_sets_answer_as_redis_does() {
    check_table("zsets", include_str!("replies/zsets.txt"));
}

#[test]
fn ranges_of_sorted_sets_answer_as_redis_does() {
    check_table("zset_ranges", include_str!("replies/zset_ranges.txt"));
}

#[test]
fn combinations_of_sorted_sets_answer_as_redis_does() {
    check_table("zset_algebra", include_str!("replies/zset_algebra.txt"));
}

/// Command, what the log is told, how many changes it counts. An empty log and no changes: nothing is logged.
#[test]
fn the_log_is_told_what_redis_tells_its_own() {
    let cases: &[(&str, &str, u64)] = &[
        ("rpush l a b c d e f g h", "rpush l a b c d e f g h", 8),
        ("lpop l 2", "lpop l 2", 2),
        ("lpop l 0", "", 0),
        ("lpop nope", "", 0),
        ("lmpop 2 nope l left count 2", "LPOP l 2", 2),
        ("blpop l 1", "LPOP l", 1),
        ("brpop l 1", "RPOP l", 1),
        ("blmove l m LEFT right 0", "LMOVE l m left right", 1),
        ("lmove l m right left", "lmove l m right left", 1),
        ("rpoplpush l m", "", 0),
        ("rpush m 1 2 3 4", "rpush m 1 2 3 4", 4),
        ("brpoplpush m l 0", "RPOPLPUSH m l", 1),
        ("blmpop 0 1 m right count 99", "RPOP m 5", 5),
        ("rpush m 1 2 3", "rpush m 1 2 3", 3),
        ("lset m 0 q", "lset m 0 q", 1),
        ("linsert m before q r", "linsert m before q r", 1),
        ("linsert m before nope r", "", 0),
        ("lrem m 0 q", "lrem m 0 q", 1),
        ("lrem m 0 q", "", 0),
        ("ltrim m 0 0", "ltrim m 0 0", 2),
        ("ltrim m 0 0", "", 0),
        ("ltrim m 5 0", "ltrim m 5 0", 1),
        ("sadd s a b c", "sadd s a b c", 3),
        ("sadd s a", "", 0),
        ("srem s a nope", "srem s a nope", 1),
        ("srem s nope", "", 0),
        ("spop s 2", "DEL s", 2),
        ("sadd s a", "sadd s a", 1),
        ("spop s", "DEL s", 1),
        ("sadd s a b", "sadd s a b", 2),
        ("smove s t a", "smove s t a", 2),
        ("smove s s b", "", 0),
        ("smove s t nope", "", 0),
        ("sadd t b", "sadd t b", 1),
        ("smove s t b", "smove s t b", 1),
        ("sinterstore d t", "sinterstore d t", 1),
        ("sinterstore d nope", "sinterstore d nope", 1),
        ("sinterstore d nope", "", 0),
        ("zadd z 1 a 2 b 3 c 4 d 5 e 6 f 7 g 8 h", "zadd z 1 a 2 b 3 c 4 d 5 e 6 f 7 g 8 h", 8),
        ("zadd z 1 a 2 b 4 c 3 cc", "zadd z 1 a 2 b 4 c 3 cc", 2),
        ("zadd z 1 a", "", 0),
        ("zadd z incr 0 a", "", 0),
        ("zadd z nx incr 1 a", "", 0),
        ("zincrby z 1 a", "zincrby z 1 a", 1),
        ("zpopmin z", "zpopmin z", 1),
        ("zpopmin z 2", "zpopmin z 2", 2),
        ("zpopmax z 0", "", 0),
        ("zmpop 1 z max count 2", "ZPOPMAX z 2", 2),
        ("bzpopmin z 0", "ZPOPMIN z", 1),
        ("bzmpop 0 1 z min count 99", "ZPOPMIN z 3", 3),
        ("zadd z 1 a 2 b 3 c", "zadd z 1 a 2 b 3 c", 3),
        ("zrem z nope", "", 0),
        ("zunionstore zz 1 z", "zunionstore zz 1 z", 1),
        ("zrangestore zz z 0 1", "zrangestore zz z 0 1", 1),
        ("zinterstore zz 1 nope", "zinterstore zz 1 nope", 1),
        ("zinterstore zz 1 nope", "", 0),
        ("zremrangebyrank z 0 1", "zremrangebyrank z 0 1", 2),
        ("zremrangebyscore z 100 200", "", 0),
    ];
    let mut bench = Bench::new(Protocol::Resp2, 1);
    for &(line, expected, count) in cases {
        let reply = bench.line(line);
        assert!(!reply.starts_with(b"-"), "{line}: {}", reply.escape_ascii());
        let instead = bench.changes.instead();
        let told: Vec<String> = instead.iter().map(|request| String::from_utf8(join(request)).expect("text")).collect();
        let logged = match bench.changes.any() {
            true if told.is_empty() => line.to_owned(),
            _ => told.join("; "),
        };
        assert_eq!((&*logged, bench.changes.count()), (expected, count), "{line}");
    }
}

fn join(request: &OwnedRequest) -> Vec<u8> {
    request.as_request().args(0).collect::<Vec<_>>().join(&b' ')
}

#[test]
fn a_pop_by_chance_is_logged_by_name() {
    let mut bench = Bench::new(Protocol::Resp2, 7);
    bench.line("sadd s a b c d e f g h");
    let reply = String::from_utf8(bench.line("spop s 3")).expect("text");
    assert_eq!(bench.changes.count(), 3);
    let [logged] = bench.changes.instead() else { panic!("one request tells of few members") };
    let logged: Vec<&[u8]> = logged.as_request().args(0).collect();
    assert_eq!(logged[..2], [&b"SREM"[..], b"s"]);
    let popped: Vec<&str> = reply.split("\r\n").skip(2).step_by(2).collect();
    assert_eq!(logged[2..].iter().map(|arg| std::str::from_utf8(arg).expect("text")).collect::<Vec<_>>(), popped);
    for member in popped {
        assert_eq!(bench.run(&["sismember", "s", member]), b":0\r\n");
    }
    assert_eq!(bench.line("scard s"), b":5\r\n");
}

/// A command at random, over few keys and few elements, so that they meet.
fn any_command(random: &mut Random) -> Vec<String> {
    let mut pick = |words: &[&str]| words[random.below(words.len())].to_owned();
    let keys = ["l1", "l2", "s1", "s2", "z1", "z2", "x"];
    let mut args = vec![pick(&[
        "lpush",
        "rpush",
        "lpushx",
        "lpop",
        "rpop",
        "lset",
        "linsert",
        "lrem",
        "ltrim",
        "lmove",
        "rpoplpush",
        "lmpop",
        "blpop",
        "brpop",
        "blmove",
        "brpoplpush",
        "blmpop",
        "bzpopmin",
        "bzpopmax",
        "bzmpop",
        "sadd",
        "sadd",
        "srem",
        "spop",
        "smove",
        "sinterstore",
        "sunionstore",
        "sdiffstore",
        "zadd",
        "zadd",
        "zincrby",
        "zrem",
        "zrangestore",
        "zremrangebyrank",
        "zremrangebyscore",
        "zremrangebylex",
        "zpopmin",
        "zpopmax",
        "zmpop",
        "zunionstore",
        "zinterstore",
        "zdiffstore",
    ])];
    let kind = args[0].trim_start_matches('b')[..1].to_owned();
    let own: Vec<&str> =
        keys.iter().copied().filter(|key| key.starts_with(&kind) || kind == "r" && key.starts_with('l')).collect();
    let own = if own.is_empty() || pick(&["0", "1", "2", "3", "4", "5"]) == "0" { keys.to_vec() } else { own };
    let element = ["a", "b", "c", "d", "e"];
    let number = ["-3", "-2", "-1", "0", "1", "2", "3", "100"];
    let score = ["-1", "0", "1", "1", "2.5", "inf", "-inf"];
    let mut key = || pick(&own);
    let (first, second) = (key(), key());
    let form: Vec<String> = match &*args[0] {
        "lpush" | "rpush" | "lpushx" | "sadd" | "srem" | "zrem" => vec![first, pick(&element), pick(&element)],
        "lpop" | "rpop" | "spop" | "zpopmin" | "zpopmax" => match &*pick(&["", "0", "1", "3"]) {
            "" => vec![first],
            count => vec![first, count.to_owned()],
        },
        "lset" => vec![first, pick(&number), pick(&element)],
        "linsert" => vec![first, pick(&["before", "after"]), pick(&element), pick(&element)],
        "lrem" => vec![first, pick(&number), pick(&element)],
        "ltrim" | "zremrangebyrank" => vec![first, pick(&number), pick(&number)],
        "lmove" => vec![first, second, pick(&["left", "right"]), pick(&["left", "right"])],
        "blmove" => vec![first, second, pick(&["left", "right"]), pick(&["left", "right"]), "0".into()],
        "rpoplpush" => vec![first, second],
        "brpoplpush" => vec![first, second, "0".into()],
        "blpop" | "brpop" | "bzpopmin" | "bzpopmax" => vec![first, second, "0".into()],
        "lmpop" => vec!["2".into(), first, second, pick(&["left", "right"]), "count".into(), pick(&["1", "2", "9"])],
        "blmpop" => vec!["0".into(), "2".into(), first, second, pick(&["left", "right"])],
        "zmpop" => vec!["2".into(), first, second, pick(&["min", "max"]), "count".into(), pick(&["1", "2", "9"])],
        "bzmpop" => vec!["0".into(), "2".into(), first, second, pick(&["min", "max"])],
        "smove" => vec![first, second, pick(&element)],
        "sinterstore" | "sunionstore" | "sdiffstore" => vec![first, second, pick(&keys)],
        "zadd" => {
            let option = pick(&["ch", "nx", "xx", "gt", "lt", "incr"]);
            let mut form = vec![first, option.clone(), pick(&score), pick(&element)];
            if option != "incr" {
                form.extend([pick(&score), pick(&element)]);
            }
            form
        }
        "zincrby" => vec![first, pick(&score), pick(&element)],
        "zrangestore" => vec![first, second, pick(&number), pick(&number)],
        "zremrangebyscore" => vec![first, pick(&score), pick(&score)],
        "zremrangebylex" => vec![first, pick(&["-", "[b", "(b"]), pick(&["+", "[d", "(d"])],
        "zunionstore" | "zinterstore" | "zdiffstore" => vec![first, "2".into(), second, pick(&keys)],
        name => unreachable!("{name} has a form"),
    };
    args.extend(form);
    args
}

#[test]
fn what_the_log_is_told_leads_to_the_same_data() {
    let mut popped_by_chance = 0;
    for seed in 0..6 {
        let mut bench = Bench::new(Protocol::Resp2, seed);
        let mut replica = Bench::new(Protocol::Resp2, seed + 1000);
        replica.may_block = false;
        let mut choice = Random(Xoshiro256PlusPlus::seed_from_u64(seed + 77));
        for step in 0..4000 {
            let command = any_command(&mut choice);
            bench.run(&command);
            if bench.changes.any() {
                let instead: Vec<OwnedRequest> = bench.changes.instead().to_vec();
                popped_by_chance += usize::from(instead.iter().any(|request| request.as_request().is(0, "SREM")));
                if instead.is_empty() {
                    replica.run(&command);
                }
                for request in instead {
                    replica.run(&request.as_request().args(0).collect::<Vec<_>>());
                }
            }
            assert_eq!(bench.dump(), replica.dump(), "seed {seed}, step {step}: {command:?}");
        }
    }
    assert!(popped_by_chance > 50, "chance has had a say");
}

#[test]
fn who_watches_is_told_of_changes_and_of_nothing_else() {
    for seed in 0..6 {
        let mut bench = Bench::new(Protocol::Resp2, seed);
        for key in ["l1", "l2", "s1", "s2", "z1", "z2", "x"] {
            bench.db.watch(key.as_bytes());
        }
        let mut choice = Random(Xoshiro256PlusPlus::seed_from_u64(seed + 99));
        let (mut changed, mut unchanged) = (0, 0);
        for step in 0..4000 {
            let command = any_command(&mut choice);
            let before = bench.dump();
            let reply = bench.run(&command);
            let counted = bench.changes.any();
            let told = !bench.db.take_changed().is_empty();
            assert_eq!(told, counted, "seed {seed}, step {step}: {command:?} -> {}", reply.escape_ascii());
            if !counted {
                assert_eq!(bench.dump(), before, "seed {seed}, step {step}: {command:?}");
            }
            *if counted { &mut changed } else { &mut unchanged } += 1;
        }
        assert!(changed > 500 && unchanged > 500, "{changed} changes, {unchanged} without");
    }
}

#[test]
fn a_pop_that_waits_says_for_what_and_how_long() {
    let mut bench = Bench::new(Protocol::Resp2, 1);
    bench.line("blpop a b 1.5");
    let block = bench.block.take().expect("it waits");
    assert_eq!(block.keys, [Box::from(*b"a"), Box::from(*b"b")] as [Box<[u8]>; 2]);
    assert_eq!((block.timeout, block.null_array), (Some(Duration::from_millis(1500)), true));
    bench.line("blmpop 0 2 a b left");
    let block = bench.block.take().expect("it waits");
    assert_eq!((block.keys.len(), block.timeout), (2, None));
    bench.line("blmove a b left right 2");
    let block = bench.block.take().expect("it waits");
    assert_eq!(block.keys, [Box::from(*b"a")] as [Box<[u8]>; 1], "what it waits for is an element, not a place for it");
}

#[test]
fn what_cannot_wait_answers_at_once() {
    for (line, resp2) in [
        ("blpop a 0", "*-1\r\n"),
        ("brpop a 0", "*-1\r\n"),
        ("blmpop 0 1 a left", "*-1\r\n"),
        ("bzpopmin a 0", "*-1\r\n"),
        ("bzmpop 0 1 a min", "*-1\r\n"),
        ("blmove a b left right 0", "$-1\r\n"),
        ("brpoplpush a b 0", "$-1\r\n"),
    ] {
        for (protocol, expected) in [(Protocol::Resp2, resp2), (Protocol::Resp3, "_\r\n")] {
            let mut bench = Bench::new(protocol, 1);
            bench.may_block = false;
            assert_eq!(bench.line(line), expected.as_bytes(), "{line}");
            assert!(bench.block.is_none());
        }
    }
}

#[test]
fn draws_are_distinct_or_as_many_as_asked_for() {
    for (members, draw) in [("sadd s", "srandmember s"), ("zadd s", "zrandmember s")] {
        let mut bench = Bench::new(Protocol::Resp2, 3);
        for member in 0..40 {
            let score = if members.starts_with('z') { "1" } else { "" };
            bench.line(&format!("{members} {score} m{member}"));
        }
        for count in 0..60 {
            let reply = String::from_utf8(bench.line(&format!("{draw} {count}"))).expect("text");
            let mut drawn: Vec<&str> =
                reply.split("\r\n").skip(2).step_by(2).filter(|member| !member.is_empty()).collect();
            assert_eq!(drawn.len(), count.min(40));
            drawn.sort_unstable();
            drawn.dedup();
            assert_eq!(drawn.len(), count.min(40), "{draw} {count}: no member twice");
            let reply = bench.line(&format!("{draw} -{}", count + 1));
            assert!(reply.starts_with(format!("*{}\r\n", count + 1).as_bytes()), "{draw} -{count}");
        }
    }
}

#[test]
fn a_draw_favours_nobody() {
    for (members, draw) in [("sadd s", "srandmember s"), ("zadd s", "zrandmember s")] {
        let mut bench = Bench::new(Protocol::Resp2, 3);
        for member in 0..40 {
            let score = if members.starts_with('z') { "1" } else { "" };
            bench.line(&format!("{members} {score} m{member}"));
        }
        for count in ["", "1", "3", "20", "39", "-1", "-20"] {
            let mut seen = std::collections::BTreeMap::<String, usize>::new();
            let each = count.trim_start_matches('-').parse().unwrap_or(1);
            let rounds = 4000 / each;
            for _ in 0..rounds {
                let reply = String::from_utf8(bench.line(&format!("{draw} {count}"))).expect("text");
                let drawn = reply.split("\r\n").filter(|line| line.starts_with('m'));
                drawn.for_each(|member| *seen.entry(member.to_owned()).or_default() += 1);
            }
            let expected = rounds * each / 40;
            assert_eq!(seen.len(), 40, "{draw} {count}: every member has a chance");
            let fair = expected * 6 / 10..=expected * 14 / 10;
            assert!(seen.values().all(|times| fair.contains(times)), "{draw} {count}: {seen:?}");
        }
    }
}

#[test]
fn a_draw_without_bound_is_refused() {
    let mut bench = Bench::new(Protocol::Resp2, 3);
    bench.line("sadd s a");
    bench.line("zadd z 1 a");
    for line in ["srandmember s -4611686018427387904", "zrandmember z -4611686018427387903", "srandmember s -1048577"] {
        assert_eq!(bench.line(line), b"-ERR value is out of range\r\n", "{line}");
    }
    // A few draws of a long member are as much as many of a short one.
    bench.run(&[&b"sadd"[..], b"long", &vec![0; 8 << 20]]);
    assert_eq!(bench.line("srandmember long -1000"), b"-ERR value is out of range\r\n");
}

#[test]
fn a_removal_by_chance_of_much_is_logged_in_portions() {
    let mut bench = Bench::new(Protocol::Resp2, 3);
    for member in 0..30_u8 {
        bench.run(&[&b"sadd"[..], b"s", &vec![member; 100 << 10]]);
    }
    bench.line("spop s 25");
    let sizes: Vec<usize> = bench.changes.instead().iter().map(OwnedRequest::len_bytes).collect();
    assert_eq!(bench.changes.count(), 25);
    assert!(sizes.len() == 3 && sizes.iter().all(|&size| size < 1100 << 10), "{sizes:?}");
}

#[test]
fn a_result_that_is_stored_replaces_what_was_there_with_its_deadline() {
    for line in ["sunionstore d s", "zunionstore d 1 s", "zrangestore d z 0 -1", "sdiffstore d s"] {
        let mut bench = Bench::new(Protocol::Resp2, 3);
        bench.line("sadd s a");
        bench.line("zadd z 1 a");
        bench.db.put(b"d", Value::Str(b"old".to_vec()), Some(UnixMillis(5)));
        assert_eq!(bench.line(line), b":1\r\n", "{line}");
        assert_eq!(bench.db.deadline(b"d"), Some(None), "{line}");
    }
}

#[test]
fn the_bytes_in_use_are_those_of_what_is_left() {
    let mut bench = Bench::new(Protocol::Resp2, 3);
    let mut choice = Random(Xoshiro256PlusPlus::seed_from_u64(5));
    for _ in 0..3000 {
        bench.run(&any_command(&mut choice));
    }
    let mut sum = 0;
    bench.db.scan(0, usize::MAX, &mut |entry: &Entry| sum += entry.bytes());
    assert_eq!(bench.db.used_bytes(), sum);
    for (key, _) in bench.dump() {
        assert!(!bench.db.peek(&key).expect("it is there").value().to_value().is_empty_collection());
        bench.db.remove(&key);
    }
    assert_eq!(bench.db.used_bytes(), 0);
}
