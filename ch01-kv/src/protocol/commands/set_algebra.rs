//! Intersections, unions and differences of sets: shown, counted or stored.

use common::resp::Request;
use common::resp::table::{Flags, Keys};
use indexmap::IndexSet;

use super::sets::row;
use super::shared;
use crate::engine::entry::Entry;
use crate::engine::keyspace::Db;
use crate::protocol::context::{Command, Context};
use crate::protocol::error::CommandError;
use crate::values::{Set, ValueRef};

type Outcome = Result<(), CommandError>;

/// How sets are combined.
#[derive(Debug, Clone, Copy)]
enum Operation {
    Intersection,
    Union,
    Difference,
}

/// Checks that every key holds a set or nothing, and notes the use.
fn check<'k>(db: &mut Db, keys: impl Iterator<Item = &'k [u8]>) -> Outcome {
    for key in keys {
        db.read::<Set>(key)?;
    }
    Ok(())
}

fn find<'d>(db: &'d Db, key: &[u8]) -> Option<&'d Set> {
    match db.peek(key).map(Entry::value) {
        Some(ValueRef::Set(set)) => Some(set),
        _ => None,
    }
}

/// The members of the combination; of an intersection no more than `limit`.
fn combine<'d, 'k>(
    db: &'d Db,
    keys: impl Iterator<Item = &'k [u8]>,
    operation: Operation,
    limit: usize,
) -> Vec<&'d [u8]> {
    let sets: Vec<Option<&Set>> = keys.map(|key| find(db, key)).collect();
    match operation {
        Operation::Intersection => {
            let Some(mut sets) = sets.into_iter().collect::<Option<Vec<&Set>>>() else { return Vec::new() };
            // The smallest set bounds the work.
            sets.sort_by_key(|set| set.len());
            let Some((smallest, others)) = sets.split_first() else { return Vec::new() };
            let common = smallest.iter().filter(|member| others.iter().all(|set| set.contains(member)));
            common.take(limit).collect()
        }
        Operation::Union => {
            let members: IndexSet<&[u8]> = sets.into_iter().flatten().flat_map(Set::iter).collect();
            members.into_iter().collect()
        }
        Operation::Difference => {
            let Some((Some(first), others)) = sets.split_first() else { return Vec::new() };
            first.iter().filter(|member| !others.iter().flatten().any(|set| set.contains(member))).collect()
        }
    }
}

fn show(cx: &mut Context<'_>, request: &Request<'_>, operation: Operation) -> Outcome {
    check(cx.db, request.args(1))?;
    let members = combine(cx.db, request.args(1), operation, usize::MAX);
    cx.replies.set(members.len());
    members.into_iter().for_each(|member| cx.replies.bulk(member));
    Ok(())
}

fn store(cx: &mut Context<'_>, request: &Request<'_>, operation: Operation) -> Outcome {
    let destination = request.arg(1);
    check(cx.db, request.args(2))?;
    let mut result = Set::default();
    for member in combine(cx.db, request.args(2), operation, usize::MAX) {
        result.insert(member);
    }
    shared::store(cx, destination, result.len(), result);
    Ok(())
}

fn sintercard(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let number = shared::at_least(request.arg(1), 1, "ERR numkeys should be greater than 0")?;
    if number > request.len() - 2 {
        return Err(CommandError::text("ERR Number of keys can't be greater than number of args"));
    }
    let mut limit = 0;
    let mut at = 2 + number;
    while at < request.len() {
        let Some(value) = request.get(at + 1).filter(|_| request.is(at, "LIMIT")) else {
            return Err(CommandError::Syntax);
        };
        limit = shared::at_least(value, 0, "ERR LIMIT can't be negative")?;
        at += 2;
    }
    let keys = request.args(2).take(number);
    check(cx.db, keys.clone())?;
    let limit = if limit == 0 { usize::MAX } else { limit };
    let count = combine(cx.db, keys, Operation::Intersection, limit).len();
    cx.replies.integer(count as i64);
    Ok(())
}

const READ: Flags = Flags::READONLY;
const STORE: Flags = Flags::WRITE.and(Flags::DENYOOM);
const CARD: Flags = READ.and(Flags::MOVABLE_KEYS);
const COUNTED: Keys = Keys::Counted { destination: None, count_at: 1 };

/// The rows of this part of the family.
pub static COMMANDS: &[Command] = &[
    row("sinter", -2, READ, Keys::ALL, |cx, request| show(cx, request, Operation::Intersection)),
    row("sunion", -2, READ, Keys::ALL, |cx, request| show(cx, request, Operation::Union)),
    row("sdiff", -2, READ, Keys::ALL, |cx, request| show(cx, request, Operation::Difference)),
    row("sinterstore", -3, STORE, Keys::ALL, |cx, request| store(cx, request, Operation::Intersection)),
    row("sunionstore", -3, STORE, Keys::ALL, |cx, request| store(cx, request, Operation::Union)),
    row("sdiffstore", -3, STORE, Keys::ALL, |cx, request| store(cx, request, Operation::Difference)),
    row("sintercard", -3, CARD, COUNTED, sintercard),
];
