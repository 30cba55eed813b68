//! A memory cgroup: it limits what a process has in memory, and what the page cache keeps for it.
//!
//! A database that fits into the page cache never waits for the disk, whatever its bench says. Version 1 and version 2 of
//! Linux' cgroups are spoken; see cgroups(7).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::meter::entries;
use crate::error::Error;

/// Where cgroups are mounted on every machine of today.
const ROOT: &str = "/sys/fs/cgroup";

/// How often a group is tried to be removed, and how long it is waited between: the kernel may need a moment for the last pages.
const REMOVALS: (usize, Duration) = (50, Duration::from_millis(20));

/// A group that is gone with its handle, once its processes are.
#[derive(Debug)]
pub struct MemoryGroup {
    dir: PathBuf,
}

impl MemoryGroup {
    /// Makes one for at most so many bytes, page cache included.
    ///
    /// # Errors
    ///
    /// This machine does not allow it; the error says what was tried.
    pub fn new(limit_bytes: u64) -> Result<Self, Error> {
        let own = std::fs::read_to_string("/proc/self/cgroup").map_err(refused(Path::new("/proc/self/cgroup")))?;
        let (parent, limit) = place(&own, Path::new(ROOT)).ok_or_else(|| {
            Error::Cannot(
                "--memory-limit needs memory cgroups, and this machine has none that this process is in".to_owned(),
            )
        })?;
        let group = Self { dir: parent.join(format!("ch03-lsm-bench-{}", std::process::id())) };
        std::fs::create_dir(&group.dir).map_err(refused(&group.dir))?;
        let path = group.dir.join(limit);
        std::fs::write(&path, limit_bytes.to_string()).map_err(refused(&path))?;
        Ok(group)
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let (times, between) = REMOVALS;
        // Version 1 keeps a group alive for its pages until it is told to give them up; version 2 has no such file.
        let _: io::Result<()> = std::fs::write(self.dir.join("memory.force_empty"), "0");
        for _ in 0..times {
            match std::fs::remove_dir(&self.dir) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(between),
                _ => return,
            }
        }
    }
}

/// Puts this process into a group.
///
/// # Errors
///
/// The machine does not allow it.
pub fn join(group: &Path) -> Result<(), Error> {
    let path = group.join("cgroup.procs");
    std::fs::write(&path, std::process::id().to_string()).map_err(refused(&path))
}

/// Has the page cache give up what it keeps of the files in a directory and below: pages belong to the group that read them
/// first, and would be no part of this one's limit.
///
/// # Errors
///
/// A file cannot be opened or synced.
pub fn evict(dir: &Path) -> io::Result<()> {
    for path in entries(dir)? {
        if path.is_dir() {
            evict(&path)?;
            continue;
        }
        let file = File::open(&path)?;
        // A page that is not on the disk yet cannot be given up.
        file.sync_all()?;
        #[cfg(target_os = "linux")]
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}

/// Where a group of this process' own is made, and the name of its limit. Version 1 allows a group in the one that the process is
/// in; version 2 allows none in a group with processes, so that it is beside it.
fn place(own: &str, root: &Path) -> Option<(PathBuf, &'static str)> {
    let lines = own.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        Some((fields.next()?, fields.next()?.trim_start_matches('/')))
    });
    let has_memory = |controllers: &str| controllers.split(',').any(|controller| controller == "memory");
    if let Some((_, path)) = lines.clone().find(|(controllers, _)| has_memory(controllers)) {
        return Some((root.join("memory").join(path), "memory.limit_in_bytes"));
    }
    let (_, path) = lines.clone().find(|(controllers, _)| controllers.is_empty())?;
    let group = root.join(path);
    let parent = if path.is_empty() { group } else { group.parent()?.to_owned() };
    Some((parent, "memory.max"))
}

fn refused(path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |error| {
        Error::Cannot(format!(
            "--memory-limit needs to write {}, which this machine refuses ({error}); run it as root, or without the limit",
            path.display()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_version_1_is_made_inside_and_one_of_version_2_beside() {
        let root = Path::new("/r");
        let old = "9:name=systemd:/\n4:memory,cpu:/a/b\n0::/\n";
        assert_eq!(place(old, root), Some((PathBuf::from("/r/memory/a/b"), "memory.limit_in_bytes")));
        assert_eq!(place("0::/user/one.scope\n", root), Some((PathBuf::from("/r/user"), "memory.max")));
        assert_eq!(place("0::/\n", root), Some((PathBuf::from("/r/"), "memory.max")));
        assert_eq!(place("", root), None);
    }
}
