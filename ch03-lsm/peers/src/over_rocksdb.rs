//! RocksDB, with leveled compaction and the options that its tuning guide recommends.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use ch03_lsm::bench::engine::{Cursor, Engine, Settings};
use ch03_lsm::bench::workloads::Key;
use ch03_lsm::error::Error;
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, DBRawIterator, Options, WaitForCompactOptions, WriteBatch,
    WriteOptions,
};

/// An open RocksDB.
pub struct RocksDb {
    db: DB,
    unsynced: WriteOptions,
    synced: WriteOptions,
}

/// A place among its keys.
pub struct RocksDbCursor<'a>(DBRawIterator<'a>);

impl Engine for RocksDb {
    type Cursor<'a> = RocksDbCursor<'a>;

    const NAME: &'static str = "rocksdb";

    fn open(dir: &Path, settings: &Settings) -> Result<Self, Error> {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&Cache::new_lru_cache(settings.cache_bytes));
        blocks.set_bloom_filter(settings.bloom_bits as f64, false);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&blocks);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_write_buffer_size(settings.memtable_bytes);
        // Those that wait, and the one that is written to.
        options.set_max_write_buffer_number(int(settings.immutable_memtables + 1));
        options.set_max_background_jobs(int(settings.threads));
        options.set_level_compaction_dynamic_level_bytes(true);
        let [compact, slowdown, stop] = settings.level0.map(int);
        options.set_level_zero_file_num_compaction_trigger(compact);
        options.set_level_zero_slowdown_writes_trigger(slowdown);
        options.set_level_zero_stop_writes_trigger(stop);
        options.set_target_file_size_base(settings.table_bytes);
        options.set_max_bytes_for_level_base(settings.level1_bytes);
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        let db = DB::open(&options, dir).map_err(failed)?;
        Ok(Self { db, unsynced: WriteOptions::default(), synced })
    }

    fn put(&self, key: &[u8], value: &[u8], sync: bool) -> Result<(), Error> {
        let options = if sync { &self.synced } else { &self.unsynced };
        self.db.put_opt(key, value, options).map_err(failed)
    }

    fn delete(&self, key: &[u8]) -> Result<(), Error> {
        self.db.delete_opt(key, &self.unsynced).map_err(failed)
    }

    fn write(&self, entries: &[(Key, &[u8])]) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        for (key, value) in entries {
            batch.put(key, value);
        }
        self.db.write_opt(batch, &self.unsynced).map_err(failed)
    }

    fn get(&self, key: &[u8], _: &mut Vec<u8>) -> Result<bool, Error> {
        // Pinned: lent from the block cache, without a copy.
        let value = self.db.get_pinned(key).map_err(failed)?;
        Ok(black_box(value.as_ref().map(|value| value.first())).is_some())
    }

    fn cursor(&self) -> RocksDbCursor<'_> {
        RocksDbCursor(self.db.raw_iterator())
    }

    fn settle(&self) -> Result<Instant, Error> {
        let mut options = WaitForCompactOptions::default();
        options.set_flush(true);
        self.db.wait_for_compact(&options).map_err(failed)?;
        Ok(Instant::now())
    }

    fn close(self) -> Result<(), Error> {
        Ok(())
    }
}

impl RocksDbCursor<'_> {
    /// Beyond the end there may have been an error instead.
    #[inline]
    fn check(&self) -> Result<(), Error> {
        if self.0.valid() { Ok(()) } else { self.0.status().map_err(failed) }
    }
}

impl Cursor for RocksDbCursor<'_> {
    fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    fn value(&self) -> &[u8] {
        self.0.value().expect("it is at a key")
    }

    fn seek_to_first(&mut self) -> Result<(), Error> {
        self.0.seek_to_first();
        self.check()
    }

    fn seek_to_last(&mut self) -> Result<(), Error> {
        self.0.seek_to_last();
        self.check()
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), Error> {
        self.0.seek(key);
        self.check()
    }

    fn next(&mut self) -> Result<(), Error> {
        self.0.next();
        self.check()
    }

    fn prev(&mut self) -> Result<(), Error> {
        self.0.prev();
        self.check()
    }
}

fn int(number: usize) -> i32 {
    i32::try_from(number).expect("a small number")
}

fn failed(error: rocksdb::Error) -> Error {
    Error::Cannot(format!("rocksdb: {error}"))
}
