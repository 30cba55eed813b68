//! The words that several engines share, each a type of its own, so that a deadline cannot be passed where a hash is
//! meant.

use std::fmt;

/// A point in time, in milliseconds since the Unix epoch: a reading of the clock, or a key's deadline.
///
/// Wall-clock time, because a deadline that a client sets with `EXPIREAT`, and one that is read back from the log after
/// a restart, are points in wall-clock time (DDIA ch. 8, "Monotonic Versus Time-of-Day Clocks", on what that costs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

/// The keyspace's hash of a key, seeded when the server starts.
///
/// Stands for the key in the indexes beside the keyspace: eight bytes, however long the key is. Two keys that share one
/// (once in 2⁶⁴ pairs, and nobody outside knows the seed) are told apart by the keyspace, which an index's user asks
/// anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub u64);

/// A user of the home-timeline workload: its index in the [`Graph`](super::graph::Graph).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub u32);

/// A post of the home-timeline workload, numbered as it was posted: a greater one is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PostId(pub u64);

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for PostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
