//! What several families do in one way: reading positions and counts from arguments, drawing at random, answering with pairs,
//! storing results.

use std::ops::Range;

use common::resp::{Protocol, Replies, Request};
use indexmap::IndexSet;

use crate::protocol::args;
use crate::protocol::context::{Context, Random};
use crate::protocol::error::CommandError;
use crate::values::Collection;

/// How many elements a draw with repetitions may ask for: what it takes to answer does not depend on what is stored, so
/// that it needs a limit of its own. Redis has none, and dies of a count of minus 10¹⁸.
const MAX_DRAWS: u64 = 1 << 20;

/// The sum of what a draw with repetitions may answer with, in bytes: as much as the longest string.
const MAX_DRAWN_BYTES: usize = 512 << 20;

/// What `LMPOP` and its relatives are asked for.
#[derive(Debug)]
pub(super) struct PopRequest<'a, End> {
    /// The keys, in the client's order of preference.
    pub(super) keys: Vec<&'a [u8]>,
    /// From which end.
    pub(super) end: End,
    /// How many elements at most.
    pub(super) count: usize,
}

/// The places from `start` to `stop`, both included, of a sequence of `len` elements; negative ones count from the end, and
/// what lies outside is cut off.
pub(super) fn span(start: i64, stop: i64, len: usize) -> Range<usize> {
    let size = i64::try_from(len).unwrap_or(i64::MAX);
    let absolute = |place: i64| if place < 0 { place.saturating_add(size) } else { place };
    let (start, stop) = (absolute(start).max(0), absolute(stop).min(size - 1));
    if start > stop { 0..0 } else { start as usize..stop as usize + 1 }
}

/// The place `index` of a sequence of `len` elements; a negative one counts from the end.
pub(super) fn place(index: i64, len: usize) -> Option<usize> {
    let place = if index < 0 { i64::try_from(len).ok()?.checked_add(index)? } else { index };
    usize::try_from(place).ok().filter(|&place| place < len)
}

/// A count of elements to pop.
pub(super) fn pop_count(arg: &[u8]) -> Result<usize, CommandError> {
    at_least(arg, 0, "ERR value is out of range, must be positive")
}

/// An integer from `min` on, or else the error `otherwise`.
pub(super) fn at_least(arg: &[u8], min: usize, otherwise: &'static str) -> Result<usize, CommandError> {
    let number = args::integer(arg).ok().and_then(|number| usize::try_from(number).ok());
    number.filter(|&number| number >= min).ok_or(CommandError::text(otherwise))
}

/// Reads `numkeys key [key ...] end [COUNT count]`, where `numkeys` stands at `at`.
pub(super) fn pop_request<'a, End>(
    request: &Request<'a>,
    at: usize,
    end: impl Fn(&[u8]) -> Option<End>,
) -> Result<PopRequest<'a, End>, CommandError> {
    let number = at_least(request.arg(at), 1, "ERR numkeys should be greater than 0")?;
    let end_at = number.saturating_add(at + 1);
    let end = request.get(end_at).and_then(end).ok_or(CommandError::Syntax)?;
    let (mut count, mut read) = (1, end_at + 1);
    if let Some(number) = request.get(read + 1).filter(|_| request.is(read, "COUNT")) {
        count = at_least(number, 1, "ERR count should be greater than 0")?;
        read += 2;
    }
    if read < request.len() {
        return Err(CommandError::Syntax);
    }
    Ok(PopRequest { keys: request.args(at + 1).take(number).collect(), end, count })
}

/// How many elements `SRANDMEMBER` and its relatives are to draw: positive for distinct ones. Too many with repetitions
/// are refused by [`draw`], when there is something to draw from.
pub(super) fn draw_count(arg: &[u8]) -> Result<i64, CommandError> {
    match args::integer(arg)? {
        i64::MIN => Err(CommandError::text(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        )),
        count => Ok(count),
    }
}

/// Draws places of a sequence of `len` elements, as many as `count` says, and as [`draw_count`] reads it. `bytes_at` is how
/// long the element at a place is.
pub(super) fn draw(
    random: &mut Random,
    len: usize,
    count: i64,
    bytes_at: impl Fn(usize) -> usize,
) -> Result<Vec<usize>, CommandError> {
    if count >= 0 {
        return Ok(sample(random, len, usize::try_from(count).unwrap_or(usize::MAX)));
    }
    if count.unsigned_abs() > MAX_DRAWS {
        return Err(out_of_range());
    }
    let mut bytes = 0;
    let mut places = Vec::new();
    for _ in 0..count.unsigned_abs() {
        let place = random.below(len);
        bytes += bytes_at(place);
        if bytes > MAX_DRAWN_BYTES {
            return Err(out_of_range());
        }
        places.push(place);
    }
    Ok(places)
}

/// Draws `count` distinct places of a sequence of `len` elements; all when there are no more. Floyd's algorithm: each
/// draw is from one place more than the one before, and a place that is taken already stands for the new one.
fn sample(random: &mut Random, len: usize, count: usize) -> Vec<usize> {
    if count >= len {
        return (0..len).collect();
    }
    let mut places = IndexSet::with_capacity(count);
    for newest in len - count..len {
        if !places.insert(random.below(newest + 1)) {
            places.insert(newest);
        }
    }
    places.into_iter().collect()
}

/// Answers with the first of each pair, and with the second where that was asked for: in pairs where the protocol is one that
/// has doubles, in turn where it is not.
pub(super) fn reply_pairs<'a, I, S>(
    replies: &mut Replies,
    pairs: I,
    with_seconds: bool,
    write: impl Fn(&mut Replies, S),
) where
    I: IntoIterator<Item = (&'a [u8], S)>,
    I::IntoIter: ExactSizeIterator,
{
    let pairs = pairs.into_iter();
    let in_pairs = with_seconds && replies.protocol() == Protocol::Resp3;
    replies.array(if with_seconds && !in_pairs { pairs.len() * 2 } else { pairs.len() });
    for (first, second) in pairs {
        if in_pairs {
            replies.array(2);
        }
        replies.bulk(first);
        if with_seconds {
            write(replies, second);
        }
    }
}

/// Stores a result of `len` elements, and answers with their number. An empty one removes what was there.
pub(super) fn store(cx: &mut Context<'_>, destination: &[u8], len: usize, result: impl Collection) {
    let was_there = cx.db.contains(destination);
    cx.db.put(destination, result.into_value(), None);
    cx.changed(usize::from(was_there || len > 0));
    cx.replies.integer(len as i64);
}

/// Refuses a count of pairs that are to be drawn, if twice as many elements could not be counted.
pub(super) fn check_pair_count(count: i64) -> Result<(), CommandError> {
    if (-(i64::MAX / 2)..=i64::MAX / 2).contains(&count) { Ok(()) } else { Err(out_of_range()) }
}

fn out_of_range() -> CommandError {
    CommandError::text("ERR value is out of range")
}
