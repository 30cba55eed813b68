//! What users wait for: a distribution, its percentiles, and what becomes of them on a page that makes many calls.

use std::net::SocketAddr;
use std::num::NonZeroUsize;

use common::cli::{Table, chart, human};
use common::load::{ClosedLoop, Keys, Op, Until, closed_loop};
use common::tour::{Answer, Narrator, Question};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::samples::{SHOWN, Samples, as_duration};
use super::stage::Stage;
use crate::client::Client;
use crate::error::Error;

/// Clients that each wait for an answer before they ask again.
const CLIENTS: NonZeroUsize = NonZeroUsize::new(20).expect("twenty is not zero");

/// Requests of all of them together.
const REQUESTS: u64 = 20_000;

/// The key space.
const KEYS: u64 = 5_000;

/// One request in so many asks for a whole list, and everybody who comes after it waits.
const HEAVY_EVERY: u64 = 100;

/// How long that list is.
const LIST_LEN: usize = 2_000;

/// How many calls a page makes.
const PAGES: [usize; 3] = [1, 10, 100];

/// How many pages are put together for each of these.
const PAGE_COUNT: usize = 5_000;

/// One client.
struct Mixed {
    client: Client,
    calls: u64,
}

impl Mixed {
    /// A client; `number` sets when its heavy requests come, so that they do not come all at once.
    async fn new(address: SocketAddr, number: usize) -> Result<Self, Error> {
        Ok(Self { client: Client::connect(address).await?, calls: number as u64 * 37 })
    }
}

impl Op for Mixed {
    type Error = Error;

    async fn call(&mut self, key: u64) -> Result<(), Error> {
        self.calls += 1;
        if self.calls.is_multiple_of(HEAVY_EVERY) {
            self.client.lrange("everything", LIST_LEN).await.map(drop)
        } else if key.is_multiple_of(10) {
            self.client.set(&format!("key:{key}"), b"a value of about thirty bytes").await
        } else {
            self.client.get(&format!("key:{key}")).await.map(drop)
        }
    }
}

pub(super) fn play(narrator: &mut Narrator, stage: &mut Stage) -> Result<(), Error> {
    narrator.says(&format!(
        "{CLIENTS} clients send {REQUESTS} requests, skewed over {KEYS} keys. One request in {HEAVY_EVERY} asks for a list of \
         {LIST_LEN} values; the server has one thread for commands, so whoever comes after it waits."
    ));
    let guess = narrator.quiz("How many times the median will the p99.9 be?", Question::Number { unit: "times" });
    let samples = measure(stage)?;
    let mut bars: Vec<(&str, f64)> =
        SHOWN.iter().map(|(name, percentile)| (*name, samples.percentile(*percentile).as_nanos() as f64)).collect();
    bars.push(("max", samples.max().as_nanos() as f64));
    bars.push(("mean", samples.mean().as_nanos() as f64));
    narrator.chart(&chart::bars(&bars, narrator.chart_width(), as_duration));
    let ratio = samples.percentile(99.9).as_secs_f64() / samples.percentile(50.0).as_secs_f64().max(f64::MIN_POSITIVE);
    narrator.reveal(&guess, Answer::Number(ratio));
    narrator.measured("p99.9 over p50", &human::ratio(ratio));
    narrator.measured("requests slower than the mean", &human::percent(samples.share_above(samples.mean())));
    narrator.gap();
    narrator.book(
        "ch. 1, \"Describing Performance\"",
        "The mean is the wrong number if you want to know what users typically wait: it does not say how many waited that \
         long. The median does, and high percentiles say how bad the outliers are. A few slow requests hold up those behind \
         them: head-of-line blocking.",
    );
    narrator.says(
        "A server cannot keep every response time. The histogram's answers beside those of the sorted list of all:",
    );
    let mut table = Table::new(["", "all, sorted", "histogram", "off by"]);
    for (name, percentile) in SHOWN {
        let (exact, kept) = (samples.exact(percentile), samples.percentile(percentile));
        let off = kept.as_secs_f64() / exact.as_secs_f64().max(f64::MIN_POSITIVE) - 1.0;
        table.row([name.to_owned(), human::duration(exact), human::duration(kept), human::percent(off)]);
    }
    table.row([
        "memory".to_owned(),
        human::bytes(size_of_val(samples.nanos.as_slice()) as u64),
        human::bytes(samples.histogram.memory_bytes() as u64),
        String::new(),
    ]);
    narrator.table(&table);
    amplification(narrator, &samples);
    narrator.look("The histogram is src/engine/percentiles.rs; its error is proved at the top of the file.");
    Ok(())
}

fn measure(stage: &Stage) -> Result<Samples, Error> {
    let server = stage.serve("percentiles", |_| {})?;
    let address = server.address();
    let outcome = stage.runtime.block_on(async {
        let mut client = Client::connect(address).await?;
        for key in 0..KEYS {
            client.queue(&["SET", &format!("key:{key}"), "a value of about thirty bytes"]).await?;
        }
        for value in 0..LIST_LEN {
            client.queue(&["RPUSH", "everything", &format!("value {value}")]).await?;
        }
        client.run_all().await?;
        let load =
            ClosedLoop { clients: CLIENTS, until: Until::Operations(REQUESTS), seed: 1, expected_interval: None };
        let keys = Keys::zipfian(KEYS, Keys::YCSB_THETA)?;
        closed_loop(load, &keys, |number| Mixed::new(address, number), Samples::default()).await
    })?;
    server.stop()?;
    match outcome.first_error {
        Some(error) => Err(error),
        None => Ok(outcome.recorder),
    }
}

/// Puts pages together from the requests that were measured: a page is as slow as its slowest call.
fn amplification(narrator: &mut Narrator, samples: &Samples) {
    let slow = samples.exact(99.0);
    narrator.says(&format!(
        "Now a page that makes many calls, to many such servers at once, and is done when the last answer is there. Its calls \
         are drawn from the requests that were just measured; one in a hundred of those took longer than {}, and is \
         called slow here.",
        human::duration(slow)
    ));
    let guess = narrator.quiz(
        "Of pages that make 100 calls, how many in a hundred wait for a slow one?",
        Question::Number { unit: "%" },
    );
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut table = Table::new(["calls per page", "page p50", "page p95", "page p99", "pages with a slow call"]);
    let mut last = 0.0;
    for calls in PAGES {
        let mut pages = Samples::default();
        for _ in 0..PAGE_COUNT {
            let slowest = (0..calls).map(|_| samples.nanos[random.random_range(0..samples.nanos.len())]).max();
            common::load::Recorder::record(&mut pages, slowest.unwrap_or(0));
        }
        last = pages.share_above(slow);
        table.row([
            calls.to_string(),
            human::duration(pages.percentile(50.0)),
            human::duration(pages.percentile(95.0)),
            human::duration(pages.percentile(99.0)),
            human::percent(last),
        ]);
    }
    narrator.table(&table);
    narrator.reveal(&guess, Answer::Number(last * 100.0));
    narrator.book(
        "ch. 1, \"Describing Performance\"",
        "Tail latency amplification: the more calls a request needs, the likelier one of them is slow, and one is \
         enough. The tail of a backend is the median of the page in front of it.",
    );
}
