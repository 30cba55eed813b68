//! The program's verbs, as a user runs them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn run(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ch03-lsm"))
        .args(args)
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // A program that ends with an error may not have read all of it.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("the binary ends")
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{:?}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    fn new(script: &str) -> (Self, String) {
        let tree = Self { dir: tempfile::tempdir().expect("a directory") };
        let said = tree.shell(script);
        (tree, said)
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    fn shell(&self, script: &str) -> String {
        out(&run(&["shell", "--data", text(&self.path())], script))
    }

    fn file(&self, begins: &str, ends: &str) -> PathBuf {
        let entries = std::fs::read_dir(self.path()).expect("it can be listed").map(|entry| entry.expect("an entry"));
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        let fits = |path: &PathBuf| {
            let name = path.file_name().expect("a name").to_string_lossy();
            name.starts_with(begins) && name.ends_with(ends)
        };
        paths.into_iter().find(fits).unwrap_or_else(|| panic!("there is no {begins}...{ends}"))
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

#[test]
fn the_shell_puts_gets_scans_and_keeps_snapshots() {
    let script = "put b two words\nput a 1\nput c 3\nsnapshot before\nbatch\ndelete a\nput d 4\ncommit\n\
                  get a\nget b\nat before get a\nscan b\nrscan a c 2\nat before scan a a\nbatch\nput e 5\nabort\nget e\n";
    let (tree, said) = Tree::new(script);
    let expected = "(nothing)\ntwo words\n1\nb = two words\nc = 3\nd = 4\nc = 3\nb = two words\na = 1\n(nothing)\n";
    assert_eq!(said, expected);
    assert_eq!(tree.shell("get d\nflush\nget d\ncompact\nget d\n"), "4\n4\n4\n", "opened again");
    let (status, said) = err(&run(&["shell", "--data", text(&tree.path())], "put a\n"));
    assert_eq!(status, Some(1));
    assert!(said.contains("put is not understood so"), "{said}");
}

#[test]
fn a_range_that_is_deleted_is_gone_in_the_shell_and_explained_by_dump() {
    let script = "put a 1\nput b 2\nput c 3\nsnapshot before\ndeleterange a c\nbatch\ndeleterange c d\nput c 4\ncommit\n\
                  scan\nat before scan\nrelease before\nflush\nscan\nstats\n";
    let (tree, said) = Tree::new(script);
    assert!(said.starts_with("c = 4\na = 1\nb = 2\nc = 3\nc = 4\n"), "{said}");
    assert!(said.lines().any(|line| line.contains("range tombstones") && line.contains(" 2 ")), "{said}");
    let table = out(&run(&["dump", text(&tree.file("0", ".sst"))], ""));
    assert!(table.contains("ranges      2") && table.contains("deleted from"), "{table}");
    let manifest = out(&run(&["dump", text(&tree.file("manifest-", ".log"))], ""));
    assert!(manifest.contains("1 entries, 0 tombstones, 2 range tombstones"), "{manifest}");
    let said = out(&run(&["verify", text(&tree.path())], ""));
    assert!(said.contains("1 tables with 1 entries and 2 range tombstones"), "{said}");
    assert_eq!(tree.shell("deleterange a z\nscan\nget c\n"), "(nothing)\n", "opened again");
    let wal = out(&run(&["dump", text(&tree.file("wal-", ".log"))], ""));
    assert!(wal.contains("delete up to"), "{wal}");
    let (status, said) = err(&run(&["shell", "--data", text(&tree.path())], "deleterange b a\n"));
    assert_eq!(status, Some(1));
    assert!(said.contains("name the lower key first"), "{said}");
}

#[test]
fn dump_explains_each_kind_of_file_and_refuses_others() {
    let (tree, _) = Tree::new("put key-1 one\ndelete key-2\nflush\nput key-3 three\n");
    let table = out(&run(&["dump", text(&tree.file("0", ".sst"))], ""));
    assert!(table.contains("a sorted table") && table.contains("key-1") && table.contains("delete"), "{table}");
    let manifest = out(&run(&["dump", text(&tree.file("manifest-", ".log"))], ""));
    assert!(manifest.contains("it says everything") && manifest.contains(" 2 entries, 1 tombstones"), "{manifest}");
    let wal = out(&run(&["dump", text(&tree.file("wal-", ".log"))], ""));
    assert!(wal.contains("key-3") && wal.contains("three") && wal.contains("what follows: nothing"), "{wal}");
    let (status, said) = err(&run(&["dump", text(&tree.file("lock", ""))], ""));
    assert_eq!(status, Some(1));
    assert!(said.contains("NNNNNN.sst, wal-NNNNNNNNNN.log"), "{said}");
}

#[test]
fn verify_finds_a_flipped_bit_names_file_and_offset_and_exits_with_3() {
    let script: String = (0..300).map(|n| format!("put key-{n:04} value-{n}\n")).collect();
    let (tree, _) = Tree::new(&format!("{script}flush\n"));
    let said = out(&run(&["verify", text(&tree.path())], ""));
    assert!(said.contains("1 tables with 300 entries"), "{said}");
    let path = tree.file("0", ".sst");
    let mut bytes = std::fs::read(&path).expect("it can be read");
    bytes[100] ^= 4;
    std::fs::write(&path, bytes).expect("it can be written");
    for args in [["verify", text(&tree.path())], ["dump", text(&path)]] {
        let (status, said) = err(&run(&args, ""));
        assert_eq!(status, Some(3), "{said}");
        assert!(said.contains(".sst is damaged at offset 0"), "{said}");
    }
}

/// A tree that was killed in the middle of a write to its log.
fn tear(dir: &Path) {
    let disk: std::sync::Arc<dyn common::disk::Disk> = std::sync::Arc::new(common::disk::RealDisk::new());
    let (db, _) = ch03_lsm::db::Db::open(&disk, dir, ch03_lsm::db::Options::default()).expect("it opens");
    for key in [b"a", b"b", b"c"] {
        db.put(key, b"value", ch03_lsm::db::WriteOptions { sync: false }).expect("a put");
    }
    drop(db);
    let logs = common::disk::log::segments(&*disk, dir, ch03_lsm::storage::files::WAL).expect("a list");
    let (_, log) = logs.last().expect("there is a log");
    let file = std::fs::OpenOptions::new().write(true).open(log).expect("it opens");
    file.set_len(file.metadata().expect("a length").len() - 3).expect("it is cut");
}

#[test]
fn whoever_reads_or_opens_a_tree_is_told_that_its_log_is_torn() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, exported) = (dir.path().join("tree"), dir.path().join("leveldb"));
    let tree = text(&path);
    let is_said = |said: &str| said.contains(".log is torn at byte ") && said.contains("it is given up");
    tear(&path);
    for _ in 0..2 {
        let said = out(&run(&["verify", tree], ""));
        assert!(is_said(&said) && said.contains("and 2 batches") && !said.contains("all of it"), "{said}");
    }
    let said = out(&run(&["export", "--data", tree, "--leveldb", text(&exported)], ""));
    assert!(is_said(&said) && said.contains("2 entries are in"), "{said}");
    let said = out(&run(&["verify", tree], ""));
    assert!(said.contains("all of it is whole") && !said.contains("torn"), "{said}");
    tear(&path);
    let said = out(&run(&["shell", "--data", tree], "get a\n"));
    assert!(is_said(&said) && said.ends_with("\nvalue\n"), "{said}");
    assert_eq!(out(&run(&["shell", "--data", tree], "get a\n")), "value\n", "and told once");
}

#[test]
fn a_directory_that_is_held_and_words_that_mean_nothing_are_refused_with_what_would_be_right() {
    let (tree, _) = Tree::new("put a 1\n");
    let disk: std::sync::Arc<dyn common::disk::Disk> = std::sync::Arc::new(common::disk::RealDisk::new());
    let held = ch03_lsm::db::Db::open(&disk, &tree.path(), ch03_lsm::db::Options::default()).expect("it opens");
    let (status, said) = err(&run(&["shell", "--data", text(&tree.path())], ""));
    assert_eq!(status, Some(1));
    assert!(said.contains("is held by another process or another handle of this one"), "{said}");
    drop(held);
    let (status, said) = err(&run(&["bench", "--workloads", "fillrandm"], ""));
    assert_eq!(status, Some(2));
    assert!(said.contains("fillrandom"), "{said}");
    let (status, said) = err(&run(&["export", "--data", "/nowhere/at/all", "--leveldb", "/nowhere"], ""));
    assert_eq!(status, Some(1));
    assert!(said.contains("there is no tree in"), "{said}");
}

#[test]
fn the_bench_runs_every_workload_and_prints_json() {
    let all = "fillseq,readseq,readreverse,fillrandom,fillsync,fillbatch,fillrandom,overwrite,readrandom,readmissing,seekrandom,\
               readwhilewriting,deleterandom,ycsb-a,ycsb-b,ycsb-c,ycsb-d,ycsb-e,ycsb-f";
    let said = out(&run(&["bench", "--num", "2000", "--json", "--workloads", &all.replace(' ', "")], ""));
    let rows: serde_json::Value = serde_json::from_str(&said).expect("it is JSON");
    let rows = rows.as_array().expect("an array");
    assert_eq!(rows.len(), 19);
    for row in rows {
        assert!(row["operations"].as_u64().is_some_and(|operations| operations > 0), "{row}");
        assert!(row["elapsed_ns"].as_u64().is_some_and(|elapsed| elapsed > 0), "{row}");
    }
    let found = |workload: &str| rows.iter().find(|row| row["workload"] == workload).expect("it ran")["found"].as_u64();
    assert_eq!((found("readseq"), found("readmissing")), (Some(2000), Some(0)));
    let random = found("readrandom").expect("a number");
    assert!((1000..2000).contains(&random), "about 1 - 1/e, and more after overwrites: {random}");
}

#[test]
fn the_shell_makes_checkpoints_compresses_as_told_and_shows_the_levels_and_what_they_cost() {
    let dir = tempfile::tempdir().expect("a directory");
    let (tree, copy) = (dir.path().join("tree"), dir.path().join("copy"));
    let puts: String = (0..500).map(|n| format!("put key-{n:04} a-value-that-repeats-{}\n", n % 3)).collect();
    let mut sizes = Vec::new();
    for how in ["none", "lz4", "zstd"] {
        let tree = dir.path().join(how);
        out(&run(&["shell", "--data", text(&tree), "--compression", how], &format!("sync off\n{puts}flush\n")));
        let tables = std::fs::read_dir(&tree).expect("a list").map(|entry| entry.expect("an entry"));
        let tables = tables.filter(|entry| entry.path().extension() == Some("sst".as_ref()));
        sizes.push(tables.map(|entry| entry.metadata().expect("a size").len()).sum::<u64>());
        assert_eq!(out(&run(&["shell", "--data", text(&tree)], "get key-0007\n")), "a-value-that-repeats-1\n");
    }
    assert!(sizes[0] > sizes[1] && sizes[1] > sizes[2], "{sizes:?}");
    let script = format!("put a 1\ncheckpoint {}\nput a 2\nresume\nstats\n", copy.display());
    let said = out(&run(&["shell", "--data", text(&tree)], &script));
    for expected in ["level 0  ", "tombstones", "write amplification", "table cache", "1 open"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert_eq!(out(&run(&["shell", "--data", text(&copy)], "get a\n")), "1\n");
    let (status, said) = err(&run(&["shell", "--data", text(&tree)], &script));
    assert_eq!(status, Some(1));
    assert!(said.contains("a checkpoint needs a directory of its own"), "{said}");
}
