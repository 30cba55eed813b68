//! The smallest violation, and its pictures.

#[path = "check/generate.rs"]
mod generate;

use common::check::models::{
    Kv, KvInput, KvOutput, Lock, LockInput, LockOutput, Queue, QueueInput, QueueOutput, Register, RegisterInput,
};
use common::check::{HistoryOf, MAX_BARS, Model, OpId, Operation, Outcome, Shrunk, Verdict, check, report, shrink};
use common::judge;
use generate::{RegisterOperation, Shape, history, lost, ran, read, write};
use rand::RngExt;

const PLENTY: u64 = 1_000_000;

fn shrunk<M: Model>(model: &M, whole: &HistoryOf<M>) -> Shrunk<M> {
    match check(model, whole, PLENTY).verdict {
        Verdict::Violation(violation) => shrink(model, whole, &violation, PLENTY),
        other => panic!("it is a violation, and not {other:?}"),
    }
}

/// What is left of a violation, in words, in the order of the calls.
fn left<M: Model>(model: &M, shrunk: &Shrunk<M>) -> Vec<String> {
    shrunk.history.iter().map(|(_, operation)| model.describe(&operation.input, operation.output())).collect()
}

/// How many answers of `whole` up to the fatal one's contradict each other at the least: of the others, those that changed
/// nothing are struck, and the rest forgotten.
fn fewest_answers(whole: &HistoryOf<Register>, fatal: OpId) -> usize {
    let end = whole[fatal].returned().expect("the fatal operation returned");
    let before = |(op, operation): &(OpId, &RegisterOperation)| {
        operation.called <= end && (*op == fatal || operation.returned().is_some_and(|at| (at, *op) < (end, fatal)))
    };
    let answered: Vec<OpId> = whole.iter().filter(before).map(|(op, _)| op).filter(|op| *op != fatal).collect();
    let contradict = |chosen: u32| {
        let is_kept =
            |op| op == fatal || answered.iter().position(|&it| it == op).is_some_and(|at| chosen & 1 << at != 0);
        let operations = whole.iter().filter(|(op, operation)| {
            let is_struck = Register.reads_only(&operation.input, operation.output()) && answered.contains(op);
            operation.called <= end && (is_kept(*op) || !is_struck)
        });
        let operations = operations.map(|(op, operation)| {
            let outcome = if is_kept(op) { operation.outcome.clone() } else { Outcome::Unknown };
            Operation { outcome, ..operation.clone() }
        });
        check(&Register, &history(operations.collect()), PLENTY).verdict.is_violation()
    };
    let choices = (0..1 << answered.len()).filter(|&chosen: &u32| contradict(chosen));
    1 + choices.map(u32::count_ones).min().expect("with all of them it is a violation") as usize
}

/// Its own history from the state in which it begins is a violation, and without the fatal operation's answer it is none: by
/// trying all orders, so that neither the search nor what makes violations small is believed.
fn is_a_violation_by_brute_force<M: Model>(model: &M, shrunk: &Shrunk<M>) -> bool {
    struct Begun<'a, M: Model>(&'a M, &'a M::State);
    impl<M: Model> Model for Begun<'_, M> {
        type Input = M::Input;
        type Output = M::Output;
        type State = M::State;
        type Key = ();
        fn key(&self, _: &M::Input) {}
        fn init(&self, (): &()) -> M::State {
            self.1.clone()
        }
        fn step(&self, state: &M::State, input: &M::Input, output: Option<&M::Output>) -> Option<M::State> {
            self.0.step(state, input, output)
        }
    }
    let begun = Begun(model, &shrunk.start);
    let forget =
        |operation: &Operation<M::Input, M::Output>| Operation { outcome: Outcome::Unknown, ..operation.clone() };
    let rest = shrunk.history.iter().map(
        |(op, operation)| {
            if op == shrunk.fatal { forget(operation) } else { operation.clone() }
        },
    );
    !generate::brute_force(&begun, &shrunk.history) && generate::brute_force(&begun, &history(rest.collect()))
}

#[test]
fn a_stale_read_among_hundreds_is_a_write_and_the_read() {
    let shape = Shape { clients: 6, operations_per_client: 60, lost_percent: 5 };
    let mut planted = 0;
    for seed in judge::seeds(10) {
        let whole = generate::atomic_registers(seed, shape, 2);
        let mut operations: Vec<RegisterOperation> = whole.iter().map(|(_, operation)| operation.clone()).collect();
        if !generate::plant_stale_read(&mut operations) {
            continue;
        }
        planted += 1;
        let whole = history(operations);
        let shrunk = shrunk(&Register, &whole);
        let left = left(&Register, &shrunk);
        assert!(left.len() <= 6, "seed {seed}: of {} operations there are left {left:?}", whole.len());
        assert!(is_a_violation_by_brute_force(&Register, &shrunk), "seed {seed}: {left:?} from {:?}", shrunk.start);
        for (op, operation) in shrunk.history.iter() {
            let original = &whole[shrunk.original[op.0 as usize]];
            assert_eq!((&operation.input, operation.called), (&original.input, original.called), "seed {seed}");
            let is_as_it_was = operation.outcome == original.outcome || operation.outcome == Outcome::Unknown;
            assert!(is_as_it_was, "seed {seed}: an answer may be forgotten, and none be invented");
        }
    }
    assert!(planted >= 5, "only {planted} stale reads could be planted");
}

#[test]
fn what_is_left_of_small_histories_implies_their_violation() {
    let (mut violations, mut exact) = (0, 0);
    for seed in judge::seeds(2000) {
        let mut rng = generate::rng(seed);
        let mut operations = Vec::new();
        for _ in 0..rng.random_range(2..=7) {
            let (client, called) = (rng.random_range(0..3), rng.random_range(0..14));
            let time = called..called + rng.random_range(0..6);
            let value = rng.random_range(0..3);
            operations.push(match rng.random_range(0..7) {
                0..3 => read(client, time, value),
                3..5 => write(client, time, value),
                5 => lost(client, called, RegisterInput::write("x", value)),
                _ => generate::cas(client, time, value, (value + 1) % 3, rng.random_bool(0.5)),
            });
        }
        let whole = history(operations);
        if let Verdict::Violation(violation) = check(&Register, &whole, PLENTY).verdict {
            violations += 1;
            let shrunk = shrink(&Register, &whole, &violation, PLENTY);
            assert!(is_a_violation_by_brute_force(&Register, &shrunk), "seed {seed}: {:?}", left(&Register, &shrunk));
            assert_eq!(shrink(&Register, &whole, &violation, PLENTY), shrunk, "seed {seed}: it is the same again");
            if shrunk.before == 0 {
                exact += 1;
                let fewest = fewest_answers(&whole, shrunk.original[shrunk.fatal.0 as usize]);
                assert_eq!(shrunk.answers, fewest, "seed {seed}: {:?}", left(&Register, &shrunk));
            }
            let budgetless = shrink(&Register, &whole, &violation, 0);
            assert!(!budgetless.history.is_empty(), "seed {seed}: without a budget all is left that could be");
        }
    }
    assert!(
        violations > 500 && exact > 200,
        "only {violations} violations were made small, {exact} from the beginning"
    );
}

#[test]
fn two_lock_holders() {
    let granted = |token| LockOutput::Granted { token: Some(token) };
    let mut operations = Vec::new();
    for round in 0..20 {
        let owner = format!("o{}", round % 3);
        let at = 10 * round;
        operations.push(ran(round % 3, at..at + 1, LockInput::acquire("l", &owner), granted(round + 1)));
        operations.push(ran(9, at + 2..at + 3, LockInput::acquire("l", "other"), LockOutput::Held));
        operations.push(ran(round % 3, at + 4..at + 5, LockInput::release("l", &owner), LockOutput::Released));
    }
    let whole = history(operations.clone());
    assert!(check(&Lock, &whole, PLENTY).verdict.is_linearizable());

    operations.push(ran(7, 152..153, LockInput::acquire("l", "thief"), granted(17)));
    let thief = shrunk(&Lock, &history(operations.clone()));
    assert_eq!(left(&Lock, &thief), ["acquire(o0) → token 16", "acquire(thief) → token 17"]);
    operations.pop();

    operations.push(ran(7, 206..207, LockInput::acquire("l", "late"), granted(20)));
    let repeated = shrunk(&Lock, &history(operations));
    assert_eq!(
        left(&Lock, &repeated).last().map(String::as_str),
        Some("acquire(late) → token 20"),
        "the token is not greater"
    );
}

#[test]
fn a_duplicated_dequeue() {
    let mut operations: Vec<Operation<QueueInput, QueueOutput>> = Vec::new();
    for value in 0..30 {
        let at = 10 * value;
        operations.push(ran(1, at..at + 5, QueueInput::enqueue("q", value), QueueOutput::Enqueued));
        operations.push(ran(2, at + 3..at + 9, QueueInput::dequeue("q"), QueueOutput::dequeued(value)));
    }
    assert!(check(&Queue, &history(operations.clone()), PLENTY).verdict.is_linearizable());
    operations.push(ran(3, 204..208, QueueInput::dequeue("q"), QueueOutput::dequeued(20)));
    let shrunk = shrunk(&Queue, &history(operations));
    let left = left(&Queue, &shrunk);
    assert!(left.len() <= 3 && left.iter().filter(|op| *op == "dequeue() → 20").count() == 2, "{left:?}");
}

#[test]
fn a_compare_and_set_that_took_effect_twice() {
    let swap = |client, time| generate::cas(client, time, 5, 6, true);
    let operations = vec![write(1, 0..1, 5), swap(1, 2..6), swap(2, 3..7), read(3, 8..9, 6)];
    let shrunk = shrunk(&Register, &history(operations));
    assert_eq!(left(&Register, &shrunk), ["cas(5, 6) → ok", "cas(5, 6) → ok"]);
    assert_eq!(shrunk.start.as_deref(), Some("5"));
}

/// Two replicas: one has forgotten an append that was acknowledged.
fn lost_append() -> HistoryOf<Kv> {
    let mut operations = Vec::new();
    for round in 0..8 {
        let at = 100 * round;
        operations.push(ran(1, at..at + 20, KvInput::append("list", format!("{round},")), KvOutput::Done));
        let seen: String = (0..=round).map(|round| format!("{round},")).collect();
        operations.push(ran(2, at + 30..at + 40, KvInput::get("list"), KvOutput::value(seen)));
        operations.push(ran(1, at + 30..at + 50, KvInput::put("other", round), KvOutput::Done));
    }
    operations.push(lost(3, 640, KvInput::append("list", "x,")));
    operations.push(ran(4, 735..790, KvInput::get("list"), KvOutput::value("0,1,2,3,4,5,6,")));
    operations.push(ran(1, 800..810, KvInput::append("list", "8,"), KvOutput::Done));
    history(operations)
}

#[test]
fn the_picture_of_a_lost_append() {
    let report = report(&Kv, &lost_append(), PLENTY);
    let expected = r#"
not linearizable (27 operations, 23 steps)

key list: get() → "0,1,2,3,4,5,6," by client 4 has no place among 2 of 19 operations
before these: "0,1,2,3,4,5,6,", where every order of the 14 operations before them ends
left out: 3 more on this key; none of them gives it a place, whether it took effect or not

client 1  ├───────◆─ 1 append("7,") ──────────┤
client 4                                              ╞═ 2 get() → "0,1,2,3,4,5,6," ══════╡

in an order that is possible so far:
  ◆   1  client 1   append("7,")                              then "0,1,2,3,4,5,6,7,"
  ✗   2  client 4   get() → "0,1,2,3,4,5,6,"                  has no place in any order
"#;
    assert_eq!(report.text, expected.trim(), "\n{}", report.text);
}

#[test]
fn the_picture_of_what_a_third_client_has_seen() {
    let operations = vec![
        write(1, 0..10, 1),
        lost(2, 20, RegisterInput::write("x", 2)),
        read(3, 30..40, 2),
        read(1, 50..60, 1),
        write(1, 70..80, 9),
    ];
    let report = report(&Register, &history(operations), PLENTY);
    let expected = r#"
not linearizable (5 operations, 5 steps)

key x: read() → 1 by client 1 has no place among 3 of 5 operations
before these: 1, where every order of the operation before them ends
left out: 1 more on this key; none of them gives it a place, whether it took effect or not

client 1                                                           ╞═ 3 read() → 1 ══════════╡
client 2  ├────◆─ 1 write(2) → ? ──────────────────────────────────────────────────────────────────⋯
client 3                           ├─────◆─ 2 read() → 2 ────┤

in an order that is possible so far:
  ◆   1  client 2   write(2) → ?                              then 2
  ◆   2  client 3   read() → 2                                then 2
  ✗   3  client 1   read() → 1                                has no place in any order
"#;
    assert_eq!(report.text, expected.trim(), "\n{}", report.text);
}

#[test]
fn no_picture_is_wider_than_a_hundred_columns_or_moves_the_cursor() {
    let nasty = "\u{1b}[2Jé世\u{200b}\r\n<script>&'\"";
    let long = "and a value that is longer than any column has room for";
    for seed in judge::seeds(30) {
        let mut rng = generate::rng(seed);
        let mut operations: Vec<RegisterOperation> = Vec::new();
        for number in 0..rng.random_range(1..120) {
            let client = rng.random_range(0..8) * 1_000_000_000_000;
            let called = rng.random_range(0..1000) * 1_000_000_000;
            let time = called..called + rng.random_range(0..5_000_000_000);
            let value = format!("{}{number}{nasty}", if rng.random_bool(0.5) { long } else { "" });
            operations.push(match rng.random_range(0..3) {
                0 => write(client, time, value),
                1 => generate::cas(client, time, number, number, false),
                _ => lost(client, called, RegisterInput::write("x", value)),
            });
        }
        operations.push(read(u64::MAX, u64::MAX - 1..u64::MAX, nasty));
        operations.iter_mut().for_each(|operation| operation.input.key = nasty.into());
        let report = report(&Register, &history(operations), 200_000);
        for line in report.text.lines() {
            assert!(textwrap::core::display_width(line) <= 100, "seed {seed}: {line}");
            assert!(!line.chars().any(char::is_control), "seed {seed}: {line:?}");
        }
        let html = report.html.expect("a read of what nobody wrote is a violation");
        assert_well_formed(&html);
        assert!(html.contains("&lt;script&gt;&amp;"), "seed {seed}: it is there, and harmless");
        assert!(
            !html.contains("http://")
                || html.matches("http://").count() == html.matches("http://www.w3.org/2000/svg").count()
        );
    }
}

#[test]
fn a_picture_shows_the_last_operations_of_many() {
    // Each write is needed: the reads in between saw them all, in vain.
    let mut operations: Vec<Operation<KvInput, KvOutput>> = (0..100)
        .map(|value| {
            ran(value % 7, 10 * value..10 * value + 2000, KvInput::append("x", format!("{value},")), KvOutput::Done)
        })
        .collect();
    operations.push(ran(9, 5000..5001, KvInput::get("x"), KvOutput::value("nothing of it")));
    let picture = common::check::Picture::of_order(&Kv, &history(operations), &None, &[], None);
    assert!(
        picture.text().contains(&format!("the {} operations that were called first are not drawn", 101 - MAX_BARS))
    );
    assert!(picture.text().contains("no order is known"), "{}", picture.text());

    // The last place of all is a call, and its bar goes on to the edge.
    for count in 1..MAX_BARS as u64 {
        let writes = (0..count).map(|value| write(1, 10 * value..10 * value + 5, value));
        let late = lost(2, 1000, RegisterInput::write("x", 5));
        let whole = history(writes.chain([late]).collect());
        let order: Vec<OpId> = (0..count as u32).map(OpId).collect();
        let text = common::check::Picture::of_order(&Register, &whole, &None, &order, None).text();
        assert!(text.contains('⋯') && text.contains("may not have happened"), "{text}");
    }
}

/// Each tag is closed in turn, and there is no bare ampersand.
fn assert_well_formed(html: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html.strip_prefix("<!DOCTYPE html>").expect("it says what it is");
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "a bare > in {:?}", &rest[..start]);
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        let name = tag.trim_start_matches('/').split([' ', '/']).next().expect("a tag has a name");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closed out of turn");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "an attribute's quotes in {tag:?}");
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "left open: {open:?}");
    for (at, _) in html.match_indices('&') {
        let entity = html[at..].split_once(';').map(|(entity, _)| entity);
        assert!(matches!(entity, Some("&amp" | "&lt" | "&gt" | "&quot" | "&#39")), "a bare & at {at}");
    }
}
