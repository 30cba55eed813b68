//! What the linearizability checker promises (DDIA ch. 9, "Linearizability"): the judge of the organ `linearizability`.
//!
//! The figures meant are those of that section: the sports website whose two readers disagree, the reads beside a write, and
//! the four clients of one register, with an instant marked in each bar.

#[path = "check/generate.rs"]
mod generate;

use std::collections::BTreeSet;

use common::check::linearizability::{FIRST_ROUND_STEPS, check};
use common::check::models::{
    Kv, KvInput, KvOutput, Lock, LockInput, LockOutput, Queue, QueueInput, QueueOutput, Register, RegisterInput,
    RegisterOutput,
};
use common::check::{Checked, HistoryOf, Model, OpId, Operation, Verdict};
use common::judge;
use generate::{RegisterOperation, Rng, Shape, brute_force, cas, history, is_witness, lost, ran, read, rng, write};
use rand::RngExt;

/// Enough for whatever is not about budgets.
const PLENTY: u64 = 1_000_000;

fn verdict(operations: Vec<RegisterOperation>) -> Verdict<<Register as Model>::Key> {
    check(&Register, &history(operations), PLENTY).verdict
}

fn is_linearizable(operations: Vec<RegisterOperation>) -> bool {
    match verdict(operations) {
        Verdict::Linearizable { .. } => true,
        Verdict::Violation(_) => false,
        Verdict::OutOfBudget { .. } => panic!("{PLENTY} steps are enough for a few operations"),
    }
}

#[test]
fn operations_that_do_not_overlap_are_checked_in_their_order() {
    assert!(is_linearizable(vec![]), "nothing happened, and nothing is wrong");
    assert!(is_linearizable(vec![write(1, 0..1, 1), read(1, 2..3, 1), write(1, 4..5, 2), read(1, 6..7, 2)]));
    assert!(!is_linearizable(vec![write(1, 0..1, 1), read(1, 2..3, 2)]), "nobody wrote 2");
    assert!(!is_linearizable(vec![write(1, 0..1, 1), write(1, 2..3, 2), read(1, 4..5, 1)]), "1 was overwritten");
    assert!(!is_linearizable(vec![read(1, 0..1, 1), write(1, 2..3, 1)]), "a read does not see the future");
    assert!(is_linearizable(vec![
        write(1, 0..1, 1),
        cas(1, 2..3, 1, 2, true),
        cas(1, 4..5, 1, 3, false),
        read(1, 6..7, 2)
    ]));
}

#[test]
fn a_read_beside_a_write_may_return_the_old_value_or_the_new() {
    let before_and_beside = |seen| vec![write(1, 0..1, 0), write(3, 5..20, 1), read(1, 2..4, 0), read(2, 8..12, seen)];
    assert!(is_linearizable(before_and_beside(0)));
    assert!(is_linearizable(before_and_beside(1)));
    assert!(!is_linearizable(before_and_beside(2)));
    let touching = vec![write(1, 0..5, 1), read(2, 5..9, 0)];
    assert!(!is_linearizable(touching), "nobody wrote 0");
    let at_the_same_stamp = vec![write(1, 0..1, 0), write(1, 2..5, 1), read(2, 5..9, 0)];
    assert!(is_linearizable(at_the_same_stamp), "a call at the stamp of a return overlaps it");
}

#[test]
fn stale_read_after_a_newer_one_was_seen() {
    let operations = |last| vec![write(3, 0..1, 0), write(3, 5..30, 1), read(1, 6..10, 1), read(2, 12..18, last)];
    assert!(is_linearizable(operations(1)));
    assert!(!is_linearizable(operations(0)), "once one client has read the new value, no other reads the old one");
    // The final is over, Alice is told the score, and Bob's replica says that the game goes on.
    let website = vec![
        write(1, 0..10, "Germany wins"),
        read(2, 12..20, "Germany wins"),
        ran(3, 22..30, RegisterInput::read("x"), RegisterOutput::Value(None)),
    ];
    assert!(!is_linearizable(website));
    // Any order that respects each client's own would do for these: that is sequential consistency, and less.
    assert!(!is_linearizable(vec![write(1, 0..1, 1), write(2, 2..3, 2), read(1, 4..5, 2), read(2, 6..7, 1)]));
    let later_call = vec![write(1, 0..10, 1), write(2, 11..20, 2), read(3, 0..30, 1), read(3, 31..40, 1)];
    assert!(!is_linearizable(later_call), "a long read beside them does not let the writes change places");
}

/// The four clients of one register, with compare-and-set, without the last read.
fn four_clients() -> Vec<RegisterOperation> {
    let [a, b, c, d] = [1, 2, 3, 4];
    vec![
        read(b, 0..14, 1),
        write(d, 2..10, 0),
        write(a, 4..18, 1),
        read(c, 16..22, 1),
        cas(b, 24..30, 1, 2, true),
        read(c, 26..36, 2),
        cas(d, 32..40, 0, 3, false),
        cas(c, 42..60, 2, 4, true),
        read(a, 44..48, 4),
    ]
}

#[test]
fn figure_9_4_only_the_last_read_is_not_linearizable() {
    assert!(is_linearizable(four_clients()));
    let ending_in = |last| [four_clients(), vec![last]].concat();
    assert!(!is_linearizable(ending_in(read(2, 50..56, 2))), "A has seen 4 before B's read began");
    assert!(is_linearizable(ending_in(read(2, 50..56, 4))));
    let without_a = |operations: Vec<RegisterOperation>| operations.into_iter().filter(|op| op.called != 44).collect();
    assert!(is_linearizable(without_a(ending_in(read(2, 50..56, 2)))), "had A not read it, B could still read 2");
}

#[test]
fn an_operation_of_unknown_outcome_may_take_effect_late_or_never() {
    let unknown = |called| lost(9, called, RegisterInput::write("x", 7));
    let first = write(1, 0..1, 1);
    assert!(is_linearizable(vec![first.clone(), unknown(2), read(1, 3..4, 1), read(1, 5..6, 1)]), "never");
    assert!(is_linearizable(vec![first.clone(), unknown(2), read(1, 3..4, 7)]), "at once");
    assert!(
        is_linearizable(vec![first.clone(), unknown(2), read(1, 3..4, 1), write(1, 5..6, 2), read(1, 7..8, 7)]),
        "late"
    );
    let twice = vec![first.clone(), unknown(2), read(1, 3..4, 7), write(1, 5..6, 2), read(1, 7..8, 7)];
    assert!(!is_linearizable(twice.clone()), "but not twice");
    assert!(is_linearizable([twice, vec![unknown(4)]].concat()), "two of them can");
    assert!(!is_linearizable(vec![first.clone(), read(1, 2..3, 7), unknown(4)]), "and not before its call");
    let of_no_write = lost(9, 2, RegisterInput::read("x"));
    assert!(
        is_linearizable(vec![first.clone(), of_no_write, read(1, 3..4, 1)]),
        "a read of unknown outcome says nothing"
    );
    let swap = lost(9, 2, RegisterInput::compare_and_set("x", 1, 5));
    assert!(is_linearizable(vec![first.clone(), swap.clone(), read(1, 3..4, 5), cas(1, 5..6, 1, 8, false)]));
    assert!(
        !is_linearizable(vec![first, swap, write(1, 3..4, 2), read(1, 5..6, 2), read(1, 7..8, 5)]),
        "its time is over"
    );
}

#[test]
fn the_order_is_a_witness() {
    let shape = Shape { clients: 5, operations_per_client: 30, lost_percent: 10 };
    for seed in judge::seeds(10) {
        let whole = generate::atomic_registers(seed, shape, 3);
        let Checked { verdict: Verdict::Linearizable { order }, .. } = check(&Register, &whole, PLENTY) else {
            panic!("seed {seed}: an atomic object's history is linearizable");
        };
        let placed: BTreeSet<OpId> = order.iter().copied().collect();
        assert_eq!(placed.len(), order.len(), "seed {seed}: no operation is placed twice");
        let left_out = whole.iter().find(|(op, operation)| operation.returned().is_some() && !placed.contains(op));
        assert!(left_out.is_none(), "seed {seed}: what returned took effect, but not in the order: {left_out:?}");
        let respects_time = |(place, &op): (usize, &OpId)| {
            order[place + 1..].iter().all(|&later| whole[later].returned().is_none_or(|at| at >= whole[op].called))
        };
        assert!(order.iter().enumerate().all(respects_time), "seed {seed}: an operation comes after one called later");
        for key in ["0", "1", "2"] {
            let on_key: Vec<OpId> = order.iter().copied().filter(|&op| &*whole[op].input.key == key).collect();
            assert!(is_witness(&Register, &whole, &None, &on_key), "seed {seed}: the answers on {key} do not follow");
        }
    }
}

#[test]
fn every_key_is_checked() {
    let on = |key: &str, mut operation: RegisterOperation| {
        operation.input.key = key.into();
        operation
    };
    for bad in ["a", "b", "c"] {
        let mut operations = Vec::new();
        for key in ["a", "b", "c"] {
            operations.push(on(key, write(1, 0..1, 1)));
            operations.push(on(key, read(2, 2..3, if key == bad { 2 } else { 1 })));
        }
        let whole = history(operations);
        let Verdict::Violation(violation) = check(&Register, &whole, PLENTY).verdict else {
            panic!("the read of {bad} is wrong, whatever the other keys say");
        };
        assert_eq!(&*violation.key, bad);
        assert_eq!(whole[violation.stuck].input, RegisterInput::read(bad), "the read is what has no place");
        assert_eq!(violation.placed.len(), 1, "the write has one");
    }
    let apart = vec![on("a", write(1, 0..1, 1)), on("b", read(1, 2..3, 1))];
    assert!(!is_linearizable(apart), "a write of one key is none of another");
}

/// A few operations of any kind, with answers drawn at random.
fn random_history<M: Model>(rng: &mut Rng, mut draw: impl FnMut(&mut Rng) -> (M::Input, M::Output)) -> HistoryOf<M> {
    let count = rng.random_range(1..=5);
    let operation = |_| {
        let (input, output) = draw(rng);
        let called = rng.random_range(0..12);
        let client = rng.random_range(0..3);
        if rng.random_bool(0.2) {
            lost(client, called, input)
        } else {
            ran(client, called..called + rng.random_range(0..6), input, output)
        }
    };
    history((0..count).map(operation).collect::<Vec<Operation<_, _>>>())
}

fn agrees_with_brute_force<M: Model>(model: &M, history: &HistoryOf<M>, seed: u64) -> bool {
    let expected = brute_force(model, history);
    let verdict = check(model, history, PLENTY).verdict;
    assert_eq!(verdict.is_linearizable(), expected, "seed {seed}: all orders were tried on {history:#?}");
    assert_eq!(verdict.is_violation(), !expected, "seed {seed}: {PLENTY} steps are enough for {history:#?}");
    expected
}

#[test]
fn trying_all_orders_of_small_histories_agrees() {
    let mut linearizable = 0;
    let count = 1500;
    for seed in judge::seeds(count) {
        let rng = &mut rng(seed);
        let registers = random_history::<Register>(rng, |rng| {
            let (one, two) = (rng.random_range(0..3), rng.random_range(0..3));
            match rng.random_range(0..3) {
                0 => (RegisterInput::read("x"), RegisterOutput::value(one)),
                1 => (RegisterInput::write("x", one), RegisterOutput::Written),
                _ => (RegisterInput::compare_and_set("x", one, two), RegisterOutput::Swapped(rng.random_bool(0.5))),
            }
        });
        let queues = random_history::<Queue>(rng, |rng| {
            let value = rng.random_range(0..2);
            match rng.random_range(0..5) {
                0..3 => (QueueInput::enqueue("q", value), QueueOutput::Enqueued),
                3 => (QueueInput::dequeue("q"), QueueOutput::dequeued(value)),
                _ => (QueueInput::dequeue("q"), QueueOutput::Dequeued(None)),
            }
        });
        let lists = random_history::<Kv>(rng, |rng| {
            let value = rng.random_range(0..2);
            match rng.random_range(0..4) {
                0..2 => (KvInput::append("x", value), KvOutput::Done),
                2 => (KvInput::get("x"), KvOutput::value(["0", "1", "01", "10"][rng.random_range(0..4)])),
                _ => (KvInput::delete("x"), KvOutput::Deleted(rng.random_bool(0.5))),
            }
        });
        let locks = random_history::<Lock>(rng, |rng| {
            let owner = rng.random_range(0..2);
            match rng.random_range(0..4) {
                0..2 => (LockInput::acquire("l", owner), LockOutput::Granted { token: Some(rng.random_range(1..4)) }),
                2 => (LockInput::release("l", owner), LockOutput::Released),
                _ => (LockInput::acquire("l", owner), LockOutput::Held),
            }
        });
        linearizable += u64::from(agrees_with_brute_force(&Register, &registers, seed));
        linearizable += u64::from(agrees_with_brute_force(&Queue, &queues, seed));
        linearizable += u64::from(agrees_with_brute_force(&Kv, &lists, seed));
        linearizable += u64::from(agrees_with_brute_force(&Lock, &locks, seed));
    }
    assert!(linearizable > count / 2, "only {linearizable} of them were linearizable: nothing was compared");
}

#[test]
fn histories_of_an_atomic_object_are_accepted_and_planted_violations_are_not() {
    let shape = Shape { clients: 6, operations_per_client: 40, lost_percent: 5 };
    let mut planted = 0;
    for seed in judge::seeds(12) {
        let whole = generate::atomic_registers(seed, shape, 4);
        assert!(check(&Register, &whole, PLENTY).verdict.is_linearizable(), "seed {seed}: the object was atomic");
        let mut operations: Vec<RegisterOperation> = whole.iter().map(|(_, operation)| operation.clone()).collect();
        if generate::plant_stale_read(&mut operations) {
            planted += 1;
            let verdict = check(&Register, &history(operations), PLENTY).verdict;
            assert!(verdict.is_violation(), "seed {seed}: a read returned what was overwritten before it was called");
        }
        let lists = generate::atomic_lists(seed, shape, 4);
        assert!(check(&Kv, &lists, PLENTY).verdict.is_linearizable(), "seed {seed}: the object was atomic");
        let mut operations: Vec<_> = lists.iter().map(|(_, operation)| operation.clone()).collect();
        if generate::plant_lost_append(&mut operations) {
            planted += 1;
            let verdict = check(&Kv, &history(operations), PLENTY).verdict;
            assert!(verdict.is_violation(), "seed {seed}: an append that had returned was never seen");
        }
    }
    assert!(planted >= 12, "only {planted} violations could be planted");
}

#[test]
fn the_same_operations_in_another_order_are_another_configuration() {
    // All that is placed is the same in both; only when 1 comes last does the read fit.
    assert!(is_linearizable(vec![write(1, 0..10, 1), write(2, 1..10, 2), read(3, 11..12, 1), read(3, 13..14, 1)]));
    assert!(is_linearizable(vec![write(1, 0..10, 1), write(2, 1..10, 2), read(3, 11..12, 2), read(3, 13..14, 2)]));
    for seed in judge::seeds(50) {
        let mut rng = rng(seed);
        let count = rng.random_range(3..7);
        let mut operations: Vec<RegisterOperation> = (0..count).map(|value| write(value, value..100, value)).collect();
        operations.push(read(0, 200..201, rng.random_range(0..count)));
        assert!(is_linearizable(operations), "seed {seed}: any of the writes may have been the last");
    }
}

#[test]
fn a_dead_end_is_not_searched_twice() {
    // Ten writes at once, in any of 3,628,800 orders; but of what is placed, and which came last, there are 10 · 2^9.
    let mut operations: Vec<RegisterOperation> = (0..10).map(|value| write(value, value..100, value)).collect();
    operations.push(read(0, 200..201, 99));
    let checked = check(&Register, &history(operations), PLENTY);
    assert!(checked.verdict.is_violation(), "nobody wrote 99");
    assert!(checked.steps <= 10 * 10 * 512, "{} steps: a configuration has at most ten to try", checked.steps);
}

#[test]
fn reads_that_fit_are_not_tried_in_every_order() {
    // Sixteen reads beside each other are in 65,536 subsets; each fits where it is first tried, and none is worth a second.
    let mut operations = vec![write(99, 0..1, 1)];
    operations.extend((0..16).map(|client| read(client, 10 + client..100, 1)));
    operations.push(read(99, 200..201, 2));
    let checked = check(&Register, &history(operations), PLENTY);
    assert!(checked.verdict.is_violation(), "nobody wrote 2");
    assert!(checked.steps <= 200, "{} steps for sixteen reads that change nothing", checked.steps);
}

#[test]
fn unknown_outcomes_do_not_explode() {
    let swap = |client, time, from, to| cas(client, time, from, to, true);
    // Fifty writes of which nobody heard again, each of a value of its own; and at the end a read of what nobody wrote.
    let mut operations = vec![write(1, 0..1, 0)];
    operations.extend((0..50).map(|value| lost(100 + value, 2 + value, RegisterInput::write("x", 1000 + value))));
    for round in 0..10 {
        operations.push(swap(1, 100 + 10 * round..103 + 10 * round, round, round + 1));
        operations.push(read(2, 105 + 10 * round..108 + 10 * round, round + 1));
    }
    assert!(check(&Register, &history(operations.clone()), 2_000).verdict.is_linearizable(), "none need have happened");
    // At each of the 21 points where the search turns back, each of the fifty is tried, and after it each of the others.
    operations.push(read(3, 500..501, 99));
    let checked = check(&Register, &history(operations), 21 * 50 * 50);
    assert!(checked.verdict.is_violation(), "nobody wrote 99, and {} steps are enough to see it", checked.steps);

    // Forty that all ask the same: it matters how many have taken effect, and not which.
    let mut operations: Vec<_> = (0..40).map(|client| lost(client, client, KvInput::append("x", "."))).collect();
    operations.push(ran(99, 100..101, KvInput::get("x"), KvOutput::value(".".repeat(20))));
    operations.push(ran(99, 102..103, KvInput::get("x"), KvOutput::value(".".repeat(19))));
    let checked = check(&Kv, &history(operations), 20_000);
    assert!(
        checked.verdict.is_violation(),
        "what was appended stays, and {} steps are enough to see it",
        checked.steps
    );
}

/// Writes beside each other on `key`, in more orders than anyone tries, and a read of what none of them wrote.
fn hard(key: &str) -> Vec<RegisterOperation> {
    let mut operations: Vec<RegisterOperation> = (0..24).map(|value| write(value, value..100, value)).collect();
    operations.push(read(0, 200..201, 99));
    operations.iter_mut().for_each(|operation| operation.input.key = key.into());
    operations
}

#[test]
fn a_hard_key_does_not_hide_a_violation_in_another() {
    for (first, second) in [("a", "b"), ("b", "a")] {
        let mut operations = hard(first);
        let mut short = vec![write(1, 300..301, 1), write(1, 302..303, 2), read(1, 304..305, 1)];
        short.iter_mut().for_each(|operation| operation.input.key = second.into());
        operations.extend(short);
        let checked = check(&Register, &history(operations), 100 * FIRST_ROUND_STEPS);
        let Verdict::Violation(violation) = checked.verdict else {
            panic!("{second} has a violation of three operations, but the search was lost in {first}");
        };
        assert_eq!(&*violation.key, second);
        assert!(checked.steps <= 10 * FIRST_ROUND_STEPS, "{} steps for three operations", checked.steps);
    }
}

#[test]
fn the_budget_ends_the_search_at_the_same_step_each_time() {
    let whole = history([hard("a"), hard("b")].concat());
    for budget in [0, 1, 999, 50_000] {
        let checked = check(&Register, &whole, budget);
        let keys = vec!["a".into(), "b".into()];
        assert_eq!(checked.verdict, Verdict::OutOfBudget { undecided: keys }, "in {budget} steps nothing can be known");
        assert_eq!(checked.steps, budget, "it takes what it is given");
    }
    let operations =
        vec![write(1, 0..10, 1), write(2, 0..10, 2), write(3, 0..10, 3), read(1, 11..12, 1), read(2, 13..14, 1)];
    let whole = history(operations);
    let checked = check(&Register, &whole, PLENTY);
    assert!(checked.verdict.is_linearizable());
    assert_eq!(check(&Register, &whole, checked.steps), checked, "as many steps as it took are enough");
    let fewer = check(&Register, &whole, checked.steps - 1);
    assert!(matches!(fewer.verdict, Verdict::OutOfBudget { .. }), "and one fewer is not: {fewer:?}");
    assert_eq!(check(&Register, &whole, PLENTY), checked, "it is the same again");
}
