//! Judges `timeline`: one page, three ways to pay for it, each at the cost that the book gives for it.

use std::collections::{BTreeSet, HashMap};

use ch01_kv::engine::graph::Graph;
use ch01_kv::engine::timeline::{Append, HOME_LEN, List, Strategy, fans_out, lists_to_read, merge, on_post};
use ch01_kv::engine::types::{PostId, UserId};
use common::judge::seeds;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const USERS: u32 = 200;

fn skewed(seed: u64) -> Graph {
    Graph::skewed(&mut Xoshiro256PlusPlus::seed_from_u64(seed), USERS, 12)
}

fn users(graph: &Graph) -> Vec<UserId> {
    (0..graph.users()).map(UserId).collect()
}

/// User 0 is followed by 1, 2 and 3; user 1 by 3 alone; nobody follows 2 and 3.
fn four_users() -> Graph {
    let mut graph = Graph::new(4);
    for (follower, followed) in [(1, 0), (2, 0), (3, 0), (3, 1)] {
        graph.follow(UserId(follower), UserId(followed));
    }
    graph
}

/// The lists that a plan appends to; each append must carry the post itself.
fn written(strategy: Strategy, graph: &Graph, author: UserId) -> Vec<List> {
    let post = PostId(42);
    let appends = on_post(strategy, graph, author, post);
    assert!(appends.iter().all(|append| append.post == post), "another post was appended");
    appends.into_iter().map(|Append { list, .. }| list).collect()
}

fn sorted(mut lists: Vec<List>) -> Vec<List> {
    lists.sort();
    lists
}

/// The lists as the server keeps them: newest first, cut at [`HOME_LEN`].
#[derive(Default)]
struct Lists(HashMap<List, Vec<PostId>>);

impl Lists {
    fn post(&mut self, strategy: Strategy, graph: &Graph, author: UserId, post: PostId) {
        for Append { list, post } in on_post(strategy, graph, author, post) {
            let posts = self.0.entry(list).or_default();
            posts.insert(0, post);
            posts.truncate(HOME_LEN);
        }
    }

    fn home(&self, strategy: Strategy, graph: &Graph, reader: UserId, limit: usize) -> Vec<PostId> {
        let lists = lists_to_read(strategy, graph, reader);
        let read: Vec<Vec<PostId>> = lists.iter().map(|list| self.0.get(list).cloned().unwrap_or_default()).collect();
        merge(&read, limit)
    }
}

#[test]
fn fan_out_on_read_writes_once_and_reads_a_list_for_each_that_one_follows() {
    for seed in seeds(4) {
        let graph = skewed(seed);
        for user in users(&graph) {
            assert_eq!(written(Strategy::OnRead, &graph, user), [List::Posts(user)], "seed {seed}");
            let expected = graph.follows(user).iter().map(|author| List::Posts(*author)).collect();
            assert_eq!(sorted(lists_to_read(Strategy::OnRead, &graph, user)), sorted(expected), "seed {seed}");
        }
    }
    assert!(lists_to_read(Strategy::OnRead, &four_users(), UserId(0)).is_empty(), "who follows nobody reads nothing");
}

#[test]
fn fan_out_on_write_writes_to_each_follower_and_reads_one_list() {
    for seed in seeds(4) {
        let graph = skewed(seed);
        for user in users(&graph) {
            let mut expected = vec![List::Posts(user)];
            expected.extend(graph.followers(user).iter().map(|follower| List::Home(*follower)));
            let written = written(Strategy::OnWrite, &graph, user);
            assert_eq!(written.first(), Some(&List::Posts(user)), "seed {seed}: the author's own list comes first");
            assert_eq!(sorted(written), sorted(expected), "seed {seed}");
            if !graph.follows(user).is_empty() {
                assert_eq!(lists_to_read(Strategy::OnWrite, &graph, user), [List::Home(user)], "seed {seed}");
            }
        }
    }
    assert!(lists_to_read(Strategy::OnWrite, &four_users(), UserId(0)).is_empty(), "who follows nobody reads nothing");
}

#[test]
fn an_author_is_a_celebrity_from_the_threshold_on() {
    let graph = four_users();
    for (celebrity_followers, celebrities) in [(0, 0..4), (1, 0..2), (2, 0..1), (3, 0..1), (4, 0..0)] {
        let strategy = Strategy::Hybrid { celebrity_followers };
        for user in users(&graph) {
            let celebrity = celebrities.contains(&user.0);
            let followers = graph.followers(user).len();
            assert_eq!(fans_out(strategy, &graph, user), !celebrity, "{followers} followers, {strategy}");
        }
    }
    assert!(!fans_out(Strategy::OnRead, &graph, UserId(2)) && fans_out(Strategy::OnWrite, &graph, UserId(0)));
    let strategy = Strategy::Hybrid { celebrity_followers: 2 };
    assert_eq!(sorted(lists_to_read(strategy, &graph, UserId(3))), [List::Posts(UserId(0)), List::Home(UserId(3))]);
    assert_eq!(lists_to_read(strategy, &graph, UserId(2)), [List::Posts(UserId(0))], "nobody delivers to user 2");
}

#[test]
fn the_hybrid_never_writes_more_than_its_threshold_nor_reads_more_than_fan_out_on_read() {
    for seed in seeds(4) {
        let graph = skewed(seed);
        for celebrity_followers in [1, 10, 40, 1_000] {
            let strategy = Strategy::Hybrid { celebrity_followers };
            let celebrity = |user: &UserId| graph.followers(*user).len() >= celebrity_followers;
            for user in users(&graph) {
                let writes = written(strategy, &graph, user).len();
                assert!(writes <= celebrity_followers, "seed {seed}, {strategy}: {writes} writes for one post");
                assert_eq!(
                    writes == 1 + graph.followers(user).len(),
                    !celebrity(&user) || graph.followers(user).is_empty()
                );
                let read = lists_to_read(strategy, &graph, user);
                let celebrities = graph.follows(user).iter().filter(|author| celebrity(author)).count();
                assert!(read.len() <= 1 + celebrities, "seed {seed}, {strategy}: {} lists read", read.len());
                let followed = graph.follows(user).len();
                assert!(
                    read.len() <= followed,
                    "seed {seed}, {strategy}: more lists read than the {followed} followed"
                );
            }
        }
    }
}

#[test]
fn merging_gives_the_newest_first_and_each_post_once() {
    let posts = |ids: &[u64]| ids.iter().map(|id| PostId(*id)).collect::<Vec<PostId>>();
    let lists = [posts(&[9, 5, 5, 1]), posts(&[]), posts(&[8, 5, 2])];
    assert_eq!(merge(&lists, 10), posts(&[9, 8, 5, 2, 1]));
    assert_eq!(merge(&lists, 3), posts(&[9, 8, 5]));
    assert_eq!(merge(&lists, 4), posts(&[9, 8, 5, 2]), "a repeat does not take a place on the page");
    assert!(merge(&lists, 0).is_empty() && merge(&[], 5).is_empty() && merge(&[vec![]], 5).is_empty());
    for seed in seeds(16) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let lists: Vec<Vec<PostId>> = (0..rng.random_range(1..20))
            .map(|_| {
                let mut list: Vec<PostId> =
                    (0..rng.random_range(0..60)).map(|_| PostId(rng.random_range(0..500))).collect();
                list.sort_unstable_by(|left, right| right.cmp(left));
                list
            })
            .collect();
        let all: BTreeSet<PostId> = lists.iter().flatten().copied().collect();
        for limit in [1, 7, 50, 10_000] {
            let expected: Vec<PostId> = all.iter().rev().take(limit).copied().collect();
            assert_eq!(merge(&lists, limit), expected, "seed {seed}, limit {limit}");
        }
    }
}

#[test]
fn every_strategy_shows_the_same_home_timeline() {
    let strategies = [
        Strategy::OnRead,
        Strategy::OnWrite,
        Strategy::Hybrid { celebrity_followers: 20 },
        Strategy::Hybrid { celebrity_followers: 1 },
    ];
    for seed in seeds(3) {
        let graph = skewed(seed);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(!seed);
        // Whoever follows more posts more often here: some lists overflow.
        let posts: Vec<(UserId, PostId)> = (0..2_500)
            .map(|id| (UserId((rng.random::<f64>().powi(4) * f64::from(USERS)) as u32), PostId(id)))
            .collect();
        let mut homes: Vec<Lists> = strategies.iter().map(|_| Lists::default()).collect();
        for (author, post) in &posts {
            for (strategy, lists) in strategies.iter().zip(&mut homes) {
                lists.post(*strategy, &graph, *author, *post);
            }
        }
        for reader in users(&graph) {
            let followed: BTreeSet<UserId> = graph.follows(reader).iter().copied().collect();
            for limit in [20, HOME_LEN] {
                let truth: Vec<PostId> = posts
                    .iter()
                    .rev()
                    .filter_map(|(author, post)| followed.contains(author).then_some(*post))
                    .take(limit)
                    .collect();
                for (strategy, lists) in strategies.iter().zip(&homes) {
                    let shown = lists.home(*strategy, &graph, reader, limit);
                    assert!(shown == truth, "seed {seed}: {strategy} shows user {reader} another page of {limit}");
                }
            }
        }
    }
}
