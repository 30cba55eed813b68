//! What resuming promises: a disk that was full has lost nothing, and takes writes again; a sync that failed is never forgiven.

use std::path::Path;
use std::sync::Arc;

use ch03_lsm::db::{Db, Options, WriteOptions};
use ch03_lsm::error::Error;
use ch03_lsm::storage::files::WAL;
use common::disk::log::segments;
use common::disk::{Crash, Disk, Fault, Operation, SimDisk};
use trees::{Model, everything, options};

mod trees;

const DIR: &str = "/data";

/// What a life came to.
#[derive(Default)]
struct Life {
    model: Model,
    /// The model as it was when something was last known to be durable, and every one since.
    since_durable: Vec<Model>,
    resumed: u64,
    is_fatal: bool,
}

/// Writes, flushes and compacts; resumes whenever something is refused.
fn live(disk: &SimDisk, seed: u64, life: &mut Life) -> Option<Db> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    life.since_durable.push(Model::new());
    let Ok((db, _)) = Db::open(&shared, Path::new(DIR), options()) else {
        life.is_fatal = true;
        return None;
    };
    for number in 0..160u64 {
        let mixed = (number + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let key = format!("key{:02}", mixed % 50).into_bytes();
        let mut next = life.model.clone();
        let sync = mixed.is_multiple_of(5);
        let result = match mixed % 11 {
            0 => {
                next.remove(&key);
                db.delete(&key, WriteOptions { sync })
            }
            1 => db.flush(),
            2 => db.settle(),
            3 => db.work().map(|_| ()),
            _ => {
                let value = format!("{number} {}", "v".repeat(mixed as usize % 150)).into_bytes();
                next.insert(key.clone(), value.clone());
                db.put(&key, &value, WriteOptions { sync })
            }
        };
        match result {
            Ok(()) => {
                life.model = next;
                if sync && !matches!(mixed % 11, 1..=3) {
                    life.since_durable.clear();
                }
                life.since_durable.push(life.model.clone());
            }
            Err(_) => match db.resume() {
                Ok(()) => {
                    life.resumed += 1;
                    // What is in memory was written out.
                    life.since_durable = vec![life.model.clone()];
                    assert_eq!(everything(&db, None), life.model, "seed {seed}, write {number}: after resuming");
                }
                Err(error) => {
                    assert!(matches!(error, Error::ReadOnly(_)), "seed {seed}, write {number}: {error:?}");
                    life.is_fatal = true;
                    // What was refused may be there, if the log had taken it before the sync failed.
                    life.since_durable.push(next);
                    return Some(db);
                }
            },
        }
    }
    Some(db)
}

#[test]
fn a_disk_that_is_full_at_any_operation_loses_nothing_and_takes_writes_again() {
    let (mut resumed, mut fatal) = (0, 0);
    for seed in 0..4 {
        let disk = SimDisk::new(seed);
        drop(live(&disk, seed, &mut Life::default()));
        for k in 1..=disk.operations() {
            let what = format!("seed {seed}, operation {k}");
            let disk = SimDisk::new(seed);
            disk.fail_at(k, Fault::Enospc);
            let mut life = Life::default();
            let db = live(&disk, seed, &mut life);
            resumed += life.resumed;
            fatal += u64::from(life.is_fatal);
            if let Some(db) = &db {
                assert_eq!(everything(db, None), life.model, "{what}: what is seen");
            }
            for how in [Crash::KeepAll, Crash::LoseAll, Crash::Random, Crash::Random] {
                let fork = disk.fork();
                fork.reseed(k);
                fork.crash(how);
                let shared: Arc<dyn Disk> = Arc::new(fork);
                let (db, _) = Db::open(&shared, Path::new(DIR), options())
                    .unwrap_or_else(|error| panic!("{what}, {how:?}: {error}"));
                let found = everything(&db, None);
                assert!(life.since_durable.contains(&found), "{what}, {how:?}: {found:?}");
                db.put(b"more", b"1", WriteOptions { sync: true }).expect("it takes writes");
            }
        }
    }
    assert!(resumed > 100 && fatal > 20, "both happen: {resumed} resumed, {fatal} fatal");
}

#[test]
fn a_crash_at_any_operation_of_resuming_loses_nothing_that_was_acknowledged_as_durable() {
    let prepare = |disk: &SimDisk| {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let (db, _) = Db::open(&shared, Path::new(DIR), options()).expect("it opens");
        let mut model = Model::new();
        for number in 0..90u32 {
            let key = format!("key{:02}", number * 7 % 40).into_bytes();
            db.put(&key, &number.to_be_bytes().repeat(10), WriteOptions { sync: true }).expect("a put");
            model.insert(key, number.to_be_bytes().repeat(10));
        }
        disk.fail_at(1, Fault::Enospc);
        let error = db.put(b"refused", b"1", WriteOptions { sync: true }).expect_err("the disk is full");
        assert!(error.is_out_of_space(), "{error}");
        let error = db.put(b"refused", b"1", WriteOptions { sync: true }).expect_err("the disk was full");
        assert!(matches!(error, Error::DiskFull(_)), "{error}");
        (db, model)
    };
    let disk = SimDisk::new(3);
    let (db, _) = prepare(&disk);
    let before = disk.operations();
    db.resume().expect("there is room");
    let operations = disk.operations();
    assert!(operations - before > 8);
    for k in 1..=operations - before {
        let disk = SimDisk::new(3);
        let (db, model) = prepare(&disk);
        disk.crash_at(k);
        // What fails at the very end, as files are removed, nobody is told.
        let _: Result<(), Error> = db.resume();
        for (index, how) in [Crash::KeepAll, Crash::LoseAll, Crash::Random, Crash::Random].into_iter().enumerate() {
            let fork = disk.fork();
            fork.reseed(k * 4 + index as u64);
            fork.crash(how);
            let shared: Arc<dyn Disk> = Arc::new(fork);
            let (db, _) = Db::open(&shared, Path::new(DIR), options())
                .unwrap_or_else(|error| panic!("operation {k}, {how:?}: {error}"));
            let mut found = everything(&db, None);
            // It was refused, and may have reached the log nevertheless.
            found.remove(&b"refused"[..]);
            assert_eq!(found, model, "operation {k}, {how:?}");
        }
    }
}

#[test]
fn a_disk_that_stays_full_refuses_again_and_resumes_later() {
    let disk = SimDisk::new(3);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (db, _) = Db::open(&shared, Path::new(DIR), options()).expect("it opens");
    let sync = WriteOptions { sync: true };
    db.resume().expect("nothing to resume from");
    let mut model = Model::new();
    for number in 0..60u32 {
        db.put(&number.to_be_bytes(), &[b'v'; 50], sync).expect("a put");
        model.insert(number.to_be_bytes().to_vec(), vec![b'v'; 50]);
    }
    disk.fail_at(1, Fault::Enospc);
    db.put(b"refused", b"1", sync).expect_err("the disk is full");
    for tries in 1..12 {
        // Each time, resuming comes one operation further.
        disk.fail_at(tries, Fault::Enospc);
        if let Err(error) = db.resume()
            && !error.is_out_of_space()
        {
            // A sync has met it.
            let fork = disk.fork();
            fork.crash(Crash::LoseAll);
            let shared: Arc<dyn Disk> = Arc::new(fork);
            let (db, _) = Db::open(&shared, Path::new(DIR), options()).expect("it opens");
            assert_eq!(everything(&db, None), model);
            return;
        }
        assert_eq!(everything(&db, None), model, "try {tries}");
    }
    panic!("no sync was met");
}

#[test]
fn after_resuming_a_sync_touches_the_new_log_alone() {
    let disk = SimDisk::new(3);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (db, _) = Db::open(&shared, Path::new(DIR), options()).expect("it opens");
    db.put(b"a", b"1", WriteOptions { sync: false }).expect("a put");
    disk.fail_at(1, Fault::Enospc);
    db.put(b"b", b"2", WriteOptions { sync: true }).expect_err("the disk is full");
    db.resume().expect("there is room");
    disk.keep_trace(100);
    db.put(b"c", b"3", WriteOptions { sync: true }).expect("a put");
    let trace = disk.trace();
    let (_, newest) = segments(&disk, Path::new(DIR), WAL).expect("a list").pop().expect("there is a log");
    let is_newest = |call: &String| call.contains(&*newest.to_string_lossy());
    assert!(trace.iter().all(is_newest), "what was refused is not written after all: {trace:?}");
    assert_eq!(trace.iter().filter(|call| call.contains(" sync ")).count(), 1, "{trace:?}");
    assert_eq!(everything(&db, None).keys().collect::<Vec<_>>(), [b"a", b"c"]);
}

#[test]
fn writers_and_background_threads_go_on_after_a_disk_that_was_full_again_and_again() {
    let disk = SimDisk::new(5);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let options = Options { threads: 2, ..options() };
    let (db, _) = Db::open(&shared, Path::new(DIR), options).expect("it opens");
    let resumed: u64 = std::thread::scope(|scope| {
        let writers = (0..3u32).map(|thread| {
            let (db, disk) = (&db, &disk);
            scope.spawn(move || {
                let mut resumed = 0;
                for number in 0..400u32 {
                    let key = [thread.to_be_bytes(), number.to_be_bytes()].concat();
                    if thread == 0 && number % 40 == 7 {
                        // Writes only: a sync that fails is not forgiven.
                        disk.fail_nth(Operation::Write, 3, Fault::Enospc);
                    }
                    while db.put(&key, &[b'v'; 60], WriteOptions { sync: false }).is_err() {
                        resumed += u64::from(db.resume().is_ok());
                    }
                }
                resumed
            })
        });
        let writers: Vec<_> = writers.collect();
        writers.into_iter().map(|writer| writer.join().expect("no writer panics")).sum()
    });
    while db.settle().is_err() {
        db.resume().expect("there is room");
    }
    assert!(resumed > 5, "{resumed}");
    assert_eq!(everything(&db, None).len(), 1_200);
    db.close().expect("it closes");
    let (db, _) = Db::open(&shared, Path::new(DIR), trees::options()).expect("it opens");
    assert_eq!(everything(&db, None).len(), 1_200);
}
