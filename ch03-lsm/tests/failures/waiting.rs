//! What may take long and must end: flushes under writers that never rest, calls on a tree whose thread has panicked, and two
//! callers of a tree that has no threads.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ch03_lsm::db::{Db, Options, Stats};
use ch03_lsm::engine::compaction::{Choice, Merge, Strategy};
use ch03_lsm::engine::filter::CompactionFilter;
use ch03_lsm::engine::leveled::Leveled;
use ch03_lsm::engine::levels::{LEVELS, Levels, TableId};
use ch03_lsm::error::Error;
use ch03_lsm::storage::files::{WAL, table_id};
use common::disk::SimDisk;

use super::scripted::{Board, Call, Running, Script, ScriptedDisk, in_time};
use super::trees::{everything, options};
use super::{ASYNC, DIR, SYNC, key, open, shared};

/// How often a thread steps back to let others show what they do: they need a small part of it.
const YIELDS: u64 = 200_000;

/// Writers that are always faster: a memtable is written out when the next one is full, and not before.
#[derive(Debug, Default)]
struct Saturated {
    board: Board<Race>,
}

#[derive(Debug, Default)]
struct Race {
    logs: u64,
    flushes: u64,
    is_over: bool,
}

impl Script for Saturated {
    fn before(&self, call: Call, path: &Path) -> io::Result<()> {
        if call != Call::Create || table_id(path).is_none() {
            return Ok(());
        }
        let flush = self.board.tell(|race| {
            race.flushes += 1;
            race.flushes
        });
        self.board.wait_until("writers fill memtables", |race| race.is_over || race.logs >= flush + 2)
    }

    fn after(&self, call: Call, path: &Path) {
        if call == Call::Create && WAL.number(path).is_some() {
            self.board.tell(|race| race.logs += 1);
        }
    }
}

/// Lets the writers end, however the test does.
struct UntilHere<'a>(&'a Board<Race>);

impl Drop for UntilHere<'_> {
    fn drop(&mut self) {
        self.0.tell(|race| race.is_over = true);
    }
}

/// Calls `act` while two writers write without a pause, to a tree that never compacts. Returns the disk.
fn while_others_write(what: &'static str, act: impl FnOnce(&Db) -> Result<(), Error> + Send + 'static) -> SimDisk {
    let disk = SimDisk::new(4);
    let script = Arc::new(Saturated::default());
    let settings = Options {
        threads: 1,
        strategy: Arc::new(Idle::default()),
        level0_slowdown: usize::MAX,
        level0_stop: usize::MAX,
        ..options()
    };
    let db = Arc::new(open(&ScriptedDisk::shared(&disk, &script), DIR, settings));
    db.put(b"before", b"acknowledged", ASYNC).expect("a put");
    let until_here = UntilHere(&script.board);
    let writers = [0u32, 1].map(|writer| {
        let (db, script) = (Arc::clone(&db), Arc::clone(&script));
        Running::begin("a writer", move || {
            for number in 0u32.. {
                if script.board.look(|race| race.is_over) {
                    break;
                }
                let key = [writer, number % 100].map(u32::to_be_bytes).concat();
                db.put(&key, &[b'v'; 400], ASYNC).expect("a put");
            }
        })
    });
    script.board.wait_until("both are at work", |race| race.flushes > 2).expect("in time");
    let caller = Arc::clone(&db);
    in_time(what, move || act(&caller)).expect("it succeeds");
    drop(until_here);
    for writer in writers {
        writer.end();
    }
    in_time("the end of the tree", move || drop(db));
    disk
}

#[test]
fn a_flush_returns_while_others_write_faster_than_memtables_are_written_out() {
    while_others_write("a flush", Db::flush);
}

#[test]
fn a_checkpoint_is_made_while_others_write_faster_than_memtables_are_written_out() {
    let disk = while_others_write("a checkpoint", |db| db.checkpoint(Path::new("/copy")));
    let copy = open(&shared(&disk), "/copy", options());
    assert_eq!(copy.get(b"before").expect("a get").as_deref(), Some(&b"acknowledged"[..]));
}

/// All that an error says, with what it goes back to.
fn told(error: &Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        told = format!("{told}: {error}");
        source = error.source();
    }
    told
}

/// A tree whose calls must end, and that is never dropped if the test fails: it may not be able to end either.
#[derive(Debug)]
struct Watched(Option<Arc<Db>>);

impl Watched {
    fn open(disk: &SimDisk, options: Options) -> Self {
        Self(Some(Arc::new(open(&shared(disk), DIR, options))))
    }

    fn call<T: Send + 'static>(&self, what: &'static str, act: impl FnOnce(&Db) -> T + Send + 'static) -> T {
        let db = Arc::clone(self.0.as_ref().expect("it is open"));
        in_time(what, move || act(&db))
    }

    fn end(mut self) {
        let db = self.0.take();
        in_time("the end of the tree", move || drop(db));
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        std::mem::forget(self.0.take());
    }
}

fn assert_says_that_something_panicked(what: &str, result: Result<(), Error>) {
    let error = result.expect_err(what);
    assert!(matches!(error, Error::ReadOnly(_)), "{what}: {error:?}");
    assert!(told(&error).contains("panic"), "{what} does not say why: {}", told(&error));
}

/// Whatever the panic was, and after it has met a tree with two values of a key: nobody hangs, and nothing is lost.
fn assert_survives_a_panic(settings: Options) {
    let disk = SimDisk::new(6);
    let db = Watched::open(&disk, settings);
    for value in [b"early", b"later"] {
        // Once it has failed, writes are refused.
        let _: Result<(), Error> = db.call("a put", |db| db.put(b"key", value, SYNC));
        let _: Result<(), Error> = db.call("a flush", Db::flush);
    }
    assert_says_that_something_panicked("a settle", db.call("a settle", Db::settle));
    assert_says_that_something_panicked("a put", db.call("a put", |db| db.put(b"key", b"refused", ASYNC)));
    assert_says_that_something_panicked("a flush", db.call("a flush", Db::flush));
    assert_says_that_something_panicked("a resume", db.call("a resume", Db::resume));
    let seen = db.call("a get", |db| db.get(b"key")).expect("reads go on");
    let _: Stats = db.call("statistics", Db::stats);
    db.end();
    let db = open(&shared(&disk), DIR, options());
    assert_eq!(db.get(b"key").expect("a get"), seen, "nothing is lost");
    assert!(seen.is_some());
}

#[derive(Debug)]
struct PanickingFilter;

impl CompactionFilter for PanickingFilter {
    fn keeps(&self, _: &[u8], _: &[u8], _: u64) -> bool {
        panic!("this filter panics")
    }
}

#[test]
fn a_filter_that_panics_makes_the_tree_read_only_and_hangs_nobody() {
    let strategy = Arc::new(Leveled { level0_tables: 1, ..Leveled::default() });
    for threads in [1, 2] {
        let filter: Option<Arc<dyn CompactionFilter>> = Some(Arc::new(PanickingFilter));
        let strategy = Arc::<Leveled>::clone(&strategy);
        assert_survives_a_panic(Options { threads, strategy, filter, ..options() });
    }
}

/// Panics as soon as there is anything to choose from.
#[derive(Debug)]
struct PanickingStrategy;

impl Strategy for PanickingStrategy {
    fn choose(&self, levels: &Levels, _: &BTreeSet<TableId>) -> Choice {
        assert!(levels.level(0).is_empty(), "this strategy panics");
        Choice::Nothing
    }

    fn debt_bytes(&self, _: &Levels) -> u64 {
        0
    }
}

#[test]
fn a_strategy_that_panics_makes_the_tree_read_only_and_hangs_nobody() {
    for threads in [1, 2] {
        assert_survives_a_panic(Options { threads, strategy: Arc::new(PanickingStrategy), ..options() });
    }
}

/// Never compacts, and counts how often it is asked: by somebody who goes round and round, often.
#[derive(Debug, Default)]
struct Idle {
    asked: AtomicU64,
}

impl Strategy for Idle {
    fn choose(&self, _: &Levels, _: &BTreeSet<TableId>) -> Choice {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Choice::Nothing
    }

    fn debt_bytes(&self, _: &Levels) -> u64 {
        0
    }
}

impl Idle {
    /// Whether somebody asks again and again, rather than wait.
    fn is_pestered(&self) -> bool {
        let before = self.asked.load(Ordering::SeqCst);
        (0..YIELDS).any(|_| {
            std::thread::yield_now();
            self.asked.load(Ordering::SeqCst) - before > 1_000
        })
    }
}

/// A flush that does not end before it is told to.
#[derive(Debug, Default)]
struct LongFlush {
    board: Board<Held>,
}

#[derive(Debug, Default)]
struct Held {
    is_held: bool,
    is_let_go: bool,
    logs: u64,
}

impl Script for LongFlush {
    fn before(&self, call: Call, path: &Path) -> io::Result<()> {
        if call != Call::Sync || table_id(path).is_none() {
            return Ok(());
        }
        self.board.tell(|held| held.is_held = true);
        self.board.wait_until("the flush may end", |held| held.is_let_go)
    }

    fn after(&self, call: Call, path: &Path) {
        if call == Call::Create && WAL.number(path).is_some() {
            self.board.tell(|held| held.logs += 1);
        }
    }
}

/// A tree without threads of its own, in which one caller is in the middle of a flush.
struct TwoCallers {
    db: Arc<Db>,
    script: Arc<LongFlush>,
    strategy: Arc<Idle>,
    flush: Running<Result<(), Error>>,
}

impl TwoCallers {
    fn new() -> Self {
        let (script, strategy) = (Arc::new(LongFlush::default()), Arc::new(Idle::default()));
        let settings = Options { threads: 0, strategy: Arc::<Idle>::clone(&strategy), ..options() };
        let db = Arc::new(open(&ScriptedDisk::shared(&SimDisk::new(8), &script), DIR, settings));
        db.put(b"one", b"1", ASYNC).expect("a put");
        let first = Arc::clone(&db);
        let flush = Running::begin("the first flush", move || first.flush());
        script.board.wait_until("the first caller flushes", |held| held.is_held).expect("in time");
        Self { db, script, strategy, flush }
    }

    fn logs(&self) -> u64 {
        self.script.board.look(|held| held.logs)
    }

    fn wait_for_log(&self, log: u64) {
        self.script.board.wait_until("the second caller begins memtables", |held| held.logs >= log).expect("in time");
    }

    /// Lets the flush end, and waits for both.
    fn end<T: Send + 'static>(self, second: Running<T>) -> (Arc<Db>, T) {
        self.script.board.tell(|held| held.is_let_go = true);
        self.flush.end().expect("a flush");
        (self.db, second.end())
    }
}

#[test]
fn without_threads_a_second_flush_waits_for_the_first_and_does_not_spin() {
    let callers = TwoCallers::new();
    callers.db.put(b"two", b"2", ASYNC).expect("a put");
    let (db, logs) = (Arc::clone(&callers.db), callers.logs());
    let second = Running::begin("the second flush", move || db.flush());
    callers.wait_for_log(logs + 1);
    let is_pestered = callers.strategy.is_pestered();
    let (db, flushed) = callers.end(second);
    flushed.expect("a flush");
    assert!(!is_pestered, "who waits for a flush goes round and round");
    assert_eq!(everything(&db, None).len(), 2);
    assert_eq!(db.levels().level(0).len(), 2, "both memtables are tables");
}

#[test]
fn without_threads_a_writer_waits_for_anothers_flush_and_does_not_spin() {
    let callers = TwoCallers::new();
    let (db, logs) = (Arc::clone(&callers.db), callers.logs());
    let second =
        Running::begin("a writer", move || (0..60).try_for_each(|number| db.put(&key(number), &[b'v'; 400], ASYNC)));
    // One memtable is being written out and one waits: the writer cannot go on for long.
    callers.wait_for_log(logs + 1);
    let is_pestered = callers.strategy.is_pestered();
    let (db, written) = callers.end(second);
    written.expect("puts");
    assert!(!is_pestered, "a writer that waits for a flush goes round and round");
    assert_eq!(everything(&db, None).len(), 61);
}

#[test]
fn without_threads_a_settle_waits_for_the_work_that_another_caller_does() {
    let callers = TwoCallers::new();
    let (db, script) = (Arc::clone(&callers.db), Arc::clone(&callers.script));
    let has_begun = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&has_begun);
    let second = Running::begin("a settle", move || {
        begins.store(true, Ordering::SeqCst);
        db.settle().map(|()| script.board.look(|held| held.is_let_go))
    });
    while !has_begun.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    let is_pestered = callers.strategy.is_pestered();
    let (_, settled) = callers.end(second);
    assert!(settled.expect("it settles"), "it returns while a flush is under way");
    assert!(!is_pestered, "who waits for a flush goes round and round");
}

/// Compacts each table of level 0 by itself, all at once: they have no keys in common.
#[derive(Debug)]
struct EachByItself;

impl Strategy for EachByItself {
    fn choose(&self, levels: &Levels, busy: &BTreeSet<TableId>) -> Choice {
        let next = levels.level(0).iter().find(|table| !busy.contains(&table.id));
        next.map_or(Choice::Nothing, |table| {
            Choice::Merge(Merge { inputs: vec![(0, table.id)], to: LEVELS - 1, table_bytes: u64::MAX, is_bottom: true })
        })
    }

    fn debt_bytes(&self, _: &Levels) -> u64 {
        0
    }
}

/// Holds compactions until they are let go.
#[derive(Debug, Default)]
struct Holding {
    board: Board<Compacting>,
}

#[derive(Debug, Default)]
struct Compacting {
    compactions: usize,
    is_let_go: bool,
}

impl CompactionFilter for Holding {
    fn keeps(&self, _: &[u8], _: &[u8], _: u64) -> bool {
        self.board.tell(|held| held.compactions += 1);
        self.board.wait_until("the test lets compactions go", |held| held.is_let_go).expect("in time");
        true
    }
}

#[test]
fn compactions_that_come_to_no_end_leave_a_thread_for_flushes() {
    for threads in [2, 3] {
        let holding = Arc::new(Holding::default());
        let filter: Option<Arc<dyn CompactionFilter>> = Some(Arc::<Holding>::clone(&holding));
        let strategy = Arc::new(EachByItself);
        let options = Options { threads, filter, strategy, ..options() };
        let db = Arc::new(open(&shared(&SimDisk::new(1)), DIR, options));
        for number in 0..4 {
            let db = Arc::clone(&db);
            in_time("a flush", move || {
                db.put(&key(number), b"v", ASYNC).expect("a put");
                db.flush().expect("a flush");
            });
            // All but one of the threads may compact, and so many do.
            let compacting = threads.min(number as usize + 2) - 1;
            let all_compact = holding.board.wait_until("tables are compacted", |held| held.compactions == compacting);
            all_compact.expect("in time");
        }
        assert_eq!(db.stats().running, threads - 1);
        holding.board.tell(|held| held.is_let_go = true);
        let settled = Arc::clone(&db);
        in_time("a settle", move || settled.settle()).expect("it settles");
        assert_eq!((db.levels().level(0).len(), db.levels().level(LEVELS - 1).len()), (0, 4));
        assert_eq!(everything(&db, None).len(), 4);
    }
}
