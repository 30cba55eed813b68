//! The processes that a bench starts, and their directories: both are gone when their handle is.
//!
//! A bench that leaves a server behind spoils the next bench, and one that leaves a log of a gigabyte behind fills the disk.
//! Ctrl-C reaches every process of the terminal's group by itself; for every other end there is `Drop`.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;

/// The magic number of tmpfs in `statfs(2)`: a file system in memory, on which an fdatasync costs nothing.
#[cfg(target_os = "linux")]
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;

/// A child process that ends with its handle.
#[derive(Debug)]
pub struct Process(Child);

/// A new directory that is removed, with all that it holds, with its handle.
#[derive(Debug)]
pub struct Directory(PathBuf);

/// What a program that ran to its end has said.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Process {
    /// Starts a command.
    ///
    /// # Errors
    ///
    /// It cannot be started; the error says which and what to do about it.
    pub fn start(command: &mut Command) -> Result<Self, Error> {
        match command.spawn() {
            Ok(child) => Ok(Self(child)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let program = command.get_program().display();
                Err(Error::Cannot(format!(
                    "{program} is not there; install it (Debian has it in the packages redis-server and redis-tools), or name its path"
                )))
            }
            Err(source) => Err(Error::System { action: "start a process", source }),
        }
    }

    /// The child, to talk to.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; and nothing that it could still do is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Directory {
    /// Makes a new one in `parent`, which is made as well where it is not there.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn create(parent: &Path) -> Result<Self, Error> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        std::fs::create_dir_all(parent).map_err(Error::system("make the directory for the bench"))?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("ch01-kv-bench-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).map_err(Error::system("make a directory for a server"))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(directory = %self.0.display(), %error, "cannot remove a directory of the bench");
        }
    }
}

/// Runs a program to its end. Dropping the future ends the program.
///
/// # Errors
///
/// It cannot be started or heard.
pub async fn run(program: &OsStr, args: &[String]) -> Result<Output, Error> {
    let mut command = Command::new(program);
    // The tool's numbers are parsed: a decimal comma would not be.
    command.args(args).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::start(&mut command)?;
    let child = process.child();
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let (stdout, stderr) = tokio::join!(stdout, stderr);
    let status = process.child().wait().map_err(Error::system("wait for a process"))?;
    Ok(Output { status, stdout: stdout?, stderr: stderr? })
}

/// Where the servers' directories are made when nobody says where: `target/` of the directory one is in, which cargo's users
/// have on a real disk, or else the system's directory for temporary files.
pub fn default_parent() -> PathBuf {
    let target = PathBuf::from("target");
    if target.is_dir() { target } else { std::env::temp_dir() }
}

/// Whether the directory is in memory, so that nothing durable can be measured there.
#[cfg(target_os = "linux")]
pub fn is_in_memory(directory: &Path) -> bool {
    rustix::fs::statfs(directory).is_ok_and(|stat| stat.f_type == TMPFS_MAGIC)
}

/// Whether the directory is in memory: not asked of this system.
#[cfg(not(target_os = "linux"))]
pub fn is_in_memory(_: &Path) -> bool {
    false
}

/// Reads a pipe to its end, on a thread of its own.
async fn drain(pipe: Option<impl Read + Send + 'static>) -> Result<String, Error> {
    let read = move || {
        let mut text = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut text)?;
        }
        Ok::<_, io::Error>(String::from_utf8_lossy(&text).into_owned())
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(text) => text.map_err(Error::system("read what a process says")),
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
}
