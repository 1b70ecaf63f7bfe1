//! Hyperparameters: one default configuration for every data set.

use serde::{Deserialize, Serialize};

use crate::graph::query::TextEncoder;

/// What the configuration's `hparam` section decides about the model.
///
/// Estimation and ridge regression take no steps, so the keys of gradient descent are accepted, recorded, and change
/// nothing: every field up to `text_dropout` but `text`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hparams {
    /// Length of a user embedding: half of it are weights, the other half says how well each is known. An even number.
    pub embedding_dim: usize,
    /// Features of an outcome edge, 1 to 4.
    pub edge_dim: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Most epochs.
    pub train_epoch: usize,
    /// Users in a minibatch.
    pub batch_size: usize,
    /// Share of a user's queries that is masked; every edge is masked once, in closed form.
    pub train_mask_rate: f64,
    /// Preference weights of a user: two, for both ends.
    pub weights: usize,
    /// Epochs without a better validation score before the end.
    pub patience: usize,
    /// How query text is read.
    pub text: TextEncoder,
    /// Width of the query representation.
    pub text_dim: usize,
    /// Epochs over the training queries.
    pub text_epoch: usize,
    /// Learning rate of the query representation.
    pub text_learning_rate: f64,
    /// Share of a query's n-grams (or embedding entries) dropped while training.
    pub text_dropout: f64,
    /// Parts of the model to leave out: for measuring what they earn.
    pub leave_out: Vec<Part>,
    /// What the graph network starts from.
    pub init: Init,
}

/// What a graph network starts from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// Closed-form estimates; what is learned begins at nothing.
    #[default]
    ClosedForm,
    /// Random values.
    Random,
}

/// A part of the closed-form model that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// What text predicts of each LLM.
    Llms,
    /// How much more than the others an LLM gains when a query is easy.
    Slopes,
    /// What text predicts of costs.
    Cost,
    /// Shape tokens.
    Shape,
    /// The gate for texts of no known task.
    OutOfDistribution,
    /// The posterior of single answers and the covariance of LLMs: scores and means from (task, LLM) pairs alone.
    Covariance,
    /// User factors and LLM loadings.
    Factors,
}

impl Default for Hparams {
    fn default() -> Self {
        Self {
            embedding_dim: 36,
            edge_dim: 3,
            learning_rate: 1e-2,
            weight_decay: 1e-2,
            train_epoch: 20,
            batch_size: 50,
            train_mask_rate: 0.3,
            weights: 4,
            patience: 15,
            text: TextEncoder::default(),
            text_dim: 32,
            text_epoch: 20,
            text_learning_rate: 5e-3,
            text_dropout: 0.3,
            leave_out: Vec::new(),
            init: Init::ClosedForm,
        }
    }
}
