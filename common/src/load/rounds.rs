//! Two systems in turns: how to compare them on a machine that changes speed by the hour.
//!
//! Running all of A and then all of B measures the machine's drift with the systems. Each round here runs A, B, B, A: a
//! drift that is steady over a round adds as much to A as to B and cancels in their ratio. What is reported is the median
//! of the rounds' ratios with their range. With seven rounds or more, the true median of ratios lies outside of that range
//! with a probability of at most 2 / 2^7, or 1.6 %, whatever their distribution.

use std::fmt;

use serde::Serialize;

use super::Error;

/// The fewest rounds of which a range means something.
pub const MIN_ROUNDS: usize = 7;

/// What one round measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Round<A, B> {
    /// A's two runs: the first and the last of the four.
    pub a: [A; 2],
    /// B's two runs, between them.
    pub b: [B; 2],
}

/// How many times as much A measures as B.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// The median of the rounds.
    pub median: f64,
    /// The least of them.
    pub low: f64,
    /// The greatest of them.
    pub high: f64,
}

/// Runs `rounds` rounds of A, B, B, A. Both get `context`: what they share.
///
/// # Errors
///
/// The first error of a run ends it.
pub fn abba<C, A, B, E>(
    rounds: usize,
    context: &mut C,
    mut run_a: impl FnMut(&mut C) -> Result<A, E>,
    mut run_b: impl FnMut(&mut C) -> Result<B, E>,
) -> Result<Vec<Round<A, B>>, E> {
    let mut measured = Vec::new();
    for _ in 0..rounds {
        let first = run_a(context)?;
        let b = [run_b(context)?, run_b(context)?];
        measured.push(Round { a: [first, run_a(context)?], b });
    }
    Ok(measured)
}

impl Ratio {
    /// The ratio of a figure of A's runs to the same figure of B's, a round's two runs taken together.
    ///
    /// # Errors
    ///
    /// There are too few rounds, or a figure is not a number more than zero.
    pub fn of<A, B>(
        rounds: &[Round<A, B>],
        figure_a: impl Fn(&A) -> f64,
        figure_b: impl Fn(&B) -> f64,
    ) -> Result<Self, Error> {
        if rounds.len() < MIN_ROUNDS {
            return Err(Error::TooFewRounds(rounds.len()));
        }
        let ratio = |(index, round): (usize, &Round<A, B>)| {
            let a: f64 = round.a.iter().map(&figure_a).sum::<f64>() / 2.0;
            let b: f64 = round.b.iter().map(&figure_b).sum::<f64>() / 2.0;
            let sound = |value: f64| value.is_finite() && value > 0.0;
            if sound(a) && sound(b) { Ok(a / b) } else { Err(Error::NoRatio { round: index, a, b }) }
        };
        let mut ratios = rounds.iter().enumerate().map(ratio).collect::<Result<Vec<_>, _>>()?;
        ratios.sort_by(f64::total_cmp);
        Ok(Self { median: median(&ratios), low: ratios[0], high: ratios[ratios.len() - 1] })
    }
}

impl fmt::Display for Ratio {
    /// `1.25x (1.20 to 1.31)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}x ({:.2} to {:.2})", self.median, self.low, self.high)
    }
}

/// The middle of sorted numbers, or the mean of the two in the middle.
///
/// # Panics
///
/// When there is none.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[middle - 1], sorted[middle]) } else { sorted[middle] }
}
