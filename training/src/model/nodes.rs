//! States of LLM and task nodes: features, family messages, outcome messages.

use tch::{Kind, Tensor};

use super::params::{Init, Linear};
use super::tensors::{from2, from3};
use crate::graph::Graph;

/// Constant inputs of the layer, on the device.
#[derive(Debug)]
pub struct NodeInputs {
    llm: Tensor,
    task: Tensor,
    family: Tensor,
    outcome: Tensor,
}

/// One round of message passing between LLM and task nodes.
#[derive(Debug)]
pub struct Nodes {
    llm: Linear,
    llm_id: Tensor,
    task: Linear,
    task_id: Tensor,
    family: Tensor,
    to_llm: Message,
    to_task: Message,
}

/// Message over the outcome edges: `relu(edge · A + source · B)`, averaged by the receiver.
#[derive(Debug)]
struct Message {
    edge: Linear,
    source: Tensor,
}

/// Node states.
#[derive(Debug)]
pub struct NodeStates {
    /// `[llms, dim]`.
    pub llm: Tensor,
    /// `[tasks + 1, dim]`: the last row, the mean of the others, stands for an unknown task.
    pub task: Tensor,
}

impl NodeInputs {
    /// Copies the graph's features to `device`; of the outcome edges' features only the first `edge_dim` are read.
    pub fn new(graph: &Graph, edge_dim: i64, device: tch::Device) -> Self {
        let outcome = from3(&graph.population.outcome, device);
        let edge_dim = edge_dim.clamp(1, outcome.size().last().copied().unwrap_or(1));
        Self {
            llm: from2(&graph.features.llm, device),
            task: from2(&graph.features.task, device),
            family: from2(&graph.features.family, device),
            outcome: outcome.narrow(2, 0, edge_dim),
        }
    }
}

impl Nodes {
    /// Makes the layer for inputs of this shape.
    pub fn new(init: &mut Init<'_>, inputs: &NodeInputs, dim: i64) -> Self {
        let columns = |tensor: &Tensor| tensor.size().last().copied().unwrap_or(1);
        let rows = |tensor: &Tensor| tensor.size().first().copied().unwrap_or(1);
        Self {
            llm: init.linear("nodes.llm", columns(&inputs.llm), dim),
            llm_id: init.zeros("nodes.llm_id", &[rows(&inputs.llm), dim], 1.0),
            task: init.linear("nodes.task", columns(&inputs.task), dim),
            task_id: init.zeros("nodes.task_id", &[rows(&inputs.task), dim], 1.0),
            family: init.normal("nodes.family", &[dim, dim], 0.5 / (dim as f64).sqrt(), 1.0),
            to_llm: Message::new(init, "nodes.to_llm", columns(&inputs.outcome), dim),
            to_task: Message::new(init, "nodes.to_task", columns(&inputs.outcome), dim),
        }
    }

    /// Returns the states after the round.
    pub fn forward(&self, inputs: &NodeInputs) -> NodeStates {
        let llm = self.llm.forward(&inputs.llm) + &self.llm_id; // [L, d]
        let task = self.task.forward(&inputs.task) + &self.task_id; // [T, d]
        let kin = inputs.family.matmul(&llm).matmul(&self.family);
        let from_tasks = self.to_llm.forward(&inputs.outcome, &task.unsqueeze(1), 0); // mean over T: [L, d]
        let from_llms = self.to_task.forward(&inputs.outcome, &llm.unsqueeze(0), 1); // mean over L: [T, d]
        let task = task + from_llms;
        let unknown = task.mean_dim(0, true, Kind::Float);
        NodeStates { llm: llm + kin + from_tasks, task: Tensor::cat(&[task, unknown], 0) }
    }
}

impl Message {
    fn new(init: &mut Init<'_>, name: &str, edge_dim: i64, dim: i64) -> Self {
        let deviation = (dim as f64).sqrt().recip();
        Self {
            edge: init.linear(&format!("{name}.edge"), edge_dim, dim),
            source: init.normal(&format!("{name}.source"), &[dim, dim], deviation, 1.0),
        }
    }

    /// `edges` is `[T, L, e]`, `source` broadcasts to `[T, L, d]`.
    fn forward(&self, edges: &Tensor, source: &Tensor, over: i64) -> Tensor {
        let message = self.edge.forward(edges) + source.matmul(&self.source);
        message.relu().mean_dim(over, false, Kind::Float)
    }
}
