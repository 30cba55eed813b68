//! The map from the book to the crate: what `book.toml` names exists, and the README's table is made from it.

use std::path::Path;

use common::book::Book;

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

fn book() -> Book {
    Book::read(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("book.toml is there, and valid")
}

#[test]
fn every_section_of_the_chapter_is_mapped_in_order() {
    assert_eq!(book().titles(), SECTIONS);
}

#[test]
fn what_the_map_names_exists_and_what_exists_it_names() {
    let defects = book().defects(&ch01_kv::tour::sections()).expect("exercises.toml is there, and valid");
    assert!(defects.is_empty(), "{defects:#?}");
}

#[test]
fn the_readme_has_the_table_that_book_toml_makes() {
    assert_eq!(book().readme_defect().expect("the README is there"), None);
}
