//! From cost to effect where no estimate tells the two apart: the direction in which users' weights differ most.

use tch::{Kind, Tensor};

use crate::closed_form::model::preference::PreferenceDirection;

/// Share of users beyond each end of the direction.
const TAIL: f64 = 0.01;
/// Rounds of power iteration; the direction explains most of the spread, so a few suffice.
const ROUNDS: usize = 100;

/// Finds the main direction of spread of the weights `[users, weights]` of a population, measured in utility; effect is the end
/// at which expensive LLMs are liked better. `values` are `[tasks, llms, weights]`.
pub fn main(weights: &Tensor, values: &Tensor, log_price: &[f32]) -> PreferenceDirection {
    let mean = weights.mean_dim(0, false, Kind::Float);
    let spread = weights - &mean; // [U, K]
    let centred = values - values.mean_dim(1, true, Kind::Float); // [T, L, K]
    let rows = centred.view([-1, values.size().last().copied().unwrap_or(1)]);
    let metric = rows.tr().matmul(&rows);
    let covariance = spread.tr().matmul(&spread) / (spread.size().first().copied().unwrap_or(1) as f64);
    let direction = leading(&covariance.matmul(&metric));
    let pull = metric.mv(&direction);
    let place = spread.mv(&pull) / direction.dot(&pull).clamp_min(1e-12);
    let end = |share: f64| {
        let at = place.quantile_scalar(share, 0, false, "linear").double_value(&[]);
        &mean + &direction * at
    };
    let (low, high) = (end(TAIL), end(1.0 - TAIL));
    let change = values.matmul(&(&high - &low)).mean_dim(0, false, Kind::Float); // [L]
    let price = Tensor::from_slice(log_price);
    let likes_expensive = change.dot(&(&price - price.mean(Kind::Float))).double_value(&[]) >= 0.0;
    let (effect, cost) = if likes_expensive { (high, low) } else { (low, high) };
    PreferenceDirection::between(effect, cost, values)
}

/// Returns the leading eigenvector.
fn leading(matrix: &Tensor) -> Tensor {
    // Starting from the column sums cannot miss it other than by a coincidence of zeros.
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
