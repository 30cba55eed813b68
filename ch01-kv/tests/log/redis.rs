//! Logs that Redis has written, and Redis's own tools on ours.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ch01_kv::storage::{Log, LogOptions, Rewrite};
use common::disk::{Crash, Disk, Open, RealDisk, SimDisk};

use super::{COMMANDS_PER_GROUP, dir, group, log_path, open, shared, sync};

#[test]
fn a_redis_log_of_commands_is_taken_over_and_others_are_refused_with_advice() {
    let with = |content: &[u8]| {
        let disk = SimDisk::new(0);
        disk.create_dir_all(&dir()).expect("a directory");
        let file = disk.open(&log_path(), Open::New).expect("a file");
        file.write_at(content, 0).expect("space");
        file.sync_data().expect("a disk without faults");
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
    let files = disk.list(&dir()).expect("a directory");
    let kept = files.iter().find(|path| path.to_string_lossy().contains("appendonly.aof.redis-"));
    let kept = disk.open(kept.expect("the user's own file stays"), Open::ReadOnly).expect("a file");
    assert_eq!(kept.len().expect("a length"), content.len() as u64 + 14);
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

/// A redis-server that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
