//! One connection of a server: the replies that have yet to leave, and what each of them waits for.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::AsyncWrite;

use super::{Holding, Now};
use crate::resp::{Protocol, Replies};

/// A reply buffer that has grown beyond this many bytes gives its memory back once it is empty.
const KEPT_BUFFER_BYTES: usize = 64 << 10;

/// When this many bytes of replies have gathered for a connection, its next request waits until its socket has been offered
/// them: a pipeline's replies may come to many times what a client can take at once, and one that reads as they come is to
/// get them all. Large enough that a write to the socket is worth its cost.
pub(super) const HIGH_WATER_BYTES: usize = 1 << 20;

/// A connection.
///
/// **Invariants**: `sent` is at most the length of `replies`; `holds` ascend in bytes, and each ends behind `sent`.
#[derive(Debug)]
pub(super) struct Connection<W> {
    pub(super) serial: u64,
    write: W,
    pub(super) replies: Replies,
    /// Bytes at the front of `replies` that have been sent.
    sent: usize,
    /// Up to which byte of `replies` what waits for which position, in ascending order of bytes.
    holds: VecDeque<(usize, u64)>,
    /// When it last sent anything, or took any of its replies.
    pub(super) last_active: Duration,
    /// For how long its socket has taken none of the replies that may leave; `None` when there are none.
    pub(super) stalled_for: Option<Duration>,
    /// Bytes of requests that are kept.
    pub(super) kept_bytes: usize,
    /// What the service was last told that it holds.
    pub(super) told: Holding,
    /// Its next request waits for [`Effect::Resume`](super::Effect::Resume).
    pub(super) blocked: bool,
    /// Its next request waits until its socket has taken what there is for it.
    pub(super) full: bool,
    /// It is closed when its replies have left.
    pub(super) closing: bool,
    /// It is among those whose replies are about to be offered to their sockets.
    pub(super) queued: bool,
    /// A task waits for its socket to take more.
    pub(super) draining: bool,
    /// The reader, where it waits.
    pub(super) reader: Option<Waker>,
    /// The task that waits for its socket to take more.
    pub(super) drainer: Option<Waker>,
}

impl<W> Connection<W> {
    /// A new one, which writes to `write`.
    pub(super) fn new(serial: u64, write: W, now: Now) -> Self {
        Self {
            serial,
            write,
            replies: Replies::new(Protocol::Resp2),
            sent: 0,
            holds: VecDeque::new(),
            last_active: now.uptime,
            stalled_for: None,
            kept_bytes: 0,
            told: Holding::default(),
            blocked: false,
            full: false,
            closing: false,
            queued: false,
            draining: false,
            reader: None,
            drainer: None,
        }
    }
}

impl<W: AsyncWrite + Unpin> Connection<W> {
    /// How many bytes of its replies have not left.
    pub(super) fn unsent_bytes(&self) -> usize {
        self.replies.len() - self.sent
    }

    /// What it holds in memory now.
    pub(super) fn holding(&self) -> Holding {
        let unsent_bytes = self.unsent_bytes();
        // An empty buffer is kept for the next replies, small as it is then: nobody waits for it.
        let buffer_bytes = if unsent_bytes == 0 { 0 } else { self.replies.capacity() };
        Holding { unsent_bytes, buffer_bytes, kept_bytes: self.kept_bytes }
    }

    /// For how long its socket has taken none of the replies that may leave, when `passed` is added to that.
    pub(super) fn stall(&mut self, passed: Duration) -> Duration {
        self.stalled_for.as_mut().map_or(Duration::ZERO, |stall| {
            *stall += passed;
            *stall
        })
    }

    /// Whether all its replies have left.
    pub(super) fn is_sent(&self) -> bool {
        self.unsent_bytes() == 0
    }

    /// What has been added to the replies since the last hold waits for `position`.
    pub(super) fn hold(&mut self, position: u64) {
        let end = self.replies.len();
        match self.holds.back_mut() {
            Some((held, _)) if *held == end => {}
            Some((held, waits_for)) if *waits_for == position => *held = end,
            _ if end == self.sent => {}
            _ => self.holds.push_back((end, position)),
        }
    }

    /// Whether any of its replies waits for more than `position`.
    pub(super) fn waits_beyond(&self, position: u64) -> bool {
        // The last one may wait for less: a read's reply behind a write's waits for nothing under most policies.
        self.holds.iter().any(|(_, waits_for)| *waits_for > position)
    }

    /// Writes what may leave; ready when that has been taken, pending when the socket is full.
    pub(super) fn send(&mut self, now: Now, durable: u64, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let mut may_leave = self.sent;
        while let Some((end, position)) = self.holds.front().copied() {
            if position > durable {
                break;
            }
            may_leave = end;
            self.holds.pop_front();
        }
        let is_taken = loop {
            if self.sent == may_leave {
                break true;
            }
            match Pin::new(&mut self.write).poll_write(cx, &self.replies.bytes()[self.sent..may_leave]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    self.sent += written;
                    self.last_active = now.uptime;
                    self.stalled_for = None;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break false,
            }
        };
        if is_taken {
            self.stalled_for = None;
        } else {
            // What may leave and could not: it is past its wait.
            self.holds.push_front((may_leave, 0));
            self.stalled_for.get_or_insert_default();
        }
        self.forget_sent();
        if self.full && self.unsent_bytes() < HIGH_WATER_BYTES {
            self.full = false;
            if let Some(reader) = &self.reader {
                reader.wake_by_ref();
            }
        }
        if is_taken { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Frees the front of the buffer, when it is all of it or much.
    fn forget_sent(&mut self) {
        if self.is_sent() || self.sent > KEPT_BUFFER_BYTES {
            self.replies.consume(self.sent);
            for (end, _) in &mut self.holds {
                *end -= self.sent;
            }
            self.sent = 0;
        }
    }
}
