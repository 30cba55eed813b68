//! What a tour promises its reader: scenes that stand alone, text that fits, and questions only for those who want them.

use std::io::{self, Cursor, Write};
use std::sync::{Arc, Mutex};

use common::cli::{Exit, Look, Shutdown, Table};
use common::tour::{Answer, Narrator, Question, Report, Scene, Tour, TourArgs, TourError};

#[derive(Debug, thiserror::Error)]
#[error("the server did not start")]
struct NoServer;

type Ran = Vec<&'static str>;

/// An output that can be read after the narrator has been given it.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no writer panicked").clone()).expect("a tour is text")
    }
}

/// An output whose reader has gone.
struct ClosedPipe;

impl Write for ClosedPipe {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn scene(name: &'static str, section: &'static str) -> Scene<Ran, NoServer> {
    Scene::new(name, format!("The {name} scene"), section, move |narrator: &mut Narrator, ran: &mut Ran| {
        narrator.says("Something happens.");
        ran.push(name);
        Ok(())
    })
}

fn three_scenes() -> Tour<Ran, NoServer> {
    let tour = Tour::new("Chapter 1").scene(scene("load", "Describing Load"));
    tour.scene(scene("tail", "Describing Performance")).scene(scene("crash", "Hardware Faults"))
}

fn play(tour: Tour<Ran, NoServer>, args: &TourArgs, input: &str) -> (Result<Report, TourError>, String, Ran) {
    let (paper, mut ran) = (Paper::default(), Ran::new());
    let mut narrator = Narrator::new(args, Look::pipe(), paper.clone(), Cursor::new(input.to_owned()));
    let report = tour.run(args, &mut narrator, &mut ran);
    (report, paper.text(), ran)
}

/// What a tour of one scene reports and writes.
fn narrate(
    look: Look,
    args: &TourArgs,
    input: &str,
    mut story: impl FnMut(&mut Narrator) + 'static,
) -> (Report, String) {
    let only = Scene::new("only", "Only", "Describing Load", move |narrator: &mut Narrator, _: &mut Ran| {
        story(narrator);
        Ok(())
    });
    let paper = Paper::default();
    let mut narrator = Narrator::new(args, look, paper.clone(), Cursor::new(input.to_owned()));
    let tour: Tour<Ran, NoServer> = Tour::new("Chapter").scene(only);
    let report = tour.run(args, &mut narrator, &mut Ran::new()).expect("the tour ends well");
    (report, paper.text())
}

fn with_quiz() -> TourArgs {
    TourArgs { quiz: true, ..TourArgs::default() }
}

#[test]
fn all_scenes_run_in_order_and_a_summary_names_the_time_of_each() {
    let (report, text, ran) = play(three_scenes(), &TourArgs::default(), "");
    assert_eq!(ran, ["load", "tail", "crash"]);
    let report = report.expect("the tour ends well");
    assert_eq!(report.scenes.iter().map(|scene| scene.0).collect::<Vec<_>>(), [1, 2, 3]);
    let (_, summary) = text.split_once("The end, after").expect("a summary");
    for title in ["The load scene", "The tail scene", "The crash scene", "took"] {
        assert!(summary.contains(title), "{summary}");
    }
    assert!(!text.contains("Enter for the next scene"), "nobody asked to step: {text}");
}

#[test]
fn one_scene_runs_alone_by_number_or_by_name() {
    for asked in ["2", "tail"] {
        let args = TourArgs { scene: Some(asked.into()), ..TourArgs::default() };
        let (report, text, ran) = play(three_scenes(), &args, "");
        report.expect("the scene ends well");
        assert_eq!(ran, ["tail"]);
        assert!(text.contains("2. The tail scene") && text.contains("DDIA, \"Describing Performance\""), "{text}");
    }
}

#[test]
fn a_scene_that_is_not_there_is_a_usage_error() {
    for asked in ["0", "4", "tale", ""] {
        let args = TourArgs { scene: Some(asked.into()), ..TourArgs::default() };
        let (report, _, ran) = play(three_scenes(), &args, "");
        let error = report.expect_err(asked);
        assert_eq!(error.exit(), Exit::Usage);
        assert!(error.to_string().contains("--list shows the 3 there are"), "{error}");
        assert!(ran.is_empty());
    }
}

#[test]
fn the_list_names_scenes_and_sections_and_runs_nothing() {
    let args = TourArgs { list: true, ..TourArgs::default() };
    let (report, text, ran) = play(three_scenes(), &args, "");
    assert!(report.expect("a list").scenes.is_empty() && ran.is_empty());
    for words in ["The crash scene", "crash", "Hardware Faults"] {
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn stepping_waits_between_scenes_and_goes_on_when_the_input_ends() {
    let args = TourArgs { step: true, ..TourArgs::default() };
    let (report, text, ran) = play(three_scenes(), &args, "\n\n");
    report.expect("the tour ends well");
    assert_eq!((ran.len(), text.matches("Enter for the next scene").count()), (3, 2));
    let (report, text, ran) = play(three_scenes(), &args, "");
    report.expect("the tour ends well");
    assert_eq!((ran.len(), text.matches("Enter for the next scene").count()), (3, 1), "one prompt met the end: {text}");
}

#[test]
fn a_failed_scene_ends_the_tour_and_is_named_with_its_cause() {
    let failing = Scene::new("start", "The start", "Hardware Faults", |_: &mut Narrator, _: &mut Ran| Err(NoServer));
    let tour = Tour::new("Chapter").scene(failing).scene(scene("after", "Hardware Faults"));
    let (report, _, ran) = play(tour, &TourArgs::default(), "");
    let error = report.expect_err("it failed");
    assert_eq!((error.to_string().as_str(), error.exit()), ("scene 1, \"The start\", failed", Exit::Failed));
    let source = std::error::Error::source(&error).expect("a cause");
    assert!(source.downcast_ref::<NoServer>().is_some(), "the chapter's own error can still be told: {source:?}");
    assert!(ran.is_empty());
}

#[test]
fn a_requested_shutdown_ends_the_tour_after_the_running_scene() {
    let (trigger, shutdown) = Shutdown::new();
    let asking = Scene::new("asks", "Asks", "Load", move |_: &mut Narrator, ran: &mut Ran| {
        ran.push("asks");
        trigger.request();
        Ok(())
    });
    let tour = Tour::new("Chapter").scene(asking).scene(scene("after", "Load")).until(shutdown);
    let (report, _, ran) = play(tour, &TourArgs::default(), "");
    assert!(report.expect("no failure").interrupted);
    assert_eq!(ran, ["asks"]);
}

#[test]
fn a_reader_who_goes_away_ends_the_tour_quietly() {
    let args = TourArgs::default();
    let mut narrator = Narrator::new(&args, Look::pipe(), ClosedPipe, io::empty());
    let mut ran = Ran::new();
    let error = three_scenes().run(&args, &mut narrator, &mut ran).expect_err("nobody reads");
    assert_eq!(error.exit(), Exit::Done);
    assert_eq!(ran, ["load"], "the rest is not run for nobody");
}

#[test]
fn text_fits_the_width_and_has_no_colour_in_a_pipe() {
    let look = Look { width: 50, terminal: false, colour: false };
    let args = TourArgs { quiz: true, ..TourArgs::default() };
    let (_, text) = narrate(look, &args, "", |narrator| {
        narrator.says(&"A server is started, and nothing else is done. ".repeat(5));
        narrator.book(
            "ch. 1, \"Operability: Making Life Easy for Operations\"",
            &"Percentiles are better than means. ".repeat(5),
        );
        narrator.look("src/engine/percentiles.rs, and try: cargo run -p ch01-kv -- bench --rounds 7");
        let mut table = Table::new(["what", "how much"]);
        table.row(["something with a long name, which must be wrapped", "12.3 ms"]);
        narrator.table(&table);
        narrator.measured("p99", "12.3 ms");
        narrator.measured(
            "what is read from the server's memory",
            "*3 SET book Designing-Data-Intensive-Applications EX 100",
        );
        narrator.show(&format!("      {}\n{}", "SET -> memory -> page cache -> disk, ".repeat(3), "x".repeat(150)));
        let guess = narrator
            .quiz(&"Which one? ".repeat(9), Question::Options(&["one of those that take long to tell, or another"]));
        narrator.reveal(&guess, Answer::Option(0));
    });
    for line in text.lines() {
        assert!(textwrap::core::display_width(line) <= 50, "{line:?}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert!(text.lines().filter(|line| line.starts_with("  | ")).count() > 3, "the book has its own voice: {text}");
}

#[test]
fn titles_fit_the_width_too() {
    let look = Look { width: 30, terminal: false, colour: false };
    let (args, paper) = (TourArgs::default(), Paper::default());
    let mut narrator = Narrator::new(&args, look, paper.clone(), io::empty());
    let long =
        Scene::new("long", "A scene of which much is told", "A section with a long title in the book", |_, _| Ok(()));
    let tour = Tour::<Ran, NoServer>::new("Chapter 1: a title that takes more than one line").scene(long);
    tour.run(&args, &mut narrator, &mut Ran::new()).expect("nothing fails");
    let text = paper.text();
    assert!(text.lines().all(|line| textwrap::core::display_width(line) <= 30), "{text}");
    assert!(text.contains("-- 1. A scene of which much is\n   told\n"), "{text}");
}

#[test]
fn commands_and_paths_are_broken_at_their_blanks_alone() {
    let command = "cargo run -p ch01-kv -- bench --peer other-server --data some/long/path";
    for width in 40..80 {
        let look = Look { width, terminal: false, colour: false };
        let (_, text) = narrate(look, &TourArgs::default(), "", move |narrator| narrator.look(command));
        let words: Vec<&str> = text.split_whitespace().collect();
        assert!(command.split(' ').all(|word| words.contains(&word)), "in {width} columns: {text}");
    }
}

#[test]
fn on_a_terminal_there_is_colour() {
    let look = Look { width: 80, terminal: true, colour: true };
    let (_, text) = narrate(look, &TourArgs::default(), "", |narrator| narrator.look("src/lib.rs"));
    assert!(text.contains('\u{1b}') && text.contains("─"), "{text:?}");
}

#[test]
fn preformatted_text_keeps_its_shape_and_loses_its_control_characters() {
    let (_, text) = narrate(Look::pipe(), &TourArgs::default(), "", |narrator| narrator.show("a  b\n  c\u{1b}[2J"));
    assert!(text.contains("    a  b\n      c\\u{1b}[2J\n"), "{text:?}");
}

#[test]
fn without_quiz_nobody_is_asked() {
    let (report, text) = narrate(Look::pipe(), &TourArgs::default(), "1\n", |narrator| {
        let guess = narrator.quiz("How slow is the slowest?", Question::Number { unit: "ms" });
        assert!(!guess.is_some());
        narrator.reveal(&guess, Answer::Number(12.0));
    });
    assert!(!text.contains("slowest") && !text.contains("guess"), "{text}");
    assert_eq!(report.score.asked, 0);
}

#[test]
fn a_guess_is_remembered_and_compared_with_what_was_measured() {
    let (report, text) = narrate(Look::pipe(), &with_quiz(), "3 ms\n30\nB\nread\n", |narrator| {
        let p99 = narrator.quiz("How slow?", Question::Number { unit: "ms" });
        let p50 = narrator.quiz("How fast?", Question::Number { unit: "ms" });
        let fan_out = Question::Options(&["write", "read"]);
        let first = narrator.quiz("Which wins?", fan_out);
        let second = narrator.quiz("And for celebrities?", fan_out);
        narrator.reveal(&p99, Answer::Number(40.0));
        narrator.reveal(&p50, Answer::Number(20.0));
        narrator.reveal(&first, Answer::Option(0));
        narrator.reveal(&second, Answer::Option(1));
    });
    assert!(text.contains("You expected 3 ms; it is 40 ms: 13 times too low."), "{text}");
    assert!(text.contains("You expected 30 ms, it is 20 ms: a good guess."), "{text}");
    assert!(text.contains("You expected \"read\"; it is \"write\"."), "{text}");
    assert!(text.contains("You expected \"read\", and so it is."), "{text}");
    assert!(text.contains("2 of 4 right"), "{text}");
    assert_eq!((report.score.asked, report.score.right), (4, 2));
}

#[test]
fn what_is_no_answer_is_asked_for_again_and_silence_is_accepted() {
    let (report, text) = narrate(Look::pipe(), &with_quiz(), "soon\n2,000\n\n", |narrator| {
        let guess = narrator.quiz("How many?", Question::Number { unit: "" });
        narrator.reveal(&guess, Answer::Number(2000.0));
        let silent = narrator.quiz("Which?", Question::Options(&["this", "that"]));
        assert!(!silent.is_some());
        narrator.reveal(&silent, Answer::Option(0));
        let at_the_end = narrator.quiz("Which?", Question::Options(&["this", "that"]));
        assert!(!at_the_end.is_some());
        narrator.reveal(&at_the_end, Answer::Option(0));
    });
    assert!(text.contains("\"soon\" is not a number") && text.contains("exactly so"), "{text}");
    assert_eq!((report.score.asked, report.score.right), (1, 1), "only what was guessed is scored");
}
