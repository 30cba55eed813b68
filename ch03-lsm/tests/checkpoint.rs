//! What a checkpoint promises: all that was acknowledged, whole or not at all, whatever becomes of the tree.

use std::path::Path;
use std::sync::Arc;

use ch03_lsm::db::{Db, WriteOptions, verify};
use ch03_lsm::error::Error;
use common::disk::{Crash, Disk, Fault, RealDisk, SimDisk};
use trees::{Model, everything, options};

mod trees;

const TREE: &str = "/data/tree";
const COPY: &str = "/data/backups/copy";
const ASYNC: WriteOptions = WriteOptions { sync: false };

fn open(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Db, Error> {
    Ok(Db::open(disk, dir, options())?.0)
}

fn write(db: &Db, model: &mut Model, from: u32, to: u32) -> Result<(), Error> {
    for number in from..to {
        let key = format!("key{:03}", number * 7 % 60).into_bytes();
        if number % 5 == 4 {
            db.delete(&key, ASYNC)?;
            model.remove(&key);
        } else {
            let value = format!("{number} {}", "v".repeat(number as usize % 70)).into_bytes();
            db.put(&key, &value, ASYNC)?;
            model.insert(key, value);
        }
        if number % 40 == 39 {
            db.flush()?;
            db.work()?;
        }
    }
    Ok(())
}

#[test]
fn a_checkpoint_has_what_was_acknowledged_and_neither_changes_the_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    let (tree, copy) = (dir.path().join("tree"), dir.path().join("backups/copy"));
    let db = open(&disk, &tree).expect("it opens");
    let mut model = Model::new();
    write(&db, &mut model, 0, 230).expect("writes");
    let snapshot = db.snapshot();
    db.checkpoint(&copy).expect("a checkpoint");
    drop(snapshot);
    let at_checkpoint = model.clone();
    // Every table that there was is compacted away.
    write(&db, &mut model, 300, 900).expect("writes");
    db.flush().expect("a flush");
    db.settle().expect("it settles");
    let verified = verify(&disk, &copy, &mut |_| {}).expect("the copy is whole");
    assert!(verified.tables > 0);
    let other = open(&disk, &copy).expect("the copy opens, while the tree is open");
    assert_eq!(everything(&other, None), at_checkpoint);
    let mut of_copy = at_checkpoint.clone();
    write(&other, &mut of_copy, 1_000, 1_200).expect("the copy takes writes");
    other.settle().expect("it settles");
    assert_eq!(everything(&other, None), of_copy);
    assert_eq!(everything(&db, None), model);
    other.close().expect("it closes");
    db.close().expect("it closes");
    assert_eq!(everything(&open(&disk, &tree).expect("it opens"), None), model);
    assert_eq!(everything(&open(&disk, &copy).expect("it opens"), None), of_copy);
}

#[test]
fn a_directory_with_anything_in_it_and_another_file_system_are_refused() {
    let sim = SimDisk::new(1);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let db = open(&disk, Path::new(TREE)).expect("it opens");
    let mut model = Model::new();
    write(&db, &mut model, 0, 100).expect("writes");
    db.checkpoint(Path::new(COPY)).expect("a checkpoint");
    let error = db.checkpoint(Path::new(COPY)).expect_err("it is there");
    assert!(matches!(&error, Error::CheckpointExists { dir } if dir == Path::new(COPY)), "{error}");
    let error = db.checkpoint(Path::new(TREE)).expect_err("the tree itself");
    assert!(matches!(error, Error::CheckpointExists { .. }), "{error}");
    disk.create_dir_all(Path::new("/data/empty")).expect("a directory");
    db.checkpoint(Path::new("/data/empty")).expect("an empty one is as good as none");
    assert_eq!(everything(&open(&disk, Path::new("/data/empty")).expect("it opens"), None), model);
}

#[test]
fn an_empty_tree_has_a_checkpoint_too() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    let db = open(&disk, Path::new(TREE)).expect("it opens");
    db.checkpoint(Path::new(COPY)).expect("a checkpoint");
    let copy = open(&disk, Path::new(COPY)).expect("it opens");
    assert!(everything(&copy, None).is_empty());
}

/// A tree with something in it, then the checkpoint; how many operations there were before it, and in all.
fn life(disk: &SimDisk) -> (Model, u64, Result<(), Error>) {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut model = Model::new();
    let db = open(&shared, Path::new(TREE)).expect("it opens");
    write(&db, &mut model, 0, 150).expect("writes");
    db.put(b"last", b"synced", WriteOptions { sync: true }).expect("a put");
    model.insert(b"last".to_vec(), b"synced".to_vec());
    let before = disk.operations();
    let made = db.checkpoint(Path::new(COPY));
    (model, before, made)
}

/// Whether the copy is whole: otherwise it is not there, or it is refused.
fn is_whole(disk: &Arc<dyn Disk>, model: &Model, what: &str) -> bool {
    let is_there = disk.exists(Path::new(COPY)).expect("it can be looked for")
        && !disk.list(Path::new(COPY)).expect("it can be listed").is_empty();
    if !is_there {
        return false;
    }
    match open(disk, Path::new(COPY)) {
        Ok(copy) => {
            assert_eq!(everything(&copy, None), *model, "{what}: the copy is not whole");
            true
        }
        Err(error) => {
            assert!(error.is_damage(), "{what}: {error}");
            false
        }
    }
}

#[test]
fn a_crash_at_every_operation_of_a_checkpoint_leaves_the_tree_and_a_whole_copy_or_none() {
    let disk = SimDisk::new(7);
    let (_, before, made) = life(&disk);
    made.expect("a checkpoint");
    let (mut whole, mut none) = (0, 0);
    for k in before + 1..=disk.operations() {
        let disk = SimDisk::new(7);
        disk.crash_at(k);
        let (model, _, made) = life(&disk);
        let ways = [Crash::LoseAll, Crash::KeepAll, Crash::Random, Crash::Random, Crash::Random, Crash::Random];
        for (index, how) in ways.into_iter().enumerate() {
            let what = format!("operation {k}, {how:?}");
            let fork = disk.fork();
            fork.reseed(k * 10 + index as u64);
            fork.crash(how);
            let shared: Arc<dyn Disk> = Arc::new(fork);
            let is_whole = is_whole(&shared, &model, &what);
            assert!(is_whole || made.is_err(), "{what}: it was acknowledged");
            whole += u64::from(is_whole);
            none += u64::from(!is_whole);
            let tree = open(&shared, Path::new(TREE)).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(everything(&tree, None), model, "{what}: the tree");
        }
    }
    assert!(whole > 5 && none > 20, "both happen: {whole} whole, {none} not");
}

#[test]
fn an_error_at_every_operation_of_a_checkpoint_leaves_nothing_in_its_place_and_the_tree_unharmed() {
    let disk = SimDisk::new(8);
    let (_, before, made) = life(&disk);
    made.expect("a checkpoint");
    let mut refused = 0;
    for fault in [Fault::Eio, Fault::Enospc, Fault::SyncReverts, Fault::SyncForgets] {
        for k in before + 1..=disk.operations() {
            let disk = SimDisk::new(8);
            disk.fail_at(k, fault);
            let (model, _, made) = life(&disk);
            let what = format!("{fault:?} at operation {k}");
            let shared: Arc<dyn Disk> = Arc::new(disk.clone());
            let is_whole = is_whole(&shared, &model, &what);
            assert_eq!(is_whole, made.is_ok(), "{what}: {made:?}");
            refused += u64::from(made.is_err());
            disk.crash(Crash::KeepAll);
            let tree = open(&shared, Path::new(TREE)).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(everything(&tree, None), model, "{what}: the tree");
        }
    }
    assert!(refused > 40, "{refused}");
}

#[test]
fn links_to_another_file_system_are_an_error_that_says_so() {
    let sim = SimDisk::new(1);
    let disk: Arc<dyn Disk> = Arc::new(Elsewhere(sim.clone()));
    let db = open(&disk, Path::new(TREE)).expect("it opens");
    write(&db, &mut Model::new(), 0, 100).expect("writes");
    let error = db.checkpoint(Path::new(COPY)).expect_err("no links");
    assert!(matches!(&error, Error::OtherFileSystem { .. }), "{error}");
    assert!(disk.list(Path::new(COPY)).expect("a list").is_empty(), "nothing is left");
}

/// A disk that has no links.
#[derive(Debug)]
struct Elsewhere(SimDisk);

impl Disk for Elsewhere {
    fn open(&self, path: &Path, how: common::disk::Open) -> std::io::Result<Arc<dyn common::disk::DiskFile>> {
        self.0.open(path, how)
    }

    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.0.remove(path)
    }

    fn create_dir_all(&self, path: &Path) -> std::io::Result<()> {
        self.0.create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> std::io::Result<()> {
        self.0.sync_dir(path)
    }

    fn list(&self, path: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
        self.0.list(path)
    }

    fn exists(&self, path: &Path) -> std::io::Result<bool> {
        self.0.exists(path)
    }

    fn hard_link(&self, _: &Path, _: &Path) -> std::io::Result<()> {
        Err(std::io::ErrorKind::CrossesDevices.into())
    }

    fn lock(&self, path: &Path) -> std::io::Result<Box<dyn common::disk::Lock>> {
        self.0.lock(path)
    }
}
