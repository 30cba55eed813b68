//! Pictures of histories: who did what when, in which order it could have happened, and what had no place in any order.
//!
//! A verdict alone convinces nobody that their database is wrong. The picture is that of the book (DDIA ch. 9, "What Makes a
//! System Linearizable?"): a row for each client, a bar for each operation from its call to its return, and within each bar
//! the point at which it took effect. Places stand for the order of events and not for their distance, so that a
//! microsecond and a minute can both be seen.

mod html;
mod text;

use super::frontier;
use super::history::{ClientId, History, OpId, Stamp};
use super::model::{HistoryOf, Model};
use super::shrink::Shrunk;
use crate::cli::printable;

/// The most operations in a picture: what does not fit on a screen is not looked at.
pub const MAX_BARS: usize = 60;

/// A history, laid out to be drawn.
///
/// **Invariants**: bars are in the order of their calls and numbered so, from 1; the places of all calls, effects and returns
/// are below `width`, and no two are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    title: String,
    notes: Vec<String>,
    rows: Vec<Row>,
    bars: Vec<Bar>,
    /// The bars in the order in which they could have happened, each with the state that it leads to.
    order: Vec<(usize, String)>,
    width: usize,
}

/// Bars of one client that do not overlap. A client has several rows where it went on after an unknown outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    client: ClientId,
    bars: Vec<usize>,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bar {
    client: ClientId,
    description: String,
    called: Stamp,
    returned: Option<Stamp>,
    /// The place of the call.
    from: usize,
    /// The place of the return; `None`: it goes on to the end.
    to: Option<usize>,
    effect: Effect,
}

/// Whether, and at which place, an operation takes effect in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    At(usize),
    /// It is not in the order: it need not have happened, or no order is known.
    None,
    /// It has no place.
    Impossible,
}

impl Picture {
    /// The picture of a violation.
    pub fn of_violation<M: Model>(model: &M, shrunk: &Shrunk<M>) -> Self {
        let drawn = shrunk.history.len();
        let key = model.describe_key(&shrunk.key);
        let fatal = &shrunk.history[shrunk.fatal];
        let mut notes = vec![format!("before these: {}", model.describe_state(&shrunk.start))];
        if shrunk.before > 0 {
            let others =
                if shrunk.before == 1 { "operation".to_owned() } else { format!("{} operations", shrunk.before) };
            notes[0].push_str(&format!(", where every order of the {others} before them ends"));
        }
        let left_out = shrunk.of.saturating_sub(drawn + shrunk.before);
        if left_out > 0 {
            notes.push(format!(
                "left out: {left_out} more on this key; none of them gives it a place, whether it took effect or not"
            ));
        }
        let title = format!(
            "key {key}: {} by {} has no place among {} of {} operations",
            model.describe(&fatal.input, fatal.output()),
            fatal.client,
            drawn,
            shrunk.of
        );
        let mut picture = Self::of_order(model, &shrunk.history, &shrunk.start, &shrunk.order, Some(shrunk.fatal));
        picture.title = clean(&title);
        picture.notes.splice(0..0, notes.iter().map(|note| clean(note)));
        picture
    }

    /// The picture of a history on one key and an order of its operations, begun in the state `start`. If `fatal` is in the
    /// order, then without its answer.
    pub fn of_order<M: Model>(
        model: &M,
        history: &HistoryOf<M>,
        start: &M::State,
        order: &[OpId],
        fatal: Option<OpId>,
    ) -> Self {
        let mut notes = Vec::new();
        let too_many = history.len().saturating_sub(MAX_BARS);
        if too_many > 0 {
            notes.push(format!("the {too_many} operations that were called first are not drawn"));
        }
        let is_drawn = |op: OpId| op.0 as usize >= too_many || Some(op) == fatal;
        let drawn: Vec<OpId> = history.iter().map(|(op, _)| op).filter(|&op| is_drawn(op)).collect();

        let mut state = Some(start.clone());
        let mut states: Vec<(OpId, String)> = Vec::new();
        for &op in order {
            let operation = &history[op];
            let output = operation.output().filter(|_| Some(op) != fatal);
            state = state.and_then(|state| model.step(&state, &operation.input, output));
            let described = state.as_ref().map_or("?".to_owned(), |state| model.describe_state(state));
            states.push((op, clean(&described)));
        }
        states.retain(|(op, _)| is_drawn(*op));

        let events = events(history, &drawn, &states);
        let (places, width) = places(&events, fatal);
        let place_of = |event| events.iter().position(|&other| other == event).map(|at| places[at]);
        let bar = |&op: &OpId| {
            let operation = &history[op];
            let effect = match place_of(Event::Effect(op)) {
                _ if Some(op) == fatal => Effect::Impossible,
                Some(place) => Effect::At(place),
                None => Effect::None,
            };
            Bar {
                client: operation.client,
                description: clean(&model.describe(&operation.input, operation.output())),
                called: operation.called,
                returned: operation.returned(),
                from: place_of(Event::Call(op)).expect("each call has a place"),
                to: place_of(Event::Return(op)),
                effect,
            }
        };
        let bars: Vec<Bar> = drawn.iter().map(bar).collect();
        let number = |op: OpId| drawn.binary_search(&op).expect("it is drawn");
        let order = states.into_iter().map(|(op, state)| (number(op), state)).collect();
        Self { title: String::new(), notes, rows: rows(&bars), bars, order, width }
    }
}

impl Bar {
    /// What is said of it where it is not in the order.
    fn without_place(&self) -> &'static str {
        match self.effect {
            Effect::Impossible => "has no place in any order",
            _ if self.returned.is_some() => "is in no order that is known",
            _ => "may not have happened",
        }
    }
}

impl Picture {
    fn is_in_order(&self, bar: usize) -> bool {
        self.order.iter().any(|(index, _)| *index == bar)
    }

    /// Whether each operation that must have a place has one, but for the one that cannot.
    fn has_all_places(&self) -> bool {
        self.bars.iter().all(|bar| bar.returned.is_none() || bar.effect != Effect::None)
    }
}

/// What has a place of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Call(OpId),
    Return(OpId),
    Effect(OpId),
}

/// Calls and returns in the order of time, and each effect as early as its place in the order allows.
fn events<I, O>(history: &History<I, O>, drawn: &[OpId], order: &[(OpId, String)]) -> Vec<Event> {
    let mut effects = order.iter().map(|&(op, _)| op).peekable();
    let mut called = Vec::new();
    let mut events = Vec::new();
    for (_, is_return, op) in frontier::events(history, drawn) {
        if is_return {
            events.push(Event::Return(op));
            continue;
        }
        events.push(Event::Call(op));
        called.push(op);
        while let Some(effect) = effects.next_if(|op| called.contains(op)) {
            events.push(Event::Effect(effect));
        }
    }
    events
}

/// The place of each event, and the width of all: there is more room where a bar's words go, behind the point at which it
/// takes effect.
fn places(events: &[Event], fatal: Option<OpId>) -> (Vec<usize>, usize) {
    const NARROW: usize = 2;
    const WIDE: usize = 7;
    let mut places = Vec::new();
    let mut next = 0;
    for event in events {
        places.push(next);
        next += match event {
            Event::Effect(_) => WIDE,
            Event::Call(op) if Some(*op) == fatal => WIDE + NARROW,
            Event::Call(_) | Event::Return(_) => NARROW,
        };
    }
    (places, next)
}

/// Each client's bars, in as few rows as keep them apart.
fn rows(bars: &[Bar]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (index, bar) in bars.iter().enumerate() {
        let is_free = |row: &&mut Row| {
            let last = row.bars.last().map(|&last| &bars[last]);
            row.client == bar.client && last.is_some_and(|last| last.to.is_some_and(|to| to < bar.from))
        };
        match rows.iter_mut().find(is_free) {
            Some(row) => row.bars.push(index),
            None => rows.push(Row { client: bar.client, bars: vec![index] }),
        }
    }
    rows.sort_by_key(|row| row.client);
    rows
}

/// The text in one line, and nothing in it that a terminal would obey.
fn clean(text: &str) -> String {
    printable(text).replace('\n', "\\n")
}
