//! The bytes of `appendonly.aof`: what a header, a group and padding look like.
//!
//! The file is a Redis append-only file: commands in RESP, one after the other, so that `redis-check-aof` accepts it and
//! a redis-server loads it. What Redis does not know (which commands belong together, and their checksum) stands in lines
//! that begin with `#`, which its tools skip as annotations: at most 1024 bytes each, ending in CR LF, between commands.
//! Without them a sector of zeros inside a value would be served as data (DDIA ch. 1, "Hardware Faults").
//!
//! ```text
//! offset 0, 48 bytes                  then groups                                       then padding, to the end
//! ┌───────────────────────────────────┬────────────────────────────────┬─────────────┬────────────────────────────┐
//! │#ddia-kv 1 salt=HHHHHHHHHHHHHHHH   │*3 $3 SET $1 a $1 1 ... commands│#G ...␠␠CR LF│#␠␠␠␠␠␠␠␠␠␠␠␠␠CR LF  #␠␠...│
//! │  crc=HHHHHHHH␠CR LF               │◀──────────── len ─────────────▶│ annotation  │◀─ 16 bytes ─▶              │
//! └───────────────────────────────────┴────────────────────────────────┴─────────────┴────────────────────────────┘
//!                                     ▲ each boundary lies on a multiple of 16 bytes ▲
//!
//! annotation:  #G <len> <crc> <seq> <synced> <check> <spaces> CR LF
//!              len     bytes of commands in the group, decimal; in the seal that a clean end leaves, padding
//!                      up to the next multiple of 4096, where the annotation then stands
//!              crc     CRC-32 of salt (8 bytes, LE), seq (8, LE), len (4, LE), commands; 8 hexadecimal digits
//!              seq     the group's number, from 1, without gaps; decimal
//!              synced  the highest group that a sync was known to cover when this one was written; decimal, below seq
//!              check   CRC-32 of salt (8 bytes, LE) and the line up to the space before it; 8 hexadecimal digits
//!              spaces  0 to 15, so that the group ends on a multiple of 16
//! ```
//!
//! - The **salt** is random, made with the file, and never shown: a client cannot store a value that reads as a group.
//! - **check** makes an annotation trustworthy apart from its commands, so that one found after damage is evidence, and
//!   finding it costs a scan that is linear in the file, whatever values are in it.
//! - **synced** tells a tear from damage; see [`recovery`](super::recovery).
//! - The **padding** is written ahead, so that a group overwrites blocks that are allocated and sized already: its sync then
//!   has no metadata to push through the file system's journal, which halves its time. Being whole units, what a group
//!   leaves of it are again whole annotations: a file left by SIGKILL is one that Redis's tools accept.

use std::io::Write;

use common::resp::Limits;

/// The log's name in its directory: the one that Redis gave it before version 7, and loads to this day.
pub const LOG_NAME: &str = "appendonly.aof";

/// The name of a log that is being rewritten: without meaning until it is renamed.
pub const REWRITE_NAME: &str = "appendonly.aof.rewrite";

/// How every boundary in the file is aligned, in bytes: the size of a unit of padding.
pub const UNIT_BYTES: usize = 16;

/// The unit of padding: an annotation that says nothing.
pub const PADDING: &[u8; UNIT_BYTES] = b"#             \r\n";

/// What a disk may lose at once, in bytes: the block of most file systems, and eight of a disk's smallest sectors.
pub const BLOCK_BYTES: u64 = 4096;

/// The length of the header, in bytes.
pub const HEADER_BYTES: usize = 48;

/// What the header begins with; the number is the version of this format.
pub const MAGIC: &[u8] = b"#ddia-kv 1 salt=";

/// What an annotation begins with.
pub const ANNOTATION: &[u8] = b"#G ";

/// An upper bound of an annotation's length, in bytes: every number at its longest, with all its spaces.
pub const ANNOTATION_MAX_BYTES: usize = 96;

/// The most bytes of commands in one group: four of the largest values (512 MiB), and offsets within fit 32 bits.
pub const GROUP_MAX_BYTES: usize = (1 << 31) - 1;

/// What an annotation says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Annotation {
    /// Bytes of commands in the group.
    pub len: u32,
    /// [`group_crc`] of them.
    pub crc: u32,
    /// The group's number, from 1.
    pub seq: u64,
    /// The highest group known to be durable when this one was written.
    pub synced: u64,
}

/// A place between two groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Bytes from the beginning of the file.
    pub offset: u64,
    /// The number of the group before it; 0 when there is none.
    pub seq: u64,
}

impl Position {
    /// The place before the first group.
    pub const FIRST: Self = Self { offset: HEADER_BYTES as u64, seq: 0 };
}

impl Annotation {
    /// The annotation of a group of these commands.
    ///
    /// # Panics
    ///
    /// When they are longer than [`GROUP_MAX_BYTES`].
    pub fn new(salt: u64, seq: u64, synced: u64, commands: &[u8]) -> Self {
        assert!(commands.len() <= GROUP_MAX_BYTES, "a group of {} bytes is too long", commands.len());
        let len = u32::try_from(commands.len()).expect("a group's length fits 32 bits");
        Self { len, crc: group_crc(salt, seq, commands), seq, synced }
    }

    /// Appends the annotation's line to `out`, padded so that the group ends on a multiple of [`UNIT_BYTES`].
    pub fn encode(&self, salt: u64, out: &mut Vec<u8>) {
        let start = out.len();
        let Self { len, crc, seq, synced } = *self;
        write!(out, "#G {len} {crc:08x} {seq} {synced}").expect("writing to memory does not fail");
        let check = checksum(salt, &[&out[start..]]);
        write!(out, " {check:08x}").expect("writing to memory does not fail");
        let unpadded = len as usize + (out.len() - start) + 2;
        out.resize(out.len() + (unpadded.next_multiple_of(UNIT_BYTES) - unpadded), b' ');
        out.extend_from_slice(b"\r\n");
    }

    /// The annotation that `bytes` begin with, and the length of its line; `None` when they begin with none that this log
    /// has written: a part of a value, a damaged one, one of another file.
    pub fn parse(salt: u64, bytes: &[u8]) -> Option<(Self, usize)> {
        let line = &bytes[..bytes.len().min(ANNOTATION_MAX_BYTES)];
        let end = memchr::memmem::find(line, b"\r\n")?;
        let text = std::str::from_utf8(line[..end].strip_prefix(ANNOTATION)?).ok()?;
        let mut words = text.split(' ');
        let len = words.next()?.parse().ok()?;
        let crc = u32::from_str_radix(words.next()?, 16).ok()?;
        let seq = words.next()?.parse().ok()?;
        let synced = words.next()?.parse().ok()?;
        let annotation = Self { len, crc, seq, synced };
        let mut written = Vec::with_capacity(ANNOTATION_MAX_BYTES);
        annotation.encode(salt, &mut written);
        (line[..end + 2] == written && len as usize <= GROUP_MAX_BYTES && synced < seq).then_some((annotation, end + 2))
    }
}

/// The checksum of a group's commands.
pub fn group_crc(salt: u64, seq: u64, commands: &[u8]) -> u32 {
    let len = u32::try_from(commands.len()).expect("a group's length fits 32 bits");
    checksum(salt, &[&seq.to_le_bytes(), &len.to_le_bytes(), commands])
}

/// The file's first bytes.
pub fn encode_header(salt: u64) -> [u8; HEADER_BYTES] {
    let text = format!("#ddia-kv 1 salt={salt:016x}");
    let crc = crc32fast::hash(text.as_bytes());
    let mut header = [b' '; HEADER_BYTES];
    header[HEADER_BYTES - 2..].copy_from_slice(b"\r\n");
    let text = format!("{text} crc={crc:08x}");
    header[..text.len()].copy_from_slice(text.as_bytes());
    header
}

/// The salt that a header names; `None` when it is not a header, or a damaged one.
pub fn parse_header(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.get(..HEADER_BYTES)?.strip_prefix(MAGIC)?.get(..16)?;
    let salt = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (bytes[..HEADER_BYTES] == encode_header(salt)).then_some(salt)
}

/// Whether `bytes` are units of padding and nothing else.
pub fn is_padding(bytes: &[u8]) -> bool {
    let (units, rest) = bytes.as_chunks::<UNIT_BYTES>();
    rest.is_empty() && units.iter().all(|unit| unit == PADDING)
}

/// What a command in a log may claim: what a group can hold, since it got there past the limits of whoever wrote it.
pub(super) fn command_limits() -> Limits {
    Limits {
        max_args: GROUP_MAX_BYTES,
        max_bulk_bytes: GROUP_MAX_BYTES,
        max_request_bytes: GROUP_MAX_BYTES,
        ..Limits::default()
    }
}

fn checksum(salt: u64, parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_48_bytes_and_any_flipped_bit_in_it_is_found() {
        let header = encode_header(0xfeed_beef);
        assert_eq!(&header[..], b"#ddia-kv 1 salt=00000000feedbeef crc=a57d3f7b \r\n");
        assert_eq!(parse_header(&header), Some(0xfeed_beef));
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = header;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse_header(&flipped), None, "bit {bit}");
        }
        assert_eq!(parse_header(&header[..HEADER_BYTES - 1]), None);
    }

    #[test]
    fn a_group_ends_on_a_unit_and_its_annotation_fits_its_bound() {
        for len in [0, 1, 14, 15, 16, 17, 100, 12345] {
            for (seq, synced) in [(1, 0), (17, 9), (u64::MAX, u64::MAX - 1)] {
                let commands = vec![b'x'; len];
                let annotation = Annotation::new(7, seq, synced, &commands);
                let mut line = Vec::new();
                annotation.encode(7, &mut line);
                assert_eq!((len + line.len()) % UNIT_BYTES, 0);
                assert!(line.len() <= ANNOTATION_MAX_BYTES);
                assert_eq!(Annotation::parse(7, &line), Some((annotation, line.len())));
                assert_eq!(Annotation::parse(8, &line), None, "another file's salt");
            }
        }
        let longest = Annotation { len: u32::MAX, crc: u32::MAX, seq: u64::MAX, synced: u64::MAX };
        let mut line = Vec::new();
        longest.encode(0, &mut line);
        assert!(line.len() <= ANNOTATION_MAX_BYTES);
    }

    #[test]
    fn any_flipped_bit_of_an_annotation_is_found() {
        let mut line = Vec::new();
        Annotation::new(7, 3, 2, b"*1\r\n$4\r\nPING\r\n").encode(7, &mut line);
        for bit in 0..line.len() * 8 {
            let mut flipped = line.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Annotation::parse(7, &flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn only_whole_units_are_padding() {
        assert!(is_padding(b""));
        assert!(is_padding(&PADDING.repeat(3)));
        assert!(!is_padding(&PADDING[..15]));
        assert!(!is_padding(&[0; 16]));
    }
}
