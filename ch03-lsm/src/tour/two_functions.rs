//! A log, and two functions over it.

use common::cli::human;
use common::tour::{Answer, Narrator, Question};

use super::stage::{Stage, counted, hex_dump, shuffled_key, value};
use crate::error::Error;
use crate::storage::two_function::TwoFunction;

/// How many keys are put.
const KEYS: u64 = 2_000;

pub(super) fn play(narrator: &mut Narrator, stage: &mut Stage) -> Result<(), Error> {
    narrator.says(
        "The simplest database in the world is two functions: one appends a key and a value to a file, the other reads the file \
         and takes the last value that it finds for a key. Here it is, with a checksum on every record.",
    );
    let (counts, disk) = counted();
    let dir = stage.dir("two-functions");
    let (mut store, _) = TwoFunction::open(&disk, &dir)?;
    store.put(b"42", b"San Francisco")?;
    store.put(b"42", b"Boston")?;
    let files = counts.by_path();
    let file = files.iter().max_by_key(|(_, counts)| counts.written_bytes).map(|(path, _)| path.clone());
    let file = file.ok_or_else(|| Error::Cannot("nothing was written".to_owned()))?;
    let bytes = std::fs::read(&file).map_err(Error::io("read", &file))?;
    let shown = &bytes[..bytes.len().min(160)];
    narrator.says("After put 42 \"San Francisco\" and put 42 \"Boston\", this is the whole of it:");
    narrator.show(&hex_dump(shown, 0));
    narrator.says("The old value is still there. Nothing was looked for and nothing was moved: a put is as fast as a disk can append.");

    for n in 0..KEYS {
        store.put(&shuffled_key(n, KEYS), &value(n))?;
    }
    let put = counts.total();
    let guess = narrator.quiz(
        &format!(
            "The file now holds {KEYS} more keys in {}. How much of it does one get read?",
            human::bytes(put.written_bytes)
        ),
        Question::Options(&["one record", "half of it, on average", "all of it"]),
    );
    counts.reset();
    let found = store.get(&shuffled_key(7, KEYS))?;
    let get = counts.total();
    narrator.reveal(&guess, Answer::Option(2));
    narrator.measured("puts", &human::grouped(KEYS + 2));
    narrator.measured("written for each put", &human::bytes(put.written_bytes / (KEYS + 2)));
    narrator.measured("read for one get", &human::bytes(get.read_bytes));
    narrator.measured(
        "found",
        &found.map_or_else(|| "nothing".to_owned(), |value| String::from_utf8_lossy(&value).into_owned()),
    );
    narrator.gap();
    narrator.book(
        "ch. 3, \"Data Structures That Power Your Database\"",
        "A write to a log is hard to beat. A read of it costs as much as everything that was ever written. An index is what is kept \
         beside the data to find something: every index makes reads faster, and every index makes writes slower.",
    );
    narrator.look("src/storage/two_function.rs; the log itself is common::disk::log, which the tree will use again.");
    Ok(())
}
