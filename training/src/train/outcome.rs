//! What every training query's answers were worth, worked out from the rewards of the users that saw them.
//!
//! With the users' weights `w_u` known, the value `V + x` of an answer solves the ridge regression
//! `Σ_u (r_u − w_u · (V + x))² + λ |x|²` over the users that rated it: a message from users to the answer's edge.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

use super::TrainInput;
use super::components::Components;
use crate::data::{Dataset, Setting};
use crate::graph::Graph;
use crate::model::axis::Axis;
use crate::model::net::Forward;
use crate::model::tensors::from2;

/// λ, in units of a user's squared weight: a few users that agree are believed.
const RIDGE: f64 = 0.03;
/// Rated answers taken in at once: bounds the memory.
const CHUNK: usize = 200_000;
/// Queries whose spread stands in for a pair that has too few.
const PRIOR_QUERIES: f64 = 5.0;

/// Rounds in which pairs take over the mean of their answers.
const REFINEMENTS: usize = 2;
/// Pull of that mean to zero: so many answers.
const MEAN_PENALTY: f64 = 3.0;

/// Values of the training queries' answers, against those of their task; on the CPU.
#[derive(Debug)]
pub struct Outcomes {
    /// Indices of the queries.
    pub queries: Vec<u32>,
    /// Task of each.
    pub tasks: Tensor,
    /// `[tasks, llms, weights]`: values by task.
    pub values: Tensor,
    /// `[queries, llms, weights]`: what the answer was worth beyond its task's value.
    pub residual: Tensor,
    /// `[queries, llms]`: 1 where somebody rated the answer.
    pub seen: Tensor,
}

/// Rated answers, flat.
#[derive(Debug, Default)]
struct Flat {
    user: Vec<i64>,
    slot: Vec<i64>,
    cell: Vec<i64>,
    reward: Vec<f32>,
}

impl Outcomes {
    /// Works out the values of all rated answers; in setting EC they are the known effects and costs.
    pub fn recover(input: &TrainInput<'_>, graph: &Graph, forward: &Forward, weights: &Tensor) -> Self {
        let mut rows: BTreeMap<u32, (usize, u32)> = graph.edges.iter().map(|(_, g)| (g.query, (0, g.task))).collect();
        rows.values_mut().enumerate().for_each(|(row, slot)| slot.0 = row);
        let queries: Vec<u32> = rows.keys().copied().collect();
        let tasks: Vec<i64> = rows.values().map(|&(_, task)| i64::from(task)).collect();
        let tasks = Tensor::from_slice(&tasks);
        let weights = weights.detach().to_device(Device::Cpu);
        let find = |values: &Tensor| match input.setting {
            Setting::Rewards => solve(graph, &rows, &weights, values),
            Setting::EffectCost => known(input.dataset, &queries, &values.index_select(0, &tasks)),
        };
        let mut values = forward.values.detach().to_device(Device::Cpu);
        for _ in 0..REFINEMENTS {
            let (residual, seen) = find(&values);
            values += mean_by_task(&tasks, &residual, &seen, &values);
        }
        let (residual, seen) = find(&values);
        Self { queries, tasks, values, residual, seen }
    }

    /// Returns what the values are worth at both ends of `axis`, and where users of these weights stand between them.
    pub fn components(&self, axis: &Axis, weights: &Tensor) -> Components {
        let at = |values: &Tensor, end: &Tensor| values.matmul(end).to_kind(Kind::Double);
        let answers = self.values.index_select(0, &self.tasks) + &self.residual;
        Components {
            queries: self.queries.clone(),
            tasks: self.tasks.shallow_clone(),
            positions: axis.preference(weights).to_kind(Kind::Double),
            high: at(&answers, &axis.quality),
            low: at(&answers, &axis.cost),
            weight: self.seen.to_kind(Kind::Double),
            cell_high: at(&self.values, &axis.quality),
            cell_low: at(&self.values, &axis.cost),
            noise: 0.0,
        }
    }

    /// Returns `[tasks, llms]`: the standard deviation of the expected reward of the mean user.
    pub fn deviation(&self, weights: &Tensor) -> Tensor {
        let mean = weights.detach().to_device(Device::Cpu).mean_dim(0, false, Kind::Float);
        let (tasks, llms, _) = self.values.size3().unwrap_or((1, 1, 1));
        let squares = self.residual.matmul(&mean).square() * &self.seen; // [Q, L]
        let zeros = || Tensor::zeros([tasks, llms], (Kind::Float, Device::Cpu));
        let sum = zeros().index_add(0, &self.tasks, &squares);
        let count = zeros().index_add(0, &self.tasks, &self.seen);
        let overall = sum.sum(Kind::Float) / count.sum(Kind::Float).clamp_min(1.0);
        let variance = (sum + overall * PRIOR_QUERIES) / (&count + PRIOR_QUERIES);
        (variance / (count + 1.0)).sqrt()
    }
}

/// Returns what the queries' answers are worth beyond their tasks' values on average, `[tasks, llms, weights]`: a
/// message from answers to (task, LLM) pairs, which takes the last bit of noise of the minibatches off the values.
fn mean_by_task(tasks: &Tensor, residual: &Tensor, seen: &Tensor, values: &Tensor) -> Tensor {
    let seen = seen.unsqueeze(2);
    let sum = values.zeros_like().index_add(0, tasks, &(residual * &seen));
    let (rows, llms, _) = values.size3().unwrap_or((1, 1, 1));
    let count = Tensor::zeros([rows, llms, 1], (Kind::Float, Device::Cpu)).index_add(0, tasks, &seen);
    sum / (count + MEAN_PENALTY)
}

/// Returns known effects and costs beyond `expected`, `[queries, llms, 2]`, and where both are known.
fn known(dataset: &Dataset, queries: &[u32], expected: &Tensor) -> (Tensor, Tensor) {
    let idx: Vec<i64> = queries.iter().map(|&query| i64::from(query)).collect();
    let pick = |array| from2(array, Device::Cpu).index_select(0, &Tensor::from_slice(&idx));
    let known = Tensor::stack(&[pick(&dataset.effect), -pick(&dataset.cost)], 2);
    let seen = known.isnan().logical_not().all_dim(2, false).to_kind(Kind::Float);
    let residual = (known - expected).nan_to_num(0.0, None, None);
    (residual * seen.unsqueeze(2), seen)
}

/// Returns residual values `[queries, llms, weights]` and where they were seen.
fn solve(graph: &Graph, rows: &BTreeMap<u32, (usize, u32)>, weights: &Tensor, values: &Tensor) -> (Tensor, Tensor) {
    let k = weights.size().last().copied().unwrap_or(1);
    let slots = rows.len() as i64 * graph.llms as i64;
    let double = (Kind::Double, Device::Cpu);
    let mut square = Tensor::zeros([slots, k * k], double);
    let mut pull = Tensor::zeros([slots, k], double);
    let mut count = Tensor::zeros([slots], double);
    let weights = weights.to_kind(Kind::Double);
    let cells = values.reshape([-1, k]).to_kind(Kind::Double);
    let mut take = |flat: &mut Flat| {
        let slot = Tensor::from_slice(&flat.slot);
        let w = weights.index_select(0, &Tensor::from_slice(&flat.user)); // [E, K]
        let expected =
            (&w * cells.index_select(0, &Tensor::from_slice(&flat.cell))).sum_dim_intlist(1, true, Kind::Double);
        let error = Tensor::from_slice(&flat.reward).to_kind(Kind::Double).unsqueeze(1) - expected;
        let outer = (w.unsqueeze(2) * w.unsqueeze(1)).view([-1, k * k]);
        let _ = square.index_add_(0, &slot, &outer);
        let _ = pull.index_add_(0, &slot, &(w * error));
        let _ = count.index_add_(0, &slot, &Tensor::ones([flat.slot.len() as i64], double));
        *flat = Flat::default();
    };
    let mut flat = Flat::default();
    for (user, group) in graph.edges.iter() {
        let row = rows.get(&group.query).map_or(0, |&(row, _)| row);
        for edge in graph.edges.of(group) {
            flat.user.push(user as i64);
            flat.slot.push((row * graph.llms + usize::from(edge.llm)) as i64);
            flat.cell.push(graph.cell(group.task, edge.llm) as i64);
            flat.reward.push(edge.reward);
        }
        if flat.slot.len() >= CHUNK {
            take(&mut flat);
        }
    }
    take(&mut flat);
    let unit = weights.square().mean(Kind::Double) * k as f64;
    let ridge = Tensor::eye(k, double) * (unit * RIDGE + 1e-9);
    let solved = Tensor::linalg_solve(&(square.view([-1, k, k]) + ridge), &pull.unsqueeze(2), true);
    let residual = solved.view([-1, graph.llms as i64, k]).to_kind(Kind::Float);
    let seen = count.gt(0.0).to_kind(Kind::Float).view([-1, graph.llms as i64]);
    (residual, seen)
}
