//! The threads that wait for the disk, so that the one that serves does not.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;

use crate::storage::jobs::{Done, Job, Jobs};

/// Two threads: one that syncs, and one for everything that may take longer.
#[derive(Debug)]
pub(super) struct Threads {
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
    pub(super) fn start(wake: impl Fn() + Clone + Send + 'static) -> io::Result<Self> {
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
        // Somebody waits for a sync.
        let worker = if matches!(job, Job::Sync(..)) { &self.urgent } else { &self.patient };
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
