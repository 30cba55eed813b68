//! Sorted sets: members with scores, found by member in constant time and by score or rank in logarithmic time.
//!
//! Two structures hold the same members: a hash table from member to score, and the members in order of score
//! ([`Ranked`]). Neither could answer the other's questions; keeping both is the classic trade of writes for reads
//! (DDIA ch. 3, "Other Indexing Structures"). A small set needs neither: it is packed, in order, and searched from the front.

use std::cmp::Ordering;
use std::sync::Arc;

use foldhash::fast::RandomState;
use indexmap::IndexMap;

use super::footprint;
use super::packed::{Packed, Walk};
use super::ranked::Ranked;

/// How many members a packed set has at most, as in Redis. Scans rely on it that they show a packed set at once.
const MAX_PACKED_MEMBERS: usize = 128;

/// What an entry of the table takes in it: the hash, where the member lies and its length, and the score.
const ENTRY_BYTES: usize = size_of::<u64>() + size_of::<Arc<[u8]>>() + size_of::<f64>();

/// What the allocation of a member holds beside it: two counters of those who share it.
const SHARED_BYTES: usize = 2 * size_of::<usize>();

/// A sorted set: packed while it is small and its members are short, a table and an order from then on.
#[derive(Debug, Clone)]
pub struct ZSet(Form);

#[derive(Debug, Clone)]
enum Form {
    /// Members and scores by turns, in order; a score as [`Score`] writes it.
    Packed(Packed),
    Table(Box<Table>),
}

/// **Invariants**: `scores` and `order` hold the same members with the same scores; no score is NaN; `member_bytes` is what
/// the members' allocations take; `capacity` is the greatest that `scores` has had, whose own word for it leaves out places
/// that have been used.
#[derive(Debug, Clone, Default)]
struct Table {
    scores: IndexMap<Arc<[u8]>, f64, RandomState>,
    order: Ranked<Ranking>,
    member_bytes: usize,
    capacity: usize,
}

/// A score as it is packed: a whole number in as few bytes as it needs, up to seven, little-endian with its sign; anything
/// else in the eight bytes that it has.
struct Score {
    bytes: [u8; 8],
    len: usize,
}

/// A member in the order: by score, and by bytes among equal scores.
#[derive(Debug, Clone)]
struct Ranking {
    score: f64,
    member: Arc<[u8]>,
}

/// One end of a range of scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ScoreBound {
    /// The score itself belongs to the range.
    Inclusive(f64),
    /// It does not.
    Exclusive(f64),
}

/// One end of a range of members, in a set whose scores are all equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// Before every member.
    Lowest,
    /// After every member.
    Highest,
    /// The member itself belongs to the range.
    Inclusive(&'a [u8]),
    /// It does not.
    Exclusive(&'a [u8]),
}

impl Default for ZSet {
    fn default() -> Self {
        Self(Form::Packed(Packed::default()))
    }
}

impl ZSet {
    /// How many members there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.len() / 2,
            Form::Table(table) => table.scores.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is packed.
    pub fn is_packed(&self) -> bool {
        matches!(self.0, Form::Packed(_))
    }

    /// What it takes beside itself, in bytes.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.bytes(),
            Form::Table(table) => {
                let index = footprint::index(table.capacity, ENTRY_BYTES);
                footprint::block(size_of::<Table>()) + index + table.order.bytes() + table.member_bytes
            }
        }
    }

    /// The member's score.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.0 {
            Form::Packed(packed) => packed.find_pair(member).map(|(_, score)| Score::read(score)),
            Form::Table(table) => table.scores.get(member).copied(),
        }
    }

    /// Gives the member this score; returns the one it had.
    ///
    /// # Panics
    ///
    /// When the score is NaN, which has no place in an order: callers refuse it.
    pub fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        assert!(!score.is_nan(), "a score is a number");
        if let Form::Packed(packed) = &mut self.0
            && Packed::holds(member)
        {
            let known = packed.find_pair(member).map(|(index, score)| (index, Score::read(score)));
            if known.is_some() || packed.len() < 2 * MAX_PACKED_MEMBERS {
                let old = known.map(|(_, old)| old);
                if old == Some(score) {
                    return old;
                }
                if let Some((index, _)) = known {
                    packed.splice(index..index + 2, &[]);
                }
                let before = |other: (&[u8], &[u8])| compare((Score::read(other.1), other.0), (score, member)).is_lt();
                let at = 2 * packed.pairs().take_while(|other| before(*other)).count();
                packed.splice(at..at, &[member, Score::of(score).as_bytes()]);
                return old;
            }
        }
        self.unpacked().insert(member, score)
    }

    /// Removes the member; returns its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match &mut self.0 {
            Form::Packed(packed) => {
                let (index, score) = packed.find_pair(member)?;
                let score = Score::read(score);
                packed.splice(index..index + 2, &[]);
                Some(score)
            }
            Form::Table(table) => {
                let score = table.remove(member)?;
                if table.scores.is_empty() {
                    *self = Self::default();
                }
                Some(score)
            }
        }
    }

    /// The member's rank, counted from 0 at the lowest score, and its score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match &self.0 {
            Form::Packed(packed) => packed.find_pair(member).map(|(index, score)| (index / 2, Score::read(score))),
            Form::Table(table) => {
                let (_, member, &score) = table.scores.get_full(member)?;
                let wanted = Ranking { score, member: Arc::clone(member) };
                Some((table.order.rank_where(|other| *other < wanted), score))
            }
        }
    }

    /// Members and scores from rank `from` on, ascending.
    pub fn iter_from(&self, from: usize) -> impl Iterator<Item = (&[u8], f64)> {
        match &self.0 {
            Form::Packed(packed) => {
                Walk::Packed(packed.pairs().skip(from).map(|(member, score)| (member, Score::read(score))))
            }
            Form::Table(table) => {
                Walk::Unpacked(table.order.iter_from(from).map(|ranking| (&*ranking.member, ranking.score)))
            }
        }
    }

    /// Members and scores from rank `from` on down, descending.
    pub fn iter_back_from(&self, from: usize) -> impl Iterator<Item = (&[u8], f64)> {
        match &self.0 {
            Form::Packed(packed) => {
                let above = self.len().saturating_sub(from.saturating_add(1));
                let down = packed.pairs().rev().skip(above);
                Walk::Packed(down.map(|(member, score)| (member, Score::read(score))))
            }
            Form::Table(table) => {
                Walk::Unpacked(table.order.iter_back_from(from).map(|ranking| (&*ranking.member, ranking.score)))
            }
        }
    }

    /// The member at `index` of an order of the set's own, for scans and random draws: that of the table, or the ranks in a
    /// packed set.
    pub fn at(&self, index: usize) -> Option<(&[u8], f64)> {
        match &self.0 {
            Form::Packed(packed) => {
                packed.get(2 * index).zip(packed.get(2 * index + 1)).map(|(member, score)| (member, Score::read(score)))
            }
            Form::Table(table) => table.scores.get_index(index).map(|(member, score)| (&**member, *score)),
        }
    }

    /// The ranks of the members whose scores lie between the bounds.
    pub fn ranks_by_score(&self, low: ScoreBound, high: ScoreBound) -> std::ops::Range<usize> {
        let start = self.rank_where(|_, score| low.is_above(score));
        let end = self.rank_where(|_, score| !high.is_below(score));
        start..end.max(start)
    }

    /// The ranks of the members that lie between the bounds. Meaningful when all scores are equal.
    pub fn ranks_by_lex(&self, low: LexBound<'_>, high: LexBound<'_>) -> std::ops::Range<usize> {
        let start = self.rank_where(|member, _| match low {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Inclusive(bound) => *member < *bound,
            LexBound::Exclusive(bound) => *member <= *bound,
        });
        let end = self.rank_where(|member, _| match high {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Inclusive(bound) => *member <= *bound,
            LexBound::Exclusive(bound) => *member < *bound,
        });
        start..end.max(start)
    }

    /// How many members come before the first for which `before` is false.
    fn rank_where(&self, before: impl Fn(&[u8], f64) -> bool) -> usize {
        match &self.0 {
            Form::Packed(packed) => {
                packed.pairs().take_while(|(member, score)| before(member, Score::read(score))).count()
            }
            Form::Table(table) => table.order.rank_where(|ranking| before(&ranking.member, ranking.score)),
        }
    }

    /// The set as a table, which it becomes if it is packed.
    fn unpacked(&mut self) -> &mut Table {
        if let Form::Packed(packed) = &self.0 {
            let mut table = Box::<Table>::default();
            for (member, score) in packed.pairs() {
                table.insert(member, Score::read(score));
            }
            self.0 = Form::Table(table);
        }
        match &mut self.0 {
            Form::Table(table) => table,
            Form::Packed(_) => unreachable!("it has just been unpacked"),
        }
    }
}

impl Table {
    fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        if let Some((index, known, old)) = self.scores.get_full(member) {
            let (known, old) = (Arc::clone(known), *old);
            if old != score {
                self.order.remove(&Ranking { score: old, member: Arc::clone(&known) });
                self.order.insert(Ranking { score, member: known });
                self.scores[index] = score;
            }
            return Some(old);
        }
        let member: Arc<[u8]> = member.into();
        self.member_bytes += footprint::block(SHARED_BYTES + member.len());
        self.order.insert(Ranking { score, member: Arc::clone(&member) });
        self.scores.insert(member, score);
        self.capacity = self.capacity.max(self.scores.capacity());
        None
    }

    fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let (member, score) = self.scores.swap_remove_entry(member)?;
        self.member_bytes -= footprint::block(SHARED_BYTES + member.len());
        let removed = self.order.remove(&Ranking { score, member });
        assert!(removed, "a member of the table is in the order");
        Some(score)
    }
}

impl Score {
    fn of(score: f64) -> Self {
        let whole = score as i64;
        let sign_and_bits = 65 - (whole ^ (whole >> 63)).leading_zeros() as usize;
        let len = sign_and_bits.div_ceil(8);
        // To the bit: a negative zero is not the whole number zero.
        if len < 8 && (whole as f64).to_bits() == score.to_bits() {
            Self { bytes: whole.to_le_bytes(), len }
        } else {
            Self { bytes: score.to_le_bytes(), len: 8 }
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn read(packed: &[u8]) -> f64 {
        let mut bytes = [0; 8];
        bytes[..packed.len()].copy_from_slice(packed);
        if packed.len() == 8 {
            return f64::from_le_bytes(bytes);
        }
        let beyond = 64 - 8 * packed.len() as u32;
        ((i64::from_le_bytes(bytes) << beyond) >> beyond) as f64
    }
}

/// The order of members: by score, and by bytes among equal scores.
fn compare(one: (f64, &[u8]), other: (f64, &[u8])) -> Ordering {
    let by_score = one.0.partial_cmp(&other.0).expect("no score is NaN");
    by_score.then_with(|| one.1.cmp(other.1))
}

impl ScoreBound {
    /// Whether `score` lies below this lower end.
    fn is_above(self, score: f64) -> bool {
        match self {
            Self::Inclusive(bound) => score < bound,
            Self::Exclusive(bound) => score <= bound,
        }
    }

    /// Whether `score` lies above this upper end.
    fn is_below(self, score: f64) -> bool {
        match self {
            Self::Inclusive(bound) => score > bound,
            Self::Exclusive(bound) => score >= bound,
        }
    }
}

impl Ord for Ranking {
    fn cmp(&self, other: &Self) -> Ordering {
        compare((self.score, &self.member), (other.score, &other.member))
    }
}

impl PartialOrd for Ranking {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranking {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranking {}
