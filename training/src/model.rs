//! What a router and a trained model are, whichever way the model was trained.
//!
//! Evaluation, export and the baselines know models by these traits alone. A way to train has a module of its own
//! ([`crate::closed_form`]); [`crate::train`] picks one by [`kind::ModelKind`].

pub mod columns;
pub mod facts;
pub mod fit;
pub mod hparams;
pub mod kind;
pub mod log;
pub mod progress;
pub mod rng;
pub mod score;
pub mod store;
pub mod tensors;

use std::path::Path;

use anyhow::Result;
use ndarray::Array2;
use personaroute_bundle::interaction::AdapterInteraction;
use tch::Tensor;

use crate::data::Dataset;
use crate::graph::interaction::InteractionBatch;

use facts::Facts;
use score::ScorerInputs;

/// Chooses LLMs: trained models, exported bundles and baselines stand behind it and in the same tables.
pub trait Router {
    /// Returns the name in tables and JSON.
    fn name(&self) -> &str;

    /// Returns a score for every query and LLM, `[queries, llms]`; the highest is chosen, the first among equals.
    fn utilities(&self, user: usize, queries: &[u32]) -> Result<Array2<f64>>;
}

/// A trained model: an embedding for every user, and utilities of LLMs for embeddings and queries.
pub trait Model {
    /// Returns what the model was trained on and how.
    fn facts(&self) -> &Facts;

    /// Returns the embeddings of the training users, `[users, user_dim]`, in the order of [`Facts::users`].
    fn users(&self) -> &Tensor;

    /// Returns the length of a user embedding.
    fn user_dim(&self) -> usize;

    /// Returns where users stand between cost (0) and effect (1), `[users]`, from their embeddings.
    fn preference_scores(&self, embeddings: &Tensor) -> Vec<f32>;

    /// Reads queries of `dataset` once, for users of these embeddings `[users, user_dim]`.
    fn predictor<'a>(
        &'a self,
        dataset: &Dataset,
        queries: &[u32],
        task: TaskInput,
        embeddings: &Tensor,
    ) -> Result<Box<dyn Predictor + 'a>>;

    /// Returns what the exported scorer computes, in the manifest's order: `utility`, `effect`, `cost`, `uncertainty`,
    /// each `[batch, llms]`, and `task_probability` `[batch, tasks]`.
    fn scorer(&self, inputs: &ScorerInputs) -> [Tensor; 5];

    /// Returns what the exported adapter computes: `user` `[users, user_dim]`, `preference` `[users]` and `certainty`
    /// `[users, 1]`.
    fn adapter(&self, interactions: &InteractionBatch) -> [Tensor; 3];

    /// Returns the embedding of a user nothing is known about.
    fn prior(&self) -> Vec<f32>;

    /// Writes the model into a folder.
    fn save(&self, dir: &Path) -> Result<()>;

    /// Returns the number of LLMs.
    fn llms(&self) -> usize {
        self.facts().llms.len()
    }

    /// Returns the embeddings `[users, user_dim]` of users with these interactions, from the prior.
    fn embed_users(&self, users: &[Vec<AdapterInteraction>]) -> Tensor {
        let columns = (self.facts().tasks.len(), self.facts().text_input());
        let batch = InteractionBatch::from_prior(users, columns, &self.prior());
        let [embeddings, ..] = tch::no_grad(|| self.adapter(&batch));
        embeddings
    }
}

/// Predicts utilities for users and queries that a model has read.
pub trait Predictor {
    /// Returns utilities `[positions, llms]` of one user, by its row among the embeddings; `positions` are places among
    /// the queries.
    fn utilities(&self, user: usize, positions: &[usize]) -> Result<Array2<f32>>;
}

/// Where the task of a query comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskInput {
    /// The request declares it.
    Declared,
    /// The model infers it from the query.
    Inferred,
}
