//! The map from the book to a chapter's crate: `book.toml`, and the table in the README that is made from it.
//!
//! A reader comes with a section of the book in hand and wants the place in the code. A map of that kind rots unless
//! something checks it: the functions here are what each chapter's `tests/book.rs` calls.
//!
//! ```toml
//! [[section]]
//! title = "Hash Indexes"                    # the book's
//! scene = 2                                 # of the tour; left out where no scene is about it
//! files = ["src/storage/hash_index.rs"]     # relative to the crate
//! organs = ["hash_index"]                   # of exercises.toml
//! left_out = "why it has no place here"     # where it has none, or not all of it
//! ```

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

const TABLE_BEGINS: &str = "<!-- made from book.toml -->\n";
const TABLE_ENDS: &str = "<!-- end -->";

/// A chapter's map.
#[derive(Debug, Clone)]
pub struct Book {
    root: PathBuf,
    sections: Vec<Section>,
}

/// Where a section of the book is in the crate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// Its title in the book.
    pub title: String,
    /// The scene of the tour, from 1.
    pub scene: Option<usize>,
    /// Files of the crate.
    #[serde(default)]
    pub files: Vec<String>,
    /// Organs to rewrite.
    #[serde(default)]
    pub organs: Vec<String>,
    /// Why it, or a part of it, has no place in the crate.
    pub left_out: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sections {
    section: Vec<Section>,
}

#[derive(Deserialize)]
struct Exercises {
    exercise: Vec<Exercise>,
}

#[derive(Deserialize)]
struct Exercise {
    organ: String,
}

/// Why a map cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// A file is not there.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is no map.
    #[error("{} is not what it should be", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: toml::de::Error,
    },
}

impl Book {
    /// The map of the crate in the folder `root`.
    ///
    /// # Errors
    ///
    /// [`BookError`].
    pub fn read(root: &Path) -> Result<Self, BookError> {
        let Sections { section } = parse(&root.join("book.toml"))?;
        Ok(Self { root: root.to_owned(), sections: section })
    }

    /// The sections' titles, in their order.
    pub fn titles(&self) -> Vec<&str> {
        self.sections.iter().map(|section| section.title.as_str()).collect()
    }

    /// What the map says that is not so: files that are not there, organs that are in no section or no exercise, scenes
    /// that are not, or that are about a section which does not name them. `scenes` are the sections of the tour's scenes,
    /// in order.
    ///
    /// # Errors
    ///
    /// [`BookError`] when there are no exercises to compare with.
    pub fn defects(&self, scenes: &[String]) -> Result<Vec<String>, BookError> {
        let mut defects = Vec::new();
        for Section { title, files, scene, organs, left_out } in &self.sections {
            for file in files.iter().filter(|file| !self.root.join(file).exists()) {
                defects.push(format!("{title}: {file} is not there"));
            }
            if scene.is_some_and(|scene| scene == 0 || scene > scenes.len()) {
                defects.push(format!("{title}: there are {} scenes", scenes.len()));
            }
            if files.is_empty() && organs.is_empty() && left_out.is_none() {
                defects.push(format!("{title}: it says neither where it is nor why it is left out"));
            }
        }
        for (index, about) in scenes.iter().enumerate() {
            let section = self.sections.iter().find(|section| section.title == *about);
            if section.is_none_or(|section| section.scene.is_none()) {
                defects.push(format!("scene {}: {about} names no scene", index + 1));
            }
        }
        let Exercises { exercise } = parse(&self.root.join("exercises.toml"))?;
        let known: BTreeSet<&str> = exercise.iter().map(|exercise| exercise.organ.as_str()).collect();
        let named: BTreeSet<&str> =
            self.sections.iter().flat_map(|section| &section.organs).map(String::as_str).collect();
        for organ in known.symmetric_difference(&named) {
            defects.push(format!("{organ} is not both an exercise and in a section"));
        }
        Ok(defects)
    }

    /// The README's table.
    pub fn table(&self) -> String {
        let mut table = String::from("| section | scene | files | organs |\n|---|---|---|---|\n");
        for section in &self.sections {
            let files: Vec<String> = section.files.iter().map(|file| format!("[`{file}`]({file})")).collect();
            let organs: Vec<String> = section.organs.iter().map(|organ| format!("`{organ}`")).collect();
            let scene = section.scene.map_or(String::new(), |scene| scene.to_string());
            let mut files = files.join(", ");
            if let Some(left_out) = &section.left_out {
                let gap = if files.is_empty() { "" } else { " " };
                let _ = write!(files, "{gap}(left out: {left_out})");
            }
            let _ = writeln!(table, "| {} | {scene} | {files} | {} |", section.title, organs.join(", "));
        }
        table
    }

    /// What is wrong with the table in the README; `None` when it is the one that is made here. Writes it where the
    /// environment has `BLESS`.
    ///
    /// # Errors
    ///
    /// The README cannot be read or written.
    pub fn readme_defect(&self) -> io::Result<Option<String>> {
        let path = self.root.join("README.md");
        let readme = std::fs::read_to_string(&path)?;
        let parts = readme
            .split_once(TABLE_BEGINS)
            .and_then(|(before, rest)| rest.split_once(TABLE_ENDS).map(|(shown, after)| (before, shown, after)));
        let Some((before, shown, after)) = parts else {
            return Ok(Some(format!("the README does not mark the table with {TABLE_BEGINS}and {TABLE_ENDS}")));
        };
        let made = self.table();
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, format!("{before}{TABLE_BEGINS}{made}{TABLE_ENDS}{after}"))?;
            return Ok(None);
        }
        Ok((shown != made).then(|| "its table is another one: BLESS=1 cargo test --test book writes it".to_owned()))
    }
}

fn parse<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T, BookError> {
    let text = std::fs::read_to_string(path).map_err(|source| BookError::Read { path: path.to_owned(), source })?;
    toml::from_str(&text).map_err(|source| BookError::Format { path: path.to_owned(), source })
}
