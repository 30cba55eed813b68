//! The endpoint's HTTP side: routes, refusals, and limits on what a connection may cost.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

use super::{Guard, Health, Report, Source, Unavailable};
use crate::cli::Shutdown;

/// The media type of `/metrics`.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Connections at once. Observers are few; more wait in the listener's queue until one leaves.
const MAX_CONNECTIONS: usize = 64;

/// How long a connection may last without a byte of an answer: longer than a scrape interval, so that a Prometheus keeps
/// its connection, and short enough that those who send half a request, or never read, do not hold a place.
const IDLE: Duration = Duration::from_secs(30);

/// How long a report may take, whatever the source's own patience: less than Prometheus' scrape timeout of ten seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long answers that are under way get at shutdown.
const GRACE: Duration = Duration::from_secs(1);

/// The page that links to the rest.
const INDEX: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>admin</title>\
    <h1>admin</h1><ul><li><a href=\"/metrics\">/metrics</a>: for Prometheus\
    <li><a href=\"/health\">/health</a>: 200 if it does what it is for, 503 if not\
    <li><a href=\"/state\">/state</a>: what it is like inside</ul></html>\n";

/// Answers requests on `listener` until shutdown is requested. The server is known by the listener's address.
///
/// # Errors
///
/// The listener has no address.
pub async fn serve(listener: TcpListener, source: Arc<dyn Source>, shutdown: Shutdown) -> io::Result<()> {
    let guard = Guard::new(listener.local_addr()?);
    serve_guarded(listener, guard, source, shutdown).await
}

/// [`serve`] with a guard of one's own, for a server that has a name.
///
/// # Errors
///
/// The listener has no address.
pub async fn serve_guarded(
    listener: TcpListener,
    guard: Guard,
    source: Arc<dyn Source>,
    shutdown: Shutdown,
) -> io::Result<()> {
    let app = Router::new()
        .route("/", get(|| async { Html(INDEX) }))
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .route("/state", get(state))
        .with_state(source)
        .layer(middleware::from_fn_with_state(Arc::new(guard), check));
    let listener = Listener { inner: listener, places: Arc::new(Semaphore::new(MAX_CONNECTIONS)) };
    let asked = shutdown.clone();
    let serving = axum::serve(listener, app).with_graceful_shutdown(async move { asked.requested().await });
    tokio::select! {
        served = serving.into_future() => served,
        () = async { shutdown.requested().await; sleep(GRACE).await } => Ok(()),
    }
}

/// Lets through what the guard allows, and tells browsers to keep the answers to themselves.
async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = if let Err(refused) = guard.check(request.uri(), request.headers()) {
        (StatusCode::FORBIDDEN, format!("{refused}\n")).into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    response
}

async fn metrics(State(source): State<Arc<dyn Source>>) -> Response {
    match collect(&*source).await {
        Ok(report) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], report.metrics.render()).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

async fn health(State(source): State<Arc<dyn Source>>) -> Response {
    let health = match collect(&*source).await {
        Ok(report) => report.health,
        Err(error) => Health::Failing(error.to_string()),
    };
    match health {
        Health::Ok => json(StatusCode::OK, &serde_json::json!({"status": "ok"})),
        Health::Failing(reason) => {
            json(StatusCode::SERVICE_UNAVAILABLE, &serde_json::json!({"status": "failing", "reason": reason}))
        }
    }
}

async fn state(State(source): State<Arc<dyn Source>>) -> Response {
    match collect(&*source).await {
        Ok(report) => json(StatusCode::OK, &report.state),
        Err(error) => json(StatusCode::SERVICE_UNAVAILABLE, &serde_json::json!({"error": error.to_string()})),
    }
}

/// JSON in lines, since it is people who look at it.
fn json(status: StatusCode, value: &serde_json::Value) -> Response {
    let text = format!("{value:#}\n");
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn collect(source: &dyn Source) -> Result<Report, Unavailable> {
    tokio::time::timeout(PATIENCE, source.collect()).await.unwrap_or(Err(Unavailable::Timeout))
}

/// Accepts no more connections than there are places.
struct Listener {
    inner: TcpListener,
    places: Arc<Semaphore>,
}

/// A connection that fails when nothing has been answered on it for [`IDLE`], and gives its place back when it ends.
struct Connection {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
        // Axum's own listener waits a moment and tries again when the process is out of files.
        let (stream, peer) = axum::serve::Listener::accept(&mut self.inner).await;
        (Connection { stream, deadline: Box::pin(sleep(IDLE)), _place: place }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

impl Connection {
    fn check_deadline(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check_deadline(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check_deadline(cx)?;
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        let later = Instant::now() + IDLE;
        self.deadline.as_mut().reset(later);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
