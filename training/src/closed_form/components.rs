//! What the ratings say about users and answers: preference scores, and the effect and cost coefficients of every answer.
//!
//! A reward is read as `score · effect + (1 − score) · cost`. The preference score of a user lies between 0 (only cost
//! counts) and 1 (only effect counts); the coefficients of an answer are its rewards at these two scores. Where users
//! differ in more than their score, `user factors · LLM loadings` is added.

use std::path::Path;

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};

use crate::model::store;

use super::constants::MEAN_PRIOR;

/// Name of the file in a run folder: an interrupted run continues from it, and LLMs are added from it.
pub const COMPONENTS: &str = "components.safetensors";

/// How users' opinions of LLMs differ beyond their preference score.
#[derive(Debug)]
pub struct Factors {
    /// `[llms, factors]`: what is added to the reward per unit of a user factor.
    pub llm_loadings: Tensor,
    /// `[users, factors]`: posterior means; over the population, a factor has mean 0 and variance 1.
    pub user_factors: Tensor,
}

impl Factors {
    /// Returns `[users]`: what the factors add on average over LLMs.
    pub fn mean_over_llms(&self) -> Tensor {
        self.user_factors.mv(&self.llm_loadings.mean_dim(0, false, Kind::Double))
    }

    /// Returns the factors with `llms` new LLMs behind the others, whose loadings are the others' mean.
    pub fn with_new(&self, llms: i64) -> Self {
        let mean = self.llm_loadings.mean_dim(0, true, Kind::Double).repeat([llms, 1]);
        Self {
            llm_loadings: Tensor::cat(&[&self.llm_loadings, &mean], 0),
            user_factors: self.user_factors.shallow_clone(),
        }
    }
}

/// Estimated components of the rewards. Tensors are on the CPU, 64-bit floats unless said.
#[derive(Debug)]
pub struct Components {
    /// Index in the data set of each row's query, ascending: the training queries that somebody rated.
    pub queries: Vec<u32>,
    /// `[queries]`, integers: task of each.
    pub tasks: Tensor,
    /// `[users]`: preference scores, in the order of the interactions' users; 0.5 for a user without interactions.
    pub scores: Tensor,
    /// `[queries, llms]`: posterior mean of the answer's effect coefficient. Where nobody rated the answer, what its task
    /// and the query's other answers suggest.
    pub effect: Tensor,
    /// `[queries, llms]`: the same of the cost coefficient: minus the cost, on the scale of the rewards.
    pub cost: Tensor,
    /// `[queries, llms]`: share of the effect coefficient's variance that the ratings explain: 0 where nobody rated the
    /// answer, 1 where it is known exactly.
    pub weight: Tensor,
    /// `[tasks, llms]`: mean effect coefficient over the queries of a task.
    pub effect_means: Tensor,
    /// `[tasks, llms]`: mean cost coefficient over the queries of a task.
    pub cost_means: Tensor,
    /// Standard deviation of a reward around what the components say.
    pub noise: f64,
    /// User factors and LLM loadings, where held-out ratings support them.
    pub factors: Option<Factors>,
}

impl Components {
    /// Returns the number of LLMs.
    pub fn llms(&self) -> i64 {
        self.effect.size().last().copied().unwrap_or(0)
    }

    /// Returns the number of tasks.
    pub fn task_count(&self) -> i64 {
        self.effect_means.size().first().copied().unwrap_or(0)
    }

    /// Returns effect coefficients minus their task's means, `[queries, llms]`.
    pub fn effect_residual(&self) -> Tensor {
        &self.effect - self.effect_means.index_select(0, &self.tasks)
    }

    /// Returns cost coefficients minus their task's means, `[queries, llms]`.
    pub fn cost_residual(&self) -> Tensor {
        &self.cost - self.cost_means.index_select(0, &self.tasks)
    }

    /// Returns `[tasks, llms]`: the standard deviation of the expected reward of the mean user.
    pub fn deviation(&self) -> Tensor {
        let score = self.scores.mean(Kind::Double).double_value(&[]);
        let residual = self.effect_residual() * score + self.cost_residual() * (1.0 - score);
        let rated = self.weight.gt(0.0).to_kind(Kind::Double);
        let zeros = || self.effect_means.zeros_like();
        let sum = zeros().index_add(0, &self.tasks, &(residual.square() * &rated));
        let count = zeros().index_add(0, &self.tasks, &rated);
        let overall = sum.sum(Kind::Double) / count.sum(Kind::Double).clamp_min(1.0);
        // A (task, LLM) pair with few queries has about the variance of all.
        let variance = (sum + overall * 5.0) / (&count + 5.0);
        (variance / (count + 1.0)).sqrt()
    }

    /// Returns everything by name, for a file.
    pub fn named(&self) -> Vec<(String, Tensor)> {
        let queries: Vec<i64> = self.queries.iter().map(|&query| i64::from(query)).collect();
        let factors = self.factors.iter().flat_map(|factors| {
            [("llm_loadings", factors.llm_loadings.contiguous()), ("user_factors", factors.user_factors.contiguous())]
        });
        let named = [
            ("queries", Tensor::from_slice(&queries)),
            ("tasks", self.tasks.shallow_clone()),
            ("scores", self.scores.shallow_clone()),
            ("effect", self.effect.contiguous()),
            ("cost", self.cost.contiguous()),
            ("weight", self.weight.contiguous()),
            ("effect_means", self.effect_means.contiguous()),
            ("cost_means", self.cost_means.contiguous()),
            ("noise", Tensor::from_slice(&[self.noise])),
        ];
        named.into_iter().chain(factors).map(|(name, tensor)| (name.to_owned(), tensor)).collect()
    }

    /// Writes the file that an interrupted run continues from.
    pub fn save(&self, path: &Path) -> Result<()> {
        store::save(path, &self.named())
    }

    /// Reads the components of a finished run.
    pub fn of_run(run: &Path) -> Result<Self> {
        let path = run.join(COMPONENTS);
        Self::load(&path)?.with_context(|| format!("{}: a part of the components is missing", path.display()))
    }

    /// Reads what [`Components::save`] wrote; nothing where a part is missing.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        let named = store::load(path)?;
        let find = |name: &str| named.iter().find(|(found, _)| found == name).map(|(_, tensor)| tensor.shallow_clone());
        let parts = ["tasks", "scores", "effect", "cost", "weight", "effect_means", "cost_means"].map(find);
        let (Some(queries), Some(noise)) = (find("queries"), find("noise")) else { return Ok(None) };
        let [Some(tasks), Some(scores), Some(effect), Some(cost), Some(weight), Some(effect_means), Some(cost_means)] =
            parts
        else {
            return Ok(None);
        };
        let count = queries.numel();
        let queries = (0..count as i64).filter_map(|row| u32::try_from(queries.int64_value(&[row])).ok()).collect();
        let noise = noise.double_value(&[0]);
        let factors = find("llm_loadings")
            .zip(find("user_factors"))
            .map(|(llm_loadings, user_factors)| Factors { llm_loadings, user_factors });
        Ok(Some(Self { queries, tasks, scores, effect, cost, weight, effect_means, cost_means, noise, factors }))
    }
}

/// Returns the weighted means `[tasks, llms]` of `values` `[queries, llms]`, shrunk to the sum of the LLM's and the task's
/// deviations.
pub fn task_llm_means(values: &Tensor, weight: &Tensor, tasks: &Tensor, count: i64) -> Tensor {
    let llms = values.size().last().copied().unwrap_or(1);
    let zeros = || Tensor::zeros([count, llms], (Kind::Double, Device::Cpu));
    let sum = zeros().index_add(0, tasks, &(values * weight));
    let total = zeros().index_add(0, tasks, weight);
    let over = |axis: i64| {
        let total = total.sum_dim_intlist(axis, true, Kind::Double);
        let known = total.gt(1e-9).to_kind(Kind::Double);
        (sum.sum_dim_intlist(axis, true, Kind::Double) / total.clamp_min(1e-9), known)
    };
    let overall = sum.sum(Kind::Double) / total.sum(Kind::Double).clamp_min(1e-9);
    let ((llm, llm_known), (task, task_known)) = (over(0), over(1));
    let prior = &overall + (llm - &overall) * llm_known + (task - &overall) * task_known;
    (sum + prior * MEAN_PRIOR) / (total + MEAN_PRIOR)
}
