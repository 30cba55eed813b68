//! `verify`: reads everything in a directory, and checks it against its checksums, its order and its manifest.
//!
//! That a log is torn is no damage, and no reason to keep quiet: whoever reads or opens the tree is told where, and what is
//! given up.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use common::cli::{self, Progress, human};
use common::disk::{Disk, RealDisk};

use crate::db;
use crate::error::Error;
use crate::storage::wal_recovery::Torn;

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
    let tear = tear(verified.torn.as_ref(), &verified.given_up);
    Ok(cli::print(format!(
        "{} tables with {} entries and {} range tombstones, and {} batches in write-ahead logs: {}",
        human::grouped(verified.tables),
        human::grouped(verified.entries),
        human::grouped(verified.range_tombstones),
        human::grouped(verified.batches),
        match tear {
            None => "all of it is whole".to_owned(),
            Some(tear) => format!("whole, up to where a log is torn\n{tear}"),
        }
    ))?)
}

/// What recovery has dropped or would drop, in lines; `None` when it is nothing.
pub fn tear(torn: Option<&Torn>, given_up: &[PathBuf]) -> Option<String> {
    let Torn { path, offset, what } = torn?;
    let mut text = format!(
        "{} is torn at byte {offset} ({what}): nothing attests that what came after it was durable, and it is given up",
        path.display()
    );
    for path in given_up {
        let _: std::fmt::Result = write!(text, "\n{} comes after it, and is given up as well", path.display());
    }
    Some(text)
}
