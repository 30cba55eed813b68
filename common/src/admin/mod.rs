//! The admin endpoint: `/metrics` in Prometheus' text format, `/health`, `/state` as JSON, and a page that links to them.
//!
//! A system that cannot be looked into cannot be operated: monitoring is the first thing that operations teams ask of a data
//! system (DDIA ch. 1, "Operability: Making Life Easy for Operations"), and telemetry shows a fault before users do (DDIA
//! ch. 1, "Human Errors").
//!
//! The endpoint asks a [`Source`] for a [`Report`]. An engine is owned by one task and is not shared: its source is a
//! [`Remote`], which sends the owner an [`Ask`] and waits for the answer, with a limit. A report is therefore taken between
//! two events and is consistent; and an owner that no longer answers is itself what `/health` reports.
//!
//! It is read-only, and meant for the machine's own users. A page in a browser is not one of them: a request whose `Host`
//! is a stranger's name (DNS rebinding) or whose `Origin` is another site is refused, see [`Guard`].
//!
//! **Left out**: TLS, authentication, compression, and the OpenMetrics format; put a reverse proxy in front where other
//! machines need it.

mod guard;
mod metrics;
mod remote;
mod server;

use std::future::Future;
use std::pin::Pin;

pub use guard::{Guard, Refused};
pub use metrics::{Buckets, Family, Labels, Metrics, Number};
pub use remote::{Ask, Asks, Remote};
pub use server::{CONTENT_TYPE, serve, serve_guarded};

/// A future on the heap, which may hold what it was made from.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whatever can be looked into.
pub trait Source: Send + Sync + 'static {
    /// What it is like now.
    ///
    /// # Errors
    ///
    /// It does not say; the endpoint then answers 503.
    fn collect(&self) -> BoxFuture<'_, Result<Report, Unavailable>>;
}

/// What a source is like at one moment.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// For `/metrics`.
    pub metrics: Metrics,
    /// For `/health`.
    pub health: Health,
    /// For `/state`: whatever helps to understand it, as JSON.
    pub state: serde_json::Value,
}

/// Whether the system does what it is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Health {
    /// It does.
    #[default]
    Ok,
    /// It does not, or not all of it, for this reason: "read-only: the disk is full".
    Failing(String),
}

/// Why there is no report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The owner did not answer in time.
    #[error("the engine did not answer in time")]
    Timeout,
    /// Too many reports are being waited for.
    #[error("too many reports are being waited for")]
    Busy,
    /// The owner is gone.
    #[error("the engine has stopped")]
    Stopped,
}

/// A source that is a function.
impl<F> Source for F
where
    F: Fn() -> Report + Send + Sync + 'static,
{
    fn collect(&self) -> BoxFuture<'_, Result<Report, Unavailable>> {
        Box::pin(std::future::ready(Ok(self())))
    }
}
