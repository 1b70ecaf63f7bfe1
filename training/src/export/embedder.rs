//! Embeds users through the exported adapter, in ONNX Runtime.

use anyhow::Result;
use personaroute_bundle::interaction::{AdapterInteraction, TextInput};
use personaroute_bundle::manifest::GraphSpec;
use tch::Tensor;

use super::runtime::{Elements, Graph, Input};
use crate::graph::interaction::InteractionBatch;
use crate::model::tensors::{from_rows, to_vec};
use crate::train::Trained;

/// The adapter graph in ONNX Runtime.
pub struct Embedder {
    graph: Graph,
    prior: Vec<f32>,
    columns: (usize, TextInput),
}

impl Embedder {
    /// Exports the adapter of a model and opens it.
    pub fn new(model: &Trained) -> Result<Self> {
        let facts = model.facts();
        let encoder = super::text_encoder(model, None);
        let file = super::adapter(model, &GraphSpec::adapter(model.user_dim(), facts.tasks.len(), &encoder));
        let columns = (facts.tasks.len(), facts.text_input());
        Ok(Self { graph: Graph::load(&file)?, prior: model.prior(), columns })
    }

    /// Returns the embeddings `[users, user_dim]` of users with these interactions, from the prior.
    pub fn embed(&mut self, users: &[Vec<AdapterInteraction>]) -> Result<Tensor> {
        let mut rows = Vec::new();
        for user in users {
            let batch = InteractionBatch::from_prior(std::slice::from_ref(user), self.columns, &self.prior);
            rows.extend(run(&mut self.graph, &batch)?.into_iter().next());
        }
        Ok(from_rows(&rows, self.prior.len()))
    }
}

/// Runs an adapter graph.
pub fn run(graph: &mut Graph, batch: &InteractionBatch) -> Result<Vec<Vec<f32>>> {
    let InteractionBatch { inputs, tasks, start, start_interactions } = batch;
    let start_dims = start.size();
    let (start, start_interactions) = (to_vec(start), to_vec(start_interactions));
    let [users, interactions, text] = [inputs.users, inputs.interactions, inputs.text].map(|count| count as i64);
    let dims = [users, interactions];
    let [of_task, of_text] = [*tasks as i64, text].map(|width| [users, interactions, width]);
    let text = match inputs.ngrams.is_empty() {
        true => Elements::F32(&inputs.query),
        false => Elements::I64(&inputs.ngrams),
    };
    graph.run(&[
        Input { dims: &start_dims, elements: Elements::F32(&start) },
        Input { dims: &[users, 1], elements: Elements::F32(&start_interactions) },
        Input { dims: &dims, elements: Elements::I64(&inputs.llm) },
        Input { dims: &of_task, elements: Elements::F32(&inputs.task) },
        Input { dims: &of_text, elements: text },
        Input { dims: &dims, elements: Elements::I64(&inputs.kind) },
        Input { dims: &dims, elements: Elements::F32(&inputs.value) },
        Input { dims: &dims, elements: Elements::F32(&inputs.weight) },
        Input { dims: &dims, elements: Elements::I64(&inputs.group) },
    ])
}
