//! Many clients that wait for one key, and one that waits for many: in the order in which they came, and at a cost that does
//! not grow with those who are not served.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use ch01_kv::protocol::commands::{FAMILIES, blocking};
use ch01_kv::protocol::config::Config;
use ch01_kv::protocol::context::{Command, Context, Handler};
use ch01_kv::protocol::error::CommandError;
use ch01_kv::protocol::service::Kv;
use ch01_kv::protocol::waiting::{ByKey, DbKey};
use common::net::Peer;
use common::resp::server::{ConnId, Effect, Flow, Now, Service};
use common::resp::table::Table;
use common::resp::{OwnedRequest, Protocol, Replies, Request};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

const WAITERS: usize = 5_000;

thread_local! {
    /// How often a `BLPOP` was run, for whatever reason.
    static RUNS: Cell<usize> = const { Cell::new(0) };
}

fn counted_blpop(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    RUNS.set(RUNS.get() + 1);
    let Some(Handler::Data(blpop)) = blocking::COMMANDS.iter().find(|row| row.name == "blpop").map(|row| row.handler)
    else {
        panic!("BLPOP is a command on data");
    };
    blpop(cx, request)
}

/// A server without sockets, whose `BLPOP`s are counted.
struct Stage {
    kv: Kv,
    now: Now,
}

impl Stage {
    /// With `connections` beside the one that everything else is sent by, which is the first.
    fn new(connections: usize) -> Self {
        let mut config = Config::new(([127, 0, 0, 1], 6379).into(), "nowhere".into());
        config.appendonly = false;
        let now = Now { unix_ms: 1_700_000_000_000, uptime: Duration::from_secs(1) };
        let mut kv = Kv::new(config, 1);
        let counted = |row: &Command| match row.name {
            "blpop" => Command { handler: Handler::Data(counted_blpop), ..*row },
            _ => Command { ..*row },
        };
        let rows: Vec<Command> = FAMILIES.iter().copied().flatten().map(counted).collect();
        kv.table = Table::new(vec![&*rows.leak()].leak());
        let peer = Peer { remote: ([127, 0, 0, 1], 50_000).into(), local: ([127, 0, 0, 1], 6379).into() };
        (0..=connections).for_each(|slot| kv.connected(now, conn(slot), peer));
        RUNS.set(0);
        Self { kv, now }
    }

    fn call<A: AsRef<[u8]>>(&mut self, slot: usize, args: &[A]) -> Flow {
        let request = OwnedRequest::new(args);
        let mut replies = Replies::new(Protocol::Resp2);
        self.kv.batch_began();
        let flow = self.kv.call(self.now, conn(slot), &request.as_request(), &mut replies);
        assert!(!replies.take().starts_with(b"-"), "{:?} is no error", String::from_utf8_lossy(args[0].as_ref()));
        flow
    }

    /// Has every connection but the first wait, the last one first.
    fn wait(&mut self, connections: usize) {
        for slot in (1..=connections).rev() {
            assert_eq!(self.call(slot, &["BLPOP", "key", "0"]), Flow::Block);
        }
        RUNS.set(0);
    }

    /// The slots of those who were sent something, in order.
    fn served(&mut self) -> Vec<usize> {
        let effects = std::mem::take(self.kv.effects());
        effects
            .into_iter()
            .filter_map(|effect| if let Effect::Send(conn, _) = effect { Some(conn.slot) } else { None })
            .collect()
    }
}

fn conn(slot: usize) -> ConnId {
    ConnId { slot, serial: slot as u64 + 1 }
}

#[test]
fn a_push_runs_the_request_of_the_one_that_it_serves() {
    let mut stage = Stage::new(WAITERS);
    stage.wait(WAITERS);
    for slot in (1..=WAITERS).rev() {
        stage.call(0, &["RPUSH", "key", "element"]);
        assert_eq!(stage.served(), [slot], "first come, first served");
    }
    assert_eq!(RUNS.get(), WAITERS, "nobody's request is run in vain");
    assert_eq!(stage.kv.stats.blocked_clients, 0);
}

#[test]
fn a_push_of_many_elements_serves_as_many() {
    let mut stage = Stage::new(WAITERS);
    stage.wait(WAITERS);
    let push: Vec<&str> = ["RPUSH", "key"].into_iter().chain(std::iter::repeat_n("element", WAITERS / 2)).collect();
    stage.call(0, &push);
    assert_eq!(RUNS.get(), WAITERS / 2);
    assert!(stage.served().into_iter().eq((1..=WAITERS).rev().take(WAITERS / 2)), "first come, first served");
    stage.call(0, &push);
    assert_eq!(RUNS.get(), WAITERS);
    assert!(stage.served().into_iter().eq((1..=WAITERS / 2).rev()));
}

#[test]
fn what_is_not_waited_for_runs_nobodys_request() {
    let mut stage = Stage::new(WAITERS);
    stage.wait(WAITERS);
    for (command, rest) in
        [("SET", &["key", "text"][..]), ("SADD", &["key", "member"]), ("ZADD", &["key", "1", "member"])]
    {
        stage.call(0, &[&[command][..], rest].concat());
        stage.call(0, &["DEL", "key"]);
    }
    assert_eq!((RUNS.get(), stage.served()), (0, vec![]));
    assert_eq!(stage.kv.stats.blocked_clients, WAITERS);
    stage.call(0, &["RPUSH", "key", "element"]);
    assert_eq!((RUNS.get(), stage.served()), (1, vec![WAITERS]));
}

#[test]
fn whoever_leaves_leaves_every_queue() {
    let mut stage = Stage::new(3);
    let many: Vec<String> = (0..1000).map(|n| format!("key{n}")).collect();
    let mut request = vec!["BLPOP"];
    request.extend(many.iter().map(String::as_str));
    request.push("0");
    (1..=3).for_each(|slot| assert_eq!(stage.call(slot, &request), Flow::Block));
    RUNS.set(0);
    stage.call(0, &["RPUSH", "key500", "element"]);
    stage.kv.disconnected(stage.now, conn(2));
    stage.call(0, &["RPUSH", "key7", "element"]);
    assert_eq!(stage.served(), [1, 3]);
    many.iter().for_each(|key| _ = stage.call(0, &["RPUSH", key, "element"]));
    assert_eq!((stage.served(), RUNS.get()), (vec![], 2));
}

#[test]
fn a_queue_is_in_order_of_arrival_whoever_leaves_it() {
    for seed in 0..8 {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut below = |limit: u64| random.next_u64() % limit;
        let mut queues = ByKey::default();
        // A connection has one place for all the queues that it is in: the one at which it entered the first of them.
        let mut model: BTreeMap<DbKey, Vec<(u64, ConnId)>> = BTreeMap::new();
        let mut places: BTreeMap<ConnId, (u64, usize)> = BTreeMap::new();
        for step in 0..5000_u64 {
            let key = (below(2) as usize, Box::from(&[below(3) as u8][..]));
            let conn = conn(below(40) as usize);
            let queue = model.entry(key.clone()).or_default();
            let known = queue.iter().position(|(_, other)| *other == conn);
            if below(2) == 0 {
                assert_eq!(queues.add(key.clone(), conn), known.is_none(), "seed {seed}, step {step}");
                if known.is_none() {
                    let (place, keys) = places.entry(conn).or_insert((step, 0));
                    *keys += 1;
                    queue.push((*place, conn));
                    queue.sort_unstable();
                }
            } else {
                assert_eq!(queues.remove(&key, conn), known.is_some(), "seed {seed}, step {step}");
                if let Some(at) = known {
                    queue.remove(at);
                    let (_, keys) = places.get_mut(&conn).expect("it is in a queue");
                    *keys -= 1;
                    if *keys == 0 {
                        places.remove(&conn);
                    }
                }
            }
            assert!(queues.of(&key).eq(queue.iter().map(|(_, conn)| *conn)), "seed {seed}, step {step}");
            let mut last = None;
            let one_by_one = std::iter::from_fn(|| {
                let (ticket, conn) = queues.next(&key, last)?;
                last = Some(ticket);
                Some(conn)
            });
            assert!(one_by_one.eq(queue.iter().map(|(_, conn)| *conn)), "seed {seed}, step {step}");
        }
    }
}
