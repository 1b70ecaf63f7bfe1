//! Validation on masked edges: what users would have got on queries of theirs that training never showed.

use tch::{Device, Kind, Tensor};

use crate::graph::Graph;
use crate::graph::edges::Edge;
use crate::graph::sample::{Message, Visible, all_messages};
use crate::model::adapter::Messages;
use crate::model::net::Forward;
use crate::model::tensors::to_rows;

/// Most interactions embedded at once: bounds the memory.
const EMBED_CHUNK: usize = 200_000;

/// Returns the embeddings `[users, user_dim]` of all users from their interactions.
pub fn embed_all(graph: &Graph, forward: &Forward, with_validation: bool) -> Tensor {
    let device = forward.values.device();
    let mut parts = Vec::new();
    let mut lists: Vec<Vec<Message>> = Vec::new();
    let mut width = 0;
    let mut flush = |lists: &mut Vec<Vec<Message>>| {
        if !lists.is_empty() {
            let visible = Visible::pad(lists, graph.tasks);
            parts.push(forward.adapter.forward(&Messages::new(&visible, graph.llms, device)));
            lists.clear();
        }
    };
    for user in 0..graph.edges.users() {
        let list = all_messages(graph, user, with_validation);
        width = list.len().max(width);
        if (lists.len() + 1) * width > EMBED_CHUNK {
            flush(&mut lists);
            width = list.len();
        }
        lists.push(list);
    }
    flush(&mut lists);
    if parts.is_empty() { Tensor::zeros([0, 1], (Kind::Float, device)) } else { Tensor::cat(&parts, 0) }
}

/// How well validation groups were served, group by group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Validation {
    groups: Vec<f64>,
}

/// Standard errors by which a later epoch may look worse and still be kept: its weights are annealed further, and
/// the difference between two epochs is mostly a few groups whose choice flips.
const TOLERANCE: f64 = 0.5;

impl Validation {
    /// Returns the mean score; higher is better.
    pub fn mean(&self) -> f64 {
        self.groups.iter().sum::<f64>() / self.groups.len().max(1) as f64
    }

    /// Returns whether this is not clearly worse than `other`, by the differences within groups.
    pub fn holds_against(&self, other: &Self) -> bool {
        if other.groups.len() != self.groups.len() {
            return true;
        }
        let count = self.groups.len().max(1) as f64;
        let gains = self.groups.iter().zip(&other.groups).map(|(new, old)| new - old);
        let (sum, squares) = gains.fold((0.0, 0.0), |(sum, squares), gain| (sum + gain, squares + gain * gain));
        let mean = sum / count;
        let error = ((squares / count - mean * mean).max(0.0) / count).sqrt();
        mean >= -TOLERANCE * error
    }
}

/// Returns each validation group's score, higher is better: the reward of its best-looking answer; where users rate
/// single answers, minus the squared error of the reward.
pub fn score(graph: &Graph, forward: &Forward) -> Validation {
    let weights = to_rows(&forward.preference(&embed_all(graph, forward, false)).to_device(Device::Cpu));
    let cells = to_rows(&forward.cells());
    let expected = |user: usize, task: u32, edge: &Edge| {
        let pair = weights.get(user).zip(cells.get(graph.cell(task, edge.llm)));
        pair.map_or(0.0, |(w, v)| w.iter().zip(v).map(|(w, v)| f64::from(w * v)).sum::<f64>())
    };
    let (mut gained, mut missed) = (Vec::new(), Vec::new());
    for (user, group) in graph.edges.iter().filter(|(_, group)| group.validation) {
        let rated = graph.edges.of(group);
        let (mut best, mut squares) = ((f64::NEG_INFINITY, 0.0), 0.0);
        for edge in rated {
            let (guess, reward) = (expected(user, group.task, edge), f64::from(edge.reward));
            squares += (guess - reward).powi(2);
            if guess > best.0 {
                best = (guess, reward);
            }
        }
        if rated.len() > 1 {
            gained.push(best.1);
        }
        missed.push(-squares / rated.len().max(1) as f64);
    }
    Validation { groups: if gained.is_empty() { missed } else { gained } }
}
