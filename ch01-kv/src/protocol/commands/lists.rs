//! Lists: queues at both ends, and arrays in between. The pops that wait are in [`blocking`](super::blocking).

use common::resp::Request;
use common::resp::table::{Flags, Keys};

use super::shared::{self, PopRequest};
use crate::engine::keyspace::Db;
use crate::protocol::args::integer;
use crate::protocol::context::{Command, Context, DataHandler};
use crate::protocol::error::CommandError;
use crate::values::{Kind, List, WrongType};

type Outcome = Result<(), CommandError>;

/// One of a list's ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The front, where index 0 is.
    Left,
    /// The back.
    Right,
}

impl End {
    /// `LEFT` or `RIGHT`.
    pub(super) fn parse(arg: &[u8]) -> Option<Self> {
        if arg.eq_ignore_ascii_case(b"LEFT") {
            Some(Self::Left)
        } else if arg.eq_ignore_ascii_case(b"RIGHT") {
            Some(Self::Right)
        } else {
            None
        }
    }

    /// The word that stands for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }

    /// The command that pops there.
    pub(super) fn pop_command(self) -> &'static str {
        match self {
            Self::Left => "LPOP",
            Self::Right => "RPOP",
        }
    }

    fn push(self, list: &mut List, element: &[u8]) {
        match self {
            Self::Left => list.push_front(element),
            Self::Right => list.push_back(element),
        }
    }

    fn pop(self, list: &mut List) -> Box<[u8]> {
        let element = match self {
            Self::Left => list.pop_front(),
            Self::Right => list.pop_back(),
        };
        element.expect("no key holds an empty list")
    }
}

/// Takes one element; `None` when the key is not there.
pub(super) fn pop_one(db: &mut Db, key: &[u8], end: End) -> Result<Option<Box<[u8]>>, WrongType> {
    db.edit::<List, _>(key, |list| end.pop(list))
}

/// Takes an element from one list to the other, which may be the same; `None` when there is none.
pub(super) fn shift(db: &mut Db, from: (&[u8], End), to: (&[u8], End)) -> Result<Option<Box<[u8]>>, CommandError> {
    if db.read::<List>(from.0)?.is_none() {
        return Ok(None);
    }
    if db.kind(to.0).is_some_and(|kind| kind != Kind::List) {
        // Not the variant for wrong types: a client that waits for `from` goes on waiting when that has the wrong type, but
        // is told when the destination has.
        return Err(CommandError::Other(WrongType.to_string().into()));
    }
    if from.0 == to.0 {
        return Ok(db.edit::<List, _>(from.0, |list| {
            let element = from.1.pop(list);
            to.1.push(list, &element);
            element
        })?);
    }
    let Some(element) = pop_one(db, from.0, from.1)? else { return Ok(None) };
    db.edit_or_create::<List, _>(to.0, |list| to.1.push(list, &element))?;
    Ok(Some(element))
}

/// Answers `LMPOP` from the first of the lists that is there; false when none is.
pub(super) fn pop_from_first(cx: &mut Context<'_>, wanted: &PopRequest<'_, End>) -> Result<bool, CommandError> {
    for &key in &wanted.keys {
        let Some(elements) = pop_many(cx.db, key, wanted.end, wanted.count)? else { continue };
        cx.replies.array(2);
        cx.replies.bulk(key);
        reply_elements(cx, &elements);
        let count = elements.len().to_string();
        cx.changed(elements.len() - 1);
        cx.log_as(&[wanted.end.pop_command().as_bytes(), key, count.as_bytes()]);
        return Ok(true);
    }
    Ok(false)
}

/// Takes up to `count` elements, at least one; `None` when the key is not there.
fn pop_many(db: &mut Db, key: &[u8], end: End, count: usize) -> Result<Option<Vec<Box<[u8]>>>, WrongType> {
    db.edit::<List, _>(key, |list| (0..count.min(list.len())).map(|_| end.pop(list)).collect())
}

fn reply_elements(cx: &mut Context<'_>, elements: &[Box<[u8]>]) {
    cx.replies.array(elements.len());
    for element in elements {
        cx.replies.bulk(element);
    }
}

fn push(cx: &mut Context<'_>, request: &Request<'_>, end: End) -> Outcome {
    let elements = request.args(2);
    let len = cx.db.edit_or_create::<List, _>(request.arg(1), |list| {
        elements.clone().for_each(|element| end.push(list, element));
        list.len()
    })?;
    cx.changed(elements.len());
    cx.replies.integer(len as i64);
    Ok(())
}

fn push_existing(cx: &mut Context<'_>, request: &Request<'_>, end: End) -> Outcome {
    if cx.db.read::<List>(request.arg(1))?.is_none() {
        cx.replies.integer(0);
        return Ok(());
    }
    push(cx, request, end)
}

fn pop(cx: &mut Context<'_>, request: &Request<'_>, end: End) -> Outcome {
    let key = request.arg(1);
    if request.len() > 3 {
        return Err(CommandError::arity(if end == End::Left { "lpop" } else { "rpop" }));
    }
    let Some(count) = request.get(2) else {
        match pop_one(cx.db, key, end)? {
            None => cx.replies.null(),
            Some(element) => {
                cx.changed(1);
                cx.replies.bulk(&element);
            }
        }
        return Ok(());
    };
    let count = shared::pop_count(count)?;
    let len = cx.db.read::<List>(key)?.map(List::len);
    match len {
        None => cx.replies.null_array(),
        Some(_) if count == 0 => cx.replies.array(0),
        Some(_) => {
            let elements = pop_many(cx.db, key, end, count)?.expect("it is there");
            cx.changed(elements.len());
            reply_elements(cx, &elements);
        }
    }
    Ok(())
}

fn llen(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let len = cx.db.read::<List>(request.arg(1))?.map_or(0, List::len);
    cx.replies.integer(len as i64);
    Ok(())
}

fn lrange(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let (start, stop) = (integer(request.arg(2))?, integer(request.arg(3))?);
    let Some(list) = cx.db.read::<List>(request.arg(1))? else {
        cx.replies.array(0);
        return Ok(());
    };
    let elements = list.range(shared::span(start, stop, list.len()));
    cx.replies.array(elements.len());
    elements.for_each(|element| cx.replies.bulk(element));
    Ok(())
}

fn lindex(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let Some(list) = cx.db.read::<List>(request.arg(1))? else {
        cx.replies.null();
        return Ok(());
    };
    match shared::place(integer(request.arg(2))?, list.len()).and_then(|at| list.get(at)) {
        None => cx.replies.null(),
        Some(element) => cx.replies.bulk(element),
    }
    Ok(())
}

fn lset(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let (key, element) = (request.arg(1), request.arg(3));
    let len = cx.db.read::<List>(key)?.ok_or(CommandError::NoSuchKey)?.len();
    let at = shared::place(integer(request.arg(2))?, len).ok_or(CommandError::IndexOutOfRange)?;
    cx.db.edit::<List, _>(key, |list| list.set(at, element))?;
    cx.changed(1);
    cx.replies.simple("OK");
    Ok(())
}

fn linsert(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let (key, pivot, element) = (request.arg(1), request.arg(3), request.arg(4));
    let behind = match () {
        () if request.is(2, "BEFORE") => 0,
        () if request.is(2, "AFTER") => 1,
        () => return Err(CommandError::Syntax),
    };
    let reply = match cx.db.read::<List>(key)?.map(|list| list.iter().position(|other| other == pivot)) {
        None => 0,
        Some(None) => -1,
        Some(Some(at)) => {
            let len = cx.db.edit::<List, _>(key, |list| {
                list.insert(at + behind, element);
                list.len()
            })?;
            cx.changed(1);
            len.expect("it is there") as i64
        }
    };
    cx.replies.integer(reply);
    Ok(())
}

fn lrem(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let (key, element) = (request.arg(1), request.arg(3));
    let count = integer(request.arg(2))?;
    let mut removed = 0;
    if cx.db.read::<List>(key)?.is_some_and(|list| list.iter().any(|other| other == element)) {
        let limit = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
        removed = cx.db.edit::<List, _>(key, |list| list.remove(element, limit, count < 0))?.expect("it is there");
        cx.changed(removed);
    }
    cx.replies.integer(removed as i64);
    Ok(())
}

fn ltrim(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let key = request.arg(1);
    let (start, stop) = (integer(request.arg(2))?, integer(request.arg(3))?);
    let len = cx.db.read::<List>(key)?.map_or(0, List::len);
    let kept = shared::span(start, stop, len);
    cx.changed(len - kept.len());
    // Also when all of it is kept: whoever watches the list is told that it was trimmed, as in Redis.
    cx.db.edit::<List, _>(key, |list| list.keep(kept))?;
    cx.replies.simple("OK");
    Ok(())
}

fn lpos(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let element = request.arg(2);
    let (mut rank, mut count, mut limit) = (1_i64, None, 0);
    let mut at = 3;
    while at < request.len() {
        let value = request.get(at + 1).ok_or(CommandError::Syntax)?;
        if request.is(at, "RANK") {
            rank = integer(value)?;
            if rank == 0 {
                return Err(CommandError::text(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to \
                     start from the end of the list",
                ));
            }
        } else if request.is(at, "COUNT") {
            count = Some(shared::at_least(value, 0, "ERR COUNT can't be negative")?);
        } else if request.is(at, "MAXLEN") {
            limit = shared::at_least(value, 0, "ERR MAXLEN can't be negative")?;
        } else {
            return Err(CommandError::Syntax);
        }
        at += 2;
    }
    let unless_zero = |number| if number == 0 { usize::MAX } else { number };
    let wanted = unless_zero(count.unwrap_or(1));
    // In Redis 7.0 the least number has no opposite, and skips nothing.
    let skipped = rank.checked_abs().map_or(0, |rank| usize::try_from(rank - 1).unwrap_or(usize::MAX));
    let found: Vec<usize> = match cx.db.read::<List>(request.arg(1))? {
        None => Vec::new(),
        Some(list) => {
            let elements = list.iter().enumerate();
            let looked_at = unless_zero(limit);
            let is_it = |&(_, other): &(usize, &[u8])| other == element;
            if rank < 0 {
                let matching = elements.rev().take(looked_at).filter(is_it);
                matching.skip(skipped).take(wanted).map(|(index, _)| index).collect()
            } else {
                let matching = elements.take(looked_at).filter(is_it);
                matching.skip(skipped).take(wanted).map(|(index, _)| index).collect()
            }
        }
    };
    if count.is_some() {
        cx.replies.array(found.len());
        found.iter().for_each(|&index| cx.replies.integer(index as i64));
    } else if let [index] = found[..] {
        cx.replies.integer(index as i64);
    } else {
        cx.replies.null();
    }
    Ok(())
}

fn lmove(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let from = End::parse(request.arg(3)).ok_or(CommandError::Syntax)?;
    let to = End::parse(request.arg(4)).ok_or(CommandError::Syntax)?;
    shift_and_reply(cx, request, from, to)
}

fn rpoplpush(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    shift_and_reply(cx, request, End::Right, End::Left)
}

fn shift_and_reply(cx: &mut Context<'_>, request: &Request<'_>, from: End, to: End) -> Outcome {
    match shift(cx.db, (request.arg(1), from), (request.arg(2), to))? {
        None => cx.replies.null(),
        Some(element) => {
            cx.changed(1);
            cx.replies.bulk(&element);
        }
    }
    Ok(())
}

fn lmpop(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let wanted = shared::pop_request(request, 1, End::parse)?;
    if !pop_from_first(cx, &wanted)? {
        cx.replies.null_array();
    }
    Ok(())
}

/// A row of the family.
pub(super) const fn row(name: &'static str, arity: i32, flags: Flags, keys: Keys, handler: DataHandler) -> Command {
    super::on_data("list", name, arity, flags, keys, handler)
}

const READ: Flags = Flags::READONLY;
const WRITE: Flags = Flags::WRITE;
const GROW: Flags = Flags::WRITE.and(Flags::DENYOOM);
const ONE: Keys = Keys::FIRST;

/// The family's rows.
pub static COMMANDS: &[Command] = &[
    row("lpush", -3, GROW.and(Flags::FAST), ONE, |cx, request| push(cx, request, End::Left)),
    row("rpush", -3, GROW.and(Flags::FAST), ONE, |cx, request| push(cx, request, End::Right)),
    row("lpushx", -3, GROW.and(Flags::FAST), ONE, |cx, request| push_existing(cx, request, End::Left)),
    row("rpushx", -3, GROW.and(Flags::FAST), ONE, |cx, request| push_existing(cx, request, End::Right)),
    row("lpop", -2, WRITE.and(Flags::FAST), ONE, |cx, request| pop(cx, request, End::Left)),
    row("rpop", -2, WRITE.and(Flags::FAST), ONE, |cx, request| pop(cx, request, End::Right)),
    row("llen", 2, READ.and(Flags::FAST), ONE, llen),
    row("lrange", 4, READ, ONE, lrange),
    row("lindex", 3, READ, ONE, lindex),
    row("lset", 4, GROW, ONE, lset),
    row("linsert", 5, GROW, ONE, linsert),
    row("lrem", 4, WRITE, ONE, lrem),
    row("ltrim", 4, WRITE, ONE, ltrim),
    row("lpos", -3, READ, ONE, lpos),
    row("lmove", 5, GROW, Keys::FIRST_TWO, lmove),
    row("rpoplpush", 3, GROW, Keys::FIRST_TWO, rpoplpush),
    row("lmpop", -4, WRITE.and(Flags::MOVABLE_KEYS), Keys::Counted { destination: None, count_at: 1 }, lmpop),
];
