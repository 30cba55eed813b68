//! What survives a crash of the simulated disk: what POSIX promises, and no more than chance has it of the rest.

use std::collections::BTreeSet;
use std::path::Path;

use common::disk::{Crash, Disk, Fault, Open, Operation, SimDisk, create_dir_durably};

use crate::{EVERY_CRASH, SEEDS, content, durable_file, open};

#[test]
fn synced_data_survives_every_crash() {
    for seed in 0..SEEDS {
        for how in EVERY_CRASH {
            let disk = SimDisk::new(seed);
            let file = durable_file(&disk, "/log", b"acknowledged");
            file.write_at(&[7; 5000], 12).unwrap();
            disk.crash(how);
            assert_eq!(content(&disk, "/log")[..12], *b"acknowledged", "seed {seed}, {how:?}");
            assert_eq!(&disk.durable("/log").unwrap()[..12], b"acknowledged");
        }
    }
}

#[test]
fn unsynced_data_is_lost_with_the_power_and_not_with_the_process() {
    let disk = SimDisk::new(0);
    let file = durable_file(&disk, "/log", b"old");
    file.write_at(b"new and longer", 0).unwrap();
    assert_eq!(disk.durable("/log").unwrap(), b"old");
    assert_eq!(disk.cached("/log").unwrap(), b"new and longer");

    disk.crash(Crash::KeepAll);
    assert_eq!(content(&disk, "/log"), b"new and longer", "a kill leaves the page cache");
    assert_eq!(disk.durable("/log").unwrap(), b"old", "and makes nothing durable");

    disk.crash(Crash::LoseAll);
    assert_eq!(content(&disk, "/log"), b"old");
}

#[test]
fn a_cut_that_is_not_synced_comes_back() {
    for how in [Open::Truncate, Open::Existing] {
        let disk = SimDisk::new(0);
        durable_file(&disk, "/f", &[5; 9000]);
        let file = open(&disk, "/f", how);
        file.set_len(0).unwrap();
        file.write_at(&[6; 10], 100).unwrap();
        let fork = disk.fork();
        fork.crash(Crash::LoseAll);
        assert_eq!(content(&fork, "/f"), [5; 9000]);
        file.sync_data().unwrap();
        disk.crash(Crash::LoseAll);
        assert_eq!(content(&disk, "/f"), [&[0; 100][..], &[6; 10]].concat(), "{how:?}");
    }
}

#[test]
fn a_write_is_torn_between_sectors_and_nowhere_else() {
    let mut torn = 0;
    let mut kept_a_later_sector_than_it_lost = 0;
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        let file = durable_file(&disk, "/f", &[b'o'; 4096]);
        // From the middle of sector 1 to the middle of sector 5.
        file.write_at(&[b'n'; 2048], 768).unwrap();
        disk.crash(Crash::Random);
        let bytes = content(&disk, "/f");
        assert!(
            bytes[..768].iter().chain(&bytes[2816..]).all(|byte| *byte == b'o'),
            "seed {seed}: untouched bytes changed"
        );
        let written = [768..1024, 1024..1536, 1536..2048, 2048..2560, 2560..2816];
        let is_new = written.map(|sector| {
            let distinct: BTreeSet<u8> = bytes[sector.clone()].iter().copied().collect();
            assert_eq!(distinct.len(), 1, "seed {seed}: a tear inside the sector {sector:?}");
            distinct.contains(&b'n')
        });
        torn += u64::from(is_new.contains(&true) && is_new.contains(&false));
        kept_a_later_sector_than_it_lost += u64::from(is_new.windows(2).any(|pair| pair == [false, true]));
    }
    assert!(torn > SEEDS / 10, "only {torn} of {SEEDS} crashes tore the write");
    assert!(kept_a_later_sector_than_it_lost > SEEDS / 20, "sectors go to the disk in any order");
}

#[test]
fn a_later_write_can_survive_an_earlier_one_that_is_lost() {
    let outcomes: BTreeSet<Vec<u8>> = (0..SEEDS)
        .map(|seed| {
            let disk = SimDisk::new(seed);
            let file = durable_file(&disk, "/f", &[b'.'; 1024]);
            file.write_at(b"1", 0).unwrap();
            file.write_at(b"2", 512).unwrap();
            disk.crash(Crash::Random);
            let bytes = content(&disk, "/f");
            vec![bytes[0], bytes[512]]
        })
        .collect();
    let all = [*b"..", *b".2", *b"1.", *b"12"].map(Vec::from);
    assert_eq!(outcomes, BTreeSet::from(all), "each subset of the unsynced writes is reached");
}

#[test]
fn a_length_can_survive_without_its_bytes_which_then_are_zeros() {
    let mut zeros = 0;
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        let file = durable_file(&disk, "/log", &[1; 600]);
        file.write_at(&[2; 1000], 600).unwrap();
        disk.crash(Crash::Random);
        let bytes = content(&disk, "/log");
        assert_eq!(bytes[..600], [1; 600]);
        assert!(bytes[600..].iter().all(|byte| [0, 2].contains(byte)), "seed {seed}: bytes out of nowhere");
        zeros += u64::from(bytes.len() == 1600 && bytes[600..] == [0; 1000]);
    }
    assert!(zeros > 0, "an extension whose data is lost whole was never seen");
}

#[test]
fn a_new_name_is_durable_only_after_its_directory_was_synced() {
    let disk = SimDisk::new(0);
    create_dir_durably(&disk, Path::new("/a")).unwrap();
    create_dir_durably(&disk, Path::new("/b")).unwrap();
    let file = open(&disk, "/a/f", Open::New);
    file.write_at(b"synced", 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/b")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    assert_eq!(disk.durable("/a/f"), None, "syncing another directory, or the file, does not help");
    let fork = disk.fork();
    fork.crash(Crash::LoseAll);
    assert!(!fork.exists(Path::new("/a/f")).unwrap());

    disk.sync_dir(Path::new("/a")).unwrap();
    disk.crash(Crash::LoseAll);
    assert_eq!(content(&disk, "/a/f"), b"synced");
}

#[test]
fn names_survive_independently_of_each_other_and_of_their_content() {
    let outcomes: BTreeSet<[bool; 2]> = (0..SEEDS)
        .map(|seed| {
            let disk = SimDisk::new(seed);
            for name in ["/x", "/y"] {
                open(&disk, name, Open::New).write_at(b"unsynced", 0).unwrap();
            }
            disk.crash(Crash::Random);
            ["/x", "/y"].map(|name| disk.exists(Path::new(name)).unwrap())
        })
        .collect();
    assert_eq!(outcomes.len(), 4, "seen: {outcomes:?}");
}

#[test]
fn a_removed_name_comes_back_unless_its_directory_was_synced() {
    let disk = SimDisk::new(0);
    durable_file(&disk, "/f", b"content");
    disk.remove(Path::new("/f")).unwrap();
    let fork = disk.fork();
    fork.crash(Crash::LoseAll);
    assert_eq!(content(&fork, "/f"), b"content");
    disk.sync_dir(Path::new("/")).unwrap();
    disk.crash(Crash::LoseAll);
    assert!(!disk.exists(Path::new("/f")).unwrap());
}

#[test]
fn a_rename_is_atomic_and_durable_after_a_sync_of_the_directory() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        durable_file(&disk, "/current", b"old");
        durable_file(&disk, "/current.tmp", b"new");
        disk.rename(Path::new("/current.tmp"), Path::new("/current")).unwrap();
        let fork = disk.fork();
        fork.crash(Crash::Random);
        let is_renamed = content(&fork, "/current") == b"new";
        assert!(is_renamed || content(&fork, "/current") == b"old");
        assert_eq!(fork.exists(Path::new("/current.tmp")).unwrap(), !is_renamed, "both names or neither have changed");
        outcomes.insert(is_renamed);

        disk.sync_dir(Path::new("/")).unwrap();
        disk.crash(Crash::Random);
        assert_eq!(content(&disk, "/current"), b"new");
    }
    assert_eq!(outcomes.len(), 2, "both outcomes are seen");
}

#[test]
fn a_rename_of_a_file_that_was_not_synced_yields_an_empty_file() {
    let disk = SimDisk::new(0);
    durable_file(&disk, "/current", b"old");
    open(&disk, "/current.tmp", Open::New).write_at(b"new", 0).unwrap();
    disk.rename(Path::new("/current.tmp"), Path::new("/current")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk.crash(Crash::LoseAll);
    assert_eq!(content(&disk, "/current"), b"", "the classic loss: the name is durable, the bytes are not");
}

#[test]
fn a_move_to_another_directory_never_loses_the_file() {
    for (seed, synced) in (0..SEEDS).flat_map(|seed| [(seed, None), (seed, Some("/a")), (seed, Some("/b"))]) {
        let disk = SimDisk::new(seed);
        create_dir_durably(&disk, Path::new("/a")).unwrap();
        create_dir_durably(&disk, Path::new("/b")).unwrap();
        durable_file(&disk, "/a/f", b"kept");
        disk.rename(Path::new("/a/f"), Path::new("/b/f")).unwrap();
        if let Some(directory) = synced {
            disk.sync_dir(Path::new(directory)).unwrap();
        }
        disk.crash(Crash::Random);
        let present = ["/a/f", "/b/f"].map(|path| disk.exists(Path::new(path)).unwrap());
        assert_eq!(present.iter().filter(|is_there| **is_there).count(), 1, "seed {seed}: {present:?}");
        assert!(present[1] || synced.is_none(), "a synced move is undone");
    }
}

#[test]
fn a_move_that_is_durable_takes_the_one_that_made_room_for_it_along() {
    let disk = SimDisk::new(0);
    for directory in ["/a", "/b", "/c"] {
        create_dir_durably(&disk, Path::new(directory)).unwrap();
    }
    durable_file(&disk, "/b/f", b"older");
    durable_file(&disk, "/a/f", b"newer");
    disk.rename(Path::new("/b/f"), Path::new("/c/f")).unwrap();
    disk.rename(Path::new("/a/f"), Path::new("/b/f")).unwrap();
    disk.sync_dir(Path::new("/a")).unwrap();
    disk.crash(Crash::LoseAll);
    assert_eq!(content(&disk, "/b/f"), b"newer");
    assert_eq!(content(&disk, "/c/f"), b"older");
}

#[test]
fn a_log_that_was_rotated_is_never_overwritten_by_its_successor() {
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        durable_file(&disk, "/log", b"history");
        disk.rename(Path::new("/log"), Path::new("/log.1")).unwrap();
        open(&disk, "/log", Open::New);
        disk.crash(Crash::Random);
        let rotated = disk.cached("/log.1").or_else(|| disk.cached("/log"));
        assert_eq!(rotated.unwrap(), b"history", "seed {seed}: the changes of one name reach the disk in their order");
    }
}

#[test]
fn what_lies_in_a_directory_that_is_lost_is_lost() {
    let disk = SimDisk::new(0);
    disk.create_dir_all(Path::new("/data/shard")).unwrap();
    durable_file(&disk, "/data/shard/f", b"synced, for nothing");
    disk.crash(Crash::LoseAll);
    assert!(!disk.exists(Path::new("/data")).unwrap());

    create_dir_durably(&disk, Path::new("/data/shard")).unwrap();
    assert_eq!(disk.list(Path::new("/data/shard")).unwrap(), Vec::<&Path>::new());
    durable_file(&disk, "/data/shard/f", b"kept");
    disk.crash(Crash::LoseAll);
    assert_eq!(content(&disk, "/data/shard/f"), b"kept");
}

#[test]
fn a_directory_is_created_durably_over_one_whose_creator_was_killed() {
    let disk = SimDisk::new(0);
    disk.create_dir_all(Path::new("/data")).unwrap();
    disk.crash(Crash::KeepAll);
    create_dir_durably(&disk, Path::new("/data")).unwrap();
    disk.crash(Crash::LoseAll);
    assert!(disk.exists(Path::new("/data")).unwrap());
}

#[test]
fn a_directory_whose_name_could_not_be_synced_was_not_created_durably() {
    for k in 1..=3 {
        let disk = SimDisk::new(0);
        create_dir_durably(&disk, Path::new("/data")).unwrap();
        disk.fail_nth(Operation::SyncDir, k, Fault::Eio);
        create_dir_durably(&disk, Path::new("/data/shard/7"))
            .expect_err("one sync for the level that is there, two for the new");
    }
}

#[test]
fn handles_and_locks_die_in_a_crash() {
    for how in EVERY_CRASH {
        let disk = SimDisk::new(0);
        let file = durable_file(&disk, "/f", b"content");
        let lock = disk.lock(Path::new("/LOCK")).unwrap();
        disk.crash(how);
        let operations = disk.operations();
        assert!(file.read_at(&mut [0; 4], 0).is_err());
        assert!(file.write_at(b"from the dead", 0).is_err());
        assert!(file.sync_data().is_err());
        assert!(file.len().is_err());
        assert_eq!(disk.operations(), operations, "the dead are not counted");
        assert_eq!(content(&disk, "/f"), b"content");
        let next = disk.lock(Path::new("/LOCK")).expect("the lock is free");
        drop(lock);
        assert!(disk.lock(Path::new("/LOCK")).is_err(), "the dead holder's guard does not free the next one's lock");
        drop(next);
    }
}
