//! The adapter graph: a user's interactions to the user's embedding and estimated preference.

use personaroute_bundle::manifest::GraphSpec;

use super::builder::{Builder, Value, int};
use crate::model::Model;

/// Returns the file's content.
pub fn build(model: &Model, spec: &GraphSpec) -> Vec<u8> {
    let mut b = Builder::new("adapter");
    let inputs = b.inputs(&spec.inputs);
    let [llm, task, signals, mask] = inputs.as_slice() else { return b.finish() };
    let messages = messages(&mut b, model, [llm, task, signals]);
    let mask_row = b.unsqueeze(mask, 1); // [batch, 1, interactions]
    let summed = b.op("MatMul", &[&mask_row, &messages]);
    let axes = b.i64(&[1], &[1]);
    let summed = b.op("Squeeze", &[&summed, &axes]); // [batch, dim]
    let count = b.op_with("ReduceSum", &[mask, &axes], vec![int("keepdims", 1)]);
    let one = b.f32(&[], &[1.0]);
    let divisor = b.op("Max", &[&count, &one]);
    let pooled = b.op("Div", &[&summed, &divisor]);
    let counted = b.op("Add", &[&count, &one]);
    let log = b.op("Log", &[&counted]);
    let read = b.op_with("Concat", &[&pooled, &log], vec![int("axis", 1)]);
    let hidden = b.linear(&read, &model.adapter.read.0, &model.adapter.read.1);
    let hidden = b.op("Relu", &[&hidden]);
    let user = b.linear(&hidden, &model.adapter.out.0, &model.adapter.out.1);
    let preference = preference(&mut b, model, &user);
    b.outputs(&spec.outputs, &[&user, &preference]);
    b.finish()
}

/// `relu(cell[task, llm] + signals · weight)`: `[batch, interactions, dim]`.
fn messages(b: &mut Builder, model: &Model, [llm, task, signals]: [&Value; 3]) -> Value {
    let llms = b.i64(&[], &[model.llms() as i64]);
    let row = b.op("Mul", &[task, &llms]);
    let row = b.op("Add", &[&row, llm]);
    let table = b.tensor(&model.adapter.cell);
    let cell = b.op_with("Gather", &[&table, &row], vec![int("axis", 0)]);
    let weight = b.tensor(&model.adapter.signal);
    let spoken = b.op("MatMul", &[signals, &weight]);
    let sum = b.op("Add", &[&cell, &spoken]);
    b.op("Relu", &[&sum])
}

/// Position of the user's weights between cost and quality: one linear map, clamped.
fn preference(b: &mut Builder, model: &Model, user: &Value) -> Value {
    let gain = model.axis.gain.unsqueeze(1); // [weights, 1]
    let weight = model.weights.0.matmul(&gain);
    let bias = model.weights.1.unsqueeze(0).matmul(&gain).squeeze_dim(0) + &model.axis.offset;
    let position = b.linear(user, &weight, &bias);
    let low = b.f32(&[], &[0.0]);
    let high = b.f32(&[], &[1.0]);
    b.op("Clip", &[&position, &low, &high])
}
