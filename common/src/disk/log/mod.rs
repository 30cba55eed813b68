//! An append-only log in segments, checksummed, on any [`Disk`](super::Disk): for write-ahead logs, manifests and replicated logs.
//!
//! Whoever changes something in memory and must not lose it appends what it did to a log first (DDIA ch. 3, "Making B-trees
//! reliable"; ch. 3, "SSTables and LSM-Trees", for memtables). A crash leaves the end of such a log in any state, and a disk may
//! damage any part of it. The two are not the same: what was torn was never promised to anybody, what was damaged
//! may have been. This log tells them apart, and leaves what follows from it to its owner.
//!
//! ```text
//! segment   +--------+----------------------+--------------------------- --+
//! NNN.log   | header | rest of block 0      | block 1              |  ...    |     blocks: 32 KiB
//!           +--------+----------------------+--------------------------- --+
//!
//! header    +----------+--------+------+---------+-----+------+
//! 40 bytes  | ddialog1 | number | salt | durable | crc | 0000 |      number, salt, durable: u64; crc: u32 (CRC-32 of what is
//!           +----------+--------+------+---------+-----+------+      before it); all little-endian
//!           durable: how many bytes of the segment before were durable when this one was begun
//!
//! block     +-----+-----+------+---------+-----+-----+------+---------+-- --+--------+
//!           | crc | len | kind | payload | crc | len | kind | payload | ... | zeros  |   crc: u32, len: u16, kind: u8
//!           +-----+-----+------+---------+-----+-----+------+---------+-- --+--------+   zeros: fewer than 7
//!           crc: CRC-32 of the salt (u64), the fragment's offset in the file (u64), kind (1 byte), len (as u32) and payload
//!           kind: 1 a full record; 2 its first, 3 a middle, 4 its last fragment; 5 a mark
//! ```
//!
//! A record that does not fit into what is left of a block goes on in the next: so that a reader who meets damage finds
//! the next whole record (LevelDB's log has this shape, doc/log_format.md). The offset goes into the checksum so that nothing
//! verifies where it was not written: neither the block that a misdirected write has put in another's place, nor a record
//! that holds a copy of a log. A **mark** says up to which
//! offset the file is known to be durable: it is written after a sync, with the next record. So what does not verify is
//! *damage* if anything later attests that it was durable, and a *torn tail* if nothing does. Closing a log writes a mark in a
//! block of its own, which attests to all of it. The header is durable before the first record is taken: a file that is
//! longer than it had a whole one.
//!
//! ```text
//! tail      -----+-----+------+---------+----------------- --+
//!           ...  | crc | len | kind | payload | ee ee ee ee ... |   up to the next multiple of the writer's step
//!           -----+-----+------+---------+----------------- --+
//! ```
//!
//! A file that grows with each record costs more to sync: its new length, and the blocks it has been given, have to be durable
//! too, and a journaling file system commits a transaction for them. So a writer may **reserve** space: the sync that finds none
//! left writes 256 KiB, say, of a byte that no record begins with, and those that follow overwrite what is there already. (To
//! extend the file without writing is not enough: a block that is written for the first time is a change of metadata as
//! well.) What is left of it is cut off when the log is ended. Until then it is how a log ends that is being written, if nothing
//! else follows. It is not zeros: that is how bytes read that were lost, which stays a tear or damage. What nobody can tell is that
//! the disk has dropped the last write of all, into reserved space, though it had said that it was durable; of any other, the mark
//! with the next record attests to it.
//!
//! **Left out**: compression, and segments that are used again.

use std::io;
use std::path::PathBuf;

mod format;
mod reader;
mod segments;
mod writer;

pub use format::{BLOCK_BYTES, FILL, FRAGMENT_HEADER_BYTES, Flaw, Fragment, HEADER_BYTES, Kind, SegmentHeader};
pub use reader::{Ending, SegmentReader};
pub use segments::{SegmentName, segments};
pub use writer::SegmentWriter;

/// The longest record, in bytes: far above a sensible one, far below memory.
pub const RECORD_MAX_BYTES: usize = 1 << 30;

/// Why a log could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file's first bytes are no header, or a damaged one.
    #[error("{} is no segment of a log, or its header is damaged (offset 0)", path.display())]
    Header {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no more than a header that is not whole: no record was ever in it.
    #[error("{} ends before its header is whole: the power failed as it was created", path.display())]
    TornHeader {
        /// The file.
        path: PathBuf,
    },
    /// What had been durable does not verify.
    #[error("{} is damaged at offset {offset}: {flaw}, though offset {evidence} attests that it was durable", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where what does not verify begins, in bytes.
        offset: u64,
        /// What is wrong with it.
        flaw: Flaw,
        /// Where the mark is that attests to it, in bytes.
        evidence: u64,
    },
    /// A sync has failed before: nothing that is written behind it could be promised.
    #[error("{} cannot be written any more: a sync of it has failed", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
    },
    /// The record is longer than [`RECORD_MAX_BYTES`].
    #[error("a record of {0} bytes is longer than a log takes")]
    TooLong(usize),
}

impl LogError {
    /// For `map_err`: an I/O error, with what was tried on what.
    pub(crate) fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}
