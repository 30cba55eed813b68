//! Load: which keys, when, measured how; so that two systems can be compared and a number means what it says.
//!
//! A benchmark answers a question only if its load is stated (DDIA ch. 1, "Describing Load") and its response times are
//! measured as a user would feel them (DDIA ch. 1, "Describing Performance"). Three things are easily got wrong:
//!
//! - **Keys.** Real keys are skewed, and a uniform load flatters every cache. [`Keys`] has both.
//! - **Coordinated omission** (Gil Tene). A client that waits for each answer before it sends its next request stops
//!   sending while the server stalls: of the thousand requests that would have suffered, it sends and records one. The
//!   chapter says the same of load generators: they must keep sending independently of the response time. Hence
//!   [`open_loop`], which sends by a [`Schedule`] and measures from the time at which a request was *due*. For a
//!   [`closed_loop`], which most benchmark tools are and which finds the throughput that a server can give,
//!   [`Recorder::record_corrected`] fills in the requests that were not sent.
//! - **Drift.** Machines change speed while one measures. [`abba`] runs two systems in turns, so that a drift hits both,
//!   and reports the ratio with its range.
//!
//! The parts that decide ([`Keys`], [`Schedule`], [`Recorder`], [`Ratio`]) are pure and seeded; the runners are the
//! shell around them.

mod keys;
pub mod process;
mod recorder;
mod rounds;
mod run;
mod schedule;

pub use keys::{KeyStream, Keys};
pub use recorder::{Latencies, Recorder, Summary};
pub use rounds::{MIN_ROUNDS, Ratio, Round, abba};
pub use run::{ClosedLoop, Op, OpenLoop, Outcome, Until, closed_loop, open_loop};
pub use schedule::{Arrivals, Schedule};

/// What a load cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// There must be keys to choose from.
    #[error("a load needs at least one key")]
    NoKeys,
    /// The skew is out of the range for which the method holds.
    #[error("theta {0} is not a skew; it lies strictly between 0 (none) and 1, and is 0.99 in YCSB")]
    Theta(f64),
    /// The rate is not one.
    #[error("{0} requests a second is not a rate; it must be more than 0 and at most 1000000000")]
    Rate(f64),
    /// Too few rounds for the range to say anything.
    #[error("{0} rounds are too few for a ratio with a range; run at least {MIN_ROUNDS}")]
    TooFewRounds(usize),
    /// A measurement from which no ratio can be made.
    #[error("round {round} measured {a} against {b}: no ratio can be made of that")]
    NoRatio {
        /// The round, from zero.
        round: usize,
        /// What A measured.
        a: f64,
        /// What B measured.
        b: f64,
    },
}
