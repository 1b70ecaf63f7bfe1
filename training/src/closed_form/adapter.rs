//! Fits the adapter's tables: how likely each reward is at each point of the score grid.
//!
//! `p(r | score, task, llm)` is the mean over the training queries of `N(r; score · effect + (1 − score) · cost, sd²)`, a
//! kernel density of the rewards of an answer. It is mixed with a little of the LLM's density over all tasks, for pairs that
//! hardly anybody rated, and a uniform component, so that no single odd reward decides a user's score.

use tch::{Device, Kind, Tensor};

use super::components::Components;
use super::constants::{
    BANDWIDTH, BANDWIDTH_BINS, DENSITY_QUERIES, GRID_POINTS, MAX_LIKELIHOODS, MIN_GRID, POOLED_ANSWERS, PRIOR_UNIFORM,
    PRIOR_WIDTH, REWARD_BINS, REWARD_TAIL, UNIFORM_SHARE,
};
use super::model::adapter::Adapter;
use super::model::factor::Loadings;
use super::model::preference::PreferenceDirection;
use crate::model::tensors::rounded;

/// Fits the adapter; `embedding_of` returns the embeddings `[grid, user_dim]` of users with these scores `[grid]`.
pub fn fit(components: &Components, embedding_of: impl Fn(&Tensor) -> Tensor) -> Adapter {
    let _guard = tch::no_grad_guard();
    let (bins, grid) = sizes((components.task_count() + 1) * components.llms());
    let scores = Tensor::linspace(0.0, 1.0, grid, (Kind::Float, Device::Cpu));
    let mut adapter = Adapter {
        table: Tensor::zeros([0, grid], (Kind::Float, Device::Cpu)),
        range: range(components),
        bins,
        prior: prior(&components.scores.to_kind(Kind::Float), &scores),
        embedding: embedding_of(&scores),
        loadings: components
            .factors
            .as_ref()
            .map(|factors| Loadings { table: factors.llm_loadings.to_kind(Kind::Float) }),
    };
    adapter.table = table(components, &adapter);
    adapter
}

/// Returns the embeddings `[grid, user_dim]` nearest to `origin` (`[user_dim]`) whose preference weights lie on the direction,
/// at these scores `[grid]`; `weights` maps embeddings to preference weights.
pub fn on_direction(
    scores: &Tensor,
    origin: &Tensor,
    weights: &(Tensor, Tensor),
    direction: &PreferenceDirection,
) -> Tensor {
    let wanted = direction.declared(&scores.unsqueeze(1)); // [G, K]
    let here = origin.unsqueeze(0).matmul(&weights.0) + &weights.1;
    let back = weights.0.to_kind(Kind::Double).pinverse(1e-9).to_kind(Kind::Float);
    origin.unsqueeze(0) + (wanted - here).matmul(&back)
}

/// Returns the numbers of bins and grid points that keep the table small enough for so many (task, LLM) pairs.
fn sizes(pairs: i64) -> (i64, i64) {
    let (mut bins, mut grid) = (REWARD_BINS, GRID_POINTS);
    while pairs * bins * grid > MAX_LIKELIHOODS && bins.max(grid) > MIN_GRID {
        if bins >= grid {
            bins = (bins - bins / 8).max(MIN_GRID);
        } else {
            grid = (grid - grid / 8).max(MIN_GRID);
        }
    }
    (bins, grid)
}

/// Returns the range of rewards that the bins cover.
fn range(components: &Components) -> [f64; 2] {
    let known = components.weight.gt(0.0);
    let coefficients = [&components.effect, &components.cost].map(|table| table.masked_select(&known));
    let seen = Tensor::cat(&coefficients, 0).to_kind(Kind::Double).sort(0, false).0;
    let last = seen.numel() as f64 - 1.0;
    let at = |share: f64| seen.double_value(&[rank(share * last)]);
    let (lower, upper) = if last < 0.0 { (0.0, 1.0) } else { (at(REWARD_TAIL), at(1.0 - REWARD_TAIL)) };
    let margin = 0.02 * (upper - lower).max(1e-3) + 3.0 * components.noise;
    [lower - margin, upper + margin]
}

#[expect(clippy::cast_possible_truncation, reason = "a rank, rounded")]
fn rank(at: f64) -> i64 {
    at.round() as i64
}

/// Returns the log-density of the population at the grid points.
fn prior(scores: &Tensor, grid: &Tensor) -> Tensor {
    let count = grid.size().first().copied().unwrap_or(1) as f64;
    let flat = Tensor::full_like(grid, count.recip());
    if scores.numel() == 0 {
        return flat.log();
    }
    let users = scores.unsqueeze(0).clamp(0.0, 1.0);
    let away = (grid.unsqueeze(1) - users) / PRIOR_WIDTH; // [G, U]
    let density = (away.square() * -0.5).exp().sum_dim_intlist(1, false, Kind::Float);
    let density = &density / density.sum(Kind::Float).clamp_min(1e-12);
    (density * (1.0 - PRIOR_UNIFORM) + flat * PRIOR_UNIFORM).log()
}

/// Returns the table of log-likelihoods, the last task's rows being means over tasks.
fn table(components: &Components, adapter: &Adapter) -> Tensor {
    let [lower, upper] = adapter.range;
    let narrowest = (upper - lower) * BANDWIDTH;
    let width = components.noise.hypot(narrowest.max(BANDWIDTH_BINS * adapter.step()));
    let kernel = Kernel {
        rewards: Tensor::linspace(lower, upper, adapter.bins, (Kind::Float, Device::Cpu)),
        grid: adapter.grid(),
        width,
    };
    let columns = [&components.effect, &components.cost, &components.weight].map(|table| table.to_kind(Kind::Float));
    let tasks = components.task_count();
    let members: Vec<Tensor> = (0..tasks).map(|task| components.tasks.eq(task).nonzero().view([-1])).collect();
    let queries = components.queries.len().max(1) as f64;
    let mut by_llm: Vec<Vec<Tensor>> = Vec::new();
    for llm in 0..components.llms() {
        let column = columns.each_ref().map(|table| table.select(1, llm));
        by_llm.push(densities(&kernel, &column, &members, (upper - lower).recip()));
    }
    let mut rows = Vec::new();
    for task in 0..members.len() {
        rows.extend(by_llm.iter().filter_map(|of| of.get(task)).map(Tensor::shallow_clone));
    }
    for of in &by_llm {
        let shares = members.iter().zip(of).map(|(members, density)| density * (members.numel() as f64 / queries));
        rows.extend(shares.reduce(|sum, part| sum + part));
    }
    if rows.is_empty() {
        return adapter.table.shallow_clone();
    }
    let all = (Tensor::cat(&rows, 0) + 1e-12).log(); // [pairs · bins, G]
    if adapter.loadings.is_some() {
        // Likelihoods of different offsets are compared, so their scale matters.
        return rounded(&all);
    }
    let most = all.amax([1].as_slice(), true);
    rounded(&(all - most))
}

/// Returns `[bins, grid]` for each task: the density of one LLM's rewards, uniform where nothing is known.
fn densities(kernel: &Kernel, column: &[Tensor; 3], members: &[Tensor], flat: f64) -> Vec<Tensor> {
    let found: Vec<(Tensor, f64)> = members.iter().map(|members| kernel.density(column, members)).collect();
    let shape = kernel.shape();
    let total: f64 = found.iter().map(|(_, count)| count).sum();
    let sum = found.iter().map(|(density, count)| density * *count).reduce(|sum, part| sum + part);
    let uniform = Tensor::full(shape, flat, (Kind::Float, Device::Cpu));
    let pooled = match sum {
        Some(sum) => (sum + &uniform) / (total + 1.0),
        None => uniform.shallow_clone(),
    };
    let mix = |(density, count): (Tensor, f64)| {
        let own = (density * count + &pooled * POOLED_ANSWERS) / (count + POOLED_ANSWERS);
        own * (1.0 - UNIFORM_SHARE) + &uniform * UNIFORM_SHARE
    };
    found.into_iter().map(mix).collect()
}

/// Where densities are evaluated, and how wide their kernel is.
struct Kernel {
    /// `[bins]`.
    rewards: Tensor,
    /// `[grid]`.
    grid: Tensor,
    width: f64,
}

impl Kernel {
    fn shape(&self) -> [i64; 2] {
        [self.rewards.size().first().copied().unwrap_or(0), self.grid.size().first().copied().unwrap_or(0)]
    }

    /// Returns the density `[bins, grid]` of the rewards of some queries' answers, and how many were known.
    fn density(&self, [effect, cost, weight]: &[Tensor; 3], members: &Tensor) -> (Tensor, f64) {
        let weight = weight.index_select(0, members).nan_to_num(0.0, None, None);
        let known = weight.gt(0.0).nonzero().view([-1]);
        let count = known.size().first().copied().unwrap_or(0);
        if count == 0 {
            return (Tensor::zeros(self.shape(), (Kind::Float, Device::Cpu)), 0.0);
        }
        let kept = count.min(DENSITY_QUERIES);
        let every = Tensor::from_slice(&(0..kept).map(|i| i * count / kept).collect::<Vec<i64>>());
        let known = known.index_select(0, &every);
        let pick = |table: &Tensor| table.index_select(0, members).index_select(0, &known).unsqueeze(0);
        let score = self.grid.unsqueeze(1);
        let rest: Tensor = 1.0 - &score;
        let mean = pick(effect) * &score + pick(cost) * rest; // [G, n]
        let share = weight.index_select(0, &known);
        let share = &share / share.sum(Kind::Float);
        let away = (self.rewards.view([-1, 1, 1]) - mean.unsqueeze(0)) / self.width; // [B, G, n]
        let density = (away.square() * -0.5).exp().matmul(&share); // [B, G]
        (density / (self.width * (2.0 * std::f64::consts::PI).sqrt()), count as f64)
    }
}

#[cfg(test)]
mod tests;
