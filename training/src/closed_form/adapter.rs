//! Fits what users are heard to say: how likely each reward is at each position between cost and quality.
//!
//! `p(r | s, task, llm)` is the mean over the training queries of `N(r; (1 − s) · low + s · high, sd²)`, a kernel density
//! of what an answer may be worth. Beside it stand a little of the LLM's density over all tasks, which speaks for pairs
//! that hardly anybody rated, and a flat component, so that no single odd reward settles a user's place.

use tch::{Device, Kind, Tensor};

use crate::closed_form::components::Components;
use crate::closed_form::model::adapter::Belief;
use crate::closed_form::model::factor::Tastes;
use crate::closed_form::model::preference::Axis;
use crate::model::tensors::rounded;

/// Positions between cost and quality; coarser ones lose a few tenths of a point of gap, finer ones gain none.
const PLACES: i64 = 41;
/// Bins of the reward.
const BINS: i64 = 64;
/// Elements of the table at most: two bytes each in the bundle.
const ELEMENTS: i64 = 600_000;
/// Fewest bins and positions that many LLMs and tasks are squeezed into.
const FEWEST: i64 = 11;
/// Width of the kernel as a share of the range of rewards: queries seen stand for those not seen.
const BANDWIDTH: f64 = 0.01;
/// Width of the kernel in bins, at least: interpolation between bins loses what is narrower.
const BANDWIDTH_BINS: f64 = 0.6;
/// Share of the flat component.
const FLAT: f64 = 0.03;
/// Answers that the LLM's density over all tasks counts for.
const POOLED: f64 = 2.0;
/// Queries of a pair that are read: more make the density no better.
const MOST_QUERIES: i64 = 300;
/// Width of the kernel over the population's positions, and the share of a uniform population beside it.
const PRIOR: [f64; 2] = [0.05, 0.1];
/// Shares of rewards beyond each end of the range.
const TAIL: f64 = 0.001;

/// Fits the adapter; `embed` returns the embeddings `[places, user_dim]` of users at `[places]` positions.
pub fn fit(components: &Components, embed: impl Fn(&Tensor) -> Tensor) -> Belief {
    let _guard = tch::no_grad_guard();
    let (bins, places) = sizes((components.task_count() + 1) * components.llms());
    let positions = Tensor::linspace(0.0, 1.0, places, (Kind::Float, Device::Cpu));
    let mut belief = Belief {
        table: Tensor::zeros([0, places], (Kind::Float, Device::Cpu)),
        range: range(components),
        bins,
        prior: prior(&components.positions.to_kind(Kind::Float), &positions),
        embedding: embed(&positions),
        tastes: components.tastes.as_ref().map(|tastes| Tastes { loadings: tastes.loadings.to_kind(Kind::Float) }),
    };
    belief.table = table(components, &belief);
    belief
}

/// Returns the embeddings `[places, user_dim]` nearest to `origin` (`[user_dim]`) whose preference weights lie on the axis
/// at `places`; `weights` maps embeddings to preference weights.
pub fn on_axis(places: &Tensor, origin: &Tensor, weights: &(Tensor, Tensor), axis: &Axis) -> Tensor {
    let wanted = axis.declared(&places.unsqueeze(1)); // [G, K]
    let here = origin.unsqueeze(0).matmul(&weights.0) + &weights.1;
    let back = weights.0.to_kind(Kind::Double).pinverse(1e-9).to_kind(Kind::Float);
    origin.unsqueeze(0) + (wanted - here).matmul(&back)
}

/// Returns the bins and positions whose table is not too large for so many pairs.
fn sizes(pairs: i64) -> (i64, i64) {
    let (mut bins, mut places) = (BINS, PLACES);
    while pairs * bins * places > ELEMENTS && bins.max(places) > FEWEST {
        if bins >= places {
            bins = (bins - bins / 8).max(FEWEST);
        } else {
            places = (places - places / 8).max(FEWEST);
        }
    }
    (bins, places)
}

/// Returns the range of rewards that the bins cover.
fn range(components: &Components) -> [f64; 2] {
    let known = components.weight.gt(0.0);
    let ends = [&components.high, &components.low].map(|end| end.masked_select(&known));
    let seen = Tensor::cat(&ends, 0).to_kind(Kind::Double).sort(0, false).0;
    let last = seen.numel() as f64 - 1.0;
    let at = |share: f64| seen.double_value(&[rank(share * last)]);
    let (low, high) = if last < 0.0 { (0.0, 1.0) } else { (at(TAIL), at(1.0 - TAIL)) };
    let margin = 0.02 * (high - low).max(1e-3) + 3.0 * components.noise;
    [low - margin, high + margin]
}

#[expect(clippy::cast_possible_truncation, reason = "a rank, rounded")]
fn rank(place: f64) -> i64 {
    place.round() as i64
}

/// Returns the logarithmic density of the population at the places.
fn prior(positions: &Tensor, places: &Tensor) -> Tensor {
    let [width, uniform] = PRIOR;
    let count = places.size().first().copied().unwrap_or(1) as f64;
    let flat = Tensor::full_like(places, count.recip());
    if positions.numel() == 0 {
        return flat.log();
    }
    let users = positions.unsqueeze(0).clamp(0.0, 1.0);
    let away = (places.unsqueeze(1) - users) / width; // [G, U]
    let density = (away.square() * -0.5).exp().sum_dim_intlist(1, false, Kind::Float);
    let density = &density / density.sum(Kind::Float).clamp_min(1e-12);
    (density * (1.0 - uniform) + flat * uniform).log()
}

/// Returns the table of log-likelihoods, the last task's rows being means over tasks.
fn table(components: &Components, belief: &Belief) -> Tensor {
    let [low, high] = belief.range;
    let narrowest = (high - low) * BANDWIDTH;
    let width = components.noise.hypot(narrowest.max(BANDWIDTH_BINS * belief.step()));
    let kernel = Kernel {
        rewards: Tensor::linspace(low, high, belief.bins, (Kind::Float, Device::Cpu)),
        places: belief.places(),
        width,
    };
    let ends = [&components.high, &components.low, &components.weight].map(|end| end.to_kind(Kind::Float));
    let tasks = components.task_count();
    let members: Vec<Tensor> = (0..tasks).map(|task| components.tasks.eq(task).nonzero().view([-1])).collect();
    let queries = components.queries.len().max(1) as f64;
    let mut by_llm: Vec<Vec<Tensor>> = Vec::new();
    for llm in 0..components.llms() {
        let column = ends.each_ref().map(|end| end.select(1, llm));
        by_llm.push(densities(&kernel, &column, &members, (high - low).recip()));
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
        return belief.table.shallow_clone();
    }
    let all = (Tensor::cat(&rows, 0) + 1e-12).log(); // [pairs · bins, G]
    if belief.tastes.is_some() {
        // Rewards are compared with shifted ones: which of them is likelier counts too.
        return rounded(&all);
    }
    let most = all.amax([1].as_slice(), true);
    rounded(&(all - most))
}

/// Returns `[bins, places]` for each task: the density of one LLM's rewards, flat where nothing is known.
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
        let own = (density * count + &pooled * POOLED) / (count + POOLED);
        own * (1.0 - FLAT) + &uniform * FLAT
    };
    found.into_iter().map(mix).collect()
}

/// Where densities are evaluated, and how wide their kernel is.
struct Kernel {
    /// `[bins]`.
    rewards: Tensor,
    /// `[places]`.
    places: Tensor,
    width: f64,
}

impl Kernel {
    fn shape(&self) -> [i64; 2] {
        [self.rewards.size().first().copied().unwrap_or(0), self.places.size().first().copied().unwrap_or(0)]
    }

    /// Returns the density `[bins, places]` of the rewards of some queries' answers, and how many were known.
    fn density(&self, [high, low, weight]: &[Tensor; 3], members: &Tensor) -> (Tensor, f64) {
        let weight = weight.index_select(0, members).nan_to_num(0.0, None, None);
        let known = weight.gt(0.0).nonzero().view([-1]);
        let count = known.size().first().copied().unwrap_or(0);
        if count == 0 {
            return (Tensor::zeros(self.shape(), (Kind::Float, Device::Cpu)), 0.0);
        }
        let kept = count.min(MOST_QUERIES);
        let every = Tensor::from_slice(&(0..kept).map(|i| i * count / kept).collect::<Vec<i64>>());
        let known = known.index_select(0, &every);
        let pick = |end: &Tensor| end.index_select(0, members).index_select(0, &known).unsqueeze(0);
        let place = self.places.unsqueeze(1);
        let rest: Tensor = 1.0 - &place;
        let mean = pick(high) * &place + pick(low) * rest; // [G, n]
        let share = weight.index_select(0, &known);
        let share = &share / share.sum(Kind::Float);
        let away = (self.rewards.view([-1, 1, 1]) - mean.unsqueeze(0)) / self.width; // [B, G, n]
        let density = (away.square() * -0.5).exp().matmul(&share); // [B, G]
        (density / (self.width * (2.0 * std::f64::consts::PI).sqrt()), count as f64)
    }
}

#[cfg(test)]
mod tests;
