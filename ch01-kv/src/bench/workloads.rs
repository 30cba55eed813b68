//! What is measured: the chapter's questions about the server, as loads.

use std::str::FromStr;

use serde::Serialize;

use super::load::Operation;
use super::systems::Durability;

/// How many keys the memory of one is measured with, and how long their values are. The names have 16 bytes.
pub const MEMORY_KEYS: u64 = 1_000_000;

/// How long the values are with which the memory of a key is measured.
pub const MEMORY_VALUE_BYTES: usize = 100;

/// What one part of the bench measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Requests, as fast as they go.
    Requests {
        /// What they do.
        operation: Operation,
        /// How many a connection sends before it waits.
        pipeline: u64,
        /// Under which durability; `None`: the one that the command line says.
        appendfsync: Option<Durability>,
    },
    /// How much memory a key takes.
    Memory,
}

/// A named part of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// Its name on the command line and in the JSON.
    pub name: &'static str,
    /// Its name in the table.
    pub title: &'static str,
    /// What it measures.
    pub kind: Kind,
}

/// All of them, in the order in which they run.
pub const ALL: [Workload; 6] = [
    requests("set", "SET, pipeline 1", Operation::Set, 1, None),
    requests("get", "GET, pipeline 1", Operation::Get, 1, None),
    requests("set-p16", "SET, pipeline 16", Operation::Set, 16, None),
    requests("get-p16", "GET, pipeline 16", Operation::Get, 16, None),
    requests("set-always", "SET, pipeline 1", Operation::Set, 1, Some(Durability::Always)),
    Workload { name: "memory", title: "memory", kind: Kind::Memory },
];

impl Workload {
    /// The durability that it runs under, where the command line says `chosen`. A key's memory is measured without a log,
    /// whose buffers are not the key's.
    pub fn durability(&self, chosen: Durability) -> Durability {
        match self.kind {
            Kind::Requests { appendfsync, .. } => appendfsync.unwrap_or(chosen),
            Kind::Memory => Durability::Off,
        }
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ALL.into_iter().find(|workload| workload.name == text).ok_or_else(|| {
            let names: Vec<&str> = ALL.iter().map(|workload| workload.name).collect();
            format!("there are {}", names.join(", "))
        })
    }
}

const fn requests(
    name: &'static str,
    title: &'static str,
    operation: Operation,
    pipeline: u64,
    appendfsync: Option<Durability>,
) -> Workload {
    Workload { name, title, kind: Kind::Requests { operation, pipeline, appendfsync } }
}
