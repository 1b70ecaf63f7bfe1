//! Where an experiment's data comes from, how it is read, and what reading it gives.

use std::path::PathBuf;

use super::outcome::Cost;
use super::split::Ratio;
use super::world::file::WorldId;
use super::{Dataset, Interactions, Split};

/// Where data comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An outcomes folder with users and interactions.
    Outcomes(PathBuf),
    /// PersonaRoute-Bench files.
    Bench(BenchFiles),
    /// A folder of votes.
    Votes(PathBuf),
}

/// PersonaRoute-Bench files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BenchFiles {
    /// One file or folder with everything, or the files of train, validation and test.
    pub files: Vec<PathBuf>,
    /// LLM metadata.
    pub llms: PathBuf,
    /// LLM embeddings.
    pub embeddings: Option<PathBuf>,
}

/// How to read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which cost column of an outcomes folder counts.
    pub cost: Cost,
    /// Name parts of LLMs that belong together.
    pub families: Vec<String>,
    /// Shares of the split where the data brings none.
    pub ratio: Ratio,
    /// Seed of the split where the data brings none.
    pub seed: u64,
    /// Text-embedding model for embeddings the data lacks.
    pub encoder: Option<PathBuf>,
}

/// An experiment's data.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Outcomes, texts, embeddings.
    pub dataset: Dataset,
    /// All rated answers, those of test queries included where the data has them.
    pub interactions: Interactions,
    /// Train, validation and test queries.
    pub split: Split,
    /// Seed of the split.
    pub seed: u64,
    /// Whether preferences, effects and costs explain every reward, so that every reward can be computed.
    pub explained: bool,
    /// The world that simulated users were drawn from, where the data names one.
    pub world: Option<WorldId>,
    /// What a reader should know, one sentence each.
    pub warnings: Vec<String>,
}

impl Loaded {
    /// Returns the interactions on training queries: what a router may learn from.
    pub fn training(&self) -> Interactions {
        let mut kept = vec![false; self.dataset.queries.len()];
        for &query in &self.split.train {
            if let Some(flag) = kept.get_mut(query as usize) {
                *flag = true;
            }
        }
        self.interactions.restricted(&kept)
    }
}
