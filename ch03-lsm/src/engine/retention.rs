//! Retention: which versions of a key a compaction keeps.
//!
//! Of a key's versions a reader sees one: the newest that is not newer than the reader's snapshot. A version that no
//! snapshot sees, now or later, is left out when tables are merged, and so is a tombstone that has nothing left to hide.
//! Range tombstones count among the versions of every key that they cover, and are themselves kept by the same rule. What
//! everybody sees, with nothing older below, does not need its number any more.
//!
//! ```text
//!      snapshots          10          20      now
//!      versions    3  7        12  15      24          of one key
//!      seen           ▲             ▲       ▲          by the snapshot at 10, the one at 20, everybody else
//!      left out    ×           ×
//! ```

use super::key::{InternalKey, Kind, Seq};
use super::range_tombstones::RangeTombstones;

/// Decides about each version of each key, in their order.
#[derive(Debug)]
pub struct Retention {
    /// Whom there is to see something, upwards; the last is everybody who comes later.
    readers: Vec<Seq>,
    is_bottom: bool,
    user: Option<Vec<u8>>,
    seen_by: usize,
    ranges: RangeTombstones,
}

impl Retention {
    /// For the snapshots that there are, and those that will be made at `now` or later. `is_bottom`: no older version of
    /// any key is anywhere else.
    pub fn new(snapshots: impl IntoIterator<Item = Seq>, now: Seq, is_bottom: bool) -> Self {
        let mut readers: Vec<Seq> = snapshots.into_iter().filter(|seq| *seq < now).collect();
        readers.sort_unstable();
        readers.push(now);
        readers.dedup();
        Self { readers, is_bottom, user: None, seen_by: usize::MAX, ranges: RangeTombstones::new() }
    }

    /// Among what is merged are these range tombstones, too.
    #[must_use]
    pub fn with_ranges(mut self, ranges: RangeTombstones) -> Self {
        self.ranges = ranges;
        self
    }

    /// Those of the range tombstones that are kept: of each range, the newest that each reader sees.
    pub fn ranges(&self) -> RangeTombstones {
        self.ranges.retained(|seqs, keep| {
            for (index, seq) in seqs.iter().enumerate() {
                let seen_by = self.seen_by(*seq);
                let is_hidden = seen_by < self.readers.len()
                    && seqs.get(index + 1).is_some_and(|next| self.seen_by(*next) == seen_by);
                let hides_nothing = self.is_bottom && seen_by == 0;
                if !is_hidden && !hides_nothing {
                    keep(*seq);
                }
            }
        })
    }

    /// Whether the version `key` is kept. It comes after all that are sorted before it.
    pub fn keeps(&mut self, key: &InternalKey) -> bool {
        let stamp = key.stamp();
        let seen_by = self.seen_by(stamp.seq());
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
        !hides_nothing && (self.ranges.is_empty() || !self.is_covered(key, seen_by))
    }

    /// The number to keep the version with that [`keeps`](Self::keeps) has just kept: its own, or 0, which compresses better,
    /// when all there are and all to come see it, and nothing older is left that it has to be told from.
    pub fn seq_to_keep(&self, seq: Seq) -> Seq {
        if self.is_bottom && self.seen_by == 0 { Seq::default() } else { seq }
    }

    /// The first reader, upwards, who sees that write.
    fn seen_by(&self, seq: Seq) -> usize {
        self.readers.partition_point(|reader| *reader < seq)
    }

    /// Whether the first who could see it sees a newer range tombstone in its place.
    fn is_covered(&self, key: &InternalKey, seen_by: usize) -> bool {
        let Some(reader) = self.readers.get(seen_by) else { return false };
        self.ranges.covering(key.user(), *reader).is_some_and(|covering| covering > key.stamp().seq())
    }
}
