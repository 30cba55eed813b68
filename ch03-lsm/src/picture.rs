//! A tree in text: its levels as bars of tables over the keys, and what it has cost so far.

use common::cli::{Look, Table, human};

use crate::db::Stats;
use crate::engine::levels::{Levels, TableMeta};

/// The columns before a bar.
const LABEL: usize = 9;

/// The widest bar, in columns: what the eye still compares.
const BAR_MAX: usize = 72;

/// How many tables of level 0 are shown: each has a row of its own, since they overlap.
const ROWS_MAX: usize = 6;

/// How many characters of a key are shown at an end of the axis.
const KEY_MAX: usize = 20;

/// The levels: each table is a bar from its first key to its last. The axis has all these keys at equal distances, in order.
///
/// ```text
/// keys     a ............................ z
/// level 0  [############################]
///             [#####################]
/// level 5  [#######]   [####][#######]
/// level 6  [##][####][##][######][######]
/// ```
pub fn levels(tree: &Levels, look: Look) -> String {
    let mut keys: Vec<&[u8]> = tree.iter().flatten().flat_map(|table| ends(table)).collect();
    keys.sort_unstable();
    keys.dedup();
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else {
        return "There are no tables.".to_owned();
    };
    let width = look.width.saturating_sub(LABEL).clamp(8, BAR_MAX);
    let column = |key: &[u8]| keys.partition_point(|other| *other < key) * (width - 1) / (keys.len() - 1).max(1);
    let span = |table: &TableMeta| {
        let [first, last] = ends(table).map(column);
        (first, last)
    };
    let (first, last) = (shown(first, width / 2 - 2), shown(last, width / 2 - 2));
    let between = width.saturating_sub(first.chars().count() + last.chars().count() + 2);
    let mut lines = vec![format!("{:LABEL$}{first} {} {last}", "keys", ".".repeat(between))];
    for (level, tables) in tree.iter().enumerate().filter(|(_, tables)| !tables.is_empty()) {
        let mut label = format!("level {level}");
        if level > 0 {
            lines.push(format!("{label:LABEL$}{}", bar(tables.iter().map(|table| span(table)), width)));
            continue;
        }
        for table in tables.iter().take(ROWS_MAX) {
            lines.push(format!("{label:LABEL$}{}", bar(std::iter::once(span(table)), width)));
            label.clear();
        }
        if tables.len() > ROWS_MAX {
            lines.push(format!("{:LABEL$}... and {} older ones", "", tables.len() - ROWS_MAX));
        }
    }
    lines.join("\n")
}

/// How full everything is: a row for the memory, for level 0 and for each other level that has tables.
pub fn fill(stats: &Stats, look: Look) -> String {
    let mut table = Table::new(["level", "tables", "bytes", "entries", "tombstones", "fill"]);
    let waiting = match stats.immutable_memtables {
        0 => "memory".to_owned(),
        waiting => format!("memory, {waiting} waiting"),
    };
    table.row([&*waiting, "", &human::bytes(stats.memtable_bytes as u64), "", "", ""]);
    for (level, stats) in stats.levels.iter().enumerate().filter(|(level, stats)| *level == 0 || stats.tables > 0) {
        let fill = if stats.score > 0.0 { human::percent(stats.score) } else { "-".to_owned() };
        table.row([
            level.to_string(),
            stats.tables.to_string(),
            human::bytes(stats.bytes),
            human::grouped(stats.entries),
            human::grouped(stats.tombstones),
            fill,
        ]);
    }
    table.render(look)
}

/// What it has cost since it was opened.
pub fn costs(stats: &Stats, look: Look) -> String {
    let work = &stats.work;
    let asked = stats.blocks.hits + stats.blocks.misses;
    let hits = if asked == 0 { "-".to_owned() } else { human::percent(stats.blocks.hits as f64 / asked as f64) };
    let held = |count: u64, time| match count {
        0 => "never".to_owned(),
        count => format!("{} times, {}", human::grouped(count), human::duration(time)),
    };
    let mut table = Table::new(["since it was opened", ""]);
    let rows = [
        ("written by users", human::bytes(work.user_bytes)),
        ("written to logs", human::bytes(work.wal_bytes)),
        ("flushes", format!("{}, {}", human::grouped(work.flushes), human::bytes(work.flushed_bytes))),
        (
            "compactions",
            format!(
                "{}, {} read, {} written; moved unread: {}",
                human::grouped(work.compactions),
                human::bytes(work.compaction_read_bytes),
                human::bytes(work.compaction_written_bytes),
                human::grouped(work.moves)
            ),
        ),
        ("range tombstones", human::grouped(stats.range_tombstones)),
        ("left out by the filter", human::grouped(work.filtered)),
        ("write amplification", format!("{:.1}", work.write_amplification())),
        ("writers slowed down", held(stats.stalls.slowdowns, stats.stalls.slowed_down)),
        ("writers stopped", held(stats.stalls.stops, stats.stalls.stopped)),
        ("block cache", format!("{}, {hits} of blocks asked", human::bytes(stats.blocks.used_bytes))),
        ("table cache", format!("{} open, {}", stats.tables.open, human::bytes(stats.tables.used_bytes))),
        ("to be compacted", format!("{}; {} jobs under way", human::bytes(stats.debt_bytes), stats.running)),
    ];
    for (name, value) in rows {
        table.row([name.to_owned(), value]);
    }
    table.render(look)
}

fn ends(table: &TableMeta) -> [&[u8]; 2] {
    [table.smallest.as_key().user(), table.largest.as_key().user()]
}

/// Bars from column to column, both included. One that is too narrow for its ends is a `#`; what another has begun stays.
fn bar(spans: impl Iterator<Item = (usize, usize)>, width: usize) -> String {
    let mut cells = vec![b' '; width];
    for (first, last) in spans {
        cells[first..=last].fill(b'#');
        if last > first {
            (cells[first], cells[last]) = (b'[', b']');
        }
    }
    String::from_utf8(cells).expect("it is ASCII").trim_end().to_owned()
}

fn shown(key: &[u8], width: usize) -> String {
    let text = key.escape_ascii().to_string();
    let room = width.clamp(1, KEY_MAX);
    if text.len() <= room { text } else { format!("{}~", &text[..room - 1]) }
}
