//! What the log is told, and that it leads to the same database.

use ch01_kv::protocol::context::Random;
use common::resp::{OwnedRequest, Protocol};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use super::Server;

/// The requests of a log, in words.
fn lines(log: &[OwnedRequest]) -> Vec<String> {
    let line = |request: &OwnedRequest| {
        let words: Vec<_> =
            request.as_request().args(0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        words.join(" ")
    };
    log.iter().map(line).collect()
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
