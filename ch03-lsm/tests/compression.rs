//! What compressed blocks promise when their checksum was made for hostile bytes: an error or other bytes, and never a panic.

use std::path::Path;
use std::sync::Arc;

use ch03_lsm::engine::cursor::Cursor;
use ch03_lsm::engine::key::{InternalKeyBuf, Kind, Seq, Stamp};
use ch03_lsm::engine::levels::TableId;
use ch03_lsm::storage::table::{Compression, FOOTER_BYTES, NoCache, Table, TableError, TableOptions, TableWriter};
use common::disk::{Disk, Open, SimDisk};

const PATH: &str = "/000001.sst";

/// A table of one block; its bytes, and where the block ends.
fn table(compression: Compression) -> (Vec<u8>, usize) {
    let disk = SimDisk::new(1);
    let options = TableOptions { compression, block_bytes: 1 << 20, ..TableOptions::default() };
    let mut writer = TableWriter::create(&disk, Path::new(PATH), TableId(1), options).expect("it is created");
    for number in 0..60u64 {
        let key = InternalKeyBuf::new(format!("key{number:03}").as_bytes(), Stamp::new(Seq(number + 1), Kind::Put));
        writer.add(key.as_key(), b"a value that is compressed well").expect("an entry");
    }
    writer.finish().expect("it ends");
    let bytes = disk.cached(Path::new(PATH)).expect("it is there");
    let footer = bytes.len() - FOOTER_BYTES;
    let filter = u64::from_le_bytes(bytes[footer + 12..footer + 20].try_into().expect("the filter's offset"));
    (bytes, filter as usize)
}

/// Reads all entries of a table of these bytes, with the checksum of the block made anew.
fn read(mut bytes: Vec<u8>, block: usize) -> Result<u64, TableError> {
    // The table's number and the block's offset come first.
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&1u64.to_le_bytes());
    hasher.update(&0u64.to_le_bytes());
    hasher.update(&bytes[..block - 4]);
    let crc = hasher.finalize();
    bytes[block - 4..block].copy_from_slice(&crc.to_le_bytes());
    let disk = SimDisk::new(1);
    disk.open(Path::new(PATH), Open::New).and_then(|file| file.write_at(&bytes, 0)).expect("a file");
    let table = Arc::new(Table::open(&disk, Path::new(PATH), TableId(1), Arc::new(NoCache))?);
    let mut cursor = table.cursor();
    let mut entries = 0;
    cursor.seek_to_first()?;
    while cursor.key().is_some() {
        entries += 1;
        cursor.next()?;
    }
    Ok(entries)
}

#[test]
fn a_length_that_is_not_the_blocks_is_an_error() {
    for compression in [Compression::Lz4, Compression::Zstd] {
        let (bytes, block) = table(compression);
        assert_eq!(bytes[block - 5], compression as u8, "it was worth it");
        assert_eq!(read(bytes.clone(), block).expect("it is whole"), 60);
        let len = u32::from_le_bytes(bytes[..4].try_into().expect("four bytes"));
        for hostile in [0, 1, len - 1, len + 1, 1 << 29, (1 << 30) + 1, u32::MAX] {
            let mut bytes = bytes.clone();
            bytes[..4].copy_from_slice(&hostile.to_le_bytes());
            let error = read(bytes, block).expect_err("another length");
            assert!(error.to_string().contains("is damaged at offset 0"), "{compression:?}, {hostile}: {error}");
        }
    }
}

#[test]
fn no_byte_of_a_compressed_block_makes_a_reader_panic() {
    for compression in [Compression::Lz4, Compression::Zstd] {
        let (bytes, block) = table(compression);
        let mut refused = 0;
        for at in 0..block - 4 {
            for flip in [1, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                refused += u64::from(read(bytes, block).is_err());
            }
        }
        assert!(refused > 20, "{compression:?}: {refused}");
    }
}
