//! Whether factors improve the prediction of held-out ratings: each rating predicted from the user's others.

use tch::{Kind, Tensor};

use super::analysis::{Residuals, Statistics};
use crate::closed_form::constants::{CHUNK, FACTOR_MIN_GAIN, FACTOR_STANDARD_ERRORS, SCORE_CORRECTION};
use crate::closed_form::estimate::ratings::Ratings;

/// Returns whether these loadings predict held-out ratings better than corrected preference scores alone, by more than
/// chance.
pub(super) fn improve_prediction(
    ratings: &Ratings,
    residuals: &Residuals,
    (users, sample): (&Tensor, &Statistics),
    (loadings, scale): (&Tensor, f64),
) -> bool {
    let count = users.size().first().copied().unwrap_or(0);
    let row_of = Tensor::full([ratings.users], -1, (Kind::Int64, users.device()));
    let row_of = row_of.index_copy(0, users, &Tensor::arange(count, (Kind::Int64, users.device())));
    let row = row_of.index_select(0, &ratings.user);
    let sampled = row.ge(0).nonzero().view([-1]);
    let row = row.index_select(0, &sampled);
    let pick = |column: &Tensor| column.index_select(0, &sampled);
    let [slope, error, weight] = [&residuals.slope, &residuals.error, &residuals.weight].map(pick);
    let llm = pick(&ratings.pair.remainder(ratings.llms));
    let without = {
        let [square, pull, ..] = &sample.sums;
        let variance = (square / sample.scale() + SCORE_CORRECTION.powi(-2)).reciprocal();
        let correction = (&variance * pull / sample.scale()).index_select(0, &row);
        let leverage = &weight / sample.scale() * slope.square() * variance.index_select(0, &row);
        held_out(&(&error - &slope * correction), &leverage)
    };
    let posterior = sample.posterior(loadings, scale, SCORE_CORRECTION);
    let width = 1 + loadings.size().last().copied().unwrap_or(0);
    let step = (CHUNK / (width * width)).max(1);
    let mut with = Vec::new();
    let mut begin = 0;
    while begin < sampled.numel() as i64 {
        let length = step.min(sampled.numel() as i64 - begin);
        let part = |column: &Tensor| column.narrow(0, begin, length);
        let row = part(&row);
        let design = Tensor::cat(&[&part(&slope).unsqueeze(1), &loadings.index_select(0, &part(&llm))], 1); // [n, 1 + K]
        let covariance = posterior.covariance.index_select(0, &row);
        let leverage = covariance.matmul(&design.unsqueeze(2)).squeeze_dim(2) * &design;
        let leverage = leverage.sum_dim_intlist(1, false, Kind::Double) * part(&weight) / scale;
        let expected = (posterior.mean.index_select(0, &row) * design).sum_dim_intlist(1, false, Kind::Double);
        with.push(held_out(&(part(&error) - expected), &leverage));
        begin += length;
    }
    let before = (&weight * without.square()).sum(Kind::Double).double_value(&[]) / count as f64;
    let gain = weight * (without.square() - Tensor::cat(&with, 0).square());
    let gain = Tensor::zeros([count], (Kind::Double, gain.device())).index_add(0, &row, &gain);
    let mean = gain.mean(Kind::Double).double_value(&[]);
    let standard_error = gain.std(true).double_value(&[]) / (count as f64).sqrt();
    mean > (FACTOR_STANDARD_ERRORS * standard_error).max(FACTOR_MIN_GAIN * before)
}

/// Returns the errors of held-out predictions; `leverage` is the share of a rating in its own prediction.
fn held_out(error: &Tensor, leverage: &Tensor) -> Tensor {
    let others: Tensor = 1.0 - leverage;
    error / others.clamp_min(0.05)
}
