//! The stage: a directory that goes when the tour ends, and what scenes fill it with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::disk::{CountedDisk, Disk, RealDisk};
use tempfile::TempDir;

use crate::db::{Db, Options};
use crate::engine::leveled::Leveled;
use crate::error::Error;

/// What scenes share.
#[derive(Debug)]
pub(super) struct Stage {
    dir: TempDir,
}

impl Stage {
    /// An empty directory.
    pub(super) fn new() -> Result<Self, Error> {
        let dir = tempfile::Builder::new().prefix("ch03-lsm-tour-").tempdir();
        Ok(Self { dir: dir.map_err(Error::system("make a temporary directory"))? })
    }

    /// A directory for one store.
    pub(super) fn dir(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// A real disk, and the same with its operations counted.
pub(super) fn counted() -> (CountedDisk, Arc<dyn Disk>) {
    let counted = CountedDisk::new(Arc::new(RealDisk::new()));
    (counted.clone(), Arc::new(counted))
}

/// A tree so small that its levels can be watched: memtables of 64 KiB, and nothing happens in the background.
pub(super) fn small_options() -> Options {
    Options {
        memtable_bytes: 64 << 10,
        strategy: Arc::new(Leveled { level0_tables: 4, base_bytes: 128 << 10, growth: 4, table_bytes: 32 << 10 }),
        threads: 0,
        salt: 3,
        ..Options::default()
    }
}

/// Opens such a tree.
pub(super) fn small_tree(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Db, Error> {
    Ok(Db::open(disk, dir, small_options())?.0)
}

/// The nth key of a shuffled sequence: every number below `keys` comes once before any comes twice, if `keys` is no multiple
/// of 7919.
pub(super) fn shuffled_key(n: u64, keys: u64) -> Vec<u8> {
    format!("user{:06}", n * 7919 % keys).into_bytes()
}

/// A value that says which write it is of.
pub(super) fn value(n: u64) -> Vec<u8> {
    format!("{{\"write\":{n:08},\"note\":\"{}\"}}", "a few words that repeat ".repeat(2)).into_bytes()
}

/// Bytes as a hex dump: offsets, bytes, and what can be read of them.
pub(super) fn hex_dump(bytes: &[u8], offset: u64) -> String {
    let mut text = String::new();
    for (index, row) in bytes.chunks(16).enumerate() {
        let hex: String = row.iter().map(|byte| format!("{byte:02x} ")).collect();
        let readable: String =
            row.iter().map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { *byte as char } else { '.' }).collect();
        text.push_str(&format!("{:06x}  {hex:48} {readable}\n", offset + index as u64 * 16));
    }
    text
}

/// How many bytes the files of a directory have.
pub(super) fn stored_bytes(dir: &Path) -> Result<u64, Error> {
    let entries = std::fs::read_dir(dir).map_err(Error::io("list", dir))?;
    let lens = entries.map(|entry| entry.and_then(|entry| entry.metadata()).map(|metadata| metadata.len()));
    lens.sum::<Result<u64, _>>().map_err(Error::io("measure", dir))
}
