//! Resuming: how a tree goes on after its disk was full.
//!
//! A full disk is no broken one: there will be room again, and nobody wants to open the tree anew for it. What makes it
//! delicate is what the refused writes have left behind: half a record at the end of the log or of the manifest, or a
//! whole one that was reported as refused. Nothing may follow it in the same file. So everything begins anew, in this order:
//!
//! 1. a manifest, which says what there is as far as the tree knows, and takes the place of the one before;
//! 2. tables that the record which was refused may have named go, now that nothing can name them;
//! 3. a log; what is in memory goes to tables, and the manifest says that the log before is not needed;
//! 4. writes are taken again.
//!
//! A crash in between finds what was acknowledged in the old log or in tables. Only what could not be created or
//! written is forgiven. A sync that has failed, for whatever reason, is not: what it was to make durable may be gone, and the next
//! one would say that it is there (Rebello et al., USENIX ATC 2020).

use std::sync::atomic::Ordering;

use super::Inner;
use super::open::begin_manifest;
use crate::error::Error;
use crate::storage::batch::Batch;
use crate::storage::files::table_path;

impl Inner {
    pub(super) fn resume(&self) -> Result<(), Error> {
        // As the one who leads the writers: none of them is under way then. Whoever was taken along by another tries again.
        while self.commits.join(Batch::new(), false).is_err() {}
        let result = self.begin_anew();
        self.commits.hand_over();
        if let Err(error) = &result {
            let mut work = self.work();
            let is_fatal = !error.is_out_of_space() && !matches!(error, Error::ReadOnly(_));
            if is_fatal {
                self.set_failed(&mut work, error);
            }
        }
        self.progress.notify_all();
        result
    }

    fn begin_anew(&self) -> Result<(), Error> {
        let mut work = self.work();
        while work.running > 0 {
            work = self.progress.wait(work).expect("no thread panics with it");
        }
        match Self::check(&work) {
            Ok(()) => return Ok(()),
            Err(Error::DiskFull(_)) => {}
            Err(error) => return Err(error),
        }
        let number = self.next_file();
        let mut state = work.state.clone();
        state.next_file = number + 1;
        let manifest = begin_manifest(&*self.disk, &self.dir, number, &state, self.options.salt)?;
        let before = std::mem::replace(&mut work.manifest, manifest);
        // What stays is removed when the directory is opened next.
        let _: std::io::Result<()> = self.disk.remove(before.path());
        for id in std::mem::take(&mut work.debris) {
            if !state.levels.iter().flatten().any(|table| table.id == id) {
                let _: std::io::Result<()> = self.disk.remove(&table_path(&self.dir, id));
            }
        }
        self.begin_memtable(&mut work)?;
        drop(work);
        loop {
            let view = self.view();
            let Some(oldest) = view.immutables.last() else { break };
            let newer = view.immutables.len().checked_sub(2).map_or(&view.memtable, |index| &view.immutables[index]);
            self.flush_memtable(oldest, Some(newer.wal))?;
        }
        self.commits.forget_older();
        self.work().failed = None;
        self.has_failed.store(false, Ordering::Release);
        Ok(())
    }
}
