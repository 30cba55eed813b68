//! Starts, crashes, syncs and jobs: what has to do with the disks of a world.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};

use super::super::checker::Violation;
use super::super::client::Client;
use super::super::node::{Job, Process};
use super::{Happening, World};
use crate::disk::Crash;
use crate::engine::{Boot, Engine, Event, Failure, Random, Storage, Work};

/// How soon a flush is tried again that found the disk full, in nanoseconds: soon after there is room.
const RETRY_FLUSH_NS: u64 = 20_000_000;

/// How soon a node starts again that has stopped itself, in nanoseconds: somebody is watching it.
const RESTART_NS: std::ops::Range<u64> = 10_000_000..500_000_000;

impl<B: Boot, C: Client<B::Engine>> World<B, C> {
    /// Starts a node from its disk.
    pub(super) fn start(&mut self, node: usize) {
        let seed = self.random.random();
        // A monotonic clock begins anywhere: whoever has written a moment down finds that it means nothing any more.
        let begin = self.random.random_range(0..1 << 40);
        let machine = &mut self.machines[node];
        machine.incarnation += 1;
        machine.is_member = true;
        machine.restart_at = None;
        machine.clock.restart(self.time, begin);
        let booted = self.boot.boot(machine.id, Arc::new(machine.disk.clone()), Random::seed_from_u64(seed));
        if machine.disk.is_power_lost() {
            self.disk_fails(node);
            return;
        }
        match booted {
            Ok((engine, storage)) => {
                self.account.starts += 1;
                machine.process = Some(Process::new(engine, storage));
                self.handle(node, Event::Start);
            }
            Err(error) => {
                self.trace.add(self.time, format_args!("{} does not start: {error}", machine.id));
                if machine.is_rotten {
                    self.account.starts_refused += 1;
                } else if machine.is_armed || machine.full_until > self.time {
                    self.disk_fails(node);
                } else {
                    let seen = format!("{} does not start: {error}", machine.id);
                    self.broken = Some(Violation::new("a node starts from its own disk", seen));
                }
            }
        }
    }

    /// The power of a node fails, or its process dies, for so many nanoseconds.
    pub(super) fn crash(&mut self, node: usize, how: Crash, down_ns: u64) {
        let machine = &mut self.machines[node];
        self.account.crashes += 1;
        self.acted = None;
        self.digest.add(machine.id.0 << 8 | how as u64);
        self.trace.add(self.time, format_args!("{} CRASHES ({how:?})", machine.id));
        if let Some(process) = machine.process.take() {
            self.account.effects_lost += process.held.len() as u64;
            process.abandon(&machine.disk, &mut self.random);
        }
        machine.disk.crash(how);
        machine.is_armed = false;
        machine.incarnation += 1;
        machine.backlog.clear();
        machine.paused_until = 0;
        machine.crash_in_effects = None;
        let at = self.time.saturating_add(down_ns.max(1));
        machine.restart_at = Some(at);
        self.queue.push(at, Happening::Restart { node });
    }

    /// The disk of a node has failed it: in a power failure, or with an error after which the process stops itself.
    pub(super) fn disk_fails(&mut self, node: usize) {
        let machine = &self.machines[node];
        self.account.starts_interrupted += u64::from(machine.process.is_none());
        if machine.disk.is_power_lost() {
            self.account.crashes_within_disk += 1;
            self.crash(node, Crash::Random, machine.down_ns);
        } else {
            self.account.disk_deaths += 1;
            let down_ns = self.random.random_range(RESTART_NS);
            // The machine stays up, and its page cache with what a failed sync has left there.
            self.crash(node, Crash::KeepAll, down_ns);
        }
    }

    /// Writes what was appended, unless a sync is in flight: the next one then covers it.
    pub(super) fn flush(&mut self, node: usize, is_retry: bool) {
        let machine = &mut self.machines[node];
        let Some(process) = &mut machine.process else { return };
        let has_nothing_to_do = process.sync.is_some() || process.flushed == process.persisted;
        if has_nothing_to_do || (process.is_disk_full && !is_retry) {
            return;
        }
        let incarnation = machine.incarnation;
        let flushed = process.storage.flush();
        if self.has_lost_power(node) {
            return;
        }
        let machine = &mut self.machines[node];
        let Some(process) = &mut machine.process else { return };
        match flushed {
            Ok(sync) => {
                process.sync = Some(sync);
                process.flushed = process.persisted;
                let takes = self.syncs.draw(machine.extra_disk_ns, &mut self.random);
                self.queue.push(self.time + takes, Happening::Synced { node, incarnation });
                self.disk_is_full(node, false);
            }
            Err(Failure::Full(_)) => {
                self.account.disk_full += 1;
                self.queue.push(self.time + RETRY_FLUSH_NS, Happening::RetryFlush { node, incarnation });
                self.disk_is_full(node, true);
            }
            Err(Failure::Fatal(error)) => {
                self.trace.add(self.time, format_args!("{} cannot write: {error}", machine.id));
                self.disk_fails(node);
            }
        }
    }

    pub(super) fn sync_ends(&mut self, node: usize) {
        let machine = &mut self.machines[node];
        let Some(process) = &mut machine.process else { return };
        let sync = process.sync.take().expect("what ends has begun");
        if let Err(error) = sync.run() {
            self.trace.add(self.time, format_args!("{} cannot sync: {error}", machine.id));
            self.disk_fails(node);
            return;
        }
        process.storage.synced();
        process.durable = process.flushed;
        let durable = Event::Durable(process.durable);
        if self.has_lost_power(node) {
            return;
        }
        self.account.syncs += 1;
        // Which comes first is not promised.
        if self.random.random() {
            self.release(node);
            self.tell_running(node, durable);
        } else {
            self.tell_running(node, durable);
            self.release(node);
        }
        self.flush(node, false);
    }

    pub(super) fn begin_job(&mut self, node: usize, job: <B::Engine as Engine>::Job) {
        let machine = &mut self.machines[node];
        let Some(process) = &mut machine.process else { return };
        self.account.jobs += 1;
        self.jobs += 1;
        let (job, incarnation, work) = (self.jobs, machine.incarnation, process.storage.begin(job));
        process.jobs.push((job, Job::Begun(work)));
        let takes = self.job_works.draw(machine.extra_disk_ns, &mut self.random);
        // What it does to the disk is done long before anybody hears of it, or just then.
        let runs = if self.random.random() { takes } else { self.random.random_range(0..=takes) };
        self.queue.push(self.time + runs, Happening::JobRuns { node, incarnation, job });
        self.queue.push(self.time + takes, Happening::JobEnds { node, incarnation, job });
        self.has_lost_power(node);
    }

    /// Does the work of a job. Whether the node lives on.
    pub(super) fn job_runs(&mut self, node: usize, job: u64) -> bool {
        let machine = &mut self.machines[node];
        let Some(process) = &mut machine.process else { return false };
        // After a pause, its end may have come first.
        let Some(at) = process.jobs.iter().position(|(number, _)| *number == job) else { return true };
        let work = match process.jobs.swap_remove(at) {
            (_, Job::Begun(work)) => work,
            done => {
                process.jobs.push(done);
                return true;
            }
        };
        match work.run() {
            Ok(output) => {
                process.jobs.push((job, Job::Done(output)));
                !self.has_lost_power(node)
            }
            Err(error) => {
                self.trace.add(self.time, format_args!("{} cannot do a job: {error}", machine.id));
                self.disk_fails(node);
                false
            }
        }
    }

    pub(super) fn job_ends(&mut self, node: usize, job: u64) {
        if !self.job_runs(node, job) {
            return;
        }
        let Some(process) = &mut self.machines[node].process else { return };
        let at = process.jobs.iter().position(|(number, _)| *number == job).expect("a job ends once");
        let (_, Job::Done(output)) = process.jobs.swap_remove(at) else { unreachable!("its work was done") };
        let done = process.storage.finish(output);
        if self.has_lost_power(node) {
            return;
        }
        self.account.jobs_done += 1;
        self.tell_running(node, Event::Done(done));
    }

    /// Whether the power has failed in the middle of what the storage did just now, whether it has noticed or not: then the
    /// node is down.
    fn has_lost_power(&mut self, node: usize) -> bool {
        let is_lost = self.machines[node].disk.is_power_lost();
        if is_lost {
            self.disk_fails(node);
        }
        is_lost
    }

    /// Tells a node something that comes from its own process, unless a crash has come in between.
    fn tell_running(&mut self, node: usize, event: Event<B::Engine>) {
        if self.machines[node].process.is_some() {
            self.handle(node, event);
        }
    }

    fn disk_is_full(&mut self, node: usize, is_full: bool) {
        let Some(process) = &mut self.machines[node].process else { return };
        if std::mem::replace(&mut process.is_disk_full, is_full) != is_full {
            self.handle(node, if is_full { Event::DiskFull } else { Event::DiskFree });
        }
    }
}
