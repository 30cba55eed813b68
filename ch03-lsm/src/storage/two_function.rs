//! The two-function database: a log, and nothing else.
//!
//! The chapter begins with a database of two shell functions: `db_set` appends a line to a file, `db_get` searches the whole
//! file for the last line with that key (DDIA ch. 3, "Data Structures That Power Your Database"). This is that database,
//! with what the two lines of shell leave to luck: keys and values may hold any bytes, a record that a crash has cut in two is
//! not taken for a whole one, and a delete is a record too.
//!
//! ```text
//! record     0       1         5         5 + key_len
//!            +-------+---------+---------+-------+
//!            | kind  | key_len | key     | value |      kind: 0 a delete, 1 a put; key_len: u32, little-endian
//!            +-------+---------+---------+-------+
//! ```
//!
//! The records stand in the segments of a log ([`common::disk::log`]), each process that opens the directory begins one. A
//! write costs its own bytes and nothing more: no structure on disk can beat that. A read costs everything that was ever
//! written, and that is what the rest of the chapter is about.
//!
//! **Left out**: compaction, as the shell functions leave it out: the log grows until the disk is full.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::disk::log::{Ending, LogError, SegmentHeader, SegmentName, SegmentReader, SegmentWriter, segments};
use common::disk::{Disk, Lock, Open, create_dir_durably, write_back};

use super::batch::{BatchError, VALUE_MAX_BYTES};
use super::files;
use crate::engine::key::{KEY_MAX_BYTES, Kind};
use crate::error::Error;

/// How its segments are named.
pub const SEGMENT: SegmentName = SegmentName { prefix: "two" };

/// The bytes of a record before its key.
const RECORD_HEADER_BYTES: usize = 5;

/// An open two-function database.
///
/// **Invariants**: `older` are the segments before the one that is written, in order; they are whole and durable.
/// After `failed` nothing is written.
#[derive(Debug)]
pub struct TwoFunction {
    disk: Arc<dyn Disk>,
    older: Vec<PathBuf>,
    log: SegmentWriter,
    failed: Option<Arc<Error>>,
    _lock: Box<dyn Lock>,
}

impl TwoFunction {
    /// Opens the database in `dir`, or makes one. Returns with it where its last segment was torn, if it was: the path, and
    /// the offset in bytes from which on it is cut.
    ///
    /// # Errors
    ///
    /// [`Error`]; damage names the file and the offset.
    pub fn open(disk: &Arc<dyn Disk>, dir: &Path) -> Result<(Self, Option<(PathBuf, u64)>), Error> {
        create_dir_durably(&**disk, dir).map_err(Error::io("create", dir))?;
        let lock = files::lock(&**disk, dir)?;
        let found = segments(&**disk, dir, SEGMENT)?;
        let mut number = found.last().map_or(0, |(number, _)| *number);
        let mut torn = None;
        let mut older: Vec<PathBuf> = Vec::new();
        let mut durable = 0;
        for (_, path) in &found {
            let is_last = older.len() + 1 == found.len();
            let Some((header, end)) = recover(&**disk, path, is_last, &mut torn)? else {
                // Not even its header was durable: it is begun again.
                number -= 1;
                break;
            };
            if let Some(before) = older.last().filter(|_| header.prior_durable_bytes != durable) {
                return Err(Error::damaged(before, durable, "it has not the length that the next segment attests to"));
            }
            durable = end;
            older.push(path.clone());
        }
        number += 1;
        // Other bits for each segment are what the salt is for; that nobody can foresee them is not needed here.
        let header = SegmentHeader { number, salt: number, prior_durable_bytes: durable };
        let log = SegmentWriter::create(&**disk, &SEGMENT.path(dir, number), header)?;
        disk.sync_dir(dir).map_err(Error::io("sync", dir))?;
        Ok((Self { disk: Arc::clone(disk), older, log, failed: None, _lock: lock }, torn))
    }

    /// Puts a value: `db_set`.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        if value.len() > VALUE_MAX_BYTES {
            return Err(BatchError::Value(value.len()).into());
        }
        self.append(Kind::Put, key, value)
    }

    /// Deletes a key, whether it is there or not.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn delete(&mut self, key: &[u8]) -> Result<(), Error> {
        self.append(Kind::Delete, key, &[])
    }

    /// The value of a key: `db_get`, `grep` and `tail` in one.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let mut newest = None;
        for path in self.older.iter().map(PathBuf::as_path).chain([self.log.path()]) {
            let mut reader = SegmentReader::open(&*self.disk, path)?;
            while let Some((record, offset)) = reader.read()? {
                let damaged = || Error::damaged(path, offset, "the record is none of this database's");
                let (kind, found, value) = decode(record).ok_or_else(damaged)?;
                if found == key {
                    newest = (kind == Kind::Put).then(|| value.to_vec());
                }
            }
            // What is written in this process is whole, and so is what an earlier one left once it was cut.
            if reader.ending() != Some(Ending::Clean) {
                return Err(Error::damaged(path, reader.end(), "a record does not verify"));
            }
        }
        Ok(newest)
    }

    /// Makes everything durable that was written.
    ///
    /// # Errors
    ///
    /// [`Error`]. After a sync that failed nothing is written any more.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.check()?;
        let synced = self.log.sync();
        self.noting(synced)
    }

    fn append(&mut self, kind: Kind, key: &[u8], value: &[u8]) -> Result<(), Error> {
        if key.len() > KEY_MAX_BYTES {
            return Err(BatchError::Key(key.len()).into());
        }
        self.check()?;
        let mut record = Vec::with_capacity(RECORD_HEADER_BYTES + key.len() + value.len());
        record.push(kind as u8);
        record.extend_from_slice(&(key.len() as u32).to_le_bytes());
        record.extend_from_slice(key);
        record.extend_from_slice(value);
        let written = self.log.append(&record).and_then(|_| self.log.write());
        self.noting(written)
    }

    fn check(&self) -> Result<(), Error> {
        self.failed.as_ref().map_or(Ok(()), |failed| Err(Error::ReadOnly(Arc::clone(failed))))
    }

    /// Takes note of a failure: what the log holds then is unknown, and nothing may be added behind it.
    fn noting(&mut self, result: Result<(), LogError>) -> Result<(), Error> {
        result.map_err(|error| {
            let error = Error::from(error);
            self.failed.get_or_insert_with(|| Arc::new(error.clone()));
            error
        })
    }
}

/// Makes an older segment whole and durable. Returns its header and its length in bytes; none if it was removed, since not
/// even its header was durable.
fn recover(
    disk: &dyn Disk,
    path: &Path,
    is_last: bool,
    torn: &mut Option<(PathBuf, u64)>,
) -> Result<Option<(SegmentHeader, u64)>, Error> {
    let mut reader = match SegmentReader::open(disk, path) {
        Err(LogError::TornHeader { .. }) if is_last => {
            disk.remove(path).map_err(Error::io("remove", path))?;
            *torn = Some((path.to_owned(), 0));
            return Ok(None);
        }
        opened => opened?,
    };
    while reader.read()?.is_some() {}
    let mut end = reader.len_bytes();
    let is_whole = reader.ending() == Some(Ending::Clean);
    if is_last {
        let file = disk.open(path, Open::Existing).map_err(Error::io("open", path))?;
        if !is_whole {
            end = reader.end();
            file.set_len(end).map_err(Error::io("cut", path))?;
            *torn = Some((path.to_owned(), end));
        }
        // What the process before this one wrote and did not sync is built upon from here on.
        write_back(&*file, reader.attested()..end).map_err(Error::io("write back", path))?;
    } else if !is_whole {
        return Err(Error::damaged(path, reader.end(), "a record that was durable does not verify"));
    }
    Ok(Some((reader.header(), end)))
}

/// What a record does to which key, and the value that it puts; `None` when it is none of this database's.
pub(crate) fn decode(record: &[u8]) -> Option<(Kind, &[u8], &[u8])> {
    let (kind, rest) = record.split_first()?;
    let kind = [Kind::Delete, Kind::Put].into_iter().find(|known| *known as u8 == *kind)?;
    let (key_len, rest) = rest.split_first_chunk()?;
    let (key, value) = rest.split_at_checked(u32::from_le_bytes(*key_len) as usize)?;
    Some((kind, key, value))
}
