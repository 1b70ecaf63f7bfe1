//! Answers by expectation and maximisation, given the users' preference scores.
//!
//! The effect coefficients of a query's answers are their tasks' means plus a deviation `~ N(0, Σ)`, with one covariance of
//! LLMs per task: a query that is hard for one LLM is so for the others. So the mean of a (task, LLM) pair also learns from
//! queries on which its LLM was never rated. Cost coefficients are those of the task.

use tch::{Kind, Tensor};

use super::posterior::ScoreEstimate;
use super::ratings::Ratings;
use crate::closed_form::constants::{CHUNK, COVARIANCE_PRIOR, COVARIANCE_ROUNDS, JITTER, MIN_NOISE, RIDGE};

/// Coefficients of answers, in units of the ratings.
#[derive(Debug)]
pub struct Answers {
    /// `[tasks, llms]`: mean effect coefficients.
    pub effect: Tensor,
    /// `[tasks, llms]`: cost coefficients.
    pub cost: Tensor,
    /// `[queries, llms]`: posterior means of effect coefficients, minus their tasks' means.
    pub deviation: Tensor,
    /// `[queries, llms]`: share of their variance that ratings explain.
    pub weight: Tensor,
    /// `[queries, llms]`: posterior variances of effect coefficients.
    pub variance: Tensor,
    /// Standard deviation of noise.
    pub noise: f64,
}

/// Parameters: means and covariances of answers, by task, and the noise.
struct State {
    effect: Tensor,
    cost: Tensor,
    /// `[tasks, llms, llms]`.
    covariance: Tensor,
    noise: f64,
}

/// Posterior of all answers.
struct Expectations {
    mean: Tensor,
    variance: Tensor,
    /// `[tasks, llms, llms]`: sums of posterior covariances.
    uncertainty: Tensor,
}

/// Estimates answers from these preference scores; without `with_covariance`, (task, LLM) means only.
pub fn fit(ratings: &Ratings, estimate: &ScoreEstimate, with_covariance: bool) -> Answers {
    let score = estimate.scores.index_select(0, &ratings.user);
    let (effect, cost) = pairs(ratings, &score);
    let unit = Tensor::eye(ratings.llms, (Kind::Double, ratings.device()));
    let start = (unit * 0.8 + 0.4).unsqueeze(0).repeat([ratings.task_count, 1, 1]);
    let mut state = State { effect, cost, covariance: start, noise: estimate.noise };
    let tasks = ratings.tasks.one_hot(ratings.task_count).to_kind(Kind::Double); // [Q, T]
    let queries = tasks.sum_dim_intlist(0, false, Kind::Double); // [T]
    let mut expected = state.expect(ratings, &score);
    for round in 0..if with_covariance { COVARIANCE_ROUNDS } else { 0 } {
        if round > 0 {
            expected = state.expect(ratings, &score);
        }
        state.maximise(ratings, (&score, &tasks, &queries), &mut expected);
    }
    let prior = state.covariance.diagonal(0, 1, 2).index_select(0, &ratings.tasks) + JITTER;
    let rated = ratings.as_rows(&ratings.by_answer(&score.ones_like())).gt(0.0).to_kind(Kind::Double);
    let rows = |column: &Tensor| column.view([ratings.task_count, ratings.llms]);
    Answers {
        effect: rows(&state.effect),
        cost: rows(&state.cost),
        weight: ((&prior - &expected.variance) / &prior).clamp(0.0, 1.0) * rated,
        deviation: expected.mean,
        variance: expected.variance,
        noise: state.noise.sqrt(),
    }
}

/// Least squares of ratings on `(score, 1 − score)` by pair, with a small ridge towards the LLM's coefficients.
fn pairs(ratings: &Ratings, score: &Tensor) -> (Tensor, Tensor) {
    let rest = 1.0 - score;
    let by = |column: &Tensor| ratings.by_pair(column).view([ratings.task_count, ratings.llms]);
    let (a, b, c) = (by(&score.square()), by(&(score * &rest)), by(&rest.square()));
    let (y, z) = (by(&(score * &ratings.reward)), by(&(&rest * &ratings.reward)));
    let solve = |[a, b, c, y, z]: [&Tensor; 5], ridge: f64, [effect, cost]: [&Tensor; 2]| {
        let (a, c) = (a + ridge, c + ridge);
        let (y, z) = (y + effect * ridge, z + cost * ridge);
        let determinant = &a * &c - b.square();
        ((&c * &y - b * &z) / &determinant, (&a * &z - b * &y) / &determinant)
    };
    let sum = |table: &Tensor| table.sum_dim_intlist(0, true, Kind::Double);
    let mean = ratings.reward.mean(Kind::Double);
    let (effect, cost) = solve([&sum(&a), &sum(&b), &sum(&c), &sum(&y), &sum(&z)], RIDGE, [&mean, &mean]);
    let (effect, cost) = solve([&a, &b, &c, &y, &z], RIDGE, [&effect, &cost]);
    (effect.view([-1]), cost.view([-1]))
}

fn inverse(matrices: &Tensor) -> Tensor {
    Tensor::linalg_inv(matrices)
}

impl State {
    /// Expectation: returns the posterior of all answers.
    fn expect(&self, ratings: &Ratings, score: &Tensor) -> Expectations {
        let pick = |column: &Tensor| column.index_select(0, &ratings.pair);
        let error = &ratings.reward - score * pick(&self.effect) - (1.0 - score) * pick(&self.cost);
        let of_ratings = ratings.as_rows(&ratings.by_answer(&(score.square() / self.noise)));
        let pull = ratings.as_rows(&ratings.by_answer(&(score * error / self.noise)));
        let unit = Tensor::eye(ratings.llms, (Kind::Double, ratings.device()));
        let precision = inverse(&(&self.covariance + &unit * JITTER));
        let mut uncertainty = self.covariance.zeros_like();
        let (mut means, mut variances) = (Vec::new(), Vec::new());
        let rows = ratings.queries.len() as i64;
        let step = (CHUNK / (ratings.llms * ratings.llms).max(1)).max(1);
        let mut begin = 0;
        while begin < rows {
            let count = step.min(rows - begin);
            let (of_ratings, pull) = (of_ratings.narrow(0, begin, count), pull.narrow(0, begin, count));
            let tasks = ratings.tasks.narrow(0, begin, count);
            let posterior = inverse(&(precision.index_select(0, &tasks) + of_ratings.diag_embed(0, -2, -1)));
            means.push(posterior.matmul(&pull.unsqueeze(2)).squeeze_dim(2));
            variances.push(posterior.diagonal(0, 1, 2).contiguous());
            let _ = uncertainty.index_add_(0, &tasks, &posterior);
            begin += count;
        }
        Expectations { mean: Tensor::cat(&means, 0), variance: Tensor::cat(&variances, 0), uncertainty }
    }

    /// Maximisation: updates means, covariances, cost coefficients and the noise.
    fn maximise(
        &mut self,
        ratings: &Ratings,
        (score, tasks, queries): (&Tensor, &Tensor, &Tensor),
        expected: &mut Expectations,
    ) {
        let count = queries.clamp_min(1.0).view([-1, 1]);
        let mean = tasks.tr().matmul(&expected.mean) / &count; // [T, L]
        self.effect += mean.view([-1]);
        expected.mean = &expected.mean - mean.index_select(0, &ratings.tasks);
        let outer = Tensor::zeros_like(&expected.uncertainty);
        for task in 0..ratings.task_count {
            let rows = &expected.mean * tasks.select(1, task).unsqueeze(1);
            outer.get(task).copy_(&rows.tr().matmul(&rows));
        }
        let moments = outer + &expected.uncertainty;
        let total = queries.sum(Kind::Double).clamp_min(1.0);
        let pooled = moments.sum_dim_intlist(0, true, Kind::Double) / total;
        self.covariance = (moments + pooled * COVARIANCE_PRIOR) / (queries.view([-1, 1, 1]) + COVARIANCE_PRIOR);
        let pick = |column: &Tensor| column.index_select(0, &ratings.pair);
        let deviation = expected.mean.view([-1]).index_select(0, &ratings.answer);
        let rest = &ratings.reward - score * (pick(&self.effect) + &deviation);
        let far: Tensor = 1.0 - score;
        let weight = ratings.by_pair(&far.square());
        let pull = ratings.by_pair(&(&far * &rest));
        // The ridge keeps pairs without ratings where they are.
        self.cost = (pull + &self.cost * RIDGE) / (weight + RIDGE);
        let error = rest - far * pick(&self.cost);
        let uncertainty = score.square() * expected.variance.view([-1]).index_select(0, &ratings.answer);
        let noise = (error.square() + uncertainty).mean(Kind::Double).double_value(&[]);
        self.noise = noise.max(MIN_NOISE * MIN_NOISE);
    }
}
