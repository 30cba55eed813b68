//! The faults that have to do with a node's disk: crashes, and disks that fail, fill up, slow down, rot and are replaced.

use common::engine::NodeId;

use crate::faults::hears;
use crate::probe::{Message, Sights, What, after, any_within, calm, go, when, world};

/// What `by` was told by `from` to be durable, sorted.
fn promised(sights: &Sights, by: u64, from: u64) -> Vec<u64> {
    let sights = sights.borrow();
    let heard = sights.iter().filter(|sight| sight.node == NodeId(by)).filter_map(|sight| match sight.what {
        What::Hears { from: sender, message: Message::Waits(number) } if sender == NodeId(from) => Some(number),
        _ => None,
    });
    let mut heard: Vec<u64> = heard.collect();
    heard.sort_unstable();
    heard
}

#[test]
fn a_crash_takes_a_node_away_and_brings_it_back_with_what_was_durable() {
    let (world, sights) = after("crash node=n2 disk=lost for_ms=700");
    let heard = when(&sights, 1, hears(2));
    assert!(!any_within(&heard, 510, 1_200), "{heard:?}");
    assert!(any_within(&heard, 1_200, 1_300));
    let starts = when(&sights, 2, |what| matches!(what, What::Starts { .. }));
    assert_eq!(starts, [1_200]);
    let sight = sights.borrow().iter().find(|sight| matches!(sight.what, What::Starts { .. })).copied();
    // At 500 ms it had persisted 49 or 50 records; the last may not have been durable.
    assert!(matches!(sight.expect("it starts").what, What::Starts { records: 48..=50 }));
    assert_eq!((world.account().crashes, world.account().starts), (1, 4));
    assert!(world.account().sent_to_the_dead > 100);
}

#[test]
fn a_crash_leaves_of_unsynced_writes_none_or_all_or_some() {
    let survivors = |disk: &str| -> Vec<u64> {
        let survivors = (0..60).map(|seed| {
            let mut options = calm();
            options.sync.usual = std::time::Duration::from_secs(3)..=std::time::Duration::from_secs(3);
            options.nodes = 1;
            let (mut world, sights) = world(options, seed);
            go(&mut world, 100);
            world.inflict(format!("crash node=n1 disk={disk} for_ms=1").parse().expect("a fault"));
            go(&mut world, 5);
            let sights = sights.borrow();
            let mut starts = sights.iter().filter_map(|sight| match sight.what {
                What::Starts { records } => Some(records),
                _ => None,
            });
            starts.next_back().expect("it starts again")
        });
        survivors.collect()
    };
    // One record is being synced; the others had not been written.
    let (lost, kept, torn) = (survivors("lost"), survivors("kept"), survivors("torn"));
    assert!(kept.iter().all(|records| *records == 1), "{kept:?}");
    // A sync that was in flight may have come to its end, which nobody was told of.
    for some in [lost, torn] {
        assert!(some.contains(&0) && some.contains(&1), "{some:?}");
    }
}

#[test]
fn the_power_fails_in_the_middle_of_an_operation_of_the_disk() {
    for operation in 1..=16 {
        let (mut world, _) = world(calm(), operation);
        go(&mut world, 55);
        let crash = format!("crash-in-disk node=n1 operation={operation} for_ms=100");
        world.inflict(crash.parse().expect("a fault"));
        go(&mut world, 95);
        assert_eq!(world.account().crashes_within_disk, 1, "operation {operation}");
        // And in the middle of a recovery.
        go(&mut world, 100);
        world.inflict("crash node=n1 disk=torn for_ms=50".parse().expect("a fault"));
        world.inflict("crash-in-disk node=n1 operation=1 for_ms=20".parse().expect("a fault"));
        go(&mut world, 60);
        assert_eq!((world.account().crashes_within_disk, world.account().starts_interrupted), (2, 1));
        go(&mut world, 400);
        assert!(world.engine(NodeId(1)).is_some(), "operation {operation}");
    }
}

#[test]
fn a_disk_fails_in_the_middle_of_a_recovery() {
    for fault in ["sync-fails node=n1 how=reverts", "sync-fails node=n1 how=forgets", "write-fails node=n1"] {
        let (mut world, sights) = world(calm(), 1);
        go(&mut world, 500);
        world.inflict("crash node=n1 disk=kept for_ms=50".parse().expect("a fault"));
        world.inflict(fault.parse().expect("a fault"));
        go(&mut world, 1_000);
        let account = world.account();
        assert_eq!((account.starts_interrupted, account.disk_deaths, account.starts), (1, 1, 4), "{fault}");
        let starts = when(&sights, 1, |what| matches!(what, What::Starts { records: 48..=50 }));
        assert_eq!(starts.len(), 1, "what was durable is there after all: {fault}");
        assert_eq!(world.broken(), None);
    }
}

#[test]
fn a_failed_sync_or_write_stops_the_node_which_starts_again() {
    for fault in ["sync-fails node=n1 how=reverts", "sync-fails node=n1 how=forgets", "write-fails node=n1"] {
        let (world, sights) = after(fault);
        assert_eq!((world.account().disk_deaths, world.account().crashes), (1, 1), "{fault}");
        let starts = when(&sights, 1, |what| matches!(what, What::Starts { .. }));
        assert_eq!(starts.len(), 1, "{fault}");
        // What was said to be durable is: also after what the page cache has forgotten.
        let said = promised(&sights, 2, 1);
        assert!(said.last().is_some_and(|number| *number > 100), "it goes on");
    }
}

#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    let (world, sights) = after("disk-full node=n1 for_ms=500");
    let full = when(&sights, 1, |what| what == What::IsFull);
    let free = when(&sights, 1, |what| what == What::IsFree);
    assert_eq!((full.len(), free.len()), (1, 1));
    assert!((500..=515).contains(&full[0]) && (1_000..=1_030).contains(&free[0]), "{full:?}, {free:?}");
    let durable = when(&sights, 1, |what| what == What::IsDurable);
    assert!(!any_within(&durable, 530, 1_000), "positions stay where they are");
    let waits = promised(&sights, 2, 1);
    assert!(waits.windows(2).all(|pair| pair[1] == pair[0] + 1) && waits.len() > 190, "all of it comes: {waits:?}");
    assert!(world.account().disk_full > 10 && world.account().crashes == 0);
}

#[test]
fn a_slow_disk_holds_up_what_waits_for_it_and_nothing_else() {
    let (world, sights) = after("disk-slow node=n1 extra_ms=400 for_ms=1900");
    let syncs = when(&sights, 1, |what| what == What::IsDurable).len();
    let usual = when(&sights, 2, |what| what == What::IsDurable).len();
    assert!(syncs < 40 && usual > 150, "{syncs}, {usual}");
    assert!(when(&sights, 2, hears(1)).len() > 190, "what waits for nothing goes at once");
    assert_eq!(world.account().crashes, 0);
}

#[test]
fn bits_rot_and_a_node_may_refuse_to_start_then() {
    let (mut world, _) = after("bit-rot node=n1");
    assert_eq!(world.account().bits_flipped, 1);
    world.inflict("crash node=n1 disk=lost for_ms=10".parse().expect("a fault"));
    go(&mut world, 1_000);
    // One of two hundred records is damaged: with this seed, one that is followed by a hundred others.
    assert_eq!(world.account().starts_refused, 1);
    assert!(world.engine(NodeId(1)).is_none() && world.broken().is_none());
}

#[test]
fn a_replaced_node_has_lost_everything() {
    let (_, sights) = after("replace node=n2 for_ms=100");
    assert_eq!(when(&sights, 2, |what| what == What::Starts { records: 0 }), [600]);
}
