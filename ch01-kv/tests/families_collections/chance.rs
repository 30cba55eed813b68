//! Draws by chance.

use common::resp::Protocol;

use super::Bench;

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
