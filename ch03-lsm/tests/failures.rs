//! What the tree promises when something fails under it: nothing that was acknowledged is lost, nothing whole is called
//! damaged, nobody waits for ever, and who is refused is told why.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ch03_lsm::db::{Blocks, Db, DbIterator, Options, ReadOptions, WriteOptions};
use ch03_lsm::engine::filter::CompactionFilter;
use ch03_lsm::engine::key::Seq;
use ch03_lsm::engine::leveled::Leveled;
use ch03_lsm::engine::levels::TableId;
use ch03_lsm::error::Error;
use ch03_lsm::storage::batch::Batch;
use ch03_lsm::storage::files::{MANIFEST, WAL, table_id};
use ch03_lsm::storage::table::TableOptions;
use ch03_lsm::storage::wal_recovery::{Recovered, RecoveryMode, replay};
use common::disk::log::{SegmentHeader, SegmentWriter};
use common::disk::{Crash, Disk, Fault, Open, Operation, SimDisk};
use scripted::{Board, Call, Script, ScriptedDisk, in_time};
use trees::{Model, everything, options};

#[path = "failures/scripted.rs"]
mod scripted;
mod trees;
#[path = "failures/waiting.rs"]
mod waiting;

const DIR: &str = "/data";
const ASYNC: WriteOptions = WriteOptions { sync: false };
const SYNC: WriteOptions = WriteOptions { sync: true };

fn shared(disk: &SimDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

fn open(disk: &Arc<dyn Disk>, dir: &str, options: Options) -> Db {
    Db::open(disk, Path::new(dir), options).expect("it opens").0
}

fn key(number: u32) -> Vec<u8> {
    format!("key{number:02}").into_bytes()
}

/// A merge whose record of the manifest meets a sync that fails, while a flush waits to add its own.
#[derive(Debug)]
struct FailingManifest {
    disk: SimDisk,
    board: Board<Meeting>,
}

#[derive(Debug, Default)]
struct Meeting {
    is_merging: bool,
    /// The table that the flush writes, and not the merge.
    flushed: Option<PathBuf>,
    is_merge_at_manifest: bool,
    is_flush_at_manifest: bool,
}

impl CompactionFilter for FailingManifest {
    fn keeps(&self, _: &[u8], _: &[u8], _: u64) -> bool {
        self.board.tell(|meeting| meeting.is_merging = true);
        // If it never does, the test says so.
        let _: io::Result<()> = self.board.wait_until("a flush begins", |meeting| meeting.flushed.is_some());
        true
    }
}

impl Script for FailingManifest {
    fn before(&self, call: Call, path: &Path) -> io::Result<()> {
        if call != Call::Sync {
            return Ok(());
        }
        let is_flush = self.board.look(|meeting| meeting.flushed.as_deref() == Some(path));
        if is_flush {
            return self.board.wait_until("the merge syncs the manifest", |meeting| meeting.is_merge_at_manifest);
        }
        let is_merge = MANIFEST.number(path).is_some()
            && self.board.tell(|meeting| {
                let is_first = meeting.flushed.is_some() && !meeting.is_merge_at_manifest;
                meeting.is_merge_at_manifest |= is_first;
                is_first
            });
        if is_merge {
            self.board.wait_until("the flush comes to the manifest", |meeting| meeting.is_flush_at_manifest)?;
            self.disk.fail_nth(Operation::Sync, 1, Fault::SyncForgets);
        }
        Ok(())
    }

    fn after(&self, call: Call, path: &Path) {
        match call {
            Call::Create if table_id(path).is_some() => self.board.tell(|meeting| {
                if meeting.is_merging && meeting.flushed.is_none() {
                    meeting.flushed = Some(path.to_owned());
                }
            }),
            Call::SyncDir => self.board.tell(|meeting| meeting.is_flush_at_manifest |= meeting.is_merge_at_manifest),
            // A name that is gone may be gone for good at any time.
            Call::Remove => self.disk.sync_dir(Path::new(DIR)).expect("the directory is there"),
            _ => {}
        }
    }
}

#[test]
fn a_manifest_whose_sync_has_failed_takes_no_other_record() {
    let disk = SimDisk::new(7);
    let script = Arc::new(FailingManifest { disk: disk.clone(), board: Board::default() });
    let strategy = Arc::new(Leveled { level0_tables: 1, ..Leveled::default() });
    let filter: Arc<dyn CompactionFilter> = Arc::<FailingManifest>::clone(&script);
    let settings = Options { threads: 2, strategy, filter: Some(filter), ..options() };
    let db = Arc::new(open(&ScriptedDisk::shared(&disk, &script), DIR, settings));
    // A record names the first and the last key of a table: with these, it begins in a page that the flush does not touch.
    let long = [b'k'; 3_000];
    db.put(&long, b"early", SYNC).expect("a put");
    db.flush().expect("a flush");
    db.settle().expect("the table is moved down");
    db.put(&long, b"later", SYNC).expect("a put");
    db.flush().expect("a flush");
    script.board.wait_until("both tables are merged", |meeting| meeting.is_merging).expect("in time");
    db.put(b"synced", b"acknowledged", SYNC).expect("a put");
    let flushing = Arc::clone(&db);
    // What becomes of it, nobody was promised.
    let _: Result<(), Error> = in_time("a flush", move || flushing.flush());
    in_time("the end of the tree", move || drop(db));
    let has_met = script.board.look(|meeting| meeting.is_flush_at_manifest);
    assert!(has_met, "the flush was about to add its record when the sync of the other failed");
    disk.crash(Crash::LoseAll);
    let db = open(&shared(&disk), DIR, options());
    let get = |key: &[u8]| db.get(key).expect("a get").map(|value| String::from_utf8_lossy(&value).into_owned());
    assert_eq!(get(&long).as_deref(), Some("later"));
    assert_eq!(get(b"synced").as_deref(), Some("acknowledged"), "what was synced is there");
}

/// Fills a tree with 60 keys whose values say whose they are, all of them in tables.
fn fill(db: &Db, whose: &str) {
    for number in 0..60 {
        db.put(&key(number), format!("{whose}{number:02} {}", "v".repeat(60)).as_bytes(), ASYNC).expect("a put");
    }
    db.flush().expect("a flush");
}

/// Reads all keys twice: the second time from the cache.
fn assert_all_are(db: &Db, whose: &str) {
    for round in 0..2 {
        for number in 0..60 {
            let value = db.get(&key(number)).expect("a get").expect("it is there");
            let value = String::from_utf8_lossy(&value);
            assert_eq!(value[..4], format!("{whose}{number:02}"), "key {number}, round {round}");
        }
        let found = everything(db, None);
        assert_eq!(found.len(), 60);
        assert!(found.values().all(|value| value.starts_with(whose.as_bytes())), "an iterator reads {whose}'s own");
    }
}

fn table_ids(db: &Db) -> BTreeSet<TableId> {
    db.levels().iter().flatten().map(|meta| meta.id).collect()
}

fn with_cache() -> Options {
    Options { cache: Arc::new(Blocks::new(8 << 20)), ..options() }
}

#[test]
fn trees_that_share_a_cache_read_their_own_blocks() {
    let disk = shared(&SimDisk::new(1));
    let settings = with_cache();
    let one = open(&disk, "/one", settings.clone());
    let other = open(&disk, "/other", settings.clone());
    fill(&one, "a:");
    fill(&other, "b:");
    assert!(!table_ids(&one).is_disjoint(&table_ids(&other)), "their tables have the same numbers");
    assert_all_are(&one, "a:");
    assert_all_are(&other, "b:");
    assert!(settings.cache.stats().hits > 0, "the cache is used");
}

#[test]
fn a_tree_and_its_checkpoint_that_share_a_cache_read_their_own_blocks() {
    let disk = shared(&SimDisk::new(1));
    let settings = with_cache();
    let tree = open(&disk, "/tree", settings.clone());
    fill(&tree, "a:");
    assert_all_are(&tree, "a:");
    tree.checkpoint(Path::new("/copy")).expect("a checkpoint");
    let at_checkpoint = table_ids(&tree);
    let copy = open(&disk, "/copy", settings.clone());
    assert_all_are(&copy, "a:");
    let (mut of_tree, mut of_copy) = (BTreeSet::<TableId>::new(), BTreeSet::<TableId>::new());
    for round in 0..4 {
        fill(&tree, "b:");
        fill(&copy, "c:");
        if round == 2 {
            // A merge takes a number without a log: now the two do not go on in step.
            tree.settle().expect("it settles");
        }
        assert_all_are(&tree, "b:");
        assert_all_are(&copy, "c:");
        of_tree.extend(table_ids(&tree).difference(&at_checkpoint));
        of_copy.extend(table_ids(&copy).difference(&at_checkpoint));
    }
    assert!(!of_tree.is_disjoint(&of_copy), "new tables of both have had the same numbers: {of_tree:?}, {of_copy:?}");
}

#[test]
fn a_directory_that_was_emptied_and_made_anew_has_nothing_in_the_cache() {
    let disk = shared(&SimDisk::new(1));
    let settings = with_cache();
    let tree = open(&disk, DIR, settings.clone());
    fill(&tree, "a:");
    assert_all_are(&tree, "a:");
    let before = table_ids(&tree);
    tree.close().expect("it closes");
    for path in disk.list(Path::new(DIR)).expect("a list") {
        disk.remove(&path).expect("a file");
    }
    let tree = open(&disk, DIR, settings);
    fill(&tree, "b:");
    assert_eq!(table_ids(&tree), before, "its tables have the same numbers");
    assert_all_are(&tree, "b:");
}

/// A tree whose log ends in a part of a record that did not fit, behind others that are durable.
fn fill_up(seed: u64) -> (SimDisk, Db, Model) {
    let disk = SimDisk::new(seed);
    let db = open(&shared(&disk), DIR, options());
    let mut model = Model::new();
    for number in 0..8 {
        db.put(&key(number), &[b'v'; 40], SYNC).expect("a put");
        model.insert(key(number), vec![b'v'; 40]);
    }
    disk.fail_at(1, Fault::Enospc);
    let error = db.put(b"refused", &[b'x'; 40 << 10], SYNC).expect_err("the disk is full");
    assert!(error.is_out_of_space(), "{error}");
    (disk, db, model)
}

#[test]
fn a_disk_that_was_full_again_while_resuming_leaves_nothing_that_is_taken_for_damage() {
    let mut crashes = 0;
    for seed in 0..3 {
        let (disk, db, _) = fill_up(seed);
        let before = disk.operations();
        db.resume().expect("there is room");
        for k in 1..=disk.operations() - before {
            // To where the first try to resume comes until the disk is full again.
            let resume_until_full = || {
                let (disk, db, model) = fill_up(seed);
                disk.fail_at(k, Fault::Enospc);
                let is_full = db.resume().is_err_and(|error| error.is_out_of_space());
                is_full.then_some((disk, db, model))
            };
            let Some((disk, db, _)) = resume_until_full() else { continue };
            let before = disk.operations();
            db.resume().expect("there is room");
            for crash in 1..=disk.operations() - before {
                let (disk, db, model) = resume_until_full().expect("it is as it was");
                disk.crash_at(crash);
                // What fails at the very end, as files are removed, nobody is told.
                let _: Result<(), Error> = db.resume();
                for how in [Crash::KeepAll, Crash::LoseAll] {
                    let what = format!("seed {seed}, full at {k}, crash at {crash}, {how:?}");
                    let fork = disk.fork();
                    fork.crash(how);
                    let opened = Db::open(&shared(&fork), Path::new(DIR), options());
                    let (db, _) = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
                    let mut found = everything(&db, None);
                    // It was refused, and may have reached the log nevertheless.
                    found.remove(&b"refused"[..]);
                    assert_eq!(found, model, "{what}");
                    crashes += 1;
                }
            }
        }
    }
    assert!(crashes > 300, "{crashes}");
}

/// Replays three logs: one that is torn in its fourth record, one of whose header there are `header_bytes` bytes, and one that
/// says of a log before it that all of it was durable, or all but the fourth record. Returns where the tear is as well.
fn replay_around_a_torn_header(
    header_bytes: usize,
    is_all_claimed: bool,
    mode: RecoveryMode,
) -> (u64, Result<Recovered, Error>) {
    let disk = SimDisk::new(0);
    let wals = [2, 5, 8].map(|number| (number, WAL.path(Path::new("/"), number)));
    let header = |number, prior_durable_bytes| SegmentHeader { number, salt: number, prior_durable_bytes };
    let batch = |first: u64| {
        let mut batch = Batch::new();
        batch.put(&first.to_be_bytes(), b"value").expect("it fits");
        batch
    };
    let mut torn = SegmentWriter::create(&disk, &wals[0].1, header(2, 0)).expect("a log");
    for seq in 1..=3 {
        torn.append(batch(seq).record(Seq(seq))).expect("a record");
    }
    torn.sync().expect("a sync");
    let durable = torn.durable();
    torn.attest().expect("a mark");
    let tear = torn.end();
    let end = torn.append(batch(4).record(Seq(4))).expect("a record");
    torn.write().expect("a write");
    disk.open(&wals[0].1, Open::Existing).expect("the log").set_len(end - 5).expect("it is cut");
    let headless = disk.open(&wals[1].1, Open::New).expect("a file");
    headless.write_at(&header(5, durable).encode()[..header_bytes], 0).expect("a write");
    let last = header(8, if is_all_claimed { end } else { durable });
    SegmentWriter::create(&disk, &wals[2].1, last).expect("a log").sync().expect("a sync");
    let mut applied = Vec::new();
    let recovered = replay(&disk, &wals, mode, Seq(0), &mut |seq, _| applied.push(seq.0));
    if recovered.is_ok() {
        assert_eq!(applied, [1, 2, 3], "all that is whole");
    }
    (tear, recovered)
}

#[test]
fn a_log_that_was_never_begun_does_not_stand_between_a_torn_one_and_the_one_that_speaks_of_it() {
    for header_bytes in [0, 1, 20, 39] {
        let (tear, recovered) = replay_around_a_torn_header(header_bytes, false, RecoveryMode::TolerateTornTail);
        let recovered = recovered.unwrap_or_else(|error| panic!("{header_bytes} bytes of a header: {error}"));
        assert_eq!(recovered.seq, Seq(3));
        let torn = recovered.torn.expect("it is said");
        assert_eq!((torn.path, torn.offset), (WAL.path(Path::new("/"), 2), tear));
        assert_eq!(recovered.given_up, [WAL.path(Path::new("/"), 8)], "what has no header holds nothing to give up");
        let (_, absolute) = replay_around_a_torn_header(header_bytes, false, RecoveryMode::AbsoluteConsistency);
        assert!(matches!(absolute, Err(Error::TornTail { .. })), "{absolute:?}");
    }
}

#[test]
fn a_log_that_was_never_begun_does_not_hide_that_a_torn_one_was_durable_beyond_its_tear() {
    let (_, recovered) = replay_around_a_torn_header(20, true, RecoveryMode::TolerateTornTail);
    let error = recovered.expect_err("what was durable is gone");
    assert!(error.is_damage(), "{error}");
}

type Step = fn(&mut DbIterator) -> Result<(), Error>;

#[test]
fn an_iterator_whose_step_has_failed_is_nowhere_and_can_be_sent_anywhere_again() {
    let disk = SimDisk::new(2);
    let db = open(&shared(&disk), DIR, options());
    fill(&db, "a:");
    let steps: [(&str, Step); 6] = [
        ("seek_to_first", DbIterator::seek_to_first),
        ("seek_to_last", DbIterator::seek_to_last),
        ("seek", |iterator| iterator.seek(&key(2))),
        ("seek_for_prev", |iterator| iterator.seek_for_prev(&key(57))),
        ("next", |iterator| (0..29).try_for_each(|_| iterator.next())),
        ("prev", |iterator| (0..29).try_for_each(|_| iterator.prev())),
    ];
    for (name, step) in steps {
        let mut iterator = db.iter();
        iterator.seek(&key(30)).expect("a seek");
        assert_eq!(iterator.key(), Some(&key(30)[..]));
        disk.fail_nth(Operation::Read, 1, Fault::Eio);
        step(&mut iterator).expect_err("the disk fails");
        let at = iterator.key().map(String::from_utf8_lossy);
        assert_eq!(at, None, "after a {name} that has failed there is no key");
        assert!(iterator.value().is_empty(), "after a {name} that has failed there is no value");
        step(&mut db_iterator_at(&db, 30)).expect("the disk is well again");
        iterator.seek(&key(7)).expect("a seek");
        assert_eq!(iterator.key(), Some(&key(7)[..]), "after {name}");
        assert!(iterator.value().starts_with(b"a:07"));
        iterator.next().expect("a step");
        assert_eq!(iterator.key(), Some(&key(8)[..]), "after {name}");
    }
}

fn db_iterator_at(db: &Db, number: u32) -> DbIterator {
    let mut iterator = db.iter();
    iterator.seek(&key(number)).expect("a seek");
    iterator
}

/// Two trees, with nothing in them.
fn strangers() -> (Db, Db) {
    let disk = shared(&SimDisk::new(0));
    (open(&disk, "/one", options()), open(&disk, "/other", options()))
}

#[test]
#[should_panic(expected = "snapshot")]
fn a_get_at_a_snapshot_of_another_tree_is_refused() {
    let (one, other) = strangers();
    let _: Result<Option<Vec<u8>>, Error> = one.get_at(&other.snapshot(), b"key");
}

#[test]
#[should_panic(expected = "snapshot")]
fn an_iterator_at_a_snapshot_of_another_tree_is_refused() {
    let (one, other) = strangers();
    let _: DbIterator = one.iter_at(&other.snapshot());
}

#[test]
#[should_panic(expected = "snapshot")]
fn an_iterator_with_a_snapshot_of_another_tree_is_refused() {
    let (one, other) = strangers();
    let snapshot = other.snapshot();
    let _: DbIterator = one.iter_with(ReadOptions { snapshot: Some(&snapshot), ..ReadOptions::default() });
}

#[test]
fn options_under_which_no_table_can_be_written_are_refused_when_the_tree_is_opened() {
    let disk = shared(&SimDisk::new(0));
    let table = TableOptions { restart_interval: 0, ..options().table };
    let error = Db::open(&disk, Path::new(DIR), Options { table, ..options() }).expect_err("no table can be written");
    assert!(error.to_string().contains("restart"), "{error}");
    assert!(!error.is_damage(), "{error:?}");
    drop(open(&disk, DIR, options()));
}
