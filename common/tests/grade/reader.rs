//! What readers and teachers do, from the first command to the last.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::tree::{Tree, assert_says};
use super::{REFERENCE, STARTER};

fn verdicts(document: &Value) -> Vec<&str> {
    let checks = document["exercises"][0]["checks"].as_array().unwrap();
    checks.iter().map(|check| check["verdict"].as_str().unwrap()).collect()
}

#[test]
fn a_reader_starts_fails_and_passes() {
    let tree = Tree::new();
    let mine = "ch01-tiny/mine/middle.rs";

    let (status, said) = tree.grade(&["ch01/middle"]);
    assert_eq!(status, 1, "the reference is never the reader's score");
    assert_says(&said, &["0/100", "not started"]);

    let (status, said) = tree.grade(&["start", "ch01/middle"]);
    assert_eq!(status, 0, "{said}");
    assert_says(&said, &["DDIA ch. 1, \"Describing Performance\"", "Write the median", mine]);
    assert_eq!(tree.read(mine), STARTER);
    assert_eq!(tree.grade(&["start", "ch01/middle"]).0, 1, "it is not overwritten");

    let (status, document) = tree.json(&["ch01/middle"]);
    assert_eq!((status, verdicts(&document)), (1, vec!["todo", "todo", "todo"]));

    tree.write(mine, &REFERENCE.replace("- 1", ""));
    let (status, document) = tree.json(&["ch01"]);
    assert_eq!((status, verdicts(&document)), (1, vec!["passed", "failed", "passed"]));
    let (_, said) = tree.grade(&["ch01/middle", "--salt", "7"]);
    assert_says(
        &said,
        &["70/100", "of two in the middle", "left: 3", "GRADE_SALT=7 MINE=middle cargo test -p ch01-tiny"],
    );
    assert_eq!(tree.grade(&["diff", "ch01/middle"]).0, 1, "not before it passes");
    assert_says(&tree.grade(&["diff", "ch01/middle", "--spoil"]).1, &["-    sorted[(sorted.len() - 1) / 2]"]);

    tree.write(mine, REFERENCE);
    let (status, said) = tree.grade(&[]);
    assert_eq!(status, 0, "{said}");
    assert_says(&said, &["100/100", "All passed."]);
    let run = |variables: &[(&str, &str)]| {
        let mut command = Command::new("cargo");
        command.args(["run", "--quiet"]).current_dir(tree.path("")).envs(variables.iter().copied());
        let output = command.env("CARGO_TARGET_DIR", tree.folder.path().join("target")).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&[]), "organs: middle\n");
    assert_eq!(run(&[("MINE", "off")]), "organs: \n");

    assert_eq!(tree.grade(&["reset", "ch01/middle"]).0, 0);
    assert_eq!(
        (tree.read(mine), tree.read("ch01-tiny/mine/middle.rs.bak")),
        (STARTER.to_owned(), REFERENCE.to_owned())
    );
    for hint in ["1 of 3: Sort.", "2 of 3: Nearest rank.", "3 of 3: Index", "3 of 3: Index"] {
        assert_says(&tree.grade(&["hint", "middle"]).1, &[hint]);
    }
}

#[test]
fn what_hangs_aborts_or_does_not_compile_costs_no_more_than_itself() {
    let tree = Tree::new();
    let mine = "ch01-tiny/mine/middle.rs";
    let median = "let mut sorted = values.to_vec();";
    let loops =
        format!("{median}\n    while values.len() == 4 {{}}\n    if values.len() == 1 {{ std::process::exit(0) }}");
    let counts = "self.seen += with(step);";
    tree.write(mine, &REFERENCE.replace(median, &loops).replace(counts, "std::process::abort();"));
    let (status, document) = tree.json(&["ch01/middle", "--time-limit", "1"]);
    assert_eq!((status, verdicts(&document)), (1, vec!["passed", "timed out", "crashed"]));

    tree.write(mine, &REFERENCE.replace(median, "let mut sorted: Vec<u64> = values;"));
    let (status, document) = tree.json(&["ch01/middle"]);
    assert_eq!((status, document["exercises"][0]["state"].as_str()), (1, Some("does not compile")));
    assert_says(document["exercises"][0]["compiler"].as_str().unwrap(), &["E0308", "mine/middle.rs"]);
}

#[test]
fn another_tree_and_a_class_are_judged_by_this_trees_tests() {
    let tree = Tree::new();
    let theirs = tree.folder.path().join("theirs");
    fs::create_dir_all(theirs.join("ch01-tiny/mine")).unwrap();
    fs::write(theirs.join("ch01-tiny/mine/middle.rs"), REFERENCE).unwrap();
    tree.write("ch01-tiny/mine/middle.rs", STARTER);
    let from = theirs.to_str().unwrap();
    let (status, document) = tree.json(&["ch01", "--from", from]);
    assert_eq!((status, verdicts(&document)), (0, vec!["passed", "passed", "passed"]));
    assert_eq!(tree.grade(&["--from", tree.folder.path().to_str().unwrap()]).0, 2, "there is no mine/ in it");

    let class = tree.folder.path().join("class");
    let (status, said) = tree.grade(&["classroom", class.to_str().unwrap()]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(fs::read_to_string(class.join("ch01-tiny/src/middle.rs")).unwrap(), STARTER);
    assert!(!class.join("ch01-tiny/exercises/wrong.toml").exists());
    assert!(!class.join("ch01-tiny/mine/middle.rs").exists());
    let manifest = class.join("Cargo.toml");
    let built = tree.command("cargo", &["build", "--manifest-path", manifest.to_str().unwrap()]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    assert_eq!(tree.grade(&["classroom", class.to_str().unwrap()]).0, 2, "it is there already");
}

#[test]
fn a_command_line_that_is_wrong_is_told_from_an_answer_that_is() {
    let tree = Tree::new();
    let (status, said) = tree.grade(&["ch01/midle"]);
    assert_eq!(status, 2);
    assert_says(&said, &["did you mean `ch01/middle`?"]);
    assert_eq!(tree.grade(&["--no-such-flag"]).0, 2);
    assert_eq!(tree.grade(&["--help"]).0, 0);

    tree.edit("ch01-tiny/exercises.toml", "a_counter_counts", "a_counter_keeps_count");
    tree.write("ch01-tiny/mine/middle.rs", REFERENCE);
    let (status, said) = tree.grade(&["ch01"]);
    assert_eq!(status, 1);
    assert_says(&said, &["has no test a_counter_keeps_count", "does not list a_counter_counts"]);
}
