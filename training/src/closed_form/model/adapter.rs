//! From a user's interactions to its embedding: the posterior of the preference score that `adapter.onnx` computes.
//!
//! The score lies on a grid from 0 to 1. Each interaction looks up the log-likelihoods of its reward at every grid point in
//! the rows of its (task, LLM) pair. Their sum and the population's log-density give the posterior (naive Bayes), whose mean
//! is the embedding. For an interaction without a task, the rows are means over tasks.

use tch::{Device, Kind, Tensor};

use super::factor::{FactorPosterior, Loadings};
use crate::closed_form::constants::{GROUPED_WEIGHT, MAX_EVIDENCE, OFFSET_STEPS};
use crate::graph::interaction::InteractionBatch;

/// The tables of the posterior.
#[derive(Debug)]
pub struct Adapter {
    /// `[(tasks + 1) · llms · bins, grid]`: log-likelihoods; the last task stands for an unknown one.
    pub table: Tensor,
    /// Reward of the first bin and of the last.
    pub range: [f64; 2],
    /// Bins of the reward.
    pub bins: i64,
    /// `[grid]`: the population's log-density.
    pub prior: Tensor,
    /// `[grid, user_dim]`: the embedding of a user with this score.
    pub embedding: Tensor,
    /// Loadings of user factors, which are the last elements of an embedding.
    pub loadings: Option<Loadings>,
}

/// Features of interactions, `[users, interactions]` each.
struct Features {
    reward: Tensor,
    grouped: Tensor,
    mask: Tensor,
}

impl Features {
    fn of(batch: &InteractionBatch) -> Self {
        let (users, width) = (batch.users as i64, batch.width as i64);
        let signals = Tensor::from_slice(&batch.signals).view([users, width, 3]);
        let mask = Tensor::from_slice(&batch.mask).view([users, width]);
        Self { reward: signals.select(2, 0), grouped: signals.select(2, 2), mask }
    }
}

impl Adapter {
    /// Returns the width of a bin.
    pub fn step(&self) -> f64 {
        let [low, high] = self.range;
        ((high - low) / (self.bins - 1).max(1) as f64).max(1e-9)
    }

    /// Returns the posterior `[users, grid]` without factors; a task below 0 or from `tasks` on is an unknown one.
    pub fn posterior(&self, batch: &InteractionBatch, tasks: usize) -> Tensor {
        let reward = Features::of(batch).reward.unsqueeze(2);
        let likelihoods = self.log_likelihoods(batch, tasks, &reward).squeeze_dim(2); // [U, N, G]
        let evidence = self.weight(batch).unsqueeze(1).matmul(&likelihoods).squeeze_dim(1);
        (evidence + &self.prior).softmax(-1, Kind::Float)
    }

    /// Returns the embeddings `[users, user_dim]`.
    pub fn forward(&self, batch: &InteractionBatch, tasks: usize) -> Tensor {
        let Some(loadings) = &self.loadings else { return self.posterior(batch, tasks).matmul(&self.embedding) };
        let FactorPosterior { evidence, factors } = self.factor_posterior(loadings, batch, tasks);
        let posterior = (evidence + &self.prior).softmax(-1, Kind::Float);
        let factors = posterior.unsqueeze(1).matmul(&factors).squeeze_dim(1); // [U, K]
        let before = self.embedding.size().last().copied().unwrap_or(0) - loadings.count();
        posterior.matmul(&self.embedding) + factors.constant_pad_nd([before, 0])
    }

    /// Returns the posterior of the factors at every grid point, from the ratings of each LLM minus possible offsets.
    fn factor_posterior(&self, loadings: &Loadings, batch: &InteractionBatch, tasks: usize) -> FactorPosterior {
        let (users, width) = (batch.users as i64, batch.width as i64);
        let llm = Tensor::from_slice(&batch.llm);
        let offset = loadings.deviation().unsqueeze(1) * Loadings::grid(); // [L, S]
        let offset = offset.index_select(0, &llm).view([users, width, OFFSET_STEPS]);
        let reward = Features::of(batch).reward.unsqueeze(2) - offset;
        let likelihoods = self.log_likelihoods(batch, tasks, &reward).flatten(2, 3); // [U, N, S · G]
        let llms = loadings.table.size().first().copied().unwrap_or(0);
        let of = llm.view([users, width]).one_hot(llms).to_kind(Kind::Float) * self.weight(batch).unsqueeze(2);
        loadings.posterior(&of.transpose(1, 2).matmul(&likelihoods).view([users, llms, OFFSET_STEPS, -1]))
    }

    /// Returns the log-likelihoods `[users, interactions, steps, grid]` of rewards `[users, interactions, steps]`.
    fn log_likelihoods(&self, batch: &InteractionBatch, tasks: usize, reward: &Tensor) -> Tensor {
        let (users, width, tasks) = (batch.users as i64, batch.width as i64, tasks as i64);
        let rows = self.table.size().first().copied().unwrap_or(0);
        let llms = rows / (self.bins * (tasks + 1)).max(1);
        let shaped = |flat: &[i64]| Tensor::from_slice(flat).view([users, width, 1]);
        let task = shaped(&batch.task);
        let unknown = task.lt(0).logical_or(&task.gt(tasks));
        let task = task.masked_fill(&unknown, tasks);
        let pair = task * llms + shaped(&batch.llm);
        let [low, _] = self.range;
        let last = (self.bins - 1) as f64;
        let bins = ((reward - low) / self.step()).clamp(0.0, last);
        let bin = bins.floor().clamp_max(last - 1.0);
        let upper = (&bins - &bin).unsqueeze(3); // [U, N, S, 1]
        let row = pair * self.bins + bin.to_kind(Kind::Int64);
        let steps = row.size().last().copied().unwrap_or(1);
        let gather = |row: &Tensor| self.table.index_select(0, &row.view([-1])).view([users, width, steps, -1]);
        gather(&row) * (1.0 - &upper) + gather(&(&row + 1)) * &upper
    }

    /// Returns the weight of each interaction, `[users, interactions]`.
    fn weight(&self, batch: &InteractionBatch) -> Tensor {
        let Features { grouped, mask, .. } = Features::of(batch);
        let kept: Tensor = 1.0 - grouped * (1.0 - GROUPED_WEIGHT);
        let weight = mask * kept;
        let total = weight.sum_dim_intlist(1, true, Kind::Float).clamp_min(MAX_EVIDENCE);
        weight * MAX_EVIDENCE / total
    }

    /// Returns the scores of the grid, evenly from 0 to 1.
    pub fn grid(&self) -> Tensor {
        Tensor::linspace(0.0, 1.0, self.prior.size().first().copied().unwrap_or(2), (Kind::Float, Device::Cpu))
    }
}
