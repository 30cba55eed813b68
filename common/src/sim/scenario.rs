//! Scenarios: what a seed is made into, and what is done with the outcome of one run and of thousands.

use std::fmt;
use std::time::Duration;

use rand::SeedableRng;

use super::account::{Account, Marks};
use super::checker::{Checker, Violation};
use super::client::Client;
use super::network::nanos;
use super::options::Options;
use super::panics::catch;
use super::schedule::{Profile, Schedule, Timed};
use super::trace::Digest;
use super::world::World;
use crate::engine::{Boot, Moment, Random};

/// What is simulated: everything that a seed decides before the world begins.
pub trait Scenario {
    /// How nodes are started.
    type Boot: Boot;
    /// The clients.
    type Client: Client<<Self::Boot as Boot>::Engine>;

    /// A world for one seed, from which `random` was made.
    fn set_up(&self, random: &mut Random) -> Setup<Self::Boot, Self::Client>;
}

/// A world before its beginning.
pub struct Setup<B: Boot, C> {
    /// How nodes are started.
    pub boot: B,
    /// The clients.
    pub clients: Vec<C>,
    /// What must hold.
    pub checkers: Vec<Box<dyn Checker<B, C>>>,
    /// The machines and the network.
    pub options: Options,
    /// What goes wrong is drawn from this,
    pub profile: Profile,
    /// and this happens besides: nodes that join, for instance.
    pub besides: Schedule,
    /// For how long things go wrong.
    pub duration: Duration,
    /// For how long all is well afterwards.
    pub settle: Duration,
}

/// A run that was as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Of everything that has happened.
    pub digest: Digest,
    /// In numbers.
    pub account: Account,
    /// What was reached.
    pub marks: Marks,
}

/// A run that was not.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What went wrong, and with that the system did too.
    pub schedule: Schedule,
    /// When.
    pub at: Moment,
    /// Which property did not hold.
    pub violation: Violation,
    /// The last of what happened before.
    pub trace: Vec<String>,
    /// What runs it again.
    pub command: Option<String>,
}

/// Runs one seed, with the faults that it draws or with those of `schedule`, and keeps `trace` lines.
///
/// # Errors
///
/// [`Failure`], when a property does not hold, or the system panics.
pub fn run<S: Scenario>(
    scenario: &S,
    seed: u64,
    schedule: Option<&Schedule>,
    trace: usize,
) -> Result<Run, Box<Failure>> {
    run_until(scenario, seed, schedule, trace, None)
}

/// The same, and the lines that are kept end at `trace_end`.
pub(super) fn run_until<S: Scenario>(
    scenario: &S,
    seed: u64,
    schedule: Option<&Schedule>,
    trace: usize,
    trace_end: Option<Moment>,
) -> Result<Run, Box<Failure>> {
    let mut random = Random::seed_from_u64(seed);
    let Setup { boot, clients, mut checkers, options, profile, besides, duration, settle } =
        scenario.set_up(&mut random);
    let schedule = schedule.cloned().unwrap_or_else(|| {
        let drawn = profile.draw(options.nodes, duration, &mut random);
        Schedule::new(drawn.faults().iter().chain(besides.faults()).cloned().collect::<Vec<Timed>>())
    });
    let mut world = World::new(boot, clients, options, seed, trace);
    world.schedule(&schedule);
    trace_end.into_iter().for_each(|end| world.end_trace_at(end));
    let lived = catch(|| {
        let healed = Moment::from_nanos(nanos(duration));
        watch(&mut world, &mut checkers, healed)?;
        world.heal();
        watch(&mut world, &mut checkers, healed + settle)?;
        let mut marks = std::mem::take(world.marks_mut());
        let judged = checkers.iter_mut().try_for_each(|checker| checker.at_end(&world, &mut marks));
        *world.marks_mut() = marks;
        judged
    });
    let violation = match lived {
        Ok(Ok(())) => {
            let (digest, account, marks) = (world.digest(), world.account().clone(), world.marks().clone());
            return Ok(Run { digest, account, marks });
        }
        Ok(Err(violation)) => violation,
        Err(panic) => Violation::new("nobody panics", panic),
    };
    let (at, trace) = (violation.at.unwrap_or_else(|| world.now()), world.trace().map(str::to_owned).collect());
    Err(Box::new(Failure { seed, schedule, at, violation, trace, command: None }))
}

/// Lets the world go on until `end`, and asks the checkers after each event.
fn watch<B: Boot, C: Client<B::Engine>>(
    world: &mut World<B, C>,
    checkers: &mut [Box<dyn Checker<B, C>>],
    end: Moment,
) -> Result<(), Violation> {
    while world.step(end) {
        if let Some(violation) = world.broken() {
            return Err(violation.clone());
        }
        let mut marks = std::mem::take(world.marks_mut());
        let judged = checkers.iter_mut().try_for_each(|checker| checker.after_event(world, &mut marks));
        *world.marks_mut() = marks;
        judged?;
    }
    Ok(())
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} at {}: {}", self.seed, self.at, self.violation)?;
        writeln!(f, "\nwhat went wrong ({} faults):", self.schedule.len())?;
        for timed in self.schedule.faults() {
            writeln!(f, "  {timed}")?;
        }
        if !self.trace.is_empty() {
            writeln!(f, "\nwhat happened last:")?;
            self.trace.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        }
        self.command.iter().try_for_each(|command| writeln!(f, "\nto run it again:\n  {command}"))
    }
}
