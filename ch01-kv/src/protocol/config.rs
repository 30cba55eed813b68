//! The server's parameters, by the names that Redis gives them: one row each, from which `CONFIG GET`, `CONFIG SET` and the
//! command line all work.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::engine::durability::Policy as SyncPolicy;
use crate::engine::eviction::Policy as EvictionPolicy;

/// The parameters.
#[derive(Debug, Clone)]
pub struct Config {
    /// `bind` and `port`: where clients are served.
    pub listen: SocketAddr,
    /// `dir`: where the log is.
    pub dir: PathBuf,
    /// `databases`: how many there are.
    pub databases: usize,
    /// `requirepass`: the password; empty asks for none.
    pub requirepass: String,
    /// `appendonly`: whether there is a log at all.
    pub appendonly: bool,
    /// `appendfsync`: when the log is synced.
    pub appendfsync: SyncPolicy,
    /// `auto-aof-rewrite-percentage`: how much the log may have grown since it was last rewritten; 0 never rewrites it.
    pub rewrite_percentage: u64,
    /// `auto-aof-rewrite-min-size`, in bytes: a smaller log is not rewritten.
    pub rewrite_min_bytes: u64,
    /// `maxmemory`, in bytes; 0 is no limit.
    pub maxmemory: u64,
    /// `maxmemory-policy`: what is done about reaching it.
    pub maxmemory_policy: EvictionPolicy,
    /// `maxclients`: how many connections are served at once.
    pub maxclients: usize,
    /// `timeout`, in seconds: for how long a connection may be idle; zero for ever.
    pub timeout: Duration,
    /// `slowlog-log-slower-than`, in microseconds; `None` (shown as -1) logs nothing.
    pub slowlog_threshold: Option<Duration>,
    /// `slowlog-max-len`.
    pub slowlog_max_len: usize,
    /// `proto-max-bulk-len`: the longest string, in bytes.
    pub max_bulk_bytes: usize,
    /// `client-query-buffer-limit`: the largest request, in bytes.
    pub max_request_bytes: usize,
    /// `client-output-buffer-limit normal`: how much may wait for a client that does not read, in bytes.
    pub max_unsent_bytes: usize,
    /// `client-output-buffer-limit pubsub`: the same for a subscriber.
    pub max_unsent_pubsub_bytes: usize,
    /// Parameters of Redis that clients set and nothing here depends on. They are kept and shown.
    pub inert: BTreeMap<&'static str, String>,
}

/// Gives a parameter the value that a text says, or tells what is wrong with the text.
type Set = fn(&mut Config, &str) -> Result<(), &'static str>;

/// A parameter's row.
struct Row {
    name: &'static str,
    show: fn(&Config) -> String,
    /// `None`: it is fixed when the server starts.
    set: Option<Set>,
}

/// What Redis 7.0 has and this server does without, with Redis' defaults.
const INERT: &[(&str, &str)] = &[
    ("activedefrag", "no"),
    ("activerehashing", "yes"),
    ("aof-load-truncated", "yes"),
    ("aof-use-rdb-preamble", "no"),
    ("dynamic-hz", "yes"),
    ("enable-debug-command", "no"),
    ("hash-max-listpack-entries", "512"),
    ("hash-max-listpack-value", "64"),
    ("hash-max-ziplist-entries", "512"),
    ("hash-max-ziplist-value", "64"),
    ("hz", "10"),
    ("io-threads", "1"),
    ("latency-monitor-threshold", "0"),
    ("latency-tracking", "yes"),
    ("lazyfree-lazy-eviction", "no"),
    ("lazyfree-lazy-expire", "no"),
    ("lazyfree-lazy-server-del", "no"),
    ("lfu-decay-time", "1"),
    ("lfu-log-factor", "10"),
    ("list-compress-depth", "0"),
    ("list-max-listpack-size", "-2"),
    ("list-max-ziplist-size", "-2"),
    ("loglevel", "notice"),
    ("logfile", ""),
    ("maxmemory-samples", "5"),
    ("no-appendfsync-on-rewrite", "no"),
    ("notify-keyspace-events", ""),
    ("protected-mode", "yes"),
    ("rdbcompression", "yes"),
    ("save", ""),
    ("set-max-intset-entries", "512"),
    ("stop-writes-on-bgsave-error", "yes"),
    ("stream-node-max-entries", "100"),
    ("tcp-backlog", "4096"),
    ("tcp-keepalive", "300"),
    ("zset-max-listpack-entries", "128"),
    ("zset-max-listpack-value", "64"),
    ("zset-max-ziplist-entries", "128"),
    ("zset-max-ziplist-value", "64"),
];

const NOT_YES_OR_NO: &str = "argument must be 'yes' or 'no'";
const NOT_MEMORY: &str = "argument must be a memory value";
const NOT_INTEGER: &str = "argument couldn't be parsed into an integer";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row { name: "appendfilename", show: |_| "appendonly.aof".into(), set: None },
    Row { name: "appendfsync", show: |c| c.appendfsync.to_string(), set: Some(|c, v| {
        c.appendfsync = v.to_ascii_lowercase().parse().map_err(|_| "argument(s) must be one of the following: everysec, always, no")?;
        Ok(())
    }) },
    Row { name: "appendonly", show: |c| yes_no(c.appendonly), set: Some(|c, v| match parse_yes_no(v)? {
        on if on == c.appendonly => Ok(()),
        _ => Err("it cannot be changed while the server runs: start it with --appendonly"),
    }) },
    Row { name: "auto-aof-rewrite-min-size", show: |c| c.rewrite_min_bytes.to_string(), set: Some(|c, v| {
        c.rewrite_min_bytes = parse_memory(v).ok_or(NOT_MEMORY)?;
        Ok(())
    }) },
    Row { name: "auto-aof-rewrite-percentage", show: |c| c.rewrite_percentage.to_string(), set: Some(|c, v| {
        c.rewrite_percentage = v.parse().map_err(|_| NOT_INTEGER)?;
        Ok(())
    }) },
    Row { name: "bind", show: |c| c.listen.ip().to_string(), set: None },
    Row { name: "client-output-buffer-limit", show: |c| {
        format!("normal {} 0 0 slave 0 0 0 pubsub {} 0 0", c.max_unsent_bytes, c.max_unsent_pubsub_bytes)
    }, set: Some(set_output_limits) },
    Row { name: "client-query-buffer-limit", show: |c| c.max_request_bytes.to_string(), set: Some(|c, v| {
        // A request's offsets are 32 bits wide.
        let bytes = parse_memory(v).ok_or(NOT_MEMORY)?;
        c.max_request_bytes = usize::try_from(bytes).ok().filter(|bytes| (1 << 20..=3 << 30).contains(bytes))
            .ok_or("argument must be between 1048576 and 3221225472 inclusive")?;
        Ok(())
    }) },
    Row { name: "databases", show: |c| c.databases.to_string(), set: None },
    Row { name: "dir", show: |c| c.dir.display().to_string(), set: None },
    Row { name: "maxclients", show: |c| c.maxclients.to_string(), set: Some(|c, v| {
        c.maxclients = v.parse().ok().filter(|count| *count > 0).ok_or("argument must be between 1 and 4294967295 inclusive")?;
        Ok(())
    }) },
    Row { name: "maxmemory", show: |c| c.maxmemory.to_string(), set: Some(|c, v| {
        c.maxmemory = parse_memory(v).ok_or(NOT_MEMORY)?;
        Ok(())
    }) },
    Row { name: "maxmemory-policy", show: |c| c.maxmemory_policy.to_string(), set: Some(|c, v| {
        c.maxmemory_policy = v.to_ascii_lowercase().parse()
            .map_err(|_| "argument(s) must be one of the following: volatile-ttl, allkeys-lru, noeviction")?;
        Ok(())
    }) },
    Row { name: "port", show: |c| c.listen.port().to_string(), set: None },
    Row { name: "proto-max-bulk-len", show: |c| c.max_bulk_bytes.to_string(), set: Some(|c, v| {
        let bytes = parse_memory(v).ok_or(NOT_MEMORY)?;
        c.max_bulk_bytes = usize::try_from(bytes).ok().filter(|bytes| (1 << 20..=1 << 30).contains(bytes))
            .ok_or("argument must be between 1048576 and 1073741824 inclusive")?;
        Ok(())
    }) },
    Row { name: "requirepass", show: |c| c.requirepass.clone(), set: Some(|c, v| {
        v.clone_into(&mut c.requirepass);
        Ok(())
    }) },
    Row { name: "slowlog-log-slower-than", show: |c| {
        c.slowlog_threshold.map_or("-1".into(), |threshold| threshold.as_micros().to_string())
    }, set: Some(|c, v| {
        let micros: i64 = v.parse().map_err(|_| NOT_INTEGER)?;
        c.slowlog_threshold = u64::try_from(micros).ok().map(Duration::from_micros);
        Ok(())
    }) },
    Row { name: "slowlog-max-len", show: |c| c.slowlog_max_len.to_string(), set: Some(|c, v| {
        c.slowlog_max_len = v.parse().map_err(|_| NOT_INTEGER)?;
        Ok(())
    }) },
    Row { name: "timeout", show: |c| c.timeout.as_secs().to_string(), set: Some(|c, v| {
        c.timeout = Duration::from_secs(v.parse().map_err(|_| NOT_INTEGER)?);
        Ok(())
    }) },
];

impl Config {
    /// Redis' defaults, but with a log: a server that forgets is not what the chapter is about.
    pub fn new(listen: SocketAddr, dir: PathBuf) -> Self {
        Self {
            listen,
            dir,
            databases: 16,
            requirepass: String::new(),
            appendonly: true,
            appendfsync: SyncPolicy::EverySec,
            rewrite_percentage: 100,
            rewrite_min_bytes: 64 << 20,
            maxmemory: 0,
            maxmemory_policy: EvictionPolicy::NoEviction,
            maxclients: 10_000,
            timeout: Duration::ZERO,
            slowlog_threshold: Some(Duration::from_millis(10)),
            slowlog_max_len: 128,
            max_bulk_bytes: 512 << 20,
            max_request_bytes: 1 << 30,
            max_unsent_bytes: 256 << 20,
            max_unsent_pubsub_bytes: 32 << 20,
            inert: INERT.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        }
    }

    /// All parameters with their values, by name.
    pub fn all(&self) -> BTreeMap<&'static str, String> {
        let rows = ROWS.iter().map(|row| (row.name, (row.show)(self)));
        rows.chain(self.inert.iter().map(|(name, value)| (*name, value.clone()))).collect()
    }

    /// Gives a parameter another value.
    ///
    /// # Errors
    ///
    /// [`SetError`]; nothing has changed then.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SetError> {
        let name = name.to_ascii_lowercase();
        if let Some(row) = ROWS.iter().find(|row| row.name == name) {
            let set = row.set.ok_or(SetError::Refused(row.name, "can't set immutable config"))?;
            return set(self, value).map_err(|why| SetError::Refused(row.name, why));
        }
        match self.inert.get_mut(name.as_str()) {
            Some(place) => {
                let is_switch = INERT.iter().any(|(inert, default)| *inert == name && matches!(*default, "yes" | "no"));
                if is_switch && parse_yes_no(value).is_err() {
                    return Err(SetError::Invalid(name));
                }
                value.clone_into(place);
                Ok(())
            }
            None => Err(SetError::Unknown(name)),
        }
    }
}

/// Why a parameter was not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// There is none of this name.
    #[error("ERR Unknown option or number of arguments for CONFIG SET - '{0}'")]
    Unknown(String),
    /// It is switched on or off, and this is neither.
    #[error("ERR CONFIG SET failed (possibly related to argument '{0}') - argument must be 'yes' or 'no'")]
    Invalid(String),
    /// It cannot have this value.
    #[error("ERR CONFIG SET failed (possibly related to argument '{0}') - {1}")]
    Refused(&'static str, &'static str),
}

/// A number of bytes with an optional unit, as Redis writes them: `k` is a thousand, `kb` is 1024, and so on.
pub fn parse_memory(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: u64 = match &text[digits.len()..] {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

fn set_output_limits(config: &mut Config, value: &str) -> Result<(), &'static str> {
    let words: Vec<&str> = value.split_whitespace().collect();
    if words.is_empty() || !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.");
    }
    for class in words.chunks_exact(4) {
        let hard = parse_memory(class[1])
            .ok_or("Error in hard, soft or soft_seconds setting in buffer limit configuration.")?;
        // Zero is no limit, as in Redis.
        let hard = usize::try_from(hard).ok().filter(|bytes| *bytes > 0).unwrap_or(usize::MAX);
        match class[0] {
            "normal" => config.max_unsent_bytes = hard,
            "pubsub" => config.max_unsent_pubsub_bytes = hard,
            "slave" | "replica" => {}
            _ => return Err("Invalid client class specified in buffer limit configuration."),
        }
    }
    Ok(())
}

fn yes_no(on: bool) -> String {
    if on { "yes" } else { "no" }.to_owned()
}

fn parse_yes_no(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(NOT_YES_OR_NO),
    }
}
