//! The judge of `leveled`: what is compacted next, and what that costs. Nothing here touches a disk.

use std::collections::{BTreeMap, BTreeSet};

use ch03_lsm::engine::compaction::{Choice, Merge, Strategy};
use ch03_lsm::engine::key::{InternalKeyBuf, Kind, Seq, Stamp};
use ch03_lsm::engine::leveled::Leveled;
use ch03_lsm::engine::levels::{Edit, LEVELS, Levels, TableId, TableMeta};
use common::judge::seeds;

const LAST: usize = LEVELS - 1;

fn leveled() -> Leveled {
    Leveled { level0_tables: 4, base_bytes: 1000, growth: 10, table_bytes: 100 }
}

/// A table of `len_bytes` with the keys from `first` to `last`.
fn table(id: u64, len_bytes: u64, first: u64, last: u64) -> TableMeta {
    let key = |number: u64| InternalKeyBuf::new(format!("{number:06}").as_bytes(), Stamp::new(Seq(id), Kind::Put));
    TableMeta {
        id: TableId(id),
        len_bytes,
        entries: 1,
        tombstones: 0,
        range_tombstones: 0,
        smallest: key(first),
        largest: key(last),
        newest: Seq(id),
    }
}

/// Levels with these tables: level, id, bytes, first key, last key.
fn levels(tables: &[(usize, u64, u64, u64, u64)]) -> Levels {
    let added = tables.iter().map(|&(level, id, len, first, last)| (level, table(id, len, first, last))).collect();
    Levels::new().apply(&Edit { removed: Vec::new(), added }).expect("the test's levels are a tree")
}

fn choose(strategy: &Leveled, levels: &Levels) -> Choice {
    strategy.choose(levels, &BTreeSet::new())
}

#[track_caller]
fn merge(choice: Choice) -> Merge {
    match choice {
        Choice::Merge(merge) => merge,
        other => panic!("a merge is due, not {other:?}"),
    }
}

fn inputs(merge: &Merge) -> Vec<(usize, u64)> {
    merge.inputs.iter().map(|(level, id)| (*level, id.0)).collect()
}

#[test]
fn targets_are_counted_from_the_last_level_upwards() {
    let strategy = leveled();
    let empty = strategy.targets(&Levels::new());
    assert_eq!(
        (empty.base, empty.bytes[LAST]),
        (LAST, 1000),
        "level 0 is merged into the last level while there is little"
    );
    for (bytes, base, expected) in [
        (1000, 6, vec![1000]),
        (1001, 5, vec![1000, 1001]),
        (10_000, 5, vec![1000, 10_000]),
        (25_000, 4, vec![1000, 2500, 25_000]),
        (900_000, 3, vec![1000, 9000, 90_000, 900_000]),
    ] {
        let targets = strategy.targets(&levels(&[(LAST, 1, bytes, 0, 9)]));
        assert_eq!((targets.base, &targets.bytes[base..]), (base, &expected[..]), "{bytes} bytes in the last level");
        assert!(targets.bytes[..base].iter().all(|bytes| *bytes == 0), "levels above the base have no target");
    }
    let deep = strategy.targets(&levels(&[(LAST, 1, u64::MAX / 2, 0, 9)]));
    assert_eq!(deep.base, 1, "there is no level above the first");
    // What stands above the level that would be the base has to come down before level 0 can skip it.
    let high = strategy.targets(&levels(&[(3, 1, 50, 0, 9), (LAST, 2, 2000, 0, 9)]));
    assert_eq!(high.base, 3, "level 0 must not be merged into a level below older data");
    assert_eq!((high.bytes[5], high.bytes[4]), (200, 20));
    assert_eq!(high.bytes[3], 1000, "a base level that held less would go down with every merge of level 0");
    // A last level that is emptier than the one above it.
    let inverted = strategy.targets(&levels(&[(5, 1, 25_000, 0, 9), (LAST, 2, 10, 0, 9)]));
    assert_eq!((inverted.base, inverted.bytes[LAST], inverted.bytes[5]), (4, 25_000, 2500));
}

#[test]
fn nothing_is_done_while_no_level_is_full() {
    let strategy = leveled();
    assert_eq!(choose(&strategy, &Levels::new()), Choice::Nothing);
    let three =
        levels(&[(0, 9, 500, 0, 9), (0, 8, 500, 0, 9), (0, 7, 500, 0, 9), (5, 2, 999, 0, 9), (LAST, 1, 10_000, 0, 9)]);
    assert_eq!(choose(&strategy, &three), Choice::Nothing, "three tables of four, 999 bytes of 1,000");
    let last = levels(&[(LAST, 1, 1 << 40, 0, 9)]);
    assert_eq!(choose(&strategy, &last), Choice::Nothing, "the last level is never full");
    let full = levels(&[(5, 2, 1000, 0, 9), (LAST, 1, 10_000, 0, 9)]);
    assert_ne!(choose(&strategy, &full), Choice::Nothing, "a level that has reached its target is full");
}

#[test]
fn the_fullest_level_goes_first() {
    let strategy = leveled();
    let last = (LAST, 1, 100_000, 0, 99);
    for (level4, level5, level0, from) in [
        (1500, 30_000, 4, 5),
        (2500, 20_000, 4, 4),
        (1500, 15_000, 8, 0),
        (900, 10_500, 4, 5),
        (1200, 9000, 4, 4),
        (900, 9000, 4, 0),
    ] {
        let mut tables = vec![last, (4, 2, level4, 0, 50), (5, 3, level5, 0, 50)];
        tables.extend((0..level0).map(|id| (0, 10 + id, 100, 0, 99)));
        let merge = merge(choose(&strategy, &levels(&tables)));
        let (first, _) = inputs(&merge)[0];
        assert_eq!(
            first, from,
            "level 4 has {level4} of 1,000 bytes, level 5 {level5} of 10,000, level 0 {level0} of 4 tables"
        );
        assert_eq!(merge.to, if from == 0 { 4 } else { from + 1 });
        assert_eq!(merge.table_bytes, 100);
    }
}

#[test]
fn level_0_is_merged_as_a_whole_into_the_base_level() {
    let strategy = leveled();
    let tables = [
        (0, 13, 100, 30, 40),
        (0, 12, 100, 0, 9),
        (0, 11, 100, 35, 60),
        (0, 10, 100, 5, 10),
        (5, 5, 300, 0, 6),
        (5, 6, 300, 20, 25),
        (5, 7, 300, 61, 90),
        (LAST, 1, 10_000, 70, 90),
    ];
    let merged = merge(choose(&strategy, &levels(&tables)));
    assert_eq!(inputs(&merged), [(0, 13), (0, 12), (0, 11), (0, 10), (5, 5), (5, 6)], "and what lies between its keys");
    assert_eq!(merged.to, 5);
    assert!(merged.is_bottom, "nothing below has keys from 0 to 60: tombstones can go");
    let mut wider = tables;
    wider[7].3 = 60;
    assert!(!merge(choose(&strategy, &levels(&wider))).is_bottom, "the last level has key 60");
}

#[test]
fn the_table_that_brings_the_least_with_it_goes_down() {
    let strategy = leveled();
    let below = [(LAST, 1, 4000, 0, 19), (LAST, 2, 2000, 20, 39), (LAST, 3, 4000, 40, 59)];
    let full = |a: u64, b: u64, c: u64| {
        let mut tables = below.to_vec();
        tables.extend([(5, 10, a, 0, 9), (5, 11, b, 25, 30), (5, 12, c, 45, 55)]);
        levels(&tables)
    };
    let merged = merge(choose(&strategy, &full(400, 400, 400)));
    assert_eq!((inputs(&merged), merged.to), (vec![(5, 11), (LAST, 2)], LAST), "2,000 bytes for 400 are the least");
    let merged = merge(choose(&strategy, &full(1000, 400, 100)));
    assert_eq!(inputs(&merged), [(5, 10), (LAST, 1)], "4,000 for 1,000 are less than 2,000 for 400");
    let merged = merge(choose(&strategy, &full(400, 100, 1200)));
    assert_eq!(inputs(&merged), [(5, 12), (LAST, 3)]);
    let mut twins = below.to_vec();
    twins.extend([(5, 21, 500, 0, 9), (5, 20, 500, 45, 55)]);
    assert_eq!(inputs(&merge(choose(&strategy, &levels(&twins)))), [(5, 20), (LAST, 3)], "of equals, the older");
}

#[test]
fn tombstones_weigh_as_much_as_what_they_hide() {
    let strategy = leveled();
    // A hundred entries of 100 bytes in the last level; a tombstone counts as two of them.
    let tree = |level: usize, tombstones: [u64; 3]| {
        let mut last = table(1, 10_000, 0, 59);
        last.entries = 100;
        let mut added = vec![(LAST, last)];
        for (at, tombstones) in (0..).zip(tombstones) {
            let mut table = table(10 + at, 100, at * 20, at * 20 + 19);
            (table.entries, table.tombstones) = (10, tombstones);
            added.push((level, table));
        }
        Levels::new().apply(&Edit { removed: Vec::new(), added }).expect("the test's levels are a tree")
    };
    assert_eq!(choose(&strategy, &tree(5, [0, 0, 0])), Choice::Nothing, "300 bytes of 1,000");
    assert_eq!(choose(&strategy, &tree(5, [1, 2, 0])), Choice::Nothing, "they hide 300 bytes more, which count twice");
    let merged = merge(choose(&strategy, &tree(5, [1, 3, 0])));
    assert_eq!(inputs(&merged), [(5, 11), (LAST, 1)], "1,100 bytes: and the table with most of them frees most");
    assert_eq!(choose(&strategy, &tree(0, [5, 5, 5])), Choice::Nothing, "level 0 counts tables: three of four");
}

#[test]
fn a_table_that_overlaps_nothing_below_is_moved_and_not_written_again() {
    let strategy = leveled();
    let tables = [(5, 10, 900, 0, 9), (5, 11, 300, 25, 30), (LAST, 1, 5000, 0, 19), (LAST, 2, 5000, 31, 39)];
    let moved = Choice::Move { table: TableId(11), from: 5, to: LAST };
    assert_eq!(choose(&strategy, &levels(&tables)), moved);
    let level0 = [(0, 13, 90, 30, 39), (0, 12, 90, 20, 29), (0, 11, 90, 10, 19), (0, 10, 90, 0, 9)];
    let sunk = Choice::Move { table: TableId(10), from: 0, to: LAST };
    assert_eq!(
        choose(&strategy, &levels(&level0)),
        sunk,
        "of level 0 the oldest, and only that, has nothing older above"
    );
}

#[test]
fn tables_that_are_busy_are_left_alone() {
    let strategy = leveled();
    let tree = levels(&[
        (5, 10, 700, 0, 9),
        (5, 11, 700, 25, 30),
        (5, 12, 700, 45, 55),
        (LAST, 1, 3000, 0, 19),
        (LAST, 2, 5000, 20, 39),
        (LAST, 3, 4000, 40, 59),
    ]);
    let busy = |ids: &[u64]| ids.iter().map(|id| TableId(*id)).collect::<BTreeSet<_>>();
    for (ids, expected) in [
        (&[][..], Some(10)),
        (&[10], Some(12)),
        (&[1], Some(12)),
        (&[1, 12], Some(11)),
        (&[1, 3], Some(11)),
        (&[1, 2, 3], None),
        (&[10, 11, 12], None),
    ] {
        let choice = strategy.choose(&tree, &busy(ids));
        match expected {
            Some(id) => assert_eq!(inputs(&merge(choice))[0], (5, id), "with {ids:?} busy, the next best goes"),
            None => assert_eq!(choice, Choice::Nothing, "with {ids:?} busy"),
        }
    }
    let mut level0: Vec<_> = (20..28).map(|id| (0, id, 100, 0, 9)).collect();
    level0.extend([(5, 10, 1200, 0, 9), (5, 11, 300, 20, 29), (LAST, 1, 10_000, 0, 9)]);
    let tree = levels(&level0);
    assert_eq!(inputs(&merge(strategy.choose(&tree, &busy(&[]))))[0].0, 0, "level 0 is the fullest");
    let next = strategy.choose(&tree, &busy(&[22]));
    assert_eq!(next, Choice::Move { table: TableId(11), from: 5, to: LAST }, "a second merge of level 0 must wait");
    let stuck = strategy.choose(&tree, &busy(&[10]));
    assert_eq!(stuck, Choice::Move { table: TableId(11), from: 5, to: LAST }, "so must one into a table that is busy");
}

/// A tree without a disk: the keys of each table, each with the write that it holds, of 10 bytes each.
struct Tree {
    strategy: Leveled,
    levels: Levels,
    tables: BTreeMap<TableId, BTreeMap<u64, u64>>,
    next: u64,
    written: u64,
    flushed: u64,
}

const ENTRY_BYTES: u64 = 10;

impl Tree {
    fn new(strategy: Leveled) -> Self {
        Self { strategy, levels: Levels::new(), tables: BTreeMap::new(), next: 1, written: 0, flushed: 0 }
    }

    fn make(&mut self, entries: BTreeMap<u64, u64>) -> TableMeta {
        let (first, last) = (*entries.keys().next().unwrap(), *entries.keys().last().unwrap());
        let meta = table(self.next, entries.len() as u64 * ENTRY_BYTES, first, last);
        self.written += meta.len_bytes;
        self.tables.insert(meta.id, entries);
        self.next += 1;
        meta
    }

    fn flush(&mut self, entries: BTreeMap<u64, u64>) {
        self.flushed += entries.len() as u64 * ENTRY_BYTES;
        let meta = self.make(entries);
        self.levels = self.levels.apply(&Edit { removed: Vec::new(), added: vec![(0, meta)] }).unwrap();
    }

    /// Does what is chosen; false when that is nothing.
    fn step(&mut self, what: &str) -> bool {
        let choice = choose(&self.strategy, &self.levels);
        assert_eq!(choice, choose(&self.strategy, &self.levels.clone()), "{what}: the same tables, the same choice");
        let edit = match choice {
            Choice::Nothing => return false,
            Choice::Move { table, from, to } => {
                let meta = self.levels.level(from).iter().find(|meta| meta.id == table).expect("it is where it says");
                assert!(to > from, "{what}: tables go down");
                assert!(
                    (from + 1..to).all(|level| self.levels.level(level).is_empty()),
                    "{what}: it passes nothing by"
                );
                Edit { removed: vec![(from, table)], added: vec![(to, (**meta).clone())] }
            }
            Choice::Merge(merge) => self.merge(&merge, what),
        };
        self.levels = self.levels.apply(&edit).unwrap_or_else(|error| panic!("{what}: {edit:?}: {error}"));
        true
    }

    fn merge(&mut self, merge: &Merge, what: &str) -> Edit {
        let mut merged: BTreeMap<u64, u64> = BTreeMap::new();
        for (level, id) in &merge.inputs {
            assert!(
                self.levels.level(*level).iter().any(|meta| meta.id == *id),
                "{what}: {id} is not in level {level}"
            );
            assert!(*level <= merge.to && (*level == merge.to || merge.inputs[0].0 == *level), "{what}: {merge:?}");
            for (key, write) in self.tables.remove(id).unwrap_or_else(|| panic!("{what}: {id} is named twice")) {
                let known = merged.entry(key).or_insert(write);
                *known = write.max(*known);
            }
        }
        let (first, last) = (*merged.keys().next().unwrap(), *merged.keys().last().unwrap());
        let range = [first, last].map(|key| format!("{key:06}").into_bytes());
        let is_bottom =
            (merge.to + 1..LEVELS).all(|level| self.levels.overlapping(level, &range[0], &range[1]).is_empty());
        assert!(is_bottom || !merge.is_bottom, "{what}: a tombstone would go before what it hides");
        let mut added = Vec::new();
        while !merged.is_empty() {
            let next = merged.keys().nth((merge.table_bytes / ENTRY_BYTES) as usize).copied();
            let rest = next.map_or_else(BTreeMap::new, |key| merged.split_off(&key));
            let entries = std::mem::replace(&mut merged, rest);
            let meta = self.make(entries);
            added.push((merge.to, meta));
        }
        Edit { removed: merge.inputs.clone(), added }
    }

    /// Whether a reader finds the key, and how many tables are asked for it: of each level those whose keys lie around it, up
    /// to the first that has it.
    fn touched(&self, key: u64) -> (bool, usize) {
        let user = format!("{key:06}").into_bytes();
        let around =
            |meta: &&TableMeta| (meta.smallest.as_key().user()..=meta.largest.as_key().user()).contains(&&*user);
        let mut asked = 0;
        for meta in self.levels.iter().flatten().map(AsRef::as_ref).filter(around) {
            asked += 1;
            if self.tables[&meta.id].contains_key(&key) {
                return (true, asked);
            }
        }
        (false, asked)
    }

    /// What a reader finds, who asks the levels from the first: the first table that has the key has its newest write.
    fn get(&self, key: u64) -> Option<u64> {
        let tables = self.levels.iter().flatten();
        tables.filter_map(|meta| self.tables[&meta.id].get(&key)).next().copied()
    }
}

#[test]
fn every_choice_leaves_a_tree_that_finds_the_newest_write() {
    for seed in seeds(6) {
        let mut state = seed;
        let mut below = |bound: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((state ^ (state >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd) >> 33) % bound
        };
        let mut tree = Tree::new(Leveled { level0_tables: 3, base_bytes: 130, growth: 3, table_bytes: 100 });
        let mut model: BTreeMap<u64, u64> = BTreeMap::new();
        for round in 0..150 {
            let (begin, width) = (below(400), 1 + below(300));
            let entries: BTreeMap<_, _> = (0..20).map(|at| (begin + below(width), round * 20 + at)).collect();
            model.extend(&entries);
            tree.flush(entries);
            let what = format!("seed {seed}, round {round}");
            let steps = if below(4) == 0 { 1000 } else { below(3) };
            let done = (0..steps).take_while(|_| tree.step(&what)).count();
            assert!(done < 1000, "{what}: it never comes to an end");
            let key = below(700);
            assert_eq!(tree.get(key), model.get(&key).copied(), "{what}: key {key}");
        }
        while tree.step("the end") {}
        assert!(tree.levels.deepest() == LAST && tree.levels.level(4).len() > 1, "the tree has grown");
        (0..700).for_each(|key| assert_eq!(tree.get(key), model.get(&key).copied(), "seed {seed}: key {key}"));
        for level in 0..LAST {
            assert!(tree.strategy.scores(&tree.levels)[level] < 1.0, "seed {seed}: level {level} is still full");
        }
    }
}

/// How the loads of the two checks of costs are compacted.
const LOADED: Leveled = Leveled { level0_tables: 4, base_bytes: 4000, growth: 8, table_bytes: 500 };

/// A tree into which 600 memtables of 100 keys came, at random or in order. `rested` is told whenever there is nothing to do.
fn loaded(in_order: bool, mut rested: impl FnMut(&Tree)) -> Tree {
    let mut tree = Tree::new(LOADED);
    let mut state = 1u64;
    for round in 0..600 {
        let mut random = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % 100_000
        };
        let key = |at| if in_order { round * 100 + at } else { random() };
        tree.flush((0..100).map(key).map(|key| (key, round)).collect());
        while tree.step(if in_order { "in order" } else { "at random" }) {}
        rested(&tree);
    }
    tree
}

#[test]
fn a_byte_is_written_a_few_times_a_level_and_once_in_order() {
    let random = loaded(false, |_| {});
    let depth = random.levels.iter().filter(|level| !level.is_empty()).count() as f64;
    let amplification = random.written as f64 / random.flushed as f64;
    let bound = 1.0 + (depth - 1.0) * 4.5;
    assert!((2.0..bound).contains(&amplification), "a byte was written {amplification:.1} times in {depth} levels");
    let entries: usize = random.tables.values().map(BTreeMap::len).sum();
    let keys: BTreeSet<u64> = random.tables.values().flat_map(BTreeMap::keys).copied().collect();
    let space = entries as f64 / keys.len() as f64;
    assert!(space < 1.25, "old values take {:.0} % of the space", (space - 1.0) * 100.0);
    let in_order = loaded(true, |_| {});
    assert_eq!(in_order.written, in_order.flushed, "what comes in the order of its keys is never written again");
}

#[test]
fn a_read_asks_level_0_and_one_table_of_each_level_that_the_data_need() {
    for in_order in [false, true] {
        let (mut asked, mut reads) = (0, 0);
        loaded(in_order, |tree| {
            let bytes: u64 = (0..LEVELS).map(|level| tree.levels.level_bytes(level)).sum();
            let room = |levels: &u32| LOADED.base_bytes * LOADED.growth.pow(*levels);
            let needed = 1 + (0..).find(|levels| bytes <= room(levels)).expect("growth has no end") as usize;
            let most = LOADED.level0_tables - 1 + needed;
            for key in (0..100_000).step_by(3331) {
                let (found, tables) = tree.touched(key);
                assert!(tables <= most, "{tables} tables for key {key}, where {bytes} bytes need {needed} levels");
                assert!(
                    !in_order || tables <= 1,
                    "{tables} tables for key {key}, though each table has keys of its own"
                );
                if found {
                    asked += tables;
                    reads += 1;
                }
            }
        });
        let mean = asked as f64 / f64::from(reads);
        assert!(mean < 5.5, "without filters, a read that finds its key asks {mean:.1} tables");
    }
}
