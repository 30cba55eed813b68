//! A power cut, with and without a sync for each write.

use std::path::Path;
use std::sync::Arc;

use common::cli::{Table, human};
use common::disk::{Crash, Disk, SimDisk};
use common::tour::{Answer, Narrator, Question};

use super::stage::{Stage, shuffled_key, small_tree, value};
use crate::db::WriteOptions;
use crate::error::Error;

/// How many writes are acknowledged before the power fails.
const WRITES: u64 = 3_000;

/// How many ways the disk is tried to have written back a part.
const TRIES: u64 = 8;

pub(super) fn play(narrator: &mut Narrator, _stage: &mut Stage) -> Result<(), Error> {
    narrator.says(
        "The same tree on a simulated disk, which keeps what processes see apart from what is durable. 3,000 writes are acknowledged, then \
         the process is killed; or the power fails before anything was written back; or in the middle of writing back, with other sectors \
         surviving each time.",
    );
    let guess = narrator.quiz(
        "Without a sync, what can a power cut leave?",
        Question::Options(&["any of the writes", "the first so many writes, without a hole", "all of them"]),
    );
    let mut table = Table::new(["sync", "acknowledged", "after a kill", "power cut", "while writing back", "holes"]);
    for sync in [true, false] {
        let disk = SimDisk::new(9);
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let dir = Path::new("/tree");
        let db = small_tree(&shared, dir)?;
        for n in 0..WRITES {
            db.put(&shuffled_key(n, WRITES), &value(n), WriteOptions { sync })?;
        }
        let mut holes = 0;
        let mut after = |how: Crash, seed: u64| -> Result<u64, Error> {
            let fork = disk.fork();
            fork.reseed(seed);
            fork.crash(how);
            let fork: Arc<dyn Disk> = Arc::new(fork);
            let db = small_tree(&fork, dir)?;
            let mut kept = 0;
            for n in 0..WRITES {
                if db.get(&shuffled_key(n, WRITES))?.is_some() {
                    holes += u64::from(kept < n);
                    kept += 1;
                }
            }
            Ok(kept)
        };
        let killed = after(Crash::KeepAll, 0)?;
        let cut = after(Crash::LoseAll, 0)?;
        let partly = (0..TRIES).map(|seed| after(Crash::Random, seed)).collect::<Result<Vec<_>, _>>()?;
        let (least, most) = (partly.iter().min().copied().unwrap_or(0), partly.iter().max().copied().unwrap_or(0));
        table.row([
            if sync { "each write" } else { "off" }.to_owned(),
            human::grouped(WRITES),
            human::grouped(killed),
            human::grouped(cut),
            if least == most {
                human::grouped(least)
            } else {
                format!("{} to {}", human::grouped(least), human::grouped(most))
            },
            holes.to_string(),
        ]);
    }
    narrator.table(&table);
    narrator.reveal(&guess, Answer::Option(1));
    narrator.says(
        "Without a sync, what is in tables is durable, since a table is synced before the manifest names it, and of the logs as much as \
         the system happened to have written. Never is a later write there and an earlier one not: recovery stops at the first \
         place that is not whole.",
    );
    narrator.book(
        "ch. 3, \"Making B-trees reliable\"",
        "To be resilient to crashes, a store keeps a write-ahead log: every change is written there before anything else, and when the \
         store comes back the log brings it to a consistent state. A memtable needs the same.",
    );
    narrator.look(
        "src/storage/wal_recovery.rs decides what a torn log means; tests/simulation.rs crashes at every operation.",
    );
    Ok(())
}
