//! Which organ did what in the scenes, and the command that hands it to the reader.

use common::cli::Table;
use common::tour::Narrator;

use super::stage::Stage;
use crate::error::Error;

/// The organs, with the scene that shows each and what it decides.
const ORGANS: [(&str, &str, &str); 7] = [
    ("bloom", "filter", "what is certainly not in a table"),
    ("hash_index", "hash", "where each key's last value is"),
    ("memtable", "tree", "the newest writes, sorted"),
    ("block", "table", "how entries share their keys"),
    ("merge_iterator", "tree", "which of many sources is next"),
    ("leveled", "compaction", "which tables are merged next"),
    ("wal_recovery", "crash", "what a torn log means"),
];

pub(super) fn play(narrator: &mut Narrator, _stage: &mut Stage) -> Result<(), Error> {
    narrator.says(
        "Seven files decided what you have seen. Each is an exercise: the command below puts a copy without its bodies into mine/, \
         tests judge what you write, and the next tour runs on it.",
    );
    let mut table = Table::new(["organ", "scene", "what it decides", "to write it yourself"]);
    for (organ, scene, decides) in ORGANS {
        table.row([organ, scene, decides, &format!("cargo grade start ch03/{organ}")]);
    }
    narrator.table(&table);
    narrator.book(
        "ch. 3, \"Summary\"",
        "Storage engines for transactions fall into two schools: one only appends to files and deletes obsolete ones, the other updates \
         pages in place. Log-structured engines turn random writes into sequential ones, and that is where their throughput comes from.",
    );
    narrator
        .look("cargo run -p ch03-lsm -- shell --data DIR opens a tree to keep; add --quiz to a tour to guess first.");
    Ok(())
}
