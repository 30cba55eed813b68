//! Compaction without a disk: what a strategy makes of a stream of writes.
//!
//! Tables are lists of keys here, and merging them is merging lists. What a strategy costs is counted: **write
//! amplification**, the bytes that are written for each byte that a user puts; **space amplification**, the bytes that are kept
//! for each that is needed; **read amplification**, the tables that may have to be asked for one key (DDIA ch. 3,
//! "Performance optimizations").

use std::collections::{BTreeMap, BTreeSet};

use super::compaction::{Choice, Strategy};
use super::key::{InternalKeyBuf, Kind, Seq, Stamp};
use super::levels::{Edit, LEVELS, Levels, TableId, TableMeta};

/// A tree of lists.
#[derive(Debug)]
pub struct SimulatedTree<S> {
    strategy: S,
    entry_bytes: u64,
    levels: Levels,
    keys: BTreeMap<TableId, Vec<u64>>,
    live: BTreeSet<u64>,
    next: u64,
    put_bytes: u64,
    written_bytes: u64,
    moves: u64,
    merges: u64,
}

/// What it has cost so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    /// Bytes written for each byte put.
    pub write_amplification: f64,
    /// Bytes kept for each byte needed.
    pub space_amplification: f64,
    /// Tables that may have to be asked for one key.
    pub read_amplification: usize,
    /// Tables that were moved without being read.
    pub moves: u64,
    /// Merges.
    pub merges: u64,
}

impl<S: Strategy> SimulatedTree<S> {
    /// An empty tree, whose entries are `entry_bytes` long.
    pub fn new(strategy: S, entry_bytes: u64) -> Self {
        Self {
            strategy,
            entry_bytes,
            levels: Levels::new(),
            keys: BTreeMap::new(),
            live: BTreeSet::new(),
            next: 1,
            put_bytes: 0,
            written_bytes: 0,
            moves: 0,
            merges: 0,
        }
    }

    /// Writes out a memtable with these keys, and compacts until there is nothing to do.
    pub fn flush(&mut self, keys: &BTreeSet<u64>) {
        self.put_bytes += keys.len() as u64 * self.entry_bytes;
        self.live.extend(keys);
        let meta = self.write(keys.iter().copied().collect());
        self.apply(&Edit { removed: Vec::new(), added: vec![(0, meta)] });
        while self.compact() {}
    }

    /// The tables.
    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// What it has cost so far.
    pub fn costs(&self) -> Costs {
        let needed = (self.live.len() as u64 * self.entry_bytes).max(1);
        let deeper = (1..LEVELS).filter(|level| !self.levels.level(*level).is_empty()).count();
        Costs {
            write_amplification: self.written_bytes as f64 / self.put_bytes.max(1) as f64,
            space_amplification: self.levels.total_bytes() as f64 / needed as f64,
            read_amplification: self.levels.level(0).len() + deeper,
            moves: self.moves,
            merges: self.merges,
        }
    }

    fn compact(&mut self) -> bool {
        match self.strategy.choose(&self.levels, &BTreeSet::new()) {
            Choice::Nothing => return false,
            Choice::Move { table, from, to } => {
                let meta = self.levels.level(from).iter().find(|meta| meta.id == table).expect("a table that there is");
                let added = vec![(to, (**meta).clone())];
                self.moves += 1;
                self.apply(&Edit { removed: vec![(from, table)], added });
            }
            Choice::Merge(merge) => {
                let all =
                    merge.inputs.iter().flat_map(|(_, table)| self.keys.remove(table).expect("a table that there is"));
                let all: Vec<u64> = all.collect::<BTreeSet<_>>().into_iter().collect();
                let a_table = usize::try_from(merge.table_bytes / self.entry_bytes).unwrap_or(usize::MAX).max(1);
                let added = all.chunks(a_table).map(|keys| (merge.to, self.write(keys.to_vec()))).collect();
                self.merges += 1;
                self.apply(&Edit { removed: merge.inputs, added });
            }
        }
        true
    }

    fn write(&mut self, keys: Vec<u64>) -> TableMeta {
        let id = TableId(self.next);
        self.next += 1;
        let len_bytes = keys.len() as u64 * self.entry_bytes;
        self.written_bytes += len_bytes;
        let key = |key: &u64| InternalKeyBuf::new(&key.to_be_bytes(), Stamp::new(Seq(id.0), Kind::Put));
        let (smallest, largest) = (keys.first().map(key), keys.last().map(key));
        let (smallest, largest) = (smallest.expect("a table has keys"), largest.expect("a table has keys"));
        let entries = keys.len() as u64;
        self.keys.insert(id, keys);
        TableMeta { id, len_bytes, entries, tombstones: 0, range_tombstones: 0, smallest, largest, newest: Seq(id.0) }
    }

    fn apply(&mut self, edit: &Edit) {
        self.levels = self.levels.apply(edit).expect("a strategy chooses what fits");
    }
}
