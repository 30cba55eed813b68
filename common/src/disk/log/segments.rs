//! The segments of a directory.

use std::path::{Path, PathBuf};

use super::LogError;
use crate::disk::Disk;

/// How segments are named: `PREFIX-NNNNNNNNNN.log`, so that they sort as they follow one another.
#[derive(Debug, Clone, Copy)]
pub struct SegmentName {
    /// What the names begin with.
    pub prefix: &'static str,
}

impl SegmentName {
    /// The path of a segment.
    pub fn path(&self, dir: &Path, number: u64) -> PathBuf {
        dir.join(format!("{}-{number:010}.log", self.prefix))
    }

    /// The number in a file's name; `None` when it is the name of something else.
    pub fn number(&self, path: &Path) -> Option<u64> {
        let name = path.file_name()?.to_str()?;
        let digits = name.strip_prefix(self.prefix)?.strip_prefix('-')?.strip_suffix(".log")?;
        (digits.len() >= 10 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
    }
}

/// The segments in `dir`, in order: their numbers and paths.
///
/// # Errors
///
/// [`LogError::Io`].
pub fn segments(disk: &dyn Disk, dir: &Path, name: SegmentName) -> Result<Vec<(u64, PathBuf)>, LogError> {
    let paths = disk.list(dir).map_err(LogError::io("list", dir))?;
    let mut found: Vec<_> = paths.into_iter().filter_map(|path| Some((name.number(&path)?, path))).collect();
    found.sort();
    Ok(found)
}
