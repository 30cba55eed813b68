//! Fences: the same piece as a look at one key after the other finds, whatever the keys have in common.

use ch03_lsm::engine::fences::Fences;
use ch03_lsm::engine::key::{InternalKeyBuf, Kind, Seq, Stamp};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

fn key(user: &[u8], seq: u64) -> InternalKeyBuf {
    InternalKeyBuf::new(user, Stamp::new(Seq(seq), Kind::Put))
}

fn fences(keys: &[InternalKeyBuf]) -> Fences {
    Fences::new(keys.iter().map(InternalKeyBuf::as_key)).expect("there is room")
}

/// A user's key: of few letters, so that many are alike, after a beginning that all have in common or almost.
fn user(rng: &mut Xoshiro256PlusPlus, common: &[u8]) -> Vec<u8> {
    let common = if rng.random_ratio(1, 40) { &common[..rng.random_range(0..=common.len())] } else { common };
    let own = rng.random_range(0..14);
    let letters = [b'\0', b'a', b'b', 0xff];
    [common, &(0..own).map(|_| letters[rng.random_range(0..letters.len())]).collect::<Vec<_>>()].concat()
}

#[test]
fn the_piece_is_the_first_whose_last_key_is_not_below() {
    for seed in 0..60 {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let common = vec![b'c'; [0, 1, 9, 30][seed as usize % 4]];
        let count = rng.random_range(0..200);
        let mut keys: Vec<_> = (0..count).map(|_| key(&user(&mut rng, &common), rng.random_range(0..4))).collect();
        keys.sort_unstable();
        keys.dedup();
        let fences = fences(&keys);
        assert_eq!((fences.len(), fences.is_empty()), (keys.len(), keys.is_empty()));
        let sought = (0..300).map(|_| key(&user(&mut rng, &common), rng.random_range(0..4)));
        for sought in sought.chain(keys.iter().cloned()).collect::<Vec<_>>() {
            let first = keys.iter().position(|key| *key >= sought).unwrap_or(keys.len());
            assert_eq!(fences.find(sought.as_key()), first, "seed {seed}: {sought:?}");
            let user = sought.as_key().user();
            let first = keys.iter().position(|key| key.as_key().user() >= user).unwrap_or(keys.len());
            assert_eq!(fences.find_user(user), first, "seed {seed}: all of {sought:?}");
        }
    }
}

#[test]
fn keys_whose_numbers_are_all_the_same_are_told_apart_by_themselves() {
    let alike: Vec<_> = (0..1_000u32).map(|n| key(format!("{:020}{n:04}{:09}", 0, 7).as_bytes(), 1)).collect();
    let mut keys = vec![key(b"", 1)];
    keys.extend(alike);
    keys.push(key(b"z", 1));
    let fences = fences(&keys);
    for (at, key) in keys.iter().enumerate() {
        assert_eq!((fences.find(key.as_key()), fences.find_user(key.as_key().user())), (at, at));
    }
}

#[test]
fn keys_in_no_order_as_a_damaged_table_may_have_them_are_searched_in_vain() {
    let keys = [key(b"user:1041", 7), key(b"", 3), key(b"a", 3), key(b"zzzzzzzzzzzz", 1), key(b"user:1777", 5)];
    let fences = fences(&keys);
    for sought in keys.iter().chain([&key(b"user:15", 1), &key(b"v", 1), &key(b"user:", 1)]) {
        assert!(fences.find(sought.as_key()) <= keys.len());
        assert!(fences.find_user(sought.as_key().user()) <= keys.len());
    }
}
