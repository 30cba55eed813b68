//! The tour: the chapter's own road, with real files in a temporary directory, from two functions to an LSM tree.
//!
//! Each step answers what the one before could not: a log finds nothing, a hash index finds no range, a sorted table takes no
//! writes, and a tree of them takes writes, finds ranges, and has to clean up after itself (DDIA ch. 3, "Data Structures
//! That Power Your Database"). At each step: the bytes on disk, what a read touches, what a crash loses, and how often a
//! byte is written and read. Every number that is printed was measured in that run; nothing is left behind.
//!
//! | file | scenes |
//! |---|---|
//! | `two_functions` | a log, and nothing else |
//! | `hashes` | a map of where everything is |
//! | `tables` | sorted, and what it looks like |
//! | `trees` | writes that are sorted as they come |
//! | `filters` | what is not there |
//! | `compactions` | who cleans up |
//! | `crashes` | what a power cut leaves |
//! | `amplifications` | the road side by side |
//! | `organs` | which organ did what |

mod amplifications;
mod compactions;
mod crashes;
mod filters;
mod hashes;
mod organs;
mod stage;
mod tables;
mod trees;
mod two_functions;

use clap::Args;
use common::cli::Shutdown;
use common::tour::{Narrator, Scene, Tour, TourArgs};

use crate::error::Error;
use stage::Stage;

/// What `tour` is told.
#[derive(Debug, Clone, Default, Args)]
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
    let mut stage = Stage::new()?;
    if !args.list
        && let Some(organs) = common::mine!()
    {
        narrator.says(&organs);
    }
    scenes().until(Shutdown::on_signals()?).run(args, &mut narrator, &mut stage)?;
    Ok(())
}

/// The book's section of each scene, in order.
pub fn sections() -> Vec<String> {
    scenes().scenes().iter().map(|scene| scene.section().to_owned()).collect()
}

/// The scenes in order.
fn scenes() -> Tour<Stage, Error> {
    let power = "Data Structures That Power Your Database";
    let optimizations = "Performance optimizations";
    Tour::new("Chapter 3: from two functions to a tree of sorted tables")
        .scene(Scene::new("log", "Two functions and a log", power, two_functions::play))
        .scene(Scene::new("hash", "A map of where everything is", "Hash Indexes", hashes::play))
        .scene(Scene::new("table", "Sorted, and what that looks like", "SSTables and LSM-Trees", tables::play))
        .scene(Scene::new("tree", "Sorted as it comes", "Constructing and maintaining SSTables", trees::play))
        .scene(Scene::new("filter", "What is not there", optimizations, filters::play))
        .scene(Scene::new("compaction", "Who cleans up, and when", optimizations, compactions::play))
        .scene(Scene::new("crash", "What a power cut leaves", "Making B-trees reliable", crashes::play))
        .scene(Scene::new("road", "The road, side by side", "Comparing B-Trees and LSM-Trees", amplifications::play))
        .scene(Scene::new("organs", "Which organ did what, and how to write it yourself", "Summary", organs::play))
}
