//! `exercises.toml` and `wrong.toml`: what a chapter asks, and the wrong answers that its judges must turn away.
//!
//! Both are checked whole when they are read: a check without a point, a point too many or a hint too few is an error that
//! names the file, never a score that does not add up.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::error::Error;

/// A chapter's exercises, as its `exercises.toml` gives them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Its short name, `ch03`.
    pub chapter: String,
    /// The title of the book's chapter.
    pub title: String,
    /// In the order in which a reader does them.
    #[serde(default, rename = "exercise")]
    pub exercises: Vec<Exercise>,
}

/// One exercise: an organ of the running system, the task, and what it is scored by.
///
/// **Invariants** (held by [`Manifest::parse`]): `points` is the sum of the checks' points; check names differ; `organ` is a
/// lower-case Rust name; `source` stays inside the package.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exercise {
    /// The organ, and the name of its judge, its starter and the reader's file.
    pub organ: String,
    /// The crate that the organ lives in.
    pub package: String,
    /// The reference, relative to the package.
    pub source: PathBuf,
    /// The exercise's title.
    pub title: String,
    /// Where in the book it belongs.
    pub section: Section,
    /// What all checks together give.
    pub points: u32,
    /// What to write.
    pub task: String,
    /// What to predict before writing it.
    pub predict: String,
    /// From a nudge to an outline.
    pub hints: [String; 3],
    /// The checks: exactly the tests of the judge.
    #[serde(rename = "check")]
    pub checks: Vec<Check>,
    /// The chapter that asks it, `ch03`.
    #[serde(skip)]
    pub chapter: String,
    /// The folder of the crate that the organ lives in.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// A section of the book.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// The chapter, by the first edition's number.
    pub chapter: u32,
    /// The section's title.
    pub title: String,
}

/// One scored property.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The test function of the judge.
    pub name: String,
    /// What it gives.
    pub points: u32,
    /// The property in a sentence, shown when it fails.
    pub says: String,
}

/// A known wrong answer: the reference with one mistake put in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wrong {
    /// The organ that it is an answer for.
    pub organ: String,
    /// The mistake in a few words.
    pub name: String,
    /// Text that stands in the reference exactly once.
    pub find: String,
    /// What the mistake writes instead.
    pub replace: String,
    /// The check that must turn it away.
    pub fails: String,
    /// Why readers make it.
    pub why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrongFile {
    #[serde(default)]
    wrong: Vec<Wrong>,
}

impl Manifest {
    /// Reads the text of an `exercises.toml`; `path` is for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let invalid = |what: String| Error::Manifest { path: path.to_owned(), what };
        let mut manifest: Self = toml::from_str(text).map_err(|error| invalid(error.to_string()))?;
        let mut organs = BTreeSet::new();
        for exercise in &mut manifest.exercises {
            exercise.chapter.clone_from(&manifest.chapter);
            exercise.validate().map_err(|what| invalid(format!("exercise `{}`: {what}", exercise.organ)))?;
            if !organs.insert(exercise.organ.clone()) {
                return Err(invalid(format!("exercise `{}` is there twice", exercise.organ)));
            }
        }
        Ok(manifest)
    }
}

impl Exercise {
    /// What the reader calls it: `ch03/memtable`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.chapter, self.organ)
    }

    /// The reference.
    pub fn reference(&self) -> PathBuf {
        self.folder.join(&self.source)
    }

    /// The committed starter.
    pub fn starter(&self) -> PathBuf {
        self.folder.join("exercises").join(format!("{}.rs", self.organ))
    }

    /// The reader's file.
    pub fn mine(&self) -> PathBuf {
        self.folder.join("mine").join(format!("{}.rs", self.organ))
    }

    fn validate(&self) -> Result<(), String> {
        let is_name = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        if !is_name(&self.organ) {
            return Err("an organ's name is a lower-case Rust name: it becomes a cfg and a file".to_owned());
        }
        if self.source.components().any(|part| !matches!(part, Component::Normal(_))) {
            return Err(format!("source `{}` must be a plain path inside the package", self.source.display()));
        }
        if self.checks.is_empty() {
            return Err("it has no checks".to_owned());
        }
        let mut names = BTreeSet::new();
        for check in &self.checks {
            if !names.insert(&check.name) {
                return Err(format!("check `{}` is there twice", check.name));
            }
            if check.points == 0 {
                return Err(format!("check `{}` gives no points", check.name));
            }
        }
        let sum: u32 = self.checks.iter().map(|check| check.points).sum();
        if sum != self.points {
            return Err(format!("its checks give {sum} points, but it says {}", self.points));
        }
        let texts = [&self.title, &self.task, &self.predict, &self.section.title];
        let says = self.checks.iter().map(|check| &check.says);
        if texts.into_iter().chain(&self.hints).chain(says).any(|text| text.trim().is_empty()) {
            return Err("title, section, task, predict, hints and says must all say something".to_owned());
        }
        Ok(())
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DDIA ch. {}, \"{}\"", self.chapter, self.title)
    }
}

impl Wrong {
    /// Reads the text of a `wrong.toml`; `path` is for messages.
    pub fn parse_file(text: &str, path: &Path) -> Result<Vec<Self>, Error> {
        let file: WrongFile =
            toml::from_str(text).map_err(|error| Error::Manifest { path: path.to_owned(), what: error.to_string() })?;
        Ok(file.wrong)
    }

    /// The wrong answer itself: `reference` with the mistake in it; how often the anchor is there, if not once.
    pub fn apply(&self, reference: &str) -> Result<String, usize> {
        match reference.matches(&self.find).count() {
            1 if !self.find.is_empty() => Ok(reference.replacen(&self.find, &self.replace, 1)),
            count => Err(count),
        }
    }
}
