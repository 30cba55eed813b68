//! What must hold whatever the command.

use ch01_kv::engine::entry::Entry;
use ch01_kv::engine::types::UnixMillis;
use ch01_kv::protocol::context::{Attempt, Random};
use ch01_kv::values::Value;
use common::resp::{OwnedRequest, Protocol};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use super::Bench;

#[test]
fn what_the_log_is_told_leads_to_the_same_data() {
    let mut popped_by_chance = 0;
    for seed in 0..6 {
        let mut bench = Bench::new(Protocol::Resp2, seed);
        let mut replica = Bench::new(Protocol::Resp2, seed + 1000);
        replica.attempt = Attempt::Only;
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
            bench.db.watches.add(key.as_bytes());
        }
        let mut choice = Random(Xoshiro256PlusPlus::seed_from_u64(seed + 99));
        let (mut changed, mut unchanged) = (0, 0);
        for step in 0..4000 {
            let command = any_command(&mut choice);
            let before = bench.dump();
            let reply = bench.run(&command);
            let counted = bench.changes.any();
            let told = !bench.db.watches.take_changed().is_empty();
            // To trim a list is told even when nothing was cut off, as Redis does.
            let trimmed = command[0] == "ltrim";
            assert!(
                told == counted || told && trimmed,
                "seed {seed}, step {step}: {command:?} -> {}, told {told}",
                reply.escape_ascii()
            );
            if !counted {
                assert_eq!(bench.dump(), before, "seed {seed}, step {step}: {command:?}");
            }
            *if counted { &mut changed } else { &mut unchanged } += 1;
        }
        assert!(changed > 500 && unchanged > 500, "{changed} changes, {unchanged} without");
    }
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
    bench.db.scan(0, usize::MAX, &mut |entry: &Entry| sum += entry.allocated_bytes());
    assert_eq!(bench.db.used_bytes() - bench.db.overhead_bytes(), sum);
    for (key, _) in bench.dump() {
        assert!(!bench.db.peek(&key).expect("it is there").value().to_value().is_empty_collection());
        bench.db.remove(&key);
    }
    assert_eq!(bench.db.used_bytes(), 0);
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
