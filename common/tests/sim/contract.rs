//! The durability contract, seen from outside: what a message says is durable is on the sender's disk.

use std::rc::Rc;
use std::time::Duration;

use common::disk::SimDisk;
use common::engine::{Moment, NodeId, Random};
use common::sim::{
    Account, Checker, Contract, Marks, Options, Profile, Scenario, Schedule, Setup, Violation, World, first_failure,
    run,
};

use crate::probe::{Asker, JOBS, LOG, Message, Probes, RECORD_BYTES, Sights, What, calm, go, world};

/// Whoever hears that a record is durable can go and look.
struct WhatIsSaidIsDurable {
    sights: Sights,
    looked_at: usize,
}

fn durable_records(disk: &SimDisk) -> u64 {
    disk.durable(LOG).map_or(0, |bytes| (bytes.len() / RECORD_BYTES) as u64)
}

impl Checker<Probes, Asker> for WhatIsSaidIsDurable {
    fn after_event(&mut self, world: &World<Probes, Asker>, marks: &mut Marks) -> Result<(), Violation> {
        let sights = self.sights.borrow();
        for sight in &sights[self.looked_at..] {
            let What::Hears { from, message } = sight.what else { continue };
            let durable = durable_records(world.disk(from).expect("it has a disk"));
            match message {
                Message::Waits(record) if record > durable => {
                    let seen = format!("{from} has promised record {record}, and {durable} are durable");
                    return Err(Violation::new("what is said to be durable is", seen));
                }
                Message::Free(record) if record > durable => marks.add("a message overtook the sender's own disk"),
                Message::Free(_) | Message::Waits(_) => {}
            }
        }
        self.looked_at = sights.len();
        Ok(())
    }
}

struct Promises {
    profile: Profile,
    contract: Contract,
}

impl Scenario for Promises {
    type Boot = Probes;
    type Client = Asker;

    fn set_up(&self, _: &mut Random) -> Setup<Probes, Asker> {
        let sights = Sights::default();
        Setup {
            boot: Probes { nodes: 3, sights: Rc::clone(&sights) },
            clients: Vec::new(),
            checkers: vec![Box::new(WhatIsSaidIsDurable { sights, looked_at: 0 })],
            options: Options { contract: self.contract, ..Options::default() },
            profile: self.profile.clone(),
            besides: Schedule::default(),
            duration: Duration::from_secs(3),
            settle: Duration::from_secs(1),
        }
    }
}

#[test]
fn nothing_that_waits_for_a_position_leaves_before_it_is_durable() {
    let scene = Promises { profile: Profile::everything(), contract: Contract::Kept };
    let (mut account, mut marks) = (Account::default(), Marks::default());
    for seed in 0..40 {
        let run = run(&scene, seed, None, 0).unwrap_or_else(|failure| panic!("{failure}"));
        account += &run.account;
        marks += &run.marks;
    }
    assert!(
        marks.count("a message overtook the sender's own disk") > 1_000,
        "what waits for nothing goes at once: {marks}"
    );
    assert!(account.effects_held > 10_000 && account.effects_lost > 100, "{account}");
}

#[test]
fn a_world_that_ignores_the_contract_is_caught_at_once() {
    let scene = Promises { profile: Profile::calm(), contract: Contract::Ignored };
    let failure = first_failure(&scene, 0..3).expect("caught");
    assert_eq!(failure.violation.property, "what is said to be durable is");
}

#[test]
fn a_crash_comes_between_any_two_effects_in_any_order_that_the_contract_allows() {
    // With each tick a node persists one record, and says so at once to two others.
    let (mut first_alone, mut second_alone, mut both, mut neither) = (0, 0, 0, 0);
    let (mut record_alone, mut message_alone) = (0, 0);
    for seed in 0..300 {
        let (mut world, sights) = world(calm(), seed);
        go(&mut world, 105);
        let records = durable_records(world.disk(NodeId(1)).expect("a disk"));
        let fault = format!("crash-in-effects node=n1 effects={} for_ms=500", seed % 6);
        world.inflict(fault.parse().expect("a fault"));
        go(&mut world, 100);
        assert_eq!(world.account().crashes_within_effects, 1);
        let record = records + 1;
        let heard = |by: u64| {
            let said = What::Hears { from: NodeId(1), message: Message::Free(record) };
            sights.borrow().iter().any(|sight| sight.node == NodeId(by) && sight.what == said)
        };
        let is_kept = world.disk(NodeId(1)).expect("a disk").cached(LOG).expect("a log").len() as u64
            >= record * RECORD_BYTES as u64;
        match (heard(2), heard(3)) {
            (true, false) => first_alone += 1,
            (false, true) => second_alone += 1,
            (true, true) => both += 1,
            (false, false) => neither += 1,
        }
        record_alone += u64::from(is_kept && !heard(2) && !heard(3));
        message_alone += u64::from(!is_kept && (heard(2) || heard(3)));
        let waits = What::Hears { from: NodeId(1), message: Message::Waits(record) };
        assert!(is_kept || sights.borrow().iter().all(|sight| sight.what != waits), "seed {seed}");
    }
    let reached = [first_alone, second_alone, both, neither, message_alone, record_alone];
    assert!(reached.iter().all(|count| *count > 5), "{reached:?}");
}

#[test]
fn a_job_begins_before_or_after_the_record_that_was_named_with_it() {
    let (mut before, mut after) = (0, 0);
    for seed in 0..10 {
        let (mut world, _) = world(calm(), seed);
        go(&mut world, 1_005);
        let begun_at = &world.storage(NodeId(1)).expect("it is up").begun_at;
        assert_eq!(begun_at.len(), 10, "with each tenth record");
        for (appended, named_with) in begun_at.iter().zip((10..).step_by(10)) {
            assert!((named_with - 1..=named_with).contains(appended), "{begun_at:?}");
            before += u64::from(*appended < named_with);
            after += u64::from(*appended == named_with);
        }
    }
    assert!(before > 20 && after > 20, "{before}, {after}");
}

#[test]
fn what_a_job_has_done_to_the_disk_is_there_long_before_anybody_hears_of_it_or_just_then() {
    let (mut early, mut jobs) = (0, 0);
    for seed in 0..10 {
        let mut options = calm();
        options.job.usual = Duration::from_millis(30)..=Duration::from_millis(30);
        let (mut world, sights) = world(options, seed);
        let (end, mut last_early) = (Moment::from_nanos(1_000_000_000), 0);
        while world.step(end) {
            let done =
                sights.borrow().iter().filter(|sight| sight.node == NodeId(1) && sight.what == What::Done).count();
            let left = world.disk(NodeId(1)).expect("it has a disk").cached(JOBS);
            let left = left.map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")));
            assert!(left >= done as u64, "nobody hears of what was not done");
            // It goes on working meanwhile.
            if world.acted() == Some(NodeId(1)) && left > done as u64 && left > last_early {
                early += 1;
                last_early = left;
            }
            jobs = jobs.max(done);
        }
    }
    assert!(early > 20 && early < jobs * 10 - 20, "{early} of {}", jobs * 10);
}
