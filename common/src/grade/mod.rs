//! Grading: readers' organs in place of the references, judged by the tests that judge the references.
//!
//! A reader takes one part of a working system, writes their own, and the system runs on it. For that to teach anything the
//! verdict must be worth trusting, so the grader is hard on the judges as well (`selfcheck`): they must turn away the empty
//! starter on every check, and each known wrong answer on the check that is there for it.
//!
//! In reading order: [`manifest`] is what a chapter asks; [`scan`] and [`starter`] make starters from references; [`build`]
//! asks cargo for a judge with chosen organs in it; [`process`] runs one check under a limit and [`verdict`] reads what it
//! did; [`score`] puts these together; [`report`] and [`json`] say it; [`desk`] is what a reader does beside judging;
//! [`tree`] copies workspaces; [`definitions`], [`selfcheck`], [`rounds`] and [`trace`] check the exercises themselves.
//!
//! How a crate finds the reader's files is in `organs.rs`, which its build script includes; a binary says which are in use
//! with [`mine!`](crate::mine).
//!
//! **Left out**: a sandbox. A reader's code runs with the rights of whoever grades it, so `--from` is for people whose code one
//! would run anyway, or for a machine that can be thrown away.

pub mod build;
pub mod definitions;
pub mod desk;
pub mod error;
pub mod json;
pub mod manifest;
pub mod process;
pub mod progress;
pub mod report;
pub mod rounds;
pub mod scan;
pub mod score;
pub mod selfcheck;
pub mod starter;
pub mod trace;
pub mod tree;
pub mod verdict;
pub mod workspace;

pub use crate::mine;
pub use error::Error;
pub use workspace::Workspace;

/// The reader's organs that this build of `common` has in it, joined by commas; empty with the references alone.
pub const MINE_ORGANS: &str = match option_env!("MINE_ORGANS") {
    Some(organs) => organs,
    None => "",
};

/// The line that a binary prints when it starts with organs of the reader's in it: those of the calling crate and those of
/// `common`. Nothing where all are the references.
///
/// ```
/// if let Some(line) = common::mine!() {
///     eprintln!("{line}");
/// }
/// ```
#[macro_export]
macro_rules! mine {
    () => {
        $crate::grade::in_use(env!("CARGO_PKG_NAME"), option_env!("MINE_ORGANS").unwrap_or(""))
    };
}

/// The line of [`mine!`](crate::mine) for the crate `package`, which has `organs` of the reader's in it.
pub fn in_use(package: &str, organs: &str) -> Option<String> {
    let crates = [(package, organs), ("common", if package == "common" { "" } else { MINE_ORGANS })];
    let parts: Vec<String> = crates
        .iter()
        .filter(|(_, organs)| !organs.is_empty())
        .map(|(package, organs)| format!("{} ({package}/mine)", organs.replace(',', ", ")))
        .collect();
    (!parts.is_empty()).then(|| format!("organs of yours: {}; MINE=off runs the references", parts.join("; ")))
}
