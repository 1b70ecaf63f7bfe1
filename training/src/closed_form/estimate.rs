//! Estimation: users' preference scores and factors, and the coefficients of answers, from ratings alone.
//!
//! 1. Alternating least squares of linear fits ([`linear`]): exact where all ratings of an answer lie on a line over the
//!    users' scores. Held-out ratings decide whether they do: each is predicted from all others.
//! 2. Where they do not (bandit feedback, noise, factors), scores follow from the fit of (task, LLM) pairs and then from
//!    posteriors of single answers ([`posterior`]), and answers from the scores by expectation and maximisation, with a
//!    covariance of LLMs ([`covariance`]).
//! 3. Factors are estimated together with linear fits as offsets ([`offset`]), or alternating with answers ([`alternate`]);
//!    held-out ratings decide whether there are any ([`factor`]).

pub mod alternate;
pub mod covariance;
pub mod factor;
pub mod linear;
pub mod offset;
pub mod posterior;
pub mod ratings;

#[cfg(test)]
mod tests;

use tch::{Device, Kind, Tensor};

use super::components::{Components, task_llm_means};
use super::constants::{LINEAR_COVERAGE, LINEAR_ERROR, OFFSET_IMPROVEMENT, OFFSET_MIN_ERROR};
use crate::data::{Dataset, Interactions, Setting};
use crate::model::hparams::Part;
use crate::model::tensors::from2;

use covariance::Answers;
use linear::LinearFit;
use posterior::ScoreEstimate;
use ratings::Ratings;

/// Returns the components of the interactions' rewards.
///
/// In [`Setting::EffectCost`] the coefficients are the data's effects and costs, and only scores and factors are
/// estimated. `without` may leave out [`Part::Covariance`] and [`Part::Factors`].
pub fn estimate(
    (dataset, interactions): (&Dataset, &Interactions),
    setting: Setting,
    without: &[Part],
    device: Device,
) -> Components {
    let _guard = tch::no_grad_guard();
    let ratings = Ratings::new(dataset, interactions, device);
    let (with_covariance, with_factors) = (!without.contains(&Part::Covariance), !without.contains(&Part::Factors));
    let mut components = match setting {
        Setting::EffectCost => {
            let mut components = known(dataset, &ratings);
            if with_factors {
                alternate::add(&ratings, &mut components);
            }
            components
        }
        Setting::Rewards => by_rewards(&ratings, with_covariance, with_factors),
    };
    let unseen = ratings.ratings().eq(0.0).to_device(Device::Cpu);
    components.scores = components.scores.masked_fill(&unseen, 0.5).clamp(0.0, 1.0);
    components
}

fn by_rewards(ratings: &Ratings, with_covariance: bool, with_factors: bool) -> Components {
    let fit = linear::fit(ratings);
    let covered = fit.coverage() >= LINEAR_COVERAGE;
    if with_factors && covered && fit.held_out > OFFSET_MIN_ERROR {
        let with_offsets = offset::fit(ratings, &fit);
        if with_offsets.held_out <= LINEAR_ERROR && with_offsets.held_out <= OFFSET_IMPROVEMENT * fit.held_out {
            let mut components = by_linear_fit(ratings, &with_offsets);
            alternate::add(ratings, &mut components);
            return components;
        }
    }
    if covered && fit.held_out <= LINEAR_ERROR {
        return by_linear_fit(ratings, &fit);
    }
    by_covariance(ratings, with_covariance, with_factors)
}

/// Returns the components of linear fits, their scores rescaled to 0 to 1.
fn by_linear_fit(ratings: &Ratings, fit: &LinearFit) -> Components {
    let weight = ratings.as_rows(&fit.count).gt(0.0).to_kind(Kind::Double).to_device(Device::Cpu);
    let tasks = ratings.tasks.to_device(Device::Cpu);
    let means = |rows: &Tensor| task_llm_means(rows, &weight, &tasks, ratings.task_count);
    let filled = |rows: &Tensor| {
        let means = means(rows);
        let fallback = means.index_select(0, &tasks);
        (rows.where_self(&weight.gt(0.0), &fallback), means)
    };
    let seen = ratings.ratings().gt(0.0);
    let (low, high) = linear::range(&fit.scores.masked_select(&seen));
    let at = |score: f64| ratings.as_rows(&(&fit.intercept + &fit.slope * score)).to_device(Device::Cpu);
    let mut scores = (fit.scores.to_device(Device::Cpu) - low) / (high - low).max(1e-12);
    let (mut effect, mut cost) = (at(high), at(low));
    // Effects differ between queries of a task more than costs do.
    let within_tasks = |rows: &Tensor| squares_within_tasks(rows, &means(rows), &weight, &tasks);
    if within_tasks(&cost) > within_tasks(&effect) {
        std::mem::swap(&mut effect, &mut cost);
        scores = 1.0 - scores;
    }
    let (effect, effect_means) = filled(&effect);
    let (cost, cost_means) = filled(&cost);
    let residual = |rows: &Tensor, means: &Tensor| rows - means.index_select(0, &tasks);
    let zero = linear::zero_effect_score(&residual(&effect, &effect_means), &residual(&cost, &cost_means));
    let cost = &cost + (&effect - &cost) * zero;
    let cost_means = &cost_means + (&effect_means - &cost_means) * zero;
    Components {
        queries: ratings.queries.clone(),
        tasks,
        scores: (scores - zero) / (1.0 - zero),
        effect: effect * ratings.unit,
        cost: cost * ratings.unit,
        weight,
        effect_means: effect_means * ratings.unit,
        cost_means: cost_means * ratings.unit,
        noise: fit.residual * ratings.unit,
        factors: None,
    }
}

/// Returns the sum of squares within (task, LLM) pairs.
fn squares_within_tasks(rows: &Tensor, means: &Tensor, weight: &Tensor, tasks: &Tensor) -> f64 {
    let error = (rows - means.index_select(0, tasks)).square() * weight;
    error.sum(Kind::Double).double_value(&[])
}

/// Returns the components of ratings that are few, noisy or personal beyond a preference score.
fn by_covariance(ratings: &Ratings, with_covariance: bool, with_factors: bool) -> Components {
    let estimate = posterior::fit(ratings, with_covariance);
    let answers = covariance::fit(ratings, &estimate, with_covariance);
    if !(with_covariance && with_factors) {
        return of_answers(ratings, &estimate, &answers);
    }
    let (estimate, answers, factors) = alternate::fit(ratings, estimate, answers);
    Components { factors, ..of_answers(ratings, &estimate, &answers) }
}

fn of_answers(ratings: &Ratings, estimate: &ScoreEstimate, answers: &Answers) -> Components {
    let cpu = |tensor: &Tensor| tensor.to_device(Device::Cpu) * ratings.unit;
    let tasks = ratings.tasks.to_device(Device::Cpu);
    let (effect_means, cost_means) = (cpu(&answers.effect), cpu(&answers.cost));
    Components {
        queries: ratings.queries.clone(),
        scores: estimate.scores.to_device(Device::Cpu),
        effect: effect_means.index_select(0, &tasks) + cpu(&answers.deviation),
        cost: cost_means.index_select(0, &tasks),
        weight: answers.weight.to_device(Device::Cpu),
        effect_means,
        cost_means,
        tasks,
        noise: answers.noise * ratings.unit,
        factors: None,
    }
}

/// Returns the components of known effects and costs.
fn known(dataset: &Dataset, ratings: &Ratings) -> Components {
    let rows: Vec<i64> = ratings.queries.iter().map(|&query| i64::from(query)).collect();
    let pick = |array| from2(array, Device::Cpu).to_kind(Kind::Double).index_select(0, &Tensor::from_slice(&rows));
    let (effect, cost) = (pick(&dataset.effect), -pick(&dataset.cost));
    let weight = (&effect + &cost).isnan().logical_not().to_kind(Kind::Double);
    let tasks = ratings.tasks.to_device(Device::Cpu);
    let fill = |rows: &Tensor| {
        let rows = rows.nan_to_num(0.0, None, None);
        let means = task_llm_means(&rows, &weight, &tasks, ratings.task_count);
        (rows.where_self(&weight.gt(0.0), &means.index_select(0, &tasks)), means)
    };
    let ((effect, effect_means), (cost, cost_means)) = (fill(&effect), fill(&cost));
    let flat = |rows: &Tensor| rows.to_device(ratings.device()).view([-1]).index_select(0, &ratings.answer);
    let (effect_column, cost_column) = (flat(&effect), flat(&cost));
    let reward = &ratings.reward * ratings.unit;
    let (span, rest) = (&effect_column - &cost_column, &reward - &cost_column);
    let scores = ratings.by_user(&(&span * &rest)) / (ratings.by_user(&span.square()) + 1e-12);
    let error = rest - scores.index_select(0, &ratings.user) * span;
    Components {
        queries: ratings.queries.clone(),
        tasks,
        scores: scores.to_device(Device::Cpu),
        effect,
        cost,
        weight,
        effect_means,
        cost_means,
        noise: error.square().mean(Kind::Double).sqrt().double_value(&[]),
        factors: None,
    }
}
