//! Judges `expiry`: dead keys are never seen, leave in order, and take bounded memory and bounded time.

use std::collections::{BTreeMap, HashMap};

use ch01_kv::engine::expiry::{Expiry, MAX_PER_CYCLE, MIN_PER_CYCLE, is_due, visible};
use ch01_kv::engine::types::{KeyHash, UnixMillis};
use common::judge::seeds;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// How often the server runs a cycle.
const TICK_MS: u64 = 100;

fn at(ms: u64) -> UnixMillis {
    UnixMillis(ms)
}

fn key(number: u64) -> KeyHash {
    // Spread over the range, so that the order of keys is not the order in which they came.
    KeyHash(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// An index of `count` keys with one deadline.
fn all_at_once(count: u64, deadline: UnixMillis) -> Expiry {
    let mut expiry = Expiry::new();
    for number in 0..count {
        expiry.schedule(key(number), None, Some(deadline));
    }
    expiry
}

#[test]
fn a_key_is_visible_up_to_its_last_millisecond_and_not_after() {
    let deadline = at(1_000);
    for (now, alive) in [(0, true), (999, true), (1_000, true), (1_001, false), (u64::MAX, false)] {
        assert_eq!(visible(Some(deadline), at(now)), alive, "deadline 1000, now {now}");
        assert_eq!(is_due(deadline, at(now)), !alive, "deadline 1000, now {now}");
        let mut expiry = all_at_once(1, deadline);
        assert_eq!(expiry.has_due(at(now)), !alive, "deadline 1000, now {now}");
        assert_eq!(expiry.backlog(at(now), 10), usize::from(!alive), "deadline 1000, now {now}");
        assert_eq!(expiry.take_due(at(now), 10).len(), usize::from(!alive), "deadline 1000, now {now}");
    }
    assert!(visible(None, at(u64::MAX)), "a key without a deadline is always visible");
    assert!(visible(Some(at(u64::MAX)), at(u64::MAX)), "the greatest deadline never passes");
}

#[test]
fn due_keys_leave_in_the_order_of_their_deadlines_and_once() {
    for seed in seeds(8) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut expiry = Expiry::new();
        let mut expected = Vec::new();
        for number in 0..1_000 {
            let deadline = at(rng.random_range(0..500));
            expiry.schedule(key(number), None, Some(deadline));
            expected.push(deadline);
        }
        expected.sort_unstable();
        let mut taken = Vec::new();
        for now in [0, 1, 100, 101, 350, 499, 500, 501] {
            let limit = rng.random_range(1..400);
            let due = expiry.take_due(at(now), limit);
            assert!(due.len() <= limit, "seed {seed}: {} taken with a limit of {limit}", due.len());
            taken.extend(due);
        }
        taken.extend(expiry.take_due(at(501), usize::MAX));
        let deadlines: Vec<UnixMillis> = taken.iter().map(|(deadline, _)| *deadline).collect();
        assert_eq!(deadlines, expected, "seed {seed}: each of the 1,000 deadlines once, the earliest first");
        assert!(expiry.is_empty() && expiry.take_due(at(u64::MAX), 1).is_empty(), "seed {seed}: something is left");
    }
}

#[test]
fn refreshing_one_key_a_million_times_keeps_one_entry() {
    let mut expiry = Expiry::new();
    let mut deadline = None;
    for ms in 0..1_000_000 {
        let next = Some(at(60_000 + ms));
        expiry.schedule(key(7), deadline, next);
        deadline = next;
        if ms.is_power_of_two() {
            assert_eq!(expiry.len(), 1, "after {ms} refreshes of one key");
        }
    }
    assert_eq!((expiry.len(), expiry.soonest()), (1, deadline));
    expiry.schedule(key(7), deadline, deadline);
    assert_eq!(expiry.len(), 1, "a refresh to the same deadline keeps the entry");
}

#[test]
fn the_index_agrees_with_the_keys_after_any_changes() {
    for seed in seeds(8) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut expiry = Expiry::new();
        let mut keys: BTreeMap<KeyHash, UnixMillis> = BTreeMap::new();
        for step in 0..3_000u64 {
            let now = at(step);
            let key = key(rng.random_range(0..50));
            // A new deadline twice out of three times; else the key is persisted or deleted.
            let new = rng.random_bool(0.67).then(|| at(step + rng.random_range(0..200)));
            let old = match new {
                Some(deadline) => keys.insert(key, deadline),
                None => keys.remove(&key),
            };
            expiry.schedule(key, old, new);
            if step % 10 == 0 {
                for (deadline, key) in expiry.take_due(now, 3) {
                    assert_eq!(keys.remove(&key), Some(deadline), "seed {seed}: {key:?} has another deadline by now");
                    expiry.schedule(key, Some(deadline), None);
                }
            }
            let due = keys.values().filter(|deadline| **deadline < now).count();
            assert_eq!(expiry.len(), keys.len(), "seed {seed}, step {step}");
            assert_eq!(expiry.soonest(), keys.values().min().copied(), "seed {seed}, step {step}");
            assert_eq!(expiry.backlog(now, usize::MAX), due, "seed {seed}, step {step}");
            assert_eq!(expiry.backlog(now, 2), due.min(2), "seed {seed}, step {step}: a look stops at its bound");
        }
    }
}

#[test]
fn a_million_keys_with_one_deadline_never_stall_the_server() {
    const KEYS: u64 = 1_000_000;
    let mut expiry = all_at_once(KEYS, at(1_000));
    assert!(expiry.cycle(at(1_000)).is_empty(), "at their deadline they are alive");
    let mut left = KEYS as usize;
    let mut cycles = 0;
    while left > 0 {
        cycles += 1;
        let due = expiry.cycle(at(1_000 + cycles * TICK_MS));
        assert!(due.len() <= MAX_PER_CYCLE, "one cycle took {} keys at once", due.len());
        assert!(!due.is_empty(), "cycle {cycles} took nothing, with {left} keys due");
        left -= due.len();
        assert!(cycles < 100, "{left} of {KEYS} dead keys are left after ten seconds");
    }
    assert!(expiry.is_empty());
}

#[test]
fn the_limit_doubles_under_a_backlog_and_halves_when_there_is_little_to_do() {
    let later = at(5_000);
    let mut expiry = all_at_once(50_000, at(1_000));
    assert_eq!(expiry.limit(), MIN_PER_CYCLE);
    assert_eq!(expiry.next_limit(at(1_000)), MIN_PER_CYCLE, "what is not due yet is no backlog");
    let mut limit = MIN_PER_CYCLE;
    while expiry.len() > limit {
        let next = (limit * 2).min(MAX_PER_CYCLE);
        assert_eq!(expiry.next_limit(later), next, "the backlog exceeds {limit}");
        assert_eq!(expiry.next_limit(later), next, "asking changes nothing");
        let left = expiry.len();
        assert_eq!(expiry.cycle(later).len(), next.min(left), "a cycle does what it may");
        assert_eq!(expiry.limit(), next);
        limit = next;
    }
    expiry.take_due(later, usize::MAX);
    while limit > MIN_PER_CYCLE {
        limit = (limit / 2).max(MIN_PER_CYCLE);
        expiry.cycle(later);
        assert_eq!(expiry.limit(), limit, "there was nothing to do");
    }
    assert_eq!(expiry.next_limit(later), MIN_PER_CYCLE, "the limit has a floor");
    // Between half of the limit and all of it, the limit fits the load.
    for (backlog, expected) in [(41, 80), (40, 40), (21, 40), (20, 20), (0, 20)] {
        let mut expiry = all_at_once(100, at(1_000));
        expiry.cycle(later);
        assert_eq!(expiry.limit(), 40);
        expiry.take_due(later, expiry.len() - backlog);
        assert_eq!(expiry.next_limit(later), expected, "{backlog} due, and a limit of 40");
    }
    let mut expiry = Expiry::new();
    for _ in 0..20 {
        for number in 0..2 * MAX_PER_CYCLE as u64 {
            expiry.schedule(key(number), None, Some(at(1_000)));
        }
        expiry.cycle(later);
    }
    assert_eq!(expiry.limit(), MAX_PER_CYCLE, "the limit has a ceiling");
}

#[test]
fn dead_keys_stay_bounded_while_keys_keep_arriving_for_minutes() {
    // A quiet minute, a rush of 6,000 keys a second, a quiet minute; each key lives for up to ten seconds, and one in
    // ten is refreshed. At most two seconds' worth of dead keys may ever be held.
    const RUSH_PER_SECOND: u64 = 6_000;
    for seed in seeds(1) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut expiry = Expiry::new();
        let mut store: HashMap<KeyHash, UnixMillis> = HashMap::new();
        let mut added = 0;
        let mut most_dead = 0;
        for tick in 0..1_500u64 {
            let now = tick * TICK_MS;
            let per_second = if (600..900).contains(&tick) { RUSH_PER_SECOND } else { 300 };
            for _ in 0..per_second * TICK_MS / 1_000 {
                let number = if rng.random_bool(0.1) { rng.random_range(0..=added) } else { added };
                added += 1;
                let deadline = at(now + rng.random_range(1..10_000));
                expiry.schedule(key(number), store.insert(key(number), deadline), Some(deadline));
            }
            for (deadline, key) in expiry.cycle(at(now)) {
                assert_eq!(store.remove(&key), Some(deadline), "seed {seed}: a key was taken with a stale deadline");
                assert!(deadline < at(now), "seed {seed}: a live key was taken");
            }
            assert!(expiry.limit() <= MAX_PER_CYCLE);
            assert_eq!(expiry.len(), store.len(), "seed {seed}: the index holds entries of no key");
            if tick % 10 == 9 {
                let dead = store.values().filter(|deadline| !visible(Some(**deadline), at(now))).count();
                most_dead = most_dead.max(dead);
            }
        }
        assert!(most_dead as u64 <= 2 * RUSH_PER_SECOND, "seed {seed}: {most_dead} dead keys were held at one time");
        assert!(expiry.cycle(at(1_500 * TICK_MS)).len() <= 400, "seed {seed}: a quiet minute later there is a backlog");
    }
}
