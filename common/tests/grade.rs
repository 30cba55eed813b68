//! The grading engine is held to what it promises: starters, definitions, choices and verdicts as text, and then the whole
//! of it on a tiny workspace of its own, with the real cargo and the real binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use common::grade::manifest::{Exercise, Manifest, Wrong};
use common::grade::process::{Ending, Outcome};
use common::grade::scan;
use common::grade::starter::{self, MarkerError};
use common::grade::verdict::{self, Verdict};
use serde_json::Value;
use tempfile::TempDir;

/// The build script of every crate, as text that can be tested: `main` is cargo's to call.
#[allow(dead_code)]
mod organs {
    include!("../organs.rs");

    pub(super) fn chosen(organ: &str, choice: Option<&str>) -> bool {
        is_chosen(organ, choice)
    }

    pub(super) fn watches(choice: Option<&str>, written: &[&str]) -> Vec<String> {
        watched(choice, &written.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
    }
}

const EXERCISES: &str = include_str!("fixture/exercises.toml");
const WRONG: &str = include_str!("fixture/wrong.toml");
const REFERENCE: &str = include_str!("fixture/middle.rs");
const STARTER: &str = include_str!("fixture/starter.rs");
const JUDGE: &str = include_str!("fixture/judge.rs");
const LIMIT: Duration = Duration::from_secs(20);

fn exercise() -> Exercise {
    Manifest::parse(EXERCISES, Path::new("exercises.toml")).unwrap().exercises.remove(0)
}

fn marked(body: &str) -> Result<String, MarkerError> {
    starter::starter(&exercise(), body)
}

#[test]
fn a_starter_is_the_reference_with_the_marked_bodies_taken_out() {
    assert_eq!(marked(REFERENCE).unwrap(), STARTER);
}

#[test]
fn a_starter_names_the_parameters_of_the_function_around_it() {
    let cases = [
        ("fn f(a: u32, mut b: Vec<(u32, u8)>) {\n// >>> exercise: x\n// <<<\n}\n", "you have a, b\""),
        (
            "fn f<F: Fn(u8) -> u8>(\n    &mut self,\n    with: F,\n) {\n// >>> exercise: x\n// <<<\n}\n",
            "you have self, with\"",
        ),
        (
            "fn f(&'a self, (x, _): (u8, u8), P { y, .. }: P) {\n// >>> exercise: x\n// <<<\n}\n",
            "you have self, x, y\"",
        ),
        ("fn f() -> [u8; 2] {\n// >>> exercise: x\n// <<<\n}\n", "middle: x\""),
        ("fn f(a: &str /* , b: u8 */) { let c = '{'; let s = \"}\";\n// >>> exercise: x\n// <<<\n}\n", "you have a\""),
        ("fn f(a: u8) { fn g(b: u8) { b }\n// >>> exercise: x\n// <<<\n}\n", "you have a\""),
        ("fn f(a: u8) { fn g(b: u8) {\n// >>> exercise: x\n// <<<\n}\n}\n", "you have b\""),
    ];
    for (reference, end) in cases {
        let text = marked(reference).unwrap();
        let line = text.lines().find(|line| line.contains("todo!(\"")).unwrap();
        assert!(line.contains(end), "{line} does not have {end}");
    }
}

#[test]
fn a_starters_todo_ends_in_a_semicolon_only_where_code_follows() {
    let followed = marked("fn f() -> u8 {\n    // >>> exercise: x\n    // <<<\n    7\n}\n").unwrap();
    assert!(followed.contains("todo!(\"middle: x\");\n    7\n"), "{followed}");
    let tail = marked("fn f() -> u8 {\n    // >>> exercise: x\n    7\n    // <<<\n}\n").unwrap();
    assert!(tail.contains("todo!(\"middle: x\")\n}"), "{tail}");
}

#[test]
fn markers_that_make_no_region_are_refused_with_their_line() {
    let cases = [
        ("fn f() {}\n", MarkerError::None),
        ("fn f() {\n// >>> exercise: x\n}\n", MarkerError::Unclosed { line: 2 }),
        ("fn f() {\n// >>> exercise: x\n// >>> exercise: y\n// <<<\n}\n", MarkerError::Nested { line: 3, opened: 2 }),
        ("fn f() {\n// <<<\n}\n", MarkerError::Stray { line: 2 }),
        ("fn f() {\n// >>> exercise:\n// <<<\n}\n", MarkerError::Malformed { line: 2 }),
        ("fn f() {\n// >>> x\n// <<<\n}\n", MarkerError::Malformed { line: 2 }),
        ("// >>> exercise: x\nfn f() {}\n// <<<\n", MarkerError::NotInOneBody { line: 1 }),
        ("fn f() {\n// >>> exercise: x\n}\nfn g() {\n// <<<\n}\n", MarkerError::NotInOneBody { line: 2 }),
        ("fn f() {\nif a {\n// >>> exercise: x\n}\n// <<<\n}\n", MarkerError::NotInOneBody { line: 3 }),
    ];
    for (reference, error) in cases {
        assert_eq!(marked(reference), Err(error), "for {reference:?}");
    }
}

#[test]
fn blanking_keeps_code_lines_and_lengths() {
    let source =
        "let a = \"// no {\"; // {\nlet b = r#\"\"{\"#; let c: &'static str = '\\'' /* { /* { */ */;\nlet é = 'é';\n";
    let code = scan::code_only(source);
    assert_eq!(code.len(), source.len());
    assert_eq!(code.lines().count(), source.lines().count());
    assert!(!code.contains('{'), "{code}");
    assert!(code.contains("&'static str"), "{code}");
}

#[test]
fn definitions_that_do_not_add_up_are_refused() {
    let wrong = [
        ("points = 100", "points = 99", "give 100 points"),
        ("points = 30", "points = 0", "gives no points"),
        ("organ = \"middle\"", "organ = \"Middle\"", "lower-case"),
        ("source = \"src/middle.rs\"", "source = \"../src/middle.rs\"", "inside the package"),
        ("an_even_count_takes_the_lower", "the_median_is_observed", "there twice"),
        ("hints = [\"Sort.\", ", "hints = [", "hints"),
        ("predict", "foretell", "foretell"),
        ("says = \"the counter counts\"", "says = \" \"", "must all say something"),
    ];
    for (find, replace, says) in wrong {
        assert!(EXERCISES.contains(find), "{find} is in the fixture");
        let error = Manifest::parse(&EXERCISES.replace(find, replace), Path::new("exercises.toml")).unwrap_err();
        assert!(error.to_string().contains(says), "{error} does not say {says}");
    }
}

#[test]
fn an_anchor_must_be_there_exactly_once() {
    let wrong = Wrong::parse_file(WRONG, Path::new("wrong.toml")).unwrap().remove(0);
    assert!(wrong.apply(REFERENCE).unwrap().contains(&wrong.replace));
    assert_eq!(wrong.apply("nothing of the kind"), Err(0));
    assert_eq!(wrong.apply(&REFERENCE.repeat(2)), Err(2));
}

#[test]
fn mine_chooses_by_name_and_off_chooses_nothing() {
    assert!(organs::chosen("bloom", None));
    assert!(!organs::chosen("bloom", Some("off")));
    assert!(!organs::chosen("bloom", Some("")));
    assert!(organs::chosen("bloom", Some("memtable, bloom")));
    assert!(!organs::chosen("bloom", Some("memtable,bloom_filter")));
}

#[test]
fn only_what_the_choice_allows_is_watched_so_that_work_on_one_organ_rebuilds_nothing_without_it() {
    assert_eq!(organs::watches(None, &["bloom"]), ["mine"]);
    assert_eq!(organs::watches(Some("off"), &["bloom"]), [""; 0]);
    assert_eq!(organs::watches(Some("bloom"), &["bloom", "memtable"]), ["mine/bloom.rs"]);
    assert_eq!(organs::watches(Some("bloom,memtable"), &["bloom"]), ["mine"], "one that is absent may appear");
}

fn outcome(ending: Ending, stdout: &str, stderr: &str) -> Outcome {
    Outcome { ending, stdout: stdout.to_owned(), stderr: stderr.to_owned(), took: Duration::ZERO }
}

fn word(ending: Ending, stdout: &str, stderr: &str) -> Option<&'static str> {
    verdict::classify(&outcome(ending, stdout, stderr), LIMIT).map(|verdict| verdict.word())
}

const OK: &str = "running 1 test\ntest x ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured\n\n";
const NOT_OK: &str = "\ntest result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured\n\n";
const PANIC: &str = "\nthread 'x' (12) panicked at ch01/src/engine/../../mine/middle.rs:3:5:\nleft\n  right\n\
                     note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\nlater\n";
const TODO: &str = "thread 'y' panicked at a.rs:1:1:\nnot yet implemented: middle: sort\n";

#[test]
fn a_verdict_tells_passed_failed_todo_crashed_and_timed_out_apart() {
    assert_eq!(word(Ending::Exited(0), OK, ""), Some("passed"));
    assert_eq!(word(Ending::Exited(101), NOT_OK, PANIC), Some("FAILED"));
    assert_eq!(word(Ending::Exited(101), NOT_OK, "Error: Os\n"), Some("FAILED"));
    assert_eq!(word(Ending::Exited(101), NOT_OK, TODO), Some("todo!()"));
    assert_eq!(word(Ending::TimedOut, "", ""), Some("TIMED OUT"));
    assert_eq!(word(Ending::TimedOut, "", TODO), Some("todo!()"));
    assert_eq!(word(Ending::Signalled(6), "", ""), Some("CRASHED"));
}

#[test]
fn a_panic_in_any_thread_fails_a_check_that_the_harness_calls_ok() {
    assert_eq!(word(Ending::Exited(0), OK, PANIC), Some("FAILED"));
    assert_eq!(word(Ending::Exited(0), OK, TODO), Some("todo!()"));
}

#[test]
fn a_process_that_ends_itself_does_not_pass() {
    assert_eq!(word(Ending::Exited(0), "running 1 test\n", ""), Some("CRASHED"));
    assert_eq!(word(Ending::Exited(3), "running 1 test\n", ""), Some("CRASHED"));
}

#[test]
fn no_test_run_is_no_verdict() {
    let none = "\ntest result: ok. 0 passed; 0 failed; 1 ignored; 0 measured\n\n";
    assert_eq!(word(Ending::Exited(0), none, ""), None);
}

#[test]
fn a_panic_is_told_with_its_message_and_a_plain_location() {
    let Some(Verdict::Failed(panic)) = verdict::classify(&outcome(Ending::Exited(101), NOT_OK, PANIC), LIMIT) else {
        panic!("it failed");
    };
    assert_eq!(panic.location, "ch01/mine/middle.rs:3:5");
    assert_eq!(panic.message, "left\n  right");
}

/// A workspace of one crate without dependencies, and with one exercise.
struct Tree {
    folder: TempDir,
}

impl Tree {
    fn new() -> Self {
        let tree = Self { folder: tempfile::tempdir().unwrap() };
        let organs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("organs.rs")).unwrap();
        tree.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"ch01-tiny\"]\n");
        tree.write("common/organs.rs", &organs);
        tree.write(
            "ch01-tiny/Cargo.toml",
            "[package]\nname = \"ch01-tiny\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
        );
        tree.write("ch01-tiny/build.rs", "include!(\"../common/organs.rs\");\n");
        let lib = "//! Tiny.\n#[cfg_attr(mine_middle, path = \"../mine/middle.rs\")]\npub mod middle;\n\
                   pub const MINE: &str = env!(\"MINE_ORGANS\");\n";
        tree.write("ch01-tiny/src/lib.rs", lib);
        tree.write("ch01-tiny/src/main.rs", "fn main() {\n    println!(\"organs: {}\", ch01_tiny::MINE);\n}\n");
        tree.write("ch01-tiny/src/middle.rs", REFERENCE);
        tree.write("ch01-tiny/tests/middle.rs", JUDGE);
        tree.write("ch01-tiny/exercises.toml", EXERCISES);
        tree.write("ch01-tiny/exercises/wrong.toml", WRONG);
        tree.write("ch01-tiny/exercises/middle.rs", STARTER);
        tree.write("ch01-tiny/mine/README.md", "Yours.\n");
        tree.write("ch01-tiny/book.toml", "[[section]]\ntitle = \"Describing Performance\"\n");
        tree
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join("tree").join(relative)
    }

    fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap()
    }

    fn edit(&self, relative: &str, find: &str, replace: &str) {
        let text = self.read(relative);
        assert!(text.contains(find), "{relative} has {find}");
        self.write(relative, &text.replace(find, replace));
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.path(""));
        command.env("CARGO_TARGET_DIR", self.folder.path().join("target")).env("CARGO_NET_OFFLINE", "true");
        for variable in ["MINE", "MINE_COMMON", "MINE_CH01_TINY", "GRADE_SALT"] {
            command.env_remove(variable);
        }
        command.output().unwrap()
    }

    /// Runs the grader; its status, and all that it said.
    fn grade(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(env!("CARGO_BIN_EXE_grade"), arguments);
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    }

    fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let (status, said) = self.grade(&[arguments, &["--json"]].concat());
        (status, serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}")))
    }
}

/// Whether `said` has each of `parts`.
fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "it does not say {part:?}:\n{said}");
    }
}

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
