//! Each fault happens when it is asked for, and does not when it is not.

use common::engine::NodeId;
use common::sim::{Account, Kind};

use crate::probe::{Message, ProbeWorld, Sights, TICK, What, after, any_within, calm, go, when, world};

pub(crate) fn hears(from: u64) -> impl Fn(What) -> bool {
    move |what| matches!(what, What::Hears { from: sender, message: Message::Free(_) } if sender == NodeId(from))
}

/// What `by` has heard from `from`, in the order in which it came.
fn numbers(sights: &Sights, by: u64, from: u64) -> Vec<u64> {
    let sights = sights.borrow();
    let heard = sights.iter().filter(|sight| sight.node == NodeId(by)).filter_map(|sight| match sight.what {
        What::Hears { from: sender, message: Message::Free(number) } if sender == NodeId(from) => Some(number),
        _ => None,
    });
    heard.collect()
}

#[test]
fn in_a_calm_world_nothing_is_lost_and_nothing_comes_twice_or_out_of_order() {
    let (mut world, sights) = world(calm(), 1);
    go(&mut world, 2_000);
    let account = world.account();
    let expected = Account {
        events: account.events,
        messages: account.messages,
        message_bytes: account.messages * size_of::<Message>() as u64,
        messages_delivered: account.messages_delivered,
        // The fourth is not there.
        sent_to_the_dead: account.sent_to_the_dead,
        requests: account.requests,
        replies: account.replies,
        timers: 3 * 200,
        records: 3 * 200,
        syncs: account.syncs,
        effects_held: account.effects_held,
        jobs: 3 * 20,
        jobs_done: 3 * 19,
        starts: 3,
        ..Account::default()
    };
    assert_eq!(*account, expected);
    assert_eq!((account.effects_held, account.messages), (3 * 200 * 3, 3 * 200 * 6 - 9), "the last of them wait");
    assert_eq!(account.messages_delivered + account.sent_to_the_dead, account.messages - 9, "some are on their way");
    for (by, from) in [(1, 2), (2, 3), (3, 1)] {
        let numbers = numbers(&sights, by, from);
        assert!(numbers.len() > 195 && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    }
    assert!(world.clients()[0].answered >= world.clients()[0].asked - 1);
}

#[test]
fn a_paused_node_handles_nothing_and_then_everything() {
    let (world, sights) = after("pause node=n2 for_ms=600");
    let all = when(&sights, 2, |_| true);
    assert!(!any_within(&all, 501, 1_100), "{all:?}");
    let at_once = all.iter().filter(|time| **time == 1_100).count();
    assert!(at_once > 200, "sixty ticks of two others, two messages each: {at_once}");
    let numbers = numbers(&sights, 2, 1);
    assert!(numbers.windows(2).any(|pair| pair[1] < pair[0]), "in any order");
    assert_eq!(when(&sights, 1, hears(2)).iter().filter(|time| (510..1_100).contains(*time)).count(), 0);
    assert_eq!((world.account().pauses, world.account().crashes), (1, 0));
    assert!(world.account().events_paused.abs_diff(at_once as u64) < 3, "{at_once}");
}

#[test]
fn a_partition_cuts_both_ways_and_heals() {
    let (world, sights) = after("partition side=n1 for_ms=800");
    for (by, from) in [(1, 2), (1, 3), (2, 1), (3, 1)] {
        let heard = when(&sights, by, hears(from));
        assert!(!any_within(&heard, 500, 1_300), "{from} to {by}: {heard:?}");
        assert!(any_within(&heard, 1_300, 1_330), "{from} to {by}: {heard:?}");
    }
    assert!(any_within(&when(&sights, 2, hears(3)), 600, 620), "the other side is whole");
    assert!(world.account().messages_cut > 300 && world.account().partitions == 1);
}

#[test]
fn a_one_way_partition_cuts_one_way() {
    let (_, sights) = after("one-way from=n1 to=n2,n3 for_ms=800");
    for by in [2, 3] {
        assert!(!any_within(&when(&sights, by, hears(1)), 500, 1_300));
        assert!(any_within(&when(&sights, by, hears(1)), 1_300, 1_330));
        assert!(any_within(&when(&sights, 1, hears(by)), 600, 620), "what it does not answer it hears");
    }
}

#[test]
fn messages_get_lost_come_twice_and_come_late() {
    let (world, sights) = after("lossy ppm=300000 for_ms=1000");
    let lost = world.account().messages_lost;
    assert!((450..630).contains(&lost), "three in ten of 1,800: {lost}");
    assert!(world.account().client_messages_lost > 20);
    assert!(numbers(&sights, 1, 2).windows(2).any(|pair| pair[1] > pair[0] + 1));

    let (world, sights) = after("duplicates ppm=300000 for_ms=1000");
    assert!(world.account().messages_duplicated > 300);
    let mut heard = numbers(&sights, 1, 2);
    let all = heard.len();
    heard.sort_unstable();
    heard.dedup();
    assert!(heard.len() + 20 < all, "{} of {all}", heard.len());

    let (world, sights) = after("slow extra_ms=300 for_ms=1000");
    assert_eq!(world.account().messages_lost + world.account().messages_duplicated, 0);
    let numbers = numbers(&sights, 1, 2);
    assert!(numbers.windows(2).filter(|pair| pair[1] < pair[0]).count() > 10, "later ones overtake: {numbers:?}");
}

#[test]
fn a_network_that_does_not_reorder_does_not() {
    let mut options = calm();
    options.network.latency.usual = std::time::Duration::ZERO..=std::time::Duration::from_millis(80);
    let overtakes = |reorders: bool| {
        let mut options = options.clone();
        options.network.reorders = reorders;
        let (mut world, sights) = world(options, 5);
        go(&mut world, 2_000);
        numbers(&sights, 1, 2).windows(2).filter(|pair| pair[1] < pair[0]).count()
    };
    assert!(overtakes(true) > 20);
    assert_eq!(overtakes(false), 0);
}

#[test]
fn wall_clocks_jump_and_monotonic_ones_do_not() {
    let (_, sights) = after("wall-jump node=n1 by_ms=-5000");
    let of_node = |node| {
        let sights = sights.borrow();
        let of_node = sights.iter().filter(|sight| sight.node == NodeId(node)).map(|sight| sight.now);
        of_node.collect::<Vec<_>>()
    };
    let (first, other) = (of_node(1), of_node(2));
    let back = other[0].wall.since(first[0].wall);
    assert!((4_990..=5_010).contains(&back.as_millis()), "{back:?}");
    assert!(first.windows(2).all(|pair| pair[0].monotonic <= pair[1].monotonic));
    let passed =
        |sights: &[common::engine::Now]| sights.last().expect("many").monotonic.since(sights[0].monotonic).as_millis();
    assert!(passed(&first).abs_diff(passed(&other)) < 15);
}

#[test]
fn clocks_drift_and_timers_with_them() {
    let ticks = |fault: &str| {
        let (_, sights) = after(fault);
        [1, 2].map(|node| when(&sights, node, |what| what == What::Ticks).len())
    };
    // Half as fast for two seconds: half as many ticks of ten milliseconds.
    let [slow, usual] = ticks("drift node=n1 ppm=-500000 for_ms=2000");
    assert!((98..=101).contains(&slow) && (198..=201).contains(&usual), "{slow}, {usual}");
    let [fast, _] = ticks("drift node=n1 ppm=500000 for_ms=1000");
    assert!((247..=252).contains(&fast), "half a second more in one of two: {fast}");
}

#[test]
fn timers_fire_at_their_time_or_later_and_never_before() {
    let (mut world, sights) = world(common::sim::Options::default(), 3);
    go(&mut world, 3_000);
    for node in 1..=3 {
        let sights = sights.borrow();
        let ticks = sights.iter().filter(|sight| sight.node == NodeId(node) && sight.what == What::Ticks);
        let at: Vec<_> = ticks.map(|sight| sight.now.monotonic).collect();
        let gaps = || at.windows(2).map(|pair| pair[1].since(pair[0]));
        assert!(gaps().all(|gap| gap >= TICK), "never early");
        assert!(gaps().any(|gap| gap > TICK), "sometimes late");
    }
}

#[test]
fn of_two_faults_of_a_sort_the_longer_one_ends_both() {
    let (mut world, sights) = world(calm(), 1);
    go(&mut world, 500);
    let faults = [
        "disk-full node=n1 for_ms=900",
        "disk-full node=n1 for_ms=100",
        "disk-slow node=n2 extra_ms=400 for_ms=900",
        "disk-slow node=n2 extra_ms=400 for_ms=100",
        "drift node=n3 ppm=-900000 for_ms=900",
        "drift node=n3 ppm=-900000 for_ms=100",
        "partition side=n1 for_ms=900",
        "partition side=n1,n2 for_ms=100",
    ];
    faults.iter().for_each(|fault| world.inflict(fault.parse().expect("a fault")));
    go(&mut world, 1_500);
    let free = when(&sights, 1, |what| what == What::IsFree);
    assert!(free.len() == 1 && free[0] >= 1_400, "{free:?}");
    let durable = |from, to| {
        let durable = when(&sights, 2, |what| what == What::IsDurable);
        durable.iter().filter(|time| (from..to).contains(*time)).count()
    };
    assert!(
        durable(700, 1_400) < 15 && durable(1_800, 2_000) > 15,
        "{}, {}",
        durable(700, 1_400),
        durable(1_800, 2_000)
    );
    let ticks = when(&sights, 2, hears(3));
    assert!(ticks.iter().filter(|time| (700..1_400).contains(*time)).count() < 10, "{ticks:?}");
    assert!(
        !any_within(&when(&sights, 2, hears(1)), 510, 1_400) && any_within(&when(&sights, 2, hears(1)), 1_400, 1_430)
    );
}

#[test]
fn a_node_joins_while_the_world_runs() {
    let (world, sights) = after("join node=n4");
    assert_eq!(when(&sights, 4, |what| matches!(what, What::Starts { records: 0 })), [500]);
    assert!(any_within(&when(&sights, 4, hears(1)), 500, 520) && any_within(&when(&sights, 1, hears(4)), 500, 520));
    assert_eq!(world.account().starts, 4);
}

#[test]
fn all_is_well_once_the_world_has_healed() {
    let (mut world, sights) = world(calm(), 1);
    let faults = [
        "crash node=n1 disk=torn for_ms=60000",
        "pause node=n2 for_ms=60000",
        "partition side=n3 for_ms=60000",
        "lossy ppm=900000 for_ms=60000",
        "duplicates ppm=900000 for_ms=60000",
        "slow extra_ms=9000 for_ms=60000",
        "drift node=n3 ppm=-900000 for_ms=60000",
        "disk-full node=n3 for_ms=60000",
        "disk-slow node=n3 extra_ms=9000 for_ms=60000",
        "crash-in-effects node=n3 effects=1000 for_ms=60000",
        "sync-fails node=n1 how=reverts",
        "write-fails node=n1",
    ];
    go(&mut world, 500);
    faults.iter().for_each(|fault| world.inflict(fault.parse().expect("a fault")));
    go(&mut world, 500);
    world.heal();
    sights.borrow_mut().clear();
    // What is on its way, late, still comes.
    go(&mut world, 20_000);
    sights.borrow_mut().clear();
    let before = world.account().clone();
    go(&mut world, 60_000);
    let account: &Account = world.account();
    let unchanged = |count: fn(&Account) -> u64| assert_eq!(count(account), count(&before));
    unchanged(|account| account.messages_lost);
    unchanged(|account| account.messages_duplicated);
    unchanged(|account| account.messages_cut);
    unchanged(|account| account.crashes);
    unchanged(|account| account.events_paused);
    unchanged(|account| account.disk_full);
    for node in 1..=3 {
        let ticks = when(&sights, node, |what| what == What::Ticks).len();
        assert!((5_990..=6_001).contains(&ticks), "n{node}: {ticks}");
    }
}

#[test]
fn every_sort_of_fault_can_be_inflicted_at_any_time_on_any_node() {
    let faults = common::sim::Profile::of(&Kind::ALL.iter().map(|kind| (*kind, 1)).collect::<Vec<_>>());
    for seed in 0..20 {
        let (mut world, _): (ProbeWorld, Sights) = world(common::sim::Options::default(), seed);
        let mut random = <common::engine::Random as rand::SeedableRng>::seed_from_u64(seed);
        let schedule = faults.draw(3, std::time::Duration::from_secs(20), &mut random);
        world.schedule(&schedule);
        go(&mut world, 20_000);
        world.heal();
        go(&mut world, 1_000);
        assert_eq!(world.broken(), None, "seed {seed}: {schedule}");
    }
}
