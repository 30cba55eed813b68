//! What the server counts, for `INFO` and `/metrics`.

use std::collections::BTreeMap;
use std::time::Duration;

/// Over how long rates are measured.
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// How many kinds of error are told apart: clients can make them up with wrong commands no further than this.
const MAX_ERROR_KINDS: usize = 128;

/// Counters since the start, or since `CONFIG RESETSTAT`.
#[derive(Debug, Default)]
pub struct Stats {
    /// Connections that were taken.
    pub connections: u64,
    /// Connections that were refused: all places were taken.
    pub refused_connections: u64,
    /// What was read from clients, in bytes.
    pub received_bytes: u64,
    /// What was written to clients, in bytes.
    pub sent_bytes: u64,
    /// Requests that were answered, with errors too.
    pub commands: u64,
    /// Changes to the data.
    pub changes: u64,
    /// Keys whose deadlines have passed.
    pub expired_keys: u64,
    /// Keys that were given up to make room.
    pub evicted_keys: u64,
    /// Keys that commands which only read were given, and that were there.
    pub hits: u64,
    /// Those that were not.
    pub misses: u64,
    /// The most that data has taken, in bytes, as far as it was looked at.
    pub peak_bytes: u64,
    /// Clients that wait for a key, now.
    pub blocked_clients: usize,
    /// Clients that are shown every command, now.
    pub monitors: usize,
    /// Commands a second, lately.
    pub commands_per_second: u64,
    /// Bytes a second that were read from clients, lately, and that were written to them.
    pub bytes_per_second: (f64, f64),
    /// Errors by their code words.
    pub errors: BTreeMap<String, u64>,
    sampled_at: Duration,
    sampled_commands: u64,
    sampled_bytes: (u64, u64),
}

impl Stats {
    /// Counts an error by the first word of its text.
    pub fn count_error(&mut self, text: &[u8]) {
        let code = text.split(|byte| *byte == b' ').next().unwrap_or_default();
        // The code words are the server's own.
        let Ok(code) = std::str::from_utf8(code) else { return };
        if let Some(count) = self.errors.get_mut(code) {
            *count += 1;
        } else if self.errors.len() < MAX_ERROR_KINDS {
            self.errors.insert(code.to_owned(), 1);
        }
    }

    /// Measures the rates, when it is time.
    pub fn sample(&mut self, now: Duration) {
        let since = now.saturating_sub(self.sampled_at);
        if since >= RATE_WINDOW {
            let commands = self.commands.saturating_sub(self.sampled_commands);
            self.commands_per_second = (commands as f64 / since.as_secs_f64()).round() as u64;
            let rate = |bytes: u64, sampled: u64| bytes.saturating_sub(sampled) as f64 / since.as_secs_f64();
            let (received, sent) = self.sampled_bytes;
            self.bytes_per_second = (rate(self.received_bytes, received), rate(self.sent_bytes, sent));
            self.sampled_at = now;
            self.sampled_commands = self.commands;
            self.sampled_bytes = (self.received_bytes, self.sent_bytes);
        }
    }

    /// Counts from zero again; what is now, stays.
    pub fn reset(&mut self) {
        let Self { blocked_clients, monitors, peak_bytes, sampled_at, .. } = *self;
        *self = Self { blocked_clients, monitors, peak_bytes, sampled_at, ..Self::default() };
    }
}
