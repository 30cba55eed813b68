//! The log on a disk that fails: crashes at every operation, full disks, damage; and Redis's own tools on what it wrote.

mod crashes;
mod damage;
mod faults;
mod redis;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use ch01_kv::storage::{Log, LogOptions, Report, StorageError};
use common::disk::{Disk, SimDisk};
use common::resp::Request;

/// How many commands each group of a workload holds: enough that half a group would show.
const COMMANDS_PER_GROUP: usize = 3;

fn dir() -> PathBuf {
    PathBuf::from("/data/kv")
}

fn log_path() -> PathBuf {
    dir().join("appendonly.aof")
}

fn shared(disk: &SimDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

/// The `index`-th group: each command names itself, and values differ in length, to meet sectors at every offset.
fn group(index: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for command in 0..COMMANDS_PER_GROUP {
        let (key, value) = (format!("{index}:{command}"), "v".repeat(10 + 71 * index % 400));
        write!(out, "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n", key.len(), value.len()).expect("memory");
    }
    out
}

/// The keys of the first `groups` groups, in order.
fn keys(groups: usize) -> Vec<String> {
    (0..groups).flat_map(|index| (0..COMMANDS_PER_GROUP).map(move |command| format!("{index}:{command}"))).collect()
}

/// Opens the log; the keys that its commands set, in order.
fn open_with(disk: &SimDisk, preallocate_bytes: u64) -> Result<(Log, Report, Vec<String>), StorageError> {
    let mut keys = Vec::new();
    let options = LogOptions { salt: 1 + disk.operations(), preallocate_bytes };
    let (log, report) = Log::open(&shared(disk), &dir(), options, &mut |request: &Request<'_>| {
        keys.push(String::from_utf8_lossy(request.get(1).unwrap_or_default()).into_owned());
        Ok(())
    })?;
    Ok((log, report, keys))
}

fn open(disk: &SimDisk) -> Result<(Log, Report, Vec<String>), StorageError> {
    open_with(disk, 0)
}

fn sync(log: &mut Log) -> std::io::Result<()> {
    let point = log.sync_point();
    point.run()?;
    log.synced(&point);
    Ok(())
}
