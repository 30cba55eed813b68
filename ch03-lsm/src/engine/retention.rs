//! Retention: which versions of a key a compaction keeps.
//!
//! Of a key's versions a reader sees one: the newest that is not newer than the reader's snapshot. A version that no
//! snapshot sees, now or later, is left out when tables are merged, and so is a tombstone that has nothing left to hide.
//!
//! ```text
//!      snapshots          10          20      now
//!      versions    3  7        12  15      24          of one key
//!      seen           ▲             ▲       ▲          by the snapshot at 10, the one at 20, everybody else
//!      left out    ×           ×
//! ```

use super::key::{InternalKey, Kind, Seq};

/// Decides about each version of each key, in their order.
#[derive(Debug)]
pub struct Retention {
    /// Whom there is to see something, upwards; the last is everybody who comes later.
    readers: Vec<Seq>,
    is_bottom: bool,
    user: Option<Vec<u8>>,
    seen_by: usize,
}

impl Retention {
    /// For the snapshots that there are, and those that will be made at `now` or later. `is_bottom`: no older version of
    /// any key is anywhere else.
    pub fn new(snapshots: impl IntoIterator<Item = Seq>, now: Seq, is_bottom: bool) -> Self {
        let mut readers: Vec<Seq> = snapshots.into_iter().filter(|seq| *seq < now).collect();
        readers.sort_unstable();
        readers.push(now);
        readers.dedup();
        Self { readers, is_bottom, user: None, seen_by: usize::MAX }
    }

    /// Whether the version `key` is kept. It comes after all that are sorted before it.
    pub fn keeps(&mut self, key: &InternalKey) -> bool {
        let stamp = key.stamp();
        let seen_by = self.readers.partition_point(|reader| *reader < stamp.seq());
        let is_same_key = self.user.as_deref() == Some(key.user());
        // A newer one was met that the same readers see in its place.
        if is_same_key && seen_by == self.seen_by && seen_by < self.readers.len() {
            return false;
        }
        if !is_same_key {
            let user = self.user.get_or_insert_default();
            user.clear();
            user.extend_from_slice(key.user());
        }
        self.seen_by = seen_by;
        let hides_nothing = stamp.kind() == Some(Kind::Delete) && self.is_bottom && seen_by == 0;
        !hides_nothing
    }
}
