//! The threads that a journal has in life, played by the harness: each job is done when a test says so, and some are done wrong.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use ch01_kv::engine::durability::Lsn;
use ch01_kv::storage::jobs::{Done, Job, Jobs};

use super::bugs::Bug;

/// What the threads of a journal are to do and have done, in the harness's own order.
#[derive(Debug, Default)]
pub(crate) struct Bench {
    syncs: VecDeque<Job>,
    steps: VecDeque<Job>,
    done: VecDeque<Done>,
    bug: Option<Bug>,
    /// How far the log has been recorded.
    pub(crate) recorded: u64,
    /// How far a sync that ran on a disk that does as it says has succeeded.
    pub(crate) synced: u64,
    pub(crate) failed_syncs: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Threads(pub(crate) Rc<RefCell<Bench>>);

impl Jobs for Threads {
    fn submit(&mut self, job: Job) {
        let mut bench = self.0.borrow_mut();
        if matches!(job, Job::Sync(..)) { bench.syncs.push_back(job) } else { bench.steps.push_back(job) }
    }

    fn done(&mut self) -> Option<Done> {
        self.0.borrow_mut().done.pop_front()
    }

    fn wait(&mut self) -> Done {
        let mut bench = self.0.borrow_mut();
        if bench.done.is_empty() && !bench.run_sync() {
            assert!(bench.run_step(), "there is nothing to wait for");
        }
        bench.done.pop_front().expect("a job has been done")
    }
}

impl Bench {
    pub(crate) fn new(bug: Option<Bug>) -> Self {
        Self { bug, ..Self::default() }
    }

    /// Does the next sync; false when there is none.
    pub(crate) fn run_sync(&mut self) -> bool {
        let Some(Job::Sync(point, position)) = self.syncs.pop_front() else { return false };
        let result = match self.bug {
            Some(Bug::FailedSyncCalledGood) => point.run().or(Ok(())),
            Some(Bug::FailedSyncTriedAgain) => point.run().or_else(|_| point.run()),
            Some(Bug::SyncReportedBeforeItRan) => Ok(()),
            _ => point.run(),
        };
        match &result {
            Ok(()) => self.synced = self.synced.max(position.0),
            Err(_) => self.failed_syncs += 1,
        }
        let claimed = if self.bug == Some(Bug::SyncClaimsMoreThanItCovered) { Lsn(self.recorded) } else { position };
        self.done.push_back(Done::Sync(point, claimed, result));
        true
    }

    /// Does the next step of a rewrite; false when there is none.
    pub(crate) fn run_step(&mut self) -> bool {
        let Some(job) = self.steps.pop_front() else { return false };
        self.done.push_back(match (job, self.bug) {
            (Job::AddGroup(rewrite, _), Some(Bug::SnapshotPartLost)) => Done::Rewrite(Ok(rewrite), None),
            (Job::CopyTail { rewrite, to, .. }, Some(Bug::TailNotCopied)) => Done::Rewrite(Ok(rewrite), Some(to)),
            (job, _) => job.run(),
        });
        true
    }
}
