//! `compaction-sim`: the levels of a tree over time, under each strategy, without a disk.

use std::collections::BTreeSet;

use clap::Args;
use common::cli::{self, Look, Table, human};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::engine::compaction::Strategy;
use crate::engine::leveled::Leveled;
use crate::engine::simulation::SimulatedTree;
use crate::engine::size_tiered::SizeTiered;
use crate::error::Error;

/// What `compaction-sim` is told.
#[derive(Debug, Clone, Args)]
pub struct CompactionSimArgs {
    /// How many memtables are written
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub memtables: u64,
    /// How many entries each of them has
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub entries: u64,
    /// How many keys there are
    #[arg(long, value_name = "N", default_value_t = 40_000)]
    pub keys: u64,
    /// Whether keys come in order, as when a table is loaded, and not at random
    #[arg(long)]
    pub sequential: bool,
    /// Begins the random numbers
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// The bytes of an entry: the bench's.
const ENTRY_BYTES: u64 = 116;

/// How often the picture is drawn.
const PICTURES: u64 = 5;

/// Runs it.
///
/// # Errors
///
/// The output cannot be written, or nothing is asked for.
pub fn run(args: &CompactionSimArgs) -> Result<(), Error> {
    if args.memtables == 0 || args.entries == 0 || args.keys == 0 {
        return Err(Error::Usage("at least one memtable, one entry and one key are meant".to_owned()));
    }
    cli::print(picture(args, Look::stdout()))?;
    Ok(())
}

/// The table of both strategies over time.
pub fn picture(args: &CompactionSimArgs, look: Look) -> String {
    let memtable = args.entries * ENTRY_BYTES;
    let leveled = Leveled { level0_tables: 4, base_bytes: 4 * memtable, growth: 10, table_bytes: memtable };
    let mut text = String::new();
    text.push_str("Leveled: each level holds ten times the one above, and no key twice.\n\n");
    text.push_str(&over_time(args, leveled, look));
    text.push_str("\n\nSize-tiered: four tables of about the same size become one.\n\n");
    text.push_str(&over_time(args, SizeTiered::default(), look));
    text
}

fn over_time(args: &CompactionSimArgs, strategy: impl Strategy, look: Look) -> String {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(args.seed);
    let mut tree = SimulatedTree::new(strategy, ENTRY_BYTES);
    let mut table =
        Table::new(["memtables", "tables in each level", "bytes kept", "write amp.", "space amp.", "read amp."]);
    let every = args.memtables.div_ceil(PICTURES);
    let mut next = 0;
    for memtable in 1..=args.memtables {
        let mut keys = BTreeSet::new();
        for _ in 0..args.entries {
            let key = if args.sequential { next } else { random.next_u64() };
            keys.insert(key % args.keys);
            next += 1;
        }
        tree.flush(&keys);
        if memtable % every == 0 || memtable == args.memtables {
            let costs = tree.costs();
            let deepest = tree.levels().deepest();
            let levels: Vec<String> =
                tree.levels().iter().take(deepest + 1).map(|level| level.len().to_string()).collect();
            table.row([
                human::grouped(memtable),
                levels.join(" "),
                human::bytes(tree.levels().total_bytes()),
                format!("{:.1}", costs.write_amplification),
                format!("{:.2}", costs.space_amplification),
                costs.read_amplification.to_string(),
            ]);
        }
    }
    table.render(look)
}
