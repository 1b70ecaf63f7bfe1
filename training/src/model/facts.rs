//! What a trained model says about itself: LLMs, tasks, users, data, hyperparameters.

use personaroute_bundle::catalog::{Llm, Task};
use serde::{Deserialize, Serialize};

use crate::data::{Dataset, LlmInfo, TaskInfo};
use crate::graph::query::TextEncoder;

use super::hparams::Hparams;
use super::kind::ModelKind;

/// What a model was trained on and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// How it was trained.
    pub model: ModelKind,
    /// LLMs in column order.
    pub llms: Vec<Llm>,
    /// Tasks in column order.
    pub tasks: Vec<Task>,
    /// `R` or `EC`.
    pub setting: String,
    /// Hyperparameters.
    pub hparams: Hparams,
    /// Length of a query embedding; 0 for the lexical encoder.
    pub embedding: usize,
    /// Ids and interaction counts of the training users.
    pub users: Vec<(String, u32)>,
    /// The data set's name.
    pub dataset: String,
    /// The data set's fingerprint.
    pub fingerprint: String,
    /// Queries, outcomes and interactions trained on.
    pub counts: [u64; 3],
    /// Seed.
    pub seed: u64,
    /// Epochs until the kept one.
    pub epochs: usize,
    /// Weight of what text predicts of each LLM, chosen on validation, 0 to 1.
    pub text_strength: f64,
    /// Validation score of the kept epoch.
    pub validation: f64,
}

impl Facts {
    /// Returns the length of a query embedding for these hyperparameters and data.
    pub fn embedding_of(hparams: &Hparams, dataset: &Dataset) -> usize {
        match hparams.text {
            TextEncoder::Lexical(_) => 0,
            TextEncoder::Embedding => dataset.query_embeddings.ncols(),
        }
    }
}

/// Returns what a catalog says of an LLM.
pub fn llm(llm: &LlmInfo) -> Llm {
    Llm {
        id: llm.id.clone(),
        model: llm.model.clone(),
        input_price: llm.input_price,
        output_price: llm.output_price,
        cached_input_price: None,
        context_window: None,
        capabilities: Vec::new(),
        description: llm.description.clone(),
    }
}

/// Returns what a bundle says of a task.
pub fn task(task: &TaskInfo) -> Task {
    Task { name: task.name.clone(), description: task.description.clone() }
}
