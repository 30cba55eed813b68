//! Range tombstones: what they cover, against a list of them that is searched from end to end.

use std::sync::Arc;

use ch03_lsm::engine::key::{InternalKeyBuf, Kind, Seq, Stamp};
use ch03_lsm::engine::range_tombstones::{Covers, RangeTombstones, last_covered, successor};
use ch03_lsm::engine::retention::Retention;
use proptest::prelude::*;

/// From, to, number.
type Naive = Vec<(Vec<u8>, Vec<u8>, u64)>;

fn naive_covering(all: &Naive, user: &[u8], at: u64) -> Option<Seq> {
    let covers = |(from, to, seq): &&(Vec<u8>, Vec<u8>, u64)| **from <= *user && *user < **to && *seq <= at;
    all.iter().filter(covers).map(|(_, _, seq)| Seq(*seq)).max()
}

fn fragmented(all: &Naive) -> RangeTombstones {
    let mut tombstones = RangeTombstones::new();
    for (from, to, seq) in all {
        // Every number may be a reader's.
        tombstones.insert(from, to, Seq(*seq), Seq(seq - 1));
    }
    tombstones
}

/// Short keys of few letters, the least byte among them: ends meet, and follow one another directly.
fn user() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0u8, 1, b'a', b'b', 255]), 0..4)
}

fn some_ranges(most: usize) -> impl Strategy<Value = Naive> {
    prop::collection::vec((user(), user()), 0..most).prop_map(|pairs| {
        let ordered = pairs.into_iter().filter(|(a, b)| a != b).map(|(a, b)| if a < b { (a, b) } else { (b, a) });
        (1..).zip(ordered).map(|(seq, (from, to))| (from, to, seq)).collect()
    })
}

fn no_two_overlap(tombstones: &RangeTombstones) -> bool {
    let fragments: Vec<_> = tombstones.iter().collect();
    fragments.iter().all(|(from, to, _)| from < to)
        && fragments.windows(2).all(|pair| {
            let ((from, to, seq), (next_from, next_to, next_seq)) = (pair[0], pair[1]);
            to <= next_from || (from, to) == (next_from, next_to) && seq > next_seq
        })
}

proptest! {
    #[test]
    fn a_key_is_covered_by_the_newest_tombstone_that_the_reader_sees(
        all in some_ranges(12),
        asked in prop::collection::vec((user(), 0..14u64), 40),
    ) {
        let tombstones = fragmented(&all);
        prop_assert!(no_two_overlap(&tombstones));
        let mut copy = RangeTombstones::new();
        for (from, to, seq) in tombstones.iter() {
            prop_assert!(copy.push(from, to, seq), "what iter() gives can be pushed");
        }
        prop_assert_eq!(&copy, &tombstones);
        for (user, at) in asked {
            let expected = naive_covering(&all, &user, at);
            prop_assert_eq!(tombstones.covering(&user, Seq(at)), expected);
            let around = tombstones.around(&user, Seq(at));
            prop_assert_eq!(around.newest, expected);
            prop_assert!(around.from.is_none_or(|from| from <= &*user) && around.to.is_none_or(|to| &*user < to));
        }
    }

    #[test]
    fn what_no_reader_comes_between_is_one_tombstone(
        all in some_ranges(12),
        group in 2..5u64,
        asked in prop::collection::vec(user(), 20),
    ) {
        let mut tombstones = RangeTombstones::new();
        for (from, to, seq) in &all {
            tombstones.insert(from, to, Seq(*seq), Seq((seq - 1) / group * group));
        }
        for user in asked {
            for at in (0..14).filter(|at| at % group == 0) {
                prop_assert_eq!(tombstones.covering(&user, Seq(at)), naive_covering(&all, &user, at));
            }
        }
        let whole = fragmented(&all);
        prop_assert!(tombstones.len() <= whole.len() && tombstones.used_bytes() <= whole.used_bytes());
    }

    #[test]
    fn a_part_covers_what_the_whole_covers_there_and_nothing_else(
        all in some_ranges(12),
        ends in (prop::option::of(user()), prop::option::of(user())),
        asked in prop::collection::vec(user(), 40),
    ) {
        let (from, to) = (ends.0.as_deref(), ends.1.as_deref());
        let part = fragmented(&all).clipped(from, to);
        prop_assert!(no_two_overlap(&part));
        for user in asked {
            let is_within = from.is_none_or(|from| from <= &*user) && to.is_none_or(|to| &*user < to);
            let expected = naive_covering(&all, &user, 99).filter(|_| is_within);
            prop_assert_eq!(part.covering(&user, Seq(99)), expected);
        }
    }

    #[test]
    fn the_span_holds_all_that_is_covered_and_ends_where_a_table_was_cut(
        all in some_ranges(8),
        cut in user(),
        asked in prop::collection::vec(user(), 20),
    ) {
        let whole = fragmented(&all);
        let behind = successor(&cut);
        let (left, right) = (whole.clipped(None, Some(&behind)), whole.clipped(Some(&behind), None));
        for part in [&whole, &left, &right] {
            let span = part.span();
            prop_assert_eq!(span.is_none(), part.is_empty());
            for user in &asked {
                let inside = |(first, last): &(InternalKeyBuf, InternalKeyBuf)| {
                    first.as_key().user() <= &**user && &**user <= last.as_key().user()
                };
                prop_assert!(part.covering(user, Seq(99)).is_none() || span.as_ref().is_some_and(inside));
            }
        }
        if let Some((_, last)) = left.span() {
            prop_assert!(last.as_key().user() <= &*cut, "the table that ends with the key ends with it");
        }
        if let Some((first, _)) = right.span() {
            prop_assert!(&*cut < first.as_key().user());
        }
        let mut again = right.clone();
        again.extend(&left);
        for user in asked {
            prop_assert_eq!(again.covering(&user, Seq(4)), whole.covering(&user, Seq(4)), "both parts are the whole");
        }
    }

    #[test]
    fn a_reader_of_many_parts_is_told_of_the_newest_in_any(
        parts in prop::collection::vec(some_ranges(6), 0..4),
        cuts in prop::collection::vec(user(), 0..4),
        asked in prop::collection::vec(user(), 40),
        at in 0..8u64,
    ) {
        let mut cuts = cuts;
        cuts.sort();
        cuts.dedup();
        // Each part a run, and the first one of them cut into the tables of a level.
        let runs = parts.iter().enumerate().map(|(index, part)| {
            let whole = fragmented(part);
            if index > 0 {
                return vec![Arc::new(whole)];
            }
            let ends: Vec<_> = std::iter::once(None).chain(cuts.iter().map(Some)).chain([None]).collect();
            let tables = ends.windows(2).map(|pair| whole.clipped(pair[0].map(|k| &**k), pair[1].map(|k| &**k)));
            tables.map(Arc::new).collect()
        });
        let mut covers = Covers::new(Seq(at), runs);
        for user in asked {
            let expected = parts.iter().filter_map(|part| naive_covering(part, &user, at)).max();
            prop_assert_eq!(covers.covering(&user), expected);
            let (from, to) = covers.extent();
            prop_assert!(from <= &*user && to.is_none_or(|to| &*user < to));
        }
    }

    #[test]
    fn what_is_left_out_of_a_merge_no_reader_misses(
        all in some_ranges(10),
        puts in prop::collection::btree_set((user(), 11..24u64), 0..30),
        snapshots in prop::collection::btree_set(0..24u64, 0..4),
        is_bottom in any::<bool>(),
    ) {
        // Tombstones at even numbers, puts in between.
        let all: Naive = all.into_iter().map(|(from, to, seq)| (from, to, seq * 2)).collect();
        let puts: std::collections::BTreeSet<_> = puts.into_iter().map(|(user, seq)| (user, (seq - 11) * 2 + 1)).collect();
        let mut entries: Vec<_> =
            puts.iter().map(|(user, seq)| InternalKeyBuf::new(user, Stamp::new(Seq(*seq), Kind::Put))).collect();
        entries.sort();
        let now = 30;
        let seqs = snapshots.iter().map(|seq| Seq(*seq));
        let mut retention = Retention::new(seqs, Seq(now), is_bottom).with_ranges(fragmented(&all));
        let ranges = retention.ranges();
        let kept: Vec<_> = entries.iter().filter(|key| retention.keeps(key.as_key())).collect();
        for at in snapshots.iter().copied().chain([now]) {
            for (user, _) in &puts {
                let newest = |keys: &mut dyn Iterator<Item = &InternalKeyBuf>| {
                    keys.filter(|key| key.as_key().user() == &**user && key.as_key().stamp().seq() <= Seq(at))
                        .map(|key| key.as_key().stamp().seq())
                        .max()
                };
                let seen = newest(&mut entries.iter()).filter(|seq| naive_covering(&all, user, at) < Some(*seq));
                let left = newest(&mut kept.iter().copied()).filter(|seq| ranges.covering(user, Seq(at)) < Some(*seq));
                prop_assert_eq!(left, seen, "at {}", at);
                // What is older may be elsewhere: then the same has to hide it.
                if !is_bottom {
                    let hides = naive_covering(&all, user, at);
                    prop_assert!(ranges.covering(user, Seq(at)) == hides);
                }
            }
        }
        prop_assert!(no_two_overlap(&ranges));
    }
}

#[test]
fn a_bottom_merge_without_snapshots_leaves_no_tombstone_and_nothing_that_one_covers() {
    let all = vec![(b"b".to_vec(), b"d".to_vec(), 10), (b"c".to_vec(), b"f".to_vec(), 12)];
    let mut retention = Retention::new([], Seq(20), true).with_ranges(fragmented(&all));
    assert!(retention.ranges().is_empty());
    let mut keeps = |user: &str, seq| {
        retention.keeps(InternalKeyBuf::new(user.as_bytes(), Stamp::new(Seq(seq), Kind::Put)).as_key())
    };
    let kept = [keeps("a", 5), keeps("b", 5), keeps("c", 11), keeps("d", 11), keeps("e", 13), keeps("f", 5)];
    assert_eq!(kept, [true, false, false, false, true, true]);
}

#[test]
fn a_snapshot_keeps_the_tombstone_that_others_would_not_need_and_neighbours_that_are_the_same_become_one() {
    let all = vec![(b"a".to_vec(), b"m".to_vec(), 5), (b"f".to_vec(), b"t".to_vec(), 9)];
    let kept = |snapshots: &[u64], is_bottom| {
        let snapshots = snapshots.iter().map(|seq| Seq(*seq));
        let ranges = Retention::new(snapshots, Seq(20), is_bottom).with_ranges(fragmented(&all)).ranges();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        ranges.iter().map(|(from, to, seq)| format!("{}-{}@{}", text(from), text(to), seq.0)).collect::<Vec<_>>()
    };
    assert_eq!(kept(&[], false), ["a-f@5", "f-t@9"]);
    assert_eq!(kept(&[7], false), ["a-f@5", "f-m@9", "f-m@5", "m-t@9"]);
    assert_eq!(kept(&[7], true), ["f-t@9"]);
    assert_eq!(kept(&[3], true), ["a-f@5", "f-t@9"]);
}

#[test]
fn only_an_end_with_a_zero_byte_names_the_last_key_before_it() {
    assert_eq!(last_covered(b"abc\0"), b"abc");
    assert_eq!(last_covered(b"abc"), b"abc", "the keys before it go on without end: itself stands for them");
    assert_eq!(last_covered(&successor(b"k\0")), b"k\0");
    let next = successor(b"k");
    assert!(b"k".as_slice() < &*next && &*next < b"k\0\0".as_slice());
}

#[test]
fn bytes_in_no_order_are_refused() {
    let mut tombstones = RangeTombstones::new();
    assert!(tombstones.push(b"b", b"d", Seq(5)));
    assert!(!tombstones.push(b"b", b"d", Seq(5)), "the same number again");
    assert!(!tombstones.push(b"b", b"d", Seq(6)), "a newer one comes first");
    assert!(!tombstones.push(b"b", b"e", Seq(4)), "another end");
    assert!(!tombstones.push(b"c", b"e", Seq(4)), "it overlaps");
    assert!(!tombstones.push(b"e", b"e", Seq(4)), "it is empty");
    assert!(tombstones.push(b"b", b"d", Seq(4)));
    assert!(tombstones.push(b"d", b"e", Seq(9)));
    assert_eq!(tombstones.len(), 3);
}
