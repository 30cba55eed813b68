//! What the server skeleton does with a connection that is about to be closed, over a transport in memory: its capacity is
//! known, so that what waits in the server and what has left it can be told apart.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::net::{Limits, Listener, Peer};
use common::resp::server::{self, Clock, ConnId, Effect, Flow, Now, Service};
use common::resp::{Limits as RequestLimits, Replies, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::runtime::LocalOptions;
use tokio::sync::{Notify, mpsc, oneshot};

/// How long a test waits for what must come, before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the transport holds in each direction, in bytes.
const CAPACITY: usize = 64 << 10;

/// What a client sends that must not be kept, in bytes: far more than everything else in these tests.
const FLOOD_BYTES: usize = 200 << 20;

/// What memory may grow by meanwhile.
const SPARE_BYTES: u64 = 50 << 20;

/// One test at a time: memory is measured for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The memory of this process, in bytes.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory").trim();
    line.trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

/// Answers `BULK n` with n bytes, `BYE` with `+OK` and the end, and anything else with `+PONG`.
#[derive(Default)]
struct Talk {
    effects: VecDeque<Effect>,
    calls: u64,
    received: u64,
    sent: u64,
    refused: u64,
}

impl Service for Talk {
    fn connected(&mut self, _now: Now, _conn: ConnId, _peer: Peer) {}
    fn disconnected(&mut self, _now: Now, _conn: ConnId) {}

    fn refused(&mut self) {
        self.refused += 1;
    }

    fn received(&mut self, bytes: usize) {
        self.received += bytes as u64;
    }

    fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    fn call(&mut self, _now: Now, _conn: ConnId, request: &Request<'_>, replies: &mut Replies) -> Flow {
        self.calls += 1;
        if request.is(0, "BULK") {
            let len = std::str::from_utf8(request.arg(1)).ok().and_then(|len| len.parse().ok()).expect("a length");
            replies.bulk(&vec![b'v'; len]);
            return Flow::Continue;
        }
        let ends = request.is(0, "BYE");
        replies.simple(if ends { "OK" } else { "PONG" });
        if ends { Flow::Close } else { Flow::Continue }
    }

    fn took(&mut self, _now: Now, _conn: ConnId, _request: &Request<'_>, _duration: Duration) {}
    fn batch_done(&mut self, _now: Now) {}
    fn tick(&mut self, _now: Now) {}
    fn batch_began(&mut self) {}

    fn position(&self) -> u64 {
        0
    }

    fn durable(&self) -> u64 {
        0
    }

    fn effects(&mut self) -> &mut VecDeque<Effect> {
        &mut self.effects
    }

    fn limits(&self) -> Limits {
        Limits { max_connections: 2, max_unsent_bytes: 2 * FLOOD_BYTES, ..Limits::default() }
    }

    fn request_limits(&self, _conn: ConnId) -> RequestLimits {
        RequestLimits::default()
    }

    fn max_unsent_bytes(&self, _conn: ConnId) -> usize {
        self.limits().max_unsent_bytes
    }

    fn stopping(&mut self, _now: Now) {}
}

/// Takes the connections that a test makes.
struct Pipes(tokio::sync::Mutex<mpsc::UnboundedReceiver<DuplexStream>>);

impl Listener for Pipes {
    type Read = ReadHalf<DuplexStream>;
    type Write = WriteHalf<DuplexStream>;

    async fn accept(&self) -> io::Result<(Self::Read, Self::Write, Peer)> {
        let Some(stream) = self.0.lock().await.recv().await else { return std::future::pending().await };
        let (read, write) = tokio::io::split(stream);
        let address: SocketAddr = ([127, 0, 0, 1], 1).into();
        Ok((read, write, Peer { remote: address, local: address }))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(([127, 0, 0, 1], 1).into())
    }
}

/// Where a test connects to.
struct Door(mpsc::UnboundedSender<DuplexStream>);

impl Door {
    fn connect(&self) -> DuplexStream {
        let (client, server) = tokio::io::duplex(CAPACITY);
        self.0.send(server).expect("the server is there");
        client
    }
}

/// Runs a server and `client`, which ends it when it ends; returns what the server has counted.
fn served<F: Future<Output = ()> + 'static>(client: impl FnOnce(Door) -> F) -> Talk {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build_local(LocalOptions::default()).expect("a runtime");
    let (connect, connecting) = mpsc::unbounded_channel();
    let client = client(Door(connect));
    runtime.block_on(async move {
        let (end, ended) = oneshot::channel::<()>();
        let client = tokio::task::spawn_local(async move {
            tokio::time::timeout(PATIENCE, client).await.expect("the server is stuck");
            drop(end);
        });
        let (_handle, questions) = server::handle();
        let (pipes, wake) = (Pipes(tokio::sync::Mutex::new(connecting)), Arc::new(Notify::new()));
        let stop = async move { drop(ended.await) };
        let talk = server::run(pipes, Talk::default(), Clock::start(), wake, questions, stop).await;
        client.await.expect("the client is content");
        talk
    })
}

/// Sends far more than may be kept, and fails where memory has grown by it.
async fn flood(stream: &mut DuplexStream, what: &str) {
    let before = resident_bytes();
    let chunk = vec![b'z'; 1 << 20];
    for _ in 0..FLOOD_BYTES >> 20 {
        stream.write_all(&chunk).await.expect("the server takes what it is sent, and drops it");
    }
    let taken = resident_bytes().saturating_sub(before);
    assert!(taken < SPARE_BYTES, "{what}: {} MiB are kept of what nobody will look at", taken >> 20);
}

/// The bytes up to the end of the connection, the first `skip` left out.
async fn rest(stream: &mut DuplexStream, skip: usize) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.expect("it is closed in order");
    all.split_off(skip)
}

#[test]
fn what_a_client_sends_once_its_connection_is_closing_is_dropped_and_the_replies_before_still_come() {
    let _alone = alone();
    let cases = [
        ("BYE\r\n", "+OK\r\n"),
        ("*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        ("BYE\r\nBULK 5\r\n", "+OK\r\n"),
        ("PING\r\n*1\r\n:1\r\n", "+PONG\r\n-ERR Protocol error: expected '$', got ':'\r\n"),
    ];
    for (last, answer) in cases {
        let talk = served(move |door| async move {
            let mut stream = door.connect();
            // More than the transport holds, so that the connection waits for its client before it is closed.
            let owed = "$500000\r\n".len() + 500_000 + 2;
            stream.write_all(format!("BULK 500000\r\n{last}").as_bytes()).await.expect("it is sent");
            flood(&mut stream, last).await;
            assert_eq!(String::from_utf8_lossy(&rest(&mut stream, owed).await), answer, "after {last:?}");
            let more = stream.write_all(b"PING\r\n").await;
            assert_eq!(more.expect_err("it is closed").kind(), io::ErrorKind::BrokenPipe);
        });
        assert_eq!(talk.calls, 1 + u64::from(answer.starts_with('+')), "after {last:?} nothing is executed");
        assert!(talk.received as usize > FLOOD_BYTES, "it was read");
    }
}

#[test]
fn what_was_kept_while_a_client_did_not_read_is_given_up_when_its_connection_is_closing() {
    let _alone = alone();
    served(|door| async move {
        let mut stream = door.connect();
        let owed = "$4000000\r\n".len() + 4_000_000 + 2;
        stream.write_all(b"BULK 4000000\r\n*x\r\n").await.expect("it is sent");
        let before = resident_bytes();
        let chunk = vec![b'z'; 1 << 20];
        for _ in 0..FLOOD_BYTES >> 20 {
            stream.write_all(&chunk).await.expect("the server keeps it: it may be a request");
        }
        let kept = resident_bytes().saturating_sub(before);
        assert!(kept > FLOOD_BYTES as u64 / 2, "{kept} bytes were kept: this test is about what is");
        // Less than a mebibyte is left then, the server goes on, and finds that this is no request; more is left than the
        // transport holds, so that the connection cannot end yet.
        let mut read = vec![0; owed - 800_000];
        stream.read_exact(&mut read).await.expect("it is answered");
        while resident_bytes().saturating_sub(before) > SPARE_BYTES {
            tokio::task::yield_now().await;
        }
        let answer = rest(&mut stream, 800_000).await;
        assert_eq!(String::from_utf8_lossy(&answer), "-ERR Protocol error: invalid multibulk length\r\n");
    });
}

#[test]
fn what_comes_and_goes_is_counted_to_the_byte() {
    let talk = served(|door| async move {
        let mut streams = [door.connect(), door.connect()];
        for stream in &mut streams {
            stream.write_all(b"PING\r\nBULK 3000000\r\n").await.expect("it is sent");
            let mut answer = vec![0; "+PONG\r\n$3000000\r\n\r\n".len() + 3_000_000];
            stream.read_exact(&mut answer).await.expect("it is answered");
        }
        for _ in 0..3 {
            assert_eq!(rest(&mut door.connect(), 0).await, b"-ERR max number of clients reached\r\n");
        }
        // Half a request counts as well.
        streams[0].write_all(b"*1\r\n$4\r\nPI").await.expect("it is sent");
        streams[1].write_all(b"BYE\r\n").await.expect("it is sent");
        assert_eq!(rest(&mut streams[1], 0).await, b"+OK\r\n");
    });
    let (asked, answered) = ("PING\r\nBULK 3000000\r\n".len(), "+PONG\r\n$3000000\r\n\r\n".len() + 3_000_000);
    assert_eq!(talk.received, (2 * asked + "*1\r\n$4\r\nPI".len() + "BYE\r\n".len()) as u64);
    assert_eq!(talk.sent, (2 * answered + "+OK\r\n".len()) as u64, "a refusal is no reply");
    assert_eq!((talk.refused, talk.calls), (3, 5));
}
