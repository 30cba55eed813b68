//! The token bucket: how fast flushes and compactions may write.
//!
//! What works in the background writes as fast as it can, and whoever reads meanwhile waits behind it: the worst of a tree's
//! response times are made by its own compactions (DDIA ch. 3, "Downsides of LSM-trees"). So a bucket fills with as many tokens a
//! second as bytes may be written, and whoever writes takes as many as it has bytes.
//!
//! ```text
//!  balance   capacity ──────────╮         ╭────      full: what was not used is lost, so that a rest is followed by no flood
//!                     ╲         │   ╱─────╯
//!         0 ───────────╲────────┼──╱───────────      above zero, an ask of any size is granted, and
//!                       ╲───────┼─╯                  below, everybody waits: who took much is waited for
//!                      granted  waits
//! ```
//!
//! A flush goes before a compaction: writers wait for the one, and nobody for the other. Pure: the time is an argument.
//!
//! **Left out**: a share for compactions while flushes wait without end (they do not: too many tables of level 0 stop the writers,
//! and with them the flushes).

use std::time::Duration;

/// For how long tokens are saved up, in thousandths of a second: what may be written at once after a rest.
const SAVED_MS: u64 = 100;

/// When somebody who is behind another asks again.
const BEHIND: Duration = Duration::from_millis(1);

/// What a second has of nanoseconds: balances are counted in bytes times this, so that nothing is lost by rounding.
const SECOND: i128 = 1_000_000_000;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Writers wait for it: a flush. At most one asks at a time.
    Flush,
    /// Nobody does: a compaction.
    Compaction,
}

/// A bucket of tokens, each of which is a byte that may be written.
///
/// **Invariants**: `balance` is at most the capacity; `at` never goes back.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    bytes_per_s: i128,
    capacity: i128,
    /// Bytes times [`SECOND`].
    balance: i128,
    at: Duration,
    /// A flush was told to wait, and has not come back yet.
    flush_waits: bool,
}

impl TokenBucket {
    /// A full one, at `now`. A rate of 0 counts as 1.
    pub fn new(bytes_per_s: u64, now: Duration) -> Self {
        let bytes_per_s = i128::from(bytes_per_s.max(1));
        let capacity = (bytes_per_s * SECOND * i128::from(SAVED_MS) / 1_000).max(SECOND);
        Self { bytes_per_s, capacity, balance: capacity, at: now, flush_waits: false }
    }

    /// Takes `bytes`, whatever their number, if anything is there and nobody goes before.
    ///
    /// # Errors
    ///
    /// After how long to ask again: never zero.
    pub fn take(&mut self, now: Duration, bytes: u64, urgency: Urgency) -> Result<(), Duration> {
        let passed = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        self.balance = self.capacity.min(self.balance + passed.as_nanos() as i128 * self.bytes_per_s);
        let is_behind = urgency == Urgency::Compaction && self.flush_waits;
        if self.balance > 0 && !is_behind {
            self.balance -= i128::from(bytes) * SECOND;
            self.flush_waits &= urgency == Urgency::Compaction;
            return Ok(());
        }
        self.flush_waits |= urgency == Urgency::Flush;
        let refills = (-self.balance).max(0) / self.bytes_per_s + 1;
        let refills = Duration::from_nanos(u64::try_from(refills).unwrap_or(u64::MAX));
        Err(if is_behind { refills.max(BEHIND) } else { refills })
    }
}
