//! What values are made of: strings, lists, hashes, sets and sorted sets, as a crate would give them if there were one.
//!
//! The engine uses them as it uses a hash table from elsewhere, by what they promise, and nobody has to read them to
//! understand it. What they have that no crate has is what Redis' users pay for and see: a small collection is packed into one
//! allocation ([`packed`]), every one counts the bytes that it takes ([`footprint`]), and the order of members is what scans and
//! random draws rely on. They know nothing of keys, time or commands.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod footprint;

pub mod packed;

pub mod list;

pub mod hash;

pub mod ranked;

pub mod zset;

pub mod value;

pub use hash::{Hash, Set};
pub use list::List;
pub use value::{Collection, Kind, Value, ValueRef, WrongType};
pub use zset::{LexBound, ScoreBound, ZSet};
