//! What remembers: byte formats over [`common::disk`].
//!
//! | file | what it holds |
//! |---|---|
//! | [`table`] | sorted tables: blocks, an index of them, a filter, properties |
//! | [`manifest`] | which tables there are: a log of changes |
//! | [`batch`] | what a record of the write-ahead log holds |
//! | [`wal_recovery`] | what becomes of write-ahead logs after a crash |
//! | [`leveldb`] | moving out: a database that LevelDB opens |
//! | [`two_function`] | the log alone: the chapter's database of two functions |
//! | [`hash_files`], [`hash_index`] | the same log with all its keys in memory: Bitcask |
//! | [`files`] | how the files of a tree's directory are named |

pub mod batch;
pub mod files;
pub mod hash_files;
pub mod leveldb;
pub mod manifest;
pub mod table;
pub mod two_function;

#[cfg_attr(mine_hash_index, path = "../../mine/hash_index.rs")]
pub mod hash_index;

#[cfg_attr(mine_wal_recovery, path = "../../mine/wal_recovery.rs")]
pub mod wal_recovery;
