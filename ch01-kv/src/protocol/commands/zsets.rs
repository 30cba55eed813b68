//! Sorted sets: members with scores. Ranges, pops and combinations have files of their own:
//! [`zset_ranges`](super::zset_ranges), [`zset_pops`](super::zset_pops), [`zset_algebra`](super::zset_algebra).

use common::resp::table::{Flags, Keys};
use common::resp::{Replies, Request};

use crate::protocol::args::float;
use crate::protocol::context::{Command, Context, DataHandler};
use crate::protocol::error::CommandError;
use crate::values::ZSet;

type Outcome = Result<(), CommandError>;

/// What `ZADD` was asked to do and not to do.
#[derive(Debug, Clone, Copy, Default)]
struct Options {
    /// Only members that are not there.
    nx: bool,
    /// Only members that are there.
    xx: bool,
    /// Only to greater scores.
    gt: bool,
    /// Only to lesser scores.
    lt: bool,
    /// Counts changed members, not only new ones.
    ch: bool,
    /// Adds to the score.
    incr: bool,
}

/// What `ZADD` does with one member.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    /// The options forbid it.
    Refused,
    /// The member has this score already.
    Same(f64),
    /// The member, which was there, gets this score.
    Changed(f64),
    /// The member is new.
    Added(f64),
}

impl Options {
    /// What becomes of a member that has the score `old`.
    fn step(self, old: Option<f64>, given: f64) -> Result<Step, CommandError> {
        let Some(old) = old else { return Ok(if self.xx { Step::Refused } else { Step::Added(given) }) };
        if self.nx {
            return Ok(Step::Refused);
        }
        let new = if self.incr { old + given } else { given };
        if new.is_nan() {
            return Err(CommandError::text("ERR resulting score is not a number (NaN)"));
        }
        if (self.gt && new <= old) || (self.lt && new >= old) {
            return Ok(Step::Refused);
        }
        Ok(if new == old { Step::Same(old) } else { Step::Changed(new) })
    }

    /// Takes the option that `arg` is; false when it is none.
    fn take(&mut self, arg: &[u8]) -> bool {
        let mut word = [0; 4];
        let Some(place) = word.get_mut(..arg.len()) else { return false };
        place.copy_from_slice(arg);
        place.make_ascii_uppercase();
        match &*place {
            b"NX" => self.nx = true,
            b"XX" => self.xx = true,
            b"GT" => self.gt = true,
            b"LT" => self.lt = true,
            b"CH" => self.ch = true,
            b"INCR" => self.incr = true,
            _ => return false,
        }
        true
    }

    fn check(self) -> Outcome {
        if self.nx && self.xx {
            return Err(CommandError::text("ERR XX and NX options at the same time are not compatible"));
        }
        if (self.nx && (self.gt || self.lt)) || (self.gt && self.lt) {
            return Err(CommandError::text("ERR GT, LT, and/or NX options at the same time are not compatible"));
        }
        Ok(())
    }
}

fn zadd(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    add(cx, request, Options::default())
}

fn zincrby(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    add(cx, request, Options { incr: true, ..Options::default() })
}

fn add(cx: &mut Context<'_>, request: &Request<'_>, mut options: Options) -> Outcome {
    let key = request.arg(1);
    let mut first = 2;
    while request.get(first).is_some_and(|arg| options.take(arg)) {
        first += 1;
    }
    let given = request.len() - first;
    if given == 0 || !given.is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    options.check()?;
    if options.incr && given > 2 {
        return Err(CommandError::text("ERR INCR option supports a single increment-element pair"));
    }
    let pair = |at| float(request.arg(at)).map(|score| (score, request.arg(at + 1)));
    let pairs: Vec<(f64, &[u8])> = (first..request.len()).step_by(2).map(pair).collect::<Result<_, _>>()?;

    // Whoever watches the key must not be told of a change that is none: what changes nothing is found out first. If no
    // pair by itself changes anything, neither do all in turn.
    let zset = cx.db.read::<ZSet>(key)?;
    let mut steps = Vec::with_capacity(pairs.len());
    for &(score, member) in &pairs {
        steps.push(options.step(zset.and_then(|zset| zset.score(member)), score)?);
    }
    let (mut added, mut changed, mut last) = (0, 0, steps[0]);
    if steps.iter().any(|step| matches!(step, Step::Added(_) | Step::Changed(_))) {
        cx.db.edit_or_create::<ZSet, _>(key, |zset| {
            for &(score, member) in &pairs {
                last =
                    options.step(zset.score(member), score).expect("only a sum can be no number, and it was checked");
                let new = match last {
                    Step::Refused | Step::Same(_) => continue,
                    Step::Added(new) => {
                        added += 1;
                        new
                    }
                    Step::Changed(new) => {
                        changed += 1;
                        new
                    }
                };
                // Adding zero turns a negative zero into a positive one, as the form does in which Redis keeps small sets;
                // the answer still has the sign.
                zset.insert(member, new + 0.0);
            }
        })?;
        cx.changed(added + changed);
    }
    match last {
        Step::Refused if options.incr => cx.replies.null(),
        Step::Same(score) | Step::Changed(score) | Step::Added(score) if options.incr => cx.replies.double(score),
        _ => cx.replies.integer(if options.ch { added + changed } else { added } as i64),
    }
    Ok(())
}

fn zrem(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let (key, members) = (request.arg(1), request.args(2));
    let mut removed = 0;
    if cx.db.read::<ZSet>(key)?.is_some_and(|zset| members.clone().any(|member| zset.score(member).is_some())) {
        let count =
            cx.db.edit::<ZSet, _>(key, |zset| members.filter(|member| zset.remove(member).is_some()).count())?;
        removed = count.expect("it is there");
        cx.changed(removed);
    }
    cx.replies.integer(removed as i64);
    Ok(())
}

fn reply_score(replies: &mut Replies, score: Option<f64>) {
    match score {
        None => replies.null(),
        Some(score) => replies.double(score),
    }
}

fn zscore(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let score = cx.db.read::<ZSet>(request.arg(1))?.and_then(|zset| zset.score(request.arg(2)));
    reply_score(cx.replies, score);
    Ok(())
}

fn zmscore(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let zset = cx.db.read::<ZSet>(request.arg(1))?;
    let members = request.args(2);
    cx.replies.array(members.len());
    for member in members {
        reply_score(cx.replies, zset.and_then(|zset| zset.score(member)));
    }
    Ok(())
}

fn zcard(cx: &mut Context<'_>, request: &Request<'_>) -> Outcome {
    let len = cx.db.read::<ZSet>(request.arg(1))?.map_or(0, ZSet::len);
    cx.replies.integer(len as i64);
    Ok(())
}

fn rank(cx: &mut Context<'_>, request: &Request<'_>, from_highest: bool) -> Outcome {
    let zset = cx.db.read::<ZSet>(request.arg(1))?;
    match zset.and_then(|zset| Some((zset.len(), zset.rank(request.arg(2))?))) {
        None => cx.replies.null(),
        Some((len, (rank, _))) => cx.replies.integer(if from_highest { len - 1 - rank } else { rank } as i64),
    }
    Ok(())
}

/// A row of the family.
pub(super) const fn row(name: &'static str, arity: i32, flags: Flags, keys: Keys, handler: DataHandler) -> Command {
    super::on_data("sorted-set", name, arity, flags, keys, handler)
}

const READ: Flags = Flags::READONLY.and(Flags::FAST);
const WRITE: Flags = Flags::WRITE.and(Flags::FAST);
const GROW: Flags = WRITE.and(Flags::DENYOOM);
const ONE: Keys = Keys::FIRST;

/// The family's rows.
pub static COMMANDS: &[Command] = &[
    row("zadd", -4, GROW, ONE, zadd),
    row("zincrby", 4, GROW, ONE, zincrby),
    row("zrem", -3, WRITE, ONE, zrem),
    row("zscore", 3, READ, ONE, zscore),
    row("zmscore", -3, READ, ONE, zmscore),
    row("zcard", 2, READ, ONE, zcard),
    row("zrank", 3, READ, ONE, |cx, request| rank(cx, request, false)),
    row("zrevrank", 3, READ, ONE, |cx, request| rank(cx, request, true)),
];
