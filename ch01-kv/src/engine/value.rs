//! The kinds of value that a key can hold, each counting the bytes that it takes.

use std::collections::VecDeque;

use foldhash::fast::RandomState;
use indexmap::{IndexMap, IndexSet};

use super::zset::ZSet;

/// What an element of a list costs beside its bytes: a pointer, a length, and the allocator's rounding.
const ELEMENT_OVERHEAD_BYTES: usize = 24;

/// What a field of a hash or a member of a set costs beside its bytes: its hash, its pointers and its place in the table.
const FIELD_OVERHEAD_BYTES: usize = 64;

/// A value.
#[derive(Debug, Clone)]
pub enum Value {
    /// A string that grows (`APPEND`) or is too long to lie beside its key.
    Str(Vec<u8>),
    /// A list.
    List(List),
    /// A hash.
    Hash(Hash),
    /// A set.
    Set(Set),
    /// A sorted set.
    ZSet(ZSet),
}

/// The kinds, by the names that `TYPE` gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Str,
    /// A list.
    List,
    /// A hash.
    Hash,
    /// A set.
    Set,
    /// A sorted set.
    ZSet,
}

/// A value as one looks at it: a string may lie beside its key or by itself.
#[derive(Debug, Clone, Copy)]
pub enum ValueRef<'a> {
    /// A string.
    Str(&'a [u8]),
    /// A list.
    List(&'a List),
    /// A hash.
    Hash(&'a Hash),
    /// A set.
    Set(&'a Set),
    /// A sorted set.
    ZSet(&'a ZSet),
}

/// The key holds another kind of value than the operation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
pub struct WrongType;

/// A kind of value that is made of elements, and vanishes with the last of them.
pub trait Collection: Default {
    /// Which one it is.
    const KIND: Kind;

    /// The collection in `value`, when it is of this kind.
    fn of(value: &Value) -> Option<&Self>;

    /// The same, to change it.
    fn of_mut(value: &mut Value) -> Option<&mut Self>;

    /// The collection as a value.
    fn into_value(self) -> Value;
}

/// A list: a queue at both ends, an array in between.
#[derive(Debug, Clone, Default)]
pub struct List {
    elements: VecDeque<Box<[u8]>>,
    bytes: usize,
}

/// A hash: fields with values.
///
/// Its order is that of insertion until a field is removed, whose place the last one takes. A scan that goes from the
/// last index to the first misses nothing that stays: what is moved, moves to where the scan has yet to come.
#[derive(Debug, Clone, Default)]
pub struct Hash {
    fields: IndexMap<Box<[u8]>, Box<[u8]>, RandomState>,
    bytes: usize,
}

/// A set of members. Ordered as [`Hash`](struct@Hash) is.
#[derive(Debug, Clone, Default)]
pub struct Set {
    members: IndexSet<Box<[u8]>, RandomState>,
    bytes: usize,
}

impl Kind {
    /// The name that `TYPE` answers with.
    pub fn name(self) -> &'static str {
        match self {
            Self::Str => "string",
            Self::List => "list",
            Self::Hash => "hash",
            Self::Set => "set",
            Self::ZSet => "zset",
        }
    }
}

impl Value {
    /// What it takes, in bytes, about.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Str(bytes) => bytes.capacity(),
            Self::List(list) => list.bytes,
            Self::Hash(hash) => hash.bytes,
            Self::Set(set) => set.bytes,
            Self::ZSet(zset) => zset.bytes(),
        }
    }

    /// Whether it is a collection without elements, which no key may hold.
    pub fn is_empty_collection(&self) -> bool {
        match self {
            Self::Str(_) => false,
            Self::List(list) => list.is_empty(),
            Self::Hash(hash) => hash.is_empty(),
            Self::Set(set) => set.is_empty(),
            Self::ZSet(zset) => zset.is_empty(),
        }
    }

    /// The value, to look at.
    pub fn view(&self) -> ValueRef<'_> {
        match self {
            Self::Str(bytes) => ValueRef::Str(bytes),
            Self::List(list) => ValueRef::List(list),
            Self::Hash(hash) => ValueRef::Hash(hash),
            Self::Set(set) => ValueRef::Set(set),
            Self::ZSet(zset) => ValueRef::ZSet(zset),
        }
    }
}

impl ValueRef<'_> {
    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Str(_) => Kind::Str,
            Self::List(_) => Kind::List,
            Self::Hash(_) => Kind::Hash,
            Self::Set(_) => Kind::Set,
            Self::ZSet(_) => Kind::ZSet,
        }
    }

    /// A copy of its own.
    pub fn to_value(self) -> Value {
        match self {
            Self::Str(bytes) => Value::Str(bytes.to_vec()),
            Self::List(list) => Value::List(list.clone()),
            Self::Hash(hash) => Value::Hash(hash.clone()),
            Self::Set(set) => Value::Set(set.clone()),
            Self::ZSet(zset) => Value::ZSet(zset.clone()),
        }
    }
}

macro_rules! collection {
    ($type:ident, $variant:ident) => {
        impl Collection for $type {
            const KIND: Kind = Kind::$variant;

            fn of(value: &Value) -> Option<&Self> {
                if let Value::$variant(inner) = value { Some(inner) } else { None }
            }

            fn of_mut(value: &mut Value) -> Option<&mut Self> {
                if let Value::$variant(inner) = value { Some(inner) } else { None }
            }

            fn into_value(self) -> Value {
                Value::$variant(self)
            }
        }
    };
}

collection!(List, List);
collection!(Hash, Hash);
collection!(Set, Set);
collection!(ZSet, ZSet);

impl List {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// The element at `index`, counted from the front.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.elements.get(index).map(|element| &**element)
    }

    /// The elements, front to back.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator {
        self.elements.iter().map(|element| &**element)
    }

    /// The elements of these indexes, front to back.
    ///
    /// # Panics
    ///
    /// When the range exceeds the list.
    pub fn range(&self, range: std::ops::Range<usize>) -> impl ExactSizeIterator<Item = &[u8]> {
        self.elements.range(range).map(|element| &**element)
    }

    /// Adds an element at the front.
    pub fn push_front(&mut self, element: &[u8]) {
        self.bytes += element.len() + ELEMENT_OVERHEAD_BYTES;
        self.elements.push_front(element.into());
    }

    /// Adds an element at the back.
    pub fn push_back(&mut self, element: &[u8]) {
        self.bytes += element.len() + ELEMENT_OVERHEAD_BYTES;
        self.elements.push_back(element.into());
    }

    /// Takes the first element.
    pub fn pop_front(&mut self) -> Option<Box<[u8]>> {
        let element = self.elements.pop_front()?;
        self.bytes -= element.len() + ELEMENT_OVERHEAD_BYTES;
        Some(element)
    }

    /// Takes the last element.
    pub fn pop_back(&mut self) -> Option<Box<[u8]>> {
        let element = self.elements.pop_back()?;
        self.bytes -= element.len() + ELEMENT_OVERHEAD_BYTES;
        Some(element)
    }

    /// Puts an element before the one at `index`, or at the end when `index` is the length.
    ///
    /// # Panics
    ///
    /// When `index` exceeds the length.
    pub fn insert(&mut self, index: usize, element: &[u8]) {
        self.bytes += element.len() + ELEMENT_OVERHEAD_BYTES;
        self.elements.insert(index, element.into());
    }

    /// Replaces the element at `index`; false when there is none.
    pub fn set(&mut self, index: usize, element: &[u8]) -> bool {
        let Some(place) = self.elements.get_mut(index) else { return false };
        self.bytes = self.bytes - place.len() + element.len();
        *place = element.into();
        true
    }

    /// Keeps the elements of these indexes alone.
    pub fn keep(&mut self, range: std::ops::Range<usize>) {
        while self.len() > range.end {
            self.pop_back();
        }
        for _ in 0..range.start {
            self.pop_front();
        }
    }

    /// Removes elements that equal `element`, at most `limit`, from the front or from the back; returns how many.
    pub fn remove(&mut self, element: &[u8], limit: usize, from_back: bool) -> usize {
        let matching =
            self.elements.iter().enumerate().filter(|(_, other)| ***other == *element).map(|(index, _)| index);
        let mut doomed: Vec<usize> = if from_back {
            let mut last: Vec<usize> = matching.collect();
            last.drain(..last.len().saturating_sub(limit));
            last
        } else {
            matching.take(limit).collect()
        };
        let removed = doomed.len();
        self.bytes -= removed * (element.len() + ELEMENT_OVERHEAD_BYTES);
        doomed.reverse();
        let mut index = 0;
        self.elements.retain(|_| {
            let goes = doomed.last() == Some(&index);
            if goes {
                doomed.pop();
            }
            index += 1;
            !goes
        });
        removed
    }
}

impl Hash {
    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The field's value.
    pub fn get(&self, field: &[u8]) -> Option<&[u8]> {
        self.fields.get(field).map(|value| &**value)
    }

    /// The field and its value at `index` of the hash's order.
    pub fn at(&self, index: usize) -> Option<(&[u8], &[u8])> {
        self.fields.get_index(index).map(|(field, value)| (&**field, &**value))
    }

    /// Fields and values, in the hash's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(field, value)| (&**field, &**value))
    }

    /// Gives the field a value; true when it is new.
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        if let Some(place) = self.fields.get_mut(field) {
            self.bytes = self.bytes - place.len() + value.len();
            *place = value.into();
            return false;
        }
        self.bytes += field.len() + value.len() + FIELD_OVERHEAD_BYTES;
        self.fields.insert(field.into(), value.into());
        true
    }

    /// Removes the field; false when it is not there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let Some((field, value)) = self.fields.swap_remove_entry(field) else { return false };
        self.bytes -= field.len() + value.len() + FIELD_OVERHEAD_BYTES;
        true
    }
}

impl Set {
    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether `member` is in it.
    pub fn contains(&self, member: &[u8]) -> bool {
        self.members.contains(member)
    }

    /// The member at `index` of the set's order.
    pub fn at(&self, index: usize) -> Option<&[u8]> {
        self.members.get_index(index).map(|member| &**member)
    }

    /// The members, in the set's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.members.iter().map(|member| &**member)
    }

    /// Adds a member; false when it is there already.
    pub fn insert(&mut self, member: &[u8]) -> bool {
        if self.members.contains(member) {
            return false;
        }
        self.bytes += member.len() + FIELD_OVERHEAD_BYTES;
        self.members.insert(member.into())
    }

    /// Removes a member; false when it is not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let Some(member) = self.members.swap_take(member) else { return false };
        self.bytes -= member.len() + FIELD_OVERHEAD_BYTES;
        true
    }
}
