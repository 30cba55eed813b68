#![allow(unused)]
// Exercise ch03/bloom: First steps: a Bloom filter that costs one cache miss
// DDIA ch. 3, "Performance optimizations"
//
// Write the filter that lets a table say "I have not got that key" without being read: how many bits each key sets, the
// setting of them when a table is written, and the look at them when a key is asked for. The picture at the top of the
// file shows the bytes; where a key's bits lie is given by `line` and `bit_in_line`. Every table of the engine is then
// written and asked with your filter.
//
// Write what says todo!(). `cargo grade ch03/bloom` judges it, `cargo grade hint ch03/bloom` helps.

//! Bloom filters: what lets a table say that it has not got a key, without being read.
//!
//! A key that is not there is the worst case of an LSM tree: every level has to be asked (DDIA ch. 3, "Performance
//! optimizations"; Bloom, "Space/Time Trade-offs in Hash Coding with Allowable Errors", CACM 1970). A filter sets a few bits
//! for each key that is there. If one of a key's bits is not set, the key is not there; if all are, it probably is. With
//! `b` bits for each key and `k` probes a key that is not there passes with a probability of about (1 - e^(-k/b))^k, which is
//! least at k = b ln 2: about 0.8 % at 10 bits.
//!
//! Probes all over a large filter are cache misses, one each. This filter keeps the probes of a key within one cache line
//! (Putze, Sanders and Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2007): a lookup costs one miss, and a
//! little accuracy, since lines fill unevenly: about 0.96 % at 10 bits.
//!
//! ```text
//!      hash of the key, 64 bits
//!      +-----------------------+-----------------------+
//!      | which line            | which bits in it      |          line: 64 bytes, 512 bits
//!      +-----------------------+-----------------------+
//!
//! filter  +--------+--------+-- --+--------+--------+
//!         | line 0 | line 1 | ... | line n | probes |             probes: one byte, the bits that each key sets
//!         +--------+--------+-- --+--------+--------+
//!         bit b of a line: 1 << (b % 8) of its byte b / 8
//!         one byte, 0:     a filter of no keys, which denies all
//!         no byte:         no filter, which denies nothing
//! ```
//!
//! A filter may say yes for any reason, and no for one only. A no that is wrong hides a key that is there, and nothing else in
//! the tree would notice: so whatever is not understood is a yes.
//!
//! **Left out**: filters over prefixes, and ribbon filters, which take a third less memory for more time to build.

use xxhash_rust::xxh3::xxh3_64;

/// The bytes of a line: what a processor fetches at once.
pub const LINE_BYTES: usize = 64;

/// The most probes for a key: beyond it accuracy hardly gains.
pub const PROBES_MAX: u32 = 12;

/// What a hash is multiplied by for each probe: powers of an odd number that mixes well (2^32 over the golden ratio).
const MULTIPLIERS: [u32; PROBES_MAX as usize] = {
    let mut powers = [0x9e37_79b9_u32; PROBES_MAX as usize];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1].wrapping_mul(powers[0]);
        at += 1;
    }
    powers
};

/// The hash that stands for a key in a filter. Computed once for all the tables that are asked.
pub fn hash(user_key: &[u8]) -> u64 {
    xxh3_64(user_key)
}

/// Builds a filter of keys, which it is told by their [`hash`]es.
#[derive(Debug, Default)]
pub struct BloomBuilder {
    hashes: Vec<u64>,
}

impl BloomBuilder {
    /// No keys yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more key. The same one again in a row is one key.
    pub fn add(&mut self, hash: u64) {
        if self.hashes.last() != Some(&hash) {
            self.hashes.push(hash);
        }
    }

    /// How many keys there are.
    pub fn keys(&self) -> usize {
        self.hashes.len()
    }

    /// The filter with `bits_per_key` bits for each key, rounded up to whole lines. No bits make no filter.
    pub fn finish(&self, bits_per_key: f64) -> Vec<u8> {
        todo!("bloom: choose how many lines and probes there are, and set the bits of every key; you have self, bits_per_key")
    }
}

/// Whether a key of that hash may be among those that `filter` was built of. Bytes that are no filter say yes.
pub fn may_contain(filter: &[u8], hash: u64) -> bool {
    todo!("bloom: no if any of the key's bits is not set; yes if this is no filter; you have filter, hash")
}

/// How many bits a key sets: as many as let the fewest others pass, at least 1 and at most [`PROBES_MAX`].
pub fn probes(bits_per_key: f64) -> u32 {
    todo!("bloom: the whole number that is nearest to b ln 2, within the bounds; you have bits_per_key")
}

/// The line of a key: its hash, scaled from 2^64 to the number of lines, so that the high bits decide.
fn line(hash: u64, lines: usize) -> usize {
    ((u128::from(hash) * lines as u128) >> 64) as usize
}

/// A key's bit for a probe below [`PROBES_MAX`]: the top nine bits of a product with the low half of its hash.
fn bit_in_line(hash: u64, probe: u32) -> usize {
    ((hash as u32).wrapping_mul(MULTIPLIERS[probe as usize]) >> 23) as usize
}
