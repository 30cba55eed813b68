//! Group commit: decides when the log is written, when it is synced, and which replies may leave.
//!
//! A sync takes as long for one write as for fifty. So nobody gets a sync of their own: while one runs, everything that
//! arrives is collected, and the next sync serves all of it at once (DDIA ch. 1, "Reliability", asks for the promise;
//! Gray and Reuter, *Transaction Processing*, 1992, describe this way of affording it). No delay is added anywhere: under
//! light load a group is one command, under heavy load the groups grow by themselves.
//!
//! The promise is in the replies. [`Policy::Always`] lets a reply leave when a sync that covers it has returned, a
//! read's reply too: a client that was shown a value must never learn later that it was not so. The other policies let a
//! write's reply leave when the write has reached the page cache: it survives the process, not the power.
//!
//! After a *failed write* the buffer is kept and tried again; memory is ahead of the log then: what waits for it goes on
//! waiting, and new writes are refused. After a *failed sync* there is no trying again: the page cache may have dropped the
//! pages, and a second sync would report a success that means nothing (Rebello et al., "Can Applications Recover from
//! fsync Failures?", USENIX ATC 2020). Whatever was not durable by then is never acknowledged.
//!
//! ```text
//!            the log, in bytes        ──────────────────────────────────────▶
//!            │ synced                 │ written            │ appended
//!   durable ─┘    in the page cache ──┘    in the buffer ──┘
//!            └ Always releases up to here
//!                                     └ EverySec and No release up to here
//! ```
//!
//! **Left out**: syncing a range of the file, several syncs in flight, and delaying a sync on purpose so that more may join
//! it (PostgreSQL's `commit_delay`).

use std::time::Duration;

use super::durability::{Effect, Effects, Event, Fate, Lsn, Policy, Reason};
use super::durability::{RETRY_INTERVAL, SLOW_SYNC, SYNC_INTERVAL};

/// The state of the log, as far as acknowledging goes.
///
/// **Invariants**: `synced <= written <= appended`. At most one write and one sync are in flight, and under
/// [`Policy::Always`] never both. Once `frozen` is set, no write, no sync and no release ever follows.
#[derive(Debug, Clone)]
pub struct GroupCommit {
    policy: Policy,
    /// In the buffer, or further.
    appended: Lsn,
    /// In the page cache, or further.
    written: Lsn,
    /// Durable.
    synced: Lsn,
    /// What the last [`Effect::Release`] named.
    released: Lsn,
    /// What the last [`Effect::Abandon`] was told for: everything up to here has been decided.
    abandoned: Lsn,
    writing: bool,
    syncing: Option<Syncing>,
    /// When the last sync started.
    last_sync: Option<Duration>,
    refused: Option<Reason>,
    /// When a failed write may be tried again.
    retry_at: Duration,
    /// After a failed sync: the position up to which replies may leave, for good.
    frozen: Option<Lsn>,
    shutting_down: bool,
}

/// The sync in flight.
#[derive(Debug, Clone, Copy)]
struct Syncing {
    since: Duration,
    reported: bool,
}

impl GroupCommit {
    /// Group commit for an empty buffer, over a log that is durable as it is.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            appended: Lsn(0),
            written: Lsn(0),
            synced: Lsn(0),
            released: Lsn(0),
            abandoned: Lsn(0),
            writing: false,
            syncing: None,
            last_sync: None,
            refused: None,
            retry_at: Duration::ZERO,
            frozen: None,
            shutting_down: false,
        }
    }

    /// Takes note of `event`, which happened at `now` (since any fixed moment, never falling), and says what is to be done.
    pub fn handle(&mut self, now: Duration, event: Event) -> Effects {
        let mut effects = Effects::new();
        self.note(now, event, &mut effects);
        self.decide(now, &mut effects);
        effects
    }

    /// The position that the reply to a read must wait for, when the buffer reached up to `executed` as it was executed: what
    /// it could have seen. A write's reply waits for its own record, which is `executed` under every policy.
    pub fn read_waits_for(&self, executed: Lsn) -> Lsn {
        // >>> exercise: what must be settled before a read's answer may be shown, under each policy
        match self.policy {
            Policy::Always => executed,
            Policy::EverySec | Policy::No => Lsn(0),
        }
        // <<<
    }

    /// The position up to which replies may leave.
    pub fn releasable(&self) -> Lsn {
        // >>> exercise: how far the policy's promise is kept; nothing more is kept once a sync has failed
        match (self.frozen, self.policy) {
            (Some(frozen), _) => frozen,
            (None, Policy::Always) => self.synced,
            (None, Policy::EverySec | Policy::No) => self.written,
        }
        // <<<
    }

    /// What becomes of a reply that waits for `lsn`.
    pub fn fate(&self, lsn: Lsn) -> Fate {
        if lsn <= self.releasable() {
            Fate::Leaves
        } else if self.frozen.is_some() {
            Fate::Never
        } else {
            Fate::Waits
        }
    }

    /// Why commands that write are refused at present, if they are.
    pub fn refused(&self) -> Option<Reason> {
        self.refused
    }

    /// Whether everything that was appended is durable and nothing is in flight: a shutdown waits for this.
    pub fn is_settled(&self) -> bool {
        self.synced == self.appended && !self.writing && self.syncing.is_none()
    }

    /// Brings the state up to what `event` says.
    fn note(&mut self, now: Duration, event: Event, effects: &mut Effects) {
        // >>> exercise: move the positions, begin and end refusing writes; after a failed sync nothing is durable any more
        match event {
            Event::Appended(lsn) => self.appended = self.appended.max(lsn),
            Event::Written(lsn) => {
                self.writing = false;
                self.written = self.written.max(lsn);
                if matches!(self.refused, Some(Reason::DiskFull | Reason::WriteFailed)) {
                    self.refused = None;
                    effects.push(Effect::AcceptWrites);
                }
            }
            Event::WrittenInReserve(lsn) => {
                self.writing = false;
                self.written = self.written.max(lsn);
                self.refuse(now, Reason::DiskFull, effects);
            }
            Event::WriteFailed(failure) => {
                self.writing = false;
                self.refuse(now, failure.into(), effects);
            }
            Event::Synced(lsn) => {
                self.syncing = None;
                self.synced = self.synced.max(lsn);
            }
            Event::SyncFailed => {
                self.syncing = None;
                let durable = self.releasable();
                self.frozen = Some(durable);
                self.abandoned = durable;
                self.refuse(now, Reason::SyncFailed, effects);
            }
            Event::Tick => {}
            Event::SetPolicy(policy) => {
                self.policy = policy;
                self.released = self.released.min(self.releasable());
            }
            Event::Shutdown => self.shutting_down = true,
        }
        // <<<
    }

    /// Issues whatever is due, in the order in which it is to be done.
    fn decide(&mut self, now: Duration, effects: &mut Effects) {
        // >>> exercise: release, then write, then sync: each as soon as the policy allows, at most one sync in flight
        if let Some(durable) = self.frozen {
            if self.appended > self.abandoned {
                self.abandoned = self.appended;
                effects.push(Effect::Abandon(durable));
            }
            return;
        }
        let releasable = self.releasable();
        if releasable > self.released {
            self.released = releasable;
            effects.push(Effect::Release(releasable));
        }
        if self.write_is_due(now) {
            self.writing = true;
            effects.push(Effect::Write);
        } else if self.sync_is_due(now) {
            self.syncing = Some(Syncing { since: now, reported: false });
            self.last_sync = Some(now);
            effects.push(Effect::Sync(self.written));
        }
        if let Some(syncing) = &mut self.syncing
            && !syncing.reported
            && now.saturating_sub(syncing.since) > SLOW_SYNC
        {
            syncing.reported = true;
            effects.push(Effect::ReportSlowSync(now.saturating_sub(syncing.since)));
        }
        // <<<
    }

    /// Whether the buffer is to be written. A group that would be written under [`Policy::Always`] while a sync runs could not
    /// leave before the next one anyway: it is left to grow.
    fn write_is_due(&self, now: Duration) -> bool {
        // >>> exercise: something to write and nothing in its way; a refused log is tried again from `retry_at` on
        let wanted = match self.refused {
            Some(_) => now >= self.retry_at,
            None => self.appended > self.written,
        };
        wanted && !self.writing && (self.policy != Policy::Always || self.syncing.is_none())
        // <<<
    }

    /// Whether a sync is to be started.
    fn sync_is_due(&self, now: Duration) -> bool {
        // >>> exercise: something that a sync would serve, none in flight, and the policy's moment
        let due = match self.policy {
            Policy::Always => true,
            Policy::EverySec => self.last_sync.is_none_or(|last| now.saturating_sub(last) >= SYNC_INTERVAL),
            Policy::No => false,
        };
        self.written > self.synced && self.syncing.is_none() && !self.writing && (due || self.shutting_down)
        // <<<
    }

    fn refuse(&mut self, now: Duration, reason: Reason, effects: &mut Effects) {
        self.retry_at = now + RETRY_INTERVAL;
        let known = self.refused == Some(reason) || self.refused == Some(Reason::SyncFailed);
        if !known {
            self.refused = Some(reason);
            effects.push(Effect::RefuseWrites(reason));
        }
    }
}
