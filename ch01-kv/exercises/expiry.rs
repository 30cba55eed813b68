#![allow(unused)]
// Exercise ch01/expiry: Expiry: lazy and active, in bounded memory
// DDIA ch. 1, "Describing Performance"
//
// Write the time-to-live index of a database: the boundary at which a key is dead, the lazy check that every command
// makes, the index that follows each change of a deadline, and the active cycle, which removes dead keys that nobody
// touches. The cycle's limit adapts to the backlog, so that neither dead keys nor pauses grow. The server runs a cycle
// of yours every 100 ms.
//
// Write what says todo!(). `cargo grade ch01/expiry` judges it, `cargo grade hint ch01/expiry` helps.

//! Expiry: which keys have outlived their time to live, found without a search and removed without a pause.
//!
//! Two mechanisms share the work, as in Redis. **Lazy**: whoever touches a key asks [`visible`] first, so a dead key is
//! never shown, even if it still takes memory. **Active**: a cycle that runs every 100 ms removes dead keys that nobody
//! touches. The lazy half keeps answers right; the active half keeps memory bounded.
//!
//! How many keys one cycle may remove is the interesting number. Too few, and dead keys pile up; too many, and a
//! million keys that were given the same deadline stop the server for everyone, which is the tail latency of
//! DDIA ch. 1, "Describing Performance". So the limit follows the load: it doubles while cycles cannot keep up, to a
//! ceiling, and halves when there is little to do ([`Expiry::next_limit`]). Under a steady load of `r` deadlines a
//! cycle, `r` within the ceiling, the limit passes `r` after at most log2(`r` / [`MIN_PER_CYCLE`]) + 1 cycles; dead
//! keys stay in proportion to the load and do not grow with time.
//!
//! The index holds one entry of 16 bytes for each key with a deadline, in order, so the keys that are due are its
//! front.
//!
//! **Left out**: sampling (Redis keeps no order, draws keys at random and goes on while many of them are dead, which
//! saves memory and leaves some keys dead for long), and timing wheels (Varghese and Lauck, 1987), which trade the
//! exact order for constant time. A wall clock that is set forward expires keys early; Redis has that too.

use std::collections::BTreeSet;

use crate::engine::types::{KeyHash, UnixMillis};

/// Keys a cycle may remove when there is little to do: what Redis removes in one loop.
pub const MIN_PER_CYCLE: usize = 20;

/// Keys a cycle may remove at most. At well under a microsecond each they hold up a client by some milliseconds; at ten
/// cycles a second this is 204,800 keys a second, more than clients are likely to give a deadline.
pub const MAX_PER_CYCLE: usize = MIN_PER_CYCLE << 10;

/// The deadlines of one database's keys.
///
/// **Invariants**: exactly one entry for each key that has a deadline and was not yet taken, so `len` is at most the
/// number of keys, however often deadlines change; `limit` lies between [`MIN_PER_CYCLE`] and [`MAX_PER_CYCLE`].
#[derive(Debug, Clone)]
pub struct Expiry {
    by_deadline: BTreeSet<(UnixMillis, KeyHash)>,
    limit: usize,
}

/// Whether a key with this deadline is dead: strictly after it. At the deadline itself it is alive, with 0 ms left, as
/// in Redis 7.
pub fn is_due(deadline: UnixMillis, now: UnixMillis) -> bool {
    todo!("expiry: the boundary, to the millisecond; you have deadline, now")
}

/// Lazy expiry: whether a command may see a key. One without a deadline is always visible.
pub fn visible(deadline: Option<UnixMillis>, now: UnixMillis) -> bool {
    todo!("expiry: what a command asks before it shows a key that the active cycle may not have reached; you have deadline, now")
}

impl Expiry {
    /// An index of no keys.
    pub fn new() -> Expiry {
        Expiry { by_deadline: BTreeSet::new(), limit: MIN_PER_CYCLE }
    }

    /// Records that the deadline of `key` changes from `old` to `new`; `None` is no deadline.
    ///
    /// Covers every case: a key gets its first deadline, is refreshed, is persisted, or is deleted. `old` is what the
    /// keyspace holds for the key; an entry that a cycle has taken already may be named again.
    pub fn schedule(&mut self, key: KeyHash, old: Option<UnixMillis>, new: Option<UnixMillis>) {
        todo!("expiry: replace the key's entry, so that none is left behind; you have self, key, old, new")
    }

    /// Removes and returns the entries that are due, those with the earliest deadline first, at most `limit` of them.
    pub fn take_due(&mut self, now: UnixMillis, limit: usize) -> Vec<(UnixMillis, KeyHash)> {
        todo!("expiry: take from the front of the index while it is due, but no more than the limit; you have self, now, limit")
    }

    /// How many entries are due, counted no further than `at_most`: a look at the backlog must not cost what clearing
    /// it does.
    pub fn backlog(&self, now: UnixMillis, at_most: usize) -> usize {
        todo!("expiry: count the due entries at the front, and stop at the bound; you have self, now, at_most")
    }

    /// The limit for a cycle that runs now, given the last one's ([`Expiry::limit`]) and the backlog.
    ///
    /// Twice the last one's where the backlog exceeds it, half where the backlog is at most half of it, else the same;
    /// always within [`MIN_PER_CYCLE`] and [`MAX_PER_CYCLE`].
    pub fn next_limit(&self, now: UnixMillis) -> usize {
        todo!("expiry: double, halve or keep the limit; you have self, now")
    }

    /// One active cycle: settles its limit and takes what is due within it. The caller deletes these keys.
    pub fn cycle(&mut self, now: UnixMillis) -> Vec<(UnixMillis, KeyHash)> {
        self.limit = self.next_limit(now);
        self.take_due(now, self.limit)
    }

    /// The limit of the last cycle: [`MIN_PER_CYCLE`] before the first.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The entry with the earliest deadline: the next to expire, and what `volatile-ttl` evicts.
    pub fn first(&self) -> Option<(UnixMillis, KeyHash)> {
        self.by_deadline.first().copied()
    }

    /// The earliest deadline.
    pub fn soonest(&self) -> Option<UnixMillis> {
        self.first().map(|(deadline, _)| deadline)
    }

    /// Whether any entry is due.
    pub fn has_due(&self, now: UnixMillis) -> bool {
        self.soonest().is_some_and(|deadline| is_due(deadline, now))
    }

    /// How many keys have a deadline.
    pub fn len(&self) -> usize {
        self.by_deadline.len()
    }

    /// Whether no key has a deadline.
    pub fn is_empty(&self) -> bool {
        self.by_deadline.is_empty()
    }

    /// Forgets every deadline, as when the database is flushed.
    pub fn clear(&mut self) {
        self.by_deadline.clear();
    }
}

impl Default for Expiry {
    fn default() -> Expiry {
        Expiry::new()
    }
}
