//! Property tests of what surrounds the request decoder: replies, values, words, numbers.
//!
//! Texts and bytes that stand here as expected are what redis-server 7.0.15 sent, and redis-cli 7.0.15 showed.

use common::resp::{
    Limits, MAX_VALUE_DEPTH, Protocol, ProtocolError, Replies, RequestDecoder, Value, ValueDecoder, ValueError,
    decode_value, encode_args, format_double, parse_integer, split_words,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// What `reply` writes in `protocol`, as text.
fn written(protocol: Protocol, reply: impl FnOnce(&mut Replies)) -> String {
    let mut replies = Replies::new(protocol);
    reply(&mut replies);
    String::from_utf8(replies.take()).expect("these replies are text")
}

/// A reply of a server: everything that a value can hold.
fn any_value() -> impl Strategy<Value = Value> {
    let line = "[ -~]{0,12}";
    let leaf = prop_oneof![
        line.prop_map(Value::Simple),
        line.prop_map(Value::Error),
        any::<i64>().prop_map(Value::Integer),
        vec(any::<u8>(), 0..40).prop_map(Value::Bulk),
        Just(Value::Null),
        prop::num::f64::NORMAL.prop_map(Value::Double),
        any::<bool>().prop_map(Value::Boolean),
        "-?[0-9]{20,30}".prop_map(Value::BigNumber),
        vec(any::<u8>(), 0..20).prop_map(|text| Value::Verbatim { format: "txt".to_owned(), text }),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            vec(inner.clone(), 0..6).prop_map(Value::Set),
            vec(inner.clone(), 0..6).prop_map(Value::Push),
            vec((inner.clone(), inner), 0..4).prop_map(Value::Map),
        ]
    })
}

fn write_value(out: &mut Replies, value: &Value) {
    match value {
        Value::Simple(text) => out.simple(text),
        Value::Error(text) => out.error(text),
        Value::Integer(value) => out.integer(*value),
        Value::Bulk(bytes) => out.bulk(bytes),
        Value::Null => out.null(),
        Value::Double(value) => out.double(*value),
        Value::Boolean(value) => out.boolean(*value),
        Value::BigNumber(digits) => out.big_number(digits),
        Value::Verbatim { format, text } => out.verbatim(format, text),
        Value::Array(items) => write_items(out, items, Replies::array),
        Value::Set(items) => write_items(out, items, Replies::set),
        Value::Push(items) => write_items(out, items, Replies::push),
        Value::Map(pairs) => {
            out.map(pairs.len());
            for (key, value) in pairs {
                write_value(out, key);
                write_value(out, value);
            }
        }
    }
}

fn write_items(out: &mut Replies, items: &[Value], head: fn(&mut Replies, usize)) {
    head(out, items.len());
    for item in items {
        write_value(out, item);
    }
}

proptest! {
    #[test]
    fn what_is_written_in_resp3_is_read_back(value in any_value(), follows in vec(any::<u8>(), 0..8)) {
        let mut replies = Replies::new(Protocol::Resp3);
        write_value(&mut replies, &value);
        let len = replies.len();
        replies.raw(&follows);
        prop_assert_eq!(decode_value(replies.bytes(), &Limits::default()), Ok(Some((value, len))));
    }

    #[test]
    fn a_reply_split_anywhere_is_the_same_reply(value in any_value()) {
        let mut replies = Replies::new(Protocol::Resp3);
        write_value(&mut replies, &value);
        let bytes = replies.take();
        let mut decoder = ValueDecoder::new(Limits::default());
        for end in 0..bytes.len() {
            prop_assert_eq!(decode_value(&bytes[..end], &Limits::default()), Ok(None));
            prop_assert_eq!(decoder.decode(&bytes[..end]), Ok(None));
        }
        prop_assert_eq!(decoder.decode(&bytes), Ok(Some((value, bytes.len()))));
    }

    #[test]
    fn a_damaged_reply_neither_panics_nor_claims_more_than_was_given(
        value in any_value(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut replies = Replies::new(Protocol::Resp3);
        write_value(&mut replies, &value);
        let mut bytes = replies.take();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        if let Ok(Some((value, len))) = decode_value(&bytes, &Limits::default()) {
            prop_assert!(len <= bytes.len());
            let _shown = format!("{value} {value:?}");
        }
    }

    #[test]
    fn random_bytes_are_no_danger_to_any_decoder(
        bytes in vec(prop_oneof![any::<u8>(), prop::sample::select(&b"*$%~>|+-:_#,(=!0123\r\n"[..])], 0..60)
    ) {
        if let Ok(Some((_, len))) = decode_value(&bytes, &Limits::default()) {
            prop_assert!(len <= bytes.len());
        }
        if let Ok(Some(len)) = RequestDecoder::new(Limits::default()).decode(&bytes) {
            prop_assert!(len <= bytes.len());
        }
        let _ = split_words(&bytes);
    }

    #[test]
    fn a_double_is_told_from_its_neighbours(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        let text = format_double(value);
        let read: f64 = text.as_str().parse().expect("a double's text is a number");
        prop_assert!(read.to_bits() == bits || (value.is_nan() && read.is_nan()), "{} as {}", value, text);
    }

    #[test]
    fn an_integer_has_one_text(value in any::<i64>(), padding in "[ +0]{1,3}") {
        prop_assert_eq!(parse_integer(value.to_string().as_bytes()), Some(value));
        prop_assert_eq!(parse_integer(format!("{padding}{value}").as_bytes()), None);
        prop_assert_eq!(parse_integer(format!("{value} ").as_bytes()), None);
    }

    #[test]
    fn words_that_are_quoted_come_back(words in vec(vec(any::<u8>(), 0..10), 0..6)) {
        let hex = |word: &Vec<u8>| format!("\"{}\"", word.iter().map(|byte| format!("\\x{byte:02X}")).collect::<String>());
        let line = words.iter().map(hex).collect::<Vec<_>>().join(" ");
        prop_assert_eq!(split_words(line.as_bytes()), Ok(words));
    }

    #[test]
    fn the_prefix_that_a_socket_took_is_gone_and_the_rest_is_whole(
        parts in vec(vec(any::<u8>(), 0..60_000), 1..6),
        takes in vec(any::<prop::sample::Index>(), 1..12),
    ) {
        let mut replies = Replies::new(Protocol::Resp2);
        let (mut expected, mut received) = (Vec::new(), Vec::new());
        let mut takes = takes.into_iter();
        for part in &parts {
            replies.raw(part);
            expected.extend_from_slice(part);
            if let Some(take) = takes.next() {
                let count = take.index(replies.len() + 1);
                received.extend_from_slice(&replies.bytes()[..count]);
                replies.consume(count);
            }
            prop_assert_eq!(received.len() + replies.len(), expected.len());
        }
        received.extend_from_slice(&replies.take());
        prop_assert_eq!(received, expected);
        prop_assert!(replies.is_empty());
    }
}

#[test]
fn each_reply_has_the_bytes_of_redis_in_both_protocols() {
    type Reply = fn(&mut Replies);
    let cases: &[(&str, Reply, &str, &str)] = &[
        ("status", |out| out.simple("OK"), "+OK\r\n", "+OK\r\n"),
        ("error", |out| out.error("FOO a\r\nb\r\n"), "-FOO a  b  \r\n", "-FOO a  b  \r\n"),
        ("integer", |out| out.integer(12345), ":12345\r\n", ":12345\r\n"),
        ("digit", |out| out.integer(7), ":7\r\n", ":7\r\n"),
        ("ten", |out| out.integer(10), ":10\r\n", ":10\r\n"),
        ("least", |out| out.integer(i64::MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"),
        ("string", |out| out.bulk(b"Hello World"), "$11\r\nHello World\r\n", "$11\r\nHello World\r\n"),
        ("empty string", |out| out.bulk(b""), "$0\r\n\r\n", "$0\r\n\r\n"),
        ("null", Replies::null, "$-1\r\n", "_\r\n"),
        ("null array", Replies::null_array, "*-1\r\n", "_\r\n"),
        ("array", |out| out.array(3), "*3\r\n", "*3\r\n"),
        ("long array", |out| out.array(100), "*100\r\n", "*100\r\n"),
        ("set", |out| out.set(3), "*3\r\n", "~3\r\n"),
        ("map", |out| out.map(3), "*6\r\n", "%3\r\n"),
        ("push", |out| out.push(2), "*2\r\n", ">2\r\n"),
        ("double", |out| out.double(3.25), "$4\r\n3.25\r\n", ",3.25\r\n"),
        ("infinity", |out| out.double(f64::INFINITY), "$3\r\ninf\r\n", ",inf\r\n"),
        ("true", |out| out.boolean(true), ":1\r\n", "#t\r\n"),
        ("false", |out| out.boolean(false), ":0\r\n", "#f\r\n"),
        (
            "big number",
            |out| out.big_number("12345678901234567890"),
            "$20\r\n12345678901234567890\r\n",
            "(12345678901234567890\r\n",
        ),
        ("verbatim", |out| out.verbatim("txt", b"This is\nit"), "$10\r\nThis is\nit\r\n", "=14\r\ntxt:This is\nit\r\n"),
    ];
    for (name, reply, resp2, resp3) in cases {
        assert_eq!(written(Protocol::Resp2, reply), *resp2, "{name} in RESP2");
        assert_eq!(written(Protocol::Resp3, reply), *resp3, "{name} in RESP3");
    }
}

#[test]
fn a_protocol_error_quotes_the_byte_that_the_client_sent() {
    let mut replies = Replies::new(Protocol::Resp2);
    replies.protocol_error(&ProtocolError::ExpectedBulk(0x80));
    replies.protocol_error(&ProtocolError::ExpectedBulk(b'\n'));
    let expected = b"-ERR Protocol error: expected '$', got '\x80'\r\n-ERR Protocol error: expected '$', got ' '\r\n";
    assert_eq!(replies.bytes(), expected);
}

#[test]
fn a_reply_that_came_to_nothing_is_taken_back() {
    let mut replies = Replies::new(Protocol::Resp2);
    replies.simple("OK");
    replies.consume(2);
    let before = replies.len();
    replies.array(5);
    replies.truncate(before);
    assert_eq!(replies.bytes(), b"K\r\n");
}

#[allow(clippy::excessive_precision, reason = "the digits are the case")]
#[test]
fn a_double_is_written_as_redis_7_0_writes_it() {
    for (value, text) in [
        (3.1, "3.1000000000000001"),
        (0.1, "0.10000000000000001"),
        (-2.5, "-2.5"),
        (0.0, "0"),
        (-0.0, "-0"),
        (42.0, "42"),
        (-1e5, "-100000"),
        (1e15, "1000000000000000"),
        (1e16, "10000000000000000"),
        (1e17, "1e+17"),
        (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
        (12_345_678_901_234_568.0, "12345678901234568"),
        (1e21, "1e+21"),
        (0.0001, "0.0001"),
        (0.000_123, "0.00012300000000000001"),
        (0.000_01, "1.0000000000000001e-05"),
        (1e-7, "9.9999999999999995e-08"),
        (1e100, "1e+100"),
        (5e-324, "4.9406564584124654e-324"),
        (f64::MAX, "1.7976931348623157e+308"),
        // Exactly halfway between two texts of seventeen digits: to the even one.
        (123_456_789_012_345.125, "123456789012345.12"),
        (123_456_789_012_345.375, "123456789012345.38"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
    ] {
        assert_eq!(format_double(value).as_str(), text);
    }
}

#[test]
fn a_reply_claims_no_memory_and_no_depth_beyond_the_limits() {
    let limits = Limits::default();
    assert_eq!(decode_value(b"*1000000000\r\n", &limits), Ok(None), "a claim alone takes nothing");
    assert_eq!(
        decode_value(b"*1000000001000\r\n", &limits),
        Err(ValueError::TooLong { limit: limits.max_request_bytes }),
        "more elements than a reply may have bytes"
    );
    assert_eq!(decode_value(b"$536870913\r\n", &limits), Err(ValueError::TooLong { limit: limits.max_bulk_bytes }));
    let endless_line = [b'+'; 70_000];
    assert_eq!(decode_value(&endless_line, &limits), Err(ValueError::TooLong { limit: limits.max_inline_bytes }));

    let deep = |levels: usize| [b"*1\r\n".repeat(levels), b":1\r\n".to_vec()].concat();
    assert!(matches!(decode_value(&deep(MAX_VALUE_DEPTH), &limits), Ok(Some(_))), "the deepest that is allowed");
    assert_eq!(decode_value(&deep(MAX_VALUE_DEPTH + 1), &limits), Err(ValueError::TooDeep));

    let small = Limits { max_inline_bytes: 10, max_request_bytes: 20, ..limits };
    assert_eq!(decode_value(&b"*3\r\n$3\r\nabc\r\n$3\r\nabc\r\n"[..], &small), Err(ValueError::TooLong { limit: 20 }));
}

#[test]
fn what_is_no_reply_is_refused_with_the_reason() {
    for (bytes, error) in [
        (&b"HTTP/1.1 400\r\n"[..], ValueError::UnknownType(b'H')),
        (b"$x\r\n", ValueError::InvalidLength),
        (b"*-2\r\n", ValueError::InvalidLength),
        (b"%-1\r\n", ValueError::InvalidLength),
        (b"$?\r\n", ValueError::InvalidLength),
        (b":1.5\r\n", ValueError::Malformed(b':')),
        (b"#x\r\n", ValueError::Malformed(b'#')),
        (b",1,5\r\n", ValueError::Malformed(b',')),
        (b"(12a\r\n", ValueError::Malformed(b'(')),
        (b"_x\r\n", ValueError::Malformed(b'_')),
        (b"+a\rb\r\n", ValueError::Malformed(b'+')),
        (b"=3\r\ntxt\r\n", ValueError::Malformed(b'=')),
        (b"$1\r\nabc", ValueError::Malformed(b'$')),
        (b"\r\n", ValueError::Malformed(b'\r')),
    ] {
        assert_eq!(decode_value(bytes, &Limits::default()), Err(error), "{}", bytes.escape_ascii());
    }
}

#[test]
fn both_nulls_an_attribute_and_a_blob_error_are_understood() {
    let decode = |bytes: &[u8]| decode_value(bytes, &Limits::default()).map(|found| found.map(|(value, _)| value));
    assert_eq!(decode(b"$-1\r\n"), Ok(Some(Value::Null)));
    assert_eq!(decode(b"*-1\r\n"), Ok(Some(Value::Null)));
    assert_eq!(decode(b"!5\r\nERR x\r\n"), Ok(Some(Value::Error("ERR x".to_owned()))));
    assert_eq!(
        decode(b"|1\r\n$3\r\nttl\r\n*1\r\n:9\r\n:5\r\n"),
        Ok(Some(Value::Integer(5))),
        "an attribute is left out"
    );
    let inside = decode(b"*2\r\n:1\r\n|0\r\n|1\r\n+a\r\n+b\r\n:2\r\n");
    assert_eq!(inside, Ok(Some(Value::Array(vec![Value::Integer(1), Value::Integer(2)]))));
    assert_eq!(decode(b"|1\r\n+a\r\n+b\r\n"), Ok(None), "an attribute alone is no reply yet");
}

#[test]
fn a_value_shows_itself_as_redis_cli_does() {
    let shown =
        |bytes: &[u8]| decode_value(bytes, &Limits::default()).expect("a reply").expect("a whole one").0.to_string();
    assert_eq!(shown(b"+OK\r\n"), "OK");
    assert_eq!(shown(b"-ERR no\r\n"), "(error) ERR no");
    assert_eq!(shown(b"_\r\n"), "(nil)");
    assert_eq!(shown(b"#t\r\n"), "(true)");
    assert_eq!(shown(b",3.25\r\n"), "(double) 3.25");
    assert_eq!(shown(b"$7\r\nb\n\x00\xff\"\\\x07\r\n"), r#""b\n\x00\xff\"\\\a""#);
    assert_eq!(shown(b"=7\r\ntxt:a\nb\r\n"), "a\nb");
    assert_eq!(shown(b"*0\r\n"), "(empty array)");
    assert_eq!(shown(b"%0\r\n"), "(empty hash)");
    assert_eq!(shown(b"~0\r\n"), "(empty set)");
    assert_eq!(
        shown(b"*3\r\n:1\r\n*3\r\n:2\r\n*0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n*10\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n:8\r\n:9\r\n:10\r\n:11\r\n*2\r\n:12\r\n*1\r\n:13\r\n"),
        "1) (integer) 1
2) 1) (integer) 2
   2) (empty array)
   3) 1) \"a\"
      2) \"b\"
3)  1) (integer) 3
    2) (integer) 4
    3) (integer) 5
    4) (integer) 6
    5) (integer) 7
    6) (integer) 8
    7) (integer) 9
    8) (integer) 10
    9) (integer) 11
   10) 1) (integer) 12
       2) 1) (integer) 13"
    );
    assert_eq!(
        shown(b"~1\r\n%2\r\n$5\r\nflags\r\n~2\r\n+RO\r\n+access\r\n$4\r\nspec\r\n%1\r\n$5\r\nindex\r\n:1\r\n"),
        "1~ 1# \"flags\" => 
      1~ RO
      2~ access
   2# \"spec\" => 1# \"index\" => (integer) 1"
    );
}

#[test]
fn a_value_is_read_as_what_is_asked_for() {
    let map2 = Value::Array(vec![Value::Bulk(b"proto".to_vec()), Value::Integer(3)]);
    let map3 = Value::Map(vec![(Value::Simple("proto".to_owned()), Value::Integer(3))]);
    for map in [&map2, &map3] {
        assert_eq!(map.lookup("proto"), Some(&Value::Integer(3)));
        assert_eq!(map.lookup("other"), None);
        assert_eq!(map.clone().into_pairs().expect("pairs").len(), 1);
    }
    assert_eq!(Value::Bulk(b"-12".to_vec()).as_i64(), Some(-12));
    assert_eq!(Value::Bulk(b"012".to_vec()).as_i64(), None);
    assert_eq!(Value::Bulk(b"3.5".to_vec()).as_f64(), Some(3.5));
    assert_eq!(Value::Integer(2).as_f64(), Some(2.0));
    assert_eq!(Value::Bulk(vec![0xff]).as_str(), None);
    assert_eq!(Value::Integer(1).into_array(), Err(Value::Integer(1)));
    assert_eq!(format!("{map3:?}"), "{+proto: (integer) 3}");
}

#[test]
fn words_are_split_as_redis_splits_them() {
    let split =
        |line: &[u8]| split_words(line).map(|words| words.iter().map(|word| word.escape_ascii().to_string()).collect());
    let words = |words: &[&str]| Ok(words.iter().map(ToString::to_string).collect::<Vec<String>>());
    assert_eq!(split(b""), words(&[]));
    assert_eq!(split(b"\x0b\x0cPING"), words(&["PING"]));
    assert_eq!(split(b"PING a\x0bb"), words(&["PING", "a\\x0bb"]));
    assert_eq!(split(b"'' x"), words(&["", "x"]));
    assert_eq!(split(b"a\"b c\""), words(&["ab c"]));
    assert_eq!(split(b"'a'\x0b'b'"), words(&["a", "b"]));
    assert_eq!(split(b"\"\\x4\""), words(&["x4"]));
    assert_eq!(split(b"\"\\"), Err(ProtocolError::UnbalancedQuotes));
    assert_eq!(split(b"\"a\"\"b\""), Err(ProtocolError::UnbalancedQuotes));
}

#[test]
fn a_decoder_of_requests_reads_what_the_encoder_wrote() {
    let mut bytes = Vec::new();
    encode_args(&mut bytes, [b"SET".as_slice(), b"k", &[0; 300]]);
    let mut decoder = RequestDecoder::new(Limits::default());
    assert_eq!(decoder.decode(&bytes), Ok(Some(bytes.len())));
    let request = decoder.request(&bytes).expect("a request with a name");
    assert_eq!((request.name(), request.len(), request.arg(2)), (b"SET".as_slice(), 3, [0; 300].as_slice()));
}
