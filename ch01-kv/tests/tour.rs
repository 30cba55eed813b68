//! The tour as a reader without a terminal runs it: in a pipe, from its first line to its end.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What `cargo run -p ch01-kv` may take in a debug build.
const LIMIT: Duration = Duration::from_secs(60);

/// The scenes, by title, and the section that each follows.
const SCENES: [(&str, &str); 10] = [
    ("A server that Redis clients talk to", "Thinking About Data Systems"),
    ("The home timeline, three ways", "Describing Load"),
    ("What users wait for", "Describing Performance"),
    ("A load that looks away", "Describing Performance"),
    ("Killed under load", "Reliability"),
    ("The power cut", "Hardware Faults"),
    ("A torn tail and a flipped bit", "Hardware Faults"),
    ("More data than memory", "Approaches for Coping with Load"),
    ("What an operator sees", "Operability: Making Life Easy for Operations"),
    ("Which organ did what, and how to write it yourself", "Summary"),
];

/// Runs the binary in a directory for temporary files of its own, which must be empty afterwards.
fn run(args: &[&str], input: &str) -> Output {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut child = Command::new(env!("CARGO_BIN_EXE_ch01-kv"))
        .args(args)
        .env("TMPDIR", dir.path())
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // A tour that asks nothing may have ended before it reads.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the binary ends");
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).expect("the directory").map(|entry| entry.expect("an entry").path()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    output
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("the tour writes text")
}

/// The cells of the row of a Markdown table whose first cell begins with `first`.
fn row(text: &str, first: &str) -> Vec<String> {
    let wanted = format!("| {first}");
    let row = text.lines().map(str::trim).find(|line| line.starts_with(&wanted) && line.ends_with('|'));
    let row = row.unwrap_or_else(|| panic!("no row of {first:?} in:\n{text}")).trim_matches('|');
    row.split('|').map(|cell| cell.trim().to_owned()).collect()
}

#[test]
fn the_whole_tour_runs_in_a_pipe_without_colours_and_within_a_minute() {
    let began = Instant::now();
    let output = run(&[], "");
    let took = began.elapsed();
    let text = text(&output);
    assert!(output.status.success(), "{:?}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    let headings: Vec<&str> = text.lines().filter(|line| line.starts_with("-- ")).collect();
    for (index, (title, section)) in SCENES.iter().enumerate() {
        let heading = format!("-- {}. {title} -", index + 1);
        assert!(headings.iter().any(|line| line.starts_with(&heading)), "scene {title:?} is missing in {headings:?}");
        assert!(text.contains(&format!("DDIA, \"{section}\"")), "section {section:?} is missing");
    }
    assert!(!text.contains('\x1b'), "a pipe gets no escape sequences");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "nothing is logged by default");
    assert!(took < LIMIT, "the tour took {took:?}");
}

#[test]
fn a_power_cut_costs_what_the_policy_says_and_a_kill_nothing() {
    let text = text(&run(&["--scene", "power"], ""));
    for (policy, loses) in [("always", false), ("everysec", true), ("no ", true)] {
        let cells = row(&text, policy);
        let number = |at: usize| cells[at].replace(',', "").parse::<u64>().expect("a number");
        let (acknowledged, killed, survived, lost) = (number(2), number(3), number(4), number(5));
        assert_eq!(killed, 0, "{policy}: the page cache survives the process");
        assert_eq!(acknowledged, survived + lost);
        assert!(acknowledged > 0);
        assert_eq!(lost > 0, loses, "{policy}: {cells:?}");
    }
}

#[test]
fn a_kill_under_load_loses_no_acknowledged_write_in_any_mode() {
    let text = text(&run(&["tour", "--scene", "kill"], ""));
    for policy in ["always", "everysec", "no "] {
        let cells = row(&text, policy);
        assert!(cells[1].parse::<u64>().expect("a number") >= 600, "{cells:?}");
        assert_eq!(cells[1], cells[2], "acknowledged and found");
        assert_eq!(cells[3], "0", "lost");
    }
}

#[test]
fn the_list_names_every_scene_and_runs_none() {
    let output = run(&["--list"], "");
    let text = text(&output);
    assert!(output.status.success());
    for (title, _) in SCENES {
        // A long title is wrapped within its cell.
        let begin: String = title.chars().take(24).collect();
        assert!(text.contains(&begin), "{title:?} is not in the list:\n{text}");
    }
    assert!(!text.contains("listening on"));
}

#[test]
fn a_scene_that_does_not_exist_is_a_mistake_of_the_command_line() {
    let output = run(&["--scene", "99"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--list"), "the error says where to look");
}

#[test]
fn under_quiz_a_guess_is_compared_with_what_is_then_measured() {
    let text = text(&run(&["--quiz", "--scene", "power"], "3\n"));
    assert!(text.contains("how many acknowledged writes"), "the question is asked:\n{text}");
    assert!(text.contains("You expected 3 writes; it is "), "the guess is compared:\n{text}");
}
