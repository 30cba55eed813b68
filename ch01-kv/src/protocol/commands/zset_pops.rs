//! Sorted sets, taken apart: pops from either end, and random draws.

use common::resp::table::{Flags, Keys};
use common::resp::{Replies, Request};

use super::shared::{self, PopRequest};
use super::zsets::row;
use crate::engine::keyspace::Db;
use crate::protocol::context::{Command, Context};
use crate::protocol::error::CommandError;
use crate::values::{WrongType, ZSet};

type Outcome = Result<(), CommandError>;

/// A member that was taken out, and its score.
type Popped = (Box<[u8]>, f64);

/// One of a sorted set's ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extreme {
    /// The members with the lowest scores.
    Lowest,
    /// The members with the highest scores.
    Highest,
}

impl Extreme {
    /// `MIN` or `MAX`.
    pub(super) fn parse(arg: &[u8]) -> Option<Self> {
        if arg.eq_ignore_ascii_case(b"MIN") {
            Some(Self::Lowest)
        } else if arg.eq_ignore_ascii_case(b"MAX") {
            Some(Self::Highest)
        } else {
            None
        }
    }

    /// The command that pops there.
    pub(super) fn pop_command(self) -> &'static str {
        match self {
            Self::Lowest => "ZPOPMIN",
            Self::Highest => "ZPOPMAX",
        }
    }
}

/// Takes up to `count` members, the outermost first; none when the key is not there.
pub(super) fn pop(db: &mut Db, key: &[u8], extreme: Extreme, count: usize) -> Result<Vec<Popped>, WrongType> {
    if count == 0 {
        db.read::<ZSet>(key)?;
        return Ok(Vec::new());
    }
    let popped = db.edit::<ZSet, _>(key, |zset| {
        let owned = |(member, score): (&[u8], f64)| (Box::from(member), score);
        let popped: Vec<Popped> = match extreme {
            Extreme::Lowest => zset.iter_from(0).take(count).map(owned).collect(),
            Extreme::Highest => zset.iter_back_from(zset.len() - 1).take(count).map(owned).collect(),
        };
        for (member, _) in &popped {
            zset.remove(member);
        }
        popped
    })?;
    Ok(popped.unwrap_or_default())
}

/// Answers `ZMPOP` from the first of the sorted sets that is there; false when none is.
pub(super) fn pop_from_first(cx: &mut Context<'_>, wanted: &PopRequest<'_, Extreme>) -> Result<bool, CommandError> {
    for &key in &wanted.keys {
        let popped = pop(cx.db, key, wanted.end, wanted.count)?;
        if popped.is_empty() {
            continue;
        }
        cx.replies.array(2);
        cx.replies.bulk(key);
        cx.replies.array(popped.len());
        for (member, score) in &popped {
            cx.replies.array(2);
            cx.replies.bulk(member);
            cx.replies.double(*score);
        }
        cx.changed(popped.len() - 1);
        cx.log_as(&[wanted.end.pop_command().as_bytes(), key, popped.len().to_string().as_bytes()]);
        return Ok(true);
    }
    Ok(false)
}

fn zpop(cx: &mut Context<'_>, request: &Request<'_>, extreme: Extreme) -> Outcome {
    if request.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let count = request.get(2).map(shared::pop_count).transpose()?;
    let popped = pop(cx.db, request.arg(1), extreme, count.unwrap_or(1))?;
    cx.changed(popped.len());
    match &popped[..] {
        // Without a count, the pair is not wrapped, not even where pairs are arrays of their own.
        [(member, score)] if count.is_none() => {
            cx.replies.array(2);
            cx.replies.bulk(member);
            cx.replies.double(*score);
        }
        _ => {
            let members = popped.iter().map(|(member, score)| (&**member, *score));
            shared::reply_pairs(cx.replies, members, true, Replies::double);
        }
    }
    Ok(())
}

fn zmpop(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let wanted = shared::pop_request(request, 1, Extreme::parse)?;
    if !pop_from_first(cx, &wanted)? {
        cx.replies.null_array();
    }
    Ok(())
}

fn zrandmember(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let key = request.arg(1);
    let Some(count) = request.get(2) else {
        match cx.db.read::<ZSet>(key)? {
            None => cx.replies.null(),
            Some(zset) => {
                let (member, _) = zset.at(cx.random.below(zset.len())).expect("the place is below the length");
                cx.replies.bulk(member);
            }
        }
        return Ok(());
    };
    let count = shared::draw_count(count)?;
    let with_scores = request.len() == 4 && request.is(3, "WITHSCORES");
    if request.len() > 3 && !with_scores {
        return Err(CommandError::Syntax);
    }
    if with_scores {
        shared::check_pair_count(count)?;
    }
    let Some(zset) = cx.db.read::<ZSet>(key)? else {
        cx.replies.array(0);
        return Ok(());
    };
    let at = |place| zset.at(place).expect("the place is below the length");
    let places = shared::draw(cx.random, zset.len(), count, |place| at(place).0.len())?;
    shared::reply_pairs(cx.replies, places.into_iter().map(at), with_scores, Replies::double);
    Ok(())
}

const FAST: Flags = Flags::WRITE.and(Flags::FAST);
const MULTI: Flags = Flags::WRITE.and(Flags::MOVABLE_KEYS);
const COUNTED: Keys = Keys::Counted { destination: None, count_at: 1 };

/// The rows of this part of the family.
pub static COMMANDS: &[Command] = &[
    row("zpopmin", -2, FAST, Keys::FIRST, |cx, request| zpop(cx, request, Extreme::Lowest)),
    row("zpopmax", -2, FAST, Keys::FIRST, |cx, request| zpop(cx, request, Extreme::Highest)),
    row("zmpop", -4, MULTI, COUNTED, zmpop),
    row("zrandmember", -2, Flags::READONLY, Keys::FIRST, zrandmember),
];
