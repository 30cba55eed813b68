//! What `common::disk` promises, in four parts: what both disks do alike, what survives a crash of the simulated one,
//! that each of its faults happens, and what a harness builds on it.

use std::path::Path;
use std::sync::Arc;

use common::disk::{Crash, Disk, DiskFile, Open};

#[path = "disk/campaigns.rs"]
mod campaigns;
#[path = "disk/conformance.rs"]
mod conformance;
#[path = "disk/counted.rs"]
mod counted;
#[path = "disk/crashes.rs"]
mod crashes;
#[path = "disk/faults.rs"]
mod faults;

const EVERY_CRASH: [Crash; 3] = [Crash::LoseAll, Crash::KeepAll, Crash::Random];

/// Enough draws for each outcome that has a fair chance to be seen.
const SEEDS: u64 = 200;

fn open(disk: &dyn Disk, path: impl AsRef<Path>, how: Open) -> Arc<dyn DiskFile> {
    disk.open(path.as_ref(), how).expect("the file opens")
}

/// Writes a file that is there, with its name, whatever happens.
fn durable_file(disk: &dyn Disk, path: impl AsRef<Path>, content: &[u8]) -> Arc<dyn DiskFile> {
    let path = path.as_ref();
    let file = open(disk, path, Open::Truncate);
    file.write_at(content, 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(path.parent().unwrap()).unwrap();
    file
}

fn content(disk: &dyn Disk, path: impl AsRef<Path>) -> Vec<u8> {
    let file = open(disk, path, Open::ReadOnly);
    let mut bytes = vec![0xee; file.len().unwrap() as usize + 1];
    let count = file.read_at(&mut bytes, 0).unwrap();
    assert_eq!(count + 1, bytes.len(), "a read yields the whole file and nothing beyond it");
    bytes.truncate(count);
    bytes
}
