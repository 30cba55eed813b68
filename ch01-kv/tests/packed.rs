//! Collections in both of their forms, packed and not, against models that cannot be wrong: vectors.

use ch01_kv::values::packed::{MAX_ELEMENT_BYTES, Packed};
use ch01_kv::values::{Hash, List, Set, ZSet};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

const SEEDS: u64 = 12;

/// Where hashes, and the other collections, are unpacked.
const LIMITS: [usize; 2] = [512, 128];

type Bytes = Vec<u8>;

struct Dice(Xoshiro256PlusPlus);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.0.next_u64() % limit as u64) as usize
    }

    /// One of `count` elements of any length that is packed, and sometimes, where that is asked for, of a greater one.
    fn element(&mut self, count: usize, long: bool) -> Bytes {
        let number = self.below(count);
        let len = match number % 5 {
            0 => MAX_ELEMENT_BYTES,
            1 if long && number.is_multiple_of(31) => MAX_ELEMENT_BYTES + 1,
            _ => number % 60,
        };
        let mut element = number.to_le_bytes().to_vec();
        element.resize(len.max(3), b'.');
        element
    }

    /// An element of any kind, the empty one among them.
    fn value(&mut self, long: bool) -> Bytes {
        let len = if long && self.below(500) == 0 { 200 } else { [0, 1, 7, 63, 64][self.below(5)] };
        vec![self.below(256) as u8; len]
    }

    /// How many elements a seed's collection is made of: some never leave the packed form, some do at once, some late.
    fn plan(seed: u64) -> (usize, bool) {
        ([10, 100, 200, 1500][seed as usize % 4], seed % 3 == 2)
    }
}

#[test]
fn a_packed_sequence_is_a_vector_of_byte_strings() {
    for seed in 0..SEEDS {
        let mut dice = Dice::new(seed);
        let (mut packed, mut model) = (Packed::default(), Vec::<Bytes>::new());
        for step in 0..2000 {
            let start = dice.below(model.len() + 1);
            let end = start + dice.below((model.len() - start).min(4) + 1);
            // Grows to a certain size, and then keeps about it.
            let added = dice.below(if model.len() < 300 { 5 } else { 3 });
            let added: Vec<Bytes> = (0..added).map(|_| dice.value(false)).collect();
            packed.splice(start..end, &added.iter().map(|element| &element[..]).collect::<Vec<_>>());
            model.splice(start..end, added);
            let context = format!("seed {seed}, step {step}");
            assert_eq!((packed.len(), packed.is_empty()), (model.len(), model.is_empty()), "{context}");
            assert!(packed.iter().eq(model.iter().map(|element| &element[..])), "{context}");
            assert!(packed.iter().rev().eq(model.iter().rev().map(|element| &element[..])), "{context}: backwards");
            let pairs = model.chunks_exact(2).map(|pair| (&pair[0][..], &pair[1][..]));
            if model.len().is_multiple_of(2) {
                assert!(packed.pairs().eq(pairs.clone()), "{context}: pairs");
                assert!(packed.pairs().rev().eq(pairs.clone().rev()), "{context}: pairs backwards");
                assert_eq!(packed.pairs().len(), pairs.len());
                let wanted = dice.value(false);
                let found = pairs.clone().position(|(first, _)| first == wanted);
                let found = found.map(|at| (2 * at, &model[2 * at + 1][..]));
                assert_eq!(packed.find_pair(&wanted), found, "{context}");
            }
            let index = dice.below(model.len() + 3);
            assert_eq!(packed.get(index), model.get(index).map(|element| &element[..]), "{context}: {index}");
            let wanted = dice.value(false);
            assert_eq!(packed.find(&wanted), model.iter().position(|element| *element == wanted), "{context}");
        }
        packed.splice(0..packed.len(), &[]);
        assert_eq!((packed.len(), packed.bytes()), (0, 0), "nothing is left over");
    }
}

#[test]
fn a_list_is_a_vector_in_either_form() {
    for seed in 0..SEEDS {
        let mut dice = Dice::new(seed);
        let (size, long) = Dice::plan(seed);
        let (mut list, mut model) = (List::default(), Vec::<Bytes>::new());
        for step in 0..4000 {
            let context = format!("seed {seed}, step {step}");
            let (element, at) = (dice.value(long), dice.below(model.len() + 1));
            let growing = model.len() < size && step % 1000 < 900;
            match dice.below(if growing { 20 } else { 30 }) {
                0..5 => {
                    list.push_back(&element);
                    model.push(element);
                }
                5..10 => {
                    list.push_front(&element);
                    model.insert(0, element);
                }
                10..13 => {
                    list.insert(at, &element);
                    model.insert(at, element);
                }
                13..16 => {
                    assert_eq!(list.set(at, &element), at < model.len(), "{context}");
                    if let Some(place) = model.get_mut(at) {
                        *place = element;
                    }
                }
                16 => {
                    let (limit, from_back) = (dice.below(4), dice.below(2) == 0);
                    let limit = if limit == 0 { usize::MAX } else { limit };
                    let matching = (0..model.len()).filter(|&index| model[index] == element);
                    let mut doomed: Vec<usize> =
                        if from_back { matching.rev().take(limit).collect() } else { matching.take(limit).collect() };
                    assert_eq!(list.remove(&element, limit, from_back), doomed.len(), "{context}");
                    doomed.sort_unstable();
                    doomed.into_iter().rev().for_each(|index| _ = model.remove(index));
                }
                17 => {
                    let end = (at + dice.below(model.len() + 1)).min(model.len());
                    let at = at.min(end).min(3);
                    list.keep(at..end.max(at));
                    model = model[at..end.max(at)].to_vec();
                }
                18..25 => {
                    let popped = if model.is_empty() { None } else { Some(model.remove(0)) };
                    assert_eq!(list.pop_front().as_deref(), popped.as_deref(), "{context}");
                }
                _ => assert_eq!(list.pop_back().as_deref(), model.pop().as_deref(), "{context}"),
            }
            assert_eq!((list.len(), list.is_empty()), (model.len(), model.is_empty()), "{context}");
            assert!(list.iter().eq(model.iter().map(|element| &element[..])), "{context}");
            assert!(list.iter().rev().eq(model.iter().rev().map(|element| &element[..])), "{context}: backwards");
            let (start, index) = (dice.below(model.len() + 1), dice.below(model.len() + 2));
            let end = start + dice.below(model.len() - start + 1);
            assert!(list.range(start..end).eq(model[start..end].iter().map(|element| &element[..])), "{context}");
            assert_eq!(list.get(index), model.get(index).map(|element| &element[..]), "{context}");
        }
        list.keep(0..0);
        assert_eq!((list.len(), list.bytes()), (0, 0), "nothing is left over");
    }
}

#[test]
fn a_hash_finds_what_was_set_in_either_form() {
    for seed in 0..SEEDS {
        let mut dice = Dice::new(seed);
        let (size, long) = Dice::plan(seed);
        let (mut hash, mut model) = (Hash::default(), std::collections::BTreeMap::<Bytes, Bytes>::new());
        for step in 0..6000 {
            let (field, value) = (dice.element(size, long), dice.value(long));
            if dice.below(4) > 0 {
                assert_eq!(
                    hash.set(&field, &value),
                    model.insert(field.clone(), value).is_none(),
                    "seed {seed}, {step}"
                );
            } else {
                assert_eq!(hash.remove(&field), model.remove(&field).is_some(), "seed {seed}, step {step}");
            }
            assert_eq!(hash.get(&field), model.get(&field).map(|value| &value[..]), "seed {seed}, step {step}");
            assert_eq!((hash.len(), hash.is_empty()), (model.len(), model.is_empty()));
            if step % 50 == 0 {
                let mut all: Vec<(&[u8], &[u8])> = hash.iter().collect();
                assert!(
                    (0..=all.len()).all(|index| hash.at(index) == all.get(index).copied()),
                    "seed {seed}, step {step}"
                );
                all.sort_unstable();
                assert!(
                    all.into_iter().eq(model.iter().map(|(field, value)| (&field[..], &value[..]))),
                    "seed {seed}, {step}"
                );
            }
        }
        model.keys().for_each(|field| assert!(hash.remove(field)));
        assert_eq!((hash.len(), hash.bytes()), (0, 0), "nothing is left over");
    }
}

#[test]
fn a_set_has_what_was_put_in_in_either_form() {
    for seed in 0..SEEDS {
        let mut dice = Dice::new(seed);
        let (size, long) = Dice::plan(seed);
        let (mut set, mut model) = (Set::default(), std::collections::BTreeSet::<Bytes>::new());
        for step in 0..6000 {
            let member = dice.element(size, long);
            if dice.below(4) > 0 {
                assert_eq!(set.insert(&member), model.insert(member.clone()), "seed {seed}, step {step}");
            } else {
                assert_eq!(set.remove(&member), model.remove(&member), "seed {seed}, step {step}");
            }
            assert_eq!(set.contains(&member), model.contains(&member), "seed {seed}, step {step}");
            assert_eq!((set.len(), set.is_empty()), (model.len(), model.is_empty()));
            if step % 50 == 0 {
                let mut all: Vec<&[u8]> = set.iter().collect();
                assert!(
                    (0..=all.len()).all(|index| set.at(index) == all.get(index).copied()),
                    "seed {seed}, step {step}"
                );
                all.sort_unstable();
                assert!(all.into_iter().eq(model.iter().map(|member| &member[..])), "seed {seed}, step {step}");
            }
        }
        model.iter().for_each(|member| assert!(set.remove(member)));
        assert_eq!((set.len(), set.bytes()), (0, 0), "nothing is left over");
    }
}

/// A scan asks for indexes from the last to the first, some at a time, while others come and go.
#[test]
fn a_scan_from_the_last_index_down_misses_nothing_that_stays() {
    for seed in 0..SEEDS {
        let mut dice = Dice::new(seed);
        let mut hash = Hash::default();
        let stays = |n: usize| n.is_multiple_of(3);
        // From packed into the table, too, in the midst of the scan.
        let size = [300, 500, 700][seed as usize % 3];
        (0..size).for_each(|n| _ = hash.set(format!("f{n}").as_bytes(), b"v"));
        let (mut cursor, mut seen) = (hash.len(), std::collections::BTreeSet::new());
        while cursor > 0 {
            let end = cursor.min(hash.len());
            let start = end.saturating_sub(10);
            seen.extend((start..end).filter_map(|index| hash.at(index)).map(|(field, _)| field.to_vec()));
            cursor = start;
            for _ in 0..8 {
                let n = dice.below(2 * size);
                if stays(n) {
                    hash.set(format!("f{n}").as_bytes(), b"w");
                } else if seed % 2 == 0 || dice.below(3) == 0 {
                    hash.remove(format!("f{n}").as_bytes());
                } else {
                    hash.set(format!("f{n}").as_bytes(), b"w");
                }
            }
        }
        for n in (0..size).filter(|&n| stays(n)) {
            assert!(seen.contains(format!("f{n}").as_bytes()), "seed {seed}: f{n} was there all the time");
        }
    }
}

#[test]
fn a_score_is_what_it_was_to_the_last_bit() {
    let whole =
        (0..54).flat_map(|bit| [1_i64 << bit, (1 << bit) - 1, -(1 << bit), -(1 << bit) - 1]).map(|score| score as f64);
    let others =
        [0.5, -0.1, -0.0, f64::MAX, f64::MIN_POSITIVE, 5e-324, f64::INFINITY, f64::NEG_INFINITY, 1e17, -1e18, 2e63];
    for score in whole.chain(others) {
        let mut zset = ZSet::default();
        zset.insert(b"member", score);
        assert!(zset.is_packed());
        let read = zset.score(b"member").expect("it is there");
        assert_eq!(read.to_bits(), score.to_bits(), "{score} became {read}");
    }
}

#[test]
fn a_collection_is_packed_up_to_its_limit_and_no_further() {
    let [fields, members] = LIMITS;
    let (mut hash, mut zset) = (Hash::default(), ZSet::default());
    for n in 0..600 {
        let name = format!("name{n}");
        hash.set(name.as_bytes(), b"v");
        zset.insert(name.as_bytes(), 1.0);
        assert_eq!((hash.is_packed(), zset.is_packed()), (n < fields, n < members), "{} of each", n + 1);
    }
    (0..599).for_each(|n| assert!(hash.remove(format!("name{n}").as_bytes())));
    assert!(!hash.is_packed(), "what has been unpacked stays so");
    let long = [b'x'; MAX_ELEMENT_BYTES + 1];
    for (field, value) in [(&long[..], &b"v"[..]), (b"f", &long)] {
        let mut hash = Hash::default();
        hash.set(b"f", b"v");
        hash.set(field, value);
        assert!(!hash.is_packed(), "a long element is not packed");
        assert_eq!(hash.get(field), Some(value));
    }
}
