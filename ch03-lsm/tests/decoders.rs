//! What the decoders of every file make of bytes that nobody wrote: an error or something sensible, never a panic, and never
//! more memory than the file is long times a constant. Blocks have the same in `tests/block.rs`, segments of logs in
//! `common/tests/log.rs`.
//!
//! A checksum keeps damage out and not an author: where there is one, these tests also give it what it wants.

use std::path::Path;
use std::sync::Arc;

use ch03_lsm::engine::bloom;
use ch03_lsm::engine::cursor::Cursor;
use ch03_lsm::engine::key::{InternalKeyBuf, Kind, Seq, Stamp};
use ch03_lsm::engine::levels::{Edit, TableId, TableMeta};
use ch03_lsm::storage::batch::{Batch, BatchRecord};
use ch03_lsm::storage::hash_files::{Entries, Entry, Hint, HintFile, evidence};
use ch03_lsm::storage::manifest::{Record, State};
use ch03_lsm::storage::table::{
    BlockHandle, Compression, FOOTER_BYTES, NoCache, Table, TableError, TableOptions, TableWriter,
};
use common::codec::varint;
use common::disk::{Disk, Open, SimDisk};
use common::judge::seeds;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

/// Tries a property on generated inputs, the same ones each time; a failure prints the least input that shows it.
fn hold<S: Strategy>(cases: u32, strategy: &S, mut property: impl FnMut(S::Value)) {
    for seed in seeds(2) {
        let config =
            ProptestConfig { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Default::default() };
        let property = std::cell::RefCell::new(&mut property);
        let outcome = TestRunner::new(config).run(strategy, |input| {
            (property.borrow_mut())(input);
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

/// Bytes of which many are small, so that many are lengths that fit.
fn bytes(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![3 => 0..8u8, 1 => any::<u8>()], 0..longest)
}

/// Gives `read` the bytes cut at every place, and with each of their bits flipped.
fn cut_and_flip(whole: &[u8], mut read: impl FnMut(&[u8])) {
    for end in 0..=whole.len() {
        read(&whole[..end]);
    }
    let mut flipped = whole.to_vec();
    for bit in 0..whole.len() * 8 {
        flipped[bit / 8] ^= 1 << (bit % 8);
        read(&flipped);
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
}

/// Lengths that nothing could be allocated for.
const HUGE: [u64; 6] = [u64::MAX, u64::MAX / 2, 1 << 56, 1 << 40, 1 << 32, 1 << 30];

fn batch() -> Batch {
    let mut batch = Batch::new();
    batch.put(b"apple", b"red").expect("it fits");
    batch.delete(b"pear").expect("it fits");
    batch.put(b"", b"").expect("it fits");
    batch
}

/// A batch that was decoded can be read to its end, and is as long as it says.
fn read_batch(bytes: &[u8]) {
    if let Ok(record) = BatchRecord::decode(bytes) {
        let writes: Vec<_> = record.writes().map(|write| write.expect("it was decoded")).collect();
        assert_eq!(writes.len(), record.count as usize);
        assert!(record.last() <= Seq::MAX && record.first.0 <= record.last().0 + 1);
        assert!(writes.iter().all(|write| write.key.len() + write.value.len() <= bytes.len()));
    }
}

#[test]
fn a_batch_of_any_bytes_is_refused_or_can_be_read_to_its_end() {
    let mut whole = batch();
    let whole = whole.record(Seq(7)).to_vec();
    assert_eq!(BatchRecord::decode(&whole).expect("it is whole").last(), Seq(9));
    cut_and_flip(&whole, read_batch);
    for end in 0..whole.len() {
        assert!(BatchRecord::decode(&whole[..end]).is_err(), "{end} of {} bytes are no batch", whole.len());
    }
    for huge in HUGE {
        let mut bytes = whole[..12].to_vec();
        bytes.push(Kind::Put as u8);
        varint::encode(huge, &mut bytes);
        bytes.extend_from_slice(&[0; 20]);
        assert!(BatchRecord::decode(&bytes).is_err());
    }
    let first_of_all = [&(Seq::MAX.0 - 1).to_le_bytes()[..], &whole[8..]].concat();
    assert!(BatchRecord::decode(&first_of_all).is_err(), "its last number is beyond the greatest");
    hold(2_000, &(bytes(120), 0..6u32, any::<bool>()), |(mut bytes, count, is_counted)| {
        if is_counted && bytes.len() >= 12 {
            bytes[4..8].fill(0);
            bytes[8..12].copy_from_slice(&count.to_le_bytes());
        }
        read_batch(&bytes);
    });
}

fn key(user: &[u8], seq: u64) -> InternalKeyBuf {
    InternalKeyBuf::new(user, Stamp::new(Seq(seq), Kind::Put))
}

fn meta(id: u64, first: &[u8], last: &[u8]) -> TableMeta {
    let (smallest, largest) = (key(first, id), key(last, id));
    TableMeta {
        id: TableId(id),
        len_bytes: 9,
        entries: 2,
        tombstones: 1,
        range_tombstones: 1,
        smallest,
        largest,
        newest: Seq(id),
    }
}

/// A record that was decoded is the one that its bytes are made of again, and can be applied or is refused.
fn read_record(bytes: &[u8]) {
    if let Ok(record) = Record::decode(bytes) {
        assert_eq!(Record::decode(&record.encode()).as_ref(), Ok(&record), "encoded again");
        let mut state = State::default();
        if state.apply(&record).is_ok() {
            assert!(state.apply(&state.clone().record()).is_ok(), "a state can be taken up again");
        }
    }
}

#[test]
fn a_manifest_record_of_any_bytes_is_refused_or_makes_a_state_that_can_be_taken_up_again() {
    let edit = Edit {
        removed: vec![(0, TableId(3)), (6, TableId(300))],
        added: vec![(0, meta(4, b"a", b"z")), (1, meta(5, b"b", b"c")), (1, meta(6, b"d", b"e"))],
    };
    let record = Record { wal: Some(9), next_file: Some(300), seq: Some(Seq(70_000)), edit, is_whole: true };
    let whole = record.encode();
    assert_eq!(Record::decode(&whole), Ok(record));
    cut_and_flip(&whole, read_record);
    for huge in HUGE {
        // A level, and the length of a key.
        let mut level = vec![4];
        varint::encode(huge, &mut level);
        level.push(1);
        assert!(Record::decode(&level).is_err(), "there is no level {huge}");
        let mut long = vec![5, 0, 1, 1, 1, 1, 1];
        varint::encode(huge, &mut long);
        long.extend_from_slice(&[0; 40]);
        assert!(Record::decode(&long).is_err(), "there is no key of {huge} bytes");
    }
    let fields = vec((1..8u8, bytes(40)), 0..6);
    hold(2_000, &fields, |fields| {
        let bytes: Vec<u8> = fields.into_iter().flat_map(|(tag, bytes)| [vec![tag], bytes].concat()).collect();
        read_record(&bytes);
    });
}

#[test]
fn a_handle_of_any_bytes_is_refused_or_takes_no_more_than_there_is() {
    let mut whole = Vec::new();
    BlockHandle { offset: 1 << 40, len_bytes: 300 }.encode(&mut whole);
    let read = |bytes: &[u8]| {
        if let Some((handle, taken)) = BlockHandle::decode(bytes) {
            assert!(taken <= bytes.len());
            let mut again = Vec::new();
            handle.encode(&mut again);
            assert_eq!(BlockHandle::decode(&again), Some((handle, again.len())));
        }
    };
    cut_and_flip(&whole, read);
    hold(1_000, &vec(any::<u8>(), 0..24), |bytes| read(&bytes));
}

#[test]
fn a_filter_of_any_bytes_denies_nothing_that_it_was_not_asked_to_and_never_panics() {
    let mut builder = bloom::BloomBuilder::new();
    let hashes: Vec<u64> = (0..50u32).map(|number| bloom::hash(&number.to_le_bytes())).collect();
    hashes.iter().for_each(|hash| builder.add(*hash));
    let whole = builder.finish(10.0);
    let ask =
        |filter: &[u8]| hashes.iter().chain(&[0, u64::MAX]).for_each(|hash| _ = bloom::may_contain(filter, *hash));
    for end in 0..=whole.len() {
        ask(&whole[..end]);
    }
    hold(2_000, &(vec(any::<u8>(), 0..200), any::<u8>(), any::<u64>()), |(mut filter, probes, hash)| {
        filter.push(probes);
        bloom::may_contain(&filter, hash);
        // Of whole lines.
        let mut lines = vec![0xff; 64 * (filter.len() % 4)];
        lines.push(probes);
        let is_known = bloom::may_contain(&lines, hash);
        assert!(is_known || lines.len() == 1, "a filter whose bits are all set denies nothing");
    });
}

#[test]
fn a_data_file_of_any_bytes_gives_entries_that_verify_and_then_ends() {
    let entry = |durable, key, value| Entry { durable, key, value };
    let mut whole = Vec::new();
    for (key, value) in [(&b"apple"[..], Some(&b"red"[..])), (b"pear", None), (b"", Some(b""))] {
        let offset = whole.len() as u32;
        whole.extend(entry(offset, key, value).encode(5, offset));
    }
    let original: Vec<u32> = Entries::new(5, &whole).map(|(offset, _)| offset).collect();
    assert_eq!(original.len(), 3);
    cut_and_flip(&whole, |bytes| {
        let mut entries = Entries::new(5, bytes);
        let offsets: Vec<u32> = entries.by_ref().map(|(offset, _)| offset).collect();
        assert!(original.starts_with(&offsets), "what verifies was written");
        if !entries.is_at_end() {
            evidence(5, bytes, entries.end());
        }
    });
    for (at, entry) in original.iter().zip(Entries::new(5, &whole)) {
        assert_eq!(Entry::decode(5, *at, &whole[*at as usize..]), Some(entry.1));
        assert_eq!(Entry::decode(5, at + 1, &whole[*at as usize..]), None, "it stands where it was written");
        assert_eq!(Entry::decode(6, *at, &whole[*at as usize..]), None, "and in the file that it was written to");
    }
    // Lengths that there are not, with the checksum that they ask for.
    for (key_len, value_len) in [(u32::MAX, 0), (0, u32::MAX - 1), (1 << 20, 1 << 20), (30, 0), (0, 30)] {
        let rest = [[0; 4], u32::to_le_bytes(key_len), u32::to_le_bytes(value_len), [7; 4]].concat();
        let mut hasher = crc32fast::Hasher::new();
        [&5u64.to_le_bytes()[..], &0u64.to_le_bytes(), &rest].into_iter().for_each(|part| hasher.update(part));
        let bytes = [&hasher.finalize().to_le_bytes()[..], &rest].concat();
        assert_eq!(Entry::decode(5, 0, &bytes), None, "a key of {key_len} and a value of {value_len} bytes");
    }
    hold(500, &bytes(300), |bytes| {
        let mut entries = Entries::new(1, &bytes);
        assert_eq!(entries.by_ref().count(), 0, "nobody wrote that");
        if !bytes.is_empty() {
            assert_eq!(evidence(1, &bytes, 0), None);
        }
    });
}

#[test]
fn a_hint_file_of_any_bytes_is_refused_or_points_into_its_data_file() {
    let mut file = HintFile::new(5);
    for number in 0..4u32 {
        file.add(Hint { key: &number.to_le_bytes()[..number as usize], offset: number * 100, len: 40 });
    }
    let whole = file.finish(340);
    assert_eq!(HintFile::decode(5, &whole).expect("it is whole").1.len(), 4);
    assert_eq!(HintFile::decode(6, &whole), None, "it is of file 5");
    let (_, hints) = HintFile::decode(5, &whole).expect("it is whole");
    cut_and_flip(&whole, |bytes| {
        assert!(HintFile::decode(5, bytes).is_none_or(|(_, found)| found == hints), "what verifies was written");
    });
    // Any hints, with the checksum that they ask for.
    hold(2_000, &bytes(120), |rest| {
        let mut hasher = crc32fast::Hasher::new();
        [&5u64.to_le_bytes()[..], &0u64.to_le_bytes(), &rest].into_iter().for_each(|part| hasher.update(part));
        let bytes = [&hasher.finalize().to_le_bytes()[..], &rest].concat();
        if let Some((data_len, hints)) = HintFile::decode(5, &bytes) {
            assert!(hints.iter().all(|hint| u64::from(hint.offset) + u64::from(hint.len) <= u64::from(data_len)));
            assert!(hints.len() * 12 <= bytes.len(), "no more hints than there are bytes for");
        }
    });
}

const TABLE: &str = "/000007.sst";

/// The bytes of a table of a few blocks, as it is written.
fn table() -> Vec<u8> {
    let disk = SimDisk::new(0);
    let options = TableOptions { block_bytes: 120, ..TableOptions::default() };
    let mut writer = TableWriter::create(&disk, Path::new(TABLE), TableId(7), options).expect("it is begun");
    for number in 0..30u32 {
        let user = format!("key-{number:03}");
        writer.add(key(user.as_bytes(), 9).as_key(), &[b'v'; 20]).expect("it is added");
    }
    writer.finish().expect("it is written");
    disk.cached(TABLE).expect("it is there")
}

/// Opens a table of these bytes, reads it both ways, and asks it for keys. What is wrong must be damage, and name the file.
fn read_table(bytes: &[u8]) -> Result<u64, TableError> {
    let disk = SimDisk::new(0);
    disk.open(Path::new(TABLE), Open::New).expect("a file").write_at(bytes, 0).expect("there is room");
    let read = || {
        let table = Arc::new(Table::open(&disk, Path::new(TABLE), TableId(7), Arc::new(NoCache))?);
        let mut cursor = table.cursor();
        let mut entries = 0;
        cursor.seek_to_first()?;
        while cursor.key().is_some() {
            entries += 1;
            assert!(entries <= bytes.len() as u64 * 4, "a cursor goes round in circles");
            cursor.next()?;
        }
        cursor.seek_to_last()?;
        let mut back = 0;
        while cursor.key().is_some() {
            back += 1;
            assert!(back <= bytes.len() as u64 * 4, "a cursor goes round in circles");
            cursor.prev()?;
        }
        for user in [&b""[..], b"key-015", b"zzz"] {
            table.may_contain(bloom::hash(user));
            table.get(InternalKeyBuf::seek(user, Seq::MAX).as_key())?;
            cursor.seek(InternalKeyBuf::seek(user, Seq(4)).as_key())?;
            cursor.seek_for_prev(InternalKeyBuf::seek(user, Seq(4)).as_key())?;
        }
        Ok(entries)
    };
    let result = read();
    if let Err(error) = &result {
        assert!(matches!(error, TableError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(TABLE), "it names the file: {error}");
    }
    result
}

#[test]
fn a_table_that_was_cut_or_changed_anywhere_is_refused() {
    let whole = table();
    assert_eq!(read_table(&whole).expect("it is whole"), 30);
    for end in 0..whole.len() {
        assert!(read_table(&whole[..end]).is_err(), "{end} of {} bytes are no table", whole.len());
    }
    let mut flipped = whole.clone();
    for at in 0..whole.len() {
        flipped[at] ^= 1 << (at % 8);
        assert!(read_table(&flipped).is_err(), "a bit of byte {at} counts");
        flipped[at] ^= 1 << (at % 8);
    }
    hold(300, &vec(any::<u8>(), 0..400), |bytes| assert!(read_table(&bytes).is_err()));
}

/// Puts the checksum behind a block's payload and the byte that says how it is compressed.
fn sealed(mut payload: Vec<u8>, compression: u8, offset: usize) -> Vec<u8> {
    payload.push(compression);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&7u64.to_le_bytes());
    hasher.update(&(offset as u64).to_le_bytes());
    hasher.update(&payload);
    let crc = hasher.finalize();
    payload.extend_from_slice(&crc.to_le_bytes());
    payload
}

/// A table whose footer and checksums are right, and whose parts are whatever is given.
fn forged(block: Vec<u8>, filter: Vec<u8>, properties: Vec<u8>, index: Vec<u8>, compression: u8) -> Vec<u8> {
    let whole = table();
    let magic = &whole[whole.len() - 8..];
    let mut bytes = sealed(block, compression, 0);
    // No range tombstones.
    let mut footer = vec![0; 12];
    for (part, compression) in [(filter, 0), (properties, 0), (index, compression)] {
        let part = sealed(part, compression, bytes.len());
        footer.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        footer.extend_from_slice(&(part.len() as u32 - 5).to_le_bytes());
        bytes.extend(part);
    }
    let crc = crc32fast::hash(&footer);
    footer.extend_from_slice(&crc.to_le_bytes());
    footer.extend_from_slice(magic);
    assert_eq!(footer.len(), FOOTER_BYTES);
    bytes.extend(footer);
    bytes
}

/// A block of one entry.
fn one_entry(user: &[u8], value: &[u8]) -> Vec<u8> {
    let mut builder = ch03_lsm::engine::block::BlockBuilder::new(1);
    builder.add(key(user, 9).as_key(), value);
    builder.finish().to_vec()
}

#[test]
fn a_table_that_was_made_to_verify_is_read_without_a_panic() {
    let handle = |offset, len_bytes| {
        let mut handle = Vec::new();
        BlockHandle { offset, len_bytes }.encode(&mut handle);
        handle
    };
    let properties = vec![1, 0, 0, 13, 5, 1];
    let block = one_entry(b"key-015", b"value");
    let good = one_entry(b"key-015", &handle(0, block.len() as u64));
    let forge = |block: &[u8], index: &[u8]| forged(block.to_vec(), vec![1], properties.clone(), index.to_vec(), 0);
    let control = read_table(&forge(&block, &good));
    assert_eq!(control.expect("one that was forged well is read"), 1);
    for offset in [0, 1, 20, u64::MAX, 1 << 40] {
        for len in [0, 1, 19, u64::MAX, u64::MAX - 5, 1 << 30, 1 << 40] {
            let _: Result<u64, TableError> = read_table(&forge(&block, &one_entry(b"key-015", &handle(offset, len))));
        }
    }
    // What a compressed block says of its length before it is unpacked.
    for len in [0, 1, u32::MAX, 1 << 30, 1 << 20] {
        let packed = [&len.to_le_bytes()[..], &[0x1f, 7, 1, 0, 0xff]].concat();
        for compression in [1, 2, 3, 255] {
            let table = forged(packed.clone(), vec![1], properties.clone(), packed.clone(), compression);
            assert!(read_table(&table).is_err());
        }
    }
    hold(
        600,
        &(bytes(80), bytes(80), bytes(12), bytes(70), 0..3u8),
        |(block, index, properties, filter, compression)| {
            let _: Result<u64, TableError> = read_table(&forged(block, filter, properties, index, compression));
        },
    );
    hold(600, &(bytes(100), 0..3u8), |(block, compression)| {
        let index = one_entry(b"key-015", &handle(0, block.len() as u64));
        let _: Result<u64, TableError> = read_table(&forge(&block, &index));
        let _: Result<u64, TableError> = read_table(&forged(block, vec![1], properties.clone(), index, compression));
    });
}

#[test]
fn a_block_in_another_ones_place_is_damage() {
    let disk = SimDisk::new(0);
    let options = TableOptions { block_bytes: 120, compression: Compression::None, ..TableOptions::default() };
    let mut writer = TableWriter::create(&disk, Path::new(TABLE), TableId(7), options).expect("it is begun");
    for number in 0..30u32 {
        let user = format!("key-{number:03}");
        writer.add(key(user.as_bytes(), 9).as_key(), &[b'v'; 20]).expect("it is added");
    }
    writer.finish().expect("it is written");
    let mut bytes = disk.cached(TABLE).expect("it is there");
    let table = Arc::new(Table::open(&disk, Path::new(TABLE), TableId(7), Arc::new(NoCache)).expect("it is whole"));
    let mut cursor = table.cursor();
    cursor.seek_to_first().expect("a seek");
    let mut offsets = Vec::new();
    while cursor.key().is_some() {
        if offsets.last() != Some(&cursor.block_offset()) {
            offsets.push(cursor.block_offset());
        }
        cursor.next().expect("a step");
    }
    let (from, to, after) = offsets
        .windows(3)
        .map(|at| (at[0] as usize, at[1] as usize, at[2] as usize))
        .find(|(from, to, after)| to - from == after - to)
        .expect("blocks of equal entries are equally long");
    let block = bytes[from..to].to_vec();
    bytes[to..after].copy_from_slice(&block);
    assert!(read_table(&bytes).is_err(), "a block verifies where it was not written");
}
