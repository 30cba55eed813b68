//! Work that takes as long as the disk does: given to threads in life, and run by the harness, in its own order, in tests.
//!
//! The owner of the state waits for no disk, but for the switch to a rewritten log (see [`journal`](super::journal)). It
//! submits a [`Job`], goes on, and takes what is [`Done`] when it looks next; `wake` tells it that it should.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use common::disk::{Disk, DiskFile};

use super::format::Position;
use super::rewrite::{LiveLog, Rewrite};
use super::{StorageError, SyncPoint};
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

    /// Whether it is a sync, which somebody waits for.
    fn is_urgent(&self) -> bool {
        matches!(self, Self::Sync(..))
    }
}

/// Two threads: one that syncs, and one for everything that may take longer.
#[derive(Debug)]
pub struct Threads {
    urgent: Worker,
    patient: Worker,
    done: mpsc::Receiver<Done>,
    under_way: usize,
}

#[derive(Debug)]
struct Worker {
    jobs: Option<mpsc::SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// How many jobs may wait in a thread's queue. Their submitter has one sync and one step of a rewrite under way at most, and
/// a file to close now and then.
const QUEUE: usize = 16;

impl Threads {
    /// Starts the threads. `wake` is called, from any of them, whenever a job is done.
    pub fn start(wake: impl Fn() + Clone + Send + 'static) -> io::Result<Self> {
        let (done, receiver) = mpsc::channel();
        Ok(Self {
            urgent: Worker::start("sync", done.clone(), wake.clone())?,
            patient: Worker::start("rewrite", done, wake)?,
            done: receiver,
            under_way: 0,
        })
    }
}

impl Worker {
    fn start(name: &str, done: mpsc::Sender<Done>, wake: impl Fn() + Send + 'static) -> io::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel::<Job>(QUEUE);
        let work = move || {
            for job in queue {
                // Nobody takes results once the server has ended.
                if done.send(job.run()).is_err() {
                    return;
                }
                wake();
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a thread that worked on the disk has panicked");
        }
    }
}

impl Jobs for Threads {
    fn submit(&mut self, job: Job) {
        let worker = if job.is_urgent() { &self.urgent } else { &self.patient };
        let jobs = worker.jobs.as_ref().expect("the thread runs as long as this lives");
        jobs.send(job).expect("the thread ends only when this does");
        self.under_way += 1;
    }

    fn done(&mut self) -> Option<Done> {
        let done = self.done.try_recv().ok()?;
        self.under_way -= 1;
        Some(done)
    }

    fn wait(&mut self) -> Done {
        assert!(self.under_way > 0, "there is nothing to wait for");
        self.under_way -= 1;
        self.done.recv().expect("the threads live as long as this does")
    }
}

/// Jobs that whoever holds them runs, one at a time and when it pleases: for tests on a simulated disk.
#[derive(Debug, Default)]
pub struct Queue {
    jobs: VecDeque<Job>,
    done: VecDeque<Done>,
}

impl Queue {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Jobs for Queue {
    fn submit(&mut self, job: Job) {
        self.jobs.push_back(job);
    }

    /// Runs the next job: it is done when it is asked for.
    fn done(&mut self) -> Option<Done> {
        if let Some(job) = self.jobs.pop_front() {
            self.done.push_back(job.run());
        }
        self.done.pop_front()
    }

    fn wait(&mut self) -> Done {
        self.done().expect("there is something to wait for")
    }
}
