//! Clients that mean no good, or know no better: none of them takes the server down, takes its memory, or hurts another.
//!
//! Over real sockets, against a server in this process. Nothing here sleeps: what is to happen is waited for at the socket, by
//! a read that the server answers or ends.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use ch01_kv::protocol::config::Config;
use ch01_kv::server::{Options, Running};

/// How long a test waits for what must come, before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

struct Server {
    running: Option<Running>,
    address: SocketAddr,
    _data: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let mut config = Config::new("127.0.0.1:0".parse().expect("an address"), data.path().to_owned());
        change(&mut config);
        let running = Running::start(Options::new(config)).expect("it starts");
        Self { address: running.address(), running: Some(running), _data: data }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        stream
    }

    /// Fails unless a client that behaves is served.
    fn assert_serves(&self) {
        assert_eq!(call(&mut self.connect(), b"PING\r\n", 7), "+PONG\r\n");
    }
}

/// Sends bytes and reads as many as are expected.
fn call(stream: &mut TcpStream, bytes: &[u8], len: usize) -> String {
    stream.write_all(bytes).expect("it is sent");
    let mut answer = vec![0; len];
    let mut have = 0;
    while have < len {
        match stream.read(&mut answer[have..]).expect("it is answered") {
            0 => break,
            count => have += count,
        }
    }
    String::from_utf8_lossy(&answer[..have]).into_owned()
}

/// Everything until the server closes; a reset counts as closing.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Err(error) if !matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
            panic!("it is not closed: {error}")
        }
        _ => all,
    }
}

fn answer_to(server: &Server, bytes: &[u8]) -> String {
    let mut stream = server.connect();
    stream.write_all(bytes).expect("it is sent");
    String::from_utf8_lossy(&rest(&mut stream)).into_owned()
}

/// What `CLIENT LIST` says of the client of this name, if it is there.
fn listed(stream: &mut TcpStream, name: &str) -> Option<String> {
    let mut head = call(stream, b"CLIENT LIST\r\n", 1);
    while !head.ends_with('\n') {
        head.push_str(&call(stream, b"", 1));
    }
    let len: usize = head[1..].trim_end().parse().expect("a length");
    let list = call(stream, b"", len + 2);
    list.lines().find(|line| line.contains(&format!(" name={name} "))).map(str::to_owned)
}

/// A number in a line of `CLIENT LIST`.
fn field(line: &str, name: &str) -> usize {
    let value = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).expect("the field is there")
}

/// A client that asks for 5 GB, a megabyte at a time, and reads none of it: what the backpressure lets into memory is far from
/// the limit on output.
fn deaf(server: &Server) -> TcpStream {
    let value = "v".repeat(1 << 20);
    let set = format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n${}\r\n{value}\r\n", value.len());
    let mut deaf = server.connect();
    assert_eq!(call(&mut deaf, set.as_bytes(), 5), "+OK\r\n");
    assert_eq!(call(&mut deaf, b"CLIENT SETNAME deaf\r\n", 5), "+OK\r\n");
    deaf.write_all("GET a\r\n".repeat(5000).as_bytes()).expect("it is sent");
    deaf
}

/// The memory of this process, in bytes.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("this is Linux");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("a number of pages") * 4096
}

#[test]
fn a_request_of_http_is_closed_without_an_answer() {
    let server = Server::start();
    assert_eq!(answer_to(&server, b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET a b\r\n"), "");
    let answer = answer_to(&server, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nSET a b\r\n");
    assert!(answer.is_empty() || answer.starts_with("-ERR wrong number of arguments for 'get'"), "{answer}");
    assert_eq!(call(&mut server.connect(), b"EXISTS a\r\n", 4), ":0\r\n", "what a page smuggles in is not executed");
}

#[test]
fn malformed_requests_get_redis_errors_and_a_closed_connection() {
    let server = Server::start();
    let long = [b"*1\r\n$".to_vec(), vec![b'1'; 70_000]].concat();
    let inline = vec![b'x'; 70_000];
    let cases: [(&[u8], &str); 11] = [
        (b"*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*2147483648\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\n:1\r\n", "-ERR Protocol error: expected '$', got ':'\r\n"),
        (b"*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        (b"*1\r\n$x\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        (b"*2\r\n$3\r\nGET\r\n$536870913\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        (b"*2\r\n$3\r\nGET\r\n$99999999999999999999\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        (b"SET a \"b\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"),
        (&long, "-ERR Protocol error: too big bulk count string\r\n"),
        (&inline, "-ERR Protocol error: too big inline request\r\n"),
        (b"PING\r\n*x\r\nPING\r\n", "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n"),
    ];
    for (bytes, wanted) in cases {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        assert_eq!(answer_to(&server, bytes), wanted, "{shown:?}");
    }
    server.assert_serves();
}

#[test]
fn a_request_may_have_more_than_a_million_arguments() {
    let server = Server::start();
    let mut stream = server.connect();
    let mut request = b"*1100002\r\n$5\r\nRPUSH\r\n$1\r\nl\r\n".to_vec();
    for _ in 0..1_100_000 {
        request.extend_from_slice(b"$1\r\nx\r\n");
    }
    stream.write_all(&request).expect("it is sent");
    assert_eq!(call(&mut stream, b"LLEN l\r\n", 20), ":1100000\r\n:1100000\r\n");
}

#[test]
fn what_a_request_announces_is_not_believed_before_it_has_come() {
    let server = Server::start();
    server.assert_serves();
    let before = resident_bytes();
    let mut greedy: Vec<TcpStream> = (0..40).map(|_| server.connect()).collect();
    for stream in &mut greedy {
        // Half a gibibyte each, of which some bytes come; the second part makes sure that the first was looked at.
        stream.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$536870912\r\nxxxx").expect("it is sent");
    }
    server.assert_serves();
    let taken = resident_bytes().saturating_sub(before);
    assert!(taken < 512 << 20, "{} MiB for what was announced alone", taken >> 20);
}

#[test]
fn before_authentication_less_is_allowed_and_after_it_more() {
    let server = Server::with(|config| config.requirepass = "secret".into());
    assert_eq!(answer_to(&server, b"*11\r\n"), "-ERR Protocol error: unauthenticated multibulk length\r\n");
    assert_eq!(
        answer_to(&server, b"*2\r\n$4\r\nAUTH\r\n$16385\r\n"),
        "-ERR Protocol error: unauthenticated bulk length\r\n"
    );
    let mut stream = server.connect();
    assert_eq!(call(&mut stream, b"AUTH secret\r\n", 5), "+OK\r\n");
    let value = "v".repeat(100_000);
    let set = format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n${}\r\n{value}\r\n", value.len());
    assert_eq!(call(&mut stream, set.as_bytes(), 5), "+OK\r\n");
}

#[test]
fn a_client_that_never_reads_is_disconnected_at_the_limit() {
    let server = Server::start();
    let mut stream = server.connect();
    assert_eq!(call(&mut stream, b"CONFIG SET client-output-buffer-limit \"normal 1mb 0 0\"\r\n", 5), "+OK\r\n");
    let value = "v".repeat(100_000);
    let set = format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n${}\r\n{value}\r\n", value.len());
    assert_eq!(call(&mut stream, set.as_bytes(), 5), "+OK\r\n");
    let mut deaf = server.connect();
    // Far more than the sockets and the limit hold: 1 GB of replies.
    let sent = (0..10_000).try_for_each(|_| deaf.write_all(b"GET a\r\n"));
    let received = rest(&mut deaf).len();
    assert!(received < 10_000 * value.len(), "nobody was disconnected: {sent:?}");
    server.assert_serves();
}

#[test]
fn a_client_that_is_held_back_and_takes_nothing_is_disconnected_in_time() {
    let server = Server::with(|config| config.max_stall = Duration::from_millis(1));
    let mut other = server.connect();
    let mut deaf = deaf(&server);
    let deadline = Instant::now() + PATIENCE;
    while let Some(line) = listed(&mut other, "deaf") {
        assert!(Instant::now() < deadline, "it is held for ever: {line}");
    }
    assert!(rest(&mut deaf).len() < 100 << 20, "what it was sent is what the sockets held");
    // One that has been as quiet, and that nothing waits for, is still there.
    assert_eq!(call(&mut other, b"PING\r\n", 7), "+PONG\r\n");
}

#[test]
fn a_client_that_does_not_read_is_listed_with_what_it_holds() {
    let server = Server::start();
    let mut other = server.connect();
    let deaf = deaf(&server);
    let deadline = Instant::now() + PATIENCE;
    let line = loop {
        let line = listed(&mut other, "deaf").expect("it has a minute");
        if field(&line, "obl") > 0 && field(&line, "qbuf") > 0 {
            break line;
        }
        assert!(Instant::now() < deadline, "nothing waits for it: {line}");
    };
    // The backpressure holds one megabyte, and the last reply goes beyond it by no more than itself.
    assert!(field(&line, "obl") <= 3 << 20, "{line}");
    assert!(field(&line, "omem") >= field(&line, "obl"), "{line}");
    assert!(field(&line, "tot-mem") >= field(&line, "omem") + field(&line, "qbuf"), "{line}");
    drop(deaf);
    let mut idle = server.connect();
    assert_eq!(call(&mut idle, b"CLIENT SETNAME idle\r\n", 5), "+OK\r\n");
    let line = listed(&mut other, "idle").expect("it is there");
    assert_eq!((field(&line, "obl"), field(&line, "omem"), field(&line, "qbuf")), (0, 0, 0), "{line}");
}

#[test]
fn a_client_that_reads_as_it_comes_gets_more_than_may_wait_for_it() {
    let server = Server::start();
    let mut stream = server.connect();
    assert_eq!(call(&mut stream, b"CONFIG SET client-output-buffer-limit \"normal 4mb 0 0\"\r\n", 5), "+OK\r\n");
    let value = "v".repeat(1_000_000);
    let set = format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n${}\r\n{value}\r\n", value.len());
    assert_eq!(call(&mut stream, set.as_bytes(), 5), "+OK\r\n");
    // One packet asks for fifteen times the limit, and nothing follows it.
    let mut eager = server.connect();
    eager.write_all("GET a\r\n".repeat(60).as_bytes()).expect("it is sent");
    eager.shutdown(Shutdown::Write).expect("it can be shut down");
    let reply = format!("${}\r\n{value}\r\n", value.len());
    assert!(rest(&mut eager) == reply.repeat(60).as_bytes(), "every reply, whole and in order");
}

#[test]
fn one_request_cannot_ask_for_more_than_may_wait() {
    let server = Server::start();
    let mut stream = server.connect();
    assert_eq!(call(&mut stream, b"CONFIG SET client-output-buffer-limit \"normal 16mb 0 0\"\r\n", 5), "+OK\r\n");
    let value = "v".repeat(4 << 20);
    let set = format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n${}\r\n{value}\r\n", value.len());
    assert_eq!(call(&mut stream, set.as_bytes(), 5), "+OK\r\n");
    let requests = [
        format!("MGET{}\r\n", " a".repeat(500)),
        format!("MULTI\r\n{}EXEC\r\n", "GET a\r\n".repeat(500)),
        format!("EVIL\r\nMGET{}\r\n", " a".repeat(500)),
    ];
    for request in requests {
        let before = resident_bytes();
        let mut greedy = server.connect();
        greedy.write_all(request.as_bytes()).expect("it is sent");
        assert!(rest(&mut greedy).len() < 500 * value.len(), "2 GB of replies were made");
        let taken = resident_bytes().saturating_sub(before);
        assert!(taken < 500 << 20, "{} MiB were taken for replies", taken >> 20);
    }
    server.assert_serves();
}

#[test]
fn a_client_that_sends_without_reading_is_kept_no_more_than_its_limit() {
    let server = Server::start();
    let mut stream = server.connect();
    assert_eq!(call(&mut stream, b"CONFIG SET client-output-buffer-limit \"normal 32mb 0 0\"\r\n", 5), "+OK\r\n");
    let value = "v".repeat(1 << 20);
    let set = format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n${}\r\n{value}\r\n", value.len());
    assert_eq!(call(&mut stream, set.as_bytes(), 5), "+OK\r\n");
    let mut deaf = server.connect();
    deaf.write_all("GET a\r\n".repeat(64).as_bytes()).expect("it is sent");
    server.assert_serves();
    let before = resident_bytes();
    let chunk = vec![b'z'; 1 << 20];
    let sent = (0..300).take_while(|_| deaf.write_all(&chunk).is_ok()).count();
    assert!(sent < 300, "nobody was disconnected");
    let taken = resident_bytes().saturating_sub(before);
    assert!(taken < 150 << 20, "{} MiB are kept for a client that does not read", taken >> 20);
}

#[test]
fn time_passes_between_the_requests_of_a_pipeline() {
    let server = Server::start();
    let mut stream = server.connect();
    let requests =
        b"SET k v PX 50\r\nTIME\r\nDEBUG SLEEP 0.2\r\nTIME\r\nGET k\r\nSET k w PX 100000\r\nGET k\r\nQUIT\r\n";
    stream.write_all(requests).expect("it is sent");
    let replies = String::from_utf8(rest(&mut stream)).expect("text");
    let words: Vec<&str> = replies.split("\r\n").collect();
    let time = |at: usize| -> f64 {
        let part = |at: usize| -> f64 { words[at].parse().expect("a number") };
        part(at) + part(at + 2) / 1e6
    };
    // *2 $n seconds $n microseconds, after +OK; the sleep's own +OK; and again.
    assert!(time(9) - time(3) >= 0.199, "{replies}");
    assert_eq!(words[12..], ["$-1", "+OK", "$1", "w", "+OK", ""], "{replies}");
}

#[test]
fn a_wait_in_a_pipeline_begins_when_its_turn_has_come() {
    let server = Server::start();
    let mut stream = server.connect();
    stream.write_all(b"DEBUG SLEEP 0.4\r\nTIME\r\nBLPOP none 0.4\r\nTIME\r\nQUIT\r\n").expect("it is sent");
    let replies = String::from_utf8(rest(&mut stream)).expect("text");
    let words: Vec<&str> = replies.split("\r\n").collect();
    let time = |at: usize| -> f64 {
        let part = |at: usize| -> f64 { words[at].parse().expect("a number") };
        part(at) + part(at + 2) / 1e6
    };
    // +OK, *2 $n seconds $n microseconds, *-1, and the time again. By the clock of the first request the wait would be over
    // when it begins.
    assert_eq!(words[6], "*-1", "{replies}");
    assert!(time(9) - time(3) >= 0.39, "{replies}");
}

#[test]
fn what_comes_what_goes_and_who_is_refused_is_counted() {
    let server = Server::with(|config| config.maxclients = 2);
    let mut stream = server.connect();
    assert_eq!(call(&mut stream, b"PING\r\n", 7), "+PONG\r\n");
    let mut other = server.connect();
    let (value, set) = (vec![b'v'; 8_000_000], b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8000000\r\n");
    other.write_all(set).expect("it is sent");
    other.write_all(&value).expect("it is sent");
    assert_eq!(call(&mut other, b"\r\n", 5), "+OK\r\n");
    // More than the sockets hold: most of it leaves bit by bit.
    other.write_all(b"GET k\r\n").expect("it is sent");
    server_refuses(&server);
    let mut reply = vec![0; "$8000000\r\n\r\n".len() + value.len()];
    other.read_exact(&mut reply).expect("it is answered");
    server_refuses(&server);
    let received = 2 * "PING\r\n".len() + set.len() + value.len() + "\r\nGET k\r\nINFO stats\r\n".len();
    let sent = 2 * "+PONG\r\n".len() + "+OK\r\n".len() + reply.len();
    // The server has counted the last of the reply when it is its turn again.
    assert_eq!(call(&mut stream, b"PING\r\n", 7), "+PONG\r\n");
    stream.write_all(b"INFO stats\r\nQUIT\r\n").expect("it is sent");
    let info = String::from_utf8(rest(&mut stream)).expect("text");
    let received = received + "QUIT\r\n".len();
    for line in [
        format!("total_net_input_bytes:{received}"),
        format!("total_net_output_bytes:{sent}"),
        "rejected_connections:2".to_owned(),
        "total_connections_received:2".to_owned(),
    ] {
        assert!(info.lines().any(|shown| shown == line), "{line} in {info}");
    }
}

/// Comes when all places are taken.
fn server_refuses(server: &Server) {
    assert_eq!(rest(&mut server.connect()), b"-ERR max number of clients reached\r\n");
}

#[test]
fn one_byte_at_a_time_hurts_nobody() {
    let server = Server::start();
    let mut slow = server.connect();
    let mut other = server.connect();
    for byte in b"*3\r\n$3\r\nSET\r\n$4\r\nslow\r\n$5\r\nvalue\r\n" {
        slow.write_all(&[*byte]).expect("it is sent");
        assert_eq!(call(&mut other, b"PING\r\n", 7), "+PONG\r\n");
    }
    assert_eq!(call(&mut slow, b"GET slow\r\n", 16), "+OK\r\n$5\r\nvalue\r\n");
}

#[test]
fn requests_may_be_split_at_every_byte() {
    let server = Server::start();
    let bytes = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n\r\n\0x\r\nGET k\r\n*2\r\n$6\r\nSTRLEN\r\n$1\r\nk\r\n";
    let wanted = "+OK\r\n$4\r\n\r\n\0x\r\n:4\r\n";
    let mut stream = server.connect();
    let mut other = server.connect();
    for at in 1..bytes.len() {
        stream.write_all(&bytes[..at]).expect("it is sent");
        // The first part has been looked at when somebody else has been served.
        assert_eq!(call(&mut other, b"PING\r\n", 7), "+PONG\r\n");
        assert_eq!(call(&mut stream, &bytes[at..], wanted.len()), wanted, "split at {at}");
    }
}

#[test]
fn a_pipeline_of_ten_thousand_is_answered_in_order() {
    let server = Server::start();
    let mut stream = server.connect();
    let requests: String = (0..10_000).map(|_| "INCR n\r\n").collect();
    let wanted: String = (1..=10_000).map(|n| format!(":{n}\r\n")).collect();
    assert_eq!(call(&mut stream, requests.as_bytes(), wanted.len()), wanted);
}

#[test]
fn a_value_of_100_mb_goes_in_and_out_while_others_are_served() {
    let server = Server::start();
    let mut stream = server.connect();
    let len = 100_000_000;
    let value: Vec<u8> = (0..=255).cycle().take(len).collect();
    stream.write_all(format!("*3\r\n$3\r\nSET\r\n$1\r\nv\r\n${len}\r\n").as_bytes()).expect("it is sent");
    stream.write_all(&value[..len / 2]).expect("it is sent");
    server.assert_serves();
    stream.write_all(&value[len / 2..]).expect("it is sent");
    assert_eq!(call(&mut stream, b"\r\n", 5), "+OK\r\n");
    stream.write_all(b"GET v\r\n").expect("it is sent");
    // The reply fills the sockets and waits there: the others do not.
    server.assert_serves();
    let mut answer = vec![0; len + 14];
    stream.read_exact(&mut answer).expect("it is answered");
    assert!(answer.starts_with(b"$100000000\r\n") && answer[12..12 + len] == value[..], "the value has changed");
}

#[test]
fn one_client_too_many_is_told_so_and_closed() {
    let server = Server::with(|config| config.maxclients = 2);
    let mut held: Vec<TcpStream> = (0..2).map(|_| server.connect()).collect();
    held.iter_mut().for_each(|stream| assert_eq!(call(stream, b"PING\r\n", 7), "+PONG\r\n"));
    let refusal = String::from_utf8_lossy(&rest(&mut server.connect())).into_owned();
    assert_eq!(refusal, "-ERR max number of clients reached\r\n");
    let mut gone = held.pop().expect("there are two");
    assert_eq!(call(&mut gone, b"QUIT\r\n", 5), "+OK\r\n");
    assert!(rest(&mut gone).is_empty());
    // The place is free when the server has seen the client go, which it had when it closed the connection.
    let deadline = Instant::now() + PATIENCE;
    while call(&mut server.connect(), b"PING\r\n", 7) != "+PONG\r\n" {
        assert!(Instant::now() < deadline, "the place never becomes free");
    }
}

#[test]
fn an_idle_client_is_closed_and_a_subscriber_is_not() {
    let server = Server::with(|config| config.timeout = Duration::from_secs(1));
    let mut subscriber = server.connect();
    assert_eq!(call(&mut subscriber, b"SUBSCRIBE news\r\n", 33), "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    let mut blocked = server.connect();
    blocked.write_all(b"BLPOP list 0\r\n").expect("it is sent");
    let mut idle = server.connect();
    assert_eq!(call(&mut idle, b"PING\r\n", 7), "+PONG\r\n");
    assert!(rest(&mut idle).is_empty(), "it is closed without a word");
    assert_eq!(call(&mut server.connect(), b"PUBLISH news hello\r\nRPUSH list x\r\n", 8), ":1\r\n:1\r\n");
    assert!(call(&mut subscriber, b"", 38).contains("hello"));
    assert!(call(&mut blocked, b"", 21).contains("list"));
}

#[test]
fn a_blocked_client_that_goes_takes_no_element_with_it() {
    let server = Server::start();
    let mut blocked = server.connect();
    blocked.write_all(b"BLPOP list 0\r\n").expect("it is sent");
    let mut other = server.connect();
    let deadline = Instant::now() + PATIENCE;
    let blocks = |other: &mut TcpStream, wanted: &str| {
        let mut text = call(other, b"INFO clients\r\nPING\r\n", 1);
        while !text.ends_with("+PONG\r\n") {
            text.push_str(&call(other, b"", 1));
        }
        assert!(Instant::now() < deadline, "{wanted} never comes: {text}");
        text.contains(wanted)
    };
    while !blocks(&mut other, "blocked_clients:1") {}
    blocked.shutdown(Shutdown::Both).expect("it is open");
    drop(blocked);
    while !blocks(&mut other, "blocked_clients:0") {}
    assert_eq!(call(&mut other, b"RPUSH list x\r\nLLEN list\r\n", 8), ":1\r\n:1\r\n");
}

#[test]
fn a_server_stops_with_clients_connected() {
    let mut server = Server::start();
    let mut idle = server.connect();
    assert_eq!(call(&mut idle, b"SET a 1\r\n", 5), "+OK\r\n");
    let mut blocked = server.connect();
    blocked.write_all(b"BLPOP list 0\r\n").expect("it is sent");
    let mut half = server.connect();
    half.write_all(b"*3\r\n$3\r\nSET\r\n").expect("it is sent");
    let started = Instant::now();
    server.running.take().expect("it runs").stop().expect("everything is durable");
    assert!(started.elapsed() < PATIENCE);
    for stream in [&mut idle, &mut blocked, &mut half] {
        assert!(rest(stream).is_empty());
    }
}

#[test]
fn the_directory_is_shown_so_that_it_means_the_same_to_a_client() {
    let server = Server::with(|config| (config.dir, config.appendonly) = ("some/directory".into(), false));
    let path = std::path::absolute("some/directory").expect("there is a current directory");
    let path = path.to_str().expect("text");
    let wanted = format!("*2\r\n$3\r\ndir\r\n${}\r\n{path}\r\n", path.len());
    assert_eq!(call(&mut server.connect(), b"CONFIG GET dir\r\n", wanted.len()), wanted);
}

#[test]
fn random_bytes_take_no_server_down() {
    use rand::{RngExt, SeedableRng};
    let server = Server::start();
    for seed in 0..100 {
        let mut rng = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(seed);
        let alphabet = b"*$3\r\n+-:GETSET \0\xff\"'1";
        let bytes: Vec<u8> = (0..2000).map(|_| alphabet[rng.random_range(0..alphabet.len())]).collect();
        let mut stream = server.connect();
        // The server may close before all of it is sent.
        let _ = stream.write_all(&bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        rest(&mut stream);
    }
    server.assert_serves();
}
