//! Training: users and values on minibatches of users, then the query node on the outcomes these imply.

pub mod adapter;
pub mod checkpoint;
pub mod components;
pub mod epoch;
pub mod estimate;
pub mod foresee;
pub mod hparams;
pub mod kernel;
pub mod log;
pub mod newcomer;
pub mod optimiser;
pub mod outcome;
pub mod query;
pub mod seed;
pub mod validate;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use personaroute_bundle::catalog::{Llm, Task};
use tch::{Device, Kind, Tensor};

use crate::data::{Dataset, Interactions, LlmInfo, Setting, Split, TaskInfo};
use crate::graph::Graph;
use crate::model::axis::Axis;
use crate::model::net::{Forward, Net};
use crate::model::{Facts, Model};

use checkpoint::Checkpoint;
use epoch::Loop;
use hparams::{Hparams, TextEncoder};
use outcome::Outcomes;

/// Everything a training run depends on.
pub struct TrainInput<'a> {
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
    /// Model file whose weights are the start, where names and shapes agree (`ini_model_path`).
    pub initial: Option<PathBuf>,
    /// Continue from the folder's checkpoint, if there is one.
    pub resume: bool,
    /// Called after each epoch; `Break` ends the run as if it had been interrupted.
    pub progress: &'a mut dyn FnMut(&Progress) -> ControlFlow<()>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// `users` or `queries`.
    pub stage: &'static str,
    /// Epochs done.
    pub epoch: usize,
    /// Epochs at most.
    pub epochs: usize,
    /// Mean loss of the epoch.
    pub loss: f64,
    /// Validation score; higher is better.
    pub validation: f64,
}

/// Returns the device of that name: `cpu`, `cuda` or `cuda:N`.
pub fn device(name: &str) -> Result<Device> {
    let index = match name {
        "cpu" => return Ok(Device::Cpu),
        "cuda" => 0,
        other => {
            let number = other.strip_prefix("cuda:").and_then(|n| n.parse::<usize>().ok());
            number.with_context(|| format!("unknown device `{other}`: expected cpu, cuda or cuda:N"))?
        }
    };
    let found = tch::Cuda::device_count();
    if index as i64 >= found {
        bail!(
            "no CUDA device {index}: libtorch sees {found} of them (a CPU build of libtorch sees none); use --device cpu"
        );
    }
    Ok(Device::Cuda(index))
}

/// Trains a model and saves it in the run folder.
pub fn fit(input: &mut TrainInput<'_>) -> Result<Model> {
    check(input)?;
    let graph = Graph::build(input.dataset, input.interactions, input.seed);
    let net = Net::new(&graph, input.setting, &input.hparams, input.seed, input.device);
    let mut training = Loop::new(input, &graph, net)?;
    let checkpoint = training.run(input)?;
    let net = training.into_net(&checkpoint)?;
    let forward = tch::no_grad(|| net.forward());
    let users = tch::no_grad(|| validate::embed_all(&graph, &forward, true));
    let weights = tch::no_grad(|| forward.preference(&users));
    let outcomes = Outcomes::recover(input, &graph, &forward, &weights);
    let axis = axis(input.setting, &graph, &forward, &weights);
    let (text, gate) = query::fit(input, &outcomes, &weights, &axis)?;
    let cpu = |tensor: &Tensor| tensor.detach().to_device(Device::Cpu);
    let heads = (cpu(&forward.weights.0), cpu(&forward.weights.1));
    let origin = cpu(&users).mean_dim(0, false, Kind::Float);
    let components = outcomes.components(&axis, &cpu(&weights));
    let adapter = adapter::fit(&components, |places| adapter::on_axis(places, &origin, &heads, &axis));
    let model = Model {
        facts: facts(input, &graph, &checkpoint, gate),
        deviation: outcomes.deviation(&weights),
        values: outcomes.values.flatten(1, 2),
        axis,
        text,
        weights: heads,
        adapter,
        users: cpu(&users),
    };
    model.save(input.run_dir)?;
    Ok(model)
}

fn check(input: &TrainInput<'_>) -> Result<()> {
    if input.interactions.entries.is_empty() {
        bail!("no interactions to learn from");
    }
    if input.dataset.llms.is_empty() || input.dataset.tasks.is_empty() {
        bail!("the data set has no LLM or no task");
    }
    let missing = input.dataset.query_embeddings.ncols() == 0;
    if missing && input.hparams.text == TextEncoder::Embedding {
        bail!("the embedding encoder needs query embeddings, and the data set has none");
    }
    Ok(())
}

fn axis(setting: Setting, graph: &Graph, forward: &Forward, weights: &Tensor) -> Axis {
    let values = forward.values.detach().to_device(Device::Cpu);
    match setting {
        Setting::EffectCost => {
            let end = |k: i64| Tensor::eye(2, (Kind::Float, Device::Cpu)).get(k);
            Axis::between(end(0), end(1), &values)
        }
        Setting::Rewards => Axis::fit(&weights.to_device(Device::Cpu), &values, &graph.features.log_price),
    }
}

fn facts(input: &TrainInput<'_>, graph: &Graph, checkpoint: &Checkpoint, gate: f64) -> Facts {
    let dataset = input.dataset;
    let count = |user: usize| u32::try_from(input.interactions.of(user).len()).unwrap_or(u32::MAX);
    let users = input.interactions.users.iter().enumerate();
    Facts {
        llms: dataset.llms.iter().map(llm).collect(),
        tasks: dataset.tasks.iter().map(task).collect(),
        setting: input.setting.as_str().to_owned(),
        hparams: input.hparams.clone(),
        embedding: match input.hparams.text {
            TextEncoder::Lexical(_) => 0,
            TextEncoder::Embedding => dataset.query_embeddings.ncols(),
        },
        users: users.map(|(idx, user)| (user.id.clone(), count(idx))).collect(),
        dataset: dataset.name.clone(),
        fingerprint: dataset.fingerprint.clone(),
        counts: [
            input.split.train.len() as u64,
            (input.split.train.len() * graph.llms) as u64,
            graph.edges.len() as u64,
        ],
        seed: input.seed,
        epochs: checkpoint.best_epoch,
        gate,
        validation: checkpoint.best,
    }
}

fn llm(llm: &LlmInfo) -> Llm {
    Llm {
        id: llm.id.clone(),
        model: llm.model.clone(),
        input_price: llm.input_price,
        output_price: llm.output_price,
        cached_input_price: None,
        context_window: None,
        capabilities: Vec::new(),
        description: llm.description.clone(),
    }
}

fn task(task: &TaskInfo) -> Task {
    Task { name: task.name.clone(), description: task.description.clone() }
}
