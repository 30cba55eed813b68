//! The directories of the simulated disk: the names that processes see, the durable ones, and the changes in between.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

/// The identity of a file, whatever names it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InodeId(pub(super) u64);

/// What a name stands for. A directory's identity is its path: directories are never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    File(InodeId),
    Directory,
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    directory: PathBuf,
    name: OsString,
}

/// A change of names that has not been synced.
#[derive(Debug, Clone)]
enum Change {
    Set { at: Name, node: Node },
    Clear { at: Name },
    Rename { from: Name, to: Name, node: Node },
}

#[derive(Debug, Clone, Default)]
struct Directory {
    cached: BTreeMap<OsString, Node>,
    durable: BTreeMap<OsString, Node>,
}

/// All directories, by their normal path (relative to the root, which is the empty path).
///
/// **Invariants**: the root is there; each directory that a cached or durable name stands for is in the map; the
/// durable names with `unsynced` applied in order are the cached ones.
#[derive(Debug, Clone)]
pub(super) struct Names {
    directories: BTreeMap<PathBuf, Directory>,
    unsynced: Vec<Change>,
}

impl Names {
    pub(super) fn new() -> Self {
        Self { directories: BTreeMap::from([(PathBuf::new(), Directory::default())]), unsynced: Vec::new() }
    }

    /// The name that `path` speaks of, in a directory that exists.
    pub(super) fn place(&self, path: &Path) -> io::Result<Name> {
        let path = normal(path);
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => {
                self.directory(parent)?;
                Ok(Name { directory: parent.to_owned(), name: name.to_owned() })
            }
            _ => Err(ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn get(&self, at: &Name) -> Option<Node> {
        self.directories.get(&at.directory)?.cached.get(&at.name).copied()
    }

    /// What processes see at `path`.
    pub(super) fn look_up(&self, path: &Path) -> io::Result<Node> {
        if normal(path).as_os_str().is_empty() {
            return Ok(Node::Directory);
        }
        self.get(&self.place(path)?).ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// What is at `path` once everything that is not synced is lost.
    pub(super) fn look_up_durable(&self, path: &Path) -> Option<Node> {
        let mut node = Node::Directory;
        let mut walked = PathBuf::new();
        for name in &normal(path) {
            node = *self.directories.get(&walked)?.durable.get(name)?;
            walked.push(name);
        }
        Some(node)
    }

    pub(super) fn set(&mut self, at: Name, node: Node) {
        self.cached(&at).insert(at.name.clone(), node);
        self.unsynced.push(Change::Set { at, node });
    }

    pub(super) fn clear(&mut self, at: Name) {
        self.cached(&at).remove(&at.name);
        self.unsynced.push(Change::Clear { at });
    }

    pub(super) fn rename(&mut self, from: Name, to: Name, node: Node) {
        self.cached(&from).remove(&from.name);
        self.cached(&to).insert(to.name.clone(), node);
        self.unsynced.push(Change::Rename { from, to, node });
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        let mut level = PathBuf::new();
        for name in &path {
            let at = Name { directory: level.clone(), name: name.to_owned() };
            level.push(name);
            match self.get(&at) {
                Some(Node::Directory) => {}
                Some(Node::File(_)) if level == path => return Err(ErrorKind::AlreadyExists.into()),
                Some(Node::File(_)) => return Err(ErrorKind::NotADirectory.into()),
                None => {
                    self.set(at, Node::Directory);
                    self.directories.insert(level.clone(), Directory::default());
                }
            }
        }
        Ok(())
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.directory(&normal(path))?.cached.keys().map(|name| path.join(name)).collect())
    }

    /// Makes the names of a directory durable.
    ///
    /// A rename between two directories is one transaction, as it is on file systems with a journal: syncing either
    /// makes it durable. So are its predecessors that touch the same names, whichever directory they are in, because a
    /// later change of a name cannot be on the disk before an earlier one.
    pub(super) fn sync(&mut self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        self.directory(&path)?;
        let mut needed: BTreeSet<Name> = BTreeSet::new();
        let mut selected = Vec::new();
        let mut kept = Vec::new();
        for change in std::mem::take(&mut self.unsynced).into_iter().rev() {
            if change.names().any(|name| name.directory == path || needed.contains(name)) {
                needed.extend(change.names().cloned());
                selected.push(change);
            } else {
                kept.push(change);
            }
        }
        kept.reverse();
        self.unsynced = kept;
        for change in selected.into_iter().rev() {
            self.apply(change);
        }
        Ok(())
    }

    /// Power failure: each change survives with the probability `keep`, unless an earlier one of the same name is lost.
    pub(super) fn survive(&mut self, rng: &mut Xoshiro256PlusPlus, keep: f64) {
        let mut lost: BTreeSet<Name> = BTreeSet::new();
        for change in std::mem::take(&mut self.unsynced) {
            let survives = rng.random_bool(keep);
            if survives && !change.names().any(|name| lost.contains(name)) {
                self.apply(change);
            } else {
                lost.extend(change.names().cloned());
            }
        }
        self.lose();
    }

    /// Power failure: what is not durable is gone, and so is what lies in a directory that is gone.
    pub(super) fn lose(&mut self) {
        self.unsynced.clear();
        let mut reached = BTreeSet::from([PathBuf::new()]);
        for (path, directory) in &mut self.directories {
            // Parents sort before their children, so whether this one is reached is known by now.
            if reached.contains(path) {
                let children = directory.durable.iter().filter(|(_, node)| **node == Node::Directory);
                reached.extend(children.map(|(name, _)| path.join(name)));
                directory.cached = directory.durable.clone();
            }
        }
        self.directories.retain(|path, _| reached.contains(path));
    }

    /// The files that processes see, once for each name.
    pub(super) fn cached_files(&self) -> impl Iterator<Item = InodeId> {
        self.directories.values().flat_map(|directory| directory.cached.values()).filter_map(Node::file)
    }

    /// The files that a power failure may bring back.
    pub(super) fn recoverable_files(&self) -> impl Iterator<Item = InodeId> {
        let durable = self.directories.values().flat_map(|directory| directory.durable.values()).filter_map(Node::file);
        let unsynced = self.unsynced.iter().filter_map(|change| match change {
            Change::Set { node, .. } | Change::Rename { node, .. } => node.file(),
            Change::Clear { .. } => None,
        });
        durable.chain(unsynced)
    }

    fn directory(&self, path: &Path) -> io::Result<&Directory> {
        if let Some(directory) = self.directories.get(path) {
            return Ok(directory);
        }
        for ancestor in path.ancestors() {
            if let (Some(parent), Some(name)) = (ancestor.parent(), ancestor.file_name())
                && let Some(directory) = self.directories.get(parent)
                && let Some(Node::File(_)) = directory.cached.get(name)
            {
                return Err(ErrorKind::NotADirectory.into());
            }
        }
        Err(ErrorKind::NotFound.into())
    }

    fn cached(&mut self, at: &Name) -> &mut BTreeMap<OsString, Node> {
        &mut self.directories.get_mut(&at.directory).expect("a name was placed in a directory that exists").cached
    }

    fn durable(&mut self, at: &Name) -> &mut BTreeMap<OsString, Node> {
        &mut self.directories.get_mut(&at.directory).expect("a name was placed in a directory that exists").durable
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Set { at, node } => {
                self.durable(&at).insert(at.name, node);
            }
            Change::Clear { at } => {
                self.durable(&at).remove(&at.name);
            }
            Change::Rename { from, to, node } => {
                self.durable(&from).remove(&from.name);
                self.durable(&to).insert(to.name, node);
            }
        }
    }
}

impl Node {
    fn file(&self) -> Option<InodeId> {
        match self {
            Self::File(inode) => Some(*inode),
            Self::Directory => None,
        }
    }
}

impl Change {
    fn names(&self) -> impl Iterator<Item = &Name> {
        let (first, second) = match self {
            Self::Set { at, .. } | Self::Clear { at } => (at, None),
            Self::Rename { from, to, .. } => (from, Some(to)),
        };
        std::iter::once(first).chain(second)
    }
}

/// The path from the root, without `.` and `..`: there are no symbolic links that would make this wrong, and the
/// working directory is the root.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    normal
}
