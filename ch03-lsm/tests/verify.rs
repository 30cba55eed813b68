//! What verifying promises: what is wrong is found, what is given up is said, and nothing need be written for it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ch03_lsm::db::{Db, Options, Verified, WriteOptions, verify};
use ch03_lsm::error::Error;
use ch03_lsm::storage::files::{LOCK_NAME, WAL, table_id};
use ch03_lsm::storage::table::{Compression, FOOTER_BYTES, TableOptions};
use ch03_lsm::verify::tear;
use common::disk::log::{SegmentHeader, SegmentWriter, segments};
use common::disk::{Disk, DiskFile, Lock, Open, SimDisk};
use trees::options;

mod trees;

const DIR: &str = "/data";
const ASYNC: WriteOptions = WriteOptions { sync: false };

/// A tree that was killed, with one table, of `bits_per_key`, and three batches in its log.
fn written(bits_per_key: f64) -> SimDisk {
    let disk = SimDisk::new(1);
    let table = TableOptions { bits_per_key, compression: Compression::None, ..TableOptions::default() };
    let db = Db::open(&shared(&disk), Path::new(DIR), Options { memtable_bytes: 1 << 20, table, ..options() })
        .expect("it opens")
        .0;
    for number in 0..100 {
        db.put(format!("key{number:03}").as_bytes(), b"value", ASYNC).expect("a put");
    }
    db.flush().expect("a flush");
    for key in [b"a", b"b", b"c"] {
        db.put(key, b"in the log", ASYNC).expect("a put");
    }
    drop(db);
    disk
}

fn shared(disk: &SimDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

fn verified(disk: &Arc<dyn Disk>) -> Result<Verified, Error> {
    verify(disk, Path::new(DIR), &mut |_| {})
}

/// The last log.
fn log(disk: &SimDisk) -> (u64, PathBuf) {
    segments(disk, Path::new(DIR), WAL).expect("a list").pop().expect("there is a log")
}

#[test]
fn a_tear_is_no_damage_and_it_is_said_where_it_is_and_what_is_given_up() {
    let disk = written(10.0);
    let whole = verified(&shared(&disk)).expect("it is whole");
    assert_eq!((whole.entries, whole.batches, whole.torn, whole.given_up), (100, 3, None, vec![]));
    let (number, path) = log(&disk);
    let file = disk.open(&path, Open::Existing).expect("it opens");
    let len = file.len().expect("a length");
    file.set_len(len - 3).expect("it is cut");
    let torn = verified(&shared(&disk)).expect("a tear is no damage");
    let at = torn.torn.clone().expect("it is said");
    assert_eq!((torn.batches, &at.path, torn.given_up.len()), (2, &path, 0));
    assert!((1..len - 3).contains(&at.offset), "{at:?}");
    let header = SegmentHeader { number: number + 1, salt: 1, prior_durable_bytes: 0 };
    let later = WAL.path(Path::new(DIR), number + 1);
    drop(SegmentWriter::create(&disk, &later, header).expect("a log"));
    let torn = verified(&shared(&disk)).expect("a tear is no damage");
    assert_eq!((torn.torn.as_ref(), &torn.given_up), (Some(&at), &vec![later.clone()]));
    let said = tear(torn.torn.as_ref(), &torn.given_up).expect("it is said");
    for expected in [path.display().to_string(), format!("at byte {}", at.offset), later.display().to_string()] {
        assert!(said.contains(&expected), "{expected}: {said}");
    }
    assert_eq!(tear(None, &[]), None);
    let (_, recovered) = Db::open(&shared(&disk), Path::new(DIR), options()).expect("it opens");
    assert_eq!((recovered.torn, recovered.given_up), (Some(at), vec![later]), "verifying says what opening does");
}

#[test]
fn a_key_that_its_tables_filter_denies_is_damage_that_names_the_table() {
    let disk = written(10.0);
    let path = disk.list(Path::new(DIR)).expect("a list").into_iter().find(|path| table_id(path).is_some());
    let path = path.expect("there is a table");
    let file = disk.open(&path, Open::Existing).expect("it opens");
    let mut bytes = vec![0; file.len().expect("a length") as usize];
    file.read_at(&mut bytes, 0).expect("a read");
    let footer = bytes.len() - FOOTER_BYTES;
    // The second handle of four.
    let offset = u64::from_le_bytes(bytes[footer + 12..footer + 20].try_into().expect("eight bytes"));
    let len = u32::from_le_bytes(bytes[footer + 20..footer + 24].try_into().expect("four bytes"));
    let (begin, end) = (offset as usize, offset as usize + len as usize);
    // All of its bits, and not the number of probes at its end. Whoever wrote this meant it: the checksum is right.
    bytes[begin..end - 1].fill(0);
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&table_id(&path).expect("it is one").0.to_le_bytes());
    checksum.update(&offset.to_le_bytes());
    checksum.update(&bytes[begin..=end]);
    bytes[end + 1..end + 5].copy_from_slice(&checksum.finalize().to_le_bytes());
    file.write_at(&bytes, 0).expect("a write");
    let error = verified(&shared(&disk)).expect_err("it hides what it holds");
    assert!(error.is_damage(), "{error}");
    let said = error.to_string();
    assert!(said.contains(&path.display().to_string()) && said.contains("filter") && said.contains("key000"), "{said}");
    assert_eq!(verified(&shared(&written(0.0))).expect("no filter denies nothing").entries, 100);
}

#[test]
fn what_nobody_may_write_to_is_verified_and_what_somebody_holds_is_not() {
    let disk = written(10.0);
    let before = disk.list(Path::new(DIR)).expect("a list");
    for kind in [ErrorKind::ReadOnlyFilesystem, ErrorKind::PermissionDenied] {
        let not_writable: Arc<dyn Disk> = Arc::new(NotWritable { disk: disk.clone(), kind });
        let found = verified(&not_writable).expect("it is read");
        assert_eq!((found.entries, found.batches), (100, 3), "{kind:?}");
    }
    assert_eq!(disk.list(Path::new(DIR)).expect("a list"), before);
    let _held = disk.lock(&Path::new(DIR).join(LOCK_NAME)).expect("nobody has it");
    assert!(matches!(verified(&shared(&disk)), Err(Error::Locked { .. })));
}

/// A disk on which nothing can be written, for a reason.
#[derive(Debug)]
struct NotWritable {
    disk: SimDisk,
    kind: ErrorKind,
}

impl Disk for NotWritable {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        if how == Open::ReadOnly { self.disk.open(path, how) } else { Err(self.kind.into()) }
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(self.kind.into())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Err(self.kind.into())
    }

    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        Err(self.kind.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Err(self.kind.into())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.disk.list(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }

    fn hard_link(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(self.kind.into())
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn Lock>> {
        Err(self.kind.into())
    }
}
