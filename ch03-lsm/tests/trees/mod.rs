//! What several tests of the tree share: small trees, a clock that is told the time, and a disk that counts open files.

#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use ch03_lsm::db::{Clock, Db, Gate, Options, Snapshot};
use ch03_lsm::engine::leveled::Leveled;
use ch03_lsm::storage::table::TableOptions;
use common::disk::{Disk, DiskFile, Lock, Open};

pub(crate) type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Small, so that much happens, and nothing in the background.
pub(crate) fn options() -> Options {
    let strategy = Leveled { level0_tables: 2, base_bytes: 1 << 10, growth: 3, table_bytes: 2 << 10 };
    let table = TableOptions { block_bytes: 512, ..TableOptions::default() };
    Options { memtable_bytes: 4 << 10, threads: 0, strategy: Arc::new(strategy), table, salt: 5, ..Options::default() }
}

pub(crate) fn everything(db: &Db, at: Option<&Snapshot>) -> Model {
    let mut iterator = at.map_or_else(|| db.iter(), |snapshot| db.iter_at(snapshot));
    let mut found = Model::new();
    iterator.seek_to_first().expect("it can be read");
    while let Some(key) = iterator.key() {
        found.insert(key.to_vec(), iterator.value().to_vec());
        iterator.next().expect("it can be read");
    }
    found
}

/// A clock that stands still but while somebody waits, and for as long as that one meant to.
#[derive(Debug, Default)]
pub(crate) struct ToldClock {
    now_ns: AtomicU64,
    unix_s: AtomicU64,
    waits: AtomicU64,
}

impl ToldClock {
    pub(crate) fn new(unix_s: u64) -> Arc<Self> {
        Arc::new(Self { unix_s: AtomicU64::new(unix_s), ..Self::default() })
    }

    pub(crate) fn set_unix_s(&self, unix_s: u64) {
        self.unix_s.store(unix_s, Ordering::SeqCst);
    }

    pub(crate) fn waits(&self) -> u64 {
        self.waits.load(Ordering::SeqCst)
    }
}

impl Clock for ToldClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.now_ns.load(Ordering::SeqCst))
    }

    fn unix_s(&self) -> u64 {
        self.unix_s.load(Ordering::SeqCst)
    }

    fn wait(&self, _: &Gate, time: Duration) {
        self.waits.fetch_add(1, Ordering::SeqCst);
        self.now_ns.fetch_add(time.as_nanos() as u64, Ordering::SeqCst);
    }
}

/// A disk that knows how many tables are open, and how many were at most.
#[derive(Debug, Clone)]
pub(crate) struct OpenFiles {
    disk: Arc<dyn Disk>,
    tables: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct OpenFile {
    file: Arc<dyn DiskFile>,
    tables: Arc<AtomicUsize>,
}

impl OpenFiles {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, tables: Arc::default(), most: Arc::default() }
    }

    pub(crate) fn now(&self) -> usize {
        self.tables.load(Ordering::SeqCst)
    }

    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    pub(crate) fn forget(&self) {
        self.most.store(self.now(), Ordering::SeqCst);
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.tables.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Disk for OpenFiles {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(path, how)?;
        if path.extension().is_none_or(|extension| extension != "sst") {
            return Ok(file);
        }
        let now = self.tables.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        Ok(Arc::new(OpenFile { file, tables: Arc::clone(&self.tables) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
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

impl DiskFile for OpenFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(data, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
