//! What a scene keeps of response times: every one of them, and the histogram that the `percentiles` organ makes of them.

use std::time::Duration;

use common::load::Recorder;

use crate::engine::percentiles::{Histogram, nearest_rank};

/// The percentiles that are shown, with their names.
pub(super) const SHOWN: [(&str, f64); 4] = [("p50", 50.0), ("p95", 95.0), ("p99", 99.0), ("p99.9", 99.9)];

/// Response times in nanoseconds, kept in both ways.
#[derive(Debug, Default)]
pub(super) struct Samples {
    /// All of them, in the order in which they came.
    pub(super) nanos: Vec<u64>,
    /// What a server that runs for months would keep.
    pub(super) histogram: Histogram,
}

impl Recorder for Samples {
    fn record(&mut self, nanos: u64) {
        self.nanos.push(nanos);
        self.histogram.record(nanos);
    }
}

impl Samples {
    /// Keeps a time.
    pub(super) fn add(&mut self, time: Duration) {
        self.record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// What the histogram says. Zero when nothing was recorded.
    pub(super) fn percentile(&self, percentile: f64) -> Duration {
        Duration::from_nanos(self.histogram.value_at(percentile).unwrap_or(0))
    }

    /// What the sorted list of all of them says.
    pub(super) fn exact(&self, percentile: f64) -> Duration {
        let mut sorted = self.nanos.clone();
        sorted.sort_unstable();
        Duration::from_nanos(nearest_rank(&sorted, percentile).unwrap_or(0))
    }

    pub(super) fn mean(&self) -> Duration {
        Duration::from_nanos(self.histogram.mean().unwrap_or(0.0) as u64)
    }

    pub(super) fn max(&self) -> Duration {
        Duration::from_nanos(self.histogram.max().unwrap_or(0))
    }

    /// Which share of them took longer than `limit`.
    pub(super) fn share_above(&self, limit: Duration) -> f64 {
        let above = self.count_above(limit);
        above as f64 / self.nanos.len().max(1) as f64
    }

    /// How many of them took longer than `limit`.
    pub(super) fn count_above(&self, limit: Duration) -> usize {
        self.nanos.iter().filter(|nanos| u128::from(**nanos) > limit.as_nanos()).count()
    }
}

/// A bar's value, where that is a time in nanoseconds.
pub(super) fn as_duration(nanos: f64) -> String {
    common::cli::human::duration(Duration::from_nanos(nanos as u64))
}
