//! What every binary promises at its edge: exit codes, signals, tables and numbers.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;

use clap::Parser;
use common::cli::chart::{Axis, Lines, Scale, Series};
use common::cli::{self, Error, Exit, Look, Progress, Shutdown, Table, Verbosity, chart, human};
use tracing_subscriber::filter::LevelFilter;

/// What the child processes of these tests are to do.
const ROLE: &str = "COMMON_TEST_ROLE";

#[derive(Debug, thiserror::Error)]
#[error("record at byte 17 is damaged")]
struct Damage;

#[derive(Debug, thiserror::Error)]
#[error("cannot open the log")]
struct CannotOpen(#[source] Damage);

fn no_opinion(_: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    None
}

#[test]
fn an_error_is_printed_with_all_of_its_causes() {
    let error = anyhow::Error::new(CannotOpen(Damage)).context("cannot start");
    let (exit, text) = cli::explain(error.as_ref(), no_opinion);
    assert_eq!(exit, Exit::Failed);
    assert_eq!(
        text,
        "error: cannot start\n  caused by: cannot open the log\n  caused by: record at byte 17 is damaged"
    );
}

#[test]
fn a_cause_that_was_said_already_is_not_repeated() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot start: {0}")]
    struct Repeats(#[source] Damage);
    let (_, text) = cli::explain(&Repeats(Damage), no_opinion);
    assert_eq!(text, "error: cannot start: record at byte 17 is damaged");
}

#[test]
fn the_exit_code_is_chosen_by_whichever_link_of_the_chain_is_known() {
    let damaged = |link: &(dyn std::error::Error + 'static)| link.downcast_ref::<Damage>().map(|_| Exit::Damaged);
    let fails = || Err::<(), _>(anyhow::Error::new(CannotOpen(Damage)).context("cannot start"));
    assert_eq!(cli::run(fails, damaged), ExitCode::from(3));
    assert_eq!(cli::run(fails, no_opinion), ExitCode::from(1));
    assert_eq!(cli::run(|| Ok::<_, anyhow::Error>(()), no_opinion), ExitCode::from(0));
    assert_eq!(cli::run(|| Ok::<_, anyhow::Error>(Exit::Failed), no_opinion), ExitCode::from(1));
    let misused = || Err::<(), _>(anyhow::Error::new(Error::Usage("no such peer".into())));
    assert_eq!(cli::run(misused, no_opinion), ExitCode::from(2));
}

#[test]
fn a_reader_who_has_seen_enough_of_the_output_is_no_failure() {
    let output = |kind: io::ErrorKind| anyhow::Error::new(Error::Output(kind.into())).context("cannot finish");
    assert_eq!(cli::explain(output(io::ErrorKind::BrokenPipe).as_ref(), no_opinion), (Exit::Done, String::new()));
    assert_eq!(cli::explain(output(io::ErrorKind::StorageFull).as_ref(), no_opinion).0, Exit::Failed);
}

#[test]
fn a_network_peer_that_goes_away_is_not_taken_for_a_closed_output() {
    let peer = anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe));
    assert_eq!(cli::explain(peer.as_ref(), no_opinion).0, Exit::Failed);
}

#[test]
fn logs_are_quiet_by_default_and_grow_with_each_v() {
    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        verbosity: Verbosity,
    }
    let filter =
        |args: &[&str]| Flags::try_parse_from(["test"].iter().chain(args)).map(|flags| flags.verbosity.level()).ok();
    assert_eq!(filter(&[]), Some(LevelFilter::WARN));
    assert_eq!(filter(&["-v"]), Some(LevelFilter::INFO));
    assert_eq!(filter(&["-vv"]), Some(LevelFilter::DEBUG));
    assert_eq!(filter(&["-q"]), Some(LevelFilter::ERROR));
    assert_eq!(filter(&["-q", "-v"]), None, "flags that contradict each other are a usage error");
}

#[test]
fn rust_log_overrides_the_flags_and_a_wrong_one_is_an_error_that_says_what_would_be_right() {
    let outcome = |rust_log: &str| {
        let output = child("logs").env("RUST_LOG", rust_log).stderr(Stdio::piped()).output().expect("the child runs");
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let loud = outcome("info");
    assert!(loud.contains("this is an info") && !loud.contains('\u{1b}'), "{loud}");
    assert!(!outcome("").contains("this is an info"), "the default is quiet");
    let wrong = outcome("common=loudest");
    assert!(wrong.contains("RUST_LOG=\"common=loudest\" is not a log filter"), "{wrong}");
}

#[tokio::test]
async fn every_holder_sees_the_one_request() {
    let (trigger, shutdown) = Shutdown::new();
    let other = shutdown.clone();
    assert!(!shutdown.is_requested());
    let waiting = tokio::spawn(async move { other.requested().await });
    trigger.request();
    trigger.request();
    waiting.await.expect("the waiter returns");
    assert!(shutdown.is_requested() && shutdown.clone().is_requested());
    shutdown.requested().await;
}

#[tokio::test]
async fn a_request_can_be_made_by_any_trigger_and_the_last_one_dropped_counts_as_one() {
    let (trigger, shutdown) = Shutdown::new();
    let spare = trigger.clone();
    drop(trigger);
    assert!(!shutdown.is_requested(), "one trigger is left");
    drop(spare);
    assert!(shutdown.is_requested());
    shutdown.requested().await;
}

#[tokio::test(start_paused = true)]
async fn never_is_never() {
    let shutdown = Shutdown::never();
    assert!(!shutdown.is_requested());
    tokio::time::timeout(Duration::from_secs(3600), shutdown.requested()).await.expect_err("nobody can ask");
}

#[test]
fn sigterm_asks_and_the_program_ends_with_zero_when_it_has_finished() {
    let (mut child, mut lines) = waiting_child("finish");
    signal(&child, rustix::process::Signal::TERM);
    wait_for_line(&mut lines, "asked");
    assert_eq!(child.wait().expect("the child ends").code(), Some(0));
}

#[test]
fn a_second_ctrl_c_ends_a_program_that_does_not_finish() {
    let (mut child, mut lines) = waiting_child("hang");
    signal(&child, rustix::process::Signal::INT);
    wait_for_line(&mut lines, "asked");
    assert!(child.try_wait().expect("the child can be looked at").is_none(), "the first Ctrl-C only asks");
    signal(&child, rustix::process::Signal::INT);
    assert_eq!(child.wait().expect("the child ends").code(), Some(130));
}

#[test]
#[ignore = "the body of the child processes of this file's other tests"]
fn child_process() {
    match std::env::var(ROLE).as_deref() {
        Ok("logs") => match cli::init_logs(Verbosity::default()) {
            Ok(()) => tracing::info!("this is an info"),
            Err(error) => println!("{error}"),
        },
        Ok(role) => {
            let shutdown = Shutdown::on_signals().expect("signals can be listened for");
            println!("\nwaiting");
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(shutdown.requested());
            println!("asked");
            if role == "hang" {
                loop {
                    std::thread::park();
                }
            }
        }
        Err(_) => {}
    }
}

#[test]
fn a_public_address_needs_credentials_and_loopback_does_not() {
    let check = |addr: &str, credentials| cli::check_bind(addr.parse().expect("an address"), credentials);
    for loopback in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        check(loopback, false).unwrap_or_else(|error| panic!("{loopback}: {error}"));
    }
    for public in ["0.0.0.0:6379", "[::]:6379", "192.168.0.1:6379", "[::ffff:10.0.0.1]:6379"] {
        let error = check(public, false).expect_err(public);
        assert!(error.to_string().contains("127.0.0.1:6379"), "it says what would be right: {error}");
        assert_eq!(error.exit(), Exit::Usage);
        check(public, true).unwrap_or_else(|error| panic!("{public}: {error}"));
        let error = cli::check_bind_open(public.parse().expect("an address")).expect_err(public);
        assert!(!error.to_string().contains("set a password"), "a password would not help: {error}");
        assert_eq!(error.exit(), Exit::Usage);
    }
    cli::check_bind_open("127.0.0.1:1".parse().expect("an address")).expect("loopback is allowed");
}

#[test]
fn an_address_is_a_host_and_a_port() {
    assert_eq!(cli::listen_addr("127.0.0.1:0").expect("an address"), SocketAddr::from(([127, 0, 0, 1], 0)));
    assert!(cli::listen_addr("localhost:80").expect("a name").ip().is_loopback());
    for wrong in ["", "6379", "127.0.0.1", ":6379", "127.0.0.1:70000", "127.0.0.1:x"] {
        let error = cli::listen_addr(wrong).expect_err(wrong);
        assert!(error.to_string().contains("HOST:PORT"), "{error}");
    }
}

#[test]
fn the_ready_line_has_the_form_that_scripts_parse() {
    let [listen, admin] = [6379, 9121].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    assert_eq!(cli::ready_text(listen, Some(admin)), "ready listen=127.0.0.1:6379 admin=127.0.0.1:9121");
    assert_eq!(cli::ready_text(listen, None), "ready listen=127.0.0.1:6379");
}

#[test]
fn a_bar_is_shown_only_to_a_person_who_has_waited_two_seconds() {
    assert!(!Progress::is_due(Duration::from_millis(1999), true));
    assert!(Progress::is_due(Duration::from_secs(2), true));
    assert!(!Progress::is_due(Duration::from_secs(3600), false));
    let mut progress = Progress::new(Some(10), "keys");
    progress.inc(3);
    progress.inc(4);
    assert_eq!(progress.position(), 7);
}

#[test]
fn a_table_in_a_pipe_is_plain_and_has_its_numbers_on_the_right() {
    let mut table = Table::new(["server", "p99", "version"]);
    table.row(["ours", "950 µs", "0.1.0"]).row(["theirs", "1.2 ms", "7.0.15"]).row(["neither", "n/a", "-"]);
    let expected = "\
| server  |    p99 | version |
|---------|--------|---------|
| ours    | 950 µs | 0.1.0   |
| theirs  | 1.2 ms | 7.0.15  |
| neither |    n/a | -       |";
    assert_eq!(table.render(Look::pipe()), expected);
}

#[test]
fn a_table_fits_the_width_whatever_it_holds() {
    let mut table = Table::new(["key", "what it is"]);
    table.row(["a".repeat(70), "long prose that goes on ".repeat(9)]).row(["b", "short"]);
    for (width, terminal) in [(60, true), (100, true), (100, false)] {
        let text = table.render(Look { width, terminal, colour: false });
        for line in text.lines() {
            assert!(textwrap::core::display_width(line) <= width, "{line:?} is wider than {width}");
        }
    }
}

#[test]
fn what_came_from_a_stranger_cannot_move_the_cursor() {
    let mut table = Table::new(["key"]);
    table.row(["\u{1b}[2Jgone\r"]);
    let text = table.render(Look::pipe());
    assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text:?}");
    assert!(text.contains("gone"), "{text:?}");
}

#[test]
fn numbers_read_as_people_read_them() {
    let counts = [(0.0, "0"), (950.0, "950"), (1200.0, "1.2k"), (999_600.0, "1M"), (34_500_000.0, "34.5M")];
    for (value, text) in counts {
        assert_eq!(human::count(value), text);
    }
    let sizes = [(0, "0 B"), (512, "512 B"), (1536, "1.5 KiB"), (3_565_158, "3.4 MiB"), (u64::MAX, "16 EiB")];
    for (value, text) in sizes {
        assert_eq!(human::bytes(value), text);
    }
    let durations = [
        (Duration::ZERO, "0 s"),
        (Duration::from_nanos(850), "850 ns"),
        (Duration::from_nanos(12_340), "12.3 µs"),
        (Duration::from_micros(1500), "1.5 ms"),
        (Duration::from_secs(59), "59 s"),
        (Duration::from_secs(125), "2 min 05 s"),
        (Duration::from_secs(7260), "2 h 01 min"),
    ];
    for (value, text) in durations {
        assert_eq!(human::duration(value), text);
    }
    assert_eq!(human::grouped(1_234_567), "1,234,567");
    assert_eq!(human::grouped(123), "123");
    assert_eq!(human::ratio(1.254), "1.25x");
    assert_eq!(human::ratio(f64::NAN), "n/a");
    assert_eq!(human::percent(0.25), "25 %");
    assert_eq!(human::rate(125_000.0), "125k/s");
}

#[test]
fn bars_are_as_long_as_their_values() {
    let items = [("on write", 40.0), ("on read", 20.0), ("hybrid", 0.0), ("broken", f64::NAN)];
    let text = chart::bars(&items, 60, human::count);
    let length = |line: &str| line.matches('█').count();
    let lengths: Vec<usize> = text.lines().map(length).collect();
    assert!(lengths[0] > 30 && lengths[0].abs_diff(2 * lengths[1]) <= 1, "{text}");
    assert_eq!(lengths[2..], [0, 0], "{text}");
    assert!(text.lines().all(|line| textwrap::core::display_width(line) <= 60), "{text}");
}

#[test]
fn a_small_bar_beside_a_large_one_is_still_seen() {
    let text = chart::bars(&[("much", 1e9), ("little", 1.0)], 60, human::count);
    assert!(text.lines().nth(1).is_some_and(|line| line.contains('▏')), "{text}");
}

#[test]
fn a_line_rises_where_its_values_rise() {
    let points: Vec<(f64, f64)> = (0..=100).map(|x| (f64::from(x), f64::from(x))).collect();
    let text = draw(&[Series { name: "all", points: &points }], Scale::Linear);
    let rows: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once('│')?.1)).collect();
    let filled: Vec<usize> = rows.iter().map(|row| row.chars().filter(|c| *c != ' ').count()).collect();
    assert_eq!(rows.len(), 10, "{text}");
    assert!(filled.is_sorted() && filled[0] < filled[9] / 4, "{text}");
}

#[test]
fn on_a_logarithmic_axis_equal_factors_are_equal_steps() {
    let points: Vec<(f64, f64)> = (0..10u8).map(|x| (f64::from(x), 2f64.powi(i32::from(x)))).collect();
    let other = [(0.0, 1.0), (9.0, 1.0)];
    let series = [Series { name: "doubling", points: &points }, Series { name: "level", points: &other }];
    let text = draw(&series, Scale::Log);
    let row_of_first_mark = |row: &str| row.chars().position(|c| c == '■');
    let rows: Vec<usize> =
        text.lines().filter_map(|line| line.split_once('│')).filter_map(|(_, row)| row_of_first_mark(row)).collect();
    assert!(rows.len() > 8 && rows.is_sorted_by(|a, b| a > b), "a straight line: {text}");
    assert!(text.contains("■ doubling   □ level"), "{text}");
}

#[test]
fn a_chart_of_nothing_says_so() {
    assert_eq!(draw(&[], Scale::Linear), "(nothing to draw)");
    let unseen = [Series { name: "zero", points: &[(1.0, 0.0), (f64::NAN, 1.0)] }];
    assert_eq!(draw(&unseen, Scale::Log), "(nothing to draw)");
}

#[test]
fn a_sparkline_has_a_glyph_a_value() {
    assert_eq!(chart::sparkline(&[0.0, 1.0, 4.0, 8.0, f64::NAN]), "▁▁▄█ ");
}

fn draw(series: &[Series<'_>], scale: Scale) -> String {
    let x = Axis { label: "time", scale: Scale::Linear, format: human::count };
    let y = Axis { label: "value", scale, format: human::count };
    chart::lines(&Lines { series, width: 60, height: 10, x, y })
}

fn child(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test's binary"));
    command.args(["--exact", "child_process", "--ignored", "--nocapture"]);
    command.env(ROLE, role).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

fn waiting_child(role: &str) -> (Child, BufReader<ChildStdout>) {
    let mut child = child(role).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the child starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
    wait_for_line(&mut lines, "waiting");
    (child, lines)
}

fn wait_for_line(lines: &mut impl BufRead, wanted: &str) {
    for line in lines.lines() {
        if line.expect("the child's output can be read") == wanted {
            return;
        }
    }
    panic!("the child ended without saying {wanted:?}");
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, signal).expect("the child is there");
}

/// Keeps the lines that it was given, fails at `fail` and ends at `quit`.
#[derive(Default)]
struct Script(Vec<String>);

impl cli::Session for Script {
    type Error = Error;

    fn prompt(&self) -> String {
        String::new()
    }

    fn execute(&mut self, line: &[u8]) -> Result<ControlFlow<()>, Error> {
        let line = String::from_utf8_lossy(line).trim().to_owned();
        let outcome = match &*line {
            "fail" => Err(Error::Usage("as it was told".to_owned())),
            "quit" => Ok(ControlFlow::Break(())),
            _ => Ok(ControlFlow::Continue(())),
        };
        self.0.push(line);
        outcome
    }
}

#[test]
fn lines_of_a_script_are_executed_in_order_until_one_ends_it_or_fails_or_there_are_no_more() {
    let mut lines = Script::default();
    cli::execute_all(&mut lines, &b"one\n\ntwo"[..]).expect("no line fails");
    assert_eq!(lines.0, ["one", "", "two"], "the last line need not end");
    let mut lines = Script::default();
    cli::execute_all(&mut lines, &b"one\nquit\ntwo\n"[..]).expect("no line fails");
    assert_eq!(lines.0, ["one", "quit"]);
    let mut lines = Script::default();
    let failed = cli::execute_all(&mut lines, &b"one\nfail\ntwo\n"[..]);
    assert!(matches!(failed, Err(Error::Usage(_))), "{failed:?}");
    assert_eq!(lines.0, ["one", "fail"]);
}

#[test]
fn a_line_without_an_end_is_refused_before_it_takes_more_memory_than_a_line_may() {
    let endless = BufReader::new(io::repeat(b'x'));
    let mut lines = Script::default();
    let failed = cli::execute_all(&mut lines, endless);
    assert!(matches!(failed, Err(Error::LongLine)), "{failed:?}");
    assert!(lines.0.is_empty());
}
