//! `cargo grade selfcheck`: that the exercises are worth doing.
//!
//! A judge proves itself by what it turns away: the starter, on every check, and known wrong answers, each on the check that
//! is there for it. Each of these is put into a copy of the workspace as if a reader had written it, and judged as a reader
//! is. The copy and its builds are kept, so that each answer costs one incremental build of one crate and one judge.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};

use super::build::{self, Build, Compiled, Organs};
use super::definitions;
use super::error::{Doing, Error};
use super::manifest::{Check, Exercise, Wrong};
use super::progress::Progress;
use super::score::{self, Options};
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

struct Run<'a> {
    workspace: &'a Workspace,
    options: Options,
    progress: Progress,
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
            self.reference(id, &package, &exercises)?;
            for exercise in &exercises {
                self.starter(exercise)?;
                for wrong in of(exercise) {
                    self.wrong_answer(exercise, wrong)?;
                }
                remove(exercise)?;
            }
        }
        if whole {
            self.all_starters(chapter)?;
        }
        Ok(())
    }

    /// The reference scores 100 %, and the judge's tests are the chapter's checks.
    fn reference(&mut self, id: &str, package: &str, exercises: &[&Exercise]) -> Result<(), Error> {
        let (workspace, options) = (self.workspace, self.options);
        let organs: Vec<&str> = exercises.iter().map(|exercise| exercise.organ.as_str()).collect();
        self.build_item(&format!("{id}: the references of {package}"), |progress| {
            let compiled = match build::tests(workspace, package, &organs, Organs::Reference, progress)? {
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
                let checks: Vec<&Check> = exercise.checks.iter().collect();
                for result in score::run_checks(exercise, judge, &checks, options)? {
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
            let compiled = match built_with(workspace, exercise, &text, progress)? {
                Err(errors) => return Ok(vec![format!("it does not compile:\n{errors}")]),
                Ok(compiled) => compiled,
            };
            let mut defects: Vec<String> =
                compiled.warnings.iter().map(|warning| format!("it gives a warning:\n{warning}")).collect();
            let checks: Vec<&Check> = exercise.checks.iter().collect();
            for result in score::run_checks(exercise, &compiled.tests[&exercise.organ], &checks, options)? {
                match result.verdict {
                    Verdict::Passed => defects.push(format!("it passes `{}`", result.check.name)),
                    Verdict::TimedOut { .. } => defects.push(format!("it hangs `{}`", result.check.name)),
                    Verdict::Todo(_) | Verdict::Failed(_) | Verdict::Crashed { .. } => {}
                }
            }
            Ok(defects)
        })
    }

    /// A wrong answer compiles, and fails the check that is there for it.
    fn wrong_answer(&mut self, exercise: &Exercise, wrong: &Wrong) -> Result<(), Error> {
        let (workspace, options) = (self.workspace, self.options);
        self.build_item(&format!("{}: wrong: {}", exercise.id(), wrong.name), |progress| {
            let check = exercise.checks.iter().find(|check| check.name == wrong.fails);
            // Both are among the defects of the text, and there is nothing to judge.
            let (Some(check), Ok(text)) = (check, wrong.apply(&read(&exercise.reference())?)) else {
                return Ok(vec!["it cannot be tried".to_owned()]);
            };
            let compiled = match built_with(workspace, exercise, &text, progress)? {
                Err(errors) => return Ok(vec![format!("it does not compile:\n{errors}")]),
                Ok(compiled) => compiled,
            };
            let results = score::run_checks(exercise, &compiled.tests[&exercise.organ], &[check], options)?;
            let passed = results.iter().any(|result| result.verdict.is_passed());
            Ok(if passed { vec![format!("it passes `{}`", wrong.fails)] } else { Vec::new() })
        })
    }

    /// The starters compile together, as they do for a class.
    fn all_starters(&mut self, chapter: &Chapter) -> Result<(), Error> {
        let workspace = self.workspace;
        for exercise in &chapter.exercises {
            if let Ok(text) = definitions::generate(exercise) {
                write(&exercise.mine(), &text)?;
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

    fn item(&mut self, what: &str, check: impl FnOnce() -> Result<Vec<String>, Error>) -> Result<(), Error> {
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
        let seconds = started.elapsed().as_secs_f64();
        self.progress.step();
        self.defects += defects.len();
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

/// Builds the judge of `exercise` with `text` as the reader's file; the compiler's errors if it does not compile.
fn built_with(
    workspace: &Workspace,
    exercise: &Exercise,
    text: &str,
    progress: &Progress,
) -> Result<Result<Compiled, String>, Error> {
    write(&exercise.mine(), text)?;
    Ok(match build::tests(workspace, &exercise.package, &[&exercise.organ], Organs::Only(exercise), progress)? {
        Build::Done(compiled) => Ok(compiled),
        Build::Failed(errors) => Err(errors),
    })
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
