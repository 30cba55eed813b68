//! The tables of replies.

use common::resp::Protocol;

use super::Bench;

#[test]
fn lists_answer_as_redis_does() {
    check_table("lists", include_str!("../replies/lists.txt"));
}

#[test]
fn pops_that_wait_answer_as_redis_does() {
    check_table("blocking", include_str!("../replies/blocking.txt"));
}

#[test]
fn sets_answer_as_redis_does() {
    check_table("sets", include_str!("../replies/sets.txt"));
}

#[test]
fn sorted_sets_answer_as_redis_does() {
    check_table("zsets", include_str!("../replies/zsets.txt"));
}

#[test]
fn ranges_of_sorted_sets_answer_as_redis_does() {
    check_table("zset_ranges", include_str!("../replies/zset_ranges.txt"));
}

#[test]
fn combinations_of_sorted_sets_answer_as_redis_does() {
    check_table("zset_algebra", include_str!("../replies/zset_algebra.txt"));
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

fn unescape(text: &str) -> Vec<u8> {
    text.replace("\\r", "\r").replace("\\n", "\n").into_bytes()
}
