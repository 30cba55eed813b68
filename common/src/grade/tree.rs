//! Copies of the workspace: with another reader's files in it, with the starters in place of the references, or to try
//! known answers in.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::{Doing, Error};
use super::manifest::Exercise;
use super::workspace::{Workspace, read, write};

/// The largest file that is taken from another reader's `mine/`, in bytes: an organ is a few hundred lines.
const MINE_BYTES: u64 = 1 << 20;

/// The only file of a `mine/` folder that belongs to the workspace and not to a reader.
const MINE_README: &str = "README.md";

/// Brings `to` into line with the sources of the workspace, without any reader's file. Files that are the same already are not
/// touched, so that what cargo has built of the copy stays good.
pub fn refresh(workspace: &Workspace, to: &Path) -> Result<(), Error> {
    let files = sources(workspace)?;
    for file in &files {
        copy_if_different(&workspace.root.join(file), &to.join(file))?;
    }
    for file in walk(to)? {
        if !files.contains(&file) && file.as_os_str() != "Cargo.lock" {
            let path = to.join(&file);
            fs::remove_file(&path).doing(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}

/// Takes the binaries out of the crates that have exercises, in a copy. Cargo would link them anew for each judge, and would
/// put them where it puts those of the workspace itself. A crate whose judges run one keeps its own.
pub fn drop_binaries(copy: &Workspace) -> Result<(), Error> {
    let folders: BTreeSet<&PathBuf> = copy.exercises().map(|exercise| &exercise.folder).collect();
    for folder in folders {
        let judges = copy.exercises().filter(|exercise| exercise.folder == *folder);
        let mut texts = judges.map(|exercise| read(&folder.join("tests").join(format!("{}.rs", exercise.organ))));
        if texts.any(|text| text.is_ok_and(|text| text.contains("CARGO_BIN_EXE_"))) {
            continue;
        }
        let path = folder.join("Cargo.toml");
        let invalid = |what: String| Error::Manifest { path: path.clone(), what };
        let mut manifest: toml::Table = toml::from_str(&read(&path)?).map_err(|error| invalid(error.to_string()))?;
        manifest.remove("bin");
        if let Some(package) = manifest.get_mut("package").and_then(toml::Value::as_table_mut) {
            package.insert("autobins".to_owned(), false.into());
            package.remove("default-run");
        }
        write(&path, &manifest.to_string())?;
    }
    Ok(())
}

/// A copy of this workspace with the readers' files of `from` in it, built where this one is built.
pub fn with_files_of(workspace: &Workspace, from: &Path) -> Result<Workspace, Error> {
    let root = fs::canonicalize(&workspace.root).doing(|| format!("resolving {}", workspace.root.display()))?;
    let from = fs::canonicalize(from).map_err(|error| Error::Usage(format!("--from {}: {error}", from.display())))?;
    if from == root {
        return Err(Error::Usage("--from names this tree itself; leave it out to judge your own files".to_owned()));
    }
    let to = workspace.scratch().join("from");
    refresh(workspace, &to)?;
    let copy = workspace.sibling(&to)?;
    let mut folders = 0;
    for folder in copy.packages.values() {
        let relative = folder.strip_prefix(&copy.root).unwrap_or(folder);
        let theirs = from.join(relative).join("mine");
        folders += usize::from(theirs.is_dir());
        for exercise in copy.exercises().filter(|exercise| exercise.folder == *folder) {
            take(&theirs.join(format!("{}.rs", exercise.organ)), exercise)?;
        }
    }
    if folders == 0 {
        return Err(Error::Usage(format!("--from {}: there is no mine/ folder of these crates in it", from.display())));
    }
    Ok(copy)
}

/// Writes the workspace for a class: the starters stand in place of the references, and the known answers are gone.
pub fn classroom(workspace: &Workspace, out: &Path) -> Result<PathBuf, Error> {
    let out = std::path::absolute(out).doing(|| format!("resolving {}", out.display()))?;
    if out.starts_with(&workspace.root) && !out.starts_with(&workspace.target) {
        return Err(Error::Usage(format!("{} is inside this tree; name a folder outside of it", out.display())));
    }
    if fs::read_dir(&out).is_ok_and(|mut entries| entries.next().is_some()) || out.is_file() {
        return Err(Error::Usage(format!("{} is there already, and is not empty", out.display())));
    }
    refresh(workspace, &out)?;
    for exercise in workspace.exercises() {
        let relative = exercise.folder.strip_prefix(&workspace.root).unwrap_or(&exercise.folder);
        let starter = read(&exercise.starter())?;
        write(&out.join(relative).join(&exercise.source), &starter)?;
    }
    for chapter in &workspace.chapters {
        let relative = chapter.folder.strip_prefix(&workspace.root).unwrap_or(&chapter.folder);
        let answers = out.join(relative).join("exercises").join("wrong.toml");
        if answers.exists() {
            fs::remove_file(&answers).doing(|| format!("removing {}", answers.display()))?;
        }
    }
    Ok(out)
}

/// The files of the workspace, relative to its root: those that git knows or would take, or all where there is no git.
fn sources(workspace: &Workspace) -> Result<BTreeSet<PathBuf>, Error> {
    let listed = match git(&workspace.root, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]) {
        Some(files) => files,
        None => walk(&workspace.root)?,
    };
    let target = workspace.target.strip_prefix(&workspace.root).ok();
    let in_target = |file: &Path| target.is_some_and(|target| file.starts_with(target));
    let is_theirs = |file: &Path| {
        let folder = file.parent().and_then(Path::file_name);
        folder == Some(OsStr::new("mine")) && file.file_name() != Some(OsStr::new(MINE_README))
    };
    let is_file = |file: &Path| fs::symlink_metadata(workspace.root.join(file)).is_ok_and(|data| data.is_file());
    Ok(listed.into_iter().filter(|file| !in_target(file) && !is_theirs(file) && is_file(file)).collect())
}

/// The `.rs` files of `mine/` folders that git keeps; nothing where there is no git.
pub(super) fn committed_answers(workspace: &Workspace) -> Option<Vec<PathBuf>> {
    let files = git(&workspace.root, &["ls-files", "-z", "--cached", "--", "*/mine/*.rs"])?;
    Some(files.into_iter().collect())
}

/// Runs git, and takes the paths that it lists; nothing if git is not there or knows no repository here.
fn git(root: &Path, arguments: &[&str]) -> Option<BTreeSet<PathBuf>> {
    let output = Command::new("git").args(arguments).current_dir(root).stdin(Stdio::null()).output().ok()?;
    let paths = output.stdout.split(|&byte| byte == 0).filter(|path| !path.is_empty());
    output.status.success().then(|| paths.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect())
}

/// Every file below `root`, relative to it, outside of build folders and of hidden ones that are not the workspace's.
fn walk(root: &Path) -> Result<BTreeSet<PathBuf>, Error> {
    let mut files = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let path = root.join(&folder);
        for entry in fs::read_dir(&path).doing(|| format!("reading {}", path.display()))? {
            let entry = entry.doing(|| format!("reading {}", path.display()))?;
            let kind = entry.file_type().doing(|| format!("reading {}", entry.path().display()))?;
            let name = entry.file_name();
            let relative = folder.join(&name);
            let hidden = name.as_bytes().starts_with(b".") && name != ".cargo" && name != ".ci";
            if kind.is_dir() && !hidden && name != "target" {
                folders.push(relative);
            } else if kind.is_file() {
                files.insert(relative);
            }
        }
    }
    Ok(files)
}

fn copy_if_different(from: &Path, to: &Path) -> Result<(), Error> {
    let content = fs::read(from).doing(|| format!("reading {}", from.display()))?;
    if fs::read(to).is_ok_and(|there| there == content) {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).doing(|| format!("making {}", folder.display()))?;
    }
    fs::write(to, content).doing(|| format!("writing {}", to.display()))?;
    let mode = fs::metadata(from).doing(|| format!("reading {}", from.display()))?.permissions();
    fs::set_permissions(to, mode).doing(|| format!("writing {}", to.display()))
}

/// Takes one file of another reader's, if it is there.
fn take(theirs: &Path, exercise: &Exercise) -> Result<(), Error> {
    let Ok(data) = fs::metadata(theirs) else { return Ok(()) };
    if !data.is_file() || data.len() > MINE_BYTES {
        let what = format!("{} is no file of at most {MINE_BYTES} bytes", theirs.display());
        return Err(Error::Usage(what));
    }
    write(&exercise.mine(), &read(theirs)?)
}
