//! `cargo grade selfcheck` passes what is sound, and bites on each defect.

use std::io::Write;
use std::process::Command;

use super::tree::{Tree, assert_says};
use super::{EXERCISES, REFERENCE, STARTER, WRONG};

/// A second organ, which calls the first.
const SPREAD: &str = "\
//! How far values lie apart.
use crate::middle::median;

/// From the middle to the greatest.
pub fn reach(values: &[u64]) -> u64 {
    // >>> exercise: subtract the median from the greatest
    values.iter().max().copied().unwrap_or(0) - median(values)
    // <<<
}

/// From the least to the greatest.
pub fn width(values: &[u64]) -> u64 {
    // >>> exercise: subtract the least from the greatest
    values.iter().max().copied().unwrap_or(0) - values.iter().min().copied().unwrap_or(0)
    // <<<
}
";

const SPREAD_JUDGE: &str = "\
use ch01_tiny::spread::{reach, width};

#[test]
fn reach_begins_in_the_middle() {
    assert_eq!(reach(&[4, 1, 2, 3]), 2);
}

#[test]
fn width_begins_at_the_least() {
    assert_eq!(width(&[4, 1, 2]), 3);
}
";

const SPREAD_EXERCISE: &str = r#"
[[exercise]]
organ = "spread"
package = "ch01-tiny"
source = "src/spread.rs"
title = "The spread"
section = { chapter = 1, title = "Describing Performance" }
points = 60
task = "Write both."
predict = "Which is greater?"
hints = ["One.", "Two.", "Three."]
[[exercise.check]]
name = "reach_begins_in_the_middle"
points = 30
says = "reach begins in the middle"
[[exercise.check]]
name = "width_begins_at_the_least"
points = 30
says = "width begins at the least"
"#;

/// A wrong answer for `spread`: its name, its anchor, what is there instead, and the check that fails.
type Entry = (&'static str, &'static str, &'static str, &'static str);

/// The first meets `takes the upper` in a build, the second `forgets to sort`, the third `counts twice`; the last changes
/// what is not the reader's.
const SPREAD_WRONG: [Entry; 4] = [
    ("begins at the least", "- median(values)", "- median(&values[..2])", "reach_begins_in_the_middle"),
    ("begins at the first", "values.iter().min().copied()", "values.first().copied()", "width_begins_at_the_least"),
    ("forgets the least", "- values.iter().min().copied().unwrap_or(0)", "", "width_begins_at_the_least"),
    (
        "ends at once",
        "pub fn width(values: &[u64]) -> u64 {",
        "pub fn width(values: &[u64]) -> u64 {\n    return 0;",
        "width_begins_at_the_least",
    ),
];

/// The tiny workspace with both organs in it, and the wrong answers of each.
fn tree_of_two(wrong: &[Entry]) -> Tree {
    let tree = Tree::new();
    tree.write("ch01-tiny/src/spread.rs", SPREAD);
    tree.write("ch01-tiny/tests/spread.rs", SPREAD_JUDGE);
    let middle = "#[cfg_attr(mine_middle";
    let spread = "#[cfg_attr(mine_spread, path = \"../mine/spread.rs\")]\npub mod spread;\n";
    tree.edit("ch01-tiny/src/lib.rs", middle, &format!("{spread}{middle}"));
    let fewer = EXERCISES.replace("points = 100", "points = 40").replace("points = 50", "points = 5");
    let fewer = fewer.replace("points = 30", "points = 15");
    tree.write("ch01-tiny/exercises.toml", &format!("{fewer}{SPREAD_EXERCISE}"));
    let mut text = WRONG.to_owned();
    for (name, find, replace, fails) in wrong {
        text += &format!("[[wrong]]\norgan = 'spread'\nname = '{name}'\nfails = '{fails}'\nwhy = 'it happens'\n");
        text += &format!("find = '{find}'\nreplace = '''{replace}'''\n");
    }
    tree.write("ch01-tiny/exercises/wrong.toml", &text);
    assert_eq!(tree.grade(&["starters"]).0, 0);
    tree
}

#[test]
fn answers_of_several_organs_share_a_build_and_no_binary_is_left_where_the_workspace_has_its_own() {
    let tree = tree_of_two(&SPREAD_WRONG);
    let (status, said) = tree.grade(&["selfcheck"]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(said.matches("a build of ch01-tiny with 2 wrong answers in it").count(), 3, "{said}");
    assert_eq!(said.matches(": wrong: ").count(), 7, "{said}");
    let binary = tree.folder.path().join("target/debug/ch01-tiny");
    assert!(!binary.exists(), "it would be run in place of the workspace's own");
}

#[test]
fn an_answer_is_not_turned_away_by_the_mistake_of_another_organ_in_its_build() {
    let mut wrong = SPREAD_WRONG;
    // Right by itself; but with it in a build is a median that takes the upper.
    wrong[0].2 = "+ 0 - median(values)";
    wrong[2].2 = "- nothing_of_that_name";
    let tree = tree_of_two(&wrong);
    let (status, said) = tree.grade(&["selfcheck"]);
    assert_eq!(status, 1, "{said}");
    assert_says(&said, &["it passes `reach_begins_in_the_middle`", "it does not compile", "E0425", "defects: 2"]);
    let defects: Vec<&str> = said.lines().filter(|line| line.starts_with("DEFECT")).collect();
    assert_eq!(defects.len(), 2, "{said}");
    assert!(defects[0].ends_with("begins at the least"), "{said}");
    assert!(defects[1].ends_with("forgets the least"), "{said}");
}

#[test]
fn selfcheck_passes_a_sound_exercise_and_bites_on_each_defect() {
    let tree = Tree::new();
    let (status, said) = tree.grade(&["selfcheck"]);
    assert_eq!(status, 0, "{said}");
    assert_says(&said, &["no defects", "wrong: takes the upper"]);

    // A starter that passes a check, because the check asks nothing of it; an answer that its check lets through; an anchor
    // that is gone; a starter that nobody regenerated; a section that the book does not have.
    tree.edit("ch01-tiny/tests/middle.rs", "assert_eq!(median(&[4, 1, 2, 3]), 2);", "");
    tree.edit("ch01-tiny/exercises/wrong.toml", "find = \"self.seen += with(step);\"", "find = \"self.seen -= 1;\"");
    tree.edit("ch01-tiny/exercises/middle.rs", "sort a copy", "sort a few");
    tree.write("ch01-tiny/book.toml", "");
    let (status, said) = tree.grade(&["selfcheck", "ch01"]);
    assert_eq!(status, 1, "{said}");
    assert_says(
        &said,
        &[
            "it passes `an_even_count_takes_the_lower`",
            "its anchor is in the reference 0 times",
            "the starter is stale",
            "book.toml has no section \"Describing Performance\"",
        ],
    );
    let passes = said.matches("it passes `an_even_count_takes_the_lower`").count();
    assert_eq!(passes, 2, "the starter and the wrong answer each pass it:\n{said}");

    assert_eq!(tree.grade(&["starters"]).0, 0);
    assert_eq!(tree.read("ch01-tiny/exercises/middle.rs"), STARTER);
}

#[test]
fn selfcheck_turns_away_an_answer_that_was_committed() {
    if let Err(why) = Command::new("git").arg("--version").output() {
        assert!(std::env::var_os("CLIENTS").is_none_or(|clients| clients != "require"), "git cannot be used: {why}");
        let _ = std::io::stderr().write_all(format!("skipped git: {why}\n").as_bytes());
        return;
    }
    let tree = Tree::new();
    tree.write("ch01-tiny/mine/middle.rs", REFERENCE);
    assert!(tree.command("git", &["init", "--quiet"]).status.success());
    assert_says(&tree.grade(&["selfcheck"]).1, &["no defects"]);
    assert!(tree.command("git", &["add", "ch01-tiny/mine/middle.rs"]).status.success());
    let (status, said) = tree.grade(&["selfcheck"]);
    assert_eq!(status, 1);
    assert_says(&said, &["ch01-tiny/mine/middle.rs is committed"]);
}

#[test]
fn selfcheck_turns_away_a_reference_that_fails_and_a_starter_that_warns() {
    let tree = Tree::new();
    tree.edit("ch01-tiny/src/middle.rs", "- 1) / 2", "- 0) / 2");
    tree.edit("ch01-tiny/exercises/wrong.toml", "(sorted.len() - 1) / 2", "(sorted.len() - 0) / 2");
    tree.edit(
        "ch01-tiny/src/lib.rs",
        "pub const MINE",
        "pub(crate) fn half(n: usize) -> usize {\n    n / 2\n}\npub const MINE",
    );
    tree.edit("ch01-tiny/src/middle.rs", "(sorted.len() - 0) / 2", "crate::half(sorted.len() - 0)");
    tree.edit("ch01-tiny/exercises/wrong.toml", "(sorted.len() - 0) / 2", "crate::half(sorted.len() - 0)");
    let (status, said) = tree.grade(&["selfcheck", "--organ", "middle"]);
    assert_eq!(status, 1, "{said}");
    assert_says(&said, &["fails `an_even_count_takes_the_lower`", "it gives a warning", "`half` is never used"]);
}
