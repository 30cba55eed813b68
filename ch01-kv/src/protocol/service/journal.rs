//! What the state machine tells the journal, and what it does for it: changes are recorded, rewrites begun and snapshots
//! taken for them, and replies wait for what they have seen.

use common::resp::Request;
use common::resp::server::Effect;
use rand_xoshiro::rand_core::Rng;

use super::{Executing, Kv};
use crate::engine::durability::{Fate, Reason};
use crate::protocol::dump::Dump;
use crate::storage::journal::{Journal, Notice};

/// How many entries a step of a snapshot saves: some milliseconds' work, between two batches of requests.
const SNAPSHOT_STEP: usize = 2_000;

impl Kv {
    /// Records what the last command changed.
    pub(in crate::protocol) fn record(&mut self, db: usize, request: &Request<'_>) {
        self.stats.changes += self.changes.count();
        if let Some(journal) = &mut self.journal {
            let begins = self.executing == Executing::Transaction;
            if begins {
                self.executing = Executing::RecordedTransaction;
            }
            let changes = &self.changes;
            journal.record(db, |log| {
                if begins {
                    common::resp::encode_args(log, [&b"MULTI"[..]]);
                }
                if changes.instead().is_empty() {
                    request.encode_into(log);
                }
                for instead in changes.instead() {
                    instead.as_request().encode_into(log);
                }
            });
            self.waits_for = journal.position().0;
        }
        self.changes.clear();
    }

    /// Records a change by a command that is no data command.
    pub(in crate::protocol) fn record_server_change(&mut self, db: usize, request: &Request<'_>) {
        self.changes.changed(1);
        self.record(db, request);
    }

    /// Counts and records that a key's deadline has passed.
    pub(super) fn record_expiry(&mut self, db: usize, key: &[u8]) {
        self.stats.expired_keys += 1;
        if let Some(journal) = &mut self.journal {
            journal.record_expiry(db, key);
        }
    }

    /// Records that a key was evicted.
    pub(super) fn record_eviction(&mut self, db: usize, key: &[u8]) {
        if let Some(journal) = &mut self.journal {
            journal.record(db, |log| common::resp::encode_args(log, [&b"DEL"[..], key]));
            self.waits_for = journal.position().0;
        }
    }

    /// Begins to rewrite the log; false when that is under way.
    pub(in crate::protocol) fn rewrite_log(&mut self) -> bool {
        let salt = self.random.0.next_u64();
        self.journal.as_mut().is_some_and(|journal| journal.rewrite(salt))
    }

    /// Rewrites the log when it has grown by as much as the parameters say.
    pub(super) fn schedule_rewrite(&mut self) {
        let Some(journal) = &self.journal else { return };
        let (len, base) = journal.sizes();
        let percentage = self.config.rewrite_percentage;
        let grown = percentage > 0 && len >= base.saturating_add(base.saturating_mul(percentage) / 100);
        // After a rewrite that failed, the log has to grow further before the next attempt.
        let due = grown && len >= self.config.rewrite_min_bytes && len >= self.rewrite_scheduled_at_bytes;
        if due && !journal.is_rewriting() {
            self.rewrite_scheduled_at_bytes = len.saturating_add(len / 10);
            self.rewrite_log();
        }
    }

    /// Does what the journal asks for.
    pub(super) fn heed_journal(&mut self) {
        while let Some(notice) = self.journal.as_mut().and_then(Journal::notice) {
            match notice {
                Notice::Abandon(position) => self.effects.push_back(Effect::Abandon(position.0)),
                Notice::BeginSnapshot => {
                    for (index, db) in self.dbs.iter_mut().enumerate() {
                        db.begin_snapshot(Box::new(Dump::new(index)));
                    }
                }
                Notice::ContinueSnapshot => self.continue_snapshot(),
                Notice::RewriteFailed => self.end_snapshot(),
                Notice::RewriteDone => tracing::info!("the log has been rewritten"),
            }
        }
    }

    /// Saves the next part of the snapshot.
    fn continue_snapshot(&mut self) {
        let mut saved = Vec::new();
        let mut complete = true;
        for db in &mut self.dbs {
            complete &= db.continue_snapshot(SNAPSHOT_STEP);
            if let Some(sink) = db.snapshot_sink() {
                saved.append(&mut sink.take_saved());
            }
        }
        if complete {
            self.end_snapshot();
        }
        if let Some(journal) = &mut self.journal {
            journal.add_snapshot(saved, complete);
        }
    }

    pub(super) fn end_snapshot(&mut self) {
        for db in &mut self.dbs {
            db.end_snapshot();
        }
    }

    /// What is said now may have seen everything that has been recorded. After a failed sync it has not: commands on data are
    /// refused then, and to say so waits for nothing.
    pub(super) fn wait_for_what_was_seen(&mut self) {
        let Some(journal) = &self.journal else { return };
        let seen = journal.read_waits_for();
        if journal.fate(seen) != Fate::Never {
            self.waits_for = self.waits_for.max(seen.0);
        }
    }

    /// After a failed sync, closes the connections with replies that can never leave: also those that have got one since.
    pub(super) fn abandon_the_hopeless(&mut self) {
        let Some(journal) = &self.journal else { return };
        if journal.refused() == Some(Reason::SyncFailed) {
            self.effects.push_back(Effect::Abandon(journal.releasable().0));
        }
    }
}
