//! What is written in the YAML: every key optional, none unknown.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::data::outcome::Cost;
use crate::model::hparams::Part;
use crate::model::kind::ModelKind;

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Files of the data.
    pub data_path: DataPath,
    /// Files of the model.
    pub model_path: ModelPath,
    /// Hyperparameters.
    pub hparam: Hparam,
    /// Weights of figures.
    pub metric: Metric,
    /// What the graph network starts from: `closed_form` (the default), `random`, or a file of weights.
    pub init: Option<PathBuf>,
    /// Which model is trained: `gnn` (the default) or `closed_form`.
    pub model: Option<ModelKind>,
    /// `R` (rewards only, the default) or `EC` (effect and cost too).
    pub setting: Option<Setting>,
    /// Which cost column of an outcomes folder counts.
    pub cost: Option<Cost>,
    /// `lexical` (the default) or `embedding`.
    pub encoder: Option<Encoder>,
    /// Folder of the run; else made from `save_model_path`.
    pub run: Option<PathBuf>,
}

/// Files of the data.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataPath {
    /// One CSV with everything, or a folder that holds one.
    pub routing_data_path: Option<PathBuf>,
    /// CSV to train on.
    pub routing_data_train: Option<PathBuf>,
    /// CSV to validate on.
    pub routing_data_val: Option<PathBuf>,
    /// CSV to test on.
    pub routing_data_test: Option<PathBuf>,
    /// LLM metadata.
    pub llm_data: Option<PathBuf>,
    /// LLM embeddings.
    pub llm_embedding_data: Option<PathBuf>,
    /// Our own: an outcomes folder with users and interactions, as `simulate` writes.
    pub outcomes: Option<PathBuf>,
    /// Our own: a folder of votes.
    pub votes: Option<PathBuf>,
    /// Our own: folder of the text-embedding model (model.onnx, tokenizer.json) for embeddings the data lacks.
    pub encoder: Option<PathBuf>,
}

/// Files of the model.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelPath {
    /// File of the trained weights; the run's folder is this path without its extension.
    pub save_model_path: Option<PathBuf>,
    /// Which model to evaluate.
    pub load_model_path: Option<PathBuf>,
    /// Which weights to begin with.
    pub ini_model_path: Option<PathBuf>,
}

/// Hyperparameters; those behind `random_state` are our own.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hparam {
    /// Width of node states and length of a user embedding.
    pub embedding_dim: Option<usize>,
    /// Features of an outcome edge that are read.
    pub edge_dim: Option<usize>,
    /// How many users there is room for.
    pub user_num: Option<usize>,
    /// How many tasks there is room for.
    pub num_task: Option<usize>,
    /// Peak learning rate.
    pub learning_rate: Option<f64>,
    /// AdamW's weight decay.
    pub weight_decay: Option<f64>,
    /// Most epochs.
    pub train_epoch: Option<usize>,
    /// Users in a minibatch.
    pub batch_size: Option<usize>,
    /// Share of a user's queries that is masked while training.
    pub train_mask_rate: Option<f64>,
    /// Shares of train, validation and test.
    pub split_ratio: Option<[f64; 3]>,
    /// Name parts of LLMs that belong together.
    pub llm_family: Vec<String>,
    /// Seed of split and training.
    pub random_state: Option<u64>,
    /// Preference weights of a user (K).
    pub weights: Option<usize>,
    /// Epochs without a better validation score before training stops.
    pub patience: Option<usize>,
    /// Width of the query representation.
    pub text_dim: Option<usize>,
    /// Epochs over the training queries for it.
    pub text_epoch: Option<usize>,
    /// Its learning rate.
    pub text_learning_rate: Option<f64>,
    /// Share of a query's n-grams dropped while training.
    pub text_dropout: Option<f64>,
    /// Parts of the model to leave out.
    pub leave_out: Vec<Part>,
}

/// Weights of figures in the weighted score of reports.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metric {
    /// `performance`, `cost`, `reward`.
    pub weights: BTreeMap<String, f64>,
}

/// The protocol's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
pub enum Setting {
    /// Rewards only.
    #[value(name = "R")]
    R,
    /// Effect and cost too.
    #[value(name = "EC")]
    #[serde(rename = "EC")]
    Ec,
}

/// How query text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Encoder {
    /// Hashed n-grams.
    Lexical,
    /// The vector of a text-embedding model.
    Embedding,
}
