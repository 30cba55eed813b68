//! The RESP server's skeleton around a service that fails: what it leaves behind is not served.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use common::net::{self, Listener, Peer, TcpAcceptor};
use common::resp::server::{self, Clock, ConnId, Effect, Flow, Now, Service};
use common::resp::{Limits, Replies, Request};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::Notify;

/// When the service panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fails {
    /// In the task that reads requests.
    InARequest,
    /// In the task that commits batches.
    InACommit,
}

/// Says OK to everything until it fails.
#[derive(Debug)]
struct Fragile {
    fails: Fails,
    called: bool,
    effects: VecDeque<Effect>,
}

impl Service for Fragile {
    fn connected(&mut self, _now: Now, _conn: ConnId, _peer: Peer) {}

    fn disconnected(&mut self, _now: Now, _conn: ConnId) {}

    fn call(&mut self, _now: Now, _conn: ConnId, _request: &Request<'_>, replies: &mut Replies) -> Flow {
        assert!(self.fails != Fails::InARequest, "the service fails in a request");
        self.called = true;
        replies.raw(b"+OK\r\n");
        Flow::Continue
    }

    fn took(&mut self, _now: Now, _conn: ConnId, _request: &Request<'_>, _duration: Duration) {}

    fn batch_done(&mut self, _now: Now) {
        assert!(!self.called, "the service fails in a commit");
    }

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

    fn limits(&self) -> net::Limits {
        net::Limits::default()
    }

    fn request_limits(&self, _conn: ConnId) -> Limits {
        Limits::default()
    }

    fn max_unsent_bytes(&self, _conn: ConnId) -> usize {
        1 << 20
    }

    fn stopping(&mut self, _now: Now) {}
}

/// Serves until the service has failed; returns whether the server's thread has panicked, and what the client was sent.
fn ends(fails: Fails) -> (bool, Vec<u8>) {
    let (said, heard) = mpsc::channel();
    let server = std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        runtime.expect("a runtime").block_on(async move {
            let listener = TcpAcceptor::bind("127.0.0.1:0").expect("a free port");
            said.send(listener.local_addr().expect("it has an address")).expect("the test waits");
            let service = Fragile { fails, called: false, effects: VecDeque::new() };
            let (handle, questions) = server::handle();
            let never = std::future::pending();
            server::run(listener, service, Clock::start(), Arc::new(Notify::new()), questions, never).await;
            drop(handle);
        });
    });
    let mut client = TcpStream::connect(heard.recv().expect("the server starts")).expect("it listens");
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    client.write_all(b"PING\r\n").expect("it takes the request");
    let mut received = Vec::new();
    // The end of the stream or a reset: both say that the server has gone. A timeout says that it hangs.
    if let Err(error) = client.read_to_end(&mut received) {
        assert!(error.kind() == std::io::ErrorKind::ConnectionReset, "the client waits in vain: {error}");
    }
    (server.join().is_err(), received)
}

#[test]
fn a_panic_in_any_task_ends_the_server_and_leaves_no_client_waiting() {
    for fails in [Fails::InARequest, Fails::InACommit] {
        let (panicked, received) = ends(fails);
        assert!(panicked, "the server went on after a panic: {fails:?}");
        assert_eq!(received, b"", "nothing is said after it: {fails:?}");
    }
}
