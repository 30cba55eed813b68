//! What is kept of a million response times: a histogram, from which percentiles are read.
//!
//! A mean says nothing about how long users waited, and means of percentiles say nothing at all: to combine the response
//! times of several clients or machines one adds their histograms (DDIA ch. 1, "Describing Performance").

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer};

/// The longest time that is told apart from longer ones, in nanoseconds: an hour. A longer one counts as this.
const MAX_NANOS: u64 = 3_600_000_000_000;

/// Significant decimal digits that are kept: a percentile is off by at most one in a thousand, and the histogram takes
/// about 270 KiB.
const DIGITS: u8 = 3;

/// The most samples that a correction adds for one response. Beyond it the samples are spread thinner, which bounds the
/// time that one stall of an hour against an interval of a nanosecond can take.
const MAX_FILL: u64 = 1_000_000;

/// Keeps response times.
pub trait Recorder {
    /// Keeps one, in nanoseconds.
    fn record(&mut self, nanos: u64);

    /// Keeps one of a client that should have sent a request every `expected_interval` nanoseconds, and could not while it
    /// waited: with it the times that those requests would have seen, had they been sent. This is Gil Tene's correction
    /// for coordinated omission. It assumes that the server served nobody during the wait.
    fn record_corrected(&mut self, nanos: u64, expected_interval: u64) {
        self.record(nanos);
        let interval = expected_interval.max(nanos / MAX_FILL).max(1);
        let mut missing = nanos.saturating_sub(interval);
        while missing >= interval {
            self.record(missing);
            missing -= interval;
        }
    }
}

/// A recorder in bounded memory (an HDR histogram): three significant digits, up to an hour.
#[derive(Debug, Clone)]
pub struct Latencies {
    histogram: Histogram<u64>,
}

/// The response times of a run in a few numbers. As JSON, durations are whole nanoseconds and their keys end in `_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// How many responses.
    pub count: u64,
    /// Responses a second.
    pub throughput: f64,
    /// The mean, to compute with; not a response time that anybody saw.
    #[serde(rename = "mean_ns", serialize_with = "nanos")]
    pub mean: Duration,
    /// Half of the responses took at most this.
    #[serde(rename = "p50_ns", serialize_with = "nanos")]
    pub p50: Duration,
    /// 95 of 100 took at most this.
    #[serde(rename = "p95_ns", serialize_with = "nanos")]
    pub p95: Duration,
    /// 99 of 100 took at most this.
    #[serde(rename = "p99_ns", serialize_with = "nanos")]
    pub p99: Duration,
    /// 999 of 1000 took at most this.
    #[serde(rename = "p999_ns", serialize_with = "nanos")]
    pub p999: Duration,
    /// The longest.
    #[serde(rename = "max_ns", serialize_with = "nanos")]
    pub max: Duration,
}

impl Recorder for Latencies {
    fn record(&mut self, nanos: u64) {
        self.histogram.saturating_record(nanos.clamp(1, MAX_NANOS));
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

impl Latencies {
    /// An empty one.
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, MAX_NANOS, DIGITS).expect("the bounds are in order");
        Self { histogram }
    }

    /// How many response times there are.
    pub fn len(&self) -> u64 {
        self.histogram.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.histogram.is_empty()
    }

    /// Adds those of another: the one right way to combine percentiles.
    pub fn add(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("all histograms have the same bounds");
    }

    /// The smallest kept time that a share of `quantile` (0 to 1) of all does not exceed. Zero without any.
    pub fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_nanos(self.histogram.value_at_quantile(quantile))
    }

    /// How many took at most each of the bounds, as a Prometheus histogram counts.
    pub fn cumulative(&self, bounds: &[Duration]) -> Vec<u64> {
        let nanos = |bound: &Duration| u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX).min(MAX_NANOS);
        bounds.iter().map(|bound| self.histogram.count_between(0, nanos(bound))).collect()
    }

    /// The sum of all, as near as the histogram knows it.
    pub fn sum(&self) -> Duration {
        Duration::from_secs_f64(self.histogram.mean() * self.histogram.len() as f64 / 1e9)
    }

    /// The summary of a run that took `elapsed`.
    pub fn summary(&self, elapsed: Duration) -> Summary {
        let count = self.histogram.len();
        let secs = elapsed.as_secs_f64();
        Summary {
            count,
            throughput: if secs > 0.0 { count as f64 / secs } else { 0.0 },
            mean: Duration::from_nanos(self.histogram.mean().round() as u64),
            p50: self.quantile(0.5),
            p95: self.quantile(0.95),
            p99: self.quantile(0.99),
            p999: self.quantile(0.999),
            max: Duration::from_nanos(self.histogram.max()),
        }
    }
}

fn nanos<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}
