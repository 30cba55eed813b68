//! What a tree lives on and with: its disk, its options, when it is asked to sync, and the rare states that it has met.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use ch03_lsm::db::{Db, Options, WriteOptions};
use ch03_lsm::engine::compaction::{Choice, Strategy};
use ch03_lsm::engine::levels::{Levels, TableId};
use ch03_lsm::error::Error;
use ch03_lsm::storage::batch::Batch;
use ch03_lsm::storage::files::WAL;
use ch03_lsm::storage::wal_recovery::Recovered;
use common::disk::log::{FILL, segments};
use common::disk::{Disk, SimDisk};

use super::DIR;
use super::bugs::{Bug, BuggyCache, BuggyDisk, BuggyStrategy};

/// How often rare states were met.
pub(crate) type Marks = BTreeMap<&'static str, u64>;

/// The rare states that matter, each of which the fixed seeds must reach.
pub(crate) const RARE: [&str; 15] = [
    "a table was moved and not written again",
    "tombstones were dropped at the bottom",
    "runs were merged at the bottom",
    "a compaction under a snapshot",
    "a writer had to write memtables out",
    "a memtable waited to be written out at a crash",
    "a crash while the directory was opened",
    "a crash lost what nobody had been promised",
    "a torn tail",
    "a log that was given up",
    "a log that was not ended has reserved space",
    "a log that was not ended has reserved space, and another one follows it",
    "a sync failed",
    "the disk was full",
    "another strategy took over",
];

/// Which writes are synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syncs {
    Never,
    Mixed,
    Always,
}

pub(crate) const SYNCS: [Syncs; 3] = [Syncs::Never, Syncs::Mixed, Syncs::Always];

impl Syncs {
    /// Whether a write is synced that is to be in a mixture.
    pub(crate) fn of(self, mixed: bool) -> bool {
        match self {
            Self::Never => false,
            Self::Mixed => mixed,
            Self::Always => true,
        }
    }
}

/// What a tree lives on and with.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) sim: SimDisk,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) syncs: Syncs,
    bug: Option<Bug>,
    marks: Arc<Mutex<Marks>>,
    has_snapshots: Arc<AtomicBool>,
    /// Whether the strategy of the last opening was size-tiered.
    was_tiered: Mutex<Option<bool>>,
}

impl Setting {
    pub(crate) fn new(sim: &SimDisk, syncs: Syncs, bug: Option<Bug>) -> Self {
        let disk: Arc<dyn Disk> = match bug {
            Some(bug) => Arc::new(BuggyDisk { inner: sim.clone(), bug }),
            None => Arc::new(sim.clone()),
        };
        Self {
            sim: sim.clone(),
            disk,
            syncs,
            bug,
            marks: Arc::default(),
            has_snapshots: Arc::default(),
            was_tiered: Mutex::default(),
        }
    }

    /// The options of the simulation, under watch, or with a bug.
    pub(crate) fn options(&self, salt: u64) -> Options {
        let mut options = super::options(salt);
        let (marks, has_snapshots) = (Arc::clone(&self.marks), Arc::clone(&self.has_snapshots));
        options.strategy = Arc::new(Watched { inner: options.strategy, marks, has_snapshots });
        if let Some(bug) = self.bug {
            options.strategy = Arc::new(BuggyStrategy { inner: options.strategy, bug });
            if matches!(bug, Bug::CacheForgetsTheTable | Bug::CacheForgetsTheOffset) {
                options.cache = Arc::new(BuggyCache { blocks: Mutex::default(), bug });
            }
        }
        options
    }

    pub(crate) fn open(&self, salt: u64) -> Result<Db, Error> {
        let logs = segments(&self.sim, Path::new(DIR), WAL).unwrap_or_default();
        let waiting = logs.len();
        let reserved: Vec<bool> = logs
            .iter()
            .map(|(_, path)| self.sim.cached(path).is_some_and(|bytes| bytes.ends_with(&[FILL; 8])))
            .collect();
        self.mark(reserved.last() == Some(&true), "a log that was not ended has reserved space");
        let is_followed = reserved.iter().rev().skip(1).any(|is_reserved| *is_reserved);
        self.mark(is_followed, "a log that was not ended has reserved space, and another one follows it");
        let opened = Db::open(&self.disk, Path::new(DIR), self.options(salt));
        self.mark(self.sim.is_power_lost(), "a crash while the directory was opened");
        let (db, recovered) = opened?;
        let before = self.was_tiered.lock().expect("nobody panics with it").replace(super::is_tiered(salt));
        self.mark(before.is_some_and(|before| before != super::is_tiered(salt)), "another strategy took over");
        self.note_recovery(&recovered, waiting);
        Ok(db)
    }

    pub(crate) fn write(&self, db: &Db, batch: Batch, sync: bool) -> Result<(), Error> {
        let level0 = db.stats().levels[0].tables;
        if self.bug == Some(Bug::BatchInTwo) && batch.len() > 1 {
            let mut halves = [Batch::new(), Batch::new()];
            for (at, write) in batch.writes().enumerate() {
                let write = write?;
                let half = &mut halves[usize::from(at > 0)];
                match write.kind {
                    ch03_lsm::engine::key::Kind::Put => half.put(write.key, write.value)?,
                    ch03_lsm::engine::key::Kind::DeleteRange => half.delete_range(write.key, write.value)?,
                    ch03_lsm::engine::key::Kind::Delete => half.delete(write.key)?,
                }
            }
            return halves.into_iter().try_for_each(|half| db.write(half, WriteOptions { sync }));
        }
        db.write(batch, WriteOptions { sync })?;
        self.mark(db.stats().levels[0].tables > level0, "a writer had to write memtables out");
        Ok(())
    }

    /// Takes note of whether there are snapshots now.
    pub(crate) fn snapshots(&self, are_there: bool) {
        self.has_snapshots.store(are_there, Ordering::Relaxed);
    }

    pub(crate) fn mark(&self, is_met: bool, what: &'static str) {
        assert!(RARE.contains(&what), "{what} is not among the rare states");
        if is_met {
            *self.marks.lock().expect("nobody panics with it").entry(what).or_default() += 1;
        }
    }

    pub(crate) fn marks(&self) -> Marks {
        self.marks.lock().expect("nobody panics with it").clone()
    }

    fn note_recovery(&self, recovered: &Recovered, waiting: usize) {
        self.mark(recovered.torn.is_some(), "a torn tail");
        self.mark(!recovered.given_up.is_empty(), "a log that was given up");
        self.mark(waiting > 1 && recovered.batches > 0, "a memtable waited to be written out at a crash");
    }
}

/// A strategy whose choices are noted.
#[derive(Debug)]
struct Watched {
    inner: Arc<dyn Strategy>,
    marks: Arc<Mutex<Marks>>,
    has_snapshots: Arc<AtomicBool>,
}

impl Strategy for Watched {
    fn choose(&self, levels: &Levels, busy: &BTreeSet<TableId>) -> Choice {
        let choice = self.inner.choose(levels, busy);
        let mut marks = self.marks.lock().expect("nobody panics with it");
        let mut mark = |what| *marks.entry(what).or_default() += 1;
        match &choice {
            Choice::Move { .. } => mark("a table was moved and not written again"),
            Choice::Merge(merge) if merge.is_bottom => {
                let is_input = |id| merge.inputs.iter().any(|(_, input)| *input == id);
                let mut inputs = levels.iter().flatten().filter(|table| is_input(table.id));
                if inputs.any(|table| table.tombstones > 0) {
                    mark("tombstones were dropped at the bottom");
                }
                if merge.to == 0 {
                    mark("runs were merged at the bottom");
                }
            }
            _ => {}
        }
        if matches!(choice, Choice::Merge(_)) && self.has_snapshots.load(Ordering::Relaxed) {
            mark("a compaction under a snapshot");
        }
        choice
    }

    fn debt_bytes(&self, levels: &Levels) -> u64 {
        self.inner.debt_bytes(levels)
    }
}
