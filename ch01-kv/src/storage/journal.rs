//! The journal: the buffer that commands are recorded in, and the hands that do what [`GroupCommit`] decides about it
//! (DDIA ch. 1, "Reliability": what was promised holds whatever the disk does).
//!
//! ```text
//!   record ─> buffer ──Write──> log (page cache) ──Sync, in a thread──> disk
//!                └ position        the event loop goes on
//! ```
//!
//! A rewrite runs beside it: a snapshot of the databases goes to a new log step by step, then the groups that the live log
//! has received meanwhile, and at last the new log takes the live one's place. That last switch alone is made by the event
//! loop itself, and it waits for the disk there: what came since the last copy is copied, synced and named.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::disk::Disk;
use common::resp::{Request, encode_args};

use super::error::{StorageError, is_disk_full};
use super::format::Position;
use super::jobs::{Done, Job, Jobs};
use super::log::{Log, Room};
use super::opening::{LogOptions, Report};
use super::rewrite::{ReplaceError, Rewrite};
use crate::engine::durability::{Effect, Event, Fate, Lsn, Policy, Reason, WriteFailure};
use crate::engine::group_commit::GroupCommit;

/// How much padding is kept ahead of the log's end under `always`, in bytes: enough for thousands of small groups, and as a
/// reserve for what is being executed when the disk fills up.
const PREALLOCATE_BYTES: u64 = 1 << 20;

/// A buffer that has grown beyond this many bytes gives its memory back once it is written.
const KEPT_BUFFER_BYTES: usize = 1 << 20;

/// When less than this many bytes of the live log are left to copy, the rewritten log takes its place.
const NEAR_BYTES: u64 = 256 << 10;

/// How often the rest is copied before the switch is made, however much there is: a writer that is faster than the copying
/// would put it off for ever.
const COPY_ROUNDS: u32 = 8;

/// What the journal's owner has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Replies that wait for a later position never leave.
    Abandon(Lsn),
    /// The databases are to be snapshot now: what is recorded from here on comes after.
    BeginSnapshot,
    /// The next part of the snapshot is wanted: give it, even if it is empty, with [`Journal::add_snapshot`].
    ContinueSnapshot,
    /// The rewrite has failed; a snapshot that is being taken is in vain.
    RewriteFailed,
    /// The rewrite is done.
    RewriteDone,
}

/// The journal of a server.
///
/// **Invariants**: `buffer` holds what was recorded and is not written, the last bytes up to `appended`; `seen <= appended`; at
/// most one sync is under way, and none while a rewritten log takes the live one's place.
#[derive(Debug)]
pub struct Journal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    log: Log,
    commit: GroupCommit,
    policy: Policy,
    buffer: Vec<u8>,
    appended: u64,
    /// How far it reaches without the expiries at its end.
    seen: u64,
    /// The database that the records at the end of the buffer are about.
    selected: Option<usize>,
    jobs: Box<dyn Jobs>,
    syncing: bool,
    rewriting: Rewriting,
    /// The log's length after it was last rewritten, or opened.
    base_bytes: u64,
    notices: VecDeque<Notice>,
    counters: Counters,
}

/// What the journal has done so far, for `/metrics` and `INFO`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counters {
    /// Groups written.
    pub groups: u64,
    /// Syncs that succeeded.
    pub syncs: u64,
    /// Writes and syncs that failed.
    pub failures: u64,
    /// Rewrites that were completed.
    pub rewrites: u64,
    /// Whether the last rewrite failed, when there was one.
    pub last_rewrite_failed: bool,
}

/// How far a rewrite is.
#[derive(Debug)]
enum Rewriting {
    No,
    /// It begins as soon as the buffer is empty; this will be the new log's salt.
    Wanted(u64),
    /// The thread opens the new log; the snapshot was taken here.
    Beginning(Position),
    /// The snapshot is being added.
    Snapshot {
        from: Position,
        idle: Option<Rewrite>,
        complete: bool,
    },
    /// What came since is being copied.
    Copying {
        round: u32,
    },
    /// The rewritten log holds everything up to this position, and waits for the sync in flight.
    Ready {
        rewrite: Rewrite,
        copied: Position,
    },
}

impl Journal {
    /// Opens the journal in `dir`, calling `apply` for each command that it holds.
    ///
    /// # Errors
    ///
    /// As [`Log::open`].
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        policy: Policy,
        salt: u64,
        jobs: Box<dyn Jobs>,
        apply: &mut dyn FnMut(&Request<'_>) -> Result<(), String>,
    ) -> Result<(Self, Report), StorageError> {
        let options = LogOptions { salt, preallocate_bytes: preallocation(policy) };
        let (log, report) = Log::open(&disk, &dir, options, apply)?;
        let base_bytes = log.len_bytes();
        let journal = Self {
            disk,
            dir,
            log,
            commit: GroupCommit::new(policy),
            policy,
            buffer: Vec::new(),
            appended: 0,
            seen: 0,
            selected: None,
            jobs,
            syncing: false,
            rewriting: Rewriting::No,
            base_bytes,
            notices: VecDeque::new(),
            counters: Counters::default(),
        };
        Ok((journal, report))
    }

    /// Records commands about database `db`.
    pub fn record(&mut self, db: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.buffer.len();
        if self.selected != Some(db) {
            self.selected = Some(db);
            encode_args(&mut self.buffer, [&b"SELECT"[..], itoa::Buffer::new().format(db).as_bytes()]);
        }
        write(&mut self.buffer);
        self.appended += (self.buffer.len() - before) as u64;
        self.seen = self.appended;
    }

    /// Records that a key of database `db` has gone because its deadline has passed. Nobody waits for this to be durable: if it
    /// is lost, the deadline is still there, and has passed.
    pub fn record_expiry(&mut self, db: usize, key: &[u8]) {
        let seen = self.seen;
        self.record(db, |log| encode_args(log, [&b"DEL"[..], key]));
        self.seen = seen;
    }

    /// How far it has been recorded: what a reply to a write waits for.
    pub fn position(&self) -> Lsn {
        Lsn(self.appended)
    }

    /// What a reply to a read waits for.
    pub fn read_waits_for(&self) -> Lsn {
        self.commit.read_waits_for(Lsn(self.seen))
    }

    /// Up to where replies may leave.
    pub fn releasable(&self) -> Lsn {
        self.commit.releasable()
    }

    /// What becomes of a reply that waits for this position.
    pub fn fate(&self, position: Lsn) -> Fate {
        self.commit.fate(position)
    }

    /// How far it has been recorded what clients can have seen.
    pub fn seen(&self) -> Lsn {
        Lsn(self.seen)
    }

    /// Why writes are refused, if they are.
    pub fn refused(&self) -> Option<Reason> {
        self.commit.refused()
    }

    /// A batch of commands has been executed: whatever is due is written and synced, and what the disk has done is noted.
    pub fn advance(&mut self, now: Duration) {
        while let Some(done) = self.jobs.done() {
            self.note_done(now, done);
        }
        if self.appended > 0 {
            self.handle(now, Event::Appended(self.position()));
        }
        self.advance_rewrite(now);
    }

    /// Time passes.
    pub fn tick(&mut self, now: Duration) {
        self.handle(now, Event::Tick);
        self.advance(now);
    }

    /// Changes when the log is synced.
    pub fn set_policy(&mut self, now: Duration, policy: Policy) {
        if policy != self.policy {
            self.policy = policy;
            self.log.set_preallocate(preallocation(policy));
            self.handle(now, Event::SetPolicy(policy));
        }
    }

    /// What its owner has to know and has not been told.
    pub fn notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Wants the log rewritten; false when it is being rewritten already. `salt` is random.
    pub fn rewrite(&mut self, salt: u64) -> bool {
        let idle = matches!(self.rewriting, Rewriting::No);
        if idle {
            self.rewriting = Rewriting::Wanted(salt);
        }
        idle
    }

    /// Whether the log is being rewritten.
    pub fn is_rewriting(&self) -> bool {
        !matches!(self.rewriting, Rewriting::No)
    }

    /// Adds a part of the snapshot to the rewritten log; `complete` when it was the last.
    pub fn add_snapshot(&mut self, commands: Vec<u8>, complete: bool) {
        let Rewriting::Snapshot { idle, complete: last, .. } = &mut self.rewriting else { return };
        let Some(rewrite) = idle.take() else { return };
        *last = complete;
        self.jobs.submit(Job::AddGroup(rewrite, commands));
    }

    /// The log's length now, and after it was last rewritten, in bytes.
    pub fn sizes(&self) -> (u64, u64) {
        (self.log.len_bytes(), self.base_bytes)
    }

    /// Bytes that are recorded and not written.
    pub fn buffered_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// What has been done so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Begins to make everything durable, whatever the policy.
    pub fn stop(&mut self, now: Duration) {
        self.rewriting = Rewriting::No;
        self.advance(now);
        self.handle(now, Event::Shutdown);
    }

    /// Waits until everything is durable, and ends the log.
    ///
    /// # Errors
    ///
    /// When the disk refuses what is left, or has lost what was to be synced.
    pub fn close(mut self, now: Duration) -> Result<(), StorageError> {
        self.stop(now);
        while self.syncing {
            let done = self.jobs.wait();
            self.note_done(now, done);
        }
        if !self.commit.is_settled() {
            let why = self.refused().map_or("not everything could be made durable", why_refused);
            return Err(StorageError::io("end", self.log.path())(std::io::Error::other(why)));
        }
        self.log.close()
    }

    fn handle(&mut self, now: Duration, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.commit.handle(now, event) {
                match effect {
                    Effect::Write => events.push_back(self.write()),
                    Effect::Sync(position) => {
                        self.syncing = true;
                        self.jobs.submit(Job::Sync(self.log.sync_point(), position));
                    }
                    Effect::Release(_) => {}
                    Effect::Abandon(position) => self.notices.push_back(Notice::Abandon(position)),
                    Effect::RefuseWrites(reason) => tracing::error!("writes are refused: {}", why_refused(reason)),
                    Effect::AcceptWrites => tracing::warn!("writes are accepted again"),
                    Effect::ReportSlowSync(since) => tracing::warn!(?since, "the disk takes long to sync the log"),
                }
            }
        }
    }

    fn write(&mut self) -> Event {
        match self.log.append_group(&self.buffer) {
            Ok(room) => {
                if !self.buffer.is_empty() {
                    self.counters.groups += 1;
                    if self.buffer.capacity() > KEPT_BUFFER_BYTES {
                        self.buffer = Vec::new();
                    } else {
                        self.buffer.clear();
                    }
                }
                match room {
                    Room::Ample => Event::Written(self.position()),
                    Room::Reserve => Event::WrittenInReserve(self.position()),
                }
            }
            Err(error) => {
                self.counters.failures += 1;
                tracing::debug!(%error, path = %self.log.path().display(), "cannot write to the log");
                Event::WriteFailed(if is_disk_full(&error) { WriteFailure::DiskFull } else { WriteFailure::Other })
            }
        }
    }

    fn note_done(&mut self, now: Duration, done: Done) {
        match done {
            Done::Sync(point, position, result) => {
                self.syncing = false;
                match result {
                    Ok(()) => {
                        self.counters.syncs += 1;
                        self.log.synced(&point);
                        // The switch to a rewritten log is made between two syncs, and under load the next one starts here.
                        if !self.install_if_ready(now) {
                            self.handle(now, Event::Synced(position));
                        }
                    }
                    Err(error) => {
                        self.counters.failures += 1;
                        tracing::error!(%error, path = %self.log.path().display(), "cannot sync the log");
                        self.handle(now, Event::SyncFailed);
                    }
                }
            }
            Done::Rewrite(Ok(rewrite), copied) => self.rewrite_step_done(rewrite, copied),
            Done::Rewrite(Err(error), _) => self.rewrite_failed(&error),
            Done::Closed => {}
        }
    }

    fn rewrite_step_done(&mut self, rewrite: Rewrite, copied: Option<Position>) {
        match (&mut self.rewriting, copied) {
            (Rewriting::Beginning(from), None) => {
                self.rewriting = Rewriting::Snapshot { from: *from, idle: Some(rewrite), complete: false };
                self.notices.push_back(Notice::ContinueSnapshot);
            }
            (Rewriting::Snapshot { from, complete: true, .. }, None) => {
                let from = *from;
                self.copy_tail(rewrite, from, 0);
            }
            (Rewriting::Snapshot { idle, .. }, None) => {
                *idle = Some(rewrite);
                self.notices.push_back(Notice::ContinueSnapshot);
            }
            (Rewriting::Copying { round }, Some(copied)) => {
                let left = self.log.len_bytes() - copied.offset;
                let round = *round;
                if left > NEAR_BYTES && round < COPY_ROUNDS {
                    self.copy_tail(rewrite, copied, round + 1);
                } else {
                    self.rewriting = Rewriting::Ready { rewrite, copied };
                }
            }
            // The server is stopping: the new log goes with its handle.
            _ => drop(rewrite),
        }
    }

    fn copy_tail(&mut self, rewrite: Rewrite, from: Position, round: u32) {
        self.rewriting = Rewriting::Copying { round };
        self.jobs.submit(Job::CopyTail { rewrite, live: self.log.live(), from, to: self.log.position() });
    }

    fn advance_rewrite(&mut self, now: Duration) {
        if let Rewriting::Wanted(salt) = self.rewriting
            && self.buffer.is_empty()
        {
            // From here on the log has to be understood without what came before.
            self.selected = None;
            self.rewriting = Rewriting::Beginning(self.log.position());
            self.notices.push_back(Notice::BeginSnapshot);
            self.jobs.submit(Job::BeginRewrite { disk: Arc::clone(&self.disk), dir: self.dir.clone(), salt });
        }
        self.install_if_ready(now);
    }

    /// Lets the rewritten log take the live one's place, when it is ready and no sync is under way; whether it has.
    fn install_if_ready(&mut self, now: Duration) -> bool {
        match std::mem::replace(&mut self.rewriting, Rewriting::No) {
            Rewriting::Ready { rewrite, copied } if !self.syncing => self.install(now, rewrite, copied),
            other => {
                self.rewriting = other;
                false
            }
        }
    }

    fn install(&mut self, now: Duration, rewrite: Rewrite, copied: Position) -> bool {
        let written = Lsn(self.appended - self.buffer.len() as u64);
        match self.log.replace_with(rewrite, copied) {
            Ok(old) => {
                self.base_bytes = self.log.len_bytes();
                self.counters.rewrites += 1;
                self.counters.last_rewrite_failed = false;
                self.jobs.submit(Job::Close(old));
                self.notices.push_back(Notice::RewriteDone);
                self.handle(now, Event::Synced(written));
                true
            }
            Err(ReplaceError::NotInstalled(error)) => {
                self.rewrite_failed(&error);
                false
            }
            Err(error @ ReplaceError::NotDurable(_)) => {
                self.rewrite_failed(&error);
                self.handle(now, Event::SyncFailed);
                true
            }
        }
    }

    fn rewrite_failed(&mut self, error: &(dyn std::error::Error + 'static)) {
        tracing::error!(error, "the log was not rewritten");
        self.rewriting = Rewriting::No;
        self.counters.last_rewrite_failed = true;
        self.notices.push_back(Notice::RewriteFailed);
    }
}

/// The reason in words, for the log and for `MISCONF`.
pub fn why_refused(reason: Reason) -> &'static str {
    match reason {
        Reason::DiskFull => "No space left on device",
        Reason::WriteFailed => "the log cannot be written",
        Reason::SyncFailed => "the log could not be synced; restart the server to find out what is durable",
    }
}

fn preallocation(policy: Policy) -> u64 {
    if policy == Policy::Always { PREALLOCATE_BYTES } else { 0 }
}
