//! The heterogeneous graph: user, task, query and LLM nodes and the edges between them, as plain arrays.
//!
//! Nothing here is learned; `model` turns node features and edges into tensors.

pub mod edges;
pub mod features;
pub mod population;
pub mod sample;
pub mod text;

use crate::data::{Dataset, Interactions};

use edges::Edges;
use features::Features;
use population::Population;

/// Everything the network reads.
#[derive(Debug, Clone)]
pub struct Graph {
    /// Number of LLM nodes.
    pub llms: usize,
    /// Number of task nodes.
    pub tasks: usize,
    /// Description and price of LLMs and tasks, and who is whose family.
    pub features: Features,
    /// What users said about answers.
    pub edges: Edges,
    /// The edges' means per task and LLM.
    pub population: Population,
}

impl Graph {
    /// Builds the graph of `interactions`; `seed` chooses the validation edges.
    pub fn build(dataset: &Dataset, interactions: &Interactions, seed: u64) -> Self {
        let tasks: Vec<u32> = dataset.queries.iter().map(|query| query.task).collect();
        let edges = Edges::build(interactions, &tasks, seed);
        let population = Population::build(&edges, dataset.tasks.len(), dataset.llms.len());
        let features = Features::build(dataset);
        Self { llms: dataset.llms.len(), tasks: dataset.tasks.len(), features, edges, population }
    }

    /// Returns the position of (task, LLM) in tables with one row per pair.
    pub fn cell(&self, task: u32, llm: u16) -> usize {
        task as usize * self.llms + usize::from(llm)
    }
}
