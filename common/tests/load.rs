//! What a load promises: keys with the skew that was asked for, requests at the times that were asked for, and response
//! times as users would have felt them.

use std::cell::Cell;
use std::io;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Duration;

use common::judge;
use common::load::{
    self, Arrivals, ClosedLoop, Error, Keys, Latencies, Op, OpenLoop, Outcome, Ratio, Recorder, Round, Schedule, Until,
    process,
};
use tokio::time::{Instant, sleep, sleep_until};

const MS: Duration = Duration::from_millis(1);

/// When the server of these tests stalls, since it was made.
const STALL: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(3));

/// A client of a server that takes a millisecond, and for one second nobody's request.
struct Stalling {
    made: Instant,
}

impl Op for Stalling {
    type Error = io::Error;

    async fn call(&mut self, _: u64) -> io::Result<()> {
        let since = self.made.elapsed();
        if (STALL.0..STALL.1).contains(&since) {
            sleep_until(self.made + STALL.1).await;
        }
        sleep(MS).await;
        Ok(())
    }
}

/// A client that fails at its third operation.
struct Failing {
    number: usize,
    left: u32,
}

impl Op for Failing {
    type Error = io::Error;

    async fn call(&mut self, _: u64) -> io::Result<()> {
        sleep(MS).await;
        if self.left == 0 {
            return Err(io::Error::other(format!("client {} is cut off", self.number)));
        }
        self.left -= 1;
        Ok(())
    }
}

/// A client that notes which keys it was given.
struct Noting {
    keys: Rc<std::cell::RefCell<Vec<u64>>>,
}

impl Op for Noting {
    type Error = io::Error;

    async fn call(&mut self, key: u64) -> io::Result<()> {
        self.keys.borrow_mut().push(key);
        tokio::task::yield_now().await;
        Ok(())
    }
}

fn clients(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).expect("at least one")
}

fn ten_keys() -> Keys {
    Keys::uniform(10).expect("ten keys")
}

/// How often each of `count` keys comes up in `draws`.
fn frequencies(keys: &Keys, seed: u64, draws: usize) -> Vec<f64> {
    let mut counts = vec![0u32; usize::try_from(keys.count()).expect("few keys")];
    for key in keys.stream(seed).take(draws) {
        counts[usize::try_from(key).expect("few keys")] += 1;
    }
    counts.into_iter().map(|count| f64::from(count) / draws as f64).collect()
}

/// Asserts that a share of `draws` is what it should be, within five standard deviations: a fair sampler fails that once in
/// two million times.
fn assert_share(found: f64, expected: f64, draws: usize, what: &str) {
    let deviation = (expected * (1.0 - expected) / draws as f64).sqrt();
    assert!((found - expected).abs() < 5.0 * deviation, "{what}: {found} is not {expected} +- {deviation}");
}

#[test]
fn uniform_keys_are_all_alike() {
    const DRAWS: usize = 100_000;
    for seed in judge::seeds(3) {
        let keys = Keys::uniform(50).expect("fifty keys");
        for (key, &share) in frequencies(&keys, seed, DRAWS).iter().enumerate() {
            assert_share(share, 0.02, DRAWS, &format!("seed {seed}, key {key}"));
        }
    }
}

#[test]
fn zipfian_keys_come_up_as_often_as_zipfs_law_says() {
    const DRAWS: usize = 200_000;
    for seed in judge::seeds(3) {
        let keys = Keys::zipfian(1000, Keys::YCSB_THETA).expect("a skew");
        let shares = frequencies(&keys, seed, DRAWS);
        // The method is exact for the two hottest keys, and within a twentieth for the sums of the hottest.
        assert_share(shares[0], keys.probability(0), DRAWS, &format!("seed {seed}, the hottest"));
        assert_share(shares[1], keys.probability(1), DRAWS, &format!("seed {seed}, the second"));
        for top in [10u64, 100, 500] {
            let expected: f64 = (0..top).map(|rank| keys.probability(rank)).sum();
            let found: f64 = shares[..usize::try_from(top).expect("few")].iter().sum();
            assert!((found / expected - 1.0).abs() < 0.055, "seed {seed}, top {top}: {found} is not {expected}");
        }
    }
}

#[test]
fn a_distributions_probabilities_add_up_to_one() {
    for theta in [0.2, 0.5, 0.8, 0.99] {
        let keys = Keys::zipfian(5000, theta).expect("a skew");
        let sum: f64 = (0..5000).map(|rank| keys.probability(rank)).sum();
        assert!((sum - 1.0).abs() < 1e-9, "theta {theta}: {sum}");
        assert!(keys.probability(5000) == 0.0);
    }
}

#[test]
fn a_hundred_million_keys_are_ready_at_once_and_as_skewed_as_they_should_be() {
    let keys = Keys::zipfian(100_000_000, Keys::YCSB_THETA).expect("a skew");
    // The sum of 1 / k^s up to n nears zeta(s) + n^(1-s) / (1-s); zeta(s) is 1 / (s-1) + gamma_0 - gamma_1 (s-1) near 1,
    // with Stieltjes' constants gamma_0 = 0.5772157 and gamma_1 = -0.0728158.
    let zeta = -100.0 + 0.577_215_7 - 0.072_815_8 * 0.01 + 100.0 * 1e8f64.powf(0.01);
    assert!((keys.probability(0) * zeta - 1.0).abs() < 1e-6, "{} is not 1 / {zeta}", keys.probability(0));
    assert!(keys.stream(1).take(10_000).all(|key| key < 100_000_000));
}

#[test]
fn scrambling_moves_popularities_and_changes_none() {
    for count in [1, 2, 3, 10, 64, 65, 1000] {
        let keys = Keys::zipfian(count, Keys::YCSB_THETA).expect("a skew").scrambled();
        let mut places: Vec<u64> = (0..count).map(|rank| keys.key_of_rank(rank)).collect();
        places.sort_unstable();
        assert_eq!(places, (0..count).collect::<Vec<_>>(), "every one of {count} keys has one rank");
    }
    let keys = Keys::zipfian(1000, Keys::YCSB_THETA).expect("a skew").scrambled();
    let hot: Vec<u64> = (0..10).map(|rank| keys.key_of_rank(rank)).collect();
    let neighbours = hot.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count();
    assert!(neighbours <= 1, "the hottest keys lie apart: {hot:?}");
    let shares = frequencies(&keys, 7, 100_000);
    let hottest = usize::try_from(hot[0]).expect("few");
    assert_share(shares[hottest], keys.probability(0), 100_000, "the hottest, wherever it is");
}

#[test]
fn the_same_seed_is_the_same_load() {
    let keys = Keys::zipfian(1000, 0.9).expect("a skew");
    let take = |seed| keys.stream(seed).take(100).collect::<Vec<_>>();
    assert_eq!(take(1), take(1));
    assert_ne!(take(1), take(2));
    let arrivals = |seed| Schedule::new(100.0, Duration::from_secs(1), Arrivals::Poisson { seed }).expect("a rate");
    assert_eq!(arrivals(1).collect::<Vec<_>>(), arrivals(1).collect::<Vec<_>>());
    assert_ne!(arrivals(1).collect::<Vec<_>>(), arrivals(2).collect::<Vec<_>>());
}

#[test]
fn a_load_that_cannot_be_is_refused() {
    assert_eq!(Keys::uniform(0), Err(Error::NoKeys));
    assert_eq!(Keys::zipfian(0, 0.5), Err(Error::NoKeys));
    for theta in [0.0, 1.0, -1.0, 2.0, f64::INFINITY] {
        assert_eq!(Keys::zipfian(10, theta), Err(Error::Theta(theta)));
    }
    assert!(Keys::zipfian(10, f64::NAN).is_err());
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e10] {
        assert!(Schedule::new(rate, Duration::from_secs(1), Arrivals::Constant).is_err(), "{rate}");
    }
}

#[test]
fn a_constant_rate_is_kept_without_drift() {
    let schedule = Schedule::new(3.0, Duration::from_secs(1000), Arrivals::Constant).expect("a rate");
    let times: Vec<Duration> = schedule.collect();
    assert_eq!(times.len(), 3000);
    assert_eq!(times[2997], Duration::from_secs(999));
    assert!(times.is_sorted());
}

#[test]
fn independent_users_arrive_at_the_rate_and_sometimes_all_at_once() {
    for seed in judge::seeds(3) {
        let schedule = Schedule::new(1000.0, Duration::from_secs(100), Arrivals::Poisson { seed }).expect("a rate");
        let times: Vec<Duration> = schedule.collect();
        // The number of arrivals has a variance equal to its mean of 100,000; five deviations are 1,582.
        assert!(times.len().abs_diff(100_000) < 1582, "seed {seed}: {}", times.len());
        assert!(times.is_sorted() && times.iter().all(|time| *time < Duration::from_secs(100)));
        // Of exponential gaps, 1 - 1/e are shorter than their mean.
        let short = times.windows(2).filter(|pair| pair[1] - pair[0] < MS).count();
        assert_share(short as f64 / (times.len() - 1) as f64, 1.0 - (-1f64).exp(), times.len(), "short gaps");
    }
}

#[test]
fn percentiles_are_within_a_thousandth() {
    let mut latencies = Latencies::new();
    for micros in 1..=100_000u64 {
        latencies.record(micros * 1000);
    }
    let summary = latencies.summary(Duration::from_secs(10));
    let near = |found: Duration, micros: f64| (found.as_secs_f64() * 1e6 / micros - 1.0).abs() <= 0.001;
    assert!(near(summary.p50, 50_000.0) && near(summary.p95, 95_000.0) && near(summary.p99, 99_000.0), "{summary:?}");
    assert!(
        near(summary.p999, 99_900.0) && near(summary.max, 100_000.0) && near(summary.mean, 50_000.5),
        "{summary:?}"
    );
    assert_eq!((summary.count, summary.throughput), (100_000, 10_000.0));
    assert_eq!(latencies.cumulative(&[50 * MS, 1000 * MS])[1], 100_000);
    assert!(latencies.cumulative(&[50 * MS])[0].abs_diff(50_000) <= 50);
    let json = serde_json::to_value(summary).expect("it is plain data");
    assert!(json["p99_ns"].as_u64().is_some_and(|nanos| nanos.abs_diff(99_000_000) <= 99_000), "{json}");
}

#[test]
fn adding_histograms_is_measuring_together() {
    let (mut fast, mut slow, mut both) = (Latencies::new(), Latencies::new(), Latencies::new());
    for index in 0..1000u64 {
        fast.record(index + 1);
        slow.record(1_000_000 + index);
        both.record(index + 1);
        both.record(1_000_000 + index);
    }
    fast.add(&slow);
    let time = Duration::from_secs(1);
    assert_eq!(fast.summary(time), both.summary(time));
}

#[test]
fn nothing_that_is_measured_can_break_the_recorder() {
    let mut latencies = Latencies::new();
    assert_eq!(latencies.summary(Duration::ZERO).p999, Duration::ZERO);
    latencies.record(0);
    latencies.record(u64::MAX);
    latencies.record_corrected(u64::MAX, 1);
    latencies.record_corrected(5, 0);
    assert!(latencies.quantile(1.0) >= Duration::from_secs(3599));
}

#[test]
fn the_correction_adds_what_would_have_been_sent_during_the_wait() {
    let mut latencies = Latencies::new();
    latencies.record_corrected(10_000, 1_000);
    assert_eq!(latencies.len(), 10, "10 us, and the 9, 8, ... 1 us of those that would have followed");
    assert!(latencies.sum().as_nanos().abs_diff(55_000) < 55);
    latencies.record_corrected(900, 1_000);
    assert_eq!(latencies.len(), 11, "nothing is missing behind a response that came before the next request was due");
}

/// The load that both kinds of loop put on the stalling server: a thousand requests a second for ten.
async fn closed(interval: Option<Duration>) -> Outcome<Latencies, io::Error> {
    let made = Instant::now();
    let until = Until::Elapsed(Duration::from_secs(10));
    let load = ClosedLoop { clients: clients(1), until, seed: 1, expected_interval: interval };
    load::closed_loop(load, &ten_keys(), |_| async move { Ok(Stalling { made }) }, Latencies::new())
        .await
        .expect("the client is made")
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_hides_a_stall() {
    let outcome = closed(None).await;
    let summary = outcome.recorder.summary(outcome.elapsed);
    assert!(summary.p999 <= 3 * MS, "one request in nine thousand saw the stall: {summary:?}");
    assert!(summary.max >= Duration::from_secs(1) - 3 * MS, "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn the_correction_shows_the_stall_that_a_waiting_client_hid() {
    let outcome = closed(Some(MS)).await;
    let summary = outcome.recorder.summary(outcome.elapsed);
    assert!(summary.p50 <= 3 * MS, "{summary:?}");
    assert!(summary.p99 >= Duration::from_millis(850) && summary.p95 >= Duration::from_millis(450), "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn an_open_loop_shows_the_stall() {
    let made = Instant::now();
    let schedule = Schedule::new(1000.0, Duration::from_secs(10), Arrivals::Constant).expect("a rate");
    let load = OpenLoop { schedule, clients: clients(50), seed: 1 };
    let outcome = load::open_loop(load, &ten_keys(), |_| async move { Ok(Stalling { made }) }, Latencies::new())
        .await
        .expect("the clients are made");
    let summary = outcome.recorder.summary(outcome.elapsed);
    assert_eq!(summary.count, 10_000, "every request that was due was sent");
    assert!(summary.p50 <= 3 * MS, "{summary:?}");
    assert!(summary.p99 >= Duration::from_millis(850) && summary.p95 >= Duration::from_millis(450), "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn too_few_clients_do_not_slow_an_open_loop_down_unseen() {
    // One client, a millisecond a request at best, and two requests due each millisecond: the last waits for a second.
    let made = Instant::now() - Duration::from_secs(100);
    let schedule = Schedule::new(2000.0, Duration::from_secs(1), Arrivals::Constant).expect("a rate");
    let load = OpenLoop { schedule, clients: clients(1), seed: 1 };
    let outcome = load::open_loop(load, &ten_keys(), |_| async move { Ok(Stalling { made }) }, Latencies::new())
        .await
        .expect("the client is made");
    let summary = outcome.recorder.summary(outcome.elapsed);
    assert_eq!(summary.count, 2000);
    assert!(summary.max >= Duration::from_secs(1), "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn a_closed_loop_does_as_many_operations_as_it_was_told() {
    let made = Rc::new(Cell::new(0));
    let keys = Rc::new(std::cell::RefCell::new(Vec::new()));
    let until = Until::Operations(1000);
    let load = ClosedLoop { clients: clients(7), until, seed: 3, expected_interval: None };
    let make = |number| {
        made.set(made.get() + number);
        let keys = Rc::clone(&keys);
        async move { Ok(Noting { keys }) }
    };
    let outcome = load::closed_loop(load, &ten_keys(), make, Latencies::new()).await.expect("the clients are made");
    assert_eq!((outcome.operations, outcome.errors, keys.borrow().len()), (1000, 0, 1000));
    assert_eq!(made.get(), 21, "the clients are numbered from 0 to 6");
    let of_ten = (0..10).filter(|key| keys.borrow().contains(key)).count();
    assert_eq!(of_ten, 10, "the clients do not all ask for the same");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_fails_is_done_and_is_counted() {
    let load = ClosedLoop { clients: clients(4), until: Until::Operations(1000), seed: 3, expected_interval: None };
    let make = |number| async move { Ok(Failing { number, left: 2 }) };
    let outcome = load::closed_loop(load, &ten_keys(), make, Latencies::new()).await.expect("the clients are made");
    assert_eq!((outcome.operations, outcome.errors, outcome.recorder.len()), (8, 4, 8));
    assert!(outcome.first_error.is_some_and(|error| error.to_string().contains("is cut off")));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_cannot_be_made_is_the_loads_error() {
    let load = ClosedLoop { clients: clients(4), until: Until::Operations(1), seed: 3, expected_interval: None };
    let make = |_| async { Err::<Failing, _>(io::Error::from(io::ErrorKind::ConnectionRefused)) };
    let error = load::closed_loop(load, &ten_keys(), make, Latencies::new()).await.expect_err("no server");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_round_is_a_b_b_a() {
    let mut order = String::new();
    let run = |side: char| {
        move |order: &mut String| {
            order.push(side);
            Ok::<usize, io::Error>(order.len())
        }
    };
    let rounds = load::abba(2, &mut order, run('A'), run('B')).expect("no run fails");
    assert_eq!(order, "ABBAABBA");
    assert_eq!(rounds, [Round { a: [1, 4], b: [2, 3] }, Round { a: [5, 8], b: [6, 7] }]);
}

#[test]
fn a_steady_drift_of_the_machine_cancels() {
    // A and B are equally fast, and the machine slows down by a tenth of its speed from each run to the next.
    let mut speed = 1000.0;
    let slowing = |speed: &mut f64| {
        *speed -= 10.0;
        Ok::<f64, io::Error>(*speed)
    };
    let rounds = load::abba(7, &mut speed, slowing, slowing).expect("no run fails");
    let ratio = Ratio::of(&rounds, |a| *a, |b| *b).expect("seven rounds");
    assert!((ratio.low - 1.0).abs() < 1e-12 && (ratio.high - 1.0).abs() < 1e-12, "{ratio}");
}

#[test]
fn a_ratio_is_a_median_with_its_range() {
    let round = |a: f64| Round { a: [a, a], b: [1.0, 1.0] };
    let rounds: Vec<_> = [5.0, 1.0, 2.0, 100.0, 3.0, 4.0, 6.0].map(round).into();
    let ratio = Ratio::of(&rounds, |a| *a, |b| *b).expect("seven rounds");
    assert_eq!((ratio.median, ratio.low, ratio.high), (4.0, 1.0, 100.0));
    assert_eq!(ratio.to_string(), "4.00x (1.00 to 100.00)");
    let eight: Vec<_> = rounds.iter().cloned().chain([round(7.0)]).collect();
    assert_eq!(Ratio::of(&eight, |a| *a, |b| *b).expect("eight rounds").median, 4.5);
}

#[test]
fn no_ratio_is_made_of_too_little_or_of_nothing() {
    let round = |b: f64| Round { a: [1.0, 1.0], b: [b, b] };
    assert_eq!(Ratio::of(&vec![round(1.0); 6], |a| *a, |b| *b), Err(Error::TooFewRounds(6)));
    for nothing in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let mut rounds = vec![round(1.0); 7];
        rounds[3] = round(nothing);
        let error = Ratio::of(&rounds, |a| *a, |b| *b).expect_err("no number");
        assert!(matches!(error, Error::NoRatio { round: 3, .. }), "{error}");
    }
}

#[test]
fn a_process_is_found_whatever_its_name() {
    let stat = "42 (a ) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 100 1000 10 18446744073709551615";
    let status = "Name:\ta ) b (c\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t4\n";
    let usage = process::parse_usage(stat, status, 100).expect("it is as the kernel writes it");
    assert_eq!((usage.cpu, usage.rss_bytes, usage.peak_rss_bytes), (Duration::from_secs(3), 1 << 20, 2 << 20));
    for (stat, status) in [("", status), (stat, ""), ("42 (x", status), ("42 (x) S 1", status), (stat, "VmRSS: x kB")] {
        assert_eq!(process::parse_usage(stat, status, 100), None, "{stat:?} {status:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn this_process_uses_memory_and_time() {
    let usage = || process::usage(std::process::id()).expect("this process is there");
    let before = usage();
    assert!(before.rss_bytes > 100_000 && before.peak_rss_bytes >= before.rss_bytes, "{before:?}");
    let mut sum = 0u64;
    while usage().cpu < before.cpu + Duration::from_millis(20) {
        for value in 0..1_000_000u64 {
            sum = std::hint::black_box(sum.wrapping_add(value));
        }
    }
}

#[test]
fn the_probe_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let median = process::fdatasync_probe(dir.path(), 3).expect("the disk can be flushed");
    assert!(median > Duration::ZERO);
    assert_eq!(std::fs::read_dir(dir.path()).expect("the directory").count(), 0);
    process::fdatasync_probe(&dir.path().join("absent"), 3).expect_err("there is no such directory");
}
