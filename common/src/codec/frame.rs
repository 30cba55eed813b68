//! Frames: length-prefixed, checksummed records in a byte stream.
//!
//! ```text
//!        0        4        8                 8 + len
//!        +--------+--------+-----------------+
//!        | len    | crc32  | payload         |     len, crc32: u32, little-endian
//!        +--------+--------+-----------------+     crc32: IEEE, over the 4 bytes of len and the payload
//! ```
//!
//! The checksum covers the length as well: a flipped length bit that still points inside the input is found, and eight
//! zero bytes (what a file holds whose extension survived a power failure while its data did not) are no valid empty
//! frame. DDIA ch. 3, "Hash Indexes", names this as what a log needs to tell a partially written record; ch. 7,
//! "Atomicity", is what it gives.
//!
//! [`decode`] tells three kinds of bad input apart, because a reader treats them differently. `Incomplete`: the input
//! ends inside the frame; on a socket more will come, at the end of a log it is a torn tail. [`FrameError::Corrupt`]:
//! all the bytes are there and they are wrong. [`FrameError::TooLarge`]: the length exceeds the caller's limit, and
//! nothing was allocated or waited for. What no reader can know from a frame alone: a length that was damaged into a
//! larger one, within the limit, looks incomplete. A log that has to tell this from a torn tail needs to know how far
//! it was synced.

use thiserror::Error;

/// The bytes before the payload: the length and the checksum.
pub const HEADER_BYTES: usize = 8;

/// The limit for who has no reason for another, in payload bytes: far above a sensible record, far below memory.
pub const DEFAULT_LIMIT_BYTES: u32 = 64 << 20;

/// What the start of a byte slice holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A whole, undamaged frame.
    Frame {
        /// What was framed.
        payload: &'a [u8],
        /// The bytes that the frame takes, header included: the next one begins there.
        frame_bytes: usize,
    },
    /// The slice ends inside the frame, or is empty.
    Incomplete {
        /// How many more bytes are needed at least.
        missing_bytes: usize,
    },
}

/// Why bytes are not a frame, whatever may follow them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The frame is there and is damaged.
    #[error("damaged frame at byte {offset}: {why}")]
    Corrupt {
        /// Where the frame begins, in bytes.
        offset: u64,
        /// What is wrong with it.
        why: Damage,
    },
    /// The length exceeds the limit.
    #[error("the frame at byte {offset} claims {len_bytes} bytes, over the limit of {limit_bytes}")]
    TooLarge {
        /// Where the frame begins, in bytes.
        offset: u64,
        /// The payload's length as the frame has it, in bytes.
        len_bytes: u64,
        /// The limit that it exceeds, in bytes.
        limit_bytes: u32,
    },
}

/// What is wrong with a damaged frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Damage {
    /// The header is zeros: space that was reserved and never written, or a sector that was wiped.
    #[error("its header is all zeros")]
    Zeros,
    /// The checksum in the header is not the one of the bytes.
    #[error("checksum {computed:#010x}, where {stored:#010x} was stored")]
    Checksum {
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
}

/// Appends the frame of `payload` to `out`.
///
/// # Errors
///
/// [`FrameError::TooLarge`] when the payload exceeds `limit_bytes`; `out` is unchanged. A writer that is held to its
/// readers' limit cannot write what they would refuse.
pub fn encode(payload: &[u8], limit_bytes: u32, out: &mut Vec<u8>) -> Result<(), FrameError> {
    encode_with(limit_bytes, out, |out| out.extend_from_slice(payload))
}

/// Appends a frame whose payload `fill` appends: for who builds it piece by piece, without a copy.
///
/// # Errors
///
/// As [`encode`].
///
/// # Panics
///
/// When `fill` shortens the vector that it may only append to.
pub fn encode_with(limit_bytes: u32, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), FrameError> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    fill(out);
    assert!(out.len() >= start + HEADER_BYTES, "the payload's writer must only append");
    let len_bytes = (out.len() - start - HEADER_BYTES) as u64;
    if len_bytes > u64::from(limit_bytes) {
        out.truncate(start);
        return Err(FrameError::TooLarge { offset: start as u64, len_bytes, limit_bytes });
    }
    let len = (len_bytes as u32).to_le_bytes();
    let crc = checksum(len, &out[start + HEADER_BYTES..]);
    out[start..start + 4].copy_from_slice(&len);
    out[start + 4..start + HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// Reads the frame at the start of `bytes`. Errors give the offset 0; [`Frames`] keeps count.
///
/// # Errors
///
/// See [`FrameError`].
pub fn decode(bytes: &[u8], limit_bytes: u32) -> Result<Decoded<'_>, FrameError> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Ok(Decoded::Incomplete { missing_bytes: HEADER_BYTES - bytes.len() });
    };
    let [len @ .., c0, c1, c2, c3] = *header;
    let stored = u32::from_le_bytes([c0, c1, c2, c3]);
    let len_bytes = u32::from_le_bytes(len);
    if len_bytes > limit_bytes {
        return Err(FrameError::TooLarge { offset: 0, len_bytes: u64::from(len_bytes), limit_bytes });
    }
    if *header == [0; HEADER_BYTES] {
        return Err(FrameError::Corrupt { offset: 0, why: Damage::Zeros });
    }
    let Some(payload) = rest.get(..len_bytes as usize) else {
        return Ok(Decoded::Incomplete { missing_bytes: len_bytes as usize - rest.len() });
    };
    let computed = checksum(len, payload);
    if computed != stored {
        return Err(FrameError::Corrupt { offset: 0, why: Damage::Checksum { stored, computed } });
    }
    Ok(Decoded::Frame { payload, frame_bytes: HEADER_BYTES + payload.len() })
}

/// The frames of a slice, one after the other: an iterator that ends at the first frame that is not whole.
///
/// **Invariants**: `consumed` is at most the slice's length, and everything before it is whole frames. After an error
/// or an incomplete frame the iterator yields nothing more.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    base_offset: u64,
    limit_bytes: u32,
    consumed: usize,
    ended: bool,
}

impl<'a> Frames<'a> {
    /// The frames of `bytes`, which begin at `base_offset` of the file or stream that errors shall speak of.
    pub fn new(bytes: &'a [u8], base_offset: u64, limit_bytes: u32) -> Self {
        Self { bytes, base_offset, limit_bytes, consumed: 0, ended: false }
    }

    /// Where the first byte lies, in the file or stream, that belongs to no frame yielded so far.
    pub fn offset(&self) -> u64 {
        self.base_offset + self.consumed as u64
    }

    /// The bytes that belong to no frame yielded so far. When the iterator has ended without an error and this is not
    /// empty, it is the beginning of a frame.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.consumed..]
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<&'a [u8], FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match decode(self.rest(), self.limit_bytes) {
            Ok(Decoded::Frame { payload, frame_bytes }) => {
                self.consumed += frame_bytes;
                Some(Ok(payload))
            }
            Ok(Decoded::Incomplete { .. }) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error.moved_by(self.offset())))
            }
        }
    }
}

impl FrameError {
    /// The same error, in a stream where the slice begins at `base_offset`.
    fn moved_by(mut self, base_offset: u64) -> Self {
        match &mut self {
            Self::Corrupt { offset, .. } | Self::TooLarge { offset, .. } => *offset += base_offset,
        }
        self
    }
}

fn checksum(len: [u8; 4], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&len);
    hasher.update(payload);
    hasher.finalize()
}
