//! Guesses a query's task from the tasks of similar training queries.
//!
//! Ridge regression on the tasks' indicators says how much of each task's a text is; its predictions for left-out queries
//! say what to make of that. Logits are a linear map of the predictions: first the one factor under which the left-out
//! tasks are likeliest, then a multinomial logistic regression that departs from it where the data say so. Tasks that are
//! easily taken for each other are told apart there.

use tch::{Kind, Tensor};

use crate::closed_form::text::ridge::Ridge;
use crate::graph::query::TextEncoder;

/// Noise against signal. A text has many words that say nothing of its task.
const PENALTY_OF_WORDS: f64 = 1.0;
const PENALTY_OF_VECTORS: f64 = 0.3;
/// Factors that are tried: from near ignorance to near certainty.
const FACTORS: [f64; 12] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0];
/// Pull of the map to the factor.
const PULL: f64 = 0.1;
/// Most steps of the logistic regression: on real data, probabilities rest after 100.
const STEPS: usize = 200;

/// Tasks as the text tells them.
#[derive(Debug)]
pub struct Guess {
    /// `[queries, tasks]`: solution over the training queries; with it, predictions lack the mean.
    pub solution: Tensor,
    /// `[tasks]`: mean of the indicators.
    pub mean: Tensor,
    /// `[tasks + 1, tasks]`: from predictions to logits; the last row is added.
    pub map: Tensor,
    /// `[queries, tasks]`: predictions for left-out queries.
    pub left_out: Tensor,
    /// Share of left-out queries whose task was guessed.
    pub accuracy: f64,
}

impl Guess {
    /// Returns the logits of left-out queries, `[queries, tasks]`.
    pub fn logits(&self) -> Tensor {
        with_one(&self.left_out).matmul(&self.map)
    }
}

/// Fits the guess from texts so encoded; `tasks` is one-hot, `[queries, tasks]`.
pub fn fit(encoder: &TextEncoder, kernel: &Tensor, tasks: &Tensor) -> Guess {
    let penalty = match encoder {
        TextEncoder::Lexical(_) => PENALTY_OF_WORDS,
        TextEncoder::Embedding => PENALTY_OF_VECTORS,
    };
    let ridge = Ridge::new(kernel, penalty);
    let mean = tasks.mean_dim(0, false, Kind::Float);
    let targets = tasks - &mean;
    let solution = ridge.solve(&targets);
    let left_out = ridge.left_out(&targets, &solution) + &mean;
    let map = map(&left_out, tasks).to_kind(Kind::Float);
    let mut guess = Guess { solution, mean, map, left_out, accuracy: 0.0 };
    let right = guess.logits().argmax(1, false).eq_tensor(&tasks.argmax(1, false)).to_kind(Kind::Float);
    guess.accuracy = right.mean(Kind::Double).double_value(&[]);
    guess
}

/// Returns rows with a last column of ones.
fn with_one(rows: &Tensor) -> Tensor {
    let one = rows.narrow(1, 0, 1).ones_like();
    Tensor::cat(&[rows, &one], 1)
}

/// Returns the map under which `tasks` are likeliest, and not far from a single factor.
fn map(left_out: &Tensor, tasks: &Tensor) -> Tensor {
    let loss = |factor: f64| {
        let chances = (left_out * factor).log_softmax(1, Kind::Float);
        -(chances * tasks).sum(Kind::Double).double_value(&[])
    };
    let factor = FACTORS.into_iter().min_by(|a, b| loss(*a).total_cmp(&loss(*b))).unwrap_or(1.0);
    let count = tasks.size().last().copied().unwrap_or(1);
    let start = Tensor::eye(count, (Kind::Double, tasks.device())) * factor;
    let rows = with_one(&left_out.to_kind(Kind::Double));
    logistic(&rows, &tasks.to_kind(Kind::Double), &start.constant_pad_nd([0, 0, 0, 1]))
}

/// Multinomial logistic regression of `tasks` on `rows`, pulled to `start`.
///
/// Each step is a ridge regression of what is left open: no curvature exceeds a half of the rows' squares (Böhning), so no
/// step overshoots, and steps gain momentum until one is worse than the last.
fn logistic(rows: &Tensor, tasks: &Tensor, start: &Tensor) -> Tensor {
    let columns = rows.size().last().copied().unwrap_or(1);
    let curvature = rows.tr().matmul(rows) * 0.5 + Tensor::eye(columns, (Kind::Double, rows.device())) * PULL;
    let inverse = curvature.linalg_cholesky(false).cholesky_inverse(false);
    let (mut best, mut ahead) = (start.shallow_clone(), start.shallow_clone());
    let (mut least, mut speed) = (f64::INFINITY, 1.0_f64);
    for _ in 0..STEPS {
        let open = tasks - rows.matmul(&ahead).softmax(1, Kind::Double);
        let next = &ahead + inverse.matmul(&(rows.tr().matmul(&open) - (&ahead - start) * PULL));
        let chances = rows.matmul(&next).log_softmax(1, Kind::Double);
        let away: Tensor = (&next - start).square() * (PULL / 2.0);
        let loss = (away.sum(Kind::Double) - (chances * tasks).sum(Kind::Double)).double_value(&[]);
        if loss > least {
            (ahead, least, speed) = (best.shallow_clone(), f64::INFINITY, 1.0);
            continue;
        }
        let faster = f64::midpoint(1.0, (1.0 + 4.0 * speed * speed).sqrt());
        ahead = &next + (&next - &best) * ((speed - 1.0) / faster);
        (best, least, speed) = (next, loss, faster);
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
    fn what_one_factor_cannot_tell_apart_the_map_does() {
        let (rows, tasks) = confused();
        let best = FACTORS.into_iter().map(|factor| loss(&(&rows * factor), &tasks)).fold(f64::INFINITY, f64::min);
        let logits = with_one(&rows.to_kind(Kind::Double)).matmul(&map(&rows, &tasks));
        assert!(loss(&logits, &tasks) < 0.5 * best, "{} against {best}", loss(&logits, &tasks));
        let right = logits.argmax(1, false).eq_tensor(&tasks.argmax(1, false)).all();
        assert_eq!(right.int64_value(&[]), 1);
    }

    #[test]
    fn the_map_is_where_the_slope_of_the_loss_is_the_pull() {
        let (rows, tasks) = confused();
        let rows = with_one(&rows.to_kind(Kind::Double));
        let tasks = tasks.to_kind(Kind::Double);
        let start = (Tensor::eye(3, (Kind::Double, tasks.device())) * 5.0).constant_pad_nd([0, 0, 0, 1]);
        let found = logistic(&rows, &tasks, &start);
        let open = &tasks - rows.matmul(&found).softmax(1, Kind::Double);
        let slope = rows.tr().matmul(&open) - (&found - &start) * PULL;
        assert!(slope.abs().max().double_value(&[]) < 1e-3, "{slope}");
    }
}
