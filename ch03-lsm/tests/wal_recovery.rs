//! The judge of `wal_recovery`: what becomes of logs that are whole, torn, cut short without a trace, or damaged.

use std::path::{Path, PathBuf};

use ch03_lsm::engine::key::{Kind, Seq};
use ch03_lsm::error::Error;
use ch03_lsm::storage::batch::Batch;
use ch03_lsm::storage::files::WAL;
use ch03_lsm::storage::wal_recovery::{Recovered, RecoveryMode, replay};
use common::disk::log::{FILL, SegmentHeader, SegmentWriter};
use common::disk::{Disk, Open, SimDisk};
use common::judge::seeds;

const TOLERATE: RecoveryMode = RecoveryMode::TolerateTornTail;
const ABSOLUTE: RecoveryMode = RecoveryMode::AbsoluteConsistency;

/// Logs that are being written, one after the other.
struct Logs {
    disk: SimDisk,
    wals: Vec<(u64, PathBuf)>,
    log: Option<SegmentWriter>,
    /// Where each batch ends: the log, from 0, the offset, and the number of its last write.
    ends: Vec<(usize, u64, u64)>,
    seq: u64,
}

impl Logs {
    fn new() -> Self {
        Self { disk: SimDisk::new(0), wals: Vec::new(), log: None, ends: Vec::new(), seq: 0 }
    }

    /// Begins the next log, which says of the one before how much of it is known to be durable.
    fn log(mut self) -> Self {
        let number = self.wals.len() as u64 * 3 + 2;
        let path = WAL.path(Path::new("/"), number);
        let prior_durable_bytes = self.log.as_ref().map_or(0, SegmentWriter::durable);
        let header = SegmentHeader { number, salt: number, prior_durable_bytes };
        self.log = Some(SegmentWriter::create(&self.disk, &path, header).unwrap());
        self.wals.push((number, path));
        self
    }

    /// Lets the log reserve space whenever it is synced.
    fn reserving(mut self) -> Self {
        self.log = self.log.map(|log| log.reserving(4_096));
        self
    }

    /// Ends the log: durable, and without what was reserved.
    fn finish(mut self) -> Self {
        self.log.as_mut().expect("a log was begun").finish().unwrap();
        self
    }

    /// Writes a batch of `count` writes.
    fn batch(mut self, count: u64) -> Self {
        let mut batch = Batch::new();
        for seq in self.seq + 1..=self.seq + count {
            if seq % 5 == 0 {
                batch.delete(&key(seq)).unwrap();
            } else {
                batch.put(&key(seq), &seq.to_le_bytes()).unwrap();
            }
        }
        let log = self.log.as_mut().expect("a log was begun");
        let end = log.append(batch.record(Seq(self.seq + 1))).unwrap();
        log.write().unwrap();
        self.seq += count;
        self.ends.push((self.wals.len() - 1, end, self.seq));
        self
    }

    fn sync(mut self) -> Self {
        self.log.as_mut().expect("a log was begun").sync().unwrap();
        self
    }

    fn path(&self, log: usize) -> &Path {
        &self.wals[log].1
    }

    /// Where a log's last batch ends, and the one before.
    fn last_ends(&self, log: usize) -> (u64, u64) {
        let ends: Vec<u64> = self.ends.iter().filter(|end| end.0 == log).map(|end| end.1).collect();
        (ends[ends.len() - 1], ends[ends.len() - 2])
    }

    /// The same with log number `log`, from 0, cut to `len` bytes.
    fn cut(&self, log: usize, len: u64) -> SimDisk {
        let disk = self.disk.fork();
        disk.open(self.path(log), Open::Existing).unwrap().set_len(len).unwrap();
        disk
    }

    /// The same with one byte of a log inverted.
    fn damage(&self, log: usize, byte: u64) -> SimDisk {
        let disk = self.disk.fork();
        let content = disk.cached(self.path(log)).unwrap();
        let file = disk.open(self.path(log), Open::Existing).unwrap();
        file.write_at(&[!content[byte as usize]], byte).unwrap();
        disk
    }

    /// The numbers of the writes that a replay applies, each with the right key and value, and what it returns.
    fn replay(&self, disk: &SimDisk, mode: RecoveryMode, from: u64) -> (Vec<u64>, Result<Recovered, Error>) {
        let mut applied = Vec::new();
        let result = replay(disk, &self.wals, mode, Seq(from), &mut |seq, write| {
            assert_eq!(write.key, key(seq.0), "write {} has its own number", seq.0);
            let kind = if seq.0 % 5 == 0 { Kind::Delete } else { Kind::Put };
            assert_eq!(write.kind, kind);
            if kind == Kind::Put {
                assert_eq!(write.value, seq.0.to_le_bytes());
            }
            applied.push(seq.0);
        });
        (applied, result)
    }
}

fn key(seq: u64) -> Vec<u8> {
    format!("key{seq}").into_bytes()
}

fn up_to(seq: u64) -> Vec<u64> {
    (1..=seq).collect()
}

#[test]
fn whole_logs_are_replayed_in_order_and_what_tables_hold_is_passed_over() {
    let logs = Logs::new().log().batch(4).sync().batch(1).log().log().batch(3).batch(2).sync();
    for mode in [TOLERATE, ABSOLUTE] {
        let (applied, recovered) = logs.replay(&logs.disk, mode, 0);
        assert_eq!(applied, up_to(10), "each write once, in order");
        let whole = Recovered { batches: 4, seq: Seq(10), ..Recovered::default() };
        assert_eq!(recovered.unwrap(), whole);
        for from in [2, 4, 5, 7, 8, 9] {
            let (applied, recovered) = logs.replay(&logs.disk, mode, from);
            assert_eq!(applied, (from + 1..=10).collect::<Vec<_>>(), "writes up to {from} are in tables already");
            assert_eq!(recovered.unwrap().seq, Seq(10));
        }
        let (applied, recovered) = logs.replay(&logs.disk, mode, 10);
        assert_eq!((applied, recovered.unwrap().seq), (vec![], Seq(10)));
    }
    let none = Logs::new();
    assert_eq!(none.replay(&none.disk, TOLERATE, 7).1.unwrap(), Recovered { seq: Seq(7), ..Recovered::default() });
}

#[test]
fn a_torn_tail_is_given_up_and_it_is_said_where() {
    let logs = Logs::new().log().batch(2).batch(3).batch(4);
    let (end, before) = logs.last_ends(0);
    for len in before + 1..end {
        let (applied, recovered) = logs.replay(&logs.cut(0, len), TOLERATE, 0);
        assert_eq!(applied, up_to(5), "{len} bytes: a batch happens all or not at all");
        let recovered = recovered.unwrap();
        assert_eq!((recovered.batches, recovered.seq), (2, Seq(5)), "{len} bytes");
        let torn = recovered.torn.unwrap_or_else(|| panic!("{len} bytes: nobody is told"));
        assert_eq!((torn.path.as_path(), torn.offset), (logs.path(0), before), "{len} bytes");
        assert!(!torn.what.is_empty());
    }
    for byte in before..end {
        let (applied, recovered) = logs.replay(&logs.damage(0, byte), TOLERATE, 0);
        assert_eq!(applied, up_to(5), "byte {byte} is not what was written");
        assert_eq!(recovered.unwrap().torn.map(|torn| torn.offset), Some(before), "byte {byte}");
    }
    // The length was durable, and the bytes were not.
    let zeros = logs.cut(0, before);
    zeros.open(logs.path(0), Open::Existing).unwrap().set_len(end).unwrap();
    let recovered = logs.replay(&zeros, TOLERATE, 0).1.unwrap();
    assert_eq!((recovered.seq, recovered.torn.map(|torn| torn.offset)), (Seq(5), Some(before)), "zeros are no batch");
    // The power failed as the log was created.
    let (applied, recovered) = logs.replay(&logs.cut(0, 17), TOLERATE, 0);
    assert_eq!((applied, recovered.unwrap().torn.map(|torn| torn.offset)), (vec![], Some(0)));
}

#[test]
fn absolute_consistency_refuses_what_is_torn() {
    let logs = Logs::new().log().batch(2).batch(3).log().batch(1).batch(2);
    for (log, count) in [(0, 2), (1, 6)] {
        let (end, before) = logs.last_ends(log);
        for len in [before + 1, end - 1] {
            let (_, result) = logs.replay(&logs.cut(log, len), ABSOLUTE, 0);
            let Err(Error::TornTail { path, offset, .. }) = result else {
                panic!("log {log}, {len} bytes: {result:?}")
            };
            assert_eq!((path.as_path(), offset), (logs.path(log), before));
        }
        let recovered = logs.replay(&logs.cut(log, end - 1), TOLERATE, 0).1.unwrap();
        assert_eq!(recovered.seq, Seq(count), "the other mode opens the same logs");
    }
    let (end, before) = logs.last_ends(1);
    let zeros = logs.cut(1, before);
    zeros.open(logs.path(1), Open::Existing).unwrap().set_len(end).unwrap();
    assert!(matches!(logs.replay(&zeros, ABSOLUTE, 0).1, Err(Error::TornTail { .. })), "zeros may have been a batch");
    assert!(matches!(logs.replay(&logs.cut(1, 3), ABSOLUTE, 0).1, Err(Error::TornTail { .. })), "so may half a header");
}

#[test]
fn what_comes_after_a_tear_is_given_up_with_it() {
    let logs = Logs::new().log().batch(2).batch(2).log().batch(3).batch(1).log().batch(1).log().batch(2);
    let (end, before) = logs.last_ends(1);
    let (applied, recovered) = logs.replay(&logs.cut(1, end - 2), TOLERATE, 0);
    assert_eq!(applied, up_to(7), "a later write without an earlier one is a state that never was");
    let recovered = recovered.unwrap();
    assert_eq!((recovered.batches, recovered.seq), (3, Seq(7)));
    let torn = recovered.torn.expect("it is said");
    assert_eq!((torn.path.as_path(), torn.offset), (logs.path(1), before));
    assert_eq!(recovered.given_up, [logs.path(2), logs.path(3)], "and what is given up is named");
}

#[test]
fn a_tail_that_is_gone_without_a_trace_is_a_tear() {
    let logs = Logs::new().log().batch(2).batch(2).log().batch(3).log().batch(1);
    let (_, before) = logs.last_ends(0);
    let disk = logs.cut(0, before);
    let (applied, recovered) = logs.replay(&disk, TOLERATE, 0);
    assert_eq!(applied, up_to(2), "writes 3 and 4 are missing: 5 must not be there");
    let recovered = recovered.unwrap();
    assert_eq!((recovered.batches, recovered.seq), (1, Seq(2)));
    let torn = recovered.torn.expect("it is said");
    assert_eq!((torn.path.as_path(), torn.offset), (logs.path(0), before), "it is the log before that is torn");
    assert_eq!(recovered.given_up, [logs.path(1), logs.path(2)]);
    assert!(matches!(logs.replay(&disk, ABSOLUTE, 0).1, Err(Error::TornTail { offset, .. }) if offset == before));
}

#[test]
fn what_a_later_log_attests_to_was_durable_and_is_no_tear() {
    // The next log says how much of this one was durable when it was begun.
    let logs = Logs::new().log().batch(2).batch(2).sync().log().batch(3);
    // The one after it was synced, which covers all logs before it: its mark says so, or the header behind it.
    let marked = Logs::new().log().batch(2).batch(2).log().batch(3).log().batch(1).sync().batch(1);
    let followed = Logs::new().log().batch(2).batch(2).log().batch(3).log().batch(1).sync().log().batch(1);
    for (logs, which) in [(&logs, "a header"), (&marked, "a mark"), (&followed, "a header further on")] {
        let (end, before) = logs.last_ends(0);
        for len in [before, before + 1, end - 1] {
            for mode in [TOLERATE, ABSOLUTE] {
                let result = logs.replay(&logs.cut(0, len), mode, 0).1;
                let error = result.expect_err("what was durable is missing");
                assert!(error.is_damage(), "{which}, {len} bytes: {error}");
                let Error::Record { path, offset, .. } = error else {
                    panic!("{which}, {len} bytes, {mode:?}: {error}")
                };
                assert_eq!((path.as_path(), offset), (logs.path(0), before), "{which}");
            }
        }
        assert!(logs.replay(&logs.disk, TOLERATE, 0).1.is_ok(), "{which}: whole, it is no damage");
    }
}

#[test]
fn a_header_that_attests_to_less_than_what_is_left_leaves_a_tear() {
    // Two of three batches of the first log were durable; of the second log nothing was, though it has a header.
    let logs = Logs::new().log().batch(2).batch(2).sync().batch(2).log().batch(3).log().batch(1);
    let (end, before) = logs.last_ends(0);
    for len in [before, before + 1, end - 1] {
        let recovered = logs.replay(&logs.cut(0, len), TOLERATE, 0).1;
        let recovered = recovered.unwrap_or_else(|error| panic!("{len} bytes: nobody was promised the third: {error}"));
        assert_eq!((recovered.seq, recovered.given_up.len()), (Seq(4), 2), "{len} bytes");
    }
    let earlier = logs.ends[0].1 + 1;
    assert!(logs.replay(&logs.cut(0, earlier), TOLERATE, 0).1.is_err(), "and the second is attested");
}

#[test]
fn reserved_space_is_the_end_of_a_log_and_what_is_lost_before_it_is_a_tear() {
    let ends_reserved = |logs: &Logs, log| logs.disk.cached(logs.path(log)).unwrap().ends_with(&[FILL; 100]);
    let logs = Logs::new().log().reserving().batch(2).sync().batch(1).log().reserving().batch(3).sync().batch(1);
    assert!(ends_reserved(&logs, 0) && ends_reserved(&logs, 1), "neither was ended");
    // The first is not the last one: nothing after it was lost, as the numbers of the next one show.
    let first = Logs::new().log().reserving().batch(2).sync().log().batch(2);
    for mode in [TOLERATE, ABSOLUTE] {
        let (applied, recovered) = first.replay(&first.disk, mode, 0);
        assert_eq!((applied, recovered.unwrap().torn), (up_to(4), None), "{mode:?}");
    }
    let (end, before) = logs.last_ends(1);
    let last_alone = Logs { wals: logs.wals[1..].to_vec(), ..Logs::new() };
    for mode in [TOLERATE, ABSOLUTE] {
        let (applied, recovered) = last_alone.replay(&logs.disk, mode, 3);
        assert_eq!((applied, recovered.unwrap().torn), (vec![4, 5, 6, 7], None), "{mode:?}: it is how a log ends");
    }
    // Lost bytes read as zeros, and those of another sector behind them are there.
    for lost in [before..end, before..end + 100, before..before + 9] {
        let disk = logs.disk.fork();
        let file = disk.open(logs.path(1), Open::Existing).unwrap();
        file.write_at(&vec![0; (lost.end - lost.start) as usize], lost.start).unwrap();
        let (applied, recovered) = last_alone.replay(&disk, TOLERATE, 3);
        assert_eq!(applied, [4, 5, 6], "bytes {lost:?}");
        assert_eq!(recovered.unwrap().torn.map(|torn| torn.offset), Some(before), "bytes {lost:?}: it is said");
        let Err(Error::TornTail { path, offset, .. }) = last_alone.replay(&disk, ABSOLUTE, 3).1 else {
            panic!("bytes {lost:?}: a batch was lost, and nobody is told")
        };
        assert_eq!((path.as_path(), offset), (logs.path(1), before), "bytes {lost:?}");
    }
    // A log that a later sync covered was ended before it: what reads as reserved there is a write that the disk has dropped.
    let ended = Logs::new().log().reserving().batch(2).sync().batch(1).finish().log().batch(1).sync().batch(1);
    assert!(!ends_reserved(&ended, 0) && ended.replay(&ended.disk, ABSOLUTE, 0).1.is_ok());
    let attested = Logs::new().log().reserving().batch(2).sync().batch(1).sync().log();
    for (logs, which) in [(&ended, "a mark"), (&attested, "a header")] {
        let (end, before) = logs.last_ends(0);
        let disk = logs.disk.fork();
        let file = disk.open(logs.path(0), Open::Existing).unwrap();
        file.write_at(&vec![FILL; (end - before) as usize], before).unwrap();
        for mode in [TOLERATE, ABSOLUTE] {
            let error = logs.replay(&disk, mode, 0).1.expect_err("what was durable is missing");
            let Error::Record { path, offset, .. } = &error else { panic!("{which}, {mode:?}: {error}") };
            assert_eq!((path.as_path(), *offset, error.is_damage()), (logs.path(0), before, true), "{which}, {mode:?}");
        }
    }
}

#[test]
fn damage_within_a_log_is_refused_in_both_modes() {
    let logs = Logs::new().log().batch(2).sync().batch(2).sync().batch(1);
    let first_end = logs.ends[0].1;
    for byte in 0..first_end {
        for mode in [TOLERATE, ABSOLUTE] {
            let result = logs.replay(&logs.damage(0, byte), mode, 0).1;
            assert!(result.as_ref().is_err_and(Error::is_damage), "byte {byte}, {mode:?}: {result:?}");
        }
    }
    // A log that begins too late, and none before it that could have been torn.
    let mut late = Logs::new();
    late.seq = 3;
    let late = late.log().batch(2);
    let (applied, result) = late.replay(&late.disk, TOLERATE, 0);
    assert!(
        applied.is_empty() && result.as_ref().is_err_and(Error::is_damage),
        "writes 1 to 3 are nowhere: {result:?}"
    );
    assert_eq!(late.replay(&late.disk, TOLERATE, 3).0, [4, 5]);
}

#[test]
fn a_replay_never_has_a_later_write_without_an_earlier_one() {
    for seed in seeds(60) {
        let mut state = seed;
        let mut below = |bound: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((state ^ (state >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd) >> 33) % bound
        };
        let mut logs = Logs::new().log();
        let mut synced = 0;
        for _ in 0..14 {
            logs = match below(5) {
                0 => logs.log(),
                _ => logs.batch(1 + below(4)),
            };
        }
        // Before the last few batches everything was synced.
        let unsynced = 1 + below(4);
        for (_, path) in &logs.wals {
            logs.disk.open(path, Open::Existing).unwrap().sync_data().unwrap();
        }
        synced = logs.seq.max(synced);
        logs = logs.sync();
        for _ in 0..unsynced {
            logs = if below(3) == 0 { logs.log().batch(1) } else { logs.batch(1 + below(3)) };
        }
        for fate in 0..12 {
            let disk = logs.disk.fork();
            disk.sync_dir(Path::new("/")).unwrap();
            disk.reseed(seed * 100 + fate);
            disk.crash(common::disk::Crash::Random);
            let (applied, recovered) = logs.replay(&disk, TOLERATE, 0);
            let what = format!("seed {seed}, fate {fate}");
            let recovered = recovered.unwrap_or_else(|error| panic!("{what}: a crash is no damage: {error}"));
            assert_eq!(applied, up_to(recovered.seq.0), "{what}: no holes");
            assert!(recovered.seq.0 >= synced, "{what}: {} of {synced} synced", recovered.seq.0);
            assert!(
                recovered.seq.0 == 0 || logs.ends.iter().any(|end| end.2 == recovered.seq.0),
                "{what}: whole batches"
            );
        }
    }
}
