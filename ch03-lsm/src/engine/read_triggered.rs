//! Read-triggered compaction: how often a table may be asked in vain before it is merged.
//!
//! A strategy looks at sizes. A table that it is content with may still be passed by every read on its way down: one filter
//! more for a get, one block more for a seek. So what is asked of a table in vain is counted, and when it comes to what it
//! would have cost to be rid of the table, the table is marked: it is merged into the next level once no size calls for
//! anything (LevelDB's `allowed_seeks`; Pebble's read-triggered compactions).
//!
//! It is the question of whether to rent or to buy (Karlin et al., "Competitive Snoopy Caching", 1988): who buys as soon as the
//! rent that was paid comes to the price never pays more than twice what would have been best. The [price] is the bytes of
//! what is merged, once, though they are read and written. The rent is counted in the same bytes: a block that is read for
//! nothing costs a disk as much as some of them in a row.
//!
//! Only one key in [`SAMPLING`] is counted, for as many: threads that read the same table would pass its counter around
//! with each read. Which one, its hash says, so that equal reads have equal effects.
//!
//! **Left out**: what walking over many entries costs, and forgetting what was asked long ago.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use super::compaction::{Choice, Merge, Strategy};
use super::levels::{Edit, LEVELS, Levels, TableId};

/// What a block that is read in vain stands for, in bytes in a row: a disk that reads ten thousand blocks a second could
/// write about 160 MiB in that second. From memory it is cheaper, and then what is spent is time in which a thread had
/// nothing to do.
pub const BLOCK_BYTES: u64 = 16 << 10;

/// The same for a filter that says no: measured, a sixteenth of the time of a block that is in the page cache.
pub const FILTER_BYTES: u64 = 1 << 10;

/// Of how many keys one is counted.
pub const SAMPLING: u64 = 64;

/// What a table was asked in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vain {
    /// Its filter.
    Filter,
    /// A block.
    Block,
}

/// What has been paid for a table that is there, by who asked it in vain.
#[derive(Debug)]
pub struct Rent {
    paid_bytes: AtomicU64,
    table_bytes: u64,
}

/// What it costs that reads need not ask a table any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// The bytes of what is merged.
    pub bytes: u64,
    /// It, and those that come down with it. What they are merged with stays where it is, and is asked as before.
    pub rid: BTreeSet<TableId>,
}

/// Whether the reads of a key of that [hash](super::bloom::hash) are counted. These bits choose neither a filter's line nor a
/// bit in it.
pub fn is_counted(hash: u64) -> bool {
    (hash >> 32).is_multiple_of(SAMPLING)
}

/// The price of a table, or `None` when nothing would be merged. Tables that can be moved before are: that costs nothing.
pub fn price(strategy: &dyn Strategy, levels: &Levels, table: TableId) -> Option<Price> {
    let mut levels = levels.clone();
    // No table is moved more often than there are levels.
    for _ in 0..=levels.iter().flatten().count() * LEVELS {
        match strategy.choose_marked(&levels, &BTreeSet::from([table]), &BTreeSet::new()) {
            Choice::Nothing => return None,
            Choice::Move { table: moved, from, to } => {
                let meta = levels.level(from).iter().find(|meta| meta.id == moved)?;
                let edit = Edit { removed: vec![(from, moved)], added: vec![(to, (**meta).clone())] };
                levels = levels.apply(&edit).ok()?;
            }
            Choice::Merge(Merge { inputs, to, .. }) => {
                let is_input = |id| inputs.iter().any(|(_, input)| *input == id);
                let bytes = levels.iter().flatten().filter(|meta| is_input(meta.id)).map(|meta| meta.len_bytes).sum();
                let rid = inputs.iter().filter(|(level, _)| *level < to).map(|(_, id)| *id).collect();
                return Some(Price { bytes, rid });
            }
        }
    }
    None
}

impl Rent {
    /// For a table of `table_bytes` that nobody has asked.
    pub fn new(table_bytes: u64) -> Self {
        Self { paid_bytes: AtomicU64::new(0), table_bytes: table_bytes.max(1) }
    }

    /// Pays for a read that is [counted](is_counted). True whenever the bytes of the table have been paid once more: then it is
    /// time to ask for the price, which takes longer.
    pub fn pay(&self, vain: Vain) -> bool {
        let each = match vain {
            Vain::Filter => FILTER_BYTES,
            Vain::Block => BLOCK_BYTES,
        };
        let before = self.paid_bytes.fetch_add(each * SAMPLING, Ordering::Relaxed);
        before / self.table_bytes != (before + each * SAMPLING) / self.table_bytes
    }

    /// What has been paid.
    pub fn paid_bytes(&self) -> u64 {
        self.paid_bytes.load(Ordering::Relaxed)
    }
}
