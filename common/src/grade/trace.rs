//! Marks in the code that a reader writes, to see which organs a check has run.
//!
//! A library with several wrong answers in it is built once where each of them alone would cost a build. A check that
//! fails then proves something about its own organ only if it ran no other organ's mistake. That is observed, and not assumed:
//! the first time that a marked region runs, it says on standard error whose it is. Two things make this sound.
//!
//! - A mistake is [`confined`] to the regions: outside of them the answer is the reference to the letter, and inside it has no
//!   `impl` more or less, so that what differs can have an effect only by being run. A region runs in no constant: the mark
//!   would not compile there.
//! - A check whose marks name its own organ and no other has run exactly what it would have run with the references in the
//!   place of the others. Where the output is cut, the marks are not known, and the answer has a build of its own.
//!
//! The mark stands on the line of the opening marker, so that no line moves.

use super::manifest::Exercise;
use super::process::Outcome;
use super::scan;
use super::starter::{self, MarkerError};

/// What a mark prints around the organ's name: no check prints that.
const BEFORE: &str = "[grade: ran ";
const AFTER: &str = "]";

/// `answer` with a mark at the beginning of each region.
pub fn traced(exercise: &Exercise, answer: &str) -> Result<String, MarkerError> {
    starter::starter(exercise, answer)?;
    let mark = mark(&exercise.organ);
    Ok(answer
        .lines()
        .map(|line| if starter::opens(line) { format!("{mark}\n") } else { format!("{line}\n") })
        .collect())
}

/// Whether `answer` is `reference` outside of the regions (what a reader is given is then the same), and has an effect inside
/// only where it runs.
pub fn confined(exercise: &Exercise, reference: &str, answer: &str) -> bool {
    let starter = |text| starter::starter(exercise, text).ok();
    let impls = |text| scan::code_only(text).matches("impl").count();
    starter(reference).is_some_and(|given| starter(answer) == Some(given)) && impls(reference) == impls(answer)
}

/// Whether a check that came to `outcome` is known to have run marked code of `organ` and of no other.
pub fn stayed_in(organ: &str, outcome: &Outcome) -> bool {
    let mut ran = outcome.stderr.split(BEFORE).skip(1).map(|rest| rest.split(AFTER).next()).peekable();
    outcome.is_whole() && ran.peek().is_some() && ran.all(|name| name == Some(organ))
}

/// A statement that is valid wherever `todo!()` is, in generic functions and on any thread. It takes no memory: some checks
/// count what is taken.
fn mark(organ: &str) -> String {
    let said = format!("{BEFORE}{organ}{AFTER}\\n");
    let flag = "::std::sync::atomic::AtomicBool";
    format!(
        "#[allow(warnings)] let _ = {{ static RAN: {flag} = {flag}::new(false); \
         if !RAN.swap(true, ::std::sync::atomic::Ordering::Relaxed) {{ ::std::eprint!(\"{said}\") }} }};"
    )
}
