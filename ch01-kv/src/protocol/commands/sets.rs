//! Sets: members without order. What combines several of them is in [`set_algebra`](super::set_algebra).

use common::resp::Request;
use common::resp::table::{Flags, Keys};

use super::shared;
use crate::protocol::context::{Command, Context, DataHandler};
use crate::protocol::error::CommandError;
use crate::values::{Kind, Set, WrongType};

/// How many bytes of members one request in the log names at most, give or take a member: a large one would have to be
/// held whole when the log is read.
const LOGGED_BYTES: usize = 1 << 20;

type Outcome = Result<(), CommandError>;

fn sadd(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let (key, members) = (request.arg(1), request.args(2));
    let mut added = 0;
    let known = cx.db.read::<Set>(key)?;
    if !known.is_some_and(|set| members.clone().all(|member| set.contains(member))) {
        added = cx.db.edit_or_create::<Set, _>(key, |set| members.filter(|member| set.insert(member)).count())?;
        cx.changed(added);
    }
    cx.replies.integer(added as i64);
    Ok(())
}

fn srem(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let (key, members) = (request.arg(1), request.args(2));
    let mut removed = 0;
    if cx.db.read::<Set>(key)?.is_some_and(|set| members.clone().any(|member| set.contains(member))) {
        let count = cx.db.edit::<Set, _>(key, |set| members.filter(|member| set.remove(member)).count())?;
        removed = count.expect("it is there");
        cx.changed(removed);
    }
    cx.replies.integer(removed as i64);
    Ok(())
}

fn sismember(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let is_in = cx.db.read::<Set>(request.arg(1))?.is_some_and(|set| set.contains(request.arg(2)));
    cx.replies.integer(is_in.into());
    Ok(())
}

fn smismember(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let set = cx.db.read::<Set>(request.arg(1))?;
    let members = request.args(2);
    cx.replies.array(members.len());
    for member in members {
        cx.replies.integer(set.is_some_and(|set| set.contains(member)).into());
    }
    Ok(())
}

fn smembers(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    match cx.db.read::<Set>(request.arg(1))? {
        None => cx.replies.set(0),
        Some(set) => {
            cx.replies.set(set.len());
            set.iter().for_each(|member| cx.replies.bulk(member));
        }
    }
    Ok(())
}

fn scard(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let len = cx.db.read::<Set>(request.arg(1))?.map_or(0, Set::len);
    cx.replies.integer(len as i64);
    Ok(())
}

fn spop(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let key = request.arg(1);
    if request.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let count = request.get(2).map(shared::pop_count).transpose()?;
    let Some(len) = cx.db.read::<Set>(key)?.map(Set::len) else {
        match count {
            None => cx.replies.null(),
            Some(_) => cx.replies.set(0),
        }
        return Ok(());
    };
    let wanted = count.unwrap_or(1).min(len);
    if wanted == 0 {
        cx.replies.set(0);
        return Ok(());
    }
    let random = &mut *cx.random;
    let popped = cx.db.edit::<Set, _>(key, |set| {
        (0..wanted)
            .map(|_| {
                let member: Box<[u8]> = set.at(random.below(set.len())).expect("the place is below the length").into();
                set.remove(&member);
                member
            })
            .collect::<Vec<_>>()
    })?;
    let popped = popped.expect("it is there");
    if count.is_some() {
        cx.replies.set(popped.len());
    }
    popped.iter().for_each(|member| cx.replies.bulk(member));
    if wanted == len {
        cx.changed(wanted - 1);
        cx.log_as(&[b"DEL", key]);
    } else {
        log_removal(cx, key, &popped);
    }
    Ok(())
}

/// Has the log tell that these members were removed: which ones, chance has decided.
fn log_removal(cx: &mut Context<'_>, key: &[u8], members: &[Box<[u8]>]) {
    let mut rest = members;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest.iter().take_while(|member| {
            bytes += member.len();
            bytes <= LOGGED_BYTES
        });
        let (now, later) = rest.split_at(fitting.count().max(1));
        let args: Vec<&[u8]> = [&b"SREM"[..], key].into_iter().chain(now.iter().map(|member| &**member)).collect();
        cx.changed(now.len() - 1);
        cx.log_as(&args);
        rest = later;
    }
}

fn srandmember(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let key = request.arg(1);
    if request.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let count = request.get(2).map(shared::draw_count).transpose()?;
    let Some(set) = cx.db.read::<Set>(key)? else {
        match count {
            None => cx.replies.null(),
            Some(_) => cx.replies.array(0),
        }
        return Ok(());
    };
    let at = |place| set.at(place).expect("the place is below the length");
    let places = shared::draw(cx.random, set.len(), count.unwrap_or(1), |place| at(place).len())?;
    if count.is_some() {
        cx.replies.array(places.len());
    }
    places.into_iter().for_each(|place| cx.replies.bulk(at(place)));
    Ok(())
}

fn smove(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let (source, destination, member) = (request.arg(1), request.arg(2), request.arg(3));
    let found = cx.db.read::<Set>(source)?.map(|set| set.contains(member));
    if found.is_some() && cx.db.kind(destination).is_some_and(|kind| kind != Kind::Set) {
        return Err(WrongType.into());
    }
    let is_in = found.unwrap_or(false);
    if is_in && source != destination {
        cx.db.edit::<Set, _>(source, |set| set.remove(member))?;
        cx.changed(1);
        if !cx.db.read::<Set>(destination)?.is_some_and(|set| set.contains(member)) {
            cx.db.edit_or_create::<Set, _>(destination, |set| set.insert(member))?;
            cx.changed(1);
        }
    }
    cx.replies.integer(is_in.into());
    Ok(())
}

/// A row of the family.
pub(super) const fn row(name: &'static str, arity: i32, flags: Flags, keys: Keys, handler: DataHandler) -> Command {
    super::on_data("set", name, arity, flags, keys, handler)
}

const READ: Flags = Flags::READONLY;
const WRITE: Flags = Flags::WRITE.and(Flags::FAST);
const ONE: Keys = Keys::FIRST;

/// The family's rows.
pub static COMMANDS: &[Command] = &[
    row("sadd", -3, WRITE.and(Flags::DENYOOM), ONE, sadd),
    row("srem", -3, WRITE, ONE, srem),
    row("sismember", 3, READ.and(Flags::FAST), ONE, sismember),
    row("smismember", -3, READ.and(Flags::FAST), ONE, smismember),
    row("smembers", 2, READ, ONE, smembers),
    row("scard", 2, READ.and(Flags::FAST), ONE, scard),
    row("spop", -2, WRITE, ONE, spop),
    row("srandmember", -2, READ, ONE, srandmember),
    row("smove", 4, WRITE, Keys::FIRST_TWO, smove),
];
