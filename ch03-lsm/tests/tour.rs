//! The tour as a reader without a terminal runs it: in a pipe, from its first line to its end.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What `cargo run -p ch03-lsm` may take in a debug build.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs the binary in a directory for temporary files of its own, which must be empty afterwards.
fn run(args: &[&str]) -> Output {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let output = Command::new(env!("CARGO_BIN_EXE_ch03-lsm"))
        .args(args)
        .env("TMPDIR", dir.path())
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs");
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).expect("the directory").map(|entry| entry.expect("an entry").path()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    output
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("the tour writes text")
}

#[test]
fn the_whole_tour_runs_in_a_pipe_without_colours_and_within_a_minute() {
    let began = Instant::now();
    let output = run(&[]);
    let took = began.elapsed();
    let text = text(&output);
    assert!(output.status.success(), "{:?}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    for (index, section) in ch03_lsm::tour::sections().iter().enumerate() {
        assert!(text.contains(&format!("\n-- {}. ", index + 1)), "scene {} is missing", index + 1);
        assert!(text.contains(&format!("DDIA, \"{section}\"")), "section {section:?} is missing");
    }
    assert!(!text.contains('\x1b'), "a pipe gets no escape sequences");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "nothing is logged by default");
    assert!(took < LIMIT, "the tour took {took:?}");
}

#[test]
fn a_power_cut_leaves_all_that_was_synced_and_never_a_hole_and_the_readme_shows_it() {
    let text = text(&run(&["--scene", "crash"]));
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.trim_start().starts_with("| each write") || line.trim_start().starts_with("| off"))
        .map(|line| line.trim().trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), 2, "{text}");
    assert_eq!(rows[0][1..], ["3,000", "3,000", "3,000", "3,000", "0"], "each write is synced");
    assert_eq!((rows[1][2], rows[1][5]), ("3,000", "0"), "a kill loses nothing, and there is never a hole");
    assert!(rows[1][3] != "3,000", "without a sync, a power cut loses something");
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("it is there");
    let shown = readme.split_once("shows (on a simulated disk").and_then(|(_, rest)| rest.split("```").nth(1));
    let shown = shown.expect("the README shows the scene").trim_start_matches("text\n");
    assert!(text.contains(shown.trim()), "the README shows another one:\n{shown}\n{text}");
}

#[test]
fn a_scene_that_does_not_exist_is_a_mistake_of_the_command_line() {
    let output = run(&["--scene", "99"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--list"), "the error says where to look");
}

#[test]
fn the_command_of_the_workspaces_readme_is_the_one_that_the_chapters_runs() {
    let read =
        |path: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("it is there");
    let (root, chapter) = (read("../README.md"), read("README.md"));
    let command = "cargo run -p ch03-lsm";
    assert!(root.contains(&format!("`{command}`")), "the table names it");
    assert!(chapter.lines().any(|line| line.starts_with(command)), "a block begins with it");
}
