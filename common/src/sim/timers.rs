//! The timers of one process, and when the queue has to look at them.

use super::clock::Clock;
use crate::engine::Moment;

/// Timers by their names: a handful, so that a list is the fastest map.
///
/// A timer is put off far more often than it fires (each heartbeat puts an election off): so what is queued stays, and finds
/// out by itself that it is too early.
///
/// **Invariants**: each name is in it once.
pub(super) struct Timers<T>(Vec<Timer<T>>);

/// **Invariants**: if `deadline` is set, something is queued for it at its time or before, or waits for the end of a pause.
/// `queued` is when the one thing comes up that counts; whatever else is still queued is passed over.
struct Timer<T> {
    name: T,
    deadline: Option<Moment>,
    queued: Option<u64>,
}

/// What is to be done about a timer that has come up.
pub(super) enum Look {
    Nothing,
    Fires,
    Again(u64),
}

impl<T: Copy + Eq> Timers<T> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// Sets a timer. Returns the true time at which to look at it, if nothing is queued that comes soon enough.
    pub(super) fn set(
        &mut self,
        name: T,
        at: Moment,
        clock: &Clock,
        time: u64,
        lag_ns: impl FnOnce() -> u64,
    ) -> Option<u64> {
        let place = self.place(name).unwrap_or(self.0.len());
        if place == self.0.len() {
            self.0.push(Timer { name, deadline: None, queued: None });
        }
        let slot = &mut self.0[place];
        let is_put_off = slot.queued.is_some() && slot.deadline.is_some_and(|before| before <= at);
        slot.deadline = Some(at);
        if is_put_off {
            return None;
        }
        let due = clock.time_of(at).max(time).saturating_add(lag_ns());
        if slot.queued.is_some_and(|queued| queued <= due) {
            return None;
        }
        slot.queued = Some(due);
        Some(due)
    }

    pub(super) fn cancel(&mut self, name: T) {
        if let Some(place) = self.place(name) {
            self.0[place].deadline = None;
            if self.0[place].queued.is_none() {
                self.0.swap_remove(place);
            }
        }
    }

    /// Whether what has come up for a timer at the true time `time` is what counts.
    pub(super) fn is_awaited(&self, name: T, time: u64) -> bool {
        self.place(name).is_some_and(|place| self.0[place].queued == Some(time))
    }

    /// Lets what was queued for a timer count at `time` instead: the process was paused when it came up.
    pub(super) fn delay(&mut self, name: T, time: u64) {
        if let Some(place) = self.place(name) {
            self.0[place].queued = Some(time);
        }
    }

    /// What to do about a timer that has come up at the true time `time`, when the node's clock shows `now`.
    pub(super) fn look_at(
        &mut self,
        name: T,
        time: u64,
        now: Moment,
        clock: &Clock,
        lag_ns: impl FnOnce() -> u64,
    ) -> Look {
        let Some(place) = self.place(name).filter(|place| self.0[*place].queued == Some(time)) else {
            return Look::Nothing;
        };
        match self.0[place].deadline {
            None => {
                self.0.swap_remove(place);
                Look::Nothing
            }
            Some(deadline) if deadline <= now => {
                self.0.swap_remove(place);
                Look::Fires
            }
            Some(deadline) => {
                let due = clock.time_of(deadline).max(time + 1).saturating_add(lag_ns());
                self.0[place].queued = Some(due);
                Look::Again(due)
            }
        }
    }

    /// The times at which to look at the timers after the clock was changed: what is queued was computed at another rate.
    pub(super) fn requeue(&mut self, clock: &Clock, time: u64) -> impl Iterator<Item = (T, u64)> {
        self.0.iter_mut().filter_map(move |slot| {
            let due = clock.time_of(slot.deadline?).max(time);
            slot.queued = Some(due);
            Some((slot.name, due))
        })
    }

    fn place(&self, name: T) -> Option<usize> {
        self.0.iter().position(|slot| slot.name == name)
    }
}
