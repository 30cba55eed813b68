//! The accept loop: takes connections within a limit, refuses the rest with an answer, and drains at shutdown.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use super::{Listener, Peer};

/// How long the loop waits after the process has run out of file descriptors, before it tries again: long enough not to
/// spin, short enough that a client barely notices.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// How many connections are accepted before the connections that are there get their turn.
const ACCEPT_BURST: usize = 256;

/// How long a client that is refused may take to read why.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);

/// How long a client's socket may take nothing while there is something for it: what Redis gives a subscriber above its soft
/// limit, and a multiple of what a network that loses packets needs to send one again. The kernel wakes a writer when a good
/// part of a socket's buffer is free, which is up to megabytes: whoever reads on, but less than about 20 kB/s, is taken for one
/// that does not.
const MAX_STALL: Duration = Duration::from_secs(60);

/// What a server allows its clients.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many connections are served at once; one more is refused with [`Refusal`].
    pub max_connections: usize,
    /// A connection that has sent nothing for this long is closed. `None`: never.
    pub idle_timeout: Option<Duration>,
    /// How many bytes of one request are taken before it must be complete.
    pub max_request_bytes: usize,
    /// How many bytes of replies wait for a client that does not read, before it is disconnected.
    pub max_unsent_bytes: usize,
    /// How long a client's socket may take no byte of the replies that wait for it, before it is disconnected: one that is held
    /// at the backpressure mark never comes to `max_unsent_bytes`, and would keep its place and its memory for ever.
    pub max_stall: Duration,
    /// How long the connections that are there at shutdown may take to end.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    /// Ten thousand connections (Redis' `maxclients`), no idle timeout, 1 GiB of request (Redis' `client-query-buffer-limit`),
    /// 256 MiB of unread replies (more than any sane pipeline, less than a machine's memory), a minute for a socket that
    /// takes nothing, five seconds to drain.
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            idle_timeout: None,
            max_request_bytes: 1 << 30,
            max_unsent_bytes: 256 << 20,
            max_stall: MAX_STALL,
            drain_timeout: Duration::from_secs(5),
        }
    }
}

/// What a client reads that comes when all places are taken, in the server's own protocol.
#[derive(Debug, Clone, Copy)]
pub struct Refusal(pub &'static [u8]);

/// A connection's place among [`Limits::max_connections`]. Dropping it gives the place back.
#[derive(Debug)]
pub struct Permit {
    gate: Rc<Gate>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.taken.set(self.gate.taken.get() - 1);
        self.gate.left.notify_one();
    }
}

#[derive(Debug)]
struct Gate {
    taken: Cell<usize>,
    left: Notify,
}

/// Accepts connections until `shutdown` completes, and hands each to `serve_one` in a task of its own on this thread; then
/// waits until they have ended, at most [`Limits::drain_timeout`]. `admits` is told at each connection how many there are
/// already, and says whether one more is served: the limit may be changed while the server runs, and refusals counted.
///
/// Returns how many connections were still there when the time was up.
///
/// Must run within a tokio `LocalRuntime` or `LocalSet`.
pub async fn serve<L, S, F>(
    listener: L,
    drain_timeout: Duration,
    admits: impl Fn(usize) -> bool,
    refusal: Refusal,
    shutdown: impl Future<Output = ()>,
    mut serve_one: S,
) -> usize
where
    L: Listener,
    S: FnMut(L::Read, L::Write, Peer, Permit) -> F,
    F: Future<Output = ()> + 'static,
{
    let gate = Rc::new(Gate { taken: Cell::new(0), left: Notify::new() });
    let mut shutdown = std::pin::pin!(shutdown);
    let mut burst = 0;
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((read, write, peer)) if admits(gate.taken.get()) => {
                gate.taken.set(gate.taken.get() + 1);
                let permit = Permit { gate: Rc::clone(&gate) };
                tokio::task::spawn_local(serve_one(read, write, peer, permit));
            }
            Ok((read, write, peer)) => {
                tracing::debug!(remote = %peer.remote, "refused: all connections are taken");
                tokio::task::spawn_local(refuse::<L>(read, write, refusal));
            }
            Err(error) if is_exhausted(&error) => {
                tracing::warn!(%error, "cannot accept: out of file descriptors");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
            Err(error) => tracing::debug!(%error, "a connection ended before it was accepted"),
        }
        burst += 1;
        if burst == ACCEPT_BURST {
            burst = 0;
            tokio::task::yield_now().await;
        }
    }
    drop(listener);
    let drained = async {
        while gate.taken.get() > 0 {
            gate.left.notified().await;
        }
    };
    let _ = tokio::time::timeout(drain_timeout, drained).await;
    gate.taken.get()
}

async fn refuse<L: Listener>(read: L::Read, mut write: L::Write, refusal: Refusal) {
    // The connection ends either way: that the client did not wait for the reason is no concern of the server.
    let _ = tokio::time::timeout(REFUSAL_PATIENCE, async {
        write.write_all(refusal.0).await?;
        write.shutdown().await
    })
    .await;
    drop(read);
}

/// Whether the process or the system has no file descriptor left (`EMFILE`, `ENFILE`): an error that repeats at once, for
/// the connection stays in the backlog.
fn is_exhausted(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| {
        code == rustix::io::Errno::MFILE.raw_os_error() || code == rustix::io::Errno::NFILE.raw_os_error()
    })
}
