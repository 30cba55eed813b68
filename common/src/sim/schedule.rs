//! Nemesis schedules: what goes wrong, and when, as a list that can be drawn, printed, read again and shortened.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use rand::RngExt;

use super::faults::{Fault, FaultError, Kind, NodeSet, Survival, SyncFailure};
use crate::engine::{NodeId, Random};

/// A fault and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    /// When, in milliseconds from the beginning of the world.
    pub at_ms: u64,
    /// What.
    pub fault: Fault,
}

/// What goes wrong in a run. As text: one fault a line, or several with `;` between them.
///
/// **Invariants**: in the order of time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schedule(Vec<Timed>);

/// What schedules are drawn from.
#[derive(Debug, Clone)]
pub struct Profile {
    /// How long nothing happens between the beginnings of two faults.
    pub gap: RangeInclusive<Duration>,
    /// How long a fault lasts.
    pub lasts: RangeInclusive<Duration>,
    /// Which sorts there are, and how often each is drawn in proportion to the others. None: nothing goes wrong.
    pub kinds: Vec<(Kind, u32)>,
    /// By how many millionths a clock that drifts may go wrong, and by how many milliseconds one that jumps.
    pub drift_ppm: i64,
    /// See above.
    pub jump_ms: i64,
}

impl Profile {
    /// Nothing goes wrong.
    pub fn calm() -> Self {
        Self::of(&[])
    }

    /// The network fails.
    pub fn network() -> Self {
        Self::of(&[
            (Kind::Partition, 4),
            (Kind::OneWay, 4),
            (Kind::Lossy, 2),
            (Kind::Duplicates, 1),
            (Kind::Slow, 2),
            (Kind::Pause, 2),
        ])
    }

    /// Nodes crash.
    pub fn crashes() -> Self {
        Self::of(&[(Kind::Crash, 4), (Kind::CrashInEffects, 4), (Kind::CrashInDisk, 2), (Kind::Pause, 1)])
    }

    /// Disks fail, without losing what they had promised to keep.
    pub fn disks() -> Self {
        Self::of(&[
            (Kind::SyncFails, 2),
            (Kind::WriteFails, 2),
            (Kind::DiskFull, 2),
            (Kind::DiskSlow, 2),
            (Kind::Crash, 2),
            (Kind::CrashInDisk, 2),
        ])
    }

    /// Clocks do.
    pub fn clocks() -> Self {
        Self::of(&[(Kind::WallJump, 2), (Kind::Drift, 2), (Kind::Pause, 1), (Kind::Partition, 1)])
    }

    /// All of it, but for what takes data away: bits that flip and disks that are replaced, which a protocol survives only
    /// if it was made for that; and nodes that join, which has to be told the others.
    pub fn everything() -> Self {
        let parts = [Self::network(), Self::crashes(), Self::disks(), Self::clocks()];
        Self::of(&parts.into_iter().flat_map(|profile| profile.kinds).collect::<Vec<_>>())
    }

    /// Those of `kinds`.
    pub fn of(kinds: &[(Kind, u32)]) -> Self {
        Self {
            gap: Duration::from_millis(50)..=Duration::from_millis(1500),
            lasts: Duration::from_millis(20)..=Duration::from_millis(2000),
            kinds: kinds.to_vec(),
            drift_ppm: 200,
            jump_ms: 10_000,
        }
    }

    /// The same for one seed: about half of the sorts and none of the others, more densely or less, for longer or shorter. What
    /// takes many of a kind is met so, and what happens only where something else does not (Groce et al., "Swarm Testing",
    /// 2012).
    #[must_use]
    pub fn vary(&self, random: &mut Random) -> Self {
        let kept: Vec<(Kind, u32)> = self.kinds.iter().copied().filter(|_| random.random()).collect();
        let mut scale = |range: &RangeInclusive<Duration>| {
            let eighths = [1, 4, 8, 16][random.random_range(0..4)];
            *range.start() * eighths / 8..=*range.end() * eighths / 8
        };
        Self {
            gap: scale(&self.gap),
            lasts: scale(&self.lasts),
            kinds: if kept.is_empty() { self.kinds.clone() } else { kept },
            ..*self
        }
    }

    /// Draws a schedule for a world of so many nodes, up to `end`.
    pub fn draw(&self, nodes: u64, end: Duration, random: &mut Random) -> Schedule {
        let mut timed = Vec::new();
        let total: u32 = self.kinds.iter().map(|(_, weight)| weight).sum();
        let mut at = random.random_range(Duration::ZERO..=*self.gap.end());
        while total > 0 && at < end {
            let mut drawn = random.random_range(0..total);
            let kind = self.kinds.iter().find(|(_, weight)| {
                let is_it = drawn < *weight;
                drawn = drawn.saturating_sub(*weight);
                is_it
            });
            let (kind, _) = kind.expect("what is drawn is less than the sum");
            timed.push(Timed { at_ms: at.as_millis() as u64, fault: self.draw_fault(*kind, nodes, random) });
            at += random.random_range(self.gap.clone());
        }
        Schedule(timed)
    }

    fn draw_fault(&self, kind: Kind, nodes: u64, random: &mut Random) -> Fault {
        let node = NodeId(random.random_range(1..=nodes));
        let for_ms = random.random_range(self.lasts.clone()).as_millis() as u64;
        let everyone = u64::MAX >> (64 - nodes);
        match kind {
            Kind::Crash => {
                let disk = [Survival::Torn, Survival::Torn, Survival::Lost, Survival::Kept][random.random_range(0..4)];
                Fault::Crash { node, disk, for_ms }
            }
            Kind::CrashInEffects => Fault::CrashInEffects { node, effects: random.random_range(0..12), for_ms },
            Kind::CrashInDisk => Fault::CrashInDisk { node, operation: random.random_range(1..=12), for_ms },
            Kind::Pause => Fault::Pause { node, for_ms },
            Kind::Partition => {
                // As often one alone as any other split.
                let alone = 1 << (node.0 - 1);
                let side = if random.random() { alone } else { random.random_range(1..=everyone.max(2) - 1) };
                Fault::Partition { side: NodeSet::from_bits(side), for_ms }
            }
            Kind::OneWay => {
                let alone = 1 << (node.0 - 1);
                let drawn = random.random_range(1..=everyone) & !alone;
                let others = NodeSet::from_bits(if drawn == 0 { everyone & !alone } else { drawn });
                let alone = NodeSet::from_bits(alone);
                let (from, to) = if random.random() { (alone, others) } else { (others, alone) };
                Fault::OneWay { from, to, for_ms }
            }
            Kind::Lossy => Fault::Lossy { ppm: random.random_range(10_000..=500_000), for_ms },
            Kind::Duplicates => Fault::Duplicates { ppm: random.random_range(10_000..=500_000), for_ms },
            Kind::Slow => Fault::Slow { extra_ms: random.random_range(10..=500), for_ms },
            Kind::WallJump => Fault::WallJump { node, by_ms: random.random_range(-self.jump_ms..=self.jump_ms) },
            Kind::Drift => Fault::Drift { node, ppm: random.random_range(-self.drift_ppm..=self.drift_ppm), for_ms },
            Kind::SyncFails => {
                let how = if random.random() { SyncFailure::Reverts } else { SyncFailure::Forgets };
                Fault::SyncFails { node, how }
            }
            Kind::WriteFails => Fault::WriteFails { node },
            Kind::DiskFull => Fault::DiskFull { node, for_ms },
            Kind::DiskSlow => Fault::DiskSlow { node, extra_ms: random.random_range(5..=500), for_ms },
            Kind::BitRot => Fault::BitRot { node },
            Kind::Join => Fault::Join { node: NodeId(nodes + node.0) },
            Kind::Replace => Fault::Replace { node, for_ms },
        }
    }
}

impl Schedule {
    /// Puts faults into the order of time.
    pub fn new(mut faults: Vec<Timed>) -> Self {
        faults.sort_by_key(|timed| timed.at_ms);
        Self(faults)
    }

    /// The faults, in the order of time.
    pub fn faults(&self) -> &[Timed] {
        &self.0
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing goes wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes away as many faults as it can, such that `fails` still says so of what is left: first halves, then smaller
    /// parts, then single ones (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002), asking at
    /// most `tries` times.
    ///
    /// That a part fails by itself is for `fails` to find out by running it: a world without a fault goes another way
    /// altogether, so that there is no telling from the run that was seen.
    #[must_use]
    pub fn shrink(&self, mut tries: usize, mut fails: impl FnMut(&Self) -> bool) -> Self {
        let mut best = self.0.clone();
        let mut part = best.len().div_ceil(2);
        while part > 0 && tries > 0 {
            let mut begin = 0;
            let mut has_shrunk = false;
            while begin < best.len() && tries > 0 {
                let end = (begin + part).min(best.len());
                let without: Vec<Timed> = best[..begin].iter().chain(&best[end..]).cloned().collect();
                tries -= 1;
                let without = Self(without);
                if fails(&without) {
                    best = without.0;
                    has_shrunk = true;
                } else {
                    begin = end;
                }
            }
            // Single faults are tried again until each is needed: one can be dispensable once another is gone.
            part = if part > 1 { part.div_ceil(2) } else { usize::from(has_shrunk) };
        }
        Self(best)
    }
}

impl fmt::Display for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms {}", self.at_ms, self.fault)
    }
}

impl FromStr for Timed {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let no_time = || FaultError::Time(text.trim().to_owned());
        let (time, fault) = text.trim().split_once(' ').ok_or_else(no_time)?;
        let at_ms = time.strip_suffix("ms").and_then(|number| number.parse().ok()).ok_or_else(no_time)?;
        Ok(Self { at_ms, fault: fault.parse()? })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, timed) in self.0.iter().enumerate() {
            write!(f, "{}{timed}", if index > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

impl FromStr for Schedule {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let lines = text.split([';', '\n']).filter(|line| !line.trim().is_empty());
        Ok(Self::new(lines.map(str::parse).collect::<Result<_, _>>()?))
    }
}
