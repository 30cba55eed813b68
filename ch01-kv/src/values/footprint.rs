//! What memory costs: an allocation takes more than it was asked for.
//!
//! A limit on memory (`maxmemory`) is worth what the count is worth that it is compared with: memory is the load parameter of
//! a cache (DDIA ch. 1, "Describing Load"). An allocator hands out blocks of certain sizes, and the rest of a block is lost; for
//! keys of some bytes each the rests are as much as the keys. So whatever counts memory here counts blocks.
//!
//! The sizes are those of mimalloc, which the server runs on. Other allocators' differ by little: eight bytes, multiples of
//! sixteen, then four sizes to each doubling.

/// The block that an allocation of so many bytes takes.
#[inline]
pub fn block(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=8 => 8,
        9..=64 => bytes.next_multiple_of(16),
        _ => bytes.next_multiple_of(1 << ((bytes - 1).ilog2() - 2)),
    }
}

/// What an [`IndexMap`](indexmap::IndexMap) takes by itself, which has room for `capacity` entries of `entry_bytes` each, their
/// hashes included: the entries, and a table of their places with a byte of each one's hash beside it.
pub fn index(capacity: usize, entry_bytes: usize) -> usize {
    if capacity == 0 {
        return 0;
    }
    // A table is filled to seven eighths, a small one but for one place; its control bytes are read sixteen at a time.
    let places = (capacity + 1).next_power_of_two();
    block(capacity * entry_bytes) + block(places * (size_of::<usize>() + 1) + 16)
}
