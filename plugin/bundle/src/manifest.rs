//! `manifest.yaml`: lists and describes the other files of a bundle.

mod check;
pub mod graph;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use self::graph::{Dim, Element, GraphSpec, Graphs, TensorSpec};
use crate::BundleError;
use crate::lexical::Lexical;
use crate::yaml;

/// The version of the bundle's layout; a bundle of another version is refused.
pub const FORMAT_VERSION: u32 = 2;

/// The content of `manifest.yaml`.
///
/// ```
/// use personaroute_bundle::manifest::Manifest;
///
/// let refused = Manifest::parse(b"{format_version: 3, encoding_version: 2}", "manifest.yaml".as_ref());
/// let message = refused.err().map(|error| error.to_string());
/// assert_eq!(message.as_deref(), Some("manifest.yaml: format_version: expected 2, found 3"));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the bundle's layout: [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Version of the feature encoding: [`ENCODING_VERSION`](crate::lexical::ENCODING_VERSION).
    pub encoding_version: u32,
    /// Length of a user embedding.
    pub user_dim: usize,
    /// Number of LLM columns of the scorer.
    pub llms: usize,
    /// Number of task columns of the scorer.
    pub tasks: usize,
    /// How query text is converted to scorer input.
    pub text_encoder: TextEncoder,
    /// The ONNX graphs.
    pub graphs: Graphs,
    /// The kind of feedback in training.
    pub setting: Setting,
    /// The embedding of a user without interactions; `user_dim` values.
    pub prior: Vec<f32>,
    /// The scale of the rewards in training: a rating of 0 stands for the first, a rating of 1 for the second.
    pub reward_range: [f32; 2],
    /// The training data.
    pub dataset: Dataset,
    /// How it was trained.
    pub training: Training,
    /// The largest difference between ONNX Runtime and the trainer.
    pub parity: Parity,
    /// Metrics of the evaluation, by name.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// SHA-256 of every file but the manifest, in hexadecimal, by path relative to the bundle.
    pub files: BTreeMap<String, String>,
}

/// How query text is converted to scorer input.
///
/// ```
/// use personaroute_bundle::lexical::Lexical;
/// use personaroute_bundle::manifest::TextEncoder;
///
/// let encoder = TextEncoder::Lexical(Lexical { buckets: 1_024, max_words: 2, max_ids: 256, seed: 0 });
/// assert_eq!(encoder.input_name(), "ngrams");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextEncoder {
    /// Hashed word n-grams, computed in the plugin.
    Lexical(Lexical),
    /// A dense vector from a text-embedding model on the host.
    Embedding(EmbeddingEncoder),
}

/// The text-embedding model a bundle was trained with.
///
/// ```
/// use personaroute_bundle::manifest::EmbeddingEncoder;
///
/// let encoder = EmbeddingEncoder { dim: 384, encoder_id: "all-MiniLM-L6-v2".into(), sha256: None };
/// assert_eq!(encoder.dim, 384);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingEncoder {
    /// Length of an embedding.
    pub dim: usize,
    /// The model's name.
    pub encoder_id: String,
    /// SHA-256 of the model file, in hexadecimal; none when the training data brought its own embeddings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// The kind of feedback in training.
///
/// ```
/// use personaroute_bundle::manifest::Setting;
///
/// assert_eq!(Setting::Rewards.to_string(), "R");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setting {
    /// Rewards only; effect and cost are derived from the utilities of users with extreme preferences.
    #[serde(rename = "R")]
    Rewards,
    /// Effect and cost of each response.
    #[serde(rename = "EC")]
    EffectCost,
}

/// The training data of a bundle.
///
/// ```
/// use personaroute_bundle::manifest::Dataset;
///
/// let dataset = Dataset { name: "mine".into(), queries: 800, users: 1_000, ..Dataset::default() };
/// assert_eq!(dataset.interactions, 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// Hash of the data's content.
    pub fingerprint: String,
    /// The data's name.
    pub name: String,
    /// Number of queries.
    pub queries: u64,
    /// Number of (query, LLM) outcomes.
    pub outcomes: u64,
    /// Number of (user, query, LLM) rewards.
    pub interactions: u64,
    /// Number of users.
    pub users: u64,
}

/// How a bundle was trained.
///
/// ```
/// use personaroute_bundle::manifest::Training;
///
/// let training = Training { command: "personaroute-train train --config c.yaml".into(), ..Training::default() };
/// assert_eq!(training.epochs, 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// The exact command line.
    pub command: String,
    /// The commit of the trainer.
    pub commit: String,
    /// The seed.
    pub seed: u64,
    /// The effective hyperparameters.
    pub config: BTreeMap<String, String>,
    /// Start time, RFC 3339.
    pub started: String,
    /// Number of epochs.
    pub epochs: u32,
}

/// The largest difference between the outputs of ONNX Runtime and of the trainer on random inputs.
///
/// ```
/// use personaroute_bundle::manifest::Parity;
///
/// let parity = Parity { samples: 100, max_abs_difference: 3e-6 };
/// assert!(parity.max_abs_difference <= Parity::LIMIT);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parity {
    /// Number of random inputs.
    pub samples: u64,
    /// The largest difference of any output value.
    pub max_abs_difference: f64,
}

impl Manifest {
    /// Parses and checks the content of `file`, which only errors name.
    ///
    /// Versions are checked first, so that a bundle of another version is refused for its version and not for its keys.
    ///
    /// # Errors
    ///
    /// [`BundleError::Syntax`] with line and column, or [`BundleError::Field`].
    pub fn parse(content: &[u8], file: &Path) -> Result<Self, BundleError> {
        check::versions(content, file)?;
        let manifest: Self = yaml::parse(content, file)?;
        check::manifest(&manifest, file)?;
        Ok(manifest)
    }

    /// Renders the manifest as YAML.
    ///
    /// # Errors
    ///
    /// [`BundleError::Syntax`] when a value cannot be written as YAML.
    pub fn to_yaml(&self) -> Result<String, BundleError> {
        yaml::render(self, "manifest.yaml".as_ref())
    }
}

impl TextEncoder {
    /// Returns the name of the scorer input that carries the text.
    pub fn input_name(&self) -> &'static str {
        match self {
            Self::Lexical(_) => "ngrams",
            Self::Embedding(_) => "query",
        }
    }
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Rewards => "R",
            Self::EffectCost => "EC",
        })
    }
}

impl Parity {
    /// The largest accepted difference.
    pub const LIMIT: f64 = 1e-4;
}

#[cfg(test)]
pub(crate) mod tests;
