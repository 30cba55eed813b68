//! What happened: a digest of all of it, and the last of it in words.

use std::collections::VecDeque;
use std::fmt::Arguments;
use std::hash::{Hash, Hasher};

/// A number that two runs share if, and as good as only if, the same happened in both: the same seed must give the same one,
/// on every machine. It is no defence against anybody.
///
/// (One multiplication and one rotation for each word, in the manner of FxHash; no hasher of the standard library promises
/// to stay what it is.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest(u64);

/// The last lines of what happened.
///
/// **Invariants**: at most `limit` lines, none of them of a time after `until`.
#[derive(Debug, Default)]
pub(super) struct Trace {
    limit: usize,
    until: u64,
    lines: VecDeque<String>,
}

impl Digest {
    /// As a number.
    pub fn value(self) -> u64 {
        self.0
    }

    pub(super) fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }

    pub(super) fn add_all(&mut self, what: &impl Hash) {
        what.hash(self);
    }
}

impl Hasher for Digest {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.add(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.add(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.add(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.add(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.add(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.add(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }
}

impl Trace {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, until: u64::MAX, lines: VecDeque::new() }
    }

    /// Keeps the last lines before `until`, whatever comes after.
    pub(super) fn end_at(&mut self, until: u64) {
        self.until = until;
    }

    /// Whether lines are kept: who has none to give need not make any.
    pub(super) fn is_on(&self) -> bool {
        self.limit > 0
    }

    pub(super) fn add(&mut self, time: u64, line: Arguments<'_>) {
        if !self.is_on() || time > self.until {
            return;
        }
        if self.lines.len() == self.limit {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{:>7}.{:06} ms  {line}", time / 1_000_000, time % 1_000_000));
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}
