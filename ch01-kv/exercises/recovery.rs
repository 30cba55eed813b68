#![allow(unused)]
// Exercise ch01/recovery: Replay a log that may be torn or damaged
// DDIA ch. 1, "Hardware Faults"
//
// A process died, or the power did, and `appendonly.aof` is what is left. Write the replay: find annotation after
// annotation, give each group to `apply` once it has been verified, and stop at the first that is not whole. Then
// decide what that one is: a torn tail, which nobody had been promised and which is cut, or damage to something that
// had been durable, which must be refused. What tells them apart is written after it: `storage/format.rs` draws the
// bytes, the module's doc gives the rule. Read in pieces: a log may be larger than memory. At last, say up to where the
// log itself attests that it was durable: the rest is written back before anything is built on it.
//
// Write what says todo!(). `cargo grade ch01/recovery` judges it, `cargo grade hint ch01/recovery` helps.

//! Recovery: replays a log that may be torn or damaged, applies its whole groups, and says where the next one goes.
//!
//! A crash leaves the last thing that was being written in any state: there in part, there without its beginning, as zeros.
//! That is a **torn tail**: no sync had covered it, so under `always` nobody was told that it was done; it is cut. A
//! group that *was* covered by a sync and does not verify is **damage**: the disk has lost what may have been
//! acknowledged, and going on as if nothing were missing is the one thing that a log must not do (DDIA ch. 1,
//! "Hardware Faults"; Bairavasundaram et al., "An Analysis of Data Corruption in the Storage Stack", FAST 2008).
//!
//! Both look alike where they happen. What tells them apart comes after: every annotation names, as `synced`, the last group
//! that a sync was known to cover when it was written. So a bad group number `n` is damage if any later annotation says
//! `synced >= n`, and a torn tail if none does. Later groups do not suffice as evidence: a disk writes what it has not
//! synced in any order, so that after a power cut under `everysec` the last second may have holes. Whatever comes after a
//! hole is given up with it, since it was executed on top of what is gone.
//!
//! One case stays ambiguous: damage to the **last block** of a log that did not end cleanly looks like a tear, even if the groups
//! in it had been synced, since nothing that was written later, elsewhere, says so. They are cut and reported. A clean end
//! leaves a seal, a group of padding whose `synced` covers everything before it and whose annotation has a block of its own:
//! that closes the gap.
//!
//! What is whole is not durable for that: a process that was killed leaves its last groups in the page cache, and after a failed
//! sync they may stay there, pass for clean, and never be written (Rebello et al., "Can Applications Recover from fsync
//! Failures?", USENIX ATC 2020). A replay therefore says from where on nobody attests to the groups
//! ([`Recovered::attested`]), and [`opening`](super::opening) writes those back before it builds on them.
//!
//! **Left out**: repairing a damaged group from a replica's copy of it, and a scrub that looks for damage while serving.

use common::disk::DiskFile;

use super::format::{ANNOTATION, ANNOTATION_MAX_BYTES, Annotation, GROUP_MAX_BYTES, Position, group_crc, is_padding};
use super::outcome::{Flaw, Recovered, ReplayError, Tail};

/// How much is read at a time, in bytes, and so how far reading is ahead of applying: enough to keep a disk busy.
pub const READ_BYTES: usize = 256 << 10;

/// The part of a file to replay.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// The salt that the file's header names.
    pub salt: u64,
    /// Where its first group begins.
    pub from: Position,
    /// Where it ends: the file's length, or a place between two groups. Bytes.
    pub to: u64,
}

/// Calls `apply` with the commands of each whole group of `extent`, in order, up to the first that is not whole.
///
/// A group is given to `apply` when it has been verified, in one piece, and before the file is read more than
/// [`READ_BYTES`] beyond it. Seals are not given: padding is no command.
///
/// # Errors
///
/// [`ReplayError::Damaged`] when what is not whole had been durable.
pub fn replay(
    file: &dyn DiskFile,
    extent: Extent,
    apply: &mut dyn FnMut(&[u8]) -> Result<(), String>,
) -> Result<Recovered, ReplayError> {
    todo!("recovery: walk from annotation to annotation, apply what verifies, and judge what comes after the first that does not; you have file, extent, apply")
}

/// The commands between `end` and the annotation at offset `at`, if they are the group that belongs there.
fn verify<'a>(
    window: &'a Window<'_>,
    salt: u64,
    end: Position,
    annotation: &Annotation,
    at: u64,
) -> Result<&'a [u8], Flaw> {
    todo!("recovery: the right group, of the right length, with the right checksum; you have window, salt, end, annotation, at")
}

/// The part of the file that is in memory: it moves forward only.
///
/// **Invariants**: `buf[0]` is the byte at offset `base`; `buf[..head]` is no longer wanted; `buf[..searched]` holds no
/// annotation that was not returned; `head <= searched`.
struct Window<'a> {
    file: &'a dyn DiskFile,
    salt: u64,
    /// The end of the extent, or of what could be read of it. Bytes.
    to: u64,
    base: u64,
    buf: Vec<u8>,
    head: usize,
    searched: usize,
}

impl<'a> Window<'a> {
    fn new(file: &'a dyn DiskFile, extent: Extent) -> Self {
        Self { file, salt: extent.salt, to: extent.to, base: extent.from.offset, buf: Vec::new(), head: 0, searched: 0 }
    }

    /// The next annotation that this log has written, the offset where it begins, and the one where its group ends.
    fn next_annotation(&mut self) -> Result<Option<(Annotation, u64, u64)>, ReplayError> {
        todo!("recovery: find what looks like an annotation, read on when it may be cut off, and pass over what only looks like one; you have self")
    }

    /// The bytes between two offsets, unless they were more than a group can have.
    fn bytes(&self, from: u64, to: u64) -> Option<&[u8]> {
        let from = usize::try_from(from.checked_sub(self.base)?).ok()?;
        let to = usize::try_from(to.checked_sub(self.base)?).ok()?;
        self.buf.get(from..to)
    }

    /// Lets go of the bytes before `offset`.
    fn discard_before(&mut self, offset: u64) {
        self.head = usize::try_from(offset - self.base).expect("an offset within the window");
    }

    /// Reads the next [`READ_BYTES`]; whether there were any. What exceeds a group is let go of.
    fn read_on(&mut self) -> Result<bool, ReplayError> {
        if self.searched - self.head > GROUP_MAX_BYTES + ANNOTATION_MAX_BYTES {
            self.head = self.searched;
        }
        self.buf.drain(..self.head);
        self.base += self.head as u64;
        self.searched -= self.head;
        self.head = 0;
        let (kept, offset) = (self.buf.len(), self.base + self.buf.len() as u64);
        let wanted = usize::try_from(self.to - offset).map_or(READ_BYTES, |left| left.min(READ_BYTES));
        self.buf.resize(kept + wanted, 0);
        let read = self.file.read_at(&mut self.buf[kept..], offset);
        let read = read.map_err(|source| ReplayError::Read { offset, source })?;
        self.buf.truncate(kept + read);
        Ok(read > 0)
    }

    /// Whether there is nothing but padding from `offset` on.
    fn rest_is_padding(&self, mut offset: u64) -> Result<bool, ReplayError> {
        let mut buf = vec![0; READ_BYTES];
        while offset < self.to {
            let wanted = usize::try_from(self.to - offset).map_or(READ_BYTES, |left| left.min(READ_BYTES));
            let read = self.file.read_at(&mut buf[..wanted], offset);
            let read = read.map_err(|source| ReplayError::Read { offset, source })?;
            if read < wanted || !is_padding(&buf[..read]) {
                return Ok(false);
            }
            offset += read as u64;
        }
        Ok(true)
    }
}
