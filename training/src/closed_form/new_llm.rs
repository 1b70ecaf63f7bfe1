//! Estimates of LLMs that training has not seen: empirical Bayes on two levels, relative to the known LLMs.
//!
//! Each coefficient of an answer is the mean of the known LLMs on the same query plus the LLM's own difference:
//! `known mean + LLM mean + task deviation + noise`, with variances that are estimated by treating each known LLM as new
//! ([`prior`]). Ratings of a few answers update mean and deviations in closed form ([`estimate`]). Both coefficients are solved
//! together, since one rating only determines `score · effect + (1 − score) · cost`. The price of an LLM predicts the mean of
//! its cost coefficient. Until ratings say more, the effect is a lower confidence bound.

pub mod matrix;

pub mod estimate;
pub mod prior;
pub mod rating;

use tch::{Kind, Tensor};

/// Returns the logarithm of a typical answer's price: prompts and answers are about as long, but answers cost more of what
/// varies between LLMs.
pub fn log_price(input: f32, output: f32) -> f64 {
    (f64::from(input) + 2.0 * f64::from(output) + 1e-6).ln()
}

fn floats(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_kind(Kind::Double).contiguous().view([-1]);
    let mut out = vec![0.0; flat.numel()];
    let count = out.len();
    flat.copy_data(&mut out, count);
    out
}
