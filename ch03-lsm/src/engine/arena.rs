//! An arena: memory for entries that come one by one, stay where they are, and go all at once.
//!
//! A memtable holds half a million entries. To allocate each by itself costs an allocation and what allocators round up; to
//! keep them in arrays that grow costs copies, and the room that is kept free for more. Here the next entry comes right behind the
//! last one, in large chunks, and a pointer is all that its leaf has to keep:
//!
//! ```text
//! chunk   | lengths | key | value | lengths | key | value | ...    free ──▶         |
//!         ▲                       ▲
//!         Stored                  Stored
//! ```
//!
//! The lengths are those of the key and of the value, as varints: two bytes for most entries.
//!
//! What has been stored is never changed and never moved, so that any number of threads read it without a lock.

#![allow(
    unsafe_code,
    reason = "entries are read by many threads while others are written behind them in the same chunk, which no borrow can say; \
              in arrays of their own they took a quarter more memory, so that a memtable of the same size held a quarter fewer"
)]
#![expect(clippy::disallowed_types, reason = "writers take turns to be given their places")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use smallvec::SmallVec;

use common::codec::varint;

/// How large a chunk is, in bytes: so large that an allocation is rare, and so small that allocators do not round it up by much. A
/// small memtable begins with [`FIRST_CHUNK_BYTES`].
const CHUNK_BYTES: usize = 64 << 10;

/// How large the first is. Each is twice as large as the one before, up to [`CHUNK_BYTES`].
const FIRST_CHUNK_BYTES: usize = 4 << 10;

/// An entry that would take one of so many parts of a chunk gets one of its own: what is left of the last one is not thrown away
/// for it.
const LARGE: usize = 4;

/// Memory for entries.
#[derive(Debug, Default)]
pub(super) struct Arena {
    chunks: Mutex<Chunks>,
}

/// Where an entry is, in the arena that stored it.
///
/// **Invariants**: it points to two lengths and as many bytes, all written, which nobody writes again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored(NonNull<u8>);

// SAFETY: what it points to is not written any more, and which thread reads it is all the same.
unsafe impl Send for Stored {}
// SAFETY: as above.
unsafe impl Sync for Stored {}

/// **Invariants**: `free` has `free_bytes` bytes in the last chunk of the ordinary size, which nobody has been given.
#[derive(Debug)]
struct Chunks {
    all: Vec<Chunk>,
    free: NonNull<u8>,
    free_bytes: usize,
    next_bytes: usize,
}

/// **Invariants**: `begin` was allocated with `layout`, and is given back once, when this is dropped.
#[derive(Debug)]
struct Chunk {
    begin: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it owns its memory, and any thread may give it back.
unsafe impl Send for Chunk {}
// SAFETY: `free` points into a chunk of `all`, which goes where this goes.
unsafe impl Send for Chunks {}

impl Default for Chunks {
    fn default() -> Self {
        Self { all: Vec::new(), free: NonNull::dangling(), free_bytes: 0, next_bytes: FIRST_CHUNK_BYTES }
    }
}

impl Chunk {
    fn new(bytes: usize) -> Self {
        let layout = Layout::array::<u8>(bytes).expect("an entry is shorter than memory");
        assert!(bytes > 0, "an entry has a length");
        // SAFETY: the layout's size is not zero.
        let begin = unsafe { alloc(layout) };
        Self { begin: NonNull::new(begin).unwrap_or_else(|| handle_alloc_error(layout)), layout }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout, and is dropped once.
        unsafe { dealloc(self.begin.as_ptr(), self.layout) }
    }
}

impl Chunks {
    /// The beginning of `bytes` bytes which nobody else is given.
    fn take(&mut self, bytes: usize) -> NonNull<u8> {
        if bytes > self.free_bytes {
            if bytes >= CHUNK_BYTES / LARGE {
                let chunk = Chunk::new(bytes);
                let begin = chunk.begin;
                self.all.push(chunk);
                return begin;
            }
            while bytes > self.next_bytes / LARGE {
                self.next_bytes *= 2;
            }
            let chunk = Chunk::new(self.next_bytes);
            (self.free, self.free_bytes) = (chunk.begin, self.next_bytes);
            self.all.push(chunk);
            self.next_bytes = (self.next_bytes * 2).min(CHUNK_BYTES);
        }
        let begin = self.free;
        // SAFETY: `free` has at least so many bytes, or has just been given a chunk of four times as many.
        self.free = unsafe { begin.add(bytes) };
        self.free_bytes -= bytes;
        begin
    }
}

impl Arena {
    /// Stores an entry.
    pub(super) fn store(&self, key: &[u8], value: &[u8]) -> Stored {
        let mut lengths = SmallVec::<[u8; 2 * varint::MAX_BYTES]>::new();
        varint::encode(key.len() as u64, &mut lengths);
        varint::encode(value.len() as u64, &mut lengths);
        let len = lengths.len() + key.len() + value.len();
        let begin = self.chunks.lock().unwrap_or_else(PoisonError::into_inner).take(len);
        let mut at = begin.as_ptr();
        for part in [&lengths[..], key, value] {
            // SAFETY: `take` gave this thread alone as many bytes as the parts have together.
            unsafe {
                at.copy_from_nonoverlapping(part.as_ptr(), part.len());
                at = at.add(part.len());
            }
        }
        Stored(begin)
    }

    /// The key and the value of an entry.
    ///
    /// # Safety
    ///
    /// It must be one that **this** arena has stored: another may be gone.
    pub(super) unsafe fn get(&self, stored: Stored) -> (&[u8], &[u8]) {
        let mut at = stored.0;
        // SAFETY: it points to two lengths, whose last bytes alone are below 0x80, and to as many bytes behind them. They live as long
        // as the arena does, and nobody writes them again.
        unsafe {
            let [key_len, value_len] = [length(&mut at), length(&mut at)];
            let key = NonNull::slice_from_raw_parts(at, key_len).as_ref();
            let value = NonNull::slice_from_raw_parts(at.add(key_len), value_len).as_ref();
            (key, value)
        }
    }
}

/// The varint at `at`, which then points behind it.
///
/// # Safety
///
/// There must be one, of a length in memory.
unsafe fn length(at: &mut NonNull<u8>) -> usize {
    let (mut length, mut shift) = (0, 0);
    loop {
        // SAFETY: it goes on up to the first byte below 0x80.
        let byte = unsafe { at.read() };
        // SAFETY: something comes behind it, or the end of what was allocated.
        *at = unsafe { at.add(1) };
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return length;
        }
        shift += 7;
    }
}
