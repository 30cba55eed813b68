//! The home timeline, three ways: the load parameter that decides between them, measured through the real server.

use std::collections::BTreeMap;
use std::time::Instant;

use common::cli::chart::{self, Axis, Lines, Scale, Series};
use common::cli::human;
use common::cli::{Progress, Table};
use common::tour::{Answer, Narrator, Question};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::samples::Samples;
use super::stage::Stage;
use crate::client::{Client, strings};
use crate::engine::graph::Graph;
use crate::engine::timeline::{HOME_LEN, Strategy, lists_to_read, merge, on_post};
use crate::engine::types::{PostId, UserId};
use crate::error::Error;

/// Users of the workload: enough for celebrities, few enough for a second's work in a debug build.
const USERS: u32 = 1_000;

/// How many others a user follows on average.
const MEAN_FOLLOWS: u32 = 25;

/// Posts that are written under each strategy.
const POSTS: u64 = 200;

/// Home timelines that are read under each strategy.
const READS: u64 = 1_500;

/// Every so manyth post is by the most followed user: celebrities post too.
const CELEBRITY_EVERY: u64 = 20;

/// From how many followers on the hybrid treats an author as a celebrity.
const CELEBRITY_FOLLOWERS: usize = 150;

/// Posts on a page.
const PAGE: usize = 10;

/// The seed of graph and workload: the same for all three, so that they do the same work.
const SEED: u64 = 75;

const STRATEGIES: [Strategy; 3] =
    [Strategy::OnRead, Strategy::OnWrite, Strategy::Hybrid { celebrity_followers: CELEBRITY_FOLLOWERS }];

/// What a strategy cost.
struct Cost {
    strategy: Strategy,
    writes: u64,
    most_writes: usize,
    posts: Samples,
    lists: u64,
    reads: Samples,
    /// What each reader was shown last.
    pages: BTreeMap<UserId, Vec<PostId>>,
}

pub(super) fn play(narrator: &mut Narrator, stage: &mut Stage) -> Result<(), Error> {
    let graph = Graph::skewed(&mut Xoshiro256PlusPlus::seed_from_u64(SEED), USERS, MEAN_FOLLOWS);
    let mut counts: Vec<usize> = (0..USERS).map(|user| graph.followers(UserId(user)).len()).collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let edges: usize = counts.iter().sum();
    narrator.says(&format!(
        "{USERS} users follow {} others each on average. Whom they follow is skewed: the most followed has {} followers, the \
         median user {}.",
        edges / USERS as usize,
        counts[0],
        counts[USERS as usize / 2],
    ));
    narrator.chart(&distribution(&counts, narrator.chart_width()));
    narrator.book(
        "ch. 1, \"Describing Load\"",
        "Twitter's load is not posts per second. It is the fan-out: how many followers a post has to reach, and how \
         unevenly they are spread over users. On average it was about 75; for some, over 30 million.",
    );
    narrator.says(&format!(
        "The same {POSTS} posts and {READS} page views now run against the server three times. Fan-out on read keeps one \
         list per author, and a reader merges the lists of everybody they follow. Fan-out on write puts each post into every \
         follower's home list (LPUSH and LTRIM, pipelined). The hybrid leaves authors with {CELEBRITY_FOLLOWERS} or more \
         followers to the reader."
    ));
    let guess = narrator.quiz(
        "Fan-out on write: how many lists does one post go to, on average, the author's own included?",
        Question::Number { unit: "lists" },
    );
    let server = stage.serve("timeline", |_| {})?;
    let mut costs = Vec::new();
    let mut progress = Progress::new(Some(STRATEGIES.len() as u64 * (POSTS + READS)), "posts and pages");
    for (database, strategy) in STRATEGIES.into_iter().enumerate() {
        costs.push(stage.runtime.block_on(async {
            let mut client = Client::connect(server.address()).await?;
            client.select(database).await?;
            measure(&mut client, strategy, &graph, &mut progress).await
        })?);
    }
    drop(progress);
    server.stop()?;
    narrator.table(&table(&costs));
    narrator.reveal(&guess, Answer::Number(costs[1].writes as f64 / POSTS as f64));
    narrator.says(
        "What is cheap for the writer is dear for the reader, and the slowest post of fan-out on write is the celebrity's. Which \
         is better depends on a load parameter: how many pages are read for each post. From the means above:",
    );
    narrator.chart(&crossing(&costs, narrator.chart_width()));
    let readers: Vec<&UserId> = costs[0].pages.keys().collect();
    let agree = readers.iter().filter(|reader| costs.iter().all(|cost| cost.pages[reader] == costs[0].pages[reader]));
    narrator.measured("readers shown the same page by all three", &format!("{} of {}", agree.count(), readers.len()));
    narrator.gap();
    narrator
        .look("Who writes where and who reads what is decided in src/engine/timeline.rs; this scene carries it out.");
    Ok(())
}

async fn measure(
    client: &mut Client,
    strategy: Strategy,
    graph: &Graph,
    progress: &mut Progress,
) -> Result<Cost, Error> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let mut cost = Cost {
        strategy,
        writes: 0,
        most_writes: 0,
        posts: Samples::default(),
        lists: 0,
        reads: Samples::default(),
        pages: BTreeMap::new(),
    };
    let keep = (HOME_LEN - 1).to_string();
    for post in 0..POSTS {
        let drawn = UserId(random.random_range(0..USERS));
        let author = if post % CELEBRITY_EVERY == 0 { UserId(0) } else { drawn };
        let began = Instant::now();
        let appends = on_post(strategy, graph, author, PostId(post));
        for append in &appends {
            let key = append.list.key();
            client.queue(&["LPUSH", &key, &append.post.to_string()]).await?;
            client.queue(&["LTRIM", &key, "0", &keep]).await?;
        }
        client.run_all().await?;
        cost.posts.add(began.elapsed());
        cost.writes += appends.len() as u64;
        cost.most_writes = cost.most_writes.max(appends.len());
        progress.inc(1);
    }
    let last = (PAGE - 1).to_string();
    for _ in 0..READS {
        let reader = UserId(random.random_range(0..USERS));
        let began = Instant::now();
        let lists = lists_to_read(strategy, graph, reader);
        for list in &lists {
            client.queue(&["LRANGE", &list.key(), "0", &last]).await?;
        }
        let replies = client.run().await?;
        let posts = replies.iter().map(|reply| Ok(strings(reply)?.iter().filter_map(|text| post_id(text)).collect()));
        let posts = posts.collect::<Result<Vec<Vec<PostId>>, Error>>()?;
        let page = merge(&posts, PAGE);
        cost.reads.add(began.elapsed());
        cost.lists += lists.len() as u64;
        cost.pages.insert(reader, page);
        progress.inc(1);
    }
    Ok(cost)
}

fn post_id(text: &[u8]) -> Option<PostId> {
    std::str::from_utf8(text).ok()?.parse().ok().map(PostId)
}

/// Followers by rank, both axes logarithmic: what a power law looks like.
fn distribution(counts: &[usize], width: usize) -> String {
    let points: Vec<(f64, f64)> =
        counts.iter().enumerate().map(|(rank, count)| (rank as f64 + 1.0, *count as f64)).collect();
    chart::lines(&Lines {
        series: &[Series { name: "followers", points: &points }],
        width,
        height: 8,
        x: Axis { label: "users, the most followed first", scale: Scale::Log, format: human::count },
        y: Axis { label: "followers", scale: Scale::Log, format: human::count },
    })
}

fn table(costs: &[Cost]) -> Table {
    let mut table = Table::new([
        "fan-out",
        "writes per post",
        "most",
        "post p50",
        "slowest post",
        "lists per page",
        "page p50",
        "page p99",
    ]);
    for cost in costs {
        table.row([
            cost.strategy.to_string(),
            human::count(cost.writes as f64 / POSTS as f64),
            cost.most_writes.to_string(),
            human::duration(cost.posts.percentile(50.0)),
            human::duration(cost.posts.max()),
            human::count(cost.lists as f64 / READS as f64),
            human::duration(cost.reads.percentile(50.0)),
            human::duration(cost.reads.percentile(99.0)),
        ]);
    }
    table
}

/// What one post and the pages read for it take together, by how many pages those are.
fn crossing(costs: &[Cost], width: usize) -> String {
    let points: Vec<Vec<(f64, f64)>> = costs
        .iter()
        .map(|cost| {
            let (post, read) = (cost.posts.mean().as_nanos() as f64, cost.reads.mean().as_nanos() as f64);
            (-4..=14)
                .map(|power| 2_f64.powf(f64::from(power) / 2.0))
                .map(|reads| (reads, post + reads * read))
                .collect()
        })
        .collect();
    let names: Vec<String> = costs.iter().map(|cost| cost.strategy.to_string()).collect();
    let series: Vec<Series<'_>> = names.iter().zip(&points).map(|(name, points)| Series { name, points }).collect();
    chart::lines(&Lines {
        series: &series,
        width,
        height: 10,
        x: Axis { label: "pages read per post", scale: Scale::Log, format: human::count },
        y: Axis { label: "time for a post and its readers", scale: Scale::Log, format: super::samples::as_duration },
    })
}
