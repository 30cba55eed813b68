//! A sorted table, and its bytes.

use std::sync::Arc;

use common::cli::human;
use common::tour::Narrator;

use super::stage::{Stage, counted, hex_dump, value};
use crate::engine::cursor::Cursor;
use crate::engine::key::{InternalKeyBuf, Kind, Seq, Stamp};
use crate::engine::levels::TableId;
use crate::error::Error;
use crate::storage::table::{Compression, FOOTER_BYTES, NoCache, Table, TableOptions, TableWriter};

/// How many entries the table has.
const ENTRIES: u64 = 5_000;

pub(super) fn play(narrator: &mut Narrator, stage: &mut Stage) -> Result<(), Error> {
    narrator.says(
        "Sort the file by key. Then the place of one key says something about all others: to find user001234 it is enough to know \
         where user001200 is. The index needs one key for each block of some kilobytes, and it finds ranges.",
    );
    let (counts, disk) = counted();
    let dir = stage.dir("table");
    disk.create_dir_all(&dir).map_err(Error::io("create", &dir))?;
    let path = dir.join("000001.sst");
    let options = TableOptions { compression: Compression::None, ..TableOptions::default() };
    let mut writer = TableWriter::create(&*disk, &path, TableId(1), options)?;
    let (mut key_bytes, mut value_bytes) = (0, 0);
    for n in 0..ENTRIES {
        let key = format!("user{n:06}");
        let value = value(n);
        key_bytes += key.len() as u64;
        value_bytes += value.len() as u64;
        writer.add(InternalKeyBuf::new(key.as_bytes(), Stamp::new(Seq(n + 1), Kind::Put)).as_key(), &value)?;
    }
    let meta = writer.finish()?;
    let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
    narrator.says("The first entries. Each begins with three lengths: what its key shares with the one before, the rest, the value:");
    narrator.show(&hex_dump(&bytes[..224], 0));
    narrator.says("And the footer, which says where the range tombstones (there are none), the filter, the properties and the index are:");
    narrator.show(&hex_dump(&bytes[bytes.len() - FOOTER_BYTES..], (bytes.len() - FOOTER_BYTES) as u64));
    counts.reset();
    let table = Arc::new(Table::open(&*disk, &path, TableId(1), Arc::new(NoCache))?);
    let open = counts.total();
    narrator.measured("keys and values", &format!("{} and {}", human::bytes(key_bytes), human::bytes(value_bytes)));
    narrator.measured("the file", &human::bytes(meta.len_bytes));
    narrator.measured("blocks", &human::grouped(table.properties().blocks));
    narrator.measured("index in memory", &human::bytes(table.index_bytes() as u64));
    narrator.measured("filter in memory", &human::bytes(table.filter_bytes() as u64));
    narrator.measured("read to open it", &human::bytes(open.read_bytes));
    counts.reset();
    table.get(InternalKeyBuf::seek(b"user001234", Seq::MAX).as_key())?;
    let get = counts.total();
    narrator.measured("read for one get", &format!("{} in {} read", human::bytes(get.read_bytes), get.reads));
    counts.reset();
    let mut cursor = table.cursor();
    cursor.seek(InternalKeyBuf::seek(b"user001000", Seq::MAX).as_key())?;
    for _ in 0..100 {
        cursor.next()?;
    }
    let scan = counts.total();
    narrator.measured("read for a range of 100", &format!("{} in {} reads", human::bytes(scan.read_bytes), scan.reads));
    narrator.gap();
    narrator.book(
        "ch. 3, \"SSTables and LSM-Trees\"",
        "Merging sorted files is simple and needs little memory, like mergesort. A sparse index is enough. And what lies between two \
         keys of the index can be grouped into a block, and compressed.",
    );
    narrator.look("src/engine/block.rs packs entries, src/storage/table/ puts blocks together; both draw their bytes.");
    Ok(())
}
