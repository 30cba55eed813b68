//! A segment of a log, explained: its header, its fragments and marks, and what its records say.

use std::path::Path;

use common::cli::{self, Table, human};
use common::disk::log::{
    BLOCK_BYTES, Ending, FILL, FRAGMENT_HEADER_BYTES, Fragment, HEADER_BYTES, Kind as FragmentKind, LogError,
    SegmentReader,
};
use common::disk::{Disk, DiskFile, Open};

use super::{Fields, hex, kind, little_endian, more, number, print_table, shortened, title};
use crate::engine::key::Kind;
use crate::error::Error;
use crate::storage::batch::BatchRecord;
use crate::storage::manifest::Record;
use crate::storage::two_function;

/// What a record says, in lines; or what is wrong with it.
pub(super) type Explain = fn(&[u8]) -> Result<Vec<String>, String>;

/// Explains the segment, and the first `limit` fragments and records.
pub(super) fn dump(disk: &dyn Disk, path: &Path, what: &str, explain: Explain, limit: usize) -> Result<(), Error> {
    let file = disk.open(path, Open::ReadOnly).map_err(Error::io("open", path))?;
    let len = file.len().map_err(Error::io("measure", path))?;
    title(path, what, len)?;
    header(&*file, path)?;
    let (end, judged) = judge(disk, path)?;
    fragments(&*file, path, len, end, limit)?;
    let mut reader = SegmentReader::open(disk, path)?;
    let mut records = 0;
    while records < limit && reader.end() < end {
        let Some((bytes, offset)) = reader.read()? else { break };
        records += 1;
        let lines = explain(bytes).map_err(|what| Error::Record { path: path.to_owned(), offset, what })?;
        cli::print(format!("record {records}, {} bytes, to byte {offset}\n  {}", bytes.len(), lines.join("\n  ")))?;
    }
    let judged = judged?;
    if judged.records > records {
        more(limit, "records")?;
    }
    Ok(cli::print(format!(
        "\n{} records, to byte {end} of {len}; marks attest that it was durable up to byte {}; what follows: {}",
        human::grouped(judged.records as u64),
        judged.attested,
        match judged.ending {
            Some(Ending::Clean) | None => "nothing".to_owned(),
            Some(Ending::Reserved) => "reserved space".to_owned(),
            Some(Ending::Zeros) => "zeros".to_owned(),
            Some(Ending::Torn(flaw)) =>
                format!("a torn tail ({flaw}), which nothing here attests to have been durable"),
        }
    ))?)
}

/// What a log comes to.
struct Judged {
    records: usize,
    attested: u64,
    ending: Option<Ending>,
}

/// Where the whole records end, in bytes; and what the log comes to, or its damage.
fn judge(disk: &dyn Disk, path: &Path) -> Result<(u64, Result<Judged, LogError>), Error> {
    let mut reader = SegmentReader::open(disk, path)?;
    let mut records = 0;
    let outcome = loop {
        match reader.read() {
            Ok(Some(_)) => records += 1,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let judged = Judged { records, attested: reader.attested(), ending: reader.ending() };
    Ok((reader.end(), outcome.map(|()| judged)))
}

fn header(file: &dyn DiskFile, path: &Path) -> Result<(), Error> {
    let mut bytes = [0; HEADER_BYTES];
    let read = file.read_at(&mut bytes, 0).map_err(Error::io("read", path))?;
    let mut fields = Fields::new(&bytes[..read], 0);
    fields.field(8, "magic", shortened);
    fields.field(8, "number", number);
    fields.field(8, "salt", hex);
    fields.field(8, "durable bytes of the segment before", number);
    fields.field(4, "checksum", hex);
    fields.field(4, "zeros", number);
    fields.print()
}

/// The fragments, and what is no fragment behind `end`, where whole records end.
fn fragments(file: &dyn DiskFile, path: &Path, len: u64, end: u64, limit: usize) -> Result<(), Error> {
    let mut rows = Table::new(["offset", "checksum", "length", "kind", "holds"]);
    let mut salt = [0; 8];
    file.read_at(&mut salt, 16).map_err(Error::io("read", path))?;
    let mut block = vec![0; BLOCK_BYTES];
    let (mut at, mut record) = (HEADER_BYTES as u64, 1);
    while at < len && rows.len() < limit {
        let begin = at - at % BLOCK_BYTES as u64;
        block.resize(BLOCK_BYTES, 0);
        let read = file.read_at(&mut block, begin).map_err(Error::io("read", path))?;
        block.truncate(read);
        let Some(bytes) = block.get((at - begin) as usize..).filter(|bytes| !bytes.is_empty()) else { break };
        let decoded = Fragment::decode(u64::from_le_bytes(salt), at, bytes);
        let is_rest = bytes.iter().all(|byte| *byte == 0);
        let is_reserved = bytes.iter().all(|byte| *byte == FILL);
        let (taken, stored, what) = match decoded {
            _ if is_rest && (bytes.len() <= FRAGMENT_HEADER_BYTES || decoded.is_err()) => {
                (bytes.len(), None, "zeros, to the end of the block or of the file".to_owned())
            }
            _ if is_reserved => (bytes.len(), None, "reserved, to the end of the block or of the file".to_owned()),
            Ok(fragment) => {
                let what = match fragment.durable_bytes() {
                    Some(durable) => format!("durable up to byte {durable}"),
                    None if at >= end => "of a record that is not whole".to_owned(),
                    None => format!("record {record}"),
                };
                record += usize::from(matches!(fragment.kind, FragmentKind::Full | FragmentKind::Last));
                (fragment.len_bytes(), Some(bytes), what)
            }
            Err(flaw) => (0, Some(bytes), format!("NOT WHOLE: {flaw}")),
        };
        let [crc, length, kind] = stored.map_or([const { String::new() }; 3], fragment_header);
        rows.row([at.to_string(), crc, length, kind, what]);
        if taken == 0 {
            break;
        }
        at += taken as u64;
    }
    print_table(&rows)?;
    if at < len && rows.len() == limit { more(limit, "fragments") } else { Ok(()) }
}

/// The checksum, the length and the kind that a fragment begins with, as they are stored.
fn fragment_header(bytes: &[u8]) -> [String; 3] {
    let Some(header) = bytes.first_chunk::<FRAGMENT_HEADER_BYTES>() else {
        return ["-".to_owned(), "-".to_owned(), format!("{} bytes", bytes.len())];
    };
    let kind = match header[6] {
        1 => "1 full".to_owned(),
        2 => "2 first".to_owned(),
        3 => "3 middle".to_owned(),
        4 => "4 last".to_owned(),
        5 => "5 mark".to_owned(),
        other => format!("{other} unknown"),
    };
    [hex(&header[..4]), little_endian(&header[4..6]).to_string(), kind]
}

/// Of a write-ahead log: a batch.
pub(super) fn batch(bytes: &[u8]) -> Result<Vec<String>, String> {
    let batch = BatchRecord::decode(bytes).map_err(|error| error.to_string())?;
    let mut lines = vec![format!("seq {}, count {}", batch.first.0, batch.count)];
    for (number, write) in (batch.first.0..).zip(batch.writes()) {
        let write = write.map_err(|error| error.to_string())?;
        lines.push(write_line(&format!("write {number}"), write.kind, write.key, write.value));
    }
    Ok(lines)
}

/// Of a two-function database: a write.
pub(super) fn two_function_record(bytes: &[u8]) -> Result<Vec<String>, String> {
    let (kind, key, value) = two_function::decode(bytes).ok_or("it is none of this database's")?;
    Ok(vec![write_line(&format!("kind {}", kind as u8), kind, key, value)])
}

fn write_line(what: &str, of: Kind, key: &[u8], value: &[u8]) -> String {
    let begins = format!("{what}: {}, key_len {}", kind(Some(of)), key.len());
    match of {
        Kind::Delete => format!("{begins}: {}", shortened(key)),
        _ => format!("{begins}, value_len {}: {} = {}", value.len(), shortened(key), shortened(value)),
    }
}

/// Of a manifest: what has changed.
pub(super) fn manifest_record(bytes: &[u8]) -> Result<Vec<String>, String> {
    let record = Record::decode(bytes).map_err(|error| error.to_string())?;
    let mut lines = Vec::new();
    if record.is_whole {
        lines.push("6 whole: it says everything, and what came before does not count".to_owned());
    }
    let numbers = [
        ("1 wal: logs are needed from", record.wal),
        ("2 next: the next file is", record.next_file),
        ("3 seq: the newest write in a table is", record.seq.map(|seq| seq.0)),
    ];
    lines.extend(numbers.into_iter().filter_map(|(what, number)| Some(format!("{what} {}", number?))));
    let removed = record.edit.removed.iter();
    lines.extend(removed.map(|(level, table)| format!("4 removed: table {table}, from level {level}")));
    lines.extend(record.edit.added.iter().map(|(level, table)| {
        format!(
            "5 added: table {}, to level {level}: {} bytes, {} entries, {} tombstones, {} range tombstones, newest write {}, \
             from {:?} to {:?}",
            table.id, table.len_bytes, table.entries, table.tombstones, table.range_tombstones, table.newest.0, table.smallest,
            table.largest
        )
    }));
    Ok(lines)
}
