//! What decides: pure data structures and choices, which open nothing, read no clock and draw no randomness.
//!
//! The modules are declared in reading order: how a key is told from its older self, where the newest writes are kept, how
//! sorted ones are packed into blocks, how a table says that it has not got a key, how sorted runs become one, and which of
//! them are merged next (DDIA ch. 3, "SSTables and LSM-Trees").

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod key;

pub mod cursor;

pub mod fences;

pub mod levels;

pub mod range_tombstones;

pub mod retention;

pub mod filter;

pub mod ttl;

pub mod compaction;

#[cfg_attr(mine_leveled, path = "../../mine/leveled.rs")]
pub mod leveled;

pub mod size_tiered;

pub mod read_triggered;

pub mod simulation;

mod arena;

pub mod leaves;

pub mod token_bucket;

#[cfg_attr(mine_memtable, path = "../../mine/memtable.rs")]
pub mod memtable;

#[cfg_attr(mine_block, path = "../../mine/block.rs")]
pub mod block;

#[cfg_attr(mine_bloom, path = "../../mine/bloom.rs")]
pub mod bloom;

#[cfg_attr(mine_merge_iterator, path = "../../mine/merge_iterator.rs")]
pub mod merge_iterator;
