//! Embeds users through the exported adapter, in ONNX Runtime.

use anyhow::Result;
use personaroute_bundle::manifest::GraphSpec;
use personaroute_bundle::signals::Rated;
use tch::Tensor;

use super::runtime::{Elements, Graph, Input};
use crate::graph::interaction::InteractionBatch;
use crate::model::tensors::from_rows;
use crate::train::Trained;

/// The adapter graph in ONNX Runtime.
pub struct Embedder {
    graph: Graph,
    user_dim: usize,
    tasks: usize,
}

impl Embedder {
    /// Exports the adapter of a model and opens it.
    pub fn new(model: &Trained) -> Result<Self> {
        let user_dim = model.user_dim();
        let file = super::adapter(model, &GraphSpec::adapter(user_dim));
        Ok(Self { graph: Graph::load(&file)?, user_dim, tasks: model.facts().tasks.len() })
    }

    /// Returns the embeddings `[users, user_dim]` of users with these interactions.
    pub fn embed(&mut self, users: &[Vec<Rated>]) -> Result<Tensor> {
        let mut rows = Vec::new();
        for rated in users {
            let batch = InteractionBatch::rated(std::slice::from_ref(rated), self.tasks);
            let dims = [1, batch.width as i64];
            let found = self.graph.run(&[
                Input { dims: &dims, elements: Elements::I64(&batch.llm) },
                Input { dims: &dims, elements: Elements::I64(&batch.task) },
                Input { dims: &[1, batch.width as i64, 3], elements: Elements::F32(&batch.signals) },
                Input { dims: &dims, elements: Elements::F32(&batch.mask) },
                Input { dims: &dims, elements: Elements::I64(&batch.group) },
            ])?;
            rows.extend(found.into_iter().next());
        }
        Ok(from_rows(&rows, self.user_dim))
    }
}
