//! The two clocks of a node, as an engine is told them (DDIA ch. 8, "Monotonic Versus Time-of-Day Clocks").

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// What a node's clocks show when an event is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock: for timeouts.
    pub monotonic: Moment,
    /// The clock on the wall: for people, and for what they ask of it. It may be wrong, and jump.
    pub wall: WallTime,
}

/// A point on a node's monotonic clock: nanoseconds since an arbitrary one.
///
/// It never goes back, and may go a little faster or slower than time does. It means nothing to another node, nor to this one
/// after its next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

/// A point on a node's wall clock: nanoseconds since the beginning of 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WallTime(u64);

impl Moment {
    /// The point after so many nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// How many nanoseconds it is from the arbitrary point.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How much later it is than `earlier`; zero when it is not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl WallTime {
    /// The point after so many nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// How many nanoseconds it is since the beginning of 1970.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How much later it is than `earlier`; zero when it is not: a wall clock can go back.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl Add<Duration> for WallTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

/// What does not fit lies beyond all time that anybody waits for: five hundred years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} ms", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}
