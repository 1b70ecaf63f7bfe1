//! The scorer graph: (user, preference, task, query) to a utility, an effect and a cost per LLM.
//!
//! Features of the text gather rows of one table; their sums, side by side, are all that the text says
//! ([`crate::model::text`]). The task, declared or guessed, then picks what speaks for it; where none is declared and the text
//! looks like none, the mean over all training queries does.

use personaroute_bundle::manifest::GraphSpec;
use tch::Tensor;

use super::adapter;
use super::builder::{Builder, Value, int, ints};
use crate::model::tensors::{extents, single, to_vec};
use crate::model::text::{Bag, Input, SHARPNESS, SHORTEST};
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
    let parts = b.split(&sums, &model.text.widths());
    let [logits, ease, high, low] = parts.as_slice() else { return b.finish() };
    let probability = task_probability(&mut b, model, task, logits);
    let expected = expected(&mut b, model, &probability);
    let [added_high, added_low] = added(&mut b, model, &probability, [ease, high, low]);
    let ends = Ends::of(&mut b, model, &expected, [&added_high, &added_low]);
    let deviation = b.tensor(&model.deviation);
    let uncertainty = b.op("MatMul", &[&expected, &deviation]);
    let weights = weights(&mut b, model, user, preference);
    let utility = ends.utility(&mut b, &weights);
    let [effect, cost] = ends.effect_and_cost(&mut b, model);
    b.outputs(&spec.outputs, &[&utility, &effect, &cost, &uncertainty, &probability]);
    b.finish()
}

/// Sums of the text's rows: n-grams over the root of their summed squared rarity, and shape tokens.
fn bag_sums(b: &mut Builder, bag: &Bag, ids: &Value) -> Value {
    let [zero, tokens, end] = [0, TOKENS as i64, i64::MAX].map(|bound| b.i64(&[1], &[bound]));
    let axis = b.i64(&[1], &[1]);
    let first = b.op("Slice", &[ids, &zero, &tokens, &axis]); // [batch, at most 7]
    let grams = b.op("Slice", &[ids, &tokens, &end, &axis]);
    // A text without n-grams is a row of padding, not a matrix without columns.
    let one = b.i64(&[1], &[1]);
    let leading = b.op("Slice", &[ids, &zero, &one, &axis]);
    let none = b.i64(&[], &[0]);
    let padding = b.op("Mul", &[&leading, &none]);
    let grams = b.op_with("Concat", &[&grams, &padding], vec![int("axis", 1)]); // [batch, n]
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

/// What the text adds to the high and to the low end, `[batch, llms]` each.
fn added(b: &mut Builder, model: &Model, probability: &Value, [ease, high, low]: [&Value; 3]) -> [Value; 2] {
    let text = &model.text;
    let row = b.unsqueeze(probability, 1); // [batch, 1, tasks]
    let [slopes, ceiling] = [&text.slopes, &text.ceiling].map(|table| b.tensor(table));
    let column = b.unsqueeze(ease, 2); // [batch, tasks, 1]
    let sloped = b.op("Mul", &[&column, &slopes]);
    let sloped = b.op("Min", &[&sloped, &ceiling]);
    let sloped = b.op("MatMul", &[&row, &sloped]);
    let axis = b.i64(&[1], &[1]);
    let sloped = b.op("Squeeze", &[&sloped, &axis]);
    let expected = b.op("Mul", &[probability, ease]);
    let expected = b.op_with("ReduceSum", &[&expected, &axis], vec![int("keepdims", 1)]);
    let mut sum = b.op("Add", &[&sloped, &expected]);
    let [high_blocks, low_blocks] = &text.blocks;
    if let Some(own) = own(b, model, probability, (high_blocks, high)) {
        sum = b.op("Add", &[&sum, &own]);
    }
    let shared = b.f32(&[], &[single(text.shared)]);
    let mut follows = b.op("Mul", &[&sum, &shared]);
    if let Some(own) = own(b, model, probability, (low_blocks, low)) {
        follows = b.op("Add", &[&follows, &own]);
    }
    [sum, follows]
}

/// The blocks of columns that speak for the task.
fn own(b: &mut Builder, model: &Model, probability: &Value, (blocks, own): (&Tensor, &Value)) -> Option<Value> {
    let count = blocks.size().last().copied().filter(|&count| count > 0)?;
    let blocks = b.tensor(blocks);
    let speaks = b.op("MatMul", &[probability, &blocks]);
    let speaks = b.unsqueeze(&speaks, 1); // [batch, 1, blocks]
    let shape = b.i64(&[3], &[-1, count, model.llms() as i64]);
    let own = b.op("Reshape", &[own, &shape]);
    let sum = b.op("MatMul", &[&speaks, &own]);
    let axis = b.i64(&[1], &[1]);
    Some(b.op("Squeeze", &[&sum, &axis]))
}

/// Values of answers, one `[batch, llms]` for each preference weight.
struct Ends(Vec<Value>);

impl Ends {
    fn of(b: &mut Builder, model: &Model, expected: &Value, added: [&Value; 2]) -> Self {
        let count = model.weight_count();
        let values = model.values.view([-1, model.llms() as i64, count]);
        let mut all = Vec::new();
        for weight in 0..count {
            let table = b.tensor(&values.select(2, weight).contiguous());
            let value = b.op("MatMul", &[expected, &table]);
            let more = usize::try_from(weight).ok().and_then(|weight| added.get(weight));
            all.push(more.map_or_else(|| value.clone(), |more| b.op("Add", &[&value, more])));
        }
        Self(all)
    }

    /// Values times weights `[batch, weights]`.
    fn utility(&self, b: &mut Builder, weights: &Value) -> Value {
        let weights = b.split(weights, &vec![1; self.0.len()]);
        self.sum(b, &weights)
    }

    fn effect_and_cost(&self, b: &mut Builder, model: &Model) -> [Value; 2] {
        let ends = [(&model.axis.quality, 1.0), (&model.axis.cost, -1.0)];
        ends.map(|(end, sign)| {
            let weights: Vec<Value> = to_vec(end).into_iter().map(|weight| b.f32(&[], &[sign * weight])).collect();
            self.sum(b, &weights)
        })
    }

    fn sum(&self, b: &mut Builder, weights: &[Value]) -> Value {
        let mut sum: Option<Value> = None;
        for (value, weight) in self.0.iter().zip(weights) {
            let product = b.op("Mul", &[value, weight]);
            sum = Some(match sum {
                Some(sum) => b.op("Add", &[&sum, &product]),
                None => product,
            });
        }
        sum.unwrap_or_else(|| b.f32(&[], &[0.0]))
    }
}

/// Weights of the tasks' values: what the probabilities lack to 1 are the shares of the training queries.
fn expected(b: &mut Builder, model: &Model, probability: &Value) -> Value {
    let axes = b.i64(&[1], &[1]);
    let sum = b.op_with("ReduceSum", &[probability, &axes], vec![int("keepdims", 1)]);
    let one = b.f32(&[], &[1.0]);
    let rest = b.op("Sub", &[&one, &sum]);
    let shares = b.tensor(&model.text.shares.unsqueeze(0));
    let rest = b.op("Mul", &[&rest, &shares]);
    b.op("Add", &[probability, &rest])
}

/// The declared task, or the guess where none is declared.
fn task_probability(b: &mut Builder, model: &Model, task: &Value, logits: &Value) -> Value {
    let bias = b.tensor(&model.text.task);
    let logits = b.op("Add", &[logits, &bias]);
    let guessed = b.op_with("Softmax", &[&logits], vec![int("axis", -1)]);
    let best = b.op_with("ReduceMax", &[&logits], vec![ints("axes", &[1])]);
    let [threshold, sharpness] = [model.text.threshold, SHARPNESS].map(|x| b.f32(&[], &[single(x)]));
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
    let own = b.linear(user, &model.weights.0, &model.weights.1);
    let span = b.tensor(&(&model.axis.quality - &model.axis.cost).unsqueeze(0));
    let along = b.op("Mul", &[preference, &span]); // [batch, weights]
    let cost = b.tensor(&model.axis.cost);
    let declared = b.op("Add", &[&along, &cost]);
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
