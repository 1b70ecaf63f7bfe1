//! Checkpoints: everything an interrupted run needs to go on to the same numbers.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tch::Tensor;

use super::network::params::Params;
use super::optimizer::AdamW;
use super::stop::Stop;
use crate::model::store;

/// Name of the file in the run's folder.
const FILE: &str = "checkpoint.safetensors";
/// What the names of the kept epoch's tensors begin with.
const KEPT: &str = "kept.";

/// State of a run between two epochs.
#[derive(Debug)]
pub struct State {
    /// Epochs done.
    pub epoch: usize,
    /// What is learned so far.
    pub params: Params,
    /// The kept epoch's.
    pub kept: Params,
    /// Moments of the gradients.
    pub optimizer: AdamW,
    /// What validation has found.
    pub stop: Stop,
}

/// Returns the path of a run's checkpoint.
pub fn path(run_dir: &Path) -> PathBuf {
    run_dir.join(FILE)
}

impl State {
    /// Writes the checkpoint; one that is there already is replaced only by a whole one.
    pub fn save(&self, run_dir: &Path) -> Result<()> {
        let mut named = self.params.named();
        named.extend(self.kept.named().into_iter().map(|(name, tensor)| (format!("{KEPT}{name}"), tensor)));
        named.extend(self.optimizer.named());
        named.push(("epochs".to_owned(), Tensor::from_slice(&[self.epoch as i64, self.stop.epoch as i64])));
        named.push(("validation".to_owned(), Tensor::from_slice(&[self.stop.loss])));
        let path = path(run_dir);
        let part = path.with_extension("part");
        store::save(&part, &named)?;
        std::fs::rename(&part, &path).with_context(|| format!("write {}", path.display()))
    }

    /// Takes the state from a checkpoint.
    pub fn load(mut self, run_dir: &Path) -> Result<Self> {
        let path = path(run_dir);
        let named = store::load(&path)?;
        let of = || format!("{}: not a checkpoint of this run", path.display());
        self.params = self.params.load(&named).with_context(of)?;
        let kept =
            |(name, tensor): &(String, Tensor)| Some((name.strip_prefix(KEPT)?.to_owned(), tensor.shallow_clone()));
        let kept: Vec<(String, Tensor)> = named.iter().filter_map(kept).collect();
        self.kept = self.kept.load(&kept).with_context(of)?;
        self.optimizer.load(&named).with_context(of)?;
        let find =
            |name: &str| named.iter().find(|(other, _)| other == name).map(|(_, tensor)| tensor).with_context(of);
        let epochs = find("epochs")?;
        let number = |at: i64| usize::try_from(epochs.int64_value(&[at])).with_context(of);
        (self.epoch, self.stop.epoch) = (number(0)?, number(1)?);
        self.stop.loss = find("validation")?.double_value(&[0]);
        Ok(self)
    }
}
