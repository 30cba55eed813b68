//! What can go wrong on the simulated disk, and when: crashes, faults, and the operations that they wait for.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::Path;

use rustix::io::Errno;

use crate::disk::DiskError;

/// Which of the changes that are not synced survive a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// None: power fails and nothing had been written back. The state is what syncs have made durable, and nothing
    /// else.
    LoseAll,
    /// All: the process is killed and the machine stays up, so the page cache does too. This says nothing about
    /// durability, and makes nothing durable: a later power failure can still take it.
    KeepAll,
    /// Any: power fails in the middle of writing back. Drawn from the disk's seed, with a rate of survival drawn anew
    /// for each crash:
    ///
    /// - a write survives whole, or as any subset of the 512-byte sectors that it touches, or not at all,
    ///   independently of the others. Where two that survive overlap, the later one is seen;
    /// - a file's length survives independently of the bytes: those that are lost inside it read as zeros;
    /// - a name that was created, renamed or removed is so afterwards or not, independently of the others and of the
    ///   file's content; a change is lost when an earlier one of the same name is. A rename is one change: its file
    ///   never loses both names, and the name that it replaces never stands for nothing.
    ///
    /// This is more hostile than most disks (it can lose the first of two writes to one sector and keep the second),
    /// because POSIX promises no more.
    Random,
}

/// What an operation meets instead of success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `EIO`. A write has written any prefix of its data; everything else has done nothing. After a sync that failed
    /// so, what was dirty still is, and the next sync succeeds in earnest: the best that can happen.
    Eio,
    /// `ENOSPC`, as a `StorageFull` error. Does what [`Fault::Eio`] does.
    Enospc,
    /// `EIO` from `sync_data`, after which the page cache shows what is durable: what was written since the last
    /// successful sync is gone, and the next sync succeeds (Btrfs in Rebello et al., USENIX ATC 2020). On another
    /// operation: as [`Fault::Eio`].
    SyncReverts,
    /// `EIO` from `sync_data`, after which the page cache shows what was written and holds it for clean: reads see it,
    /// the next sync succeeds without it, a power failure takes it (ext4 and XFS in the same paper). On another
    /// operation: as [`Fault::Eio`].
    SyncForgets,
    /// The power fails in the middle: the operation has reached the page cache whole, in part (a prefix of a write's
    /// data) or not at all, a sync has synced nothing, and this operation and all after it fail with an error of kind
    /// `Other`, until [`SimDisk::crash`](super::SimDisk::crash) says what has survived.
    PowerLoss,
}

/// The calls of [`Disk`](crate::disk::Disk) and [`DiskFile`](crate::disk::DiskFile), as faults tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `open` with `ReadOnly` or `Existing`. Not counted.
    Open,
    /// `open` with `Create`, `New` or `Truncate`, whether or not there is a file already.
    Create,
    /// `read_at`. Not counted.
    Read,
    /// `write_at`.
    Write,
    /// `set_len`.
    SetLen,
    /// `sync_data`.
    Sync,
    /// `len`, `exists`. Not counted.
    Inspect,
    /// `rename`.
    Rename,
    /// `remove`.
    Remove,
    /// `hard_link`.
    Link,
    /// `create_dir_all`.
    CreateDir,
    /// `sync_dir`.
    SyncDir,
    /// `list`. Not counted.
    List,
    /// `lock`.
    Lock,
}

/// A fault that waits for its operation.
///
/// **Invariants**: `remaining` is at least 1.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Any counted operation when there is none.
    pub(super) operation: Option<Operation>,
    pub(super) remaining: u64,
    pub(super) fault: Fault,
}

/// One call with its arguments, for error messages and the trace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) operation: Operation,
    pub(super) path: &'a Path,
    pub(super) detail: Detail<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Detail<'a> {
    None,
    Range { offset: u64, len: usize },
    Len(u64),
    To(&'a Path),
}

/// The last calls, as lines.
///
/// **Invariants**: at most `limit` lines.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace {
    pub(super) limit: usize,
    lines: VecDeque<String>,
}

impl Operation {
    /// Whether [`SimDisk::operations`](super::SimDisk::operations) counts it: those that may change something or make
    /// it durable. It depends on the call alone and not on the state, so that the numbering of a workload stays the
    /// same under faults.
    pub fn is_counted(self) -> bool {
        !matches!(self, Self::Open | Self::Read | Self::Inspect | Self::List)
    }

    fn action(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Create => "create",
            Self::Read => "read",
            Self::Write => "write",
            Self::SetLen => "resize",
            Self::Sync => "sync",
            Self::Inspect => "inspect",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::Link => "link",
            Self::CreateDir => "create directory",
            Self::SyncDir => "sync directory",
            Self::List => "list",
            Self::Lock => "lock",
        }
    }
}

impl Fault {
    pub(super) fn error(self) -> io::Error {
        match self {
            Self::Eio | Self::SyncReverts | Self::SyncForgets => Errno::IO.into(),
            Self::Enospc => Errno::NOSPC.into(),
            Self::PowerLoss => power_lost(),
        }
    }
}

impl Plan {
    /// Counts `operation`. Returns whether the fault is due.
    pub(super) fn meets(&mut self, operation: Operation) -> bool {
        let waits_for = match self.operation {
            Some(awaited) => awaited == operation,
            None => operation.is_counted(),
        };
        self.remaining -= u64::from(waits_for);
        self.remaining == 0
    }
}

impl<'a> Call<'a> {
    pub(super) fn new(operation: Operation, path: &'a Path) -> Self {
        Self { operation, path, detail: Detail::None }
    }

    pub(super) fn with(self, detail: Detail<'a>) -> Self {
        Self { detail, ..self }
    }

    pub(super) fn error(&self, cause: io::Error) -> io::Error {
        let offset = match self.detail {
            Detail::Range { offset, .. } => Some(offset),
            _ => None,
        };
        DiskError::wrap(self.operation.action(), self.path, offset, cause)
    }
}

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.operation.action(), self.path.display())?;
        match self.detail {
            Detail::None => Ok(()),
            Detail::Range { offset, len } => write!(f, " [{offset}, +{len})"),
            Detail::Len(len) => write!(f, " to {len} bytes"),
            Detail::To(path) => write!(f, " to {}", path.display()),
        }
    }
}

impl Trace {
    /// Adds a line. `line` is not called when nothing is kept.
    pub(super) fn add(&mut self, line: impl FnOnce() -> String) {
        if self.limit == 0 {
            return;
        }
        while self.lines.len() >= self.limit {
            self.lines.pop_front();
        }
        self.lines.push_back(line());
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }
}

pub(super) fn power_lost() -> io::Error {
    io::Error::other("power lost")
}
