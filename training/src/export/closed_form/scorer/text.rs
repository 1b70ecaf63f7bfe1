//! The query node of the scorer: a text to its task and to what it says about each LLM, as [`crate::closed_form::model::text`] reads it.
//!
//! Features of the text gather rows of one table; their sums, side by side, are all that the text says.

use tch::{Device, Kind, Tensor};

use crate::closed_form::model::text::{Bag, Border, FrozenText, Input, SHORTEST};
use crate::export::builder::{Builder, Value, int, ints};
use crate::graph::query::SHAPE_TOKENS;
use crate::model::tensors::{extents, single, to_vec};

/// ONNX's number of 32-bit floats.
const FLOAT: i64 = 1;
/// What a declared task adds to its logit and to how much the text is like it: more than any text does.
const CERTAIN: f64 = 1e6;

/// What the text has been read as.
pub(super) struct Reading {
    /// `[batch, tasks]`: the declared task, or the guess where none is declared; what lacks to 1 is of no known task.
    pub(super) probability: Value,
    /// `[batch, tasks]`: the probabilities times that of any known task. Beyond its task a text counts by the square of how
    /// familiar it is.
    pub(super) heard: Value,
    /// What the text says about each LLM, side by side `[batch, rows · llms]`: what the slopes make of its ease, a row for each
    /// task; the ease itself, a row for each task; the LLMs' own blocks.
    pub(super) said: Vec<Value>,
}

/// Reads `query`, a text of the declared `task` where there is one.
pub(super) fn read(b: &mut Builder, text: &FrozenText, task: &Value, query: &Value) -> Reading {
    let sums = match &text.input {
        Input::Lexical(bag) => bag_sums(b, bag, query),
        Input::Embedding(table) => {
            let (rows, columns) = extents(table);
            let table = b.f16(&[rows, columns], &to_vec(table));
            b.op("MatMul", &[query, &table])
        }
    };
    let [tasks, ease, high, low] = text.widths();
    let (near, own) = match high + low {
        0 => (sums, None),
        own => {
            let [near, own] = b.split(&sums, [tasks + ease, own]);
            (near, Some(own))
        }
    };
    let Near { weight, declared, bias } = Near::of(text);
    let declared = b.linear(task, &declared, &bias);
    let near = b.linear_onto(&near, &weight, &declared);
    let each = text.slopes.numel() as i64;
    let [like, logits, slopes, ease] = b.split(&near, [tasks, tasks, each, each]);
    let best = b.op_with("ReduceMax", &[&like], vec![ints("axes", &[1])]);
    let known = b.op("Sigmoid", &[&best]);
    let guess = b.op_with("Softmax", &[&logits], vec![int("axis", -1)]);
    let probability = b.op("Mul", &[&guess, &known]);
    let heard = b.op("Mul", &[&probability, &known]);
    let ceiling = b.tensor(&text.ceiling.reshape([each]));
    let slopes = b.op("Min", &[&slopes, &ceiling]);
    Reading { probability, heard, said: [slopes, ease].into_iter().chain(own).collect() }
}

/// What is linear in the sums that say how much a text is like each task's and how easy it looks: side by side, the logit of
/// the likeness against the border, the task's logit, and `[tasks, llms]` each, what ease adds by the slopes and by itself.
struct Near {
    /// `[tasks + tasks, columns]`, for the sums.
    weight: Tensor,
    /// `[tasks, columns]`, for the declared task.
    declared: Tensor,
    /// `[columns]`.
    bias: Tensor,
}

impl Near {
    fn of(text: &FrozenText) -> Self {
        let Border { threshold, sharpness } = text.border;
        let (tasks, llms) = extents(&text.slopes);
        let (tasks, llms) = (tasks as i64, llms as i64);
        let each = Tensor::eye(tasks, (Kind::Float, Device::Cpu));
        let map = text.map.narrow(0, 0, tasks);
        let by_likeness = Tensor::cat(&[&each * sharpness, map.shallow_clone()], 1);
        let by_ease = Tensor::stack(&[&text.slopes, &text.slopes.ones_like()], 0).unsqueeze(1); // [2, 1, tasks, llms]
        let by_ease = (by_ease * each.view([tasks, tasks, 1])).transpose(0, 1).reshape([tasks, 2 * tasks * llms]);
        let weight = Tensor::cat(
            &[by_likeness.constant_pad_nd([0, 2 * tasks * llms]), by_ease.constant_pad_nd([2 * tasks, 0])],
            0,
        );
        let declared = Tensor::cat(&[&each, &each], 1) * CERTAIN;
        let bias = [
            (&text.task - threshold) * sharpness,
            text.task.unsqueeze(0).matmul(&map).squeeze_dim(0) + text.map.select(0, tasks),
        ];
        let pad = |table: &Tensor| table.constant_pad_nd([0, 2 * tasks * llms]);
        Self { weight, declared: pad(&declared), bias: pad(&Tensor::cat(&bias, 0)) }
    }
}

/// Sums of the text's rows: n-grams over the root of their summed squared rarity, and shape tokens.
fn bag_sums(b: &mut Builder, bag: &Bag, ids: &Value) -> Value {
    let [zero, tokens, end, axis] = [0, SHAPE_TOKENS as i64, i64::MAX, 1].map(|bound| b.i64(&[1], &[bound]));
    let first = b.op("Slice", &[ids, &zero, &tokens, &axis]); // [batch, at most 7]
    // A text without n-grams is a row of padding, not a matrix without columns, however few its ids are: ONNX Runtime leaves
    // what it finds in memory as the product of such matrices.
    let pads = b.i64(&[4], &[0, 0, 0, SHAPE_TOKENS as i64]);
    let padding = b.i64(&[], &[0]);
    let padded = b.op("Pad", &[ids, &pads, &padding]);
    let grams = b.op("Slice", &[&padded, &tokens, &end, &axis]); // [batch, n]
    let summed = gram_sums(b, bag, &grams);
    let (rows, _) = extents(&bag.table);
    let shape_row: Vec<i64> = to_vec(&bag.shape_row).into_iter().map(whole).collect();
    let shape_row = b.i64(&[rows], &shape_row);
    let place = b.op_with("Gather", &[&shape_row, &first], vec![int("axis", 0)]);
    let shape = b.tensor(&bag.shape);
    let shape = b.op_with("Gather", &[&shape, &place], vec![int("axis", 0)]);
    let shape = b.sum(&shape, 1);
    b.op("Add", &[&summed, &shape])
}

fn gram_sums(b: &mut Builder, bag: &Bag, grams: &Value) -> Value {
    let (rows, columns) = extents(&bag.table);
    let table = b.i8(&[rows, columns], &to_i8(&to_vec(&bag.table)));
    let table = b.op_with("Gather", &[&table, grams], vec![int("axis", 0)]);
    let table = b.op_with("Cast", &[&table], vec![int("to", FLOAT)]); // [batch, n, columns]
    let row = b.f32(&[rows, 1], &without_padding(&to_vec(&bag.row)));
    let row = b.op_with("Gather", &[&row, grams], vec![int("axis", 0)]);
    let row = b.swapped(&row); // [batch, 1, n]
    let summed = b.op("MatMul", &[&row, &table]);
    let summed = b.squeeze(&summed, 1);
    let rarity = b.f32(&[rows], &without_padding(&to_vec(&bag.square.sqrt())));
    let rarity = b.op_with("Gather", &[&rarity, grams], vec![int("axis", 0)]);
    let length = b.op_with("ReduceL2", &[&rarity], vec![ints("axes", &[1])]);
    let shortest = b.f32(&[], &[single(SHORTEST)]);
    let length = b.op("Max", &[&length, &shortest]);
    let summed = b.op("Div", &[&summed, &length]);
    let column = b.tensor(&bag.column);
    b.op("Mul", &[&summed, &column])
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
