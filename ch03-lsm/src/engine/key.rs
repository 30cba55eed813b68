//! Internal keys: a user's key with the number of the write that it belongs to.
//!
//! An LSM tree changes nothing in place: a put and a delete are both writes of something new, and a reader must find the
//! newest that it may see (DDIA ch. 3, "SSTables and LSM-Trees"). So each write gets a sequence number, and the number is a
//! part of the key under which it is sorted:
//!
//! ```text
//!        0                       len             len + 8
//!        +-----------------------+---------------+
//!        | user key              | seq << 8 | kind|     little-endian
//!        +-----------------------+---------------+
//! ```
//!
//! Sorted by user key, upwards, then by the number, downwards: a seek to (key, seq) lands on the newest write to that key
//! which is not newer than seq. That is all there is to a snapshot: a number that a reader keeps. LevelDB has the
//! same bytes in its tables.

use std::cmp::Ordering;
use std::fmt;

use ref_cast::RefCast;
use smallvec::SmallVec;

/// The bytes that follow the user's key.
pub const STAMP_BYTES: usize = 8;

/// The longest key of a user's, in bytes: what one block of a table holds should not be one key.
pub const KEY_MAX_BYTES: usize = 64 << 10;

/// How many bytes are compared at once.
const PREFIX_BYTES: usize = 16;

/// The number of a write: the later, the greater. 56 bits, which last for two thousand years of a million writes a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Seq(pub u64);

impl Seq {
    /// The greatest: a reader at it sees everything.
    pub const MAX: Self = Self((1 << 56) - 1);
}

/// What a write did to its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// It is gone: a tombstone, which hides what is older until both meet in a compaction.
    Delete = 0,
    /// It has a value.
    Put = 1,
    /// All keys from it up to another are gone: a range tombstone, which is kept apart from the writes to one key
    /// ([`range_tombstones`](super::range_tombstones)).
    DeleteRange = 2,
}

/// The number and the kind of a write, as they stand behind its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(u64);

impl Stamp {
    /// Of these two.
    pub fn new(seq: Seq, kind: Kind) -> Self {
        debug_assert!(seq <= Seq::MAX, "sequence numbers have 56 bits");
        Self(seq.0 << 8 | kind as u64)
    }

    /// The greatest stamp of a number among writes to one key: what a reader at `seq` looks for.
    pub fn newest(seq: Seq) -> Self {
        Self::new(seq, Kind::Put)
    }

    /// The same kind of write, with another number.
    #[must_use]
    pub fn with_seq(self, seq: Seq) -> Self {
        Self(seq.0 << 8 | self.0 & 0xff)
    }

    /// The number.
    pub fn seq(self) -> Seq {
        Seq(self.0 >> 8)
    }

    /// The kind; `None` when it is none that this version knows.
    pub fn kind(self) -> Option<Kind> {
        match self.0 as u8 {
            0 => Some(Kind::Delete),
            1 => Some(Kind::Put),
            2 => Some(Kind::DeleteRange),
            _ => None,
        }
    }

    /// As it is stored.
    pub fn to_bytes(self) -> [u8; STAMP_BYTES] {
        self.0.to_le_bytes()
    }

    /// From where it is stored.
    pub fn from_bytes(bytes: [u8; STAMP_BYTES]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }
}

/// An internal key, as bytes that are somebody else's.
///
/// **Invariants**: at least [`STAMP_BYTES`] long.
#[derive(PartialEq, Eq, Hash, RefCast)]
#[repr(transparent)]
pub struct InternalKey([u8]);

impl InternalKey {
    /// The key that `bytes` are; `None` when they are too short to be one.
    pub fn new(bytes: &[u8]) -> Option<&Self> {
        (bytes.len() >= STAMP_BYTES).then(|| Self::ref_cast(bytes))
    }

    /// The user's key.
    pub fn user(&self) -> &[u8] {
        &self.0[..self.0.len() - STAMP_BYTES]
    }

    /// The number and the kind of the write.
    pub fn stamp(&self) -> Stamp {
        let (_, stamp) = self.0.split_last_chunk().expect("a key is at least as long as its stamp");
        Stamp::from_bytes(*stamp)
    }

    /// Both, as they are stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Ord for InternalKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let (one, two) = (self.user(), other.user());
        let by_user = match (one.split_first_chunk::<PREFIX_BYTES>(), two.split_first_chunk::<PREFIX_BYTES>()) {
            (Some((one, one_rest)), Some((two, two_rest))) => {
                u128::from_be_bytes(*one).cmp(&u128::from_be_bytes(*two)).then_with(|| one_rest.cmp(two_rest))
            }
            _ => one.cmp(two),
        };
        by_user.then_with(|| other.stamp().cmp(&self.stamp()))
    }
}

impl PartialOrd for InternalKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for InternalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stamp = self.stamp();
        write!(f, "{}@{}", self.user().escape_ascii(), stamp.seq().0)?;
        match stamp.kind() {
            Some(Kind::Put) => Ok(()),
            Some(Kind::Delete) => write!(f, " deleted"),
            Some(Kind::DeleteRange) => write!(f, " deleted from here on"),
            None => write!(f, " of unknown kind"),
        }
    }
}

/// An internal key that is one's own. Short ones take no memory beside it.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct InternalKeyBuf(SmallVec<[u8; 32]>);

impl InternalKeyBuf {
    /// The key of a write.
    pub fn new(user: &[u8], stamp: Stamp) -> Self {
        let mut bytes = SmallVec::with_capacity(user.len() + STAMP_BYTES);
        bytes.extend_from_slice(user);
        bytes.extend_from_slice(&stamp.to_bytes());
        Self(bytes)
    }

    /// Where a reader at `seq` begins to look for `user`.
    pub fn seek(user: &[u8], seq: Seq) -> Self {
        Self::new(user, Stamp::newest(seq))
    }

    /// To read.
    pub fn as_key(&self) -> &InternalKey {
        InternalKey::ref_cast(&self.0)
    }
}

impl From<&InternalKey> for InternalKeyBuf {
    fn from(key: &InternalKey) -> Self {
        Self(SmallVec::from_slice(&key.0))
    }
}

impl std::borrow::Borrow<InternalKey> for InternalKeyBuf {
    fn borrow(&self) -> &InternalKey {
        self.as_key()
    }
}

impl Ord for InternalKeyBuf {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_key().cmp(other.as_key())
    }
}

impl PartialOrd for InternalKeyBuf {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for InternalKeyBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_key().fmt(f)
    }
}
