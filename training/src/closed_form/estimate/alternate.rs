//! Users who differ in more than their preference score: alternates between answers and factors.

use tch::{Device, Kind, Tensor};

use super::covariance::{self, Answers};
use super::factor::analysis::{FactorFit, Residuals};
use super::factor::{self, refit_users};
use super::posterior::ScoreEstimate;
use super::ratings::Ratings;
use crate::closed_form::components::{Components, Factors};
use crate::closed_form::constants::{ALTERNATIONS, FACTOR_MIN_NOISE, MIN_RESCALING, MIN_SCORE, REALIGNMENTS, RIDGE};

/// Adds factors to components whose answers are known well, where held-out ratings support any.
pub fn add(ratings: &Ratings, components: &mut Components) {
    let residuals = of_components(ratings, components);
    let Some(found) = factor::fit(ratings, &residuals) else { return };
    let correction = found.correction.to_device(Device::Cpu);
    components.scores = (&components.scores + correction).clamp(0.0, 1.0);
    let found = refit_users(ratings, &of_components(ratings, components), &found);
    components.factors = Some(in_rewards(ratings, &found));
}

/// Alternates between scores, answers and factors, starting from scores and answers without factors.
pub fn fit(ratings: &Ratings, estimate: ScoreEstimate, answers: Answers) -> (ScoreEstimate, Answers, Option<Factors>) {
    let (estimate, answers) = rescaled(ratings, estimate, answers);
    let of = |at: &ScoreEstimate, answers: &Answers, known: &Tensor| Context::of(ratings, &at.scores, answers, known);
    let mut known = ratings.reward.zeros_like();
    let context = of(&estimate, &answers, &known);
    let Some(mut found) = factor::fit(ratings, &context.residuals) else { return (estimate, answers, None) };
    let mut kept = (estimate, answers);
    for round in 0..ALTERNATIONS {
        let (at, answers) = &kept;
        let shifted = (&at.scores + &found.correction).unsqueeze(1);
        // At first the preference direction is estimated anew among all factors: what the factors explained relative to
        // the previous direction is then no longer known.
        let realign = round < REALIGNMENTS;
        let directions = if realign { Tensor::cat(&[&shifted, &found.user_factors], 1) } else { shifted };
        known = found.of_ratings(ratings);
        let scores = of(at, answers, &known).aligned_scores(ratings, &directions);
        if realign {
            known = known.zeros_like();
        }
        let at = ScoreEstimate { scores, noise: at.noise };
        let answers = covariance::fit(&ratings.without(&known), &at, true);
        let Some(next) = factor::fit(ratings, &of(&at, &answers, &known).residuals) else {
            return (at, answers, None);
        };
        (found, kept) = (next, (at, answers));
    }
    let (at, answers) = kept;
    let found = refit_users(ratings, &of(&at, &answers, &known).residuals, &found);
    (at, answers, Some(in_rewards(ratings, &found)))
}

/// Moves the cost end of the scale to where effects have no weight: with noise, the absolute error does not vanish there.
fn rescaled(ratings: &Ratings, estimate: ScoreEstimate, answers: Answers) -> (ScoreEstimate, Answers) {
    let context = Context::of(ratings, &estimate.scores, &answers, &ratings.reward.zeros_like());
    let scores = context.aligned_scores(ratings, &estimate.scores.unsqueeze(1));
    let moved = (&scores - &estimate.scores).abs().mean(Kind::Double).double_value(&[]);
    if moved < MIN_RESCALING {
        return (estimate, answers);
    }
    let estimate = ScoreEstimate { scores, noise: estimate.noise };
    let answers = covariance::fit(ratings, &estimate, true);
    (estimate, answers)
}

fn in_rewards(ratings: &Ratings, found: &FactorFit) -> Factors {
    Factors {
        llm_loadings: found.loadings.to_device(Device::Cpu) * ratings.unit,
        user_factors: found.user_factors.to_device(Device::Cpu),
    }
}

/// Returns the residuals of ratings, given components.
fn of_components(ratings: &Ratings, components: &Components) -> Residuals {
    let flat =
        |rows: &Tensor| (rows / ratings.unit).to_device(ratings.device()).view([-1]).index_select(0, &ratings.answer);
    let (effect, cost) = (flat(&components.effect), flat(&components.cost));
    let score = components.scores.to_device(ratings.device()).index_select(0, &ratings.user);
    let slope = effect - &cost;
    let error = &ratings.reward - cost - score * &slope;
    let noise = (components.noise / ratings.unit).max(FACTOR_MIN_NOISE);
    let weight = Tensor::full_like(&error, noise.powi(-2));
    Residuals { slope, error, weight }
}

/// Ratings, each predicted from the *other* ratings of its answer.
struct Context {
    residuals: Residuals,
    /// `[ratings]`: posterior means of the answers' deviations from their task, without the rating.
    deviation: Tensor,
    /// `[ratings]`: rating minus everything that is predicted but the deviation.
    rest: Tensor,
}

impl Context {
    /// Returns the predictions; `known` was subtracted from the ratings when answers were estimated.
    fn of(ratings: &Ratings, scores: &Tensor, answers: &Answers, known: &Tensor) -> Self {
        let score = scores.index_select(0, &ratings.user);
        let noise = answers.noise * answers.noise;
        let pair = |table: &Tensor| table.view([-1]).index_select(0, &ratings.pair);
        let answer = |rows: &Tensor| rows.view([-1]).index_select(0, &ratings.answer);
        let (effect, cost) = (pair(&answers.effect), pair(&answers.cost));
        let away: Tensor = 1.0 - &score;
        let error = &ratings.reward - &score * &effect - away * &cost;
        let rest = &error - known;
        let (mean, variance) = (answer(&answers.deviation), answer(&answers.variance).clamp_min(1e-9));
        let own = score.square() / noise;
        let others = (variance.reciprocal() - own).clamp_min(1e-3);
        let deviation = (mean / variance - &score * &rest / noise) / &others;
        let uncertainty = score.square() / others + noise.max(FACTOR_MIN_NOISE.powi(2));
        let error = error - score * &deviation;
        let residuals = Residuals { slope: effect + &deviation - cost, error, weight: uncertainty.reciprocal() };
        Self { residuals, deviation, rest }
    }

    /// Returns preference scores: the combination of `[users, directions]` that best explains the weights of the answers'
    /// deviations in the users' ratings. Effects deviate from their task's mean, costs and factors do not. A score is 0
    /// where deviations have no weight.
    fn aligned_scores(&self, ratings: &Ratings, directions: &Tensor) -> Tensor {
        let weighted = &self.residuals.weight * &self.deviation;
        let square = ratings.by_user(&(&weighted * &self.deviation));
        let pull = ratings.by_user(&(&weighted * &self.rest));
        let design = Tensor::cat(&[&directions.select(1, 0).ones_like().unsqueeze(1), directions], 1); // [U, 1 + D]
        let matrix = design.tr().matmul(&(&design * square.unsqueeze(1)));
        let count = design.size().last().copied().unwrap_or(1);
        let ridge = Tensor::full([count], RIDGE, (Kind::Double, design.device()));
        let _ = ridge.narrow(0, 0, 2).fill_(1e-9);
        let ridge = ridge * (square.sum(Kind::Double) + 1e-9);
        let matrix = matrix + ridge.diag_embed(0, -2, -1);
        let solution = Tensor::linalg_solve_ex(&matrix, &design.tr().mv(&pull).unsqueeze(1), true, false).0;
        let raw = design.matmul(&solution).squeeze_dim(1);
        let largest = raw.max().double_value(&[]);
        if largest.is_nan() || largest <= 1e-9 {
            return directions.select(1, 0).clamp(MIN_SCORE, 1.0);
        }
        (raw / largest).clamp(MIN_SCORE, 1.0)
    }
}
