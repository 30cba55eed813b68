//! Ranges: deleted as one write, and read between bounds, at the cost of what lies in them.

use std::path::Path;
use std::sync::Arc;

use ch03_lsm::db::{Db, Options, ReadOptions, WriteOptions, verify};
use ch03_lsm::engine::key::{KEY_MAX_BYTES, Seq};
use ch03_lsm::engine::leveled::Leveled;
use ch03_lsm::error::Error;
use ch03_lsm::storage::batch::{Batch, BatchError, BatchRecord};
use ch03_lsm::storage::table::{Compression, TableOptions};
use common::disk::{CountedDisk, Disk, SimDisk};

const DIR: &str = "/data";

const NOW: WriteOptions = WriteOptions { sync: false };

fn options() -> Options {
    Options {
        memtable_bytes: 64 << 10,
        threads: 0,
        strategy: Arc::new(Leveled { level0_tables: 2, base_bytes: 64 << 10, growth: 4, table_bytes: 16 << 10 }),
        table: TableOptions { block_bytes: 1 << 10, ..TableOptions::default() },
        ..Options::default()
    }
}

fn open(disk: &Arc<dyn Disk>) -> Db {
    Db::open(disk, Path::new(DIR), options()).expect("it opens").0
}

fn key(number: u32) -> Vec<u8> {
    format!("key-{number:06}").into_bytes()
}

/// A tree with the keys 0 to `keys` in its levels, on a disk that counts.
fn filled(keys: u32) -> (Arc<CountedDisk>, Db) {
    filled_with(keys, options())
}

fn filled_with(keys: u32, options: Options) -> (Arc<CountedDisk>, Db) {
    let disk = Arc::new(CountedDisk::new(Arc::new(SimDisk::new(1))));
    let (db, _) = Db::open(&(Arc::clone(&disk) as Arc<dyn Disk>), Path::new(DIR), options).expect("it opens");
    for number in 0..keys {
        // In no order, so that the tables of a level come from merges.
        let key = key((u64::from(number) * 7919 % u64::from(keys)) as u32);
        db.put(&key, &[b'v'; 60], NOW).expect("a put");
    }
    db.flush().expect("a flush");
    db.settle().expect("it settles");
    disk.reset();
    (disk, db)
}

fn read_calls(disk: &CountedDisk) -> u64 {
    disk.total().reads
}

fn count(db: &Db, options: ReadOptions<'_>, is_forward: bool) -> usize {
    let mut iterator = db.iter_with(options);
    if is_forward { iterator.seek_to_first() } else { iterator.seek_to_last() }.expect("a seek");
    let mut count = 0;
    while iterator.key().is_some() {
        count += 1;
        if is_forward { iterator.next() } else { iterator.prev() }.expect("a step");
    }
    count
}

#[test]
fn a_range_that_ends_before_it_begins_is_refused_and_an_empty_one_is_nothing() {
    let mut batch = Batch::new();
    assert_eq!(batch.delete_range(b"b", b"a"), Err(BatchError::Range));
    assert_eq!(batch.delete_range(b"a", &vec![b'k'; KEY_MAX_BYTES + 1]), Err(BatchError::Key(KEY_MAX_BYTES + 1)));
    assert_eq!((batch.delete_range(b"a", b"a"), batch.len()), (Ok(()), 0));
    assert_eq!((batch.delete_range(b"", b"a"), batch.len()), (Ok(()), 1));
    let record = batch.record(Seq(1)).to_vec();
    assert!(BatchRecord::decode(&record).is_ok());
    // kind, length of the first key, none of it, length of the second, the second: which is then below or beyond.
    for (at, byte) in [(12, 3), (13, 1), (14, 0), (14, 2)] {
        let mut damaged = record.clone();
        damaged[at] = byte;
        assert!(BatchRecord::decode(&damaged).is_err(), "byte {at} is {byte}");
    }
    let (_, db) = filled(10);
    let refused = db.delete_range(b"b", b"a", NOW);
    assert!(matches!(refused, Err(Error::Batch(BatchError::Range))), "{refused:?}");
    db.delete_range(b"b", b"b", NOW).expect("nothing");
    assert_eq!(count(&db, ReadOptions::default(), true), 10);
}

#[test]
fn a_range_of_any_size_is_deleted_with_one_small_write_and_is_passed_over_with_a_few_reads() {
    let (disk, db) = filled(20_000);
    let (from, to) = (key(100), key(19_900));
    let seq = db.stats().seq.0;
    db.delete_range(&from, &to, NOW).expect("a delete");
    assert_eq!(db.stats().seq.0, seq + 1, "one write");
    assert!(disk.total().written_bytes < 200, "{:?}", disk.total());
    for where_it_is in ["in memory", "in a table"] {
        for is_forward in [true, false] {
            disk.reset();
            assert_eq!(count(&db, ReadOptions::default(), is_forward), 200, "{where_it_is}");
            let reads = read_calls(&disk);
            assert!(reads < 60, "{reads} reads, {where_it_is}, forward: {is_forward}; all blocks are some 1,500");
        }
        disk.reset();
        assert_eq!(db.get(&key(10_000)).expect("a get"), None);
        assert_eq!(read_calls(&disk), 0, "a get asks no table that is older than what hides it, {where_it_is}");
        db.flush().expect("a flush");
    }
}

#[test]
fn what_was_deleted_leaves_the_disk_and_the_tombstone_with_it_once_no_snapshot_needs_them() {
    // Whatever comes goes down at once, to the last level.
    let strategy = Arc::new(Leveled { level0_tables: 1, base_bytes: 1, growth: 1 << 30, table_bytes: 16 << 10 });
    let (_, db) = filled_with(8_000, Options { strategy, ..options() });
    let full = db.stats().levels[6];
    assert!(full.tables > 3, "{full:?}");
    let compact = || {
        // What begins before everything and ends after it is merged with everything.
        db.put(b"a", b"", NOW).expect("a put");
        db.put(b"z", b"", NOW).expect("a put");
        db.flush().expect("a flush");
        db.settle().expect("it settles");
    };
    let snapshot = db.snapshot();
    db.delete_range(b"b", b"y", NOW).expect("a delete");
    compact();
    assert_eq!(count(&db, ReadOptions::default(), true), 2);
    assert_eq!(count(&db, ReadOptions { snapshot: Some(&snapshot), ..ReadOptions::default() }, true), 8_000);
    let stats = db.stats();
    assert!(stats.range_tombstones > 1, "one in each of the tables that it is cut into: {stats:?}");
    assert!(stats.levels[6].bytes >= full.bytes, "{stats:?}");
    drop(snapshot);
    compact();
    let stats = db.stats();
    assert_eq!(count(&db, ReadOptions::default(), true), 2);
    assert_eq!((stats.range_tombstones, stats.levels[6].tables), (0, 1), "{stats:?}");
    assert!(stats.levels[6].bytes < 1_000, "{stats:?}");
}

#[test]
fn an_iterator_reads_no_table_that_lies_beyond_its_bounds() {
    let (disk, db) = filled(20_000);
    let (lower, upper) = (key(10_000), key(10_100));
    let options = ReadOptions { lower: Some(&lower), upper: Some(&upper), ..ReadOptions::default() };
    for is_forward in [true, false] {
        disk.reset();
        assert_eq!(count(&db, options, is_forward), 100);
        let touched = disk.by_path().values().filter(|counts| counts.reads > 0).count();
        assert!((1..=8).contains(&touched), "{touched} files of {:?}", db.stats().levels);
        assert!(read_calls(&disk) < 40, "{} reads", read_calls(&disk));
    }
    let mut iterator = db.iter_with(options);
    iterator.seek(&key(3)).expect("a seek");
    assert_eq!(iterator.key(), Some(&*lower), "a seek to below the lower bound goes to it");
    iterator.prev().expect("a step");
    assert_eq!(iterator.key(), None, "and nothing is before it");
    iterator.seek_for_prev(&key(19_000)).expect("a seek");
    assert_eq!(iterator.key(), Some(&*key(10_099)), "the upper bound is not included");
    iterator.next().expect("a step");
    assert_eq!(iterator.key(), None);
    iterator.seek(&upper).expect("a seek");
    assert_eq!(iterator.key(), None);
    iterator.seek_for_prev(&key(9_999)).expect("a seek");
    assert_eq!(iterator.key(), None);
    let crossed = ReadOptions { lower: Some(&upper), upper: Some(&lower), ..ReadOptions::default() };
    assert_eq!((count(&db, crossed, true), count(&db, crossed, false)), (0, 0), "bounds that cross hold nothing");
}

#[test]
fn tables_are_cut_behind_keys_of_the_greatest_length_and_do_not_overlap() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    let table = TableOptions { compression: Compression::None, ..options().table };
    let large = Options { memtable_bytes: 16 << 20, table, ..options() };
    let (db, _) = Db::open(&disk, Path::new(DIR), large).expect("it opens");
    let long = |number: u8| [&[number][..], &vec![b'k'; KEY_MAX_BYTES - 1]].concat();
    for round in 0..4u8 {
        for number in 0..20u8 {
            db.put(&long(number * 10 + round), b"value", NOW).expect("a put");
        }
        let snapshot = db.snapshot();
        db.delete_range(&long(0), &long(230), NOW).expect("a delete");
        for number in 0..20u8 {
            db.put(&long(number * 10 + round), b"again", NOW).expect("a put");
        }
        db.flush().expect("a flush");
        db.settle().expect("it settles");
        assert_eq!(count(&db, ReadOptions::default(), true), 20, "round {round}");
        drop(snapshot);
    }
    let stats = db.stats();
    assert!(stats.levels.iter().skip(1).any(|level| level.tables > 2), "{stats:?}");
    db.close().expect("it closes");
    let verified = verify(&disk, Path::new(DIR), &mut |_| ()).expect("it is whole");
    assert!(verified.range_tombstones > 0, "{verified:?}");
    assert_eq!(count(&open(&disk), ReadOptions::default(), false), 20, "opened again");
}
