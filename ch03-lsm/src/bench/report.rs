//! What the bench prints: figures of one engine, and ratios between several.

use common::cli::{Look, Table, human};
use common::load::Ratio;

use super::BenchArgs;
use super::compare::{Comparison, Run};
use super::measure::Measured;
use super::workloads::Workload;

/// Stands for what was not measured.
const MISSING: &str = "-";

/// The figures of one engine.
pub(super) fn alone(measured: &[Measured]) -> Table {
    let header = ["workload", "operations", "µs each", "settled", "a second", "p50", "p99", "p99.9", "found"];
    let mut table = Table::new(header);
    for one in measured {
        let nanos = |nanos| human::duration(std::time::Duration::from_nanos(nanos));
        let reads = one.workload.parse().is_ok_and(Workload::reads);
        table.row([
            one.workload.clone(),
            human::grouped(one.operations),
            format!("{:.3}", micros(one, one.elapsed_ns)),
            one.settled_ns.map_or_else(String::new, |settled| format!("{:.3}", micros(one, settled))),
            human::count(one.operations as f64 * 1e9 / one.elapsed_ns.max(1) as f64),
            nanos(one.latencies.p50_ns),
            nanos(one.latencies.p99_ns),
            nanos(one.latencies.p999_ns),
            if reads { human::grouped(one.found) } else { String::new() },
        ]);
    }
    table
}

/// All tables of a comparison.
pub(super) fn compared(comparison: &Comparison, args: &BenchArgs, look: Look) -> String {
    let run = &args.run;
    let passes = comparison.runs[0].len();
    let limit =
        args.memory_limit.map(|mib| format!("; at most {mib} MiB of memory for what reads, page cache included"));
    let about = format!(
        "{} keys of 16 bytes, values of {} bytes, cache {} MiB, memtable {} MiB{}; medians of {passes} passes",
        human::grouped(run.num),
        run.value_size,
        run.cache,
        run.memtable,
        limit.unwrap_or_default()
    );
    let figures = Figures { comparison, look };
    let time = |one: &Measured| Some(micros(one, one.elapsed_ns));
    let settled = |one: &Measured| Some(micros(one, one.settled_ns?));
    let cpu = |one: &Measured| Some(micros(one, one.cpu_settled_ns.unwrap_or(one.cpu_ns)));
    let p99 = |one: &Measured| Some(one.latencies.p99_ns as f64 / 1e3);
    let p999 = |one: &Measured| Some(one.latencies.p999_ns as f64 / 1e3);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let written = |one: &Measured| per(one.written_bytes?, one.user_bytes);
    let written_settled = |one: &Measured| per(one.written_settled_bytes?, one.user_bytes);
    let space = |one: &Measured| per(one.settled_ns.map(|_| one.directory_bytes)?, one.live_bytes?);
    let peak = |one: &Measured| one.peak_rss_bytes.map(mib);
    let anonymous = |one: &Measured| one.anonymous_bytes.map(mib);
    let sections = [
        (
            "µs each, as acknowledged, and how many times as fast ch03-lsm is as the best of the others",
            figures.table(&time, 3, true),
        ),
        ("the same, as each of the others", figures.ratios(&time)),
        ("µs each, until everything is compacted", figures.table(&settled, 3, true)),
        ("the same, as each of the others", figures.ratios(&settled)),
        ("µs of processor time each, of all threads, until everything is compacted", figures.table(&cpu, 3, true)),
        ("µs that 99 of 100 took at most", figures.table(&p99, 1, false)),
        ("µs that 999 of 1000 took at most", figures.table(&p999, 1, false)),
        ("bytes written for each byte put, as acknowledged", figures.table(&written, 2, false)),
        ("bytes written for each byte put, until everything is compacted", figures.table(&written_settled, 2, true)),
        ("bytes on the disk for each byte of keys and values that are there", figures.table(&space, 3, true)),
        ("the most memory that was resident, in MiB, mapped files included", figures.table(&peak, 0, false)),
        ("memory that is resident at the end and no file's, in MiB", figures.table(&anonymous, 0, false)),
    ];
    let mut text = about;
    for (title, table) in sections.into_iter().filter_map(|(title, table)| Some((title, table?))) {
        text.push_str(&format!("\n\n{title}\n\n{table}"));
    }
    if comparison.engines.iter().any(|name| name == "leveldb") {
        text.push_str("\n\nleveldb compresses with snappy, the others with LZ4");
    }
    text
}

/// The tables of a comparison, all of which have a row for each workload and a column for each engine.
struct Figures<'a> {
    comparison: &'a Comparison,
    look: Look,
}

impl Figures<'_> {
    /// Medians of a figure that is better the smaller it is; if asked for, how many times as good ours is as the best of the
    /// others in each pass. `None`, if no workload has such a figure.
    fn table(&self, figure: &dyn Fn(&Measured) -> Option<f64>, digits: usize, has_ratio: bool) -> Option<String> {
        let mut header: Vec<&str> = vec!["workload"];
        header.extend(self.comparison.engines.iter().map(String::as_str));
        header.extend(has_ratio.then_some("to the best"));
        self.rows(header, figure, &|values| {
            let mut cells: Vec<String> =
                values.iter().map(|values| format!("{:.digits$}", spread(values).median)).collect();
            let best = |pass: usize| values[1..].iter().map(|values| values[pass]).fold(f64::INFINITY, f64::min);
            cells.extend(has_ratio.then(|| ratio(&values[0], best)));
            cells
        })
    }

    /// How many times as good ours is as each of the others; `None`, if there is but one, whose ratio is beside its figure.
    fn ratios(&self, figure: &dyn Fn(&Measured) -> Option<f64>) -> Option<String> {
        let others = &self.comparison.engines[1..];
        let mut header: Vec<&str> = vec!["workload"];
        header.extend(others.iter().map(String::as_str));
        let cells = |values: &[Vec<f64>]| values[1..].iter().map(|peer| ratio(&values[0], |pass| peer[pass])).collect();
        (others.len() > 1).then(|| self.rows(header, figure, &cells))?
    }

    /// A row for each workload that has the figure on every engine in every pass. The cells are made from a list for each engine
    /// of its figures, pass by pass.
    fn rows(
        &self,
        header: Vec<&str>,
        figure: &dyn Fn(&Measured) -> Option<f64>,
        cells: &dyn Fn(&[Vec<f64>]) -> Vec<String>,
    ) -> Option<String> {
        let mut table = Table::new(header);
        for (index, name) in self.comparison.workloads.iter().enumerate() {
            let of_engine = |runs: &Vec<Run>| runs.iter().map(|run| figure(&run.workloads[index])).collect();
            let values: Option<Vec<Vec<f64>>> = self.comparison.runs.iter().map(of_engine).collect();
            let Some(values) = values else { continue };
            table.row(std::iter::once(name.clone()).chain(cells(&values)));
        }
        (!table.is_empty()).then(|| table.render(self.look))
    }
}

/// How many times theirs is ours, pass by pass, as text.
fn ratio(ours: &[f64], theirs: impl Fn(usize) -> f64) -> String {
    let ratios: Vec<f64> = ours.iter().enumerate().map(|(pass, ours)| theirs(pass) / ours).collect();
    if ratios.iter().all(|ratio| ratio.is_finite()) { spread(&ratios).to_string() } else { MISSING.to_owned() }
}

/// The median, the least and the greatest.
fn spread(values: &[f64]) -> Ratio {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted[0], sorted[sorted.len() - 1]);
    let median = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    Ratio { median, low, high }
}

fn micros(one: &Measured, nanos: u64) -> f64 {
    nanos as f64 / 1e3 / one.operations.max(1) as f64
}

fn per(bytes: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| bytes as f64 / of as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_over_passes_and_above_one_where_ours_takes_less() {
        assert_eq!(ratio(&[1.0, 2.0, 4.0], |pass| [3.0, 4.0, 4.0][pass]), "2.00x (1.00 to 3.00)");
        assert_eq!(ratio(&[0.0], |_| 1.0), MISSING);
    }
}
