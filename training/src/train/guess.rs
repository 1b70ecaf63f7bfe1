//! Guesses a query's task from the tasks of similar training queries.
//!
//! Ridge regression on the tasks' indicators; its predictions for left-out queries say how sharply to believe it: the
//! logits are the prediction times the factor under which the left-out tasks are likeliest.

use tch::{Kind, Tensor};

use super::ridge::Ridge;

/// Noise against signal.
const PENALTY: f64 = 0.3;
/// Factors that are tried: from near ignorance to near certainty.
const FACTORS: [f64; 12] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0];

/// Logits of tasks.
#[derive(Debug)]
pub struct Guess {
    /// `[queries, tasks]`: solution over the training queries, times the factor.
    pub solution: Tensor,
    /// `[tasks]`: added to the logits.
    pub bias: Tensor,
    /// `[queries, tasks]`: logits of left-out queries.
    pub left_out: Tensor,
    /// Logit of a task that is foretold with certainty.
    pub factor: f64,
    /// Share of left-out queries whose task was guessed.
    pub accuracy: f64,
}

/// Fits the guess; `tasks` is one-hot, `[queries, tasks]`.
pub fn fit(kernel: &Tensor, tasks: &Tensor) -> Guess {
    let ridge = Ridge::new(kernel, PENALTY);
    let mean = tasks.mean_dim(0, false, Kind::Float);
    let targets = tasks - &mean;
    let solution = ridge.solve(&targets);
    let left_out = ridge.left_out(&targets, &solution) + &mean;
    let told = tasks.argmax(1, false);
    let right = left_out.argmax(1, false).eq_tensor(&told).to_kind(Kind::Float).mean(Kind::Float);
    let loss = |factor: f64| {
        let chances = (&left_out * factor).log_softmax(1, Kind::Float);
        -(chances * tasks).sum(Kind::Double).double_value(&[])
    };
    let best = FACTORS.into_iter().min_by(|a, b| loss(*a).total_cmp(&loss(*b))).unwrap_or(1.0);
    Guess {
        solution: solution * best,
        bias: mean * best,
        left_out: left_out * best,
        factor: best,
        accuracy: right.double_value(&[]),
    }
}
