//! The adapter graph: a user's interactions to the user's embedding and estimated preference score.
//!
//! The same posterior as [`crate::closed_form::model::adapter`]: each interaction gathers two rows of the table of
//! log-likelihoods, the bins beside its reward, and the softmax of their sum and the prior is the posterior over the score
//! grid. [`factor`] adds user factors where the model has any.

use personaroute_bundle::manifest::GraphSpec;
use tch::Tensor;

use crate::closed_form::ClosedForm;
use crate::closed_form::constants::{GROUPED_WEIGHT, LIKELY_TASK, MAX_EVIDENCE, RATING_INFORMATION};
use crate::closed_form::model::adapter::{LEAST_COUNT, LEAST_VARIANCE};
use crate::closed_form::model::preference::PreferenceDirection;
use crate::export::builder::{Builder, Value, int, ints};
use crate::export::closed_form::factor;
use crate::model::tensors::{extents, single, to_vec};

/// ONNX's numbers of 32-bit floats and of 64-bit integers.
const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// Inputs of an adapter graph.
pub(in crate::export) struct Inputs {
    pub(in crate::export) start: Value,
    pub(in crate::export) start_interactions: Value,
    pub(in crate::export) llm: Value,
    pub(in crate::export) task: Value,
    pub(in crate::export) text: Value,
    pub(in crate::export) kind: Value,
    pub(in crate::export) value: Value,
    pub(in crate::export) weight: Value,
    pub(in crate::export) group: Value,
}

impl Inputs {
    /// Adds the inputs of the manifest.
    pub(in crate::export) fn new(b: &mut Builder, spec: &GraphSpec) -> Option<Self> {
        let inputs: [Value; 9] = b.inputs(&spec.inputs).try_into().ok()?;
        let [start, start_interactions, llm, task, text, kind, value, weight, group] = inputs;
        Some(Self { start, start_interactions, llm, task, text, kind, value, weight, group })
    }

    /// Returns the weights of interactions of one kind, `[batch, interactions]`; 0 for the others.
    pub(in crate::export) fn weight_of(&self, b: &mut Builder, kind: i64) -> Value {
        let kind = b.i64(&[], &[kind]);
        let is_kind = b.op("Equal", &[&self.kind, &kind]);
        let is_kind = b.op_with("Cast", &[&is_kind], vec![int("to", FLOAT)]);
        b.op("Mul", &[&self.weight, &is_kind])
    }
}

/// Returns the file's content.
pub fn build(model: &ClosedForm, spec: &GraphSpec) -> Vec<u8> {
    let mut b = Builder::new("adapter");
    let Some(inputs) = Inputs::new(&mut b, spec) else { return b.finish() };
    let sizes = [model.facts.tasks.len(), model.facts.llms.len()].map(|count| count as i64);
    let pair = pair(&mut b, sizes, &inputs);
    let reward = b.unsqueeze(&inputs.value, 2); // [batch, interactions, 1]
    let rating = inputs.weight_of(&mut b, 0);
    let weight = weight(&mut b, &inputs, &rating);
    let (evidence, factors) = match &model.adapter.loadings {
        None => {
            let log_likelihoods = log_likelihoods(&mut b, model, &pair, &reward);
            let evidence = b.op("MatMul", &[&weight, &log_likelihoods]); // [batch, 1, grid]
            (b.squeeze(&evidence, 1), None)
        }
        Some(loadings) => {
            let reward = factor::without_offsets(&mut b, loadings, &reward, &inputs.llm);
            let pair = b.unsqueeze(&pair, 2);
            let log_likelihoods = log_likelihoods_by_step(&mut b, model, &pair, &reward);
            let posterior = factor::posterior(&mut b, model, loadings, [&inputs.llm, &weight, &log_likelihoods]);
            (posterior.evidence, Some((loadings, posterior.factors)))
        }
    };
    let prior = b.tensor(&model.adapter.prior);
    let sum = b.op("Add", &[&evidence, &prior]);
    let posterior = b.op_with("Softmax", &[&sum], vec![int("axis", -1)]);
    let embedding = b.tensor(&model.adapter.embedding);
    let by_score = b.op("MatMul", &[&posterior, &embedding]);
    let certainty = certainty(&mut b, model, [&posterior, &by_score, &inputs.start_interactions]);
    let found = match factors {
        Some((loadings, factors)) => factor::embed(&mut b, model, loadings, [&posterior, &by_score, &factors]),
        None => by_score,
    };
    let user = from_start(&mut b, &inputs, [&found, &rating]);
    let preference = preference(&mut b, (&model.weights, &model.preference), &user);
    b.outputs(&spec.outputs, &[&user, &preference, &certainty]);
    b.finish()
}

/// Returns embeddings between the start and what is found, in proportion to their interactions.
fn from_start(b: &mut Builder, inputs: &Inputs, [found, rating]: [&Value; 2]) -> Value {
    let before = &inputs.start_interactions;
    let axes = b.i64(&[1], &[1]);
    let seen = b.op_with("ReduceSum", &[rating, &axes], vec![int("keepdims", 1)]);
    let all = b.op("Add", &[before, &seen]);
    let least = b.f32(&[], &[single(LEAST_COUNT)]);
    let all = b.op("Max", &[&all, &least]);
    let share = b.op("Div", &[before, &all]);
    let away = b.op("Sub", &[&inputs.start, found]);
    let kept = b.op("Mul", &[&share, &away]);
    b.op("Add", &[found, &kept])
}

/// Returns the share of the prior's variance that is removed, `[batch, 1]`.
fn certainty(b: &mut Builder, model: &ClosedForm, [posterior, mean, before]: [&Value; 3]) -> Value {
    let adapter = &model.adapter;
    let square = b.tensor(&adapter.square_norm());
    let square = b.op("MatMul", &[posterior, &square]);
    let norm = b.op("Mul", &[mean, mean]);
    let axes = b.i64(&[1], &[1]);
    let norm = b.op_with("ReduceSum", &[&norm, &axes], vec![int("keepdims", 1)]);
    let variance = b.op("Sub", &[&square, &norm]);
    let [prior, least, one, each] =
        [adapter.variance(), LEAST_VARIANCE, 1.0, RATING_INFORMATION].map(|x| b.f32(&[], &[single(x)]));
    let variance = b.op("Max", &[&variance, &least]);
    let removed = b.op("Div", &[&prior, &variance]);
    let removed = b.op("Max", &[&removed, &one]);
    let before = b.op("Mul", &[before, &each]);
    let information = b.op("Add", &[&removed, &before]);
    let left = b.op("Reciprocal", &[&information]);
    b.op("Sub", &[&one, &left])
}

/// Returns the index of each (task, LLM) pair, `[batch, interactions]`. Without a likely task it is an unknown one.
fn pair(b: &mut Builder, [tasks, llms]: [i64; 2], inputs: &Inputs) -> Value {
    let likeliest = b.op_with("ReduceMax", &[&inputs.task], vec![ints("axes", &[2]), int("keepdims", 0)]);
    let task = b.op_with("ArgMax", &[&inputs.task], vec![int("axis", 2), int("keepdims", 0)]);
    let least = b.f32(&[], &[single(LIKELY_TASK)]);
    let known = b.op("Greater", &[&likeliest, &least]);
    let unknown = b.i64(&[], &[tasks]);
    let task = b.op("Where", &[&known, &task, &unknown]);
    let llms = b.i64(&[], &[llms]);
    let row = b.op("Mul", &[&task, &llms]);
    b.op("Add", &[&row, &inputs.llm])
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

/// Returns the weight of each interaction, `[batch, 1, interactions]`, given that of each rating.
fn weight(b: &mut Builder, inputs: &Inputs, rating: &Value) -> Value {
    let [less, one, most, zero, several] =
        [1.0 - GROUPED_WEIGHT, 1.0, MAX_EVIDENCE, 0.0, 1.5].map(|x| b.f32(&[], &[single(x)]));
    let counted = b.op("Greater", &[rating, &zero]);
    let counted = b.op_with("Cast", &[&counted], vec![int("to", FLOAT)]);
    let counted = b.unsqueeze(&counted, 2);
    let (across, down) = (b.unsqueeze(&inputs.group, 1), b.unsqueeze(&inputs.group, 2));
    let same = b.op("Equal", &[&down, &across]);
    let same = b.op_with("Cast", &[&same], vec![int("to", FLOAT)]); // [batch, interactions, interactions]
    let members = b.op("MatMul", &[&same, &counted]);
    let members = b.squeeze(&members, 2);
    let grouped = b.op("Greater", &[&members, &several]);
    let grouped = b.op_with("Cast", &[&grouped], vec![int("to", FLOAT)]);
    let less = b.op("Mul", &[&grouped, &less]);
    let kept = b.op("Sub", &[&one, &less]);
    let weight = b.op("Mul", &[rating, &kept]);
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
