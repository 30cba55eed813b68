//! The real disk: the operating system's files, with an fsync that is one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use super::{Disk, DiskError, DiskFile, Lock, Open};

/// The file system of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

/// **Invariants**: `file` is no directory.
#[derive(Debug)]
struct RealFile {
    file: File,
    path: PathBuf,
}

/// Closing the file lets go of the lock.
#[derive(Debug)]
struct RealLock {
    _file: File,
}

impl RealDisk {
    /// The file system of this machine.
    pub fn new() -> Self {
        Self
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match how {
            Open::ReadOnly => &mut options,
            Open::Existing => options.write(true),
            Open::Create => options.write(true).create(true),
            Open::New => options.write(true).create_new(true),
            Open::Truncate => options.write(true).create(true).truncate(true),
        };
        let open = || {
            let file = options.open(path)?;
            // Unix opens a directory for reading, and fails at the first read instead.
            if how == Open::ReadOnly && file.metadata()?.is_dir() {
                return Err(ErrorKind::IsADirectory.into());
            }
            Ok(file)
        };
        let file = open().map_err(in_call("open", path))?;
        Ok(Arc::new(RealFile { file, path: path.to_owned() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to).map_err(in_call("rename", from))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path).map_err(in_call("remove", path))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path).map_err(in_call("create directory", path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        // The flag makes a file that is passed by mistake an error, where syncing it would look like a success.
        let directory_only = i32::try_from(OFlags::DIRECTORY.bits()).expect("open flags fit in a C int");
        OpenOptions::new()
            .read(true)
            .custom_flags(directory_only)
            .open(or_working_directory(path))
            .and_then(|directory| directory.sync_all())
            .map_err(in_call("sync directory", path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let names = || -> io::Result<Vec<PathBuf>> {
            fs::read_dir(or_working_directory(path))?.map(|entry| Ok(path.join(entry?.file_name()))).collect()
        };
        let mut paths = names().map_err(in_call("list", path))?;
        paths.sort();
        Ok(paths)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        or_working_directory(path).try_exists().map_err(in_call("look for", path))
    }

    fn hard_link(&self, original: &Path, link: &Path) -> io::Result<()> {
        fs::hard_link(original, link).map_err(in_call("link", original))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let take = || {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
            match file.try_lock() {
                Ok(()) => Ok(file),
                Err(TryLockError::WouldBlock) => Err(io::Error::new(ErrorKind::WouldBlock, "another holder has it")),
                Err(TryLockError::Error(error)) => Err(error),
            }
        };
        let file = take().map_err(in_call("lock", path))?;
        Ok(Box::new(RealLock { _file: file }))
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.file.read_at(&mut buf[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(DiskError::wrap("read", &self.path, Some(offset), error)),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(data, offset).map_err(|error| DiskError::wrap("write", &self.path, Some(offset), error))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data().map_err(in_call("sync", &self.path))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len).map_err(in_call("resize", &self.path))
    }

    fn len(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(in_call("inspect", &self.path))
    }
}

impl Lock for RealLock {}

fn in_call<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> io::Error + 'a {
    move |cause| DiskError::wrap(action, path, None, cause)
}

/// An empty path is the parent of a bare file name; the system calls know it as `.`.
fn or_working_directory(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}
