//! What a query's text foretells about its answers beyond its task, as strongly as left-out queries bear it out.
//!
//! Text says little about which LLM is better, more about how hard a query is for all of them. So, after removing the
//! values of tasks, with `high` and `low` the utilities at the two ends of the preference axis:
//! 1. ridge regression foretells the mean of `high` over LLMs, `z`: how easy the query is;
//! 2. slopes per (task, LLM) say how much more an LLM gains than the others when `z` does, shrunk as James and Stein do;
//! 3. a ridge per LLM adds what is its own, by one factor that is fitted on differences between LLMs that somebody
//!    would choose, and shrunk by its standard error;
//! 4. a ridge per LLM foretells what of `low` does not follow from `high` (cost), by a factor fitted alike.
//!
//! Every factor is fitted on predictions of queries left out of the ridge.

use tch::{Device, Kind, Tensor};

use super::kernel::{Features, Ridge};
use super::outcome::Outcomes;
use crate::model::axis::Axis;

/// Noise against signal in the ridges: differences between LLMs are noisier than their mean.
const EASE_PENALTY: f64 = 1.0;
const OWN_PENALTY: f64 = 3.0;
/// How much of the first ridge is each task's own.
const TASK_SHARE: f64 = 0.5;
/// Pull of slopes to zero: so many queries of average spread.
const SLOPE_PENALTY: f64 = 6.0;
/// Part of the fitted slopes that is used: the loss from a slope too steep is larger than the gain from a right one.
const CAUTION: f64 = 0.75;
/// Part of the relevance that all LLMs share.
const SMOOTHING: f64 = 0.1;

/// Solutions over the training queries, and how they enter the values.
#[derive(Debug)]
pub struct Foresight {
    /// `[queries, tasks]`: solution for the ease as each task sees it.
    pub ease: Tensor,
    /// `[tasks, llms · weights]`: what a unit of ease does to values.
    pub slopes: Tensor,
    /// `[queries, columns]`: solution for the LLMs' own highs and lows.
    pub own: Tensor,
    /// `[columns, llms · weights]`.
    pub own_values: Tensor,
    /// How strongly the own part of `high` enters.
    pub strength: f64,
    /// `[queries, llms · weights]`: left-out predictions.
    pub left_out: Tensor,
}

/// Utilities at the ends of the axis against their tasks'.
struct Residuals {
    high: Tensor,
    low: Tensor,
    /// `[queries, tasks]`, one-hot.
    tasks: Tensor,
    /// `[queries, llms]`: how often the task's users would choose an LLM.
    relevance: Tensor,
}

/// A part foretold by a ridge per LLM.
struct Own {
    solution: Tensor,
    left_out: Tensor,
    strength: f64,
}

impl Foresight {
    /// Fits everything on the queries at `rows` of the outcomes; `judges` are weights of some users.
    pub fn fit(outcomes: &Outcomes, rows: &Tensor, features: &Features, (axis, judges): (&Axis, &Tensor)) -> Self {
        let residuals = Residuals::new(outcomes, rows, (axis, judges));
        let kernel = features.kernel();
        let same_task = residuals.tasks.matmul(&residuals.tasks.tr());
        let mixed = &kernel * (same_task * TASK_SHARE + (1.0 - TASK_SHARE));
        let (ease, z) = ease(&Ridge::new(&mixed, EASE_PENALTY), &residuals);
        let high = centred(&residuals.high);
        let slopes = slopes(&z, &high, &residuals);
        let by_slope = residuals.tasks.matmul(&slopes) * &z;
        let ridge = Ridge::new(&kernel, OWN_PENALTY);
        let own = Own::fit(&ridge, &high, &(&high - &by_slope), &residuals);
        // What of the low end goes with the high one is foretold with it.
        let shared = share(&centred(&residuals.low), &high);
        let low = centred(&residuals.low) - &high * shared;
        let low = Own::fit(&ridge, &low, &low, &residuals);
        let map = ValueMap::new(axis);
        let foretold = by_slope + &own.left_out * own.strength;
        let foretold_low = &foretold * shared + &low.left_out * low.strength;
        Self {
            ease,
            slopes: map.values(&slopes, &(&slopes * shared)),
            own: Tensor::cat(&[own.solution * own.strength, low.solution * low.strength], 1),
            own_values: map.columns(high.size().last().copied().unwrap_or(1), shared),
            strength: own.strength,
            left_out: map.values(&foretold, &foretold_low),
        }
    }
}

impl Residuals {
    fn new(outcomes: &Outcomes, rows: &Tensor, (axis, judges): (&Axis, &Tensor)) -> Self {
        let residual = outcomes.residual.index_select(0, rows);
        let count = outcomes.values.size().first().copied().unwrap_or(1);
        let tasks = outcomes.tasks.index_select(0, rows).one_hot(count).to_kind(Kind::Float);
        Self {
            high: residual.matmul(&axis.quality),
            low: residual.matmul(&axis.cost),
            relevance: tasks.matmul(&relevance(&outcomes.values, judges)),
            tasks,
        }
    }

    /// Returns rows against their mean over relevant LLMs.
    fn against_relevant(&self, rows: &Tensor) -> Tensor {
        rows - (rows * &self.relevance).sum_dim_intlist(1, true, Kind::Float)
    }
}

impl Own {
    /// Foretells `targets`; the strength is how well that explains what is left to explain, `rest`.
    fn fit(ridge: &Ridge, targets: &Tensor, rest: &Tensor, residuals: &Residuals) -> Self {
        let solution = ridge.solve(targets);
        let left_out = ridge.left_out(targets, &solution);
        let (told, rest) = (residuals.against_relevant(&left_out), residuals.against_relevant(rest));
        let square = (told.square() * &residuals.relevance).sum(Kind::Double).double_value(&[]).max(1e-30);
        let product = (&told * &rest * &residuals.relevance).sum(Kind::Double).double_value(&[]);
        let factor = product / square;
        let error = (&rest - &told * factor) * &told * &residuals.relevance;
        let doubt = error.square().sum(Kind::Double).double_value(&[]) / square.powi(2);
        let sure = (1.0 - doubt / (factor * factor).max(1e-30)).max(0.0);
        Self { solution, left_out, strength: factor.clamp(0.0, 1.0) * sure }
    }
}

/// Returns the solution `[queries, tasks]` as each task sees it, and the left-out ease `[queries, 1]`.
fn ease(ridge: &Ridge, residuals: &Residuals) -> (Tensor, Tensor) {
    let target = residuals.high.mean_dim(1, true, Kind::Float);
    let solution = ridge.solve(&target);
    let left_out = ridge.left_out(&target, &solution);
    (solution * (&residuals.tasks * TASK_SHARE + (1.0 - TASK_SHARE)), left_out)
}

/// Returns `[tasks, llms]`: slopes of the LLMs' differences on `z`, shrunk by what chance alone would make of them.
fn slopes(z: &Tensor, targets: &Tensor, residuals: &Residuals) -> Tensor {
    let turned = residuals.tasks.tr();
    let penalty = residuals.high.square().mean(Kind::Float) * SLOPE_PENALTY + 1e-9;
    let divisor = turned.matmul(&z.square()) + penalty; // [T, 1]
    let raw = turned.matmul(&(targets * z)) / &divisor;
    let error = targets - residuals.tasks.matmul(&raw) * z;
    let chance = turned.matmul(&(error * z).square()) / divisor.square();
    let weight = turned.matmul(&residuals.relevance) / turned.sum_dim_intlist(1, true, Kind::Float).clamp_min(1.0);
    let centred = &raw - (&raw * &weight).sum_dim_intlist(1, true, Kind::Float);
    let total = |table: Tensor| (table * &weight).sum(Kind::Double).double_value(&[]);
    let kept = (1.0 - total(chance) / total(centred.square()).max(1e-30)).max(0.0);
    centred * (CAUTION * kept)
}

fn centred(rows: &Tensor) -> Tensor {
    rows - rows.mean_dim(1, true, Kind::Float)
}

/// Returns the slope of `rows` on `on`, over all elements.
fn share(rows: &Tensor, on: &Tensor) -> f64 {
    let square = on.square().sum(Kind::Double).double_value(&[]);
    if square > 0.0 { (rows * on).sum(Kind::Double).double_value(&[]) / square } else { 0.0 }
}

/// Returns `[tasks, llms]`: how often an LLM is the best of its task for one of the judges.
fn relevance(values: &Tensor, judges: &Tensor) -> Tensor {
    let llms = values.size().get(1).copied().unwrap_or(1);
    let best = values.matmul(&judges.tr()).argmax(1, false); // [T, U]
    let share = best.one_hot(llms).to_kind(Kind::Float).mean_dim(1, false, Kind::Float);
    (share + SMOOTHING / llms as f64) / (1.0 + SMOOTHING)
}

/// From utilities at both ends back to values: the smallest change of values that the ends see as these.
struct ValueMap {
    /// `[2, weights]`: one row for the high end, one for the low one.
    dual: Tensor,
}

impl ValueMap {
    fn new(axis: &Axis) -> Self {
        let ends = Tensor::stack(&[&axis.quality, &axis.cost], 0); // [2, K]
        Self { dual: ends.linalg_pinv(1e-6, false).tr() }
    }

    /// Returns values `[rows, llms · weights]` of utilities `[rows, llms]` at both ends.
    fn values(&self, high: &Tensor, low: &Tensor) -> Tensor {
        Tensor::stack(&[high, low], 2).matmul(&self.dual).flatten(1, 2)
    }

    /// Returns the matrix `[2 · llms, llms · weights]` that makes values of own highs and lows.
    fn columns(&self, llms: i64, shared: f64) -> Tensor {
        let unit = Tensor::eye(llms, (Kind::Float, Device::Cpu));
        let none = unit.zeros_like();
        Tensor::cat(&[self.values(&unit, &(&unit * shared)), self.values(&none, &unit)], 0)
    }
}
