//! Sorted sets, and the ranked sequence beneath them, against models that cannot be wrong: a sorted vector.

use ch01_kv::values::ranked::Ranked;
use ch01_kv::values::{LexBound, ScoreBound, ZSet};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

const SEEDS: u64 = 8;

struct Dice(Xoshiro256PlusPlus);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.0.next_u64() % limit as u64) as usize
    }
}

#[test]
fn a_ranked_sequence_is_a_sorted_vector() {
    for seed in 0..SEEDS {
        let mut dice = Dice::new(seed);
        let (mut ranked, mut model) = (Ranked::new(), Vec::<usize>::new());
        // Some seeds grow to many blocks, some stay around one, and some are emptied again and again.
        let values = [40, 300, 5000, 100_000][seed as usize % 4];
        for step in 0..6000 {
            let value = dice.below(values);
            let shrinking = step / 1500 % 2 == 1;
            if dice.below(4) < if shrinking { 1 } else { 3 } {
                let place = model.binary_search(&value);
                if let Err(place) = place {
                    model.insert(place, value);
                }
                assert_eq!(ranked.insert(value), place.is_err(), "seed {seed}, step {step}: insert {value}");
            } else {
                let value = if model.is_empty() || dice.below(4) == 0 { value } else { model[dice.below(model.len())] };
                let place = model.binary_search(&value);
                if let Ok(place) = place {
                    model.remove(place);
                }
                assert_eq!(ranked.remove(&value), place.is_ok(), "seed {seed}, step {step}: remove {value}");
            }
            assert_eq!((ranked.len(), ranked.is_empty()), (model.len(), model.is_empty()));
            let bound = dice.below(values + 1);
            let before = model.partition_point(|&other| other < bound);
            assert_eq!(ranked.rank_where(|&other| other < bound), before, "seed {seed}, step {step}: rank of {bound}");
            let from = dice.below(model.len() + 3);
            let up: Vec<usize> = ranked.iter_from(from).copied().take(300).collect();
            assert_eq!(up, model.iter().skip(from).copied().take(300).collect::<Vec<_>>(), "seed {seed}, from {from}");
            let down: Vec<usize> = ranked.iter_back_from(from).copied().take(300).collect();
            let expected: Vec<usize> = model.iter().take(from + 1).rev().copied().take(300).collect();
            assert_eq!(down, expected, "seed {seed}, step {step}: down from {from} of {}", model.len());
        }
        assert_eq!(ranked.iter_from(0).copied().collect::<Vec<_>>(), model);
    }
}

#[test]
fn an_empty_sequence_has_nothing_from_any_rank_on() {
    let mut ranked = Ranked::<u32>::new();
    for emptied in [false, true] {
        for from in [0, 1, usize::MAX] {
            assert_eq!(ranked.iter_from(from).count(), 0, "emptied: {emptied}");
            assert_eq!(ranked.iter_back_from(from).count(), 0, "emptied: {emptied}");
        }
        assert_eq!(ranked.rank_where(|_| true), 0);
        assert!(!ranked.remove(&1));
        ranked.insert(1);
        ranked.remove(&1);
    }
}

#[test]
fn a_walk_from_beyond_the_end_begins_at_the_end() {
    let mut ranked = Ranked::new();
    (0..1000).for_each(|value| assert!(ranked.insert(value)));
    for from in [1000, 1001, usize::MAX] {
        assert_eq!(ranked.iter_from(from).count(), 0);
        assert!(ranked.iter_back_from(from).copied().eq((0..1000).rev()), "down from {from}");
    }
    assert!(ranked.iter_back_from(0).copied().eq([0]));
}

/// A member's place in the model: scores compare as numbers, and members break ties.
fn sort(model: &mut [(Vec<u8>, f64)]) {
    model.sort_by(|a, b| a.1.partial_cmp(&b.1).expect("no score is NaN").then_with(|| a.0.cmp(&b.0)));
}

fn check_all(zset: &ZSet, model: &[(Vec<u8>, f64)], context: &str) {
    assert_eq!((zset.len(), zset.is_empty()), (model.len(), model.is_empty()), "{context}");
    assert!(zset.iter_from(0).eq(model.iter().map(|(member, score)| (&member[..], *score))), "{context}: ascending");
    let descending = zset.iter_back_from(zset.len());
    assert!(descending.eq(model.iter().rev().map(|(member, score)| (&member[..], *score))), "{context}: descending");
    for (rank, (member, score)) in model.iter().enumerate() {
        assert_eq!(zset.rank(member), Some((rank, *score)), "{context}");
        assert_eq!(zset.score(member), Some(*score), "{context}");
    }
    let mut by_table: Vec<(Vec<u8>, f64)> = (0..zset.len())
        .map(|index| zset.at(index).map(|(member, score)| (member.to_vec(), score)).expect("below len"))
        .collect();
    sort(&mut by_table);
    assert_eq!(by_table, model, "{context}: the table's own order has every member once");
    assert!(zset.at(zset.len()).is_none());
}

#[test]
fn a_sorted_set_is_a_list_sorted_by_score_and_member() {
    let scores = [0.0, 1.0, 1.5, 2.0, -3.0, f64::INFINITY, f64::NEG_INFINITY, 1e300, 5e-324];
    for seed in 0..SEEDS {
        let mut dice = Dice::new(seed);
        let (mut zset, mut model) = (ZSet::default(), Vec::<(Vec<u8>, f64)>::new());
        let members = [20, 200, 2000][seed as usize % 3];
        for step in 0..3000 {
            let mut member = format!("m{}", dice.below(members)).into_bytes();
            if seed % 4 == 3 && dice.below(500) == 0 {
                // Too long to be packed.
                member.resize(80, b'.');
            }
            let known = model.iter().position(|(other, _)| *other == member);
            if dice.below(3) > 0 {
                let score = if dice.below(2) == 0 { scores[dice.below(scores.len())] } else { dice.below(50) as f64 };
                let old = known.map(|place| std::mem::replace(&mut model[place].1, score));
                if known.is_none() {
                    model.push((member.clone(), score));
                }
                assert_eq!(zset.insert(&member, score), old, "seed {seed}, step {step}");
                sort(&mut model);
            } else {
                let old = known.map(|place| model.remove(place).1);
                assert_eq!(zset.remove(&member), old, "seed {seed}, step {step}");
                assert_eq!(zset.rank(&member), None);
            }
            if step % 100 == 0 {
                check_all(&zset, &model, &format!("seed {seed}, step {step}"));
            }
            let from = dice.below(model.len() + 2);
            let up: Vec<_> = zset.iter_from(from).map(|(member, _)| member.to_vec()).take(5).collect();
            assert_eq!(up, model.iter().skip(from).map(|(member, _)| member.clone()).take(5).collect::<Vec<_>>());
            let down: Vec<_> = zset.iter_back_from(from).map(|(member, _)| member.to_vec()).take(5).collect();
            let expected: Vec<_> =
                model.iter().take(from + 1).rev().map(|(member, _)| member.clone()).take(5).collect();
            assert_eq!(down, expected, "seed {seed}, step {step}: down from {from} of {}", model.len());
            let (low, high) = (score_bound(&mut dice, &scores), score_bound(&mut dice, &scores));
            let expected: Vec<usize> = (0..model.len())
                .filter(|&rank| admits_low(low, model[rank].1) && admits_high(high, model[rank].1))
                .collect();
            let ranks = zset.ranks_by_score(low, high);
            assert_eq!(ranks.collect::<Vec<_>>(), expected, "seed {seed}, step {step}: {low:?} to {high:?}");
        }
        check_all(&zset, &model, &format!("seed {seed}, at the end"));
        for (member, _) in model {
            zset.remove(&member);
        }
        assert_eq!((zset.len(), zset.bytes(), zset.iter_back_from(0).count()), (0, 0, 0), "nothing is left over");
    }
}

fn score_bound(dice: &mut Dice, scores: &[f64]) -> ScoreBound {
    let score = if dice.below(2) == 0 { scores[dice.below(scores.len())] } else { dice.below(50) as f64 };
    if dice.below(2) == 0 { ScoreBound::Inclusive(score) } else { ScoreBound::Exclusive(score) }
}

fn admits_low(bound: ScoreBound, score: f64) -> bool {
    match bound {
        ScoreBound::Inclusive(low) => low <= score,
        ScoreBound::Exclusive(low) => low < score,
    }
}

fn admits_high(bound: ScoreBound, score: f64) -> bool {
    match bound {
        ScoreBound::Inclusive(high) => score <= high,
        ScoreBound::Exclusive(high) => score < high,
    }
}

#[test]
fn members_of_equal_score_lie_in_the_order_of_their_bytes() {
    for seed in 0..SEEDS {
        let mut dice = Dice::new(seed);
        let mut zset = ZSet::default();
        let mut model = std::collections::BTreeSet::new();
        for _ in 0..400 {
            let member: Vec<u8> = (0..dice.below(4)).map(|_| b"ab\x00\xff"[dice.below(4)]).collect();
            zset.insert(&member, 0.0);
            model.insert(member);
        }
        let model: Vec<Vec<u8>> = model.into_iter().collect();
        for _ in 0..400 {
            let low: Vec<u8> = (0..dice.below(5)).map(|_| b"ab\x00\xff"[dice.below(4)]).collect();
            let high = model[dice.below(model.len())].clone();
            let (low, high) = (lex_bound(&mut dice, &low), lex_bound(&mut dice, &high));
            let above_low = |member: &[u8]| match low {
                LexBound::Lowest => true,
                LexBound::Highest => false,
                LexBound::Inclusive(bound) => member >= bound,
                LexBound::Exclusive(bound) => member > bound,
            };
            let below_high = |member: &[u8]| match high {
                LexBound::Lowest => false,
                LexBound::Highest => true,
                LexBound::Inclusive(bound) => member <= bound,
                LexBound::Exclusive(bound) => member < bound,
            };
            let expected: Vec<usize> =
                (0..model.len()).filter(|&rank| above_low(&model[rank]) && below_high(&model[rank])).collect();
            assert_eq!(zset.ranks_by_lex(low, high).collect::<Vec<_>>(), expected, "{low:?} to {high:?}");
        }
    }
}

fn lex_bound<'a>(dice: &mut Dice, member: &'a [u8]) -> LexBound<'a> {
    match dice.below(6) {
        0 => LexBound::Lowest,
        1 => LexBound::Highest,
        2 | 3 => LexBound::Inclusive(member),
        _ => LexBound::Exclusive(member),
    }
}
