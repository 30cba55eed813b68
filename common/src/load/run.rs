//! The two ways to send a load: clients that wait for their answers, and users that do not.
//!
//! Both run all clients on the calling thread (a `LocalSet`), so that a client need not be `Send` and a current-thread
//! runtime will do; call them from `block_on`, not from a spawned task. Dropping the future stops the clients.
//!
//! A client whose operation fails is done: what its connection holds is no longer known. How many did, and the first
//! error, are part of the outcome; failed operations are not part of the response times, which a server could otherwise
//! improve by failing fast.

use std::cell::RefCell;
use std::future::Future;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until};

use super::{Keys, Recorder, Schedule};

/// What tokio's timer is off by at most: it counts milliseconds, and fires at the first one after the deadline.
const TIMER_GRAIN: Duration = Duration::from_millis(2);

/// Turns of the scheduler after which a clock that has not moved is taken for a paused one. A real one counts nanoseconds
/// and moves with each.
const TURNS_OF_A_STOPPED_CLOCK: u32 = 16;

/// A client's operation. Implemented by a chapter for its own client.
pub trait Op: 'static {
    /// What can go wrong.
    type Error: 'static;

    /// Does one operation on a key and waits for the answer.
    fn call(&mut self, key: u64) -> impl Future<Output = Result<(), Self::Error>>;
}

/// When a closed loop ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// After so many operations of all clients together.
    Operations(u64),
    /// When the time is up; what is in flight then is finished and counted.
    Elapsed(Duration),
}

/// A load of clients that each wait for an answer before they ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedLoop {
    /// How many clients there are.
    pub clients: NonZeroUsize,
    /// When it ends.
    pub until: Until,
    /// The seed of the keys; each client has a sequence of its own.
    pub seed: u64,
    /// How often each client would have asked, had it not had to wait: corrects for coordinated omission where it is set.
    pub expected_interval: Option<Duration>,
}

/// A load of requests that are due when they are due.
#[derive(Debug, Clone)]
pub struct OpenLoop {
    /// When they are due.
    pub schedule: Schedule,
    /// How many can be under way at once. One that finds no client free waits, and its wait counts.
    pub clients: NonZeroUsize,
    /// The seed of the keys.
    pub seed: u64,
}

/// What a load came to.
#[derive(Debug)]
pub struct Outcome<R, E> {
    /// The response times.
    pub recorder: R,
    /// How many operations succeeded.
    pub operations: u64,
    /// How many failed, each of another client.
    pub errors: u64,
    /// The first error.
    pub first_error: Option<E>,
    /// From the first request to the last response.
    pub elapsed: Duration,
}

impl<R, E> Outcome<R, E> {
    /// Successful operations a second.
    pub fn throughput(&self) -> f64 {
        let secs = self.elapsed.as_secs_f64();
        if secs > 0.0 { self.operations as f64 / secs } else { 0.0 }
    }
}

/// What the clients of one run share.
struct Shared<R, E> {
    recorder: R,
    operations: u64,
    errors: u64,
    first_error: Option<E>,
}

/// Runs a closed loop. All clients are made before the clock starts; `make_client` gets each one's number.
///
/// # Errors
///
/// A client could not be made.
pub async fn closed_loop<C, R, F>(
    load: ClosedLoop,
    keys: &Keys,
    make_client: impl FnMut(usize) -> F,
    recorder: R,
) -> Result<Outcome<R, C::Error>, C::Error>
where
    C: Op,
    R: Recorder + 'static,
    F: Future<Output = Result<C, C::Error>>,
{
    let clients = make_clients(load.clients, make_client).await?;
    let began = Instant::now();
    let interval = load.expected_interval.map(as_nanos);
    let left = Rc::new(RefCell::new(match load.until {
        Until::Operations(count) => count,
        Until::Elapsed(_) => u64::MAX,
    }));
    let deadline = match load.until {
        Until::Operations(_) => None,
        Until::Elapsed(length) => Some(began + length),
    };
    let outcome = run_all(clients, recorder, began, |number, mut client, shared| {
        let mut keys = keys.stream(mix(load.seed, number));
        let left = Rc::clone(&left);
        async move {
            while deadline.is_none_or(|deadline| Instant::now() < deadline) && take_one(&left) {
                let key = keys.next().expect("a stream of keys has no end");
                let sent = Instant::now();
                let result = client.call(key).await;
                let nanos = as_nanos(sent.elapsed());
                let more = shared.borrow_mut().keep(result, |recorder| match interval {
                    Some(interval) => recorder.record_corrected(nanos, interval),
                    None => recorder.record(nanos),
                });
                if !more {
                    return;
                }
            }
        }
    })
    .await;
    Ok(outcome)
}

/// Runs an open loop. A response time counts from when its request was due, whether or not a client was free to send it.
///
/// # Errors
///
/// A client could not be made.
pub async fn open_loop<C, R, F>(
    load: OpenLoop,
    keys: &Keys,
    make_client: impl FnMut(usize) -> F,
    recorder: R,
) -> Result<Outcome<R, C::Error>, C::Error>
where
    C: Op,
    R: Recorder + 'static,
    F: Future<Output = Result<C, C::Error>>,
{
    let clients = make_clients(load.clients, make_client).await?;
    let began = Instant::now();
    // The next request and its key are drawn together, so that the sequence does not depend on which client is free.
    let arrivals = Rc::new(RefCell::new(load.schedule.zip(keys.stream(load.seed))));
    let outcome = run_all(clients, recorder, began, |_, mut client, shared| {
        let arrivals = Rc::clone(&arrivals);
        async move {
            loop {
                let next = arrivals.borrow_mut().next();
                let Some((due, key)) = next else { return };
                let due = began + due;
                wait_until(due).await;
                let result = client.call(key).await;
                let nanos = as_nanos(due.elapsed());
                if !shared.borrow_mut().keep(result, |recorder| recorder.record(nanos)) {
                    return;
                }
            }
        }
    })
    .await;
    Ok(outcome)
}

impl<R: Recorder, E> Shared<R, E> {
    /// Books a result; whether the client goes on.
    fn keep(&mut self, result: Result<(), E>, record: impl FnOnce(&mut R)) -> bool {
        match result {
            Ok(()) => {
                self.operations += 1;
                record(&mut self.recorder);
                true
            }
            Err(error) => {
                self.errors += 1;
                self.first_error.get_or_insert(error);
                false
            }
        }
    }
}

async fn make_clients<C, F>(count: NonZeroUsize, mut make: impl FnMut(usize) -> F) -> Result<Vec<C>, C::Error>
where
    C: Op,
    F: Future<Output = Result<C, C::Error>>,
{
    let mut clients = Vec::new();
    for number in 0..count.get() {
        clients.push(make(number).await?);
    }
    Ok(clients)
}

/// Runs one task a client on this thread, and waits for all of them.
async fn run_all<C, R, T>(
    clients: Vec<C>,
    recorder: R,
    began: Instant,
    mut task: impl FnMut(usize, C, Rc<RefCell<Shared<R, C::Error>>>) -> T,
) -> Outcome<R, C::Error>
where
    C: Op,
    R: Recorder + 'static,
    T: Future<Output = ()> + 'static,
{
    let shared = Rc::new(RefCell::new(Shared { recorder, operations: 0, errors: 0, first_error: None }));
    let local = LocalSet::new();
    let mut tasks = JoinSet::new();
    for (number, client) in clients.into_iter().enumerate() {
        tasks.spawn_local_on(task(number, client, Rc::clone(&shared)), &local);
    }
    local
        .run_until(async {
            while let Some(ended) = tasks.join_next().await {
                if let Err(failure) = ended {
                    std::panic::resume_unwind(failure.into_panic());
                }
            }
        })
        .await;
    let elapsed = began.elapsed();
    let Ok(shared) = Rc::try_unwrap(shared) else { unreachable!("every task has ended and let go") };
    let Shared { recorder, operations, errors, first_error } = shared.into_inner();
    Outcome { recorder, operations, errors, first_error, elapsed }
}

/// Waits until a point in time more exactly than the timer can: it sleeps until shortly before, then gives way to the
/// other tasks until it is due. Otherwise each response time would count up to a millisecond of the generator's own.
async fn wait_until(due: Instant) {
    if let Some(nearly) = due.checked_sub(TIMER_GRAIN)
        && nearly > Instant::now()
    {
        sleep_until(nearly).await;
    }
    let from = Instant::now();
    let mut turns = 0;
    while Instant::now() < due {
        tokio::task::yield_now().await;
        turns += 1;
        if turns == TURNS_OF_A_STOPPED_CLOCK && Instant::now() == from {
            // A test's clock moves only while every task sleeps.
            return sleep_until(due).await;
        }
    }
}

fn take_one(left: &RefCell<u64>) -> bool {
    let mut left = left.borrow_mut();
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

fn as_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A client's own seed. The generator's seeding mixes it further: neighbours need not look alike.
fn mix(seed: u64, client: usize) -> u64 {
    seed.wrapping_add((client as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}
