//! The counting disk counts what the disk behind it does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::disk::{CountedDisk, Counts, Disk, Fault, Open, Operation, SimDisk};

#[test]
fn every_call_and_every_byte_is_counted_once_under_its_file() {
    let sim = SimDisk::new(0);
    let disk = CountedDisk::new(Arc::new(sim.clone()));
    let (a, b) = (Path::new("/a"), Path::new("/b"));
    let file = disk.open(a, Open::New).unwrap();
    file.write_at(&[1; 100], 0).unwrap();
    file.write_at(&[2; 30], 100).unwrap();
    file.sync_data().unwrap();
    disk.clone().open(b, Open::New).unwrap().write_at(&[3; 7], 0).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let mut buf = [0; 64];
    assert_eq!(file.read_at(&mut buf, 100).unwrap(), 30);
    let of_a = Counts { opens: 1, reads: 1, read_bytes: 30, writes: 2, written_bytes: 130, syncs: 1 };
    let of_b = Counts { opens: 1, writes: 1, written_bytes: 7, ..Counts::default() };
    let of_dir = Counts { syncs: 1, ..Counts::default() };
    let by_path = disk.by_path();
    assert_eq!((by_path[a], by_path[b], by_path[Path::new("/")]), (of_a, of_b, of_dir));
    assert_eq!(
        disk.total(),
        Counts { opens: 2, reads: 1, read_bytes: 30, writes: 3, written_bytes: 137, syncs: 2 },
        "the sum of its files"
    );
    disk.reset();
    assert_eq!((disk.total(), disk.by_path().len()), (Counts::default(), 0));
    assert_eq!(sim.cached(a).unwrap().len(), 130, "and it is done");
}

#[test]
fn what_fails_is_a_call_without_bytes() {
    let sim = SimDisk::new(0);
    let disk = CountedDisk::new(Arc::new(sim.clone()));
    let file = disk.open(Path::new("/a"), Open::New).unwrap();
    sim.fail_nth(Operation::Write, 1, Fault::Eio);
    assert!(file.write_at(&[1; 100], 0).is_err());
    sim.fail_nth(Operation::Read, 1, Fault::Eio);
    assert!(file.read_at(&mut [0; 10], 0).is_err());
    assert!(disk.open(Path::new("/missing"), Open::Existing).is_err());
    let counts = disk.by_path();
    let of_a = Counts { opens: 1, reads: 1, writes: 1, ..Counts::default() };
    assert_eq!(counts[Path::new("/a")], of_a);
    assert_eq!(counts[&PathBuf::from("/missing")], Counts { opens: 1, ..Counts::default() });
}
