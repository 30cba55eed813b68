//! One node of a world: its machine, which stays, and the process on it, which comes and goes.

use rand::RngExt;

use super::clock::Clock;
use super::timers::Timers;
use super::world::Happening;
use crate::disk::SimDisk;
use crate::engine::{Boot, Effect, Engine, Lsn, NodeId, Random, Storage, Work};

type JobWork<B> = <<B as Boot>::Storage as Storage>::JobWork;

/// A machine.
///
/// **Invariants**: what is scheduled for a process names its `incarnation`, and is nothing to another one.
pub(super) struct Machine<B: Boot> {
    pub(super) id: NodeId,
    pub(super) disk: SimDisk,
    pub(super) clock: Clock,
    pub(super) incarnation: u32,
    pub(super) process: Option<Process<B>>,
    /// Whether it was ever started: those that join later are not at first.
    pub(super) is_member: bool,
    /// When it is to start again, if it is down.
    pub(super) restart_at: Option<u64>,
    /// Until when the process stands still.
    pub(super) paused_until: u64,
    /// What has come meanwhile.
    pub(super) backlog: Vec<Happening<B::Engine>>,
    /// A crash that waits: after so many effects, to be down for so many nanoseconds.
    pub(super) crash_in_effects: Option<(u64, u64)>,
    /// How long it is down after a crash in an operation of its disk.
    pub(super) down_ns: u64,
    /// What its syncs and jobs take on top, at most, and until when.
    pub(super) extra_disk_ns: u64,
    pub(super) slow_until: u64,
    /// Whether its medium has been tampered with: it may refuse to start.
    pub(super) is_rotten: bool,
    /// Whether an operation of its disk is going to fail.
    pub(super) is_armed: bool,
    /// Until when there is no room.
    pub(super) full_until: u64,
    /// How its clocks go when nothing is wrong with them, and until when something is.
    pub(super) drift_ppm: i64,
    pub(super) drifts_until: u64,
}

/// A process.
///
/// **Invariants**: `durable <= flushed <= persisted`; everything in `held` waits for more than `durable`; there is a sync in
/// flight if `flushed > durable`.
pub(super) struct Process<B: Boot> {
    pub(super) engine: B::Engine,
    pub(super) storage: B::Storage,
    pub(super) persisted: Lsn,
    pub(super) flushed: Lsn,
    pub(super) durable: Lsn,
    pub(super) sync: Option<<B::Storage as Storage>::Sync>,
    pub(super) held: Vec<Effect<B::Engine>>,
    pub(super) timers: Timers<<B::Engine as Engine>::Timer>,
    /// The jobs that were begun, by a number that does not come again.
    pub(super) jobs: Vec<(u64, Job<B>)>,
    pub(super) is_disk_full: bool,
}

/// A job that was begun: its work is done at some time before the engine hears of it.
pub(super) enum Job<B: Boot> {
    Begun(JobWork<B>),
    Done(<JobWork<B> as Work>::Output),
}

impl<B: Boot> Machine<B> {
    /// A machine that is off.
    pub(super) fn new(id: NodeId, disk: SimDisk, clock: Clock, drift_ppm: i64) -> Self {
        Self {
            id,
            disk,
            clock,
            incarnation: 0,
            process: None,
            is_member: false,
            restart_at: None,
            paused_until: 0,
            backlog: Vec::new(),
            crash_in_effects: None,
            down_ns: 0,
            extra_disk_ns: 0,
            slow_until: 0,
            is_rotten: false,
            is_armed: false,
            full_until: 0,
            drift_ppm,
            drifts_until: 0,
        }
    }
}

impl<B: Boot> Process<B> {
    /// A process that was just started.
    pub(super) fn new(engine: B::Engine, storage: B::Storage) -> Self {
        Self {
            engine,
            storage,
            persisted: Lsn::NOTHING,
            flushed: Lsn::NOTHING,
            durable: Lsn::NOTHING,
            sync: None,
            held: Vec::new(),
            timers: Timers::new(),
            jobs: Vec::new(),
            is_disk_full: false,
        }
    }

    /// What happens to the work in flight when the power fails: each piece may have come to its end, or to its middle, which
    /// nobody hears of any more.
    pub(super) fn abandon(self, disk: &SimDisk, random: &mut Random) {
        for (_, job) in self.jobs {
            if let Job::Begun(work) = job
                && random.random()
            {
                disk.crash_at(random.random_range(1..16));
                // Whoever would have been told is gone.
                drop(work.run());
            }
        }
        if let Some(sync) = self.sync
            && random.random()
        {
            drop(sync.run());
        }
    }
}

/// Puts a list of effects into another order that the contract allows: records keep theirs among themselves, and so do the
/// settings of timers; everything else may be anywhere.
pub(super) fn permute<E: Engine>(effects: &mut Vec<Effect<E>>, random: &mut Random) {
    let is_ordered = |effect: &Effect<E>| match effect {
        Effect::Persist { .. } | Effect::SetTimer { .. } | Effect::CancelTimer { .. } => true,
        Effect::Send { .. } | Effect::Reply { .. } | Effect::Job { .. } | Effect::Mark(_) => false,
    };
    let (ordered, mut free): (Vec<_>, Vec<_>) = effects.drain(..).partition(is_ordered);
    let mut ordered = ordered.into_iter().peekable();
    loop {
        let left = ordered.len() + free.len();
        if left == 0 {
            return;
        }
        if random.random_range(0..left) < free.len() {
            let drawn = random.random_range(0..free.len());
            effects.push(free.swap_remove(drawn));
        } else {
            effects.extend(ordered.next());
        }
    }
}
