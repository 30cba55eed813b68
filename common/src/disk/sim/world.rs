//! The state behind a [`SimDisk`](super::SimDisk): names, files, space, and the faults that wait.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::fault::{Crash, Fault, Operation, Plan, Trace, power_lost};
use super::inode::Inode;
use super::names::{InodeId, Names, Node};
use crate::disk::Open;

/// The largest file in bytes: what the offset of the system calls (a signed 64-bit number) allows.
const MAX_FILE_BYTES: u64 = i64::MAX as u64;

/// A file and who holds on to it.
#[derive(Debug, Clone, Default)]
struct Slot {
    /// Shared with the forks of this disk until it changes.
    inode: Arc<Inode>,
    /// How many names processes see.
    names: u32,
    /// How many handles are open, locks included.
    handles: u32,
    locked: bool,
}

/// **Invariants**: `used_bytes` is the sum of the cached lengths of the files that have a name or a handle; every file
/// that a name stands for, cached, durable or in an unsynced change, is in `slots`; a handle of an earlier `epoch`
/// touches nothing.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) epoch: u64,
    pub(super) operations: u64,
    pub(super) capacity_bytes: Option<u64>,
    pub(super) plans: Vec<Plan>,
    pub(super) trace: Trace,
    pub(super) used_bytes: u64,
    pub(super) power_lost: bool,
    names: Names,
    slots: BTreeMap<InodeId, Slot>,
    next_inode: u64,
    rng: Xoshiro256PlusPlus,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            epoch: 0,
            operations: 0,
            capacity_bytes: None,
            plans: Vec::new(),
            trace: Trace::default(),
            used_bytes: 0,
            power_lost: false,
            names: Names::new(),
            slots: BTreeMap::new(),
            next_inode: 0,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
        }
    }

    pub(super) fn reseed(&mut self, seed: u64) {
        self.rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    }

    /// Counts the operation and says which fault it meets.
    pub(super) fn arrive(&mut self, operation: Operation) -> io::Result<Option<Fault>> {
        if self.power_lost {
            return Err(power_lost());
        }
        self.operations += u64::from(operation.is_counted());
        let mut due = None;
        self.plans.retain_mut(|plan| {
            let is_due = plan.meets(operation);
            if is_due && due != Some(Fault::PowerLoss) {
                due = Some(plan.fault);
            }
            !is_due
        });
        self.power_lost = due == Some(Fault::PowerLoss);
        Ok(due)
    }

    pub(super) fn crash(&mut self, how: Crash) {
        match how {
            Crash::KeepAll => {}
            Crash::LoseAll => {
                self.names.lose();
                self.unsettled().0.for_each(Inode::revert);
            }
            Crash::Random => {
                // Crashes that lose most of it, half and a little reach different states.
                let keep = [0.125, 0.5, 0.875][self.rng.random_range(0..3)];
                self.names.survive(&mut self.rng, keep);
                let (unsettled, rng) = self.unsettled();
                unsettled.for_each(|inode| inode.survive(rng, keep));
            }
        }
        self.reboot();
    }

    /// All processes are gone: handles and locks with them. Names, and what the page cache shows, are as they are.
    fn reboot(&mut self) {
        self.epoch += 1;
        self.power_lost = false;
        self.plans.clear();
        self.forget_processes();
    }

    pub(super) fn forget_processes(&mut self) {
        for slot in self.slots.values_mut() {
            *slot = Slot { inode: Arc::clone(&slot.inode), ..Slot::default() };
        }
        for inode in self.names.cached_files() {
            self.slots.get_mut(&inode).expect("a name stands for a file").names += 1;
        }
        self.used_bytes = self.slots.values().filter(|slot| slot.names > 0).map(|slot| slot.inode.cached().len()).sum();
        self.sweep();
    }

    pub(super) fn open(&mut self, path: &Path, how: Open) -> io::Result<InodeId> {
        let at = self.names.place(path)?;
        let inode = match (self.names.get(&at), how) {
            (Some(_), Open::New) => return Err(ErrorKind::AlreadyExists.into()),
            (Some(Node::Directory), _) => return Err(ErrorKind::IsADirectory.into()),
            (Some(Node::File(inode)), Open::Truncate) => {
                self.change(inode, |file| file.set_len(0));
                inode
            }
            (Some(Node::File(inode)), _) => inode,
            (None, Open::ReadOnly | Open::Existing) => return Err(ErrorKind::NotFound.into()),
            (None, Open::Create | Open::New | Open::Truncate) => {
                let inode = InodeId(self.next_inode);
                self.next_inode += 1;
                self.slots.insert(inode, Slot { names: 1, ..Slot::default() });
                self.names.set(at, Node::File(inode));
                inode
            }
        };
        self.slot(inode).handles += 1;
        Ok(inode)
    }

    pub(super) fn close(&mut self, inode: InodeId, was_lock: bool) {
        let slot = self.slot(inode);
        slot.handles -= 1;
        slot.locked &= !was_lock;
        self.release(inode);
    }

    pub(super) fn lock(&mut self, path: &Path) -> io::Result<InodeId> {
        let inode = self.open(path, Open::Create)?;
        if std::mem::replace(&mut self.slot(inode).locked, true) {
            self.close(inode, false);
            return Err(io::Error::new(ErrorKind::WouldBlock, "another holder has it"));
        }
        Ok(inode)
    }

    /// Writes as much of `data` as there is space for.
    pub(super) fn write(&mut self, inode: InodeId, data: &[u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(data.len() as u64).filter(|end| *end <= MAX_FILE_BYTES);
        let end = end.ok_or(ErrorKind::FileTooLarge)?;
        let longest = self.len(inode).saturating_add(self.free_bytes());
        let fits = end.min(longest).saturating_sub(offset) as usize;
        self.change(inode, |file| file.write(&data[..fits], offset));
        if fits < data.len() { Err(Fault::Enospc.error()) } else { Ok(()) }
    }

    /// Writes a prefix of `data` whose length is drawn: none and all are possible.
    pub(super) fn write_prefix(&mut self, inode: InodeId, data: &[u8], offset: u64) {
        let prefix = self.rng.random_range(0..=data.len() as u64) as usize;
        // The operation fails whatever becomes of the prefix.
        let _ = self.write(inode, &data[..prefix], offset);
    }

    pub(super) fn set_len(&mut self, inode: InodeId, len: u64) -> io::Result<()> {
        if len > MAX_FILE_BYTES {
            return Err(ErrorKind::FileTooLarge.into());
        }
        if len.saturating_sub(self.len(inode)) > self.free_bytes() {
            return Err(Fault::Enospc.error());
        }
        self.change(inode, |file| file.set_len(len));
        Ok(())
    }

    pub(super) fn sync(&mut self, inode: InodeId, fault: Option<Fault>) -> io::Result<()> {
        self.change(inode, |file| match fault {
            None => file.sync(),
            Some(Fault::SyncReverts) => file.revert(),
            Some(Fault::SyncForgets) => file.forget(),
            Some(Fault::Eio | Fault::Enospc | Fault::PowerLoss) => {}
        });
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    pub(super) fn read(&self, inode: InodeId, buf: &mut [u8], offset: u64) -> usize {
        self.slots[&inode].inode.cached().read(buf, offset)
    }

    pub(super) fn len(&self, inode: InodeId) -> u64 {
        self.slots[&inode].inode.cached().len()
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (self.names.place(from)?, self.names.place(to)?);
        let source = self.names.get(&from).ok_or(ErrorKind::NotFound)?;
        let Node::File(renamed) = source else { return Err(ErrorKind::IsADirectory.into()) };
        match self.names.get(&to) {
            Some(Node::Directory) => return Err(ErrorKind::IsADirectory.into()),
            // POSIX: two names of one file are left alone.
            Some(node) if node == source => return Ok(()),
            Some(Node::File(replaced)) => {
                self.names.rename(from, to, Node::File(renamed));
                self.slot(replaced).names -= 1;
                self.release(replaced);
            }
            None => self.names.rename(from, to, source),
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let at = self.names.place(path)?;
        match self.names.get(&at) {
            None => Err(ErrorKind::NotFound.into()),
            Some(Node::Directory) => Err(ErrorKind::IsADirectory.into()),
            Some(Node::File(inode)) => {
                self.names.clear(at);
                self.slot(inode).names -= 1;
                self.release(inode);
                Ok(())
            }
        }
    }

    pub(super) fn hard_link(&mut self, original: &Path, link: &Path) -> io::Result<()> {
        let Node::File(inode) = self.names.look_up(original)? else {
            return Err(ErrorKind::PermissionDenied.into());
        };
        let at = self.names.place(link)?;
        if self.names.get(&at).is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.names.set(at, Node::File(inode));
        self.slot(inode).names += 1;
        Ok(())
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        self.names.create_dir_all(path)
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        self.names.sync(path)?;
        self.sweep();
        Ok(())
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.names.list(path)
    }

    pub(super) fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.names.look_up(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn cached_content(&self, path: &Path) -> Option<Vec<u8>> {
        match self.names.look_up(path) {
            Ok(Node::File(inode)) => Some(self.slots[&inode].inode.cached().to_vec()),
            _ => None,
        }
    }

    pub(super) fn durable_content(&self, path: &Path) -> Option<Vec<u8>> {
        match self.names.look_up_durable(path) {
            Some(Node::File(inode)) => Some(self.slots[&inode].inode.durable().to_vec()),
            _ => None,
        }
    }

    /// Changes bytes on the medium behind everyone's back.
    pub(super) fn rot(&mut self, path: &Path, range: Range<u64>, change: impl Fn(u8) -> u8) -> io::Result<()> {
        let Node::File(inode) = self.names.look_up(path)? else { return Err(ErrorKind::IsADirectory.into()) };
        if range.start >= self.slots[&inode].inode.durable().len() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "beyond the durable end of the file"));
        }
        self.change(inode, |file| file.rot(range, change));
        Ok(())
    }

    pub(super) fn coin(&mut self) -> bool {
        self.rng.random_bool(0.5)
    }

    /// The files that a power failure changes, and what decides their fate. The others are not touched, so that forks
    /// go on sharing them.
    fn unsettled(&mut self) -> (impl Iterator<Item = &mut Inode>, &mut Xoshiro256PlusPlus) {
        let slots = self.slots.values_mut().filter(|slot| !slot.inode.is_settled());
        (slots.map(|slot| Arc::make_mut(&mut slot.inode)), &mut self.rng)
    }

    fn free_bytes(&self) -> u64 {
        self.capacity_bytes.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used_bytes))
    }

    /// Changes a file that has a name or a handle, and keeps the account of its space.
    fn change<T>(&mut self, inode: InodeId, act: impl FnOnce(&mut Inode) -> T) -> T {
        let file = Arc::make_mut(&mut self.slot(inode).inode);
        let before = file.cached().len();
        let result = act(file);
        let after = file.cached().len();
        self.used_bytes = self.used_bytes - before + after;
        result
    }

    fn slot(&mut self, inode: InodeId) -> &mut Slot {
        self.slots.get_mut(&inode).expect("a name or a handle stands for a file")
    }

    /// Gives back the space of a file that has lost its last name or handle.
    fn release(&mut self, inode: InodeId) {
        let slot = &self.slots[&inode];
        if slot.names == 0 && slot.handles == 0 {
            self.used_bytes -= slot.inode.cached().len();
        }
    }

    /// Drops the files that nothing can reach any more, not even a power failure that undoes their removal.
    fn sweep(&mut self) {
        let is_held = |slot: &Slot| slot.names > 0 || slot.handles > 0;
        if self.slots.values().all(is_held) {
            return;
        }
        let recoverable: BTreeSet<InodeId> = self.names.recoverable_files().collect();
        self.slots.retain(|inode, slot| is_held(slot) || recoverable.contains(inode));
    }
}
