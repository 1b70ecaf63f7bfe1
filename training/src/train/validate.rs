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

/// Returns the validation score, higher is better: the mean reward of the best-looking answers of each validation
/// group; where users rate single answers, minus the mean squared error of their rewards.
pub fn score(graph: &Graph, forward: &Forward) -> f64 {
    let weights = to_rows(&forward.preference(&embed_all(graph, forward, false)).to_device(Device::Cpu));
    let cells = to_rows(&forward.cells());
    let expected = |user: usize, task: u32, edge: &Edge| {
        let pair = weights.get(user).zip(cells.get(graph.cell(task, edge.llm)));
        pair.map_or(0.0, |(w, v)| w.iter().zip(v).map(|(w, v)| f64::from(w * v)).sum::<f64>())
    };
    let (mut gained, mut groups) = (0.0, 0_u32);
    let (mut squares, mut edges) = (0.0, 0_u32);
    for (user, group) in graph.edges.iter().filter(|(_, group)| group.validation) {
        let rated = graph.edges.of(group);
        let mut best = (f64::NEG_INFINITY, 0.0);
        for edge in rated {
            let (guess, reward) = (expected(user, group.task, edge), f64::from(edge.reward));
            squares += (guess - reward).powi(2);
            edges += 1;
            if guess > best.0 {
                best = (guess, reward);
            }
        }
        if rated.len() > 1 {
            gained += best.1;
            groups += 1;
        }
    }
    if groups > 0 { gained / f64::from(groups) } else { -squares / f64::from(edges.max(1)) }
}
