//! The text model: what a query's text predicts of its answers beyond the task, as strongly as left-out queries support it.
//!
//! Text predicts little of which LLM is better, more of how hard a query is for all of them. So, from the coefficients of the
//! training queries' answers minus their tasks' means:
//! 1. ridge regression predicts the mean of the effect residuals over LLMs: the difficulty shift, negative for hard queries;
//! 2. slopes per (task, LLM) say how much more than the others an LLM gains as the shift grows, by James–Stein shrinkage, and
//!    shrunk further the worse text predicts LLMs; for LLMs that no preference would choose they only lower the effect;
//! 3. a ridge regression per LLM predicts the rest of its effect, times one factor that is fitted on differences between LLMs
//!    that some preference would choose, and shrunk by its standard error;
//! 4. a ridge regression per LLM predicts what of the cost does not follow from the effect, with a factor fitted alike.
//!
//! Every factor is fitted on leave-one-out predictions. Half of each regression is specific to the task.

use tch::{Device, Kind, Tensor};

use super::ridge::Ridge;
use crate::closed_form::components::Components;
use crate::closed_form::constants::{
    DIFFICULTY_PENALTY, LLM_PENALTY, MIN_RELEVANCE, PREFERENCE_GRID, RELEVANCE_SMOOTHING, SLOPE_PENALTY, SLOPE_WEIGHT,
    TASK_SHARE,
};
use crate::model::hparams::Part;

/// Solutions over the training queries, and how they enter the values.
#[derive(Debug)]
pub struct TextModel {
    /// `[queries, 1]`: solution for the difficulty shift.
    pub difficulty: Tensor,
    /// `[tasks, llms]`: what a unit of the shift adds to the effect coefficient.
    pub slopes: Tensor,
    /// `[tasks, llms]`: the most they may add.
    pub slope_limit: Tensor,
    /// `[queries, llms]`: solutions for the effect by LLM, scaled by [`TextModel::strength`].
    pub effect: Tensor,
    /// `[queries, llms]`: the same for what of the cost does not follow from the effect.
    pub cost: Tensor,
    /// Share of what is added to the effect coefficient that is added to the cost coefficient.
    pub cost_share: f64,
    /// Weights of the predictions by LLM, 0 to 1: of the effect, of the cost.
    pub strength: [f64; 2],
    /// `[queries, llms]` twice: leave-one-out predictions of the effect and the cost residuals.
    pub left_out: [Tensor; 2],
}

/// Coefficients of answers minus their tasks' means.
struct Residuals {
    effect: Tensor,
    cost: Tensor,
    /// `[queries, tasks]`, one-hot.
    tasks: Tensor,
    /// `[tasks, llms]`: share of preferences that would choose an LLM.
    by_task: Tensor,
    /// `[queries, llms]`: the same by query.
    relevance: Tensor,
}

/// A ridge regression per LLM.
struct LlmPrediction {
    solution: Tensor,
    left_out: Tensor,
}

impl TextModel {
    /// Fits everything on the queries at `rows` of the components, whose kernel is `kernel`.
    pub fn fit(components: &Components, rows: &Tensor, kernel: &Tensor, without: &[Part]) -> Self {
        let residuals = Residuals::new(components, rows);
        let same_task = residuals.tasks.matmul(&residuals.tasks.tr());
        let mixed = kernel * (same_task * TASK_SHARE + (1.0 - TASK_SHARE));
        let with = |part: Part| if without.contains(&part) { 0.0 } else { 1.0 };
        let target = residuals.effect.mean_dim(1, true, Kind::Float);
        let ridge = Ridge::new(&mixed, DIFFICULTY_PENALTY);
        let difficulty = ridge.solve(&target);
        let shift = ridge.left_out(&target, &difficulty);
        drop(ridge);
        let ridge = Ridge::new(&mixed, LLM_PENALTY);
        let effect_target = centred(&residuals.effect);
        let effect = LlmPrediction::fit(&ridge, &effect_target);
        let cost_share = share(&centred(&residuals.cost), &effect_target);
        let cost_target = centred(&residuals.cost) - &effect_target * cost_share;
        let cost = LlmPrediction::fit(&ridge, &cost_target);
        let slope_limit = residuals.slope_limit();
        let slopes = slopes(&shift, &effect_target, &residuals) * with(Part::Slopes);
        let by_slope = |slopes: &Tensor| {
            let all = (shift.unsqueeze(2) * slopes).minimum(&slope_limit); // [Q, T, L]
            residuals.tasks.unsqueeze(1).matmul(&all).squeeze_dim(1)
        };
        // The better text predicts LLMs, the more weight the slopes get.
        let (clarity, _) = effect.strength(&by_slope(&slopes), &effect_target, &residuals);
        let slopes = slopes * (SLOPE_WEIGHT[0] + SLOPE_WEIGHT[1] * clarity);
        let sloped = by_slope(&slopes);
        let (strength, overlap) = effect.strength(&sloped, &effect_target, &residuals);
        let strength = strength * with(Part::Llms);
        let (cost_strength, _) = cost.strength(&cost_target.zeros_like(), &cost_target, &residuals);
        let cost_strength = cost_strength * with(Part::Cost);
        let kept = (1.0 - strength * overlap).max(0.0);
        let predicted = sloped * kept + &effect.left_out * strength + &shift;
        let predicted_cost = &predicted * cost_share + &cost.left_out * cost_strength;
        Self {
            difficulty,
            slopes: slopes * kept,
            slope_limit,
            effect: effect.solution * strength,
            cost: cost.solution * cost_strength,
            cost_share,
            strength: [strength, cost_strength],
            left_out: [predicted, predicted_cost],
        }
    }
}

impl Residuals {
    fn new(components: &Components, rows: &Tensor) -> Self {
        let pick = |table: Tensor| table.index_select(0, rows).to_kind(Kind::Float);
        let count = components.task_count();
        let tasks = components.tasks.index_select(0, rows).one_hot(count).to_kind(Kind::Float);
        let by_task = relevance(&components.effect_means, &components.cost_means);
        Self {
            effect: pick(components.effect_residual()),
            cost: pick(components.cost_residual()),
            relevance: tasks.matmul(&by_task),
            by_task,
            tasks,
        }
    }

    /// Returns rows minus their mean over LLMs, weighted by relevance.
    fn against_relevant(&self, rows: &Tensor) -> Tensor {
        rows - (rows * &self.relevance).sum_dim_intlist(1, true, Kind::Float)
    }

    /// Returns the most that slopes may add: nothing for LLMs that no preference would choose.
    fn slope_limit(&self) -> Tensor {
        let free = Tensor::full_like(&self.by_task, 1e6);
        self.by_task.gt(MIN_RELEVANCE).to_kind(Kind::Float) * free
    }
}

impl LlmPrediction {
    fn fit(ridge: &Ridge, targets: &Tensor) -> Self {
        let solution = ridge.solve(targets);
        let left_out = ridge.left_out(targets, &solution);
        Self { solution, left_out }
    }

    /// Returns the weight of this prediction beside `other`, and how much of it is in `other` already.
    fn strength(&self, other: &Tensor, targets: &Tensor, residuals: &Residuals) -> (f64, f64) {
        let overlap = share(&self.left_out, other);
        let predicted = residuals.against_relevant(&(&self.left_out - other * overlap));
        let rest = residuals.against_relevant(&(targets - other));
        let square = (predicted.square() * &residuals.relevance).sum(Kind::Double).double_value(&[]);
        if square <= 1e-9 * targets.square().sum(Kind::Double).double_value(&[]).max(1e-12) {
            return (0.0, overlap);
        }
        let product = (&predicted * &rest * &residuals.relevance).sum(Kind::Double).double_value(&[]);
        let factor = product / square;
        // Errors of one query's LLMs are correlated: sum them by query.
        let error = (&rest - &predicted * factor) * &predicted * &residuals.relevance;
        let error = error.sum_dim_intlist(1, false, Kind::Double);
        let variance = error.square().sum(Kind::Double).double_value(&[]) / square.powi(2);
        let factor = factor.clamp(0.0, 1.0);
        (factor * (1.0 - variance / (factor * factor).max(1e-18)).max(0.0), overlap)
    }
}

/// Returns `[tasks, llms]`: slopes of the LLMs' differences on the difficulty shift, by James–Stein shrinkage.
fn slopes(shift: &Tensor, targets: &Tensor, residuals: &Residuals) -> Tensor {
    let turned = residuals.tasks.tr();
    let penalty = residuals.effect.square().mean(Kind::Float) * SLOPE_PENALTY + 1e-9;
    let divisor = turned.matmul(&shift.square()) + penalty; // [T, 1]
    let raw = turned.matmul(&(targets * shift)) / &divisor;
    let weight = &residuals.by_task;
    let slopes = &raw - (&raw * weight).sum_dim_intlist(1, true, Kind::Float);
    let error = residuals.against_relevant(targets) - residuals.tasks.matmul(&slopes) * shift;
    let chance = turned.matmul(&(error * shift).square()) / divisor.square();
    let total = |table: Tensor| (table * weight).sum(Kind::Double).double_value(&[]);
    let square = total(slopes.square());
    let kept = if square > 1e-18 { (1.0 - total(chance) / square).clamp(0.0, 1.0) } else { 0.0 };
    slopes * kept
}

fn centred(rows: &Tensor) -> Tensor {
    rows - rows.mean_dim(1, true, Kind::Float)
}

/// Returns the slope of `rows` on `on`, over all elements.
fn share(rows: &Tensor, on: &Tensor) -> f64 {
    let square = on.square().sum(Kind::Double).double_value(&[]);
    if square > 1e-9 { (rows * on).sum(Kind::Double).double_value(&[]) / square } else { 0.0 }
}

/// Returns `[tasks, llms]`: how often an LLM is the best of its task for preferences spread evenly from cost to quality.
fn relevance(effect: &Tensor, cost: &Tensor) -> Tensor {
    let llms = effect.size().last().copied().unwrap_or(1);
    let at = (Tensor::arange(PREFERENCE_GRID, (Kind::Double, Device::Cpu)) + 0.5) / PREFERENCE_GRID as f64;
    let utility = effect.unsqueeze(2) * &at + cost.unsqueeze(2) * (at.ones_like() - &at); // [T, L, P]
    let best = utility.argmax(1, false).one_hot(llms); // [T, P, L]
    let share = best.to_kind(Kind::Float).mean_dim(1, false, Kind::Float);
    (share + RELEVANCE_SMOOTHING / llms as f64) / (1.0 + RELEVANCE_SMOOTHING)
}

#[cfg(test)]
mod tests;
