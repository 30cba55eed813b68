//! Compaction for the sake of reads, and because somebody wants it: what a read asks in vain is paid for, until it is cheaper to
//! merge.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ch03_lsm::db::{Db, Options, ReadOptions, WriteOptions};
use ch03_lsm::engine::bloom;
use ch03_lsm::engine::compaction::{Choice, Strategy};
use ch03_lsm::engine::leveled::Leveled;
use ch03_lsm::engine::levels::{LEVELS, Levels, TableId};
use ch03_lsm::engine::read_triggered::{BLOCK_BYTES, FILTER_BYTES, Price, Rent, SAMPLING, Vain, is_counted, price};
use ch03_lsm::engine::size_tiered::SizeTiered;
use common::disk::{Disk, SimDisk};

const NOW: WriteOptions = WriteOptions { sync: false };

/// Keys below level 0: every other one up to twice as many.
const OLD: u64 = 60_000;

fn key(number: u64) -> Vec<u8> {
    format!("key-{number:08}").into_bytes()
}

/// Random bytes: they do not compress.
fn value(number: u64) -> Vec<u8> {
    (0..7).flat_map(|part| bloom::hash(&(number * 7 + part).to_le_bytes()).to_le_bytes()).collect()
}

fn open(options: Options) -> Db {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    Db::open(&disk, Path::new("tree"), Options { memtable_bytes: 64 << 20, ..options }).expect("it opens").0
}

/// Even keys below level 0, and above them one table in level 0, over all of them: what is odd and follows a hundredth one.
fn filled(options: Options) -> Db {
    let db = open(Options { threads: 0, ..options });
    for number in 0..OLD {
        db.put(&key(number * 2), &value(number), NOW).expect("a put");
    }
    db.flush().expect("a flush");
    db.compact_range(None, None).expect("a compaction");
    for number in 0..=OLD / 100 {
        db.put(&key(number * 200 + 1), &value(number), NOW).expect("a put");
    }
    db.flush().expect("a flush");
    assert_eq!(shape(&db)[0], 1, "{:?}", db.levels());
    db
}

/// How many tables each level has.
fn shape(db: &Db) -> [usize; LEVELS] {
    db.stats().levels.map(|level| level.tables)
}

/// Reads until there is something to do, and how often that was: `None` when it never is.
fn reads_until_due(db: &Db, at_most: u64, mut read: impl FnMut(u64)) -> Option<u64> {
    assert!(!db.work().expect("the tree works"), "nothing is due yet");
    for number in 0..at_most {
        read(number);
        if db.work().expect("the tree works") {
            return Some(number + 1);
        }
    }
    None
}

#[test]
fn one_key_in_so_many_is_counted_for_as_many() {
    let counted = (0..64_000u64).filter(|number| is_counted(bloom::hash(&key(*number)))).count() as u64;
    let expected = 64_000 / SAMPLING;
    assert!(counted.abs_diff(expected) < expected / 5, "{counted} of 64,000");
}

#[test]
fn the_price_is_asked_for_whenever_the_tables_bytes_have_been_paid_once_more() {
    let rent = Rent::new(4 * SAMPLING * BLOCK_BYTES);
    let asked: Vec<bool> = (0..9).map(|_| rent.pay(Vain::Block)).collect();
    assert_eq!(asked, [false, false, false, true, false, false, false, true, false]);
    assert_eq!(rent.paid_bytes(), 9 * SAMPLING * BLOCK_BYTES);
    rent.pay(Vain::Filter);
    assert_eq!(rent.paid_bytes(), 9 * SAMPLING * BLOCK_BYTES + SAMPLING * FILTER_BYTES);
    assert!(Rent::new(0).pay(Vain::Filter), "a table without bytes is paid for at once");
}

#[test]
fn the_price_is_what_is_merged_and_moving_has_none() {
    let db = filled(Options::default());
    let (levels, strategy) = (db.levels(), Leveled::default());
    let newest = levels.level(0)[0].id;
    let price_of_newest = price(&strategy, &levels, newest).expect("there is something to merge it with");
    assert_eq!(price_of_newest, Price { bytes: levels.total_bytes(), rid: BTreeSet::from([newest]) });
    let oldest = levels.level(levels.deepest())[0].id;
    assert_eq!(price(&strategy, &levels, oldest), None, "there is nothing below the last level");
    assert_eq!(price(&strategy, &Levels::new(), newest), None, "a table that is gone");
}

#[test]
fn a_table_that_gets_ask_in_vain_is_merged_once_that_has_cost_as_much_as_the_merge() {
    let db = filled(Options::default());
    let total = db.levels().total_bytes();
    let reads = reads_until_due(&db, 20 * OLD, |number| {
        assert!(db.get(&key(number % OLD * 2)).expect("a get").is_some());
    });
    let reads = reads.expect("it is due at last");
    assert_eq!(shape(&db)[0], 0, "level 0 was merged");
    // A filter that says yes for no reason costs a block; what is counted comes in portions.
    let (least, most) = (total / (FILTER_BYTES + BLOCK_BYTES / 16), 2 * total / FILTER_BYTES + 4 * SAMPLING);
    assert!((least..most).contains(&reads), "{reads} reads for {total} bytes");
    assert_eq!(reads_until_due(&db, OLD, |number| _ = db.get(&key(number * 2))), None, "nothing is asked in vain now");
    let stats = db.stats().work;
    assert!(stats.compaction_written_bytes <= reads * 2 * BLOCK_BYTES, "{stats:?}");
}

#[test]
fn seeks_which_read_a_block_of_each_table_are_dearer_than_gets() {
    let until_due = |read: &dyn Fn(&Db, u64)| {
        let db = filled(Options::default());
        reads_until_due(&db, 20 * OLD, |number| read(&db, number % OLD)).expect("it is due at last")
    };
    let gets = until_due(&|db, number| assert!(db.get(&key(number * 2)).expect("a get").is_some()));
    // Keys that nobody has: no filter helps.
    let seeks = until_due(&|db, number| {
        let mut iterator = db.iter();
        iterator.seek(&[&*key(number * 2), b"x"].concat()).expect("a seek");
        assert!(iterator.key().is_some());
    });
    assert!(seeks * 4 < gets, "{seeks} seeks, {gets} gets");
}

#[test]
fn what_is_asked_and_found_is_not_asked_in_vain() {
    let db = filled(Options::default());
    let newest = |number: u64| number % (OLD / 100) * 200 + 1;
    assert_eq!(reads_until_due(&db, 4 * OLD, |number| _ = db.get(&key(newest(number)))), None);
}

#[test]
fn who_does_not_want_it_has_it_not() {
    let db = filled(Options { compacts_for_reads: false, ..Options::default() });
    assert_eq!(reads_until_due(&db, 4 * OLD, |number| _ = db.iter().seek(&key(number % OLD * 2))), None);
}

#[test]
fn size_tiered_compaction_merges_neighbours_that_are_marked_and_nothing_for_reads() {
    let db = open(Options { threads: 0, strategy: Arc::new(SizeTiered::default()), ..Options::default() });
    for table in 0..3 {
        for number in 0..OLD / 10 {
            db.put(&key(number * 3 + table), &value(number), NOW).expect("a put");
        }
        db.flush().expect("a flush");
    }
    assert_eq!(reads_until_due(&db, 4 * OLD, |number| _ = db.iter().seek(&key(number % OLD))), None);
    let levels = db.levels();
    let ids: Vec<TableId> = levels.level(0).iter().map(|table| table.id).collect();
    let choose = |marked: &[usize], busy: &[usize]| {
        let of = |places: &[usize]| places.iter().map(|place| ids[*place]).collect::<BTreeSet<_>>();
        match SizeTiered::default().choose_marked(&levels, &of(marked), &of(busy)) {
            Choice::Merge(merge) => Some((merge.inputs.iter().map(|(_, id)| *id).collect(), merge.is_bottom)),
            _ => None,
        }
    };
    assert_eq!(choose(&[0, 1, 2], &[]), Some((ids.clone(), true)));
    assert_eq!(choose(&[0, 1], &[]), Some((ids[..2].to_vec(), false)), "what is older hides behind it");
    assert_eq!(choose(&[1, 2], &[]), Some((ids[1..].to_vec(), true)));
    assert_eq!(choose(&[0, 2], &[]), None, "what lies between must not end up behind");
    assert_eq!(choose(&[0, 1, 2], &[1]), None, "one is busy");
    db.compact_range(None, None).expect("a compaction");
    assert_eq!(shape(&db)[0], 1);
    assert!(!db.work().expect("the tree works"), "the one that is left is not due for ever");
}

#[test]
fn compacting_everything_leaves_one_level_without_what_is_deleted() {
    let strategy = Arc::new(Leveled { level0_tables: 4, base_bytes: 64 << 10, growth: 4, table_bytes: 32 << 10 });
    let db = open(Options { threads: 0, strategy, ..Options::default() });
    for round in 0..12u64 {
        for number in 0..2_000 {
            db.put(&key(number * 7 % 3_000), &value(number + round), NOW).expect("a put");
        }
        db.flush().expect("a flush");
        db.settle().expect("it settles");
    }
    let before = db.snapshot();
    let all = |iterator: &mut ch03_lsm::db::DbIterator| {
        let mut found = Vec::new();
        iterator.seek_to_first().expect("a seek");
        while let Some(key) = iterator.key() {
            found.push((key.to_vec(), iterator.value().to_vec()));
            iterator.next().expect("a step");
        }
        found
    };
    let was = all(&mut db.iter());
    for number in 0..1_000 {
        db.delete(&key(number), NOW).expect("a delete");
    }
    assert!(shape(&db).iter().filter(|tables| **tables > 0).count() > 1, "{:?}", shape(&db));
    let now = all(&mut db.iter());
    db.compact_range(None, None).expect("a compaction");
    assert_eq!(shape(&db).iter().filter(|tables| **tables > 0).count(), 1, "{:?}", shape(&db));
    assert_eq!(all(&mut db.iter()), now);
    assert_eq!(all(&mut db.iter_at(&before)), was, "a snapshot sees what it saw");
    drop(before);
    db.put(&key(0), b"", NOW).expect("a put");
    db.put(&key(3_000), b"", NOW).expect("a put");
    db.compact_range(None, None).expect("a compaction");
    let levels = db.stats().levels;
    assert_eq!(levels.iter().map(|level| level.tombstones).sum::<u64>(), 0, "{levels:?}");
    assert_eq!(levels.iter().map(|level| level.entries).sum::<u64>(), now.len() as u64 + 2, "{levels:?}");
}

#[test]
fn compacting_a_range_leaves_alone_what_lies_beyond_it() {
    let db = open(Options { threads: 0, ..Options::default() });
    let fill = |from: u64| {
        for number in from..from + 100 {
            db.put(&key(number), &value(number), NOW).expect("a put");
        }
        db.flush().expect("a flush");
    };
    fill(0);
    fill(1_000);
    db.compact_range(None, None).expect("a compaction");
    let old: Vec<TableId> = db.levels().iter().flatten().map(|table| table.id).collect();
    assert_eq!(old.len(), 2, "what overlaps nothing is moved as it is");
    fill(1_000);
    db.compact_range(Some(&key(2_000)), None).expect("a compaction");
    assert_eq!(shape(&db)[0], 1, "nothing is there");
    db.compact_range(Some(&key(1_050)), Some(&key(1_051))).expect("a compaction");
    assert_eq!(shape(&db)[0], 0);
    let new: Vec<TableId> = db.levels().iter().flatten().map(|table| table.id).collect();
    assert!(new.contains(&old[0]) && !new.contains(&old[1]), "{old:?}, {new:?}");
    let mut iterator = db.iter_with(ReadOptions { lower: Some(&key(1_000)), ..ReadOptions::default() });
    iterator.seek_to_first().expect("a seek");
    assert_eq!(iterator.key(), Some(&*key(1_000)));
}

#[test]
fn tables_of_level_0_are_merged_for_reads_where_there_is_nothing_below_them() {
    let db = open(Options { threads: 0, ..Options::default() });
    for table in 0..2 {
        for number in 0..3_000 {
            db.put(&key(number * 4 + table), &value(number), NOW).expect("a put");
        }
        db.flush().expect("a flush");
    }
    let levels = db.levels();
    let newest = levels.level(0)[0].id;
    let price =
        price(&Leveled::default(), &levels, newest).expect("the older one is moved, and it is merged with that");
    assert_eq!(price, Price { bytes: levels.total_bytes(), rid: BTreeSet::from([newest]) });
    let reads = reads_until_due(&db, 10 * OLD, |number| _ = db.get(&key(number % 3_000 * 4 + 2)));
    assert!(reads.is_some(), "it is due at last");
    db.settle().expect("it settles");
    assert_eq!(shape(&db).iter().sum::<usize>(), 1, "{:?}", shape(&db));
}

#[test]
fn compacting_ends_while_others_write_more_than_is_ever_compacted() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    let strategy = Arc::new(Leveled { level0_tables: 2, base_bytes: 256 << 10, growth: 4, table_bytes: 64 << 10 });
    let options = Options { memtable_bytes: 64 << 10, threads: 2, strategy, ..Options::default() };
    let (db, _) = Db::open(&disk, Path::new("tree"), options).expect("it opens");
    let (is_over, written) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let number = written.load(Ordering::Relaxed);
                db.put(&key(bloom::hash(&number.to_le_bytes()) % 40_000), &value(number), NOW).expect("a put");
                written.store(number + 1, Ordering::Relaxed);
            }
        });
        for _ in 0..5 {
            let before = written.load(Ordering::Relaxed);
            while written.load(Ordering::Relaxed) < before + 5_000 {
                std::thread::yield_now();
            }
            db.compact_range(None, None).expect("a compaction");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let work = db.stats().work;
    assert!(work.flushes >= 5 && work.compactions >= 4, "{work:?}");
}
