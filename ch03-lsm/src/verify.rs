//! `verify`: reads everything in a directory, and checks it against its checksums, its order and its manifest.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use common::cli::{self, Progress, human};
use common::disk::{Disk, RealDisk};

use crate::db;
use crate::error::Error;

/// What `verify` is told.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// The directory of a tree that no process has open
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// Reads and checks everything.
///
/// # Errors
///
/// The first damage, with file and offset; the exit status is 3 then.
pub fn run(args: &VerifyArgs) -> Result<(), Error> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    let mut progress = Progress::new(None, "tables");
    let verified = db::verify(&disk, &args.dir, &mut |_| progress.inc(1))?;
    drop(progress);
    Ok(cli::print(format!(
        "{} tables with {} entries and {} range tombstones, and {} batches in write-ahead logs: all of it is whole",
        human::grouped(verified.tables),
        human::grouped(verified.entries),
        human::grouped(verified.range_tombstones),
        human::grouped(verified.batches)
    ))?)
}
