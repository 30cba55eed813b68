//! What a seek reads: filters say which parts of a tree have the key, and blocks of the others are left alone.

use std::path::Path;
use std::sync::Arc;

use ch03_lsm::db::{Db, Options, WriteOptions};
use common::disk::{CountedDisk, Disk, SimDisk};

const DIR: &str = "tree";

const NOW: WriteOptions = WriteOptions { sync: false };

/// How many keys are sought.
const SOUGHT: u64 = 100;

/// How many more blocks may be read because a filter says yes for no reason: one for a hundred keys, and some.
const SLACK: u64 = 6;

fn key(number: u64) -> Vec<u8> {
    format!("key-{number:06}").into_bytes()
}

/// A tree with every other key up to 4,000 below level 0, and in level 0 one table over all of them, with what follows every
/// fortieth.
fn filled() -> (Arc<CountedDisk>, Db) {
    let disk = Arc::new(CountedDisk::new(Arc::new(SimDisk::new(1))));
    let options = Options { threads: 0, memtable_bytes: 64 << 10, ..Options::default() };
    let (db, _) = Db::open(&(Arc::clone(&disk) as Arc<dyn Disk>), Path::new(DIR), options).expect("it opens");
    for number in 0..2_000 {
        db.put(&key(number * 2), &[b'v'; 60], NOW).expect("a put");
    }
    db.flush().expect("a flush");
    db.settle().expect("it settles");
    while db.stats().levels[0].tables > 0 {
        db.put(&key(0), &[b'v'; 60], NOW).expect("a put");
        db.put(&key(3_998), &[b'v'; 60], NOW).expect("a put");
        db.flush().expect("a flush");
        db.settle().expect("it settles");
    }
    for number in 0..SOUGHT {
        db.put(&key(number * 40 + 1), &[b'n'; 60], NOW).expect("a put");
    }
    db.flush().expect("a flush");
    let stats = db.stats();
    assert_eq!(stats.levels[0].tables, 1, "{stats:?}");
    assert!(stats.levels[1..].iter().map(|level| level.tables).sum::<usize>() > 0, "{stats:?}");
    (disk, db)
}

/// How many times the disk was read for a seek to each of these keys, at which there then is what `found` says.
fn reads(disk: &CountedDisk, db: &Db, of: impl Fn(u64) -> u64, found: impl Fn(u64) -> u64) -> u64 {
    // Tables are open before anything is counted.
    db.iter().seek(&key(0)).expect("a seek");
    db.iter().seek(&key(3_999)).expect("a seek");
    disk.reset();
    for number in 0..SOUGHT {
        let mut iterator = db.iter();
        iterator.seek(&key(of(number))).expect("a seek");
        assert_eq!(iterator.key(), Some(&*key(found(number))), "sought: {}", of(number));
    }
    disk.total().reads
}

#[test]
fn a_key_that_one_part_has_is_found_with_one_block() {
    let (disk, db) = filled();
    let (old, new) = (|number| number * 40 + 20, |number| number * 40 + 1);
    let read = reads(&disk, &db, old, old);
    assert!((SOUGHT..=SOUGHT + SLACK).contains(&read), "in the older part: {read} blocks");
    let read = reads(&disk, &db, new, new);
    assert!((SOUGHT..=SOUGHT + SLACK).contains(&read), "in the newer part: {read} blocks");
}

#[test]
fn a_key_that_memory_has_is_found_without_a_block() {
    let (disk, db) = filled();
    let fresh = |number| number * 40 + 11;
    for number in 0..SOUGHT {
        db.put(&key(fresh(number)), b"fresh", NOW).expect("a put");
    }
    let read = reads(&disk, &db, fresh, fresh);
    assert!(read <= 2 * SLACK, "{read} blocks");
}

#[test]
fn a_key_that_nobody_has_takes_a_block_of_each_part_to_know_which_comes_next() {
    let (disk, db) = filled();
    let read = reads(&disk, &db, |number| number * 40 + 9, |number| number * 40 + 10);
    assert!((SOUGHT..=2 * SOUGHT).contains(&read), "{read} blocks");
}
