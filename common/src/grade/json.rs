//! The verdicts as JSON, for a classroom's own tooling.
//!
//! One document. A field is never taken away or given another meaning without another `format`:
//!
//! ```json
//! { "format": 1, "salt": null, "points": 7, "of": 10, "passed": false,
//!   "exercises": [ {
//!     "id": "ch01/percentiles", "chapter": "ch01", "organ": "percentiles", "package": "ch01-kv", "title": "…",
//!     "section": { "chapter": 1, "title": "Describing Performance" },
//!     "points": 7, "of": 10, "state": "passed | unfinished | does not compile | not started",
//!     "compiler": null,
//!     "checks": [ {
//!       "name": "…", "says": "…", "points": 0, "of": 3, "millis": 12,
//!       "verdict": "passed | failed | todo | timed out | crashed",
//!       "location": "ch01-kv/tests/percentiles.rs:10:5", "message": "…", "replay": "…" } ] } ] }
//! ```
//!
//! `checks` is empty where nothing was run; `location` and `message` are null where a check passed.

use serde_json::{Value, json};

use super::report::replay;
use super::score::{CheckResult, Options, Score, State};
use super::verdict::Verdict;

/// The version of the document.
const FORMAT: u32 = 1;

/// The document for `scores`.
pub fn document(scores: &[Score], options: Options) -> Value {
    let points: u32 = scores.iter().map(Score::points).sum();
    let of: u32 = scores.iter().map(|score| score.exercise.points).sum();
    json!({
        "format": FORMAT,
        "salt": options.salt,
        "points": points,
        "of": of,
        "passed": scores.iter().all(Score::is_full),
        "exercises": scores.iter().map(|score| exercise(score, options)).collect::<Vec<_>>(),
    })
}

fn exercise(score: &Score, options: Options) -> Value {
    let exercise = &score.exercise;
    let compiler = match &score.state {
        State::DoesNotCompile(errors) => Some(anstream::adapter::strip_str(errors).to_string()),
        State::NotStarted | State::Judged(_) => None,
    };
    json!({
        "id": exercise.id(),
        "chapter": exercise.chapter,
        "organ": exercise.organ,
        "package": exercise.package,
        "title": exercise.title,
        "section": { "chapter": exercise.section.chapter, "title": exercise.section.title },
        "points": score.points(),
        "of": exercise.points,
        "state": score.word(),
        "compiler": compiler,
        "checks": score.checks().iter().map(|result| check(score, result, options)).collect::<Vec<_>>(),
    })
}

fn check(score: &Score, result: &CheckResult, options: Options) -> Value {
    let (verdict, location, message) = match &result.verdict {
        Verdict::Passed => ("passed", None, None),
        Verdict::Failed(panic) => ("failed", Some(&panic.location), Some(panic.message.clone())),
        Verdict::Todo(panic) => ("todo", Some(&panic.location), Some(panic.message.clone())),
        Verdict::TimedOut { output, .. } => ("timed out", None, Some(output.clone())),
        Verdict::Crashed { how, output } => ("crashed", None, Some(format!("{how}\n{output}"))),
    };
    json!({
        "name": result.check.name,
        "says": result.check.says,
        "points": if result.verdict.is_passed() { result.check.points } else { 0 },
        "of": result.check.points,
        "verdict": verdict,
        "location": location,
        "message": message,
        "millis": u64::try_from(result.took.as_millis()).unwrap_or(u64::MAX),
        "replay": replay(&score.exercise, &result.check.name, options),
    })
}
