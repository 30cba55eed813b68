//! What can go wrong outside a command: a command's own errors are replies ([`crate::protocol::error`]).

use std::io;
use std::net::SocketAddr;

use common::cli::Exit;
use common::resp::ClientError;

use crate::storage::StorageError;

/// The crate's error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log cannot be read, written or ended.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The machine refuses something that the server needs.
    #[error("cannot {action}")]
    System {
        /// What was tried: a verb.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The command line or the terminal.
    #[error(transparent)]
    Cli(#[from] common::cli::Error),
    /// A server that was talked to.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// There is no server where one was to be talked to.
    #[error("cannot reach a server at {address}; is one running? (cargo run -p ch01-kv -- serve --data DIR)")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A reply that makes no sense.
    #[error("the server answered {0}")]
    Unexpected(String),
    /// The load that was asked for makes no sense, or could not be produced.
    #[error(transparent)]
    Load(#[from] common::load::Error),
    /// The tour did not reach its end.
    #[error(transparent)]
    Tour(#[from] common::tour::TourError),
    /// A bench or a tour could not be run, for a reason in words.
    #[error("{0}")]
    Cannot(String),
}

impl Error {
    /// For `map_err`: what was tried.
    pub fn system(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { action, source }
    }

    /// The exit status that it ends the program with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Storage(error) if error.is_damage() => Exit::Damaged,
            Self::Cli(error) => error.exit(),
            Self::Tour(error) => error.exit(),
            _ => Exit::Failed,
        }
    }
}
