//! Reading a segment, torn or damaged as it may be.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{
    BLOCK_BYTES, CHECKSUM_BYTES, FILL, FRAGMENT_HEADER_BYTES, Flaw, Fragment, HEADER_BYTES, Kind, MARK_BYTES,
    SegmentHeader, header_error,
};
use super::{LogError, RECORD_MAX_BYTES};
use crate::disk::{Disk, DiskFile, Open};

/// What comes after the last whole record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nothing.
    Clean,
    /// Reserved space only, to the end of the file: as a log looks that was being written and was not ended.
    Reserved,
    /// Zeros only: what was there is lost, if anything was.
    Zeros,
    /// Something that does not verify, and that nothing attests to have been durable.
    Torn(Flaw),
}

/// The records of a segment, one after the other.
///
/// **Invariants**: `end` is where the last record that was given out ends; `at` is where the next fragment begins.
#[derive(Debug)]
pub struct SegmentReader {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    header: SegmentHeader,
    len: u64,
    /// The block that holds `at`, as far as the file has it.
    block: Vec<u8>,
    block_at: u64,
    at: u64,
    end: u64,
    record: Vec<u8>,
    attested: u64,
    ending: Option<Ending>,
}

impl SegmentReader {
    /// Opens the segment at `path`.
    ///
    /// # Errors
    ///
    /// [`LogError::Header`] when it is none, [`LogError::TornHeader`] when it never became one, [`LogError::Io`].
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self, LogError> {
        let file = disk.open(path, Open::ReadOnly).map_err(LogError::io("open", path))?;
        let len = file.len().map_err(LogError::io("measure", path))?;
        let mut bytes = [0; HEADER_BYTES];
        let read = file.read_at(&mut bytes, 0).map_err(LogError::io("read", path))?;
        let header = SegmentHeader::decode(&bytes[..read]).ok_or_else(|| header_error(path, len))?;
        let at = HEADER_BYTES as u64;
        Ok(Self {
            file,
            path: path.to_owned(),
            header,
            len,
            block: Vec::new(),
            block_at: u64::MAX,
            at,
            end: at,
            record: Vec::new(),
            attested: 0,
            ending: None,
        })
    }

    /// The next record, and the offset where it ends; `None` when there are no more that are whole:
    /// [`ending`](Self::ending) says why.
    ///
    /// # Errors
    ///
    /// [`LogError::Damaged`] when what does not verify had been durable, [`LogError::Io`].
    pub fn read(&mut self) -> Result<Option<(&[u8], u64)>, LogError> {
        if self.ending.is_some() {
            return Ok(None);
        }
        self.record.clear();
        let mut begun = false;
        loop {
            match self.fragment()? {
                Step::Fragment(Kind::Mark) if !begun => {}
                Step::Fragment(kind) if begun != matches!(kind, Kind::Middle | Kind::Last) => {
                    return self.ends(Flaw::Order).map(|()| None);
                }
                Step::Fragment(Kind::Full | Kind::Last) => {
                    self.end = self.at;
                    return Ok(Some((&self.record, self.end)));
                }
                Step::Fragment(_) if self.record.len() > RECORD_MAX_BYTES => {
                    return self.ends(Flaw::Order).map(|()| None);
                }
                Step::Fragment(_) => begun = true,
                Step::End if begun => return self.ends(Flaw::CutOff).map(|()| None),
                Step::End => {
                    self.ending = Some(Ending::Clean);
                    return Ok(None);
                }
                Step::Flaw(flaw) => return self.ends(flaw).map(|()| None),
            }
        }
    }

    /// What the segment says of itself.
    pub fn header(&self) -> SegmentHeader {
        self.header
    }

    /// Where the last record that was given out ends: what comes after it can be cut. Bytes.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// How far marks attest that the file was durable, among those that were read. Bytes.
    pub fn attested(&self) -> u64 {
        self.attested
    }

    /// What comes after the last whole record; `None` before it was reached.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// The length of the file. Bytes.
    pub fn len_bytes(&self) -> u64 {
        self.len
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the next fragment into `record`.
    fn fragment(&mut self) -> Result<Step, LogError> {
        loop {
            if self.at >= self.len {
                return Ok(Step::End);
            }
            self.load()?;
            let bytes = &self.block[(self.at - self.block_at) as usize..];
            // What is too short for a fragment with a payload is zeros, to the end of the block.
            let left = BLOCK_BYTES - (self.at % BLOCK_BYTES as u64) as usize;
            let is_padding = left <= FRAGMENT_HEADER_BYTES;
            if is_padding && bytes.iter().all(|byte| *byte == 0) {
                self.at += left as u64;
                continue;
            }
            let decoded = match is_padding {
                true => Err(Flaw::Checksum),
                false => Fragment::decode(self.header.salt, self.at, bytes),
            };
            match decoded {
                Ok(fragment) => {
                    let len = fragment.len_bytes() as u64;
                    match fragment.durable_bytes() {
                        Some(durable) => self.attested = self.attested.max(durable),
                        None => self.record.extend_from_slice(fragment.payload),
                    }
                    let kind = fragment.kind;
                    self.at += len;
                    if kind == Kind::Mark && self.record.is_empty() {
                        self.end = self.at;
                    }
                    return Ok(Step::Fragment(kind));
                }
                // A seal stands in a block of its own: before it are zeros, or what was reserved there, if they were lost.
                Err(_)
                    if bytes.iter().all(|byte| [0, FILL].contains(byte))
                        && self.is_sealed_at(self.at + bytes.len() as u64)? =>
                {
                    self.at += bytes.len() as u64;
                }
                Err(flaw) => return Ok(Step::Flaw(flaw)),
            }
        }
    }

    /// Whether there is a mark at `offset`, where a block begins, that attests to everything up to the place that was
    /// reached.
    fn is_sealed_at(&self, offset: u64) -> Result<bool, LogError> {
        let block = self.read_block(offset)?;
        let durable = Fragment::decode(self.header.salt, offset, &block).ok().and_then(|mark| mark.durable_bytes());
        Ok(durable == Some(self.at))
    }

    fn load(&mut self) -> Result<(), LogError> {
        let begin = self.at - self.at % BLOCK_BYTES as u64;
        if begin != self.block_at {
            self.block = self.read_block(begin)?;
            self.block_at = begin;
        }
        Ok(())
    }

    fn read_block(&self, offset: u64) -> Result<Vec<u8>, LogError> {
        let mut block = vec![0; BLOCK_BYTES];
        let read = self.file.read_at(&mut block, offset).map_err(LogError::io("read", &self.path))?;
        block.truncate(read);
        Ok(block)
    }

    /// Judges what does not verify at `at`: an end, or damage.
    fn ends(&mut self, flaw: Flaw) -> Result<(), LogError> {
        let bad = self.end;
        let judged = self.at;
        let mut only_zeros = flaw == Flaw::Zeros && judged == bad;
        let mut only_fill = judged == bad;
        let mut begin = judged - judged % BLOCK_BYTES as u64;
        while begin < self.len {
            let block = self.read_block(begin)?;
            if block.is_empty() {
                break;
            }
            let from = judged.saturating_sub(begin) as usize;
            let rest = &block[from.min(block.len())..];
            only_zeros &= rest.iter().all(|byte| *byte == 0);
            only_fill &= rest.iter().all(|byte| *byte == FILL);
            // Where fragments begin is not known any more: a mark that verifies is one wherever it stands.
            for found in memchr::memmem::find_iter(rest, &[MARK_BYTES as u8, 0, Kind::Mark as u8]) {
                let Some(at) = found.checked_sub(CHECKSUM_BYTES) else { continue };
                let offset = begin + (from + at) as u64;
                if let Ok(fragment) = Fragment::decode(self.header.salt, offset, &rest[at..])
                    && fragment.durable_bytes().is_some_and(|durable| durable > bad)
                {
                    return Err(self.damaged(flaw, offset));
                }
            }
            begin += BLOCK_BYTES as u64;
        }
        self.ending = Some(match (only_fill, only_zeros) {
            (true, _) => Ending::Reserved,
            (_, true) => Ending::Zeros,
            _ => Ending::Torn(flaw),
        });
        Ok(())
    }

    fn damaged(&self, flaw: Flaw, evidence: u64) -> LogError {
        LogError::Damaged { path: self.path.clone(), offset: self.end, flaw, evidence }
    }
}

/// What was met.
enum Step {
    Fragment(Kind),
    Flaw(Flaw),
    End,
}
