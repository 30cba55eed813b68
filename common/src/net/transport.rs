//! Transports: where connections come from, and the two halves that each of them is.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// How many connections the kernel may hold that were not accepted yet. A burst of clients that all start at once must fit;
/// the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// For how long a connection may be silent before its peer is asked whether it is still there: Redis' `tcp-keepalive`.
const KEEPALIVE: Duration = Duration::from_secs(300);

/// Something that connections are accepted from.
pub trait Listener: 'static {
    /// The half of a connection that is read from.
    type Read: AsyncRead + Unpin + 'static;
    /// The half of a connection that is written to. Dropping both halves closes the connection.
    type Write: AsyncWrite + Unpin + 'static;

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// An error says something about this attempt alone (the peer has gone already, or there are no file descriptors
    /// left): the caller may try again.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Read, Self::Write, Peer)>>;

    /// The address that it listens on, with the port that was chosen where 0 was asked for.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The client's address.
    pub remote: SocketAddr,
    /// The server's address, as the client reached it.
    pub local: SocketAddr,
}

/// The real transport: TCP, without Nagle's delay.
#[derive(Debug)]
pub struct TcpAcceptor {
    listener: TcpListener,
}

impl TcpAcceptor {
    /// Listens on the first address of `address` that can be bound; port 0 picks a free one. Must be called within a tokio
    /// runtime.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        let mut last_error = io::Error::new(io::ErrorKind::InvalidInput, "no address to listen on");
        for address in address.to_socket_addrs()? {
            match Self::bind_one(address) {
                Ok(listener) => return Ok(Self { listener }),
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }

    fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
        let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
        // A server that restarts must not wait for its old connections to leave TIME_WAIT.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    }
}

impl Listener for TcpAcceptor {
    type Read = OwnedReadHalf;
    type Write = OwnedWriteHalf;

    async fn accept(&self) -> io::Result<(OwnedReadHalf, OwnedWriteHalf, Peer)> {
        let (stream, remote) = self.listener.accept().await?;
        let peer = Peer { remote, local: stream.local_addr()? };
        prepare(&stream)?;
        let (read, write) = stream.into_split();
        Ok((read, write, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Replies are small and whole when they are written: waiting to fill a segment would only delay them. Keep-alive finds
/// out about peers that vanished without closing.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(KEEPALIVE))
}
