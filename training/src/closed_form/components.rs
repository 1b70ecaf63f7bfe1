//! What the interactions say about users and answers: positions, and the utility of every answer at both ends.
//!
//! A reward is read as `position · high + (1 − position) · low`: users stand on a line between the end where only cost
//! counts (0) and the end where only quality counts (1); `high` and `low` are what the answer is worth there. Where users
//! have tastes of their own, what these make of the LLM is added.

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};

use crate::model::store;

/// Name of the file in a run folder: an interrupted run continues from it, and LLMs are added from it.
pub const COMPONENTS: &str = "components.safetensors";

/// Pseudo-count with which a pair of task and LLM leans on its LLM and its task: decides only where next to nothing
/// was seen.
const CELL_PRIOR: f64 = 0.25;

/// What users think of LLMs beyond their position: `coordinates · loadings` is added to the reward.
#[derive(Debug)]
pub struct Tastes {
    /// `[llms, tastes]`: what a taste makes of each LLM; over the population, coordinates have mean 0 and variance 1.
    pub loadings: Tensor,
    /// `[users, tastes]`: the coordinates' posterior means.
    pub coordinates: Tensor,
}

impl Tastes {
    /// Returns `[users]`: what tastes make of the LLMs' mean.
    pub fn on_average(&self) -> Tensor {
        self.coordinates.mv(&self.loadings.mean_dim(0, false, Kind::Double))
    }

    /// Returns the same with LLMs behind the others that are to everybody's taste what these are on average.
    pub fn with_new(&self, llms: i64) -> Self {
        let mean = self.loadings.mean_dim(0, true, Kind::Double).repeat([llms, 1]);
        Self { loadings: Tensor::cat(&[&self.loadings, &mean], 0), coordinates: self.coordinates.shallow_clone() }
    }
}

/// Estimated components of the rewards. Tensors are on the CPU, 64-bit floats unless said.
#[derive(Debug)]
pub struct Components {
    /// Index in the data set of each row's query, ascending: the training queries that somebody rated.
    pub queries: Vec<u32>,
    /// `[queries]`, integers: task of each.
    pub tasks: Tensor,
    /// `[users]`: place between cost (0) and quality (1), in the order of the interactions' users; 0.5 for a user
    /// without interactions.
    pub positions: Tensor,
    /// `[queries, llms]`: posterior mean of the answer's utility at position 1. Where nobody rated the answer, what
    /// its task and the query's other answers suggest.
    pub high: Tensor,
    /// `[queries, llms]`: the same at position 0.
    pub low: Tensor,
    /// `[queries, llms]`: share of `high`'s variance that the ratings took away: 0 where nobody rated the answer, 1
    /// where it is known exactly.
    pub weight: Tensor,
    /// `[tasks, llms]`: mean of `high` over the queries of a task.
    pub cell_high: Tensor,
    /// `[tasks, llms]`: the same of `low`.
    pub cell_low: Tensor,
    /// Standard deviation of a reward around what the components say.
    pub noise: f64,
    /// Tastes, where users have any that ratings bear out.
    pub tastes: Option<Tastes>,
}

impl Components {
    /// Returns the number of LLMs.
    pub fn llms(&self) -> i64 {
        self.high.size().last().copied().unwrap_or(0)
    }

    /// Returns the number of tasks.
    pub fn task_count(&self) -> i64 {
        self.cell_high.size().first().copied().unwrap_or(0)
    }

    /// Returns high ends minus those of their tasks, `[queries, llms]`.
    pub fn high_residual(&self) -> Tensor {
        &self.high - self.cell_high.index_select(0, &self.tasks)
    }

    /// Returns low ends minus those of their tasks, `[queries, llms]`.
    pub fn low_residual(&self) -> Tensor {
        &self.low - self.cell_low.index_select(0, &self.tasks)
    }

    /// Returns `[tasks, llms]`: the standard deviation of the expected reward of the mean user.
    pub fn deviation(&self) -> Tensor {
        let position = self.positions.mean(Kind::Double).double_value(&[]);
        let residual = self.high_residual() * position + self.low_residual() * (1.0 - position);
        let seen = self.weight.gt(0.0).to_kind(Kind::Double);
        let zeros = || self.cell_high.zeros_like();
        let sum = zeros().index_add(0, &self.tasks, &(residual.square() * &seen));
        let count = zeros().index_add(0, &self.tasks, &seen);
        let overall = sum.sum(Kind::Double) / count.sum(Kind::Double).clamp_min(1.0);
        // A pair with few queries has about the spread of all.
        let variance = (sum + overall * 5.0) / (&count + 5.0);
        (variance / (count + 1.0)).sqrt()
    }

    /// Returns everything by name, for a file.
    pub fn named(&self) -> Vec<(String, Tensor)> {
        let queries: Vec<i64> = self.queries.iter().map(|&query| i64::from(query)).collect();
        let tastes = self.tastes.iter().flat_map(|tastes| {
            [("loadings", tastes.loadings.contiguous()), ("coordinates", tastes.coordinates.contiguous())]
        });
        let named = [
            ("queries", Tensor::from_slice(&queries)),
            ("tasks", self.tasks.shallow_clone()),
            ("positions", self.positions.shallow_clone()),
            ("high", self.high.contiguous()),
            ("low", self.low.contiguous()),
            ("weight", self.weight.contiguous()),
            ("cell_high", self.cell_high.contiguous()),
            ("cell_low", self.cell_low.contiguous()),
            ("noise", Tensor::from_slice(&[self.noise])),
        ];
        named.into_iter().chain(tastes).map(|(name, tensor)| (name.to_owned(), tensor)).collect()
    }

    /// Writes the file that an interrupted run continues from.
    pub fn save(&self, path: &std::path::Path) -> Result<()> {
        store::save(path, &self.named())
    }

    /// Reads the components of a finished run.
    pub fn of_run(run: &std::path::Path) -> Result<Self> {
        let path = run.join(COMPONENTS);
        Self::load(&path)?.with_context(|| format!("{}: a part of the components is missing", path.display()))
    }

    /// Reads what [`Components::save`] wrote; nothing where a part is missing.
    pub fn load(path: &std::path::Path) -> Result<Option<Self>> {
        let named = store::load(path)?;
        let find = |name: &str| named.iter().find(|(found, _)| found == name).map(|(_, tensor)| tensor.shallow_clone());
        let parts = ["tasks", "positions", "high", "low", "weight", "cell_high", "cell_low"].map(find);
        let (Some(queries), Some(noise)) = (find("queries"), find("noise")) else { return Ok(None) };
        let [Some(tasks), Some(positions), Some(high), Some(low), Some(weight), Some(cell_high), Some(cell_low)] =
            parts
        else {
            return Ok(None);
        };
        let count = queries.numel();
        let queries = (0..count as i64).filter_map(|row| u32::try_from(queries.int64_value(&[row])).ok()).collect();
        let noise = noise.double_value(&[0]);
        let tastes =
            find("loadings").zip(find("coordinates")).map(|(loadings, coordinates)| Tastes { loadings, coordinates });
        Ok(Some(Self { queries, tasks, positions, high, low, weight, cell_high, cell_low, noise, tastes }))
    }
}

/// Returns the weighted means `[tasks, llms]` of `values` `[queries, llms]`; pairs with little weight lean on the sum of
/// their LLM's and their task's deviations.
pub fn cell_means(values: &Tensor, weight: &Tensor, tasks: &Tensor, count: i64) -> Tensor {
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
    (sum + prior * CELL_PRIOR) / (total + CELL_PRIOR)
}
