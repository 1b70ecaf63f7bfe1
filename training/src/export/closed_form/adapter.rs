//! The adapter graph: a user's interactions to the user's embedding and estimated preference score.
//!
//! The same posterior as [`crate::closed_form::model::adapter`]: each interaction gathers two rows of the table of
//! log-likelihoods, the bins beside its reward, and the softmax of their sum and the prior is the posterior over the score
//! grid. [`factor`] adds user factors where the model has any.

use personaroute_bundle::manifest::GraphSpec;
use tch::Tensor;

use crate::closed_form::ClosedForm;
use crate::closed_form::constants::{GROUPED_WEIGHT, MAX_EVIDENCE};
use crate::closed_form::model::preference::PreferenceDirection;
use crate::export::builder::{Builder, Value, int};
use crate::export::closed_form::factor;
use crate::model::tensors::{extents, single, to_vec};

/// Number of ONNX's 64-bit integers.
const INT64: i64 = 7;

/// Returns the file's content.
pub fn build(model: &ClosedForm, spec: &GraphSpec) -> Vec<u8> {
    let mut b = Builder::new("adapter");
    let inputs = b.inputs(&spec.inputs);
    let [llm, task, signals, mask, _] = inputs.as_slice() else { return b.finish() };
    let sizes = [model.facts.tasks.len(), model.facts.llms.len()].map(|count| count as i64);
    let pair = pair(&mut b, sizes, llm, task);
    let [reward, _, grouped] = b.split(signals, [1, 1, 1]); // three times [batch, interactions, 1]
    let weight = weight(&mut b, &grouped, mask);
    let (evidence, factors) = match &model.adapter.loadings {
        None => {
            let log_likelihoods = log_likelihoods(&mut b, model, &pair, &reward);
            let evidence = b.op("MatMul", &[&weight, &log_likelihoods]); // [batch, 1, grid]
            (b.squeeze(&evidence, 1), None)
        }
        Some(loadings) => {
            let reward = factor::without_offsets(&mut b, loadings, &reward, llm);
            let pair = b.unsqueeze(&pair, 2);
            let log_likelihoods = log_likelihoods_by_step(&mut b, model, &pair, &reward);
            let posterior = factor::posterior(&mut b, model, loadings, [llm, &weight, &log_likelihoods]);
            (posterior.evidence, Some((loadings, posterior.factors)))
        }
    };
    let prior = b.tensor(&model.adapter.prior);
    let sum = b.op("Add", &[&evidence, &prior]);
    let posterior = b.op_with("Softmax", &[&sum], vec![int("axis", -1)]);
    let embedding = b.tensor(&model.adapter.embedding);
    let mut user = b.op("MatMul", &[&posterior, &embedding]);
    if let Some((loadings, factors)) = factors {
        user = factor::embed(&mut b, model, loadings, [&posterior, &user, &factors]);
    }
    let preference = preference(&mut b, (&model.weights, &model.preference), &user);
    b.outputs(&spec.outputs, &[&user, &preference]);
    b.finish()
}

/// Returns the index of each (task, LLM) pair, `[batch, interactions]`. A task out of range is an unknown one.
pub(in crate::export) fn pair(b: &mut Builder, [tasks, llms]: [i64; 2], llm: &Value, task: &Value) -> Value {
    let unknown = b.i64(&[], &[tasks]);
    let zero = b.i64(&[], &[0]);
    let below = b.op("Less", &[task, &zero]);
    let task = b.op("Where", &[&below, &unknown, task]);
    let task = b.op("Min", &[&task, &unknown]);
    let llms = b.i64(&[], &[llms]);
    let row = b.op("Mul", &[&task, &llms]);
    b.op("Add", &[&row, llm])
}

/// Returns log-likelihoods `[batch, interactions, grid]` of rewards `[batch, interactions, 1]`.
fn log_likelihoods(b: &mut Builder, model: &ClosedForm, pair: &Value, reward: &Value) -> Value {
    let pair = b.unsqueeze(pair, 2);
    let log_likelihoods = log_likelihoods_by_step(b, model, &pair, reward);
    b.squeeze(&log_likelihoods, 2)
}

/// Returns log-likelihoods `[batch, interactions, steps, grid]` of rewards `[batch, interactions, steps]`.
fn log_likelihoods_by_step(b: &mut Builder, model: &ClosedForm, pair: &Value, reward: &Value) -> Value {
    let adapter = &model.adapter;
    let [low, step, last] = [adapter.range[0], adapter.step(), (adapter.bins - 1) as f64].map(single);
    let [low, step, zero, one] = [low, step, 0.0, 1.0].map(|x| b.f32(&[], &[x]));
    let [last, before] = [last, last - 1.0].map(|x| b.f32(&[], &[x]));
    let above = b.op("Sub", &[reward, &low]);
    let at = b.op("Div", &[&above, &step]);
    let at = b.op("Clip", &[&at, &zero, &last]);
    let bin = b.op("Floor", &[&at]);
    let bin = b.op("Min", &[&bin, &before]);
    let upper = b.op("Sub", &[&at, &bin]); // [batch, interactions, steps]
    let lower = b.op("Sub", &[&one, &upper]);
    let bin = b.op_with("Cast", &[&bin], vec![int("to", INT64)]);
    let bins = b.i64(&[], &[adapter.bins]);
    let row = b.op("Mul", &[pair, &bins]);
    let row = b.op("Add", &[&row, &bin]);
    let next = b.i64(&[], &[1]);
    let next = b.op("Add", &[&row, &next]);
    let (rows, grid) = extents(&adapter.table);
    let table = b.f16(&[rows, grid], &to_vec(&adapter.table));
    let [row, next] = [&row, &next].map(|row| b.op_with("Gather", &[&table, row], vec![int("axis", 0)]));
    let (lower, upper) = (b.unsqueeze(&lower, 3), b.unsqueeze(&upper, 3));
    let row = b.op("Mul", &[&row, &lower]);
    let next = b.op("Mul", &[&next, &upper]);
    b.op("Add", &[&row, &next])
}

/// Returns the weight of each interaction, `[batch, 1, interactions]`.
fn weight(b: &mut Builder, grouped: &Value, mask: &Value) -> Value {
    let grouped = b.squeeze(grouped, 2);
    let [less, one, most] = [1.0 - GROUPED_WEIGHT, 1.0, MAX_EVIDENCE].map(|x| b.f32(&[], &[single(x)]));
    let less = b.op("Mul", &[&grouped, &less]);
    let kept = b.op("Sub", &[&one, &less]);
    let weight = b.op("Mul", &[mask, &kept]);
    let axes = b.i64(&[1], &[1]);
    let total = b.op_with("ReduceSum", &[&weight, &axes], vec![int("keepdims", 1)]);
    let total = b.op("Max", &[&total, &most]);
    let weight = b.op("Mul", &[&weight, &most]);
    let weight = b.op("Div", &[&weight, &total]);
    b.unsqueeze(&weight, 1)
}

/// Returns the preference score of users: one linear map, clamped.
pub(in crate::export) fn preference(
    b: &mut Builder,
    ((weight, bias), direction): (&(Tensor, Tensor), &PreferenceDirection),
    user: &Value,
) -> Value {
    let gain = direction.gain.unsqueeze(1); // [weights, 1]
    let bias = bias.unsqueeze(0).matmul(&gain).squeeze_dim(0) + &direction.offset;
    let weight = weight.matmul(&gain);
    let score = b.linear(user, &weight, &bias);
    let low = b.f32(&[], &[0.0]);
    let high = b.f32(&[], &[1.0]);
    b.op("Clip", &[&score, &low, &high])
}
