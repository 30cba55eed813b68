//! The chapter's own tree as the workloads see it.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use common::cli::Look;
use common::disk::{Disk, RealDisk};

use super::engine::{Cursor, Engine, Settings};
use super::workloads::Key;
use crate::db::{Blocks, Db, DbIterator, Options, WriteOptions};
use crate::engine::leveled::Leveled;
use crate::error::Error;
use crate::storage::batch::Batch;
use crate::storage::table::{BlockCache, TableOptions};
use crate::verify;

/// What a put without a sync is.
const UNSYNCED: WriteOptions = WriteOptions { sync: false };

impl Engine for Db {
    type Cursor<'a> = DbIterator;

    const NAME: &'static str = "ch03-lsm";

    fn open(dir: &Path, settings: &Settings) -> Result<Self, Error> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
        let cache: Arc<dyn BlockCache> = Arc::new(Blocks::new(settings.cache_bytes));
        let [level0_tables, level0_slowdown, level0_stop] = settings.level0;
        let leveled = Leveled {
            level0_tables,
            base_bytes: settings.level1_bytes,
            table_bytes: settings.table_bytes,
            ..Leveled::default()
        };
        let options = Options {
            memtable_bytes: settings.memtable_bytes,
            immutable_memtables: settings.immutable_memtables,
            level0_slowdown,
            level0_stop,
            table: TableOptions { bits_per_key: settings.bloom_bits as f64, ..TableOptions::default() },
            strategy: Arc::new(leveled),
            cache,
            threads: settings.threads,
            salt: rand::random(),
            ..Options::default()
        };
        let (db, recovered) = Self::open(&disk, dir, options)?;
        // Not among the figures, which a program may read.
        if let Some(tear) = verify::tear(recovered.torn.as_ref(), &recovered.given_up) {
            eprintln!("{tear}");
        }
        Ok(db)
    }

    fn put(&self, key: &[u8], value: &[u8], sync: bool) -> Result<(), Error> {
        self.put(key, value, WriteOptions { sync })
    }

    fn delete(&self, key: &[u8]) -> Result<(), Error> {
        self.delete(key, UNSYNCED)
    }

    fn write(&self, entries: &[(Key, &[u8])]) -> Result<(), Error> {
        let mut batch = Batch::new();
        for (key, value) in entries {
            batch.put(key, value)?;
        }
        self.write(batch, UNSYNCED)
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool, Error> {
        let found = self.get(key)?;
        let is_found = found.is_some();
        *value = found.unwrap_or_default();
        Ok(is_found)
    }

    fn cursor(&self) -> DbIterator {
        self.iter()
    }

    fn settle(&self) -> Result<Instant, Error> {
        self.flush()?;
        self.settle()?;
        Ok(Instant::now())
    }

    fn close(self) -> Result<(), Error> {
        self.close()
    }

    fn picture(&self) -> Option<String> {
        Some(crate::shell::stats(self, Look::stdout()))
    }
}

impl Cursor for DbIterator {
    fn key(&self) -> Option<&[u8]> {
        self.key()
    }

    fn value(&self) -> &[u8] {
        self.value()
    }

    fn seek_to_first(&mut self) -> Result<(), Error> {
        self.seek_to_first()
    }

    fn seek_to_last(&mut self) -> Result<(), Error> {
        self.seek_to_last()
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), Error> {
        self.seek(key)
    }

    fn next(&mut self) -> Result<(), Error> {
        self.next()
    }

    fn prev(&mut self) -> Result<(), Error> {
        self.prev()
    }
}
