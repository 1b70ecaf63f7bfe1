//! The scorer graph: (user, preference, task, query) to a utility, an effect and a cost per LLM.
//!
//! [`text`] computes the task, where none is declared, and the text features; the task then weights them. Where the text is
//! out of distribution, the means over all training queries replace those of the task.
//!
//! A run of a small graph takes as long as it has nodes, whatever they compute. So everything that is linear in the same
//! values is one product, with constants of several parts of the model side by side in its table.

mod text;

use personaroute_bundle::manifest::GraphSpec;
use tch::{Device, Kind, Tensor};

use self::text::TextOutputs;
use super::adapter;
use crate::closed_form::ClosedForm;
use crate::closed_form::constants::MIN_COST_WEIGHT;
use crate::closed_form::model::preference::PreferenceDirection;
use crate::closed_form::model::text::TextScorer;
use crate::export::builder::{Builder, Value, int};
use crate::model::tensors::single;

/// Rows of weights: the user's for the utility, those of effect alone for the effect, those of cost alone for the cost.
const SCORES: usize = 3;

/// What the scorer is made of: a query's values times a user's weights.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// Number of LLMs.
    pub llms: i64,
    /// What query text adds.
    pub text: &'a TextScorer,
    /// User embedding to weights: `[user_dim, weights]` and bias.
    pub weights: &'a (Tensor, Tensor),
    /// `[tasks, llms · weights]`.
    pub values: &'a Tensor,
    /// Weights from cost to effect.
    pub preference: &'a PreferenceDirection,
    /// How many of the last weights stay a user's own where a preference is declared.
    pub own: i64,
    /// `[tasks, llms]`: standard deviation of the expected reward; with `spread`, variance of what is the same for all users.
    pub deviation: &'a Tensor,
    /// `[parts, weights]`: from values to the parts of a user's uncertainty, where the second half of an embedding says how much of
    /// each is left.
    pub spread: Option<&'a Tensor>,
    /// What the query's length adds, where a model reads it.
    pub lengths: Option<Lengths<'a>>,
}

/// What a query's length adds to the values.
#[derive(Debug, Clone, Copy)]
pub struct Lengths<'a> {
    /// `[rows of shape tokens, tasks · features]`.
    pub table: &'a Tensor,
    /// `[tasks · features, llms · weights]`.
    pub values: &'a Tensor,
}

impl Parts<'_> {
    fn weight_count(&self) -> i64 {
        self.weights.1.size().first().copied().unwrap_or(1)
    }
}

/// Returns the file's content for a closed-form model.
pub fn build(model: &ClosedForm, spec: &GraphSpec) -> Vec<u8> {
    let parts = Parts {
        llms: model.facts.llms.len() as i64,
        text: &model.text,
        weights: &model.weights,
        values: &model.values,
        preference: &model.preference,
        own: model.factors(),
        deviation: &model.deviation,
        spread: None,
        lengths: None,
    };
    build_parts(&parts, spec)
}

/// Returns the file's content.
pub fn build_parts(model: &Parts<'_>, spec: &GraphSpec) -> Vec<u8> {
    let mut b = Builder::new("scorer");
    let inputs = b.inputs(&spec.inputs);
    let [user, preference, task, query] = inputs.as_slice() else { return b.finish() };
    let text = text::read(&mut b, model, task, query);
    let (values, uncertainty) = values(&mut b, model, &text);
    let uncertainty = with_spread(&mut b, model, user, [&values, &uncertainty]);
    let weights = weights(&mut b, model, user, preference);
    let scores = b.op("MatMul", &[&weights, &values]); // [batch, 3, llms]
    let llms = model.llms;
    let scores = b.reshape(&scores, &[SCORES as i64 * llms]);
    let [utility, effect, cost] = b.split(&scores, [llms; SCORES]);
    b.outputs(&spec.outputs, &[&utility, &effect, &cost, &uncertainty, &text.probability]);
    b.finish()
}

/// Returns values of answers for each preference weight `[batch, weights, llms]`, and their uncertainty `[batch, llms]`.
///
/// The task's own values are rows beside the text features, each with a weight of 1 for its own preference weight.
fn values(b: &mut Builder, model: &Parts<'_>, text: &TextOutputs) -> (Value, Value) {
    let (llms, count) = (model.llms, model.weight_count());
    let [tasks, ..] = model.text.widths();
    // The rest of the probabilities to 1 goes to the shares of the training queries:
    // p + (1 - Σp)·s = p·(I - 1·sᵀ) + s.
    let shares = model.text.task_shares.unsqueeze(0);
    let spread = Tensor::eye(tasks, (Kind::Float, Device::Cpu)) - &shares;
    let by_task = model.values.view([tasks, llms, count]).transpose(1, 2).reshape([tasks, count * llms]);
    let expected = Tensor::cat(&[&by_task, model.deviation], 1);
    // Each task as often as it has features of lengths.
    let features = text.lengths.as_ref().map_or(0, |(_, features)| *features);
    let of_task = Tensor::eye(tasks, (Kind::Float, Device::Cpu)).repeat_interleave_self_int(features, 1, None);
    let weight = Tensor::cat(&[&spread.matmul(&expected), &of_task], 1);
    let bias = shares.matmul(&expected).squeeze_dim(0).constant_pad_nd([0, tasks * features]);
    let expected = b.linear(&text.probability, &weight, &bias);
    let (by_task, uncertainty) = with_lengths(b, model, text, &expected);
    let weights = feature_weights(model); // [tasks, weights, text rows]
    let rows = weights.size().last().copied().unwrap_or(0) + count;
    let own = Tensor::eye(count, (Kind::Float, Device::Cpu)).constant_pad_nd([rows - count, 0]);
    let weights = weights.constant_pad_nd([0, count]).view([tasks, count * rows]);
    let weights = b.linear(&text.weight, &weights, &own.view([count * rows]));
    let weights = b.reshape(&weights, &[count, rows]);
    let features: Vec<&Value> = text.features.iter().chain([&by_task]).collect();
    let features = b.op_with("Concat", &features, vec![int("axis", 1)]);
    let features = b.reshape(&features, &[rows, llms]);
    (b.op("MatMul", &[&weights, &features]), uncertainty)
}

/// Adds what a user's embedding leaves open `[batch, llms]` to the uncertainty.
fn with_spread(b: &mut Builder, model: &Parts<'_>, user: &Value, [values, level]: [&Value; 2]) -> Value {
    let Some(spread) = model.spread else { return level.clone() };
    let parts = spread.size().first().copied().unwrap_or(0);
    let spread = b.tensor(spread);
    let own = b.op("MatMul", &[&spread, values]); // [batch, parts, llms]
    let own = b.op("Mul", &[&own, &own]);
    let [_, left] = b.split(user, [parts, parts]);
    let left = b.unsqueeze(&left, 1);
    let own = b.op("MatMul", &[&left, &own]);
    let own = b.squeeze(&own, 1);
    let variance = b.op("Add", &[&own, level]);
    let least = b.f32(&[], &[0.0]);
    let variance = b.op("Max", &[&variance, &least]);
    b.op("Sqrt", &[&variance])
}

/// Splits what is expected by task into values `[batch, weights · llms]`, to which a query's length adds its part, and the
/// uncertainty `[batch, llms]`.
fn with_lengths(b: &mut Builder, model: &Parts<'_>, text: &TextOutputs, expected: &Value) -> (Value, Value) {
    let (llms, count) = (model.llms, model.weight_count());
    let (Some((lengths, features)), Some(parts)) = (&text.lengths, model.lengths) else {
        let [values, uncertainty] = b.split(expected, [count * llms, llms]);
        return (values, uncertainty);
    };
    let [tasks, ..] = model.text.widths();
    let [values, uncertainty, of_task] = b.split(expected, [count * llms, llms, tasks * features]);
    let lengths = b.op("Mul", &[lengths, &of_task]);
    let table = parts.values.view([-1, llms, count]).transpose(1, 2).reshape([-1, count * llms]);
    (b.linear_onto(&lengths, &table, &values), uncertainty)
}

/// Returns the weights of the rows of [`TextOutputs::features`] at each preference weight, for a certain task:
/// `[tasks, weights, rows]`.
fn feature_weights(model: &Parts<'_>) -> Tensor {
    let text = model.text;
    let [tasks, ..] = model.text.widths();
    let [effect_blocks, cost_blocks] = &text.blocks;
    let difficulty = Tensor::eye(tasks, (Kind::Float, Device::Cpu));
    let difficulty = Tensor::cat(&[&difficulty, &difficulty], 1);
    let effect = Tensor::cat(&[&difficulty, effect_blocks, &cost_blocks.zeros_like()], 1);
    let cost = &effect * text.cost_share
        + Tensor::cat(&[&difficulty.zeros_like(), &effect_blocks.zeros_like(), cost_blocks], 1);
    // Text does not change the loadings.
    let coefficients = Tensor::stack(&[effect, cost], 1); // [tasks, 2, rows]
    coefficients.constant_pad_nd([0, 0, 0, model.weight_count() - 2])
}

/// Returns the weights of each score `[batch, 3, weights]`: the user's own or those of a declared preference for the
/// utility; those of effect alone for the effect; those of cost alone, negated, for the cost.
fn weights(b: &mut Builder, model: &Parts<'_>, user: &Value, preference: &Value) -> Value {
    let count = model.weight_count();
    let beside = |weight: &Tensor| weight.constant_pad_nd([0, (SCORES as i64 - 1) * count]);
    let direction = model.preference;
    let biases = |bias: &Tensor| Tensor::cat(&[bias, &direction.effect, &(&direction.cost * -1.0)], 0);
    let own = b.linear(user, &beside(&model.weights.0), &biases(&model.weights.1)); // [batch, 3 * weights]
    let span = (&direction.effect - &direction.cost).unsqueeze(0);
    let declared = b.linear(preference, &beside(&span), &biases(&direction.cost));
    let zero = b.f32(&[], &[0.0]);
    let declared = match model.own {
        0 => declared,
        factors => with_factors(b, model, (user, &own, factors), [preference, &declared]),
    };
    let is_declared = b.op("GreaterOrEqual", &[preference, &zero]);
    let weights = b.op("Where", &[&is_declared, &declared, &own]);
    b.reshape(&weights, &[SCORES as i64, count])
}

/// Returns declared weights with the user's factors, as [`ClosedForm::declared`] scales them.
fn with_factors(
    b: &mut Builder,
    model: &Parts<'_>,
    (user, own, factors): (&Value, &Value, i64),
    [preference, declared]: [&Value; 2],
) -> Value {
    let [one, least] = [1.0, MIN_COST_WEIGHT].map(|x| b.f32(&[], &[single(x)]));
    let score = adapter::preference(b, (model.weights, model.preference), user);
    let cost_weight = b.op("Sub", &[&one, &score]);
    let cost_weight = b.op("Max", &[&cost_weight, &least]);
    let declared_cost_weight = b.op("Sub", &[&one, preference]);
    let scale = b.op("Div", &[&declared_cost_weight, &cost_weight]); // [batch, 1]
    let count = model.weight_count();
    let widths = [count - factors, factors, (SCORES as i64 - 1) * count];
    let [_, own, _] = b.split(own, widths);
    let scaled = b.op("Mul", &[&own, &scale]);
    let [coefficients, _, scores] = b.split(declared, widths);
    b.op_with("Concat", &[&coefficients, &scaled, &scores], vec![int("axis", 1)])
}
