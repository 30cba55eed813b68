//! What the tasks of one server share: the service, the connections, and the order in which their bytes leave.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;
use tokio::io::AsyncWrite;
use tokio::sync::Notify;

use super::alarm::Alarm;
use super::connection::{Connection, HIGH_WATER_BYTES};
use super::{Clock, ConnId, Effect, Flow, Now, Question, Service};
use crate::net::{Limits, Peer};
use crate::resp::{ProtocolError, Request};

/// How often connections are looked through for idle ones, and for those that take nothing.
const IDLE_SCAN: Duration = Duration::from_secs(1);

/// How many bytes are read from a socket at once.
pub(super) const READ_BYTES: usize = 64 << 10;

/// The shared state. Tasks borrow it for a batch at a time, and never across an `await`.
#[derive(Debug)]
pub(super) struct Hub<W, S> {
    state: RefCell<State<W, S>>,
    clock: Clock,
    wake: Arc<Notify>,
    shutdown: Notify,
    /// Notified when a task of the server has panicked.
    broken: Rc<Notify>,
    stopped: Cell<bool>,
    /// Where sockets are read into. One buffer serves all connections: an idle one then holds none.
    pub(super) scratch: RefCell<Box<[u8]>>,
}

#[derive(Debug)]
struct State<W, S> {
    service: S,
    connections: Slab<Connection<W>>,
    last_serial: u64,
    /// Connections with replies that have not been offered to their sockets.
    unsent: Vec<ConnId>,
    /// Scratch for `unsent` while it is worked through.
    working: Vec<ConnId>,
    last_idle_scan: Duration,
}

/// Executes one request; false when the connection goes no further for now.
type Run<'a> = &'a mut dyn FnMut(&Request<'_>) -> bool;

/// What a reader does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Decodes the next request.
    On,
    /// Waits to be resumed; what arrives meanwhile is kept.
    Blocked,
    /// Waits until its replies have been taken; what arrives meanwhile is kept.
    Full,
    /// Waits until its replies have left; what arrives meanwhile is dropped.
    Closing,
    /// Ends.
    Over,
}

impl<W: AsyncWrite + Unpin + 'static, S: Service> Hub<W, S> {
    pub(super) fn new(service: S, clock: Clock, wake: Arc<Notify>) -> Self {
        Self {
            state: RefCell::new(State {
                service,
                connections: Slab::new(),
                last_serial: 0,
                unsent: Vec::new(),
                working: Vec::new(),
                last_idle_scan: Duration::ZERO,
            }),
            clock,
            wake,
            shutdown: Notify::new(),
            broken: Rc::new(Notify::new()),
            stopped: Cell::new(false),
            scratch: RefCell::new(vec![0; READ_BYTES].into()),
        }
    }

    pub(super) fn into_service(self) -> S {
        self.state.into_inner().service
    }

    pub(super) fn limits(&self) -> Limits {
        self.state.borrow().service.limits()
    }

    /// Whether one more connection is served, beside `taken`.
    pub(super) fn admits(&self, taken: usize) -> bool {
        let service = &mut self.state.borrow_mut().service;
        let admitted = taken < service.limits().max_connections;
        if !admitted {
            service.refused();
        }
        admitted
    }

    /// Counts what has been read from a connection.
    pub(super) fn received(&self, bytes: usize) {
        self.state.borrow_mut().service.received(bytes);
    }

    pub(super) fn request_limits(&self, id: ConnId) -> crate::resp::Limits {
        self.state.borrow().service.request_limits(id)
    }

    pub(super) async fn shutdown_requested(&self) {
        self.shutdown.notified().await;
    }

    pub(super) fn connect(&self, write: W, peer: Peer) -> ConnId {
        let now = self.clock.now();
        let state = &mut *self.state.borrow_mut();
        state.last_serial += 1;
        let serial = state.last_serial;
        let mut connection = Connection::new(serial, write, now);
        connection.closing = self.stopped.get();
        let slot = state.connections.insert(connection);
        let id = ConnId { slot, serial };
        state.service.connected(now, id, peer);
        if self.stopped.get() {
            // It was accepted before the server ended: it goes as the others do.
            state.queue(id);
            self.wake.notify_one();
        }
        id
    }

    /// Takes a connection out; its reader ends when it looks next.
    pub(super) fn disconnect(&self, id: ConnId) {
        self.state.borrow_mut().disconnect(id, self.clock.now());
    }

    /// Ends a connection whose client sends no more: at once, or when the replies that wait have left.
    pub(super) fn end_of_input(&self, id: ConnId) {
        let state = &mut *self.state.borrow_mut();
        let finished = state.get(id).is_none_or(|connection| connection.blocked || connection.is_sent());
        if finished {
            state.disconnect(id, self.clock.now());
        } else if let Some(connection) = state.get(id) {
            connection.closing = true;
        }
    }

    /// Whether the reader of `id` goes on; where it does not, `waker` is woken when that changes.
    pub(super) fn reading(&self, id: ConnId, waker: &Waker) -> Reading {
        let state = &mut *self.state.borrow_mut();
        let Some(connection) = state.get(id) else { return Reading::Over };
        if connection.reader.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            connection.reader = Some(waker.clone());
        }
        match connection {
            Connection { closing: true, .. } => Reading::Closing,
            Connection { blocked: true, .. } => Reading::Blocked,
            Connection { full: true, .. } => Reading::Full,
            _ => Reading::On,
        }
    }

    /// Notes that `bytes` of requests of `id` are kept.
    pub(super) fn keeps(&self, id: ConnId, bytes: usize) {
        let state = &mut *self.state.borrow_mut();
        if let Some(connection) = state.get(id) {
            connection.kept_bytes = bytes;
            state.tell(id);
        }
    }

    /// Whether `id` leaves more unread than it may: its replies, and `waiting` bytes of requests that wait for them to be read.
    pub(super) fn reads_too_little(&self, id: ConnId, waiting: usize) -> bool {
        let state = &mut *self.state.borrow_mut();
        let unsent = state.get(id).map_or(0, |connection| connection.unsent_bytes());
        let too_much = unsent + waiting > state.service.max_unsent_bytes(id);
        if too_much {
            tracing::warn!(connection = id.serial, unsent, waiting, "closed: it does not read its replies");
        }
        too_much
    }

    /// Executes the requests that `next` yields, until there are no more, or the connection blocks or ends.
    pub(super) fn execute(&self, id: ConnId, next: &mut dyn FnMut(Run<'_>) -> Result<(), ProtocolError>) -> Reading {
        let mut now = self.clock.now();
        let began = now;
        let state = &mut *self.state.borrow_mut();
        state.service.batch_began();
        let max_bytes = state.service.max_unsent_bytes(id);
        if let Some(connection) = state.get(id) {
            connection.replies.set_max_bytes(max_bytes);
        }
        let mut reading = Reading::On;
        let broken = next(&mut |request| {
            reading = state.execute_one(now, id, request, &self.clock, &self.shutdown);
            // What comes next happens later, by the clock on the wall too: a command may have taken long.
            now = began.later(self.clock.uptime());
            reading == Reading::On
        });
        if let Err(protocol_error) = broken {
            if let Some(connection) = state.get(id) {
                connection.replies.protocol_error(&protocol_error);
                connection.closing = true;
            }
            reading = Reading::Blocked;
        }
        let position = state.service.position();
        if let Some(connection) = state.get(id) {
            connection.last_active = now.uptime;
            connection.hold(position);
            if !connection.is_sent() || connection.closing {
                state.queue(id);
            }
        } else {
            reading = Reading::Over;
        }
        self.wake.notify_one();
        reading
    }

    pub(super) fn tick(&self) {
        let now = self.clock.now();
        let state = &mut *self.state.borrow_mut();
        state.service.tick(now);
        state.apply_effects(now, &self.shutdown);
        let passed = now.uptime.saturating_sub(state.last_idle_scan);
        if passed >= IDLE_SCAN {
            state.last_idle_scan = now.uptime;
            state.close_idle(now);
            state.close_stalled(now, passed);
        }
        self.wake.notify_one();
    }

    /// What a task holds so that its panic ends the server.
    pub(super) fn alarm(&self) -> Alarm {
        Alarm::new(&self.broken)
    }

    /// Returns when a task has panicked.
    pub(super) async fn broken(&self) {
        self.broken.notified().await;
    }

    pub(super) fn answer(&self, question: Question<S>) {
        let now = self.clock.now();
        let state = &mut *self.state.borrow_mut();
        question(&mut state.service, now);
        state.apply_effects(now, &self.shutdown);
        self.wake.notify_one();
    }

    /// Reads no more requests; every connection closes when its replies have left.
    pub(super) fn stop(&self) {
        let now = self.clock.now();
        self.stopped.set(true);
        let state = &mut *self.state.borrow_mut();
        state.service.stopping(now);
        state.apply_effects(now, &self.shutdown);
        for id in state.ids() {
            if let Some(connection) = state.get(id) {
                connection.closing = true;
            }
            state.queue(id);
        }
        self.wake.notify_one();
    }

    pub(super) fn kill_all(&self) {
        let now = self.clock.now();
        let state = &mut *self.state.borrow_mut();
        for id in state.ids() {
            state.disconnect(id, now);
        }
    }

    /// Commits the batch, then offers the replies that may leave to their sockets.
    fn flush(self: &Rc<Self>) {
        let now = self.clock.now();
        let state = &mut *self.state.borrow_mut();
        state.service.batch_done(now);
        state.apply_effects(now, &self.shutdown);
        let durable = state.service.durable();
        std::mem::swap(&mut state.unsent, &mut state.working);
        let mut working = std::mem::take(&mut state.working);
        for id in working.drain(..) {
            let Some(connection) = state.get(id) else { continue };
            connection.queued = false;
            if connection.draining {
                state.tell(id);
                continue;
            }
            let before = connection.unsent_bytes();
            let sent = connection.send(now, durable, &mut Context::from_waker(Waker::noop()));
            let (is_sent, closing) = (connection.is_sent(), connection.closing);
            connection.draining = sent.is_pending();
            let taken = before - connection.unsent_bytes();
            state.service.sent(taken);
            match sent {
                Poll::Ready(Ok(())) if is_sent => {
                    if closing {
                        state.disconnect(id, now);
                    }
                }
                // What is left waits for a position.
                Poll::Ready(Ok(())) => state.queue(id),
                Poll::Ready(Err(_)) => state.disconnect(id, now),
                Poll::Pending => drop(tokio::task::spawn_local(Rc::clone(self).drain(id))),
            }
            state.tell(id);
        }
        state.working = working;
    }

    /// Waits until the socket of `id` has taken what may leave.
    async fn drain(self: Rc<Self>, id: ConnId) {
        let _alarm = self.alarm();
        std::future::poll_fn(|cx| {
            let state = &mut *self.state.borrow_mut();
            let durable = state.service.durable();
            let Some(connection) = state.get(id) else { return Poll::Ready(()) };
            let before = connection.unsent_bytes();
            let sent = connection.send(self.clock.now(), durable, cx);
            if sent.is_pending() {
                connection.drainer = Some(cx.waker().clone());
            }
            connection.draining = sent.is_pending();
            let taken = before - connection.unsent_bytes();
            state.service.sent(taken);
            state.tell(id);
            match std::task::ready!(sent) {
                Ok(()) => state.queue(id),
                Err(_) => state.disconnect(id, self.clock.now()),
            }
            Poll::Ready(())
        })
        .await;
        self.wake.notify_one();
    }
}

/// Runs [`Hub::flush`] whenever something has been executed or made durable.
pub(super) async fn flush_when_woken<W: AsyncWrite + Unpin + 'static, S: Service>(hub: Rc<Hub<W, S>>) {
    let _alarm = hub.alarm();
    loop {
        hub.wake.notified().await;
        hub.flush();
    }
}

impl<W: AsyncWrite + Unpin, S: Service> State<W, S> {
    fn get(&mut self, id: ConnId) -> Option<&mut Connection<W>> {
        self.connections.get_mut(id.slot).filter(|connection| connection.serial == id.serial)
    }

    fn ids(&self) -> Vec<ConnId> {
        self.connections.iter().map(|(slot, connection)| ConnId { slot, serial: connection.serial }).collect()
    }

    fn queue(&mut self, id: ConnId) {
        if let Some(connection) = self.get(id)
            && !connection.queued
        {
            connection.queued = true;
            self.unsent.push(id);
        }
    }

    fn disconnect(&mut self, id: ConnId, now: Now) {
        if self.get(id).is_none() {
            return;
        }
        let connection = self.connections.remove(id.slot);
        for waiting in [connection.reader, connection.drainer].into_iter().flatten() {
            waiting.wake();
        }
        self.service.disconnected(now, id);
    }

    fn execute_one(
        &mut self,
        now: Now,
        id: ConnId,
        request: &Request<'_>,
        clock: &Clock,
        shutdown: &Notify,
    ) -> Reading {
        let connection = &mut self.connections[id.slot];
        let flow = self.service.call(now, id, request, &mut connection.replies);
        match flow {
            Flow::Continue => {}
            Flow::Block => connection.blocked = true,
            Flow::Close => connection.closing = true,
        }
        let overflowed = connection.replies.overflowed();
        connection.full |= connection.unsent_bytes() >= HIGH_WATER_BYTES;
        self.service.took(now, id, request, clock.uptime().saturating_sub(now.uptime));
        if !self.service.effects().is_empty() {
            self.apply_effects(now, shutdown);
        }
        if overflowed {
            tracing::warn!(connection = id.serial, "closed: its replies are larger than may wait for it");
            self.disconnect(id, now);
        }
        match self.get(id) {
            None => Reading::Over,
            Some(connection) if connection.blocked || connection.closing => Reading::Blocked,
            Some(connection) if connection.full => Reading::Full,
            Some(_) => Reading::On,
        }
    }

    fn apply_effects(&mut self, now: Now, shutdown: &Notify) {
        while let Some(effect) = self.service.effects().pop_front() {
            match effect {
                Effect::Send(id, bytes) => self.send_to(id, &bytes, now),
                Effect::Resume(id) => {
                    if let Some(connection) = self.get(id) {
                        connection.blocked = false;
                        if let Some(reader) = &connection.reader {
                            reader.wake_by_ref();
                        }
                    }
                }
                Effect::Close(id) => {
                    if let Some(connection) = self.get(id) {
                        connection.closing = true;
                        self.queue(id);
                    }
                }
                Effect::Kill(id) => self.disconnect(id, now),
                Effect::Abandon(position) => {
                    for id in self.ids() {
                        if self.get(id).is_some_and(|connection| connection.waits_beyond(position)) {
                            self.disconnect(id, now);
                        }
                    }
                }
                Effect::Shutdown => shutdown.notify_one(),
            }
        }
    }

    fn send_to(&mut self, id: ConnId, bytes: &[u8], now: Now) {
        let position = self.service.position();
        let limit = self.service.max_unsent_bytes(id);
        let Some(connection) = self.get(id) else { return };
        if connection.unsent_bytes() + bytes.len() > limit {
            tracing::warn!(connection = id.serial, "closed: it does not read what it subscribed to");
            self.disconnect(id, now);
            return;
        }
        connection.replies.raw(bytes);
        connection.hold(position);
        self.queue(id);
    }

    /// Tells the service what `id` holds, if that is not what it was told last.
    fn tell(&mut self, id: ConnId) {
        let Some(connection) = self.get(id) else { return };
        let holding = connection.holding();
        if connection.told != holding {
            connection.told = holding;
            self.service.holds(id, holding);
        }
    }

    /// Closes those whose sockets have taken nothing for too long; `passed` is the time since this was last called.
    fn close_stalled(&mut self, now: Now, passed: Duration) {
        let max_stall = self.service.limits().max_stall;
        // While the server itself stood still, nobody was offered anything.
        let passed = passed.min(2 * IDLE_SCAN);
        for id in self.ids() {
            let Some(connection) = self.get(id) else { continue };
            let (stall, unsent) = (connection.stall(passed), connection.unsent_bytes());
            if stall > max_stall {
                let why = "closed for overcoming of output buffer limits: its socket takes none of its replies";
                tracing::warn!(connection = id.serial, unsent, ?stall, "{why}");
                self.disconnect(id, now);
            }
        }
    }

    fn close_idle(&mut self, now: Now) {
        let Some(timeout) = self.service.limits().idle_timeout else { return };
        for id in self.ids() {
            let idle = self.get(id).is_some_and(|connection| {
                !connection.blocked && now.uptime.saturating_sub(connection.last_active) > timeout
            });
            if idle && !self.service.listens(id) {
                tracing::debug!(connection = id.serial, "closed: idle");
                self.disconnect(id, now);
            }
        }
    }
}
