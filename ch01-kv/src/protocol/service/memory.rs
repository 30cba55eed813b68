//! Room for what a command adds: keys are evicted for it, or it is refused.

use common::resp::server::Now;
use common::resp::table::Flags;

use super::Kv;
use crate::engine::eviction::{self, Decision, LruClock, Policy};
use crate::engine::keyspace::Db;
use crate::engine::types::UnixMillis;
use crate::protocol::error::CommandError;

/// How many keys at most are evicted at a time. After a limit was lowered by much, or a large value set, room is made over many
/// commands and ticks, none of which stops the server for long; commands are admitted meanwhile, as by Redis.
const MAX_EVICTIONS: usize = 256;

impl Kv {
    /// What data takes, in bytes, about: what `maxmemory` is compared with.
    pub fn used_bytes(&self) -> u64 {
        self.dbs.iter().map(|db| db.used_bytes() as u64).sum()
    }

    /// Evicts keys until there is room, or it is time to do something else; refuses a command that takes memory when there
    /// is no key to be had.
    pub(super) fn make_room(&mut self, now: Now, flags: Flags) -> Result<(), CommandError> {
        for _ in 0..MAX_EVICTIONS {
            let decision = eviction::decide(self.config.maxmemory_policy, self.used_bytes(), self.config.maxmemory);
            let is_full = match decision {
                Decision::Fine => return Ok(()),
                Decision::Refuse => true,
                Decision::Evict => !self.evict_one(now),
            };
            if is_full && flags.has(Flags::DENYOOM) {
                return Err(CommandError::text("OOM command not allowed when used memory > 'maxmemory'."));
            }
            if is_full {
                break;
            }
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
                self.record_eviction(index, &key);
                return true;
            }
        }
        false
    }
}
