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
use crate::storage::format::GROUP_MAX_BYTES;
use crate::storage::journal::why_refused;

/// Words that say that this is a browser that was sent here by a page, and no client.
const HTTP_WORDS: [&str; 2] = ["post", "host:"];

/// How many bytes may be recorded and not written before commands that write are refused: half of what a group of the log can
/// hold, so that what one command adds still fits.
const MAX_BUFFERED_BYTES: usize = GROUP_MAX_BYTES / 2;

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
        let error = if request.is(0, "exec") {
            commands::transactions::discard_all(self, conn);
            // The general code word is left out; one that says more is not.
            let reason = error.bytes();
            let reason = reason.strip_prefix(b"ERR ").unwrap_or(&reason);
            CommandError::quoting("EXECABORT Transaction discarded because of: ", reason, "")
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
        session.last_subcommand = commands::subcommand(command, request).map(|subcommand| subcommand.name);
        session.last_request = now.uptime;
        if self.stats.monitors > 0 {
            self.show_to_monitors(now, conn, command, request);
        }
        let queues = self.sessions[conn.slot].transaction.is_some()
            && !matches!(command.name, "exec" | "discard" | "multi" | "watch" | "quit" | "reset");
        let flags = self.flags_of(conn, command);
        // A queue takes memory whatever is queued, also what only reads.
        let takes = if queues { flags.and(Flags::DENYOOM) } else { flags };
        if let Err(error) = self.check_disk(flags).and_then(|()| self.make_room(now, takes)) {
            return self.refuse(conn, request, replies, error);
        }
        let session = &mut self.sessions[conn.slot];
        if let Some(transaction) = &mut session.transaction
            && queues
        {
            let max_bytes = self.config.max_request_bytes;
            if let Err(error) = transaction.queue(command, request, max_bytes) {
                return self.refuse(conn, request, replies, error);
            }
            replies.simple("QUEUED");
            return Flow::Continue;
        }
        self.execute(now, conn, command, request, replies)
    }

    /// What kind of command it is; `EXEC` is of all the kinds that its transaction holds, and so accepted or refused as one.
    fn flags_of(&self, conn: ConnId, command: &Command) -> Flags {
        self.queued(conn, command).fold(command.flags, |flags, queued| flags.and(queued.flags))
    }

    /// The commands that `command` executes if it is `EXEC`.
    fn queued(&self, conn: ConnId, command: &Command) -> impl Iterator<Item = &'static Command> {
        let transaction = self.sessions[conn.slot].transaction.as_ref().filter(|_| command.name == "exec");
        transaction.into_iter().flat_map(|transaction| &transaction.queued).map(|(queued, _)| *queued)
    }

    /// Whether the disk is fit for a command that writes.
    pub(super) fn check_disk(&self, flags: Flags) -> Result<(), CommandError> {
        let Some(journal) = self.journal.as_ref().filter(|_| flags.has(Flags::WRITE)) else { return Ok(()) };
        let why = match journal.refused() {
            Some(reason) => why_refused(reason),
            None if journal.buffered_bytes() > MAX_BUFFERED_BYTES => "the disk does not keep up",
            None => return Ok(()),
        };
        Err(CommandError::Other(format!("MISCONF Errors writing to the AOF file: {why}").into()))
    }

    /// Whether what a command on data would show can still become durable: after a failed sync nothing can, and what had been
    /// executed by then and was not durable must not be seen.
    pub(super) fn check_durability(&self, command: &'static Command) -> Result<&'static Command, CommandError> {
        let Some(journal) = &self.journal else { return Ok(command) };
        if is_about_data(command) && journal.fate(journal.read_waits_for()) == Fate::Never {
            let reason = why_refused(Reason::SyncFailed);
            return Err(CommandError::Other(format!("MISCONF Errors writing to the AOF file: {reason}").into()));
        }
        Ok(command)
    }

    /// Whether `CLIENT PAUSE` holds this command back.
    pub(super) fn is_paused(&self, now: Now, conn: ConnId, command: &Command) -> bool {
        let Some((until, writes_only)) = self.paused else { return false };
        // Publishing counts as writing: replicas would hear of it.
        let publishes = command.name == "publish" || self.queued(conn, command).any(|queued| queued.name == "publish");
        now.uptime < until
            && !matches!(command.name, "client" | "hello")
            && (!writes_only || publishes || self.flags_of(conn, command).has(Flags::WRITE))
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

/// Whether a command shows data or changes it: its reply then waits for what it has seen.
pub(super) fn is_about_data(command: &Command) -> bool {
    matches!(command.handler, Handler::Data(_))
        || command.flags.has(Flags::READONLY)
        || command.flags.has(Flags::WRITE)
        || command.name == "exec"
}

/// The error for a command that is not in the table, with the beginning of its arguments, as Redis words it.
fn unknown_command(request: &Request<'_>) -> CommandError {
    let mut text = b"', with args beginning with: ".to_vec();
    let args_at = text.len();
    for arg in request.args(1) {
        let shown = text.len() - args_at;
        if shown >= 128 {
            break;
        }
        text.push(b'\'');
        text.extend_from_slice(&arg[..arg.len().min(128 - shown)]);
        text.extend_from_slice(b"' ");
    }
    let name = request.name();
    text.splice(..0, name[..name.len().min(128)].iter().copied());
    CommandError::quoting("ERR unknown command '", &text, "")
}
