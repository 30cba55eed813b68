//! What the grader says, on a terminal and in a pipe: the same lines, coloured where colour is wanted.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};

use super::manifest::Exercise;
use super::score::{CheckResult, Options, Score, State};
use super::verdict::{Panic, Verdict};
use super::workspace::Workspace;
use crate::judge::SALT_VAR;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const OPEN: Style = AnsiColor::Yellow.on_default();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// The widest that prose is set, in columns.
const PROSE: usize = 100;

/// The narrowest that the scorecard is set, in columns: below it, lines that wrap read better than columns of one letter.
const NARROWEST: u16 = 60;

/// The width of prose on this terminal.
fn prose_width() -> usize {
    terminal_size::terminal_size().map_or(PROSE, |(width, _)| usize::from(width.0).clamp(40, PROSE))
}

/// What a reader sees when an exercise begins.
pub fn started(out: &mut dyn Write, workspace: &Workspace, exercise: &Exercise) -> io::Result<()> {
    let id = exercise.id();
    writeln!(out, "{BOLD}{id}{BOLD:#}  {}  ({} points)", exercise.title, exercise.points)?;
    writeln!(out, "Read   {}", exercise.section)?;
    prose(out, "Task   ", &exercise.task)?;
    prose(out, "First  ", &exercise.predict)?;
    writeln!(out)?;
    for check in &exercise.checks {
        prose(out, &format!("{:>5}  ", check.points), &check.says)?;
    }
    writeln!(out)?;
    writeln!(out, "Yours is {BOLD}{}{BOLD:#}: write what says todo!().", workspace.shown(&exercise.mine()))?;
    writeln!(out, "Then `cargo grade {id}` judges it; `cargo grade hint {id}` helps.")
}

/// One exercise's verdict: each check by name, and the first failure explained.
pub fn score(out: &mut dyn Write, score: &Score, options: Options) -> io::Result<()> {
    let id = score.exercise.id();
    let (points, of) = (score.points(), score.exercise.points);
    let style = style_of(score);
    writeln!(out, "{BOLD}{id}{BOLD:#}  {}  {style}{points}/{of}{style:#}", score.exercise.title)?;
    match &score.state {
        State::NotStarted => writeln!(out, "  not started: `cargo grade start {id}`"),
        State::DoesNotCompile(errors) => {
            writeln!(out, "  {BAD}does not compile{BAD:#}: no check was run\n")?;
            writeln!(out, "{}", errors.trim_end())
        }
        State::Judged(checks) => {
            for result in checks {
                let style = if result.verdict.is_passed() { GOOD } else { BAD };
                let word = result.verdict.word();
                let points = if result.verdict.is_passed() { result.check.points } else { 0 };
                let ratio = format!("{points}/{}", result.check.points);
                writeln!(out, "  {style}{word:<9}{style:#}  {ratio:>5}  {}", result.check.name)?;
            }
            match checks.iter().find(|result| !result.verdict.is_passed()) {
                Some(first) => failure(out, score, first, options),
                None => writeln!(out, "  `cargo grade diff {id}` compares yours with the reference"),
            }
        }
    }
}

/// The scorecard: every exercise of every chapter, and what to do next.
pub fn scorecard(out: &mut dyn Write, workspace: &Workspace, scores: &[Score]) -> io::Result<()> {
    for chapter in &workspace.chapters {
        let of_chapter: Vec<&Score> = scores.iter().filter(|score| score.exercise.chapter == chapter.id).collect();
        let points: u32 = of_chapter.iter().map(|score| score.points()).sum();
        writeln!(out, "{BOLD}{}{BOLD:#}  {}  {points}/{}", chapter.id, chapter.title, chapter.points())?;
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).enforce_styling();
        if let Some((width, _)) = terminal_size::terminal_size() {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.0.max(NARROWEST));
        }
        for score in of_chapter {
            let colour = match score.word() {
                "passed" => Color::Green,
                "not started" => Color::Reset,
                "unfinished" => Color::Yellow,
                _ => Color::Red,
            };
            let ratio = format!("{}/{}", score.points(), score.exercise.points);
            table.add_row([
                Cell::new(score.exercise.id()),
                Cell::new(ratio).set_alignment(CellAlignment::Right),
                Cell::new(score.word()).fg(colour),
                Cell::new(&score.exercise.title),
            ]);
        }
        for line in table.to_string().lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
        writeln!(out)?;
    }
    next(out, scores)
}

/// What to do next: the first exercise that is not passed.
pub fn next(out: &mut dyn Write, scores: &[Score]) -> io::Result<()> {
    match scores.iter().find(|score| !score.is_full()) {
        None if scores.is_empty() => writeln!(out, "There are no exercises here."),
        None => writeln!(out, "{GOOD}All passed.{GOOD:#}"),
        Some(Score { exercise, state: State::NotStarted }) => {
            let (id, title) = (exercise.id(), &exercise.title);
            writeln!(out, "Next: read {}, then `cargo grade start {id}` ({title}).", exercise.section)
        }
        Some(Score { exercise, .. }) => {
            let id = exercise.id();
            writeln!(out, "Next: `cargo grade {id}` says what is missing ({}).", exercise.title)
        }
    }
}

/// A unified diff, with its lines coloured.
pub fn diff(out: &mut dyn Write, text: &str) -> io::Result<()> {
    for line in text.lines() {
        let style = match line.as_bytes().first() {
            Some(b'+') => GOOD,
            Some(b'-') => BAD,
            Some(b'@') => DIM,
            _ => Style::new(),
        };
        writeln!(out, "{style}{line}{style:#}")?;
    }
    Ok(())
}

/// Text under a label, wrapped and indented to it.
pub fn prose(out: &mut dyn Write, label: &str, text: &str) -> io::Result<()> {
    let indent = " ".repeat(label.chars().count());
    let options = textwrap::Options::new(prose_width()).initial_indent(label).subsequent_indent(&indent);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in textwrap::wrap(&text, options) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn failure(out: &mut dyn Write, score: &Score, first: &CheckResult, options: Options) -> io::Result<()> {
    writeln!(out, "\n{BAD}{}{BAD:#}  {}", first.verdict.word(), first.check.name)?;
    prose(out, "  it says  ", &first.check.says)?;
    match &first.verdict {
        Verdict::Passed => {}
        Verdict::Failed(Panic { location, message }) | Verdict::Todo(Panic { location, message }) => {
            if !location.is_empty() {
                writeln!(out, "  at       {location}")?;
            }
            quoted(out, message)?;
        }
        Verdict::TimedOut { limit, output } => {
            writeln!(out, "  after    {} s it was stopped; the last it printed:", limit.as_secs())?;
            quoted(out, output)?;
        }
        Verdict::Crashed { how, output } => {
            writeln!(out, "  ended    {how}; the last it printed:")?;
            quoted(out, output)?;
        }
    }
    writeln!(out, "  replay   {DIM}{}{DIM:#}", replay(&score.exercise, &first.check.name, options))
}

/// The command that runs one check again, in plain cargo.
pub fn replay(exercise: &Exercise, check: &str, options: Options) -> String {
    let salt = options.salt.map(|salt| format!("{SALT_VAR}={salt} ")).unwrap_or_default();
    let Exercise { package, organ, .. } = exercise;
    format!("{salt}MINE={organ} cargo test -p {package} --test {organ} {check} -- --exact --nocapture")
}

fn quoted(out: &mut dyn Write, text: &str) -> io::Result<()> {
    for line in text.lines() {
        writeln!(out, "  {DIM}|{DIM:#} {line}")?;
    }
    Ok(())
}

fn style_of(score: &Score) -> Style {
    match &score.state {
        State::Judged(_) if score.is_full() => GOOD,
        State::DoesNotCompile(_) => BAD,
        State::Judged(_) | State::NotStarted => OPEN,
    }
}
