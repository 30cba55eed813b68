//! A disk without space: who is refused, who is answered, and that nothing is lost.

use std::time::Duration;

use ch01_kv::engine::durability::{Policy, Reason};
use ch01_kv::storage::journal::Journal;
use common::disk::{Crash, SimDisk};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::machine::{Machine, recover};
use super::{CLIENTS, Marks, POLICIES, crash_and_judge, fail, fixed_life, probe, refusal, seeds, step};

/// What of the reserve is left, at least, whenever a group is written under `always`, in bytes: the log keeps a mebibyte of padding
/// ahead of its end, and replenishes it as soon as less than a quarter of that is left.
const RESERVE_BYTES: usize = 256 << 10;

/// What a group takes beside its commands, at most, in bytes.
const FRAME_BYTES: usize = 512;

/// Writes until writes are refused, or for so long that they should have been.
fn fill(machine: &mut Machine, rng: &mut Xoshiro256PlusPlus) {
    for round in 0..400 {
        if refusal(machine).is_some() {
            break;
        }
        machine.connect(CLIENTS);
        let big = vec![b'v'; 20 << 10];
        if !machine.batch(0, &[vec![b"SET".to_vec(), format!("big{}", round % 5).into_bytes(), big]]) {
            // It waits for a key, perhaps for ever: another client comes in its place.
            machine.hang_up(0);
        }
        step(machine, rng);
    }
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_space_and_loses_nothing() {
    for policy in POLICIES {
        for seed in seeds(4) {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            let (disk, machine) = fixed_life(seed, policy, 40, |_| ());
            let mut machine = machine.expect("a disk without faults opens");
            // A rewrite that is under way may end well and give back what the old log took: writes are accepted again then.
            while refusal(&machine).is_none() {
                disk.set_capacity(Some(disk.used_bytes() + rng.random_range(0..2000)));
                fill(&mut machine, &mut rng);
                assert_eq!(
                    refusal(&machine),
                    Some(Reason::DiskFull),
                    "{policy}, seed {seed}: the disk is full\n{}",
                    machine.story()
                );
                machine.settle();
            }
            let fork = disk.fork();
            // A recovery that has something to keep wants space for it.
            fork.set_capacity(None);
            let judged = crash_and_judge(&machine, &fork, Crash::Random, None, &mut Marks::new());
            judged.unwrap_or_else(|what| {
                fail(
                    "a_full_disk_refuses_writes_until_there_is_space_and_loses_nothing",
                    seed,
                    &format!("{policy}: {what}"),
                )
            });
            // Nobody waits, as a rule: the group that meets the full disk is written into the reserve, no write is executed
            // after it, and what was executed can be synced and told. The exception is a group that is larger than what is left
            // of the reserve, which is a quarter of a mebibyte or more (`RESERVE_PART` of `PREALLOCATE_BYTES`): a batch is executed
            // before anybody knows whether its group has a place. That one stays in the buffer, whole, until there is space.
            // So who waits shows a buffer that did not fit; a smaller one is what expiries have recorded since, for whom nobody
            // waits. Under the other policies there is no reserve, and any write may be the one that waits.
            let buffered_bytes = machine.kv.journal.as_ref().map_or(0, Journal::buffered_bytes);
            if policy == Policy::Always && buffered_bytes <= RESERVE_BYTES - FRAME_BYTES {
                assert_eq!(machine.owed_replies(), 0, "{policy}, seed {seed}: clients wait\n{}", machine.story());
            }
            assert!(
                machine.owed_replies() == 0 || buffered_bytes > 0,
                "{policy}, seed {seed}: clients wait, and nothing is unwritten\n{}",
                machine.story()
            );
            let told = probe(&mut machine).unwrap_or_default();
            assert!(told.contains("MISCONF"), "{policy}, seed {seed}: a write is told {told:?} on a full disk");
            let (clients, owed) = (machine.clients(), machine.owed_replies());
            machine.told.clear();
            disk.set_capacity(None);
            machine.settle();
            let answered: u64 = machine.told.values().sum();
            assert!(
                answered >= owed as u64 && machine.owed_replies() == 0 && machine.clients() == clients,
                "{policy}, seed {seed}: of {owed} replies {answered} have come with space again, to {} of {clients} clients\n{}",
                machine.clients(),
                machine.story()
            );
            let told = probe(&mut machine).unwrap_or_default();
            assert!(told.starts_with("+OK"), "{policy}, seed {seed}: with space again a write is told {told:?}");
            assert_eq!(machine.owed_replies(), 0);
        }
    }
}

#[test]
fn what_is_larger_than_the_reserve_waits_for_space_and_is_then_told() {
    let disk = SimDisk::new(8);
    let (mut machine, _) = Machine::boot(&disk, Policy::Always, 8, None, Duration::ZERO).expect("an empty disk opens");
    machine.connect(4);
    let ask = |machine: &mut Machine, client: usize, words: &[&[u8]]| {
        machine.batch(client, &[words.iter().map(|word| word.to_vec()).collect()]);
        machine.flush();
    };
    ask(&mut machine, 0, &[b"SET", b"small", b"1"]);
    machine.settle();
    disk.set_capacity(Some(disk.used_bytes()));
    machine.told.clear();
    let large = vec![b'v'; 2 << 20];
    ask(&mut machine, 0, &[b"SET", b"large", &large]);
    assert_eq!(refusal(&machine), Some(Reason::DiskFull));
    ask(&mut machine, 1, &[b"STRLEN", b"large"]);
    ask(&mut machine, 2, &[b"GET", b"small"]);
    machine.settle();
    let buffered_bytes = machine.kv.journal.as_ref().map_or(0, Journal::buffered_bytes);
    assert!(buffered_bytes > large.len(), "{buffered_bytes} bytes are unwritten");
    assert!(machine.told.is_empty(), "what is not durable is told, or shown: {:?}", machine.told);
    assert_eq!(machine.owed_replies(), 3);
    for (words, wanted) in [(&[&b"PING"[..]][..], "+PONG"), (&[&b"SET"[..], b"a", b"b"][..], "-MISCONF")] {
        machine.told.clear();
        ask(&mut machine, 3, words);
        let is_wanted = machine.told.len() == 1 && machine.told.keys().all(|class| class.starts_with(wanted));
        assert!(is_wanted, "whom nothing of it concerns is answered: {:?}", machine.told);
    }
    let fork = disk.fork();
    fork.set_capacity(None);
    let judged = crash_and_judge(&machine, &fork, Crash::LoseAll, None, &mut Marks::new());
    judged.unwrap_or_else(|what| panic!("{what}"));
    machine.told.clear();
    disk.set_capacity(None);
    machine.settle();
    let told: Vec<(&str, u64)> = machine.told.iter().map(|(class, count)| (class.as_str(), *count)).collect();
    assert_eq!(told, [("$1\\r\\n1\\r\\n", 1), ("+OK\\r\\n", 1), (":2097152\\r\\n", 1)], "once there is space");
    assert_eq!((machine.clients(), machine.owed_replies()), (4, 0));
    disk.crash(Crash::LoseAll);
    let (state, _) = recover(&disk, Policy::Always, None).expect("the log opens");
    assert_eq!(state, *machine.last_state(), "and it is durable");
}

#[test]
fn while_the_disk_is_full_whoever_reads_is_answered() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
    let disk = SimDisk::new(5);
    let (mut machine, _) = Machine::boot(&disk, Policy::Always, 5, None, Duration::ZERO).expect("an empty disk opens");
    machine.connect(CLIENTS + 1);
    let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    // So many deadlines that the reserve has no room for what their passing records.
    let long = "n".repeat(400);
    for round in 0..10 {
        let batch: Vec<_> = (0..100).map(|n| words(&format!("SET {long}:{round}:{n} x PX 60000"))).collect();
        machine.batch(CLIENTS, &batch);
        machine.flush();
        machine.run_sync();
    }
    machine.settle();
    disk.set_capacity(Some(disk.used_bytes()));
    fill(&mut machine, &mut rng);
    assert_eq!(refusal(&machine), Some(Reason::DiskFull));
    for _ in 0..70 {
        machine.tick(Duration::from_secs(1));
        machine.run_sync();
    }
    machine.settle();
    machine.connect(CLIENTS + 2);
    for (line, wanted) in [
        ("PING".to_owned(), "+PONG"),
        (format!("GET {long}:1:1"), "$-1"),
        (format!("EXISTS {long}:2:2"), ":0"),
        ("CONFIG GET appendfsync".to_owned(), "*2"),
        ("SET a b".to_owned(), "-MISCONF"),
    ] {
        machine.told.clear();
        let client = machine.clients() - 1;
        machine.batch(client, &[words(&line)]);
        machine.flush();
        let told = machine.told.clone();
        assert!(told.keys().any(|class| class.starts_with(wanted)), "{line} is told {told:?}\n{}", machine.story());
    }
    disk.set_capacity(None);
    machine.settle();
    disk.crash(Crash::LoseAll);
    let (state, _) = recover(&disk, Policy::Always, None).expect("the log opens");
    assert_eq!(state, *machine.last_state(), "the expiries are recorded when there is space");
}
