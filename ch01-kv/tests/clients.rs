//! The unmodified real clients drive the real server: redis-cli, redis-benchmark, redis-py with its own test suite, and
//! node-redis.
//!
//! Each test starts the server's binary on a free port with a directory of its own. Where a client is not installed the
//! test says so on the real standard error and passes; with `CLIENTS=require` in the environment, as in CI, it fails.
//!
//! - `PYTHON` names the interpreter that has redis 8.1.0 (and pytest, for the suite); `python3` if unset.
//! - `NODE_PATH` names the folder of modules that has redis 6.3.1.
//! - `REDIS_PY_SUITE` names the folder of the unpacked source package of redis 8.1.0.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde::Deserialize;

#[path = "support/served.rs"]
mod served;

use served::Served;

/// The versions that the scripts and the list of exclusions were written for.
const REDIS_PY: &str = "8.1.0";
const NODE_REDIS: &str = "6.3.1";

/// The files of redis-py's suite that are about what the server does.
const SUITE: [&str; 5] = [
    "tests/test_commands.py",
    "tests/test_pipeline.py",
    "tests/test_pubsub.py",
    "tests/test_monitor.py",
    "tests/test_lock.py",
];

#[test]
fn redis_cli_reads_its_replies_in_both_protocols() {
    let Some(()) = installed("redis-cli", Command::new("redis-cli").arg("--version")) else { return };
    let server = Server::start();
    let session = "SET greeting hello\nGET greeting\nGET nothing\nINCR greeting\nRPUSH list a b c\nLRANGE list 0 -1\n\
                   HSET hash field value\nHGETALL hash\nMULTI\nINCR counter\nGET counter\nEXEC\nZADD board 1.5 one 2 two\n\
                   ZRANGE board 0 -1 WITHSCORES\nNOPE\n";
    let shared = "OK\nhello\n\nERR value is not an integer or out of range\n\n3\na\nb\nc\n1\nfield\nvalue\nOK\nQUEUED\nQUEUED\n1\n1\n2\n";
    let resp2 = format!("{shared}one\n1.5\ntwo\n2\nERR unknown command 'NOPE', with args beginning with: \n\n");
    assert_eq!(server.redis_cli(&[], session), resp2);
    server.redis_cli(&["FLUSHALL"], "");
    // In RESP3 a hash arrives as a map, which redis-cli writes with each pair on a line.
    assert_eq!(server.redis_cli(&["-3"], session), resp2.replace("field\nvalue\n", "field value\n"));
    assert_eq!(server.redis_cli(&["-3", "--json", "HGETALL", "hash"], "").trim_end(), r#"{"field":"value"}"#);
}

#[test]
fn redis_cli_pipes_a_file_of_commands_and_scans_what_it_wrote() {
    let Some(()) = installed("redis-cli", Command::new("redis-cli").arg("--version")) else { return };
    let server = Server::start();
    let commands: String = (0..1000).map(|n| format!("SET key:{n:04} value-{n}\r\n")).collect();
    let said = server.redis_cli(&["--pipe"], &commands);
    assert!(said.contains("errors: 0, replies: 1000"), "{said}");
    let scanned = server.redis_cli(&["--scan", "--pattern", "key:*"], "");
    let scanned: BTreeSet<&str> = scanned.lines().collect();
    assert_eq!(scanned.len(), 1000);
    assert!(scanned.contains("key:0000") && scanned.contains("key:0999"));
    let bytes = server.redis_cli(&["--no-raw", "SET", "binary", "\u{e9}\n"], "");
    assert_eq!(bytes, "OK\n");
    assert_eq!(server.redis_cli(&["--no-raw", "GET", "binary"], ""), "\"\\xc3\\xa9\\n\"\n");
}

#[test]
fn redis_benchmark_finds_every_command_of_its_default_run() {
    let Some(()) = installed("redis-benchmark", Command::new("redis-benchmark").arg("--version")) else { return };
    let server = Server::start();
    for pipeline in ["1", "16"] {
        let mut benchmark = Command::new("redis-benchmark");
        benchmark.args(["-p", &server.port, "-n", "2000", "-c", "20", "-P", pipeline, "--csv"]);
        let output = benchmark.output().expect("redis-benchmark was found before");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}\n{complained}");
        assert!(!said.contains("rror") && complained.is_empty(), "{said}\n{complained}");
        let measured: Vec<&str> = said.lines().skip(1).filter_map(|line| line.split('"').nth(1)).collect();
        for test in ["SET", "GET", "INCR", "LPUSH", "RPUSH", "LPOP", "RPOP", "SADD", "HSET", "SPOP", "ZADD", "ZPOPMIN"]
        {
            assert!(measured.contains(&test), "{test} is missing: {measured:?}");
        }
        for test in ["PING_INLINE", "PING_MBULK", "LRANGE_600", "MSET"] {
            assert!(measured.iter().any(|name| name.starts_with(test)), "{test} is missing: {measured:?}");
        }
    }
}

#[test]
fn redis_py_finds_pipelines_transactions_pubsub_and_blocking_pops_in_both_protocols() {
    let Some(python) = python() else { return };
    let server = Server::start();
    for protocol in ["2", "3"] {
        let output = Command::new(&python).arg(script("redis_py.py")).args([&server.port, protocol]).output();
        assert_said(&output.expect("the interpreter was found before"), "redis-py is content\n");
    }
}

#[test]
fn node_redis_finds_resp3_transactions_pubsub_and_blocking_pops() {
    let code = "const {createRequire} = require('module'); \
                process.stdout.write(createRequire(process.cwd() + '/x')('redis/package.json').version)";
    let found = Command::new("node").args(["-e", code]).output();
    let found = found.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    if found.as_ref().map(String::as_str).ok() != Some(NODE_REDIS) {
        return skip(
            "node-redis",
            &format!("it takes node and the module redis {NODE_REDIS} in NODE_PATH, and found {found:?}"),
        );
    }
    let server = Server::start();
    let output = Command::new("node").arg(script("node_redis.cjs")).arg(&server.port).output();
    assert_said(&output.expect("node was found before"), "node-redis is content\n");
}

/// What redis-py's own tests say of the server: those that fail are those that the list names, no more and no fewer.
#[test]
fn redis_py_own_suite() {
    let Some(suite) = std::env::var_os("REDIS_PY_SUITE").map(PathBuf::from) else {
        return skip("redis-py's own suite", "REDIS_PY_SUITE does not name the folder of its unpacked source package");
    };
    let Some(python) = python() else { return };
    let listed = Exclusions::read();
    let mut failed_in_any = BTreeSet::new();
    for protocol in ["2", "3"] {
        let server = Server::start();
        let mut pytest = Command::new(&python);
        pytest.current_dir(&suite).env("COLUMNS", "300").args(["-m", "pytest"]).args(SUITE);
        pytest.args(["-m", "not redismod and not onlycluster", "-q", "-rfE", "--tb=no", "--timeout=120"]);
        pytest.args(["-p", "no:cacheprovider", "-p", "no:warnings", "--protocol", protocol]);
        pytest.arg(format!("--redis-url=redis://127.0.0.1:{}/9", server.port));
        let output = pytest.output().expect("the interpreter was found before");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        // 0: all passed; 1: some failed. Anything else is about pytest itself.
        assert!(matches!(output.status.code(), Some(0 | 1)), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let failed = failed_tests(&said);
        let unlisted: Vec<&String> = failed.difference(&listed.names).collect();
        assert!(
            unlisted.is_empty(),
            "protocol {protocol}: these tests fail, and nothing says that they may: {unlisted:#?}\n{said}"
        );
        failed_in_any.extend(failed);
    }
    let stale: Vec<&String> = listed.names.difference(&failed_in_any).collect();
    assert!(stale.is_empty(), "these tests are listed as failing, and pass or are gone: {stale:#?}");
}

/// The tests, as `class::name`, that pytest's summary says failed or could not be set up or cleaned up after.
fn failed_tests(said: &str) -> BTreeSet<String> {
    let lines = said.lines().filter_map(|line| line.strip_prefix("FAILED ").or_else(|| line.strip_prefix("ERROR ")));
    lines
        .filter_map(|line| line.split(" - ").next()?.split_once("::"))
        .map(|(_, name)| name.trim().to_owned())
        .collect()
}

/// `redis_py.toml`: the tests of redis-py's suite that fail here, each with the reason.
struct Exclusions {
    names: BTreeSet<String>,
}

#[derive(Deserialize)]
struct ExclusionFile {
    excluded: Vec<Excluded>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Excluded {
    reason: String,
    tests: Vec<String>,
}

impl Exclusions {
    fn read() -> Self {
        let file: ExclusionFile =
            toml::from_str(include_str!("redis_py.toml")).expect("the list of exclusions is TOML");
        let mut names = BTreeSet::new();
        for excluded in file.excluded {
            assert!(!excluded.reason.is_empty(), "every exclusion has a reason");
            for name in excluded.tests {
                assert!(names.insert(name.clone()), "{name} is listed twice");
            }
        }
        Self { names }
    }
}

/// The real server, on a free port, with a directory that goes when it does.
struct Server {
    _served: Served,
    port: String,
    _data: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let served = Served::start(data.path(), &[]);
        Self { port: served.address.port().to_string(), _served: served, _data: data }
    }

    /// What redis-cli answers when it is fed `input`.
    fn redis_cli(&self, args: &[&str], input: &str) -> String {
        let mut cli = Command::new("redis-cli")
            .args(["-p", &self.port])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-cli was found before");
        let mut stdin = cli.stdin.take().expect("it is piped");
        let input = input.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = cli.wait_with_output().expect("redis-cli ends");
        // It need not read what it has no use for.
        let _ = writer.join().expect("the writer does not panic");
        String::from_utf8(output.stdout).expect("redis-cli writes text")
    }
}

/// The interpreter that has redis-py, if there is one.
fn python() -> Option<String> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let version = Command::new(&python).args(["-c", "import redis; print(redis.__version__)"]).output();
    let found = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    if found.as_ref().map(String::as_str).ok() == Some(REDIS_PY) {
        return Some(python);
    }
    skip("redis-py", &format!("it takes the package redis {REDIS_PY} in {python} (see PYTHON), and found {found:?}"));
    None
}

fn installed(client: &str, version: &mut Command) -> Option<()> {
    match version.output() {
        Ok(output) if output.status.success() => Some(()),
        other => {
            skip(client, &format!("it is not installed: {other:?}"));
            None
        }
    }
}

/// Says that a client was not tried, where the test harness cannot swallow it.
fn skip(client: &str, why: &str) {
    assert!(std::env::var("CLIENTS").as_deref() != Ok("require"), "CLIENTS=require, but {client} was not tried: {why}");
    let _ = std::io::stderr().write_all(format!("skipped {client}: {why}\n").as_bytes());
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(name)
}

fn assert_said(output: &Output, expected: &str) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said == expected, "{said}{}", String::from_utf8_lossy(&output.stderr));
}
