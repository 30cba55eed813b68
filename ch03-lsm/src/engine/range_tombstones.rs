//! Range tombstones: deletes of all keys from one up to another, of which each is one write.
//!
//! A range is deleted by saying so: the write has a number like any other, and hides what is older and lies in the range, until
//! both meet in a compaction (DDIA ch. 3, "SSTables and LSM-Trees", has tombstones of one key). A reader must know of each key
//! whether one of them hides it. They overlap as they like, so they are cut where any of them begins or ends: the
//! **fragments** that result overlap nowhere, one search finds the one that a key lies in, and it has the numbers of all
//! tombstones that cover it (RocksDB's "fragmented range tombstones").
//!
//! ```text
//! written          a ------- 5 ------- m                  delete_range(a, m) is write 5
//!                           f ------- 9 ------- t         delete_range(f, t) is write 9
//!
//! fragments        a -- 5 --f-- 5, 9 --m-- 9 -- t         the end of each is not in it
//!
//! covering(g, 7)            5, as 9 is newer than 7: a put of g at 6 is seen, one at 4 is not
//! ```
//!
//! A table of a level must say between which keys it is, both included, and a range has no last key. Where a table ends between
//! `k` and the next key, its tombstones end at `k` followed by a zero byte, the very next key that can be: so `k` is their last
//! one. Any other end counts as if it were in the range, which makes a table wider by one key at most
//! ([`last_covered`]).
//!
//! **Left out**: reading the tombstones of a table piece by piece: all of an open table's are in memory. And bringing one down for
//! the space that it would free: it waits, like any write, until its level is full.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::key::{InternalKeyBuf, Kind, Seq, Stamp};

/// What a fragment takes beside its keys' and numbers' bytes: its share of a node of the map, and two allocations.
const FRAGMENT_BYTES: usize = 112;

/// Numbers of tombstones, upwards. Few fragments have more than two.
type Seqs = SmallVec<[Seq; 2]>;

/// Range tombstones, as fragments.
///
/// **Invariants**: no fragment is empty or overlaps another; each has a number at least, and its numbers ascend.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RangeTombstones {
    /// By where they begin.
    fragments: BTreeMap<Box<[u8]>, Fragment>,
    used_bytes: usize,
}

/// Where a fragment ends, and what covers it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fragment {
    to: Box<[u8]>,
    seqs: Seqs,
}

/// What is known of a key and its neighbourhood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Around<'a> {
    /// The newest tombstone that the reader sees and that covers the key.
    pub newest: Option<Seq>,
    /// From where on it is the same for all keys; `None`: from the first.
    pub from: Option<&'a [u8]>,
    /// Up to where it is, this one not included; `None`: to the last.
    pub to: Option<&'a [u8]>,
}

impl Fragment {
    /// The newest number that is not above `at`.
    fn newest(&self, at: Seq) -> Option<Seq> {
        self.seqs.iter().rev().copied().find(|seq| *seq <= at)
    }
}

impl RangeTombstones {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fragments.is_empty()
    }

    /// How many there are: one for each number of each fragment.
    pub fn len(&self) -> usize {
        self.fragments.values().map(|fragment| fragment.seqs.len()).sum()
    }

    /// About how much memory they take, in bytes.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// Adds the tombstone `seq` of the keys from `from` up to `to`. There is no reader after `seen` and before `seq`: where a
    /// tombstone in between covers the same, this one takes its place.
    ///
    /// # Panics
    ///
    /// When `from` is not below `to`.
    pub fn insert(&mut self, from: &[u8], to: &[u8], seq: Seq, seen: Seq) {
        assert!(from < to, "a range that is deleted holds something");
        self.split(from);
        self.split(to);
        let mut gaps = Vec::new();
        let mut at: Box<[u8]> = from.into();
        for (begin, fragment) in self.fragments.range_mut::<[u8], _>((Included(from), Excluded(to))) {
            if at < *begin {
                gaps.push((at, begin.clone()));
            }
            at = fragment.to.clone();
            let before = fragment.seqs.len();
            add(&mut fragment.seqs, seq, seen);
            self.used_bytes += (fragment.seqs.len() - before) * size_of::<Seq>();
        }
        if *at < *to {
            gaps.push((at, to.into()));
        }
        for (from, to) in gaps {
            self.put(from, Fragment { to, seqs: smallvec![seq] });
        }
    }

    /// Adds all of another's.
    pub fn extend(&mut self, other: &Self) {
        for (from, to, seq) in other.iter() {
            // They come from anywhere, and each of their numbers may be what a reader sees.
            self.insert(from, to, seq, Seq::MAX);
        }
    }

    /// Adds one that comes after all others in the order of [`iter`](Self::iter); false when it does not.
    pub fn push(&mut self, from: &[u8], to: &[u8], seq: Seq) -> bool {
        if from >= to {
            return false;
        }
        if let Some(mut last) = self.fragments.last_entry()
            && from < &*last.get().to
        {
            let fits = **last.key() == *from && *last.get().to == *to && seq < last.get().seqs[0];
            if fits {
                last.get_mut().seqs.insert(0, seq);
                self.used_bytes += size_of::<Seq>();
            }
            return fits;
        }
        self.put(from.into(), Fragment { to: to.into(), seqs: smallvec![seq] });
        true
    }

    /// The newest that is not newer than `at` and covers `user`: what is older is deleted for a reader at `at`.
    pub fn covering(&self, user: &[u8], at: Seq) -> Option<Seq> {
        let (_, fragment) = self.fragments.range::<[u8], _>((Unbounded, Included(user))).next_back()?;
        if user < &*fragment.to { fragment.newest(at) } else { None }
    }

    /// The same, and for which keys around `user` it is the same.
    pub fn around(&self, user: &[u8], at: Seq) -> Around<'_> {
        let before = self.fragments.range::<[u8], _>((Unbounded, Included(user))).next_back();
        match before {
            Some((from, fragment)) if user < &*fragment.to => {
                Around { newest: fragment.newest(at), from: Some(from), to: Some(&fragment.to) }
            }
            _ => {
                let after = self.fragments.range::<[u8], _>((Excluded(user), Unbounded)).next();
                Around {
                    newest: None,
                    from: before.map(|(_, fragment)| &*fragment.to),
                    to: after.map(|(from, _)| &**from),
                }
            }
        }
    }

    /// All: from, to, number; in the order of the keys, and of the same fragment the newest first.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8], Seq)> {
        self.fragments
            .iter()
            .flat_map(|(from, fragment)| fragment.seqs.iter().rev().map(move |seq| (&**from, &*fragment.to, *seq)))
    }

    /// What of them lies from `from` (from the beginning without one) up to `to` (to the end).
    pub fn clipped(&self, from: Option<&[u8]>, to: Option<&[u8]>) -> Self {
        let mut clipped = Self::new();
        let begin = from.and_then(|from| self.fragments.range::<[u8], _>((Unbounded, Included(from))).next_back());
        let begin = begin.map_or_else(|| from.unwrap_or_default(), |(begin, _)| &**begin);
        for (begin, fragment) in self.fragments.range::<[u8], _>((Included(begin), Unbounded)) {
            let begin = from.map_or(&**begin, |from| from.max(begin));
            let end = to.map_or(&*fragment.to, |to| to.min(&fragment.to));
            if to.is_some_and(|to| to <= begin) {
                break;
            }
            if begin < end {
                clipped.put(begin.into(), Fragment { to: end.into(), seqs: fragment.seqs.clone() });
            }
        }
        clipped
    }

    /// Those whose numbers `keep` leaves of each fragment's, which it is given upwards. Neighbours that it leaves the same become
    /// one.
    pub fn retained(&self, mut keep: impl FnMut(&[Seq], &mut dyn FnMut(Seq))) -> Self {
        let mut retained = Self::new();
        for (from, fragment) in &self.fragments {
            let mut seqs = Seqs::new();
            keep(&fragment.seqs, &mut |seq| seqs.push(seq));
            if seqs.is_empty() {
                continue;
            }
            match retained.fragments.last_entry() {
                Some(mut last) if last.get().to == *from && last.get().seqs == seqs => {
                    let to = std::mem::replace(&mut last.get_mut().to, fragment.to.clone());
                    retained.used_bytes = retained.used_bytes + fragment.to.len() - to.len();
                }
                _ => retained.put(from.clone(), Fragment { to: fragment.to.clone(), seqs }),
            }
        }
        retained
    }

    /// The newest.
    pub fn newest(&self) -> Option<Seq> {
        self.fragments.values().filter_map(|fragment| fragment.seqs.last()).max().copied()
    }

    /// Between which keys of a table they are, both included.
    pub fn span(&self) -> Option<(InternalKeyBuf, InternalKeyBuf)> {
        let ((from, first), (_, last)) = (self.fragments.first_key_value()?, self.fragments.last_key_value()?);
        let newest = *first.seqs.last().expect("a fragment has a number");
        let smallest = InternalKeyBuf::new(from, Stamp::new(newest, Kind::DeleteRange));
        // Behind all that there can be of the key.
        let largest = InternalKeyBuf::new(last_covered(&last.to), Stamp::new(Seq(0), Kind::Delete));
        Some((smallest, largest))
    }

    /// Behind the last key that any of them covers.
    fn end(&self) -> &[u8] {
        self.fragments.last_key_value().map_or(&[], |(_, fragment)| &fragment.to)
    }

    /// Lets a fragment that `at` lies within end there, and another begin.
    fn split(&mut self, at: &[u8]) {
        let Some((_, fragment)) = self.fragments.range_mut::<[u8], _>((Unbounded, Excluded(at))).next_back() else {
            return;
        };
        if at < &*fragment.to {
            let to = std::mem::replace(&mut fragment.to, at.into());
            let seqs = fragment.seqs.clone();
            self.used_bytes = self.used_bytes + at.len() - to.len();
            self.put(at.into(), Fragment { to, seqs });
        }
    }

    fn put(&mut self, from: Box<[u8]>, fragment: Fragment) {
        let seqs = fragment.seqs.len() * size_of::<Seq>();
        self.used_bytes += FRAGMENT_BYTES + from.len() + fragment.to.len() + seqs;
        self.fragments.insert(from, fragment);
    }
}

/// The last key below `to`, if it can be named; `to` itself otherwise. That a tombstone ends at `to` it says for certain; so two
/// who ask about the same end get the same answer.
pub fn last_covered(to: &[u8]) -> &[u8] {
    to.strip_suffix(&[0]).unwrap_or(to)
}

/// The next key after `user` that can be.
pub fn successor(user: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(user.len() + 1);
    next.extend_from_slice(user);
    next.push(0);
    next
}

fn add(seqs: &mut Seqs, seq: Seq, seen: Seq) {
    let at = seqs.partition_point(|other| *other < seq);
    if seqs.get(at) == Some(&seq) {
        return;
    }
    match seqs[..at].last_mut() {
        Some(before) if *before > seen => *before = seq,
        _ => seqs.insert(at, seq),
    }
}

/// What hides keys from one reader: the tombstones of all parts of a tree.
///
/// Who reads on asks about one key after another: the answer is kept for as long as it is the same.
///
/// **Invariants**: within a run, each ends before the next begins; where `is_known`, `newest` is the answer for all keys from
/// `from` up to `to`.
#[derive(Debug)]
pub struct Covers {
    runs: Vec<Vec<Arc<RangeTombstones>>>,
    at: Seq,
    is_known: bool,
    newest: Option<Seq>,
    from: Vec<u8>,
    to: Option<Vec<u8>>,
}

impl Covers {
    /// For a reader at `at`, of these runs: each is the tombstones of one memtable or table, or of the tables of a level in order.
    pub fn new(at: Seq, runs: impl IntoIterator<Item = Vec<Arc<RangeTombstones>>>) -> Self {
        let without_empty = |mut run: Vec<Arc<RangeTombstones>>| {
            run.retain(|tombstones| !tombstones.is_empty());
            run
        };
        let runs = runs.into_iter().map(without_empty).filter(|run| !run.is_empty()).collect();
        Self { runs, at, is_known: false, newest: None, from: Vec::new(), to: None }
    }

    /// Whether there is nothing that hides anything.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The newest that covers `user`.
    pub fn covering(&mut self, user: &[u8]) -> Option<Seq> {
        let is_within = self.is_known && *self.from <= *user && self.to.as_deref().is_none_or(|to| user < to);
        if !is_within {
            self.find(user);
        }
        self.newest
    }

    /// The keys around the last that was asked about of which the same holds: from, and up to where (`None`: to the last).
    pub fn extent(&self) -> (&[u8], Option<&[u8]>) {
        (&self.from, self.to.as_deref())
    }

    fn find(&mut self, user: &[u8]) {
        self.newest = None;
        self.from.clear();
        let mut to: Option<&[u8]> = None;
        for run in &self.runs {
            let index = run.partition_point(|tombstones| tombstones.end() <= user);
            let before = || index.checked_sub(1).map(|before| run[before].end());
            let around = match run.get(index) {
                Some(tombstones) => tombstones.around(user, self.at),
                None => Around { newest: None, from: None, to: None },
            };
            self.newest = self.newest.max(around.newest);
            let from = around.from.or_else(before).unwrap_or_default();
            if *self.from < *from {
                self.from.clear();
                self.from.extend_from_slice(from);
            }
            to = match (to, around.to) {
                (Some(to), Some(other)) => Some(to.min(other)),
                (to, other) => to.or(other),
            };
        }
        self.to = to.map(<[u8]>::to_vec);
        self.is_known = true;
    }
}
