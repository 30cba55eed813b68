//! Scans: a large collection, a little at a time, while it changes.
//!
//! What is there from the first call to the last is shown, at least once; what comes or goes meanwhile may be. The cursor
//! is all the state there is, and the client keeps it.

use common::resp::Request;
use common::resp::table::{Flags, Keys};

use super::on_data;
use crate::engine::expiry;
use crate::protocol::args;
use crate::protocol::context::{Command, Context};
use crate::protocol::error::CommandError;
use crate::protocol::glob;
use crate::values::{Collection, Hash, Set, ZSet};

/// How many elements a call shows, about, if it does not say.
const COUNT: usize = 10;

/// A collection up to this size is shown in one call, as Redis does with those that it packs.
const WHOLE: usize = 128;

/// A call's options.
struct Options<'a> {
    cursor: usize,
    pattern: Option<&'a [u8]>,
    count: usize,
    kind: Option<&'a [u8]>,
}

/// Reads a cursor. Any number that fits 64 bits is one, even a negative: it reads as what it is without its sign's
/// meaning, and a scan that begins there ends at once.
fn cursor(arg: &[u8]) -> Result<usize, CommandError> {
    let text = std::str::from_utf8(arg).ok();
    let number = text.and_then(|text| match text.strip_prefix('-') {
        // Nothing at all reads as zero in C.
        None if text.is_empty() => Some(0),
        Some(digits) if digits.starts_with(|c: char| c.is_ascii_digit()) => {
            digits.parse::<u64>().ok().map(u64::wrapping_neg)
        }
        Some(_) => None,
        None => text.parse::<u64>().ok(),
    });
    let number = number.ok_or(CommandError::text("ERR invalid cursor"))?;
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}

impl<'a> Options<'a> {
    fn parse(request: &Request<'a>, cursor_at: usize, takes_type: bool) -> Result<Self, CommandError> {
        let mut options = Self { cursor: cursor(request.arg(cursor_at))?, pattern: None, count: COUNT, kind: None };
        let mut at = cursor_at + 1;
        while at < request.len() {
            let value = request.get(at + 1).ok_or(CommandError::Syntax)?;
            match () {
                () if request.is(at, "match") => options.pattern = Some(value),
                () if request.is(at, "count") => {
                    let count = args::integer(value)?;
                    options.count =
                        usize::try_from(count).ok().filter(|count| *count > 0).ok_or(CommandError::Syntax)?;
                }
                () if takes_type && request.is(at, "type") => options.kind = Some(value),
                () => return Err(CommandError::Syntax),
            }
            at += 2;
        }
        Ok(options)
    }

    fn shows(&self, element: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, element, false))
    }

    /// The indexes that this call shows of a collection of `len`, and the next cursor: all in order of a collection that is
    /// shown in one call, a part with the highest first of a larger one.
    ///
    /// A collection gives the place of what is removed to its last element. So a scan goes from the last index down: what
    /// moves, moves to where the scan has yet to come. A cursor is the number of indexes that are left.
    fn indexes(&self, len: usize) -> (impl Iterator<Item = usize> + use<>, usize) {
        let end = if self.cursor == 0 { len } else { self.cursor.min(len) };
        let whole = len <= WHOLE;
        let start = if whole { 0 } else { end.saturating_sub(self.count) };
        ((start..end).map(move |index| if whole { index } else { start + (end - 1 - index) }), start)
    }
}

fn scan(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    let options = Options::parse(request, 1, true)?;
    let now = cx.now;
    let mut found: Vec<Box<[u8]>> = Vec::new();
    let next = cx.db.scan(options.cursor, options.count, &mut |entry| {
        let fits = options.kind.is_none_or(|kind| kind.eq_ignore_ascii_case(entry.value().kind().name().as_bytes()));
        if fits && options.shows(entry.key()) && expiry::visible(entry.deadline(), now) {
            found.push(entry.key().into());
        }
    });
    reply(cx, next, &found);
    Ok(())
}

fn hscan(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    scan_collection::<Hash>(cx, request, Hash::len, |hash, index, options, found| {
        if let Some((field, value)) = hash.at(index).filter(|(field, _)| options.shows(field)) {
            found.extend([Box::from(field), Box::from(value)]);
        }
    })
}

fn sscan(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    scan_collection::<Set>(cx, request, Set::len, |set, index, options, found| {
        found.extend(set.at(index).filter(|member| options.shows(member)).map(Box::from));
    })
}

fn zscan(cx: &mut Context<'_>, request: &Request<'_>) -> Result<(), CommandError> {
    scan_collection::<ZSet>(cx, request, ZSet::len, |zset, index, options, found| {
        if let Some((member, score)) = zset.at(index).filter(|(member, _)| options.shows(member)) {
            found.extend([Box::from(member), Box::from(common::resp::format_double(score).as_str().as_bytes())]);
        }
    })
}

/// Answers a scan of a collection; `show` adds to what was found what the collection has at an index, if the options let it.
fn scan_collection<C: Collection>(
    cx: &mut Context<'_>,
    request: &Request<'_>,
    len: impl Fn(&C) -> usize,
    show: impl Fn(&C, usize, &Options<'_>, &mut Vec<Box<[u8]>>),
) -> Result<(), CommandError> {
    // What the options say matters only where there is something to show; whether the cursor is one, always.
    cursor(request.arg(2))?;
    let (mut found, mut next) = (Vec::new(), 0);
    if let Some(collection) = cx.db.read::<C>(request.arg(1))? {
        let options = Options::parse(request, 2, false)?;
        let (indexes, rest) = options.indexes(len(collection));
        next = rest;
        indexes.for_each(|index| show(collection, index, &options, &mut found));
    }
    reply(cx, next, &found);
    Ok(())
}

fn reply(cx: &mut Context<'_>, next: usize, found: &[Box<[u8]>]) {
    cx.replies.array(2);
    cx.replies.bulk(next.to_string().as_bytes());
    cx.replies.array(found.len());
    found.iter().for_each(|element| cx.replies.bulk(element));
}

/// The rows of all families that can be scanned.
pub static COMMANDS: &[Command] = &[
    on_data("hash", "hscan", -3, Flags::READONLY, Keys::FIRST, hscan),
    on_data("generic", "scan", -2, Flags::READONLY, Keys::None, scan),
    on_data("set", "sscan", -3, Flags::READONLY, Keys::FIRST, sscan),
    on_data("sorted-set", "zscan", -3, Flags::READONLY, Keys::FIRST, zscan),
];
