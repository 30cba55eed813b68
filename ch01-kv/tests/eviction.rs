//! Judges `eviction`: sampled LRU comes close to true LRU, at five samples an eviction, and never trusts what it
//! remembers.

use std::cell::RefCell;
use std::collections::BTreeMap;

use ch01_kv::engine::eviction::{
    CLOCK_UNIT_MS, Candidate, Decision, LruClock, POOL_LEN, Policy, Pool, SAMPLES, choose, decide,
};
use ch01_kv::engine::types::{KeyHash, UnixMillis};
use common::judge::seeds;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

fn candidate(key: u64, idle: u32) -> Candidate {
    Candidate { key: KeyHash(key), idle }
}

/// Everything in the pool, the idlest first.
fn drain(mut pool: Pool) -> Vec<Candidate> {
    std::iter::from_fn(|| pool.take()).collect()
}

/// A sampler that deals these candidates and then has no more.
fn deal(candidates: &[Candidate]) -> impl FnMut() -> Option<Candidate> {
    let mut left = candidates.iter().copied();
    move || left.next()
}

#[test]
fn room_is_made_only_beyond_the_maximum_and_only_if_the_policy_says_so() {
    let every = [Policy::NoEviction, Policy::AllKeysLru, Policy::VolatileTtl];
    let beyond = [Decision::Refuse, Decision::Evict, Decision::Evict];
    for (policy, beyond) in every.into_iter().zip(beyond) {
        assert_eq!(decide(policy, 99, 100), Decision::Fine, "{policy}: below the maximum");
        assert_eq!(decide(policy, 100, 100), Decision::Fine, "{policy}: at the maximum");
        assert_eq!(decide(policy, 101, 100), beyond, "{policy}: beyond the maximum");
        assert_eq!(decide(policy, u64::MAX, 0), Decision::Fine, "{policy}: a maximum of 0 is none");
        assert_eq!(policy.to_string().to_uppercase().parse(), Ok(policy), "names are read in either case");
    }
    assert!("allkeys-lfu".parse::<Policy>().unwrap_err().to_string().contains("allkeys-lfu"));
}

#[test]
fn idle_time_is_right_across_the_clocks_wrap() {
    for (now, then, idle) in [
        (5, 5, 0),
        (1_000, 1, 999),
        (3, u32::MAX - 1, 5),
        (0, u32::MAX, 1),
        (u32::MAX / 2, 0, u32::MAX / 2),
        // Touched in the future: the wall clock was set back.
        (1, 2, 0),
        (u32::MAX, 0, 0),
        (u32::MAX - 1, 3, 0),
    ] {
        assert_eq!(LruClock(now).idle_since(LruClock(then)), idle, "now {now}, touched at {then}");
    }
    // A wrap in the middle of a key's idle time, by the wall clock.
    let wrap_ms = (u64::from(u32::MAX) + 1) * CLOCK_UNIT_MS;
    let touched = LruClock::at(UnixMillis(wrap_ms - 60_000));
    let now = LruClock::at(UnixMillis(wrap_ms + 60_000));
    assert_eq!(u64::from(now.idle_since(touched)), 120_000 / CLOCK_UNIT_MS);
}

#[test]
fn the_pool_keeps_the_idlest_that_were_offered() {
    for seed in seeds(16) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut pool = Pool::new();
        let mut offered = Vec::new();
        for key in 0..rng.random_range(1..200) {
            let candidate = candidate(key, rng.random_range(0..u32::MAX));
            pool.offer(candidate);
            offered.push(candidate.idle);
            assert!(pool.len() <= POOL_LEN, "seed {seed}: the pool holds {}", pool.len());
        }
        offered.sort_unstable_by(|left, right| right.cmp(left));
        offered.truncate(POOL_LEN);
        let kept: Vec<u32> = drain(pool).iter().map(|candidate| candidate.idle).collect();
        assert_eq!(kept, offered, "seed {seed}: the idlest, the idlest first");
    }
}

#[test]
fn a_key_is_in_the_pool_once_with_its_latest_idle_time() {
    let mut pool = Pool::new();
    for idle in [10, 500, 20] {
        pool.offer(candidate(1, idle));
        pool.offer(candidate(2, 100));
    }
    assert_eq!(drain(pool), [candidate(2, 100), candidate(1, 20)]);
    // A full pool, whose idlest key is offered again as just touched: it does not stay as the idlest.
    let mut pool = Pool::new();
    for key in 0..POOL_LEN as u64 {
        pool.offer(candidate(key, 100 + key as u32));
    }
    let idlest = POOL_LEN as u64 - 1;
    pool.offer(candidate(idlest, 1));
    let kept = drain(pool);
    assert_eq!(kept.iter().filter(|candidate| candidate.key == KeyHash(idlest) && candidate.idle > 1).count(), 0);
    assert_eq!(kept[0], candidate(idlest - 1, 100 + idlest as u32 - 1));
}

#[test]
fn a_key_that_was_touched_since_it_was_sampled_is_not_evicted() {
    let mut pool = Pool::new();
    let sampled = [candidate(1, 900), candidate(2, 800), candidate(3, 700), candidate(4, 600), candidate(5, 500)];
    // Touched after they were sampled: 1 and 2.
    let still_idle = |key: KeyHash| match key.0 {
        1 => Some(3),
        2 => Some(0),
        3 => Some(710),
        4 => Some(610),
        5 => Some(510),
        _ => None,
    };
    let nothing = &mut || None;
    assert_eq!(choose(&mut pool, &mut deal(&sampled), &still_idle), Some(KeyHash(3)));
    assert_eq!(choose(&mut pool, nothing, &still_idle), Some(KeyHash(4)));
    assert_eq!(choose(&mut pool, nothing, &still_idle), Some(KeyHash(5)));
    // Nothing else is left: of two keys that are both in use, the one that was touched earlier goes.
    assert_eq!(choose(&mut pool, nothing, &still_idle), Some(KeyHash(1)));
    assert_eq!(choose(&mut pool, nothing, &still_idle), Some(KeyHash(2)));
    assert_eq!(choose(&mut pool, nothing, &still_idle), None);
}

#[test]
fn a_key_that_is_gone_is_passed_over() {
    let mut pool = Pool::new();
    let sampled = [candidate(1, 900), candidate(2, 800), candidate(3, 700)];
    let still_idle = |key: KeyHash| (key == KeyHash(3)).then_some(700);
    assert_eq!(choose(&mut pool, &mut deal(&sampled), &still_idle), Some(KeyHash(3)));
    assert_eq!(choose(&mut pool, &mut deal(&sampled[..2]), &still_idle), None, "both are gone");
    assert_eq!(choose(&mut pool, &mut || None, &|_| Some(1)), None, "an empty keyspace has nothing to evict");
    assert!(pool.is_empty());
}

/// A cache of fixed size under a skewed load: gives the mean, over all evictions, of the part of the cached keys that
/// were touched after the evicted one (1 is true LRU, 0.5 is choosing at random), and the keys in the order of their
/// eviction.
fn run_a_cache(seed: u64) -> (f64, Vec<KeyHash>) {
    const CACHED: usize = 1_000;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let touched: RefCell<BTreeMap<KeyHash, LruClock>> = RefCell::default();
    let mut cached: Vec<KeyHash> = Vec::new();
    let mut pool = Pool::new();
    let mut evicted = Vec::new();
    let mut quality = 0.0;
    // The clock wraps in the middle of the run.
    let mut now = LruClock(u32::MAX - 6_000);
    for _ in 0..12_000 {
        now = LruClock(now.0.wrapping_add(1));
        // The square of a uniform number: half of the accesses go to a quarter of 5,000 keys.
        let key = KeyHash((rng.random::<f64>().powi(2) * 5_000.0) as u64);
        if touched.borrow_mut().insert(key, now).is_none() {
            cached.push(key);
        }
        if cached.len() <= CACHED {
            continue;
        }
        let mut samples = 0;
        let mut sample = || {
            samples += 1;
            let key = cached[rng.random_range(0..cached.len())];
            Some(Candidate { key, idle: now.idle_since(touched.borrow()[&key]) })
        };
        let still_idle = |key: KeyHash| touched.borrow().get(&key).map(|then| now.idle_since(*then));
        let key = choose(&mut pool, &mut sample, &still_idle).expect("a full cache has a key to evict");
        assert!(samples <= SAMPLES, "seed {seed}: {samples} keys were sampled for one eviction");
        let idle = still_idle(key).expect("an evicted key was cached");
        let idler = touched.borrow().values().filter(|then| now.idle_since(**then) > idle).count();
        quality += 1.0 - idler as f64 / CACHED as f64;
        touched.borrow_mut().remove(&key);
        cached.retain(|cached| *cached != key);
        evicted.push(key);
    }
    assert!(evicted.len() > 3_000, "seed {seed}: only {} evictions", evicted.len());
    (quality / evicted.len() as f64, evicted)
}

#[test]
fn evicted_keys_are_among_the_idlest_at_five_samples_each() {
    for seed in seeds(2) {
        let (quality, evicted) = run_a_cache(seed);
        // A pool that lasts reaches 0.90, the idlest of five fresh samples 0.83, a random key 0.50.
        assert!(
            quality >= 0.88,
            "seed {seed}: on average only {quality:.3} of the cache was touched after an evicted key"
        );
        assert_eq!(run_a_cache(seed).1, evicted, "seed {seed}: the same samples give the same choices");
    }
}
