//! One database: keys with their values, deadlines and last uses, and what else must hold whenever one of them changes.
//!
//! Every change goes through [`Db`], which keeps four books beside the table itself ([`Shards`]): the bytes in use (for
//! `maxmemory`), the deadlines ([`Expiry`]), the keys that somebody watches or waits for ([`Watches`]), and, while a
//! snapshot is being taken, what has yet to be saved ([`Snapshot`]). A command cannot forget one of them, because it cannot
//! reach the table (DDIA ch. 1, "Simplicity: Managing Complexity", on abstractions that hide what need not be known).
//!
//! **Left out**: keyspace notifications, and a thread that frees large values: here `UNLINK` is `DEL`.

use hashbrown::hash_table::Entry as Place;

use super::entry::Entry;
use super::eviction::{Candidate, LruClock};
use super::expiry::{self, Expiry};
use super::shards::Shards;
use super::snapshot::{Sink, Snapshot};
use super::types::{KeyHash, UnixMillis};
use super::watches::Watches;
use crate::values::{Collection, Kind, Value, ValueRef, WrongType};

/// What a deadline takes in the index, in bytes: sixteen for itself, in a tree whose nodes are little more than half full where
/// deadlines come in order, as they mostly do.
const DEADLINE_BYTES: usize = 40;

/// What becomes of a key's deadline when it is given a new value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// It stays.
    Keep,
    /// The key lives on.
    Clear,
    /// It is this one.
    At(UnixMillis),
}

/// A database.
///
/// **Invariants**: no key holds an empty collection; `expiry` has exactly the deadlines of the keys that have one;
/// `entry_bytes` is the sum of [`Entry::allocated_bytes`] over the table.
#[derive(Debug)]
pub struct Db {
    shards: Shards,
    len: usize,
    entry_bytes: usize,
    clock: LruClock,
    /// The index of deadlines, which the active cycle works from.
    pub expiry: Expiry,
    /// The keys that somebody watches or waits for. Whoever does asks here; what happens to them is noted by the database.
    pub watches: Watches,
    snapshot: Option<Snapshot>,
}

impl Db {
    /// An empty database. `seed` makes its hashes unpredictable, so that nobody can choose keys that collide.
    pub fn new(seed: u64) -> Self {
        Self {
            shards: Shards::new(seed),
            len: 0,
            entry_bytes: 0,
            clock: LruClock(0),
            expiry: Expiry::new(),
            watches: Watches::default(),
            snapshot: None,
        }
    }

    /// How many keys there are, those included that are due and not yet removed.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What the keys, their values and their deadlines take, in bytes, about.
    pub fn used_bytes(&self) -> usize {
        self.entry_bytes + self.overhead_bytes()
    }

    /// What of that is taken by the table and by the index of deadlines, and by no key's own allocations.
    pub fn overhead_bytes(&self) -> usize {
        self.shards.bytes() + self.expiry.len() * DEADLINE_BYTES
    }

    /// The time that the following uses of keys are noted with.
    pub fn set_clock(&mut self, now: LruClock) {
        self.clock = now;
    }

    /// What the key holds, without counting as a use of it.
    pub fn peek(&self, key: &[u8]) -> Option<&Entry> {
        self.shards.find(self.shards.hash(key), key)
    }

    /// Whether the key is there.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.peek(key).is_some()
    }

    /// The key's value.
    #[inline]
    pub fn get(&mut self, key: &[u8]) -> Option<ValueRef<'_>> {
        let hash = self.shards.hash(key);
        let entry = self.shards.find_mut(hash, key)?;
        entry.touch(self.clock);
        Some(entry.value())
    }

    /// The string that the key holds.
    pub fn get_str(&mut self, key: &[u8]) -> Result<Option<&[u8]>, WrongType> {
        match self.get(key) {
            None => Ok(None),
            Some(ValueRef::Str(value)) => Ok(Some(value)),
            Some(_) => Err(WrongType),
        }
    }

    /// The collection that the key holds.
    pub fn read<C: Collection>(&mut self, key: &[u8]) -> Result<Option<&C>, WrongType> {
        let hash = self.shards.hash(key);
        let Some(entry) = self.shards.find_mut(hash, key) else { return Ok(None) };
        entry.touch(self.clock);
        match entry {
            Entry::Object(object) => C::of(&object.value).map(Some).ok_or(WrongType),
            Entry::Packed(_) => Err(WrongType),
        }
    }

    /// Which kind of value the key holds.
    pub fn kind(&self, key: &[u8]) -> Option<Kind> {
        self.peek(key).map(|entry| entry.value().kind())
    }

    /// Gives the key a string, whatever it held.
    pub fn set_str(&mut self, key: &[u8], value: &[u8], ttl: Ttl) {
        let hash = self.shards.hash(key);
        self.before_change(hash, key);
        let clock = self.clock;
        match self.shards.place(hash, key) {
            Place::Occupied(mut place) => {
                let entry = place.get_mut();
                let old = entry.deadline();
                let new = match ttl {
                    Ttl::Keep => old,
                    Ttl::Clear => None,
                    Ttl::At(deadline) => Some(deadline),
                };
                if old == new && entry.overwrite(value) {
                    entry.touch(clock);
                    return;
                }
                let before = entry.allocated_bytes();
                *entry = Entry::string(key, value, new, clock);
                self.entry_bytes = self.entry_bytes - before + entry.allocated_bytes();
                if old != new {
                    self.expiry.schedule(hash, old, new);
                }
            }
            Place::Vacant(place) => {
                let deadline = if let Ttl::At(deadline) = ttl { Some(deadline) } else { None };
                let entry = Entry::string(key, value, deadline, clock);
                self.entry_bytes += entry.allocated_bytes();
                place.insert(entry);
                self.len += 1;
                if deadline.is_some() {
                    self.expiry.schedule(hash, None, deadline);
                }
            }
        }
    }

    /// Changes the string that the key holds, in place; a key that is not there begins with an empty one.
    pub fn edit_str<R>(&mut self, key: &[u8], change: impl FnOnce(&mut Vec<u8>) -> R) -> Result<R, WrongType> {
        let hash = self.shards.hash(key);
        if self.shards.find(hash, key).is_none() {
            let mut value = Vec::new();
            let result = change(&mut value);
            self.put(key, Value::Str(value), None);
            return Ok(result);
        }
        if self.kind(key) != Some(Kind::Str) {
            return Err(WrongType);
        }
        let clock = self.clock;
        Ok(self.change_entry(hash, key, |entry| {
            entry.touch(clock);
            let Value::Str(value) = entry.value_mut() else { unreachable!("its kind was looked at") };
            change(value)
        }))
    }

    /// Changes the collection that the key holds. `None` when the key is not there; one that is left empty goes.
    pub fn edit<C: Collection, R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut C) -> R,
    ) -> Result<Option<R>, WrongType> {
        let hash = self.shards.hash(key);
        match self.shards.find(hash, key) {
            None => return Ok(None),
            Some(entry) if entry.value().kind() != C::KIND => return Err(WrongType),
            Some(_) => {}
        }
        let clock = self.clock;
        let (result, empty) = self.change_entry(hash, key, |entry| {
            entry.touch(clock);
            let value = entry.value_mut();
            let result = change(C::of_mut(value).expect("its kind was looked at"));
            (result, value.is_empty_collection())
        });
        if empty {
            self.take(key);
        }
        Ok(Some(result))
    }

    /// As [`Db::edit`], but a key that is not there begins with an empty collection.
    pub fn edit_or_create<C: Collection, R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut C) -> R,
    ) -> Result<R, WrongType> {
        if self.contains(key) {
            return Ok(self.edit(key, change)?.expect("it is there"));
        }
        let mut collection = C::default();
        let result = change(&mut collection);
        self.put(key, collection.into_value(), None);
        Ok(result)
    }

    /// Gives the key a value and a deadline, whatever it held. An empty collection removes it.
    pub fn put(&mut self, key: &[u8], value: Value, deadline: Option<UnixMillis>) {
        self.take(key);
        if value.is_empty_collection() {
            return;
        }
        let hash = self.shards.hash(key);
        self.before_change(hash, key);
        let entry = match value {
            Value::Str(bytes) => Entry::string(key, &bytes, deadline, self.clock),
            collection => {
                self.watches.note_arrival(key);
                Entry::object(key, collection, deadline, self.clock)
            }
        };
        self.entry_bytes += entry.allocated_bytes();
        self.len += 1;
        self.shards.place(hash, key).insert(entry);
        self.expiry.schedule(hash, None, deadline);
    }

    /// Takes the key out, with its value and its deadline.
    pub fn take(&mut self, key: &[u8]) -> Option<(Value, Option<UnixMillis>)> {
        let hash = self.shards.hash(key);
        self.shards.find(hash, key)?;
        self.before_change(hash, key);
        let entry = self.shards.remove(hash, key).expect("it is there");
        self.len -= 1;
        self.entry_bytes -= entry.allocated_bytes();
        let deadline = entry.deadline();
        self.expiry.schedule(hash, deadline, None);
        Some((entry.into_value(), deadline))
    }

    /// Removes the key; false when it is not there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        self.take(key).is_some()
    }

    /// When the key expires: `None` when it is not there, `Some(None)` when it lives on.
    pub fn deadline(&self, key: &[u8]) -> Option<Option<UnixMillis>> {
        self.peek(key).map(Entry::deadline)
    }

    /// Gives the key a deadline or takes it away; false when the key is not there.
    pub fn set_deadline(&mut self, key: &[u8], deadline: Option<UnixMillis>) -> bool {
        let hash = self.shards.hash(key);
        if self.shards.find(hash, key).is_none() {
            return false;
        }
        let old = self.change_entry(hash, key, |entry| {
            let old = entry.deadline();
            entry.set_deadline(deadline);
            old
        });
        self.expiry.schedule(hash, old, deadline);
        true
    }

    /// Whether any key's deadline has passed: the one look that a command takes where nothing expires.
    #[inline]
    pub fn has_due(&self, now: UnixMillis) -> bool {
        self.expiry.has_due(now)
    }

    /// Lazy expiry: removes the key if its deadline has passed; true when it has.
    pub fn expire_if_due(&mut self, key: &[u8], now: UnixMillis) -> bool {
        let due = self.deadline(key).flatten().is_some_and(|deadline| expiry::is_due(deadline, now));
        due && self.remove(key)
    }

    /// Active expiry: one cycle's worth of keys whose deadlines have passed, removed.
    pub fn expire_cycle(&mut self, now: UnixMillis) -> Vec<Box<[u8]>> {
        let due = self.expiry.cycle(now);
        due.into_iter()
            .filter_map(|(deadline, hash)| self.remove_hashed(hash, |entry| entry.deadline() == Some(deadline)))
            .collect()
    }

    /// A key drawn at random, by three random numbers.
    pub fn random_key(&self, mut random: impl FnMut(usize) -> usize) -> Option<&[u8]> {
        self.random_entry(&mut random).map(Entry::key)
    }

    /// A key drawn at random, as a candidate for eviction.
    pub fn random_candidate(&self, mut random: impl FnMut(usize) -> usize) -> Option<Candidate> {
        let entry = self.random_entry(&mut random)?;
        Some(Candidate { key: self.shards.hash(entry.key()), idle: self.clock.idle_since(entry.last_use()) })
    }

    /// For how long the key has not been used, in units of the clock.
    pub fn idle(&self, key: &[u8]) -> Option<u32> {
        self.peek(key).map(|entry| self.clock.idle_since(entry.last_use()))
    }

    /// For how long the key of this hash has not been used; `None` when it is gone.
    pub fn idle_of(&self, hash: KeyHash) -> Option<u32> {
        let entry = self.shards.find_hashed(hash, |_| true)?;
        Some(self.clock.idle_since(entry.last_use()))
    }

    /// Removes the key of this hash; returns it.
    pub fn evict(&mut self, hash: KeyHash) -> Option<Box<[u8]>> {
        self.remove_hashed(hash, |_| true)
    }

    /// Removes the key with the earliest deadline; returns it.
    pub fn evict_soonest(&mut self) -> Option<Box<[u8]>> {
        let (deadline, hash) = self.expiry.first()?;
        self.remove_hashed(hash, |entry| entry.deadline() == Some(deadline))
    }

    /// Shows entries from shard `cursor` on, shard by shard, until about `count` have been shown. Returns the cursor to go
    /// on with, 0 when all have been seen. What is there from the first call to the last is shown, at least once.
    pub fn scan(&self, cursor: usize, count: usize, show: &mut dyn FnMut(&Entry)) -> usize {
        self.shards.scan(cursor, count, show)
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        for key in self.held_among_watched(|key| self.contains(key)) {
            self.watches.note_change(&key);
        }
        let tables = self.shards.take_tables();
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.keep(tables);
        }
        self.len = 0;
        self.entry_bytes = 0;
        self.expiry.clear();
    }

    /// Exchanges the keys of two databases. What is watched stays, and has changed where it was in either.
    pub fn swap_contents(one: &mut Self, other: &mut Self) {
        for db in [&mut *one, &mut *other] {
            if let Some(snapshot) = &mut db.snapshot {
                // What has yet to be saved goes to another database: it is saved from where it is now.
                snapshot.finish(db.shards.tables());
            }
        }
        let held = |key: &[u8]| one.contains(key) || other.contains(key);
        let (changed_in_one, changed_in_other) = (one.held_among_watched(held), other.held_among_watched(held));
        std::mem::swap(&mut one.shards, &mut other.shards);
        std::mem::swap(&mut one.len, &mut other.len);
        std::mem::swap(&mut one.entry_bytes, &mut other.entry_bytes);
        std::mem::swap(&mut one.expiry, &mut other.expiry);
        for (db, changed) in [(one, changed_in_one), (other, changed_in_other)] {
            for key in changed {
                db.watches.note_change(&key);
                if db.kind(&key).is_some_and(|kind| kind != Kind::Str) {
                    db.watches.note_arrival(&key);
                }
            }
        }
    }

    /// Begins a snapshot of the database as it is now. What changes from now on is saved before it does.
    pub fn begin_snapshot(&mut self, sink: Box<dyn Sink>) {
        self.snapshot = Some(Snapshot::new(sink, self.len));
    }

    /// Saves some more: at least `entries`, if there are as many left. True when the snapshot is complete.
    pub fn continue_snapshot(&mut self, entries: usize) -> bool {
        let Some(snapshot) = &mut self.snapshot else { return true };
        snapshot.advance(self.shards.tables(), entries)
    }

    /// Takes the snapshot's sink back: complete, or given up.
    pub fn end_snapshot(&mut self) -> Option<Box<dyn Sink>> {
        self.snapshot.take().map(Snapshot::into_sink)
    }

    /// What has been saved since this was last called.
    pub fn snapshot_sink(&mut self) -> Option<&mut dyn Sink> {
        self.snapshot.as_mut().map(Snapshot::sink)
    }

    /// Changes the entry of a key that is there.
    fn change_entry<R>(&mut self, hash: KeyHash, key: &[u8], change: impl FnOnce(&mut Entry) -> R) -> R {
        self.before_change(hash, key);
        let entry = self.shards.find_mut(hash, key).expect("it is there");
        let before = entry.allocated_bytes();
        let result = change(entry);
        self.entry_bytes = self.entry_bytes - before + entry.allocated_bytes();
        result
    }

    /// What must happen before a key changes: the snapshot saves what it was, and whoever watches it is told.
    #[inline]
    fn before_change(&mut self, hash: KeyHash, key: &[u8]) {
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.before_change(self.shards.tables(), Shards::shard_of(hash));
        }
        self.watches.note_change(key);
    }

    fn remove_hashed(&mut self, hash: KeyHash, which: impl FnMut(&Entry) -> bool) -> Option<Box<[u8]>> {
        let key: Box<[u8]> = self.shards.find_hashed(hash, which)?.key().into();
        self.remove(&key);
        Some(key)
    }

    fn random_entry(&self, random: &mut dyn FnMut(usize) -> usize) -> Option<&Entry> {
        if self.len == 0 { None } else { self.shards.draw(random) }
    }

    fn held_among_watched(&self, held: impl Fn(&[u8]) -> bool) -> Vec<Box<[u8]>> {
        self.watches.keys().filter(|key| held(key)).cloned().collect()
    }
}
