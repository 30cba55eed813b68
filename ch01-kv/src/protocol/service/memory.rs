//! Room for what a command adds: keys are evicted for it, or it is refused.

use common::resp::server::Now;
use common::resp::table::Flags;

use super::Kv;
use crate::engine::eviction::{self, Decision, LruClock, Policy};
use crate::engine::keyspace::Db;
use crate::engine::types::UnixMillis;
use crate::protocol::context::Command;
use crate::protocol::error::CommandError;

/// How many keys at most are evicted for one command: it is refused when that did not make room. A limit that was lowered
/// by much is reached over many commands, none of which stops the server for long.
const MAX_EVICTIONS: usize = 256;

impl Kv {
    /// What data takes, in bytes, about: what `maxmemory` is compared with.
    pub fn used_bytes(&self) -> u64 {
        self.dbs.iter().map(|db| db.used_bytes() as u64).sum()
    }

    /// Evicts keys until there is room for a command that takes memory; refuses it when there is none to be had.
    pub(super) fn make_room(&mut self, now: Now, command: &Command) -> Result<(), CommandError> {
        if self.config.maxmemory == 0 {
            return Ok(());
        }
        for _ in 0..MAX_EVICTIONS {
            match eviction::decide(self.config.maxmemory_policy, self.used_bytes(), self.config.maxmemory) {
                Decision::Fine => return Ok(()),
                Decision::Refuse => break,
                Decision::Evict => {
                    if !self.evict_one(now) {
                        break;
                    }
                }
            }
        }
        if command.flags.has(Flags::DENYOOM)
            && eviction::decide(self.config.maxmemory_policy, self.used_bytes(), self.config.maxmemory)
                != Decision::Fine
        {
            return Err(CommandError::text("OOM command not allowed when used memory > 'maxmemory'."));
        }
        Ok(())
    }

    /// Evicts a key; false when there is none.
    fn evict_one(&mut self, now: Now) -> bool {
        let clock = LruClock::at(UnixMillis(now.unix_ms));
        // The database is drawn by its share of the keys.
        let all: usize = self.dbs.iter().map(Db::len).sum();
        if all == 0 {
            return false;
        }
        let mut nth = self.random.below(all);
        let start = self.dbs.iter().position(|db| {
            let here = nth < db.len();
            nth = nth.saturating_sub(db.len());
            here
        });
        let start = start.unwrap_or(0);
        let count = self.dbs.len();
        for index in (0..count).map(|step| (start + step) % count) {
            let db = &mut self.dbs[index];
            db.set_clock(clock);
            let evicted = match self.config.maxmemory_policy {
                Policy::NoEviction => None,
                Policy::VolatileTtl => db.evict_soonest(),
                Policy::AllKeysLru => {
                    let random = &mut self.random;
                    let sampled = &*db;
                    eviction::choose(
                        &mut self.pools[index],
                        &mut || sampled.random_candidate(|limit| random.below(limit)),
                        &|key| sampled.idle_of(key),
                    )
                    .and_then(|key| db.evict(key))
                }
            };
            if let Some(key) = evicted {
                self.stats.evicted_keys += 1;
                self.record_removal(index, &key);
                return true;
            }
        }
        false
    }
}
