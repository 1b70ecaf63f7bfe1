//! Hidden factors of user × (task, LLM): who likes which LLM for which task.

use ndarray::{Array2, Array3, Axis};

use crate::data::Dataset;
use crate::data::hash::{Domain, normal};

/// Hidden factors.
const FACTORS: usize = 3;
/// Standard deviation of what tastes add to a utility.
const SCALE: f64 = 0.15;
/// Weight of loadings that are the same on all tasks, and of those of one task.
const SHARES: [f64; 2] = [0.6, 0.8];
/// Tasks are so far apart in the hash.
const TASK_STEP: u64 = 1000;

/// Loadings of the LLMs.
#[derive(Debug, Clone)]
pub(super) struct Tastes {
    /// `[factors, tasks, llms]`, centred over LLMs.
    loadings: Array3<f64>,
}

impl Tastes {
    pub(super) fn new(dataset: &Dataset, key: u64) -> Self {
        let shape = (FACTORS, dataset.tasks.len(), dataset.llms.len());
        let mut loadings = Array3::from_shape_fn(shape, |(factor, task, llm)| {
            let [factor, task, llm] = [factor, task, llm].map(|index| index as u64);
            SHARES[0] * normal(key, Domain::LlmLoading, llm, factor)
                + SHARES[1] * normal(key, Domain::TaskLoading, TASK_STEP * (task + 1) + llm, factor)
        });
        for mut row in loadings.lanes_mut(Axis(2)) {
            let mean = row.mean().unwrap_or(0.0);
            row.mapv_inplace(|loading| loading - mean);
        }
        Self { loadings }
    }

    /// Returns what they add to the utilities of one user, `[tasks, llms]`.
    pub(super) fn of(&self, key: u64, user: u64) -> Array2<f64> {
        let (_, tasks, llms) = self.loadings.dim();
        let mut sum = Array2::zeros((tasks, llms));
        for (factor, loadings) in (0..).zip(self.loadings.outer_iter()) {
            sum.scaled_add(normal(key, Domain::UserFactor, user, factor), &loadings);
        }
        sum * (SCALE / (FACTORS as f64).sqrt())
    }
}
