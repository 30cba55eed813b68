//! The slow log: requests that took longer than they should, kept for whoever looks into the tail of the percentiles.

use std::collections::VecDeque;
use std::time::Duration;

use common::resp::Request;

/// How many arguments of a request are kept, as in Redis.
const MAX_ARGS: usize = 32;

/// How many bytes of an argument are kept, as in Redis.
const MAX_ARG_BYTES: usize = 128;

/// The slow log, newest first.
#[derive(Debug, Default)]
pub struct SlowLog {
    entries: VecDeque<Entry>,
    next_id: u64,
}

/// A slow request.
#[derive(Debug)]
pub struct Entry {
    /// Counts all entries from 0.
    pub id: u64,
    /// When it was executed, in seconds since the Unix epoch.
    pub unix_secs: u64,
    /// How long that took.
    pub took: Duration,
    /// The request, with long arguments and long lists of them cut.
    pub args: Vec<Vec<u8>>,
    /// The client's address.
    pub client: String,
    /// The client's name.
    pub client_name: String,
}

impl SlowLog {
    /// Adds a request; the oldest ones beyond `max_len` go.
    pub fn add(
        &mut self,
        request: &Request<'_>,
        unix_secs: u64,
        took: Duration,
        client: String,
        client_name: String,
        max_len: usize,
    ) {
        let shown = if request.len() > MAX_ARGS { MAX_ARGS - 1 } else { request.len() };
        let mut args: Vec<Vec<u8>> = request.args(0).take(shown).map(cut).collect();
        if shown < request.len() {
            args.push(format!("... ({} more arguments)", request.len() - shown).into_bytes());
        }
        self.entries.push_front(Entry { id: self.next_id, unix_secs, took, args, client, client_name });
        self.next_id += 1;
        self.entries.truncate(max_len);
    }

    /// The entries, newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Forgets them.
    pub fn reset(&mut self) {
        self.entries.clear();
    }
}

fn cut(arg: &[u8]) -> Vec<u8> {
    if arg.len() <= MAX_ARG_BYTES {
        return arg.to_vec();
    }
    let mut shown = arg[..MAX_ARG_BYTES].to_vec();
    shown.extend_from_slice(format!("... ({} more bytes)", arg.len() - MAX_ARG_BYTES).as_bytes());
    shown
}
