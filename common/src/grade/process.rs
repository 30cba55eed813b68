//! A process under a limit: so long, so much memory, so much output, and then it is over.
//!
//! A reader's code may loop, abort or allocate without end. Each check is a process of its own, so that any of these costs
//! one check and neither the grader nor the machine.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use super::error::{Doing, Error};

/// Output kept from the beginning of each stream, in bytes: a panic message is there unless the check prints in a loop.
const HEAD_BYTES: usize = 1 << 20;

/// Output kept from the end of each stream, in bytes: the harness's last line is there.
const TAIL_BYTES: usize = 1 << 16;

/// Memory that a check may take, in bytes. Far above what an organ needs, and below what a laptop has.
#[cfg(target_os = "linux")]
const MEMORY_BYTES: u64 = 4 << 30;

/// How often the process is looked at.
const POLL: Duration = Duration::from_millis(5);

/// How long output is waited for after the process has ended: a process that it left behind may hold the pipe open.
const DRAIN: Duration = Duration::from_secs(2);

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with that status.
    Exited(i32),
    /// By that signal.
    Signalled(i32),
    /// By the time limit.
    TimedOut,
}

/// What a process did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// What it wrote on standard output.
    pub stdout: String,
    /// What it wrote on standard error.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

impl Outcome {
    /// Whether standard error is all there: the middle of what is very long is not kept.
    pub fn is_whole(&self) -> bool {
        self.stderr.len() <= HEAD_BYTES
    }
}

/// Runs `command` until it ends or `limit` has passed.
pub fn run(command: &mut Command, limit: Duration) -> Result<Outcome, Error> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn().doing(|| format!("running {}", command.get_program().display()))?;
    bound(&child, limit);
    let stdout = collect(child.stdout.take().expect("it is piped"));
    let stderr = collect(child.stderr.take().expect("it is piped"));
    let ending = wait(&mut child, started, limit).doing(|| "waiting for a check".to_owned())?;
    let took = started.elapsed();
    let text = |stream: Receiver<Vec<u8>>| {
        let bytes = stream.recv_timeout(DRAIN).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ok(Outcome { ending, stdout: text(stdout), stderr: text(stderr), took })
}

fn wait(child: &mut Child, started: Instant, limit: Duration) -> std::io::Result<Ending> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(ending(status));
        }
        if started.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(Ending::TimedOut);
        }
        std::thread::sleep(POLL);
    }
}

fn ending(status: ExitStatus) -> Ending {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(signal) => Ending::Signalled(signal),
        None => Ending::Exited(status.code().unwrap_or(-1)),
    }
}

/// Bounds memory, and the processor time of a check that outlives a killed grader.
#[cfg(target_os = "linux")]
fn bound(child: &Child, limit: Duration) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let pid = Pid::from_child(child);
    let rlimit = |value: u64| Rlimit { current: Some(value), maximum: Some(value) };
    // Eight threads that never rest, for as long as the limit. A process that is gone already needs no bound, so a failure
    // to set one is none.
    let seconds = limit.as_secs().saturating_mul(8).saturating_add(8);
    let _gone = prlimit(Some(pid), Resource::Cpu, rlimit(seconds));
    let _gone = prlimit(Some(pid), Resource::Data, rlimit(MEMORY_BYTES));
}

#[cfg(not(target_os = "linux"))]
fn bound(_child: &Child, _limit: Duration) {}

/// Reads a stream to its end on a thread, and keeps its beginning and its end.
fn collect(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut head = Vec::new();
        let mut tail: Vec<u8> = Vec::new();
        let mut chunk = [0; 8192];
        while let Ok(length @ 1..) = stream.read(&mut chunk) {
            let room = HEAD_BYTES - head.len();
            let (first, rest) = chunk[..length].split_at(room.min(length));
            head.extend_from_slice(first);
            tail.extend_from_slice(rest);
            if tail.len() > 2 * TAIL_BYTES {
                tail.drain(..tail.len() - TAIL_BYTES);
            }
        }
        head.extend_from_slice(&tail);
        // Nobody waits any longer where the process left the pipe open behind it.
        let _late = sender.send(head);
    });
    receiver
}
