//! A server on a simulated disk, its clients, and what they have been told: the shell's part, played by the book.
//!
//! Replies are held and released as `common::resp::server` does it. Beside that the machine keeps the history that a crash is
//! judged by: the whole state at each moment that a group of the log can end at, and how far of it anybody has been shown.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ch01_kv::engine::durability::Policy;
use ch01_kv::protocol::config::Config;
use ch01_kv::protocol::service::Kv;
use ch01_kv::storage::journal::Journal;
use ch01_kv::storage::{Report, StorageError};
use common::disk::{Crash, Disk, SimDisk};
use common::net::Peer;
use common::resp::server::{ConnId, Effect, Flow, Now, Service};
use common::resp::{OwnedRequest, Protocol, Replies, Request};

use super::bugs::{Bug, BuggyDisk};
use super::state::{State, alive, difference, state_of};
use super::threads::{Bench, Threads};
use super::workload::Args;

/// Where simulated time begins, in milliseconds since the Unix epoch.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// How many databases there are.
const DATABASES: usize = 3;

/// How many lines of a trace are shown.
const TRACE_LINES: usize = 60;

/// A moment at which a group of the log can end.
#[derive(Debug)]
struct Moment {
    position: u64,
    state: Rc<State>,
}

/// A reply that a client has not got yet.
#[derive(Debug)]
struct Held {
    waits_for: u64,
    /// How far had been recorded when it was made: all that it can show.
    seen: u64,
    /// It tells about data.
    shows: bool,
    wrote: bool,
    what: String,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Conn {
    id: ConnId,
    held: VecDeque<Held>,
    blocked: bool,
    waits_to_write: bool,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) kv: Kv,
    pub(crate) disk: SimDisk,
    pub(crate) policy: Policy,
    pub(crate) now: Now,
    /// Replies that clients got, by what they begin with.
    pub(crate) told: BTreeMap<String, u64>,
    bug: Option<Bug>,
    bench: Rc<RefCell<Bench>>,
    conns: Vec<Conn>,
    slots: slab::Slab<()>,
    serial: u64,
    moments: Vec<Moment>,
    /// What is in the databases now, as far as it was looked at.
    state: State,
    /// How far the log had been recorded when data last changed by more than a deadline that had passed: what a client can
    /// have seen, by what it would have seen. The server's own journal is not asked.
    changed: u64,
    /// How far of the log replies have shown, and how far writes have been acknowledged.
    shown: u64,
    acknowledged: u64,
    trace: VecDeque<String>,
    /// What went wrong while it ran.
    pub(crate) violation: Option<String>,
}

/// Where the log is.
pub(crate) fn dir() -> PathBuf {
    PathBuf::from("/data/kv")
}

fn config(policy: Policy) -> Config {
    let listen = "127.0.0.1:0".parse().expect("an address");
    Config { databases: DATABASES, appendfsync: policy, ..Config::new(listen, dir()) }
}

/// Opens the server's state on `disk`.
fn open(
    disk: &SimDisk,
    policy: Policy,
    seed: u64,
    bug: Option<Bug>,
) -> Result<(Kv, Rc<RefCell<Bench>>, Report), StorageError> {
    let bench = Rc::new(RefCell::new(Bench::new(bug)));
    let mut kv = Kv::new(config(policy), seed);
    let shared: Arc<dyn Disk> = Arc::new(BuggyDisk { inner: disk.clone(), bug });
    let mut selected = 0;
    let mut previous: Option<OwnedRequest> = None;
    let delays = bug == Some(Bug::LastCommandIgnored);
    let mut replay = |kv: &mut Kv, request: &Request<'_>| match bug {
        Some(bug) if bug.skips(request) => Ok(()),
        _ => kv.replay(&mut selected, request),
    };
    let (journal, report) = Journal::open(
        shared,
        dir(),
        policy,
        seed + disk.operations(),
        Box::new(Threads(Rc::clone(&bench))),
        &mut |request| {
            if delays {
                let due = previous.replace(request.to_owned());
                return due.map_or(Ok(()), |due| replay(&mut kv, &due.as_request()));
            }
            replay(&mut kv, request)
        },
    )?;
    kv.journal = Some(journal);
    Ok((kv, bench, report))
}

/// What a recovery from `disk` finds.
pub(crate) fn recover(disk: &SimDisk, policy: Policy, bug: Option<Bug>) -> Result<(State, Report), StorageError> {
    let (kv, _, report) = open(disk, policy, 1, bug)?;
    Ok((state_of(&kv), report))
}

impl Machine {
    /// Starts a server on what is on `disk`, at time `now`.
    pub(crate) fn boot(
        disk: &SimDisk,
        policy: Policy,
        seed: u64,
        bug: Option<Bug>,
        uptime: Duration,
    ) -> Result<(Self, Report), StorageError> {
        let (kv, bench, report) = open(disk, policy, seed, bug)?;
        let unix_ms = EPOCH_MS + u64::try_from(uptime.as_millis()).expect("a simulation is short");
        let state = state_of(&kv);
        let first = Moment { position: 0, state: Rc::new(state.clone()) };
        let machine = Self {
            kv,
            disk: disk.clone(),
            policy,
            now: Now { unix_ms, uptime },
            told: BTreeMap::new(),
            bug,
            bench,
            conns: Vec::new(),
            slots: slab::Slab::new(),
            serial: 0,
            moments: vec![first],
            state,
            changed: 0,
            shown: 0,
            acknowledged: 0,
            trace: VecDeque::new(),
            violation: None,
        };
        Ok((machine, report))
    }

    /// Connects clients until there are `count`.
    pub(crate) fn connect(&mut self, count: usize) {
        while self.conns.len() < count {
            self.serial += 1;
            let id = ConnId { slot: self.slots.insert(()), serial: self.serial };
            let address = "127.0.0.1:1".parse().expect("an address");
            self.kv.connected(self.now, id, Peer { remote: address, local: address });
            self.conns.push(Conn { id, held: VecDeque::new(), blocked: false, waits_to_write: false });
        }
    }

    /// How many clients there are.
    pub(crate) fn clients(&self) -> usize {
        self.conns.len()
    }

    fn index_of(&self, id: ConnId) -> Option<usize> {
        self.conns.iter().position(|conn| conn.id == id)
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if self.trace.len() == TRACE_LINES {
            self.trace.pop_front();
        }
        self.trace.push_back(line());
    }

    /// How far the log has been recorded.
    pub(crate) fn position(&self) -> u64 {
        self.kv.journal.as_ref().map_or(0, |journal| journal.position().0)
    }

    /// How far what clients can have seen has been recorded: by what the data shows, and at least what the journal says.
    /// Expiries do not count: a key that comes back has its deadline, and it has passed.
    fn seen(&self) -> u64 {
        self.journal_seen().max(self.changed)
    }

    fn journal_seen(&self) -> u64 {
        self.kv.journal.as_ref().map_or(0, |journal| journal.seen().0)
    }

    /// Looks at the data after `what` was executed. Where it has changed, the journal must know that a client can have seen all
    /// that has been recorded: within a request, what expires goes before what is written.
    fn reckon(&mut self, what: &str) {
        let state = state_of(&self.kv);
        let now = self.now.unix_ms;
        if !alive(&self.state, now).eq(alive(&state, now)) {
            let (position, seen) = (self.position(), self.journal_seen());
            self.changed = position;
            if seen != position && self.violation.is_none() {
                self.violation = Some(format!(
                    "{what} has changed the data, is recorded up to {position}, and counts as seen up to {seen}:{}",
                    difference(&state, &self.state)
                ));
            }
        }
        self.state = state;
    }

    /// Lets a client's requests arrive together. False when it waits for something and cannot be heard.
    pub(crate) fn batch(&mut self, client: usize, requests: &[Args]) -> bool {
        let id = self.conns[client].id;
        if self.conns[client].blocked {
            return false;
        }
        self.kv.batch_began();
        let mut said = VecDeque::new();
        for request in requests {
            let request = OwnedRequest::new(request);
            let mut replies = Replies::new(Protocol::Resp2);
            let before = self.seen();
            let what = describe(&request.as_request());
            let flow = if self.is_taken_for_expiry(id, &request.as_request(), &mut replies) {
                Flow::Continue
            } else {
                self.kv.call(self.now, id, &request.as_request(), &mut replies)
            };
            self.reckon(&what);
            let after = self.seen();
            self.bench.borrow_mut().recorded = self.position();
            let bytes = replies.take();
            self.note(|| format!("client {client}: {what} -> {} at {after}", short(&bytes)));
            let name = String::from_utf8_lossy(request.as_request().name()).to_ascii_lowercase();
            let about_nothing =
                ["ping", "multi", "discard", "config", "bgrewriteaof", "watch", "select", "reset", "publish"];
            let refused =
                short(&bytes).contains("MISCONF") || bytes.starts_with(b"-E") || bytes.starts_with(b"+QUEUED");
            let shows = !about_nothing.contains(&name.as_str()) && !refused && !bytes.is_empty();
            if !bytes.is_empty() {
                said.push_back(Held { waits_for: 0, seen: after, shows, wrote: after > before, what, bytes });
            }
            let mut gone = false;
            match flow {
                Flow::Continue => {}
                Flow::Block => self.conns[client].blocked = true,
                Flow::Close => gone = true,
            }
            self.apply_effects();
            if gone || self.index_of(id).is_none() || flow == Flow::Block {
                break;
            }
        }
        let waits_for = self.kv.position();
        if let Some(client) = self.index_of(id) {
            said.iter_mut().for_each(|held| held.waits_for = waits_for);
            self.conns[client].held.append(&mut said);
        }
        true
    }

    /// The server's part where this bug is planted: a key is removed as if its deadline had passed.
    fn is_taken_for_expiry(&mut self, id: ConnId, request: &Request<'_>, replies: &mut Replies) -> bool {
        let session = &self.kv.sessions[id.slot];
        let planted = self.bug == Some(Bug::WriteRecordedAsExpiry) && session.transaction.is_none();
        let (db, key) = (session.db, request.get(1).unwrap_or_default());
        if !planted || !request.is(0, "DEL") || !self.kv.dbs[db].remove(key) {
            return false;
        }
        if let Some(journal) = &mut self.kv.journal {
            journal.record_expiry(db, key);
        }
        replies.integer(1);
        true
    }

    fn apply_effects(&mut self) {
        while let Some(effect) = self.kv.effects().pop_front() {
            match effect {
                Effect::Send(id, bytes) => {
                    let (waits_for, seen) = (self.kv.position(), self.seen());
                    if let Some(client) = self.index_of(id) {
                        let what = "what it waited for".to_owned();
                        let shows = !bytes.starts_with(b"-");
                        self.conns[client].held.push_back(Held { waits_for, seen, shows, wrote: false, what, bytes });
                    }
                }
                Effect::Resume(id) => {
                    if let Some(client) = self.index_of(id) {
                        self.conns[client].blocked = false;
                    }
                }
                Effect::Close(id) | Effect::Kill(id) => self.disconnect(id),
                Effect::Abandon(position) => {
                    if self.bug == Some(Bug::AbandonedRepliesLeave) {
                        self.conns.iter_mut().flat_map(|conn| &mut conn.held).for_each(|held| held.waits_for = 0);
                        continue;
                    }
                    let hopeless = |conn: &&Conn| conn.held.iter().any(|held| held.waits_for > position);
                    let gone: Vec<ConnId> = self.conns.iter().filter(hopeless).map(|conn| conn.id).collect();
                    for id in gone {
                        self.note(|| format!("abandoned beyond {position}: {id:?}"));
                        self.disconnect(id);
                    }
                }
                Effect::Shutdown => {}
            }
        }
    }

    /// A client goes.
    pub(crate) fn disconnect(&mut self, id: ConnId) {
        if let Some(client) = self.index_of(id) {
            self.conns.remove(client);
            self.slots.remove(id.slot);
            self.kv.disconnected(self.now, id);
        }
    }

    /// A client goes, by its number.
    pub(crate) fn hang_up(&mut self, client: usize) {
        self.disconnect(self.conns[client].id);
    }

    /// A group may end here: the state is taken down.
    fn remember(&mut self) {
        let position = self.position();
        self.bench.borrow_mut().recorded = position;
        let state = state_of(&self.kv);
        let last = self.moments.last().expect("there is a first moment");
        if last.position == position {
            if *last.state != state && self.violation.is_none() {
                self.violation = Some(format!(
                    "the state has changed, and nothing was recorded:{}",
                    difference(&last.state, &state)
                ));
            }
        } else {
            self.moments.push(Moment { position, state: Rc::new(state) });
        }
    }

    /// All that had arrived is executed: commits it, and releases what may leave.
    pub(crate) fn flush(&mut self) {
        self.remember();
        self.kv.batch_done(self.now);
        self.apply_effects();
        self.release();
    }

    /// Time passes.
    pub(crate) fn tick(&mut self, passed: Duration) {
        self.now.uptime += passed;
        self.now.unix_ms += u64::try_from(passed.as_millis()).expect("a simulation is short");
        self.kv.tick(self.now);
        let before = std::mem::replace(&mut self.state, state_of(&self.kv));
        let now = self.now.unix_ms;
        if !alive(&before, now).eq(alive(&self.state, now)) && self.violation.is_none() {
            let difference = difference(&self.state, &before);
            self.violation = Some(format!("time alone has changed more than what was due:{difference}"));
        }
        self.remember();
        self.apply_effects();
        self.flush();
    }

    fn release(&mut self) {
        let durable = self.kv.durable();
        for conn in &mut self.conns {
            while let Some(held) = conn.held.front() {
                let early = match self.bug {
                    Some(Bug::RepliesDoNotWait) => true,
                    Some(Bug::ReadsDoNotWait) => !held.wrote,
                    _ => false,
                };
                if held.waits_for > durable && !early {
                    break;
                }
                let held = conn.held.pop_front().expect("there is a front");
                if held.shows {
                    self.shown = self.shown.max(held.seen);
                }
                if held.wrote && held.shows {
                    self.acknowledged = self.acknowledged.max(held.seen);
                }
                let class: String = short(&held.bytes).chars().take_while(|c| !c.is_whitespace()).collect();
                *self.told.entry(class).or_default() += 1;
                self.trace.push_back(format!("released: {} -> {}", held.what, short(&held.bytes)));
            }
            conn.waits_to_write = !conn.held.is_empty();
        }
        while self.trace.len() > TRACE_LINES {
            self.trace.pop_front();
        }
    }

    /// Does the next sync, and wakes the server; false when there is none.
    pub(crate) fn run_sync(&mut self) -> bool {
        let ran = self.bench.borrow_mut().run_sync();
        if ran {
            self.note(|| "a sync has run".to_owned());
            self.flush();
        }
        ran
    }

    /// Does the next step of a rewrite, and wakes the server; false when there is none.
    pub(crate) fn run_step(&mut self) -> bool {
        let ran = self.bench.borrow_mut().run_step();
        if ran {
            self.note(|| "a step of a rewrite has run".to_owned());
            self.flush();
        }
        ran
    }

    /// As [`run_sync`](Self::run_sync), but the server is not woken: what arrives next is executed before it learns of it.
    pub(crate) fn run_sync_unnoticed(&self) -> bool {
        self.bench.borrow_mut().run_sync()
    }

    /// Everything that is under way comes to its end, and three seconds pass.
    pub(crate) fn settle(&mut self) {
        for _ in 0..30 {
            self.tick(Duration::from_millis(100));
            while self.run_sync() || self.run_step() {}
        }
    }

    /// How many replies have been made that clients wait for.
    pub(crate) fn owed_replies(&self) -> usize {
        self.conns.iter().map(|conn| conn.held.len()).sum()
    }

    /// How many syncs of the log failed.
    pub(crate) fn failed_syncs(&self) -> u64 {
        self.bench.borrow().failed_syncs
    }

    /// Ends the server as a signal does. What was executed is durable when this is `Ok`.
    pub(crate) fn stop(&mut self) -> Result<(), StorageError> {
        self.remember();
        self.kv.stopping(self.now);
        self.apply_effects();
        self.release();
        while self.run_sync() || self.run_step() {}
        self.flush();
        let uptime = self.now.uptime;
        self.kv.journal.take().map_or(Ok(()), |journal| journal.close(uptime))
    }

    /// At how many moments a group of the log can have ended.
    pub(crate) fn moments(&self) -> usize {
        self.moments.len()
    }

    /// The state in memory.
    pub(crate) fn last_state(&self) -> &State {
        &self.moments.last().expect("there is a first moment").state
    }

    /// How far what is recovered must reach, after this crash.
    fn floor(&self, how: Option<Crash>) -> u64 {
        let promised = match (self.policy, how) {
            (_, None) => self.moments.last().map_or(0, |moment| moment.position),
            (Policy::Always, _) => self.shown.max(self.acknowledged),
            // A sync that fails may take the page cache with it.
            (_, Some(Crash::KeepAll)) if self.failed_syncs() == 0 => self.acknowledged,
            (_, Some(_)) => 0,
        };
        promised.max(self.bench.borrow().synced)
    }

    /// Whether `found` is the state at a moment that keeps all promises; the number of moments that were lost, if so.
    ///
    /// `how` is the crash, or `None` after a clean end.
    pub(crate) fn judge(&self, how: Option<Crash>, found: &State) -> Result<usize, String> {
        let floor = self.floor(how);
        let needed = self.moments.iter().position(|moment| moment.position >= floor);
        let needed = needed.ok_or_else(|| format!("position {floor} was acknowledged, and never recorded"))?;
        let kept = self.moments.iter().rposition(|moment| *moment.state == *found);
        match kept {
            Some(kept) if kept >= needed => Ok(self.moments.len() - 1 - kept),
            Some(kept) => Err(format!(
                "after {how:?} the state is that of moment {kept} (position {}), and {needed} (position {floor}) was promised:{}",
                self.moments[kept].position,
                difference(found, &self.moments[needed].state)
            )),
            None => Err(format!(
                "after {how:?} the state is that of no moment; compared with the one that was promised:{}",
                difference(found, &self.moments[needed].state)
            )),
        }
    }

    /// The last things that happened, here and on the disk.
    pub(crate) fn story(&self) -> String {
        let mut story = String::new();
        for line in &self.trace {
            let _ = writeln!(story, "  {line}");
        }
        let disk = self.disk.trace();
        for line in disk.iter().skip(disk.len().saturating_sub(TRACE_LINES)) {
            let _ = writeln!(story, "  disk {line}");
        }
        story
    }
}

fn describe(request: &Request<'_>) -> String {
    let words: Vec<String> = request.args(0).map(short).collect();
    words.join(" ")
}

fn short(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(300)];
    let text = shown.escape_ascii().to_string();
    if shown.len() < bytes.len() { format!("{text}...") } else { text }
}
