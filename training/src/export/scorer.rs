//! The scorer graph: (user, preference, task, query) to a utility, an effect and a cost per LLM.
//!
//! Features of the text gather rows of one table; their sums, side by side, are all that the text says
//! ([`crate::model::text`]). The task, declared or guessed, then picks what speaks for it; where none is declared and the text
//! looks like none, the mean over all training queries does.

use personaroute_bundle::manifest::GraphSpec;
use tch::{Device, Kind, Tensor};

use super::adapter;
use super::builder::{Builder, Value, int, ints};
use crate::model::tensors::{extents, single, to_vec};
use crate::model::text::{Bag, Border, Input, SHORTEST};
use crate::model::{LEAST_REST, Model};
use crate::train::shape::TOKENS;

/// ONNX's number of 32-bit floats.
const FLOAT: i64 = 1;

/// Returns the file's content.
pub fn build(model: &Model, spec: &GraphSpec) -> Vec<u8> {
    let mut b = Builder::new("scorer");
    let inputs = b.inputs(&spec.inputs);
    let [user, preference, task, query] = inputs.as_slice() else { return b.finish() };
    let sums = match &model.text.input {
        Input::Lexical(bag) => bag_sums(&mut b, bag, query),
        Input::Embedding(table) => {
            let (rows, columns) = extents(table);
            let table = b.f16(&[rows, columns], &to_vec(table));
            b.op("MatMul", &[query, &table])
        }
    };
    let [tasks, ease, high, low] = model.text.widths();
    let parts = b.split(&sums, &[tasks, ease, high + low]);
    let [tasks, ease, own] = parts.as_slice() else { return b.finish() };
    let probability = task_probability(&mut b, model, task, tasks);
    let (ends, uncertainty) = ends(&mut b, model, &probability, [ease, own]);
    let weights = weights(&mut b, model, user, preference);
    let weights = b.unsqueeze(&weights, 1); // [batch, 1, weights]
    let utility = b.op("MatMul", &[&weights, &ends]);
    let axis = b.i64(&[1], &[1]);
    let utility = b.op("Squeeze", &[&utility, &axis]);
    let [effect, cost] = effect_and_cost(&mut b, model, &ends);
    b.outputs(&spec.outputs, &[&utility, &effect, &cost, &uncertainty, &probability]);
    b.finish()
}

/// Sums of the text's rows: n-grams over the root of their summed squared rarity, and shape tokens.
fn bag_sums(b: &mut Builder, bag: &Bag, ids: &Value) -> Value {
    let [zero, tokens, end, axis] = [0, TOKENS as i64, i64::MAX, 1].map(|bound| b.i64(&[1], &[bound]));
    let first = b.op("Slice", &[ids, &zero, &tokens, &axis]); // [batch, at most 7]
    // A text without n-grams is a row of padding, not a matrix without columns, however few its ids are.
    let pads = b.i64(&[4], &[0, 0, 0, TOKENS as i64]);
    let padding = b.i64(&[], &[0]);
    let padded = b.op("Pad", &[ids, &pads, &padding]);
    let grams = b.op("Slice", &[&padded, &tokens, &end, &axis]); // [batch, n]
    let (rows, columns) = extents(&bag.table);
    let table = b.i8(&[rows, columns], &to_i8(&to_vec(&bag.table)));
    let gathered = b.op_with("Gather", &[&table, &grams], vec![int("axis", 0)]);
    let gathered = b.op_with("Cast", &[&gathered], vec![int("to", FLOAT)]); // [batch, n, columns]
    let row = b.f32(&[rows], &without_padding(&to_vec(&bag.row)));
    let row = b.op_with("Gather", &[&row, &grams], vec![int("axis", 0)]);
    let square = b.f32(&[rows], &without_padding(&to_vec(&bag.square)));
    let square = b.op_with("Gather", &[&square, &grams], vec![int("axis", 0)]);
    let length = b.op_with("ReduceSum", &[&square, &axis], vec![int("keepdims", 1)]);
    let length = b.op("Sqrt", &[&length]);
    let shortest = b.f32(&[], &[single(SHORTEST)]);
    let length = b.op("Max", &[&length, &shortest]);
    let row = b.op("Div", &[&row, &length]);
    let row = b.unsqueeze(&row, 1); // [batch, 1, n]
    let summed = b.op("MatMul", &[&row, &gathered]);
    let summed = b.op("Squeeze", &[&summed, &axis]);
    let column = b.tensor(&bag.column);
    let summed = b.op("Mul", &[&summed, &column]);
    let shape_row: Vec<i64> = to_vec(&bag.shape_row).into_iter().map(whole).collect();
    let shape_row = b.i64(&[rows], &shape_row);
    let place = b.op_with("Gather", &[&shape_row, &first], vec![int("axis", 0)]);
    let shape = b.tensor(&bag.shape);
    let shape = b.op_with("Gather", &[&shape, &place], vec![int("axis", 0)]);
    let shape = b.sum(&shape, 1);
    b.op("Add", &[&summed, &shape])
}

#[expect(clippy::cast_possible_truncation, reason = "invariant: whole numbers from -127 to 127")]
fn to_i8(elements: &[f32]) -> Vec<i8> {
    elements.iter().map(|&x| x as i8).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "invariant: row numbers of a small table")]
fn whole(element: f32) -> i64 {
    element as i64
}

/// Id 0 is padding: it counts nothing.
fn without_padding(elements: &[f32]) -> Vec<f32> {
    std::iter::once(0.0).chain(elements.iter().skip(1).copied()).collect()
}

/// Values of answers for each preference weight `[batch, weights, llms]`, and their uncertainty `[batch, llms]`.
///
/// All that tasks weigh is one product with their probabilities: the tasks' own values, their deviations, and how much
/// each row of what the text says counts at each end. A graph's time is that of its nodes, so that few large ones are best.
fn ends(b: &mut Builder, model: &Model, probability: &Value, text: [&Value; 2]) -> (Value, Value) {
    let (llms, count) = (model.llms() as i64, model.weight_count());
    let [tasks, ..] = model.text.widths();
    // What the probabilities lack to 1 goes to the shares of the training queries: p + (1 - Σp)·s = p·(I - 1·sᵀ) + s.
    let shares = model.text.shares.unsqueeze(0);
    let spread = Tensor::eye(tasks, (Kind::Float, Device::Cpu)) - &shares;
    let values = model.values.view([tasks, llms, count]).transpose(1, 2).reshape([tasks, count * llms]);
    let expected = Tensor::cat(&[&values, &model.deviation], 1);
    let voices = voices(model); // [tasks, weights, rows]
    let rows = voices.size().last().copied().unwrap_or(0);
    let voices = voices.view([tasks, count * rows]);
    let bias =
        Tensor::cat(&[shares.matmul(&expected), Tensor::zeros([1, count * rows], (Kind::Float, Device::Cpu))], 1);
    let weight = Tensor::cat(&[spread.matmul(&expected), voices], 1);
    let weighed = b.linear(probability, &weight, &bias.squeeze_dim(0));
    let parts = b.split(&weighed, &[count * llms, llms, count * rows]);
    let [values, uncertainty, voices] = parts.as_slice() else { return (weighed.clone(), weighed) };
    let shape = b.i64(&[3], &[-1, count, llms]);
    let values = b.op("Reshape", &[values, &shape]);
    let shape = b.i64(&[3], &[-1, count, rows]);
    // Beyond its task a text counts by the square of how familiar it is.
    let axis = b.i64(&[1], &[1]);
    let known = b.op_with("ReduceSum", &[probability, &axis], vec![int("keepdims", 1)]);
    let heard = b.op("Mul", &[voices, &known]);
    let voices = b.op("Reshape", &[&heard, &shape]);
    let said = said(b, model, text); // [batch, rows, llms]
    let added = b.op("MatMul", &[&voices, &said]);
    (b.op("Add", &[&values, &added]), uncertainty.clone())
}

/// How much the rows of [`said`] count at each end, if a task is certain: `[tasks, weights, rows]`.
fn voices(model: &Model) -> Tensor {
    let text = &model.text;
    let [tasks, ..] = model.text.widths();
    let [own_high, own_low] = &text.blocks;
    let by_ease = Tensor::eye(tasks, (Kind::Float, Device::Cpu));
    let high = Tensor::cat(&[&by_ease, own_high, &own_low.zeros_like()], 1);
    let low = &high * text.shared + Tensor::cat(&[&by_ease.zeros_like(), &own_high.zeros_like(), own_low], 1);
    // Tastes are nothing that the text speaks of.
    let ends = Tensor::stack(&[high, low], 1); // [tasks, 2, rows]
    ends.constant_pad_nd([0, 0, 0, model.weight_count() - 2])
}

/// What the text says about each LLM, `[batch, rows, llms]`: a row of ease for each task, then the LLMs' own blocks.
fn said(b: &mut Builder, model: &Model, [ease, own]: [&Value; 2]) -> Value {
    let text = &model.text;
    let [slopes, ceiling] = [&text.slopes, &text.ceiling].map(|table| b.tensor(table));
    let ease = b.unsqueeze(ease, 2); // [batch, tasks, 1]
    let sloped = b.op("Mul", &[&ease, &slopes]);
    let sloped = b.op("Min", &[&sloped, &ceiling]);
    let eased = b.op("Add", &[&sloped, &ease]);
    let [_, _, high, low] = text.widths();
    let llms = model.llms() as i64;
    if high + low == 0 {
        return eased;
    }
    let shape = b.i64(&[3], &[-1, (high + low) / llms.max(1), llms]);
    let own = b.op("Reshape", &[own, &shape]);
    b.op_with("Concat", &[&eased, &own], vec![int("axis", 1)])
}

/// Effect and cost of answers: their values at the end of quality, and at that of cost with the other sign.
fn effect_and_cost(b: &mut Builder, model: &Model, ends: &Value) -> [Value; 2] {
    let table = b.tensor(&Tensor::stack(&[&model.axis.quality, &(&model.axis.cost * -1.0)], 0)); // [2, weights]
    let both = b.op("MatMul", &[&table, ends]); // [batch, 2, llms]
    [0, 1].map(|row| {
        let row = b.i64(&[], &[row]);
        b.op_with("Gather", &[&both, &row], vec![int("axis", 1)])
    })
}

/// The declared task, or the guess where none is declared; `sums` say how much the text is like each task's.
fn task_probability(b: &mut Builder, model: &Model, task: &Value, sums: &Value) -> Value {
    let Border { threshold, sharpness } = model.text.border;
    let mean = b.tensor(&model.text.task);
    let like = b.op("Add", &[sums, &mean]);
    let [tasks, ..] = model.text.widths();
    let logits = b.linear(&like, &model.text.map.narrow(0, 0, tasks), &model.text.map.select(0, tasks));
    let guessed = b.op_with("Softmax", &[&logits], vec![int("axis", -1)]);
    let best = b.op_with("ReduceMax", &[&like], vec![ints("axes", &[1])]);
    let [threshold, sharpness] = [threshold, sharpness].map(|x| b.f32(&[], &[single(x)]));
    let known = b.op("Sub", &[&best, &threshold]);
    let known = b.op("Mul", &[&known, &sharpness]);
    let known = b.op("Sigmoid", &[&known]);
    let guessed = b.op("Mul", &[&guessed, &known]);
    let axes = b.i64(&[1], &[1]);
    let told = b.op_with("ReduceSum", &[task, &axes], vec![int("keepdims", 1)]);
    let half = b.f32(&[], &[0.5]);
    let told = b.op("Greater", &[&told, &half]);
    b.op("Where", &[&told, task, &guessed])
}

/// The user's own weights, or those of a declared preference.
fn weights(b: &mut Builder, model: &Model, user: &Value, preference: &Value) -> Value {
    let own = b.linear(user, &model.weights.0, &model.weights.1); // [batch, weights]
    let span = (&model.axis.quality - &model.axis.cost).unsqueeze(0);
    let declared = b.linear(preference, &span, &model.axis.cost);
    let zero = b.f32(&[], &[0.0]);
    let declared = match model.tastes() {
        0 => declared,
        tastes => kept_tastes(b, model, (user, &own, tastes), [preference, &declared]),
    };
    let is_declared = b.op("GreaterOrEqual", &[preference, &zero]);
    b.op("Where", &[&is_declared, &declared, &own])
}

/// Declared weights with the user's tastes, as [`Model::declared`] keeps them.
fn kept_tastes(
    b: &mut Builder,
    model: &Model,
    (user, own, tastes): (&Value, &Value, i64),
    [preference, declared]: [&Value; 2],
) -> Value {
    let [one, least] = [1.0, LEAST_REST].map(|x| b.f32(&[], &[single(x)]));
    let place = adapter::preference(b, model, user);
    let own_rest = b.op("Sub", &[&one, &place]);
    let own_rest = b.op("Max", &[&own_rest, &least]);
    let rest = b.op("Sub", &[&one, preference]);
    let share = b.op("Div", &[&rest, &own_rest]); // [batch, 1]
    let ends = model.weight_count() - tastes;
    let parts = b.split(own, &[ends, tastes]);
    let [_, own] = parts.as_slice() else { return declared.clone() };
    let kept = b.op("Mul", &[own, &share]);
    let parts = b.split(declared, &[ends, tastes]);
    let [ends, _] = parts.as_slice() else { return declared.clone() };
    b.op_with("Concat", &[ends, &kept], vec![int("axis", 1)])
}
