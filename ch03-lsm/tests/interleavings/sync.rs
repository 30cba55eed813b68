//! What `crate::sync` is in the library: shuttle's locks, condition variables, atomics and threads, some of them with bugs that are
//! planted.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::sync::{LockResult, TryLockResult};

use shuttle::sync as real;
pub use shuttle::sync::atomic::AtomicBool;
pub use shuttle::sync::{Mutex, MutexGuard};
use shuttle::sync::{RwLockReadGuard, RwLockWriteGuard};
pub use shuttle::thread::{Builder, JoinHandle, sleep};

use super::{Bug, is_planted};

#[derive(Debug, Default)]
pub struct Condvar(real::Condvar);

impl Condvar {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.0.wait(guard)
    }

    pub fn notify_one(&self) {
        if !is_planted(Bug::NobodyIsWoken) {
            self.0.notify_one();
        }
    }

    pub fn notify_all(&self) {
        if is_planted(Bug::OneIsTold) { self.0.notify_one() } else { self.0.notify_all() }
    }
}

thread_local! {
    /// What was stored last: of the tree's numbers, one alone is stored to.
    static STORED: Cell<u64> = const { Cell::new(0) };
    /// What the reader has asked for too early.
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

fn is_reader() -> bool {
    shuttle::thread::current().name() == Some(super::READER)
}

#[derive(Debug)]
pub struct RwLock<T>(real::RwLock<T>);

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> RwLock<T> {
    pub fn new(value: T) -> Self {
        Self(real::RwLock::new(value))
    }

    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        if is_planted(Bug::NumberBeforeTheView) && is_reader() {
            ASKED.set(STORED.get());
            // For as long as a flush takes.
            (0..60).for_each(|_| shuttle::thread::yield_now());
        }
        self.0.read()
    }

    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        self.0.write()
    }

    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        self.0.try_write()
    }

    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.0.get_mut()
    }
}

#[derive(Debug)]
pub struct AtomicU64(real::atomic::AtomicU64);

impl AtomicU64 {
    pub fn new(value: u64) -> Self {
        STORED.set(0);
        Self(real::atomic::AtomicU64::new(value))
    }

    pub fn load(&self, order: Ordering) -> u64 {
        let loaded = self.0.load(order);
        if is_planted(Bug::NumberBeforeTheView) && is_reader() { ASKED.get() } else { loaded }
    }

    pub fn store(&self, value: u64, order: Ordering) {
        STORED.set(value);
        self.0.store(value, order);
        super::engine::memtable::insert_what_waits();
    }

    pub fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.0.fetch_add(value, order)
    }
}
