//! What a checkpoint promises: all that was acknowledged, whole or not at all, whatever becomes of the tree.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ch03_lsm::db::{Db, WriteOptions, verify};
use ch03_lsm::error::Error;
use ch03_lsm::storage::files::LOCK_NAME;
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

/// Whether there is nothing where the copy is to be but the lock that who makes one holds.
fn is_free(disk: &Arc<dyn Disk>) -> bool {
    disk.list(Path::new(COPY)).expect("it can be listed").iter().all(|path| path.ends_with(LOCK_NAME))
}

/// Whether the copy is whole: otherwise it is not there, or it is refused.
fn is_whole(disk: &Arc<dyn Disk>, model: &Model, what: &str) -> bool {
    let is_there = disk.exists(Path::new(COPY)).expect("it can be looked for") && !is_free(disk);
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
    let has_no_links = |call: &'static str| match call {
        "link" => Err(std::io::ErrorKind::CrossesDevices.into()),
        _ => Ok(()),
    };
    let disk: Arc<dyn Disk> = Arc::new(Watched { disk: sim.clone(), before: Box::new(has_no_links) });
    let db = open(&disk, Path::new(TREE)).expect("it opens");
    write(&db, &mut Model::new(), 0, 100).expect("writes");
    let error = db.checkpoint(Path::new(COPY)).expect_err("no links");
    assert!(matches!(&error, Error::OtherFileSystem { .. }), "{error}");
    assert!(is_free(&disk), "nothing is left");
    let sim: Arc<dyn Disk> = Arc::new(sim);
    drop(db);
    open(&sim, Path::new(TREE))
        .expect("it opens")
        .checkpoint(Path::new(COPY))
        .expect("what is left is in nobody's way");
}

/// Two trees that make a checkpoint in one directory, the other one between this one's `at`th call and the one before, if
/// there are so many. Returns what this one and the other one came to.
fn two_checkpoints(at: u64) -> (Result<(), Error>, Option<Result<(), Error>>) {
    let sim = SimDisk::new(1);
    let plain: Arc<dyn Disk> = Arc::new(sim.clone());
    // Of the same numbers as the first's, so that the names of the tables are.
    let other = open(&plain, Path::new("/data/other")).expect("it opens");
    let mut of_other = Model::new();
    write(&other, &mut of_other, 400, 500).expect("writes");
    let made_by_other: Arc<Mutex<Option<Result<(), Error>>>> = Arc::default();
    let calls = Arc::new(AtomicU64::new(u64::MAX / 2));
    let before = {
        let (calls, made) = (Arc::clone(&calls), Arc::clone(&made_by_other));
        move |_: &'static str| {
            if calls.fetch_add(1, Ordering::SeqCst) + 1 == at {
                *made.lock().expect("nobody panics with it") = Some(other.checkpoint(Path::new(COPY)));
            }
            Ok(())
        }
    };
    let watched: Arc<dyn Disk> = Arc::new(Watched { disk: sim, before: Box::new(before) });
    let db = open(&watched, Path::new(TREE)).expect("it opens");
    let mut model = Model::new();
    write(&db, &mut model, 0, 100).expect("writes");
    calls.store(0, Ordering::SeqCst);
    let made = db.checkpoint(Path::new(COPY));
    calls.store(u64::MAX / 2, Ordering::SeqCst);
    let made_by_other = made_by_other.lock().expect("nobody panics with it").take();
    let copy = open(&plain, Path::new(COPY)).unwrap_or_else(|error| panic!("call {at}: {error}"));
    let expected = if made.is_ok() { &model } else { &of_other };
    assert_eq!(everything(&copy, None), *expected, "call {at}: it is the one's that was told so, and whole");
    (made, made_by_other)
}

#[test]
fn of_two_checkpoints_in_one_directory_one_is_made_and_the_other_takes_nothing_of_it_away() {
    let (mut before, mut locked, mut after) = (0, 0, 0);
    for at in 1.. {
        let (made, made_by_other) = two_checkpoints(at);
        let Some(made_by_other) = made_by_other else {
            made.expect("alone it is made");
            break;
        };
        match (made, made_by_other) {
            (Err(Error::CheckpointExists { .. }), Ok(())) => before += 1,
            (Ok(()), Err(Error::Locked { .. })) => locked += 1,
            (Ok(()), Err(Error::CheckpointExists { .. })) => after += 1,
            both => panic!("call {at}: {both:?}"),
        }
    }
    println!("the other is first {before} times, meets a lock {locked} times, and tables {after} times");
    assert!(before > 2 && locked > 1 && after > 2, "{before}, {locked}, {after}");
}

/// A disk that says what is called next.
struct Watched {
    disk: SimDisk,
    before: Box<dyn Fn(&'static str) -> std::io::Result<()> + Send + Sync>,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Watched").field(&self.disk).finish()
    }
}

impl Disk for Watched {
    fn open(&self, path: &Path, how: common::disk::Open) -> std::io::Result<Arc<dyn common::disk::DiskFile>> {
        (self.before)("open")?;
        self.disk.open(path, how)
    }

    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        (self.before)("rename")?;
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> std::io::Result<()> {
        (self.before)("remove")?;
        self.disk.remove(path)
    }

    fn create_dir_all(&self, path: &Path) -> std::io::Result<()> {
        (self.before)("create")?;
        self.disk.create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> std::io::Result<()> {
        (self.before)("sync")?;
        self.disk.sync_dir(path)
    }

    fn list(&self, path: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
        (self.before)("list")?;
        self.disk.list(path)
    }

    fn exists(&self, path: &Path) -> std::io::Result<bool> {
        (self.before)("look for")?;
        self.disk.exists(path)
    }

    fn hard_link(&self, original: &Path, link: &Path) -> std::io::Result<()> {
        (self.before)("link")?;
        self.disk.hard_link(original, link)
    }

    fn lock(&self, path: &Path) -> std::io::Result<Box<dyn common::disk::Lock>> {
        (self.before)("lock")?;
        self.disk.lock(path)
    }
}
