//! `dump`: a file of a tree, explained field by field.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use common::cli::{self, Look, Table, human};
use common::disk::log::SegmentReader;
use common::disk::{Disk, RealDisk};

use crate::engine::cursor::Cursor;
use crate::engine::key::Kind;
use crate::error::Error;
use crate::storage::batch::BatchRecord;
use crate::storage::files::{MANIFEST, WAL, table_id};
use crate::storage::manifest::Record;
use crate::storage::table::{NoCache, Table as SortedTable};

/// What `dump` is told.
#[derive(Debug, Clone, Args)]
pub struct DumpArgs {
    /// A table, a write-ahead log or a manifest of a tree
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How many entries or records are shown
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
}

/// The longest key or value that is shown whole, in bytes.
const SHOWN_BYTES: usize = 40;

/// Explains the file.
///
/// # Errors
///
/// It is none of a tree's, it is damaged, or it cannot be read.
pub fn run(args: &DumpArgs) -> Result<(), Error> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    let path = &args.file;
    if table_id(path).is_some() {
        table(&disk, path, args.limit)
    } else if WAL.number(path).is_some() {
        wal(&*disk, path, args.limit)
    } else if MANIFEST.number(path).is_some() {
        manifest(&*disk, path, args.limit)
    } else {
        Err(Error::Cannot(format!(
            "{} has the name of none of a tree's files (NNNNNN.sst, wal-NNNNNNNNNN.log, manifest-NNNNNNNNNN.log)",
            path.display()
        )))
    }
}

fn table(disk: &Arc<dyn Disk>, path: &Path, limit: usize) -> Result<(), Error> {
    let id = table_id(path).expect("the caller has looked");
    let table = Arc::new(SortedTable::open(&**disk, path, id, Arc::new(NoCache))?);
    let properties = table.properties();
    cli::print(format!(
        "{}: a sorted table\n\n  entries     {} ({} tombstones)\n  ranges      {} (range tombstones)\n  keys        {}\n  values      {}\n  blocks      {}\n  \
         index       {}\n  filter      {}\n",
        path.display(),
        human::grouped(properties.entries),
        human::grouped(properties.tombstones),
        human::grouped(properties.range_tombstones),
        human::bytes(properties.key_bytes),
        human::bytes(properties.value_bytes),
        human::grouped(properties.blocks),
        human::bytes(table.index_bytes() as u64),
        human::bytes(table.filter_bytes() as u64),
    ))?;
    let mut rows = Table::new(["offset of block", "key", "write", "kind", "value"]);
    let mut cursor = table.cursor();
    cursor.seek_to_first()?;
    let mut shown = 0;
    while let Some(key) = cursor.key().filter(|_| shown < limit) {
        let stamp = key.stamp();
        rows.row([
            cursor.block_offset().to_string(),
            shortened(key.user()),
            stamp.seq().0.to_string(),
            kind(stamp.kind()).to_owned(),
            shortened(cursor.value()),
        ]);
        shown += 1;
        cursor.next()?;
    }
    cli::print(rows.render(Look::stdout()))?;
    if cursor.key().is_some() {
        cli::print(format!("... (the first {limit} entries; --limit N shows more)"))?;
    }
    if table.ranges().is_empty() { Ok(()) } else { range_tombstones(&table, limit) }
}

fn range_tombstones(table: &SortedTable, limit: usize) -> Result<(), Error> {
    let mut rows = Table::new(["deleted from", "up to, not included", "write"]);
    for (from, to, seq) in table.ranges().iter().take(limit) {
        rows.row([shortened(from), shortened(to), seq.0.to_string()]);
    }
    cli::print(rows.render(Look::stdout()))?;
    if table.ranges().len() > limit {
        cli::print(format!("... (the first {limit} range tombstones; --limit N shows more)"))?;
    }
    Ok(())
}

fn wal(disk: &dyn Disk, path: &Path, limit: usize) -> Result<(), Error> {
    let mut reader = SegmentReader::open(disk, path)?;
    header(&reader, path, "a write-ahead log")?;
    let mut rows = Table::new(["ends at", "write", "kind", "key", "value"]);
    let mut records = 0;
    while let Some((bytes, offset)) = reader.read()? {
        records += 1;
        if records > limit {
            continue;
        }
        let batch = BatchRecord::decode(bytes)?;
        for (number, write) in (batch.first.0..).zip(batch.writes()) {
            let write = write?;
            rows.row([
                offset.to_string(),
                number.to_string(),
                kind(Some(write.kind)).to_owned(),
                shortened(write.key),
                shortened(write.value),
            ]);
        }
    }
    cli::print(rows.render(Look::stdout()))?;
    ending(&reader, records)
}

fn manifest(disk: &dyn Disk, path: &Path, limit: usize) -> Result<(), Error> {
    let mut reader = SegmentReader::open(disk, path)?;
    header(&reader, path, "a manifest")?;
    let mut records = 0;
    while let Some((bytes, offset)) = reader.read()? {
        records += 1;
        if records > limit {
            continue;
        }
        let record = Record::decode(bytes).map_err(Error::record(path, offset))?;
        let mut text =
            format!("record that ends at {offset}{}\n", if record.is_whole { ", which says everything" } else { "" });
        let numbers = [
            ("logs needed from", record.wal),
            ("next file", record.next_file),
            ("newest write in a table", record.seq.map(|seq| seq.0)),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                text.push_str(&format!("  {name:24} {number}\n"));
            }
        }
        for (level, table) in &record.edit.removed {
            text.push_str(&format!("  {:24} {table}, from level {level}\n", "removed"));
        }
        for (level, table) in &record.edit.added {
            text.push_str(&format!(
                "  {:24} {}, to level {level}: {} entries, {} range tombstones, {}, from {:?} to {:?}\n",
                "added",
                table.id,
                human::grouped(table.entries),
                human::grouped(table.range_tombstones),
                human::bytes(table.len_bytes),
                table.smallest,
                table.largest
            ));
        }
        cli::print(text)?;
    }
    ending(&reader, records)
}

fn header(reader: &SegmentReader, path: &Path, what: &str) -> Result<(), Error> {
    let header = reader.header();
    Ok(cli::print(format!(
        "{}: {what}\n\n  number      {}\n  salt        {:016x}\n  of the one before it, durable: {} bytes\n",
        path.display(),
        header.number,
        header.salt,
        header.prior_durable_bytes
    ))?)
}

fn ending(reader: &SegmentReader, records: usize) -> Result<(), Error> {
    Ok(cli::print(format!(
        "{records} records, to byte {} of {}; attested to be durable up to byte {}; what follows: {:?}",
        reader.end(),
        reader.len_bytes(),
        reader.attested(),
        reader.ending()
    ))?)
}

fn kind(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Put) => "put",
        Some(Kind::Delete) => "delete",
        Some(Kind::DeleteRange) => "delete up to",
        None => "unknown",
    }
}

fn shortened(bytes: &[u8]) -> String {
    match bytes.get(..SHOWN_BYTES) {
        Some(begin) if bytes.len() > SHOWN_BYTES => format!("{}... ({} bytes)", begin.escape_ascii(), bytes.len()),
        _ => bytes.escape_ascii().to_string(),
    }
}
