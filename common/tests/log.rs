//! What `common::disk::log` promises: what was appended comes back, what was synced survives, a torn tail is told from
//! damage, and no bytes that a disk may hold make a reader panic or give out a record that nobody wrote.

use std::path::{Path, PathBuf};

use common::disk::log::{
    BLOCK_BYTES, Ending, HEADER_BYTES, Kind, LogError, SegmentHeader, SegmentName, SegmentReader, SegmentWriter,
    segments,
};
use common::disk::{Crash, Disk, DiskFile, Fault, Open, Operation, SimDisk};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

#[path = "log/reserved.rs"]
mod reserved;

const NAME: SegmentName = SegmentName { prefix: "log" };
const SALT: u64 = 0x0123_4567_89ab_cdef;

/// The bytes before a fragment's payload, and those of a mark's payload: from the drawing in the module's doc.
const FRAGMENT_HEADER_BYTES: usize = 7;
const MARK_BYTES: usize = 15;

fn path() -> PathBuf {
    NAME.path(Path::new("/"), 1)
}

fn create(disk: &SimDisk) -> Result<SegmentWriter, LogError> {
    let writer = SegmentWriter::create(disk, &path(), SegmentHeader { number: 1, salt: SALT, prior_durable_bytes: 0 })?;
    disk.sync_dir(Path::new("/")).expect("the root is there");
    Ok(writer)
}

/// A record that is like no other.
fn record(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (number * 31 + at * 7 + at / 251) as u8).collect()
}

struct Found {
    records: Vec<Vec<u8>>,
    ends: Vec<u64>,
    attested: u64,
    ending: Ending,
    end: u64,
}

fn read(disk: &dyn Disk) -> Result<Found, LogError> {
    let mut reader = SegmentReader::open(disk, &path())?;
    let (mut records, mut ends) = (Vec::new(), Vec::new());
    while let Some((record, end)) = reader.read()? {
        records.push(record.to_vec());
        ends.push(end);
    }
    let ending = reader.ending().expect("it has ended");
    assert!(reader.end() <= reader.len_bytes());
    Ok(Found { records, ends, attested: reader.attested(), ending, end: reader.end() })
}

fn file(disk: &SimDisk) -> std::sync::Arc<dyn DiskFile> {
    disk.open(&path(), Open::Existing).unwrap()
}

/// Four records with a mark before each but the first; sealed or not.
fn sample(disk: &SimDisk, sealed: bool) -> Vec<Vec<u8>> {
    let mut writer = create(disk).unwrap();
    let records: Vec<_> = [60, 0, 33, 90].into_iter().enumerate().map(|(at, len)| record(at, len)).collect();
    for record in &records {
        writer.append(record).unwrap();
        writer.sync().unwrap();
    }
    if sealed {
        writer.seal().unwrap();
    }
    records
}

#[test]
fn records_of_all_sizes_come_back_wherever_in_a_block_they_begin() {
    let sizes =
        [0, 1, 7, 8, 9, 40, BLOCK_BYTES - 8, BLOCK_BYTES - 7, BLOCK_BYTES - 6, BLOCK_BYTES, 3 * BLOCK_BYTES + 5];
    for left in 0..=40 {
        for (at, size) in sizes.into_iter().enumerate() {
            let disk = SimDisk::new(0);
            let mut writer = create(&disk).unwrap();
            // Fills the first block but for `left` bytes.
            let filler = BLOCK_BYTES - HEADER_BYTES - FRAGMENT_HEADER_BYTES - left;
            let records = [record(1, filler), record(2, size), record(3, 11), record(4, size)];
            let mut ends = Vec::new();
            for (number, record) in records.iter().enumerate() {
                ends.push(writer.append(record).unwrap());
                match (at + number) % 3 {
                    0 => writer.sync().unwrap(),
                    1 => writer.write().unwrap(),
                    _ => {}
                }
            }
            writer.write().unwrap();
            let what = format!("{left} bytes left, a record of {size}");
            let found = read(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(found.records == records, "{what}");
            assert_eq!((found.ends, found.ending), (ends, Ending::Clean), "{what}");
            assert_eq!(writer.written(), file(&disk).len().unwrap(), "{what}");
            writer.seal().unwrap();
            let found = read(&disk).unwrap_or_else(|error| panic!("{what}, sealed: {error}"));
            assert!(found.records == records && found.ending == Ending::Clean, "{what}, sealed: {:?}", found.ending);
            assert!(found.attested >= *found.ends.last().unwrap(), "{what}: a seal attests to everything");
        }
    }
}

#[test]
fn a_mark_says_what_was_durable_and_nothing_more() {
    let disk = SimDisk::new(0);
    let mut writer = create(&disk).unwrap();
    let first = writer.append(b"first").unwrap();
    writer.write().unwrap();
    writer.append(b"second").unwrap();
    writer.write().unwrap();
    assert_eq!(read(&disk).unwrap().attested, 0, "nothing was synced");
    writer.sync().unwrap();
    let second = writer.written();
    assert_eq!(read(&disk).unwrap().attested, 0, "a mark comes with the next record");
    writer.append(b"third").unwrap();
    writer.write().unwrap();
    assert_eq!(read(&disk).unwrap().attested, second);
    assert_eq!(second - first, (FRAGMENT_HEADER_BYTES + 6) as u64, "no mark where nothing was synced in between");
    let before = writer.end();
    writer.append(b"").unwrap();
    assert_eq!(writer.end() - before, FRAGMENT_HEADER_BYTES as u64, "one mark for one sync");
}

#[test]
fn a_crash_at_every_operation_leaves_a_prefix_with_all_that_was_synced() {
    let live = |disk: &SimDisk, seed: u64, written: &mut Vec<Vec<u8>>, durable: &mut usize| -> Result<(), LogError> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut writer = create_or_err(disk)?.reserving([0, 20_000, 100_000][seed as usize % 3]);
        for number in 0..40 {
            let len = [rng.random_range(0..50), rng.random_range(0..2000), rng.random_range(0..2 * BLOCK_BYTES)];
            let record = record(number, len[rng.random_range(0..3)]);
            writer.append(&record)?;
            written.push(record);
            match rng.random_range(0..4) {
                0 => {
                    writer.sync()?;
                    *durable = written.len();
                }
                1 | 2 => writer.write()?,
                _ => {}
            }
        }
        writer.seal()?;
        *durable = written.len();
        Ok(())
    };
    let (mut points, mut torn, mut reserved) = (0, 0, 0);
    for seed in 0..9 {
        let disk = SimDisk::new(seed);
        live(&disk, seed, &mut Vec::new(), &mut 0).unwrap();
        for k in 1..=disk.operations() {
            points += 1;
            let disk = SimDisk::new(seed);
            disk.crash_at(k);
            let (mut written, mut durable) = (Vec::new(), 0);
            assert!(live(&disk, seed, &mut written, &mut durable).is_err());
            for (fate, how) in
                [Crash::LoseAll, Crash::KeepAll, Crash::Random, Crash::Random, Crash::Random].iter().enumerate()
            {
                let fork = disk.fork();
                fork.reseed(k * 8 + fate as u64);
                fork.crash(*how);
                let what = format!("seed {seed}, operation {k}, {how:?}");
                match read(&fork) {
                    Ok(found) => {
                        assert!(written.starts_with(&found.records), "{what}: a record that was not written there");
                        assert!(found.records.len() >= durable, "{what}: {} of {durable}", found.records.len());
                        torn += u64::from(matches!(found.ending, Ending::Torn(_) | Ending::Zeros));
                        reserved += u64::from(found.ending == Ending::Reserved);
                    }
                    Err(LogError::TornHeader { .. } | LogError::Io { .. }) => {
                        assert!(written.is_empty(), "{what}: the header was durable before the first record");
                    }
                    Err(error) => panic!("{what}: a crash is no damage: {error}"),
                }
            }
        }
    }
    assert!(torn > points / 10, "{torn} torn tails at {points} points: this test tests little");
    assert!(reserved > points / 10, "{reserved} ends in reserved space at {points} points: this test tests little");
    println!("{points} points, {torn} torn tails, {reserved} ends in reserved space");
}

fn create_or_err(disk: &SimDisk) -> Result<SegmentWriter, LogError> {
    let header = SegmentHeader { number: 1, salt: SALT, prior_durable_bytes: 0 };
    let writer = SegmentWriter::create(disk, &path(), header)?;
    let sync = |source| LogError::Io { action: "sync", path: PathBuf::from("/"), source };
    disk.sync_dir(Path::new("/")).map_err(sync)?;
    Ok(writer)
}

#[test]
fn a_flipped_bit_in_a_sealed_segment_is_an_error_or_changes_nothing() {
    let disk = SimDisk::new(0);
    let records = sample(&disk, true);
    let len = file(&disk).len().unwrap();
    assert_eq!(len, (BLOCK_BYTES + MARK_BYTES) as u64);
    let (mut refused, mut unharmed) = (0, 0);
    for byte in 0..len {
        // One bit of each byte of the long padding, all of the others.
        let bits = if (600..BLOCK_BYTES as u64 - 9).contains(&byte) { byte % 8..byte % 8 + 1 } else { 0..8 };
        for bit in bits {
            disk.flip_bit(path(), byte * 8 + bit).unwrap();
            match read(&disk) {
                Ok(found) => {
                    assert_eq!(found.records, records, "byte {byte}, bit {bit}");
                    unharmed += 1;
                }
                Err(LogError::Damaged { offset, evidence, .. }) => {
                    assert!(offset <= byte && evidence > offset, "byte {byte}: {offset}, {evidence}");
                    let kind = disk.cached(path()).unwrap()[evidence as usize + FRAGMENT_HEADER_BYTES - 1];
                    assert_eq!(kind, Kind::Mark as u8, "byte {byte}: what attests is a mark");
                    refused += 1;
                }
                Err(LogError::Header { .. }) => {
                    assert!(byte < HEADER_BYTES as u64, "byte {byte}: the header is whole");
                    refused += 1;
                }
                Err(error) => panic!("byte {byte}, bit {bit}: {error}"),
            }
            disk.flip_bit(path(), byte * 8 + bit).unwrap();
        }
    }
    let content: usize = records.iter().map(|record| FRAGMENT_HEADER_BYTES + record.len()).sum();
    assert!(refused >= (HEADER_BYTES + content) * 8, "{refused} refused, {unharmed} unharmed");
}

#[test]
fn a_flipped_bit_in_a_segment_without_a_seal_costs_at_most_what_no_mark_attests_to() {
    let disk = SimDisk::new(0);
    let records = sample(&disk, false);
    let ends = read(&disk).unwrap().ends;
    for bit in 0..file(&disk).len().unwrap() * 8 {
        disk.flip_bit(path(), bit).unwrap();
        match read(&disk) {
            Ok(found) => {
                assert!(records.starts_with(&found.records), "bit {bit}");
                assert!(found.records.len() >= records.len() - 1, "bit {bit}: what a mark attests to was dropped");
                assert!(found.records.len() == records.len() || bit / 8 >= ends[records.len() - 2], "bit {bit}");
                assert!(matches!(found.ending, Ending::Torn(_)), "bit {bit}: and it is said");
            }
            Err(LogError::Damaged { .. }) => assert!(bit / 8 < ends[records.len() - 2], "bit {bit}"),
            Err(error) => assert!(matches!(error, LogError::Header { .. }) && bit / 8 < HEADER_BYTES as u64, "{error}"),
        }
        disk.flip_bit(path(), bit).unwrap();
    }
}

#[test]
fn a_segment_cut_at_any_byte_gives_the_records_before_the_cut() {
    let whole = SimDisk::new(0);
    let records = sample(&whole, false);
    let ends = read(&whole).unwrap().ends;
    for len in (0..file(&whole).len().unwrap()).rev() {
        let disk = whole.fork();
        file(&disk).set_len(len).unwrap();
        if len < HEADER_BYTES as u64 {
            assert!(matches!(read(&disk), Err(LogError::TornHeader { .. })), "{len} bytes");
            continue;
        }
        let found = read(&disk).unwrap();
        let count = ends.iter().filter(|end| **end <= len).count();
        assert_eq!(found.records, records[..count], "{len} bytes");
        assert!(found.end <= len);
        file(&disk).set_len(found.end).unwrap();
        let again = read(&disk).unwrap();
        assert_eq!((again.records.len(), again.ending), (count, Ending::Clean), "{len} bytes: it is cut where it says");
    }
}

#[test]
fn zeros_behind_the_last_record_are_space_and_zeros_before_one_are_a_tear() {
    for zeros in [1, 6, 7, 8, 100, BLOCK_BYTES, 2 * BLOCK_BYTES] {
        let disk = SimDisk::new(0);
        let records = sample(&disk, false);
        let file = file(&disk);
        let len = file.len().unwrap();
        file.set_len(len + zeros as u64).unwrap();
        let found = read(&disk).unwrap();
        assert_eq!(found.records, records);
        let is_long = zeros >= FRAGMENT_HEADER_BYTES;
        assert_eq!(found.ending == Ending::Zeros, is_long, "{zeros} zeros: {:?}", found.ending);
        assert_eq!(found.end, len, "{zeros} zeros can be cut");
        file.write_at(b"x", len + zeros as u64).unwrap();
        assert!(matches!(read(&disk).unwrap().ending, Ending::Torn(_)), "{zeros} zeros, and a byte");
    }
}

#[test]
fn a_lost_sector_is_damage_where_a_mark_attests_to_it() {
    let disk = SimDisk::new(0);
    let mut writer = create(&disk).unwrap();
    for number in 0..4 {
        writer.append(&record(number, 700)).unwrap();
        writer.sync().unwrap();
    }
    for (sector, is_attested) in [(1, true), (2, true), (3, true), (5, false)] {
        let fork = disk.fork();
        fork.zero_sector(path(), sector).unwrap();
        match read(&fork) {
            Err(LogError::Damaged { .. }) => assert!(is_attested, "sector {sector}"),
            Ok(found) => assert!(!is_attested && matches!(found.ending, Ending::Torn(_)), "sector {sector}"),
            Err(error) => panic!("sector {sector}: {error}"),
        }
    }
}

#[test]
fn another_segments_bytes_are_no_records_of_this_one() {
    let disk = SimDisk::new(0);
    let records = sample(&disk, false);
    let bytes = disk.cached(path()).unwrap();
    let header = SegmentHeader { number: 2, salt: SALT + 1, prior_durable_bytes: 0 };
    file(&disk).write_at(&header.encode(), 0).unwrap();
    let found = read(&disk).unwrap();
    assert!(
        found.records.is_empty() && matches!(found.ending, Ending::Torn(_)),
        "{} of {}",
        found.records.len(),
        records.len()
    );
    assert_eq!(disk.cached(path()).unwrap()[HEADER_BYTES..], bytes[HEADER_BYTES..]);
}

#[test]
fn a_block_in_another_ones_place_is_no_part_of_the_log() {
    let disk = SimDisk::new(0);
    let mut writer = create(&disk).unwrap();
    // Each block but the first begins with a whole record, and is as good as any other but for its place.
    let record_of = |number| record(number, BLOCK_BYTES - FRAGMENT_HEADER_BYTES);
    writer.append(&record(0, BLOCK_BYTES - HEADER_BYTES - FRAGMENT_HEADER_BYTES)).unwrap();
    for number in 1..4 {
        writer.append(&record_of(number)).unwrap();
    }
    writer.sync().unwrap();
    writer.append(b"after a mark").unwrap();
    writer.sync().unwrap();
    let bytes = disk.cached(path()).unwrap();
    for (from, to) in [(1, 2), (2, 1), (3, 1), (1, 3)] {
        let fork = disk.fork();
        let block = &bytes[from * BLOCK_BYTES..(from + 1) * BLOCK_BYTES];
        file(&fork).write_at(block, (to * BLOCK_BYTES) as u64).unwrap();
        match read(&fork) {
            Err(LogError::Damaged { offset, .. }) => assert_eq!(offset, (to * BLOCK_BYTES) as u64, "{from} to {to}"),
            Err(error) => panic!("{from} to {to}: {error}"),
            Ok(found) => panic!("{from} to {to}: {} records were believed", found.records.len()),
        }
    }
}

#[test]
fn a_record_that_holds_a_copy_of_the_log_attests_to_nothing() {
    let disk = SimDisk::new(0);
    let records = sample(&disk, false);
    let copy = disk.cached(path()).unwrap();
    let mut writer = create_at(&disk, "/log-0000000002.log");
    writer.append(&record(0, 100)).unwrap();
    writer.append(&copy).unwrap();
    writer.write().unwrap();
    let damaged = HEADER_BYTES as u64 + 20;
    disk.open(Path::new("/log-0000000002.log"), Open::Existing).unwrap().write_at(b"???", damaged).unwrap();
    let mut reader = SegmentReader::open(&disk, Path::new("/log-0000000002.log")).unwrap();
    assert!(reader.read().unwrap().is_none(), "the marks of {} records stand in another's bytes", records.len());
    assert!(matches!(reader.ending(), Some(Ending::Torn(_))));
}

/// A segment with the same salt under another name.
fn create_at(disk: &SimDisk, path: &str) -> SegmentWriter {
    let header = SegmentHeader { number: 1, salt: SALT, prior_durable_bytes: 0 };
    SegmentWriter::create(disk, Path::new(path), header).unwrap()
}

#[test]
fn random_bytes_are_refused_without_a_panic() {
    for seed in 0..400 {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let disk = SimDisk::new(seed);
        let mut bytes: Vec<u8> = (0..rng.random_range(0..3 * BLOCK_BYTES)).map(|_| rng.random()).collect();
        if seed % 2 == 0 && bytes.len() >= HEADER_BYTES {
            let header = SegmentHeader { number: 1, salt: SALT, prior_durable_bytes: rng.random() };
            bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
        }
        disk.open(&path(), Open::New).unwrap().write_at(&bytes, 0).unwrap();
        match read(&disk) {
            Ok(found) => assert!(seed % 2 == 0 && found.records.is_empty(), "seed {seed}"),
            Err(error) => {
                assert!(matches!(error, LogError::Header { .. } | LogError::TornHeader { .. }), "seed {seed}: {error}");
            }
        }
    }
}

#[test]
fn damaged_headers_and_fragments_of_real_segments_never_make_a_wrong_record() {
    for seed in 0..300 {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let disk = SimDisk::new(seed);
        let mut writer = create(&disk).unwrap();
        let mut records = Vec::new();
        for number in 0..rng.random_range(1..8) {
            let record = record(number, rng.random_range(0..BLOCK_BYTES));
            writer.append(&record).unwrap();
            records.push(record);
            if rng.random() {
                writer.sync().unwrap();
            }
        }
        writer.sync().unwrap();
        let len = writer.written();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(HEADER_BYTES as u64..len);
            let garbage: Vec<u8> = (0..rng.random_range(1..300)).map(|_| rng.random()).collect();
            file(&disk).write_at(&garbage, at).unwrap();
        }
        if let Ok(found) = read(&disk) {
            assert!(records.starts_with(&found.records), "seed {seed}");
        }
    }
}

#[test]
fn a_write_that_failed_goes_to_the_same_place_when_it_is_tried_again() {
    let disk = SimDisk::new(3);
    let mut writer = create(&disk).unwrap();
    writer.append(&record(0, 500)).unwrap();
    disk.fail_nth(Operation::Write, 1, Fault::Enospc);
    assert!(writer.write().is_err());
    writer.append(&record(1, 300)).unwrap();
    writer.write().unwrap();
    let found = read(&disk).unwrap();
    assert_eq!(found.records, [record(0, 500), record(1, 300)]);
    assert_eq!(found.ending, Ending::Clean);
}

#[test]
fn a_segment_whose_sync_has_failed_takes_nothing_any_more() {
    type Attempt = fn(&mut SegmentWriter) -> Result<(), LogError>;
    let attempts: [(&str, Attempt); 6] = [
        ("finish", SegmentWriter::finish),
        ("append", |writer| writer.append(b"behind what may be gone").map(|_| ())),
        ("write", SegmentWriter::write),
        ("sync", SegmentWriter::sync),
        ("seal", SegmentWriter::seal),
        ("attest", SegmentWriter::attest),
    ];
    let mut accepted = Vec::new();
    for fault in [Fault::SyncForgets, Fault::SyncReverts, Fault::Eio, Fault::Enospc] {
        for (name, attempt) in attempts {
            let disk = SimDisk::new(3);
            let mut writer = create(&disk).unwrap();
            writer.append(&record(0, 500)).unwrap();
            writer.sync().unwrap();
            let durable = writer.durable();
            writer.append(&record(1, 300)).unwrap();
            disk.fail_nth(Operation::Sync, 1, fault);
            writer.sync().unwrap_err();
            let operations = disk.operations();
            for _ in 0..2 {
                if attempt(&mut writer).is_ok() {
                    accepted.push(format!("{name} after {fault:?}"));
                }
            }
            if accepted.is_empty() {
                assert_eq!(disk.operations(), operations, "{name} after {fault:?}: the file is left alone");
                assert_eq!(writer.durable(), durable, "{name} after {fault:?}: nothing more is known to be durable");
            }
        }
    }
    assert!(accepted.is_empty(), "nothing may be built on a file of which nobody knows what it holds: {accepted:?}");
}

#[test]
fn segments_are_listed_in_the_order_of_their_numbers() {
    let disk = SimDisk::new(0);
    for number in [10_000_000_000, 2, 9_999_999_999] {
        let header = SegmentHeader { number, salt: number, prior_durable_bytes: 0 };
        SegmentWriter::create(&disk, &NAME.path(Path::new("/"), number), header).unwrap();
    }
    for other in ["/log-2.log", "/log-0000000003.log.old", "/wal-0000000004.log", "/log-00000000x5.log"] {
        disk.open(Path::new(other), Open::New).unwrap();
    }
    let found = segments(&disk, Path::new("/"), NAME).unwrap();
    let numbers: Vec<u64> = found.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [2, 9_999_999_999, 10_000_000_000]);
    assert!(found.iter().all(|(number, path)| *path == NAME.path(Path::new("/"), *number)));
    let header = SegmentHeader { number: 2, salt: 0, prior_durable_bytes: 0 };
    assert!(SegmentWriter::create(&disk, &found[0].1, header).is_err(), "a segment that is there is not overwritten");
}
