//! The power cut: which acknowledged writes are left when the page cache is not.

use common::cli::{Table, human};
use common::disk::{Crash, SimDisk};
use common::tour::{Answer, Narrator, Question};

use super::simulated::{Machine, STEP};
use super::stage::Stage;
use crate::engine::durability::Policy;
use crate::error::Error;

/// Writes before the power goes: two and a half seconds' worth of simulated time.
const WRITES: u64 = 2_500;

/// How many power cuts in the middle of writing back are tried, each with another fate for each sector.
const RANDOM_CUTS: u64 = 8;

/// What is left after a crash.
struct Left {
    acknowledged: u64,
    survived: u64,
}

/// What each kind of crash left, under one policy.
struct Fate {
    policy: Policy,
    syncs: u64,
    killed: Left,
    cut: Left,
    /// The least and the most that was lost.
    torn: (u64, u64),
}

pub(super) fn play(narrator: &mut Narrator, _stage: &mut Stage) -> Result<(), Error> {
    narrator.says(&format!(
        "The same server, the same log and the same recovery now run on a simulated disk, which keeps apart what processes see \
         (the page cache) and what is durable. A client writes every {} for {} of simulated time. Then one and the same moment \
         is tried several times over: the process is killed; the power fails before anything was written back; the \
         power fails in the middle of writing back, {RANDOM_CUTS} times with other sectors surviving.",
        human::duration(STEP),
        human::duration(STEP * WRITES as u32),
    ));
    let guess = narrator.quiz(
        "Under appendfsync everysec, how many acknowledged writes will the power cut have cost?",
        Question::Number { unit: "writes" },
    );
    let mut fates = Vec::new();
    for policy in [Policy::Always, Policy::EverySec, Policy::No] {
        fates.push(fate(policy)?);
    }
    let mut table = Table::new([
        "appendfsync",
        "syncs",
        "acknowledged",
        "lost: process killed",
        "survived the power cut",
        "lost: power cut",
        "lost: while writing back",
    ]);
    for Fate { policy, syncs, killed, cut, torn } in &fates {
        table.row([
            policy.to_string(),
            human::grouped(*syncs),
            human::grouped(cut.acknowledged),
            human::grouped(killed.lost()),
            human::grouped(cut.survived),
            human::grouped(cut.lost()),
            if torn.0 == torn.1 { torn.0.to_string() } else { format!("{} to {}", torn.0, torn.1) },
        ]);
    }
    narrator.table(&table);
    narrator.reveal(&guess, Answer::Number(fates[1].cut.lost() as f64));
    if fates[0].cut.lost() > 0 {
        narrator.says(
            "Under always, acknowledged writes are gone: a reply has left before the sync that covers it. That is what this scene \
             is for; group commit is at fault.",
        );
    }
    narrator.says(
        "The column of the kill is the previous scene's: it cannot tell the three apart, because all of them have written to the page \
         cache before they answered. The power cut can. Under always a reply has to wait for the sync that covers its \
         write, so that what is acknowledged is on the disk. Under everysec the replies since the last sync were promises that nobody \
         could keep. Under no, everything is as durable as the kernel felt like.",
    );
    narrator.show(
        "SET -> memory -> page cache -> disk\n\
         \x20         |          |           |\n\
         \x20         |          |           always answers here: survives the power cut\n\
         \x20         |          everysec and no answer here: survives SIGKILL\n\
         \x20         nobody answers here: a read could be taken back",
    );
    narrator.book(
        "ch. 1, \"Hardware Faults\"",
        "Disks fail, power grids black out, somebody unplugs the wrong cable. Redundancy was the first answer; tolerating the loss \
         of whole machines by software is the newer one. Either way somebody has to know what is durable, and when.",
    );
    narrator.look(
        "When a reply may leave is decided in src/engine/group_commit.rs. tests/simulation.rs cuts the power at every single disk \
         operation of a workload.",
    );
    Ok(())
}

fn fate(policy: Policy) -> Result<Fate, Error> {
    let (mut machine, _) = Machine::start(SimDisk::new(1), policy)?;
    for number in 0..WRITES {
        machine.request(&["SET", &key(number), "a value"]);
    }
    let crashed = |how, seed| -> Result<Left, Error> {
        let disk = machine.disk.fork();
        disk.reseed(seed);
        disk.crash(how);
        survivors(disk, policy, machine.acknowledged)
    };
    let killed = crashed(Crash::KeepAll, 0)?;
    let cut = crashed(Crash::LoseAll, 0)?;
    let mut torn = (u64::MAX, 0);
    for seed in 0..RANDOM_CUTS {
        let lost = crashed(Crash::Random, seed)?.lost();
        torn = (torn.0.min(lost), torn.1.max(lost));
    }
    Ok(Fate { policy, syncs: machine.syncs(), killed, cut, torn })
}

/// Recovers from the disk, and looks for each write that was acknowledged.
fn survivors(disk: SimDisk, policy: Policy, acknowledged: u64) -> Result<Left, Error> {
    let (mut machine, _) = Machine::start(disk, policy)?;
    let survived = (0..acknowledged).filter(|number| machine.has(&key(*number))).count();
    Ok(Left { acknowledged, survived: survived as u64 })
}

fn key(number: u64) -> String {
    format!("key:{number}")
}

impl Left {
    fn lost(&self) -> u64 {
        self.acknowledged - self.survived
    }
}
