//! What a trained model says about itself: LLMs, tasks, users, data, hyperparameters.

use personaroute_bundle::catalog::{Llm, Task};
use personaroute_bundle::interaction::TextInput;
use serde::{Deserialize, Serialize};

use crate::data::{Dataset, Interactions, LlmInfo, SignalKind, TaskInfo};
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
    /// The scale of the ratings trained on: the first and the last percentile; 0 and 1 where nobody rated.
    pub reward_range: [f32; 2],
}

/// Share of ratings below the lower end of their scale, and above the upper one.
const TAIL: f64 = 0.01;

impl Facts {
    /// Returns the adapter's text input.
    pub fn text_input(&self) -> TextInput {
        match self.hparams.text {
            TextEncoder::Lexical(_) => TextInput::Ngrams,
            TextEncoder::Embedding => TextInput::Embedding(self.embedding),
        }
    }

    /// Returns the scale of the ratings among interactions.
    pub fn reward_range(interactions: &Interactions) -> [f32; 2] {
        let ratings = interactions.entries.iter().filter(|entry| entry.kind == SignalKind::Rating);
        let mut values: Vec<f32> = ratings.map(|entry| entry.value).filter(|value| value.is_finite()).collect();
        values.sort_unstable_by(f32::total_cmp);
        let cut = rank(TAIL * values.len() as f64);
        let ends =
            values.get(cut).copied().zip(values.len().checked_sub(1 + cut).and_then(|at| values.get(at).copied()));
        match ends {
            Some((low, high)) if low < high => [low, high],
            Some((only, _)) => [only - 0.5, only + 0.5],
            None => [0.0, 1.0],
        }
    }

    /// Returns the length of a query embedding for these hyperparameters and data.
    pub fn embedding_of(hparams: &Hparams, dataset: &Dataset) -> usize {
        match hparams.text {
            TextEncoder::Lexical(_) => 0,
            TextEncoder::Embedding => dataset.query_embeddings.ncols(),
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "invariant: a share of a count")]
fn rank(at: f64) -> usize {
    at as usize
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
