//! Many threads on one tree, with threads of its own that flush and compact under them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ch03_lsm::db::{Db, Options, WriteOptions};
use ch03_lsm::engine::leveled::Leveled;
use ch03_lsm::storage::batch::Batch;
use common::disk::{Disk, RealDisk, SimDisk};

fn open(dir: &Path) -> Db {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    let options = Options {
        memtable_bytes: 64 << 10,
        strategy: Arc::new(Leveled { level0_tables: 3, base_bytes: 128 << 10, growth: 4, table_bytes: 32 << 10 }),
        salt: 5,
        ..Options::default()
    };
    Db::open(&disk, dir, options).expect("it opens").0
}

fn key(thread: u64, number: u64) -> Vec<u8> {
    format!("{:04}-{thread:02}", number % 500).into_bytes()
}

#[test]
fn what_eight_threads_write_is_there_and_what_they_read_they_have_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = open(dir.path());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let db = &db;
            scope.spawn(move || {
                for number in 0..3_000 {
                    let key = key(thread, number);
                    db.put(&key, &number.to_le_bytes(), WriteOptions { sync: number % 500 == 0 }).expect("a put");
                    if number % 7 == 0 {
                        assert_eq!(db.get(&key).expect("a get").as_deref(), Some(&number.to_le_bytes()[..]));
                    }
                    if number % 11 == 0 {
                        db.delete(&key, WriteOptions::default()).expect("a delete");
                        assert_eq!(db.get(&key).expect("a get"), None);
                    }
                }
            });
        }
    });
    let mut expected = BTreeMap::new();
    for thread in 0..8 {
        for number in 0..3_000u64 {
            expected.insert(key(thread, number), number.to_le_bytes().to_vec());
            if number % 11 == 0 {
                expected.remove(&key(thread, number));
            }
        }
    }
    db.settle().expect("it settles");
    assert_eq!(everything(&db), expected);
    db.close().expect("it closes");
    assert_eq!(everything(&open(dir.path())), expected, "opened again");
}

#[test]
fn a_batch_is_seen_whole_or_not_at_all_by_readers_of_any_kind() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = open(dir.path());
    let is_over = AtomicBool::new(false);
    let rounds = AtomicU64::new(0);
    let write = |round: u64| {
        let mut batch = Batch::new();
        for number in 0..20u64 {
            batch.put(format!("all-{number:02}").as_bytes(), &round.to_le_bytes()).expect("it fits");
        }
        db.write(batch, WriteOptions::default()).expect("a write");
    };
    write(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let found = everything(&db);
                    assert_eq!(found.len(), 20);
                    let first = found.values().next().expect("there are some").clone();
                    assert!(found.values().all(|value| *value == first), "an iterator sees one round");
                    let snapshot = db.snapshot();
                    let at = |number: u64| db.get_at(&snapshot, format!("all-{number:02}").as_bytes()).expect("a get");
                    let (first, last) = (at(0), at(19));
                    assert!(first.is_some() && first == last, "a snapshot sees one round: {first:?}, {last:?}");
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 1..4_000 {
            write(round);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(rounds.load(Ordering::Relaxed) > 2, "readers had their turns");
    db.close().expect("it closes");
}

#[test]
fn a_batch_that_deletes_a_range_and_fills_it_anew_is_seen_whole_or_not_at_all() {
    const KEYS: u64 = 60;
    let dir = tempfile::tempdir().expect("a directory");
    let db = open(dir.path());
    let is_over = AtomicBool::new(false);
    let rounds = AtomicU64::new(0);
    let key = |number: u64| format!("all-{number:02}").into_bytes();
    // Each round leaves a third of the keys: those that it puts, and none of the others.
    let write = |round: u64| {
        let mut batch = Batch::new();
        batch.put(&key(round % 3 + 1), b"hidden by what follows in the batch").expect("it fits");
        batch.delete_range(b"all-", b"all.").expect("it is in order");
        for number in (0..KEYS).filter(|number| number % 3 == round % 3) {
            batch.put(&key(number), &round.to_le_bytes()).expect("it fits");
        }
        db.write(batch, WriteOptions::default()).expect("a write");
    };
    let is_one_round = |found: &BTreeMap<Vec<u8>, Vec<u8>>| {
        let round = found.values().next().expect("there are some").clone();
        let number = u64::from_le_bytes(round.clone().try_into().expect("a number"));
        found.len() as u64 == KEYS / 3
            && found.values().all(|value| *value == round)
            && found.contains_key(&key(number % 3))
    };
    write(0);
    std::thread::scope(|scope| {
        for reader in 0..3 {
            let (db, is_over, rounds, is_one_round) = (&db, &is_over, &rounds, &is_one_round);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let snapshot = db.snapshot();
                    let at =
                        |number| db.get_at(&snapshot, &key(number)).expect("a get").map(|value| (key(number), value));
                    let found: BTreeMap<_, _> = match reader {
                        0 => everything(db),
                        1 => backwards(db),
                        _ => (0..KEYS).filter_map(at).collect(),
                    };
                    assert!(is_one_round(&found), "reader {reader} sees one round: {found:?}");
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 1..3_000 {
            write(round);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(rounds.load(Ordering::Relaxed) > 2, "readers had their turns");
    db.flush().expect("a flush");
    db.settle().expect("it settles");
    assert!(is_one_round(&everything(&db)));
    db.close().expect("it closes");
    assert!(is_one_round(&everything(&open(dir.path()))), "opened again");
}

#[test]
fn a_log_that_a_table_has_replaced_takes_no_space_any_more() {
    let sim = SimDisk::new(0);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let options = Options { memtable_bytes: 16 << 10, threads: 0, ..Options::default() };
    let (db, _) = Db::open(&disk, Path::new("/data"), options).expect("it opens");
    // Never synced: whoever may still have to sync a log keeps it open, and an open file keeps its space.
    for number in 0..2_000u32 {
        db.put(&(number % 100).to_le_bytes(), &[7; 100], WriteOptions { sync: false }).expect("a put");
        if number % 10 == 0 {
            db.settle().expect("it settles");
        }
    }
    db.flush().expect("a flush");
    db.settle().expect("it settles");
    let named: u64 = disk
        .list(Path::new("/data"))
        .expect("a list")
        .iter()
        .map(|path| sim.cached(path).map_or(0, |bytes| bytes.len() as u64))
        .sum();
    let nameless = sim.used_bytes() - named;
    assert!(nameless < 64 << 10, "{nameless} bytes are taken by files that have no name, {named} by others");
}

#[test]
fn a_second_process_or_handle_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let _db = open(dir.path());
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    let error = Db::open(&disk, dir.path(), Options::default()).expect_err("it is held");
    assert!(error.to_string().contains("is held by another process or another handle of this one"), "{error}");
}

fn backwards(db: &Db) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut iterator = db.iter();
    iterator.seek_to_last().expect("a seek");
    let mut found = BTreeMap::new();
    while let Some(key) = iterator.key() {
        found.insert(key.to_vec(), iterator.value().to_vec());
        iterator.prev().expect("a step");
    }
    found
}

fn everything(db: &Db) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut iterator = db.iter();
    iterator.seek_to_first().expect("a seek");
    let mut found = BTreeMap::new();
    while let Some(key) = iterator.key() {
        found.insert(key.to_vec(), iterator.value().to_vec());
        iterator.next().expect("a step");
    }
    found
}
