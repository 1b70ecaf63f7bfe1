//! Factors of users' opinions of LLMs beyond the preference score, by expectation and maximisation.
//!
//! The residual of a rating is `slope · correction + loading · factors + noise`: the correction moves the user's preference
//! score, the factors are `N(0, 1)` over users, the loadings belong to the LLM. All ratings of a user give one Gaussian
//! posterior of correction and factors; loadings follow from the posteriors of all users (factor analysis, with parameter
//! expansion: Liu, Rubin and Wu 1998). Factors that ratings hardly determine are dropped, and held-out ratings decide
//! whether there are any: each is predicted from the user's others, with factors and without.

pub mod analysis;
mod validation;

use tch::{Kind, Tensor};

use super::ratings::Ratings;
use crate::closed_form::constants::{
    FACTOR_MIN_EXPLAINED, FACTOR_MIN_LOADING, FACTOR_MIN_USERS, FACTOR_ROUNDS, FACTOR_SAMPLE, NO_CORRECTION,
    SCORE_CORRECTION,
};

use analysis::{FactorFit, Residuals, Statistics, canonical};
use validation::improve_prediction;

/// Returns the factors of the residuals; none where they do not improve the prediction of held-out ratings.
pub fn fit(ratings: &Ratings, residuals: &Residuals) -> Option<FactorFit> {
    let statistics = Statistics::of(ratings, residuals);
    let users = sample_users(&statistics.sums[3])?;
    let sample = statistics.pick(&users);
    let mut loadings = sample.initial_loadings()?;
    let mut scale = sample.scale();
    for _ in 0..FACTOR_ROUNDS {
        let posterior = sample.posterior(&loadings, scale, SCORE_CORRECTION);
        scale = sample.variance_left(&posterior);
        loadings = sample.maximise(&loadings, &posterior);
    }
    let loadings = kept(&sample, &loadings, scale)?;
    if !improve_prediction(ratings, residuals, (&users, &sample), (&loadings, scale)) {
        return None;
    }
    Some(statistics.estimate_users(loadings, scale, SCORE_CORRECTION))
}

/// Returns the user factors for these loadings, with preference scores that stay as they are.
pub fn refit_users(ratings: &Ratings, residuals: &Residuals, found: &FactorFit) -> FactorFit {
    Statistics::of(ratings, residuals).estimate_users(found.loadings.shallow_clone(), found.scale, NO_CORRECTION)
}

/// Returns users who rated anything, evenly sampled where there are many; none where there are too few.
fn sample_users(counts: &Tensor) -> Option<Tensor> {
    let seen = counts.gt(0.0).nonzero().view([-1]);
    let count = seen.size().first().copied().unwrap_or(0);
    if seen.numel() < FACTOR_MIN_USERS {
        return None;
    }
    let kept = count.min(FACTOR_SAMPLE);
    let every = Tensor::from_slice(&(0..kept).map(|i| i * count / kept).collect::<Vec<i64>>());
    Some(seen.index_select(0, &every.to_device(seen.device())))
}

/// Returns the loadings of factors that ratings determine.
fn kept(sample: &Statistics, loadings: &Tensor, scale: f64) -> Option<Tensor> {
    let factors = loadings.size().last().copied().unwrap_or(0);
    let loadings = canonical(&loadings.matmul(&loadings.tr()), factors);
    let posterior = sample.posterior(&loadings, scale, SCORE_CORRECTION);
    let open = posterior.covariance.diagonal(0, 1, 2).mean_dim(0, false, Kind::Double).narrow(0, 1, factors);
    let explained: Tensor = 1.0 - open;
    let size = loadings.square().mean_dim(0, false, Kind::Double).sqrt();
    let stays = explained.ge(FACTOR_MIN_EXPLAINED).logical_and(&size.ge(FACTOR_MIN_LOADING)).nonzero().view([-1]);
    (stays.numel() > 0).then(|| loadings.index_select(1, &stays))
}
