//! The part of `cargo grade selfcheck` that needs no build: the definitions, the starters and the anchors, as text.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::error::Error;
use super::manifest::{Exercise, Wrong};
use super::starter;
use super::tree;
use super::workspace::{Chapter, Workspace, read, write};

/// Wrong answers that each exercise has at least.
const WRONG_ANSWERS: usize = 3;

/// What the exercises of one chapter give together.
const CHAPTER_POINTS: u32 = 100;

#[derive(Deserialize)]
struct Book {
    #[serde(default, rename = "section")]
    sections: Vec<BookSection>,
}

#[derive(Deserialize)]
struct BookSection {
    title: String,
}

/// What is wrong with the workspace as a whole: answers that were committed, organs that would share a file.
pub(super) fn of_workspace(workspace: &Workspace) -> Vec<String> {
    let committed = tree::committed_answers(workspace).unwrap_or_default();
    let mut defects: Vec<String> =
        committed.iter().map(|path| format!("{} is committed: mine/ is the readers'", path.display())).collect();
    let mut organs: BTreeMap<(&str, &str), &Exercise> = BTreeMap::new();
    for exercise in workspace.exercises() {
        if let Some(other) = organs.insert((&exercise.package, &exercise.organ), exercise) {
            let (one, two) = (other.id(), exercise.id());
            defects.push(format!("{one} and {two} are one organ of `{}`", exercise.package));
        }
    }
    defects
}

/// What is wrong with a chapter's definitions.
pub(super) fn of_chapter(chapter: &Chapter) -> Vec<String> {
    let mut defects = Vec::new();
    if chapter.points() != CHAPTER_POINTS {
        defects.push(format!("its exercises give {} points, not {CHAPTER_POINTS}", chapter.points()));
    }
    match sections(chapter) {
        Err(error) => defects.push(error.to_string()),
        Ok(titles) => {
            for exercise in &chapter.exercises {
                if !titles.contains(&exercise.section.title) {
                    let title = &exercise.section.title;
                    defects.push(format!("{}: book.toml has no section \"{title}\"", exercise.id()));
                }
            }
        }
    }
    match chapter.wrong_answers() {
        Err(error) => defects.push(error.to_string()),
        Ok(wrong) => {
            let organs: Vec<&str> = chapter.exercises.iter().map(|exercise| exercise.organ.as_str()).collect();
            for stray in wrong.iter().filter(|wrong| !organs.contains(&wrong.organ.as_str())) {
                defects.push(format!("wrong answer `{}` is for `{}`, which is no organ", stray.name, stray.organ));
            }
        }
    }
    defects
}

/// What is wrong with the text of an exercise: its starter, and its wrong answers.
pub(super) fn of_exercise(exercise: &Exercise, wrong: &[&Wrong]) -> Result<Vec<String>, Error> {
    let mut defects = Vec::new();
    let committed = read(&exercise.starter()).unwrap_or_default();
    if committed.is_empty() {
        defects.push("there is no starter; `cargo grade starters` writes it".to_owned());
    } else if committed != generate(exercise)? {
        defects.push("the starter is stale; `cargo grade starters` writes it".to_owned());
    }
    if wrong.len() < WRONG_ANSWERS {
        defects.push(format!("it has {} wrong answers, and needs {WRONG_ANSWERS}", wrong.len()));
    }
    let reference = read(&exercise.reference())?;
    for (at, answer) in wrong.iter().enumerate() {
        let name = &answer.name;
        if wrong[..at].iter().any(|earlier| earlier.name == *name) {
            defects.push(format!("two wrong answers are called `{name}`"));
        }
        if answer.why.trim().is_empty() {
            defects.push(format!("wrong answer `{name}` does not say why readers make it"));
        }
        if !exercise.checks.iter().any(|check| check.name == answer.fails) {
            defects.push(format!("wrong answer `{name}` is to fail `{}`, which is no check", answer.fails));
        }
        if let Err(count) = answer.apply(&reference) {
            defects.push(format!("wrong answer `{name}`: its anchor is in the reference {count} times, not once"));
        }
    }
    Ok(defects)
}

/// The starter, made anew from the reference.
pub fn generate(exercise: &Exercise) -> Result<String, Error> {
    let path = exercise.reference();
    starter::starter(exercise, &read(&path)?).map_err(|source| Error::Markers { path, source })
}

/// Writes the starter if it differs, and says whether it did.
pub fn write_starter(exercise: &Exercise) -> Result<bool, Error> {
    let text = generate(exercise)?;
    let path = exercise.starter();
    if read(&path).is_ok_and(|committed| committed == text) {
        return Ok(false);
    }
    write(&path, &text)?;
    Ok(true)
}

fn sections(chapter: &Chapter) -> Result<Vec<String>, Error> {
    let path = chapter.folder.join("book.toml");
    let book: Book =
        toml::from_str(&read(&path)?).map_err(|error| Error::Manifest { path, what: error.to_string() })?;
    Ok(book.sections.into_iter().map(|section| section.title).collect())
}
