//! The adapter graph of the graph network: a user's interactions to the user's embedding, estimated preference and certainty.
//!
//! The same sums as [`crate::gnn::model::reader`]: messages of edges, and linear systems, solved by elimination.

use personaroute_bundle::manifest::GraphSpec;
use tch::{Device, Kind, Tensor};

use crate::export::builder::{Builder, Value, int, ints};
use crate::export::closed_form::adapter::{Inputs, preference};
use crate::gnn::Gnn;
use crate::gnn::constants::NEWTON_STEPS;
use crate::gnn::model::reader::{LEAST_LOGIT, LEAST_ODDS, LEAST_WEIGHT, Reader};
use crate::model::tensors::{extents, single, to_vec};

/// ONNX's numbers of 32-bit and of 64-bit floats.
const FLOAT: i64 = 1;
const DOUBLE: i64 = 11;

/// Messages of a user's edges, added up: precision `[B, A, A]` and pull `[B, A, 1]`.
struct Messages {
    precision: Value,
    pull: Value,
}

/// Columns of the interactions, in 64 bits.
struct Columns {
    /// `[B, N, A]`: values, and 1 for the leniency.
    values: Value,
    /// `[B, N, 1]`: what a user of the prior's weights thinks.
    mean: Value,
    /// `[B, N, 1]`.
    value: Value,
    /// `[B, N, N]`: 1 where two interactions share group and kind.
    same: Value,
    /// `[B, N, 1]`: weights of ratings, then of choices.
    weights: [Value; 2],
}

/// Returns the file's content.
pub fn build(model: &Gnn, spec: &GraphSpec) -> Vec<u8> {
    let mut b = Builder::new("adapter");
    let Some(inputs) = Inputs::new(&mut b, spec) else { return b.finish() };
    let reader = &model.reader;
    let columns = columns(&mut b, model, &inputs);
    let begin = begin(&mut b, reader, &inputs);
    let rated = ratings(&mut b, reader, &columns);
    let precision = b.op("Add", &[&begin.precision, &rated.precision]);
    let pull = b.op("Add", &[&begin.pull, &rated.pull]);
    let width = reader.width() + 1;
    let mut known = precision.clone();
    let mut pulled = pull.clone();
    for _ in 0..NEWTON_STEPS {
        let state = eliminate(&mut b, &known, &pulled, width);
        let told = choices(&mut b, reader, &columns, &state);
        known = b.op("Add", &[&precision, &told.precision]);
        pulled = b.op("Add", &[&pull, &told.pull]);
    }
    let zero = constant(&mut b, 0.0);
    let nothing = b.op("Mul", &[&known, &zero]);
    let unit = double_tensor(&mut b, &Tensor::eye(width, (Kind::Float, Device::Cpu)));
    let unit = b.op("Add", &[&nothing, &unit]);
    let right = b.op_with("Concat", &[&pulled, &unit], vec![int("axis", 2)]);
    let solved = eliminate(&mut b, &known, &right, width);
    let [state, covariance] = b.split(&solved, [1, width]);
    let state = b.squeeze(&state, 2);
    let state = b.op_with("Cast", &[&state], vec![int("to", FLOAT)]);
    let [own, _] = b.split(&state, [reader.width(), 1]);
    let prior = b.tensor(&reader.prior);
    let weights = b.op("Add", &[&own, &prior]);
    let left = left(&mut b, reader, &covariance);
    let user = b.op_with("Concat", &[&weights, &left], vec![int("axis", 1)]);
    let preference = preference(&mut b, (&model.weights, &model.preference), &user);
    let certainty = certainty(&mut b, reader, &covariance);
    b.outputs(&spec.outputs, &[&user, &preference, &certainty]);
    b.finish()
}

fn double(b: &mut Builder, value: &Value) -> Value {
    b.op_with("Cast", &[value], vec![int("to", DOUBLE)])
}

fn constant(b: &mut Builder, x: f64) -> Value {
    let value = b.f32(&[], &[single(x)]);
    double(b, &value)
}

fn double_tensor(b: &mut Builder, tensor: &Tensor) -> Value {
    let value = b.tensor(tensor);
    double(b, &value)
}

/// Returns the weights of the rows of a response's table `[B, N, 1, rows]`, and how many rows there are: task probabilities,
/// what is missing to 1, and the features of the query's length.
fn coefficients(b: &mut Builder, model: &Gnn, inputs: &Inputs) -> (Value, i64) {
    let tasks = model.facts.tasks.len() as i64;
    let task = b.unsqueeze(&inputs.task, 2); // [B, N, 1, T]
    let axes = b.i64(&[1], &[3]);
    let sum = b.op_with("ReduceSum", &[&task, &axes], vec![int("keepdims", 1)]);
    let one = b.f32(&[], &[1.0]);
    let unknown = b.op("Sub", &[&one, &sum]);
    let Some(rows) = model.text.shape_rows() else {
        return (b.op_with("Concat", &[&task, &unknown], vec![int("axis", 3)]), tasks + 1);
    };
    // The first token is the length.
    let first = b.i64(&[], &[0]);
    let token = b.op_with("Gather", &[&inputs.text, &first], vec![int("axis", 2)]); // [B, N]
    let shape_row: Vec<i64> = to_vec(rows).into_iter().map(whole).collect();
    let shape_row = b.i64(&[shape_row.len()], &shape_row);
    let row = b.op_with("Gather", &[&shape_row, &token], vec![int("axis", 0)]);
    let table = b.tensor(&model.lengths);
    let lengths = b.op_with("Gather", &[&table, &row], vec![int("axis", 0)]); // [B, N, T · F]
    let features = extents(&model.lengths).1 as i64 / tasks.max(1);
    let shape = b.i64(&[4], &[0, 0, tasks, features]);
    let lengths = b.op("Reshape", &[&lengths, &shape]);
    let lengths = b.op("MatMul", &[&task, &lengths]); // [B, N, 1, F]
    (b.op_with("Concat", &[&task, &unknown, &lengths], vec![int("axis", 3)]), tasks + 1 + features)
}

fn columns(b: &mut Builder, model: &Gnn, inputs: &Inputs) -> Columns {
    let reader = &model.reader;
    let (coefficients, rows) = coefficients(b, model, inputs);
    let width = reader.width();
    let table = reader.table.narrow(1, 0, rows);
    let tasks = model.facts.tasks.len() as i64;
    // Coefficients of tasks add up to 1.
    let ones = Tensor::ones([tasks + 1, 1], (Kind::Float, Device::Cpu)).constant_pad_nd([0, 0, 0, rows - tasks - 1]);
    let ones = ones.unsqueeze(0).repeat([table.size().first().copied().unwrap_or(1), 1, 1]);
    let table = Tensor::cat(&[table.narrow(2, 0, width), ones, table.narrow(2, width, 1)], 2);
    let table = b.tensor(&table);
    let gathered = b.op_with("Gather", &[&table, &inputs.llm], vec![int("axis", 0)]); // [B, N, C, A + 1]
    let both = b.op("MatMul", &[&coefficients, &gathered]);
    let both = b.squeeze(&both, 2);
    let both = double(b, &both);
    let [values, mean] = b.split(&both, [width + 1, 1]);
    let mut pair = |column: &Value| {
        let (across, down) = (b.unsqueeze(column, 1), b.unsqueeze(column, 2));
        b.op("Equal", &[&down, &across])
    };
    let (group, kind) = (pair(&inputs.group), pair(&inputs.kind));
    let same = b.op("And", &[&group, &kind]);
    let same = double(b, &same);
    let value = b.unsqueeze(&inputs.value, 2);
    let value = double(b, &value);
    let weights = [0, 1].map(|kind| {
        let weight = inputs.weight_of(b, kind);
        let weight = b.unsqueeze(&weight, 2);
        double(b, &weight)
    });
    Columns { values, mean, value, same, weights }
}

/// What is known before: the prior and the information behind the start.
fn begin(b: &mut Builder, reader: &Reader, inputs: &Inputs) -> Messages {
    let width = reader.width();
    let count = b.unsqueeze(&inputs.start_interactions, 2); // [B, 1, 1]
    let count = double(b, &count);
    let information = double_tensor(b, &reader.information.constant_pad_nd([0, 1, 0, 1]));
    let behind = b.op("Mul", &[&count, &information]);
    let prior = double_tensor(b, &reader.precision.diag_embed(0, 0, 1));
    let precision = b.op("Add", &[&behind, &prior]);
    let origin = b.tensor(&reader.prior);
    let [start, _] = b.split(&inputs.start, [width, width]);
    let away = b.op("Sub", &[&start, &origin]);
    let wider = b.tensor(&Tensor::eye(width, (Kind::Float, Device::Cpu)).constant_pad_nd([0, 1]));
    let away = b.op("MatMul", &[&away, &wider]);
    let away = b.unsqueeze(&away, 2);
    let away = double(b, &away);
    Messages { pull: b.op("MatMul", &[&precision, &away]), precision }
}

fn ratings(b: &mut Builder, reader: &Reader, columns: &Columns) -> Messages {
    let Columns { values, same, weights: [weight, _], .. } = columns;
    let [unit, zero] = [0, 1].map(|at| reader.scale.double_value(&[at]));
    let [unit, zero, least] = [unit, zero, LEAST_WEIGHT].map(|x| constant(b, x));
    let above = b.op("Sub", &[&columns.value, &zero]);
    let scaled = b.op("Div", &[&above, &unit]);
    let residual = b.op("Sub", &[&scaled, &columns.mean]);
    let count = b.op("MatMul", &[same, weight]);
    let count = b.op("Max", &[&count, &least]);
    let mut average = |rows: &Value| {
        let weighted = b.op("Mul", &[rows, weight]);
        let sum = b.op("MatMul", &[same, &weighted]);
        b.op("Div", &[&sum, &count])
    };
    let (value_mean, residual_mean) = (average(values), average(&residual));
    let [by_difference, by_mean] = [0, 1].map(|at| reader.noise.double_value(&[at]));
    // 1 / (1 / by_mean + 1 / (by_difference · n)) / n = 1 / (n / by_mean + 1 / by_difference)
    let [per_answer, fixed, by_difference] =
        [by_mean.recip(), by_difference.recip(), by_difference].map(|x| constant(b, x));
    let spread = b.op("Mul", &[&count, &per_answer]);
    let spread = b.op("Add", &[&spread, &fixed]);
    let of_group = b.op("Div", &[weight, &spread]);
    let (value_rest, residual_rest) = (b.op("Sub", &[values, &value_mean]), b.op("Sub", &[&residual, &residual_mean]));
    let turned = b.op("Mul", &[&value_rest, weight]);
    let turned = b.op("Mul", &[&turned, &by_difference]);
    let turned = b.swapped(&turned); // [B, A, N]
    let weighted = b.op("Mul", &[&value_mean, &of_group]);
    let weighted = b.swapped(&weighted);
    let mut both = |rest: &Value, mean: &Value| {
        let [inside, between] =
            [(&turned, rest), (&weighted, mean)].map(|(left, right)| b.op("MatMul", &[left, right]));
        b.op("Add", &[&inside, &between])
    };
    Messages { precision: both(&value_rest, &value_mean), pull: both(&residual_rest, &residual_mean) }
}

/// Messages of choices at `state`.
fn choices(b: &mut Builder, reader: &Reader, columns: &Columns, state: &Value) -> Messages {
    let Columns { values, mean, value, same, weights: [_, weight] } = columns;
    let [strength, scale] = [2, 3].map(|at| reader.noise.double_value(&[at]));
    let scales = Tensor::full([reader.width()], scale, (Kind::Float, Device::Cpu)).constant_pad_nd([0, 1]);
    let scales = double_tensor(b, &scales);
    let [strength, scale, zero, lowest, least] =
        [strength, scale, 0.0, LEAST_LOGIT, LEAST_ODDS].map(|x| constant(b, x));
    let present = b.op("Greater", &[weight, &zero]);
    let present = double(b, &present);
    let values = b.op("Mul", &[values, &scales]);
    let mean = b.op("Mul", &[mean, &scale]);
    let logits = b.op("MatMul", &[&values, state]);
    let logits = b.op("Add", &[&logits, &mean]); // [B, N, 1]
    let most = b.op_with("ReduceMax", &[&logits], vec![ints("axes", &[1])]);
    let logits = b.op("Sub", &[&logits, &most]);
    let logits = b.op("Max", &[&logits, &lowest]);
    let odds = b.op("Exp", &[&logits]);
    let odds = b.op("Mul", &[&odds, &present]);
    let total = b.op("MatMul", &[same, &odds]);
    let total = b.op("Max", &[&total, &least]);
    let chance = b.op("Div", &[&odds, &total]);
    let expected = b.op("Mul", &[&values, &chance]);
    let expected = b.op("MatMul", &[same, &expected]);
    let rest = b.op("Sub", &[&values, &expected]);
    let weight = b.op("Mul", &[weight, &strength]);
    let turned = b.op("Mul", &[&chance, &weight]);
    let turned = b.op("Mul", &[&rest, &turned]);
    let turned = b.swapped(&turned); // [B, A, N]
    let precision = b.op("MatMul", &[&turned, &rest]);
    let surprise = b.op("Sub", &[value, &chance]);
    let surprise = b.op("Mul", &[&surprise, &weight]);
    let rest = b.swapped(&rest);
    let pull = b.op("MatMul", &[&rest, &surprise]);
    let held = b.op("MatMul", &[&precision, state]);
    Messages { pull: b.op("Add", &[&pull, &held]), precision }
}

/// Solves for the columns of `right` `[B, A, R]` by elimination, which needs no order of pivots as the matrix is positive
/// definite.
fn eliminate(b: &mut Builder, precision: &Value, right: &Value, width: i64) -> Value {
    let unit = Tensor::eye(width, (Kind::Float, Device::Cpu));
    let mut rows = b.op_with("Concat", &[precision, right], vec![int("axis", 2)]); // [B, A, A + R]
    for at in 0..width {
        let idx = b.i64(&[1], &[at]);
        let column = b.op_with("Gather", &[&rows, &idx], vec![int("axis", 2)]); // [B, A, 1]
        let row = b.op_with("Gather", &[&rows, &idx], vec![int("axis", 1)]); // [B, 1, A + R]
        let pivot = b.op_with("Gather", &[&column, &idx], vec![int("axis", 1)]); // [B, 1, 1]
        let row = b.op("Div", &[&row, &pivot]);
        let own = double_tensor(b, &unit.narrow(1, at, 1));
        let column = b.op("Sub", &[&column, &own]);
        let taken = b.op("MatMul", &[&column, &row]);
        rows = b.op("Sub", &[&rows, &taken]);
    }
    let [begin, end, axis] = [width, i64::MAX, 2].map(|bound| b.i64(&[1], &[bound]));
    b.op("Slice", &[&rows, &begin, &end, &axis])
}

/// Returns how much of the prior's variance is left of each part, `[B, K]`, by a covariance `[B, A, A]`.
fn left(b: &mut Builder, reader: &Reader, covariance: &Value) -> Value {
    let parts = double_tensor(b, &reader.parts.constant_pad_nd([0, 1]));
    let turned = b.op("MatMul", &[&parts, covariance]); // [B, K, A]
    let squares = b.op("Mul", &[&turned, &parts]);
    let left = b.sum(&squares, 2);
    let left = b.op_with("Cast", &[&left], vec![int("to", FLOAT)]);
    let temper = reader.temper.double_value(&[0]);
    let [zero, one, temper, beyond] = [0.0, 1.0, temper, temper - 1.0].map(|x| b.f32(&[], &[single(x)]));
    let left = b.op("Clip", &[&left, &zero, &one]);
    let more = b.op("Mul", &[&left, &temper]);
    let whole = b.op("Mul", &[&left, &beyond]);
    let whole = b.op("Add", &[&whole, &one]);
    b.op("Div", &[&more, &whole])
}

/// Returns the share of the prior's variance that a covariance `[B, A, A]` leaves out, `[B, 1]`.
fn certainty(b: &mut Builder, reader: &Reader, covariance: &Value) -> Value {
    let metric = (reader.metric.to_kind(Kind::Double) / reader.variance()).to_kind(Kind::Float);
    let metric = double_tensor(b, &metric.constant_pad_nd([0, 1, 0, 1]));
    let left = b.op("Mul", &[covariance, &metric]);
    let axes = b.i64(&[2], &[1, 2]);
    let left = b.op_with("ReduceSum", &[&left, &axes], vec![int("keepdims", 0)]);
    let left = b.op_with("Cast", &[&left], vec![int("to", FLOAT)]);
    let [zero, one] = [0.0, 1.0].map(|x| b.f32(&[], &[x]));
    let removed = b.op("Sub", &[&one, &left]);
    let removed = b.op("Clip", &[&removed, &zero, &one]);
    b.unsqueeze(&removed, 1)
}

#[expect(clippy::cast_possible_truncation, reason = "invariant: row numbers of a small table")]
fn whole(element: f32) -> i64 {
    element as i64
}
