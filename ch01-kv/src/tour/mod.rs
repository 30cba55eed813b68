//! The tour: the chapter's claims, each made to happen on this machine, in under a minute and with nothing installed.
//!
//! The scenes follow DDIA ch. 1 from "Thinking About Data Systems" to its "Summary". A scene starts what it needs (a server on a
//! free loopback port, a child process to kill, a simulated disk to cut the power of), measures, and says what the numbers
//! mean. Every number that is printed was measured in that run; nothing is left behind.
//!
//! | file | scenes |
//! |---|---|
//! | `serving` | a server that Redis clients talk to |
//! | `timelines` | the home timeline, three ways |
//! | `response_times` | percentiles, and the page of many calls |
//! | `stall` | coordinated omission |
//! | `kill` | SIGKILL under load |
//! | `power` | a power cut on the simulated disk |
//! | `damage` | a torn tail and a flipped bit |
//! | `operating` | what an operator sees |
//! | `memory` | more data than memory |
//! | `organs` | which organ did what |

mod damage;
mod kill;
mod memory;
mod operating;
mod organs;
mod power;
mod response_times;
mod samples;
mod serving;
mod simulated;
mod stage;
mod stall;
mod timelines;

use clap::Args;
use common::cli::Shutdown;
use common::tour::{Narrator, Scene, Tour, TourArgs};

use crate::error::Error;
use stage::Stage;

/// What `tour` is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct TourVerb {
    /// The flags that every chapter's tour has.
    #[command(flatten)]
    pub tour: TourArgs,
}

/// Runs the tour, or lists its scenes.
///
/// # Errors
///
/// There is no such scene, a scene failed, or the text cannot be written.
pub fn run(args: &TourVerb) -> Result<(), Error> {
    let TourVerb { tour: args } = args;
    let mut narrator = Narrator::stdio(args);
    let shutdown = Shutdown::on_signals()?;
    let mut stage = Stage::new(shutdown.clone())?;
    if !args.list
        && let Some(organs) = common::mine!()
    {
        narrator.says(&organs);
    }
    scenes().until(shutdown).run(args, &mut narrator, &mut stage)?;
    Ok(())
}

/// The book's section of each scene, in order.
pub fn sections() -> Vec<String> {
    scenes().scenes().iter().map(|scene| scene.section().to_owned()).collect()
}

/// The scenes in order.
fn scenes() -> Tour<Stage, Error> {
    Tour::new("Chapter 1: reliable, scalable and maintainable, one claim at a time")
        .scene(Scene::new(
            "server",
            "A server that Redis clients talk to",
            "Thinking About Data Systems",
            serving::play,
        ))
        .scene(Scene::new("timeline", "The home timeline, three ways", "Describing Load", timelines::play))
        .scene(Scene::new("percentiles", "What users wait for", "Describing Performance", response_times::play))
        .scene(Scene::new("stall", "A load that looks away", "Describing Performance", stall::play))
        .scene(Scene::new("kill", "Killed under load", "Reliability", kill::play))
        .scene(Scene::new("power", "The power cut", "Hardware Faults", power::play))
        .scene(Scene::new("damage", "A torn tail and a flipped bit", "Hardware Faults", damage::play))
        .scene(Scene::new("memory", "More data than memory", "Approaches for Coping with Load", memory::play))
        .scene(Scene::new(
            "operate",
            "What an operator sees",
            "Operability: Making Life Easy for Operations",
            operating::play,
        ))
        .scene(Scene::new("organs", "Which organ did what, and how to write it yourself", "Summary", organs::play))
}
