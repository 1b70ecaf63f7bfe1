//! What all users together say about each (task, LLM) pair: the outcome edges between LLM and task nodes.

use ndarray::{Array2, Array3};

use super::edges::Edges;
use crate::model::tensors::single;

/// Features of an outcome edge; `edge_dim` of the configuration says how many of them the network reads.
pub const EDGE_FEATURES: usize = 4;

/// Means of the training edges.
#[derive(Debug, Clone)]
pub struct Population {
    /// `[tasks + 1, llms]`: mean reward; the last row is over all tasks and stands for an unknown one.
    pub mean: Array2<f32>,
    /// Standard deviation of all rewards: the unit the network computes in.
    pub scale: f32,
    /// `[tasks, llms, EDGE_FEATURES]`: mean reward against the task's, log count, spread, mean relative reward.
    pub outcome: Array3<f32>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    count: f64,
    reward: f64,
    square: f64,
    relative: f64,
}

impl Population {
    /// Averages the edges that are not kept for validation; pairs without any lean on their LLM and task.
    pub fn build(edges: &Edges, tasks: usize, llms: usize) -> Self {
        let mut cells = Array2::from_elem((tasks, llms), Sums::default());
        for (_, group) in edges.iter().filter(|(_, group)| !group.validation) {
            for edge in edges.of(group) {
                if let Some(cell) = cells.get_mut((group.task as usize, usize::from(edge.llm))) {
                    cell.add(edge.reward, edge.relative);
                }
            }
        }
        let total = cells.iter().fold(Sums::default(), |total, cell| total.plus(cell));
        let deviation = (total.mean_square() - total.mean().powi(2)).max(0.0).sqrt();
        let scale = if deviation > 1e-6 { deviation } else { 1.0 };
        Self { mean: means(&cells, &total), scale: single(scale), outcome: outcome(&cells, scale) }
    }
}

impl Sums {
    fn add(&mut self, reward: f32, relative: f32) {
        self.count += 1.0;
        self.reward += f64::from(reward);
        self.square += f64::from(reward).powi(2);
        self.relative += f64::from(relative);
    }

    fn plus(self, other: &Self) -> Self {
        Self {
            count: self.count + other.count,
            reward: self.reward + other.reward,
            square: self.square + other.square,
            relative: self.relative + other.relative,
        }
    }

    fn mean(&self) -> f64 {
        self.reward / self.count.max(1.0)
    }

    fn mean_square(&self) -> f64 {
        self.square / self.count.max(1.0)
    }

    /// The mean with one pseudo-count of `prior`, so that an empty cell is exactly the prior.
    fn shrunk(&self, prior: f64) -> f64 {
        (self.reward + prior) / (self.count + 1.0)
    }
}

fn means(cells: &Array2<Sums>, total: &Sums) -> Array2<f32> {
    let (tasks, llms) = cells.dim();
    let column = |llm: usize| cells.column(llm).iter().fold(Sums::default(), |sum, cell| sum.plus(cell));
    let overall: Vec<f64> = (0..llms).map(|llm| column(llm).shrunk(total.mean())).collect();
    Array2::from_shape_fn((tasks + 1, llms), |(task, llm)| {
        let prior = overall.get(llm).copied().unwrap_or(0.0);
        single(cells.get((task, llm)).map_or(prior, |cell| cell.shrunk(prior)))
    })
}

fn outcome(cells: &Array2<Sums>, scale: f64) -> Array3<f32> {
    let (tasks, llms) = cells.dim();
    let rows: Vec<f64> =
        cells.rows().into_iter().map(|row| row.iter().fold(Sums::default(), |s, c| s.plus(c)).mean()).collect();
    Array3::from_shape_fn((tasks, llms, EDGE_FEATURES), |(task, llm, feature)| {
        let cell = cells.get((task, llm)).copied().unwrap_or_default();
        let base = rows.get(task).copied().unwrap_or(0.0);
        let value = match feature {
            0 => (cell.shrunk(base) - base) / scale,
            1 => (1.0 + cell.count).ln() / 10.0,
            2 => (cell.mean_square() - cell.mean().powi(2)).max(0.0).sqrt() / scale,
            _ => cell.relative / (cell.count + 1.0) / scale,
        };
        single(value)
    })
}
