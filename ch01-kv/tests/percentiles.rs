//! Judges `percentiles`: nearest rank to the letter, and a histogram whose error and memory are bounded.

use ch01_kv::engine::percentiles::{Histogram, SUB_BITS, nearest_rank};
use common::judge::seeds;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// What is asked for, in parts per million of the values, so that the judge's own arithmetic is exact.
const PARTS: [u32; 14] =
    [0, 1, 10_000, 250_000, 500_000, 505_000, 750_000, 900_000, 950_000, 990_000, 999_000, 999_900, 999_999, 1_000_000];

fn percentile(parts: u32) -> f64 {
    f64::from(parts) / 10_000.0
}

/// The definition itself: the smallest value such that at least the asked part of all values is at most it.
fn by_definition(sorted: &[u64], parts: u32) -> u64 {
    let enough = |at_most: usize| at_most as u128 * 1_000_000 >= u128::from(parts) * sorted.len() as u128;
    let place = (0..sorted.len()).find(|place| enough(place + 1)).expect("all values are enough for any percentile");
    sorted[place]
}

/// Values of four shapes: small ones, all magnitudes of `u64`, a long tail, and two far apart humps.
fn values(seed: u64, count: usize) -> Vec<u64> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    (0..count)
        .map(|_| match seed % 4 {
            0 => rng.random_range(0..1_000),
            1 => rng.random::<u64>() >> rng.random_range(0..64),
            2 => (200.0 / (1.0 - rng.random::<f64>())) as u64,
            _ if rng.random_bool(0.9) => rng.random_range(180..220),
            _ => rng.random_range(1_000_000..5_000_000),
        })
        .collect()
}

fn histogram(values: &[u64]) -> Histogram {
    let mut histogram = Histogram::new();
    for value in values {
        histogram.record(*value);
    }
    histogram
}

fn assert_within_the_bound(got: Option<u64>, truth: u64, what: &str) {
    let got = got.unwrap_or_else(|| panic!("{what}: nothing, where {truth} is true"));
    assert!(got >= truth, "{what}: {got} is below the true {truth}");
    assert!(got - truth <= truth >> SUB_BITS, "{what}: {got} is more than 1/128 above the true {truth}");
}

#[test]
fn nearest_rank_is_an_observed_value() {
    // The textbook's five values: each percentile is one of them.
    let five = [15, 20, 35, 40, 50];
    for (asked, expected) in [(0.0, 15), (5.0, 15), (20.0, 15), (30.0, 20), (40.0, 20), (50.0, 35), (100.0, 50)] {
        assert_eq!(nearest_rank(&five, asked), Some(expected), "p{asked} of {five:?}");
    }
    assert_eq!(nearest_rank(&five, 250.0), Some(50), "beyond 100 is 100");
    assert_eq!(nearest_rank(&[7], 0.1), Some(7), "one value is every percentile");
    assert_eq!(nearest_rank(&[], 50.0), None, "no values have no percentile");
    for seed in seeds(8) {
        for count in [1, 2, 3, 10, 101] {
            let mut values = values(seed, count);
            values.sort_unstable();
            for parts in PARTS {
                let got = nearest_rank(&values, percentile(parts));
                assert_eq!(
                    got,
                    Some(by_definition(&values, parts)),
                    "seed {seed}, p{} of {values:?}",
                    percentile(parts)
                );
            }
        }
    }
}

#[test]
fn a_percentile_with_decimals_is_not_rounded_to_the_next_rank() {
    // In binary fractions 99.9 % of 1,000 comes out as a little more than 999.
    let thousand: Vec<u64> = (1..=1_000).collect();
    for (asked, expected) in [(99.9, 999), (99.8, 998), (0.1, 1), (0.2, 2), (55.5, 555), (99.91, 1_000)] {
        assert_eq!(nearest_rank(&thousand, asked), Some(expected), "p{asked} of 1 to 1,000");
    }
    for tenths in 1..=1_000u32 {
        let asked = f64::from(tenths) / 10.0;
        assert_eq!(nearest_rank(&thousand, asked), Some(u64::from(tenths)), "p{asked} of 1 to 1,000");
    }
}

#[test]
fn values_below_256_are_exact() {
    for value in 0..256 {
        let histogram = histogram(&[value, 1 << 40]);
        assert_eq!(histogram.value_at(50.0), Some(value));
    }
    let mut every = histogram(&(0..256).collect::<Vec<u64>>());
    every.record_n(3, 256);
    assert_eq!(every.value_at(50.0), Some(3), "a value that was recorded 257 times of 512 is the median");
    assert_eq!(every.value_at(100.0), Some(255));
    assert_eq!(every.count(), 512);
    assert_eq!(every.mean(), Some((255.0 * 128.0 + 3.0 * 256.0) / 512.0), "the mean is exact");
}

#[test]
fn a_percentile_is_never_understated_and_at_most_one_part_in_128_too_high() {
    for seed in seeds(16) {
        let mut values = values(seed, 5_000);
        let histogram = histogram(&values);
        values.sort_unstable();
        for parts in PARTS {
            let what = format!("seed {seed}, p{}", percentile(parts));
            assert_within_the_bound(histogram.value_at(percentile(parts)), by_definition(&values, parts), &what);
        }
        assert_eq!(histogram.value_at(100.0), values.last().copied(), "seed {seed}: p100 is the maximum itself");
    }
}

#[test]
fn the_bound_holds_at_every_power_of_two_up_to_the_greatest_u64() {
    for bit in 0..64 {
        let power = 1u64 << bit;
        for value in [power - 1, power, power + 1, power + power / 3, power + (power - 1)] {
            let with_a_greater_one = histogram(&[value, u64::MAX]);
            assert_within_the_bound(with_a_greater_one.value_at(50.0), value, &format!("{value} beside u64::MAX"));
            let alone = histogram(&[value]);
            for asked in [0.0, 50.0, 100.0] {
                assert_eq!(alone.value_at(asked), Some(value), "{value} alone is its own maximum");
            }
            assert_eq!((alone.min(), alone.max()), (Some(value), Some(value)));
        }
    }
}

#[test]
fn merging_is_recording_everything_in_one_where_an_average_of_percentiles_is_not() {
    // Nine quick machines and a slow one: the mean of their medians is nobody's median.
    let mut all = Histogram::new();
    for machine in 0..10 {
        all.merge(&histogram(&[if machine == 9 { 1_000_000 } else { 100 }; 100]));
    }
    assert_eq!(all.value_at(50.0), Some(100));
    assert_eq!(all.value_at(99.0), Some(1_000_000), "the slow machine is the tail of the whole");
    for seed in seeds(8) {
        let (left, right) = (values(seed, 700), values(seed + 1, 1_300));
        let whole = histogram(&[left.clone(), right.clone()].concat());
        for (mut merged, other) in [
            (histogram(&left), histogram(&right)),
            (histogram(&right), histogram(&left)),
            (Histogram::new(), whole.clone()),
        ] {
            merged.merge(&other);
            assert_eq!((merged.min(), merged.max()), (whole.min(), whole.max()), "seed {seed}: the extremes");
            assert_eq!((merged.count(), merged.mean()), (whole.count(), whole.mean()), "seed {seed}: count and mean");
            for parts in PARTS {
                let asked = percentile(parts);
                assert_eq!(merged.value_at(asked), whole.value_at(asked), "seed {seed}: p{asked}");
            }
        }
    }
}

#[test]
fn memory_is_the_same_after_a_million_values() {
    let mut histogram = Histogram::new();
    assert_eq!((histogram.value_at(50.0), histogram.min(), histogram.mean()), (None, None, None), "nothing of nothing");
    let empty = histogram.memory_bytes();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    for _ in 0..1_000_000 {
        histogram.record(rng.random::<u64>() >> rng.random_range(0..64));
    }
    assert_eq!(histogram.memory_bytes(), empty);
    assert!(empty <= 64 << 10, "{empty} bytes for a histogram");
    histogram.record_n(u64::MAX, u64::MAX);
    histogram.record_n(u64::MAX, u64::MAX);
    assert_eq!(histogram.count(), u64::MAX, "a count that is full stays full");
    assert_eq!(histogram.value_at(50.0), Some(u64::MAX));
    assert!(histogram.mean() >= Some(u64::MAX as f64), "a sum that is full stays full");
    histogram.merge(&histogram.clone());
    assert_eq!((histogram.count(), histogram.value_at(50.0)), (u64::MAX, Some(u64::MAX)), "nor does a merge wrap");
    assert!(histogram.mean() >= Some(u64::MAX as f64), "nor does a merge wrap the sum");
}
