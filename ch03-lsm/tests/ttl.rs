//! What compaction filters promise: what expires goes, what is older never comes back, and snapshots see what they saw.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use ch03_lsm::db::{Db, Options, Snapshot, WriteOptions};
use ch03_lsm::engine::filter::CompactionFilter;
use ch03_lsm::engine::ttl::{self, Ttl};
use common::disk::{Disk, SimDisk};
use trees::{Model, ToldClock, everything, options};

mod trees;

const ASYNC: WriteOptions = WriteOptions { sync: false };
const HOUR: Option<Duration> = Some(Duration::from_secs(3600));

fn open(clock: &Arc<ToldClock>) -> Db {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    let clock = Arc::clone(clock);
    Db::open(&disk, Path::new("/data"), Options { filter: Some(Arc::new(Ttl)), clock, ..options() })
        .expect("it opens")
        .0
}

fn key(number: u32) -> Vec<u8> {
    format!("key{number:04}").into_bytes()
}

/// Writes something around all keys and compacts, so that what is there goes down.
fn stir(db: &Db, round: u32) {
    for number in 0..4 {
        let tree = db.with_ttl();
        for edge in ["a", "z"] {
            tree.put(format!("{edge}{round}-{number}").as_bytes(), &[b'x'; 900], None, ASYNC).expect("a put");
        }
        db.flush().expect("a flush");
        db.settle().expect("it settles");
    }
}

#[test]
fn what_has_expired_is_hidden_at_once_and_gone_after_compactions() {
    let clock = ToldClock::new(1_000);
    let db = open(&clock);
    let tree = db.with_ttl();
    for number in 0..200 {
        tree.put(&key(number), &[b'v'; 40], if number % 2 == 0 { HOUR } else { None }, ASYNC).expect("a put");
    }
    stir(&db, 0);
    assert_eq!(tree.get(&key(2)).expect("a get").as_deref(), Some(&[b'v'; 40][..]), "it has an hour");
    assert_eq!(db.stats().work.filtered, 0);
    clock.set_unix_s(1_000 + 3_599);
    assert!(tree.get(&key(2)).expect("a get").is_some(), "a second before");
    clock.set_unix_s(1_000 + 3_600);
    assert_eq!(tree.get(&key(2)).expect("a get"), None, "hidden in the second in which it expires");
    assert!(db.get(&key(2)).expect("a get").is_some(), "still there for who reads the tree itself");
    let mut iterator = tree.iter();
    let mut keys = Vec::new();
    iterator.seek(b"key").expect("a seek");
    while let Some(key) = iterator.key().filter(|key| key.starts_with(b"key")) {
        assert_eq!(iterator.value(), [b'v'; 40]);
        keys.push(key.to_vec());
        iterator.next().expect("a step");
    }
    let odd: Vec<_> = (0..200).filter(|number| number % 2 == 1).map(key).collect();
    assert_eq!(keys, odd);
    iterator.seek_for_prev(b"l").expect("a seek");
    let mut backwards = Vec::new();
    while let Some(key) = iterator.key().filter(|key| key.starts_with(b"key")) {
        backwards.push(key.to_vec());
        iterator.prev().expect("a step");
    }
    backwards.reverse();
    assert_eq!(backwards, odd);
    for round in 1..12 {
        stir(&db, round);
    }
    let left = (0..200).filter(|number| db.get(&key(*number)).expect("a get").is_some()).count();
    assert_eq!(left, 100, "what lives for ever");
    assert!(db.stats().work.filtered >= 100);
}

/// A snapshot, and the value of a key at it.
type Seen = (Snapshot, Option<Vec<u8>>);

/// Leaves out every value that begins with an x, whenever; and calls back before its first answer.
#[derive(Default)]
struct NoX {
    asked: AtomicU64,
    first: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl std::fmt::Debug for NoX {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NoX")
    }
}

impl CompactionFilter for NoX {
    fn keeps(&self, _: &[u8], value: &[u8], _: u64) -> bool {
        if self.asked.fetch_add(1, Ordering::SeqCst) == 0
            && let Some(first) = self.first.get()
        {
            first();
        }
        !value.starts_with(b"x")
    }
}

/// A generator that is the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn an_older_value_never_comes_back_and_snapshots_see_what_they_saw() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(seed));
        let filter: Arc<dyn CompactionFilter> = Arc::new(NoX::default());
        let open = || {
            let options = Options { filter: Some(Arc::clone(&filter)), ..options() };
            Db::open(&disk, Path::new("/data"), options).expect("it opens").0
        };
        let mut db = open();
        let mut model = Model::new();
        let mut snapshots: Vec<(Snapshot, Model, Model)> = Vec::new();
        for step in 0..400u64 {
            match random.below(24) {
                0..=17 => {
                    let key = format!("key{:02}", random.below(40)).into_bytes();
                    if random.below(8) == 0 {
                        db.delete(&key, ASYNC).expect("a delete");
                        model.remove(&key);
                    } else {
                        let mut value = vec![if random.below(3) == 0 { b'x' } else { b'v' }];
                        value.resize(1 + random.below(150) as usize, b'0' + (step % 10) as u8);
                        db.put(&key, &value, ASYNC).expect("a put");
                        model.insert(key, value);
                    }
                }
                18 => db.flush().expect("a flush"),
                19 | 20 => _ = db.work().expect("work"),
                21 => db.settle().expect("it settles"),
                22 if snapshots.len() < 3 => snapshots.push((db.snapshot(), everything(&db, None), model.clone())),
                22 => _ = snapshots.remove(0),
                _ if random.below(4) == 0 => {
                    snapshots.clear();
                    drop(db);
                    db = open();
                }
                _ => {}
            }
            if !step.is_multiple_of(4) {
                continue;
            }
            let found = everything(&db, None);
            for (key, value) in &found {
                assert_eq!(model.get(key), Some(value), "seed {seed}, step {step}: {}", key.escape_ascii());
            }
            for (key, value) in &model {
                let is_there = found.contains_key(key);
                assert!(is_there || value[0] == b'x', "seed {seed}, step {step}: {} is gone", key.escape_ascii());
            }
            for (snapshot, seen, _) in &snapshots {
                assert_eq!(everything(&db, Some(snapshot)), *seen, "seed {seed}, step {step}: a snapshot");
            }
        }
    }
}

#[test]
fn a_snapshot_that_is_taken_while_a_compaction_filters_sees_what_it_saw() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    let filter = Arc::new(NoX::default());
    let shared: Arc<dyn CompactionFilter> = Arc::<NoX>::clone(&filter);
    let db = Db::open(&disk, Path::new("/data"), Options { filter: Some(shared), ..options() }).expect("it opens").0;
    let db = Arc::new(db);
    db.put(b"a", b"x1", ASYNC).expect("a put");
    db.put(b"b", b"v1", ASYNC).expect("a put");
    db.flush().expect("a flush");
    // Two tables that lie over one another, and a third below: they are merged, and not only moved.
    for value in [b"x2", b"x3"] {
        db.put(b"a", value, ASYNC).expect("a put");
        db.put(b"c", value, ASYNC).expect("a put");
        db.flush().expect("a flush");
        if value == b"x2" {
            db.work().expect("work");
        }
    }
    let taken: Arc<Mutex<Option<Seen>>> = Arc::default();
    let (there, tree) = (Arc::clone(&taken), Arc::downgrade(&db));
    let first = move || {
        let db = tree.upgrade().expect("the tree is open");
        let snapshot = db.snapshot();
        let seen = db.get_at(&snapshot, b"a").expect("a get");
        *there.lock().expect("nobody panics") = Some((snapshot, seen));
    };
    assert!(filter.first.set(Box::new(first)).is_ok());
    db.settle().expect("it settles");
    let (snapshot, seen) = taken.lock().expect("nobody panics").take().expect("the filter was asked");
    assert_eq!(seen.as_deref(), Some(&b"x3"[..]));
    assert_eq!(db.get_at(&snapshot, b"a").expect("a get"), seen);
    drop(snapshot);
    assert_eq!(db.stats().levels[0].tables, 0, "it was compacted nevertheless");
}

#[test]
fn a_value_without_a_time_is_kept_and_not_shown() {
    assert!(Ttl.keeps(b"k", b"short", u64::MAX));
    assert_eq!(ttl::read(b"short", 0), None);
    let stored = ttl::value(b"", 5);
    assert_eq!((ttl::read(&stored, 4), ttl::read(&stored, 5)), (Some(&b""[..]), None));
    assert!(Ttl.keeps(b"k", &stored, 4) && !Ttl.keeps(b"k", &stored, 5));
    let for_ever = ttl::value(b"v", ttl::NEVER);
    assert!(Ttl.keeps(b"k", &for_ever, u64::MAX - 1));
}
