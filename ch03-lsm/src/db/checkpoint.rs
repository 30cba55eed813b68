//! Checkpoints: a copy of a tree that takes no time, since tables never change and may have two names.
//!
//! Everything is written out to tables, each of which gets a second name in a directory of its own (a hard link), and a manifest
//! there says which they are. What the tree compacts away afterwards loses its name here, and keeps the one there (DDIA ch. 3,
//! "Making an LSM-tree out of SSTables", on files that are never modified).
//!
//! ```text
//! 1  the directory, durable       empty: as if it were not there
//! 2  tables linked, durable       no manifest: whoever opens it is refused
//! 3  manifest, durable            it counts
//! ```
//!
//! So no crash leaves anything that looks like a copy and is none.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use common::disk::create_dir_durably;

use super::Inner;
use super::open::begin_manifest;
use crate::error::Error;
use crate::storage::files::{MANIFEST, table_path};

impl Inner {
    pub(super) fn checkpoint(&self, dir: &Path) -> Result<(), Error> {
        let is_there = self.disk.exists(dir).map_err(Error::io("look for", dir))?;
        if is_there && !self.disk.list(dir).map_err(Error::io("list", dir))?.is_empty() {
            return Err(Error::CheckpointExists { dir: dir.to_owned() });
        }
        self.flush()?;
        // As long as the view is held, so are the files of its tables.
        let (state, view) = {
            let work = self.work();
            (work.state.clone(), self.view())
        };
        let number = state.next_file.max(1);
        let mut state = state;
        (state.wal, state.next_file) = (number, number + 1);
        let made = (|| {
            create_dir_durably(&*self.disk, dir).map_err(Error::io("create", dir))?;
            for table in view.version.tables.iter().flatten() {
                let link = table_path(dir, table.id);
                self.disk.hard_link(&table.path(), &link).map_err(|error| match error.kind() {
                    ErrorKind::CrossesDevices => Error::OtherFileSystem { dir: dir.to_owned(), tree: self.dir.clone() },
                    _ => Error::Io { action: "link", path: link.clone(), source: Arc::new(error) },
                })?;
            }
            self.disk.sync_dir(dir).map_err(Error::io("sync", dir))?;
            let mut manifest = begin_manifest(&*self.disk, dir, number, &state, self.options.salt)?;
            Ok(manifest.seal()?)
        })();
        if made.is_err() {
            // The manifest first: without it, what is left is refused.
            let tables = view.version.tables.iter().flatten().map(|table| table_path(dir, table.id));
            for path in std::iter::once(MANIFEST.path(dir, number)).chain(tables) {
                let _: std::io::Result<()> = self.disk.remove(&path);
            }
        }
        made
    }
}
