//! Counters, and the digits of sums.

use ch01_kv::protocol::context::Random;
use ch01_kv::protocol::error::CommandError;
use ch01_kv::protocol::long_double;
use common::resp::Protocol;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use super::check;

#[test]
fn counters_answer_as_redis_does() {
    check(Protocol::Resp2, COUNTERS);
}

#[test]
fn sums_of_fractions_have_the_digits_that_redis_gives_them() {
    check(Protocol::Resp2, FRACTIONS);
}

#[test]
fn no_text_makes_a_sum_panic_or_take_long() {
    let mut random = Random(Xoshiro256PlusPlus::seed_from_u64(7));
    let alphabet = b"0123456789012345678900000000..+-eEinf";
    for _ in 0..20_000 {
        let mut text = || (0..random.below(24)).map(|_| alphabet[random.below(alphabet.len())]).collect::<Vec<u8>>();
        let (a, b) = (text(), text());
        if let Ok(sum) = long_double::add(&a, &b) {
            assert_eq!(long_double::add(b.as_slice(), &a), Ok(sum.clone()), "a sum does not depend on its order");
            assert!(long_double::add(sum.as_bytes(), b"0").is_ok(), "{sum} can be read again");
        }
    }
    let long = [b"0.".to_vec(), vec![b'0'; 5000], vec![b'9'; 117]].concat();
    assert_eq!(long_double::add(&long, b"0"), Err(CommandError::NotAFloat));
    assert_eq!(long_double::add(&[&long[..5115], b"e99"].concat(), b"1").as_deref(), Ok("1"));
    assert_eq!(long_double::add(b"1e99999999999999999999", b"1"), Err(CommandError::NotAFloat));
    assert_eq!(long_double::add(&vec![b'9'; 5120], b"0"), Err(CommandError::NotAFloat));
    assert_eq!(long_double::add(&vec![b'9'; 4932], b"0").map(|sum| sum.len()), Ok(4933));
}

const COUNTERS: &[(&str, &str)] = &[
    ("INCR k", ":1\r\n"),
    ("INCR k", ":2\r\n"),
    ("INCRBY k 10", ":12\r\n"),
    ("DECR k", ":11\r\n"),
    ("DECRBY k 20", ":-9\r\n"),
    ("GET k", "$2\r\n-9\r\n"),
    ("INCRBY k -5", ":-14\r\n"),
    ("DECRBY k -5", ":-9\r\n"),
    ("INCRBY k x", "-ERR value is not an integer or out of range\r\n"),
    ("INCRBY k 1.5", "-ERR value is not an integer or out of range\r\n"),
    ("INCRBY k \" 1\"", "-ERR value is not an integer or out of range\r\n"),
    ("INCRBY k +1", "-ERR value is not an integer or out of range\r\n"),
    ("INCRBY k 9223372036854775808", "-ERR value is not an integer or out of range\r\n"),
    ("DECRBY k -9223372036854775808", "-ERR decrement would overflow\r\n"),
    ("SET k 9223372036854775807", "+OK\r\n"),
    ("INCR k", "-ERR increment or decrement would overflow\r\n"),
    ("INCRBY k 1", "-ERR increment or decrement would overflow\r\n"),
    ("DECRBY k -1", "-ERR increment or decrement would overflow\r\n"),
    ("DECR k", ":9223372036854775806\r\n"),
    ("SET k -9223372036854775808", "+OK\r\n"),
    ("DECR k", "-ERR increment or decrement would overflow\r\n"),
    ("INCRBY k -1", "-ERR increment or decrement would overflow\r\n"),
    ("INCR k", ":-9223372036854775807\r\n"),
    ("SET k abc", "+OK\r\n"),
    ("INCR k", "-ERR value is not an integer or out of range\r\n"),
    ("SET k \"\"", "+OK\r\n"),
    ("INCR k", "-ERR value is not an integer or out of range\r\n"),
    ("SET k \" 1\"", "+OK\r\n"),
    ("INCR k", "-ERR value is not an integer or out of range\r\n"),
    ("SET k 1.0", "+OK\r\n"),
    ("INCR k", "-ERR value is not an integer or out of range\r\n"),
    ("SET k 007", "+OK\r\n"),
    ("INCR k", "-ERR value is not an integer or out of range\r\n"),
    ("INCR list", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("INCRBY list x", "-ERR value is not an integer or out of range\r\n"),
    ("DECR k2", ":-1\r\n"),
    ("DECRBY k3 9223372036854775807", ":-9223372036854775807\r\n"),
    ("SET t 9 EX 100", "+OK\r\n"),
    ("INCR t", ":10\r\n"),
    ("TTL t", ":100\r\n"),
    ("INCRBYFLOAT t 1.5", "$4\r\n11.5\r\n"),
    ("TTL t", ":100\r\n"),
    ("INCR", "-ERR wrong number of arguments for 'incr' command\r\n"),
    ("INCRBY k", "-ERR wrong number of arguments for 'incrby' command\r\n"),
];

const FRACTIONS: &[(&str, &str)] = &[
    ("INCRBYFLOAT k 1", "$1\r\n1\r\n"),
    ("INCRBYFLOAT k 0.1", "$3\r\n1.1\r\n"),
    ("SET k 10.50", "+OK\r\n"),
    ("INCRBYFLOAT k 0.1", "$4\r\n10.6\r\n"),
    ("INCRBYFLOAT k -5", "$3\r\n5.6\r\n"),
    ("SET k 3.0e3", "+OK\r\n"),
    ("INCRBYFLOAT k 200", "$4\r\n3200\r\n"),
    ("INCRBYFLOAT k 1e2", "$4\r\n3300\r\n"),
    ("INCRBYFLOAT k -3.3e3", "$1\r\n0\r\n"),
    ("INCRBYFLOAT k -0", "$1\r\n0\r\n"),
    ("INCRBYFLOAT k -1.5", "$4\r\n-1.5\r\n"),
    ("INCRBYFLOAT k 1.5", "$1\r\n0\r\n"),
    ("INCRBYFLOAT k x", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k \"\"", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k \" 1\"", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k 1x", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k .5", "$3\r\n0.5\r\n"),
    ("INCRBYFLOAT k 5.", "$3\r\n5.5\r\n"),
    ("INCRBYFLOAT k .", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k 1e", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k +1", "$3\r\n6.5\r\n"),
    ("INCRBYFLOAT k --1", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k nan", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k inf", "-ERR increment would produce NaN or Infinity\r\n"),
    ("INCRBYFLOAT k -Infinity", "-ERR increment would produce NaN or Infinity\r\n"),
    ("INCRBYFLOAT k 1e5000", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k 1e-5000", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k 1e-4940", "$3\r\n6.5\r\n"),
    ("INCRBYFLOAT k 1e-17", "$19\r\n6.50000000000000001\r\n"),
    ("INCRBYFLOAT k 4e-18", "$19\r\n6.50000000000000001\r\n"),
    ("SET k abc", "+OK\r\n"),
    ("INCRBYFLOAT k 1", "-ERR value is not a valid float\r\n"),
    ("SET k \"\"", "+OK\r\n"),
    ("INCRBYFLOAT k 1", "-ERR value is not a valid float\r\n"),
    ("SET k inf", "+OK\r\n"),
    ("INCRBYFLOAT k 1", "-ERR increment would produce NaN or Infinity\r\n"),
    ("SET k 17179869184", "+OK\r\n"),
    ("INCRBYFLOAT k 1.5", "$13\r\n17179869185.5\r\n"),
    ("SET k 200", "+OK\r\n"),
    ("INCRBYFLOAT k 0.1", "$21\r\n200.10000000000000001\r\n"),
    ("SET k 1000000000", "+OK\r\n"),
    ("INCRBYFLOAT k 0.1", "$28\r\n1000000000.09999999997671694\r\n"),
    ("SET k 123456789012345678", "+OK\r\n"),
    ("INCRBYFLOAT k 0.1", "$26\r\n123456789012345678.1015625\r\n"),
    ("SET k 9223372036854775807", "+OK\r\n"),
    ("INCRBYFLOAT k 1", "$19\r\n9223372036854775808\r\n"),
    ("SET k 18446744073709551615", "+OK\r\n"),
    ("INCRBYFLOAT k 1", "$20\r\n18446744073709551616\r\n"),
    ("INCRBYFLOAT k 1", "$20\r\n18446744073709551616\r\n"),
    ("SET k 1e20", "+OK\r\n"),
    ("INCRBYFLOAT k 1", "$21\r\n100000000000000000000\r\n"),
    ("SET k 1e30", "+OK\r\n"),
    ("INCRBYFLOAT k -1e29", "$30\r\n900000000000000000001610612736\r\n"),
    ("SET k 0.1", "+OK\r\n"),
    ("INCRBYFLOAT k 0.2", "$3\r\n0.3\r\n"),
    ("SET k 0.99999999999999999", "+OK\r\n"),
    ("INCRBYFLOAT k 0.000000000000000005", "$1\r\n1\r\n"),
    ("SET k 1.00000000000000000005", "+OK\r\n"),
    ("INCRBYFLOAT k 0", "$1\r\n1\r\n"),
    ("SET k 3.14159265358979323846264338327950288", "+OK\r\n"),
    ("INCRBYFLOAT k 2.71828182845904523536028747135266250", "$19\r\n5.85987448204883847\r\n"),
    ("SET k -1e-18", "+OK\r\n"),
    ("INCRBYFLOAT k 0", "$1\r\n0\r\n"),
    ("SET k 1e4932", "+OK\r\n"),
    ("INCRBYFLOAT k 1e4932", "-ERR increment would produce NaN or Infinity\r\n"),
    ("SET k 0x10", "+OK\r\n"),
    ("INCRBYFLOAT k 0x1.8p1", "$2\r\n19\r\n"),
    ("INCRBYFLOAT k 0X.1", "$7\r\n19.0625\r\n"),
    ("INCRBYFLOAT k -0x1p-4", "$2\r\n19\r\n"),
    ("INCRBYFLOAT k 0x1p-16445", "$2\r\n19\r\n"),
    ("INCRBYFLOAT k 0x1p-20000", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k 0x1p16384", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k 0x", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT k 0x1p", "-ERR value is not a valid float\r\n"),
    ("INCRBYFLOAT list 1", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("INCRBYFLOAT list x", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ("INCRBYFLOAT k", "-ERR wrong number of arguments for 'incrbyfloat' command\r\n"),
];
