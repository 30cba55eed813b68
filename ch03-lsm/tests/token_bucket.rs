//! What the token bucket promises: a rate, that is kept whatever is asked for and whenever, and that flushes go first.

use std::time::Duration;

use ch03_lsm::engine::token_bucket::{TokenBucket, Urgency};
use proptest::prelude::*;

const RATE: u64 = 1_000_000;

/// Takes until it is granted; how long that took.
fn take(bucket: &mut TokenBucket, mut now: Duration, bytes: u64, urgency: Urgency) -> Duration {
    let mut asked = 0;
    while let Err(wait) = bucket.take(now, bytes, urgency) {
        assert!(wait > Duration::ZERO, "whoever waits for no time asks for ever");
        now += wait;
        asked += 1;
        assert!(asked <= 2, "who comes back when told so is granted");
    }
    now
}

proptest! {
    #[test]
    fn no_more_is_granted_than_the_rate_and_what_was_saved_and_the_last_ask(
        asks in prop::collection::vec((1..300_000u64, 0..200u64), 1..60)
    ) {
        let mut bucket = TokenBucket::new(RATE, Duration::ZERO);
        let (mut now, mut granted) = (Duration::ZERO, 0);
        for (bytes, pause_ms) in asks {
            now = take(&mut bucket, now + Duration::from_millis(pause_ms), bytes, Urgency::Compaction);
            let before = granted;
            granted += bytes;
            let saved = RATE / 10;
            let allowed = saved + (now.as_nanos() * u128::from(RATE) / 1_000_000_000) as u64;
            prop_assert!(before <= allowed, "{before} before the last ask, {allowed} allowed at {now:?}");
        }
    }

    #[test]
    fn who_never_rests_writes_at_the_rate(bytes in 1..500_000u64) {
        let mut bucket = TokenBucket::new(RATE, Duration::ZERO);
        let mut now = Duration::ZERO;
        let asks = 20_000_000 / bytes;
        for _ in 0..asks {
            now = take(&mut bucket, now, bytes, Urgency::Compaction);
        }
        let expected = (asks * bytes) as f64 / RATE as f64;
        // What was saved at the beginning, and the last ask, which is waited for by the next.
        prop_assert!((now.as_secs_f64() - expected).abs() <= 0.1 + bytes as f64 / RATE as f64 + 1e-3);
    }
}

#[test]
fn a_flush_that_waits_goes_before_compactions() {
    let mut bucket = TokenBucket::new(RATE, Duration::ZERO);
    bucket.take(Duration::ZERO, RATE, Urgency::Compaction).expect("it is full");
    let wait = bucket.take(Duration::ZERO, 1, Urgency::Flush).expect_err("it is empty");
    bucket.take(Duration::ZERO, 1, Urgency::Compaction).expect_err("it is empty");
    let later = wait + Duration::from_millis(50);
    bucket.take(later, 1, Urgency::Compaction).expect_err("a flush waits");
    bucket.take(later, 1, Urgency::Flush).expect("there is something again");
    bucket.take(later, 1, Urgency::Compaction).expect("no flush waits any more");
}

#[test]
fn a_rest_is_not_saved_up_for_longer_than_a_tenth_of_a_second() {
    let mut bucket = TokenBucket::new(RATE, Duration::ZERO);
    let now = Duration::from_secs(3600);
    bucket.take(now, RATE / 10, Urgency::Compaction).expect("it is full");
    bucket.take(now, 1, Urgency::Compaction).expect_err("an hour has filled it once");
}

#[test]
fn a_clock_that_goes_back_grants_nothing_twice_and_a_rate_of_zero_is_slow_and_no_panic() {
    let mut bucket = TokenBucket::new(RATE, Duration::from_secs(10));
    bucket.take(Duration::from_secs(10), RATE, Urgency::Compaction).expect("it is full");
    let wait = bucket.take(Duration::from_secs(5), 1, Urgency::Compaction).expect_err("it is empty");
    assert!(wait > Duration::from_millis(800), "{wait:?}");
    let again = bucket.take(Duration::from_secs(10), 1, Urgency::Compaction).expect_err("no time has passed");
    assert_eq!(wait, again);
    let mut slow = TokenBucket::new(0, Duration::ZERO);
    slow.take(Duration::ZERO, u64::MAX, Urgency::Flush).expect("it is full");
    slow.take(Duration::from_secs(1), 1, Urgency::Flush).expect_err("for a long time");
}
