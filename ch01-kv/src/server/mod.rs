//! The shell: sockets, clocks, threads and signals around the state machine of [`crate::protocol::service`].

mod admin;
mod threads;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use common::cli::Shutdown;
use common::disk::{Disk, RealDisk};
use common::net::{Listener, TcpAcceptor};
use common::resp::server::{self, Clock, Handle};
use tokio::runtime::{LocalOptions, LocalRuntime};
use tokio::sync::Notify;

use self::threads::Threads;
use crate::engine::eviction::LruClock;
use crate::engine::types::UnixMillis;
use crate::error::Error;
use crate::protocol::config::Config;
use crate::protocol::service::Kv;
use crate::storage::journal::Journal;
use crate::storage::{LOG_NAME, Report, Tail};

/// How many tasks run before the runtime looks at its sockets again: more than a batch of busy connections has, so that all
/// of them are executed before the flusher commits them together.
const EVENT_INTERVAL: u32 = 512;

/// How many files the server wants to be able to open beside its clients' connections.
const SPARE_FILES: u64 = 64;

/// How often freed memory goes back to the system.
const GIVE_BACK_INTERVAL: Duration = Duration::from_secs(1);

/// What the allocator takes for a large block, in bytes.
const GIVE_BACK_BYTES: usize = 4 << 20;

/// What a server is started with.
#[derive(Debug)]
pub struct Options {
    /// The parameters.
    pub config: Config,
    /// Where `/metrics`, `/health` and `/state` are served; `None` nowhere.
    pub admin: Option<SocketAddr>,
    /// Where the log is: the real disk, or another one in tests.
    pub disk: Arc<dyn Disk>,
}

/// Where a server that has started listens.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    /// Clients.
    pub listen: SocketAddr,
    /// Observers.
    pub admin: Option<SocketAddr>,
}

/// A server that runs on a thread of its own.
#[derive(Debug)]
pub struct Running {
    ready: Ready,
    handle: Handle<Kv>,
    trigger: common::cli::Trigger,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Options {
    /// A server on the real disk.
    pub fn new(config: Config) -> Self {
        Self { config, admin: None, disk: Arc::new(RealDisk::new()) }
    }
}

/// Runs a server until `shutdown` is requested; `ready` is called when it serves.
///
/// # Errors
///
/// It cannot be started, or what was executed could not be made durable in the end.
pub fn run(
    options: Options,
    shutdown: Shutdown,
    ready: impl FnOnce(Ready, Handle<Kv>) -> Result<(), Error>,
) -> Result<(), Error> {
    let Options { mut config, admin, disk } = options;
    // What `CONFIG GET dir` shows has to mean the same to a client, who is elsewhere.
    config.dir = std::path::absolute(&config.dir).map_err(Error::system("find the current directory"))?;
    config.maxclients = raise_file_limit(config.maxclients);
    let clock = Clock::start();
    let wake = Arc::new(Notify::new());
    let runtime = runtime()?;
    runtime.block_on(async move {
        // First, so that a port that is taken is noticed before a log is made or loaded; whoever connects meanwhile waits.
        let address = config.listen;
        let listener = TcpAcceptor::bind(address).map_err(|source| Error::Listen { address, source })?;
        let mut kv = open(config, disk, clock, &wake)?;
        kv.config.listen = listener.local_addr().map_err(Error::system("learn the port"))?;
        let (handle, questions) = server::handle();
        let admin_address = match admin {
            None => None,
            Some(address) => Some(admin::start(address, handle.clone(), shutdown.clone()).await?),
        };
        tracing::info!(listen = %kv.config.listen, "serving");
        ready(Ready { listen: kv.config.listen, admin: admin_address }, handle)?;
        tokio::task::spawn_local(give_memory_back());
        let stop = shutdown.clone();
        let mut kv = server::run(listener, kv, clock, wake, questions, async move { stop.requested().await }).await;
        match kv.journal.take() {
            Some(journal) => Ok(journal.close(clock.uptime())?),
            None => Ok(()),
        }
    })
}

impl Running {
    /// Starts a server and waits until it serves.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn start(options: Options) -> Result<Self, Error> {
        let (trigger, shutdown) = Shutdown::new();
        let (said, heard) = mpsc::channel();
        let serve = move || {
            run(options, shutdown, |ready, handle| {
                // Nobody listens when the starter has gone; the server then ends with its trigger.
                let _ = said.send((ready, handle));
                Ok(())
            })
        };
        let thread =
            std::thread::Builder::new().name("server".into()).spawn(serve).map_err(Error::system("start a thread"))?;
        match heard.recv() {
            Ok((ready, handle)) => Ok(Self { ready, handle, trigger, thread: Some(thread) }),
            Err(mpsc::RecvError) => match thread.join() {
                Ok(Err(error)) => Err(error),
                Ok(Ok(())) => Err(Error::Cannot("the server ended before it served".into())),
                Err(panic) => std::panic::resume_unwind(panic),
            },
        }
    }

    /// Where it serves clients.
    pub fn address(&self) -> SocketAddr {
        self.ready.listen
    }

    /// Where it serves observers.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.ready.admin
    }

    /// Asks it, from another thread.
    pub fn handle(&self) -> &Handle<Kv> {
        &self.handle
    }

    /// Ends it as a signal would, and waits until it has.
    ///
    /// # Errors
    ///
    /// What was executed could not be made durable.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Error> {
        self.trigger.request();
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.thread.is_some()
            && let Err(error) = self.end()
        {
            tracing::error!(%error, "the server did not end well");
        }
    }
}

/// Brings the server's state back from the log.
fn open(config: Config, disk: Arc<dyn Disk>, clock: Clock, wake: &Arc<Notify>) -> Result<Kv, Error> {
    let mut kv = Kv::new(config, rand::random());
    let now = UnixMillis(clock.now().unix_ms);
    kv.dbs.iter_mut().for_each(|db| db.set_clock(LruClock::at(now)));
    if kv.config.appendonly {
        let wake = Arc::clone(wake);
        let threads = Threads::start(move || wake.notify_one()).map_err(Error::system("start a thread"))?;
        let (dir, policy) = (kv.config.dir.clone(), kv.config.appendfsync);
        let mut progress = common::cli::Progress::new(None, "loading the log");
        let mut selected = 0;
        let (journal, report) = Journal::open(disk, dir, policy, rand::random(), Box::new(threads), &mut |request| {
            progress.inc(1);
            kv.replay(&mut selected, request)
        })?;
        drop(progress);
        report_recovery(&kv, &report);
        kv.journal = Some(journal);
    }
    Ok(kv)
}

/// Tells what was found, where it is not what a clean end leaves.
fn report_recovery(kv: &Kv, report: &Report) {
    let keys: usize = kv.dbs.iter().map(crate::engine::keyspace::Db::len).sum();
    tracing::info!(keys, commands = report.commands, bytes = report.len_bytes, "the log has been loaded");
    if let Tail::Torn { at, bytes, why, later } = report.tail {
        tracing::warn!(
            path = %kv.config.dir.join(LOG_NAME).display(),
            offset = at,
            bytes,
            later_groups = later,
            kept = report.kept.as_ref().map(|path| tracing::field::display(path.display())),
            "the log ended in a group that {why}, and it has been cut: a crash leaves that of what was not synced, and then \
             nobody was told of it under appendfsync always; if the disk is damaged, what was in its last block is lost"
        );
    }
}

/// Lets freed memory go back to the system while nothing else happens. The allocator does that when a large block is freed
/// and enough time has passed since the last one was: this frees one that was never touched.
async fn give_memory_back() {
    let mut interval = tokio::time::interval(GIVE_BACK_INTERVAL);
    loop {
        interval.tick().await;
        drop(std::hint::black_box(Vec::<u8>::with_capacity(GIVE_BACK_BYTES)));
    }
}

fn runtime() -> Result<LocalRuntime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build_local(LocalOptions::default())
        .map_err(Error::system("start the runtime"))
}

/// Allows the process as many open files as its clients may need, if the system lets it. Returns how many clients that is
/// enough for: more could be neither served nor told so.
fn raise_file_limit(clients: usize) -> usize {
    let wanted = clients as u64 + SPARE_FILES;
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let before = limit.current;
        limit.current = Some(limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
        if rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).is_err() {
            limit.current = before;
        }
    }
    let files = limit.current.map_or(wanted, |current| current.min(wanted));
    let served =
        usize::try_from(files.saturating_sub(SPARE_FILES)).map_or(clients, |served| served.clamp(1, clients.max(1)));
    if served < clients {
        tracing::warn!(
            asked = clients,
            maxclients = served,
            open_files = files,
            "maxclients is lowered: the system allows this process fewer open files"
        );
    }
    served
}
