//! A torn tail and a flipped bit: two logs that are not whole, and why recovery cuts one and refuses the other.

use common::cli::Table;
use common::disk::{Crash, Disk, Open, SimDisk};
use common::tour::{Answer, Narrator, Question};

use super::simulated::{Machine, log_path};
use super::stage::Stage;
use crate::engine::durability::Policy;
use crate::error::Error;
use crate::storage::{Report, StorageError, Tail};

/// The writes, each a commit group of its own.
const WRITES: [(&str, &str); 5] = [("alice", "100"), ("bob", "250"), ("carol", "75"), ("dave", "310"), ("erin", "42")];

/// The group whose value is damaged, from zero: one that later groups vouch for.
const DAMAGED: usize = 1;

/// A log of [`WRITES`], as a killed process has left it.
struct Written {
    disk: SimDisk,
    /// Where each group begins; and the end.
    boundaries: Vec<u64>,
}

pub(super) fn play(narrator: &mut Narrator, _stage: &mut Stage) -> Result<(), Error> {
    let written = Written::new()?;
    narrator.says(&format!(
        "Five writes under appendfsync always, each a group of its own, make a log of {} bytes. The process is killed. What is \
         left on the disk is then damaged in three ways, and a server is started on each.",
        written.boundaries[WRITES.len()],
    ));
    let guess = narrator.quiz(
        "A bit flips inside a value in the middle of the log. What should the server do?",
        Question::Options(&["start without that write", "start with the changed value", "refuse to start"]),
    );
    let last = WRITES.len() - 1;
    let torn = (written.boundaries[last] + written.boundaries[last + 1]) / 2;
    let mut table = Table::new(["what happened to the log", "what recovery does", "keys that are served"]);
    let mut refusal = None;
    let mut cut = None;
    for (what, outcome) in [
        (format!("cut at byte {torn}, inside the last group"), written.torn_at(torn)?),
        (format!("a bit of {}'s value flipped", WRITES[DAMAGED].0), written.flipped(DAMAGED)?),
        (format!("a bit of {}'s value flipped, the last", WRITES[last].0), written.flipped(last)?),
    ] {
        let (does, keys) = match &outcome {
            Ok((report, keys)) => (describe(report), keys.to_string()),
            Err(StorageError::Damaged { offset, .. }) => {
                (format!("refuses: damaged at byte {offset}"), "none".to_owned())
            }
            Err(other) => (format!("refuses: {other}"), "none".to_owned()),
        };
        table.row([what, does, keys]);
        match outcome {
            Err(error) => refusal = Some(error),
            Ok((report, _)) => cut = cut.or(Some(report)),
        }
    }
    narrator.table(&table);
    if let Some(error) = refusal {
        narrator.reveal(&guess, Answer::Option(2));
        narrator.says("The refusal in full, as the server prints it before it exits with code 3:");
        narrator.says(&format!("\"{error}\""));
    } else {
        narrator.reveal(&guess, Answer::Option(0));
    }
    narrator.says(
        "A torn tail is what every crash leaves: the last group was being written, no sync had covered it, so nobody was told \
         that it was done. It is cut, and said so. A bad group in the middle is another matter: a later group's annotation \
         says that a sync had covered it, so somebody may have been told. Serving the rest as if nothing were missing \
         would be the one thing that a log must not do.",
    );
    if let Some(Report { tail: Tail::Torn { at, bytes, .. }, .. }) = cut {
        narrator.measured("bytes given up with the torn tail", &format!("{bytes}, from byte {at} on"));
        narrator.gap();
    }
    narrator.says(
        "The third log is the honest limit: nothing that was written later vouches for the last group, so damage there looks like \
         a tear. A clean shutdown leaves a seal behind the last group, which closes that gap.",
    );
    narrator.book(
        "ch. 1, \"Hardware Faults\"",
        "Hardware faults are often weakly correlated and quiet. A checksum turns a silent one into one that can be tolerated: \
         restored from a copy, or fetched from a replica.",
    );
    narrator.look("src/storage/recovery.rs tells the two apart; the bytes are drawn in src/storage/format.rs.");
    Ok(())
}

/// What a start on a log came to: what was found and how many keys there are, or why not.
type Outcome = Result<(Report, usize), StorageError>;

impl Written {
    fn new() -> Result<Self, Error> {
        let (mut machine, _) = Machine::start(SimDisk::new(1), Policy::Always)?;
        let mut boundaries = vec![machine.log_len()];
        for (name, value) in WRITES {
            machine.request(&["SET", name, value]);
            boundaries.push(machine.log_len());
        }
        // One more look, so that the last sync is noticed: all five are acknowledged.
        machine.request(&["PING"]);
        Ok(Self { disk: machine.disk.clone(), boundaries })
    }

    fn torn_at(&self, len: u64) -> Result<Outcome, Error> {
        let disk = self.disk.fork();
        disk.crash(Crash::KeepAll);
        let file = disk.open(&log_path(), Open::Existing).map_err(Error::system("open the simulated log"))?;
        file.set_len(len).map_err(Error::system("cut the simulated log"))?;
        Ok(start(disk))
    }

    /// Flips the lowest bit of a value.
    fn flipped(&self, group: usize) -> Result<Outcome, Error> {
        let disk = self.disk.fork();
        disk.crash(Crash::KeepAll);
        let log = disk.cached(log_path()).unwrap_or_default();
        let (from, to) = (self.boundaries[group] as usize, self.boundaries[group + 1] as usize);
        let value = format!("\r\n{}\r\n", WRITES[group].1);
        let place = log[from..to].windows(value.len()).position(|window| window == value.as_bytes());
        let place = place.ok_or_else(|| Error::Cannot("a value is not where it was written".into()))?;
        let byte = (from + place + 2) as u64;
        disk.flip_bit(log_path(), byte * 8).map_err(Error::system("damage the simulated disk"))?;
        Ok(start(disk))
    }
}

fn start(disk: SimDisk) -> Outcome {
    Machine::start(disk, Policy::Always).map(|(machine, report)| (report, machine.keys()))
}

fn describe(report: &Report) -> String {
    match report.tail {
        Tail::Clean | Tail::Padding => "starts: the log is whole".to_owned(),
        Tail::Torn { at, why, .. } => format!("cuts the group at byte {at}, which {why}; starts"),
    }
}
