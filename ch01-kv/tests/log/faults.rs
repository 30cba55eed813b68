//! Operations that fail, and a disk that is full.

use std::sync::Arc;

use ch01_kv::storage::format::PADDING;
use ch01_kv::storage::{Log, REWRITE_NAME, Rewrite, Room, Tail};
use common::disk::{Crash, Disk, Fault, Operation, SimDisk};

use super::{dir, group, keys, log_path, open, open_with, sync};

#[test]
fn a_write_that_fails_leaves_the_log_as_it_was() {
    for (fault, preallocate) in [(Fault::Enospc, 0), (Fault::Eio, 0), (Fault::Enospc, 2048), (Fault::Eio, 2048)] {
        for at in 1..=20 {
            let disk = SimDisk::new(at);
            let (mut log, _, _) = open_with(&disk, preallocate).expect("a new log");
            disk.fail_nth(Operation::Write, at, fault);
            let mut failures = 0;
            for index in 0..20 {
                let before = log.position();
                while let Err(error) = log.append_group(&group(index)) {
                    failures += 1;
                    assert!(failures < 2, "one fault, {error}");
                    assert_eq!(log.position(), before);
                }
            }
            assert!(failures == 1 || preallocate > 0, "padding that fails is no failure of the group");
            log.close().expect("the fault is over");
            let (_, report, found) = open(&disk).expect("whole");
            assert_eq!(found, keys(20), "{fault:?} in write {at}");
            assert_eq!(report.tail, Tail::Clean, "{fault:?} in write {at}");
        }
    }
    // When not even cutting works, the next group goes over what is there.
    let disk = SimDisk::new(0);
    let (mut log, _, _) = open(&disk).expect("a new log");
    log.append_group(&group(0)).expect("space");
    disk.fail_nth(Operation::Write, 1, Fault::Eio);
    disk.fail_nth(Operation::SetLen, 1, Fault::Eio);
    log.append_group(&group(1).repeat(9)).expect_err("the fault");
    log.append_group(&group(1)).expect("the fault is over");
    drop(log);
    let (_, report, found) = open(&disk).expect("whole");
    assert_eq!((found, report.tail), (keys(2), Tail::Clean));
}

#[test]
fn a_full_disk_is_noticed_while_the_reserve_still_takes_a_group() {
    let disk = SimDisk::new(0);
    let (mut log, _, _) = open_with(&disk, 16 << 10).expect("a new log");
    disk.set_capacity(Some(disk.used_bytes() + 1000));
    let mut groups = 0;
    while log.append_group(&group(groups)).expect("the reserve takes it") == Room::Ample {
        groups += 1;
    }
    groups += 1;
    assert!(groups > 3);
    sync(&mut log).expect("a sync needs no space");
    assert_eq!(log.append_group(&[]).expect("nothing to write"), Room::Reserve);
    // More than the reserve holds fails whole, and the log goes on.
    let large = group(groups).repeat(40);
    log.append_group(&large).expect_err("no space");
    disk.set_capacity(None);
    assert_eq!(log.append_group(&[]).expect("nothing to write"), Room::Ample);
    log.append_group(&group(groups)).expect("space");
    drop(log);
    let (_, report, found) = open(&disk).expect("whole");
    assert_eq!((found, report.tail), (keys(groups + 1), Tail::Padding));
}

#[test]
fn under_always_a_group_overwrites_padding_and_a_kill_leaves_whole_units() {
    let disk = SimDisk::new(0);
    let (mut log, _, _) = open_with(&disk, 16 << 10).expect("a new log");
    let len = |disk: &SimDisk| disk.cached(log_path()).expect("a log").len();
    let before = len(&disk);
    for index in 0..10 {
        log.append_group(&group(index)).expect("space");
        assert_eq!(len(&disk), before, "the file has its length already");
        let bytes = disk.cached(log_path()).expect("a log");
        let rest = &bytes[log.len_bytes() as usize..];
        assert!(rest.chunks(16).all(|unit| unit == PADDING));
    }
    for index in 10..200 {
        log.append_group(&group(index)).expect("space");
    }
    disk.crash(Crash::KeepAll);
    let (log, report, found) = open_with(&disk, 16 << 10).expect("whole");
    assert_eq!((found, report.tail), (keys(200), Tail::Padding));
    log.close().expect("no fault");
    let (log, report, _) = open(&disk).expect("whole");
    assert_eq!(report.tail, Tail::Clean, "a clean end cuts the padding");
    assert_eq!(len(&disk) as u64, log.len_bytes());
}

#[test]
fn a_rewrite_that_fails_anywhere_leaves_the_old_log_going() {
    let prepared = || {
        let disk = SimDisk::new(3);
        let (mut log, _, _) = open(&disk).expect("a new log");
        for index in 0..6 {
            log.append_group(&group(index)).expect("space");
        }
        (disk, log)
    };
    fn rewritten(disk: &SimDisk, log: &mut Log) -> Result<(), Box<dyn std::error::Error>> {
        let (copied, dir) = (log.position(), dir());
        let mut rewrite = Rewrite::begin(Arc::new(disk.clone()), &dir, 77)?;
        for index in 0..6 {
            rewrite.add_group(&group(index))?;
        }
        log.append_group(&group(6)).expect("not the live log's fault");
        log.replace_with(rewrite, copied)?;
        Ok(())
    }
    let (disk, mut log) = prepared();
    let before = disk.operations();
    rewritten(&disk, &mut log).expect("nothing fails");
    let operations = disk.operations() - before;
    for operation in [Operation::Create, Operation::Sync, Operation::Rename, Operation::SyncDir] {
        let (disk, mut log) = prepared();
        disk.fail_nth(operation, 1, Fault::Eio);
        rewritten(&disk, &mut log).expect_err("the fault");
        // Created never, the group that would have come in between is missing.
        let groups = if log.position().seq == 6 && operation == Operation::Create { 6 } else { 7 };
        log.append_group(&group(groups)).expect("the fault is over");
        sync(&mut log).expect("the fault is over");
        assert!(!disk.exists(&dir().join(REWRITE_NAME)).expect("a look"), "{operation:?}: nothing is left lying about");
        drop(log);
        assert_eq!(open(&disk).expect("whole").2, keys(groups + 1), "{operation:?}");
    }
    assert!(operations > 8);
}
