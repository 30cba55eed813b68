//! Checkpoints: a copy of a tree that takes no time, since tables never change and may have two names.
//!
//! Everything is written out to tables, each of which gets a second name in a directory of its own (a hard link), and a manifest
//! there says which they are. What the tree compacts away afterwards loses its name here, and keeps the one there (DDIA ch. 3,
//! "Making an LSM-tree out of SSTables", on files that are never modified).
//!
//! ```text
//! 1  the directory, its lock      nothing else: as if it were not there
//! 2  tables linked, durable       no manifest: whoever opens it is refused
//! 3  manifest, durable            it counts
//! ```
//!
//! So no crash leaves anything that looks like a copy and is none. The directory's lock is held from when it is found empty to the
//! end: of two who make a checkpoint in the same one, the other is refused, and finds nothing there that it might take for its
//! own. The file stays, as a tree's does: whoever removed it could let two in, each with the lock of another file.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::disk::log::LogError;
use common::disk::{Disk, create_dir_durably};

use super::Inner;
use super::open::begin_manifest;
use super::view::View;
use crate::error::Error;
use crate::storage::files::{LOCK_NAME, MANIFEST, lock, table_path};
use crate::storage::manifest::State;

impl Inner {
    pub(super) fn checkpoint(&self, dir: &Path) -> Result<(), Error> {
        // Before anything is made there: what is somebody else's gets no lock.
        check_free(&*self.disk, dir)?;
        self.flush()?;
        create_dir_durably(&*self.disk, dir).map_err(Error::io("create", dir))?;
        let _lock = lock(&*self.disk, dir)?;
        check_free(&*self.disk, dir)?;
        // As long as the view is held, so are the files of its tables.
        let (state, view) = {
            let work = self.work();
            (work.state.clone(), self.view())
        };
        let number = state.next_file.max(1);
        let mut state = state;
        (state.wal, state.next_file) = (number, number + 1);
        let mut made = Vec::new();
        let filled = self.fill(dir, &view, number, &state, &mut made);
        if filled.is_err() {
            // The manifest first: without it, what is left is refused.
            for path in made.iter().rev() {
                let _: std::io::Result<()> = self.disk.remove(path);
            }
        }
        filled
    }

    /// Links the view's tables, and writes the manifest. Every name that there is by this is in `made`, however it ends.
    fn fill(&self, dir: &Path, view: &View, number: u64, state: &State, made: &mut Vec<PathBuf>) -> Result<(), Error> {
        for table in view.version.tables.iter().flatten() {
            let link = table_path(dir, table.id);
            self.disk.hard_link(&table.path(), &link).map_err(|error| match error.kind() {
                ErrorKind::CrossesDevices => Error::OtherFileSystem { dir: dir.to_owned(), tree: self.dir.clone() },
                _ => Error::Io { action: "link", path: link.clone(), source: Arc::new(error) },
            })?;
            made.push(link);
        }
        self.disk.sync_dir(dir).map_err(Error::io("sync", dir))?;
        let manifest = begin_manifest(&*self.disk, dir, number, state, self.options.salt);
        if !matches!(&manifest, Err(Error::Log(error)) if is_taken(error)) {
            made.push(MANIFEST.path(dir, number));
        }
        Ok(manifest?.seal()?)
    }
}

/// Whether a log was not created, since there is one.
fn is_taken(error: &LogError) -> bool {
    matches!(error, LogError::Io { source, .. } if source.kind() == ErrorKind::AlreadyExists)
}

/// A lock alone is what an attempt leaves that came to nothing.
fn check_free(disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
    let is_there = disk.exists(dir).map_err(Error::io("look for", dir))?;
    if is_there && !disk.list(dir).map_err(Error::io("list", dir))?.iter().all(|path| path.ends_with(LOCK_NAME)) {
        return Err(Error::CheckpointExists { dir: dir.to_owned() });
    }
    Ok(())
}
