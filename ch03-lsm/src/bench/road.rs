//! The chapter's road in the bench: the stores before the tree, as far as they can do what a workload asks.
//!
//! Neither knows the order of its keys, so that a workload that seeks ends with an error that says so. The two functions read
//! everything for each get: measure them with few keys.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use common::disk::{Disk, RealDisk};

use super::engine::{Cursor, Engine, Settings};
use super::workloads::Key;
use crate::error::Error;
use crate::storage::hash_index::{FILE_BYTES, HashIndex};
use crate::storage::two_function::TwoFunction;
use crate::store::Store;

/// The store of two functions.
#[derive(Debug)]
pub(super) struct TwoFunctions(RwLock<TwoFunction>);

/// The hash index.
#[derive(Debug)]
pub(super) struct Hashed(RwLock<HashIndex>);

/// What does not know the order of its keys.
#[derive(Debug)]
pub(super) struct Unordered;

fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk::new())
}

fn unordered() -> Result<(), Error> {
    Err(Error::Usage("this store does not know the order of its keys: a workload that seeks needs the tree".to_owned()))
}

impl Cursor for Unordered {
    fn key(&self) -> Option<&[u8]> {
        None
    }

    fn value(&self) -> &[u8] {
        &[]
    }

    fn seek_to_first(&mut self) -> Result<(), Error> {
        unordered()
    }

    fn seek_to_last(&mut self) -> Result<(), Error> {
        unordered()
    }

    fn seek(&mut self, _: &[u8]) -> Result<(), Error> {
        unordered()
    }

    fn next(&mut self) -> Result<(), Error> {
        unordered()
    }

    fn prev(&mut self) -> Result<(), Error> {
        unordered()
    }
}

/// What is the same for both, by way of [`Store`].
macro_rules! engine_by_store {
    ($engine:ty, $name:literal, $open:expr, $close:expr) => {
        impl Engine for $engine {
            type Cursor<'a> = Unordered;

            const NAME: &'static str = $name;

            fn open(dir: &Path, _: &Settings) -> Result<Self, Error> {
                Ok(Self(RwLock::new($open(dir)?)))
            }

            fn put(&self, key: &[u8], value: &[u8], sync: bool) -> Result<(), Error> {
                Store::put(&self.0, key, value)?;
                if sync { Store::sync(&self.0) } else { Ok(()) }
            }

            fn delete(&self, key: &[u8]) -> Result<(), Error> {
                Store::delete(&self.0, key)
            }

            fn write(&self, entries: &[(Key, &[u8])]) -> Result<(), Error> {
                entries.iter().try_for_each(|(key, value)| Store::put(&self.0, key, value))
            }

            fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool, Error> {
                let found = Store::get(&self.0, key)?;
                let is_found = found.is_some();
                *value = found.unwrap_or_default();
                Ok(is_found)
            }

            fn cursor(&self) -> Unordered {
                Unordered
            }

            fn settle(&self) -> Result<Instant, Error> {
                Store::settle(&self.0)?;
                Ok(Instant::now())
            }

            fn close(self) -> Result<(), Error> {
                $close(self.0.into_inner().unwrap_or_else(PoisonError::into_inner))
            }
        }
    };
}

engine_by_store!(
    TwoFunctions,
    "two-function",
    |dir: &Path| Ok::<_, Error>(TwoFunction::open(&disk(), dir)?.0),
    |mut store: TwoFunction| store.sync()
);
engine_by_store!(
    Hashed,
    "hash-index",
    |dir: &Path| Ok::<_, Error>(HashIndex::open(&disk(), dir, FILE_BYTES)?.0),
    HashIndex::close
);
