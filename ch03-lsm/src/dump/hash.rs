//! The files of a hash index, explained: data files and hint files.

use std::path::Path;

use common::cli::{self, Table, human};
use common::disk::{Disk, Open};

use super::{Fields, hex, more, number, print_table, shortened, title};
use crate::error::Error;
use crate::storage::hash_files::{Entries, HintFile, data_number, evidence, read_hint, read_whole};

/// The bytes of a hint file before its first hint.
const HINTS_AT: usize = 8;

/// The bytes of a hint before its key.
const HINT_HEADER_BYTES: usize = 12;

/// Explains data file `file`, and its first `limit` entries.
pub(super) fn dump_data(disk: &dyn Disk, path: &Path, file: u64, limit: usize) -> Result<(), Error> {
    let bytes = read(disk, path)?;
    title(path, "a data file of a hash index", bytes.len() as u64)?;
    let mut rows = Table::new(["offset", "crc", "durable", "key_len", "value_len", "key", "value"]);
    let mut entries = Entries::new(file, &bytes);
    let (mut count, mut tombstones) = (0, 0);
    for (offset, entry) in entries.by_ref() {
        count += 1;
        tombstones += u64::from(entry.value.is_none());
        if rows.len() < limit {
            rows.row([
                offset.to_string(),
                hex(&bytes[offset as usize..][..4]),
                entry.durable.to_string(),
                entry.key.len().to_string(),
                entry.value.map_or_else(|| "ff ff ff ff".to_owned(), |value| value.len().to_string()),
                shortened(entry.key),
                entry.value.map_or_else(|| "(tombstone)".to_owned(), shortened),
            ]);
        }
    }
    print_table(&rows)?;
    if count > rows.len() as u64 {
        more(limit, "entries")?;
    }
    let (end, len) = (entries.end(), bytes.len());
    let counted = format!(
        "{} entries, {} of them tombstones, to byte {end} of {len}; what follows:",
        human::grouped(count),
        human::grouped(tombstones)
    );
    if entries.is_at_end() {
        return Ok(cli::print(format!("{counted} nothing"))?);
    }
    cli::print(format!("{counted} {} bytes that do not verify", len - end as usize))?;
    if was_durable(disk, path, file, &bytes, end)? {
        return Err(Error::damaged(path, end.into(), "an entry that was durable does not verify"));
    }
    Ok(cli::print("Nothing attests that they were durable: it is a torn tail, which opening would cut off.")?)
}

/// Explains the hint file of data file `file`, and its first `limit` hints.
pub(super) fn dump_hints(disk: &dyn Disk, path: &Path, file: u64, limit: usize) -> Result<(), Error> {
    let bytes = read(disk, path)?;
    title(path, &format!("the hint file of data file {file}"), bytes.len() as u64)?;
    let mut fields = Fields::new(&bytes, 0);
    fields.field(4, "crc", hex);
    fields.field(4, "data_len", number);
    fields.print()?;
    let decoded = HintFile::decode(file, &bytes);
    let (_, hints) = decoded.ok_or_else(|| Error::damaged(path, 0, "its checksum does not match what follows it"))?;
    let mut rows = Table::new(["at", "offset", "len", "key_len", "key"]);
    let mut at = HINTS_AT;
    for hint in hints.iter().take(limit) {
        let numbers = [at, hint.offset as usize, hint.len as usize, hint.key.len()].map(|number| number.to_string());
        rows.row(numbers.into_iter().chain([shortened(hint.key)]));
        at += HINT_HEADER_BYTES + hint.key.len();
    }
    print_table(&rows)?;
    if hints.len() > limit {
        more(limit, "hints")?;
    }
    Ok(cli::print(format!("{} hints, one for each key of the data file", human::grouped(hints.len() as u64)))?)
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>, Error> {
    let file = disk.open(path, Open::ReadOnly).map_err(Error::io("open", path))?;
    read_whole(&*file, path)
}

/// Whether anything attests that a data file was durable beyond `bad`: an entry in it, its hint file, or that there is a later
/// data file, which is begun when this one is durable.
fn was_durable(disk: &dyn Disk, path: &Path, file: u64, bytes: &[u8], bad: u32) -> Result<bool, Error> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let hint = read_hint(disk, dir, file)?;
    let hinted = hint.as_ref().and_then(|hint| HintFile::decode(file, hint)).map_or(0, |(data_len, _)| data_len);
    let beside = disk.list(dir).map_err(Error::io("list", dir))?;
    let is_last = !beside.iter().filter_map(|path| data_number(path)).any(|other| other > file);
    Ok(hinted > bad || !is_last || evidence(file, bytes, bad).is_some())
}
