//! `INFO`: what the server knows of itself, in Redis' sections and names.

use std::collections::hash_map::RandomState;
use std::fmt::Write;
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;
use std::time::Duration;

use common::resp::server::Now;

use super::commands::connection::REDIS_VERSION;
use super::service::Kv;

/// The text of these sections, in lower case; none are all of them.
pub fn text(kv: &Kv, now: Now, wanted: &[String]) -> String {
    let everything =
        wanted.is_empty() || wanted.iter().any(|name| matches!(name.as_str(), "all" | "default" | "everything"));
    let mut text = String::new();
    for (name, title, lines) in sections(kv, now) {
        if everything || wanted.iter().any(|wanted| wanted == name) {
            let separator = if text.is_empty() { "" } else { "\r\n" };
            let _ = write!(text, "{separator}# {title}\r\n");
            for (field, value) in lines {
                let _ = write!(text, "{field}:{value}\r\n");
            }
        }
    }
    text
}

type Lines = Vec<(String, String)>;

fn sections(kv: &Kv, now: Now) -> Vec<(&'static str, &'static str, Lines)> {
    vec![
        ("server", "Server", server(kv, now)),
        ("clients", "Clients", clients(kv)),
        ("memory", "Memory", memory(kv)),
        ("persistence", "Persistence", persistence(kv)),
        ("stats", "Stats", stats(kv)),
        (
            "replication",
            "Replication",
            lines([("role", &"master"), ("connected_slaves", &0), ("master_repl_offset", &0)]),
        ),
        ("cpu", "CPU", cpu()),
        ("errorstats", "Errorstats", errors(kv)),
        ("cluster", "Cluster", lines([("cluster_enabled", &0)])),
        ("keyspace", "Keyspace", keyspace(kv)),
    ]
}

fn lines<const N: usize>(pairs: [(&str, &dyn std::fmt::Display); N]) -> Lines {
    pairs.into_iter().map(|(field, value)| (field.to_owned(), value.to_string())).collect()
}

fn server(kv: &Kv, now: Now) -> Lines {
    let uptime = now.uptime.as_secs();
    lines([
        ("redis_version", &REDIS_VERSION),
        ("redis_mode", &"standalone"),
        ("os", &std::env::consts::OS),
        ("arch_bits", &usize::BITS),
        ("process_id", &std::process::id()),
        ("run_id", &run_id()),
        ("tcp_port", &kv.config.listen.port()),
        ("server_time_usec", &(now.unix_ms * 1000)),
        ("uptime_in_seconds", &uptime),
        ("uptime_in_days", &(uptime / 86_400)),
        ("hz", &10),
        ("configured_hz", &10),
        ("executable", &"ch01-kv"),
        ("config_file", &""),
    ])
}

fn clients(kv: &Kv) -> Lines {
    lines([
        ("connected_clients", &kv.sessions.len()),
        ("maxclients", &kv.config.maxclients),
        ("blocked_clients", &kv.stats.blocked_clients),
        ("tracking_clients", &0),
    ])
}

fn memory(kv: &Kv) -> Lines {
    let used = kv.used_bytes();
    let peak = kv.stats.peak_bytes.max(used);
    let resident = common::load::process::usage(std::process::id()).map_or(0, |usage| usage.rss_bytes);
    lines([
        ("used_memory", &used),
        ("used_memory_human", &human(used)),
        ("used_memory_rss", &resident),
        ("used_memory_rss_human", &human(resident)),
        ("used_memory_peak", &peak),
        ("used_memory_peak_human", &human(peak)),
        ("used_memory_dataset", &used),
        ("mem_fragmentation_ratio", &format!("{:.2}", if used > 0 { resident as f64 / used as f64 } else { 0.0 })),
        ("maxmemory", &kv.config.maxmemory),
        ("maxmemory_human", &human(kv.config.maxmemory)),
        ("maxmemory_policy", &kv.config.maxmemory_policy),
        ("mem_allocator", &"mimalloc"),
    ])
}

fn persistence(kv: &Kv) -> Lines {
    let mut shown = lines([("loading", &0), ("aof_enabled", &u8::from(kv.journal.is_some()))]);
    if let Some(journal) = &kv.journal {
        let (len, base) = journal.sizes();
        let counters = journal.counters();
        let status = |failed| if failed { "err" } else { "ok" };
        shown.extend(lines([
            ("aof_rewrite_in_progress", &u8::from(journal.is_rewriting())),
            ("aof_rewrites", &counters.rewrites),
            ("aof_last_bgrewrite_status", &status(counters.last_rewrite_failed)),
            ("aof_last_write_status", &status(journal.refused().is_some())),
            ("aof_current_size", &len),
            ("aof_base_size", &base),
            ("aof_buffer_length", &journal.buffered_bytes()),
            ("aof_groups", &counters.groups),
            ("aof_syncs", &counters.syncs),
        ]));
    }
    shown
}

fn stats(kv: &Kv) -> Lines {
    let stats = &kv.stats;
    let (received, sent) = stats.bytes_per_second;
    let kibibytes = |bytes: f64| format!("{:.2}", bytes / 1024.0);
    lines([
        ("total_connections_received", &stats.connections),
        ("total_commands_processed", &stats.commands),
        ("instantaneous_ops_per_sec", &stats.commands_per_second),
        ("total_net_input_bytes", &stats.received_bytes),
        ("total_net_output_bytes", &stats.sent_bytes),
        ("instantaneous_input_kbps", &kibibytes(received)),
        ("instantaneous_output_kbps", &kibibytes(sent)),
        ("rejected_connections", &stats.refused_connections),
        ("total_error_replies", &stats.errors.values().sum::<u64>()),
        ("expired_keys", &stats.expired_keys),
        ("evicted_keys", &stats.evicted_keys),
        ("keyspace_hits", &stats.hits),
        ("keyspace_misses", &stats.misses),
        ("pubsub_channels", &kv.pubsub.channels().count()),
        ("pubsub_patterns", &kv.pubsub.pattern_count()),
    ])
}

fn cpu() -> Lines {
    let (all, kernel) = common::load::process::usage(std::process::id())
        .map_or((Duration::ZERO, Duration::ZERO), |usage| (usage.cpu, usage.cpu_in_kernel));
    let shown = |time: Duration| format!("{:.6}", time.as_secs_f64());
    lines([
        ("used_cpu_sys", &shown(kernel)),
        ("used_cpu_user", &shown(all.saturating_sub(kernel))),
        ("used_cpu_total", &shown(all)),
    ])
}

fn errors(kv: &Kv) -> Lines {
    kv.stats.errors.iter().map(|(code, count)| (format!("errorstat_{code}"), format!("count={count}"))).collect()
}

fn keyspace(kv: &Kv) -> Lines {
    let used = kv.dbs.iter().enumerate().filter(|(_, db)| !db.is_empty());
    used.map(|(index, db)| (format!("db{index}"), format!("keys={},expires={},avg_ttl=0", db.len(), db.expiry.len())))
        .collect()
}

/// Forty hexadecimal digits that no other run of the server has: a client that sees others has come to another server.
fn run_id() -> &'static str {
    static RUN_ID: OnceLock<String> = OnceLock::new();
    RUN_ID.get_or_init(|| {
        let random = |_| RandomState::new().build_hasher().finish();
        let digits: String = (0..3).map(random).map(|number| format!("{number:016x}")).collect();
        digits[..40].to_owned()
    })
}

/// A number of bytes as Redis writes it for people.
fn human(bytes: u64) -> String {
    let units = [(1_u64 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    match units.into_iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => format!("{:.2}{unit}", bytes as f64 / size as f64),
        None => format!("{bytes}B"),
    }
}
