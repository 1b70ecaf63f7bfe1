//! The task classifier: predicts a query's task from those of similar training queries.
//!
//! Ridge regression on the tasks' indicators gives the text's likeness to each task; leave-one-out predictions show how to
//! read it. Logits are a linear map of the likeness: first the one scale under which the left-out tasks are most probable,
//! then a multinomial logistic regression that departs from it where the data require. It separates tasks that are easily
//! confused.

use tch::{Kind, Tensor};

use super::ridge::Ridge;
use crate::closed_form::constants::{
    TASK_MAP_PENALTY, TASK_PENALTY_EMBEDDING, TASK_PENALTY_LEXICAL, TASK_SCALES, TASK_STEPS,
};
use crate::graph::query::TextEncoder;

/// A fitted classifier.
#[derive(Debug)]
pub struct TaskClassifier {
    /// `[queries, tasks]`: solution over the training queries; with it, predictions lack the mean.
    pub solution: Tensor,
    /// `[tasks]`: mean of the indicators.
    pub mean: Tensor,
    /// `[tasks + 1, tasks]`: from predictions to logits; the last row is added.
    pub map: Tensor,
    /// `[queries, tasks]`: predictions for left-out queries.
    pub left_out: Tensor,
    /// Share of left-out queries whose task was predicted.
    pub accuracy: f64,
}

impl TaskClassifier {
    /// Returns the logits of left-out queries, `[queries, tasks]`.
    pub fn logits(&self) -> Tensor {
        with_one(&self.left_out).matmul(&self.map)
    }
}

/// Fits the classifier for an encoder's kernel; `tasks` is one-hot, `[queries, tasks]`.
pub fn fit(encoder: &TextEncoder, kernel: &Tensor, tasks: &Tensor) -> TaskClassifier {
    let penalty = match encoder {
        TextEncoder::Lexical(_) => TASK_PENALTY_LEXICAL,
        TextEncoder::Embedding => TASK_PENALTY_EMBEDDING,
    };
    let ridge = Ridge::new(kernel, penalty);
    let mean = tasks.mean_dim(0, false, Kind::Float);
    let targets = tasks - &mean;
    let solution = ridge.solve(&targets);
    let left_out = ridge.left_out(&targets, &solution) + &mean;
    let map = map(&left_out, tasks).to_kind(Kind::Float);
    let mut classifier = TaskClassifier { solution, mean, map, left_out, accuracy: 0.0 };
    let right = classifier.logits().argmax(1, false).eq_tensor(&tasks.argmax(1, false)).to_kind(Kind::Float);
    classifier.accuracy = right.mean(Kind::Double).double_value(&[]);
    classifier
}

/// Returns rows with a last column of ones.
fn with_one(rows: &Tensor) -> Tensor {
    let one = rows.narrow(1, 0, 1).ones_like();
    Tensor::cat(&[rows, &one], 1)
}

/// Returns the map that maximises the likelihood of `tasks`, penalised by its distance from a single scale.
fn map(left_out: &Tensor, tasks: &Tensor) -> Tensor {
    let loss = |scale: f64| {
        let log_probabilities = (left_out * scale).log_softmax(1, Kind::Float);
        -(log_probabilities * tasks).sum(Kind::Double).double_value(&[])
    };
    let scale = TASK_SCALES.into_iter().min_by(|a, b| loss(*a).total_cmp(&loss(*b))).unwrap_or(1.0);
    let count = tasks.size().last().copied().unwrap_or(1);
    let start = Tensor::eye(count, (Kind::Double, tasks.device())) * scale;
    let rows = with_one(&left_out.to_kind(Kind::Double));
    logistic(&rows, &tasks.to_kind(Kind::Double), &start.constant_pad_nd([0, 0, 0, 1]))
}

/// Multinomial logistic regression of `tasks` on `rows`, with a quadratic penalty on the distance from `start`.
///
/// Each step solves a ridge regression of the residuals: no curvature exceeds half of the rows' squares (Böhning 1992), so
/// no step overshoots. Nesterov momentum restarts whenever the loss grows.
fn logistic(rows: &Tensor, tasks: &Tensor, start: &Tensor) -> Tensor {
    let columns = rows.size().last().copied().unwrap_or(1);
    let curvature =
        rows.tr().matmul(rows) * 0.5 + Tensor::eye(columns, (Kind::Double, rows.device())) * TASK_MAP_PENALTY;
    let inverse = curvature.linalg_cholesky(false).cholesky_inverse(false);
    let (mut best, mut extrapolated) = (start.shallow_clone(), start.shallow_clone());
    let (mut least, mut momentum) = (f64::INFINITY, 1.0_f64);
    for _ in 0..TASK_STEPS {
        let open = tasks - rows.matmul(&extrapolated).softmax(1, Kind::Double);
        let next =
            &extrapolated + inverse.matmul(&(rows.tr().matmul(&open) - (&extrapolated - start) * TASK_MAP_PENALTY));
        let log_probabilities = rows.matmul(&next).log_softmax(1, Kind::Double);
        let away: Tensor = (&next - start).square() * (TASK_MAP_PENALTY / 2.0);
        let loss = (away.sum(Kind::Double) - (log_probabilities * tasks).sum(Kind::Double)).double_value(&[]);
        if loss > least {
            (extrapolated, least, momentum) = (best.shallow_clone(), f64::INFINITY, 1.0);
            continue;
        }
        let faster = f64::midpoint(1.0, (1.0 + 4.0 * momentum * momentum).sqrt());
        extrapolated = &next + (&next - &best) * ((momentum - 1.0) / faster);
        (best, least, momentum) = (next, loss, faster);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Predictions of three tasks, the second and third of which a quarter of the queries confuses, and the tasks.
    fn confused() -> (Tensor, Tensor) {
        let (mut rows, mut tasks) = (Vec::new(), Vec::new());
        for query in 0..120_i64 {
            let task = query % 3;
            let odd = query % 4 == 0;
            rows.extend(match task {
                0 => [0.8_f32, 0.1, 0.1],
                1 if odd => [0.0, 0.45, 0.55],
                1 => [0.0, 0.6, 0.4],
                _ if odd => [0.2, 0.5, 0.3],
                _ => [0.2, 0.3, 0.5],
            });
            tasks.push(task);
        }
        let tasks = Tensor::from_slice(&tasks).one_hot(3).to_kind(Kind::Float);
        (Tensor::from_slice(&rows).view([120, 3]), tasks)
    }

    fn loss(logits: &Tensor, tasks: &Tensor) -> f64 {
        -(logits.log_softmax(1, Kind::Double) * tasks).sum(Kind::Double).double_value(&[])
    }

    #[test]
    fn the_map_separates_tasks_that_one_scale_confuses() {
        let (rows, tasks) = confused();
        let best = TASK_SCALES.into_iter().map(|scale| loss(&(&rows * scale), &tasks)).fold(f64::INFINITY, f64::min);
        let logits = with_one(&rows.to_kind(Kind::Double)).matmul(&map(&rows, &tasks));
        assert!(loss(&logits, &tasks) < 0.5 * best, "{} against {best}", loss(&logits, &tasks));
        let right = logits.argmax(1, false).eq_tensor(&tasks.argmax(1, false)).all();
        assert_eq!(right.int64_value(&[]), 1);
    }

    #[test]
    fn the_gradient_of_the_penalised_loss_vanishes_at_the_map() {
        let (rows, tasks) = confused();
        let rows = with_one(&rows.to_kind(Kind::Double));
        let tasks = tasks.to_kind(Kind::Double);
        let start = (Tensor::eye(3, (Kind::Double, tasks.device())) * 5.0).constant_pad_nd([0, 0, 0, 1]);
        let found = logistic(&rows, &tasks, &start);
        let open = &tasks - rows.matmul(&found).softmax(1, Kind::Double);
        let slope = rows.tr().matmul(&open) - (&found - &start) * TASK_MAP_PENALTY;
        assert!(slope.abs().max().double_value(&[]) < 1e-3, "{slope}");
    }
}
