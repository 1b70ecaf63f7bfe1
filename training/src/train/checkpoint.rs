//! Checkpoints: weights, best weights, the optimiser's moments and the epoch; random streams follow from the epoch.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tch::{Device, Kind, Tensor};

use super::optimiser::AdamW;
use crate::model::params::Params;
use crate::model::store::{load, save};
use crate::model::tensors::extent;

const FILE: &str = "checkpoint.safetensors";

/// A run after some epoch.
#[derive(Debug)]
pub struct Checkpoint {
    /// Epochs done.
    pub epoch: usize,
    /// Epochs done when the kept weights were reached.
    pub best_epoch: usize,
    /// Their validation score.
    pub best: f64,
    /// Optimiser steps done.
    pub steps: i64,
    /// Parameters now.
    pub values: Vec<Tensor>,
    /// The kept parameters.
    pub best_values: Vec<Tensor>,
    /// The optimiser's moments.
    pub moments: Vec<Tensor>,
    names: Vec<String>,
}

impl Checkpoint {
    /// Returns the state before the first epoch.
    pub fn new(params: &Params, optimiser: &AdamW) -> Self {
        let (steps, moments) = optimiser.state();
        Self {
            epoch: 0,
            best_epoch: 0,
            best: f64::NEG_INFINITY,
            steps,
            values: params.values(),
            best_values: params.values(),
            moments,
            names: params.iter().map(|param| param.name.clone()).collect(),
        }
    }

    /// Takes over the state after one more epoch; `kept` is its validation score if its weights are to be kept.
    pub fn update(&mut self, kept: Option<f64>, params: &Params, optimiser: &AdamW) {
        self.epoch += 1;
        (self.steps, self.moments) = optimiser.state();
        self.values = params.values();
        if let Some(validation) = kept {
            (self.best, self.best_epoch) = (validation, self.epoch);
            self.best_values = params.values();
        }
    }

    /// Writes the file; an interrupted write leaves the one before.
    pub fn save(&self, run_dir: &Path) -> Result<()> {
        let tagged = |tag: &'static str, tensors: &[Tensor]| -> Vec<(String, Tensor)> {
            let names = self.names.iter().cycle().enumerate();
            let named = tensors.iter().zip(names);
            named.map(|(tensor, (slot, name))| (format!("{tag}.{slot}.{name}"), tensor.shallow_clone())).collect()
        };
        let mut named: Vec<(String, Tensor)> =
            self.names.iter().zip(&self.best_values).map(|(n, v)| (n.clone(), v.shallow_clone())).collect();
        named.extend(tagged("now", &self.values));
        named.extend(tagged("moment", &self.moments));
        let counts = [self.epoch as i64, self.best_epoch as i64, self.steps];
        named.push(("progress".to_owned(), Tensor::from_slice(&counts)));
        named.push(("best".to_owned(), Tensor::from_slice(&[self.best])));
        let partial = run_dir.join("checkpoint.partial");
        save(&partial, &named)?;
        fs::rename(&partial, run_dir.join(FILE)).context("put the checkpoint in place")
    }

    /// Reads the file, if there is one; it must be of a network of the same shape.
    pub fn load(run_dir: &Path, params: &Params) -> Result<Option<Self>> {
        let path = run_dir.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let mut found: HashMap<String, Tensor> = read_tensors(&path)?.into_iter().collect();
        let names: Vec<String> = params.iter().map(|param| param.name.clone()).collect();
        let mut take = |name: String, like: &Tensor| {
            let tensor = found.remove(&name).with_context(|| format!("{}: no tensor {name}", path.display()))?;
            ensure!(tensor.size() == like.size(), "{}: {name} has another shape", path.display());
            Ok(tensor.to_device(like.device()))
        };
        let slots = || params.iter().chain(params.iter()).enumerate();
        let best_values = params.iter().map(|p| take(p.name.clone(), &p.tensor)).collect::<Result<_>>()?;
        let now = params.iter().enumerate();
        let values = now.map(|(i, p)| take(format!("now.{i}.{}", p.name), &p.tensor)).collect::<Result<_>>()?;
        let moments = slots().map(|(i, p)| take(format!("moment.{i}.{}", p.name), &p.tensor)).collect::<Result<_>>()?;
        let counts = take("progress".to_owned(), &Tensor::zeros([3], (Kind::Int64, Device::Cpu)))?;
        let best = take("best".to_owned(), &Tensor::zeros([1], (Kind::Double, Device::Cpu)))?.double_value(&[0]);
        let count = |slot: i64| counts.int64_value(&[slot]);
        let (epoch, best_epoch, steps) = (extent(count(0)), extent(count(1)), count(2));
        Ok(Some(Self { epoch, best_epoch, best, steps, values, best_values, moments, names }))
    }
}

/// Returns the named tensors of a checkpoint or model file, on the CPU.
pub fn read_tensors(path: &Path) -> Result<Vec<(String, Tensor)>> {
    load(path)
}
