//! The line between cost and quality in the space of preference weights.
//!
//! A declared preference p stands for the weights `p · quality + (1 − p) · cost`, so that
//! `utility(p) = p · effect − (1 − p) · expense` with `effect = Σ_k quality_k V_k` and `expense = −Σ_k cost_k V_k`.
//! Between two values of p, the exchange argument applies: the LLM chosen with the larger p never has the smaller effect.

use tch::{Device, Kind, Tensor};

/// Share of users beyond each end of the axis.
const TAIL: f64 = 0.01;
/// Rounds of power iteration; the axis explains nearly all of the spread, so a few suffice.
const ROUNDS: usize = 100;

/// Both ends, and the linear map from weights to a position between them.
#[derive(Debug)]
pub struct Axis {
    /// `[weights]`: all that counts is quality.
    pub quality: Tensor,
    /// `[weights]`: all that counts is cost.
    pub cost: Tensor,
    /// `[weights]`: position = weights · gain + offset.
    pub gain: Tensor,
    /// `[1]`.
    pub offset: Tensor,
}

impl Axis {
    /// Returns the axis whose ends are known; `values` is `[tasks, llms, weights]`.
    pub fn between(quality: Tensor, cost: Tensor, values: &Tensor) -> Self {
        let metric = metric(values);
        let span = &quality - &cost;
        let pull = metric.mv(&span);
        let length = span.dot(&pull).double_value(&[]);
        let gain = if length > 1e-12 { pull / length } else { span.zeros_like() };
        let middle = if length > 1e-12 { 0.0 } else { 0.5 };
        let offset = middle - cost.dot(&gain).unsqueeze(0);
        Self { quality, cost, gain, offset }
    }

    /// Returns the axis between two ends, the last `others` of the weights having no say in where a user stands.
    pub fn beside(quality: Tensor, cost: Tensor, values: &Tensor, others: i64) -> Self {
        let weights = values.size().last().copied().unwrap_or(0);
        let ends = values.narrow(2, 0, weights - others);
        Self::between(quality, cost, &ends.constant_pad_nd([0, others]))
    }

    /// Finds the axis in the weights `[users, weights]` of a population: their main direction of spread, measured in
    /// utility, with the end at which expensive LLMs are liked better as quality.
    pub fn fit(weights: &Tensor, values: &Tensor, log_price: &[f32]) -> Self {
        let mean = weights.mean_dim(0, false, Kind::Float);
        let spread = weights - &mean; // [U, K]
        let metric = metric(values);
        let covariance = spread.tr().matmul(&spread) / (spread.size().first().copied().unwrap_or(1) as f64);
        let direction = main_direction(&covariance.matmul(&metric));
        let pull = metric.mv(&direction);
        let position = spread.mv(&pull) / direction.dot(&pull).clamp_min(1e-12);
        let end = |share: f64| {
            let at = position.quantile_scalar(share, 0, false, "linear").double_value(&[]);
            &mean + &direction * at
        };
        let (low, high) = (end(TAIL), end(1.0 - TAIL));
        if likes_expensive(&(&high - &low), values, log_price) {
            Self::between(high, low, values)
        } else {
            Self::between(low, high, values)
        }
    }

    /// Returns the weights `[batch, weights]` of declared preferences `[batch, 1]`.
    pub fn declared(&self, preference: &Tensor) -> Tensor {
        preference * (&self.quality - &self.cost) + &self.cost
    }

    /// Returns positions `[users]`, clamped to 0 (cost) … 1 (quality), of weights `[users, weights]`.
    pub fn preference(&self, weights: &Tensor) -> Tensor {
        (weights.mv(&self.gain) + &self.offset).clamp(0.0, 1.0)
    }
}

/// Returns `[weights, weights]`: how much a change of weights changes the differences between LLMs.
fn metric(values: &Tensor) -> Tensor {
    let centred = values - values.mean_dim(1, true, Kind::Float); // [T, L, K]
    let weights = centred.size().last().copied().unwrap_or(1);
    let rows = centred.view([-1, weights]);
    rows.tr().matmul(&rows) + Tensor::eye(weights, (Kind::Float, Device::Cpu)) * 1e-9
}

fn main_direction(matrix: &Tensor) -> Tensor {
    // Starting from the column sums cannot miss the main direction other than by a coincidence of zeros.
    let mut direction = matrix.abs().sum_dim_intlist(1, false, Kind::Float) + 1e-9;
    for _ in 0..ROUNDS {
        let next = matrix.mv(&direction);
        let norm = next.norm().double_value(&[]);
        if norm <= 1e-20 {
            return direction.zeros_like();
        }
        direction = next / norm;
    }
    direction
}

fn likes_expensive(span: &Tensor, values: &Tensor, log_price: &[f32]) -> bool {
    let change = values.matmul(span).mean_dim(0, false, Kind::Float); // [L]
    let price = Tensor::from_slice(log_price);
    let centred = &price - price.mean(Kind::Float);
    change.dot(&centred).double_value(&[]) >= 0.0
}
