//! From a user's interactions to its embedding: the posterior of the preference score that `adapter.onnx` computes.
//!
//! The score lies on a grid from 0 to 1. Each interaction looks up the log-likelihoods of its reward at every grid point in
//! the rows of its (task, LLM) pair. Their sum and the population's log-density give the posterior (naive Bayes), whose mean
//! is the embedding. For an interaction without a likely task, the rows are means over tasks. Only ratings tell anything;
//! choices and the queries' features are ignored. A user who starts from an embedding stands between it and what the
//! interactions say, in proportion to their numbers.

use personaroute_bundle::interaction::InteractionKind;
use tch::{Device, Kind, Tensor};

use super::factor::{FactorPosterior, Loadings};
use crate::closed_form::constants::{GROUPED_WEIGHT, LIKELY_TASK, MAX_EVIDENCE, OFFSET_STEPS, RATING_INFORMATION};
use crate::graph::interaction::InteractionBatch;

/// Least number of interactions by which is divided.
pub const LEAST_COUNT: f64 = 1e-6;
/// Least variance by which is divided.
pub const LEAST_VARIANCE: f64 = 1e-9;

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

impl Adapter {
    /// Returns the width of a bin.
    pub fn step(&self) -> f64 {
        let [low, high] = self.range;
        ((high - low) / (self.bins - 1).max(1) as f64).max(1e-9)
    }

    /// Returns the posterior `[users, grid]` without factors.
    pub fn posterior(&self, batch: &InteractionBatch) -> Tensor {
        let reward = batch.real(&batch.inputs.value).unsqueeze(2);
        let likelihoods = self.log_likelihoods(batch, &reward).squeeze_dim(2); // [U, N, G]
        let evidence = self.weight(batch).unsqueeze(1).matmul(&likelihoods).squeeze_dim(1);
        (evidence + &self.prior).softmax(-1, Kind::Float)
    }

    /// Returns the embeddings `[users, user_dim]`, and their certainty `[users, 1]`.
    pub fn forward(&self, batch: &InteractionBatch) -> [Tensor; 2] {
        let (posterior, factors) = match &self.loadings {
            None => (self.posterior(batch), None),
            Some(loadings) => {
                let FactorPosterior { evidence, factors } = self.factor_posterior(loadings, batch);
                let posterior = (evidence + &self.prior).softmax(-1, Kind::Float);
                let factors = posterior.unsqueeze(1).matmul(&factors).squeeze_dim(1); // [U, K]
                let before = self.embedding.size().last().copied().unwrap_or(0) - loadings.count();
                (posterior, Some(factors.constant_pad_nd([before, 0])))
            }
        };
        let by_score = posterior.matmul(&self.embedding);
        let certainty = self.certainty(batch, &posterior, &by_score);
        let found = factors.map_or_else(|| by_score.shallow_clone(), |factors| &by_score + factors);
        let before = &batch.start_interactions;
        let seen = batch.weight(InteractionKind::Rating).sum_dim_intlist(1, true, Kind::Float);
        let share = before / (before + seen).clamp_min(LEAST_COUNT);
        [&found + share * (&batch.start - &found), certainty]
    }

    /// Returns the share of the prior's variance that is removed: by the posterior `[users, grid]` whose mean is
    /// `[users, user_dim]`, and by the interactions behind the start, each of which tells as much as the prior.
    fn certainty(&self, batch: &InteractionBatch, posterior: &Tensor, mean: &Tensor) -> Tensor {
        let variance = posterior.matmul(&self.square_norm()) - mean.square().sum_dim_intlist(1, true, Kind::Float);
        let removed = self.variance() / variance.clamp_min(LEAST_VARIANCE);
        let information = removed.clamp_min(1.0) + &batch.start_interactions * RATING_INFORMATION;
        1.0 - information.reciprocal()
    }

    /// Returns `[grid, 1]`: squared norms of the grid's embeddings.
    pub fn square_norm(&self) -> Tensor {
        self.embedding.square().sum_dim_intlist(1, true, Kind::Float)
    }

    /// Returns the variance of an embedding of the prior.
    pub fn variance(&self) -> f64 {
        let prior = self.prior.softmax(0, Kind::Float).unsqueeze(0);
        let mean = prior.matmul(&self.embedding).square().sum(Kind::Double).double_value(&[]);
        (prior.matmul(&self.square_norm()).double_value(&[0, 0]) - mean).max(LEAST_VARIANCE)
    }

    /// Returns the posterior of the factors at every grid point, from the ratings of each LLM minus possible offsets.
    fn factor_posterior(&self, loadings: &Loadings, batch: &InteractionBatch) -> FactorPosterior {
        let [users, width] = [batch.inputs.users, batch.inputs.interactions].map(|count| count as i64);
        let llm = Tensor::from_slice(&batch.inputs.llm);
        let offset = loadings.deviation().unsqueeze(1) * Loadings::grid(); // [L, S]
        let offset = offset.index_select(0, &llm).view([users, width, OFFSET_STEPS]);
        let reward = batch.real(&batch.inputs.value).unsqueeze(2) - offset;
        let likelihoods = self.log_likelihoods(batch, &reward).flatten(2, 3); // [U, N, S · G]
        let llms = loadings.table.size().first().copied().unwrap_or(0);
        let of = llm.view([users, width]).one_hot(llms).to_kind(Kind::Float) * self.weight(batch).unsqueeze(2);
        loadings.posterior(&of.transpose(1, 2).matmul(&likelihoods).view([users, llms, OFFSET_STEPS, -1]))
    }

    /// Returns the log-likelihoods `[users, interactions, steps, grid]` of rewards `[users, interactions, steps]`.
    fn log_likelihoods(&self, batch: &InteractionBatch, reward: &Tensor) -> Tensor {
        let [users, width, tasks] =
            [batch.inputs.users, batch.inputs.interactions, batch.tasks].map(|count| count as i64);
        let rows = self.table.size().first().copied().unwrap_or(0);
        let llms = rows / (self.bins * (tasks + 1)).max(1);
        let (likeliest, task) = batch.task().max_dim(2, true); // [U, N, 1]
        let task = task.masked_fill(&likeliest.le(LIKELY_TASK), tasks);
        let pair = task * llms + batch.whole(&batch.inputs.llm).unsqueeze(2);
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
        let weight = batch.weight(InteractionKind::Rating);
        let counted = weight.gt(0.0).to_kind(Kind::Float).unsqueeze(2);
        let group = batch.whole(&batch.inputs.group);
        let same = group.unsqueeze(2).eq_tensor(&group.unsqueeze(1)).to_kind(Kind::Float);
        let grouped = same.bmm(&counted).squeeze_dim(2).gt(1.5).to_kind(Kind::Float);
        let kept: Tensor = 1.0 - grouped * (1.0 - GROUPED_WEIGHT);
        let weight = weight * kept;
        let total = weight.sum_dim_intlist(1, true, Kind::Float).clamp_min(MAX_EVIDENCE);
        weight * MAX_EVIDENCE / total
    }

    /// Returns the scores of the grid, evenly from 0 to 1.
    pub fn grid(&self) -> Tensor {
        Tensor::linspace(0.0, 1.0, self.prior.size().first().copied().unwrap_or(2), (Kind::Float, Device::Cpu))
    }
}
