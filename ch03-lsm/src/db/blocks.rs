//! The block cache: blocks that were read, in shards, so that threads seldom wait for one another.

use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use crate::engine::block::Block;
use crate::storage::table::{BlockCache, BlockKey, CacheStats};

/// What a block takes beside its bytes.
const ENTRY_BYTES: u64 = 96;

/// About how long a block is, in bytes: for the number of entries that room is made for.
const BLOCK_BYTES: usize = 4 << 10;

/// Keeps the blocks that are asked for again, within a limit.
#[derive(Debug)]
pub struct Blocks {
    cache: Cache<BlockKey, Block, Weight, foldhash::fast::RandomState>,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<BlockKey, Block> for Weight {
    fn weight(&self, _: &BlockKey, block: &Block) -> u64 {
        block.len_bytes() as u64 + ENTRY_BYTES
    }
}

impl Blocks {
    /// At most `bytes` of blocks.
    pub fn new(bytes: usize) -> Self {
        let hasher = foldhash::fast::RandomState::default();
        let lifecycle = DefaultLifecycle::default();
        Self { cache: Cache::with(bytes / BLOCK_BYTES, bytes as u64, Weight, hasher, lifecycle) }
    }

    /// The bytes that it holds.
    pub fn used_bytes(&self) -> u64 {
        self.cache.weight()
    }
}

impl BlockCache for Blocks {
    fn get(&self, key: BlockKey) -> Option<Block> {
        self.cache.get(&key)
    }

    fn put(&self, key: BlockKey, block: &Block) {
        self.cache.insert(key, block.clone());
    }

    fn stats(&self) -> CacheStats {
        CacheStats { used_bytes: self.used_bytes(), hits: self.cache.hits(), misses: self.cache.misses() }
    }
}
