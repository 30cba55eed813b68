//! The map that cannot be wrong: what a tree is compared with, and the keys and ranges that are drawn for both.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use ch03_lsm::db::{Db, DbIterator, Snapshot};
use ch03_lsm::error::Error;

/// A tree's entries.
pub(crate) type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// A generator that is the same everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let mixed = (self.0 ^ (self.0 >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        (mixed >> 33) % bound
    }
}

pub(crate) fn all(db: &Db, at: Option<&Snapshot>) -> Result<Model, Error> {
    let mut iterator = at.map_or_else(|| db.iter(), |snapshot| db.iter_at(snapshot));
    let mut found = Model::new();
    iterator.seek_to_first()?;
    while let Some(key) = iterator.key() {
        found.insert(key.to_vec(), iterator.value().to_vec());
        iterator.next()?;
    }
    Ok(found)
}

pub(crate) fn all_backwards(db: &Db) -> Result<Vec<Vec<u8>>, Error> {
    let mut iterator = db.iter();
    let mut found = Vec::new();
    iterator.seek_to_last()?;
    while let Some(key) = iterator.key() {
        found.push(key.to_vec());
        iterator.prev()?;
    }
    Ok(found)
}

pub(crate) fn key(random: &mut Random) -> Vec<u8> {
    let number = random.below(80);
    let mut key = format!("key{number:03}").into_bytes();
    key.resize(6 + number as usize % 5 * 3, b'x');
    key
}

/// Two keys, the lower one first: mostly near each other, so that ranges of every size are deleted and read.
pub(crate) fn range(random: &mut Random) -> (Vec<u8>, Vec<u8>) {
    let from = random.below(80);
    let to = from + if random.below(3) == 0 { random.below(80) } else { random.below(6) };
    // Some ends are no keys that are written, one that comes right behind a key.
    let mut ends = [from, to].map(|number| format!("key{number:03}").into_bytes());
    for end in &mut ends {
        match random.below(4) {
            0 => end.extend_from_slice(&b"xxxxxxxxxxxx"[..random.below(13) as usize]),
            1 => end.push(0),
            _ => {}
        }
    }
    let [from, to] = ends;
    if from <= to { (from, to) } else { (to, from) }
}

/// The entries of a model that lie between bounds.
pub(crate) fn between(model: &Model, lower: Option<&[u8]>, upper: Option<&[u8]>) -> Model {
    let is_within = |key: &[u8]| lower.is_none_or(|lower| lower <= key) && upper.is_none_or(|upper| key < upper);
    model.iter().filter(|(key, _)| is_within(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Walks about in an iterator that is to show what `model` holds.
pub(crate) fn walk(iterator: &mut DbIterator, model: &Model, random: &mut Random, what: &str) -> Result<(), Error> {
    for _ in 0..3 {
        let seek = key(random);
        let mut expected = match random.below(4) {
            0 => {
                iterator.seek_to_first()?;
                model.iter().next()
            }
            1 => {
                iterator.seek_to_last()?;
                model.iter().next_back()
            }
            2 => {
                iterator.seek(&seek)?;
                model.range(seek.clone()..).next()
            }
            _ => {
                iterator.seek_for_prev(&seek)?;
                model.range(..=seek.clone()).next_back()
            }
        };
        for _ in 0..random.below(8) {
            let found = iterator.key().map(|key| (key, iterator.value()));
            assert_eq!(found, expected.map(|(key, value)| (&**key, &**value)), "{what}: from {}", seek.escape_ascii());
            let Some((at, _)) = expected else { break };
            if random.below(2) == 0 {
                iterator.next()?;
                expected = model.range::<[u8], _>((Excluded(&**at), Unbounded)).next();
            } else {
                iterator.prev()?;
                expected = model.range::<[u8], _>((Unbounded, Excluded(&**at))).next_back();
            }
        }
    }
    Ok(())
}
