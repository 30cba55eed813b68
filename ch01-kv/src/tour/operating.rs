//! What an operator sees: metrics, health, the slow log and INFO of a server that is at work.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use common::tour::Narrator;

use super::stage::Stage;
use crate::client::Client;
use crate::error::Error;

/// Requests before anyone looks.
const REQUESTS: usize = 2_000;

/// How long the slow request takes.
const SLOW: &str = "0.025";

/// The most of an HTTP response that is read, in bytes.
const MAX_RESPONSE_BYTES: u64 = 1 << 20;

/// How long a response may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// The metrics that are shown, of those that there are.
const METRICS: [&str; 8] = [
    "kv_connected_clients",
    "kv_commands_total",
    "kv_changes_total",
    "kv_data_bytes",
    "kv_log_bytes",
    "kv_log_groups_total",
    "kv_log_syncs_total",
    "kv_read_only",
];

pub(super) fn play(narrator: &mut Narrator, stage: &mut Stage) -> Result<(), Error> {
    let server = stage.serve_observed("operate")?;
    let admin = server.admin().ok_or_else(|| Error::Cannot("the server has no admin endpoint".into()))?;
    narrator.says(&format!(
        "A server with an admin endpoint (serve --admin HOST:PORT) takes {REQUESTS} writes, one request that takes {SLOW} s, and \
         one that is a mistake. Then someone looks."
    ));
    let (client, slow, info) = stage.runtime.block_on(async {
        let mut client = Client::connect(server.address()).await?;
        for number in 0..REQUESTS {
            client.queue(&["HSET", &format!("user:{}", number % 200), "visits", &number.to_string()]).await?;
        }
        client.run_all().await?;
        client.call(&["DEBUG", "SLEEP", SLOW]).await?;
        let mistake = client.connection().call(&["GET", "user:1"]).await?;
        let slow = client.call(&["SLOWLOG", "GET", "1"]).await?;
        let mut info = format!("GET user:1 -> {mistake}\n");
        for (section, field) in [
            ("server", "redis_version"),
            ("clients", "connected_clients"),
            ("stats", "total_commands_processed"),
            ("persistence", "aof_last_write_status"),
            ("errorstats", "errorstat_WRONGTYPE"),
            ("keyspace", "db0"),
        ] {
            let value = client.info(section).await?.into_iter().find(|(name, _)| name == field);
            let value = value.map_or_else(|| "(not there)".to_owned(), |(_, value)| value);
            info.push_str(&format!("INFO {section:<12} {field}:{value}\n"));
        }
        Ok::<_, Error>((client, slow, info))
    })?;
    let metrics = fetch(admin, "/metrics")?;
    let shown = metrics.lines().filter(|line| METRICS.iter().any(|name| line.starts_with(&format!("{name} "))));
    narrator.show(&format!("GET http://{admin}/metrics\n{}", shown.collect::<Vec<_>>().join("\n")));
    let health = fetch(admin, "/health")?;
    drop(client);
    narrator.show(&format!("GET http://{admin}/health\n{}", health.trim_end()));
    narrator.show(&format!("SLOWLOG GET 1\n{slow}"));
    narrator.show(&info);
    server.stop()?;
    narrator.book(
        "ch. 1, \"Operability: Making Life Easy for Operations\"",
        "Good operations can often work around the limits of bad software; good software cannot run with bad operations. What a \
         system owes them is to be seen into: health, where time goes, and no surprises.",
    );
    narrator.says(
        "The other two parts of maintainability are in the code. Simplicity: what decides is in src/engine, and opens no file \
         and reads no clock. Evolvability: a command is one row of a table, from which arity, keys, dispatch and COMMAND all \
         work.",
    );
    narrator.look("redis-cli works on any server of this chapter: redis-cli -p PORT, then INFO, SLOWLOG GET, MONITOR.");
    Ok(())
}

/// The body of an HTTP response.
fn fetch(address: SocketAddr, path: &str) -> Result<String, Error> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut response = String::new();
        stream.take(MAX_RESPONSE_BYTES).read_to_string(&mut response)?;
        Ok(response)
    };
    let response = ask().map_err(Error::system("fetch from the admin endpoint"))?;
    match response.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => Err(Error::Unexpected(response.lines().next().unwrap_or("nothing").to_owned())),
    }
}
