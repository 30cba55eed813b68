//! What sends the load: `redis-benchmark` itself, or our own closed loop where it is not installed.
//!
//! Both hold a number of connections open, and on each send a pipeline of requests, wait for all of its replies, and send
//! the next: a closed loop, which finds the throughput that a server can give. The response time is that of the pipeline, so
//! at pipeline 16 it is what sixteen requests together took. Both ask for keys named `key:` and twelve digits, drawn
//! uniformly.
//!
//! A closed loop hides stalls from its own percentiles (see [`common::load`] on coordinated omission). Both systems are
//! measured alike, so that their ratio stands; the times themselves are those of a benchmark, not of a user.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use clap::ValueEnum;
use common::load::{ClosedLoop, KeyStream, Keys, Latencies, Op, Until, closed_loop};
use common::resp::{Client, Value};
use serde::Serialize;

use super::load::{Load, Operation, Seen};
use super::process;
use super::redis_benchmark::{self, PROGRAM};
use crate::error::Error;

/// How many requests are under way while keys are filled in: few enough that their replies fit in the sockets' buffers.
const FILL_BATCH: u64 = 500;

/// The first seed of the own driver's keys.
const SEED: u64 = 1;

/// A driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Driver {
    /// The tool that comes with Redis
    RedisBenchmark,
    /// The one of this crate
    Own,
}

/// A connection of the own driver.
struct Pipelined {
    client: Client,
    load: Load,
    value: Vec<u8>,
    /// The keys of a pipeline's requests but the first, which the loop draws.
    more_keys: KeyStream,
}

impl Driver {
    /// `redis-benchmark` where it is installed, and our own elsewhere.
    pub fn installed() -> Self {
        let found = Command::new(PROGRAM).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
        if found { Self::RedisBenchmark } else { Self::Own }
    }

    /// What tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::RedisBenchmark => PROGRAM,
            Self::Own => "the driver of ch01-kv",
        }
    }

    /// Sends a load to the server at an address.
    ///
    /// # Errors
    ///
    /// The driver cannot be run, or a request failed.
    pub async fn drive(self, load: Load, address: SocketAddr) -> Result<Seen, Error> {
        match self {
            Self::RedisBenchmark => {
                let args = redis_benchmark::args(load, address);
                let output = process::run(OsStr::new(PROGRAM), &args).await?;
                redis_benchmark::parse(&output)
            }
            Self::Own => drive(load, address).await,
        }
    }
}

/// Gives every one of the keys a value of its own.
///
/// # Errors
///
/// The server cannot be reached, or refuses.
pub async fn fill(address: SocketAddr, keys: u64, value_bytes: usize) -> Result<(), Error> {
    let mut client = Client::connect(address).await?;
    let value = value(value_bytes);
    let mut next = 0;
    while next < keys {
        let end = keys.min(next + FILL_BATCH);
        for key in next..end {
            client.send(&[b"SET", key_name(key).as_bytes(), &value]);
        }
        client.flush().await?;
        for _ in next..end {
            check(&client.receive().await?, Operation::Set, value_bytes)?;
        }
        next = end;
    }
    Ok(())
}

/// Sends a load with our own closed loop.
async fn drive(load: Load, address: SocketAddr) -> Result<Seen, Error> {
    let keys = Keys::uniform(load.keys)?;
    let closed = ClosedLoop {
        clients: load.clients,
        until: Until::Operations(load.requests.div_ceil(load.pipeline)),
        seed: SEED,
        expected_interval: None,
    };
    let make = |number: usize| {
        let more_keys = keys.stream(!(number as u64));
        async move {
            let client = Client::connect(address).await?;
            Ok(Pipelined { client, load, value: value(load.value_bytes), more_keys })
        }
    };
    let outcome = closed_loop(closed, &keys, make, Latencies::new()).await?;
    if let Some(error) = outcome.first_error {
        return Err(error);
    }
    let summary = outcome.recorder.summary(outcome.elapsed);
    let nanos = |time: std::time::Duration| time.as_nanos() as f64;
    Ok(Seen {
        throughput: summary.throughput * load.pipeline as f64,
        p50_ns: nanos(summary.p50),
        p95_ns: nanos(summary.p95),
        p99_ns: nanos(summary.p99),
        p999_ns: nanos(summary.p999),
    })
}

impl Op for Pipelined {
    type Error = Error;

    async fn call(&mut self, key: u64) -> Result<(), Error> {
        let Self { client, load, value, more_keys } = self;
        for key in std::iter::once(key).chain(more_keys).take(load.pipeline as usize) {
            let key = key_name(key);
            match load.operation {
                Operation::Set => client.send(&[b"SET", key.as_bytes(), value]),
                Operation::Get => client.send(&[b"GET", key.as_bytes()]),
            }
        }
        client.flush().await?;
        for _ in 0..load.pipeline {
            check(&client.receive().await?, load.operation, load.value_bytes)?;
        }
        Ok(())
    }
}

/// A reply that is not the one that was asked for must not count as a fast one.
fn check(reply: &Value, operation: Operation, value_bytes: usize) -> Result<(), Error> {
    let right = match (operation, reply) {
        (Operation::Set, Value::Simple(text)) => text == "OK",
        (Operation::Get, Value::Bulk(bytes)) => bytes.len() == value_bytes,
        _ => false,
    };
    if right { Ok(()) } else { Err(Error::Unexpected(reply.to_string())) }
}

/// The names that redis-benchmark gives to keys: 16 bytes.
fn key_name(key: u64) -> String {
    format!("key:{key:012}")
}

fn value(len: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(len).collect()
}
