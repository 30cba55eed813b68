//! Ranges of sorted sets: by rank, by score, and by member where all scores are equal; shown, counted, stored or removed.
//!
//! Every kind of range comes down to a range of ranks, which the sorted set finds in logarithmic time. What `REV` and
//! `LIMIT` ask for is arithmetic on ranks.

use std::ops::Range;

use common::resp::table::{Flags, Keys};
use common::resp::{Replies, Request};

use super::shared;
use super::zsets::row;
use crate::protocol::args::{self, integer};
use crate::protocol::context::{Command, Context};
use crate::protocol::error::CommandError;
use crate::values::{LexBound, ScoreBound, ZSet};

type Outcome = Result<(), CommandError>;

/// What a range's ends are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// The ends of a range, the lower one first.
#[derive(Debug, Clone, Copy)]
enum Bounds<'a> {
    /// Ranks, counted in the direction of the range.
    Rank(i64, i64),
    Score(ScoreBound, ScoreBound),
    Lex(LexBound<'a>, LexBound<'a>),
}

/// A range as it was asked for.
#[derive(Debug, Clone, Copy)]
struct Query<'a> {
    bounds: Bounds<'a>,
    /// From the highest down.
    reverse: bool,
    /// How many to leave out, and how many to show at most; all, when negative.
    limit: Option<(i64, i64)>,
    with_scores: bool,
}

/// What the command's name has decided of a range already.
#[derive(Debug, Clone, Copy)]
struct Form {
    by: Option<By>,
    reverse: Option<bool>,
    /// Whether the result is stored, so that scores are not shown.
    stored: bool,
}

impl<'a> Bounds<'a> {
    fn parse(by: By, low: &'a [u8], high: &'a [u8]) -> Result<Self, CommandError> {
        Ok(match by {
            By::Rank => Self::Rank(integer(low)?, integer(high)?),
            By::Score => Self::Score(score_bound(low)?, score_bound(high)?),
            By::Lex => Self::Lex(lex_bound(low)?, lex_bound(high)?),
        })
    }

    /// The ranks that lie between the bounds, ascending.
    fn ranks(self, zset: &ZSet, reverse: bool) -> Range<usize> {
        match self {
            Self::Rank(start, stop) => {
                let range = shared::span(start, stop, zset.len());
                if reverse { zset.len() - range.end..zset.len() - range.start } else { range }
            }
            Self::Score(low, high) => zset.ranks_by_score(low, high),
            Self::Lex(low, high) => zset.ranks_by_lex(low, high),
        }
    }
}

impl<'a> Query<'a> {
    /// Reads `start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]` from `at` on.
    fn parse(request: &Request<'a>, at: usize, form: Form) -> Result<Self, CommandError> {
        let (mut by, mut reverse) = (form.by, form.reverse);
        let (mut limit, mut with_scores) = (None, false);
        let mut option = at + 2;
        while option < request.len() {
            if !form.stored && request.is(option, "WITHSCORES") {
                with_scores = true;
            } else if request.is(option, "LIMIT") && option + 2 < request.len() {
                limit = Some((integer(request.arg(option + 1))?, integer(request.arg(option + 2))?));
                option += 2;
            } else if reverse.is_none() && request.is(option, "REV") {
                reverse = Some(true);
            } else if by.is_none() && request.is(option, "BYLEX") {
                by = Some(By::Lex);
            } else if by.is_none() && request.is(option, "BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(CommandError::Syntax);
            }
            option += 1;
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        if by == By::Rank && limit.is_some_and(|(_, count)| count != -1) {
            return Err(CommandError::text(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if by == By::Lex && with_scores {
            return Err(CommandError::text("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        let (first, second) = (request.arg(at), request.arg(at + 1));
        // The other way round, the higher end comes first; ranks are counted in the direction of the range.
        let swapped = reverse && by != By::Rank;
        let (low, high) = if swapped { (second, first) } else { (first, second) };
        let limit = limit.filter(|_| by != By::Rank);
        Ok(Self { bounds: Bounds::parse(by, low, high)?, reverse, limit, with_scores })
    }

    /// Members and scores, in the order asked for.
    fn run<'z>(&self, zset: &'z ZSet) -> Vec<(&'z [u8], f64)> {
        let ranks = self.bounds.ranks(zset, self.reverse);
        let (skipped, count) = match self.limit {
            None => (0, ranks.len()),
            Some((offset, count)) => {
                // A negative offset leaves out everything.
                let skipped = usize::try_from(offset).map_or(ranks.len(), |offset| offset.min(ranks.len()));
                let rest = ranks.len() - skipped;
                (skipped, usize::try_from(count).map_or(rest, |count| count.min(rest)))
            }
        };
        if count == 0 {
            Vec::new()
        } else if self.reverse {
            zset.iter_back_from(ranks.end - 1 - skipped).take(count).collect()
        } else {
            zset.iter_from(ranks.start + skipped).take(count).collect()
        }
    }
}

/// One end of a range of scores: a number, or `(` and a number that does not belong to the range.
fn score_bound(arg: &[u8]) -> Result<ScoreBound, CommandError> {
    let (number, exclusive) = arg.strip_prefix(b"(").map_or((arg, false), |number| (number, true));
    let bound = args::score_bound(number)?;
    Ok(if exclusive { ScoreBound::Exclusive(bound) } else { ScoreBound::Inclusive(bound) })
}

/// One end of a range of members: `-`, `+`, or a member behind `[` or `(`.
fn lex_bound(arg: &[u8]) -> Result<LexBound<'_>, CommandError> {
    match arg {
        b"-" => Ok(LexBound::Lowest),
        b"+" => Ok(LexBound::Highest),
        [b'[', member @ ..] => Ok(LexBound::Inclusive(member)),
        [b'(', member @ ..] => Ok(LexBound::Exclusive(member)),
        _ => Err(CommandError::NotALexRange),
    }
}

fn show(cx: &mut Context<'_>, request: &Request<'_>, form: Form) -> Outcome {
    let query = Query::parse(request, 2, form)?;
    let members = cx.db.read::<ZSet>(request.arg(1))?.map(|zset| query.run(zset)).unwrap_or_default();
    shared::reply_pairs(cx.replies, members, query.with_scores, Replies::double);
    Ok(())
}

fn zrangestore(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let query = Query::parse(request, 3, Form { by: None, reverse: None, stored: true })?;
    let mut result = ZSet::default();
    if let Some(zset) = cx.db.read::<ZSet>(request.arg(2))? {
        for (member, score) in query.run(zset) {
            result.insert(member, score);
        }
    }
    shared::store(cx, request.arg(1), result.len(), result);
    Ok(())
}

fn count(cx: &mut Context<'_>, request: &Request<'_>, by: By) -> Outcome {
    let bounds = Bounds::parse(by, request.arg(2), request.arg(3))?;
    let count = cx.db.read::<ZSet>(request.arg(1))?.map_or(0, |zset| bounds.ranks(zset, false).len());
    cx.replies.integer(count as i64);
    Ok(())
}

fn remove(cx: &mut Context<'_>, request: &Request<'_>, by: By) -> Outcome {
    let key = request.arg(1);
    let bounds = Bounds::parse(by, request.arg(2), request.arg(3))?;
    let ranks = cx.db.read::<ZSet>(key)?.map_or(0..0, |zset| bounds.ranks(zset, false));
    let count = ranks.len();
    if count > 0 {
        cx.db.edit::<ZSet, _>(key, |zset| {
            let doomed: Vec<Box<[u8]>> =
                zset.iter_from(ranks.start).take(count).map(|(member, _)| member.into()).collect();
            for member in doomed {
                zset.remove(&member);
            }
        })?;
        cx.changed(count);
    }
    cx.replies.integer(count as i64);
    Ok(())
}

const fn form(by: By, reverse: bool) -> Form {
    Form { by: Some(by), reverse: Some(reverse), stored: false }
}

const OPEN: Form = Form { by: None, reverse: None, stored: false };
const READ: Flags = Flags::READONLY;
const FAST: Flags = READ.and(Flags::FAST);
const WRITE: Flags = Flags::WRITE;
const ONE: Keys = Keys::FIRST;

/// The rows of this part of the family.
pub static COMMANDS: &[Command] = &[
    row("zrange", -4, READ, ONE, |cx, request| show(cx, request, OPEN)),
    row("zrevrange", -4, READ, ONE, |cx, request| show(cx, request, form(By::Rank, true))),
    row("zrangebyscore", -4, READ, ONE, |cx, request| show(cx, request, form(By::Score, false))),
    row("zrevrangebyscore", -4, READ, ONE, |cx, request| show(cx, request, form(By::Score, true))),
    row("zrangebylex", -4, READ, ONE, |cx, request| show(cx, request, form(By::Lex, false))),
    row("zrevrangebylex", -4, READ, ONE, |cx, request| show(cx, request, form(By::Lex, true))),
    row("zrangestore", -5, WRITE.and(Flags::DENYOOM), Keys::FIRST_TWO, zrangestore),
    row("zcount", 4, FAST, ONE, |cx, request| count(cx, request, By::Score)),
    row("zlexcount", 4, FAST, ONE, |cx, request| count(cx, request, By::Lex)),
    row("zremrangebyrank", 4, WRITE, ONE, |cx, request| remove(cx, request, By::Rank)),
    row("zremrangebyscore", 4, WRITE, ONE, |cx, request| remove(cx, request, By::Score)),
    row("zremrangebylex", 4, WRITE, ONE, |cx, request| remove(cx, request, By::Lex)),
];
