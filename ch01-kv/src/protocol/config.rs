//! The server's parameters, by the names that Redis gives them: one row each, from which `CONFIG GET`, `CONFIG SET` and the
//! command line all work.

use std::borrow::Cow;
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
    /// How long a client's socket may take none of the replies that wait for it. No parameter of Redis', and not to be set by
    /// clients.
    pub max_stall: Duration,
}

/// Gives a parameter the value that a text says, or tells what is wrong with the text.
type Set = fn(&mut Config, &str) -> Result<(), Why>;

/// What is wrong with a value.
type Why = Cow<'static, str>;

/// A parameter's row.
struct Row {
    name: &'static str,
    show: fn(&Config) -> String,
    /// `None`: it is fixed when the server starts.
    set: Option<Set>,
}

/// A parameter of Redis 7.0 that clients know and that is one way here.
struct Fixed {
    name: &'static str,
    /// What is true of this server.
    value: &'static str,
    form: Form,
}

/// What a parameter's values look like: what is none is refused in Redis' words.
enum Form {
    /// It is fixed when the server starts, in Redis too.
    Immutable,
    Switch,
    Integer(i64, i64),
    Memory,
    Choice(&'static [&'static str], &'static str),
    /// Pairs of seconds and changes: when to save a snapshot.
    SavePoints,
    /// Classes of events, a letter each.
    Events,
}

const INT: Form = Form::Integer(i32::MIN as i64, i32::MAX as i64);
const INT_FROM_0: Form = Form::Integer(0, i32::MAX as i64);
const INT_FROM_1: Form = Form::Integer(1, i32::MAX as i64);
const LONG_FROM_0: Form = Form::Integer(0, i64::MAX);
const LEVELS: Form = Form::Choice(
    &["debug", "verbose", "notice", "warning"],
    "argument(s) must be one of the following: debug, verbose, notice, warning",
);

/// What this server does in one way only. Setting it to what it is changes nothing; anything else is refused, for a
/// parameter that is set and not heeded tells its client a lie.
#[rustfmt::skip]
const FIXED: &[Fixed] = &[
    Fixed { name: "activedefrag", value: "no", form: Form::Switch },
    Fixed { name: "activerehashing", value: "no", form: Form::Switch },
    Fixed { name: "aof-load-truncated", value: "yes", form: Form::Switch },
    Fixed { name: "aof-use-rdb-preamble", value: "no", form: Form::Switch },
    Fixed { name: "dynamic-hz", value: "no", form: Form::Switch },
    Fixed { name: "enable-debug-command", value: "yes", form: Form::Immutable },
    Fixed { name: "hash-max-listpack-entries", value: "512", form: LONG_FROM_0 },
    Fixed { name: "hash-max-listpack-value", value: "64", form: Form::Memory },
    Fixed { name: "hash-max-ziplist-entries", value: "512", form: LONG_FROM_0 },
    Fixed { name: "hash-max-ziplist-value", value: "64", form: Form::Memory },
    Fixed { name: "hz", value: "10", form: INT },
    Fixed { name: "io-threads", value: "1", form: Form::Immutable },
    Fixed { name: "latency-monitor-threshold", value: "0", form: LONG_FROM_0 },
    Fixed { name: "latency-tracking", value: "no", form: Form::Switch },
    Fixed { name: "lazyfree-lazy-eviction", value: "no", form: Form::Switch },
    Fixed { name: "lazyfree-lazy-expire", value: "no", form: Form::Switch },
    Fixed { name: "lazyfree-lazy-server-del", value: "no", form: Form::Switch },
    Fixed { name: "lfu-decay-time", value: "1", form: INT_FROM_0 },
    Fixed { name: "lfu-log-factor", value: "10", form: INT_FROM_0 },
    Fixed { name: "list-compress-depth", value: "0", form: INT_FROM_0 },
    Fixed { name: "list-max-listpack-size", value: "-2", form: INT },
    Fixed { name: "list-max-ziplist-size", value: "-2", form: INT },
    Fixed { name: "logfile", value: "", form: Form::Immutable },
    Fixed { name: "loglevel", value: "notice", form: LEVELS },
    Fixed { name: "maxmemory-samples", value: "5", form: INT_FROM_1 },
    Fixed { name: "no-appendfsync-on-rewrite", value: "no", form: Form::Switch },
    Fixed { name: "notify-keyspace-events", value: "", form: Form::Events },
    Fixed { name: "protected-mode", value: "yes", form: Form::Switch },
    Fixed { name: "rdbcompression", value: "no", form: Form::Switch },
    Fixed { name: "save", value: "", form: Form::SavePoints },
    Fixed { name: "set-max-intset-entries", value: "512", form: LONG_FROM_0 },
    Fixed { name: "stop-writes-on-bgsave-error", value: "no", form: Form::Switch },
    Fixed { name: "tcp-backlog", value: "4096", form: Form::Immutable },
    Fixed { name: "tcp-keepalive", value: "300", form: INT_FROM_0 },
    Fixed { name: "zset-max-listpack-entries", value: "128", form: LONG_FROM_0 },
    Fixed { name: "zset-max-listpack-value", value: "64", form: Form::Memory },
    Fixed { name: "zset-max-ziplist-entries", value: "128", form: LONG_FROM_0 },
    Fixed { name: "zset-max-ziplist-value", value: "64", form: Form::Memory },
];

const NOT_YES_OR_NO: &str = "argument must be 'yes' or 'no'";
const NOT_MEMORY: &str = "argument must be a memory value";
const NOT_INTEGER: &str = "argument couldn't be parsed into an integer";
const IMMUTABLE: &str = "can't set immutable config";
const BAD_LIMIT: &str = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
const LISTENS_BEYOND: &str = "it cannot be empty while the server listens beyond loopback: anybody could connect";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row { name: "appendfilename", show: |_| "appendonly.aof".into(), set: None },
    Row { name: "appendfsync", show: |c| c.appendfsync.to_string(), set: Some(|c, v| {
        c.appendfsync = v.to_ascii_lowercase().parse().map_err(|_| "argument(s) must be one of the following: everysec, always, no")?;
        Ok(())
    }) },
    Row { name: "appendonly", show: |c| yes_no(c.appendonly), set: Some(|c, v| match parse_yes_no(v)? {
        on if on == c.appendonly => Ok(()),
        _ => Err("it cannot be changed while the server runs: start it with --appendonly".into()),
    }) },
    Row { name: "auto-aof-rewrite-min-size", show: |c| c.rewrite_min_bytes.to_string(), set: Some(|c, v| {
        c.rewrite_min_bytes = memory(v, 0, i64::MAX as u64)?;
        Ok(())
    }) },
    Row { name: "auto-aof-rewrite-percentage", show: |c| c.rewrite_percentage.to_string(), set: Some(|c, v| {
        c.rewrite_percentage = number(v, 0, i32::MAX.into())? as u64;
        Ok(())
    }) },
    Row { name: "bind", show: |c| c.listen.ip().to_string(), set: None },
    Row { name: "client-output-buffer-limit", show: |c| {
        let (normal, pubsub) = (shown_limit(c.max_unsent_bytes), shown_limit(c.max_unsent_pubsub_bytes));
        format!("normal {normal} 0 0 slave 0 0 0 pubsub {pubsub} 0 0")
    }, set: Some(set_output_limits) },
    Row { name: "client-query-buffer-limit", show: |c| c.max_request_bytes.to_string(), set: Some(|c, v| {
        // A request's offsets are 32 bits wide.
        c.max_request_bytes = memory(v, 1 << 20, 3 << 30)? as usize;
        Ok(())
    }) },
    Row { name: "databases", show: |c| c.databases.to_string(), set: None },
    Row { name: "dir", show: |c| c.dir.display().to_string(), set: None },
    Row { name: "maxclients", show: |c| c.maxclients.to_string(), set: Some(|c, v| {
        c.maxclients = number(v, 1, u32::MAX.into())? as usize;
        Ok(())
    }) },
    Row { name: "maxmemory", show: |c| c.maxmemory.to_string(), set: Some(|c, v| {
        c.maxmemory = memory(v, 0, u64::MAX)?;
        Ok(())
    }) },
    Row { name: "maxmemory-policy", show: |c| c.maxmemory_policy.to_string(), set: Some(|c, v| {
        c.maxmemory_policy = v.to_ascii_lowercase().parse()
            .map_err(|_| "argument(s) must be one of the following: volatile-ttl, allkeys-lru, noeviction")?;
        Ok(())
    }) },
    Row { name: "port", show: |c| c.listen.port().to_string(), set: None },
    Row { name: "proto-max-bulk-len", show: |c| c.max_bulk_bytes.to_string(), set: Some(|c, v| {
        c.max_bulk_bytes = memory(v, 1 << 20, 1 << 30)? as usize;
        Ok(())
    }) },
    Row { name: "requirepass", show: |c| c.requirepass.clone(), set: Some(|c, v| {
        // What was asked for when the server was started holds while it runs.
        if v.is_empty() && !c.listen.ip().is_loopback() {
            return Err(LISTENS_BEYOND.into());
        }
        v.clone_into(&mut c.requirepass);
        Ok(())
    }) },
    Row { name: "slowlog-log-slower-than", show: |c| {
        c.slowlog_threshold.map_or("-1".into(), |threshold| threshold.as_micros().to_string())
    }, set: Some(|c, v| {
        let micros = number(v, -1, i64::MAX)?;
        c.slowlog_threshold = u64::try_from(micros).ok().map(Duration::from_micros);
        Ok(())
    }) },
    Row { name: "slowlog-max-len", show: |c| c.slowlog_max_len.to_string(), set: Some(|c, v| {
        c.slowlog_max_len = number(v, 0, i64::MAX)? as usize;
        Ok(())
    }) },
    Row { name: "timeout", show: |c| c.timeout.as_secs().to_string(), set: Some(|c, v| {
        c.timeout = Duration::from_secs(number(v, 0, i32::MAX.into())? as u64);
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
            max_stall: common::net::Limits::default().max_stall,
        }
    }

    /// All parameters with their values, by name.
    pub fn all(&self) -> BTreeMap<&'static str, String> {
        let rows = ROWS.iter().map(|row| (row.name, (row.show)(self)));
        rows.chain(FIXED.iter().map(|fixed| (fixed.name, fixed.value.to_owned()))).collect()
    }

    /// Whether there is a parameter of this name, in lower case, that may be set at all.
    ///
    /// # Errors
    ///
    /// [`SetError`] when there is not.
    pub fn check_settable(name: &str) -> Result<(), SetError> {
        let settable = ROWS
            .iter()
            .map(|row| (row.name, row.set.is_some()))
            .chain(FIXED.iter().map(|fixed| (fixed.name, !matches!(fixed.form, Form::Immutable))))
            .find(|(known, _)| *known == name);
        match settable {
            None => Err(SetError::Unknown),
            Some((_, false)) => Err(SetError::Refused(IMMUTABLE.into())),
            Some((_, true)) => Ok(()),
        }
    }

    /// Gives a parameter, by its name in lower case, another value.
    ///
    /// # Errors
    ///
    /// [`SetError`]; nothing has changed then.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SetError> {
        Self::check_settable(name)?;
        if let Some(set) = ROWS.iter().find(|row| row.name == name).and_then(|row| row.set) {
            return set(self, value).map_err(SetError::Refused);
        }
        let fixed = FIXED.iter().find(|fixed| fixed.name == name).ok_or(SetError::Unknown)?;
        match fixed.form.is_same(fixed.value, value).map_err(SetError::Refused)? {
            true => Ok(()),
            false => Err(SetError::Refused(format!("it is always '{}' in this server", fixed.value).into())),
        }
    }
}

/// Why a parameter was not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// There is none of this name.
    #[error("there is no such parameter")]
    Unknown,
    /// It cannot have this value.
    #[error("{0}")]
    Refused(Cow<'static, str>),
}

impl Form {
    /// Whether `given` means what `value` means.
    fn is_same(&self, value: &str, given: &str) -> Result<bool, Why> {
        Ok(match self {
            Self::Immutable => return Err(IMMUTABLE.into()),
            Self::Switch => parse_yes_no(given)? == parse_yes_no(value)?,
            Self::Integer(min, max) => number(given, *min, *max)? == number(value, *min, *max)?,
            Self::Memory => memory(given, 0, i64::MAX as u64)? == memory(value, 0, i64::MAX as u64)?,
            Self::Choice(words, error) => {
                let word = words.iter().find(|word| given.eq_ignore_ascii_case(word)).ok_or(*error)?;
                *word == value
            }
            Self::SavePoints => {
                let words: Vec<&str> = given.split_ascii_whitespace().collect();
                if !words.len().is_multiple_of(2) || words.iter().any(|word| number(word, 0, i32::MAX.into()).is_err())
                {
                    return Err("Invalid save parameters".into());
                }
                words.is_empty()
            }
            Self::Events => {
                const CLASSES: &str = "Ag$lshzxeKEtmdn";
                if !given.chars().all(|class| CLASSES.contains(class)) {
                    return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into());
                }
                given == value
            }
        })
    }
}

/// An integer between two others, both included.
fn number(text: &str, min: i64, max: i64) -> Result<i64, Why> {
    let number = common::resp::parse_integer(text.as_bytes()).ok_or(NOT_INTEGER)?;
    if (min..=max).contains(&number) { Ok(number) } else { Err(not_between(min, max)) }
}

/// A number of bytes between two others, both included.
fn memory(text: &str, min: u64, max: u64) -> Result<u64, Why> {
    let bytes = parse_memory(text).ok_or(NOT_MEMORY)?;
    if (min..=max).contains(&bytes) { Ok(bytes) } else { Err(not_between(min, max)) }
}

fn not_between(min: impl std::fmt::Display, max: impl std::fmt::Display) -> Why {
    format!("argument must be between {min} and {max} inclusive").into()
}

/// A number of bytes with an optional unit, as Redis writes them: `k` is a thousand, `kb` is 1024, and so on.
pub fn parse_memory(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    if digits.starts_with('+') {
        return None;
    }
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

fn set_output_limits(config: &mut Config, value: &str) -> Result<(), Why> {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    if words.is_empty() || !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    let (mut normal, mut pubsub) = (config.max_unsent_bytes, config.max_unsent_pubsub_bytes);
    for class in words.chunks_exact(4) {
        let (hard, soft) = (parse_memory(class[1]).ok_or(BAD_LIMIT)?, parse_memory(class[2]).ok_or(BAD_LIMIT)?);
        number(class[3], 0, i32::MAX.into()).map_err(|_| BAD_LIMIT)?;
        // Zero is no limit, as in Redis.
        let hard = usize::try_from(hard).ok().filter(|bytes| *bytes > 0).unwrap_or(usize::MAX);
        let limit = match class[0].to_ascii_lowercase().as_str() {
            "normal" => &mut normal,
            "pubsub" => &mut pubsub,
            // There are none.
            "slave" | "replica" => continue,
            _ => return Err("Invalid client class specified in buffer limit configuration.".into()),
        };
        if soft > 0 {
            return Err("this server has no soft limits: the soft limit must be 0".into());
        }
        *limit = hard;
    }
    (config.max_unsent_bytes, config.max_unsent_pubsub_bytes) = (normal, pubsub);
    Ok(())
}

/// A limit as it is set: none is zero.
fn shown_limit(bytes: usize) -> usize {
    if bytes == usize::MAX { 0 } else { bytes }
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
