//! The scorer graph: (user, preference, task, query) to a utility, an effect and a cost per LLM.
//!
//! Node states, values and the ends of the preference axis are constants by now. One matrix holds, side by side, the
//! columns of values, effects, costs and uncertainties, so that two products and one split give all of them.

use personaroute_bundle::manifest::GraphSpec;
use tch::{Kind, Tensor};

use super::builder::{Builder, Value, int};
use crate::model::Model;
use crate::model::tensors::{extents, to_vec};

/// Returns the file's content.
pub fn build(model: &Model, spec: &GraphSpec) -> Vec<u8> {
    let mut b = Builder::new("scorer");
    let inputs = b.inputs(&spec.inputs);
    let [user, preference, task, query] = inputs.as_slice() else { return b.finish() };
    let x = if model.is_lexical() { bag(&mut b, model, query) } else { projection(&mut b, model, query) };
    let probability = task_probability(&mut b, model, task, &x);
    let columns = Columns::of(model);
    let ease = b.tensor(&model.text.ease);
    let ease = b.op("MatMul", &[&x, &ease]);
    let expected = b.op("Mul", &[&probability, &ease]);
    let by_task = b.op_with("Concat", &[&probability, &expected], vec![int("axis", 1)]); // [batch, 2 · tasks]
    let by_task = columns.by_task(&mut b, model, &by_task);
    let by_query = columns.by_query(&mut b, model, &x);
    let sum = b.op("Add", &[&by_task, &by_query]);
    let parts = b.split(&sum, &columns.widths());
    let [values, effect, cost, uncertainty] = parts.as_slice() else { return b.finish() };
    let weights = weights(&mut b, model, user, preference);
    let utility = utility(&mut b, model, values, &weights);
    b.outputs(&spec.outputs, &[&utility, effect, cost, uncertainty, &probability]);
    b.finish()
}

/// Shape of the joined columns.
struct Columns {
    llms: i64,
    weights: i64,
}

impl Columns {
    fn of(model: &Model) -> Self {
        Self { llms: model.llms() as i64, weights: model.weight_count() }
    }

    fn widths(&self) -> [i64; 4] {
        [self.llms * self.weights, self.llms, self.llms, self.llms]
    }

    /// Appends effect and cost columns to values `[rows, llms · weights]`.
    fn with_ends(&self, model: &Model, values: &Tensor) -> Vec<Tensor> {
        let split = values.view([-1, self.llms, self.weights]);
        vec![values.shallow_clone(), split.matmul(&model.axis.quality), -split.matmul(&model.axis.cost)]
    }

    fn by_task(&self, b: &mut Builder, model: &Model, probability: &Value) -> Value {
        let values = Tensor::cat(&[&model.values, &model.text.slopes], 0);
        let mut parts = self.with_ends(model, &values);
        parts.push(Tensor::cat(&[&model.deviation, &model.deviation.zeros_like()], 0));
        let table = b.tensor(&Tensor::cat(&parts, 1));
        b.op("MatMul", &[probability, &table])
    }

    fn by_query(&self, b: &mut Builder, model: &Model, x: &Value) -> Value {
        let mut parts = self.with_ends(model, &model.text.residual);
        let rows = model.text.residual.size().first().copied().unwrap_or(1);
        parts.push(Tensor::zeros([rows, self.llms], (Kind::Float, tch::Device::Cpu)));
        let table = b.tensor(&Tensor::cat(&parts, 1));
        b.op("MatMul", &[x, &table])
    }
}

/// Sum of the n-grams' rows over the root of their number; id 0 is padding.
fn bag(b: &mut Builder, model: &Model, ngrams: &Value) -> Value {
    let (rows, dim) = extents(&model.text.input);
    let mut elements = to_vec(&model.text.input);
    elements.iter_mut().take(dim).for_each(|padding| *padding = 0.0);
    let table = b.f16(&[rows, dim], &elements);
    let gathered = b.op_with("Gather", &[&table, ngrams], vec![int("axis", 0)]); // [batch, ids, dim]
    let summed = b.sum(&gathered, 1);
    let zero = b.i64(&[], &[0]);
    let present = b.op("Greater", &[ngrams, &zero]);
    let present = b.op_with("Cast", &[&present], vec![int("to", 1)]);
    let axes = b.i64(&[1], &[1]);
    let count = b.op_with("ReduceSum", &[&present, &axes], vec![int("keepdims", 1)]);
    let one = b.f32(&[], &[1.0]);
    let count = b.op("Max", &[&count, &one]);
    let root = b.op("Sqrt", &[&count]);
    let plain = model.text.plain;
    if plain == 0 {
        return b.op("Div", &[&summed, &root]);
    }
    let parts = b.split(&summed, &[dim as i64 - plain, plain]);
    let [scaled, plain] = parts.as_slice() else { return summed };
    let scaled = b.op("Div", &[scaled, &root]);
    b.op_with("Concat", &[&scaled, plain], vec![int("axis", 1)])
}

fn projection(b: &mut Builder, model: &Model, query: &Value) -> Value {
    let (rows, dim) = extents(&model.text.input);
    let table = b.f16(&[rows, dim], &to_vec(&model.text.input));
    b.op("MatMul", &[query, &table])
}

/// The declared task, or the guess where none is declared.
fn task_probability(b: &mut Builder, model: &Model, task: &Value, x: &Value) -> Value {
    let logits = b.linear(x, &model.text.task.0, &model.text.task.1);
    let guessed = b.op_with("Softmax", &[&logits], vec![int("axis", -1)]);
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
    let is_declared = b.op("GreaterOrEqual", &[preference, &zero]);
    b.op("Where", &[&is_declared, &declared, &own])
}

fn utility(b: &mut Builder, model: &Model, values: &Value, weights: &Value) -> Value {
    let shape = b.i64(&[3], &[-1, model.llms() as i64, model.weight_count()]);
    let values = b.op("Reshape", &[values, &shape]);
    let weights = b.unsqueeze(weights, 2);
    let product = b.op("MatMul", &[&values, &weights]); // [batch, llms, 1]
    let axes = b.i64(&[1], &[2]);
    b.op("Squeeze", &[&product, &axes])
}
