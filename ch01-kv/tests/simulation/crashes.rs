//! A crash at every operation of the disk: of a server's life, of a recovery, and of transactions.

use std::time::Duration;

use ch01_kv::engine::durability::Policy;
use common::disk::{Crash, SimDisk};

use super::machine::{Machine, recover};
use super::{Marks, POLICIES, crash_and_judge, explain, fail, fixed_life, seeds};

/// How many moments a life is to have at which a group of the log can end, each with a state of its own, and how many operations
/// it is to ask of the disk beside those of starting: fewer are not worth a crash at each.
const WORTH_CRASHING: usize = 20;

/// A life that is long enough for this seed to be worth crashing: how many steps it has, the operations that it starts with, and all.
fn worthy_life(seed: u64, policy: Policy) -> (usize, u64, u64) {
    let starting = fixed_life(seed, policy, 0, |_| ()).0.operations();
    // Most seeds have enough with the first of these. Where clients wait for each other for long, it takes more.
    for steps in [90, 180, 360, 720] {
        let (disk, machine) = fixed_life(seed, policy, steps, |_| ());
        let moments = machine.expect("a disk without faults opens").moments();
        let operations = disk.operations();
        if moments >= WORTH_CRASHING && operations - starting >= WORTH_CRASHING as u64 {
            return (steps, starting, operations);
        }
    }
    panic!("{policy}, seed {seed}: the workload does next to nothing");
}

#[test]
fn a_crash_at_every_disk_operation_leaves_a_state_that_was() {
    for policy in POLICIES {
        for seed in seeds(2) {
            let (steps, _, operations) = worthy_life(seed, policy);
            for k in 1..=operations {
                let (disk, machine) = fixed_life(seed, policy, steps, |disk| disk.crash_at(k));
                for (index, how) in
                    [Crash::LoseAll, Crash::KeepAll, Crash::Random, Crash::Random].into_iter().enumerate()
                {
                    let fork = disk.fork();
                    fork.reseed(k * 4 + index as u64);
                    let judged = match &machine {
                        Ok(machine) => crash_and_judge(machine, &fork, how, None, &mut Marks::new())
                            .map_err(|what| format!("{what}\n{}", machine.story())),
                        Err(_) => {
                            fork.crash(how);
                            recover(&fork, policy, None)
                                .map(drop)
                                .map_err(|error| explain("the log does not open", &error))
                        }
                    };
                    if let Err(what) = judged {
                        fail(
                            "a_crash_at_every_disk_operation_leaves_a_state_that_was",
                            seed,
                            &format!("{policy}, {how:?} at operation {k}: {what}"),
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_crash_at_every_operation_of_a_recovery_is_recovered_from() {
    for seed in seeds(6) {
        let (steps, starting, operations) = worthy_life(seed, Policy::Always);
        // In the second half of what the clients do, so that there is something to recover.
        let at = starting + (operations - starting) * (5 + seed % 5) / 10;
        let (disk, machine) = fixed_life(seed, Policy::Always, steps, |disk| disk.crash_at(at));
        let machine = machine.expect("the crash comes later");
        disk.crash(Crash::Random);
        let whole = disk.fork();
        let before = whole.operations();
        let (wanted, report) = recover(&whole, Policy::Always, None).expect("the log opens");
        assert!(report.groups > 0, "seed {seed}: there is nothing to recover");
        for k in 1..=whole.operations() - before {
            for how in [Crash::LoseAll, Crash::Random, Crash::KeepAll] {
                let fork = disk.fork();
                fork.crash_at(k);
                // Its very last operation may be one whose failure recovery can do without.
                let _ = recover(&fork, Policy::Always, None);
                fork.crash(how);
                let found = recover(&fork, Policy::Always, None).map(|(state, _)| state);
                let same = found.as_ref().is_ok_and(|state| *state == wanted);
                if !same {
                    let what = format!(
                        "{how:?} at operation {k} of the recovery: {found:?} instead of {wanted:?}\n{}",
                        machine.story()
                    );
                    fail("a_crash_at_every_operation_of_a_recovery_is_recovered_from", seed, &what);
                }
            }
        }
    }
}

#[test]
fn a_transaction_is_whole_or_not_there() {
    for policy in POLICIES {
        let life = |prepare: &dyn Fn(&SimDisk)| {
            let disk = SimDisk::new(7);
            prepare(&disk);
            let booted = Machine::boot(&disk, policy, 7, None, Duration::ZERO);
            let Ok((mut machine, _)) = booted else { return disk };
            for round in 0..20 {
                machine.connect(2);
                let value = "v".repeat(700 + round).into_bytes();
                let mut batch = vec![vec![b"MULTI".to_vec()]];
                batch.extend((0..4).map(|key| vec![b"SET".to_vec(), format!("k{key}").into_bytes(), value.clone()]));
                batch.push(vec![b"EXEC".to_vec()]);
                machine.batch(0, &batch);
                machine.flush();
                machine.run_sync();
                if round == 8 {
                    machine.connect(2);
                    machine.batch(1, &[vec![b"BGREWRITEAOF".to_vec()]]);
                }
                machine.run_step();
            }
            disk
        };
        let operations = life(&|_| ()).operations();
        for k in 1..=operations {
            let disk = life(&|disk| disk.crash_at(k));
            for how in [Crash::LoseAll, Crash::Random, Crash::KeepAll] {
                let fork = disk.fork();
                fork.crash(how);
                let (state, _) =
                    recover(&fork, policy, None).unwrap_or_else(|error| panic!("{policy}, {how:?} at {k}: {error}"));
                let values: std::collections::BTreeSet<_> = state.values().collect();
                assert!(
                    matches!((state.len(), values.len()), (0, 0) | (4, 1)),
                    "{policy}, {how:?} at operation {k}: {state:?}"
                );
            }
        }
    }
}
