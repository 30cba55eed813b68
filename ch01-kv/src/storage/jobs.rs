//! Work that takes as long as the disk does: given to the shell's threads in life, and run by the harness, in its own order, in
//! tests.
//!
//! The owner of the state waits for no disk, but for the switch to a rewritten log (see [`journal`](super::journal)). It
//! submits a [`Job`], goes on, and takes what is [`Done`] when it looks next; `wake` tells it that it should.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use common::disk::{Disk, DiskFile};

use super::error::StorageError;
use super::format::Position;
use super::log::SyncPoint;
use super::rewrite::{LiveLog, Rewrite};
use crate::engine::durability::Lsn;

/// Something to be done.
#[derive(Debug)]
pub enum Job {
    /// Makes the log durable up to a point, which is this position.
    Sync(SyncPoint, Lsn),
    /// Begins a rewritten log.
    BeginRewrite {
        /// On which disk.
        disk: Arc<dyn Disk>,
        /// In which directory.
        dir: PathBuf,
        /// The new log's salt.
        salt: u64,
    },
    /// Adds a group of the snapshot to the rewritten log.
    AddGroup(Rewrite, Vec<u8>),
    /// Copies what the live log has received meanwhile, and makes the rewritten log durable so far.
    CopyTail {
        /// The rewritten log.
        rewrite: Rewrite,
        /// The live one.
        live: LiveLog,
        /// From here.
        from: Position,
        /// To here.
        to: Position,
    },
    /// Closes a file that may take its time to be freed.
    Close(Arc<dyn DiskFile>),
}

/// How a job ended.
#[derive(Debug)]
pub enum Done {
    /// The log is durable up to this point and position, or it is not known how far.
    Sync(SyncPoint, Lsn, io::Result<()>),
    /// The rewritten log is ready for more, up to this position of the live one where it has been copied from.
    Rewrite(Result<Rewrite, StorageError>, Option<Position>),
    /// A file is closed.
    Closed,
}

/// Where jobs go. Syncs are done in the order in which they were submitted, and so are the steps of a rewrite.
pub trait Jobs: fmt::Debug {
    /// Takes a job.
    fn submit(&mut self, job: Job);

    /// The next job that is done and has not been asked for, if there is any.
    fn done(&mut self) -> Option<Done>;

    /// Waits for the next one.
    ///
    /// # Panics
    ///
    /// When no job is under way.
    fn wait(&mut self) -> Done;
}

impl Job {
    /// Does it.
    pub fn run(self) -> Done {
        match self {
            Self::Sync(point, position) => {
                let result = point.run();
                Done::Sync(point, position, result)
            }
            Self::BeginRewrite { disk, dir, salt } => Done::Rewrite(Rewrite::begin(disk, &dir, salt), None),
            Self::AddGroup(mut rewrite, commands) => {
                let result = rewrite.add_group(&commands);
                Done::Rewrite(result.map(|()| rewrite), None)
            }
            Self::CopyTail { mut rewrite, live, from, to } => {
                let result = rewrite.copy_tail(&live, from, to).and_then(|()| rewrite.sync());
                Done::Rewrite(result.map(|()| rewrite), Some(to))
            }
            Self::Close(file) => {
                drop(file);
                Done::Closed
            }
        }
    }
}
