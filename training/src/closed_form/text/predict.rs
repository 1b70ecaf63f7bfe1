//! What a query's text foretells about its answers beyond its task, as strongly as left-out queries bear it out.
//!
//! Text says little about which LLM is better, more about how hard a query is for all of them. So, with the high and
//! low ends of the training queries' answers against those of their tasks:
//! 1. ridge regression foretells the mean of the high ends over LLMs, `z`: how easy the query is;
//! 2. slopes per (task, LLM) say how much more an LLM gains than the others when `z` does, shrunk as James and Stein do,
//!    and the more the less text says otherwise; LLMs that nobody would choose are only ever lowered by them;
//! 3. a ridge per LLM adds what is its own, by one factor that is fitted on differences between LLMs that somebody
//!    would choose, and shrunk by its standard error;
//! 4. a ridge per LLM foretells what of the low end does not follow from the high one (cost), by a factor fitted alike.
//!
//! Every factor is fitted on predictions of queries left out of the ridge. Half of each ridge is each task's own.

use tch::{Device, Kind, Tensor};

use crate::closed_form::components::Components;
use crate::closed_form::text::ridge::Ridge;
use crate::model::hparams::Part;

/// Noise against signal in the ridges: differences between LLMs are noisier than their mean.
const EASE_PENALTY: f64 = 1.0;
const OWN_PENALTY: f64 = 3.0;
/// How much of a ridge is each task's own.
pub const TASK_SHARE: f64 = 0.5;
/// Pull of slopes to zero: so many queries of average spread.
const SLOPE_PENALTY: f64 = 6.0;
/// Part of the shrunk slopes that is used in any case, and what is added to it where text speaks clearly: the loss from
/// a slope too steep is larger than the gain from a right one.
const CAUTION: [f64; 2] = [0.33, 0.67];
/// Part of the relevance that all LLMs share.
const SMOOTHING: f64 = 0.1;
/// Relevance below which an LLM counts as never chosen.
const CHOSEN: f64 = 0.03;
/// Preferences whose choices make LLMs relevant.
const PREFERENCES: i64 = 20;

/// Solutions over the training queries, and how they enter the values.
#[derive(Debug)]
pub struct Foresight {
    /// `[queries, 1]`: solution for the ease.
    pub ease: Tensor,
    /// `[tasks, llms]`: what a unit of ease adds to the high end.
    pub slopes: Tensor,
    /// `[tasks, llms]`: the most they may add.
    pub ceiling: Tensor,
    /// `[queries, llms]`: solutions for the LLMs' own high ends, already as strong as they enter.
    pub high: Tensor,
    /// `[queries, llms]`: the same for what of low ends does not follow.
    pub low: Tensor,
    /// How much of what is added to the high end is added to the low one.
    pub shared: f64,
    /// How strongly the own parts enter, 0 to 1.
    pub strength: [f64; 2],
    /// `[queries, llms]` twice: left-out predictions of both ends against their tasks'.
    pub left_out: [Tensor; 2],
}

/// Ends against their tasks'.
struct Residuals {
    high: Tensor,
    low: Tensor,
    /// `[queries, tasks]`, one-hot.
    tasks: Tensor,
    /// `[tasks, llms]`: how often a preference would choose an LLM.
    by_task: Tensor,
    /// `[queries, llms]`: the same by query.
    relevance: Tensor,
}

/// A part foretold by a ridge per LLM.
struct Own {
    solution: Tensor,
    left_out: Tensor,
}

impl Foresight {
    /// Fits everything on the queries at `rows` of the components, whose kernel is `kernel`.
    pub fn fit(components: &Components, rows: &Tensor, kernel: &Tensor, left_out: &[Part]) -> Self {
        let residuals = Residuals::new(components, rows);
        let same_task = residuals.tasks.matmul(&residuals.tasks.tr());
        let mixed = kernel * (same_task * TASK_SHARE + (1.0 - TASK_SHARE));
        let with = |part: Part| if left_out.contains(&part) { 0.0 } else { 1.0 };
        let target = residuals.high.mean_dim(1, true, Kind::Float);
        let ridge = Ridge::new(&mixed, EASE_PENALTY);
        let ease = ridge.solve(&target);
        let z = ridge.left_out(&target, &ease);
        drop(ridge);
        let ridge = Ridge::new(&mixed, OWN_PENALTY);
        let high = centred(&residuals.high);
        let own = Own::fit(&ridge, &high);
        let shared = share(&centred(&residuals.low), &high);
        let low = centred(&residuals.low) - &high * shared;
        let cost = Own::fit(&ridge, &low);
        let ceiling = residuals.ceiling();
        let slopes = slopes(&z, &high, &residuals) * with(Part::Slopes);
        let by_slope = |slopes: &Tensor| {
            let all = (z.unsqueeze(2) * slopes).minimum(&ceiling); // [Q, T, L]
            residuals.tasks.unsqueeze(1).matmul(&all).squeeze_dim(1)
        };
        // How clearly text speaks about LLMs decides how far the slopes are trusted.
        let (clear, _) = own.strength(&by_slope(&slopes), &high, &residuals);
        let slopes = slopes * (CAUTION[0] + CAUTION[1] * clear);
        let sloped = by_slope(&slopes);
        let (strength, overlap) = own.strength(&sloped, &high, &residuals);
        let strength = strength * with(Part::Own);
        let (cost_strength, _) = cost.strength(&low.zeros_like(), &low, &residuals);
        let cost_strength = cost_strength * with(Part::Cost);
        let kept = (1.0 - strength * overlap).max(0.0);
        let foretold = sloped * kept + &own.left_out * strength + &z;
        let foretold_low = &foretold * shared + &cost.left_out * cost_strength;
        Self {
            ease,
            slopes: slopes * kept,
            ceiling,
            high: own.solution * strength,
            low: cost.solution * cost_strength,
            shared,
            strength: [strength, cost_strength],
            left_out: [foretold, foretold_low],
        }
    }
}

impl Residuals {
    fn new(components: &Components, rows: &Tensor) -> Self {
        let pick = |table: Tensor| table.index_select(0, rows).to_kind(Kind::Float);
        let count = components.task_count();
        let tasks = components.tasks.index_select(0, rows).one_hot(count).to_kind(Kind::Float);
        let by_task = relevance(&components.cell_high, &components.cell_low);
        Self {
            high: pick(components.high_residual()),
            low: pick(components.low_residual()),
            relevance: tasks.matmul(&by_task),
            by_task,
            tasks,
        }
    }

    /// Returns rows against their mean over relevant LLMs.
    fn against_relevant(&self, rows: &Tensor) -> Tensor {
        rows - (rows * &self.relevance).sum_dim_intlist(1, true, Kind::Float)
    }

    /// Returns what slopes may add at most: nothing for LLMs that nobody would choose.
    fn ceiling(&self) -> Tensor {
        let free = Tensor::full_like(&self.by_task, 1e6);
        self.by_task.gt(CHOSEN).to_kind(Kind::Float) * free
    }
}

impl Own {
    fn fit(ridge: &Ridge, targets: &Tensor) -> Self {
        let solution = ridge.solve(targets);
        let left_out = ridge.left_out(targets, &solution);
        Self { solution, left_out }
    }

    /// Returns how strongly this part should enter beside `other`, given what there is to foretell, and how much of it
    /// is in `other` already.
    fn strength(&self, other: &Tensor, targets: &Tensor, residuals: &Residuals) -> (f64, f64) {
        let overlap = share(&self.left_out, other);
        let told = residuals.against_relevant(&(&self.left_out - other * overlap));
        let rest = residuals.against_relevant(&(targets - other));
        let square = (told.square() * &residuals.relevance).sum(Kind::Double).double_value(&[]);
        if square <= 1e-9 * targets.square().sum(Kind::Double).double_value(&[]).max(1e-12) {
            return (0.0, overlap);
        }
        let product = (&told * &rest * &residuals.relevance).sum(Kind::Double).double_value(&[]);
        let factor = product / square;
        // Errors of one query's LLMs go together.
        let error = ((&rest - &told * factor) * &told * &residuals.relevance).sum_dim_intlist(1, false, Kind::Double);
        let doubt = error.square().sum(Kind::Double).double_value(&[]) / square.powi(2);
        let factor = factor.clamp(0.0, 1.0);
        (factor * (1.0 - doubt / (factor * factor).max(1e-18)).max(0.0), overlap)
    }
}

/// Returns `[tasks, llms]`: slopes of the LLMs' differences on `z`, shrunk by what chance alone would make of them.
fn slopes(z: &Tensor, targets: &Tensor, residuals: &Residuals) -> Tensor {
    let turned = residuals.tasks.tr();
    let penalty = residuals.high.square().mean(Kind::Float) * SLOPE_PENALTY + 1e-9;
    let divisor = turned.matmul(&z.square()) + penalty; // [T, 1]
    let raw = turned.matmul(&(targets * z)) / &divisor;
    let weight = &residuals.by_task;
    let slopes = &raw - (&raw * weight).sum_dim_intlist(1, true, Kind::Float);
    let error = residuals.against_relevant(targets) - residuals.tasks.matmul(&slopes) * z;
    let chance = turned.matmul(&(error * z).square()) / divisor.square();
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
fn relevance(high: &Tensor, low: &Tensor) -> Tensor {
    let llms = high.size().last().copied().unwrap_or(1);
    let at = (Tensor::arange(PREFERENCES, (Kind::Double, Device::Cpu)) + 0.5) / PREFERENCES as f64;
    let utility = high.unsqueeze(2) * &at + low.unsqueeze(2) * (at.ones_like() - &at); // [T, L, P]
    let best = utility.argmax(1, false).one_hot(llms); // [T, P, L]
    let share = best.to_kind(Kind::Float).mean_dim(1, false, Kind::Float);
    (share + SMOOTHING / llms as f64) / (1.0 + SMOOTHING)
}

#[cfg(test)]
mod tests;
