//! What goes between clients and nodes.

use super::super::client::{Client, ClientEvent};
use super::super::faults::place;
use super::super::network::{Fate, nanos};
use super::{Happening, World};
use crate::engine::{Boot, Engine, Moment, RequestId};

/// A request.
#[derive(Debug)]
pub(super) struct Asked {
    /// Whose it is.
    pub(super) client: u32,
    /// The node that has got it, and which of its processes: nobody else can answer.
    pub(super) by: Option<(usize, u32)>,
}

impl<B: Boot, C: Client<B::Engine>> World<B, C> {
    pub(super) fn tell_client(&mut self, client: usize, event: ClientEvent<B::Engine>) {
        self.digest.add(1 << 32 | client as u64);
        match &event {
            ClientEvent::Start => {}
            ClientEvent::Reply { id, from, reply } => self.digest.add_all(&(id, from, reply)),
            ClientEvent::Timer(timer) => self.digest.add(*timer),
        }
        if self.trace.is_on() {
            self.trace.add(self.time, format_args!("client {client} {event:?}"));
        }
        self.client_effects.next_request = self.requests.len() as u64;
        self.clients[client].handle(Moment::from_nanos(self.time), event, &mut self.client_effects);
        let whose = u32::try_from(client).expect("there are fewer clients");
        for (to, id, request) in self.client_effects.requests.drain(..) {
            self.requests.push(Asked { client: whose, by: None });
            self.account.requests += 1;
            if self.trace.is_on() {
                self.trace.add(self.time, format_args!("client {client} sends {id} to {to}: {request:?}"));
            }
            let Some(to) = place(to) else {
                self.account.sent_to_the_dead += 1;
                continue;
            };
            match self.links.client_fate(self.time, &mut self.random) {
                Fate::Arrives(at, _) => self.queue.push(at, Happening::Request { to, id, request }),
                Fate::Lost | Fate::Cut => self.account.client_messages_lost += 1,
            }
        }
        for (timer, wait) in self.client_effects.timers.drain(..) {
            self.queue.push(self.time.saturating_add(nanos(wait)), Happening::ClientTimer { client, timer });
        }
    }

    /// Sends an answer on its way.
    pub(super) fn reply(&mut self, node: usize, id: RequestId, reply: <B::Engine as Engine>::Reply) {
        let machine = &self.machines[node];
        let asked = self.requests.get(id.0 as usize).and_then(|asked| asked.by);
        let was_asked = asked == Some((node, machine.incarnation));
        assert!(was_asked, "{} answers {id}, which nobody has asked it since it started", machine.id);
        let from = machine.id;
        self.account.replies += 1;
        match self.links.client_fate(self.time, &mut self.random) {
            Fate::Arrives(at, _) => self.queue.push(at, Happening::Reply { id, from, reply }),
            Fate::Lost | Fate::Cut => self.account.client_messages_lost += 1,
        }
    }
}
