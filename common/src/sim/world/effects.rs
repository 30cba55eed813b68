//! Carrying out what an engine wants done, as the contract allows and no better.

use rand::RngExt;

use super::super::client::Client;
use super::super::faults::place;
use super::super::network::Fate;
use super::super::node::permute;
use super::super::options::Contract;
use super::{Happening, World};
use crate::disk::Crash;
use crate::engine::{Boot, Effect, Engine, Lsn, NodeId, Storage};

impl<B: Boot, C: Client<B::Engine>> World<B, C> {
    /// Carries out a list of effects, and gives back what is left of it: an empty list.
    ///
    /// Whatever is not ordered is drawn anyway, since each message has its own latency. Only where a crash comes in between,
    /// or a job is begun, does the order of the list matter, and it is another one then.
    pub(super) fn carry_out(&mut self, node: usize, mut list: Vec<Effect<B::Engine>>) -> Vec<Effect<B::Engine>> {
        let begins_a_job = || list.iter().any(|effect| matches!(effect, Effect::Job { .. }));
        if self.machines[node].crash_in_effects.is_some() || begins_a_job() {
            permute(&mut list, &mut self.random);
        }
        for effect in list.drain(..) {
            if self.is_struck(node) {
                break;
            }
            self.perform(node, effect);
        }
        list
    }

    /// Whether the node crashes before its next effect, if it has not crashed already.
    fn is_struck(&mut self, node: usize) -> bool {
        let machine = &mut self.machines[node];
        match &mut machine.crash_in_effects {
            None => machine.process.is_none(),
            Some((0, down_ns)) => {
                let down_ns = *down_ns;
                self.account.crashes_within_effects += 1;
                // The log may be ahead of the list: what was appended may have been written by then.
                if self.random.random()
                    && let Some(process) = &mut machine.process
                    && process.sync.is_none()
                    && process.flushed < process.persisted
                {
                    process.sync = process.storage.flush().ok();
                }
                let how = if self.random.random() { Crash::Random } else { Crash::LoseAll };
                self.crash(node, how, down_ns);
                true
            }
            Some((left, _)) => {
                *left -= 1;
                false
            }
        }
    }

    fn perform(&mut self, node: usize, effect: Effect<B::Engine>) {
        let machine = &mut self.machines[node];
        let Some(process) = &mut machine.process else { return };
        if self.trace.is_on() && !matches!(effect, Effect::SetTimer { .. } | Effect::CancelTimer { .. }) {
            self.trace.add(self.time, format_args!("{}   {effect:?}", machine.id));
        }
        match effect {
            Effect::Persist { record, lsn } => {
                assert_eq!(lsn.0, process.persisted.0 + 1, "positions have no gaps");
                process.storage.append(&record);
                process.persisted = lsn;
                self.account.records += 1;
                self.digest.add(lsn.0);
            }
            Effect::SetTimer { timer, at } => {
                self.digest.add(at.as_nanos());
                let lag_ns = || self.random.random_range(0..=self.lag_ns);
                if let Some(due) = process.timers.set(timer, at, &machine.clock, self.time, lag_ns) {
                    let incarnation = machine.incarnation;
                    self.queue.push(due, Happening::Timer { node, incarnation, timer });
                }
            }
            Effect::CancelTimer { timer } => process.timers.cancel(timer),
            Effect::Mark(mark) => self.marks.add(mark),
            Effect::Send { .. } | Effect::Reply { .. } | Effect::Job { .. } => {
                if waits_for(&effect) > process.durable && self.options.contract == Contract::Kept {
                    self.account.effects_held += 1;
                    process.held.push(effect);
                } else {
                    self.let_go(node, effect);
                }
            }
        }
    }

    /// Does what others can see.
    fn let_go(&mut self, node: usize, effect: Effect<B::Engine>) {
        match effect {
            Effect::Send { to, message, .. } => self.send(node, to, message),
            Effect::Reply { to, reply, .. } => self.reply(node, to, reply),
            Effect::Job { job, .. } => self.begin_job(node, job),
            _ => unreachable!("only these are let go"),
        }
    }

    fn send(&mut self, node: usize, to: NodeId, message: <B::Engine as Engine>::Message) {
        let from = self.machines[node].id;
        assert!(to != from, "{from} sends to itself");
        self.account.messages += 1;
        self.account.message_bytes += B::Engine::message_bytes(&message) as u64;
        self.digest.add(to.0);
        let Some(to) = place(to) else {
            self.account.sent_to_the_dead += 1;
            return;
        };
        match self.links.fate(node, to, self.time, &mut self.random) {
            Fate::Cut => self.account.messages_cut += 1,
            Fate::Lost => self.account.messages_lost += 1,
            Fate::Arrives(at, again) => {
                if let Some(again) = again {
                    self.account.messages_duplicated += 1;
                    let message = message.clone();
                    self.queue.push(again, Happening::Deliver { to, from, message });
                }
                self.queue.push(at, Happening::Deliver { to, from, message });
            }
        }
    }

    /// Lets go what waited for what is durable now.
    pub(super) fn release(&mut self, node: usize) {
        let Some(process) = &mut self.machines[node].process else { return };
        let durable = process.durable;
        if process.held.is_empty() {
            return;
        }
        let mut list = std::mem::take(&mut self.list);
        list.extend(process.held.extract_if(.., |effect| waits_for(effect) <= durable));
        if self.trace.is_on() && !list.is_empty() {
            let (id, count) = (self.machines[node].id, list.len());
            self.trace.add(self.time, format_args!("{id} releases {count} effects: durable to {}", durable.0));
        }
        self.list = self.carry_out(node, list);
    }
}

fn waits_for<E: Engine>(effect: &Effect<E>) -> Lsn {
    match effect {
        Effect::Send { after, .. } | Effect::Reply { after, .. } | Effect::Job { after, .. } => *after,
        Effect::Persist { .. } | Effect::SetTimer { .. } | Effect::CancelTimer { .. } | Effect::Mark(_) => Lsn::NOTHING,
    }
}
