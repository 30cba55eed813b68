//! Who subscribes to what: messages go to whoever is there, and are not kept.
//!
//! Publishing is fire and forget; a subscriber that was away has missed what was said. A log keeps it (DDIA ch. 11,
//! "Messaging Systems").

use std::collections::{BTreeMap, BTreeSet};

use common::resp::server::ConnId;

use super::commands::glob;

/// The subscriptions of all connections.
///
/// **Invariant**: no channel and no pattern is listed without a subscriber.
#[derive(Debug, Default)]
pub struct PubSub {
    channels: BTreeMap<Box<[u8]>, BTreeSet<ConnId>>,
    patterns: BTreeMap<Box<[u8]>, BTreeSet<ConnId>>,
}

/// One message to one subscriber.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// To whom.
    pub to: ConnId,
    /// By which pattern, if it is not the channel itself that is subscribed to.
    pub pattern: Option<&'a [u8]>,
}

impl PubSub {
    /// Adds a subscription to a channel.
    pub fn subscribe(&mut self, conn: ConnId, channel: &[u8]) {
        self.channels.entry(channel.into()).or_default().insert(conn);
    }

    /// Takes one back.
    pub fn unsubscribe(&mut self, conn: ConnId, channel: &[u8]) {
        leave(&mut self.channels, conn, channel);
    }

    /// Adds a subscription to all channels whose names match a pattern.
    pub fn subscribe_pattern(&mut self, conn: ConnId, pattern: &[u8]) {
        self.patterns.entry(pattern.into()).or_default().insert(conn);
    }

    /// Takes one back.
    pub fn unsubscribe_pattern(&mut self, conn: ConnId, pattern: &[u8]) {
        leave(&mut self.patterns, conn, pattern);
    }

    /// Whom a message in `channel` goes to: a connection once for the channel and once for each pattern that matches.
    pub fn deliveries<'a>(&'a self, channel: &'a [u8]) -> impl Iterator<Item = Delivery<'a>> {
        let direct = self.channels.get(channel).into_iter().flatten().map(|to| Delivery { to: *to, pattern: None });
        let by_pattern = self.patterns.iter().filter(move |(pattern, _)| glob::matches(pattern, channel, false));
        let matched = by_pattern
            .flat_map(|(pattern, conns)| conns.iter().map(move |to| Delivery { to: *to, pattern: Some(&**pattern) }));
        direct.chain(matched)
    }

    /// The channels with subscribers, in order.
    pub fn channels(&self) -> impl Iterator<Item = &[u8]> {
        self.channels.keys().map(|channel| &**channel)
    }

    /// How many connections subscribe to the channel itself.
    pub fn subscribers(&self, channel: &[u8]) -> usize {
        self.channels.get(channel).map_or(0, BTreeSet::len)
    }

    /// How many different patterns are subscribed to.
    pub fn pattern_count(&self) -> usize {
        self.patterns.len()
    }
}

fn leave(table: &mut BTreeMap<Box<[u8]>, BTreeSet<ConnId>>, conn: ConnId, name: &[u8]) {
    if let Some(conns) = table.get_mut(name) {
        conns.remove(&conn);
        if conns.is_empty() {
            table.remove(name);
        }
    }
}
