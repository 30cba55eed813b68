//! The bytes of a segment: a header, and blocks of fragments.

use super::LogError;

/// How a segment is cut, in bytes: a reader that has lost its way finds it again at the next multiple.
pub const BLOCK_BYTES: usize = 32 << 10;

/// The bytes of a segment's header.
pub const HEADER_BYTES: usize = 40;

/// The bytes before a fragment's payload.
pub const FRAGMENT_HEADER_BYTES: usize = 7;

/// The checksum that a fragment begins with, in bytes.
pub(super) const CHECKSUM_BYTES: usize = 4;

/// The payload of a mark, in bytes.
pub(super) const MARK_BYTES: usize = 8;

/// What stands in space that is reserved: neither zeros, which is how bytes read that were lost, nor ones, which is how erased
/// flash does. As a fragment's length it is longer than any block.
pub const FILL: u8 = 0xee;

const MAGIC: &[u8; 8] = b"ddialog1";

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Its number: its place among the segments of the log.
    pub number: u64,
    /// Random bits, other ones for each segment: what an older file left in the same blocks does not verify here.
    pub salt: u64,
    /// How many bytes of the segment before this one were durable when this one was begun.
    pub prior_durable_bytes: u64,
}

impl SegmentHeader {
    /// As it stands in the file.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.salt.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.prior_durable_bytes.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..32]);
        bytes[32..36].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// From the file's first bytes; `None` when they are no header, or a damaged one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let header = Self { number: number(8), salt: number(16), prior_durable_bytes: number(24) };
        (header.encode() == *bytes).then_some(header)
    }
}

/// Which part of a record a fragment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// All of it.
    Full = 1,
    /// Its beginning.
    First = 2,
    /// Neither its beginning nor its end.
    Middle = 3,
    /// Its end.
    Last = 4,
    /// No record: the file is durable up to the offset that it holds.
    Mark = 5,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Full, Self::First, Self::Middle, Self::Last, Self::Mark].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A fragment that verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// Which part it is.
    pub kind: Kind,
    /// What it holds.
    pub payload: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// The fragment at `offset` of its segment, where `bytes` begin, which end where its block does at the latest.
    pub fn decode(salt: u64, offset: u64, bytes: &'a [u8]) -> Result<Self, Flaw> {
        let (header, rest) = bytes.split_first_chunk::<FRAGMENT_HEADER_BYTES>().ok_or(Flaw::CutOff)?;
        let [c0, c1, c2, c3, l0, l1, kind] = *header;
        if *header == [0; FRAGMENT_HEADER_BYTES] {
            return Err(Flaw::Zeros);
        }
        if *header == [FILL; FRAGMENT_HEADER_BYTES] {
            return Err(Flaw::Reserved);
        }
        let payload = rest.get(..usize::from(u16::from_le_bytes([l0, l1]))).ok_or(Flaw::CutOff)?;
        if checksum(salt, offset, kind, payload) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(Flaw::Checksum);
        }
        let kind = Kind::from_byte(kind).ok_or(Flaw::Kind)?;
        Ok(Self { kind, payload })
    }

    /// How many bytes it takes.
    pub fn len_bytes(&self) -> usize {
        FRAGMENT_HEADER_BYTES + self.payload.len()
    }

    /// What a mark says; `None` when it is none.
    pub fn durable_bytes(&self) -> Option<u64> {
        let payload: [u8; MARK_BYTES] = self.payload.try_into().ok()?;
        (self.kind == Kind::Mark).then(|| u64::from_le_bytes(payload))
    }
}

/// Appends a fragment that will stand at `offset` of its segment to `out`.
pub(super) fn encode_fragment(salt: u64, offset: u64, kind: Kind, payload: &[u8], out: &mut Vec<u8>) {
    let len = u16::try_from(payload.len()).expect("a fragment is shorter than a block");
    out.extend_from_slice(&checksum(salt, offset, kind as u8, payload).to_le_bytes());
    out.extend_from_slice(&len.to_le_bytes());
    out.push(kind as u8);
    out.extend_from_slice(payload);
}

/// What is wrong with what should be a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It ends before it is whole.
    #[error("it is cut off")]
    CutOff,
    /// Zeros: a sector that was lost, or a length that was durable before its bytes.
    #[error("there are zeros")]
    Zeros,
    /// Space that was reserved, as it was before anything was written there.
    #[error("there is reserved space that was not written")]
    Reserved,
    /// It is not what was written.
    #[error("its checksum does not match")]
    Checksum,
    /// It was written by a version that knows more kinds.
    #[error("its kind is unknown")]
    Kind,
    /// It continues a record that does not begin, or begins one while another has not ended.
    #[error("it is not the part of a record that belongs here")]
    Order,
}

fn checksum(salt: u64, offset: u64, kind: u8, payload: &[u8]) -> u32 {
    let mut context = [0; 21];
    context[..8].copy_from_slice(&salt.to_le_bytes());
    context[8..16].copy_from_slice(&offset.to_le_bytes());
    context[16] = kind;
    context[17..].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&context);
    hasher.update(payload);
    hasher.finalize()
}

/// The error for a segment of `len` bytes whose header does not verify.
pub(super) fn header_error(path: &std::path::Path, len: u64) -> LogError {
    let path = path.to_owned();
    if len <= HEADER_BYTES as u64 { LogError::TornHeader { path } } else { LogError::Header { path } }
}
