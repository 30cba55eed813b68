//! Size-tiered compaction, by what it chooses. Nothing here touches a disk.

use std::collections::BTreeSet;

use ch03_lsm::engine::compaction::{Choice, Merge, Strategy};
use ch03_lsm::engine::key::{InternalKeyBuf, Kind, Seq, Stamp};
use ch03_lsm::engine::levels::{Edit, Levels, TableId, TableMeta};
use ch03_lsm::engine::size_tiered::SizeTiered;

/// Tables of level 0 with these sizes, the newest first. Their numbers count up to the newest.
fn runs(sizes: &[u64]) -> Levels {
    let count = sizes.len() as u64;
    let table = |(age, len_bytes): (u64, &u64)| {
        let id = count - age;
        let key = InternalKeyBuf::new(b"key", Stamp::new(Seq(id), Kind::Put));
        let (smallest, largest) = (key.clone(), key);
        let counts = (*len_bytes / 100, 0, 0);
        let (entries, tombstones, range_tombstones) = counts;
        let (id, newest) = (TableId(id), Seq(id));
        TableMeta { id, len_bytes: *len_bytes, entries, tombstones, range_tombstones, smallest, largest, newest }
    };
    let added = (0..).zip(sizes).map(table).map(|table| (0, table)).collect();
    Levels::new().apply(&Edit { removed: Vec::new(), added }).expect("any tables fit into level 0")
}

/// The places of what is merged, the newest being 0; `None` when nothing is.
fn merged(sizes: &[u64], busy: &[u64]) -> Option<(Vec<u64>, Merge)> {
    let count = sizes.len() as u64;
    let busy: BTreeSet<TableId> = busy.iter().map(|place| TableId(count - place)).collect();
    match SizeTiered::default().choose(&runs(sizes), &busy) {
        Choice::Nothing => None,
        Choice::Merge(merge) => Some((merge.inputs.iter().map(|(_, id)| count - id.0).collect(), merge)),
        Choice::Move { .. } => panic!("there is nowhere to move a table to"),
    }
}

fn places(sizes: &[u64]) -> Option<Vec<u64>> {
    merged(sizes, &[]).map(|(places, _)| places)
}

#[test]
fn four_neighbours_of_about_the_same_size_become_one() {
    assert_eq!(places(&[]), None);
    assert_eq!(places(&[100, 100, 100]), None, "three are too few");
    assert_eq!(places(&[100, 110, 90, 180]), Some(vec![0, 1, 2, 3]), "twice as large is about the same");
    assert_eq!(places(&[100, 110, 90, 181]), None);
    assert_eq!(places(&[100, 100, 100, 100, 100, 400]), Some(vec![0, 1, 2, 3, 4]), "as many as there are of a size");
    assert_eq!(
        places(&[100, 400, 100, 400, 100, 100]),
        None,
        "only neighbours: what lies between must not end up behind"
    );
    assert_eq!(
        places(&[100, 100, 100, 400, 410, 390, 400]),
        Some(vec![3, 4, 5, 6]),
        "older ones, if the newer are too few"
    );
}

#[test]
fn what_is_busy_is_left_alone_and_parts_its_neighbours() {
    assert_eq!(merged(&[100; 8], &[3]).map(|(places, _)| places), Some(vec![4, 5, 6, 7]));
    assert_eq!(merged(&[100; 7], &[3]), None, "three on either side");
}

#[test]
fn the_oldest_of_all_is_the_bottom_and_all_stays_in_level_0() {
    let (_, merge) = merged(&[100, 100, 100, 100], &[]).expect("four");
    assert_eq!((merge.to, merge.table_bytes, merge.is_bottom), (0, u64::MAX, true));
    let (_, merge) = merged(&[100, 100, 100, 100, 4000], &[]).expect("four");
    assert!(!merge.is_bottom, "an older one may hold what a tombstone hides");
}

#[test]
fn no_table_becomes_larger_than_its_index_can_be_read() {
    const GIB: u64 = 1 << 30;
    assert_eq!(places(&[2 * GIB; 4]), Some(vec![0, 1, 2, 3]), "8 GiB are the most");
    assert_eq!(places(&[2 * GIB + 1; 4]), None);
    assert_eq!(places(&[2 * GIB; 6]), Some(vec![0, 1, 2, 3]), "of more, as many as may be");
    assert_eq!(places(&[3 * GIB, 3 * GIB, 3 * GIB, 3 * GIB]), None, "what has become so large stays as it is");
    assert_eq!(places(&[GIB, GIB, GIB, GIB, 8 * GIB, 8 * GIB, 8 * GIB, 8 * GIB]), Some(vec![0, 1, 2, 3]));
}

#[test]
fn what_is_to_be_merged_is_the_debt() {
    let tiered = SizeTiered::default();
    assert_eq!(tiered.debt_bytes(&runs(&[100, 100, 100])), 0);
    assert_eq!(tiered.debt_bytes(&runs(&[100, 110, 90, 100, 4000])), 400);
}
