//! `cargo grade`: judges readers' organs, and checks the exercises themselves.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use common::grade::progress::Progress;
use common::grade::score::{self, Options, Score, State};
use common::grade::selfcheck::{self, Scope};
use common::grade::{Error, Workspace, definitions, desk, json, report, tree};

/// All that was asked for passed.
const PASSED: u8 = 0;
/// Something did not.
const FAILED: u8 = 1;
/// The command line was at fault.
const USAGE: u8 = 2;

/// Judges the organs that you have written, and keeps the scorecard.
///
/// An organ is one file of a working system. `start` copies its starter to the crate's mine/ folder; the file's presence
/// there puts it into the system. Without a command, judges what is named: exercises (ch03/memtable) and chapters (ch03);
/// without a name, prints the scorecard of every chapter and what to do next.
#[derive(Parser)]
#[command(name = "cargo grade", bin_name = "cargo grade", args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:
  cargo grade                         the scorecard, and what to do next
  cargo grade start ch01/percentiles  copies the starter, prints the task
  cargo grade ch01/percentiles        judges it
  cargo grade ch01 --json             judges a chapter, for a program to read
  cargo grade --from ../theirs ch01   judges another tree's mine/ by this tree's tests

Exit status: 0 all that was asked for passed, 1 something did not, 2 the command line was wrong.
What is not started has not passed: the scorecard's status is 0 when every exercise is done.")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    judge: Judge,
}

#[derive(Args)]
struct Judge {
    /// Exercises or chapters; all of them if none is named
    #[arg(value_name = "EXERCISE")]
    names: Vec<String>,
    /// Judge the mine/ folders of another tree. Runs its code: take trees from people you trust
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Add unseen seeds, derived from this number, to the randomised checks
    #[arg(long, value_name = "N")]
    salt: Option<u64>,
    /// Print one JSON document; its form is described in common/src/grade/json.rs
    #[arg(long)]
    json: bool,
    /// How long one check may run
    #[arg(long, value_name = "SECONDS", default_value_t = score::TIME_LIMIT.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    time_limit: u64,
}

#[derive(Subcommand)]
enum Command {
    /// Begin an exercise: copy its starter to mine/, and say what to write
    #[command(after_help = "Example:\n  cargo grade start ch01/percentiles")]
    Start {
        /// Which, as ch03/memtable
        exercise: String,
    },
    /// Print the next of the three hints, from a nudge to an outline
    #[command(after_help = "Example:\n  cargo grade hint ch01/percentiles   again for the next one")]
    Hint {
        /// Which, as ch03/memtable
        exercise: String,
    },
    /// Compare yours with the reference, once it passes
    #[command(
        after_help = "Examples:\n  cargo grade diff ch01/percentiles\n  cargo grade diff ch01/percentiles --spoil"
    )]
    Diff {
        /// Which, as ch03/memtable
        exercise: String,
        /// Show the reference before yours passes
        #[arg(long)]
        spoil: bool,
    },
    /// Put the starter back; your file is kept beside it as .bak
    #[command(after_help = "Example:\n  cargo grade reset ch01/percentiles")]
    Reset {
        /// Which, as ch03/memtable
        exercise: String,
    },
    /// Write the tree for a class: starters in place of the references, no known answers
    #[command(after_help = "Example:\n  cargo grade classroom ../class")]
    Classroom {
        /// A folder that is not there yet
        out: PathBuf,
    },
    /// Check the exercises themselves: starters, judges, references and known wrong answers
    #[command(
        after_help = "Examples:\n  cargo grade selfcheck\n  cargo grade selfcheck ch01\n  cargo grade selfcheck ch01/recovery"
    )]
    Selfcheck {
        /// Only this chapter, or this exercise of one, as ch03/memtable
        chapter: Option<String>,
        /// Only the organs of this name
        #[arg(long)]
        organ: Option<String>,
        /// How long one check of a judge may run
        #[arg(long, value_name = "SECONDS", default_value_t = score::TIME_LIMIT.as_secs(),
              value_parser = clap::value_parser!(u64).range(1..=3600))]
        time_limit: u64,
    },
    /// Write the starters anew from the references
    #[command(after_help = "Examples:\n  cargo grade starters\n  cargo grade starters ch01/percentiles")]
    Starters {
        /// Only these exercises or chapters
        names: Vec<String>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = anstream::AutoStream::auto(io::stdout()).lock();
    let status = run(&cli, &mut out).unwrap_or_else(|failure| match failure {
        Failure::Grade(error) => {
            anstream::eprintln!("error: {error}");
            if error.is_usage() { USAGE } else { FAILED }
        }
        Failure::Print(error) => {
            if error.kind() != io::ErrorKind::BrokenPipe {
                anstream::eprintln!("error: writing the report: {error}");
            }
            FAILED
        }
    });
    ExitCode::from(status)
}

enum Failure {
    Grade(Error),
    Print(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Grade(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Print(error)
    }
}

fn run(cli: &Cli, out: &mut dyn Write) -> Result<u8, Failure> {
    let workspace = Workspace::discover(Path::new("."))?;
    let Some(command) = &cli.command else { return judge(&workspace, &cli.judge, out) };
    match command {
        Command::Start { exercise } => {
            let exercise = workspace.exercise(exercise)?;
            desk::start(&workspace, exercise)?;
            report::started(out, &workspace, exercise)?;
        }
        Command::Hint { exercise } => {
            let exercise = workspace.exercise(exercise)?;
            let hint = desk::hint(&workspace, exercise)?;
            report::prose(out, &format!("Hint {} of {}: ", hint.number, hint.of), &hint.text)?;
        }
        Command::Diff { exercise, spoil } => return diff(&workspace, exercise, *spoil, out),
        Command::Reset { exercise } => {
            let exercise = workspace.exercise(exercise)?;
            let kept = desk::reset(&workspace, exercise)?;
            let mine = workspace.shown(&exercise.mine());
            writeln!(out, "{mine} is the starter again; what you had is {}", workspace.shown(&kept))?;
        }
        Command::Classroom { out: folder } => {
            let folder = tree::classroom(&workspace, folder)?;
            writeln!(out, "{} has the starters in place of the references", folder.display())?;
        }
        Command::Selfcheck { chapter, organ, time_limit } => {
            let limit = Duration::from_secs(*time_limit);
            // As everywhere else, an exercise may be named with its chapter.
            let named = chapter.as_deref().and_then(|name| name.split_once('/'));
            let (chapter, organ) = match named {
                Some((chapter, organ)) => (Some(chapter), Some(organ)),
                None => (chapter.as_deref(), organ.as_deref()),
            };
            let scope = Scope { chapter, organ, limit };
            let defects = selfcheck::selfcheck(&workspace, scope, out)?;
            writeln!(out, "{}", if defects == 0 { "no defects".to_owned() } else { format!("defects: {defects}") })?;
            return Ok(if defects == 0 { PASSED } else { FAILED });
        }
        Command::Starters { names } => {
            for exercise in workspace.select(names)? {
                let word = if definitions::write_starter(exercise)? { "written" } else { "unchanged" };
                writeln!(out, "{word:<9}  {}", workspace.shown(&exercise.starter()))?;
            }
        }
    }
    Ok(PASSED)
}

fn judge(workspace: &Workspace, asked: &Judge, out: &mut dyn Write) -> Result<u8, Failure> {
    let options = Options { salt: asked.salt, limit: Duration::from_secs(asked.time_limit) };
    let copy = match &asked.from {
        Some(from) => Some(tree::with_files_of(workspace, from)?),
        None => None,
    };
    let workspace = copy.as_ref().unwrap_or(workspace);
    let progress = Progress::spinner();
    let mut scores: Vec<Score> = Vec::new();
    for exercise in workspace.select(&asked.names)? {
        let score = score::score(workspace, exercise, options, &progress)?;
        if !asked.json && !asked.names.is_empty() {
            progress.aside(|| -> io::Result<()> {
                report::score(out, &score, options)?;
                writeln!(out)?;
                out.flush()
            })?;
        }
        scores.push(score);
    }
    drop(progress);
    if asked.json {
        writeln!(out, "{:#}", json::document(&scores, options))?;
    } else if asked.names.is_empty() {
        report::scorecard(out, workspace, &scores)?;
    } else if scores.len() > 1 {
        let points: u32 = scores.iter().map(Score::points).sum();
        let of: u32 = scores.iter().map(|score| score.exercise.points).sum();
        writeln!(out, "{points}/{of} points")?;
        report::next(out, &scores)?;
    }
    let passed = !scores.is_empty() && scores.iter().all(Score::is_full);
    Ok(if passed { PASSED } else { FAILED })
}

fn diff(workspace: &Workspace, name: &str, spoil: bool, out: &mut dyn Write) -> Result<u8, Failure> {
    let exercise = workspace.exercise(name)?;
    let id = exercise.id();
    if !exercise.mine().exists() {
        return Err(Error::Refused(format!("{id} is not started; `cargo grade start {id}` does that")).into());
    }
    if !spoil {
        let score = score::score(workspace, exercise, Options::default(), &Progress::spinner())?;
        if !score.is_full() {
            let how = match score.state {
                State::DoesNotCompile(_) => "does not compile".to_owned(),
                _ => format!("has {}/{} points", score.points(), exercise.points),
            };
            return Err(Error::Refused(format!("{id} {how}; --spoil shows the reference anyway")).into());
        }
    }
    let text = desk::diff(workspace, exercise)?;
    if text.is_empty() {
        writeln!(out, "Yours is the reference, to the letter.")?;
    }
    report::diff(out, &text)?;
    Ok(PASSED)
}
