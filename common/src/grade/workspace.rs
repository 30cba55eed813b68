//! The workspace that is graded: its crates, its chapters, and where the grader keeps its own things.
//!
//! Everything takes the workspace as an argument, so that the same engine grades this tree, a copy of it with a student's
//! files in it, and the tiny trees of its own tests.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::error::{Doing, Error};
use super::manifest::{Exercise, Manifest, Wrong};

/// How alike a name must be to be suggested, from 0 to 1.
const ALIKE: f32 = 0.5;

/// A workspace of chapters.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Its top folder.
    pub root: PathBuf,
    /// Where cargo builds.
    pub target: PathBuf,
    /// The folder of each member crate, by name.
    pub packages: BTreeMap<String, PathBuf>,
    /// The chapters, in the order of the book.
    pub chapters: Vec<Chapter>,
}

/// A chapter: a member crate that has an `exercises.toml`.
#[derive(Debug, Clone)]
pub struct Chapter {
    /// Its short name, `ch03`.
    pub id: String,
    /// The title of the book's chapter.
    pub title: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its exercises, those whose organ lives in `common` too.
    pub exercises: Vec<Exercise>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}

impl Workspace {
    /// The workspace around `folder`, as cargo sees it.
    pub fn discover(folder: &Path) -> Result<Self, Error> {
        let output = Command::new(cargo())
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .output()
            .doing(|| "running cargo metadata".to_owned())?;
        if !output.status.success() {
            return Err(Error::NoWorkspace(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let metadata: Metadata =
            serde_json::from_slice(&output.stdout).map_err(|error| Error::NoWorkspace(error.to_string()))?;
        let folder_of = |package: &Package| package.manifest_path.parent().unwrap_or(Path::new("/")).to_owned();
        let packages: BTreeMap<String, PathBuf> =
            metadata.packages.iter().map(|package| (package.name.clone(), folder_of(package))).collect();
        let chapters = chapters(&packages)?;
        Ok(Self { root: metadata.workspace_root, target: metadata.target_directory, packages, chapters })
    }

    /// The same kind of workspace in another folder, built where this one is built, so that dependencies are shared.
    pub fn sibling(&self, folder: &Path) -> Result<Self, Error> {
        let mut sibling = Self::discover(folder)?;
        sibling.target.clone_from(&self.target);
        Ok(sibling)
    }

    /// Where the grader keeps what it makes: below the target folder, so that `cargo clean` takes it away.
    pub fn scratch(&self) -> PathBuf {
        self.target.join("grade")
    }

    /// A path as the reader would write it: relative to the top folder.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// Every exercise, in reading order.
    pub fn exercises(&self) -> impl Iterator<Item = &Exercise> {
        self.chapters.iter().flat_map(|chapter| &chapter.exercises)
    }

    /// The chapter of that name: `ch03`, or its folder's name.
    pub fn chapter(&self, name: &str) -> Result<&Chapter, Error> {
        self.chapters.iter().find(|chapter| chapter.is_called(name)).ok_or_else(|| self.unknown(name))
    }

    /// The exercise of that name: `ch03/memtable`, or `memtable` where no other chapter has one.
    pub fn exercise(&self, name: &str) -> Result<&Exercise, Error> {
        let found: Vec<&Exercise> = match name.split_once('/') {
            Some((chapter, organ)) => {
                let chapters = self.chapters.iter().filter(|candidate| candidate.is_called(chapter));
                chapters.flat_map(|chapter| &chapter.exercises).filter(|exercise| exercise.organ == organ).collect()
            }
            None => self.exercises().filter(|exercise| exercise.organ == name).collect(),
        };
        match found.as_slice() {
            [exercise] => Ok(exercise),
            _ => Err(self.unknown(name)),
        }
    }

    /// What a command line asks for: chapters and exercises by name, everything where it names nothing.
    pub fn select(&self, names: &[String]) -> Result<Vec<&Exercise>, Error> {
        if names.is_empty() {
            return Ok(self.exercises().collect());
        }
        let mut selected: Vec<&Exercise> = Vec::new();
        for name in names {
            let asked = match self.chapters.iter().find(|chapter| chapter.is_called(name)) {
                Some(chapter) => chapter.exercises.iter().collect(),
                None => vec![self.exercise(name)?],
            };
            for exercise in asked {
                if !selected.iter().any(|known| known.id() == exercise.id()) {
                    selected.push(exercise);
                }
            }
        }
        Ok(selected)
    }

    fn unknown(&self, asked: &str) -> Error {
        let ids: Vec<String> = self.exercises().map(Exercise::id).collect();
        let chapters: Vec<&str> = self.chapters.iter().map(|chapter| chapter.id.as_str()).collect();
        let mut names: Vec<&str> = chapters.clone();
        names.extend(ids.iter().map(String::as_str));
        names.extend(self.exercises().map(|exercise| exercise.organ.as_str()));
        let advice = match similar::get_close_matches(asked, &names, 1, ALIKE).first() {
            Some(close) if *close != asked => format!("did you mean `{close}`?"),
            Some(_) => format!("more than one chapter has it; name the chapter too: {}", ids.join(", ")),
            None if chapters.is_empty() => "this workspace has no exercises.toml".to_owned(),
            None => format!("the chapters are {}", chapters.join(", ")),
        };
        Error::Unknown { asked: asked.to_owned(), advice }
    }
}

impl Chapter {
    /// Its known wrong answers, in the order of the file.
    pub fn wrong_answers(&self) -> Result<Vec<Wrong>, Error> {
        let path = self.folder.join("exercises").join("wrong.toml");
        Wrong::parse_file(&read(&path)?, &path)
    }

    /// What all its exercises give.
    pub fn points(&self) -> u32 {
        self.exercises.iter().map(|exercise| exercise.points).sum()
    }

    fn is_called(&self, name: &str) -> bool {
        self.id == name || self.folder.file_name().is_some_and(|folder| folder == name)
    }
}

/// Reads a text file; the error names it.
pub fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).doing(|| format!("reading {}", path.display()))
}

/// Writes a text file and the folders it needs; the error names it.
pub fn write(path: &Path, text: &str) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).doing(|| format!("making {}", folder.display()))?;
    }
    fs::write(path, text).doing(|| format!("writing {}", path.display()))
}

/// The cargo to call: the one that runs the grader, where one does.
pub(super) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn chapters(packages: &BTreeMap<String, PathBuf>) -> Result<Vec<Chapter>, Error> {
    let mut chapters = Vec::new();
    for folder in packages.values() {
        let path = folder.join("exercises.toml");
        if !path.is_file() {
            continue;
        }
        let invalid = |what: String| Error::Manifest { path: path.clone(), what };
        let mut manifest = Manifest::parse(&read(&path)?, &path)?;
        for exercise in &mut manifest.exercises {
            exercise.folder = packages
                .get(&exercise.package)
                .cloned()
                .ok_or_else(|| invalid(format!("`{}` is no crate of this workspace", exercise.package)))?;
        }
        let Manifest { chapter: id, title, exercises } = manifest;
        chapters.push(Chapter { id, title, folder: folder.clone(), exercises });
    }
    chapters.sort_by(|a, b| a.folder.file_name().cmp(&b.folder.file_name()));
    if let Some(pair) = chapters.windows(2).find(|pair| pair[0].id == pair[1].id) {
        let path = pair[1].folder.join("exercises.toml");
        return Err(Error::Manifest { path, what: format!("another chapter is `{}` too", pair[1].id) });
    }
    Ok(chapters)
}
