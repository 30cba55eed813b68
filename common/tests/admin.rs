//! What the admin endpoint promises: metrics that Prometheus can read, an honest health, and nothing for strangers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Uri};
use common::admin::{self, Buckets, Guard, Health, Metrics, Number, Refused, Remote, Report, Source, Unavailable};
use common::cli::{Shutdown, Trigger};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A family as a reader of the text format sees it.
#[derive(Debug, Default, PartialEq)]
struct Family {
    kind: String,
    help: String,
    /// The sample's own name, its labels and its value.
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// Reads the text format as strictly as `promtool check metrics` does.
fn parse(text: &str) -> Result<BTreeMap<String, Family>, String> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    let mut seen = BTreeSet::new();
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("the last line has no end".into());
    }
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or("HELP without a text")?;
            let family = Family { help: help.into(), ..Family::default() };
            if families.insert(name.into(), family).is_some() {
                return Err(format!("a second HELP for {name}"));
            }
            current = name.into();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or("TYPE without a kind")?;
            let family = families.get_mut(name).filter(|family| family.kind.is_empty() && family.samples.is_empty());
            family.ok_or(format!("TYPE of {name} out of place"))?.kind = kind.into();
        } else {
            if !seen.insert(line.rsplit_once(' ').ok_or("no value")?.0.to_owned()) {
                return Err(format!("a second sample: {line}"));
            }
            let (name, labels, value) = parse_sample(line)?;
            let family = families.get_mut(&current).ok_or("a sample before any family")?;
            let suffix = name.strip_prefix(&current).ok_or(format!("{name} in the family {current}"))?;
            let suffixes: &[&str] = if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            if !suffixes.contains(&suffix) {
                return Err(format!("{name} in the family {current}"));
            }
            family.samples.push((name, labels, value));
        }
    }
    Ok(families)
}

fn parse_sample(line: &str) -> Result<(String, BTreeMap<String, String>, f64), String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").ok_or("a label without a value")?;
            let mut value = String::new();
            let mut chars = after.char_indices();
            let closed = loop {
                match chars.next().ok_or("a label value without an end")? {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match chars.next() {
                        Some((_, 'n')) => '\n',
                        Some((_, c @ ('\\' | '"'))) => c,
                        other => return Err(format!("an unknown escape {other:?}")),
                    }),
                    (_, c) => value.push(c),
                }
            };
            if labels.insert(label.to_owned(), value).is_some() {
                return Err(format!("the label {label} twice"));
            }
            rest = &after[closed + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').ok_or("no blank before the value")?;
    let value = value.parse().map_err(|_| format!("{value:?} is no number"))?;
    Ok((name.to_owned(), labels, value))
}

fn sample_metrics() -> Metrics {
    let mut metrics = Metrics::new();
    metrics.counter("kv_commands_total", "Commands executed.").with(&[("command", "get")], 12u64);
    metrics.gauge("kv_keys", "Keys, by database.").with(&[("db", "0")], 3usize).with(&[("db", "1")], 0usize);
    metrics.counter("kv_commands_total", "Commands executed.").with(&[("command", "set")], u64::MAX);
    let mut buckets = Buckets::new(&[0.001, 0.01]);
    for seconds in [0.0005, 0.001, 0.002, 5.0] {
        buckets.observe(seconds);
    }
    metrics.histogram("kv_request_seconds", "Response time.").buckets(&[("command", "get")], &buckets);
    metrics
}

#[test]
fn the_text_is_what_the_format_says() {
    let expected = "\
# HELP kv_commands_total Commands executed.
# TYPE kv_commands_total counter
kv_commands_total{command=\"get\"} 12
kv_commands_total{command=\"set\"} 18446744073709551615
# HELP kv_keys Keys, by database.
# TYPE kv_keys gauge
kv_keys{db=\"0\"} 3
kv_keys{db=\"1\"} 0
# HELP kv_request_seconds Response time.
# TYPE kv_request_seconds histogram
kv_request_seconds_bucket{command=\"get\",le=\"0.001\"} 2
kv_request_seconds_bucket{command=\"get\",le=\"0.01\"} 3
kv_request_seconds_bucket{command=\"get\",le=\"+Inf\"} 4
kv_request_seconds_sum{command=\"get\"} 5.0035
kv_request_seconds_count{command=\"get\"} 4
";
    let text = sample_metrics().render();
    assert_eq!(text, expected);
    assert_eq!(parse(&text).expect("it can be read").len(), 3);
}

#[test]
fn the_reader_of_these_tests_refuses_what_prometheus_refuses() {
    for wrong in [
        "x 1\n",
        "# HELP x y\n# TYPE x gauge\nx 1",
        "# HELP x y\n# TYPE x gauge\nx 1\nx 2\n",
        "# HELP x y\n# TYPE x gauge\ny 1\n",
        "# HELP x y\n# TYPE x gauge\nx one\n",
        "# HELP x y\n# TYPE x gauge\n# HELP x y\n",
        "# HELP x y\nx 1\n# TYPE x gauge\n",
        "# HELP x y\n# TYPE x gauge\nx{a=\"b} 1\n",
        "# HELP x y\n# TYPE x gauge\nx{a=\"\\t\"} 1\n",
    ] {
        parse(wrong).expect_err(wrong);
    }
}

proptest! {
    #[test]
    fn any_label_value_arrives_as_it_was_sent(value in any::<String>(), number in any::<f64>()) {
        let mut metrics = Metrics::new();
        metrics.gauge("any_value", "A back\\slash and a line\nbreak.").with(&[("label", &value)], number);
        let text = metrics.render();
        // `lines` of the reader would also swallow a carriage return before a line break.
        prop_assume!(!value.contains('\r'));
        let families = parse(&text).map_err(TestCaseError::fail)?;
        let (_, labels, read) = &families["any_value"].samples[0];
        prop_assert_eq!(&labels["label"], &value);
        prop_assert!(*read == number || (read.is_nan() && number.is_nan()));
        prop_assert_eq!(&families["any_value"].help, "A back\\\\slash and a line\\nbreak.");
    }
}

#[test]
fn numbers_are_written_as_prometheus_reads_them() {
    let cases = [
        (Number::from(f64::INFINITY), "+Inf"),
        (Number::from(f64::NEG_INFINITY), "-Inf"),
        (Number::from(f64::NAN), "NaN"),
        (Number::from(Duration::from_millis(1500)), "1.5"),
        (Number::from(true), "1"),
        (Number::from(1e300), &format!("1{}", "0".repeat(300))),
    ];
    for (number, text) in cases {
        assert_eq!(number.to_string(), text);
    }
}

#[test]
fn buckets_are_cumulative_and_hold_their_own_bound() {
    let mut buckets = Buckets::latency();
    buckets.observe(0.001);
    buckets.observe(f64::INFINITY);
    let mut metrics = Metrics::new();
    metrics.histogram("x_seconds", "X.").buckets(&[], &buckets);
    let families = parse(&metrics.render()).expect("it can be read");
    let below = |le: &str| {
        families["x_seconds"].samples.iter().find(|(_, labels, _)| labels.get("le").is_some_and(|l| l == le))
    };
    assert_eq!(below("0.0005").map(|sample| sample.2), Some(0.0));
    assert_eq!(below("0.001").map(|sample| sample.2), Some(1.0));
    assert_eq!(below("+Inf").map(|sample| sample.2), Some(2.0));
    assert_eq!(buckets.count(), 2);
}

#[test]
#[should_panic(expected = "two samples of \"x\"")]
fn two_samples_with_the_same_labels_are_a_bug() {
    Metrics::new().gauge("x", "X.").with(&[("a", "1"), ("b", "2")], 1u64).with(&[("b", "2"), ("a", "1")], 2u64);
}

#[test]
#[should_panic(expected = "is two different families")]
fn one_name_for_two_families_is_a_bug() {
    let mut metrics = Metrics::new();
    metrics.gauge("x", "X.").value(1u64);
    metrics.histogram("x", "X.").buckets(&[], &Buckets::latency());
}

#[test]
#[should_panic(expected = "must end in _total")]
fn a_counter_that_is_not_named_like_one_is_a_bug() {
    Metrics::new().counter("commands", "Commands.").value(1u64);
}

#[test]
fn labels_made_from_user_data_cannot_grow_without_bound() {
    let mut metrics = Metrics::new();
    let mut family = metrics.gauge("by_key", "By key.");
    for key in 0..10_050 {
        family = family.with(&[("key", &key.to_string())], 1u64);
    }
    let families = parse(&metrics.render()).expect("it can be read");
    assert_eq!(families["by_key"].samples.len(), 10_000);
    assert_eq!(families["admin_dropped_samples_total"].samples[0].2, 50.0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_reports_its_own_use_of_the_machine() {
    let mut metrics = Metrics::new();
    metrics.process();
    let families = parse(&metrics.render()).expect("it can be read");
    assert!(families["process_resident_memory_bytes"].samples[0].2 > 100_000.0);
    assert_eq!(families["process_cpu_seconds_total"].kind, "counter");
}

fn check(guard: &Guard, hosts: &[&str], origin: Option<&str>, uri: &'static str) -> Result<(), Refused> {
    let mut headers = HeaderMap::new();
    for host in hosts {
        headers.append("host", HeaderValue::from_str(host).expect("a header"));
    }
    if let Some(origin) = origin {
        headers.append("origin", HeaderValue::from_str(origin).expect("a header"));
    }
    guard.check(&Uri::from_static(uri), &headers)
}

#[test]
fn the_server_is_known_by_its_own_addresses_only() {
    let guard = Guard::new(SocketAddr::from(([10, 0, 0, 7], 9121)));
    for own in ["127.0.0.1:9121", "localhost", "LOCALHOST:80", "localhost.", "[::1]:9121", "127.3.2.1", "10.0.0.7:9121"]
    {
        check(&guard, &[own], None, "/metrics").unwrap_or_else(|error| panic!("{own}: {error}"));
    }
    for strange in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:9121",
        "10.0.0.8",
        "evil.example:80:80",
        "localhost:x",
        "[::1",
        "[::1]x",
        "",
        "@localhost",
        "evil@localhost",
    ] {
        check(&guard, &[strange], None, "/metrics").expect_err(strange);
    }
    assert_eq!(check(&guard, &[], None, "/metrics"), Err(Refused::HostCount));
    assert_eq!(check(&guard, &["localhost", "localhost"], None, "/metrics"), Err(Refused::HostCount));
    check(&guard, &["localhost"], None, "http://evil.example/metrics").expect_err("the request line counts too");
    let everywhere = Guard::new(SocketAddr::from(([0, 0, 0, 0], 9121)));
    check(&everywhere, &["192.168.1.1:9121"], None, "/").expect("bound to every address, it is known by any");
    check(&everywhere, &["evil.example"], None, "/").expect_err("but by no name");
    check(&everywhere.named("node1"), &["Node1:9121"], None, "/").expect("unless it is given one");
}

#[test]
fn pages_of_other_sites_are_refused() {
    let guard = Guard::new(SocketAddr::from(([127, 0, 0, 1], 9121)));
    let host = ["127.0.0.1:9121"];
    check(&guard, &host, Some("http://127.0.0.1:9121"), "/state").expect("its own page");
    for origin in
        ["http://evil.example", "http://127.0.0.1:8080", "http://localhost:9121", "null", "", "https://127.0.0.1:9121"]
    {
        check(&guard, &host, Some(origin), "/state").expect_err(origin);
    }
}

/// A running endpoint.
struct Server {
    addr: SocketAddr,
    trigger: Trigger,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(source: impl Source) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let (trigger, shutdown) = Shutdown::new();
        let task = tokio::spawn(admin::serve(listener, Arc::new(source), shutdown));
        Self { addr, trigger, task }
    }

    /// Sends a request as it is, with a `Host` for `HOST`, and reads until the connection is closed.
    async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.addr).await.expect("the server listens");
        let request = request.replace("HOST", &self.addr.to_string());
        stream.write_all(request.as_bytes()).await.expect("the request is sent");
        let mut answer = Vec::new();
        // A server that refuses may close before it has read everything, which resets the connection.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("the answer is text")
    }

    async fn get(&self, path: &str) -> String {
        self.raw(&format!("GET {path} HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n")).await
    }

    async fn stop(self) {
        self.trigger.request();
        self.task.await.expect("no panic").expect("no failure");
    }
}

fn sample_report() -> Report {
    Report { metrics: sample_metrics(), health: Health::Ok, state: serde_json::json!({"keys": 3}) }
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a head and a body").1
}

#[tokio::test]
async fn each_page_shows_its_part_of_the_report() {
    let server = Server::start(sample_report).await;
    let metrics = server.get("/metrics").await;
    assert!(metrics.starts_with("HTTP/1.1 200") && metrics.contains(admin::CONTENT_TYPE), "{metrics}");
    assert_eq!(body(&metrics), sample_metrics().render());
    let health = server.get("/health").await;
    assert!(health.starts_with("HTTP/1.1 200") && body(&health).contains("\"ok\""), "{health}");
    let state: serde_json::Value = serde_json::from_str(body(&server.get("/state").await)).expect("JSON");
    assert_eq!(state, serde_json::json!({"keys": 3}));
    let index = server.get("/").await;
    assert!(index.contains("text/html") && index.contains("href=\"/metrics\""), "{index}");
    assert!(server.get("/nothing").await.starts_with("HTTP/1.1 404"));
    server.stop().await;
}

#[tokio::test]
async fn a_failing_system_says_so_and_why() {
    let failing = || Report { health: Health::Failing("the disk is full".into()), ..sample_report() };
    let server = Server::start(failing).await;
    let health = server.get("/health").await;
    assert!(health.starts_with("HTTP/1.1 503") && health.contains("the disk is full"), "{health}");
    assert!(server.get("/metrics").await.starts_with("HTTP/1.1 200"), "it can still be looked into");
    server.stop().await;
}

#[tokio::test]
async fn strangers_are_refused_on_every_path() {
    let server = Server::start(sample_report).await;
    for path in ["/", "/metrics", "/health", "/state", "/nothing"] {
        let rebound = format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
        let answer = server.raw(&rebound).await;
        assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("kv_keys"), "{path}: {answer}");
        let page = "Host: HOST\r\nOrigin: http://evil.example\r\nConnection: close";
        let answer = server.raw(&format!("GET {path} HTTP/1.1\r\n{page}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{path}: {answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn it_is_only_read() {
    let server = Server::start(sample_report).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let head = "Host: HOST\r\nContent-Length: 99999999999\r\nConnection: close";
        let answer = server.raw(&format!("{method} /state HTTP/1.1\r\n{head}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: GET"), "{method}: {answer}");
    }
    let head = server.raw("HEAD /metrics HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200") && body(&head).is_empty(), "{head}");
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_http_is_closed() {
    let server = Server::start(sample_report).await;
    for garbage in ["*1\r\n$4\r\nPING\r\n", "\0\0\0\0\r\n\r\n", &format!("GET /{} HTTP/1.1\r\n", "x".repeat(1 << 20))] {
        let answer = server.raw(garbage).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert!(server.get("/health").await.starts_with("HTTP/1.1 200"), "and it goes on");
    server.stop().await;
}

#[tokio::test]
async fn shutdown_does_not_wait_for_those_who_say_nothing() {
    let server = Server::start(sample_report).await;
    let mut silent = TcpStream::connect(server.addr).await.expect("the server listens");
    silent.write_all(b"GET /met").await.expect("half a request is sent");
    assert!(server.get("/health").await.starts_with("HTTP/1.1 200"));
    server.stop().await;
}

#[tokio::test]
async fn shutdown_does_not_wait_for_an_engine_that_does_not_answer() {
    let (remote, mut asks) = Remote::channel(Duration::from_secs(60));
    let server = Server::start(remote).await;
    let mut observer = TcpStream::connect(server.addr).await.expect("the server listens");
    let request = format!("GET /state HTTP/1.1\r\nHost: {}\r\n\r\n", server.addr);
    observer.write_all(request.as_bytes()).await.expect("the request is sent");
    let unanswered = asks.next().await.expect("the engine is asked");
    // From here on the clock moves by itself to the next deadline whenever everything sleeps.
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    server.stop().await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    drop(unanswered);
}

#[tokio::test]
async fn half_a_request_does_not_hold_its_place_for_ever() {
    let server = Server::start(sample_report).await;
    let mut silent = TcpStream::connect(server.addr).await.expect("the server listens");
    silent.write_all(b"GET /metrics HTTP/1.1\r\nHost: lo").await.expect("half a request is sent");
    assert!(server.get("/health").await.starts_with("HTTP/1.1 200"), "the one before it has been accepted too");
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let read = silent.read_to_end(&mut Vec::new()).await;
    assert!(matches!(read, Ok(0) | Err(_)), "it is closed without an answer: {read:?}");
    assert!(began.elapsed() <= Duration::from_secs(31), "{:?}", began.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn an_engine_is_asked_between_two_events() {
    let (remote, mut asks) = Remote::channel(Duration::from_secs(60));
    let engine = tokio::spawn(async move {
        let mut answered = 0u64;
        while let Some(ask) = asks.next().await {
            answered += 1;
            ask.answer(Report { state: serde_json::json!({"answered": answered}), ..Report::default() });
        }
        answered
    });
    let server = Server::start(remote).await;
    for expected in 1..=3u64 {
        let state: serde_json::Value = serde_json::from_str(body(&server.get("/state").await)).expect("JSON");
        assert_eq!(state["answered"], expected);
    }
    server.stop().await;
    assert_eq!(engine.await.expect("the engine ends with the last who could ask"), 3);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_answer_in_time_is_what_is_reported() {
    let (remote, asks) = Remote::channel(Duration::from_secs(2));
    assert_eq!(remote.collect().await.err(), Some(Unavailable::Timeout));
    drop(asks);
    assert_eq!(remote.collect().await.err(), Some(Unavailable::Stopped));
}

#[tokio::test(start_paused = true)]
async fn observers_do_not_pile_up_before_a_busy_engine() {
    let (remote, mut asks) = Remote::channel(Duration::from_secs(2));
    let waiting: Vec<_> = (0..8)
        .map(|_| remote.clone())
        .map(|remote| tokio::spawn(async move { remote.collect().await.err() }))
        .collect();
    tokio::task::yield_now().await;
    assert_eq!(remote.collect().await.err(), Some(Unavailable::Busy));
    for asker in waiting {
        assert_eq!(asker.await.expect("no panic"), Some(Unavailable::Timeout));
    }
    let ask = asks.try_next().expect("the requests are still there");
    assert!(!ask.is_awaited(), "but nobody waits for them");
    ask.answer(Report::default());
}

#[tokio::test]
async fn an_engine_that_is_gone_makes_every_page_say_unavailable() {
    let (remote, asks) = Remote::channel(Duration::from_secs(60));
    drop(asks);
    let server = Server::start(remote).await;
    for path in ["/metrics", "/health", "/state"] {
        let answer = server.get(path).await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("the engine has stopped"), "{path}: {answer}");
    }
    server.stop().await;
}
