//! The smallest violation: few operations, of which it can be seen that they contradict each other.
//!
//! Smallest means the **fewest answers**: those of other operations which, with that of the one that has no place, leave no
//! order. Not one of them can be spared. Where steps 1 to 3 leave 48 operations or fewer, each two of their answers have been
//! tried as well: a violation that needs three answers or fewer beside the one is then the smallest there is. Of those that
//! need more there may be a smaller one, to look for which takes exponential time. All this is so as long as the budget
//! lasts; what is left when it ends is a violation all the same.
//!
//! To take operations away at random and to check the rest proves nothing. Without its write, a read of a correct history is
//! a violation. So a history may only be made smaller in ways of which it is known that **if the whole is linearizable, so is
//! what is left**; a violation of what is left is then one of the whole. These are used, in this order:
//!
//! 1. *Other keys*: the operations on one key are linearizable if all are (Herlihy and Wing 1990, locality).
//! 2. *What comes later*: what happened up to a point in time is linearizable if all that happened is (safety). It is cut
//!    right after the return, here called **fatal**, before which there still is an order. What was called and had not
//!    returned by then has an unknown outcome.
//! 3. *What came before*: at a narrow (see `frontier`) there is one configuration alone through which every order leads. The
//!    history from there on, begun in that state and without what has taken effect already, is linearizable exactly if the
//!    whole is. The latest narrow is taken at which the fatal operation would still have been right: why it no longer is,
//!    is what is to be shown.
//! 4. *Reads*: from an order of all operations, one that changes no state can be struck, and the rest is an order still.
//! 5. *Answers*: an operation whose answer is forgotten, so that its outcome is unknown, may be placed where it was, to the
//!    same effect. What is left has more orders, never fewer. (What then can have been noticed by nobody, see `unnoticed`, is
//!    left out of the check, which comes to the same sooner.)
//!
//! Steps 4 and 5 take as much as leaves no order, of many operations at once and then of fewer: each of their removals is
//! checked. After step 5 the operations are of two kinds: those whose answers are needed for the contradiction, and those
//! that contribute nothing to it, whether they took effect or not, and whenever. To leave some of the second kind out of the
//! picture takes possible orders away and adds none, so what is drawn stays a violation, and that it implies one of the whole
//! has been shown with them in place.
//!
//! 6. So of the second kind only as many are kept as it takes to explain the operations with the fatal one's answer
//!    forgotten: who wrote the value that another has read. They get their answers back where that leaves an order.
//!
//! Everything is deterministic, and within a budget of steps.

use std::collections::BTreeSet;

use super::frontier::{events, frontier};
use super::history::{History, OpId, Operation, Outcome};
use super::linearizability::check;
use super::model::{HistoryOf, Model, OperationOf};
use super::unnoticed::Effects;
use super::verdict::{Verdict, Violation};

/// The fewest steps that one trial of a removal gets.
const TRIAL_STEPS: u64 = 10_000;

/// The most operations of which every two answers are tried: about a thousand pairs.
const MAX_TRIED: usize = 48;

/// A violation, made small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk<M: Model> {
    /// The key that it is about.
    pub key: M::Key,
    /// The state in which `history` begins.
    pub start: M::State,
    /// The operations that contradict each other when begun in `start`, and those that explain them.
    pub history: HistoryOf<M>,
    /// For each of them, which it is in the whole history.
    pub original: Vec<OpId>,
    /// An order of them with the fatal one's answer forgotten; empty when none was found within the budget. The fatal one is in it where others must
    /// have seen its effect.
    pub order: Vec<OpId>,
    /// The operation that cannot be placed.
    pub fatal: OpId,
    /// How many answers contradict each other, the fatal operation's among them. Others are there to explain these.
    pub answers: usize,
    /// How many operations on the key took effect before `start`.
    pub before: usize,
    /// How many operations there are on the key in all.
    pub of: usize,
}

/// The same object, begun in another state. All operations are on one key.
struct Begun<'a, M: Model> {
    model: &'a M,
    state: &'a M::State,
}

/// An operation with its name in the whole history.
type Named<M> = (OpId, OperationOf<M>);

struct Shrinker<'a, M: Model> {
    begun: Begun<'a, M>,
    steps_left: u64,
    trial_steps: u64,
    effects: Option<Effects>,
}

/// Makes the violation that a checker found in `history` small, in at most twice `budget` steps.
pub fn shrink<M: Model>(model: &M, history: &HistoryOf<M>, violation: &Violation<M::Key>, budget: u64) -> Shrunk<M> {
    let key = &violation.key;
    let on_key = history.iter().filter(|(_, operation)| model.key(&operation.input) == *key);
    let ops: Vec<OpId> = on_key.map(|(op, _)| op).collect();
    let fatal = first_fatal(model, history, key, &ops, budget / 4);
    let mut kept = prefix(model, history, &ops, fatal);

    let mut start = model.init(key);
    let before = latest_narrow(model, key, &kept, fatal, budget / 4).map_or(0, |(state, gone)| {
        start = state;
        kept.retain(|(op, _)| !gone.contains(op));
        gone.len()
    });
    let begun = Begun { model, state: &start };
    let mut shrinker = Shrinker { begun, steps_left: budget, trial_steps: TRIAL_STEPS, effects: None };
    let (kept, order, answers) = shrinker.minimise(&kept, fatal);
    let original: Vec<OpId> = kept.iter().map(|(op, _)| *op).collect();
    let place = |op: OpId| OpId(original.binary_search(&op).expect("it is kept") as u32);
    Shrunk {
        key: key.clone(),
        history: as_history::<M>(&kept),
        order: order.into_iter().map(place).collect(),
        fatal: place(fatal),
        answers,
        original: original.clone(),
        before,
        start,
        of: ops.len(),
    }
}

/// The first return up to which `ops` are a violation.
///
/// The frontier says where to look. It knows the answers of operations before they return, so that its configurations can
/// end at a return before the one that brings the answer: from there on the prefixes are checked.
fn first_fatal<M: Model>(model: &M, history: &HistoryOf<M>, key: &M::Key, ops: &[OpId], budget: u64) -> OpId {
    let start = model.init(key);
    let begun = Begun { model, state: &start };
    let events = events(history, ops).into_iter();
    let returns: Vec<OpId> = events.filter(|&(_, is_return, _)| is_return).map(|(_, _, op)| op).collect();
    let mut steps_left = budget;
    let mut violates = |op: &OpId| {
        let cut = as_history::<M>(&prefix(model, history, ops, *op));
        let checked = check(&begun, &cut, steps_left);
        steps_left -= checked.steps;
        checked.verdict.is_violation()
    };
    let ending = frontier(model, history, key, ops, budget)
        .map_or(0, |frontier| returns.iter().position(|&op| op == frontier.fatal).expect("it returns"));
    let from = &returns[ending..];
    if violates(&from[0]) {
        return from[0];
    }
    from.get(from.partition_point(|op| !violates(op))).copied().unwrap_or(from[from.len() - 1])
}

/// The latest narrow of what is `kept` in whose state the fatal operation would fit: the state, and what has taken effect.
fn latest_narrow<M: Model>(
    model: &M,
    key: &M::Key,
    kept: &[Named<M>],
    fatal: OpId,
    budget: u64,
) -> Option<(M::State, BTreeSet<OpId>)> {
    let history = as_history::<M>(kept);
    let ops: Vec<OpId> = history.iter().map(|(op, _)| op).collect();
    let name = |op: OpId| kept[op.0 as usize].0;
    let (_, fatal) = kept.iter().find(|(op, _)| *op == fatal).expect("it is kept");
    let would_fit = |state: &M::State| model.step(state, &fatal.input, fatal.output()).is_some();
    let narrows = frontier(model, &history, key, &ops, budget)?.narrows;
    let narrow = narrows.into_iter().rev().find(|narrow| would_fit(&narrow.state))?;
    let mut gone: BTreeSet<OpId> = narrow.placed.iter().map(|&op| name(op)).collect();
    for (_, is_return, op) in events(&history, &ops) {
        if is_return {
            gone.insert(name(op));
        }
        if is_return && op == narrow.after {
            break;
        }
    }
    Some((narrow.state, gone))
}

/// What of `ops` was called by the return of `fatal`; what had not returned by then has an unknown outcome.
fn prefix<M: Model>(model: &M, history: &HistoryOf<M>, ops: &[OpId], fatal: OpId) -> Vec<Named<M>> {
    let mut kept: Vec<Named<M>> = Vec::new();
    for (_, is_return, op) in events(history, ops) {
        if is_return {
            let place = kept.binary_search_by_key(&op, |(kept, _)| *kept).expect("a return follows its call");
            kept[place].1.outcome = history[op].outcome.clone();
            if op == fatal {
                break;
            }
        } else {
            let outcome = Outcome::Unknown;
            kept.push((op, Operation { outcome, ..history[op].clone() }));
        }
    }
    kept.retain(|(_, operation)| operation.returned().is_some() || !model.reads_only(&operation.input, None));
    kept
}

fn as_history<M: Model>(named: &[Named<M>]) -> HistoryOf<M> {
    History::new(named.iter().map(|(_, operation)| operation.clone()).collect()).expect("a part of a history is one")
}

fn forget<M: Model>((op, operation): &Named<M>) -> Named<M> {
    (*op, Operation { outcome: Outcome::Unknown, ..operation.clone() })
}

impl<M: Model> Shrinker<'_, M> {
    /// Steps 4 to 6. The operations that are kept, an order of them with the fatal one's answer forgotten, and how many
    /// answers contradict each other.
    fn minimise(&mut self, whole: &[Named<M>], fatal: OpId) -> (Vec<Named<M>>, Vec<OpId>, usize) {
        let first = check(&self.begun, &as_history::<M>(whole), self.steps_left);
        self.steps_left -= first.steps;
        self.trial_steps = TRIAL_STEPS.max(4 * first.steps);
        let mut kept = whole.to_vec();
        let answers = |kept: &[Named<M>]| kept.iter().filter(|(_, operation)| operation.returned().is_some()).count();
        let mut contradicting = answers(&kept);
        if first.verdict.is_violation() {
            let model = self.begun.model;
            let has_answer = |(op, operation): &Named<M>| *op != fatal && operation.returned().is_some();
            let is_read = |(_, operation): &Named<M>| model.reads_only(&operation.input, operation.output());
            let may_go = |named: &Named<M>| has_answer(named) && is_read(named);
            self.change_while(&mut kept, may_go, |_| None, |trial, shrinker| shrinker.is_violation(trial));

            let is_small = whole.len() <= MAX_TRIED;
            self.effects = Effects::of(model, self.begun.state, if is_small { whole } else { &kept });
            let forget = |named: &Named<M>| Some(forget::<M>(named));
            self.change_while(&mut kept, has_answer, forget, |trial, shrinker| shrinker.is_violation(trial));
            if is_small && let Some(fewer) = self.with_fewer_answers(whole, fatal, answers(&kept)) {
                kept = fewer;
            }
            contradicting = answers(&kept);

            let explains = |trial: &[Named<M>], shrinker: &mut Self| shrinker.explanation(trial, fatal).is_some();
            let is_unknown = |(op, operation): &Named<M>| *op != fatal && operation.returned().is_none();
            self.change_while(&mut kept, is_unknown, |_| None, explains);
            let answer = |named: &Named<M>| {
                let place = whole.binary_search_by_key(&named.0, |(op, _)| *op).expect("it was there");
                Some(whole[place].clone())
            };
            self.change_while(&mut kept, is_unknown, answer, explains);
        }
        let order = self.explanation(&kept, fatal).unwrap_or_default();
        (kept, order, contradicting)
    }

    /// Changes (or, where `change` says `None`, removes) as many of those that `may` be as leaves `still` true: first many at
    /// once, then fewer, down to each alone, until none can be. (What was too hard to tell among many may be easy among few.)
    fn change_while(
        &mut self,
        kept: &mut Vec<Named<M>>,
        may: impl Fn(&Named<M>) -> bool,
        change: impl Fn(&Named<M>) -> Option<Named<M>>,
        mut still: impl FnMut(&[Named<M>], &mut Self) -> bool,
    ) {
        let mut left: Vec<OpId> = kept.iter().filter(|named| may(named)).map(|(op, _)| *op).collect();
        let mut size = left.len();
        while size > 0 {
            let mut refused = Vec::new();
            for chunk in left.chunks(size) {
                if self.steps_left == 0 {
                    return;
                }
                let changed = |named: &Named<M>| {
                    if chunk.binary_search(&named.0).is_ok() { change(named) } else { Some(named.clone()) }
                };
                let trial: Vec<Named<M>> = kept.iter().filter_map(changed).collect();
                if still(&trial, self) {
                    *kept = trial;
                } else {
                    refused.extend_from_slice(chunk);
                }
            }
            let is_done = size == 1 && refused.len() == left.len();
            left = refused;
            size = if is_done { 0 } else { size.div_ceil(2).min(left.len()) };
        }
    }

    /// The operations of `whole` with the fatal one's answer and those of two others, of one or of none (of the rest, reads
    /// are struck and answers forgotten), if these are fewer than `answers` and a violation. Of as many, the latest come first: they are what a reader looks at.
    fn with_fewer_answers(&mut self, whole: &[Named<M>], fatal: OpId, answers: usize) -> Option<Vec<Named<M>>> {
        let answered = whole.iter().filter(|(op, operation)| *op != fatal && operation.returned().is_some());
        let answered: Vec<OpId> = answered.map(|(op, _)| *op).rev().collect();
        let ones = answered.iter().map(|&one| vec![one]);
        let twos =
            (1..).zip(&answered).flat_map(|(next, &one)| answered[next..].iter().map(move |&two| vec![one, two]));
        let choices = std::iter::once(Vec::new()).chain(ones).chain(twos);
        choices.take_while(|chosen| chosen.len() + 1 < answers).find_map(|chosen| {
            let change = |named: &Named<M>| match &named.1 {
                _ if named.0 == fatal || chosen.contains(&named.0) => Some(named.clone()),
                operation if self.begun.model.reads_only(&operation.input, operation.output()) => None,
                _ => Some(forget::<M>(named)),
            };
            let trial: Vec<Named<M>> = whole.iter().filter_map(change).collect();
            (self.steps_left > 0 && self.is_violation(&trial)).then_some(trial)
        })
    }

    fn is_violation(&mut self, trial: &[Named<M>]) -> bool {
        self.verdict(&mut trial.to_vec()).is_violation()
    }

    /// An order of all operations with the fatal one's answer forgotten, if there is one.
    fn explanation(&mut self, trial: &[Named<M>], fatal: OpId) -> Option<Vec<OpId>> {
        let forgotten = trial.iter().map(|named| if named.0 == fatal { forget::<M>(named) } else { named.clone() });
        let mut forgotten: Vec<Named<M>> = forgotten.collect();
        match self.verdict(&mut forgotten) {
            Verdict::Linearizable { order } => Some(order.into_iter().map(|op| forgotten[op.0 as usize].0).collect()),
            _ => None,
        }
    }

    /// Checks `trial`, from which what nobody can have noticed is removed. To lay it out is a step for each operation.
    fn verdict(&mut self, trial: &mut Vec<Named<M>>) -> Verdict<()> {
        if let Some(effects) = &self.effects {
            effects.remove_unnoticed(trial);
        }
        let checked = check(&self.begun, &as_history::<M>(trial), self.trial_steps.min(self.steps_left));
        self.steps_left = self.steps_left.saturating_sub(checked.steps + trial.len() as u64);
        checked.verdict
    }
}

impl<M: Model> Model for Begun<'_, M> {
    type Input = M::Input;
    type Output = M::Output;
    type State = M::State;
    type Key = ();

    fn key(&self, _input: &M::Input) {}

    fn init(&self, _key: &()) -> M::State {
        self.state.clone()
    }

    fn step(&self, state: &M::State, input: &M::Input, output: Option<&M::Output>) -> Option<M::State> {
        self.model.step(state, input, output)
    }

    fn reads_only(&self, input: &M::Input, output: Option<&M::Output>) -> bool {
        self.model.reads_only(input, output)
    }
}
