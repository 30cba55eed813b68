//! Checkers: what must hold in every state of a world, and at its end.

use std::fmt;

use super::account::Marks;
use super::world::World;
use crate::engine::{Boot, Moment};

/// A property of a system, as something that looks at it after every event.
pub trait Checker<B: Boot, C> {
    /// Looks at the world, in which [`World::acted`] has just done something. It runs millions of times: what one event can
    /// have changed is what it should look at.
    ///
    /// # Errors
    ///
    /// When the property does not hold.
    fn after_event(&mut self, _world: &World<B, C>, _marks: &mut Marks) -> Result<(), Violation> {
        Ok(())
    }

    /// Looks at the world at its end: at the histories of its clients, and at whether it has recovered.
    ///
    /// # Errors
    ///
    /// When the property does not hold.
    fn at_end(&mut self, _world: &World<B, C>, _marks: &mut Marks) -> Result<(), Violation> {
        Ok(())
    }
}

/// A property that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The name of the property.
    pub property: &'static str,
    /// What was seen instead.
    pub seen: String,
    /// When it happened, where that was not just now: then this is where the trace ends that is shown.
    pub at: Option<Moment>,
}

impl Violation {
    /// Of `property`: `seen` was seen.
    pub fn new(property: &'static str, seen: impl Into<String>) -> Self {
        Self { property, seen: seen.into(), at: None }
    }

    /// The same, which happened at `at`: for what is found at the end.
    #[must_use]
    pub fn at(self, at: Moment) -> Self {
        Self { at: Some(at), ..self }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.property, self.seen)
    }
}
