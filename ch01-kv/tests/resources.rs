//! What a server takes of the machine, and gives back: ten thousand connections, memory, and its port.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

#[path = "support/served.rs"]
mod served;

use served::Served;

/// How long a test waits for what must come, before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many connections a server is to hold: Redis' default, and ours.
const CONNECTIONS: usize = 10_000;

/// Files that each process needs beside the connections.
const SPARE_FILES: usize = 200;

fn connect(server: &Served) -> TcpStream {
    let stream = TcpStream::connect(server.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

fn read(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut answer = vec![0; len];
    stream.read_exact(&mut answer).expect("the server answers");
    answer
}

#[test]
fn ten_thousand_connections_are_held_and_the_next_ones_refused() {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).expect("up to the maximum is allowed");
    let files = limit.current.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    let count = CONNECTIONS.min(files.saturating_sub(SPARE_FILES));
    if count < CONNECTIONS {
        let said = format!("SKIPPED: 10,000 connections were wanted: the limit of {files} open files allows {count}\n");
        let _ = rustix::io::write(rustix::stdio::stderr(), said.as_bytes());
        assert!(std::env::var_os("CLIENTS").is_none_or(|clients| clients != "require"), "{said}");
    }
    let data = tempfile::tempdir().expect("a directory");
    let server = Served::start(data.path(), &[]);
    let mut held: Vec<TcpStream> = (0..count).map(|_| connect(&server)).collect();
    held.iter_mut().for_each(|stream| stream.write_all(b"PING\r\n").expect("it is sent"));
    held.iter_mut().for_each(|stream| assert_eq!(read(stream, 7), b"+PONG\r\n"));
    if count == CONNECTIONS {
        for _ in 0..100 {
            let mut answer = Vec::new();
            match connect(&server).read_to_end(&mut answer) {
                Ok(_) => assert_eq!(answer, b"-ERR max number of clients reached\r\n"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            }
        }
    }
    held[0].write_all(b"PING\r\n").expect("it is sent");
    assert_eq!(read(&mut held[0], 7), b"+PONG\r\n", "those that are held are served");
}

/// The memory of the server, in bytes.
#[cfg(target_os = "linux")]
fn resident_bytes(server: &Served) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory").trim();
    line.trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

#[test]
#[cfg(target_os = "linux")]
fn memory_that_is_freed_goes_back_to_the_system() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Served::start(data.path(), &[]);
    let resident = || resident_bytes(&server);
    let mut client = connect(&server);
    let value = vec![b'v'; 64 << 20];
    client.write_all(format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", value.len()).as_bytes()).expect("it is sent");
    client.write_all(&value).expect("it is sent");
    client.write_all(b"\r\n").expect("it is sent");
    assert_eq!(read(&mut client, 5), b"+OK\r\n");
    let full = resident();
    assert!(full > 64 << 20, "{full} bytes cannot hold the value");
    client.write_all(b"DEL k\r\n").expect("it is sent");
    assert_eq!(read(&mut client, 4), b":1\r\n");
    let began = Instant::now();
    while resident() > 40 << 20 {
        assert!(began.elapsed() < PATIENCE, "{} bytes are kept of {full}", resident());
        // Served meanwhile: each answer is a moment later.
        client.write_all(b"DEBUG SLEEP 0.05\r\n").expect("it is sent");
        assert_eq!(read(&mut client, 5), b"+OK\r\n");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn memory_of_many_small_values_goes_back_while_nobody_asks_for_anything() {
    const KEYS: usize = 100_000;
    let data = tempfile::tempdir().expect("a directory");
    let server = Served::start(data.path(), &[]);
    let mut client = connect(&server);
    let value = "v".repeat(900);
    let requests: String = (0..KEYS).map(|n| format!("SET key:{n} {value}\r\n")).collect();
    let mut sender = client.try_clone().expect("a socket");
    let sending = std::thread::spawn(move || sender.write_all(requests.as_bytes()).expect("it is sent"));
    read(&mut client, KEYS * "+OK\r\n".len());
    sending.join().expect("it is sent");
    let full = resident_bytes(&server);
    assert!(full > 90 << 20, "{full} bytes cannot hold the values");
    client.write_all(b"FLUSHALL\r\n").expect("it is sent");
    assert_eq!(read(&mut client, 5), b"+OK\r\n");
    // Their pages are kept for the next ones, and no request comes by that would make the allocator think of it.
    let began = Instant::now();
    while resident_bytes(&server) > full / 3 {
        assert!(began.elapsed() < PATIENCE, "{} bytes are kept of {full}", resident_bytes(&server));
        std::thread::yield_now();
    }
}

#[test]
fn a_port_that_is_taken_is_told_before_anything_is_written() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let parent = tempfile::tempdir().expect("a directory");
    let data = parent.path().join("data");
    let output = Command::new(env!("CARGO_BIN_EXE_ch01-kv"))
        .args(["serve", "--listen", &address, "--data"])
        .arg(&data)
        .output()
        .expect("the binary starts");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(&address) && message.contains("in use"), "{message}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "it has never been ready");
    let left: Vec<_> = std::fs::read_dir(parent.path()).expect("it is there").collect();
    assert!(left.is_empty(), "{left:?} was made for nothing");
}
