//! A sorted table, explained: its footer, its parts, and its blocks.

use std::path::Path;

use common::cli::{self, Table, human};
use common::disk::Disk;

use super::{Fields, hex, key_parts, more, number, print_table, shortened, title};
use crate::engine::block::BlockError;
use crate::engine::bloom::LINE_BYTES;
use crate::engine::levels::TableId;
use crate::error::Error;
use crate::storage::table::explain::{Explained, Part, StoredBlock, StoredEntry, block, properties};
use crate::storage::table::{BlockHandle, Damage};

/// The parts that the footer names, in its order.
const PARTS: [&str; 4] = ["range tombstones", "filter", "properties", "index"];

/// Explains all of it, and the first `limit` blocks and entries.
pub(super) fn dump(disk: &dyn Disk, path: &Path, id: TableId, limit: usize) -> Result<(), Error> {
    let table = Explained::open(disk, path, id)?;
    title(path, "a sorted table", table.len_bytes())?;
    footer(&table)?;
    let handles = table.handles()?;
    let mut damage = FirstDamage(None);
    let mut parts = Vec::new();
    let mut rows = part_table("part");
    for (name, handle) in PARTS.into_iter().zip(handles) {
        let is_there = handle.len_bytes > 0;
        let part = if is_there { Some(table.part(handle)?) } else { None };
        match &part {
            Some(part) => rows.row(part_row(name.to_owned(), handle, part)),
            None => rows.row([name, "-", "-", "-", "-", "-", "there is none"].map(str::to_owned)),
        };
        parts.push(part.and_then(|part| damage.note(handle, part.payload)));
    }
    print_table(&rows)?;
    let mut parts = parts.into_iter();
    let mut next = || parts.next().flatten();
    let (ranges, filter_bytes, property_bytes, index) = (next(), next(), next(), next());
    if let Some(bytes) = property_bytes
        && let Some(properties) = damage.note(handles[2], properties(&bytes))
    {
        cli::print(format!(
            "properties\n\n  entries     {} ({} tombstones)\n  ranges      {} (range tombstones)\n  keys        {}\n  \
             values      {}\n  blocks      {}\n",
            human::grouped(properties.entries),
            human::grouped(properties.tombstones),
            human::grouped(properties.range_tombstones),
            human::bytes(properties.key_bytes),
            human::bytes(properties.value_bytes),
            human::grouped(properties.blocks),
        ))?;
    }
    if let Some(bytes) = filter_bytes {
        filter(&bytes)?;
    }
    if let Some(bytes) = ranges
        && let Some(stored) = damage.note(handles[0], block(&bytes).map_err(Damage::from))
    {
        range_tombstones(&stored, limit)?;
        damage.flaw(handles[0], &stored);
    }
    if let Some(bytes) = index
        && let Some(stored) = damage.note(handles[3], block(&bytes).map_err(Damage::from))
    {
        blocks(&table, &stored, limit, &mut damage)?;
        damage.flaw(handles[3], &stored);
    }
    damage.into_result(&table)
}

/// Explains one block, entry by entry.
pub(super) fn dump_block(disk: &dyn Disk, path: &Path, id: TableId, at: usize) -> Result<(), Error> {
    let table = Explained::open(disk, path, id)?;
    let index_handle = table.handles()?[3];
    let damaged = |handle: BlockHandle, what| Error::from(table.damaged(handle.offset, what));
    let index = table.part(index_handle)?.payload.map_err(|what| damaged(index_handle, what))?;
    let index = block(&index).map_err(|error| damaged(index_handle, error.into()))?;
    let Some(entry) = index.entries.get(at) else {
        let count = index.entries.len();
        return Err(Error::Usage(format!("{} has {count} blocks, numbered from 0: there is no {at}", path.display())));
    };
    let handle = block_handle(entry).map_err(|what| damaged(index_handle, what))?;
    let part = table.part(handle)?;
    title(path, &format!("a sorted table, of which block {at}"), handle.len_bytes)?;
    let mut rows = part_table("part");
    rows.row(part_row(format!("block {at}"), handle, &part));
    print_table(&rows)?;
    let payload = part.payload.map_err(|what| damaged(handle, what))?;
    let stored = block(&payload).map_err(|error| damaged(handle, error.into()))?;
    let mut rows = Table::new(["at", "shared", "unshared", "value_len", "key", "write", "kind", "value"]);
    for entry in &stored.entries {
        let [user, seq, kind] = key_parts(&entry.key);
        let lengths = [entry.at, entry.shared, entry.unshared, entry.value.len()].map(|number| number.to_string());
        let [at, shared, unshared, value_len] = lengths;
        rows.row([at, shared, unshared, value_len, user, seq, kind, shortened(&entry.value)]);
    }
    print_table(&rows)?;
    let restarts: Vec<String> = stored.restarts.iter().map(ToString::to_string).collect();
    cli::print(format!(
        "restarts, from byte {} of the block on: {}; and their count, {}",
        stored.entries_end,
        restarts.join(", "),
        restarts.len()
    ))?;
    match stored.flaw {
        Some(flaw) => Err(damaged(handle, flaw.into())),
        None => Ok(()),
    }
}

/// The first damage that was met: what comes after it is shown all the same, and then it is told.
struct FirstDamage(Option<(u64, Damage)>);

impl FirstDamage {
    fn note<T>(&mut self, handle: BlockHandle, result: Result<T, Damage>) -> Option<T> {
        result.map_err(|what| self.0.get_or_insert((handle.offset, what))).ok()
    }

    fn flaw(&mut self, handle: BlockHandle, stored: &StoredBlock) {
        let _: Option<()> = self.note(handle, stored.flaw.map_or(Ok(()), |flaw| Err(flaw.into())));
    }

    fn into_result(self, table: &Explained) -> Result<(), Error> {
        self.0.map_or(Ok(()), |(offset, what)| Err(table.damaged(offset, what).into()))
    }
}

fn footer(table: &Explained) -> Result<(), Error> {
    let (offset, bytes) = table.footer();
    let mut fields = Fields::new(bytes, offset);
    for part in PARTS {
        fields.field(8, &format!("{part}: offset"), number);
        fields.field(4, &format!("{part}: length"), number);
    }
    fields.field(4, "checksum", hex);
    fields.field(8, "magic", shortened);
    cli::print("footer\n")?;
    fields.print()
}

fn part_table(first: &str) -> Table {
    Table::new([first, "offset", "stored", "raw", "compression", "checksum", "found"])
}

fn part_row(name: String, handle: BlockHandle, part: &Part) -> [String; 7] {
    let compression = match part.compression {
        Some(0) => "none".to_owned(),
        Some(1) => "LZ4".to_owned(),
        Some(2) => "Zstandard".to_owned(),
        Some(other) => format!("{other}?"),
        None => "-".to_owned(),
    };
    let (raw, verdict) = match &part.payload {
        Ok(payload) => (payload.len().to_string(), "matches".to_owned()),
        Err(what) => ("-".to_owned(), format!("DAMAGED: {what}")),
    };
    let crc = part.crc.map_or_else(|| "-".to_owned(), |crc| format!("{crc:08x}"));
    [name, handle.offset.to_string(), handle.len_bytes.to_string(), raw, compression, crc, verdict]
}

/// How full the lines of a filter are says how often it lets a key pass that is not there.
fn filter(bytes: &[u8]) -> Result<(), Error> {
    let text = match bytes.split_last() {
        None => "filter: none, which denies nothing".to_owned(),
        Some((probes, [])) => format!("filter: of no keys, {probes} probes"),
        Some((probes, lines)) => {
            let fills = lines.chunks(LINE_BYTES).map(|line| {
                let set: u32 = line.iter().map(|byte| byte.count_ones()).sum();
                f64::from(set) / (LINE_BYTES * 8) as f64
            });
            let count = lines.len().div_ceil(LINE_BYTES) as f64;
            let full = fills.clone().sum::<f64>() / count;
            let passes = fills.map(|fill| fill.powi(i32::from(*probes))).sum::<f64>() / count;
            format!(
                "filter\n\n  lines       {} of {LINE_BYTES} bytes\n  probes      {probes} for each key\n  bits set    {}\n  \
                 lets pass   {} of the keys that are not there",
                human::grouped(count as u64),
                human::percent(full),
                human::percent(passes),
            )
        }
    };
    Ok(cli::print(format!("{text}\n"))?)
}

fn range_tombstones(stored: &StoredBlock, limit: usize) -> Result<(), Error> {
    let mut rows = Table::new(["deleted from", "up to, not included", "write"]);
    for entry in stored.entries.iter().take(limit) {
        let [from, seq, _] = key_parts(&entry.key);
        rows.row([from, shortened(&entry.value), seq]);
    }
    print_table(&rows)?;
    if stored.entries.len() > limit { more(limit, "range tombstones") } else { Ok(()) }
}

fn blocks(table: &Explained, index: &StoredBlock, limit: usize, damage: &mut FirstDamage) -> Result<(), Error> {
    let mut rows = part_table("block");
    let mut entries = Table::new(["block", "key", "write", "kind", "value"]);
    let mut entry_count = 0;
    for (at, entry) in index.entries.iter().enumerate() {
        let Some(handle) = damage.note(table.handles()?[3], block_handle(entry)) else { continue };
        let part = table.part(handle)?;
        if at < limit || part.payload.is_err() {
            rows.row(part_row(at.to_string(), handle, &part));
        }
        let Some(payload) = damage.note(handle, part.payload) else { continue };
        let Some(stored) = damage.note(handle, block(&payload).map_err(Damage::from)) else { continue };
        damage.flaw(handle, &stored);
        for entry in &stored.entries {
            if entry_count < limit {
                let [user, seq, kind] = key_parts(&entry.key);
                entries.row([at.to_string(), user, seq, kind, shortened(&entry.value)]);
            }
            entry_count += 1;
        }
    }
    print_table(&rows)?;
    if index.entries.len() > limit {
        more(limit, "blocks, and those that are damaged")?;
    }
    print_table(&entries)?;
    if entry_count > limit { more(limit, "entries") } else { Ok(()) }
}

/// The block that an entry of the index names.
fn block_handle(entry: &StoredEntry) -> Result<BlockHandle, Damage> {
    let decoded = BlockHandle::decode(&entry.value).map(|(handle, _)| handle);
    decoded.ok_or(Damage::Block(BlockError::Entry(entry.at)))
}
