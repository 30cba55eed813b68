//! Sorted tables: the files in which an LSM tree keeps what is no longer in memory.
//!
//! A table is written once, from sorted entries, and never changed (DDIA ch. 3, "SSTables and LSM-Trees"). Reading one key
//! takes one block of it: the filter says whether the key can be there, the index which block, and both are in memory
//! once the table is open.
//!
//! ```text
//!        +---------+---------+-- --+------------------+--------+------------+-------+--------+
//!        | block 0 | block 1 | ... | range tombstones | filter | properties | index | footer |
//!        +---------+---------+-- --+------------------+--------+------------+-------+--------+
//!
//! each but the footer            +------------------------+-------------+-----+
//!                                | payload, as it is or   | compression | crc |     crc: u32
//!                                | compressed             | 1 byte      |     |     compression: 0 none, 1 LZ4, 2 Zstandard
//!                                +------------------------+-------------+-----+     (u32 length before the payload)
//!                                crc: CRC-32 of the table's number and the block's offset (u64 each), payload and byte
//!
//! index              a block: the last key of each block -> its handle
//! range tombstones   a block: the key from which on, number, kind 2 -> the key before which it ends. They do not overlap
//!                    but where they are the same. Not there, with a handle of length 0, where there are none
//! handle             offset, length of the payload as stored: varints
//! footer             +------------------------------------------------------+-----+-------------+
//! 60 bytes           | range tombstones, filter, properties, index handles: | crc | "ddialsm2"  |
//!                    | offset u64, length u32 each                          |     |             |
//!                    +------------------------------------------------------+-----+-------------+
//!                                                                          48    52            60
//! ```
//!
//! **Left out**: an index in two levels, for tables so large that theirs does not stay in memory; and prefix filters.

pub(crate) mod explain;
mod format;
mod index;
mod reader;
mod writer;

pub(crate) use format::Damage;
pub use format::{BlockHandle, Compression, FOOTER_BYTES, Properties, TableError};
pub use reader::{BlockCache, BlockKey, CacheStats, NoCache, Table, TableCursor};
pub use writer::{TableOptions, TableWriter};
