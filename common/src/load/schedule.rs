//! When requests are due, independently of how the server does: the half of an open-loop load that is pure.
//!
//! Users do not know of each other and do not wait for each other's answers. Arrivals at random (a Poisson process) are
//! what many independent users make; arrivals at a constant rate are easier to read and kinder to the server, since no two
//! come at once.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::Error;

/// The highest rate, in requests a second: one a nanosecond, the resolution of a [`Duration`].
const MAX_RATE: f64 = 1e9;

/// How arrivals are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// At equal distances.
    Constant,
    /// At random distances, exponentially distributed, drawn from this seed.
    Poisson {
        /// The seed.
        seed: u64,
    },
}

/// The times at which requests are due, since the start; ascending, and all before the end.
#[derive(Debug, Clone)]
pub struct Schedule {
    rate: f64,
    length: Duration,
    next: u64,
    random: Option<Random>,
}

#[derive(Debug, Clone)]
struct Random {
    rng: Xoshiro256PlusPlus,
    at_secs: f64,
}

impl Schedule {
    /// Arrivals at `rate` requests a second for `length`.
    ///
    /// # Errors
    ///
    /// The rate is not more than zero and at most 10^9.
    pub fn new(rate: f64, length: Duration, arrivals: Arrivals) -> Result<Self, Error> {
        if !(rate > 0.0 && rate <= MAX_RATE) {
            return Err(Error::Rate(rate));
        }
        let random = match arrivals {
            Arrivals::Constant => None,
            Arrivals::Poisson { seed } => Some(Random { rng: Xoshiro256PlusPlus::seed_from_u64(seed), at_secs: 0.0 }),
        };
        Ok(Self { rate, length, next: 0, random })
    }

    /// The mean time between two arrivals.
    pub fn interval(&self) -> Duration {
        Duration::try_from_secs_f64(1.0 / self.rate).unwrap_or(Duration::MAX)
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let secs = match &mut self.random {
            // From the index, not from the last arrival: rounding does not add up to a drift.
            None => self.next as f64 / self.rate,
            Some(random) => {
                // `1 - u` lies in (0, 1]: its logarithm is finite.
                let u: f64 = random.rng.random();
                random.at_secs -= (1.0 - u).ln() / self.rate;
                random.at_secs
            }
        };
        let due = Duration::try_from_secs_f64(secs).ok().filter(|due| *due < self.length)?;
        self.next += 1;
        Some(due)
    }
}
