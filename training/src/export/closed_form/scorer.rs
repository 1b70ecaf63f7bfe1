//! The scorer graph: (user, preference, task, query) to a utility, an effect and a cost per LLM.
//!
//! The [`text`] tells the task, where none is declared, and what it says about each LLM. The task then picks what speaks for it;
//! where the text looks like none, the mean over all training queries does.
//!
//! A run of a small graph takes as long as it has nodes, whatever they compute: so all that is linear in the same values is
//! one product, with constants of several parts of the model side by side in its table.

mod text;

use personaroute_bundle::manifest::GraphSpec;
use tch::{Device, Kind, Tensor};

use self::text::Reading;
use crate::closed_form::model::{ClosedForm, LEAST_REST};
use crate::export::builder::{Builder, Value, int};
use crate::export::closed_form::adapter;
use crate::model::tensors::single;

/// Rows of weights: the user's for the utility, those of quality for the effect, those of cost for the cost.
const SCORES: usize = 3;

/// Returns the file's content.
pub fn build(model: &ClosedForm, spec: &GraphSpec) -> Vec<u8> {
    let mut b = Builder::new("scorer");
    let inputs = b.inputs(&spec.inputs);
    let [user, preference, task, query] = inputs.as_slice() else { return b.finish() };
    let reading = text::read(&mut b, &model.text, task, query);
    let (ends, uncertainty) = ends(&mut b, model, &reading);
    let weights = weights(&mut b, model, user, preference);
    let scores = b.op("MatMul", &[&weights, &ends]); // [batch, 3, llms]
    let llms = model.facts.llms.len() as i64;
    let scores = b.reshape(&scores, &[SCORES as i64 * llms]);
    let [utility, effect, cost] = b.split(&scores, [llms; SCORES]);
    b.outputs(&spec.outputs, &[&utility, &effect, &cost, &uncertainty, &reading.probability]);
    b.finish()
}

/// Values of answers for each preference weight `[batch, weights, llms]`, and their uncertainty `[batch, llms]`.
///
/// The task's own values are rows beside those of the text, each with a voice at its own weight.
fn ends(b: &mut Builder, model: &ClosedForm, reading: &Reading) -> (Value, Value) {
    let (llms, count) = (model.facts.llms.len() as i64, model.weight_count());
    let [tasks, ..] = model.text.widths();
    // What the probabilities lack to 1 goes to the shares of the training queries: p + (1 - Σp)·s = p·(I - 1·sᵀ) + s.
    let shares = model.text.shares.unsqueeze(0);
    let spread = Tensor::eye(tasks, (Kind::Float, Device::Cpu)) - &shares;
    let values = model.values.view([tasks, llms, count]).transpose(1, 2).reshape([tasks, count * llms]);
    let expected = Tensor::cat(&[&values, &model.deviation], 1);
    let expected = b.linear(&reading.probability, &spread.matmul(&expected), &shares.matmul(&expected).squeeze_dim(0));
    let [values, uncertainty] = b.split(&expected, [count * llms, llms]);
    let voices = voices(model); // [tasks, weights, rows of the text]
    let rows = voices.size().last().copied().unwrap_or(0) + count;
    let own = Tensor::eye(count, (Kind::Float, Device::Cpu)).constant_pad_nd([rows - count, 0]);
    let voices = voices.constant_pad_nd([0, count]).view([tasks, count * rows]);
    let voices = b.linear(&reading.heard, &voices, &own.view([count * rows]));
    let voices = b.reshape(&voices, &[count, rows]);
    let said: Vec<&Value> = reading.said.iter().chain([&values]).collect();
    let said = b.op_with("Concat", &said, vec![int("axis", 1)]);
    let said = b.reshape(&said, &[rows, llms]);
    (b.op("MatMul", &[&voices, &said]), uncertainty)
}

/// How much the rows of [`Reading::said`] count at each weight, if a task is certain: `[tasks, weights, rows]`.
fn voices(model: &ClosedForm) -> Tensor {
    let text = &model.text;
    let [tasks, ..] = model.text.widths();
    let [own_high, own_low] = &text.blocks;
    let by_ease = Tensor::eye(tasks, (Kind::Float, Device::Cpu));
    let by_ease = Tensor::cat(&[&by_ease, &by_ease], 1);
    let high = Tensor::cat(&[&by_ease, own_high, &own_low.zeros_like()], 1);
    let low = &high * text.shared + Tensor::cat(&[&by_ease.zeros_like(), &own_high.zeros_like(), own_low], 1);
    // Tastes are nothing that the text speaks of.
    let ends = Tensor::stack(&[high, low], 1); // [tasks, 2, rows]
    ends.constant_pad_nd([0, 0, 0, model.weight_count() - 2])
}

/// What counts for each score `[batch, 3, weights]`: the user's own weights, or those of a declared preference, for the
/// utility; the end of quality for the effect, that of cost with the other sign for the cost.
fn weights(b: &mut Builder, model: &ClosedForm, user: &Value, preference: &Value) -> Value {
    let count = model.weight_count();
    let beside = |weight: &Tensor| weight.constant_pad_nd([0, (SCORES as i64 - 1) * count]);
    let ends = |bias: &Tensor| Tensor::cat(&[bias, &model.axis.quality, &(&model.axis.cost * -1.0)], 0);
    let own = b.linear(user, &beside(&model.weights.0), &ends(&model.weights.1)); // [batch, 3 * weights]
    let span = (&model.axis.quality - &model.axis.cost).unsqueeze(0);
    let declared = b.linear(preference, &beside(&span), &ends(&model.axis.cost));
    let zero = b.f32(&[], &[0.0]);
    let declared = match model.tastes() {
        0 => declared,
        tastes => kept_tastes(b, model, (user, &own, tastes), [preference, &declared]),
    };
    let is_declared = b.op("GreaterOrEqual", &[preference, &zero]);
    let weights = b.op("Where", &[&is_declared, &declared, &own]);
    b.reshape(&weights, &[SCORES as i64, count])
}

/// Declared weights with the user's tastes, as [`Model::declared`] keeps them.
fn kept_tastes(
    b: &mut Builder,
    model: &ClosedForm,
    (user, own, tastes): (&Value, &Value, i64),
    [preference, declared]: [&Value; 2],
) -> Value {
    let [one, least] = [1.0, LEAST_REST].map(|x| b.f32(&[], &[single(x)]));
    let place = adapter::preference(b, model, user);
    let own_rest = b.op("Sub", &[&one, &place]);
    let own_rest = b.op("Max", &[&own_rest, &least]);
    let rest = b.op("Sub", &[&one, preference]);
    let share = b.op("Div", &[&rest, &own_rest]); // [batch, 1]
    let count = model.weight_count();
    let widths = [count - tastes, tastes, (SCORES as i64 - 1) * count];
    let [_, own, _] = b.split(own, widths);
    let kept = b.op("Mul", &[&own, &share]);
    let [ends, _, scores] = b.split(declared, widths);
    b.op_with("Concat", &[&ends, &kept, &scores], vec![int("axis", 1)])
}
