//! Who subscribes to what: messages go to whoever is there, and are not kept.
//!
//! Publishing is fire and forget; a subscriber that was away has missed what was said. A log keeps it (DDIA ch. 11,
//! "Messaging Systems").

use std::collections::{BTreeMap, BTreeSet};

use common::resp::server::ConnId;

use super::glob;

/// What a subscription names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// One channel.
    Channel,
    /// All channels whose names match a pattern.
    Pattern,
}

/// The subscriptions of all connections.
///
/// **Invariant**: no channel and no pattern is listed without a subscriber.
#[derive(Debug, Default)]
pub struct PubSub {
    channels: Subscribers,
    patterns: Subscribers,
}

type Subscribers = BTreeMap<Box<[u8]>, BTreeSet<ConnId>>;

/// One message to one subscriber.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// To whom.
    pub to: ConnId,
    /// By which pattern, if it is not the channel itself that is subscribed to.
    pub pattern: Option<&'a [u8]>,
}

impl PubSub {
    /// Adds a subscription.
    pub fn subscribe(&mut self, conn: ConnId, subject: Subject, name: &[u8]) {
        self.table(subject).entry(name.into()).or_default().insert(conn);
    }

    /// Takes one back.
    pub fn unsubscribe(&mut self, conn: ConnId, subject: Subject, name: &[u8]) {
        let table = self.table(subject);
        if let Some(conns) = table.get_mut(name) {
            conns.remove(&conn);
            if conns.is_empty() {
                table.remove(name);
            }
        }
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

    fn table(&mut self, subject: Subject) -> &mut Subscribers {
        match subject {
            Subject::Channel => &mut self.channels,
            Subject::Pattern => &mut self.patterns,
        }
    }
}
