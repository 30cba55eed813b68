//! Every store of the chapter's road on the simulated disk, beside a map that cannot be wrong.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, RwLock};

use ch03_lsm::db::{Db, Options};
use ch03_lsm::engine::leveled::Leveled;
use ch03_lsm::error::Error;
use ch03_lsm::storage::hash_index::HashIndex;
use ch03_lsm::storage::two_function::TwoFunction;
use ch03_lsm::store::Store;
use common::disk::{Crash, Disk, Fault, Open, RealDisk, SimDisk};

const DIR: &str = "/data";

/// How many keys there are.
const KEYS: u64 = 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    TwoFunction,
    HashIndex,
    Tree,
}

const ALL: [Which; 3] = [Which::TwoFunction, Which::HashIndex, Which::Tree];

impl Which {
    fn open(self, disk: &Arc<dyn Disk>, dir: &Path, salt: u64) -> Result<Box<dyn Store>, Error> {
        Ok(match self {
            Self::TwoFunction => Box::new(RwLock::new(TwoFunction::open(disk, dir)?.0)),
            Self::HashIndex => Box::new(RwLock::new(HashIndex::open(disk, dir, 600)?.0)),
            Self::Tree => {
                let strategy = Leveled { level0_tables: 2, base_bytes: 4 << 10, growth: 3, table_bytes: 2 << 10 };
                let strategy = Arc::new(strategy);
                let options = Options { memtable_bytes: 4 << 10, threads: 0, strategy, salt, ..Options::default() };
                Box::new(Db::open(disk, dir, options)?.0)
            }
        })
    }
}

/// A generator that is the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let mixed = (self.0 ^ (self.0 >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        (mixed >> 33) % bound
    }
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// The states after each write that was tried, and how many of them are known to be durable.
struct Life {
    states: Vec<Model>,
    acknowledged: usize,
    durable: usize,
}

impl Life {
    fn new() -> Self {
        Self { states: vec![Model::new()], acknowledged: 0, durable: 0 }
    }
}

fn key(number: u64) -> Vec<u8> {
    format!("{}{number}", "key".repeat(number as usize % 4)).into_bytes()
}

fn all(store: &dyn Store) -> Result<Model, Error> {
    let mut found = Model::new();
    for key in (0..KEYS).map(key) {
        if let Some(value) = store.get(&key)? {
            found.insert(key, value);
        }
    }
    Ok(found)
}

fn live(which: Which, disk: &SimDisk, seed: u64, steps: u64, life: &mut Life) -> Result<(), Error> {
    let mut random = Random(seed);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut store = which.open(&shared, Path::new(DIR), seed)?;
    for step in 0..steps {
        let what = format!("{which:?}, seed {seed}, step {step}");
        let now = life.states.last().expect("there is a state").clone();
        match random.below(20) {
            0..=10 => {
                let key = key(random.below(KEYS));
                let mut next = now;
                if random.below(4) == 0 {
                    next.remove(&key);
                    life.states.push(next);
                    store.delete(&key)?;
                } else {
                    let value = vec![b'a' + (step % 26) as u8; random.below(120) as usize];
                    next.insert(key.clone(), value.clone());
                    life.states.push(next);
                    store.put(&key, &value)?;
                }
                life.acknowledged = life.states.len() - 1;
            }
            11..=13 => {
                let key = key(random.below(KEYS));
                assert_eq!(store.get(&key)?, now.get(&key).cloned(), "{what}: {}", key.escape_ascii());
            }
            14 => {
                let from = key(random.below(KEYS));
                if let Some(found) = store.scan(&from, 5)? {
                    let expected: Vec<_> =
                        now.range(from..).take(5).map(|(key, value)| (key.clone(), value.clone())).collect();
                    assert_eq!(found, expected, "{what}: a scan");
                }
                assert_eq!(all(&*store)?, now, "{what}");
            }
            15..=16 => {
                store.sync()?;
                life.durable = life.acknowledged;
            }
            17 => {
                store.settle()?;
                if which != Which::TwoFunction {
                    life.durable = life.acknowledged;
                }
            }
            _ => {
                drop(store);
                store = which.open(&shared, Path::new(DIR), seed + step)?;
                life.durable = life.acknowledged;
                assert_eq!(all(&*store)?, now, "{what}: opened again");
            }
        }
    }
    Ok(())
}

/// What a store comes back with is a state that it has been in, and not one before what was durable; and once it has been
/// shown, no failure of the power takes it.
fn assert_recovers(which: Which, disk: &SimDisk, life: &Life, what: &str) {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut shown = None;
    for round in ["opened", "opened again"] {
        let store = which.open(&shared, Path::new(DIR), 99).unwrap_or_else(|error| panic!("{what}, {round}: {error}"));
        let found = all(&*store).unwrap_or_else(|error| panic!("{what}, {round}: {error}"));
        let state = life.states.iter().rposition(|state| *state == found);
        let state = state.unwrap_or_else(|| panic!("{what}, {round}: it was never like this: {found:?}"));
        assert!(state >= life.durable, "{what}, {round}: state {state}, {} were durable", life.durable);
        assert!(shown.is_none_or(|shown| shown == state), "{what}, {round}: state {state}, and it was {shown:?}");
        shown = Some(state);
        drop(store);
        disk.crash(Crash::LoseAll);
    }
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    0..std::env::var("SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(default)
}

#[test]
fn a_store_is_a_map() {
    for which in ALL {
        for seed in seeds(60) {
            let mut life = Life::new();
            live(which, &SimDisk::new(seed), seed, 250, &mut life).unwrap();
            assert!(life.states.len() > 80);
        }
    }
}

#[test]
fn a_crash_at_every_operation_leaves_a_prefix_with_all_that_was_durable() {
    for which in ALL {
        let mut points = 0;
        // The tree has a simulation of its own, with batches and snapshots.
        for seed in seeds(if which == Which::Tree { 1 } else { 4 }) {
            let disk = SimDisk::new(seed);
            live(which, &disk, seed, 120, &mut Life::new()).unwrap();
            for k in 1..=disk.operations() {
                points += 1;
                let disk = SimDisk::new(seed);
                disk.crash_at(k);
                let mut life = Life::new();
                // What fails at the very end, as files are removed, nobody is told.
                let _: Result<(), Error> = live(which, &disk, seed, 120, &mut life);
                assert!(disk.is_power_lost());
                let fates = [Crash::LoseAll, Crash::KeepAll, Crash::Random, Crash::Random, Crash::Random];
                for (index, how) in fates.into_iter().enumerate() {
                    let fork = disk.fork();
                    fork.reseed(k * 8 + index as u64);
                    fork.crash(how);
                    assert_recovers(which, &fork, &life, &format!("{which:?}, seed {seed}, operation {k}, {how:?}"));
                }
            }
        }
        println!("{which:?}: {points} points");
    }
}

#[test]
fn a_failure_of_any_operation_loses_nothing_that_was_durable() {
    for which in [Which::TwoFunction, Which::HashIndex] {
        for fault in [Fault::Eio, Fault::Enospc, Fault::SyncReverts, Fault::SyncForgets] {
            let disk = SimDisk::new(1);
            live(which, &disk, 1, 120, &mut Life::new()).unwrap();
            for k in 1..=disk.operations() {
                let disk = SimDisk::new(1);
                disk.fail_at(k, fault);
                let mut life = Life::new();
                let lived = live(which, &disk, 1, 120, &mut life);
                let what = format!("{which:?}, {fault:?} at operation {k}");
                assert!(lived.is_err(), "{what}: nobody was told");
                for how in [Crash::KeepAll, Crash::LoseAll] {
                    let fork = disk.fork();
                    fork.crash(how);
                    assert_recovers(which, &fork, &life, &format!("{what}, {how:?}"));
                }
            }
        }
    }
}

#[test]
fn a_store_that_has_failed_says_so_and_writes_nothing_more() {
    for which in [Which::TwoFunction, Which::HashIndex] {
        let disk = SimDisk::new(0);
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let store = which.open(&shared, Path::new(DIR), 0).unwrap();
        store.put(b"a", b"1").unwrap();
        disk.fail_at(1, Fault::SyncForgets);
        assert!(matches!(store.sync(), Err(Error::Io { .. } | Error::Log(_))));
        let before = disk.operations();
        assert!(matches!(store.sync(), Err(Error::ReadOnly(_))), "a sync that is tried again would lie");
        assert!(matches!(store.put(b"b", b"2"), Err(Error::ReadOnly(_))));
        assert!(matches!(store.delete(b"a"), Err(Error::ReadOnly(_))));
        assert_eq!(store.get(b"a").unwrap().as_deref(), Some(&b"1"[..]), "it can be read");
        assert_eq!(disk.operations(), before);
    }
}

#[test]
fn a_second_one_on_the_same_directory_is_told_so() {
    let temp = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    for which in ALL {
        let dir = temp.path().join(format!("{which:?}"));
        let held = which.open(&disk, &dir, 0).unwrap();
        assert!(matches!(which.open(&disk, &dir, 0), Err(Error::Locked { .. })), "{which:?}");
        held.put(b"key", b"value").unwrap();
        drop(held);
        let store = which.open(&disk, &dir, 0).unwrap();
        assert_eq!(store.get(b"key").unwrap().as_deref(), Some(&b"value"[..]), "{which:?}");
    }
}

#[test]
fn threads_may_share_a_store() {
    for which in ALL {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(0));
        let store = which.open(&disk, Path::new(DIR), 0).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let store = &*store;
                scope.spawn(move || {
                    for number in 0..25u8 {
                        store.put(&[thread, number], &[number]).unwrap();
                        assert_eq!(store.get(&[thread, number]).unwrap().as_deref(), Some(&[number][..]));
                    }
                });
            }
        });
        for thread in 0..4u8 {
            assert_eq!(store.get(&[thread, 24]).unwrap().as_deref(), Some(&[24][..]), "{which:?}");
        }
    }
}

/// What is wrong is an error that names a file of the directory.
fn assert_names_a_file(error: &Error, what: &str) {
    assert!(error.is_damage(), "{what}: {error}");
    let text = error.to_string();
    assert!(text.contains("/data/") && text.contains("offset"), "{what}: {text}");
}

#[test]
fn a_flipped_bit_anywhere_in_a_closed_hash_index_is_an_error_or_the_right_answer() {
    let disk = SimDisk::new(0);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut expected = Model::new();
    let (mut index, _) = HashIndex::open(&shared, Path::new(DIR), 150).unwrap();
    for round in 0..3u8 {
        for number in 0..6 {
            index.put(&key(number), &[round; 9]).unwrap();
            expected.insert(key(number), vec![round; 9]);
        }
        index.delete(&key(u64::from(round))).unwrap();
        expected.remove(&key(u64::from(round)));
        if round == 1 {
            index.merge().unwrap();
        }
    }
    index.close().unwrap();
    let files = disk.list(Path::new(DIR)).unwrap();
    assert!(files.iter().any(|path| path.extension().is_some_and(|extension| extension == "hint")));
    let (mut refused, mut right) = (0, 0);
    for path in files {
        for bit in 0..disk.durable(&path).unwrap().len() as u64 * 8 {
            let fork = disk.fork();
            fork.flip_bit(&path, bit).unwrap();
            let what = format!("{}, bit {bit}", path.display());
            let shared: Arc<dyn Disk> = Arc::new(fork);
            let (index, opened) = match HashIndex::open(&shared, Path::new(DIR), 150) {
                Ok(opened) => opened,
                Err(error) => {
                    assert_names_a_file(&error, &what);
                    refused += 1;
                    continue;
                }
            };
            assert_eq!(opened.torn, None, "{what}: nothing of a closed index is a torn tail");
            let mut is_right = true;
            for number in 0..KEYS {
                match index.get(&key(number)) {
                    Ok(found) => assert_eq!(found, expected.get(&key(number)).cloned(), "{what}"),
                    Err(error) => {
                        assert_names_a_file(&error, &what);
                        is_right = false;
                    }
                }
            }
            *(if is_right { &mut right } else { &mut refused }) += 1;
        }
    }
    assert!(refused > 1000 && right > 1000, "{refused} were refused, {right} changed nothing");
}

#[test]
fn a_flipped_bit_in_an_index_that_was_not_closed_costs_at_most_the_end_and_it_is_said() {
    let disk = SimDisk::new(0);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (mut index, _) = HashIndex::open(&shared, Path::new(DIR), 1 << 20).unwrap();
    let mut states = vec![Model::new()];
    for number in 0..8 {
        index.put(&key(number), &[number as u8; 5]).unwrap();
        index.sync().unwrap();
        let mut next = states.last().unwrap().clone();
        next.insert(key(number), vec![number as u8; 5]);
        states.push(next);
    }
    let path = Path::new("/data/0000000001.data");
    for bit in 0..disk.durable(path).unwrap().len() as u64 * 8 {
        let fork = disk.fork();
        fork.flip_bit(path, bit).unwrap();
        fork.crash(Crash::LoseAll);
        let shared: Arc<dyn Disk> = Arc::new(fork);
        match HashIndex::open(&shared, Path::new(DIR), 1 << 20) {
            Ok((index, opened)) => {
                let torn = opened.torn.unwrap_or_else(|| panic!("bit {bit}: it was not said"));
                assert!(torn.0 == path && torn.1 <= bit / 8, "bit {bit}: {torn:?}");
                let found: Model =
                    (0..KEYS).filter_map(|number| Some((key(number), index.get(&key(number)).unwrap()?))).collect();
                assert_eq!(found, states[7], "bit {bit}: all but the last were attested");
            }
            Err(error) => assert_names_a_file(&error, &format!("bit {bit}")),
        }
    }
}

#[test]
fn random_bytes_in_the_files_of_a_hash_index_are_refused_without_a_panic() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let disk = SimDisk::new(seed);
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let mut index = HashIndex::open(&shared, Path::new(DIR), 100).unwrap().0;
        for number in 0..10 {
            index.put(&key(number), b"value").unwrap();
        }
        index.merge().unwrap();
        index.close().unwrap();
        let files = disk.list(Path::new(DIR)).unwrap();
        let path = &files[random.below(files.len() as u64) as usize];
        let garbage: Vec<u8> = (0..random.below(200)).map(|_| random.below(256) as u8).collect();
        let file = disk.open(path, Open::Existing).unwrap();
        file.write_at(&garbage, random.below(file.len().unwrap() + 1)).unwrap();
        drop(file);
        match HashIndex::open(&shared, Path::new(DIR), 100) {
            Ok((index, _)) => (0..10).for_each(|number| {
                if let Ok(found) = index.get(&key(number)) {
                    assert_eq!(found.as_deref(), Some(&b"value"[..]), "seed {seed}: {}", path.display());
                }
            }),
            Err(error) => assert_names_a_file(&error, &format!("seed {seed}")),
        }
    }
}

#[test]
fn a_flipped_bit_in_a_segment_that_a_later_one_attests_to_is_an_error_or_the_right_answer() {
    let disk = SimDisk::new(0);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut log = TwoFunction::open(&shared, Path::new(DIR)).unwrap().0;
    for number in 0..5 {
        log.put(&key(number), &[number as u8; 9]).unwrap();
    }
    log.delete(&key(2)).unwrap();
    drop(log);
    let (log, torn) = TwoFunction::open(&shared, Path::new(DIR)).unwrap();
    assert_eq!(torn, None);
    drop(log);
    let path = Path::new("/data/two-0000000001.log");
    let mut refused = 0;
    let bits = disk.durable(path).unwrap().len() as u64 * 8;
    for bit in 0..bits {
        let fork = disk.fork();
        fork.flip_bit(path, bit).unwrap();
        let shared: Arc<dyn Disk> = Arc::new(fork);
        match TwoFunction::open(&shared, Path::new(DIR)) {
            Ok((log, torn)) => {
                assert_eq!(torn, None, "bit {bit}");
                for number in 0..5u64 {
                    let expected = (number != 2).then(|| vec![number as u8; 9]);
                    assert_eq!(log.get(&key(number)).unwrap(), expected, "bit {bit}");
                }
            }
            Err(error) => {
                assert_names_a_file(&error, &format!("bit {bit}"));
                refused += 1;
            }
        }
    }
    assert_eq!(refused, bits, "every bit of it counts");
}

/// A process whose sync failed ends, and another one opens what the page cache shows of its work. It must not believe that a sync
/// of its own covers what the first has lost: the pages pass for clean.
#[test]
fn what_an_earlier_process_failed_to_sync_is_durable_once_it_is_built_upon() {
    for which in ALL {
        for seed in 0..20 {
            let disk = SimDisk::new(seed);
            let shared: Arc<dyn Disk> = Arc::new(disk.clone());
            let mut expected = Model::new();
            let store = which.open(&shared, Path::new(DIR), seed).unwrap();
            for number in 0..seed + 3 {
                // In several syncs, so that a part of the last file is attested to and a part is not.
                if number == seed / 2 {
                    store.sync().unwrap();
                }
                store.put(&key(number), &[number as u8; 9]).unwrap();
                expected.insert(key(number), vec![number as u8; 9]);
            }
            disk.fail_at(1, Fault::SyncForgets);
            store.sync().expect_err("the disk refuses");
            drop(store);
            let store = which.open(&shared, Path::new(DIR), seed + 100).unwrap();
            assert_eq!(all(&*store).unwrap(), expected, "{which:?}, seed {seed}: the page cache has it");
            store.put(b"later", b"1").unwrap();
            store.sync().unwrap();
            drop(store);
            disk.crash(Crash::LoseAll);
            let store = which.open(&shared, Path::new(DIR), seed + 200).unwrap();
            assert_eq!(all(&*store).unwrap(), expected, "{which:?}, seed {seed}: what was shown stays");
            assert_eq!(store.get(b"later").unwrap().as_deref(), Some(&b"1"[..]), "{which:?}, seed {seed}");
        }
    }
}
