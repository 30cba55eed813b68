//! What the table holds for one key: sixteen bytes that lead to the key, its value, its deadline and its last use.
//!
//! A cache holds mostly small strings, and memory is what limits it: how much a key takes says how long one machine is enough
//! (DDIA ch. 1, "Approaches for Coping with Load", on scaling up before scaling out). A separate allocation for the key, the value and the
//! object around them costs as much as they hold. Here a string lies in one allocation with its key:
//!
//! ```text
//!   byte  0      4        6                14
//!         ├──────┼────────┼────────────────┼─────┼───────┤
//!         │ last │ length │ deadline, ms   │ key │ value │
//!         │ use  │ of key │ (where it has) │     │       │
//!         └──────┴────────┴────────────────┴─────┴───────┘
//!           u32    15 bits and 1 bit: has a deadline; little-endian
//! ```
//!
//! Everything else (collections, and strings that are long or grow) has an [`Object`], which has the same head before its key,
//! and its value elsewhere. The head says the length of a key only where a value follows it.
//!
//! **Left out**: numbers that are kept as such. Redis puts a small one into the pointer that would lead to it; here a number is
//! the text that was set.

use super::eviction::LruClock;
use super::types::UnixMillis;
use crate::values::footprint;
use crate::values::{Value, ValueRef};

/// The longest key that a packed entry can have, in bytes: its length has 15 bits.
const MAX_PACKED_KEY_BYTES: usize = (1 << 15) - 1;

/// The longest value that is packed, in bytes. A longer one is worth an allocation that it need not share.
const MAX_PACKED_VALUE_BYTES: usize = 64 << 10;

const HAS_DEADLINE: u16 = 1 << 15;
const KEY_LEN_AT: usize = 4;
const DEADLINE_AT: usize = 6;
const DEADLINE_BYTES: usize = 8;

/// What an entry's place in the table takes: seventeen bytes, where the table is filled to two thirds and what it left behind
/// when it grew is counted ([`Shards::bytes`](super::shards::Shards::bytes)).
const PLACE_BYTES: usize = 32;

/// A key with all that belongs to it.
#[derive(Debug)]
pub enum Entry {
    /// A string beside its key, laid out as the module's picture shows.
    Packed(Box<[u8]>),
    /// Anything.
    Object(Box<Object>),
}

/// An entry whose value lies elsewhere.
#[derive(Debug)]
pub struct Object {
    /// The head and the key.
    head: Box<[u8]>,
    /// The value.
    pub value: Value,
}

impl Entry {
    /// An entry for a string, packed if it fits.
    pub fn string(key: &[u8], value: &[u8], deadline: Option<UnixMillis>, now: LruClock) -> Self {
        if key.len() > MAX_PACKED_KEY_BYTES || value.len() > MAX_PACKED_VALUE_BYTES {
            return Self::object(key, Value::Str(value.to_vec()), deadline, now);
        }
        Self::Packed(lay_out(key.len() as u16, deadline, now, [key, value]))
    }

    /// An entry for any value.
    pub fn object(key: &[u8], value: Value, deadline: Option<UnixMillis>, now: LruClock) -> Self {
        Self::Object(Box::new(Object { head: lay_out(0, deadline, now, [key, &[]]), value }))
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Packed(packed) => {
                let (key_at, key_len) = packed_key(packed);
                &packed[key_at..key_at + key_len]
            }
            Self::Object(object) => &object.head[packed_key(&object.head).0..],
        }
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> ValueRef<'_> {
        match self {
            Self::Packed(packed) => {
                let (key_at, key_len) = packed_key(packed);
                ValueRef::Str(&packed[key_at + key_len..])
            }
            Self::Object(object) => object.value.view(),
        }
    }

    /// When it expires, if ever.
    #[inline]
    pub fn deadline(&self) -> Option<UnixMillis> {
        let head = self.head();
        if !has_deadline(head) {
            return None;
        }
        let bytes = head[DEADLINE_AT..][..DEADLINE_BYTES].try_into().expect("a deadline is eight bytes");
        Some(UnixMillis(u64::from_le_bytes(bytes)))
    }

    /// When it was last used.
    pub fn last_use(&self) -> LruClock {
        LruClock(u32::from_le_bytes(self.head()[..KEY_LEN_AT].try_into().expect("a clock is four bytes")))
    }

    /// Notes that it is used now.
    #[inline]
    pub fn touch(&mut self, now: LruClock) {
        self.head_mut()[..KEY_LEN_AT].copy_from_slice(&now.0.to_le_bytes());
    }

    /// Replaces a packed string by one of the same length, in place; false when the entry is not of that form.
    #[inline]
    pub fn overwrite(&mut self, value: &[u8]) -> bool {
        let Self::Packed(packed) = self else { return false };
        let (key_at, key_len) = packed_key(packed);
        let place = &mut packed[key_at + key_len..];
        let fits = place.len() == value.len();
        if fits {
            place.copy_from_slice(value);
        }
        fits
    }

    /// Gives it another deadline, or none.
    pub fn set_deadline(&mut self, deadline: Option<UnixMillis>) {
        if let (true, Some(UnixMillis(deadline))) = (has_deadline(self.head()), deadline) {
            self.head_mut()[DEADLINE_AT..][..DEADLINE_BYTES].copy_from_slice(&deadline.to_le_bytes());
            return;
        }
        let last_use = self.last_use();
        match self {
            Self::Packed(_) => {
                let ValueRef::Str(value) = self.value() else { unreachable!("a packed value is a string") };
                *self = Self::string(self.key(), value, deadline, last_use);
            }
            Self::Object(object) => {
                let (key_at, _) = packed_key(&object.head);
                object.head = lay_out(0, deadline, last_use, [&object.head[key_at..], &[]]);
            }
        }
    }

    /// The value in a form that can be changed in place: a packed string is unpacked.
    pub fn value_mut(&mut self) -> &mut Value {
        if let Self::Packed(_) = self {
            *self = Self::object(self.key(), self.value().to_value(), self.deadline(), self.last_use());
        }
        match self {
            Self::Object(object) => &mut object.value,
            Self::Packed(_) => unreachable!("it has just been unpacked"),
        }
    }

    /// The value, moved out.
    pub fn into_value(self) -> Value {
        match self {
            Self::Object(object) => object.value,
            Self::Packed(_) => self.value().to_value(),
        }
    }

    /// What it takes, in bytes, about: its place in the table is counted as one is on average.
    pub fn bytes(&self) -> usize {
        self.allocated_bytes() + PLACE_BYTES
    }

    /// What it takes beside its place in the table, in bytes.
    #[inline]
    pub fn allocated_bytes(&self) -> usize {
        match self {
            Self::Packed(packed) => footprint::block(packed.len()),
            Self::Object(object) => {
                footprint::block(size_of::<Object>()) + footprint::block(object.head.len()) + object.value.bytes()
            }
        }
    }

    /// The bytes that begin with the head.
    #[inline]
    fn head(&self) -> &[u8] {
        match self {
            Self::Packed(packed) => packed,
            Self::Object(object) => &object.head,
        }
    }

    #[inline]
    fn head_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Packed(packed) => packed,
            Self::Object(object) => &mut object.head,
        }
    }
}

/// A head, and what follows it.
fn lay_out(key_len: u16, deadline: Option<UnixMillis>, now: LruClock, rest: [&[u8]; 2]) -> Box<[u8]> {
    let key_at = DEADLINE_AT + if deadline.is_some() { DEADLINE_BYTES } else { 0 };
    let mut bytes = Vec::with_capacity(key_at + rest[0].len() + rest[1].len());
    bytes.extend_from_slice(&now.0.to_le_bytes());
    let length = key_len | if deadline.is_some() { HAS_DEADLINE } else { 0 };
    bytes.extend_from_slice(&length.to_le_bytes());
    if let Some(UnixMillis(deadline)) = deadline {
        bytes.extend_from_slice(&deadline.to_le_bytes());
    }
    bytes.extend_from_slice(rest[0]);
    bytes.extend_from_slice(rest[1]);
    bytes.into_boxed_slice()
}

#[inline]
fn has_deadline(head: &[u8]) -> bool {
    head[KEY_LEN_AT + 1] & 0x80 != 0
}

/// Where the key behind a head begins, and its length where the head says it.
#[inline]
fn packed_key(head: &[u8]) -> (usize, usize) {
    let length = u16::from_le_bytes([head[KEY_LEN_AT], head[KEY_LEN_AT + 1]]);
    let key_at = DEADLINE_AT + if length & HAS_DEADLINE != 0 { DEADLINE_BYTES } else { 0 };
    (key_at, usize::from(length & !HAS_DEADLINE))
}
