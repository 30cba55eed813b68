//! fjall, with its leveled compaction.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ch03_lsm::bench::engine::{Cursor, Engine, Settings};
use ch03_lsm::bench::workloads::Key;
use ch03_lsm::error::Error;
use fjall::compaction::Leveled;
use fjall::config::{BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{CompressionType, Database, Guard, Iter, Keyspace, KeyspaceCreateOptions, PersistMode, UserKey, UserValue};

/// How long nothing may happen before it counts as settled, and how often that is looked at. Its threads take up what is queued at
/// once, and there is no telling how much is queued.
const QUIET: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(1));

/// An open fjall, with one keyspace.
pub struct Fjall {
    db: Database,
    keyspace: Keyspace,
}

/// A place among its keys. fjall has iterators with two ends and no seeking: every seek makes one.
pub struct FjallCursor<'a> {
    keyspace: &'a Keyspace,
    iterator: Option<Iter>,
    entry: Option<(UserKey, UserValue)>,
}

impl Engine for Fjall {
    type Cursor<'a> = FjallCursor<'a>;

    const NAME: &'static str = "fjall";

    fn open(dir: &Path, settings: &Settings) -> Result<Self, Error> {
        let builder = Database::builder(dir).cache_size(settings.cache_bytes as u64).worker_threads(settings.threads);
        let db = builder.open().map_err(failed)?;
        let bloom = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(settings.bloom_bits as f32));
        let strategy = Leveled::default()
            .with_l0_threshold(u8::try_from(settings.level0[0]).expect("a small number"))
            .with_table_target_size(settings.table_bytes);
        let options = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(settings.memtable_bytes as u64)
                .filter_policy(FilterPolicy::all(bloom))
                // By default the first two levels are not compressed; here they are in every engine.
                .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
                .compaction_strategy(Arc::new(strategy))
        };
        let keyspace = db.keyspace("bench", options).map_err(failed)?;
        Ok(Self { db, keyspace })
    }

    fn put(&self, key: &[u8], value: &[u8], sync: bool) -> Result<(), Error> {
        self.keyspace.insert(key, value).map_err(failed)?;
        if sync { self.db.persist(PersistMode::SyncData).map_err(failed) } else { Ok(()) }
    }

    fn delete(&self, key: &[u8]) -> Result<(), Error> {
        self.keyspace.remove(key).map_err(failed)
    }

    fn write(&self, entries: &[(Key, &[u8])]) -> Result<(), Error> {
        // Like a single put, it reaches the system with a write, and not the disk.
        let mut batch = self.db.batch().durability(Some(PersistMode::Buffer));
        for (key, value) in entries {
            batch.insert(&self.keyspace, key.as_slice(), *value);
        }
        batch.commit().map_err(failed)
    }

    fn get(&self, key: &[u8], _: &mut Vec<u8>) -> Result<bool, Error> {
        // A slice of the block, without a copy.
        let value = self.keyspace.get(key).map_err(failed)?;
        Ok(black_box(value.as_ref().map(|value| value.first())).is_some())
    }

    fn cursor(&self) -> FjallCursor<'_> {
        FjallCursor { keyspace: &self.keyspace, iterator: None, entry: None }
    }

    fn settle(&self) -> Result<Instant, Error> {
        self.keyspace.rotate_memtable_and_wait().map_err(failed)?;
        let (quiet, between) = QUIET;
        let (mut last, mut before) = (Instant::now(), None);
        loop {
            let now = (self.db.compactions_completed(), self.keyspace.table_count(), self.db.journal_count());
            let is_busy = self.db.active_compactions() + self.db.outstanding_flushes() > 0;
            if is_busy || before != Some(now) {
                (last, before) = (Instant::now(), Some(now));
            }
            if last.elapsed() > quiet {
                return Ok(last);
            }
            std::thread::sleep(between);
        }
    }

    fn close(self) -> Result<(), Error> {
        Ok(())
    }
}

impl FjallCursor<'_> {
    fn take(&mut self, step: impl FnOnce(&mut Iter) -> Option<Guard>) -> Result<(), Error> {
        let guard = self.iterator.as_mut().and_then(step);
        self.entry = guard.map(|guard| guard.into_inner().map_err(failed)).transpose()?;
        Ok(())
    }
}

impl Cursor for FjallCursor<'_> {
    fn key(&self) -> Option<&[u8]> {
        self.entry.as_ref().map(|(key, _)| &**key)
    }

    fn value(&self) -> &[u8] {
        &self.entry.as_ref().expect("it is at a key").1
    }

    fn seek_to_first(&mut self) -> Result<(), Error> {
        self.iterator = Some(self.keyspace.iter());
        self.take(Iter::next)
    }

    fn seek_to_last(&mut self) -> Result<(), Error> {
        self.iterator = Some(self.keyspace.iter());
        self.take(Iter::next_back)
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), Error> {
        self.iterator = Some(self.keyspace.range(key..));
        self.take(Iter::next)
    }

    fn next(&mut self) -> Result<(), Error> {
        self.take(Iter::next)
    }

    fn prev(&mut self) -> Result<(), Error> {
        self.take(Iter::next_back)
    }
}

fn failed(error: fjall::Error) -> Error {
    Error::Cannot(format!("fjall: {error}"))
}
