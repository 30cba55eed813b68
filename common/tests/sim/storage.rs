//! A log of versions, and snapshots that take the place of logs:
//!
//! ```text
//! log-1  log-2  snap-3  log-3         log-N: records of 28 bytes: tag, value, CRC-32
//!    └───────┘                        snap-N: one such record. Logs that hold nothing newer are removed when it is durable
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::disk::{Disk, DiskFile, Open, write_back};
use common::engine::{Failure, Storage, Work};

use crate::register::{Tag, Versioned};

const RECORD_BYTES: usize = 28;

/// What was planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    SyncsNothing,
    SnapshotsTooEarly,
    SnapshotsWithoutAName,
    IgnoresFailedSyncs,
    TrustsThePageCache,
}

/// **Invariants**: `buffer` stands in the file from `written` on, once it is written.
pub(crate) struct Store {
    disk: Arc<dyn Disk>,
    /// The logs, with the newest that each may hold; the last is being written.
    logs: Vec<(u64, Tag)>,
    log: Option<Arc<dyn DiskFile>>,
    written: u64,
    buffer: Vec<u8>,
    flaw: Flaw,
}

pub(crate) struct Sync {
    log: Arc<dyn DiskFile>,
    flaw: Flaw,
}

pub(crate) struct Snapshot {
    disk: Arc<dyn Disk>,
    number: u64,
    covered: Vec<u64>,
    state: Versioned,
    flaw: Flaw,
}

impl Store {
    /// What the disk holds: the newest version, and how many records it was found in.
    pub(crate) fn open(disk: Arc<dyn Disk>, flaw: Flaw) -> io::Result<(Self, Versioned, u64)> {
        let (mut newest, mut records) = (Versioned::default(), 0);
        let mut logs = Vec::new();
        let paths = disk.list(Path::new("/"))?;
        let snapshots = paths.iter().filter_map(|path| number(path, "snap-"));
        let first = snapshots.max().unwrap_or(0);
        if first > 0 {
            let bytes = read(&*disk, &file("snap", first))?;
            newest = decode(&bytes).ok_or_else(|| io::Error::other("the snapshot is damaged"))?;
        }
        for number in paths.iter().filter_map(|path| number(path, "log-")) {
            let path = file("log", number);
            let bytes = read(&*disk, &path)?;
            let (mut whole, mut highest) = (0, Tag::default());
            for version in bytes.chunks(RECORD_BYTES).map_while(decode) {
                highest = highest.max(version.tag);
                if version.tag > newest.tag {
                    newest = version;
                }
                whole += RECORD_BYTES as u64;
                records += 1;
            }
            let log = disk.open(&path, Open::Existing)?;
            log.set_len(whole)?;
            if flaw != Flaw::TrustsThePageCache {
                write_back(&*log, 0..whole)?;
            }
            logs.push((number, highest));
        }
        // A log that a crash has left is never written again.
        let last = logs.iter().map(|(number, _)| *number).max().unwrap_or(0);
        logs.push((last.max(first) + 1, Tag::default()));
        Ok((Self { disk, logs, log: None, written: 0, buffer: Vec::new(), flaw }, newest, records))
    }

    fn current(&mut self) -> &mut (u64, Tag) {
        self.logs.last_mut().expect("one is being written")
    }
}

impl Storage for Store {
    type Record = Versioned;
    type Job = Versioned;
    type Done = ();
    type Sync = Sync;
    type JobWork = Snapshot;

    fn append(&mut self, record: &Versioned) {
        let (_, highest) = self.current();
        *highest = record.tag.max(*highest);
        self.buffer.extend_from_slice(&encode(*record));
    }

    fn flush(&mut self) -> Result<Sync, Failure> {
        let log = match &self.log {
            Some(log) => Arc::clone(log),
            None => {
                let log = self.disk.open(&file("log", self.logs[self.logs.len() - 1].0), Open::Create)?;
                self.disk.sync_dir(Path::new("/"))?;
                self.log = Some(Arc::clone(&log));
                log
            }
        };
        log.write_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(Sync { log, flaw: self.flaw })
    }

    fn synced(&mut self) {}

    fn begin(&mut self, state: Versioned) -> Snapshot {
        // What is in the buffer goes to the next log.
        let (number, highest) = *self.current();
        let is_covered = |(_, highest): &mut (u64, Tag)| *highest <= state.tag;
        let covered = self.logs.extract_if(.., is_covered).map(|(number, _)| number).collect();
        self.logs.push((number + 1, highest));
        self.log = None;
        self.written = 0;
        Snapshot { disk: Arc::clone(&self.disk), number: number + 1, covered, state, flaw: self.flaw }
    }

    fn finish(&mut self, (): ()) {}
}

impl Work for Sync {
    type Output = ();

    fn run(self) -> io::Result<()> {
        match self.flaw {
            Flaw::SyncsNothing => Ok(()),
            Flaw::IgnoresFailedSyncs => self.log.sync_data().or(Ok(())),
            _ => self.log.sync_data(),
        }
    }
}

impl Work for Snapshot {
    type Output = ();

    fn run(self) -> io::Result<()> {
        let Self { disk, number, covered, state, flaw } = self;
        let temporary = Path::new("/snapshot.tmp");
        let written = || {
            let snapshot = disk.open(temporary, Open::Truncate)?;
            let bytes = encode(state);
            let (begin, end) = bytes.split_at(RECORD_BYTES / 2);
            snapshot.write_at(begin, 0)?;
            snapshot.write_at(end, begin.len() as u64)?;
            if flaw != Flaw::SnapshotsTooEarly {
                snapshot.sync_data()?;
            }
            disk.rename(temporary, &file("snap", number))?;
            if flaw == Flaw::SnapshotsWithoutAName { Ok(()) } else { disk.sync_dir(Path::new("/")) }
        };
        match written() {
            // There is another time, and the logs are still there.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
            written => written?,
        }
        for path in disk.list(Path::new("/"))? {
            let is_old_log = self::number(&path, "log-").is_some_and(|log| covered.contains(&log));
            if is_old_log || self::number(&path, "snap-").is_some_and(|other| other < number) {
                disk.remove(&path)?;
            }
        }
        Ok(())
    }
}

fn file(kind: &str, number: u64) -> PathBuf {
    PathBuf::from(format!("/{kind}-{number}"))
}

fn number(path: &Path, prefix: &str) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix(prefix)?.parse().ok()
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, Open::ReadOnly)?;
    let mut bytes = vec![0; file.len()? as usize];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

fn encode(version: Versioned) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    bytes[..8].copy_from_slice(&version.tag.0.to_le_bytes());
    bytes[8..16].copy_from_slice(&version.tag.1.to_le_bytes());
    bytes[16..24].copy_from_slice(&version.value.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..24]);
    bytes[24..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Versioned> {
    let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let version = Versioned { tag: Tag(number(0)?, number(8)?), value: number(16)? };
    (encode(version) == *bytes).then_some(version)
}
