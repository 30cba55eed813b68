//! What observers see: `/metrics`, `/health` and `/state`.

use std::net::SocketAddr;
use std::sync::Arc;

use common::admin::{self, BoxFuture, Health, Metrics, Report, Source, Unavailable};
use common::cli::Shutdown;
use common::resp::server::{Handle, Now};
use serde_json::json;

use crate::error::Error;
use crate::protocol::service::Kv;
use crate::storage::journal::why_refused;

/// How long the server may take to answer an observer.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// Asks the server on its own thread.
struct Observer(Handle<Kv>);

impl Source for Observer {
    fn collect(&self) -> BoxFuture<'_, Result<Report, Unavailable>> {
        Box::pin(async {
            match tokio::time::timeout(PATIENCE, self.0.ask(report)).await {
                Ok(Some(report)) => Ok(report),
                Ok(None) => Err(Unavailable::Stopped),
                Err(_) => Err(Unavailable::Timeout),
            }
        })
    }
}

/// Serves observers at `address`; returns where.
pub(super) async fn start(address: SocketAddr, handle: Handle<Kv>, shutdown: Shutdown) -> Result<SocketAddr, Error> {
    let listener = tokio::net::TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
    let bound = listener.local_addr().map_err(Error::system("learn the port"))?;
    tokio::task::spawn_local(async move {
        if let Err(error) = admin::serve(listener, Arc::new(Observer(handle)), shutdown).await {
            tracing::error!(%error, "the admin endpoint has ended");
        }
    });
    Ok(bound)
}

fn report(kv: &mut Kv, now: Now) -> Report {
    Report { metrics: metrics(kv, now), health: health(kv), state: state(kv, now) }
}

fn health(kv: &Kv) -> Health {
    match kv.journal.as_ref().and_then(crate::storage::journal::Journal::refused) {
        None => Health::Ok,
        Some(reason) => Health::Failing(format!("read-only: {}", why_refused(reason))),
    }
}

fn metrics(kv: &Kv, now: Now) -> Metrics {
    let mut metrics = Metrics::new();
    metrics.process();
    let stats = &kv.stats;
    metrics.gauge("kv_uptime_seconds", "Since the server started.").value(now.uptime);
    metrics.counter("kv_connections_total", "Connections that were taken.").value(stats.connections);
    metrics.counter("kv_refused_connections_total", "Connections over the limit.").value(stats.refused_connections);
    metrics.counter("kv_received_bytes_total", "Read from clients.").value(stats.received_bytes);
    metrics.counter("kv_sent_bytes_total", "Written to clients.").value(stats.sent_bytes);
    metrics.gauge("kv_connected_clients", "Connections that are open.").value(kv.sessions.len() as u64);
    metrics.gauge("kv_blocked_clients", "Clients that wait for a key.").value(stats.blocked_clients as u64);
    metrics.counter("kv_commands_total", "Requests that were answered.").value(stats.commands);
    metrics.counter("kv_changes_total", "Changes to the data.").value(stats.changes);
    metrics.counter("kv_expired_keys_total", "Keys whose deadlines have passed.").value(stats.expired_keys);
    metrics.counter("kv_evicted_keys_total", "Keys that were given up to make room.").value(stats.evicted_keys);
    metrics.gauge("kv_data_bytes", "What keys and values take, about.").value(kv.used_bytes());
    metrics.gauge("kv_max_data_bytes", "The limit on that; 0 for none.").value(kv.config.maxmemory);
    for (code, count) in &stats.errors {
        metrics.counter("kv_errors_total", "Error replies by their code words.").with(&[("code", code)], *count);
    }
    for (index, db) in kv.dbs.iter().enumerate().filter(|(_, db)| !db.is_empty()) {
        let index = index.to_string();
        metrics.gauge("kv_keys", "Keys in a database.").with(&[("db", &index)], db.len() as u64);
        metrics.gauge("kv_keys_with_deadline", "Keys that expire.").with(&[("db", &index)], db.expiry.len() as u64);
    }
    if let Some(journal) = &kv.journal {
        let (len, base) = journal.sizes();
        let counters = journal.counters();
        metrics.gauge("kv_log_bytes", "The log's length.").value(len);
        metrics.gauge("kv_log_base_bytes", "The log's length after it was last rewritten.").value(base);
        metrics.gauge("kv_log_buffered_bytes", "Recorded and not yet written.").value(journal.buffered_bytes() as u64);
        metrics.counter("kv_log_groups_total", "Commit groups written.").value(counters.groups);
        metrics.counter("kv_log_syncs_total", "Syncs that returned.").value(counters.syncs);
        metrics.counter("kv_log_failures_total", "Writes and syncs that failed.").value(counters.failures);
        metrics.counter("kv_log_rewrites_total", "Rewrites that were completed.").value(counters.rewrites);
        metrics.gauge("kv_read_only", "Whether writes are refused.").value(u64::from(journal.refused().is_some()));
    }
    metrics
}

fn state(kv: &Kv, now: Now) -> serde_json::Value {
    let databases: Vec<_> = kv
        .dbs
        .iter()
        .enumerate()
        .filter(|(_, db)| !db.is_empty())
        .map(|(index, db)| json!({"db": index, "keys": db.len(), "expires": db.expiry.len(), "bytes": db.used_bytes()}))
        .collect();
    let log = kv.journal.as_ref().map(|journal| {
        let (len, base) = journal.sizes();
        json!({
            "policy": kv.config.appendfsync.to_string(),
            "bytes": len,
            "base_bytes": base,
            "position": journal.position().0,
            "releasable": journal.releasable().0,
            "rewriting": journal.is_rewriting(),
            "refused": journal.refused().map(why_refused),
        })
    });
    json!({
        "role": "leader",
        "uptime_seconds": now.uptime.as_secs_f64(),
        "clients": kv.sessions.len(),
        "databases": databases,
        "log": log,
        "commands": kv.stats.commands,
        "commands_per_second": kv.stats.commands_per_second,
    })
}
