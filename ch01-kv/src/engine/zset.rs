//! Sorted sets: members with scores, found by member in constant time and by score or rank in logarithmic time.
//!
//! Two structures hold the same members: a hash table from member to score, and the members in order of score
//! ([`Ranked`]). Neither could answer the other's questions; keeping both is the classic trade of writes for reads
//! (DDIA ch. 3, "Other Indexing Structures").

use std::cmp::Ordering;
use std::sync::Arc;

use foldhash::fast::RandomState;
use indexmap::IndexMap;

use super::ranked::Ranked;

/// What a member costs beside its bytes: its place in the table (32), in the order (24), and the header that both share.
const MEMBER_OVERHEAD_BYTES: usize = 88;

/// A sorted set.
///
/// **Invariants**: `scores` and `order` hold the same members with the same scores; no score is NaN.
#[derive(Debug, Clone, Default)]
pub struct ZSet {
    scores: IndexMap<Arc<[u8]>, f64, RandomState>,
    order: Ranked<Ranking>,
    member_bytes: usize,
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

impl ZSet {
    /// How many members there are.
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// What it takes, in bytes, about.
    pub fn bytes(&self) -> usize {
        self.member_bytes
    }

    /// The member's score.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.scores.get(member).copied()
    }

    /// Gives the member this score; returns the one it had.
    ///
    /// # Panics
    ///
    /// When the score is NaN, which has no place in an order: callers refuse it.
    pub fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        assert!(!score.is_nan(), "a score is a number");
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
        self.member_bytes += member.len() + MEMBER_OVERHEAD_BYTES;
        self.order.insert(Ranking { score, member: Arc::clone(&member) });
        self.scores.insert(member, score);
        None
    }

    /// Removes the member; returns its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let (member, score) = self.scores.swap_remove_entry(member)?;
        self.member_bytes -= member.len() + MEMBER_OVERHEAD_BYTES;
        let removed = self.order.remove(&Ranking { score, member });
        assert!(removed, "a member of the table is in the order");
        Some(score)
    }

    /// The member's rank, counted from 0 at the lowest score, and its score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let (_, member, &score) = self.scores.get_full(member)?;
        let wanted = Ranking { score, member: Arc::clone(member) };
        Some((self.order.rank_where(|other| *other < wanted), score))
    }

    /// Members and scores from rank `from` on, ascending.
    pub fn iter_from(&self, from: usize) -> impl Iterator<Item = (&[u8], f64)> {
        self.order.iter_from(from).map(|ranking| (&*ranking.member, ranking.score))
    }

    /// Members and scores from rank `from` on down, descending.
    pub fn iter_back_from(&self, from: usize) -> impl Iterator<Item = (&[u8], f64)> {
        self.order.iter_back_from(from).map(|ranking| (&*ranking.member, ranking.score))
    }

    /// The member at `index` of the table's own order, for scans and random draws.
    pub fn at(&self, index: usize) -> Option<(&[u8], f64)> {
        self.scores.get_index(index).map(|(member, score)| (&**member, *score))
    }

    /// The ranks of the members whose scores lie between the bounds.
    pub fn ranks_by_score(&self, low: ScoreBound, high: ScoreBound) -> std::ops::Range<usize> {
        let start = self.order.rank_where(|ranking| low.is_above(ranking.score));
        let end = self.order.rank_where(|ranking| !high.is_below(ranking.score));
        start..end.max(start)
    }

    /// The ranks of the members that lie between the bounds. Meaningful when all scores are equal.
    pub fn ranks_by_lex(&self, low: LexBound<'_>, high: LexBound<'_>) -> std::ops::Range<usize> {
        let start = self.order.rank_where(|ranking| match low {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Inclusive(bound) => *ranking.member < *bound,
            LexBound::Exclusive(bound) => *ranking.member <= *bound,
        });
        let end = self.order.rank_where(|ranking| match high {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Inclusive(bound) => *ranking.member <= *bound,
            LexBound::Exclusive(bound) => *ranking.member < *bound,
        });
        start..end.max(start)
    }
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
        let by_score = self.score.partial_cmp(&other.score).expect("no score is NaN");
        by_score.then_with(|| self.member.cmp(&other.member))
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
