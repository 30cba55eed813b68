//! Power that is lost, at every operation.

use std::sync::Arc;

use ch01_kv::storage::{Log, REWRITE_NAME, Rewrite};
use common::disk::{Crash, Disk, SimDisk};

use super::{COMMANDS_PER_GROUP, dir, group, keys, open, open_with, sync};

/// What the workload may expect of the log: how many groups it has tried to append, and how many it knows to be durable.
#[derive(Debug, Clone, Copy, Default)]
struct Expected {
    tried: usize,
    durable: usize,
}

/// Appends, syncs, rewrites while appending, appends again, and ends. Stops at the first failure.
fn workload(disk: &SimDisk, preallocate_bytes: u64, expected: &mut Expected) -> Result<(), Box<dyn std::error::Error>> {
    fn append(log: &mut Log, expected: &mut Expected) -> std::io::Result<()> {
        expected.tried += 1;
        log.append_group(&group(expected.tried - 1)).map(drop)
    }
    let (mut log, _, _) = open_with(disk, preallocate_bytes)?;
    for groups in [1, 2, 3] {
        for _ in 0..groups {
            append(&mut log, expected)?;
        }
        sync(&mut log)?;
        expected.durable = expected.tried;
    }
    append(&mut log, expected)?;
    let snapshot = log.position();
    let mut rewrite = Rewrite::begin(Arc::new(disk.clone()), &dir(), 99)?;
    for index in 0..expected.tried {
        rewrite.add_group(&group(index))?;
    }
    append(&mut log, expected)?;
    append(&mut log, expected)?;
    let copied = log.position();
    rewrite.copy_tail(&log.live(), snapshot, copied)?;
    rewrite.sync()?;
    append(&mut log, expected)?;
    let _old = log.replace_with(rewrite, copied)?;
    expected.durable = expected.tried;
    append(&mut log, expected)?;
    append(&mut log, expected)?;
    sync(&mut log)?;
    expected.durable = expected.tried;
    append(&mut log, expected)?;
    log.close()?;
    expected.durable = expected.tried;
    Ok(())
}

/// Opens what a crash has left, and checks it: whole groups only, a prefix of what was tried, nothing durable missing.
/// Gives back how many groups there are.
#[track_caller]
fn check(disk: &SimDisk, expected: Expected, what: &str) -> (Log, usize) {
    let (log, report, found) = open(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    let groups = found.len() / COMMANDS_PER_GROUP;
    assert_eq!(found, keys(groups), "{what}: what was recovered is a prefix, of whole groups");
    assert!(groups >= expected.durable, "{what}: {groups} groups of {} that were durable", expected.durable);
    assert!(groups <= expected.tried, "{what}: {groups} groups of {} that were tried", expected.tried);
    assert_eq!(report.commands as usize, found.len());
    assert!(!disk.exists(&dir().join(REWRITE_NAME)).expect("a look"), "{what}: a rewrite that was not done is gone");
    (log, groups)
}

/// Every crash, and a few draws of the one that draws.
fn crashes() -> impl Iterator<Item = (Crash, u64)> {
    [(Crash::LoseAll, 0), (Crash::KeepAll, 0)].into_iter().chain((1..=12).map(|seed| (Crash::Random, seed)))
}

#[test]
fn a_crash_at_any_operation_loses_nothing_durable_and_halves_no_group() {
    for preallocate in [0, 2048] {
        let whole = SimDisk::new(1);
        workload(&whole, preallocate, &mut Expected::default()).expect("nothing fails");
        let operations = whole.operations();
        assert!(operations > 30, "the workload is worth crashing");
        let mut torn = 0;
        for at in 1..=operations {
            let crashed = SimDisk::new(1);
            crashed.crash_at(at);
            let mut expected = Expected::default();
            workload(&crashed, preallocate, &mut expected).expect_err("the power is lost");
            for (how, seed) in crashes() {
                let what = format!("preallocate {preallocate}, crash at {at}, {how:?} {seed}");
                let disk = crashed.fork();
                disk.reseed(seed);
                disk.crash(how);
                let recoveries = disk.fork();
                let before = disk.operations();
                let (mut log, groups) = check(&disk, expected, &what);
                let opened = disk.operations() - before;
                torn += usize::from(groups < expected.tried);
                // What was recovered is about to be shown to clients, so it is durable now, and what is written next does
                // not say more than that.
                let shown = Expected { tried: groups + 2, durable: groups };
                for index in groups..groups + 2 {
                    log.append_group(&group(index)).expect("the disk is whole again");
                }
                for seed in 0..3 {
                    let disk = disk.fork();
                    disk.reseed(seed);
                    disk.crash(if seed == 0 { Crash::LoseAll } else { Crash::Random });
                    check(&disk, shown, &format!("{what}, recovered, crashed again"));
                }
                // What it is told to make durable after that is so under the hardest crash.
                sync(&mut log).expect("the disk is whole again");
                disk.crash(Crash::LoseAll);
                let all = Expected { tried: groups + 2, durable: groups + 2 };
                check(&disk, all, &format!("{what}, appended, crashed again"));
                // A crash during the recovery is no different.
                for again in 1..=opened {
                    let disk = recoveries.fork();
                    disk.crash_at(again);
                    open(&disk).map(drop).expect_err("the power is lost again");
                    disk.crash(if again % 2 == 0 { Crash::Random } else { Crash::LoseAll });
                    check(&disk, expected, &format!("{what}, and at {again} of the recovery"));
                }
            }
        }
        assert!(torn > 100, "crashes that lose something are what this is about: {torn}");
    }
}
