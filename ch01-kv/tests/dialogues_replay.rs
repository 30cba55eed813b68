//! What a log may hold: whatever stands in a file, replaying it leads to a database or to an error, never to a panic.

use ch01_kv::protocol::config::Config;
use ch01_kv::protocol::context::Random;
use ch01_kv::protocol::service::Kv;
use ch01_kv::values::ZSet;
use common::resp::OwnedRequest;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

/// How many requests of each command are replayed.
const ROUNDS: usize = 200;

const SMALL: [&str; 5] = ["0", "1", "2", "3", "4"];

fn server() -> Kv {
    let mut config = Config::new(([127, 0, 0, 1], 6379).into(), "nowhere".into());
    config.appendonly = false;
    config.databases = 4;
    Kv::new(config, 1)
}

fn replay(kv: &mut Kv, selected: &mut usize, line: &str) -> Result<(), String> {
    kv.replay(selected, &OwnedRequest::new(line.split(' ')).as_request())
}

#[test]
fn databases_that_are_not_there_are_errors_of_the_log() {
    let mut kv = server();
    let mut selected = 0;
    for line in
        ["SET key value", "SWAPDB 0 0", "SWAPDB 3 3", "SWAPDB 0 3", "SELECT 3", "MOVE key 1", "COPY none key DB 2"]
    {
        assert_eq!(replay(&mut kv, &mut selected, line), Ok(()), "{line}");
    }
    assert_eq!((selected, kv.dbs[1].len(), kv.dbs[3].len()), (3, 1, 0), "the key has gone from 0 to 3 to 1");
    for line in [
        "SELECT 4",
        "SELECT -1",
        "SELECT x",
        "SELECT 9999999999999999999",
        "SWAPDB 0 4",
        "SWAPDB 4 0",
        "SWAPDB x 0",
        "SWAPDB -1 -1",
        "MOVE key 3",
        "MOVE key 4",
        "MOVE key x",
        "COPY key key",
        "COPY key other DB 4",
        "COPY key other DB",
        "SWAPDB 0",
        "DBSIZE",
        "CONFIG SET maxmemory 1",
        "NOPE",
    ] {
        assert!(replay(&mut kv, &mut selected, line).is_err(), "{line}");
        assert_eq!(selected, 3, "{line}");
    }
}

#[test]
fn a_log_of_redis_may_hold_hexadecimal_numbers() {
    let mut kv = server();
    let mut selected = 0;
    for line in ["ZADD board 0x10 m", "ZINCRBY board 0x1p-1 m", "ZREMRANGEBYSCORE board 0x11 1e400"] {
        assert_eq!(replay(&mut kv, &mut selected, line), Ok(()), "{line}");
    }
    let board = kv.dbs[0].read::<ZSet>(b"board").expect("it is a sorted set").expect("it is there");
    assert_eq!(board.score(b"m"), Some(16.5));
}

/// Every command, with arguments that fit and arguments that do not.
#[test]
fn no_request_in_a_log_can_panic() {
    // The largest numbers are beyond what a request can make the server take memory for.
    let words = [
        "",
        "a",
        "b",
        "c",
        "0",
        "1",
        "-1",
        "2",
        "3",
        "16",
        "-0",
        "0x10",
        "1.5",
        "inf",
        "nan",
        "1e400",
        "-9223372036854775808",
        "9223372036854775807",
        "2147483648",
        "*",
        "(1",
        "[a",
        "-",
        "+",
        "DB",
        "NX",
        "XX",
        "GET",
        "EX",
        "PX",
        "EXAT",
        "PXAT",
        "KEEPTTL",
        "LIMIT",
        "COUNT",
        "WITHSCORES",
        "LEFT",
        "RIGHT",
        "MIN",
        "MAX",
        "BYSCORE",
        "BYLEX",
        "REV",
        "BEFORE",
        "REPLACE",
        "MATCH",
        "WEIGHTS",
        "AGGREGATE",
        "PERSIST",
        "USAGE",
        "ENCODING",
        "RANK",
        "MAXLEN",
        "STORE",
        "\u{fffd}",
    ];
    let mut kv = server();
    let mut random = Random(Xoshiro256PlusPlus::seed_from_u64(7));
    let commands: Vec<(&str, i32)> = kv.table.iter().map(|command| (command.name, command.arity)).collect();
    let mut selected = 0;
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..ROUNDS * commands.len() {
        let (name, arity) = commands[random.below(commands.len())];
        // Now and then too few or too many.
        let fitting = arity.unsigned_abs() as usize - 1;
        let count = if random.below(2) == 0 { fitting } else { (fitting + random.below(4)).saturating_sub(1) };
        let mut args = vec![name];
        for _ in 0..count {
            // What is said twice, and small numbers, is where two things are one.
            args.push(match random.below(4) {
                0 if args.len() > 1 => args[args.len() - 1],
                1 => SMALL[random.below(SMALL.len())],
                _ => words[random.below(words.len())],
            });
        }
        let request = OwnedRequest::new(&args);
        match kv.replay(&mut selected, &request.as_request()) {
            Ok(()) => accepted += 1,
            Err(_) => refused += 1,
        }
        assert!(selected < kv.dbs.len(), "a database is selected");
        if round % 1000 == 999 {
            kv.dbs.iter_mut().for_each(ch01_kv::engine::keyspace::Db::clear);
        }
    }
    assert!(accepted > ROUNDS * 10 && refused > ROUNDS * 10, "{accepted} were accepted, {refused} refused");
}
