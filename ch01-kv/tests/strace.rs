//! What the kernel saw: under `appendfsync always` no reply to a write leaves before an fdatasync that covers it has
//! returned. The checker is shown to bite under `everysec`, where replies do not wait.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

/// How many clients write, and how many rounds of theirs.
const CLIENTS: usize = 8;
const ROUNDS: usize = 25;

/// One system call's beginning or end, in the order of the trace.
#[derive(Debug, PartialEq, Eq)]
enum Moment {
    /// Records of the log begin to be written; the values they hold.
    Log(Vec<String>),
    /// A sync of the log begins, on this thread.
    SyncBegins(u32),
    /// It has returned with success.
    SyncEnds(u32),
    /// A reply begins to leave; the value it acknowledges.
    Reply(String),
}

/// Whether the tool can be run; says so on the real standard error if not, and fails where skips are failures.
fn has_strace() -> bool {
    let works = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if works.is_ok_and(|status| status.success()) {
        return true;
    }
    // Past the capture of the test harness: a skip nobody sees would pass for a success.
    let _ = rustix::io::write(rustix::stdio::stderr(), b"SKIPPED: strace is not installed, or may not trace here\n");
    assert!(std::env::var_os("CLIENTS").is_none_or(|clients| clients != "require"), "strace cannot be used");
    false
}

/// The values `v<number>e` in a call's data, whatever stands around them: strace shows a line's end as `\r\n`.
fn values(text: &str) -> Vec<String> {
    let of_start = |start: &str| {
        let (number, _) = start.split_once('e')?;
        number.parse::<u64>().ok().map(|_| format!("v{number}e"))
    };
    text.split('v').skip(1).filter_map(of_start).collect()
}

/// Reads a trace: `PID call(fd<path>, ...) = result`, and the two halves of a call that another thread came in between.
fn parse(trace: &str) -> Vec<Moment> {
    let mut moments = Vec::new();
    for line in trace.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let Ok(pid) = pid.parse::<u32>() else { continue };
        let rest = rest.trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            if (resumed.starts_with("fdatasync") || resumed.starts_with("fsync")) && resumed.trim_end().ends_with("= 0")
            {
                moments.push(Moment::SyncEnds(pid));
            }
            continue;
        }
        let Some((call, args)) = rest.split_once('(') else { continue };
        let of_log = args.split(',').next().is_some_and(|file| file.contains("appendonly.aof"));
        match call {
            "fdatasync" | "fsync" if of_log => {
                moments.push(Moment::SyncBegins(pid));
                if args.trim_end().ends_with("= 0") {
                    moments.push(Moment::SyncEnds(pid));
                }
            }
            "write" | "writev" | "pwrite64" if of_log => moments.push(Moment::Log(values(args))),
            "sendto" | "sendmsg" | "write" | "writev" => moments.extend(values(args).into_iter().map(Moment::Reply)),
            _ => {}
        }
    }
    moments
}

/// The replies that left before a sync, which began after their records were written, had returned.
fn early(moments: &[Moment]) -> Vec<String> {
    let (mut written, mut covered) = (Vec::new(), std::collections::BTreeSet::new());
    let mut syncs: BTreeMap<u32, usize> = BTreeMap::new();
    let mut early = Vec::new();
    for moment in moments {
        match moment {
            Moment::Log(values) => written.extend(values.iter().cloned()),
            Moment::SyncBegins(pid) => {
                syncs.insert(*pid, written.len());
            }
            Moment::SyncEnds(pid) => {
                if let Some(count) = syncs.remove(pid) {
                    covered.extend(written[..count].iter().cloned());
                }
            }
            Moment::Reply(value) if !covered.contains(value) => early.push(value.clone()),
            Moment::Reply(_) => {}
        }
    }
    early
}

/// Runs the server under strace and a load whose replies name what was written; the trace.
fn traced(appendfsync: &str) -> String {
    let scratch = tempfile::tempdir().expect("a directory");
    let trace = scratch.path().join("trace");
    let mut child = Command::new("strace")
        .args(["-f", "-y", "-e", "trace=fdatasync,fsync,write,writev,pwrite64,sendto,sendmsg", "-s", "4096", "-o"])
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_ch01-kv"))
        .args(["serve", "--listen", "127.0.0.1:0", "--appendfsync", appendfsync, "--data"])
        .arg(scratch.path().join("data"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("strace starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).expect("it says that it is ready");
    let address = line.split_whitespace().find_map(|word| word.strip_prefix("listen=")).expect("an address").to_owned();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let address = &address;
            scope.spawn(move || load(address, client));
        }
    });
    // strace ends with the program that it traces.
    let mut last = TcpStream::connect(&address).expect("it listens");
    last.write_all(b"SHUTDOWN\r\n").expect("it is sent");
    let _ = last.read(&mut [0; 64]);
    child.wait().expect("it ends");
    read(&trace)
}

fn read(trace: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(trace).expect("there is a trace")).into_owned()
}

/// `SET key value GET` answers with the value before: that tells which write a reply acknowledges.
fn load(address: &str, client: usize) {
    let mut server = BufReader::new(TcpStream::connect(address).expect("it listens"));
    for round in 0..ROUNDS {
        let value = format!("v{}e", client * 1_000_000 + round);
        // One write for both: the read's reply shows the write's value, and may leave no earlier.
        server
            .get_mut()
            .write_all(format!("SET k{client} {value}\r\nGET k{client}\r\n").as_bytes())
            .expect("it is sent");
        let mut answer = String::new();
        for _ in 0..3 {
            server.read_line(&mut answer).expect("it is answered");
        }
        assert!(answer.starts_with("+OK\r\n") && answer.ends_with(&format!("{value}\r\n")), "{answer:?}");
    }
}

#[test]
fn under_always_no_reply_leaves_before_the_sync_that_covers_it_has_returned() {
    if !has_strace() {
        return;
    }
    let trace = traced("always");
    let moments = parse(&trace);
    let replies = moments.iter().filter(|moment| matches!(moment, Moment::Reply(_))).count();
    assert_eq!(replies, CLIENTS * ROUNDS, "every reply is in the trace");
    assert_eq!(early(&moments), Vec::<String>::new(), "left too early:\n{trace}");
}

#[test]
fn under_everysec_the_checker_finds_replies_that_did_not_wait() {
    if !has_strace() {
        return;
    }
    let moments = parse(&traced("everysec"));
    assert!(!early(&moments).is_empty(), "the checker is blind: {moments:?}");
}

#[test]
fn a_sync_covers_what_was_written_before_it_began() {
    let line = |text: &str| format!("{text}\n");
    let log = |value: &str| {
        line(&format!("7 pwrite64(9</d/appendonly.aof>, \"*3\\r\\n$5\\r\\n{value}\\r\\n\", 20, 48) = 20"))
    };
    let reply = |value: &str| {
        line(&format!("7 sendto(12<TCP:[1]>, \"+OK\\r\\n$3\\r\\n{value}\\r\\n\", 9, MSG_NOSIGNAL, NULL, 0) = 9"))
    };
    let sync_begins = line("8 fdatasync(9</d/appendonly.aof> <unfinished ...>");
    let sync_ends = line("8 <... fdatasync resumed>) = 0");
    let sync_fails = line("8 <... fdatasync resumed>) = -1 EIO (Input/output error)");
    let good = [log("v1e"), sync_begins.clone(), sync_ends.clone(), reply("v1e")].concat();
    assert_eq!(early(&parse(&good)), Vec::<String>::new());
    for bad in [
        [log("v1e"), reply("v1e"), sync_begins.clone(), sync_ends.clone()],
        [log("v1e"), sync_begins.clone(), reply("v1e"), sync_ends.clone()],
        [sync_begins.clone(), log("v1e"), sync_ends, reply("v1e")],
        [log("v1e"), sync_begins, sync_fails, reply("v1e")],
    ] {
        assert_eq!(early(&parse(&bad.concat())), ["v1e"], "{bad:?}");
    }
}
