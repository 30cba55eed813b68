//! The judge of `group_commit`: which replies may leave when, and how many syncs that may cost.

use std::time::Duration;

use ch01_kv::engine::durability::{Effect, Event, Fate, Lsn, Policy, Reason, WriteFailure};
use ch01_kv::engine::durability::{RETRY_INTERVAL, SLOW_SYNC, SYNC_INTERVAL};
use ch01_kv::engine::group_commit::GroupCommit;
use common::judge::seeds;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Feeds one event and compares what is to be done with what is expected.
#[track_caller]
fn step(group: &mut GroupCommit, now_ms: u64, event: Event, expected: &[Effect]) {
    let effects = group.handle(Duration::from_millis(now_ms), event);
    assert_eq!(effects.as_slice(), expected, "after {event:?} at {now_ms} ms");
}

/// Group commit in which everything up to `lsn` has been appended and written.
fn written_up_to(policy: Policy, lsn: u64) -> GroupCommit {
    let mut group = GroupCommit::new(policy);
    group.handle(Duration::ZERO, Event::Appended(Lsn(lsn)));
    group.handle(Duration::ZERO, Event::Written(Lsn(lsn)));
    group
}

#[test]
fn under_always_no_reply_leaves_before_the_sync_that_covers_it() {
    let mut group = GroupCommit::new(Policy::Always);
    assert_eq!(group.fate(Lsn(0)), Fate::Leaves, "what waits for nothing leaves at once");
    step(&mut group, 0, Event::Appended(Lsn(10)), &[Effect::Write]);
    assert_eq!(group.fate(Lsn(10)), Fate::Waits);
    step(&mut group, 0, Event::Written(Lsn(10)), &[Effect::Sync(Lsn(10))]);
    assert_eq!(group.releasable(), Lsn(0), "the page cache is not durable");
    assert!(!group.is_settled());
    step(&mut group, 5, Event::Tick, &[]);
    step(&mut group, 9, Event::Synced(Lsn(10)), &[Effect::Release(Lsn(10))]);
    assert_eq!(group.fate(Lsn(10)), Fate::Leaves);
    assert!(group.is_settled());
    step(&mut group, 5000, Event::Tick, &[]);
}

#[test]
fn what_arrives_during_a_sync_waits_for_the_next_one_and_shares_it() {
    let mut group = written_up_to(Policy::Always, 10);
    // A hundred clients write while the first sync runs. None of them gets a write or a sync of their own.
    for client in 1..=100 {
        step(&mut group, 1, Event::Appended(Lsn(10 + client)), &[]);
    }
    step(&mut group, 5, Event::Synced(Lsn(10)), &[Effect::Release(Lsn(10)), Effect::Write]);
    assert_eq!(group.fate(Lsn(11)), Fate::Waits, "a sync covers what was written before it started, and no more");
    step(&mut group, 6, Event::Appended(Lsn(120)), &[]);
    step(&mut group, 6, Event::Written(Lsn(110)), &[Effect::Write]);
    step(&mut group, 6, Event::Written(Lsn(120)), &[Effect::Sync(Lsn(120))]);
    step(&mut group, 9, Event::Synced(Lsn(120)), &[Effect::Release(Lsn(120))]);
    step(&mut group, 10, Event::Tick, &[]);
}

#[test]
fn a_read_waits_for_every_write_that_it_could_have_seen() {
    let mut group = written_up_to(Policy::Always, 10);
    // The key that was set at 10 is read, before the sync: by someone else, who has written nothing.
    let seen = group.read_waits_for(Lsn(10));
    assert_eq!(group.fate(seen), Fate::Waits);
    step(&mut group, 4, Event::Synced(Lsn(10)), &[Effect::Release(Lsn(10))]);
    assert_eq!(group.fate(seen), Fate::Leaves);
    assert_eq!(group.fate(group.read_waits_for(Lsn(10))), Fate::Leaves, "a read of what is durable waits for nothing");
    // In one batch: the write is in the buffer, and group commit has not been told of it yet.
    assert_eq!(group.fate(group.read_waits_for(Lsn(17))), Fate::Waits);
    // Where no write waits for the disk, no read does, not even while the disk is full.
    for policy in [Policy::EverySec, Policy::No] {
        let mut group = GroupCommit::new(policy);
        group.handle(Duration::ZERO, Event::Appended(Lsn(10)));
        group.handle(Duration::ZERO, Event::WriteFailed(WriteFailure::DiskFull));
        assert_eq!(group.fate(group.read_waits_for(Lsn(10))), Fate::Leaves, "{policy}");
    }
}

#[test]
fn everysec_releases_after_the_write_and_syncs_once_a_second() {
    let second = SYNC_INTERVAL.as_millis() as u64;
    let mut group = GroupCommit::new(Policy::EverySec);
    step(&mut group, 0, Event::Appended(Lsn(10)), &[Effect::Write]);
    assert_eq!(group.fate(Lsn(10)), Fate::Waits, "what is in the buffer is lost with the process");
    step(&mut group, 0, Event::Written(Lsn(10)), &[Effect::Release(Lsn(10)), Effect::Sync(Lsn(10))]);
    step(&mut group, 5, Event::Synced(Lsn(10)), &[]);
    step(&mut group, 6, Event::Appended(Lsn(20)), &[Effect::Write]);
    step(&mut group, 6, Event::Written(Lsn(20)), &[Effect::Release(Lsn(20))]);
    step(&mut group, second - 1, Event::Tick, &[]);
    step(&mut group, second, Event::Tick, &[Effect::Sync(Lsn(20))]);
    // The disk is slow. Writes go on, no second sync joins the first, and the operator hears of it once.
    step(&mut group, second + 1, Event::Appended(Lsn(30)), &[Effect::Write]);
    step(&mut group, second + 1, Event::Written(Lsn(30)), &[Effect::Release(Lsn(30))]);
    step(&mut group, second * 2, Event::Tick, &[]);
    let slow = SLOW_SYNC.as_millis() as u64 + 1;
    step(&mut group, second + slow, Event::Tick, &[Effect::ReportSlowSync(Duration::from_millis(slow))]);
    step(&mut group, second + slow + 500, Event::Tick, &[]);
    step(&mut group, second * 9, Event::Synced(Lsn(20)), &[Effect::Sync(Lsn(30))]);
    step(&mut group, second * 9 + 1, Event::Synced(Lsn(30)), &[]);
    step(&mut group, second * 99, Event::Tick, &[]);

    let mut group = GroupCommit::new(Policy::No);
    step(&mut group, 0, Event::Appended(Lsn(10)), &[Effect::Write]);
    step(&mut group, 0, Event::Written(Lsn(10)), &[Effect::Release(Lsn(10))]);
    step(&mut group, second * 99, Event::Tick, &[]);
    step(&mut group, second * 99, Event::Shutdown, &[Effect::Sync(Lsn(10))]);
    step(&mut group, second * 99, Event::Synced(Lsn(10)), &[]);
    assert!(group.is_settled());
}

#[test]
fn a_full_disk_acknowledges_nothing_and_refuses_writes_until_there_is_space() {
    let retry = RETRY_INTERVAL.as_millis() as u64;
    let full = Event::WriteFailed(WriteFailure::DiskFull);
    let mut group = GroupCommit::new(Policy::Always);
    step(&mut group, 0, Event::Appended(Lsn(10)), &[Effect::Write]);
    step(&mut group, 0, full, &[Effect::RefuseWrites(Reason::DiskFull)]);
    assert_eq!(group.refused(), Some(Reason::DiskFull));
    assert_eq!(group.fate(Lsn(10)), Fate::Waits);
    step(&mut group, 1, Event::Appended(Lsn(12)), &[]);
    step(&mut group, retry - 1, Event::Tick, &[]);
    step(&mut group, retry, Event::Tick, &[Effect::Write]);
    step(&mut group, retry, full, &[]);
    step(&mut group, retry + 1, Event::Tick, &[]);
    step(&mut group, retry * 2, Event::Tick, &[Effect::Write]);
    step(&mut group, retry * 2, Event::Written(Lsn(12)), &[Effect::AcceptWrites, Effect::Sync(Lsn(12))]);
    assert_eq!(group.refused(), None);
    step(&mut group, retry * 2 + 5, Event::Synced(Lsn(12)), &[Effect::Release(Lsn(12))]);

    // Written into the reserve: that much is as good as any write, and what comes next is refused until there is room again.
    let reserve = Event::WrittenInReserve(Lsn(20));
    step(&mut group, 1000, Event::Appended(Lsn(20)), &[Effect::Write]);
    step(&mut group, 1000, reserve, &[Effect::RefuseWrites(Reason::DiskFull), Effect::Sync(Lsn(20))]);
    step(&mut group, 1001, Event::Synced(Lsn(20)), &[Effect::Release(Lsn(20))]);
    assert_eq!(group.fate(group.read_waits_for(Lsn(20))), Fate::Leaves, "reads go on");
    step(&mut group, 1000 + retry, Event::Tick, &[Effect::Write]);
    step(&mut group, 1000 + retry, reserve, &[]);
    step(&mut group, 1000 + retry * 2, Event::Tick, &[Effect::Write]);
    step(&mut group, 1000 + retry * 2, Event::Written(Lsn(20)), &[Effect::AcceptWrites]);

    let mut group = GroupCommit::new(Policy::EverySec);
    step(&mut group, 0, Event::Appended(Lsn(10)), &[Effect::Write]);
    step(&mut group, 0, Event::WriteFailed(WriteFailure::Other), &[Effect::RefuseWrites(Reason::WriteFailed)]);
    assert_eq!(group.fate(Lsn(10)), Fate::Waits, "the process may still lose it");
}

#[test]
fn a_failed_sync_is_final() {
    let mut group = written_up_to(Policy::Always, 10);
    step(&mut group, 1, Event::Synced(Lsn(10)), &[Effect::Release(Lsn(10))]);
    step(&mut group, 2, Event::Appended(Lsn(20)), &[Effect::Write]);
    step(&mut group, 2, Event::Written(Lsn(20)), &[Effect::Sync(Lsn(20))]);
    step(&mut group, 3, Event::Appended(Lsn(30)), &[]);
    step(&mut group, 4, Event::SyncFailed, &[Effect::RefuseWrites(Reason::SyncFailed), Effect::Abandon(Lsn(10))]);
    assert_eq!(group.fate(Lsn(10)), Fate::Leaves);
    assert_eq!(group.fate(Lsn(11)), Fate::Never);
    assert_eq!(group.fate(group.read_waits_for(Lsn(30))), Fate::Never, "memory holds what will never be durable");
    // A second sync would succeed, and mean nothing. It is not asked for, and not believed.
    step(&mut group, 5000, Event::Tick, &[]);
    step(&mut group, 5001, Event::Synced(Lsn(30)), &[]);
    step(&mut group, 5002, Event::Written(Lsn(30)), &[]);
    step(&mut group, 5003, Event::WriteFailed(WriteFailure::DiskFull), &[]);
    assert_eq!(group.releasable(), Lsn(10));
    assert_eq!(group.refused(), Some(Reason::SyncFailed), "until the process is restarted");
    step(&mut group, 5004, Event::Appended(Lsn(40)), &[Effect::Abandon(Lsn(10))]);
    step(&mut group, 9000, Event::Shutdown, &[]);

    let mut group = written_up_to(Policy::EverySec, 10);
    step(&mut group, 1, Event::SyncFailed, &[Effect::RefuseWrites(Reason::SyncFailed)]);
    assert_eq!(group.releasable(), Lsn(10), "what had been written had been acknowledged");
    step(&mut group, 1, Event::Appended(Lsn(20)), &[Effect::Abandon(Lsn(10))]);
}

/// A disk and its clients, as far as group commit can tell, with every latency and failure drawn from a seed.
struct World {
    rng: Xoshiro256PlusPlus,
    seed: u64,
    group: GroupCommit,
    policy: Policy,
    now: Duration,
    appended: u64,
    written: u64,
    durable: u64,
    refused: bool,
    full_until: Duration,
    write_done: Option<Duration>,
    sync_done: Option<(Duration, u64)>,
    last_sync: Option<Duration>,
    failed: bool,
    /// Whether syncs may fail in this world.
    treacherous: bool,
    /// The positions that replies wait for.
    waiting: Vec<u64>,
    syncs: u64,
    served: u64,
    /// Since when something is written and unsynced.
    unsynced_since: Option<Duration>,
}

impl World {
    fn new(seed: u64, policy: Policy) -> Self {
        let treacherous = seed % 4 == 3;
        Self {
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            seed,
            group: GroupCommit::new(policy),
            policy,
            now: Duration::ZERO,
            appended: 0,
            written: 0,
            durable: 0,
            refused: false,
            full_until: Duration::ZERO,
            write_done: None,
            sync_done: None,
            last_sync: None,
            failed: false,
            treacherous,
            waiting: Vec::new(),
            syncs: 0,
            served: 0,
            unsynced_since: None,
        }
    }

    fn handle(&mut self, event: Event) {
        for effect in self.group.handle(self.now, event) {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        let Self { seed, policy, now, .. } = *self;
        let at = format!("{policy}, seed {seed}, {now:?}: {effect:?}");
        assert!(
            !self.failed || matches!(effect, Effect::Abandon(_) | Effect::RefuseWrites(_)),
            "after a failed sync: {at}"
        );
        match effect {
            Effect::Write => {
                assert!(self.write_done.is_none(), "two writes at once: {at}");
                assert!(self.sync_done.is_none() || policy != Policy::Always, "a group that should have grown: {at}");
                let latency = if self.rng.random_bool(0.7) { 0 } else { self.rng.random_range(0..3000) };
                self.write_done = Some(now + Duration::from_micros(latency));
            }
            Effect::Sync(lsn) => {
                assert!(self.sync_done.is_none(), "two syncs at once: {at}");
                assert_eq!(lsn.0, self.written, "a sync covers what is written: {at}");
                assert!(lsn.0 > self.durable, "a sync that serves nobody: {at}");
                if policy == Policy::EverySec {
                    assert!(
                        self.last_sync.is_none_or(|last| now - last >= SYNC_INTERVAL),
                        "more than one a second: {at}"
                    );
                }
                assert!(policy != Policy::No, "nobody asked for it: {at}");
                let slow = self.rng.random_bool(0.05);
                let latency = self.rng.random_range(if slow { 0..3_000_000 } else { 100..20_000 });
                self.sync_done = Some((now + Duration::from_micros(latency), lsn.0));
                self.last_sync = Some(now);
                self.syncs += 1;
            }
            Effect::Release(lsn) => {
                let promised = if policy == Policy::Always { self.durable } else { self.written };
                assert!(lsn.0 <= promised, "acknowledged before it is {promised}: {at}");
                let before = self.waiting.len();
                self.waiting.retain(|wanted| *wanted > lsn.0);
                self.served += (before - self.waiting.len()) as u64;
            }
            Effect::Abandon(lsn) => {
                assert!(self.failed, "nothing has failed: {at}");
                self.waiting.retain(|wanted| *wanted <= lsn.0);
            }
            Effect::RefuseWrites(_) => self.refused = true,
            Effect::AcceptWrites => self.refused = false,
            Effect::ReportSlowSync(_) => {}
        }
    }

    /// Finishes what the disk has finished by now.
    fn complete(&mut self) {
        if self.write_done.is_some_and(|at| at <= self.now) {
            self.write_done = None;
            if self.now < self.full_until {
                self.handle(Event::WriteFailed(WriteFailure::DiskFull));
            } else {
                self.written = self.appended;
                self.unsynced_since.get_or_insert(self.now);
                self.handle(Event::Written(Lsn(self.written)));
            }
        }
        if let Some((at, lsn)) = self.sync_done
            && at <= self.now
        {
            self.sync_done = None;
            if self.treacherous && self.rng.random_bool(0.02) {
                // Effects of this very event are already held to what must follow it.
                self.failed = true;
                self.handle(Event::SyncFailed);
            } else {
                self.durable = lsn;
                self.unsynced_since = (self.written > lsn).then_some(self.now);
                self.handle(Event::Synced(Lsn(lsn)));
            }
        }
    }

    /// A batch of commands from several clients.
    fn batch(&mut self) {
        for _ in 0..self.rng.random_range(1..6) {
            let wanted = if self.rng.random_bool(0.4) || self.refused {
                self.group.read_waits_for(Lsn(self.appended))
            } else {
                self.appended += self.rng.random_range(1..100);
                Lsn(self.appended)
            };
            match self.group.fate(wanted) {
                Fate::Leaves => {
                    let promised = if self.policy == Policy::Always { self.durable } else { self.written };
                    assert!(wanted.0 <= promised, "{}, seed {}: answered before it is durable", self.policy, self.seed);
                }
                Fate::Waits => self.waiting.push(wanted.0),
                Fate::Never => assert!(self.failed, "nothing has failed"),
            }
        }
        if self.appended > self.written {
            self.handle(Event::Appended(Lsn(self.appended)));
        }
    }

    fn run(mut self) -> Self {
        let mut next_tick = Duration::ZERO;
        for _ in 0..3000 {
            self.now += Duration::from_micros(self.rng.random_range(0..4000));
            self.complete();
            if self.rng.random_bool(0.3) {
                self.batch();
            }
            if self.rng.random_bool(0.001) {
                self.full_until = self.now + Duration::from_millis(self.rng.random_range(0..800));
            }
            if self.now >= next_tick {
                next_tick = self.now + RETRY_INTERVAL;
                self.handle(Event::Tick);
                if self.policy == Policy::EverySec
                    && self.sync_done.is_none()
                    && !self.failed
                    && self.write_done.is_none()
                {
                    let unsynced = self.unsynced_since.map_or(Duration::ZERO, |since| self.now - since);
                    assert!(
                        unsynced <= SYNC_INTERVAL + RETRY_INTERVAL,
                        "seed {}: unsynced for {unsynced:?}",
                        self.seed
                    );
                }
            }
        }
        // The load ends, space comes back, and everyone must get their answer.
        for _ in 0..200 {
            self.now += RETRY_INTERVAL;
            self.complete();
            self.handle(Event::Tick);
        }
        self
    }
}

#[test]
fn every_schedule_keeps_the_promise_and_leaves_nobody_waiting() {
    for policy in [Policy::Always, Policy::EverySec, Policy::No] {
        let (mut syncs, mut served) = (0, 0);
        for seed in seeds(40) {
            let world = World::new(seed, policy).run();
            assert!(world.waiting.is_empty(), "{policy}, seed {seed}: {} replies wait for ever", world.waiting.len());
            if !world.failed {
                assert!(!world.refused, "{policy}, seed {seed}: writes are refused for ever");
                assert!(
                    world.group.is_settled() || policy == Policy::No,
                    "{policy}, seed {seed}: something stays unsynced"
                );
            }
            syncs += world.syncs;
            served += world.served;
        }
        if policy == Policy::Always {
            assert!(syncs * 3 <= served, "{syncs} syncs for {served} replies: they do not share");
        }
    }
}
