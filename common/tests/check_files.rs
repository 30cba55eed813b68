//! Histories in files: the forms, what is refused and how, and the recorded histories whose verdicts are known.

#[path = "check/generate.rs"]
mod generate;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use common::check::file::{AnyHistory, FileError, Format, ModelName, ParseError, Recorded, parse, write};
use common::check::models::{Kv, Lock, LockInput, LockOutput, Queue, QueueInput, QueueOutput, Register};
use common::check::{Finding, HistoryOf, Options, file};
use common::cli::{Exit, explain};
use common::judge;
use generate::{Shape, history, lost, ran};
use rand::RngExt;

/// The folder with the recorded histories, if there is one.
fn recorded() -> Option<PathBuf> {
    let folder = std::env::var_os("PORCUPINE_DIR").map(PathBuf::from);
    if folder.is_none() {
        let said = "not run: PORCUPINE_DIR does not name the folder with the recorded histories\n";
        std::io::stderr().write_all(said.as_bytes()).expect("standard error can be written");
    }
    folder
}

fn finding(path: &Path) -> Finding {
    file(path, &Options::default()).unwrap_or_else(|error| panic!("{}: {error:?}", path.display())).finding
}

#[test]
fn recorded_histories_of_etcd_have_their_known_verdicts() {
    let Some(folder) = recorded() else { return };
    let verdicts = fs::read_to_string(folder.join("jepsen/VERDICTS.txt")).expect("the verdicts");
    let mut count = 0;
    for line in verdicts.lines().filter(|line| !line.trim().is_empty()) {
        let (name, verdict) = line.split_once(' ').expect("a name and a verdict");
        let expected = match verdict.trim() {
            "linearizable" => Finding::Linearizable,
            "not-linearizable" => Finding::Violation,
            other => panic!("{name} has the verdict {other:?}"),
        };
        let path = folder.join(format!("jepsen/{name}.log"));
        if path.exists() {
            assert_eq!(finding(&path), expected, "{name}");
            count += 1;
        }
    }
    assert!(count >= 50, "only {count} histories were found in {}", folder.display());
}

#[test]
fn recorded_histories_of_a_key_value_service_have_their_known_verdicts() {
    let Some(folder) = recorded() else { return };
    let mut count = 0;
    for entry in fs::read_dir(folder.join("kv")).expect("the folder").map(|entry| entry.expect("an entry").path()) {
        let name = entry.file_name().expect("it has a name").to_string_lossy().into_owned();
        let expected = if name.ends_with("-bad.txt") { Finding::Violation } else { Finding::Linearizable };
        assert_eq!(finding(&entry), expected, "{name}");
        count += 1;
    }
    assert!(count >= 4, "only {count} histories were found in {}", folder.display());
}

fn said(error: &ParseError) -> String {
    explain(error, |_| None).1
}

/// What a text is taken for.
fn read(text: &str) -> AnyHistory {
    parse(text.as_bytes(), None, None).unwrap_or_else(|error| panic!("{}\n{text}", said(&error)))
}

/// Why a text is refused, with all causes.
fn refusal(text: &str) -> String {
    said(&parse(text.as_bytes(), None, None).expect_err(text))
}

/// A history as it would be in a file.
fn written<M: Recorded>(history: &HistoryOf<M>) -> String {
    let mut bytes = Vec::new();
    write::<M>(history, &mut bytes).expect("a vector takes all");
    String::from_utf8(bytes).expect("it is text")
}

#[test]
fn what_is_written_reads_the_same() {
    let shape = Shape { clients: 4, operations_per_client: 20, lost_percent: 20 };
    for seed in judge::seeds(20) {
        let registers = generate::atomic_registers(seed, shape, 3);
        assert_eq!(read(&written::<Register>(&registers)), AnyHistory::Register(registers));
        let lists = generate::atomic_lists(seed, shape, 3);
        assert_eq!(read(&written::<Kv>(&lists)), AnyHistory::Kv(lists));
    }
    let locks = history(vec![
        ran(1, 0..1, LockInput::acquire("l", "a"), LockOutput::Granted { token: Some(7) }),
        ran(2, 1..2, LockInput::acquire("l", "b"), LockOutput::Held),
        ran(2, 3..4, LockInput::release("l", "b"), LockOutput::NotHeld),
        ran(1, 4..5, LockInput::release("l", "a"), LockOutput::Released),
        ran(2, 6..7, LockInput::acquire("l", "b"), LockOutput::Granted { token: None }),
        lost(2, 8, LockInput::release("l", "b")),
    ]);
    assert_eq!(read(&written::<Lock>(&locks)), AnyHistory::Lock(locks));
    let queues = history(vec![
        ran(1, 0..1, QueueInput::enqueue("q", "\"quoted\"\n"), QueueOutput::Enqueued),
        ran(2, 1..2, QueueInput::dequeue("q"), QueueOutput::dequeued("\"quoted\"\n")),
        ran(2, 3..4, QueueInput::dequeue("q"), QueueOutput::Dequeued(None)),
        lost(3, 4, QueueInput::dequeue("q")),
    ]);
    assert_eq!(read(&written::<Queue>(&queues)), AnyHistory::Queue(queues));
}

#[test]
fn a_person_can_write_a_history() {
    let text = r#"
        {"history":"kv","version":1}

        {"client":1,"call":10,"return":20,"op":"put","key":"x","value":"1"}
        {"client":2,"call":30,"return":40,"op":"get","key":"x","output":null}
        {"client":3,"call":5,"op":"delete","key":"x"}
        {"client":4,"call":5,"return":6,"op":"append","key":"x","value":"2","failed":true}
    "#;
    let AnyHistory::Kv(history) = read(text) else { panic!("it says that it is of the model kv") };
    let clients: Vec<u64> = history.iter().map(|(_, operation)| operation.client.0).collect();
    assert_eq!(clients, [3, 1, 2], "in the order of the calls, without the one that failed");
    assert_eq!(AnyHistory::Kv(history).report(1000).finding, Finding::Linearizable, "the delete came late");
}

#[test]
fn a_jepsen_log_is_read_with_all_its_kinds_of_outcome() {
    let log = "INFO  jepsen.core - a line of another logger\n\
         INFO  jepsen.util - :nemesis\t:info\t:start\tnil\n\
         INFO  jepsen.util - 0\t:invoke\t:read\tnil\n\
         INFO  jepsen.util - 0\t:ok\t:read\tnil\n\
         INFO  jepsen.util - 1\t:invoke\t:write\t4\n\
         INFO  jepsen.util - 1\t:info\t:write\t:timed-out\n\
         INFO  jepsen.util - 2\t:invoke\t:cas\t[4 2]\n\
         INFO  jepsen.util - 2\t:fail\t:cas\t[4 2]\n\
         INFO  jepsen.util - 2\t:invoke\t:cas\t[1 7]\n\
         INFO  jepsen.util - 2\t:fail\t:cas\t:unavailable\n\
         INFO  jepsen.util - 3\t:invoke\t:write\t9\n\
         INFO  jepsen.util - 3\t:fail\t:write\t:timed-out\n\
         INFO  jepsen.util - 0\t:invoke\t:read\tnil\n\
         INFO  jepsen.util - 0\t:ok\t:read\t4\n\
         INFO  jepsen.util - 0\t:invoke\t:write\t5\n";
    let AnyHistory::Register(history) = read(log) else { panic!("it is a register's") };
    let model = Register;
    let shown: Vec<String> = history
        .iter()
        .map(|(_, operation)| common::check::Model::describe(&model, &operation.input, operation.output()))
        .collect();
    assert_eq!(shown, ["read() → nothing", "write(4) → ?", "cas(4, 2) → no", "read() → 4", "write(5) → ?"]);
}

#[test]
fn a_refusal_names_the_line_and_what_would_be_right() {
    let header = "{\"history\":\"kv\",\"version\":1}\n";
    let line = |line: &str| refusal(&format!("{header}\n{line}"));
    let cases = [
        (line("{\"client\":1"), "line 3\n  caused by: it is not an operation as one JSON object"),
        (line(r#"{"client":1,"call":1,"op":"get","key":"x","retrun":9}"#), "unknown field `retrun`"),
        (
            line(r#"{"client":1,"call":9,"return":1,"op":"get","output":null}"#),
            "returns at 1, before it is called, at 9",
        ),
        (line(r#"{"client":1,"call":1,"return":2,"op":"get","key":"x"}"#), "get needs \"output\": a string or null"),
        (line(r#"{"client":1,"call":1,"op":"put","key":"x"}"#), "put needs \"value\": a string"),
        (
            line(r#"{"client":1,"call":1,"op":"cas"}"#),
            "no operation \"cas\"; the model kv has: get, put, append, delete",
        ),
        (refusal(r#"{"client":1,"call":1,"op":"get"}"#), "does not name a model"),
        (refusal(""), "does not name a model"),
        (refusal("{\"history\":\"kv\",\"version\":2}"), "of version 2; this program reads version 1"),
        (
            refusal("INFO  jepsen.util - 0\t:ok\t:read\t4"),
            "line 1\n  caused by: process 0 is answered and has called nothing",
        ),
        (refusal("INFO  jepsen.util - 0\t:invoke\t:cas\t[4]"), "expected two whole numbers in brackets"),
        (
            refusal("INFO  jepsen.util - 0\t:invoke\t:read\tnil\nINFO  jepsen.util - 0\t:invoke\t:read\tnil"),
            "line 2\n  caused by: process 0 calls while its operation of line 1 has not returned",
        ),
        (
            refusal("INFO  jepsen.util - 0\t:invoke\t:read\tnil\nINFO  jepsen.util - 0\t:ok\t:write\t4"),
            "process 0 has called :read, and is answered about :write",
        ),
        (refusal("{:process 0, :type :invoke, :f :get, :key 7"), "expected a map such as"),
        (refusal("{:process 0, :type :invoke, :f :get, :value nil}"), ":get needs \":key\": a string"),
    ];
    for (said, expected) in cases {
        assert!(said.contains(expected), "expected {expected:?} in:\n{said}");
    }
    let other = parse(header.as_bytes(), Some(ModelName::Lock), None).expect_err("another model");
    assert!(said(&other).contains("of the model kv, not of lock"), "{}", said(&other));
    let named = parse(r#"{"client":1,"call":1,"op":"get"}"#.as_bytes(), Some(ModelName::Kv), Some(Format::Lines));
    assert!(named.is_ok(), "a caller who names the model needs no header");
}

#[test]
fn a_line_without_end_is_not_taken_into_memory() {
    /// More bytes than any machine has.
    struct Endless;
    impl std::io::Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            into.fill(b'x');
            Ok(into.len())
        }
    }
    let error = parse(std::io::BufReader::new(Endless), Some(ModelName::Kv), None).expect_err("it has no end");
    assert!(said(&error).contains("line 1\n  caused by: it is longer than 4194304 bytes"), "{}", said(&error));
}

#[test]
fn no_text_panics_a_reader() {
    let shape = Shape { clients: 3, operations_per_client: 4, lost_percent: 20 };
    let samples = [
        written::<Register>(&generate::atomic_registers(1, shape, 2)),
        written::<Kv>(&generate::atomic_lists(2, shape, 2)),
        "INFO  jepsen.util - 0\t:invoke\t:cas\t[4 2]\nINFO  jepsen.util - 0\t:ok\t:cas\t[4 2]\n".to_owned(),
        "{:process 0, :type :invoke, :f :put, :key \"7\", :value \"a\\n\"}\n".to_owned(),
    ];
    for seed in judge::seeds(2000) {
        let mut rng = generate::rng(seed);
        let mut bytes = samples[rng.random_range(0..samples.len())].clone().into_bytes();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len());
            match rng.random_range(0..4) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes[at] ^= 1 << rng.random_range(0..8),
                2 => bytes.insert(at, rng.random_range(0..=255)),
                _ => {
                    bytes.remove(at);
                    bytes.push(b'\n');
                }
            }
        }
        for format in [None, Some(Format::Lines), Some(Format::Jepsen), Some(Format::Edn)] {
            if let Ok(history) = parse(&bytes[..], None, format) {
                history.report(10_000);
            }
        }
    }
}

#[test]
fn a_program_is_told_how_to_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.jsonl");
    let page = folder.path().join("violation.html");
    let options = Options { html: Some(page.clone()), ..Options::default() };
    let good = "{\"history\":\"register\",\"version\":1}\n\
        {\"client\":1,\"call\":1,\"return\":2,\"op\":\"write\",\"value\":\"1\"}\n";
    fs::write(&path, good).expect("written");
    let report = file(&path, &options).expect("it is a history");
    assert_eq!((report.finding.exit(), report.text.as_str()), (Exit::Done, "linearizable (1 operation, 1 step)"));
    assert!(!page.exists(), "there is nothing to draw");

    let bad = format!("{good}{{\"client\":2,\"call\":3,\"return\":4,\"op\":\"read\",\"output\":null}}\n");
    fs::write(&path, bad).expect("written");
    let report = file(&path, &options).expect("it is a history");
    assert_eq!(report.finding.exit(), Exit::Failed);
    assert!(report.text.ends_with(&format!("The picture is in {}.", page.display())), "{}", report.text);
    assert_eq!(fs::read_to_string(&page).expect("the picture"), report.html.expect("the same"));

    let undecided = file(&path, &Options { budget: 1, ..Options::default() }).expect("it is a history");
    assert_eq!((undecided.finding, undecided.finding.exit()), (Finding::Undecided, Exit::Failed));

    fs::write(&path, "neither\n").expect("written");
    let no_history = file(&path, &options).expect_err("it is no history");
    assert!(matches!(no_history, FileError::NoHistory { .. }) && no_history.exit() == Exit::Usage);
    assert!(no_history.to_string().contains("history.jsonl"), "it names the file: {no_history}");
    let absent = file(&folder.path().join("absent"), &options).expect_err("it is not there");
    assert!(matches!(absent, FileError::Read { .. }) && absent.exit() == Exit::Failed);
}
