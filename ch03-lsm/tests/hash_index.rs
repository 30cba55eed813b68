//! The judge of `hash_index`: what it costs, what survives, and what a merge may and may not take away.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ch03_lsm::error::Error;
use ch03_lsm::storage::hash_files::{HEADER_BYTES, data_path};
use ch03_lsm::storage::hash_index::{HashIndex, Opened};
use common::disk::{CountedDisk, Crash, Disk, Open, SimDisk};
use common::judge::seeds;

const DIR: &str = "/data";

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

fn open(disk: &SimDisk, file_bytes: u32) -> Result<(HashIndex, Opened), Error> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    HashIndex::open(&shared, Path::new(DIR), file_bytes)
}

fn counted(file_bytes: u32) -> (CountedDisk, HashIndex) {
    let disk = CountedDisk::new(Arc::new(SimDisk::new(0)));
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (index, _) = HashIndex::open(&shared, Path::new(DIR), file_bytes).unwrap();
    (disk, index)
}

fn key(number: u64) -> Vec<u8> {
    format!("key{number:02}").into_bytes()
}

/// What an index has of the first `keys` keys.
fn content(index: &HashIndex, keys: u64) -> Model {
    let value = |number| Some((key(number), index.get(&key(number)).unwrap()?));
    (0..keys).filter_map(value).collect()
}

#[test]
fn a_read_touches_one_file_once_and_a_key_that_is_not_there_none() {
    let (disk, mut index) = counted(200);
    for round in 0..3u8 {
        for number in 0..20 {
            index.put(&key(number), &vec![round; number as usize]).unwrap();
        }
    }
    assert!(index.stats().files > 5, "the entries are in several files");
    for number in 0..20 {
        disk.reset();
        assert_eq!(index.get(&key(number)).unwrap(), Some(vec![2; number as usize]));
        let counts = disk.total();
        let entry_bytes = (HEADER_BYTES + key(number).len()) as u64 + number;
        assert_eq!(
            (disk.by_path().len(), counts.reads, counts.opens, counts.writes),
            (1, 1, 0, 0),
            "a read is one read of one file, which is open: {counts:?}"
        );
        assert_eq!(counts.read_bytes, entry_bytes, "and reads the entry, no less and no more");
    }
    disk.reset();
    assert_eq!(index.get(b"missing").unwrap(), None);
    assert_eq!(disk.by_path().len(), 0, "what is not in the keydir is nowhere");
}

#[test]
fn a_write_appends_its_own_bytes_once() {
    let (disk, mut index) = counted(10_000);
    for number in 0..30 {
        disk.reset();
        index.put(&key(number % 10), &vec![7; number as usize]).unwrap();
        let counts = disk.total();
        let entry_bytes = (HEADER_BYTES + key(0).len()) as u64 + number;
        assert_eq!((counts.writes, counts.written_bytes), (1, entry_bytes), "a put is one write of one entry");
        assert_eq!((counts.reads, counts.syncs), (0, 0), "it reads nothing, and syncs nothing before it is told to");
    }
    disk.reset();
    index.delete(&key(3)).unwrap();
    assert_eq!(disk.total().written_bytes, (HEADER_BYTES + key(3).len()) as u64, "a delete appends a tombstone");
    disk.reset();
    index.delete(&key(3)).unwrap();
    assert_eq!(disk.by_path().len(), 0, "of a key that is not there no tombstone is needed");
    index.sync().unwrap();
    index.sync().unwrap();
    assert_eq!(disk.total().syncs, 1, "one sync makes durable what was written, and a second one has nothing to do");
}

#[test]
fn the_newest_value_wins_whatever_file_it_is_in() {
    for seed in seeds(20) {
        let mut random = Random(seed);
        let disk = SimDisk::new(seed);
        let mut index = open(&disk, 300).unwrap().0;
        let mut model = Model::new();
        for step in 0..300 {
            let key = key(random.below(25));
            match random.below(12) {
                0..=6 => {
                    let value = vec![step as u8; random.below(60) as usize];
                    index.put(&key, &value).unwrap();
                    model.insert(key, value);
                }
                7..=8 => {
                    index.delete(&key).unwrap();
                    model.remove(&key);
                }
                9 => assert_eq!(index.get(&key).unwrap(), model.get(&key).cloned(), "seed {seed}, step {step}"),
                10 if random.below(4) == 0 => index.merge().unwrap(),
                11 if random.below(3) == 0 => {
                    drop(index);
                    index = open(&disk, 300).unwrap().0;
                }
                _ => assert_eq!(index.stats().keys, model.len(), "seed {seed}, step {step}"),
            }
        }
        assert_eq!(content(&index, 25), model, "seed {seed}");
        index.close().unwrap();
        assert_eq!(content(&open(&disk, 300).unwrap().0, 25), model, "seed {seed}: opened again");
    }
}

/// Puts, deletes, syncs and opens again. Returns the states after each write, and which of them is durable.
fn write(disk: &SimDisk, seed: u64, states: &mut Vec<Model>, durable: &mut usize) -> Result<(), Error> {
    let mut random = Random(seed);
    let mut index = open(disk, 150)?.0;
    let mut acknowledged = 0;
    for step in 0..60 {
        let key = key(random.below(8));
        let mut next = states.last().expect("a state").clone();
        match random.below(8) {
            0..=3 => {
                let value = vec![step; random.below(40) as usize];
                next.insert(key.clone(), value.clone());
                states.push(next);
                index.put(&key, &value)?;
            }
            4 => {
                next.remove(&key);
                states.push(next);
                index.delete(&key)?;
            }
            5..=6 => {
                index.sync()?;
                *durable = acknowledged;
            }
            _ => {
                drop(index);
                index = open(disk, 150)?.0;
                *durable = acknowledged;
            }
        }
        acknowledged = states.len() - 1;
    }
    Ok(())
}

#[test]
fn what_was_synced_survives_a_crash_at_every_operation_and_never_without_what_came_before() {
    for seed in seeds(4) {
        let disk = SimDisk::new(seed);
        write(&disk, seed, &mut vec![Model::new()], &mut 0).unwrap();
        for k in 1..=disk.operations() {
            let disk = SimDisk::new(seed);
            disk.crash_at(k);
            let (mut states, mut durable) = (vec![Model::new()], 0);
            assert!(write(&disk, seed, &mut states, &mut durable).is_err(), "the crash was noticed");
            for (fate, how) in [Crash::LoseAll, Crash::KeepAll, Crash::Random, Crash::Random].into_iter().enumerate() {
                let fork = disk.fork();
                fork.reseed(k * 4 + fate as u64);
                fork.crash(how);
                let what = format!("seed {seed}, operation {k}, {how:?}");
                let (index, _) =
                    open(&fork, 150).unwrap_or_else(|error| panic!("{what}: a crash is no damage: {error}"));
                let found = content(&index, 8);
                let state = states.iter().rposition(|state| *state == found);
                let state = state.unwrap_or_else(|| panic!("{what}: it was never like this: {found:?}"));
                assert!(state >= durable, "{what}: state {state}, though {durable} was synced");
                drop(index);
                fork.crash(Crash::LoseAll);
                let again = open(&fork, 150).unwrap_or_else(|error| panic!("{what}, and once more: {error}")).0;
                assert_eq!(content(&again, 8), found, "{what}: what was read once is there");
            }
        }
    }
}

#[test]
fn a_torn_tail_is_cut_and_damage_is_refused() {
    let disk = SimDisk::new(0);
    let mut index = open(&disk, 10_000).unwrap().0;
    for number in 0..4 {
        index.put(&key(number), &[1; 20]).unwrap();
        index.sync().unwrap();
    }
    drop(index);
    let (path, entry) = (data_path(Path::new(DIR), 1), (HEADER_BYTES + 25) as u64);
    for len in 3 * entry + 1..4 * entry {
        let fork = disk.fork();
        fork.open(&path, Open::Existing).unwrap().set_len(len).unwrap();
        let (mut index, opened) = open(&fork, 10_000).unwrap();
        assert_eq!(opened.torn, Some((path.clone(), 3 * entry)), "{len} bytes: where it was torn is said");
        assert_eq!(content(&index, 4).len(), 3, "{len} bytes: the whole entries are there");
        index.put(&key(9), b"new").unwrap();
        index.close().unwrap();
        let (index, opened) = open(&fork, 10_000).unwrap();
        assert_eq!((opened.torn, content(&index, 10).len()), (None, 4), "{len} bytes: the tear is gone");
    }
    for byte in 0..4 * entry {
        let fork = disk.fork();
        fork.flip_bit(&path, byte * 8).unwrap();
        match open(&fork, 10_000) {
            Ok(_) => assert!(byte >= 3 * entry, "byte {byte} was durable, as what follows attests: that is no tear"),
            Err(Error::Damaged { path: named, offset, .. }) => {
                assert_eq!((named, offset), (path.clone(), byte / entry * entry));
            }
            Err(error) => panic!("byte {byte}: {error}"),
        }
        // With a file after it, all of it had been durable.
        let fork = disk.fork();
        open(&fork, 10_000).unwrap().0.close().unwrap();
        fork.flip_bit(&path, byte * 8).unwrap();
        assert!(
            open(&fork, 10_000).is_err_and(|error| error.is_damage()),
            "byte {byte}: only the last file can be torn"
        );
    }
    let (index, _) = open(&disk, 10_000).unwrap();
    disk.flip_bit(&path, (2 * entry - 1) * 8).unwrap();
    let error = index.get(&key(1)).expect_err("a value that does not verify is not given out");
    assert!(
        matches!(&error, Error::Damaged { path: named, offset, .. } if *named == path && *offset == entry),
        "{error}"
    );
}

#[test]
fn a_merge_leaves_what_is_live_and_nothing_else() {
    let disk = SimDisk::new(0);
    let mut index = open(&disk, 400).unwrap().0;
    for round in 0..10u8 {
        for number in 0..20 {
            index.put(&key(number), &[round; 30]).unwrap();
        }
    }
    (0..20).step_by(2).for_each(|number| index.delete(&key(number)).unwrap());
    let (before, expected) = (index.stats(), content(&index, 20));
    index.merge().unwrap();
    let after = index.stats();
    assert!(before.bytes > 15 * before.live_bytes, "most of it was old: {before:?}");
    assert_eq!((after.bytes, after.live_bytes), (before.live_bytes, before.live_bytes), "tombstones go as well");
    assert!((2..=3).contains(&after.files), "few files are left: {after:?}");
    let on_disk: u64 =
        disk.list(Path::new(DIR)).unwrap().iter().map(|path| disk.cached(path).unwrap().len() as u64).sum();
    assert!(on_disk < 2 * after.bytes, "{on_disk} bytes on disk for {} live ones", after.bytes);
    assert_eq!(content(&index, 20), expected);
    index.put(&key(0), b"after").unwrap();
    index.close().unwrap();
    let index = open(&disk, 400).unwrap().0;
    assert_eq!(index.get(&key(0)).unwrap().as_deref(), Some(&b"after"[..]), "what is written after a merge is newer");
    assert_eq!(content(&index, 20).len(), 11, "and what was deleted stays away");
}

#[test]
fn a_crash_anywhere_in_a_merge_loses_nothing_and_brings_nothing_back() {
    let prepare = |disk: &SimDisk| {
        let mut index = open(disk, 120).unwrap().0;
        index.put(&key(6), b"in the oldest file, and alive").unwrap();
        for number in 0..6 {
            index.put(&key(number), b"old, and to be deleted").unwrap();
        }
        for number in 0..6 {
            index.put(&key(number), b"newer").unwrap();
        }
        (0..6).step_by(2).for_each(|number| index.delete(&key(number)).unwrap());
        index.sync().unwrap();
        index
    };
    for seed in seeds(3) {
        let disk = SimDisk::new(seed);
        let mut index = prepare(&disk);
        let expected = content(&index, 7);
        assert_eq!(expected.len(), 4);
        let begun = disk.operations();
        index.merge().unwrap();
        for k in 1..=disk.operations() - begun {
            let disk = SimDisk::new(seed);
            let mut index = prepare(&disk);
            disk.crash_at(k);
            assert!(index.merge().is_err(), "the crash was noticed");
            for fate in 0..12 {
                let fork = disk.fork();
                fork.reseed(k * 16 + fate);
                fork.crash([Crash::LoseAll, Crash::KeepAll, Crash::Random][fate.min(2) as usize]);
                let what = format!("seed {seed}, operation {k} of the merge, fate {fate}");
                let mut index = open(&fork, 120).unwrap_or_else(|error| panic!("{what}: {error}")).0;
                assert_eq!(content(&index, 7), expected, "{what}");
                index.merge().unwrap();
                index.close().unwrap();
                assert_eq!(content(&open(&fork, 120).unwrap().0, 7), expected, "{what}: merged again");
            }
        }
    }
}

#[test]
fn opening_after_a_merge_reads_hints_and_no_values() {
    let (disk, mut index) = counted(50_000);
    for number in 0..40 {
        index.put(&key(number), &[1; 3000]).unwrap();
    }
    index.merge().unwrap();
    index.close().unwrap();
    disk.reset();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (index, opened) = HashIndex::open(&shared, Path::new(DIR), 50_000).unwrap();
    assert!(opened.hinted >= 3, "each file of a merge has a hint: {opened:?}");
    let read = disk.total().read_bytes;
    assert!(read < 40 * 50, "{read} bytes were read to find 40 keys among 120,000 bytes of values");
    assert_eq!(content(&index, 40).len(), 40);
    drop(index);
    let hint =
        disk.list(Path::new(DIR)).unwrap().into_iter().find(|path| path.extension().is_some_and(|e| e == "hint"));
    disk.open(&hint.unwrap(), Open::Existing).unwrap().write_at(b"damage", 9).unwrap();
    let (index, again) = HashIndex::open(&shared, Path::new(DIR), 50_000).unwrap();
    assert_eq!(
        (again.hinted, content(&index, 40).len()),
        (opened.hinted - 1, 40),
        "a hint that does not verify is not needed"
    );
}
