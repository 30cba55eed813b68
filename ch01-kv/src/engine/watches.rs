//! The keys that somebody watches or waits for, and what has happened to them since it was last asked.
//!
//! Two want to know: a transaction under `WATCH`, whether its keys have **changed** in whatever way (a compare-and-set over
//! several keys: DDIA ch. 7, "Preventing Lost Updates"); a client that waits in a
//! `BLPOP`, whether one of its keys has **arrived**: has been given a collection where there was none, and so something to
//! take. What is added to a collection that is there already is news to nobody: whoever wants it takes it, and does not wait.
//! A collection that is stored over a string arrives, too; Redis 7.0 forgets to tell of that one, and its client waits on.

use std::collections::BTreeMap;

/// The watched keys of a database.
///
/// **Invariants**: a key is counted as often as it is watched, and not listed when it is not; whatever has arrived has also
/// changed.
#[derive(Debug, Default)]
pub struct Watches {
    counts: BTreeMap<Box<[u8]>, usize>,
    changed: Vec<Box<[u8]>>,
    arrived: Vec<Box<[u8]>>,
}

impl Watches {
    /// Watches a key, until as many [`Watches::remove`] follow.
    pub fn add(&mut self, key: &[u8]) {
        *self.counts.entry(key.into()).or_default() += 1;
    }

    /// Takes one [`Watches::add`] back.
    pub fn remove(&mut self, key: &[u8]) {
        if let Some(count) = self.counts.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(key);
            }
        }
    }

    /// The keys that are watched, in order.
    pub fn keys(&self) -> impl Iterator<Item = &Box<[u8]>> {
        self.counts.keys()
    }

    /// Notes that a key changes.
    #[inline]
    pub fn note_change(&mut self, key: &[u8]) {
        if !self.counts.is_empty() && self.counts.contains_key(key) {
            self.changed.push(key.into());
        }
    }

    /// Notes that a key is given a collection. That it changes is noted beside.
    #[inline]
    pub fn note_arrival(&mut self, key: &[u8]) {
        if !self.counts.is_empty() && self.counts.contains_key(key) {
            self.arrived.push(key.into());
        }
    }

    /// The keys that have changed since this was last called, once for each change.
    pub fn take_changed(&mut self) -> Vec<Box<[u8]>> {
        std::mem::take(&mut self.changed)
    }

    /// The keys that have arrived since this was last called, once for each time, in that order.
    pub fn take_arrived(&mut self) -> Vec<Box<[u8]>> {
        std::mem::take(&mut self.arrived)
    }

    /// Whether any has changed.
    #[inline]
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }
}
