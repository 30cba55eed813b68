//! Histories of objects that are atomic, with clients whose requests and answers take their time and are sometimes lost; a
//! brute-force checker; and short ways to write a history down.

#![allow(dead_code, reason = "each of the tests that share this uses a part of it")]

use std::collections::BTreeMap;
use std::ops::Range;

use common::check::models::{Kv, KvInput, KvOp, KvOutput, Register, RegisterInput, RegisterOp, RegisterOutput};
use common::check::{ClientId, History, HistoryOf, Model, OpId, Operation, Outcome};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

pub(crate) type Rng = Xoshiro256PlusPlus;

pub(crate) fn rng(seed: u64) -> Rng {
    Rng::seed_from_u64(seed)
}

/// An operation that was called and returned within `time`.
pub(crate) fn ran<I, O>(client: u64, time: Range<u64>, input: I, output: O) -> Operation<I, O> {
    let outcome = Outcome::Returned { at: time.end, output };
    Operation { client: ClientId(client), called: time.start, input, outcome }
}

/// An operation of which nothing was heard.
pub(crate) fn lost<I, O>(client: u64, called: u64, input: I) -> Operation<I, O> {
    Operation { client: ClientId(client), called, input, outcome: Outcome::Unknown }
}

pub(crate) fn history<I, O>(operations: Vec<Operation<I, O>>) -> History<I, O> {
    History::new(operations).expect("a history")
}

pub(crate) type RegisterOperation = Operation<RegisterInput, RegisterOutput>;

/// `client` writes `value` to the register `x`.
pub(crate) fn write(client: u64, time: Range<u64>, value: impl ToString) -> RegisterOperation {
    ran(client, time, RegisterInput::write("x", value), RegisterOutput::Written)
}

/// `client` reads `value` from the register `x`.
pub(crate) fn read(client: u64, time: Range<u64>, value: impl ToString) -> RegisterOperation {
    ran(client, time, RegisterInput::read("x"), RegisterOutput::value(value))
}

/// `client` compares the register `x` with `expected` and sets it to `new`, or learns that it is not equal.
pub(crate) fn cas(client: u64, time: Range<u64>, expected: u64, new: u64, swapped: bool) -> RegisterOperation {
    ran(client, time, RegisterInput::compare_and_set("x", expected, new), RegisterOutput::Swapped(swapped))
}

/// How a generated history is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) clients: u64,
    pub(crate) operations_per_client: u64,
    /// How many in a hundred are never answered. Half of them take effect, at any later time.
    pub(crate) lost_percent: u64,
}

/// A history of an atomic object for each key: `input` draws what is asked, and `answer` says what the object answers.
pub(crate) fn atomic<M: Model>(
    model: &M,
    rng: &mut Rng,
    shape: Shape,
    mut input: impl FnMut(&mut Rng, ClientId) -> M::Input,
    answer: impl Fn(&M::State, &M::Input) -> M::Output,
) -> HistoryOf<M> {
    let mut requests = Vec::new();
    for client in 0..shape.clients {
        let client = ClientId(client);
        let mut now = rng.random_range(0..100);
        for _ in 0..shape.operations_per_client {
            let called = now;
            let is_lost = rng.random_range(0..100) < shape.lost_percent;
            let mut effect = Some(called + rng.random_range(0..100));
            let mut returned = effect.map(|effect| effect + rng.random_range(0..100));
            if is_lost {
                now = called + 200;
                effect = rng.random_bool(0.5).then(|| called + rng.random_range(0..2000));
                returned = None;
            }
            requests.push((
                effect,
                Operation { client, called, input: input(rng, client), outcome: Outcome::Unknown },
                returned,
            ));
            now = returned.unwrap_or(now) + rng.random_range(1..50);
        }
    }
    // Those that never take effect come first and change nothing.
    requests.sort_by_key(|(effect, ..)| *effect);
    let mut states: BTreeMap<M::Key, M::State> = BTreeMap::new();
    let operations = requests.into_iter().map(|(effect, mut operation, returned)| {
        let key = model.key(&operation.input);
        let state = states.entry(key.clone()).or_insert_with(|| model.init(&key));
        if effect.is_some() {
            let output = answer(state, &operation.input);
            *state = model.step(state, &operation.input, Some(&output)).expect("the object answers as its model");
            if let Some(at) = returned {
                operation.outcome = Outcome::Returned { at, output };
            }
        }
        operation
    });
    history(operations.collect())
}

/// A history of registers whose written values all differ.
pub(crate) fn atomic_registers(seed: u64, shape: Shape, keys: u64) -> HistoryOf<Register> {
    let mut fresh = 0;
    let mut known: Vec<u64> = vec![0];
    atomic(
        &Register,
        &mut rng(seed),
        shape,
        |rng, _| {
            let key = rng.random_range(0..keys);
            fresh += 1;
            match rng.random_range(0..10) {
                0..5 => RegisterInput::read(key),
                5..8 => {
                    known.push(fresh);
                    RegisterInput::write(key, fresh)
                }
                _ => {
                    known.push(fresh);
                    RegisterInput::compare_and_set(
                        key,
                        known[known.len().saturating_sub(rng.random_range(2..5))],
                        fresh,
                    )
                }
            }
        },
        |state, input| match &input.op {
            RegisterOp::Read => RegisterOutput::Value(state.clone()),
            RegisterOp::Write(_) => RegisterOutput::Written,
            RegisterOp::CompareAndSet { expected, .. } => RegisterOutput::Swapped(expected == state),
        },
    )
}

/// A history of keys to which elements, all different, are appended.
pub(crate) fn atomic_lists(seed: u64, shape: Shape, keys: u64) -> HistoryOf<Kv> {
    let mut fresh = 0;
    atomic(
        &Kv,
        &mut rng(seed),
        shape,
        |rng, _| {
            let key = rng.random_range(0..keys);
            fresh += 1;
            if rng.random_bool(0.5) { KvInput::get(key) } else { KvInput::append(key, format!("{fresh},")) }
        },
        |state, input| match input.op {
            KvOp::Get => KvOutput::Value(state.clone()),
            _ => KvOutput::Done,
        },
    )
}

/// Whether any order of all operations that returned, and of any of those that did not, is one in which no operation comes
/// after another that was called after its return, and which the model allows. Tries them all. On one key.
pub(crate) fn brute_force<M: Model>(model: &M, history: &HistoryOf<M>) -> bool {
    let Some((_, first)) = history.iter().next() else { return true };
    let state = model.init(&model.key(&first.input));
    let (returned, unknown): (Vec<OpId>, Vec<OpId>) =
        history.iter().map(|(op, _)| op).partition(|&op| history[op].returned().is_some());
    (0..1 << unknown.len()).any(|chosen: u32| {
        let some = unknown.iter().enumerate().filter(|(index, _)| chosen & (1 << index) != 0).map(|(_, &op)| op);
        let mut ops: Vec<OpId> = returned.iter().copied().chain(some).collect();
        any_permutation(&mut ops, 0, &|order| is_witness(model, history, &state, order))
    })
}

fn any_permutation(ops: &mut Vec<OpId>, from: usize, test: &impl Fn(&[OpId]) -> bool) -> bool {
    if from == ops.len() {
        return test(ops);
    }
    (from..ops.len()).any(|other| {
        ops.swap(from, other);
        let found = any_permutation(ops, from + 1, test);
        ops.swap(from, other);
        found
    })
}

/// Whether `order` respects real time and the model, begun in `state`.
pub(crate) fn is_witness<M: Model>(model: &M, history: &HistoryOf<M>, state: &M::State, order: &[OpId]) -> bool {
    let mut state = Some(state.clone());
    for (place, &op) in order.iter().enumerate() {
        let operation = &history[op];
        let is_late = |&later: &OpId| history[later].returned().is_some_and(|at| at < operation.called);
        if order[place + 1..].iter().any(is_late) {
            return false;
        }
        state = state.and_then(|state| model.step(&state, &operation.input, operation.output()));
    }
    state.is_some()
}

/// Makes one read of a register stale: it returns what was overwritten, by a write that had returned, before the read was
/// called. `false`: there is none of which that would be certain.
pub(crate) fn plant_stale_read(operations: &mut [RegisterOperation]) -> bool {
    let is_write = |operation: &RegisterOperation| matches!(operation.input.op, RegisterOp::Write(_));
    let is_read = |operation: &RegisterOperation| operation.input.op == RegisterOp::Read;
    for read in (0..operations.len()).rev() {
        let reader = operations[read].clone();
        if !is_read(&reader) || reader.returned().is_none() {
            continue;
        }
        let before = |operation: &&RegisterOperation, called: u64| {
            is_write(operation)
                && operation.input.key == reader.input.key
                && operation.returned().is_some_and(|at| at < called)
        };
        let newer = operations
            .iter()
            .filter(|operation| before(operation, reader.called))
            .max_by_key(|operation| operation.called);
        let Some(newer) = newer.cloned() else { continue };
        let older = operations
            .iter()
            .filter(|operation| before(operation, newer.called))
            .max_by_key(|operation| operation.called);
        let Some(RegisterOp::Write(stale)) = older.map(|operation| operation.input.op.clone()) else { continue };
        let at = reader.returned().expect("seen above");
        operations[read].outcome = Outcome::Returned { at, output: RegisterOutput::Value(Some(stale)) };
        return true;
    }
    false
}

/// Makes an append that returned one that no get has seen. `false`: nobody looked after one.
pub(crate) fn plant_lost_append(operations: &mut [Operation<KvInput, KvOutput>]) -> bool {
    let looked_after = |lost: &Operation<KvInput, KvOutput>| {
        operations.iter().any(|get| {
            get.input.key == lost.input.key
                && get.input.op == KvOp::Get
                && get.returned().is_some()
                && lost.returned().is_some_and(|at| at < get.called)
        })
    };
    let is_append = |operation: &&Operation<KvInput, KvOutput>| matches!(operation.input.op, KvOp::Append(_));
    let Some(lost) = operations.iter().filter(is_append).find(|append| looked_after(append)).cloned() else {
        return false;
    };
    let KvOp::Append(element) = &lost.input.op else { unreachable!("it is an append") };
    for operation in operations.iter_mut().filter(|operation| operation.input.key == lost.input.key) {
        if let Outcome::Returned { output: KvOutput::Value(Some(value)), .. } = &mut operation.outcome {
            let rest: String = value.split_inclusive(',').filter(|part| *part != &**element).collect();
            *value = rest.into();
        }
        if let Outcome::Returned { output: KvOutput::Value(value), .. } = &mut operation.outcome
            && value.as_ref().is_some_and(|value| value.is_empty())
        {
            *value = None;
        }
    }
    true
}
