//! The adapter graph of the graph network: a user's ratings to the user's embedding and estimated preference.
//!
//! The same sums as [`crate::gnn::model::reader`]: messages of edges, and one linear system, solved by elimination.

use personaroute_bundle::manifest::GraphSpec;
use tch::{Device, Kind, Tensor};

use crate::export::builder::{Builder, Value, int};
use crate::export::closed_form::adapter::{pair, preference};
use crate::gnn::Gnn;
use crate::gnn::model::reader::Reader;
use crate::model::tensors::single;

/// ONNX's numbers of 32-bit and of 64-bit floats.
const FLOAT: i64 = 1;
const DOUBLE: i64 = 11;

/// Messages of a user's edges, added up: precision `[B, A, A]` and pull `[B, A, 1]`.
struct Messages {
    precision: Value,
    pull: Value,
}

/// Returns the file's content.
pub fn build(model: &Gnn, spec: &GraphSpec) -> Vec<u8> {
    let mut b = Builder::new("adapter");
    let inputs = b.inputs(&spec.inputs);
    let [llm, task, signals, mask, group] = inputs.as_slice() else { return b.finish() };
    let reader = &model.reader;
    let sizes = [model.facts.tasks.len(), model.facts.llms.len()].map(|count| count as i64);
    let cell = pair(&mut b, sizes, llm, task);
    let [reward, _, _] = b.split(signals, [1, 1, 1]); // [B, N, 1]
    let mask = b.unsqueeze(mask, 2); // [B, N, 1]
    let values = values(&mut b, reader, &cell);
    let residual = residual(&mut b, reader, [&cell, &reward, &mask]);
    // The system is too ill-conditioned for single precision.
    let [values, residual, mask] = [&values, &residual, &mask].map(|value| double(&mut b, value));
    let messages = messages(&mut b, reader, [&values, &residual, &mask, group]);
    let state = solve(&mut b, &messages, reader.width() + 1);
    let state = b.op_with("Cast", &[&state], vec![int("to", FLOAT)]);
    let prior = b.tensor(&reader.prior);
    let [own, _] = b.split(&state, [reader.width(), 1]);
    let user = b.op("Add", &[&own, &prior]);
    let preference = preference(&mut b, (&model.weights, &model.preference), &user);
    b.outputs(&spec.outputs, &[&user, &preference]);
    b.finish()
}

fn double(b: &mut Builder, value: &Value) -> Value {
    b.op_with("Cast", &[value], vec![int("to", DOUBLE)])
}

/// Values of edges, and a column of ones for the leniency: `[B, N, A]`.
fn values(b: &mut Builder, reader: &Reader, cell: &Value) -> Value {
    let rows = reader.values.size().first().copied().unwrap_or(0);
    let ones = Tensor::ones([rows, 1], (Kind::Float, Device::Cpu));
    let table = b.tensor(&Tensor::cat(&[&reader.values, &ones], 1));
    b.op_with("Gather", &[&table, cell], vec![int("axis", 0)])
}

/// What ratings say beyond what a user of the prior's weights would: `[B, N, 1]`.
fn residual(b: &mut Builder, reader: &Reader, [cell, reward, mask]: [&Value; 3]) -> Value {
    let [unit, zero] = [0, 1].map(|at| single(reader.scale.double_value(&[at])));
    let [unit, zero] = [unit, zero].map(|x| b.f32(&[], &[x]));
    let above = b.op("Sub", &[reward, &zero]);
    let scaled = b.op("Div", &[&above, &unit]);
    let mean = b.tensor(&reader.mean.unsqueeze(1));
    let mean = b.op_with("Gather", &[&mean, cell], vec![int("axis", 0)]);
    let residual = b.op("Sub", &[&scaled, &mean]);
    b.op("Mul", &[&residual, mask])
}

fn messages(b: &mut Builder, reader: &Reader, [values, residual, mask, group]: [&Value; 4]) -> Messages {
    let (across, down) = (b.unsqueeze(group, 1), b.unsqueeze(group, 2));
    let same = b.op("Equal", &[&down, &across]); // [B, N, N]
    let same = double(b, &same);
    let turned_mask = b.swapped(mask);
    let same = b.op("Mul", &[&same, &turned_mask]);
    let axes = b.i64(&[1], &[2]);
    let count = b.op_with("ReduceSum", &[&same, &axes], vec![int("keepdims", 1)]);
    let one = b.f32(&[], &[1.0]);
    let one = double(b, &one);
    let count = b.op("Max", &[&count, &one]);
    let mut average = |rows: &Value| {
        let sum = b.op("MatMul", &[&same, rows]);
        b.op("Div", &[&sum, &count])
    };
    let (value_mean, residual_mean) = (average(values), average(residual));
    let [by_difference, by_mean] = [0, 1].map(|at| reader.noise.double_value(&[at]));
    // 1 / (1 / by_mean + 1 / (by_difference · n)) / n = 1 / (n / by_mean + 1 / by_difference)
    let [per_answer, fixed, by_difference] =
        [by_mean.recip(), by_difference.recip(), by_difference].map(|x| b.f32(&[], &[single(x)]));
    let [per_answer, fixed, by_difference] = [&per_answer, &fixed, &by_difference].map(|value| double(b, value));
    let spread = b.op("Mul", &[&count, &per_answer]);
    let spread = b.op("Add", &[&spread, &fixed]);
    let of_group = b.op("Div", &[mask, &spread]);
    let mut rest = |rows: &Value, mean: &Value| {
        let rest = b.op("Sub", &[rows, mean]);
        b.op("Mul", &[&rest, mask])
    };
    let (value_rest, residual_rest) = (rest(values, &value_mean), rest(residual, &residual_mean));
    let turned = b.swapped(&value_rest);
    let turned = b.op("Mul", &[&turned, &by_difference]); // [B, A, N]
    let weighted = b.op("Mul", &[&value_mean, &of_group]);
    let weighted = b.swapped(&weighted);
    let mut both = |rest: &Value, mean: &Value| {
        let [inside, between] =
            [(&turned, rest), (&weighted, mean)].map(|(left, right)| b.op("MatMul", &[left, right]));
        b.op("Add", &[&inside, &between])
    };
    let (precision, pull) = (both(&value_rest, &value_mean), both(&residual_rest, &residual_mean));
    let prior = b.tensor(&reader.precision.diag_embed(0, 0, 1));
    let prior = double(b, &prior);
    Messages { precision: b.op("Add", &[&precision, &prior]), pull }
}

/// Solves by elimination, which needs no order of pivots as the matrix is positive definite: `[B, A]`.
fn solve(b: &mut Builder, messages: &Messages, width: i64) -> Value {
    let unit = Tensor::eye(width, (Kind::Float, Device::Cpu));
    // [B, A, A + 1]
    let mut rows = b.op_with("Concat", &[&messages.precision, &messages.pull], vec![int("axis", 2)]);
    for at in 0..width {
        let idx = b.i64(&[1], &[at]);
        let column = b.op_with("Gather", &[&rows, &idx], vec![int("axis", 2)]); // [B, A, 1]
        let row = b.op_with("Gather", &[&rows, &idx], vec![int("axis", 1)]); // [B, 1, A + 1]
        let pivot = b.op_with("Gather", &[&column, &idx], vec![int("axis", 1)]); // [B, 1, 1]
        let row = b.op("Div", &[&row, &pivot]);
        let own = b.tensor(&unit.narrow(1, at, 1));
        let own = double(b, &own);
        let column = b.op("Sub", &[&column, &own]);
        let taken = b.op("MatMul", &[&column, &row]);
        rows = b.op("Sub", &[&rows, &taken]);
    }
    let last = b.i64(&[], &[width]);
    b.op_with("Gather", &[&rows, &last], vec![int("axis", 2)])
}
