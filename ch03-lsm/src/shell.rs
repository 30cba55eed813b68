//! The shell: a tree in a directory, read and written line by line.
//!
//! On a terminal it has a history; from a pipe it executes line after line, so that a script can be fed to it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use common::cli::{self, Look};
use common::disk::{Disk, RealDisk};

use crate::db::{Db, DbIterator, Options, Snapshot, WriteOptions};
use crate::error::Error;
use crate::picture;
use crate::storage::batch::Batch;
use crate::storage::table::{Compression, TableOptions};
use crate::verify;

/// How many entries `scan` shows when it is not told.
const SCAN_LIMIT: usize = 100;

const HELP: &str = "put KEY VALUE            get KEY             delete KEY
deleterange FROM TO      all keys from FROM up to TO, without TO
scan [FROM [TO [LIMIT]]] forwards, both included; rscan [FROM [TO [LIMIT]]]: backwards, from TO down to FROM
batch                    what follows happens together, until: commit, or: abort
snapshot NAME            then: at NAME get KEY, at NAME scan or rscan ..., release NAME
flush                    stats
compact [FROM TO]        everything, or what has keys from FROM up to TO, without TO
checkpoint DIR           a copy in a directory of its own, which shares the files
resume                   writes again, after the disk was full and there is room
sync on|off              whether writes are durable when they return
quit";

/// What `shell` is told.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ShellArgs {
    /// The directory of the tree; created if it is not there
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// A file that keeps what was typed for the next time; without it, history ends with the shell
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// How tables are compressed that are written from now on
    #[arg(long, value_name = "HOW", value_enum, default_value_t = CompressionArg::Lz4)]
    pub compression: CompressionArg,
}

/// [`Compression`], as a command line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompressionArg {
    /// Not at all
    None,
    /// For little time
    Lz4,
    /// For little space
    Zstd,
}

impl From<CompressionArg> for Compression {
    fn from(arg: CompressionArg) -> Self {
        match arg {
            CompressionArg::None => Self::None,
            CompressionArg::Lz4 => Self::Lz4,
            CompressionArg::Zstd => Self::Zstd,
        }
    }
}

const EXAMPLES: &str = "Examples:
  cargo run -p ch03-lsm -- shell --data /tmp/lsm
  printf 'put a 1\\nscan\\n' | cargo run -p ch03-lsm -- shell --data /tmp/lsm";

struct Session {
    db: Db,
    snapshots: BTreeMap<String, Snapshot>,
    batch: Option<Batch>,
    sync: bool,
}

/// Runs the shell until `quit` or the end of input.
///
/// # Errors
///
/// The tree cannot be opened or read, the terminal fails; from a pipe, also a line that makes no sense.
pub fn run(args: &ShellArgs) -> Result<(), Error> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    let table = TableOptions { compression: args.compression.into(), ..TableOptions::default() };
    let (db, recovered) = Db::open(&disk, &args.data, Options { table, salt: rand::random(), ..Options::default() })?;
    if let Some(tear) = verify::tear(recovered.torn.as_ref(), &recovered.given_up) {
        cli::print(tear)?;
    }
    let mut session = Session { db, snapshots: BTreeMap::new(), batch: None, sync: true };
    cli::converse(&mut session, args.history.as_deref())?;
    session.snapshots.clear();
    session.db.close()
}

impl cli::Session for Session {
    type Error = Error;

    fn prompt(&self) -> String {
        if self.batch.is_some() { "batch> ".to_owned() } else { "lsm> ".to_owned() }
    }

    fn execute(&mut self, line: &[u8]) -> Result<ControlFlow<()>, Error> {
        let line = String::from_utf8_lossy(line);
        let words: Vec<&str> = line.split_whitespace().collect();
        let options = WriteOptions { sync: self.sync };
        match *words {
            [] => {}
            ["quit" | "exit"] => return Ok(ControlFlow::Break(())),
            ["help"] => cli::print(HELP)?,
            ["put", key, ref value @ ..] if !value.is_empty() => {
                let value = value.join(" ");
                match &mut self.batch {
                    Some(batch) => batch.put(key.as_bytes(), value.as_bytes())?,
                    None => self.db.put(key.as_bytes(), value.as_bytes(), options)?,
                }
            }
            ["delete", key] => match &mut self.batch {
                Some(batch) => batch.delete(key.as_bytes())?,
                None => self.db.delete(key.as_bytes(), options)?,
            },
            ["deleterange", from, to] => match &mut self.batch {
                Some(batch) => batch.delete_range(from.as_bytes(), to.as_bytes())?,
                None => self.db.delete_range(from.as_bytes(), to.as_bytes(), options)?,
            },
            ["batch"] => _ = self.batch.get_or_insert_default(),
            ["commit"] => match self.batch.take() {
                Some(batch) => self.db.write(batch, options)?,
                None => return Err(Error::Cannot("there is no batch: begin one with: batch".to_owned())),
            },
            ["abort"] => self.batch = None,
            ["get", key] => print_value(self.db.get(key.as_bytes())?)?,
            ["scan", ref range @ ..] => scan(self.db.iter(), range, true)?,
            ["rscan", ref range @ ..] => scan(self.db.iter(), range, false)?,
            ["snapshot", name] => _ = self.snapshots.insert(name.to_owned(), self.db.snapshot()),
            ["release", name] => _ = self.snapshots.remove(name),
            ["at", name, ref rest @ ..] => {
                let Some(snapshot) = self.snapshots.get(name) else {
                    return Err(Error::Cannot(format!("there is no snapshot {name}: make one with: snapshot {name}")));
                };
                match *rest {
                    ["get", key] => print_value(self.db.get_at(snapshot, key.as_bytes())?)?,
                    ["scan", ref range @ ..] => scan(self.db.iter_at(snapshot), range, true)?,
                    ["rscan", ref range @ ..] => scan(self.db.iter_at(snapshot), range, false)?,
                    _ => return Err(Error::Cannot("at NAME get KEY, or at NAME scan ... is meant".to_owned())),
                }
            }
            ["flush"] => self.db.flush()?,
            ["compact"] => self.db.compact_range(None, None)?,
            ["compact", from, to] => self.db.compact_range(Some(from.as_bytes()), Some(to.as_bytes()))?,
            ["stats"] => {
                let look = Look::stdout();
                cli::print(format!("{}\n\n{}", stats(&self.db, look), picture::costs(&self.db.stats(), look)))?;
            }
            ["checkpoint", dir] => self.db.checkpoint(&PathBuf::from(dir))?,
            ["resume"] => self.db.resume()?,
            ["sync", "on"] => self.sync = true,
            ["sync", "off"] => self.sync = false,
            [word, ..] => return Err(Error::Cannot(format!("{word} is not understood so; help lists what is"))),
        }
        Ok(ControlFlow::Continue(()))
    }
}

fn print_value(value: Option<Vec<u8>>) -> Result<(), Error> {
    let text = value.map_or_else(|| "(nothing)".to_owned(), |value| value.escape_ascii().to_string());
    Ok(cli::print(text)?)
}

fn scan(mut iterator: DbIterator, range: &[&str], is_forward: bool) -> Result<(), Error> {
    let from = range.first().map_or(&[][..], |from| from.as_bytes());
    let to = range.get(1).map(|to| to.as_bytes());
    let limit = match range.get(2) {
        Some(limit) => limit.parse().map_err(|_| Error::Cannot(format!("{limit} is no number of entries")))?,
        None => SCAN_LIMIT,
    };
    match (is_forward, to) {
        (true, _) => iterator.seek(from)?,
        (false, Some(to)) => iterator.seek_for_prev(to)?,
        (false, None) => iterator.seek_to_last()?,
    }
    for _ in 0..limit {
        let Some(key) = iterator.key() else { return Ok(()) };
        if is_forward && to.is_some_and(|to| key > to) || !is_forward && key < from {
            return Ok(());
        }
        cli::print(format!("{} = {}", key.escape_ascii(), iterator.value().escape_ascii()))?;
        if is_forward { iterator.next()? } else { iterator.prev()? }
    }
    let is_within = |key: &[u8]| if is_forward { to.is_none_or(|to| key <= to) } else { key >= from };
    if iterator.key().is_some_and(is_within) {
        cli::print(format!("... (these are {limit}; name a LIMIT for more)"))?;
    }
    Ok(())
}

/// A picture of the levels, and how full they are.
pub fn stats(db: &Db, look: Look) -> String {
    format!("{}\n\n{}", picture::levels(&db.levels(), look), picture::fill(&db.stats(), look))
}
