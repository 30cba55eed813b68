//! What compactions keep of each key: all that somebody sees or will see, and as little more as can be.

use ch03_lsm::engine::key::{InternalKeyBuf, Kind, Seq, Stamp};
use ch03_lsm::engine::retention::Retention;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A version of a key: its number, and whether it has a value. `value` tells it from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    seq: u64,
    is_put: bool,
    value: u64,
}

/// What a reader finds: the newest version that is not newer than itself.
fn found(versions: &[Version], reader: u64) -> Option<u64> {
    let newest = versions.iter().filter(|version| version.seq <= reader).max_by_key(|version| version.seq)?;
    newest.is_put.then_some(newest.value)
}

/// What is kept of one key's versions, the newest first, with the numbers that they are kept with.
fn kept(retention: &mut Retention, user: &[u8], versions: &[Version]) -> Vec<Version> {
    let mut kept = Vec::new();
    for version in versions {
        let kind = if version.is_put { Kind::Put } else { Kind::Delete };
        let key = InternalKeyBuf::new(user, Stamp::new(Seq(version.seq), kind));
        if retention.keeps(key.as_key()) {
            kept.push(Version { seq: retention.seq_to_keep(Seq(version.seq)).0, ..*version });
        }
    }
    kept
}

#[test]
fn every_reader_finds_what_it_found_before_and_no_two_versions_get_one_number() {
    let (mut forgotten, mut tombstones) = (0, 0);
    for seed in 0..3000 {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let now = rng.random_range(1..30);
        let snapshots: Vec<u64> = (0..rng.random_range(0..4)).map(|_| rng.random_range(0..=now)).collect();
        let is_bottom = rng.random();
        let mut retention = Retention::new(snapshots.iter().copied().map(Seq), Seq(now), is_bottom);
        for user in [b"a", b"b"] {
            // Writes that came after `now` are among them: they may be flushed while a compaction runs.
            let seqs = (1..now + 5).filter(|_| rng.random_ratio(1, 4)).collect::<Vec<_>>();
            let version = |seq| Version { seq, is_put: rng.random_ratio(2, 3), value: seq };
            let versions: Vec<Version> = seqs.into_iter().rev().map(version).collect();
            // What the levels below have is older than all of these; at the bottom there is nothing.
            let below = if is_bottom { None } else { Some(Version { seq: 0, is_put: true, value: 0 }) };
            let before: Vec<_> = versions.iter().copied().chain(below).collect();
            let kept = kept(&mut retention, user, &versions);
            let after: Vec<_> = kept.iter().copied().chain(below).collect();
            for reader in snapshots.iter().copied().chain(now..now + 10) {
                assert_eq!(
                    found(&after, reader),
                    found(&before, reader),
                    "seed {seed}: a reader at {reader} of {before:?} with snapshots {snapshots:?}, after {after:?}"
                );
            }
            assert!(
                after.windows(2).all(|pair| pair[0].seq > pair[1].seq),
                "seed {seed}: {after:?} have numbers that tell them apart, the newest first"
            );
            forgotten += kept.iter().filter(|version| version.seq == 0).count();
            tombstones += kept.iter().filter(|version| !version.is_put).count();
        }
    }
    assert!(
        forgotten > 300 && tombstones > 300,
        "{forgotten} without a number, {tombstones} tombstones: all of it occurs"
    );
}

#[test]
fn at_the_bottom_what_everybody_sees_needs_no_number_and_a_tombstone_is_not_needed() {
    let put = |seq| Version { seq, is_put: true, value: seq };
    let versions = [put(24), put(15), put(12), put(7), put(3)];
    let numbers = |is_bottom, snapshots: &[u64]| -> Vec<u64> {
        let mut retention = Retention::new(snapshots.iter().copied().map(Seq), Seq(30), is_bottom);
        kept(&mut retention, b"key", &versions).iter().map(|version| version.seq).collect()
    };
    assert_eq!(numbers(false, &[10, 20]), [24, 15, 7]);
    assert_eq!(
        numbers(true, &[10, 20]),
        [24, 15, 0],
        "7 is the oldest, and the snapshot at 10 and all later ones see it"
    );
    assert_eq!(numbers(true, &[5, 10]), [24, 7, 0]);
    assert_eq!(numbers(true, &[2]), [24], "the snapshot at 2 sees none of them, and must not");
    assert_eq!(numbers(true, &[]), [0]);
    assert_eq!(numbers(false, &[]), [24], "something older may be below");
    let gone = [Version { seq: 9, is_put: false, value: 9 }, put(4)];
    let mut retention = Retention::new([], Seq(30), true);
    assert_eq!(kept(&mut retention, b"key", &gone), []);
    let mut retention = Retention::new([], Seq(30), false);
    assert_eq!(kept(&mut retention, b"key", &gone), [gone[0]], "below may be something for it to hide");
}
