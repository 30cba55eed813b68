//! What a process costs and what the disk costs: the figures that belong beside every throughput.
//!
//! A server that answers twice as fast with four times the processor is not twice as good, and a durable write is as fast
//! as the disk's flush, which on shared machines changes by the hour.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Clock ticks a second, where the kernel does not say: the value of every Linux of today but a few old ports.
const DEFAULT_TICKS: u64 = 100;

/// The auxiliary vector's key for the clock ticks a second (`AT_CLKTCK`).
const AT_CLKTCK: usize = 17;

/// How many bytes the probe appends before each flush: a small group of log records.
const PROBE_BYTES: usize = 512;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Processor time in user and kernel mode, of all threads, in steps of a clock tick (10 ms).
    pub cpu: Duration,
    /// The part of it in kernel mode.
    pub cpu_in_kernel: Duration,
    /// Memory that is resident now, in bytes.
    pub rss_bytes: u64,
    /// The most memory that was ever resident, in bytes.
    pub peak_rss_bytes: u64,
}

/// What a process has used. `None` where there is no such process, or no Linux `/proc`.
pub fn usage(pid: u32) -> Option<Usage> {
    let proc = PathBuf::from("/proc").join(pid.to_string());
    let stat = std::fs::read_to_string(proc.join("stat")).ok()?;
    let status = std::fs::read_to_string(proc.join("status")).ok()?;
    parse_usage(&stat, &status, ticks_per_second())
}

/// Reads `/proc/PID/stat` and `/proc/PID/status` (see `proc(5)`), with so many clock ticks a second. `None`: they are not
/// what they should be.
pub fn parse_usage(stat: &str, status: &str, ticks_per_second: u64) -> Option<Usage> {
    // The second field is the program's name in parentheses, and may hold blanks and parentheses itself.
    let fields = &stat[stat.rfind(')')? + 1..];
    // Fields 14 and 15 of the line are the 12th and 13th after the name.
    let mut times = fields.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    let (user, kernel) = (times.next()?.ok()?, times.next()?.ok()?);
    let kib = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    let duration = |ticks: u64| Duration::from_secs_f64(ticks as f64 / ticks_per_second.max(1) as f64);
    let (cpu, cpu_in_kernel) = (duration(user.checked_add(kernel)?), duration(kernel));
    Some(Usage { cpu, cpu_in_kernel, rss_bytes: kib("VmRSS")?, peak_rss_bytes: kib("VmHWM")? })
}

/// The median time of an `fdatasync` after a small append, over `count` of them (at least one), in a file of its own in
/// `dir`: what a durable write costs on this disk, now.
///
/// # Errors
///
/// The file cannot be made, written, flushed or removed.
pub fn fdatasync_probe(dir: &Path, count: usize) -> io::Result<Duration> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = dir.join(format!("fdatasync-probe-{}-{number}", std::process::id()));
    let mut file = OpenOptions::new().append(true).create_new(true).open(&path)?;
    let measured = probe(&mut file, count);
    drop(file);
    let removed = std::fs::remove_file(&path);
    let measured = measured?;
    removed?;
    Ok(measured)
}

fn probe(file: &mut File, count: usize) -> io::Result<Duration> {
    let record = [0x55; PROBE_BYTES];
    let mut times = Vec::new();
    for _ in 0..count.max(1) {
        file.write_all(&record)?;
        let began = Instant::now();
        file.sync_data()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

/// Clock ticks a second, from what the kernel told this process at its start.
fn ticks_per_second() -> u64 {
    static TICKS: OnceLock<u64> = OnceLock::new();
    *TICKS.get_or_init(|| {
        let auxv = std::fs::read("/proc/self/auxv").unwrap_or_default();
        let (words, _) = auxv.as_chunks::<{ size_of::<usize>() }>();
        let words: Vec<usize> = words.iter().copied().map(usize::from_ne_bytes).collect();
        let ticks = words.chunks_exact(2).find(|pair| pair[0] == AT_CLKTCK).map(|pair| pair[1] as u64);
        ticks.filter(|ticks| *ticks > 0).unwrap_or(DEFAULT_TICKS)
    })
}
