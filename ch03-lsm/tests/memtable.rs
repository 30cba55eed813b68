//! Judges `memtable`: a reader at a snapshot finds the newest write that it may see, whatever is written meanwhile and by
//! however many threads.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ch03_lsm::engine::key::{InternalKey, InternalKeyBuf, Kind, Seq, Stamp};
use ch03_lsm::engine::leaves::Run;
use ch03_lsm::engine::memtable::{Found, Memtable};
use common::judge::seeds;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

type Entry = (InternalKeyBuf, Vec<u8>);

/// What cannot be wrong: a sorted map.
type Model = BTreeMap<InternalKeyBuf, Vec<u8>>;

fn internal(user: &[u8], seq: u64, kind: Kind) -> InternalKeyBuf {
    InternalKeyBuf::new(user, Stamp::new(Seq(seq), kind))
}

fn put(table: &Memtable, user: &str, seq: u64, value: &str) {
    table.insert(user.as_bytes(), Seq(seq), Kind::Put, value.as_bytes());
}

fn delete(table: &Memtable, user: &str, seq: u64) {
    table.insert(user.as_bytes(), Seq(seq), Kind::Delete, b"");
}

fn get(table: &Memtable, user: &str, seq: u64) -> Option<Found<String>> {
    table.get(user.as_bytes(), Seq(seq), |value| String::from_utf8_lossy(value).into_owned())
}

fn value(value: &str) -> Option<Found<String>> {
    Some(Found::Value(value.to_owned()))
}

fn copied(key: &InternalKey, value: &[u8]) -> Entry {
    (key.into(), value.to_vec())
}

fn first(run: &Run) -> Option<Entry> {
    (!run.is_empty()).then(|| copied(run.key(0), run.value(0)))
}

fn last(run: &Run) -> Option<Entry> {
    run.len().checked_sub(1).map(|at| copied(run.key(at), run.value(at)))
}

/// What a run holds is what lies between its ends, without a hole.
fn assert_in_order(run: &Run, model: &Model, what: &str) {
    let Some((begin, _)) = first(run) else { return };
    let there = (0..run.len()).map(|at| copied(run.key(at), run.value(at)));
    assert!(there.eq(model.range(begin..).take(run.len()).map(|(key, value)| (key.clone(), value.clone()))), "{what}");
}

/// Tells others that a thread has ended, by a panic too.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A key of few, of which some are the beginnings of others.
fn user(rng: &mut Xoshiro256PlusPlus) -> Vec<u8> {
    let mut user = b"key".repeat(rng.random_range(0..3));
    user.extend((0..rng.random_range(0..3)).map(|_| [0, b'a', b'b', 0xff][rng.random_range(0..4)]));
    user
}

/// A memtable and the same in a map, after `count` writes.
fn filled(rng: &mut Xoshiro256PlusPlus, count: u64) -> (Memtable, Model) {
    let (table, mut model) = (Memtable::new(), Model::new());
    for seq in 1..=count {
        let (user, kind) = (user(rng), if rng.random_ratio(1, 4) { Kind::Delete } else { Kind::Put });
        let value = if kind == Kind::Put { seq.to_string().repeat(rng.random_range(0..4)) } else { String::new() };
        table.insert(&user, Seq(seq), kind, value.as_bytes());
        model.insert(internal(&user, seq, kind), value.into_bytes());
    }
    (table, model)
}

#[test]
fn a_reader_sees_the_newest_write_that_is_not_newer_than_its_snapshot() {
    let table = Memtable::new();
    // Written in an order that is none: what counts is the number.
    put(&table, "title", 300, "third");
    put(&table, "title", 2, "first");
    put(&table, "title", 255, "second");
    for (seq, seen) in [(1, None), (2, value("first")), (254, value("first")), (255, value("second"))] {
        assert_eq!(get(&table, "title", seq), seen, "at {seq}");
    }
    assert_eq!(get(&table, "title", 256), value("second"));
    assert_eq!(get(&table, "title", 300), value("third"));
    assert_eq!(table.get(b"title", Seq::MAX, <[u8]>::len), Some(Found::Value(5)));
    for seed in seeds(8) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (table, model) = filled(&mut rng, 600);
        for _ in 0..600 {
            let (user, seq) = (user(&mut rng), rng.random_range(0..700));
            let newest = model.iter().filter(|(key, _)| key.as_key().user() == user);
            let newest = newest.filter(|(key, _)| key.as_key().stamp().seq() <= Seq(seq));
            let newest = newest.max_by_key(|(key, _)| key.as_key().stamp());
            let expected = newest.map(|(key, value)| match key.as_key().stamp().kind() {
                Some(Kind::Put) => Found::Value(value.clone()),
                _ => Found::Deleted,
            });
            let found = table.get(&user, Seq(seq), <[u8]>::to_vec);
            assert_eq!(found, expected, "seed {seed}: {} at {seq}", user.escape_ascii());
        }
    }
}

#[test]
fn a_deleted_key_is_known_to_be_deleted_and_another_key_is_not_known() {
    let table = Memtable::new();
    put(&table, "ab", 1, "one");
    delete(&table, "ab", 2);
    assert_eq!(get(&table, "ab", 2), Some(Found::Deleted), "what is older, in tables, must not be looked at");
    assert_eq!(get(&table, "ab", 1), value("one"), "a snapshot from before the delete still sees it");
    put(&table, "ab", 3, "");
    assert_eq!(get(&table, "ab", 9), value(""), "an empty value is a value");
    for other in ["", "a", "aa", "abc", "b", "ab\0"] {
        assert_eq!(get(&table, other, 9), None, "nothing is known of {other:?}: a table may have it");
    }
    delete(&table, "unheard-of", 4);
    assert_eq!(get(&table, "unheard-of", 9), Some(Found::Deleted), "a delete of what is in tables alone hides it");
    assert_eq!(get(&table, "unheard-of", 3), None);
}

#[test]
fn the_neighbours_of_a_key_are_those_in_a_sorted_map() {
    for seed in seeds(8) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (table, model) = filled(&mut rng, 300);
        let owned = |entry: (&InternalKeyBuf, &Vec<u8>)| (entry.0.clone(), entry.1.clone());
        let nearest = |bounds: (Bound<&InternalKeyBuf>, Bound<&InternalKeyBuf>), down: bool| {
            let mut range = model.range::<InternalKeyBuf, _>(bounds);
            if down { range.next_back() } else { range.next() }.map(owned)
        };
        let asked = model.keys().cloned().collect::<Vec<_>>().into_iter();
        let others = (0..300).map(|_| internal(&user(&mut rng), rng.random_range(0..400), Kind::Put));
        for key in asked.chain(others.collect::<Vec<_>>()) {
            use Bound::{Excluded, Included, Unbounded};
            let at = key.as_key();
            let what = format!("seed {seed}: of {at:?}");
            let mut run = Run::default();
            table.run_from(at, &mut run);
            assert_eq!(first(&run), nearest((Included(&key), Unbounded), false), "{what}");
            assert_in_order(&run, &model, &what);
            table.run_after(at, &mut run);
            assert_eq!(first(&run), nearest((Excluded(&key), Unbounded), false), "{what}");
            assert_in_order(&run, &model, &what);
            table.run_to(at, &mut run);
            assert_eq!(last(&run), nearest((Unbounded, Included(&key)), true), "{what}");
            assert_in_order(&run, &model, &what);
            table.run_before(at, &mut run);
            assert_eq!(last(&run), nearest((Unbounded, Excluded(&key)), true), "{what}");
            assert_in_order(&run, &model, &what);
        }
        let mut run = Run::default();
        table.run_to_end(&mut run);
        assert_eq!(last(&run), model.last_key_value().map(owned));
    }
}

#[test]
fn every_version_leaves_in_order_when_it_is_written_out() {
    for seed in seeds(4) {
        let (table, model) = filled(&mut Xoshiro256PlusPlus::seed_from_u64(seed), 500);
        let mut left = Vec::new();
        let whole: Result<(), ()> = table.try_for_each(|key, value| {
            left.push(copied(key, value));
            Ok(())
        });
        assert_eq!(whole, Ok(()));
        assert_eq!(left, model.into_iter().collect::<Vec<_>>(), "seed {seed}: each version once, in order");
        assert_eq!((table.len(), table.is_empty()), (500, false), "and what is written out stays for readers");
        let mut asked = 0;
        let cut = table.try_for_each(|_, _| {
            asked += 1;
            if asked == 7 { Err("disk full") } else { Ok(()) }
        });
        assert_eq!((cut, asked), (Err("disk full"), 7), "what fails is not gone on with");
    }
}

#[test]
fn what_it_takes_is_counted_with_every_write() {
    let table = Memtable::new();
    assert_eq!((table.used_bytes(), table.len(), table.is_empty()), (0, 0, true));
    let mut before = 0;
    for (seq, (key_bytes, value_bytes)) in [(8, 0), (8, 100), (8, 100), (500, 0), (16, 100_000)].into_iter().enumerate()
    {
        table.insert(&vec![b'k'; key_bytes], Seq(seq as u64), Kind::Put, &vec![b'v'; value_bytes]);
        let taken = table.used_bytes() - before;
        let data = key_bytes + value_bytes;
        assert!(
            (data + 24..=data + 256).contains(&taken),
            "an entry of {data} bytes is counted as {taken}: a stamp and a place in a leaf take something too, and not so much"
        );
        before = table.used_bytes();
    }
    for seq in 100..1_100 {
        table.insert(b"k", Seq(seq), Kind::Delete, b"");
    }
    assert!(table.used_bytes() - before >= 1_000 * 25, "a memtable of tombstones alone grows to its limit too");
    assert_eq!(table.len(), 1_005);
}

#[test]
fn many_threads_write_at_once_and_nothing_is_lost() {
    const THREADS: u64 = 4;
    const EACH: u64 = 3_000;
    let table = Memtable::new();
    let start = std::sync::Barrier::new(THREADS as usize);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (table, start) = (&table, &start);
            scope.spawn(move || {
                start.wait();
                // Numbers of their own, and keys that all threads write.
                for seq in (0..EACH).map(|at| 1 + at * THREADS + thread) {
                    put(table, &format!("key{:03}", seq % 97), seq, &seq.to_string());
                }
            });
        }
    });
    let all = THREADS * EACH;
    assert_eq!(table.len() as u64, all, "every write is an entry");
    for seq in 1..=all {
        let user = format!("key{:03}", seq % 97);
        assert_eq!(get(&table, &user, seq), value(&seq.to_string()), "{user} at {seq}");
    }
    let alone = Memtable::new();
    (1..=all).for_each(|seq| put(&alone, &format!("key{:03}", seq % 97), seq, &seq.to_string()));
    assert_eq!(table.used_bytes(), alone.used_bytes(), "what the threads' writes take is counted, each of them");
}

#[test]
fn a_snapshot_stays_as_it_was_while_others_write() {
    const KEYS: u64 = 13;
    const WRITES: u64 = 20_000;
    let table = Memtable::new();
    let visible = AtomicU64::new(0);
    let written = AtomicBool::new(false);
    // What a reader at `snapshot` sees of a key: the last write of the round that is not newer. Each seventh is a delete.
    let expected = |key: u64, snapshot: u64| {
        let newest = (snapshot.saturating_sub(KEYS - 1)..=snapshot).find(|seq| *seq > 0 && seq % KEYS == key)?;
        Some(if newest % 7 == 0 { Found::Deleted } else { Found::Value(newest.to_string()) })
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _at_end = AtEnd(&written);
            for seq in 1..=WRITES {
                let user = format!("key{}", seq % KEYS);
                if seq % 7 == 0 {
                    delete(&table, &user, seq);
                } else {
                    put(&table, &user, seq, &seq.to_string());
                }
                visible.store(seq, Ordering::Release);
            }
        });
        for reader in 0..3 {
            let (table, visible, written) = (&table, &visible, &written);
            scope.spawn(move || {
                let mut asked = reader;
                while !written.load(Ordering::Acquire) {
                    let snapshot = visible.load(Ordering::Acquire);
                    for _ in 0..4 {
                        asked += 5;
                        let key = asked % KEYS;
                        let found = get(table, &format!("key{key}"), snapshot);
                        assert_eq!(found, expected(key, snapshot), "key{key} at {snapshot}");
                    }
                    // Neither does a walk over all of it lose its place.
                    let start = InternalKeyBuf::seek(b"", Seq::MAX);
                    let mut run = Run::default();
                    table.run_from(start.as_key(), &mut run);
                    for _ in 0..30 {
                        let Some((key, _)) = last(&run) else { break };
                        table.run_after(key.as_key(), &mut run);
                        assert!(first(&run).is_none_or(|(next, _)| next > key), "entries come in order");
                    }
                }
            });
        }
    });
    put(&table, "key1", WRITES + 1, "newer");
    assert_eq!(get(&table, "key1", WRITES + 1), value("newer"));
    assert_eq!(get(&table, "key1", WRITES), expected(1, WRITES), "nor has it taken the place of what was seen before");
}
