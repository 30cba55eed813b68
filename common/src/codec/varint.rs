//! Variable-length integers: unsigned LEB128, and zigzag over it for signed ones.
//!
//! Small numbers are the common ones, so they get one byte; DDIA ch. 4, "Thrift and Protocol Buffers" and "Avro",
//! shows the same bytes at work in three formats. Seven bits go in a byte, the least significant group first; the top
//! bit says that another byte follows:
//!
//! ```text
//! 300 = 0b10_0101100      byte 0: 1 0101100      byte 1: 0 0000010
//!                                 | low 7 bits           | next 7 bits
//!                                 more follows           last byte
//! ```
//!
//! Zigzag maps 0, -1, 1, -2, 2… to 0, 1, 2, 3, 4…, so that a small negative number is short too.
//!
//! Every value has exactly one encoding here: padding with zero groups is refused, so that equal numbers are equal
//! bytes and a checksum or a comparison over the encoded form means something. The formats of DDIA ch. 4 allow the
//! padding; a codec that has to accept it (Protocol Buffers') reads its own.

use thiserror::Error;

/// The longest encoding of a `u64`, in bytes: nine carry 63 bits, the tenth carries the last one.
pub const MAX_BYTES: usize = 10;

/// Why bytes are not a varint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VarintError {
    /// The input ends while the last byte says that another follows. More input may make it whole.
    #[error("the varint is cut short")]
    Incomplete,
    /// The value does not fit in 64 bits.
    #[error("the varint does not fit in 64 bits")]
    Overflow,
    /// The last byte carries nothing: the same value has a shorter encoding.
    #[error("the varint is longer than its value needs")]
    Overlong,
}

/// Appends the encoding of `value`: 1 to [`MAX_BYTES`] bytes.
pub fn encode(mut value: u64, out: &mut impl Extend<u8>) {
    while value >= 0x80 {
        out.extend([value as u8 | 0x80]);
        value >>= 7;
    }
    out.extend([value as u8]);
}

/// How many bytes [`encode`] appends for `value`.
pub fn encoded_len(value: u64) -> usize {
    let significant_bits = (u64::BITS - value.leading_zeros()).max(1);
    significant_bits.div_ceil(7) as usize
}

/// Reads one varint from the start of `bytes`. Returns the value and how many bytes it took.
///
/// # Errors
///
/// See [`VarintError`].
pub fn decode(bytes: &[u8]) -> Result<(u64, usize), VarintError> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(MAX_BYTES).enumerate() {
        let group = u64::from(byte & 0x7f);
        let is_last = byte & 0x80 == 0;
        if index == MAX_BYTES - 1 && byte > 1 {
            return Err(VarintError::Overflow);
        }
        value |= group << (7 * index);
        if is_last {
            if group == 0 && index > 0 {
                return Err(VarintError::Overlong);
            }
            return Ok((value, index + 1));
        }
    }
    Err(VarintError::Incomplete)
}

/// Appends the zigzag encoding of `value`.
pub fn encode_signed(value: i64, out: &mut Vec<u8>) {
    encode(zigzag(value), out);
}

/// Reads one zigzag varint from the start of `bytes`. Returns the value and how many bytes it took.
///
/// # Errors
///
/// See [`VarintError`].
pub fn decode_signed(bytes: &[u8]) -> Result<(i64, usize), VarintError> {
    decode(bytes).map(|(value, len)| (unzigzag(value), len))
}

/// Folds the sign into the lowest bit, so that numbers near zero stay small.
pub fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// Undoes [`zigzag`].
pub fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
