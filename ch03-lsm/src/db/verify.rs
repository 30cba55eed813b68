//! Verifying: everything that a directory holds is read, and changed nowhere: a lock file is all that is made.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::disk::Disk;
use common::disk::log::segments;

use super::open::read_manifests;
use crate::engine::bloom;
use crate::engine::cursor::Cursor;
use crate::engine::key::InternalKeyBuf;
use crate::engine::levels::TableMeta;
use crate::error::Error;
use crate::storage::files::{MANIFEST, WAL, lock_to_read, table_path};
use crate::storage::table::{NoCache, Table};
use crate::storage::wal_recovery::{RecoveryMode, Torn, replay};

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Tables.
    pub tables: u64,
    /// Their entries.
    pub entries: u64,
    /// Their range tombstones.
    pub range_tombstones: u64,
    /// Batches in write-ahead logs.
    pub batches: u64,
    /// Where the logs are torn, if they are. Nobody was promised what comes after it: it is no damage.
    pub torn: Option<Torn>,
    /// Logs after the one that is torn, which are given up with what follows the tear.
    pub given_up: Vec<PathBuf>,
}

/// Reads every table that the manifest names and every log, and checks checksums, order, counts, bounds and filters. Calls
/// `progress` after each table. It works where nothing can be written, too.
///
/// # Errors
///
/// The first damage.
pub fn verify(disk: &Arc<dyn Disk>, dir: &Path, progress: &mut dyn FnMut(&TableMeta)) -> Result<Verified, Error> {
    assert_tree(&**disk, dir)?;
    let _lock = lock_to_read(&**disk, dir)?;
    let (state, _) = read_manifests(&**disk, dir)?;
    let mut verified = Verified::default();
    for meta in state.levels.iter().flatten() {
        verify_table(disk, dir, meta)?;
        verified.tables += 1;
        verified.entries += meta.entries;
        verified.range_tombstones += meta.range_tombstones;
        progress(meta);
    }
    let wals: Vec<_> = segments(&**disk, dir, WAL)?.into_iter().filter(|(number, _)| *number >= state.wal).collect();
    let recovered = replay(&**disk, &wals, RecoveryMode::TolerateTornTail, state.seq, &mut |_, _| {})?;
    (verified.batches, verified.torn, verified.given_up) = (recovered.batches, recovered.torn, recovered.given_up);
    Ok(verified)
}

/// Whether there is a tree in `dir`.
///
/// # Errors
///
/// [`Error::Cannot`] when there is none.
pub(crate) fn assert_tree(disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
    if disk.exists(dir).map_err(Error::io("look for", dir))? && !segments(disk, dir, MANIFEST)?.is_empty() {
        return Ok(());
    }
    Err(Error::Cannot(format!("there is no tree in {}", dir.display())))
}

fn verify_table(disk: &Arc<dyn Disk>, dir: &Path, meta: &TableMeta) -> Result<(), Error> {
    let path = table_path(dir, meta.id);
    let table = Arc::new(Table::open(&**disk, &path, meta.id, Arc::new(NoCache))?);
    let mut cursor = table.cursor();
    let mut entries = 0;
    let (mut first, mut last): (Option<InternalKeyBuf>, Option<InternalKeyBuf>) = (None, None);
    let wrong = |offset, what: String| Error::Record { path: path.clone(), offset, what };
    cursor.seek_to_first()?;
    while let Some(key) = cursor.key() {
        let offset = cursor.block_offset();
        if last.as_ref().is_some_and(|last| last.as_key() >= key) {
            return Err(wrong(offset, format!("{key:?} does not come after {last:?}")));
        }
        if !table.may_contain(bloom::hash(key.user())) {
            return Err(wrong(offset, format!("{key:?}, which the table's filter denies")));
        }
        first = first.or_else(|| Some(key.into()));
        last = Some(key.into());
        entries += 1;
        cursor.next()?;
    }
    let ranges = table.ranges();
    let (begin, end) = ranges.span().unzip();
    let first = [first, begin].into_iter().flatten().min();
    let last = last.max(end);
    let counts = (entries, ranges.len() as u64);
    let said = (meta.entries, meta.range_tombstones);
    if counts != said || first.as_ref() != Some(&meta.smallest) || last.as_ref() != Some(&meta.largest) {
        let what = format!(
            "{} entries and {} range tombstones from {first:?} to {last:?}; the manifest says {} and {} from {:?} to {:?}",
            counts.0, counts.1, said.0, said.1, meta.smallest, meta.largest
        );
        return Err(wrong(meta.len_bytes, what));
    }
    Ok(())
}
