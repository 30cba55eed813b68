//! `export`: a tree as a database of another engine, for a user who moves on.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use common::cli::{self, Progress, human};
use common::disk::{Disk, RealDisk};

use crate::db::{Db, Options};
use crate::error::Error;
use crate::storage::leveldb::Exporter;
use crate::verify;

/// What `export` is told.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExportArgs {
    /// The directory of the tree
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Where a database is made that an unmodified LevelDB opens
    #[arg(long, value_name = "DIR")]
    pub leveldb: PathBuf,
}

const EXAMPLES: &str = "Examples:
  cargo run -p ch03-lsm -- export --data /tmp/lsm --leveldb /tmp/leveldb
  python3 -c 'import plyvel; print(list(plyvel.DB(\"/tmp/leveldb\")))'";

/// Writes what the tree holds now.
///
/// # Errors
///
/// The tree cannot be read, there is a database already, or the disk refuses.
pub fn run(args: &ExportArgs) -> Result<(), Error> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    // To open a tree makes one where there is none.
    crate::db::assert_tree(&*disk, &args.data)?;
    let (db, recovered) = Db::open(&disk, &args.data, Options { salt: rand::random(), ..Options::default() })?;
    if let Some(tear) = verify::tear(recovered.torn.as_ref(), &recovered.given_up) {
        cli::print(tear)?;
    }
    let mut exporter = Exporter::create(&*disk, &args.leveldb)?;
    let mut progress = Progress::new(None, "entries");
    let mut iterator = db.iter();
    let mut entries = 0;
    iterator.seek_to_first()?;
    while let Some(key) = iterator.key() {
        exporter.add(key, iterator.value())?;
        entries += 1;
        progress.inc(1);
        iterator.next()?;
    }
    exporter.finish()?;
    drop((progress, iterator));
    db.close()?;
    Ok(cli::print(format!("{} entries are in {}", human::grouped(entries), args.leveldb.display()))?)
}
