//! What the simulated clients ask for: few keys of every kind in several databases, so that everything meets everything.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

pub(crate) type Args = Vec<Vec<u8>>;

fn args(words: &[&str]) -> Args {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// A value: mostly a word, now and then some sectors long, rarely longer than what the log copies.
fn value(rng: &mut Xoshiro256PlusPlus) -> String {
    let len = match rng.random_range(0..200) {
        0 => 300 << 10,
        1..20 => rng.random_range(500..3000),
        _ => rng.random_range(1..24),
    };
    let letter = char::from(b'a' + rng.random_range(0..26));
    letter.to_string().repeat(len)
}

fn key(rng: &mut Xoshiro256PlusPlus, kind: &str) -> String {
    // One time in ten the key is of another kind, and the answer WRONGTYPE.
    let kinds = ["s", "l", "h", "t", "z"];
    let kind = if rng.random_ratio(1, 10) { kinds.choose(rng).expect("there are kinds") } else { kind };
    format!("{kind}{}", rng.random_range(0..3))
}

/// A request of one command on data.
pub(crate) fn request(rng: &mut Xoshiro256PlusPlus, may_block: bool) -> Args {
    let number = rng.random_range(-3..9).to_string();
    let member = format!("m{}", rng.random_range(0..6));
    let value = value(rng);
    let millis = rng.random_range(1..4000).to_string();
    let (s, s2) = (key(rng, "s"), key(rng, "s"));
    let (l, l2) = (key(rng, "l"), key(rng, "l"));
    let (h, t, t2) = (key(rng, "h"), key(rng, "t"), key(rng, "t"));
    let (z, z2) = (key(rng, "z"), key(rng, "z"));
    let any = key(rng, "s");
    let score = format!("{}", f64::from(rng.random_range(-40..40)) / 8.0);
    let choices: Vec<Vec<&str>> = vec![
        vec!["SET", &s, &value],
        vec!["SET", &s, &value],
        vec!["SET", &s, &number, "PX", &millis],
        vec!["SET", &s, &value, "KEEPTTL", "GET"],
        vec!["SET", &s, &value, "NX"],
        vec!["SETEX", &s, "2", &value],
        vec!["GETEX", &s, "PX", &millis],
        vec!["GETEX", &s, "PERSIST"],
        vec!["GETDEL", &s],
        vec!["GETSET", &s, &value],
        vec!["INCR", &s],
        vec!["INCRBYFLOAT", &s, &score],
        vec!["APPEND", &s, &value],
        vec!["SETRANGE", &s, "3", &member],
        vec!["MSET", &s, &value, &s2, &number],
        vec!["MSETNX", &s, &value, &s2, &number],
        vec!["GET", &s],
        vec!["GET", &s],
        vec!["MGET", &s, &s2],
        vec!["STRLEN", &s],
        vec!["DEL", &any],
        vec!["UNLINK", &l, &any],
        vec!["PEXPIRE", &any, &millis],
        vec!["EXPIRE", &l, &number],
        vec!["PEXPIRE", &z, &millis],
        vec!["PEXPIRE", &h, &millis, "NX"],
        vec!["PERSIST", &any],
        vec!["PTTL", &any],
        vec!["RENAME", &any, &s2],
        vec!["RENAMENX", &l, &l2],
        vec!["COPY", &any, &s2, "REPLACE"],
        vec!["COPY", &h, "h2", "DB", "1"],
        vec!["MOVE", &any, "1"],
        vec!["RPUSH", &l, &value, &member],
        vec!["LPUSH", &l, &member],
        vec!["LPUSHX", &l, &member],
        vec!["LPOP", &l],
        vec!["RPOP", &l, "2"],
        vec!["LMOVE", &l, &l2, "LEFT", "RIGHT"],
        vec!["LTRIM", &l, "0", "5"],
        vec!["LREM", &l, "0", &member],
        vec!["LINSERT", &l, "BEFORE", &member, &number],
        vec!["LSET", &l, "0", &value],
        vec!["LRANGE", &l, "0", "-1"],
        vec!["HSET", &h, &member, &value, &number, &member],
        vec!["HDEL", &h, &member],
        vec!["HINCRBY", &h, "n", &number],
        vec!["HINCRBYFLOAT", &h, "f", &score],
        vec!["HSETNX", &h, &member, &value],
        vec!["HGETALL", &h],
        vec!["SADD", &t, &member, &number],
        vec!["SREM", &t, &member],
        vec!["SPOP", &t],
        vec!["SPOP", &t, "2"],
        vec!["SMOVE", &t, &t2, &member],
        vec!["SUNIONSTORE", &t, &t, &t2],
        vec!["SDIFFSTORE", &t, &t, &t2],
        vec!["SMEMBERS", &t],
        vec!["ZADD", &z, &score, &member],
        vec!["ZADD", &z, "GT", &score, &member],
        vec!["ZINCRBY", &z, &score, &member],
        vec!["ZREM", &z, &member],
        vec!["ZPOPMIN", &z],
        vec!["ZPOPMAX", &z, "2"],
        vec!["ZREMRANGEBYSCORE", &z, "-1", "1"],
        vec!["ZRANGESTORE", &z, &z2, "0", "2"],
        vec!["ZUNIONSTORE", &z, "2", &z, &z2],
        vec!["ZRANGE", &z, "0", "-1", "WITHSCORES"],
        vec!["PUBLISH", "news", &value],
        vec!["DBSIZE"],
        vec!["KEYS", "*"],
        vec!["RANDOMKEY"],
        vec!["SCAN", "0"],
        vec!["PING"],
    ];
    let blocking: Vec<Vec<&str>> = vec![
        vec!["BLPOP", &l, &l2, "0.5"],
        vec!["BRPOP", &l, "0"],
        vec!["BLMOVE", &l, &l2, "RIGHT", "LEFT", "1"],
        vec!["BZPOPMIN", &z, "0.3"],
        vec!["BLMPOP", "1", "2", &l, &l2, "LEFT", "COUNT", "2"],
    ];
    let rare: Vec<Vec<&str>> =
        vec![vec!["FLUSHDB"], vec!["FLUSHALL"], vec!["SWAPDB", "0", "1"], vec!["SWAPDB", "1", "2"], vec!["RESET"]];
    let pool = match rng.random_range(0..100) {
        0..2 => &rare,
        2..10 if may_block => &blocking,
        _ => &choices,
    };
    args(pool.choose(rng).expect("there are requests"))
}

/// What one connection sends at once: a few requests, a whole transaction, another database, a rewrite.
pub(crate) fn batch(rng: &mut Xoshiro256PlusPlus) -> Vec<Args> {
    match rng.random_range(0..40) {
        0..6 => {
            let mut requests = Vec::new();
            if rng.random_ratio(1, 3) {
                requests.push(args(&["WATCH", "s0", "l0"]));
            }
            requests.push(args(&["MULTI"]));
            let count = rng.random_range(0..5);
            requests.extend((0..count).map(|_| request(rng, true)));
            if rng.random_ratio(1, 4) {
                requests.push(args(&["SELECT", &rng.random_range(0..3).to_string()]));
                requests.push(request(rng, false));
            }
            requests.push(args(&[if rng.random_ratio(1, 8) { "DISCARD" } else { "EXEC" }]));
            requests
        }
        6..9 => vec![args(&["SELECT", &rng.random_range(0..3).to_string()])],
        9..11 => vec![args(&["BGREWRITEAOF"])],
        _ => {
            let count = rng.random_range(1..4);
            (0..count).map(|_| request(rng, true)).collect()
        }
    }
}
