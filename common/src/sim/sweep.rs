//! Thousands of seeds, and what is made of the one that fails.

use std::fmt;

use super::account::{Account, Marks};
use super::scenario::{Failure, Scenario, run, run_until};
use super::schedule::Schedule;
use super::trace::Digest;

/// How many lines of what happened before a violation are shown.
const TRACE_LINES: usize = 60;

/// How many runs the shrinking of a schedule may take: seconds, where one takes milliseconds.
const SHRINK_RUNS: usize = 400;

/// How many seeds to run, instead of as many as a test does by itself.
const SEEDS_VAR: &str = "SIM_SEEDS";

/// The one seed to run.
const SEED_VAR: &str = "SIM_SEED";

/// The schedule to run it with, instead of the one that it draws.
const SCHEDULE_VAR: &str = "SIM_SCHEDULE";

/// Many runs, all as they should be.
#[derive(Debug, Clone, Default)]
pub struct Sweep {
    /// How many.
    pub seeds: u64,
    /// All that happened, in numbers.
    pub account: Account,
    /// All that was reached.
    pub marks: Marks,
    /// Of all of them, one after the other: the same seeds must give the same one wherever they run.
    pub digest: Digest,
}

/// The place of a test, for the command that runs it again.
#[derive(Debug, Clone, Copy)]
pub struct Test {
    /// The package.
    pub package: &'static str,
    /// The file under `tests/`, without its ending.
    pub file: &'static str,
    /// The test in it.
    pub name: &'static str,
}

/// The first of `seeds` that fails, as it was drawn: for tests that plant a bug, and say within how many it is caught.
pub fn first_failure<S: Scenario>(scenario: &S, seeds: impl IntoIterator<Item = u64>) -> Option<Box<Failure>> {
    seeds.into_iter().find_map(|seed| run(scenario, seed, None, 0).err())
}

/// The seeds that a test runs: as many as `SIM_SEEDS` says, or the one that `SIM_SEED` names, or else `usual` ones.
///
/// # Panics
///
/// When a variable is set to something else than a number.
pub fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name: &str| {
        let text = variable(name)?;
        Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name} must be a whole number, not {text:?}")))
    };
    if let Some(seed) = number(SEED_VAR) {
        return seed..seed.saturating_add(1);
    }
    0..number(SEEDS_VAR).unwrap_or(usual)
}

impl Test {
    /// Runs `usual` seeds, or those that the environment asks for.
    ///
    /// # Panics
    ///
    /// When one fails: with the shortest schedule with which it does, what happened last, and the command that runs it again.
    pub fn sweep<S: Scenario>(&self, scenario: &S, usual: u64) -> Sweep {
        let mut sweep = Sweep::default();
        let schedule = variable(SCHEDULE_VAR).map(|text| {
            text.parse::<Schedule>().unwrap_or_else(|error| panic!("{SCHEDULE_VAR} is no schedule: {error}"))
        });
        for seed in seeds(usual) {
            match run(scenario, seed, schedule.as_ref(), 0) {
                Ok(run) => {
                    sweep.seeds += 1;
                    sweep.account += &run.account;
                    sweep.marks += &run.marks;
                    sweep.digest.add(run.digest.value());
                }
                Err(failure) => panic!("{}", self.explain(scenario, &failure)),
            }
        }
        sweep
    }

    /// Runs a seed that has failed again and again: until its schedule is as short as it gets, and then with what happens in
    /// words.
    pub fn explain<S: Scenario>(&self, scenario: &S, failure: &Failure) -> Box<Failure> {
        let seed = failure.seed;
        let property = failure.violation.property;
        let mut at = failure.violation.at;
        let schedule = failure.schedule.shrink(SHRINK_RUNS, |schedule| {
            let failure = run(scenario, seed, Some(schedule), 0).err();
            let failure = failure.filter(|failure| failure.violation.property == property);
            failure.inspect(|failure| at = failure.violation.at).is_some()
        });
        let Err(mut failure) = run_until(scenario, seed, Some(&schedule), TRACE_LINES, at) else {
            panic!("seed {seed} fails once and not again: something in it does not come from the seed");
        };
        let Self { package, file, name } = self;
        failure.command =
            Some(format!("{SEED_VAR}={seed} {SCHEDULE_VAR}='{schedule}' cargo test -p {package} --test {file} {name}"));
        failure
    }
}

impl fmt::Display for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} seeds, digest {:016x}", self.seeds, self.digest.value())?;
        writeln!(f, "\nwhat happened:\n{}", self.account)?;
        writeln!(f, "what was reached:\n{}", self.marks)
    }
}

/// A variable of the environment. What it says is printed with every failure, so that the run stays repeatable.
#[expect(clippy::disallowed_methods, reason = "which seeds are run is the developer's choice, and none of the world's")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
