//! The manners that all binaries share: logs, exit codes, shutdown, progress, tables, charts and the `ready` line.
//!
//! Eleven systems whose flags, exit codes and signals differ would have to be learned eleven times. What an operator meets
//! at the edge of a program (does it start, does it say why not, does it stop when asked) is part of its being operable
//! (DDIA ch. 1, "Operability: Making Life Easy for Operations"), so it is written once, here.
//!
//! - [`Verbosity`] and [`init_logs`]: quiet unless asked; logs go to standard error, results to standard output.
//! - [`run`] and [`Exit`]: an error is printed with all its causes and ends in an exit code that a script can act on.
//! - [`Shutdown`]: the first Ctrl-C or SIGTERM asks, the second Ctrl-C insists.
//! - [`Progress`], [`Table`], [`chart`], [`human`]: what a person reads. Plain in a pipe, fitted to the width on a terminal.
//! - [`converse`]: a shell reads lines, from a person with a history and from a script without.
//! - [`check_bind`] and [`ready_line`]: a server that listens where it is safe to, and says where that is.

pub mod chart;
mod exit;
pub mod human;
mod lines;
mod listen;
mod logs;
mod progress;
mod shutdown;
mod table;
mod term;

pub use exit::{Exit, explain, run};
pub use lines::{LINE_MAX_BYTES, Session, converse, execute_all};
pub use listen::{check_bind, check_bind_open, listen_addr, ready_line, ready_text};
pub use logs::{Verbosity, init_logs};
pub use progress::Progress;
pub use shutdown::{Shutdown, Trigger};
pub use table::Table;
pub use term::{Look, PIPE_WIDTH, print, printable};

use std::io;
use std::net::SocketAddr;

/// What can go wrong at the edge of a program, before its own work is reached.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `RUST_LOG` is set to something that is not a filter.
    #[error("RUST_LOG={filter:?} is not a log filter; write for example RUST_LOG=info or RUST_LOG=warn,common=debug")]
    LogFilter {
        /// What the variable holds.
        filter: String,
        /// What the parser says about it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// `RUST_LOG` is set to bytes that are not text.
    #[error("RUST_LOG is not valid UTF-8; write for example RUST_LOG=info")]
    LogFilterEncoding,
    /// An address that other machines can reach, and nothing that keeps them out.
    #[error(
        "refusing to listen on {addr}, which other machines can reach, without credentials; set a password, or listen on \
         127.0.0.1:{port}", port = addr.port()
    )]
    PublicBind {
        /// The address that was asked for.
        addr: SocketAddr,
    },
    /// A server that never asks for credentials was to listen to other machines.
    #[error(
        "refusing to listen on {addr}, which other machines can reach: this endpoint asks for no password; listen on \
         127.0.0.1:{port}, and let whoever needs it come through a tunnel or a proxy", port = addr.port()
    )]
    PublicOpenBind {
        /// The address that was asked for.
        addr: SocketAddr,
    },
    /// A text that is no address.
    #[error("{text:?} is not an address to listen on; write HOST:PORT, for example 127.0.0.1:0 for any free port")]
    ListenAddress {
        /// What was given.
        text: String,
        /// What the resolver says, where it was asked.
        #[source]
        source: Option<io::Error>,
    },
    /// Flags that cannot be obeyed, in words.
    #[error("{0}")]
    Usage(String),
    /// Standard output cannot be written. A closed pipe is what `| head` does and no failure: [`run`] ends quietly.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
    /// Standard input cannot be read.
    #[error("cannot read standard input")]
    Input(#[source] io::Error),
    /// A line from a pipe does not end.
    #[error("a line of more than {LINE_MAX_BYTES} bytes is not executed")]
    LongLine,
    /// The terminal, or the file with its history, cannot be used.
    #[error("cannot use the terminal")]
    Terminal(#[source] io::Error),
    /// The signal handlers cannot be installed.
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
}

impl Error {
    /// The exit code that belongs to this error.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Output(source) if source.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Output(_) | Self::Input(_) | Self::LongLine | Self::Terminal(_) | Self::Signals(_) => Exit::Failed,
            Self::LogFilter { .. }
            | Self::LogFilterEncoding
            | Self::PublicBind { .. }
            | Self::PublicOpenBind { .. }
            | Self::ListenAddress { .. }
            | Self::Usage(_) => Exit::Usage,
        }
    }
}
