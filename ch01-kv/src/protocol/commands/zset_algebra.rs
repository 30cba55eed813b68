//! Intersections, unions and differences of sorted sets, and of sets, whose members count as having the score 1: shown,
//! counted or stored.

use common::resp::table::{Flags, Keys};
use common::resp::{Replies, Request};
use indexmap::IndexMap;

use super::shared;
use super::zsets::row;
use crate::engine::entry::Entry;
use crate::engine::keyspace::Db;
use crate::protocol::args::{float, integer};
use crate::protocol::context::{Command, Context, DataHandler};
use crate::protocol::error::CommandError;
use crate::values::{Kind, Set, ValueRef, WrongType, ZSet};

type Outcome = Result<(), CommandError>;

/// The score of a set's member.
const SET_SCORE: f64 = 1.0;

/// How sorted sets are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Intersection,
    Union,
    Difference,
}

/// Which score a member gets that several sources have.
#[derive(Debug, Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

/// What is combined.
#[derive(Debug, Clone, Copy)]
enum Source<'d> {
    Missing,
    Set(&'d Set),
    ZSet(&'d ZSet),
}

/// What the options ask for.
#[derive(Debug)]
struct Options {
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    /// How many members to count at most.
    limit: usize,
}

/// What becomes of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Shown,
    Stored,
    Counted,
}

impl Aggregate {
    fn apply(self, score: f64, other: f64) -> f64 {
        match self {
            // Infinities of both signs cancel out.
            Self::Sum => zero_if_nan(score + other),
            Self::Min => {
                if other < score {
                    other
                } else {
                    score
                }
            }
            Self::Max => {
                if other > score {
                    other
                } else {
                    score
                }
            }
        }
    }
}

impl<'d> Source<'d> {
    fn find(db: &'d Db, key: &[u8]) -> Self {
        match db.peek(key).map(Entry::value) {
            Some(ValueRef::Set(set)) => Self::Set(set),
            Some(ValueRef::ZSet(zset)) => Self::ZSet(zset),
            _ => Self::Missing,
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Missing => 0,
            Self::Set(set) => set.len(),
            Self::ZSet(zset) => zset.len(),
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Missing => None,
            Self::Set(set) => set.contains(member).then_some(SET_SCORE),
            Self::ZSet(zset) => zset.score(member),
        }
    }

    /// Members and scores, in the source's own order.
    fn iter(self) -> impl Iterator<Item = (&'d [u8], f64)> {
        (0..self.len()).filter_map(move |index| match self {
            Self::Missing => None,
            Self::Set(set) => Some((set.at(index)?, SET_SCORE)),
            Self::ZSet(zset) => zset.at(index),
        })
    }
}

impl Options {
    /// Reads `[WEIGHTS weight ...] [AGGREGATE SUM | MIN | MAX] [WITHSCORES] [LIMIT limit]` from `at` on, each where it
    /// belongs.
    fn parse(
        request: &Request<'_>,
        mut at: usize,
        number: usize,
        operation: Operation,
        purpose: Purpose,
    ) -> Result<Self, CommandError> {
        let scored = operation != Operation::Difference && purpose != Purpose::Counted;
        let mut options = Self { weights: vec![1.0; number], aggregate: Aggregate::Sum, with_scores: false, limit: 0 };
        while at < request.len() {
            let following = request.len() - at - 1;
            if scored && following >= number && request.is(at, "WEIGHTS") {
                for (weight, arg) in options.weights.iter_mut().zip(request.args(at + 1)) {
                    *weight = float(arg).map_err(|_| CommandError::text("ERR weight value is not a float"))?;
                }
                at += number;
            } else if scored && following >= 1 && request.is(at, "AGGREGATE") {
                options.aggregate = match () {
                    () if request.is(at + 1, "SUM") => Aggregate::Sum,
                    () if request.is(at + 1, "MIN") => Aggregate::Min,
                    () if request.is(at + 1, "MAX") => Aggregate::Max,
                    () => return Err(CommandError::Syntax),
                };
                at += 1;
            } else if purpose == Purpose::Shown && request.is(at, "WITHSCORES") {
                options.with_scores = true;
            } else if purpose == Purpose::Counted && following >= 1 && request.is(at, "LIMIT") {
                options.limit = shared::at_least(request.arg(at + 1), 0, "ERR LIMIT can't be negative")?;
                at += 1;
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        Ok(options)
    }
}

/// Combines the sources into members with scores.
fn combine<'d>(db: &'d Db, keys: &[&[u8]], operation: Operation, options: &Options) -> IndexMap<&'d [u8], f64> {
    let mut sources: Vec<(Source<'d>, f64)> =
        keys.iter().map(|key| Source::find(db, key)).zip(options.weights.iter().copied()).collect();
    if operation != Operation::Difference {
        // From the smallest on, for it bounds an intersection; and since sums depend on the order, unions too.
        sources.sort_by_key(|(source, _)| source.len());
    }
    let mut result = IndexMap::new();
    let Some((&(first, weight), others)) = sources.split_first() else { return result };
    match operation {
        Operation::Union => {
            for &(source, weight) in &sources {
                for (member, score) in source.iter() {
                    let score = zero_if_nan(score * weight);
                    let known = result.entry(member);
                    known.and_modify(|known| *known = options.aggregate.apply(*known, score)).or_insert(score);
                }
            }
        }
        Operation::Intersection => {
            let limit = if options.limit == 0 { usize::MAX } else { options.limit };
            let common = first.iter().filter_map(|(member, score)| {
                let mut score = zero_if_nan(score * weight);
                for (source, weight) in others {
                    score = options.aggregate.apply(score, source.score(member)? * weight);
                }
                Some((member, score))
            });
            result.extend(common.take(limit));
        }
        Operation::Difference => {
            let is_elsewhere = |member: &[u8]| others.iter().any(|(source, _)| source.score(member).is_some());
            result.extend(first.iter().filter(|(member, _)| !is_elsewhere(member)));
        }
    }
    result
}

fn zero_if_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// Runs `[destination] numkeys key [key ...] [options]`. `name` is the command's.
fn run(
    cx: &mut Context<'_>,
    request: &Request<'_>,
    name: &'static str,
    operation: Operation,
    purpose: Purpose,
) -> Outcome {
    let count_at = if purpose == Purpose::Stored { 2 } else { 1 };
    let number = integer(request.arg(count_at))?;
    let Some(number) = usize::try_from(number).ok().filter(|&number| number > 0) else {
        return Err(CommandError::Other(format!("ERR at least 1 input key is needed for '{name}' command").into()));
    };
    let first = count_at + 1;
    if number > request.len() - first {
        return Err(CommandError::Syntax);
    }
    let keys: Vec<&[u8]> = request.args(first).take(number).collect();
    for key in &keys {
        if cx.db.get(key).is_some_and(|value| !matches!(value.kind(), Kind::Set | Kind::ZSet)) {
            return Err(WrongType.into());
        }
    }
    let options = Options::parse(request, first + number, number, operation, purpose)?;
    let combined = combine(cx.db, &keys, operation, &options);
    if purpose == Purpose::Counted {
        cx.replies.integer(combined.len() as i64);
        return Ok(());
    }
    let mut result = ZSet::default();
    for (member, score) in combined {
        // What is stored has no negative zeros, as what is added has none.
        result.insert(member, if purpose == Purpose::Stored { score + 0.0 } else { score });
    }
    if purpose == Purpose::Stored {
        shared::store(cx, request.arg(1), result.len(), result);
    } else {
        let members: Vec<(&[u8], f64)> = result.iter_from(0).collect();
        shared::reply_pairs(cx.replies, members, options.with_scores, Replies::double);
    }
    Ok(())
}

const fn show(name: &'static str, handler: DataHandler) -> Command {
    row(name, -3, READ, Keys::Counted { destination: None, count_at: 1 }, handler)
}

const fn keep(name: &'static str, handler: DataHandler) -> Command {
    row(name, -4, STORE, Keys::Counted { destination: Some(1), count_at: 2 }, handler)
}

const READ: Flags = Flags::READONLY.and(Flags::MOVABLE_KEYS);
const STORE: Flags = Flags::WRITE.and(Flags::DENYOOM).and(Flags::MOVABLE_KEYS);

/// The rows of this part of the family.
pub static COMMANDS: &[Command] = &[
    show("zunion", |cx, request| run(cx, request, "zunion", Operation::Union, Purpose::Shown)),
    show("zinter", |cx, request| run(cx, request, "zinter", Operation::Intersection, Purpose::Shown)),
    show("zdiff", |cx, request| run(cx, request, "zdiff", Operation::Difference, Purpose::Shown)),
    show("zintercard", |cx, request| run(cx, request, "zintercard", Operation::Intersection, Purpose::Counted)),
    keep("zunionstore", |cx, request| run(cx, request, "zunionstore", Operation::Union, Purpose::Stored)),
    keep("zinterstore", |cx, request| run(cx, request, "zinterstore", Operation::Intersection, Purpose::Stored)),
    keep("zdiffstore", |cx, request| run(cx, request, "zdiffstore", Operation::Difference, Purpose::Stored)),
];
