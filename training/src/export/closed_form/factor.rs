//! The posterior of user factors in the adapter graph: the same as [`crate::closed_form::model::factor`].

use tch::Tensor;

use crate::closed_form::ClosedForm;
use crate::closed_form::constants::{MIN_OFFSET_VARIANCE, OFFSET_STEPS};
use crate::closed_form::model::factor::Loadings;
use crate::export::builder::{Builder, Value, int, ints};
use crate::model::Model as _;
use crate::model::tensors::single;

/// Number of ONNX's 32-bit floats.
const FLOAT: i64 = 1;

/// What all ratings of a user say, at every point of the score grid.
pub struct FactorPosterior {
    /// `[batch, grid]`: log-likelihood.
    pub evidence: Value,
    /// `[batch, grid, factors]`: posterior means.
    pub factors: Value,
}

/// Returns rewards `[batch, interactions, 1]` minus every offset of the grid, `[batch, interactions, steps]`.
pub fn without_offsets(b: &mut Builder, loadings: &Loadings, reward: &Value, llm: &Value) -> Value {
    let offset = b.tensor(&(loadings.deviation().unsqueeze(1) * Loadings::grid())); // [L, S]
    let offset = b.op_with("Gather", &[&offset, llm], vec![int("axis", 0)]);
    b.op("Sub", &[reward, &offset])
}

/// Returns the posterior for log-likelihoods `[batch, interactions, steps, grid]` of weights `[batch, 1, interactions]`.
pub fn posterior(
    b: &mut Builder,
    model: &ClosedForm,
    loadings: &Loadings,
    [llm, weight, log_likelihoods]: [&Value; 3],
) -> FactorPosterior {
    let grid = model.adapter.prior.numel() as i64;
    let likelihoods = by_llm(b, model, [llm, weight, log_likelihoods], grid);
    let largest = b.op_with("ReduceMax", &[&likelihoods], vec![ints("axes", &[2, 3])]);
    let likelihoods = b.op("Sub", &[&likelihoods, &largest]);
    let offsets = b.tensor(&Loadings::grid().view([-1, 1]));
    let prior = b.tensor(&Loadings::prior().view([-1, 1]));
    let logits = b.op("Add", &[&likelihoods, &prior]);
    let log = b.op_with("LogSoftmax", &[&logits], vec![int("axis", 2)]);
    let probability = b.op("Exp", &[&log]);
    let evidence = b.op("Sub", &[&logits, &log]);
    let mut expect = |value: &Value| {
        let product = b.op("Mul", &[&probability, value]);
        b.sum(&product, 2) // [B, L, G]
    };
    let evidence = expect(&evidence);
    let mean = expect(&offsets);
    let middle = b.unsqueeze(&mean, 2);
    let away = b.op("Sub", &[&offsets, &middle]);
    let square = b.op("Mul", &[&away, &away]);
    let square = b.op("Mul", &[&probability, &square]);
    let variance = b.sum(&square, 2);
    let prior = Loadings::variance();
    let [least, half, prior, inverse] =
        [MIN_OFFSET_VARIANCE, 0.5, prior, prior.recip()].map(|x| b.f32(&[], &[single(x)]));
    let variance = b.op("Clip", &[&variance, &least, &prior]);
    let precision = b.op("Reciprocal", &[&variance]);
    let precision = b.op("Sub", &[&precision, &inverse]);
    let pull = b.op("Div", &[&mean, &variance]);
    let (found, determinant) = solve(b, loadings, [&precision, &pull]);
    let direction = b.tensor(&loadings.direction().tr());
    let joint = b.op("MatMul", &[&found, &direction]);
    let joint = b.swapped(&joint); // [B, L, G]
    let apart = b.op("Sub", &[&joint, &mean]);
    let apart = b.op("Mul", &[&apart, &apart]);
    let apart = b.op("Div", &[&apart, &variance]);
    let far = b.op("Mul", &[&joint, &joint]);
    let far = b.op("Div", &[&far, &prior]);
    let sharp = b.op("Div", &[&variance, &prior]);
    let sharp = b.op("Log", &[&sharp]);
    let apart = b.op("Sub", &[&apart, &far]);
    let apart = b.op("Add", &[&apart, &sharp]);
    let apart = b.op("Mul", &[&apart, &half]);
    let evidence = b.op("Sub", &[&evidence, &apart]);
    let evidence = b.sum(&evidence, 1); // [B, G]
    let far = b.op("Mul", &[&found, &found]);
    let far = b.sum(&far, 2);
    let far = b.op("Add", &[&far, &determinant]);
    let far = b.op("Mul", &[&far, &half]);
    FactorPosterior { evidence: b.op("Sub", &[&evidence, &far]), factors: found }
}

/// Sums log-likelihoods by LLM: `[batch, llms, steps, grid]`.
fn by_llm(b: &mut Builder, model: &ClosedForm, [llm, weight, log_likelihoods]: [&Value; 3], grid: i64) -> Value {
    let llms = model.facts.llms.len() as i64;
    let all: Vec<i64> = (0..llms).collect();
    let all = b.i64(&[model.facts.llms.len(), 1], &all);
    let llm = b.unsqueeze(llm, 1); // [B, 1, N]
    let of = b.op("Equal", &[&llm, &all]);
    let of = b.op_with("Cast", &[&of], vec![int("to", FLOAT)]); // [B, L, N]
    let of = b.op("Mul", &[&of, weight]);
    let flat = b.i64(&[3], &[0, -1, OFFSET_STEPS * grid]);
    let log_likelihoods = b.op("Reshape", &[log_likelihoods, &flat]);
    let sums = b.op("MatMul", &[&of, &log_likelihoods]);
    b.reshape(&sums, &[llms, OFFSET_STEPS, grid])
}

/// Solves for the factors by elimination, which needs no order of pivots: the matrix is positive definite.
fn solve(b: &mut Builder, loadings: &Loadings, [precision, pull]: [&Value; 2]) -> (Value, Value) {
    let (count, direction) = (loadings.count(), loadings.direction());
    let outer = b.tensor(&(direction.unsqueeze(2) * direction.unsqueeze(1)).flatten(1, 2));
    let direction = b.tensor(&direction);
    let [precision, pull] = [precision, pull].map(|value| b.swapped(value)); // [B, G, L]
    let matrix = b.op("MatMul", &[&precision, &outer]);
    let shape = b.i64(&[4], &[0, 0, count, count]);
    let matrix = b.op("Reshape", &[&matrix, &shape]);
    let unit = Tensor::eye(count, (tch::Kind::Float, tch::Device::Cpu));
    let eye = b.tensor(&unit);
    let matrix = b.op("Add", &[&matrix, &eye]);
    let right = b.op("MatMul", &[&pull, &direction]); // [B, G, K]
    let column = b.unsqueeze(&right, 3);
    let mut rows = b.op_with("Concat", &[&matrix, &column], vec![int("axis", 3)]); // [B, G, K, K + 1]
    let mut determinant = b.f32(&[], &[0.0]);
    for factor in 0..count {
        let idx = b.i64(&[], &[factor]);
        let column = b.op_with("Gather", &[&rows, &idx], vec![int("axis", 3)]); // [B, G, K]
        let row = b.op_with("Gather", &[&rows, &idx], vec![int("axis", 2)]); // [B, G, K + 1]
        let pivot = b.op_with("Gather", &[&column, &idx], vec![int("axis", 2)]); // [B, G]
        let log = b.op("Log", &[&pivot]);
        determinant = b.op("Add", &[&determinant, &log]);
        let pivot = b.unsqueeze(&pivot, 2);
        let row = b.op("Div", &[&row, &pivot]);
        let own = b.tensor(&unit.get(factor));
        let column = b.op("Sub", &[&column, &own]);
        let (column, row) = (b.unsqueeze(&column, 3), b.unsqueeze(&row, 2));
        let taken = b.op("Mul", &[&column, &row]);
        rows = b.op("Sub", &[&rows, &taken]);
    }
    let last = b.i64(&[], &[count]);
    let factors = b.op_with("Gather", &[&rows, &last], vec![int("axis", 3)]); // [B, G, K]
    (factors, determinant)
}

/// Returns the embedding of a posterior `[batch, grid]`: its mean, with the mean factors as the last elements.
pub fn embed(
    b: &mut Builder,
    model: &ClosedForm,
    loadings: &Loadings,
    [posterior, user, factors_by_score]: [&Value; 3],
) -> Value {
    let row = b.unsqueeze(posterior, 1);
    let mean = b.op("MatMul", &[&row, factors_by_score]);
    let mean = b.squeeze(&mean, 1); // [B, K]
    let before = model.user_dim() as i64 - loadings.count();
    let last = Tensor::eye(loadings.count(), (tch::Kind::Float, tch::Device::Cpu)).constant_pad_nd([before, 0]);
    let last = b.tensor(&last);
    let mean = b.op("MatMul", &[&mean, &last]);
    b.op("Add", &[user, &mean])
}
