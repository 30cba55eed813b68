//! More data than memory: what a limit costs a cache, what it costs a store that may not forget, and what deadlines give back.

use std::time::{Duration, Instant};

use common::cli::{Progress, Table, chart, human};
use common::load::Keys;
use common::resp::Value;
use common::tour::{Answer, Narrator, Question};

use super::stage::Stage;
use crate::client::Client;
use crate::error::Error;

/// The data set, in keys.
const KEYS: u64 = 10_000;

/// A value's length in bytes.
const VALUE_BYTES: usize = 200;

/// Requests for each limit; the second half of them is counted, when the cache has filled.
const REQUESTS: usize = 24_000;

/// Requests in a pipeline.
const BATCH: usize = 100;

/// Keys that are given a deadline.
const SESSIONS: u64 = 2_000;

/// How long they live, in milliseconds.
const SESSION_MS: u64 = 50;

/// For how long the scene waits for them to go: far longer than it takes, and not for ever.
const PATIENCE: Duration = Duration::from_secs(5);

/// The limits, in percent of what the data set takes.
const LIMITS: [u64; 4] = [100, 50, 25, 10];

/// What a limit came to.
struct Cached {
    limit_percent: u64,
    limit_bytes: u64,
    keys: u64,
    hit_rate: f64,
    evicted: u64,
}

/// What became of keys with a deadline.
struct Expired {
    held: u64,
    left: u64,
    took: Duration,
}

pub(super) fn play(narrator: &mut Narrator, stage: &mut Stage) -> Result<(), Error> {
    narrator.says(&format!(
        "A cache in front of {KEYS} records of {VALUE_BYTES} bytes: a client asks for a key, and on a miss stores the record. \
         Keys are asked for by Zipf's law, as popular things are. The server may use less and less memory, and gives up keys that \
         were not used for long (maxmemory-policy allkeys-lru)."
    ));
    let guess = narrator.quiz(
        "With memory for a tenth of the data, how many requests in a hundred still hit?",
        Question::Number { unit: "%" },
    );
    let server = stage.serve("memory", |config| config.appendonly = false)?;
    let (full, results, refusal, expiry) = stage.runtime.block_on(async {
        let mut client = Client::connect(server.address()).await?;
        let value = "x".repeat(VALUE_BYTES);
        for key in 0..KEYS {
            client.queue(&["SET", &format!("record:{key}"), &value]).await?;
        }
        client.run_all().await?;
        let full = client.info_number("memory", "used_memory").await?;
        client.config_set("maxmemory-policy", "allkeys-lru").await?;
        let mut results = Vec::new();
        let mut progress = Progress::new(Some(LIMITS.len() as u64 * (KEYS + REQUESTS as u64)), "requests");
        for percent in LIMITS {
            results.push(measure(&mut client, &value, percent, full, &mut progress).await?);
        }
        drop(progress);
        // A store that may not forget refuses instead: keys that are new, so that there is more to hold.
        client.config_set("maxmemory-policy", "noeviction").await?;
        let mut refusal = None;
        for number in 0..KEYS {
            client.queue(&["SET", &format!("new:{number}"), &value]).await?;
            if number % BATCH as u64 == 0 {
                refusal = client.run().await?.into_iter().find(Value::is_error);
                if refusal.is_some() {
                    break;
                }
            }
        }
        client.run().await?;
        let expiry = expire(&mut client).await?;
        Ok::<_, Error>((full, results, refusal, expiry))
    })?;
    server.stop()?;
    let mut table = Table::new(["maxmemory", "of the data", "keys held", "evicted", "hit rate"]);
    for cached in &results {
        table.row([
            human::bytes(cached.limit_bytes),
            format!("{} %", cached.limit_percent),
            human::grouped(cached.keys),
            human::grouped(cached.evicted),
            human::percent(cached.hit_rate),
        ]);
    }
    narrator.measured("the data set in memory", &human::bytes(full));
    narrator.gap();
    narrator.table(&table);
    let bars: Vec<(String, f64)> =
        results.iter().map(|cached| (format!("{} % of memory", cached.limit_percent), cached.hit_rate)).collect();
    narrator.chart(&chart::bars(&bars, narrator.chart_width(), human::percent));
    if let Some(smallest) = results.last() {
        narrator.reveal(&guess, Answer::Number(smallest.hit_rate * 100.0));
    }
    narrator.says("Skew is why caches work: the few keys that most requests want fit. With maxmemory-policy noeviction, writes are refused:");
    if let Some(refusal) = refusal {
        narrator.show(&refusal.to_string());
    }
    narrator.says(&format!(
        "Memory also comes back by itself: {SESSIONS} keys with a deadline of {SESSION_MS} ms, which nobody asks for again. \
         Nothing but the server's own search for them (active expiry) can remove them."
    ));
    narrator.measured("held, once all are written", &human::grouped(expiry.held));
    narrator.measured("held in the end", &human::grouped(expiry.left));
    narrator.measured("from the last write to the end", &human::duration(expiry.took));
    narrator.gap();
    narrator.book(
        "ch. 1, \"Approaches for Coping with Load\"",
        "An architecture that scales is built around assumptions about which operations will be common and which rare: the \
         load parameters. A cache is such an assumption, and the hit rate says whether it holds.",
    );
    narrator.look(
        "Which key goes is decided in src/engine/eviction.rs, from five samples at a time; whose deadline has passed, in \
         src/engine/expiry.rs.",
    );
    Ok(())
}

/// Writes keys with a deadline, and watches their number until it is zero.
async fn expire(client: &mut Client) -> Result<Expired, Error> {
    client.config_set("maxmemory", "0").await?;
    client.flushall().await?;
    let lifetime = SESSION_MS.to_string();
    for number in 0..SESSIONS {
        client.queue(&["SET", &format!("session:{number}"), "somebody", "PX", &lifetime]).await?;
    }
    client.run_all().await?;
    let began = Instant::now();
    let held = client.dbsize().await?;
    let mut left = held;
    while left > 0 && began.elapsed() < PATIENCE {
        left = client.dbsize().await?;
    }
    Ok(Expired { held, left, took: began.elapsed() })
}

async fn measure(
    client: &mut Client,
    value: &str,
    limit_percent: u64,
    full: u64,
    progress: &mut Progress,
) -> Result<Cached, Error> {
    client.config_set("maxmemory", "0").await?;
    client.flushall().await?;
    let limit_bytes = full * limit_percent / 100;
    client.config_set("maxmemory", &limit_bytes.to_string()).await?;
    let evicted_before = client.info_number("stats", "evicted_keys").await?;
    for key in 0..KEYS {
        client.queue(&["SET", &format!("record:{key}"), value]).await?;
    }
    client.run_all().await?;
    progress.inc(KEYS);
    let mut keys = Keys::zipfian(KEYS, Keys::YCSB_THETA)?.scrambled().stream(1);
    let (mut hits, mut counted) = (0, 0);
    for batch in 0..REQUESTS / BATCH {
        let wanted: Vec<String> = keys.by_ref().take(BATCH).map(|key| format!("record:{key}")).collect();
        for key in &wanted {
            client.queue(&["GET", key]).await?;
        }
        let replies = client.run().await?;
        let missing: Vec<&String> =
            wanted.iter().zip(&replies).filter(|(_, reply)| reply.is_null()).map(|(key, _)| key).collect();
        if batch >= REQUESTS / BATCH / 2 {
            counted += wanted.len();
            hits += wanted.len() - missing.len();
        }
        for key in missing {
            client.queue(&["SET", key, value]).await?;
        }
        client.run_all().await?;
        progress.inc(BATCH as u64);
    }
    Ok(Cached {
        limit_percent,
        limit_bytes,
        keys: client.dbsize().await?,
        hit_rate: hits as f64 / counted.max(1) as f64,
        evicted: client.info_number("stats", "evicted_keys").await? - evicted_before,
    })
}
