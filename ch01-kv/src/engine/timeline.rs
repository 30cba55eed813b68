//! The home timeline: the same page, paid for when it is read, when it is written, or by whom it is cheaper for.
//!
//! A home timeline shows the newest posts of everyone whom a user follows. DDIA ch. 1, "Describing Load", tells how
//! Twitter moved between three ways to make it:
//!
//! ```text
//! on read    post ──> posts:author                          1 write
//!            read <── posts:a, posts:b, posts:c …           one list for each that one follows, merged
//!
//! on write   post ──> posts:author, home:x, home:y …        1 write, and one for each follower
//!            read <── home:reader                           one list
//!
//! hybrid     a celebrity's posts as on read, everyone else's as on write
//!            read <── home:reader, posts:celebrity …        one list, and one for each celebrity that one follows
//! ```
//!
//! All three show the same page. Which is cheapest depends on the load parameters: how many read for each that posts,
//! and how followers are spread over users. This module plans: it says which lists to append to and which to read, and
//! merges what was read. The tour and the bench carry the plans out against the server, with `LPUSH`, `LTRIM` and
//! `LRANGE`.
//!
//! Every post goes to its author's own list too, whatever the strategy: that is the author's profile page, and what a
//! change of strategy would be rebuilt from.
//!
//! **Left out**: following and unfollowing after the fact (a new follower's home list must be filled from old posts), a
//! user who becomes a celebrity between two posts, and own posts on one's home timeline.

use std::collections::BinaryHeap;
use std::fmt;

use crate::engine::graph::Graph;
use crate::engine::types::{PostId, UserId};

/// Posts that a list keeps, the newest: as many as Twitter kept of a home timeline. A page of at most so many is exact
/// under every strategy, because the newest posts of a union are among the newest of its parts.
pub const HOME_LEN: usize = 800;

/// When the work of a home timeline is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Fan-out on read: the reader gathers.
    OnRead,
    /// Fan-out on write: the author delivers.
    OnWrite,
    /// On write, except for the posts of celebrities, which the reader gathers.
    Hybrid {
        /// With how many followers, or more, an author is a celebrity.
        celebrity_followers: usize,
    },
}

/// A list of posts, the newest first, that the server keeps under the key [`List::key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum List {
    /// What a user has posted.
    Posts(UserId),
    /// What was delivered to a user's home timeline.
    Home(UserId),
}

/// A write: put `post` at the head of `list`, and keep the list's first [`HOME_LEN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Append {
    /// Where to.
    pub list: List,
    /// What.
    pub post: PostId,
}

/// Whether the posts of `author` are delivered to each follower's home list when they are written.
pub fn fans_out(strategy: Strategy, graph: &Graph, author: UserId) -> bool {
    // >>> exercise: never, always, or unless the author is a celebrity
    match strategy {
        Strategy::OnRead => false,
        Strategy::OnWrite => true,
        Strategy::Hybrid { celebrity_followers } => graph.followers(author).len() < celebrity_followers,
    }
    // <<<
}

/// The writes that a new post takes: the author's own list first, then the home lists, if any.
pub fn on_post(strategy: Strategy, graph: &Graph, author: UserId, post: PostId) -> Vec<Append> {
    // >>> exercise: the author's list, and the followers' home lists if this author's posts fan out
    let mut appends = vec![Append { list: List::Posts(author), post }];
    if fans_out(strategy, graph, author) {
        appends.extend(graph.followers(author).iter().map(|user| Append { list: List::Home(*user), post }));
    }
    appends
    // <<<
}

/// The lists whose merge is the home timeline of `reader`: none that would be empty for lack of anyone who writes to
/// it.
pub fn lists_to_read(strategy: Strategy, graph: &Graph, reader: UserId) -> Vec<List> {
    // >>> exercise: the home list if anyone delivers to it, and the lists of those who do not
    let (delivered, gathered): (Vec<UserId>, Vec<UserId>) =
        graph.follows(reader).iter().partition(|author| fans_out(strategy, graph, **author));
    let mut lists = Vec::new();
    if !delivered.is_empty() {
        lists.push(List::Home(reader));
    }
    lists.extend(gathered.into_iter().map(List::Posts));
    lists
    // <<<
}

/// The newest `limit` posts of several lists, the newest first, each once.
///
/// Each list has the newest first. A post may be there twice, in one list or in two: whoever writes a list retries
/// after a lost reply.
pub fn merge(lists: &[Vec<PostId>], limit: usize) -> Vec<PostId> {
    // >>> exercise: merge the heads of the lists, newest first, and stop at the limit
    let mut heads: BinaryHeap<(PostId, usize, usize)> =
        lists.iter().enumerate().filter_map(|(list, posts)| posts.first().map(|post| (*post, list, 0))).collect();
    let mut merged: Vec<PostId> = Vec::new();
    while merged.len() < limit
        && let Some((post, list, place)) = heads.pop()
    {
        if merged.last() != Some(&post) {
            merged.push(post);
        }
        if let Some(next) = lists[list].get(place + 1) {
            heads.push((*next, list, place + 1));
        }
    }
    merged
    // <<<
}

impl List {
    /// The key that the server keeps the list under.
    pub fn key(self) -> String {
        self.to_string()
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            List::Posts(user) => write!(f, "posts:{user}"),
            List::Home(user) => write!(f, "home:{user}"),
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Strategy::OnRead => f.pad("on read"),
            Strategy::OnWrite => f.pad("on write"),
            Strategy::Hybrid { celebrity_followers } => f.pad(&format!("hybrid ({celebrity_followers}+)")),
        }
    }
}
