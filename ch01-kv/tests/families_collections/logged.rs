//! What the log is told.

use common::resp::{OwnedRequest, Protocol};

use super::Bench;

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
