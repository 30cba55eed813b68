//! The pen: writes groups, one after the other, into a file of [`format`](mod@super::format).

use std::io;
use std::sync::Arc;

use common::disk::DiskFile;

use super::format::{self, Annotation, BLOCK_BYTES, GROUP_MAX_BYTES, PADDING, Position, UNIT_BYTES};

/// Commands up to this many bytes are copied, so that they go with their annotation in one write; more are written by
/// themselves, because a large copy costs more than a second system call.
const COPIED_BYTES: usize = 256 << 10;

/// The end of a log that is being written.
///
/// **Invariants**: up to `end` the file holds a header and whole groups; `synced <= end.seq`.
#[derive(Debug)]
pub(super) struct Appender {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) salt: u64,
    /// Where the next group goes.
    pub(super) end: Position,
    /// The last group that a sync is known to cover.
    pub(super) synced: u64,
    scratch: Vec<u8>,
}

impl Appender {
    /// Writes a header into the empty `file`.
    pub(super) fn create(file: Arc<dyn DiskFile>, salt: u64) -> io::Result<Self> {
        file.write_at(&format::encode_header(salt), 0)?;
        Ok(Self::resume(file, salt, Position::FIRST, 0))
    }

    /// Goes on at `end` of a file that a sync has covered up to group `synced`.
    pub(super) fn resume(file: Arc<dyn DiskFile>, salt: u64, end: Position, synced: u64) -> Self {
        Self { file, salt, end, synced, scratch: Vec::new() }
    }

    /// Writes `commands` as the next group. When it fails, nothing has been appended, though bytes may lie beyond `end`.
    pub(super) fn append(&mut self, commands: &[u8]) -> io::Result<()> {
        if commands.len() > GROUP_MAX_BYTES {
            let message = format!("a group of {} bytes is longer than {GROUP_MAX_BYTES}", commands.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let Position { offset, seq } = self.end;
        let annotation = Annotation::new(self.salt, seq + 1, self.synced, commands);
        self.scratch.clear();
        let apart = commands.len() > COPIED_BYTES;
        if !apart {
            self.scratch.extend_from_slice(commands);
        }
        annotation.encode(self.salt, &mut self.scratch);
        let mut at = offset;
        if apart {
            self.file.write_at(commands, at)?;
            at += commands.len() as u64;
        }
        self.file.write_at(&self.scratch, at)?;
        self.end = Position { offset: at + self.scratch.len() as u64, seq: seq + 1 };
        Ok(())
    }

    /// Writes a seal: a group without commands that says that everything before it is durable. Whoever calls has made that
    /// true, or lets nobody see the file before it is. Padding moves its annotation to a block of its own, so that no damage to
    /// one block can take both a group and what testifies to it.
    pub(super) fn seal(&mut self) -> io::Result<()> {
        if self.end.seq == 0 {
            return Ok(());
        }
        self.synced = self.end.seq;
        let apart_bytes = self.end.offset.next_multiple_of(BLOCK_BYTES) - self.end.offset;
        let units = usize::try_from(apart_bytes).expect("less than a block") / UNIT_BYTES;
        self.append(&PADDING.repeat(units))
    }
}
