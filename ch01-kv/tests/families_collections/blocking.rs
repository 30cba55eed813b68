//! The pops that wait.

use std::time::Duration;

use ch01_kv::protocol::context::Attempt;
use common::resp::Protocol;

use super::Bench;

#[test]
fn a_pop_that_waits_says_for_what_and_how_long() {
    let mut bench = Bench::new(Protocol::Resp2, 1);
    bench.line("blpop a b 1.5");
    let block = bench.block.take().expect("it waits");
    assert_eq!(block.keys, [Box::from(*b"a"), Box::from(*b"b")] as [Box<[u8]>; 2]);
    assert_eq!(block.timeout, Some(Duration::from_millis(1500)));
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
            bench.attempt = Attempt::Only;
            assert_eq!(bench.line(line), expected.as_bytes(), "{line}");
            assert!(bench.block.is_none());
        }
    }
}

#[test]
fn what_a_key_has_woken_looks_at_that_one_alone() {
    for (line, wrong, right, reply) in [
        ("blpop a b 0", "set a text", "rpush b 1", "*2\r\n$1\r\nb\r\n$1\r\n1\r\n"),
        ("brpop a b 0", "rpush a 2", "rpush b 1", "*2\r\n$1\r\nb\r\n$1\r\n1\r\n"),
        ("blmpop 0 2 a b left", "set a text", "rpush b 1", "*2\r\n$1\r\nb\r\n*1\r\n$1\r\n1\r\n"),
        ("bzpopmin a b 0", "set a text", "zadd b 1 m", "*3\r\n$1\r\nb\r\n$1\r\nm\r\n$1\r\n1\r\n"),
        ("bzpopmax a b 0", "zadd a 1 m", "zadd b 1 m", "*3\r\n$1\r\nb\r\n$1\r\nm\r\n$1\r\n1\r\n"),
        ("bzmpop 0 2 a b min", "set a text", "zadd b 1 m", "*2\r\n$1\r\nb\r\n*1\r\n*2\r\n$1\r\nm\r\n$1\r\n1\r\n"),
    ] {
        let mut bench = Bench::new(Protocol::Resp2, 1);
        bench.line(line);
        let keys = bench.block.take().expect("it waits").keys;
        assert_eq!(keys, [Box::from(*b"a"), Box::from(*b"b")] as [Box<[u8]>; 2], "{line}");
        bench.line(wrong);
        bench.attempt = Attempt::Woken(b"b");
        assert!(bench.line(line).is_empty() && bench.block.take().is_some(), "{line}: there is nothing yet");
        bench.attempt = Attempt::First;
        bench.line(right);
        bench.attempt = Attempt::Woken(b"b");
        assert_eq!(String::from_utf8_lossy(&bench.line(line)), reply, "{line}");
        assert_eq!(bench.dump().len(), 1, "{line}: the other key keeps what it holds");
    }
}
