//! Penalised logistic regression by L-BFGS (Nocedal and Wright, Numerical Optimization, algorithms 7.4 and 7.5).

use std::collections::VecDeque;

use tch::{Kind, Tensor};

use super::design::{BLOCKS, Block, Design};
use crate::data::vote::Votes;

/// Pairs of steps and gradient changes that are remembered.
const MEMORY: usize = 10;
/// Most iterations; a few dozen are usual.
const ITERATIONS: usize = 300;
/// Relative decrease of the objective below which it has converged.
const TOLERANCE: f64 = 1e-9;
/// Decrease of the objective that a step must bring, as a share of what its slope promises.
const ARMIJO: f64 = 1e-4;
/// Most halvings of a step.
const HALVINGS: usize = 30;

/// One ridge for each block in the order of [`Block::ALL`]; a block without one takes no part.
pub type Ridges = [Option<f64>; BLOCKS];

/// Some votes of a design, some of its blocks, and their ridges.
#[derive(Debug)]
pub struct Problem {
    left: Tensor,
    right: Tensor,
    share: Tensor,
    ridge: Tensor,
    columns: i64,
}

impl Problem {
    /// Learns from the votes at `rows`.
    pub fn new(votes: &Votes, design: &Design, ridges: &Ridges, rows: &[usize]) -> Self {
        let device = design.left.device();
        let blocks: Vec<i64> = Block::ALL
            .iter()
            .zip(ridges)
            .filter(|(_, ridge)| ridge.is_some())
            .map(|(b, _)| b.column() as i64)
            .collect();
        let (at, columns) = (indices(rows).to_device(device), Tensor::from_slice(&blocks).to_device(device));
        let flat = |table: &Tensor| table.index_select(0, &at).index_select(1, &columns).view([-1]);
        let share: Vec<f64> = rows.iter().filter_map(|&row| votes.votes.get(row)).map(|v| v.winner.share()).collect();
        Self {
            left: flat(&design.left),
            right: flat(&design.right),
            share: Tensor::from_slice(&share).to_device(device),
            ridge: ridge(design, ridges).to_device(device),
            columns: blocks.len() as i64,
        }
    }

    /// Returns the parameters, the one that is always 0 behind them; `start` are parameters to begin with.
    pub fn solve(&self, start: Option<&Tensor>) -> Tensor {
        let _guard = tch::no_grad_guard();
        let mut point = start.map_or_else(|| self.ridge.zeros_like(), Tensor::copy);
        let (mut value, mut gradient) = self.evaluate(&point);
        let mut memory = VecDeque::new();
        for _ in 0..ITERATIONS {
            let mut direction = descent(&memory, &gradient);
            let mut slope = dot(&direction, &gradient);
            if slope >= 0.0 {
                memory.clear();
                direction = -&gradient;
                slope = -dot(&gradient, &gradient);
            }
            let Some((next, next_value, next_gradient)) = self.search(&point, value, (&direction, slope)) else {
                break;
            };
            let pair = (&next - &point, &next_gradient - &gradient);
            if dot(&pair.0, &pair.1) > 1e-12 {
                memory.push_back(pair);
                memory.drain(..memory.len().saturating_sub(MEMORY));
            }
            let gained = value - next_value;
            (point, value, gradient) = (next, next_value, next_gradient);
            if gained <= TOLERANCE * value.abs() {
                break;
            }
        }
        point
    }

    /// Returns the diagonal of the Hessian at `point`: the parameters' precision.
    pub fn precision(&self, point: &Tensor) -> Tensor {
        let chance = self.logits(point).sigmoid();
        let spread: Tensor = &chance - chance.square();
        let spread = spread.unsqueeze(1).expand([-1, self.columns], false).reshape([-1]);
        self.ridge.index_add(0, &self.left, &spread).index_add(0, &self.right, &spread)
    }

    /// Halves the step until the objective falls as it should.
    fn search(&self, point: &Tensor, value: f64, (direction, slope): (&Tensor, f64)) -> Option<(Tensor, f64, Tensor)> {
        let mut step = 1.0;
        for _ in 0..HALVINGS {
            let next = point + direction * step;
            let (next_value, gradient) = self.evaluate(&next);
            if next_value <= value + ARMIJO * step * slope {
                return Some((next, next_value, gradient));
            }
            step *= 0.5;
        }
        None
    }

    fn logits(&self, point: &Tensor) -> Tensor {
        let sum = |index: &Tensor| {
            point.index_select(0, index).view([-1, self.columns]).sum_dim_intlist(1, false, Kind::Double)
        };
        sum(&self.left) - sum(&self.right)
    }

    /// Returns the penalised negative log likelihood and its gradient.
    fn evaluate(&self, point: &Tensor) -> (f64, Tensor) {
        let logits = self.logits(point);
        let loss = logits.softplus() - &self.share * &logits;
        let shrunk = &self.ridge * point;
        let value = loss.sum(Kind::Double) + dot_tensor(&shrunk, point) * 0.5;
        let error = logits.sigmoid() - &self.share;
        let error = error.unsqueeze(1).expand([-1, self.columns], false).reshape([-1]);
        let gradient = shrunk.index_add(0, &self.left, &error).index_add(0, &self.right, &-error);
        // The last parameter stands for "none" and stays 0.
        let _ = gradient.narrow(0, gradient.size1().unwrap_or(1) - 1, 1).zero_();
        (value.double_value(&[]), gradient)
    }
}

/// Returns the chance, as a logit, that the left answer of each vote at `rows` wins.
pub fn logits(design: &Design, ridges: &Ridges, point: &Tensor, rows: &[usize]) -> Vec<f64> {
    let device = design.left.device();
    let on = ridges.map(|ridge| f64::from(u8::from(ridge.is_some())));
    let on = Tensor::from_slice(&on).to_device(device);
    let at = indices(rows).to_device(device);
    let sum = |table: &Tensor| {
        let index = table.index_select(0, &at);
        let size = index.size();
        (point.index_select(0, &index.view([-1])).view(size.as_slice()) * &on).sum_dim_intlist(1, false, Kind::Double)
    };
    doubles(&(sum(&design.left) - sum(&design.right)))
}

/// Returns the elements.
pub fn doubles(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_device(tch::Device::Cpu).to_kind(Kind::Double).contiguous();
    let mut out = vec![0.0; flat.numel()];
    let count = out.len();
    flat.copy_data(&mut out, count);
    out
}

fn indices(rows: &[usize]) -> Tensor {
    Tensor::from_slice(&rows.iter().map(|&row| row as i64).collect::<Vec<_>>())
}

fn ridge(design: &Design, ridges: &Ridges) -> Tensor {
    let mut flat = vec![0.0; design.parameters() + 1];
    for (block, ridge) in Block::ALL.into_iter().zip(ridges) {
        let own = flat.get_mut(design.range(block)).unwrap_or_default();
        own.fill(ridge.unwrap_or(0.0));
    }
    Tensor::from_slice(&flat)
}

/// The two-loop recursion: minus the inverse Hessian, as far as remembered, times the gradient.
fn descent(memory: &VecDeque<(Tensor, Tensor)>, gradient: &Tensor) -> Tensor {
    let mut direction = -gradient;
    let mut shares = Vec::with_capacity(memory.len());
    for (step, change) in memory.iter().rev() {
        let share = dot(step, &direction) / dot(step, change);
        direction -= change * share;
        shares.push(share);
    }
    if let Some((step, change)) = memory.back() {
        direction *= dot(step, change) / dot(change, change);
    }
    for ((step, change), share) in memory.iter().zip(shares.into_iter().rev()) {
        let back = dot(change, &direction) / dot(step, change);
        direction += step * (share - back);
    }
    direction
}

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    dot_tensor(a, b).double_value(&[])
}

fn dot_tensor(a: &Tensor, b: &Tensor) -> Tensor {
    a.dot(b)
}
