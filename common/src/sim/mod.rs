//! The simulated world: everything that can go wrong with several machines, from one seed.
//!
//! A distributed system that is tested on good days has not been tested. What breaks it is a message that comes late and a
//! crash between two effects, in an order that no test of the real thing will ever hit twice (DDIA ch. 8, "Unreliable
//! Networks", "Unreliable Clocks", "Knowledge, Truth, and Lies"). Here an [`Engine`](crate::engine::Engine) runs in a world
//! whose network, clocks, disks and crashes are drawn from a seed: ten simulated seconds take milliseconds, and the same
//! seed takes the same course to the last bit. FoundationDB was built so (Zhou et al., "FoundationDB: A Distributed
//! Unbundled Transactional Key Value Store", SIGMOD 2021), and TigerBeetle after it.
//!
//! ```text
//!                         seed ──▶ Scenario::set_up ──▶ Setup: nodes, clients, checkers, Profile
//!                                                                                  │ draws
//!   ┌───────────────────────────── World ─────────────────────────────┐            ▼
//!   │                                                                 │        Schedule     1200ms crash node=n1 …
//!   │   Client ──requests──▶ Machine: Clock, SimDisk, Engine + Storage ◀── faults ──┘ a list: printed, replayed,
//!   │          ◀──replies───     ▲  │ effects, held as the contract   │                 shrunk
//!   │                            │  ▼ says                            │
//!   │                  Links: late, lost, twice, cut                  │──▶ Account, Marks, Digest, the last lines
//!   └──────────────────────────────┬──────────────────────────────────┘
//!                                  ▼ after each event, and at the end
//!                               Checkers ──▶ Violation ──▶ Failure: the seed, the shortest schedule, the command
//! ```
//!
//! What a seed decides, and how:
//!
//! | | |
//! |---|---|
//! | messages | each has a latency of its own, and so overtakes others; is lost, comes twice, is cut off by a partition of either kind; comes from a node that is no more |
//! | effects | those that wait for the log are let go when it is durable, before or after the engine is told; where a crash comes between two of a list, or a job is in it, the list is permuted first |
//! | crashes | at any time, between two effects, in the middle of any operation of a disk, recovery's too. What was written and not synced survives, or not, or in part |
//! | jobs | take their time, overtake each other, and have changed the disk long before anybody hears of it, or just then |
//! | pauses | a process handles nothing, and then everything, in any order, while its clocks have gone on |
//! | clocks | wrong from the beginning, too fast or too slow, and the one on the wall jumps. After a restart, the monotonic one begins anywhere |
//! | disks | syncs that fail or take long, writes that fail half way, no room, bits that flip, disks that are replaced |
//! | the weather | which of all this there is at all, and how much ([`Profile::vary`], [`Options::vary`]) |
//!
//! A run ends with a quiet time, in which all is well again: so that checkers can ask whether the system has recovered. What
//! no checker needs to ask, the world does: a node starts from its own disk unless that was tampered with, nobody panics,
//! time goes on, messages do not multiply, a request is answered by the process that was asked.
//!
//! Everything is drawn from two generators that are made from the seed, one for what is set up and one for what happens.
//! Nothing is taken from a clock, an address or the order of a hash table; the digest of a run (of each event, its time and
//! what was wanted of it) is how a test notices if anything ever is.
//!
//! **Left out**: threads within a node (an engine has none; what shells do with theirs is tested under `turmoil`); requests
//! of clients that arrive twice; messages that are changed on their way; disks that lie about a sync; bandwidth, and what a
//! node's own work takes: handling an event takes no time.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod account;
mod checker;
mod client;
mod clock;
mod faults;
mod network;
mod node;
mod options;
mod panics;
mod queue;
mod scenario;
mod schedule;
mod sweep;
mod timers;
mod trace;
mod world;

pub use account::{Account, Marks};
pub use checker::{Checker, Violation};
pub use client::{Client, ClientEffects, ClientEvent};
pub use faults::{Fault, FaultError, Kind, NodeSet, Survival, SyncFailure};
pub use network::{Latency, MAX_NODES, Network};
pub use options::{Contract, Options};
pub use scenario::{Failure, Run, Scenario, Setup, run};
pub use schedule::{Profile, Schedule, Timed};
pub use sweep::{Sweep, Test, first_failure, seeds};
pub use trace::Digest;
pub use world::World;
