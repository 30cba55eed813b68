//! The chapter's load on the server: home timelines, read many times for each post, with the work done on either side.
//!
//! DDIA ch. 1, "Describing Load": Twitter had 4.6 thousand posts and 300 thousand reads of home timelines a second, and
//! a few users with over 30 million followers. Fan-out on write makes a read cheap and a celebrity's post expensive;
//! fan-out on read the other way round. [`crate::engine::timeline`] plans what each strategy does; here it is done, over
//! TCP, by users who each wait for their answer, and both sides' response times are kept apart.
//!
//! Every strategy carries out the same posts of the same authors on the same graph, on a server of its own, whose lists have
//! been filled with older posts before the clock starts.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::load::{ClosedLoop, Keys, Latencies, Op, Recorder, Summary, Until, closed_loop};
use common::resp::{Client, Value};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::systems::Server;
use crate::engine::graph::Graph;
use crate::engine::timeline::{Append, HOME_LEN, List, Strategy, lists_to_read, merge, on_post};
use crate::engine::types::{PostId, UserId};
use crate::error::Error;

/// How many posts a page shows.
pub const PAGE: usize = 50;

/// How many appends are under way on a connection: few enough that their replies fit in the sockets' buffers.
const APPENDS_AT_ONCE: usize = 500;

/// How many lists are read at once on a connection, for the same reason: a page of each is some kilobytes.
const LISTS_AT_ONCE: usize = 50;

/// How many posts of each user there are before the clock starts.
const OLD_POSTS: u64 = 2;

/// A load, drawn before it runs, so that every strategy gets the same.
#[derive(Debug)]
pub struct Scenario {
    graph: Graph,
    /// Who writes the measured posts, in their order.
    authors: Vec<UserId>,
    reads: u64,
    clients: NonZeroUsize,
    seed: u64,
}

/// What a strategy cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// How long those who posted waited until the post was delivered.
    pub posts: Summary,
    /// How long those who read waited for their page.
    pub reads: Summary,
    /// How many commands a post took on average.
    pub commands_per_post: f64,
    /// How many commands a read took on average.
    pub commands_per_read: f64,
    /// The server's processor time for all of it.
    pub cpu: Option<Duration>,
    /// How long all of it took.
    pub elapsed: Duration,
}

/// A kind of operation: its response times, and the commands that it took.
#[derive(Debug)]
struct Side {
    latencies: Latencies,
    commands: u64,
}

/// What the clients of one run share.
struct Run {
    scenario: Rc<Scenario>,
    strategy: Strategy,
    /// How many operations have begun.
    begun: u64,
    posts: Side,
    reads: Side,
}

/// A connection on which users come and go.
struct Visitor {
    client: Client,
    run: Rc<RefCell<Run>>,
}

/// What a visitor does next.
enum Visit {
    Post(Vec<Append>),
    Read(Vec<List>),
}

/// The loop's own recorder: the two sides are kept apart instead.
struct Nothing;

impl Recorder for Nothing {
    fn record(&mut self, _: u64) {}
}

impl Scenario {
    /// Draws a scenario: so many users, who follow so many others on average, so many posts and reads.
    pub fn draw(users: u32, mean_follows: u32, posts: u64, reads: u64, clients: NonZeroUsize, seed: u64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let graph = Graph::skewed(&mut rng, users, mean_follows);
        let authors = (0..posts).map(|_| UserId(rng.random_range(0..users))).collect();
        Self { graph, authors, reads, clients, seed }
    }

    /// How many followers the most followed user has.
    pub fn most_followers(&self) -> usize {
        self.followers().max().unwrap_or(0)
    }

    /// How many followers a user has on average.
    pub fn mean_followers(&self) -> f64 {
        self.followers().sum::<usize>() as f64 / f64::from(self.graph.users().max(1))
    }

    /// Thresholds of the hybrid from "nearly everyone is a celebrity" to "only one is", at equal factors.
    pub fn thresholds(&self, count: u32) -> Vec<usize> {
        let most = self.most_followers().max(2) as f64;
        let steps = (1..=count).map(|step| most.powf(f64::from(step) / f64::from(count)).round() as usize);
        let mut thresholds: Vec<usize> = steps.collect();
        thresholds.dedup();
        thresholds
    }

    fn followers(&self) -> impl Iterator<Item = usize> {
        (0..self.graph.users()).map(|user| self.graph.followers(UserId(user)).len())
    }

    fn operations(&self) -> u64 {
        self.authors.len() as u64 + self.reads
    }
}

/// Runs a strategy on a fresh server.
///
/// # Errors
///
/// The server cannot be reached, or refuses.
pub async fn run(scenario: &Rc<Scenario>, strategy: Strategy, server: &Server) -> Result<Cost, Error> {
    let address = server.address();
    write_old_posts(scenario, strategy, address).await?;
    let side = || Side { latencies: Latencies::new(), commands: 0 };
    let state = Run { scenario: Rc::clone(scenario), strategy, begun: 0, posts: side(), reads: side() };
    let state = Rc::new(RefCell::new(state));
    let load = ClosedLoop {
        clients: scenario.clients,
        until: Until::Operations(scenario.operations()),
        seed: scenario.seed,
        expected_interval: None,
    };
    let readers = Keys::uniform(u64::from(scenario.graph.users()))?;
    let make = |_| {
        let run = Rc::clone(&state);
        async move { Ok(Visitor { client: Client::connect(address).await?, run }) }
    };
    let before = server.usage();
    let outcome = closed_loop(load, &readers, make, Nothing).await?;
    let after = server.usage();
    if let Some(error) = outcome.first_error {
        return Err(error);
    }
    let state = state.borrow();
    let per_operation = |side: &Side| side.commands as f64 / side.latencies.len().max(1) as f64;
    Ok(Cost {
        posts: state.posts.latencies.summary(outcome.elapsed),
        reads: state.reads.latencies.summary(outcome.elapsed),
        commands_per_post: per_operation(&state.posts),
        commands_per_read: per_operation(&state.reads),
        cpu: before.zip(after).map(|(before, after)| after.cpu.saturating_sub(before.cpu)),
        elapsed: outcome.elapsed,
    })
}

impl Run {
    /// The next operation, of this user if it is a read. Posts are spread evenly among the reads.
    fn begin(&mut self, reader: UserId) -> Visit {
        let scenario = &self.scenario;
        let (posts, all) = (scenario.authors.len() as u64, scenario.operations());
        let posts_until = |operation: u64| operation * posts / all;
        let post = posts_until(self.begun);
        let is_post = posts_until(self.begun + 1) > post;
        self.begun += 1;
        if is_post {
            let id = PostId(u64::from(scenario.graph.users()) * OLD_POSTS + post);
            Visit::Post(on_post(self.strategy, &scenario.graph, scenario.authors[post as usize], id))
        } else {
            Visit::Read(lists_to_read(self.strategy, &scenario.graph, reader))
        }
    }
}

impl Side {
    fn keep(&mut self, took: Duration, commands: u64) {
        self.latencies.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        self.commands += commands;
    }
}

impl Op for Visitor {
    type Error = Error;

    async fn call(&mut self, key: u64) -> Result<(), Error> {
        let visit = self.run.borrow_mut().begin(UserId(key as u32));
        let began = Instant::now();
        match visit {
            Visit::Post(appends) => {
                let commands = post(&mut self.client, &appends).await?;
                self.run.borrow_mut().posts.keep(began.elapsed(), commands);
            }
            Visit::Read(lists) => {
                let page = read(&mut self.client, &lists).await?;
                let mut run = self.run.borrow_mut();
                run.reads.keep(began.elapsed(), lists.len() as u64);
                assert!(page.len() <= PAGE, "a page holds at most {PAGE} posts");
            }
        }
        Ok(())
    }
}

/// Carries out the appends of a post; how many commands that took.
async fn post(client: &mut Client, appends: &[Append]) -> Result<u64, Error> {
    let last = (HOME_LEN - 1).to_string();
    for appends in appends.chunks(APPENDS_AT_ONCE) {
        for Append { list, post } in appends {
            let key = list.key();
            client.send(&["LPUSH", &key, &post.to_string()]);
            client.send(&["LTRIM", &key, "0", &last]);
        }
        client.flush().await?;
        for _ in 0..appends.len() * 2 {
            let reply = client.receive().await?;
            if reply.is_error() {
                return Err(Error::Unexpected(reply.to_string()));
            }
        }
    }
    Ok(appends.len() as u64 * 2)
}

/// Reads the lists and merges them into a page.
async fn read(client: &mut Client, lists: &[List]) -> Result<Vec<PostId>, Error> {
    let last = (PAGE - 1).to_string();
    let mut posts = Vec::with_capacity(lists.len());
    for lists in lists.chunks(LISTS_AT_ONCE) {
        for list in lists {
            client.send(&["LRANGE", &list.key(), "0", &last]);
        }
        client.flush().await?;
        for _ in lists {
            posts.push(post_ids(&client.receive().await?)?);
        }
    }
    Ok(merge(&posts, PAGE))
}

fn post_ids(reply: &Value) -> Result<Vec<PostId>, Error> {
    let id = |item: &Value| item.as_i64().and_then(|id| u64::try_from(id).ok()).map(PostId);
    let ids = reply.as_array().and_then(|items| items.iter().map(id).collect());
    ids.ok_or_else(|| Error::Unexpected(reply.to_string()))
}

/// What was posted before the clock starts: every user's old posts, in turns.
async fn write_old_posts(scenario: &Scenario, strategy: Strategy, address: SocketAddr) -> Result<(), Error> {
    let mut client = Client::connect(address).await?;
    let users = u64::from(scenario.graph.users());
    for id in 0..users * OLD_POSTS {
        let appends = on_post(strategy, &scenario.graph, UserId((id % users) as u32), PostId(id));
        post(&mut client, &appends).await?;
    }
    Ok(())
}
