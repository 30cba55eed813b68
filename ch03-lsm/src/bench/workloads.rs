//! The workloads: what db_bench and YCSB call by these names, over whichever engine.

use std::fmt;
use std::hint::black_box;
use std::str::FromStr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use common::load::{KeyStream, Keys};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::engine::{Cursor, Engine};
use super::live::LiveKeys;
use super::stopwatch::Stopwatch;
use crate::error::Error;

/// The bytes of a key.
pub const KEY_BYTES: usize = 16;

/// A key.
pub type Key = [u8; KEY_BYTES];

/// How many bytes values are pieces of, at least: no value is longer.
pub const VALUES_BYTES: usize = 1 << 20;

/// How many entries a batch of `fillbatch` has.
const BATCH: u64 = 100;

/// How many entries a scan of YCSB E reads at most.
const SCAN: u64 = 100;

/// How many synced writes there are for each thousand keys.
const SYNCED: u64 = 1000;

/// Begins the random numbers of the thread that writes while another reads.
const WRITERS_SEED: u64 = 1_000_003;

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
pub struct Context<'a, E> {
    engine: &'a E,
    keys: u64,
    random: KeyStream,
    bits: Xoshiro256PlusPlus,
    values: Vec<u8>,
    value_bytes: usize,
    value_at: usize,
    /// For engines that copy what they have found.
    buffer: Vec<u8>,
    /// The keys that are there.
    pub live: LiveKeys,
    /// The bytes of the keys and values that were put, and of the keys that were deleted.
    pub user_bytes: u64,
}

impl<'a, E: Engine> Context<'a, E> {
    /// Over an engine that has, or will have, `keys` keys, of which `live` are there. Another `seed` draws other ones: who
    /// reads does not ask for the keys in the order in which they were put.
    ///
    /// # Errors
    ///
    /// There are no keys.
    pub fn new(engine: &'a E, keys: u64, value_bytes: usize, seed: u64, live: LiveKeys) -> Result<Self, Error> {
        let uniform = Keys::uniform(keys).map_err(|error| Error::Cannot(error.to_string()))?;
        let mut bits = Xoshiro256PlusPlus::seed_from_u64(seed);
        // As in db_bench, values are pieces of a text that compresses to half.
        let mut values = Vec::new();
        while values.len() < VALUES_BYTES + value_bytes {
            let mut piece = [0; 50];
            bits.fill_bytes(&mut piece);
            values.extend_from_slice(&piece);
            values.extend_from_slice(&piece);
        }
        let random = uniform.stream(seed);
        let (buffer, value_at, user_bytes) = (Vec::new(), 0, 0);
        Ok(Self { engine, keys, random, bits, values, value_bytes, value_at, buffer, live, user_bytes })
    }

    fn next_value(&mut self) -> std::ops::Range<usize> {
        self.value_at = (self.value_at + self.value_bytes) % VALUES_BYTES;
        self.value_at..self.value_at + self.value_bytes
    }

    fn random_number(&mut self) -> u64 {
        self.random.next().expect("the stream is endless")
    }

    fn put(&mut self, number: u64, sync: bool) -> Result<(), Error> {
        let value = self.next_value();
        self.live.insert(number);
        self.user_bytes += (KEY_BYTES + self.value_bytes) as u64;
        self.engine.put(&key(number), &self.values[value], sync)
    }

    fn put_batch(&mut self) -> Result<(), Error> {
        let chosen: [_; BATCH as usize] = std::array::from_fn(|_| (self.random_number(), self.next_value()));
        for (number, _) in &chosen {
            self.live.insert(*number);
        }
        self.user_bytes += BATCH * (KEY_BYTES + self.value_bytes) as u64;
        let entries = chosen.map(|(number, value)| (key(number), &self.values[value]));
        self.engine.write(&entries)
    }

    fn delete(&mut self, number: u64) -> Result<(), Error> {
        self.live.remove(number);
        self.user_bytes += KEY_BYTES as u64;
        self.engine.delete(&key(number))
    }

    fn get(&mut self, number: u64) -> Result<u64, Error> {
        Ok(u64::from(self.engine.get(&key(number), &mut self.buffer)?))
    }
}

/// The key of a number: sixteen digits, in the numbers' order.
pub fn key(number: u64) -> Key {
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

    /// Whether it writes, if only now and then: then there is something to settle.
    pub fn changes(self) -> bool {
        self.writes() || self == Self::ReadWhileWriting || matches!(self, Self::Ycsb(which) if which != 'c')
    }

    /// Whether two runs over the same keys find the same: where two threads race, they do not.
    pub fn is_deterministic(self) -> bool {
        self != Self::ReadWhileWriting
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

    /// One of how many operations has its time taken. A step of a cursor takes about as long as reading the clock does, so
    /// that timing each would measure the clock.
    pub fn timed_every(self) -> u64 {
        if matches!(self, Self::ReadSeq | Self::ReadReverse) { 64 } else { 1 }
    }

    /// Runs it, and tells the stopwatch after each operation. Returns how many reads found something.
    ///
    /// # Errors
    ///
    /// The engine's.
    pub fn run<E: Engine>(
        self,
        context: &mut Context<'_, E>,
        operations: u64,
        watch: &mut Stopwatch,
    ) -> Result<u64, Error> {
        let mut found = 0;
        match self {
            Self::FillSeq => {
                for number in 0..operations {
                    context.put(number, false)?;
                    watch.done(number + 1);
                }
            }
            Self::FillRandom | Self::FillSync | Self::Overwrite => {
                for number in 0..operations {
                    let chosen = context.random_number();
                    context.put(chosen, self == Self::FillSync)?;
                    watch.done(number + 1);
                }
            }
            Self::FillBatch => {
                for number in 0..operations {
                    context.put_batch()?;
                    watch.done(number + 1);
                }
            }
            Self::DeleteRandom => {
                for number in 0..operations {
                    let chosen = context.random_number();
                    context.delete(chosen)?;
                    watch.done(number + 1);
                }
            }
            Self::ReadRandom => {
                for number in 0..operations {
                    let chosen = context.random_number();
                    found += context.get(chosen)?;
                    watch.done(number + 1);
                }
            }
            Self::ReadMissing => {
                let mut missing = [b'.'; KEY_BYTES + 1];
                for number in 0..operations {
                    missing[..KEY_BYTES].copy_from_slice(&key(context.random_number()));
                    found += u64::from(context.engine.get(&missing, &mut context.buffer)?);
                    watch.done(number + 1);
                }
            }
            Self::ReadSeq | Self::ReadReverse => found = read_all(self, context, operations, watch)?,
            Self::SeekRandom => {
                for number in 0..operations {
                    let mut cursor = context.engine.cursor();
                    let key = key(context.random_number());
                    cursor.seek(&key)?;
                    found += u64::from(cursor.key() == Some(&key));
                    watch.done(number + 1);
                }
            }
            Self::ReadWhileWriting => found = read_while_writing(context, operations, watch)?,
            Self::Ycsb(which) => found = ycsb(which, context, operations, watch)?,
        }
        Ok(found)
    }
}

/// Reads keys and values in order, and begins again at the end.
fn read_all<E: Engine>(
    which: Workload,
    context: &Context<'_, E>,
    operations: u64,
    watch: &mut Stopwatch,
) -> Result<u64, Error> {
    let mut cursor = context.engine.cursor();
    let is_forward = which == Workload::ReadSeq;
    if is_forward {
        cursor.seek_to_first()?;
    } else {
        cursor.seek_to_last()?;
    }
    let mut found = 0;
    for number in 0..operations {
        if cursor.key().is_none() {
            if is_forward { cursor.seek_to_first()? } else { cursor.seek_to_last()? }
        }
        if let Some(key) = cursor.key() {
            black_box(key.len() + cursor.value().len());
            found += 1;
            if is_forward { cursor.next()? } else { cursor.prev()? }
        }
        watch.done(number + 1);
    }
    Ok(found)
}

/// Gets keys at random; another thread puts them, as fast as it can.
fn read_while_writing<E: Engine>(
    context: &mut Context<'_, E>,
    operations: u64,
    watch: &mut Stopwatch,
) -> Result<u64, Error> {
    let is_over = AtomicBool::new(false);
    let (engine, keys, value_bytes) = (context.engine, context.keys, context.value_bytes);
    let mut writing = Context::new(engine, keys, value_bytes, WRITERS_SEED, LiveKeys::default())?;
    // However few reads there are, something is written beside them.
    let begin = Barrier::new(2);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let chosen = writing.random_number();
            let first = writing.put(chosen, false);
            begin.wait();
            first?;
            while !is_over.load(Ordering::Relaxed) {
                let chosen = writing.random_number();
                writing.put(chosen, false)?;
            }
            Ok::<_, Error>((writing.live, writing.user_bytes))
        });
        begin.wait();
        let read = (0..operations).try_fold(0, |found, number| {
            let chosen = context.random_number();
            let one = context.get(chosen)?;
            watch.done(number + 1);
            Ok(found + one)
        });
        is_over.store(true, Ordering::Relaxed);
        let (live, user_bytes) = writer.join().expect("the writer does not panic")?;
        context.live.insert_all(&live);
        context.user_bytes += user_bytes;
        read
    })
}

/// The mixes of YCSB's core workloads (Cooper et al., "Benchmarking Cloud Serving Systems with YCSB", SoCC 2010).
fn ycsb<E: Engine>(
    which: char,
    context: &mut Context<'_, E>,
    operations: u64,
    watch: &mut Stopwatch,
) -> Result<u64, Error> {
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
        match (which, is_read) {
            ('e', true) => {
                let mut cursor = context.engine.cursor();
                cursor.seek(&key(chosen))?;
                for _ in 0..=context.bits.next_u64() % SCAN {
                    let Some(key) = cursor.key() else { break };
                    black_box(key.len() + cursor.value().len());
                    found += 1;
                    cursor.next()?;
                }
            }
            (_, true) => found += context.get(chosen)?,
            ('d' | 'e', false) => {
                context.put(newest, false)?;
                newest += 1;
            }
            ('f', false) => {
                found += context.get(chosen)?;
                context.put(chosen, false)?;
            }
            _ => context.put(chosen, false)?,
        }
        watch.done(number + 1);
    }
    Ok(found)
}
