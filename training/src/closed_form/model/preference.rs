//! The preference direction: the line between the cost and the effect coefficients in the space of preference weights.
//!
//! A declared preference p stands for the weights `p · effect + (1 − p) · cost`, so that
//! `utility(p) = p · expected effect − (1 − p) · expected cost` with `expected effect = Σ_k effect_k V_k` and
//! `expected cost = −Σ_k cost_k V_k`. Between two values of p, the exchange argument applies: the LLM chosen with the larger p
//! never has the smaller effect.

use tch::{Device, Kind, Tensor};

/// Weights at both ends of the direction, and the linear map from weights to a preference score.
#[derive(Debug)]
pub struct PreferenceDirection {
    /// `[weights]`: weights of a user to whom only effect counts.
    pub effect: Tensor,
    /// `[weights]`: weights of a user to whom only cost counts.
    pub cost: Tensor,
    /// `[weights]`: score = weights · gain + offset.
    pub gain: Tensor,
    /// `[1]`.
    pub offset: Tensor,
}

impl PreferenceDirection {
    /// Returns the direction between these weights; `values` is `[tasks, llms, weights]`.
    pub fn between(effect: Tensor, cost: Tensor, values: &Tensor) -> Self {
        let metric = metric(values);
        let span = &effect - &cost;
        let pull = metric.mv(&span);
        let length = span.dot(&pull).double_value(&[]);
        let gain = if length > 1e-12 { pull / length } else { span.zeros_like() };
        let middle = if length > 1e-12 { 0.0 } else { 0.5 };
        let offset = middle - cost.dot(&gain).unsqueeze(0);
        Self { effect, cost, gain, offset }
    }

    /// Returns the direction between these weights; the last `factors` of them do not influence the score.
    pub fn beside(effect: Tensor, cost: Tensor, values: &Tensor, factors: i64) -> Self {
        let weights = values.size().last().copied().unwrap_or(0);
        let coefficients = values.narrow(2, 0, weights - factors);
        Self::between(effect, cost, &coefficients.constant_pad_nd([0, factors]))
    }

    /// Returns the weights `[batch, weights]` of declared preferences `[batch, 1]`.
    pub fn declared(&self, preference: &Tensor) -> Tensor {
        preference * (&self.effect - &self.cost) + &self.cost
    }

    /// Returns preference scores `[users]`, clamped to 0 (cost) … 1 (effect), of weights `[users, weights]`.
    pub fn score(&self, weights: &Tensor) -> Tensor {
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
