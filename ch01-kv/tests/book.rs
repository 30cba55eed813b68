//! The map from the book to the crate: what `book.toml` names exists, and the README's table is made from it.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The sections of chapter 1, in the book's order.
const SECTIONS: [&str; 15] = [
    "Thinking About Data Systems",
    "Reliability",
    "Hardware Faults",
    "Software Errors",
    "Human Errors",
    "How Important Is Reliability?",
    "Scalability",
    "Describing Load",
    "Describing Performance",
    "Approaches for Coping with Load",
    "Maintainability",
    "Operability: Making Life Easy for Operations",
    "Simplicity: Managing Complexity",
    "Evolvability: Making Change Easy",
    "Summary",
];

const TABLE_BEGINS: &str = "<!-- made from book.toml -->\n";
const TABLE_ENDS: &str = "<!-- end -->";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Book {
    section: Vec<Section>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    title: String,
    scene: Option<usize>,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    organs: Vec<String>,
    left_out: Option<String>,
}

#[derive(Deserialize)]
struct Exercises {
    exercise: Vec<Exercise>,
}

#[derive(Deserialize)]
struct Exercise {
    organ: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn book() -> Book {
    toml::from_str(&std::fs::read_to_string(root().join("book.toml")).expect("book.toml is there"))
        .expect("it is valid")
}

fn table(book: &Book) -> String {
    let mut table = String::from("| section | scene | files | organs |\n|---|---|---|---|\n");
    for section in &book.section {
        let files: Vec<String> = section.files.iter().map(|file| format!("[`{file}`]({file})")).collect();
        let organs: Vec<String> = section.organs.iter().map(|organ| format!("`{organ}`")).collect();
        let scene = section.scene.map_or(String::new(), |scene| scene.to_string());
        let mut files = files.join(", ");
        if let Some(left_out) = &section.left_out {
            let _ = write!(files, " (left out: {left_out})");
        }
        let _ = writeln!(table, "| {} | {scene} | {files} | {} |", section.title, organs.join(", "));
    }
    table
}

#[test]
fn every_section_of_the_chapter_is_mapped_in_order() {
    let titles: Vec<String> = book().section.into_iter().map(|section| section.title).collect();
    assert_eq!(titles, SECTIONS);
}

#[test]
fn every_file_that_is_named_exists() {
    for section in book().section {
        for file in section.files {
            assert!(root().join(&file).exists(), "{}: {file} is not there", section.title);
        }
    }
}

#[test]
fn every_organ_is_in_a_section_and_every_section_names_organs_that_exist() {
    let exercises = std::fs::read_to_string(root().join("exercises.toml")).expect("exercises.toml is there");
    let exercises: Exercises = toml::from_str(&exercises).expect("it is valid");
    let known: BTreeSet<String> = exercises.exercise.into_iter().map(|exercise| exercise.organ).collect();
    let named: BTreeSet<String> = book().section.into_iter().flat_map(|section| section.organs).collect();
    assert_eq!(named, known);
}

#[test]
fn every_scene_is_named_by_the_section_that_it_is_about() {
    let book = book();
    let scenes = ch01_kv::tour::sections();
    let named: BTreeSet<usize> = book.section.iter().filter_map(|section| section.scene).collect();
    assert!(named.iter().all(|scene| (1..=scenes.len()).contains(scene)), "there are {} scenes", scenes.len());
    for (index, about) in scenes.iter().enumerate() {
        let section = book.section.iter().find(|section| section.title == *about);
        assert!(section.is_some_and(|section| section.scene.is_some()), "scene {}: {about} names no scene", index + 1);
    }
}

#[test]
fn the_readme_has_the_table_that_book_toml_makes() {
    let path = root().join("README.md");
    let readme = std::fs::read_to_string(&path).expect("README.md is there");
    let (before, rest) = readme.split_once(TABLE_BEGINS).expect("the README marks where the table begins");
    let (shown, after) = rest.split_once(TABLE_ENDS).expect("the README marks where the table ends");
    let made = table(&book());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, format!("{before}{TABLE_BEGINS}{made}{TABLE_ENDS}{after}"))
            .expect("the README can be written");
        return;
    }
    assert_eq!(shown, made, "write it with BLESS=1 cargo test -p ch01-kv --test book");
}
