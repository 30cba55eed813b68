#![allow(unused)]
// Exercise ch01/group_commit: Group commit: one sync for everyone who waits
// DDIA ch. 1, "Reliability"
//
// Write the state machine that decides when the log is written, when it is synced, and which replies may leave. It
// opens no file: it is told what has happened (`Event`) and says what is to be done (`Effect`). Under `always` no
// reply, a read's included, leaves before the sync that covers what it shows; while a sync runs, everything that
// arrives is collected for the next one. Under `everysec` and `no` a reply leaves when its write has reached the page
// cache. A failed write is tried again; a failed sync never is.
//
// Write what says todo!(). `cargo grade ch01/group_commit` judges it, `cargo grade hint ch01/group_commit` helps.

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
        todo!("group_commit: what must be settled before a read's answer may be shown, under each policy; you have self, executed")
    }

    /// The position up to which replies may leave.
    pub fn releasable(&self) -> Lsn {
        todo!("group_commit: how far the policy's promise is kept; nothing more is kept once a sync has failed; you have self")
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
        todo!("group_commit: move the positions, begin and end refusing writes; after a failed sync nothing is durable any more; you have self, now, event, effects")
    }

    /// Issues whatever is due, in the order in which it is to be done.
    fn decide(&mut self, now: Duration, effects: &mut Effects) {
        todo!("group_commit: release, then write, then sync: each as soon as the policy allows, at most one sync in flight; you have self, now, effects")
    }

    /// Whether the buffer is to be written. A group that would be written under [`Policy::Always`] while a sync runs could not
    /// leave before the next one anyway: it is left to grow.
    fn write_is_due(&self, now: Duration) -> bool {
        todo!("group_commit: something to write and nothing in its way; a refused log is tried again from `retry_at` on; you have self, now")
    }

    /// Whether a sync is to be started.
    fn sync_is_due(&self, now: Duration) -> bool {
        todo!("group_commit: something that a sync would serve, none in flight, and the policy's moment; you have self, now")
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
