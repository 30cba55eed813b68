#![allow(unused)]
// Exercise ch01/eviction: Eviction: sampled LRU
// DDIA ch. 1, "Describing Load"
//
// Write what happens when memory is full: the decision, the idle time by a clock that wraps, the pool of the idlest
// candidates, and the choice of a key to evict from five samples. With `--maxmemory 10mb` and `allkeys-lru`, the server
// evicts by your choice; INFO counts the evictions.
//
// Write what says todo!(). `cargo grade ch01/eviction` judges it, `cargo grade hint ch01/eviction` helps.

//! Eviction: which key to give up when memory is full.
//!
//! A server that takes every write until the machine runs out of memory is not reliable: the limit on memory is a load
//! parameter, and what happens beyond it a decision (DDIA ch. 1, "Describing Load"). [`decide`] makes it.
//!
//! True LRU evicts the key that was touched longest ago, and pays for that with a linked list through every key and a
//! write to it on every read. Redis' answer, and this one, is to approximate: each key holds only the time of its last
//! use ([`LruClock`], four bytes). To evict, draw [`SAMPLES`] keys at random and put them into a small [`Pool`] that
//! remembers the idlest ones seen so far, over many evictions; then evict the idlest of the pool. The pool is what
//! makes five samples enough. The idlest of five random keys is, on average, idler than 83 % (5/6) of all; but with a
//! pool the other four are not lost: of five keys that come in, the one that goes out belongs to the idlest fifth,
//! which is idler than 90 %.
//!
//! What the pool remembers goes stale: a key may be deleted, or be touched, after it was sampled. So [`choose`] asks
//! again before it condemns a key.
//!
//! **Left out**: LFU (a frequency counter that decays, which a scan cannot fool), `allkeys-random`, and the policies
//! that restrict LRU to keys with a deadline. `volatile-ttl` needs no sampling here: the expiry index holds the order
//! ([`Expiry::first`](crate::engine::expiry::Expiry::first)).

use std::fmt;
use std::str::FromStr;

use crate::engine::types::{KeyHash, UnixMillis};

/// The unit of [`LruClock`]: fine enough that keys touched in the same unit are few, coarse enough that 32 bits last
/// 497 days.
pub const CLOCK_UNIT_MS: u64 = 10;

/// Keys drawn for one eviction: Redis' default, where the gain from a further one has become small.
pub const SAMPLES: usize = 5;

/// Candidates that are remembered between evictions, as in Redis.
pub const POOL_LEN: usize = 16;

/// A coarse clock, in units of [`CLOCK_UNIT_MS`], that wraps around: what a key holds to say when it was last touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LruClock(pub u32);

/// A key that might be evicted, and for how long it had not been touched when it was looked at, in units of
/// [`CLOCK_UNIT_MS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The key.
    pub key: KeyHash,
    /// Its idle time.
    pub idle: u32,
}

/// The idlest candidates that were offered and not yet taken.
///
/// **Invariants**: at most [`POOL_LEN`] of them, no key twice, the idlest last.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    candidates: Vec<Candidate>,
}

/// What to do about a full memory, by the names that Redis gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Refuse the commands that take memory.
    NoEviction,
    /// Give up a key that was not touched for long.
    AllKeysLru,
    /// Give up the key with the earliest deadline.
    VolatileTtl,
}

/// What a command that takes memory has to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: there is room.
    Fine,
    /// A key is to be evicted first; then decide again.
    Evict,
    /// There is no room and none will be made.
    Refuse,
}

/// A policy's name that is none of the known ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown eviction policy '{0}': one of noeviction, allkeys-lru, volatile-ttl is meant")]
pub struct UnknownPolicy(String);

/// What to do with `used_bytes` in use of `max_bytes`. A maximum of 0 is none; using all of it exactly is not yet too
/// much.
pub fn decide(policy: Policy, used_bytes: u64, max_bytes: u64) -> Decision {
    todo!("eviction: whether there is room, and if not, what the policy says; you have policy, used_bytes, max_bytes")
}

/// Chooses a key to evict: draws [`SAMPLES`] candidates into the pool and takes the idlest, if what the pool knew of it
/// still holds.
///
/// `sample` draws one key at random, with its present idle time; nothing when there are no keys. `still_idle` gives a
/// key's present idle time, and nothing when the key is gone. The answer is nothing when there is no key left to evict.
pub fn choose(
    pool: &mut Pool,
    sample: &mut dyn FnMut() -> Option<Candidate>,
    still_idle: &dyn Fn(KeyHash) -> Option<u32>,
) -> Option<KeyHash> {
    todo!("eviction: fill the pool; take until one is still there and as idle as it was; one that was touched goes back; you have pool, sample, still_idle")
}

impl LruClock {
    /// The clock at a point in time.
    pub fn at(now: UnixMillis) -> LruClock {
        LruClock((now.0 / CLOCK_UNIT_MS) as u32)
    }

    /// For how long a key that was touched at `then` has been idle at `self`.
    ///
    /// Right across the wrap, for up to half the range (248 days). A `then` that lies in the other half is in the
    /// future, because the wall clock was set back: the key counts as just touched.
    pub fn idle_since(self, then: LruClock) -> u32 {
        todo!("eviction: the distance from `then` to `self` around the wrap; 0 when it is more than half of the range; you have self, then")
    }
}

impl Pool {
    /// An empty pool.
    pub fn new() -> Pool {
        Pool::default()
    }

    /// Remembers a candidate, if it is idler than the least idle of a full pool. A key that the pool knows gets the new
    /// idle time.
    pub fn offer(&mut self, candidate: Candidate) {
        todo!("eviction: keep the pool's three invariants; you have self, candidate")
    }

    /// Takes the idlest candidate out.
    pub fn take(&mut self) -> Option<Candidate> {
        todo!("eviction: the idlest; you have self")
    }

    /// How many candidates are remembered.
    pub fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Whether no candidate is remembered.
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// Forgets every candidate, as when the database is flushed.
    pub fn clear(&mut self) {
        self.candidates.clear();
    }
}

impl Policy {
    /// Every policy, for the parser and for help.
    pub const ALL: [Policy; 3] = [Policy::NoEviction, Policy::AllKeysLru, Policy::VolatileTtl];

    /// The policy's name in `maxmemory-policy`.
    pub fn name(self) -> &'static str {
        match self {
            Policy::NoEviction => "noeviction",
            Policy::AllKeysLru => "allkeys-lru",
            Policy::VolatileTtl => "volatile-ttl",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Policy, UnknownPolicy> {
        let named = Policy::ALL.into_iter().find(|policy| policy.name().eq_ignore_ascii_case(text));
        named.ok_or_else(|| UnknownPolicy(text.to_owned()))
    }
}
