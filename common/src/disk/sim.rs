//! The simulated disk: a file system in memory that keeps what processes see and what is durable apart, and fails on
//! demand.
//!
//! A process that is killed leaves its page cache behind, so killing one says nothing about fsync. This disk can be
//! asked the question itself: what is left when power fails here? The same seed and the same calls give the same
//! answer, whether bytes are torn, names lost or errors met, so a failure is replayed by its seed.
//!
//! ```text
//!            write_at, set_len                create, rename, remove, link
//!                  |                                   |
//!   file:    cached image                 directory: cached names         <- read_at, list, exists
//!                  |  unsynced changes                 |  unsynced changes
//!              sync_data                            sync_dir
//!                  v                                   v
//!            durable image                         durable names          <- what Crash::LoseAll leaves
//! ```
//!
//! To crash a workload at every operation: run it once, take [`SimDisk::operations`], then for each `k` up to that run
//! it on a fresh disk of the same seed after [`SimDisk::crash_at`]`(k)` until it fails, [`SimDisk::crash`], recover,
//! check. To try many crashes from one point: [`SimDisk::fork`], [`SimDisk::reseed`], [`SimDisk::crash`].
//!
//! What it costs: a write copies its bytes, a sync hands over the pages that were written, and a fork copies page
//! references, not bytes.
//!
//! **Left out**: time (an operation takes none), permissions, symbolic links, renaming and removing directories, the
//! space that names take; space is counted by a file's length, holes included.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use self::fault::{Call, Detail, Plan};
use self::inode::SECTOR_BYTES;
use self::names::InodeId;
use self::world::World;
use super::{Disk, DiskFile, Lock, Open};

mod fault;
mod image;
mod inode;
mod names;
mod world;

pub use self::fault::{Crash, Fault, Operation};

/// A handle on a simulated disk; clones are the same disk, and [`fork`](Self::fork) gives another one.
#[derive(Clone)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
}

struct SimFile {
    handle: Handle,
    is_writable: bool,
}

struct SimLock {
    _handle: Handle,
}

/// What an open file or a held lock keeps alive.
///
/// **Invariants**: `inode` is in the world as long as the world's epoch is `epoch`.
struct Handle {
    disk: SimDisk,
    inode: InodeId,
    epoch: u64,
    path: PathBuf,
    is_lock: bool,
}

impl SimDisk {
    /// An empty disk. Equal seeds and equal calls, in an equal order, meet equal fates.
    pub fn new(seed: u64) -> Self {
        Self { world: Arc::new(Mutex::new(World::new(seed))) }
    }

    /// Draws from another seed from here on: what a fork needs to meet another fate than its sibling.
    pub fn reseed(&self, seed: u64) {
        self.world().reseed(seed);
    }

    /// How many operations that may change something or make it durable have arrived since the disk was made: calls of
    /// `write_at`, `set_len`, `sync_data`, `sync_dir`, `rename`, `remove`, `hard_link`, `create_dir_all`, `lock`, and
    /// of `open` with `Create`, `New` or `Truncate`. One that fails counts; one that arrives while power is lost, or
    /// through a handle from before a crash, does not.
    pub fn operations(&self) -> u64 {
        self.world().operations
    }

    /// Crashes now: every open file and lock is dead from here on, power is back, the faults that still wait are
    /// forgotten, and the page cache shows what has survived. After [`Crash::LoseAll`] and [`Crash::Random`] that is
    /// durable; after [`Crash::KeepAll`] it is as durable as it was.
    pub fn crash(&self, how: Crash) {
        let mut world = self.world();
        world.crash(how);
        let epoch = world.epoch;
        world.trace.add(|| format!("crash {epoch}: {how:?}"));
    }

    /// Lets the power fail in the `k`-th operation from now, the next one being the first: see [`Fault::PowerLoss`].
    ///
    /// # Panics
    ///
    /// When `k` is 0.
    pub fn crash_at(&self, k: u64) {
        self.fail_at(k, Fault::PowerLoss);
    }

    /// Whether the power is lost: everything fails until [`crash`](Self::crash).
    pub fn is_power_lost(&self) -> bool {
        self.world().power_lost
    }

    /// Lets the `k`-th counted operation from now (see [`operations`](Self::operations)), the next one being the
    /// first, meet `fault`.
    ///
    /// # Panics
    ///
    /// When `k` is 0.
    pub fn fail_at(&self, k: u64, fault: Fault) {
        self.plan(None, k, fault);
    }

    /// Lets the `k`-th `operation` from now meet `fault`. Operations that are not counted can fail as well.
    ///
    /// # Panics
    ///
    /// When `k` is 0.
    pub fn fail_nth(&self, operation: Operation, k: u64, fault: Fault) {
        self.plan(Some(operation), k, fault);
    }

    /// Forgets the faults that still wait.
    pub fn cancel_faults(&self) {
        self.world().plans.clear();
    }

    /// The space for all files, in bytes; none is without end. A write that would exceed it writes what fits and fails
    /// with `StorageFull`; space comes back when files are cut, or lose their last name and are closed.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.world().capacity_bytes = bytes;
    }

    /// The lengths of all files, in bytes: of those that have a name or are open.
    pub fn used_bytes(&self) -> u64 {
        self.world().used_bytes
    }

    /// Flips one bit of the file on the medium (bit 0 is the lowest of the first byte). Processes see it too, where
    /// they have no newer unsynced byte in the page cache.
    ///
    /// # Errors
    ///
    /// `NotFound` without such a file, `InvalidInput` beyond its durable end.
    pub fn flip_bit(&self, path: impl AsRef<Path>, bit: u64) -> io::Result<()> {
        let byte = bit / 8;
        self.world().rot(path.as_ref(), byte..byte + 1, |byte| byte ^ 1 << (bit % 8))
    }

    /// Zeroes the 512-byte sector `sector` of the file on the medium, as far as the file goes.
    ///
    /// # Errors
    ///
    /// As [`flip_bit`](Self::flip_bit).
    pub fn zero_sector(&self, path: impl AsRef<Path>, sector: u64) -> io::Result<()> {
        let start = sector.saturating_mul(SECTOR_BYTES);
        self.world().rot(path.as_ref(), start..start.saturating_add(SECTOR_BYTES), |_| 0)
    }

    /// What [`Crash::LoseAll`] would leave of the file at `path`: nothing, when its name is not durable.
    pub fn durable(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        self.world().durable_content(path.as_ref())
    }

    /// What processes see in the file at `path`.
    pub fn cached(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        self.world().cached_content(path.as_ref())
    }

    /// Another disk in the same state, seed, waiting faults and counters included, and independent from here on. Open
    /// files and locks stay with this one: on the fork nobody holds any.
    pub fn fork(&self) -> Self {
        let mut world = self.world().clone();
        world.forget_processes();
        Self { world: Arc::new(Mutex::new(world)) }
    }

    /// Keeps the last `limit` calls for [`trace`](Self::trace). None are kept at first.
    pub fn keep_trace(&self, limit: usize) {
        self.world().trace.limit = limit;
    }

    /// The last calls, oldest first: the number of counted operations so far, the call, and how it ended.
    pub fn trace(&self) -> Vec<String> {
        self.world().trace.lines()
    }

    fn plan(&self, operation: Option<Operation>, k: u64, fault: Fault) {
        assert!(k > 0, "operations are counted from 1: the next one is the first");
        self.world().plans.push(Plan { operation, remaining: k, fault });
    }

    /// Does one call on the disk itself: see [`call_in`](Self::call_in).
    fn call<T>(&self, call: Call<'_>, act: impl FnOnce(&mut World, Option<Fault>) -> io::Result<T>) -> io::Result<T> {
        Self::call_in(&mut self.world(), call, act)
    }

    /// Does one call: counts it, lets it meet its fault, records it, and names it in the error.
    fn call_in<T>(
        world: &mut World,
        call: Call<'_>,
        act: impl FnOnce(&mut World, Option<Fault>) -> io::Result<T>,
    ) -> io::Result<T> {
        let result = world.arrive(call.operation).and_then(|fault| act(world, fault));
        let operations = world.operations;
        world.trace.add(|| match &result {
            Ok(_) => format!("#{operations} {call}"),
            Err(error) => format!("#{operations} {call}: {error}"),
        });
        result.map_err(|error| call.error(error))
    }

    fn hand_out(&self, inode: InodeId, epoch: u64, path: &Path, is_lock: bool) -> Handle {
        Handle { disk: self.clone(), inode, epoch, path: path.to_owned(), is_lock }
    }

    /// A panic in another thread between two steps of a test is that test's failure, and not a reason to hide the disk.
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let operation = match how {
            Open::ReadOnly | Open::Existing => Operation::Open,
            Open::Create | Open::New | Open::Truncate => Operation::Create,
        };
        let open = |world: &mut World| world.open(path, how).map(|inode| (inode, world.epoch));
        let (inode, epoch) = self.call(Call::new(operation, path), |world, fault| whole(world, fault, open))?;
        let handle = self.hand_out(inode, epoch, path, false);
        Ok(Arc::new(SimFile { handle, is_writable: how != Open::ReadOnly }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let call = Call::new(Operation::Rename, from).with(Detail::To(to));
        self.call(call, |world, fault| whole(world, fault, |world| world.rename(from, to)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let call = Call::new(Operation::Remove, path);
        self.call(call, |world, fault| whole(world, fault, |world| world.remove(path)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let call = Call::new(Operation::CreateDir, path);
        self.call(call, |world, fault| whole(world, fault, |world| world.create_dir_all(path)))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.call(Call::new(Operation::SyncDir, path), |world, fault| {
            nothing_under(fault)?;
            world.sync_dir(path)
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.call(Call::new(Operation::List, path), |world, fault| {
            nothing_under(fault)?;
            world.list(path)
        })
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.call(Call::new(Operation::Inspect, path), |world, fault| {
            nothing_under(fault)?;
            world.exists(path)
        })
    }

    fn hard_link(&self, original: &Path, link: &Path) -> io::Result<()> {
        let call = Call::new(Operation::Link, original).with(Detail::To(link));
        self.call(call, |world, fault| whole(world, fault, |world| world.hard_link(original, link)))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let lock = |world: &mut World| world.lock(path).map(|inode| (inode, world.epoch));
        let (inode, epoch) = self.call(Call::new(Operation::Lock, path), |world, fault| whole(world, fault, lock))?;
        Ok(Box::new(SimLock { _handle: self.hand_out(inode, epoch, path, true) }))
    }
}

impl SimFile {
    /// As [`SimDisk::call`], for a file that is open: fails without counting when it died in a crash.
    fn call<T>(
        &self,
        operation: Operation,
        detail: Detail<'_>,
        act: impl FnOnce(&mut World, InodeId, Option<Fault>) -> io::Result<T>,
    ) -> io::Result<T> {
        let Handle { disk, inode, epoch, path, .. } = &self.handle;
        let call = Call::new(operation, path).with(detail);
        let mut world = disk.world();
        if world.epoch != *epoch {
            return Err(call.error(io::Error::other("the file was opened before the crash")));
        }
        SimDisk::call_in(&mut world, call, |world, fault| act(world, *inode, fault))
    }

    /// `refusal` is what Unix answers to this call on a file that is open for reading.
    fn check_writable(&self, refusal: Errno) -> io::Result<()> {
        if self.is_writable { Ok(()) } else { Err(refusal.into()) }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let detail = Detail::Range { offset, len: buf.len() };
        self.call(Operation::Read, detail, |world, inode, fault| {
            nothing_under(fault)?;
            Ok(world.read(inode, buf, offset))
        })
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let detail = Detail::Range { offset, len: data.len() };
        self.call(Operation::Write, detail, |world, inode, fault| {
            self.check_writable(Errno::BADF)?;
            match fault {
                None => world.write(inode, data, offset),
                Some(fault) => {
                    world.write_prefix(inode, data, offset);
                    Err(fault.error())
                }
            }
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.call(Operation::Sync, Detail::None, World::sync)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.call(Operation::SetLen, Detail::Len(len), |world, inode, fault| {
            self.check_writable(Errno::INVAL)?;
            whole(world, fault, |world| world.set_len(inode, len))
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.call(Operation::Inspect, Detail::None, |world, inode, fault| {
            nothing_under(fault)?;
            Ok(world.len(inode))
        })
    }
}

impl Lock for SimLock {}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut world = self.disk.world();
        if world.epoch == self.epoch {
            world.close(self.inode, self.is_lock);
        }
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let world = self.world();
        f.debug_struct("SimDisk")
            .field("operations", &world.operations)
            .field("used_bytes", &world.used_bytes)
            .field("power_lost", &world.power_lost)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimFile").field(&self.handle.path).finish()
    }
}

impl fmt::Debug for SimLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimLock").field(&self._handle.path).finish()
    }
}

/// An operation that happens whole or not at all: when the power fails in it, either.
fn whole<T>(world: &mut World, fault: Option<Fault>, act: impl FnOnce(&mut World) -> io::Result<T>) -> io::Result<T> {
    let Some(fault) = fault else { return act(world) };
    if fault == Fault::PowerLoss && world.coin() {
        // Whether it would have succeeded is not known to anyone: the caller hears that the power is gone.
        let _ = act(world);
    }
    Err(fault.error())
}

/// An operation that does nothing under any fault.
fn nothing_under(fault: Option<Fault>) -> io::Result<()> {
    fault.map_or(Ok(()), |fault| Err(fault.error()))
}
