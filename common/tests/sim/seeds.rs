//! What seeds are for: the same one again is the same run, and thousands of them find what is wrong.

use std::process::{Command, Output};

use common::sim::{Contract, Options, Profile, Test, first_failure, run};

use crate::register::Bug;
use crate::workload::Scene;

/// Each planted bug is found within so many seeds.
const BUG_SEEDS: u64 = 300;

fn test(name: &'static str) -> Test {
    Test { package: "common", file: "sim", name }
}

#[test]
fn a_correct_register_survives_everything() {
    let sweep = test("a_correct_register_survives_everything").sweep(&Scene::of(Bug::None, Profile::everything()), 100);
    let rare = [
        "a node started with a value",
        "a snapshot was begun",
        "a snapshot was done",
        "a disk was full",
        "something happened on a node with a full disk",
    ];
    if sweep.seeds >= 100 {
        assert_eq!(sweep.marks.unreached(&rare), [""; 0], "{}", sweep.marks);
    }
}

#[test]
fn the_same_seed_is_the_same_run_and_another_one_is_not() {
    let scene = Scene::of(Bug::None, Profile::everything());
    let runs =
        |trace| -> Vec<_> { (0..20).map(|seed| run(&scene, seed, None, trace).expect("a correct register")).collect() };
    let (once, again) = (runs(0), runs(100));
    assert_eq!(once, again, "whether somebody looks on or not");
    let mut digests: Vec<_> = once.iter().map(|run| run.digest.value()).collect();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), 20, "each seed goes its own way");
}

/// Set for a process that another one has started.
const CHILD_VAR: &str = "SIM_TEST_CHILD";

/// Runs one test of this file in a process of its own.
fn in_another_process(name: &str, variables: &[(&str, String)]) -> Output {
    let mut child = Command::new(std::env::current_exe().expect("this is one"));
    child.args(["--exact", &format!("seeds::{name}"), "--nocapture"]).env(CHILD_VAR, "1");
    child.envs(variables.iter().map(|(name, value)| (name, value))).output().expect("it runs")
}

fn is_child() -> bool {
    std::env::var_os(CHILD_VAR).is_some()
}

#[test]
fn another_process_takes_the_same_course() {
    // It has other addresses, and would have other hash seeds.
    let digest = || {
        let sweep = test("x").sweep(&Scene::of(Bug::None, Profile::everything()), 10);
        format!("digest {:016x}", sweep.digest.value())
    };
    if is_child() {
        return println!("{}", digest());
    }
    let output = in_another_process("another_process_takes_the_same_course", &[]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(&digest()), "{}: {said}", digest());
}

#[test]
fn a_failure_happens_again_under_the_command_that_comes_with_it() {
    let scene = Scene::of(Bug::ForgetsAfterRestart, Profile::everything());
    if is_child() {
        test("x").sweep(&scene, 0);
        return;
    }
    let explained = test("x").explain(&scene, &first_failure(&scene, 0..BUG_SEEDS).expect("caught"));
    let variables = [("SIM_SEED", explained.seed.to_string()), ("SIM_SCHEDULE", explained.schedule.to_string())];
    let output = in_another_process("a_failure_happens_again_under_the_command_that_comes_with_it", &variables);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(&explained.violation.to_string()), "{explained}: {said}");
}

/// A bug, under which faults it is looked for and in a world of how many nodes (what is lost by one of three is often not
/// missed), and the property that it breaks.
type Planted = (Bug, fn() -> Profile, u64, &'static str);

const PLANTED: [Planted; 13] = [
    (Bug::AcksBeforeDurable, Profile::crashes, 3, OLD_ANSWER),
    (Bug::AcceptsOldMessages, Profile::network, 3, OLD_ANSWER),
    (Bug::ForgetsAfterRestart, Profile::crashes, 3, OLD_ANSWER),
    (Bug::ReadsFromOne, Profile::network, 3, OLD_ANSWER),
    (Bug::SyncsNothing, Profile::crashes, 3, OLD_ANSWER),
    (Bug::SnapshotsTooEarly, Profile::crashes, 3, "a node starts from its own disk"),
    (Bug::SnapshotsWithoutAName, Profile::crashes, 1, OLD_ANSWER),
    (Bug::IgnoresFailedSyncs, Profile::disks, 1, OLD_ANSWER),
    (Bug::TrustsThePageCache, Profile::disks, 1, OLD_ANSWER),
    (Bug::CountsCopies, Profile::network, 4, OLD_ANSWER),
    (Bug::ReusesNumbers, Profile::network, 3, OLD_ANSWER),
    (Bug::TagsByTheWall, Profile::clocks, 3, OLD_ANSWER),
    (Bug::AnswersForAnother, Profile::calm, 3, "nobody panics"),
];

/// What a register that forgets does: [`TagsAgreeWithTime`](crate::workload::TagsAgreeWithTime).
const OLD_ANSWER: &str = "an operation sees all that ended before it began";

#[test]
fn every_planted_bug_is_caught() {
    for (bug, profile, nodes, property) in PLANTED {
        let scene = Scene { bug, profile: profile(), options: Options { nodes, ..Options::default() } };
        let failure = first_failure(&scene, 0..BUG_SEEDS);
        let failure = failure.unwrap_or_else(|| panic!("{bug:?} is not caught in {BUG_SEEDS} seeds"));
        println!("{bug:?}: seed {} ({})", failure.seed, failure.violation);
        assert_eq!(failure.violation.property, property, "{bug:?}: {failure}");
    }
}

#[test]
fn an_interpreter_that_lets_effects_go_too_early_is_caught() {
    let options = Options { contract: Contract::Ignored, ..Options::default() };
    let scene = Scene { bug: Bug::None, profile: Profile::crashes(), options };
    let failure = first_failure(&scene, 0..BUG_SEEDS);
    assert_eq!(failure.expect("caught").violation.property, "an operation sees all that ended before it began");
}

#[test]
fn a_failure_comes_with_a_short_schedule_its_last_events_and_a_command_that_repeats_it() {
    let scene = Scene::of(Bug::ForgetsAfterRestart, Profile::everything());
    let drawn = first_failure(&scene, 0..BUG_SEEDS).expect("caught");
    let explained = test("x").explain(&scene, &drawn);
    assert!(explained.schedule.len() < drawn.schedule.len(), "{explained}");
    assert!(!explained.schedule.is_empty(), "nothing is forgotten without a crash: {explained}");
    let text = explained.to_string();
    let command = format!("SIM_SEED={} SIM_SCHEDULE='{}' cargo test", explained.seed, explained.schedule);
    for part in ["says Store", "is answered by", &command] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    let again = run(&scene, explained.seed, Some(&explained.schedule.to_string().parse().expect("a schedule")), 0);
    assert_eq!(again.expect_err("it fails again").violation, explained.violation);
}
