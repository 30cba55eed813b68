//! Killed under load: a server process dies in the middle of its work, and is started again.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Instant;

use common::cli::{Table, human};
use common::load::process::fdatasync_probe;
use common::tour::{Answer, Narrator, Question};
use tokio::task::{JoinSet, LocalSet};

use super::stage::{ANY_PORT, Stage};
use crate::client::Client;
use crate::engine::durability::Policy;
use crate::error::Error;

/// Writers, each with one request in flight.
const WRITERS: u64 = 8;

/// After how many acknowledged writes the process is killed.
const KILL_AFTER: usize = 600;

/// How many times the disk's sync is measured.
const PROBES: usize = 15;

/// A server in a process of its own, which ends with this.
struct Server {
    child: Child,
    address: SocketAddr,
}

/// What became of the writes.
struct Fate {
    policy: Policy,
    acknowledged: usize,
    found: usize,
    /// Not acknowledged, and there nevertheless.
    unasked: u64,
    recovery: std::time::Duration,
}

/// A write that was acknowledged.
type Acknowledged = Rc<RefCell<Vec<String>>>;

pub(super) fn play(narrator: &mut Narrator, stage: &mut Stage) -> Result<(), Error> {
    narrator.says(&format!(
        "This program starts itself as a server in a process of its own, lets {WRITERS} clients write to it, and ends that process \
         with SIGKILL after {KILL_AFTER} acknowledged writes, while more are under way. Then it starts a server on the \
         same directory and looks for each write that was acknowledged. It does so for each appendfsync."
    ));
    let guess = narrator.quiz(
        "Which settings will have lost acknowledged writes?",
        Question::Options(&["no", "no and everysec", "none of the three"]),
    );
    let mut fates = Vec::new();
    for policy in [Policy::Always, Policy::EverySec, Policy::No] {
        match kill_and_count(stage, policy) {
            Ok(fate) => fates.push(fate),
            // Ctrl-C in a terminal reaches the server's process as well.
            Err(_) if stage.shutdown.is_requested() => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    let mut table =
        Table::new(["appendfsync", "acknowledged", "found", "lost", "found, not acknowledged", "started again in"]);
    for fate in &fates {
        table.row([
            fate.policy.to_string(),
            fate.acknowledged.to_string(),
            fate.found.to_string(),
            (fate.acknowledged - fate.found).to_string(),
            fate.unasked.to_string(),
            human::duration(fate.recovery),
        ]);
    }
    narrator.table(&table);
    let lost = |policy| fates.iter().any(|fate| fate.policy == policy && fate.found < fate.acknowledged);
    let answer = match (lost(Policy::Always), lost(Policy::EverySec), lost(Policy::No)) {
        (false, false, false) => Some(2),
        (false, true, true) => Some(1),
        (false, false, true) => Some(0),
        _ => None,
    };
    if let Some(answer) = answer {
        narrator.reveal(&guess, Answer::Option(answer));
    }
    let sync = fdatasync_probe(stage.root(), PROBES).map_err(Error::system("measure a sync of the disk"))?;
    narrator.measured("an fdatasync of this disk, median", &human::duration(sync));
    narrator.gap();
    let verdict = match fates.iter().map(|fate| fate.acknowledged - fate.found).sum::<usize>() {
        0 => "No setting lost anything, and that proves little.".to_owned(),
        lost => format!("{lost} acknowledged writes are gone, which a kill must never cost: recovery is at fault."),
    };
    narrator.says(&format!(
        "{verdict} What a process has written with write(2) is the kernel's from then on: \
         it lies in the page cache, and the page cache outlives the process. The kill tests that the log can be replayed. It \
         cannot tell a server that syncs from one that never does."
    ));
    narrator.book(
        "ch. 1, \"Reliability\"",
        "A fault is a component off its specification, a failure is a system that no longer serves. It pays to cause faults on \
         purpose, as killing processes at random does, so that the machinery for them is exercised. Here it is the wrong \
         fault for the question: the next scene causes the right one.",
    );
    Ok(())
}

fn kill_and_count(stage: &Stage, policy: Policy) -> Result<Fate, Error> {
    let dir = stage.dir(&format!("kill-{policy}"));
    let server = Server::start(&dir, policy)?;
    let acknowledged = stage.runtime.block_on(write_until_killed(server))?;
    let began = Instant::now();
    let server = Server::start(&dir, policy)?;
    let recovery = began.elapsed();
    let (found, all) = stage.runtime.block_on(async {
        let mut client = Client::connect(server.address).await?;
        for key in &acknowledged {
            client.queue(&["GET", key]).await?;
        }
        // Each write's value is its key: one that is there with another value is lost as well.
        let replies = client.run().await?;
        let found =
            acknowledged.iter().zip(replies).filter(|(key, reply)| reply.as_str() == Some(key.as_str())).count();
        let all = client.dbsize().await?;
        client.shutdown().await?;
        Ok::<_, Error>((found, all))
    })?;
    Ok(Fate { policy, acknowledged: acknowledged.len(), found, unasked: all.saturating_sub(found as u64), recovery })
}

/// Writes until the server has been killed; what was acknowledged.
async fn write_until_killed(server: Server) -> Result<Vec<String>, Error> {
    let mut clients = Vec::new();
    for _ in 0..WRITERS {
        clients.push(Client::connect(server.address).await?);
    }
    let acknowledged = Acknowledged::default();
    let server = Rc::new(RefCell::new(server));
    let local = LocalSet::new();
    let mut writers = JoinSet::new();
    for (writer, mut client) in clients.into_iter().enumerate() {
        let (acknowledged, server) = (Rc::clone(&acknowledged), Rc::clone(&server));
        let task = async move {
            for number in 0_u64.. {
                let key = format!("write:{writer}:{number}");
                // A write that fails may have been executed or not: nobody was told.
                if client.set(&key, &key).await.is_err() {
                    return Ok(());
                }
                let count = {
                    let mut acknowledged = acknowledged.borrow_mut();
                    acknowledged.push(key);
                    acknowledged.len()
                };
                if count == KILL_AFTER {
                    server.borrow_mut().child.kill().map_err(Error::system("kill the server"))?;
                }
            }
            Ok::<(), Error>(())
        };
        writers.spawn_local_on(task, &local);
    }
    local
        .run_until(async {
            while let Some(ended) = writers.join_next().await {
                ended.unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic()))?;
            }
            Ok::<(), Error>(())
        })
        .await?;
    let written = acknowledged.take();
    if written.len() < KILL_AFTER {
        return Err(Error::Cannot(format!("the server ended after {} writes, before it was killed", written.len())));
    }
    Ok(written)
}

impl Server {
    /// Starts this program as a server and waits until it serves.
    fn start(dir: &Path, policy: Policy) -> Result<Self, Error> {
        let program = std::env::current_exe().map_err(Error::system("find this program"))?;
        let log = dir.with_extension("stderr");
        let stderr = File::create(&log).map_err(Error::system("write to the temporary directory"))?;
        let mut child = Command::new(program)
            .arg("serve")
            .arg("--data")
            .arg(dir)
            .args(["--listen", &ANY_PORT.to_string(), "--appendfsync", &policy.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(Error::system("start a process"))?;
        let stdout = child.stdout.take().expect("its standard output is a pipe");
        // Made at once, so that the process ends if what follows fails.
        let mut server = Self { child, address: ANY_PORT };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map_err(Error::system("hear from the server"))?;
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("listen=")?.parse().ok());
        server.address = address.ok_or_else(|| {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            Error::Cannot(format!("the server process did not start: {}", said.trim()))
        })?;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error says that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
