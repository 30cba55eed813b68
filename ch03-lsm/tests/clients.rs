//! Unmodified software of others on what is exported.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ch03_lsm::db::{Db, Options, WriteOptions};
use ch03_lsm::storage::leveldb::Exporter;
use common::disk::{Disk, RealDisk};

/// Prints how many entries there are, the first and the last, what a get finds, and what a range has, backwards too.
const SCRIPT: &str = r#"
import hashlib, plyvel, sys
db = plyvel.DB(sys.argv[1], create_if_missing=False, paranoid_checks=True)
digest = hashlib.sha256()
count = 0
for key, value in db.iterator(verify_checksums=True):
    digest.update(len(key).to_bytes(4, 'big') + key + len(value).to_bytes(4, 'big') + value)
    count += 1
print(count, digest.hexdigest())
print(db.get(b'key-00042'), db.get(b'key-00041'), db.get(b'nothing'))
print([key.decode() for key, _ in db.iterator(start=b'key-00100', stop=b'key-00106', reverse=True)])
db.put(b'a new one', b'by LevelDB itself')
db.compact_range()
print(db.get(b'a new one'), db.get(b'key-19999') is not None)
"#;

#[test]
fn an_unmodified_leveldb_opens_what_is_exported_and_goes_on_with_it() {
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let tried = Command::new(&python).args(["-c", "import plyvel"]).output();
    if !tried.as_ref().is_ok_and(|output| output.status.success()) {
        assert!(
            std::env::var("CLIENTS").as_deref() != Ok("require"),
            "CLIENTS=require, but plyvel was not tried: {tried:?}"
        );
        let _ =
            std::io::stderr().write_all(b"skipped plyvel: it takes the package plyvel 1.5.1 in python3 (see PYTHON)\n");
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    let options = Options { memtable_bytes: 256 << 10, salt: 4, ..Options::default() };
    let (db, _) = Db::open(&disk, &dir.path().join("tree"), options).expect("it opens");
    for number in 0..20_000u32 {
        let key = format!("key-{:05}", number * 7919 % 20_000);
        db.put(key.as_bytes(), &value(number), WriteOptions::default()).expect("a put");
    }
    db.put(b"large", &vec![b'x'; 3 << 20], WriteOptions::default()).expect("a put");
    db.put(b"empty", b"", WriteOptions::default()).expect("a put");
    db.delete(b"key-00041", WriteOptions::default()).expect("a delete");

    let target = dir.path().join("leveldb");
    let entries = export(&*disk, &db, &target);
    assert_eq!(entries, 20_001);
    let output = Command::new(&python).args(["-c", SCRIPT]).arg(&target).output().expect("python runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("20001 "), "{said}");
    let of_42 = (0..20_000u32).find(|number| number * 7919 % 20_000 == 42).expect("every key is put once");
    let expected = format!("b'{}' None None", value(of_42).escape_ascii());
    assert_eq!(lines[1], expected);
    assert_eq!(lines[2], "['key-00105', 'key-00104', 'key-00103', 'key-00102', 'key-00101', 'key-00100']");
    assert_eq!(lines[3], "b'by LevelDB itself' True");
}

fn value(number: u32) -> Vec<u8> {
    format!("value {number} {}", "abc".repeat(number as usize % 40)).into_bytes()
}

fn export(disk: &dyn Disk, db: &Db, target: &Path) -> u64 {
    let mut exporter = Exporter::create(disk, target).expect("a new database");
    let mut iterator = db.iter();
    let mut entries = 0;
    iterator.seek_to_first().expect("a seek");
    while let Some(key) = iterator.key() {
        exporter.add(key, iterator.value()).expect("an entry");
        entries += 1;
        iterator.next().expect("a step");
    }
    exporter.finish().expect("it is written");
    entries
}
