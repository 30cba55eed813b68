//! The bench: what it measures is there and makes sense, and peers are compared with or asked for.

use std::process::{Command, Output};

use serde_json::Value;

/// Every workload, after one that has made what it reads.
const ALL: &str = "fillseq,readseq,readreverse,fillrandom,fillsync,fillbatch,fillrandom,overwrite,readrandom,readmissing,seekrandom,\
                   readwhilewriting,deleterandom,ycsb-a,ycsb-b,ycsb-c,ycsb-d,ycsb-e,ycsb-f";

fn bench(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ch03-lsm"));
    command.arg("bench").args(words).env_remove("RUST_LOG").env_remove("LSM_PEERS");
    command.output().expect("the binary runs")
}

fn rows(words: &[&str]) -> Vec<Value> {
    let output = bench(words);
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?}: {complained}", output.status);
    serde_json::from_str(&said).expect("it is a JSON array")
}

fn number(row: &Value, field: &str) -> u64 {
    row[field].as_u64().unwrap_or_else(|| panic!("{field} is a number in {row}"))
}

fn of<'a>(rows: &'a [Value], workload: &str) -> &'a Value {
    rows.iter().find(|row| row["workload"] == workload).unwrap_or_else(|| panic!("{workload} was run"))
}

#[test]
fn every_workload_says_what_it_took_and_what_it_wrote() {
    let rows = rows(&["--num", "2000", "--json", "--workloads", ALL]);
    assert_eq!(rows.len(), 19);
    for row in &rows {
        assert_eq!(row["engine"], "ch03-lsm");
        assert!(number(row, "operations") > 0 && number(row, "elapsed_ns") > 0 && number(row, "cpu_ns") > 0, "{row}");
        let latencies = &row["latencies"];
        let (p50, p99, max) = (number(latencies, "p50_ns"), number(latencies, "p99_ns"), number(latencies, "max_ns"));
        assert!(p50 > 0 && p50 <= p99 && p99 <= max, "{row}");
        let writes = number(row, "user_bytes") > 0;
        assert_eq!(row["settled_ns"].is_u64(), writes, "{row}");
        if writes {
            assert!(number(row, "settled_ns") >= number(row, "elapsed_ns"), "{row}");
            assert!(number(row, "cpu_settled_ns") >= number(row, "cpu_ns"), "{row}");
        }
    }
    let found = |workload| number(of(&rows, workload), "found");
    assert_eq!((found("readseq"), found("readmissing")), (2000, 0));
    assert!((1000..2000).contains(&found("readrandom")), "about 1 - 1/e of the keys, and more after overwrites");
}

#[test]
#[cfg(target_os = "linux")]
fn amplification_is_counted_against_what_was_put_and_what_is_there() {
    let rows = rows(&["--num", "2000", "--value-size", "84", "--json", "--workloads", "fillseq,deleterandom"]);
    let (fill, delete) = (&rows[0], &rows[1]);
    assert_eq!(number(fill, "user_bytes"), 2000 * (16 + 84));
    assert_eq!(number(fill, "live_bytes"), 2000 * (16 + 84));
    assert!(number(fill, "written_bytes") >= number(fill, "user_bytes"), "the log has all of it: {fill}");
    assert!(number(fill, "written_settled_bytes") > number(fill, "written_bytes"), "and then a table has: {fill}");
    let live = number(delete, "live_bytes");
    assert_eq!(number(delete, "user_bytes"), 2000 * 16);
    assert!(live > 0 && live < 2000 * 100, "of 2000 deletes at random some hit nothing: {delete}");
    assert!(number(delete, "directory_bytes") > 0, "{delete}");
}

#[test]
fn a_second_process_goes_on_with_the_data_of_the_first_and_a_fill_begins_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().to_str().expect("UTF-8");
    let run = |workloads: &str| rows(&["--num", "1000", "--json", "--data", data, "--workloads", workloads]);
    let fill = run("fillseq");
    let read = run("readrandom");
    assert_eq!(number(&read[0], "found"), 1000);
    assert_eq!(number(&read[0], "live_bytes"), number(&fill[0], "live_bytes"));
    let random = run("fillrandom,readrandom");
    let (live, found) = (number(&random[0], "live_bytes"), number(&random[1], "found"));
    assert!(live < number(&fill[0], "live_bytes") && found < 1000, "{random:?}");
}

#[test]
fn without_the_peers_the_error_is_the_command_that_builds_them() {
    let output = bench(&["--peer", "rocksdb", "--peers-bin", "/nowhere/lsm-peers"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("(cd ch03-lsm/peers && cargo build --release)") && said.contains("libleveldb-dev"), "{said}");
}

#[test]
fn words_that_make_no_sense_are_refused() {
    for (words, expected) in [
        (["--num", "0"], "--num 1"),
        (["--value-size", "2000000"], "--value-size 1048576"),
        (["--peer", "sqlite"], "rocksdb"),
        (["--rounds", "3"], "--peer"),
    ] {
        let output = bench(&words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{words:?}: {said}");
    }
}

/// A program that pretends to be a peer: it ran the workloads and found what it is told.
#[cfg(unix)]
fn pretend(dir: &std::path::Path, found: u64) -> String {
    use std::os::unix::fs::PermissionsExt;
    let row = rows(&["--num", "1000", "--json", "--workloads", "fillseq,readrandom"]);
    let mut row = Value::from(row);
    row[0]["found"] = 0.into();
    row[1]["found"] = found.into();
    let path = dir.join("peer.sh");
    std::fs::write(&path, format!("#!/bin/sh\necho '{row}'\n")).expect("it can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it can be made to run");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
#[cfg(unix)]
fn engines_run_in_turns_and_one_that_finds_something_else_is_an_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let words = |peer: &str| {
        let words =
            ["--peer", "fjall", "--num", "1000", "--workloads", "fillseq,readrandom", "--json", "--peers-bin", peer];
        bench(&words)
    };
    let output = words(&pretend(dir.path(), 1000));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let turns: Vec<String> = String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect();
    assert_eq!(turns, ["pass 1 of 2: ch03-lsm", "pass 1 of 2: fjall", "pass 2 of 2: fjall", "pass 2 of 2: ch03-lsm"]);
    let comparison: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(comparison["engines"], serde_json::json!(["ch03-lsm", "fjall"]));
    assert_eq!(comparison["runs"][1].as_array().map(Vec::len), Some(2));

    let output = words(&pretend(dir.path(), 999));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("engines differ in what they found: readrandom: ch03-lsm 1000, fjall 999"), "{said}");
}

#[test]
fn every_peer_that_was_built_finds_what_ours_does() {
    let Ok(peers) = std::env::var("LSM_PEERS_TEST") else {
        eprintln!("skipped: LSM_PEERS_TEST names no program of the peers (see ch03-lsm/peers)");
        return;
    };
    let output = bench(&["--peer", "all", "--num", "3000", "--peers-bin", &peers, "--workloads", ALL]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(["rocksdb", "fjall", "leveldb", "ycsb-f"].iter().all(|name| said.contains(name)), "{said}");
}

#[test]
fn the_stores_before_the_tree_are_measured_by_the_same_workloads_and_refuse_those_that_seek() {
    for (store, num) in [("two-function", "100"), ("hash-index", "2000")] {
        let workloads = "fillseq,readrandom,readmissing,overwrite,deleterandom,fillbatch,fillsync,ycsb-a";
        let rows = rows(&["--store", store, "--num", num, "--json", "--workloads", workloads]);
        assert_eq!(rows.len(), 8);
        assert!(rows.iter().all(|row| row["engine"] == store));
        assert_eq!(
            number(of(&rows, "readrandom"), "found"),
            num.parse::<u64>().expect("a number"),
            "{store} finds what it has"
        );
        let output = bench(&["--store", store, "--num", "10", "--workloads", "fillseq,seekrandom"]);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("does not know the order of its keys"), "{said}");
    }
}
