//! Opening: reads the manifest, replays the logs that it needs, and begins new ones.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::disk::log::{HEADER_BYTES, LogError, SegmentHeader, SegmentReader, SegmentWriter, segments};
use common::disk::{Disk, Lock, create_dir_durably};

use super::commit::{Commits, create_wal};
use super::options::Options;
use super::pace::Pace;
use super::stats::Counters;
use super::tables::{OpenTable, TableCache};
use super::view::{Mem, Version, View};
use super::work::write_to;
use super::{Inner, Work};
use crate::engine::levels::{Edit, LEVELS, TableId};
use crate::engine::retention::Retention;
use crate::error::Error;
use crate::storage::batch::Write;
use crate::storage::files::{MANIFEST, WAL, lock, table_id, table_path};
use crate::storage::manifest::{Record, State};
use crate::storage::table::TableWriter;
use crate::storage::wal_recovery::{self, Recovered};
use crate::sync::{AtomicBool, AtomicU64, Condvar, Mutex, RwLock};

impl Inner {
    pub(super) fn open(disk: &Arc<dyn Disk>, dir: &Path, options: Options) -> Result<(Self, Recovered), Error> {
        options.check()?;
        create_dir_durably(&**disk, dir).map_err(Error::io("create", dir))?;
        let lock = lock(&**disk, dir)?;
        let (mut state, manifests) = read_manifests(&**disk, dir)?;
        let wals = segments(&**disk, dir, WAL)?;
        let highest =
            [state.next_file, manifests.last().map_or(0, |last| last.0 + 1), wals.last().map_or(0, |last| last.0 + 1)];
        state.next_file = highest.into_iter().max().unwrap_or(0).max(1);
        remove_orphans(&**disk, dir, &mut state)?;
        let needed: Vec<_> = wals.iter().filter(|(number, _)| *number >= state.wal).cloned().collect();
        let memtable = Mem::new(0);
        let insert = &mut |seq, write: Write<'_>| memtable.insert(write, seq, state.seq);
        let recovered = wal_recovery::replay(&**disk, &needed, options.recovery, state.seq, insert)?;
        state.seq = recovered.seq;
        if !memtable.is_empty() {
            let id = TableId(state.next_file);
            state.next_file += 1;
            let retention = Retention::new([], recovered.seq, false);
            let mut writer = TableWriter::create(&**disk, &table_path(dir, id), id, options.table)?;
            write_to(&memtable, retention, &mut writer)?;
            let edit = Edit { removed: Vec::new(), added: vec![(0, writer.finish()?)] };
            state.levels = state.levels.apply(&edit).expect("level 0 takes any table");
        }
        let (wal, manifest_number) = (state.next_file, state.next_file + 1);
        state.next_file += 2;
        state.wal = wal;
        let log = create_wal(&**disk, dir, wal, &options, 0)?;
        let manifest = begin_manifest(&**disk, dir, manifest_number, &state, options.salt)?;
        // The new manifest says everything that they did.
        let obsolete = manifests.into_iter().chain(wals).map(|(_, path)| path);
        for path in obsolete.filter(|path| !recovered.given_up.contains(path)) {
            disk.remove(&path).map_err(Error::io("remove", &path))?;
        }
        for path in &recovered.given_up {
            set_aside(&**disk, path)?;
        }
        let inner = Self::assemble(disk, dir, options, state, (log, wal), manifest, lock)?;
        Ok((inner, recovered))
    }

    fn assemble(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        options: Options,
        state: State,
        (log, wal): (SegmentWriter, u64),
        manifest: SegmentWriter,
        lock: Box<dyn Lock>,
    ) -> Result<Self, Error> {
        let cache = TableCache::new(disk, dir, &options.cache, options.table_cache_bytes, options.open_tables);
        let mut tables: [Vec<Arc<OpenTable>>; LEVELS] = Default::default();
        for (level, metas) in state.levels.iter().enumerate() {
            for meta in metas {
                let table = OpenTable::new(&cache, meta);
                // While there is room: so that damage is found here, and the first who asks need not wait.
                if !cache.is_full() {
                    table.load()?;
                }
                tables[level].push(table);
            }
        }
        let pace = Pace::new(options.rate_limit_bytes_per_s, &options.clock);
        let debt_bytes = AtomicU64::new(options.strategy.debt_bytes(&state.levels));
        let version = Arc::new(Version::new(state.levels.clone(), tables));
        let memtable = Arc::new(Mem::new(wal));
        let view = View { memtable, immutables: Vec::new(), version };
        Ok(Self {
            disk: Arc::clone(disk),
            dir: dir.to_owned(),
            options,
            view: RwLock::new(Arc::new(view)),
            seq: AtomicU64::new(state.seq.0),
            next_file: AtomicU64::new(state.next_file),
            snapshots: Mutex::new(BTreeMap::new()),
            commits: Commits::new(log),
            tables: cache,
            pace,
            counters: Counters::default(),
            debt_bytes,
            work: Mutex::new(Work {
                manifest,
                state,
                is_flushing: false,
                busy: BTreeSet::new(),
                marked: BTreeSet::new(),
                wanted: BTreeSet::new(),
                running: 0,
                failed: None,
                debris: Vec::new(),
                is_ending: false,
            }),
            has_failed: AtomicBool::new(false),
            progress: Condvar::new(),
            _lock: lock,
        })
    }
}

/// What the newest manifest that has begun says, and all of them.
pub(super) fn read_manifests(disk: &dyn Disk, dir: &Path) -> Result<(State, Vec<(u64, PathBuf)>), Error> {
    let manifests = segments(disk, dir, MANIFEST)?;
    for (_, path) in manifests.iter().rev() {
        match read_manifest(disk, path) {
            Ok(Some(state)) => return Ok((state, manifests)),
            // The power failed while it was made: the one before still counts.
            Ok(None) => {}
            Err(Error::Log(error)) if matches!(*error, LogError::TornHeader { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    match anything(disk, dir)? {
        None => Ok((State::default(), manifests)),
        Some(path) => Err(Error::NoManifest { dir: dir.to_owned(), path }),
    }
}

/// A file that can only be there if there has been a manifest.
fn anything(disk: &dyn Disk, dir: &Path) -> Result<Option<PathBuf>, Error> {
    for path in disk.list(dir).map_err(Error::io("list", dir))? {
        let is_there = match WAL.number(&path) {
            None => table_id(&path).is_some(),
            Some(_) => match SegmentReader::open(disk, &path) {
                Ok(reader) => reader.len_bytes() > HEADER_BYTES as u64,
                Err(LogError::TornHeader { .. }) => false,
                Err(error) => return Err(error.into()),
            },
        };
        if is_there {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// What a manifest comes to; `None` when its first record is not whole.
fn read_manifest(disk: &dyn Disk, path: &Path) -> Result<Option<State>, Error> {
    let mut reader = SegmentReader::open(disk, path)?;
    let mut state = None;
    while let Some((bytes, offset)) = reader.read()? {
        let record = Record::decode(bytes).map_err(Error::record(path, offset))?;
        let state = state.get_or_insert_with(State::default);
        state.apply(&record).map_err(Error::record(path, offset))?;
    }
    Ok(state)
}

/// Begins a manifest with everything that there is. It counts when this returns.
pub(super) fn begin_manifest(
    disk: &dyn Disk,
    dir: &Path,
    number: u64,
    state: &State,
    salt: u64,
) -> Result<SegmentWriter, Error> {
    let header = SegmentHeader { number, salt: salt.wrapping_add(number), prior_durable_bytes: 0 };
    let mut manifest = SegmentWriter::create(disk, &MANIFEST.path(dir, number), header)?;
    manifest.append(&state.record().encode())?;
    manifest.sync()?;
    manifest.attest()?;
    disk.sync_dir(dir).map_err(Error::io("sync", dir))?;
    Ok(manifest)
}

/// Removes tables that no manifest names: of flushes and compactions that had not ended, and inputs of those that had.
fn remove_orphans(disk: &dyn Disk, dir: &Path, state: &mut State) -> Result<(), Error> {
    let named: BTreeSet<TableId> = state.levels.iter().flatten().map(|table| table.id).collect();
    let mut there = BTreeSet::new();
    for path in disk.list(dir).map_err(Error::io("list", dir))? {
        let Some(id) = table_id(&path) else { continue };
        state.next_file = state.next_file.max(id.0 + 1);
        if named.contains(&id) {
            there.insert(id);
        } else {
            disk.remove(&path).map_err(Error::io("remove", &path))?;
        }
    }
    match named.difference(&there).next() {
        Some(missing) => Err(Error::MissingTable { path: table_path(dir, *missing) }),
        None => Ok(()),
    }
}

/// Gives a log that is given up another name, under which nobody replays it.
fn set_aside(disk: &dyn Disk, path: &Path) -> Result<(), Error> {
    disk.rename(path, &path.with_extension("given-up")).map_err(Error::io("rename", path))
}
