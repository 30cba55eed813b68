//! Sorted tables: the files in which an LSM tree keeps what is no longer in memory.
//!
//! A table is written once, from sorted entries, and never changed (DDIA ch. 3, "SSTables and LSM-Trees"). Reading one key
//! takes one block of it: the filter says whether the key can be there, the index which block, and both are in memory
//! once the table is open.
//!
//! ```text
//!        +---------+---------+-- --+--------+------------+-------+--------+
//!        | block 0 | block 1 | ... | filter | properties | index | footer |
//!        +---------+---------+-- --+--------+------------+-------+--------+
//!
//! each but the footer            +------------------------+-------------+-----+
//!                                | payload, as it is or   | compression | crc |     crc: u32, CRC-32 of payload and byte
//!                                | compressed             | 1 byte      |     |     compression: 0 none, 1 LZ4
//!                                +------------------------+-------------+-----+     (u32 length before the payload)
//!
//! index      a block: the last key of each block -> its handle
//! handle     offset, length of the payload as stored: varints
//! footer     +-------------------+--------------+---------+-----+-------------+
//! 48 bytes   | filter, properties, index handles, zeros   | crc | "ddialsm1"  |
//!            +--------------------------------------------+-----+-------------+
//!                                                        36    40           48
//! ```
//!
//! **Left out**: an index in two levels, for tables so large that theirs does not stay in memory; and prefix filters.

mod format;
mod index;
mod reader;
mod writer;

pub use format::{BlockHandle, Compression, FOOTER_BYTES, Properties, TableError};
pub use reader::{BlockCache, NoCache, Table, TableCursor};
pub use writer::{TableOptions, TableWriter};
