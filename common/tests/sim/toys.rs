//! Engines of a few lines, each for one promise of the world.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::disk::{Disk, Open};
use common::engine::{Boot, Effects, Engine, Event, Lsn, Moment, NodeId, Now, Random};
use common::sim::{Client, ClientEffects, ClientEvent, Profile, Scenario, Schedule, Setup, World, run};

use crate::probe::{LOG, ProbeStore, TICK, calm};

/// What a toy does with an event.
type Act = fn(&mut Toy, Now, Event<Toy>, &mut Effects<Toy>);

struct Toy {
    id: NodeId,
    act: Act,
    deadline: Option<Moment>,
}

impl Engine for Toy {
    type Message = ();
    type Request = ();
    type Reply = ();
    type Record = u64;
    type Timer = &'static str;
    type Job = ();
    type Done = ();

    fn handle(&mut self, now: Now, event: Event<Self>, effects: &mut Effects<Self>) {
        if matches!(event, Event::Start | Event::Timer("tick")) {
            effects.set_timer("tick", now.monotonic + TICK);
        }
        (self.act)(self, now, event, effects);
    }
}

struct Toys(Act);

impl Boot for Toys {
    type Engine = Toy;
    type Storage = ProbeStore;

    fn boot(&self, id: NodeId, disk: Arc<dyn Disk>, _: Random) -> io::Result<(Toy, ProbeStore)> {
        let log = disk.open(Path::new(LOG), Open::Create)?;
        let mut store = ProbeStore::new(disk, log, 0);
        store.passes_over_errors = true;
        Ok((Toy { id, act: self.0, deadline: None }, store))
    }
}

struct Nobody;

impl Client<Toy> for Nobody {
    fn handle(&mut self, _: Moment, _: ClientEvent<Toy>, _: &mut ClientEffects<Toy>) {}
}

impl Scenario for Toys {
    type Boot = Self;
    type Client = Nobody;

    fn set_up(&self, _: &mut Random) -> Setup<Self, Nobody> {
        Setup {
            boot: Self(self.0),
            clients: Vec::new(),
            checkers: Vec::new(),
            options: calm(),
            profile: Profile::calm(),
            besides: Schedule::default(),
            duration: Duration::from_secs(1),
            settle: Duration::ZERO,
        }
    }
}

fn world(act: Act, seed: u64) -> World<Toys, Nobody> {
    World::new(Toys(act), Vec::new(), calm(), seed, 0)
}

fn go(world: &mut World<Toys, Nobody>, millis: u64) {
    let end = world.now() + Duration::from_millis(millis);
    while world.step(end) {}
}

#[test]
fn a_panic_of_an_engine_is_a_failure_like_others() {
    let panics: Act = |_, _, event, _| assert!(matches!(event, Event::Start), "as it was told to");
    let failure = run(&Toys(panics), 1, None, 10).expect_err("it panics");
    assert_eq!(failure.violation.property, "nobody panics");
    let seen = &failure.violation.seen;
    assert!(seen.contains("as it was told to") && seen.contains("toys.rs:"), "what it said, and where: {seen}");
    assert!(failure.trace.iter().any(|line| line.contains("n1 timer")), "{failure}");
}

#[test]
fn a_panic_in_the_first_event_of_all_is_one_too() {
    let failure = run(&Toys(|_, _, _, _| panic!("at once")), 1, None, 10).expect_err("it panics");
    assert!(failure.violation.seen.contains("at once"), "{failure}");
}

#[test]
fn a_timer_that_was_put_off_does_not_fire_after_a_pause_either() {
    // The first node says something with each tick, which puts off what the second one is waiting for.
    let watchdog: Act = |toy, now, event, effects| match event {
        Event::Timer("tick") if toy.id == NodeId(1) => effects.send(NodeId(2), (), Lsn::NOTHING),
        Event::Message { .. } => {
            toy.deadline = Some(now.monotonic + TICK * 10);
            effects.set_timer("silence", now.monotonic + TICK * 10);
        }
        Event::Timer("silence") => {
            assert!(toy.deadline.take().is_some_and(|deadline| deadline <= now.monotonic), "it was put off");
            effects.mark("silence");
        }
        _ => {}
    };
    let mut silences = 0;
    for seed in 0..300 {
        let mut world = world(watchdog, seed);
        go(&mut world, 200);
        world.inflict("pause node=n2 for_ms=300".parse().expect("a fault"));
        go(&mut world, 1_000);
        silences += world.marks().count("silence");
    }
    // Of what has come meanwhile, it is the first that is handled in one world of thirty.
    assert!((2..40).contains(&silences), "{silences}");
}

#[test]
fn who_is_sent_to_need_not_exist() {
    const STRANGERS: [u64; 5] = [0, 4, 64, 65, u64::MAX];
    let sends: Act = |_, _, event, effects| {
        if let Event::Timer(_) = event {
            STRANGERS.iter().for_each(|stranger| effects.send(NodeId(*stranger), (), Lsn::NOTHING));
        }
    };
    let mut world = world(sends, 1);
    go(&mut world, 105);
    assert_eq!(world.account().messages, 3 * 10 * STRANGERS.len() as u64);
    assert_eq!(world.account().sent_to_the_dead, world.account().messages);
}

#[test]
fn a_node_without_power_is_down_whether_its_storage_has_noticed_or_not() {
    // Its jobs pass over all errors, and nothing else reaches the disk.
    let worker: Act = |_, _, event, effects| {
        if let Event::Timer(_) = event {
            effects.job((), Lsn::NOTHING);
        }
    };
    for operation in 1..=4 {
        let mut world = world(worker, 1);
        go(&mut world, 55);
        let fault = format!("crash-in-disk node=n1 operation={operation} for_ms=60000");
        world.inflict(fault.parse().expect("a fault"));
        go(&mut world, 100);
        assert_eq!((world.account().crashes_within_disk, world.engine(NodeId(1)).is_some()), (1, false));
    }
}

#[test]
fn a_world_that_stands_still_or_drowns_is_a_failure_and_no_hang() {
    let spins: Act = |_, now, event, effects| {
        if let Event::Start | Event::Timer("spin") = event {
            effects.set_timer("spin", now.monotonic);
        }
    };
    let failure = run(&Toys(spins), 1, None, 0).expect_err("it spins");
    assert_eq!(failure.violation.property, "time goes on");
    let floods: Act = |toy, _, event, effects| {
        if let Event::Start | Event::Message { .. } = event {
            (1..=3).map(NodeId).filter(|node| *node != toy.id).for_each(|peer| effects.send(peer, (), Lsn::NOTHING));
        }
    };
    let failure = run(&Toys(floods), 1, None, 0).expect_err("it floods");
    assert_eq!(failure.violation.property, "messages do not multiply");
}
