//! The stage: what scenes share, which is a runtime for their clients and a directory that goes when the tour ends.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use common::cli::Shutdown;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::error::Error;
use crate::protocol::config::Config;
use crate::server::{Options, Running};

/// Any free port on loopback.
pub(super) const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What scenes share.
#[derive(Debug)]
pub(super) struct Stage {
    /// Where a scene's clients run: one thread, which is not the server's.
    pub(super) runtime: Runtime,
    /// Whether the tour is to end.
    pub(super) shutdown: Shutdown,
    dir: TempDir,
}

impl Stage {
    /// A runtime, and an empty directory.
    pub(super) fn new(shutdown: Shutdown) -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::system("start the runtime"))?;
        let dir = tempfile::Builder::new().prefix("ch01-kv-tour-").tempdir();
        Ok(Self { runtime, shutdown, dir: dir.map_err(Error::system("make a temporary directory"))? })
    }

    /// A directory for one server.
    pub(super) fn dir(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The directory of all of them.
    pub(super) fn root(&self) -> &Path {
        self.dir.path()
    }

    /// A server on a thread of its own, with its log in the directory `name`.
    pub(super) fn serve(&self, name: &str, configure: impl FnOnce(&mut Config)) -> Result<Running, Error> {
        let mut config = Config::new(ANY_PORT, self.dir(name));
        configure(&mut config);
        Running::start(Options::new(config))
    }

    /// As [`serve`](Self::serve), with an admin endpoint.
    pub(super) fn serve_observed(&self, name: &str) -> Result<Running, Error> {
        let config = Config::new(ANY_PORT, self.dir(name));
        Running::start(Options { admin: Some(ANY_PORT), ..Options::new(config) })
    }
}
