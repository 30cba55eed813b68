//! What threads wait on and meet at: the standard library's.
//!
//! [`db`](crate::db) takes locks, condition variables, atomics and threads from here, but for its clock, which waits for time and
//! not for threads, for its block cache, which is a library's, and for counters that need not be right at every moment: so that
//! `tests/interleavings.rs` can compile its very source against another `sync`, whose threads run one at a time in orders that a
//! seed chooses: what goes wrong only when one thread is overtaken between two lines then goes wrong on demand.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, RwLock};
pub(crate) use std::thread::{Builder, JoinHandle};
