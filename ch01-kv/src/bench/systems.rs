//! The systems under test: this server and a real one, each a process of its own with the same durability.
//!
//! A comparison is fair only if both promise the same. Both therefore keep a log under the same `appendfsync`, or none;
//! neither writes snapshots, and neither rewrites its log while it is measured.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use common::load::process::{self, Usage};
use common::resp::Client;
use serde::Serialize;

use super::process::{Directory, Process};
use crate::error::Error;

/// How long a server may take to start: far more than an empty one needs, even on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How long is waited between two attempts to reach a server that starts.
const START_POLL: Duration = Duration::from_millis(10);

/// How many free ports are tried for a server that cannot choose one itself: another process may take it in between.
const PORT_ATTEMPTS: usize = 5;

/// How many lines of a server's output are shown when it does not start.
const SHOWN_LINES: usize = 8;

/// A system to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// This crate's server.
    Ours,
    /// A real redis-server.
    Redis,
}

/// A system to measure beside this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// A real redis-server
    Redis,
}

/// What the systems promise about a write that they have acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// There is no log.
    Off,
    /// A log, which the kernel writes when it likes.
    No,
    /// A log, synced once a second.
    Everysec,
    /// A log, synced before each acknowledgement.
    Always,
}

/// How servers are started.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The program of the peer.
    pub redis_server: PathBuf,
    /// Where the servers' directories are made.
    pub parent: PathBuf,
}

/// A server that runs.
///
/// **Invariant**: the process of this id is the one that answers at the address.
#[derive(Debug)]
pub struct Server {
    // Fields are dropped in this order: the process has ended before its directory is removed.
    process: Process,
    /// Kept open: a server that writes to a closed pipe would see an error.
    _stdout: Option<ChildStdout>,
    directory: Directory,
    address: SocketAddr,
    version: String,
}

impl System {
    /// What tables and messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ch01-kv",
            Self::Redis => "redis-server",
        }
    }
}

impl Durability {
    /// Its word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::No => "no",
            Self::Everysec => "everysec",
            Self::Always => "always",
        }
    }

    /// The value of `appendonly`.
    fn appendonly(self) -> &'static str {
        if self == Self::Off { "no" } else { "yes" }
    }

    /// The value of `appendfsync`.
    fn appendfsync(self) -> &'static str {
        if self == Self::Off { "no" } else { self.name() }
    }
}

impl FromStr for Durability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Off, Self::No, Self::Everysec, Self::Always]
            .into_iter()
            .find(|one| one.name() == text)
            .ok_or_else(|| "off, no, everysec or always is meant".into())
    }
}

impl Server {
    /// Starts a system and waits until it serves.
    ///
    /// # Errors
    ///
    /// It is not installed, or does not start; the error quotes what it said.
    pub async fn start(system: System, durability: Durability, setup: &Setup) -> Result<Self, Error> {
        let mut server = match system {
            System::Ours => start_ours(durability, setup)?,
            System::Redis => start_redis(durability, setup).await?,
        };
        let mut client = Client::connect(server.address).await?;
        if system == System::Ours {
            client.try_call(&["CONFIG", "SET", "auto-aof-rewrite-percentage", "0"]).await?;
        }
        let info = client.try_call(&["INFO", "server"]).await?;
        let info = info.as_str().unwrap_or_default();
        let line = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        let (pid, answering) = (server.process.id(), line("process_id").unwrap_or("none"));
        if pid.to_string() != answering {
            // A wrapper script, or another server that took the port: its processor time would not be the server's.
            let name = system.name();
            return Err(Error::Cannot(format!("process {pid} was started as {name}, but process {answering} answers")));
        }
        server.version = match system {
            System::Ours => env!("CARGO_PKG_VERSION").to_owned(),
            System::Redis => line("redis_version").unwrap_or("unknown").to_owned(),
        };
        Ok(server)
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The directory of its log.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What its process has used so far; `None` where the system does not tell.
    pub fn usage(&self) -> Option<Usage> {
        process::usage(self.process.id())
    }
}

fn start_ours(durability: Durability, setup: &Setup) -> Result<Server, Error> {
    let directory = Directory::create(&setup.parent)?;
    let program = std::env::current_exe().map_err(Error::system("find this program's own file"))?;
    let mut command = Command::new(program);
    command.arg("serve").arg("--data").arg(directory.path()).args(["--listen", "127.0.0.1:0"]);
    command.args(["--appendonly", durability.appendonly(), "--appendfsync", durability.appendfsync()]);
    // What is set in the environment of whoever measures is none of the load's parameters.
    command.env_remove("KV_REQUIREPASS").env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(output_file(&directory)?);
    let mut process = Process::start(&mut command)?;
    let mut line = String::new();
    let mut stdout = BufReader::new(process.child().stdout.take().expect("standard output is a pipe"));
    // A server that fails ends, which ends the line as well.
    stdout.read_line(&mut line).map_err(Error::system("read the line that says that the server is ready"))?;
    let address = line.split_ascii_whitespace().find_map(|word| word.strip_prefix("listen=")?.parse().ok());
    match address {
        Some(address) => {
            let stdout = Some(stdout.into_inner());
            Ok(Server { process, _stdout: stdout, directory, address, version: String::new() })
        }
        None => Err(not_started(System::Ours, &directory)),
    }
}

async fn start_redis(durability: Durability, setup: &Setup) -> Result<Server, Error> {
    let mut refused = None;
    for _ in 0..PORT_ATTEMPTS {
        let directory = Directory::create(&setup.parent)?;
        let address = free_address()?;
        let output = output_file(&directory)?;
        let mut command = Command::new(&setup.redis_server);
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--dir"]).arg(directory.path());
        command.args(["--appendonly", durability.appendonly(), "--appendfsync", durability.appendfsync()]);
        command.args([
            "--save",
            "",
            "--auto-aof-rewrite-percentage",
            "0",
            "--daemonize",
            "no",
            "--loglevel",
            "warning",
        ]);
        let errors = output.try_clone().map_err(Error::system("share a server's output file"))?;
        let mut process = Process::start(command.stdin(Stdio::null()).stdout(output).stderr(errors))?;
        let deadline = Instant::now() + START_TIMEOUT;
        while process.is_running() && Instant::now() < deadline {
            if answers(address).await {
                return Ok(Server { process, _stdout: None, directory, address, version: String::new() });
            }
            tokio::time::sleep(START_POLL).await;
        }
        refused = Some(not_started(System::Redis, &directory));
    }
    Err(refused.expect("at least one port was tried"))
}

/// Whether a server answers a PING there. One that loads its log says so instead.
async fn answers(address: SocketAddr) -> bool {
    match Client::connect(address).await {
        Ok(mut client) => client.try_call(&["PING"]).await.is_ok(),
        Err(_) => false,
    }
}

/// An address that was free a moment ago.
fn free_address() -> Result<SocketAddr, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::system("find a free port"))?;
    listener.local_addr().map_err(Error::system("learn the port"))
}

fn output_path(directory: &Directory) -> PathBuf {
    directory.path().join("output")
}

fn output_file(directory: &Directory) -> Result<File, Error> {
    File::create(output_path(directory)).map_err(Error::system("make a file for a server's output"))
}

fn not_started(system: System, directory: &Directory) -> Error {
    let output = std::fs::read_to_string(output_path(directory)).unwrap_or_default();
    let lines: Vec<&str> = output.lines().collect();
    let last = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n  ");
    Error::Cannot(format!("{} did not start; it says:\n  {last}", system.name()))
}
