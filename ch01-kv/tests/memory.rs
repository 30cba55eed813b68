//! What is counted as used is what is taken: `maxmemory` bounds memory no better than the count that it is compared with.
//!
//! Each shape of data is measured in a process of its own, on the server's allocator: by how much its anonymous resident
//! memory grows, and what the database says of itself.

use std::process::Command;

use ch01_kv::engine::keyspace::{Db, Ttl};
use ch01_kv::engine::types::UnixMillis;
use ch01_kv::values::{Collection, Hash, List, Set, ZSet};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Names the shape to a process that is to measure it.
const SHAPE: &str = "KV_MEASURED_SHAPE";

/// Tells it how much data to take, in parts of a hundred of [`DATA_BYTES`].
const PERCENT: &str = "KV_MEASURED_PERCENT";

/// Bytes of data enough that what a process takes beside them does not count.
const DATA_BYTES: usize = 32 << 20;

/// What is counted, as parts of what is measured: wide enough for allocators of other machines and kernels.
const FAIR: std::ops::Range<f64> = 0.75..1.35;

/// What a key may take, as parts of what it takes in Redis: at most 1.4 on the mean, and what an allocator rounds up.
const AS_IN_REDIS: f64 = 1.5;

/// Parts of a hundred of the data, spread over a doubling: the table of keys doubles when it is full, so that what a key takes
/// goes up and down by a tenth about its mean.
const PERCENTS: [usize; 3] = [100, 125, 160];

/// A kind of data.
struct Shape {
    name: &'static str,
    /// Resident bytes for each key that Redis 7.0.15 takes for the same; 0 where it was not asked.
    redis_bytes: usize,
    /// About what a key takes, so that every shape is measured on as much data.
    key_bytes: usize,
    /// Puts the nth key.
    put: fn(&mut Db, usize),
}

const fn shape(name: &'static str, redis_bytes: usize, key_bytes: usize, put: fn(&mut Db, usize)) -> Shape {
    Shape { name, redis_bytes, key_bytes, put }
}

#[rustfmt::skip]
static SHAPES: &[Shape] = &[
    shape("string", 95, 50, |db, n| db.set_str(&key(n), b"v", Ttl::Clear)),
    shape("string of 100 bytes", 214, 170, |db, n| db.set_str(&key(n), &[b'x'; 100], Ttl::Clear)),
    shape("string with a deadline", 147, 100, |db, n| db.set_str(&key(n), b"v", Ttl::At(UnixMillis((1 << 40) + n as u64 / 100)))),
    shape("string that grew", 95, 130, |db, n| (0..3).for_each(|_| db.edit_str(&key(n), |value| value.push(b'v')).unwrap())),
    shape("hash of 1 field", 95, 110, |db, n| edit(db, n, |hash: &mut Hash| fill_hash(hash, 1))),
    shape("hash of 5 fields", 120, 150, |db, n| edit(db, n, |hash: &mut Hash| fill_hash(hash, 5))),
    shape("hash of 1,000 fields", 0, 100_000, |db, n| edit(db, n, |hash: &mut Hash| fill_hash(hash, 1000))),
    shape("hash of one long value", 0, 600, |db, n| edit(db, n, |hash: &mut Hash| { hash.set(b"field", &[b'v'; 100]); })),
    shape("list of 1 element", 185, 110, |db, n| edit(db, n, |list: &mut List| fill_list(list, 1))),
    shape("list of 20 elements", 217, 200, |db, n| edit(db, n, |list: &mut List| fill_list(list, 20))),
    shape("list of 1,000 elements", 0, 40_000, |db, n| edit(db, n, |list: &mut List| fill_list(list, 1000))),
    shape("set of 1 member", 219, 110, |db, n| edit(db, n, |set: &mut Set| fill_set(set, 1))),
    shape("set of 1,000 members", 0, 60_000, |db, n| edit(db, n, |set: &mut Set| fill_set(set, 1000))),
    shape("sorted set of 1 member", 95, 110, |db, n| edit(db, n, |zset: &mut ZSet| fill_zset(zset, 1))),
    shape("sorted set of 10 members", 151, 180, |db, n| edit(db, n, |zset: &mut ZSet| fill_zset(zset, 10))),
    shape("sorted set of 1,000 members", 0, 110_000, |db, n| edit(db, n, |zset: &mut ZSet| fill_zset(zset, 1000))),
];

fn key(n: usize) -> Vec<u8> {
    format!("k{n}").into_bytes()
}

fn edit<C: Collection>(db: &mut Db, n: usize, fill: impl FnOnce(&mut C)) {
    db.edit_or_create(&key(n), fill).expect("the key is of this kind");
}

fn fill_hash(hash: &mut Hash, fields: usize) {
    (0..fields).for_each(|n| _ = hash.set(format!("field{n}").as_bytes(), n.to_string().as_bytes()));
}

fn fill_list(list: &mut List, elements: usize) {
    (0..elements).for_each(|n| list.push_back(n.to_string().as_bytes()));
}

fn fill_set(set: &mut Set, members: usize) {
    (0..members).for_each(|n| _ = set.insert(format!("m{n}").as_bytes()));
}

fn fill_zset(zset: &mut ZSet, members: usize) {
    (0..members).for_each(|n| _ = zset.insert(format!("m{n}").as_bytes(), n as f64));
}

/// Anonymous resident memory of this process, in bytes.
fn resident_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<usize>().ok()? << 10)
}

/// Measures the shape that the environment names, and prints what was found: bytes taken and bytes accounted, for each key.
#[test]
fn measured_in_a_process_of_its_own() {
    let Ok(name) = std::env::var(SHAPE) else { return };
    let shape = SHAPES.iter().find(|shape| shape.name == name).expect("a shape of the list");
    let percent: usize = std::env::var(PERCENT).expect("it is told").parse().expect("a number");
    let keys = DATA_BYTES / 100 * percent / shape.key_bytes;
    let mut db = Db::new(1);
    // What comes with the first keys alone is not measured.
    let first = keys / 20;
    (0..first).for_each(|n| (shape.put)(&mut db, n));
    let (resident, used) = (resident_bytes().expect("it was there before"), db.used_bytes());
    (first..keys).for_each(|n| (shape.put)(&mut db, n));
    let taken = resident_bytes().expect("it was there before").saturating_sub(resident);
    println!("measured {} {}", taken / (keys - first), (db.used_bytes() - used) / (keys - first));
    (0..keys).for_each(|n| assert!(db.remove(&key(n))));
    assert_eq!(db.used_bytes(), 0, "{name}: nothing is left over");
}

#[test]
fn what_is_counted_as_used_is_what_is_taken() {
    if resident_bytes().is_none() {
        eprintln!("skipped: what_is_counted_as_used_is_what_is_taken, for there is no /proc/self/status to ask");
        return;
    }
    let mut unfair = Vec::new();
    for shape in SHAPES {
        let first = measure(shape, PERCENTS[0]);
        // What looks wrong at one size is looked at over a doubling.
        let complaint = complaint_of(shape, first).and_then(|_| {
            let all = PERCENTS.map(|percent| measure(shape, percent));
            let mean = |of: fn(&(f64, f64)) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
            complaint_of(shape, (mean(|one| one.0), mean(|one| one.1)))
        });
        unfair.extend(complaint);
    }
    assert!(unfair.is_empty(), "{}", unfair.join("\n"));
}

/// The bytes of a key of that shape: those that a process of its own came to hold, and those that were counted.
fn measure(shape: &Shape, percent: usize) -> (f64, f64) {
    let child = Command::new(std::env::current_exe().expect("this test is a program"))
        .args(["--exact", "measured_in_a_process_of_its_own", "--nocapture"])
        .env(SHAPE, shape.name)
        .env(PERCENT, percent.to_string())
        // What is freed goes back at once, and not when the allocator finds the time.
        .env("MIMALLOC_PURGE_DELAY", "0")
        .output()
        .expect("this test can be run again");
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{}: {said}{}", shape.name, String::from_utf8_lossy(&child.stderr));
    let line = said.lines().find_map(|line| line.split_once("measured ")).expect("it has printed what it found").1;
    let (taken, used) = line.split_once(' ').expect("two numbers");
    let (taken, used) = (taken.parse().expect("a number"), used.parse().expect("a number"));
    println!("{:28} takes {taken:6}, counted {used:6}, {:.2}", shape.name, used / taken);
    (taken, used)
}

fn complaint_of(shape: &Shape, (taken, used): (f64, f64)) -> Option<String> {
    if !FAIR.contains(&(used / taken)) {
        Some(format!("{:28} takes {taken:6.0}, counted {used:6.0}, {:.2}", shape.name, used / taken))
    } else if shape.redis_bytes > 0 && taken > AS_IN_REDIS * shape.redis_bytes as f64 {
        Some(format!("{:28} takes {taken:6.0}, Redis {}", shape.name, shape.redis_bytes))
    } else {
        None
    }
}
