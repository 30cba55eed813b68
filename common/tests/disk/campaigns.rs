//! What a harness asks of the simulated disk: a crash at every operation, replayed by its seed, many crashes from one
//! point, files of a real size; and a model to check all of it against.

use std::collections::BTreeSet;
use std::path::Path;

use common::disk::{Crash, Disk, DiskFile, Open, SimDisk, create_dir_durably};
use proptest::prelude::*;

use crate::{EVERY_CRASH, SEEDS, content, durable_file, open};

/// Appends records of 700 bytes, syncs each, replaces a file beside it. Returns how many appends and replacements were
/// acknowledged before the disk failed.
fn workload(disk: &dyn Disk) -> (u8, u8) {
    let (mut appended, mut replaced) = (0, 0);
    let mut run = || -> std::io::Result<()> {
        create_dir_durably(disk, Path::new("/data"))?;
        let log = disk.open(Path::new("/data/log"), Open::Create)?;
        disk.sync_dir(Path::new("/data"))?;
        for round in 1..=6u8 {
            log.write_at(&[round; 700], u64::from(round - 1) * 700)?;
            log.sync_data()?;
            appended = round;
            let next = disk.open(Path::new("/data/state.tmp"), Open::Truncate)?;
            next.write_at(&[round; 300], 0)?;
            next.sync_data()?;
            disk.rename(Path::new("/data/state.tmp"), Path::new("/data/state"))?;
            disk.sync_dir(Path::new("/data"))?;
            replaced = round;
        }
        Ok(())
    };
    // The counters tell how far it came; a failure is what the caller has planned.
    let _ = run();
    (appended, replaced)
}

fn everything(disk: &SimDisk) -> Vec<Option<Vec<u8>>> {
    ["/data/log", "/data/state", "/data/state.tmp"].iter().map(|path| disk.cached(path)).collect()
}

#[test]
fn a_crash_at_every_operation_keeps_what_was_acknowledged() {
    let whole_run = SimDisk::new(0);
    assert_eq!(workload(&whole_run), (6, 6));
    for k in 1..=whole_run.operations() {
        for how in EVERY_CRASH {
            let run = || {
                let disk = SimDisk::new(k);
                disk.crash_at(k);
                let acknowledged = workload(&disk);
                assert!(disk.is_power_lost(), "operation {k} was never reached");
                assert_eq!(disk.operations(), k, "nothing is counted after the power is lost");
                disk.crash(how);
                (acknowledged, everything(&disk))
            };
            let ((appended, replaced), files) = run();
            assert_eq!(run(), ((appended, replaced), files.clone()), "the same seed, the same crash: k {k}, {how:?}");

            let log = files[0].clone().unwrap_or_default();
            let acknowledged: Vec<u8> = (1..=appended).flat_map(|round| [round; 700]).collect();
            assert!(log.starts_with(&acknowledged), "k {k}, {how:?}: lost an acknowledged record");
            if replaced > 0 {
                let state = files[1].clone().expect("the replaced file is there");
                assert!(
                    state == [replaced; 300] || state == [replaced + 1; 300],
                    "k {k}, {how:?}: neither the acknowledged state nor the next one"
                );
            }
        }
    }
}

#[test]
fn an_engine_that_acknowledges_before_the_sync_is_caught() {
    let caught = (1..=SEEDS).any(|seed| {
        let disk = SimDisk::new(seed);
        let log = durable_file(&disk, "/log", b"");
        log.write_at(b"acknowledged too soon", 0).unwrap();
        disk.crash(Crash::Random);
        content(&disk, "/log") != b"acknowledged too soon"
    });
    assert!(caught);
}

#[test]
fn when_the_power_is_lost_everything_fails_until_the_crash() {
    let disk = SimDisk::new(0);
    let file = durable_file(&disk, "/f", b"content");
    disk.crash_at(2);
    file.write_at(b"C", 0).unwrap();
    let error = file.sync_data().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Other);
    assert_eq!(error.to_string(), "cannot sync /f: power lost");
    assert!(file.read_at(&mut [0], 0).is_err());
    assert!(disk.open(Path::new("/f"), Open::ReadOnly).is_err());
    assert!(disk.exists(Path::new("/f")).is_err());
    assert!(disk.list(Path::new("/")).is_err());
    assert!(disk.lock(Path::new("/LOCK")).is_err());
    disk.crash(Crash::LoseAll);
    assert_eq!(content(&disk, "/f"), b"content", "the sync in which the power failed has synced nothing");
}

#[test]
fn the_operation_in_which_the_power_fails_is_done_or_in_part_or_not() {
    let mut lengths = BTreeSet::new();
    let mut is_renamed = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        let file = durable_file(&disk, "/f", b"");
        let fork = disk.fork();
        disk.crash_at(1);
        file.write_at(b"abc", 0).unwrap_err();
        disk.crash(Crash::KeepAll);
        lengths.insert(content(&disk, "/f").len());
        fork.crash_at(1);
        fork.rename(Path::new("/f"), Path::new("/g")).unwrap_err();
        fork.crash(Crash::KeepAll);
        is_renamed.insert(fork.exists(Path::new("/g")).unwrap());
    }
    assert_eq!(lengths, BTreeSet::from([0, 1, 2, 3]));
    assert_eq!(is_renamed.len(), 2);
}

#[test]
fn a_fork_shares_the_past_and_nothing_else() {
    let disk = SimDisk::new(0);
    let file = durable_file(&disk, "/f", &[1; 10_000]);
    file.write_at(&[2; 10], 0).unwrap();
    let lock = disk.lock(Path::new("/LOCK")).unwrap();
    let fork = disk.fork();
    assert_eq!(fork.cached("/f"), disk.cached("/f"));
    assert_eq!(fork.operations(), disk.operations());
    drop(fork.lock(Path::new("/LOCK")).expect("on the fork nobody holds the lock"));

    fork.crash(Crash::LoseAll);
    assert_eq!(content(&fork, "/f"), [1; 10_000]);
    open(&fork, "/f", Open::Existing).write_at(&[3; 5000], 0).unwrap();
    fork.remove(Path::new("/f")).unwrap();
    assert_eq!(content(&disk, "/f"), [&[2; 10][..], &[1; 9990]].concat(), "the origin sees nothing of it");
    file.write_at(&[4; 10], 0).expect("its handles live on");
    assert!(disk.lock(Path::new("/LOCK")).is_err());
    drop(lock);
}

#[test]
fn forks_meet_one_fate_with_one_seed_and_many_with_many() {
    let disk = SimDisk::new(0);
    let file = durable_file(&disk, "/f", b"");
    file.write_at(&[1; 20 * 512], 0).unwrap();
    let fate = |seed: Option<u64>| {
        let fork = disk.fork();
        if let Some(seed) = seed {
            fork.reseed(seed);
        }
        fork.crash(Crash::Random);
        content(&fork, "/f")
    };
    assert_eq!(fate(None), fate(None));
    assert_eq!(fate(Some(7)), fate(Some(7)));
    let fates: BTreeSet<Vec<u8>> = (0..50).map(|seed| fate(Some(seed))).collect();
    assert!(fates.len() > 10, "only {} different fates", fates.len());
}

#[test]
fn a_crash_under_load_ends_every_thread_with_an_error() {
    let disk = SimDisk::new(0);
    let acknowledged: Vec<u64> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|thread| {
                let file = durable_file(&disk, format!("/log{thread}"), b"");
                scope.spawn(move || {
                    let write = |at: u64| file.write_at(&[1; 100], at * 100).and_then(|()| file.sync_data());
                    (0..).take_while(|at| write(*at).is_ok()).count() as u64
                })
            })
            .collect();
        while disk.operations() < 2000 {
            std::thread::yield_now();
        }
        disk.crash(Crash::Random);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    for (thread, records) in acknowledged.iter().enumerate() {
        let log = content(&disk, format!("/log{thread}"));
        assert!(log.starts_with(&vec![1; *records as usize * 100]), "an acknowledged record is lost");
    }
}

#[test]
fn a_hundred_thousand_operations_on_tens_of_megabytes_are_no_burden() {
    let disk = SimDisk::new(0);
    let log = durable_file(&disk, "/log", b"");
    for record in 0..100_000u64 {
        log.write_at(&[record as u8; 400], record * 400).unwrap();
        if record % 2 == 0 {
            log.sync_data().unwrap();
        }
    }
    let forks: Vec<SimDisk> = (0..100).map(|_| disk.fork()).collect();
    forks[0].crash(Crash::LoseAll);
    let synced = 99_999 * 400;
    assert_eq!(forks[0].durable("/log").unwrap().len(), synced);
    assert_eq!(content(&forks[0], "/log"), disk.cached("/log").unwrap()[..synced]);
}

/// A step of a random workload on one file.
#[derive(Debug, Clone)]
enum Step {
    Write { offset: usize, len: usize, byte: u8 },
    SetLen(usize),
    Sync,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..9000, 1usize..3000, any::<u8>()).prop_map(|(offset, len, byte)| Step::Write { offset, len, byte }),
        1 => (0usize..12_000).prop_map(Step::SetLen),
        2 => Just(Step::Sync),
    ]
}

fn apply(model: &mut Vec<u8>, step: &Step) {
    match *step {
        Step::Write { offset, len, byte } => {
            model.resize(model.len().max(offset + len), 0);
            model[offset..offset + len].fill(byte);
        }
        Step::SetLen(len) => model.resize(len, 0),
        Step::Sync => {}
    }
}

fn perform(file: &dyn DiskFile, step: &Step) {
    match *step {
        Step::Write { offset, len, byte } => file.write_at(&vec![byte; len], offset as u64).unwrap(),
        Step::SetLen(len) => file.set_len(len as u64).unwrap(),
        Step::Sync => file.sync_data().unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Checked against a vector: what is seen is all steps, what is durable is all steps before the last sync, and
    /// each byte after a crash is one that it has been at the last sync or since (or a zero of a hole).
    #[test]
    fn a_file_is_what_a_plain_model_says(steps in proptest::collection::vec(any_step(), 0..40), seed in any::<u64>()) {
        let disk = SimDisk::new(seed);
        let file = durable_file(&disk, "/f", b"");
        let mut versions: Vec<Vec<u8>> = vec![Vec::new()];
        for step in &steps {
            perform(&*file, step);
            let mut next = versions.last().unwrap().clone();
            apply(&mut next, step);
            if matches!(step, Step::Sync) {
                versions.clear();
            }
            versions.push(next);
            prop_assert_eq!(&disk.cached("/f").unwrap(), versions.last().unwrap());
            prop_assert_eq!(&disk.durable("/f").unwrap(), versions.first().unwrap());
        }
        let lost = disk.fork();
        lost.crash(Crash::LoseAll);
        prop_assert_eq!(&content(&lost, "/f"), versions.first().unwrap());
        disk.crash(Crash::Random);
        let bytes = content(&disk, "/f");
        for (at, byte) in bytes.iter().enumerate() {
            let has_been = versions.iter().any(|version| version.get(at).copied().unwrap_or(0) == *byte);
            prop_assert!(has_been, "byte {} is {}, which it never was", at, byte);
        }
        let was_never_cut = versions.windows(2).all(|pair| pair[0].len() <= pair[1].len());
        prop_assert!(!was_never_cut || bytes.len() >= versions[0].len(), "a synced length has shrunk");
    }
}
