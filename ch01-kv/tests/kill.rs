//! The real binary and the signals that end it: SIGKILL under load, SIGTERM, and a log that was damaged meanwhile.
//!
//! A killed process leaves its page cache behind: this tests recovery and says nothing about fsync, which is the simulation's
//! and `strace.rs`'s part. `KILL_ROUNDS=200` kills more often.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::mpsc;

use rustix::process::{Pid, Signal};

#[path = "support/served.rs"]
mod served;

use served::{Served, command};

/// How many rounds run when nobody asks for more.
const ROUNDS: usize = 5;

/// How many clients write at once.
const WRITERS: usize = 4;

/// How many writes are acknowledged before the kill, at the least.
const WRITES_BEFORE_KILL: usize = 200;

fn start(data: &Path, appendfsync: &str) -> Served {
    Served::start(data, &["--appendfsync", appendfsync])
}

fn connect(server: &Served) -> BufReader<TcpStream> {
    BufReader::new(TcpStream::connect(server.address).expect("it listens"))
}

fn signal(server: &Served, signal: Signal) {
    rustix::process::kill_process(Pid::from_child(&server.child), signal).expect("it is ours");
}

/// Sends a line and returns the line that answers it; `None` when the server has gone.
fn ask(server: &mut BufReader<TcpStream>, line: &str) -> Option<String> {
    server.get_mut().write_all(format!("{line}\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    server.read_line(&mut answer).ok()?;
    let answer = answer.strip_suffix("\r\n")?;
    match answer.strip_prefix('$').map(|len| len.parse::<i64>().expect("a length")) {
        None => Some(answer.to_owned()),
        Some(-1) => Some("nil".to_owned()),
        Some(len) => {
            let mut value = vec![0; usize::try_from(len).expect("a length") + 2];
            server.read_exact(&mut value).ok()?;
            Some(String::from_utf8_lossy(&value[..value.len() - 2]).into_owned())
        }
    }
}

/// Counts a key of its own up until the server is gone; the last number that was acknowledged.
fn write_until_it_ends(address: SocketAddr, writer: usize, acknowledged: &mpsc::Sender<()>) -> i64 {
    let mut server = BufReader::new(TcpStream::connect(address).expect("it listens"));
    let mut last = 0;
    while let Some(answer) = ask(&mut server, &format!("INCR counter:{writer}")) {
        last = answer
            .strip_prefix(':')
            .unwrap_or_else(|| panic!("INCR is answered {answer:?}"))
            .parse()
            .expect("a number");
        // The round may be over.
        let _ = acknowledged.send(());
    }
    last
}

/// Starts the server, loads it, ends it by `end`; what each writer had acknowledged.
fn round(server: &Served, end: impl FnOnce(&Served)) -> Vec<i64> {
    let (sender, acknowledged) = mpsc::channel();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let sender = sender.clone();
                let address = server.address;
                scope.spawn(move || write_until_it_ends(address, writer, &sender))
            })
            .collect();
        drop(sender);
        assert_eq!(
            acknowledged.iter().take(WRITES_BEFORE_KILL).count(),
            WRITES_BEFORE_KILL,
            "the server ended by itself"
        );
        end(server);
        writers.into_iter().map(|writer| writer.join().expect("a writer ends with its server")).collect()
    })
}

fn rounds() -> usize {
    std::env::var("KILL_ROUNDS").map_or(ROUNDS, |text| text.parse().expect("KILL_ROUNDS is a number"))
}

fn nothing_acknowledged_is_lost(appendfsync: &str) {
    let data = tempfile::tempdir().expect("a directory");
    let mut acknowledged = [0; WRITERS];
    for round_at in 0..=rounds() {
        let server = start(data.path(), appendfsync);
        let mut client = connect(&server);
        for (writer, wanted) in acknowledged.iter().enumerate() {
            let found = ask(&mut client, &format!("GET counter:{writer}")).expect("it serves");
            let found: i64 = if found == "nil" { 0 } else { found.parse().expect("a number") };
            // One more may have been executed whose answer did not arrive.
            assert!(
                (*wanted..=wanted + 1).contains(&found),
                "round {round_at}: {found} where {wanted} was acknowledged"
            );
        }
        if round_at % 2 == 1 {
            ask(&mut client, "BGREWRITEAOF").expect("it serves");
        }
        // A writer that is told nothing before the end of a round knows what it knew before.
        for (known, now) in acknowledged.iter_mut().zip(round(&server, |server| signal(server, Signal::KILL))) {
            *known = now.max(*known);
        }
    }
}

#[test]
fn under_always_nothing_acknowledged_is_lost_to_a_sigkill() {
    nothing_acknowledged_is_lost("always");
}

#[test]
fn under_everysec_nothing_acknowledged_is_lost_to_a_sigkill() {
    nothing_acknowledged_is_lost("everysec");
}

#[test]
fn a_sigterm_under_load_ends_with_0_and_loses_nothing() {
    let data = tempfile::tempdir().expect("a directory");
    let mut server = start(data.path(), "everysec");
    let acknowledged = round(&server, |server| signal(server, Signal::TERM));
    let status = server.child.wait().expect("it ends");
    assert_eq!((status.code(), status.signal()), (Some(0), None), "{status:?}");
    let server = start(data.path(), "everysec");
    let mut client = connect(&server);
    for (writer, wanted) in acknowledged.iter().enumerate() {
        // What was executed was answered, too: to finish what is in flight is what a SIGTERM leaves time for.
        assert_eq!(ask(&mut client, &format!("GET counter:{writer}")), Some(wanted.to_string()));
    }
}

#[test]
fn a_damaged_log_ends_with_3_and_names_the_file_and_the_offset() {
    let data = tempfile::tempdir().expect("a directory");
    let mut server = start(data.path(), "always");
    round(&server, |server| signal(server, Signal::TERM));
    server.child.wait().expect("it ends");
    let path = data.path().join("appendonly.aof");
    let mut bytes = std::fs::read(&path).expect("there is a log");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).expect("it can be written");
    let output = command(data.path(), &["--appendfsync", "always"]).output().expect("the binary starts");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(output.stdout.is_empty(), "it never was ready");
    assert!(message.contains(&path.display().to_string()) && message.contains("offset"), "{message}");
    assert_eq!(std::fs::read(&path).expect("it is there"), bytes, "nobody touched the evidence");
}
