//! The words in which durability is spoken of: positions in the log, policies, and what happens to writes, syncs and replies.
//!
//! They are apart from [`GroupCommit`](super::group_commit::GroupCommit), which decides over them, because the shell
//! speaks them too: it turns each [`Effect`] into a system call or a reply, and each outcome into an [`Event`].
//! DDIA ch. 1, "Reliability"; the policies are Redis's.
//!
//! **Left out**: `no-appendfsync-on-rewrite`, with which Redis does not sync while it rewrites its log, and a policy for each
//! write (PostgreSQL's `synchronous_commit` is one for each transaction).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use smallvec::SmallVec;

/// How long a write may stay unsynced under [`Policy::EverySec`], and how far apart its syncs start: the "second".
pub const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// A sync in flight for longer than this is reported: twice the interval, so that a disk that is merely busy is not.
pub const SLOW_SYNC: Duration = Duration::from_secs(2);

/// How long after a failed write it is tried again: short for a person who has just made space, long for a processor.
pub const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// What `GroupCommit::handle` answers: few enough to stay on the stack.
pub type Effects = SmallVec<[Effect; 4]>;

/// A position in the stream of bytes that this process has appended to its log: how many came before. It starts at 0 with
/// each process and never falls; it is no offset in a file, since a rewrite moves those.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

/// When the log is synced: Redis's `appendfsync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Before any reply leaves: an acknowledged write survives a power cut.
    Always,
    /// Once a second: a power cut costs about a second of acknowledged writes.
    EverySec,
    /// When the operating system likes to.
    No,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A batch of commands was executed; their records are in the buffer up to this position.
    Appended(Lsn),
    /// The write that [`Effect::Write`] asked for has reached the page cache up to this position.
    Written(Lsn),
    /// As [`Event::Written`], but the disk is full: it found its place in the reserve that the log had put by.
    WrittenInReserve(Lsn),
    /// The write that [`Effect::Write`] asked for has failed; the buffer is as it was.
    WriteFailed(WriteFailure),
    /// The sync that [`Effect::Sync`] asked for has returned, covering everything up to this position.
    Synced(Lsn),
    /// The sync that [`Effect::Sync`] asked for has failed.
    SyncFailed,
    /// Time has passed. Due at least every [`RETRY_INTERVAL`].
    Tick,
    /// The policy has been changed.
    SetPolicy(Policy),
    /// The process is about to end: everything is to be made durable, whatever the policy.
    Shutdown,
}

/// Why a write failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteFailure {
    /// No space left on the disk, or in the quota.
    DiskFull,
    /// Anything else.
    Other,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Write the whole buffer to the log as one group, and tell with [`Event::Written`] or [`Event::WriteFailed`].
    Write,
    /// Start a sync, and tell with [`Event::Synced`] of this position or [`Event::SyncFailed`]. It covers what is written.
    Sync(Lsn),
    /// The replies that wait for this position or an earlier one may leave.
    Release(Lsn),
    /// The replies that wait for a later position than this never leave; their connections are closed.
    Abandon(Lsn),
    /// Refuse commands that write, from now on.
    RefuseWrites(Reason),
    /// Take commands that write again.
    AcceptWrites,
    /// Tell the operator that a sync has been in flight for this long.
    ReportSlowSync(Duration),
}

/// Why commands that write are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Until there is space.
    DiskFull,
    /// Until a write succeeds.
    WriteFailed,
    /// Until the process is restarted.
    SyncFailed,
}

/// What becomes of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It may leave now.
    Leaves,
    /// It waits for an [`Effect::Release`].
    Waits,
    /// It never leaves: a sync failed that it would have had to wait for. An error in its place may.
    Never,
}

impl From<WriteFailure> for Reason {
    fn from(failure: WriteFailure) -> Self {
        match failure {
            WriteFailure::DiskFull => Self::DiskFull,
            WriteFailure::Other => Self::WriteFailed,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "always",
            Self::EverySec => "everysec",
            Self::No => "no",
        })
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Always, Self::EverySec, Self::No]
            .into_iter()
            .find(|policy| text.eq_ignore_ascii_case(&policy.to_string()))
            .ok_or_else(|| format!("appendfsync must be always, everysec or no, not '{text}'"))
    }
}
