//! The bench, run as a user runs it, on loads too small to say anything about speed: what is tested is that it measures
//! all that it claims, says it in the documented form, and leaves nothing behind.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const FIGURES: [&str; 7] =
    ["throughput_per_s", "p50_ns", "p95_ns", "p99_ns", "p999_ns", "cpu_s_per_million", "rss_bytes_per_key"];

/// Runs the bench with its servers' directories in `data`.
fn bench(data: &Path, args: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ch01-kv"));
    command.arg("bench").args(args.split_ascii_whitespace()).arg("--data").arg(data);
    command.stdin(Stdio::null()).output().expect("the program runs")
}

/// Runs the bench, which must succeed and remove what it made; its standard output.
fn told(args: &str) -> String {
    let data = tempfile::tempdir().expect("a directory");
    let output = bench(data.path(), args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "bench {args}: {}\n{stderr}", output.status);
    let left: Vec<_> = std::fs::read_dir(data.path()).expect("the directory").collect();
    assert!(left.is_empty(), "bench {args} left {left:?} behind");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn json(args: &str) -> Value {
    let text = told(&format!("{args} --json"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("bench {args} --json: {error}\n{text}"))
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().map(|object| object.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn positive(value: &Value) -> bool {
    value.as_f64().is_some_and(|value| value > 0.0)
}

/// That a spread is one: its median lies within its range.
fn check_spread(spread: &Value, what: &str) {
    let at = |name: &str| spread[name].as_f64().unwrap_or_else(|| panic!("{what}: {spread} has no {name}"));
    assert!(at("low") <= at("median") && at("median") <= at("high"), "{what}: {spread}");
}

/// Whether `tool` is there. Where it is not, says so, or fails where that is demanded.
fn installed(tool: &str) -> bool {
    if Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok() {
        return true;
    }
    assert!(std::env::var_os("CLIENTS").is_none_or(|clients| clients != "require"), "{tool} is not installed");
    // Past the capture of the test harness: a skip that nobody sees is a lie.
    writeln!(std::io::stderr(), "SKIPPED: {tool} is not installed").expect("standard error");
    false
}

#[test]
fn the_json_of_ours_alone_has_every_field_and_no_ratio() {
    let report = json("--driver own --rounds 2 --requests 2000 --clients 5 --keys 500 --memory-keys 20000");
    assert_eq!(report["ours"]["name"], "ch01-kv");
    assert!(report["peer"].is_null());
    assert_eq!(
        (&report["driver"], &report["clients"], &report["keys"], &report["value_bytes"], &report["rounds"]),
        (&"own".into(), &5.into(), &500.into(), &64.into(), &2.into())
    );
    assert!(positive(&report["cores"]) && report["debug_build"].is_boolean() && report["data_in_memory"].is_boolean());
    let workloads = report["workloads"].as_array().expect("workloads");
    let names: Vec<&str> = workloads.iter().filter_map(|workload| workload["name"].as_str()).collect();
    assert_eq!(names, ["set", "get", "set-p16", "get-p16", "set-always", "memory"]);
    for (workload, name) in workloads.iter().zip(names) {
        let figures = &workload["figures"];
        let mut expected = FIGURES;
        expected.sort_unstable();
        assert_eq!(keys(figures), expected, "{name}");
        let measured = if name == "memory" { &FIGURES[6..] } else { &FIGURES[..6] };
        for figure in FIGURES {
            let value = &figures[figure];
            assert_eq!(!value.is_null(), measured.contains(&figure), "{name}, {figure}: {value}");
            if !value.is_null() {
                check_spread(&value["ours"], &format!("{name}, {figure}"));
                // Processor time comes in steps of 10 ms, which a short run may not reach.
                assert!(
                    figure == "cpu_s_per_million" || positive(&value["ours"]["median"]),
                    "{name}, {figure}: {value}"
                );
                assert!(value["peer"].is_null() && value["ratio"].is_null(), "{name}, {figure}: {value}");
            }
        }
        let durability = match name {
            "set-always" => "always",
            "memory" => "off",
            _ => "everysec",
        };
        assert_eq!(workload["appendfsync"], durability, "{name}");
        assert_eq!(
            workload["fdatasync_ns"].is_null(),
            durability == "off",
            "{name}: a durable figure stands beside the disk's"
        );
        let pipeline = if name.ends_with("p16") { 16.into() } else { 1.into() };
        assert_eq!(workload["pipeline"], if name == "memory" { Value::Null } else { pipeline }, "{name}");
        assert_eq!(workload["requests"], if name == "memory" { 20_000 } else { 2_000 }, "{name}");
    }
    let per_key = |report: &Value| report["workloads"][5]["figures"]["rss_bytes_per_key"]["ours"]["median"].as_f64();
    // 16 bytes of key and 100 of value are the least that a key can take; the allocator rounds, and so do pages.
    assert!(per_key(&report).is_some_and(|bytes| (110.0..2_000.0).contains(&bytes)), "{:?}", per_key(&report));
}

#[test]
fn without_a_log_no_disk_is_named() {
    let report =
        json("--driver own --rounds 1 --requests 500 --clients 2 --keys 100 --workloads set --appendfsync off");
    assert_eq!(report["workloads"][0]["appendfsync"], "off");
    assert!(report["workloads"][0]["fdatasync_ns"].is_null());
    assert_eq!(report["workloads"].as_array().map(Vec::len), Some(1), "only what was asked for");
}

#[test]
fn the_table_names_each_load_and_each_figure() {
    let text = told("--driver own --rounds 1 --requests 500 --clients 2 --keys 100 --workloads get,set-always");
    for part in
        ["GET, pipeline 1", "appendfsync always", "throughput", "p99.9", "CPU per million", "fdatasync of the disk"]
    {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    assert!(!text.contains("ours / peer"), "there is no peer:\n{text}");
}

#[test]
fn seven_rounds_beside_a_peer_give_a_ratio_of_each_figure() {
    if !installed("redis-server") {
        return;
    }
    let report = json(
        "--peer redis --driver own --rounds 7 --requests 3000 --clients 5 --keys 500 --memory-keys 20000 \
         --workloads set,get-p16,memory",
    );
    assert_eq!(report["peer"]["name"], "redis-server");
    assert!(report["peer"]["version"].as_str().is_some_and(|version| version.contains('.')), "{}", report["peer"]);
    for workload in report["workloads"].as_array().expect("workloads") {
        for (figure, value) in workload["figures"].as_object().expect("figures") {
            if value.is_null() || figure == "cpu_s_per_million" {
                continue;
            }
            let what = format!("{}, {figure}", workload["name"]);
            check_spread(&value["ours"], &what);
            check_spread(&value["peer"], &what);
            check_spread(&value["ratio"], &what);
            let [ours, peer] = ["ours", "peer"].map(|side| (value[side]["low"].as_f64(), value[side]["high"].as_f64()));
            let bounds =
                ours.0.zip(peer.1).map(|(low, high)| low / high).zip(ours.1.zip(peer.0).map(|(high, low)| high / low));
            let ratio = value["ratio"]["median"].as_f64().expect("a number");
            let (least, most) = bounds.expect("numbers");
            assert!((least..=most).contains(&ratio), "{what}: ours is divided by the peer's in {value}");
        }
    }
}

#[test]
fn redis_benchmark_drives_both_systems() {
    if !installed("redis-server") || !installed("redis-benchmark") {
        return;
    }
    let report = json(
        "--peer redis --driver redis-benchmark --rounds 1 --requests 2000 --clients 5 --keys 500 --workloads set,get-p16",
    );
    assert_eq!(report["driver"], "redis-benchmark");
    for workload in report["workloads"].as_array().expect("workloads") {
        for figure in &FIGURES[..5] {
            let value = &workload["figures"][figure];
            assert!(positive(&value["ours"]["median"]) && positive(&value["peer"]["median"]), "{figure}: {value}");
            assert!(value["ratio"].is_null(), "one round is no ratio: {value}");
        }
    }
}

#[test]
fn a_peer_that_is_not_there_is_named_and_nothing_is_left() {
    let data = tempfile::tempdir().expect("a directory");
    let args =
        "--peer redis --redis-server /nonexistent/redis-server --driver own --rounds 1 --requests 10 --workloads set";
    let output = bench(data.path(), args);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("/nonexistent/redis-server is not there"), "{stderr}");
    assert_eq!(std::fs::read_dir(data.path()).expect("the directory").count(), 0, "a directory was left");
}

#[test]
fn a_peer_that_ends_at_once_is_quoted() {
    let data = tempfile::tempdir().expect("a directory");
    let args = "--peer redis --redis-server /bin/false --driver own --rounds 1 --requests 10 --workloads set";
    let output = bench(data.path(), args);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("redis-server did not start"), "{stderr}");
    assert_eq!(std::fs::read_dir(data.path()).expect("the directory").count(), 0, "a directory was left");
}

#[test]
fn a_bench_that_is_told_to_end_takes_its_servers_and_their_directories_with_it() {
    let data = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ch01-kv"));
    command.args(["bench", "--driver", "own", "--seconds", "600", "--workloads", "set", "--data"]).arg(data.path());
    let mut bench = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program runs");
    let listed = || std::fs::read_dir(data.path()).expect("the directory").count();
    while listed() == 0 {
        assert!(bench.try_wait().expect("a child").is_none(), "the bench ended before it began");
        std::thread::yield_now();
    }
    // Its first server is being started, or serves: the signals have been listened for since before that.
    let pid = rustix::process::Pid::from_child(&bench);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
    let output = bench.wait_with_output().expect("the bench ends");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted"), "{output:?}");
    assert_eq!(listed(), 0, "a directory was left");
}

#[test]
fn each_strategy_of_the_timeline_takes_the_commands_that_the_book_counts() {
    let report = json("timeline --users 60 --mean-follows 8 --posts 40 --reads 400 --clients 3 --thresholds 3");
    let runs = report["runs"].as_array().expect("runs");
    let of = |name: &str| runs.iter().filter(|run| run["strategy"] == name).collect::<Vec<_>>();
    let (on_read, on_write, hybrids) = (of("on read"), of("on write"), of("hybrid"));
    assert_eq!((on_read.len(), on_write.len(), hybrids.len()), (1, 1, 3));
    let number = |run: &Value, name: &str| run[name].as_f64().expect("a number");
    for run in runs {
        assert_eq!((&run["posts"]["count"], &run["reads"]["count"]), (&40.into(), &400.into()), "{run}");
        for side in ["posts", "reads"] {
            for percentile in ["p50_ns", "p95_ns", "p99_ns", "p999_ns"] {
                assert!(positive(&run[side][percentile]), "{side} {percentile}: {run}");
            }
        }
        assert!(positive(&run["elapsed_s"]) && keys(run).contains(&"cpu_s"), "{run}");
        assert!(number(run, "commands_per_post") <= number(on_write[0], "commands_per_post"), "{run}");
        assert!(number(run, "commands_per_read") <= number(on_read[0], "commands_per_read"), "{run}");
    }
    assert!((number(on_read[0], "commands_per_post") - 2.0).abs() < 1e-9, "a push and a trim of one list");
    assert!((number(on_write[0], "commands_per_read") - 1.0).abs() < 1e-9, "one list");
    assert!(number(on_write[0], "commands_per_post") > 4.0 && number(on_read[0], "commands_per_read") > 2.0);
    assert!(positive(&report["mean_followers"]) && positive(&report["most_followers"]) && report["page"] == 50);
    let text = told("timeline --users 60 --mean-follows 8 --posts 20 --reads 100 --clients 3 --thresholds 3");
    for part in ["on read", "on write", "hybrid (", "per post", "99th percentile", "followers make a celebrity"] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}
