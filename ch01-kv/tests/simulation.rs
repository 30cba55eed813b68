//! The whole server on a disk that fails: a crash at every operation, faults at every operation, and planted bugs.
//!
//! Each test runs a workload of several clients over the very state machine that serves sockets in life, with simulated time
//! and threads whose work ends in any order. What is left on the disk is held against the history of the run: it must be
//! the state at some moment at which a group of the log could end, and no earlier than what anybody was told.
//!
//! `SIM_SEEDS=1000` runs more seeds than `cargo test` does by itself; `SIM_SEED=17` runs that one alone, as a failure says.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use ch01_kv::engine::durability::{Policy, Reason};
use ch01_kv::storage::journal::Journal;
use ch01_kv::storage::{StorageError, Tail};
use common::disk::{Crash, Fault, Operation, SimDisk};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

#[path = "simulation/bugs.rs"]
mod bugs;
#[path = "simulation/crashes.rs"]
mod crashes;
#[path = "simulation/full_disk.rs"]
mod full_disk;
#[path = "simulation/machine.rs"]
mod machine;
#[path = "simulation/state.rs"]
mod state;
#[path = "simulation/threads.rs"]
mod threads;
#[path = "simulation/workload.rs"]
mod workload;

use bugs::Bug;
use machine::{Machine, recover};
use state::state_of;

const POLICIES: [Policy; 3] = [Policy::Always, Policy::EverySec, Policy::No];

/// How many clients there are.
const CLIENTS: usize = 4;

/// How many seeds run when nobody asks for more.
const SEEDS: u64 = 150;

/// How often rare states were met.
type Marks = BTreeMap<&'static str, u64>;

/// The rare states that matter, each of which the fixed seeds must reach.
const RARE: [&str; 15] = [
    "crashed while the log was being rewritten",
    "crashed after a rewrite",
    "crashed during recovery",
    "a torn tail was cut",
    "groups behind a torn one were given up",
    "a crash lost what nobody had been told",
    "the disk was full",
    "writes were refused and accepted again",
    "a sync failed",
    "replies were abandoned",
    "a client was told MISCONF",
    "a client waited for a key",
    "a key expired",
    "a rewrite failed",
    "ended cleanly",
];

static REACHED: Mutex<Marks> = Mutex::new(Marks::new());

macro_rules! sometimes {
    ($marks:expr, $met:expr, $what:expr) => {
        if $met {
            debug_assert!(RARE.contains(&$what), "{} is not among the rare states", $what);
            *$marks.entry($what).or_insert(0) += 1;
        }
    };
}

/// The seeds of a randomised test: fixed ones, more of them by `SIM_SEEDS`, or the one of `SIM_SEED`.
fn seeds(default: u64) -> Vec<u64> {
    let number = |name: &str| {
        std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
    };
    match (number("SIM_SEED"), number("SIM_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, Some(count)) => (0..(count * default / SEEDS).max(1)).collect(),
        (None, None) => (0..default).collect(),
    }
}

/// Fails with what is needed to see it again.
fn fail(test: &str, seed: u64, what: &str) -> ! {
    panic!("seed {seed}: {what}\nreplay: SIM_SEED={seed} cargo test -p ch01-kv --test simulation {test} -- --nocapture")
}

/// One step of whatever may happen next.
fn step(machine: &mut Machine, rng: &mut Xoshiro256PlusPlus) {
    machine.connect(CLIENTS);
    match rng.random_range(0..20) {
        0..10 => {
            for _ in 0..rng.random_range(1..4) {
                let client = rng.random_range(0..machine.clients());
                let batch = workload::batch(rng);
                machine.batch(client, &batch);
                machine.connect(CLIENTS);
            }
            machine.flush();
        }
        10..13 => {
            machine.run_sync();
        }
        13..16 => {
            machine.run_step();
        }
        16..19 => machine.tick(Duration::from_millis(rng.random_range(1..200))),
        _ if rng.random_ratio(1, 4) => {
            let client = rng.random_range(0..machine.clients());
            machine.hang_up(client);
        }
        _ => machine.tick(Duration::from_millis(900)),
    }
}

/// Why the machine refuses writes, if it does.
fn refusal(machine: &Machine) -> Option<Reason> {
    machine.kv.journal.as_ref().and_then(Journal::refused)
}

fn marks_of(machine: &Machine, marks: &mut Marks) {
    let counters = machine.kv.journal.as_ref().map(Journal::counters);
    let told = |class: &str| machine.told.keys().any(|key| key.contains(class));
    sometimes!(marks, machine.failed_syncs() > 0, "a sync failed");
    sometimes!(marks, told("MISCONF"), "a client was told MISCONF");
    sometimes!(marks, machine.kv.stats.blocked_clients > 0, "a client waited for a key");
    sometimes!(marks, machine.kv.stats.expired_keys > 0, "a key expired");
    sometimes!(marks, counters.is_some_and(|counters| counters.last_rewrite_failed), "a rewrite failed");
    sometimes!(marks, counters.is_some_and(|counters| counters.rewrites > 0), "crashed after a rewrite");
    let rewriting = machine.kv.journal.as_ref().is_some_and(Journal::is_rewriting);
    sometimes!(marks, rewriting, "crashed while the log was being rewritten");
}

/// Crashes the machine's disk, which is given up, recovers, and judges.
fn crash_and_judge(
    machine: &Machine,
    disk: &SimDisk,
    how: Crash,
    bug: Option<Bug>,
    marks: &mut Marks,
) -> Result<(), String> {
    disk.crash(how);
    let (state, report) =
        recover(disk, machine.policy, bug).map_err(|error| explain("the log does not open", &error))?;
    let lost = machine.judge(Some(how), &state)?;
    sometimes!(marks, matches!(report.tail, Tail::Torn { .. }), "a torn tail was cut");
    sometimes!(marks, report.kept.is_some(), "groups behind a torn one were given up");
    sometimes!(marks, lost > 0, "a crash lost what nobody had been told");
    // Recovery has made durable what it found: nothing of it may go now.
    disk.crash(Crash::LoseAll);
    let (again, _) =
        recover(disk, machine.policy, bug).map_err(|error| explain("the log does not open a second time", &error))?;
    if again != state {
        return Err("a second recovery found another state than the first".to_owned());
    }
    Ok(())
}

fn explain(what: &str, error: &dyn std::error::Error) -> String {
    let mut text = format!("{what}: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

/// Lives, crashes and recoveries of one server, with whatever faults the seed brings.
fn random_life(seed: u64, bug: Option<Bug>) -> Result<Marks, String> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x5eed);
    let mut marks = Marks::new();
    let policy = *[Policy::Always, Policy::Always, Policy::EverySec, Policy::No].choose(&mut rng).expect("a policy");
    let disk = SimDisk::new(seed);
    disk.keep_trace(60);
    let mut uptime = Duration::ZERO;
    for _ in 0..rng.random_range(1..4) {
        let fault = *[
            None,
            None,
            Some(Fault::PowerLoss),
            Some(Fault::PowerLoss),
            Some(Fault::Eio),
            Some(Fault::Enospc),
            Some(Fault::SyncReverts),
            Some(Fault::SyncForgets),
        ]
        .choose(&mut rng)
        .expect("a fault");
        if let Some(fault) = fault {
            let k = rng.random_range(1..60);
            match fault {
                Fault::PowerLoss | Fault::Eio | Fault::Enospc => disk.fail_at(k, fault),
                _ => disk.fail_nth(Operation::Sync, 1 + k / 6, fault),
            }
        }
        let how = *[Crash::LoseAll, Crash::Random, Crash::Random, Crash::KeepAll].choose(&mut rng).expect("a crash");
        let mut machine = match Machine::boot(&disk, policy, seed, bug, uptime) {
            Ok((machine, _)) => machine,
            Err(_) if fault.is_some() => {
                // The fault struck the recovery: it is over now, and another one succeeds.
                sometimes!(&mut marks, disk.is_power_lost(), "crashed during recovery");
                disk.crash(how);
                let booted = Machine::boot(&disk, policy, seed, bug, uptime);
                booted.map_err(|error| explain("the log does not open after a failed recovery", &error))?.0
            }
            Err(error) => return Err(explain("the log does not open", &error)),
        };
        let mut refused = false;
        for at in 0..rng.random_range(10..160) {
            if disk.is_power_lost() {
                break;
            }
            if bug == Some(Bug::ChangeNotRecorded) && at == 20 {
                machine.kv.dbs[0].remove(b"s0");
            }
            step(&mut machine, &mut rng);
            if let Some(violation) = machine.violation.take() {
                return Err(format!("{violation}\n{}", machine.story()));
            }
            let reason = refusal(&machine);
            sometimes!(&mut marks, reason == Some(Reason::DiskFull), "the disk was full");
            sometimes!(&mut marks, refused && reason.is_none(), "writes were refused and accepted again");
            refused = reason.is_some();
        }
        marks_of(&machine, &mut marks);
        uptime = machine.now.uptime + Duration::from_millis(rng.random_range(0..2000));
        let clean = !disk.is_power_lost() && rng.random_ratio(1, 4);
        if clean && machine.stop().is_ok() {
            sometimes!(&mut marks, true, "ended cleanly");
            drop(machine.kv.journal.take());
            disk.crash(Crash::LoseAll);
            let found = recover(&disk, policy, bug)
                .map_err(|error| explain("a log that ended cleanly does not open", &error))?;
            machine.judge(None, &found.0).map_err(|what| format!("{what}\n{}", machine.story()))?;
            if found.1.tail != Tail::Clean {
                return Err(format!("a clean end left {:?}", found.1.tail));
            }
            continue;
        }
        crash_and_judge(&machine, &disk, how, bug, &mut marks)
            .map_err(|what| format!("{policy}: {what}\n{}", machine.story()))?;
    }
    Ok(marks)
}

/// A life without randomness in its faults: the same steps for the same seed, until the disk fails or `steps` are done.
fn fixed_life(
    seed: u64,
    policy: Policy,
    steps: usize,
    prepare: impl FnOnce(&SimDisk),
) -> (SimDisk, Result<Machine, StorageError>) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let disk = SimDisk::new(seed);
    disk.keep_trace(60);
    prepare(&disk);
    let mut machine = match Machine::boot(&disk, policy, seed, None, Duration::ZERO) {
        Ok((machine, _)) => machine,
        Err(error) => return (disk, Err(error)),
    };
    for _ in 0..steps {
        if disk.is_power_lost() {
            break;
        }
        step(&mut machine, &mut rng);
    }
    (disk, Ok(machine))
}

#[test]
fn acknowledged_writes_survive_any_crash_and_fault() {
    let test = "acknowledged_writes_survive_any_crash_and_fault";
    let mut all = Marks::new();
    let seeds = seeds(SEEDS);
    for &seed in &seeds {
        match random_life(seed, None) {
            Ok(marks) => marks.into_iter().for_each(|(what, count)| *all.entry(what).or_default() += count),
            Err(what) => fail(test, seed, &what),
        }
    }
    let mut reached = REACHED.lock().expect("no test panicked with it");
    all.into_iter().for_each(|(what, count)| *reached.entry(what).or_default() += count);
    // One seed alone, and fewer than the fixed ones, need not meet everything.
    if seeds.len() as u64 >= SEEDS {
        let beside = ["replies were abandoned"];
        let missed: Vec<_> =
            RARE.iter().filter(|what| !reached.contains_key(*what) && !beside.contains(what)).collect();
        assert!(missed.is_empty(), "never reached over {} seeds: {missed:?}; reached: {reached:?}", seeds.len());
    }
}

/// Asks for a write, and returns what the client was told when everything had come to its end.
fn probe(machine: &mut Machine) -> Option<String> {
    machine.connect(CLIENTS + 1);
    machine.told.clear();
    let client = machine.clients() - 1;
    machine.batch(client, &[vec![b"SET".to_vec(), b"probe".to_vec(), b"x".to_vec()]]);
    machine.flush();
    machine.settle();
    machine.told.keys().find(|class| class.starts_with("+OK") || class.contains("MISCONF")).cloned()
}

#[test]
fn a_fault_at_any_operation_is_survived_and_never_acknowledged_over() {
    let test = "a_fault_at_any_operation_is_survived_and_never_acknowledged_over";
    for policy in POLICIES {
        for fault in [Fault::Eio, Fault::Enospc, Fault::SyncReverts, Fault::SyncForgets] {
            for seed in seeds(1) {
                let (whole, _) = fixed_life(seed, policy, 70, |_| ());
                for k in 1..=whole.operations() {
                    let (disk, machine) = fixed_life(seed, policy, 70, |disk| disk.fail_at(k, fault));
                    let mut machine = match machine {
                        Ok(machine) => machine,
                        Err(_) => match Machine::boot(&disk, policy, seed, None, Duration::ZERO) {
                            Ok((machine, _)) => machine,
                            Err(error) => fail(
                                test,
                                seed,
                                &explain(&format!("{policy}, {fault:?} at {k}: cannot start again"), &error),
                            ),
                        },
                    };
                    let complain = |machine: &Machine, what: &str| -> ! {
                        fail(test, seed, &format!("{policy}, {fault:?} at operation {k}: {what}\n{}", machine.story()))
                    };
                    machine.settle();
                    let told = probe(&mut machine);
                    let sync_failed = refusal(&machine) == Some(Reason::SyncFailed);
                    match (sync_failed, told.as_deref()) {
                        (true, Some(told)) if told.contains("MISCONF") => {}
                        (false, Some(told)) if told.starts_with("+OK") && machine.failed_syncs() == 0 => {}
                        _ => {
                            complain(&machine, &format!("after a failed sync: {sync_failed}, a write is told {told:?}"))
                        }
                    }
                    if machine.owed_replies() > 0 {
                        complain(&machine, "a client waits for ever");
                    }
                    if let Some(violation) = machine.violation.take() {
                        complain(&machine, &violation);
                    }
                    if let Err(what) = crash_and_judge(&machine, &disk, Crash::LoseAll, None, &mut Marks::new()) {
                        complain(&machine, &what);
                    }
                    let (mut machine, _) =
                        Machine::boot(&disk, policy, seed, None, machine.now.uptime).expect("it was opened before");
                    if probe(&mut machine).as_deref().is_none_or(|told| !told.starts_with("+OK")) {
                        complain(&machine, "after a restart no write is accepted");
                    }
                }
            }
        }
    }
}

#[test]
fn a_rewrite_ends_however_busy_the_clients_are() {
    let disk = SimDisk::new(1);
    let (mut machine, _) = Machine::boot(&disk, Policy::Always, 1, None, Duration::ZERO).expect("an empty disk opens");
    machine.connect(CLIENTS);
    machine.batch(0, &[vec![b"BGREWRITEAOF".to_vec()]]);
    for round in 0..200 {
        // Whenever the server learns that a sync has ended, the next write has been executed already.
        machine.batch(1, &[vec![b"SET".to_vec(), b"key".to_vec(), round.to_string().into_bytes()]]);
        machine.run_sync_unnoticed();
        machine.flush();
        machine.run_step();
    }
    let counters = machine.kv.journal.as_ref().expect("it has a log").counters();
    assert_eq!(
        counters.rewrites,
        1,
        "the rewritten log waits for ever for a moment without a sync:\n{}",
        machine.story()
    );
}

#[test]
fn under_everysec_a_quiet_second_makes_everything_durable() {
    for seed in seeds(10) {
        let (disk, machine) = fixed_life(seed, Policy::EverySec, 60, |_| ());
        let mut machine = machine.expect("a disk without faults opens");
        // The last deadline of the workload passes within twelve seconds.
        (0..4).for_each(|_| machine.settle());
        disk.crash(Crash::LoseAll);
        let (state, _) = recover(&disk, Policy::EverySec, None).expect("the log opens");
        assert_eq!(state, *machine.last_state(), "seed {seed}");
    }
}

#[test]
fn after_a_failed_sync_what_is_not_durable_is_never_shown() {
    for fault in [Fault::Eio, Fault::SyncReverts, Fault::SyncForgets] {
        let disk = SimDisk::new(3);
        let (mut machine, _) =
            Machine::boot(&disk, Policy::Always, 3, None, Duration::ZERO).expect("an empty disk opens");
        machine.connect(3);
        let ask = |machine: &mut Machine, client: usize, line: &str| {
            machine.batch(client, &[line.split(' ').map(|word| word.as_bytes().to_vec()).collect()]);
            machine.flush();
        };
        ask(&mut machine, 2, "MULTI");
        ask(&mut machine, 2, "GET key");
        machine.run_sync();
        disk.fail_nth(Operation::Sync, 1, fault);
        ask(&mut machine, 0, "SET key value");
        machine.told.clear();
        machine.run_sync();
        assert_eq!(
            machine.clients(),
            2,
            "{fault:?}: the client whose write may be lost is disconnected and not answered"
        );
        for line in ["GET key", "DBSIZE", "SET other value", "KEYS *"] {
            machine.told.clear();
            ask(&mut machine, 0, line);
            let told = machine.told.clone();
            assert!(
                told.len() == 1 && told.keys().all(|class| class.starts_with("-MISCONF")),
                "{fault:?}: {line} is told {told:?}"
            );
        }
        machine.told.clear();
        ask(&mut machine, 1, "EXEC");
        assert!(
            machine.told.keys().all(|class| class.starts_with("-EXECABORT")) && machine.told.len() == 1,
            "{:?}",
            machine.told
        );
        machine.told.clear();
        ask(&mut machine, 0, "PING");
        assert!(
            machine.told.keys().any(|class| class.starts_with("+PONG")),
            "{fault:?}: PING is told {:?}",
            machine.told
        );
        let mut reached = REACHED.lock().expect("no test panicked with it");
        sometimes!(&mut *reached, machine.failed_syncs() > 0, "replies were abandoned");
    }
}

#[test]
fn every_planted_bug_is_caught_within_a_thousand_seeds() {
    let mut missed = Vec::new();
    for bug in bugs::ALL {
        // A bug may make the server itself fail its own assertions: that is caught as well.
        let caught = (0..1000).find(|seed| {
            std::panic::catch_unwind(|| random_life(*seed, Some(bug))).map_or(true, |outcome| outcome.is_err())
        });
        match caught {
            Some(seed) => {
                println!("{bug:?} is caught by seed {seed}");
                random_life(seed, None).unwrap_or_else(|what| panic!("seed {seed} fails without a bug: {what}"));
            }
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "nobody noticed {missed:?}");
}

#[test]
fn the_history_is_not_trivial() {
    let (_, machine) = fixed_life(1, Policy::Always, 200, |_| ());
    let machine = machine.expect("a disk without faults opens");
    let state = state_of(&machine.kv);
    for kind in ["string", "list", "hash", "set", "zset"] {
        assert!(state.values().any(|value| value.starts_with(kind)), "there is no {kind} in {state:?}");
    }
    assert!(state.keys().any(|(db, _)| *db > 0) && state.values().any(|value| value.contains(" until ")), "{state:?}");
}
