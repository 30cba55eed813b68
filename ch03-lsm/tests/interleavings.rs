//! The tree's threads in orders that a seed chooses.
//!
//! `db`, `storage` and `engine` are compiled here from the very files that ship, against a [`sync`] whose locks, condition
//! variables, atomics and threads are shuttle's: one thread runs at a time, and at each of these calls another may be
//! let in. A thread that waits for a word that never comes is a deadlock here, and said to be one. What shuttle does not see are the
//! skip list's own atomics: an insert happens at once (crossbeam's own tests look after that), and memory is sequentially
//! consistent.
//!
//! Bugs are planted by putting a part with a bug in the place of the real one, under its name: what is under test stays as it is.
//!
//! `SIM_SEEDS=5000` tries that many orders of each scenario.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "a part of what is compiled here is for the library's users"
)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64 as Plain, Ordering};

use common::disk::{CountedDisk, Disk, SimDisk};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

#[path = "../src/db/mod.rs"]
pub mod db;
#[path = "../src/error.rs"]
pub mod error;
#[path = "../src/engine/mod.rs"]
pub mod real_engine;
#[path = "../src/storage/mod.rs"]
pub mod storage;
#[path = "interleavings/sync.rs"]
mod sync;

use db::{Db, Options, WriteOptions};
use engine::leveled::Leveled;
use engine::size_tiered::SizeTiered;
use storage::batch::Batch;

/// A bug, by what goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// Readers are shown the number of a write before the memtable has it.
    NumberBeforeTheWrite,
    /// A reader asks for the newest number, and then for what holds it: by then it may hold that no more.
    NumberBeforeTheView,
    /// Of all who wait for progress, one is told.
    OneIsTold,
    /// The next in the queue is not woken.
    NobodyIsWoken,
    /// A compaction does not ask for snapshots.
    SnapshotsForgotten,
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    /// How many orders were tried.
    static TRIED: Cell<u64> = const { Cell::new(0) };
}

fn is_planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// What `crate::engine` is in the library, with a memtable and a retention that may have bugs.
mod engine {
    pub use crate::real_engine::*;

    pub mod memtable {
        use std::cell::RefCell;
        use std::ops::Deref;
        use std::sync::Arc;

        pub use crate::real_engine::memtable::*;
        use crate::real_engine::{key, memtable as real};
        use crate::{Bug, is_planted};

        #[derive(Debug, Default)]
        pub struct Memtable(Arc<real::Memtable>);

        type Insert = (Arc<real::Memtable>, Vec<u8>, key::Seq, key::Kind, Vec<u8>);

        thread_local! {
            static WAITING: RefCell<Vec<Insert>> = const { RefCell::new(Vec::new()) };
        }

        impl Memtable {
            pub fn new() -> Self {
                Self::default()
            }

            pub fn insert(&self, user: &[u8], seq: key::Seq, kind: key::Kind, value: &[u8]) {
                if is_planted(Bug::NumberBeforeTheWrite) {
                    let insert = (Arc::clone(&self.0), user.to_vec(), seq, kind, value.to_vec());
                    WAITING.with_borrow_mut(|waiting| waiting.push(insert));
                } else {
                    self.0.insert(user, seq, kind, value);
                }
            }
        }

        impl Deref for Memtable {
            type Target = real::Memtable;

            fn deref(&self) -> &real::Memtable {
                &self.0
            }
        }

        /// What a planted bug has held back.
        pub fn insert_what_waits() {
            if is_planted(Bug::NumberBeforeTheWrite) {
                let waiting = WAITING.take();
                shuttle::thread::yield_now();
                for (memtable, user, seq, kind, value) in waiting {
                    memtable.insert(&user, seq, kind, &value);
                }
            }
        }
    }

    pub mod retention {
        use crate::real_engine::key::{InternalKey, Seq};
        use crate::real_engine::range_tombstones::RangeTombstones;
        use crate::real_engine::retention as real;
        use crate::{Bug, is_planted};

        #[derive(Debug)]
        pub struct Retention(real::Retention);

        impl Retention {
            pub fn new(snapshots: impl IntoIterator<Item = Seq>, now: Seq, is_bottom: bool) -> Self {
                let snapshots: Vec<Seq> =
                    snapshots.into_iter().filter(|_| !is_planted(Bug::SnapshotsForgotten)).collect();
                Self(real::Retention::new(snapshots, now, is_bottom))
            }

            pub fn with_ranges(self, ranges: RangeTombstones) -> Self {
                Self(self.0.with_ranges(ranges))
            }

            pub fn ranges(&self) -> RangeTombstones {
                self.0.ranges()
            }

            pub fn keeps(&mut self, key: &InternalKey) -> bool {
                self.0.keeps(key)
            }

            pub fn seq_to_keep(&self, seq: Seq) -> Seq {
                self.0.seq_to_keep(seq)
            }
        }
    }
}

const DIR: &str = "/data";

/// The name of the thread that asks for what is newest.
const READER: &str = "reader";

/// How many orders of a scenario are tried when nobody asks for more.
const ORDERS: usize = 400;

fn orders() -> usize {
    let asked = std::env::var("SIM_SEEDS").ok();
    asked.map_or(ORDERS, |text| text.parse().unwrap_or_else(|_| panic!("SIM_SEEDS is a number, not {text:?}")))
}

/// Runs a scenario in `count` orders: half of them at random, half with few changes between threads at the worst of
/// times (Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010).
fn in_many_orders(count: usize, scenario: fn()) {
    let counted = move || {
        TRIED.set(TRIED.get() + 1);
        scenario();
    };
    let mut config = Config::new();
    config.stack_size = 512 << 10;
    Runner::new(RandomScheduler::new_from_seed(7, count / 2), config.clone()).run(counted);
    Runner::new(PctScheduler::new_from_seed(7, 3, count / 2), config).run(counted);
}

fn options(threads: usize) -> Options {
    Options {
        memtable_bytes: 400,
        immutable_memtables: 1,
        level0_slowdown: 3,
        level0_stop: 4,
        threads,
        strategy: Arc::new(Leveled { level0_tables: 2, base_bytes: 1 << 10, growth: 3, table_bytes: 300 }),
        salt: 1,
        ..Options::default()
    }
}

fn open(disk: &Arc<dyn Disk>, threads: usize) -> Arc<Db> {
    Arc::new(Db::open(disk, Path::new(DIR), options(threads)).expect("it opens").0)
}

fn all(db: &Db) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut iterator = db.iter();
    iterator.seek_to_first().expect("a seek");
    let mut found = BTreeMap::new();
    while let Some(key) = iterator.key() {
        found.insert(key.to_vec(), iterator.value().to_vec());
        iterator.next().expect("a step");
    }
    found
}

fn close(db: Arc<Db>) {
    Arc::try_unwrap(db).expect("nobody else has it").close().expect("it closes");
}

/// Writers who write more than memory takes, some of it synced: all of it is there, for each at once, and afterwards.
fn writers_share_the_log() {
    let counted = CountedDisk::new(Arc::new(SimDisk::new(0)));
    let disk: Arc<dyn Disk> = Arc::new(counted.clone());
    let db = open(&disk, 1);
    let writers: Vec<_> = (0..3u8)
        .map(|writer| {
            let db = Arc::clone(&db);
            shuttle::thread::spawn(move || {
                for number in 0..3u8 {
                    let key = [writer, number % 2];
                    db.put(&key, &[number; 90], WriteOptions { sync: number == writer }).expect("a put");
                    assert_eq!(db.get(&key).expect("a get").as_deref(), Some(&[number; 90][..]), "one's own write");
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
    let written: u64 = counted
        .by_path()
        .into_iter()
        .filter(|(path, _)| path.to_string_lossy().contains("wal-"))
        // The first write of a log is its header.
        .map(|(_, counts)| counts.writes - 1)
        .sum();
    GROUPS.fetch_add(u64::from(written < 9), Ordering::Relaxed);
    let expected: BTreeMap<_, _> =
        (0..3).flat_map(|writer| [(vec![writer, 0], vec![2; 90]), (vec![writer, 1], vec![1; 90])]).collect();
    assert_eq!(all(&db), expected);
    close(db);
    let db = open(&disk, 0);
    assert_eq!(all(&db), expected, "opened again");
    close(db);
}

/// In how many orders a group had several batches.
static GROUPS: Plain = Plain::new(0);

/// A writer, whose batches readers see whole, in their order, and at a snapshot as they were.
fn readers_see_batches_whole() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(0));
    let db = open(&disk, 1);
    let round = |number: u8| {
        let mut batch = Batch::new();
        for key in [b"a", b"b", b"c"] {
            batch.put(key, &[number; 40]).expect("it fits");
        }
        batch
    };
    db.write(round(0), WriteOptions::default()).expect("a write");
    let reader = {
        let db = Arc::clone(&db);
        shuttle::thread::spawn(move || {
            let mut newest = 0;
            for _ in 0..2 {
                let snapshot = db.snapshot();
                let at = |key: &[u8]| db.get_at(&snapshot, key).expect("a get").expect("it is there")[0];
                let first = at(b"a");
                assert!(first >= newest, "round {first} after {newest}");
                newest = first;
                assert_eq!((at(b"b"), at(b"c")), (first, first), "a batch is whole");
                let seen = db.get(b"b").expect("a get").expect("it is there")[0];
                assert!(seen >= newest, "round {seen} after {newest}");
                let mut iterator = db.iter_at(&snapshot);
                iterator.seek_to_first().expect("a seek");
                while iterator.key().is_some() {
                    assert_eq!(iterator.value()[0], first, "a snapshot stays as it is");
                    iterator.next().expect("a step");
                }
                assert_eq!(at(b"a"), first, "a snapshot stays as it is");
            }
        })
    };
    for number in 1..5 {
        db.write(round(number), WriteOptions::default()).expect("a write");
    }
    reader.join().expect("the reader");
    db.settle().expect("it settles");
    close(db);
}

/// A writer, and a reader who asks for what is newest, again and again: it is there, and never older than before.
fn readers_ask_for_the_newest() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(0));
    let db = open(&disk, 1);
    db.put(b"key", &[0; 150], WriteOptions::default()).expect("a put");
    let reader = {
        let db = Arc::clone(&db);
        let reads = move || {
            let mut newest = 0;
            for _ in 0..3 {
                let found = db.get(b"key").expect("a get").expect("it is there")[0];
                assert!(found >= newest, "write {found} after {newest}");
                newest = found;
                let found = all(&db).get(&b"key"[..]).expect("it is there")[0];
                assert!(found >= newest, "write {found} after {newest}");
                newest = found;
            }
        };
        sync::Builder::new().name(READER.to_owned()).spawn(reads).expect("a thread")
    };
    for number in 1..8 {
        db.put(b"key", &[number; 150], WriteOptions::default()).expect("a put");
    }
    reader.join().expect("the reader");
    close(db);
}

/// Writes, a flush and whoever waits for compactions, at once: each of them ends.
fn who_waits_for_progress_hears_of_it() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(0));
    let db = open(&disk, 2);
    let each: [fn(&Db); 3] = [
        |db| (0..4u8).for_each(|number| db.put(&[number], &[1; 200], WriteOptions::default()).expect("a put")),
        |db| db.flush().expect("a flush"),
        |db| db.settle().expect("it settles"),
    ];
    let threads = each.map(|act| {
        let db = Arc::clone(&db);
        shuttle::thread::spawn(move || act(&db))
    });
    threads.into_iter().for_each(|thread| thread.join().expect("a thread"));
    db.settle().expect("it settles");
    assert_eq!(all(&db).len(), 4);
    close(db);
}

/// Runs of sizes that a size-tiered tree does not merge, as many as make writers wait.
fn runs_that_nobody_merges() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(0));
    for threads in [0, 1] {
        let strategy = Arc::new(SizeTiered { tables: 4, spread: 2 });
        let options = Options { memtable_bytes: 1 << 20, strategy, ..options(threads) };
        let (db, _) = Db::open(&disk, Path::new(DIR), options).expect("it opens");
        for number in 0..8u16 {
            let value = vec![0; if number % 2 == 0 { 10 } else { 20_000 }];
            // Not to be compressed.
            let value: Vec<u8> =
                (0..).zip(value).map(|(at, _): (u32, u8)| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            db.put(&number.to_le_bytes(), &value, WriteOptions::default()).expect("a put");
            db.flush().expect("a flush");
        }
        assert!(db.stats().levels[0].tables > 4, "there are more runs than stop a writer: {:?}", db.stats().levels);
        db.close().expect("it closes");
    }
}

#[test]
fn a_writer_does_not_wait_for_a_compaction_that_nobody_will_do() {
    in_many_orders(20, runs_that_nobody_merges);
}

#[test]
fn what_writers_wrote_together_is_there_in_every_order() {
    in_many_orders(orders(), writers_share_the_log);
    let groups = GROUPS.load(Ordering::Relaxed);
    println!("{groups} orders had a group of several batches");
    assert!(groups > 0, "no group had several batches: this test tests little");
}

#[test]
fn batches_are_whole_and_snapshots_stay_in_every_order() {
    in_many_orders(orders(), readers_see_batches_whole);
}

#[test]
fn what_is_newest_never_goes_back_in_any_order() {
    in_many_orders(orders(), readers_ask_for_the_newest);
}

#[test]
fn nobody_waits_for_ever_in_any_order() {
    in_many_orders(orders(), who_waits_for_progress_hears_of_it);
}

#[test]
fn every_planted_bug_is_caught_within_a_thousand_orders() {
    type Planted = (Bug, fn(), &'static [&'static str]);
    let planted: [Planted; 5] = [
        (
            Bug::NumberBeforeTheWrite,
            readers_see_batches_whole,
            &["a batch is whole", "it is there", "a snapshot stays as it is", "after"],
        ),
        (Bug::NumberBeforeTheView, readers_ask_for_the_newest, &["it is there", "after"]),
        (Bug::OneIsTold, who_waits_for_progress_hears_of_it, &["deadlock"]),
        (Bug::NobodyIsWoken, writers_share_the_log, &["deadlock"]),
        (Bug::SnapshotsForgotten, readers_see_batches_whole, &["a snapshot stays as it is", "it is there"]),
    ];
    for (bug, scenario, reasons) in planted {
        PLANTED.set(Some(bug));
        TRIED.set(0);
        let caught = catch_unwind(AssertUnwindSafe(|| in_many_orders(1000, scenario)));
        PLANTED.set(None);
        let panic = caught.expect_err("somebody must notice");
        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        println!("{bug:?} is caught in order {}: {}", TRIED.get(), text.replace('\n', " "));
        assert!(
            reasons.iter().any(|reason| text.contains(reason)),
            "{bug:?} is caught, and not for what it is: {text}"
        );
    }
}
