//! The three stores of the road, beside one another.

use std::sync::{Arc, RwLock};
use std::time::Instant;

use common::cli::{Table, human};
use common::disk::Disk;
use common::tour::Narrator;

use super::stage::{Stage, counted, shuffled_key, small_tree, stored_bytes, value};
use crate::error::Error;
use crate::storage::hash_index::HashIndex;
use crate::storage::two_function::TwoFunction;
use crate::store::Store;

/// How many keys there are, how often each is put, and how many gets are measured.
const KEYS: u64 = 4_000;
const TIMES: u64 = 3;
const GETS: u64 = 20;

pub(super) fn play(narrator: &mut Narrator, stage: &mut Stage) -> Result<(), Error> {
    narrator.says(&format!(
        "The same {} puts of {} keys on each store of the road, then {GETS} gets and one range of 100 keys. What is counted passes \
         one door, the disk's, and is counted the same way for all.",
        human::grouped(KEYS * TIMES),
        human::grouped(KEYS),
    ));
    let mut table =
        Table::new(["store", "a put", "write amp.", "read for a get", "range", "space amp.", "read to open"]);
    type Open = fn(&Arc<dyn Disk>, &std::path::Path) -> Result<Box<dyn Store>, Error>;
    let stores: [Open; 3] = [
        |disk, dir| Ok(Box::new(RwLock::new(TwoFunction::open(disk, dir)?.0))),
        |disk, dir| Ok(Box::new(RwLock::new(HashIndex::open(disk, dir, 64 << 10)?.0))),
        |disk, dir| Ok(Box::new(small_tree(disk, dir)?)),
    ];
    for (index, open) in stores.into_iter().enumerate() {
        let (counts, disk) = counted();
        let dir = stage.dir(&format!("road-{index}"));
        let store = open(&disk, &dir)?;
        let began = Instant::now();
        for n in 0..KEYS * TIMES {
            store.put(&shuffled_key(n, KEYS), &value(n))?;
        }
        let put = began.elapsed() / (KEYS * TIMES) as u32;
        store.settle()?;
        let written = counts.total().written_bytes;
        let entry = value(0).len() as u64 + shuffled_key(0, KEYS).len() as u64;
        let kept = stored_bytes(&dir)?;
        counts.reset();
        for n in 0..GETS {
            store.get(&shuffled_key(n * 31, KEYS))?;
        }
        let read = counts.total().read_bytes / GETS;
        let name = store.name();
        counts.reset();
        let range = match store.scan(&shuffled_key(1, KEYS), 100)? {
            Some(_) => human::bytes(counts.total().read_bytes),
            None => "cannot".to_owned(),
        };
        store.sync()?;
        drop(store);
        counts.reset();
        drop(open(&disk, &dir)?);
        table.row([
            name.to_owned(),
            human::duration(put),
            format!("{:.1}", written as f64 / (KEYS * TIMES * entry) as f64),
            human::bytes(read),
            range,
            format!("{:.2}", kept as f64 / (KEYS * entry) as f64),
            human::bytes(counts.total().read_bytes),
        ]);
    }
    narrator.table(&table);
    narrator.says(
        "A put's time is that of this build and machine; the other columns are the same everywhere. The tree has no threads here: \
         its writer flushes and merges in between. Its values are compressed, the others' are not. A B-tree, which comes to this road later, would write each page twice and read one path.",
    );
    narrator.book(
        "ch. 3, \"Comparing B-Trees and LSM-Trees\"",
        "One write to the database results in several writes to disk over its lifetime: write amplification. A rule of thumb is that \
         LSM trees are faster for writes and B-trees for reads; only a measurement with one's own load can tell.",
    );
    narrator
        .look("src/store.rs; cargo run --release -p ch03-lsm -- bench measures the tree with db_bench's workloads.");
    Ok(())
}
