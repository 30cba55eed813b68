//! One file of the simulated disk: what processes see, what is durable, and the changes in between.

use std::ops::Range;
use std::sync::Arc;

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::image::Image;

/// What a disk writes whole or not at all, in bytes: the classic sector. Disks of today promise 4,096; who survives the
/// smaller one survives both.
pub(super) const SECTOR_BYTES: u64 = 512;

/// A change that has not been synced.
#[derive(Debug, Clone)]
enum Change {
    Write { offset: u64, data: Arc<[u8]> },
    SetLen(u64),
}

/// **Invariants**: `durable` with all of `unsynced` applied in order is `cached`, unless `has_forgotten`.
#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    cached: Image,
    durable: Image,
    unsynced: Vec<Change>,
    /// Whether a failed sync has left changes in the page cache that count as clean.
    has_forgotten: bool,
}

impl Inode {
    pub(super) fn cached(&self) -> &Image {
        &self.cached
    }

    pub(super) fn durable(&self) -> &Image {
        &self.durable
    }

    /// Whether a power failure would change nothing.
    pub(super) fn is_settled(&self) -> bool {
        self.unsynced.is_empty() && !self.has_forgotten
    }

    pub(super) fn write(&mut self, data: &[u8], offset: u64) {
        if !data.is_empty() {
            self.cached.write(data, offset);
            self.unsynced.push(Change::Write { offset, data: data.into() });
        }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len != self.cached.len() {
            self.cached.set_len(len);
            self.unsynced.push(Change::SetLen(len));
        }
    }

    /// Makes the page cache durable. The cost is that of the changes, not that of the file.
    pub(super) fn sync(&mut self) {
        let shortest = self.unsynced.iter().filter_map(|change| match change {
            Change::SetLen(len) => Some(*len),
            Change::Write { .. } => None,
        });
        if let Some(len) = shortest.min() {
            self.durable.adopt_from(&self.cached, len);
        }
        for change in self.unsynced.drain(..) {
            if let Change::Write { offset, data } = change {
                self.durable.adopt(&self.cached, offset..offset + data.len() as u64);
            }
        }
        self.durable.adopt_len(&self.cached);
    }

    /// A failed sync, after which the page cache shows what is on the disk.
    pub(super) fn revert(&mut self) {
        self.unsynced.clear();
        self.show_durable();
    }

    /// A failed sync, after which the page cache shows the changes and holds them for clean.
    pub(super) fn forget(&mut self) {
        self.has_forgotten |= !self.unsynced.is_empty();
        self.unsynced.clear();
    }

    /// Power failure: each change survives with the probability `keep`, whole or in part.
    pub(super) fn survive(&mut self, rng: &mut Xoshiro256PlusPlus, keep: f64) {
        for change in std::mem::take(&mut self.unsynced) {
            match change {
                Change::SetLen(len) => {
                    if rng.random_bool(keep) {
                        self.durable.set_len(len);
                    }
                }
                Change::Write { offset, data } => {
                    if rng.random_bool(keep) {
                        self.tear(rng, &data, offset);
                    }
                    // The length is metadata and goes its own way: it may be there without the bytes.
                    let end = offset + data.len() as u64;
                    if end > self.durable.len() && rng.random_bool(0.5) {
                        self.durable.set_len(end);
                    }
                }
            }
        }
        self.show_durable();
    }

    /// Changes the bytes of `range` on the medium, and in the page cache where they are clean.
    pub(super) fn rot(&mut self, range: Range<u64>, change: impl Fn(u8) -> u8) {
        for at in range {
            let mut byte = [0];
            if self.durable.read(&mut byte, at) == 1 {
                self.durable.write(&[change(byte[0])], at);
            }
            if !self.is_dirty(at) && self.cached.read(&mut byte, at) == 1 {
                self.cached.write(&[change(byte[0])], at);
            }
        }
    }

    /// Writes all of `data`, or any subset of the sectors that it touches.
    fn tear(&mut self, rng: &mut Xoshiro256PlusPlus, data: &[u8], offset: u64) {
        if rng.random_bool(0.5) {
            self.durable.write(data, offset);
            return;
        }
        let mut rest = data;
        let mut at = offset;
        while !rest.is_empty() {
            let in_sector = (SECTOR_BYTES - at % SECTOR_BYTES).min(rest.len() as u64);
            let (piece, after) = rest.split_at(in_sector as usize);
            if rng.random_bool(0.5) {
                self.durable.write(piece, at);
            }
            rest = after;
            at += in_sector;
        }
    }

    fn show_durable(&mut self) {
        self.cached = self.durable.clone();
        self.has_forgotten = false;
    }

    fn is_dirty(&self, at: u64) -> bool {
        self.unsynced.iter().any(|change| match change {
            Change::Write { offset, data } => (*offset..offset + data.len() as u64).contains(&at),
            Change::SetLen(len) => at >= *len,
        })
    }
}
