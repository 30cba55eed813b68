//! The real binary, serving: on a free port, and ended when the test is.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
}

impl Served {
    /// Starts `serve` on `data` with more arguments, and waits until it says that it serves.
    pub(crate) fn start(data: &Path, args: &[&str]) -> Self {
        let mut child = command(data, args).stderr(Stdio::inherit()).spawn().expect("the binary starts");
        let mut ready = String::new();
        BufReader::new(child.stdout.take().expect("it is piped"))
            .read_line(&mut ready)
            .expect("it says that it serves");
        let address = ready.strip_prefix("ready listen=").and_then(|rest| rest.split_whitespace().next());
        let address = address.unwrap_or_else(|| panic!("the server said {ready:?}")).parse().expect("an address");
        Self { child, address }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command that serves `data`.
pub(crate) fn command(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ch01-kv"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data).args(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
