//! `dump`: every kind of file is explained field by field, and of a damaged one all that can be read.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use ch03_lsm::db::{Db, Options, WriteOptions};
use ch03_lsm::engine::key::{InternalKeyBuf, Kind, Seq, Stamp};
use ch03_lsm::engine::levels::TableId;
use ch03_lsm::storage::hash_index::HashIndex;
use ch03_lsm::storage::table::{Compression, FOOTER_BYTES, TableOptions, TableWriter};
use ch03_lsm::storage::two_function::TwoFunction;
use common::disk::log::FILL;
use common::disk::{Disk, RealDisk};
use tempfile::TempDir;

fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk::new())
}

fn dir() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// The exit status, standard output and standard error of `dump`.
fn dump(path: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ch03-lsm"))
        .arg("dump")
        .arg(path)
        .args(args)
        .env_remove("RUST_LOG")
        .output()
        .expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn whole(path: &Path, args: &[&str]) -> String {
    let (status, said, error) = dump(path, args);
    assert_eq!(status, Some(0), "{said}\n{error}");
    said
}

/// The cells of each row of the tables in a text.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// Where a row is whose cells begin with these.
#[track_caller]
fn row<'a>(text: &'a str, begins: &[&str]) -> Vec<&'a str> {
    let found = rows(text).into_iter().find(|row| row.starts_with(begins));
    found.unwrap_or_else(|| panic!("there is no row {begins:?}: {text}"))
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).expect("it can be read");
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).expect("it can be written");
}

fn file(dir: &Path, begins: &str, ends: &str) -> PathBuf {
    let mut paths: Vec<_> =
        std::fs::read_dir(dir).expect("it can be listed").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let fits = |path: &PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        name.starts_with(begins) && name.ends_with(ends)
    };
    paths.into_iter().find(fits).unwrap_or_else(|| panic!("there is no {begins}...{ends}"))
}

/// A table of 60 entries in four blocks that are not compressed, with a range tombstone.
fn table(dir: &Path, compression: Compression) -> PathBuf {
    let path = dir.join("000007.sst");
    let options = TableOptions { block_bytes: 560, restart_interval: 4, compression, ..TableOptions::default() };
    let mut writer = TableWriter::create(&*disk(), &path, TableId(7), options).expect("it can be created");
    for number in 0..60 {
        let kind = if number == 1 { Kind::Delete } else { Kind::Put };
        let key = InternalKeyBuf::new(format!("user:{number:04}").as_bytes(), Stamp::new(Seq(100 + number), kind));
        let value = if number == 1 { &b""[..] } else { b"a value of 20 bytes." };
        writer.add(key.as_key(), value).expect("it can be written");
    }
    let mut ranges = ch03_lsm::engine::range_tombstones::RangeTombstones::new();
    assert!(ranges.push(b"user:0030", b"user:0035", Seq(900)), "it is in order");
    writer.add_ranges(&ranges);
    writer.finish().expect("it can be written");
    path
}

#[test]
fn a_table_is_explained_by_its_footer_its_parts_its_filter_and_its_blocks() {
    let dir = dir();
    let path = table(dir.path(), Compression::None);
    let said = whole(&path, &[]);
    let len = std::fs::metadata(&path).expect("it is there").len() as usize;
    assert!(said.contains(&format!("a sorted table, {len} bytes")), "{said}");
    let footer_at = (len - FOOTER_BYTES).to_string();
    let ranges_at = row(&said, &[&footer_at])[3].to_owned();
    assert_eq!(row(&said, &[&(len - 8).to_string()])[2..], ["magic", "ddialsm2"]);
    assert_eq!(row(&said, &["range tombstones", &ranges_at])[4], "none");
    for part in ["filter", "properties", "index"] {
        let offset =
            rows(&said).into_iter().find(|row| row[2] == format!("{part}: offset")).expect("a field")[3].to_owned();
        let length =
            rows(&said).into_iter().find(|row| row[2] == format!("{part}: length")).expect("a field")[3].to_owned();
        assert_eq!(row(&said, &[part, &offset, &length])[6], "matches");
    }
    assert!(said.contains("lines       2 of 64 bytes") && said.contains("probes      7 for each key"), "{said}");
    assert!(said.contains("entries     60 (1 tombstones)") && said.contains("ranges      1"), "{said}");
    assert_eq!(row(&said, &["user:0030", "user:0035"])[2], "900");
    assert_eq!(row(&said, &["0", "0"])[6], "matches");
    assert_eq!(row(&said, &["0", "user:0001"])[2..], ["101", "delete", ""]);
    assert!(said.contains("... (the first 50 entries"), "{said}");
    assert_eq!(row(&whole(&path, &["--limit", "60"]), &["3", "user:0059"])[2], "159");
}

#[test]
fn a_block_is_explained_entry_by_entry_packed_or_not() {
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let dir = dir();
        let path = table(dir.path(), compression);
        let said = whole(&path, &["--block", "0"]);
        // 9 bytes of key and 8 of stamp; of the second 8 are shared with the first; the fifth is whole again.
        assert_eq!(row(&said, &["0", "0", "17"])[3..], ["20", "user:0000", "100", "put", "a value of 20 bytes."]);
        assert_eq!(row(&said, &["40", "8", "9", "0"])[4..], ["user:0001", "101", "delete", ""]);
        assert_eq!(row(&said, &["52", "8", "9", "20"])[4], "user:0002");
        assert_eq!(row(&said, &["116", "0", "17", "20"])[4], "user:0004");
        assert!(said.contains("of the block on: 0, 116, "), "{said}");
        let packed = row(&said, &["block 0", "0"]);
        let (stored, raw) = (packed[2].parse::<u32>().expect("a number"), packed[3].parse::<u32>().expect("a number"));
        match compression {
            Compression::None => assert_eq!((stored, packed[4]), (raw, "none")),
            Compression::Lz4 => assert!(stored < raw && packed[4] == "LZ4", "{said}"),
            Compression::Zstd => assert!(stored < raw && packed[4] == "Zstandard", "{said}"),
        }
        let (status, _, said) = dump(&path, &["--block", "99"]);
        assert!(status == Some(2) && said.contains("blocks, numbered from 0"), "{said}");
    }
    let (status, _, said) = dump(Path::new("wal-0000000001.log"), &["--block", "0"]);
    assert!(status == Some(2) && said.contains("--block is about a table"), "{said}");
}

#[test]
fn of_a_damaged_table_what_is_whole_is_shown_and_then_file_and_offset() {
    let dir = dir();
    let path = table(dir.path(), Compression::None);
    let before = whole(&path, &[]);
    let second = row(&before, &["1"])[1].to_owned();
    flip(&path, second.parse::<usize>().expect("an offset") + 5);
    let (status, said, error) = dump(&path, &["--limit", "60"]);
    assert_eq!(status, Some(3), "{error}");
    assert!(error.contains(&format!("000007.sst is damaged at offset {second}: the checksum")), "{error}");
    assert!(row(&said, &["1", &second])[6].starts_with("DAMAGED"), "{said}");
    assert!(said.contains("user:0000") && said.contains("user:0059"), "what is before and behind it: {said}");
    let (status, _, error) = dump(&path, &["--block", "1"]);
    assert!(status == Some(3) && error.contains(&format!("at offset {second}")), "{error}");
    whole(&path, &["--block", "2"]);
    let len = std::fs::metadata(&path).expect("it is there").len() as usize;
    flip(&path, len - FOOTER_BYTES);
    let (status, said, error) = dump(&path, &[]);
    assert!(status == Some(3) && error.contains("its footer does not verify"), "{error}");
    assert_eq!(row(&said, &[&(len - 8).to_string()])[3], "ddialsm2", "the fields are shown all the same");
}

/// A tree whose log holds a record in fragments between small ones, all of them synced.
fn tree(dir: &Path) -> PathBuf {
    let (db, _) = Db::open(&disk(), dir, Options { salt: 77, ..Options::default() }).expect("it opens");
    let sync = WriteOptions { sync: true };
    db.put(b"first", b"1", sync).expect("it is written");
    db.put(b"long", &[b'x'; 70_000], sync).expect("it is written");
    db.delete(b"first", sync).expect("it is written");
    db.delete_range(b"a", b"z", sync).expect("it is written");
    drop(db);
    file(dir, "wal-", ".log")
}

#[test]
fn a_write_ahead_log_is_explained_by_its_header_its_fragments_its_marks_and_its_batches() {
    let dir = dir();
    let said = whole(&tree(dir.path()), &[]);
    assert_eq!(row(&said, &["0"])[1..], ["64 64 69 61 6c 6f 67 31", "magic", "ddialog1"]);
    assert_eq!(row(&said, &["8"])[2], "number");
    // seq 8, count 4, kind, two lengths, key and value: 21 bytes.
    let first = row(&said, &["40"]);
    assert_eq!(first[2..], ["21", "1 full", "record 1"]);
    assert_eq!(row(&said, &["68"])[2..], ["8", "5 mark", "durable up to byte 68"]);
    assert_eq!(row(&said, &["83"])[3..], ["2 first", "record 2"]);
    assert_eq!(row(&said, &["32768"])[2..], ["32761", "3 middle", "record 2"]);
    assert_eq!(row(&said, &["65536"])[3..], ["4 last", "record 2"]);
    assert!(said.contains("reserved, to the end of the block or of the file"), "it was not ended: {said}");
    for line in [
        "record 1, 21 bytes, to byte 68",
        "seq 1, count 1",
        "write 1: put, key_len 5, value_len 1: first = 1",
        "write 2: put, key_len 4, value_len 70000: long = xxxx",
        "write 3: delete, key_len 5: first",
        "write 4: delete up to, key_len 1, value_len 1: a = z",
        "4 records, to byte ",
        "what follows: reserved space",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let short = whole(&file(dir.path(), "wal-", ".log"), &["--limit", "2"]);
    assert!(short.contains("the first 2 fragments") && short.contains("the first 2 records"), "{short}");
}

#[test]
fn of_a_damaged_log_the_records_before_are_shown_and_a_torn_tail_is_no_damage() {
    let dir = dir();
    let path = tree(dir.path());
    let mut bytes = std::fs::read(&path).expect("it can be read");
    bytes.truncate(bytes.iter().rposition(|byte| *byte != FILL).expect("it has records") + 1);
    std::fs::write(&path, &bytes[..bytes.len() - 3]).expect("it can be written");
    let said = whole(&path, &[]);
    assert!(said.contains("3 records, to byte") && said.contains("a torn tail (it is cut off)"), "{said}");
    assert!(said.contains("NOT WHOLE: it is cut off"), "{said}");
    std::fs::write(&path, &bytes).expect("it can be written");
    flip(&path, 40_000);
    let (status, said, error) = dump(&path, &[]);
    assert_eq!(status, Some(3), "{said}");
    assert!(error.contains("is damaged at offset 83: its checksum does not match"), "{error}");
    assert!(said.contains("first = 1") && said.contains("NOT WHOLE: its checksum"), "{said}");
    flip(&path, 9);
    let (status, said, error) = dump(&path, &[]);
    assert!(status == Some(3) && error.contains("its header is damaged (offset 0)"), "{error}");
    assert_eq!(row(&said, &["0"])[3], "ddialog1", "the fields are shown all the same");
}

#[test]
fn a_manifest_is_explained_record_by_record_with_all_that_it_says_of_a_table() {
    let dir = dir();
    let (db, _) = Db::open(&disk(), dir.path(), Options::default()).expect("it opens");
    db.put(b"k1", b"v", WriteOptions::default()).expect("it is written");
    db.delete(b"k2", WriteOptions::default()).expect("it is written");
    db.flush().expect("it is written");
    db.close().expect("it ends");
    let table = file(dir.path(), "0", ".sst");
    let (id, len) =
        (table.file_stem().expect("a name").to_string_lossy(), std::fs::metadata(&table).expect("it is there").len());
    let said = whole(&file(dir.path(), "manifest-", ".log"), &[]);
    let added = format!(
        "5 added: table {id}, to level 0: {len} bytes, 2 entries, 1 tombstones, 0 range tombstones, newest write 2, from"
    );
    for line in ["a manifest, ", "6 whole: it says everything", "1 wal: logs are needed from", &added] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

#[test]
fn a_two_function_database_is_explained_record_by_record() {
    let dir = dir();
    let (mut database, _) = TwoFunction::open(&disk(), dir.path()).expect("it opens");
    database.put(b"42", b"San Francisco").expect("it is written");
    database.delete(b"42").expect("it is written");
    drop(database);
    let said = whole(&file(dir.path(), "two-", ".log"), &[]);
    for line in [
        "a segment of a two-function database",
        "kind 1: put, key_len 2, value_len 13: 42 = San Francisco",
        "kind 0: delete, key_len 2: 42",
        "2 records",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

/// A hash index whose first data file is full and merged, with a hint file, and whose last one is being written.
fn hash_index(dir: &Path) -> (PathBuf, PathBuf, PathBuf) {
    let (mut index, _) = HashIndex::open(&disk(), dir, 400).expect("it opens");
    for number in 0..20 {
        index.put(format!("key-{:02}", number % 10).as_bytes(), b"a value of 20 bytes.").expect("it is written");
    }
    index.merge().expect("it is merged");
    index.put(b"key-00", b"new").expect("it is written");
    index.sync().expect("it is durable");
    index.delete(b"key-01").expect("it is written");
    index.sync().expect("it is durable");
    drop(index);
    let mut data: Vec<_> =
        std::fs::read_dir(dir).expect("a list").map(|entry| entry.expect("an entry").path()).collect();
    data.retain(|path| path.extension() == Some("data".as_ref()));
    data.sort();
    (file(dir, "0", ".data"), file(dir, "0", ".hint"), data.pop().expect("a data file"))
}

#[test]
fn the_data_and_hint_files_of_a_hash_index_are_explained_entry_by_entry() {
    let dir = dir();
    let (data, hint, last) = hash_index(dir.path());
    let said = whole(&data, &[]);
    assert_eq!(row(&said, &["0"])[2..], ["0", "6", "20", "key-00", "a value of 20 bytes."]);
    assert_eq!(row(&said, &["42"])[5], "key-01");
    let hints = whole(&hint, &[]);
    assert_eq!(row(&hints, &["0"])[2], "crc");
    let len = std::fs::metadata(&data).expect("it is there").len().to_string();
    assert_eq!(row(&hints, &["4"])[2..], ["data_len", &len]);
    assert_eq!(row(&hints, &["8", "0"])[2..], ["42", "6", "key-00"]);
    assert_eq!(row(&hints, &["26", "42"])[2..], ["42", "6", "key-01"]);
    let said = whole(&last, &[]);
    assert!(said.contains("(tombstone)") && said.contains("1 of them tombstones"), "{said}");
    assert_eq!(row(&said, &["25"])[2..5], ["25", "6", "ff ff ff ff"]);
}

#[test]
fn of_damaged_hash_files_what_is_whole_is_shown_and_a_torn_tail_is_no_damage() {
    let dir = dir();
    let (data, hint, last) = hash_index(dir.path());
    flip(&data, 42 + 18);
    let (status, said, error) = dump(&data, &[]);
    assert_eq!(status, Some(3), "{said}");
    assert!(error.contains("is damaged at offset 42: an entry that was durable does not verify"), "{error}");
    assert!(said.contains("key-00") && said.contains("1 entries, 0 of them tombstones, to byte 42"), "{said}");
    flip(&hint, 30);
    let (status, said, error) = dump(&hint, &[]);
    assert!(status == Some(3) && error.contains(".hint is damaged at offset 0"), "{error}");
    assert!(said.contains("data_len"), "{said}");
    flip(&last, 3);
    let (status, _, error) = dump(&last, &[]);
    assert!(status == Some(3) && error.contains("is damaged at offset 0"), "the second attests to the first: {error}");
    flip(&last, 3);
    flip(&last, 26);
    let said = whole(&last, &[]);
    assert!(said.contains("to byte 25 of 47") && said.contains("a torn tail"), "{said}");
}

#[test]
fn a_flipped_bit_anywhere_is_told_or_a_torn_tail_and_never_a_panic() {
    let dir = dir();
    let tables = dir.path().join("tables");
    std::fs::create_dir(&tables).expect("a directory");
    let (data, hint, last) = hash_index(&dir.path().join("hash"));
    let wal = tree(&dir.path().join("tree"));
    let manifest = file(&dir.path().join("tree"), "manifest-", ".log");
    for (path, is_all_told) in [
        (table(&tables, Compression::Lz4), true),
        (hint, true),
        (data, true),
        (last, false),
        (wal, false),
        (manifest, false),
    ] {
        let whole_bytes = std::fs::read(&path).expect("it can be read");
        let step = (whole_bytes.len() / 25).max(1);
        for at in (0..whole_bytes.len()).step_by(step).chain([whole_bytes.len() - 1]) {
            flip(&path, at);
            let (status, said, error) = dump(&path, &[]);
            let what = format!("{} at {at}: {error}{said}", path.display());
            match status {
                Some(3) => assert!(error.contains("offset"), "{what}"),
                Some(0) => assert!(!is_all_told && said.contains("torn tail"), "{what}"),
                _ => panic!("{what}"),
            }
            std::fs::write(&path, &whole_bytes).expect("it can be written");
        }
    }
}
