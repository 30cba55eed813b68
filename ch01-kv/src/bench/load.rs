//! What a driver is asked to send, and what it has seen.

use std::num::NonZeroUsize;

use serde::Serialize;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// `SET key value`
    Set,
    /// `GET key`
    Get,
}

/// A load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// What each request does.
    pub operation: Operation,
    /// How many requests a connection sends before it waits.
    pub pipeline: u64,
    /// How many connections there are.
    pub clients: NonZeroUsize,
    /// How many keys there are.
    pub keys: u64,
    /// How long a value is.
    pub value_bytes: usize,
    /// How many requests are sent in all.
    pub requests: u64,
}

/// What a driver has seen. Times are in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// Requests a second.
    pub throughput: f64,
    /// Half of the pipelines took at most this.
    pub p50_ns: f64,
    /// 95 of 100 took at most this.
    pub p95_ns: f64,
    /// 99 of 100 took at most this.
    pub p99_ns: f64,
    /// 999 of 1000 took at most this.
    pub p999_ns: f64,
}
