//! The adapter graph: a user's interactions to the user's embedding and estimated preference.
//!
//! The same message passing as [`crate::closed_form::model::adapter`]: each interaction gathers two rows of the table of
//! log-likelihoods, the bins beside its reward, and the user's belief is the softmax of their sum and the prior. Where users
//! have tastes, [`factor`] stands between messages and belief.

use personaroute_bundle::manifest::GraphSpec;

use crate::closed_form::ClosedForm;
use crate::closed_form::model::adapter::{GROUPED, MOST};
use crate::export::builder::{Builder, Value, int};
use crate::export::closed_form::factor;
use crate::model::tensors::{extents, single, to_vec};

/// Numbers of ONNX's element types.
const INT64: i64 = 7;

/// Returns the file's content.
pub fn build(model: &ClosedForm, spec: &GraphSpec) -> Vec<u8> {
    let mut b = Builder::new("adapter");
    let inputs = b.inputs(&spec.inputs);
    let [llm, task, signals, mask] = inputs.as_slice() else { return b.finish() };
    let cell = cell(&mut b, model, llm, task);
    let [reward, _, grouped] = b.split(signals, [1, 1, 1]); // three times [batch, interactions, 1]
    let weight = weight(&mut b, &grouped, mask);
    let (heard, read) = match &model.adapter.tastes {
        None => {
            let messages = messages(&mut b, model, &cell, &reward);
            let heard = b.op("MatMul", &[&weight, &messages]); // [batch, 1, positions]
            (b.squeeze(&heard, 1), None)
        }
        Some(tastes) => {
            let reward = factor::shifted(&mut b, tastes, &reward, llm);
            let cell = b.unsqueeze(&cell, 2);
            let messages = messages_by_step(&mut b, model, &cell, &reward);
            let heard = factor::hear(&mut b, model, tastes, [llm, &weight, &messages]);
            (heard.evidence, Some((tastes, heard.tastes)))
        }
    };
    let prior = b.tensor(&model.adapter.prior);
    let sum = b.op("Add", &[&heard, &prior]);
    let belief = b.op_with("Softmax", &[&sum], vec![int("axis", -1)]);
    let embedding = b.tensor(&model.adapter.embedding);
    let mut user = b.op("MatMul", &[&belief, &embedding]);
    if let Some((tastes, read)) = read {
        user = factor::embed(&mut b, model, tastes, [&belief, &user, &read]);
    }
    let preference = preference(&mut b, model, &user);
    b.outputs(&spec.outputs, &[&user, &preference]);
    b.finish()
}

/// Row of (task, LLM): `[batch, interactions]`. A task that does not exist, above or below, is an unknown one.
fn cell(b: &mut Builder, model: &ClosedForm, llm: &Value, task: &Value) -> Value {
    let unknown = b.i64(&[], &[model.facts.tasks.len() as i64]);
    let zero = b.i64(&[], &[0]);
    let below = b.op("Less", &[task, &zero]);
    let task = b.op("Where", &[&below, &unknown, task]);
    let task = b.op("Min", &[&task, &unknown]);
    let llms = b.i64(&[], &[model.facts.llms.len() as i64]);
    let row = b.op("Mul", &[&task, &llms]);
    b.op("Add", &[&row, llm])
}

/// Log-likelihoods `[batch, interactions, positions]` of rewards `[batch, interactions, 1]`.
fn messages(b: &mut Builder, model: &ClosedForm, cell: &Value, reward: &Value) -> Value {
    let cell = b.unsqueeze(cell, 2);
    let messages = messages_by_step(b, model, &cell, reward);
    b.squeeze(&messages, 2)
}

/// Log-likelihoods `[batch, interactions, steps, positions]` of rewards `[batch, interactions, steps]`.
fn messages_by_step(b: &mut Builder, model: &ClosedForm, cell: &Value, reward: &Value) -> Value {
    let belief = &model.adapter;
    let [low, step, last] = [belief.range[0], belief.step(), (belief.bins - 1) as f64].map(single);
    let [low, step, zero, one] = [low, step, 0.0, 1.0].map(|x| b.f32(&[], &[x]));
    let [last, before] = [last, last - 1.0].map(|x| b.f32(&[], &[x]));
    let above = b.op("Sub", &[reward, &low]);
    let place = b.op("Div", &[&above, &step]);
    let place = b.op("Clip", &[&place, &zero, &last]);
    let bin = b.op("Floor", &[&place]);
    let bin = b.op("Min", &[&bin, &before]);
    let upper = b.op("Sub", &[&place, &bin]); // [batch, interactions, steps]
    let lower = b.op("Sub", &[&one, &upper]);
    let bin = b.op_with("Cast", &[&bin], vec![int("to", INT64)]);
    let bins = b.i64(&[], &[belief.bins]);
    let row = b.op("Mul", &[cell, &bins]);
    let row = b.op("Add", &[&row, &bin]);
    let next = b.i64(&[], &[1]);
    let next = b.op("Add", &[&row, &next]);
    let (rows, places) = extents(&belief.table);
    let table = b.f16(&[rows, places], &to_vec(&belief.table));
    let [row, next] = [&row, &next].map(|row| b.op_with("Gather", &[&table, row], vec![int("axis", 0)]));
    let (lower, upper) = (b.unsqueeze(&lower, 3), b.unsqueeze(&upper, 3));
    let row = b.op("Mul", &[&row, &lower]);
    let next = b.op("Mul", &[&next, &upper]);
    b.op("Add", &[&row, &next])
}

/// How much each interaction counts: `[batch, 1, interactions]`.
fn weight(b: &mut Builder, grouped: &Value, mask: &Value) -> Value {
    let grouped = b.squeeze(grouped, 2);
    let [less, one, most] = [1.0 - GROUPED, 1.0, MOST].map(|x| b.f32(&[], &[single(x)]));
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

/// Position of the user's weights between cost and quality: one linear map, clamped.
pub(super) fn preference(b: &mut Builder, model: &ClosedForm, user: &Value) -> Value {
    let gain = model.axis.gain.unsqueeze(1); // [weights, 1]
    let weight = model.weights.0.matmul(&gain);
    let bias = model.weights.1.unsqueeze(0).matmul(&gain).squeeze_dim(0) + &model.axis.offset;
    let position = b.linear(user, &weight, &bias);
    let low = b.f32(&[], &[0.0]);
    let high = b.f32(&[], &[1.0]);
    b.op("Clip", &[&position, &low, &high])
}
