//! The grading engine is held to what it promises: starters, definitions, choices, marks and verdicts as text, and then the
//! whole of it on a tiny workspace of its own, with the real cargo and the real binary.

use std::path::Path;
use std::time::Duration;

use common::grade::manifest::{Exercise, Manifest, Wrong};
use common::grade::process::{Ending, Outcome};
use common::grade::scan;
use common::grade::starter::{self, MarkerError};
use common::grade::trace;
use common::grade::verdict::{self, Verdict};

#[path = "grade/reader.rs"]
mod reader;
#[path = "grade/selfcheck.rs"]
mod selfcheck;
#[path = "grade/tree.rs"]
mod tree;

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

#[test]
fn a_mark_says_whose_region_ran_and_moves_no_line() {
    let traced = trace::traced(&exercise(), REFERENCE).unwrap();
    assert_eq!(traced.lines().count(), REFERENCE.lines().count());
    assert_eq!(traced.matches("[grade: ran middle]").count(), 2, "{traced}");
    assert!(trace::traced(&exercise(), "fn f() {}\n").is_err(), "there is nothing to mark");
}

#[test]
fn an_answer_is_confined_if_only_what_the_reader_writes_differs() {
    let confined = |answer: &str| trace::confined(&exercise(), REFERENCE, answer);
    assert!(confined(&REFERENCE.replace("sorted.sort_unstable();", "sorted.reverse();")));
    for outside in [
        REFERENCE.replace("        self.seen\n", "        self.seen + 1\n"),
        REFERENCE.replace("/ 2]\n    // <<<", "/ 2]\n    // <<<\n    + 1"),
        REFERENCE.replace("/ 2]\n    // <<<", "/ 2]\n}\nfn g() {\n    // <<<"),
        REFERENCE.replace("// >>> exercise: count\n", ""),
        REFERENCE.replace("self.seen += with(step);", "impl Drop for Counter { fn drop(&mut self) {} }"),
    ] {
        assert_ne!(outside, REFERENCE);
        assert!(!confined(&outside), "{outside}");
    }
}

#[test]
fn a_check_stayed_in_its_organ_only_if_its_marks_say_so() {
    let stayed = |stderr: &str| trace::stayed_in("middle", &outcome(Ending::Exited(101), NOT_OK, stderr));
    assert!(stayed("noise [grade: ran middle]\nnoise\n[grade: ran middle]\n"));
    assert!(!stayed("[grade: ran middle]\n[grade: ran spread]\n"));
    assert!(!stayed("[grade: ran middl"));
    assert!(!stayed("no marks: they may have been lost"));
    assert!(!stayed(&format!("[grade: ran middle]{}", "x".repeat(2 << 20))), "what is cut may have held a mark");
}
