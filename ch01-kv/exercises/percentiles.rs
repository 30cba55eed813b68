#![allow(unused)]
// Exercise ch01/percentiles: First steps: percentiles, exact and in bounded memory
// DDIA ch. 1, "Describing Performance"
//
// Write the nearest-rank percentile of a sorted list, then a histogram that takes any number of values in 58 KiB and
// answers with an error of at most 1/128. The picture at the top of the file shows the buckets. The bench reports its
// latencies through your histogram, and merges those of its connections with it.
//
// Write what says todo!(). `cargo grade ch01/percentiles` judges it, `cargo grade hint ch01/percentiles` helps.

//! Percentiles: exact ones of a sorted list, and those of any number of values in bounded memory.
//!
//! A mean says nothing about what a user waited: response time is a distribution, and the percentiles are how to read
//! it (DDIA ch. 1, "Describing Performance"). Two things go wrong on the way. Keeping every value costs memory for as
//! long as the server runs, so a [`Histogram`] keeps counts in buckets instead, whose error is bounded below. And
//! percentiles of several machines, or several minutes, are averaged, which is meaningless: the p99 of the whole is not
//! the mean of the parts' p99s, nor near it. Counts do add up, so [`Histogram::merge`] adds those.
//!
//! **The buckets.** A value below 2^7 has a bucket of its own. Above, each power of two is cut into 2^7 buckets of
//! equal width:
//!
//! ```text
//! values      0 1 2 … 127 | 128 129 … 255 | 256-257 258-259 … 510-511 | 512-515 … 1020-1023 | … up to 2^64 - 1
//! width                 1 |             1 |                         2 |                   4 |
//! shift                   |             0 |                         1 |                   2 | … 56
//! bucket      0 1 2 … 127 | 128 129 … 255 | 256 257 … 383             | 384 … 511           | … 7423
//! ```
//!
//! **The error.** A bucket that begins at 2^7 or above is 2^shift wide and begins at a multiple m · 2^shift with m ≥
//! 2^7. Its greatest value is thus less than 2^shift ≤ v / 2^7 above any value v in it. [`Histogram::value_at`] answers
//! with that greatest value, so it is never below the true percentile and at most 1/128 of it above: 0.8 %, for 58 KiB.
//! The design is that of HdrHistogram (Tene), with a base of two throughout.
//!
//! **Left out**: decay (a histogram of the last minute is one that is replaced each minute), a configurable precision,
//! and the sketches that merge with a guarantee on rank instead of value (t-digest, KLL).

use std::fmt;

/// How finely each power of two is cut: 2^7 buckets, so that the relative error stays under 1/128, below what two runs
/// of the same benchmark differ by.
pub const SUB_BITS: u32 = 7;

/// Buckets in one power of two.
const SUB_BUCKETS: u64 = 1 << SUB_BITS;

/// Buckets in all: the values below 2^7, then one group for each power of two from 2^7 to 2^63.
const BUCKETS: usize = (64 - SUB_BITS as usize + 1) * SUB_BUCKETS as usize;

/// The whole, in the integer parts that a percentile is counted in: parts per million, which is p99.9999.
///
/// 99.9 has no exact binary fraction: the nearest is a little above it, and 1,000 values times that rounds up to the
/// wrong rank. So a percentile is first rounded to whole parts, and everything after is exact.
const WHOLE: u128 = 1_000_000;

/// The counts of the values that were recorded, by bucket.
///
/// **Invariants**: `count` is the sum of `counts`; `min` ≤ `max` once anything was recorded; memory never grows.
#[derive(Clone)]
pub struct Histogram {
    counts: Box<[u64]>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

/// The value at a percentile of `sorted` (ascending) by nearest rank: the smallest value that at least `percentile` in a
/// hundred of all values do not exceed.
///
/// Always one of the values, never something between two of them. 0 gives the least, 100 the greatest, and what lies
/// outside of the two counts as the nearer one. Nothing when there are no values.
pub fn nearest_rank(sorted: &[u64], percentile: f64) -> Option<u64> {
    todo!("percentiles: the value of `sorted` at the percentile's rank; you have sorted, percentile")
}

/// The rank of a percentile among `count` values: from 1, the least value's, to `count`, the greatest's.
fn rank(count: u64, percentile: f64) -> u64 {
    let parts = (percentile.clamp(0.0, 100.0) * (WHOLE / 100) as f64).round() as u128;
    todo!("percentiles: the smallest rank that is at least `parts` of WHOLE of `count`, and never 0; you have count, percentile")
}

/// The bucket that `value` is counted in.
fn bucket_of(value: u64) -> usize {
    todo!("percentiles: the bucket of `value`, as drawn at the top of this file; you have value")
}

/// The greatest value that is counted in `bucket`.
fn greatest_in(bucket: usize) -> u64 {
    todo!("percentiles: the inverse of bucket_of: the last value of the bucket; you have bucket")
}

impl Histogram {
    /// A histogram of nothing yet.
    pub fn new() -> Histogram {
        Histogram { counts: vec![0; BUCKETS].into_boxed_slice(), count: 0, sum: 0, min: u64::MAX, max: 0 }
    }

    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts `value` as seen `times` times. Counts stop at `u64::MAX` rather than wrap.
    pub fn record_n(&mut self, value: u64, times: u64) {
        if times == 0 {
            return;
        }
        todo!(
            "percentiles: count the value in its bucket, and keep count, sum, min and max; you have self, value, times"
        )
    }

    /// The value at a percentile: never below the true one (see [`nearest_rank`]) and at most 1/128 of it above.
    ///
    /// Nothing when nothing was recorded.
    pub fn value_at(&self, percentile: f64) -> Option<u64> {
        todo!("percentiles: the greatest value of the bucket that the percentile's rank falls in, but never above max; you have self, percentile")
    }

    /// Adds what `other` has counted, as if each of its values had been recorded here.
    pub fn merge(&mut self, other: &Histogram) {
        todo!("percentiles: add the counts, bucket by bucket, and what is kept beside them; you have self, other")
    }

    /// How many values were recorded.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The least value that was recorded, exactly.
    pub fn min(&self) -> Option<u64> {
        (self.count > 0).then_some(self.min)
    }

    /// The greatest value that was recorded, exactly.
    pub fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }

    /// The arithmetic mean, exactly: the sum is kept beside the buckets.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// The memory that the histogram takes, in bytes: the same whatever was recorded.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Histogram>() + size_of_val(&*self.counts)
    }
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram::new()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Histogram { count, min, max, .. } = self;
        f.debug_struct("Histogram").field("count", count).field("min", min).field("max", max).finish_non_exhaustive()
    }
}
