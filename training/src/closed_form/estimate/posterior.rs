//! Preference scores where ratings are few or noisy: alternating least squares with a posterior of every answer.
//!
//! A rating is `intercept + score · slope + weight · deviation + noise`: the line of its (task, LLM) pair over the user's
//! score, and the answer's deviation, whose weight grows from 0 at the cost end to 1 for the highest score. The score of a
//! user follows from all of its ratings, each weighted by how precisely the answer's *other* ratings determine the
//! deviation.

use tch::{Kind, Tensor};

use super::ratings::Ratings;
use crate::closed_form::constants::{MIN_NOISE, MIN_SCORE, SCORE_REFINEMENTS, SCORE_ROUNDS, SLOPE_PRIOR};

/// Preference scores and noise.
#[derive(Debug)]
pub struct ScoreEstimate {
    /// `[users]`: 0 where the answer's deviation from its task has no weight, 1 for the highest score.
    pub scores: Tensor,
    /// Variance of the ratings' noise, in squared units.
    pub noise: f64,
}

/// Lines of (task, LLM) pairs.
struct Pairs {
    intercept: Tensor,
    slope: Tensor,
}

/// Estimates all scores; without `with_posterior`, from (task, LLM) lines alone.
pub fn fit(ratings: &Ratings, with_posterior: bool) -> ScoreEstimate {
    let mut standardised = ratings.initial_scores();
    for _ in 0..SCORE_ROUNDS {
        standardised = update_by_pairs(ratings, &standardised);
    }
    let mut noise = MIN_NOISE * MIN_NOISE;
    let mut scores = None;
    for _ in 0..SCORE_REFINEMENTS {
        let scale = Scale::of(ratings, &standardised);
        scores = Some(scale.scores.shallow_clone());
        if !with_posterior {
            break;
        }
        (standardised, noise) = scale.refine(ratings, noise);
    }
    let scores = scores.unwrap_or_else(|| standardised.ones_like());
    ScoreEstimate { scores, noise }
}

/// Returns scores after one round of least squares without deviations of answers.
fn update_by_pairs(ratings: &Ratings, score: &Tensor) -> Tensor {
    let pairs = Pairs::fit(ratings, score);
    let error = pairs.error(ratings, score);
    let count = ratings.by_pair(&error.ones_like()).clamp_min(1.0);
    let variance = ratings.by_pair(&error.square()) / count + 1e-3;
    let weight = variance.reciprocal().index_select(0, &ratings.pair);
    let slope = pairs.slope.index_select(0, &ratings.pair);
    let rest = &ratings.reward - pairs.intercept.index_select(0, &ratings.pair);
    let pull = ratings.by_user(&(&weight * rest * &slope));
    ratings.standardised(&(pull / (ratings.by_user(&(weight * slope.square())) + 1.0)))
}

impl Pairs {
    /// Fits lines; the slope of a pair with few ratings is shrunk to its LLM's.
    fn fit(ratings: &Ratings, score: &Tensor) -> Self {
        let x = score.index_select(0, &ratings.user);
        let n0 = ratings.by_pair(&x.ones_like()) + 1e-9;
        let (n1, n2) = (ratings.by_pair(&x), ratings.by_pair(&x.square()));
        let (y0, y1) = (ratings.by_pair(&ratings.reward), ratings.by_pair(&(&x * &ratings.reward)));
        let determinant = (&n0 * &n2 - n1.square()).clamp_min(0.0);
        let slope = (&n0 * &y1 - &n1 * &y0) / determinant.clamp_min(1e-6);
        let rows = |column: &Tensor| column.view([ratings.task_count, ratings.llms]);
        let share = rows(&determinant.clamp_min(1e-9));
        let of_llm = (rows(&slope) * &share).sum_dim_intlist(0, true, Kind::Double)
            / share.sum_dim_intlist(0, true, Kind::Double);
        let of_llm = of_llm.expand([ratings.task_count, ratings.llms], false).reshape([-1]);
        let known = determinant / &n0;
        let slope = (&known * slope + of_llm * SLOPE_PRIOR) / (known + SLOPE_PRIOR);
        Self { intercept: (y0 - &slope * n1) / n0, slope }
    }

    fn error(&self, ratings: &Ratings, score: &Tensor) -> Tensor {
        let pick = |column: &Tensor| column.index_select(0, &ratings.pair);
        &ratings.reward - pick(&self.intercept) - score.index_select(0, &ratings.user) * pick(&self.slope)
    }
}

/// The absolute error of ratings as a linear function of the standardised score: what turns that into a preference score.
struct Scale {
    pairs: Pairs,
    error: Tensor,
    /// `[users]`: preference scores.
    scores: Tensor,
    /// Preference score at standardised score 0, and its change per unit.
    line: [f64; 2],
}

impl Scale {
    fn of(ratings: &Ratings, score: &Tensor) -> Self {
        let pairs = Pairs::fit(ratings, score);
        let error = pairs.error(ratings, score);
        let x = score.index_select(0, &ratings.user);
        let absolute = error.abs();
        let mean = |column: &Tensor| column.mean(Kind::Double).double_value(&[]);
        let (mean_x, mean_absolute) = (mean(&x), mean(&absolute));
        let variance = mean(&x.square()) - mean_x * mean_x;
        let slope = if variance > 1e-12 { (mean(&(&x * &absolute)) - mean_x * mean_absolute) / variance } else { 0.0 };
        let raw = score * slope + (mean_absolute - mean_x * slope);
        let largest = raw.max().double_value(&[]).max(1e-12);
        let scores = (&raw / largest).clamp_min(MIN_SCORE);
        Self { pairs, error, scores, line: [(mean_absolute - mean_x * slope) / largest, slope / largest] }
    }

    /// Returns the standardised scores and the noise that follow from the posteriors of answers given their other ratings.
    fn refine(&self, ratings: &Ratings, noise: f64) -> (Tensor, f64) {
        let preference = self.scores.index_select(0, &ratings.user);
        let square = preference.square();
        let prior = ratings.by_pair(&self.error.square()) / ratings.by_pair(&square).clamp_min(1e-6);
        let prior = prior.clamp_min(1e-2).index_select(0, &ratings.pair);
        let (observed, precision) = (&preference * &self.error / noise, &square / noise);
        let observed_by_others = ratings.by_answer(&observed).index_select(0, &ratings.answer) - &observed;
        let precision_of_others = ratings.by_answer(&precision).index_select(0, &ratings.answer) - &precision;
        let variance = (prior.reciprocal() + precision_of_others).reciprocal();
        let deviation = &variance * observed_by_others;
        let pick = |column: &Tensor| column.index_select(0, &ratings.pair);
        let [zero, gain] = self.line;
        let rest = &ratings.reward - pick(&self.pairs.intercept) - &deviation * zero;
        let slope = pick(&self.pairs.slope) + &deviation * gain;
        let uncertainty = &square * &variance;
        let weight = (&uncertainty + noise).reciprocal();
        let pull = ratings.by_user(&(&weight * rest * &slope));
        let next = ratings.standardised(&(pull / (ratings.by_user(&(weight * slope.square())) + 1e-3)));
        (next, self.noise(&deviation, &preference, &uncertainty))
    }

    /// Estimates the noise from errors near the cost end, minus what answers explain.
    fn noise(&self, deviation: &Tensor, preference: &Tensor, uncertainty: &Tensor) -> f64 {
        let near: Tensor = 1.0 - preference;
        let near = near.clamp_min(0.0).square();
        let beyond = (&self.error - deviation * preference).square() - uncertainty;
        let total = near.sum(Kind::Double).double_value(&[]).max(1e-9);
        let found = (beyond * near).sum(Kind::Double).double_value(&[]) / total;
        found.max(MIN_NOISE * MIN_NOISE)
    }
}
