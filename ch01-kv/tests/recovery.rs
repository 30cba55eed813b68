//! The judge of `recovery`: what a replay makes of a log that is whole, torn or damaged.

use std::io;
use std::sync::Mutex;

use ch01_kv::storage::format::{self, ANNOTATION_MAX_BYTES, Annotation, PADDING, Position};
use ch01_kv::storage::outcome::{Flaw, Recovered, ReplayError, Tail};
use ch01_kv::storage::recovery::{Extent, READ_BYTES, replay};
use common::disk::DiskFile;
use common::judge::seeds;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const SALT: u64 = 0x5eed_5a17;

/// A file in memory that notes how far it was read.
#[derive(Debug, Default)]
struct MemoryFile {
    bytes: Vec<u8>,
    /// A read that reaches this offset fails.
    broken_at: Option<u64>,
    /// The end of the furthest read, and how many bytes were read in all.
    reads: Mutex<(u64, u64)>,
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        assert!(
            buf.len() <= 4 * READ_BYTES,
            "a read of {} bytes at once: memory for a length that was claimed",
            buf.len()
        );
        let rest = self.bytes.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        if self.broken_at.is_some_and(|broken| offset + len as u64 > broken) {
            return Err(io::Error::other("a bad sector"));
        }
        buf[..len].copy_from_slice(&rest[..len]);
        let mut reads = self.reads.lock().expect("no reader panics");
        *reads = (reads.0.max(offset + len as u64), reads.1 + len as u64);
        Ok(len)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        panic!("a replay writes nothing")
    }

    fn sync_data(&self) -> io::Result<()> {
        panic!("a replay syncs nothing")
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        panic!("a replay cuts nothing: it says where")
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }
}

/// A log that is being written, and what its groups are.
#[derive(Debug, Clone)]
struct Written {
    bytes: Vec<u8>,
    groups: Vec<Vec<u8>>,
    /// Where each group begins, and where the last one ends.
    bounds: Vec<u64>,
}

impl Written {
    fn new() -> Self {
        let bytes = format::encode_header(SALT).to_vec();
        Self { bounds: vec![bytes.len() as u64], bytes, groups: Vec::new() }
    }

    /// Appends a group that testifies that everything up to `synced` was durable.
    fn group(mut self, synced: u64, commands: &[u8]) -> Self {
        let seq = self.groups.len() as u64 + 1;
        self.bytes.extend_from_slice(commands);
        Annotation::new(SALT, seq, synced, commands).encode(SALT, &mut self.bytes);
        self.groups.push(commands.to_vec());
        self.bounds.push(self.bytes.len() as u64);
        self
    }

    /// As `always` writes: each group after the sync of the one before.
    fn synced_group(self, commands: &[u8]) -> Self {
        let synced = self.groups.len() as u64;
        self.group(synced, commands)
    }

    /// The number of the group, from 0, in which `offset` lies.
    fn group_at(&self, offset: u64) -> usize {
        self.bounds.iter().rposition(|bound| *bound <= offset).expect("beyond the header")
    }
}

/// A command that sets `key` to `value`.
fn set(key: &str, value: &[u8]) -> Vec<u8> {
    let mut command = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n", key.len(), value.len()).into_bytes();
    command.extend_from_slice(value);
    command.extend_from_slice(b"\r\n");
    command
}

/// A log of a few groups of all sizes, some with several commands.
fn sample(seed: u64) -> Written {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut log = Written::new();
    for group in 0..6 {
        let mut commands = Vec::new();
        for command in 0..rng.random_range(1..4) {
            let value: Vec<u8> = (0..rng.random_range(0..90)).map(|_| rng.random()).collect();
            commands.extend(set(&format!("key:{group}:{command}"), &value));
        }
        log = log.synced_group(&commands);
    }
    log
}

/// What was applied, and how the replay ended.
fn replayed(bytes: &[u8]) -> (Vec<Vec<u8>>, Result<Recovered, ReplayError>) {
    let file = MemoryFile { bytes: bytes.to_vec(), ..MemoryFile::default() };
    let mut applied = Vec::new();
    let extent = Extent { salt: SALT, from: Position::FIRST, to: bytes.len() as u64 };
    let result = replay(&file, extent, &mut |commands| {
        applied.push(commands.to_vec());
        Ok(())
    });
    (applied, result)
}

/// Asserts that `bytes` are refused as damaged in group `group` of `log`, and that exactly the ones before were applied.
#[track_caller]
fn assert_damaged(log: &Written, bytes: &[u8], group: usize, what: &str) {
    let (applied, result) = replayed(bytes);
    match result {
        Err(ReplayError::Damaged { offset, .. }) => assert_eq!(offset, log.bounds[group], "the offset, {what}"),
        other => panic!("damage to something durable, {what}: {other:?}"),
    }
    assert_eq!(applied, log.groups[..group], "what was applied, {what}");
}

/// Asserts that `bytes` are cut after `group` groups of `log`.
#[track_caller]
fn assert_torn(log: &Written, bytes: &[u8], group: usize, what: &str) -> (Flaw, u64) {
    let (applied, result) = replayed(bytes);
    assert_eq!(applied, log.groups[..group], "what was applied, {what}");
    let recovered = result.unwrap_or_else(|error| panic!("a tear is no damage, {what}: {error}"));
    assert_eq!(
        recovered.end,
        Position { offset: log.bounds[group], seq: group as u64 },
        "where the next group goes, {what}"
    );
    assert_eq!(recovered.groups, group as u64, "{what}");
    match recovered.tail {
        Tail::Torn { at, bytes: len, why, later } => {
            assert_eq!((at, len), (log.bounds[group], bytes.len() as u64 - log.bounds[group]), "the tail, {what}");
            (why, later)
        }
        tail => panic!("a torn tail is reported, {what}: {tail:?}"),
    }
}

#[test]
fn whole_groups_are_applied_in_order_and_padding_is_no_tear() {
    let (applied, result) = replayed(&Written::new().bytes);
    let recovered = result.expect("an empty log is whole");
    assert_eq!((applied.len(), recovered.end, recovered.tail), (0, Position::FIRST, Tail::Clean));
    for seed in seeds(20) {
        let log = sample(seed);
        let end = Position { offset: *log.bounds.last().expect("an end"), seq: 6 };
        let (applied, result) = replayed(&log.bytes);
        assert_eq!(applied, log.groups);
        let attested = Position { offset: log.bounds[5], seq: 5 };
        assert_eq!(result.expect("whole"), Recovered { groups: 6, end, attested, tail: Tail::Clean });
        for units in [1, 2, 40_000] {
            let mut padded = log.bytes.clone();
            padded.extend(PADDING.repeat(units));
            let (applied, result) = replayed(&padded);
            assert_eq!(applied, log.groups);
            assert_eq!(result.expect("whole"), Recovered { groups: 6, end, attested, tail: Tail::Padding });
            padded.pop();
            assert_torn(&log, &padded, 6, "padding that is cut off");
        }
    }
    // A seal holds no commands, though it may hold padding: there is nothing to apply in it.
    for units in [0, 1, 255] {
        let sealed = sample(0).synced_group(&PADDING.repeat(units));
        let (applied, result) = replayed(&sealed.bytes);
        assert_eq!(applied, sealed.groups[..6], "a seal of {units} units");
        assert_eq!((result.as_ref().expect("whole").groups, result.expect("whole").tail), (7, Tail::Clean));
    }
    // A group that cannot be applied is somebody's fault, and named; nothing after it is applied.
    let file = MemoryFile { bytes: sample(0).bytes, ..MemoryFile::default() };
    let mut calls = 0;
    let extent = Extent { salt: SALT, from: Position::FIRST, to: file.bytes.len() as u64 };
    let result = replay(&file, extent, &mut |_| {
        calls += 1;
        if calls == 2 { Err("no such command".to_owned()) } else { Ok(()) }
    });
    assert!(matches!(result, Err(ReplayError::Refused { offset, .. }) if offset == sample(0).bounds[1]), "{result:?}");
    assert_eq!(calls, 2);
}

#[test]
fn a_log_cut_at_any_byte_gives_exactly_the_groups_that_are_whole() {
    for seed in seeds(2) {
        let log = sample(seed);
        for len in log.bounds[0] as usize..log.bytes.len() {
            let whole = log.group_at(len as u64);
            if log.bounds.contains(&(len as u64)) {
                let (applied, result) = replayed(&log.bytes[..len]);
                assert_eq!(applied, log.groups[..whole], "cut at {len}");
                assert_eq!(result.expect("whole").tail, Tail::Clean, "cut at {len}");
            } else {
                assert_torn(&log, &log.bytes[..len], whole, &format!("cut at {len}"));
                // As a crash leaves it when the padding was written ahead, or the length was and the bytes were not.
                for fill in [PADDING.to_vec(), vec![0; 16]] {
                    let mut torn = log.bytes[..len].to_vec();
                    torn.resize(len.next_multiple_of(16), 0);
                    torn.extend(fill.repeat(20));
                    assert_torn(&log, &torn, whole, &format!("cut at {len}, filled with {:?}", fill[0]));
                }
            }
        }
    }
}

#[test]
fn a_zeroed_sector_in_what_was_durable_is_refused_with_its_offset() {
    let mut log = Written::new();
    for group in 0..4 {
        log = log.synced_group(&set(&format!("key:{group}"), &[b'v'; 3000]));
    }
    let last = log.bounds[3];
    for start in (512..log.bytes.len()).step_by(512) {
        let mut bytes = log.bytes.clone();
        let end = bytes.len().min(start + 512);
        bytes[start..end].fill(0);
        // The sector may reach into the next group. The first one that it touches is named.
        let group = log.group_at(start as u64);
        if (start as u64) < last {
            assert_damaged(&log, &bytes, group, &format!("sector at {start}"));
        } else {
            assert_torn(&log, &bytes, 3, &format!("sector at {start}, in the last group"));
        }
        // The seal that a clean end leaves tells on the last group too.
        let sealed = log.clone().synced_group(b"");
        let mut bytes = sealed.bytes.clone();
        bytes[start..end].fill(0);
        assert_damaged(&log, &bytes, group, &format!("sector at {start}, sealed"));
    }
    // What testifies does not have to be whole itself: its annotation is enough.
    let mut bytes = log.bytes.clone();
    bytes[log.bounds[2] as usize + 100] ^= 1;
    bytes[last as usize + 100] ^= 1;
    assert_damaged(&log, &bytes, 2, "the last group is torn as well");
    // A whole group that is gone, with nothing in its place.
    let mut bytes = log.bytes[..log.bounds[1] as usize].to_vec();
    bytes.extend_from_slice(&log.bytes[log.bounds[2] as usize..]);
    assert_damaged(&log, &bytes, 1, "a group is missing");
}

#[test]
fn a_flipped_bit_is_found_and_never_applied() {
    let log = sample(1);
    let last = log.bounds[5];
    for bit in log.bounds[0] as usize * 8..log.bytes.len() * 8 {
        let mut bytes = log.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let offset = bit as u64 / 8;
        if offset < last {
            assert_damaged(&log, &bytes, log.group_at(offset), &format!("bit {bit}"));
        } else {
            assert_torn(&log, &bytes, 5, &format!("bit {bit}, in the last group"));
        }
    }
}

#[test]
fn a_hole_in_what_was_never_synced_is_a_tear_though_groups_follow() {
    // Two groups were synced; four more were written when the power failed, and a disk writes those in any order.
    let value = |group: u64| set(&format!("key:{group}"), &[b'x'; 600]);
    let mut log = Written::new();
    for group in 1..=6_u64 {
        log = log.group(group.saturating_sub(1).min(2), &value(group));
    }
    for hole in 2..6 {
        let mut bytes = log.bytes.clone();
        bytes[log.bounds[hole] as usize + 40..log.bounds[hole + 1] as usize].fill(0);
        let (_, later) = assert_torn(&log, &bytes, hole, &format!("a hole in group {}", hole + 1));
        assert_eq!(later, 5 - hole as u64, "what is given up with it is counted");
    }
    for hole in 0..2 {
        let mut bytes = log.bytes.clone();
        bytes[log.bounds[hole] as usize + 40..log.bounds[hole + 1] as usize].fill(0);
        assert_damaged(&log, &bytes, hole, &format!("a hole in group {}", hole + 1));
    }
    // The group that follows the hole was written after a sync: it covered what is a hole now.
    let log = log.group(6, &value(7)).group(6, &value(8));
    let mut bytes = log.bytes.clone();
    bytes[log.bounds[6] as usize + 1] ^= 1;
    assert_torn(&log, &bytes, 6, "group 8 says no more than group 7 does");
    bytes[log.bounds[5] as usize + 1] ^= 1;
    assert_damaged(&log, &bytes, 5, "group 7 says that group 6 was durable");
}

#[test]
fn what_no_group_attests_to_is_named() {
    // As `everysec` writes: a sync now and then, and annotations that lag behind it.
    for lag in [1, 2, 7, 30] {
        let mut log = Written::new();
        for group in 0..100_u64 {
            log = log.group(group.saturating_sub(lag) / lag * lag, &set(&format!("key:{group}"), b"value"));
        }
        let durable = (99 - lag) / lag * lag;
        let recovered = replayed(&log.bytes).1.expect("whole");
        assert!(recovered.attested.seq <= durable, "nobody says that group {} is durable", recovered.attested.seq);
        assert!(recovered.attested.seq + 3 * lag >= durable, "{} of {durable}, lag {lag}", recovered.attested.seq);
        assert_eq!(recovered.attested.offset, log.bounds[recovered.attested.seq as usize]);
        // A seal speaks for everything before it, and so does whoever writes on after a restart.
        let sealed = log.synced_group(b"");
        let attested = Position { offset: sealed.bounds[100], seq: 100 };
        assert_eq!(replayed(&sealed.bytes).1.expect("whole").attested, attested);
    }
    // As `no` writes: nothing was ever synced.
    let unsynced = (0..50).fold(Written::new(), |log, _| log.group(0, b"*1\r\n$4\r\nPING\r\n"));
    assert_eq!(replayed(&unsynced.bytes).1.expect("whole").attested, Position::FIRST);
}

#[test]
fn a_value_that_looks_like_a_group_is_a_value() {
    // Groups in a value: with a salt that someone guessed, with the right words and wrong checks, cut off, and a great many.
    let other = SALT + 1;
    let mut forged = Vec::new();
    for seq in 1..20 {
        forged.extend_from_slice(&set("forged", b"1"));
        Annotation::new(other, seq, seq - 1, &set("forged", b"1")).encode(other, &mut forged);
    }
    forged.extend_from_slice(b"\r\n#G 5 00000000 1 0 00000000\r\n#G ");
    let marks = b"#G 1 ".repeat(30_000);
    let log =
        Written::new().synced_group(&set("a", &forged)).synced_group(&set("b", &marks)).synced_group(&set("c", b"#G"));
    let (applied, result) = replayed(&log.bytes);
    assert_eq!(applied, log.groups);
    assert_eq!(result.expect("whole").tail, Tail::Clean);
    // Torn inside such a value, it is a tear: a forged group testifies to nothing.
    for end in [60, forged.len() / 2, forged.len()] {
        assert_torn(&log, &log.bytes[..log.bounds[0] as usize + end], 0, "a tear inside the forged value");
    }
    // An annotation of this very log that claims more than there is, or than there could be.
    for len in [1, 500, u32::MAX >> 1] {
        let claim = Annotation { len, crc: 7, seq: 4, synced: 3 };
        let mut bytes = log.bytes.clone();
        claim.encode(SALT, &mut bytes);
        assert_eq!(assert_torn(&log, &bytes, 3, "a claimed length").0, Flaw::Length);
    }
}

#[test]
fn reading_streams_and_is_linear_whatever_is_in_the_file() {
    let mut log = Written::new();
    for group in 0..24 {
        log = log.synced_group(&set(&format!("key:{group}"), &vec![b'v'; 20_000 + 9_000 * group]));
    }
    let file = MemoryFile { bytes: log.bytes.clone(), ..MemoryFile::default() };
    let extent = Extent { salt: SALT, from: Position::FIRST, to: log.bytes.len() as u64 };
    let mut applied = 0;
    let recovered = replay(&file, extent, &mut |commands| {
        assert!(commands == log.groups[applied], "group {applied}");
        applied += 1;
        let (reached, _) = *file.reads.lock().expect("no reader panics");
        let slack = (2 * READ_BYTES + ANNOTATION_MAX_BYTES) as u64;
        assert!(
            reached <= log.bounds[applied] + slack,
            "group {applied} was applied when {reached} bytes had been read"
        );
        Ok(())
    });
    assert_eq!((recovered.expect("whole").groups, applied), (24, 24));
    // Wherever the pieces that are read begin and end, an annotation that lies across two of them is found.
    for shift in 0..100 {
        let log = Written::new().synced_group(&vec![b'x'; READ_BYTES - 80 + shift]).synced_group(&set("next", b"1"));
        let (applied, result) = replayed(&log.bytes);
        assert_eq!(result.expect("whole").tail, Tail::Clean, "shifted by {shift}");
        assert!(applied == log.groups, "shifted by {shift}");
    }
    // A tear early in a long tail: what follows is looked through once, for evidence, and once more at most.
    let mut bytes = log.bytes[..log.bounds[1] as usize].to_vec();
    bytes.extend(b"torn #G 12 ".repeat(200_000));
    let file = MemoryFile { bytes, ..MemoryFile::default() };
    let extent = Extent { salt: SALT, from: Position::FIRST, to: file.bytes.len() as u64 };
    let recovered = replay(&file, extent, &mut |_| Ok(())).expect("a tear");
    assert_eq!(recovered.end.offset, log.bounds[1]);
    let (_, read) = *file.reads.lock().expect("no reader panics");
    assert!(read <= 2 * file.bytes.len() as u64 + READ_BYTES as u64, "{read} bytes read of {}", file.bytes.len());
}

#[test]
fn a_sector_that_cannot_be_read_is_no_end_of_file() {
    let log = sample(3);
    for broken in [log.bounds[0], log.bounds[3] + 7, log.bytes.len() as u64 - 1] {
        let file = MemoryFile { bytes: log.bytes.clone(), broken_at: Some(broken), ..MemoryFile::default() };
        let extent = Extent { salt: SALT, from: Position::FIRST, to: log.bytes.len() as u64 };
        let result = replay(&file, extent, &mut |_| Ok(()));
        assert!(matches!(result, Err(ReplayError::Read { .. })), "cut what could not be read: {result:?}");
    }
}
