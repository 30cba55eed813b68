//! Strings, whole and in parts.

use ch01_kv::protocol::commands::strings;
use common::resp::Protocol;

use super::{Server, check};

#[test]
fn set_answers_as_redis_does() {
    check(Protocol::Resp2, SET);
}

#[test]
fn the_older_spellings_of_set_answer_as_redis_does() {
    check(Protocol::Resp2, OLDER_SETS);
}

#[test]
fn getdel_and_getex_answer_as_redis_does() {
    check(Protocol::Resp2, GETDEL_AND_GETEX);
}

#[test]
fn commands_on_many_keys_answer_as_redis_does() {
    check(Protocol::Resp2, MANY);
}

#[test]
fn commands_on_parts_of_strings_answer_as_redis_does() {
    check(Protocol::Resp2, PARTS);
}

#[test]
fn nulls_are_those_of_resp3_where_the_client_speaks_it() {
    check(Protocol::Resp3, IN_RESP3);
}

#[test]
#[ignore = "takes more than half a gigabyte of memory"]
fn a_string_can_be_as_long_as_allowed_and_no_longer() {
    let mut server = Server::new(Protocol::Resp2);
    let last = strings::MAX_STRING_BYTES - 1;
    assert_eq!(server.run(&format!("SETRANGE k {last} x")).reply, b":536870912\r\n");
    let too_long = b"-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n";
    assert_eq!(server.run("APPEND k x").reply, too_long);
    assert_eq!(server.run("APPEND k \"\"").reply, b":536870912\r\n");
    assert_eq!(server.run("STRLEN k").reply, b":536870912\r\n");
}

const SET: &[(&str, &str)] = &[
    ("GET k", "$-1\r\n"),
    ("SET k v", "+OK\r\n"),
    ("GET k", "$1\r\nv\r\n"),
    ("set k w", "+OK\r\n"),
    ("GET k", "$1\r\nw\r\n"),
    ("SET k 1 NX", "$-1\r\n"),
    ("SET other 1 NX", "+OK\r\n"),
    ("GET k", "$1\r\nw\r\n"),
    ("SET k 2 XX", "+OK\r\n"),
    ("GET k", "$1\r\n2\r\n"),
    ("SET missing 2 XX", "$-1\r\n"),
    ("GET missing", "$-1\r\n"),
    ("SET k 3 NX XX", "-ERR syntax error\r\n"),
    ("SET k 3 XX NX", "-ERR syntax error\r\n"),
    ("SET k 3 NX NX", "$-1\r\n"),
    ("SET k 3 nx get", "$1\r\n2\r\n"),
    ("SET k 4 GET", "$1\r\n2\r\n"),
    ("GET k", "$1\r\n4\r\n"),
    ("SET fresh 1 GET", "$-1\r\n"),
    ("SET fresh 2 XX GET", "$1\r\n1\r\n"),
    ("SET absent 2 XX GET", "$-1\r\n"),
    ("GET absent", "$-1\r\n"),
    ("SET k 5 EX 100", "+OK\r\n"),
    ("TTL k", ":100\r\n"),
    ("SET k 6 KEEPTTL", "+OK\r\n"),
    ("TTL k", ":100\r\n"),
    ("SET k 7", "+OK\r\n"),
    ("TTL k", ":-1\r\n"),
    ("SET k 8 PX 100000", "+OK\r\n"),
    ("TTL k", ":100\r\n"),
    ("SET k 9 EXAT 4102444800", "+OK\r\n"),
    ("EXPIRETIME k", ":4102444800\r\n"),
    ("SET k 9 PXAT 4102444800123", "+OK\r\n"),
    ("PEXPIRETIME k", ":4102444800123\r\n"),
    ("SET k 9 EX 10 EX 200", "+OK\r\n"),
    ("TTL k", ":200\r\n"),
    ("SET k 9 EX 10 PX 10", "-ERR syntax error\r\n"),
    ("SET k 9 EX 10 KEEPTTL", "-ERR syntax error\r\n"),
    ("SET k 9 KEEPTTL EX 10", "-ERR syntax error\r\n"),
    ("SET k 9 KEEPTTL keepttl", "+OK\r\n"),
    ("SET k 9 PERSIST", "-ERR syntax error\r\n"),
    ("SET k 9 EX", "-ERR syntax error\r\n"),
    ("SET k 9 EX 0", "-ERR invalid expire time in 'set' command\r\n"),
    ("SET k 9 EX -1", "-ERR invalid expire time in 'set' command\r\n"),
    ("SET k 9 PX 0", "-ERR invalid expire time in 'set' command\r\n"),
    ("SET k 9 EXAT 0", "-ERR invalid expire time in 'set' command\r\n"),
    ("SET k 9 PXAT -5", "-ERR invalid expire time in 'set' command\r\n"),
    ("SET k 9 EX ten", "-ERR value is not an integer or out of range\r\n"),
    ("SET k 9 EX 1.5", "-ERR value is not an integer or out of range\r\n"),
    ("SET k 9 EX 9223372036854775807", "-ERR invalid expire time in 'set' command\r\n"),
    ("SET k 9 EX 9223372036854775", "-ERR invalid expire time in 'set' command\r\n"),
    ("SET k 9 PX 9223372036854775807", "-ERR invalid expire time in 'set' command\r\n"),
    ("SET k 9 PXAT 9223372036854775808", "-ERR value is not an integer or out of range\r\n"),
    ("SET k 9 what", "-ERR syntax error\r\n"),
    ("SET k 9 EX 10 NX GET XX", "-ERR syntax error\r\n"),
    ("GET k", "$1\r\n9\r\n"),
    ("SET list 9 GET", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("SET list x NX", "$-1\r\n"),
    ("SET list x NX GET", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("SET list x XX", "+OK\r\n"),
    ("GET list", "$1\r\nx\r\n"),
    ("SET past v PXAT 1", "+OK\r\n"),
    ("GET past", "$-1\r\n"),
    ("SET past v EXAT 1", "+OK\r\n"),
    ("SET k", "-ERR wrong number of arguments for 'set' command\r\n"),
    ("SET \"\" empty", "+OK\r\n"),
    ("GET \"\"", "$5\r\nempty\r\n"),
    ("SET k \"two words\"", "+OK\r\n"),
    ("GET k", "$9\r\ntwo words\r\n"),
    ("SET k \"\"", "+OK\r\n"),
    ("GET k", "$0\r\n\r\n"),
];

const OLDER_SETS: &[(&str, &str)] = &[
    ("SETNX k v", ":1\r\n"),
    ("SETNX k w", ":0\r\n"),
    ("SETNX list w", ":0\r\n"),
    ("GET k", "$1\r\nv\r\n"),
    ("SETEX k 100 v", "+OK\r\n"),
    ("TTL k", ":100\r\n"),
    ("SETEX k 0 v", "-ERR invalid expire time in 'setex' command\r\n"),
    ("SETEX k -1 v", "-ERR invalid expire time in 'setex' command\r\n"),
    ("SETEX k x v", "-ERR value is not an integer or out of range\r\n"),
    ("SETEX k 9223372036854775807 v", "-ERR invalid expire time in 'setex' command\r\n"),
    ("PSETEX k 100000 w", "+OK\r\n"),
    ("TTL k", ":100\r\n"),
    ("PSETEX k 0 v", "-ERR invalid expire time in 'psetex' command\r\n"),
    ("PSETEX k 9223372036854775807 v", "-ERR invalid expire time in 'psetex' command\r\n"),
    ("GET k", "$1\r\nw\r\n"),
    ("SETEX list 100 v", "+OK\r\n"),
    ("GET list", "$1\r\nv\r\n"),
    ("SETEX k 1", "-ERR wrong number of arguments for 'setex' command\r\n"),
    ("GETSET k a", "$1\r\nw\r\n"),
    ("TTL k", ":-1\r\n"),
    ("GETSET k b", "$1\r\na\r\n"),
    ("GETSET fresh a", "$-1\r\n"),
    ("SET list2 x", "+OK\r\n"),
    ("GETSET k", "-ERR wrong number of arguments for 'getset' command\r\n"),
];

const GETDEL_AND_GETEX: &[(&str, &str)] = &[
    ("GETDEL k", "$-1\r\n"),
    ("SET k v", "+OK\r\n"),
    ("GETDEL k", "$1\r\nv\r\n"),
    ("GET k", "$-1\r\n"),
    ("GETDEL list", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("GETEX k", "$-1\r\n"),
    ("GETEX k EX 0", "$-1\r\n"),
    ("GETEX k EX 10 PX 10", "-ERR syntax error\r\n"),
    ("SET k v", "+OK\r\n"),
    ("GETEX k", "$1\r\nv\r\n"),
    ("TTL k", ":-1\r\n"),
    ("GETEX k EX 100", "$1\r\nv\r\n"),
    ("TTL k", ":100\r\n"),
    ("GETEX k PERSIST", "$1\r\nv\r\n"),
    ("TTL k", ":-1\r\n"),
    ("GETEX k PX 100000", "$1\r\nv\r\n"),
    ("TTL k", ":100\r\n"),
    ("GETEX k EXAT 4102444800", "$1\r\nv\r\n"),
    ("EXPIRETIME k", ":4102444800\r\n"),
    ("GETEX k PXAT 4102444800001", "$1\r\nv\r\n"),
    ("PEXPIRETIME k", ":4102444800001\r\n"),
    ("GETEX k EX 0", "-ERR invalid expire time in 'getex' command\r\n"),
    ("GETEX k PX -1", "-ERR invalid expire time in 'getex' command\r\n"),
    ("GETEX k EXAT 0", "-ERR invalid expire time in 'getex' command\r\n"),
    ("GETEX k EX ten", "-ERR value is not an integer or out of range\r\n"),
    ("GETEX k EX 9223372036854775807", "-ERR invalid expire time in 'getex' command\r\n"),
    ("GETEX k EX", "-ERR syntax error\r\n"),
    ("GETEX k PERSIST EX 10", "-ERR syntax error\r\n"),
    ("GETEX k EX 10 PERSIST", "-ERR syntax error\r\n"),
    ("GETEX k PERSIST PERSIST", "$1\r\nv\r\n"),
    ("GETEX k KEEPTTL", "-ERR syntax error\r\n"),
    ("GETEX k NX", "-ERR syntax error\r\n"),
    ("GETEX k GET", "-ERR syntax error\r\n"),
    ("GETEX k EX 10 PX 10", "-ERR syntax error\r\n"),
    ("GETEX k EX 10 EX 300", "$1\r\nv\r\n"),
    ("TTL k", ":300\r\n"),
    ("GETEX k PXAT 1", "$1\r\nv\r\n"),
    ("GET k", "$-1\r\n"),
    ("GETEX list", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("GETEX list EX 0", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
];

const MANY: &[(&str, &str)] = &[
    ("MGET a b", "*2\r\n$-1\r\n$-1\r\n"),
    ("MSET a 1 b 2", "+OK\r\n"),
    ("MGET a b c list a", "*5\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n$-1\r\n$1\r\n1\r\n"),
    ("MSET a", "-ERR wrong number of arguments for 'mset' command\r\n"),
    ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command\r\n"),
    ("MSET a 3 a 4", "+OK\r\n"),
    ("GET a", "$1\r\n4\r\n"),
    ("MSETNX a 1 c 2", ":0\r\n"),
    ("GET c", "$-1\r\n"),
    ("MSETNX c 1 d 2 c 3", ":1\r\n"),
    ("MGET c d", "*2\r\n$1\r\n3\r\n$1\r\n2\r\n"),
    ("MSETNX c", "-ERR wrong number of arguments for 'msetnx' command\r\n"),
    ("MSETNX e 1 f", "-ERR wrong number of arguments for 'msetnx' command\r\n"),
    ("SET a 1 EX 100", "+OK\r\n"),
    ("MSET a 2 list 1", "+OK\r\n"),
    ("TTL a", ":-1\r\n"),
    ("GET list", "$1\r\n1\r\n"),
    ("MGET", "-ERR wrong number of arguments for 'mget' command\r\n"),
];

const PARTS: &[(&str, &str)] = &[
    ("STRLEN k", ":0\r\n"),
    ("APPEND k Hello", ":5\r\n"),
    ("APPEND k \" World\"", ":11\r\n"),
    ("GET k", "$11\r\nHello World\r\n"),
    ("STRLEN k", ":11\r\n"),
    ("APPEND empty \"\"", ":0\r\n"),
    ("GET empty", "$0\r\n\r\n"),
    ("APPEND list x", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("STRLEN list", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("GETRANGE k 0 4", "$5\r\nHello\r\n"),
    ("GETRANGE k -5 -1", "$5\r\nWorld\r\n"),
    ("GETRANGE k 0 -1", "$11\r\nHello World\r\n"),
    ("GETRANGE k 3 2", "$0\r\n\r\n"),
    ("GETRANGE k -1 -5", "$0\r\n\r\n"),
    ("GETRANGE k -100 2", "$3\r\nHel\r\n"),
    ("GETRANGE k -100 -50", "$1\r\nH\r\n"),
    ("GETRANGE k -50 -100", "$0\r\n\r\n"),
    ("GETRANGE k 5 100", "$6\r\n World\r\n"),
    ("GETRANGE k 100 200", "$0\r\n\r\n"),
    ("GETRANGE k 0 0", "$1\r\nH\r\n"),
    ("GETRANGE k 10 10", "$1\r\nd\r\n"),
    ("GETRANGE k 11 11", "$0\r\n\r\n"),
    ("GETRANGE k 0 9223372036854775807", "$11\r\nHello World\r\n"),
    ("GETRANGE k -9223372036854775808 9223372036854775807", "$11\r\nHello World\r\n"),
    ("GETRANGE k 9223372036854775807 -1", "$0\r\n\r\n"),
    ("GETRANGE k 1 -9223372036854775808", "$0\r\n\r\n"),
    ("GETRANGE k a 1", "-ERR value is not an integer or out of range\r\n"),
    ("GETRANGE k 1 b", "-ERR value is not an integer or out of range\r\n"),
    ("GETRANGE missing 0 -1", "$0\r\n\r\n"),
    ("GETRANGE missing a b", "-ERR value is not an integer or out of range\r\n"),
    ("GETRANGE empty 0 -1", "$0\r\n\r\n"),
    ("GETRANGE list 0 -1", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("SUBSTR k 0 4", "$5\r\nHello\r\n"),
    ("SUBSTR k -5 -1", "$5\r\nWorld\r\n"),
    ("SUBSTR k 1", "-ERR wrong number of arguments for 'substr' command\r\n"),
    ("SETRANGE k 6 Redis", ":11\r\n"),
    ("GET k", "$11\r\nHello Redis\r\n"),
    ("SETRANGE k 13 !", ":14\r\n"),
    ("GET k", "$14\r\nHello Redis\x00\x00!\r\n"),
    ("SETRANGE new 2 x", ":3\r\n"),
    ("GET new", "$3\r\n\x00\x00x\r\n"),
    ("SETRANGE absent 5 \"\"", ":0\r\n"),
    ("GET absent", "$-1\r\n"),
    ("SETRANGE k 2 \"\"", ":14\r\n"),
    ("SETRANGE k -1 x", "-ERR offset is out of range\r\n"),
    ("SETRANGE k a x", "-ERR value is not an integer or out of range\r\n"),
    ("SETRANGE k 536870912 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"),
    ("SETRANGE k 536870911 xy", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"),
    ("SETRANGE absent 9223372036854775807 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"),
    ("SETRANGE k 9223372036854775807 \"\"", ":14\r\n"),
    ("SETRANGE list 0 x", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("SETRANGE list -1 x", "-ERR offset is out of range\r\n"),
    ("SETRANGE list 0 \"\"", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("SETRANGE list 536870912 x", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("SET ttl v EX 100", "+OK\r\n"),
    ("APPEND ttl w", ":2\r\n"),
    ("SETRANGE ttl 0 x", ":2\r\n"),
    ("TTL ttl", ":100\r\n"),
    ("GET ttl", "$2\r\nxw\r\n"),
    ("SET bin \"\\x00\\x7f\\r\\n\"", "+OK\r\n"),
    ("GET bin", "$4\r\n\x00\x7f\r\n\r\n"),
    ("STRLEN bin", ":4\r\n"),
];

const IN_RESP3: &[(&str, &str)] = &[
    ("GET k", "_\r\n"),
    ("SET k v XX", "_\r\n"),
    ("SET k v NX GET", "_\r\n"),
    ("SET k w NX", "_\r\n"),
    ("GET k", "$1\r\nv\r\n"),
    ("GETDEL missing", "_\r\n"),
    ("GETEX missing", "_\r\n"),
    ("GETSET fresh v", "_\r\n"),
    ("MGET k missing list", "*3\r\n$1\r\nv\r\n_\r\n_\r\n"),
    ("STRLEN k", ":1\r\n"),
    ("GETRANGE missing 0 -1", "$0\r\n\r\n"),
    ("TTL missing", ":-2\r\n"),
    ("INCRBYFLOAT f 1.5", "$3\r\n1.5\r\n"),
    ("INCR n", ":1\r\n"),
    ("SETNX n 1", ":0\r\n"),
    ("GET list", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
];
