//! Wrong answers, tried in rounds: one of each organ of a crate, all in one build.
//!
//! A build of the library costs seconds and a check milliseconds, so that a chapter of seven organs with nine wrong answers
//! each would be 63 builds, and is nine. [`trace`] says when a verdict from such a build is worth as much as one
//! from a build of the answer's own: when the answer is confined to what the reader writes, and its check ran that and no
//! other organ's. Whatever is in doubt (an answer that changes more, one that does not compile, a check that ran into
//! another organ) is tried again, alone.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::build::{self, Build, Compiled, Organs};
use super::error::Error;
use super::manifest::{Check, Exercise, Wrong};
use super::score::{self, Job};
use super::selfcheck::{Run, place, place_reference};
use super::trace;
use super::verdict::Verdict;
use super::workspace::read;

/// A wrong answer that can be tried.
struct Answer<'a> {
    exercise: &'a Exercise,
    wrong: &'a Wrong,
    check: &'a Check,
    text: String,
    /// The same with marks in it, if it may share a build.
    traced: Option<String>,
}

impl<'a> Answer<'a> {
    /// Nothing if its anchor or its check is not there: that is among the defects of the text.
    fn new(exercise: &'a Exercise, wrong: &'a Wrong) -> Result<Option<Self>, Error> {
        let reference = read(&exercise.reference())?;
        let check = exercise.checks.iter().find(|check| check.name == wrong.fails);
        let (Some(check), Ok(text)) = (check, wrong.apply(&reference)) else { return Ok(None) };
        let shares = trace::confined(exercise, &reference, &text);
        let traced = if shares { trace::traced(exercise, &text).ok() } else { None };
        Ok(Some(Self { exercise, wrong, check, text, traced }))
    }

    fn what(&self) -> String {
        what(self.exercise, self.wrong)
    }
}

impl Run<'_> {
    /// Each wrong answer of a crate's exercises compiles, and fails the check that is there for it.
    pub(super) fn wrong_answers(
        &mut self,
        id: &str,
        package: &str,
        wrong: &[(&Exercise, &Wrong)],
    ) -> Result<(), Error> {
        let mut queues: BTreeMap<&str, VecDeque<Answer<'_>>> = BTreeMap::new();
        let mut alone = Vec::new();
        for &(exercise, wrong) in wrong {
            match Answer::new(exercise, wrong)? {
                None => self.item(&what(exercise, wrong), || Ok(vec!["it cannot be tried".to_owned()]))?,
                Some(answer) if answer.traced.is_some() => {
                    queues.entry(&exercise.organ).or_default().push_back(answer);
                }
                Some(answer) => alone.push(answer),
            }
        }
        loop {
            let round: Vec<Answer<'_>> = queues.values_mut().filter_map(VecDeque::pop_front).collect();
            match round.len() {
                0 => break,
                1 => alone.extend(round),
                _ => alone.extend(self.round(id, package, round)?),
            }
        }
        alone.iter().try_for_each(|answer| self.alone(package, answer))
    }

    /// Tries one answer of each organ in one build, and returns those that this says nothing about.
    fn round<'a>(&mut self, id: &str, package: &str, round: Vec<Answer<'a>>) -> Result<Vec<Answer<'a>>, Error> {
        let build = format!("{id}: a build of {package} with {} wrong answers in it", round.len());
        self.progress.begins(&build);
        let started = Instant::now();
        for answer in &round {
            place(answer.exercise, answer.traced.as_ref().expect("only those that share a build are in rounds"))?;
        }
        let organs: Vec<&str> = round.iter().map(|answer| answer.exercise.organ.as_str()).collect();
        let built = build::tests(self.workspace, package, &organs, Organs::Of(package), &self.progress)?;
        self.line(&build, started.elapsed(), &[])?;
        round.iter().try_for_each(|answer| place_reference(answer.exercise))?;
        let Build::Done(compiled) = built else { return Ok(round) };

        let jobs: Vec<Job<'_>> = round.iter().map(|answer| answer.job(&compiled)).collect();
        let results = score::run_checks(&jobs, self.options)?;
        let mut doubtful = Vec::new();
        for (answer, result) in round.into_iter().zip(results) {
            if result.stayed {
                self.verdict(&answer, &result.verdict, result.took)?;
            } else {
                doubtful.push(answer);
            }
        }
        Ok(doubtful)
    }

    /// Tries an answer in a build of its own, with the references in the place of the others.
    fn alone(&mut self, package: &str, answer: &Answer<'_>) -> Result<(), Error> {
        self.progress.begins(answer.what());
        let started = Instant::now();
        let exercise = answer.exercise;
        place(exercise, &answer.text)?;
        let built = build::tests(self.workspace, package, &[&exercise.organ], Organs::Of(package), &self.progress)?;
        place_reference(exercise)?;
        let compiled = match built {
            Build::Done(compiled) => compiled,
            Build::Failed(errors) => {
                self.progress.step();
                return self.line(&answer.what(), started.elapsed(), &[format!("it does not compile:\n{errors}")]);
            }
        };
        for result in score::run_checks(&[answer.job(&compiled)], self.options)? {
            self.verdict(answer, &result.verdict, started.elapsed())?;
        }
        Ok(())
    }

    fn verdict(&mut self, answer: &Answer<'_>, verdict: &Verdict, took: Duration) -> Result<(), Error> {
        let passes = verdict.is_passed().then(|| format!("it passes `{}`", answer.check.name));
        self.progress.step();
        self.line(&answer.what(), took, passes.as_slice())
    }
}

impl Answer<'_> {
    fn job<'a>(&'a self, compiled: &'a Compiled) -> Job<'a> {
        Job { exercise: self.exercise, judge: &compiled.tests[&self.exercise.organ], check: self.check }
    }
}

fn what(exercise: &Exercise, wrong: &Wrong) -> String {
    format!("{}: wrong: {}", exercise.id(), wrong.name)
}
