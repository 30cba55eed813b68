//! The bytes of a table.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use common::codec::varint;
use zstd::bulk::{Compressor, Decompressor};

use crate::engine::block::BlockError;
use crate::engine::levels::TableId;

/// The bytes at the end of a table that say where the rest is.
pub const FOOTER_BYTES: usize = 60;

/// The bytes after each block's payload: compression and checksum.
pub(super) const TRAILER_BYTES: usize = 5;

/// The largest block that is read, in bytes, packed or not: far above what a writer makes, for one entry of the greatest
/// length.
pub(super) const BLOCK_MAX_BYTES: usize = 1 << 30;

const MAGIC: &[u8; 8] = b"ddialsm2";

/// Why a table could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The disk refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It would have a part that nobody could read again: an index or a filter of too many keys.
    #[error("{} would have a part of {len_bytes} bytes: a table has to be smaller", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How long that part is.
        len_bytes: usize,
    },
    /// It is not what was written.
    #[error("{} is damaged at offset {offset}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, in bytes.
        offset: u64,
        /// What is wrong there.
        what: Damage,
    },
}

/// What is wrong with a part of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The end of the file is no footer.
    #[error("its footer does not verify")]
    Footer,
    /// What is said to be there is not in the file.
    #[error("a block of {0} bytes is not in the file")]
    Handle(u64),
    /// Its checksum is another one.
    #[error("the checksum of the block does not match")]
    Checksum,
    /// It is compressed in a way that this version does not know.
    #[error("compression {0} is unknown")]
    Compression(u8),
    /// What it was compressed from does not come out.
    #[error("the block cannot be decompressed")]
    Compressed,
    /// The block verifies, and holds no entries.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// Its properties are not.
    #[error("its properties cannot be read")]
    Properties,
    /// Its range tombstones are none, in no order, or not as many as it says.
    #[error("its range tombstones cannot be read")]
    RangeTombstones,
}

/// Where a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct BlockHandle {
    /// Where its payload begins, in bytes.
    pub offset: u64,
    /// How long its payload is as stored, in bytes.
    pub len_bytes: u64,
}

impl BlockHandle {
    /// Appends it to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        varint::encode(self.offset, out);
        varint::encode(self.len_bytes, out);
    }

    /// From the beginning of `bytes`, and how many it took.
    pub fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (offset, first) = varint::decode(bytes).ok()?;
        let (len_bytes, second) = varint::decode(&bytes[first..]).ok()?;
        Some((Self { offset, len_bytes }, first + second))
    }
}

/// Where a block belongs: it goes into the block's checksum, so that nothing passes for a block where it was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) table: TableId,
    pub(super) offset: u64,
}

impl Place {
    fn checksum(self, bytes: &[u8]) -> u32 {
        let mut place = [0; 16];
        place[..8].copy_from_slice(&self.table.0.to_le_bytes());
        place[8..].copy_from_slice(&self.offset.to_le_bytes());
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&place);
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// How blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Compression {
    /// Not at all.
    None = 0,
    /// LZ4: a fraction of the size for little time.
    #[default]
    Lz4 = 1,
    /// Zstandard: a smaller one for more time, best for what is read seldom.
    Zstd = 2,
}

/// How many bytes one of LZ4's can stand for at most: who claims more is not given the memory for it.
const LZ4_RATIO_MAX: usize = 255;

/// How hard Zstandard tries: its own default level.
const ZSTD_LEVEL: i32 = 3;

thread_local! {
    /// Zstandard's working memory, of about a megabyte: made once for each thread, and not for each block.
    static ZSTD: RefCell<Option<Zstd>> = const { RefCell::new(None) };
}

struct Zstd {
    compressor: Compressor<'static>,
    decompressor: Decompressor<'static>,
}

fn with_zstd<T>(work: impl FnOnce(&mut Zstd) -> io::Result<T>) -> io::Result<T> {
    ZSTD.with_borrow_mut(|zstd| {
        let zstd = match zstd {
            Some(zstd) => zstd,
            none => none.insert(Zstd { compressor: Compressor::new(ZSTD_LEVEL)?, decompressor: Decompressor::new()? }),
        };
        work(zstd)
    })
}

/// What a table says of itself as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Properties {
    /// Entries.
    pub entries: u64,
    /// How many of them are tombstones.
    pub tombstones: u64,
    /// Range tombstones, beside the entries.
    pub range_tombstones: u64,
    /// The bytes of all keys.
    pub key_bytes: u64,
    /// The bytes of all values.
    pub value_bytes: u64,
    /// Blocks of entries.
    pub blocks: u64,
}

impl Properties {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Self { entries, tombstones, range_tombstones, key_bytes, value_bytes, blocks } = *self;
        for number in [entries, tombstones, range_tombstones, key_bytes, value_bytes, blocks] {
            varint::encode(number, out);
        }
    }

    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut numbers = [0; 6];
        for number in &mut numbers {
            let (value, taken) = varint::decode(bytes).ok()?;
            (*number, bytes) = (value, &bytes[taken..]);
        }
        let [entries, tombstones, range_tombstones, key_bytes, value_bytes, blocks] = numbers;
        let properties = Self { entries, tombstones, range_tombstones, key_bytes, value_bytes, blocks };
        bytes.is_empty().then_some(properties)
    }
}

/// Where everything is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Footer {
    /// Of length 0 in a table without any.
    pub(super) range_tombstones: BlockHandle,
    pub(super) filter: BlockHandle,
    pub(super) properties: BlockHandle,
    pub(super) index: BlockHandle,
}

impl Footer {
    pub(super) fn encode(&self) -> [u8; FOOTER_BYTES] {
        let mut bytes = Vec::with_capacity(FOOTER_BYTES);
        for handle in [self.range_tombstones, self.filter, self.properties, self.index] {
            bytes.extend_from_slice(&handle.offset.to_le_bytes());
            bytes.extend_from_slice(&handle.len_bytes.to_le_bytes()[..4]);
        }
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(MAGIC);
        bytes.try_into().expect("four handles, a checksum and the magic")
    }

    pub(super) fn decode(bytes: &[u8; FOOTER_BYTES]) -> Option<Self> {
        let handle = |at: usize| BlockHandle {
            offset: u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")),
            len_bytes: u32::from_le_bytes(bytes[at + 8..at + 12].try_into().expect("four bytes")).into(),
        };
        let footer =
            Self { range_tombstones: handle(0), filter: handle(12), properties: handle(24), index: handle(36) };
        (footer.encode() == *bytes).then_some(footer)
    }
}

/// Puts compression and checksum behind the payload that `block` is, compressed if that saves an eighth.
pub(super) fn pack(payload: &[u8], compression: Compression, place: Place, out: &mut Vec<u8>) {
    let start = out.len();
    let mut used = compression;
    if compression != Compression::None {
        out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        let at = out.len();
        if compression == Compression::Lz4 {
            out.resize(at + lz4_flex::block::get_maximum_output_size(payload.len()), 0);
            let len =
                lz4_flex::block::compress_into(payload, &mut out[at..]).expect("there is room for the worst case");
            out.truncate(at + len);
        } else {
            out.resize(at + zstd::zstd_safe::compress_bound(payload.len()), 0);
            let len = with_zstd(|zstd| zstd.compressor.compress_to_buffer(payload, &mut out[at..]));
            out.truncate(at + len.expect("there is room for the worst case"));
        }
        if out.len() - start > payload.len() - payload.len() / 8 {
            out.truncate(start);
            used = Compression::None;
        }
    }
    if used == Compression::None {
        out.extend_from_slice(payload);
    }
    out.push(used as u8);
    let crc = place.checksum(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// The payload of a block as stored, with its trailer.
pub(super) fn unpack(stored: &[u8], place: Place) -> Result<Arc<[u8]>, Damage> {
    let (rest, crc) = stored.split_last_chunk::<4>().ok_or(Damage::Checksum)?;
    if place.checksum(rest) != u32::from_le_bytes(*crc) {
        return Err(Damage::Checksum);
    }
    let (&compression, payload) = rest.split_last().ok_or(Damage::Checksum)?;
    match compression {
        0 => Ok(payload.into()),
        1 => {
            let (len, compressed) = payload.split_first_chunk::<4>().ok_or(Damage::Compressed)?;
            let len = u32::from_le_bytes(*len) as usize;
            if len > BLOCK_MAX_BYTES || len / LZ4_RATIO_MAX > compressed.len() {
                return Err(Damage::Compressed);
            }
            let mut payload: Arc<[u8]> = std::iter::repeat_n(0, len).collect();
            let out = Arc::get_mut(&mut payload).expect("nobody else has it yet");
            match lz4_flex::block::decompress_into(compressed, out) {
                Ok(written) if written == len => Ok(payload),
                _ => Err(Damage::Compressed),
            }
        }
        2 => {
            let (len, compressed) = payload.split_first_chunk::<4>().ok_or(Damage::Compressed)?;
            let len = u32::from_le_bytes(*len) as usize;
            // The frame says its length as well: what the two do not agree about is not decompressed.
            let framed = zstd::zstd_safe::get_frame_content_size(compressed).ok().flatten();
            if len > BLOCK_MAX_BYTES || framed != Some(len as u64) {
                return Err(Damage::Compressed);
            }
            let mut payload = Vec::with_capacity(len);
            with_zstd(|zstd| zstd.decompressor.decompress_to_buffer(compressed, &mut payload))
                .map_err(|_| Damage::Compressed)?;
            if payload.len() == len { Ok(payload.into()) } else { Err(Damage::Compressed) }
        }
        other => Err(Damage::Compression(other)),
    }
}
