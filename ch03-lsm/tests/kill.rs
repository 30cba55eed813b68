//! A process that is killed under load, again and again: nothing that was acknowledged is lost.
//!
//! A kill leaves the page cache as it is: this tests recovery by the real program on a real file system, with its own threads
//! in the middle of flushes and compactions. What a power cut takes is `tests/simulation.rs`' matter.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use ch03_lsm::db::{Db, Options};
use common::disk::{Disk, RealDisk};

/// How many keys there are.
const KEYS: u64 = 5_000;

fn shell(dir: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ch03-lsm"))
        .args(["shell", "--data"])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts")
}

/// Puts until `acknowledged` writes have been, kills the process in the middle of the next ones, and returns the number of the
/// last write that was acknowledged.
fn write_and_kill(dir: &Path, first: u64, acknowledged: u64) -> u64 {
    let mut child = shell(dir);
    let mut input = child.stdin.take().expect("it is piped");
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    let writer = std::thread::spawn(move || {
        // Until the pipe breaks: the process is killed while it writes.
        let mut number = first;
        let filling = "f".repeat(600);
        while writeln!(input, "put key-{:04} {number}-{filling}\nget key-{:04}", number % KEYS, number % KEYS).is_ok() {
            number += 1;
        }
    });
    let mut last = first;
    for line in output.lines().take(acknowledged as usize) {
        let line = line.expect("the process answers");
        let number = line.split('-').next().and_then(|number| number.parse().ok());
        last = number.unwrap_or_else(|| panic!("it answered {line}"));
    }
    child.kill().expect("it runs");
    child.wait().expect("it was killed");
    writer.join().expect("the writer ends with the pipe");
    last
}

#[test]
fn nothing_that_was_acknowledged_is_lost_by_sigkill() {
    let rounds: u64 = std::env::var("KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(4);
    let dir = tempfile::tempdir().expect("a directory");
    let tree = dir.path().join("tree");
    let mut expected: BTreeMap<u64, u64> = BTreeMap::new();
    let mut next = 0;
    for round in 0..rounds {
        let last = write_and_kill(&tree, next, 1_000 + round * 997 % 3_000);
        for number in next..=last {
            expected.insert(number % KEYS, number);
        }
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
        let (db, _) = Db::open(&disk, &tree, Options { salt: round, ..Options::default() }).expect("it opens");
        let mut newest = last;
        for (key, acknowledged) in &mut expected {
            let value = db.get(format!("key-{key:04}").as_bytes()).expect("a get").expect("it was acknowledged");
            let found: u64 =
                String::from_utf8_lossy(&value).split('-').next().and_then(|n| n.parse().ok()).expect("a number");
            assert!(
                found >= *acknowledged,
                "round {round}: key {key} has write {found}, and {acknowledged} was acknowledged"
            );
            *acknowledged = found;
            newest = newest.max(found);
        }
        next = newest + KEYS;
        next -= next % KEYS;
        db.close().expect("it closes");
    }
}
