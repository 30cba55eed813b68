//! Who waits for a key, and who watches one: clients blocked in a `BLPOP`, and transactions.

use common::resp::Replies;
use common::resp::server::{ConnId, Effect, Now};

use super::{Executing, Kv};
use crate::protocol::context::{Attempt, Command, Handler};
use crate::protocol::session::{ReplyMode, Waiting};
use crate::protocol::waiting::DbKey;
use crate::values::Kind;

impl Kv {
    /// Serves whoever watches or waits for what has changed.
    pub(super) fn follow_up(&mut self, now: Now) {
        // Within a transaction nobody may see the middle of it.
        if self.executing != Executing::Single {
            return;
        }
        while let Some(db) = self.dbs.iter().position(|db| db.watches.has_changed()) {
            for key in self.dbs[db].watches.take_changed() {
                for conn in self.watchers.of(&(db, key)) {
                    self.sessions[conn.slot].watch_broken = true;
                }
            }
            // In the order in which there was something to take, whatever order the clients named their keys in. What they
            // move to other keys comes after all of these.
            for key in self.dbs[db].watches.take_arrived() {
                self.serve(now, &(db, key));
            }
        }
    }

    /// Serves those who wait for a key, from the front of their queue, until there is nothing left to take.
    fn serve(&mut self, now: Now, key: &DbKey) {
        let mut last = None;
        while let Some(kind) = self.dbs[key.0].kind(&key.1) {
            let Some((ticket, conn)) = self.waiters.next(key, last) else { return };
            // To run a request takes as long as it names keys, and whoever waits for another kind of value waits on.
            if self.session(conn).waiting.as_ref().is_some_and(|waiting| takes_from(waiting.command, kind)) {
                self.retry(now, conn, &key.1);
            }
            last = Some(ticket);
        }
    }

    /// Runs a waiting request again, on the key that has come.
    fn retry(&mut self, now: Now, conn: ConnId, key: &[u8]) {
        let session = self.session(conn);
        let Some(waiting) = session.waiting.take() else { return };
        let mut replies = Replies::new(session.protocol);
        let Handler::Data(handler) = waiting.command.handler else { unreachable!("only commands on data wait") };
        let (request, attempt) = (waiting.request.as_request(), Attempt::Woken(key));
        let result = self.execute_data(now, waiting.db, waiting.command, handler, &request, &mut replies, attempt);
        match result {
            Ok(Some(_)) => self.session(conn).waiting = Some(waiting),
            Ok(None) => self.end_wait(conn, &waiting, replies.take()),
            Err(error) => {
                self.reply_error(&mut replies, &error);
                self.end_wait(conn, &waiting, replies.take());
            }
        }
    }

    pub(super) fn begin_wait(&mut self, now: Now, conn: ConnId, waiting: Waiting) {
        // A client that waits for data has changed nothing: what it waited for, it did not see.
        for key in &waiting.block.keys {
            if self.waiters.add((waiting.db, key.clone()), conn) {
                self.dbs[waiting.db].watches.add(key);
            }
        }
        self.stats.blocked_clients += 1;
        let session = self.session(conn);
        session.last_request = now.uptime;
        session.waiting = Some(waiting);
    }

    fn end_wait(&mut self, conn: ConnId, waiting: &Waiting, reply: Vec<u8>) {
        self.forget_wait(conn, waiting);
        if self.session(conn).reply_mode == ReplyMode::On {
            self.effects.push_back(Effect::Send(conn, reply));
        }
        self.effects.push_back(Effect::Resume(conn));
    }

    pub(super) fn forget_wait(&mut self, conn: ConnId, waiting: &Waiting) {
        for key in &waiting.block.keys {
            if self.waiters.remove(&(waiting.db, key.clone()), conn) {
                self.dbs[waiting.db].watches.remove(key);
            }
        }
        self.stats.blocked_clients -= 1;
    }

    /// Answers the requests whose time is up.
    pub(super) fn end_waits(&mut self, now: Now) {
        let over: Vec<ConnId> = self
            .sessions
            .iter()
            .filter(|(_, session)| {
                session.waiting.as_ref().and_then(|waiting| waiting.deadline).is_some_and(|at| at <= now.uptime)
            })
            .map(|(_, session)| session.conn)
            .collect();
        for conn in over {
            self.unblock(conn, None);
        }
    }

    /// Ends a wait with what the timeout answers, or with an error; false when the connection does not wait.
    pub(in crate::protocol) fn unblock(&mut self, conn: ConnId, error: Option<&str>) -> bool {
        let Some(session) = self.find_session(conn) else { return false };
        let Some(waiting) = session.waiting.take() else { return false };
        let mut replies = Replies::new(session.protocol);
        match error {
            Some(error) => replies.error(error),
            None => replies.null_array(),
        }
        self.end_wait(conn, &waiting, replies.take());
        true
    }

    /// Watches a key for a connection's transaction.
    pub(in crate::protocol) fn watch(&mut self, conn: ConnId, key: &[u8]) {
        let session = self.session(conn);
        let key = (session.db, key.into());
        if session.watched.insert(key.clone()) {
            self.dbs[key.0].watches.add(&key.1);
            self.watchers.add(key, conn);
        }
    }

    /// Watches nothing any more.
    pub(in crate::protocol) fn unwatch_all(&mut self, conn: ConnId) {
        let session = self.session(conn);
        session.watch_broken = false;
        for key in std::mem::take(&mut session.watched) {
            self.dbs[key.0].watches.remove(&key.1);
            self.watchers.remove(&key, conn);
        }
    }
}

/// Whether a command that waits takes from values of this kind: its family says so.
fn takes_from(command: &Command, kind: Kind) -> bool {
    match command.group {
        "list" => kind == Kind::List,
        "sorted-set" => kind == Kind::ZSet,
        _ => true,
    }
}
