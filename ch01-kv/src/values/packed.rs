//! A few short byte strings in one allocation: the form in which a small list, hash, set or sorted set is kept.
//!
//! Most collections are small, and a hash table around five fields takes several times what the fields do. Packed, they take
//! what they are long, and a search through all of them reads a few cache lines in a row, which costs less than the hash of
//! the key would. A collection that outgrows its limit, or is given a long element, is unpacked for good. Redis does the same,
//! and calls the form a listpack.
//!
//! ```text
//!   byte  0       2        3           3 + n    4 + n
//!         ├───────┼────────┼───────────┼────────┼────────┬──
//!         │ count │ length │ element   │ length │ length │ ...
//!         │       │ n      │           │ n      │        │
//!         └───────┴────────┴───────────┴────────┴────────┴──
//!           u16     u8       n bytes     u8       u8          little-endian
//! ```
//!
//! The length stands before an element and behind it, so that one can walk from either end. No element, no bytes.

use std::ops::Range;

use super::footprint;

/// The longest element that is packed, in bytes: Redis' limit. A longer one is worth an allocation of its own.
pub const MAX_ELEMENT_BYTES: usize = 64;

/// The bytes of the count, in front.
const HEADER_BYTES: usize = 2;

/// What an element takes beside its bytes: its length, twice.
const FRAME_BYTES: usize = 2;

/// A sequence of short byte strings.
///
/// **Invariants**: the count is that of the elements, and no element is longer than [`MAX_ELEMENT_BYTES`]; an empty sequence
/// has no allocation, any other one that fits exactly.
#[derive(Debug, Clone, Default)]
pub struct Packed {
    bytes: Box<[u8]>,
}

/// The elements of a [`Packed`], from either end.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    left: usize,
}

/// The elements of a [`Packed`] two by two, from either end.
#[derive(Debug, Clone)]
pub struct Pairs<'a>(Iter<'a>);

/// A walk through a collection in the one form or in the other.
#[derive(Debug, Clone)]
pub enum Walk<P, U> {
    /// It is packed.
    Packed(P),
    /// It is not.
    Unpacked(U),
}

impl Packed {
    /// Whether an element is short enough.
    pub fn holds(element: &[u8]) -> bool {
        element.len() <= MAX_ELEMENT_BYTES
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        match self.bytes.first_chunk() {
            Some(count) => usize::from(u16::from_le_bytes(*count)),
            None => 0,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What it takes, in bytes.
    pub fn bytes(&self) -> usize {
        footprint::block(self.bytes.len())
    }

    /// The element at `index`.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        if index >= self.len() {
            return None;
        }
        let at = self.offset(index);
        Some(&self.bytes[at + 1..][..usize::from(self.bytes[at])])
    }

    /// The elements.
    pub fn iter(&self) -> Iter<'_> {
        Iter { bytes: self.bytes.get(HEADER_BYTES..).unwrap_or_default(), left: self.len() }
    }

    /// The elements, two by two.
    pub fn pairs(&self) -> Pairs<'_> {
        Pairs(self.iter())
    }

    /// The index of the first element that equals `wanted`.
    pub fn find(&self, wanted: &[u8]) -> Option<usize> {
        self.search(1, wanted).map(|(index, _)| index)
    }

    /// The first pair whose first element equals `wanted`: that one's index, and the second element.
    pub fn find_pair(&self, wanted: &[u8]) -> Option<(usize, &[u8])> {
        let (index, at) = self.search(2, wanted)?;
        let second_at = at + wanted.len() + FRAME_BYTES;
        Some((index, &self.bytes[second_at + 1..][..usize::from(self.bytes[second_at])]))
    }

    /// Puts elements in the place of those of these indexes.
    ///
    /// # Panics
    ///
    /// When the range exceeds the sequence, an element is too long, or there are too many to be counted: callers have limits
    /// far below.
    pub fn splice(&mut self, range: Range<usize>, elements: &[&[u8]]) {
        let start = self.offset(range.start);
        let end = range.clone().fold(start, |at, _| at + usize::from(self.bytes[at]) + FRAME_BYTES);
        let count = self.len() - range.len() + elements.len();
        if count == 0 {
            self.bytes = Box::default();
            return;
        }
        let mut bytes = std::mem::take(&mut self.bytes).into_vec();
        let old_len = bytes.len().max(HEADER_BYTES);
        let new_end = start + elements.iter().map(|element| element.len() + FRAME_BYTES).sum::<usize>();
        let new_len = old_len - end + new_end;
        if new_len > bytes.len() {
            bytes.reserve_exact(new_len - bytes.len());
            bytes.resize(new_len, 0);
        }
        bytes.copy_within(end..old_len, new_end);
        bytes.truncate(new_len);
        let mut at = start;
        for element in elements {
            assert!(Self::holds(element), "a long element is not packed");
            bytes[at] = element.len() as u8;
            bytes[at + 1..][..element.len()].copy_from_slice(element);
            at += element.len() + FRAME_BYTES;
            bytes[at - 1] = element.len() as u8;
        }
        let count = u16::try_from(count).expect("what is packed is counted in 16 bits");
        bytes[..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
        self.bytes = bytes.into_boxed_slice();
    }

    /// The index and the place of the first element that equals `wanted`, of those whose indexes are multiples of `stride`.
    fn search(&self, stride: usize, wanted: &[u8]) -> Option<(usize, usize)> {
        let bytes = &*self.bytes;
        let (mut at, mut index) = (HEADER_BYTES, 0);
        while at < bytes.len() {
            let len = usize::from(bytes[at]);
            if len == wanted.len() && bytes[at + 1..][..len] == *wanted {
                return Some((index, at));
            }
            for _ in 0..stride {
                at += usize::from(bytes[at]) + FRAME_BYTES;
            }
            index += stride;
        }
        None
    }

    /// Where the element at `index` begins; for the length, where the last one ends. Walks from the nearer end.
    fn offset(&self, index: usize) -> usize {
        let len = self.len();
        assert!(index <= len, "an index lies within the sequence");
        if index <= len / 2 {
            (0..index).fold(HEADER_BYTES, |at, _| at + usize::from(self.bytes[at]) + FRAME_BYTES)
        } else {
            (index..len).fold(self.bytes.len(), |at, _| at - usize::from(self.bytes[at - 1]) - FRAME_BYTES)
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&len, rest) = self.bytes.split_first()?;
        let (element, rest) = rest.split_at(usize::from(len));
        self.bytes = &rest[1..];
        self.left -= 1;
        Some(element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let (&len, rest) = self.bytes.split_last()?;
        let (rest, element) = rest.split_at(rest.len() - usize::from(len));
        self.bytes = &rest[..rest.len() - 1];
        self.left -= 1;
        Some(element)
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?, self.0.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.left / 2, Some(self.0.left / 2))
    }
}

impl DoubleEndedIterator for Pairs<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let second = self.0.next_back()?;
        Some((self.0.next_back()?, second))
    }
}

impl ExactSizeIterator for Pairs<'_> {}

impl<P: Iterator, U: Iterator<Item = P::Item>> Iterator for Walk<P, U> {
    type Item = P::Item;

    fn next(&mut self) -> Option<P::Item> {
        match self {
            Self::Packed(walk) => walk.next(),
            Self::Unpacked(walk) => walk.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Packed(walk) => walk.size_hint(),
            Self::Unpacked(walk) => walk.size_hint(),
        }
    }

    fn nth(&mut self, n: usize) -> Option<P::Item> {
        match self {
            Self::Packed(walk) => walk.nth(n),
            Self::Unpacked(walk) => walk.nth(n),
        }
    }
}

impl<P: DoubleEndedIterator, U: DoubleEndedIterator<Item = P::Item>> DoubleEndedIterator for Walk<P, U> {
    fn next_back(&mut self) -> Option<P::Item> {
        match self {
            Self::Packed(walk) => walk.next_back(),
            Self::Unpacked(walk) => walk.next_back(),
        }
    }
}

impl<P: ExactSizeIterator, U: ExactSizeIterator<Item = P::Item>> ExactSizeIterator for Walk<P, U> {}
