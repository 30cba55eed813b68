//! The shell, fed from a pipe against a real server.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Output, Stdio};

use ch01_kv::protocol::config::Config;
use ch01_kv::server::{Options, Running};

fn serve(dir: &tempfile::TempDir, password: &str) -> Running {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = Config { requirepass: password.into(), ..Config::new(any, dir.path().join("data")) };
    Running::start(Options::new(config)).expect("a server starts")
}

fn shell(address: SocketAddr, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ch01-kv"))
        .args(["shell", "--connect", &address.to_string()])
        .args(args)
        .env_remove("KV_PASSWORD")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // It may have ended before it reads, which is then what the test is about.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("the binary ends")
}

#[test]
fn lines_from_a_pipe_are_executed_and_their_replies_printed_as_redis_cli_does() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = serve(&dir, "");
    let input = "SET greeting \"hello world\"\n\nGET greeting\nGET nothing\nINCR n\nHSET h f v\nHGETALL h\nGET h\nquit\nSET late 1\n";
    let output = shell(server.address(), &[], input);
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..5], ["OK", "\"hello world\"", "(nil)", "(integer) 1", "(integer) 1"]);
    assert_eq!(lines[5..7], ["1) \"f\"", "2) \"v\""]);
    assert_eq!(lines[7], "(error) WRONGTYPE Operation against a key holding the wrong kind of value");
    assert_eq!(lines.len(), 8, "nothing is executed after quit");
    server.stop().expect("the server ends well");
}

#[test]
fn unbalanced_quotes_are_refused_and_the_next_line_is_executed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = serve(&dir, "");
    let output = shell(server.address(), &[], "SET a \"b\nPING\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Invalid argument(s)\nPONG\n");
}

#[test]
fn the_password_is_given_before_the_first_command() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = serve(&dir, "secret");
    let without = shell(server.address(), &[], "GET a\n");
    assert!(String::from_utf8_lossy(&without.stdout).starts_with("(error) NOAUTH"));
    let with = shell(server.address(), &["--password", "secret"], "GET a\n");
    assert_eq!(String::from_utf8_lossy(&with.stdout), "(nil)\n");
    let wrong = shell(server.address(), &["--password", "guess"], "GET a\n");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("WRONGPASS"));
}

#[test]
fn a_server_that_is_not_there_is_named_in_the_error() {
    // Nobody can listen on port 0.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let output = shell(address, &[], "PING\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&address.to_string()));
}

#[test]
fn a_script_that_has_just_started_the_server_may_wait_for_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    // The address is known before anybody listens: a listener that has never accepted leaves its port free at once.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let waiting = std::thread::spawn(move || shell(address, &["--wait", "30"], "PING\n"));
    let config = Config::new(address, dir.path().join("data"));
    let server = Running::start(Options::new(config)).expect("a server starts");
    let output = waiting.join().expect("the shell's thread");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "PONG\n");
    server.stop().expect("the server ends well");
}
