//! Two strategies, without a disk.

use common::cli::Look;
use common::tour::{Answer, Narrator, Question};

use super::stage::Stage;
use crate::compaction_sim::{CompactionSimArgs, picture};
use crate::error::Error;

pub(super) fn play(narrator: &mut Narrator, _stage: &mut Stage) -> Result<(), Error> {
    narrator.says(
        "Which tables are merged next is a choice, and nobody wins at everything: what is merged often is written often, and what is \
         merged seldom has to be asked for in many places and keeps what is old. The choice is a function without a disk, so that it can \
         be watched over time: here 200 memtables of 500 random keys, under two strategies.",
    );
    let guess = narrator
        .quiz("Which of the two writes a byte more often?", Question::Options(&["leveled", "size-tiered", "neither"]));
    let args = CompactionSimArgs { memtables: 200, entries: 500, keys: 40_000, sequential: false, seed: 1 };
    let look = Look { width: narrator.chart_width(), ..Look::pipe() };
    narrator.show(&picture(&args, look));
    narrator.reveal(&guess, Answer::Option(0));
    narrator.book(
        "ch. 3, \"Performance optimizations\"",
        "In size-tiered compaction, newer and smaller tables are merged into older and larger ones. In leveled compaction, the key range is \
         split into smaller tables and older data moves into separate levels, so that compaction goes on in steps and uses less space.",
    );
    narrator.look("src/engine/leveled.rs is an organ; cargo run -p ch03-lsm -- compaction-sim --help has other loads.");
    Ok(())
}
