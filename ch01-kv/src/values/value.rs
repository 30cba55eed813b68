//! The kinds of value that a key can hold.
//!
//! Each counts the bytes that it takes, and each collection has two forms: packed into one allocation while it is small
//! ([`Packed`](super::packed::Packed)), a table from then on. Whoever uses one does not notice which.

use super::footprint;
use super::hash::{Hash, Set};
use super::list::List;
use super::zset::ZSet;

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
    /// What it takes beside itself, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Str(bytes) => footprint::block(bytes.capacity()),
            Self::List(list) => list.bytes(),
            Self::Hash(hash) => hash.bytes(),
            Self::Set(set) => set.bytes(),
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
