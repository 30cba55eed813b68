//! Lists: queues at both ends, arrays in between.

use std::collections::VecDeque;

use super::footprint;
use super::packed::{Packed, Walk};

/// How many elements are packed at most. An element at an end is found at once, one in the middle after half as many steps.
const MAX_PACKED_ELEMENTS: usize = 128;

/// A list: packed while it is short, a ring of elements with allocations of their own from then on.
#[derive(Debug, Clone)]
pub struct List(Form);

#[derive(Debug, Clone)]
enum Form {
    Packed(Packed),
    Ring(Box<Ring>),
}

/// **Invariants**: `element_bytes` is what the elements' allocations take; it is not empty.
#[derive(Debug, Clone, Default)]
struct Ring {
    elements: VecDeque<Box<[u8]>>,
    element_bytes: usize,
}

impl Default for List {
    fn default() -> Self {
        Self(Form::Packed(Packed::default()))
    }
}

impl List {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.len(),
            Form::Ring(ring) => ring.elements.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it takes beside itself, in bytes.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.bytes(),
            Form::Ring(ring) => {
                let places = footprint::block(ring.elements.capacity() * size_of::<Box<[u8]>>());
                footprint::block(size_of::<Ring>()) + places + ring.element_bytes
            }
        }
    }

    /// The element at `index`, counted from the front.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        match &self.0 {
            Form::Packed(packed) => packed.get(index),
            Form::Ring(ring) => ring.elements.get(index).map(|element| &**element),
        }
    }

    /// The elements, front to back.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator {
        match &self.0 {
            Form::Packed(packed) => Walk::Packed(packed.iter()),
            Form::Ring(ring) => Walk::Unpacked(ring.elements.iter().map(|element| &**element)),
        }
    }

    /// The elements of these indexes, front to back.
    ///
    /// # Panics
    ///
    /// When the range exceeds the list.
    pub fn range(&self, range: std::ops::Range<usize>) -> impl ExactSizeIterator<Item = &[u8]> {
        match &self.0 {
            Form::Packed(packed) => {
                assert!(range.end <= packed.len(), "a range lies within the list");
                Walk::Packed(packed.iter().skip(range.start).take(range.len()))
            }
            Form::Ring(ring) => Walk::Unpacked(ring.elements.range(range).map(|element| &**element)),
        }
    }

    /// Adds an element at the front.
    pub fn push_front(&mut self, element: &[u8]) {
        self.insert(0, element);
    }

    /// Adds an element at the back.
    pub fn push_back(&mut self, element: &[u8]) {
        self.insert(self.len(), element);
    }

    /// Takes the first element.
    pub fn pop_front(&mut self) -> Option<Box<[u8]>> {
        self.take(0)
    }

    /// Takes the last element.
    pub fn pop_back(&mut self) -> Option<Box<[u8]>> {
        self.take(self.len().checked_sub(1)?)
    }

    /// Puts an element before the one at `index`, or at the end when `index` is the length.
    ///
    /// # Panics
    ///
    /// When `index` exceeds the length.
    pub fn insert(&mut self, index: usize, element: &[u8]) {
        match &mut self.0 {
            Form::Packed(packed) if packed.len() < MAX_PACKED_ELEMENTS && Packed::holds(element) => {
                packed.splice(index..index, &[element]);
            }
            _ => {
                let ring = self.unpacked();
                ring.element_bytes += footprint::block(element.len());
                ring.elements.insert(index, element.into());
            }
        }
    }

    /// Replaces the element at `index`; false when there is none.
    pub fn set(&mut self, index: usize, element: &[u8]) -> bool {
        if index >= self.len() {
            return false;
        }
        match &mut self.0 {
            Form::Packed(packed) if Packed::holds(element) => packed.splice(index..index + 1, &[element]),
            _ => {
                let ring = self.unpacked();
                let place = &mut ring.elements[index];
                ring.element_bytes =
                    ring.element_bytes - footprint::block(place.len()) + footprint::block(element.len());
                *place = element.into();
            }
        }
        true
    }

    /// Keeps the elements of these indexes alone.
    ///
    /// # Panics
    ///
    /// When the range exceeds the list.
    pub fn keep(&mut self, range: std::ops::Range<usize>) {
        if let Form::Packed(packed) = &mut self.0 {
            packed.splice(range.end..packed.len(), &[]);
            packed.splice(0..range.start, &[]);
            return;
        }
        while self.len() > range.end {
            self.pop_back();
        }
        for _ in 0..range.start {
            self.pop_front();
        }
    }

    /// Removes elements that equal `element`, at most `limit`, from the front or from the back; returns how many.
    pub fn remove(&mut self, element: &[u8], limit: usize, from_back: bool) -> usize {
        let matching = self.iter().enumerate().filter(|(_, other)| *other == element).map(|(index, _)| index);
        // The last one is the first that goes.
        let mut doomed: Vec<usize> = if from_back {
            matching.rev().take(limit).collect()
        } else {
            let mut first: Vec<usize> = matching.take(limit).collect();
            first.reverse();
            first
        };
        let removed = doomed.len();
        match &mut self.0 {
            Form::Packed(packed) => doomed.into_iter().for_each(|index| packed.splice(index..index + 1, &[])),
            Form::Ring(ring) => {
                ring.element_bytes -= removed * footprint::block(element.len());
                let mut index = 0;
                ring.elements.retain(|_| {
                    let goes = doomed.last() == Some(&index);
                    if goes {
                        doomed.pop();
                    }
                    index += 1;
                    !goes
                });
                self.repack_if_empty();
            }
        }
        removed
    }

    fn take(&mut self, index: usize) -> Option<Box<[u8]>> {
        match &mut self.0 {
            Form::Packed(packed) => {
                let element = packed.get(index)?.into();
                packed.splice(index..index + 1, &[]);
                Some(element)
            }
            Form::Ring(ring) => {
                let element = ring.elements.remove(index)?;
                ring.element_bytes -= footprint::block(element.len());
                self.repack_if_empty();
                Some(element)
            }
        }
    }

    /// The list as a ring, which it becomes if it is packed.
    fn unpacked(&mut self) -> &mut Ring {
        if let Form::Packed(packed) = &self.0 {
            let elements: VecDeque<Box<[u8]>> = packed.iter().map(Box::from).collect();
            let element_bytes = elements.iter().map(|element| footprint::block(element.len())).sum();
            self.0 = Form::Ring(Box::new(Ring { elements, element_bytes }));
        }
        match &mut self.0 {
            Form::Ring(ring) => ring,
            Form::Packed(_) => unreachable!("it has just been unpacked"),
        }
    }

    fn repack_if_empty(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }
}
