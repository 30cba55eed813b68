//! Which keys a load touches: all alike, or a few of them most of the time.
//!
//! Zipf's law is what popularity looks like: the k-th most popular of n things is asked for in proportion to `1 / k^theta`.
//! The sampler is that of Gray et al., "Quickly Generating Billion-Record Synthetic Databases" (SIGMOD 1994), section 3.2,
//! with YCSB's theta of 0.99: constant time a key, after a sum over the keys. It is exact for the two most popular keys
//! and a continuous approximation for the others: among a thousand keys the third comes up a sixth too often, the ten
//! hottest together a twentieth. It is kept because YCSB's published figures were made with it.
//!
//! Under [`Keys::zipfian`] key 0 is the hottest, 1 the next: neighbours, which in a store with ranges share a block or a
//! partition. [`Keys::scrambled`] spreads the same popularities over the key space by a permutation. YCSB hashes instead,
//! where two ranks may meet in one key and some keys are never asked for.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::Error;

/// Up to this many terms of the zeta sum are added one by one; the rest is an integral, whose error is then far below
/// one in a billion.
const EXACT_TERMS: u64 = 1_000_000;

/// Rounds of the Feistel network: four make a permutation that looks random (Luby, Rackoff, 1988).
const FEISTEL_ROUNDS: u64 = 4;

/// A distribution over the keys `0..count`.
#[derive(Debug, Clone, PartialEq)]
pub struct Keys {
    count: u64,
    shape: Shape,
    /// The number of bits of one half of a key, and so of the Feistel network; `None`: keys are not scrambled.
    scramble: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Uniform,
    Zipfian(Zipfian),
}

/// The constants of Gray's method.
#[derive(Debug, Clone, PartialEq)]
struct Zipfian {
    theta: f64,
    /// The sum of `1 / k^theta` over all keys.
    zeta: f64,
    alpha: f64,
    eta: f64,
}

/// An endless, repeatable sequence of keys.
#[derive(Debug, Clone)]
pub struct KeyStream {
    keys: Keys,
    rng: Xoshiro256PlusPlus,
}

impl Keys {
    /// YCSB's skew.
    pub const YCSB_THETA: f64 = 0.99;

    /// Every key is as likely as any other.
    ///
    /// # Errors
    ///
    /// `count` is zero.
    pub fn uniform(count: u64) -> Result<Self, Error> {
        if count == 0 {
            return Err(Error::NoKeys);
        }
        Ok(Self { count, shape: Shape::Uniform, scramble: None })
    }

    /// Key k is asked for in proportion to `1 / (k + 1)^theta`.
    ///
    /// # Errors
    ///
    /// `count` is zero, or `theta` is not strictly between 0 and 1.
    pub fn zipfian(count: u64, theta: f64) -> Result<Self, Error> {
        if count == 0 {
            return Err(Error::NoKeys);
        }
        if !(theta > 0.0 && theta < 1.0) {
            return Err(Error::Theta(theta));
        }
        let zeta = zeta(count, theta);
        let n = count as f64;
        let eta = (1.0 - (2.0 / n).powf(1.0 - theta)) / (1.0 - self::zeta(2, theta) / zeta);
        let zipfian = Zipfian { theta, zeta, alpha: 1.0 / (1.0 - theta), eta };
        Ok(Self { count, shape: Shape::Zipfian(zipfian), scramble: None })
    }

    /// The same keys' popularities, dealt to keys that lie anywhere.
    #[must_use]
    pub fn scrambled(mut self) -> Self {
        let bits = u64::BITS - (self.count - 1).leading_zeros();
        self.scramble = Some(bits.div_ceil(2).max(1));
        self
    }

    /// How many keys there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How likely the key of a popularity rank is; the most popular has rank 0.
    pub fn probability(&self, rank: u64) -> f64 {
        match &self.shape {
            _ if rank >= self.count => 0.0,
            Shape::Uniform => 1.0 / self.count as f64,
            Shape::Zipfian(zipfian) => ((rank + 1) as f64).powf(-zipfian.theta) / zipfian.zeta,
        }
    }

    /// The key that has a popularity rank.
    ///
    /// # Panics
    ///
    /// When there are not so many keys.
    pub fn key_of_rank(&self, rank: u64) -> u64 {
        assert!(rank < self.count, "rank {rank} of {} keys", self.count);
        let Some(half_bits) = self.scramble else { return rank };
        // The network permutes the numbers below a power of four, of which more than a quarter are keys: walk the cycle
        // until it is back among the keys. It comes back, since it started there, and after four steps as a rule.
        let mut key = feistel(rank, half_bits);
        while key >= self.count {
            key = feistel(key, half_bits);
        }
        key
    }

    /// Draws a key.
    pub fn sample(&self, rng: &mut impl RngExt) -> u64 {
        let rank = match &self.shape {
            Shape::Uniform => rng.random_range(0..self.count),
            Shape::Zipfian(zipfian) => zipfian.rank(rng.random(), self.count),
        };
        self.key_of_rank(rank)
    }

    /// The sequence of keys that belongs to a seed.
    pub fn stream(&self, seed: u64) -> KeyStream {
        KeyStream { keys: self.clone(), rng: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }
}

impl Iterator for KeyStream {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        Some(self.keys.sample(&mut self.rng))
    }
}

impl Zipfian {
    /// The rank at which the cumulative distribution reaches `u`, which lies in `0..1`.
    fn rank(&self, u: f64, count: u64) -> u64 {
        let scaled = u * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5f64.powf(self.theta) {
            return 1.min(count - 1);
        }
        let rank = count as f64 * (self.eta * u - self.eta + 1.0).powf(self.alpha);
        (rank as u64).min(count - 1)
    }
}

/// The sum of `1 / k^theta` for k from 1 to `count`.
fn zeta(count: u64, theta: f64) -> f64 {
    let exact: f64 = (1..=count.min(EXACT_TERMS)).map(|k| (k as f64).powf(-theta)).sum();
    if count <= EXACT_TERMS {
        return exact;
    }
    let primitive = |x: f64| x.powf(1.0 - theta) / (1.0 - theta);
    exact + primitive(count as f64 + 0.5) - primitive(EXACT_TERMS as f64 + 0.5)
}

/// A permutation of the numbers of `2 * half_bits` bits.
fn feistel(value: u64, half_bits: u32) -> u64 {
    let mask = u64::MAX >> (u64::BITS - half_bits);
    let (mut left, mut right) = (value >> half_bits, value & mask);
    for round in 0..FEISTEL_ROUNDS {
        let mixed = (right ^ (round << 60)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (left, right) = (right, left ^ ((mixed >> 32) & mask));
    }
    (left << half_bits) | right
}
