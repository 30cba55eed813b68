//! Whether a request is executed: does the command exist, may this client, is there a disk; and when: at once, with its
//! transaction, or when a pause is over.

use common::resp::server::{ConnId, Effect, Flow, Now, Service};
use common::resp::table::Flags;
use common::resp::{Protocol, Replies, Request};

use super::Kv;
use crate::engine::durability::{Fate, Reason};
use crate::protocol::commands;
use crate::protocol::context::{Command, Handler};
use crate::protocol::error::CommandError;
use crate::storage::journal::{Journal, why_refused};

/// Words that say that this is a browser that was sent here by a page, and no client.
const HTTP_WORDS: [&str; 2] = ["post", "host:"];

impl Kv {
    /// Whether this client may have this request executed, now.
    pub(super) fn admit(&mut self, conn: ConnId, request: &Request<'_>) -> Result<&'static Command, CommandError> {
        let Some(command) = self.table.find(request.name()) else { return Err(unknown_command(request)) };
        if !command.takes(request.len()) {
            return Err(CommandError::arity(command.name));
        }
        if !command.subcommands.is_empty() && request.len() > 1 && commands::subcommand(command, request).is_none() {
            return Err(commands::subcommand_error(command, request));
        }
        let session = &mut self.sessions[conn.slot];
        if !session.authenticated && !command.flags.has(Flags::NO_AUTH) {
            return Err(CommandError::text("NOAUTH Authentication required."));
        }
        if session.transaction.is_some() && command.flags.has(Flags::NO_MULTI) {
            return Err(CommandError::text("ERR Command not allowed inside a transaction"));
        }
        if session.subscriptions() > 0 && session.protocol == Protocol::Resp2 {
            let allowed = ["ping", "subscribe", "unsubscribe", "psubscribe", "punsubscribe", "quit", "reset"];
            if !allowed.contains(&command.name) {
                let name = command.name;
                return Err(CommandError::Other(
                    format!(
                        "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
                         allowed in this context"
                    )
                    .into(),
                ));
            }
        }
        Ok(command)
    }

    /// Answers a request that is not admitted. A transaction that it was to be part of will not be executed.
    pub(super) fn refuse(
        &mut self,
        conn: ConnId,
        request: &Request<'_>,
        replies: &mut Replies,
        error: CommandError,
    ) -> Flow {
        if let Some(transaction) = &mut self.session(conn).transaction {
            transaction.broken = true;
        }
        if HTTP_WORDS.iter().any(|word| request.is(0, word)) {
            tracing::warn!("closed: a request of HTTP came to the port of RESP");
            self.effects.push_back(Effect::Kill(conn));
            return Flow::Close;
        }
        let error = if request.is(0, "exec") && self.session(conn).transaction.is_some() {
            commands::transactions::discard_all(self, conn);
            CommandError::Other(format!("EXECABORT Transaction discarded because of: {error}").into())
        } else {
            error
        };
        self.reply_error(replies, &error);
        Flow::Continue
    }

    /// Executes a request that was admitted, or queues it for its transaction.
    pub(super) fn call_admitted(
        &mut self,
        now: Now,
        conn: ConnId,
        command: &'static Command,
        request: &Request<'_>,
        replies: &mut Replies,
    ) -> Flow {
        let session = &mut self.sessions[conn.slot];
        session.last_command = command.name;
        session.last_request = now.uptime;
        if self.stats.monitors > 0 {
            self.show_to_monitors(now, conn, command, request);
        }
        let refused = self.make_room(now, command).and_then(|()| self.check_disk(command));
        let session = &mut self.sessions[conn.slot];
        let refused = match (&mut session.transaction, refused) {
            (Some(transaction), Err(error)) => {
                transaction.broken = true;
                Err(error)
            }
            (_, other) => other,
        };
        if let Err(error) = refused {
            self.reply_error(replies, &error);
            return Flow::Continue;
        }
        if let Some(transaction) = &mut session.transaction
            && !matches!(command.name, "exec" | "discard" | "multi" | "watch" | "quit" | "reset")
        {
            transaction.queued.push((command, request.to_owned()));
            replies.simple("QUEUED");
            return Flow::Continue;
        }
        self.execute(now, conn, command, request, replies)
    }

    /// Whether the disk is fit for a command that writes.
    pub(super) fn check_disk(&self, command: &Command) -> Result<(), CommandError> {
        if !command.flags.has(Flags::WRITE) {
            return Ok(());
        }
        match self.journal.as_ref().and_then(Journal::refused) {
            None => Ok(()),
            Some(reason) => Err(CommandError::Other(
                format!("MISCONF Errors writing to the AOF file: {}", why_refused(reason)).into(),
            )),
        }
    }

    /// Whether what a command on data would show can still become durable: after a failed sync nothing can, and what had been
    /// executed by then and was not durable must not be seen.
    pub(super) fn check_durability(&self, command: &'static Command) -> Result<&'static Command, CommandError> {
        let Some(journal) = &self.journal else { return Ok(command) };
        let is_data = matches!(command.handler, Handler::Data(_))
            || command.flags.has(Flags::READONLY)
            || command.flags.has(Flags::WRITE)
            || command.name == "exec";
        if is_data && journal.fate(journal.read_waits_for()) == Fate::Never {
            let reason = why_refused(Reason::SyncFailed);
            return Err(CommandError::Other(format!("MISCONF Errors writing to the AOF file: {reason}").into()));
        }
        Ok(command)
    }

    /// Whether `CLIENT PAUSE` holds this command back.
    pub(super) fn is_paused(&self, now: Now, command: &Command) -> bool {
        self.paused.is_some_and(|(until, writes_only)| {
            now.uptime < until
                && !matches!(command.name, "client" | "hello")
                && (!writes_only || command.flags.has(Flags::WRITE) || matches!(command.name, "exec" | "publish"))
        })
    }

    /// Executes the requests that were held back, and reads their connections on.
    pub(in crate::protocol) fn unpause(&mut self, now: Now) {
        self.paused = None;
        for (conn, request) in std::mem::take(&mut self.held_back) {
            let Some(session) = self.find_session(conn) else { continue };
            let mut replies = Replies::new(session.protocol);
            let flow = self.call(now, conn, &request.as_request(), &mut replies);
            self.effects.push_back(Effect::Send(conn, replies.take()));
            match flow {
                Flow::Continue => self.effects.push_back(Effect::Resume(conn)),
                Flow::Block => {}
                Flow::Close => self.effects.push_back(Effect::Close(conn)),
            }
        }
    }
}

/// The error for a command that is not in the table, with the beginning of its arguments, as Redis words it.
fn unknown_command(request: &Request<'_>) -> CommandError {
    let mut args = String::new();
    for arg in request.args(1) {
        if args.len() >= 128 {
            break;
        }
        let room = 128 - args.len();
        args.push_str(&format!("'{}' ", String::from_utf8_lossy(&arg[..arg.len().min(room)])));
    }
    let name = request.name();
    let name = String::from_utf8_lossy(&name[..name.len().min(128)]);
    CommandError::Other(format!("ERR unknown command '{name}', with args beginning with: {args}").into())
}
