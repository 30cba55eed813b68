//! What decides: pure state machines and data structures, which open nothing, read no clock and draw no randomness.
//!
//! Time and random numbers arrive as arguments, and a decision leaves as data, so that the server, the simulator and the
//! judges in `tests/` run the very same code (DDIA ch. 1, "Reliability": faults are best found by provoking them, and only
//! what can be replayed can be provoked twice). The modules are declared in reading order.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

#[cfg_attr(mine_percentiles, path = "../../mine/percentiles.rs")]
pub mod percentiles;

pub mod types;

pub mod entry;

#[cfg_attr(mine_expiry, path = "../../mine/expiry.rs")]
pub mod expiry;

#[cfg_attr(mine_eviction, path = "../../mine/eviction.rs")]
pub mod eviction;

pub mod shards;

pub mod watches;

pub mod keyspace;

pub mod snapshot;

pub mod durability;

#[cfg_attr(mine_group_commit, path = "../../mine/group_commit.rs")]
pub mod group_commit;

pub mod graph;

#[cfg_attr(mine_timeline, path = "../../mine/timeline.rs")]
pub mod timeline;
