//! Which organ did what in the scenes, and the command that hands it to the reader.

use common::cli::Table;
use common::tour::Narrator;

use super::stage::Stage;
use crate::error::Error;

/// The organs, with the scene that shows each and what to look for.
const ORGANS: [(&str, &str, &str); 7] = [
    ("percentiles", "percentiles", "every p50 and p99"),
    ("resp", "server", "bytes into requests"),
    ("expiry", "memory", "whose deadline has passed"),
    ("eviction", "memory", "which key is given up"),
    ("recovery", "damage", "what is a tear, or damage"),
    ("group_commit", "power", "when a reply may leave"),
    ("timeline", "timeline", "who writes, who gathers"),
];

pub(super) fn play(narrator: &mut Narrator, _stage: &mut Stage) -> Result<(), Error> {
    narrator.says(
        "Seven files decided what you have seen. Each is an exercise: the command below puts a copy without its bodies into mine/, \
         tests judge what you write, and the next tour runs on it.",
    );
    let mut table = Table::new(["organ", "scene", "what it decides", "to write it yourself"]);
    for (organ, scene, decides) in ORGANS {
        table.row([organ, scene, decides, &format!("cargo grade start ch01/{organ}")]);
    }
    narrator.table(&table);
    narrator.book(
        "ch. 1, \"Summary\"",
        "Reliable: correct even when faults occur. Scalable: able to keep performance good as load grows. Maintainable: bearable \
         for those who work on it. There is no easy recipe for any of them, but there are patterns, and each organ is one.",
    );
    narrator.look(
        "cargo run -p ch01-kv -- serve --data DIR starts the server to keep; add --quiz to a tour to guess first.",
    );
    Ok(())
}
