//! What makes things go wrong: the beginnings and ends of faults.

use std::path::{Path, PathBuf};

use rand::RngExt;
use rand::seq::SliceRandom;

use super::super::client::Client;
use super::super::faults::Fault;
use super::{Happening, MILLI, World, index};
use crate::disk::{Crash, Disk, Fault as DiskFault, Operation, SimDisk};
use crate::engine::{Boot, NodeId};

impl<B: Boot, C: Client<B::Engine>> World<B, C> {
    /// Ends all that goes wrong: networks heal, disks have room and work, who was paused or down goes on, clocks go as they
    /// did. What was scheduled for later does not happen. What a disk has lost is lost.
    pub fn heal(&mut self) {
        self.trace.add(self.time, format_args!("ALL IS WELL from here on"));
        self.faults.fill(None);
        self.links.heal();
        for node in 0..self.machines.len() {
            let machine = &mut self.machines[node];
            machine.disk.set_capacity(None);
            machine.disk.cancel_faults();
            machine.is_armed = false;
            machine.full_until = 0;
            machine.extra_disk_ns = 0;
            machine.slow_until = 0;
            machine.drifts_until = 0;
            machine.crash_in_effects = None;
            self.set_drift(node, None);
            let machine = &mut self.machines[node];
            if machine.paused_until > self.time {
                machine.paused_until = self.time;
                self.queue.push(self.time, Happening::Resume { node });
            }
            if machine.restart_at.is_some() {
                machine.restart_at = Some(self.time);
                self.queue.push(self.time, Happening::Restart { node });
            }
        }
    }

    pub(super) fn begin_fault(&mut self, number: usize) {
        let Some(fault) = self.faults[number].clone() else { return };
        self.trace.add(self.time, format_args!("FAULT {fault}"));
        self.digest.add(fault.kind() as u64);
        let ends_after_ms = match fault {
            Fault::Crash { node, disk, for_ms } => {
                if let Some(node) = self.victim(node) {
                    self.crash(node, disk.crash(), ns(for_ms));
                }
                return;
            }
            Fault::CrashInEffects { node, effects, for_ms } => {
                if let Some(node) = self.victim(node) {
                    self.machines[node].crash_in_effects = Some((effects, ns(for_ms)));
                }
                return;
            }
            Fault::CrashInDisk { node, operation, for_ms } => {
                if let Some(machine) = self.machines.get_mut(index(node)) {
                    machine.down_ns = ns(for_ms);
                    machine.disk.crash_at(operation.max(1));
                }
                return;
            }
            Fault::Pause { node, for_ms } => {
                if let Some(node) = self.victim(node) {
                    let until = self.until(for_ms).max(self.machines[node].paused_until);
                    self.account.pauses += 1;
                    self.machines[node].paused_until = until;
                    self.queue.push(until, Happening::Resume { node });
                }
                return;
            }
            Fault::WallJump { node, by_ms } => {
                if let Some(machine) = self.machines.get_mut(index(node)) {
                    self.account.clock_changes += 1;
                    machine.clock.jump(by_ms.saturating_mul(MILLI as i64));
                }
                return;
            }
            Fault::SyncFails { node, how } => return self.arm(node, Operation::Sync, how.fault()),
            Fault::WriteFails { node } => return self.arm(node, Operation::Write, DiskFault::Eio),
            Fault::BitRot { node } => {
                if let Some(machine) = self.machines.get_mut(index(node))
                    && flip_any_bit(&machine.disk, &mut self.random)
                {
                    machine.is_rotten = true;
                    self.account.bits_flipped += 1;
                }
                return;
            }
            Fault::Join { node } => {
                while self.machines.len() <= index(node) {
                    self.add_machine();
                }
                if !self.machines[index(node)].is_member {
                    self.start(index(node));
                }
                return;
            }
            Fault::Replace { node, for_ms } => {
                if self.machines.get(index(node)).is_some_and(|machine| machine.is_member) {
                    self.crash(index(node), Crash::LoseAll, ns(for_ms));
                    let machine = &mut self.machines[index(node)];
                    machine.disk = SimDisk::new(self.random.random());
                    machine.is_rotten = false;
                    machine.full_until = 0;
                    self.account.disks_replaced += 1;
                }
                return;
            }
            Fault::Partition { side, for_ms } => {
                self.account.partitions += 1;
                self.links.cut(side.bits(), !side.bits(), true);
                self.links.cut(!side.bits(), side.bits(), true);
                for_ms
            }
            Fault::OneWay { from, to, for_ms } => {
                self.account.partitions += 1;
                self.links.cut(from.bits(), to.bits(), true);
                for_ms
            }
            Fault::Lossy { ppm, for_ms } => {
                self.links.extra_loss_ppm += ppm;
                for_ms
            }
            Fault::Duplicates { ppm, for_ms } => {
                self.links.extra_duplicate_ppm += ppm;
                for_ms
            }
            Fault::Slow { extra_ms, for_ms } => {
                self.links.extra_latency_ns += ns(extra_ms);
                for_ms
            }
            Fault::Drift { node, ppm, for_ms } => {
                if index(node) < self.machines.len() {
                    let until = self.until(for_ms).max(self.machines[index(node)].drifts_until);
                    self.machines[index(node)].drifts_until = until;
                    self.set_drift(index(node), Some(ppm));
                }
                for_ms
            }
            Fault::DiskFull { node, for_ms } => {
                let until = self.until(for_ms);
                if let Some(machine) = self.machines.get_mut(index(node)) {
                    machine.full_until = machine.full_until.max(until);
                    machine.disk.set_capacity(Some(machine.disk.used_bytes()));
                }
                for_ms
            }
            Fault::DiskSlow { node, extra_ms, for_ms } => {
                let until = self.until(for_ms);
                if let Some(machine) = self.machines.get_mut(index(node)) {
                    machine.extra_disk_ns = ns(extra_ms);
                    machine.slow_until = machine.slow_until.max(until);
                }
                for_ms
            }
        };
        self.queue.push(self.until(ends_after_ms), Happening::FaultEnds(number));
    }

    /// The end of what lasts so long from now on.
    fn until(&self, for_ms: u64) -> u64 {
        self.time.saturating_add(ns(for_ms))
    }

    /// The end of a fault: unless another one of the sort lasts longer.
    pub(super) fn end_fault(&mut self, number: usize) {
        let Some(fault) = self.faults[number].clone() else { return };
        self.trace.add(self.time, format_args!("ENDS {fault}"));
        match fault {
            Fault::Partition { side, .. } => {
                self.links.cut(side.bits(), !side.bits(), false);
                self.links.cut(!side.bits(), side.bits(), false);
            }
            Fault::OneWay { from, to, .. } => self.links.cut(from.bits(), to.bits(), false),
            Fault::Lossy { ppm, .. } => self.links.extra_loss_ppm -= ppm,
            Fault::Duplicates { ppm, .. } => self.links.extra_duplicate_ppm -= ppm,
            Fault::Slow { extra_ms, .. } => self.links.extra_latency_ns -= ns(extra_ms),
            Fault::Drift { node, .. } => {
                if self.machines.get(index(node)).is_some_and(|machine| machine.drifts_until <= self.time) {
                    self.set_drift(index(node), None);
                }
            }
            Fault::DiskFull { node, .. } => {
                if let Some(machine) = self.machines.get_mut(index(node))
                    && machine.full_until <= self.time
                {
                    machine.disk.set_capacity(None);
                }
            }
            Fault::DiskSlow { node, .. } => {
                if let Some(machine) = self.machines.get_mut(index(node))
                    && machine.slow_until <= self.time
                {
                    machine.extra_disk_ns = 0;
                }
            }
            _ => unreachable!("only faults that last have an end"),
        }
    }

    /// The end of a pause: all that has come meanwhile is handled, in any order.
    pub(super) fn resume(&mut self, node: usize) {
        let machine = &mut self.machines[node];
        if machine.paused_until == self.time {
            machine.paused_until = 0;
            machine.backlog.shuffle(&mut self.random);
            for happening in machine.backlog.drain(..) {
                if let (Happening::Timer { timer, .. }, Some(process)) = (&happening, &mut machine.process) {
                    process.timers.delay(*timer, self.time);
                }
                self.queue.push(self.time, happening);
            }
        }
    }

    /// The place of a node that is up.
    fn victim(&self, node: NodeId) -> Option<usize> {
        self.machines.get(index(node)).is_some_and(|machine| machine.process.is_some()).then(|| index(node))
    }

    fn arm(&mut self, node: NodeId, operation: Operation, fault: DiskFault) {
        if let Some(machine) = self.machines.get_mut(index(node)) {
            machine.is_armed = true;
            machine.disk.fail_nth(operation, 1, fault);
        }
    }

    /// Lets the clocks of a node go `ppm` millionths too fast, or as they did at the beginning.
    fn set_drift(&mut self, node: usize, ppm: Option<i64>) {
        let machine = &mut self.machines[node];
        self.account.clock_changes += u64::from(ppm.is_some());
        let ppm = ppm.unwrap_or(machine.drift_ppm);
        machine.clock.set_drift(self.time, ppm);
        let incarnation = machine.incarnation;
        let Some(process) = &mut machine.process else { return };
        // What is queued for the timers was computed at another rate.
        for (timer, due) in process.timers.requeue(&machine.clock, self.time) {
            self.queue.push(due, Happening::Timer { node, incarnation, timer });
        }
    }
}

/// So many milliseconds in nanoseconds.
fn ns(millis: u64) -> u64 {
    millis.saturating_mul(MILLI)
}

/// Flips one bit of what a disk holds. Whether it had any.
fn flip_any_bit(disk: &SimDisk, random: &mut crate::engine::Random) -> bool {
    let mut files = Vec::new();
    find_files(disk, Path::new("/"), &mut files);
    files.retain(|(_, len)| *len > 0);
    let Some((path, len)) = (!files.is_empty()).then(|| files.swap_remove(random.random_range(0..files.len()))) else {
        return false;
    };
    disk.flip_bit(path, random.random_range(0..len * 8)).is_ok()
}

fn find_files(disk: &SimDisk, directory: &Path, found: &mut Vec<(PathBuf, u64)>) {
    for path in disk.list(directory).unwrap_or_default() {
        match disk.durable(&path) {
            Some(bytes) => found.push((path, bytes.len() as u64)),
            None => find_files(disk, &path, found),
        }
    }
}
