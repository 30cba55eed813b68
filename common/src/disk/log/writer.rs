//! Writing a segment.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{
    BLOCK_BYTES, FILL, FRAGMENT_HEADER_BYTES, HEADER_BYTES, Kind, MARK_BYTES, SegmentHeader, encode_fragment,
};
use super::{LogError, RECORD_MAX_BYTES};
use crate::disk::{Disk, DiskFile, Open};

/// Of the space that is reserved at a time, how much may have been written since the last sync for more to be reserved: one part
/// in so many. Space is written twice, once to reserve it; where much is written between syncs that costs more than it saves.
const RESERVED_PARTS: u64 = 8;

/// How much is reserved with one write, in bytes: a page. A file system may treat what comes in one write as one piece, and a sync of
/// a few bytes then has all of it to look at.
const PIECE_BYTES: u64 = 4 << 10;

/// A segment that is being written: takes records, and writes them when it is told to.
///
/// **Invariants**: the file holds `written` bytes of whole records; `buffer` is what comes after them. `durable <= written`.
/// From `written` on it holds nothing but reserved space; it ends at `len_bytes` at the latest, and `written <= len_bytes`.
#[derive(Debug)]
pub struct SegmentWriter {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    salt: u64,
    buffer: Vec<u8>,
    written: u64,
    len_bytes: u64,
    /// How much space is reserved at a time, in bytes; none is, if it is 0.
    step_bytes: u64,
    /// Up to where a sync is known to have made the file durable.
    durable: u64,
    /// Up to where the last mark says so.
    marked: u64,
    /// Whether a sync has failed: what comes after it may look durable, and be behind a hole.
    is_broken: bool,
}

impl SegmentWriter {
    /// Creates the segment `header.number` at `path`. Its header is durable when this returns, its name after a sync of its
    /// directory.
    ///
    /// # Errors
    ///
    /// [`LogError::Io`], `AlreadyExists` when the file is there.
    pub fn create(disk: &dyn Disk, path: &Path, header: SegmentHeader) -> Result<Self, LogError> {
        let file = disk.open(path, Open::New).map_err(LogError::io("create", path))?;
        file.write_at(&header.encode(), 0).map_err(LogError::io("write", path))?;
        file.sync_data().map_err(LogError::io("sync", path))?;
        // That the header is durable needs no mark: without it there is nothing to read.
        let written = HEADER_BYTES as u64;
        let (durable, marked) = (written, written);
        Ok(Self {
            file,
            path: path.to_owned(),
            salt: header.salt,
            buffer: Vec::new(),
            written,
            len_bytes: written,
            step_bytes: 0,
            durable,
            marked,
            is_broken: false,
        })
    }

    /// Lets it reserve space, up to the next multiple of so many bytes, whenever a sync finds that there is none left. For logs
    /// that are synced often, which are to be ended with [`finish`](Self::finish) or [`seal`](Self::seal).
    #[must_use]
    pub fn reserving(mut self, step_bytes: u64) -> Self {
        self.step_bytes = step_bytes;
        self
    }

    /// Appends a record to what will be written next. Returns the offset where it ends.
    ///
    /// # Errors
    ///
    /// [`LogError::TooLong`].
    pub fn append(&mut self, record: &[u8]) -> Result<u64, LogError> {
        self.check()?;
        if record.len() > RECORD_MAX_BYTES {
            return Err(LogError::TooLong(record.len()));
        }
        if self.durable > self.marked {
            self.mark();
        }
        let (mut rest, mut kind_if_last, mut kind_if_not) = (record, Kind::Full, Kind::First);
        loop {
            let room = self.room();
            let (payload, next) = rest.split_at(rest.len().min(room));
            rest = next;
            let kind = if rest.is_empty() { kind_if_last } else { kind_if_not };
            encode_fragment(self.salt, self.end(), kind, payload, &mut self.buffer);
            if rest.is_empty() {
                return Ok(self.end());
            }
            (kind_if_last, kind_if_not) = (Kind::Last, Kind::Middle);
        }
    }

    /// Writes what was appended. It outlives the process then, and not the power.
    ///
    /// # Errors
    ///
    /// [`LogError::Io`]. What was appended is kept, and goes to the same place when this is tried again.
    pub fn write(&mut self) -> Result<(), LogError> {
        self.check()?;
        if !self.buffer.is_empty() {
            self.file.write_at(&self.buffer, self.written).map_err(LogError::io("write", &self.path))?;
            self.written += self.buffer.len() as u64;
            self.len_bytes = self.len_bytes.max(self.written);
            self.buffer.clear();
        }
        Ok(())
    }

    /// Writes what was appended, and makes all of it durable.
    ///
    /// # Errors
    ///
    /// [`LogError::Io`]. After a sync that failed nothing is known about what was written since the last one that
    /// succeeded, and a second one would report a success that means nothing: this writer then refuses whatever it is asked,
    /// with [`LogError::Broken`].
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.write()?;
        self.reserve()?;
        self.sync_written()
    }

    /// Ends the segment where its last record ends: durable, and without the space that was reserved.
    ///
    /// # Errors
    ///
    /// As [`sync`](Self::sync). One that could not be cut can be ended again.
    pub fn finish(&mut self) -> Result<(), LogError> {
        self.write()?;
        self.cut()?;
        self.sync_written()
    }

    fn sync_written(&mut self) -> Result<(), LogError> {
        if let Err(error) = self.file.sync_data() {
            self.is_broken = true;
            return Err(LogError::io("sync", &self.path)(error));
        }
        self.synced(self.written);
        Ok(())
    }

    /// Ends the segment, as [`finish`](Self::finish) does, and with a mark in a block of its own that attests to all of it.
    ///
    /// # Errors
    ///
    /// As [`finish`](Self::finish).
    pub fn seal(&mut self) -> Result<(), LogError> {
        self.write()?;
        self.sync_written()?;
        let left = BLOCK_BYTES - self.in_block();
        self.buffer.resize(left, 0);
        self.mark();
        self.finish()
    }

    /// Writes at once what the next record would begin with: how far the file is durable. For logs whose records are few and
    /// far between.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn attest(&mut self) -> Result<(), LogError> {
        if self.durable > self.marked {
            self.mark();
        }
        self.write()
    }

    /// The file, for whoever syncs it in a thread of its own; to be reported to [`synced`](Self::synced).
    pub fn file(&self) -> Arc<dyn DiskFile> {
        Arc::clone(&self.file)
    }

    /// Takes note that a sync which began when `offset` bytes were written has succeeded.
    pub fn synced(&mut self, offset: u64) {
        assert!(offset <= self.written, "a sync covers what is written");
        self.durable = self.durable.max(offset);
    }

    /// How many bytes are in the file.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// How many bytes of the file are known to be durable.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// Where the next record begins, in bytes, once everything is written.
    pub fn end(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reserves space behind what is written, if there is none and it will be of use.
    fn reserve(&mut self) -> Result<(), LogError> {
        let unsynced = self.written - self.durable;
        let is_of_use = unsynced > 0 && unsynced <= self.step_bytes / RESERVED_PARTS;
        if !is_of_use || self.len_bytes > self.written {
            return Ok(());
        }
        let end = (self.written / self.step_bytes + 1) * self.step_bytes;
        self.len_bytes = end;
        match self.fill_up_to(end) {
            // It is a luxury: whoever has no room for it does without, and gives back what it took.
            Err(error) if is_full(&error) => {
                self.step_bytes = 0;
                // One that cannot be cut now is cut when it is ended.
                _ = self.cut();
                Ok(())
            }
            reserved => reserved.map_err(LogError::io("reserve space in", &self.path)),
        }
    }

    fn fill_up_to(&self, end: u64) -> io::Result<()> {
        let piece = [FILL; PIECE_BYTES as usize];
        let mut at = self.written;
        while at < end {
            let len = (PIECE_BYTES - at % PIECE_BYTES).min(end - at);
            self.file.write_at(&piece[..len as usize], at)?;
            at += len;
        }
        Ok(())
    }

    fn cut(&mut self) -> Result<(), LogError> {
        if self.len_bytes > self.written {
            self.file.set_len(self.written).map_err(LogError::io("cut", &self.path))?;
            self.len_bytes = self.written;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), LogError> {
        if self.is_broken { Err(LogError::Broken { path: self.path.clone() }) } else { Ok(()) }
    }

    fn in_block(&self) -> usize {
        (self.end() % BLOCK_BYTES as u64) as usize
    }

    /// How much payload the next fragment can have, at least one byte: in a block of its own if need be.
    fn room(&mut self) -> usize {
        let left = BLOCK_BYTES - self.in_block();
        if left <= FRAGMENT_HEADER_BYTES {
            self.buffer.resize(self.buffer.len() + left, 0);
            return BLOCK_BYTES - FRAGMENT_HEADER_BYTES;
        }
        left - FRAGMENT_HEADER_BYTES
    }

    fn mark(&mut self) {
        if self.room() < MARK_BYTES {
            let left = BLOCK_BYTES - self.in_block();
            self.buffer.resize(self.buffer.len() + left, 0);
        }
        encode_fragment(self.salt, self.end(), Kind::Mark, &self.durable.to_le_bytes(), &mut self.buffer);
        self.marked = self.durable;
    }
}

/// Whether there is no room on the disk, or none for whoever writes.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

impl From<LogError> for io::Error {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Io { source, .. } => source,
            other => Self::other(other),
        }
    }
}
