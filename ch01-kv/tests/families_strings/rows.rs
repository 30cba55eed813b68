//! The rows of the command table.

use common::resp::table::Table;

use super::FAMILIES;

#[test]
fn the_rows_are_those_that_redis_shows() {
    let table = Table::new(FAMILIES);
    assert_eq!(table.len(), ROWS.len());
    for &(name, arity, flags, keys) in ROWS {
        let row = table.find(name.as_bytes()).expect(name);
        let names: Vec<_> = row.flags.names().collect();
        assert_eq!((row.arity, names.join(" ").as_str(), row.keys.shown()), (arity, flags, keys), "{name}");
    }
}

/// Name, arity, flags, and first key, last key and step.
type Row = (&'static str, i32, &'static str, (i64, i64, i64));

/// What `COMMAND INFO` shows.
const ROWS: &[Row] = &[
    ("get", 2, "readonly fast", (1, 1, 1)),
    ("set", -3, "write denyoom", (1, 1, 1)),
    ("setnx", 3, "write denyoom fast", (1, 1, 1)),
    ("setex", 4, "write denyoom", (1, 1, 1)),
    ("psetex", 4, "write denyoom", (1, 1, 1)),
    ("getset", 3, "write denyoom fast", (1, 1, 1)),
    ("getdel", 2, "write fast", (1, 1, 1)),
    ("getex", -2, "write fast", (1, 1, 1)),
    ("mget", -2, "readonly fast", (1, -1, 1)),
    ("mset", -3, "write denyoom", (1, -1, 2)),
    ("msetnx", -3, "write denyoom", (1, -1, 2)),
    ("append", 3, "write denyoom fast", (1, 1, 1)),
    ("strlen", 2, "readonly fast", (1, 1, 1)),
    ("setrange", 4, "write denyoom", (1, 1, 1)),
    ("getrange", 4, "readonly", (1, 1, 1)),
    ("substr", 4, "readonly", (1, 1, 1)),
    ("incr", 2, "write denyoom fast", (1, 1, 1)),
    ("decr", 2, "write denyoom fast", (1, 1, 1)),
    ("incrby", 3, "write denyoom fast", (1, 1, 1)),
    ("decrby", 3, "write denyoom fast", (1, 1, 1)),
    ("incrbyfloat", 3, "write denyoom fast", (1, 1, 1)),
    ("expire", -3, "write fast", (1, 1, 1)),
    ("pexpire", -3, "write fast", (1, 1, 1)),
    ("expireat", -3, "write fast", (1, 1, 1)),
    ("pexpireat", -3, "write fast", (1, 1, 1)),
    ("ttl", 2, "readonly fast", (1, 1, 1)),
    ("pttl", 2, "readonly fast", (1, 1, 1)),
    ("expiretime", 2, "readonly fast", (1, 1, 1)),
    ("pexpiretime", 2, "readonly fast", (1, 1, 1)),
    ("persist", 2, "write fast", (1, 1, 1)),
];
