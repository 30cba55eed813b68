//! Who follows whom: the skewed graph that the home-timeline workload runs on.
//!
//! The distribution of followers is the load parameter of DDIA ch. 1, "Describing Load": a post is delivered to about
//! 75 followers on average, and that average hides that some users have over 30 million. [`Graph::skewed`] draws such a
//! graph at any size.
//!
//! **Left out**: communities, whose members follow each other, and a bond between being followed and posting much.

use rand::{Rng, RngExt};

use crate::engine::types::UserId;

/// Users, numbered from 0, and the directed edges between them.
///
/// **Invariants**: `follows` and `followers` hold the same edges, seen from both ends; each list is free of repeats;
/// nobody follows themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    follows: Vec<Vec<UserId>>,
    followers: Vec<Vec<UserId>>,
}

impl Graph {
    /// A graph of `users` users who follow nobody yet.
    pub fn new(users: u32) -> Graph {
        Graph { follows: vec![Vec::new(); users as usize], followers: vec![Vec::new(); users as usize] }
    }

    /// A graph in which a few users have a large part of all followers.
    ///
    /// Each user follows between 1 and 2 · `mean_follows` others, all counts alike, drawn by Zipf's law: the user
    /// numbered k has a weight of 1 / (k + 1), so user 0 is the most followed. The same generator state gives the same
    /// graph.
    pub fn skewed<R: Rng>(rng: &mut R, users: u32, mean_follows: u32) -> Graph {
        let mut graph = Graph::new(users);
        let mut total = 0.0;
        let cumulative: Vec<f64> = (0..users)
            .map(|user| {
                total += 1.0 / (f64::from(user) + 1.0);
                total
            })
            .collect();
        // Nobody can follow more than all others.
        let most = mean_follows.saturating_mul(2).min(users.saturating_sub(1));
        for follower in (0..users).map(UserId) {
            let wanted = if most == 0 { 0 } else { rng.random_range(1..=most) as usize };
            // Who follows many draws celebrities again and again: a bound on the draws keeps the time linear, and makes
            // a user follow somewhat fewer than wanted in a small graph.
            for _ in 0..4 * wanted {
                if graph.follows(follower).len() == wanted {
                    break;
                }
                let point = rng.random::<f64>() * total;
                let drawn = cumulative.partition_point(|sum| *sum <= point).min(users as usize - 1);
                graph.follow(follower, UserId(drawn as u32));
            }
        }
        graph
    }

    /// Lets `follower` follow `followed`. Nothing changes if they do already, or if both are the same.
    ///
    /// # Panics
    ///
    /// When one of the two is not a user of the graph.
    pub fn follow(&mut self, follower: UserId, followed: UserId) {
        if follower == followed || self.follows(follower).contains(&followed) {
            return;
        }
        self.followers[followed.0 as usize].push(follower);
        self.follows[follower.0 as usize].push(followed);
    }

    /// How many users there are.
    pub fn users(&self) -> u32 {
        self.follows.len() as u32
    }

    /// Whom `user` follows, in the order in which they began to.
    ///
    /// # Panics
    ///
    /// When `user` is not a user of the graph.
    pub fn follows(&self, user: UserId) -> &[UserId] {
        &self.follows[user.0 as usize]
    }

    /// Who follows `user`, in the order in which they began to.
    ///
    /// # Panics
    ///
    /// When `user` is not a user of the graph.
    pub fn followers(&self, user: UserId) -> &[UserId] {
        &self.followers[user.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    fn graph(seed: u64, users: u32, mean_follows: u32) -> Graph {
        Graph::skewed(&mut Xoshiro256PlusPlus::seed_from_u64(seed), users, mean_follows)
    }

    #[test]
    fn both_directions_hold_the_same_edges_and_no_one_twice() {
        let graph = graph(1, 500, 20);
        let mut edges = 0;
        for user in (0..graph.users()).map(UserId) {
            let mut follows = graph.follows(user).to_vec();
            assert!(!follows.contains(&user), "user {user} follows themselves");
            assert!(follows.iter().all(|followed| graph.followers(*followed).contains(&user)));
            edges += follows.len();
            follows.sort();
            follows.dedup();
            assert_eq!(follows.len(), graph.follows(user).len(), "user {user} follows someone twice");
        }
        let seen_from_the_other_end: usize = (0..graph.users()).map(|user| graph.followers(UserId(user)).len()).sum();
        assert_eq!(edges, seen_from_the_other_end);
    }

    #[test]
    fn a_few_celebrities_have_a_large_part_of_all_followers() {
        let graph = graph(2, 2_000, 20);
        let followers =
            |users: std::ops::Range<u32>| -> usize { users.map(|user| graph.followers(UserId(user)).len()).sum() };
        let all = followers(0..2_000);
        assert!((30_000..=50_000).contains(&all), "{all} edges for 2,000 users of about 20 each");
        assert!(followers(0..20) * 4 > all, "one user in a hundred has a quarter of all followers");
        assert!(graph.followers(UserId(0)).len() > 1_000, "the most followed has half of all users");
    }

    #[test]
    fn the_same_seed_draws_the_same_graph() {
        assert_eq!(graph(3, 300, 10), graph(3, 300, 10));
        assert_ne!(graph(3, 300, 10), graph(4, 300, 10));
    }

    #[test]
    fn the_smallest_graphs_are_drawn_too() {
        for users in 0..3 {
            assert_eq!(graph(5, users, 10).users(), users);
        }
        assert!(graph(5, 1, 10).follows(UserId(0)).is_empty());
        assert!(graph(5, 10, 0).follows(UserId(0)).is_empty());
    }
}
