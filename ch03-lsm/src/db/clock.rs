//! Clocks: where the shell takes the time from that engines are told.

use std::fmt::Debug;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time, and waiting for it to pass. Simulated, both cost nothing.
pub trait Clock: Debug + Send + Sync {
    /// The time since some moment, always the same. It never goes back.
    fn now(&self) -> Duration;

    /// The seconds since 1970.
    fn unix_s(&self) -> u64;

    /// Returns when `time` has passed, or the gate opens.
    fn wait(&self, gate: &Gate, time: Duration);
}

/// Closed until somebody opens it, once for all.
#[derive(Debug, Default)]
pub struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    began: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { began: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn unix_s(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    fn wait(&self, gate: &Gate, time: Duration) {
        let is_open = gate.is_open.lock().expect("no thread panics with it");
        drop(gate.opened.wait_timeout_while(is_open, time, |is_open| !*is_open).expect("no thread panics with it"));
    }
}

impl Gate {
    /// Lets everybody through who waits, and who comes later.
    pub fn open(&self) {
        *self.is_open.lock().expect("no thread panics with it") = true;
        self.opened.notify_all();
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        *self.is_open.lock().expect("no thread panics with it")
    }
}
