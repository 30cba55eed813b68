//! Scoring an exercise: its judge is built with the reader's file alone in it, and each check is run on its own.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::build::{self, Build, Organs};
use super::error::{Doing, Error};
use super::manifest::{Check, Exercise};
use super::process::{self, Ending};
use super::progress::Progress;
use super::trace;
use super::verdict::{self, Verdict};
use super::workspace::Workspace;
use crate::judge::SALT_VAR;

/// How long one check may run. A check takes less than two seconds, so that only what hangs meets this on a slow machine.
pub const TIME_LIMIT: Duration = Duration::from_secs(20);

/// How many checks run at once: two cores are what a reader's machine has at least.
const AT_ONCE: usize = 2;

/// How long a judge may take to list its tests.
const LIST_LIMIT: Duration = Duration::from_secs(10);

/// How to judge.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Adds unseen seeds to the randomised checks.
    pub salt: Option<u64>,
    /// How long one check may run.
    pub limit: Duration,
}

/// What an exercise came to.
#[derive(Debug, Clone)]
pub struct Score {
    /// The exercise.
    pub exercise: Exercise,
    /// How far it is.
    pub state: State,
}

/// How far an exercise is.
#[derive(Debug, Clone)]
pub enum State {
    /// There is no file of the reader's; the reference is never scored in its place.
    NotStarted,
    /// The judge does not compile with the reader's file; what the compiler wrote.
    DoesNotCompile(String),
    /// Judged: each check, in the order of the chapter's list.
    Judged(Vec<CheckResult>),
}

/// What one check came to.
#[derive(Debug, Clone)]
pub struct CheckResult {
    /// The check.
    pub check: Check,
    /// What it came to.
    pub verdict: Verdict,
    /// How long it ran.
    pub took: Duration,
    /// Whether it is known to have run no other organ's code: see [`trace`].
    pub stayed: bool,
}

/// A check to run, and the judge that has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job<'a> {
    /// The exercise.
    pub(super) exercise: &'a Exercise,
    /// Its judge, built.
    pub(super) judge: &'a Path,
    /// The check.
    pub(super) check: &'a Check,
}

impl<'a> Job<'a> {
    /// Every check of an exercise.
    pub(super) fn all_of(exercise: &'a Exercise, judge: &'a Path) -> Vec<Self> {
        exercise.checks.iter().map(|check| Self { exercise, judge, check }).collect()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { salt: None, limit: TIME_LIMIT }
    }
}

impl Score {
    /// The points it gives.
    pub fn points(&self) -> u32 {
        self.checks().iter().filter(|result| result.verdict.is_passed()).map(|result| result.check.points).sum()
    }

    /// Whether it gives all of them.
    pub fn is_full(&self) -> bool {
        matches!(&self.state, State::Judged(checks) if checks.iter().all(|result| result.verdict.is_passed()))
    }

    /// The checks that were run.
    pub fn checks(&self) -> &[CheckResult] {
        match &self.state {
            State::Judged(checks) => checks,
            State::NotStarted | State::DoesNotCompile(_) => &[],
        }
    }

    /// In two words, as the scorecard and the JSON have it.
    pub fn word(&self) -> &'static str {
        match &self.state {
            State::NotStarted => "not started",
            State::DoesNotCompile(_) => "does not compile",
            State::Judged(_) if self.is_full() => "passed",
            State::Judged(_) => "unfinished",
        }
    }
}

/// Judges the reader's file for `exercise`.
pub fn score(
    workspace: &Workspace,
    exercise: &Exercise,
    options: Options,
    progress: &Progress,
) -> Result<Score, Error> {
    let state = if exercise.mine().is_file() {
        progress.begins(format!("{}: building its judge", exercise.id()));
        match build::tests(workspace, &exercise.package, &[&exercise.organ], Organs::Only(exercise), progress)? {
            Build::Failed(errors) => State::DoesNotCompile(errors),
            Build::Done(compiled) => {
                let judge = &compiled.tests[&exercise.organ];
                verify_list(exercise, judge)?;
                progress.begins(format!("{}: judging", exercise.id()));
                State::Judged(run_checks(&Job::all_of(exercise, judge), options)?)
            }
        }
    } else {
        State::NotStarted
    };
    Ok(Score { exercise: exercise.clone(), state })
}

/// Holds the tests of the judge to be exactly the checks that the chapter lists.
pub(super) fn verify_list(exercise: &Exercise, judge: &Path) -> Result<(), Error> {
    let differ = |what: String| Error::Judge { id: exercise.id(), what };
    let outcome = process::run(Command::new(judge).args(["--list", "--format", "terse"]), LIST_LIMIT)?;
    if outcome.ending != Ending::Exited(0) {
        return Err(differ(format!("the judge does not list its tests: {}", outcome.stderr.trim())));
    }
    let tests: BTreeSet<&str> = outcome.stdout.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    let checks: BTreeSet<&str> = exercise.checks.iter().map(|check| check.name.as_str()).collect();
    if tests.is_empty() {
        return Err(differ("the judge has no tests: 0 would be run".to_owned()));
    }
    let names = |names: Vec<&&str>| names.into_iter().copied().collect::<Vec<_>>().join(", ");
    let absent = names(checks.difference(&tests).collect());
    let unlisted = names(tests.difference(&checks).collect());
    match (absent.as_str(), unlisted.as_str()) {
        ("", "") => Ok(()),
        (_, "") => Err(differ(format!("the judge has no test {absent}"))),
        ("", _) => Err(differ(format!("exercises.toml does not list {unlisted}"))),
        _ => Err(differ(format!("the judge has no test {absent}; exercises.toml does not list {unlisted}"))),
    }
}

/// Runs checks, two at once, and returns what they came to in their order.
pub(super) fn run_checks(jobs: &[Job<'_>], options: Options) -> Result<Vec<CheckResult>, Error> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<Result<CheckResult, Error>>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(jobs.len()) {
            scope.spawn(|| {
                while let Some((at, job)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    jobs.get(at).map(|job| (at, job))
                } {
                    let result = run_check(job, options);
                    results.lock().expect("no holder of this lock panics")[at] = Some(result);
                }
            });
        }
    });
    let results = results.into_inner().expect("no holder of this lock panics");
    results.into_iter().map(|result| result.expect("each check has been run")).collect()
}

fn run_check(job: &Job<'_>, options: Options) -> Result<CheckResult, Error> {
    let Job { exercise, judge, check } = *job;
    let folder = ScratchFolder::new(&exercise.organ, &check.name)?;
    let mut command = Command::new(judge);
    command.args(["--exact", &check.name, "--nocapture", "--test-threads=1"]);
    command.current_dir(&exercise.folder).env("CARGO_MANIFEST_DIR", &exercise.folder).env("TMPDIR", &folder.path);
    command.env("RUST_BACKTRACE", "0").env("NO_COLOR", "1").env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1");
    match options.salt {
        Some(salt) => command.env(SALT_VAR, salt.to_string()),
        None => command.env_remove(SALT_VAR),
    };
    let outcome = process::run(&mut command, options.limit)?;
    let verdict = verdict::classify(&outcome, options.limit).ok_or_else(|| Error::Judge {
        id: exercise.id(),
        what: format!("0 tests ran as `{}`; is it ignored?", check.name),
    })?;
    let stayed = trace::stayed_in(&exercise.organ, &outcome);
    Ok(CheckResult { check: check.clone(), verdict, took: outcome.took, stayed })
}

/// A check's own folder for temporary files: a check that is killed cannot clean up.
struct ScratchFolder {
    path: std::path::PathBuf,
}

impl ScratchFolder {
    fn new(organ: &str, check: &str) -> Result<Self, Error> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("grade-{}-{number}-{organ}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).doing(|| format!("making {} for {check}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // What stays behind is in the folder for temporary files, and the verdict is worth more than it.
        let _left = std::fs::remove_dir_all(&self.path);
    }
}
