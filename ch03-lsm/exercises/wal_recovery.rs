#![allow(unused)]
// Exercise ch03/wal_recovery: Recovery from write-ahead logs
// DDIA ch. 3, "Making B-trees reliable"
//
// Write the replay of write-ahead logs after a crash: batches in order up to the first place that is not whole, nothing
// after it, and a judgement on what that place is: a tear, which one mode tolerates and the other does not, or damage,
// which neither may open. Reading a log's records is given (common::disk::log); every opening of the engine runs on
// your replay.
//
// Write what says todo!(). `cargo grade ch03/wal_recovery` judges it, `cargo grade hint ch03/wal_recovery` helps.

//! Recovery: what becomes of write-ahead logs after a crash.
//!
//! What was in memtables is gone, and the logs hold the same writes. They are replayed in order, up to the first place
//! that is not whole, and what comes after it is given up: a tree must come back as it was at some moment, and never with a
//! later write and without an earlier one (DDIA ch. 3, "Making B-trees reliable"; RocksDB calls this point-in-time recovery).
//!
//! ```text
//!      wal-3                    wal-5                   wal-8
//!      [1-4][5][6-9]            [10][11-13][1▒▒▒        [17][18]
//!                                          ▲ torn       ▲ given up
//! ```
//!
//! That a log is torn is no damage: nobody was promised what no sync had covered. It is damage if anything later attests that
//! it was durable; within a log its marks do ([`common::disk::log`]), and across logs a sync does, since it covers all
//! logs before the one that is synced. A tail may also be gone without a trace, where the file's new length was not durable:
//! then the next log begins with a number that is too high.
//!
//! A log that was not ended may have space left that was reserved for it: there nothing was written, and it ends before it. It is
//! cut when it is ended, before anything attests that it was synced: one that still has such space then is damaged.
//!
//! **Left out**: skipping what is damaged and going on behind it, which RocksDB offers for the desperate.

use std::path::{Path, PathBuf};

use common::disk::Disk;
use common::disk::log::{Ending, Flaw, HEADER_BYTES, LogError, SegmentReader};

use super::batch::{BatchRecord, Write};
use crate::engine::key::Seq;
use crate::error::Error;

/// How much of the write-ahead logs must be whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecoveryMode {
    /// What comes after the last whole record is given up, if nothing attests that it was durable.
    #[default]
    TolerateTornTail,
    /// Everything: for logs that were ended cleanly.
    AbsoluteConsistency,
}

/// What a replay found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Batches that were replayed.
    pub batches: u64,
    /// The newest write that there is.
    pub seq: Seq,
    /// Where the logs were torn, if they were.
    pub torn: Option<Torn>,
    /// Logs after the one that is torn: what is in them is given up with it.
    pub given_up: Vec<PathBuf>,
}

/// Where a log is torn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The log.
    pub path: PathBuf,
    /// Where its last whole record ends, in bytes.
    pub offset: u64,
    /// What is there.
    pub what: String,
}

/// Calls `apply` with each write newer than `from` of the logs `wals` (numbers and paths, in order) and its number, up to the
/// first place that is not whole.
///
/// # Errors
///
/// Damage: what does not verify had been durable. [`Error::TornTail`] under [`RecoveryMode::AbsoluteConsistency`].
pub fn replay(
    disk: &dyn Disk,
    wals: &[(u64, PathBuf)],
    mode: RecoveryMode,
    from: Seq,
    apply: &mut dyn FnMut(Seq, Write<'_>),
) -> Result<Recovered, Error> {
    let wals = &*begun(disk, wals)?;
    todo!("wal_recovery: replay log after log to the first tear, and judge by the mode and by the logs after it what that is; you have disk, wals, mode, from, apply")
}

/// The logs that were begun. One that is not the last and has no header was never written to: the disk was full as it was
/// created, and what the log after it says of the one before is said of the one before that.
fn begun(disk: &dyn Disk, wals: &[(u64, PathBuf)]) -> Result<Vec<(u64, PathBuf)>, Error> {
    let mut begun = Vec::new();
    for (index, wal) in wals.iter().enumerate() {
        match SegmentReader::open(disk, &wal.1) {
            Err(LogError::TornHeader { .. }) if index + 1 < wals.len() => {}
            Ok(_) | Err(LogError::TornHeader { .. }) => begun.push(wal.clone()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(begun)
}

/// Replays up to the first tear. Returns it, and how many of the logs lie before it or hold it.
fn replay_to_tear(
    disk: &dyn Disk,
    wals: &[(u64, PathBuf)],
    recovered: &mut Recovered,
    apply: &mut dyn FnMut(Seq, Write<'_>),
) -> Result<Option<(Torn, usize)>, Error> {
    todo!("wal_recovery: batches whose numbers follow on are applied, older ones are passed over; a gap or a flaw is a tear; you have disk, wals, recovered, apply")
}

/// The first of the logs `later` that attests that the log before them was durable beyond `offset`.
fn evidence<'a>(disk: &dyn Disk, later: &'a [(u64, PathBuf)], offset: u64) -> Result<Option<&'a Path>, Error> {
    todo!("wal_recovery: ask each later log, the first with the offset, and those behind it whether anything of theirs was synced; you have disk, later, offset")
}

/// Whether a log attests that the one before it was durable beyond `offset`, or that it was synced itself.
fn attests(disk: &dyn Disk, path: &Path, offset: u64) -> Result<bool, Error> {
    let mut reader = match SegmentReader::open(disk, path) {
        Ok(reader) => reader,
        Err(LogError::TornHeader { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    while reader.read()?.is_some() {}
    Ok(reader.attested() > 0 || reader.header().prior_durable_bytes > offset)
}
