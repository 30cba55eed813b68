//! `dump`: a file, explained field by field.
//!
//! | module | which files |
//! |---|---|
//! | `table` | sorted tables |
//! | `log` | logs in segments, as bytes: header, fragments, marks; and what the records of each kind say |
//! | `hash` | the data and hint files of a hash index |
//!
//! What a file is, its name says. Of a damaged one all that can be read is shown first; the error comes last.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use common::cli::{self, Look, Table};
use common::disk::{Disk, RealDisk};

use crate::engine::key::{InternalKey, Kind};
use crate::error::Error;
use crate::storage::files::{MANIFEST, WAL, table_id};
use crate::storage::hash_files::{data_number, hint_number};
use crate::storage::two_function::SEGMENT;

mod hash;
mod log;
mod table;

/// What `dump` is told.
#[derive(Debug, Clone, Args)]
pub struct DumpArgs {
    /// A file of a tree, of a hash index or of a two-function database, under the name that it has there
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How many entries, fragments or records of each are shown
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
    /// Of a table, one block, entry by entry; the first is 0
    #[arg(long, value_name = "N")]
    pub block: Option<usize>,
}

/// The longest key or value that is shown whole, in bytes.
const SHOWN_BYTES: usize = 40;

/// Explains the file.
///
/// # Errors
///
/// Its name is none of those that are known, it is damaged, or it cannot be read.
pub fn run(args: &DumpArgs) -> Result<(), Error> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    let (disk, path, limit) = (&*disk, &*args.file, args.limit);
    match (table_id(path), args.block) {
        (Some(id), None) => return table::dump(disk, path, id, limit),
        (Some(id), Some(block)) => return table::dump_block(disk, path, id, block),
        (None, Some(_)) => return Err(cli::Error::Usage("--block is about a table, NNNNNN.sst".to_owned()).into()),
        (None, None) => {}
    }
    let logs = [
        (WAL, "a write-ahead log", log::batch as log::Explain),
        (MANIFEST, "a manifest", log::manifest_record),
        (SEGMENT, "a segment of a two-function database", log::two_function_record),
    ];
    if let Some((_, what, explain)) = logs.into_iter().find(|(name, ..)| name.number(path).is_some()) {
        log::dump(disk, path, what, explain, limit)
    } else if let Some(number) = data_number(path) {
        hash::dump_data(disk, path, number, limit)
    } else if let Some(number) = hint_number(path) {
        hash::dump_hints(disk, path, number, limit)
    } else {
        Err(Error::Cannot(format!(
            "{} has the name of none of the files that can be explained: NNNNNN.sst, wal-NNNNNNNNNN.log and \
             manifest-NNNNNNNNNN.log of a tree, NNNNNNNNNN.data and NNNNNNNNNN.hint of a hash index, two-NNNNNNNNNN.log of \
             a two-function database",
            path.display()
        )))
    }
}

/// The fields of something with a fixed layout, one after the other, with their bytes.
struct Fields<'a> {
    rows: Table,
    bytes: &'a [u8],
    offset: u64,
}

impl<'a> Fields<'a> {
    /// Those of `bytes`, which stand at `offset` of the file.
    fn new(bytes: &'a [u8], offset: u64) -> Self {
        Self { rows: Table::new(["offset", "bytes", "field", "value"]), bytes, offset }
    }

    /// The next field, of `len` bytes. `value` is not asked where the file ends before it.
    fn field(&mut self, len: usize, name: &str, value: impl FnOnce(&[u8]) -> String) {
        let (field, rest) = self.bytes.split_at(len.min(self.bytes.len()));
        let hex: Vec<String> = field.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = if field.len() == len { value(field) } else { "the file ends".to_owned() };
        self.rows.row([self.offset.to_string(), hex.join(" "), name.to_owned(), text]);
        self.offset += field.len() as u64;
        self.bytes = rest;
    }

    fn print(self) -> Result<(), Error> {
        print_table(&self.rows)
    }
}

fn print_table(rows: &Table) -> Result<(), Error> {
    Ok(cli::print(format!("{}\n", rows.render(Look::stdout())))?)
}

/// Says that there is more than was shown.
fn more(limit: usize, what: &str) -> Result<(), Error> {
    Ok(cli::print(format!("... (the first {limit} {what}; --limit N shows more)\n"))?)
}

/// A little-endian number, as decimals.
fn number(bytes: &[u8]) -> String {
    little_endian(bytes).to_string()
}

/// A little-endian number, as a checksum is written.
fn hex(bytes: &[u8]) -> String {
    format!("{:0width$x}", little_endian(bytes), width = 2 * bytes.len())
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn kind(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Put) => "put",
        Some(Kind::Delete) => "delete",
        Some(Kind::DeleteRange) => "delete up to",
        None => "unknown",
    }
}

/// The user's key, the number of the write, and its kind.
fn key_parts(key: &[u8]) -> [String; 3] {
    match InternalKey::new(key) {
        Some(key) => {
            let stamp = key.stamp();
            [shortened(key.user()), stamp.seq().0.to_string(), kind(stamp.kind()).to_owned()]
        }
        None => [shortened(key), "n/a".to_owned(), "too short for a key".to_owned()],
    }
}

fn shortened(bytes: &[u8]) -> String {
    match bytes.get(..SHOWN_BYTES) {
        Some(begin) if bytes.len() > SHOWN_BYTES => format!("{}... ({} bytes)", begin.escape_ascii(), bytes.len()),
        _ => bytes.escape_ascii().to_string(),
    }
}

fn title(path: &Path, what: &str, len_bytes: u64) -> Result<(), Error> {
    Ok(cli::print(format!("{}: {what}, {len_bytes} bytes\n", path.display()))?)
}
