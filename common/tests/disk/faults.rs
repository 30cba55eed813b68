//! That each fault of the simulated disk happens, when it was asked for, and does what its doc says.

use std::io::ErrorKind;
use std::path::Path;

use common::disk::{Crash, Disk, DiskError, Fault, Open, Operation, SimDisk};
use rustix::io::Errno;

use crate::{content, durable_file, open};

fn errno(error: &std::io::Error) -> Option<i32> {
    error.get_ref()?.downcast_ref::<DiskError>()?.cause.raw_os_error()
}

#[test]
fn counted_operations_are_those_that_change_or_sync() {
    let disk = SimDisk::new(0);
    let counted = |act: &dyn Fn()| {
        let before = disk.operations();
        act();
        disk.operations() - before
    };
    let path = Path::new("/f");
    let file = open(&disk, path, Open::New);
    assert_eq!(disk.operations(), 1);
    assert_eq!(counted(&|| drop(open(&disk, path, Open::Create))), 1, "whether or not it creates");
    assert_eq!(counted(&|| drop(open(&disk, path, Open::Truncate))), 1);
    assert_eq!(counted(&|| file.write_at(b"x", 0).unwrap()), 1);
    assert_eq!(counted(&|| file.set_len(5).unwrap()), 1);
    assert_eq!(counted(&|| file.sync_data().unwrap()), 1);
    assert_eq!(counted(&|| disk.rename(path, Path::new("/g")).unwrap()), 1);
    assert_eq!(counted(&|| disk.hard_link(Path::new("/g"), path).unwrap()), 1);
    assert_eq!(counted(&|| disk.remove(path).unwrap()), 1);
    assert_eq!(counted(&|| disk.remove(path).unwrap_err().kind().to_string().clear()), 1, "failures count");
    assert_eq!(counted(&|| disk.create_dir_all(Path::new("/d/e/f")).unwrap()), 1);
    assert_eq!(counted(&|| disk.sync_dir(Path::new("/")).unwrap()), 1);
    assert_eq!(counted(&|| drop(disk.lock(Path::new("/LOCK")).unwrap())), 1);
    let look = || {
        drop(open(&disk, "/g", Open::Existing));
        drop(content(&disk, "/g"));
        disk.exists(path).unwrap();
        disk.list(Path::new("/")).unwrap();
        file.len().unwrap();
        assert!(format!("{disk:?}").contains("SimDisk"));
    };
    assert_eq!(counted(&look), 0);
}

#[test]
fn a_fault_meets_the_operation_it_waits_for_once() {
    let disk = SimDisk::new(0);
    let file = durable_file(&disk, "/f", b"");
    disk.fail_at(2, Fault::Eio);
    file.write_at(b"a", 0).unwrap();
    file.len().unwrap();
    let error = file.write_at(b"b", 1).unwrap_err();
    assert_eq!(errno(&error), Some(Errno::IO.raw_os_error()));
    file.write_at(b"c", 2).unwrap();

    disk.fail_nth(Operation::Rename, 2, Fault::Enospc);
    disk.rename(Path::new("/f"), Path::new("/g")).unwrap();
    file.sync_data().unwrap();
    let error = disk.rename(Path::new("/g"), Path::new("/h")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert!(disk.exists(Path::new("/g")).unwrap(), "a failed rename has done nothing");
    disk.rename(Path::new("/g"), Path::new("/h")).unwrap();
}

#[test]
fn every_operation_can_fail_and_then_has_done_nothing() {
    let operations = [
        Operation::Open,
        Operation::Create,
        Operation::Read,
        Operation::SetLen,
        Operation::Inspect,
        Operation::Rename,
        Operation::Remove,
        Operation::Link,
        Operation::CreateDir,
        Operation::SyncDir,
        Operation::List,
        Operation::Lock,
    ];
    for operation in operations {
        let disk = SimDisk::new(3);
        let file = durable_file(&disk, "/f", b"content");
        disk.fail_nth(operation, 1, Fault::Eio);
        let (f, g) = (Path::new("/f"), Path::new("/g"));
        let act = || match operation {
            Operation::Open => disk.open(f, Open::ReadOnly).map(drop),
            Operation::Create => disk.open(g, Open::New).map(drop),
            Operation::Read => file.read_at(&mut [0], 0).map(drop),
            Operation::SetLen => file.set_len(1),
            Operation::Inspect => file.len().map(drop),
            Operation::Rename => disk.rename(f, g),
            Operation::Remove => disk.remove(f),
            Operation::Link => disk.hard_link(f, g),
            Operation::CreateDir => disk.create_dir_all(g),
            Operation::SyncDir => disk.sync_dir(Path::new("/")),
            Operation::List => disk.list(Path::new("/")).map(drop),
            Operation::Lock => disk.lock(f).map(drop),
            Operation::Write | Operation::Sync => unreachable!("they have tests of their own"),
        };
        let error = act().expect_err("the fault is met");
        assert_eq!(errno(&error), Some(Errno::IO.raw_os_error()), "{operation:?}");
        assert_eq!(disk.cached("/f").unwrap(), b"content", "{operation:?}");
        assert!(!disk.exists(g).unwrap(), "{operation:?}");
        act().unwrap_or_else(|error| panic!("{operation:?} fails once: {error}"));
    }
}

#[test]
fn a_failed_write_has_written_any_prefix() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..200 {
        for fault in [Fault::Eio, Fault::Enospc] {
            let disk = SimDisk::new(seed);
            let file = durable_file(&disk, "/f", b"");
            disk.fail_at(1, fault);
            file.write_at(b"abcd", 0).unwrap_err();
            let written = content(&disk, "/f");
            assert!(b"abcd".starts_with(&written));
            lengths.insert(written.len());
        }
    }
    assert_eq!(lengths.len(), 5, "none, all, and each in between: {lengths:?}");
}

#[test]
fn a_full_disk_takes_what_fits_until_there_is_space() {
    let disk = SimDisk::new(0);
    disk.set_capacity(Some(1000));
    let log = durable_file(&disk, "/log", &[1; 900]);
    let error = log.write_at(&[2; 200], 900).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(errno(&error), Some(Errno::NOSPC.raw_os_error()));
    assert_eq!(error.to_string().split(": ").next().unwrap(), "cannot write /log at byte 900");
    assert_eq!(log.len().unwrap(), 1000, "what fits is written");
    assert_eq!(disk.used_bytes(), 1000);
    log.write_at(&[3; 1000], 0).expect("overwriting needs no space");
    log.sync_data().unwrap();
    assert_eq!(log.set_len(1001).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(log.write_at(b"x", 5000).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(log.len().unwrap(), 1000);

    disk.set_capacity(Some(1200));
    log.write_at(&[2; 200], 1000).unwrap();
    disk.crash(Crash::LoseAll);
    assert_eq!(disk.used_bytes(), 1000, "lost bytes take no space");
}

#[test]
fn space_comes_back_when_a_file_has_neither_name_nor_handle() {
    let disk = SimDisk::new(0);
    disk.set_capacity(Some(1000));
    let file = durable_file(&disk, "/f", &[1; 600]);
    disk.hard_link(Path::new("/f"), Path::new("/g")).unwrap();
    disk.remove(Path::new("/f")).unwrap();
    assert_eq!(disk.used_bytes(), 600, "it has another name");
    disk.remove(Path::new("/g")).unwrap();
    assert_eq!(disk.used_bytes(), 600, "it is open");
    drop(file);
    assert_eq!(disk.used_bytes(), 0);
    durable_file(&disk, "/h", &[2; 1000]);
    durable_file(&disk, "/h", &[3; 10]);
    open(&disk, "/i", Open::New).write_at(&[4; 500], 0).unwrap();
    disk.rename(Path::new("/i"), Path::new("/h")).unwrap();
    assert_eq!(disk.used_bytes(), 500, "a file that was cut or replaced gives its space back");
}

#[test]
fn a_refused_lock_holds_nothing() {
    let disk = SimDisk::new(0);
    let lock = disk.lock(Path::new("/LOCK")).unwrap();
    open(&disk, "/LOCK", Open::Existing).write_at(b"the holder's name", 0).unwrap();
    disk.lock(Path::new("/LOCK")).unwrap_err();
    drop(lock);
    disk.remove(Path::new("/LOCK")).unwrap();
    assert_eq!(disk.used_bytes(), 0);
}

#[test]
fn a_failed_sync_keeps_the_pages_dirty_at_best() {
    let disk = SimDisk::new(0);
    let file = durable_file(&disk, "/f", b"old");
    file.write_at(b"new", 0).unwrap();
    disk.fail_nth(Operation::Sync, 1, Fault::Eio);
    file.sync_data().unwrap_err();
    assert_eq!(disk.durable("/f").unwrap(), b"old");
    file.sync_data().unwrap();
    assert_eq!(disk.durable("/f").unwrap(), b"new");
}

#[test]
fn a_failed_sync_drops_the_pages_and_the_next_one_succeeds_for_nothing() {
    for (fault, seen) in [(Fault::SyncReverts, &b"old, kept"[..]), (Fault::SyncForgets, b"new, kept")] {
        let disk = SimDisk::new(0);
        let file = durable_file(&disk, "/f", b"old, kept");
        let other = durable_file(&disk, "/other", b"");
        file.write_at(b"new", 0).unwrap();
        other.write_at(b"not concerned", 0).unwrap();
        disk.fail_nth(Operation::Sync, 1, fault);
        assert_eq!(errno(&file.sync_data().unwrap_err()), Some(Errno::IO.raw_os_error()));
        assert_eq!(content(&disk, "/f"), seen, "{fault:?}");
        file.sync_data().expect("the second sync finds nothing to complain about");
        other.sync_data().unwrap();
        assert_eq!(content(&disk, "/f"), seen, "{fault:?}");
        disk.crash(Crash::LoseAll);
        assert_eq!(content(&disk, "/f"), b"old, kept", "{fault:?}: and the write is gone");
        assert_eq!(content(&disk, "/other"), b"not concerned");
    }
}

#[test]
fn a_record_that_a_failed_sync_forgot_is_a_hole_before_the_next_one() {
    let disk = SimDisk::new(0);
    let log = durable_file(&disk, "/log", &[1; 4096]);
    log.write_at(&[2; 4096], 4096).unwrap();
    disk.fail_nth(Operation::Sync, 1, Fault::SyncForgets);
    log.sync_data().unwrap_err();
    log.write_at(&[3; 4096], 8192).unwrap();
    log.sync_data().unwrap();
    disk.crash(Crash::LoseAll);
    assert_eq!(content(&disk, "/log"), [[1; 4096], [0; 4096], [3; 4096]].concat());
}

#[test]
fn a_failed_directory_sync_makes_no_name_durable() {
    let disk = SimDisk::new(0);
    let file = open(&disk, "/f", Open::New);
    file.sync_data().unwrap();
    disk.fail_nth(Operation::SyncDir, 1, Fault::Eio);
    disk.sync_dir(Path::new("/")).unwrap_err();
    assert_eq!(disk.durable("/f"), None);
    disk.sync_dir(Path::new("/")).unwrap();
    assert_eq!(disk.durable("/f"), Some(Vec::new()));
}

#[test]
fn a_flipped_bit_is_on_the_medium() {
    let disk = SimDisk::new(0);
    let file = durable_file(&disk, "/f", &[0; 6000]);
    disk.flip_bit("/f", 5000 * 8 + 3).unwrap();
    let mut expected = vec![0; 6000];
    expected[5000] = 8;
    assert_eq!(content(&disk, "/f"), expected, "processes read it");
    disk.crash(Crash::LoseAll);
    assert_eq!(content(&disk, "/f"), expected, "and it survives");
    assert!(file.len().is_err());

    let file = open(&disk, "/f", Open::Existing);
    file.write_at(&[9], 5000).unwrap();
    disk.flip_bit("/f", 5000 * 8).unwrap();
    assert_eq!(content(&disk, "/f")[5000], 9, "an unsynced byte hides the medium");
    assert_eq!(disk.durable("/f").unwrap()[5000], 9, "which holds 8, with its lowest bit flipped");
    file.write_at(&[7; 10], 6000).unwrap();
    assert_eq!(disk.flip_bit("/f", 6000 * 8).unwrap_err().kind(), ErrorKind::InvalidInput, "nothing is there yet");
    assert_eq!(disk.flip_bit("/none", 0).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_zeroed_sector_ends_with_the_file() {
    let disk = SimDisk::new(0);
    durable_file(&disk, "/f", &[7; 1300]);
    disk.zero_sector("/f", 1).unwrap();
    let expected = [&[7; 512][..], &[0; 512], &[7; 276]].concat();
    assert_eq!(content(&disk, "/f"), expected);
    disk.zero_sector("/f", 2).unwrap();
    assert_eq!(disk.durable("/f").unwrap(), [&[7; 512][..], &[0; 788]].concat(), "the file has not grown");
    assert_eq!(disk.zero_sector("/f", 3).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(disk.zero_sector("/f", u64::MAX).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn offsets_beyond_what_a_file_can_have_are_refused() {
    let disk = SimDisk::new(0);
    let file = durable_file(&disk, "/f", b"x");
    for offset in [u64::MAX, u64::MAX - 1, i64::MAX as u64] {
        assert_eq!(file.write_at(b"y", offset).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(file.read_at(&mut [0; 8], offset).unwrap(), 0);
    }
    assert_eq!(file.set_len(u64::MAX).unwrap_err().kind(), ErrorKind::FileTooLarge);
    file.set_len(1 << 50).expect("a hole costs nothing");
    file.sync_data().unwrap();
    assert_eq!(file.len().unwrap(), 1 << 50);
}

#[test]
fn the_trace_tells_the_last_calls_and_how_they_ended() {
    let disk = SimDisk::new(0);
    let file = durable_file(&disk, "/log", b"not traced");
    assert!(disk.trace().is_empty());
    disk.keep_trace(4);
    disk.fail_nth(Operation::Sync, 1, Fault::Eio);
    file.read_at(&mut [0; 3], 1).unwrap();
    file.write_at(b"abc", 10).unwrap();
    file.sync_data().unwrap_err();
    disk.rename(Path::new("/log"), Path::new("/log.1")).unwrap();
    disk.crash(Crash::LoseAll);
    let trace = disk.trace();
    assert_eq!(trace[0], "#5 write /log [10, +3)");
    assert!(trace[1].starts_with("#6 sync /log: "), "{}", trace[1]);
    assert_eq!(trace[2..], ["#7 rename /log to /log.1", "crash 1: LoseAll"]);
}

#[test]
fn plans_are_forgotten_in_a_crash() {
    let disk = SimDisk::new(0);
    disk.fail_at(1, Fault::Eio);
    disk.crash_at(2);
    disk.crash(Crash::LoseAll);
    durable_file(&disk, "/f", b"no fault in sight");
}

#[test]
#[should_panic(expected = "counted from 1")]
fn the_zeroth_operation_is_a_mistake() {
    SimDisk::new(0).crash_at(0);
}
