//! The absences that `ARCHITECTURE.md` states.

use std::fs;
use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a workspace").to_owned()
}

fn chapters() -> Vec<PathBuf> {
    let entries =
        fs::read_dir(workspace()).expect("the workspace can be listed").map(|entry| entry.expect("an entry").path());
    let mut chapters: Vec<PathBuf> =
        entries.filter(|path| name(path).starts_with("ch") && path.join("Cargo.toml").exists()).collect();
    chapters.sort();
    assert!(!chapters.is_empty(), "there is a chapter");
    chapters
}

fn name(path: &Path) -> String {
    path.file_name().expect("it has a name").to_string_lossy().into_owned()
}

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.clone(), fs::read_to_string(&path).expect("a source is text")));
            }
        }
    }
    found.sort();
    found
}

/// The lines of code of a source: without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"))
}

/// Lines of a room of the chapters that hold one of `words`, as "file: line".
fn offences(room: &str, words: &[&str]) -> Vec<String> {
    let mut offences = Vec::new();
    for chapter in chapters() {
        for (path, text) in sources(&chapter.join("src").join(room)) {
            for line in code(&text).filter(|line| words.iter().any(|word| line.contains(word))) {
                offences.push(format!("{}: {line}", path.display()));
            }
        }
    }
    offences
}

#[test]
fn a_chapter_never_depends_on_a_chapter_and_common_on_none() {
    let mut manifests: Vec<PathBuf> = chapters().iter().map(|chapter| chapter.join("Cargo.toml")).collect();
    manifests.push(workspace().join("common/Cargo.toml"));
    for manifest in manifests {
        let text = fs::read_to_string(&manifest).expect("a manifest is text");
        for chapter in chapters().iter().map(|chapter| name(chapter)) {
            let depends = text.lines().any(|line| line.trim_start().starts_with(&chapter));
            assert!(!depends, "{} depends on {chapter}", manifest.display());
        }
    }
}

#[test]
fn every_engine_denies_what_an_engine_may_not_touch() {
    for chapter in chapters() {
        let engine = fs::read_to_string(chapter.join("src/engine/mod.rs")).expect("a chapter has an engine");
        assert!(
            engine.contains("#![deny(clippy::disallowed_methods, clippy::disallowed_types)]"),
            "{}/src/engine/mod.rs does not deny it",
            chapter.display()
        );
    }
    // The lint knows functions and types by name, and the standard library has more of them than it names.
    let found = offences(
        "engine",
        &[
            "std::fs",
            "std::net",
            "std::os",
            "std::env",
            "std::process",
            "std::thread",
            "tokio::",
            "Instant",
            "SystemTime",
        ],
    );
    assert!(found.is_empty(), "an engine decides, and a shell does: {found:#?}");
    let found = offences("engine", &["rand::rng", "rand::random", "thread_rng", "from_os_rng", "SysRng"]);
    assert!(found.is_empty(), "an engine is handed its random numbers: {found:#?}");
    let found = offences("engine", &["allow(clippy::disallowed"]);
    assert!(found.is_empty(), "nothing in an engine is let off: {found:#?}");
}

#[test]
fn the_spine_never_imports_the_surface() {
    for room in ["engine", "storage"] {
        let surface = [
            "crate::protocol",
            "crate::server",
            "crate::client",
            "crate::db",
            "crate::store::",
            "crate::shell",
            "crate::dump",
            "crate::tour",
            "crate::bench",
        ];
        let found = offences(room, &surface);
        assert!(found.is_empty(), "{found:#?}");
        let grouped = offences(room, &["crate::{", "crate::*", "super::super::super"]);
        assert!(grouped.is_empty(), "one room a line, so that the lines above can be read: {grouped:#?}");
    }
    let found = offences("engine", &["crate::storage", "common::resp", "common::net"]);
    assert!(found.is_empty(), "an engine knows no disk and no wire: {found:#?}");
}

#[test]
fn values_know_nothing_else_of_their_chapter() {
    let found = offences("values", &["crate::", "common::"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn storage_reaches_no_file_but_through_the_disk() {
    let found = offences("storage", &["std::fs", "File::open", "File::create", "tokio::fs"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_visible_top_level_is_what_a_reader_looks_for() {
    let expected = |name: &str| {
        matches!(name, "Cargo.toml" | "Cargo.lock" | "README.md" | "common" | "target") || name.starts_with("ch")
    };
    for entry in fs::read_dir(workspace()).expect("the workspace can be listed") {
        let name = name(&entry.expect("an entry").path());
        assert!(name.starts_with('.') || expected(&name), "{name} is at the top level");
    }
}
