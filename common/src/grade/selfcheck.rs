//! `cargo grade selfcheck`: that the exercises are worth doing.
//!
//! A judge proves itself by what it turns away: the starter, on every check, and known wrong answers, each on the check that
//! is there for it. Each of these is put into a copy of the workspace as if a reader had written it, and judged as a reader
//! is: in `mine/`, where each organ that is not on trial has its reference. So one crate is built with the same settings from
//! beginning to end, and what one answer costs is an incremental build of it and of a judge; and wrong answers of several
//! organs share a build where that proves as much ([`rounds`](super::rounds)). The copy and its builds are kept.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};

use super::build::{self, Build, Organs};
use super::definitions;
use super::error::{Doing, Error};
use super::manifest::{Exercise, Wrong};
use super::progress::Progress;
use super::score::{self, Job, Options};
use super::trace;
use super::tree;
use super::verdict::Verdict;
use super::workspace::{Chapter, Workspace, read, write};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();

/// What to check, and how.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Only that chapter.
    pub chapter: Option<&'a str>,
    /// Only the organs of that name.
    pub organ: Option<&'a str>,
    /// How long one check of a judge may run.
    pub limit: Duration,
}

/// Runs the self-check, prints a line for each thing checked, and returns the number of defects.
pub fn selfcheck(workspace: &Workspace, scope: Scope<'_>, out: &mut dyn Write) -> Result<usize, Error> {
    let folder = workspace.scratch().join("selfcheck");
    tree::refresh(workspace, &folder)?;
    let scratch = workspace.sibling(&folder)?;
    tree::drop_binaries(&scratch)?;
    let chapters: Vec<Chapter> = match scope.chapter {
        Some(name) => vec![scratch.chapter(name)?.clone()],
        None => scratch.chapters.clone(),
    };
    let chapters: Vec<Chapter> = chapters.into_iter().map(|chapter| chapter.keeping(scope.organ)).collect();
    let organs: usize = chapters.iter().map(|chapter| chapter.exercises.len()).sum();
    if organs == 0 {
        return Err(Error::Usage("there is no such exercise to check".to_owned()));
    }
    let mut run = Run {
        workspace: &scratch,
        options: Options { salt: None, limit: scope.limit },
        progress: Progress::bar(steps(&chapters)),
        out,
        defects: 0,
    };
    run.item("the workspace", || Ok(definitions::of_workspace(workspace)))?;
    for chapter in &chapters {
        run.chapter(chapter, scope.organ.is_none())?;
    }
    Ok(run.defects)
}

/// A self-check under way.
pub(super) struct Run<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) options: Options,
    pub(super) progress: Progress,
    out: &'a mut dyn Write,
    defects: usize,
}

impl Run<'_> {
    fn chapter(&mut self, chapter: &Chapter, whole: bool) -> Result<(), Error> {
        let id = &chapter.id;
        if whole {
            self.item(&format!("{id}: definitions"), || Ok(definitions::of_chapter(chapter)))?;
        }
        let wrong = chapter.wrong_answers().unwrap_or_default();
        let of = |exercise: &Exercise| wrong.iter().filter(|wrong| wrong.organ == exercise.organ).collect::<Vec<_>>();
        for exercise in &chapter.exercises {
            let what = format!("{}: starter and anchors as text", exercise.id());
            self.item(&what, || definitions::of_exercise(exercise, &of(exercise)))?;
        }
        for package in packages(chapter) {
            let exercises: Vec<&Exercise> =
                chapter.exercises.iter().filter(|exercise| exercise.package == package).collect();
            exercises.iter().try_for_each(|exercise| place_reference(exercise))?;
            self.references(id, &package, &exercises)?;
            exercises.iter().try_for_each(|exercise| self.starter(exercise))?;
            let wrong: Vec<(&Exercise, &Wrong)> = exercises
                .iter()
                .flat_map(|&exercise| of(exercise).into_iter().map(move |wrong| (exercise, wrong)))
                .collect();
            self.wrong_answers(id, &package, &wrong)?;
            exercises.iter().try_for_each(|exercise| remove(exercise))?;
        }
        if whole {
            self.all_starters(chapter)?;
        }
        Ok(())
    }

    /// The references score 100 %, with the marks that wrong answers will have, and the judges' tests are the chapter's checks.
    fn references(&mut self, id: &str, package: &str, exercises: &[&Exercise]) -> Result<(), Error> {
        let (workspace, options) = (self.workspace, self.options);
        let organs: Vec<&str> = exercises.iter().map(|exercise| exercise.organ.as_str()).collect();
        self.build_item(&format!("{id}: the references of {package}"), |progress| {
            let compiled = match build::tests(workspace, package, &organs, Organs::Of(package), progress)? {
                Build::Failed(errors) => return Ok(vec![format!("it does not compile:\n{errors}")]),
                Build::Done(compiled) => compiled,
            };
            let mut defects = Vec::new();
            for exercise in exercises {
                let judge = &compiled.tests[&exercise.organ];
                if let Err(error) = score::verify_list(exercise, judge) {
                    defects.push(error.to_string());
                    continue;
                }
                for result in score::run_checks(&Job::all_of(exercise, judge), options)? {
                    if !result.verdict.is_passed() {
                        let why = explain(&result.verdict);
                        defects.push(format!("{} fails `{}`: {why}", exercise.id(), result.check.name));
                    }
                }
            }
            Ok(defects)
        })
    }

    /// The starter compiles without a warning, and fails every check.
    fn starter(&mut self, exercise: &Exercise) -> Result<(), Error> {
        let (workspace, options) = (self.workspace, self.options);
        self.build_item(&format!("{}: the starter fails every check", exercise.id()), |progress| {
            let text = match definitions::generate(exercise) {
                Ok(text) => text,
                Err(error) => return Ok(vec![error.to_string()]),
            };
            let (package, organ) = (&exercise.package, &exercise.organ);
            place(exercise, &text)?;
            let built = build::tests(workspace, package, &[organ], Organs::Of(package), progress)?;
            place_reference(exercise)?;
            let compiled = match built {
                Build::Failed(errors) => return Ok(vec![format!("it does not compile:\n{errors}")]),
                Build::Done(compiled) => compiled,
            };
            let mut defects: Vec<String> =
                compiled.warnings.iter().map(|warning| format!("it gives a warning:\n{warning}")).collect();
            for result in score::run_checks(&Job::all_of(exercise, &compiled.tests[organ]), options)? {
                match result.verdict {
                    Verdict::Passed => defects.push(format!("it passes `{}`", result.check.name)),
                    Verdict::TimedOut { .. } => defects.push(format!("it hangs `{}`", result.check.name)),
                    Verdict::Todo(_) | Verdict::Failed(_) | Verdict::Crashed { .. } => {}
                }
            }
            Ok(defects)
        })
    }

    /// The starters compile together, as they do for a class.
    fn all_starters(&mut self, chapter: &Chapter) -> Result<(), Error> {
        let workspace = self.workspace;
        for exercise in &chapter.exercises {
            if let Ok(text) = definitions::generate(exercise) {
                place(exercise, &text)?;
            }
        }
        for package in packages(chapter) {
            let organs: Vec<&str> = chapter.organs_in(&package).collect();
            self.build_item(&format!("{}: all starters together in {package}", chapter.id), |progress| {
                Ok(match build::tests(workspace, &package, &organs, Organs::All, progress)? {
                    Build::Failed(errors) => vec![format!("they do not compile:\n{errors}")],
                    Build::Done(compiled) => {
                        let warnings = compiled.warnings.iter();
                        warnings.map(|warning| format!("they give a warning:\n{warning}")).collect()
                    }
                })
            })?;
        }
        chapter.exercises.iter().try_for_each(remove)
    }

    pub(super) fn item(&mut self, what: &str, check: impl FnOnce() -> Result<Vec<String>, Error>) -> Result<(), Error> {
        self.build_item(what, |_| check())
    }

    fn build_item(
        &mut self,
        what: &str,
        check: impl FnOnce(&Progress) -> Result<Vec<String>, Error>,
    ) -> Result<(), Error> {
        self.progress.begins(what);
        let started = Instant::now();
        let defects = check(&self.progress)?;
        self.progress.step();
        self.line(what, started.elapsed(), &defects)
    }

    /// Prints a line for what has been checked, and what is wrong with it.
    pub(super) fn line(&mut self, what: &str, took: Duration, defects: &[String]) -> Result<(), Error> {
        self.defects += defects.len();
        let seconds = took.as_secs_f64();
        let out = &mut *self.out;
        self.progress
            .aside(|| {
                let (style, word) = if defects.is_empty() { (GOOD, "ok") } else { (BAD, "DEFECT") };
                writeln!(out, "{style}{word:<6}{style:#} {seconds:>5.1} s  {what}")?;
                for line in defects.iter().flat_map(|defect| defect.lines()) {
                    writeln!(out, "                {line}")?;
                }
                Ok(())
            })
            .doing(|| "printing".to_owned())
    }
}

impl Chapter {
    /// The chapter with the exercises of that organ alone, or with all.
    fn keeping(mut self, organ: Option<&str>) -> Self {
        self.exercises.retain(|exercise| organ.is_none_or(|organ| exercise.organ == organ));
        self
    }

    fn organs_in<'a>(&'a self, package: &'a str) -> impl Iterator<Item = &'a str> {
        let here = self.exercises.iter().filter(move |exercise| exercise.package == package);
        here.map(|exercise| exercise.organ.as_str())
    }
}

/// Puts `text` where the reader's file would be. A file that is the same is not touched: cargo goes by its time.
pub(super) fn place(exercise: &Exercise, text: &str) -> Result<(), Error> {
    let mine = exercise.mine();
    if read(&mine).is_ok_and(|there| there == text) {
        return Ok(());
    }
    write(&mine, text)
}

/// Puts the reference there, with marks; without, if its regions are not whole, which is among the defects of the text.
pub(super) fn place_reference(exercise: &Exercise) -> Result<(), Error> {
    let reference = read(&exercise.reference())?;
    place(exercise, &trace::traced(exercise, &reference).unwrap_or(reference))
}

fn remove(exercise: &Exercise) -> Result<(), Error> {
    let mine = exercise.mine();
    if mine.exists() {
        fs::remove_file(&mine).doing(|| format!("removing {}", mine.display()))?;
    }
    Ok(())
}

fn packages(chapter: &Chapter) -> BTreeSet<String> {
    chapter.exercises.iter().map(|exercise| exercise.package.clone()).collect()
}

fn steps(chapters: &[Chapter]) -> usize {
    let of = |chapter: &Chapter| {
        let wrong = chapter.wrong_answers().unwrap_or_default();
        let wrong = wrong.iter().filter(|wrong| chapter.exercises.iter().any(|known| known.organ == wrong.organ));
        1 + 2 * chapter.exercises.len() + 2 * packages(chapter).len() + wrong.count()
    };
    1 + chapters.iter().map(of).sum::<usize>()
}

fn explain(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Failed(panic) | Verdict::Todo(panic) => format!("{} ({})", panic.message, panic.location),
        Verdict::Crashed { how, .. } => how.clone(),
        Verdict::Passed | Verdict::TimedOut { .. } => verdict.word().to_owned(),
    }
}
