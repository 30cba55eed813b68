//! Random lives of a tree on the simulated disk, beside a map that cannot be wrong.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::path::Path;
use std::sync::Arc;

use ch03_lsm::db::{Db, DbIterator, Options, ReadOptions, Snapshot, WriteOptions};
use ch03_lsm::engine::compaction::Strategy;
use ch03_lsm::engine::leveled::Leveled;
use ch03_lsm::engine::size_tiered::SizeTiered;
use ch03_lsm::error::Error;
use ch03_lsm::storage::batch::Batch;
use ch03_lsm::storage::table::TableOptions;
use common::disk::{Crash, Disk, Fault, SimDisk};

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

/// What was asked of a tree: the states after each batch that was tried, and how many of them are known to be durable.
struct Life {
    states: Vec<Model>,
    durable: usize,
    acknowledged: usize,
}

/// Small, so that much happens; of both strategies, with and without filters: also one after the other, as a tree is opened
/// again.
fn options(salt: u64) -> Options {
    let leveled = Leveled { level0_tables: 2, base_bytes: 4 << 10, growth: 3, table_bytes: 2 << 10 };
    let strategy: Arc<dyn Strategy> =
        if salt.is_multiple_of(3) { Arc::new(SizeTiered { tables: 3, spread: 4 }) } else { Arc::new(leveled) };
    let bits_per_key = if salt.is_multiple_of(5) { 0.0 } else { 10.0 };
    let table = TableOptions { block_bytes: 512, bits_per_key, ..TableOptions::default() };
    Options { memtable_bytes: 4 << 10, threads: 0, strategy, table, salt, ..Options::default() }
}

const DIR: &str = "/data";

fn key(random: &mut Random) -> Vec<u8> {
    let number = random.below(80);
    let mut key = format!("key{number:03}").into_bytes();
    key.resize(6 + number as usize % 5 * 3, b'x');
    key
}

fn all(db: &Db, at: Option<&Snapshot>) -> Result<Model, Error> {
    let mut iterator = at.map_or_else(|| db.iter(), |snapshot| db.iter_at(snapshot));
    let mut found = Model::new();
    iterator.seek_to_first()?;
    while let Some(key) = iterator.key() {
        found.insert(key.to_vec(), iterator.value().to_vec());
        iterator.next()?;
    }
    Ok(found)
}

fn all_backwards(db: &Db) -> Result<Vec<Vec<u8>>, Error> {
    let mut iterator = db.iter();
    let mut found = Vec::new();
    iterator.seek_to_last()?;
    while let Some(key) = iterator.key() {
        found.push(key.to_vec());
        iterator.prev()?;
    }
    Ok(found)
}

/// Two keys, the lower one first: mostly near each other, so that ranges of every size are deleted and read.
fn range(random: &mut Random) -> (Vec<u8>, Vec<u8>) {
    let from = random.below(80);
    let to = from + if random.below(3) == 0 { random.below(80) } else { random.below(6) };
    // Some ends are no keys that are written, one that comes right behind a key.
    let mut ends = [from, to].map(|number| format!("key{number:03}").into_bytes());
    for end in &mut ends {
        match random.below(4) {
            0 => end.extend_from_slice(&b"xxxxxxxxxxxx"[..random.below(13) as usize]),
            1 => end.push(0),
            _ => {}
        }
    }
    let [from, to] = ends;
    if from <= to { (from, to) } else { (to, from) }
}

/// The entries of a model that lie between bounds.
fn between(model: &Model, lower: Option<&[u8]>, upper: Option<&[u8]>) -> Model {
    let is_within = |key: &[u8]| lower.is_none_or(|lower| lower <= key) && upper.is_none_or(|upper| key < upper);
    model.iter().filter(|(key, _)| is_within(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Walks about in an iterator that is to show what `model` holds.
fn walk(iterator: &mut DbIterator, model: &Model, random: &mut Random, what: &str) -> Result<(), Error> {
    for _ in 0..3 {
        let seek = key(random);
        let mut expected = match random.below(4) {
            0 => {
                iterator.seek_to_first()?;
                model.iter().next()
            }
            1 => {
                iterator.seek_to_last()?;
                model.iter().next_back()
            }
            2 => {
                iterator.seek(&seek)?;
                model.range(seek.clone()..).next()
            }
            _ => {
                iterator.seek_for_prev(&seek)?;
                model.range(..=seek.clone()).next_back()
            }
        };
        for _ in 0..random.below(8) {
            let found = iterator.key().map(|key| (key, iterator.value()));
            assert_eq!(found, expected.map(|(key, value)| (&**key, &**value)), "{what}: from {}", seek.escape_ascii());
            let Some((at, _)) = expected else { break };
            if random.below(2) == 0 {
                iterator.next()?;
                expected = model.range::<[u8], _>((Excluded(&**at), Unbounded)).next();
            } else {
                iterator.prev()?;
                expected = model.range::<[u8], _>((Unbounded, Excluded(&**at))).next_back();
            }
        }
    }
    Ok(())
}

fn live(disk: &SimDisk, seed: u64, steps: u64, life: &mut Life) -> Result<(), Error> {
    let mut random = Random(seed);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (mut db, _) = Db::open(&shared, Path::new(DIR), options(seed))?;
    let mut snapshots: Vec<(Snapshot, Model)> = Vec::new();
    for step in 0..steps {
        let now = life.states.last().expect("there is a state").clone();
        match random.below(20) {
            0..=11 => {
                let mut batch = Batch::new();
                let mut next = now;
                for _ in 0..=random.below(4) {
                    let key = key(&mut random);
                    if random.below(12) == 0 {
                        let (from, to) = range(&mut random);
                        batch.delete_range(&from, &to)?;
                        next.retain(|key, _| *key < from || *key >= to);
                    } else if random.below(4) == 0 {
                        batch.delete(&key)?;
                        next.remove(&key);
                    } else {
                        let value = vec![b'a' + (step % 26) as u8; random.below(200) as usize];
                        batch.put(&key, &value)?;
                        next.insert(key, value);
                    }
                }
                let sync = random.below(3) == 0;
                life.states.push(next);
                db.write(batch, WriteOptions { sync })?;
                life.acknowledged = life.states.len() - 1;
                if sync {
                    life.durable = life.acknowledged;
                }
            }
            12..=14 => {
                let key = key(&mut random);
                assert_eq!(db.get(&key)?, now.get(&key).cloned(), "seed {seed}, step {step}: {}", key.escape_ascii());
            }
            15 => {
                assert_eq!(all(&db, None)?, now, "seed {seed}, step {step}");
                let keys: Vec<_> = now.keys().rev().cloned().collect();
                assert_eq!(all_backwards(&db)?, keys, "seed {seed}, step {step}: backwards");
                let mut iterator = db.iter();
                let seek = key(&mut random);
                iterator.seek(&seek)?;
                assert_eq!(iterator.key(), now.range(seek.clone()..).next().map(|(key, _)| &**key));
                for _ in 0..random.below(6) {
                    let Some(at) = iterator.key().map(<[u8]>::to_vec) else { break };
                    if random.below(2) == 0 {
                        iterator.next()?;
                        let after = (Excluded(at), Unbounded);
                        assert_eq!(
                            iterator.key(),
                            now.range(after).next().map(|(key, _)| &**key),
                            "seed {seed}, step {step}"
                        );
                    } else {
                        iterator.prev()?;
                        assert_eq!(
                            iterator.key(),
                            now.range(..at).next_back().map(|(key, _)| &**key),
                            "seed {seed}, step {step}"
                        );
                    }
                }
            }
            16 => {
                let (lower, upper) = range(&mut random);
                let lower = Some(&*lower).filter(|_| random.below(4) > 0);
                let upper = Some(&*upper).filter(|_| random.below(4) > 0);
                let at = snapshots.get(random.below(4) as usize);
                let model = between(at.map_or(&now, |(_, model)| model), lower, upper);
                let snapshot = at.map(|(snapshot, _)| snapshot);
                let mut iterator = db.iter_with(ReadOptions { snapshot, lower, upper });
                let what = format!("seed {seed}, step {step}: between {lower:?} and {upper:?}");
                walk(&mut iterator, &model, &mut random, &what)?;
                _ = db.work()?;
                walk(&mut iterator, &model, &mut random, &what)?;
            }
            17 => db.flush()?,
            18 => {
                if snapshots.len() > 2 {
                    let (snapshot, model) = snapshots.remove(0);
                    assert_eq!(all(&db, Some(&snapshot))?, model, "seed {seed}, step {step}: a snapshot");
                } else {
                    snapshots.push((db.snapshot(), now));
                }
            }
            _ if random.below(8) == 0 => {
                snapshots.clear();
                if random.below(2) == 0 {
                    db.close()?;
                    life.durable = life.acknowledged;
                } else {
                    drop(db);
                }
                let (opened, _) = Db::open(&shared, Path::new(DIR), options(seed + step))?;
                db = opened;
                life.durable = life.acknowledged;
                assert_eq!(
                    all(&db, None)?,
                    *life.states.last().expect("a state"),
                    "seed {seed}, step {step}: reopened"
                );
            }
            _ => db.settle()?,
        }
    }
    Ok(())
}

fn new_life() -> Life {
    Life { states: vec![Model::new()], durable: 0, acknowledged: 0 }
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    0..std::env::var("SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(default)
}

#[test]
fn a_tree_is_a_map() {
    for seed in seeds(100) {
        let mut life = new_life();
        live(&SimDisk::new(seed), seed, 300, &mut life).unwrap();
        assert!(life.states.len() > 100);
    }
}

#[test]
fn a_crash_at_every_operation_leaves_a_prefix_with_all_that_was_durable() {
    let mut points = 0;
    for seed in seeds(4) {
        let disk = SimDisk::new(seed);
        live(&disk, seed, 120, &mut new_life()).unwrap();
        for k in 1..=disk.operations() {
            points += 1;
            let disk = SimDisk::new(seed);
            disk.crash_at(k);
            let mut life = new_life();
            // What fails at the very end, as files are removed, nobody is told.
            let _: Result<(), Error> = live(&disk, seed, 120, &mut life);
            assert!(disk.is_power_lost());
            for (index, how) in [Crash::LoseAll, Crash::KeepAll, Crash::Random, Crash::Random].into_iter().enumerate() {
                let fork = disk.fork();
                fork.reseed(k * 4 + index as u64);
                fork.crash(how);
                let shared: Arc<dyn Disk> = Arc::new(fork);
                let what = format!("seed {seed}, operation {k}, {how:?}");
                let (db, _) =
                    Db::open(&shared, Path::new(DIR), options(seed)).unwrap_or_else(|error| panic!("{what}: {error}"));
                let found = all(&db, None).unwrap();
                let which = life.states.iter().rposition(|state| *state == found);
                let which = which.unwrap_or_else(|| panic!("{what}: no state was like this: {found:?}"));
                assert!(
                    which >= life.durable,
                    "{what}: state {which} of {}, {} durable",
                    life.states.len(),
                    life.durable
                );
                db.close().unwrap();
            }
        }
    }
    println!("{points} points");
}

#[test]
fn an_error_at_any_operation_loses_nothing_that_was_durable_and_is_never_a_wrong_answer() {
    for seed in seeds(3) {
        let disk = SimDisk::new(seed);
        live(&disk, seed, 120, &mut new_life()).unwrap();
        let operations = disk.operations();
        for fault in [Fault::Eio, Fault::Enospc, Fault::SyncReverts, Fault::SyncForgets] {
            for k in 1..=operations {
                let disk = SimDisk::new(seed);
                disk.fail_at(k, fault);
                let mut life = new_life();
                // What is read until the error, `live` compares.
                let _: Result<(), Error> = live(&disk, seed, 120, &mut life);
                for how in [Crash::KeepAll, Crash::LoseAll] {
                    let fork = disk.fork();
                    fork.crash(how);
                    let shared: Arc<dyn Disk> = Arc::new(fork);
                    let what = format!("seed {seed}, {fault:?} at operation {k}, {how:?}");
                    let (db, _) = Db::open(&shared, Path::new(DIR), options(seed))
                        .unwrap_or_else(|error| panic!("{what}: {error}"));
                    let found = all(&db, None).unwrap();
                    let which = life.states.iter().rposition(|state| *state == found);
                    let which = which.unwrap_or_else(|| panic!("{what}: no state was like this: {found:?}"));
                    assert!(
                        which >= life.durable,
                        "{what}: state {which} of {}, {} durable",
                        life.states.len(),
                        life.durable
                    );
                }
            }
        }
    }
}
