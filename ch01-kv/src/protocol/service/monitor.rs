//! What others are shown of a request: those who monitor every one, the slow log those that took long; never a password.

use std::time::Duration;

use common::resp::server::{ConnId, Effect, Now};
use common::resp::table::Flags;
use common::resp::{OwnedRequest, Request};

use super::Kv;
use crate::protocol::commands;
use crate::protocol::context::Command;

impl Kv {
    /// Keeps a request that took long in the slow log.
    pub(super) fn log_if_slow(&mut self, now: Now, conn: ConnId, request: &Request<'_>, duration: Duration) {
        let Some(threshold) = self.config.slowlog_threshold else { return };
        if duration < threshold {
            return;
        }
        let Some(session) = self.sessions.get(conn.slot) else { return };
        let command = self.table.find(request.name()).filter(|command| command.takes(request.len()));
        if command.is_some_and(|command| !command.flags.has(Flags::SKIP_SLOWLOG)) {
            let (client, name) = (session.peer.remote.to_string(), session.name.clone());
            let unix_secs = now.unix_ms / 1000;
            let shown = without_secrets(request);
            self.slowlog.add(&shown.as_request(), unix_secs, duration, client, name, self.config.slowlog_max_len);
        }
    }

    /// Shows a request to those who monitor, unless it is an administrator's.
    pub(super) fn show_to_monitors(
        &mut self,
        now: Now,
        conn: ConnId,
        command: &'static Command,
        request: &Request<'_>,
    ) {
        let subcommand = commands::subcommand(command, request);
        if subcommand.map_or(command.flags, |subcommand| subcommand.flags).has(Flags::ADMIN) {
            return;
        }
        let session = &self.sessions[conn.slot];
        let mut line =
            format!("{}.{:03}000 [{} {}]", now.unix_ms / 1000, now.unix_ms % 1000, session.db, session.peer.remote);
        for arg in without_secrets(request).as_request().args(0) {
            line.push_str(" \"");
            for byte in arg {
                line.push_str(&match byte {
                    b'\\' | b'"' => format!("\\{}", char::from(*byte)),
                    b'\n' => "\\n".to_owned(),
                    b'\r' => "\\r".to_owned(),
                    b'\t' => "\\t".to_owned(),
                    0x20..=0x7e => char::from(*byte).to_string(),
                    _ => format!("\\x{byte:02x}"),
                });
            }
            line.push('"');
        }
        for (_, session) in self.sessions.iter().filter(|(_, session)| session.monitors) {
            self.effects.push_back(Effect::Send(session.conn, format!("+{line}\r\n").into_bytes()));
        }
    }
}

/// The request as others may see it: without the passwords.
fn without_secrets(request: &Request<'_>) -> OwnedRequest {
    let secret = |at: usize| match () {
        () if request.is(0, "auth") => at > 0,
        () if request.is(0, "hello") => at > 2 && (request.is(at - 1, "auth") || request.is(at - 2, "auth")),
        () if request.is(0, "config") && request.is(1, "set") => at % 2 == 1 && request.is(at - 1, "requirepass"),
        () => false,
    };
    let args: Vec<&[u8]> =
        request.args(0).enumerate().map(|(at, arg)| if secret(at) { b"(redacted)" } else { arg }).collect();
    OwnedRequest::new(args)
}
