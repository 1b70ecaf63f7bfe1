//! The text part of the scorer: a text to its task and its features, as [`crate::closed_form::model::text`] reads it.
//!
//! N-grams of the text gather rows of one table; their sums, side by side, are all that the text says.

use tch::{Device, Kind, Tensor};

use super::Parts;
use crate::closed_form::model::feature_table::{FeatureTable, MIN_NORM, NgramTable};
use crate::closed_form::model::gate::OutOfDistributionGate;
use crate::closed_form::model::text::TextScorer;
use crate::export::builder::{Builder, Value, int, ints};
use crate::graph::query::SHAPE_TOKENS;
use crate::model::tensors::{extents, single, to_vec};

/// ONNX's number of 32-bit floats.
const FLOAT: i64 = 1;
/// What a declared task adds to its logit and its likeness: more than any text does.
const CERTAIN: f64 = 1e6;

/// Outputs of the text part.
pub(super) struct TextOutputs {
    /// `[batch, tasks]`: the declared task, or probabilities where none is declared; the rest to 1 is an unknown task.
    pub(super) probability: Value,
    /// `[batch, tasks]`: the probabilities times that of a known task: the weight of what text adds beyond its task.
    pub(super) weight: Value,
    /// Features of the text for each LLM, side by side `[batch, rows · llms]`: what the slopes make of the difficulty shift,
    /// a row for each task; the shift itself, a row for each task; the blocks by LLM.
    pub(super) features: Vec<Value>,
    /// Features of the query's length `[batch, tasks · features]`, and how many each task has.
    pub(super) lengths: Option<(Value, i64)>,
}

/// Reads `query`, a text of the declared `task` where there is one.
pub(super) fn read(b: &mut Builder, model: &Parts<'_>, task: &Value, query: &Value) -> TextOutputs {
    let text = model.text;
    let mut lengths = None;
    let sums = match &text.features {
        FeatureTable::Lexical(table) => {
            let (sums, rows) = ngram_sums(b, table, query);
            lengths = model.lengths.map(|parts| length_features(b, parts.table, text, &rows));
            sums
        }
        FeatureTable::Embedding(table) => {
            let (rows, columns) = extents(table);
            let table = b.f16(&[rows, columns], &to_vec(table));
            b.op("MatMul", &[query, &table])
        }
    };
    let [tasks, difficulty, effect, cost] = text.widths();
    let (task_sums, by_llm) = match effect + cost {
        0 => (sums, None),
        by_llm => {
            let [task_sums, by_llm] = b.split(&sums, [tasks + difficulty, by_llm]);
            (task_sums, Some(by_llm))
        }
    };
    let TaskProduct { weight, declared, bias } = TaskProduct::of(text);
    let declared = b.linear(task, &declared, &bias);
    let product = b.linear_onto(&task_sums, &weight, &declared);
    let pairs = text.slopes.numel() as i64;
    let [likeness, logits, slopes, difficulty] = b.split(&product, [tasks, tasks, pairs, pairs]);
    let most = b.op_with("ReduceMax", &[&likeness], vec![ints("axes", &[1])]);
    let known = b.op("Sigmoid", &[&most]);
    let inferred = b.op_with("Softmax", &[&logits], vec![int("axis", -1)]);
    let probability = b.op("Mul", &[&inferred, &known]);
    let weight = b.op("Mul", &[&probability, &known]);
    let limit = b.tensor(&text.slope_limit.reshape([pairs]));
    let slopes = b.op("Min", &[&slopes, &limit]);
    let features = [slopes, difficulty].into_iter().chain(by_llm).collect();
    TextOutputs { probability, weight, features, lengths }
}

/// Everything that is linear in the sums of likeness and difficulty, side by side: the logit of the gate, the task's logit,
/// and `[tasks, llms]` each, what the difficulty shift adds by the slopes and by itself.
struct TaskProduct {
    /// `[tasks + tasks, columns]`, for the sums.
    weight: Tensor,
    /// `[tasks, columns]`, for the declared task.
    declared: Tensor,
    /// `[columns]`.
    bias: Tensor,
}

impl TaskProduct {
    fn of(text: &TextScorer) -> Self {
        let OutOfDistributionGate { threshold, sharpness } = text.gate;
        let (tasks, llms) = extents(&text.slopes);
        let (tasks, llms) = (tasks as i64, llms as i64);
        let each = Tensor::eye(tasks, (Kind::Float, Device::Cpu));
        let map = text.task_map.narrow(0, 0, tasks);
        let by_likeness = Tensor::cat(&[&each * sharpness, map.shallow_clone()], 1);
        let by_difficulty = Tensor::stack(&[&text.slopes, &text.slopes.ones_like()], 0).unsqueeze(1); // [2, 1, T, L]
        let by_difficulty =
            (by_difficulty * each.view([tasks, tasks, 1])).transpose(0, 1).reshape([tasks, 2 * tasks * llms]);
        let weight = Tensor::cat(
            &[by_likeness.constant_pad_nd([0, 2 * tasks * llms]), by_difficulty.constant_pad_nd([2 * tasks, 0])],
            0,
        );
        let declared = Tensor::cat(&[&each, &each], 1) * CERTAIN;
        let bias = [
            (&text.task_bias - threshold) * sharpness,
            text.task_bias.unsqueeze(0).matmul(&map).squeeze_dim(0) + text.task_map.select(0, tasks),
        ];
        let pad = |table: &Tensor| table.constant_pad_nd([0, 2 * tasks * llms]);
        Self { weight, declared: pad(&declared), bias: pad(&Tensor::cat(&bias, 0)) }
    }
}

/// Returns the sums of the text's rows: n-grams over the norm of their inverse document frequencies, and shape tokens; and the
/// rows of the shape tokens, `[batch, tokens]`.
fn ngram_sums(b: &mut Builder, table: &NgramTable, ids: &Value) -> (Value, Value) {
    let [zero, tokens, end, axis] = [0, SHAPE_TOKENS as i64, i64::MAX, 1].map(|bound| b.i64(&[1], &[bound]));
    let first = b.op("Slice", &[ids, &zero, &tokens, &axis]); // [batch, at most 7]
    // A text without n-grams is a row of padding, not a matrix without columns: ONNX Runtime leaves the product of such
    // matrices uninitialised.
    let pads = b.i64(&[4], &[0, 0, 0, SHAPE_TOKENS as i64]);
    let padding = b.i64(&[], &[0]);
    let padded = b.op("Pad", &[ids, &pads, &padding]);
    let grams = b.op("Slice", &[&padded, &tokens, &end, &axis]); // [batch, n]
    let summed = gram_sums(b, table, &grams);
    let (rows, _) = extents(&table.table);
    let shape_row: Vec<i64> = to_vec(&table.shape_row).into_iter().map(whole).collect();
    let shape_row = b.i64(&[rows], &shape_row);
    let row = b.op_with("Gather", &[&shape_row, &first], vec![int("axis", 0)]);
    let shape = b.tensor(&table.shape);
    let shape = b.op_with("Gather", &[&shape, &row], vec![int("axis", 0)]);
    let shape = b.sum(&shape, 1);
    (b.op("Add", &[&summed, &shape]), row)
}

/// Returns the features of the length, the first of the shape tokens in these rows `[batch, tokens]`:
/// `[batch, tasks · features]`, and how many each task has.
fn length_features(b: &mut Builder, table: &Tensor, text: &TextScorer, rows: &Value) -> (Value, i64) {
    let [tasks, ..] = text.widths();
    let features = table.size().last().copied().unwrap_or(0) / tasks.max(1);
    let table = b.tensor(table);
    let first = b.i64(&[], &[0]);
    let row = b.op_with("Gather", &[rows, &first], vec![int("axis", 1)]);
    (b.op_with("Gather", &[&table, &row], vec![int("axis", 0)]), features)
}

fn gram_sums(b: &mut Builder, table: &NgramTable, grams: &Value) -> Value {
    let (rows, columns) = extents(&table.table);
    let gathered = b.i8(&[rows, columns], &to_i8(&to_vec(&table.table)));
    let gathered = b.op_with("Gather", &[&gathered, grams], vec![int("axis", 0)]);
    let gathered = b.op_with("Cast", &[&gathered], vec![int("to", FLOAT)]); // [batch, n, columns]
    let row = b.f32(&[rows, 1], &without_padding(&to_vec(&table.row)));
    let row = b.op_with("Gather", &[&row, grams], vec![int("axis", 0)]);
    let row = b.swapped(&row); // [batch, 1, n]
    let summed = b.op("MatMul", &[&row, &gathered]);
    let summed = b.squeeze(&summed, 1);
    let idf = b.f32(&[rows], &without_padding(&to_vec(&table.square.sqrt())));
    let idf = b.op_with("Gather", &[&idf, grams], vec![int("axis", 0)]);
    let norm = b.op_with("ReduceL2", &[&idf], vec![ints("axes", &[1])]);
    let least = b.f32(&[], &[single(MIN_NORM)]);
    let norm = b.op("Max", &[&norm, &least]);
    let summed = b.op("Div", &[&summed, &norm]);
    let column = b.tensor(&table.column);
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

/// Id 0 is padding: its weight is 0.
fn without_padding(elements: &[f32]) -> Vec<f32> {
    std::iter::once(0.0).chain(elements.iter().skip(1).copied()).collect()
}
