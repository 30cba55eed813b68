//! The files of a hash index: how they are named, and their bytes.
//!
//! | name | what it is |
//! |---|---|
//! | `lock` | held by the process that has the directory |
//! | `NNNNNNNNNN.data` | entries, in the order in which they were written; the one with the highest number is written |
//! | `NNNNNNNNNN.hint` | where the keys of that data file are, so that opening need not read the values |
//! | `….merging` | what a merge was writing: removed on opening |
//!
//! ```text
//! data    0      4         8         12          16        16 + key_len
//! file    +------+---------+---------+-----------+---------+-------+-- --
//!         | crc  | durable | key_len | value_len | key     | value | ...     all numbers: u32, little-endian
//!         +------+---------+---------+-----------+---------+-------+-- --
//!         crc        CRC-32 of the file's number (u64), the entry's offset (u64) and everything after the crc
//!         durable    how many bytes of this file were known to be durable when the entry was written
//!         value_len  ff ff ff ff: a tombstone, which has no value
//!
//! hint    0      4          8        12    16        20
//! file    +------+----------+--------+-----+---------+-----+-- --
//!         | crc  | data_len | offset | len | key_len | key | ...              crc: of the file's number (u64) and what follows it
//!         +------+----------+--------+-----+---------+-----+-- --             offset, len: the entry in the data file
//!                           |<------ one for each key ---->|
//! ```
//!
//! The offset goes into the checksum so that nothing passes for an entry where it was not written: neither what a misdirected
//! write left, nor a value that holds a copy of a data file. `durable` tells a torn tail from damage: what does not verify
//! was torn if nothing after it attests that it was durable ([`evidence`]).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::disk::{Disk, DiskFile, Open};

use crate::engine::key::KEY_MAX_BYTES;
use crate::error::Error;

/// The bytes of an entry before its key.
pub const HEADER_BYTES: usize = 16;

/// The longest value, in bytes: an entry is read, and checked, as a whole.
pub const VALUE_MAX_BYTES: usize = 16 << 20;

/// The longest data file that is read, in bytes: opening one without a hint takes that much memory.
pub const FILE_MAX_BYTES: u64 = 1 << 30;

/// The `value_len` of a tombstone.
const TOMBSTONE: u32 = u32::MAX;

/// An entry of a data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// How many bytes of its file were known to be durable when it was written.
    pub durable: u32,
    /// The key.
    pub key: &'a [u8],
    /// Its value; none is a tombstone.
    pub value: Option<&'a [u8]>,
}

impl<'a> Entry<'a> {
    /// As it stands in file number `file` at `offset`.
    pub fn encode(&self, file: u64, offset: u32) -> Vec<u8> {
        let value = self.value.unwrap_or_default();
        let value_len = self.value.map_or(TOMBSTONE, |value| value.len() as u32);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.key.len() + value.len());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.durable.to_le_bytes());
        bytes.extend_from_slice(&(self.key.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&value_len.to_le_bytes());
        bytes.extend_from_slice(self.key);
        bytes.extend_from_slice(value);
        let crc = checksum(file, offset.into(), &bytes[4..]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The entry that stands in file number `file` at `offset`, where `bytes` begin; `None` when it does not verify.
    pub fn decode(file: u64, offset: u32, bytes: &'a [u8]) -> Option<Self> {
        let number = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let (crc, durable, key_len, value_len) = (number(0)?, number(4)?, number(8)?, number(12)?);
        let is_tombstone = value_len == TOMBSTONE;
        let value_len = if is_tombstone { 0 } else { value_len as usize };
        if key_len as usize > KEY_MAX_BYTES || value_len > VALUE_MAX_BYTES {
            return None;
        }
        let whole = bytes.get(..HEADER_BYTES + key_len as usize + value_len)?;
        if checksum(file, offset.into(), &whole[4..]) != crc {
            return None;
        }
        let (key, value) = whole[HEADER_BYTES..].split_at(key_len as usize);
        Some(Self { durable, key, value: (!is_tombstone).then_some(value) })
    }

    /// How many bytes it takes.
    pub fn len_bytes(&self) -> u32 {
        (HEADER_BYTES + self.key.len() + self.value.map_or(0, <[u8]>::len)) as u32
    }
}

/// The entries of a data file with their offsets, up to the first that does not verify.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    file: u64,
    bytes: &'a [u8],
    end: u32,
}

impl<'a> Entries<'a> {
    /// The entries of file number `file`, whose content is `bytes`.
    pub fn new(file: u64, bytes: &'a [u8]) -> Self {
        Self { file, bytes, end: 0 }
    }

    /// Where the last entry that was given out ends, in bytes.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// Whether that is where the file ends.
    pub fn is_at_end(&self) -> bool {
        self.end as usize == self.bytes.len()
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = (u32, Entry<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.end;
        let entry = Entry::decode(self.file, offset, &self.bytes[offset as usize..])?;
        self.end += entry.len_bytes();
        Some((offset, entry))
    }
}

/// Where in the content `bytes` of file number `file` an entry stands that attests that the file was durable beyond `bad`.
/// Where entries begin is not known there any more: what verifies is one wherever it stands.
pub fn evidence(file: u64, bytes: &[u8], bad: u32) -> Option<u32> {
    (bad + 1..bytes.len() as u32).find(|offset| {
        let rest = &bytes[*offset as usize..];
        let durable = rest.get(4..).and_then(<[u8]>::first_chunk).map(|bytes| u32::from_le_bytes(*bytes));
        durable.is_some_and(|durable| bad < durable && durable <= *offset)
            && Entry::decode(file, *offset, rest).is_some()
    })
}

/// Where the entry of a key is, as a hint file says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The offset of its entry in the data file, in bytes.
    pub offset: u32,
    /// The length of the entry, in bytes.
    pub len: u32,
}

/// A hint file, in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HintFile {
    number: u64,
    bytes: Vec<u8>,
}

impl HintFile {
    /// One without hints, of the data file `number`.
    pub fn new(number: u64) -> Self {
        Self { number, bytes: vec![0; 8] }
    }

    /// Adds a hint.
    pub fn add(&mut self, hint: Hint<'_>) {
        for number in [hint.offset, hint.len, hint.key.len() as u32] {
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
        self.bytes.extend_from_slice(hint.key);
    }

    /// As it stands on disk, beside a data file of `data_len` bytes.
    pub fn finish(mut self, data_len: u32) -> Vec<u8> {
        self.bytes[4..8].copy_from_slice(&data_len.to_le_bytes());
        let crc = checksum(self.number, 0, &self.bytes[4..]);
        self.bytes[..4].copy_from_slice(&crc.to_le_bytes());
        self.bytes
    }

    /// The length of the data file, and the hints; `None` when `bytes` are no hint file of that number, or a damaged one.
    pub fn decode(number: u64, bytes: &[u8]) -> Option<(u32, Vec<Hint<'_>>)> {
        let (crc, mut rest) = bytes.split_first_chunk()?;
        if checksum(number, 0, rest) != u32::from_le_bytes(*crc) {
            return None;
        }
        let number = |rest: &mut &[u8]| {
            let (number, after) = rest.split_first_chunk()?;
            *rest = after;
            Some(u32::from_le_bytes(*number))
        };
        let data_len = number(&mut rest)?;
        let mut hints = Vec::new();
        while !rest.is_empty() {
            let (offset, len, key_len) = (number(&mut rest)?, number(&mut rest)?, number(&mut rest)?);
            let (key, after) = rest.split_at_checked(key_len as usize)?;
            rest = after;
            // What a reader takes memory for lies within the file.
            offset.checked_add(len).filter(|end| *end <= data_len)?;
            hints.push(Hint { key, offset, len });
        }
        Some((data_len, hints))
    }
}

/// A data file that a merge makes, with its hint file.
#[derive(Debug)]
pub struct Output {
    /// Its number.
    pub number: u64,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Where the keys are in it.
    pub hints: HintFile,
}

impl Output {
    /// One without entries.
    pub fn new(number: u64) -> Self {
        Self { number, bytes: Vec::new(), hints: HintFile::new(number) }
    }

    /// Appends an entry that stands elsewhere now.
    pub fn add(&mut self, entry: Entry<'_>) {
        let (offset, len) = (self.bytes.len() as u32, entry.len_bytes());
        // The file gets its name when it is durable as a whole: none of its entries has to attest to others.
        self.bytes.extend(Entry { durable: 0, ..entry }.encode(self.number, offset));
        self.hints.add(Hint { key: entry.key, offset, len });
    }
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opened {
    /// The last file, and where it was torn, in bytes: what came after was never durable, and is cut off.
    pub torn: Option<(PathBuf, u64)>,
    /// How many data files had a hint file that could be read instead.
    pub hinted: usize,
    /// How many data files were read from beginning to end.
    pub scanned: usize,
}

/// How full it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HashStats {
    /// Keys that have a value: what memory is taken for.
    pub keys: usize,
    /// Data files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// The bytes among them that the keydir points to.
    pub live_bytes: u64,
}

/// The path of a data file.
pub fn data_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.data"))
}

/// The path of a hint file.
pub fn hint_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.hint"))
}

/// The number of the data file whose path that is; `None` when it is the path of something else.
pub fn data_number(path: &Path) -> Option<u64> {
    number(path, ".data")
}

/// The number of the data file whose hint file's path that is; `None` when it is the path of something else.
pub fn hint_number(path: &Path) -> Option<u64> {
    number(path, ".hint")
}

/// The name under which a merge writes what will be `path`.
pub fn merging_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".merging");
    PathBuf::from(name)
}

/// The numbers of the data files in `dir`, in order. What a merge had not finished is removed: names that it was writing
/// under, and hints without data.
///
/// # Errors
///
/// [`Error::Io`].
pub fn tidy(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>, Error> {
    let paths = disk.list(dir).map_err(Error::io("list", dir))?;
    let mut numbers: Vec<u64> = paths.iter().filter_map(|path| data_number(path)).collect();
    numbers.sort_unstable();
    for path in &paths {
        let is_unfinished = path.extension().is_some_and(|extension| extension == "merging");
        if is_unfinished || hint_number(path).is_some_and(|hint| !numbers.contains(&hint)) {
            disk.remove(path).map_err(Error::io("remove", path))?;
        }
    }
    Ok(numbers)
}

/// All bytes of a file.
///
/// # Errors
///
/// [`Error::Io`]; [`Error::Damaged`] when it is longer than a data file can be.
pub fn read_whole(file: &dyn DiskFile, path: &Path) -> Result<Vec<u8>, Error> {
    let len = file.len().map_err(Error::io("measure", path))?;
    if len > FILE_MAX_BYTES {
        return Err(Error::damaged(path, FILE_MAX_BYTES, "it is longer than such a file can be"));
    }
    let mut bytes = vec![0; len as usize];
    let read = file.read_at(&mut bytes, 0).map_err(Error::io("read", path))?;
    bytes.truncate(read);
    Ok(bytes)
}

/// The bytes of a hint file; `None` when there is none.
///
/// # Errors
///
/// As [`read_whole`].
pub fn read_hint(disk: &dyn Disk, dir: &Path, number: u64) -> Result<Option<Vec<u8>>, Error> {
    let path = hint_path(dir, number);
    if !disk.exists(&path).map_err(Error::io("look for", &path))? {
        return Ok(None);
    }
    let file = disk.open(&path, Open::ReadOnly).map_err(Error::io("open", &path))?;
    read_whole(&*file, &path).map(Some)
}

/// Writes a file that is durable when this returns; its name is after a sync of the directory.
///
/// # Errors
///
/// [`Error::Io`].
pub fn write_whole(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<Arc<dyn DiskFile>, Error> {
    let file = disk.open(path, Open::Truncate).map_err(Error::io("create", path))?;
    file.write_at(bytes, 0).map_err(Error::io("write", path))?;
    file.sync_data().map_err(Error::io("sync", path))?;
    Ok(file)
}

fn number(path: &Path, extension: &str) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_suffix(extension)?;
    (digits.len() >= 10 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

fn checksum(file: u64, offset: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&file.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}
