//! Random lives of a tree on the simulated disk, beside a map that cannot be wrong: without faults, with a crash at every
//! operation in each sync mode, with every fault at every operation, and with planted bugs, each of which must be noticed.
//!
//! `SIM_SEEDS=1000` runs more seeds than `cargo test` does by itself; `SIM_SEED=17` runs that one alone, as a failure says.

use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use ch03_lsm::db::{Options, ReadOptions, Snapshot};
use ch03_lsm::engine::compaction::Strategy;
use ch03_lsm::engine::leveled::Leveled;
use ch03_lsm::engine::size_tiered::SizeTiered;
use ch03_lsm::error::Error;
use ch03_lsm::storage::batch::Batch;
use ch03_lsm::storage::table::TableOptions;
use common::disk::{Crash, Fault, Operation, SimDisk};

#[path = "simulation/bugs.rs"]
mod bugs;
#[path = "simulation/model.rs"]
mod model;
#[path = "simulation/setting.rs"]
mod setting;

use bugs::Bug;
use model::{Model, Random, all, all_backwards, between, key, range, walk};
use setting::{Marks, RARE, SYNCS, Setting, Syncs};

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
        if is_tiered(salt) { Arc::new(SizeTiered { tables: 3, spread: 4 }) } else { Arc::new(leveled) };
    let bits_per_key = if salt.is_multiple_of(5) { 0.0 } else { 10.0 };
    let table = TableOptions { block_bytes: 512, bits_per_key, ..TableOptions::default() };
    Options { memtable_bytes: 4 << 10, threads: 0, strategy, table, salt, ..Options::default() }
}

/// Whether a tree that is opened with `salt` has the size-tiered strategy.
fn is_tiered(salt: u64) -> bool {
    salt.is_multiple_of(3)
}

const DIR: &str = "/data";

/// How many random lives there are when nobody asks for more or fewer.
const LIVES: u64 = 300;

fn live(setting: &Setting, seed: u64, steps: u64, life: &mut Life) -> Result<(), Error> {
    let mut random = Random(seed);
    let mut db = setting.open(seed)?;
    let mut snapshots: Vec<(Snapshot, Model)> = Vec::new();
    for step in 0..steps {
        let now = life.states.last().expect("there is a state").clone();
        setting.snapshots(!snapshots.is_empty());
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
                let sync = setting.syncs.of(random.below(3) == 0);
                life.states.push(next);
                setting.write(&db, batch, sync)?;
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
            17 if random.below(3) == 0 => {
                let (from, to) = range(&mut random);
                let from = Some(&*from).filter(|_| random.below(2) == 0);
                db.compact_range(from, Some(&*to).filter(|_| random.below(2) == 0))?;
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
                db = setting.open(seed + step)?;
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

/// The seeds of a randomised test: fixed ones, as many as `SIM_SEEDS` says, or the one of `SIM_SEED`.
fn seeds(default: u64) -> Vec<u64> {
    let number = |name: &str| {
        std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
    };
    match (number("SIM_SEED"), number("SIM_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, count) => (0..count.unwrap_or(default)).collect(),
    }
}

/// Runs `test` with each seed. One that fails says how to see it again.
fn for_each_seed(name: &str, default: u64, mut test: impl FnMut(u64)) {
    for seed in seeds(default) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(seed)));
        if let Err(panic) = outcome {
            println!("replay: SIM_SEED={seed} cargo test -p ch03-lsm --test simulation {name} -- --nocapture");
            std::panic::resume_unwind(panic);
        }
    }
}

/// What a tree comes back with: a state that it has been in, and not one before what was durable. Returns which.
fn recovered(setting: &Setting, life: &Life, salt: u64) -> Result<usize, String> {
    let db = setting.open(salt).map_err(|error| format!("it does not open: {error}"))?;
    let found = all(&db, None).map_err(|error| format!("it cannot be read: {error}"))?;
    let which = life.states.iter().rposition(|state| *state == found);
    let which = which.ok_or_else(|| format!("it was never like this: {found:?}"))?;
    // One half ends cleanly, and what the other leaves is opened as it is.
    if salt % 2 == 1 {
        db.close().map_err(|error| format!("it does not close: {error}"))?;
    }
    if which < life.durable {
        return Err(format!("state {which} of {} came back, and {} was durable", life.states.len() - 1, life.durable));
    }
    Ok(which)
}

/// Lives, crashes and recoveries of one tree, with whatever faults the seed brings.
fn random_life(seed: u64, bug: Option<Bug>) -> Result<Marks, String> {
    let mut random = Random(seed ^ 0x5eed);
    let disk = SimDisk::new(seed);
    let setting = Setting::new(&disk, SYNCS[random.below(3) as usize], bug);
    let mut life = new_life();
    for round in 0..1 + random.below(4) {
        let fault = match random.below(10) {
            0..=1 => None,
            2..=5 => Some(Fault::PowerLoss),
            6 => Some(Fault::Eio),
            7 => Some(Fault::Enospc),
            8 => Some(Fault::SyncReverts),
            _ => Some(Fault::SyncForgets),
        };
        let k = 1 + random.below(200);
        match fault {
            Some(fault @ (Fault::SyncReverts | Fault::SyncForgets)) => disk.fail_nth(Operation::Sync, 1 + k / 4, fault),
            Some(fault) => disk.fail_at(k, fault),
            None => {}
        }
        let steps = 20 + random.below(120);
        let lived = live(&setting, seed.wrapping_mul(8) + round, steps, &mut life);
        let has_failed = lived.is_err();
        setting.mark(has_failed && fault == Some(Fault::Enospc), "the disk was full");
        let is_sync = matches!(fault, Some(Fault::SyncReverts | Fault::SyncForgets));
        setting.mark(has_failed && is_sync, "a sync failed");
        if let (Err(error), None) = (&lived, fault) {
            return Err(format!("round {round}: an error without a fault: {error}"));
        }
        let how = [Crash::LoseAll, Crash::KeepAll, Crash::Random, Crash::Random][random.below(4) as usize];
        disk.crash(how);
        let what = |what| format!("{:?}, round {round}, {fault:?} at {k}, {how:?}: {what}", setting.syncs);
        let which = recovered(&setting, &life, seed + round).map_err(what)?;
        setting.mark(which < life.acknowledged, "a crash lost what nobody had been promised");
        life.states.truncate(which + 1);
        (life.acknowledged, life.durable) = (which, which);
        // What recovery has found is built upon: nothing of it may go now.
        disk.crash(Crash::LoseAll);
        recovered(&setting, &life, seed + round + 1).map_err(|error| what(format!("a second time: {error}")))?;
    }
    Ok(setting.marks())
}

#[test]
fn a_tree_is_a_map() {
    for_each_seed("a_tree_is_a_map", 100, |seed| {
        let mut life = new_life();
        live(&Setting::new(&SimDisk::new(seed), Syncs::Mixed, None), seed, 300, &mut life).unwrap();
        assert!(life.states.len() > 100);
    });
}

#[test]
fn what_was_promised_survives_any_life_and_every_rare_state_is_met() {
    let test = "what_was_promised_survives_any_life_and_every_rare_state_is_met";
    let mut met = Marks::new();
    let mut lives = 0;
    for_each_seed(test, LIVES, |seed| {
        let marks = random_life(seed, None).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        marks.into_iter().for_each(|(what, count)| *met.entry(what).or_default() += count);
        lives += 1;
    });
    println!("{lives} lives: {met:?}");
    // One seed alone, and fewer than the fixed ones, need not meet everything.
    let missed: Vec<_> = RARE.iter().filter(|what| !met.contains_key(*what)).collect();
    assert!(missed.is_empty() || lives < LIVES, "never met in {lives} lives: {missed:?}");
}

#[test]
fn a_crash_at_every_operation_leaves_a_prefix_with_all_that_was_durable_in_each_sync_mode() {
    let test = "a_crash_at_every_operation_leaves_a_prefix_with_all_that_was_durable_in_each_sync_mode";
    for syncs in SYNCS {
        let (mut points, mut crashes) = (0, 0);
        for_each_seed(test, 2, |seed| {
            let disk = SimDisk::new(seed);
            live(&Setting::new(&disk, syncs, None), seed, 120, &mut new_life()).unwrap();
            for k in 1..=disk.operations() {
                points += 1;
                let disk = SimDisk::new(seed);
                disk.crash_at(k);
                let mut life = new_life();
                // What fails at the very end, as files are removed, nobody is told.
                let _: Result<(), Error> = live(&Setting::new(&disk, syncs, None), seed, 120, &mut life);
                assert!(disk.is_power_lost());
                let fates = [Crash::LoseAll, Crash::KeepAll, Crash::Random, Crash::Random];
                for (index, how) in fates.into_iter().enumerate() {
                    crashes += 1;
                    let fork = disk.fork();
                    fork.reseed(k * 4 + index as u64);
                    fork.crash(how);
                    if let Err(what) = recovered(&Setting::new(&fork, syncs, None), &life, seed) {
                        panic!("{syncs:?}, seed {seed}, operation {k}, {how:?}: {what}");
                    }
                }
            }
        });
        println!("{syncs:?}: {points} points, {crashes} crashes");
    }
}

#[test]
fn an_error_at_any_operation_loses_nothing_that_was_durable_and_is_never_a_wrong_answer() {
    let test = "an_error_at_any_operation_loses_nothing_that_was_durable_and_is_never_a_wrong_answer";
    let mut points = 0;
    for_each_seed(test, 3, |seed| {
        let syncs = SYNCS[seed as usize % 3];
        let disk = SimDisk::new(seed);
        live(&Setting::new(&disk, syncs, None), seed, 120, &mut new_life()).unwrap();
        let operations = disk.operations();
        for fault in [Fault::Eio, Fault::Enospc, Fault::SyncReverts, Fault::SyncForgets] {
            for k in 1..=operations {
                points += 1;
                let disk = SimDisk::new(seed);
                disk.fail_at(k, fault);
                let mut life = new_life();
                // What is read until the error, `live` compares.
                let _: Result<(), Error> = live(&Setting::new(&disk, syncs, None), seed, 120, &mut life);
                for how in [Crash::KeepAll, Crash::LoseAll] {
                    let fork = disk.fork();
                    fork.crash(how);
                    let setting = Setting::new(&fork, syncs, None);
                    let what = |what| panic!("{syncs:?}, seed {seed}, {fault:?} at operation {k}, {how:?}: {what}");
                    let which = recovered(&setting, &life, seed).unwrap_or_else(what);
                    // A process that comes after a failed sync, and the power after that.
                    fork.crash(Crash::LoseAll);
                    let promised = std::mem::replace(&mut life.durable, which);
                    recovered(&setting, &life, seed + 1).unwrap_or_else(what);
                    life.durable = promised;
                }
            }
        }
    });
    println!("{points} points");
}

#[test]
fn what_cannot_be_read_is_an_error_and_never_a_wrong_answer() {
    let mut points = 0;
    for operation in [Operation::Read, Operation::Open, Operation::Inspect, Operation::List] {
        for_each_seed("what_cannot_be_read_is_an_error_and_never_a_wrong_answer", 2, |seed| {
            // There are thousands of reads: the first ones each, and then fewer and fewer.
            let (mut k, mut beyond) = (1, 0);
            while beyond < 2 {
                let disk = SimDisk::new(seed);
                disk.fail_nth(operation, k, Fault::Eio);
                let mut life = new_life();
                let lived = live(&Setting::new(&disk, Syncs::Mixed, None), seed, 120, &mut life);
                beyond += u32::from(lived.is_ok());
                points += u32::from(lived.is_err());
                disk.crash(if k % 2 == 0 { Crash::KeepAll } else { Crash::LoseAll });
                if let Err(what) = recovered(&Setting::new(&disk, Syncs::Mixed, None), &life, seed) {
                    panic!("seed {seed}, {operation:?} {k}: {what}");
                }
                k += 1 + k / 12;
            }
        });
    }
    println!("{points} points");
    assert!(points > 100, "{points} operations that read have failed");
}

/// What a bug is caught by: the seed, and what is said.
fn caught(bug: Bug) -> Option<(u64, String)> {
    (0..1000).find_map(|seed| match std::panic::catch_unwind(|| random_life(seed, Some(bug))) {
        Ok(Ok(_)) => None,
        Ok(Err(what)) => Some((seed, what)),
        // What is compared in the middle of a life, and what the tree itself asserts.
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            Some((seed, text.unwrap_or_else(|| "a panic without words".to_owned())))
        }
    })
}

#[test]
fn every_planted_bug_is_caught_within_a_thousand_seeds() {
    let mut missed = Vec::new();
    for (bug, reasons) in bugs::ALL {
        match caught(bug) {
            Some((seed, what)) => {
                let line: String = what.chars().take(200).collect();
                println!("{bug:?} is caught by seed {seed}: {}", line.replace('\n', " "));
                random_life(seed, None).unwrap_or_else(|what| panic!("seed {seed} fails without a bug: {what}"));
                let is_it = reasons.iter().any(|reason| what.contains(reason));
                assert!(is_it, "{bug:?} is caught, and not for what it is: {what}");
            }
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "nobody noticed {missed:?}");
}
