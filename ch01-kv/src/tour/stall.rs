//! A load that looks away: the same stall of the server, measured by clients that wait and by users that do not.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Duration;

use common::cli::{Progress, Table, human};
use common::load::{
    Arrivals, ClosedLoop, Keys, Latencies, Op, OpenLoop, Recorder, Schedule, Until, closed_loop, open_loop,
};
use common::tour::{Answer, Narrator, Question};

use super::samples::{SHOWN, Samples};
use super::stage::Stage;
use crate::client::Client;
use crate::error::Error;

/// For how long each load runs.
const LENGTH: Duration = Duration::from_millis(1_500);

/// For how long the server does nothing in the middle of it.
const STALL: Duration = Duration::from_millis(300);

/// The rate of the open loop, in requests a second: far below what the server can do.
const RATE: f64 = 1_000.0;

/// Clients, or connections of the open loop.
const CLIENTS: NonZeroUsize = NonZeroUsize::new(4).expect("four is not zero");

/// After how many requests of the open loop the server stalls: a third of them.
const STALL_AFTER: u64 = 500;

/// What counts as slow: a tenth of a second is when people notice.
const SLOW: Duration = Duration::from_millis(100);

/// The one who stalls the server, once.
struct Saboteur {
    client: RefCell<Option<Client>>,
    calls: Cell<u64>,
    after: u64,
    progress: Rc<RefCell<Progress>>,
}

/// A client that reads a key, and counts.
struct Reader {
    client: Client,
    saboteur: Rc<Saboteur>,
}

impl Op for Reader {
    type Error = Error;

    async fn call(&mut self, key: u64) -> Result<(), Error> {
        let calls = self.saboteur.calls.get() + 1;
        self.saboteur.calls.set(calls);
        if calls == self.saboteur.after {
            let saboteur = self.saboteur.client.borrow_mut().take();
            if let Some(mut client) = saboteur {
                client.post(&["DEBUG", "SLEEP", &STALL.as_secs_f64().to_string()]).await?;
                // Kept open: the server answers it when it wakes up.
                *self.saboteur.client.borrow_mut() = Some(client);
            }
        }
        self.saboteur.progress.borrow_mut().inc(1);
        self.client.get(&format!("key:{key}")).await.map(drop)
    }
}

pub(super) fn play(narrator: &mut Narrator, stage: &mut Stage) -> Result<(), Error> {
    narrator.says(&format!(
        "The server will stand still for {} in a run of {} (DEBUG SLEEP does that; a long garbage collection, a \
         swapped-out page or a slow disk do it unasked). Two load generators measure the same accident. The closed loop is \
         {CLIENTS} clients that each wait for an answer before they ask again. The open loop sends {} requests a second, \
         whatever the server does, and counts from the moment at which a request was due.",
        human::duration(STALL),
        human::duration(LENGTH),
        human::count(RATE),
    ));
    let guess = narrator.quiz(
        &format!("How many requests of the closed loop will have taken longer than {}?", human::duration(SLOW)),
        Question::Number { unit: "requests" },
    );
    let server = stage.serve("stall", |_| {})?;
    let address = server.address();
    let keys = Keys::uniform(1_000)?;
    let progress = Rc::new(RefCell::new(Progress::new(None, "requests")));
    let (closed, open) = stage.runtime.block_on(async {
        // So many requests take the closed loop a good part of its time on any machine.
        let saboteur = sabotage(address, 4 * STALL_AFTER, &progress).await?;
        let load = ClosedLoop { clients: CLIENTS, until: Until::Elapsed(LENGTH), seed: 1, expected_interval: None };
        let closed = closed_loop(load, &keys, |_| reader(address, &saboteur), Samples::default()).await?;
        let saboteur = sabotage(address, STALL_AFTER, &progress).await?;
        let schedule = Schedule::new(RATE, LENGTH, Arrivals::Constant)?;
        let load = OpenLoop { schedule, clients: CLIENTS, seed: 1 };
        let open = open_loop(load, &keys, |_| reader(address, &saboteur), Samples::default()).await?;
        Ok::<_, Error>((closed, open))
    })?;
    drop(progress);
    server.stop()?;
    if let Some(error) = closed.first_error.or(open.first_error) {
        return Err(error);
    }
    let (closed, open) = (closed.recorder, open.recorder);
    // What the clients would have asked had they not waited: one request each in every median's time.
    let mut corrected = Latencies::new();
    let interval = closed.histogram.value_at(50.0).unwrap_or(1);
    closed.nanos.iter().for_each(|nanos| corrected.record_corrected(*nanos, interval));

    let mut table = Table::new(["", "closed loop", "open loop", "closed loop, corrected"]);
    let quantile = |percentile: f64| human::duration(corrected.quantile(percentile / 100.0));
    for (name, percentile) in SHOWN {
        table.row([
            name.to_owned(),
            human::duration(closed.percentile(percentile)),
            human::duration(open.percentile(percentile)),
            quantile(percentile),
        ]);
    }
    table.row(["max".to_owned(), human::duration(closed.max()), human::duration(open.max()), quantile(100.0)]);
    table.row([
        "requests".to_owned(),
        human::grouped(closed.nanos.len() as u64),
        human::grouped(open.nanos.len() as u64),
        human::grouped(corrected.len()),
    ]);
    let slow = format!("slower than {}", human::duration(SLOW));
    let corrected_slow = corrected.len() - corrected.cumulative(&[SLOW])[0];
    table.row([
        slow,
        human::grouped(closed.count_above(SLOW) as u64),
        human::grouped(open.count_above(SLOW) as u64),
        human::grouped(corrected_slow),
    ]);
    narrator.table(&table);
    narrator.reveal(&guess, Answer::Number(closed.count_above(SLOW) as f64));
    narrator.says(&format!(
        "A waiting client meets the stall once, and then stops asking until it is over: the closed loop saw {} slow requests, about \
         one for each client, and its percentiles look healthy. Users do not coordinate with the server. {} of the open loop's \
         {} requests were due while nobody answered, and they say so.",
        closed.count_above(SLOW),
        open.count_above(SLOW),
        open.nanos.len(),
    ));
    narrator.book(
        "ch. 1, \"Describing Performance\"",
        "A load generator has to keep sending independently of the response time. One that waits keeps the queues artificially \
         short. Gil Tene calls the mistake coordinated omission; the last column is his correction, which adds the \
         requests that the waiting clients did not send.",
    );
    narrator
        .look("redis-benchmark is a closed loop. Read its p99 as throughput's companion, not as what a user waits.");
    Ok(())
}

async fn sabotage(address: SocketAddr, after: u64, progress: &Rc<RefCell<Progress>>) -> Result<Rc<Saboteur>, Error> {
    let client = RefCell::new(Some(Client::connect(address).await?));
    Ok(Rc::new(Saboteur { client, calls: Cell::new(0), after, progress: Rc::clone(progress) }))
}

fn reader(address: SocketAddr, saboteur: &Rc<Saboteur>) -> impl Future<Output = Result<Reader, Error>> + use<> {
    let saboteur = Rc::clone(saboteur);
    async move { Ok(Reader { client: Client::connect(address).await?, saboteur }) }
}
