//! The server skeleton for whatever speaks RESP: it moves bytes; a [`Service`] decides what they mean.
//!
//! ```text
//!   reader of connection 1 ─┐ requests               ┌─> socket 1
//!   reader of connection 2 ─┼──────────> Service ──> flusher ─> socket 2
//!   reader of connection n ─┘        replies, effects └─> socket n
//! ```
//!
//! Everything runs on one thread. Readers decode what has arrived and call the service for each request; the replies
//! gather in the connections' buffers. When every reader that had something to read has had its turn, the **flusher**
//! runs once: it lets the service commit the batch (one write, perhaps one fsync, for all of them: group commit), and then
//! writes the replies that may leave. That is the shape of Redis' own event loop, and the reason that one thread is
//! enough: a batch costs one poll of the kernel, whatever the number of clients.
//!
//! **The durability contract.** After each batch a reader notes the service's [`position`](Service::position): its replies
//! may have seen everything up to there. They leave when [`durable`](Service::durable) has reached it, and not before;
//! a reply to a read waits as one to a write does.
//!
//! **Left out**: threads for reading and writing (Redis' `io-threads`), TLS.

mod alarm;
mod connection;
mod hub;
mod reader;

use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, mpsc};

use super::{Limits as RequestLimits, Replies, Request};
use crate::net::{self, Limits, Listener, Peer, Refusal};
use hub::Hub;

/// How often [`Service::tick`] is called when nothing else happens.
const TICK: Duration = Duration::from_millis(100);

/// How many questions from other threads may wait.
const QUESTIONS: usize = 64;

/// A connection, for as long as it lasts and never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    /// A small number that is free again once the connection has ended: an index for a table.
    pub slot: usize,
    /// Counts all connections from 1.
    pub serial: u64,
}

/// The time as the shell reads it, once for each batch and request. A service reads no clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the Unix epoch; may jump.
    pub unix_ms: u64,
    /// Since the server started; never goes back.
    pub uptime: Duration,
}

impl Now {
    /// This time, moved on to `uptime` on both clocks.
    fn later(self, uptime: Duration) -> Self {
        let passed = uptime.saturating_sub(self.uptime).as_millis();
        let unix_ms = self.unix_ms.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX));
        Self { unix_ms, uptime: self.uptime.max(uptime) }
    }
}

/// What a connection takes of the server's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holding {
    /// Bytes of replies that have not left.
    pub unsent_bytes: usize,
    /// Bytes of the buffer that these are in: at least as many.
    pub buffer_bytes: usize,
    /// Bytes of requests that are kept, since the end of one is missing or the connection may not go on, with what has been
    /// executed of them and not been freed yet.
    pub kept_bytes: usize,
}

/// What becomes of the connection after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It is read on.
    Continue,
    /// Its next request is not read until [`Effect::Resume`]: this one waits for something.
    Block,
    /// It is closed once its replies have left.
    Close,
}

/// What a service wants done beside the reply at hand.
#[derive(Debug)]
pub enum Effect {
    /// Appends bytes to what a connection is sent: a published message, or the answer to a request that waited.
    Send(ConnId, Vec<u8>),
    /// Reads a blocked connection on.
    Resume(ConnId),
    /// Closes a connection once its replies have left.
    Close(ConnId),
    /// Closes a connection at once; its replies are dropped.
    Kill(ConnId),
    /// Drops all replies that wait for more than this position, and closes their connections: it will never be reached.
    Abandon(u64),
    /// Ends the server as a signal would.
    Shutdown,
}

/// What a RESP server does, as a state machine: requests and time in, replies and effects out.
pub trait Service: 'static {
    /// A connection has come.
    fn connected(&mut self, now: Now, conn: ConnId, peer: Peer);

    /// It has gone, for whatever reason. Called exactly once for each `connected`.
    fn disconnected(&mut self, now: Now, conn: ConnId);

    /// A connection was refused: all places are taken.
    fn refused(&mut self) {}

    /// Bytes have been read from a connection; called before what they ask for is executed.
    fn received(&mut self, _bytes: usize) {}

    /// Bytes have been written to a connection.
    fn sent(&mut self, _bytes: usize) {}

    /// A request has arrived. Its reply goes to `replies`; none is written when the connection is blocked.
    fn call(&mut self, now: Now, conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Flow;

    /// The last call took this long.
    fn took(&mut self, now: Now, conn: ConnId, request: &Request<'_>, duration: Duration);

    /// All that had arrived has been executed: the moment to commit, before replies leave. Also called after the `Notify`
    /// that [`run`] was given has been notified.
    fn batch_done(&mut self, now: Now);

    /// Time passes: called ten times a second.
    fn tick(&mut self, now: Now);

    /// Requests of one connection follow, up to the next call of this: their replies are one batch.
    fn batch_began(&mut self);

    /// What the replies of the batch so far may have seen or done: the position that they wait for.
    fn position(&self) -> u64;

    /// Replies that wait for this position or an earlier one may leave.
    fn durable(&self) -> u64;

    /// What is to be done; the shell empties it after each call of another method.
    fn effects(&mut self) -> &mut VecDeque<Effect>;

    /// What clients are allowed now; asked again at each use, so that it may be changed while the server runs.
    fn limits(&self) -> Limits;

    /// How large a request this connection may send; asked again at each batch.
    fn request_limits(&self, conn: ConnId) -> RequestLimits;

    /// How many bytes of replies may wait for this connection.
    fn max_unsent_bytes(&self, conn: ConnId) -> usize;

    /// Whether this connection is there to listen, and is not idle when it sends nothing.
    fn listens(&self, _conn: ConnId) -> bool {
        false
    }

    /// What this connection holds, when that has changed and its socket has been offered what could leave.
    fn holds(&mut self, _conn: ConnId, _holding: Holding) {}

    /// The server ends. Called once, after the last request and before the last replies leave: what was executed is to be
    /// made durable.
    fn stopping(&mut self, now: Now);
}

/// A question that another thread asks the service, answered on the service's own thread.
type Question<S> = Box<dyn FnOnce(&mut S, Now) + Send>;

/// Asks the service from other threads: for `/metrics`, or for a test.
#[derive(Debug)]
pub struct Handle<S> {
    questions: mpsc::Sender<Question<S>>,
}

impl<S> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self { questions: self.questions.clone() }
    }
}

impl<S: 'static> Handle<S> {
    /// Runs `question` on the service's thread and returns its answer; `None` when the server has ended.
    pub async fn ask<A: Send + 'static>(&self, question: impl FnOnce(&mut S, Now) -> A + Send + 'static) -> Option<A> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let question: Question<S> = Box::new(move |service, now| {
            // Whoever asked may have given up waiting.
            let _ = answer.send(question(service, now));
        });
        self.questions.send(question).await.ok()?;
        answered.await.ok()
    }
}

/// The receiving end of a [`Handle`].
#[derive(Debug)]
pub struct Questions<S>(mpsc::Receiver<Question<S>>);

/// A handle, and what [`run`] needs to answer it.
pub fn handle<S>() -> (Handle<S>, Questions<S>) {
    let (questions, receiver) = mpsc::channel(QUESTIONS);
    (Handle { questions }, Questions(receiver))
}

/// Reads the clocks of the real world.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock whose uptime begins now.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// How long ago it began.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// The time.
    pub fn now(&self) -> Now {
        // A clock set before 1970 reads as 1970: keys would live longer, and nothing else would go wrong.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX), uptime: self.started.elapsed() }
    }
}

/// Serves connections from `listener` until `shutdown` completes or the service asks for it; returns the service, stopped.
///
/// `wake` runs the flusher when it is notified, from any thread: when a sync has returned. Must run within a tokio
/// `LocalRuntime`, whose thread does nothing else.
///
/// # Panics
///
/// When the service does: after that nobody knows what of a request has been done.
pub async fn run<L, S>(
    listener: L,
    service: S,
    clock: Clock,
    wake: Arc<Notify>,
    mut questions: Questions<S>,
    shutdown: impl Future<Output = ()>,
) -> S
where
    L: Listener,
    S: Service,
{
    let hub = Rc::new(Hub::<L::Write, S>::new(service, clock, wake));
    let drain_timeout = hub.limits().drain_timeout;
    let background = [
        // The budget that tokio gives a task is for one connection's fair share; the flusher works for all of them.
        tokio::task::spawn_local(tokio::task::unconstrained(hub::flush_when_woken(Rc::clone(&hub)))),
        tokio::task::spawn_local({
            let hub = Rc::clone(&hub);
            async move {
                let _alarm = hub.alarm();
                let mut interval = tokio::time::interval(TICK);
                interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                loop {
                    interval.tick().await;
                    hub.tick();
                }
            }
        }),
        tokio::task::spawn_local({
            let hub = Rc::clone(&hub);
            async move {
                let _alarm = hub.alarm();
                while let Some(question) = questions.0.recv().await {
                    hub.answer(question);
                }
            }
        }),
    ];
    let stop = async {
        tokio::select! {
            () = shutdown => {}
            () = hub.shutdown_requested() => {}
        }
        hub.stop();
    };
    let limits = Rc::clone(&hub);
    let readers = Rc::clone(&hub);
    let refusal = Refusal(b"-ERR max number of clients reached\r\n");
    let serving = net::serve(
        listener,
        drain_timeout,
        move |taken| limits.admits(taken),
        refusal,
        stop,
        move |read, write, peer, permit| {
            let hub = Rc::clone(&readers);
            async move {
                let _alarm = hub.alarm();
                let id = hub.connect(write, peer);
                reader::read_requests(&hub, id, read).await;
                drop(permit);
            }
        },
    );
    let left = tokio::select! {
        left = serving => left,
        () = hub.broken() => panic!("a task of the server has panicked: what it left behind cannot be served"),
    };
    if left > 0 {
        tracing::warn!(connections = left, "ended with connections that had not read their replies");
        hub.kill_all();
    }
    for task in background {
        task.abort();
        // An aborted task ends with an error that says so.
        let _ = task.await;
    }
    // Readers hold the hub until they have been polled once more.
    let mut hub = hub;
    loop {
        match Rc::try_unwrap(hub) {
            Ok(hub) => return hub.into_service(),
            Err(shared) => {
                hub = shared;
                tokio::task::yield_now().await;
            }
        }
    }
}
