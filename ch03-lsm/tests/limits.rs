//! What the tree keeps within its limits: memory and open files, the rate of background writes, and how far writers get ahead.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ch03_lsm::db::{Blocks, Clock, Db, Options, WriteOptions};
use ch03_lsm::engine::compaction::{Choice, Strategy};
use ch03_lsm::engine::leveled::Leveled;
use ch03_lsm::engine::levels::{LEVELS, Levels, TableId};
use ch03_lsm::storage::table::{Compression, TableOptions};
use common::disk::{Disk, SimDisk};
use trees::{Model, OpenFiles, ToldClock, everything, options};

mod trees;

const ASYNC: WriteOptions = WriteOptions { sync: false };

fn fill(db: &Db, keys: u32, from: u32) -> Model {
    let mut model = Model::new();
    for number in 0..keys {
        let key = format!("key{:05}", number * 7919 % keys).into_bytes();
        let value = format!("{} {}", from + number, "v".repeat(60)).into_bytes();
        db.put(&key, &value, ASYNC).expect("a put");
        model.insert(key, value);
    }
    db.flush().expect("a flush");
    db.settle().expect("it settles");
    model
}

/// Many small tables, and room for a few of them.
fn crowded(threads: usize) -> Options {
    let strategy = Leveled { level0_tables: 2, base_bytes: 16 << 10, growth: 4, table_bytes: 1 << 10 };
    let table = TableOptions { block_bytes: 256, compression: Compression::None, ..TableOptions::default() };
    Options { strategy: Arc::new(strategy), table, open_tables: 8, table_cache_bytes: 1 << 30, threads, ..options() }
}

fn random(state: &mut u64, bound: u64) -> u64 {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    (*state >> 33) % bound
}

#[test]
fn two_hundred_tables_are_read_with_eight_open() {
    let sim: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    let files = OpenFiles::new(Arc::clone(&sim));
    let disk: Arc<dyn Disk> = Arc::new(files.clone());
    let dir = Path::new("/data");
    let (db, _) = Db::open(&disk, dir, crowded(0)).expect("it opens");
    let model = fill(&db, 3_000, 0);
    let tables: usize = db.stats().levels.iter().map(|level| level.tables).sum();
    assert!(tables >= 200, "{tables} tables");
    assert_eq!(files.now(), db.stats().tables.open, "what is counted as open is open, and nothing else");
    files.forget();
    let mut seed = 9;
    for _ in 0..3_000 {
        let key = format!("key{:05}", random(&mut seed, 3_100)).into_bytes();
        assert_eq!(db.get(&key).expect("a get"), model.get(&key).cloned());
        assert!(db.stats().tables.open <= 8);
    }
    // The ninth is opened before another one is closed.
    assert!(files.most() <= 9, "{} tables were open", files.most());
    files.forget();
    assert_eq!(everything(&db, None), model);
    // An iterator keeps the table open that it is in, of each level.
    assert!(files.most() <= 9 + LEVELS, "{} tables were open", files.most());
    assert!(db.stats().tables.closed > 1_000, "{:?}", db.stats().tables);
    let more = fill(&db, 1_000, 5_000);
    assert!(everything(&db, None).len() >= more.len());
    drop(db);
    assert_eq!(files.now(), 0, "all are closed");
    let (db, _) = Db::open(&disk, dir, crowded(0)).expect("it opens");
    assert!(files.now() <= 8, "a tree is opened without opening all of its tables");
    let on_disk =
        disk.list(dir).expect("a list").iter().filter(|path| path.extension() == Some("sst".as_ref())).count();
    assert_eq!(on_disk, db.stats().levels.iter().map(|level| level.tables).sum::<usize>(), "the obsolete are removed");
}

#[test]
fn indexes_and_filters_stay_within_their_memory() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    let limit = 20 << 10;
    let options = Options { open_tables: 1_000, table_cache_bytes: limit, ..crowded(0) };
    let (db, _) = Db::open(&disk, Path::new("/data"), options).expect("it opens");
    let model = fill(&db, 3_000, 0);
    let mut seed = 4;
    for _ in 0..2_000 {
        let key = format!("key{:05}", random(&mut seed, 3_000)).into_bytes();
        assert_eq!(db.get(&key).expect("a get"), model.get(&key).cloned());
        let tables = db.stats().tables;
        assert!(tables.used_bytes <= limit && tables.open > 2, "{tables:?}");
    }
    assert!(db.stats().tables.closed > 500);
}

#[test]
fn a_table_that_is_asked_again_and_again_stays_open() {
    let files = OpenFiles::new(Arc::new(SimDisk::new(1)));
    let disk: Arc<dyn Disk> = Arc::new(files);
    let (db, _) = Db::open(&disk, Path::new("/data"), crowded(0)).expect("it opens");
    fill(&db, 3_000, 0);
    let (mut seed, mut cold) = (4, 0);
    for _ in 0..1_000 {
        let before = db.stats().tables.opened;
        db.get(b"key00001").expect("a get");
        cold += db.stats().tables.opened - before;
        db.get(format!("key{:05}", random(&mut seed, 3_000)).as_bytes()).expect("a get");
    }
    assert!(cold < 150, "it was opened {cold} times in 1,000 gets");
}

#[test]
fn threads_read_and_write_a_crowded_tree_at_once() {
    let files = OpenFiles::new(Arc::new(SimDisk::new(1)));
    let disk: Arc<dyn Disk> = Arc::new(files.clone());
    let options = Options { open_tables: 4, ..crowded(2) };
    let (db, _) = Db::open(&disk, Path::new("/data"), options).expect("it opens");
    let model = fill(&db, 1_500, 0);
    std::thread::scope(|scope| {
        for thread in 0..3u64 {
            let (db, model) = (&db, &model);
            scope.spawn(move || {
                let mut seed = thread;
                for _ in 0..1_500 {
                    let key = format!("key{:05}", random(&mut seed, 1_500)).into_bytes();
                    let found = db.get(&key).expect("a get").expect("it is there");
                    assert!(found == model[&key] || found.starts_with(b"again"));
                }
            });
        }
        let db = &db;
        scope.spawn(move || {
            for number in 0..1_500u32 {
                let key = format!("key{number:05}").into_bytes();
                db.put(&key, format!("again {}", "w".repeat(60)).as_bytes(), ASYNC).expect("a put");
            }
        });
    });
    db.settle().expect("it settles");
    assert!(db.stats().tables.open <= 4);
    assert_eq!(files.now(), db.stats().tables.open, "no table stays open that nobody reads");
}

#[test]
fn background_writes_keep_their_rate_by_the_clock_that_is_told() {
    let clock = ToldClock::new(0);
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    let shared: Arc<dyn Clock> = Arc::<ToldClock>::clone(&clock);
    let options = Options { rate_limit_bytes_per_s: Some(10_000), clock: shared, ..options() };
    let (db, _) = Db::open(&disk, Path::new("/data"), options).expect("it opens");
    fill(&db, 2_000, 0);
    let work = db.stats().work;
    let written = work.flushed_bytes + work.compaction_written_bytes;
    let expected = written as f64 / 10_000.0;
    let passed = clock.now().as_secs_f64();
    assert!(expected > 10.0 && (passed - expected).abs() < 1.0, "{written} bytes took {passed} s, not {expected}");
}

#[test]
fn without_a_rate_nobody_waits() {
    let clock = ToldClock::new(0);
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    let shared: Arc<dyn Clock> = Arc::<ToldClock>::clone(&clock);
    let (db, _) = Db::open(&disk, Path::new("/data"), Options { clock: shared, ..options() }).expect("it opens");
    fill(&db, 2_000, 0);
    assert_eq!(clock.waits(), 0);
}

#[test]
fn a_tree_that_is_closed_wakes_who_waits_for_the_rate() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    // By the real clock a table takes about an hour at this rate.
    let options = Options { rate_limit_bytes_per_s: Some(1), threads: 1, immutable_memtables: 100, ..options() };
    let (db, _) = Db::open(&disk, Path::new("/data"), options).expect("it opens");
    for number in 0..200u32 {
        db.put(&number.to_be_bytes(), &[b'v'; 100], ASYNC).expect("a put");
    }
    db.close().expect("it closes");
    let (db, _) = Db::open(&disk, Path::new("/data"), trees::options()).expect("it opens");
    assert_eq!(everything(&db, None).len(), 200);
}

#[test]
fn a_merge_that_is_under_way_when_a_tree_is_closed_is_given_up() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    let leveled = Leveled { level0_tables: 2, ..Leveled::default() };
    let table = TableOptions { compression: Compression::None, ..TableOptions::default() };
    let options = |threads: usize, rate_limit_bytes_per_s: Option<u64>| {
        let strategy = Arc::new(leveled);
        Options { strategy, table, memtable_bytes: 64 << 20, threads, rate_limit_bytes_per_s, ..options() }
    };
    let open = |options: Options| Db::open(&disk, Path::new("/data"), options).expect("it opens").0;
    let db = open(options(0, None));
    // The oldest is moved out of level 0 as it is; two are left to be merged with it.
    for table in 0..3u8 {
        for number in 0..2_000u32 {
            db.put(&number.to_be_bytes(), &[table; 1_000], ASYNC).expect("a put");
        }
        db.flush().expect("a flush");
    }
    db.close().expect("it closes");
    // By the real clock the first mebibyte takes days at this rate.
    let db = open(options(1, Some(1)));
    while db.stats().running == 0 {
        std::thread::yield_now();
    }
    db.close().expect("it closes");
    let db = open(options(0, None));
    assert_eq!(db.stats().levels[0].tables, 2, "nothing was merged");
    let tables = disk.list(Path::new("/data")).expect("a list");
    let tables = tables.iter().filter(|path| path.extension().is_some_and(|extension| extension == "sst"));
    assert_eq!(tables.count(), 3, "and nothing is left of what was begun");
    db.settle().expect("it settles");
    assert_eq!(db.stats().levels[0].tables, 0);
    let all = everything(&db, None);
    assert_eq!(all.len(), 2_000);
    assert!(all.values().all(|value| *value == [2; 1_000]));
}

/// Compacts nothing, or one table after the other, and reports a debt.
#[derive(Debug)]
struct Indebted {
    debt_bytes: u64,
    leveled: Option<Leveled>,
}

impl Strategy for Indebted {
    fn choose(&self, levels: &Levels, busy: &BTreeSet<TableId>) -> Choice {
        self.leveled.map_or(Choice::Nothing, |leveled| leveled.choose(levels, busy))
    }

    fn debt_bytes(&self, levels: &Levels) -> u64 {
        if levels.level(0).is_empty() { 0 } else { self.debt_bytes }
    }
}

fn indebted(debt_bytes: u64, threads: usize, leveled: Option<Leveled>) -> (Db, Arc<ToldClock>) {
    let clock = ToldClock::new(0);
    let shared: Arc<dyn Clock> = Arc::<ToldClock>::clone(&clock);
    let strategy = Arc::new(Indebted { debt_bytes, leveled });
    let (debt_slowdown_bytes, debt_stop_bytes) = (1_000, 2_000);
    let options = Options { strategy, threads, clock: shared, debt_slowdown_bytes, debt_stop_bytes, ..options() };
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    (Db::open(&disk, Path::new("/data"), options).expect("it opens").0, clock)
}

#[test]
fn a_debt_slows_each_write_down_by_a_millisecond() {
    for (debt_bytes, is_slow) in [(999, false), (1_000, true)] {
        let (db, clock) = indebted(debt_bytes, 1, None);
        db.put(b"a", b"1", ASYNC).expect("a put");
        db.flush().expect("a flush");
        assert_eq!(db.stats().debt_bytes, debt_bytes);
        let before = clock.now();
        for number in 0..10u32 {
            db.put(&number.to_be_bytes(), b"1", ASYNC).expect("a put");
        }
        let slowed = if is_slow { Duration::from_millis(10) } else { Duration::ZERO };
        assert_eq!(clock.now() - before, slowed);
        let stalls = db.stats().stalls;
        assert_eq!((stalls.slowdowns, stalls.slowed_down), (if is_slow { 10 } else { 0 }, slowed));
    }
}

#[test]
fn a_greater_debt_stops_writers_until_something_is_compacted() {
    let leveled = Leveled { level0_tables: 1, base_bytes: 4 << 10, growth: 3, table_bytes: 2 << 10 };
    let (db, _) = indebted(2_000, 0, Some(leveled));
    for number in 0..400u32 {
        db.put(&number.to_be_bytes(), &[b'v'; 100], ASYNC).expect("a put");
        assert!(db.stats().levels[0].tables <= 1, "the next memtable waits for the compaction");
    }
    assert!(db.stats().stalls.stops > 3, "{:?}", db.stats().stalls);
}

#[test]
fn a_debt_that_nobody_can_do_anything_about_stops_nobody() {
    for threads in [0, 2] {
        let (db, _) = indebted(1 << 40, threads, None);
        for number in 0..400u32 {
            db.put(&number.to_be_bytes(), &[b'v'; 100], ASYNC).expect("a put");
        }
        db.flush().expect("a flush");
        assert!(db.stats().levels[0].tables > 3);
    }
}

#[test]
fn the_statistics_add_up() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    let cache = Arc::new(Blocks::new(64 << 10));
    let (db, _) = Db::open(&disk, Path::new("/data"), Options { cache, ..options() }).expect("it opens");
    let model = fill(&db, 2_000, 0);
    db.delete(b"key00001", ASYNC).expect("a delete");
    let stats = db.stats();
    let sum = |of: fn(&ch03_lsm::db::LevelStats) -> u64| stats.levels.iter().map(of).sum::<u64>();
    assert_eq!(sum(|level| level.entries), 2_000);
    assert_eq!(sum(|level| level.tombstones), 0);
    let work = stats.work;
    let user: u64 = model.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
    assert!(work.user_bytes > user && work.user_bytes < user + 2_001 * 20, "{} of {user}", work.user_bytes);
    assert!(work.wal_bytes > work.user_bytes && work.wal_bytes < work.user_bytes * 3 / 2, "{work:?}");
    let in_tables = sum(|level| level.bytes);
    assert_eq!(work.flushed_bytes + work.compaction_written_bytes - work.compaction_read_bytes, in_tables, "{work:?}");
    assert!(work.flushes > 10 && work.compactions > 3, "{work:?}");
    assert!(work.write_amplification() > 1.5);
    assert!(stats.levels.iter().any(|level| level.score > 0.0));
    assert_eq!((stats.immutable_memtables, stats.running), (0, 0));
    for _ in 0..2 {
        db.get(b"key00500").expect("a get");
    }
    let blocks = db.stats().blocks;
    assert!(blocks.hits > stats.blocks.hits && blocks.used_bytes > 0, "{blocks:?}");
}

#[test]
fn each_compression_gives_back_what_was_put_and_zstd_is_the_smallest() {
    let mut sizes = Vec::new();
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
        let table = TableOptions { compression, ..TableOptions::default() };
        let (db, _) = Db::open(&disk, Path::new("/data"), Options { table, ..options() }).expect("it opens");
        let model = fill(&db, 2_000, 0);
        sizes.push(db.levels().total_bytes());
        drop(db);
        // Whatever it was written with, it can be read.
        let (db, _) = Db::open(&disk, Path::new("/data"), options()).expect("it opens");
        assert_eq!(everything(&db, None), model);
    }
    assert!(sizes[0] > sizes[1] && sizes[1] > sizes[2], "{sizes:?}");
}
