//! What the trainer knows: outcomes of queries on LLMs, users, their interactions, and the split.
//!
//! The readers of the three layouts live in the modules below; everything after them sees only these types.

pub mod bench;
pub mod csv;
mod dtype;
pub mod embedding;
pub mod encode;
pub mod error;
pub mod fingerprint;
pub mod float;
pub mod hash;
pub mod interaction;
pub mod llm;
pub mod load;
pub mod noise;
pub mod npy;
pub mod open;
pub mod outcome;
pub mod pickle;
pub mod simulate;
pub mod source;
pub mod split;
pub mod union;
pub mod user;
pub mod visible;
pub mod vote;
pub mod world;

use ndarray::Array2;

pub use interaction::{Interaction, Interactions, SignalKind};

/// Outcomes of every query on every LLM, with the texts and embeddings of queries, tasks and LLMs.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Name of the data set, as shown in reports.
    pub name: String,
    /// LLMs in the order of the metadata file: their position is their index everywhere.
    pub llms: Vec<LlmInfo>,
    /// Description embeddings, `[llms, dim]`; `[llms, 0]` when absent.
    pub llm_embeddings: Array2<f32>,
    /// Tasks sorted by name: their position is their index everywhere.
    pub tasks: Vec<TaskInfo>,
    /// Description embeddings, `[tasks, dim]`; `[tasks, 0]` when absent.
    pub task_embeddings: Array2<f32>,
    /// Distinct queries; a query index is a row here.
    pub queries: Vec<Query>,
    /// Text embeddings, `[queries, dim]`; `[queries, 0]` when absent.
    pub query_embeddings: Array2<f32>,
    /// Effect of every answer, `[queries, llms]`, NaN where not observed.
    pub effect: Array2<f32>,
    /// Normalised cost of every answer, `[queries, llms]`, NaN where not observed.
    pub cost: Array2<f32>,
    /// SHA-256 (hex) over everything above: two equal fingerprints are the same data.
    pub fingerprint: String,
}

/// One LLM of the metadata file.
#[derive(Debug, Clone, PartialEq)]
pub struct LlmInfo {
    /// Id in the data and in the bundle's catalog.
    pub id: String,
    /// Description the embedding is made of.
    pub description: String,
    /// Name the provider calls it by.
    pub model: String,
    /// USD per million input tokens.
    pub input_price: f32,
    /// USD per million output tokens.
    pub output_price: f32,
    /// Family it belongs to (`llm_family` of the configuration).
    pub family: Option<String>,
}

/// One task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskInfo {
    /// Name, the `task_id` of the data.
    pub name: String,
    /// Description, empty when the data has none.
    pub description: String,
}

/// One distinct query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Id that the split hashes: `query_id` of the data, or the order of first appearance.
    pub id: u64,
    /// Index of its task.
    pub task: u32,
    /// Text.
    pub text: String,
}

/// One user.
#[derive(Debug, Clone, PartialEq)]
pub struct UserInfo {
    /// Any string.
    pub id: String,
    /// True weight on quality where the data says it: a yardstick, never shown to the trainer in [`Setting::Rewards`].
    pub preference: Option<f64>,
}

/// Query indices of the three parts: no query is in two of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    /// Queries whose interactions may be learned from.
    pub train: Vec<u32>,
    /// Queries for early stopping and choices of hyperparameters.
    pub validation: Vec<u32>,
    /// Queries that only the final table sees.
    pub test: Vec<u32>,
}

/// What the router may know of the training outcomes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Setting {
    /// R: rewards only; neither preferences, nor effect and cost apart.
    #[default]
    Rewards,
    /// EC: effect and cost of training outcomes too.
    EffectCost,
}

impl Setting {
    /// Returns the protocol's short name, `R` or `EC`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rewards => "R",
            Self::EffectCost => "EC",
        }
    }
}
