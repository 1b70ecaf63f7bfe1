//! What every way to train a model depends on, and how it reports its progress.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use tch::Device;

use crate::data::{Dataset, Interactions, Setting, Split};
use crate::graph::query::TextEncoder;

use super::facts::{Facts, llm, task};
use super::hparams::Hparams;
use super::kind::ModelKind;
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

/// How a fit went.
#[derive(Debug, Clone, Copy)]
pub struct Fitted {
    /// What was fitted.
    pub model: ModelKind,
    /// Epochs until the kept one.
    pub epochs: usize,
    /// Weight of what text predicts of each LLM.
    pub text_strength: f64,
    /// Validation score of the kept epoch.
    pub validation: f64,
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

    /// Returns what there is to say of a model that was fitted to this.
    pub fn facts(&self, fitted: Fitted) -> Facts {
        let Fitted { model, epochs, text_strength, validation } = fitted;
        let dataset = self.dataset;
        let count = |user: usize| u32::try_from(self.interactions.of(user).len()).unwrap_or(u32::MAX);
        let users = self.interactions.users.iter().enumerate();
        Facts {
            model,
            llms: dataset.llms.iter().map(llm).collect(),
            tasks: dataset.tasks.iter().map(task).collect(),
            setting: self.setting.as_str().to_owned(),
            hparams: self.hparams.clone(),
            embedding: Facts::embedding_of(&self.hparams, dataset),
            users: users.map(|(idx, user)| (user.id.clone(), count(idx))).collect(),
            dataset: dataset.name.clone(),
            fingerprint: dataset.fingerprint.clone(),
            counts: [
                self.split.train.len() as u64,
                (self.split.train.len() * dataset.llms.len()) as u64,
                self.interactions.entries.len() as u64,
            ],
            seed: self.seed,
            epochs,
            text_strength,
            validation,
            reward_range: Facts::reward_range(self.interactions),
        }
    }
}
