//! Compaction filters: what a compaction may leave out for a reason that only the user knows.
//!
//! A compaction reads everything sooner or later, and writes most of it again: it is the cheapest moment to leave out what has
//! become worthless, as a session that has expired (DDIA ch. 3, "Performance optimizations", on what a merge is for). A
//! filter is asked about the newest version of a key alone, and only when no snapshot sees it; older versions go
//! with the usual rules.
//!
//! ```text
//!   key@9 put (filtered)                         older versions below:   key@9 deleted     a tombstone in its place: they stay hidden
//!                                                bottom, no snapshots:   nothing           there is nothing to hide
//! ```
//!
//! Never does what was older come back. **Left out**: changing values in a compaction, and compacting for the filter's sake: what
//! no compaction touches stays.

use super::key::{InternalKey, Kind, Seq};

/// Says what a compaction keeps. Pure: the same question has the same answer.
pub trait CompactionFilter: std::fmt::Debug + Send + Sync {
    /// Whether the newest value of a key is kept. `now_s`: when the compaction began, in seconds since 1970.
    fn keeps(&self, key: &[u8], value: &[u8], now_s: u64) -> bool;
}

/// What becomes of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is kept.
    Keep,
    /// It becomes a tombstone.
    Hide,
    /// It is left out.
    Drop,
}

/// A filter as one compaction asks it.
#[derive(Debug, Clone, Copy)]
pub struct Filtering<'a> {
    filter: &'a dyn CompactionFilter,
    now_s: u64,
    newest_snapshot: Option<Seq>,
    is_bottom: bool,
}

impl<'a> Filtering<'a> {
    /// For a compaction that began at `now_s`. `is_bottom`: no older version of any key is anywhere else.
    pub fn new(filter: &'a dyn CompactionFilter, now_s: u64, newest_snapshot: Option<Seq>, is_bottom: bool) -> Self {
        Self { filter, now_s, newest_snapshot, is_bottom }
    }

    /// What becomes of a version that retention keeps.
    pub fn judge(&self, key: &InternalKey, value: &[u8]) -> Verdict {
        let stamp = key.stamp();
        let is_seen = self.newest_snapshot.is_some_and(|snapshot| stamp.seq() <= snapshot);
        if stamp.kind() != Some(Kind::Put) || is_seen || self.filter.keeps(key.user(), value, self.now_s) {
            return Verdict::Keep;
        }
        // With a snapshot, an older version of the key may be kept for it in this very compaction.
        if self.is_bottom && self.newest_snapshot.is_none() { Verdict::Drop } else { Verdict::Hide }
    }
}
