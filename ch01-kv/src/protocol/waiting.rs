//! Who waits for which key: connections blocked in a `BLPOP`, and transactions that watch.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use common::resp::server::ConnId;

/// A key in a database.
pub type DbKey = (usize, Box<[u8]>);

/// A connection's place in the queues that it is in: drawn when it enters the first, given back when it leaves the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Connections by the key that concerns them, in the order in which they came.
///
/// One connection may wait for a great many keys, and a great many for one: whatever is done to one of them takes a number of
/// steps that grows with the logarithm of either.
///
/// **Invariants**: no key is listed without a connection in its queue, nor a connection without a key; what is in `queues` is
/// there under a key's number and the connection's ticket.
#[derive(Debug, Default)]
pub struct ByKey {
    keys: BTreeMap<DbKey, u64>,
    queues: BTreeSet<(u64, Ticket, ConnId)>,
    tickets: BTreeMap<ConnId, (Ticket, usize)>,
    numbers: u64,
}

impl ByKey {
    /// Adds a connection to the key's queue, behind those that came before it; false when it is there already.
    pub fn add(&mut self, key: DbKey, conn: ConnId) -> bool {
        self.numbers += 1;
        let fresh = self.numbers;
        let number = *self.keys.entry(key).or_insert(fresh);
        let (ticket, keys) = self.tickets.entry(conn).or_insert((Ticket(fresh), 0));
        let new = self.queues.insert((number, *ticket, conn));
        *keys += usize::from(new);
        new
    }

    /// Takes a connection out; false when it was not there.
    pub fn remove(&mut self, key: &DbKey, conn: ConnId) -> bool {
        let Some(&number) = self.keys.get(key) else { return false };
        let Entry::Occupied(mut place) = self.tickets.entry(conn) else { return false };
        let (ticket, keys) = place.get_mut();
        if !self.queues.remove(&(number, *ticket, conn)) {
            return false;
        }
        *keys -= 1;
        if *keys == 0 {
            place.remove();
        }
        if self.queue(number, None).next().is_none() {
            self.keys.remove(key);
        }
        true
    }

    /// The connections under a key, the one that came first at the front.
    pub fn of(&self, key: &DbKey) -> impl Iterator<Item = ConnId> {
        self.keys.get(key).into_iter().flat_map(|&number| self.queue(number, None)).map(|(_, conn)| conn)
    }

    /// The next connection in the key's queue behind the one with this ticket; the first of all for `None`.
    pub fn next(&self, key: &DbKey, behind: Option<Ticket>) -> Option<(Ticket, ConnId)> {
        self.queue(*self.keys.get(key)?, behind).next()
    }

    fn queue(&self, number: u64, behind: Option<Ticket>) -> impl Iterator<Item = (Ticket, ConnId)> {
        let from = behind.map_or(0, |Ticket(ticket)| ticket + 1);
        let lowest = ConnId { slot: 0, serial: 0 };
        let from_here = self.queues.range((number, Ticket(from), lowest)..);
        from_here.take_while(move |entry| entry.0 == number).map(|&(_, ticket, conn)| (ticket, conn))
    }
}
