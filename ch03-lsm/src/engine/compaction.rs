//! Compaction: what a strategy is asked, and what it can answer.
//!
//! Which tables to merge next decides how often a byte is written again, how many tables a read has to ask, and how much
//! space old values take (DDIA ch. 3, "Performance optimizations"). Nobody wins at all three. So the choice is data: it can be
//! printed, tested, simulated without a disk, and made by another strategy.

use std::collections::BTreeSet;

use super::levels::{LEVELS, Levels, TableId};

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Nothing.
    Nothing,
    /// A table is as good in the next level as where it is: it is moved without being read.
    Move {
        /// Which.
        table: TableId,
        /// From where.
        from: usize,
        /// To where.
        to: usize,
    },
    /// These tables become tables of the level `to`.
    Merge(Merge),
}

/// Tables that become other ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    /// Which, with their levels: in each level, in the level's order.
    pub inputs: Vec<(usize, TableId)>,
    /// Where the new ones go.
    pub to: usize,
    /// The size at which one of the new tables ends and the next begins, in bytes.
    pub table_bytes: u64,
    /// Whether older versions of what is merged can be in no other table: a tombstone has nothing to hide then.
    pub is_bottom: bool,
}

/// Chooses what to compact. Pure: the same tables give the same choice.
///
/// Beside what it finds full itself, tables are marked for compaction: because reads ask them in vain
/// ([`read_triggered`](super::read_triggered)), or because somebody wants it.
pub trait Strategy: std::fmt::Debug + Send + Sync {
    /// What to do next, with the tables of `busy` left alone.
    fn choose(&self, levels: &Levels, busy: &BTreeSet<TableId>) -> Choice;

    /// What to merge when there is nothing to do: one of the tables that are `marked`, into what reads ask after it, with the tables
    /// of `busy` left alone. A mark may name a table that is gone.
    fn choose_marked(&self, _levels: &Levels, _marked: &BTreeSet<TableId>, _busy: &BTreeSet<TableId>) -> Choice {
        Choice::Nothing
    }

    /// About how many bytes have to be compacted before there is nothing to do: what slows writers down.
    fn debt_bytes(&self, levels: &Levels) -> u64;

    /// How far each level is from being compacted: 1.0 is full, 0.0 where there is no target. To be looked at.
    fn level_scores(&self, _levels: &Levels) -> [f64; LEVELS] {
        [0.0; LEVELS]
    }
}
