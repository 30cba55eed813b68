//! The reader's desk: beginning an exercise, its hints, comparing, and beginning again.

use std::fs;
use std::path::PathBuf;

use super::error::{Doing, Error};
use super::manifest::Exercise;
use super::starter;
use super::workspace::{Workspace, read, write};

/// A hint, and which of how many it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// From 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
    /// What it says.
    pub text: String,
}

/// Copies the starter to the reader's folder, and never over a file that is there.
pub fn start(workspace: &Workspace, exercise: &Exercise) -> Result<PathBuf, Error> {
    let mine = exercise.mine();
    if mine.exists() {
        let id = exercise.id();
        let shown = workspace.shown(&mine);
        return Err(Error::Refused(format!(
            "{shown} is there already; `cargo grade {id}` judges it, `cargo grade reset {id}` begins again"
        )));
    }
    write(&mine, &read(&exercise.starter())?)?;
    Ok(mine)
}

/// Puts the starter back in place of the reader's file, and returns where that file is kept.
pub fn reset(workspace: &Workspace, exercise: &Exercise) -> Result<PathBuf, Error> {
    let mine = exercise.mine();
    if !mine.exists() {
        let id = exercise.id();
        return Err(Error::Refused(format!("{id} is not started; `cargo grade start {id}` does that")));
    }
    let kept = (1_u32..)
        .map(|number| match number {
            1 => mine.with_extension("rs.bak"),
            _ => mine.with_extension(format!("rs.bak{number}")),
        })
        .find(|path| !path.exists())
        .expect("some number is free");
    fs::rename(&mine, &kept).doing(|| format!("keeping {}", workspace.shown(&mine)))?;
    write(&mine, &read(&exercise.starter())?)?;
    Ok(kept)
}

/// The next hint. Which ones were given is remembered below the target folder; after the last one, the last again.
pub fn hint(workspace: &Workspace, exercise: &Exercise) -> Result<Hint, Error> {
    let path = workspace.scratch().join("hints").join(&exercise.chapter).join(&exercise.organ);
    // A memory that is gone or spoilt begins again at the first hint.
    let given: usize = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let of = exercise.hints.len();
    let at = given.min(of - 1);
    write(&path, &format!("{}\n", at + 1))?;
    Ok(Hint { number: at + 1, of, text: exercise.hints[at].clone() })
}

/// The reader's file against the reference, as a unified diff: `-` is the reference's, `+` is the reader's.
pub fn diff(workspace: &Workspace, exercise: &Exercise) -> Result<String, Error> {
    let mine = read(&exercise.mine())?;
    let reference = starter::finished(exercise, &read(&exercise.reference())?);
    let names = (workspace.shown(&exercise.reference()), workspace.shown(&exercise.mine()));
    let diff = similar::TextDiff::from_lines(&reference, &mine);
    Ok(diff.unified_diff().context_radius(3).header(&names.0, &names.1).to_string())
}
