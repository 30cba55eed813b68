//! Who waits for which key: connections blocked in a `BLPOP`, and transactions that watch.

use std::collections::{BTreeMap, VecDeque};

use common::resp::server::ConnId;

/// A key in a database.
pub type DbKey = (usize, Box<[u8]>);

/// Connections by the key that concerns them, in the order in which they came.
///
/// **Invariant**: no key is listed without a connection, and no connection twice under one key.
#[derive(Debug, Default)]
pub struct ByKey {
    conns: BTreeMap<DbKey, VecDeque<ConnId>>,
}

impl ByKey {
    /// Adds a connection at the end of the key's queue; false when it is there already.
    pub fn add(&mut self, key: DbKey, conn: ConnId) -> bool {
        let queue = self.conns.entry(key).or_default();
        let new = !queue.contains(&conn);
        if new {
            queue.push_back(conn);
        }
        new
    }

    /// Takes a connection out; false when it was not there.
    pub fn remove(&mut self, key: &DbKey, conn: ConnId) -> bool {
        let Some(queue) = self.conns.get_mut(key) else { return false };
        let before = queue.len();
        queue.retain(|other| *other != conn);
        let removed = queue.len() < before;
        if queue.is_empty() {
            self.conns.remove(key);
        }
        removed
    }

    /// The connections under a key, the one that came first at the front.
    pub fn of(&self, key: &DbKey) -> Vec<ConnId> {
        self.conns.get(key).into_iter().flatten().copied().collect()
    }

    /// Whether there are none at all.
    pub fn is_empty(&self) -> bool {
        self.conns.is_empty()
    }
}
