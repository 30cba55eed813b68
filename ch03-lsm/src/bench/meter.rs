//! What this process has used, and what its directory takes: read before a workload and after.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The bytes of a block of `stat(2)`.
const STAT_BLOCK_BYTES: u64 = 512;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Processor time in user and kernel mode, of all threads.
    pub cpu: Duration,
    /// The bytes that it gave to `write(2)` and its kin. `None` where there is no Linux `/proc`.
    pub written_bytes: Option<u64>,
    /// The bytes that it made the disk write, now or later.
    pub stored_bytes: Option<u64>,
    /// The bytes that it got from `read(2)` and its kin, whether from the page cache or not; not what it reads from memory maps.
    pub read_bytes: Option<u64>,
    /// The bytes that it made the disk read.
    pub fetched_bytes: Option<u64>,
}

/// The memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The most that was resident since [`forget_peak`], in bytes: memory maps of files count.
    pub peak_bytes: Option<u64>,
    /// What is resident now and no file's, in bytes.
    pub anonymous_bytes: Option<u64>,
}

impl Reading {
    /// What this process has used so far.
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
        let field = |name| field(&io, name);
        Self {
            cpu: Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0)),
            written_bytes: field("wchar"),
            stored_bytes: field("write_bytes"),
            read_bytes: field("rchar"),
            fetched_bytes: field("read_bytes"),
        }
    }
}

impl Memory {
    /// That of this process.
    pub fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kib = |name| field(&status, name).map(|kib| kib << 10);
        Self { peak_bytes: kib("VmHWM"), anonymous_bytes: kib("RssAnon") }
    }
}

/// Begins a new peak of resident memory, where the kernel allows it.
pub fn forget_peak() {
    // "5" resets it; see proc(5). Where that is refused, the peak is that of the whole process.
    let _: io::Result<()> = std::fs::write("/proc/self/clear_refs", "5");
}

/// The bytes that the files in a directory and below take. A file that has been given more blocks than it is long, as logs are
/// to be appended to, takes what it is long, and one that is longer than what was written to it takes the blocks that it has:
/// that surplus is the same for a small database and a large one. What a log reserves by writing it, as this tree's does, counts.
///
/// # Errors
///
/// The directory cannot be read; a file that is deleted meanwhile is none.
pub fn directory_bytes(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for path in entries(dir)? {
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => bytes += directory_bytes(&path)?,
            Ok(metadata) => bytes += (metadata.blocks() * STAT_BLOCK_BYTES).min(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// What a directory holds; nothing, where it is no more.
pub(super) fn entries(dir: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    match std::fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The number after `name:` at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}
