//! The alarm: what tells the server that one of its tasks has panicked.

use std::rc::Rc;

use tokio::sync::Notify;

/// Held by each task of the server while it runs. The runtime would swallow a panic, and what is left would go on without its
/// flusher, or with a change in memory that is not in the log: everybody would wait for a reply that cannot come.
#[derive(Debug)]
pub(super) struct Alarm(Rc<Notify>);

impl Alarm {
    /// One that notifies `broken`.
    pub(super) fn new(broken: &Rc<Notify>) -> Self {
        Self(Rc::clone(broken))
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.notify_one();
        }
    }
}
