//! The reading half of a connection: bytes in, requests to the hub.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::hub::{Hub, READ_BYTES, Reading};
use super::{ConnId, Service};
use crate::resp::RequestDecoder;

/// How many bytes at most are reserved ahead for a request that has announced its length: what it announces is not
/// believed further than that.
const RESERVE_BYTES: usize = 1 << 20;

/// Reads and executes requests until the connection ends.
pub(super) async fn read_requests<R, W, S>(hub: &Hub<W, S>, id: ConnId, mut read: R)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + 'static,
    S: Service,
{
    let mut reader = Reader {
        id,
        decoder: RequestDecoder::new(hub.request_limits(id)),
        partial: Vec::new(),
        executed: 0,
        told_bytes: 0,
        unexecuted: false,
        ended: false,
    };
    std::future::poll_fn(|cx| reader.poll(hub, &mut read, cx)).await;
    hub.disconnect(id);
}

/// **Invariants**: `partial[executed..]` begins where a request begins. Unless `unexecuted`, the decoder has seen all of it, and
/// it is part of one request. `executed` is at most half of `partial`.
#[derive(Debug)]
struct Reader {
    id: ConnId,
    decoder: RequestDecoder,
    /// What was received and not yet executed. Empty, and without memory, between whole requests.
    partial: Vec<u8>,
    /// Bytes at the front of `partial` that have been executed: to move the rest forward each time would cost more than reading it.
    executed: usize,
    /// What the hub was last told that is kept.
    told_bytes: usize,
    /// `partial` may hold whole requests: they arrived while the connection was blocked or full.
    unexecuted: bool,
    /// The client sends no more.
    ended: bool,
}

impl Reader {
    /// Ready when the connection is over.
    fn poll<R, W, S>(&mut self, hub: &Hub<W, S>, read: &mut R, cx: &mut Context<'_>) -> Poll<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin + 'static,
        S: Service,
    {
        loop {
            let reading = hub.reading(self.id, cx.waker());
            match reading {
                Reading::Over => return Poll::Ready(()),
                Reading::On if self.unexecuted => {
                    self.execute_partial(hub);
                    self.tell(hub);
                    continue;
                }
                Reading::Full if self.ended => return Poll::Pending,
                _ if self.ended => {
                    hub.end_of_input(self.id);
                    // Where replies are still to leave, the flusher ends the connection and wakes this task.
                    let over = hub.reading(self.id, cx.waker()) == Reading::Over;
                    return if over { Poll::Ready(()) } else { Poll::Pending };
                }
                Reading::On | Reading::Blocked | Reading::Full => {}
                Reading::Closing => (self.partial, self.executed) = (Vec::new(), 0),
            }
            let received = std::task::ready!(self.receive(hub, read, reading, cx));
            self.tell(hub);
            match received {
                Ok(0) => self.ended = true,
                // There is probably more, but the others have waited for as long as this one was served.
                Ok(READ_BYTES) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Ok(_) => {}
                Err(_) => return Poll::Ready(()),
            }
        }
    }

    /// Reads once, and executes what is complete. While the connection is blocked or full, what arrives is kept; once it is
    /// closing, it is not: a client that goes on talking must not be paid for in memory.
    fn receive<R, W, S>(
        &mut self,
        hub: &Hub<W, S>,
        read: &mut R,
        reading: Reading,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin + 'static,
        S: Service,
    {
        let mut scratch = hub.scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        std::task::ready!(Pin::new(read).poll_read(cx, &mut buffer))?;
        let received = buffer.filled();
        let count = received.len();
        if count == 0 {
            return Poll::Ready(Ok(0));
        }
        hub.received(count);
        if reading == Reading::Closing {
            return Poll::Ready(Ok(count));
        }
        let waits = reading != Reading::On;
        if self.partial.is_empty() && !waits {
            let (taken, reading) = execute(hub, self.id, &mut self.decoder, received);
            self.partial.extend_from_slice(&received[taken..]);
            self.unexecuted = reading != Reading::On;
            return Poll::Ready(Ok(count));
        }
        if self.partial.capacity() - self.partial.len() < count {
            self.partial.reserve(self.decoder.missing_bytes().clamp(READ_BYTES, RESERVE_BYTES));
        }
        self.partial.extend_from_slice(received);
        drop(scratch);
        if !waits {
            self.execute_partial(hub);
            return Poll::Ready(Ok(count));
        }
        self.unexecuted = true;
        let too_much = match reading {
            Reading::Full => hub.reads_too_little(self.id, self.partial.len()),
            _ => self.partial.len() > hub.limits().max_request_bytes,
        };
        if too_much {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        Poll::Ready(Ok(count))
    }

    fn tell<W, S>(&mut self, hub: &Hub<W, S>)
    where
        W: AsyncWrite + Unpin + 'static,
        S: Service,
    {
        if self.told_bytes != self.partial.len() {
            self.told_bytes = self.partial.len();
            hub.keeps(self.id, self.told_bytes);
        }
    }

    fn execute_partial<W, S>(&mut self, hub: &Hub<W, S>)
    where
        W: AsyncWrite + Unpin + 'static,
        S: Service,
    {
        let (taken, reading) = execute(hub, self.id, &mut self.decoder, &self.partial[self.executed..]);
        self.executed += taken;
        let left = self.partial.len() - self.executed;
        self.unexecuted = reading != Reading::On && left > 0;
        if left == 0 {
            self.partial = Vec::new();
            self.executed = 0;
        } else if self.executed > left {
            self.partial.drain(..self.executed);
            self.executed = 0;
        }
    }
}

/// Decodes and executes the whole requests at the front of `bytes`; returns how many bytes they took, and what is next.
fn execute<W, S>(hub: &Hub<W, S>, id: ConnId, decoder: &mut RequestDecoder, bytes: &[u8]) -> (usize, Reading)
where
    W: AsyncWrite + Unpin + 'static,
    S: Service,
{
    let mut taken = 0;
    // They depend on who the client is and on parameters, and both change while the connection lasts.
    decoder.set_limits(hub.request_limits(id));
    let reading = hub.execute(id, &mut |run| {
        while taken < bytes.len() {
            let rest = &bytes[taken..];
            match decoder.decode(rest) {
                Ok(Some(length)) => {
                    taken += length;
                    if let Some(request) = decoder.request(rest)
                        && !run(&request)
                    {
                        return Ok(());
                    }
                }
                Ok(None) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    });
    (taken, reading)
}
