//! Committing: writers are served in groups, by the first of them.
//!
//! A write to the log takes about as long for one batch as for many, and a sync does even more so. So while one writer is at
//! the log, those who come meanwhile wait in a queue, and the next one takes all of their batches along: with one
//! `write` and one sync for all (DDIA ch. 3, "Making B-trees reliable", on why there is a log at all; the shape is
//! LevelDB's).

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use common::disk::log::{RECORD_MAX_BYTES, SegmentHeader, SegmentWriter};

use super::options::Options;
use super::view::{Mem, View};
use super::{Inner, Work};
use crate::engine::key::Seq;
use crate::error::Error;
use crate::storage::batch::{Batch, BatchError};
use crate::storage::files::WAL;
use crate::sync::{Condvar, Mutex, MutexGuard};

/// How many bytes a group takes along at most: who waits for a sync should not wait for a long write as well.
const GROUP_BYTES: usize = 1 << 20;

/// How much of a log is reserved at a time when writes are synced, in bytes: a step costs as much as a few syncs, and serves for
/// more than a thousand small ones. No more than what a memtable takes: what a log is long by, roughly.
const RESERVED_BYTES: usize = 256 << 10;

/// How long a write waits while level 0 is too full.
const SLOWDOWN: Duration = Duration::from_millis(1);

/// The writers' queue, and the log.
#[derive(Debug)]
pub(super) struct Commits {
    queue: Mutex<Queue>,
    log: Mutex<WalWriter>,
}

#[derive(Debug, Default)]
struct Queue {
    is_led: bool,
    waiting: VecDeque<Arc<Waiter>>,
}

/// A writer that waits.
#[derive(Debug)]
struct Waiter {
    sync: bool,
    turn: Mutex<Turn>,
    wake: Condvar,
}

#[derive(Debug)]
enum Turn {
    Waits(Batch),
    Leads(Batch),
    Done(Result<(), Error>),
    Taken,
}

/// The log that is written, and those before it that hold what may not be durable.
#[derive(Debug)]
struct WalWriter {
    log: SegmentWriter,
    older: Vec<SegmentWriter>,
}

impl WalWriter {
    /// Makes everything durable that was ever written: a prefix without a hole.
    fn sync(&mut self) -> Result<(), Error> {
        self.finish_older()?;
        Ok(self.log.sync()?)
    }

    /// Ends the logs that are not written any more. Not as the next one is begun: that would cost a sync where nobody has
    /// asked for one.
    fn finish_older(&mut self) -> Result<(), Error> {
        for mut log in self.older.drain(..) {
            log.finish()?;
        }
        Ok(())
    }
}

impl Commits {
    pub(super) fn new(log: SegmentWriter) -> Self {
        Self { queue: Mutex::default(), log: Mutex::new(WalWriter { log, older: Vec::new() }) }
    }

    /// Forgets logs that were to be synced: what they hold is in tables.
    pub(super) fn forget_older(&self) {
        self.log.lock().expect("no thread panics with it").older.clear();
    }

    /// Whether to lead now, with the batch back; or how it ended, as somebody else did it.
    pub(super) fn join(&self, batch: Batch, sync: bool) -> Result<Batch, Result<(), Error>> {
        let mut queue = self.queue.lock().expect("no thread panics with it");
        if !queue.is_led {
            queue.is_led = true;
            return Ok(batch);
        }
        let waiter = Arc::new(Waiter { sync, turn: Mutex::new(Turn::Waits(batch)), wake: Condvar::new() });
        queue.waiting.push_back(Arc::clone(&waiter));
        drop(queue);
        let mut turn = waiter.turn.lock().expect("no thread panics with it");
        loop {
            match std::mem::replace(&mut *turn, Turn::Taken) {
                Turn::Leads(batch) => return Ok(batch),
                Turn::Done(result) => return Err(result),
                waits => {
                    *turn = waits;
                    turn = waiter.wake.wait(turn).expect("no thread panics with it");
                }
            }
        }
    }

    /// Those who go along with the one who leads.
    fn group(&self, mut sync: bool, mut bytes: usize) -> (Vec<(Arc<Waiter>, Batch)>, bool) {
        let mut queue = self.queue.lock().expect("no thread panics with it");
        let mut group = Vec::new();
        while bytes < GROUP_BYTES
            && let Some(waiter) = queue.waiting.pop_front()
        {
            let mut turn = waiter.turn.lock().expect("no thread panics with it");
            let Turn::Waits(batch) = std::mem::replace(&mut *turn, Turn::Taken) else {
                unreachable!("who is in the queue waits")
            };
            drop(turn);
            bytes += batch.len_bytes();
            sync |= waiter.sync;
            group.push((waiter, batch));
        }
        (group, sync)
    }

    /// Lets the next one lead.
    pub(super) fn hand_over(&self) {
        let mut queue = self.queue.lock().expect("no thread panics with it");
        let Some(next) = queue.waiting.pop_front() else {
            queue.is_led = false;
            return;
        };
        drop(queue);
        let mut turn = next.turn.lock().expect("no thread panics with it");
        if let Turn::Waits(batch) = std::mem::replace(&mut *turn, Turn::Taken) {
            *turn = Turn::Leads(batch);
        }
        next.wake.notify_one();
    }
}

impl Inner {
    pub(super) fn commit(&self, batch: Batch, sync: bool) -> Result<(), Error> {
        // Alone: those who would go along with it have done nothing wrong.
        if batch.len_bytes() > RECORD_MAX_BYTES {
            return Err(BatchError::TooLong(batch.len_bytes()).into());
        }
        let own = match self.commits.join(batch, sync) {
            Ok(own) => own,
            Err(result) => return result,
        };
        let (mut group, sync) = self.commits.group(sync, own.len_bytes());
        let mut batches: Vec<Batch> =
            std::iter::once(own).chain(group.iter_mut().map(|(_, batch)| std::mem::take(batch))).collect();
        let result = self.make_room(false).and_then(|()| self.commit_group(&mut batches, sync));
        for (waiter, _) in group {
            *waiter.turn.lock().expect("no thread panics with it") = Turn::Done(result.clone());
            waiter.wake.notify_one();
        }
        self.commits.hand_over();
        result
    }

    /// Writes the batches to the log, then to the memtable, then lets readers see them.
    fn commit_group(&self, batches: &mut [Batch], sync: bool) -> Result<(), Error> {
        let mut wal = self.commits.log.lock().expect("no thread panics with it");
        let first = Seq(self.seq().0 + 1);
        let mut next = first;
        let begin = wal.log.end();
        let written = (|| {
            for batch in batches.iter_mut().filter(|batch| !batch.is_empty()) {
                self.counters.user_bytes.add(batch.len_bytes() as u64);
                wal.log.append(batch.record(next))?;
                next.0 += batch.len() as u64;
            }
            if sync { wal.sync() } else { Ok(wal.log.write()?) }
        })();
        if let Err(error) = written {
            // What the log holds now is unknown: nothing may be added behind it. (Who begins a memtable takes `work` first, and
            // the log then.)
            drop(wal);
            self.fails(&error);
            return Err(error);
        }
        self.counters.wal_bytes.add(wal.log.end() - begin);
        let view = self.view();
        let mut seq = first;
        for write in batches.iter().flat_map(Batch::writes) {
            let write = write?;
            view.memtable.insert(write, seq, Seq(first.0 - 1));
            seq.0 += 1;
        }
        self.seq.store(next.0 - 1, Ordering::Release);
        Ok(())
    }

    /// Makes sure that the memtable can take a group: waits for those who write them out, and begins another one.
    fn make_room(&self, is_forced: bool) -> Result<(), Error> {
        if !is_forced && self.has_room() {
            return Ok(());
        }
        let (mut is_slowed, mut stopped_at) = (false, None);
        let clock = &self.options.clock;
        let goes_on = |stopped_at: Option<Duration>| {
            if let Some(stopped_at) = stopped_at {
                self.counters.stops.add(1);
                self.counters.stopped_ns.add(clock.now().saturating_sub(stopped_at).as_nanos() as u64);
            }
        };
        loop {
            // The lock first: who changes the view holds it, so that nobody is waited for who was done a moment ago.
            let mut work = self.work();
            Self::check(&work)?;
            let view = self.view();
            let level0 = view.version.levels.level(0).len();
            let debt_bytes = self.debt_bytes.load(Ordering::Relaxed);
            let is_slow = level0 >= self.options.level0_slowdown || debt_bytes >= self.options.debt_slowdown_bytes;
            let is_stopped = level0 >= self.options.level0_stop || debt_bytes >= self.options.debt_stop_bytes;
            let is_full = view.memtable.used_bytes() >= self.options.memtable_bytes;
            if !is_slowed && is_slow && !is_stopped && self.options.threads > 0 {
                is_slowed = true;
                drop(work);
                let begin = clock.now();
                self.pace.pause(SLOWDOWN);
                self.counters.slowdowns.add(1);
                self.counters.slowed_down_ns.add(clock.now().saturating_sub(begin).as_nanos() as u64);
            } else if !is_full && (!is_forced || view.memtable.is_empty()) {
                goes_on(stopped_at);
                return Ok(());
            } else if (view.immutables.len() >= self.options.immutable_memtables || is_stopped)
                && self.is_at_work(&work)
            {
                stopped_at = stopped_at.or_else(|| Some(clock.now()));
                self.wait_for_progress(work)?;
            } else {
                goes_on(stopped_at);
                self.begin_memtable(&mut work)?;
                self.progress.notify_all();
                return Ok(());
            }
        }
    }

    /// Whether a group can go on without a look at what is at work: so that nobody waits for a sync of the manifest.
    fn has_room(&self) -> bool {
        let view = self.view();
        !self.has_failed.load(Ordering::Acquire)
            && view.memtable.used_bytes() < self.options.memtable_bytes
            && view.version.levels.level(0).len() < self.options.level0_slowdown.min(self.options.level0_stop)
            && self.debt_bytes.load(Ordering::Relaxed)
                < self.options.debt_slowdown_bytes.min(self.options.debt_stop_bytes)
    }

    /// Begins a memtable, with a log of its own.
    pub(super) fn begin_memtable(&self, work: &mut Work) -> Result<(), Error> {
        let mut wal = self.commits.log.lock().expect("no thread panics with it");
        let number = self.next_file();
        let durable = wal.log.durable();
        let made = self.create_wal(number, durable);
        let log = match made {
            Ok(log) => log,
            Err(error) => {
                self.set_failed(work, &error);
                return Err(error);
            }
        };
        let before = std::mem::replace(&mut wal.log, log);
        // Of the logs before that one, those are needed whose memtables are not tables yet.
        let needed = self.view().immutables.last().map_or(u64::MAX, |oldest| oldest.wal);
        wal.older.retain(|log| WAL.number(log.path()).is_some_and(|number| number >= needed));
        wal.older.push(before);
        drop(wal);
        self.set_view(|view| {
            let mut immutables = vec![Arc::clone(&view.memtable)];
            immutables.extend(view.immutables.iter().cloned());
            let memtable = Arc::new(Mem::new(number));
            View { memtable, immutables, version: Arc::clone(&view.version) }
        });
        Ok(())
    }

    pub(super) fn create_wal(&self, number: u64, prior_durable_bytes: u64) -> Result<SegmentWriter, Error> {
        create_wal(&*self.disk, &self.dir, number, &self.options, prior_durable_bytes)
    }

    pub(super) fn flush(&self) -> Result<(), Error> {
        // Whoever is taken along by another has not led.
        while let Err(result) = self.commits.join(Batch::new(), false) {
            result?;
        }
        // What is written from here on is not meant: under steady writing there is always a memtable that waits.
        let newest = self.view().memtable.wal;
        let result = self.make_room(true);
        self.commits.hand_over();
        result?;
        loop {
            let work = self.work();
            Self::check(&work)?;
            if self.view().immutables.iter().all(|mem| mem.wal > newest) {
                return Ok(());
            }
            self.wait_for_progress(work)?;
        }
    }

    /// Waits until something has been done: by threads of the tree's own, by another caller, or by this one.
    pub(super) fn wait_for_progress(&self, work: MutexGuard<'_, Work>) -> Result<(), Error> {
        let is_done_by_others = work.is_flushing || !work.busy.is_empty();
        if self.options.threads == 0 && !(is_done_by_others && self.is_idle(&work)) {
            drop(work);
            self.work_once()?;
        } else {
            drop(self.progress.wait(work).unwrap_or_else(PoisonError::into_inner));
        }
        Ok(())
    }

    pub(super) fn close(&self) -> Result<(), Error> {
        Self::check(&self.work())?;
        let mut wal = self.commits.log.lock().expect("no thread panics with it");
        wal.finish_older()?;
        wal.log.seal()?;
        drop(wal);
        self.work().manifest.seal()?;
        Ok(())
    }
}

/// Creates a write-ahead log whose name is durable.
pub(super) fn create_wal(
    disk: &dyn common::disk::Disk,
    dir: &std::path::Path,
    number: u64,
    options: &Options,
    prior_durable_bytes: u64,
) -> Result<SegmentWriter, Error> {
    let header = SegmentHeader { number, salt: options.salt.wrapping_add(number), prior_durable_bytes };
    let path = WAL.path(dir, number);
    let log = SegmentWriter::create(disk, &path, header).inspect_err(|_| {
        // Whether it is there or not is all the same to who recovers.
        let _: std::io::Result<()> = disk.remove(&path);
    })?;
    disk.sync_dir(dir).map_err(Error::io("sync", dir))?;
    Ok(log.reserving(RESERVED_BYTES.min(options.memtable_bytes) as u64))
}
