//! Judges `block`: what is packed comes out as it went in, takes what keys do not share, and is found by looking at a few
//! entries. The last checks are of the decoder alone: no bytes make it panic, go round in circles or take memory.

use std::sync::Arc;

use ch03_lsm::engine::block::{Block, BlockBuilder, BlockCursor, BlockError, RESTART_INTERVAL};
use ch03_lsm::engine::cursor::Cursor;
use ch03_lsm::engine::key::{InternalKey, InternalKeyBuf, Kind, Seq, Stamp};
use common::judge::seeds;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

type Entry = (InternalKeyBuf, Vec<u8>);

fn key(user: &[u8], seq: u64) -> InternalKeyBuf {
    InternalKeyBuf::new(user, Stamp::new(Seq(seq), Kind::Put))
}

fn pack(entries: &[Entry], interval: usize) -> Vec<u8> {
    let mut builder = BlockBuilder::new(interval);
    for (key, value) in entries {
        builder.add(key.as_key(), value);
        assert_eq!(builder.last_key(), Some(key.as_key()), "the last key is the one that was added last");
    }
    let expected = builder.len_bytes();
    let bytes = builder.finish().to_vec();
    assert_eq!(bytes.len(), expected, "a builder knows how long its block will be");
    bytes
}

fn block(bytes: &[u8]) -> Block {
    Block::new(bytes.into()).expect("what a builder makes is a block")
}

fn at(cursor: &BlockCursor) -> Option<Entry> {
    cursor.key().map(|key| (key.into(), cursor.value().to_vec()))
}

/// Sorted entries of keys that share much, with several versions of some, and values of which some are long.
fn random(rng: &mut Xoshiro256PlusPlus, count: usize) -> Vec<Entry> {
    let mut entries: Vec<Entry> = (0..count)
        .map(|_| {
            let mut user = b"user/".repeat(rng.random_range(0..3));
            user.extend(rng.random_range(0..count as u32).to_string().bytes());
            // Above and below what one byte of a length can say.
            user.resize(user.len() + [0, 0, 0, 120, 300][rng.random_range(0..5)], b'x');
            let value = vec![b'v'; [0, 1, 20, 127, 128, 20_000][rng.random_range(0..6)]];
            (key(&user, rng.random_range(0..1 << 20)), value)
        })
        .collect();
    entries.sort();
    entries.dedup_by(|one, other| one.0 == other.0);
    entries
}

#[test]
fn what_was_packed_is_read_in_order_both_ways() {
    for seed in seeds(12) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        for interval in [1, 2, 3, RESTART_INTERVAL, 1_000] {
            let count = rng.random_range(1..80);
            let entries = random(&mut rng, count);
            let block = block(&pack(&entries, interval));
            let mut cursor = block.cursor();
            assert_eq!((at(&cursor), cursor.value()), (None, &[][..]), "a new cursor is beyond the ends");
            let what = format!("seed {seed}: {} entries, a whole key every {interval}", entries.len());
            cursor.seek_to_first().unwrap();
            for entry in &entries {
                assert_eq!(at(&cursor).as_ref(), Some(entry), "{what}");
                cursor.next().unwrap();
            }
            assert_eq!((at(&cursor), cursor.value()), (None, &[][..]), "{what}: beyond the end");
            cursor.seek_to_last().unwrap();
            for entry in entries.iter().rev() {
                assert_eq!(at(&cursor).as_ref(), Some(entry), "{what}, backwards");
                cursor.prev().unwrap();
            }
            assert_eq!((at(&cursor), cursor.value()), (None, &[][..]), "{what}: before the beginning");
        }
    }
    // A builder that is used again has nothing of the block before.
    let mut builder = BlockBuilder::new(2);
    let entries = [(key(b"apple", 9), b"red".to_vec()), (key(b"apples", 8), vec![]), (key(b"apt", 7), vec![1])];
    for _ in 0..3 {
        assert!(builder.is_empty() && builder.last_key().is_none());
        entries.iter().for_each(|(key, value)| builder.add(key.as_key(), value));
        assert_eq!(builder.last_key(), Some(entries[2].0.as_key()));
        assert_eq!(builder.finish(), pack(&entries, 2), "the same entries are the same bytes");
        builder.clear();
    }
}

#[test]
fn the_bytes_are_those_in_the_picture() {
    let entries = [
        (key(b"apple", 1), b"red".to_vec()),
        (key(b"apple", 0), vec![]),
        (key(b"apply", 2), b"x".to_vec()),
        (key(b"b", 3), vec![b'v'; 130]),
        (key(b"ba", 4), vec![]),
    ];
    let stamp = |seq: u64| Stamp::new(Seq(seq), Kind::Put).to_bytes();
    let expected = [
        // Two whole keys, and after each one that shares.
        &[0, 13, 3][..],
        b"apple",
        &stamp(1),
        b"red",
        // The user's key and the stamp's first byte, which is the kind, are the same.
        &[6, 7, 0],
        &stamp(0)[1..],
        &[0, 13, 1],
        b"apply",
        &stamp(2),
        b"x",
        // 130 is 0x82 0x01.
        &[0, 9, 0x82, 1],
        b"b",
        &stamp(3),
        &[b'v'; 130],
        &[0, 10, 0],
        b"ba",
        &stamp(4),
        &0u32.to_le_bytes(),
        &29u32.to_le_bytes(),
        &189u32.to_le_bytes(),
        &3u32.to_le_bytes(),
    ]
    .concat();
    assert_eq!(pack(&entries, 2), expected);
    assert_eq!(pack(&entries[..1], 16)[3 + 13 + 3..], [0, 0, 0, 0, 1, 0, 0, 0], "one restart, at 0");
}

#[test]
fn a_seek_lands_on_the_first_entry_that_is_not_below() {
    // Versions whose numbers, as bytes with the least significant first, are in another order than they are.
    let seqs = [70_000, 65_536, 300, 257, 256, 255, 2, 1];
    let versions: Vec<Entry> =
        (0..5u8).flat_map(|user| seqs.map(|seq| (key(&[b'a', user], seq), vec![user]))).collect();
    for interval in [1, 3, 16] {
        let mut cursor = block(&pack(&versions, interval)).cursor();
        for user in 0..5u8 {
            for snapshot in [0, 1, 255, 256, 299, 300, 65_535, 1 << 40] {
                cursor.seek(InternalKeyBuf::seek(&[b'a', user], Seq(snapshot)).as_key()).unwrap();
                let newest =
                    seqs.iter().find(|seq| **seq <= snapshot).map(|seq| (key(&[b'a', user], *seq), vec![user]));
                let next = (user < 4).then(|| (key(&[b'a', user + 1], seqs[0]), vec![user + 1]));
                assert_eq!(at(&cursor), newest.or(next), "what a reader at {snapshot} sees of key {user}");
            }
        }
    }
    for seed in seeds(8) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        for interval in [1, 4, RESTART_INTERVAL] {
            let entries = random(&mut rng, 100);
            let mut cursor = block(&pack(&entries, interval)).cursor();
            let others = random(&mut rng, 100).into_iter().chain([(key(b"", 0), vec![]), (key(b"zz", 0), vec![])]);
            for (target, _) in entries.iter().cloned().chain(others) {
                let what = format!("seed {seed}: {target:?}, a whole key every {interval}");
                let place = entries.partition_point(|(key, _)| *key < target);
                cursor.seek(target.as_key()).unwrap();
                assert_eq!(at(&cursor).as_ref(), entries.get(place), "the first that is not below, {what}");
                let behind = entries.partition_point(|(key, _)| *key <= target);
                cursor.seek_for_prev(target.as_key()).unwrap();
                let expected = behind.checked_sub(1).map(|place| &entries[place]);
                assert_eq!(at(&cursor).as_ref(), expected, "the last that is not above, {what}");
            }
        }
    }
}

#[test]
fn moves_in_any_order_end_where_they_should() {
    for seed in seeds(16) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let entries = random(&mut rng, 70);
        let interval = [1, 2, 5, 16][rng.random_range(0..4)];
        let mut cursor = block(&pack(&entries, interval)).cursor();
        let mut place: Option<usize> = None;
        for _ in 0..400 {
            let what;
            (what, place) = match (rng.random_range(0..10), place) {
                (0..=3, Some(at)) => ("next", {
                    cursor.next().unwrap();
                    Some(at + 1)
                }),
                (4..=7, Some(at)) => ("prev", {
                    cursor.prev().unwrap();
                    at.checked_sub(1)
                }),
                (8, _) => ("to the last", {
                    cursor.seek_to_last().unwrap();
                    Some(entries.len() - 1)
                }),
                (9, _) => ("to the first", {
                    cursor.seek_to_first().unwrap();
                    Some(0)
                }),
                _ => ("seek", {
                    let to = rng.random_range(0..entries.len());
                    cursor.seek(entries[to].0.as_key()).unwrap();
                    Some(to)
                }),
            };
            place = place.filter(|place| *place < entries.len());
            let expected = place.map(|place| &entries[place]);
            assert_eq!(at(&cursor).as_ref(), expected, "seed {seed}: {what}, a whole key every {interval}");
        }
    }
}

#[test]
fn keys_take_what_they_do_not_share() {
    // As a table of users' posts would be: 29 bytes of key, of which neighbours share most.
    let user = |number: usize| format!("user/{:010}/post/{:08}", number / 50, number % 50).into_bytes();
    let entries: Vec<Entry> = (0..2_000).map(|number| (key(&user(number), 1), vec![b'v'; 10])).collect();
    let whole = pack(&entries, 1).len() / entries.len();
    let packed = pack(&entries, RESTART_INTERVAL).len() / entries.len();
    assert_eq!(whole, 3 + 29 + 8 + 10 + 4, "three lengths, key and stamp, value, and a restart for each");
    assert!(packed <= 26, "{packed} bytes an entry, of which 10 are the value's: 26 are enough");
    // To the byte: of each key what it does not share with its neighbour, but for the sixteenth ones.
    let keys: Vec<&[u8]> = entries.iter().map(|(key, _)| key.as_key().as_bytes()).collect();
    let shared = |at: usize| keys[at - 1].iter().zip(keys[at]).take_while(|(one, other)| one == other).count();
    let saved: usize = (0..keys.len()).filter(|at| at % RESTART_INTERVAL != 0).map(shared).sum();
    let expected = entries.len() * (3 + 29 + 8 + 10) - saved + 4 * (entries.len() / RESTART_INTERVAL + 1);
    assert_eq!(pack(&entries, RESTART_INTERVAL).len(), expected, "nothing is stored that the key before has");
    let restarts = u32::from_le_bytes(*pack(&entries, RESTART_INTERVAL).last_chunk().unwrap());
    assert_eq!(restarts, 125, "a restart every sixteenth entry, and no more");
}

/// Where each entry of a block begins, by the layout in the picture: every key here is shorter than 100 bytes.
fn offsets(entries: &[Entry], interval: usize) -> Vec<usize> {
    (0..entries.len())
        .map(|count| pack(&entries[..count], interval).len() - 4 * count.div_ceil(interval).max(1) - 4)
        .collect()
}

/// Which entries `go` looks at: those without which it fails, when their lengths are made to say that they do not fit.
fn touched(bytes: &[u8], offsets: &[usize], go: &dyn Fn(&Block) -> Result<(), BlockError>) -> Vec<usize> {
    go(&block(bytes)).expect("an undamaged block can be read");
    let spoilt = |offset: usize| {
        let mut bytes = bytes.to_vec();
        bytes[offset..offset + 3].fill(0xff);
        block(&bytes)
    };
    (0..offsets.len()).filter(|at| go(&spoilt(offsets[*at])).is_err()).collect()
}

#[test]
fn a_seek_looks_at_one_interval_and_a_few_whole_keys() {
    let entries: Vec<Entry> = (0..640).map(|number| (key(format!("key{number:06}").as_bytes(), 1), vec![1])).collect();
    let bytes = pack(&entries, RESTART_INTERVAL);
    let offsets = offsets(&entries, RESTART_INTERVAL);
    for target in [0, 1, 15, 16, 17, 300, 333, 623, 639] {
        let touched = touched(&bytes, &offsets, &|block| block.cursor().seek(entries[target].0.as_key()));
        // 40 restarts are halved in six steps; then an interval, and the whole key after it if it is the one that is sought.
        let most = 6 + RESTART_INTERVAL + 1;
        assert!(
            touched.len() <= most,
            "to find entry {target} of 640, {} entries were looked at ({touched:?}); {most} are enough",
            touched.len()
        );
        assert!(touched.contains(&target), "entry {target} was found without a look at it");
    }
}

#[test]
fn a_step_back_looks_at_one_interval_and_a_step_on_at_one_entry() {
    let entries: Vec<Entry> = (0..320).map(|number| (key(format!("key{number:06}").as_bytes(), 1), vec![1])).collect();
    let bytes = pack(&entries, RESTART_INTERVAL);
    let offsets = offsets(&entries, RESTART_INTERVAL);
    for from in [1, 15, 16, 17, 160, 175, 319] {
        let seek = |block: &Block| {
            let mut cursor = block.cursor();
            cursor.seek(entries[from].0.as_key()).map(|()| cursor)
        };
        let cost = |go: &dyn Fn(&mut BlockCursor) -> Result<(), BlockError>| {
            let came = touched(&bytes, &offsets, &|block| seek(block).map(drop));
            let went = touched(&bytes, &offsets, &|block| seek(block).and_then(|mut cursor| go(&mut cursor)));
            went.into_iter().filter(|at| !came.contains(at)).collect::<Vec<_>>()
        };
        // What the seek has looked at already is not seen here; so what is must lie where the entry before does.
        let back = cost(&|cursor| cursor.prev());
        let interval = (from - 1) / RESTART_INTERVAL;
        assert!(
            back.iter().all(|at| at / RESTART_INTERVAL == interval),
            "to step back from entry {from}, the entries {back:?} were looked at too: one interval, the {interval}th, is enough"
        );
        let on = cost(&|cursor| cursor.next());
        assert!(on.len() <= 1, "on from entry {from}: {} entries more ({on:?})", on.len());
    }
}

/// Walks all over what may be no block: every move ends, with an error or beyond the ends after no more steps than there is
/// room for entries, and no key is longer than what it was made of.
fn walk(bytes: &[u8], targets: &[InternalKeyBuf]) {
    let Ok(block) = Block::new(Arc::from(bytes)) else { return };
    let room = bytes.len() / 3 + 1;
    let mut cursor = block.cursor();
    let check = |cursor: &BlockCursor| {
        let key = cursor.key().map_or(0, |key| key.as_bytes().len());
        assert!(key <= bytes.len() && cursor.value().len() <= bytes.len(), "{key} bytes of key of {}", bytes.len());
    };
    type Move = fn(&mut BlockCursor) -> Result<(), BlockError>;
    let ways: [(Move, Move); 2] = [(Cursor::seek_to_first, Cursor::next), (Cursor::seek_to_last, Cursor::prev)];
    for (start, step) in ways {
        let mut moved = start(&mut cursor);
        for steps in 0.. {
            assert!(steps <= room, "more than {room} entries in {} bytes", bytes.len());
            check(&cursor);
            if moved.is_err() || cursor.key().is_none() {
                break;
            }
            moved = step(&mut cursor);
        }
        assert!(moved.is_ok() || cursor.key().is_none(), "after an error a cursor is beyond the ends");
    }
    for target in targets {
        for seek in [Cursor::seek, Cursor::seek_for_prev] as [fn(&mut BlockCursor, &InternalKey) -> _; 2] {
            let sought: Result<(), BlockError> = seek(&mut cursor, target.as_key());
            check(&cursor);
            assert!(sought.is_ok() || cursor.key().is_none(), "after an error a cursor is beyond the ends");
        }
    }
}

/// Bytes with an end that says that there is a restart at each of `restarts`.
fn with_restarts(mut bytes: Vec<u8>, restarts: &[u32]) -> Vec<u8> {
    restarts.iter().chain([&(restarts.len() as u32)]).for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    bytes
}

/// Tries a property on generated inputs, the same ones each time; a failure prints the least input that shows it.
fn hold<S: Strategy>(cases: u32, strategy: &S, mut property: impl FnMut(S::Value)) {
    for seed in seeds(2) {
        let config =
            ProptestConfig { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Default::default() };
        let property = std::cell::RefCell::new(&mut property);
        let outcome = TestRunner::new(config).run(strategy, |input| {
            (property.borrow_mut())(input);
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

fn some_entries() -> impl Strategy<Value = Vec<Entry>> {
    (any::<u64>(), 1..40usize).prop_map(|(seed, count)| {
        let mut entries = random(&mut Xoshiro256PlusPlus::seed_from_u64(seed), count);
        entries.iter_mut().for_each(|(_, value)| value.truncate(200));
        entries
    })
}

#[test]
fn no_bytes_make_a_cursor_panic_or_go_round_in_circles() {
    let targets = [key(b"", 0), key(b"user/7", 9), key(&[0xff; 20], 1)];
    // Lengths that nothing could be allocated for, in each of their places.
    for huge in [u64::MAX, u64::MAX / 2, 1 << 40, 1 << 31, 200] {
        for place in 0..3 {
            let mut bytes = Vec::new();
            (0..3).for_each(|at| common::codec::varint::encode(if at == place { huge } else { 9 }, &mut bytes));
            bytes.extend_from_slice(&[7; 30]);
            walk(&with_restarts(bytes, &[0]), &targets);
        }
    }
    // A restart inside of an entry, from which a step back would come out behind where it began.
    let entry = |value: &[u8]| [&[0, 9, 20], &[b'k'; 9][..], value].concat();
    let inside = [&[0, 8, 30], &[0; 17][..]].concat();
    let damaged = block(&with_restarts([entry(&inside), entry(&[0; 20])].concat(), &[0, 12]));
    let mut cursor = damaged.cursor();
    cursor.seek_to_first().and_then(|()| cursor.next()).unwrap();
    assert_eq!(cursor.prev(), Err(BlockError::Entry(32)), "no entry ends where the one at byte 32 begins");
    assert_eq!(at(&cursor), None);
    for restarts in [&[1][..], &[0, 0], &[0, 40], &[5, 3], &[0, 3, 2], &[u32::MAX], &[0, u32::MAX]] {
        let bytes = with_restarts(vec![1; 40], restarts);
        assert!(Block::new(bytes.into()).is_err(), "restarts {restarts:?} are none of 40 bytes of entries");
    }
    for count in [0, 2, 3, u32::MAX, 1 << 30] {
        let bytes = [&[0; 4][..], &count.to_le_bytes()].concat();
        assert!(Block::new(bytes.into()).is_err(), "{count} restarts are not in eight bytes");
    }
    // Bytes that are small, so that many of them are lengths that fit.
    let byte = prop_oneof![3 => 0..16u8, 1 => any::<u8>()];
    let bytes = proptest::collection::vec(byte, 0..200);
    let strategy = (bytes, proptest::collection::btree_set(0..200u32, 0..5), any::<bool>());
    hold(300, &strategy, |(bytes, mut restarts, is_whole)| {
        restarts.insert(0);
        let restarts: Vec<u32> = restarts.into_iter().filter(|at| *at == 0 || (*at as usize) < bytes.len()).collect();
        walk(&if is_whole { with_restarts(bytes, &restarts) } else { bytes }, &targets);
    });
}

#[test]
fn a_block_that_was_cut_or_changed_is_read_without_a_panic() {
    let strategy = (some_entries(), 1..20usize, any::<proptest::sample::Index>(), 0..8u32);
    hold(200, &strategy, |(entries, interval, place, bit)| {
        let bytes = pack(&entries, interval);
        let targets: Vec<InternalKeyBuf> = entries.iter().step_by(5).map(|(key, _)| key.clone()).collect();
        walk(&bytes, &targets);
        let place = place.index(bytes.len());
        walk(&bytes[..place], &targets);
        let mut changed = bytes.clone();
        changed[place] ^= 1 << bit;
        walk(&changed, &targets);
        changed.remove(place);
        walk(&changed, &targets);
    });
}
