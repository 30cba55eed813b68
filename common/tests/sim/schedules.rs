//! Schedules: drawn, printed, read again, shortened.

use std::collections::BTreeSet;
use std::time::Duration;

use common::engine::Random;
use common::sim::{Fault, FaultError, Kind, Profile, Schedule};
use rand::SeedableRng;

fn everything() -> Profile {
    Profile::of(&Kind::ALL.iter().map(|kind| (*kind, 1)).collect::<Vec<_>>())
}

fn draw(profile: &Profile, seed: u64) -> Schedule {
    profile.draw(5, Duration::from_secs(60), &mut Random::seed_from_u64(seed))
}

#[test]
fn a_schedule_is_the_same_after_it_was_printed_and_read() {
    let mut kinds = BTreeSet::new();
    for seed in 0..50 {
        let schedule = draw(&everything(), seed);
        assert_eq!(schedule.to_string().parse(), Ok(schedule.clone()));
        let lines: Vec<String> = schedule.faults().iter().map(ToString::to_string).collect();
        assert_eq!(lines.join("\n").parse(), Ok(schedule.clone()), "one a line, too");
        kinds.extend(schedule.faults().iter().map(|timed| timed.fault.kind()));
    }
    assert_eq!(kinds.len(), Kind::ALL.len(), "every sort was among them");
}

#[test]
fn a_seed_draws_one_schedule_of_the_sorts_that_were_asked_for() {
    assert_eq!(draw(&everything(), 7), draw(&everything(), 7));
    assert_ne!(draw(&everything(), 7), draw(&everything(), 8));
    assert!(draw(&Profile::calm(), 7).is_empty());
    let crashes = draw(&Profile::of(&[(Kind::Crash, 1)]), 7);
    assert!(crashes.len() > 20 && crashes.faults().iter().all(|timed| timed.fault.kind() == Kind::Crash));
    assert!(crashes.faults().windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms));
}

#[test]
fn what_is_no_schedule_is_refused_with_what_is_wrong() {
    let parse = |text: &str| text.parse::<Schedule>().expect_err(text);
    assert_eq!(parse("crash node=n1"), FaultError::Time("crash node=n1".into()));
    assert_eq!(parse("5ms explode node=n1"), FaultError::Kind("explode".into()));
    assert_eq!(parse("5ms pause node=n1"), FaultError::Field("for_ms"));
    assert_eq!(parse("5ms pause node=n99 for_ms=1"), FaultError::Field("node"));
    assert_eq!(parse("5ms crash node=n1 disk=odd for_ms=1"), FaultError::Field("disk"));
}

#[test]
fn shrinking_leaves_the_faults_that_are_needed_and_no_others() {
    // It fails when a pause of the second node is before a crash of the third.
    let fails = |schedule: &Schedule| {
        let at = |wanted: &dyn Fn(&Fault) -> bool| schedule.faults().iter().position(|timed| wanted(&timed.fault));
        let pause = at(&|fault| matches!(fault, Fault::Pause { node, .. } if node.0 == 2));
        let crash = at(&|fault| matches!(fault, Fault::Crash { node, .. } if node.0 == 3));
        matches!((pause, crash), (Some(pause), Some(crash)) if pause < crash)
    };
    let long = (0..100).map(|seed| draw(&Profile::crashes(), seed)).find(|schedule| fails(schedule)).expect("one");
    let mut tries = 0;
    let short = long.shrink(1_000, |schedule| {
        tries += 1;
        fails(schedule)
    });
    assert!(long.len() > 20 && short.len() == 2 && fails(&short), "{long}\n{short}");
    assert!(tries < 200, "{tries}");
    assert_eq!(long.shrink(0, |_| true), long, "without a try there is nothing to find");
}
