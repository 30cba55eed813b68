//! A client: what the tour, the bench, the shell and the tests drive a server with.
//!
//! Requests and replies are a pipeline: [`send`](Client::send) as many as you like, [`flush`](Client::flush), and
//! [`receive`](Client::receive) as many replies in the same order. [`call`](Client::call) is one of each. In RESP3 a server
//! may push news between two replies; they are handed out in the order in which they came.

use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, ToSocketAddrs};

use super::{Limits, Value, ValueDecoder, ValueError, encode_args};

/// How many bytes are read at a time at the least.
const READ_BYTES: usize = 16 * 1024;

/// How many bytes an empty buffer keeps room for.
const KEPT_BYTES: usize = 1024 * 1024;

/// How many pushes [`Client::call`] sets aside for [`Client::receive`]: a caller that never asks for them has forgotten that
/// it is subscribed.
const MAX_PUSHES: usize = 100_000;

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[from] std::io::Error),
    /// What came is no reply.
    #[error("protocol error")]
    Protocol(#[from] ValueError),
    /// The server closed the connection, which may leave requests unanswered: whether they were executed is not known.
    #[error("the server closed the connection")]
    Closed,
    /// The server's own error, its code word first.
    #[error("{0}")]
    Server(String),
    /// More pushes came in between than the client sets aside.
    #[error("more than {MAX_PUSHES} pushed messages wait to be received")]
    TooManyPushes,
}

/// A connection to a server.
///
/// A call that is cancelled (by a timeout, say) leaves its reply to come: drop the client then. [`receive`](Self::receive)
/// and [`flush`](Self::flush) may be cancelled and called again.
///
/// **Invariants**: `sent <= outgoing.len()`; `taken <= incoming.len()`, and a reply begins at `taken`.
#[derive(Debug)]
pub struct Client<S = TcpStream> {
    stream: S,
    outgoing: Vec<u8>,
    sent: usize,
    incoming: Vec<u8>,
    taken: usize,
    decoder: ValueDecoder,
    pushes: VecDeque<Value>,
}

impl Client<TcpStream> {
    /// Connects to the server at `addr`.
    ///
    /// # Errors
    ///
    /// [`ClientError::Io`].
    pub async fn connect(addr: impl ToSocketAddrs) -> Result<Self, ClientError> {
        let stream = TcpStream::connect(addr).await?;
        // A request is smaller than a packet: held back until the last one is acknowledged, it would wait 40 ms.
        stream.set_nodelay(true)?;
        Ok(Self::new(stream))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// A client of the server at the other end of `stream`.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            outgoing: Vec::new(),
            sent: 0,
            incoming: Vec::new(),
            taken: 0,
            decoder: ValueDecoder::new(Limits::default()),
            pushes: VecDeque::new(),
        }
    }

    /// The stream, for what is not RESP. Bytes that were received and not handed out are lost.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// Adds a request to those that the next [`flush`](Self::flush) sends. An empty one is none.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        if !args.is_empty() {
            encode_args(&mut self.outgoing, args.iter().map(AsRef::as_ref));
        }
    }

    /// Adds bytes as they are to what the next [`flush`](Self::flush) sends.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.outgoing.extend_from_slice(bytes);
    }

    /// Sends what was added. A pipeline whose replies exceed what the sockets hold must be received in parts: else client
    /// and server each wait for the other to read.
    ///
    /// # Errors
    ///
    /// [`ClientError::Io`].
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        while self.sent < self.outgoing.len() {
            match self.stream.write(&self.outgoing[self.sent..]).await? {
                0 => return Err(ClientError::Closed),
                count => self.sent += count,
            }
        }
        self.outgoing.clear();
        self.outgoing.shrink_to(KEPT_BYTES);
        self.sent = 0;
        self.stream.flush().await?;
        Ok(())
    }

    /// The next reply or push. An error that the server answers is a value here.
    ///
    /// # Errors
    ///
    /// [`ClientError::Io`], [`ClientError::Protocol`], or [`ClientError::Closed`] when the server has closed.
    pub async fn receive(&mut self) -> Result<Value, ClientError> {
        match self.pushes.pop_front() {
            Some(push) => Ok(push),
            None => self.receive_next().await,
        }
    }

    /// Sends a request and waits for its reply. An error that the server answers is a value here.
    ///
    /// No other reply may be outstanding. In RESP3 the confirmation of `SUBSCRIBE` is a push itself and answers nothing:
    /// [`send`](Self::send) and [`receive`](Self::receive) are for that.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive); [`ClientError::TooManyPushes`] when pushes keep coming and none is received.
    pub async fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Value, ClientError> {
        assert!(!args.is_empty(), "a request has at least a name");
        self.send(args);
        self.flush().await?;
        loop {
            match self.receive_next().await? {
                push @ Value::Push(_) if self.pushes.len() < MAX_PUSHES => self.pushes.push_back(push),
                Value::Push(_) => return Err(ClientError::TooManyPushes),
                reply => return Ok(reply),
            }
        }
    }

    /// As [`call`](Self::call), but an error that the server answers is an error here.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call), and [`ClientError::Server`].
    pub async fn try_call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Value, ClientError> {
        match self.call(args).await? {
            Value::Error(text) => Err(ClientError::Server(text)),
            reply => Ok(reply),
        }
    }

    /// Agrees on the protocol version, 2 or 3; what the server says about itself.
    ///
    /// # Errors
    ///
    /// As [`try_call`](Self::try_call).
    pub async fn hello(&mut self, version: u8) -> Result<Value, ClientError> {
        self.try_call(&["HELLO", &version.to_string()]).await
    }

    /// Authenticates with the server's password.
    ///
    /// # Errors
    ///
    /// As [`try_call`](Self::try_call).
    pub async fn auth(&mut self, password: &str) -> Result<(), ClientError> {
        self.try_call(&["AUTH", password]).await.map(drop)
    }

    async fn receive_next(&mut self) -> Result<Value, ClientError> {
        loop {
            if let Some((value, len)) = self.decoder.decode(&self.incoming[self.taken..])? {
                self.taken += len;
                if self.taken == self.incoming.len() {
                    self.incoming.clear();
                    self.incoming.shrink_to(KEPT_BYTES);
                    self.taken = 0;
                }
                return Ok(value);
            }
            if self.taken > 0 {
                self.incoming.drain(..self.taken);
                self.taken = 0;
            }
            self.incoming.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.incoming).await? == 0 {
                return Err(ClientError::Closed);
            }
        }
    }
}
