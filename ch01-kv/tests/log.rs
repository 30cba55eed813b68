//! The log on a disk that fails: crashes at every operation, full disks, damage; and Redis's own tools on what it wrote.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ch01_kv::storage::format::{HEADER_BYTES, PADDING, Position};
use ch01_kv::storage::{Log, LogOptions, REWRITE_NAME, Report, Rewrite, Room, StorageError, Tail};
use common::disk::{Crash, Disk, Fault, Open, Operation, RealDisk, SimDisk};
use common::resp::Request;

/// How many commands each group of a workload holds: enough that half a group would show.
const COMMANDS_PER_GROUP: usize = 3;

fn dir() -> PathBuf {
    PathBuf::from("/data/kv")
}

fn log_path() -> PathBuf {
    dir().join("appendonly.aof")
}

fn shared(disk: &SimDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

/// The `index`-th group: each command names itself, and values differ in length, to meet sectors at every offset.
fn group(index: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for command in 0..COMMANDS_PER_GROUP {
        let (key, value) = (format!("{index}:{command}"), "v".repeat(10 + 71 * index % 400));
        write!(out, "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n", key.len(), value.len()).expect("memory");
    }
    out
}

/// The keys of the first `groups` groups, in order.
fn keys(groups: usize) -> Vec<String> {
    (0..groups).flat_map(|index| (0..COMMANDS_PER_GROUP).map(move |command| format!("{index}:{command}"))).collect()
}

/// Opens the log; the keys that its commands set, in order.
fn open_with(disk: &SimDisk, preallocate_bytes: u64) -> Result<(Log, Report, Vec<String>), StorageError> {
    let mut keys = Vec::new();
    let options = LogOptions { salt: 1 + disk.operations(), preallocate_bytes };
    let (log, report) = Log::open(&shared(disk), &dir(), options, &mut |request: &Request<'_>| {
        keys.push(String::from_utf8_lossy(request.get(1).unwrap_or_default()).into_owned());
        Ok(())
    })?;
    Ok((log, report, keys))
}

fn open(disk: &SimDisk) -> Result<(Log, Report, Vec<String>), StorageError> {
    open_with(disk, 0)
}

fn sync(log: &mut Log) -> std::io::Result<()> {
    let point = log.sync_point();
    point.run()?;
    log.synced(&point);
    Ok(())
}

/// What the workload may expect of the log: how many groups it has tried to append, and how many it knows to be durable.
#[derive(Debug, Clone, Copy, Default)]
struct Expected {
    tried: usize,
    durable: usize,
}

/// Appends, syncs, rewrites while appending, appends again, and ends. Stops at the first failure.
fn workload(disk: &SimDisk, preallocate_bytes: u64, expected: &mut Expected) -> Result<(), Box<dyn std::error::Error>> {
    fn append(log: &mut Log, expected: &mut Expected) -> std::io::Result<()> {
        expected.tried += 1;
        log.append_group(&group(expected.tried - 1)).map(drop)
    }
    let (mut log, _, _) = open_with(disk, preallocate_bytes)?;
    for groups in [1, 2, 3] {
        for _ in 0..groups {
            append(&mut log, expected)?;
        }
        sync(&mut log)?;
        expected.durable = expected.tried;
    }
    append(&mut log, expected)?;
    let snapshot = log.position();
    let mut rewrite = Rewrite::begin(Arc::new(disk.clone()), &dir(), 99)?;
    for index in 0..expected.tried {
        rewrite.add_group(&group(index))?;
    }
    append(&mut log, expected)?;
    append(&mut log, expected)?;
    let copied = log.position();
    rewrite.copy_tail(&log.live(), snapshot, copied)?;
    rewrite.sync()?;
    append(&mut log, expected)?;
    let _old = log.replace_with(rewrite, copied)?;
    expected.durable = expected.tried;
    append(&mut log, expected)?;
    append(&mut log, expected)?;
    sync(&mut log)?;
    expected.durable = expected.tried;
    append(&mut log, expected)?;
    log.close()?;
    expected.durable = expected.tried;
    Ok(())
}

/// Opens what a crash has left, and checks it: whole groups only, a prefix of what was tried, nothing durable missing.
/// Gives back how many groups there are.
#[track_caller]
fn check(disk: &SimDisk, expected: Expected, what: &str) -> (Log, usize) {
    let (log, report, found) = open(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    let groups = found.len() / COMMANDS_PER_GROUP;
    assert_eq!(found, keys(groups), "{what}: what was recovered is a prefix, of whole groups");
    assert!(groups >= expected.durable, "{what}: {groups} groups of {} that were durable", expected.durable);
    assert!(groups <= expected.tried, "{what}: {groups} groups of {} that were tried", expected.tried);
    assert_eq!(report.commands as usize, found.len());
    assert!(!disk.exists(&dir().join(REWRITE_NAME)).expect("a look"), "{what}: a rewrite that was not done is gone");
    (log, groups)
}

/// Every crash, and a few draws of the one that draws.
fn crashes() -> impl Iterator<Item = (Crash, u64)> {
    [(Crash::LoseAll, 0), (Crash::KeepAll, 0)].into_iter().chain((1..=12).map(|seed| (Crash::Random, seed)))
}

#[test]
fn a_crash_at_any_operation_loses_nothing_durable_and_halves_no_group() {
    for preallocate in [0, 2048] {
        let whole = SimDisk::new(1);
        workload(&whole, preallocate, &mut Expected::default()).expect("nothing fails");
        let operations = whole.operations();
        assert!(operations > 30, "the workload is worth crashing");
        let mut torn = 0;
        for at in 1..=operations {
            let crashed = SimDisk::new(1);
            crashed.crash_at(at);
            let mut expected = Expected::default();
            workload(&crashed, preallocate, &mut expected).expect_err("the power is lost");
            for (how, seed) in crashes() {
                let what = format!("preallocate {preallocate}, crash at {at}, {how:?} {seed}");
                let disk = crashed.fork();
                disk.reseed(seed);
                disk.crash(how);
                let recoveries = disk.fork();
                let before = disk.operations();
                let (mut log, groups) = check(&disk, expected, &what);
                let opened = disk.operations() - before;
                torn += usize::from(groups < expected.tried);
                // What was recovered is about to be shown to clients, so it is durable now, and what is written next does
                // not say more than that.
                let shown = Expected { tried: groups + 2, durable: groups };
                for index in groups..groups + 2 {
                    log.append_group(&group(index)).expect("the disk is whole again");
                }
                for seed in 0..3 {
                    let disk = disk.fork();
                    disk.reseed(seed);
                    disk.crash(if seed == 0 { Crash::LoseAll } else { Crash::Random });
                    check(&disk, shown, &format!("{what}, recovered, crashed again"));
                }
                // What it is told to make durable after that is so under the hardest crash.
                sync(&mut log).expect("the disk is whole again");
                disk.crash(Crash::LoseAll);
                let all = Expected { tried: groups + 2, durable: groups + 2 };
                check(&disk, all, &format!("{what}, appended, crashed again"));
                // A crash during the recovery is no different.
                for again in 1..=opened {
                    let disk = recoveries.fork();
                    disk.crash_at(again);
                    open(&disk).map(drop).expect_err("the power is lost again");
                    disk.crash(if again % 2 == 0 { Crash::Random } else { Crash::LoseAll });
                    check(&disk, expected, &format!("{what}, and at {again} of the recovery"));
                }
            }
        }
        assert!(torn > 100, "crashes that lose something are what this is about: {torn}");
    }
}

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

#[test]
fn a_redis_log_of_commands_is_taken_over_and_others_are_refused_with_advice() {
    let with = |content: &[u8]| {
        let disk = SimDisk::new(0);
        disk.create_dir_all(&dir()).expect("a directory");
        disk.open(&log_path(), Open::New).expect("a file").write_at(content, 0).expect("space");
        disk
    };
    let mut content = b"#TS:1700000000\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n".to_vec();
    content.extend_from_slice(b"*1\r\n$5\r\nMULTI\r\n#TS:1700000001\r\n");
    (0..2000).for_each(|index| content.extend(group(index)));
    let disk = with(&[&content[..], b"*1\r\n$4\r\nEXEC\r\n"].concat());
    let mut names = Vec::new();
    let options = LogOptions { salt: 1, preallocate_bytes: 0 };
    let (log, report) = Log::open(&shared(&disk), &dir(), options, &mut |request| {
        names.push(request.name().to_vec());
        Ok(())
    })
    .expect("commands");
    assert!(report.imported);
    assert_eq!((report.commands, report.groups), (6003, 1), "a transaction is one group");
    assert_eq!((&names[1][..], &names[6002][..]), (&b"MULTI"[..], &b"EXEC"[..]));
    drop(log);
    disk.crash(Crash::LoseAll);
    let mut again = Vec::new();
    let (_, report) = Log::open(&shared(&disk), &dir(), options, &mut |request| {
        again.push(request.name().to_vec());
        Ok(())
    })
    .expect("our own log now");
    assert!(!report.imported);
    assert!(names == again, "the same commands, in the same order");

    let refusal = |content: &[u8]| open(&with(content)).map(drop).expect_err("refused").to_string();
    assert!(refusal(&content).contains("redis-check-aof --fix"), "a transaction that does not end");
    assert!(refusal(b"*1\r\n$4\r\nPIN").contains("redis-check-aof --fix"), "a command that does not end");
    assert!(refusal(b"*1\r\n$4\r\nPING\r\njunk").contains("at offset 14"));
    assert!(refusal(b"REDIS0010...").contains("aof-use-rdb-preamble no"));
    assert!(refusal(b"\0\0\0\0").contains("header does not verify"));
    let disk = SimDisk::new(0);
    disk.create_dir_all(&dir().join("appendonlydir")).expect("a directory");
    let error = open(&disk).map(drop).expect_err("refused").to_string();
    assert!(error.contains("cat /data/kv/appendonlydir/*.base.aof"), "{error}");
}

/// Whether `tool` is there. Where it is not, says so, or fails where that is demanded.
fn installed(tool: &str) -> bool {
    if Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok() {
        return true;
    }
    assert!(std::env::var_os("CLIENTS").is_none_or(|clients| clients != "require"), "{tool} is not installed");
    // Past the capture of the test harness: a skip that nobody sees is a lie.
    writeln!(std::io::stderr(), "SKIPPED: {tool} is not installed").expect("standard error");
    false
}

/// A log on a real disk with everything in it: binary values, large groups, padding, and a rewrite. Not ended.
fn real_log(dir: &Path) -> (Log, usize) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let options = LogOptions { salt: 42, preallocate_bytes: 64 << 10 };
    let (mut log, _) = Log::open(&disk, dir, options, &mut |_| Ok(())).expect("a new log");
    let binary: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let mut large = b"*3\r\n$3\r\nSET\r\n$6\r\nbinary\r\n$70000\r\n".to_vec();
    large.extend_from_slice(&binary);
    large.extend_from_slice(b"\r\n");
    for index in 0..50 {
        log.append_group(&group(index)).expect("space");
    }
    let copied = log.position();
    let mut rewrite = Rewrite::begin(disk, dir, 43).expect("a file");
    (0..50).for_each(|index| rewrite.add_group(&group(index)).expect("space"));
    log.append_group(&large).expect("space");
    log.replace_with(rewrite, copied).expect("a rename");
    for index in 50..100 {
        log.append_group(&group(index)).expect("space");
        sync(&mut log).expect("a sync");
    }
    (log, 100 * COMMANDS_PER_GROUP + 1)
}

#[test]
fn redis_check_aof_accepts_the_log_while_it_is_open_and_after_its_end() {
    if !installed("redis-check-aof") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let (log, _) = real_log(dir.path());
    let accepted = |when: &str| {
        let output = Command::new("redis-check-aof").arg(dir.path().join("appendonly.aof")).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("is valid"), "{when}: {said}");
    };
    accepted("open, as a kill leaves it");
    log.close().expect("no fault");
    accepted("ended");
}

/// A redis-server that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_redis_server_loads_the_log_as_its_own() {
    if !installed("redis-server") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let (log, keys) = real_log(dir.path());
    // As it is while it is open, padding and all.
    let theirs = tempfile::tempdir().expect("a directory");
    fs::copy(log.path(), theirs.path().join("appendonly.aof")).expect("a copy");
    let socket = theirs.path().join("socket");
    let mut server = Command::new("redis-server");
    server.args(["--port", "0", "--save", "", "--appendonly", "yes", "--daemonize", "no", "--dir"]).arg(theirs.path());
    server.arg("--unixsocket").arg(&socket);
    let mut server = Server(server.stdout(Stdio::piped()).spawn().expect("it runs"));
    let mut said = String::new();
    let mut output = BufReader::new(server.0.stdout.take().expect("piped"));
    while !said.contains("accept connections at") {
        let before = said.len();
        output.read_line(&mut said).expect("text");
        assert!(said.len() > before, "it ended: {said}");
    }
    let mut client = UnixStream::connect(&socket).expect("it listens");
    // An answer that is shorter than expected is a failure, and no reason to wait for the rest of it.
    client.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
    client.write_all(b"DBSIZE\r\nSTRLEN binary\r\nGET 99:2\r\n").expect("sent");
    let value = "v".repeat(10 + 71 * 99 % 400);
    let expected = format!(":{keys}\r\n:70000\r\n${}\r\n{value}\r\n", value.len());
    let mut answer = vec![0; expected.len()];
    client.read_exact(&mut answer).expect("answered");
    assert_eq!(String::from_utf8_lossy(&answer), expected);
}
