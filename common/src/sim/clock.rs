//! The clocks of one node: what they show at a point of true time, which nobody in the world can see.

use crate::engine::{Moment, Now, WallTime};

/// A rate of one, in the fixed point that rates are in.
const ONE: u64 = 1 << 32;

/// How many millionths a whole has.
const MILLION: i64 = 1_000_000;

/// When the simulated worlds begin on the wall: September 2001, in nanoseconds since 1970.
const WALL_START: u64 = 1_000_000_000_000_000_000;

/// **Invariants**: both clocks showed `monotonic` and `wall` at the true time `since`, and have gone at `rate` from there on.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    since: u64,
    monotonic: u64,
    wall: u64,
    rate: u64,
}

impl Clock {
    /// A machine that is switched on: its monotonic clock begins anywhere, and its wall clock is off by `skew`.
    pub(super) fn new(since: u64, monotonic: u64, skew_ns: i64, drift_ppm: i64) -> Self {
        let wall = (WALL_START + since).saturating_add_signed(skew_ns);
        Self { since, monotonic, wall, rate: rate(drift_ppm) }
    }

    pub(super) fn now(&self, time: u64) -> Now {
        let passed = self.passed(time);
        Now {
            monotonic: Moment::from_nanos(self.monotonic + passed),
            wall: WallTime::from_nanos(self.wall.saturating_add(passed)),
        }
    }

    /// The first point of true time at which the monotonic clock shows `moment` or later.
    pub(super) fn time_of(&self, moment: Moment) -> u64 {
        let ahead = moment.as_nanos().saturating_sub(self.monotonic);
        let passed = (u128::from(ahead) * u128::from(ONE)).div_ceil(u128::from(self.rate));
        self.since.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// Goes on at another rate: `ppm` millionths faster than time.
    pub(super) fn set_drift(&mut self, time: u64, ppm: i64) {
        self.rebase(time);
        self.rate = rate(ppm);
    }

    /// Puts the wall clock forward, or back.
    pub(super) fn jump(&mut self, by_ns: i64) {
        self.wall = self.wall.saturating_add_signed(by_ns);
    }

    /// A process starts: its monotonic clock has nothing to do with that of the last one.
    pub(super) fn restart(&mut self, time: u64, monotonic: u64) {
        self.rebase(time);
        self.monotonic = monotonic;
    }

    fn rebase(&mut self, time: u64) {
        let passed = self.passed(time);
        self.monotonic += passed;
        self.wall = self.wall.saturating_add(passed);
        self.since = time;
    }

    fn passed(&self, time: u64) -> u64 {
        ((u128::from(time - self.since) * u128::from(self.rate)) >> 32) as u64
    }
}

/// From nearly standing still to twice as fast.
fn rate(ppm: i64) -> u64 {
    let millionths = (MILLION + ppm).clamp(1, 2 * MILLION) as u64;
    (ONE * millionths).div_ceil(MILLION as u64)
}
