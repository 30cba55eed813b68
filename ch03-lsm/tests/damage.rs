//! A flipped bit in every byte of every file of a tree: an error that names the file, or the right answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ch03_lsm::db::{Db, Options, WriteOptions};
use ch03_lsm::engine::leveled::Leveled;
use ch03_lsm::error::Error;
use common::disk::log::FILL;
use common::disk::{Disk, SimDisk};

const DIR: &str = "/data";

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn options() -> Options {
    Options {
        memtable_bytes: 4 << 10,
        threads: 0,
        strategy: Arc::new(Leveled { level0_tables: 2, base_bytes: 4 << 10, growth: 3, table_bytes: 1 << 10 }),
        salt: 11,
        ..Options::default()
    }
}

fn open(disk: &SimDisk) -> Result<Db, Error> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    Ok(Db::open(&shared, Path::new(DIR), options())?.0)
}

/// A tree with tables in several levels, a manifest with several records, and a log with several batches.
fn written() -> (SimDisk, Db, Model) {
    let disk = SimDisk::new(3);
    let db = open(&disk).expect("it opens");
    let mut model = Model::new();
    for number in 0..120u32 {
        let key = format!("key-{:02}", number * 7 % 40).into_bytes();
        if number % 23 == 22 {
            let (from, to) =
                (format!("key-{:02}", number % 37).into_bytes(), format!("key-{:02}x", number % 37 + 2).into_bytes());
            db.delete_range(&from, &to, WriteOptions { sync: true }).expect("a delete of a range");
            model.retain(|key, _| *key < from || *key >= to);
        } else if number % 9 == 0 {
            db.delete(&key, WriteOptions { sync: true }).expect("a delete");
            model.remove(&key);
        } else {
            let value = format!("value {number} {}", "v".repeat(number as usize % 60)).into_bytes();
            db.put(&key, &value, WriteOptions { sync: true }).expect("a put");
            model.insert(key, value);
        }
        if number % 30 == 29 && number < 110 {
            db.flush().expect("a flush");
        }
        if number == 89 {
            assert!(db.stats().range_tombstones > 0, "tables have range tombstones, and memory has none");
        }
        if number == 70 {
            db.settle().expect("it settles");
        }
    }
    (disk, db, model)
}

fn everything(disk: &SimDisk) -> Result<Model, Error> {
    let db = open(disk)?;
    let mut iterator = db.iter();
    iterator.seek_to_first()?;
    let mut found = Model::new();
    while let Some(key) = iterator.key() {
        found.insert(key.to_vec(), iterator.value().to_vec());
        iterator.next()?;
    }
    for (key, value) in &found {
        assert_eq!(db.get(key)?.as_ref(), Some(value), "a get answers as an iterator does");
    }
    Ok(found)
}

fn flip_everywhere(disk: &SimDisk, model: &Model, tolerated: impl Fn(&Path, u64) -> bool) {
    let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for path in disk.list(Path::new(DIR)).expect("it can be listed") {
        let len = disk.durable(&path).map_or(0, |bytes| bytes.len() as u64);
        let kind =
            path.file_name().expect("a name").to_string_lossy().chars().filter(char::is_ascii_alphabetic).collect();
        let bytes = disk.cached(&path).unwrap_or_default();
        for byte in 0..len {
            // The zeros before a seal are as good as one another, and so is reserved space: every fortieth of them will do.
            let is = |at: u64, what: u8| bytes.get(at as usize) == Some(&what);
            let is_filling = byte > 64 && [0, FILL].iter().any(|what| (byte - 8..byte + 8).all(|at| is(at, *what)));
            if is_filling && byte % 40 != 0 {
                continue;
            }
            let fork = disk.fork();
            fork.crash(common::disk::Crash::KeepAll);
            fork.flip_bit(&path, byte * 8 + byte % 8).expect("there is such a bit");
            let count = counts.entry(String::clone(&kind)).or_default();
            count.0 += u64::from(!is_filling);
            match everything(&fork) {
                Ok(found) if found == *model => {}
                Ok(_) if tolerated(&path, byte) => {}
                Ok(found) => {
                    let first = model.iter().find(|(key, value)| found.get(*key) != Some(*value));
                    panic!("{} byte {byte} of {len}: a wrong answer: {first:?}", path.display())
                }
                Err(error) => {
                    count.1 += u64::from(!is_filling);
                    let text = error.to_string();
                    assert!(error.is_damage(), "{} byte {byte}: {text}", path.display());
                    assert!(text.contains(DIR), "{} byte {byte}: names no file: {text}", path.display());
                }
            }
        }
    }
    println!("{counts:?}");
    for kind in ["sst", "manifestlog", "wallog"] {
        assert!(counts.get(kind).is_some_and(|(flipped, noticed)| *noticed * 2 > *flipped), "{kind}: {counts:?}");
    }
}

#[test]
fn a_flipped_bit_after_a_clean_end_is_an_error_or_changes_nothing() {
    let (disk, db, model) = written();
    db.close().expect("it closes");
    flip_everywhere(&disk, &model, |_, _| false);
}

#[test]
fn a_flipped_bit_in_a_tree_that_was_killed_gives_up_a_tail_at_worst() {
    let (disk, db, model) = written();
    drop(db);
    // Nothing attests to the last record: what damages it looks like a tear, and the tree is as it was before it.
    let wal =
        disk.list(Path::new(DIR)).expect("a list").into_iter().rfind(|path| path.to_string_lossy().contains("wal-"));
    let wal = wal.expect("there is a log");
    let bytes = disk.durable(&wal).expect("it is there");
    let reserved = bytes.iter().rev().take_while(|byte| **byte == FILL).count();
    assert!(reserved > 0, "its last write was synced, and it has not been ended");
    let len = (bytes.len() - reserved) as u64;
    flip_everywhere(&disk, &model, |path, byte| path == wal && byte + 130 > len);
}
