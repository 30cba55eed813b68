//! Time to live: values that carry the time at which they expire, and the filter that leaves the expired out.
//!
//! ```text
//! stored   +-----------------+------------+
//!          | value           | expires    |      expires: u64, little-endian, seconds since 1970; u64::MAX: never
//!          +-----------------+------------+
//! ```
//!
//! The time stands at the end, so that a value is a prefix of what is stored (RocksDB's `DBWithTTL` has the same shape). Until
//! a compaction comes by, an expired value is still there: whoever reads asks [`read`], which hides it.

use super::filter::CompactionFilter;

/// The bytes behind a value.
pub const EXPIRY_BYTES: usize = 8;

/// Of a value that never expires.
pub const NEVER: u64 = u64::MAX;

/// Leaves out what has expired. A value that is too short to carry a time is kept: it is none of this filter's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ttl;

impl CompactionFilter for Ttl {
    fn keeps(&self, _key: &[u8], value: &[u8], now_s: u64) -> bool {
        split(value).is_none_or(|(_, expires_s)| now_s < expires_s)
    }
}

/// A value as it is stored, to be read until `expires_s`.
pub fn value(bytes: &[u8], expires_s: u64) -> Vec<u8> {
    let mut stored = Vec::with_capacity(bytes.len() + EXPIRY_BYTES);
    stored.extend_from_slice(bytes);
    stored.extend_from_slice(&expires_s.to_le_bytes());
    stored
}

/// The value and when it expires; `None` when `stored` carries no time.
pub fn split(stored: &[u8]) -> Option<(&[u8], u64)> {
    stored.split_last_chunk().map(|(value, expires_s)| (value, u64::from_le_bytes(*expires_s)))
}

/// The value, unless it has expired at `now_s` or carries no time.
pub fn read(stored: &[u8], now_s: u64) -> Option<&[u8]> {
    split(stored).filter(|(_, expires_s)| now_s < *expires_s).map(|(value, _)| value)
}
