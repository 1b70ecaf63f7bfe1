//! What every way to train a model depends on, and how it reports its progress.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use tch::Device;

use crate::data::{Dataset, Interactions, Setting, Split};
use crate::graph::query::TextEncoder;

use super::hparams::Hparams;
use super::log::Log;
pub use super::progress::Progress;
use super::store;

/// Everything a training run depends on.
pub struct FitInput<'a> {
    /// Texts, metadata and outcomes; of the outcomes only the training queries' are read, and only in setting EC.
    pub dataset: &'a Dataset,
    /// Interactions of the training split.
    pub interactions: &'a Interactions,
    /// Which queries may be learned from.
    pub split: &'a Split,
    /// What may be known.
    pub setting: Setting,
    /// Hyperparameters.
    pub hparams: Hparams,
    /// Where to compute.
    pub device: Device,
    /// Seed of every random choice.
    pub seed: u64,
    /// Folder for checkpoints, metrics and the model.
    pub run_dir: &'a Path,
    /// Model file to start from (`ini_model_path`).
    pub initial: Option<PathBuf>,
    /// Continue from the folder's checkpoint, if there is one.
    pub resume: bool,
    /// Called after each step; `Break` ends the run as if it had been interrupted.
    pub progress: &'a mut dyn FnMut(&Progress) -> ControlFlow<()>,
}

impl FitInput<'_> {
    /// Refuses data that no model can be trained on, and a start that is not a model file.
    pub fn check(&self) -> Result<()> {
        if self.interactions.entries.is_empty() {
            bail!("no interactions to learn from");
        }
        if self.dataset.llms.is_empty() || self.dataset.tasks.is_empty() {
            bail!("the data set has no LLM or no task");
        }
        let missing = self.dataset.query_embeddings.ncols() == 0;
        if missing && self.hparams.text == TextEncoder::Embedding {
            bail!("the embedding encoder needs query embeddings, and the data set has none");
        }
        if let Some(initial) = &self.initial {
            store::load(initial)?;
        }
        Ok(())
    }

    /// Logs a step and reports it; an error when the caller ends the run.
    pub fn step(&mut self, progress: Progress) -> Result<()> {
        Log::new(self.run_dir)?.write(&progress)?;
        if (self.progress)(&progress) == ControlFlow::Break(()) {
            bail!("interrupted after {}; continue with --resume", progress.stage);
        }
        Ok(())
    }
}
