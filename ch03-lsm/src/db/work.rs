//! Flushing and compacting: what threads do in the background, and tests do step by step.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::cursors::{LevelCursor, Source};
use super::tables::OpenTable;
use super::view::{Mem, Version, View};
use super::{Inner, Work};
use crate::engine::compaction::{Choice, Merge};
use crate::engine::cursor::Cursor;
use crate::engine::filter::{Filtering, Verdict};
use crate::engine::key::{InternalKeyBuf, Kind, Seq, Stamp};
use crate::engine::levels::{Edit, LEVELS, TableId, TableMeta};
use crate::engine::merge_iterator::MergeIterator;
use crate::engine::range_tombstones::{RangeTombstones, successor};
use crate::engine::read_triggered;
use crate::engine::retention::Retention;
use crate::engine::token_bucket::Urgency;
use crate::error::Error;
use crate::storage::files::{WAL, table_path};
use crate::storage::manifest::Record;
use crate::storage::table::TableWriter;

/// After how many entries a merge looks whether it is still wanted.
const LOOK_EVERY: u64 = 256;

/// What a compaction has made so far.
#[derive(Default)]
struct Made {
    /// The numbers of its tables, whether they are finished or not.
    ids: Vec<TableId>,
    added: Vec<(usize, TableMeta)>,
    /// How many values a filter has left out.
    filtered: u64,
}

/// Something to do.
enum Task {
    Flush(Arc<Mem>, Option<u64>),
    Move { table: TableId, from: usize, to: usize },
    Merge(Merge),
}

impl Inner {
    /// Works until the tree is closed.
    pub(super) fn work_until_ended(&self) {
        loop {
            // A strategy of somebody else's may panic as well.
            match without_panic(|| self.work_once()).inspect_err(|error| self.fails(error)) {
                Ok(true) => {}
                Ok(false) | Err(_) => {
                    let work = self.work();
                    if work.is_ending {
                        return;
                    }
                    // Who has found nothing to do under this lock hears of everything that comes after.
                    if work.failed.is_some() || self.is_idle(&work) {
                        drop(self.progress.wait(work).unwrap_or_else(PoisonError::into_inner));
                    }
                }
            }
            if self.work().is_ending {
                return;
            }
        }
    }

    /// Does one thing that is to be done; false when there is nothing.
    pub(super) fn work_once(&self) -> Result<bool, Error> {
        let mut work = self.work();
        Self::check(&work)?;
        let Some(task) = self.next_task(&work) else { return Ok(false) };
        match &task {
            Task::Flush(..) => work.is_flushing = true,
            Task::Move { table, .. } => _ = work.busy.insert(*table),
            Task::Merge(merge) => work.busy.extend(merge.inputs.iter().map(|(_, table)| *table)),
        }
        work.running += 1;
        drop(work);
        // A filter of somebody else's may panic: then nobody must wait for what this thread was doing.
        let result = without_panic(|| match &task {
            Task::Flush(mem, next_wal) => self.flush_memtable(mem, *next_wal),
            Task::Move { table, from, to } => self.move_table(*table, *from, *to),
            Task::Merge(merge) => self.merge(merge),
        });
        if let Err(error) = &result {
            self.fails(error);
        }
        let mut work = self.work();
        work.running -= 1;
        match &task {
            Task::Flush(..) => work.is_flushing = false,
            Task::Move { table, .. } => _ = work.busy.remove(table),
            Task::Merge(merge) => merge.inputs.iter().for_each(|(_, table)| _ = work.busy.remove(table)),
        }
        drop(work);
        self.progress.notify_all();
        result.map(|()| true)
    }

    /// Waits until there is nothing to do.
    pub(super) fn settle(&self) -> Result<(), Error> {
        loop {
            let work = self.work();
            Self::check(&work)?;
            if !self.is_at_work(&work) {
                return Ok(());
            }
            self.wait_for_progress(work)?;
        }
    }

    /// Marks a table, if reads have paid for it, and for those that would be gone with it, as much as the merge costs.
    pub(super) fn mark_if_too_dear(&self, table: TableId) {
        let view = self.view();
        let Version { levels, tables, .. } = &*view.version;
        let price = || Ok(read_triggered::price(&*self.options.strategy, levels, table));
        let (true, Ok(Some(price))) = (self.options.compacts_for_reads, without_panic(price)) else { return };
        let rid = tables.iter().flatten().filter(|other| price.rid.contains(&other.id));
        if rid.map(|other| other.rent.paid_bytes()).sum::<u64>() < price.bytes {
            return;
        }
        let mut work = self.work();
        // It may have been merged meanwhile.
        if self.view().version.levels.iter().flatten().any(|meta| meta.id == table) {
            work.marked.insert(table);
            drop(work);
            self.progress.notify_all();
        }
    }

    pub(super) fn compact_range(&self, from: Option<&[u8]>, to: Option<&[u8]>) -> Result<(), Error> {
        self.flush()?;
        let is_within = |meta: &TableMeta| {
            from.is_none_or(|from| from <= meta.largest.as_key().user())
                && to.is_none_or(|to| meta.smallest.as_key().user() < to)
        };
        for level in 0..LEVELS {
            let mut work = self.work();
            let version = Arc::clone(&self.view().version);
            // What is in the last level that has anything has been merged with all above it, unless it is the first.
            if level > 0 && level >= version.levels.deepest() {
                break;
            }
            let tables = version.levels.level(level).iter().filter(|meta| is_within(meta)).map(|meta| meta.id);
            let mut left: BTreeSet<TableId> = tables.collect();
            work.wanted.extend(&left);
            self.progress.notify_all();
            // Under steady writing there always is something else to do.
            loop {
                Self::check(&work)?;
                left.retain(|table| work.wanted.contains(table));
                let (strategy, view) = (&self.options.strategy, self.view());
                let choice = || Ok(strategy.choose_marked(&view.version.levels, &left, &BTreeSet::new()));
                if matches!(without_panic(choice), Ok(Choice::Nothing)) {
                    break;
                }
                self.wait_for_progress(work)?;
                work = self.work();
            }
            work.wanted.retain(|table| !left.contains(table));
        }
        Ok(())
    }

    /// Whether something is done or to be done. What nobody will ever do, nobody may wait for: a strategy may be content with
    /// more tables of level 0 than stop a writer.
    pub(super) fn is_at_work(&self, work: &Work) -> bool {
        work.is_flushing || !work.busy.is_empty() || !self.is_idle(work)
    }

    /// Where a strategy panics there is something to do: whoever does it takes note of the failure, and not who asks.
    pub(super) fn is_idle(&self, work: &Work) -> bool {
        matches!(without_panic(|| Ok(self.next_task(work))), Ok(None))
    }

    fn next_task(&self, work: &Work) -> Option<Task> {
        let view = self.view();
        if !work.is_flushing
            && let Some(oldest) = view.immutables.last()
        {
            let newer = view.immutables.len().checked_sub(2).map_or(&view.memtable, |index| &view.immutables[index]);
            return Some(Task::Flush(Arc::clone(oldest), Some(newer.wal)));
        }
        // One thread is kept for flushes: writers wait for them, and a compaction may take minutes.
        let compactions = work.running - usize::from(work.is_flushing);
        if self.options.threads > 1 && compactions + 1 >= self.options.threads {
            return None;
        }
        let (strategy, levels) = (&self.options.strategy, &view.version.levels);
        let of = |marked: &BTreeSet<TableId>| match marked.is_empty() {
            true => Choice::Nothing,
            false => strategy.choose_marked(levels, marked, &work.busy),
        };
        let mut choice = of(&work.wanted);
        if choice == Choice::Nothing {
            choice = strategy.choose(levels, &work.busy);
        }
        if choice == Choice::Nothing {
            choice = of(&work.marked);
        }
        match choice {
            Choice::Nothing => None,
            Choice::Move { table, from, to } => Some(Task::Move { table, from, to }),
            Choice::Merge(merge) => Some(Task::Merge(merge)),
        }
    }

    /// Writes a memtable out as a table of level 0.
    pub(super) fn flush_memtable(&self, mem: &Arc<Mem>, next_wal: Option<u64>) -> Result<(), Error> {
        let mut edit = Edit::default();
        let id = TableId(self.next_file());
        match self.write_memtable(mem, id) {
            Ok(Some(meta)) => edit.added.push((0, meta)),
            Ok(None) => self.discard(&[id]),
            Err(error) => {
                self.discard(&[id]);
                return Err(error);
            }
        }
        let record = Record { wal: next_wal, edit, ..Record::default() };
        self.install(record, |view, version| {
            let mut immutables = view.immutables.clone();
            immutables.retain(|other| !Arc::ptr_eq(other, mem));
            View { memtable: Arc::clone(&view.memtable), immutables, version }
        })?;
        // No manifest names it any more; one that stays is removed when the directory is opened next.
        let _: std::io::Result<()> = self.disk.remove(&WAL.path(&self.dir, mem.wal));
        Ok(())
    }

    fn write_memtable(&self, mem: &Mem, id: TableId) -> Result<Option<TableMeta>, Error> {
        let retention = self.retention(false);
        let disk = self.pace.disk(&self.disk, Urgency::Flush);
        let mut writer = TableWriter::create(&disk, &table_path(&self.dir, id), id, self.options.table)?;
        write_to(mem, retention, &mut writer)?;
        if writer.is_empty() {
            return Ok(None);
        }
        let meta = writer.finish()?;
        self.counters.flushes.add(1);
        self.counters.flushed_bytes.add(meta.len_bytes);
        Ok(Some(meta))
    }

    /// Removes tables that no manifest has named: to make room, if the disk is full. What stays is removed when the directory
    /// is opened next.
    fn discard(&self, ids: &[TableId]) {
        for id in ids {
            let _: std::io::Result<()> = self.disk.remove(&table_path(&self.dir, *id));
        }
    }

    fn move_table(&self, table: TableId, from: usize, to: usize) -> Result<(), Error> {
        let view = self.view();
        let meta = view.version.levels.level(from).iter().find(|meta| meta.id == table).expect("busy tables stay");
        let edit = Edit { removed: vec![(from, table)], added: vec![(to, (**meta).clone())] };
        self.counters.moves.add(1);
        self.install(Record { edit, ..Record::default() }, with_version)
    }

    /// Merges tables into new ones.
    fn merge(&self, merge: &Merge) -> Result<(), Error> {
        let version = Arc::clone(&self.view().version);
        let mut filter = self.options.filter.as_deref();
        loop {
            let newest_snapshot = self.newest_snapshot();
            let now_s = self.options.clock.unix_s();
            let filtering = filter.map(|filter| Filtering::new(filter, now_s, newest_snapshot, merge.is_bottom));
            let mut made = Made::default();
            let merged = self.merge_tables(&version, merge, filtering, &mut made);
            if !matches!(merged, Ok(true)) {
                self.discard(&made.ids);
                return merged.map(|_| ());
            }
            // Held until readers see the new version: a snapshot comes before all of it, or after.
            let snapshots = self.snapshots.lock().expect("no thread panics with it");
            if made.filtered > 0 && snapshots.keys().next_back().copied() > newest_snapshot {
                drop(snapshots);
                // Somebody has taken a snapshot meanwhile, and sees what was filtered: once more, without.
                self.discard(&made.ids);
                filter = None;
                continue;
            }
            let snapshots = (made.filtered > 0).then_some(snapshots);
            let bytes = |metas: &mut dyn Iterator<Item = &TableMeta>| metas.map(|meta| meta.len_bytes).sum::<u64>();
            let read = version.levels.iter().flatten().map(|meta| &**meta);
            let read = bytes(&mut read.filter(|meta| merge.inputs.iter().any(|(_, input)| *input == meta.id)));
            self.counters.compactions.add(1);
            self.counters.compaction_read_bytes.add(read);
            self.counters.compaction_written_bytes.add(bytes(&mut made.added.iter().map(|(_, meta)| meta)));
            self.counters.filtered.add(made.filtered);
            let edit = Edit { removed: merge.inputs.clone(), added: made.added };
            let result = self.install(Record { edit, ..Record::default() }, with_version);
            drop(snapshots);
            return result;
        }
    }

    /// False when it was given up, because the tree is being closed.
    fn merge_tables(
        &self,
        version: &Arc<Version>,
        merge: &Merge,
        filtering: Option<Filtering<'_>>,
        made: &mut Made,
    ) -> Result<bool, Error> {
        let disk = self.pace.disk(&self.disk, Urgency::Compaction);
        let mut sources = MergeIterator::new(inputs(version, merge));
        let mut retention = self.retention(merge.is_bottom).with_ranges(ranges_of(version, merge)?);
        let mut ranges = Cut { ranges: retention.ranges(), from: None };
        let create = |made: &mut Made| {
            let id = TableId(self.next_file());
            made.ids.push(id);
            TableWriter::create(&disk, &table_path(&self.dir, id), id, self.options.table)
        };
        let mut writer: Option<TableWriter> = None;
        let mut last_user = Vec::new();
        let mut passed = 0_u64;
        sources.seek_to_first()?;
        while let Some(key) = sources.key() {
            passed += 1;
            if passed.is_multiple_of(LOOK_EVERY) && self.pace.has_ended() {
                return Ok(false);
            }
            if retention.keeps(key) {
                let verdict = filtering.map_or(Verdict::Keep, |filtering| filtering.judge(key, sources.value()));
                made.filtered += u64::from(verdict != Verdict::Keep);
                if verdict == Verdict::Drop {
                    sources.next()?;
                    continue;
                }
                let stamp = key.stamp();
                let (stamp_of_kind, value) = match verdict {
                    Verdict::Hide => (Stamp::new(stamp.seq(), Kind::Delete), &[][..]),
                    Verdict::Keep | Verdict::Drop => (stamp, sources.value()),
                };
                let kept_as =
                    InternalKeyBuf::new(key.user(), stamp_of_kind.with_seq(retention.seq_to_keep(stamp.seq())));
                // All versions of a key go into one table: no key is in two of a level.
                let is_full = writer.as_ref().is_some_and(|writer| writer.len_bytes() >= merge.table_bytes);
                if is_full && key.user() != last_user {
                    let mut full = writer.take().expect("it is full");
                    ranges.up_to(Some(&last_user), &mut full);
                    made.added.push((merge.to, full.finish()?));
                }
                if writer.is_none() {
                    writer = Some(create(made)?);
                }
                let writer = writer.as_mut().expect("it was made");
                writer.add(kept_as.as_key(), value)?;
                writer.covers(stamp.seq());
                last_user.clear();
                last_user.extend_from_slice(key.user());
            }
            sources.next()?;
        }
        if writer.is_none() && !ranges.is_over() {
            writer = Some(create(made)?);
        }
        if let Some(mut writer) = writer {
            ranges.up_to(None, &mut writer);
            made.added.push((merge.to, writer.finish()?));
        }
        Ok(true)
    }

    /// Records what has happened, and lets readers see it.
    fn install(&self, record: Record, change: impl FnOnce(&View, Arc<Version>) -> View) -> Result<(), Error> {
        let added: Vec<TableId> = record.edit.added.iter().map(|(_, meta)| meta.id).collect();
        let result = self.try_install(record, change);
        if result.is_err() {
            // The manifest may name them, whether it was told so or not.
            self.work().debris.extend(added);
        }
        result
    }

    fn try_install(&self, mut record: Record, change: impl FnOnce(&View, Arc<Version>) -> View) -> Result<(), Error> {
        self.disk.sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))?;
        let moved = |id: TableId| record.edit.removed.iter().any(|(_, removed)| *removed == id);
        let mut opened = Vec::new();
        let known = self.view();
        for (_, meta) in &record.edit.added {
            let table = match known.version.tables.iter().flatten().find(|table| table.id == meta.id) {
                Some(table) if moved(meta.id) => Arc::clone(table),
                _ => OpenTable::new(&self.tables, meta),
            };
            table.load()?;
            opened.push(table);
        }
        let mut work = self.work();
        // Whoever had the lock before may have failed; after a disk that was full, it is resuming that installs.
        if let Some(failed) = work.failed.as_ref().filter(|failed| !failed.is_out_of_space()) {
            return Err(Error::ReadOnly(Arc::clone(failed)));
        }
        let newest = record.edit.added.iter().map(|(_, meta)| meta.newest).max().unwrap_or_default();
        record.seq = Some(newest.max(work.state.seq));
        record.next_file = Some(self.next_file.load(Ordering::Relaxed));
        let offset = work.manifest.end();
        let mut state = work.state.clone();
        state.apply(&record).map_err(Error::record(work.manifest.path(), offset))?;
        let manifest = &mut work.manifest;
        let bytes = record.encode();
        let written = manifest.append(&bytes).and_then(|_| manifest.sync()).and_then(|()| manifest.attest());
        if let Err(error) = written {
            let error = error.into();
            self.set_failed(&mut work, &error);
            return Err(error);
        }
        work.state = state;
        let levels = work.state.levels.clone();
        self.debt_bytes.store(self.options.strategy.debt_bytes(&levels), Ordering::Relaxed);
        // Nobody else changes the tables while `work` is held; readers wait for no more than a pointer.
        let version = Arc::new(self.view().version.apply(&record.edit, levels, &opened));
        self.set_view(|view| change(view, version));
        let stays = |id: TableId| record.edit.added.iter().any(|(_, added)| added.id == id);
        for (_, removed) in &record.edit.removed {
            work.marked.remove(removed);
            work.wanted.remove(removed);
        }
        for table in known.version.tables.iter().flatten().filter(|table| moved(table.id)) {
            if !stays(table.id) {
                table.becomes_obsolete();
            }
        }
        Ok(())
    }

    fn newest_snapshot(&self) -> Option<Seq> {
        self.snapshots.lock().expect("no thread panics with it").keys().next_back().copied()
    }

    pub(super) fn retention(&self, is_bottom: bool) -> Retention {
        let snapshots = self.snapshots.lock().expect("no thread panics with it");
        let now: Seq = self.seq();
        Retention::new(snapshots.keys().copied(), now, is_bottom)
    }
}

/// What `job` comes to; an error, if it panics.
fn without_panic<T>(job: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Error::Panicked(text.unwrap_or_default()))
    })
}

/// The range tombstones that are left for the tables to come, as one table after another ends.
///
/// Each table gets what lies between its keys and the next one's, so that the tables of a level do not overlap.
struct Cut {
    ranges: RangeTombstones,
    from: Option<Vec<u8>>,
}

impl Cut {
    /// Gives a table those up to its last user's key, or all that are left.
    fn up_to(&mut self, last: Option<&[u8]>, table: &mut TableWriter) {
        if self.ranges.is_empty() {
            return;
        }
        let to = last.map(successor);
        table.add_ranges(&self.ranges.clipped(self.from.as_deref(), to.as_deref()));
        self.from = to;
    }

    /// Whether none are left.
    fn is_over(&self) -> bool {
        self.ranges.clipped(self.from.as_deref(), None).is_empty()
    }
}

/// Writes what is kept of a memtable.
pub(super) fn write_to(mem: &Mem, retention: Retention, table: &mut TableWriter) -> Result<(), Error> {
    let mut retention = retention.with_ranges(mem.ranges().map_or_else(RangeTombstones::new, Arc::unwrap_or_clone));
    table.add_ranges(&retention.ranges());
    mem.table.try_for_each(|key, value| if retention.keeps(key) { table.add(key, value) } else { Ok(()) })?;
    Ok(())
}

/// The range tombstones of what is merged.
fn ranges_of(version: &Version, merge: &Merge) -> Result<RangeTombstones, Error> {
    let mut ranges = RangeTombstones::new();
    for (metas, tables) in version.levels.iter().zip(&version.tables) {
        for (meta, table) in metas.iter().zip(tables).filter(|(meta, _)| meta.range_tombstones > 0) {
            if merge.inputs.iter().any(|(_, input)| *input == meta.id) {
                ranges.extend(table.load()?.ranges());
            }
        }
    }
    Ok(ranges)
}

fn with_version(view: &View, version: Arc<Version>) -> View {
    View { memtable: Arc::clone(&view.memtable), immutables: view.immutables.clone(), version }
}

/// A cursor for each table of level 0, and for each row of tables that follow one another in the other levels.
fn inputs(version: &Arc<Version>, merge: &Merge) -> Vec<Source> {
    let mut sources = Vec::new();
    for (level, metas) in version.levels.iter().enumerate() {
        let is_input = |at: &usize| merge.inputs.contains(&(level, metas[*at].id));
        let inputs: Vec<usize> = (0..metas.len()).filter(is_input).collect();
        for row in inputs.chunk_by(|one, next| level > 0 && one + 1 == *next) {
            sources.push(Source::Level(LevelCursor::scan(version, level, row[0]..row[0] + row.len())));
        }
    }
    sources
}
