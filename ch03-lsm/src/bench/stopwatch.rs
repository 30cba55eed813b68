//! The stopwatch: what is added to every operation of every engine, alike and as little as can be.

use std::time::Instant;

use common::cli::Progress;
use common::load::{Latencies, Recorder};

/// After how many operations the progress is shown.
const SHOW_EVERY: u64 = 1024;

/// Takes the times of operations that follow each other.
pub struct Stopwatch {
    latencies: Latencies,
    /// One of how many is timed.
    every: u64,
    before: Instant,
    progress: Progress,
}

impl Stopwatch {
    /// For so many operations, of which one in `every` is timed.
    pub fn new(operations: u64, every: u64, what: &str) -> Self {
        let progress = Progress::new(Some(operations), what);
        Self { latencies: Latencies::new(), every: every.max(1), before: Instant::now(), progress }
    }

    /// The first operation begins.
    pub fn start(&mut self) -> Instant {
        self.before = Instant::now();
        self.before
    }

    /// So many operations are done.
    #[inline]
    pub fn done(&mut self, operations: u64) {
        if self.every == 1 {
            let now = Instant::now();
            self.latencies.record((now - self.before).as_nanos() as u64);
            self.before = now;
        } else {
            match operations % self.every {
                0 => self.latencies.record(self.before.elapsed().as_nanos() as u64),
                rest if rest == self.every - 1 => self.before = Instant::now(),
                _ => {}
            }
        }
        if operations.is_multiple_of(SHOW_EVERY) {
            self.progress.set(operations);
        }
    }

    /// What they took.
    pub fn into_latencies(self) -> Latencies {
        self.latencies
    }
}
