//! What a run did: counts of what happened, and marks of what rarely does.

use std::fmt;
use std::ops::AddAssign;

macro_rules! counts {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// How often what happened, in one run or in many: so that a test can say what an operation costs, and show that what
        /// it wanted to happen did.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Account {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl AddAssign<&Self> for Account {
            fn add_assign(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
            }
        }

        impl fmt::Display for Account {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let counts = [$((stringify!($name), self.$name),)+];
                for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
                    writeln!(f, "{count:>12} {}", name.replace('_', " "))?;
                }
                Ok(())
            }
        }
    };
}

counts! {
    /// Events that engines handled.
    events,
    /// Messages that nodes sent to nodes.
    messages,
    /// The bytes of those, as [`Engine::message_bytes`](crate::engine::Engine::message_bytes) has them.
    message_bytes,
    /// Messages that arrived, copies included.
    messages_delivered,
    /// Messages that the network lost.
    messages_lost,
    /// Messages that it delivered twice.
    messages_duplicated,
    /// Messages that a partition stopped.
    messages_cut,
    /// Messages, requests and replies that were sent to a node that was down.
    sent_to_the_dead,
    /// Requests that clients sent.
    requests,
    /// Replies that nodes sent.
    replies,
    /// Requests and replies that the network lost.
    client_messages_lost,
    /// Timers that fired.
    timers,
    /// Records that engines persisted.
    records,
    /// Syncs of logs that succeeded.
    syncs,
    /// Effects that waited for the disk.
    effects_held,
    /// Effects that waited for the disk and were lost in a crash.
    effects_lost,
    /// Jobs that were begun.
    jobs,
    /// Jobs that ended.
    jobs_done,
    /// Starts of nodes.
    starts,
    /// Starts in the middle of which the power or the disk failed.
    starts_interrupted,
    /// Starts that failed for want of a whole disk.
    starts_refused,
    /// Crashes of any kind.
    crashes,
    /// Crashes between two effects of one event.
    crashes_within_effects,
    /// Crashes in the middle of an operation of the disk.
    crashes_within_disk,
    /// Nodes that stopped themselves because their disk failed.
    disk_deaths,
    /// Pauses.
    pauses,
    /// Events that waited for the end of a pause.
    events_paused,
    /// Partitions, of both kinds.
    partitions,
    /// Changes of clocks: jumps and rates.
    clock_changes,
    /// Disks that were replaced by empty ones.
    disks_replaced,
    /// Bits that flipped on a medium.
    bits_flipped,
    /// Flushes that found the disk full.
    disk_full,
}

/// Which marks were reached, and how often. Engines reach them by [`Effects::mark`](crate::engine::Effects::mark).
///
/// **Invariants**: each mark is in the list once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks(Vec<(&'static str, u64)>);

impl Marks {
    /// Counts one.
    pub fn add(&mut self, mark: &'static str) {
        self.add_many(mark, 1);
    }

    /// How often it was reached.
    pub fn count(&self, mark: &str) -> u64 {
        self.0.iter().find(|(name, _)| *name == mark).map_or(0, |(_, count)| *count)
    }

    /// All that were reached, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().copied()
    }

    /// Those of `wanted` that never were.
    pub fn unreached<'a>(&self, wanted: &[&'a str]) -> Vec<&'a str> {
        wanted.iter().copied().filter(|mark| self.count(mark) == 0).collect()
    }

    fn add_many(&mut self, mark: &'static str, times: u64) {
        match self.0.iter_mut().find(|(name, _)| *name == mark) {
            Some((_, count)) => *count += times,
            None => self.0.push((mark, times)),
        }
    }
}

impl AddAssign<&Self> for Marks {
    fn add_assign(&mut self, other: &Self) {
        other.iter().for_each(|(mark, count)| self.add_many(mark, count));
    }
}

impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|(mark, count)| writeln!(f, "{count:>12} {mark}"))
    }
}
