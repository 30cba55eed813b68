//! `redis-benchmark` as a driver: what it is told, and what is read from its report.
//!
//! Its CSV has no p99.9, so that the report for people is read:
//!
//! ```text
//! Latency by percentile distribution:
//! 50.000% <= 0.575 milliseconds (cumulative count 10020)
//! …
//! 99.902% <= 8.071 milliseconds (cumulative count 19981)
//! …
//! Summary:
//!   throughput summary: 49627.79 requests per second
//!   latency summary (msec):
//!           avg       min       p50       p95       p99       max
//!         0.671     0.160     0.575     0.887     4.023     8.399
//! ```
//!
//! The distribution's steps halve the rest of the requests each, so that the line that first covers 99.9 % covers 99.902 %:
//! the time read is never less than the real p99.9, and hardly more. On a slow machine the report has progress lines before
//! it, which end in a carriage return.

use std::net::SocketAddr;

use super::load::{Load, Operation, Seen};
use super::process::Output;
use crate::error::Error;

/// The tool's name.
pub const PROGRAM: &str = "redis-benchmark";

/// How many nanoseconds a millisecond has.
const NANOS_PER_MILLI: f64 = 1e6;

/// The header above the line that is read for the percentiles.
const HEADER: [&str; 6] = ["avg", "min", "p50", "p95", "p99", "max"];

/// The arguments that make the tool send a load.
pub fn args(load: Load, address: SocketAddr) -> Vec<String> {
    let operation = match load.operation {
        Operation::Set => "set",
        Operation::Get => "get",
    };
    let pairs = [
        ("-h", address.ip().to_string()),
        ("-p", address.port().to_string()),
        ("-t", operation.to_owned()),
        ("-c", load.clients.to_string()),
        ("-n", load.requests.to_string()),
        ("-P", load.pipeline.to_string()),
        ("-d", load.value_bytes.to_string()),
        ("-r", load.keys.to_string()),
        ("--precision", "3".to_owned()),
    ];
    pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
}

/// Reads the tool's report.
///
/// # Errors
///
/// The tool failed, the server answered it with an error, or the report is not of the form above.
pub fn parse(output: &Output) -> Result<Seen, Error> {
    let complaint = output.stderr.lines().find(|line| line.starts_with("Error"));
    if !output.status.success() || complaint.is_some() {
        let said = complaint.or_else(|| output.stderr.lines().last()).unwrap_or("nothing");
        return Err(Error::Cannot(format!("{PROGRAM} ended with {}; it says: {said}", output.status)));
    }
    parse_report(&output.stdout).ok_or_else(|| {
        Error::Cannot(format!("{PROGRAM} printed a report of another form than version 7 does; use --driver own"))
    })
}

/// The figures of a report.
pub fn parse_report(report: &str) -> Option<Seen> {
    let lines: Vec<&str> = report.split(['\r', '\n']).map(str::trim).collect();
    let throughput = lines.iter().find_map(|line| {
        line.strip_prefix("throughput summary:")?.trim().strip_suffix("requests per second")?.trim().parse().ok()
    })?;
    let header = lines.iter().position(|line| line.split_ascii_whitespace().eq(HEADER))?;
    let summary: Vec<f64> = numbers(lines.get(header + 1)?)?;
    let &[_, _, p50, p95, p99, _] = summary.as_slice() else { return None };
    let p999 = lines.iter().filter_map(|line| step(line)).filter(|(percent, _)| *percent >= 99.9);
    let p999 = p999.map(|(_, millis)| millis).min_by(f64::total_cmp)?;
    let [p50_ns, p95_ns, p99_ns, p999_ns] = [p50, p95, p99, p999].map(|millis| millis * NANOS_PER_MILLI);
    Some(Seen { throughput, p50_ns, p95_ns, p99_ns, p999_ns })
}

fn numbers(line: &str) -> Option<Vec<f64>> {
    line.split_ascii_whitespace().map(|word| word.parse().ok()).collect()
}

/// A line of a distribution: how many percent took at most how many milliseconds.
fn step(line: &str) -> Option<(f64, f64)> {
    let (percent, rest) = line.split_once("% <= ")?;
    let (millis, _) = rest.split_once(" milliseconds")?;
    Some((percent.parse().ok()?, millis.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str =
        " SET: rps=0.0 (overall: 0.0) avg_msec=-nan (overall: -nan)\r SET: rps=52824.0\r====== SET ======
  20000 requests completed in 0.40 seconds

Latency by percentile distribution:
0.000% <= 0.167 milliseconds (cumulative count 1)
50.000% <= 0.575 milliseconds (cumulative count 10020)
99.805% <= 7.823 milliseconds (cumulative count 19961)
99.902% <= 8.071 milliseconds (cumulative count 19981)
100.000% <= 8.399 milliseconds (cumulative count 20000)

Cumulative distribution of latencies:
99.750% <= 7.103 milliseconds (cumulative count 19950)
99.915% <= 8.103 milliseconds (cumulative count 19983)

Summary:
  throughput summary: 49627.79 requests per second
  latency summary (msec):
          avg       min       p50       p95       p99       max
        0.671     0.160     0.575     0.887     4.023     8.399
";

    #[test]
    fn the_report_of_version_7_is_read() {
        let seen = parse_report(REPORT).expect("a report");
        let near = |left: f64, right: f64| (left - right).abs() < 1e-3;
        assert!(near(seen.throughput, 49_627.79), "{seen:?}");
        assert!(
            near(seen.p50_ns, 575_000.0) && near(seen.p95_ns, 887_000.0) && near(seen.p99_ns, 4_023_000.0),
            "{seen:?}"
        );
        assert!(near(seen.p999_ns, 8_071_000.0), "not the step below 99.9 % and not the coarser one above: {seen:?}");
    }

    #[test]
    fn a_report_that_is_cut_or_changed_is_no_report() {
        for line in ["throughput summary", "50.000%", "avg       min"] {
            let end = REPORT.find(line).expect("a line of the report");
            assert_eq!(parse_report(&REPORT[..end]), None, "cut before {line}");
        }
        assert_eq!(parse_report(&REPORT.replace("p95       p99", "p90       p99")), None);
        assert_eq!(parse_report(&REPORT.replace("0.887", "nothing")), None);
    }
}
