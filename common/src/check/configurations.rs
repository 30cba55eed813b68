//! Where a search has been: configurations, in little memory, and which of them need not be looked at again.
//!
//! A configuration is what has been placed and the state that it led to. Two orders of the same operations that lead to the
//! same state have the same future: that is Lowe's observation ("Testing for linearizability", 2017), and it makes a search
//! that was hopeless one that takes milliseconds. One more is made here. Of two configurations that differ in the operations
//! of unknown outcome alone, the one that has used fewer of them can do all that the other can: whoever has been there need
//! not look at the other.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use indexmap::IndexSet;
use smallvec::SmallVec;

/// How many sets of operations of unknown outcome are remembered for the same completed operations and state. All are looked
/// through in each step, so that there must be a limit; what is not remembered is found again, which costs steps alone.
const MAX_LEAST: usize = 64;

/// A state that has been seen: equal states have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateId(u32);

/// A set of small numbers.
///
/// **Invariants**: each word before `low` is full and the one at `low` is not; each word from `high` on is empty, and the
/// one before it is not. A search places operations more or less in the order of their calls, so that what is between the
/// two, which is all that tells two sets apart, is a word or two.
#[derive(Debug, Clone, Default)]
pub struct Bits {
    words: Vec<u64>,
    low: usize,
    high: usize,
    len: usize,
}

/// A set as words, of which the last is not empty.
type Words = SmallVec<[u64; 1]>;

/// What tells a [`Bits`] from others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Trimmed {
    full_words: u32,
    words: SmallVec<[u64; 2]>,
}

/// The states and configurations of one search.
#[derive(Debug)]
pub struct Configurations<S> {
    states: IndexSet<S, FixedState>,
    /// For each set of completed operations and state: the least sets of operations of unknown outcome, none of which
    /// contains another.
    seen: HashMap<(Trimmed, StateId), SmallVec<[Words; 1]>, FixedState>,
}

impl Bits {
    /// Whether `bit` is in it.
    pub fn contains(&self, bit: usize) -> bool {
        self.words.get(bit / 64).is_some_and(|word| word & (1 << (bit % 64)) != 0)
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds `bit`, which is not in it.
    pub fn insert(&mut self, bit: usize) {
        let at = bit / 64;
        self.len += 1;
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        self.words[at] |= 1 << (bit % 64);
        self.high = self.high.max(at + 1);
        while self.words.get(self.low) == Some(&u64::MAX) {
            self.low += 1;
        }
    }

    /// Takes `bit`, which is in it, away.
    pub fn remove(&mut self, bit: usize) {
        let at = bit / 64;
        self.len -= 1;
        self.words[at] &= !(1 << (bit % 64));
        self.low = self.low.min(at);
        while self.high > 0 && self.words[self.high - 1] == 0 {
            self.high -= 1;
        }
    }

    fn trimmed(&self) -> Trimmed {
        let words = self.words.get(self.low..self.high).unwrap_or_default();
        Trimmed { full_words: self.low as u32, words: SmallVec::from_slice(words) }
    }
}

impl<S: Eq + std::hash::Hash> Configurations<S> {
    /// None yet.
    pub fn new() -> Self {
        Self { states: IndexSet::default(), seen: HashMap::default() }
    }

    /// The id of `state`.
    pub fn intern(&mut self, state: S) -> StateId {
        let (index, _) = self.states.insert_full(state);
        StateId(u32::try_from(index).expect("a search of four billion states has run out of memory before"))
    }

    /// The state of an id.
    pub fn state(&self, id: StateId) -> &S {
        &self.states[id.0 as usize]
    }

    /// Enters the configuration in which the operations `completed` and `unknown` have been placed, and the state is `state`.
    /// `false`: this one, or one that differs from it by having used fewer of `unknown` alone, has been entered before.
    pub fn enter(&mut self, completed: &Bits, state: StateId, unknown: &Bits) -> bool {
        let used = &unknown.words[..unknown.high];
        let least = self.seen.entry((completed.trimmed(), state)).or_default();
        if least.iter().any(|seen| is_subset(seen, used)) {
            return false;
        }
        least.retain(|seen| !is_subset(used, seen));
        if least.len() < MAX_LEAST {
            least.push(SmallVec::from_slice(used));
        }
        true
    }
}

impl<S: Eq + std::hash::Hash> Default for Configurations<S> {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether each bit of `a` is one of `b`. Neither ends with an empty word.
fn is_subset(a: &[u64], b: &[u64]) -> bool {
    a.len() <= b.len() && a.iter().zip(b).all(|(a, b)| a & !b == 0)
}
