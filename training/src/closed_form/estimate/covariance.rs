//! Answers by expectation and maximisation, with users in place.
//!
//! The high ends of a query's answers are those of its task plus `A ~ N(0, Σ)`, with one covariance of LLMs per task:
//! a query that is hard for one LLM is so for the others. A pair's mean therefore learns from queries on which its LLM
//! was never rated. Low ends are those of the task.

use tch::{Kind, Tensor};

use crate::closed_form::estimate::posterior::{Belief, NOISE};
use crate::closed_form::estimate::ratings::Observed;

/// Rounds of expectation and maximisation.
const ROUNDS: usize = 15;
/// Queries with which the covariance of all tasks stands in for a task's own.
const POOLED: f64 = 60.0;
/// Elements of matrices worked on at once: bounds the memory.
const CHUNK: i64 = 4_000_000;
/// Added to covariances, so that they can be inverted.
const JITTER: f64 = 1e-3;

/// What answers are worth, in units of the ratings.
#[derive(Debug)]
pub struct Answers {
    /// `[tasks, llms]`: mean high ends.
    pub high: Tensor,
    /// `[tasks, llms]`: low ends.
    pub low: Tensor,
    /// `[queries, llms]`: posterior means of high ends, against their tasks'.
    pub deviation: Tensor,
    /// `[queries, llms]`: share of their variance that ratings took away.
    pub weight: Tensor,
    /// `[queries, llms]`: posterior variances of high ends.
    pub variance: Tensor,
    /// Standard deviation of noise.
    pub noise: f64,
}

/// Moments of the answers of one task, or of all: mean and second moment of `A`.
struct State {
    high: Tensor,
    low: Tensor,
    /// `[tasks, llms, llms]`.
    covariance: Tensor,
    noise: f64,
}

/// Expectations about answers.
struct Expected {
    mean: Tensor,
    variance: Tensor,
    /// `[tasks, llms, llms]`: sums of posterior covariances.
    doubt: Tensor,
}

/// Finds what answers are worth to users at these places; without `propagate`, pairs are only averaged.
pub fn fit(observed: &Observed, belief: &Belief, propagate: bool) -> Answers {
    let position = belief.position.index_select(0, &observed.user);
    let (high, low) = pairs(observed, &position);
    let unit = Tensor::eye(observed.llms, (Kind::Double, observed.device()));
    let start = (unit * 0.8 + 0.4).unsqueeze(0).repeat([observed.task_count, 1, 1]);
    let mut state = State { high, low, covariance: start, noise: belief.noise };
    let tasks = observed.tasks.one_hot(observed.task_count).to_kind(Kind::Double); // [Q, T]
    let queries = tasks.sum_dim_intlist(0, false, Kind::Double); // [T]
    let mut expected = state.expect(observed, &position);
    for round in 0..if propagate { ROUNDS } else { 0 } {
        if round > 0 {
            expected = state.expect(observed, &position);
        }
        state.maximise(observed, (&position, &tasks, &queries), &mut expected);
    }
    let prior = state.covariance.diagonal(0, 1, 2).index_select(0, &observed.tasks) + JITTER;
    let rated = observed.as_rows(&observed.by_slot(&position.ones_like())).gt(0.0).to_kind(Kind::Double);
    let rows = |column: &Tensor| column.view([observed.task_count, observed.llms]);
    Answers {
        high: rows(&state.high),
        low: rows(&state.low),
        weight: ((&prior - &expected.variance) / &prior).clamp(0.0, 1.0) * rated,
        deviation: expected.mean,
        variance: expected.variance,
        noise: state.noise.sqrt(),
    }
}

/// Least squares of ratings on `(π, 1 − π)` by pair; pairs lean a little on their LLM, and wholly where never rated.
fn pairs(observed: &Observed, position: &Tensor) -> (Tensor, Tensor) {
    let rest = 1.0 - position;
    let by = |column: &Tensor| observed.by_cell(column).view([observed.task_count, observed.llms]);
    let (a, b, c) = (by(&position.square()), by(&(position * &rest)), by(&rest.square()));
    let (y, z) = (by(&(position * &observed.reward)), by(&(&rest * &observed.reward)));
    let solve = |[a, b, c, y, z]: [&Tensor; 5], ridge: f64, [high, low]: [&Tensor; 2]| {
        let (a, c) = (a + ridge, c + ridge);
        let (y, z) = (y + high * ridge, z + low * ridge);
        let determinant = &a * &c - b.square();
        ((&c * &y - b * &z) / &determinant, (&a * &z - b * &y) / &determinant)
    };
    let sum = |table: &Tensor| table.sum_dim_intlist(0, true, Kind::Double);
    let mean = observed.reward.mean(Kind::Double);
    let (high, low) = solve([&sum(&a), &sum(&b), &sum(&c), &sum(&y), &sum(&z)], 1e-3, [&mean, &mean]);
    let (high, low) = solve([&a, &b, &c, &y, &z], 1e-3, [&high, &low]);
    (high.view([-1]), low.view([-1]))
}

fn inverse(matrices: &Tensor) -> Tensor {
    Tensor::linalg_inv(matrices)
}

impl State {
    /// Returns the posterior of all answers.
    fn expect(&self, observed: &Observed, position: &Tensor) -> Expected {
        let pick = |column: &Tensor| column.index_select(0, &observed.cell);
        let error = &observed.reward - position * pick(&self.high) - (1.0 - position) * pick(&self.low);
        let sure = observed.as_rows(&observed.by_slot(&(position.square() / self.noise)));
        let told = observed.as_rows(&observed.by_slot(&(position * error / self.noise)));
        let unit = Tensor::eye(observed.llms, (Kind::Double, observed.device()));
        let precision = inverse(&(&self.covariance + &unit * JITTER));
        let mut doubt = self.covariance.zeros_like();
        let (mut means, mut variances) = (Vec::new(), Vec::new());
        let rows = observed.queries.len() as i64;
        let step = (CHUNK / (observed.llms * observed.llms).max(1)).max(1);
        let mut begin = 0;
        while begin < rows {
            let count = step.min(rows - begin);
            let (sure, told) = (sure.narrow(0, begin, count), told.narrow(0, begin, count));
            let tasks = observed.tasks.narrow(0, begin, count);
            let posterior = inverse(&(precision.index_select(0, &tasks) + sure.diag_embed(0, -2, -1)));
            means.push(posterior.matmul(&told.unsqueeze(2)).squeeze_dim(2));
            variances.push(posterior.diagonal(0, 1, 2).contiguous());
            let _ = doubt.index_add_(0, &tasks, &posterior);
            begin += count;
        }
        Expected { mean: Tensor::cat(&means, 0), variance: Tensor::cat(&variances, 0), doubt }
    }

    /// Moves means, covariances, low ends and the noise to where the posterior says.
    fn maximise(
        &mut self,
        observed: &Observed,
        (position, tasks, queries): (&Tensor, &Tensor, &Tensor),
        expected: &mut Expected,
    ) {
        let count = queries.clamp_min(1.0).view([-1, 1]);
        let mean = tasks.tr().matmul(&expected.mean) / &count; // [T, L]
        self.high += mean.view([-1]);
        expected.mean = &expected.mean - mean.index_select(0, &observed.tasks);
        let outer = Tensor::zeros_like(&expected.doubt);
        for task in 0..observed.task_count {
            let rows = &expected.mean * tasks.select(1, task).unsqueeze(1);
            outer.get(task).copy_(&rows.tr().matmul(&rows));
        }
        let moments = outer + &expected.doubt;
        let total = queries.sum(Kind::Double).clamp_min(1.0);
        let pooled = moments.sum_dim_intlist(0, true, Kind::Double) / total;
        self.covariance = (moments + pooled * POOLED) / (queries.view([-1, 1, 1]) + POOLED);
        let pick = |column: &Tensor| column.index_select(0, &observed.cell);
        let special = expected.mean.view([-1]).index_select(0, &observed.slot);
        let rest = &observed.reward - position * (pick(&self.high) + &special);
        let far: Tensor = 1.0 - position;
        let weight = observed.by_cell(&far.square());
        let pull = observed.by_cell(&(&far * &rest));
        // One thousandth of a rating keeps pairs without any where they are.
        self.low = (pull + &self.low * 1e-3) / (weight + 1e-3);
        let error = rest - far * pick(&self.low);
        let doubt = position.square() * expected.variance.view([-1]).index_select(0, &observed.slot);
        let noise = (error.square() + doubt).mean(Kind::Double).double_value(&[]);
        self.noise = noise.max(NOISE * NOISE);
    }
}
