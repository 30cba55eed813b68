//! A disk on which a test says who waits for whom, and what several threads tell one another.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use common::disk::{Disk, DiskFile, Lock, Open, SimDisk};

/// How long anybody waits for what must happen: who waits longer has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The calls that a script hears of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Create,
    Sync,
    SyncDir,
    Remove,
}

/// What happens around the calls of a disk.
pub(crate) trait Script: Debug + Send + Sync + 'static {
    /// Before the call reaches the disk. With an error it does not.
    fn before(&self, _call: Call, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    /// After the call has succeeded.
    fn after(&self, _call: Call, _path: &Path) {}
}

/// A simulated disk with a script.
#[derive(Debug)]
pub(crate) struct ScriptedDisk {
    disk: SimDisk,
    script: Arc<dyn Script>,
}

#[derive(Debug)]
struct ScriptedFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    script: Arc<dyn Script>,
}

impl ScriptedDisk {
    pub(crate) fn shared<S: Script>(disk: &SimDisk, script: &Arc<S>) -> Arc<dyn Disk> {
        let script: Arc<dyn Script> = Arc::<S>::clone(script);
        Arc::new(Self { disk: disk.clone(), script })
    }

    fn call<T>(&self, call: Call, path: &Path, act: impl FnOnce(&SimDisk) -> io::Result<T>) -> io::Result<T> {
        around(&*self.script, call, path, || act(&self.disk))
    }
}

fn around<T>(script: &dyn Script, call: Call, path: &Path, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    script.before(call, path)?;
    let done = act()?;
    script.after(call, path);
    Ok(done)
}

impl Disk for ScriptedDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let file = match how {
            Open::ReadOnly | Open::Existing => self.disk.open(path, how)?,
            Open::Create | Open::New | Open::Truncate => self.call(Call::Create, path, |disk| disk.open(path, how))?,
        };
        Ok(Arc::new(ScriptedFile { file, path: path.to_owned(), script: Arc::clone(&self.script) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(Call::Remove, path, |disk| disk.remove(path))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.call(Call::SyncDir, path, |disk| disk.sync_dir(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.disk.list(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }

    fn hard_link(&self, original: &Path, link: &Path) -> io::Result<()> {
        self.disk.hard_link(original, link)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.disk.lock(path)
    }
}

impl DiskFile for ScriptedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(data, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        around(&*self.script, Call::Sync, &self.path, || self.file.sync_data())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

/// What threads tell one another.
#[derive(Debug, Default)]
pub(crate) struct Board<T> {
    state: Mutex<T>,
    told: Condvar,
}

impl<T> Board<T> {
    pub(crate) fn tell<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let told = change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.told.notify_all();
        told
    }

    pub(crate) fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until it is so.
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&T) -> bool) -> io::Result<()> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (_state, waited) = self
            .told
            .wait_timeout_while(state, DEADLINE, |state| !is_so(state))
            .unwrap_or_else(PoisonError::into_inner);
        let late = || io::Error::other(format!("within the deadline it never came to this: {what}"));
        if waited.timed_out() { Err(late()) } else { Ok(()) }
    }
}

/// A call in a thread of its own.
#[derive(Debug)]
pub(crate) struct Running<T> {
    what: &'static str,
    result: Receiver<T>,
}

impl<T: Send + 'static> Running<T> {
    pub(crate) fn begin(what: &'static str, act: impl FnOnce() -> T + Send + 'static) -> Self {
        let (tell, result) = channel();
        std::thread::spawn(move || {
            // Who does not wait any more has failed already.
            let _: Result<(), _> = tell.send(act());
        });
        Self { what, result }
    }

    /// What it returns.
    ///
    /// # Panics
    ///
    /// When it does not return in time, or panics.
    pub(crate) fn end(self) -> T {
        match self.result.recv_timeout(DEADLINE) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => panic!("{} has not returned within {DEADLINE:?}", self.what),
            Err(RecvTimeoutError::Disconnected) => panic!("{} has panicked", self.what),
        }
    }
}

/// Calls it, and panics if it does not return in time.
pub(crate) fn in_time<T: Send + 'static>(what: &'static str, act: impl FnOnce() -> T + Send + 'static) -> T {
    Running::begin(what, act).end()
}
