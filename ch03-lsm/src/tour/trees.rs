//! The tree: memtable, flush, levels.

use common::cli::{Look, human};
use common::tour::{Answer, Narrator, Question};

use super::stage::{Stage, counted, shuffled_key, small_tree, value};
use crate::db::{LevelStats, WriteOptions};
use crate::error::Error;

/// How many keys there are, and how often each is put.
const KEYS: u64 = 8_000;
const TIMES: u64 = 3;

pub(super) fn play(narrator: &mut Narrator, stage: &mut Stage) -> Result<(), Error> {
    narrator.says(
        "A sorted file cannot take a write in its middle. Memory can: writes go to a sorted map, the memtable, and to a log, in case the \
         power fails. A full memtable is written out as a sorted table. A read asks the memtable, then the tables, the newest first.",
    );
    let (counts, disk) = counted();
    let dir = stage.dir("tree");
    let db = small_tree(&disk, &dir)?;
    let mut shown = 0;
    for n in 0..KEYS * TIMES {
        db.put(&shuffled_key(n, KEYS), &value(n), WriteOptions::default())?;
        let level0 = db.stats().levels[0].tables;
        if level0 > shown && shown < 3 {
            shown = level0;
            let legend = match shown {
                1 => {
                    " What waits comes next; \"fill\" counts the tables of level 0 against the four that call for a merge."
                }
                _ => "",
            };
            let puts = human::grouped(n + 1);
            narrator.says(&format!("After {puts} puts, memtables written out so far: {shown}.{legend}"));
            narrator.show(&crate::shell::stats(&db, Look::pipe()));
        }
    }
    db.flush()?;
    let before = db.stats();
    narrator.says(&format!(
        "After {} puts, with nothing compacted but what writers had to wait for:",
        human::grouped(KEYS * TIMES)
    ));
    narrator.show(&crate::shell::stats(&db, Look::pipe()));
    let guess = narrator.quiz(
        &format!("Every key was put {TIMES} times. How many bytes will be left, of 100, when everything is compacted?"),
        Question::Number { unit: "bytes of 100" },
    );
    db.settle()?;
    let after = db.stats();
    let bytes = |levels: &[LevelStats]| levels.iter().map(|level| level.bytes).sum::<u64>();
    let (before, after) = (bytes(&before.levels), bytes(&after.levels));
    narrator.says("Compacted:");
    narrator.show(&crate::shell::stats(&db, Look::pipe()));
    narrator.reveal(&guess, Answer::Number((after * 100 / before.max(1)) as f64));
    let put = KEYS * TIMES * (value(0).len() as u64 + 10);
    let total = counts.total();
    narrator.measured("put", &human::bytes(put));
    narrator.measured("written to log, tables and manifest", &human::bytes(total.written_bytes));
    narrator.measured("write amplification", &format!("{:.1}", total.written_bytes as f64 / put as f64));
    counts.reset();
    let found = db.get(&shuffled_key(5, KEYS))?;
    narrator.measured("read for one get", &human::bytes(counts.total().read_bytes));
    narrator.measured(
        "found",
        &found.map_or_else(|| "nothing".to_owned(), |value| String::from_utf8_lossy(&value).into_owned()),
    );
    narrator.gap();
    db.close()?;
    narrator.book(
        "ch. 3, \"Constructing and maintaining SSTables\"",
        "The basic idea, a cascade of sorted files that are merged in the background, is simple and effective: it works for more data \
         than fits in memory, finds ranges, and writes to disk in sequence.",
    );
    narrator.look("src/db/mod.rs is the tree; src/engine/memtable.rs and src/engine/merge_iterator.rs are organs.");
    Ok(())
}
