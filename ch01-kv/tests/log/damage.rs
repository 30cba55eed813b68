//! Damage and tears, and what is told of them.

use std::sync::Arc;

use ch01_kv::storage::format::{HEADER_BYTES, Position};
use ch01_kv::storage::{Rewrite, StorageError, Tail};
use common::disk::{Crash, Disk, Open, SimDisk};

use super::{dir, group, keys, log_path, open, open_with, sync};

#[test]
fn damage_names_the_file_and_the_offset_and_its_advice_works() {
    let disk = SimDisk::new(0);
    let (mut log, _, _) = open(&disk).expect("a new log");
    let mut ends = vec![log.position()];
    for index in 0..5 {
        log.append_group(&group(index)).expect("space");
        ends.push(log.position());
    }
    log.close().expect("no fault");
    disk.crash(Crash::LoseAll);
    let Position { offset, .. } = ends[4];
    disk.flip_bit(log_path(), (offset + 30) * 8).expect("a bit of the last group: the seal tells");
    let error = open(&disk).map(drop).expect_err("damage");
    assert!(error.is_damage());
    let text = error.to_string();
    assert!(text.contains(&format!("/data/kv/appendonly.aof is damaged at offset {offset}")), "{text}");
    assert!(text.contains(&format!("head -c {offset} /data/kv/appendonly.aof")), "{text}");
    disk.open(&log_path(), Open::Existing).expect("a log").set_len(offset).expect("as advised");
    assert_eq!(open(&disk).expect("whole").2, keys(4));

    disk.zero_sector(log_path(), 0).expect("a sector");
    let error = open(&disk).map(drop).expect_err("damage");
    assert!(matches!(error, StorageError::Header { .. }), "{error}");
    assert!(error.is_damage());
}

#[test]
fn after_a_clean_end_a_lost_block_anywhere_takes_no_group_unnoticed() {
    let small = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n";
    for count in [1, 20, 60, 61, 62, 63, 64, 200] {
        let disk = SimDisk::new(count);
        let (mut log, _, _) = open_with(&disk, 1 << 16).expect("an empty disk opens");
        for _ in 0..count {
            log.append_group(small).expect("space");
            sync(&mut log).expect("a disk without faults");
        }
        log.close().expect("a disk without faults");
        let file = disk.open(&log_path(), Open::Existing).expect("it is there");
        let len = file.len().expect("a length");
        for block_bytes in [512, 4096] {
            for at in (0..len).step_by(block_bytes) {
                let fork = disk.fork();
                let file = fork.open(&log_path(), Open::Existing).expect("it is there");
                let zeros = vec![0; usize::try_from(len - at).expect("small").min(block_bytes)];
                file.write_at(&zeros, at).expect("space");
                match open(&fork) {
                    Ok((_, report, keys)) => {
                        assert_eq!(keys.len() as u64, count, "{count} groups, a hole at {at}: {report:?}");
                    }
                    Err(StorageError::Damaged { .. } | StorageError::Header { .. }) => {}
                    Err(error) => panic!("{count} groups, a hole at {at}: {error}"),
                }
            }
        }
    }
}

#[test]
fn a_rewrite_does_not_carry_damage_over() {
    let disk = SimDisk::new(0);
    let (mut log, _, _) = open(&disk).expect("a new log");
    let from = log.position();
    for index in 0..3 {
        log.append_group(&group(index)).expect("space");
        sync(&mut log).expect("no fault");
    }
    disk.flip_bit(log_path(), (HEADER_BYTES as u64 + 20) * 8).expect("a bit");
    let mut rewrite = Rewrite::begin(Arc::new(disk.clone()), &dir(), 5).expect("a new file");
    let error = rewrite.copy_tail(&log.live(), from, log.position()).expect_err("damage");
    assert!(error.is_damage(), "{error}");
}

#[test]
fn groups_behind_a_tear_are_cut_and_kept_beside_the_log() {
    let disk = SimDisk::new(0);
    let (mut log, _, _) = open(&disk).expect("a new log");
    let mut offsets = Vec::new();
    for index in 0..6 {
        offsets.push(log.len_bytes());
        log.append_group(&group(index)).expect("space");
    }
    drop(log);
    let bytes = disk.cached(log_path()).expect("a log");
    let file = disk.open(&log_path(), Open::Existing).expect("a log");
    file.write_at(&[0; 32], offsets[2] + 16).expect("space");
    let (log, report, found) = open(&disk).expect("nothing was synced: a tear");
    assert_eq!(found, keys(2));
    assert!(matches!(report.tail, Tail::Torn { at, later: 3, .. } if at == offsets[2]), "{report:?}");
    let kept = disk.cached(report.kept.expect("they are kept")).expect("a file");
    assert_eq!(kept[48..], bytes[offsets[2] as usize + 48..]);
    assert_eq!(log.len_bytes(), offsets[2]);
}

#[test]
fn a_sync_of_the_old_file_says_nothing_about_the_one_that_replaced_it() {
    let disk = SimDisk::new(0);
    let (mut log, _, _) = open(&disk).expect("a new log");
    for index in 0..6 {
        log.append_group(&group(index)).expect("space");
    }
    let of_the_old_file = log.sync_point();
    let copied = log.position();
    let mut rewrite = Rewrite::begin(Arc::new(disk.clone()), &dir(), 9).expect("a file");
    rewrite.add_group(&(0..6).flat_map(group).collect::<Vec<_>>()).expect("space");
    log.replace_with(rewrite, copied).expect("a rename");
    let offset = log.len_bytes();
    log.append_group(&group(6)).expect("space");
    log.synced(&of_the_old_file);
    log.append_group(&group(7)).expect("space");
    log.file().write_at(&[0; 32], offset + 16).expect("space");
    drop(log);
    let (_, report, found) = open(&disk).expect("nothing has synced group 6: a tear");
    assert_eq!(found, keys(6));
    assert!(matches!(report.tail, Tail::Torn { later: 1, .. }), "{report:?}");
}

#[test]
fn one_directory_serves_one_process() {
    let disk = SimDisk::new(0);
    let (log, _, _) = open(&disk).expect("a new log");
    assert!(matches!(open(&disk).map(drop), Err(StorageError::Locked { .. })));
    drop(log);
    open(&disk).map(drop).expect("the lock went with the log");
}
