//! The hash index.

use common::cli::human;
use common::tour::Narrator;

use super::stage::{Stage, counted, shuffled_key, stored_bytes, value};
use crate::error::Error;
use crate::storage::hash_index::HashIndex;

/// How many keys there are.
const KEYS: u64 = 2_000;

/// How often each of them is put.
const TIMES: u64 = 5;

/// The size at which a file ends, in bytes.
const FILE_BYTES: u32 = 64 << 10;

pub(super) fn play(narrator: &mut Narrator, stage: &mut Stage) -> Result<(), Error> {
    narrator.says(
        "Keep the log, and keep beside it, in memory, a map from each key to the place of its last value. A get is one look at the map \
         and one read of the file. This is Bitcask, which Riak was built on.",
    );
    let (counts, disk) = counted();
    let dir = stage.dir("hash-index");
    let (mut store, _) = HashIndex::open(&disk, &dir, FILE_BYTES)?;
    for n in 0..KEYS * TIMES {
        store.put(&shuffled_key(n, KEYS), &value(n))?;
    }
    let written = counts.total().written_bytes;
    counts.reset();
    let found = store.get(&shuffled_key(3, KEYS))?;
    let get = counts.total();
    narrator.measured("keys", &human::grouped(KEYS));
    narrator.measured("puts", &human::grouped(KEYS * TIMES));
    narrator.measured("written", &human::bytes(written));
    narrator.measured("read for one get", &format!("{} in {} reads", human::bytes(get.read_bytes), get.reads));
    narrator.measured(
        "found",
        &found.map_or_else(|| "nothing".to_owned(), |value| String::from_utf8_lossy(&value).into_owned()),
    );
    narrator.gap();

    let before = stored_bytes(&dir)?;
    counts.reset();
    store.merge()?;
    let merge = counts.total();
    let after = stored_bytes(&dir)?;
    narrator.says(&format!(
        "Each key was put {TIMES} times, and a log keeps all of it. Files that are full never change, so that they can be merged while \
         the store is in use: only the last value of each key is copied."
    ));
    narrator.measured("on disk before the merge", &human::bytes(before));
    narrator.measured("on disk after it", &human::bytes(after));
    narrator.measured(
        "read and written by it",
        &format!("{} and {}", human::bytes(merge.read_bytes), human::bytes(merge.written_bytes)),
    );
    store.close()?;
    counts.reset();
    let (_store, _) = HashIndex::open(&disk, &dir, FILE_BYTES)?;
    narrator.measured("read to open it again", &human::bytes(counts.total().read_bytes));
    narrator.gap();
    narrator.says(
        "Opening reads hint files, which the merge has left: keys and places, without values. Two limits remain: all keys must fit \
         in memory, and to find all keys from user000100 to user000200, each would have to be asked for by name.",
    );
    narrator.book(
        "ch. 3, \"Hash Indexes\"",
        "Appending and merging are sequential, and crash recovery is simple, since nothing that was written is changed. What a hash map \
         cannot do is keep its keys in order.",
    );
    narrator.look("src/storage/hash_index.rs is an organ: cargo grade start ch03/hash_index");
    Ok(())
}
