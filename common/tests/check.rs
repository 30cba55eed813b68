//! Checking as a whole: what it costs on long histories, and what workloads record.

#[path = "check/generate.rs"]
mod generate;

use std::collections::BTreeSet;

use common::check::models::{Kv, KvInput, Lock, LockInput, LockOutput, Register, RegisterInput, RegisterOutput};
use common::check::{Bits, ClientId, Configurations, Finding, Model, Operation, Recorder, Verdict, check, report};
use common::judge;
use generate::{Shape, history, lost, ran};
use rand::RngExt;

const PLENTY: u64 = 1_000_000;

#[test]
fn thousands_of_operations_take_a_few_steps_each() {
    let shape = Shape { clients: 10, operations_per_client: 600, lost_percent: 1 };
    for seed in 0..3 {
        let registers = generate::atomic_registers(seed, shape, 10);
        let checked = check(&Register, &registers, 20 * registers.len() as u64);
        assert!(checked.verdict.is_linearizable(), "seed {seed}: {} steps", checked.steps);
        let lists = generate::atomic_lists(seed, shape, 200);
        let checked = check(&Kv, &lists, 20 * lists.len() as u64);
        assert!(checked.verdict.is_linearizable(), "seed {seed}: {} steps", checked.steps);
    }
}

#[test]
fn a_violation_among_thousands_is_found_and_made_small() {
    let shape = Shape { clients: 10, operations_per_client: 600, lost_percent: 1 };
    let whole = generate::atomic_registers(7, shape, 3);
    let mut operations: Vec<_> = whole.iter().map(|(_, operation)| operation.clone()).collect();
    assert!(generate::plant_stale_read(&mut operations));
    let report = report(&Register, &history(operations), PLENTY);
    assert_eq!(report.finding, Finding::Violation);
    let lines = report.text.lines().count();
    assert!(lines <= 25, "{lines} lines are no small violation:\n{}", report.text);
}

#[test]
fn unknown_outcomes_are_as_good_as_all_their_orders() {
    let mut linearizable = 0;
    for seed in judge::seeds(750) {
        let rng = &mut generate::rng(seed);
        let value = |rng: &mut generate::Rng| rng.random_range(0..3);
        let mut operations: Vec<generate::RegisterOperation> = Vec::new();
        for client in 0..rng.random_range(1..=4) {
            let (called, from, to) = (rng.random_range(0..4), value(rng), value(rng));
            let swap = RegisterInput::compare_and_set("x", from, to);
            operations.push(lost(
                client,
                called,
                if rng.random_bool(0.7) { swap } else { RegisterInput::write("x", to) },
            ));
        }
        operations.push(generate::write(9, 0..1, 0));
        let mut now = 2;
        for _ in 0..rng.random_range(1..=3) {
            let (time, from, to) = (now..now + rng.random_range(1..4), value(rng), value(rng));
            now += rng.random_range(1..5);
            operations.push(match rng.random_range(0..4) {
                0 => generate::cas(8, time, from, to, rng.random_bool(0.5)),
                1 => generate::write(8, time, to),
                _ => generate::read(8, time, to),
            });
        }
        let whole = history(operations);
        let expected = generate::brute_force(&Register, &whole);
        linearizable += u64::from(expected);
        let verdict = check(&Register, &whole, PLENTY).verdict;
        assert_eq!(verdict.is_linearizable(), expected, "seed {seed}: all orders were tried on {whole:#?}");
        assert_eq!(verdict.is_violation(), !expected, "seed {seed}");
    }
    assert!((125..625).contains(&linearizable), "{linearizable} of them were linearizable: nothing was compared");
}

#[test]
fn two_sets_of_operations_are_never_taken_for_one() {
    for seed in judge::seeds(40) {
        let rng = &mut generate::rng(seed);
        let mut configurations = Configurations::new();
        let state = configurations.intern(0);
        let (mut set, mut known, none) = (Bits::default(), BTreeSet::new(), Bits::default());
        let (mut model, mut last) = (BTreeSet::new(), 0);
        for _ in 0..300 {
            // A search fills a set from the front, and goes back.
            let first_free = (0..).find(|bit| !model.contains(bit)).expect("there is always another");
            let bit = match rng.random_range(0..10) {
                0 => rng.random_range(0..first_free + 70),
                1..3 => last,
                _ => first_free,
            };
            last = bit;
            if model.insert(bit) {
                set.insert(bit);
            } else {
                model.remove(&bit);
                set.remove(bit);
            }
            assert_eq!((set.len(), set.contains(bit)), (model.len(), model.contains(&bit)), "seed {seed}");
            let is_new = known.insert(model.clone());
            assert_eq!(configurations.enter(&set, state, &none), is_new, "seed {seed}: {model:?}");
        }
    }
}

#[test]
fn an_operation_that_reads_only_changes_no_state() {
    let shape = Shape { clients: 5, operations_per_client: 100, lost_percent: 0 };
    for seed in 0..10 {
        let registers = generate::atomic_registers(seed, shape, 1);
        let mut state = None;
        let Verdict::Linearizable { order } = check(&Register, &registers, PLENTY).verdict else {
            panic!("seed {seed}: an atomic object's history is linearizable");
        };
        for op in order {
            let Operation { input, .. } = &registers[op];
            let output = registers[op].output();
            let after = Register.step(&state, input, output).expect("it is the order that was found");
            assert!(!Register.reads_only(input, output) || after == state, "{input:?}");
            let unheard = Register.step(&state, input, None).expect("without an answer it is always possible");
            assert_eq!(unheard, after, "an answer that nobody hears changes nothing: {input:?}");
            state = after;
        }
    }
}

#[test]
fn a_lease_that_runs_out_is_a_release_that_nobody_called() {
    let granted = |token| LockOutput::Granted { token: Some(token) };
    let acquire = |client, time, owner: &str, token| ran(client, time, LockInput::acquire("l", owner), granted(token));
    let taken_over = vec![acquire(1, 0..1, "a", 1), acquire(2, 20..30, "b", 2)];
    assert!(check(&Lock, &history(taken_over.clone()), PLENTY).verdict.is_violation(), "there are two holders");
    let ran_out = |at| [taken_over.clone(), vec![lost(9, at, LockInput::release("l", "a"))]].concat();
    assert!(check(&Lock, &history(ran_out(10)), PLENTY).verdict.is_linearizable(), "the lease ran out between them");
    assert!(check(&Lock, &history(ran_out(40)), PLENTY).verdict.is_violation(), "it could not have run out by then");
    let stale_token =
        vec![acquire(1, 0..1, "a", 5), lost(9, 2, LockInput::release("l", "a")), acquire(2, 3..4, "b", 5)];
    assert!(check(&Lock, &history(stale_token), PLENTY).verdict.is_violation(), "a fencing token must be greater");
    // Between the two was a holder who never heard of it, whose token was greater than 5 and is less than the last.
    let beside_unheard = |token| {
        let unheard = lost(8, 4, LockInput::acquire("l", "b"));
        let refused = ran(7, 5..6, LockInput::acquire("l", "c"), LockOutput::Held);
        let run_out = lost(9, 7, LockInput::release("l", "b"));
        let released = ran(1, 2..3, LockInput::release("l", "a"), LockOutput::Released);
        history(vec![acquire(1, 0..1, "a", 5), released, unheard, refused, run_out, acquire(7, 8..9, "c", token)])
    };
    assert!(check(&Lock, &beside_unheard(7), PLENTY).verdict.is_linearizable());
    assert!(check(&Lock, &beside_unheard(6), PLENTY).verdict.is_violation(), "there is no token between 5 and 6");
}

#[test]
fn a_key_is_checked_apart_in_every_model() {
    assert_ne!(Kv.key(&KvInput::get("a")), Kv.key(&KvInput::put("b", 1)));
    assert_ne!(Register.key(&RegisterInput::read("a")), Register.key(&RegisterInput::read("b")));
    assert_ne!(Lock.key(&LockInput::acquire("a", "o")), Lock.key(&LockInput::acquire("b", "o")));
}

#[test]
fn a_recorder_keeps_the_order_of_its_calls_where_clocks_do_not_tell_it() {
    let mut recorder = Recorder::new();
    let (one, two) = (ClientId(1), ClientId(2));
    let first = recorder.start(one, 5, RegisterInput::write("x", 1));
    recorder.complete(first, 5, RegisterOutput::Written);
    let second = recorder.start(two, 5, RegisterInput::read("x"));
    let refused = recorder.start(one, 5, RegisterInput::write("x", 2));
    recorder.fail(refused);
    recorder.complete(second, 4, RegisterOutput::Value(None));
    let timed_out = recorder.start(one, 100, RegisterInput::write("x", 3));
    recorder.unknown(timed_out);
    let _ = recorder.start(two, 100, RegisterInput::write("x", 4));
    let recorded = recorder.finish().expect("a history");
    let seen: Vec<_> =
        recorded.iter().map(|(_, operation)| (operation.client, operation.called, operation.returned())).collect();
    assert_eq!(seen, [(one, 5, Some(6)), (two, 7, Some(9)), (one, 100, None), (two, 101, None)]);
    assert!(
        check(&Register, &recorded, PLENTY).verdict.is_violation(),
        "the read came after the write, in one nanosecond"
    );
}
