//! The map from the book to the crate: what `book.toml` names exists, and the README's table is made from it.

use std::path::Path;

use common::book::Book;

/// The sections of chapter 3, in the book's order.
const SECTIONS: [&str; 26] = [
    "Data Structures That Power Your Database",
    "Hash Indexes",
    "SSTables and LSM-Trees",
    "Constructing and maintaining SSTables",
    "Making an LSM-tree out of SSTables",
    "Performance optimizations",
    "B-Trees",
    "Making B-trees reliable",
    "B-tree optimizations",
    "Comparing B-Trees and LSM-Trees",
    "Advantages of LSM-trees",
    "Downsides of LSM-trees",
    "Other Indexing Structures",
    "Storing values within the index",
    "Multi-column indexes",
    "Full-text search and fuzzy indexes",
    "Keeping everything in memory",
    "Transaction Processing or Analytics?",
    "Data Warehousing",
    "Stars and Snowflakes: Schemas for Analytics",
    "Column-Oriented Storage",
    "Column Compression",
    "Sort Order in Column Storage",
    "Writing to Column-Oriented Storage",
    "Aggregation: Data Cubes and Materialized Views",
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
    let defects = book().defects(&ch03_lsm::tour::sections()).expect("exercises.toml is there, and valid");
    assert!(defects.is_empty(), "{defects:#?}");
}

#[test]
fn the_readme_has_the_table_that_book_toml_makes() {
    assert_eq!(book().readme_defect().expect("the README is there"), None);
}
