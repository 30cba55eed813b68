//! The workloads: what db_bench and YCSB call by these names.

use std::fmt;
use std::str::FromStr;

use common::load::{KeyStream, Keys};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::db::{Db, WriteOptions};
use crate::error::Error;
use crate::storage::batch::Batch;

/// The bytes of a key.
const KEY_BYTES: usize = 16;

/// How many entries a batch of `fillbatch` has.
const BATCH: u64 = 100;

/// How many entries a scan of YCSB E reads at most.
const SCAN: u64 = 100;

/// How many synced writes there are for each thousand keys.
const SYNCED: u64 = 1000;

/// A workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// Puts all keys in order.
    FillSeq,
    /// Puts as many keys as there are, at random.
    FillRandom,
    /// The same, a thousandth of it, each durable when it returns.
    FillSync,
    /// The same in batches of a hundred.
    FillBatch,
    /// Puts keys at random over what is there.
    Overwrite,
    /// Deletes keys at random.
    DeleteRandom,
    /// Gets keys at random.
    ReadRandom,
    /// Gets keys that are not there.
    ReadMissing,
    /// Reads all entries in order.
    ReadSeq,
    /// The same backwards.
    ReadReverse,
    /// Seeks to keys at random.
    SeekRandom,
    /// Gets keys at random while another thread writes.
    ReadWhileWriting,
    /// One of YCSB's, from A to F.
    Ycsb(char),
}

const ALL: [(&str, Workload); 18] = [
    ("fillseq", Workload::FillSeq),
    ("fillrandom", Workload::FillRandom),
    ("fillsync", Workload::FillSync),
    ("fillbatch", Workload::FillBatch),
    ("overwrite", Workload::Overwrite),
    ("deleterandom", Workload::DeleteRandom),
    ("readrandom", Workload::ReadRandom),
    ("readmissing", Workload::ReadMissing),
    ("readseq", Workload::ReadSeq),
    ("readreverse", Workload::ReadReverse),
    ("seekrandom", Workload::SeekRandom),
    ("readwhilewriting", Workload::ReadWhileWriting),
    ("ycsb-a", Workload::Ycsb('a')),
    ("ycsb-b", Workload::Ycsb('b')),
    ("ycsb-c", Workload::Ycsb('c')),
    ("ycsb-d", Workload::Ycsb('d')),
    ("ycsb-e", Workload::Ycsb('e')),
    ("ycsb-f", Workload::Ycsb('f')),
];

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = ALL.iter().find(|(name, _)| *name == text);
        let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        found.map(|(_, workload)| *workload).ok_or_else(|| format!("one of these is meant: {}", names.join(", ")))
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a workload works with.
pub struct Context<'a> {
    db: &'a Db,
    keys: u64,
    random: KeyStream,
    bits: Xoshiro256PlusPlus,
    values: Vec<u8>,
    value_bytes: usize,
    value_at: usize,
}

impl<'a> Context<'a> {
    /// Over a tree that has, or will have, `keys` keys. Another `seed` draws other ones: who reads does not ask for the keys
    /// in the order in which they were put.
    ///
    /// # Errors
    ///
    /// There are no keys.
    pub fn new(db: &'a Db, keys: u64, value_bytes: usize, seed: u64) -> Result<Self, Error> {
        let uniform = Keys::uniform(keys).map_err(|error| Error::Cannot(error.to_string()))?;
        let mut bits = Xoshiro256PlusPlus::seed_from_u64(seed);
        // As in db_bench, values are pieces of a text that compresses to half.
        let mut values = Vec::new();
        while values.len() < (1 << 20) + value_bytes {
            let mut piece = [0; 50];
            bits.fill_bytes(&mut piece);
            values.extend_from_slice(&piece);
            values.extend_from_slice(&piece);
        }
        Ok(Self { db, keys, random: uniform.stream(seed), bits, values, value_bytes, value_at: 0 })
    }

    fn value(&mut self) -> &[u8] {
        self.value_at = (self.value_at + self.value_bytes) % (1 << 20);
        &self.values[self.value_at..self.value_at + self.value_bytes]
    }

    fn random_key(&mut self) -> [u8; KEY_BYTES] {
        key(self.random.next().expect("the stream is endless"))
    }

    fn put(&mut self, key: &[u8], sync: bool) -> Result<(), Error> {
        let db = self.db;
        db.put(key, self.value(), WriteOptions { sync })
    }
}

/// The key of a number: sixteen digits, in the numbers' order.
pub fn key(number: u64) -> [u8; KEY_BYTES] {
    let mut key = [b'0'; KEY_BYTES];
    let mut rest = number;
    for digit in key.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

impl Workload {
    /// What it is called.
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(_, workload)| *workload == self).expect("every workload has a name").0
    }

    /// Whether it begins with an empty tree.
    pub fn begins_empty(self) -> bool {
        matches!(self, Self::FillSeq | Self::FillRandom | Self::FillSync | Self::FillBatch)
    }

    /// Whether it writes and nothing else.
    pub fn writes(self) -> bool {
        self.begins_empty() || matches!(self, Self::Overwrite | Self::DeleteRandom)
    }

    /// Whether it looks for something.
    pub fn reads(self) -> bool {
        !self.writes()
    }

    /// How many operations it has.
    pub fn operations(self, keys: u64, reads: u64) -> u64 {
        match self {
            Self::FillSync => (keys / SYNCED).max(1),
            Self::FillBatch => keys.div_ceil(BATCH),
            _ if self.writes() => keys,
            _ => reads,
        }
    }

    /// Runs it, and calls `done` with the number of operations after each. Returns how many reads found something.
    pub fn run(self, context: &mut Context<'_>, operations: u64, done: &mut dyn FnMut(u64)) -> Result<u64, Error> {
        let db = context.db;
        let mut found = 0;
        match self {
            Self::FillSeq => {
                for number in 0..operations {
                    context.put(&key(number), false)?;
                    done(number + 1);
                }
            }
            Self::FillRandom | Self::FillSync | Self::Overwrite => {
                for number in 0..operations {
                    let key = context.random_key();
                    context.put(&key, self == Self::FillSync)?;
                    done(number + 1);
                }
            }
            Self::FillBatch => {
                for number in 0..operations {
                    let mut batch = Batch::new();
                    for _ in 0..BATCH {
                        let key = context.random_key();
                        batch.put(&key, context.value())?;
                    }
                    db.write(batch, WriteOptions::default())?;
                    done(number + 1);
                }
            }
            Self::DeleteRandom => {
                for number in 0..operations {
                    db.delete(&context.random_key(), WriteOptions::default())?;
                    done(number + 1);
                }
            }
            Self::ReadRandom => {
                for number in 0..operations {
                    found += u64::from(db.get(&context.random_key())?.is_some());
                    done(number + 1);
                }
            }
            Self::ReadMissing => {
                for number in 0..operations {
                    let mut missing = context.random_key().to_vec();
                    missing.push(b'.');
                    found += u64::from(db.get(&missing)?.is_some());
                    done(number + 1);
                }
            }
            Self::ReadSeq | Self::ReadReverse => {
                let mut iterator = db.iter();
                let is_forward = self == Self::ReadSeq;
                if is_forward {
                    iterator.seek_to_first()?;
                } else {
                    iterator.seek_to_last()?;
                }
                for number in 0..operations {
                    if iterator.key().is_none() {
                        if is_forward { iterator.seek_to_first()? } else { iterator.seek_to_last()? }
                    }
                    found += u64::from(iterator.key().is_some());
                    if iterator.key().is_some() {
                        if is_forward { iterator.next()? } else { iterator.prev()? }
                    }
                    done(number + 1);
                }
            }
            Self::SeekRandom => {
                for number in 0..operations {
                    let mut iterator = db.iter();
                    let key = context.random_key();
                    iterator.seek(&key)?;
                    found += u64::from(iterator.key() == Some(&key));
                    done(number + 1);
                }
            }
            Self::ReadWhileWriting => {
                let is_over = std::sync::atomic::AtomicBool::new(false);
                found = std::thread::scope(|scope| {
                    let writer = scope.spawn(|| {
                        let mut context = Context::new(db, context.keys, context.value_bytes, 1_000_003)?;
                        while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                            let key = context.random_key();
                            context.put(&key, false)?;
                        }
                        Ok::<_, Error>(())
                    });
                    let mut found = 0;
                    let mut keys = Keys::uniform(context.keys).expect("there are keys").stream(977);
                    let read = (0..operations).try_for_each(|number| {
                        found += u64::from(db.get(&key(keys.next().expect("it is endless")))?.is_some());
                        done(number + 1);
                        Ok::<_, Error>(())
                    });
                    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
                    writer.join().expect("the writer does not panic")?;
                    read.map(|()| found)
                })?;
            }
            Self::Ycsb(which) => found = ycsb(which, context, operations, done)?,
        }
        Ok(found)
    }
}

/// The mixes of YCSB's core workloads (Cooper et al., "Benchmarking Cloud Serving Systems with YCSB", SoCC 2010).
fn ycsb(which: char, context: &mut Context<'_>, operations: u64, done: &mut dyn FnMut(u64)) -> Result<u64, Error> {
    let db = context.db;
    let zipfian = Keys::zipfian(context.keys, Keys::YCSB_THETA).map_err(|error| Error::Cannot(error.to_string()))?;
    let mut hot = zipfian.clone().scrambled().stream(99);
    let mut recent = zipfian.stream(98);
    let read_percent = match which {
        'b' | 'd' | 'e' => 95,
        'c' => 100,
        _ => 50,
    };
    let (mut found, mut newest) = (0, context.keys);
    for number in 0..operations {
        let is_read = context.bits.next_u64() % 100 < read_percent;
        let chosen = match which {
            // D reads what was inserted last.
            'd' => newest - 1 - recent.next().expect("it is endless").min(newest - 1),
            _ => hot.next().expect("it is endless"),
        };
        let key_of = key(chosen);
        match (which, is_read) {
            ('e', true) => {
                let mut iterator = db.iter();
                iterator.seek(&key_of)?;
                for _ in 0..=context.bits.next_u64() % SCAN {
                    if iterator.key().is_none() {
                        break;
                    }
                    found += 1;
                    iterator.next()?;
                }
            }
            (_, true) => found += u64::from(db.get(&key_of)?.is_some()),
            ('d' | 'e', false) => {
                context.put(&key(newest), false)?;
                newest += 1;
            }
            ('f', false) => {
                found += u64::from(db.get(&key_of)?.is_some());
                context.put(&key_of, false)?;
            }
            _ => context.put(&key_of, false)?,
        }
        done(number + 1);
    }
    Ok(found)
}
