//! The part of the adapter graph that reads tastes: the same message passing as [`crate::closed_form::model::factor`].

use tch::Tensor;

use crate::closed_form::ClosedForm;
use crate::closed_form::model::factor::{SHARPEST, STEPS, Tastes};
use crate::export::builder::{Builder, Value, int, ints};
use crate::model::Model as _;
use crate::model::tensors::single;

/// Number of ONNX's 32-bit floats.
const FLOAT: i64 = 1;

/// What all ratings say from each position.
pub struct Heard {
    /// `[batch, positions]`.
    pub evidence: Value,
    /// `[batch, positions, tastes]`.
    pub tastes: Value,
}

/// Returns rewards `[batch, interactions, 1]` less what each shift of the LLM stands for, `[batch, interactions, steps]`.
pub fn shifted(b: &mut Builder, tastes: &Tastes, reward: &Value, llm: &Value) -> Value {
    let shift = b.tensor(&(tastes.deviation().unsqueeze(1) * Tastes::steps())); // [L, S]
    let shift = b.op_with("Gather", &[&shift, llm], vec![int("axis", 0)]);
    b.op("Sub", &[reward, &shift])
}

/// Hears messages `[batch, interactions, steps, positions]` that count `weight` `[batch, 1, interactions]` each.
pub fn hear(b: &mut Builder, model: &ClosedForm, tastes: &Tastes, [llm, weight, messages]: [&Value; 3]) -> Heard {
    let places = model.adapter.prior.numel() as i64;
    let told = by_llm(b, model, [llm, weight, messages], places);
    let most = b.op_with("ReduceMax", &[&told], vec![ints("axes", &[2, 3])]);
    let told = b.op("Sub", &[&told, &most]);
    let steps = b.tensor(&Tastes::steps().view([-1, 1]));
    let prior = b.tensor(&Tastes::prior().view([-1, 1]));
    let logits = b.op("Add", &[&told, &prior]);
    let log = b.op_with("LogSoftmax", &[&logits], vec![int("axis", 2)]);
    let share = b.op("Exp", &[&log]);
    let likely = b.op("Sub", &[&logits, &log]);
    let mut expect = |value: &Value| {
        let product = b.op("Mul", &[&share, value]);
        b.sum(&product, 2) // [B, L, G]
    };
    let likely = expect(&likely);
    let mean = expect(&steps);
    let middle = b.unsqueeze(&mean, 2);
    let away = b.op("Sub", &[&steps, &middle]);
    let square = b.op("Mul", &[&away, &away]);
    let square = b.op("Mul", &[&share, &square]);
    let variance = b.sum(&square, 2);
    let prior = Tastes::variance();
    let [sharpest, half, prior, inverse] = [SHARPEST, 0.5, prior, prior.recip()].map(|x| b.f32(&[], &[single(x)]));
    let variance = b.op("Clip", &[&variance, &sharpest, &prior]);
    let precision = b.op("Reciprocal", &[&variance]);
    let precision = b.op("Sub", &[&precision, &inverse]);
    let pull = b.op("Div", &[&mean, &variance]);
    let (found, determinant) = solve(b, tastes, [&precision, &pull]);
    let direction = b.tensor(&tastes.direction().tr());
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
    let evidence = b.op("Sub", &[&likely, &apart]);
    let evidence = b.sum(&evidence, 1); // [B, G]
    let far = b.op("Mul", &[&found, &found]);
    let far = b.sum(&far, 2);
    let far = b.op("Add", &[&far, &determinant]);
    let far = b.op("Mul", &[&far, &half]);
    Heard { evidence: b.op("Sub", &[&evidence, &far]), tastes: found }
}

/// Sums messages by LLM: `[batch, llms, steps, positions]`.
fn by_llm(b: &mut Builder, model: &ClosedForm, [llm, weight, messages]: [&Value; 3], places: i64) -> Value {
    let llms = model.facts.llms.len() as i64;
    let all: Vec<i64> = (0..llms).collect();
    let all = b.i64(&[model.facts.llms.len(), 1], &all);
    let llm = b.unsqueeze(llm, 1); // [B, 1, N]
    let of = b.op("Equal", &[&llm, &all]);
    let of = b.op_with("Cast", &[&of], vec![int("to", FLOAT)]); // [B, L, N]
    let of = b.op("Mul", &[&of, weight]);
    let flat = b.i64(&[3], &[0, -1, STEPS * places]);
    let messages = b.op("Reshape", &[messages, &flat]);
    let sums = b.op("MatMul", &[&of, &messages]);
    b.reshape(&sums, &[llms, STEPS, places])
}

/// Solves for the tastes by elimination, which needs no order of pivots: the matrix is positive definite.
fn solve(b: &mut Builder, tastes: &Tastes, [precision, pull]: [&Value; 2]) -> (Value, Value) {
    let (count, direction) = (tastes.count(), tastes.direction());
    let outer = b.tensor(&(direction.unsqueeze(2) * direction.unsqueeze(1)).flatten(1, 2));
    let direction = b.tensor(&direction);
    let [precision, pull] = [precision, pull].map(|message| b.swapped(message)); // [B, G, L]
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
    for taste in 0..count {
        let idx = b.i64(&[], &[taste]);
        let column = b.op_with("Gather", &[&rows, &idx], vec![int("axis", 3)]); // [B, G, K]
        let row = b.op_with("Gather", &[&rows, &idx], vec![int("axis", 2)]); // [B, G, K + 1]
        let pivot = b.op_with("Gather", &[&column, &idx], vec![int("axis", 2)]); // [B, G]
        let log = b.op("Log", &[&pivot]);
        determinant = b.op("Add", &[&determinant, &log]);
        let pivot = b.unsqueeze(&pivot, 2);
        let row = b.op("Div", &[&row, &pivot]);
        let own = b.tensor(&unit.get(taste));
        let column = b.op("Sub", &[&column, &own]);
        let (column, row) = (b.unsqueeze(&column, 3), b.unsqueeze(&row, 2));
        let taken = b.op("Mul", &[&column, &row]);
        rows = b.op("Sub", &[&rows, &taken]);
    }
    let last = b.i64(&[], &[count]);
    let tastes = b.op_with("Gather", &[&rows, &last], vec![int("axis", 3)]); // [B, G, K]
    (tastes, determinant)
}

/// Returns the user of a belief `[batch, positions]`: its mean embedding, and its mean tastes in the last places.
pub fn embed(b: &mut Builder, model: &ClosedForm, tastes: &Tastes, [belief, user, read]: [&Value; 3]) -> Value {
    let row = b.unsqueeze(belief, 1);
    let mean = b.op("MatMul", &[&row, read]);
    let mean = b.squeeze(&mean, 1); // [B, K]
    let before = model.user_dim() as i64 - tastes.count();
    let places = Tensor::eye(tastes.count(), (tch::Kind::Float, tch::Device::Cpu)).constant_pad_nd([before, 0]);
    let places = b.tensor(&places);
    let mean = b.op("MatMul", &[&mean, &places]);
    b.op("Add", &[user, &mean])
}
