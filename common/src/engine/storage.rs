//! What a node keeps: its log and whatever its jobs write, over a disk that is handed in.
//!
//! An engine names records and jobs and never sees a disk; a [`Storage`] writes them and decides nothing. Both worlds drive it
//! in the same way, so that group commit is one piece of code twice and not two:
//!
//! ```text
//!   append append append   flush ─────▶ Sync::run, in a thread of its own ─────▶ synced
//!                              append append append append   (meanwhile)         flush ─────▶ …
//! ```
//!
//! One sync serves all that was appended before it began; what is appended while it runs, the next one serves. No delay is
//! added anywhere: groups grow by themselves under load (Gray and Reuter, *Transaction Processing*, 1992).

use std::io;
use std::sync::Arc;

use super::{Engine, NodeId, Random};
use crate::disk::Disk;

/// The log and the files of a node that is up.
pub trait Storage {
    /// What the log holds.
    type Record;
    /// What it is asked to do besides.
    type Job;
    /// What comes of it.
    type Done;
    /// What makes durable what has been written.
    type Sync: Work<Output = ()>;
    /// What does a job.
    type JobWork: Work;

    /// Appends a record to what is written next, in memory.
    fn append(&mut self, record: &Self::Record);

    /// Writes what was appended, and returns what makes it durable. Not called again before that has ended.
    ///
    /// # Errors
    ///
    /// [`Failure::Full`]: nothing is lost, and this is called again. [`Failure::Fatal`]: the node stops.
    fn flush(&mut self) -> Result<Self::Sync, Failure>;

    /// The last sync has succeeded: all that had been appended before its flush is durable.
    fn synced(&mut self);

    /// Begins a job: what needs the storage itself is done here and is short; what takes long is for the work.
    fn begin(&mut self, job: Self::Job) -> Self::JobWork;

    /// The work of a job has ended: what the engine is told of it.
    fn finish(&mut self, output: <Self::JobWork as Work>::Output) -> Self::Done;
}

/// A piece of work that takes as long as a disk does: it runs in a thread of its own in life, and whenever a seed says so in
/// the simulator.
pub trait Work: Send + 'static {
    /// What comes of it.
    type Output: Send;

    /// Does it.
    ///
    /// # Errors
    ///
    /// The node is stopped: what can go on after an error says so in its output.
    fn run(self) -> io::Result<Self::Output>;
}

/// How a node comes up: the one function that starts it from its disk, for the first time and after every crash.
pub trait Boot {
    /// What decides.
    type Engine: Engine;
    /// What remembers.
    type Storage: Storage<
            Record = <Self::Engine as Engine>::Record,
            Job = <Self::Engine as Engine>::Job,
            Done = <Self::Engine as Engine>::Done,
        >;

    /// Recovers what `disk` holds of the node `id`, and makes an engine of it. Everything that the engine is given is durable
    /// when this returns: what an earlier process may have left in the page cache has been written back
    /// ([`write_back`](crate::disk::write_back)).
    ///
    /// # Errors
    ///
    /// When the disk refuses, or what was durable is damaged and the node must not run without it.
    fn boot(&self, id: NodeId, disk: Arc<dyn Disk>, random: Random) -> io::Result<(Self::Engine, Self::Storage)>;
}

/// Why what was appended could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no room. The same can be tried again, and nothing that came before is lost.
    #[error("the disk is full")]
    Full(#[source] io::Error),
    /// Nothing is known about what was written last.
    #[error("the log cannot be written any more")]
    Fatal(#[source] io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(error),
            _ => Self::Fatal(error),
        }
    }
}
