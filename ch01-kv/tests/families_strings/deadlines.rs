//! Deadlines.

use ch01_kv::engine::types::UnixMillis;
use common::resp::Protocol;

use super::{NOW, Server, check};

#[test]
fn commands_on_deadlines_answer_as_redis_does() {
    check(Protocol::Resp2, EXPIRIES);
}

#[test]
fn time_to_live_is_rounded_to_the_nearest_second_and_ends_at_its_deadline() {
    let mut server = Server::new(Protocol::Resp2);
    server.run("SET k v PX 1500");
    for (later, line, expected) in [
        (0, "TTL k", ":2\r\n"),
        (1, "TTL k", ":1\r\n"),
        (1001, "TTL k", ":0\r\n"),
        (1001, "PTTL k", ":499\r\n"),
        (1500, "PTTL k", ":0\r\n"),
        (1501, "PTTL k", ":-2\r\n"),
    ] {
        server.now = UnixMillis(NOW.0 + later);
        assert_eq!(String::from_utf8_lossy(&server.run(line).reply), expected, "{later} ms later");
    }
}

const EXPIRIES: &[(&str, &str)] = &[
    ("EXPIRE k 100", ":0\r\n"),
    ("TTL k", ":-2\r\n"),
    ("PTTL k", ":-2\r\n"),
    ("EXPIRETIME k", ":-2\r\n"),
    ("PEXPIRETIME k", ":-2\r\n"),
    ("PERSIST k", ":0\r\n"),
    ("SET k v", "+OK\r\n"),
    ("TTL k", ":-1\r\n"),
    ("PTTL k", ":-1\r\n"),
    ("EXPIRETIME k", ":-1\r\n"),
    ("PEXPIRETIME k", ":-1\r\n"),
    ("PERSIST k", ":0\r\n"),
    ("EXPIRE k 100", ":1\r\n"),
    ("TTL k", ":100\r\n"),
    ("PEXPIRE k 200000", ":1\r\n"),
    ("TTL k", ":200\r\n"),
    ("EXPIREAT k 4102444800", ":1\r\n"),
    ("EXPIRETIME k", ":4102444800\r\n"),
    ("PEXPIRETIME k", ":4102444800000\r\n"),
    ("PEXPIREAT k 4102444800499", ":1\r\n"),
    ("EXPIRETIME k", ":4102444800\r\n"),
    ("PEXPIREAT k 4102444800500", ":1\r\n"),
    ("EXPIRETIME k", ":4102444801\r\n"),
    ("PEXPIRETIME k", ":4102444800500\r\n"),
    ("PERSIST k", ":1\r\n"),
    ("TTL k", ":-1\r\n"),
    ("EXPIRE k 100 XX", ":0\r\n"),
    ("EXPIRE k 100 GT", ":0\r\n"),
    ("EXPIRE k 100 LT", ":1\r\n"),
    ("TTL k", ":100\r\n"),
    ("EXPIRE k 50 NX", ":0\r\n"),
    ("EXPIRE k 200 XX", ":1\r\n"),
    ("TTL k", ":200\r\n"),
    ("EXPIRE k 100 GT", ":0\r\n"),
    ("EXPIRE k 300 gt", ":1\r\n"),
    ("TTL k", ":300\r\n"),
    ("EXPIRE k 400 LT", ":0\r\n"),
    ("EXPIRE k 50 lt", ":1\r\n"),
    ("TTL k", ":50\r\n"),
    ("EXPIRE k 500 XX GT", ":1\r\n"),
    ("TTL k", ":500\r\n"),
    ("PERSIST k", ":1\r\n"),
    ("EXPIRE k 100 XX LT", ":0\r\n"),
    ("EXPIRE k 100 NX NX", ":1\r\n"),
    ("EXPIRE k 100 NX XX", "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"),
    ("EXPIRE k 100 NX GT", "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"),
    ("EXPIRE k 100 LT NX", "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"),
    ("EXPIRE k 100 GT LT", "-ERR GT and LT options at the same time are not compatible\r\n"),
    ("EXPIRE k 100 XX GT LT", "-ERR GT and LT options at the same time are not compatible\r\n"),
    ("EXPIRE k 100 NX XX AB", "-ERR Unsupported option AB\r\n"),
    ("EXPIRE k 100 AB", "-ERR Unsupported option AB\r\n"),
    ("EXPIRE k x AB", "-ERR Unsupported option AB\r\n"),
    ("EXPIRE k x", "-ERR value is not an integer or out of range\r\n"),
    ("EXPIRE k 1.5", "-ERR value is not an integer or out of range\r\n"),
    ("EXPIRE missing x", "-ERR value is not an integer or out of range\r\n"),
    ("EXPIRE k 9223372036854775807", "-ERR invalid expire time in 'expire' command\r\n"),
    ("EXPIRE k -9223372036854775808", "-ERR invalid expire time in 'expire' command\r\n"),
    ("EXPIRE k 9223372036854775", "-ERR invalid expire time in 'expire' command\r\n"),
    ("PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command\r\n"),
    ("EXPIREAT k 9223372036854775807", "-ERR invalid expire time in 'expireat' command\r\n"),
    ("PEXPIREAT k 9223372036854775808", "-ERR value is not an integer or out of range\r\n"),
    ("EXPIRE missing 9223372036854775807", "-ERR invalid expire time in 'expire' command\r\n"),
    ("PEXPIREAT k 9223372036854775807", ":1\r\n"),
    ("PEXPIRETIME k", ":9223372036854775807\r\n"),
    ("EXPIRE list 100", ":1\r\n"),
    ("TTL list", ":100\r\n"),
    ("PERSIST list", ":1\r\n"),
    ("EXPIRE k 0", ":1\r\n"),
    ("GET k", "$-1\r\n"),
    ("SET k v", "+OK\r\n"),
    ("EXPIRE k -1", ":1\r\n"),
    ("GET k", "$-1\r\n"),
    ("SET k v", "+OK\r\n"),
    ("PEXPIRE k -9223372036854775808", ":1\r\n"),
    ("GET k", "$-1\r\n"),
    ("SET k v", "+OK\r\n"),
    ("EXPIREAT k 1", ":1\r\n"),
    ("GET k", "$-1\r\n"),
    ("SET k v EX 100", "+OK\r\n"),
    ("PEXPIREAT k 1 GT", ":0\r\n"),
    ("PEXPIREAT k 1 NX", ":0\r\n"),
    ("TTL k", ":100\r\n"),
    ("PEXPIREAT k 1 LT", ":1\r\n"),
    ("TTL k", ":-2\r\n"),
    ("EXPIRE k", "-ERR wrong number of arguments for 'expire' command\r\n"),
    ("TTL", "-ERR wrong number of arguments for 'ttl' command\r\n"),
    ("PERSIST k k", "-ERR wrong number of arguments for 'persist' command\r\n"),
];
