//! The sorted map under the memtable: the same as a `BTreeMap`, however its leaves are split, and by however many threads.

use std::collections::BTreeMap;
use std::ops::Bound;

use ch03_lsm::engine::key::{InternalKey, InternalKeyBuf, Kind, Seq, Stamp};
use ch03_lsm::engine::leaves::{Leaves, Run};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

type Model = BTreeMap<InternalKeyBuf, Vec<u8>>;

fn key(user: &[u8], seq: u64) -> InternalKeyBuf {
    InternalKeyBuf::new(user, Stamp::new(Seq(seq), Kind::Put))
}

fn everything(leaves: &Leaves) -> Vec<(InternalKeyBuf, Vec<u8>)> {
    let mut all = Vec::new();
    let whole: Result<(), ()> = leaves.try_for_each(|key, value| {
        all.push((key.into(), value.to_vec()));
        Ok(())
    });
    assert_eq!(whole, Ok(()));
    all
}

fn walk(leaves: &Leaves, is_up: bool) -> Vec<InternalKeyBuf> {
    let (mut run, mut all) = (Run::default(), Vec::<InternalKeyBuf>::new());
    loop {
        let last = all.last().cloned();
        let bound = last.as_ref().map_or(Bound::Unbounded, |last| Bound::Excluded(last.as_key()));
        if is_up {
            leaves.run_up(bound, &mut run);
        } else {
            leaves.run_down(bound, &mut run);
        }
        if run.is_empty() {
            return all;
        }
        let keys = (0..run.len()).map(|at| InternalKeyBuf::from(run.key(at)));
        if is_up { all.extend(keys) } else { all.extend(keys.rev()) }
    }
}

#[test]
fn it_is_a_sorted_map_in_whatever_order_and_of_whatever_size_entries_come() {
    for seed in 0..12 {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (leaves, mut model) = (Leaves::default(), Model::new());
        for number in 0..3_000u64 {
            let user = match seed % 4 {
                0 => format!("{number:016}"),
                1 => format!("{:016}", 9_999 - number),
                2 => format!("{:016}", rng.random_range(0..1_000)),
                _ => "x".repeat(rng.random_range(0..40)),
            };
            let value = vec![number as u8; if rng.random_ratio(1, 50) { 40_000 } else { rng.random_range(0..200) }];
            let key = key(user.as_bytes(), number + 1);
            leaves.insert(key.as_key(), &value);
            model.insert(key, value);
        }
        assert!(everything(&leaves).into_iter().eq(model.clone()), "seed {seed}: as it is written out");
        assert!(walk(&leaves, true).iter().eq(model.keys()), "seed {seed}: upwards");
        assert!(walk(&leaves, false).iter().eq(model.keys().rev()), "seed {seed}: downwards");
        let mut run = Run::default();
        for _ in 0..500 {
            let asked = key(format!("{:016}", rng.random_range(0..10_000)).as_bytes(), rng.random_range(0..4_000));
            let owned = |key: &InternalKey, value: &[u8]| (InternalKeyBuf::from(key), value.to_vec());
            let next =
                model.range::<InternalKeyBuf, _>(&asked..).next().map(|(key, value)| (key.clone(), value.clone()));
            assert_eq!(leaves.lower_bound(Bound::Included(asked.as_key()), owned), next, "seed {seed}: {asked:?}");
            leaves.run_down(Bound::Included(asked.as_key()), &mut run);
            let before = model.range::<InternalKeyBuf, _>(..=&asked).next_back().map(|(key, _)| key.as_key());
            assert_eq!(run.len().checked_sub(1).map(|last| run.key(last)), before, "seed {seed}: {asked:?}");
        }
    }
}

#[test]
fn threads_that_insert_beside_each_other_and_beside_readers_lose_nothing() {
    const THREADS: u64 = 4;
    const EACH: u64 = 4_000;
    let leaves = Leaves::default();
    let number_of = |thread: u64, at: u64| (at * 2_654_435_761 % 1_000_003) * THREADS + thread;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let leaves = &leaves;
            scope.spawn(move || {
                for at in 0..EACH {
                    let number = number_of(thread, at);
                    let key = key(format!("{number:016}").as_bytes(), 1);
                    leaves.insert(key.as_key(), &number.to_le_bytes());
                    let found = leaves.lower_bound(Bound::Included(key.as_key()), |found, value| {
                        found == key.as_key() && value == number.to_le_bytes()
                    });
                    assert_eq!(found, Some(true), "what one has inserted, one finds");
                }
            });
        }
        for is_up in [true, false] {
            let leaves = &leaves;
            scope.spawn(move || {
                for _ in 0..30 {
                    let seen = walk(leaves, is_up);
                    assert!(seen.is_sorted_by(|one, other| if is_up { one < other } else { one > other }));
                }
            });
        }
    });
    let mut expected: Vec<u64> = (0..THREADS).flat_map(|t| (0..EACH).map(move |at| number_of(t, at))).collect();
    expected.sort_unstable();
    let found: Vec<u64> =
        everything(&leaves).iter().map(|(_, value)| u64::from_le_bytes(value[..].try_into().unwrap())).collect();
    assert_eq!(found, expected);
}
