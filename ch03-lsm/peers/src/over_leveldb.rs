//! LevelDB, as the system has it, over the few functions of its C interface (`leveldb/c.h`) that workloads need.
#![expect(unsafe_code, reason = "LevelDB has a C interface")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::hint::black_box;
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::time::{Duration, Instant};

use ch03_lsm::bench::engine::{Cursor, Engine, Settings};
use ch03_lsm::bench::meter::Reading;
use ch03_lsm::bench::workloads::Key;
use ch03_lsm::error::Error;

/// How long nothing may happen before it counts as settled: when no level is over its limit, and when one is, so that a thread may
/// be waiting for the disk.
const QUIET: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// How often it is looked whether anything happens.
const LOOK: Duration = Duration::from_millis(10);

/// A process that has used more than this between two looks does something.
const IDLE_CPU: Duration = Duration::from_millis(2);

/// How many tables of level 0 begin a compaction, and the bytes of level 1 that do, in MiB; each level holds ten times more than
/// the one above. They are fixed in LevelDB's sources (`config::kL0_CompactionTrigger`, `MaxBytesForLevel`).
const LIMITS: (u64, u64) = (4, 10);

/// A type of LevelDB's that is known by its address alone.
macro_rules! opaque {
    ($($name:ident)*) => {
        $(#[repr(C)]
        struct $name {
            _private: [u8; 0],
        })*
    };
}

opaque!(CDb CIterator CBatch COptions CRead CWrite CCache CFilter);

type Failure = *mut c_char;

#[link(name = "leveldb")]
unsafe extern "C" {
    fn leveldb_open(options: *const COptions, name: *const c_char, failure: *mut Failure) -> *mut CDb;
    fn leveldb_close(db: *mut CDb);
    fn leveldb_put(
        db: *mut CDb,
        options: *const CWrite,
        key: *const u8,
        key_len: usize,
        value: *const u8,
        value_len: usize,
        failure: *mut Failure,
    );
    fn leveldb_delete(db: *mut CDb, options: *const CWrite, key: *const u8, len: usize, failure: *mut Failure);
    fn leveldb_write(db: *mut CDb, options: *const CWrite, batch: *mut CBatch, failure: *mut Failure);
    fn leveldb_get(
        db: *mut CDb,
        options: *const CRead,
        key: *const u8,
        len: usize,
        value_len: *mut usize,
        failure: *mut Failure,
    ) -> *mut u8;
    fn leveldb_property_value(db: *mut CDb, name: *const c_char) -> *mut c_char;
    fn leveldb_compact_range(db: *mut CDb, from: *const u8, from_len: usize, to: *const u8, to_len: usize);
    fn leveldb_create_iterator(db: *mut CDb, options: *const CRead) -> *mut CIterator;
    fn leveldb_iter_destroy(iterator: *mut CIterator);
    fn leveldb_iter_valid(iterator: *const CIterator) -> u8;
    fn leveldb_iter_seek_to_first(iterator: *mut CIterator);
    fn leveldb_iter_seek_to_last(iterator: *mut CIterator);
    fn leveldb_iter_seek(iterator: *mut CIterator, key: *const u8, len: usize);
    fn leveldb_iter_next(iterator: *mut CIterator);
    fn leveldb_iter_prev(iterator: *mut CIterator);
    fn leveldb_iter_key(iterator: *const CIterator, len: *mut usize) -> *const u8;
    fn leveldb_iter_value(iterator: *const CIterator, len: *mut usize) -> *const u8;
    fn leveldb_iter_get_error(iterator: *const CIterator, failure: *mut Failure);
    fn leveldb_writebatch_create() -> *mut CBatch;
    fn leveldb_writebatch_destroy(batch: *mut CBatch);
    fn leveldb_writebatch_put(batch: *mut CBatch, key: *const u8, key_len: usize, value: *const u8, value_len: usize);
    fn leveldb_options_create() -> *mut COptions;
    fn leveldb_options_destroy(options: *mut COptions);
    fn leveldb_options_set_create_if_missing(options: *mut COptions, is_set: u8);
    fn leveldb_options_set_write_buffer_size(options: *mut COptions, bytes: usize);
    fn leveldb_options_set_max_file_size(options: *mut COptions, bytes: usize);
    fn leveldb_options_set_cache(options: *mut COptions, cache: *mut CCache);
    fn leveldb_options_set_filter_policy(options: *mut COptions, filter: *mut CFilter);
    fn leveldb_options_set_compression(options: *mut COptions, compression: c_int);
    fn leveldb_filterpolicy_create_bloom(bits_per_key: c_int) -> *mut CFilter;
    fn leveldb_filterpolicy_destroy(filter: *mut CFilter);
    fn leveldb_cache_create_lru(bytes: usize) -> *mut CCache;
    fn leveldb_cache_destroy(cache: *mut CCache);
    fn leveldb_readoptions_create() -> *mut CRead;
    fn leveldb_readoptions_destroy(options: *mut CRead);
    fn leveldb_writeoptions_create() -> *mut CWrite;
    fn leveldb_writeoptions_destroy(options: *mut CWrite);
    fn leveldb_writeoptions_set_sync(options: *mut CWrite, is_set: u8);
    fn leveldb_free(memory: *mut std::ffi::c_void);
}

/// An open LevelDB.
///
/// **Invariant**: all pointers are what LevelDB has created, and are destroyed once, when it is dropped.
pub struct LevelDb {
    db: *mut CDb,
    cache: *mut CCache,
    filter: *mut CFilter,
    read: *mut CRead,
    unsynced: *mut CWrite,
    synced: *mut CWrite,
}

// SAFETY: LevelDB documents a database as safe for concurrent use without further locks; what else is pointed at is not changed
// after it has been set up.
unsafe impl Sync for LevelDb {}

/// A place among its keys.
///
/// **Invariant**: the iterator was created by LevelDB, and the database outlives it.
pub struct LevelDbCursor<'a> {
    iterator: *mut CIterator,
    _db: PhantomData<&'a LevelDb>,
}

impl Engine for LevelDb {
    type Cursor<'a> = LevelDbCursor<'a>;

    const NAME: &'static str = "leveldb";

    fn open(dir: &Path, settings: &Settings) -> Result<Self, Error> {
        let name =
            CString::new(dir.as_os_str().as_bytes()).map_err(|error| Error::Cannot(format!("leveldb: {error}")))?;
        let mut failure = ptr::null_mut();
        // SAFETY: every pointer is a new one of LevelDB's; cache and filter live until after the database is closed; the options are
        // copied by leveldb_open; the name ends in a zero.
        let opened = unsafe {
            let cache = leveldb_cache_create_lru(settings.cache_bytes);
            let filter = leveldb_filterpolicy_create_bloom(settings.bloom_bits as c_int);
            let options = leveldb_options_create();
            leveldb_options_set_create_if_missing(options, 1);
            leveldb_options_set_write_buffer_size(options, settings.memtable_bytes);
            // Its default, 2 MiB, is for memtables of 4: with large ones, reads and writes are faster with large tables.
            leveldb_options_set_max_file_size(options, settings.table_bytes as usize);
            leveldb_options_set_cache(options, cache);
            leveldb_options_set_filter_policy(options, filter);
            // Debian's can compress with snappy or not at all.
            leveldb_options_set_compression(options, 1);
            let synced = leveldb_writeoptions_create();
            leveldb_writeoptions_set_sync(synced, 1);
            let db = leveldb_open(options, name.as_ptr(), &raw mut failure);
            leveldb_options_destroy(options);
            Self {
                db,
                cache,
                filter,
                read: leveldb_readoptions_create(),
                unsynced: leveldb_writeoptions_create(),
                synced,
            }
        };
        check(failure)?;
        Ok(opened)
    }

    fn put(&self, key: &[u8], value: &[u8], sync: bool) -> Result<(), Error> {
        let options = if sync { self.synced } else { self.unsynced };
        let mut failure = ptr::null_mut();
        // SAFETY: the database is open, and key and value are as long as is said.
        unsafe {
            leveldb_put(self.db, options, key.as_ptr(), key.len(), value.as_ptr(), value.len(), &raw mut failure);
        }
        check(failure)
    }

    fn delete(&self, key: &[u8]) -> Result<(), Error> {
        let mut failure = ptr::null_mut();
        // SAFETY: the database is open, and the key is as long as is said.
        unsafe { leveldb_delete(self.db, self.unsynced, key.as_ptr(), key.len(), &raw mut failure) };
        check(failure)
    }

    fn write(&self, entries: &[(Key, &[u8])]) -> Result<(), Error> {
        let mut failure = ptr::null_mut();
        // SAFETY: the batch copies what is put into it, is written once and destroyed once.
        unsafe {
            let batch = leveldb_writebatch_create();
            for (key, value) in entries {
                leveldb_writebatch_put(batch, key.as_ptr(), key.len(), value.as_ptr(), value.len());
            }
            leveldb_write(self.db, self.unsynced, batch, &raw mut failure);
            leveldb_writebatch_destroy(batch);
        }
        check(failure)
    }

    fn get(&self, key: &[u8], _: &mut Vec<u8>) -> Result<bool, Error> {
        let (mut failure, mut len) = (ptr::null_mut(), 0);
        // SAFETY: the database is open, and the key is as long as is said.
        let value = unsafe { leveldb_get(self.db, self.read, key.as_ptr(), key.len(), &raw mut len, &raw mut failure) };
        check(failure)?;
        black_box(len);
        let is_found = !value.is_null();
        // SAFETY: it was allocated for the caller, who frees it; a null pointer is nothing to free.
        unsafe { leveldb_free(value.cast()) };
        Ok(is_found)
    }

    fn cursor(&self) -> LevelDbCursor<'_> {
        // SAFETY: the database is open, and outlives the cursor by its lifetime.
        let iterator = unsafe { leveldb_create_iterator(self.db, self.read) };
        LevelDbCursor { iterator, _db: PhantomData }
    }

    fn settle(&self) -> Result<Instant, Error> {
        // There is no call for a flush; but asking to compact a range in which nothing is does that first, and nothing else.
        let (from, to) = ([0xff_u8; 32], [0xff_u8; 33]);
        // SAFETY: the database is open, and the keys are as long as is said.
        unsafe { leveldb_compact_range(self.db, from.as_ptr(), from.len(), to.as_ptr(), to.len()) };
        // Nor is there one to wait for compactions: it has settled when its statistics do not change and no thread does anything.
        let (mut last, mut before, mut cpu) = (Instant::now(), String::new(), Reading::now().cpu);
        loop {
            std::thread::sleep(LOOK);
            let (now, used) = (self.stats(), Reading::now().cpu);
            if now != before || used.saturating_sub(cpu) > IDLE_CPU {
                last = Instant::now();
            }
            let quiet = if is_over_a_limit(&now) { QUIET.1 } else { QUIET.0 };
            if last.elapsed() > quiet {
                return Ok(last);
            }
            (before, cpu) = (now, used);
        }
    }

    fn close(self) -> Result<(), Error> {
        Ok(())
    }
}

impl LevelDb {
    fn stats(&self) -> String {
        // SAFETY: the name ends in a zero; what is returned, if anything is, ends in one too and is freed by the caller.
        unsafe {
            let value = leveldb_property_value(self.db, c"leveldb.stats".as_ptr());
            if value.is_null() {
                return String::new();
            }
            let text = CStr::from_ptr(value).to_string_lossy().into_owned();
            leveldb_free(value.cast());
            text
        }
    }
}

impl Drop for LevelDb {
    fn drop(&mut self) {
        // SAFETY: each is destroyed once, the database, which uses the others, before them; it is null if it could not be opened.
        unsafe {
            if !self.db.is_null() {
                leveldb_close(self.db);
            }
            leveldb_cache_destroy(self.cache);
            leveldb_filterpolicy_destroy(self.filter);
            leveldb_readoptions_destroy(self.read);
            leveldb_writeoptions_destroy(self.unsynced);
            leveldb_writeoptions_destroy(self.synced);
        }
    }
}

impl LevelDbCursor<'_> {
    /// Beyond the end there may have been an error instead.
    #[inline]
    fn check(&self) -> Result<(), Error> {
        let mut failure = ptr::null_mut();
        // SAFETY: the iterator is there until the cursor is dropped.
        unsafe {
            if leveldb_iter_valid(self.iterator) == 0 {
                leveldb_iter_get_error(self.iterator, &raw mut failure);
            }
        }
        check(failure)
    }

    fn lent(&self, part: unsafe extern "C" fn(*const CIterator, *mut usize) -> *const u8) -> &[u8] {
        let mut len = 0;
        // SAFETY: only called at a key; what is lent stays where it is until the iterator is moved, for which `self` must be free.
        unsafe { std::slice::from_raw_parts(part(self.iterator, &raw mut len), len) }
    }

    fn is_at_key(&self) -> bool {
        // SAFETY: the iterator is there until the cursor is dropped.
        unsafe { leveldb_iter_valid(self.iterator) != 0 }
    }
}

impl Cursor for LevelDbCursor<'_> {
    fn key(&self) -> Option<&[u8]> {
        self.is_at_key().then(|| self.lent(leveldb_iter_key))
    }

    fn value(&self) -> &[u8] {
        assert!(self.is_at_key(), "a value is asked for at a key");
        self.lent(leveldb_iter_value)
    }

    fn seek_to_first(&mut self) -> Result<(), Error> {
        // SAFETY: the iterator is there until the cursor is dropped.
        unsafe { leveldb_iter_seek_to_first(self.iterator) };
        self.check()
    }

    fn seek_to_last(&mut self) -> Result<(), Error> {
        // SAFETY: the iterator is there until the cursor is dropped.
        unsafe { leveldb_iter_seek_to_last(self.iterator) };
        self.check()
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), Error> {
        // SAFETY: the iterator is there until the cursor is dropped, and the key is as long as is said.
        unsafe { leveldb_iter_seek(self.iterator, key.as_ptr(), key.len()) };
        self.check()
    }

    fn next(&mut self) -> Result<(), Error> {
        assert!(self.is_at_key(), "next() from a key");
        // SAFETY: the iterator is at a key.
        unsafe { leveldb_iter_next(self.iterator) };
        self.check()
    }

    fn prev(&mut self) -> Result<(), Error> {
        assert!(self.is_at_key(), "prev() from a key");
        // SAFETY: the iterator is at a key.
        unsafe { leveldb_iter_prev(self.iterator) };
        self.check()
    }
}

impl Drop for LevelDbCursor<'_> {
    fn drop(&mut self) {
        // SAFETY: it was created by LevelDB, and is destroyed once.
        unsafe { leveldb_iter_destroy(self.iterator) };
    }
}

/// Whether a level holds more than it may, so that a compaction has to come: by the lines of `leveldb.stats`, which have the level,
/// its tables and its MiB first.
fn is_over_a_limit(stats: &str) -> bool {
    let (level0_tables, level1_mib) = LIMITS;
    stats.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace().map(str::parse::<u64>);
        match (fields.next(), fields.next(), fields.next()) {
            (Some(Ok(0)), Some(Ok(tables)), _) => tables >= level0_tables,
            // The last level has no limit.
            (Some(Ok(level @ 1..=5)), _, Some(Ok(mib))) => mib >= level1_mib * 10_u64.pow(level as u32 - 1),
            _ => false,
        }
    })
}

/// An error is a text that the caller frees.
#[inline]
fn check(failure: Failure) -> Result<(), Error> {
    if failure.is_null() {
        return Ok(());
    }
    // SAFETY: LevelDB has allocated a text that ends in a zero, and left it to the caller.
    let text = unsafe {
        let text = CStr::from_ptr(failure).to_string_lossy().into_owned();
        leveldb_free(failure.cast());
        text
    };
    Err(Error::Cannot(format!("leveldb: {text}")))
}
