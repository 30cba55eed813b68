//! Metrics in Prometheus' text format, version 0.0.4.
//!
//! ```text
//! # HELP kv_commands_total Commands executed.        one HELP and one TYPE a family, then all of its samples
//! # TYPE kv_commands_total counter
//! kv_commands_total{command="get"} 12
//! # TYPE kv_request_seconds histogram
//! kv_request_seconds_bucket{le="0.001"} 8            cumulative: each bucket holds those below it
//! kv_request_seconds_bucket{le="+Inf"} 9
//! kv_request_seconds_sum 0.0123
//! kv_request_seconds_count 9
//! ```
//!
//! An engine counts in plain integers that it owns; when it is asked, it writes them into a [`Metrics`]. There is no
//! global registry and nothing atomic on the hot path.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::load::process;

/// The labels of a sample: names and values.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// The most samples of one family: labels made from user data (a key, a client's address) grow without bound, and each of
/// their values costs every Prometheus that reads them memory. What is more is dropped, and the drop is reported.
const MAX_SAMPLES: usize = 10_000;

/// A family that the drops are reported in.
const DROPPED: &str = "admin_dropped_samples_total";

/// A set of metric families.
///
/// **Invariants**: a family's name occurs once; within a family, no two samples have the same labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    families: Vec<FamilyData>,
    dropped: u64,
}

#[derive(Debug, Clone, PartialEq)]
struct FamilyData {
    name: String,
    help: String,
    kind: Kind,
    /// By labels, sorted: the output does not depend on the order in which they were written.
    samples: BTreeMap<Vec<(String, String)>, Sample>,
}

#[derive(Debug, Clone, PartialEq)]
enum Sample {
    Number(Number),
    Histogram(Buckets),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A value: whole numbers stay whole, durations become seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A count.
    Whole(u64),
    /// Anything else.
    Real(f64),
}

/// A distribution, counted in buckets as it comes in.
///
/// **Invariants**: the bounds ascend; `counts` has one more entry than `bounds`, for what exceeds them all.
#[derive(Debug, Clone, PartialEq)]
pub struct Buckets {
    bounds: Vec<f64>,
    counts: Vec<u64>,
    sum: f64,
}

/// One family while its samples are written.
pub struct Family<'a> {
    data: &'a mut FamilyData,
    dropped: &'a mut u64,
}

impl Metrics {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// A value that only grows, until a restart.
    ///
    /// # Panics
    ///
    /// When the name is not a counter's (it ends in `_total`), or is another family's.
    pub fn counter(&mut self, name: &str, help: &str) -> Family<'_> {
        assert!(name.ends_with("_total"), "counter {name:?} must end in _total");
        self.family(name, help, Kind::Counter)
    }

    /// A value that goes up and down.
    ///
    /// # Panics
    ///
    /// When the name is not a metric's, or is another family's.
    pub fn gauge(&mut self, name: &str, help: &str) -> Family<'_> {
        assert!(!name.ends_with("_total"), "gauge {name:?} must not be named like a counter");
        self.family(name, help, Kind::Gauge)
    }

    /// A distribution.
    ///
    /// # Panics
    ///
    /// When the name is not a metric's, or is another family's.
    pub fn histogram(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, help, Kind::Histogram)
    }

    /// Adds this process' own use of the machine, under Prometheus' standard names. Nothing where the system does not tell.
    pub fn process(&mut self) {
        if let Some(usage) = process::usage(std::process::id()) {
            self.counter("process_cpu_seconds_total", "Processor time in user and kernel mode.").value(usage.cpu);
            self.gauge("process_resident_memory_bytes", "Resident memory.").value(usage.rss_bytes);
        }
    }

    /// The text of `/metrics`.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for family in &self.families {
            family.render(&mut text);
        }
        if self.dropped > 0 {
            let help = "Samples left out of families that have too many label values.";
            let mut own = Self::new();
            own.counter(DROPPED, help).value(self.dropped);
            own.families[0].render(&mut text);
        }
        text
    }

    fn family(&mut self, name: &str, help: &str, kind: Kind) -> Family<'_> {
        assert!(is_name(name, true), "{name:?} is not a metric's name");
        let index = self.families.iter().position(|family| family.name == name).unwrap_or_else(|| {
            let (name, help) = (name.to_owned(), help.to_owned());
            self.families.push(FamilyData { name, help, kind, samples: BTreeMap::new() });
            self.families.len() - 1
        });
        let data = &mut self.families[index];
        assert!(data.kind == kind && data.help == help, "metric {name:?} is two different families");
        Family { data, dropped: &mut self.dropped }
    }
}

impl Family<'_> {
    /// The one sample of a counter or gauge without labels.
    pub fn value(self, value: impl Into<Number>) {
        self.with(&[], value);
    }

    /// A sample of a counter or gauge with these labels.
    ///
    /// # Panics
    ///
    /// When the family is a histogram, a label's name is not one, or there is a sample with the same labels.
    #[allow(clippy::return_self_not_must_use, reason = "the last call of a chain returns it too")]
    pub fn with(self, labels: Labels<'_>, value: impl Into<Number>) -> Self {
        assert!(self.data.kind != Kind::Histogram, "{:?} is a histogram", self.data.name);
        self.insert(labels, Sample::Number(value.into()))
    }

    /// A distribution of a histogram with these labels.
    ///
    /// # Panics
    ///
    /// When the family is not a histogram, a label's name is not one, or there is a sample with the same labels.
    #[allow(clippy::return_self_not_must_use, reason = "the last call of a chain returns it too")]
    pub fn buckets(self, labels: Labels<'_>, buckets: &Buckets) -> Self {
        assert!(self.data.kind == Kind::Histogram, "{:?} is not a histogram", self.data.name);
        self.insert(labels, Sample::Histogram(buckets.clone()))
    }

    fn insert(self, labels: Labels<'_>, sample: Sample) -> Self {
        let mut owned: Vec<(String, String)> = Vec::new();
        for &(name, value) in labels {
            assert!(is_name(name, false) && !name.starts_with("__"), "{name:?} is not a label's name");
            assert!(name != "le" || self.data.kind != Kind::Histogram, "the label \"le\" is a histogram's own");
            assert!(owned.iter().all(|(other, _)| other != name), "label {name:?} occurs twice");
            owned.push((name.to_owned(), value.to_owned()));
        }
        owned.sort();
        if self.data.samples.len() >= MAX_SAMPLES && !self.data.samples.contains_key(&owned) {
            *self.dropped += 1;
            return self;
        }
        let before = self.data.samples.insert(owned, sample);
        assert!(before.is_none(), "two samples of {:?} have the labels {labels:?}", self.data.name);
        self
    }
}

impl Buckets {
    /// An empty distribution with buckets up to each of the bounds, and one for what exceeds them.
    ///
    /// # Panics
    ///
    /// When the bounds are not finite and ascending.
    pub fn new(bounds: &[f64]) -> Self {
        assert!(bounds.iter().all(|bound| bound.is_finite()), "bounds are finite: {bounds:?}");
        assert!(bounds.is_sorted_by(|a, b| a < b), "bounds ascend: {bounds:?}");
        Self { bounds: bounds.to_vec(), counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// Buckets for response times in seconds, from 100 µs to 10 s in steps of about 2.
    pub fn latency() -> Self {
        Self::new(&[
            0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
        ])
    }

    /// Counts a value.
    pub fn observe(&mut self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += 1;
        self.sum += value;
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl FamilyData {
    fn render(&self, text: &mut String) {
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let name = &self.name;
        let help = self.help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, sample) in &self.samples {
            match sample {
                Sample::Number(value) => line(text, name, "", labels, None, *value),
                Sample::Histogram(buckets) => {
                    let mut cumulative = 0;
                    let bounds = buckets.bounds.iter().copied().chain([f64::INFINITY]);
                    for (bound, count) in bounds.zip(&buckets.counts) {
                        cumulative += count;
                        line(text, name, "_bucket", labels, Some(bound), Number::Whole(cumulative));
                    }
                    line(text, name, "_sum", labels, None, Number::Real(buckets.sum));
                    line(text, name, "_count", labels, None, Number::Whole(cumulative));
                }
            }
        }
    }
}

fn line(text: &mut String, name: &str, suffix: &str, labels: &[(String, String)], le: Option<f64>, value: Number) {
    text.push_str(name);
    text.push_str(suffix);
    let labels = labels.iter().map(|(name, value)| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("{name}=\"{value}\"")
    });
    let le = le.map(|bound| format!("le=\"{}\"", Number::Real(bound)));
    let labels: Vec<String> = labels.chain(le).collect();
    if !labels.is_empty() {
        let _ = write!(text, "{{{}}}", labels.join(","));
    }
    let _ = writeln!(text, " {value}");
}

/// Whether the text is a name: letters, digits and `_`, not a digit first; a metric's may have colons.
fn is_name(text: &str, colons: bool) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
    text.chars().all(allowed) && text.chars().next().is_some_and(|c| !c.is_ascii_digit())
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Whole(value) => write!(f, "{value}"),
            Self::Real(value) if value.is_nan() => f.write_str("NaN"),
            Self::Real(value) if value.is_infinite() => f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" }),
            Self::Real(value) => write!(f, "{value}"),
        }
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<usize> for Number {
    fn from(value: usize) -> Self {
        Self::Whole(value as u64)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self::Whole(u64::from(value))
    }
}

impl From<Duration> for Number {
    fn from(value: Duration) -> Self {
        Self::Real(value.as_secs_f64())
    }
}
