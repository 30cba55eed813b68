//! Building judges: cargo is asked for one test of one crate, with chosen organs in it, and its messages are kept.
//!
//! Two settings keep the builds from undoing one another. The profile differs from that of a plain `cargo run`, and cargo
//! keeps builds that differ in it side by side; it does not touch the dependencies, which have a setting of their own, so
//! those are shared. And the organs are chosen by the variable of each crate, so that choosing one of a chapter leaves the
//! build of `common` as it is.
//!
//! The crates of the workspace are not optimised: a verdict waits for the compiler, and hardly for the judge. Above level 0
//! a change to one function is compiled again into all that may take it in, and costs three times as much.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::error::{Doing, Error};
use super::manifest::Exercise;
use super::progress::Progress;
use super::workspace::{Workspace, cargo};

/// Lines of cargo's own output that are kept for an error message.
const KEPT_LINES: usize = 40;

/// Which files of `mine/` a build takes.
#[derive(Debug, Clone, Copy)]
pub enum Organs<'a> {
    /// That one alone, so that an unfinished one beside it changes nothing.
    Only(&'a Exercise),
    /// All that are there of that crate, and none of another.
    Of(&'a str),
    /// All that are there.
    All,
}

/// What a build came to.
#[derive(Debug)]
pub enum Build {
    /// It compiled.
    Done(Compiled),
    /// It did not; the errors as the compiler wrote them.
    Failed(String),
}

/// A build that compiled.
#[derive(Debug, Default)]
pub struct Compiled {
    /// The executable of each test that was asked for.
    pub tests: BTreeMap<String, PathBuf>,
    /// The warnings in the library crates of the workspace, as the compiler wrote them.
    pub warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
    message: Option<Diagnostic>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    rendered: Option<String>,
    spans: Vec<serde_json::Value>,
}

/// Builds the judges `tests` of `package`.
pub fn tests(
    workspace: &Workspace,
    package: &str,
    tests: &[&str],
    organs: Organs<'_>,
    progress: &Progress,
) -> Result<Build, Error> {
    let mut command = command(workspace, organs);
    command.args(["--package", package]);
    for test in tests {
        command.args(["--test", test]);
    }
    let build = run(workspace, command, progress)?;
    if let Build::Done(compiled) = &build
        && let Some(missing) = tests.iter().find(|test| !compiled.tests.contains_key(**test))
    {
        return Err(Error::Cargo(format!("it built no test `{missing}` of `{package}`")));
    }
    Ok(build)
}

/// The variables that choose `organs`, with their values; the others of their kind are to be absent.
pub fn environment(workspace: &Workspace, organs: Organs<'_>) -> Vec<(String, Option<String>)> {
    let mut variables = vec![("MINE".to_owned(), None)];
    for package in workspace.packages.keys() {
        let value = match organs {
            Organs::Only(exercise) if exercise.package == *package => Some(exercise.organ.clone()),
            Organs::Of(chosen) if chosen == package => None,
            Organs::Only(_) | Organs::Of(_) => Some("off".to_owned()),
            Organs::All => None,
        };
        variables.push((format!("MINE_{}", package.to_uppercase().replace('-', "_")), value));
    }
    variables
}

fn command(workspace: &Workspace, organs: Organs<'_>) -> Command {
    let mut command = Command::new(cargo());
    let format = if anstream::AutoStream::choice(&std::io::stdout()) == anstream::ColorChoice::Never {
        "--message-format=json"
    } else {
        "--message-format=json-diagnostic-rendered-ansi"
    };
    command.args(["test", "--no-run", format, "--target-dir"]).arg(&workspace.target);
    command.current_dir(&workspace.root).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("CARGO_PROFILE_TEST_DEBUG", "0").env("CARGO_PROFILE_TEST_OPT_LEVEL", "0");
    command.env("CARGO_INCREMENTAL", "1").env("CARGO_TERM_COLOR", "never");
    for (name, value) in environment(workspace, organs) {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

fn run(workspace: &Workspace, mut command: Command, progress: &Progress) -> Result<Build, Error> {
    let mut child = command.spawn().doing(|| "running cargo".to_owned())?;
    let stdout = child.stdout.take().expect("it is piped");
    let stderr = child.stderr.take().expect("it is piped");
    let (messages, said) = std::thread::scope(|scope| {
        let said = scope.spawn(|| follow(stderr, progress));
        let messages = read_messages(stdout);
        (messages, said.join().expect("following cargo's output does not panic"))
    });
    let status = child.wait().doing(|| "waiting for cargo".to_owned())?;
    let messages = messages.doing(|| "reading cargo's messages".to_owned())?;

    if !status.success() {
        let errors: Vec<&str> = messages.iter().filter_map(|message| message.rendered("error")).collect();
        if errors.is_empty() {
            return Err(Error::Cargo(said));
        }
        return Ok(Build::Failed(errors.concat()));
    }
    let mut compiled = Compiled::default();
    for message in messages {
        let is_member = message.manifest_path.as_ref().is_some_and(|path| path.starts_with(&workspace.root));
        if let Some(warning) = message.rendered("warning")
            && is_member
            && message.is_kind("lib")
        {
            compiled.warnings.push(warning.to_owned());
        }
        if message.reason == "compiler-artifact"
            && message.is_kind("test")
            && let (Some(target), Some(executable)) = (message.target, message.executable)
        {
            compiled.tests.insert(target.name, executable);
        }
    }
    Ok(Build::Done(compiled))
}

impl Message {
    fn is_kind(&self, kind: &str) -> bool {
        self.target.as_ref().is_some_and(|target| target.kind.iter().any(|known| known == kind))
    }

    /// The diagnostic as the compiler wrote it, if it is of that level and about code: sums like "2 warnings emitted" have
    /// no place in the code.
    fn rendered(&self, level: &str) -> Option<&str> {
        let diagnostic = self.message.as_ref()?;
        (diagnostic.level == level && !diagnostic.spans.is_empty()).then_some(diagnostic.rendered.as_deref()?)
    }
}

fn read_messages(stdout: impl Read) -> std::io::Result<Vec<Message>> {
    let mut messages = Vec::new();
    for line in BufReader::new(stdout).lines() {
        if let Ok(message) = serde_json::from_str(&line?) {
            messages.push(message);
        }
    }
    Ok(messages)
}

/// Shows what cargo is doing, and keeps the end of what it said.
fn follow(stderr: impl Read, progress: &Progress) -> String {
    let mut kept = VecDeque::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        progress.says(line.trim());
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }
    Vec::from(kept).join("\n")
}

/// A location as the compiler names it, with `a/../` taken out: files of `mine/` are reached through the module's folder.
pub fn plain_location(location: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in Path::new(location).to_str().unwrap_or(location).split('/') {
        match part {
            ".." if parts.last().is_some_and(|last| !last.is_empty() && *last != "..") => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}
