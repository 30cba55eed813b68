//! What a tree promises of the space that it reserves in its log: whoever was killed finds it, nobody takes it for something that
//! is missing, and nothing that is missing is taken for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ch03_lsm::db::{Db, Options, WriteOptions};
use ch03_lsm::error::Error;
use ch03_lsm::storage::files::WAL;
use ch03_lsm::storage::wal_recovery::{Recovered, RecoveryMode};
use common::disk::log::{Ending, FILL, SegmentReader, segments};
use common::disk::{Crash, Disk, Fault, Open, Operation, RealDisk, SimDisk};
use trees::{everything, options};

mod trees;

const DIR: &str = "/data";
const SYNC: WriteOptions = WriteOptions { sync: true };
const ASYNC: WriteOptions = WriteOptions { sync: false };
const MODES: [RecoveryMode; 2] = [RecoveryMode::TolerateTornTail, RecoveryMode::AbsoluteConsistency];

fn open(disk: &SimDisk, recovery: RecoveryMode) -> Result<(Db, Recovered), Error> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    Db::open(&shared, Path::new(DIR), Options { recovery, ..options() })
}

/// A tree whose last writes, all of them synced, are in its log.
fn written(disk: &SimDisk) -> Db {
    let (db, _) = open(disk, RecoveryMode::default()).expect("it opens");
    for number in 0..9u8 {
        db.put(&[b'a' + number], &[number; 50], SYNC).expect("a put");
    }
    db
}

/// Its logs, in order.
fn logs(disk: &dyn Disk, dir: &Path) -> Vec<PathBuf> {
    segments(disk, dir, WAL).expect("a list").into_iter().map(|(_, path)| path).collect()
}

/// Where a log's records end, and how.
fn ending(disk: &dyn Disk, path: &Path) -> (u64, Ending) {
    let mut reader = SegmentReader::open(disk, path).expect("it has a header");
    while reader.read().expect("it is not damaged").is_some() {}
    (reader.end(), reader.ending().expect("it has ended"))
}

#[test]
fn a_tree_that_was_killed_opens_in_either_mode_and_is_not_torn() {
    for crash in [Crash::KeepAll, Crash::LoseAll] {
        for mode in MODES {
            let disk = SimDisk::new(1);
            drop(written(&disk));
            disk.crash(crash);
            let log = logs(&disk, Path::new(DIR)).pop().expect("a log");
            assert_eq!(ending(&disk, &log).1, Ending::Reserved, "{crash:?}");
            let (db, recovered) = open(&disk, mode).expect("it opens");
            assert_eq!((recovered.batches, recovered.torn), (9, None), "{crash:?}, {mode:?}");
            assert_eq!(everything(&db, None).len(), 9);
        }
    }
}

#[test]
fn who_asks_for_no_sync_gets_no_reserved_space_and_a_closed_tree_has_none() {
    let disk = SimDisk::new(1);
    let (db, _) = open(&disk, RecoveryMode::default()).expect("it opens");
    db.put(b"a", &[1; 50], ASYNC).expect("a put");
    let log = logs(&disk, Path::new(DIR)).pop().expect("a log");
    assert_eq!(ending(&disk, &log).1, Ending::Clean);
    db.put(b"b", &[1; 50], SYNC).expect("a put");
    assert_eq!(ending(&disk, &log).1, Ending::Reserved);
    db.close().expect("it closes");
    disk.crash(Crash::LoseAll);
    assert_eq!(ending(&disk, &log), (disk.cached(&log).expect("a log").len() as u64, Ending::Clean));
}

#[test]
fn a_lost_sector_at_the_end_of_a_killed_log_is_told_in_both_modes() {
    let disk = SimDisk::new(1);
    drop(written(&disk));
    disk.crash(Crash::KeepAll);
    let log = logs(&disk, Path::new(DIR)).pop().expect("a log");
    let (end, _) = ending(&disk, &log);
    for sector in 1..disk.durable(&log).expect("a log").len() as u64 / 512 {
        let holds_records = sector * 512 < end;
        for mode in MODES {
            let fork = disk.fork();
            fork.zero_sector(&log, sector).expect("there is such a sector");
            match open(&fork, mode) {
                Ok((db, recovered)) => {
                    let torn = recovered.torn.unwrap_or_else(|| panic!("sector {sector}, {mode:?}: nobody is told"));
                    assert_eq!((mode, &torn.path), (RecoveryMode::TolerateTornTail, &log), "sector {sector}");
                    assert_eq!(everything(&db, None).len() == 9, !holds_records, "sector {sector}");
                }
                Err(error) => {
                    let text = error.to_string();
                    let is_torn = matches!(error, Error::TornTail { .. }) && mode == RecoveryMode::AbsoluteConsistency;
                    assert!(is_torn || (error.is_damage() && holds_records), "sector {sector}, {mode:?}: {text}");
                    assert!(text.contains(&*log.to_string_lossy()) && text.contains("offset"), "{text}");
                }
            }
        }
    }
}

#[test]
fn what_follows_a_hole_in_reserved_space_is_told_in_both_modes() {
    let disk = SimDisk::new(1);
    drop(written(&disk));
    disk.crash(Crash::KeepAll);
    let log = logs(&disk, Path::new(DIR)).pop().expect("a log");
    let (end, _) = ending(&disk, &log);
    disk.open(&log, Open::Existing)
        .expect("it opens")
        .write_at(b"of a write whose beginning is lost", end + 300)
        .unwrap();
    let fork = disk.fork();
    let (db, recovered) = open(&fork, RecoveryMode::TolerateTornTail).expect("it opens");
    assert_eq!(everything(&db, None).len(), 9);
    assert_eq!(recovered.torn.map(|torn| (torn.path, torn.offset)), Some((log.clone(), end)));
    match open(&disk, RecoveryMode::AbsoluteConsistency) {
        Err(Error::TornTail { path, offset, .. }) => assert_eq!((path, offset), (log, end)),
        other => panic!("{:?}", other.map(|(_, recovered)| recovered)),
    }
}

/// Writes without a sync until there is a log behind the one that is `before`.
fn rotate(disk: &SimDisk, db: &Db, before: &Path) -> u32 {
    let mut count = 0;
    while logs(disk, Path::new(DIR)).last().is_some_and(|last| last == before) {
        count += 1;
        db.put(format!("r{count:03}").as_bytes(), &[1; 100], ASYNC).expect("a put");
    }
    count
}

#[test]
fn a_log_that_is_not_written_any_more_is_cut_by_the_next_sync_and_before_it_no_sync_is_paid_for() {
    let disk = SimDisk::new(1);
    let db = written(&disk);
    let first = logs(&disk, Path::new(DIR)).pop().expect("a log");
    disk.keep_trace(1_000);
    let count = rotate(&disk, &db, &first);
    assert!(disk.cached(&first).expect("a log").ends_with(&[FILL]), "some of it is left");
    let of_first = |call: &String| call.contains(&*first.to_string_lossy());
    let is_sync = |call: &String| call.contains(" sync ");
    assert!(!disk.trace().iter().any(|call| of_first(call) && is_sync(call)), "{:?}", disk.trace());
    for how in [Crash::KeepAll, Crash::LoseAll] {
        let fork = disk.fork();
        fork.crash(how);
        let (db, recovered) = open(&fork, RecoveryMode::AbsoluteConsistency).expect("it was not promised to be cut");
        let found = everything(&db, None).len();
        assert!(recovered.torn.is_none() && found >= 9, "{how:?}: {found}");
    }
    db.put(b"synced", b"1", SYNC).expect("a put");
    disk.crash(Crash::LoseAll);
    assert_eq!(ending(&disk, &first), (disk.cached(&first).expect("a log").len() as u64, Ending::Clean));
    let (db, recovered) = open(&disk, RecoveryMode::AbsoluteConsistency).expect("it opens");
    assert_eq!((recovered.torn, everything(&db, None).len()), (None, 10 + count as usize));
}

#[test]
fn a_log_that_cannot_be_cut_is_an_error_of_the_write_that_was_to_be_synced_and_loses_nothing() {
    for fault in [Fault::Eio, Fault::Enospc] {
        let disk = SimDisk::new(1);
        let db = written(&disk);
        let first = logs(&disk, Path::new(DIR)).pop().expect("a log");
        rotate(&disk, &db, &first);
        assert!(disk.cached(&first).expect("a log").ends_with(&[FILL]), "some of it is left, and nothing has cut it");
        disk.fail_nth(Operation::SetLen, 1, fault);
        let error = db.put(b"refused", b"3", SYNC).expect_err("it cannot be said to be durable");
        assert!(error.to_string().contains("cut") && error.is_out_of_space() == (fault == Fault::Enospc), "{error}");
        db.put(b"behind", b"4", ASYNC).expect_err("nothing goes behind it");
        if fault == Fault::Enospc {
            db.resume().expect("there is room");
            db.put(b"resumed", b"5", SYNC).expect("a put");
        }
        drop(db);
        for how in [Crash::KeepAll, Crash::LoseAll] {
            let fork = disk.fork();
            fork.crash(how);
            let (db, recovered) = open(&fork, RecoveryMode::AbsoluteConsistency).expect("nothing is damaged");
            assert_eq!(recovered.torn, None, "{fault:?}, {how:?}");
            let found = everything(&db, None);
            assert!((0..9).all(|number| found.contains_key(&[b'a' + number][..])), "{fault:?}, {how:?}: {found:?}");
            assert!(!found.contains_key(&b"refused"[..]) && !found.contains_key(&b"behind"[..]), "{fault:?}, {how:?}");
            assert_eq!(found.contains_key(&b"resumed"[..]), fault == Fault::Enospc, "{fault:?}, {how:?}");
        }
    }
}

#[test]
fn on_a_real_disk_syncs_leave_the_log_as_long_as_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    let (db, _) = Db::open(&disk, dir.path(), Options::default()).expect("it opens");
    let log = logs(&*disk, dir.path()).pop().expect("a log");
    let mut lens = Vec::new();
    for number in 0..300u32 {
        db.put(&number.to_be_bytes(), &[3; 100], SYNC).expect("a put");
        lens.push(std::fs::metadata(&log).expect("it is there").len());
    }
    lens.dedup();
    assert_eq!(lens, [256 << 10], "one step serves for all of them");
    db.close().expect("it closes");
    let len = std::fs::metadata(&log).expect("it is there").len();
    assert_eq!(ending(&*disk, &log), (len, Ending::Clean), "and it is cut");
}
