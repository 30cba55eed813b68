//! What is not there, with and without a filter.

use common::cli::{Table, human};
use common::tour::{Answer, Narrator, Question};

use super::stage::{Stage, counted, shuffled_key, small_options, value};
use crate::db::{Db, Options, WriteOptions};
use crate::error::Error;
use crate::storage::table::TableOptions;

/// How many keys there are, and how many that are not are asked for.
const KEYS: u64 = 10_000;
const MISSING: u64 = 5_000;

pub(super) fn play(narrator: &mut Narrator, stage: &mut Stage) -> Result<(), Error> {
    narrator.says(
        "A key that is not there is the worst that can be asked for: it is not in the memtable, not in the newest table, not in the next, \
         down to the last level. A Bloom filter answers for a table from memory: no, or perhaps.",
    );
    let guess = narrator.quiz(
        "With 10 bits for each key, how many of 100 keys that are not there does a filter let pass?",
        Question::Number { unit: "of 100" },
    );
    let mut table =
        Table::new(["bits per key", "reads of 5,000 keys that are not there", "passed", "in theory, bits anywhere"]);
    let mut at_ten = 0.0;
    for bits in [0.0, 5.0, 10.0, 20.0] {
        let (counts, disk) = counted();
        let options =
            Options { table: TableOptions { bits_per_key: bits, ..TableOptions::default() }, ..small_options() };
        let (db, _) = Db::open(&disk, &stage.dir(&format!("filter-{bits}")), options)?;
        for n in 0..KEYS {
            db.put(&shuffled_key(n, KEYS), &value(n), WriteOptions::default())?;
        }
        db.flush()?;
        db.settle()?;
        let tables = db.stats().levels.iter().filter(|level| level.tables > 0).count() as u64;
        counts.reset();
        for n in 0..MISSING {
            let mut key = shuffled_key(n, KEYS);
            key.push(b'?');
            db.get(&key)?;
        }
        let reads = counts.total().reads;
        let passed = reads as f64 / (MISSING * tables) as f64;
        if (bits - 10.0_f64).abs() < 0.1 {
            at_ten = passed * 100.0;
        }
        let probes = f64::from(crate::engine::bloom::probes(bits));
        let theory = if bits > 0.0 { (1.0 - (-probes / bits).exp()).powf(probes) } else { 1.0 };
        table.row([
            format!("{bits:.0}"),
            human::grouped(reads),
            format!("{:.2} %", passed * 100.0),
            format!("{:.2} %", theory * 100.0),
        ]);
        db.close()?;
    }
    narrator.table(&table);
    narrator.reveal(&guess, Answer::Number(at_ten));
    narrator.says(
        "Keys beyond the end of a level are not even asked of a filter. The filter here keeps all bits of a key in one cache line, which \
         costs a little accuracy and saves most of its time.",
    );
    narrator.book(
        "ch. 3, \"Performance optimizations\"",
        "An LSM tree can be slow to look up keys that do not exist. A Bloom filter approximates a set in little memory, and saves the \
         reads of most that is not in it.",
    );
    narrator.look("src/engine/bloom.rs is the chapter's first organ: cargo grade start ch03/bloom");
    Ok(())
}
