//! What to expect of an LLM that training has not seen: empirical Bayes on two levels, relative to its peers.
//!
//! An answer's worth at either end is written as the mean of the known LLMs on the same query plus what is the LLM's
//! own: `peers + level + task deviation + noise`, with variances τ0², τ1², σ² found by treating each known LLM as new.
//! Ratings of a few answers update level and deviations in closed form; both ends are solved together, since one rating
//! tells only `(1 − s) · low + s · high`. An LLM's price foretells its level at the cost end, by regression over the
//! known. So little is known at first that its quality is taken to be lower than expected, by as many standard
//! deviations as its variance is left: [`CAUTION`]` · sd² / (τ0² + τ1²)`.

use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

use crate::closed_form::components::Components;
use crate::data::Interactions;
use crate::model::tensors::extent;

pub mod matrix;

#[cfg(test)]
mod tests;

use matrix::{Pair, Square};

/// Standard deviations by which an LLM of which nothing is known counts for less at the quality end.
pub const CAUTION: f64 = 2.0;
/// Smallest variances of levels and task deviations, as shares of the variance of answers.
const LEAST: [f64; 2] = [5e-4, 5e-6];
/// Pull of the price regression to zero.
const RIDGE: f64 = 1e-3;
/// Least noise of a rating, as a share of the standard deviation of answers.
const LEAST_NOISE: f64 = 0.02;

/// A rating of an answer of the new LLM.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heard {
    /// Row of the query in the components.
    pub row: usize,
    /// Position of the user who rated it.
    pub position: f64,
    /// Reward.
    pub reward: f64,
}

/// What is known of the LLMs that training has seen.
#[derive(Debug)]
pub struct Peers {
    /// Task of each query.
    tasks: Vec<usize>,
    /// Mean over known LLMs of `[high, low]`, by query.
    means: Vec<Pair>,
    /// Mean of those by task.
    task_means: Vec<Pair>,
    high: Levels,
    low: Levels,
    /// Level of `low` by price, and what it leaves open.
    price: Price,
    noise: f64,
    position: f64,
}

/// Variances of what is an LLM's own at one end.
#[derive(Debug)]
struct Levels {
    /// Of levels.
    between: f64,
    /// Of task deviations.
    task: f64,
    /// Of single answers, by task.
    within: Vec<f64>,
    /// Level of each known LLM.
    known: Vec<f64>,
}

/// `level = offset + slope · log price`.
#[derive(Debug)]
struct Price {
    offset: f64,
    slope: f64,
    variance: f64,
}

/// An estimate of a new LLM, by task.
#[derive(Debug, Clone, PartialEq)]
pub struct Newcomer {
    /// Utility at the quality end beyond the mean of the known LLMs, caution taken off.
    pub high: Vec<f64>,
    /// Utility at the cost end beyond the mean of the known LLMs.
    pub low: Vec<f64>,
    /// Standard deviation of the expected reward of the mean user.
    pub deviation: Vec<f64>,
    /// Rated answers: row of the query, worth at both ends, and how well known.
    pub answers: Vec<Answer>,
}

/// A rated answer of the new LLM.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// Row of the query in the components.
    pub row: usize,
    /// Worth at the quality end.
    pub high: f64,
    /// Worth at the cost end.
    pub low: f64,
    /// Share of the variance that the ratings took away.
    pub weight: f64,
}

/// Returns the logarithm of a typical answer's price: prompts and answers are about as long, but answers cost more of
/// what varies between LLMs.
pub fn log_price(input: f32, output: f32) -> f64 {
    (f64::from(input) + 2.0 * f64::from(output) + 1e-6).ln()
}

/// Returns the ratings of each of `llms` LLMs' answers to training queries, by users whose positions are known: those
/// of `components`, in their order.
pub fn heard(components: &Components, seen: &Interactions, llms: usize) -> Vec<Vec<Heard>> {
    let mut heard = vec![Vec::new(); llms];
    // As far as is known, a new LLM is to a user's taste what the others are on average.
    let taste = components.tastes.as_ref().map_or_else(Vec::new, |tastes| floats(&tastes.on_average()));
    for (user, &position) in floats(&components.positions).iter().enumerate() {
        let taste = taste.get(user).copied().unwrap_or(0.0);
        for entry in seen.of(user) {
            let row = components.queries.binary_search(&entry.query).ok();
            let rated = row.zip(entry.reward());
            if let Some(((row, reward), of)) = rated.zip(heard.get_mut(usize::from(entry.llm))) {
                of.push(Heard { row, position, reward: f64::from(reward) - taste });
            }
        }
    }
    heard
}

/// Returns the components with the rated answers of new LLMs behind the others: what ratings of them say about users.
pub fn extended(components: &Components, found: &[Newcomer]) -> Components {
    let queries = components.queries.len();
    let column = |value: fn(&Answer) -> f64, of: &Newcomer| {
        let mut column = vec![0.0; queries];
        for answer in &of.answers {
            if let Some(place) = column.get_mut(answer.row) {
                *place = value(answer);
            }
        }
        Tensor::from_slice(&column).unsqueeze(1)
    };
    let with = |known: &Tensor, value: fn(&Answer) -> f64| {
        let mut parts = vec![known.shallow_clone()];
        parts.extend(found.iter().map(|of| column(value, of)));
        Tensor::cat(&parts, 1)
    };
    let cells = |known: &Tensor| known.constant_pad_nd([0, found.len() as i64]);
    Components {
        queries: components.queries.clone(),
        tasks: components.tasks.shallow_clone(),
        positions: components.positions.shallow_clone(),
        high: with(&components.high, |answer| answer.high),
        low: with(&components.low, |answer| answer.low),
        weight: with(&components.weight, |answer| answer.weight),
        cell_high: cells(&components.cell_high),
        cell_low: cells(&components.cell_low),
        noise: components.noise,
        tastes: components.tastes.as_ref().map(|tastes| tastes.with_new(found.len() as i64)),
    }
}

impl Peers {
    /// Looks at the known LLMs; `log_price` has one entry for each.
    pub fn new(components: &Components, log_price: &[f64]) -> Result<Self> {
        let llms = extent(components.llms());
        ensure!(llms > 0 && llms == log_price.len(), "{} prices for {llms} LLMs", log_price.len());
        let task_count = extent(components.task_count());
        let ends = [&components.high, &components.low];
        let [high, low] = ends.map(|end| Levels::fit(components, end));
        let means = ends.map(|end| floats(&end.mean_dim(1, false, Kind::Double)));
        let [top, bottom] = &means;
        let cells =
            [&components.cell_high, &components.cell_low].map(|cell| floats(&cell.mean_dim(1, false, Kind::Double)));
        let [cell_top, cell_bottom] = &cells;
        let pairs = |a: &[f64], b: &[f64]| a.iter().copied().zip(b.iter().copied()).map(|(a, b)| [a, b]).collect();
        let tasks: Vec<i64> = Vec::try_from(&components.tasks.to_kind(Kind::Int64))?;
        let noise = components.noise.max(LEAST_NOISE * components.high.std(true).double_value(&[]).max(1e-6));
        Ok(Self {
            tasks: tasks.into_iter().map(|task| extent(task).min(task_count.saturating_sub(1))).collect(),
            means: pairs(top, bottom),
            task_means: pairs(cell_top, cell_bottom),
            price: Price::fit(log_price, &low.known, low.between),
            high,
            low,
            noise,
            position: components.positions.mean(Kind::Double).double_value(&[]),
        })
    }

    /// Estimates an LLM of this price from ratings of its answers; none leave the prior.
    pub fn estimate(&self, log_price: f64, heard: &[Heard]) -> Newcomer {
        let prior = [0.0, self.price.at(log_price)];
        let between = Square::diagonal([self.high.between, self.price.variance]);
        let task = Square::diagonal([self.high.task, self.low.task]).inverse();
        let queries = self.queries(heard);
        let mut told = vec![(Square::ZERO, [0.0; 2]); self.task_means.len()];
        for query in &queries {
            if let Some((information, pull)) = told.get_mut(query.task) {
                let (own, own_pull) = query.about_mean();
                *information = information.plus(&own);
                *pull = add(*pull, own_pull);
            }
        }
        let (mut information, mut pull) = (between.inverse(), between.inverse().times(prior));
        for (of_task, pull_of_task) in &told {
            // What a task says about the level, its own deviation being unknown.
            let back = of_task.product(&task.plus(of_task).inverse());
            information = information.plus(&of_task.minus(&back.product(of_task)));
            pull = add(pull, subtract(*pull_of_task, back.times(*pull_of_task)));
        }
        let level_variance = information.inverse();
        let level = level_variance.times(pull);
        let own: Vec<(Pair, Square)> = told
            .iter()
            .map(|(of_task, pull)| {
                let left = task.plus(of_task).inverse();
                let mean = add(level, left.times(subtract(*pull, of_task.times(level))));
                let kept = left.product(&task);
                (mean, left.plus(&kept.product(&level_variance).product(&kept.transposed())))
            })
            .collect();
        self.newcomer(&own, &queries)
    }

    fn newcomer(&self, own: &[(Pair, Square)], queries: &[Query]) -> Newcomer {
        let open = (self.high.between + self.high.task).max(1e-12);
        let cautious = |(mean, variance): &(Pair, Square)| {
            let variance = variance.first();
            mean[0] - CAUTION * variance / open * variance.max(0.0).sqrt()
        };
        let place = [self.position, 1.0 - self.position];
        let answer = |query: &Query| {
            let mean = own.get(query.task).map_or([0.0; 2], |(mean, _)| *mean);
            let [high, low] = add(query.peers, query.answer(mean));
            Answer { row: query.row, high, low, weight: query.weight() }
        };
        Newcomer {
            high: own.iter().map(cautious).collect(),
            low: own.iter().map(|(mean, _)| mean[1]).collect(),
            deviation: own.iter().map(|(_, variance)| variance.form(place).max(0.0).sqrt()).collect(),
            answers: queries.iter().map(answer).collect(),
        }
    }

    /// Ratings by query, against the peers.
    fn queries(&self, heard: &[Heard]) -> Vec<Query> {
        let mut found: std::collections::BTreeMap<usize, Query> = std::collections::BTreeMap::new();
        for heard in heard {
            let Some((&task, &peers)) = self.tasks.get(heard.row).zip(self.means.get(heard.row)) else { continue };
            let query = found.entry(heard.row).or_insert_with(|| Query {
                row: heard.row,
                task,
                peers,
                within: Square::diagonal([self.high.within(task), self.low.within(task)]),
                information: Square::ZERO,
                pull: [0.0; 2],
            });
            let place = [heard.position, 1.0 - heard.position];
            let beyond = heard.reward - dot(place, peers);
            let precision = (self.noise * self.noise).recip();
            query.information = query.information.plus(&Square::outer(place).scaled(precision));
            query.pull = add(query.pull, place.map(|x| x * beyond * precision));
        }
        found.into_values().collect()
    }
}

/// Ratings of one answer.
struct Query {
    row: usize,
    task: usize,
    peers: Pair,
    /// Variance of answers around their task's mean.
    within: Square,
    information: Square,
    pull: Pair,
}

impl Query {
    /// Information about the task's mean, and its pull, the answer's own deviation being unknown.
    fn about_mean(&self) -> (Square, Pair) {
        let back = self.information.product(&self.within.inverse().plus(&self.information).inverse());
        let information = self.information.minus(&back.product(&self.information));
        (information, subtract(self.pull, back.times(self.pull)))
    }

    /// The answer's worth beyond its peers, given the mean of its task.
    fn answer(&self, mean: Pair) -> Pair {
        let left = self.within.inverse().plus(&self.information).inverse();
        add(mean, left.times(subtract(self.pull, self.information.times(mean))))
    }

    /// Share of the variance at the quality end that the ratings took away.
    fn weight(&self) -> f64 {
        let left = self.within.inverse().plus(&self.information).inverse().first();
        (1.0 - left / self.within.first().max(1e-12)).clamp(0.0, 1.0)
    }
}

impl Levels {
    /// Treats each known LLM as new against the others.
    fn fit(components: &Components, end: &Tensor) -> Self {
        let llms = components.llms() as f64;
        let (tasks, weight) = (&components.tasks, &components.weight);
        let against_others = if llms > 1.0 { llms / (llms - 1.0) } else { 1.0 };
        let own = (end - end.mean_dim(1, true, Kind::Double)) * against_others; // [Q, L]
        let unit = end.var(true).double_value(&[]).max(1e-12);
        let unit = if unit.is_finite() { unit } else { 1.0 };
        let zeros = || Tensor::zeros([components.task_count(), components.llms()], (Kind::Double, Device::Cpu));
        let count = zeros().index_add(0, tasks, weight);
        let cell = zeros().index_add(0, tasks, &(&own * weight)) / count.clamp_min(1e-9);
        let error = (&own - cell.index_select(0, tasks)).square() * weight;
        // One answer says nothing about the spread.
        let many = count.gt(1.5).to_kind(Kind::Double);
        let degrees = (&count - 1.0).clamp_min(1e-9);
        let spread = zeros().index_add(0, tasks, &error) / degrees * &many;
        let pairs = many.sum(Kind::Double).double_value(&[]).max(1.0);
        let overall = (spread.sum(Kind::Double).double_value(&[]) / pairs).max(1e-4 * unit);
        let per_task = many.sum_dim_intlist(1, false, Kind::Double);
        let within = (spread.sum_dim_intlist(1, false, Kind::Double) + overall) / (per_task + 1.0);
        let seen = count.gt(0.5).to_kind(Kind::Double);
        let rows = seen.sum_dim_intlist(0, false, Kind::Double).clamp_min(1.0); // tasks seen of each LLM
        let known = (&cell * &seen).sum_dim_intlist(0, false, Kind::Double) / &rows; // [L]
        let error = ((&cell - &known).square() * &seen).sum(Kind::Double).double_value(&[]);
        let chance = (within.unsqueeze(1) / count.clamp_min(1.0) * &seen).sum(Kind::Double).double_value(&[]);
        let cells = seen.sum(Kind::Double).double_value(&[]);
        let freedom = cells - llms;
        let [least_level, least_task] = LEAST.map(|share| share * unit);
        let task =
            if freedom > 0.5 { (error / freedom - chance / cells.max(1.0)).max(least_task) } else { 0.05 * unit };
        let levels = floats(&known);
        let mean = levels.iter().sum::<f64>() / llms;
        let variance = levels.iter().map(|level| (level - mean).powi(2)).sum::<f64>() / (llms - 1.0).max(1.0);
        let between = if llms > 1.0 { (variance - task * llms / cells.max(1.0)).max(least_level) } else { unit };
        Self { between, task, within: floats(&within), known: levels }
    }

    fn within(&self, task: usize) -> f64 {
        self.within.get(task).copied().unwrap_or(1.0).max(1e-9)
    }
}

impl Price {
    fn fit(log_price: &[f64], levels: &[f64], between: f64) -> Self {
        let count = levels.len() as f64;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / count.max(1.0);
        let (x, y) = (mean(log_price), mean(levels));
        let pairs = || log_price.iter().map(move |p| p - x).zip(levels.iter().map(move |l| l - y));
        let square: f64 = pairs().map(|(p, _)| p * p).sum();
        if count < 4.0 || square < 1e-9 {
            return Self { offset: y, slope: 0.0, variance: between };
        }
        let slope = pairs().map(|(p, l)| p * l).sum::<f64>() / (square + RIDGE);
        let left: f64 = pairs().map(|(p, l)| (l - slope * p).powi(2)).sum();
        // A regression over few LLMs is never taken to be sharper than a tenth of what it explains.
        let variance = (left / (count - 2.0)).clamp(1e-3 * between, 2.0 * between);
        Self { offset: y - slope * x, slope, variance }
    }

    fn at(&self, log_price: f64) -> f64 {
        self.offset + self.slope * log_price
    }
}

fn add([a, b]: Pair, [c, d]: Pair) -> Pair {
    [a + c, b + d]
}

fn subtract([a, b]: Pair, [c, d]: Pair) -> Pair {
    [a - c, b - d]
}

fn dot([a, b]: Pair, [c, d]: Pair) -> f64 {
    a * c + b * d
}

fn floats(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_kind(Kind::Double).contiguous().view([-1]);
    let mut out = vec![0.0; flat.numel()];
    let count = out.len();
    flat.copy_data(&mut out, count);
    out
}
