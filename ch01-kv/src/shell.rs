//! The shell: a small client for a machine without redis-cli.
//!
//! On a terminal it reads lines with history and prints replies as redis-cli does; from a pipe it executes line after line, so
//! that a script can be fed to it. `SUBSCRIBE`, `PSUBSCRIBE` and `MONITOR` print what comes until Ctrl-C.
//!
//! **Left out**: RESP3, completion, hints, cluster mode, and printing raw values.

use std::io::{self, IsTerminal};
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use common::cli;
use common::resp::split_words;

use crate::client::Client;
use crate::error::Error;

/// How long `--wait` leaves a server that does not listen yet alone.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// What `shell` is told.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ShellArgs {
    /// The server
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6379", value_parser = address)]
    pub connect: SocketAddr,
    /// Its password
    #[arg(long, value_name = "PASSWORD", env = "KV_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,
    /// A file that keeps what was typed for the next time; without it, history ends with the shell
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// How long to try until the server listens, for a script that has just started it
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub wait: u64,
}

const EXAMPLES: &str = "Examples:
  cargo run -p ch01-kv -- shell                                to 127.0.0.1:6379
  echo 'SET greeting \"hello world\"' | cargo run -p ch01-kv -- shell --connect 127.0.0.1:7000
  echo PING | cargo run -p ch01-kv -- shell --wait 10           as soon as the server listens";

/// The connection, made when it is needed, and made again after it has failed.
struct Session {
    runtime: tokio::runtime::Runtime,
    address: SocketAddr,
    password: Option<String>,
    client: Option<Client>,
}

/// Runs the shell until `quit`, `exit` or the end of input.
///
/// # Errors
///
/// The server cannot be reached at the beginning, or at any time when lines come from a pipe; the terminal fails.
pub fn run(args: ShellArgs) -> Result<(), Error> {
    let ShellArgs { connect, password, history, wait } = args;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::system("start the runtime"))?;
    let mut session = Session { runtime, address: connect, password, client: None };
    session.wait(Duration::from_secs(wait))?;
    cli::converse(&mut session, history.as_deref())
}

impl cli::Session for Session {
    type Error = Error;

    fn prompt(&self) -> String {
        format!("{}> ", self.address)
    }

    /// Executes a line and prints the reply.
    fn execute(&mut self, line: &[u8]) -> Result<ControlFlow<()>, Error> {
        let Ok(words) = split_words(line) else {
            cli::print("Invalid argument(s)")?;
            return Ok(ControlFlow::Continue(()));
        };
        let Some(name) = words.first() else { return Ok(ControlFlow::Continue(())) };
        let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
        if is("quit") || is("exit") {
            return Ok(ControlFlow::Break(()));
        }
        if self.client.is_none() {
            self.connect()?;
        }
        if ["subscribe", "psubscribe", "monitor"].into_iter().any(is) {
            return self.listen(&words);
        }
        let Some(client) = &mut self.client else { unreachable!("connected above") };
        match self.runtime.block_on(client.connection().call(&words)) {
            Ok(reply) => {
                cli::print(reply)?;
                Ok(ControlFlow::Continue(()))
            }
            Err(error) => {
                self.client = None;
                // That the server closes the connection is what this command asks for.
                if is("shutdown") && matches!(error, common::resp::ClientError::Closed) {
                    return Ok(ControlFlow::Continue(()));
                }
                Err(error.into())
            }
        }
    }
}

impl Session {
    /// Connects, and tries again for `patience` as long as nobody listens.
    fn wait(&mut self, patience: Duration) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            match self.connect() {
                Err(Error::Connect { .. }) if began.elapsed() < patience => std::thread::sleep(RETRY_AFTER),
                other => return other,
            }
        }
    }

    fn connect(&mut self) -> Result<(), Error> {
        let client = self.runtime.block_on(async {
            let mut client = Client::connect(self.address).await?;
            if let Some(password) = &self.password {
                client.auth(password).await?;
            }
            Ok::<_, Error>(client)
        });
        self.client = Some(client.map_err(|source| unreachable_server(self.address, source))?);
        Ok(())
    }

    /// Prints what the server sends of its own accord, until Ctrl-C. The connection is of no other use after that.
    fn listen(&mut self, words: &[Vec<u8>]) -> Result<ControlFlow<()>, Error> {
        let Some(mut client) = self.client.take() else { unreachable!("connected by the caller") };
        if io::stdin().is_terminal() {
            cli::print("(Ctrl-C ends it)")?;
        }
        self.runtime.block_on(async move {
            let connection = client.connection();
            connection.send(words);
            connection.flush().await?;
            loop {
                tokio::select! {
                    interrupted = tokio::signal::ctrl_c() => {
                        interrupted.map_err(Error::system("listen for signals"))?;
                        return Ok(ControlFlow::Continue(()));
                    }
                    message = connection.receive() => {
                        let message = message?;
                        cli::print(&message)?;
                        if message.is_error() {
                            return Ok(ControlFlow::Continue(()));
                        }
                    }
                }
            }
        })
    }
}

/// The address of a server; a name is looked up.
fn address(text: &str) -> Result<SocketAddr, String> {
    let mut found = text.to_socket_addrs().map_err(|error| format!("HOST:PORT is meant: {error}"))?;
    found.next().ok_or_else(|| "this name has no address".to_owned())
}

fn unreachable_server(address: SocketAddr, source: Error) -> Error {
    match source {
        Error::Client(common::resp::ClientError::Io(source)) => Error::Connect { address, source },
        other => other,
    }
}
