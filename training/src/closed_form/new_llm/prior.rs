//! The prior of a new LLM: variances between and within LLMs, and the regression of cost on price.

use tch::{Device, Kind, Tensor};

use super::floats;
use crate::closed_form::components::Components;
use crate::closed_form::constants::{MIN_LLM_VARIANCE, RIDGE};

/// Variances of one coefficient, minus the mean of the known LLMs on the same query.
#[derive(Debug)]
pub struct VarianceComponents {
    /// Of LLM means.
    pub between: f64,
    /// Of deviations by task.
    pub task: f64,
    /// Of single answers, by task.
    within: Vec<f64>,
    /// Mean of each known LLM.
    pub means: Vec<f64>,
}

/// Mean cost coefficient by price: `mean = offset + slope · log price`.
#[derive(Debug)]
pub struct PriceRegression {
    offset: f64,
    slope: f64,
    /// Variance of a mean around the line.
    pub variance: f64,
}

impl VarianceComponents {
    /// Treats each known LLM as new against the others; `coefficient` is `[queries, llms]`.
    pub fn fit(components: &Components, coefficient: &Tensor) -> Self {
        let llms = components.llms() as f64;
        let (tasks, weight) = (&components.tasks, &components.weight);
        let against_others = if llms > 1.0 { llms / (llms - 1.0) } else { 1.0 };
        let difference = (coefficient - coefficient.mean_dim(1, true, Kind::Double)) * against_others; // [Q, L]
        let unit = coefficient.var(true).double_value(&[]).max(1e-12);
        let unit = if unit.is_finite() { unit } else { 1.0 };
        let zeros = || Tensor::zeros([components.task_count(), components.llms()], (Kind::Double, Device::Cpu));
        let count = zeros().index_add(0, tasks, weight);
        let pair_means = zeros().index_add(0, tasks, &(&difference * weight)) / count.clamp_min(1e-9);
        let error = (&difference - pair_means.index_select(0, tasks)).square() * weight;
        let within = within_tasks(&count, &zeros().index_add(0, tasks, &error), unit);
        let rated = count.gt(0.5).to_kind(Kind::Double);
        let rated_tasks = rated.sum_dim_intlist(0, false, Kind::Double).clamp_min(1.0); // by LLM
        let means = (&pair_means * &rated).sum_dim_intlist(0, false, Kind::Double) / &rated_tasks; // [L]
        let error = ((&pair_means - &means).square() * &rated).sum(Kind::Double).double_value(&[]);
        let chance = (within.unsqueeze(1) / count.clamp_min(1.0) * &rated).sum(Kind::Double).double_value(&[]);
        let pairs = rated.sum(Kind::Double).double_value(&[]);
        let freedom = pairs - llms;
        let [least_between, least_task] = MIN_LLM_VARIANCE.map(|share| share * unit);
        let task =
            if freedom > 0.5 { (error / freedom - chance / pairs.max(1.0)).max(least_task) } else { 0.05 * unit };
        let means = floats(&means);
        let mean = means.iter().sum::<f64>() / llms;
        let variance = means.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (llms - 1.0).max(1.0);
        let between = if llms > 1.0 { (variance - task * llms / pairs.max(1.0)).max(least_between) } else { unit };
        Self { between, task, within: floats(&within), means }
    }

    /// Returns the variance of single answers to queries of a task.
    pub fn within(&self, task: usize) -> f64 {
        self.within.get(task).copied().unwrap_or(1.0).max(1e-9)
    }
}

/// Returns variances of answers by task `[tasks]`, from sums of squares and counts `[tasks, llms]`; those of tasks with few
/// pairs are shrunk to the mean.
fn within_tasks(count: &Tensor, squares: &Tensor, unit: f64) -> Tensor {
    // One answer says nothing about the variance.
    let many = count.gt(1.5).to_kind(Kind::Double);
    let degrees = (count - 1.0).clamp_min(1e-9);
    let variance = squares / degrees * &many;
    let pairs = many.sum(Kind::Double).double_value(&[]).max(1.0);
    let overall = (variance.sum(Kind::Double).double_value(&[]) / pairs).max(1e-4 * unit);
    let per_task = many.sum_dim_intlist(1, false, Kind::Double);
    (variance.sum_dim_intlist(1, false, Kind::Double) + overall) / (per_task + 1.0)
}

impl PriceRegression {
    /// Fits the means of LLMs on their log prices; `between` is their variance.
    pub fn fit(log_price: &[f64], means: &[f64], between: f64) -> Self {
        let count = means.len() as f64;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / count.max(1.0);
        let (x, y) = (mean(log_price), mean(means));
        let pairs = || log_price.iter().map(move |p| p - x).zip(means.iter().map(move |l| l - y));
        let square: f64 = pairs().map(|(p, _)| p * p).sum();
        if count < 4.0 || square < 1e-9 {
            return Self { offset: y, slope: 0.0, variance: between };
        }
        let slope = pairs().map(|(p, l)| p * l).sum::<f64>() / (square + RIDGE);
        let left: f64 = pairs().map(|(p, l)| (l - slope * p).powi(2)).sum();
        // A regression over few LLMs is not taken to be sharper than a thousandth of the variance.
        let variance = (left / (count - 2.0)).clamp(1e-3 * between, 2.0 * between);
        Self { offset: y - slope * x, slope, variance }
    }

    /// Returns the expected mean at a log price.
    pub fn at(&self, log_price: f64) -> f64 {
        self.offset + self.slope * log_price
    }
}
